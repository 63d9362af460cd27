#include "db.h"

#include <string.h>

/* One call does one of these, and at most about this much of it: some milliseconds. */
enum { ROWS_ADDED = 20000, ROWS_DROPPED = 5000, EVENTS_DROPPED = 500 };
#define MEANS_DROPPED_US (6 * 3600 * US_PER_S)
#define GRACE_US (5 * US_PER_S) /* samples are still on their way when a quarter ends */

/* A number from a statement of one value; *found is false for NULL. */
static int one_number(struct store *s, sqlite3_stmt *st, int64_t *out, bool *found, struct err *e)
{
	int rc = db_step(s, st, "look for old samples", e);

	*found = rc > 0 && sqlite3_column_type(st, 0) != SQLITE_NULL;
	if (*found)
		*out = sqlite3_column_int64(st, 0);
	db_done(&st);
	return rc < 0 ? -1 : 0;
}

static int first_sample(struct store *s, int64_t from_us, int64_t *out, bool *found, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_SAMPLE_FIRST, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, from_us);
	return one_number(s, st, out, found, e);
}

/* ---- means: the steps return 1 when they did something, 0 when there is nothing to do ---------------------------- */

/* Add samples of the quarter to the sums; *end when there is none left. */
static int add_part(struct store *s, bool *end, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_SAMPLE_SPAN, e);
	int64_t last_us = s->work.cursor_us;
	size_t rows = 0;
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, s->work.cursor_us);
	sqlite3_bind_int64(st, 2, s->work.quarter_us + QUARTER_US);
	while ((rc = db_step(s, st, "read samples", e)) > 0) {
		int64_t id = sqlite3_column_int64(st, 0), utc_us = sqlite3_column_int64(st, 1);

		/* All of one time or none, so that a time is enough to go on from. */
		if (rows >= ROWS_ADDED && utc_us != last_us) {
			s->work.cursor_us = utc_us;
			break;
		}
		if (id < 1 || id > POINTS_MAX)
			return err_set(e, ERR_IO, 0, "cannot read samples: point %lld is not known", (long long)id);
		s->work.sums[id] += sqlite3_column_double(st, 2);
		s->work.counts[id]++;
		last_us = utc_us;
		rows++;
	}
	*end = rc == 0;
	return rc < 0 ? -1 : 0;
}

static int put_means(struct store *s, int64_t to_us, int64_t *added, struct err *e)
{
	int64_t uncounted = 0;

	for (size_t id = 1; id <= s->point_count; id++) {
		uint32_t n = s->work.counts[id];

		if (n && db_put(s, S_MEAN_ADD, S_MEAN_CHANGE, (int)id, s->work.quarter_us, s->work.sums[id] / n,
				id < s->counted.means_next ? added : &uncounted, e))
			return -1;
	}
	return mark_set(s, "means_to", to_us, e) || db_commit(s, "store means", e) ? -1 : 0;
}

static int finish_quarter(struct store *s, struct err *e)
{
	int64_t to_us = s->work.quarter_us + QUARTER_US, added = 0;

	s->work.active = false;
	if (db_begin(s, e))
		return -1;
	if (put_means(s, to_us, &added, e)) {
		db_rollback(s);
		return -1;
	}
	s->size.means += added;
	s->means_to = to_us;
	return 1;
}

static int means_step(struct store *s, int64_t now_us, struct err *e)
{
	bool found, end = false;
	int64_t first;

	if (!s->work.active) {
		if (first_sample(s, s->means_to, &first, &found, e))
			return -1;
		if (!found || quarter_of(first) + QUARTER_US + GRACE_US > now_us)
			return 0;
		if (!s->work.sums) {
			s->work.sums = xcalloc(POINTS_MAX + 1, sizeof *s->work.sums);
			s->work.counts = xcalloc(POINTS_MAX + 1, sizeof *s->work.counts);
		}
		memset(s->work.sums, 0, (POINTS_MAX + 1) * sizeof *s->work.sums);
		memset(s->work.counts, 0, (POINTS_MAX + 1) * sizeof *s->work.counts);
		s->work.active = true;
		s->work.quarter_us = s->work.cursor_us = quarter_of(first);
	}
	if (add_part(s, &end, e)) {
		s->work.active = false;
		return -1;
	}
	return end ? finish_quarter(s, e) : 1;
}

/* ---- what goes --------------------------------------------------------------------------------------------------- */

/* Drop raw samples before bound, the oldest first. */
static int drop_raw(struct store *s, int64_t bound_us, struct err *e)
{
	int64_t first, nth, dropped;
	bool found, more;
	sqlite3_stmt *st;
	int rc;

	if (first_sample(s, INT64_MIN, &first, &found, e))
		return -1;
	if (!found || first >= bound_us)
		return 0;
	st = db_stmt(s, S_SAMPLE_NTH, e);
	if (!st)
		return -1;
	/* More rows than there are points, so that the time there is a later one. */
	_Static_assert((int)ROWS_DROPPED > (int)POINTS_MAX, "a step drops at least one time");
	sqlite3_bind_int64(st, 1, INT64_MIN);
	sqlite3_bind_int(st, 2, ROWS_DROPPED);
	if (one_number(s, st, &nth, &more, e))
		return -1;
	if (more && nth < bound_us)
		bound_us = nth;
	if (db_begin(s, e))
		return -1;
	st = db_stmt(s, S_SAMPLE_DROP, e);
	if (st)
		sqlite3_bind_int64(st, 1, bound_us);
	rc = !st || db_run(s, st, "drop old samples", e) ? -1 : 0;
	dropped = sqlite3_changes(s->db);
	if (rc == 0 && bound_us > s->dropped_to && bound_us != INT64_MAX)
		rc = mark_set(s, "dropped_to", bound_us, e);
	if (rc || db_commit(s, "drop old samples", e)) {
		db_rollback(s);
		return -1;
	}
	if (bound_us <= s->counted.samples_to) {
		s->size.samples -= dropped;
	} else {
		s->size.samples = 0;
		s->counted.samples_to = bound_us;
	}
	if (bound_us > s->dropped_to && bound_us != INT64_MAX)
		s->dropped_to = bound_us;
	return 1;
}

static int oldest_mean(struct store *s, int64_t *out, struct err *e)
{
	*out = INT64_MAX;
	for (size_t id = 1; id <= s->point_count; id++) {
		sqlite3_stmt *st = db_stmt(s, S_MEAN_FIRST, e);
		int64_t first;
		bool found;

		if (!st)
			return -1;
		sqlite3_bind_int64(st, 1, (int64_t)id);
		if (one_number(s, st, &first, &found, e))
			return -1;
		if (found && first < *out)
			*out = first;
	}
	return 0;
}

static int drop_means_before(struct store *s, int64_t bound_us, struct err *e)
{
	for (size_t id = 1; id <= s->point_count; id++) {
		sqlite3_stmt *st = db_stmt(s, S_MEAN_DROP, e);

		if (!st)
			return -1;
		sqlite3_bind_int64(st, 1, (int64_t)id);
		sqlite3_bind_int64(st, 2, bound_us);
		if (db_run(s, st, "drop old means", e))
			return -1;
		if (id < s->counted.means_next)
			s->size.means -= sqlite3_changes(s->db);
	}
	return db_commit(s, "drop old means", e);
}

/* Drop means before bound, at most six hours of them, the oldest first. */
static int drop_means(struct store *s, int64_t bound_us, struct err *e)
{
	int64_t oldest;

	if (oldest_mean(s, &oldest, e))
		return -1;
	if (oldest >= bound_us)
		return 0;
	if (oldest + MEANS_DROPPED_US < bound_us)
		bound_us = oldest + MEANS_DROPPED_US;
	if (db_begin(s, e))
		return -1;
	if (drop_means_before(s, bound_us, e)) {
		db_rollback(s);
		count_forget(s);
		return -1;
	}
	return 1;
}

static int drop_events(struct store *s, int64_t bound_us, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_EVENT_FIRST, e);
	int64_t id, utc_us;
	int rc;

	if (!st)
		return -1;
	rc = db_step(s, st, "look for old events", e);
	id = rc > 0 ? sqlite3_column_int64(st, 0) : 0;
	utc_us = rc > 0 ? sqlite3_column_int64(st, 1) : 0;
	db_done(&st);
	if (rc < 0)
		return -1;
	if (rc == 0 || utc_us >= bound_us)
		return 0;
	st = db_stmt(s, S_EVENT_DROP, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, id + EVENTS_DROPPED - 1);
	sqlite3_bind_int64(st, 2, bound_us);
	if (db_run(s, st, "drop old events", e))
		return -1;
	if (s->counted.events)
		s->size.events -= sqlite3_changes(s->db);
	return 1;
}

static int drop_by_age(struct store *s, int64_t now_us, struct err *e)
{
	int64_t raw_us = quarter_of(now_us - s->limits.raw_keep_us);
	int64_t means_us = quarter_of(now_us - s->limits.mean_keep_us);
	int rc = drop_raw(s, raw_us < s->means_to ? raw_us : s->means_to, e);

	if (rc == 0 && means_us > s->means_kept_from) {
		rc = drop_means(s, means_us, e);
		if (rc == 0)
			s->means_kept_from = means_us;
	}
	return rc == 0 ? drop_events(s, means_us, e) : rc;
}

struct pages {
	int64_t count, free, size;
};

static int read_pages(struct store *s, struct pages *p, struct err *e)
{
	auto_stmt sqlite3_stmt *st = db_stmt(s, S_PAGES, e);

	if (!st || db_step(s, st, "look at the file's size", e) < 0)
		return -1;
	p->count = sqlite3_column_int64(st, 0);
	p->free = sqlite3_column_int64(st, 1);
	p->size = sqlite3_column_int64(st, 2);
	return 0;
}

/* Give free pages back to the disk: when the file is over its budget, or when it is mostly holes. In between they are
 * kept for the samples to come. */
static int shrink(struct store *s, const struct pages *p, struct err *e)
{
	struct pages after;
	sqlite3_stmt *st;
	int rc;

	if (!p->free || (p->count * p->size <= s->limits.budget_bytes && (p->free < 2048 || p->free < p->count / 2)))
		return 0;
	st = db_stmt(s, S_VACUUM, e);
	if (!st)
		return -1;
	while ((rc = db_step(s, st, "give room back", e)) > 0)
		;
	db_done(&st);
	if (rc < 0 || read_pages(s, &after, e))
		return -1;
	return after.count < p->count;
}

static int keep_budget(struct store *s, struct err *e)
{
	struct pages p;
	int rc;

	if (read_pages(s, &p, e))
		return -1;
	if ((p.count - p.free) * p.size > s->limits.budget_bytes) {
		rc = drop_raw(s, INT64_MAX, e);
		if (rc == 0)
			rc = drop_means(s, INT64_MAX, e);
		if (rc)
			return rc;
	}
	return shrink(s, &p, e);
}

int store_tidy(struct store *s, const struct now *now, bool *more, struct err *e)
{
	int64_t utc_us;
	int rc = 0;

	*more = false;
	/* Without a clock, no age can be told. */
	if (now->utc_valid) {
		rc = clock_believed(s, now, &utc_us, e);
		if (rc == 0)
			rc = means_step(s, utc_us, e);
		if (rc == 0)
			rc = drop_by_age(s, utc_us, e);
	}
	if (rc == 0)
		rc = keep_budget(s, e);
	if (rc == 0)
		rc = count_step(s, e);
	*more = rc > 0;
	return rc < 0 ? -1 : 0;
}
