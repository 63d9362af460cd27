#include "proc/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_FDS = 32, HIGHEST_TO = 255 };

/* What the child tells through a pipe that closes at exec when all went well. */
struct failure {
	int errnum;
	bool at_exec;
};

/* ---- in the child, between fork and exec: only async-signal-safe calls ---- */

static void give_up(int report, bool at_exec)
{
	struct failure f = { .errnum = errno, .at_exec = at_exec };
	ssize_t n = write(report, &f, sizeof f);

	(void)n;
	_exit(127);
}

/* What the parent ignores or blocks is its own affair. By the kernel's call: the C library refuses to touch 32 and 33,
 * which it uses itself, and which whoever started us may have ignored. All zero is SIG_DFL, without flags or mask. */
static void reset_signals(void)
{
	const char deflt[64] = { 0 };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, deflt, NULL, (NSIG - 1) / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool is_wanted(const struct proc_spec *spec, int fd)
{
	for (size_t i = 0; i < spec->fd_count; i++)
		if (spec->fds[i].to == fd)
			return true;
	return false;
}

/* Through copies above every target, since one descriptor's target may be another one's source. Returns where the
 * report pipe went, which is closed by exec like all that is left above. */
static int place_fds(const struct proc_spec *spec, int report)
{
	int high[MOST_FDS], above = 3, moved;

	for (size_t i = 0; i < spec->fd_count; i++)
		if (spec->fds[i].to >= above)
			above = spec->fds[i].to + 1;
	moved = fcntl(report, F_DUPFD_CLOEXEC, above);
	if (moved < 0)
		give_up(report, false);
	for (size_t i = 0; i < spec->fd_count; i++) {
		high[i] = fcntl(spec->fds[i].from, F_DUPFD_CLOEXEC, above);
		if (high[i] < 0)
			give_up(moved, false);
	}
	for (size_t i = 0; i < spec->fd_count; i++)
		if (dup2(high[i], spec->fds[i].to) < 0)
			give_up(moved, false);
	for (int fd = 3; fd < above; fd++)
		if (!is_wanted(spec, fd))
			close(fd);
	if (close_range((unsigned)above, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		give_up(moved, false);
	return moved;
}

static void become(const struct proc_spec *spec, pid_t parent, int report)
{
	reset_signals();
	report = place_fds(spec, report);
	if (spec->own_session && setsid() < 0)
		give_up(report, false);
	if (!spec->stays && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(report, false);
	/* It may have died before the kernel knew that we want to follow. */
	if (getppid() != parent)
		_exit(127);
	execve(spec->argv[0], (char *const *)spec->argv, (char *const *)spec->env);
	give_up(report, true);
}

/* ---- in the parent ---- */

static pid_t fork_child(const struct proc_spec *spec, int report)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;

	/* No handler of ours may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(spec, parent, report);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Wait until the child has become its program or said why it could not. */
static bool has_failed(int fd, struct failure *f)
{
	ssize_t n;

	do
		n = read(fd, f, sizeof *f);
	while (n < 0 && errno == EINTR);
	return n == sizeof *f;
}

static int check(const struct proc_spec *spec, struct err *e)
{
	bool ok = spec->argv && spec->argv[0] && spec->env && spec->fd_count <= MOST_FDS;

	for (size_t i = 0; ok && i < spec->fd_count; i++)
		ok = spec->fds[i].to >= 0 && spec->fds[i].to <= HIGHEST_TO;
	return ok ? 0 : err_set(e, ERR_BUG, EINVAL, "cannot start a child");
}

int proc_start(const struct proc_spec *spec, struct proc *out, struct err *e)
{
	auto_close int report = -1;
	auto_close int child_report = -1;
	struct failure f;
	int fds[2], pidfd;
	pid_t pid;

	*out = (struct proc){ .pid = -1, .pidfd = -1 };
	if (check(spec, e) < 0)
		return -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, ERR_IO, errno, "cannot start '%s'", spec->argv[0]);
	report = fds[0];
	child_report = fds[1];
	pid = fork_child(spec, child_report);
	if (pid < 0)
		return err_set(e, ERR_IO, errno, "cannot start '%s'", spec->argv[0]);
	base_close_(&child_report);
	child_report = -1;
	if (has_failed(report, &f)) {
		kill_and_wait(pid);
		return err_set(e, ERR_IO, f.errnum, f.at_exec ? "cannot execute '%s'" : "cannot prepare '%s'",
			       spec->argv[0]);
	}
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		err_set(e, ERR_IO, errno, "cannot watch '%s'", spec->argv[0]);
		kill_and_wait(pid);
		return -1;
	}
	*out = (struct proc){ .pid = pid, .pidfd = pidfd, .own_session = spec->own_session };
	return 0;
}

static void say_end(int status, char text[64])
{
	if (WIFEXITED(status)) {
		snprintf(text, 64, "exit status %d", WEXITSTATUS(status));
	} else {
		const char *name = sigdescr_np(WTERMSIG(status));

		snprintf(text, 64, "killed by signal %d (%s)", WTERMSIG(status), name ? name : "unknown");
	}
}

void proc_reap(struct proc *p, bool *clean, char text[64])
{
	int status;
	pid_t got;

	*clean = false;
	str_copy(text, 64, "not running");
	if (p->pid < 0)
		return;
	do
		got = waitpid(p->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got == p->pid) {
		*clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		say_end(status, text);
	}
	base_close_(&p->pidfd);
	*p = (struct proc){ .pid = -1, .pidfd = -1 };
}

void proc_end(struct proc *p, int patience_ms)
{
	int64_t until_us = now_read().boot_us + patience_ms * US_PER_MS;
	struct pollfd wait = { .fd = p->pidfd, .events = POLLIN };
	bool clean;
	char text[64];
	int n;

	if (p->pid < 0)
		return;
	pidfd_send_signal(p->pidfd, SIGTERM, NULL, 0);
	do
		n = poll(&wait, 1, time_left_ms(until_us));
	while (n < 0 && errno == EINTR);
	if (n <= 0 || p->own_session)
		proc_kill(p);
	proc_reap(p, &clean, text);
}

/* proc_pid_stat(5): what follows the name, which may hold anything, is state, parent, group, session. */
static pid_t session_of(pid_t pid)
{
	char path[32], text[512], *after;
	int sid = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	after = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
	if (after && sscanf(after + 1, " %*c %*d %*d %d", &sid) != 1)
		sid = -1;
	fclose(f);
	return sid;
}

/* What it started may have made groups of its own. */
static void kill_session(pid_t sid)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		int pidfd = pid > 0 && pid != sid && session_of(pid) == sid ? pidfd_open(pid, 0) : -1;

		if (pidfd < 0)
			continue;
		if (session_of(pid) == sid) /* not another one by now */
			pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		close(pidfd);
	}
	if (d)
		closedir(d);
}

void proc_kill(const struct proc *p)
{
	if (p->pid < 0)
		return;
	pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
	/* until it is reaped the number is its session's alone */
	if (p->own_session)
		kill_session(p->pid);
}
