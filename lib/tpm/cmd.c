/* cmd: a TPM at the other end of a program's stdin and stdout, such as ssh to a board.
 *
 * tpm2-tss has a TCTI for that, which believes the size that an answer claims and writes beyond its buffer (3.2.1,
 * tcti_cmd_receive). A board at a factory's station is not yet one to be believed, so this one is ours; it also ends
 * when nothing comes.
 */
#include "inside.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A slow TPM takes half a minute for an RSA key. */
enum { ANSWER_MS = 120000, HEADER = 10, END_MS = 2000, STEP_MS = 10 };

extern char **environ;

struct cmd_tcti {
	TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first: the library knows only that */
	int fd;
	pid_t pid;
	bool broken;
};

static struct cmd_tcti *mine(TSS2_TCTI_CONTEXT *c)
{
	return (struct cmd_tcti *)c;
}

static TSS2_RC broke(struct cmd_tcti *c, TSS2_RC rc)
{
	c->broken = true; /* where the next answer begins is not known any more */
	return rc;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
	struct cmd_tcti *c = mine(context);

	if (c->broken)
		return TSS2_TCTI_RC_IO_ERROR;
	while (size > 0) {
		ssize_t n = send(c->fd, command, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return broke(c, TSS2_TCTI_RC_IO_ERROR);
		command += n;
		size -= (size_t)n;
	}
	return TSS2_RC_SUCCESS;
}

static bool take_in(struct cmd_tcti *c, uint8_t *to, size_t len, int64_t until)
{
	while (len > 0) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		int64_t left = (until - now_read().boot_us) / US_PER_MS;
		ssize_t n;
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		n = recv(c->fd, to, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

/* The library gives the whole room that it has. Its synchronous calls ask for no other timeout than to wait. */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
	int64_t until = now_read().boot_us + ANSWER_MS * US_PER_MS;
	struct cmd_tcti *c = mine(context);
	size_t len;

	(void)timeout;
	if (c->broken)
		return TSS2_TCTI_RC_IO_ERROR;
	if (!response) {
		*size = TPM2_MAX_RESPONSE_SIZE;
		return TSS2_RC_SUCCESS;
	}
	if (*size < HEADER)
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	if (!take_in(c, response, HEADER, until))
		return broke(c, TSS2_TCTI_RC_IO_ERROR);
	len = (size_t)response[2] << 24 | (size_t)response[3] << 16 | (size_t)response[4] << 8 | response[5];
	if (len < HEADER || len > *size)
		return broke(c, TSS2_TCTI_RC_MALFORMED_RESPONSE);
	if (!take_in(c, response + HEADER, len - HEADER, until))
		return broke(c, TSS2_TCTI_RC_IO_ERROR);
	*size = len;
	return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *context)
{
	struct cmd_tcti *c = mine(context);

	close(c->fd);
	for (int waited = 0; waitpid(c->pid, NULL, WNOHANG) == 0; waited += STEP_MS) {
		if (waited >= END_MS) {
			kill(-c->pid, SIGKILL); /* its group, which nobody else is in */
			waitpid(c->pid, NULL, 0);
			return;
		}
		poll(NULL, 0, STEP_MS);
	}
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *context)
{
	(void)context;
	return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *context, uint8_t locality)
{
	(void)context;
	return locality == 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_NOT_IMPLEMENTED;
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
	struct cmd_tcti *c;
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
	c = xcalloc(1, sizeof *c);
	c->common = (TSS2_TCTI_CONTEXT_COMMON_V1){.magic = 0x70736563636d6400, .version = 1, .transmit = transmit,
						  .receive = receive, .finalize = finalize, .cancel = cancel,
						  .setLocality = set_locality};
	c->fd = ends[0];
	c->pid = pid;
	*out = (TSS2_TCTI_CONTEXT *)c;
	return 0;
}

void tpm_cmd_close(TSS2_TCTI_CONTEXT *c)
{
	finalize(c);
	free(c);
}
