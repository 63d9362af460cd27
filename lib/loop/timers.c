#include "timers.h"

static void place(struct timers *ts, struct loop_timer *t, size_t i)
{
	ts->heap[i] = t;
	t->index_ = i + 1;
}

static void up(struct timers *ts, struct loop_timer *t, size_t i)
{
	while (i) {
		size_t above = (i - 1) / 2;

		if (ts->heap[above]->at_boot_us <= t->at_boot_us)
			break;
		place(ts, ts->heap[above], i);
		i = above;
	}
	place(ts, t, i);
}

static void down(struct timers *ts, struct loop_timer *t, size_t i)
{
	for (;;) {
		size_t below = 2 * i + 1;

		if (below >= ts->count)
			break;
		if (below + 1 < ts->count && ts->heap[below + 1]->at_boot_us < ts->heap[below]->at_boot_us)
			below++;
		if (ts->heap[below]->at_boot_us >= t->at_boot_us)
			break;
		place(ts, ts->heap[below], i);
		i = below;
	}
	place(ts, t, i);
}

void timers_stop(struct timers *ts, struct loop_timer *t)
{
	struct loop_timer *last;
	size_t i;

	if (!t->index_)
		return;
	i = t->index_ - 1;
	t->index_ = 0;
	last = ts->heap[--ts->count];
	if (last == t)
		return;
	/* The last one may belong above or below the hole. */
	up(ts, last, i);
	down(ts, last, last->index_ - 1);
}

void timers_set(struct timers *ts, struct loop_timer *t, int64_t at_boot_us)
{
	if (t->index_ && t->at_boot_us == at_boot_us)
		return;
	timers_stop(ts, t);
	if (ts->count == ts->cap) {
		ts->cap = ts->cap ? 2 * ts->cap : 16;
		ts->heap = xrealloc(ts->heap, ts->cap, sizeof *ts->heap);
	}
	t->at_boot_us = at_boot_us;
	up(ts, t, ts->count++);
}

int64_t timers_next(const struct timers *ts)
{
	return ts->count ? ts->heap[0]->at_boot_us : INT64_MAX;
}

void timers_run(struct timers *ts, int64_t now_boot_us)
{
	/* As many as there were: one that sets itself again for now waits for the next turn, and starves nobody. */
	for (size_t n = ts->count; n && timers_next(ts) <= now_boot_us; n--) {
		struct loop_timer *t = ts->heap[0];

		timers_stop(ts, t);
		t->fn(t->arg);
	}
}

void timers_release(struct timers *ts)
{
	for (size_t i = 0; i < ts->count; i++)
		ts->heap[i]->index_ = 0;
	base_free_(&ts->heap);
	*ts = (struct timers){ 0 };
}
