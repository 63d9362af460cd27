/* kill_at N COMMAND…: run it, and kill it (SIGKILL) as it enters the N-th system call that writes a file, changes a folder or
 * sends to a socket; what goes to descriptors 1 and 2 is not counted. N 0: only count. Ends with 0 when it was killed, with the
 * command's own status plus 100 otherwise; the count is the last line on standard error. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef SYS_rename
#define OLDER SYS_rename, SYS_unlink, SYS_link, SYS_symlink, SYS_mkdir, SYS_rmdir, SYS_chmod, SYS_chown,
#else
#define OLDER
#endif
static const long to_descriptor[] = { SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_sendto, SYS_sendmsg };
static const long others[] = { OLDER SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_linkat, SYS_symlinkat, SYS_mkdirat,
			       SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_fchmod, SYS_fchown };

static bool is_one_of(long nr, const long *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == nr)
			return true;
	return false;
}

static bool counts(const struct __ptrace_syscall_info *s)
{
	long nr = (long)s->entry.nr;

	if (is_one_of(nr, to_descriptor, sizeof to_descriptor / sizeof *to_descriptor))
		return s->entry.args[0] != 1 && s->entry.args[0] != 2;
	if (nr == SYS_openat)
		return s->entry.args[2] & O_CREAT;
	return is_one_of(nr, others, sizeof others / sizeof *others);
}

static int die(const char *what)
{
	fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
	return 99;
}

/* Children that it starts are not followed. */
static int follow(pid_t pid, long at)
{
	long seen = 0;
	int status;

	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		return die("cannot trace");
	for (int sig = 0;;) {
		struct __ptrace_syscall_info s = { 0 };

		if (ptrace(PTRACE_SYSCALL, pid, 0, sig) < 0 || waitpid(pid, &status, 0) < 0)
			return die("cannot go on");
		if (!WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status) == (SIGTRAP | 0x80) || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		if (WSTOPSIG(status) != (SIGTRAP | 0x80) || ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof s, &s) < 0)
			continue;
		if (s.op == PTRACE_SYSCALL_INFO_ENTRY && counts(&s) && ++seen == at) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
	}
	fprintf(stderr, "%ld\n", seen);
	return WIFSIGNALED(status) ? 0 : 100 + WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	pid_t pid;

	if (argc < 3)
		return 98;
	pid = fork();
	if (pid < 0)
		return die("cannot fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 || raise(SIGSTOP))
			_exit(die("cannot be traced"));
		execvp(argv[2], argv + 2);
		_exit(die(argv[2]));
	}
	return follow(pid, strtol(argv[1], NULL, 10));
}
