/* Whose turn it is: writes before reads, inputs of the control law before the rest, never two questions in flight. */
#include <string.h>

#include "poll/inside.h"

enum { CONTROL_RUN_MOST = 4 };

struct turn {
	struct dev *dev;
	enum job_kind job;
	size_t block;
	int rank;       /* 0 write, 1 control, 2 the rest */
	int64_t due_us;
};

static bool is_before(const struct turn *a, const struct turn *b, bool control_waits)
{
	int ra = a->rank, rb = b->rank;

	if (b->job == JOB_NONE)
		return true;
	if (control_waits) { /* let one of the others through, too */
		ra = ra == 1 ? 3 : ra;
		rb = rb == 1 ? 3 : rb;
	}
	return ra != rb ? ra < rb : a->due_us < b->due_us;
}

static void offer(struct turn *best, int64_t *wake_us, const struct turn *t, int64_t now_us, bool control_waits)
{
	if (t->due_us > now_us) {
		if (t->due_us < *wake_us)
			*wake_us = t->due_us;
	} else if (is_before(t, best, control_waits)) {
		*best = *t;
	}
}

static void offer_dev(struct turn *best, int64_t *wake_us, struct dev *d, int64_t now_us, bool control_waits)
{
	struct turn t = { .dev = d, .rank = 2, .due_us = d->due_us };

	if (d->phase != PHASE_RUN) {
		t.job = d->phase == PHASE_IDENTITY ? JOB_BLOCK : JOB_WALK;
		t.block = d->once_next;
		offer(best, wake_us, &t, now_us, control_waits);
		return;
	}
	if (write_due(d, now_us, &t.due_us)) {
		t.rank = 0;
		t.job = JOB_OP;
		offer(best, wake_us, &t, now_us, control_waits);
	}
	for (size_t i = 0; i < d->block_count; i++) {
		t = (struct turn){ d, JOB_BLOCK, i, d->blocks[i].control ? 1 : 2, d->plans[i].due_us };
		if (t.due_us != INT64_MAX)
			offer(best, wake_us, &t, now_us, control_waits);
	}
}

/* Open the connection's object; an address that cannot be had (no such line, another master on it) is a lost device. */
static bool open_link(struct line *k, struct dev *d)
{
	struct err e = { 0 };

	if (k->link != NULL || bus_link_new(k->poll->loop, &k->address, &k->options, &k->link, &e) == 0)
		return true;
	k->link = NULL;
	dev_lose(d, e.text);
	return false;
}

/* Put the turn's question on the wire; false when there is none after all. */
static bool ask(struct line *k, const struct turn *t)
{
	struct bus_request q = { .unit = k->address.unit };
	struct device_probe probe;
	struct err e = { 0 };

	if (!open_link(k, t->dev))
		return false;
	if (t->job == JOB_WALK && t->dev->phase == PHASE_DOWN) {
		dev_begin(t->dev); /* goes to the walk, or straight to identity and blocks */
		return false;      /* who heard of it may have asked something on this line meanwhile */
	}
	if (t->dev->phase == PHASE_WALK && t->job == JOB_WALK) {
		if (!device_walk_next(&t->dev->walk, &probe))
			return false;
	} else if (t->job == JOB_OP) {
		probe = (struct device_probe){ 0 };
		if (!write_question(t->dev, &q))
			return false;
	} else if (t->job == JOB_BLOCK && t->block < t->dev->block_count) {
		const struct device_block *b = &t->dev->blocks[t->block];

		probe = (struct device_probe){ b->function, b->address, b->count };
	} else {
		return false;
	}
	if (t->job != JOB_OP) {
		q.function = probe.function;
		q.address = probe.address;
		q.count = probe.count;
	}
	q.unit = t->dev->site->address.unit;
	if (bus_link_ask(k->link, &q, (int)t->dev->info->timing.answer_ms, line_answered, k, &e) < 0) {
		dev_lose(t->dev, e.text);
		return false;
	}
	k->in_flight = true;
	k->dev = t->dev;
	k->job = t->job;
	k->block = t->block;
	return true;
}

void line_pump(struct line *k)
{
	struct poll *p = k->poll;

	if (!p->started)
		return;
	/* Each round either asks or moves a device on (down with a later due time, through an empty step): it ends. */
	while (!k->in_flight) {
		struct turn best = { .job = JOB_NONE };
		int64_t wake_us = INT64_MAX, now_us = poll_clock(p);

		for (size_t i = 0; i < p->dev_count; i++)
			if (p->devs[i].line == k)
				offer_dev(&best, &wake_us, &p->devs[i], now_us, k->control_run >= CONTROL_RUN_MOST);
		if (best.job == JOB_NONE) {
			if (wake_us == INT64_MAX)
				loop_timer_stop(p->loop, &k->timer);
			else
				loop_timer_set(p->loop, &k->timer, wake_us);
			return;
		}
		if (ask(k, &best))
			k->control_run = best.rank == 1 ? k->control_run + 1 : 0;
	}
}

/* ---- answers ---- */

static void count(struct dev *d, const struct bus_reply *r)
{
	if (r->outcome == BUS_TIMEOUT)
		d->stats.timeouts++;
	else if (r->outcome == BUS_GARBLED || r->outcome == BUS_LINE_NOISE)
		d->stats.garbled++;
	else if (r->outcome == BUS_EXCEPTION)
		d->stats.exceptions++;
	if (r->outcome == BUS_OK || r->outcome == BUS_EXCEPTION)
		d->stats.latency_us = r->received_boot_us - r->sent_boot_us;
}

static void count_rate(struct dev *d, int64_t now_us)
{
	if (d->window_us == 0)
		d->window_us = now_us;
	else
		d->window_reads++;
	if (now_us - d->window_us > 10 * US_PER_S || (d->stats.rate_hz == 0 && now_us - d->window_us > US_PER_S)) {
		d->stats.rate_hz = (double)d->window_reads * 1e6 / (double)(now_us - d->window_us);
		d->window_us = now_us;
		d->window_reads = 0;
	}
}

static void schedule(struct dev *d, size_t block, int64_t now_us)
{
	struct block_plan *b = &d->plans[block];

	b->tried = true;
	if (d->poll->only_once || d->blocks[block].rate == DEVICE_ONCE) {
		b->due_us = INT64_MAX;
		return;
	}
	if (b->due_us > now_us)
		b->due_us = now_us;
	/* Keep the beat; a beat that was missed is not made up for. */
	b->due_us += (now_us - b->due_us) / b->period_us * b->period_us + b->period_us;
}

static void block_ok(struct dev *d, size_t block, const struct bus_reply *r)
{
	int64_t now_us = poll_clock(d->poll);

	d->stats.reads++;
	d->failures = 0;
	d->plans[block].backoff_us = 0;
	device_map_take(d->map, block, r->regs, r->received_boot_us - (r->received_boot_us - r->sent_boot_us) / 2);
	schedule(d, block, now_us);
	if (d->blocks[block].rate == DEVICE_FAST)
		count_rate(d, now_us);
	if (d->phase == PHASE_RUN && d->state != DEVICE_LIVE)
		dev_set_state(d, DEVICE_LIVE, "");
	if (d->phase == PHASE_IDENTITY)
		dev_identity_step(d);
	else if (d->poll->hooks.updated != NULL)
		d->poll->hooks.updated(d->poll->hooks.arg, d->index);
}

/* The device speaks and says no. A block of side values is left alone for a while; without a required point the device
 * is lost. */
static void block_refused(struct dev *d, size_t block, const char *why)
{
	struct block_plan *b = &d->plans[block];
	int64_t now_us = poll_clock(d->poll);

	device_map_refuse(d->map, block, why);
	schedule(d, block, now_us);
	if (d->phase == PHASE_IDENTITY) {
		dev_identity_step(d); /* no identity there: live without one */
		return;
	}
	if (d->blocks[block].required) {
		dev_lose(d, why);
		return;
	}
	b->backoff_us = b->backoff_us == 0 ? BACKOFF_FIRST_MS * US_PER_MS : 2 * b->backoff_us;
	if (b->backoff_us > BACKOFF_MOST_MS * US_PER_MS)
		b->backoff_us = BACKOFF_MOST_MS * US_PER_MS;
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

/* A new connection may lead to another device: what was read over the old one is forgotten, identity comes first. */
static bool is_new_connection(struct dev *d)
{
	uint64_t connects = bus_link_counters(d->line->link)->connects;
	bool changed = connects != d->connects_seen;

	d->connects_seen = connects;
	if (!changed || d->phase != PHASE_RUN || d->line->address.kind != BUS_TCP)
		return false;
	/* A device that closes after every answer would be asked who it is for ever. */
	if (d->reconnect_us > 0 && poll_clock(d->poll) - d->reconnect_us < RECONNECT_MS * US_PER_MS)
		return false;
	d->reconnect_us = poll_clock(d->poll);
	return true;
}

static void block_answer(struct dev *d, size_t block, const struct bus_reply *r)
{
	char why[120];

	if (r->outcome == BUS_OK) {
		if (is_new_connection(d)) {
			dev_forget_values(d);
			dev_enter_identity(d);
			return;
		}
		block_ok(d, block, r);
		return;
	}
	reply_words(r, why, sizeof why);
	if (r->outcome == BUS_EXCEPTION && d->plans != NULL && d->phase == PHASE_RUN)
		d->plans[block].due_us = poll_clock(d->poll) + BUSY_MS * US_PER_MS;
	if (!may_pass(r)) {
		d->failures = 0;
		block_refused(d, block, why);
	} else if (d->phase != PHASE_RUN || ++d->failures >= 2) {
		dev_lose(d, why); /* one more try was given: on a shared line a silent unit costs no more */
	}
}

void line_answered(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct line *k = arg;
	struct dev *d = k->dev;

	(void)q;
	k->in_flight = false;
	count(d, r);
	if (k->job == JOB_WALK)
		dev_walk_answer(d, r);
	else if (k->job == JOB_OP)
		write_answer(d, r);
	else
		block_answer(d, k->block, r);
	line_pump(k);
}
