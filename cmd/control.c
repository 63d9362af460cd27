/* psec control: what is decided and why; modes and set-points. */
#include <math.h>
#include <string.h>

#include "live.h"
#include "table.h"

/* ---- status ---- */

struct status_options { bool why; };
static const struct status_options status_defaults;
static const struct cmd_opt status_opts[] = {
	{ .name = "why", .letter = 'w', .type = CMD_FLAG, .offset = offsetof(struct status_options, why),
	  .summary = "also what was wanted, which limit decided, and what was read back" },
};

static int status(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct status_options *o = options;
	json_t *now = NULL;
	auto_buf struct buf b = BUF_INIT;
	int rc;

	(void)argc, (void)argv;
	if (cmd_ask_daemon(env, "control.status", NULL, &now, e))
		return -1;
	if (env->json) {
		rc = cmd_print_json(env, now, e);
	} else {
		live_summary(&b, now, o->why);
		fputs(b.data, env->out);
		rc = 0;
	}
	json_decref(now);
	return rc;
}

static const struct cmd control_status = {
	.name = "status",
	.summary = "the decision of this moment, and the rule that made it",
	.example = "psec control status --why",
	.opts = status_opts,
	.opt_count = COUNT_OF(status_opts),
	.flags = CMD_JSON,
	.defaults = &status_defaults,
	.options_size = sizeof status_defaults,
	.run = status,
};

/* ---- mode ---- */

static int say_wish(const struct cmd_env *env, const json_t *wish, bool targeted, struct err *e)
{
	char mode[LIVE_TEXT], power[64];

	if (env->json)
		return cmd_print_json(env, wish, e);
	live_text(wish, "mode", mode);
	if (str_eq(mode, "manual"))
		fprintf(env->out, "mode manual, battery %s\n",
			live_directed(live_real(wish, "manual_w"), "discharge", "charge", power));
	else if (str_eq(mode, "self-consumption"))
		fprintf(env->out, "mode self-consumption, grid target %s\n",
			live_power(live_real(wish, "target_w"), power));
	else
		fprintf(env->out, "mode %s\n", mode);
	if (targeted && !str_eq(mode, "self-consumption"))
		fprintf(env->out, "grid target %s is kept for mode self-consumption\n",
			live_power(live_real(wish, "target_w"), power));
	live_warn_unkept(env, wish);
	return 0;
}

static int ask_wish(const struct cmd_env *env, const char *method, json_t *params, bool targeted, struct err *e)
{
	json_t *wish = NULL;
	int rc;

	if (cmd_ask_daemon(env, method, params, &wish, e))
		return -1;
	rc = say_wish(env, wish, targeted, e);
	json_decref(wish);
	return rc;
}

static int mode(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const char *names[SITE_MODE_COUNT], *near;
	enum site_mode m;
	char shown[48];

	(void)options, (void)argc;
	for (int i = 0; i < SITE_MODE_COUNT; i++)
		names[i] = site_mode_name((enum site_mode)i);
	if (!site_mode_parse(argv[0], &m)) {
		near = str_nearest(argv[0], names, COUNT_OF(names));
		str_printable(shown, sizeof shown, argv[0], strlen(argv[0]));
		return err_set(e, ERR_USAGE, 0,
			       "there is no mode '%s'; %s%s%sthere are off, manual, self-consumption and observe",
			       shown, near ? "did you mean '" : "", near ? near : "", near ? "'? " : "");
	}
	if (m == SITE_MODE_OFF) /* whoever wants it off wants to know whether the battery rests, by whichever words */
		return cmd_control_off.run(env, NULL, 0, NULL, e);
	return ask_wish(env, "control.mode", json_pack("{s:s}", "mode", site_mode_name(m)), false, e);
}

static const struct cmd_arg mode_args[] = { { "MODE", true, false, "mode" } };

static const struct cmd control_mode = {
	.name = "mode",
	.summary = "switch to off, manual, self-consumption or observe",
	.more = "off: as `psec control off`, the battery rests and then nothing is written. manual: the battery does "
		"what `psec control set` says. self-consumption: the grid is held at "
		"the target. observe: decides and shows like self-consumption, and writes nothing. Limits, reserve "
		"and the BMS hold in "
		"every mode.",
	.example = "psec control mode self-consumption",
	.args = mode_args,
	.arg_count = COUNT_OF(mode_args),
	.flags = CMD_JSON,
	.run = mode,
};

/* ---- set ---- */

enum { POWER_MAX_W = 10000000 };

struct set_options { double target_w; };
static const struct set_options set_defaults = { .target_w = NAN };
static const struct cmd_opt set_opts[] = {
	{ .name = "target", .letter = 't', .type = CMD_REAL, .offset = offsetof(struct set_options, target_w),
	  .value = "WATTS",
	  .summary = "the grid power that self-consumption holds, import positive", .min = -POWER_MAX_W,
	  .max = POWER_MAX_W },
};

static int set(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct set_options *o = options;
	json_t *params;
	double power_w = NAN;
	char shown[48];

	if (argc && !parse_real(argv[0], -POWER_MAX_W, POWER_MAX_W, &power_w)) {
		str_printable(shown, sizeof shown, argv[0], strlen(argv[0]));
		return err_set(e, ERR_USAGE, 0, "WATTS is '%s', must be a number, %d…%d", shown, -POWER_MAX_W,
			       POWER_MAX_W);
	}
	if (!argc && isnan(o->target_w))
		return err_set(e, ERR_USAGE, 0, "WATTS is missing: the battery's power, discharge positive; see "
						"`psec control set --help`");
	if (argc && !isnan(o->target_w))
		return err_set(e, ERR_USAGE, 0,
			       "either WATTS, the battery's power, or --target, the grid's; not both at once");
	params = json_object();
	if (argc)
		json_object_set_new(params, "power_w", json_real(power_w));
	if (!isnan(o->target_w))
		json_object_set_new(params, "target_w", json_real(o->target_w));
	return ask_wish(env, "control.set", params, !argc, e);
}

static const struct cmd_arg set_args[] = { { "WATTS", false, false, NULL } };

static const struct cmd control_set = {
	.name = "set",
	.summary = "set the battery's power by hand, or the grid target",
	.more = "WATTS is the battery's power at the AC side, discharge positive, charge negative; the mode becomes "
		"manual. Every limit "
		"holds: `psec control status --why` shows what came of it.",
	.example = "psec control set -1500\npsec control set --target 100",
	.opts = set_opts,
	.opt_count = COUNT_OF(set_opts),
	.args = set_args,
	.arg_count = COUNT_OF(set_args),
	.flags = CMD_JSON,
	.defaults = &set_defaults,
	.options_size = sizeof set_defaults,
	.run = set,
};

/* ---- the group ---- */

const struct cmd cmd_control = {
	.name = "control",
	.summary = "what is decided and why; modes, set-points, simulation",
	.example = "psec control watch\npsec control status --why\npsec control mode self-consumption",
	.sub = (const struct cmd *const[]){
		&control_status,
		&cmd_control_watch,
		&control_mode,
		&control_set,
		&cmd_control_off,
		&cmd_control_check,
		&cmd_control_simulate,
		NULL,
	},
};
