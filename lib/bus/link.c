/* link: what both kinds of line have in common: one question at a time, its pause, its end. */
#include <string.h>

#include "link.h"

static const struct bus_options defaults = {.connect_ms = 1000, .answer_ms = 1000};

int64_t boot_now_us(void)
{
	return now_read().boot_us;
}

static void remember(struct bus_link *k, uint8_t unit, bool failed)
{
	uint8_t bit = (uint8_t)(1u << unit % 8), *at = &k->failed_units[unit / 8];

	*at = (uint8_t)(failed ? *at | bit : *at & ~bit);
}

static void count(struct bus_counters *c, enum bus_outcome o)
{
	switch (o) {
	case BUS_OK:
		c->answered++;
		break;
	case BUS_EXCEPTION:
		c->answered++;
		c->exceptions++;
		break;
	case BUS_TIMEOUT:
		c->timeouts++;
		break;
	case BUS_LINE_NOISE:
		c->crc_errors++;
		c->garbled++;
		break;
	case BUS_GARBLED:
		c->garbled++;
		break;
	case BUS_CLOSED:
		c->closed++;
		break;
	case BUS_UNREACHABLE: case BUS_CANCELLED:
		break;
	}
}

void link_done(struct bus_link *k, const struct bus_reply *r)
{
	struct bus_request q = k->q; /* fn may ask the next question or free k */
	bus_reply_fn *fn = k->fn;
	void *arg = k->arg;

	loop_timer_stop(k->loop, &k->timer);
	k->phase = LINK_IDLE;
	if (k->options.pause_ms > 0)
		k->ended_boot_us = boot_now_us();
	count(&k->counters, r->outcome);
	remember(k, q.unit, r->outcome != BUS_OK && r->outcome != BUS_EXCEPTION);
	fn(arg, &q, r);
}

void link_fail_soon(struct bus_link *k, enum bus_outcome outcome, const char *why)
{
	k->phase = LINK_FAILING;
	k->failed = outcome;
	str_copy(k->failed_why, sizeof k->failed_why, why);
	loop_timer_set(k->loop, &k->timer, 0);
}

static void begin(struct bus_link *k)
{
	k->phase = LINK_WORKING;
	k->kind->begin(k);
}

static void on_timer(void *arg)
{
	struct bus_link *k = arg;
	struct bus_reply r = {0};

	switch (k->phase) {
	case LINK_PAUSING:
		begin(k);
		break;
	case LINK_WORKING:
		k->kind->expired(k);
		break;
	case LINK_FAILING:
		reply_fail(&r, k->failed, "%s", k->failed_why);
		r.received_boot_us = boot_now_us();
		link_done(k, &r);
		break;
	case LINK_IDLE:
		break;
	}
}

int bus_link_new(struct loop *l, const struct bus_address *a, const struct bus_options *o,
		 struct bus_link **out, struct err *e)
{
	struct bus_link *k = xcalloc(1, sizeof *k);
	int r;

	k->loop = l;
	k->address = *a;
	k->options = o ? *o : defaults;
	if (k->options.connect_ms <= 0)
		k->options.connect_ms = defaults.connect_ms;
	if (k->options.answer_ms <= 0)
		k->options.answer_ms = defaults.answer_ms;
	if (k->options.quiet_ms <= 0)
		k->options.quiet_ms = k->options.answer_ms;
	k->timer.fn = on_timer;
	k->timer.arg = k;
	r = a->kind == BUS_TCP ? tcp_open(k, e) : rtu_open(k, e);
	if (r < 0) {
		free(k);
		return -1;
	}
	*out = k;
	return 0;
}

void bus_link_free(struct bus_link *k)
{
	if (!k)
		return;
	loop_timer_stop(k->loop, &k->timer);
	k->kind->free(k);
	free(k);
}

int bus_link_ask(struct bus_link *k, const struct bus_request *q, int answer_ms, bus_reply_fn *fn, void *arg,
		 struct err *e)
{
	return bus_link_ask_on(k, 0, q, answer_ms, fn, arg, e);
}

int bus_link_ask_on(struct bus_link *k, uint64_t connection, const struct bus_request *q, int answer_ms,
		    bus_reply_fn *fn, void *arg, struct err *e)
{
	int64_t not_before = k->ended_boot_us + k->options.pause_ms * US_PER_MS;

	if (k->phase != LINK_IDLE)
		return err_set(e, ERR_AGAIN, 0, "the link is busy with another question");
	k->pdu_len = bus_pdu_encode(q, k->pdu);
	if (k->pdu_len == 0)
		return err_set(e, ERR_BUG, 0, "function %u with address %u and count %u is not a question", q->function,
			       q->address, q->count);
	k->q = *q;
	k->only_on = connection;
	k->fn = fn;
	k->arg = arg;
	k->answer_ms = answer_ms > 0 ? answer_ms : k->options.answer_ms;
	k->counters.asked++;
	k->counters.retries += k->failed_units[q->unit / 8] >> q->unit % 8 & 1;
	if (k->ended_boot_us && boot_now_us() < not_before) {
		k->phase = LINK_PAUSING;
		loop_timer_set(k->loop, &k->timer, not_before);
	} else {
		begin(k);
	}
	return 0;
}

const struct bus_counters *bus_link_counters(const struct bus_link *k)
{
	return &k->counters;
}
