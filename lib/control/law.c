#include <math.h>

#include "heard.h"

enum {
	GOOD_SAMPLES = 3,        /* before a return from the safe set-point */
	OBEY_AGAIN_US = 10000000,
	SAFE_RAMP_US = 4000000,  /* from the held to the safe set-point */
	RETURN_RAMP_US = 5000000,
	RAMP_TICK_US = 200000,   /* how often a ramp is written on */
	RETRY_US = 1000000,      /* a set-point that is due was not reported as sent */
	HISTORY_US = 5000000,    /* how old a meter sample may be and still find the model's power */
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
	c->config.meter_max_age_us = age_or(config->meter_max_age_us, 3 * config->meter_period_us > 2 * US_PER_S
									      ? 3 * config->meter_period_us
									      : 2 * US_PER_S);
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

void control_sent(struct control *c, double setpoint_w, int64_t sent_boot_us)
{
	/* What stood there all the time proves no obedience; it is given another try only after a while. */
	if (!c->sent || setpoint_w != c->sent_w || sent_boot_us - c->lost_us > OBEY_AGAIN_US)
		c->mismatches = 0;
	if (heard_teaches(c))
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

/* ---- the law ---- */

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
		   (c->state == CONTROL_SAFE && (c->good >= GOOD_SAMPLES || !heard_needs_meter(c, env->mode)))) {
		enter(c, CONTROL_RETURNING, now);
	}
}

/* Back from the safe set-point, or from where the battery was found; the way ends at the wish. */
static double return_ramp(struct control *c, double w, const struct now *now, enum control_clamp *clamp)
{
	double most = heard_biggest_rating(c) * (double)(now->boot_us - c->ramp_from_us) / RETURN_RAMP_US;
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
	const unsigned blind = CONTROL_LOST_METER | CONTROL_FROZEN_METER | CONTROL_TURNED_METER;
	double load = heard_needs_meter(c, env->mode) && !(c->lost & blind) ? c->load_w : NAN;
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
	w = c->state == CONTROL_RETURNING ? return_ramp(c, d->wish_w, now, &d->clamp)
					  : site_ramp(c, d->wish_w, now, &d->clamp);
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
	bool differs = change > c->config.dead_band_w ||
		       (change >= 1 && (d->clamp != CONTROL_FREE || d->setpoint_w == 0));
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

void control_step(struct control *c, const struct control_input *given, const struct control_envelope *env,
		  const struct now *now, struct control_decision *d)
{
	struct control_input in = *given;
	int64_t loss_us;
	bool fresh = false;

	*d = (struct control_decision){ 0 };
	heard_drop_old_limits(c, &in, now);
	if (hands_off(c)) /* as at the beginning */
		follow(c, &in, now);
	if (env->checked && !c->was_checked)
		c->turned = false;
	c->was_checked = env->checked;
	heard_power(c, &in.battery_w, now);
	if (in.grid_w.valid && now->boot_us - in.grid_w.at_boot_us <= c->config.meter_max_age_us)
		fresh = heard_sample(c, &in.grid_w);
	else
		c->good = 0;
	if (fresh)
		heard_judge(c, &in.grid_w, env);
	next_state(c, env, heard_lost(c, &in, env, now), now);
	d->setpoint_w = choose(c, &in, env, now, d);
	c->clamp = d->clamp;
	heard_learn(c, now);
	d->state = c->state;
	d->lost = c->lost;
	d->guard = c->guard.said;
	d->load_w = c->load_w;
	d->model_w = model_at(&c->model,
			      in.grid_w.valid ? in.grid_w.at_boot_us - c->config.meter_delay_us : now->boot_us);
	schedule(c, d, now);
	if (hands_off(c) && !takes_back(c)) {
		d->write = false;
		d->wake_boot_us = INT64_MAX;
	}
	loss_us = heard_next_loss(c, &in, env, now);
	if (loss_us < d->wake_boot_us)
		d->wake_boot_us = loss_us;
	model_forget(&c->model, now->boot_us - HISTORY_US);
}
