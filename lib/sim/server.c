/* A device on Modbus TCP: a few connections, whole frames in, one answer each. What is no frame ends its connection,
 * as the devices do that do not try to find the next one. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inside.h"

struct peer {
	struct server *server;
	struct peer *next;
	int fd;
	struct loop_source *source;
	uint8_t in[2 * BUS_ADU_MAX];
	size_t in_len;
	struct loop_timer answer;    /* of a slow device: what was asked meanwhile waits in `in` */
	uint8_t out[BUS_ADU_MAX];
	size_t out_len;
};

struct server {
	struct loop *loop;
	struct face *face;
	struct sockaddr_in address;
	int fd;
	struct loop_source *source;
	struct peer *peers;
	int peer_count;
};

static void drop(struct peer *p)
{
	struct server *s = p->server;

	for (struct peer **at = &s->peers; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	s->peer_count--;
	loop_timer_stop(s->loop, &p->answer);
	loop_remove(p->source);
	close(p->fd);
	free(p);
}

/* false: the peer does not read, and is gone. */
static bool send_out(struct peer *p)
{
	ssize_t n = send(p->fd, p->out, p->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	bool whole = n == (ssize_t)p->out_len;

	p->out_len = 0;
	if (!whole)
		drop(p);
	return whole;
}

/* Answer the frame at the head of `in`; false: the peer is gone. */
static bool answer_frame(struct peer *p, size_t len)
{
	struct face *f = p->server->face;
	uint16_t transaction = (uint16_t)(p->in[0] << 8 | p->in[1]);
	uint8_t unit = p->in[6], pdu[BUS_PDU_MAX];
	size_t pdu_len = face_answer(f, unit, p->in + BUS_MBAP_LEN, len - BUS_MBAP_LEN, pdu);
	int64_t delay = fault_delay_us(f);

	p->out_len = fault_tcp(f, transaction, unit, pdu, pdu_len, p->out);
	memmove(p->in, p->in + len, p->in_len - len);
	p->in_len -= len;
	if (!p->out_len)
		return true;
	if (!delay)
		return send_out(p);
	loop_timer_set(p->server->loop, &p->answer, loop_now(p->server->loop)->boot_us + delay);
	return true;
}

/* MTCP 3.1.3: protocol 0; the length counts unit and PDU. */
static void take_frames(struct peer *p)
{
	while (!p->out_len && p->in_len > BUS_MBAP_LEN) {
		unsigned protocol = (unsigned)(p->in[2] << 8 | p->in[3]), length = (unsigned)(p->in[4] << 8 | p->in[5]);

		if (protocol != 0 || length < 2 || length > BUS_PDU_MAX + 1) {
			drop(p);
			return;
		}
		if (p->in_len < 6 + length || !answer_frame(p, 6 + length))
			return;
	}
}

static void answer_late(void *arg)
{
	struct peer *p = arg;

	if (send_out(p))
		take_frames(p);
}

static void on_peer(void *arg, int fd, unsigned events)
{
	struct peer *p = arg;
	ssize_t n = recv(fd, p->in + p->in_len, sizeof p->in - p->in_len, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* the end, an error, or a client that asks more than a slow device can hold */
		drop(p);
		return;
	}
	p->in_len += (size_t)n;
	take_frames(p);
}

static void on_connection(void *arg, int fd, unsigned events)
{
	struct server *s = arg;
	int peer_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer *p;
	struct err e;

	(void)events;
	if (peer_fd < 0)
		return;
	if (s->peer_count >= s->face->image.kind->connections) {
		close(peer_fd);
		return;
	}
	p = xcalloc(1, sizeof *p);
	*p = (struct peer){ .server = s, .fd = peer_fd, .answer = { .fn = answer_late, .arg = p } };
	if (loop_add_fd(s->loop, peer_fd, LOOP_READ, on_peer, p, &p->source, &e) < 0) {
		close(peer_fd);
		free(p);
		return;
	}
	p->next = s->peers;
	s->peers = p;
	s->peer_count++;
}

static int open_listener(struct server *s, struct err *e)
{
	const struct sockaddr *a = (const struct sockaddr *)&s->address;
	socklen_t len = sizeof s->address;
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char host[INET_ADDRSTRLEN];
	int on = 1;

	inet_ntop(AF_INET, &s->address.sin_addr, host, sizeof host);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a socket");
	if (bind(fd, a, len) < 0 || listen(fd, 16) < 0)
		return err_set(e, errno == EADDRINUSE ? ERR_AGAIN : ERR_IO, errno, "cannot serve %s at %s:%u%s",
			       s->face->image.kind->name, host, ntohs(s->address.sin_port),
			       errno == EADDRINUSE ? " (another simulated site? end it, or take other places by --host and "
							     "--port)"
			       : errno == EACCES   ? " (ports below 1024 need root)"
						   : "");
	if (getsockname(fd, (struct sockaddr *)&s->address, &len) < 0)
		return err_set(e, ERR_IO, errno, "cannot learn the port of a socket");
	if (loop_add_fd(s->loop, fd, LOOP_READ, on_connection, s, &s->source, e) < 0)
		return -1;
	s->fd = take_fd(&fd);
	return 0;
}

int server_new(struct loop *l, struct face *f, struct bus_address *address, struct server **out, struct err *e)
{
	struct server *s = xcalloc(1, sizeof *s);

	*s = (struct server){ .loop = l, .face = f, .fd = -1,
			      .address = { .sin_family = AF_INET, .sin_port = htons(address->port) } };
	if (inet_pton(AF_INET, address->host, &s->address.sin_addr) != 1) {
		server_free(s);
		return err_set(e, ERR_INPUT, 0, "'%s' is not an IPv4 address", address->host);
	}
	if (open_listener(s, e) < 0) {
		server_free(s);
		return -1;
	}
	address->port = ntohs(s->address.sin_port);
	*out = s;
	return 0;
}

static void close_all(struct server *s)
{
	while (s->peers)
		drop(s->peers);
	if (s->fd >= 0) {
		loop_remove(s->source);
		close(s->fd);
		s->fd = -1;
	}
}

int server_follow(struct server *s, struct err *e)
{
	bool lost = s->face->fault == SIM_FAULT_LOST;

	if (lost || s->face->unplugged)
		close_all(s);
	s->face->unplugged = false;
	if (lost)
		return 0;
	return s->fd < 0 ? open_listener(s, e) : 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	close_all(s);
	free(s);
}
