/* A step of power as a sign: measure, step, measure, back. Each write expires soon and is said again while the step
 * lasts, so that a device with a watchdog leaves it when we are gone; the way back is tried until it is read back. */
#include <math.h>
#include <string.h>

#include "poll/poll.h"
#include "trial/seen.h"

enum { TICK_MS = 200, BEFORE_MS = 2000, BEFORE_TRIES = 4, STEADY_W = 30, REPEAT_MS = 1000, EXPIRE_MS = 1000,
       BACK_MS = 6000 };

enum phase { BEFORE, STEP, BACK, OVER };

struct mean { double sum, lowest, highest; uint32_t count; };

struct trial_step {
	struct loop *loop;
	struct poll *poll;
	struct trial_sign sign;
	struct trial_sign_hooks hooks;
	struct loop_timer timer;
	enum phase phase;
	int64_t phase_us, asked_us;
	double rest_w;                 /* the set-point that stood before */
	struct mean own[2], grid[2];   /* before, and while it stood */
	int befores;
	bool shown, back_shown, in_flight;
	char why[120], stopped[120];
};

static int64_t clock_us(const struct trial_step *s)
{
	return loop_now(s->loop)->boot_us;
}

static double reading(const struct trial_step *s, int device, enum device_point p)
{
	struct device_reading r;

	return device >= 0 && poll_reading(s->poll, device, p, &r) && r.quality == DEVICE_GOOD ? r.value : NAN;
}

static void add(struct mean *m, double v)
{
	if (!isfinite(v))
		return;
	m->lowest = m->count > 0 ? fmin(m->lowest, v) : v;
	m->highest = m->count > 0 ? fmax(m->highest, v) : v;
	m->sum += v;
	m->count++;
}

static double mean(const struct mean *m)
{
	return m->count > 0 ? m->sum / m->count : NAN;
}

static void enter(struct trial_step *s, enum phase p)
{
	s->phase = p;
	s->phase_us = clock_us(s);
	s->asked_us = 0;
}

static int64_t phase_ms(const struct trial_step *s)
{
	return (clock_us(s) - s->phase_us) / US_PER_MS;
}

/* ---- writing ---- */

static void written(void *arg, int device, enum device_point point, double value, enum poll_written how,
		    const char *why, int64_t sent_boot_us)
{
	struct trial_step *s = arg;

	(void)device, (void)point, (void)sent_boot_us;
	s->in_flight = false;
	if (how == POLL_REPLACED)
		return;
	if (how != POLL_SHOWN)
		str_copy(s->why, sizeof s->why, why);
	else if (s->phase == BACK && value == s->rest_w)
		s->back_shown = true;
	else
		s->shown = true;
}

static void say(struct trial_step *s, double w)
{
	int64_t now_us = clock_us(s);
	struct err e;

	if (s->in_flight || (s->asked_us > 0 && now_us - s->asked_us < REPEAT_MS * US_PER_MS))
		return;
	s->asked_us = now_us;
	if (poll_write(s->poll, s->sign.device, POINT_BATTERY_SETPOINT_W, w, POLL_TEST, now_us + EXPIRE_MS * US_PER_MS,
		       written, s, &e) < 0)
		str_copy(s->why, sizeof s->why, e.text);
	else
		s->in_flight = true;
}

/* ---- what was seen ---- */

static void tell(struct trial_step *s, const char *what, enum trial_verdict v, double value, const char *why)
{
	struct trial_row row = trial_row_about(what);

	row.verdict = (uint8_t)v;
	row.value = value;
	str_copy(row.why, sizeof row.why, why);
	s->hooks.row(s->hooks.arg, &row);
}

/* factor: -1 for the meter, which shows the battery's discharge as less import. */
static void tell_moved(struct trial_step *s, const char *what, const struct mean m[2], double factor)
{
	double before = mean(&m[0]), after = mean(&m[1]), wanted = factor * (s->sign.power_w - s->rest_w);
	bool followed = fabs(after - before - wanted) <= fabs(wanted) / 2;
	char why[160];

	if (!isfinite(before) || !isfinite(after)) {
		tell(s, what, TRIAL_ABSENT, NAN, "not seen");
		return;
	}
	snprintf(why, sizeof why, "from %.0f W to %.0f W%s", before, after,
		 followed ? ""
		 : fabs(after - before + wanted) <= fabs(wanted) / 2 ? ": the other way round" : ": did not follow");
	tell(s, what, followed ? TRIAL_OK : TRIAL_SUSPICIOUS, after, why);
}

static void finish(struct trial_step *s)
{
	char why[160];

	s->phase = OVER;
	if (s->sign.power_w != 0) {
		snprintf(why, sizeof why, "%.0f W for %d s%s%s%s", s->sign.power_w, s->sign.seconds,
			 s->shown ? ", read back" : ": not shown: ", s->shown ? "" : s->why,
			 s->stopped[0] ? "; ended early" : "");
		tell(s, "set-point", s->shown ? TRIAL_OK : TRIAL_FAILED, s->sign.power_w, why);
		tell_moved(s, "its own power", s->own, 1);
		if (s->sign.meter >= 0)
			tell_moved(s, "grid meter", s->grid, -1);
	}
	snprintf(why, sizeof why, "%.0f W again%s%s", s->rest_w, s->back_shown ? ", read back" : ": NOT shown: ",
		 s->back_shown ? "" : s->why[0] ? s->why : "no answer");
	tell(s, "back", s->back_shown ? TRIAL_OK : TRIAL_FAILED, s->rest_w, why);
	s->hooks.done(s->hooks.arg, s->stopped[0] ? ERR_REFUSED : ERR_NONE, s->stopped);
}

/* ---- in time ---- */

/* What the battery did before must have died away; a battery that others move is not waited for long. */
static void end_before(struct trial_step *s)
{
	const struct mean *m = &s->own[0];

	if (m->count > 0 && m->highest - m->lowest > fmax(STEADY_W, fabs(s->sign.power_w) / 10) &&
	    ++s->befores < BEFORE_TRIES) {
		s->own[0] = s->grid[0] = (struct mean){ 0 };
		enter(s, BEFORE);
		return;
	}
	enter(s, STEP);
}

static void step(struct trial_step *s)
{
	if (s->phase == BEFORE) {
		add(&s->own[0], reading(s, s->sign.device, POINT_BATTERY_POWER_W));
		add(&s->grid[0], reading(s, s->sign.meter, POINT_GRID_POWER_W));
		if (phase_ms(s) >= BEFORE_MS)
			end_before(s);
	}
	if (s->phase == STEP) {
		say(s, s->sign.power_w);
		if (phase_ms(s) >= 600 * s->sign.seconds) { /* what comes after the first while is settled */
			add(&s->own[1], reading(s, s->sign.device, POINT_BATTERY_POWER_W));
			add(&s->grid[1], reading(s, s->sign.meter, POINT_GRID_POWER_W));
		}
		if (phase_ms(s) >= 1000 * s->sign.seconds)
			enter(s, BACK);
	}
	if (s->phase == BACK) {
		if (s->back_shown || phase_ms(s) >= BACK_MS)
			finish(s);
		else
			say(s, s->rest_w);
	}
}

static void tick(void *arg)
{
	struct trial_step *s = arg;
	const char *forbidden = s->phase < BACK ? s->hooks.forbidden(s->hooks.arg) : NULL;

	if (forbidden == NULL && s->phase < BACK && poll_device_state(s->poll, s->sign.device) != DEVICE_LIVE)
		forbidden = "the device is lost";
	if (forbidden != NULL)
		trial_step_stop(s, forbidden);
	step(s);
	if (s->phase != OVER)
		loop_timer_set(s->loop, &s->timer, clock_us(s) + TICK_MS * US_PER_MS);
}

struct trial_step *trial_step_begin(struct loop *l, struct poll *p, const struct trial_sign *sign,
				    const struct trial_sign_hooks *hooks)
{
	struct trial_step *s = xcalloc(1, sizeof *s);
	double stood;

	*s = (struct trial_step){ .loop = l, .poll = p, .sign = *sign, .hooks = *hooks,
				  .timer = { .fn = tick, .arg = s } };
	stood = reading(s, sign->device, POINT_BATTERY_SETPOINT_W);
	s->rest_w = isfinite(stood) && sign->power_w != 0 ? stood : 0;
	enter(s, sign->power_w != 0 ? BEFORE : BACK);
	loop_timer_set(l, &s->timer, clock_us(s));
	return s;
}

void trial_step_stop(struct trial_step *s, const char *why)
{
	if (s == NULL || s->phase >= BACK)
		return;
	str_copy(s->stopped, sizeof s->stopped, why);
	enter(s, BACK);
}

void trial_step_free(struct trial_step *s)
{
	if (s == NULL)
		return;
	loop_timer_stop(s->loop, &s->timer);
	free(s);
}
