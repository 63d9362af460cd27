/* The TCP engine against a server that answers in every wrong way first and rightly afterwards. */
#include "bus_ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the server: one thread, one connection at a time ------------------------------------------------------------ */

struct server;
/* Answer the question in req as the test wants it; nth counts the questions from 0. false: end the connection. */
typedef bool answer_fn(struct server *s, int fd, int nth, const uint8_t *req, size_t len);

struct server {
	int listen_fd;
	uint16_t port;
	pthread_t thread;
	answer_fn *answer;
	const void *arg;
	uint8_t kept[BUS_ADU_MAX]; /* an answer held back */
	size_t kept_len;
	atomic_int connections, questions, ended;
	atomic_bool go; /* the test's word to a server that waits for it */
};

static size_t right_answer(const uint8_t *req, size_t len, uint8_t adu[BUS_ADU_MAX])
{
	uint16_t values[BUS_READ_MAX];
	uint8_t pdu[BUS_PDU_MAX];
	struct bus_request q;

	if (!bus_pdu_parse_request(req + BUS_MBAP_LEN, len - BUS_MBAP_LEN, &q) || q.count > BUS_READ_MAX)
		return 0;
	for (unsigned i = 0; i < q.count; i++)
		values[i] = value_at(q.address + i);
	len = bus_pdu_encode_reply(&q, values, pdu);
	return bus_mbap_frame((uint16_t)(req[0] << 8 | req[1]), req[6], pdu, len, adu);
}

static void say(int fd, const void *data, size_t len)
{
	if (send(fd, data, len, MSG_NOSIGNAL) < 0)
		return; /* the client has gone, as it should when it was lied to */
}

static bool answer_rightly(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	uint8_t adu[BUS_ADU_MAX];

	(void)s, (void)nth;
	say(fd, adu, right_answer(req, len, adu));
	return true;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	uint8_t req[BUS_ADU_MAX];
	int fd, nth = 0;

	while ((fd = accept(s->listen_fd, NULL, NULL)) >= 0) {
		bool on = true;

		s->connections++;
		while (on && recv(fd, req, BUS_MBAP_LEN, MSG_WAITALL) == BUS_MBAP_LEN) {
			size_t rest = (size_t)(req[4] << 8 | req[5]) - 1;

			if (rest > BUS_PDU_MAX || recv(fd, req + BUS_MBAP_LEN, rest, MSG_WAITALL) != (ssize_t)rest)
				break;
			s->questions++;
			on = s->answer(s, fd, nth++, req, BUS_MBAP_LEN + rest);
		}
		close(fd);
		s->ended++;
	}
	return NULL;
}

static void server_listen(struct server *s, int backlog)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;

	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->listen_fd, backlog), 0);
	assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *)&at, &len), 0);
	s->port = ntohs(at.sin_port);
}

static void server_start(struct server *s, answer_fn *answer, const void *arg)
{
	*s = (struct server){.answer = answer, .arg = arg};
	server_listen(s, 8);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* After the client's end: the server's recv ends with the connection, its accept with the socket. */
static void server_stop(struct server *s)
{
	shutdown(s->listen_fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listen_fd);
}

static struct bus_link *link_to(struct loop *l, uint16_t port, const struct bus_options *o)
{
	struct bus_address a = {.kind = BUS_TCP, .host = "127.0.0.1", .port = port};
	struct bus_link *k;
	struct err e;

	if (bus_link_new(l, &a, o ? o : &(struct bus_options){.answer_ms = 10000}, &k, &e) < 0)
		fail_msg("%s", e.text);
	return k;
}

static struct bus_link *link_to_server(struct loop *l, struct server *s, answer_fn *answer, const void *arg,
				       const struct bus_options *o)
{
	server_start(s, answer, arg);
	return link_to(l, s->port, o);
}

static void end_all(struct loop *l, struct bus_link *k, struct server *s)
{
	bus_link_free(k);
	server_stop(s);
	loop_free(l);
}

/* ---- lies: the first answer is changed, the others are right ----------------------------------------------------- */

static size_t wrong_transaction(uint8_t *a, size_t n) { a[0] ^= 0x40; return n; }
static size_t next_transaction(uint8_t *a, size_t n) { a[1]++; if (!a[1]) a[0]++; return n; }
static size_t wrong_protocol(uint8_t *a, size_t n) { a[3] = 1; return n; }
static size_t length_0(uint8_t *a, size_t n) { a[4] = a[5] = 0; return n; }
static size_t length_1(uint8_t *a, size_t n) { a[4] = 0; a[5] = 1; return n; }
static size_t length_600(uint8_t *a, size_t n) { a[4] = 600 >> 8; a[5] = 600 & 0xFF; return n; }
static size_t length_one_less(uint8_t *a, size_t n) { a[5]--; return n; }
static size_t length_one_more(uint8_t *a, size_t n) { a[5]++; return n; }
static size_t wrong_unit(uint8_t *a, size_t n) { a[6] = 5; return n; }
static size_t wrong_function(uint8_t *a, size_t n) { a[7] = 4; return n; }
static size_t count_low(uint8_t *a, size_t n) { a[8] -= 2; return n; }
static size_t count_high(uint8_t *a, size_t n) { a[8] += 2; return n; }
static size_t fewer_values(uint8_t *a, size_t n) { a[5] -= 2; a[8] -= 2; return n - 2; }
static size_t more_values(uint8_t *a, size_t n) { a[5] += 2; a[8] += 2; a[n] = a[n + 1] = 0; return n + 2; }
static size_t frame_cut(uint8_t *a, size_t n) { (void)a; return n - 3; }
static size_t header_cut(uint8_t *a, size_t n) { (void)a, (void)n; return 4; }
static size_t extra_400(uint8_t *a, size_t n) { memset(a + n, 0xA5, 400); return n + 400; }
static size_t extra_1(uint8_t *a, size_t n) { a[n] = 0; return n + 1; }
static size_t twice(uint8_t *a, size_t n) { memcpy(a + n, a, n); return 2 * n; }
static size_t unknown_exception(uint8_t *a, size_t n) { (void)n; a[5] = 3; a[7] = 0x83; a[8] = 0x63; return 9; }
static size_t long_exception(uint8_t *a, size_t n) { a[7] = 0x83; return n; }
static size_t other_exception(uint8_t *a, size_t n) { (void)n; a[5] = 3; a[7] = 0x84; a[8] = 2; return 9; }
static size_t http(uint8_t *a, size_t n) { (void)n; return (size_t)sprintf((char *)a, "HTTP/1.1 400 Bad\r\n\r\n"); }
static size_t silence(uint8_t *a, size_t n) { (void)a, (void)n; return 0; }
static size_t illegal_address(uint8_t *a, size_t n) { (void)n; a[5] = 3; a[7] = 0x83; a[8] = 2; return 9; }

static const struct lie lies[] = {
	{"a_transaction_never_asked_is_garbled", BUS_GARBLED, "transaction", 2, wrong_transaction},
	{"a_transaction_not_yet_asked_is_garbled", BUS_GARBLED, "transaction", 2, next_transaction},
	{"another_protocol_is_garbled", BUS_GARBLED, "protocol 1", 2, wrong_protocol},
	{"a_header_length_of_0_is_garbled", BUS_GARBLED, "length is 0", 2, length_0},
	{"a_header_length_of_1_is_garbled", BUS_GARBLED, "length is 1", 2, length_1},
	{"a_header_length_of_600_is_garbled", BUS_GARBLED, "length is 600", 2, length_600},
	{"a_header_length_one_too_low_is_garbled", BUS_GARBLED, "", 2, length_one_less},
	{"a_header_length_one_too_high_never_ends", BUS_TIMEOUT, "bytes of an answer", 2, length_one_more},
	{"a_reply_of_another_unit_is_never_a_value", BUS_GARBLED, "unit 5 answered instead of 1", 2, wrong_unit},
	{"a_reply_of_another_function_is_never_a_value", BUS_GARBLED, "function 4", 2, wrong_function},
	{"a_byte_count_too_low_is_garbled", BUS_GARBLED, "byte count", 2, count_low},
	{"a_byte_count_too_high_is_garbled", BUS_GARBLED, "byte count", 2, count_high},
	{"a_consistent_answer_with_fewer_values_is_garbled", BUS_GARBLED, "byte count", 2, fewer_values},
	{"a_consistent_answer_with_more_values_is_garbled", BUS_GARBLED, "byte count", 2, more_values},
	{"a_frame_cut_short_never_ends", BUS_TIMEOUT, "bytes of an answer", 2, frame_cut},
	{"a_header_cut_short_never_ends", BUS_TIMEOUT, "bytes of an answer", 2, header_cut},
	{"an_answer_with_400_bytes_behind_it_is_garbled", BUS_GARBLED, "400 bytes follow", 2, extra_400},
	{"an_answer_with_one_byte_behind_it_is_garbled", BUS_GARBLED, "1 bytes follow", 2, extra_1},
	{"an_answer_sent_twice_at_once_is_garbled", BUS_GARBLED, "follow", 2, twice},
	{"an_unknown_exception_code_is_garbled", BUS_GARBLED, "exception code 99", 2, unknown_exception},
	{"an_exception_with_values_is_garbled", BUS_GARBLED, "", 2, long_exception},
	{"an_exception_to_another_function_is_garbled", BUS_GARBLED, "function 132", 2, other_exception},
	{"a_web_server_is_garbled", BUS_GARBLED, "this is not Modbus", 2, http},
	{"no_answer_is_a_timeout_and_the_connection_stays", BUS_TIMEOUT, "no answer in", 1, silence},
	{"an_exception_is_one_and_the_connection_stays", BUS_EXCEPTION, "illegal data address", 1, illegal_address},
};

static bool lie_first(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	const struct lie *lie = s->arg;
	uint8_t adu[1024];

	len = right_answer(req, len, adu);
	say(fd, adu, nth == 0 ? lie->change(adu, len) : len);
	return true;
}

static void a_lie_is_found_and_does_no_harm_to_the_next(void **state)
{
	const struct lie *lie = *state;
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	k = link_to_server(l, &s, lie_first, lie, NULL);
	r = ask_for(l, k, &(struct bus_request){.unit = 1, .function = 3, .address = 100, .count = 4},
		    lie->outcome == BUS_TIMEOUT ? 100 : 0);
	assert_outcome(&r, lie->outcome);
	if (!strstr(r.why, lie->why))
		fail_msg("'%s' does not say '%s'", r.why, lie->why);
	for (uint16_t i = 1; i < 4; i++) {
		struct bus_request q = read_holding(1, 100 + 10 * i, 4);

		r = ask(l, k, &q);
		assert_right(&r, &q);
	}
	assert_int_equal(s.connections, lie->connections);
	assert_int_equal(bus_link_counters(k)->connects, (uint64_t)lie->connections);
	assert_int_equal(bus_link_counters(k)->asked, 4);
	end_all(l, k, &s);
}

/* ---- behaviours in time ------------------------------------------------------------------------------------------ */

/* The first answer comes before the second. */
static bool late_once(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	if (nth == 0) {
		s->kept_len = right_answer(req, len, s->kept);
		return true;
	}
	say(fd, s->kept, s->kept_len);
	s->kept_len = 0;
	return answer_rightly(s, fd, nth, req, len);
}

static void a_late_answer_is_dropped_and_the_wait_goes_on(void **state)
{
	struct bus_request first = read_holding(1, 10, 2), second = read_holding(1, 20, 2);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, late_once, NULL, NULL);
	r = ask_for(l, k, &first, 100);
	assert_outcome(&r, BUS_TIMEOUT);
	for (int i = 0; i < 5; i++) {
		second.address++;
		r = ask(l, k, &second);
		assert_right(&r, &second);
	}
	assert_int_equal(s.connections, 1);
	end_all(l, k, &s);
}

static bool never(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	(void)s, (void)fd, (void)nth, (void)req, (void)len;
	return true;
}

static void two_silences_in_a_row_end_the_connection(void **state)
{
	struct bus_request q = read_holding(1, 10, 2);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;

	(void)state;
	k = link_to_server(l, &s, never, NULL, &(struct bus_options){.answer_ms = 20});
	for (int i = 0; i < 4; i++) {
		struct bus_reply r = ask(l, k, &q);

		assert_outcome(&r, BUS_TIMEOUT);
	}
	assert_int_equal(bus_link_counters(k)->connects, 2);
	assert_int_equal(bus_link_counters(k)->timeouts, 4);
	end_all(l, k, &s);
}

/* Until the client has had enough. */
static bool endless(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	uint8_t adu[BUS_ADU_MAX];

	if (nth > 0)
		return answer_rightly(s, fd, nth, req, len);
	len = right_answer(req, len, adu);
	adu[1]--; /* as if late: the one lie that is waited out */
	while (send(fd, adu, len, MSG_NOSIGNAL) > 0)
		;
	return false;
}

static void an_endless_stream_is_ended(void **state)
{
	struct bus_request q = read_holding(1, 10, 60);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, endless, NULL, &(struct bus_options){.answer_ms = 60000});
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_GARBLED);
	assert_true(bus_link_counters(k)->bytes_in < 4096);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	end_all(l, k, &s);
}

/* The stream of what could be late, on a connection that was late once. */
static bool endless_late(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	return nth == 0 ? true : endless(s, fd, nth == 1 ? 0 : nth, req, len);
}

static void an_endless_stream_of_late_answers_is_ended(void **state)
{
	struct bus_request q = read_holding(1, 10, 60);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, endless_late, NULL, NULL);
	r = ask_for(l, k, &q, 50);
	assert_outcome(&r, BUS_TIMEOUT);
	r = ask_for(l, k, &q, 60000);
	assert_outcome(&r, BUS_GARBLED);
	assert_non_null(strstr(r.why, "bytes came for one question"));
	r = ask(l, k, &q);
	assert_right(&r, &q);
	end_all(l, k, &s);
}

/* A byte at a time, each sooner than the patience, all of them later. */
static bool drip(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	uint8_t adu[BUS_ADU_MAX];

	if (nth > 0)
		return answer_rightly(s, fd, nth, req, len);
	len = right_answer(req, len, adu);
	for (size_t i = 0; i < len && send(fd, adu + i, 1, MSG_NOSIGNAL) == 1; i++)
		usleep(20000);
	return true;
}

static void a_byte_at_a_time_does_not_extend_the_patience(void **state)
{
	struct bus_request q = read_holding(1, 10, 60);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, drip, NULL, &(struct bus_options){.answer_ms = 200});
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_TIMEOUT);
	end_all(l, k, &s);
}

/* In two parts, with the loop turning in between: still the answer. */
static bool in_parts(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	uint8_t adu[BUS_ADU_MAX];
	size_t at = (size_t)nth;

	(void)s;
	len = right_answer(req, len, adu);
	say(fd, adu, at);
	usleep(2000);
	say(fd, adu + at, len - at);
	return true;
}

static void an_answer_may_come_in_two_parts_cut_anywhere(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;

	(void)state;
	k = link_to_server(l, &s, in_parts, NULL, NULL);
	for (int i = 0; i < 15; i++) {
		struct bus_reply r;

		q.address++;
		r = ask(l, k, &q);
		assert_right(&r, &q);
	}
	end_all(l, k, &s);
}

static bool answer_and_end(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	answer_rightly(s, fd, nth, req, len);
	return false;
}

static void a_device_that_ends_the_idle_connection_is_connected_anew(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;

	(void)state;
	k = link_to_server(l, &s, answer_and_end, NULL, NULL);
	for (int i = 0; i < 5; i++) {
		struct bus_reply r = ask(l, k, &q);

		assert_right(&r, &q);
		while (s.ended <= i)
			usleep(500);
		if (i % 2) /* now the loop sees the end; else the next question finds it */
			turn(l);
	}
	assert_int_equal(s.connections, 5);
	assert_int_equal(bus_link_counters(k)->closed, 0);
	end_all(l, k, &s);
}

static void a_question_for_a_connection_that_is_gone_never_leaves(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct asked a = {0};
	struct server s;
	struct bus_link *k;
	struct bus_reply r;
	struct err e;

	(void)state;
	k = link_to_server(l, &s, answer_and_end, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		r = ask(l, k, &q);
		assert_right(&r, &q);
		while (s.ended <= i)
			usleep(500);
		if (i) /* now the loop sees the end; else the next question finds it */
			turn(l);
		a.calls = 0;
		assert_int_equal(bus_link_ask_on(k, bus_link_counters(k)->connects, &q, 0, ask_note, &a, &e), 0);
		while (a.calls == 0)
			turn(l);
		assert_outcome(&a.reply, BUS_CANCELLED);
		assert_int_equal(s.questions, i + 1);
		assert_int_equal(s.connections, i + 1);
	}
	end_all(l, k, &s);
}

static bool end_first(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	return nth == 0 ? false : answer_rightly(s, fd, nth, req, len);
}

static void a_device_that_ends_instead_of_answering_is_closed(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, end_first, NULL, NULL);
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_CLOSED);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(bus_link_counters(k)->closed, 1);
	end_all(l, k, &s);
}

/* What comes between the questions does not wait for the next. */
static bool babble_after(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	answer_rightly(s, fd, nth, req, len);
	if (nth == 0) {
		while (!s->go)
			usleep(500);
		say(fd, "babble babble babble", 20);
	}
	return true;
}

static void bytes_between_the_questions_end_the_connection(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, babble_after, NULL, NULL);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	s.go = true;
	turn(l); /* the babble */
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(s.connections, 2);
	end_all(l, k, &s);
}

/* ---- a socket that is full --------------------------------------------------------------------------------------- */

/* What the engine's next calls of send do: so many bytes, or one of these; after the last step, all is sent. */

enum { SEND_NONE = -1, SEND_FULL = -2 /* until another plan */, SEND_BROKEN = -3 };
static const int *send_plan;
static size_t send_plan_left;

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	int step;

	/* The server's are without MSG_DONTWAIT. */
	if (!(flags & MSG_DONTWAIT) || send_plan_left == 0)
		return __real_send(fd, data, len, flags);
	step = *send_plan;
	if (step != SEND_FULL)
		send_plan++, send_plan_left--;
	if (step > 0)
		return __real_send(fd, data, (size_t)step < len ? (size_t)step : len, flags);
	errno = step == SEND_BROKEN ? ECONNRESET : EAGAIN;
	return -1;
}

#define PLAN(...) (send_plan = (const int[]){__VA_ARGS__}, send_plan_left = COUNT_OF(((const int[]){__VA_ARGS__})))

static void a_question_may_leave_in_parts(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;
	struct err e;

	(void)state;
	k = link_to_server(l, &s, answer_rightly, NULL, NULL);
	PLAN(5, SEND_NONE, 2, SEND_NONE, 1);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(send_plan_left, 0);
	/* And then the socket's room is nothing to wake up for. */
	assert_int_equal(loop_turn(l, now_read().boot_us + 50 * US_PER_MS, &e), 0);
	assert_true(now_read().boot_us - r.received_boot_us >= 50 * US_PER_MS);
	end_all(l, k, &s);
}

/* A peer that answers the first question after five of its bytes: its number is all that it needs. */
static void *answer_too_early(void *arg)
{
	struct server *s = arg;
	uint8_t req[BUS_ADU_MAX], adu[BUS_ADU_MAX];
	struct bus_request q = read_holding(1, 10, 3);
	int fd = accept(s->listen_fd, NULL, NULL);

	s->connections++;
	if (recv(fd, req, 5, MSG_WAITALL) == 5) {
		uint8_t whole[BUS_ADU_MAX], pdu[BUS_PDU_MAX];
		size_t len = bus_mbap_frame((uint16_t)(req[0] << 8 | req[1]), q.unit, pdu, bus_pdu_encode(&q, pdu), whole);

		say(fd, adu, right_answer(whole, len, adu));
	}
	while (recv(fd, req, sizeof req, 0) > 0)
		;
	close(fd);
	return serve(arg); /* from now on rightly */
}

static void an_answer_before_the_whole_question_ends_it_once_and_the_connection(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct asked a = {0};
	struct server s = {.answer = answer_rightly};
	struct bus_link *k;
	struct bus_reply r;
	struct err e;

	(void)state;
	server_listen(&s, 8);
	assert_int_equal(pthread_create(&s.thread, NULL, answer_too_early, &s), 0);
	k = link_to(l, s.port, NULL);
	PLAN(5, SEND_FULL);
	assert_int_equal(bus_link_ask(k, &q, 0, ask_note, &a, &e), 0);
	while (a.calls == 0)
		turn(l);
	assert_outcome(&a.reply, BUS_GARBLED);
	assert_non_null(strstr(a.reply.why, "before the whole question"));
	/* Nothing of the old question is left to send, to fail, or to be told a second time. */
	PLAN(SEND_BROKEN);
	assert_int_equal(loop_turn(l, now_read().boot_us + 20 * US_PER_MS, &e), 0);
	assert_int_equal(send_plan_left, 1);
	assert_int_equal(a.calls, 1);
	send_plan_left = 0;
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(s.connections, 2);
	end_all(l, k, &s);
}

static void a_question_that_breaks_off_is_told_once(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = link_to_server(l, &s, answer_rightly, NULL, NULL);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	PLAN(5, SEND_BROKEN);
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_CLOSED);
	assert_int_equal(send_plan_left, 0);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(s.connections, 2);
	end_all(l, k, &s);
}

static bool end_when_told(struct server *s, int fd, int nth, const uint8_t *req, size_t len)
{
	answer_rightly(s, fd, nth, req, len);
	while (nth == 0 && !s->go)
		usleep(500);
	return nth > 0;
}

static void a_question_that_found_no_room_is_asked_anew_when_the_connection_ends(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct asked a = {0};
	struct server s;
	struct bus_link *k;
	struct bus_reply r;
	struct err e;

	(void)state;
	k = link_to_server(l, &s, end_when_told, NULL, NULL);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	PLAN(SEND_FULL);
	assert_int_equal(bus_link_ask(k, &q, 0, ask_note, &a, &e), 0);
	s.go = true;
	while (bus_link_counters(k)->connects < 2 && a.calls == 0)
		turn(l);
	assert_int_equal(a.calls, 0);
	send_plan_left = 0;
	while (a.calls == 0)
		turn(l);
	assert_right(&a.reply, &q);
	assert_int_equal(s.connections, 2);
	assert_int_equal(bus_link_counters(k)->timeouts, 0);
	end_all(l, k, &s);
}

static void a_question_that_is_not_taken_in_time_says_so(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct asked a = {0};
	struct server s;
	struct bus_link *k;
	struct err e;

	(void)state;
	k = link_to_server(l, &s, answer_rightly, NULL, NULL);
	PLAN(5, SEND_FULL);
	assert_int_equal(bus_link_ask(k, &q, 30, ask_note, &a, &e), 0);
	while (a.calls == 0)
		turn(l);
	assert_outcome(&a.reply, BUS_TIMEOUT);
	assert_string_equal(a.reply.why, "the device did not take the question in 30 ms");
	send_plan_left = 0;
	end_all(l, k, &s);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void a_port_where_nobody_listens_is_unreachable(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s = {0};
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	server_listen(&s, 1);
	close(s.listen_fd);
	k = link_to(l, s.port, NULL);
	for (int i = 0; i < 3; i++) {
		r = ask(l, k, &q);
		assert_outcome(&r, BUS_UNREACHABLE);
		assert_non_null(strstr(r.why, "refused"));
	}
	assert_int_equal(bus_link_counters(k)->connects, 0);
	bus_link_free(k);
	loop_free(l);
}

static void a_host_that_does_not_take_the_connection_is_unreachable_after_its_own_patience(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s = {0};
	struct bus_link *k[4];
	struct asked a[4] = {0};
	struct err e;
	int unreachable = 0;

	(void)state;
	server_listen(&s, 0); /* nobody accepts: the first fill the queue, the SYN of the others is dropped */
	for (int i = 0; i < 4; i++) {
		k[i] = link_to(l, s.port, &(struct bus_options){.connect_ms = 50, .answer_ms = 50});
		assert_int_equal(bus_link_ask(k[i], &q, 0, ask_note, &a[i], &e), 0);
	}
	for (int i = 0; i < 4; i++) {
		while (!a[i].calls)
			turn(l);
		unreachable += a[i].reply.outcome == BUS_UNREACHABLE;
		if (a[i].reply.outcome == BUS_UNREACHABLE)
			assert_string_equal(a[i].reply.why, "cannot connect: no answer in 50 ms");
		bus_link_free(k[i]);
	}
	assert_true(unreachable >= 2);
	close(s.listen_fd);
	loop_free(l);
}

static void a_host_name_is_refused_because_none_is_looked_up_here(void **state)
{
	struct bus_address a = {.kind = BUS_TCP, .host = "meter.lan", .port = 502};
	struct loop *l = new_loop();
	struct bus_link *k;
	struct err e;

	(void)state;
	assert_int_equal(bus_link_new(l, &a, NULL, &k, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_string_equal(e.text, "host 'meter.lan' must be a numeric address");
	loop_free(l);
}

/* ---- one question at a time -------------------------------------------------------------------------------------- */

static void a_link_takes_one_question_at_a_time(void **state)
{
	struct bus_request q = read_holding(1, 10, 3), none = read_holding(1, 10, 0);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct asked a = {0};
	struct err e;

	(void)state;
	k = link_to_server(l, &s, answer_rightly, NULL, NULL);
	assert_int_equal(bus_link_ask(k, &none, 0, ask_note, &a, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(bus_link_ask(k, &q, 0, ask_note, &a, &e), 0);
	assert_int_equal(bus_link_ask(k, &q, 0, ask_note, &a, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	while (!a.calls)
		turn(l);
	assert_right(&a.reply, &q);
	assert_true(a.reply.received_boot_us >= a.reply.sent_boot_us);
	end_all(l, k, &s);
}

static void a_link_freed_with_a_question_open_never_calls(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct asked a = {0};
	struct err e;

	(void)state;
	server_start(&s, answer_rightly, NULL);
	for (int turns = 0; turns < 3; turns++) {
		struct bus_link *k = link_to(l, s.port, &(struct bus_options){.pause_ms = turns});

		assert_int_equal(bus_link_ask(k, &q, 0, ask_note, &a, &e), 0);
		for (int i = 0; i < turns && !a.calls; i++)
			turn(l);
		if (a.calls)
			a.calls = 0; /* answered already: nothing to cancel */
		bus_link_free(k);
		assert_int_equal(loop_turn(l, now_read().boot_us + 5 * US_PER_MS, &e), 0);
		assert_int_equal(a.calls, 0);
	}
	server_stop(&s);
	loop_free(l);
}

struct chain {
	struct bus_link *link;
	int left;
	bool over;
};

static void ask_next(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct chain *c = arg;
	struct bus_request next = *q;
	struct err e;

	assert_right(r, q);
	next.address++;
	if (c->left-- > 0) {
		assert_int_equal(bus_link_ask(c->link, &next, 0, ask_next, c, &e), 0);
		return;
	}
	bus_link_free(c->link);
	c->over = true;
}

static void the_answers_call_may_ask_the_next_and_free_the_link(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct chain c = {.left = 50};
	struct err e;

	(void)state;
	c.link = link_to_server(l, &s, answer_rightly, NULL, NULL);
	assert_int_equal(bus_link_ask(c.link, &q, 0, ask_next, &c, &e), 0);
	while (!c.over)
		turn(l);
	assert_int_equal(s.connections, 1);
	assert_int_equal(s.questions, 51);
	server_stop(&s);
	loop_free(l);
}

static void a_device_that_wants_a_pause_gets_it(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	int64_t answered = 0;

	(void)state;
	k = link_to_server(l, &s, answer_rightly, NULL, &(struct bus_options){.pause_ms = 30});
	for (int i = 0; i < 4; i++) {
		struct bus_reply r = ask(l, k, &q);

		assert_right(&r, &q);
		assert_true(i == 0 || r.sent_boot_us - answered >= 30 * US_PER_MS);
		answered = r.received_boot_us;
	}
	end_all(l, k, &s);
}

static void an_open_link_without_a_question_wakes_nobody(void **state)
{
	struct bus_request q = read_holding(1, 10, 3);
	struct loop *l = new_loop();
	struct server s;
	struct bus_link *k;
	struct bus_reply r;
	struct err e;

	(void)state;
	k = link_to_server(l, &s, answer_rightly, NULL, &(struct bus_options){.answer_ms = 10});
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(loop_turn(l, now_read().boot_us + 100 * US_PER_MS, &e), 0);
	assert_true(now_read().boot_us - r.received_boot_us >= 100 * US_PER_MS); /* nothing ended the one turn */
	end_all(l, k, &s);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(a_late_answer_is_dropped_and_the_wait_goes_on),
		cmocka_unit_test(two_silences_in_a_row_end_the_connection),
		cmocka_unit_test(an_endless_stream_is_ended),
		cmocka_unit_test(an_endless_stream_of_late_answers_is_ended),
		cmocka_unit_test(a_byte_at_a_time_does_not_extend_the_patience),
		cmocka_unit_test(an_answer_may_come_in_two_parts_cut_anywhere),
		cmocka_unit_test(a_device_that_ends_the_idle_connection_is_connected_anew),
		cmocka_unit_test(a_question_for_a_connection_that_is_gone_never_leaves),
		cmocka_unit_test(a_device_that_ends_instead_of_answering_is_closed),
		cmocka_unit_test(bytes_between_the_questions_end_the_connection),
		cmocka_unit_test(a_question_may_leave_in_parts),
		cmocka_unit_test(an_answer_before_the_whole_question_ends_it_once_and_the_connection),
		cmocka_unit_test(a_question_that_breaks_off_is_told_once),
		cmocka_unit_test(a_question_that_found_no_room_is_asked_anew_when_the_connection_ends),
		cmocka_unit_test(a_question_that_is_not_taken_in_time_says_so),
		cmocka_unit_test(a_port_where_nobody_listens_is_unreachable),
		cmocka_unit_test(a_host_that_does_not_take_the_connection_is_unreachable_after_its_own_patience),
		cmocka_unit_test(a_host_name_is_refused_because_none_is_looked_up_here),
		cmocka_unit_test(a_link_takes_one_question_at_a_time),
		cmocka_unit_test(a_link_freed_with_a_question_open_never_calls),
		cmocka_unit_test(the_answers_call_may_ask_the_next_and_free_the_link),
		cmocka_unit_test(a_device_that_wants_a_pause_gets_it),
		cmocka_unit_test(an_open_link_without_a_question_wakes_nobody),
	};
	return run_with_lies(lies, COUNT_OF(lies), a_lie_is_found_and_does_no_harm_to_the_next, fixed, COUNT_OF(fixed));
}
