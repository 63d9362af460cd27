#include "db.h"

#include <fcntl.h>
#include <unistd.h>

static const char *const sql[S_COUNT] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",

	[S_POINTS] = "SELECT id, name FROM point ORDER BY id",
	[S_POINT_ADD] = "INSERT INTO point (id, name) VALUES (?, ?)",
	[S_MARKS] = "SELECT name, utc_us FROM mark",
	[S_MARK_SET] = "INSERT OR REPLACE INTO mark (name, utc_us) VALUES (?, ?)",

	[S_SAMPLE_ADD] = "INSERT OR IGNORE INTO sample (point_id, utc_us, value) VALUES (?, ?, ?)",
	[S_SAMPLE_CHANGE] = "UPDATE sample SET value = ?3 WHERE point_id = ?1 AND utc_us = ?2",
	[S_SAMPLE_FIRST] = "SELECT min(utc_us) FROM sample WHERE utc_us >= ?",
	[S_SAMPLE_NTH] = "SELECT utc_us FROM sample WHERE utc_us >= ? ORDER BY utc_us, point_id LIMIT 1 OFFSET ?",
	[S_SAMPLE_DROP] = "DELETE FROM sample WHERE utc_us < ?",
	[S_SAMPLE_COUNT] = "SELECT count(*) FROM sample WHERE utc_us >= ? AND utc_us < ?",
	[S_SAMPLE_ALL] = "SELECT point_id, utc_us, value FROM sample WHERE utc_us >= ?1 AND utc_us < ?2"
			 " ORDER BY utc_us, point_id LIMIT ?3",
	[S_SAMPLE_POINT] = "SELECT point_id, utc_us, value FROM sample WHERE utc_us >= ?1 AND utc_us < ?2"
			   " AND point_id = ?4 ORDER BY utc_us LIMIT ?3",
	[S_SAMPLE_SPAN] = "SELECT point_id, utc_us, value FROM sample WHERE utc_us >= ? AND utc_us < ? ORDER BY utc_us",

	[S_MEAN_ADD] = "INSERT OR IGNORE INTO mean (point_id, utc_us, value) VALUES (?, ?, ?)",
	[S_MEAN_CHANGE] = "UPDATE mean SET value = ?3 WHERE point_id = ?1 AND utc_us = ?2",
	[S_MEAN_FIRST] = "SELECT min(utc_us) FROM mean WHERE point_id = ?",
	[S_MEAN_DROP] = "DELETE FROM mean WHERE point_id = ? AND utc_us < ?",
	[S_MEAN_COUNT] = "SELECT count(*) FROM mean WHERE point_id = ?",
	[S_MEAN_ALL] = "SELECT point_id, utc_us, value FROM mean WHERE utc_us >= ?1 AND utc_us < ?2"
		       " ORDER BY utc_us, point_id LIMIT ?3",
	[S_MEAN_POINT] = "SELECT point_id, utc_us, value FROM mean WHERE utc_us >= ?1 AND utc_us < ?2 AND point_id = ?4"
			 " ORDER BY utc_us LIMIT ?3",

	[S_EVENT_ADD] = "INSERT INTO event (utc_us, utc_valid, severity, kind, subject, text, who)"
			" VALUES (?, ?, ?, ?, ?, ?, ?)",
	[S_EVENT_AFTER] = "SELECT id, utc_us, utc_valid, severity, kind, subject, text, who FROM event WHERE id > ?"
			  " ORDER BY id LIMIT ?",
	[S_EVENT_LAST] = "SELECT * FROM (SELECT id, utc_us, utc_valid, severity, kind, subject, text, who FROM event"
			 " ORDER BY id DESC LIMIT ?) ORDER BY id",
	[S_EVENT_FIRST] = "SELECT id, utc_us FROM event WHERE utc_valid ORDER BY id LIMIT 1",
	[S_EVENT_DROP] = "DELETE FROM event WHERE id <= ? AND utc_us < ?",
	[S_EVENT_COUNT] = "SELECT count(*) FROM event",

	[S_SETTING_PUT] = "INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)",
	[S_SETTING_GET] = "SELECT value FROM setting WHERE key = ?",

	[S_AUDIT_ADD] = "INSERT INTO audit (seq, utc_us, utc_valid, who, kind, subject, detail, before, hash)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[S_AUDIT_AFTER] = "SELECT seq, utc_us, utc_valid, who, kind, subject, detail, before, hash FROM audit"
			  " WHERE seq > ? ORDER BY seq LIMIT ?",
	[S_AUDIT_LAST] = "SELECT * FROM (SELECT seq, utc_us, utc_valid, who, kind, subject, detail, before, hash"
			 " FROM audit ORDER BY seq DESC LIMIT ?) ORDER BY seq",
	[S_AUDIT_CERTIFICATE_ADD] = "INSERT OR IGNORE INTO audit_certificate (pem) VALUES (?)",
	[S_AUDIT_HEAD_ADD] = "INSERT INTO audit_head (seq, counter, utc_us, utc_valid, hash, signature, certificate_id)"
			     " VALUES (?, ?, ?, ?, ?, ?, (SELECT id FROM audit_certificate WHERE pem = ?))",
	[S_AUDIT_HEADS] = "SELECT seq, counter, utc_us, utc_valid, hash, signature, pem FROM audit_head LEFT JOIN"
			  " audit_certificate c ON c.id = certificate_id WHERE seq > ? AND seq <= ?"
			  " ORDER BY seq, audit_head.id",

	[S_PAGES] = "SELECT page_count, freelist_count, page_size FROM pragma_page_count(), pragma_freelist_count(),"
		    " pragma_page_size()",
	[S_VACUUM] = "PRAGMA incremental_vacuum(512)",
};

int db_fail(struct store *s, const char *doing, struct err *e)
{
	int rc = sqlite3_errcode(s->db);
	enum err_kind kind = rc == SQLITE_BUSY || rc == SQLITE_LOCKED ? ERR_AGAIN :
			     rc == SQLITE_MISUSE || rc == SQLITE_CONSTRAINT || rc == SQLITE_ERROR ? ERR_BUG : ERR_IO;

	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB) {
		/* The next start looks at the whole file and sets it aside; here it cannot be closed under its user. */
		auto_free char *suspect = xasprintf("%s-suspect", s->path);
		auto_close int fd = open(suspect, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	}
	return err_set(e, kind, rc == SQLITE_IOERR ? sqlite3_system_errno(s->db) : 0, "cannot %s: %s", doing,
		       sqlite3_errmsg(s->db));
}

sqlite3_stmt *db_stmt(struct store *s, enum stmt which, struct err *e)
{
	sqlite3_stmt **st = &s->stmts[which];

	if (!*st && sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
		db_fail(s, "prepare a statement", e);
	return *st;
}

void db_done(sqlite3_stmt **st)
{
	if (!*st)
		return;
	sqlite3_reset(*st);
	sqlite3_clear_bindings(*st);
}

int db_step(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return rc == SQLITE_ROW;
	return db_fail(s, doing, e);
}

int db_run(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e)
{
	int rc = db_step(s, st, doing, e);

	db_done(&st);
	return rc < 0 ? -1 : 0;
}

int db_put(struct store *s, enum stmt add, enum stmt change, int id, int64_t utc_us, double value, int64_t *added,
	   struct err *e)
{
	const enum stmt turns[] = { add, change };

	for (size_t i = 0; i < COUNT_OF(turns); i++) {
		sqlite3_stmt *st = db_stmt(s, turns[i], e);

		if (!st)
			return -1;
		sqlite3_bind_int(st, 1, id);
		sqlite3_bind_int64(st, 2, utc_us);
		sqlite3_bind_double(st, 3, value);
		if (db_run(s, st, "store a value", e))
			return -1;
		if (sqlite3_changes(s->db)) {
			*added += i == 0;
			return 0;
		}
	}
	return err_set(e, ERR_BUG, 0, "a value of point %d was neither added nor changed", id);
}

int db_begin(struct store *s, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_BEGIN, e);

	return st ? db_run(s, st, "begin to write", e) : -1;
}

void db_rollback(struct store *s)
{
	struct err ignored;
	sqlite3_stmt *st = db_stmt(s, S_ROLLBACK, &ignored);

	/* SQLite may have rolled back by itself (a full disk). */
	if (st && !sqlite3_get_autocommit(s->db))
		(void)!db_run(s, st, "roll back", &ignored);
}

int db_commit(struct store *s, const char *doing, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_COMMIT, e);

	return st ? db_run(s, st, doing, e) : -1;
}
