#include "dialogue.h"

#include <string.h>

#include "search.h"
#include "unit.h"

enum {
	SILENCES_MAX = 2,          /* TCP: so many units in a row without an answer, and no other is tried */
	FAILURES_MAX = 3,          /* closings, garbled or missing answers within a unit that did answer */
	NOBODY = 199,              /* a unit that no site uses: who answers for it answers for every unit */
	PATIENCE_MIN_MS = 250,
	RTU_ANSWER_MS = 300,
	QUIET_MS = 20,             /* a line that is only read, and bus knows late answers */
	GATEWAY_NO_PATH = 0x0A, GATEWAY_NO_ANSWER = 0x0B, DEVICE_BUSY = 6, /* MAP 7 */
};

struct dialogue {
	struct loop *loop;
	struct bus_address address;
	const struct scan_options *options;
	struct dialogue_hooks hooks;
	struct bus_link *link;
	struct loop_timer later;
	struct search search;
	uint8_t own[256];              /* units of the site's own profiles */
	size_t own_count;
	/* what the host showed so far */
	bool spoke, named, busy, noise, over, gateway_tried;
	int silences, closings, garbled, refusals;
	uint8_t last_exception, gateway_exception; /* of the last unit that a gateway could not reach; 0: none */
	uint8_t refusing;              /* the first unit that said no to every question */
	int64_t slowest_us;
	uint64_t late;                 /* of the link's late answers, those seen */
	struct bus_second_master second_master;
	char why[120];
	/* the unit at hand */
	struct unit unit;
	bool heard, unhurried;         /* unhurried: it was late once */
	int failures;
	/* a named unit waits here until it is known whether the next is another one */
	bool holds;
	struct scan_row held;
	bool anybody_asked, asking_anybody;
	struct bus_request doubted;    /* the question that the second unit answered */
	struct bus_request waiting;    /* the question that waits for its turn to connect */
};

static void on_reply(void *arg, const struct bus_request *q, const struct bus_reply *r);
static void next_unit(struct dialogue *d);

/* ---- rows ---- */

void dialogue_flush(struct dialogue *d)
{
	if (d->holds)
		d->hooks.row(d->hooks.arg, &d->held);
	d->holds = false;
}

static void host_row(struct dialogue *d, enum scan_state state, const char *text)
{
	struct scan_row row = { .state = state, .address = d->address };

	row.address.has_unit = false;
	row_fault(&row, "%s", text);
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
		snprintf(text, sizeof text, "exception %u (%s) to every question of unit %u%s", d->last_exception,
			 bus_exception_name(d->last_exception), d->refusing,
			 d->refusals > 1 ? " and others" : ": has it another map?");
		host_row(d, SCAN_MODBUS, text);
	} else if (d->gateway_exception) {
		snprintf(text, sizeof text, "exception %u (%s) for every unit tried; try --every-unit",
			 d->gateway_exception, bus_exception_name(d->gateway_exception));
		host_row(d, SCAN_MODBUS, text);
	} else if (d->garbled) {
		snprintf(text, sizeof text, "answers something else than Modbus: %.55s", d->why);
		host_row(d, SCAN_NOT_MODBUS, text);
	} else if (d->closings) {
		host_row(d, SCAN_SILENT, "closes the connection unasked: it may serve one master only, and has one");
	} else if (d->silences && d->address.kind != BUS_RTU) {
		host_row(d, SCAN_SILENT, "accepts the connection and answers no likely unit; try --every-unit");
	}
}

/* Whose questions disturb ours, and are disturbed by them. */
static void tell_second_master(struct dialogue *d)
{
	char words[96], text[96];

	if (!d->second_master.seen)
		return;
	snprintf(text, sizeof text, "%.70s; stop it, scan again", bus_second_master_words(&d->second_master, words));
	host_row(d, SCAN_MODBUS, text);
}

/* ---- the end, outside of the link's callback ---- */

static void on_over(void *arg)
{
	struct dialogue *d = arg;

	bus_link_free(d->link);
	d->link = NULL;
	d->hooks.done(d->hooks.arg, d);
}

static void on_reopen(void *arg);

static void begin_search(struct dialogue *d, bool setting_given, bool few)
{
	const struct search_wish w = { setting_given, d->options->every_unit, few, d->own, d->own_count };

	search_init(&d->search, &d->address, &w);
}

/* A host that takes a connection and knows no MBAP may be a gateway that passes bytes on raw. */
static bool try_as_gateway(struct dialogue *d)
{
	if (d->address.kind != BUS_TCP || d->gateway_tried || !d->silences || d->spoke || d->garbled || d->closings ||
	    (d->address.has_unit && (d->address.unit == 0 || d->address.unit > 247)))
		return false;
	d->gateway_tried = true;
	d->address.kind = BUS_RTU_TCP;
	begin_search(d, true, true);
	d->later.fn = on_reopen;
	loop_timer_set(d->loop, &d->later, d->hooks.turn(d->hooks.arg));
	return true;
}

static void finish(struct dialogue *d)
{
	if (d->over || try_as_gateway(d))
		return;
	d->over = true;
	if (d->gateway_tried && !d->spoke)
		d->address.kind = BUS_TCP; /* as it was named */
	if (d->named)
		dialogue_flush(d);
	else if (!d->second_master.seen)
		tell_host(d);
	tell_second_master(d);
	d->later.fn = on_over;
	loop_timer_set(d->loop, &d->later, loop_now(d->loop)->boot_us);
}

/* ---- asking ---- */

static int patience_ms(const struct dialogue *d)
{
	int most_ms = d->options->answer_ms;
	int64_t seen_ms = 4 * d->slowest_us / US_PER_MS;

	if (d->unhurried || d->heard)
		return most_ms;
	if (!d->spoke)
		return d->address.kind != BUS_TCP && most_ms > RTU_ANSWER_MS ? RTU_ANSWER_MS : most_ms;
	/* A host that answered shows how long its other units may take. */
	if (seen_ms >= most_ms)
		return most_ms;
	return seen_ms > PATIENCE_MIN_MS ? (int)seen_ms : PATIENCE_MIN_MS < most_ms ? PATIENCE_MIN_MS : most_ms;
}

/* connection: as bus_link_ask_on has it. */
static void ask_on(struct dialogue *d, uint64_t connection, const struct bus_request *q)
{
	struct err e;

	if (bus_link_ask_on(d->link, connection, q, patience_ms(d), on_reply, d, &e) == 0)
		return;
	str_copy(d->why, sizeof d->why, e.text);
	finish(d);
}

/* Over the connection that there is: another one has to wait for its turn (on_gone). A line is not connected to. */
static void ask(struct dialogue *d, const struct bus_request *q)
{
	ask_on(d, d->address.kind == BUS_RTU ? 0 : bus_link_counters(d->link)->connects, q);
}

static void on_turn(void *arg)
{
	struct dialogue *d = arg;

	ask_on(d, 0, &d->waiting);
}

/* The connection has gone, and the question was not sent. */
static void on_gone(struct dialogue *d, const struct bus_request *q)
{
	d->waiting = *q;
	d->later.fn = on_turn;
	loop_timer_set(d->loop, &d->later, d->hooks.turn(d->hooks.arg));
}

/* The unit's row is complete. */
static void concluded(struct dialogue *d)
{
	if (d->busy)
		row_fault(&d->unit.row, "was busy (exception 6) in between: another master?");
	if (!d->unit.gave_value) {
		if (!d->refusals++)
			d->refusing = d->unit.row.address.unit;
		d->last_exception = d->unit.last_exception;
		next_unit(d);
		return;
	}
	dialogue_flush(d);
	d->held = d->unit.row;
	d->holds = d->named = true;
	/* On a line, units are devices; on a host, one may answer to every unit. */
	if (d->address.kind != BUS_TCP || d->anybody_asked)
		dialogue_flush(d);
	if (d->address.has_unit)
		finish(d);
	else
		next_unit(d);
}

static void go_on(struct dialogue *d)
{
	struct bus_request q;

	if (d->asking_anybody)
		q = d->doubted;
	else if (!unit_question(&d->unit, &q)) {
		concluded(d);
		return;
	}
	ask(d, &q);
}

static void begin_unit(struct dialogue *d, uint8_t number)
{
	d->heard = false;
	d->failures = 0;
	unit_begin(&d->unit, &d->address, number);
	d->hooks.step(d->hooks.arg);
	go_on(d);
}

/* At the setting that is being tried. */
static int open_link(struct dialogue *d, struct err *e)
{
	const struct bus_options o = { .connect_ms = d->options->connect_ms, .answer_ms = d->options->answer_ms,
				       .quiet_ms = QUIET_MS };

	if (!d->search.settled)
		search_setting(&d->search, &d->address);
	return bus_link_new(d->loop, &d->address, &o, &d->link, e);
}

static void on_reopen(void *arg)
{
	struct dialogue *d = arg;
	struct err e;

	bus_link_free(d->link);
	d->link = NULL;
	d->late = 0;
	if (open_link(d, &e) < 0) {
		str_copy(d->why, sizeof d->why, e.text);
		finish(d);
		return;
	}
	next_unit(d);
}

static void next_unit(struct dialogue *d)
{
	bool enough = d->address.kind == BUS_TCP && d->silences >= SILENCES_MAX && !d->options->every_unit &&
		      !search_is_sure(&d->search);

	d->unhurried = d->search.again_count > 0;
	switch (enough ? SEARCH_END : search_next(&d->search)) {
	case SEARCH_UNIT:
		begin_unit(d, d->search.unit);
		break;
	case SEARCH_SETTING:
		d->later.fn = on_reopen;
		loop_timer_set(d->loop, &d->later, loop_now(d->loop)->boot_us);
		break;
	case SEARCH_END:
		finish(d);
		break;
	}
}

/* ---- judging what came ---- */

/* A second unit answers: before it is believed, one that no site uses is asked the same. */
static bool is_doubted(const struct dialogue *d)
{
	return d->address.kind == BUS_TCP && d->holds && !d->anybody_asked;
}

static void ask_anybody(struct dialogue *d, const struct bus_request *q)
{
	d->anybody_asked = d->asking_anybody = true;
	d->doubted = *q;
	d->doubted.unit = NOBODY;
	d->heard = false;
	d->failures = 0;
	go_on(d);
}

/* Did unit NOBODY answer? */
static void anybody_answered(struct dialogue *d, bool yes)
{
	d->asking_anybody = false;
	if (yes) {
		row_fault(&d->held, "answers to every unit; unit %u is taken", d->held.address.unit);
		finish(d);
		return;
	}
	d->silences = 0;
	dialogue_flush(d);
	begin_unit(d, d->unit.row.address.unit);
}

static void take_answer(struct dialogue *d, const struct bus_reply *r)
{
	if (d->asking_anybody) {
		anybody_answered(d, r && r->outcome == BUS_OK);
		return;
	}
	unit_answer(&d->unit, r);
	go_on(d);
}

static void on_exception(struct dialogue *d, const struct bus_reply *r)
{
	d->spoke = true;
	if (r->exception == GATEWAY_NO_PATH || r->exception == GATEWAY_NO_ANSWER) {
		if (d->asking_anybody || d->heard) {
			take_answer(d, NULL);
			return;
		}
		d->gateway_exception = r->exception;
		next_unit(d);
		return;
	}
	d->busy |= r->exception == DEVICE_BUSY;
	d->heard = true;
	take_answer(d, r);
}

static void on_failure(struct dialogue *d, const struct bus_reply *r)
{
	bool first = !d->heard && !d->asking_anybody;

	str_copy(d->why, sizeof d->why, r->why);
	d->closings += r->outcome == BUS_CLOSED;
	d->garbled += r->outcome == BUS_GARBLED;
	d->noise |= r->outcome == BUS_LINE_NOISE;
	if (first && (r->outcome == BUS_TIMEOUT || r->outcome == BUS_LINE_NOISE)) {
		d->silences++;
		next_unit(d);
	} else if (!d->spoke && d->closings + (d->address.kind == BUS_TCP ? d->garbled : 0) >= 2) {
		finish(d);
	} else if (first && ++d->failures < FAILURES_MAX) {
		go_on(d); /* once more: a first answer may be a leftover of somebody else's */
	} else if (first) {
		next_unit(d);
	} else if (++d->failures >= FAILURES_MAX && !d->asking_anybody) {
		unit_conclude(&d->unit);
		concluded(d);
	} else {
		take_answer(d, NULL);
	}
}

/* What the line showed beside the answer. A unit that answers after its time is asked again with more. */
static void look_at_line(struct dialogue *d)
{
	const struct bus_counters *c = bus_link_counters(d->link);

	if (c->second_master.seen)
		d->second_master = c->second_master;
	if (c->late_answers == d->late)
		return;
	d->late = c->late_answers;
	if (search_again(&d->search, c->late_unit))
		search_settle(&d->search);
}

static void on_reply(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct dialogue *d = arg;
	bool answered = r->outcome == BUS_OK || r->outcome == BUS_EXCEPTION;

	look_at_line(d);
	if (answered && r->received_boot_us - r->sent_boot_us > d->slowest_us)
		d->slowest_us = r->received_boot_us - r->sent_boot_us;
	if (answered) {
		d->silences = 0;
		search_settle(&d->search);
	}
	switch (r->outcome) {
	case BUS_OK:
		d->spoke = true;
		if (is_doubted(d)) {
			ask_anybody(d, q);
			return;
		}
		d->heard |= !d->asking_anybody;
		take_answer(d, r);
		return;
	case BUS_EXCEPTION:
		on_exception(d, r);
		return;
	case BUS_CANCELLED:
		on_gone(d, q);
		return;
	case BUS_UNREACHABLE:
		str_copy(d->why, sizeof d->why, r->why);
		finish(d);
		return;
	default:
		on_failure(d, r);
	}
}

/* ---- life ---- */

/* Each once: who wrote a profile for this site said where its device is likely to be. */
static size_t units_of_own_profiles(const struct device_catalogue *c, uint8_t own[256])
{
	const struct device_profile *p;
	bool listed[256] = { false };
	size_t n = 0;

	for (size_t i = 0; (p = device_profile_at(c, i)); i++) {
		const struct device_profile_info *info = device_profile_info(p);

		for (size_t k = 0; info->own && k < info->unit_count; k++) {
			if (!listed[info->units[k]])
				own[n++] = info->units[k];
			listed[info->units[k]] = true;
		}
	}
	return n;
}

int dialogue_new(struct loop *l, const struct device_catalogue *c, const struct bus_address *a, bool setting_given,
		 const struct scan_options *o, const struct dialogue_hooks *hooks, struct dialogue **out, struct err *e)
{
	struct dialogue *d = xcalloc(1, sizeof *d);

	d->loop = l;
	d->address = *a;
	d->options = o;
	d->hooks = *hooks;
	d->later.arg = d;
	d->own_count = units_of_own_profiles(c, d->own);
	begin_search(d, setting_given, false);
	unit_init(&d->unit, c);
	if (open_link(d, e) < 0) {
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
	return d->spoke || d->closings || d->garbled || d->noise || d->second_master.seen ||
	       (d->silences && d->address.kind != BUS_RTU);
}

bool dialogue_silent(const struct dialogue *d)
{
	return d->silences > 0;
}

const char *dialogue_why(const struct dialogue *d)
{
	return d->why;
}

int64_t dialogue_where(const struct dialogue *d, char to[64])
{
	search_words(&d->search, &d->address, to);
	return (int64_t)(search_left(&d->search) + 1) * (patience_ms(d) + QUIET_MS);
}
