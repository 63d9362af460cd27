/* A serial line over a pty, and the same behind a gateway that passes bytes on raw: devices that are late, noisy, mute
 * or gone. No wrong value, ever. */
#include "bus_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

/* ---- the device: one thread on the pty's master, one question after the other ------------------------------------ */

struct device;
typedef void answer_fn(struct device *d, int nth, const struct bus_request *q);

struct device {
	int master, slave, stop_fd;
	int listen_fd;   /* of a gateway; its master is the connection */
	char path[64];   /* of the line; of a gateway ":PORT" */
	pthread_t thread;
	answer_fn *answer;
	struct rng rng;
	uint8_t kept[BUS_ADU_MAX]; /* an answer held back */
	size_t kept_len;
	atomic_int written;        /* by the last write */
	atomic_int questions, reads, said, told, hung_up;
	atomic_bool go;
};

/* Every hundredth register does not exist. */
static bool exists(unsigned address, unsigned count)
{
	return address % 100 + count <= 99;
}

static size_t right_answer(const struct bus_request *q, uint8_t adu[BUS_ADU_MAX])
{
	static const uint8_t id[] = {0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 3, 'A', 'B', 'B', 1, 2, 'X', '1'};
	uint16_t values[BUS_READ_MAX];
	uint8_t pdu[BUS_PDU_MAX];
	size_t len;

	for (unsigned i = 0; i < q->count && i < COUNT_OF(values); i++)
		values[i] = q->function <= 2 ? value_at(q->address + i) & 1 : value_at(q->address + i);
	if (q->function == BUS_DEVICE_ID)
		return bus_rtu_frame(q->unit, id, sizeof id, adu);
	if (q->function == BUS_REPORT_ID)
		return bus_rtu_frame(q->unit, (const uint8_t[]){17, 4, 1, 0xFF, 'h', 'i'}, 6, adu);
	len = exists(q->address, q->count) ? bus_pdu_encode_reply(q, values, pdu)
					   : bus_pdu_encode_exception(q->function, 2, pdu);
	return bus_rtu_frame(q->unit, pdu, len, adu);
}

static void say(struct device *d, const void *data, size_t len)
{
	if (len && d->listen_fd >= 0 && send(d->master, data, len, MSG_NOSIGNAL) < 0)
		return;
	if (len && d->listen_fd < 0 && write(d->master, data, len) < 0)
		return;
	d->said++;
}

static void answer_rightly(struct device *d, int nth, const struct bus_request *q)
{
	uint8_t adu[BUS_ADU_MAX];

	(void)nth;
	say(d, adu, right_answer(q, adu));
}

/* A gateway's next client. */
static bool next_client(struct device *d)
{
	struct pollfd fds[2] = {{.fd = d->listen_fd, .events = POLLIN}, {.fd = d->stop_fd, .events = POLLIN}};

	if (d->listen_fd < 0)
		return false;
	close(d->master);
	d->master = -1;
	poll(fds, 2, -1);
	if (!fds[1].revents)
		d->master = accept(d->listen_fd, NULL, NULL);
	return d->master >= 0;
}

/* Bytes until they are a question. false: the end. */
static bool next_question(struct device *d, struct bus_request *q)
{
	uint8_t in[BUS_ADU_MAX];
	size_t len = 0;

	for (;;) {
		struct pollfd fds[2] = {{.fd = d->master, .events = POLLIN}, {.fd = d->stop_fd, .events = POLLIN}};

		if (d->master >= 0 && poll(fds, 2, -1) > 0 && fds[1].revents)
			return false;
		if (len == sizeof in)
			return false;
		if (d->master < 0 || read(d->master, in + len, 1) != 1) {
			len = 0;
			if (!next_client(d))
				return false;
			continue;
		}
		len++;
		if (len >= 4 && bus_crc(in, len) == 0 && bus_pdu_parse_request(in + 1, len - 3, q)) {
			q->unit = in[0];
			return true;
		}
	}
}

static void *serve(void *arg)
{
	struct device *d = arg;
	struct bus_request q;

	for (int nth = 0; next_question(d, &q); nth++) {
		d->questions++;
		if (q.function <= 4)
			d->reads++;
		if (q.function == 6 || q.function == 16)
			d->written = q.values[0];
		d->answer(d, nth, &q);
	}
	return NULL;
}

static void make_line(struct device *d)
{
	struct termios raw;

	d->master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_int_equal(grantpt(d->master), 0);
	assert_int_equal(unlockpt(d->master), 0);
	assert_int_equal(ptsname_r(d->master, d->path, sizeof d->path), 0);
	d->slave = open(d->path, O_RDWR | O_NOCTTY); /* so that the line stays when its user goes */
	assert_int_equal(tcgetattr(d->slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(d->slave, TCSANOW, &raw), 0);
}

static void make_gateway(struct device *d)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;

	d->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->listen_fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(d->listen_fd, 8), 0);
	assert_int_equal(getsockname(d->listen_fd, (struct sockaddr *)&at, &len), 0);
	snprintf(d->path, sizeof d->path, ":%u", ntohs(at.sin_port));
}

/* Which of the two the tests run over. */
static bool over_gateway;

static void device_start_seeded(struct device *d, answer_fn *answer, uint64_t seed)
{
	*d = (struct device){.answer = answer, .master = -1, .slave = -1, .listen_fd = -1};
	rng_seed(&d->rng, seed);
	d->stop_fd = eventfd(0, 0);
	if (over_gateway)
		make_gateway(d);
	else
		make_line(d);
	assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void device_stop(struct device *d)
{
	d->go = true;
	eventfd_write(d->stop_fd, 1);
	pthread_join(d->thread, NULL);
	for (size_t i = 0; i < 4; i++)
		if ((int[]){d->slave, d->master, d->listen_fd, d->stop_fd}[i] >= 0)
			close((int[]){d->slave, d->master, d->listen_fd, d->stop_fd}[i]);
}

static void device_start(struct device *d, answer_fn *answer)
{
	device_start_seeded(d, answer, 5);
}

static struct bus_address address_of(const char *path)
{
	struct bus_address a = {.kind = BUS_RTU, .baud = 115200, .parity = 'E', .stop = 1};

	if (path[0] == ':')
		return (struct bus_address){.kind = BUS_RTU_TCP, .host = "127.0.0.1", .port = (uint16_t)atoi(path + 1)};
	assert_true(str_copy(a.path, sizeof a.path, path));
	return a;
}

/* The quick answers have all the patience of a loaded machine. */
static struct bus_link *link_to(struct loop *l, const char *path, int quiet_ms)
{
	struct bus_address a = address_of(path);
	struct bus_link *k;
	struct err e;

	if (bus_link_new(l, &a, &(struct bus_options){.answer_ms = 10000, .quiet_ms = quiet_ms}, &k, &e) < 0)
		fail_msg("%s", e.text);
	return k;
}

static struct bus_link *begin(struct loop *l, struct device *d, answer_fn *answer, int quiet_ms)
{
	device_start(d, answer);
	return link_to(l, d->path, quiet_ms);
}

static void end(struct loop *l, struct device *d, struct bus_link *k)
{
	bus_link_free(k);
	device_stop(d);
	loop_free(l);
}

/* ---- the ordinary ------------------------------------------------------------------------------------------------ */

static void every_function_goes_over_a_serial_line(void **state)
{
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, answer_rightly, 1);
	for (uint8_t function = 1; function <= 4; function++)
		for (uint16_t count = 1; count <= 90; count += 7) {
			struct bus_request q = {.unit = 247, .function = function, .address = 300, .count = count};

			r = ask(l, k, &q);
			assert_right(&r, &q);
			assert_true(r.received_boot_us >= r.sent_boot_us);
		}
	r = ask(l, k, &(struct bus_request){.unit = 1, .function = 6, .address = 5, .count = 1, .values = {77}});
	assert_outcome(&r, BUS_OK);
	assert_int_equal(d.written, 77);
	r = ask(l, k, &(struct bus_request){.unit = 1, .function = 16, .address = 5, .count = 2, .values = {78, 1}});
	assert_outcome(&r, BUS_OK);
	assert_int_equal(d.written, 78);
	r = ask(l, k, &(struct bus_request){.unit = 1, .function = 3, .address = 99, .count = 1});
	assert_outcome(&r, BUS_EXCEPTION);
	assert_int_equal(r.exception, 2);
	r = ask(l, k, &(struct bus_request){.unit = 1, .function = 17});
	assert_outcome(&r, BUS_OK);
	assert_memory_equal(r.bytes, "\4\1\377hi", 5);
	r = ask(l, k, &(struct bus_request){.unit = 1, .function = 43, .count = 1});
	assert_outcome(&r, BUS_OK);
	assert_int_equal(r.count, 15);
	assert_int_equal(bus_link_counters(k)->asked, d.questions);
	assert_int_equal(bus_link_counters(k)->connects, 1);
	assert_int_equal(bus_link_counters(k)->timeouts, 0);
	end(l, &d, k);
}

/* ---- the late ---------------------------------------------------------------------------------------------------- */

/* The first answer comes when the next question has been asked: later than any silence. */
static void one_behind_once(struct device *d, int nth, const struct bus_request *q)
{
	if (nth == 0) {
		d->kept_len = right_answer(q, d->kept);
		return;
	}
	say(d, d->kept, d->kept_len);
	d->kept_len = 0;
	answer_rightly(d, nth, q);
}

static void the_reply_to_the_previous_question_is_never_a_value(void **state)
{
	struct bus_request first = read_holding(1, 10, 2), second = read_holding(1, 20, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, one_behind_once, 1);
	r = ask_for(l, k, &first, 30);
	assert_outcome(&r, BUS_TIMEOUT);
	for (int i = 0; i < 5; i++) {
		second.address++;
		r = ask(l, k, &second);
		assert_right(&r, &second);
	}
	assert_int_equal(d.questions, 7); /* one probe, once */
	end(l, &d, k);
}

static void one_behind_always(struct device *d, int nth, const struct bus_request *q)
{
	say(d, d->kept, d->kept_len);
	d->kept_len = right_answer(q, d->kept);
	(void)nth;
}

static void a_device_always_one_answer_behind_gives_no_value_at_all(void **state)
{
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;

	(void)state;
	k = begin(l, &d, one_behind_always, 1);
	for (uint16_t i = 0; i < 20; i++) {
		struct bus_request q = read_holding(1, 10 + i, 2);
		struct bus_reply r = ask_for(l, k, &q, 20);

		if (r.outcome == BUS_OK)
			assert_right(&r, &q);
	}
	end(l, &d, k);
}

static void the_acknowledgement_of_the_previous_write_is_never_that_of_this_one(void **state)
{
	struct bus_request w = {.unit = 1, .function = 16, .address = 40, .count = 1, .values = {100}};
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, one_behind_once, 1);
	r = ask_for(l, k, &w, 30);
	assert_outcome(&r, BUS_TIMEOUT);
	w.values[0] = 200;
	r = ask(l, k, &w);
	assert_outcome(&r, BUS_OK);
	assert_int_equal(d.written, 200);
	assert_int_equal(d.reads, 1); /* a write is made sure of by a read, never by another write */
	assert_int_equal(d.questions, 3);
	end(l, &d, k);
}

static void the_late_answer_of_one_unit_does_not_disturb_the_next_unit(void **state)
{
	struct bus_request one = read_holding(1, 10, 2), two = read_holding(2, 20, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, one_behind_once, 1);
	r = ask_for(l, k, &one, 30);
	assert_outcome(&r, BUS_TIMEOUT);
	r = ask(l, k, &two);
	assert_right(&r, &two);
	assert_int_equal(d.questions, 2);
	end(l, &d, k);
}

/* A late answer that comes while the line is kept quiet settles the matter without a probe. */
static void late_until_told(struct device *d, int nth, const struct bus_request *q)
{
	while (nth == 0 && !d->go)
		usleep(500);
	answer_rightly(d, nth, q);
}

static void a_late_answer_heard_in_the_silence_needs_no_probe(void **state)
{
	struct bus_request first = read_holding(1, 10, 2), second = read_holding(1, 20, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, late_until_told, 1);
	r = ask_for(l, k, &first, 30);
	assert_outcome(&r, BUS_TIMEOUT);
	d.go = true;
	while (d.said == 0)
		usleep(500);
	r = ask(l, k, &second);
	assert_right(&r, &second);
	assert_int_equal(d.questions, 2);
	end(l, &d, k);
}

/* Answers in order, each after a time of its own: most at once, some a little late, some later than patience and
 * silence together; some never. */
static void late_at_random(struct device *d, int nth, const struct bus_request *q)
{
	double dice = rng_real(&d->rng, 0, 1);

	if (dice < 0.05)
		return;
	if (dice < 0.25)
		usleep((useconds_t)rng_real(&d->rng, 0, 20000));
	else if (dice < 0.40)
		usleep((useconds_t)rng_real(&d->rng, 20000, 120000));
	answer_rightly(d, nth, q);
}

/* The same, from a device that lets nobody read but in twos: it refuses every probe. */
static void late_and_picky(struct device *d, int nth, const struct bus_request *q)
{
	uint8_t pdu[BUS_PDU_MAX], adu[BUS_ADU_MAX];

	if (q->count == 2) {
		late_at_random(d, nth, q);
		return;
	}
	say(d, adu, bus_rtu_frame(q->unit, pdu, bus_pdu_encode_exception(q->function, 3, pdu), adu));
}

static void ask_a_hundred(answer_fn *answer, uint64_t seed, bool twos, int *good, int *bad)
{
	static const uint16_t counts[] = {1, 2, 2, 2, 5};
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct rng rng;

	device_start_seeded(&d, answer, seed);
	rng_seed(&rng, seed + 1);
	k = link_to(l, d.path, 10);
	*good = *bad = 0;
	for (int i = 0; i < 100; i++) {
		struct bus_request q = read_holding(1 + rng_next(&rng) % 4 / 3, (uint16_t)(rng_next(&rng) % 5000), 2);
		struct bus_reply r;

		if (!twos)
			q.count = counts[rng_next(&rng) % COUNT_OF(counts)];
		r = ask_for(l, k, &q, 20);
		if (r.outcome == BUS_OK) {
			assert_true(exists(q.address, q.count));
			assert_right(&r, &q);
		}
		if (r.outcome == BUS_EXCEPTION)
			assert_false(exists(q.address, q.count) && r.exception == 2);
		*good += r.outcome == BUS_OK || r.outcome == BUS_EXCEPTION;
		*bad += r.outcome != BUS_OK && r.outcome != BUS_EXCEPTION;
	}
	end(l, &d, k);
}

static void a_device_slower_than_the_patience_never_gives_a_wrong_value(void **state)
{
	int good, bad;

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		ask_a_hundred(late_at_random, seed, false, &good, &bad);
		assert_true(bad > 0);
		print_message("seed %d: %d answers, %d failures, no wrong value\n", (int)seed, good, bad);
	}
}

static void a_slow_device_that_refuses_every_probe_never_gives_a_wrong_value(void **state)
{
	int good, bad;

	(void)state;
	ask_a_hundred(late_and_picky, 4, true, &good, &bad);
	print_message("%d answers, %d failures, no wrong value\n", good, bad);
}

static void keep(struct device *d, int nth, const struct bus_request *q)
{
	if (nth > 0) {
		answer_rightly(d, nth, q);
		return;
	}
	d->kept_len = right_answer(q, d->kept);
	while (!d->go)
		usleep(500);
	say(d, d->kept, d->kept_len);
}

static void the_answer_to_a_process_that_died_is_not_taken_by_its_successor(void **state)
{
	struct bus_request first = read_holding(1, 10, 2), second = read_holding(1, 20, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;
	struct asked a = {0};
	struct err e;

	(void)state;
	k = begin(l, &d, keep, 1);
	assert_int_equal(bus_link_ask(k, &first, 0, ask_note, &a, &e), 0);
	while (d.questions == 0)
		assert_int_equal(loop_turn(l, now_read().boot_us + US_PER_MS, &e), 0);
	bus_link_free(k);
	k = link_to(l, d.path, 1000);
	d.go = true;
	r = ask(l, k, &second);
	assert_right(&r, &second);
	assert_int_equal(a.calls, 0);
	end(l, &d, k);
}

/* ---- lies -------------------------------------------------------------------------------------------------------- */

static size_t crc(uint8_t *a, size_t n)
{
	uint16_t c = bus_crc(a, n - 2);

	a[n - 2] = (uint8_t)c;
	a[n - 1] = (uint8_t)(c >> 8);
	return n;
}

static size_t wrong_crc(uint8_t *a, size_t n) { a[3] ^= 1; return n; }
static size_t zeroes(uint8_t *a, size_t n) { (void)n; memset(a, 0, 40); return 40; }
static size_t ones(uint8_t *a, size_t n) { (void)n; memset(a, 0xFF, 40); return 40; }
static size_t other_unit(uint8_t *a, size_t n) { a[0] = 5; return crc(a, n); }
static size_t broadcast_unit(uint8_t *a, size_t n) { a[0] = 0; return crc(a, n); }
static size_t other_function(uint8_t *a, size_t n) { a[1] = 4; return crc(a, n); }
static size_t strange_function(uint8_t *a, size_t n) { a[1] = 0x63; return crc(a, n); }
static size_t fewer_values(uint8_t *a, size_t n) { a[2] -= 2; return crc(a, n - 2); }
static size_t more_values(uint8_t *a, size_t n) { a[2] += 2; a[n] = a[n + 1] = 0; return crc(a, n + 2); }
static size_t count_low(uint8_t *a, size_t n) { a[2] -= 2; return crc(a, n); }
static size_t count_high(uint8_t *a, size_t n) { a[2] += 2; return crc(a, n); }
static size_t cut(uint8_t *a, size_t n) { (void)a; return n - 1; }
static size_t one_byte(uint8_t *a, size_t n) { (void)a, (void)n; return 1; }
static size_t extra(uint8_t *a, size_t n) { memset(a + n, 0x11, 100); return n + 100; }
static size_t unknown_exception(uint8_t *a, size_t n) { (void)n; a[1] = 0x83; a[2] = 0x63; return crc(a, 5); }
static size_t silence(uint8_t *a, size_t n) { (void)a, (void)n; return 0; }

static const struct lie lies[] = {
	{"a_wrong_checksum_is_noise", BUS_LINE_NOISE, "wrong checksum", 0, wrong_crc},
	{"zeroes_are_noise", BUS_LINE_NOISE, "", 0, zeroes},
	{"ones_are_noise", BUS_LINE_NOISE, "", 0, ones},
	{"a_reply_of_another_unit_on_the_line_is_never_a_value", BUS_GARBLED, "unit 5 answered", 0, other_unit},
	{"a_reply_of_unit_0_is_never_a_value", BUS_GARBLED, "unit 0 answered instead of 1", 0, broadcast_unit},
	{"a_reply_of_another_function_on_the_line_is_never_a_value", BUS_GARBLED, "function 4", 0, other_function},
	{"a_function_nobody_knows_is_garbled", BUS_GARBLED, "function 99", 0, strange_function},
	{"fewer_values_are_garbled", BUS_GARBLED, "byte count", 0, fewer_values},
	{"more_values_are_garbled", BUS_GARBLED, "byte count", 0, more_values},
	{"a_byte_count_too_low_breaks_the_checksum", BUS_LINE_NOISE, "", 0, count_low},
	{"a_byte_count_too_high_never_ends", BUS_TIMEOUT, "of an answer came", 0, count_high},
	{"a_frame_cut_short_never_ends", BUS_TIMEOUT, "of an answer came", 0, cut},
	{"a_lonely_byte_is_no_answer", BUS_TIMEOUT, "of an answer came", 0, one_byte},
	{"an_answer_with_bytes_behind_it_is_garbled", BUS_GARBLED, "bytes follow", 0, extra},
	{"an_unknown_exception_code_on_the_line_is_garbled", BUS_GARBLED, "exception code 99", 0, unknown_exception},
	{"no_answer_is_a_timeout", BUS_TIMEOUT, "no answer in", 0, silence},
};

static const struct lie *lie_now;

static void lie_first(struct device *d, int nth, const struct bus_request *q)
{
	uint8_t adu[1024];
	size_t len = right_answer(q, adu);

	say(d, adu, nth == 0 ? lie_now->change(adu, len) : len);
}

static void a_lie_is_found_and_does_no_harm_to_the_next(void **state)
{
	const struct lie *lie = *state;
	struct bus_request q = read_holding(1, 10, 4);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	lie_now = lie;
	k = begin(l, &d, lie_first, 5);
	r = ask_for(l, k, &q, lie->outcome == BUS_TIMEOUT ? 50 : 10000);
	assert_outcome(&r, lie->outcome);
	if (!strstr(r.why, lie->why))
		fail_msg("'%s' does not say '%s'", r.why, lie->why);
	for (int i = 0; i < 3; i++) {
		q.address++;
		r = ask(l, k, &q);
		assert_right(&r, &q);
	}
	end(l, &d, k);
}

static void drip(struct device *d, int nth, const struct bus_request *q)
{
	uint8_t adu[BUS_ADU_MAX];
	size_t len = right_answer(q, adu);

	for (size_t i = 0; i < len && !d->go; i++) {
		say(d, adu + i, 1);
		usleep(20000);
	}
	(void)nth;
}

static void a_byte_at_a_time_does_not_extend_the_patience(void **state)
{
	struct bus_request q = read_holding(1, 10, 60);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, drip, 1);
	r = ask_for(l, k, &q, 200);
	assert_outcome(&r, BUS_TIMEOUT);
	assert_true(d.said < 125);
	end(l, &d, k);
}

static void babble(struct device *d, int nth, const struct bus_request *q)
{
	uint8_t byte = 0;

	for (; nth == 0 && !d->go; byte += 7) {
		say(d, &byte, 1);
		usleep(1000);
	}
	answer_rightly(d, nth, q);
}

static void a_line_that_never_falls_silent_is_said_to_be_and_used_when_it_does(void **state)
{
	struct bus_request q = read_holding(1, 10, 4);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, babble, 500);
	r = ask(l, k, &q);
	assert_true(r.outcome == BUS_LINE_NOISE || r.outcome == BUS_GARBLED);
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_LINE_NOISE);
	assert_non_null(strstr(r.why, "another master"));
	d.go = true;
	for (int i = 0; i < 10 && r.outcome != BUS_OK; i++)
		r = ask(l, k, &q);
	assert_right(&r, &q);
	end(l, &d, k);
}

/* ---- somebody else ------------------------------------------------------------------------------------------ */

static void say_frame(struct device *d, const struct bus_request *q)
{
	uint8_t pdu[BUS_PDU_MAX], adu[BUS_ADU_MAX];

	say(d, adu, bus_rtu_frame(q->unit, pdu, bus_pdu_encode(q, pdu), adu));
}

/* After each answer another master asks unit 9, which answers it. */
static void with_another_master(struct device *d, int nth, const struct bus_request *q)
{
	struct bus_request theirs = read_holding(9, 300 + (uint16_t)nth, 2);

	answer_rightly(d, nth, q);
	while (!d->go)
		usleep(500);
	d->go = false;
	say_frame(d, &theirs);
	answer_rightly(d, nth, &theirs);
	d->told++;
}

static void another_master_is_seen_and_its_values_are_nobodys(void **state)
{
	struct bus_request q = read_holding(1, 10, 2);
	const struct bus_counters *c;
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;
	char words[96];
	struct err e;

	(void)state;
	k = begin(l, &d, with_another_master, 1);
	c = bus_link_counters(k);
	for (int i = 1; i <= 3; i++) {
		assert_false(c->second_master.seen && i <= 2);
		q.address++;
		r = ask(l, k, &q);
		assert_right(&r, &q);
		d.go = true;
		while (d.told < i) /* a live loop hears it in the meantime */
			assert_int_equal(loop_turn(l, now_read().boot_us + US_PER_MS, &e), 0);
	}
	q.address++;
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_true(c->second_master.seen);
	assert_int_equal(c->second_master.requests, 3);
	assert_int_equal(c->second_master.answers, 3);
	assert_int_equal(c->foreign_frames, 6);
	assert_int_equal(c->garbled, 0);
	assert_string_equal(bus_second_master_words(&c->second_master, words),
			    "another master asks unit 9, function 3: 3 questions, 3 answers heard");
	d.go = true;
	end(l, &d, k);
}

/* Instead of an answer, what another master is told. */
static void answers_of_a_stranger(struct device *d, int nth, const struct bus_request *q)
{
	struct bus_request theirs = read_holding(7, 40, 3);

	if (nth % 2 == 0)
		answer_rightly(d, nth, &theirs);
	else
		answer_rightly(d, nth, q);
}

static void answers_of_units_that_nobody_asked_are_evidence_of_another_master(void **state)
{
	struct bus_request q = read_holding(1, 10, 2);
	const struct bus_counters *c;
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;

	(void)state;
	k = begin(l, &d, answers_of_a_stranger, 1);
	c = bus_link_counters(k);
	for (int i = 0; i < 6; i++) {
		struct bus_reply r = ask(l, k, &q);

		assert_true(r.outcome == BUS_OK || r.outcome == BUS_GARBLED);
		assert_int_equal(c->second_master.seen, c->second_master.answers >= 3);
	}
	assert_true(c->second_master.seen);
	assert_int_equal(c->second_master.unit, 7);
	assert_int_equal(c->second_master.requests, 0);
	end(l, &d, k);
}

static void noise_after(struct device *d, int nth, const struct bus_request *q)
{
	answer_rightly(d, nth, q);
	if (nth == 0) {
		while (!d->go)
			usleep(500);
		say(d, "\1\2\3\4\5\6\7\10\11\12\13\14", 12);
		d->told++;
	}
}

static void noise_between_the_questions_is_counted_and_is_no_master(void **state)
{
	struct bus_request q = read_holding(1, 10, 2);
	const struct bus_counters *c;
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, noise_after, 1);
	c = bus_link_counters(k);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	d.go = true;
	while (!d.told)
		usleep(500);
	q.address++;
	r = ask(l, k, &q);
	assert_right(&r, &q);
	assert_int_equal(c->noise_bytes, 12);
	assert_int_equal(c->second_master.requests + c->second_master.answers + c->foreign_frames, 0);
	end(l, &d, k);
}

static void echo(struct device *d, int nth, const struct bus_request *q)
{
	say_frame(d, q);
	answer_rightly(d, nth, q);
}

static void an_adapter_that_echoes_is_named_and_is_no_second_master(void **state)
{
	struct bus_request q = read_holding(1, 1000, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;

	(void)state;
	k = begin(l, &d, echo, 1);
	for (int i = 0; i < 4; i++) {
		struct bus_reply r = ask_for(l, k, &q, 50);

		assert_outcome(&r, BUS_GARBLED);
		assert_non_null(strstr(r.why, "echoes"));
	}
	assert_false(bus_link_counters(k)->second_master.seen);
	end(l, &d, k);
}

static void mute(struct device *d, int nth, const struct bus_request *q)
{
	if (nth > 0)
		answer_rightly(d, nth, q);
}

static void a_question_after_one_without_an_answer_is_a_retry(void **state)
{
	struct bus_request q = read_holding(1, 10, 2), other = read_holding(2, 10, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;

	(void)state;
	k = begin(l, &d, mute, 1);
	(void)ask_for(l, k, &q, 20);
	(void)ask(l, k, &other);
	assert_int_equal(bus_link_counters(k)->retries, 0);
	(void)ask(l, k, &q);
	(void)ask(l, k, &q);
	assert_int_equal(bus_link_counters(k)->retries, 1);
	end(l, &d, k);
}

/* ---- the line ---------------------------------------------------------------------------------------------------- */

static void a_line_in_use_is_refused_and_its_user_named(void **state)
{
	struct loop *l = new_loop();
	struct bus_address a;
	struct device d;
	struct bus_link *k, *other;
	char me[60];
	struct err e;

	(void)state;
	k = begin(l, &d, answer_rightly, 1);
	a = address_of(d.path);
	assert_int_equal(bus_link_new(l, &a, NULL, &other, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	snprintf(me, sizeof me, "is in use by %.15s (pid %d)", program_invocation_short_name, (int)getpid());
	if (!strstr(e.text, me))
		fail_msg("%s", e.text);
	bus_link_free(k);
	assert_int_equal(bus_link_new(l, &a, NULL, &other, &e), 0);
	bus_link_free(other);
	device_stop(&d);
	loop_free(l);
}

static void a_line_that_is_not_there_is_unreachable_until_it_comes(void **state)
{
	struct bus_request q = read_holding(1, 10, 4);
	char dir[] = "/tmp/psec-test-XXXXXX", path[64];
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/line", dir);
	device_start(&d, answer_rightly);
	k = link_to(l, path, 1);
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_UNREACHABLE);
	assert_non_null(strstr(r.why, "No such file"));
	assert_int_equal(symlink("/dev/null", path), 0);
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_UNREACHABLE);
	assert_non_null(strstr(r.why, "is not a serial line"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(d.path, path), 0);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	bus_link_free(k);
	device_stop(&d);
	unlink(path);
	rmdir(dir);
	loop_free(l);
}

static void a_line_that_has_gone_is_unreachable(void **state)
{
	struct bus_request q = read_holding(1, 10, 4);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;
	struct bus_reply r;

	(void)state;
	k = begin(l, &d, answer_rightly, 1);
	r = ask(l, k, &q);
	assert_right(&r, &q);
	device_stop(&d);
	r = ask(l, k, &q);
	assert_outcome(&r, BUS_UNREACHABLE);
	bus_link_free(k);
	loop_free(l);
}

static void a_line_freed_with_a_question_open_never_calls(void **state)
{
	struct bus_request q = read_holding(1, 10, 4);
	struct loop *l = new_loop();
	struct asked a = {0};
	struct device d;
	struct err e;

	(void)state;
	device_start(&d, mute);
	for (int i = 0; i < 3; i++) {
		struct bus_link *k = link_to(l, d.path, 1);

		assert_int_equal(bus_link_ask(k, &q, 600000, ask_note, &a, &e), 0);
		assert_int_equal(bus_link_ask(k, &q, 0, ask_note, &a, &e), -1);
		assert_int_equal(e.kind, ERR_AGAIN);
		bus_link_free(k);
		assert_int_equal(loop_turn(l, 0, &e), 0);
	}
	assert_int_equal(a.calls, 0);
	device_stop(&d);
	loop_free(l);
}

/* ---- the gateway --------------------------------------------------------------------------------------------- */

static void answer_and_hang_up(struct device *d, int nth, const struct bus_request *q)
{
	answer_rightly(d, nth, q);
	shutdown(d->master, SHUT_RDWR);
	d->hung_up++;
}

static void a_gateway_that_hangs_up_between_questions_is_connected_anew(void **state)
{
	struct bus_request q = read_holding(1, 10, 2);
	struct loop *l = new_loop();
	struct asked a = {0};
	struct device d;
	struct bus_link *k;
	struct err e;

	(void)state;
	k = begin(l, &d, answer_and_hang_up, 1);
	for (int i = 1; i <= 3; i++) {
		struct bus_reply r = ask(l, k, &q);

		assert_right(&r, &q);
		assert_int_equal(bus_link_counters(k)->connects, i);
		q.address++;
		while (d.hung_up < i) /* or the next question would meet the end of the connection on its way */
			sched_yield();
	}
	assert_int_equal(bus_link_ask_on(k, 3, &q, 0, ask_note, &a, &e), 0);
	while (!a.calls)
		turn(l);
	assert_outcome(&a.reply, BUS_CANCELLED);
	assert_int_equal(d.questions, 3);
	end(l, &d, k);
}

static void a_gateway_where_nobody_listens_is_unreachable(void **state)
{
	struct bus_request q = read_holding(1, 10, 2);
	struct loop *l = new_loop();
	struct device d;
	struct bus_link *k;

	(void)state;
	device_start(&d, answer_rightly);
	device_stop(&d);
	k = link_to(l, d.path, 1);
	for (int i = 0; i < 2; i++) {
		struct bus_reply r = ask(l, k, &q);

		assert_outcome(&r, BUS_UNREACHABLE);
		assert_non_null(strstr(r.why, "refused"));
	}
	bus_link_free(k);
	loop_free(l);
}

int main(void)
{
	static const struct CMUnitTest both[] = {
		cmocka_unit_test(every_function_goes_over_a_serial_line),
		cmocka_unit_test(the_reply_to_the_previous_question_is_never_a_value),
		cmocka_unit_test(a_device_always_one_answer_behind_gives_no_value_at_all),
		cmocka_unit_test(the_acknowledgement_of_the_previous_write_is_never_that_of_this_one),
		cmocka_unit_test(the_late_answer_of_one_unit_does_not_disturb_the_next_unit),
		cmocka_unit_test(a_late_answer_heard_in_the_silence_needs_no_probe),
		cmocka_unit_test(a_device_slower_than_the_patience_never_gives_a_wrong_value),
		cmocka_unit_test(a_slow_device_that_refuses_every_probe_never_gives_a_wrong_value),
		cmocka_unit_test(the_answer_to_a_process_that_died_is_not_taken_by_its_successor),
		cmocka_unit_test(a_byte_at_a_time_does_not_extend_the_patience),
		cmocka_unit_test(a_line_that_never_falls_silent_is_said_to_be_and_used_when_it_does),
		cmocka_unit_test(a_line_freed_with_a_question_open_never_calls),
		cmocka_unit_test(another_master_is_seen_and_its_values_are_nobodys),
		cmocka_unit_test(answers_of_units_that_nobody_asked_are_evidence_of_another_master),
		cmocka_unit_test(noise_between_the_questions_is_counted_and_is_no_master),
		cmocka_unit_test(an_adapter_that_echoes_is_named_and_is_no_second_master),
		cmocka_unit_test(a_question_after_one_without_an_answer_is_a_retry),
	};
	static const struct CMUnitTest line[] = {
		cmocka_unit_test(a_line_in_use_is_refused_and_its_user_named),
		cmocka_unit_test(a_line_that_is_not_there_is_unreachable_until_it_comes),
		cmocka_unit_test(a_line_that_has_gone_is_unreachable),
	};
	static const struct CMUnitTest gateway[] = {
		cmocka_unit_test(a_gateway_that_hangs_up_between_questions_is_connected_anew),
		cmocka_unit_test(a_gateway_where_nobody_listens_is_unreachable),
	};
	int failed = cmocka_run_group_tests_name("a line", line, NULL, NULL);

	failed += run_with_lies(lies, COUNT_OF(lies), a_lie_is_found_and_does_no_harm_to_the_next, both, COUNT_OF(both));
	over_gateway = true;
	failed += cmocka_run_group_tests_name("a gateway", gateway, NULL, NULL);
	failed += run_with_lies(lies, COUNT_OF(lies), a_lie_is_found_and_does_no_harm_to_the_next, both, COUNT_OF(both));
	return failed;
}
