#include "recordings.h"

#include "ctl/ctl.h"
#include "database.h"
#include "study/study.h"

struct source {
	const struct cmd_env *env;
	struct ctl_client *client; /* or */
	struct store *store;
	struct out_progress progress;
	uint64_t rows;
};

static int go_on(struct source *s, struct err *e)
{
	struct now now = now_read();

	out_progress_step(&s->progress, &now, s->rows, 0, NULL);
	return *s->env->interrupted ? err_set(e, ERR_INTERRUPTED, 0, "interrupted") : 0;
}

/* ---- from psecd ---- */

static int take_page(struct source *s, const json_t *page, study_sample_fn *each, void *each_arg, int64_t *cursor,
		     bool *more, struct err *e)
{
	const json_t *rows = json_object_get(page, "rows"), *next = json_object_get(page, "cursor");
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row) {
		const json_t *at = json_array_get(row, 0), *value = json_array_get(row, 1);

		if (!json_is_integer(at) || json_integer_value(at) < *cursor || !json_is_number(value))
			return err_set(e, ERR_INPUT, 0, "psecd answers with samples that are none");
		*cursor = json_integer_value(at);
		each(each_arg, json_integer_value(at), json_number_value(value));
		s->rows++;
	}
	*more = json_is_integer(next) && json_integer_value(next) > *cursor;
	if (*more)
		*cursor = json_integer_value(next);
	return 0;
}

static int read_pages(void *arg, const char *point, int64_t from_us, int64_t to_us, bool means, study_sample_fn *each,
		      void *each_arg, struct err *e)
{
	enum { ANSWER_MS = 10000 };
	struct source *s = arg;
	int64_t cursor = from_us;
	char from[BASE_TIME_LEN], to[BASE_TIME_LEN];
	bool more = true;
	int rc = 0;

	time_format(from_us, from);
	time_format(to_us, to);
	while (more && rc == 0) {
		json_t *page = NULL;
		json_t *params = json_pack("{s:s, s:s, s:s, s:b, s:I}", "point", point, "from_utc", from, "to_utc", to,
					   "means", (int)means, "cursor", (json_int_t)cursor);

		if (go_on(s, e) < 0 || ctl_call(s->client, "samples.page", params, ANSWER_MS, &page, e) < 0)
			return -1;
		rc = take_page(s, page, each, each_arg, &cursor, &more, e);
		json_decref(page);
	}
	return rc;
}

/* ---- from the database ---- */

struct passing { study_sample_fn *each; void *arg; uint64_t rows; };

static void pass(void *arg, const struct store_sample *sample)
{
	struct passing *p = arg;

	p->each(p->arg, sample->utc_us, sample->value);
	p->rows++;
}

static int read_store(void *arg, const char *point, int64_t from_us, int64_t to_us, bool means, study_sample_fn *each,
		      void *each_arg, struct err *e)
{
	struct source *s = arg;
	struct passing p = { each, each_arg, 0 };
	int rc = store_read_samples(s->store, point, from_us, to_us, means, SIZE_MAX, pass, &p, e);

	s->rows += p.rows;
	return rc < 0 ? -1 : go_on(s, e);
}

/* ---- either ---- */

static int read_from(struct source *s, const struct site *site, int64_t from_us, int64_t to_us, int64_t step_us,
		     struct series *out, size_t *below, struct err *e)
{
	struct study_samples samples = { .read = s->client ? read_pages : read_store, .arg = s };
	struct now now = now_read();
	int rc;

	out_progress_begin(&s->progress, "reading recordings", &now);
	rc = study_recorded(site, &samples, from_us, to_us, step_us, out, below, e);
	out_progress_end(&s->progress);
	return rc;
}

int recordings_read(const struct cmd_env *env, int64_t from_utc_us, int64_t to_utc_us, int64_t step_us,
		    struct series *out, struct err *e)
{
	struct source s = { .env = env };
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct database database = DATABASE_NONE;
	size_t below = 0;
	int rc;

	if (cmd_read_site(env, site, e) < 0)
		return -1;
	rc = cmd_daemon_runs(env) ? cmd_connect_daemon(env, &s.client, e) : database_open(env, &database, e);
	s.store = database.store;
	if (rc == 0)
		rc = read_from(&s, site, from_utc_us, to_utc_us, step_us, out, &below, e);
	ctl_client_free(s.client);
	database_close(&database);
	if (rc == 0 && out->gaps)
		fprintf(env->err,
			"%zu of %zu steps are gaps: not every device was recorded then; nothing is counted for them\n",
			out->gaps, out->count);
	if (rc == 0 && below)
		fprintf(env->err, "%zu steps measured load or PV below 0 and count as 0\n", below);
	return rc;
}
