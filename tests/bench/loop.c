/* The peer of `wire`: a controller as it is usually written, one thread around libmodbus's blocking calls. Ten times a second it
 * reads the meter, reads the inverter, writes the set-point, then reads the 14 others in turn. The devices are those of wire.c.
 *
 *     loop HOST PORT SECONDS */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEVICES = 16, READ = 50 };
enum { BASE = 40070, METER_W = BASE + 18, INVERTER_W = BASE + 14, STOR_CTL_MOD = 40155, OUT_W_RTE = 40162 };

static modbus_t *open_device(const char *first, int device, int port)
{
	struct in_addr a;
	modbus_t *m;

	inet_aton(first, &a);
	a.s_addr = htonl(ntohl(a.s_addr) + (unsigned)device);
	m = modbus_new_tcp(inet_ntoa(a), port);
	if (!m || modbus_set_slave(m, 1) < 0 || modbus_connect(m) < 0) {
		fprintf(stderr, "loop: no device %d: %s\n", device, modbus_strerror(errno));
		exit(69);
	}
	return m;
}

static void regulate(modbus_t *meter, modbus_t *inverter)
{
	uint16_t regs[READ], set[2];
	int load_w;

	if (modbus_read_registers(meter, BASE, READ, regs) != READ)
		return;
	load_w = (int16_t)regs[METER_W - BASE];
	if (modbus_read_registers(inverter, BASE, READ, regs) != READ)
		return;
	load_w += (int16_t)regs[INVERTER_W - BASE];
	set[0] = (uint16_t)(load_w * 2); /* 0.01 % of 5 kW */
	set[1] = (uint16_t)(load_w * -2);
	modbus_write_registers(inverter, OUT_W_RTE, 2, set);
}

int main(int argc, char **argv)
{
	modbus_t *devices[DEVICES];
	struct timespec next;
	uint16_t regs[READ];

	if (argc != 4)
		return 64;
	for (int d = 0; d < DEVICES; d++)
		devices[d] = open_device(argv[1], d, atoi(argv[2]));
	modbus_write_register(devices[1], STOR_CTL_MOD, 3);
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (int turn = 0; turn < 10 * atoi(argv[3]); turn++) {
		regulate(devices[0], devices[1]);
		for (int d = 2; d < DEVICES; d++)
			(void)modbus_read_registers(devices[d], BASE, READ, regs);
		next.tv_nsec += 100000000;
		if (next.tv_nsec >= 1000000000)
			next.tv_sec++, next.tv_nsec -= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	for (int d = 0; d < DEVICES; d++) {
		modbus_close(devices[d]);
		modbus_free(devices[d]);
	}
	return 0;
}
