/* tcp: the non-blocking Modbus TCP engine: one connection, one question in flight, every byte of the answer
 * accounted for. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

/* What may come in for one question: its answer and a few late ones. A peer that sends more is not answering. */
enum { MOST_IN = 4 * BUS_ADU_MAX, TIMEOUTS_TO_CLOSE = 2 };

struct tcp {
	struct bus_link *link;
	struct sockaddr_storage peer;
	socklen_t peer_len;

	int fd; /* -1: none */
	struct loop_source *source;
	bool connected, fresh; /* fresh: made for the question in flight */
	unsigned timeouts;     /* in a row; a peer that went away without a word is left after a few */
	uint16_t transaction, first_transaction; /* the last one asked, the first one of this connection */
	bool waiting;          /* an answer to transaction is due */
	bool other_unit;       /* what came instead was another unit's */

	uint8_t out[BUS_ADU_MAX];
	size_t out_len, out_at;
	uint8_t in[2 * BUS_ADU_MAX];
	size_t in_len, in_total; /* total: since the last question */
	int64_t sent_boot_us;
};

static void hang_up(struct tcp *t)
{
	loop_remove(t->source);
	t->source = NULL;
	base_close_(&t->fd);
	t->connected = t->waiting = false;
	t->in_len = t->out_len = t->out_at = 0;
	t->timeouts = 0;
}

/* The question in flight ends without a value; the connection with it, for its next byte could be anything. */
static void give_up(struct tcp *t, enum bus_outcome outcome, const char *fmt, ...) printf_like(3, 4);
static void give_up(struct tcp *t, enum bus_outcome outcome, const char *fmt, ...)
{
	struct bus_reply r;
	char why[sizeof r.why];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	reply_fail(&r, outcome, "%s", why);
	r.other_unit = t->other_unit;
	r.sent_boot_us = t->sent_boot_us;
	r.received_boot_us = boot_now_us();
	hang_up(t);
	link_done(t->link, &r);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static void send_failed(struct tcp *t);

/* The connection ends while no answer is owed: a question that still waits for room in the socket has not left. */
static void end_unasked(struct tcp *t)
{
	if (t->out_at < t->out_len)
		send_failed(t);
	else
		hang_up(t);
}

/* What ends the question, or the connection when none is in flight. */
static void odd(struct tcp *t, const char *fmt, ...) printf_like(2, 3);
static void odd(struct tcp *t, const char *fmt, ...)
{
	char why[80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	if (t->waiting)
		give_up(t, BUS_GARBLED, "%s", why);
	else
		end_unasked(t);
}

/* An earlier question of this connection, given up, whose answer comes now. */
static bool is_late(const struct tcp *t, uint16_t transaction)
{
	uint16_t age = (uint16_t)(t->transaction - transaction);
	uint16_t asked = (uint16_t)(t->transaction - t->first_transaction);

	return age <= asked && (age > 0 || !t->waiting);
}

static void answered(struct tcp *t, size_t pdu_len)
{
	struct bus_link *k = t->link;
	struct bus_reply r;

	if (t->out_at < t->out_len) { /* its rest would stand before the next question */
		odd(t, "the answer came before the whole question was sent");
		return;
	}
	if (t->in_len != BUS_MBAP_LEN + pdu_len) {
		odd(t, "%zu bytes follow the answer", t->in_len - BUS_MBAP_LEN - pdu_len);
		return;
	}
	bus_pdu_check(&k->q, t->in + BUS_MBAP_LEN, pdu_len, &r);
	if (r.outcome == BUS_GARBLED) {
		odd(t, "%s", r.why);
		return;
	}
	r.sent_boot_us = t->sent_boot_us;
	r.received_boot_us = boot_now_us();
	t->in_len = 0;
	t->timeouts = 0;
	t->waiting = false;
	link_done(k, &r);
}

enum taken { TAKEN_NONE, TAKEN_ONE, TAKEN_END /* of the question or the connection; t may be gone */ };

/* Take one frame from the front. */
static enum taken take_frame(struct tcp *t)
{
	unsigned transaction = (unsigned)t->in[0] << 8 | t->in[1], protocol = (unsigned)t->in[2] << 8 | t->in[3];
	unsigned rest = (unsigned)t->in[4] << 8 | t->in[5];
	bool late;

	if (t->in_len < 6)
		return TAKEN_NONE;
	late = is_late(t, (uint16_t)transaction);
	if (protocol != 0) {
		odd(t, "protocol %u instead of 0: this is not Modbus", protocol);
	} else if (!late && (!t->waiting || transaction != t->transaction)) {
		odd(t, "transaction %u was answered instead of %u", transaction, t->transaction);
	} else if (rest < 2 || rest > BUS_PDU_MAX + 1) {
		odd(t, "the header's length is %u, 2…%d are possible", rest, BUS_PDU_MAX + 1);
	} else if (t->in_len < 6 + rest) {
		return TAKEN_NONE;
	} else if (late) {
		t->in_len -= 6 + rest;
		memmove(t->in, t->in + 6 + rest, t->in_len);
		t->timeouts = 0; /* slow, but there */
		return TAKEN_ONE;
	} else if (t->in[6] != t->link->q.unit) {
		t->other_unit = true;
		odd(t, "unit %u answered instead of %u", t->in[6], t->link->q.unit);
	} else {
		answered(t, rest - 1);
	}
	return TAKEN_END;
}

/* Read once. false: nothing more to read now, or the end of the question or connection; in flight, t may be gone
 * then. */
static bool receive(struct tcp *t)
{
	ssize_t n = recv(t->fd, t->in + t->in_len, sizeof t->in - t->in_len, MSG_DONTWAIT);
	int error = errno;
	enum taken taken;

	if (n < 0 && (error == EAGAIN || error == EINTR))
		return false;
	if (n <= 0) {
		if (t->waiting)
			give_up(t, BUS_CLOSED, n == 0 ? "the device closed the connection instead of answering" :
				"the connection broke: %s", strerror(error));
		else
			end_unasked(t);
		return false;
	}
	t->link->counters.bytes_in += (uint64_t)n;
	t->in_len += (size_t)n;
	t->in_total += (size_t)n;
	if (t->in_total > MOST_IN) {
		odd(t, "more than %d bytes came for one question", MOST_IN);
		return false;
	}
	do
		taken = take_frame(t);
	while (taken == TAKEN_ONE);
	return taken == TAKEN_NONE;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void connect_anew(struct tcp *t);

/* On a connection that the peer has closed meanwhile, nothing was sent: connect anew, once. */
static void send_failed(struct tcp *t)
{
	struct bus_link *k = t->link;
	bool once_more = !t->fresh && t->out_at == 0;

	hang_up(t);
	if (!once_more)
		link_fail_soon(k, BUS_CLOSED, "the connection broke while the question was sent");
	else if (k->only_on)
		link_fail_soon(k, BUS_CANCELLED, CONNECTION_GONE);
	else
		connect_anew(t);
}

/* Send what is left. */
static void send_some(struct tcp *t, int64_t now_us)
{
	struct bus_link *k = t->link;
	struct err e;
	ssize_t n = send(t->fd, t->out + t->out_at, t->out_len - t->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		send_failed(t);
		return;
	}
	if (n > 0) {
		if (t->out_at == 0) {
			t->sent_boot_us = now_us;
			t->waiting = true;
			loop_timer_set(k->loop, &k->timer, now_us + k->answer_ms * US_PER_MS);
		}
		k->counters.bytes_out += (uint64_t)n;
		t->out_at += (size_t)n;
	}
	if (loop_watch(t->source, t->out_at < t->out_len ? LOOP_READ | LOOP_WRITE : LOOP_READ, &e) < 0) {
		hang_up(t);
		link_fail_soon(k, BUS_CLOSED, e.text);
	}
}

static void send_question(struct tcp *t)
{
	struct bus_link *k = t->link;
	int64_t now_us = boot_now_us();

	t->transaction++;
	if (t->fresh)
		t->first_transaction = t->transaction;
	t->out_len = bus_mbap_frame(t->transaction, k->q.unit, k->pdu, k->pdu_len, t->out);
	t->out_at = t->in_total = 0;
	/* Should the socket be full, its patience begins all the same. */
	loop_timer_set(k->loop, &k->timer, now_us + k->answer_ms * US_PER_MS);
	send_some(t, now_us);
}

static void connected(struct tcp *t)
{
	struct err e;

	if (socket_connected(t->fd, &e) < 0) {
		give_up(t, BUS_UNREACHABLE, "%s", e.text);
		return;
	}
	t->connected = true;
	t->link->counters.connects++;
	send_question(t);
}

static void on_socket(void *arg, int fd, unsigned events)
{
	struct tcp *t = arg;

	(void)fd;
	if (!t->connected) {
		if (events & (LOOP_WRITE | LOOP_HANGUP))
			connected(t);
		return;
	}
	/* Read first: an answer may stand before the end of the connection. receive may free t through the answer's
	 * fn. */
	if (events & (LOOP_READ | LOOP_HANGUP))
		receive(t);
	else if (events & LOOP_WRITE)
		send_some(t, boot_now_us());
}

/* Begin to connect; when that fails at once, the failure is on its way to fn. */
static void connect_anew(struct tcp *t)
{
	struct bus_link *k = t->link;
	struct err e;

	t->fresh = true;
	t->fd = socket_connect(&t->peer, t->peer_len, &e);
	if (t->fd < 0 || loop_add_fd(k->loop, t->fd, LOOP_WRITE, on_socket, t, &t->source, &e) < 0) {
		hang_up(t);
		link_fail_soon(k, BUS_UNREACHABLE, e.text);
		return;
	}
	loop_timer_set(k->loop, &k->timer, boot_now_us() + k->options.connect_ms * US_PER_MS);
}

/* ---- the kind ---------------------------------------------------------------------------------------------------- */

static void begin(struct bus_link *k)
{
	struct tcp *t = k->door;

	/* What came since the last question was late, or is the end of the connection. */
	t->in_total = 0;
	t->sent_boot_us = 0;
	t->other_unit = false;
	while (t->fd >= 0 && receive(t))
		;
	/* A beginning of a frame, though no answer is owed: what comes next would be taken for its rest. */
	if (t->in_len > 0 && t->timeouts == 0)
		hang_up(t);
	if (k->only_on && (t->fd < 0 || k->only_on != k->counters.connects)) {
		link_fail_soon(k, BUS_CANCELLED, CONNECTION_GONE);
	} else if (t->fd >= 0) {
		t->fresh = false;
		send_question(t);
	} else {
		connect_anew(t);
	}
}

static void expired(struct bus_link *k)
{
	struct tcp *t = k->door;
	struct bus_reply r;

	if (!t->connected) {
		give_up(t, BUS_UNREACHABLE, "cannot connect: no answer in %d ms", k->options.connect_ms);
		return;
	}
	if (t->in_len > 0) { /* whatever follows has no known beginning */
		give_up(t, BUS_TIMEOUT, "only %zu bytes of an answer came in %d ms", t->in_len, k->answer_ms);
		return;
	}
	if (++t->timeouts >= TIMEOUTS_TO_CLOSE || t->out_at < t->out_len) {
		give_up(t, BUS_TIMEOUT, t->out_at < t->out_len ? "the device did not take the question in %d ms" :
			"no answer in %d ms, again", k->answer_ms);
		return;
	}
	t->waiting = false;
	reply_fail(&r, BUS_TIMEOUT, "no answer in %d ms", k->answer_ms);
	r.sent_boot_us = t->sent_boot_us;
	r.received_boot_us = boot_now_us();
	link_done(k, &r);
}

static void tcp_free(struct bus_link *k)
{
	hang_up(k->door);
	free(k->door);
}

static const struct link_kind tcp_kind = {begin, expired, tcp_free};

int tcp_open(struct bus_link *k, struct err *e)
{
	struct tcp *t = xcalloc(1, sizeof *t);

	if (socket_peer(&k->address, &t->peer, &t->peer_len, e) < 0) {
		free(t);
		return -1;
	}
	t->link = k;
	t->fd = -1;
	t->transaction = (uint16_t)boot_now_us(); /* a new process is not answered with the numbers of the old */
	k->door = t;
	k->kind = &tcp_kind;
	return 0;
}
