#include "db.h"

#include <inttypes.h>

/* "psec": PRAGMA application_id, so that file(1) and we know whose database it is. */
#define APPLICATION_ID 0x70736563

/* The whole schema, step by step: step i makes version i + 1 out of version i. A step that was released is never
 * changed.
 *
 * sample is ordered by time, so that a batch of all points is written to one or two pages, and old ones are dropped as
 * whole pages; mean is ordered by point, since a year of one point is what is read. */
static const char *const steps[] = {
	"CREATE TABLE point (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
	"CREATE TABLE sample (point_id INTEGER NOT NULL, utc_us INTEGER NOT NULL, value REAL NOT NULL,"
	" PRIMARY KEY (utc_us, point_id)) WITHOUT ROWID;"
	"CREATE TABLE mean (point_id INTEGER NOT NULL, utc_us INTEGER NOT NULL, value REAL NOT NULL,"
	" PRIMARY KEY (point_id, utc_us)) WITHOUT ROWID;"
	"CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, utc_us INTEGER NOT NULL, utc_valid INTEGER NOT NULL,"
	" severity INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, who TEXT NOT NULL);"
	"CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE mark (name TEXT PRIMARY KEY, utc_us INTEGER NOT NULL) WITHOUT ROWID;",

	/* Entries are known by their own numbers: one that is missing leaves a gap. */
	"CREATE TABLE audit (seq INTEGER PRIMARY KEY, utc_us INTEGER NOT NULL, utc_valid INTEGER NOT NULL,"
	" who TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL, before BLOB NOT NULL,"
	" hash BLOB NOT NULL);"
	"CREATE TABLE audit_certificate (id INTEGER PRIMARY KEY, pem TEXT NOT NULL UNIQUE);"
	"CREATE TABLE audit_head (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, counter INTEGER NOT NULL,"
	" utc_us INTEGER NOT NULL, utc_valid INTEGER NOT NULL, hash BLOB NOT NULL, signature BLOB NOT NULL,"
	" certificate_id INTEGER NOT NULL);"
	"CREATE INDEX audit_head_seq ON audit_head (seq);",
};

static int number(sqlite3 *db, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		*out = sqlite3_column_int64(st, 0);
		sqlite3_finalize(st);
		return 0;
	}
	sqlite3_finalize(st);
	return err_set(e, ERR_IO, 0, "%s", sqlite3_errmsg(db));
}

static int upgrade_step(sqlite3 *db, int64_t version, struct err *e)
{
	auto_free char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA application_id=%d;"
					" PRAGMA user_version=%" PRId64 "; COMMIT;",
					steps[version], APPLICATION_ID, version + 1);

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	err_set(e, ERR_IO, 0, "cannot bring the database from schema %" PRId64 " to %" PRId64 ": %s", version,
		version + 1, sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int schema_check(sqlite3 *db, const char *path, int64_t *version, struct err *e)
{
	int64_t tables, application;

	if (number(db, "PRAGMA user_version", version, e) || number(db, "PRAGMA application_id", &application, e) ||
	    number(db, "SELECT count(*) FROM sqlite_schema", &tables, e))
		return -1;
	if (tables && application != APPLICATION_ID)
		return err_set(e, ERR_INPUT, 0, "'%s' is a database of another program", path);
	if (*version < 0 || *version > (int64_t)COUNT_OF(steps))
		return err_set(e, ERR_INPUT, 0,
			       "'%s' was written by a newer psec: its schema is %" PRId64 ", this psec knows %zu", path,
			       *version, COUNT_OF(steps));
	return 0;
}

int schema_upgrade(sqlite3 *db, int64_t version, struct err *e)
{
	for (; version < (int64_t)COUNT_OF(steps); version++)
		if (upgrade_step(db, version, e))
			return -1;
	return 0;
}
