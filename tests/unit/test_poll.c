/* Polling and the guarded write against a server in the same loop that can be silent, deaf, gone, or another device. */
#include <arpa/inet.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "poll/poll.h"
#include "own_profiles.h"
#include "unit.h"

enum { POWER = 10, SOC = 100, TEMPERATURE = 200, SERIAL = 300, MODE = 500, SETPOINT = 501 };

static const char profile_text[] =
	"psec-profile: 1\nid: own\nmake: M\nmodel: N\nsource: typed for this test\n"
	"timing: {poll: 20ms, answer: 150ms}\n"
	"identity: {serial: {function: 3, address: 300, type: text, count: 2}}\n"
	"points:\n"
	"  battery-inverter.power_w: {function: 3, address: 10, type: int16}\n"
	"  battery-inverter.setpoint_w: {function: 3, address: 501, type: int16}\n"
	"  bms.soc_percent: {function: 3, address: 100}\n"
	"  bms.temperature_c: {function: 3, address: 200}\n"
	"writes:\n"
	"  battery-inverter.setpoint_w:\n"
	"    - {function: 6, address: 500, constant: 2, when: changed}\n"
	"    - {function: 16, address: 501, type: int16}\n";

static const char plain_text[] = /* says nothing about itself: live with its first value */
	"psec-profile: 1\nid: plain\nmake: M\nmodel: P\nsource: typed for this test\n"
	"timing: {poll: 20ms, answer: 150ms}\n"
	"points:\n"
	"  battery-inverter.power_w: {function: 3, address: 10, type: int16}\n"
	"  battery-inverter.setpoint_w: {function: 3, address: 501, type: int16}\n"
	"writes:\n"
	"  battery-inverter.setpoint_w:\n"
	"    - {function: 16, address: 501, type: int16}\n";

/* ---- the server --------------------------------------------------------------------------------------------- */

struct server {
	struct loop *loop;
	int listen_fd, fd;
	struct loop_source *accept_source, *source;
	uint16_t port, regs[1024];
	uint8_t silent_unit;
	uint16_t refused;        /* address that gets exception 2 */
	uint16_t lose_write;     /* address whose writes are carried out and not answered */
	bool deaf, hold;
	uint8_t held[BUS_ADU_MAX];
	size_t held_len;
	uint64_t reads[1024], writes[1024], unit_reads[256], connections;
	uint16_t log[64];        /* addresses in order; writes with the top bit */
	size_t log_len;
	bool two_at_once;
};

static void answer(struct server *s, const uint8_t *adu, size_t len)
{
	uint8_t pdu[BUS_PDU_MAX], out[BUS_ADU_MAX];
	struct bus_request q;
	size_t n;

	assert_true(bus_pdu_parse_request(adu + BUS_MBAP_LEN, len - BUS_MBAP_LEN, &q));
	if (adu[6] == s->silent_unit)
		return;
	s->unit_reads[adu[6]]++;
	if (s->log_len < COUNT_OF(s->log))
		s->log[s->log_len++] = (uint16_t)(q.address | (q.function >= BUS_WRITE_REGISTER ? 0x8000 : 0));
	if (q.address == s->refused) {
		n = bus_pdu_encode_exception(q.function, 2, pdu);
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
	n = bus_mbap_frame((uint16_t)(adu[0] << 8 | adu[1]), adu[6], pdu, n, out);
	assert_int_equal(send(s->fd, out, n, MSG_NOSIGNAL), n);
}

static void hang_up(struct server *s)
{
	loop_remove(s->source);
	s->source = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->held_len = 0;
}

static void on_bytes(void *arg, int fd, unsigned events)
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
	if (s->hold) {
		memcpy(s->held, adu, (size_t)n);
		s->held_len = (size_t)n;
		return;
	}
	answer(s, adu, (size_t)n);
}

static void release(struct server *s)
{
	size_t n = s->held_len;

	s->hold = false;
	s->held_len = 0;
	if (n > 0)
		answer(s, s->held, n);
}

static void on_connection(void *arg, int fd, unsigned events)
{
	struct server *s = arg;
	struct err e;

	(void)events;
	hang_up(s);
	s->fd = accept(fd, NULL, NULL);
	s->connections++;
	assert_int_equal(loop_add_fd(s->loop, s->fd, LOOP_READ, on_bytes, s, &s->source, &e), 0);
}

static void server_stop(struct server *s)
{
	hang_up(s);
	loop_remove(s->accept_source);
	s->accept_source = NULL;
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->listen_fd = -1;
}

static void server_start(struct server *s)
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
	struct server server;
	struct device_catalogue *catalogue;
	struct site site;
	struct poll *poll;
	char said[8][200];       /* state changes: "0 lost: closed" */
	size_t said_count;
	struct { enum poll_written how; double value; char why[200]; int64_t sent_us; } written[8];
	size_t written_count;
	uint64_t updates;
	bool write_when_starting; /* as the law does, whom any device's change makes decide */
};

static int write_watts(struct bench *b, double watts, int64_t in_ms, struct err *e);

static void on_state(void *arg, int device, enum device_state s, const char *why)
{
	struct bench *b = arg;
	struct err e;

	if (b->said_count < COUNT_OF(b->said))
		snprintf(b->said[b->said_count++], sizeof b->said[0], "%d %s: %s", device, device_state_name(s), why);
	if (b->write_when_starting && s == DEVICE_STARTING && device == 1)
		assert_int_equal(write_watts(b, 700, 1000, &e), 0);
}

static void on_update(void *arg, int device)
{
	struct bench *b = arg;

	(void)device;
	b->updates++;
}

static void on_written(void *arg, int device, enum device_point point, double value, enum poll_written how,
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

static void add_device(struct bench *b, uint8_t unit)
{
	struct site_device *d = &b->site.devices[b->site.device_count++];

	snprintf(d->name, sizeof d->name, "unit-%u", unit);
	str_copy(d->profile, sizeof d->profile, "own");
	str_copy(d->address.host, sizeof d->address.host, "127.0.0.1");
	d->address.kind = BUS_TCP;
	d->address.port = b->server.port;
	d->address.unit = unit;
	d->address.has_unit = true;
	d->roles = 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS;
}

static struct bench *bench_new(void)
{
	struct bench *b = xcalloc(1, sizeof *b);
	struct said said;
	struct err e;

	b->catalogue = own_profiles((const char *const[]){ profile_text, plain_text, NULL }, 0600, &said);
	assert_string_equal(said.text, "");
	assert_int_equal(loop_new(&b->loop, &e), 0);
	b->server.loop = b->loop;
	b->server.fd = -1;
	b->server.refused = 0xFFFF;
	b->server.regs[POWER] = 1200;
	b->server.regs[SOC] = 55;
	b->server.regs[SERIAL] = 'A' << 8 | '1';
	server_start(&b->server);
	add_device(b, 1);
	return b;
}

static void bench_start(struct bench *b)
{
	const struct poll_hooks hooks = { on_update, on_state, b };
	struct err e;

	if (poll_new(b->loop, &b->site, b->catalogue, &hooks, &b->poll, &e) < 0)
		fail_msg("%s", e.text);
	poll_start(b->poll);
}

static void bench_free(struct bench *b)
{
	assert_false(b->server.two_at_once);
	poll_free(b->poll);
	server_stop(&b->server);
	loop_free(b->loop);
	device_catalogue_free(b->catalogue);
	free(b);
}

/* Turn the loop until that holds; far beyond any time that it may take. */
static uint64_t turns_made;

#define WAIT(b, that)                                                                      \
	do {                                                                               \
		int64_t until_ = now_read().boot_us + 20 * US_PER_S;                       \
		struct err e_;                                                             \
		while (!(that)) {                                                          \
			if (now_read().boot_us > until_)                                   \
				fail_msg("never came: " #that);                            \
			assert_int_equal(loop_turn((b)->loop, until_, &e_), 0);            \
			turns_made++;                                                      \
		}                                                                          \
	} while (0)

static bool is_live(const struct bench *b, int device)
{
	struct device_reading r;

	return poll_device_state(b->poll, device) == DEVICE_LIVE && poll_reading(b->poll, device, POINT_BATTERY_POWER_W, &r) &&
	       r.quality == DEVICE_GOOD;
}

static enum device_quality quality(const struct bench *b, enum device_point p)
{
	struct device_reading r;

	return poll_reading(b->poll, 0, p, &r) ? r.quality : DEVICE_UNKNOWN;
}

static int write_watts(struct bench *b, double watts, int64_t in_ms, struct err *e)
{
	return poll_write(b->poll, 0, POINT_BATTERY_SETPOINT_W, watts, POLL_CONTROL,
			  loop_now(b->loop)->boot_us + in_ms * US_PER_MS, on_written, b, e);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static void a_device_comes_alive_identity_first_and_then_control_inputs(void **state)
{
	struct bench *b = bench_new();
	struct device_reading r;
	int64_t before = now_read().boot_us;

	(void)state;
	bench_start(b);
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_STARTING);
	WAIT(b, is_live(b, 0) && quality(b, POINT_BMS_TEMPERATURE_C) == DEVICE_GOOD);
	assert_true(poll_reading(b->poll, 0, POINT_BATTERY_POWER_W, &r));
	assert_float_equal(r.value, 1200, 0);
	assert_true(r.at_boot_us > before && r.at_boot_us < now_read().boot_us);
	assert_int_equal(b->server.log[0], SERIAL);
	assert_true(b->server.log[1] == POWER || b->server.log[1] == SOC);
	assert_string_equal(device_map_identity(poll_device_map(b->poll, 0))->serial, "A1");
	assert_string_equal(b->said[0], "0 starting: ");
	assert_string_equal(b->said[1], "0 live: ");
	assert_int_equal(b->said_count, 2);
	bench_free(b);
}

static void fast_points_are_read_more_often_than_slow_ones(void **state)
{
	struct bench *b = bench_new();
	struct poll_stats stats;

	(void)state;
	bench_start(b);
	WAIT(b, b->server.reads[POWER] >= 20);
	assert_true(b->server.reads[SOC] >= 1 && b->server.reads[SOC] < b->server.reads[POWER] / 4);
	assert_int_equal(b->server.reads[TEMPERATURE], 1);
	assert_int_equal(b->server.reads[SERIAL], 1);
	poll_device_stats(b->poll, 0, &stats);
	assert_true(stats.reads >= 20 && stats.connects == 1 && stats.timeouts == 0);
	bench_free(b);
}

static void a_silent_unit_costs_its_neighbour_at_most_its_answer_time_a_try(void **state)
{
	struct bench *b = bench_new();
	uint64_t before;
	struct poll_stats stats;

	(void)state;
	add_device(b, 2);
	b->server.silent_unit = 2;
	bench_start(b);
	WAIT(b, is_live(b, 0) && poll_device_state(b->poll, 1) == DEVICE_LOST);
	assert_non_null(strstr(poll_device_why(b->poll, 1), "timeout"));
	before = b->server.reads[POWER];
	poll_device_stats(b->poll, 1, &stats);
	assert_int_equal(stats.timeouts, 1); /* one try, then its pause */
	WAIT(b, b->server.reads[POWER] >= before + 20);
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_LIVE);
	poll_device_stats(b->poll, 0, &stats);
	assert_int_equal(stats.timeouts, 0);
	b->server.silent_unit = 0;
	WAIT(b, is_live(b, 1));
	bench_free(b);
}

static void a_vanished_device_is_lost_with_its_values_and_comes_back(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	server_stop(&b->server);
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_UNKNOWN);
	assert_int_equal(quality(b, POINT_BMS_SOC_PERCENT), DEVICE_UNKNOWN);
	assert_true(poll_device_why(b->poll, 0)[0] != '\0');
	server_start(&b->server);
	WAIT(b, is_live(b, 0));
	bench_free(b);
}

static void behind_a_new_connection_may_be_another_device(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.regs[SERIAL] = 'B' << 8 | '2';
	hang_up(&b->server);
	WAIT(b, b->said_count == 3);
	assert_string_equal(b->said[2], "0 live: serial B2 instead of A1");
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_UNKNOWN); /* nothing of the other one counts */
	WAIT(b, is_live(b, 0));
	bench_free(b);
}

static void a_refused_side_value_says_why_and_the_device_lives(void **state)
{
	struct bench *b = bench_new();
	struct device_reading r;

	(void)state;
	b->server.refused = TEMPERATURE;
	bench_start(b);
	WAIT(b, b->server.reads[POWER] >= 10);
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_LIVE);
	assert_true(poll_reading(b->poll, 0, POINT_BMS_TEMPERATURE_C, &r));
	assert_int_equal(r.quality, DEVICE_UNKNOWN);
	assert_string_equal(r.why, "exception 2: illegal data address");
	bench_free(b);
}

static void without_a_required_value_a_device_is_lost(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.refused = POWER;
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_string_equal(poll_device_why(b->poll, 0), "exception 2: illegal data address");
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_UNKNOWN);
	bench_free(b);
}

static void an_idle_poller_has_no_wake_up_without_a_cause(void **state)
{
	struct bench *b = bench_new();
	uint64_t turns, reads;

	(void)state;
	bench_start(b);
	WAIT(b, b->server.reads[POWER] >= 5 && quality(b, POINT_BMS_TEMPERATURE_C) == DEVICE_GOOD);
	turns = turns_made;
	reads = b->server.unit_reads[1];
	WAIT(b, b->server.unit_reads[1] >= reads + 30);
	/* a timer, the question at the server, the answer at the client: three a read */
	assert_true(turns_made - turns <= 3 * (b->server.unit_reads[1] - reads) + 6);
	bench_free(b);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static void a_write_leaves_at_once_and_is_read_back(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.log_len = 0;
	assert_int_equal(write_watts(b, -700, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_SHOWN);
	assert_true(b->written[0].sent_us > 0);
	assert_int_equal((int16_t)b->server.regs[SETPOINT], -700);
	assert_int_equal(b->server.regs[MODE], 2);
	/* after what was in flight: mode looked at, written, shown; value written, shown; no read in between */
	for (size_t i = 0; i < b->server.log_len; i++)
		if (b->server.log[i] == MODE) {
			assert_int_equal(b->server.log[i + 1], MODE | 0x8000);
			assert_int_equal(b->server.log[i + 2], MODE);
			assert_int_equal(b->server.log[i + 3], SETPOINT | 0x8000);
			assert_int_equal(b->server.log[i + 4], SETPOINT);
			break;
		}
	bench_free(b);
}

static void a_mode_that_is_already_set_is_not_written_again(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write_watts(b, 100 * i, 1000, &e), 0);
		WAIT(b, b->written_count == (size_t)i + 1);
	}
	assert_int_equal(b->server.writes[MODE], 1);
	assert_int_equal(b->server.writes[SETPOINT], 3);
	bench_free(b);
}

static void a_newer_value_replaces_the_one_that_waits(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	assert_int_equal(write_watts(b, 200, 1000, &e), 0);
	assert_int_equal(write_watts(b, 300, 1000, &e), 0);
	assert_int_equal(b->written_count, 2);
	assert_int_equal(b->written[0].how, POLL_REPLACED);
	assert_int_equal(b->written[1].how, POLL_REPLACED);
	release(&b->server);
	WAIT(b, b->written_count == 3);
	assert_int_equal(b->written[2].how, POLL_SHOWN);
	assert_float_equal(b->written[2].value, 300, 0);
	assert_int_equal(b->server.regs[SETPOINT], 300);
	assert_int_equal(b->server.writes[SETPOINT], 1);
	bench_free(b);
}

static void a_write_that_could_not_leave_in_time_never_leaves(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	assert_int_equal(write_watts(b, 100, 0, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	assert_int_equal(write_watts(b, 100, 20, &e), 0);
	while (now_read().boot_us < loop_now(b->loop)->boot_us + 25 * US_PER_MS)
		usleep(1000); /* the device takes its time: the deadline passes while its answer is awaited */
	release(&b->server);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_EXPIRED);
	assert_int_equal(b->server.writes[SETPOINT] + b->server.writes[MODE], 0);
	bench_free(b);
}

static void a_deaf_device_is_found_out(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.regs[MODE] = 2;
	b->server.deaf = true;
	assert_int_equal(write_watts(b, 4000, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_NOT_SHOWN);
	assert_string_equal(b->written[0].why, "register 501 reads 0 instead of 4000");
	assert_int_equal(b->server.writes[MODE], 0);
	bench_free(b);
}

static void a_refused_write_has_failed_and_says_why(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.refused = MODE;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_FAILED);
	assert_string_equal(b->written[0].why, "exception 2: illegal data address");
	assert_int_equal(b->server.writes[SETPOINT], 0); /* no value into a mode that is not known */
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_LIVE);
	bench_free(b);
}

static void what_waits_when_the_device_goes_has_failed(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	assert_int_equal(write_watts(b, 100, 10000, &e), 0);
	server_stop(&b->server);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_FAILED);
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_int_equal(write_watts(b, 100, 10000, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	bench_free(b);
}

static void a_write_whose_answer_is_lost_says_that_it_left(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	b->server.lose_write = SETPOINT;
	assert_int_equal(write_watts(b, 200, 1000, &e), 0);
	WAIT(b, b->written_count == 2);
	assert_int_equal(b->written[1].how, POLL_FAILED);
	assert_int_equal(b->server.regs[SETPOINT], 200);
	assert_true(b->written[1].sent_us > 0);
	b->server.lose_write = 0;
	b->server.refused = SETPOINT;
	WAIT(b, is_live(b, 0));
	assert_int_equal(write_watts(b, 300, 1000, &e), 0);
	WAIT(b, b->written_count == 3);
	assert_int_equal(b->written[2].how, POLL_FAILED);
	assert_int_equal(b->written[2].sent_us, 0); /* the device said no: it does not stand */
	bench_free(b);
}

static void a_write_that_is_asked_for_while_a_neighbour_starts_does_not_cost_the_neighbour(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	add_device(b, 2);
	str_copy(b->site.devices[0].profile, sizeof b->site.devices[0].profile, "plain");
	b->site.devices[0].roles = 1u << SITE_BATTERY_INVERTER;
	str_copy(b->site.devices[1].profile, sizeof b->site.devices[1].profile, "sunspec-bms");
	b->site.devices[1].roles = 1u << SITE_BMS;
	b->server.silent_unit = 2;
	b->write_when_starting = true;
	bench_start(b);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_SHOWN);
	WAIT(b, poll_device_state(b->poll, 1) == DEVICE_LOST);
	assert_true(str_starts(poll_device_why(b->poll, 1), "timeout")); /* it was asked, not refused the line */
	bench_free(b);
}

static void what_may_not_be_written_is_refused(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	assert_int_equal(write_watts(b, 100, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	WAIT(b, is_live(b, 0));
	assert_int_equal(write_watts(b, NAN, 1000, &e), -1);
	assert_int_equal(write_watts(b, 40000, 1000, &e), -1); /* no int16 */
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(poll_write(b->poll, 0, POINT_BATTERY_POWER_W, 1, POLL_TEST, INT64_MAX, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_comes_alive_identity_first_and_then_control_inputs),
		cmocka_unit_test(fast_points_are_read_more_often_than_slow_ones),
		cmocka_unit_test(a_silent_unit_costs_its_neighbour_at_most_its_answer_time_a_try),
		cmocka_unit_test(a_vanished_device_is_lost_with_its_values_and_comes_back),
		cmocka_unit_test(behind_a_new_connection_may_be_another_device),
		cmocka_unit_test(a_refused_side_value_says_why_and_the_device_lives),
		cmocka_unit_test(without_a_required_value_a_device_is_lost),
		cmocka_unit_test(an_idle_poller_has_no_wake_up_without_a_cause),
		cmocka_unit_test(a_write_leaves_at_once_and_is_read_back),
		cmocka_unit_test(a_mode_that_is_already_set_is_not_written_again),
		cmocka_unit_test(a_newer_value_replaces_the_one_that_waits),
		cmocka_unit_test(a_write_that_could_not_leave_in_time_never_leaves),
		cmocka_unit_test(a_deaf_device_is_found_out),
		cmocka_unit_test(a_refused_write_has_failed_and_says_why),
		cmocka_unit_test(what_waits_when_the_device_goes_has_failed),
		cmocka_unit_test(a_write_whose_answer_is_lost_says_that_it_left),
		cmocka_unit_test(a_write_that_is_asked_for_while_a_neighbour_starts_does_not_cost_the_neighbour),
		cmocka_unit_test(what_may_not_be_written_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
