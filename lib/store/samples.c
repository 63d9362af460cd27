#include "db.h"

#include <math.h>

/* The same point at the same time again (a clock that was set back): the later word counts. */
static int put_one(struct store *s, const struct store_sample *x, int64_t *added, struct err *e)
{
	int64_t uncounted = 0;
	int id;

	if (!isfinite(x->value))
		return err_set(e, ERR_INPUT, 0, "point '%.128s' has no finite value", x->point);
	id = point_intern(s, x->point, e);
	return id < 0 ? -1 : db_put(s, S_SAMPLE_ADD, S_SAMPLE_CHANGE, id, x->utc_us, x->value,
				    x->utc_us < s->counted.samples_to ? added : &uncounted, e);
}

/* A sample that comes late makes its quarter's mean wrong: have it made again, unless raw samples of that quarter are
 * gone. */
static int64_t means_still_right_to(const struct store *s, const struct store_sample *samples, size_t count)
{
	int64_t to = s->means_to;

	for (size_t i = 0; i < count; i++) {
		int64_t quarter = quarter_of(samples[i].utc_us);

		if (quarter < to && quarter >= s->dropped_to)
			to = quarter;
	}
	return to;
}

static int put_all(struct store *s, const struct store_sample *samples, size_t count, int64_t means_to, int64_t *added,
		   struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (put_one(s, &samples[i], added, e))
			return -1;
	if (means_to != s->means_to && mark_set(s, "means_to", means_to, e))
		return -1;
	return db_commit(s, "store samples", e);
}

int store_put_samples(struct store *s, const struct store_sample *samples, size_t count, struct err *e)
{
	int64_t means_to = means_still_right_to(s, samples, count), added = 0;
	size_t points = s->point_count;

	if (!count)
		return 0;
	if (db_begin(s, e))
		return -1;
	if (put_all(s, samples, count, means_to, &added, e)) {
		db_rollback(s);
		points_cut(s, points);
		return -1;
	}
	s->size.samples += added;
	s->means_to = means_to;
	for (size_t i = 0; i < count; i++)
		if (samples[i].utc_us < s->work.cursor_us)
			s->work.active = false;
	return 0;
}

int store_read_samples(struct store *s, const char *point, int64_t from_utc_us, int64_t to_utc_us, bool means,
		       size_t max, store_sample_fn *fn, void *arg, struct err *e)
{
	int id = point ? point_find(s, point) : 0, rc;
	auto_stmt sqlite3_stmt *st = NULL;

	if (point && !id)
		return 0;
	st = db_stmt(s, means ? id ? S_MEAN_POINT : S_MEAN_ALL : id ? S_SAMPLE_POINT : S_SAMPLE_ALL, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, from_utc_us);
	sqlite3_bind_int64(st, 2, to_utc_us);
	sqlite3_bind_int64(st, 3, max > INT64_MAX ? INT64_MAX : (int64_t)max);
	if (id)
		sqlite3_bind_int(st, 4, id);
	while ((rc = db_step(s, st, "read samples", e)) > 0) {
		int64_t row_id = sqlite3_column_int64(st, 0);
		struct store_sample x = { .utc_us = sqlite3_column_int64(st, 1),
					  .value = sqlite3_column_double(st, 2) };

		if (row_id < 1 || row_id > (int64_t)s->point_count)
			return err_set(e, ERR_IO, 0, "cannot read samples: point %lld is not known", (long long)row_id);
		x.point = s->names[row_id];
		fn(arg, &x);
	}
	return rc;
}
