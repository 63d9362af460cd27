#include <math.h>

#include "control/control.h"
#include "doubt.h"
#include "guard.h"
#include "identify.h"
#include "limits.h"
#include "model.h"

enum {
	GOOD_SAMPLES = 3,        /* before a return from the safe set-point */
	MISMATCHES = 3,          /* set-points not shown when read back: the inverter does not obey */
	OBEY_AGAIN_US = 10000000,
	SAFE_RAMP_US = 4000000,  /* from the held to the safe set-point */
	RETURN_RAMP_US = 5000000,
	RAMP_TICK_US = 200000,   /* how often a ramp is written on */
	RETRY_US = 1000000,      /* a set-point that is due was not reported as sent */
	FROZEN_US = 10000000,    /* nothing new for so long, at least ten periods of the meter, … */
	FROZEN_W = 200,          /* … while the command moved by this much */
	HISTORY_US = 5000000,    /* how old a meter sample may be and still find the model's power */
	DEAF_US = 10000000,      /* an inverter that does not move at all for so long, and its own time twice, is deaf */
	LIVE_METER_US = 10000000, /* a slower meter shows means of a series, in which nothing swings and everything jumps */
	JUMP_RATINGS = 3,        /* a jump by so many inverters is believed when it is said twice */
	POWERS = 8,
};

struct control {
	struct control_config config;
	struct model model;
	struct identify identify;
	struct guard guard;
	struct doubt doubt;
	struct limits_blocks blocks;
	enum control_state state;
	enum control_clamp clamp;        /* of the last decision */
	bool began;
	/* the meter */
	double load_w;                   /* load − pv behind the meter at the last used sample; NaN before the first */
	double calm_load_w;              /* the same, as the oscillation guard lets the law see it */
	int64_t used_changed_us, used_us;
	int64_t new_us;                  /* when it last showed what it had not shown before */
	int good;
	bool turned, was_checked;        /* its sign is wrong; cleared by a new sign check */
	/* the inverter's own power, the last of its values, in a ring */
	struct { int64_t at_us; double w; } powers[POWERS];
	size_t newest_power;
	/* loss */
	unsigned lost;
	int64_t lost_us;                 /* since when */
	double ramp_from_w;
	int64_t ramp_from_us;
	/* commands */
	bool sent;
	double sent_w;
	int64_t sent_us;
	bool unsure;                     /* one that left later was not shown: what the inverter holds is not known */
	double moved_low_w, moved_high_w; /* range of the commands since the meter last showed anything new */
	int mismatches;
	struct control_signal battery_w; /* as last heard */
};

static int64_t age_or(int64_t given, int64_t otherwise)
{
	return given ? given : otherwise;
}

int control_new(const struct control_config *config, struct control **out, struct err *e)
{
	struct control *c;

	if (config->meter_period_us <= 0 || config->inverter.lag_us < 0 || config->inverter.dead_time_us < 0 ||
	    !(config->inverter.ramp_w_per_s > 0) || !(config->site.ramp_w_per_s > 0))
		return err_set(e, ERR_BUG, 0, "control: meter period, lag, dead time or ramp is out of range");
	c = xcalloc(1, sizeof *c);
	c->config = *config;
	c->config.meter_max_age_us = age_or(config->meter_max_age_us,
					    3 * config->meter_period_us > 2 * US_PER_S ? 3 * config->meter_period_us : 2 * US_PER_S);
	c->config.bms_max_age_us = age_or(config->bms_max_age_us, 5 * US_PER_S);
	c->config.inverter_max_age_us = age_or(config->inverter_max_age_us, 5 * US_PER_S);
	model_init(&c->model, config->inverter.dead_time_us, config->inverter.lag_us, config->inverter.ramp_w_per_s);
	identify_init(&c->identify, &config->inverter, config->meter_period_us);
	c->load_w = c->calm_load_w = NAN;
	doubt_init(&c->doubt);
	*out = c;
	return 0;
}

void control_set_ratings(struct control *c, double charge_w, double discharge_w)
{
	c->config.charge_rating_w = charge_w;
	c->config.discharge_rating_w = discharge_w;
}

void control_learned(const struct control *c, struct control_learned *out)
{
	const struct identify *i = &c->identify;

	*out = (struct control_learned){ i->profile, i->learned, i->steps, i->unjudged, i->confidence_percent };
}

void control_free(struct control *c)
{
	free(c);
}

/* Does a limit hold the set-point where the law alone would not have it? */
static bool clamped(const struct control *c)
{
	return c->clamp != CONTROL_FREE && c->clamp != CONTROL_BY_MODE && c->clamp != CONTROL_BY_RAMP;
}

/* Nothing is lost, and the inverter was told what the law wants, not what a limit leaves of it. */
static bool teaches(const struct control *c)
{
	return !c->lost && !clamped(c) && (c->state == CONTROL_RUNNING || c->state == CONTROL_RETURNING);
}

void control_sent(struct control *c, double setpoint_w, int64_t sent_boot_us)
{
	/* What stood there all the time proves no obedience; it is given another try only after a while. */
	if (!c->sent || setpoint_w != c->sent_w || sent_boot_us - c->lost_us > OBEY_AGAIN_US)
		c->mismatches = 0;
	if (teaches(c))
		identify_command(&c->identify, &c->model, sent_boot_us, setpoint_w);
	model_command(&c->model, sent_boot_us, setpoint_w);
	doubt_command(&c->doubt, &c->battery_w, setpoint_w, sent_boot_us);
	c->sent = true;
	c->unsure = false;
	c->sent_w = setpoint_w;
	c->sent_us = sent_boot_us;
	c->moved_low_w = fmin(c->moved_low_w, setpoint_w);
	c->moved_high_w = fmax(c->moved_high_w, setpoint_w);
}

void control_not_shown(struct control *c, bool may_stand)
{
	c->mismatches++;
	c->unsure |= may_stand;
	if (may_stand)
		identify_drop(&c->identify);
}

/* ---- what is lost ---- */

static bool stale(const struct control_signal *s, int64_t max_age_us, const struct now *now)
{
	return !s->valid || now->boot_us - s->at_boot_us > max_age_us;
}

static bool needs_meter(const struct control *c, enum site_mode mode)
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

static unsigned find_lost(const struct control *c, const struct control_input *in, const struct control_envelope *env,
			  const struct now *now)
{
	unsigned lost = 0;

	if (now->boot_us >= env->expires_boot_us)
		lost |= CONTROL_LOST_ENVELOPE;
	if (env->mode == SITE_MODE_OFF)
		return lost;
	if (needs_meter(c, env->mode)) {
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
static void drop_old_limits(const struct control *c, struct control_input *in, const struct now *now)
{
	if (stale(&in->charge_limit_w, c->config.bms_max_age_us, now))
		in->charge_limit_w.valid = false;
	if (stale(&in->discharge_limit_w, c->config.bms_max_age_us, now))
		in->discharge_limit_w.valid = false;
}

/* ---- the law ---- */

static double biggest_rating(const struct control *c)
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
static bool take_sample(struct control *c, const struct control_signal *grid)
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
	if (live_meter(c) && doubt_jump(&c->doubt, load_w, c->load_w, JUMP_RATINGS * biggest_rating(c)))
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
	for (size_t k = 0; k + 1 < POWERS; k++) {
		size_t late = (c->newest_power + POWERS - k) % POWERS, early = (late + POWERS - 1) % POWERS;
		int64_t from_us = c->powers[early].at_us, to_us = c->powers[late].at_us;

		if (at_us >= to_us || from_us == 0)
			return c->powers[late].w;
		if (at_us >= from_us)
			return c->powers[early].w + (c->powers[late].w - c->powers[early].w) * (double)(at_us - from_us) /
						    (double)(to_us - from_us);
	}
	return c->powers[(c->newest_power + 1) % POWERS].w;
}

static void hear_power(struct control *c, const struct control_signal *battery)
{
	c->battery_w = *battery;
	identify_power(&c->identify, battery);
	if (!battery->valid || battery->changed_boot_us <= c->powers[c->newest_power].at_us)
		return;
	c->newest_power = (c->newest_power + 1) % POWERS;
	c->powers[c->newest_power].at_us = battery->changed_boot_us;
	c->powers[c->newest_power].w = battery->value;
}

/* What a new sample of the meter says of the model, of the law and of the meter itself. */
static void judge_sample(struct control *c, const struct control_signal *grid, const struct control_envelope *env)
{
	int64_t at_us = grid->at_boot_us - c->config.meter_delay_us;
	bool acts = c->state == CONTROL_RUNNING || c->state == CONTROL_RETURNING;

	c->calm_load_w = c->load_w;
	if (!live_meter(c))
		return;
	identify_meter(&c->identify, at_us, grid->value);
	if (c->state == CONTROL_RUNNING && env->mode == SITE_MODE_SELF_CONSUMPTION)
		guard_sample(&c->guard, grid->at_boot_us, grid->value - env->target_w, power_at(c, at_us), answer_us(c));
	else
		guard_pause(&c->guard);
	c->calm_load_w = guard_filter(&c->guard, grid->at_boot_us, c->load_w, answer_us(c));
	if (!acts)
		c->doubt.met = false;
	else if (doubt_sign(&c->doubt, grid->value, model_at(&c->model, at_us)))
		c->turned = true;
}

static void learn(struct control *c, const struct now *now)
{
	const struct control_model *l = &c->identify.learned;

	if (!teaches(c))
		identify_drop(&c->identify);
	if (!identify_turn(&c->identify, now->boot_us))
		return;
	c->model.dead_us = l->dead_time_us;
	c->model.lag_us = l->lag_us;
	c->model.ramp_w_per_s = l->ramp_w_per_s;
}

/* A slow one may take its dead time, its lag and its ramp; then twice that. */
static int64_t obey_us(const struct control *c)
{
	const struct control_model *m = &c->config.inverter;

	return DEAF_US + 2 * (m->dead_time_us + 2 * m->lag_us + (int64_t)(biggest_rating(c) / m->ramp_w_per_s * US_PER_S));
}

/* While nothing is commanded the model follows what is measured, so that the load estimate is true and the first
 * command starts from where the battery is. */
static void follow(struct control *c, const struct control_input *in, const struct now *now)
{
	if (in->battery_w.valid)
		model_reset(&c->model, now->boot_us - HISTORY_US, in->battery_w.value);
}

static double wish(const struct control *c, const struct control_envelope *env)
{
	switch (env->mode) {
	case SITE_MODE_SELF_CONSUMPTION:
	case SITE_MODE_OBSERVE:
		return isnan(c->calm_load_w) ? 0 : c->calm_load_w - env->target_w;
	case SITE_MODE_MANUAL:
		return env->manual_w;
	default:
		return 0;
	}
}

static double toward(double from, double to, double most)
{
	return clamp_real(to, from - most, from + most);
}

/* The site's ramp counts from what was last sent; without a ramp of its own a site may step. */
static double site_ramp(const struct control *c, double w, const struct now *now, enum control_clamp *clamp)
{
	double most, ramped;

	if (!isfinite(c->config.site.ramp_w_per_s) || !c->sent)
		return w;
	most = c->config.site.ramp_w_per_s * (double)(now->boot_us - c->sent_us) / US_PER_S;
	ramped = toward(c->sent_w, w, fmax(most, 1));
	if (ramped != w)
		*clamp = CONTROL_BY_RAMP;
	return ramped;
}

static double fraction(int64_t since_us, int64_t of_us, const struct now *now)
{
	return clamp_real((double)(now->boot_us - since_us) / (double)of_us, 0, 1);
}

/* ---- states ---- */

static void enter(struct control *c, enum control_state state, const struct now *now)
{
	if (state == c->state)
		return;
	c->state = state;
	c->ramp_from_w = c->sent ? c->sent_w : model_at(&c->model, now->boot_us);
	c->ramp_from_us = now->boot_us;
	c->good = 0;
}

static bool automatic(enum site_mode mode)
{
	return mode == SITE_MODE_SELF_CONSUMPTION;
}

static void next_state(struct control *c, const struct control_envelope *env, unsigned lost, const struct now *now)
{
	if (lost && !c->lost)
		c->lost_us = now->boot_us;
	if (lost)
		c->good = 0;
	c->lost = lost;
	if (env->mode == SITE_MODE_OFF || env->mode == SITE_MODE_OBSERVE) {
		enter(c, CONTROL_IDLE, now);
	} else if (automatic(env->mode) && !env->checked) {
		enter(c, CONTROL_REFUSED, now);
	} else if (lost) {
		if (c->state == CONTROL_IDLE || c->state == CONTROL_REFUSED ||
		    now->boot_us - c->lost_us >= c->config.meter_period_us)
			enter(c, CONTROL_SAFE, now);
		else if (c->state != CONTROL_SAFE)
			enter(c, CONTROL_HOLD, now);
	} else if (c->state == CONTROL_HOLD) {
		enter(c, CONTROL_RUNNING, now);
	} else if (c->state == CONTROL_IDLE || c->state == CONTROL_REFUSED ||
		   (c->state == CONTROL_SAFE && (c->good >= GOOD_SAMPLES || !needs_meter(c, env->mode)))) {
		enter(c, CONTROL_RETURNING, now);
	}
}

/* Back from the safe set-point, or from where the battery was found; the way ends at the wish. */
static double return_ramp(struct control *c, double w, const struct now *now, enum control_clamp *clamp)
{
	double most = biggest_rating(c) * (double)(now->boot_us - c->ramp_from_us) / RETURN_RAMP_US;
	double ramped = toward(c->ramp_from_w, w, most);

	if (ramped == w)
		enter(c, CONTROL_RUNNING, now);
	else
		*clamp = CONTROL_BY_RAMP;
	return ramped;
}

/* Off, observe and refused: what we commanded is taken back with 0 W once, then hands off. */
static bool hands_off(const struct control *c)
{
	return c->state == CONTROL_IDLE || c->state == CONTROL_REFUSED;
}

static bool takes_back(const struct control *c)
{
	return hands_off(c) && (c->unsure || (c->sent && c->sent_w != 0));
}

/* The set-point of this state, clamped; names the rule. */
static double choose(struct control *c, const struct control_input *in, const struct control_envelope *env,
		     const struct now *now, struct control_decision *d)
{
	double load = needs_meter(c, env->mode) && !(c->lost & (CONTROL_LOST_METER | CONTROL_FROZEN_METER)) ? c->load_w : NAN;
	double w;

	d->clamp = env->mode == SITE_MODE_MANUAL || env->mode == SITE_MODE_OFF ? CONTROL_BY_MODE : CONTROL_FREE;
	d->wish_w = wish(c, env);
	if (takes_back(c)) {
		d->clamp = c->state == CONTROL_REFUSED ? CONTROL_BY_UNCHECKED : CONTROL_BY_MODE;
		return 0;
	}
	switch (c->state) {
	case CONTROL_HOLD:
		d->clamp = CONTROL_BY_SAFE;
		return limits_apply(&c->config, in, &c->blocks, NAN, c->sent ? c->sent_w : 0, &d->clamp);
	case CONTROL_SAFE:
		w = c->config.site.safe_w;
		w = c->ramp_from_w + (w - c->ramp_from_w) * fraction(c->ramp_from_us, SAFE_RAMP_US, now);
		w = limits_apply(&c->config, in, &c->blocks, NAN, w, &d->clamp);
		d->clamp = CONTROL_BY_SAFE;
		return w;
	case CONTROL_REFUSED:
		d->clamp = CONTROL_BY_UNCHECKED;
		return 0;
	default:
		break;
	}
	/* The ramp is a wish, the limits are not: they come after it. */
	w = c->state == CONTROL_RETURNING ? return_ramp(c, d->wish_w, now, &d->clamp) : site_ramp(c, d->wish_w, now, &d->clamp);
	return limits_apply(&c->config, in, &c->blocks, load, w, &d->clamp);
}

static void schedule(const struct control *c, struct control_decision *d, const struct now *now)
{
	int64_t refresh_us = c->config.watchdog_us ? c->config.watchdog_us / 3 : INT64_MAX / 2;
	int64_t since_us = c->sent ? now->boot_us - c->sent_us : INT64_MAX / 2;
	double change = c->sent && !c->unsure ? fabs(d->setpoint_w - c->sent_w) : INFINITY;
	bool moving = c->state == CONTROL_HOLD || c->state == CONTROL_RETURNING ||
		      (c->state == CONTROL_SAFE && now->boot_us - c->ramp_from_us < SAFE_RAMP_US) ||
		      d->clamp == CONTROL_BY_RAMP;
	/* The dead band spares the inverter small moves, but not the end of a move to a bound. */
	bool differs = change > c->config.dead_band_w || (change >= 1 && (d->clamp != CONTROL_FREE || d->setpoint_w == 0));
	bool due = differs || since_us >= refresh_us;

	d->write = due && since_us >= c->config.write_interval_us;
	d->wake_boot_us = INT64_MAX;
	if (due && !d->write)
		d->wake_boot_us = c->sent_us + c->config.write_interval_us;
	else if (d->write)
		d->wake_boot_us = now->boot_us + RETRY_US;
	else if (c->sent && c->config.watchdog_us)
		d->wake_boot_us = c->sent_us + refresh_us;
	if (moving && d->wake_boot_us > now->boot_us + RAMP_TICK_US)
		d->wake_boot_us = now->boot_us + RAMP_TICK_US;
}

/* The next instant at which a signal would be too old, if nothing comes. */
static int64_t next_loss(const struct control *c, const struct control_input *in, const struct control_envelope *env,
			 const struct now *now)
{
	int64_t at = env->expires_boot_us, t;

	if (env->mode == SITE_MODE_OFF)
		return at > now->boot_us ? at : INT64_MAX;
	if (in->grid_w.valid && needs_meter(c, env->mode) &&
	    (t = in->grid_w.at_boot_us + c->config.meter_max_age_us + 1) < at)
		at = t;
	if (in->battery_w.valid && (t = in->battery_w.at_boot_us + c->config.inverter_max_age_us + 1) < at)
		at = t;
	if (in->soc_percent.valid && c->config.expects_bms &&
	    (t = in->soc_percent.at_boot_us + c->config.bms_max_age_us + 1) < at)
		at = t;
	return at > now->boot_us ? at : INT64_MAX;
}

void control_step(struct control *c, const struct control_input *given, const struct control_envelope *env,
		  const struct now *now, struct control_decision *d)
{
	struct control_input in = *given;
	int64_t loss_us;
	bool fresh = false;

	*d = (struct control_decision){ 0 };
	drop_old_limits(c, &in, now);
	if (!c->began || hands_off(c))
		follow(c, &in, now);
	c->began = true;
	if (env->checked && !c->was_checked)
		c->turned = false;
	c->was_checked = env->checked;
	hear_power(c, &in.battery_w);
	doubt_deaf(&c->doubt, &in.battery_w, now->boot_us, obey_us(c));
	if (in.grid_w.valid && now->boot_us - in.grid_w.at_boot_us <= c->config.meter_max_age_us)
		fresh = take_sample(c, &in.grid_w);
	else
		c->good = 0;
	if (fresh)
		judge_sample(c, &in.grid_w, env);
	next_state(c, env, find_lost(c, &in, env, now), now);
	d->setpoint_w = choose(c, &in, env, now, d);
	c->clamp = d->clamp;
	learn(c, now);
	d->state = c->state;
	d->lost = c->lost;
	d->guard = c->guard.said;
	d->load_w = c->load_w;
	d->model_w = model_at(&c->model, in.grid_w.valid ? in.grid_w.at_boot_us - c->config.meter_delay_us : now->boot_us);
	schedule(c, d, now);
	if (hands_off(c) && !takes_back(c)) {
		d->write = false;
		d->wake_boot_us = INT64_MAX;
	}
	loss_us = next_loss(c, &in, env, now);
	if (loss_us < d->wake_boot_us)
		d->wake_boot_us = loss_us;
	model_forget(&c->model, now->boot_us - HISTORY_US);
}
