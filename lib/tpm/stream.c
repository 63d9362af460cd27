/* stream: commands and answers as bytes over a descriptor, as swtpm and a program behind "cmd:" take them.
 *
 * tpm2-tss has TCTIs for both. Its cmd (3.2.1) believes the size that an answer claims and writes beyond its buffer: a
 * board at a factory's station is not yet one to be believed. Its swtpm waits without end for a stopped one, and
 * connects anew for each command. So do we, because a swtpm serves one connection at a time and others may use it
 * meanwhile; but two commands can be held together.
 */
#include "inside.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STREAM_MAGIC 0x7073656373747200

enum { HEADER = 10 };

struct stream {
	TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first: the library knows only that */
	int fd;                             /* -1: between two commands */
	bool held;                          /* not let go with the next answer */
	pid_t pid;                          /* of its program; 0: a swtpm */
	struct sockaddr_storage at;         /* of a swtpm */
	socklen_t at_len;
	int answer_ms;
};

static struct stream *mine(TSS2_TCTI_CONTEXT *c)
{
	return (struct stream *)c;
}

/* A stopped one lets nobody in when its queue is full: connecting and sending have the bound, too. */
static int reach(const struct sockaddr_storage *at, socklen_t len, int answer_ms)
{
	const struct timeval most = {.tv_sec = answer_ms / 1000, .tv_usec = answer_ms % 1000 * 1000};
	auto_close int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most) ||
	    connect(fd, (const struct sockaddr *)at, len))
		return -1;
	return take_fd(&fd);
}

static bool is_late(void)
{
	return errno == EAGAIN || errno == EINPROGRESS;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
	struct stream *c = mine(context);

	if (c->fd < 0)
		c->fd = reach(&c->at, c->at_len, c->answer_ms);
	if (c->fd < 0)
		return is_late() ? TSS2_TCTI_RC_TRY_AGAIN : TSS2_TCTI_RC_IO_ERROR;
	while (size > 0) {
		ssize_t n = send(c->fd, command, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && is_late() ? TSS2_TCTI_RC_TRY_AGAIN : TSS2_TCTI_RC_IO_ERROR;
		command += n;
		size -= (size_t)n;
	}
	return TSS2_RC_SUCCESS;
}

static TSS2_RC take_in(struct stream *c, uint8_t *to, size_t len, int64_t until)
{
	while (len > 0) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		int ready = poll(&p, 1, time_left_ms(until));
		ssize_t n;

		if (ready <= 0) /* errno EINTR: a signal that is handled came; wire.c looks */
			return ready ? TSS2_TCTI_RC_IO_ERROR : TSS2_TCTI_RC_TRY_AGAIN;
		n = recv(c->fd, to, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return TSS2_TCTI_RC_IO_ERROR;
		to += n;
		len -= (size_t)n;
	}
	return TSS2_RC_SUCCESS;
}

/* The library gives the whole room that it has, and wire.c the bound. */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout_ms)
{
	int64_t until = now_read().boot_us + timeout_ms * US_PER_MS;
	struct stream *c = mine(context);
	size_t len;
	TSS2_RC rc;

	if (*size < HEADER)
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	rc = take_in(c, response, HEADER, until);
	if (rc)
		return rc;
	len = get32(response + 2);
	if (len < HEADER || len > *size)
		return TSS2_TCTI_RC_MALFORMED_RESPONSE;
	rc = take_in(c, response + HEADER, len - HEADER, until);
	if (rc)
		return rc;
	*size = len;
	if (!c->pid && !c->held)
		base_close_(&c->fd);
	c->held = false;
	return TSS2_RC_SUCCESS;
}

void tpm_stream_hold(TSS2_TCTI_CONTEXT *context)
{
	if (TSS2_TCTI_MAGIC(context) == STREAM_MAGIC)
		mine(context)->held = true;
}

static void finalize(TSS2_TCTI_CONTEXT *context)
{
	struct stream *c = mine(context);

	base_close_(&c->fd);
	if (c->pid)
		tpm_cmd_end(c->pid);
	free(c);
}

TSS2_TCTI_CONTEXT *tpm_stream_new(int fd, pid_t pid)
{
	struct stream *c = xcalloc(1, sizeof *c);

	c->common = (TSS2_TCTI_CONTEXT_COMMON_V1){.magic = STREAM_MAGIC, .version = 1, .transmit = transmit,
						  .receive = receive, .finalize = finalize};
	c->fd = fd;
	c->pid = pid;
	return (TSS2_TCTI_CONTEXT *)c;
}

/* ---- swtpm ------------------------------------------------------------------------------------------------------- */

static int reach_host(const char *host, const char *port, int answer_ms, struct sockaddr_storage *at, socklen_t *len)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &found)) {
		errno = EHOSTUNREACH;
		return -1;
	}
	for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
		memcpy(at, a->ai_addr, a->ai_addrlen);
		*len = a->ai_addrlen;
		fd = reach(at, *len, answer_ms);
	}
	freeaddrinfo(found);
	return fd;
}

/* "path=SOCKET" or "host=NAME,port=NUMBER", as the library has them; false: another word, or no port. */
static bool read_words(char *words, const char **path, const char **host, const char **port)
{
	char *rest = NULL;
	int64_t number;

	*path = NULL;
	*host = "localhost";
	*port = "2321";
	for (char *w = strtok_r(words, ",", &rest); w; w = strtok_r(NULL, ",", &rest))
		if (str_starts(w, "path="))
			*path = w + strlen("path=");
		else if (str_starts(w, "host="))
			*host = w + strlen("host=");
		else if (str_starts(w, "port="))
			*port = w + strlen("port=");
		else
			return false;
	return parse_int(*port, 1, 65535, &number);
}

int tpm_swtpm_open(const char *tcti, int answer_ms, TSS2_TCTI_CONTEXT **out, struct err *e)
{
	auto_free char *words = xstrdup(tcti[strlen("swtpm")] ? tcti + strlen("swtpm:") : "");
	struct sockaddr_storage at = {.ss_family = AF_UNIX};
	struct sockaddr_un *local = (struct sockaddr_un *)&at;
	const char *path, *host, *port;
	socklen_t len = sizeof *local;
	struct stream *c;
	int fd;

	if (!read_words(words, &path, &host, &port))
		return err_set(e, ERR_INPUT, 0, "'%s' does not say where a swtpm listens; it reads swtpm:path=SOCKET or "
			       "swtpm:host=NAME,port=NUMBER", tcti);
	if (path && !str_copy(local->sun_path, sizeof local->sun_path, path))
		return err_set(e, ERR_INPUT, 0, "the path of the socket in '%s' has more than %zu bytes", tcti,
			       sizeof local->sun_path - 1);
	fd = path ? reach(&at, len, answer_ms) : reach_host(host, port, answer_ms, &at, &len);
	if (fd < 0 && is_late())
		return err_set(e, ERR_UNREACHABLE, 0, "what serves the TPM at '%s' let nobody in within %d s; end it and "
			       "start it again", tcti, (answer_ms + 999) / 1000);
	if (fd < 0)
		return err_set(e, ERR_UNREACHABLE, errno, "cannot reach the TPM at '%s'; does it run there?", tcti);
	*out = tpm_stream_new(fd, 0);
	c = mine(*out);
	c->at = at;
	c->at_len = len;
	c->answer_ms = answer_ms;
	return 0;
}
