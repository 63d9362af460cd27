#include "limits.h"

#include <math.h>

enum { SOC_HYSTERESIS_PERCENT = 1 };

static void at_most(double *w, double most, enum control_clamp rule, enum control_clamp *clamp)
{
	if (*w > most) {
		*w = most;
		*clamp = rule;
	}
}

static void at_least(double *w, double least, enum control_clamp rule, enum control_clamp *clamp)
{
	if (*w < least) {
		*w = least;
		*clamp = rule;
	}
}

/* 0 and 100 % are no bounds of ours: there the BMS's limits decide. */
static void by_soc(const struct site_control *site, double soc, struct limits_blocks *blocks, double *w,
		   enum control_clamp *clamp)
{
	double floor = fmax(site->soc_min_percent, site->reserve_percent);

	if (soc <= floor)
		blocks->discharge = true;
	else if (soc >= floor + SOC_HYSTERESIS_PERCENT)
		blocks->discharge = false;
	if (soc >= site->soc_max_percent)
		blocks->charge = true;
	else if (soc <= site->soc_max_percent - SOC_HYSTERESIS_PERCENT)
		blocks->charge = false;
	if (floor > 0 && blocks->discharge)
		at_most(w, 0, site->reserve_percent > site->soc_min_percent ? CONTROL_BY_RESERVE : CONTROL_BY_SOC_MIN,
			clamp);
	if (site->soc_max_percent < 100 && blocks->charge)
		at_least(w, 0, CONTROL_BY_SOC_MAX, clamp);
}

/* Undefined means limited: without a number from the BMS nothing flows. */
static double bms_limit(const struct control_signal *s)
{
	return s->valid && s->value > 0 ? s->value : 0;
}

static double rating(double rating_w, double site_limit_w)
{
	if (isnan(rating_w))
		return isfinite(site_limit_w) ? site_limit_w : 0;
	return rating_w;
}

double limits_apply(const struct control_config *config, const struct control_input *in, struct limits_blocks *blocks,
		    double load_w, double wish_w, enum control_clamp *clamp)
{
	const struct site_control *site = &config->site;
	double w = wish_w;

	if (config->expects_bms && in->soc_percent.valid)
		by_soc(site, in->soc_percent.value, blocks, &w, clamp);
	if (!isnan(load_w)) {
		at_least(&w, load_w - site->import_limit_w, CONTROL_BY_IMPORT_LIMIT, clamp);
		at_most(&w, load_w + site->export_limit_w, CONTROL_BY_EXPORT_LIMIT, clamp);
	}
	at_least(&w, -site->charge_limit_w, CONTROL_BY_CHARGE_LIMIT, clamp);
	at_most(&w, site->discharge_limit_w, CONTROL_BY_DISCHARGE_LIMIT, clamp);
	at_least(&w, -rating(config->charge_rating_w, site->charge_limit_w), CONTROL_BY_CHARGE_RATING, clamp);
	at_most(&w, rating(config->discharge_rating_w, site->discharge_limit_w), CONTROL_BY_DISCHARGE_RATING, clamp);
	if (config->expects_bms) {
		at_least(&w, -bms_limit(&in->charge_limit_w), CONTROL_BY_BMS_CHARGE, clamp);
		at_most(&w, bms_limit(&in->discharge_limit_w), CONTROL_BY_BMS_DISCHARGE, clamp);
	}
	return w;
}

struct site_control control_no_limits(void)
{
	return (struct site_control){
		.import_limit_w = INFINITY, .export_limit_w = INFINITY, .charge_limit_w = INFINITY,
		.discharge_limit_w = INFINITY,
		.soc_max_percent = 100, .ramp_w_per_s = INFINITY,
	};
}
