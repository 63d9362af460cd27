/* The open database behind store.h, seen inside the room only. */
#ifndef PSEC_STORE_DB_H
#define PSEC_STORE_DB_H

#include <sqlite3.h>

#include "store/store.h"

#define QUARTER_US (900 * US_PER_S)
enum { POINTS_MAX = 4096, POINT_NAME_MAX = 128 };

/* One prepared statement each, made when first used (statements in db.c). */
enum stmt {
	S_BEGIN, S_COMMIT, S_ROLLBACK,
	S_POINTS, S_POINT_ADD, S_MARKS, S_MARK_SET,
	S_SAMPLE_ADD, S_SAMPLE_CHANGE, S_SAMPLE_FIRST, S_SAMPLE_NTH, S_SAMPLE_DROP, S_SAMPLE_COUNT,
	S_SAMPLE_ALL, S_SAMPLE_POINT, S_SAMPLE_SPAN,
	S_MEAN_ADD, S_MEAN_CHANGE, S_MEAN_FIRST, S_MEAN_DROP, S_MEAN_COUNT, S_MEAN_ALL, S_MEAN_POINT,
	S_EVENT_ADD, S_EVENT_AFTER, S_EVENT_LAST, S_EVENT_FIRST, S_EVENT_DROP, S_EVENT_COUNT,
	S_SETTING_PUT, S_SETTING_GET,
	S_AUDIT_ADD, S_AUDIT_AFTER, S_AUDIT_LAST, S_AUDIT_CERTIFICATE_ADD, S_AUDIT_HEAD_ADD, S_AUDIT_HEADS,
	S_PAGES, S_VACUUM,
	S_COUNT,
};

struct store {
	char *path;
	struct store_limits limits;
	int lock_fd;
	sqlite3 *db;
	sqlite3_stmt *stmts[S_COUNT];
	bool joined;                           /* between store_begin and its end */

	/* Points by their id (names[1] is the first one), and a table from hash to id. */
	char **names;
	size_t point_count;
	uint16_t *slots;

	/* Quarters that end before means_to have their means; raw samples before dropped_to are gone. INT64_MIN:
	 * none. */
	int64_t means_to, dropped_to;
	/* The quarter whose mean is being made, a part a call. */
	struct {
		bool active;
		int64_t quarter_us, cursor_us; /* the next sample to add is not before cursor_us */
		double *sums;                  /* by point id */
		uint32_t *counts;
	} work;
	int64_t means_kept_from;               /* older means are known to be gone */

	/* clock.c: the time that was last believed, in both clocks; a jump that is not yet. */
	struct {
		bool runs, jumped;
		int64_t utc_us, marked_us;     /* INT64_MIN: never */
		int64_t boot_us, jump_offset_us, jump_boot_us;
	} clock;

	struct store_size size;                /* of what is counted */
	struct counted {
		int64_t samples_to;            /* samples before it; INT64_MAX: all */
		size_t means_next;             /* means of points before it; SIZE_MAX: all */
		bool events;
	} counted;
};

/* vfs.c: the name of the file layer that leaves a relative path relative; NULL: SQLite's own. */
const char *db_vfs(void);
/* The statement, ready to bind and step; NULL with *e when it cannot be prepared. */
sqlite3_stmt *db_stmt(struct store *s, enum stmt which, struct err *e);
/* Step to the end of a statement that gives no row; reset. */
must_check int db_run(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e);
/* One step: 1 a row, 0 the end, -1. Reset by the caller (db_done) unless -1. */
must_check int db_step(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e);
void db_done(sqlite3_stmt **st);
#define auto_stmt __attribute__((cleanup(db_done)))
/* What SQLite said, as *e; a damaged file is remembered for the next store_open. Returns -1. */
int db_fail(struct store *s, const char *doing, struct err *e);

/* Put a value of a point at a time with the statement add, or change it when it is there; counts up *added. */
must_check int db_put(struct store *s, enum stmt add, enum stmt change, int id, int64_t utc_us, double value,
		      int64_t *added, struct err *e);

must_check int db_begin(struct store *s, struct err *e);
must_check int db_commit(struct store *s, const char *doing, struct err *e);
void db_rollback(struct store *s);

/* 0 and *version; ERR_INPUT for a newer or a foreign database, which is left as it is. */
must_check int schema_check(sqlite3 *db, const char *path, int64_t *version, struct err *e);
/* Bring a database of any older schema to this one's. */
must_check int schema_upgrade(sqlite3 *db, int64_t version, struct err *e);

/* Load what a store keeps in memory. */
must_check int points_load(struct store *s, struct err *e);
void points_free(struct store *s);
/* The id of name, 0 when there is none. */
int point_find(const struct store *s, const char *name);
/* Forget the points after the first count (their transaction was rolled back). */
void points_cut(struct store *s, size_t count);
/* The id of name, made when new, inside a transaction; -1 with *e. */
int point_intern(struct store *s, const char *name, struct err *e);

must_check int mark_set(struct store *s, const char *name, int64_t utc_us, struct err *e);
must_check int marks_load(struct store *s, struct err *e);

/* The time by which ages are told: now's, or without the jump that it made. */
must_check int clock_believed(struct store *s, const struct now *now, int64_t *utc_us, struct err *e);

/* Count a part of what is not counted: 1; 0 when all is. */
must_check int count_step(struct store *s, struct err *e);
void count_forget(struct store *s);

static inline int64_t quarter_of(int64_t utc_us)
{
	int64_t into = utc_us % QUARTER_US;

	return utc_us - (into < 0 ? into + QUARTER_US : into);
}

#endif
