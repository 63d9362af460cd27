#include "db.h"

#include <sys/stat.h>

/* Counting a full database reads all of it, for seconds. So what is there is counted once, in parts: by store_tidy, or
 * at once where it is little. Every change to what is counted already is counted along. */
enum { ROWS_COUNTED = 50000, LITTLE = 16 << 20 };

void count_forget(struct store *s)
{
	s->size = (struct store_size){ 0 };
	s->counted = (struct counted){ .samples_to = INT64_MIN, .means_next = 1 };
}

static bool complete(const struct store *s)
{
	return s->counted.samples_to == INT64_MAX && s->counted.means_next == SIZE_MAX && s->counted.events;
}

/* The one number of the next row. */
static int number(struct store *s, sqlite3_stmt *st, int64_t *out, bool *found, struct err *e)
{
	int rc = db_step(s, st, "count", e);

	*found = rc > 0;
	if (*found)
		*out = sqlite3_column_int64(st, 0);
	db_done(&st);
	return rc < 0 ? -1 : 0;
}

static int count_samples(struct store *s, struct err *e)
{
	sqlite3_stmt *nth = db_stmt(s, S_SAMPLE_NTH, e), *count = db_stmt(s, S_SAMPLE_COUNT, e);
	int64_t to, n = 0;
	bool more, found;

	if (!nth || !count)
		return -1;
	sqlite3_bind_int64(nth, 1, s->counted.samples_to);
	sqlite3_bind_int(nth, 2, ROWS_COUNTED);
	if (number(s, nth, &to, &more, e))
		return -1;
	if (!more)
		to = INT64_MAX;
	sqlite3_bind_int64(count, 1, s->counted.samples_to);
	sqlite3_bind_int64(count, 2, to);
	if (number(s, count, &n, &found, e))
		return -1;
	s->size.samples += n;
	s->counted.samples_to = to;
	return 0;
}

static int count_means(struct store *s, struct err *e)
{
	sqlite3_stmt *st;
	int64_t n = 0;
	bool found;

	if (s->counted.means_next > s->point_count) {
		s->counted.means_next = SIZE_MAX;
		return 0;
	}
	st = db_stmt(s, S_MEAN_COUNT, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)s->counted.means_next);
	if (number(s, st, &n, &found, e))
		return -1;
	s->size.means += n;
	s->counted.means_next++;
	return 0;
}

static int count_events(struct store *s, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, S_EVENT_COUNT, e);
	bool found;

	if (!st || number(s, st, &s->size.events, &found, e))
		return -1;
	s->counted.events = true;
	return 0;
}

int count_step(struct store *s, struct err *e)
{
	int rc;

	if (complete(s))
		return 0;
	if (!s->counted.events)
		rc = count_events(s, e);
	else if (s->counted.samples_to != INT64_MAX)
		rc = count_samples(s, e);
	else
		rc = count_means(s, e);
	return rc ? -1 : 1;
}

int store_size(struct store *s, struct store_size *out, struct err *e)
{
	auto_free char *log = xasprintf("%s-wal", s->path);
	struct stat st;
	int64_t file = stat(s->path, &st) == 0 ? st.st_size : 0;
	int rc = 1;

	while (file <= LITTLE && rc > 0)
		rc = count_step(s, e);
	if (rc < 0)
		return -1;
	*out = s->size;
	out->bytes = file + (stat(log, &st) == 0 ? st.st_size : 0);
	out->counted = complete(s);
	return 0;
}
