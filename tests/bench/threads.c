/* The peer of `lean` and `rates`: 16 devices at 10 Hz with libmodbus as its calls suggest it, a thread a device. It only reads, 50 registers
 * a turn: no control, no store, no socket. Ends when stdin does.
 *
 * Beside `rates` it polls N devices HZ times a second.
 *
 *     threads HOST PORT [N HZ BASE] */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { DEVICES_MAX = 64, READ = 50 };

static uint32_t first;
static int port, devices = 16, hz = 10, base = 40070;

static void *poll_device(void *arg)
{
	struct in_addr a = { htonl(first + (uint32_t)(intptr_t)arg) };
	char host[INET_ADDRSTRLEN];
	struct timespec next;
	uint16_t regs[READ];
	modbus_t *m = modbus_new_tcp(inet_ntop(AF_INET, &a, host, sizeof host), port);

	if (!m || modbus_set_slave(m, 1) < 0 || modbus_connect(m) < 0) {
		fprintf(stderr, "threads: no device at %s: %s\n", host, modbus_strerror(errno));
		exit(69);
	}
	modbus_set_response_timeout(m, 1, 0);
	for (clock_gettime(CLOCK_MONOTONIC, &next);;) {
		(void)modbus_read_registers(m, base, READ, regs);
		next.tv_nsec += 1000000000 / hz;
		if (next.tv_nsec >= 1000000000)
			next.tv_sec++, next.tv_nsec -= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[DEVICES_MAX];
	char byte;

	if (argc != 3 && argc != 6)
		return 64;
	if (argc == 6)
		devices = atoi(argv[3]), hz = atoi(argv[4]), base = atoi(argv[5]);
	if (devices < 1 || devices > DEVICES_MAX || hz < 1)
		return 64;
	first = ntohl(inet_addr(argv[1]));
	port = atoi(argv[2]);
	for (intptr_t d = 0; d < devices; d++) {
		if (pthread_create(&threads[d], NULL, poll_device, (void *)d) != 0)
			return 70;
	}
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
