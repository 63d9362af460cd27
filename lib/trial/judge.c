/* Each point by itself: is it a value, can it be true, does it run the right way. */
#include <math.h>
#include <string.h>

#include "trial/seen.h"

enum { GENSET_REST_W = 50 }; /* what an idle power transducer may show */

/* Beyond this a value is possible, and not likely. */
struct likely { double low, high; const char *what; };

static const struct likely mains = { 80, 290, "a mains voltage" }, frequency = { 45, 65, "a mains frequency" },
			   temperature = { -25, 75, "the temperature of a battery" },
			   battery_voltage = { 20, 1500, "a battery's voltage" },
			   produced = { -100, 2e6, "production" },
			   consumed = { -100, 2e6, "consumption" }, flow = { -2e6, 2e6, "the power of a site" },
			   current = { -3000, 3000, "the current of a site" }, rating = { 1, 2e6, "a rating" },
			   energy = { 0, 1e11, "the energy of a site" };

static const struct likely *likely_of(enum device_point p)
{
	switch (p) {
	case POINT_GRID_VOLTAGE_L1_V: case POINT_GRID_VOLTAGE_L2_V: case POINT_GRID_VOLTAGE_L3_V:
		return &mains;
	case POINT_GRID_FREQUENCY_HZ: case POINT_GENSET_FREQUENCY_HZ:
		return &frequency;
	case POINT_BMS_TEMPERATURE_C:
		return &temperature;
	case POINT_BMS_VOLTAGE_V:
		return &battery_voltage;
	case POINT_PV_POWER_W: case POINT_GENSET_POWER_W:
		return &produced;
	case POINT_LOAD_POWER_W:
		return &consumed;
	case POINT_BATTERY_CHARGE_RATING_W: case POINT_BATTERY_DISCHARGE_RATING_W:
		return &rating;
	default:
		break;
	}
	if (str_eq(device_point(p)->unit, "Wh"))
		return &energy;
	if (str_eq(device_point(p)->unit, "W"))
		return &flow;
	return str_eq(device_point(p)->unit, "A") ? &current : NULL;
}

/* "; 10 times that would be: is its scale right?" when a power of ten or the other sign brings v into low…high, else
 * "". */
static void factor_hint(double v, double low, double high, char to[64])
{
	static const struct { double by; const char *words; } factors[] = {
		{ -1, "the other sign" }, { 10, "10 times that" }, { 0.1, "a tenth of that" },
		{ 100, "100 times that" }, { 0.01, "a hundredth of that" },
		{ 1000, "1000 times that" }, { 0.001, "a thousandth of that" },
	};

	to[0] = '\0';
	for (size_t i = 0; i < COUNT_OF(factors) && !to[0]; i++)
		if (v * factors[i].by >= low && v * factors[i].by <= high)
			snprintf(to, 64, "; %s would be: is its %s right?", factors[i].words,
				 factors[i].by < 0 ? "sign" : "scale");
}

static void see(struct seen *s, const struct device_reading *r)
{
	s->reads++;
	s->raw = r->raw;
	if (r->quality != DEVICE_GOOD) {
		s->bad = r->quality;
		str_copy(s->why, sizeof s->why, r->why);
		return;
	}
	if (s->good++ == 0) {
		s->first = s->lowest = s->highest = r->value;
	} else {
		s->changes += r->value != s->last;
		s->ran_back |= r->value < s->last;
	}
	s->last = r->value;
	s->lowest = fmin(s->lowest, r->value);
	s->highest = fmax(s->highest, r->value);
}

/* Of a round that brought nothing new the point is not seen again; one that was refused is, by that. */
static void sum_up(const struct trial_record *record, int p, struct seen *s)
{
	int64_t at = 0;

	*s = (struct seen){ .first = NAN, .last = NAN, .lowest = NAN, .highest = NAN, .raw = NAN };
	for (size_t i = 0; i < record->rounds; i++) {
		const struct device_reading *r = &record->readings[i][p];

		if (r->at_boot_us == at && (at > 0 || r->quality != DEVICE_UNKNOWN))
			continue;
		at = r->at_boot_us;
		see(s, r);
	}
}

static bool is_phase_without_voltage(enum device_point p, const struct seen *all)
{
	return (p == POINT_GRID_VOLTAGE_L2_V || p == POINT_GRID_VOLTAGE_L3_V) && all[p].highest < 5 &&
	       all[POINT_GRID_VOLTAGE_L1_V].last > 80;
}

/* A genset that stands still turns nothing and makes nothing; one that makes power turns. */
static bool is_genset_at_rest(enum device_point p, const struct seen *all)
{
	const struct seen *power = &all[POINT_GENSET_POWER_W];

	return p == POINT_GENSET_FREQUENCY_HZ && all[p].highest < 1 && power->good > 0 &&
	       fmax(fabs(power->lowest), fabs(power->highest)) < GENSET_REST_W;
}

static enum trial_verdict judge_value(enum device_point p, const struct seen *all, char why[160])
{
	const struct device_point_info *info = device_point(p);
	const struct likely *likely = likely_of(p);
	const struct seen *s = &all[p];
	double worst = s->lowest;
	char hint[64];

	if (str_eq(info->unit, "Wh") && s->ran_back) {
		snprintf(why, 160,
			 "ran back from %.10g to %.10g Wh: a counter only grows; is its type or word order right?",
			 s->highest, s->lowest);
		return TRIAL_SUSPICIOUS;
	}
	if (likely == NULL)
		return TRIAL_OK;
	if (s->highest > likely->high)
		worst = s->highest;
	if (worst >= likely->low && worst <= likely->high)
		return TRIAL_OK;
	if (is_phase_without_voltage(p, all)) {
		str_copy(why, 160, "no voltage: this phase is not connected");
		return TRIAL_OK;
	}
	if (is_genset_at_rest(p, all)) {
		str_copy(why, 160, "at rest: it turns not and makes no power");
		return TRIAL_OK;
	}
	if (likely == &mains && worst > 290 && worst < 520)
		str_copy(hint, sizeof hint, "; is it measured between two phases?");
	else
		factor_hint(worst, likely->low, likely->high, hint);
	snprintf(why, 160, "%.6g%s%s is not likely as %s, that is %.6g…%.6g%s", worst, info->unit[0] ? " " : "",
		 info->unit, likely->what, likely->low, likely->high, hint);
	return TRIAL_SUSPICIOUS;
}

static enum trial_verdict judge_point(enum device_point p, const struct seen *all, char why[160])
{
	const struct seen *s = &all[p];

	why[0] = '\0';
	if (s->good == s->reads && s->good > 0)
		return judge_value(p, all, why);
	if (s->good > 0) {
		snprintf(why, 160, "no value in %u of %u reads: %s", (unsigned)(s->reads - s->good), (unsigned)s->reads,
			 s->why);
		return TRIAL_SUSPICIOUS;
	}
	str_copy(why, 160, s->reads > 0 ? s->why : "not read");
	if (s->reads > 0 && s->bad == DEVICE_ABSENT)
		return TRIAL_ABSENT;
	if (s->reads > 0 && s->bad == DEVICE_IMPOSSIBLE) {
		str_copy(why + strlen(why), 160 - strlen(why), ": are address, type, word order and scale right?");
		return TRIAL_SUSPICIOUS;
	}
	/* The registers came and are no value: what is missing is a part of it, such as a scale factor. */
	return s->reads > 0 && isfinite(s->raw) ? TRIAL_SUSPICIOUS : TRIAL_FAILED;
}

void trial_judge(const struct trial_record *record, trial_row_fn *fn, void *arg)
{
	struct seen seen[POINT_COUNT];

	for (int p = 0; p < POINT_COUNT; p++)
		sum_up(record, p, &seen[p]);
	for (int p = 0; p < POINT_COUNT; p++) {
		struct trial_row row = { .point = (int16_t)p, .reads = seen[p].good, .changes = seen[p].changes,
					 .value = seen[p].last,
					 .lowest = seen[p].lowest, .highest = seen[p].highest, .raw = seen[p].raw };

		/* A meter that could be either is judged as what it is first of all. */
		if (!record->has[p] ||
		    (record->has[POINT_GRID_POWER_W] && device_point((enum device_point)p)->role == SITE_LOAD_METER))
			continue;
		row.verdict = (uint8_t)judge_point((enum device_point)p, seen, row.why);
		str_copy(row.what, sizeof row.what, device_point((enum device_point)p)->name);
		fn(arg, &row);
	}
	judge_relations(record, seen, fn, arg);
}
