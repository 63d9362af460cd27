#include "loop/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static int make_loop(void **state)
{
	struct loop *l;
	struct err e;

	if (loop_new(&l, &e) < 0)
		return -1;
	*state = l;
	return 0;
}

static int free_loop(void **state)
{
	loop_free(*state);
	return 0;
}

static void turn(struct loop *l, int64_t deadline_us)
{
	struct err e;

	assert_int_equal(loop_turn(l, deadline_us, &e), 0);
}

/* ---- descriptors ---- */

struct pipe_user {
	struct loop *loop;
	int fds[2];
	struct loop_source *source;
	struct pipe_user *other; /* the one that a handler takes away */
	unsigned events;
	int calls, *order, place;
};

static void on_pipe(void *arg, int fd, unsigned events)
{
	struct pipe_user *u = arg;

	assert_int_equal(fd, u->fds[0]);
	u->calls++;
	u->events = events;
	if (u->order)
		u->place = ++*u->order;
	if (u->other) {
		loop_remove(u->other->source);
		u->other->source = NULL;
	}
}

static void open_user(struct loop *l, struct pipe_user *u)
{
	struct err e;

	*u = (struct pipe_user){ .loop = l };
	assert_int_equal(pipe2(u->fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(loop_add_fd(l, u->fds[0], LOOP_READ, on_pipe, u, &u->source, &e), 0);
}

static void close_user(struct pipe_user *u)
{
	loop_remove(u->source);
	close(u->fds[0]);
	if (u->fds[1] >= 0)
		close(u->fds[1]);
}

static void what_is_readable_is_handled(void **state)
{
	struct pipe_user u;

	open_user(*state, &u);
	turn(*state, 0);
	assert_int_equal(u.calls, 0);
	assert_int_equal(write(u.fds[1], "x", 1), 1);
	turn(*state, INT64_MAX);
	assert_int_equal(u.calls, 1);
	assert_int_equal(u.events, LOOP_READ);
	close_user(&u);
}

static void a_hangup_comes_unasked(void **state)
{
	struct pipe_user u;
	struct err e;

	open_user(*state, &u);
	assert_int_equal(loop_watch(u.source, 0, &e), 0);
	assert_int_equal(write(u.fds[1], "x", 1), 1);
	turn(*state, 0);
	assert_int_equal(u.calls, 0);
	close(take_fd(&u.fds[1]));
	turn(*state, INT64_MAX);
	assert_int_equal(u.events, LOOP_HANGUP);
	close_user(&u);
}

/* Two that are ready in one turn: whichever comes first takes the other away, whose event is already fetched. */
static void a_source_removed_in_its_turn_is_not_called(void **state)
{
	struct pipe_user a, b;

	open_user(*state, &a);
	open_user(*state, &b);
	a.other = &b;
	b.other = &a;
	assert_int_equal(write(a.fds[1], "x", 1), 1);
	assert_int_equal(write(b.fds[1], "x", 1), 1);
	turn(*state, INT64_MAX);
	turn(*state, 0);
	assert_int_equal((a.calls != 0) + (b.calls != 0), 1);
	assert_int_equal((a.source == NULL) + (b.source == NULL), 1);
	close_user(&a);
	close_user(&b);
}

static void a_source_may_remove_itself(void **state)
{
	struct pipe_user u;

	open_user(*state, &u);
	u.other = &u;
	assert_int_equal(write(u.fds[1], "x", 1), 1);
	turn(*state, INT64_MAX);
	turn(*state, 0);
	assert_int_equal(u.calls, 1);
	close_user(&u);
}

static void on_pipe_stop_reading(void *arg, int fd, unsigned events)
{
	struct pipe_user *u = arg;
	struct err e;

	(void)fd;
	(void)events;
	u->calls++;
	assert_int_equal(loop_watch(u->other->source, 0, &e), 0);
}

/* The second one's event was fetched, but is no longer waited for when its turn comes. */
static void an_event_no_longer_waited_for_is_dropped(void **state)
{
	struct pipe_user a, b;
	struct err e;

	open_user(*state, &a);
	open_user(*state, &b);
	loop_remove(a.source);
	loop_remove(b.source);
	assert_int_equal(loop_add_fd(*state, a.fds[0], LOOP_READ, on_pipe_stop_reading, &a, &a.source, &e), 0);
	assert_int_equal(loop_add_fd(*state, b.fds[0], LOOP_READ, on_pipe_stop_reading, &b, &b.source, &e), 0);
	a.other = &b;
	b.other = &a;
	assert_int_equal(write(a.fds[1], "x", 1), 1);
	assert_int_equal(write(b.fds[1], "x", 1), 1);
	turn(*state, INT64_MAX);
	assert_int_equal(a.calls + b.calls, 1);
	close_user(&a);
	close_user(&b);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
	struct loop_source *s;
	struct err e;

	assert_int_equal(loop_add_fd(*state, 9999, LOOP_READ, on_pipe, NULL, &s, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
}

/* ---- timers ---- */

struct ticker {
	struct loop *loop;
	struct loop_timer timer;
	struct loop_timer *stop; /* what it stops when it fires */
	int64_t again_us;        /* sets itself again for this time; 0: not */
	int fired, *order, place;
};

static void on_tick(void *arg)
{
	struct ticker *t = arg;

	t->fired++;
	if (t->order)
		t->place = ++*t->order;
	if (t->stop)
		loop_timer_stop(t->loop, t->stop);
	if (t->again_us)
		loop_timer_set(t->loop, &t->timer, t->again_us);
}

static void init_ticker(struct loop *l, struct ticker *t)
{
	*t = (struct ticker){ .loop = l, .timer = { .fn = on_tick, .arg = t } };
}

static void timers_fire_in_the_order_of_their_times(void **state)
{
	enum { N = 500 };
	static struct ticker t[N];
	struct rng r;
	int order = 0;

	rng_seed(&r, 5);
	for (int i = 0; i < N; i++) {
		init_ticker(*state, &t[i]);
		t[i].order = &order;
		loop_timer_set(*state, &t[i].timer, (int64_t)rng_real(&r, 1, 1e6));
	}
	/* Moved, and some stopped, from anywhere in the heap. */
	for (int i = 0; i < N; i += 3)
		loop_timer_set(*state, &t[i].timer, (int64_t)rng_real(&r, 1, 1e6));
	for (int i = 0; i < N; i += 7)
		loop_timer_stop(*state, &t[i].timer);
	turn(*state, INT64_MAX);
	for (int i = 0; i < N; i++) {
		assert_int_equal(t[i].fired, i % 7 != 0);
		for (int j = 0; j < N; j++)
			if (t[i].fired && t[j].fired && t[i].timer.at_boot_us < t[j].timer.at_boot_us)
				assert_true(t[i].place < t[j].place);
	}
}

static void a_timer_is_never_early(void **state)
{
	struct ticker t;
	int64_t at_us = now_read().boot_us + 20 * US_PER_MS;

	init_ticker(*state, &t);
	loop_timer_set(*state, &t.timer, at_us);
	while (!t.fired)
		turn(*state, INT64_MAX);
	assert_true(loop_now(*state)->boot_us >= at_us);
	assert_int_equal(t.fired, 1);
}

static void a_stopped_timer_stays_silent(void **state)
{
	struct ticker a, b;

	init_ticker(*state, &a);
	init_ticker(*state, &b);
	a.stop = &b.timer;
	loop_timer_set(*state, &a.timer, 1);
	loop_timer_set(*state, &b.timer, 2);
	turn(*state, INT64_MAX);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 0);
	loop_timer_stop(*state, &b.timer);
	turn(*state, 0);
	assert_int_equal(b.fired, 0);
}

static void a_timer_that_is_always_due_starves_nobody(void **state)
{
	struct ticker t;

	init_ticker(*state, &t);
	t.again_us = 1;
	loop_timer_set(*state, &t.timer, 1);
	turn(*state, INT64_MAX);
	assert_int_equal(t.fired, 1);
	turn(*state, INT64_MAX);
	assert_int_equal(t.fired, 2);
	loop_timer_stop(*state, &t.timer);
}

static void an_answer_beside_its_timeout_comes_first(void **state)
{
	struct ticker t;
	struct pipe_user u;
	int order = 0;

	init_ticker(*state, &t);
	t.order = &order;
	open_user(*state, &u);
	u.order = &order;
	assert_int_equal(write(u.fds[1], "x", 1), 1);
	loop_timer_set(*state, &t.timer, 1);
	turn(*state, INT64_MAX);
	assert_int_equal(u.place, 1);
	assert_int_equal(t.place, 2);
	close_user(&u);
}

static void a_turn_ends_at_its_deadline(void **state)
{
	int64_t until_us = now_read().boot_us + 10 * US_PER_MS;

	turn(*state, until_us);
	assert_true(loop_now(*state)->boot_us >= until_us);
}

/* One turn for the deadline and none for timers that were stopped meanwhile. */
static void an_idle_loop_does_not_wake(void **state)
{
	struct ticker t;
	int64_t now_us = now_read().boot_us;

	init_ticker(*state, &t);
	loop_timer_set(*state, &t.timer, now_us + 3600 * US_PER_S);
	turn(*state, now_us + 5 * US_PER_MS);
	assert_true(loop_now(*state)->boot_us >= now_us + 5 * US_PER_MS);
	loop_timer_set(*state, &t.timer, now_us + 6 * US_PER_MS);
	loop_timer_stop(*state, &t.timer);
	turn(*state, now_us + 20 * US_PER_MS);
	assert_true(loop_now(*state)->boot_us >= now_us + 20 * US_PER_MS);
	assert_true(loop_now(*state)->boot_us >= now_us + 20 * US_PER_MS);
	assert_int_equal(t.fired, 0);
}

/* ---- signals and the run ---- */

struct seen {
	struct loop *loop;
	int signo, count;
};

static void on_signal(void *arg, int signo)
{
	struct seen *s = arg;

	s->signo = signo;
	s->count++;
	loop_stop(s->loop);
}

static void a_signal_is_a_call_from_the_loop(void **state)
{
	struct seen s = { .loop = *state };
	struct err e;

	assert_int_equal(loop_add_signal(*state, SIGTERM, on_signal, &s, &e), 0);
	assert_int_equal(loop_add_signal(*state, SIGUSR1, on_signal, &s, &e), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(s.count, 0);
	assert_int_equal(loop_run(*state, &e), 0);
	assert_int_equal(s.signo, SIGUSR1);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(loop_run(*state, &e), 0);
	assert_int_equal(s.signo, SIGTERM);
	assert_int_equal(s.count, 2);
}

static void a_freed_loop_lets_signals_through_again(void **state)
{
	sigset_t now;
	struct seen s = { 0 };
	struct loop *l;
	struct err e;

	(void)state;
	assert_int_equal(loop_new(&l, &e), 0);
	s.loop = l;
	assert_int_equal(loop_add_signal(l, SIGUSR2, on_signal, &s, &e), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	assert_true(sigismember(&now, SIGUSR2));
	/* Pending when it goes: swallowed, or it would kill us here. */
	assert_int_equal(raise(SIGUSR2), 0);
	loop_free(l);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	assert_false(sigismember(&now, SIGUSR2));
}

static void a_stop_before_the_run_is_kept(void **state)
{
	struct err e;

	loop_stop(*state);
	assert_int_equal(loop_run(*state, &e), 0);
}

static void a_freed_loop_leaves_its_timers_stopped(void **state)
{
	struct ticker t;
	struct loop *l;
	struct err e;

	(void)state;
	assert_int_equal(loop_new(&l, &e), 0);
	init_ticker(l, &t);
	loop_timer_set(l, &t.timer, INT64_MAX);
	loop_free(l);
	assert_int_equal(t.timer.index_, 0);
}

int main(void)
{
#define WITH_LOOP(f) cmocka_unit_test_setup_teardown(f, make_loop, free_loop)
	const struct CMUnitTest tests[] = {
		WITH_LOOP(what_is_readable_is_handled),
		WITH_LOOP(a_hangup_comes_unasked),
		WITH_LOOP(a_source_removed_in_its_turn_is_not_called),
		WITH_LOOP(a_source_may_remove_itself),
		WITH_LOOP(an_event_no_longer_waited_for_is_dropped),
		WITH_LOOP(a_descriptor_that_cannot_be_watched_is_an_error),
		WITH_LOOP(timers_fire_in_the_order_of_their_times),
		WITH_LOOP(a_timer_is_never_early),
		WITH_LOOP(a_stopped_timer_stays_silent),
		WITH_LOOP(a_timer_that_is_always_due_starves_nobody),
		WITH_LOOP(an_answer_beside_its_timeout_comes_first),
		WITH_LOOP(a_turn_ends_at_its_deadline),
		WITH_LOOP(an_idle_loop_does_not_wake),
		WITH_LOOP(a_signal_is_a_call_from_the_loop),
		cmocka_unit_test(a_freed_loop_lets_signals_through_again),
		WITH_LOOP(a_stop_before_the_run_is_kept),
		cmocka_unit_test(a_freed_loop_leaves_its_timers_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
