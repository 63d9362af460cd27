/* leave: the way out. The battery goes to the safe set-point, read back; then whoever asked is told. Bounded: a
 * device that is lost has its own watchdog. */
#include "field.h"

enum { PATIENCE_MS = 4000, RETRY_MS = 250 };

static void say(struct field *f, bool shown, const char *why)
{
	struct wire_stopped w = { .shown = shown, .setpoint_w = f->law.last_w };
	struct err e;

	if (f->left)
		return;
	f->left = true;
	loop_timer_stop(f->loop, &f->patience);
	loop_timer_stop(f->loop, &f->retry);
	str_copy(w.why, sizeof(w.why), why);
	log_line(shown ? LOG_NOTICE : LOG_ERROR, "%s", why);
	/* Also on the way out by a signal: systemd sends it to all of us, and the supervisor waits for this word. */
	if (wire_send(f->supervisor, WIRE_STOPPED, &w, sizeof(w), &e) != 1 || f->then_end)
		loop_stop(f->loop);
}

static void patience_over(void *arg)
{
	struct field *f = arg;
	char text[WIRE_TEXT_LEN];

	snprintf(text, sizeof(text), "the safe set-point of %.0f W is not shown: %s", f->site->control.safe_w,
		 f->leave_why[0] ? f->leave_why : "no answer in time");
	say(f, false, text);
}

static void write_safe(void *arg)
{
	struct field *f = arg;

	law_write(f, f->site->control.safe_w, POLL_CONTROL, 0);
}

/* Nothing to take back: nothing was commanded in this life, or 0 W stands. In mode off or observe a set-point that
 * others gave is not ours to change. */
static bool nothing_commanded(const struct field *f)
{
	bool idle = f->law.decision.state == CONTROL_IDLE || f->law.decision.state == CONTROL_REFUSED;

	return !f->law.control || !f->law.wrote || (idle && f->law.last_w == 0 && f->law.last_shown);
}

void leave_begin(struct field *f, bool then_end)
{
	f->then_end |= then_end;
	if (f->left && then_end)
		loop_stop(f->loop);
	if (f->leaving)
		return;
	check_abort(f);
	f->leave_waits = trying_writes(f); /* its end calls again */
	trying_end(f, UINT64_MAX);
	if (f->leave_waits)
		return;
	f->leaving = true;
	if (f->law.control)
		loop_timer_stop(f->loop, &f->law.wake);
	if (!f->started || nothing_commanded(f)) {
		say(f, true, "no set-point was given that had to be taken back");
		return;
	}
	f->patience = (struct loop_timer){ .fn = patience_over, .arg = f };
	f->retry = (struct loop_timer){ .fn = write_safe, .arg = f };
	loop_timer_set(f->loop, &f->patience, loop_now(f->loop)->boot_us + PATIENCE_MS * US_PER_MS);
	write_safe(f);
}

void leave_written(struct field *f, double value, enum poll_written how, const char *why)
{
	char text[WIRE_TEXT_LEN];

	if (f->left || value != f->site->control.safe_w)
		return; /* an earlier one */
	if (how == POLL_SHOWN) {
		snprintf(text, sizeof(text), "the inverter shows the safe set-point of %.0f W", value);
		say(f, true, text);
	} else if (how != POLL_REPLACED) {
		str_copy(f->leave_why, sizeof(f->leave_why), why);
		loop_timer_set(f->loop, &f->retry, loop_now(f->loop)->boot_us + RETRY_MS * US_PER_MS);
	}
}
