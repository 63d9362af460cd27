/* hear: what the children say to the supervisor. A short list; what is not on it ends who said it. */
#include "staff.h"

#include <signal.h>
#include <string.h>

static void child_running(struct child *c, const struct wire_running *r)
{
	struct staff *s = c->staff;

	c->ready = true;
	str_copy(c->missing, sizeof(c->missing), r->missing);
	if (!s->all_ready && staff_other(c)->ready) {
		s->all_ready = true;
		log_line(LOG_NOTICE, "site %s runs; control socket %s", s->place->start.site.id,
			 s->place->start.paths.socket);
		if (s->place->missing[0])
			log_line(LOG_WARNING, "%s", s->place->missing);
		for (int i = 0; i < CHILDREN; i++) {
			if (s->children[i].missing[0] &&
			    (i == 0 || !str_eq(s->children[i].missing, s->children[0].missing)))
				log_line(LOG_WARNING, "%s", s->children[i].missing);
		}
		notify_say("READY=1");
	}
	staff_tell_core(s);
}

static void other_is_odd(struct child *c, const struct wire_odd *odd)
{
	struct child *other = staff_other(c);

	if (!other->runs || odd->generation != c->staff->generation)
		return; /* already known, or of an earlier pair */
	log_line(LOG_ERROR, "%s is ended: %s says it broke the contract: %s", other->name, c->name, odd->why);
	kill(other->proc.pid, SIGKILL);
}

static void safe_is_reached(struct staff *s, const struct wire_stopped *w)
{
	if (!s->stopping || s->ending)
		return;
	if (w->shown)
		log_line(LOG_NOTICE, "devices are safe: %s", w->why);
	else
		log_line(LOG_ERROR, "the safe set-point is not shown: %s", w->why);
	staff_end_all(s);
}

static const char *take_from_child(void *arg, enum wire_kind kind, const void *body)
{
	static const char not_its[] = "it said what it may not say";
	struct child *c = arg;
	struct wire_odd odd;

	switch (kind) {
	case WIRE_ALIVE:
		c->asked = false;
		return NULL;
	case WIRE_RUNNING:
		if (!wire_text_ok(((const struct wire_running *)body)->missing))
			return not_its;
		child_running(c, body);
		return NULL;
	case WIRE_FAILED:
		c->failed = (enum err_kind)((const struct wire_failed *)body)->kind;
		return c->failed > ERR_NONE && c->failed <= ERR_INTERRUPTED ? NULL : not_its;
	case WIRE_ODD:
		odd = *(const struct wire_odd *)body;
		odd.why[sizeof(odd.why) - 1] = '\0';
		other_is_odd(c, &odd);
		return NULL;
	case WIRE_STOPPED:
		if (c->index != FIELD || !wire_text_ok(((const struct wire_stopped *)body)->why))
			return not_its;
		safe_is_reached(c->staff, body);
		return NULL;
	default:
		return not_its;
	}
}

/* Gone: its pidfd tells the rest. Odd: it ends now. */
static void child_is_silent(void *arg, const struct err *e)
{
	struct child *c = arg;

	if (e->kind != ERR_INPUT)
		return;
	log_line(LOG_ERROR, "%s is ended: %s", c->name, e->text);
	kill(c->proc.pid, SIGKILL);
}

struct wire_ear hear_child(struct child *c)
{
	return (struct wire_ear){ .said = take_from_child, .ended = child_is_silent, .arg = c };
}
