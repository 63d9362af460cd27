#include "identify.h"

#include <math.h>
#include <string.h>

/* Why every doubt goes to the slow side: a model that is too fast believes that the inverter has delivered already
 * what is still under way, takes the rest for load, and overshoots; one that is too slow only takes longer. */
enum {
	STEP_W = 400,            /* a move by less drowns in what a house does meanwhile */
	POWER_AGAIN_US = 1000000, /* the same value after so long was renewed by the inverter */
	LONGEST_US = 20000000,
	GAP_US = 3000000,        /* nobody looked for so long */
	STEPS_LEAST = 3, POWER_LEAST = 4, METER_LEAST = 5, METER_WANTED = 7,
	SENSE = 40,              /* a quarter off must cost so many times the noise, or the step does not tell it */
};
#define NOISE_W 5.0
#define AGE_MOST_S 1.0
#define GAIN_OFF 0.02 /* inverter and meter agree on a power by so much; more room would pass for dead time */

enum quantity { DEAD, LAG, RAMP, AGE, QUANTITIES };
struct guess { double q[QUANTITIES]; };

static double seconds(int64_t us)
{
	return (double)us / US_PER_S;
}

void identify_init(struct identify *i, const struct control_model *profile, int64_t meter_period_us)
{
	*i = (struct identify){ .profile = *profile, .learned = *profile, .least_us = METER_WANTED * meter_period_us };
}

void identify_drop(struct identify *i)
{
	if (i->open)
		i->unjudged++;
	i->open = false;
}

/* ---- watching ---- */

/* Without a lag and a dead time there is nothing between half and twice. */
static bool nothing_to_learn(const struct identify *i)
{
	return i->profile.dead_time_us == 0 && i->profile.lag_us == 0 && !isfinite(i->profile.ramp_w_per_s);
}

void identify_command(struct identify *i, const struct model *before, int64_t at_us, double w)
{
	double gap = fabs(w - model_at(before, at_us));
	bool step = gap >= STEP_W;

	if (nothing_to_learn(i))
		return;
	if (!i->open && step) {
		i->open = true;
		i->start = *before;
		i->began_us = i->last_sample_us = at_us;
		i->count = 0;
	}
	if (!i->open)
		return;
	if (step) { /* it is over when it has died away also in an inverter that is slower than its profile */
		int64_t slow_us = 2 * i->profile.dead_time_us + 4 * i->profile.lag_us +
				  (int64_t)(2 * gap / i->profile.ramp_w_per_s * US_PER_S);

		i->over_us = at_us + (slow_us > i->least_us ? slow_us : i->least_us);
	}
	if (i->start.count == MODEL_COMMANDS)
		identify_drop(i);
	else
		model_command(&i->start, at_us, w);
}

static void add(struct identify *i, int64_t at_us, double w, enum identify_source source)
{
	if (i->count < IDENTIFY_SAMPLES)
		i->samples[i->count++] = (struct identify_sample){ at_us, w, source };
}

void identify_meter(struct identify *i, int64_t at_us, double w)
{
	/* What the meter saw before the command moved with the load that asked for it. */
	if (i->open && at_us > i->began_us)
		add(i, at_us, w, IDENTIFY_METER);
}

/* An inverter renews its power by a period of its own. A value that is read twice is of the first time; the same value
 * again is one only when it stood for long. */
void identify_power(struct identify *i, const struct control_signal *battery)
{
	int64_t at_us = battery->changed_boot_us;

	if (!i->open || !battery->valid)
		return;
	if (at_us <= i->power_us) {
		at_us = battery->at_boot_us;
		if (at_us - i->power_us < POWER_AGAIN_US)
			return;
	}
	i->power_us = at_us;
	if (at_us > i->began_us)
		add(i, at_us, battery->value, IDENTIFY_POWER);
}

/* ---- the fit ---- */

/* A straight line through (model, seen): the load behind the meter and what the inverter's reading is off by are its
 * offset; its slope is 1, or the step is not what it seems. */
struct line { double n, x, y, xx, xy, yy, low, high; };

static void line_add(struct line *l, double x, double y)
{
	l->low = l->n ? fmin(l->low, x) : x;
	l->high = l->n ? fmax(l->high, x) : x;
	l->n++;
	l->x += x, l->y += y, l->xx += x * x, l->xy += x * y, l->yy += y * y;
}

static double line_rest(const struct line *l)
{
	double xx = l->xx - l->x * l->x / l->n, xy = l->xy - l->x * l->y / l->n, yy = l->yy - l->y * l->y / l->n;
	double slope;

	if (l->n < 1)
		return 0;
	slope = xx > 0 ? clamp_real(xy / xx, 1 - GAIN_OFF, 1 + GAIN_OFF) : 1;
	return fmax(yy - 2 * slope * xy + slope * slope * xx, 0);
}

static double off_w(const struct line *l)
{
	return l->n > 0 ? sqrt(line_rest(l) / l->n) : INFINITY;
}

/* Is what is left small beside the step? Otherwise the load moved, or the inverter held back by itself. */
static bool fits(const struct line *l)
{
	return off_w(l) <= 2 * NOISE_W + 0.05 * (l->high - l->low);
}

static void follow(const struct identify *i, const struct guess *g, enum identify_source source, struct line *l)
{
	struct model m = i->start;
	int64_t age_us = source == IDENTIFY_POWER ? (int64_t)(g->q[AGE] * US_PER_S) : 0;

	*l = (struct line){ 0 };
	m.dead_us = (int64_t)(g->q[DEAD] * US_PER_S);
	m.lag_us = (int64_t)(g->q[LAG] * US_PER_S);
	m.ramp_w_per_s = g->q[RAMP];
	for (size_t s = 0; s < i->count; s++) {
		if (i->samples[s].source != source)
			continue;
		/* samples of a source are in order, so once through is enough */
		model_forget(&m, i->samples[s].at_us - age_us);
		line_add(l, m.power_w, source == IDENTIFY_METER ? -i->samples[s].w : i->samples[s].w);
	}
}

struct use { bool power, meter; };

static double cost(const struct identify *i, const struct guess *g, struct use use)
{
	struct line l;
	double sum = 0;

	if (use.power) {
		follow(i, g, IDENTIFY_POWER, &l);
		sum += line_rest(&l);
	}
	if (use.meter) {
		follow(i, g, IDENTIFY_METER, &l);
		sum += line_rest(&l);
	}
	return sum;
}

struct bounds { double low[QUANTITIES], high[QUANTITIES]; };

static struct bounds bounds_of(const struct identify *i)
{
	const struct control_model *p = &i->profile;
	struct bounds b = { .low = { seconds(p->dead_time_us) / 2, seconds(p->lag_us) / 2, p->ramp_w_per_s / 2, 0 },
			    .high = { seconds(p->dead_time_us) * 2, seconds(p->lag_us) * 2, p->ramp_w_per_s * 2,
				      AGE_MOST_S } };

	return b;
}

/* Pattern search, as the dead time has no derivative between samples. The slanted directions follow the valley in
 * which more dead time looks like less lag or a younger reading. About a hundred costs of a microsecond. */
static double search(const struct identify *i, const struct bounds *b, struct use use, struct guess *g)
{
	static const double ways[][QUANTITIES] = {
		{ 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 1, -1, 0, 0 }, { 0, 0, 0, 1 }, { 1, 0, 0, -1 }, { 0, 1, 0, -1 },
		{ 0, 0, 1, 0 },
		{ 0, 1, 1, 0 },
	};
	double unit = (b->high[DEAD] + b->high[LAG]) / 4, best = cost(i, g, use);

	for (double by = 0.25; by > 0.004; by /= 2) {
		bool better = true;

		for (int round = 0; better && round < 8; round++) {
			better = false;
			for (size_t k = 0; k < 2 * COUNT_OF(ways); k++) {
				double sign = k % 2 ? -1 : 1, c;
				struct guess to = *g;

				for (int q = 0; q < QUANTITIES; q++) {
					double move = q == RAMP ? (isfinite(b->high[q]) ? b->high[q] / 2 : 0) : unit;

					if (ways[k / 2][q] != 0 && b->low[q] < b->high[q])
						to.q[q] = clamp_real(to.q[q] + sign * by * move * ways[k / 2][q],
								     b->low[q], b->high[q]);
				}
				if (memcmp(&to, g, sizeof to) == 0 || (c = cost(i, &to, use)) >= best)
					continue;
				best = c;
				*g = to;
				better = true;
			}
		}
	}
	return best;
}

/* A quantity that could as well be a quarter off was not seen in this step: the ramp in a small one, for instance. */
static bool sensed(const struct identify *i, const struct guess *g, enum quantity q, struct use use, double best)
{
	double noise = fmax(best / fmax((double)i->count - QUANTITIES, 1), NOISE_W * NOISE_W);
	struct guess up = *g, down = *g;

	if (!(g->q[q] > 0) || !isfinite(g->q[q]))
		return false;
	up.q[q] *= 1.25;
	down.q[q] *= 0.75;
	return fmin(cost(i, &up, use), cost(i, &down, use)) - best >= SENSE * noise;
}

/* ---- what the steps say together ---- */

static void keep(struct identify_kept *k, double value)
{
	if (k->count == IDENTIFY_KEPT)
		memmove(k->values, k->values + 1, (--k->count) * sizeof *k->values);
	k->values[k->count++] = value;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const struct identify_kept *k, double share)
{
	struct identify_kept sorted = *k;

	qsort(sorted.values, sorted.count, sizeof *sorted.values, by_size);
	return sorted.values[(size_t)lround(share * (double)(sorted.count - 1))];
}

/* From the third step on between the profile and what the steps say, by their number: the profile counts as half a step
 * where they say slower, as a whole one where they say faster. Not the middle of them, but a little to the slow side.
 * slow: +1 where more is slower. */
static double learned(const struct identify_kept *k, double profile, int slow)
{
	double seen, n = (double)k->count;

	if (k->count < STEPS_LEAST)
		return profile;
	seen = quantile(k, 0.5 + 0.15 * slow);
	n /= n + ((seen - profile) * slow >= 0 ? 0.5 : 1);
	return clamp_real(profile + (seen - profile) * n, profile / 2, profile * 2);
}

/* How many of the steps agree with what was made of them. */
static double agreement(const struct identify_kept *k, double value)
{
	double n = 0;

	for (size_t s = 0; s < k->count; s++)
		n += fabs(k->values[s] - value) <= 0.15 * value;
	return k->count ? n / fmax((double)k->count, 10) * 100 : NAN;
}

static void conclude(struct identify *i)
{
	const struct control_model *p = &i->profile;
	double dead = learned(&i->dead_s, seconds(p->dead_time_us), 1), lag = learned(&i->lag_s, seconds(p->lag_us), 1);

	i->learned.dead_time_us = llround(dead * US_PER_S); /* cut, half of the profile would be less than half */
	i->learned.lag_us = llround(lag * US_PER_S);
	if (isfinite(p->ramp_w_per_s))
		i->learned.ramp_w_per_s = learned(&i->ramp, p->ramp_w_per_s, -1);
	i->confidence_percent = fmin(agreement(&i->dead_s, dead), agreement(&i->lag_s, lag));
	if (isnan(i->confidence_percent))
		i->confidence_percent = 0;
}

static struct guess first_guess(const struct identify *i)
{
	const struct control_model *l = &i->learned;
	double age = i->age_s.count ? quantile(&i->age_s, 0.5) : 0;

	return (struct guess){ { seconds(l->dead_time_us), seconds(l->lag_us), l->ramp_w_per_s, age } };
}

/* The meter tells dead time from the age of the inverter's reading, unless the load moved; then the reading alone
 * tells the lag, and a dead time that is long by what is not known of its age. */
static bool judge(struct identify *i)
{
	struct bounds b = bounds_of(i);
	struct guess g = first_guess(i);
	struct line power, meter;
	struct use use;
	double best;

	follow(i, &g, IDENTIFY_POWER, &power);
	follow(i, &g, IDENTIFY_METER, &meter);
	use = (struct use){ power.n >= POWER_LEAST, meter.n >= METER_LEAST };
	if (!use.power && !use.meter)
		return false;
	best = search(i, &b, use, &g);
	follow(i, &g, IDENTIFY_POWER, &power);
	follow(i, &g, IDENTIFY_METER, &meter);
	if (use.power && use.meter && !fits(&meter)) {
		use.meter = false;
		g = first_guess(i);
		b.low[AGE] = b.high[AGE] = g.q[AGE];
		best = search(i, &b, use, &g);
		follow(i, &g, IDENTIFY_POWER, &power);
	}
	if ((use.power && !fits(&power)) || (!use.power && !fits(&meter)))
		return false;
	if (sensed(i, &g, DEAD, use, best))
		keep(&i->dead_s, g.q[DEAD]);
	if (sensed(i, &g, LAG, use, best))
		keep(&i->lag_s, g.q[LAG]);
	if (sensed(i, &g, RAMP, use, best))
		keep(&i->ramp, g.q[RAMP]);
	if (use.power && use.meter)
		keep(&i->age_s, g.q[AGE]);
	return true;
}

bool identify_turn(struct identify *i, int64_t now_us)
{
	if (!i->open)
		return false;
	if (now_us - i->last_sample_us > GAP_US) {
		identify_drop(i);
		return false;
	}
	i->last_sample_us = now_us;
	if (now_us < i->over_us && now_us - i->began_us < LONGEST_US && i->count < IDENTIFY_SAMPLES)
		return false;
	i->open = false;
	if (!judge(i)) {
		i->unjudged++;
		return false;
	}
	i->steps++;
	conclude(i);
	return true;
}
