#include "proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static const char *const path_env[] = { "PATH=/usr/bin:/bin", NULL };

/* What the child says on stdout, to its end. */
static int run(const struct proc_spec *spec, struct buf *out, struct err *e)
{
	struct proc_fd fds[8];
	struct proc_spec with = *spec;
	auto_close int ours = -1, theirs = -1;
	struct proc p;
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	ours = pair[0];
	theirs = pair[1];
	for (size_t i = 0; i < spec->fd_count; i++)
		fds[i] = spec->fds[i];
	fds[spec->fd_count] = (struct proc_fd){ theirs, STDOUT_FILENO };
	with.fds = fds;
	with.fd_count = spec->fd_count + 1;
	if (proc_start(&with, &p, e) < 0)
		return -1;
	close(take_fd(&theirs));
	assert_int_equal(file_read_fd(ours, "pipe", 4096, out, e), 0);
	proc_end(&p, 60000);
	return 0;
}

/* What `sh -c script` says. */
static int sh(const char *script, const struct proc_fd *fds, size_t n, struct buf *out, struct err *e)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	const struct proc_spec spec = { .argv = argv, .env = path_env, .fds = fds, .fd_count = n };

	return run(&spec, out, e);
}

static int holding(const char *text)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
	close(fds[1]);
	return fds[0];
}

static void a_child_says_what_it_has_to_say(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	struct err e;

	(void)state;
	assert_int_equal(sh("echo hello", NULL, 0, &out, &e), 0);
	assert_string_equal(out.data, "hello\n");
}

static void only_the_given_environment_reaches_the_child(void **state)
{
	static const char *const argv[] = { "/usr/bin/env", NULL }, *const env[] = { "A=1", "B=2", NULL };
	struct proc_spec spec = { .argv = argv, .env = env };
	auto_buf struct buf out = BUF_INIT;
	struct err e;

	(void)state;
	setenv("SECRET", "x", 1);
	assert_int_equal(run(&spec, &out, &e), 0);
	assert_string_equal(out.data, "A=1\nB=2\n");
}

static void only_the_named_descriptors_reach_the_child(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	auto_close int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	auto_close int given = holding("given");
	struct proc_fd fds[] = { { given, 7 } };
	struct err e;

	(void)state;
	assert_true(leaked >= 0);

	assert_int_equal(sh("cat <&7; for f in 3 4 5 6 8 9 10 11 12 20 50; do [ ! -e /proc/$$/fd/$f ] || echo $f; done",
			    fds, 1, &out, &e), 0);
	assert_string_equal(out.data, "given");
}

/* 5→6, 6→5, and one source at two places: done one after the other, each would overwrite the next. */
static void descriptors_may_swap_places(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	int a = holding("a"), b = holding("b"), five, six;
	struct proc_fd fds[] = { { 0, 6 }, { 0, 5 }, { 0, 8 } };
	struct err e;

	(void)state;
	five = fcntl(a, F_DUPFD_CLOEXEC, 100);
	six = fcntl(b, F_DUPFD_CLOEXEC, 100);
	close(a);
	close(b);
	fds[0] = (struct proc_fd){ five, six };
	fds[1] = (struct proc_fd){ six, five };
	fds[2] = (struct proc_fd){ five, 8 };
	{
		auto_free char *script = xasprintf("cat /proc/self/fd/%d; cat /proc/self/fd/%d; cat <&8", six, five);

		assert_int_equal(sh(script, fds, COUNT_OF(fds), &out, &e), 0);
	}
	assert_string_equal(out.data, "ab");
	assert_true(fcntl(five, F_GETFD) >= 0 && fcntl(six, F_GETFD) >= 0);
	close(five);
	close(six);
}

static void standard_input_may_be_given(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	auto_close int given = holding("typed");
	struct proc_fd fds[] = { { given, 0 } };
	struct err e;

	(void)state;
	assert_int_equal(sh("cat", fds, 1, &out, &e), 0);
	assert_string_equal(out.data, "typed");
}

static void a_program_that_is_not_there_is_an_error_at_once(void **state)
{
	static const char *const argv[] = { "/no/such/program", NULL };
	struct proc_spec spec = { .argv = argv, .env = path_env };
	struct proc p;
	struct err e;

	(void)state;
	assert_int_equal(proc_start(&spec, &p, &e), -1);
	assert_int_equal(e.errnum, ENOENT);
	assert_string_equal(e.text, "cannot execute '/no/such/program': No such file or directory");
	assert_int_equal(p.pidfd, -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and nobody is left to wait for */
}

static void a_descriptor_that_is_not_open_is_an_error_at_once(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	struct proc_fd fds[] = { { 9999, 3 } };
	struct err e;

	(void)state;
	assert_int_equal(sh("true", fds, 1, &out, &e), -1);
	assert_int_equal(e.errnum, EBADF);
}

static void the_parents_signal_mask_is_its_own(void **state)
{
	/* The kernel's struct sigaction, SIG_IGN first; 33 is one of those that the C library hides. */
	static const void *const ignore[8] = { (void *)1 };
	static const void *const deflt[8];
	auto_buf struct buf out = BUF_INIT;
	sigset_t all, before;
	struct err e;

	(void)state;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(syscall(SYS_rt_sigaction, 33, ignore, NULL, 8), 0);
	assert_int_equal(sh("grep -E '^Sig(Blk|Ign)' /proc/self/status", NULL, 0, &out, &e), 0);
	signal(SIGPIPE, SIG_DFL);
	syscall(SYS_rt_sigaction, 33, deflt, NULL, 8);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(out.data, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

/* Starts argv with fd as its standard input, and gives it no patience. */
static void end_at_once(const char *const argv[], int stdin_fd)
{
	const struct proc_fd fds[] = { { stdin_fd, 0 } };
	const struct proc_spec spec = { .argv = argv, .env = path_env, .fds = fds, .fd_count = 1 };
	struct proc p;
	struct err e;

	assert_int_equal(proc_start(&spec, &p, &e), 0);
	proc_end(&p, 50);
	assert_int_equal(p.pidfd, -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_child_that_does_not_end_is_ended(void **state)
{
	static const char *const argv[] = { "/bin/sh", "-c", "trap '' TERM; while :; do read x; done <&0", NULL };
	int hold[2];

	(void)state;
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	end_at_once(argv, hold[0]);
	close(hold[0]);
	close(hold[1]);
}

static void how_a_child_ended(const char *script, char text[64])
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	const struct proc_spec spec = { .argv = argv, .env = path_env };
	struct pollfd wait = { .events = POLLIN };
	struct proc p;
	struct err e;
	bool clean;

	assert_int_equal(proc_start(&spec, &p, &e), 0);
	wait.fd = p.pidfd;
	assert_int_equal(poll(&wait, 1, 60000), 1);
	proc_reap(&p, &clean, text);
	assert_false(clean);
	assert_int_equal(p.pidfd, -1);
	proc_end(&p, 0); /* nothing more to end */
}

static void a_pidfd_is_readable_when_the_child_has_ended(void **state)
{
	char text[64];

	(void)state;
	how_a_child_ended("exit 5", text);
	assert_string_equal(text, "exit status 5");
}

static void a_killed_child_is_told_by_its_signal(void **state)
{
	char text[64];

	(void)state;
	how_a_child_ended("kill -9 $$", text);
	assert_string_equal(text, "killed by signal 9 (Killed)");
}

static void a_child_dies_with_its_parent(void **state)
{
	static const char *const argv[] = { "/bin/sh", "-c", "echo here >&3; read x <&4", NULL };
	auto_buf struct buf said = BUF_INIT;
	int up[2], hold[2];
	struct err e;
	pid_t parent;

	(void)state;
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	parent = fork();
	if (parent == 0) {
		struct proc_fd fds[] = { { up[1], 3 }, { hold[0], 4 } };
		struct proc_spec spec = { .argv = argv, .env = path_env, .fds = fds, .fd_count = COUNT_OF(fds) };
		struct proc p;

		if (proc_start(&spec, &p, &e) == 0)
			pause();
		_exit(1);
	}
	close(up[1]);
	{
		char word[5];

		assert_int_equal(read(up[0], word, sizeof word), 5);
	}
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	/* The end of the file comes when the last writer, the child, is gone; hold is still open. */
	assert_int_equal(file_read_fd(up[0], "pipe", 10, &said, &e), 0);
	assert_int_equal(said.len, 0);
	close(up[0]);
	close(hold[0]);
	close(hold[1]);
}

static void a_session_of_its_own_ends_as_one(void **state)
{
	const char *const argv[] = { "/bin/sh", "-c", "set -m; sleep 300 & echo y; sleep 300", NULL };
	int up[2];
	struct proc_fd out = { 0, STDOUT_FILENO };
	struct proc_spec spec = { .argv = argv, .env = path_env, .fds = &out, .fd_count = 1, .own_session = true };
	struct buf said = BUF_INIT;
	struct proc p;
	struct err e = { 0 };
	char text[64];
	bool clean;

	(void)state;
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	out.from = up[1];
	assert_int_equal(proc_start(&spec, &p, &e), 0);
	close(up[1]);
	assert_int_equal(read(up[0], text, 1), 1); /* now the first one is there, in a group of its own */
	assert_int_equal(getsid(p.pid), p.pid);
	proc_kill(&p);
	proc_reap(&p, &clean, text);
	assert_string_equal(text, "killed by signal 9 (Killed)");
	/* Both writers are gone, or this would wait. */
	assert_int_equal(file_read_fd(up[0], "pipe", 10, &said, &e), 0);
	buf_release(&said);
	close(up[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_says_what_it_has_to_say),
		cmocka_unit_test(only_the_given_environment_reaches_the_child),
		cmocka_unit_test(only_the_named_descriptors_reach_the_child),
		cmocka_unit_test(descriptors_may_swap_places),
		cmocka_unit_test(standard_input_may_be_given),
		cmocka_unit_test(a_program_that_is_not_there_is_an_error_at_once),
		cmocka_unit_test(a_descriptor_that_is_not_open_is_an_error_at_once),
		cmocka_unit_test(the_parents_signal_mask_is_its_own),
		cmocka_unit_test(a_killed_child_is_told_by_its_signal),
		cmocka_unit_test(a_child_that_does_not_end_is_ended),
		cmocka_unit_test(a_pidfd_is_readable_when_the_child_has_ended),
		cmocka_unit_test(a_child_dies_with_its_parent),
		cmocka_unit_test(a_session_of_its_own_ends_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
