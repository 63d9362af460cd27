/* trying: a test or a step that somebody asked core for is carried out here, on the devices that are polled anyway;
 * rows go to core as they come. */
#include "field.h"

#include <math.h>
#include <string.h>

#include "trial/trial.h"

enum { RETRY_MS = 50, STEP_LEAST_W = 50, STEP_MOST_W = 2000, SOC_LEAST = 5 };

struct trying {
	uint64_t id;
	struct trial *test;
	struct trial_step *step;
	struct wire_trial_row *rows;     /* that core has not read yet */
	size_t count, sent;
	bool done, unwanted;             /* unwanted: nobody waits for the rest, but a step must find its end */
	struct wire_trial_done last;
	struct loop_timer again;
};

static void drain_soon(struct field *f, int64_t in_ms)
{
	loop_timer_set(f->loop, &f->trying->again, loop_now(f->loop)->boot_us + in_ms * US_PER_MS);
}

static void forget(struct field *f)
{
	struct trying *t = f->trying;

	loop_timer_stop(f->loop, &t->again);
	trial_free(t->test);
	trial_step_free(t->step);
	free(t->rows);
	free(t);
	f->trying = NULL;
}

static void drain(void *arg)
{
	struct field *f = arg;
	struct trying *t = f->trying;
	bool was_step = t->step != NULL;
	int sent = 1;

	for (; !t->unwanted && t->sent < t->count && sent == 1; t->sent += sent == 1)
		sent = staff_tell_core(f, WIRE_TRIAL_ROW, &t->rows[t->sent], sizeof(t->rows[0]));
	if (sent == 1 && t->done)
		sent = staff_tell_core(f, WIRE_TRIAL_DONE, &t->last, sizeof(t->last));
	if (sent == 0)
		drain_soon(f, RETRY_MS);
	if (!t->done || sent == 0)
		return;
	forget(f);
	if (was_step && f->leave_waits)
		leave_begin(f, false);
	else if (was_step)
		law_decide(f, false);
}

static void on_row(void *arg, const struct trial_row *row)
{
	struct field *f = arg;
	struct trying *t = f->trying;

	t->rows = xrealloc(t->rows, t->count + 1, sizeof(*t->rows));
	t->rows[t->count++] = (struct wire_trial_row){ .id = t->id, .row = *row };
	drain_soon(f, 0);
}

static void on_done(void *arg, enum err_kind kind, const char *why)
{
	struct field *f = arg;
	struct trying *t = f->trying;

	t->last.kind = (int32_t)kind;
	str_copy(t->last.text, sizeof(t->last.text), why);
	t->done = true;
	drain_soon(f, 0); /* not from within its own call: drain frees it */
}

/* ---- may the battery do this? ---- */

static const char *forbidden(void *arg)
{
	const struct field *f = arg;
	const struct control_envelope *v = &f->law.envelope;

	if (f->law.control && (f->law.envelope_serial == 0 || loop_now(f->loop)->boot_us >= v->expires_boot_us))
		return "nobody says that control is off";
	if (f->law.control && v->mode != SITE_MODE_OFF && v->mode != SITE_MODE_OBSERVE)
		return "control is not off";
	return f->check.runs ? "a sign check runs" : NULL;
}

static double value_of(const struct field *f, int device, enum device_point p)
{
	struct device_reading r;

	return device >= 0 && poll_reading(f->poll, device, p, &r) && r.quality == DEVICE_GOOD ? r.value : NAN;
}

static int check_most(double w, double most_w, const char *whose, struct err *e)
{
	if (!isfinite(most_w) || fabs(w) <= most_w)
		return 0;
	return err_set(e, ERR_REFUSED, 0, "%.0f W is more than %s, %.0f W", fabs(w), whose, most_w);
}

/* Undefined means limited: a BMS that is there and does not say what it allows allows nothing. */
static int check_bms(const struct field *f, int bms, double w, struct err *e)
{
	double soc = value_of(f, bms, POINT_BMS_SOC_PERCENT);
	double limit = value_of(f, bms, w > 0 ? POINT_BMS_DISCHARGE_LIMIT_W : POINT_BMS_CHARGE_LIMIT_W);
	const struct site_control *site = &f->site->control;

	if (bms < 0)
		return 0;
	if (!isfinite(soc) || !isfinite(limit))
		return err_set(e, ERR_REFUSED, 0, "the BMS does not say its state of charge and its limit");
	if (w > 0 && soc <= fmax(site->soc_min_percent, SOC_LEAST))
		return err_set(e, ERR_REFUSED, 0, "the battery is empty (%.0f %%); a step of charging has a minus",
			       soc);
	if (w < 0 && soc >= site->soc_max_percent)
		return err_set(e, ERR_REFUSED, 0, "the battery is full (%.0f %%); a step of discharging has no minus",
			       soc);
	return check_most(w, limit, "the BMS allows", e);
}

static int check_grid(const struct field *f, double w, struct err *e)
{
	const struct site_control *site = &f->site->control;
	double then = value_of(f, f->law.meter, POINT_GRID_POWER_W) - w;

	if (isfinite(then) && (then > site->import_limit_w || then < -site->export_limit_w))
		return err_set(e, ERR_REFUSED, 0, "the grid power would be %.0f W, beyond the site's limit", then);
	return 0;
}

static int check_step(const struct field *f, const struct wire_trial *w, struct err *e)
{
	const struct site_control *site = &f->site->control;
	unsigned roles = f->site->devices[w->device].roles;
	int bms = w->device == f->law.inverter ? f->law.bms : roles & 1u << SITE_BMS ? w->device : -1;
	const char *why = forbidden((void *)f);

	if (!(roles & 1u << SITE_BATTERY_INVERTER))
		return err_set(e, ERR_INPUT, 0, "'%s' is no battery inverter; only these have a set-point",
			       f->site->devices[w->device].name);
	if (why)
		return err_set(e, ERR_REFUSED, 0, "%s; see `psec control off`", why);
	if (w->power_w == 0) /* only the way back to rest; tried until it is live */
		return 0;
	if (poll_device_state(f->poll, w->device) != DEVICE_LIVE)
		return err_set(e, ERR_UNREACHABLE, 0, "the device is lost: %s", poll_device_why(f->poll, w->device));
	if (fabs(w->power_w) < STEP_LEAST_W)
		return err_set(e, ERR_REFUSED, 0, "%.0f W is too little to be seen, at least %d W", w->power_w,
			       STEP_LEAST_W);
	if (check_most(w->power_w, STEP_MOST_W, "a step may have", e) < 0 ||
	    check_most(w->power_w, w->power_w > 0 ? site->discharge_limit_w : site->charge_limit_w, "the site's limit",
		       e) < 0 ||
	    check_most(w->power_w, value_of(f, w->device, w->power_w > 0 ? POINT_BATTERY_DISCHARGE_RATING_W
									  : POINT_BATTERY_CHARGE_RATING_W),
									  "its rating", e) < 0 ||
	    check_bms(f, bms, w->power_w, e) < 0)
		return -1;
	return check_grid(f, w->power_w, e);
}

/* ---- begin and end ---- */

void trying_begin(struct field *f, const struct wire_trial *w)
{
	const struct trial_hooks hooks = { .row = on_row, .done = on_done, .arg = f };
	const struct trial_sign_hooks sign_hooks = { .row = on_row, .done = on_done, .forbidden = forbidden, .arg = f };
	const struct trial_sign sign = { .device = w->device, .meter = f->law.meter, .power_w = w->power_w,
					 .seconds = w->seconds };
	struct wire_trial_done no = { .id = w->id, .kind = ERR_AGAIN,
				      .text = "another test runs, or psecd is about to end" };
	struct trying *t;
	struct err e;

	if (f->trying || f->leaving || f->leave_waits) { /* a step of before may be on its way back */
		(void)staff_tell_core(f, WIRE_TRIAL_DONE, &no, sizeof(no));
		return;
	}
	t = f->trying = xcalloc(1, sizeof(*t));
	t->id = t->last.id = w->id;
	t->again = (struct loop_timer){ .fn = drain, .arg = f };
	if (w->kind == WIRE_TRIAL_TEST)
		t->test = trial_begin(f->loop, f->poll, w->device, w->seconds, &hooks);
	else if (check_step(f, w, &e) < 0)
		on_done(f, e.kind, e.text);
	else
		t->step = trial_step_begin(f->loop, f->poll, &sign, &sign_hooks);
}

void trying_end(struct field *f, uint64_t id)
{
	struct trying *t = f->trying;

	if (!t || (id != UINT64_MAX && id != t->id))
		return;
	t->unwanted = true;
	if (t->step && !t->done)
		trial_step_stop(t->step, "nobody waits for it");
	else
		forget(f);
}

bool trying_writes(const struct field *f)
{
	return f->trying && f->trying->step && !f->trying->done;
}

void trying_release(struct field *f)
{
	if (f->trying)
		forget(f);
}
