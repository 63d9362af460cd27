/* child: what core and field do alike in their lives, so that they do it alike. */
#include "wire/wire.h"

#include <signal.h>

void wire_child_begin(const char *name)
{
	log_init(name, LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	/* Ctrl-C in a terminal reaches the whole group; the supervisor ends us in its order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

int wire_child_meet(struct loop *l, const struct wire_ear *ear, struct wire **out, struct err *e)
{
	return wire_new(l, WIRE_FD_SUPERVISOR, ear, out, e) < 0 ? err_ctx(e, "psecd starts this program") : 0;
}

struct wire *wire_child_meet_peer(struct loop *l, struct wire *supervisor, const struct wire_ear *ear)
{
	struct wire *peer;
	struct err e;

	return wire_new(l, wire_take_fd(supervisor), ear, &peer, &e) < 0 ? NULL : peer;
}

void wire_child_odd(struct wire *supervisor, uint64_t generation, const char *who, const char *why)
{
	struct wire_odd odd = { .generation = generation };
	struct err e;

	str_copy(odd.why, sizeof(odd.why), why);
	if (wire_send(supervisor, WIRE_ODD, &odd, sizeof(odd), &e) != 1)
		log_line(LOG_ERROR, "%s is odd and nobody hears it: %s", who, why);
}

void wire_child_failed(struct wire *supervisor, const struct err *e)
{
	struct wire_failed failed = { .kind = (int32_t)e->kind };
	struct err ignored;

	log_line(LOG_ERROR, "%s", e->text);
	if (supervisor && wire_send(supervisor, WIRE_FAILED, &failed, sizeof(failed), &ignored) != 1)
		log_line(LOG_DEBUG, "nobody hears it");
}
