/* check: the sign check. control judges, field feeds it every meter sample and writes what it asks for. */
#include "field.h"

#include <math.h>

enum { TICK_MS = 500, REPEAT_MS = 1000 };

static void finish(struct field *f, enum control_check_result r)
{
	struct wire_checked w = { .result = (int32_t)r, .check = f->check.check };

	f->check.runs = false;
	loop_timer_stop(f->loop, &f->check.tick);
	if (f->check.asked_w != 0)
		law_write(f, 0, POLL_TEST, 0);
	if (staff_tell_core(f, WIRE_CHECKED, &w, sizeof(w)) != 1)
		tell_event(f, SEVERITY_WARNING, "check", "", "sign check: %s, but core did not hear it",
			   control_check_words(r));
	law_decide(f, false);
}

static void write_step(struct field *f, double setpoint_w)
{
	int64_t now_us = loop_now(f->loop)->boot_us;

	if (setpoint_w == f->check.asked_w && now_us - f->check.asked_boot_us < REPEAT_MS * US_PER_MS)
		return;
	f->check.asked_w = setpoint_w;
	f->check.asked_boot_us = now_us;
	law_write(f, setpoint_w, POLL_TEST, 0);
}

void check_sample(struct field *f)
{
	const struct now *now = loop_now(f->loop);
	enum control_check_result r;
	struct control_input in;
	double setpoint_w = 0;

	law_input(f, &in);
	r = control_check_step(&f->check.check, &f->law.config, &in, now, &setpoint_w);
	if (r == CONTROL_CHECK_RUNS)
		write_step(f, setpoint_w);
	else
		finish(f, r);
}

/* Signals that stopped coming end the check, and so does an envelope that expired: nobody waits for it any more. */
static void tick(void *arg)
{
	struct field *f = arg;
	const struct now *now = loop_now(f->loop);
	struct control_input in;

	law_input(f, &in);
	if (!in.grid_w.valid || !in.battery_w.valid || now->boot_us - in.grid_w.at_boot_us > 10 * US_PER_S ||
	    now->boot_us >= f->law.envelope.expires_boot_us)
		finish(f, CONTROL_CHECK_LOST_SIGNAL);
	else
		loop_timer_set(f->loop, &f->check.tick, now->boot_us + TICK_MS * US_PER_MS);
}

void check_begin(struct field *f)
{
	struct wire_checked no = { .result = CONTROL_CHECK_LOST_SIGNAL };
	const struct now *now = loop_now(f->loop);
	struct control_input in;

	if (f->check.runs)
		return;
	if (!f->law.control || f->law.meter < 0 || f->leaving || trying_writes(f)) {
		if (staff_tell_core(f, WIRE_CHECKED, &no, sizeof(no)) != 1)
			log_line(LOG_WARNING, "core does not hear that there is nothing to check");
		return;
	}
	law_input(f, &in);
	control_check_begin(&f->check.check, &f->law.config, &in, now);
	loop_timer_stop(f->loop, &f->law.wake);
	f->check.runs = true;
	f->check.asked_w = NAN; /* the baseline's 0 W is written, too */
	loop_timer_set(f->loop, &f->check.tick, now->boot_us);
}

void check_abort(struct field *f)
{
	if (f->check.runs)
		finish(f, CONTROL_CHECK_LOST_SIGNAL);
}

void check_init(struct field *f)
{
	f->check.tick = (struct loop_timer){ .fn = tick, .arg = f };
}
