/* The simulated site over real sockets: registers, signs, writes and faults, asked in raw frames so that nothing of
 * psec's reading side can share a mistake with it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/inside.h"
#include "unit.h"

#define assert_near(a, b, by) do { double a_ = (a), b_ = (b); \
	if (!(fabs(a_ - b_) <= (by))) fail_msg("%s is %.9g, expected %.9g ± %g", #a, a_, b_, (double)(by)); } while (0)

struct site {
	struct loop *loop;
	struct sim *sim;
	int fd[SIM_KIND_COUNT];
	uint16_t transaction;
};

static struct series sunny;

static int setup(void **state)
{
	static double load[2] = { 800, 800 }, pv[2] = { 3000, 3000 };
	struct site *s = xcalloc(1, sizeof *s);
	struct sim_options o;
	struct err e = { 0 };

	sunny = (struct series){ .count = 2, .step_us = 900 * US_PER_S, .load_w = load, .pv_w = pv };
	sim_options_default(&o);
	str_copy(o.host, sizeof o.host, "127.77.0.11");
	o.port = 0;
	o.series = &sunny;
	o.calm = true;
	o.plant.meter_noise_w = 0;
	o.plant.lag_s = 0.05;
	o.plant.dead_time_s = 0;
	o.plant.meter_period_s = 0.05;
	o.plant.meter_delay_s = 0;
	o.plant.meter_mean_s = 0.02;
	o.plant.inverter_period_s = 0;
	o.hybrid = o.bms = true;
	for (int i = 0; i < SIM_KIND_COUNT; i++)
		s->fd[i] = -1;
	if (loop_new(&s->loop, &e) < 0 || sim_new(s->loop, &o, &s->sim, &e) < 0) {
		print_error("%s\n", e.text);
		return -1;
	}
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct site *s = *state;

	for (int i = 0; i < SIM_KIND_COUNT; i++)
		base_close_(&s->fd[i]);
	sim_free(s->sim);
	loop_free(s->loop);
	free(s);
	return 0;
}

static const struct sim_device *device(struct site *s, enum sim_kind kind)
{
	const struct sim_device *d;
	size_t n = sim_devices(s->sim, &d);

	for (size_t i = 0; i < n; i++)
		if (d[i].kind == kind)
			return &d[i];
	return NULL;
}

static int connect_to(struct site *s, enum sim_kind kind)
{
	const struct sim_device *d = device(s, kind);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(d->address.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, d->address.host, &a.sin_addr), 1);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void turn_until(struct site *s, int64_t boot_us)
{
	struct err e = { 0 };

	assert_int_equal(loop_turn(s->loop, boot_us, &e), 0);
}

/* Let `ms` of real time go by on the site. */
static void live(struct site *s, int ms)
{
	int64_t until = now_read().boot_us + ms * US_PER_MS;

	while (now_read().boot_us < until)
		turn_until(s, until);
	sim_plant_now(s->sim);
}

/* Bytes of the answer, 0 at its end, -1 when none comes within 2 s. */
static ssize_t receive(struct site *s, int fd, uint8_t *to, size_t size)
{
	int64_t until = now_read().boot_us + 2 * US_PER_S;

	while (now_read().boot_us < until) {
		ssize_t n;

		turn_until(s, now_read().boot_us + 5000);
		n = recv(fd, to, size, MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return 0;
	}
	return -1;
}

static void send_frame(struct site *s, int fd, uint8_t unit, const uint8_t *pdu, size_t len)
{
	uint8_t adu[BUS_ADU_MAX] = { 0 };

	s->transaction++;
	adu[0] = (uint8_t)(s->transaction >> 8);
	adu[1] = (uint8_t)s->transaction;
	adu[5] = (uint8_t)(len + 1);
	adu[6] = unit;
	memcpy(adu + 7, pdu, len);
	assert_int_equal(send(fd, adu, len + 7, MSG_NOSIGNAL), (ssize_t)len + 7);
}

/* Ask; returns the exception, 0 for a good answer whose registers are in regs. */
static int ask(struct site *s, enum sim_kind kind, const uint8_t *pdu, size_t len, uint16_t *regs)
{
	uint8_t in[BUS_ADU_MAX + 100];
	ssize_t n;

	if (s->fd[kind] < 0)
		s->fd[kind] = connect_to(s, kind);
	send_frame(s, s->fd[kind], 1, pdu, len);
	n = receive(s, s->fd[kind], in, sizeof in);
	assert_true(n >= 9);
	assert_int_equal(in[0] << 8 | in[1], s->transaction);
	assert_int_equal((in[4] << 8 | in[5]) + 6, n);
	if (in[7] & 0x80)
		return in[8];
	assert_int_equal(in[7], pdu[0]);
	for (int i = 0; regs && i < in[8] / 2; i++)
		regs[i] = (uint16_t)(in[9 + 2 * i] << 8 | in[10 + 2 * i]);
	return 0;
}

static int get(struct site *s, enum sim_kind kind, uint8_t function, unsigned address, unsigned count, uint16_t *regs)
{
	const uint8_t pdu[] = { function, (uint8_t)(address >> 8), (uint8_t)address, (uint8_t)(count >> 8), (uint8_t)count };

	return ask(s, kind, pdu, sizeof pdu, regs);
}

static int16_t get1(struct site *s, enum sim_kind kind, uint8_t function, unsigned address)
{
	uint16_t v = 0;

	assert_int_equal(get(s, kind, function, address, 1, &v), 0);
	return (int16_t)v;
}

static int put(struct site *s, enum sim_kind kind, unsigned address, int value)
{
	const uint8_t pdu[] = { 6, (uint8_t)(address >> 8), (uint8_t)address, (uint8_t)((unsigned)value >> 8), (uint8_t)value };

	return ask(s, kind, pdu, sizeof pdu, NULL);
}

static int put2(struct site *s, enum sim_kind kind, unsigned address, int a, int b)
{
	const uint8_t pdu[] = { 16, (uint8_t)(address >> 8), (uint8_t)address, 0, 2, 4, (uint8_t)((unsigned)a >> 8), (uint8_t)a,
				(uint8_t)((unsigned)b >> 8), (uint8_t)b };

	return ask(s, kind, pdu, sizeof pdu, NULL);
}

/* Addresses counted by hand from the models' lengths: base, 2, 68, 52, 28, 26. */
enum { METER_W = 40088, METER_W_SF = 40092, PV_W = 40084, PV_W_SF = 40085, BATTERY_W = 40084, BATTERY_VND = 40109,
       B124 = 40150, B802 = 40176 };
enum { MODE = B124 + 5, OUT_RATE = B124 + 12, IN_RATE = B124 + 13, REVERT_S = B124 + 15, RAMP_S = B124 + 16 };

static double setpoint(struct site *s)
{
	struct sim_now now;

	sim_now_read(s->sim, &now);
	return now.setpoint_w;
}

static void fault(struct site *s, const char *device_name, enum sim_fault f)
{
	struct err e = { 0 };

	assert_int_equal(sim_set_fault(s->sim, device_name, f, &e), 0);
}

/* ---- reading ---- */

static void every_sunspec_device_walks_to_its_end(void **state)
{
	static const struct { enum sim_kind kind; uint16_t models[8]; } all[] = {
		{ SIM_METER, { 1, 203, 0xFFFF } }, { SIM_BATTERY, { 1, 103, 120, 124, 802, 0xFFFF } },
		{ SIM_PV, { 1, 103, 0xFFFF } },
	};
	uint16_t r[2];

	for (size_t d = 0; d < COUNT_OF(all); d++) {
		unsigned at = 40002;

		assert_int_equal(get(*state, all[d].kind, 3, 40000, 2, r), 0);
		assert_int_equal(r[0], 0x5375);
		assert_int_equal(r[1], 0x6e53);
		for (int n = 0; ; n++) {
			assert_int_equal(get(*state, all[d].kind, 3, at, 2, r), 0);
			assert_int_equal(r[0], all[d].models[n]);
			if (r[0] == 0xFFFF)
				break;
			at += 2u + r[1];
		}
		assert_int_equal(r[1], 0);
		assert_int_equal(get(*state, all[d].kind, 3, at + 2, 1, r), 2);
	}
}

static void surplus_is_negative_at_the_meter_and_positive_at_the_pv_inverter(void **state)
{
	live(*state, 200);
	assert_near(get1(*state, SIM_METER, 3, METER_W), -2200, 1);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W_SF), 0);
	assert_near(get1(*state, SIM_PV, 3, PV_W), 3000, 1);
}

static void discharging_is_positive_at_the_battery_inverter_and_lowers_the_import(void **state)
{
	struct site *s = *state;

	sim_set_load(s->sim, 4200); /* 5000 W house, 3000 W sun: 2000 W import */
	live(s, 200);
	assert_near(get1(s, SIM_METER, 3, METER_W), 2000, 1);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 3000, -3000), 0); /* 30 % of 5000 W out, at least 30 % */
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	live(s, 600);
	assert_near(get1(s, SIM_BATTERY, 3, BATTERY_W), 1500, 2);
	assert_near(get1(s, SIM_METER, 3, METER_W), 500, 3);
	assert_true(get1(s, SIM_BATTERY, 3, B802 + 44) > 0);        /* A */
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 16), 3);    /* ChaSt: DISCHARGING */
}

static void limits_of_the_bms_are_currents_at_its_voltage(void **state)
{
	uint16_t m[64];

	assert_int_equal(get(*state, SIM_BATTERY, 3, B802, 64, m), 0);
	assert_int_equal(m[0], 802);
	assert_int_equal((int16_t)m[56], -1);
	assert_near(m[11] / 10., 50, 0.1);
	assert_near(m[45] / 100. * m[34] / 10., 5000 * 0.95, 5);
	assert_near(m[46] / 100. * m[34] / 10., 5000 / 0.95, 5);
}

static void questions_that_a_device_cannot_answer_get_the_right_exception(void **state)
{
	static const uint8_t coils[] = { 1, 0, 0, 0, 1 }, unknown[] = { 99, 0, 0, 0, 1 };
	uint16_t r[125];

	assert_int_equal(ask(*state, SIM_METER, coils, sizeof coils, r), 1);
	assert_int_equal(ask(*state, SIM_METER, unknown, sizeof unknown, r), 1);
	assert_int_equal(get(*state, SIM_METER, 4, 40000, 2, r), 1);
	assert_int_equal(get(*state, SIM_METER, 3, 39999, 2, r), 2);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 0, r), 3);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 126, r), 3);
	assert_int_equal(put(*state, SIM_METER, 40000, 1), 1);
}

static void another_unit_is_a_gateway_without_a_target(void **state)
{
	static const uint8_t pdu[] = { 3, 0x9c, 0x40, 0, 2 };
	struct site *s = *state;
	int fd = connect_to(s, SIM_METER);
	uint8_t in[32];

	send_frame(s, fd, 5, pdu, sizeof pdu);
	assert_int_equal(receive(s, fd, in, sizeof in), 9);
	assert_int_equal(in[7], 0x83);
	assert_int_equal(in[8], 11);
	close(fd);
}

/* ---- the window of model 124 ---- */

static void the_window_of_model_124_decides_the_set_point(void **state)
{
	static const struct { int mode, out, in; double w; } cases[] = {
		{ 0, 10000, 10000, 0 },       /* as delivered */
		{ 0, 3000, -3000, 0 },        /* rates without their bits */
		{ 3, 3000, -3000, 1500 },     /* a set-point out */
		{ 3, -4000, 4000, -2000 },    /* a set-point in */
		{ 3, 0, 0, 0 },
		{ 3, 3000, 4000, 0 },         /* room on both sides: rests */
		{ 2, -4000, 10000, -2000 },   /* at most -40 % out: must charge */
		{ 1, 10000, -900, 450 },      /* at most -9 % in: must discharge */
		{ 1, -4000, 10000, 0 },       /* the discharge bit is not set: the rate counts for nothing */
		{ 3, -4000, -4000, 0 },       /* empty */
		{ 3, 10000, -10000, 5000 },
		{ 3, -10000, 10000, -5000 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(put2(*state, SIM_BATTERY, OUT_RATE, cases[i].out, cases[i].in), 0);
		assert_int_equal(put(*state, SIM_BATTERY, MODE, cases[i].mode), 0);
		live(*state, 70);
		assert_near(setpoint(*state), cases[i].w, 1e-6);
	}
}

static void rates_written_one_after_the_other_do_not_jerk_through_an_empty_window(void **state)
{
	struct site *s = *state;

	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 6000, -6000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_near(setpoint(s), 3000, 1e-6);
	assert_int_equal(put(s, SIM_BATTERY, OUT_RATE, 2000), 0); /* at least 3000 W and at most 1000 W */
	assert_near(setpoint(s), 3000, 1e-6);
	assert_int_equal(put(s, SIM_BATTERY, IN_RATE, -2000), 0);
	assert_near(setpoint(s), 1000, 1e-6);
}

static void a_refused_write_leaves_everything_as_it_was(void **state)
{
	struct site *s = *state;

	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 2000, -2000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 1000, -10001), 3); /* the second value is out of range */
	assert_int_equal(put(s, SIM_BATTERY, MODE, 4), 3);
	assert_int_equal(put(s, SIM_BATTERY, B124 + 8, 1), 2);             /* ChaState is measured */
	assert_int_equal(put2(s, SIM_BATTERY, B124 + 17, 1, 0), 2);        /* the second register is a scale factor */
	assert_near(setpoint(s), 1000, 1e-6);
	assert_int_equal(get1(s, SIM_BATTERY, 3, OUT_RATE), 2000);
	assert_int_equal(device(s, SIM_BATTERY)->writes, 2);
}

static void a_ramp_time_takes_the_set_point_there_slowly(void **state)
{
	struct site *s = *state;

	assert_int_equal(put(s, SIM_BATTERY, RAMP_S, 100), 0);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 10000, -10000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	live(s, 300);
	assert_near(setpoint(s), 15, 14);
}

static void the_revert_time_gives_the_set_point_up_and_shows_it(void **state)
{
	struct site *s = *state;
	int64_t until = now_read().boot_us + 5 * US_PER_S;

	assert_int_equal(get1(s, SIM_BATTERY, 3, REVERT_S), 60);
	assert_int_equal(put(s, SIM_BATTERY, REVERT_S, 1), 0);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 4000, -4000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, BATTERY_VND), 2);
	while (get1(s, SIM_BATTERY, 3, BATTERY_VND) != 3 && now_read().boot_us < until)
		live(s, 50);
	assert_int_equal(get1(s, SIM_BATTERY, 3, MODE), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, OUT_RATE), 10000);
	live(s, 500);
	assert_near(sim_plant_now(s->sim)->battery_w, 0, 2);
	/* What comes next counts, and is not taken for the old one. */
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 2000, -2000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, MODE), 3);
	assert_near(setpoint(s), 1000, 1e-6);
}

static void a_disconnected_bank_gives_nothing_and_says_so(void **state)
{
	struct site *s = *state;

	assert_int_equal(put(s, SIM_BATTERY, B802 + 50, 2), 0);
	live(s, 50);
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 22), 1);
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 45), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, 40108), 1);
	assert_int_equal(put(s, SIM_BATTERY, B802 + 50, 1), 0);
	live(s, 50);
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 22), 3);
}

/* ---- the others ---- */

static void the_hybrid_follows_mode_command_and_power(void **state)
{
	struct site *s = *state;
	uint16_t r[4];

	assert_int_equal(put(s, SIM_HYBRID, 13051, 1500), 0);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 0xAA), 0);
	assert_near(setpoint(s), 0, 0); /* still in self-consumption */
	assert_int_equal(put(s, SIM_HYBRID, 13049, 2), 0);
	assert_near(setpoint(s), -1500, 0);
	live(s, 500);
	assert_near(get1(s, SIM_HYBRID, 4, 13021), 1500, 2);        /* a magnitude */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 13000) & 6, 2);     /* charging */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 5627), 50);         /* 100 W */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 5634), 11);         /* A: 4750 W at some 398 V */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 5635), 13);
	assert_int_equal(get(s, SIM_HYBRID, 4, 13009, 2, r), 0);    /* export, low word first */
	assert_near((int32_t)((uint32_t)r[1] << 16 | r[0]), 700, 3);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 0xBB), 0);
	assert_near(setpoint(s), 1500, 0);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 0xCC), 0);
	assert_near(setpoint(s), 0, 0);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 7), 3);
}

static void the_bms_counts_charging_as_positive(void **state)
{
	struct site *s = *state;
	uint16_t r[2];

	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, -4000, 4000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	live(s, 600);
	assert_int_equal(get(s, SIM_BMS, 3, 0x1104, 2, r), 0);
	assert_near((int32_t)((uint32_t)r[0] << 16 | r[1]) / 100., 1900 / 398., 0.1);
	assert_int_equal(get(s, SIM_BMS, 3, 0x110D, 2, r), 0);
	assert_near((int32_t)((uint32_t)r[0] << 16 | r[1]) / 100., -5263 / 398., 0.1);
	assert_int_equal(get1(s, SIM_BMS, 3, 0x1107), 50);
}

/* ---- connections ---- */

static void a_connection_too_many_is_closed_and_the_others_live(void **state)
{
	struct site *s = *state;
	int fd[4];
	uint8_t in[8];

	for (int i = 0; i < 4; i++)
		fd[i] = connect_to(s, SIM_BATTERY);
	assert_int_equal(receive(s, fd[3], in, sizeof in), 0);
	s->fd[SIM_BATTERY] = fd[0];
	assert_int_equal(get1(s, SIM_BATTERY, 3, 40002), 1);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
}

static void what_is_no_frame_ends_its_connection_alone(void **state)
{
	static const uint8_t bad[][8] = {
		{ 0, 1, 0, 9, 0, 6, 1, 3 },       /* protocol 9 */
		{ 0, 1, 0, 0, 0, 1, 1, 3 },       /* length 1 */
		{ 0, 1, 0, 0, 0xFF, 0xFF, 1, 3 }, /* length 65535 */
	};
	struct site *s = *state;
	uint8_t in[8];

	assert_int_equal(get1(s, SIM_METER, 3, 40002), 1);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		int fd = connect_to(s, SIM_METER);

		assert_int_equal(send(fd, bad[i], sizeof bad[i], MSG_NOSIGNAL), (ssize_t)sizeof bad[i]);
		assert_int_equal(receive(s, fd, in, sizeof in), 0);
		close(fd);
	}
	assert_int_equal(get1(s, SIM_METER, 3, 40002), 1);
}

static void a_question_in_pieces_and_two_at_once_are_both_answered(void **state)
{
	static const uint8_t two[] = { 0, 1, 0, 0, 0, 6, 1, 3, 0x9c, 0x40, 0, 1, 0, 2, 0, 0, 0, 6, 1, 3, 0x9c, 0x41, 0, 1 };
	struct site *s = *state;
	int fd = connect_to(s, SIM_METER);
	uint8_t in[64];
	size_t have = 0;

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(send(fd, two + i, 1, MSG_NOSIGNAL), 1);
		turn_until(s, now_read().boot_us + 2000);
	}
	assert_int_equal(send(fd, two + 5, sizeof two - 5, MSG_NOSIGNAL), (ssize_t)sizeof two - 5);
	while (have < 22) {
		ssize_t n = receive(s, fd, in + have, sizeof in - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(in[1], 1);
	assert_int_equal(in[9] << 8 | in[10], 0x5375);
	assert_int_equal(in[12], 2);
	assert_int_equal(in[20] << 8 | in[21], 0x6e53);
	close(fd);
}

/* ---- faults ---- */

static void a_stale_meter_shows_then_and_a_frozen_one_only_its_power(void **state)
{
	struct site *s = *state;
	uint16_t volts;

	live(s, 100);
	volts = (uint16_t)get1(s, SIM_METER, 3, 40078);
	fault(s, "meter", SIM_FAULT_STALE);
	sim_set_load(s->sim, 5000);
	live(s, 300);
	assert_near(get1(s, SIM_METER, 3, METER_W), -2200, 1);
	assert_int_equal(get1(s, SIM_METER, 3, 40078), volts);
	fault(s, "meter", SIM_FAULT_NONE);
	assert_near(get1(s, SIM_METER, 3, METER_W), 2800, 1);
	fault(s, "meter", SIM_FAULT_FROZEN);
	volts = (uint16_t)get1(s, SIM_METER, 3, 40078);
	sim_set_load(s->sim, 0);
	live(s, 300);
	assert_near(get1(s, SIM_METER, 3, METER_W), 2800, 1);
	assert_true(get1(s, SIM_METER, 3, 40078) > volts + 20); /* 2.5 kW less on this phase */
	fault(s, "meter", SIM_FAULT_NONE);
	assert_near(get1(s, SIM_METER, 3, METER_W), -2200, 1);
}

static void a_wrong_sign_turns_power_alone(void **state)
{
	live(*state, 200);
	fault(*state, "meter", SIM_FAULT_SIGN);
	assert_near(get1(*state, SIM_METER, 3, METER_W), 2200, 1);
	assert_near(get1(*state, SIM_PV, 3, PV_W), 3000, 1);
}

static void impossible_values_cannot_be_true_with_any_scale_factor(void **state)
{
	fault(*state, "meter", SIM_FAULT_IMPOSSIBLE);
	fault(*state, "battery", SIM_FAULT_IMPOSSIBLE);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W), 20000);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W_SF), 5);
	assert_int_equal(get1(*state, SIM_BATTERY, 3, B802 + 11), 4000);
	fault(*state, "meter", SIM_FAULT_NONE);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W_SF), 0);
}

static void a_deaf_device_accepts_and_keeps_its_registers(void **state)
{
	fault(*state, "battery", SIM_FAULT_DEAF);
	assert_int_equal(put2(*state, SIM_BATTERY, OUT_RATE, 3000, -3000), 0);
	assert_int_equal(put(*state, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(get1(*state, SIM_BATTERY, 3, OUT_RATE), 10000);
	assert_near(setpoint(*state), 0, 0);
}

static void exceptions_come_to_every_question(void **state)
{
	uint16_t r[2];

	fault(*state, "meter", SIM_FAULT_EXCEPTION);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 2, r), 4);
	fault(*state, "meter", SIM_FAULT_BUSY);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 2, r), 6);
}

static void lying_frames_lie_in_one_thing_each(void **state)
{
	static const uint8_t pdu[] = { 3, 0x9c, 0x40, 0, 2 };
	struct site *s = *state;
	int fd = connect_to(s, SIM_METER), lies = 0;
	uint8_t in[300];

	fault(s, "meter", SIM_FAULT_WRONG_UNIT);
	send_frame(s, fd, 1, pdu, sizeof pdu);
	assert_int_equal(receive(s, fd, in, sizeof in), 13);
	assert_int_equal(in[6], 2);
	fault(s, "meter", SIM_FAULT_WRONG_TRANSACTION);
	send_frame(s, fd, 1, pdu, sizeof pdu);
	assert_int_equal(receive(s, fd, in, sizeof in), 13);
	assert_int_equal(in[0] << 8 | in[1], s->transaction - 1);
	fault(s, "meter", SIM_FAULT_WRONG_LENGTH);
	for (int i = 0; i < 2; i++) {
		send_frame(s, fd, 1, pdu, sizeof pdu);
		assert_int_equal(receive(s, fd, in, sizeof in), 13);
		lies += (in[8] != 4) + 10 * (in[5] != 7);
	}
	assert_int_equal(lies, 11);
	fault(s, "meter", SIM_FAULT_GARBAGE);
	send_frame(s, fd, 1, pdu, sizeof pdu);
	assert_true(receive(s, fd, in, sizeof in) >= 20);
	assert_true(in[2] || in[3]);
	close(fd);
}

static void a_lost_device_is_gone_and_comes_back_at_its_address(void **state)
{
	struct site *s = *state;
	uint8_t in[8];
	int fd = connect_to(s, SIM_METER);

	turn_until(s, now_read().boot_us + 2000);
	fault(s, "meter", SIM_FAULT_LOST);
	assert_int_equal(receive(s, fd, in, sizeof in), 0);
	assert_int_equal(connect_to(s, SIM_METER), -1);
	fault(s, "meter", SIM_FAULT_NONE);
	assert_int_equal(get1(s, SIM_METER, 3, 40002), 1);
	close(fd);
}

static void a_slow_device_answers_late_and_in_order(void **state)
{
	struct site *s = *state;
	int64_t began = now_read().boot_us;

	fault(s, "pv", SIM_FAULT_SLOW);
	assert_int_equal(get1(s, SIM_PV, 3, 40002), 1);
	assert_true(now_read().boot_us - began >= 800 * US_PER_MS);
}

static void an_unknown_device_is_told_with_those_that_are_there(void **state)
{
	struct site *s = *state;
	struct err e = { 0 };

	assert_int_equal(sim_set_fault(s->sim, "boiler", SIM_FAULT_LOST, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "meter, battery, pv"));
}

static void a_site_stays_on_its_machine(void **state)
{
	struct site *s = *state;
	struct sim_options o;
	struct err e = { 0 };
	struct sim *other = NULL;

	sim_options_default(&o);
	str_copy(o.host, sizeof o.host, "192.168.1.1");
	assert_int_equal(sim_new(s->loop, &o, &other, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_sunspec_device_walks_to_its_end),
		T(surplus_is_negative_at_the_meter_and_positive_at_the_pv_inverter),
		T(discharging_is_positive_at_the_battery_inverter_and_lowers_the_import),
		T(limits_of_the_bms_are_currents_at_its_voltage),
		T(questions_that_a_device_cannot_answer_get_the_right_exception),
		T(another_unit_is_a_gateway_without_a_target),
		T(the_window_of_model_124_decides_the_set_point),
		T(rates_written_one_after_the_other_do_not_jerk_through_an_empty_window),
		T(a_refused_write_leaves_everything_as_it_was),
		T(a_ramp_time_takes_the_set_point_there_slowly),
		T(the_revert_time_gives_the_set_point_up_and_shows_it),
		T(a_disconnected_bank_gives_nothing_and_says_so),
		T(the_hybrid_follows_mode_command_and_power),
		T(the_bms_counts_charging_as_positive),
		T(a_connection_too_many_is_closed_and_the_others_live),
		T(what_is_no_frame_ends_its_connection_alone),
		T(a_question_in_pieces_and_two_at_once_are_both_answered),
		T(a_stale_meter_shows_then_and_a_frozen_one_only_its_power),
		T(a_wrong_sign_turns_power_alone),
		T(impossible_values_cannot_be_true_with_any_scale_factor),
		T(a_deaf_device_accepts_and_keeps_its_registers),
		T(exceptions_come_to_every_question),
		T(lying_frames_lie_in_one_thing_each),
		T(a_lost_device_is_gone_and_comes_back_at_its_address),
		T(a_slow_device_answers_late_and_in_order),
		T(an_unknown_device_is_told_with_those_that_are_there),
		T(a_site_stays_on_its_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
