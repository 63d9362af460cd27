#include "db.h"

#include <string.h>

/* Names are met in every batch: a table in memory saves a look-up in the file for each. Twice as many slots as points,
 * so that an empty one is always near. */
enum { SLOTS = 2 * POINTS_MAX };

static size_t hash(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % SLOTS;
}

static size_t slot_of(const struct store *s, const char *name)
{
	size_t i = hash(name);

	while (s->slots[i] && !str_eq(s->names[s->slots[i]], name))
		i = (i + 1) % SLOTS;
	return i;
}

int point_find(const struct store *s, const char *name)
{
	return s->slots[slot_of(s, name)];
}

static void add(struct store *s, const char *name)
{
	s->names = xrealloc(s->names, s->point_count + 2, sizeof *s->names);
	s->names[++s->point_count] = xstrdup(name);
	s->slots[slot_of(s, name)] = (uint16_t)s->point_count;
}

void points_cut(struct store *s, size_t count)
{
	if (s->point_count == count)
		return;
	for (; s->point_count > count; s->point_count--)
		free(s->names[s->point_count]);
	memset(s->slots, 0, SLOTS * sizeof *s->slots);
	for (size_t id = 1; id <= count; id++)
		s->slots[slot_of(s, s->names[id])] = (uint16_t)id;
}

int points_load(struct store *s, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_POINTS, e);
	int rc;

	if (!st)
		return -1;
	s->slots = xcalloc(SLOTS, sizeof *s->slots);
	while ((rc = db_step(s, st, "read the points", e)) > 0) {
		const char *name = (const char *)sqlite3_column_text(st, 1);

		if (sqlite3_column_int64(st, 0) != (int64_t)s->point_count + 1 || s->point_count == POINTS_MAX || !name)
			return err_set(e, ERR_INPUT, 0, "'%s' has points that psec did not write", s->path);
		add(s, name);
	}
	return rc;
}

void points_free(struct store *s)
{
	for (size_t id = 1; id <= s->point_count; id++)
		free(s->names[id]);
	free(s->names);
	free(s->slots);
	s->names = NULL;
	s->slots = NULL;
	s->point_count = 0;
}

int point_intern(struct store *s, const char *name, struct err *e)
{
	int id = point_find(s, name);
	sqlite3_stmt *st;

	if (id)
		return id;
	if (!*name || strlen(name) > POINT_NAME_MAX)
		return err_set(e, ERR_INPUT, 0, "a point's name has %zu bytes, must have 1…%d", strlen(name),
			       POINT_NAME_MAX);
	if (s->point_count == POINTS_MAX)
		return err_set(e, ERR_INPUT, 0, "point '%s' is one too many, %d are kept", name, POINTS_MAX);
	st = db_stmt(s, S_POINT_ADD, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)s->point_count + 1);
	sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	if (db_run(s, st, "store a point", e))
		return -1;
	add(s, name);
	return (int)s->point_count;
}

int marks_load(struct store *s, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_MARKS, e);
	int rc;

	s->means_to = s->dropped_to = s->means_kept_from = s->clock.utc_us = s->clock.marked_us = INT64_MIN;
	if (!st)
		return -1;
	while ((rc = db_step(s, st, "read the marks", e)) > 0) {
		const char *name = (const char *)sqlite3_column_text(st, 0);

		if (str_eq(name, "means_to"))
			s->means_to = sqlite3_column_int64(st, 1);
		else if (str_eq(name, "dropped_to"))
			s->dropped_to = sqlite3_column_int64(st, 1);
		else if (str_eq(name, "clock"))
			s->clock.utc_us = s->clock.marked_us = sqlite3_column_int64(st, 1);
	}
	return rc;
}

int mark_set(struct store *s, const char *name, int64_t utc_us, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_MARK_SET, e);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, utc_us);
	return db_run(s, st, "store a mark", e);
}
