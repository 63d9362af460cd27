#include "dialogue.h"

#include <string.h>

#include "probes.h"

enum {
	UNITS_MAX = 256,
	SILENCES_MAX = 2,          /* TCP: so many units in a row without an answer, and no other is tried */
	FAILURES_MAX = 3,          /* closings, garbled or missing answers within a unit that did answer */
	SAME_EXCEPTIONS_MAX = 8,   /* the same no to everything */
	NOBODY = 199,              /* a unit that no site uses: who answers for it answers for every unit */
	PATIENCE_MIN_MS = 250,
	RTU_ANSWER_MS = 300,
	QUIET_MS = 50,             /* a line that is only read, and bus knows late answers */
	GATEWAY_NO_PATH = 0x0A, GATEWAY_NO_ANSWER = 0x0B, DEVICE_BUSY = 6, /* MAP 7 */
	FC43_BASIC = 1,            /* MAP 6.21: ReadDevId code */
};

static const uint8_t likely_tcp[] = { 1, 2, 3, 255, 247, 71, 100, 126, 240, 0 };
static const uint8_t likely_rtu[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 100, 126, 240, 247 };
/* The commonest first; 19200 E is the standard's default (MSL 2.5.1). */
static const struct { uint32_t baud; char parity; uint8_t stop; } settings[] = {
	{ 9600, 'N', 1 }, { 19200, 'E', 1 }, { 38400, 'N', 1 }, { 115200, 'N', 1 }, { 4800, 'N', 1 },
};

enum phase { WALK, MODEL_1, FC43, PROBES, IS_ANYBODY };

struct dialogue {
	struct loop *loop;
	const struct device_catalogue *catalogue;
	struct bus_address address;
	const struct scan_options *options;
	struct dialogue_hooks hooks;
	struct bus_link *link;
	struct loop_timer later;
	bool fixed_setting;
	size_t setting;
	/* which units */
	uint8_t units[UNITS_MAX];
	bool listed[256];
	size_t unit_count, unit_at;
	uint8_t unit;
	/* what the host showed so far */
	bool spoke, busy, noise, over;
	int silences, closings, garbled, refusals;
	uint8_t last_exception;
	int64_t slowest_us;
	char why[96];
	/* the unit at hand */
	enum phase phase;
	bool heard, gave_value;
	int failures, same_exceptions;
	struct device_walk walk;
	size_t probe_at;
	struct scan_row row;
	struct probes probes;
	/* a named unit waits here until it is known whether the next is another one */
	bool holds;
	struct scan_row held;
	bool anybody_asked;
	uint8_t doubted;
	struct device_probe doubted_answer; /* to what it answered */
};

static void on_reply(void *arg, const struct bus_request *q, const struct bus_reply *r);
static void next_unit(struct dialogue *d);

/* ---- rows ---- */

static void fault(struct scan_row *row, const char *fmt, ...) printf_like(2, 3);
static void fault(struct scan_row *row, const char *fmt, ...)
{
	va_list args;

	if (row->fault_count == SCAN_FAULTS_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(row->faults[row->fault_count++], sizeof *row->faults, fmt, args);
	va_end(args);
}

static void flush(struct dialogue *d)
{
	if (d->holds)
		d->hooks.row(d->hooks.arg, &d->held);
	d->holds = false;
}

static void host_row(struct dialogue *d, enum scan_state state, const char *text)
{
	struct scan_row row = { .state = state, .address = d->address };

	row.address.has_unit = false;
	fault(&row, "%s", text);
	d->hooks.row(d->hooks.arg, &row);
}

/* Nothing was named: say what the host did instead. */
static void tell_host(struct dialogue *d)
{
	char text[96];

	if (d->noise) {
		host_row(d, SCAN_NOT_MODBUS,
			 "bytes with a wrong CRC: other baud or parity, or two devices on one unit");
	} else if (d->busy) {
		host_row(d, SCAN_MODBUS, "busy (exception 6): another master may hold it; try again, or stop that one");
	} else if (d->refusals) {
		const char *name = bus_exception_name(d->last_exception);

		snprintf(text, sizeof text, "exception %u (%s) to every question; has it another unit or map?",
			 d->last_exception, name ? name : "unknown");
		host_row(d, SCAN_MODBUS, text);
	} else if (d->garbled) {
		snprintf(text, sizeof text, "answers something else than Modbus: %.55s", d->why);
		host_row(d, SCAN_NOT_MODBUS, text);
	} else if (d->closings) {
		host_row(d, SCAN_SILENT, "closes the connection unasked: it may serve one master only, and has one");
	} else if (d->silences && d->address.kind == BUS_TCP) {
		host_row(d, SCAN_SILENT, "accepts the connection and answers no likely unit; try --every-unit");
	}
}

/* ---- the end, outside of the link's callback ---- */

static void on_over(void *arg)
{
	struct dialogue *d = arg;

	bus_link_free(d->link);
	d->link = NULL;
	d->hooks.done(d->hooks.arg, d);
}

static void finish(struct dialogue *d)
{
	if (d->over)
		return;
	d->over = true;
	if (d->holds || d->gave_value)
		flush(d);
	else
		tell_host(d);
	d->later.fn = on_over;
	loop_timer_set(d->loop, &d->later, loop_now(d->loop)->boot_us);
}

/* ---- asking ---- */

static int patience_ms(const struct dialogue *d)
{
	int answer_ms = d->address.kind == BUS_RTU && d->options->answer_ms > RTU_ANSWER_MS && !d->spoke ? RTU_ANSWER_MS :
			d->options->answer_ms;
	int64_t seen_ms = 4 * d->slowest_us / US_PER_MS;

	/* A host that answered shows how long its other units may take. */
	if (!d->spoke || d->heard || seen_ms >= answer_ms)
		return answer_ms;
	return seen_ms > PATIENCE_MIN_MS ? (int)seen_ms : PATIENCE_MIN_MS;
}

static void ask(struct dialogue *d, uint8_t function, uint16_t address, uint16_t count)
{
	struct bus_request q = { .unit = d->unit, .function = function, .address = address, .count = count };
	struct err e;

	if (bus_link_ask(d->link, &q, patience_ms(d), on_reply, d, &e) == 0)
		return;
	str_copy(d->why, sizeof d->why, e.text);
	finish(d);
}

static void ask_next(struct dialogue *d);

static void begin_unit(struct dialogue *d, uint8_t unit)
{
	d->unit = unit;
	d->phase = WALK;
	d->heard = d->gave_value = false;
	d->failures = d->same_exceptions = 0;
	d->probe_at = 0;
	d->row = (struct scan_row){ .state = SCAN_DEVICE, .address = d->address };
	d->row.address.unit = unit;
	d->row.address.has_unit = true;
	device_walk_begin(&d->walk);
	probes_forget(&d->probes);
	ask_next(d);
}

static void list_unit(struct dialogue *d, uint8_t unit)
{
	if (d->listed[unit])
		return;
	d->listed[unit] = true;
	d->units[d->unit_count++] = unit;
}

static void list_units(struct dialogue *d)
{
	const uint8_t *likely = d->address.kind == BUS_TCP ? likely_tcp : likely_rtu;
	size_t n = d->address.kind == BUS_TCP ? COUNT_OF(likely_tcp) : COUNT_OF(likely_rtu);

	if (d->address.has_unit) {
		list_unit(d, d->address.unit);
		return;
	}
	for (size_t i = 0; i < n; i++)
		list_unit(d, likely[i]);
	for (int unit = 1; d->options->every_unit && unit <= 247; unit++)
		list_unit(d, (uint8_t)unit);
}

static void on_reopen(void *arg)
{
	struct dialogue *d = arg;
	struct err e;
	struct bus_options o = { .connect_ms = d->options->connect_ms,
				 .answer_ms = d->options->answer_ms,
				 .quiet_ms = QUIET_MS };

	bus_link_free(d->link);
	d->link = NULL;
	d->address.baud = settings[d->setting].baud;
	d->address.parity = settings[d->setting].parity;
	d->address.stop = settings[d->setting].stop;
	d->unit_at = 0;
	d->silences = 0;
	if (bus_link_new(d->loop, &d->address, &o, &d->link, &e) < 0) {
		str_copy(d->why, sizeof d->why, e.text);
		finish(d);
		return;
	}
	next_unit(d);
}

static void next_unit(struct dialogue *d)
{
	bool enough = d->address.kind == BUS_TCP && d->silences >= SILENCES_MAX && !d->options->every_unit;

	if (!enough && d->unit_at < d->unit_count) {
		begin_unit(d, d->units[d->unit_at++]);
	} else if (d->address.kind == BUS_RTU && !d->spoke && !d->fixed_setting &&
		   d->setting + 1 < COUNT_OF(settings)) {
		d->setting++;
		d->later.fn = on_reopen;
		loop_timer_set(d->loop, &d->later, loop_now(d->loop)->boot_us);
	} else {
		finish(d);
	}
}

static void ask_next(struct dialogue *d)
{
	struct device_probe p;

	switch (d->phase) {
	case WALK:
		if (device_walk_next(&d->walk, &p))
			ask(d, p.function, p.address, p.count);
		return;
	case MODEL_1: {
		const struct device_model *m = &d->walk.found.models[0];

		ask(d, BUS_READ_HOLDING, m->address, m->length < 66 ? m->length : 66);
		return;
	}
	case FC43:
		ask(d, BUS_DEVICE_ID, 0, FC43_BASIC);
		return;
	case PROBES:
		p = d->probes.ask[d->probe_at];
		ask(d, p.function, p.address, p.count);
		return;
	case IS_ANYBODY:
		d->unit = NOBODY;
		p = d->doubted_answer;
		ask(d, p.function, p.address, p.count);
		return;
	}
}

/* ---- judging a unit ---- */

static void conclude(struct dialogue *d)
{
	const struct device_profile *p;

	if (d->walk.found.found) {
		struct buf b = BUF_INIT;

		d->row.sunspec = d->walk.found;
		p = device_sunspec_profile(d->catalogue, &d->walk.found);
		d->row.match = DEVICE_IDENTIFIED;
		buf_addf(&b, "SunSpec at %u: models", d->walk.found.base);
		for (size_t i = 0; i < d->walk.found.model_count; i++)
			buf_addf(&b, "%s%u", i ? ", " : " ", d->walk.found.models[i].id);
		str_copy(d->row.evidence, sizeof d->row.evidence, b.data);
		buf_release(&b);
		if (d->walk.why[0])
			fault(&d->row, "%.90s", d->walk.why);
	} else {
		p = probes_match(&d->probes, d->catalogue, &d->row.match, d->row.evidence);
	}
	if (p)
		str_copy(d->row.profile, sizeof d->row.profile, device_profile_info(p)->id);
	if (p && !d->row.identity.make[0]) {
		str_copy(d->row.identity.make, sizeof d->row.identity.make, device_profile_info(p)->make);
		if (!d->walk.found.found)
			str_copy(d->row.identity.model, sizeof d->row.identity.model, device_profile_info(p)->model);
	}
	if (!p && d->gave_value)
		fault(&d->row, "answers, but no profile fits: name one in site.yaml or write one, psec-profile(5)");
	if (d->busy)
		fault(&d->row, "was busy (exception 6) in between: another master?");
	if (!d->gave_value) {
		d->refusals++;
		next_unit(d);
		return;
	}
	flush(d);
	d->held = d->row;
	d->holds = true;
	if (d->address.has_unit) {
		finish(d);
	} else {
		next_unit(d);
	}
}

static void after_walk(struct dialogue *d)
{
	const struct device_sunspec *s = &d->walk.found;
	struct device_probe p;

	if (device_walk_next(&d->walk, &p)) {
		ask(d, p.function, p.address, p.count);
		return;
	}
	if (s->found && s->model_count && s->models[0].id == 1 && s->models[0].length >= 64)
		d->phase = MODEL_1;
	else if (s->found)
		return conclude(d);
	else
		d->phase = FC43;
	ask_next(d);
}

/* The answer to the question at hand; NULL: it failed. */
static void take_answer(struct dialogue *d, const struct bus_reply *r)
{
	switch (d->phase) {
	case WALK:
		device_walk_answer(&d->walk, r ? r->regs : NULL, r ? r->count : 0);
		after_walk(d);
		return;
	case MODEL_1:
		if (r)
			device_sunspec_identity(r->regs, r->count, &d->row.identity);
		conclude(d);
		return;
	case FC43:
		/* What is no identification leaves the unit to its registers. */
		if (r && !device_fc43_identity(r->bytes, r->count, &d->row.identity))
			d->row.identity = (struct device_identity){ 0 };
		d->phase = PROBES;
		break;
	case PROBES:
		if (r) {
			memcpy(d->probes.regs[d->probe_at], r->regs, r->count * sizeof r->regs[0]);
			d->probes.answered[d->probe_at] = true;
		}
		d->probe_at++;
		break;
	case IS_ANYBODY:
		if (r) {
			fault(&d->held, "answers to every unit; unit %u is taken", d->held.address.unit);
			finish(d);
		} else {
			d->silences = 0;
			begin_unit(d, d->doubted);
		}
		return;
	}
	if (d->probe_at < d->probes.count && d->same_exceptions < SAME_EXCEPTIONS_MAX)
		ask_next(d);
	else
		conclude(d);
}

/* A second unit answers: before it is believed, one that no site uses is asked the same. */
static bool is_doubted(const struct dialogue *d)
{
	return d->address.kind == BUS_TCP && d->holds && !d->anybody_asked;
}

static void doubt(struct dialogue *d, const struct bus_request *q)
{
	d->anybody_asked = true;
	d->doubted_answer = (struct device_probe){ q->function, q->address, q->count };
	d->doubted = d->unit;
	d->phase = IS_ANYBODY;
	d->heard = false;
	d->failures = 0;
	ask_next(d);
}

static void on_exception(struct dialogue *d, const struct bus_reply *r)
{
	d->spoke = true;
	if (r->exception == GATEWAY_NO_PATH || r->exception == GATEWAY_NO_ANSWER) {
		if (d->phase == IS_ANYBODY)
			take_answer(d, NULL);
		else if (d->heard)
			take_answer(d, NULL);
		else
			next_unit(d);
		return;
	}
	if (r->exception == DEVICE_BUSY)
		d->busy = true;
	d->heard = true;
	d->same_exceptions = r->exception == d->last_exception ? d->same_exceptions + 1 : 1;
	d->last_exception = r->exception;
	take_answer(d, NULL);
}

static void on_failure(struct dialogue *d, const struct bus_reply *r)
{
	bool first = !d->heard && d->phase != IS_ANYBODY;

	str_copy(d->why, sizeof d->why, r->why);
	d->closings += r->outcome == BUS_CLOSED;
	d->garbled += r->outcome == BUS_GARBLED;
	d->noise |= r->outcome == BUS_LINE_NOISE;
	if (first && (r->outcome == BUS_TIMEOUT || r->outcome == BUS_LINE_NOISE)) {
		d->silences++;
		next_unit(d);
	} else if (!d->spoke && d->closings + d->garbled >= 2) {
		finish(d);
	} else if (first) {
		ask_next(d); /* once more: a first answer may be a leftover of somebody else's */
	} else if (++d->failures >= FAILURES_MAX) {
		conclude(d);
	} else {
		take_answer(d, NULL);
	}
}

static void on_reply(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct dialogue *d = arg;

	if (r->received_boot_us - r->sent_boot_us > d->slowest_us && r->outcome != BUS_TIMEOUT)
		d->slowest_us = r->received_boot_us - r->sent_boot_us;
	switch (r->outcome) {
	case BUS_OK:
		d->spoke = true;
		d->silences = 0;
		if (is_doubted(d)) {
			doubt(d, q);
			return;
		}
		if (d->phase != IS_ANYBODY)
			d->heard = d->gave_value = true;
		d->same_exceptions = 0;
		take_answer(d, r);
		return;
	case BUS_EXCEPTION:
		d->silences = 0;
		on_exception(d, r);
		return;
	case BUS_UNREACHABLE:
	case BUS_CANCELLED:
		str_copy(d->why, sizeof d->why, r->why);
		finish(d);
		return;
	default:
		on_failure(d, r);
	}
}

/* ---- life ---- */

int dialogue_new(struct loop *l, const struct device_catalogue *c, const struct bus_address *a, bool fixed_setting,
		 const struct scan_options *o, const struct dialogue_hooks *hooks, struct dialogue **out, struct err *e)
{
	struct dialogue *d = xcalloc(1, sizeof *d);
	struct bus_options bo = { .connect_ms = o->connect_ms, .answer_ms = o->answer_ms, .quiet_ms = QUIET_MS };

	d->loop = l;
	d->catalogue = c;
	d->address = *a;
	d->fixed_setting = fixed_setting;
	d->options = o;
	d->hooks = *hooks;
	d->later.arg = d;
	if (a->kind == BUS_RTU && !fixed_setting) {
		d->address.baud = settings[0].baud;
		d->address.parity = settings[0].parity;
		d->address.stop = settings[0].stop;
	}
	list_units(d);
	probes_collect(&d->probes, c);
	if (bus_link_new(l, &d->address, &bo, &d->link, e) < 0) {
		free(d);
		return -1;
	}
	*out = d;
	return 0;
}

void dialogue_start(struct dialogue *d)
{
	next_unit(d);
}

void dialogue_free(struct dialogue *d)
{
	if (!d)
		return;
	loop_timer_stop(d->loop, &d->later);
	bus_link_free(d->link);
	free(d);
}

bool dialogue_answered(const struct dialogue *d)
{
	return d->spoke || d->closings || d->garbled || d->silences || d->noise;
}

const char *dialogue_why(const struct dialogue *d)
{
	return d->why;
}
