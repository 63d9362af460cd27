/* staff: the supervisor's pair and the field's. The field's end comes anew whenever one of us was started. */
#include "core.h"

#include <string.h>

/* ---- the field ---- */

static void lose_field(struct core *c)
{
	wire_free(c->field);
	c->field = NULL;
	known_field_gone(c);
}

static const char *take_from_field(void *arg, enum wire_kind kind, const void *body)
{
	return known_take(arg, kind, body);
}

static void field_ended(void *arg, const struct err *e)
{
	struct core *c = arg;

	if (e->kind == ERR_INPUT) {
		c->field_lost = true;
		record_event(c, SEVERITY_ALARM, "odd", "", "", "psecd-field broke the contract and is ended: %s",
			     e->text);
		wire_child_odd(c->supervisor, c->generation, "psecd-field", e->text);
	}
	lose_field(c);
}

static void meet_field(struct core *c, uint64_t generation)
{
	const struct wire_ear ear = { .said = take_from_field, .ended = field_ended, .arg = c };

	if (c->field)
		lose_field(c);
	c->generation = generation;
	c->field = wire_child_meet_peer(c->loop, c->supervisor, &ear);
}

int core_tell_field(struct core *c, enum wire_kind kind, const void *body, size_t len)
{
	struct err e;

	/* A field that does not read is the supervisor's to find; its envelope expires. */
	return c->field ? wire_send(c->field, kind, body, len, &e) : -1;
}

/* ---- the supervisor ---- */

static bool staff_ok(const struct wire_staff *w)
{
	if (w->count > WIRE_PROCESSES || !wire_text_ok(w->missing))
		return false;
	for (uint32_t i = 0; i < w->count; i++) {
		if (!wire_text_ok(w->processes[i].name))
			return false;
	}
	return true;
}

/* A field that ends before it was ever ready is not starting. */
static void note_restart(struct core *c)
{
	for (uint32_t i = 0; i < c->staff.count; i++) {
		if (str_eq(c->staff.processes[i].name, "psecd-field") && c->staff.processes[i].restarts &&
		    !c->field_ready)
			c->field_lost = true;
	}
}

static const char *take_from_supervisor(void *arg, enum wire_kind kind, const void *body)
{
	struct core *c = arg;
	struct err e;

	switch (kind) {
	case WIRE_ALIVE:
		return wire_send(c->supervisor, WIRE_ALIVE, NULL, 0, &e) >= 0 ? NULL : "it asked and went";
	case WIRE_STOP:
		c->stopping = true;
		record_event(c, SEVERITY_INFO, "stop", "", "", "psecd stops");
		return NULL;
	case WIRE_SHUTDOWN:
		loop_stop(c->loop);
		return NULL;
	case WIRE_PEER:
		meet_field(c, ((const struct wire_peer *)body)->generation);
		return NULL;
	case WIRE_STAFF:
		if (!staff_ok(body))
			return "it says who runs and holds what cannot be";
		c->staff = *(const struct wire_staff *)body;
		note_restart(c);
		report_changed(c);
		return NULL;
	default:
		return "a message that is not the supervisor's to send";
	}
}

static void supervisor_ended(void *arg, const struct err *e)
{
	struct core *c = arg;

	log_line(LOG_ERROR, "psecd is gone or odd (%s); ending", e->text);
	c->failed = true;
	loop_stop(c->loop);
}

int core_meet_supervisor(struct core *c, struct err *e)
{
	const struct wire_ear ear = { .said = take_from_supervisor, .ended = supervisor_ended, .arg = c };

	return wire_child_meet(c->loop, &ear, &c->supervisor, e);
}
