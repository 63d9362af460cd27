#include "heard.h"

#include <math.h>

enum {
	MISMATCHES = 3,          /* set-points not shown when read back: the inverter does not obey */
	FROZEN_US = 10000000,    /* nothing new for so long, at least ten periods of the meter, … */
	FROZEN_W = 200,          /* … while the command moved by this much */
	/* an inverter that does not move at all for so long, and its own time twice, is deaf */
	DEAF_US = 10000000,
	/* a slower meter shows means of a series, in which nothing swings and everything jumps */
	LIVE_METER_US = 10000000,
	JUMP_RATINGS = 3,        /* a jump by so many inverters is believed when it is said twice */
};

/* ---- what is lost ---- */

static bool stale(const struct control_signal *s, int64_t max_age_us, const struct now *now)
{
	return !s->valid || now->boot_us - s->at_boot_us > max_age_us;
}

bool heard_needs_meter(const struct control *c, enum site_mode mode)
{
	return mode == SITE_MODE_SELF_CONSUMPTION || mode == SITE_MODE_OBSERVE ||
	       isfinite(c->config.site.import_limit_w) || isfinite(c->config.site.export_limit_w);
}

static bool frozen(const struct control *c, const struct control_input *in, const struct now *now)
{
	int64_t patience_us = 10 * c->config.meter_period_us > FROZEN_US ? 10 * c->config.meter_period_us : FROZEN_US;

	return in->grid_w.valid && now->boot_us - c->new_us >= patience_us &&
	       c->moved_high_w - c->moved_low_w > FROZEN_W;
}

unsigned heard_lost(const struct control *c, const struct control_input *in, const struct control_envelope *env,
			  const struct now *now)
{
	unsigned lost = 0;

	if (now->boot_us >= env->expires_boot_us)
		lost |= CONTROL_LOST_ENVELOPE;
	if (env->mode == SITE_MODE_OFF)
		return lost;
	if (heard_needs_meter(c, env->mode)) {
		if (stale(&in->grid_w, c->config.meter_max_age_us, now))
			lost |= CONTROL_LOST_METER;
		else if (frozen(c, in, now))
			lost |= CONTROL_FROZEN_METER;
		if (c->turned)
			lost |= CONTROL_TURNED_METER;
	}
	if (stale(&in->battery_w, c->config.inverter_max_age_us, now))
		lost |= CONTROL_LOST_INVERTER;
	if (c->config.expects_bms && stale(&in->soc_percent, c->config.bms_max_age_us, now))
		lost |= CONTROL_LOST_BMS;
	if (c->mismatches >= MISMATCHES || c->doubt.deaf)
		lost |= CONTROL_NOT_OBEYED;
	return lost;
}

/* A limit older than the BMS may be is no limit that can be trusted: undefined, which means 0. */
void heard_drop_old_limits(const struct control *c, struct control_input *in, const struct now *now)
{
	if (stale(&in->charge_limit_w, c->config.bms_max_age_us, now))
		in->charge_limit_w.valid = false;
	if (stale(&in->discharge_limit_w, c->config.bms_max_age_us, now))
		in->discharge_limit_w.valid = false;
}

/* Does a limit hold the set-point where the law alone would not have it? */
static bool clamped(const struct control *c)
{
	return c->clamp != CONTROL_FREE && c->clamp != CONTROL_BY_MODE && c->clamp != CONTROL_BY_RAMP;
}

/* Nothing is lost, and the inverter was told what the law wants, not what a limit leaves of it. */
bool heard_teaches(const struct control *c)
{
	return !c->lost && !clamped(c) && (c->state == CONTROL_RUNNING || c->state == CONTROL_RETURNING);
}

double heard_biggest_rating(const struct control *c)
{
	double w = 0;

	if (isfinite(c->config.charge_rating_w))
		w = c->config.charge_rating_w;
	if (isfinite(c->config.discharge_rating_w))
		w = fmax(w, c->config.discharge_rating_w);
	return w > 0 ? w : 5000;
}

static bool live_meter(const struct control *c)
{
	return c->config.meter_period_us <= LIVE_METER_US;
}

/* A poll between two refreshes of the meter repeats the old value: that is no new sample until a period has passed. */
bool heard_sample(struct control *c, const struct control_signal *grid)
{
	int64_t at_us = grid->at_boot_us - c->config.meter_delay_us;
	bool changed = grid->changed_boot_us > c->used_changed_us;
	double load_w;

	if (!grid->valid || (c->used_us && !changed && grid->at_boot_us - c->used_us < c->config.meter_period_us))
		return false;
	if (changed && (!live_meter(c) || doubt_new(&c->doubt, grid->value))) {
		c->moved_low_w = c->moved_high_w = c->sent_w;
		c->new_us = grid->changed_boot_us;
	}
	if (changed)
		c->used_changed_us = grid->changed_boot_us;
	c->used_us = grid->at_boot_us;
	c->good++;
	load_w = grid->value + model_at(&c->model, at_us);
	if (live_meter(c) && doubt_jump(&c->doubt, load_w, c->load_w, JUMP_RATINGS * heard_biggest_rating(c)))
		return false;
	c->load_w = load_w;
	return true;
}

/* How long the loop needs for an answer. */
static int64_t answer_us(const struct control *c)
{
	return c->model.dead_us + c->model.lag_us + c->config.meter_period_us + c->config.meter_delay_us;
}

/* The power that the inverter itself said for an instant. */
static double power_at(const struct control *c, int64_t at_us)
{
	for (size_t k = 0; k + 1 < HEARD_POWERS; k++) {
		size_t late = (c->newest_power + HEARD_POWERS - k) % HEARD_POWERS,
		       early = (late + HEARD_POWERS - 1) % HEARD_POWERS;
		int64_t from_us = c->powers[early].at_us, to_us = c->powers[late].at_us;

		if (at_us >= to_us || from_us == 0)
			return c->powers[late].w;
		if (at_us >= from_us)
			return c->powers[early].w + (c->powers[late].w - c->powers[early].w) *
							    (double)(at_us - from_us) / (double)(to_us - from_us);
	}
	return c->powers[(c->newest_power + 1) % HEARD_POWERS].w;
}

/* A slow one may take its dead time, its lag and its ramp; then twice that. */
static int64_t obey_us(const struct control *c)
{
	const struct control_model *m = &c->config.inverter;

	return DEAF_US +
	       2 * (m->dead_time_us + 2 * m->lag_us + (int64_t)(heard_biggest_rating(c) / m->ramp_w_per_s * US_PER_S));
}

void heard_power(struct control *c, const struct control_signal *battery, const struct now *now)
{
	c->battery_w = *battery;
	identify_power(&c->identify, battery);
	doubt_deaf(&c->doubt, battery, now->boot_us, obey_us(c));
	if (!battery->valid || battery->changed_boot_us <= c->powers[c->newest_power].at_us)
		return;
	c->newest_power = (c->newest_power + 1) % HEARD_POWERS;
	c->powers[c->newest_power].at_us = battery->changed_boot_us;
	c->powers[c->newest_power].w = battery->value;
}

/* What a new sample of the meter says of the model, of the law and of the meter itself. */
void heard_judge(struct control *c, const struct control_signal *grid, const struct control_envelope *env)
{
	int64_t at_us = grid->at_boot_us - c->config.meter_delay_us;
	bool acts = c->state == CONTROL_RUNNING || c->state == CONTROL_RETURNING;

	c->calm_load_w = c->load_w;
	if (!live_meter(c))
		return;
	identify_meter(&c->identify, at_us, grid->value);
	if (c->state == CONTROL_RUNNING && env->mode == SITE_MODE_SELF_CONSUMPTION)
		guard_sample(&c->guard, grid->at_boot_us, grid->value - env->target_w, power_at(c, at_us),
			     answer_us(c));
	else
		guard_pause(&c->guard);
	c->calm_load_w = guard_filter(&c->guard, grid->at_boot_us, c->load_w, answer_us(c));
	if (!acts)
		c->doubt.met = false;
	else if (doubt_sign(&c->doubt, at_us, grid->value, model_at(&c->model, at_us), answer_us(c)))
		c->turned = true;
}

void heard_learn(struct control *c, const struct now *now)
{
	const struct control_model *l = &c->identify.learned;

	if (!heard_teaches(c))
		identify_drop(&c->identify);
	if (!identify_turn(&c->identify, now->boot_us))
		return;
	c->model.dead_us = l->dead_time_us;
	c->model.lag_us = l->lag_us;
	c->model.ramp_w_per_s = l->ramp_w_per_s;
}

/* The next instant at which a signal would be too old, if nothing comes. */
int64_t heard_next_loss(const struct control *c, const struct control_input *in, const struct control_envelope *env,
			 const struct now *now)
{
	int64_t at = env->expires_boot_us, t;

	if (env->mode == SITE_MODE_OFF)
		return at > now->boot_us ? at : INT64_MAX;
	if (in->grid_w.valid && heard_needs_meter(c, env->mode) &&
	    (t = in->grid_w.at_boot_us + c->config.meter_max_age_us + 1) < at)
		at = t;
	if (in->battery_w.valid && (t = in->battery_w.at_boot_us + c->config.inverter_max_age_us + 1) < at)
		at = t;
	if (in->soc_percent.valid && c->config.expects_bms &&
	    (t = in->soc_percent.at_boot_us + c->config.bms_max_age_us + 1) < at)
		at = t;
	return at > now->boot_us ? at : INT64_MAX;
}
