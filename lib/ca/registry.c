/* ca.db. It has another law than psec.db: many may write at once, and a broken one is never begun anew: who has what
 * certificate cannot be found out again. So SQLite is met here, too, and not through the room store. A journal that is
 * rolled back, not a log with shared memory, so that the folder can lie on a share of two stations. */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "psca": PRAGMA application_id. */
#define APPLICATION_ID 0x70736361
enum { BUSY_MS = 20000, CHECKED_ALWAYS = 8 << 20 };

/* The schema, step by step, as in the room store: a step that was released is never changed. */
static const char *const steps[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE authority (generation INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, pem TEXT NOT NULL,"
	" made_us INTEGER NOT NULL, not_after_us INTEGER NOT NULL);"
	"CREATE TABLE board (serial TEXT PRIMARY KEY, ek TEXT UNIQUE, ek_checked INTEGER NOT NULL DEFAULT 0,"
	" state TEXT NOT NULL, changed_us INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',"
	" who TEXT NOT NULL DEFAULT '') WITHOUT ROWID;"
	"CREATE TABLE prefix (prefix TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE certificate (id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, generation INTEGER,"
	" request TEXT NOT NULL, serial TEXT NOT NULL REFERENCES board (serial), site TEXT, profile TEXT NOT NULL,"
	" fingerprint TEXT NOT NULL, pem TEXT NOT NULL, ek_checked INTEGER NOT NULL, not_before_us INTEGER NOT NULL,"
	" not_after_us INTEGER NOT NULL, revoked_us INTEGER, reason INTEGER, who TEXT);"
	"CREATE INDEX certificate_serial ON certificate (serial);"
	"CREATE INDEX certificate_site ON certificate (site);"
	"CREATE INDEX certificate_request ON certificate (request);"
	"CREATE INDEX certificate_revoked ON certificate (generation) WHERE revoked_us IS NOT NULL;"
	"CREATE TABLE challenge (request TEXT PRIMARY KEY, document TEXT NOT NULL, proof TEXT NOT NULL,"
	" made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE policy (serial TEXT NOT NULL, slot INTEGER NOT NULL, digest TEXT NOT NULL, signature BLOB NOT NULL,"
	" made_us INTEGER NOT NULL, PRIMARY KEY (serial, slot)) WITHOUT ROWID;"
	"CREATE TABLE handover (site TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, utc_us INTEGER NOT NULL,"
	" document TEXT NOT NULL, PRIMARY KEY (site, old, new)) WITHOUT ROWID;"
	"CREATE TABLE act (id INTEGER PRIMARY KEY AUTOINCREMENT, utc_us INTEGER NOT NULL, kind TEXT NOT NULL,"
	" subject TEXT NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL);",

	"ALTER TABLE board ADD COLUMN iak TEXT;"
	"CREATE UNIQUE INDEX board_iak ON board (iak);",
};

int registry_fail(sqlite3 *db, const char *doing, struct err *e)
{
	int rc = sqlite3_errcode(db) & 0xff;
	const char *path = sqlite3_db_filename(db, NULL);

	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return err_set(e, ERR_AGAIN, 0, "cannot %s: another psec has held '%s' for %d s", doing, path,
			       BUSY_MS / 1000);
	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
		return err_set(e, ERR_INPUT, 0, "cannot %s: '%s' is damaged (%s); `psec provision ca restore` makes "
						"the CA from a backup", doing, path, sqlite3_errmsg(db));
	return err_set(e, rc == SQLITE_MISUSE || rc == SQLITE_CONSTRAINT || rc == SQLITE_ERROR ? ERR_BUG : ERR_IO,
		       rc == SQLITE_IOERR || rc == SQLITE_FULL ? sqlite3_system_errno(db) : 0, "cannot %s: %s", doing,
		       sqlite3_errmsg(db));
}

/* ---- statements ---- */

static int bind(sqlite3_stmt *st, const char *types, va_list ap)
{
	int rc = SQLITE_OK;

	for (int i = 1; types[i - 1] && rc == SQLITE_OK; i++) {
		if (types[i - 1] == 't') {
			rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		} else if (types[i - 1] == 'i') {
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
		} else {
			const void *data = va_arg(ap, const void *);

			rc = sqlite3_bind_blob64(st, i, data, va_arg(ap, size_t), SQLITE_TRANSIENT);
		}
	}
	return rc;
}

static int begin_row(struct ca *c, sqlite3_stmt **st, struct err *e, const char *sql, const char *types, va_list ap)
{
	*st = NULL;
	if (sqlite3_prepare_v2(c->db, sql, -1, st, NULL) != SQLITE_OK || bind(*st, types, ap) != SQLITE_OK)
		return registry_fail(c->db, "read the registry", e);
	return registry_next(c, *st, e);
}

int registry_next(struct ca *c, sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return rc == SQLITE_ROW;
	return registry_fail(c->db, sqlite3_stmt_readonly(st) ? "read the registry" : "write the registry", e);
}

void registry_row_free(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}

int registry_row(struct ca *c, sqlite3_stmt **st, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;
	int rc;

	va_start(ap, types);
	rc = begin_row(c, st, e, sql, types, ap);
	va_end(ap);
	return rc;
}

int registry_run(struct ca *c, struct err *e, const char *sql, const char *types, ...)
{
	auto_row sqlite3_stmt *st = NULL;
	va_list ap;
	int rc;

	va_start(ap, types);
	rc = begin_row(c, &st, e, sql, types, ap);
	va_end(ap);
	return rc < 0 ? -1 : 0;
}

const char *row_text(sqlite3_stmt *st, int column)
{
	const char *s = (const char *)sqlite3_column_text(st, column);

	return s ? s : "";
}

/* ---- transactions ---- */

int registry_change(struct ca *c, change_fn *fn, void *arg, struct err *e)
{
	if (sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return registry_fail(c->db, "begin to write the registry", e);
	if (fn(c, arg, e) == 0) {
		if (sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
			return 0;
		registry_fail(c->db, "write the registry", e);
	}
	if (!sqlite3_get_autocommit(c->db))
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int registry_act(struct ca *c, int64_t utc_us, const char *kind, const char *subject, const char *reason,
		 const char *who, struct err *e)
{
	return registry_run(c, e, "INSERT INTO act (utc_us, kind, subject, reason, who) VALUES (?, ?, ?, ?, ?)", "itttt",
			    utc_us, kind, subject, reason, who);
}

int meta_get(struct ca *c, const char *key, char **value, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT value FROM meta WHERE key = ?", "t", key);

	if (rc < 0)
		return -1;
	*value = xstrdup(rc ? row_text(st, 0) : "");
	return 0;
}

int meta_put(struct ca *c, const char *key, const char *value, struct err *e)
{
	return registry_run(c, e, "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", "tt", key, value);
}

/* ---- opening ---- */

/* synchronous=EXTRA: a commit is on the disk, the journal's end with it. */
static const char careful[] =
	"PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
	"PRAGMA foreign_keys=ON; PRAGMA synchronous=EXTRA; PRAGMA journal_mode=DELETE;";

static int number(sqlite3 *db, const char *sql, int64_t *out, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW)
		return registry_fail(db, "open the registry", e);
	*out = sqlite3_column_int64(st, 0);
	return 0;
}

static int look_through(sqlite3 *db, const char *path, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	struct stat info;

	if (stat(path, &info) < 0 || info.st_size > CHECKED_ALWAYS)
		return 0;
	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW)
		return registry_fail(db, "open the registry", e);
	if (str_eq(row_text(st, 0), "ok"))
		return 0;
	return err_set(e, ERR_INPUT, 0, "'%s' is damaged (%.100s); `psec provision ca restore` makes the CA from a backup",
		       path, row_text(st, 0));
}

static int upgrade(sqlite3 *db, int64_t version, struct err *e)
{
	for (; version < (int64_t)COUNT_OF(steps); version++) {
		auto_free char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA application_id=%d;"
						" PRAGMA user_version=%" PRId64 "; COMMIT;",
						steps[version], APPLICATION_ID, version + 1);

		if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
			registry_fail(db, "bring the registry to this psec's schema", e);
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
			return -1;
		}
	}
	return 0;
}

static int prepare(sqlite3 *db, const char *path, bool fresh, struct err *e)
{
	int64_t version, application;

	sqlite3_busy_timeout(db, BUSY_MS);
	sqlite3_extended_result_codes(db, 0);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(db, careful, NULL, NULL, NULL) != SQLITE_OK)
		return registry_fail(db, "open the registry", e);
	if (look_through(db, path, e) || number(db, "PRAGMA user_version", &version, e) ||
	    number(db, "PRAGMA application_id", &application, e))
		return -1;
	if (!fresh && application != APPLICATION_ID)
		return err_set(e, ERR_INPUT, 0, "'%s' is a database of another program", path);
	if (version < 0 || version > (int64_t)COUNT_OF(steps))
		return err_set(e, ERR_INPUT, 0,
			       "'%s' was written by a newer psec: its schema is %" PRId64 ", this psec knows %zu", path,
			       version, COUNT_OF(steps));
	return upgrade(db, version, e);
}

static int open_db(const char *path, bool fresh, sqlite3 **out, struct err *e)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		err_set(e, ERR_IO, 0, "cannot open '%s': %s", path, sqlite3_errmsg(db));
		sqlite3_close(db);
		return -1;
	}
	if (prepare(db, path, fresh, e)) {
		sqlite3_close(db);
		return -1;
	}
	*out = db;
	return 0;
}

int registry_make(const char *path, sqlite3 **out, struct err *e)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot make '%s'", path);
	return open_db(path, true, out, e);
}

int registry_open(const char *path, sqlite3 **out, struct err *e)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return err_set(e, errno == ENOENT || errno == ENOTDIR ? ERR_INPUT : ERR_IO, errno, "cannot open '%s'",
			       path);
	return open_db(path, false, out, e);
}
