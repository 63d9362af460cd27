/* psec device test: what a live device says, judged. By psecd where it has the device, else by the same room here. */
#include <math.h>
#include <string.h>

#include "device.h"
#include "loop/loop.h"
#include "poll/poll.h"
#include "trial/trial.h"

struct options { const char *profile; int64_t seconds; };

enum { TURN_MS = 200, ASK_MS = 10000 };

enum { CHECK, KIND, VERDICT, VALUE, UNIT, RANGE, LOWEST, HIGHEST, RAW, READS, CHANGES, WHY, COLUMNS };
static const struct out_column columns[COLUMNS] = {
	[CHECK] = { "check", "CHECK", NULL, OUT_TEXT, 0, 0 },
	[KIND] = { "kind", "KIND", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[VERDICT] = { "verdict", "VERDICT", NULL, OUT_TEXT, 0, 0 },
	[VALUE] = { "value", "VALUE", NULL, OUT_JSON, 0, 0 },
	[UNIT] = { "unit", "UNIT", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[RANGE] = { "range", "SEEN", NULL, OUT_TEXT, 0, OUT_PEOPLE_ONLY },
	[LOWEST] = { "lowest", "LOWEST", NULL, OUT_REAL, 0, OUT_JSON_ONLY },
	[HIGHEST] = { "highest", "HIGHEST", NULL, OUT_REAL, 0, OUT_JSON_ONLY },
	[RAW] = { "raw", "RAW", NULL, OUT_REAL, 0, OUT_JSON_ONLY },
	[READS] = { "reads", "READS", NULL, OUT_INT, 0, 0 },
	[CHANGES] = { "changes", "CHANGES", NULL, OUT_INT, 0, OUT_JSON_ONLY },
	[WHY] = { "why", "WHY", NULL, OUT_TEXT, 0, OUT_WIDE },
};

struct work {
	struct out *out;
	unsigned count[TRIAL_FAILED + 1];
	struct loop *loop;
	struct poll *poll;
	struct trial *trial;
	bool done;
	enum err_kind kind;
	char why[160];
};

static void put_row(void *arg, const struct trial_row *r)
{
	struct work *w = arg;
	const char *unit = r->point >= 0 ? device_point((enum device_point)r->point)->unit : "";
	char low[32], high[32], range[72];

	w->count[r->verdict]++;
	out_row(w->out);
	out_text(w->out, CHECK, r->what);
	out_text(w->out, KIND, r->point >= 0 ? "point" : "device");
	out_text(w->out, VERDICT, trial_verdict_name((enum trial_verdict)r->verdict));
	out_text(w->out, UNIT, unit);
	device_put_number(w->out, VALUE, r->value, unit);
	if (isfinite(r->lowest) && r->lowest < r->highest) {
		device_number_words(r->lowest, unit, low);
		device_number_words(r->highest, unit, high);
		snprintf(range, sizeof range, "%s … %s", low, high);
		out_text(w->out, RANGE, range);
	}
	out_real(w->out, LOWEST, r->lowest);
	out_real(w->out, HIGHEST, r->highest);
	out_real(w->out, RAW, r->raw);
	out_int(w->out, READS, r->reads);
	if (r->point >= 0)
		out_int(w->out, CHANGES, r->changes);
	out_text(w->out, WHY, r->why[0] ? r->why : NULL);
}

static void ended(void *arg, enum err_kind kind, const char *why)
{
	struct work *w = arg;

	w->done = true;
	w->kind = kind;
	str_copy(w->why, sizeof w->why, why);
}

/* ---- here ---- */

static int turn(const struct cmd_env *env, struct work *w, struct err *e)
{
	struct out_progress progress;
	struct now now = now_read();
	int rc = 0;

	out_progress_begin(&progress, "testing", &now);
	while (rc == 0 && !w->done && !*env->interrupted) {
		rc = loop_turn(w->loop, now.boot_us + TURN_MS * US_PER_MS, e);
		now = now_read();
		out_progress_step(&progress, &now, 0, 0, NULL);
	}
	out_progress_end(&progress);
	if (rc == 0 && !w->done)
		return err_set(e, ERR_INTERRUPTED, 0, "interrupted; nothing was written");
	return rc;
}

static int test_here(const struct cmd_env *env, const struct options *opt, const struct device_catalogue *c,
		     const struct site_device *d, struct work *w, struct err *e)
{
	const struct trial_hooks hooks = { .row = put_row, .done = ended, .arg = w };
	auto_free struct site *site = xcalloc(1, sizeof *site);
	int rc = -1;

	site->devices[0] = *d;
	site->device_count = 1;
	if (loop_new(&w->loop, e) < 0)
		return -1;
	if (poll_new(w->loop, site, c, NULL, &w->poll, e) == 0) {
		w->trial = trial_begin(w->loop, w->poll, 0, (int)opt->seconds, &hooks);
		poll_start(w->poll);
		rc = turn(env, w, e);
	}
	trial_free(w->trial);
	poll_free(w->poll);
	loop_free(w->loop);
	return rc;
}

/* ---- the command ---- */

static int test(const struct cmd_env *env, const struct options *opt, const struct device_catalogue *c,
		const char *word, struct work *w, struct err *e)
{
	const struct device_profile *profile;
	struct site_device d;
	bool by_name;
	int by_daemon;

	if (device_find_target(env, opt->profile, word, &d, &by_name, e) < 0 ||
	    (by_daemon = device_by_daemon(env, opt->profile, &d, by_name, e)) < 0)
		return -1;
	if (by_daemon)
		return device_carry_by_daemon(env, "device.test", json_pack("{s:s, s:I}", "device", word, "seconds",
					      (json_int_t)opt->seconds), put_row, w, e);
	if (device_choose_profile(c, &d, ASK_MS, &profile, e) < 0)
		return -1;
	str_copy(d.profile, sizeof d.profile, device_profile_info(profile)->id);
	return test_here(env, opt, c, &d, w, e);
}

static void say_overall(const struct cmd_env *env, const struct work *w)
{
	if (!cmd_for_people(env))
		return;
	fprintf(env->out, "\n%u ok, %u absent, %u suspicious, %u failed\n", w->count[TRIAL_OK], w->count[TRIAL_ABSENT],
		w->count[TRIAL_SUSPICIOUS], w->count[TRIAL_FAILED]);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_out struct out *o = out_new(columns, COLUMNS, cmd_form(env, false));
	struct work w = { .out = o };
	struct device_catalogue *c;
	int rc;

	(void)argc;
	if (device_load_profiles(env, &c, e) < 0)
		return -1;
	rc = test(env, options, c, argv[0], &w, e);
	device_catalogue_free(c);
	if (rc < 0)
		return -1;
	if (w.kind != ERR_NONE)
		return err_set(e, w.kind, 0, "%s: %s", argv[0], w.why);
	if (cmd_print(env, o, e) < 0)
		return -1;
	say_overall(env, &w);
	return w.count[TRIAL_SUSPICIOUS] + w.count[TRIAL_FAILED] > 0 ? 1 : 0;
}

static const struct options defaults = { .seconds = 6 };
static const struct cmd_opt opts[] = {
	{ .name = "profile", .letter = 'p', .type = CMD_TEXT, .offset = offsetof(struct options, profile),
	  .value = "ID",
	  .summary = "test by this profile", .complete = "profile" },
	{ .name = "seconds", .letter = 's', .type = CMD_INT, .offset = offsetof(struct options, seconds), .value = "N",
	  .summary = "how long to read, once a second", .min = 3, .max = 50 },
};
static const struct cmd_arg args[] = { { "NAME|ADDRESS", true, false, "device" } };
const struct cmd cmd_device_test = {
	.name = "test", .summary = "read every point of a live device and judge it",
	.more = "Every point is read once a second: is it a value, can it be true, does it move,\n"
		"do power, phases, voltage and current agree. A slow device takes longer, at most\n"
		"three times. Nothing is ever written. 0: all is well, 1: something is suspicious\n"
		"or failed.",
	.example = "psec device test meter\n"
		   "psec device test tcp://192.168.1.20#1 --profile eastron-sdm630 --seconds 20",
	.opts = opts, .opt_count = COUNT_OF(opts), .args = args, .arg_count = COUNT_OF(args),
	.flags = CMD_JSON | CMD_CSV, .defaults = &defaults, .options_size = sizeof(struct options), .run = run,
};
