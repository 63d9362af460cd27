#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "timers.h"

struct loop_source {
	struct loop *loop;
	int fd;
	unsigned events;
	loop_fd_fn *fn; /* NULL: removed in this turn, and freed at its end */
	void *arg;
	struct loop_source *next, **link;
};

struct loop {
	int epoll_fd, timer_fd, signal_fd;
	struct loop_source *sources, *removed;
	struct timers timers;
	int64_t armed_us; /* what timer_fd was set to; INT64_MAX when it is not */
	struct now now;
	unsigned depth; /* turns within turns */
	bool stop;
	sigset_t handled, blocked_by_us;
	struct {
		loop_signal_fn *fn;
		void *arg;
	} signals[NSIG];
};

static void list_add(struct loop_source **head, struct loop_source *s)
{
	s->next = *head;
	s->link = head;
	if (s->next)
		s->next->link = &s->next;
	*head = s;
}

static void list_cut(struct loop_source *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
}

static void list_free(struct loop_source **head)
{
	while (*head) {
		struct loop_source *s = *head;

		*head = s->next;
		free(s);
	}
}

/* ---- descriptors ---- */

static uint32_t to_epoll(unsigned events)
{
	return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

int loop_add_fd(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct loop_source **out,
		struct err *e)
{
	struct loop_source *s = xcalloc(1, sizeof *s);
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = s };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		err_set(e, ERR_IO, errno, "cannot watch descriptor %d", fd);
		free(s);
		return -1;
	}
	s->loop = l;
	s->fd = fd;
	s->events = events;
	s->fn = fn;
	s->arg = arg;
	list_add(&l->sources, s);
	if (out)
		*out = s;
	return 0;
}

int loop_watch(struct loop_source *s, unsigned events, struct err *e)
{
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = s };

	if (s->events == events)
		return 0;
	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
		return err_set(e, ERR_IO, errno, "cannot watch descriptor %d", s->fd);
	s->events = events;
	return 0;
}

void loop_remove(struct loop_source *s)
{
	struct loop *l;

	if (!s || !s->fn)
		return;
	l = s->loop;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	list_cut(s);
	s->fn = NULL;
	/* An event that this turn has already fetched may still point at it. */
	if (l->depth)
		list_add(&l->removed, s);
	else
		free(s);
}

static void handle(struct loop *l, const struct epoll_event *ev)
{
	struct loop_source *s = ev->data.ptr;
	unsigned events = 0;

	if (!s) { /* timer_fd: the timers run after the descriptors, so that an answer beside its timeout counts */
		l->armed_us = INT64_MAX;
		return;
	}
	if (ev->events & EPOLLIN)
		events |= LOOP_READ;
	if (ev->events & EPOLLOUT)
		events |= LOOP_WRITE;
	/* A handler before this one may have changed what is waited for. */
	events &= s->events;
	if (ev->events & (EPOLLHUP | EPOLLERR))
		events |= LOOP_HANGUP;
	if (s->fn && events)
		s->fn(s->arg, s->fd, events);
}

/* ---- time ---- */

static int arm(struct loop *l, int64_t at_us, struct err *e)
{
	struct itimerspec at = { 0 };

	if (at_us == l->armed_us)
		return 0;
	if (at_us != INT64_MAX) {
		at.it_value.tv_sec = at_us / US_PER_S;
		at.it_value.tv_nsec = at_us % US_PER_S * 1000;
	}
	if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return err_set(e, ERR_BUG, errno, "cannot set the loop's timer");
	l->armed_us = at_us;
	return 0;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_boot_us)
{
	timers_set(&l->timers, t, at_boot_us);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
	timers_stop(&l->timers, t);
}

/* ---- signals ---- */

static void on_signal_fd(void *arg, int fd, unsigned events)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(fd, &info, sizeof info) == sizeof info)
		if (info.ssi_signo < NSIG && l->signals[info.ssi_signo].fn)
			l->signals[info.ssi_signo].fn(l->signals[info.ssi_signo].arg, (int)info.ssi_signo);
}

int loop_add_signal(struct loop *l, int signo, loop_signal_fn *fn, void *arg, struct err *e)
{
	sigset_t one, before;
	int fd;

	if (signo <= 0 || signo >= NSIG)
		return err_set(e, ERR_BUG, EINVAL, "cannot handle signal %d", signo);
	sigemptyset(&one);
	sigaddset(&one, signo);
	sigaddset(&l->handled, signo);
	fd = signalfd(l->signal_fd, &l->handled, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot handle signal %d", signo);
	if (l->signal_fd < 0) {
		l->signal_fd = fd;
		if (loop_add_fd(l, fd, LOOP_READ, on_signal_fd, l, NULL, e) < 0)
			return -1;
	}
	pthread_sigmask(SIG_BLOCK, &one, &before);
	if (!sigismember(&before, signo))
		sigaddset(&l->blocked_by_us, signo);
	l->signals[signo].fn = fn;
	l->signals[signo].arg = arg;
	return 0;
}

/* ---- the loop ---- */

int loop_new(struct loop **out, struct err *e)
{
	struct loop *l = xcalloc(1, sizeof *l);
	/* Each expiry wakes once: nobody has to read it, the next setting takes it back. */
	struct epoll_event expiry = { .events = EPOLLIN | EPOLLET };

	sigemptyset(&l->handled);
	sigemptyset(&l->blocked_by_us);
	l->armed_us = INT64_MAX;
	l->signal_fd = -1;
	l->now = now_read();
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->epoll_fd < 0 || l->timer_fd < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &expiry) < 0) {
		err_set(e, ERR_IO, errno, "cannot make an event loop");
		loop_free(l);
		return -1;
	}
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	struct signalfd_siginfo info;

	if (!l)
		return;
	if (l->signal_fd >= 0) {
		/* What came too late for a handler must not kill the caller when it is let through again. */
		while (read(l->signal_fd, &info, sizeof info) > 0)
			;
		pthread_sigmask(SIG_UNBLOCK, &l->blocked_by_us, NULL);
	}
	list_free(&l->sources);
	list_free(&l->removed);
	timers_release(&l->timers);
	base_close_(&l->signal_fd);
	base_close_(&l->timer_fd);
	base_close_(&l->epoll_fd);
	free(l);
}

int loop_turn(struct loop *l, int64_t deadline_boot_us, struct err *e)
{
	struct epoll_event events[32];
	int64_t wake_us = timers_next(&l->timers);
	int n, wait_ms = -1;

	if (wake_us > deadline_boot_us)
		wake_us = deadline_boot_us;
	if (wake_us <= l->now.boot_us)
		wait_ms = 0;
	else if (arm(l, wake_us, e) < 0)
		return -1;
	n = epoll_wait(l->epoll_fd, events, COUNT_OF(events), wait_ms);
	if (n < 0 && errno != EINTR)
		return err_set(e, ERR_BUG, errno, "cannot wait for events");
	l->now = now_read();
	l->depth++;
	for (int i = 0; i < n; i++)
		handle(l, &events[i]);
	timers_run(&l->timers, l->now.boot_us);
	if (!--l->depth)
		list_free(&l->removed);
	return 0;
}

int loop_run(struct loop *l, struct err *e)
{
	int rc = 0;

	while (!l->stop && rc == 0)
		rc = loop_turn(l, INT64_MAX, e);
	l->stop = false;
	return rc;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

const struct now *loop_now(const struct loop *l)
{
	return &l->now;
}
