/* psec control check: the 500 W step, carried out by psecd, its end awaited here. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "device/device.h"
#include "live.h"
#include "table.h"

enum { CHECK_MS = 60000 /* settling, step and return take 15 s at most */, STEP_MS = 500, ASK_MS = 10000,
       READY_MS = 10000, TURN_MS = 200 };

/* The next "check" notification; NULL with *e. */
static json_t *await_end(const struct cmd_env *env, struct ctl_client *c, struct err *e)
{
	struct now now = now_read();
	int64_t deadline_us = now.boot_us + CHECK_MS * US_PER_MS;
	struct out_progress progress;
	json_t *end = NULL;

	out_progress_begin(&progress, "500 W step", &now);
	while (!end) {
		const char *topic = NULL;
		json_t *params = NULL;
		int rc = ctl_next(c, STEP_MS, &topic, &params, e);

		now = now_read();
		out_progress_step(&progress, &now, 0, 0, NULL);
		if (rc > 0 && str_eq(topic, "check")) {
			end = params;
			break;
		}
		json_decref(params);
		if (*env->interrupted || (rc < 0 && e->kind == ERR_INTERRUPTED)) {
			err_set(e, ERR_INTERRUPTED, 0,
				"not waited for; psecd ends the check by itself, and `psec control status` shows "
				"whether it was passed");
			break;
		}
		if (rc < 0)
			break;
		if (now.boot_us > deadline_us) {
			err_set(e, ERR_UNREACHABLE, 0, "no result after %d s; see `psec control status` and try again",
				CHECK_MS / 1000);
			break;
		}
	}
	out_progress_end(&progress);
	return end;
}

/* A psecd that has just begun has no fault: its devices are asked for the first time. */
static bool is_starting(const json_t *status)
{
	const json_t *d;
	char state[LIVE_TEXT];
	size_t i;

	live_text(status, "state", state);
	if (str_eq(state, "starting") || str_eq(state, "field-gone"))
		return true;
	json_array_foreach(json_object_get(status, "devices"), i, d) {
		bool needed = live_has_role(d, SITE_GRID_METER) || live_has_role(d, SITE_BATTERY_INVERTER);

		live_text(d, "state", state);
		if (needed && (str_eq(state, device_state_name(DEVICE_WAITING)) ||
			       str_eq(state, device_state_name(DEVICE_STARTING))))
			return true;
	}
	return false;
}

/* Bounded: what is not there by then, the check itself says. */
static int await_ready(const struct cmd_env *env, struct ctl_client *c, struct err *e)
{
	struct now now = now_read();
	int64_t deadline_us = now.boot_us + READY_MS * US_PER_MS;
	struct out_progress progress;
	bool starting = true;
	int rc = 0;

	out_progress_begin(&progress, "waiting for the devices", &now);
	while (rc == 0 && starting && now.boot_us < deadline_us) {
		json_t *status = NULL;

		rc = ctl_call(c, "control.status", NULL, ASK_MS, &status, e);
		starting = rc == 0 && is_starting(status);
		json_decref(status);
		if (rc == 0 && *env->interrupted)
			rc = err_set(e, ERR_INTERRUPTED, 0, "stopped before the check began");
		if (rc == 0 && starting)
			usleep(TURN_MS * 1000);
		now = now_read();
		out_progress_step(&progress, &now, 0, 0, NULL);
	}
	out_progress_end(&progress);
	return rc;
}

static void say(const struct cmd_env *env, const json_t *end, bool passed)
{
	char words[LIVE_TEXT], step[64], before[32], after[32];

	fprintf(env->out, "%s: %s\n", passed ? "passed" : "not passed", live_text(end, "result", words));
	if (!passed && strstr(words, "a signal is missing"))
		fprintf(env->out, "`psec status` says which and why; then check again\n");
	if (isfinite(live_real(end, "before_w")) && isfinite(live_real(end, "after_w")))
		fprintf(env->out, "battery: %s, meter: from %s to %s\n",
			live_directed(live_real(end, "step_w"), "discharge", "charge", step),
			live_power(live_real(end, "before_w"), before), live_power(live_real(end, "after_w"), after));
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct ctl_client *c = NULL;
	json_t *end = NULL;
	bool passed;
	int rc = 0;

	(void)options, (void)argc, (void)argv;
	if (cmd_connect_daemon(env, &c, e))
		return -1;
	if (!await_ready(env, c, e) && !ctl_call(c, "control.check", NULL, ASK_MS, NULL, e))
		end = await_end(env, c, e);
	ctl_client_free(c);
	if (!end)
		return -1;
	passed = json_is_true(json_object_get(end, "passed"));
	if (env->json)
		rc = cmd_print_json(env, end, e);
	else
		say(env, end, passed);
	json_decref(end);
	return rc ? rc : passed ? 0 : 1;
}

const struct cmd cmd_control_check = {
	.name = "check",
	.summary = "prove by a step of 500 W that battery and meter agree about the sign",
	.more = "psecd lets the battery discharge 500 W more (or charge, when it is empty) for some seconds and "
		"looks whether the meter "
		"follows the right way. Automatic modes are refused until this was passed, and again when the "
		"inverter or the meter is "
		"another one. 0: passed, 1: not passed.",
	.example = "psec control check",
	.flags = CMD_JSON,
	.run = run,
};
