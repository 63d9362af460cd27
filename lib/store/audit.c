#include "db.h"

#include <string.h>

/* ---- several writes as one ---- */

int store_begin(struct store *s, struct err *e)
{
	if (db_begin(s, e))
		return -1;
	s->joined = true;
	return 0;
}

int store_commit(struct store *s, struct err *e)
{
	s->joined = false;
	if (db_commit(s, "store what belongs together", e) == 0)
		return 0;
	db_rollback(s);
	return -1;
}

void store_rollback(struct store *s)
{
	s->joined = false;
	db_rollback(s);
}

/* ---- entries ---- */

int store_put_audit(struct store *s, const struct store_audit *entry, struct err *e)
{
	const char *const texts[] = { entry->who, entry->kind, entry->subject, entry->detail };
	sqlite3_stmt *st = db_stmt(s, S_AUDIT_ADD, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, entry->seq);
	sqlite3_bind_int64(st, 2, entry->utc_us);
	sqlite3_bind_int(st, 3, entry->utc_valid);
	for (int i = 0; i < (int)COUNT_OF(texts); i++)
		sqlite3_bind_text(st, 4 + i, texts[i], -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 8, entry->before, STORE_HASH, SQLITE_STATIC);
	sqlite3_bind_blob(st, 9, entry->hash, STORE_HASH, SQLITE_STATIC);
	return db_run(s, st, "store an audit entry", e);
}

static const char *text_at(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return text ? text : "";
}

/* Whoever changed the file may have left anything there. */
static void hash_at(sqlite3_stmt *st, int column, uint8_t to[STORE_HASH])
{
	const void *blob = sqlite3_column_blob(st, column);

	memset(to, 0, STORE_HASH);
	if (blob && sqlite3_column_bytes(st, column) == STORE_HASH)
		memcpy(to, blob, STORE_HASH);
}

/* Up to and with the entry at which fn ends it. */
static int read_entries(struct store *s, sqlite3_stmt *st, store_audit_fn *fn, void *arg, struct err *e)
{
	int rc;

	while ((rc = db_step(s, st, "read audit entries", e)) > 0) {
		uint8_t before[STORE_HASH], hash[STORE_HASH];
		const struct store_audit entry = {
			.seq = sqlite3_column_int64(st, 0), .utc_us = sqlite3_column_int64(st, 1),
			.utc_valid = sqlite3_column_int(st, 2), .who = text_at(st, 3), .kind = text_at(st, 4),
			.subject = text_at(st, 5), .detail = text_at(st, 6), .before = before, .hash = hash,
		};

		hash_at(st, 7, before);
		hash_at(st, 8, hash);
		if (fn(arg, &entry, e) < 0)
			return -1;
	}
	return rc;
}

static int64_t limit(size_t max)
{
	return max > INT64_MAX ? INT64_MAX : (int64_t)max;
}

int store_read_audit(struct store *s, int64_t after_seq, size_t max, store_audit_fn *fn, void *arg, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_AUDIT_AFTER, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, after_seq);
	sqlite3_bind_int64(st, 2, limit(max));
	return read_entries(s, st, fn, arg, e);
}

int store_last_audit(struct store *s, size_t max, store_audit_fn *fn, void *arg, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_AUDIT_LAST, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, limit(max));
	return read_entries(s, st, fn, arg, e);
}

/* ---- heads ---- */

static int put_head(struct store *s, const struct store_audit_head *head, struct err *e)
{
	sqlite3_stmt *certificate = db_stmt(s, S_AUDIT_CERTIFICATE_ADD, e), *st = db_stmt(s, S_AUDIT_HEAD_ADD, e);

	if (!certificate || !st)
		return -1;
	sqlite3_bind_text(certificate, 1, head->certificate, -1, SQLITE_STATIC);
	if (db_run(s, certificate, "store a certificate", e))
		return -1;
	sqlite3_bind_int64(st, 1, head->seq);
	sqlite3_bind_int64(st, 2, head->counter);
	sqlite3_bind_int64(st, 3, head->utc_us);
	sqlite3_bind_int(st, 4, head->utc_valid);
	sqlite3_bind_blob(st, 5, head->hash, STORE_HASH, SQLITE_STATIC);
	sqlite3_bind_blob(st, 6, head->signature, (int)head->signature_len, SQLITE_STATIC);
	sqlite3_bind_text(st, 7, head->certificate, -1, SQLITE_STATIC);
	return db_run(s, st, "store an audit head", e);
}

int store_put_audit_head(struct store *s, const struct store_audit_head *head, struct err *e)
{
	if (db_begin(s, e))
		return -1;
	if (put_head(s, head, e) == 0 && db_commit(s, "store an audit head", e) == 0)
		return 0;
	db_rollback(s);
	return -1;
}

int store_read_audit_heads(struct store *s, int64_t after_seq, int64_t to_seq, store_audit_head_fn *fn, void *arg,
			   struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_AUDIT_HEADS, e);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, after_seq);
	sqlite3_bind_int64(st, 2, to_seq);
	while ((rc = db_step(s, st, "read audit heads", e)) > 0) {
		uint8_t hash[STORE_HASH];
		struct store_audit_head head = {
			.seq = sqlite3_column_int64(st, 0), .counter = sqlite3_column_int64(st, 1),
			.utc_us = sqlite3_column_int64(st, 2), .utc_valid = sqlite3_column_int(st, 3),
			.hash = hash, .signature = sqlite3_column_blob(st, 5), .certificate = text_at(st, 6),
		};

		head.signature_len = (size_t)sqlite3_column_bytes(st, 5);
		hash_at(st, 4, hash);
		if (fn(arg, &head, e) < 0)
			return -1;
	}
	return rc;
}
