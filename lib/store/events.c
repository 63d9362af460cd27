#include "db.h"

int store_put_event(struct store *s, const struct store_event *event, int64_t *id, struct err *e)
{
	const char *const texts[] = { event->kind, event->subject, event->text, event->who };
	sqlite3_stmt *st = db_stmt(s, S_EVENT_ADD, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, event->utc_us);
	sqlite3_bind_int(st, 2, event->utc_valid);
	sqlite3_bind_int(st, 3, (int)event->severity);
	for (int i = 0; i < (int)COUNT_OF(texts); i++)
		sqlite3_bind_text(st, 4 + i, texts[i] ? texts[i] : "", -1, SQLITE_STATIC);
	/* A statement of its own is a transaction of its own. */
	if (db_run(s, st, "store an event", e))
		return -1;
	if (id)
		*id = sqlite3_last_insert_rowid(s->db);
	s->size.events += s->counted.events;
	return 0;
}

static int read_events(struct store *s, sqlite3_stmt *st, store_event_fn *fn, void *arg, struct err *e)
{
	int rc;

	while ((rc = db_step(s, st, "read events", e)) > 0) {
		const char *texts[4];

		for (int i = 0; i < 4; i++) {
			texts[i] = (const char *)sqlite3_column_text(st, 4 + i);
			if (!texts[i])
				texts[i] = "";
		}
		fn(arg, &(struct store_event){
				.id = sqlite3_column_int64(st, 0),
				.utc_us = sqlite3_column_int64(st, 1),
				.utc_valid = sqlite3_column_int(st, 2),
				.severity = (enum severity)sqlite3_column_int(st, 3),
				.kind = texts[0],
				.subject = texts[1],
				.text = texts[2],
				.who = texts[3],
			});
	}
	return rc;
}

static int64_t limit(size_t max)
{
	return max > INT64_MAX ? INT64_MAX : (int64_t)max;
}

int store_read_events(struct store *s, int64_t after_id, size_t max, store_event_fn *fn, void *arg, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_EVENT_AFTER, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, after_id);
	sqlite3_bind_int64(st, 2, limit(max));
	return read_events(s, st, fn, arg, e);
}

int store_last_events(struct store *s, size_t max, store_event_fn *fn, void *arg, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_EVENT_LAST, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, limit(max));
	return read_events(s, st, fn, arg, e);
}

int store_put_setting(struct store *s, const char *key, const char *value, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_SETTING_PUT, e);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC);
	return db_run(s, st, "store a setting", e);
}

static int put_settings(struct store *s, const struct store_setting *settings, size_t count, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (store_put_setting(s, settings[i].key, settings[i].value, e) < 0)
			return -1;
	return 0;
}

int store_put_settings(struct store *s, const struct store_setting *settings, size_t count, struct err *e)
{
	if (s->joined)
		return put_settings(s, settings, count, e);
	if (db_begin(s, e) < 0)
		return -1;
	if (put_settings(s, settings, count, e) == 0 && db_commit(s, "store settings", e) == 0)
		return 0;
	db_rollback(s);
	return -1;
}

int store_get_setting(struct store *s, const char *key, char **value, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_SETTING_GET, e);
	int rc;

	*value = NULL;
	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	rc = db_step(s, st, "read a setting", e);
	if (rc > 0)
		*value = xstrdup((const char *)sqlite3_column_text(st, 0));
	return rc < 0 ? -1 : 0;
}
