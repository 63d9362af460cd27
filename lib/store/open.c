#include "db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKED_ALWAYS = 16 << 20 }; /* a database up to this size is looked through at each start: some 30 ms */
enum { BROKEN_KEPT = 2 };

/* ---- the lock: a file beside the database that names its holder -------------------------------------------------- */

static int lock(const char *path, struct err *e)
{
	auto_free char *name = xasprintf("%s-lock", path);
	auto_close int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	char text[24] = "";
	ssize_t n;

	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_set(e, ERR_IO, errno, "cannot lock '%s'", name);
		n = pread(fd, text, sizeof text - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strspn(text, "0123456789")] = '\0';
		return err_set(e, ERR_AGAIN, 0, "'%s' is in use by %s%s", path,
			       *text ? "process " : "another process", text);
	}
	snprintf(text, sizeof text, "%ld\n", (long)getpid());
	/* The lock holds without the pid, and a full disk must not keep psecd from starting. */
	if (ftruncate(fd, 0) < 0 || (pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text) && errno != ENOSPC))
		return err_set(e, ERR_IO, errno, "cannot write '%s'", name);
	return take_fd(&fd);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool is_damage(int rc)
{
	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

static int open_failed(struct store *s, bool *damaged, struct err *e)
{
	*damaged = is_damage(sqlite3_errcode(s->db));
	return err_set(e, ERR_IO, 0, "cannot open '%s': %s", s->path, sqlite3_errmsg(s->db));
}

/* Before the first look: small, and in need of no other file than database and log (psecd promises little memory, and
 * core is jailed). SQLite's own lock is held for good, which also keeps the log's index out of a shared file. */
static const char careful[] =
	"PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-256; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
	"PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;";
/* Only before the first table is made has it an effect; later it would still write, which a full disk refuses. */
static const char fresh[] = "PRAGMA auto_vacuum=INCREMENTAL;";
/* Once it is known to be ours. synchronous=FULL: what was accepted is on the disk, not on its way there. */
static const char ours[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=400;"
	"PRAGMA journal_size_limit=4194304;";

static int quick_check(struct store *s, bool *damaged, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc;

	if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK)
		return open_failed(s, damaged, e);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW) {
		sqlite3_finalize(st);
		return open_failed(s, damaged, e);
	}
	if (!str_eq((const char *)sqlite3_column_text(st, 0), "ok")) {
		*damaged = true;
		err_set(e, ERR_IO, 0, "'%s' is damaged: %s", s->path, (const char *)sqlite3_column_text(st, 0));
	}
	sqlite3_finalize(st);
	return *damaged ? -1 : 0;
}

/* *damaged: the file itself is broken, so that a new one may begin. */
static int open_once(struct store *s, bool *damaged, struct err *e)
{
	auto_free char *suspect = xasprintf("%s-suspect", s->path);
	struct stat st;
	int64_t version;
	auto_close int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	*damaged = false;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", s->path);
	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, db_vfs()) != SQLITE_OK)
		return open_failed(s, damaged, e);
	sqlite3_extended_result_codes(s->db, 0);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(s->db, careful, NULL, NULL, NULL) != SQLITE_OK)
		return open_failed(s, damaged, e);
	if ((st.st_size <= CHECKED_ALWAYS || access(suspect, F_OK) == 0) && quick_check(s, damaged, e))
		return -1;
	if (schema_check(s->db, s->path, &version, e)) {
		*damaged = is_damage(sqlite3_errcode(s->db));
		return -1;
	}
	if (version == 0 && sqlite3_exec(s->db, fresh, NULL, NULL, NULL) != SQLITE_OK)
		return open_failed(s, damaged, e);
	if (sqlite3_exec(s->db, ours, NULL, NULL, NULL) != SQLITE_OK)
		return open_failed(s, damaged, e);
	if (schema_upgrade(s->db, version, e) || points_load(s, e) || marks_load(s, e)) {
		*damaged = is_damage(sqlite3_errcode(s->db));
		return -1;
	}
	unlink(suspect);
	return 0;
}

static void close_db(struct store *s)
{
	for (size_t i = 0; i < S_COUNT; i++) {
		sqlite3_finalize(s->stmts[i]);
		s->stmts[i] = NULL;
	}
	sqlite3_close(s->db);
	s->db = NULL;
	points_free(s);
}

static int is_broken(const struct dirent *d)
{
	return strstr(d->d_name, ".broken-") != NULL && str_eq(d->d_name + strlen(d->d_name) - 1, "Z");
}

/* A disk that breaks one database after the other must not be filled with them: the newest stay. */
static void drop_old_broken(const struct store *s)
{
	const char *slash = strrchr(s->path, '/'), *name = slash ? slash + 1 : s->path;
	auto_free char *folder = slash ? xasprintf("%.*s", (int)(slash - s->path + 1), s->path) : xstrdup("./");
	struct dirent **found = NULL;
	int n = scandir(folder, &found, is_broken, alphasort);

	for (int i = 0, left = n; i < n; i++, free(found[i - 1])) {
		auto_free char *file = xasprintf("%s%s", folder, found[i]->d_name), *log = xasprintf("%s-wal", file);

		if (!str_starts(found[i]->d_name, name) || left-- <= BROKEN_KEPT - 1)
			continue;
		unlink(file);
		unlink(log);
	}
	free(found);
}

/* Out of the way with its log, under a name that sqlite3 can still open. */
static int set_aside(struct store *s, struct err *e)
{
	static const char *const parts[] = { "", "-wal" };
	char time[BASE_TIME_LEN];
	auto_free char *aside = NULL;

	drop_old_broken(s);
	time_format(now_read().utc_us, time);
	aside = xasprintf("%s.broken-%s", s->path, time);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		auto_free char *from = xasprintf("%s%s", s->path, parts[i]), *to = xasprintf("%s%s", aside, parts[i]);

		if (rename(from, to) < 0 && errno != ENOENT)
			return err_set(e, ERR_IO, errno, "cannot set the broken '%s' aside", from);
	}
	return 0;
}

/* The broken file is closed after it has its new name, and untouched: nothing of it is lost to who looks into it. */
static int begin_anew(struct store *s, struct err *e)
{
	bool damaged;

	if (set_aside(s, e))
		return -1;
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	close_db(s);
	return open_once(s, &damaged, e);
}

static struct store_limits limits_or_defaults(const struct store_limits *given)
{
	struct store_limits l = given ? *given : (struct store_limits){ 0 };

	if (!l.raw_keep_us)
		l.raw_keep_us = 14 * 86400 * US_PER_S;
	if (!l.mean_keep_us)
		l.mean_keep_us = 400 * 86400 * US_PER_S;
	if (!l.budget_bytes)
		l.budget_bytes = 1000000000;
	return l;
}

static bool is_full(const struct store *s, const struct err *e)
{
	int errnum = e->errnum ? e->errnum : s->db ? sqlite3_system_errno(s->db) : 0;

	return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ||
	       (s->db && sqlite3_errcode(s->db) == SQLITE_FULL);
}

int store_open(const char *path, const struct store_limits *limits, struct store **out, bool *recovered, struct err *e)
{
	struct store *s;
	bool damaged;
	int fd = lock(path, e);

	*recovered = false;
	if (fd < 0)
		return -1;
	/* Counts nothing and takes no lock for it; only before SQLite's first use, refused and harmless later. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	s = xcalloc(1, sizeof *s);
	s->path = xstrdup(path);
	s->limits = limits_or_defaults(limits);
	s->lock_fd = fd;
	count_forget(s);
	if (open_once(s, &damaged, e) == 0) {
		*out = s;
		return 0;
	}
	if (damaged && begin_anew(s, e) == 0) {
		*recovered = true;
		*out = s;
		return 0;
	}
	if (is_full(s, e)) {
		const struct err full = *e;

		err_set(e, ERR_IO, 0, "%s; make room on the disk that holds '%s'", full.text, path);
	}
	store_close(s);
	return -1;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	close_db(s);
	free(s->work.sums);
	free(s->work.counts);
	free(s->path);
	close(s->lock_fd);
	free(s);
}
