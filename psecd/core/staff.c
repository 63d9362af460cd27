/* staff: the supervisor's pair and the field's. The field's end comes anew whenever one of us was started. */
#include "core.h"

#include <string.h>

static void field_speaks(void *arg, int fd, unsigned events);

/* ---- the field ---- */

static void lose_field(struct core *c)
{
	loop_remove(c->field_source);
	wire_free(c->field);
	c->field_source = NULL;
	c->field = NULL;
	known_field_gone(c);
}

static void meet_field(struct core *c, int fd, uint64_t generation)
{
	struct err e;

	if (c->field)
		lose_field(c);
	c->generation = generation;
	if (wire_new(fd, &c->field, &e) < 0 ||
	    loop_add_fd(c->loop, wire_fd(c->field), LOOP_READ, field_speaks, c, &c->field_source, &e) < 0) {
		wire_free(c->field); /* it died meanwhile: the supervisor will send another end */
		c->field = NULL;
	}
}

static void report_odd(struct core *c, const char *why)
{
	struct wire_odd odd = { .generation = c->generation };
	struct err e;

	str_copy(odd.why, sizeof(odd.why), why);
	record_event(c, STORE_ALARM, "odd", "", "", "psecd-field broke the contract and is ended: %s", why);
	if (wire_send(c->supervisor, WIRE_ODD, &odd, sizeof(odd), &e) != 1)
		log_line(LOG_ERROR, "psecd-field is odd and nobody hears it: %s", why);
}

static void field_speaks(void *arg, int fd, unsigned events)
{
	struct core *c = arg;
	enum wire_kind kind;
	const void *body;
	const char *why;
	size_t len;
	struct err e;
	int got;

	(void)fd, (void)events;
	while (c->field && (got = wire_receive(c->field, &kind, &body, &len, &e)) != 0) {
		if (got > 0 && known_take(c, kind, body, &why))
			continue;
		if (got > 0)
			report_odd(c, why);
		else if (e.kind == ERR_INPUT)
			report_odd(c, e.text);
		lose_field(c);
	}
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

static bool handle(struct core *c, enum wire_kind kind, const void *body)
{
	struct err e;

	switch (kind) {
	case WIRE_ALIVE:
		return wire_send(c->supervisor, WIRE_ALIVE, NULL, 0, &e) >= 0;
	case WIRE_STOP:
		c->stopping = true;
		record_event(c, STORE_INFO, "stop", "", "", "psecd stops");
		return true;
	case WIRE_SHUTDOWN:
		loop_stop(c->loop);
		return true;
	case WIRE_PEER:
		meet_field(c, wire_take_fd(c->supervisor), ((const struct wire_peer *)body)->generation);
		return true;
	case WIRE_STAFF:
		if (!staff_ok(body))
			return false;
		c->staff = *(const struct wire_staff *)body;
		report_changed(c);
		return true;
	default:
		return false;
	}
}

static void supervisor_speaks(void *arg, int fd, unsigned events)
{
	struct core *c = arg;
	enum wire_kind kind;
	const void *body;
	size_t len;
	struct err e;
	int got;

	(void)fd, (void)events;
	while ((got = wire_receive(c->supervisor, &kind, &body, &len, &e)) != 0) {
		if (got > 0 && handle(c, kind, body))
			continue;
		log_line(LOG_ERROR, "psecd is gone or odd (%s); ending", got > 0 ? "unexpected message" : e.text);
		c->failed = true;
		loop_stop(c->loop);
		return;
	}
}

int core_meet_supervisor(struct core *c, struct err *e)
{
	if (wire_new(WIRE_FD_SUPERVISOR, &c->supervisor, e) < 0)
		return err_ctx(e, "psecd-core is started by psecd");
	return loop_add_fd(c->loop, wire_fd(c->supervisor), LOOP_READ, supervisor_speaks, c, &c->supervisor_source, e);
}
