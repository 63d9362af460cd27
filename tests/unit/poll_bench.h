/* poll_bench.h: a poller and the devices that it polls in one loop, on a clock of the test's own: a turn of the loop is 100 µs,
 * however long it takes, so that a minute is waited for in a second and nothing depends on the machine. The servers can be
 * silent, deaf, slow, gone, or another device. */
#ifndef PSEC_TESTS_POLL_BENCH_H
#define PSEC_TESTS_POLL_BENCH_H

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own_profiles.h"
#include "poll/poll.h"
#include "unit.h"

/* ---- the clock: the linker puts it in the place of now_read ---- */

enum { TURN_US = 100 };
static int64_t clock_us = 1000 * US_PER_S;
static bool clock_is_real; /* for what only a loop that waits can show */
struct now __wrap_now_read(void);
struct now __real_now_read(void);
struct now __wrap_now_read(void)
{
	if (clock_is_real)
		return __real_now_read();
	return (struct now){ .boot_us = clock_us, .utc_us = clock_us, .utc_valid = true };
}

enum { POWER = 10, SOC = 100, TEMPERATURE = 200, SERIAL = 300, MODE = 500, SETPOINT = 501 };

static const char profile_text[] =
	"psec-profile: 1\nid: own\nmake: M\nmodel: N\nsource: typed for this test\n"
	"timing: {poll: 20ms, answer: 400ms}\n"
	"identity: {serial: {function: 3, address: 300, type: text, count: 2}}\n"
	"points:\n"
	"  battery-inverter.power_w: {function: 3, address: 10, type: int16}\n"
	"  battery-inverter.setpoint_w: {function: 3, address: 501, type: int16}\n"
	"  bms.soc_percent: {function: 3, address: 100}\n"
	"  bms.temperature_c: {function: 3, address: 200}\n"
	"writes:\n"
	"  battery-inverter.setpoint_w:\n"
	"    - {function: 6, address: 500, constant: 2, when: changed}\n"
	"    - {function: 16, address: 501, type: int16}\n"
	"ranges: {battery-inverter.setpoint_w: {min: -30000, max: 30000}}\n";

static const char plain_text[] = /* says nothing about itself: live with its first value */
	"psec-profile: 1\nid: plain\nmake: M\nmodel: P\nsource: typed for this test\n"
	"timing: {poll: 20ms, answer: 400ms}\n"
	"points:\n"
	"  battery-inverter.power_w: {function: 3, address: 10, type: int16}\n"
	"  battery-inverter.setpoint_w: {function: 3, address: 501, type: int16}\n"
	"writes:\n"
	"  battery-inverter.setpoint_w:\n"
	"    - {function: 16, address: 501, type: int16}\n"
	"ranges: {battery-inverter.setpoint_w: {min: -30000, max: 30000}}\n";

/* ---- the server --------------------------------------------------------------------------------------------- */

struct server {
	struct loop *loop;
	int listen_fd, fd;
	struct loop_source *accept_source, *source;
	uint16_t port, regs[1024];
	bool silent;
	uint8_t silent_unit, only_unit; /* only_unit: all others are silent */
	uint8_t answers_as;      /* this unit, whoever was asked */
	uint16_t refused;        /* address that gets this exception: */
	uint8_t exception;
	uint16_t lose_write;     /* address whose writes are carried out and not answered */
	bool deaf, hold;         /* hold: what comes is answered with server_release */
	int64_t takes_us;        /* to answer */
	bool ends;               /* the connection after every answer */
	uint8_t held[BUS_ADU_MAX];
	size_t held_len;
	int64_t held_until_us;
	uint64_t reads[1024], writes[1024], unit_reads[256], connections;
	struct { uint16_t what; int64_t at_us; } log[4096]; /* addresses in order; writes with the top bit */
	size_t log_len;
	bool two_at_once;
};

static inline void hang_up(struct server *s)
{
	loop_remove(s->source);
	s->source = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->held_len = 0;
}

static inline void answer(struct server *s, const uint8_t *adu)
{
	uint8_t pdu[BUS_PDU_MAX], out[BUS_ADU_MAX];
	struct bus_request q;
	size_t n;

	assert_true(bus_pdu_parse_request(adu + BUS_MBAP_LEN, (size_t)adu[5] - 1, &q));
	if (s->silent || adu[6] == s->silent_unit || (s->only_unit && adu[6] != s->only_unit))
		return;
	s->unit_reads[adu[6]]++;
	if (q.address == s->refused) {
		n = bus_pdu_encode_exception(q.function, s->exception, pdu);
	} else if (q.function >= BUS_WRITE_REGISTER) {
		s->writes[q.address]++;
		for (uint16_t i = 0; i < q.count && !s->deaf; i++)
			s->regs[q.address + i] = q.values[i];
		if (q.address == s->lose_write && s->lose_write)
			return;
		n = bus_pdu_encode_reply(&q, q.values, pdu);
	} else {
		s->reads[q.address]++;
		n = bus_pdu_encode_reply(&q, &s->regs[q.address], pdu);
	}
	n = bus_mbap_frame((uint16_t)(adu[0] << 8 | adu[1]), s->answers_as ? s->answers_as : adu[6], pdu,
			   n, out);
	assert_int_equal(send(s->fd, out, n, MSG_NOSIGNAL), n);
	if (s->ends)
		hang_up(s);
}

static inline void asked(struct server *s, const uint8_t *adu)
{
	uint16_t address = (uint16_t)(adu[8] << 8 | adu[9]);

	if (s->log_len < COUNT_OF(s->log)) {
		s->log[s->log_len].what = (uint16_t)(address | (adu[7] >= BUS_WRITE_REGISTER ? 0x8000 : 0));
		s->log[s->log_len++].at_us = clock_us;
	}
}

/* How often in the log: an address, or one with the top bit for its writes. */
static inline size_t logged(const struct server *s, uint16_t what)
{
	size_t n = 0;

	for (size_t i = 0; i < s->log_len; i++)
		n += s->log[i].what == what;
	return n;
}

static inline void on_bytes(void *arg, int fd, unsigned events)
{
	struct server *s = arg;
	uint8_t adu[2 * BUS_ADU_MAX];
	ssize_t n = recv(fd, adu, sizeof adu, 0);

	(void)events;
	if (n <= 0) {
		hang_up(s);
		return;
	}
	s->two_at_once |= s->held_len > 0 || n != 6 + adu[5];
	asked(s, adu);
	if (s->hold || s->takes_us > 0) {
		memcpy(s->held, adu, (size_t)n);
		s->held_len = (size_t)n;
		s->held_until_us = clock_us + s->takes_us;
		return;
	}
	answer(s, adu);
}

static inline void server_release(struct server *s)
{
	size_t n = s->held_len;

	s->hold = false;
	s->held_len = 0;
	if (n > 0)
		answer(s, s->held);
}

static inline void on_connection(void *arg, int fd, unsigned events)
{
	struct server *s = arg;
	struct err e;

	(void)events;
	hang_up(s);
	s->fd = accept(fd, NULL, NULL);
	s->connections++;
	assert_int_equal(loop_add_fd(s->loop, s->fd, LOOP_READ, on_bytes, s, &s->source, &e), 0);
}

static inline void server_stop(struct server *s)
{
	hang_up(s);
	loop_remove(s->accept_source);
	s->accept_source = NULL;
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->listen_fd = -1;
}

static inline void server_init(struct server *s, struct loop *l)
{
	*s = (struct server){ .loop = l, .listen_fd = -1, .fd = -1, .refused = 0xFFFF, .exception = 2 };
	s->regs[POWER] = 1200;
	s->regs[SOC] = 55;
	s->regs[SERIAL] = 'A' << 8 | '1';
}

static inline void server_start(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(s->port) };
	socklen_t len = sizeof a;
	int one = 1;
	struct err e;

	s->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->listen_fd, 8), 0);
	assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(loop_add_fd(s->loop, s->listen_fd, LOOP_READ, on_connection, s, &s->accept_source, &e), 0);
}

/* ---- the bench ---------------------------------------------------------------------------------------------- */

struct bench {
	struct loop *loop;
	struct server server, other; /* other: used when a test starts it */
	struct device_catalogue *catalogue;
	struct site site;
	struct poll *poll;
	char said[8][200];       /* state changes: "0 lost: closed" */
	size_t said_count;
	struct { enum poll_written how; double value; char why[200]; int64_t sent_us; } written[8];
	size_t written_count;
	uint64_t updates, turns;
	int64_t turn_us;         /* what a turn of the loop takes on our clock */
	bool write_when_starting; /* as the law does, whom any device's change makes decide */
};

static inline int write_watts(struct bench *b, double watts, int64_t in_ms, struct err *e);

static inline void on_state(void *arg, int device, enum device_state s, const char *why)
{
	struct bench *b = arg;
	struct err e;

	if (b->said_count < COUNT_OF(b->said))
		snprintf(b->said[b->said_count++], sizeof b->said[0], "%d %s: %s", device, device_state_name(s), why);
	if (b->write_when_starting && s == DEVICE_STARTING && device == 1)
		assert_int_equal(write_watts(b, 700, 1000, &e), 0);
}

static inline void on_update(void *arg, int device)
{
	struct bench *b = arg;

	(void)device;
	b->updates++;
}

static inline void on_written(void *arg, int device, enum device_point point, double value, enum poll_written how,
		       const char *why, int64_t sent_boot_us)
{
	struct bench *b = arg;

	(void)device;
	assert_int_equal(point, POINT_BATTERY_SETPOINT_W);
	assert_true(b->written_count < COUNT_OF(b->written));
	b->written[b->written_count].how = how;
	b->written[b->written_count].value = value;
	b->written[b->written_count].sent_us = sent_boot_us;
	str_copy(b->written[b->written_count++].why, sizeof b->written[0].why, why);
}

static inline void add_device(struct bench *b, uint8_t unit, uint16_t port)
{
	struct site_device *d = &b->site.devices[b->site.device_count++];

	snprintf(d->name, sizeof d->name, "unit-%u", unit);
	str_copy(d->profile, sizeof d->profile, "own");
	str_copy(d->address.host, sizeof d->address.host, "127.0.0.1");
	d->address.kind = BUS_TCP;
	d->address.port = port;
	d->address.unit = unit;
	d->address.has_unit = true;
	d->roles = 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS;
}

static inline struct bench *bench_new(void)
{
	struct bench *b = xcalloc(1, sizeof *b);
	struct said said;
	struct err e;

	b->catalogue = own_profiles((const char *const[]){ profile_text, plain_text, NULL }, 0600, &said);
	assert_string_equal(said.text, "");
	assert_int_equal(loop_new(&b->loop, &e), 0);
	b->turn_us = TURN_US;
	server_init(&b->server, b->loop);
	server_init(&b->other, b->loop);
	server_start(&b->server);
	add_device(b, 1, b->server.port);
	return b;
}

static inline void bench_start(struct bench *b)
{
	const struct poll_hooks hooks = { on_update, on_state, b };
	struct err e;

	if (poll_new(b->loop, &b->site, b->catalogue, &hooks, &b->poll, &e) < 0)
		fail_msg("%s", e.text);
	poll_start(b->poll);
}

static inline void bench_free(struct bench *b)
{
	assert_false(b->server.two_at_once);
	poll_free(b->poll);
	server_stop(&b->server);
	server_stop(&b->other);
	loop_free(b->loop);
	device_catalogue_free(b->catalogue);
	free(b);
}

static inline void bench_turn(struct bench *b)
{
	struct server *const all[] = { &b->server, &b->other };
	struct err e;

	b->turns++;
	clock_us = clock_is_real ? now_read().boot_us : clock_us + b->turn_us;
	assert_int_equal(loop_turn(b->loop, clock_is_real ? clock_us + US_PER_S : 0, &e), 0);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (all[i]->held_len > 0 && !all[i]->hold && clock_us >= all[i]->held_until_us)
			server_release(all[i]);
}

static inline void bench_run(struct bench *b, int64_t ms)
{
	for (int64_t until_us = clock_us + ms * US_PER_MS; clock_us < until_us;)
		bench_turn(b);
}

/* Turn the loop until that holds; far beyond any time that it may take. */
#define WAIT(b, that)                                                                      \
	do {                                                                               \
		int64_t until_ = clock_us + 100 * US_PER_S;                                \
		while (!(that)) {                                                          \
			if (clock_us > until_)                                             \
				fail_msg("never came: " #that);                            \
			bench_turn(b);                                                     \
		}                                                                          \
	} while (0)

static inline bool is_live(const struct bench *b, int device)
{
	struct device_reading r;

	return poll_device_state(b->poll, device) == DEVICE_LIVE && poll_reading(b->poll, device, POINT_BATTERY_POWER_W, &r) &&
	       r.quality == DEVICE_GOOD;
}

/* A bench as it comes, its device live. */
static inline struct bench *bench_live(void)
{
	struct bench *b = bench_new();

	bench_start(b);
	WAIT(b, is_live(b, 0));
	return b;
}

static inline enum device_quality quality(const struct bench *b, enum device_point p)
{
	struct device_reading r;

	return poll_reading(b->poll, 0, p, &r) ? r.quality : DEVICE_UNKNOWN;
}

static inline int write_watts(struct bench *b, double watts, int64_t in_ms, struct err *e)
{
	return poll_write(b->poll, 0, POINT_BATTERY_SETPOINT_W, watts, POLL_CONTROL,
			  loop_now(b->loop)->boot_us + in_ms * US_PER_MS, on_written, b, e);
}

#endif
