/* What an answer means: values, a word of the device, or one try less. */
#include <string.h>

#include "poll/inside.h"

/* Keep the beat; a beat that was missed is not made up for. */
static void schedule(struct dev *d, size_t block)
{
	struct block_plan *b = &d->plans[block];
	int64_t now_us = poll_clock(d->poll);

	b->tried = true;
	if (d->poll->only_once || d->blocks[block].rate == DEVICE_ONCE)
		b->due_us = INT64_MAX;
	else if (b->due_us <= now_us)
		b->due_us += (now_us - b->due_us) / b->period_us * b->period_us + b->period_us;
}

/* Something was answered while it runs: does the connection last on which it was met? */
static void judge_connection(struct dev *d)
{
	if (d->met == 0 || d->met != dev_connection(d))
		return;
	d->cut_short = 0;
	if (d->brief) {
		d->brief = false;
		dev_meet(d); /* what was read of it may be of two connections */
	}
}

static void block_ok(struct dev *d, size_t block, const struct bus_reply *r)
{
	d->record.sums.reads++;
	d->failures = 0;
	d->plans[block].backoff_us = 0;
	d->plans[block].told = true;
	device_map_take(d->map, block, r->regs, r->received_boot_us - (r->received_boot_us - r->sent_boot_us) / 2);
	schedule(d, block);
	if (d->phase == PHASE_IDENTITY) {
		dev_identity_step(d);
		return;
	}
	if (block == d->beat)
		stats_beat(d);
	if (d->met == 0)
		d->met = dev_connection(d); /* it has nothing to say about itself */
	else
		judge_connection(d);
	if (d->state != DEVICE_LIVE)
		dev_came(d);
	if (d->poll->hooks.updated != NULL)
		d->poll->hooks.updated(d->poll->hooks.arg, d->index);
}

/* Of what is read once: a device may have none of it, but one that had it says who it is. */
static void identity_refused(struct dev *d, size_t block, const char *why)
{
	char said[120];

	if (d->plans[block].told) {
		snprintf(said, sizeof said, "it says no longer who it is: %.88s", why);
		dev_lose(d, said);
		return;
	}
	dev_identity_step(d);
}

/* The device speaks and says no. A block of side values is left alone for a while; without a required point the device
 * is lost. */
static void block_refused(struct dev *d, size_t block, const char *why)
{
	struct block_plan *b = &d->plans[block];
	int64_t now_us = poll_clock(d->poll);

	device_map_refuse(d->map, block, why);
	schedule(d, block);
	if (d->phase == PHASE_IDENTITY) {
		identity_refused(d, block, why);
		return;
	}
	if (d->blocks[block].required) {
		dev_lose(d, why);
		return;
	}
	b->backoff_us = dev_backoff_us(b->backoff_us);
	if (b->due_us < now_us + b->backoff_us)
		b->due_us = now_us + b->backoff_us;
	if (d->poll->hooks.updated != NULL)
		d->poll->hooks.updated(d->poll->hooks.arg, d->index);
}

static bool may_pass(const struct bus_reply *r)
{
	/* Exceptions 5 and 6 say "later": MAP 7. */
	return r->outcome != BUS_EXCEPTION || r->exception == 5 || r->exception == 6;
}

/* No answer, or "later": once more, at the next beat; a device that comes up has its pause instead. */
static void block_failed(struct dev *d, size_t block, const struct bus_reply *r, const char *why)
{
	int64_t now_us = poll_clock(d->poll);

	if (d->state != DEVICE_LIVE || ++d->failures >= 2) {
		dev_lose(d, why);
		return;
	}
	if (d->phase == PHASE_IDENTITY) {
		d->due_us = now_us + dev_fast_us(d);
		return;
	}
	schedule(d, block);
	if (r->outcome == BUS_EXCEPTION && d->plans[block].due_us < now_us + BUSY_MS * US_PER_MS)
		d->plans[block].due_us = now_us + BUSY_MS * US_PER_MS;
}

static void block_answer(struct dev *d, size_t block, const struct bus_reply *r)
{
	char why[120];

	if (r->outcome == BUS_OK) {
		block_ok(d, block, r);
		return;
	}
	bus_reply_words(r, why, sizeof why);
	if (may_pass(r)) {
		block_failed(d, block, r, why);
	} else {
		d->failures = 0;
		block_refused(d, block, why);
	}
}

/* A device whose connection was gone before anything could be asked over it. One that ends them all so soon is read all
 * the same, but whoever takes a write of it cannot be known. */
static void connection_gone(struct dev *d, enum job_kind job)
{
	if (job == JOB_OP)
		write_again(d);
	if (++d->cut_short >= CUT_SHORT_MOST && !d->brief) {
		d->brief = true;
		write_drop(d, "it ends every connection after an answer: who would take the write cannot be known");
	}
	dev_meet(d);
}

static void op_answer(struct dev *d, const struct bus_reply *r)
{
	if (r->outcome == BUS_OK || r->outcome == BUS_EXCEPTION)
		judge_connection(d);
	write_answer(d, r);
}

void line_answered(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct line *k = arg;
	struct dev *d = k->dev;

	(void)q;
	k->in_flight = false;
	stats_busy(k);
	stats_answer(d, r);
	if (r->outcome == BUS_CANCELLED)
		connection_gone(d, k->job);
	else if (k->job == JOB_WALK)
		dev_walk_answer(d, r);
	else if (k->job == JOB_OP)
		op_answer(d, r);
	else
		block_answer(d, k->block, r);
	line_pump(k);
}
