/* Who carries a scan out: this process, or psecd's field, which owns the site's lines while it runs. */
#include <string.h>

#include "loop/loop.h"
#include "scan.h"

enum { LOOK_MS = 200 /* how often Ctrl-C is looked for */ };

void scan_found_add(struct scan_found *f, const struct scan_row *row)
{
	if (f->count == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 16;
		f->rows = xrealloc(f->rows, f->cap, sizeof *f->rows);
	}
	f->rows[f->count++] = *row;
}

void scan_found_release(struct scan_found *f)
{
	free(f->rows);
	buf_release(&f->explained);
	*f = (struct scan_found){ 0 };
}

static void show_progress(struct out_progress *p, const struct now *now, const struct scan_progress *at)
{
	char found[sizeof at->where + 32];

	snprintf(found, sizeof found, "%zu found%s%s", at->found, at->where[0] ? ", " : "", at->where);
	out_progress_step(p, now, at->finished, at->hosts, found);
}

struct work {
	struct scan_found *found;
	struct out_progress progress;
	struct loop *loop;        /* in this process */
	bool done;
};

/* ---- here ---- */

static void on_row(void *arg, const struct scan_row *row)
{
	struct work *w = arg;

	scan_found_add(w->found, row);
}

static void on_progress(void *arg, const struct scan_progress *p)
{
	struct work *w = arg;

	show_progress(&w->progress, loop_now(w->loop), p);
}

static void on_done(void *arg)
{
	struct work *w = arg;

	w->done = true;
	loop_stop(w->loop);
}

static int follow(struct work *w, struct scan *s, const struct cmd_env *env, struct err *e)
{
	out_progress_begin(&w->progress, "scanning", loop_now(w->loop));
	scan_start(s);
	while (!w->done && !*env->interrupted)
		if (loop_turn(w->loop, now_read().boot_us + LOOK_MS * US_PER_MS, e) < 0)
			return -1;
	if (!w->done)
		scan_break_off(s);
	out_progress_end(&w->progress);
	return 0;
}

static int carry_here(const struct cmd_env *env, const struct device_catalogue *c, const char *const *targets,
		      size_t count, const struct scan_options *o, struct scan_found *found, struct err *e)
{
	struct work w = { .found = found };
	struct scan_hooks hooks = { on_row, on_progress, on_done, &w };
	struct scan *s = NULL;
	int rc = -1;

	if (loop_new(&w.loop, e) < 0)
		return -1;
	scan_raise_files();
	if (scan_new(w.loop, c, targets, count, o, &hooks, &s, e) == 0)
		rc = follow(&w, s, env, e);
	if (rc == 0)
		scan_explain(s, &found->explained);
	scan_free(s);
	loop_free(w.loop);
	return rc;
}

/* ---- by psecd ---- */

static json_t *question(const char *const *targets, size_t count, const struct scan_options *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(targets[i]));
	return json_pack("{s:o, s:{s:i, s:i, s:i, s:b}}", "targets", list, "options", "pace_per_s", o->pace_per_s,
			 "connect_ms", o->connect_ms, "answer_ms", o->answer_ms, "every_unit", o->every_unit);
}

static int hear(void *arg, const char *topic, const json_t *params, struct err *e)
{
	struct work *w = arg;
	struct now now = now_read();
	struct scan_progress at = {
		.finished = (size_t)json_integer_value(json_object_get(params, "finished")),
		.hosts = (size_t)json_integer_value(json_object_get(params, "hosts")),
		.found = (size_t)json_integer_value(json_object_get(params, "found")),
	};
	const char *where = json_string_value(json_object_get(params, "where"));
	struct scan_row row;

	str_copy(at.where, sizeof at.where, where ? where : "");
	if (str_eq(topic, "scan.row")) {
		if (scan_row_from_json(json_object_get(params, "row"), &row, e) < 0)
			return -1;
		scan_found_add(w->found, &row);
	} else if (str_eq(topic, "scan.progress")) {
		show_progress(&w->progress, &now, &at);
	}
	return 0;
}

static int carry_by_daemon(const struct cmd_env *env, const char *const *targets, size_t count,
			   const struct scan_options *o, struct scan_found *found, struct err *e)
{
	struct work w = { .found = found };
	const struct cmd_carried carried = { .done = "scan.done", .heard = hear, .arg = &w, .said = &found->explained };
	struct now now = now_read();
	int rc;

	out_progress_begin(&w.progress, "psecd scans", &now);
	rc = cmd_carry_by_daemon(env, "scan", question(targets, count, o), &carried, e);
	out_progress_end(&w.progress);
	return rc < 0 ? -1 : 0;
}

int scan_carry_out(const struct cmd_env *env, const struct device_catalogue *c, const char *const *targets,
		   size_t count, const struct scan_options *o, struct scan_found *found, struct err *e)
{
	return cmd_daemon_runs(env) ? carry_by_daemon(env, targets, count, o, found, e) :
				      carry_here(env, c, targets, count, o, found, e);
}
