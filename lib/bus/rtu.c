/* rtu: a serial line: one thread that owns it, asked and answering over eventfds.
 *
 * libmodbus opens the line, sets it and sends the raw request. Its receive_confirmation is not used: it cannot take
 * the answer to FC 43 (it knows only lengths that stand in the third byte), it cannot be called off, and it hands
 * over the late answer to the question before. Here each byte has the question's one deadline, and each frame passes
 * suspects_judge.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "line.h"

struct rtu {
	struct bus_link *link;
	struct loop_source *source;
	int wake_fd, done_fd; /* loop to worker, worker to loop */
	pthread_t thread;
	bool started;
	uint64_t number; /* of the job in flight; the loop's */

	pthread_mutex_t lock; /* over the rest of this struct, but line, which is the worker's once it runs */
	bool stop, drop, has_job;
	struct job {
		uint64_t number;
		struct bus_request q;
		int answer_ms;
		uint64_t only_on;
	} job, finished;
	struct bus_reply reply; /* to finished */
	uint64_t bytes_in, bytes_out, connects;

	struct line line;
};

/* ---- the worker -------------------------------------------------------------------------------------------------- */

/* Wait for a word from the loop; false: the end. A word counts as heard together with what it is about, under the lock:
 * left in wake_fd it would call off the job that it announces. */
static bool next_job(struct rtu *u, struct job *job)
{
	struct pollfd wake = {.fd = u->wake_fd, .events = POLLIN};
	bool has_job = false, drop = false, stop = false;
	eventfd_t ignored;

	while (!has_job && !stop) {
		if (poll(&wake, 1, -1) < 0)
			continue;
		pthread_mutex_lock(&u->lock);
		eventfd_read(u->wake_fd, &ignored);
		has_job = u->has_job;
		drop = u->drop;
		stop = u->stop;
		if (has_job)
			*job = u->job;
		u->has_job = u->drop = false;
		pthread_mutex_unlock(&u->lock);
		if (drop)
			line_close(&u->line);
	}
	return !stop;
}

static void *work(void *arg)
{
	struct rtu *u = arg;
	struct job job;

	while (next_job(u, &job)) {
		struct bus_reply r = {0};

		if (job.only_on && (u->line.fd < 0 || u->line.opens != job.only_on))
			reply_fail(&r, BUS_CANCELLED, CONNECTION_GONE);
		else
			line_question(&u->line, &job.q, job.answer_ms, &r);
		pthread_mutex_lock(&u->lock);
		u->finished = job;
		u->reply = r;
		u->bytes_in = u->line.bytes_in;
		u->bytes_out = u->line.bytes_out;
		u->connects = u->line.opens;
		pthread_mutex_unlock(&u->lock);
		eventfd_write(u->done_fd, 1);
	}
	return NULL;
}

/* ---- the loop's side --------------------------------------------------------------------------------------------- */

static void on_done(void *arg, int fd, unsigned events)
{
	struct rtu *u = arg;
	struct bus_link *k = u->link;
	struct bus_reply r;
	eventfd_t ignored;
	bool ours;

	(void)events;
	if (eventfd_read(fd, &ignored) < 0)
		return;
	pthread_mutex_lock(&u->lock);
	ours = k->phase == LINK_WORKING && u->finished.number == u->number;
	r = u->reply;
	k->counters.bytes_in = u->bytes_in;
	k->counters.bytes_out = u->bytes_out;
	k->counters.connects = u->connects;
	pthread_mutex_unlock(&u->lock);
	if (ours)
		link_done(k, &r);
}

static int start(struct rtu *u)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	r = pthread_create(&u->thread, &attr, work, u);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	u->started = r == 0;
	return r;
}

/* The thread starts with the first question, so that it has the rights and filters of the process at work. */
static void begin(struct bus_link *k)
{
	struct rtu *u = k->door;
	int error = u->started ? 0 : start(u);
	char why[80];

	if (error) {
		snprintf(why, sizeof why, "cannot start the line's thread: %s", strerror(error));
		link_fail_soon(k, BUS_UNREACHABLE, why);
		return;
	}
	pthread_mutex_lock(&u->lock);
	u->job = (struct job){++u->number, k->q, k->answer_ms, k->only_on};
	u->has_job = true;
	eventfd_write(u->wake_fd, 1);
	pthread_mutex_unlock(&u->lock);
}

static void expired(struct bus_link *k)
{
	(void)k; /* the worker keeps the time */
}

static void drop(struct bus_link *k)
{
	struct rtu *u = k->door;

	if (!u->started) {
		line_close(&u->line);
		return;
	}
	pthread_mutex_lock(&u->lock);
	u->drop = true;
	u->has_job = false;
	eventfd_write(u->wake_fd, 1);
	pthread_mutex_unlock(&u->lock);
}

static void rtu_free(struct bus_link *k)
{
	struct rtu *u = k->door;

	if (u->started) {
		pthread_mutex_lock(&u->lock);
		u->stop = true;
		eventfd_write(u->wake_fd, 1);
		pthread_mutex_unlock(&u->lock);
		pthread_join(u->thread, NULL); /* at once: every wait of the worker looks at wake_fd */
	}
	loop_remove(u->source);
	line_close(&u->line);
	close(u->wake_fd);
	close(u->done_fd);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static const struct link_kind rtu_kind = {begin, expired, drop, rtu_free};

int rtu_open(struct bus_link *k, struct err *e)
{
	struct rtu *u = xcalloc(1, sizeof *u);
	int r;

	u->link = k;
	k->door = u;
	k->kind = &rtu_kind;
	pthread_mutex_init(&u->lock, NULL);
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	line_init(&u->line, &k->address, u->wake_fd, k->options.quiet_ms);
	if (u->wake_fd < 0 || u->done_fd < 0)
		r = err_set(e, ERR_IO, errno, "cannot make an eventfd");
	else
		r = loop_add_fd(k->loop, u->done_fd, LOOP_READ, on_done, u, &u->source, e);
	/* A line that is not there now may come; one that another holds is refused at once. */
	if (r == 0 && line_connect(&u->line, e) < 0 && e->kind == ERR_AGAIN)
		r = -1;
	if (r < 0)
		rtu_free(k);
	return r;
}
