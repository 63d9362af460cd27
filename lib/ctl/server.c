/* The server: peers are strangers. Each has a bounded buffer either way and a deadline for what it left half done. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "words.h"

enum {
	READ_CHUNK = 16384,        /* a turn, so that one peer does not keep the loop */
	REPLY_PAUSE = 65536,       /* bytes unread by the peer beyond which its questions wait */
	BACKLOG_MAX = 256 * 1024,  /* notifications unread, beyond which it is dropped */
	TOPICS_MAX = 8,
	KEPT_FOR_OWNER = 8,        /* places that only root and the server's own user can take */
	PLACES_OF_A_USER = 16,     /* so that no other user keeps the rest from being heard */
	ACCEPTS_A_TURN = 16,
};
#define PATIENCE_US (10 * US_PER_S) /* for the rest of a line, and for reading what was sent */

struct ctl_peer {
	struct ctl_server *server;
	struct ctl_peer *next;
	struct loop_source *source;
	int fd;                    /* -1: gone, freed when no handler is above us */
	uid_t uid;
	void *data;
	struct buf in, out;
	size_t sent;               /* of out */
	bool ending;               /* the peer wrote its last; answers still go out */
	struct loop_timer patience;
	char topics[TOPICS_MAX][32];
	size_t topic_count;
};

struct ctl_server {
	struct loop *loop;
	struct ctl_serve serve;
	int fd;
	struct loop_source *source;
	struct loop_timer resume;  /* out of descriptors: accept again later */
	struct ctl_peer *peers;
	size_t peer_count;
	unsigned depth;            /* handlers of ours on the stack */
};

/* ---- coming and going ---- */

static void drop(struct ctl_peer *p)
{
	if (p->fd < 0)
		return;
	loop_remove(p->source);
	loop_timer_stop(p->server->loop, &p->patience);
	close(p->fd);
	p->fd = -1;
	p->server->peer_count--;
}

static void enter(struct ctl_server *s)
{
	s->depth++;
}

/* Free who is gone, once nothing on the stack can still hold it. */
static void leave(struct ctl_server *s)
{
	if (--s->depth)
		return;
	for (struct ctl_peer **at = &s->peers; *at;) {
		struct ctl_peer *p = *at;

		if (p->fd >= 0) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		if (s->serve.release)
			s->serve.release(s->serve.arg, p->data);
		buf_release(&p->in);
		buf_release(&p->out);
		free(p);
	}
}

static void watch(struct ctl_peer *p)
{
	size_t behind = p->out.len - p->sent;
	struct err e;

	if (loop_watch(p->source, (p->ending || behind > REPLY_PAUSE ? 0 : LOOP_READ) |
				  (p->ending || behind ? LOOP_WRITE : 0), &e) < 0)
		drop(p);
}

static void set_patience(struct ctl_peer *p)
{
	struct loop *l = p->server->loop;

	if (!p->in.len && p->out.len == p->sent)
		loop_timer_stop(l, &p->patience);
	else if (!p->patience.index_)
		loop_timer_set(l, &p->patience, loop_now(l)->boot_us + PATIENCE_US);
}

static void on_patience(void *arg)
{
	struct ctl_peer *p = arg;
	struct ctl_server *s = p->server;

	enter(s);
	drop(p);
	leave(s);
}

/* ---- out ---- */

static void flush(struct ctl_peer *p)
{
	while (p->fd >= 0 && p->sent < p->out.len) {
		ssize_t n = send(p->fd, p->out.data + p->sent, p->out.len - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			drop(p);
		if (n < 0)
			break;
		p->sent += (size_t)n;
		loop_timer_stop(p->server->loop, &p->patience);
	}
	if (p->sent == p->out.len) {
		buf_release(&p->out);
		p->sent = 0;
	}
}

static void put(struct ctl_peer *p, const char *line, size_t len)
{
	if (p->fd < 0)
		return;
	if (p->sent > REPLY_PAUSE) {
		size_t rest = p->out.len - p->sent;

		memmove(p->out.data, p->out.data + p->sent, rest + 1);
		p->out.len = rest;
		p->sent = 0;
	}
	buf_add(&p->out, line, len);
	flush(p);
	if (p->fd >= 0 && p->out.len - p->sent > BACKLOG_MAX)
		drop(p);
	if (p->fd >= 0) {
		set_patience(p);
		watch(p);
	}
}

static void put_failure(struct ctl_peer *p, const json_t *id, int code, const struct err *e)
{
	size_t len;
	auto_free char *line = words_line(words_failure(id, code, e), &len);

	/* an id of nearly 64 KiB; without one the answer always fits */
	if (!line)
		line = words_line(words_failure(NULL, code, e), &len);
	if (line)
		put(p, line, len);
}

/* ---- in ---- */

static void answer(struct ctl_peer *p, const json_t *id, const char *method, const json_t *params)
{
	struct ctl_server *s = p->server;
	struct err e = { .kind = ERR_BUG };
	json_t *result = NULL;
	size_t len;
	auto_free char *line = NULL;

	if (s->serve.method(s->serve.arg, p, method, params, &result, &e) < 0) {
		json_decref(result);
		if (id)
			put_failure(p, id, 0, &e);
		return;
	}
	if (!id) { /* a notification gets no answer (JSON-RPC 2.0, 4.1) */
		json_decref(result);
		return;
	}
	line = words_line(json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result",
				    result ? result : json_object()),
			  &len);
	if (line) {
		put(p, line, len);
		return;
	}
	err_set(&e, ERR_BUG, 0, "the answer to %.40s is longer than a line of %d bytes", method, CTL_LINE_MAX);
	put_failure(p, id, 0, &e);
}

/* Who does not speak the protocol is told so and dropped: nobody can say where its next line would begin. */
static void handle_line(struct ctl_peer *p, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *id = json_object_get(request, "id"), *params = json_object_get(request, "params");
	const char *method = json_string_value(json_object_get(request, "method"));
	bool ours = method && (!id || json_is_string(id) || json_is_number(id) || json_is_null(id)) &&
		    (!params || json_is_object(params) || json_is_array(params));
	struct err e;

	if (ours) {
		answer(p, id, method, params);
	} else {
		err_set(&e, ERR_INPUT, 0, request ? "not a JSON-RPC request" : "not a JSON object");
		put_failure(p, NULL, request ? -32600 : -32700, &e);
		drop(p);
	}
	json_decref(request);
}

static void handle_lines(struct ctl_peer *p)
{
	size_t done = 0;
	const char *end;
	struct err e;

	while (p->fd >= 0 && p->out.len - p->sent <= REPLY_PAUSE && done < p->in.len &&
	       (end = memchr(p->in.data + done, '\n', p->in.len - done))) {
		size_t len = (size_t)(end - p->in.data) - done;

		loop_timer_stop(p->server->loop, &p->patience);
		if (len)
			handle_line(p, p->in.data + done, len);
		done += len + 1;
	}
	if (p->fd < 0)
		return;
	if (done == p->in.len) {
		buf_release(&p->in);
	} else if (done) {
		memmove(p->in.data, p->in.data + done, p->in.len - done + 1);
		p->in.len -= done;
	}
	if (p->in.len >= CTL_LINE_MAX && !memchr(p->in.data, '\n', p->in.len)) {
		err_set(&e, ERR_INPUT, 0, "a line is longer than %d bytes", CTL_LINE_MAX);
		put_failure(p, NULL, -32600, &e);
		drop(p);
	}
}

static void take_in(struct ctl_peer *p)
{
	char chunk[READ_CHUNK];
	ssize_t n = recv(p->fd, chunk, sizeof chunk, MSG_DONTWAIT);

	if (n > 0) {
		buf_add(&p->in, chunk, (size_t)n);
	} else if (n == 0) {
		p->ending = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		drop(p);
	}
}

static void on_peer(void *arg, int fd, unsigned events)
{
	struct ctl_peer *p = arg;
	struct ctl_server *s = p->server;

	(void)fd;
	enter(s);
	if (events & LOOP_WRITE)
		flush(p);
	if (p->fd >= 0 && events & LOOP_READ)
		take_in(p);
	else if (p->fd >= 0 && events & LOOP_HANGUP)
		drop(p);
	if (p->fd >= 0)
		handle_lines(p);
	/* nothing to say and nothing more to hear; what is left of in is half a line */
	if (p->fd >= 0 && p->ending && p->out.len == p->sent)
		drop(p);
	if (p->fd >= 0) {
		set_patience(p);
		watch(p);
	}
	leave(s);
}

/* ---- accepting ---- */

/* A last word to somebody who does not become a peer; whether it arrives does not matter. */
static void turn_away(int fd, const struct err *e)
{
	size_t len;
	auto_free char *line = words_line(words_failure(NULL, 0, e), &len);

	if (line && send(fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0;
	close(fd);
}

static uid_t user_of(int fd)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof cred;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 ? cred.uid : (uid_t)-1;
}

static bool has_place(const struct ctl_server *s, uid_t uid)
{
	bool owner = uid == 0 || uid == geteuid();
	size_t of_user = 0;

	for (const struct ctl_peer *p = s->peers; p; p = p->next)
		of_user += p->fd >= 0 && p->uid == uid;
	return owner ? s->peer_count < CTL_PEERS_MAX
		     : s->peer_count < CTL_PEERS_MAX - KEPT_FOR_OWNER && of_user < PLACES_OF_A_USER;
}

static void welcome(struct ctl_server *s, int fd)
{
	struct err e = { .kind = ERR_REFUSED, .text = "not allowed" };
	struct ctl_peer *p;
	uid_t uid = user_of(fd);
	void *data = NULL;

	if (!has_place(s, uid)) {
		err_set(&e, ERR_AGAIN, 0, "too many connections, try again later");
		turn_away(fd, &e);
		return;
	}
	if (s->serve.admit && !(data = s->serve.admit(s->serve.arg, fd, &e))) {
		turn_away(fd, &e);
		return;
	}
	p = xcalloc(1, sizeof *p);
	*p = (struct ctl_peer){
		.server = s, .fd = fd, .uid = uid, .data = data, .patience = { .fn = on_patience, .arg = p }
	};
	p->next = s->peers;
	s->peers = p;
	s->peer_count++;
	if (loop_add_fd(s->loop, fd, LOOP_READ, on_peer, p, &p->source, &e) < 0)
		drop(p);
}

static void on_listen(void *arg, int fd, unsigned events)
{
	struct ctl_server *s = arg;
	struct err e;

	(void)events;
	enter(s);
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (peer >= 0) {
			welcome(s, peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* the connection stays in the queue: asking again at once would only burn the processor */
			loop_timer_set(s->loop, &s->resume, loop_now(s->loop)->boot_us + US_PER_S);
			if (loop_watch(s->source, 0, &e) < 0)
				break;
		}
		if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
	leave(s);
}

static void on_resume(void *arg)
{
	struct ctl_server *s = arg;
	struct err e;

	if (loop_watch(s->source, LOOP_READ, &e) < 0)
		loop_timer_set(s->loop, &s->resume, loop_now(s->loop)->boot_us + US_PER_S);
}

int ctl_server_new(struct loop *l, int listen_fd, const struct ctl_serve *serve, struct ctl_server **out, struct err *e)
{
	struct ctl_server *s = xcalloc(1, sizeof *s);

	*s = (struct ctl_server){
		.loop = l, .serve = *serve, .fd = listen_fd, .resume = { .fn = on_resume, .arg = s }
	};
	if (loop_add_fd(l, listen_fd, LOOP_READ, on_listen, s, &s->source, e) < 0) {
		close(listen_fd);
		free(s);
		return err_ctx(e, "serve the control socket");
	}
	*out = s;
	return 0;
}

void ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return;
	enter(s);
	for (struct ctl_peer *p = s->peers; p; p = p->next)
		drop(p);
	leave(s);
	loop_timer_stop(s->loop, &s->resume);
	loop_remove(s->source);
	close(s->fd);
	free(s);
}

void *ctl_peer_data(const struct ctl_peer *p)
{
	return p->data;
}

/* ---- notifications ---- */

static bool is_subscribed(const struct ctl_peer *p, const char *topic)
{
	for (size_t i = 0; i < p->topic_count; i++)
		if (str_eq(p->topics[i], topic))
			return p->fd >= 0;
	return false;
}

void ctl_peer_subscribe(struct ctl_peer *p, const char *topic)
{
	if (p->topic_count < TOPICS_MAX && !is_subscribed(p, topic) &&
	    str_copy(p->topics[p->topic_count], sizeof p->topics[0], topic))
		p->topic_count++;
}

bool ctl_has_subscriber(const struct ctl_server *s, const char *topic)
{
	for (const struct ctl_peer *p = s->peers; p; p = p->next)
		if (is_subscribed(p, topic))
			return true;
	return false;
}

void ctl_notify(struct ctl_server *s, const char *topic, const json_t *params)
{
	size_t len;
	auto_free char *line = NULL;

	if (!ctl_has_subscriber(s, topic))
		return;
	line = words_line(json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", topic, "params",
				    params ? json_incref((json_t *)(uintptr_t)params) : json_object()), &len);
	if (!line)
		return;
	enter(s);
	for (struct ctl_peer *p = s->peers; p; p = p->next)
		if (is_subscribed(p, topic))
			put(p, line, len);
	leave(s);
}
