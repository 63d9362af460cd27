#include "scan/scan.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/resource.h>

#include "dialogue.h"
#include "host/host.h"
#include "site/site.h"
#include "target.h"
#include "unit.h"

enum { WORTH_A_WORD_MS = 2000, LATENESS_US = 20000, SPARE_DESCRIPTORS = 64, FLIGHT_MAX = 2048 };

struct scan {
	struct loop *loop;
	const struct device_catalogue *catalogue;
	struct scan_options options;
	struct scan_hooks hooks;
	struct targets targets;
	struct { struct bus_address address; char name[SITE_NAME_LEN]; } in_use[SITE_DEVICES_MAX];
	size_t in_use_count;
	struct dialogue **dialogues;   /* one a target, while it is in flight */
	size_t next, flying, flight_max;
	struct scan_progress progress;
	struct loop_timer begin;       /* at the turn of the next target, when it has one */
	bool has_turn;
	int64_t turn_us;               /* the next that nobody has yet */
	/* for the explanation */
	size_t answered, refused, timed_out;
	struct buf lines;              /* why a line or gateway gave nothing, a line of text each */
};

void scan_options_default(struct scan_options *o)
{
	*o = (struct scan_options){ .pace_per_s = 500, .connect_ms = 500, .answer_ms = 1000 };
}

static void on_row(void *arg, const struct scan_row *row)
{
	struct scan *s = arg;

	s->progress.found += row->state == SCAN_DEVICE;
	s->hooks.row(s->hooks.arg, row);
}

/* The one that takes longest, when it takes long enough to be worth a word. */
static void where(struct scan *s)
{
	int64_t left_ms, most_ms = WORTH_A_WORD_MS;
	char words[64];

	s->progress.where[0] = '\0';
	for (size_t i = 0; i < s->next; i++) {
		left_ms = s->dialogues[i] ? dialogue_where(s->dialogues[i], words) : 0;
		if (left_ms <= most_ms)
			continue;
		most_ms = left_ms;
		snprintf(s->progress.where, sizeof s->progress.where, "%s, about %lld s left", words,
			 (long long)(left_ms + 999) / 1000);
	}
}

static void report(struct scan *s)
{
	if (s->hooks.progress)
		where(s);
	if (s->hooks.progress)
		s->hooks.progress(s->hooks.arg, &s->progress);
}

static void end_if_done(struct scan *s)
{
	if (s->progress.finished == s->progress.hosts && s->hooks.done)
		s->hooks.done(s->hooks.arg);
}

static void take_turn(struct scan *s);

static void on_step(void *arg)
{
	report(arg);
}

static void line_gave_nothing(struct scan *s, const struct bus_address *a, const struct dialogue *d)
{
	if (a->kind != BUS_RTU)
		return;
	buf_addf(&s->lines, "%s: %s\n", a->path, dialogue_silent(d) ?
		 "no unit answered: check A/B wires, ground, termination, baud and parity; --every-unit asks 1…247" :
		 dialogue_why(d));
}

static void on_done(void *arg, struct dialogue *d)
{
	struct scan *s = arg;
	size_t i = 0;

	while (s->dialogues[i] != d)
		i++;
	if (dialogue_answered(d))
		s->answered++;
	else if (strstr(dialogue_why(d), "refused"))
		s->refused++;
	else
		s->timed_out++;
	if (!dialogue_answered(d))
		line_gave_nothing(s, &s->targets.addresses[i], d);
	s->dialogues[i] = NULL;
	dialogue_free(d);
	s->flying--;
	s->progress.finished++;
	report(s);
	take_turn(s);
	end_if_done(s);
}

/* A connection goes out a little after its turn and the next one in time. Turns lie that much wider apart, so that no
 * second sees more than the pace. */
static int64_t on_turn(void *arg)
{
	struct scan *s = arg;
	int64_t now_us = loop_now(s->loop)->boot_us, turn_us = s->turn_us > now_us ? s->turn_us : now_us;

	s->turn_us = turn_us + (US_PER_S + LATENESS_US) / s->options.pace_per_s + 1;
	return turn_us;
}

/* One host and port is one connection, whatever goes over it. */
static bool same_door(const struct bus_address *a, const struct bus_address *b)
{
	struct bus_address other = *a;

	if (a->kind != BUS_RTU && b->kind != BUS_RTU)
		other.kind = b->kind;
	return bus_address_same_link(&other, b);
}

/* A target that is in use is told, not asked. */
static bool left_alone(struct scan *s, size_t i)
{
	const struct bus_address *a = &s->targets.addresses[i];
	struct scan_row row = { .state = SCAN_MODBUS, .address = *a };

	for (size_t k = 0; k < s->in_use_count; k++)
		if (same_door(&s->in_use[k].address, a))
			row_fault(&row, "in use as '%s': left alone", s->in_use[k].name);
	if (!row.fault_count)
		return false;
	s->answered++;
	s->progress.finished++;
	s->hooks.row(s->hooks.arg, &row);
	return true;
}

static void begin(struct scan *s, size_t i)
{
	struct dialogue_hooks hooks = { on_row, on_step, on_turn, on_done, s };
	struct err e;

	if (left_alone(s, i))
		return;
	if (dialogue_new(s->loop, s->catalogue, &s->targets.addresses[i], s->targets.baud_given[i], &s->options, &hooks,
			 &s->dialogues[i], &e) < 0) {
		buf_addf(&s->lines, "%s\n", e.text);
		s->progress.finished++;
		return;
	}
	s->flying++;
	dialogue_start(s->dialogues[i]);
}

/* For the next target, when there is one and it may fly. */
static void take_turn(struct scan *s)
{
	if (s->has_turn || s->next == s->targets.count || s->flying >= s->flight_max)
		return;
	s->has_turn = true;
	loop_timer_set(s->loop, &s->begin, on_turn(s));
}

static void begin_next(void *arg)
{
	struct scan *s = arg;

	s->has_turn = false;
	begin(s, s->next++);
	s->progress.begun = s->next;
	report(s);
	take_turn(s);
	end_if_done(s);
}

void scan_raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY ||
	    r.rlim_cur >= FLIGHT_MAX + SPARE_DESCRIPTORS)
		return;
	r.rlim_cur = r.rlim_max < FLIGHT_MAX + SPARE_DESCRIPTORS ? r.rlim_max : FLIGHT_MAX + SPARE_DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static size_t descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
		return FLIGHT_MAX;
	return r.rlim_cur > 2 * SPARE_DESCRIPTORS ? r.rlim_cur - SPARE_DESCRIPTORS : SPARE_DESCRIPTORS;
}

int scan_new(struct loop *l, const struct device_catalogue *c, const char *const *targets, size_t count,
	     const struct scan_options *o, const struct scan_hooks *hooks, struct scan **out, struct err *e)
{
	struct scan *s = xcalloc(1, sizeof *s);

	s->loop = l;
	s->catalogue = c;
	s->options = *o;
	s->hooks = *hooks;
	s->begin = (struct loop_timer){ .fn = begin_next, .arg = s };
	for (size_t i = 0; i < count; i++) {
		if (targets_add(&s->targets, targets[i], e) < 0) {
			scan_free(s);
			return -1;
		}
	}
	s->progress.hosts = s->targets.count;
	s->dialogues = xcalloc(s->targets.count + 1, sizeof *s->dialogues);
	s->flight_max = descriptors();
	if (s->flight_max > FLIGHT_MAX)
		s->flight_max = FLIGHT_MAX;
	*out = s;
	return 0;
}

void scan_leave_alone(struct scan *s, const struct bus_address *a, const char *name)
{
	if (s->in_use_count == COUNT_OF(s->in_use))
		return;
	s->in_use[s->in_use_count].address = *a;
	str_copy(s->in_use[s->in_use_count++].name, SITE_NAME_LEN, name);
}

void scan_start(struct scan *s)
{
	take_turn(s);
}

void scan_break_off(struct scan *s)
{
	for (size_t i = 0; i < s->next; i++)
		if (s->dialogues[i])
			dialogue_flush(s->dialogues[i]);
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	loop_timer_stop(s->loop, &s->begin);
	for (size_t i = 0; s->dialogues && i < s->next; i++)
		dialogue_free(s->dialogues[i]);
	free(s->dialogues);
	targets_release(&s->targets);
	buf_release(&s->lines);
	free(s);
}

static void explain_network(const struct bus_address *a, struct buf *text)
{
	struct host_link link;
	struct in_addr in;
	struct err e;

	if (inet_pton(AF_INET, a->host, &in) != 1 || host_link_to(&in, &link, &e) < 0)
		return;
	if (!link.routed)
		buf_addf(text, "no route to %s: no port of this machine is on that network\n", a->host);
	else if (!link.up)
		buf_addf(text, "port %s is down: `ip link set %s up`\n", link.name, link.name);
	else if (!link.carrier)
		buf_addf(text, "port %s has no carrier: is the cable plugged in, the switch on?\n", link.name);
	else if (!link.direct)
		buf_addf(text, "%s is not on the network of port %s (%s), packets went to its router: wrong subnet?\n",
			 a->host, link.name, link.own[0] ? link.own : "no address");
}

void scan_explain(const struct scan *s, struct buf *text)
{
	const struct bus_address *first = s->targets.addresses;

	if (s->lines.len)
		buf_adds(text, s->lines.data);
	if (s->answered || !s->targets.count)
		return;
	if (s->refused)
		buf_addf(text, "%zu of %zu hosts are there, but refuse port %u: is Modbus TCP switched on, is the port "
			 "another?\n", s->refused, s->targets.count, first->port);
	else if (s->timed_out && first->kind != BUS_RTU)
		buf_addf(text, "%zu addresses did not answer on port %u within %d ms\n", s->timed_out, first->port,
			 s->options.connect_ms);
	if (first->kind != BUS_RTU)
		explain_network(first, text);
}
