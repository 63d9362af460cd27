/* staff: the supervisor's pair and core's. Without core the field goes on inside its envelope. */
#include "field.h"

#include <math.h>
#include <string.h>

enum { ENVELOPE_MOST_MS = 60000 };

/* ---- core ---- */

static void lose_core(struct field *f)
{
	wire_free(f->core);
	f->core = NULL;
	scanning_end(f, UINT64_MAX);
	trying_end(f, UINT64_MAX);
	if (!f->leaving)
		log_line(LOG_WARNING, "psecd-core is gone; its envelope holds for %lld ms",
			 (long long)((f->law.envelope.expires_boot_us - loop_now(f->loop)->boot_us) / US_PER_MS));
}

int staff_tell_core(struct field *f, enum wire_kind kind, const void *body, size_t len)
{
	struct err e;

	return f->core ? wire_send(f->core, kind, body, len, &e) : -1;
}

static bool envelope_ok(const struct field *f, const struct wire_envelope *w)
{
	const struct control_envelope *v = &w->envelope;

	return (unsigned)v->mode < SITE_MODE_COUNT && isfinite(v->manual_w) && isfinite(v->target_w) && w->serial > 0 &&
	       v->expires_boot_us <= loop_now(f->loop)->boot_us + ENVELOPE_MOST_MS * US_PER_MS;
}

static bool scan_ok(const struct wire_scan *w)
{
	if (w->count == 0 || w->count > SCAN_TARGETS_MAX)
		return false;
	for (uint32_t i = 0; i < w->count; i++) {
		if (!wire_text_ok(w->targets[i]))
			return false;
	}
	return true;
}

static bool trial_ok(const struct field *f, const struct wire_trial *w)
{
	return w->kind <= WIRE_TRIAL_STEP && w->device >= 0 && (size_t)w->device < f->site->device_count &&
	       isfinite(w->power_w) && w->seconds >= 2 && w->seconds <= TRIAL_ROUNDS_MAX;
}

/* NULL, or how core broke the contract. */
static const char *take_from_core(void *arg, enum wire_kind kind, const void *body)
{
	struct field *f = arg;

	switch (kind) {
	case WIRE_ENVELOPE:
		if (!envelope_ok(f, body))
			return "an envelope holds what cannot be";
		law_envelope(f, body);
		return NULL;
	case WIRE_CHECK:
		check_begin(f);
		return NULL;
	case WIRE_SCAN:
		if (!scan_ok(body))
			return "a scan holds what cannot be";
		scanning_begin(f, body);
		return NULL;
	case WIRE_TRIAL:
		if (!trial_ok(f, body))
			return "a test holds what cannot be";
		trying_begin(f, body);
		return NULL;
	case WIRE_TRIAL_END:
		trying_end(f, ((const struct wire_trial_end *)body)->id);
		return NULL;
	case WIRE_NOTED:
		tell_noted(f, ((const struct wire_noted *)body)->serial);
		return NULL;
	case WIRE_SCAN_END:
		scanning_end(f, ((const struct wire_scan_end *)body)->id);
		return NULL;
	default:
		return "a message that is not core's to send";
	}
}

static void core_ended(void *arg, const struct err *e)
{
	struct field *f = arg;

	if (e->kind == ERR_INPUT)
		wire_child_odd(f->supervisor, f->generation, "psecd-core", e->text);
	lose_core(f);
}

static void meet_core(struct field *f, uint64_t generation)
{
	const struct wire_ear ear = { .said = take_from_core, .ended = core_ended, .arg = f };

	if (f->core)
		lose_core(f);
	f->generation = generation;
	f->core = wire_child_meet_peer(f->loop, f->supervisor, &ear);
	if (f->core && f->started)
		tell_all(f);
}

/* ---- the supervisor ---- */

static const char *take_from_supervisor(void *arg, enum wire_kind kind, const void *body)
{
	struct field *f = arg;
	struct err e;

	switch (kind) {
	case WIRE_ALIVE:
		return wire_send(f->supervisor, WIRE_ALIVE, NULL, 0, &e) >= 0 ? NULL : "it asked and went";
	case WIRE_STOP:
		leave_begin(f, false);
		return NULL;
	case WIRE_SHUTDOWN:
		loop_stop(f->loop);
		return NULL;
	case WIRE_PEER:
		meet_core(f, ((const struct wire_peer *)body)->generation);
		return NULL;
	default:
		return "a message that is not the supervisor's to send";
	}
}

static void supervisor_ended(void *arg, const struct err *e)
{
	log_line(LOG_ERROR, "psecd is gone or odd (%s); going to the safe set-point", e->text);
	leave_begin(arg, true);
}

int staff_meet_supervisor(struct field *f, struct err *e)
{
	const struct wire_ear ear = { .said = take_from_supervisor, .ended = supervisor_ended, .arg = f };

	return wire_child_meet(f->loop, &ear, &f->supervisor, e);
}

void staff_release(struct field *f)
{
	wire_free(f->core);
	wire_free(f->supervisor);
}
