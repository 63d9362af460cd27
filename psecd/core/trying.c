/* trying: tests and steps of devices, which field carries out; one at a time, its rows go to who asked. A step whose
 * end was not heard, because field died, is taken back as soon as there is a field again. */
#include "core.h"

#include <string.h>

#include "trial/trial.h"

enum { SECONDS_MOST = 50, STEP_SECONDS_MOST = 10, POWER_MOST_W = 100000 };

static void tell_done(struct core *c, enum err_kind kind, const char *text)
{
	json_t *params = json_pack("{s:I, s:s, s:o}", "trial", (json_int_t)c->trial.id, "failure",
				   kind == ERR_NONE ? "" : err_kind_name(kind), "text", jot_text(text));

	ctl_notify(c->ctl, "trial.done", params);
	json_decref(params);
	c->trial.peer = NULL;
}

static int begin(const struct call *k, enum wire_trial_kind kind, int64_t seconds, double power_w, json_t **result,
		 struct err *e)
{
	struct core *c = k->core;
	struct wire_trial w = { .id = c->trial.id + 1, .kind = (uint8_t)kind, .seconds = (int32_t)seconds,
				.power_w = power_w };
	const char *name = NULL;

	if (param_text(k->params, "device", true, &name, e) < 0)
		return -1;
	w.device = (int16_t)site_find_device(c->site, name);
	if (w.device < 0)
		return err_set(e, ERR_INPUT, 0, "the site has no device '%.40s'", name);
	if (c->trial.peer || c->trial.step_out)
		return err_set(e, ERR_AGAIN, 0, "another test of a device runs; try again when it has ended");
	if (!c->field_ready || core_tell_field(c, WIRE_TRIAL, &w, sizeof(w)) != 1)
		return err_set(e, ERR_AGAIN, 0, "psecd-field is not ready; try again");
	ctl_peer_subscribe(k->peer, "trial.row");
	ctl_peer_subscribe(k->peer, "trial.done");
	c->trial = (struct core_trial){ .id = w.id, .peer = k->peer, .device = w.device,
					.step_out = kind == WIRE_TRIAL_STEP };
	*result = json_pack("{s:I}", "trial", (json_int_t)w.id);
	return 0;
}

/* {device, seconds}: rows come as "trial.row", the end as "trial.done". */
int trying_test(const struct call *k, json_t **result, struct err *e)
{
	int64_t seconds = 6;

	if (param_int(k->params, "seconds", 3, SECONDS_MOST, &seconds, e) < 0 ||
	    begin(k, WIRE_TRIAL_TEST, seconds, 0, result, e) < 0)
		return -1;
	record_event(k->core, SEVERITY_INFO, "test", k->core->site->devices[k->core->trial.device].name,
		     k->caller->name, "is tested, read only");
	return 0;
}

/* {device, power_w, seconds}: only in mode off, bounded again by field, which ends it whatever becomes of us. */
int trying_step(const struct call *k, json_t **result, struct err *e)
{
	struct core *c = k->core;
	int64_t seconds = 5;
	double power_w = 0;

	if (param_int(k->params, "seconds", 2, STEP_SECONDS_MOST, &seconds, e) < 0 ||
	    param_real(k->params, "power_w", true, -POWER_MOST_W, POWER_MOST_W, &power_w, e) < 0)
		return -1;
	if (power_w == 0)
		return err_set(e, ERR_USAGE, 0, "a step of 0 W is none");
	if (c->wish.mode != SITE_MODE_OFF && c->wish.mode != SITE_MODE_OBSERVE)
		return err_set(e, ERR_REFUSED, 0, "control is in mode %s; `psec control off` first",
			       site_mode_name(c->wish.mode));
	if (c->check_runs)
		return err_set(e, ERR_AGAIN, 0, "a sign check runs; try again when it has ended");
	if (begin(k, WIRE_TRIAL_STEP, seconds, power_w, result, e) < 0)
		return -1;
	audited(c, k->caller->name, "step", c->site->devices[c->trial.device].name,
		json_pack("{s:o, s:I}", "power_w", jot_real_text(power_w), "seconds", (json_int_t)seconds));
	record_event(c, SEVERITY_WARNING, "step", c->site->devices[c->trial.device].name, k->caller->name,
		     "makes a step of %.0f W for %lld s", power_w, (long long)seconds);
	return 0;
}

bool trying_take_row(struct core *c, const struct wire_trial_row *w)
{
	json_t *params;

	if (!trial_row_ok(&w->row))
		return false;
	if (w->id != c->trial.id || !c->trial.peer)
		return true;
	params = json_pack("{s:I, s:o}", "trial", (json_int_t)w->id, "row", trial_row_to_json(&w->row));
	ctl_notify(c->ctl, "trial.row", params);
	json_decref(params);
	return true;
}

bool trying_take_done(struct core *c, const struct wire_trial_done *w)
{
	if (!wire_text_ok(w->text) || (unsigned)w->kind > ERR_INTERRUPTED)
		return false;
	if (w->id != c->trial.id)
		return true;
	c->trial.step_out = false;
	if (c->trial.peer)
		tell_done(c, (enum err_kind)w->kind, w->text);
	return true;
}

void trying_peer_gone(struct core *c, const void *peer_data)
{
	struct wire_trial_end end = { .id = c->trial.id };

	if (!c->trial.peer || ctl_peer_data(c->trial.peer) != peer_data)
		return;
	c->trial.peer = NULL; /* a step goes back; its end is still heard */
	core_tell_field(c, WIRE_TRIAL_END, &end, sizeof(end));
}

void trying_field_gone(struct core *c)
{
	if (c->trial.peer)
		tell_done(c, ERR_AGAIN,
			  c->trial.step_out ? "psecd-field is gone; the step is taken back as soon as it is there again"
					    : "psecd-field is gone; try again");
}

/* Until its end is heard no other step begins. */
void trying_field_ready(struct core *c)
{
	struct wire_trial rest = { .kind = WIRE_TRIAL_STEP, .device = (int16_t)c->trial.device, .seconds = 2 };

	if (!c->trial.step_out)
		return;
	rest.id = ++c->trial.id;
	core_tell_field(c, WIRE_TRIAL, &rest, sizeof(rest));
	record_event(c, SEVERITY_WARNING, "step", c->site->devices[c->trial.device].name, "",
		     "is brought to rest: nobody saw its step end");
}
