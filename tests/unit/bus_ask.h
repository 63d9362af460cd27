/* bus_ask.h: one question, asked and waited for in a loop of the test's own; for the tests of bus's links. */
#ifndef PSEC_TESTS_BUS_ASK_H
#define PSEC_TESTS_BUS_ASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bus/bus.h"

struct asked {
	struct bus_reply reply;
	int calls;
};

static inline void ask_note(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct asked *a = arg;

	(void)q;
	a->reply = *r;
	a->calls++;
}

static inline void turn(struct loop *l)
{
	struct err e;

	if (loop_turn(l, INT64_MAX, &e) < 0)
		fail_msg("%s", e.text);
}

static inline struct bus_reply ask_for(struct loop *l, struct bus_link *k, const struct bus_request *q, int answer_ms)
{
	struct asked a = {0};
	struct err e;

	if (bus_link_ask(k, q, answer_ms, ask_note, &a, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(a.calls, 0); /* never from within the call */
	while (a.calls == 0)
		turn(l);
	assert_int_equal(a.calls, 1);
	assert_false(bus_link_busy(k));
	return a.reply;
}

/* With the link's patience. */
static inline struct bus_reply ask(struct loop *l, struct bus_link *k, const struct bus_request *q)
{
	return ask_for(l, k, q, 0);
}

static inline struct bus_request read_holding(uint8_t unit, uint16_t address, uint16_t count)
{
	return (struct bus_request){.unit = unit, .function = BUS_READ_HOLDING, .address = address, .count = count};
}

static inline void assert_outcome(const struct bus_reply *r, enum bus_outcome want)
{
	if (r->outcome != want)
		fail_msg("%s (%s) instead of %s", bus_outcome_name(r->outcome), r->why, bus_outcome_name(want));
}

static inline struct loop *new_loop(void)
{
	struct loop *l;
	struct err e;

	if (loop_new(&l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

#endif
