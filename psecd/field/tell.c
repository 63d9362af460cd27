/* tell: what core hears. Values and counters are latest-wins, in batches a few times a second and only when
 * something arrived; events wait here, in order, when core is away. */
#include "field.h"

#include <stdarg.h>
#include <string.h>

enum {
	FLUSH_MS = 250,
	COUNTERS_MS = 2000,
	EVENTS_MAX = 64,         /* that wait; then the oldest give way */
};

struct told_point { int64_t at_boot_us; uint8_t quality; bool told; };

struct told_device {
	bool dirty;              /* values have come since the last batch */
	bool due;                /* its state or counters have to be told */
	int64_t counters_boot_us;
	bool connected;
	struct told_point points[POINT_COUNT];
};

struct tell {
	struct told_device *devices;
	struct wire_samples batch;
	struct waiting {
		struct wire_event event;
		uint64_t after;  /* the last serial that core had when it was given this one */
		bool noted;
	} events[EVENTS_MAX];
	size_t first, count;     /* from the first that core has not noted yet */
	size_t sent, dropped;    /* of them, to this core; gave way */
	uint64_t serial;
	struct loop_timer flush;
	bool ready_due;          /* core waits for WIRE_READY */
};

static void flush(void *arg);

void tell_init(struct field *f)
{
	f->tell = xcalloc(1, sizeof(*f->tell));
	f->tell->devices = xcalloc(f->site->device_count ? f->site->device_count : 1, sizeof(*f->tell->devices));
	f->tell->flush = (struct loop_timer){ .fn = flush, .arg = f };
}

void tell_release(struct field *f)
{
	if (!f->tell)
		return;
	loop_timer_stop(f->loop, &f->tell->flush);
	free(f->tell->devices);
	free(f->tell);
}

static void flush_soon(struct field *f)
{
	struct loop_timer *t = &f->tell->flush;

	if (f->core && !t->index_)
		loop_timer_set(f->loop, t, loop_now(f->loop)->boot_us + FLUSH_MS * US_PER_MS);
}

/* ---- events ---- */

static struct waiting *nth(struct tell *t, size_t n)
{
	return &t->events[(t->first + n) % EVENTS_MAX];
}

/* false: core does not read now. */
static bool send_events(struct field *f)
{
	struct tell *t = f->tell;

	for (; t->sent < t->count; t->sent++) {
		struct waiting *v = nth(t, t->sent);

		if (!v->noted && staff_tell_core(f, WIRE_EVENT, &v->event, sizeof(v->event)) != 1)
			return false;
		v->after = v->event.serial;
	}
	if (t->dropped)
		log_line(LOG_WARNING, "%zu events were dropped while core did not note them", t->dropped);
	t->dropped = 0;
	return true;
}

static void drop_first(struct tell *t)
{
	t->first = (t->first + 1) % EVENTS_MAX;
	t->count--;
	t->sent -= t->sent > 0;
}

/* Core judges in order: what it was given before this one and has not noted, its store refused. It takes again now, so
 * those are said once more. */
void tell_noted(struct field *f, uint64_t serial)
{
	struct tell *t = f->tell;

	for (size_t n = 0; n < t->sent; n++) {
		struct waiting *v = nth(t, n);

		v->noted |= v->event.serial == serial;
		if (v->noted || v->after >= serial || staff_tell_core(f, WIRE_EVENT, &v->event, sizeof(v->event)) != 1)
			continue;
		v->after = nth(t, t->sent - 1)->event.serial;
	}
	while (t->sent && nth(t, 0)->noted)
		drop_first(t);
}

void tell_event(struct field *f, enum severity severity, const char *kind, const char *subject, const char *fmt, ...)
{
	struct tell *t = f->tell;
	struct wire_event *w;
	va_list ap;

	if (t->count == EVENTS_MAX) {
		t->dropped += !nth(t, 0)->noted;
		drop_first(t);
	}
	*nth(t, t->count) = (struct waiting){ 0 };
	w = &nth(t, t->count++)->event;
	w->serial = ++t->serial;
	w->severity = (uint8_t)severity;
	w->utc_us = loop_now(f->loop)->utc_us;
	str_copy(w->kind, sizeof(w->kind), kind);
	str_copy(w->subject, sizeof(w->subject), subject);
	va_start(ap, fmt);
	vsnprintf(w->text, sizeof(w->text), fmt, ap);
	va_end(ap);
	if (!f->core) /* core writes the log; without it we do */
		log_line(severity_level(severity), "%s: %s%s%s", w->kind, w->subject, w->subject[0] ? ": " : "",
			 w->text);
	else if (!send_events(f))
		flush_soon(f);
}

/* ---- devices ---- */

static bool send_device(struct field *f, int device)
{
	struct told_device *td = &f->tell->devices[device];
	const struct device_map *map = poll_device_map(f->poll, device);
	struct wire_device w = { .device = (int16_t)device, .state = (uint8_t)poll_device_state(f->poll, device) };

	td->connected |= w.state == DEVICE_LIVE;
	w.connected = td->connected;
	str_copy(w.why, sizeof(w.why), w.state == DEVICE_LOST ? poll_device_why(f->poll, device) : "");
	if (map)
		w.identity = *device_map_identity(map);
	poll_device_stats(f->poll, device, &w.counts);
	poll_line_stats(f->poll, device, &w.line);
	td->counters_boot_us = loop_now(f->loop)->boot_us;
	td->due = staff_tell_core(f, WIRE_DEVICE, &w, sizeof(w)) == 0;
	return !td->due;
}

void tell_device(struct field *f, int device)
{
	if (!send_device(f, device))
		flush_soon(f);
}

/* ---- values ---- */

static bool send_batch(struct field *f)
{
	struct wire_samples *b = &f->tell->batch;
	bool sent = b->count == 0 || staff_tell_core(f, WIRE_SAMPLES, b, sizeof(*b)) == 1;

	if (!sent) { /* not told: the newest values go with the next batch */
		for (uint32_t i = 0; i < b->count; i++)
			f->tell->devices[b->samples[i].device].points[b->samples[i].point].told = false;
	}
	b->count = 0;
	return sent;
}

static void add_point(struct field *f, int device, int point, const struct device_reading *r)
{
	struct told_point *tp = &f->tell->devices[device].points[point];
	struct wire_samples *b = &f->tell->batch;
	const struct now *now = loop_now(f->loop);
	bool changed = !tp->told || tp->quality != r->quality;
	struct wire_why why = { .device = (int16_t)device, .point = (int16_t)point };

	if (!changed && tp->at_boot_us == r->at_boot_us)
		return;
	if (changed && r->quality != DEVICE_GOOD) {
		str_copy(why.why, sizeof(why.why), r->why);
		/* a reason that is missed is not worth waiting for */
		(void)staff_tell_core(f, WIRE_WHY, &why, sizeof(why));
	}
	*tp = (struct told_point){ .at_boot_us = r->at_boot_us, .quality = (uint8_t)r->quality, .told = true };
	b->samples[b->count++] = (struct wire_sample){
		.device = (int16_t)device, .point = (int16_t)point, .quality = (uint8_t)r->quality,
		.at_boot_us = r->at_boot_us,
		.utc_us = now->utc_us - (now->boot_us - r->at_boot_us),
		.value = r->quality == DEVICE_GOOD ? r->value : 0,
		.raw = r->quality == DEVICE_GOOD ? r->raw : 0,
	};
}

static bool send_values(struct field *f, int device)
{
	struct device_reading r;

	for (int p = 0; p < POINT_COUNT; p++) {
		if (poll_reading(f->poll, device, (enum device_point)p, &r))
			add_point(f, device, p, &r);
		if (f->tell->batch.count == WIRE_BATCH && !send_batch(f))
			return false;
	}
	return true;
}

static void flush(void *arg)
{
	struct field *f = arg;
	struct tell *t = f->tell;
	int64_t now_us = loop_now(f->loop)->boot_us;
	bool all = true;

	if (!f->core)
		return;
	all &= send_events(f);
	for (size_t d = 0; d < f->site->device_count; d++) {
		struct told_device *td = &t->devices[d];

		if (td->due || (td->dirty && now_us - td->counters_boot_us >= COUNTERS_MS * US_PER_MS))
			all &= send_device(f, (int)d);
		if (!td->dirty)
			continue;
		td->dirty = false;
		if (!send_values(f, (int)d))
			td->dirty = true, all = false;
	}
	all &= send_batch(f);
	if (t->ready_due && all && staff_tell_core(f, WIRE_READY, NULL, 0) == 1)
		t->ready_due = false;
	if (!all || t->ready_due)
		flush_soon(f);
}

void tell_updated(struct field *f, int device)
{
	f->tell->devices[device].dirty = true;
	flush_soon(f);
}

/* Devices first, so that core can judge the sign check's proof before it sends the first envelope. */
void tell_all(struct field *f)
{
	if (!f->core)
		return;
	for (size_t d = 0; d < f->site->device_count; d++) {
		struct told_device *td = &f->tell->devices[d];

		td->dirty = td->due = true;
		for (int p = 0; p < POINT_COUNT; p++)
			td->points[p].told = false;
	}
	f->tell->sent = 0;
	f->tell->ready_due = true;
	flush(f);
}
