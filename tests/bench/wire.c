/* Sixteen Modbus TCP devices on loopback, and a clock at their side of the wire: how long after the meter's answer leaves
 * does the set-point that it asks for arrive? Nothing here trusts what a controller says of itself.
 *
 *     wire HOST PORT      HOST is 127.A.B.C: the meter; the battery inverter is one further, 14 PV inverters follow
 *
 * "ready" on stdout when all listen. On stdin a line each: "go" gives the meter a new power at every read of it, 50 to 149 W
 * from the one before, so that every sample asks for another set-point, and forgets what was counted; "report" prints
 *
 *     seconds S questions N registers N samples N answered N missed N stray N p50 US p99 US p999 US max US
 *
 * A sample is a read of the block with the meter's power that the client reads most; a slower block that takes it along is none.
 * A set-point belongs to the sample whose load it covers to a watt, however late it comes. Images are the simulated site's,
 * the battery does at once what it is told, and the meter shows load minus battery. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve.h"
#include "sim/inside.h"

enum { DEVICES = 16, PEERS_MAX = 256, RECENT = 64, LATENCIES_MAX = 1 << 17, BLOCKS_MAX = 8, METER = 0, BATTERY = 1 };
enum { METER_W = SUNSPEC_BASE + SUNSPEC_COMMON_LEN + 2 + 18, STEADY_W = 1500 };

struct sample { double load_w; int64_t left_us; bool answered; };
struct block { uint16_t address, count; uint64_t reads; };

static struct loop *loop;
static struct image images[DEVICES];
static struct view site_view;
static uint16_t out_w_rte;             /* where OutWRte of the battery lies */
static struct block blocks[BLOCKS_MAX]; /* of the meter, with its power */
static bool moving;
static double load_w = STEADY_W, battery_w;
static struct rng rng;
static struct sample recent[RECENT];
static uint64_t samples, answered, stray, questions, registers;
static int64_t began_us, latencies_us[LATENCIES_MAX];

static int64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- what is measured ---- */

/* Up and down like a house in a hurry. Power that jumped to and fro at every sample would look as an oscillation does,
 * and the law would, rightly, be slowed. */
static void next_load(void)
{
	static int way = 1;

	if ((way > 0 && load_w > 4300) || (way < 0 && load_w < 700))
		way = -way;
	load_w += way * (50 + (double)(rng_next(&rng) % 100));
}

static void sample_leaves(int64_t left_us)
{
	recent[samples++ % RECENT] = (struct sample){ load_w, left_us, false };
}

static bool covers(const struct bus_request *q, uint16_t address)
{
	return address >= q->address && address < q->address + q->count;
}

static bool is_sample(const struct bus_request *q)
{
	struct block *most = blocks, *b = NULL;

	if (!covers(q, METER_W))
		return false;
	for (size_t i = 0; i < BLOCKS_MAX; i++) {
		if (!b && (blocks[i].reads == 0 || (blocks[i].address == q->address && blocks[i].count == q->count)))
			b = &blocks[i];
		if (blocks[i].reads > most->reads)
			most = &blocks[i];
	}
	if (!b)
		return false;
	*b = (struct block){ q->address, q->count, b->reads + 1 };
	return b->reads >= most->reads;
}

/* The half of the window that says "at most so much discharge" is the set-point; both halves come in one frame, or it is
 * the second that completes it. */
static void setpoint_arrived(int64_t at_us)
{
	battery_w = (int16_t)*image_at(&images[BATTERY], BUS_READ_HOLDING, out_w_rte, 1) / 10000.0 * site_view.inverter_w;
	for (uint64_t i = samples; moving && i > 0 && i + RECENT > samples; i--) {
		struct sample *s = &recent[(i - 1) % RECENT];

		if (s->answered || s->load_w > battery_w + 1.5 || s->load_w < battery_w - 1.5)
			continue;
		s->answered = true;
		if (answered < LATENCIES_MAX)
			latencies_us[answered++] = at_us - s->left_us;
		return;
	}
	stray += moving;
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static long long share_us(double share)
{
	size_t n = answered, i = (size_t)(share * (double)n);

	return n ? (long long)latencies_us[i < n ? i : n - 1] : -1;
}

static void report(void)
{
	qsort(latencies_us, answered, sizeof latencies_us[0], by_value);
	/* The last sample may still be on its way. */
	printf("seconds %.1f questions %llu registers %llu samples %llu answered %llu missed %llu stray %llu p50 %lld p99 %lld "
	       "p999 %lld max %lld\n",
	       (double)(clock_us() - began_us) / 1e6, (unsigned long long)questions, (unsigned long long)registers,
	       (unsigned long long)samples, (unsigned long long)answered,
	       (unsigned long long)(samples > answered + 1 ? samples - answered - 1 : 0), (unsigned long long)stray,
	       share_us(0.5), share_us(0.99), share_us(0.999), share_us(1));
	fflush(stdout);
}

static void go(void)
{
	moving = true;
	samples = answered = stray = questions = registers = 0;
	began_us = clock_us();
}

/* ---- the devices ---- */

struct peer { int fd, device; struct loop_source *source; };

static void refresh(int device)
{
	struct view *v = &site_view;

	v->at_us = clock_us();
	v->battery_w = v->command_w = battery_w;
	v->grid_w = load_w - battery_w;
	for (int i = 0; i < 3; i++)
		v->grid_l_w[i] = v->grid_w / 3;
	images[device].kind->refresh(&images[device], v);
}

/* Answer one whole frame; false: what came is none. */
static bool answer(const struct peer *p, const uint8_t *in, size_t len, int64_t at_us)
{
	struct image *i = &images[p->device];
	uint8_t pdu[BUS_PDU_MAX], adu[BUS_ADU_MAX];
	struct bus_request q = { 0 };
	bool read, sample;
	size_t n;
	uint8_t no;

	if (!bus_pdu_parse_request(in + BUS_MBAP_LEN, len - BUS_MBAP_LEN, &q))
		return false;
	questions++;
	registers += q.count;
	read = q.function == BUS_READ_HOLDING;
	no = image_judge(i, &q);
	sample = !no && read && p->device == METER && is_sample(&q);
	if (sample && moving)
		next_load();
	if (!no && read)
		refresh(p->device);
	else if (!no)
		image_store(i, &q);
	if (!no && !read && p->device == BATTERY && (covers(&q, out_w_rte) || covers(&q, out_w_rte + 1)))
		setpoint_arrived(at_us);
	n = no ? bus_pdu_encode_exception(q.function, no, pdu)
	       : bus_pdu_encode_reply(&q, read ? image_at(i, q.function, q.address, q.count) : q.values, pdu);
	n = bus_mbap_frame((uint16_t)(in[0] << 8 | in[1]), in[6], pdu, n, adu);
	/* Before, not after: send wakes the client, which may have this processor until its set-point is out. */
	if (sample)
		sample_leaves(clock_us());
	return send(p->fd, adu, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void drop(struct peer *p)
{
	loop_remove(p->source);
	close(p->fd);
	free(p);
}

/* A client has one question in flight, so a frame is a segment on loopback. */
static void on_peer(void *arg, int fd, unsigned events)
{
	struct peer *p = arg;
	uint8_t in[BUS_ADU_MAX];
	ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
	int64_t at_us = clock_us();

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= BUS_MBAP_LEN || n != 6 + (in[4] << 8 | in[5]) || !answer(p, in, (size_t)n, at_us))
		drop(p);
}

static void on_connection(void *arg, int fd, unsigned events)
{
	struct peer *p;
	struct err e;
	int peer_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

	(void)events;
	if (peer_fd < 0)
		return;
	(void)setsockopt(peer_fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
	p = xcalloc(1, sizeof *p);
	*p = (struct peer){ .fd = peer_fd, .device = (int)(intptr_t)arg };
	if (loop_add_fd(loop, peer_fd, LOOP_READ, on_peer, p, &p->source, &e) < 0)
		drop(p);
}

/* Where model 124 begins, by a walk as a client makes it. */
static void find_setpoint(void)
{
	uint16_t at = SUNSPEC_BASE + 2, *m;

	while ((m = image_at(&images[BATTERY], BUS_READ_HOLDING, at, 2)) && m[0] != 0xFFFF && m[0] != 124)
		at = (uint16_t)(at + 2 + m[1]);
	out_w_rte = (uint16_t)(at + 12);
}

static int serve(const char *host, uint16_t port, struct err *e)
{
	const struct image_kind *const kinds[] = { &image_meter, &image_battery, &image_pv };
	struct words words = { NULL, go, report };
	struct in_addr first;

	if (inet_pton(AF_INET, host, &first) != 1 || ntohl(first.s_addr) >> 24 != 127)
		return err_set(e, ERR_USAGE, 0, "'%s' is not an address of 127.0.0.0/8", host);
	if (loop_new(&loop, e) < 0)
		return -1;
	for (int d = 0; d < DEVICES; d++) {
		image_begin(&images[d], kinds[d < 2 ? d : 2], (uint64_t)d, &site_view);
		if (listen_at(loop, ntohl(first.s_addr) + (uint32_t)d, port, on_connection, (void *)(intptr_t)d, e) < 0)
			return -1;
	}
	find_setpoint();
	words.loop = loop;
	return serve_words(&words, e);
}

int main(int argc, char **argv)
{
	struct err e;

	if (argc != 3) {
		fputs("usage: wire HOST PORT\n", stderr);
		return 64;
	}
	rng_seed(&rng, 16);
	site_view = (struct view){ .grid_v = { 230, 230, 230 }, .grid_hz = 50, .soc_percent = 50, .battery_v = 400, .pv_w = 800,
				   .charge_limit_w = 5000, .discharge_limit_w = 5000, .battery_wh = 10000, .inverter_w = 5000,
				   .efficiency = 0.95, .watchdog_s = 60 };
	if (serve(argv[1], (uint16_t)atoi(argv[2]), &e) < 0) {
		fprintf(stderr, "wire: %s\n", e.text);
		return 74;
	}
	return 0;
}
