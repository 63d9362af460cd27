#include "guard.h"

#include <math.h>
#include <string.h>

enum {
	BAND_W = 60,
	STEADY_PERCENT = 80,     /* of the first swing are left in the last: it does not die away */
	EXPLAINED_PERCENT = 40,  /* of the swing are the load's own */
	PATIENCE = 4,            /* a half swing that the loop makes lasts at most so many times its answer */
	QUIET_US = 60000000,     /* before a step back; doubled with each relapse */
	RELAPSES_MOST = 4,
	FORGIVEN_S = 3600,       /* without a swing: the waits are short again */
};

static struct guard_half half(int64_t at_us, double error_w, double load_w)
{
	return (struct guard_half){ at_us, error_w, error_w, load_w, load_w };
}

static void widen(struct guard_half *h, double error_w, double load_w)
{
	h->low_w = fmin(h->low_w, error_w);
	h->high_w = fmax(h->high_w, error_w);
	h->load_low_w = fmin(h->load_low_w, load_w);
	h->load_high_w = fmax(h->load_high_w, load_w);
}

static double peak(const struct guard_half *h)
{
	return fmax(fabs(h->low_w), fabs(h->high_w));
}

static struct guard_half all(const struct guard *g)
{
	struct guard_half sum = g->halves[0];

	for (size_t k = 1; k < g->count; k++) {
		widen(&sum, g->halves[k].low_w, g->halves[k].load_low_w);
		widen(&sum, g->halves[k].high_w, g->halves[k].load_high_w);
	}
	return sum;
}

static bool swings(const struct guard *g)
{
	struct guard_half sum;

	if (g->count < GUARD_HALVES)
		return false;
	/* Two ends of one kind, a period apart each: an offset of the swing is no growth. */
	if (peak(&g->halves[GUARD_HALVES - 1]) * 100 < STEADY_PERCENT * peak(&g->halves[0]))
		return false;
	sum = all(g);
	return (sum.load_high_w - sum.load_low_w) * 100 < EXPLAINED_PERCENT * (sum.high_w - sum.low_w);
}

static void detune(struct guard *g, int64_t at_us)
{
	struct guard_half sum = all(g);

	if (g->said.level == 0) {
		g->said.since_boot_us = at_us;
		if (g->released_us && g->relapses < RELAPSES_MOST)
			g->relapses++;
	}
	if (g->said.level < CONTROL_GUARD_MOST)
		g->said.level++;
	g->said.swing_w = sum.high_w - sum.low_w;
	g->said.period_s = (double)(at_us - g->halves[0].from_us) * 2 / GUARD_HALVES / US_PER_S;
	g->count = 0;
	g->loud_us = at_us;
}

static void release(struct guard *g, int64_t at_us)
{
	if (g->said.level == 0) {
		if (g->released_us && (at_us - g->released_us) / US_PER_S > FORGIVEN_S)
			g->relapses = 0, g->released_us = 0;
		return;
	}
	if (at_us - g->loud_us < (int64_t)QUIET_US << g->relapses)
		return;
	g->said.level--;
	g->loud_us = at_us;
	if (g->said.level == 0)
		g->released_us = at_us;
}

void guard_sample(struct guard *g, int64_t at_us, double error_w, double load_w, int64_t slow_us)
{
	int side = error_w > BAND_W ? 1 : error_w < -BAND_W ? -1 : 0;

	if (g->side && at_us - g->now.from_us > PATIENCE * slow_us)
		guard_pause(g);
	if (side && side != g->side) {
		if (g->side) {
			if (g->count == GUARD_HALVES)
				memmove(g->halves, g->halves + 1, (--g->count) * sizeof *g->halves);
			g->halves[g->count++] = g->now;
			g->loud_us = at_us;
		}
		g->side = side;
		g->now = half(at_us, error_w, load_w);
		if (swings(g))
			detune(g, at_us);
	} else if (g->side) {
		widen(&g->now, error_w, load_w);
	}
	release(g, at_us);
}

void guard_pause(struct guard *g)
{
	g->side = 0;
	g->count = 0;
}

double guard_filter(struct guard *g, int64_t at_us, double load_w, int64_t slow_us)
{
	double tau_us = (double)(slow_us << g->said.level) / 2;

	if (!g->began || g->said.level == 0)
		g->smooth_w = load_w;
	else
		g->smooth_w += (load_w - g->smooth_w) * (1 - exp(-(double)(at_us - g->smooth_us) / tau_us));
	g->began = true;
	g->smooth_us = at_us;
	return g->smooth_w;
}
