/* record: samples and events on their way to the store. Samples wait at most a second and go in one transaction;
 * an event is committed at once. A store that fails is said once and never stops control. */
#include "core.h"

#include <math.h>
#include <string.h>

enum {
	QUEUE_MAX = 256,         /* then it is written at once */
	FLUSH_MS = 1000,
	/* Powers once a second, all else every ten: it fits the budget, and means weigh every instant alike. */
	POWER_EVERY_MS = 950,
	OTHER_EVERY_MS = 9900,
	TIDY_EVERY_MS = 600000,
};

struct record {
	struct store_sample queue[QUEUE_MAX];
	size_t count;
	char **names;            /* of every point of every device, made when first needed */
	int64_t decision_stored_boot_us, tidied_boot_us;
	bool more_to_tidy;
	struct loop_timer flush;
};

static void flush_due(void *arg)
{
	record_flush(arg);
}

void record_init(struct core *c)
{
	c->record = xcalloc(1, sizeof(*c->record));
	c->record->names = xcalloc(c->site->device_count * POINT_COUNT + 1, sizeof(char *));
	c->record->flush = (struct loop_timer){ .fn = flush_due, .arg = c };
	c->record->more_to_tidy = true; /* what an earlier run left */
	c->last_events = json_array();
}

void record_release(struct core *c)
{
	if (c->record) {
		for (size_t i = 0; i < c->site->device_count * POINT_COUNT; i++)
			free(c->record->names[i]);
		free(c->record->names);
		free(c->record);
	}
	json_decref(c->last_events);
}

void record_failed(struct core *c, const struct err *e)
{
	const char *was = strrchr(c->store_fault, ':'), *is = strrchr(e->text, ':');

	/* A full disk refuses samples, events and means in turn: that is one piece of news. */
	if (!was || !is || !str_eq(was, is))
		log_line(LOG_ERROR, "%s; control goes on", e->text);
	str_copy(c->store_fault, sizeof(c->store_fault), e->text);
}

/* ---- samples ---- */

static void tidy(struct core *c)
{
	const struct now *now = loop_now(c->loop);
	struct record *r = c->record;
	struct err e;

	if (!r->more_to_tidy && now->boot_us - r->tidied_boot_us < TIDY_EVERY_MS * US_PER_MS)
		return;
	r->tidied_boot_us = now->boot_us;
	if (store_tidy(c->store, now, &r->more_to_tidy, &e) < 0) {
		r->more_to_tidy = false;
		record_failed(c, &e);
	}
}

void record_flush(struct core *c)
{
	struct record *r = c->record;
	struct err e;

	loop_timer_stop(c->loop, &r->flush);
	if (!c->store)
		return;
	if (r->count && store_put_samples(c->store, r->queue, r->count, &e) < 0)
		record_failed(c, &e);
	else if (r->count)
		c->store_fault[0] = '\0';
	r->count = 0;
	tidy(c);
	if (!c->store_fault[0])
		keep_again(c);
}

static void queue(struct core *c, const char *point, int64_t utc_us, double value)
{
	struct record *r = c->record;

	r->queue[r->count++] = (struct store_sample){ .point = point, .utc_us = utc_us, .value = value };
	if (r->count == QUEUE_MAX)
		record_flush(c);
	else if (r->count == 1)
		loop_timer_set(c->loop, &r->flush, loop_now(c->loop)->boot_us + FLUSH_MS * US_PER_MS);
}

static const char *name_of(struct core *c, int device, int point)
{
	char **name = &c->record->names[device * POINT_COUNT + point];

	if (!*name)
		*name = xasprintf("%s.%s", c->site->devices[device].name, device_point((enum device_point)point)->name);
	return *name;
}

void record_sample(struct core *c, int device, int point, const struct wire_sample *s)
{
	struct known_point *p = &c->devices[device].points[point];
	int64_t every_ms = str_eq(device_point((enum device_point)point)->unit, "W") ? POWER_EVERY_MS : OTHER_EVERY_MS;

	if (p->stored_boot_us && s->at_boot_us - p->stored_boot_us < every_ms * US_PER_MS)
		return;
	p->stored_boot_us = s->at_boot_us;
	queue(c, name_of(c, device, point), s->utc_us, s->value);
}

/* A regulated set-point is a sample. */
void record_decision(struct core *c)
{
	const struct wire_decision *d = &c->decision;

	if (!isfinite(d->decision.setpoint_w) ||
	    d->at_boot_us - c->record->decision_stored_boot_us < POWER_EVERY_MS * US_PER_MS)
		return;
	c->record->decision_stored_boot_us = d->at_boot_us;
	queue(c, "control.setpoint_w", d->utc_us, d->decision.setpoint_w);
}

/* ---- events ---- */

json_t *record_event_json(const struct store_event *v)
{
	return json_pack("{s:I, s:o, s:s, s:o, s:o, s:o, s:o}", "id", (json_int_t)v->id, "utc", jot_time(v->utc_us),
			 "severity", severity_name(v->severity), "kind", jot_text(v->kind), "subject",
			 jot_text(v->subject), "text", jot_text(v->text), "who", jot_text(v->who));
}

void record_remember(void *core, const struct store_event *event)
{
	struct core *c = core;

	json_array_append_new(c->last_events, record_event_json(event));
	while (json_array_size(c->last_events) > LAST_EVENTS)
		json_array_remove(c->last_events, 0);
}

static bool put_event(struct core *c, struct store_event *v)
{
	bool kept;
	json_t *o;
	struct err e;

	log_line(severity_level(v->severity), "%s: %s%s%s%s%s%s", v->kind, v->subject, v->subject[0] ? ": " : "",
		 v->text, v->who[0] ? " (" : "", v->who, v->who[0] ? ")" : "");
	kept = store_put_event(c->store, v, &v->id, &e) == 0;
	if (!kept)
		record_failed(c, &e);
	record_remember(c, v);
	o = json_array_get(c->last_events, json_array_size(c->last_events) - 1);
	if (c->ctl)
		ctl_notify(c->ctl, "event", o);
	report_changed(c);
	return kept;
}

bool record_event_at(struct core *c, int64_t utc_us, enum severity severity, const char *kind,
		     const char *subject, const char *who, const char *text)
{
	char clean_text[4 * WIRE_TEXT_LEN], clean_kind[96], clean_subject[4 * SITE_NAME_LEN];
	struct store_event v = { .utc_us = utc_us, .utc_valid = loop_now(c->loop)->utc_valid, .severity = severity,
				 .kind = clean_kind, .subject = clean_subject, .text = clean_text, .who = who };

	str_printable(clean_text, sizeof(clean_text), text, strlen(text));
	str_printable(clean_kind, sizeof(clean_kind), kind, strlen(kind));
	str_printable(clean_subject, sizeof(clean_subject), subject, strlen(subject));
	return put_event(c, &v);
}

void record_event(struct core *c, enum severity severity, const char *kind, const char *subject, const char *who,
		  const char *fmt, ...)
{
	char text[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	record_event_at(c, loop_now(c->loop)->utc_us, severity, kind, subject, who, text);
}
