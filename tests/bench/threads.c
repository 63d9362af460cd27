/* The peer of `lean`: 16 devices at 10 Hz with libmodbus as its calls suggest it, a thread a device. It only reads, 50 registers
 * a turn: no control, no store, no socket. Ends when stdin does.
 *
 *     threads HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { DEVICES = 16, BASE = 40070, READ = 50 };

static uint32_t first;
static int port;

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
	for (clock_gettime(CLOCK_MONOTONIC, &next);;) {
		(void)modbus_read_registers(m, BASE, READ, regs);
		next.tv_nsec += 100000000;
		if (next.tv_nsec >= 1000000000)
			next.tv_sec++, next.tv_nsec -= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[DEVICES];
	char byte;

	if (argc != 3)
		return 64;
	first = ntohl(inet_addr(argv[1]));
	port = atoi(argv[2]);
	for (intptr_t d = 0; d < DEVICES; d++) {
		if (pthread_create(&threads[d], NULL, poll_device, (void *)d) != 0)
			return 70;
	}
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
