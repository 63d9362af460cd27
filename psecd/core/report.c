/* report: what people and scripts are told, as JSON with units in the names (DESIGN §3). Texts from devices are
 * made printable here, once, for everyone who reads them. */
#include "core.h"

#include <math.h>
#include <string.h>

enum {
	LIVE_MS = 500,
	SIZE_MS = 60000,
	OLD_MS = 15000,
	OLD_SLOW_MS = 60000,     /* of what is read every 10 s */
	NOISE_W = 50,            /* that meters of one site may differ by */
};

static int64_t now_us(const struct core *c)
{
	return loop_now(c->loop)->boot_us;
}

/* ---- control ---- */

static json_t *lost_list(const struct core *c)
{
	json_t *list = json_array();

	if (c->field_lost)
		json_array_append_new(list, json_string("field"));
	for (unsigned bit = 1; c->decided && bit < 1u << CONTROL_LOST_COUNT; bit <<= 1) {
		if (c->decision.decision.lost & bit)
			json_array_append_new(list, json_string(control_lost_name((enum control_lost)bit)));
	}
	return list;
}

static json_t *checked(const struct core *c)
{
	const struct proof *p = &c->proof;

	if (!p->there)
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:o, s:o}", "at_utc", jot_time(p->at_utc_us), "result", "passed", "step_w",
			 jot_number(p->step_w), "before_w", jot_number(p->before_w), "after_w", jot_number(p->after_w));
}

json_t *report_check(const struct wire_checked *w)
{
	return json_pack("{s:b, s:s, s:o, s:o, s:o}", "passed", w->result == CONTROL_CHECK_PASSED, "result",
			 control_check_words((enum control_check_result)w->result), "step_w",
			 jot_number(w->check.step_w), "before_w", jot_number(w->check.before_w), "after_w",
			 jot_number(w->check.after_w));
}

static json_t *timing(const struct core *c)
{
	const struct wire_timing *t = &c->decision.timing;

	if (!c->decided || t->count == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)t->count, "p50_us", (json_int_t)t->p50_us,
			 "p99_us", (json_int_t)t->p99_us, "p999_us", (json_int_t)t->p999_us, "max_us",
			 (json_int_t)t->max_us);
}

static json_t *envelope(const struct core *c)
{
	int64_t left_ms = (c->envelope.expires_boot_us - now_us(c)) / US_PER_MS;

	return json_pack("{s:o, s:o, s:I}", "target_w", jot_number(c->wish.target_w), "manual_w",
			 jot_number(c->wish.manual_w), "expires_in_ms", (json_int_t)(left_ms > 0 ? left_ms : 0));
}

static bool has_role(const struct core *c, enum site_role role)
{
	return site_find_role(c->site, role) >= 0;
}

/* What the house draws: load = grid + battery + pv + genset. While the battery moves, the last readings are of
 * different instants and their sum jumps; the law's own estimate has the inverter's power at the instant of the
 * meter's sample. */
static double load_w(const struct core *c, double grid, double battery, double produced)
{
	const struct control_decision *d = &c->decision.decision;
	bool followed = c->decided && (d->state == CONTROL_RUNNING || d->state == CONTROL_RETURNING);

	return (followed && isfinite(d->load_w) && isfinite(grid) ? d->load_w : grid + battery) + produced;
}

/* Values that are shown although they are not to be trusted: key → why. */
static bool doubt_age(const struct core *c, json_t *doubts, const char *key, enum site_role role, enum device_point p,
		      int64_t old_ms)
{
	int64_t age_us = known_age_us(c, role, p);
	char text[48];

	if (age_us < old_ms * US_PER_MS)
		return false;
	snprintf(text, sizeof(text), "%lld s old", (long long)(age_us / US_PER_S));
	json_object_set_new(doubts, key, json_string(text));
	return true;
}

static json_t *doubts(const struct core *c, double load)
{
	json_t *o = json_object();
	bool old = doubt_age(c, o, "grid_w", SITE_GRID_METER, POINT_GRID_POWER_W, OLD_MS);

	if (!old && c->decided && c->decision.decision.lost & CONTROL_FROZEN_METER) {
		json_object_set_new(o, "grid_w", json_string("the meter repeats itself"));
		old = true;
	}
	old |= doubt_age(c, o, "battery_w", SITE_BATTERY_INVERTER, POINT_BATTERY_POWER_W, OLD_MS);
	old |= doubt_age(c, o, "pv_w", SITE_PV_INVERTER, POINT_PV_POWER_W, OLD_MS);
	(void)doubt_age(c, o, "soc_percent", SITE_BMS, POINT_BMS_SOC_PERCENT, OLD_SLOW_MS);
	if (isfinite(load) && old)
		json_object_set_new(o, "load_w", json_string("a sum of values of which one is old"));
	else if (load < -NOISE_W)
		json_object_set_new(o, "load_w",
				    json_string("a load below zero: one of its values is old, or has the wrong sign"));
	return o;
}

/* Powers of the site with the signs of DESIGN §3. */
static void add_powers(const struct core *c, json_t *o)
{
	int64_t at_us = 0;
	double grid = known_value(c, SITE_GRID_METER, POINT_GRID_POWER_W, &at_us);
	double battery = known_sum(c, SITE_BATTERY_INVERTER, POINT_BATTERY_POWER_W);
	double pv = known_sum(c, SITE_PV_INVERTER, POINT_PV_POWER_W);
	double load = load_w(c, grid, battery, pv + known_sum(c, SITE_GENSET, POINT_GENSET_POWER_W));

	json_object_set_new(o, "load_w", jot_number(load));
	json_object_set_new(o, "grid_w", jot_number(grid));
	json_object_set_new(o, "battery_w", has_role(c, SITE_BATTERY_INVERTER) ? jot_number(battery) : json_null());
	json_object_set_new(o, "pv_w", has_role(c, SITE_PV_INVERTER) ? jot_number(pv) : json_null());
	json_object_set_new(o, "soc_percent", jot_number(known_value(c, SITE_BMS, POINT_BMS_SOC_PERCENT, NULL)));
	json_object_set_new(o, "shown_w",
			    jot_number(known_value(c, SITE_BATTERY_INVERTER, POINT_BATTERY_SETPOINT_W, NULL)));
	json_object_set_new(o, "age_ms", at_us ? json_integer((now_us(c) - at_us) / US_PER_MS) : json_null());
	json_object_set_new(o, "doubts", doubts(c, load));
}

static const char *state_name(const struct core *c)
{
	if (!c->field_ready)
		return c->field_lost ? "field-gone" : "starting";
	return c->decided ? control_state_name(c->decision.decision.state) : "waiting";
}

static void add_decision(const struct core *c, json_t *o)
{
	const struct control_decision *d = &c->decision.decision;
	char words[96];

	json_object_set_new(o, "mode", json_string(site_mode_name(c->wish.mode)));
	json_object_set_new(o, "state", json_string(state_name(c)));
	json_object_set_new(o, "clamp", c->decided ? json_string(control_clamp_name(d->clamp)) : json_null());
	json_object_set_new(o, "clamp_words", c->decided ? json_string(control_clamp_words(d->clamp)) : json_null());
	json_object_set_new(o, "wish_w", c->decided ? jot_number(d->wish_w) : json_null());
	json_object_set_new(o, "setpoint_w", c->decided ? jot_number(d->setpoint_w) : json_null());
	json_object_set_new(o, "lost", lost_list(c));
	control_lost_words(c->decided ? d->lost : 0, words);
	if (c->field_lost)
		str_copy(words, sizeof(words), "psecd-field is gone, it is started again");
	json_object_set_new(o, "lost_words", jot_text(words));
	json_object_set_new(o, "sample_to_wire_us", c->decided && c->decision.sample_to_wire_us >= 0
							   ? json_integer(c->decision.sample_to_wire_us) : json_null());
	json_object_set_new(o, "sample_to_wire", timing(c));
}

static json_t *model(const struct control_model *m)
{
	return json_pack("{s:o, s:o, s:o}", "dead_time_ms", jot_number((double)m->dead_time_us / US_PER_MS), "lag_ms",
			 jot_number((double)m->lag_us / US_PER_MS), "ramp_w_per_s", jot_number(m->ramp_w_per_s));
}

static json_t *learned(const struct core *c)
{
	const struct control_learned *l = &c->decision.learned;

	if (!c->decided)
		return json_null();
	return json_pack("{s:o, s:o, s:I, s:I, s:o}", "profile", model(&l->profile), "learned", model(&l->learned),
			 "steps", (json_int_t)l->steps, "unjudged", (json_int_t)l->unjudged, "confidence_percent",
			 jot_number(l->confidence_percent));
}

static json_t *guard(const struct core *c)
{
	const struct control_guard *g = &c->decision.decision.guard;
	const struct now *now = loop_now(c->loop);
	bool acts = g->level > 0;

	if (!c->decided)
		return json_null();
	return json_pack("{s:s, s:i, s:o, s:o, s:o, s:s}", "state", acts ? "acting" : "quiet", "level", g->level,
			 "since_utc", acts ? jot_time(now->utc_us - (now->boot_us - g->since_boot_us)) : json_null(),
			 "swing_w", acts ? jot_number(g->swing_w) : json_null(), "period_s",
			 acts ? jot_number(g->period_s) : json_null(), "why",
			 acts ? "the grid swung around the target and no load explains it" : "");
}

json_t *report_control(struct core *c)
{
	json_t *o = json_object(), *devices = json_array();

	json_object_set_new(o, "site", json_pack("{s:s, s:s, s:o}", "id", c->site->id, "tier",
						 site_tier_name(c->site->tier), "title", jot_text(c->site->title)));
	add_decision(c, o);
	json_object_set_new(o, "model", learned(c));
	json_object_set_new(o, "guard", guard(c));
	add_powers(c, o);
	json_object_set_new(o, "checked", checked(c));
	json_object_set_new(o, "check_runs", json_boolean(c->check_runs));
	json_object_set_new(o, "last_check", c->last_check_there ? report_check(&c->last_check) : json_null());
	json_object_set_new(o, "envelope", envelope(c));
	for (size_t i = 0; i < c->site->device_count; i++)
		json_array_append_new(devices, report_device(c, i));
	json_object_set_new(o, "devices", devices);
	json_object_set_new(o, "events", json_deep_copy(c->last_events));
	json_object_set_new(o, "protection", jot_text(c->staff.missing));
	json_object_set_new(o, "store_fault", jot_text(c->store_fault));
	json_object_set_new(o, "utc", jot_time(loop_now(c->loop)->utc_us));
	return o;
}

/* ---- the daemon and its store ---- */

static json_t *daemon_json(const struct core *c)
{
	json_t *processes = json_array();
	char digest[SITE_DIGEST_LEN];

	for (uint32_t i = 0; i < c->staff.count; i++) {
		bool runs = c->staff.processes[i].runs;

		json_array_append_new(processes, json_pack("{s:s, s:o, s:s, s:i}", "name", c->staff.processes[i].name,
							   "pid", runs ? json_integer(c->staff.processes[i].pid)
								       : json_null(),
							   "state", runs ? "runs" : "ended", "restarts",
							   (int)c->staff.processes[i].restarts));
	}
	return json_pack("{s:s, s:I, s:s, s:o}", "version", PSEC_VERSION, "uptime_s",
			 (json_int_t)((now_us(c) - c->staff.began_boot_us) / US_PER_S), "site_digest",
			 site_digest(c->site, digest), "processes", processes);
}

/* Counting rows reads the whole index, so it is not done for every question. */
static json_t *store_json(struct core *c)
{
	struct err e;

	if (!c->size_at_boot_us || now_us(c) - c->size_at_boot_us > SIZE_MS * US_PER_MS) {
		if (store_size(c->store, &c->size, &e) < 0)
			log_line(LOG_ERROR, "%s", e.text);
		c->size_at_boot_us = now_us(c);
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:b, s:o}", "bytes", (json_int_t)c->size.bytes, "samples",
			 (json_int_t)c->size.samples, "means", (json_int_t)c->size.means, "events",
			 (json_int_t)c->size.events, "counted", c->size.counted, "fault", jot_text(c->store_fault));
}

json_t *report_status(struct core *c)
{
	json_t *o = report_control(c);

	json_object_set_new(o, "daemon", daemon_json(c));
	json_object_set_new(o, "store", store_json(c));
	return o;
}

/* ---- live ---- */

static void tell_live(void *arg)
{
	struct core *c = arg;
	json_t *o;

	if (!c->ctl || !ctl_has_subscriber(c->ctl, "live"))
		return;
	c->live_at_boot_us = now_us(c);
	o = report_control(c);
	ctl_notify(c->ctl, "live", o);
	json_decref(o);
}

void report_changed(struct core *c)
{
	int64_t due_us = c->live_at_boot_us + LIVE_MS * US_PER_MS;

	if (!c->ctl || c->live.index_ || !ctl_has_subscriber(c->ctl, "live"))
		return;
	c->live.fn = tell_live;
	c->live.arg = c;
	loop_timer_set(c->loop, &c->live, due_us > now_us(c) ? due_us : now_us(c));
}
