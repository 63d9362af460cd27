/* cmd: the program at whose stdin and stdout a TPM is, such as ssh to a board. */
#include "inside.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 2000, STEP_MS = 10 };

extern char **environ;

void tpm_cmd_end(pid_t pid)
{
	for (int waited = 0; waitpid(pid, NULL, WNOHANG) == 0; waited += STEP_MS) {
		if (waited >= END_MS) {
			kill(-pid, SIGKILL); /* its group, which nobody else is in */
			waitpid(pid, NULL, 0);
			return;
		}
		poll(NULL, 0, STEP_MS);
	}
}

static int spawn(const char *program, int fd, pid_t *pid)
{
	char sh[] = "sh", dash_c[] = "-c";
	char *argv[] = {sh, dash_c, (char *)program, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	if (posix_spawn_file_actions_init(&files) || posix_spawnattr_init(&attr))
		return ENOMEM;
	posix_spawn_file_actions_adddup2(&files, fd, 0);
	posix_spawn_file_actions_adddup2(&files, fd, 1);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setpgroup(&attr, 0);
	r = posix_spawn(pid, "/bin/sh", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

int tpm_cmd_open(const char *program, TSS2_TCTI_CONTEXT **out, struct err *e)
{
	int ends[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return err_set(e, ERR_IO, errno, "cannot speak with a program");
	r = spawn(program, ends[1], &pid);
	close(ends[1]);
	if (r) {
		close(ends[0]);
		return err_set(e, ERR_IO, r, "cannot start 'sh' for '%s'", program);
	}
	*out = tpm_stream_new(ends[0], pid);
	return 0;
}
