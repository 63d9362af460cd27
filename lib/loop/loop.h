/* loop: one thread's event loop over epoll: descriptors, timers on CLOCK_BOOTTIME, signals as descriptors.
 *
 * Handlers run one after the other, do little and return. A source or timer may be removed from any handler, its own
 * included. The time is read once per turn; an idle loop has no wake-up.
 */
#ifndef PSEC_LOOP_H
#define PSEC_LOOP_H

#include "base/base.h"

struct loop;
struct loop_source;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 /* reported always, asked for never */ };

must_check int loop_new(struct loop **out, struct err *e); /* caller frees with loop_free */
void loop_free(struct loop *l);
/* Run until loop_stop, or fail. */
must_check int loop_run(struct loop *l, struct err *e);
/* One turn: wait at most until deadline_boot_us (INT64_MAX: for ever; 0: do not wait), handle what is there. */
must_check int loop_turn(struct loop *l, int64_t deadline_boot_us, struct err *e);
void loop_stop(struct loop *l);
/* The time of this turn; before the first turn, of loop_new. */
const struct now *loop_now(const struct loop *l);

typedef void loop_fd_fn(void *arg, int fd, unsigned events);
/* Watch fd; the loop does not own it: loop_remove the source before closing fd. */
must_check int loop_add_fd(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *arg,
			   struct loop_source **out, struct err *e);
/* Change what is waited for. */
must_check int loop_watch(struct loop_source *s, unsigned events, struct err *e);
void loop_remove(struct loop_source *s); /* NULL is nothing */

typedef void loop_signal_fn(void *arg, int signo);
/* Block signo for the thread and hand it to fn from the loop. */
must_check int loop_add_signal(struct loop *l, int signo, loop_signal_fn *fn, void *arg, struct err *e);

/* A timer lives in its user's struct; zero-initialised it is stopped. */
struct loop_timer {
	void (*fn)(void *arg);
	void *arg;
	int64_t at_boot_us;
	size_t index_; /* the loop's: place in its heap + 1, 0 when stopped */
};
/* Fire once at at_boot_us (at once when that has passed). Setting a running timer moves it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_boot_us);
void loop_timer_stop(struct loop *l, struct loop_timer *t);

#endif
