/* Whose turn it is: writes before reads, inputs of the control law before the rest, never two questions in flight. */
#include <string.h>

#include "poll/inside.h"

enum { CONTROL_RUN_MOST = 4 };
enum rank { RANK_WRITE, RANK_CONTROL, RANK_REST };

struct turn {
	struct dev *dev;
	enum job_kind job;
	size_t block;
	enum rank rank;
	int64_t due_us;
};

/* What a line looks at before it decides. */
struct look {
	int64_t now_us, wake_us;
	int64_t control_us; /* when the next control read is due that is not due yet */
	bool rest_first;    /* control has gone first often enough */
	bool rest_due;      /* something else is due */
	struct turn best;
};

static bool is_live(const struct dev *d)
{
	return d->state == DEVICE_LIVE;
}

static bool is_before(const struct turn *a, const struct turn *b, bool rest_first)
{
	enum rank ra = a->rank, rb = b->rank;

	if (b->job == JOB_NONE)
		return true;
	if (rest_first && ra != RANK_WRITE && rb != RANK_WRITE && ra != rb)
		return ra == RANK_REST;
	return ra != rb ? ra < rb : a->due_us < b->due_us;
}

/* How long the line will be taken, as far as is known: a device that is down may use all its patience. */
static int64_t takes_us(const struct dev *d)
{
	int64_t pause_us = d->line->options.pause_ms * US_PER_MS;

	return pause_us + (d->phase == PHASE_DOWN ? d->info->timing.answer_ms * US_PER_MS : d->record.latency_us);
}

static void wake_at(struct look *l, int64_t us)
{
	if (us < l->wake_us)
		l->wake_us = us;
}

static void offer(struct look *l, const struct turn *t)
{
	if (t->due_us > l->now_us) {
		wake_at(l, t->due_us);
		return;
	}
	if (t->rank == RANK_REST) {
		l->rest_due = true;
		if (!l->rest_first && l->control_us != INT64_MAX && l->now_us + takes_us(t->dev) > l->control_us) {
			wake_at(l, l->control_us); /* it would make a control read wait */
			return;
		}
	}
	if (is_before(t, &l->best, l->rest_first))
		l->best = *t;
}

static void offer_start(struct look *l, struct dev *d)
{
	struct turn t = { .dev = d, .rank = RANK_REST, .due_us = d->due_us, .block = d->once_next };

	t.job = d->phase == PHASE_IDENTITY ? JOB_BLOCK : JOB_WALK;
	if (d->phase == PHASE_DOWN && t.due_us < d->line->no_try_until_us)
		t.due_us = d->line->no_try_until_us;
	if (is_live(d) && d->phase == PHASE_IDENTITY)
		t.rank = RANK_CONTROL; /* a new connection: its control reads and writes wait for this one */
	offer(l, &t);
}

static void offer_dev(struct look *l, struct dev *d)
{
	struct turn t = { .dev = d, .rank = RANK_WRITE, .job = JOB_OP };

	if (d->phase != PHASE_RUN) {
		offer_start(l, d);
		return;
	}
	if (d->met != 0 && write_due(d, l->now_us, &t.due_us))
		offer(l, &t);
	for (size_t i = 0; i < d->block_count; i++) {
		t = (struct turn){ d, JOB_BLOCK, i, d->blocks[i].control ? RANK_CONTROL : RANK_REST,
				   d->plans[i].due_us };
		if (t.due_us != INT64_MAX)
			offer(l, &t);
	}
}

static int64_t next_control_us(const struct line *k, int64_t now_us)
{
	int64_t next_us = INT64_MAX;

	for (size_t i = 0; i < k->dev_count; i++) {
		const struct dev *d = k->devs[i];

		for (size_t b = 0; d->phase == PHASE_RUN && is_live(d) && b < d->block_count; b++)
			if (d->blocks[b].control && d->plans[b].due_us > now_us && d->plans[b].due_us < next_us)
				next_us = d->plans[b].due_us;
	}
	return next_us;
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

static void put_probe(struct bus_request *q, uint8_t function, uint16_t address, uint16_t count)
{
	q->function = function;
	q->address = address;
	q->count = count;
}

/* The turn's question; false when there is none after all. */
static bool question(const struct turn *t, struct bus_request *q)
{
	struct dev *d = t->dev;
	struct device_probe probe;

	*q = (struct bus_request){ .unit = d->site->address.unit };
	if (t->job == JOB_WALK && d->phase == PHASE_DOWN) {
		dev_begin(d); /* goes to the walk, or straight to identity and blocks */
		return false; /* who heard of it may have asked something on this line meanwhile */
	}
	if (t->job == JOB_OP) {
		if (!write_question(d, q))
			return false;
		q->unit = d->site->address.unit;
		return true;
	}
	if (t->job == JOB_WALK) {
		if (d->phase != PHASE_WALK || !device_walk_next(&d->walk, &probe))
			return false;
		put_probe(q, probe.function, probe.address, probe.count);
		return true;
	}
	if (t->block >= d->block_count)
		return false;
	put_probe(q, d->blocks[t->block].function, d->blocks[t->block].address, d->blocks[t->block].count);
	return true;
}

/* Over which connection alone the question may go; 0: over any. */
static uint64_t held_to(const struct turn *t)
{
	const struct dev *d = t->dev;

	if (t->job == JOB_OP)
		return d->met;
	if (t->job == JOB_WALK || d->brief)
		return 0;
	return d->phase == PHASE_IDENTITY ? d->meeting : d->met;
}

/* Put the turn's question on the wire; false when there is none after all. */
static bool ask(struct line *k, const struct turn *t)
{
	struct dev *d = t->dev;
	struct bus_request q;
	struct err e = { 0 };

	if (!open_link(k, d))
		return false;
	if (d->brief && d->phase == PHASE_RUN && poll_clock(k->poll) - d->met_us >= LOOK_AGAIN_MS * US_PER_MS) {
		dev_meet(d);
		return false;
	}
	if (!question(t, &q))
		return false;
	if (bus_link_ask_on(k->link, held_to(t), &q, (int)d->info->timing.answer_ms, line_answered, k, &e) < 0) {
		dev_lose(d, e.text);
		return false;
	}
	k->in_flight = true;
	k->dev = d;
	k->job = t->job;
	k->block = t->block;
	k->asked_us = poll_clock(k->poll);
	return true;
}

void line_pump(struct line *k)
{
	struct poll *p = k->poll;

	if (!p->started)
		return;
	/* Each round either asks or moves a device on (down with a later due time, through an empty step): it ends. */
	while (!k->in_flight) {
		int64_t now_us = poll_clock(p);
		struct look l = { .now_us = now_us, .wake_us = INT64_MAX, .best.job = JOB_NONE,
				  .control_us = next_control_us(k, now_us),
				  .rest_first = k->control_run >= CONTROL_RUN_MOST };

		for (size_t i = 0; i < k->dev_count; i++)
			offer_dev(&l, k->devs[i]);
		if (l.best.job == JOB_NONE) {
			if (l.wake_us == INT64_MAX)
				loop_timer_stop(p->loop, &k->timer);
			else
				loop_timer_set(p->loop, &k->timer, l.wake_us);
			return;
		}
		if (ask(k, &l.best) && l.best.rank != RANK_WRITE)
			k->control_run = l.best.rank == RANK_CONTROL && l.rest_due ? k->control_run + 1 : 0;
	}
}
