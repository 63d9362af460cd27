/* The client: one connection that waits, with a deadline for everything. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "words.h"

enum { WAITING_MAX = 256 /* notifications kept while an answer is awaited; the oldest go first */, CONNECT_MS = 5000 };

struct ctl_client {
	int fd;
	json_int_t id;
	struct buf in;
	size_t taken;        /* bytes of in already handed out as lines */
	json_t *waiting;     /* array of notifications */
	char topic[64];      /* of the last ctl_next */
	bool ended;          /* the server closed */
};

int ctl_connect(const char *path, struct ctl_client **out, struct err *e)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	auto_close int dir_fd = -1;
	struct timeval patience = { CONNECT_MS / 1000, 0 };
	struct sockaddr_un a;
	struct ctl_client *c;

	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot make a socket");
	/* a full queue would keep connect for ever (unix(7)) */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		return err_set(e, ERR_IO, errno, "cannot prepare a socket");
	if (words_address(path, &a, &dir_fd, e) < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0) {
		enum err_kind kind = errno == EACCES || errno == EPERM ? ERR_REFUSED : errno == EAGAIN ? ERR_AGAIN :
				     errno == EINTR ? ERR_INTERRUPTED : ERR_UNREACHABLE;

		return err_set(e, kind, errno, "cannot reach '%s'", path);
	}
	c = xcalloc(1, sizeof *c);
	c->fd = take_fd(&fd);
	c->waiting = json_array();
	*out = c;
	return 0;
}

void ctl_client_free(struct ctl_client *c)
{
	if (!c)
		return;
	close(c->fd);
	buf_release(&c->in);
	json_decref(c->waiting);
	free(c);
}

/* Wait for the descriptor: 1 ready, 0 time over, -1 with errno (EINTR included). */
static int await(int fd, short events, int64_t deadline_us)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, time_left_ms(deadline_us));
}

/* The next line already received as an object; NULL when there is none. *bad: there is one, and it is not ours. */
static json_t *next_line(struct ctl_client *c, bool *bad)
{
	const char *at = c->in.data ? c->in.data + c->taken : "";
	size_t rest = c->in.len - c->taken;
	const char *end = rest ? memchr(at, '\n', rest) : NULL;
	json_t *object;

	*bad = !end && rest > CTL_LINE_MAX;
	if (!end) {
		if (c->taken) {
			memmove(c->in.data, at, rest + 1);
			c->in.len = rest;
			c->taken = 0;
		}
		return NULL;
	}
	object = json_loadb(at, (size_t)(end - at), 0, NULL);
	c->taken += (size_t)(end - at) + 1;
	if (!json_is_object(object)) {
		json_decref(object);
		*bad = true;
		return NULL;
	}
	return object;
}

/* One message: 1, 0 at the deadline, -1; EINTR is -1 with ERR_INTERRUPTED. */
static int receive(struct ctl_client *c, int64_t deadline_us, json_t **out, struct err *e)
{
	char chunk[16384];

	for (;;) {
		bool bad;
		ssize_t n;
		int ready;

		*out = next_line(c, &bad);
		if (*out)
			return 1;
		if (bad)
			return err_set(e, ERR_UNREACHABLE, 0, "the daemon does not speak the protocol");
		if (c->ended)
			return err_set(e, ERR_UNREACHABLE, 0, "the daemon closed the connection");
		ready = await(c->fd, POLLIN, deadline_us);
		if (ready == 0)
			return 0;
		if (ready < 0 && errno == EINTR)
			return err_set(e, ERR_INTERRUPTED, 0, "interrupted");
		n = ready < 0 ? -1 : recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
		if (n > 0)
			buf_add(&c->in, chunk, (size_t)n);
		else if (n == 0 || errno == ECONNRESET)
			c->ended = true;
		else if (errno != EAGAIN && errno != EINTR)
			return err_set(e, ERR_IO, errno, "cannot read from the daemon");
	}
}

static int transmit(struct ctl_client *c, const char *line, size_t len, int64_t deadline_us, struct err *e)
{
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(c->fd, line + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		/* closed: its last words may say why, so reading goes on */
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return err_set(e, ERR_IO, errno, "cannot write to the daemon");
		switch (await(c->fd, POLLOUT, deadline_us)) {
		case 0:
			/* half a line is out: what comes after it would be read as its rest */
			c->ended = true;
			return err_set(e, ERR_UNREACHABLE, 0, "the daemon does not read");
		case -1:
			if (errno == EINTR) {
				c->ended = true;
				return err_set(e, ERR_INTERRUPTED, 0, "interrupted");
			}
			return err_set(e, ERR_IO, errno, "cannot wait for the daemon");
		default:
			break;
		}
	}
	return 0;
}

static void keep(struct ctl_client *c, json_t *notification)
{
	if (json_array_size(c->waiting) >= WAITING_MAX)
		json_array_remove(c->waiting, 0);
	json_array_append_new(c->waiting, notification);
}

static bool is_notification(const json_t *message)
{
	return json_is_string(json_object_get(message, "method"));
}

/* The answer to question id, or the server's last word (an error without id), which answers everything. */
static bool is_answer(const json_t *message, json_int_t id)
{
	const json_t *its = json_object_get(message, "id");

	return json_is_null(its) ? json_is_object(json_object_get(message, "error")) : json_integer_value(its) == id;
}

static int take_answer(const json_t *message, json_t **result, struct err *e)
{
	const json_t *error = json_object_get(message, "error");
	json_t *value = json_object_get(message, "result");

	if (error) {
		words_take_failure(error, e);
		return -1;
	}
	if (!value)
		return err_set(e, ERR_UNREACHABLE, 0, "the daemon does not speak the protocol");
	if (result)
		*result = json_incref(value);
	return 0;
}

int ctl_call(struct ctl_client *c, const char *method, json_t *params, int timeout_ms, json_t **result, struct err *e)
{
	int64_t deadline_us = now_read().boot_us + timeout_ms * US_PER_MS;
	json_t *message;
	size_t len;
	auto_free char *line = words_line(json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", ++c->id, "method",
						    method, "params", params ? params : json_object()),
					  &len);
	int got;

	if (!line)
		return err_set(e, ERR_INPUT, 0, "%s: the question is longer than a line of %d bytes", method,
			       CTL_LINE_MAX);
	if (transmit(c, line, len, deadline_us, e) < 0)
		return -1;
	while ((got = receive(c, deadline_us, &message, e)) > 0) {
		if (is_notification(message)) {
			keep(c, message);
			continue;
		}
		if (is_answer(message, c->id)) {
			got = take_answer(message, result, e);
			json_decref(message);
			return got;
		}
		json_decref(message); /* late, to a question that was given up */
	}
	if (got == 0)
		return err_set(e, ERR_UNREACHABLE, 0, "no answer to %s within %d ms", method, timeout_ms);
	return -1;
}

int ctl_next(struct ctl_client *c, int timeout_ms, const char **topic, json_t **params, struct err *e)
{
	int64_t deadline_us = now_read().boot_us + timeout_ms * US_PER_MS;
	json_t *message = NULL;
	int got;

	if (json_array_size(c->waiting)) {
		message = json_incref(json_array_get(c->waiting, 0));
		json_array_remove(c->waiting, 0);
	}
	while (!message) {
		got = receive(c, deadline_us, &message, e);
		if (got < 0 && e->kind == ERR_INTERRUPTED)
			return 0;
		if (got <= 0)
			return got;
		if (!is_notification(message)) {
			json_decref(message);
			message = NULL;
		}
	}
	str_copy(c->topic, sizeof c->topic, json_string_value(json_object_get(message, "method")));
	*topic = c->topic;
	*params = json_incref(json_object_get(message, "params"));
	json_decref(message);
	return 1;
}
