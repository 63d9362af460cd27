/* keep: what must survive a restart (mode, manual value, target, the proof of the sign check) and the envelope
 * made of it. */
#include "core.h"

#include <math.h>
#include <string.h>

enum { ENVELOPE_MS = 10000, RENEW_MS = 3000 };

/* ---- the wish ---- */

static int load_real(struct core *c, const char *key, double *out, struct err *e)
{
	auto_free char *text = NULL;

	if (store_get_setting(c->store, key, &text, e) < 0)
		return -1;
	if (text && !parse_real(text, -1e9, 1e9, out))
		log_line(LOG_WARNING, "setting %s is '%s', which is no power; it is left at %.0f W", key, text, *out);
	return 0;
}

/* A power in the audit log, where numbers that are not whole stand as texts. */
static void add_power(json_t *o, const char *key, double is, const char *was_key, double was)
{
	if (is == was)
		return;
	json_object_set_new(o, key, jot_real_text(is));
	json_object_set_new(o, was_key, jot_real_text(was));
}

static int audit_wish(struct core *c, const struct wish *w, const char *who, struct err *e)
{
	const struct wish *was = &c->kept;
	json_t *o = json_object();

	if (w->mode != was->mode) {
		json_object_set_new(o, "mode", json_string(site_mode_name(w->mode)));
		json_object_set_new(o, "mode_was", json_string(site_mode_name(was->mode)));
	}
	add_power(o, "manual_w", w->manual_w, "manual_was_w", was->manual_w);
	add_power(o, "target_w", w->target_w, "target_was_w", was->target_w);
	if (json_object_size(o))
		return audited_put(c, who, w->mode != was->mode ? "mode" : "set", "", o, e);
	json_decref(o);
	return 0;
}

static int put_settings(struct core *c, const struct wish *w, struct err *e)
{
	char manual[32], target[32];
	const struct store_setting settings[] = {
		{ "control.manual_w", manual }, { "control.target_w", target },
		{ "control.mode", site_mode_name(w->mode) },
	};

	snprintf(manual, sizeof(manual), "%.3f", w->manual_w);
	snprintf(target, sizeof(target), "%.3f", w->target_w);
	return store_put_settings(c->store, settings, COUNT_OF(settings), e);
}

/* All of it and its audit entry, or nothing: a change that was refused must not come true at the next start. */
static int put_wish(struct core *c, const struct wish *w, const char *who, struct err *e)
{
	if (store_begin(c->store, e) < 0)
		return -1;
	if (put_settings(c, w, e) < 0 || audit_wish(c, w, who, e) < 0) {
		store_rollback(c->store);
		return -1;
	}
	if (store_commit(c->store, e) < 0)
		return -1;
	c->kept = *w;
	return 0;
}

static int load_wish(struct core *c, struct err *e)
{
	auto_free char *mode = NULL;

	c->wish = (struct wish){ .mode = c->site->control.mode, .target_w = c->site->control.target_w };
	if (store_get_setting(c->store, "control.mode", &mode, e) < 0)
		return -1;
	if (mode && !site_mode_parse(mode, &c->wish.mode)) {
		log_line(LOG_WARNING, "setting control.mode is '%s', which is none; the mode is off", mode);
		c->wish.mode = SITE_MODE_OFF;
	}
	if (load_real(c, "control.manual_w", &c->wish.manual_w, e) < 0 ||
	    load_real(c, "control.target_w", &c->wish.target_w, e) < 0)
		return -1;
	c->kept = c->wish;
	return 0;
}

static int store_wish(struct core *c, const struct wish *w, const char *who, struct err *e)
{
	if (put_wish(c, w, who, e) < 0)
		return err_ctx(e, "keep the mode");
	return 0;
}

void keep_again(struct core *c)
{
	struct err e;

	if (!c->wish_unkept || store_wish(c, &c->wish, c->unkept_who, &e) < 0)
		return;
	c->wish_unkept = false;
	record_event(c, SEVERITY_INFO, "mode", "", "", "mode %s is stored now", site_mode_name(c->wish.mode));
}

int keep_wish(struct core *c, const struct wish *w, const char *who, struct err *e)
{
	const struct wish old = c->wish;
	const bool old_unkept = c->wish_unkept;

	if (w->mode == SITE_MODE_SELF_CONSUMPTION && !keep_proof_stands(c))
		return err_set(e, ERR_REFUSED, 0,
			       "mode self-consumption needs the sign check first: run `psec control check`");
	c->wish_unkept = store_wish(c, w, who, e) < 0;
	/* Who wants the battery at rest must get it from a full disk, too. Every other wish would be lost by a
	 * restart. */
	if (c->wish_unkept && w->mode != SITE_MODE_OFF) {
		c->wish_unkept = old_unkept;
		return -1;
	}
	if (c->wish_unkept)
		str_copy(c->unkept_who, sizeof(c->unkept_who), who);
	c->wish = *w;
	keep_send_envelope(c);
	if (w->mode != old.mode)
		record_event(c, SEVERITY_INFO, "mode", "", who, "mode is %s, was %s", site_mode_name(w->mode),
			     site_mode_name(old.mode));
	if (c->wish_unkept)
		record_event(c, SEVERITY_ALARM, "mode", "", who, "mode off holds, but not over a restart: %s", e->text);
	if (w->manual_w != old.manual_w && w->mode == SITE_MODE_MANUAL)
		record_event(c, SEVERITY_INFO, "set", "", who, "manual set-point is %.0f W, was %.0f W", w->manual_w,
			     old.manual_w);
	if (w->target_w != old.target_w)
		record_event(c, SEVERITY_INFO, "set", "", who, "grid target is %.0f W, was %.0f W", w->target_w,
			     old.target_w);
	report_changed(c);
	return 0;
}

/* ---- the proof ---- */

/* Which devices a sign check is about, so that another one (or the same turned round) does not inherit it. A
 * device without a serial number is known by its address. */
static void describe_devices(const struct core *c, char to[512])
{
	static const enum site_role roles[] = { SITE_GRID_METER, SITE_BATTERY_INVERTER };
	size_t used = 0;

	to[0] = '\0';
	for (size_t r = 0; r < COUNT_OF(roles); r++) {
		int i = site_find_role(c->site, roles[r]);
		const struct site_device *d;
		char address[BUS_ADDRESS_LEN];
		const char *serial;

		if (i < 0)
			continue;
		d = &c->site->devices[i];
		serial = c->devices[i].last.identity.serial;
		used += (size_t)snprintf(to + used, 512 - used, "%s=%s%s%s %s;", site_role_name(roles[r]), d->profile,
					 d->reversed ? " reversed" : "", serial[0] ? " serial" : "",
					 serial[0] ? serial : bus_address_format(&d->address, address));
		if (used >= 512)
			return;
	}
}

static bool devices_known(const struct core *c)
{
	static const enum site_role roles[] = { SITE_GRID_METER, SITE_BATTERY_INVERTER };

	for (size_t r = 0; r < COUNT_OF(roles); r++) {
		int i = site_find_role(c->site, roles[r]);

		/* Never live since the field began: then it cannot be controlled either, and is judged when it
		 * comes. */
		if (i >= 0 && (!c->devices[i].heard || !c->devices[i].last.connected))
			return false;
	}
	return true;
}

bool keep_proof_stands(const struct core *c)
{
	return c->proof.there;
}

static int store_proof(struct core *c, struct err *e)
{
	const struct proof *p = &c->proof;
	char at[BASE_TIME_LEN];
	auto_free char *text = NULL;
	json_t *o;

	if (!p->there)
		return store_put_setting(c->store, "control.check", "", e);
	o = json_pack("{s:s, s:f, s:f, s:f, s:o}", "at_utc", time_format(p->at_utc_us, at), "step_w", p->step_w,
		      "before_w", p->before_w, "after_w", p->after_w, "devices", jot_text(p->devices));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return store_put_setting(c->store, "control.check", text ? text : "", e);
}

static int load_proof(struct core *c, struct err *e)
{
	struct proof *p = &c->proof;
	auto_free char *text = NULL;
	const char *at = NULL, *devices = NULL;
	json_t *o;

	if (store_get_setting(c->store, "control.check", &text, e) < 0)
		return -1;
	if (!text || !text[0])
		return 0;
	o = json_loads(text, 0, NULL);
	p->there = o && json_unpack(o, "{s:s, s:F, s:F, s:F, s:s}", "at_utc", &at, "step_w", &p->step_w, "before_w",
				    &p->before_w, "after_w", &p->after_w, "devices", &devices) == 0 &&
		   time_parse(at, &p->at_utc_us) && str_copy(p->devices, sizeof(p->devices), devices);
	json_decref(o);
	if (!p->there)
		log_line(LOG_WARNING, "the kept sign check cannot be read; it must be made again");
	return 0;
}

static void drop_proof(struct core *c, const char *why)
{
	struct err e;

	audited(c, "psecd", "check", "", json_pack("{s:s, s:o}", "result", "void", "why", jot_text(why)));
	c->proof.there = false;
	if (store_proof(c, &e) < 0)
		log_line(LOG_ERROR, "%s", e.text);
	keep_send_envelope(c);
}

void keep_judge_proof(struct core *c)
{
	char now[512];

	if (!c->proof.there || !devices_known(c))
		return;
	describe_devices(c, now);
	if (str_eq(now, c->proof.devices))
		return;
	record_event(c, SEVERITY_ALARM, "check", "", "", "the sign check is void: devices were '%.100s', are '%.100s'",
		     c->proof.devices, now);
	drop_proof(c, "the devices are others");
}

void keep_meter_turned(struct core *c)
{
	if (!c->proof.there)
		return;
	record_event(c, SEVERITY_ALARM, "check", "", "",
		     "the sign check is void: the meter went where the battery went; see to meter and CTs, then run "
		     "`psec control check`");
	drop_proof(c, "the meter went where the battery went");
}

int keep_begin_check(struct core *c, const char *who, struct err *e)
{
	if (c->site->battery_count == 0)
		return err_set(e, ERR_REFUSED, 0, "the site has no battery to check");
	if (!c->field_ready)
		return err_set(e, ERR_AGAIN, 0, "psecd-field is not ready; try again");
	if (c->check_runs)
		return err_set(e, ERR_AGAIN, 0, "a sign check runs already, begun by %s", c->check_who);
	if (core_tell_field(c, WIRE_CHECK, NULL, 0) != 1)
		return err_set(e, ERR_AGAIN, 0, "psecd-field does not read; try again");
	c->check_runs = true;
	str_copy(c->check_who, sizeof(c->check_who), who);
	record_event(c, SEVERITY_INFO, "check", "", who, "sign check begins: a 500 W step of the battery");
	return 0;
}

void keep_check_result(struct core *c, const struct wire_checked *w)
{
	const struct now *now = loop_now(c->loop);
	bool passed = w->result == CONTROL_CHECK_PASSED;
	char numbers[96] = "";
	json_t *params;
	struct err e;

	c->check_runs = false;
	c->last_check = *w;
	c->last_check_there = true;
	/* Wrong sign takes an older proof away; a check that could not judge leaves it. */
	if (passed || w->result == CONTROL_CHECK_WRONG_SIGN || w->result == CONTROL_CHECK_NO_EFFECT) {
		c->proof = (struct proof){ .there = passed, .at_utc_us = now->utc_us, .step_w = w->check.step_w,
					   .before_w = w->check.before_w, .after_w = w->check.after_w };
		describe_devices(c, c->proof.devices);
		if (store_proof(c, &e) < 0) {
			record_event(c, SEVERITY_ALARM, "check", "", "", "the sign check cannot be kept: %s", e.text);
			c->proof.there = false;
		}
	}
	if (isfinite(w->check.before_w) && isfinite(w->check.after_w))
		snprintf(numbers, sizeof(numbers), " (grid %.0f W before, %.0f W after %+.0f W)", w->check.before_w,
			 w->check.after_w, w->check.step_w);
	audited(c, c->check_who, "check", "", json_pack("{s:o, s:o, s:o, s:o}", "result",
							jot_text(control_check_words((enum control_check_result)w->result)),
							"step_w", jot_real_text(w->check.step_w), "before_w",
							jot_real_text(w->check.before_w), "after_w",
							jot_real_text(w->check.after_w)));
	record_event(c, passed ? SEVERITY_INFO : SEVERITY_ALARM, "check", "", c->check_who, "sign check: %s%s",
		     control_check_words((enum control_check_result)w->result), numbers);
	keep_send_envelope(c);
	params = report_check(w);
	ctl_notify(c->ctl, "check", params);
	json_decref(params);
}

/* ---- the envelope ---- */

static void renew(void *arg)
{
	keep_send_envelope(arg);
}

void keep_send_envelope(struct core *c)
{
	const struct now *now = loop_now(c->loop);
	struct wire_envelope w = { .serial = ++c->envelope_serial };

	c->envelope = (struct control_envelope){
		.mode = c->wish.mode, .manual_w = c->wish.manual_w, .target_w = c->wish.target_w,
		.checked = c->proof.there,
		.expires_boot_us = now->boot_us + ENVELOPE_MS * US_PER_MS,
	};
	/* The field tells first what devices it has: a restarted core must not call a proof void for want of knowing
	 * them. */
	if (!c->field_ready || c->site->battery_count == 0)
		return;
	w.envelope = c->envelope;
	if (core_tell_field(c, WIRE_ENVELOPE, &w, sizeof(w)) == 0)
		log_line(LOG_WARNING, "psecd-field does not read; its envelope expires");
	loop_timer_set(c->loop, &c->renew, now->boot_us + RENEW_MS * US_PER_MS);
}

int keep_load(struct core *c, struct err *e)
{
	c->renew = (struct loop_timer){ .fn = renew, .arg = c };
	return load_wish(c, e) < 0 ? -1 : load_proof(c, e);
}
