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

/* What the tests' devices hold. */
static inline uint16_t value_at(unsigned address)
{
	return (uint16_t)(address * 2654435761u >> 9);
}

static inline void assert_right(const struct bus_reply *r, const struct bus_request *q)
{
	assert_outcome(r, BUS_OK);
	assert_int_equal(r->count, q->count);
	for (unsigned i = 0; i < q->count; i++)
		assert_int_equal(q->function <= 2 ? r->bits[i] : r->regs[i],
				 q->function <= 2 ? value_at(q->address + i) & 1 : value_at(q->address + i));
}

/* A wrong first answer. */
struct lie {
	const char *name;
	enum bus_outcome outcome;
	const char *why;
	int connections; /* TCP: in all, after three more questions */
	size_t (*change)(uint8_t *adu, size_t len); /* of the right answer; adu has room for 1024; returns the new length */
};

/* One test a lie, and what a link says in time. */
static inline int run_with_lies(const struct lie *lies, size_t lie_count, CMUnitTestFunction told,
				const struct CMUnitTest *fixed, size_t fixed_count)
{
	struct CMUnitTest tests[64] = {0};

	assert_true(lie_count + fixed_count <= COUNT_OF(tests));
	for (size_t i = 0; i < lie_count; i++)
		tests[i] = (struct CMUnitTest){.name = lies[i].name, .initial_state = (void *)&lies[i], .test_func = told};
	memcpy(tests + lie_count, fixed, fixed_count * sizeof *fixed);
	return _cmocka_run_group_tests("bus", tests, lie_count + fixed_count, NULL, NULL);
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
