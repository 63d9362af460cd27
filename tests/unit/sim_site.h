/* sim_site.h: a simulated site over real sockets, asked in raw frames so that nothing of psec's reading side can share
 * a mistake with it; for the tests of its devices. */
#ifndef PSEC_TESTS_SIM_SITE_H
#define PSEC_TESTS_SIM_SITE_H

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

static inline int setup(void **state)
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
	o.batteries[0].plant.meter_noise_w = 0;
	o.batteries[0].plant.lag_s = 0.05;
	o.batteries[0].plant.dead_time_s = 0;
	o.batteries[0].plant.meter_period_s = 0.05;
	o.batteries[0].plant.meter_delay_s = 0;
	o.batteries[0].plant.meter_mean_s = 0.02;
	o.batteries[0].plant.inverter_period_s = 0;
	o.batteries[0].hybrid = o.batteries[0].bms = true;
	for (int i = 0; i < SIM_KIND_COUNT; i++)
		s->fd[i] = -1;
	if (loop_new(&s->loop, &e) < 0 || sim_new(s->loop, &o, &s->sim, &e) < 0) {
		print_error("%s\n", e.text);
		return -1;
	}
	*state = s;
	return 0;
}

static inline int teardown(void **state)
{
	struct site *s = *state;

	for (int i = 0; i < SIM_KIND_COUNT; i++)
		base_close_(&s->fd[i]);
	sim_free(s->sim);
	loop_free(s->loop);
	free(s);
	return 0;
}

static inline const struct sim_device *device(struct site *s, enum sim_kind kind)
{
	const struct sim_device *d;
	size_t n = sim_devices(s->sim, &d);

	for (size_t i = 0; i < n; i++)
		if (d[i].kind == kind)
			return &d[i];
	return NULL;
}

static inline int connect_to(struct site *s, enum sim_kind kind)
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

static inline void turn_until(struct site *s, int64_t boot_us)
{
	struct err e = { 0 };

	assert_int_equal(loop_turn(s->loop, boot_us, &e), 0);
}

/* Let `ms` of real time go by on the site. */
static inline void live(struct site *s, int ms)
{
	int64_t until = now_read().boot_us + ms * US_PER_MS;

	while (now_read().boot_us < until)
		turn_until(s, until);
	sim_plant_now(s->sim);
}

/* Bytes of the answer, 0 at its end, -1 when none comes within 2 s. */
static inline ssize_t receive(struct site *s, int fd, uint8_t *to, size_t size)
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

static inline void send_frame(struct site *s, int fd, uint8_t unit, const uint8_t *pdu, size_t len)
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
static inline int ask(struct site *s, enum sim_kind kind, const uint8_t *pdu, size_t len, uint16_t *regs)
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

static inline int get(struct site *s, enum sim_kind kind, uint8_t function, unsigned address, unsigned count, uint16_t *regs)
{
	const uint8_t pdu[] = { function, (uint8_t)(address >> 8), (uint8_t)address,
				(uint8_t)(count >> 8), (uint8_t)count };

	return ask(s, kind, pdu, sizeof pdu, regs);
}

static inline int16_t get1(struct site *s, enum sim_kind kind, uint8_t function, unsigned address)
{
	uint16_t v = 0;

	assert_int_equal(get(s, kind, function, address, 1, &v), 0);
	return (int16_t)v;
}

static inline int put(struct site *s, enum sim_kind kind, unsigned address, int value)
{
	const uint8_t pdu[] = { 6, (uint8_t)(address >> 8), (uint8_t)address,
				(uint8_t)((unsigned)value >> 8), (uint8_t)value };

	return ask(s, kind, pdu, sizeof pdu, NULL);
}

static inline int put2(struct site *s, enum sim_kind kind, unsigned address, int a, int b)
{
	const uint8_t pdu[] = { 16, (uint8_t)(address >> 8), (uint8_t)address, 0, 2, 4, (uint8_t)((unsigned)a >> 8), (uint8_t)a,
				(uint8_t)((unsigned)b >> 8), (uint8_t)b };

	return ask(s, kind, pdu, sizeof pdu, NULL);
}

/* Addresses counted by hand from the models' lengths: base, 2, 68, 52, 28, 26. */
enum { METER_W = 40088, METER_W_SF = 40092, PV_W = 40084, PV_W_SF = 40085, BATTERY_W = 40084, BATTERY_VND = 40109,
       B124 = 40150, B802 = 40176 };
enum { MODE = B124 + 5, OUT_RATE = B124 + 12, IN_RATE = B124 + 13, REVERT_S = B124 + 15, RAMP_S = B124 + 16 };

static inline double setpoint(struct site *s)
{
	const struct world *w = sim_world(s->sim);

	return command_at(&w->commands[0], world_at(w));
}

static inline void fault(struct site *s, const char *device_name, enum sim_fault f)
{
	struct err e = { 0 };

	assert_int_equal(sim_set_fault(s->sim, device_name, f, &e), 0);
}

#endif
