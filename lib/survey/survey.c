/* The questions: one at a time, counted and paced; a device that stops answering is left alone. */
#include <string.h>

#include "survey/inside.h"

enum { SILENT_MAX = 3, TURN_MS = 200 };

int survey_new(const struct bus_address *a, const struct survey_options *o, struct survey **out, struct err *e)
{
	const struct bus_options options = { .answer_ms = o->answer_ms, .pause_ms = o->pause_ms };
	struct survey *s = xcalloc(1, sizeof *s);

	s->options = *o;
	s->unit = a->unit;
	s->deadline_us = now_read().boot_us + o->patience_ms * US_PER_MS;
	s->banks[BUS_READ_HOLDING] = xcalloc(1, sizeof *s->banks[0]);
	s->banks[BUS_READ_INPUT] = xcalloc(1, sizeof *s->banks[0]);
	if (loop_new(&s->loop, e) < 0 || bus_link_new(s->loop, a, &options, &s->link, e) < 0) {
		survey_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void survey_free(struct survey *s)
{
	if (s == NULL)
		return;
	bus_link_free(s->link);
	if (s->loop != NULL)
		loop_free(s->loop);
	free(s->banks[BUS_READ_HOLDING]);
	free(s->banks[BUS_READ_INPUT]);
	free(s);
}

static void replied(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct survey *s = arg;

	(void)q;
	s->reply = *r;
	s->got = true;
}

static bool may_go_on(struct survey *s)
{
	if (s->options.interrupted != NULL && *s->options.interrupted)
		s->stopped = "interrupted";
	else if (s->asked >= s->options.questions)
		s->stopped = "the number of questions was used up";
	else if (now_read().boot_us >= s->deadline_us)
		s->stopped = "the time was used up";
	else if (s->silent >= SILENT_MAX)
		s->stopped = "the device does not answer any more";
	return s->stopped == NULL;
}

static void note_reply(struct survey *s)
{
	const struct bus_reply *r = &s->reply;

	if (r->outcome == BUS_OK || r->outcome == BUS_EXCEPTION) {
		s->silent = 0;
		s->answered = true;
		s->latencies[s->latency_count++ % SURVEY_LATENCIES] = r->received_boot_us - r->sent_boot_us;
		return;
	}
	s->silent++;
	bus_reply_words(r, s->why, sizeof s->why);
}

/* The answer is in s->reply. false: stopped, or nothing came. */
static bool ask(struct survey *s, const struct bus_request *q)
{
	struct bus_request asked = *q;
	struct err e;

	if (!may_go_on(s))
		return false;
	asked.unit = s->unit;
	s->got = false;
	s->asked++;
	if (bus_link_ask(s->link, &asked, 0, replied, s, &e) < 0) {
		s->stopped = "the line cannot be used";
		str_copy(s->why, sizeof s->why, e.text);
		return false;
	}
	while (!s->got) {
		if (loop_turn(s->loop, now_read().boot_us + TURN_MS * US_PER_MS, &e) < 0 ||
		    (s->options.interrupted != NULL && *s->options.interrupted)) {
			s->stopped = "interrupted";
			return false;
		}
	}
	note_reply(s);
	if (s->options.step != NULL)
		s->options.step(s->options.arg, s->asked, s->found);
	return true;
}

int survey_probe(struct survey *s, uint8_t function, uint32_t first, uint32_t count)
{
	struct bus_request q = { .function = function, .address = (uint16_t)first, .count = (uint16_t)count };
	struct bank *b = s->banks[function];

	if (count == 0 || count > BUS_READ_MAX || first + count > 65536)
		return 0;
	if (!ask(s, &q))
		return -1;
	if (s->reply.outcome != BUS_OK)
		return 0;
	if (count > s->longest)
		s->longest = (uint16_t)count;
	for (uint32_t i = 0; i < count; i++) {
		s->found += !b->here[first + i];
		b->here[first + i] = true;
		b->now[first + i] = s->reply.regs[i];
	}
	return 1;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void survey_sum_up(const struct survey *s, struct survey_summary *out)
{
	int64_t sorted[SURVEY_LATENCIES];
	size_t n = s->latency_count < SURVEY_LATENCIES ? s->latency_count : SURVEY_LATENCIES;

	*out = (struct survey_summary){ .asked = s->asked, .registers = s->found, .longest_read = s->longest,
					.stopped = s->stopped };
	memcpy(out->everywhere, s->everywhere, sizeof out->everywhere);
	memcpy(sorted, s->latencies, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_size);
	if (n > 0) {
		out->p50_us = sorted[n / 2];
		out->slowest_us = sorted[n - 1];
	}
}

/* ---- who it is ---- */

static void walk(struct survey *s, struct survey_identity *out)
{
	struct device_walk w;
	struct device_probe p;

	device_walk_begin(&w);
	while (device_walk_next(&w, &p)) {
		const struct bus_request q = { .function = p.function, .address = p.address, .count = p.count };

		if (!ask(s, &q))
			return;
		if (s->reply.outcome != BUS_OK && s->reply.outcome != BUS_EXCEPTION)
			return;
		device_walk_answer(&w, s->reply.outcome == BUS_OK ? s->reply.regs : NULL, s->reply.count);
	}
	out->sunspec = w.found;
}

static void read_model_1(struct survey *s, struct survey_identity *out)
{
	struct bus_request q = { .function = BUS_READ_HOLDING };

	for (size_t i = 0; i < out->sunspec.model_count; i++) {
		const struct device_model *m = &out->sunspec.models[i];

		if (m->id != 1 || m->length < 65 || m->length > BUS_READ_MAX)
			continue;
		q.address = m->address;
		q.count = m->length;
		if (!ask(s, &q) || s->reply.outcome != BUS_OK)
			return;
		device_sunspec_identity(s->reply.regs, s->reply.count, &out->identity);
		str_copy(out->how, sizeof out->how, "SunSpec model 1");
		return;
	}
}

static void ask_fc43(struct survey *s, struct survey_identity *out)
{
	const struct bus_request q = { .function = BUS_DEVICE_ID, .address = 0, .count = 1 };
	struct device_identity i;

	if (!ask(s, &q) || s->reply.outcome != BUS_OK)
		return;
	if (!device_fc43_identity(s->reply.bytes, s->reply.count, &i))
		return;
	out->identity = i;
	str_copy(out->how, sizeof out->how, "device identification (FC 43/14)");
}

/* Its bytes are the maker's own; what can be read of them is shown to a person, and no more. */
static void ask_fc17(struct survey *s, struct survey_identity *out)
{
	const struct bus_request q = { .function = BUS_REPORT_ID };
	char text[sizeof out->report];
	size_t len = 0;

	if (!ask(s, &q) || s->reply.outcome != BUS_OK)
		return;
	for (size_t i = 1; i < s->reply.count && len + 1 < sizeof text; i++)
		if (s->reply.bytes[i] >= ' ' && s->reply.bytes[i] < 0x7f)
			text[len++] = (char)s->reply.bytes[i];
	text[len] = '\0';
	str_copy(out->report, sizeof out->report, text);
}

/* A device that is silent to a function that it does not know is no silent device. */
static void forgive(struct survey *s)
{
	if (!s->answered || s->stopped != NULL)
		return;
	s->silent = 0;
}

int survey_identify(struct survey *s, struct survey_identity *out, struct err *e)
{
	*out = (struct survey_identity){ 0 };
	walk(s, out);
	read_model_1(s, out);
	forgive(s);
	if (out->how[0] == '\0') {
		ask_fc43(s, out);
		forgive(s);
		ask_fc17(s, out);
		forgive(s);
	}
	if (s->answered)
		return 0;
	return err_set(e, s->stopped != NULL && str_eq(s->stopped, "interrupted") ? ERR_INTERRUPTED : ERR_UNREACHABLE,
		       0, "%s",
		       s->why[0] ? s->why : s->stopped != NULL ? s->stopped : "no answer");
}
