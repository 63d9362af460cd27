/* law: the fast path. What the devices showed becomes the input of control_step, what it decides becomes a write,
 * in one turn. */
#include "field.h"

#include <math.h>

enum {
	TELL_MS = 100,           /* decisions to core, at most so often */
	WRITE_MS = 2000,         /* a set-point that could not be sent by then is not sent at all */
	DEAD_BAND_W = 20,
};

/* ---- input ---- */

static struct control_signal signal_of(const struct field *f, int device, enum device_point p)
{
	struct device_reading r;

	if (device < 0 || !poll_reading(f->poll, device, p, &r))
		return (struct control_signal){ 0 };
	return (struct control_signal){ .valid = r.quality == DEVICE_GOOD, .value = r.value, .at_boot_us = r.at_boot_us,
					.changed_boot_us = r.changed_boot_us };
}

void law_input(struct field *f, struct control_input *in)
{
	const struct law *l = &f->law;

	*in = (struct control_input){
		.grid_w = signal_of(f, l->meter, POINT_GRID_POWER_W),
		.battery_w = signal_of(f, l->inverter, POINT_BATTERY_POWER_W),
		.soc_percent = signal_of(f, l->bms, POINT_BMS_SOC_PERCENT),
		.charge_limit_w = signal_of(f, l->bms, POINT_BMS_CHARGE_LIMIT_W),
		.discharge_limit_w = signal_of(f, l->bms, POINT_BMS_DISCHARGE_LIMIT_W),
	};
}

/* ---- output ---- */

static void written(void *arg, int device, enum device_point p, double value, enum poll_written how, const char *why,
		    int64_t sent_boot_us)
{
	struct asked *asked = arg;
	struct field *f = asked->field;
	struct law *l = &f->law;

	(void)p;
	if (sent_boot_us > 0) {
		l->wrote = true;
		l->last_w = value;
		l->last_shown = how == POLL_SHOWN;
		if (asked->sample_boot_us > 0 && how != POLL_FAILED) {
			l->sample_to_wire_us = sent_boot_us - asked->sample_boot_us;
			spread_add(&l->timing, l->sample_to_wire_us);
			asked->sample_boot_us = 0;
		}
	}
	if (how == POLL_SHOWN) {
		control_sent(l->control, value, sent_boot_us);
		said_shown(f);
	} else if (how == POLL_NOT_SHOWN || how == POLL_FAILED) {
		control_not_shown(l->control, sent_boot_us > 0);
		said_not_shown(f, device, value, why);
	}
	if (f->leaving)
		leave_written(f, value, how, why);
}

void law_write(struct field *f, double setpoint_w, enum poll_purpose purpose, int64_t sample_boot_us)
{
	struct law *l = &f->law;
	struct asked *asked = &l->asked[l->next_asked++ % ASKED_MAX];
	struct err e;

	*asked = (struct asked){ .field = f, .sample_boot_us = sample_boot_us };
	if (poll_write(f->poll, l->inverter, POINT_BATTERY_SETPOINT_W, setpoint_w, purpose,
		       loop_now(f->loop)->boot_us + WRITE_MS * US_PER_MS, written, asked, &e) < 0) {
		said_refusal(f, &e);
		if (f->leaving)
			leave_written(f, setpoint_w, POLL_FAILED, e.text);
	} else {
		said_accepted(f);
	}
}

/* ---- decisions to core ---- */

static void tell_decision(void *arg)
{
	struct field *f = arg;
	struct law *l = &f->law;
	const struct now *now = loop_now(f->loop);
	struct wire_decision w = { .decision = l->decision, .envelope_serial = l->envelope_serial,
				   .at_boot_us = now->boot_us,
				   .utc_us = now->utc_us, .sample_to_wire_us = l->sample_to_wire_us,
				   .timing = { .count = l->timing.count, .p50_us = spread_quantile(&l->timing, 500),
					       .p99_us = spread_quantile(&l->timing, 990),
					       .p999_us = spread_quantile(&l->timing, 999),
					       .max_us = l->timing.max_us } };

	control_learned(l->control, &w.learned);
	l->told_boot_us = now->boot_us;
	(void)staff_tell_core(f, WIRE_DECISION, &w, sizeof(w)); /* latest wins: the next one says it, too */
}

static void tell_soon(struct field *f)
{
	struct law *l = &f->law;
	int64_t due_us = l->told_boot_us + TELL_MS * US_PER_MS, now_us = loop_now(f->loop)->boot_us;

	if (due_us <= now_us) {
		loop_timer_stop(f->loop, &l->tell);
		tell_decision(f);
	} else if (!l->tell.index_) {
		loop_timer_set(f->loop, &l->tell, due_us);
	}
}

/* ---- the step ---- */

void law_decide(struct field *f, bool grid_is_new)
{
	struct law *l = &f->law;
	const struct now *now = loop_now(f->loop);
	struct control_input in;

	if (!l->control || f->leaving || f->check.runs || trying_writes(f) || l->envelope_serial == 0)
		return; /* before the first envelope nobody has said what is wanted */
	law_input(f, &in);
	control_step(l->control, &in, &l->envelope, now, &l->decision);
	if (l->decision.write && poll_device_state(f->poll, l->inverter) == DEVICE_LIVE)
		law_write(f, l->decision.setpoint_w, POLL_CONTROL, grid_is_new ? now->boot_us : 0);
	if (l->decision.wake_boot_us < INT64_MAX)
		loop_timer_set(f->loop, &l->wake, l->decision.wake_boot_us);
	else
		loop_timer_stop(f->loop, &l->wake);
	said_decision(f);
	tell_soon(f);
}

static void wake(void *arg)
{
	law_decide(arg, false);
}

/* The inverter says how much it can only once it was met; until then the site's own limits bound it. */
static void learn_ratings(struct field *f)
{
	struct law *l = &f->law;
	struct control_signal charge = signal_of(f, l->inverter, POINT_BATTERY_CHARGE_RATING_W);
	struct control_signal discharge = signal_of(f, l->inverter, POINT_BATTERY_DISCHARGE_RATING_W);

	if (charge.valid)
		l->config.charge_rating_w = fabs(charge.value);
	if (discharge.valid)
		l->config.discharge_rating_w = fabs(discharge.value);
	control_set_ratings(l->control, l->config.charge_rating_w, l->config.discharge_rating_w);
}

void law_updated(struct field *f, int device)
{
	struct law *l = &f->law;
	struct control_signal grid;

	if (!l->control)
		return;
	if (device == l->inverter)
		learn_ratings(f);
	if (device != l->meter)
		return;
	grid = signal_of(f, l->meter, POINT_GRID_POWER_W);
	if (grid.valid && grid.at_boot_us == l->grid_at_boot_us)
		return; /* another block of the meter */
	l->grid_at_boot_us = grid.at_boot_us;
	if (f->check.runs)
		check_sample(f);
	else
		law_decide(f, grid.valid);
}

void law_device_changed(struct field *f, int device)
{
	struct law *l = &f->law;

	if (l->control && (device == l->meter || device == l->inverter || device == l->bms))
		law_decide(f, false);
}

void law_envelope(struct field *f, const struct wire_envelope *w)
{
	f->law.envelope = w->envelope;
	f->law.envelope_serial = w->serial;
	law_decide(f, false);
}

/* ---- start ---- */

static const struct device_timing *timing_of(const struct field *f, int device)
{
	static const struct device_timing none;

	return device < 0 ? &none
			  : &device_profile_info(device_profile_find(f->catalogue, f->site->devices[device].profile))
				     ->timing;
}

int law_init(struct field *f, struct err *e)
{
	struct law *l = &f->law;
	const struct device_timing *meter, *inverter;
	int64_t poll_ms;

	l->sample_to_wire_us = -1;
	l->said_class = -1;
	l->meter = l->inverter = l->bms = -1;
	l->wake = (struct loop_timer){ .fn = wake, .arg = f };
	l->tell = (struct loop_timer){ .fn = tell_decision, .arg = f };
	if (f->site->battery_count == 0)
		return 0;
	l->inverter = f->site->batteries[0].inverter;
	l->bms = f->site->batteries[0].bms;
	l->meter = site_find_role(f->site, SITE_GRID_METER);
	meter = timing_of(f, l->meter);
	inverter = timing_of(f, l->inverter);
	poll_ms = l->meter >= 0 && f->site->devices[l->meter].poll_ms ? f->site->devices[l->meter].poll_ms
								      : meter->poll_ms;
	l->config = (struct control_config){ .site = f->site->control };
	l->config.charge_rating_w = l->config.discharge_rating_w = NAN;
	l->config.meter_period_us = (meter->meter_period_ms > poll_ms ? meter->meter_period_ms : poll_ms) * US_PER_MS;
	if (l->config.meter_period_us <= 0)
		l->config.meter_period_us = US_PER_S;
	l->config.meter_delay_us = meter->meter_delay_ms * US_PER_MS;
	l->config.inverter = (struct control_model){ inverter->dead_time_ms * US_PER_MS, inverter->lag_ms * US_PER_MS,
						     inverter->ramp_w_per_s > 0 ? inverter->ramp_w_per_s : INFINITY };
	l->config.watchdog_us = inverter->watchdog_ms * US_PER_MS;
	l->config.write_interval_us = inverter->write_interval_ms * US_PER_MS;
	l->config.expects_bms = l->bms >= 0;
	l->config.dead_band_w = DEAD_BAND_W;
	return control_new(&l->config, &l->control, e);
}

void law_release(struct field *f)
{
	loop_timer_stop(f->loop, &f->law.wake);
	loop_timer_stop(f->loop, &f->law.tell);
	control_free(f->law.control);
}
