/* staff: the supervisor's pair and core's. Without core the field goes on inside its envelope. */
#include "field.h"

#include <math.h>
#include <string.h>

enum { ENVELOPE_MOST_MS = 60000 };

static void core_speaks(void *arg, int fd, unsigned events);

/* ---- core ---- */

static void lose_core(struct field *f)
{
	loop_remove(f->core_source);
	wire_free(f->core);
	f->core_source = NULL;
	f->core = NULL;
	scanning_end(f, UINT64_MAX);
	if (!f->leaving)
		log_line(LOG_WARNING, "psecd-core is gone; its envelope holds for %lld ms",
			 (long long)((f->law.envelope.expires_boot_us - loop_now(f->loop)->boot_us) / US_PER_MS));
}

static void meet_core(struct field *f, int fd, uint64_t generation)
{
	struct err e;

	if (f->core)
		lose_core(f);
	f->generation = generation;
	if (wire_new(fd, &f->core, &e) < 0 ||
	    loop_add_fd(f->loop, wire_fd(f->core), LOOP_READ, core_speaks, f, &f->core_source, &e) < 0) {
		wire_free(f->core); /* it died meanwhile: the supervisor will send another end */
		f->core = NULL;
		return;
	}
	if (f->started)
		tell_all(f);
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

/* NULL, or how core broke the contract. */
static const char *take_from_core(struct field *f, enum wire_kind kind, const void *body)
{
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

static void report_odd(struct field *f, const char *why)
{
	struct wire_odd odd = { .generation = f->generation };
	struct err e;

	str_copy(odd.why, sizeof(odd.why), why);
	if (wire_send(f->supervisor, WIRE_ODD, &odd, sizeof(odd), &e) != 1)
		log_line(LOG_ERROR, "psecd-core is odd and nobody hears it: %s", why);
}

static void core_speaks(void *arg, int fd, unsigned events)
{
	struct field *f = arg;
	enum wire_kind kind;
	const void *body;
	const char *why;
	size_t len;
	struct err e;
	int got;

	(void)fd, (void)events;
	while (f->core && (got = wire_receive(f->core, &kind, &body, &len, &e)) != 0) {
		if (got > 0 && !(why = take_from_core(f, kind, body)))
			continue;
		if (got > 0 || e.kind == ERR_INPUT)
			report_odd(f, got > 0 ? why : e.text);
		lose_core(f);
	}
}

/* ---- the supervisor ---- */

static bool take_from_supervisor(struct field *f, enum wire_kind kind, const void *body)
{
	struct err e;

	switch (kind) {
	case WIRE_ALIVE:
		return wire_send(f->supervisor, WIRE_ALIVE, NULL, 0, &e) >= 0;
	case WIRE_STOP:
		leave_begin(f, false);
		return true;
	case WIRE_SHUTDOWN:
		loop_stop(f->loop);
		return true;
	case WIRE_PEER:
		meet_core(f, wire_take_fd(f->supervisor), ((const struct wire_peer *)body)->generation);
		return true;
	default:
		return false;
	}
}

static void supervisor_speaks(void *arg, int fd, unsigned events)
{
	struct field *f = arg;
	enum wire_kind kind;
	const void *body;
	size_t len;
	struct err e;
	int got;

	(void)fd, (void)events;
	while ((got = wire_receive(f->supervisor, &kind, &body, &len, &e)) != 0) {
		if (got > 0 && take_from_supervisor(f, kind, body))
			continue;
		log_line(LOG_ERROR, "psecd is gone or odd (%s); going to the safe set-point",
			 got > 0 ? "unexpected message" : e.text);
		loop_remove(f->supervisor_source);
		f->supervisor_source = NULL;
		leave_begin(f, true);
		return;
	}
}

int staff_meet_supervisor(struct field *f, struct err *e)
{
	if (wire_new(WIRE_FD_SUPERVISOR, &f->supervisor, e) < 0)
		return err_ctx(e, "psecd-field is started by psecd");
	return loop_add_fd(f->loop, wire_fd(f->supervisor), LOOP_READ, supervisor_speaks, f, &f->supervisor_source, e);
}

void staff_release(struct field *f)
{
	loop_remove(f->core_source);
	loop_remove(f->supervisor_source);
	wire_free(f->core);
	wire_free(f->supervisor);
}
