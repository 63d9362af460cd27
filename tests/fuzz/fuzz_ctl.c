/* Any bytes to the control socket, in pieces: each line that comes back is JSON-RPC, and the connection always ends. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static int method(void *arg, struct ctl_peer *peer, const char *name, const json_t *params, json_t **result, struct err *e)
{
	struct ctl_server *const *server = arg;

	if (str_eq(name, "subscribe")) {
		ctl_peer_subscribe(peer, "t");
		return 0;
	}
	if (str_eq(name, "tell")) {
		ctl_notify(*server, "t", params);
		return 0;
	}
	if (strlen(name) % 2)
		return err_set(e, ERR_REFUSED, 0, "no method '%s'", name);
	*result = params ? json_deep_copy(params) : NULL;
	return 0;
}

static void check_line(const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, 0, NULL);

	expect(len < CTL_LINE_MAX && json_is_object(answer));
	expect(json_object_get(answer, "method") || (json_object_get(answer, "id") &&
	       (!json_object_get(answer, "result") != !json_object_get(answer, "error"))));
	json_decref(answer);
}

/* What has come; false at the end of the connection. */
static bool hear(int fd, struct buf *heard)
{
	char chunk[4096];
	const char *end;
	ssize_t n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);

	if (n > 0)
		buf_add(heard, chunk, (size_t)n);
	while (heard->len && (end = memchr(heard->data, '\n', heard->len))) {
		size_t len = (size_t)(end - heard->data);

		check_line(heard->data, len);
		memmove(heard->data, end + 1, heard->len - len);
		heard->len -= len + 1;
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static int listen_nameless(struct sockaddr_un *a, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* without a name the kernel finds an abstract one (unix(7)) */
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	expect(bind(fd, (struct sockaddr *)a, sizeof a->sun_family) == 0 && listen(fd, 8) == 0);
	*len = sizeof *a;
	expect(getsockname(fd, (struct sockaddr *)a, len) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_server *server = NULL;
	struct ctl_serve serve = { method, NULL, NULL, &server };
	auto_buf struct buf heard = BUF_INIT;
	struct sockaddr_un a;
	socklen_t len;
	struct loop *loop;
	struct err e;
	size_t sent = 0, piece = size ? 1 + data[size - 1] : 1;
	int fd = listen_nameless(&a, &len), peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool open = true, done = false;

	expect(loop_new(&loop, &e) == 0 && ctl_server_new(loop, fd, &serve, &server, &e) == 0);
	expect(connect(peer, (struct sockaddr *)&a, len) == 0);
	while (open) {
		ssize_t n = sent < size ? send(peer, data + sent, piece < size - sent ? piece : size - sent,
					       MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

		if (n > 0)
			sent += (size_t)n;
		else if (n < 0 && errno != EAGAIN)
			sent = size; /* dropped: what is left of the input was never heard */
		if (sent == size && !done) {
			shutdown(peer, SHUT_WR);
			done = true;
		}
		expect(loop_turn(loop, 0, &e) == 0);
		open = hear(peer, &heard);
	}
	expect(!heard.len);
	close(peer);
	ctl_server_free(server);
	loop_free(loop);
	return 0;
}
