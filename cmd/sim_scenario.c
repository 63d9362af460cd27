/* psec sim check, scenarios: scenario files, the shipped ones and one's own. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

int sim_read_scenario(const char *word, char *path, struct sim_scenario *out, struct diag_sink *sink, struct err *e)
{
	char name[80], shipped[SHARE_PATH_LEN];

	snprintf(path, PATH_MAX, "%s", word);
	if (access(word, F_OK) < 0 && !strchr(word, '/')) {
		snprintf(name, sizeof name, "scenarios/%.50s%s", word, strstr(word, ".yaml") ? "" : ".yaml");
		share_path(name, shipped);
		if (access(shipped, F_OK) < 0)
			return err_set(e, ERR_INPUT, 0,
				       "there is no file '%.60s', and no such scenario came with psec; "
				       "`psec sim scenarios` lists those",
				       word);
		snprintf(path, PATH_MAX, "%s", shipped);
	}
	return sim_scenario_read(path, out, sink, e);
}

int sim_judge_faults(const struct cmd_env *env, const char *path, const struct diag_sink *sink)
{
	if (!sink->count)
		return -1;
	fprintf(env->err, "%s has %d fault%s\n", path, sink->count, sink->count == 1 ? "" : "s");
	return 1;
}

/* ---- check ---- */

static const struct out_column columns[] = {
	{ .key = "at_s", .heading = "AT", .unit = "s", .type = OUT_REAL, .flags = OUT_JSON_ONLY, .decimals = 1 },
	{ .key = "at", .heading = "AT", .type = OUT_TEXT },
	{ .key = "event", .heading = "WHAT HAPPENS", .type = OUT_TEXT, .flags = OUT_WIDE },
};

int sim_print_scenario(const struct cmd_env *env, const struct sim_scenario *x, struct err *e)
{
	auto_out struct out *o = out_new(columns, COUNT_OF(columns), cmd_form(env, false));

	if (cmd_for_people(env))
		fprintf(env->out, "%s: sound, %zu %s\n", x->title, x->event_count,
			x->event_count == 1 ? "event" : "events");
	for (size_t n = 0; n < x->event_count; n++) {
		const struct sim_event *event = &x->events[n];
		int64_t s = event->at_us / US_PER_S;
		char at[32], words[SIM_EVENT_LEN];

		snprintf(at, sizeof at, "%02lld:%02d:%02d", (long long)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
		out_row(o);
		out_real(o, 0, (double)event->at_us / 1e6);
		out_text(o, 1, at);
		out_text(o, 2, sim_event_words(event, words));
	}
	return cmd_print(env, o, e);
}

static int run_check(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	struct sim_scenario x;
	char path[PATH_MAX];
	int rc = 0;

	(void)options;
	for (int n = 0; n < argc && rc == 0; n++) {
		if (sim_read_scenario(argv[n], path, &x, &sink, e) < 0)
			return sim_judge_faults(env, path, &sink);
		rc = sim_print_scenario(env, &x, e);
		sim_scenario_release(&x);
	}
	return rc;
}

static const struct cmd_arg check_args[] = { { "SCENARIO", true, false, "scenario" } };
const struct cmd cmd_sim_check = {
	.name = "check",
	.summary = "read a scenario, tell its faults or what happens in it",
	.example = "psec sim check storm\npsec sim check mine.yaml",
	.args = check_args, .arg_count = COUNT_OF(check_args),
	.flags = CMD_JSON | CMD_CSV,
	.run = run_check,
};

/* ---- scenarios ---- */

static int a_scenario(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return len > 5 && len < 60 && str_eq(d->d_name + len - 5, ".yaml");
}

int sim_each_shipped(int (*fn)(void *arg, const char *name, const char *path), void *arg, struct err *e)
{
	char dir[SHARE_PATH_LEN], path[SHARE_PATH_LEN + 64], name[64];
	struct dirent **all = NULL;
	int rc = 0, count = scandir(share_path("scenarios", dir), &all, a_scenario, alphasort);

	if (count < 0)
		return err_set(e, ERR_IO, errno, "cannot read '%s'", dir);
	for (int n = 0; n < count; n++) {
		snprintf(path, sizeof path, "%s/%.60s", dir, all[n]->d_name);
		snprintf(name, sizeof name, "%.*s", (int)strlen(all[n]->d_name) - 5, all[n]->d_name);
		if (rc == 0)
			rc = fn(arg, name, path);
		free(all[n]);
	}
	free(all);
	return rc;
}

static const struct out_column list_columns[] = {
	{ .key = "name", .heading = "NAME", .type = OUT_TEXT },
	{ .key = "length_s", .heading = "LENGTH", .unit = "s", .type = OUT_REAL },
	{ .key = "events", .heading = "EVENTS", .type = OUT_INT },
	{ .key = "title", .heading = "WHAT IT IS", .type = OUT_TEXT, .flags = OUT_WIDE },
};

struct listing { const struct cmd_env *env; struct out *out; };

static int list_one(void *arg, const char *name, const char *path)
{
	struct listing *l = arg;
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = l->env->err };
	struct sim_scenario x;
	struct err e;
	int64_t length_us = 0;

	if (sim_scenario_read(path, &x, &sink, &e) < 0)
		return 0; /* told; the others are there all the same */
	for (size_t n = 0; n < x.event_count; n++)
		if (x.events[n].at_us + x.events[n].for_us > length_us)
			length_us = x.events[n].at_us + x.events[n].for_us;
	out_row(l->out);
	out_text(l->out, 0, name);
	out_real(l->out, 1, (double)length_us / 1e6);
	out_int(l->out, 2, (int64_t)x.event_count);
	out_text(l->out, 3, x.title);
	sim_scenario_release(&x);
	return 0;
}

static int run_scenarios(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_out struct out *o = out_new(list_columns, COUNT_OF(list_columns), cmd_form(env, false));
	struct listing l = { env, o };

	(void)options, (void)argc, (void)argv;
	if (sim_each_shipped(list_one, &l, e) < 0)
		return -1;
	return cmd_print(env, o, e);
}

const struct cmd cmd_sim_scenarios = {
	.name = "scenarios",
	.summary = "list the scenarios that came with psec",
	.example = "psec sim scenarios",
	.flags = CMD_JSON | CMD_CSV,
	.run = run_scenarios,
};
