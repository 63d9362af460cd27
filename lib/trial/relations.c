/* The values held against each other, round by round: they were read at about one time. A load that jumps between
 * two reads makes one round disagree; a wrong register makes all of them. */
#include <math.h>
#include <string.h>

#include "trial/seen.h"

enum { SHARE_PERCENT = 8, SLACK_W = 40, APPARENT_LEAST_VA = 400, BATTERY_SLACK_W = 150, BATTERY_PERCENT = 20,
       FROZEN_READS = 4 };

static double value_of(const struct trial_record *r, size_t round, enum device_point p)
{
	const struct device_reading *v = &r->readings[round][p];

	return r->has[p] && v->quality == DEVICE_GOOD ? v->value : NAN;
}

static bool near(double a, double b, double percent, double slack)
{
	return fabs(a - b) <= slack + percent / 100 * fmax(fabs(a), fabs(b));
}

struct relation {
	const char *what;
	/* 1: holds, 0: does not, with why; -1: cannot be judged in this round. */
	int (*holds)(const struct trial_record *r, size_t round, char why[160]);
};

static int is_sum_of_phases(const struct trial_record *r, size_t i, char why[160])
{
	double p = value_of(r, i, POINT_GRID_POWER_W), sum = value_of(r, i, POINT_GRID_POWER_L1_W);
	bool phased = r->has[POINT_GRID_POWER_L2_W] && isfinite(value_of(r, i, POINT_GRID_POWER_L2_W));

	if (phased)
		sum += value_of(r, i, POINT_GRID_POWER_L2_W) + value_of(r, i, POINT_GRID_POWER_L3_W);
	if (!phased || !isfinite(p) || !isfinite(sum))
		return -1;
	if (near(p, sum, SHARE_PERCENT, SLACK_W))
		return 1;
	snprintf(why, 160, "%.1f W, and the phases are %.1f W together%s", p, sum,
		 near(p, -sum, SHARE_PERCENT, SLACK_W) ? ": one of both has the wrong sign" : "");
	return 0;
}

static const struct { enum device_point power, voltage, current; } phases[] = {
	{ POINT_GRID_POWER_L1_W, POINT_GRID_VOLTAGE_L1_V, POINT_GRID_CURRENT_L1_A },
	{ POINT_GRID_POWER_L2_W, POINT_GRID_VOLTAGE_L2_V, POINT_GRID_CURRENT_L2_A },
	{ POINT_GRID_POWER_L3_W, POINT_GRID_VOLTAGE_L3_V, POINT_GRID_CURRENT_L3_A },
};

/* |P| is at most U·I, and hardly below a tenth of it. */
static int fits_apparent(double p, double va, const char *which, char why[160])
{
	if (!isfinite(p) || !isfinite(va))
		return -1;
	va = fabs(va);
	if (fabs(p) > va * 1.1 + SLACK_W) {
		snprintf(why, 160, "%s: %.1f W is more than voltage times current, %.1f VA", which, p, va);
		return 0;
	}
	if (va > APPARENT_LEAST_VA && fabs(p) < va * 0.1) {
		snprintf(why, 160, "%s: %.1f W is less than a tenth of voltage times current, %.1f VA", which, p, va);
		return 0;
	}
	return 1;
}

static int fits_voltage_and_current(const struct trial_record *r, size_t i, char why[160])
{
	static const char *const names[] = { "L1", "L2", "L3" };
	int result = -1;

	for (size_t k = 0; k < COUNT_OF(phases) && result != 0; k++) {
		int one = fits_apparent(value_of(r, i, phases[k].power),
					value_of(r, i, phases[k].voltage) * value_of(r, i, phases[k].current), names[k],
					why);

		result = one < 0 ? result : one;
	}
	return result;
}

static int fits_all_currents(const struct trial_record *r, size_t i, char why[160])
{
	double va = 0;

	for (size_t k = 0; k < COUNT_OF(phases); k++) {
		double one = value_of(r, i, phases[k].voltage) * value_of(r, i, phases[k].current);

		if (r->has[phases[k].power] || (k == 0 && !isfinite(one)))
			return -1; /* judged phase by phase, or not at all */
		va += isfinite(one) ? fabs(one) : 0;
	}
	return fits_apparent(value_of(r, i, POINT_GRID_POWER_W), va, "all phases", why);
}

static int is_battery_power(const struct trial_record *r, size_t i, char why[160])
{
	double p = value_of(r, i, POINT_BATTERY_POWER_W);
	double dc = value_of(r, i, POINT_BMS_VOLTAGE_V) * value_of(r, i, POINT_BMS_CURRENT_A);

	if (!isfinite(p) || !isfinite(dc))
		return -1;
	if (near(p, dc, BATTERY_PERCENT, BATTERY_SLACK_W))
		return 1;
	snprintf(why, 160, "%.1f W at the inverter, voltage times current of the BMS is %.1f W%s", p, dc,
		 near(p, -dc, BATTERY_PERCENT, BATTERY_SLACK_W)
			 ? ": one of both has the wrong sign, discharge is positive"
			 : "");
	return 0;
}

static int obeys_discharge_limit(const struct trial_record *r, size_t i, char why[160])
{
	double p = value_of(r, i, POINT_BATTERY_POWER_W);
	double most = value_of(r, i, POINT_BATTERY_DISCHARGE_RATING_W),
	       least = value_of(r, i, POINT_BATTERY_CHARGE_RATING_W);
	double limit = p >= 0 ? most : least;

	if (!isfinite(p) || !isfinite(limit))
		return -1;
	if (fabs(p) <= limit * 1.2 + SLACK_W)
		return 1;
	snprintf(why, 160, "%.1f W, and the rating is %.1f W: is one of both scaled wrongly?", p, limit);
	return 0;
}

static const struct relation relations[] = {
	{ "power is the sum of its phases", is_sum_of_phases },
	{ "power fits voltage and current", fits_voltage_and_current },
	{ "power fits voltages and currents", fits_all_currents },
	{ "battery power fits the BMS", is_battery_power },
	{ "battery power is within the rating", obeys_discharge_limit },
};

static void judge_relation(const struct trial_record *r, const struct relation *x, trial_row_fn *fn, void *arg)
{
	struct trial_row row = trial_row_about(x->what);
	size_t judged = 0, broken = 0;
	char why[160] = "";

	for (size_t i = 0; i < r->rounds; i++) {
		int holds = x->holds(r, i, why);

		judged += holds >= 0;
		broken += holds == 0;
	}
	if (judged == 0)
		return;
	row.reads = (uint32_t)judged;
	if (2 * broken > judged) {
		row.verdict = TRIAL_SUSPICIOUS;
		str_copy(row.why, sizeof row.why, why);
	}
	fn(arg, &row);
}

/* A meter of a living site never shows the same for long; a battery at rest does. */
static void judge_motion(const struct trial_record *r, const struct seen *seen, trial_row_fn *fn, void *arg)
{
	struct trial_row row = trial_row_about("values move");
	bool meter = r->has[POINT_GRID_POWER_W] || r->has[POINT_LOAD_POWER_W];
	uint32_t most = 0, least = 0;

	for (int p = 0; p < POINT_COUNT; p++) {
		if (seen[p].good < FROZEN_READS || device_point((enum device_point)p)->unit[0] == '\0')
			continue;
		row.changes += seen[p].changes;
		most = seen[p].good > most ? seen[p].good : most;
		least++;
	}
	if (least == 0)
		return;
	row.reads = most;
	if (row.changes == 0) {
		row.verdict = meter ? TRIAL_SUSPICIOUS : TRIAL_OK;
		snprintf(row.why, sizeof row.why, "not one of %u values changed in %u reads%s", (unsigned)least,
			 (unsigned)most,
			 meter ? ": is the meter frozen, or behind a gateway that repeats old answers?" : "");
	}
	fn(arg, &row);
}

void judge_relations(const struct trial_record *r, const struct seen seen[POINT_COUNT], trial_row_fn *fn, void *arg)
{
	for (size_t i = 0; i < COUNT_OF(relations); i++)
		judge_relation(r, &relations[i], fn, arg);
	judge_motion(r, seen, fn, arg);
}
