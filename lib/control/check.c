#include <math.h>

#include "control/control.h"

/* Baseline, step, judgement. Every phase is fed by meter samples; a check that cannot end is ended by its phase's
 * time. */
enum phase { BASELINE, STEP, OVER };
enum {
	STEP_W = 500,
	TOLERANCE_PERCENT = 30,
	STEADY_W = 150,               /* spread of the meter that still tells a 500 W step apart */
	BASELINE_US = 2000000,
	WINDOW_US = 5000000,          /* the step must be on the meter by then */
	PATIENCE_US = 10000000,       /* for any phase without samples */
	ATTEMPTS = 3,
};

static double room(const struct control_signal *bms, double rating_w, double site_w, bool expects_bms)
{
	double w = fmin(isnan(rating_w) ? site_w : rating_w, site_w);

	return expects_bms ? fmin(w, bms->valid ? bms->value : 0) : w;
}

static void phase(struct control_check *k, enum phase p, const struct now *now)
{
	k->phase = p;
	k->phase_boot_us = now->boot_us;
	k->sum = 0;
	k->count = 0;
	k->lowest = INFINITY;
	k->highest = -INFINITY;
}

void control_check_begin(struct control_check *k, const struct control_config *config, const struct control_input *in,
			 const struct now *now)
{
	const struct site_control *site = &config->site;
	double floor = fmax(site->soc_min_percent, site->reserve_percent);
	double discharge = room(&in->discharge_limit_w, config->discharge_rating_w, site->discharge_limit_w,
				config->expects_bms);
	double charge = room(&in->charge_limit_w, config->charge_rating_w, site->charge_limit_w, config->expects_bms);
	double soc = in->soc_percent.valid ? in->soc_percent.value : config->expects_bms ? NAN : 50;

	*k = (struct control_check){ .began_boot_us = now->boot_us, .before_w = NAN, .after_w = NAN };
	phase(k, BASELINE, now);
	if (discharge >= STEP_W && soc > floor)
		k->step_w = STEP_W;
	else if (charge >= STEP_W && soc < site->soc_max_percent)
		k->step_w = -STEP_W;
}

static void add(struct control_check *k, double w)
{
	k->sum += w;
	k->count++;
	k->lowest = fmin(k->lowest, w);
	k->highest = fmax(k->highest, w);
}

static enum control_check_result judge(const struct control_check *k)
{
	double moved = k->before_w - k->after_w, share = moved / k->step_w * 100;

	if (fabs(share - 100) <= TOLERANCE_PERCENT)
		return CONTROL_CHECK_PASSED;
	if (k->highest - k->lowest > STEADY_W)
		return CONTROL_CHECK_UNSTEADY;
	if (fabs(share + 100) <= TOLERANCE_PERCENT)
		return CONTROL_CHECK_WRONG_SIGN;
	return fabs(share) <= TOLERANCE_PERCENT ? CONTROL_CHECK_NO_EFFECT : CONTROL_CHECK_UNSTEADY;
}

/* Once steady, the mean of the baseline is the "before"; a load that keeps moving is waited for, then given up. */
static enum control_check_result baseline(struct control_check *k, const struct now *now)
{
	if (now->boot_us - k->phase_boot_us < BASELINE_US || k->count < 3)
		return CONTROL_CHECK_RUNS;
	if (k->highest - k->lowest <= STEADY_W) {
		k->before_w = k->sum / k->count;
		k->stepped_boot_us = now->boot_us;
		k->seen_boot_us = 0;
		phase(k, STEP, now);
		return CONTROL_CHECK_RUNS;
	}
	if (++k->attempts >= ATTEMPTS)
		return CONTROL_CHECK_UNSTEADY;
	phase(k, BASELINE, now);
	return CONTROL_CHECK_RUNS;
}

static enum control_check_result step(struct control_check *k, const struct control_config *config, double w,
				      const struct now *now)
{
	int64_t settle_us = config->inverter.dead_time_us + 4 * config->inverter.lag_us + config->meter_delay_us +
			    config->meter_period_us;
	int64_t since_us = now->boot_us - k->stepped_boot_us;
	enum control_check_result r;

	if (!k->seen_boot_us && (k->before_w - w) / k->step_w > 0.5)
		k->seen_boot_us = now->boot_us;
	if (since_us <
	    (settle_us < WINDOW_US - 2 * config->meter_period_us ? settle_us : WINDOW_US - 2 * config->meter_period_us))
		return CONTROL_CHECK_RUNS;
	add(k, w);
	if (since_us < WINDOW_US || k->count < 2)
		return CONTROL_CHECK_RUNS;
	k->after_w = k->sum / k->count;
	r = judge(k);
	if (r == CONTROL_CHECK_UNSTEADY && ++k->attempts < ATTEMPTS) {
		phase(k, BASELINE, now);
		return CONTROL_CHECK_RUNS;
	}
	return r;
}

enum control_check_result control_check_step(struct control_check *k, const struct control_config *config,
					     const struct control_input *in, const struct now *now, double *setpoint_w)
{
	enum control_check_result r;

	*setpoint_w = 0;
	if (k->step_w == 0)
		return CONTROL_CHECK_NO_ROOM;
	if (!in->grid_w.valid || !in->battery_w.valid || (config->expects_bms && !in->soc_percent.valid) ||
	    now->boot_us - in->grid_w.at_boot_us > PATIENCE_US || now->boot_us - k->phase_boot_us > 2 * PATIENCE_US)
		return CONTROL_CHECK_LOST_SIGNAL;
	if (k->phase == BASELINE) {
		/* What the battery did before must have died away first. */
		if (now->boot_us - k->phase_boot_us >
		    4 * config->inverter.lag_us + config->inverter.dead_time_us + config->meter_delay_us)
			add(k, in->grid_w.value);
		else
			k->count = 0;
		r = baseline(k, now);
	} else {
		r = step(k, config, in->grid_w.value, now);
	}
	if (r == CONTROL_CHECK_RUNS && k->phase == STEP)
		*setpoint_w = k->step_w;
	if (r != CONTROL_CHECK_RUNS)
		k->phase = OVER;
	return r;
}
