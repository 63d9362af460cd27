/* proc_run: one child from start to end, with what it says. */
#include "proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FDS = 32, MOST_WORDS = 4096 };

struct run {
	struct proc proc;
	int out_fd, err_fd;
	struct buf *out;
	struct buf words; /* its stderr */
	size_t max;
};

static int open_pipe(int *ours, int *theirs, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a pipe");
	*ours = fds[0];
	*theirs = fds[1];
	return 0;
}

/* Start it with our pipes as 1 and 2, and with nothing to read unless the caller gives it something. */
static int start(const struct proc_spec *spec, struct run *r, struct err *e)
{
	struct proc_fd fds[MOST_FDS];
	struct proc_spec with = *spec;
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	auto_close int out = -1;
	auto_close int err = -1;
	size_t n = 0;

	if (null < 0)
		return err_set(e, ERR_IO, errno, "cannot open '/dev/null'");
	if (spec->fd_count > COUNT_OF(fds) - 3)
		return err_set(e, ERR_BUG, EINVAL, "cannot start a child");
	if (open_pipe(&r->out_fd, &out, e) < 0 || open_pipe(&r->err_fd, &err, e) < 0)
		return -1;
	fds[n++] = (struct proc_fd){ null, STDIN_FILENO };
	for (size_t i = 0; i < spec->fd_count; i++)
		fds[n++] = spec->fds[i];
	fds[n++] = (struct proc_fd){ out, STDOUT_FILENO };
	fds[n++] = (struct proc_fd){ err, STDERR_FILENO };
	with.fds = fds;
	with.fd_count = n;
	return proc_start(&with, &r->proc, e);
}

/* One read of what is there; at the end the descriptor becomes -1, which poll skips. */
static void drain(int *fd, struct buf *to, size_t max)
{
	char chunk[4096];
	ssize_t n = read(*fd, chunk, sizeof chunk);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(take_fd(fd));
		return;
	}
	if ((size_t)n > max - to->len)
		n = (ssize_t)(max - to->len);
	buf_add(to, chunk, (size_t)n);
}

/* Until it has ended and said all, or the time is over, or it says too much. */
static int follow(struct run *r, const char *name, int timeout_ms, struct err *e)
{
	int64_t until_us = now_read().boot_us + timeout_ms * US_PER_MS;
	bool ended = false;

	while (!ended) {
		struct pollfd wait[] = {
			{ .fd = r->out_fd, .events = POLLIN },
			{ .fd = r->err_fd, .events = POLLIN },
			{ .fd = r->proc.pidfd, .events = POLLIN },
		};
		int64_t left_us = until_us - now_read().boot_us;
		int n = left_us > 0 ? poll(wait, COUNT_OF(wait), (int)((left_us + US_PER_MS - 1) / US_PER_MS)) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_UNREACHABLE, 0, "'%s' did not end within %d ms", name, timeout_ms);
		if (wait[0].revents)
			drain(&r->out_fd, r->out, r->max + 1);
		if (wait[1].revents)
			drain(&r->err_fd, &r->words, MOST_WORDS);
		if (r->out->len > r->max)
			return err_set(e, ERR_INPUT, 0, "'%s' wrote more than %zu bytes", name, r->max);
		/* A child of the child may hold the pipes open for ever; what it says after the end is not waited for. */
		ended = wait[2].revents && !wait[0].revents && !wait[1].revents;
	}
	return 0;
}

static int judge(struct run *r, const char *name, struct err *e)
{
	char how[64], said[240];
	bool clean;

	proc_reap(&r->proc, &clean, how);
	if (clean)
		return 0;
	if (!r->words.len)
		return err_set(e, ERR_IO, 0, "'%s' failed: %s", name, how);
	str_printable(said, sizeof said, r->words.data, strcspn(r->words.data, "\n"));
	return err_set(e, ERR_IO, 0, "'%s' failed: %s: %s", name, how, said);
}

int proc_run(const struct proc_spec *spec, int timeout_ms, size_t max, struct buf *out, struct err *e)
{
	struct run r = { .proc = { -1, -1 }, .out_fd = -1, .err_fd = -1, .out = out, .max = max };
	int rc;

	buf_clear(out);
	rc = start(spec, &r, e);
	if (rc == 0)
		rc = follow(&r, spec->argv[0], timeout_ms, e);
	if (rc == 0)
		rc = judge(&r, spec->argv[0], e);
	proc_end(&r.proc, 0);
	base_close_(&r.out_fd);
	base_close_(&r.err_fd);
	buf_release(&r.words);
	return rc;
}
