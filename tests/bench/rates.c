/* Devices that count how often they are asked, and three of those who ask them; the fourth is threads.c. What is measured is
 * seen by the devices: nothing here trusts what a poller says of itself.
 *
 *     rates serve HOST PORT N SLOW    N devices at HOST and the addresses after it; the SLOW-th answers after 800 ms (-1: none)
 *     rates poll  HOST PORT N HZ      psec's poller reads them, 50 registers each, until stdin ends
 *     rates loop  HOST PORT N HZ      one thread around libmodbus's blocking calls does
 *     rates bare  HOST PORT N HZ      the same questions, and nothing is done with the answers: what the kernel takes of it
 *
 * serve says "ready"; on stdin a line each: "go" forgets what was counted, "report" prints over the devices that are not slow
 *
 *     seconds S hz LEAST p99 WORST_US max US questions N fewest N
 *
 * fewest is what the one of them was asked that was asked least. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus.h"
#include "device/device.h"
#include "loop/loop.h"
#include "poll/poll.h"
#include "serve.h"

enum { DEVICES_MAX = 64, READ = 50, SLOW_MS = 800, GAPS_MAX = 1 << 14 };

static uint32_t host_at(const char *first, int device)
{
	struct in_addr a;

	if (inet_pton(AF_INET, first, &a) != 1 || ntohl(a.s_addr) >> 24 != 127) {
		fprintf(stderr, "rates: '%s' is not an address of 127.0.0.0/8\n", first);
		exit(64);
	}
	return ntohl(a.s_addr) + (uint32_t)device;
}

static char *host_text(const char *first, int device, char to[INET_ADDRSTRLEN])
{
	struct in_addr a = { htonl(host_at(first, device)) };

	return (char *)inet_ntop(AF_INET, &a, to, INET_ADDRSTRLEN);
}

/* ---- the devices ---- */

struct served {
	int gaps_us[GAPS_MAX];
	size_t gap_count;
	int64_t last_us;
	uint64_t questions;
	bool slow;
};
struct peer { struct served *device; int fd; struct loop_source *source; struct loop_timer timer; uint8_t out[BUS_ADU_MAX]; size_t out_len; };

static struct loop *loop;
static struct served devices[DEVICES_MAX];
static int device_count;
static int64_t began_us;

static void answer(void *arg)
{
	struct peer *p = arg;

	if (send(p->fd, p->out, p->out_len, MSG_NOSIGNAL) < 0)
		return; /* it went: on_peer hears of that */
}

static void on_peer(void *arg, int fd, unsigned events)
{
	static const uint16_t values[BUS_READ_MAX];
	struct peer *p = arg;
	uint8_t in[BUS_ADU_MAX], pdu[BUS_PDU_MAX];
	int64_t now_us = now_read().boot_us;
	struct bus_request q;
	ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= BUS_MBAP_LEN || !bus_pdu_parse_request(in + BUS_MBAP_LEN, (size_t)n - BUS_MBAP_LEN, &q)) {
		loop_timer_stop(loop, &p->timer);
		loop_remove(p->source);
		close(fd);
		free(p);
		return;
	}
	if (p->device->last_us && p->device->gap_count < GAPS_MAX)
		p->device->gaps_us[p->device->gap_count++] = (int)(now_us - p->device->last_us);
	p->device->last_us = now_us;
	p->device->questions++;
	p->out_len = bus_mbap_frame((uint16_t)(in[0] << 8 | in[1]), in[6], pdu, bus_pdu_encode_reply(&q, values, pdu), p->out);
	if (p->device->slow)
		loop_timer_set(loop, &p->timer, now_us + SLOW_MS * US_PER_MS);
	else
		answer(p);
}

static void on_connection(void *arg, int fd, unsigned events)
{
	struct peer *p = xcalloc(1, sizeof *p);
	int on = 1;
	struct err e;

	(void)events;
	p->device = arg;
	p->timer = (struct loop_timer){ .fn = answer, .arg = p };
	p->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)setsockopt(p->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
	if (p->fd < 0 || loop_add_fd(loop, p->fd, LOOP_READ, on_peer, p, &p->source, &e) < 0)
		free(p);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void report(void)
{
	double seconds = (double)(now_read().boot_us - began_us) / 1e6;
	int p99 = 0, max = 0;
	uint64_t questions = 0, fewest = UINT64_MAX;

	for (int d = 0; d < device_count; d++) {
		struct served *s = &devices[d];
		size_t n = s->gap_count;

		questions += s->questions;
		if (s->slow)
			continue;
		fewest = s->questions < fewest ? s->questions : fewest;
		if (n == 0)
			continue;
		qsort(s->gaps_us, n, sizeof s->gaps_us[0], by_value);
		p99 = s->gaps_us[(n * 99 + 99) / 100 - 1] > p99 ? s->gaps_us[(n * 99 + 99) / 100 - 1] : p99;
		max = s->gaps_us[n - 1] > max ? s->gaps_us[n - 1] : max;
	}
	printf("seconds %.1f hz %.2f p99 %d max %d questions %llu fewest %llu\n", seconds, (double)fewest / seconds, p99, max,
	       (unsigned long long)questions, (unsigned long long)fewest);
	fflush(stdout);
}

static void go(void)
{
	for (int d = 0; d < device_count; d++) {
		devices[d].gap_count = 0;
		devices[d].last_us = 0;
		devices[d].questions = 0;
	}
	began_us = now_read().boot_us;
}

static int serve(const char *first, uint16_t port, int slow, struct err *e)
{
	struct words words = { loop, go, report };

	for (int d = 0; d < device_count; d++) {
		devices[d].slow = d == slow;
		if (listen_at(loop, host_at(first, d), port, on_connection, &devices[d], e) < 0)
			return -1;
	}
	go();
	return serve_words(&words, e);
}

/* ---- psec's poller ---- */

static const char profile[] = "psec-profile: 1\nid: bench\nmake: M\nmodel: N\nsource: typed for this bench\n"
			      "timing: {poll: %dms, answer: 1s}\nblock: {max: 125, gap: 60}\npoints:\n"
			      "  load-meter.power_w: {function: 3, address: 0, type: int16, rate: fast}\n"
			      "  load-meter.import_wh: {function: 3, address: 48, type: uint32, rate: fast}\n";

static void on_end(void *arg, int fd, unsigned events)
{
	char byte;

	(void)arg, (void)events;
	if (read(fd, &byte, 1) <= 0)
		loop_stop(loop);
}

static void say_fault(void *arg, const struct diag *d)
{
	(void)arg;
	fprintf(stderr, "rates: %s: %s\n", d->path, d->text);
}

static struct device_catalogue *own_profile(int hz, struct err *e)
{
	char folder[] = "/tmp/psec-rates-XXXXXX", path[64];
	struct diag_sink sink = { .fn = say_fault };
	struct device_catalogue *c = NULL;
	FILE *f;

	if (!mkdtemp(folder))
		exit(74);
	snprintf(path, sizeof path, "%s/bench.yaml", folder);
	f = fopen(path, "w");
	if (!f)
		exit(74);
	fprintf(f, profile, 1000 / hz);
	fclose(f);
	chmod(path, 0600);
	if (device_catalogue_load(folder, &c, &sink, e) < 0)
		c = NULL;
	unlink(path);
	rmdir(folder);
	return c;
}

static int poll_them(const char *first, uint16_t port, int hz, struct err *e)
{
	static struct site site;
	struct device_catalogue *c = own_profile(hz, e);
	struct loop_source *end;
	struct poll *p;

	for (int d = 0; d < device_count; d++) {
		struct site_device *s = &site.devices[site.device_count++];

		snprintf(s->name, sizeof s->name, "device-%d", d);
		str_copy(s->profile, sizeof s->profile, "bench");
		s->address = (struct bus_address){ .kind = BUS_TCP, .port = port, .unit = 1, .has_unit = true };
		host_text(first, d, s->address.host);
		s->roles = 1u << SITE_LOAD_METER;
	}
	if (!c || poll_new(loop, &site, c, NULL, &p, e) < 0 || loop_add_fd(loop, STDIN_FILENO, LOOP_READ, on_end, NULL, &end, e) < 0)
		return -1;
	poll_start(p);
	return loop_run(loop, e);
}

/* ---- a blocking loop ---- */

static int loop_over(const char *first, int port, int hz)
{
	char host[INET_ADDRSTRLEN];
	modbus_t *all[DEVICES_MAX];
	struct timespec next, now;
	uint16_t regs[READ];

	for (int d = 0; d < device_count; d++) {
		all[d] = modbus_new_tcp(host_text(first, d, host), port);
		if (!all[d] || modbus_set_slave(all[d], 1) < 0 || modbus_connect(all[d]) < 0)
			return 69;
		modbus_set_response_timeout(all[d], 1, 0);
	}
	for (clock_gettime(CLOCK_MONOTONIC, &next);;) {
		for (int d = 0; d < device_count; d++)
			(void)modbus_read_registers(all[d], 0, READ, regs);
		next.tv_nsec += 1000000000 / hz;
		if (next.tv_nsec >= 1000000000)
			next.tv_sec++, next.tv_nsec -= 1000000000;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec))
			next = now; /* late: go on at once, make up for nothing */
		else
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

/* ---- the bound: send, epoll_wait, recv ---- */

struct bare { int fd; uint16_t transaction; bool waiting; struct loop_source *source; };
static struct bare bare[DEVICES_MAX];
static struct loop_timer beat;
static int64_t period_us;

static void bare_answer(void *arg, int fd, unsigned events)
{
	struct bare *b = arg;
	uint8_t in[BUS_ADU_MAX];

	(void)events;
	if (recv(fd, in, sizeof in, MSG_DONTWAIT) > 0)
		b->waiting = false;
	else if (errno != EAGAIN)
		loop_stop(loop);
}

static void bare_ask(void *arg)
{
	uint8_t pdu[] = { BUS_READ_HOLDING, 0, 0, 0, READ }, out[BUS_ADU_MAX];

	(void)arg;
	for (int d = 0; d < device_count; d++) {
		size_t n = bus_mbap_frame(bare[d].transaction, 1, pdu, sizeof pdu, out);

		if (!bare[d].waiting)
			bare[d].waiting = send(bare[d].fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
		bare[d].transaction += bare[d].waiting;
	}
	loop_timer_set(loop, &beat, beat.at_boot_us + period_us);
}

static int bare_loop(const char *first, uint16_t port, int hz, struct err *e)
{
	struct loop_source *end;
	int on = 1;

	for (int d = 0; d < device_count; d++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host_at(first, d)) };

		bare[d].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bare[d].fd < 0 || connect(bare[d].fd, (struct sockaddr *)&a, sizeof a) < 0)
			return err_set(e, ERR_UNREACHABLE, errno, "cannot connect to %s", inet_ntoa(a.sin_addr));
		(void)setsockopt(bare[d].fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
		if (loop_add_fd(loop, bare[d].fd, LOOP_READ, bare_answer, &bare[d], &bare[d].source, e) < 0)
			return -1;
	}
	period_us = US_PER_S / hz;
	beat.fn = bare_ask;
	loop_timer_set(loop, &beat, now_read().boot_us);
	if (loop_add_fd(loop, STDIN_FILENO, LOOP_READ, on_end, NULL, &end, e) < 0)
		return -1;
	return loop_run(loop, e);
}

int main(int argc, char **argv)
{
	struct err e;
	int port, last, rc;

	if (argc != 6) {
		fputs("usage: rates serve|poll|loop|bare HOST PORT N SLOW|HZ\n", stderr);
		return 64;
	}
	port = atoi(argv[3]);
	device_count = atoi(argv[4]);
	last = atoi(argv[5]);
	if (device_count < 1 || device_count > DEVICES_MAX || (!str_eq(argv[1], "serve") && last < 1))
		return 64;
	if (str_eq(argv[1], "loop"))
		return loop_over(argv[2], port, last);
	if (loop_new(&loop, &e) < 0)
		return 74;
	if (str_eq(argv[1], "serve"))
		rc = serve(argv[2], (uint16_t)port, last, &e);
	else if (str_eq(argv[1], "bare"))
		rc = bare_loop(argv[2], (uint16_t)port, last, &e);
	else
		rc = poll_them(argv[2], (uint16_t)port, last, &e);
	if (rc < 0)
		fprintf(stderr, "rates: %s\n", e.text);
	return rc < 0 ? 74 : 0;
}
