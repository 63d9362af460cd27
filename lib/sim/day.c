/* What sun and house want at a time: the series, a variation over seconds that the seed decides, the kettle, the
 * cloud. */
#include <math.h>

#include "inside.h"

enum { CLOUD_US = 4000000 };

static double knot(uint64_t seed, int64_t n)
{
	struct rng r;

	rng_seed(&r, seed ^ (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15));
	return rng_real(&r, -1, 1);
}

/* Smooth noise in [-1, 1] with a knot every period_us: any instant can be asked for, in any order. */
static double wander(uint64_t seed, int64_t at_us, int64_t period_us)
{
	int64_t n = at_us / period_us;
	double x = (double)(at_us % period_us) / (double)period_us, ease = x * x * (3 - 2 * x);

	return knot(seed, n) * (1 - ease) + knot(seed, n + 1) * ease;
}

static double cloud_at(const struct day *d, int64_t at_us)
{
	double way = clamp_real((double)(at_us - d->cloud_at_us) / CLOUD_US, 0, 1);

	return d->cloud_from + (d->cloud_to - d->cloud_from) * way;
}

void day_cloud(struct day *d, int64_t at_us, double factor)
{
	d->cloud_from = cloud_at(d, at_us);
	d->cloud_to = factor;
	d->cloud_at_us = at_us;
}

void day_base(const struct day *d, int64_t at_us, double *load_w, double *pv_w)
{
	double load = 500, pv = 0;

	if (d->series)
		series_at(d->series, d->offset_us + at_us, &load, &pv);
	if (!d->calm) { /* things in a house switch within seconds and minutes; thin cloud passes */
		load += 25 * wander(d->seed + 1, at_us, 5 * US_PER_S) + 60 * wander(d->seed + 2, at_us, 41 * US_PER_S);
		pv *= 1 + 0.015 * wander(d->seed + 3, at_us, 9 * US_PER_S);
	}
	*load_w = fmax(load, 0);
	*pv_w = fmax(pv, 0);
}

void day_now(const struct day *d, int64_t at_us, double base_load_w, double base_pv_w, double *load_w, double *pv_w)
{
	*load_w = base_load_w + d->extra_w;
	*pv_w = base_pv_w * cloud_at(d, at_us);
}

/* ---- the set-point ---- */

double command_at(const struct command *c, int64_t at_us)
{
	double way;

	if (at_us < c->begin_us)
		return c->from_w;
	way = c->ramp_us > 0 ? clamp_real((double)(at_us - c->begin_us) / (double)c->ramp_us, 0, 1) : 1;
	return c->from_w + (c->to_w - c->from_w) * way;
}

void command_set(struct command *c, double w, int64_t at_us, int64_t delay_us, int64_t ramp_us)
{
	c->from_w = command_at(c, at_us);
	c->to_w = w;
	c->begin_us = at_us + delay_us;
	c->ramp_us = ramp_us;
	c->written_us = at_us;
}
