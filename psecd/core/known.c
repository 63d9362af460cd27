/* known: what the field says, judged before it is believed: indexes, ranges, texts that end, numbers that are
 * numbers. */
#include "core.h"

#include <math.h>
#include <string.h>

static bool device_ok(const struct core *c, int device)
{
	return device >= 0 && (size_t)device < c->site->device_count;
}

/* Both ends read the same clock; what is later than ours by more than a slow turn was never measured, and would pass
 * for fresh for ever. */
static bool time_ok(const struct core *c, int64_t at_boot_us)
{
	return at_boot_us >= 0 && at_boot_us <= loop_now(c->loop)->boot_us + 60 * US_PER_S;
}

static struct known_point *point_of(struct core *c, int device, int point)
{
	return device_ok(c, device) && point >= 0 && point < POINT_COUNT ? &c->devices[device].points[point] : NULL;
}

static void set_why(struct known_point *p, const char *why)
{
	free(p->why);
	p->why = why && why[0] ? xstrdup(why) : NULL;
}

static bool take_samples(struct core *c, const struct wire_samples *w)
{
	if (w->count > WIRE_BATCH)
		return false;
	for (uint32_t i = 0; i < w->count; i++) {
		const struct wire_sample *s = &w->samples[i];
		struct known_point *p = point_of(c, s->device, s->point);

		if (!p || !time_ok(c, s->at_boot_us) || s->quality > DEVICE_IMPOSSIBLE ||
		    (s->quality == DEVICE_GOOD && !isfinite(s->value)))
			return false;
		p->heard = true;
		p->sample = *s;
		if (s->quality == DEVICE_GOOD) {
			set_why(p, NULL);
			record_sample(c, s->device, s->point, s);
		}
	}
	return true;
}

static bool take_why(struct core *c, const struct wire_why *w)
{
	struct known_point *p = point_of(c, w->device, w->point);

	if (!p || !wire_text_ok(w->why))
		return false;
	set_why(p, w->why);
	return true;
}

/* Within half and twice, as control promises; checked as everything is that field says. */
static bool learned_ok(const struct control_learned *l)
{
	const struct control_model *p = &l->profile, *m = &l->learned;

	return p->dead_time_us >= 0 && p->dead_time_us <= 60 * US_PER_S && p->lag_us >= 0 &&
	       p->lag_us <= 60 * US_PER_S && p->ramp_w_per_s > 0 && m->dead_time_us >= p->dead_time_us / 2 &&
	       m->dead_time_us <= 2 * p->dead_time_us && m->lag_us >= p->lag_us / 2 && m->lag_us <= 2 * p->lag_us &&
	       m->ramp_w_per_s >= p->ramp_w_per_s / 2 && m->ramp_w_per_s <= 2 * p->ramp_w_per_s &&
	       l->confidence_percent >= 0 && l->confidence_percent <= 100;
}

static bool guard_ok(const struct core *c, const struct control_guard *g)
{
	return g->level >= 0 && g->level <= CONTROL_GUARD_MOST && time_ok(c, g->since_boot_us) &&
	       isfinite(g->swing_w) && isfinite(g->period_s);
}

static bool take_decision(struct core *c, const struct wire_decision *w)
{
	bool turned;

	if ((unsigned)w->decision.state > CONTROL_REFUSED || (unsigned)w->decision.clamp >= CONTROL_CLAMP_COUNT ||
	    w->decision.lost >= 1u << CONTROL_LOST_COUNT || !time_ok(c, w->at_boot_us) ||
	    isinf(w->decision.setpoint_w) || isinf(w->decision.wish_w) || !learned_ok(&w->learned) ||
	    !guard_ok(c, &w->decision.guard))
		return false;
	turned = w->decision.lost & CONTROL_TURNED_METER &&
		 !(c->decided && c->decision.decision.lost & CONTROL_TURNED_METER);
	c->decision = *w;
	c->decided = true;
	if (turned)
		keep_meter_turned(c);
	record_decision(c);
	return true;
}

/* Numbers that are none would reach JSON; a bool that is neither is not even one. */
static bool counts_ok(const struct core *c, const struct wire_device *w)
{
	const struct poll_stats *n = &w->counts;
	unsigned char seen;

	memcpy(&seen, &w->line.counters.second_master.seen, sizeof(seen));
	return isfinite(n->rate_hz) && n->rate_hz >= 0 && isfinite(n->wanted_hz) && n->wanted_hz >= 0 &&
	       n->latency_us >= 0 && time_ok(c, n->next_try_boot_us) && w->line.busy_percent >= 0 &&
	       w->line.busy_percent <= 100 && seen <= 1;
}

static bool take_device(struct core *c, const struct wire_device *w)
{
	struct known_device *d;

	if (!device_ok(c, w->device) || w->state >= DEVICE_STATE_COUNT || !wire_text_ok(w->why) ||
	    !wire_text_ok(w->identity.make) || !wire_text_ok(w->identity.model) || !wire_text_ok(w->identity.version) ||
	    !wire_text_ok(w->identity.serial) || !counts_ok(c, w))
		return false;
	d = &c->devices[w->device];
	d->heard = true;
	d->last = *w;
	if (w->state == DEVICE_LIVE)
		keep_judge_proof(c);
	return true;
}

static bool take_event(struct core *c, const struct wire_event *w)
{
	struct wire_noted noted = { .serial = w->serial };

	if (w->severity >= SEVERITY_COUNT || !wire_text_ok(w->kind) || !wire_text_ok(w->subject) ||
	    !wire_text_ok(w->text))
		return false;
	if (!quota_allows(c, (enum severity)w->severity, w->kind, w->subject, w->text) ||
	    record_event_at(c, w->utc_us, (enum severity)w->severity, w->kind, w->subject, "", w->text))
		core_tell_field(c, WIRE_NOTED, &noted, sizeof(noted));
	return true;
}

static bool take_checked(struct core *c, const struct wire_checked *w)
{
	if (w->result <= CONTROL_CHECK_RUNS || w->result > CONTROL_CHECK_NO_ROOM || isinf(w->check.before_w) ||
	    isinf(w->check.after_w))
		return false;
	/* Of a check that an earlier core asked for, or that nobody did: it proves nothing. */
	if (c->check_runs)
		keep_check_result(c, w);
	else
		log_line(LOG_WARNING, "the result of a sign check that was not asked for is left alone");
	return true;
}

const char *known_take(struct core *c, enum wire_kind kind, const void *body)
{
	bool ok = false;

	switch (kind) {
	case WIRE_SAMPLES:
		ok = take_samples(c, body);
		break;
	case WIRE_WHY:
		ok = take_why(c, body);
		break;
	case WIRE_DECISION:
		ok = take_decision(c, body);
		break;
	case WIRE_DEVICE:
		ok = take_device(c, body);
		break;
	case WIRE_EVENT:
		ok = take_event(c, body);
		break;
	case WIRE_CHECKED:
		ok = take_checked(c, body);
		break;
	case WIRE_SCAN_ROW:
		ok = scanning_take_row(c, body);
		break;
	case WIRE_SCAN_STEP:
		ok = scanning_take_step(c, body);
		break;
	case WIRE_TRIAL_ROW:
		ok = trying_take_row(c, body);
		break;
	case WIRE_TRIAL_DONE:
		ok = trying_take_done(c, body);
		break;
	case WIRE_SCAN_DONE:
		ok = scanning_take_done(c, body);
		break;
	case WIRE_READY:
		c->field_ready = true;
		c->field_lost = false;
		keep_judge_proof(c);
		keep_send_envelope(c);
		trying_field_ready(c);
		ok = true;
		break;
	default:
		return "a message that is not the field's to send";
	}
	if (ok)
		report_changed(c);
	return ok ? NULL : "a message holds what cannot be";
}

void known_field_gone(struct core *c)
{
	if (c->field_ready && !c->stopping)
		record_event(c, SEVERITY_ALARM, "field", "", "",
			     "psecd-field is gone; nothing is controlled until it is back, the devices' watchdogs act");
	c->field_lost |= c->field_ready;
	c->field_ready = false;
	c->decided = false;
	c->check_runs = false;
	loop_timer_stop(c->loop, &c->renew);
	for (size_t d = 0; d < c->site->device_count; d++) {
		c->devices[d].heard = false;
		for (int p = 0; p < POINT_COUNT; p++)
			c->devices[d].points[p].sample.quality = DEVICE_UNKNOWN;
	}
	trying_field_gone(c);
	scanning_field_gone(c);
	report_changed(c);
}

double known_value(const struct core *c, enum site_role role, enum device_point p, int64_t *at_boot_us)
{
	for (size_t d = 0; d < c->site->device_count; d++) {
		const struct known_point *k = &c->devices[d].points[p];

		if (!(c->site->devices[d].roles & 1u << role))
			continue;
		if (at_boot_us)
			*at_boot_us = k->sample.at_boot_us;
		return k->heard && k->sample.quality == DEVICE_GOOD ? k->sample.value : NAN;
	}
	return NAN;
}

int64_t known_age_us(const struct core *c, enum site_role role, enum device_point p)
{
	int64_t age_us = 0;

	for (size_t d = 0; d < c->site->device_count; d++) {
		const struct known_point *k = &c->devices[d].points[p];
		int64_t one_us = loop_now(c->loop)->boot_us - k->sample.at_boot_us;

		if (c->site->devices[d].roles & 1u << role && k->heard && k->sample.quality == DEVICE_GOOD &&
		    one_us > age_us)
			age_us = one_us;
	}
	return age_us;
}

double known_sum(const struct core *c, enum site_role role, enum device_point p)
{
	double sum = 0;

	for (size_t d = 0; d < c->site->device_count; d++) {
		const struct known_point *k = &c->devices[d].points[p];

		if (c->site->devices[d].roles & 1u << role)
			sum += k->heard && k->sample.quality == DEVICE_GOOD ? k->sample.value : NAN;
	}
	return sum;
}
