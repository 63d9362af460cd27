/* The timers of one loop: a binary heap of pointers into their users' structs, the earliest first. */
#ifndef PSEC_LOOP_TIMERS_H
#define PSEC_LOOP_TIMERS_H

#include "loop/loop.h"

struct timers {
	struct loop_timer **heap;
	size_t count, cap;
};

void timers_set(struct timers *ts, struct loop_timer *t, int64_t at_boot_us);
void timers_stop(struct timers *ts, struct loop_timer *t);
/* INT64_MAX when there is none. */
int64_t timers_next(const struct timers *ts);
void timers_run(struct timers *ts, int64_t now_boot_us);
void timers_release(struct timers *ts);

#endif
