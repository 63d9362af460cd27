#include "guard.h"

#include <math.h>
#include <string.h>

enum {
	BAND_W = 60,
	STEADY_PERCENT = 50,     /* of the first half swing are left in the fifth: it hardly dies away */
	REST_PERCENT = 9,        /* of the grid's variance may be left without a load */
	/* samples in an answer of the loop; how much later than it says a meter is looked for */
	THIN = 5, LATE_MOST = 16,
	PATIENCE = 6,            /* a half swing that the loop makes lasts at most so many times its answer */
	QUIET_US = 60000000,     /* before a step back; doubled with each relapse */
	RELAPSES_MOST = 4,
	FORGIVEN_S = 3600,       /* without a swing: the waits are short again */
};

static void widen(struct guard_half *h, double error_w)
{
	h->low_w = fmin(h->low_w, error_w);
	h->high_w = fmax(h->high_w, error_w);
}

static double peak(const struct guard_half *h)
{
	return fmax(fabs(h->low_w), fabs(h->high_w));
}

static double swing_of(const struct guard *g)
{
	struct guard_half sum = g->halves[0];

	for (size_t k = 1; k < g->count; k++) {
		widen(&sum, g->halves[k].low_w);
		widen(&sum, g->halves[k].high_w);
	}
	return sum.high_w - sum.low_w;
}

/* ---- does a load explain it? ---- */

struct scatter { double n, sum, squares; };

static void scatter_add(struct scatter *s, double x)
{
	s->n++;
	s->sum += x;
	s->squares += x * x;
}

static double variance(const struct scatter *s)
{
	return s->n > 0 ? s->squares / s->n - s->sum / s->n * (s->sum / s->n) : 0;
}

/* Under a load that stands still the grid is the mirror of the inverter's power; late, when the meter is later than
 * it says. A load that switches has edges that no inverter makes. */
static bool made_by_us(const struct guard *g)
{
	for (size_t late = 0; late <= LATE_MOST; late++) {
		struct scatter error = { 0 }, rest = { 0 };

		for (size_t k = 0; k + late < GUARD_SEEN; k++) {
			size_t now = (g->newest + GUARD_SEEN - k) % GUARD_SEEN,
			       then = (now + GUARD_SEEN - late) % GUARD_SEEN;

			if (g->seen[now].at_us < g->halves[0].from_us || g->seen[then].at_us == 0)
				break;
			scatter_add(&error, g->seen[now].error_w);
			scatter_add(&rest, g->seen[now].error_w + g->seen[then].power_w);
		}
		if (variance(&rest) * 100 <= REST_PERCENT * variance(&error))
			return true;
	}
	return false;
}

static void see(struct guard *g, int64_t at_us, double error_w, double power_w, int64_t slow_us)
{
	if (at_us - g->seen[g->newest].at_us < slow_us / THIN)
		return;
	g->newest = (g->newest + 1) % GUARD_SEEN;
	g->seen[g->newest].at_us = at_us;
	g->seen[g->newest].error_w = error_w;
	g->seen[g->newest].power_w = power_w;
}

static bool swings(const struct guard *g)
{
	return g->count == GUARD_HALVES &&
	       peak(&g->halves[GUARD_HALVES - 1]) * 100 >= STEADY_PERCENT * peak(&g->halves[0]) && made_by_us(g);
}

static void detune(struct guard *g, int64_t at_us)
{
	if (g->said.level == 0) {
		g->said.since_boot_us = at_us;
		if (g->released_us && g->relapses < RELAPSES_MOST)
			g->relapses++;
	}
	if (g->said.level < CONTROL_GUARD_MOST)
		g->said.level++;
	g->said.swing_w = swing_of(g);
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

void guard_sample(struct guard *g, int64_t at_us, double error_w, double power_w, int64_t slow_us)
{
	int side = error_w > BAND_W ? 1 : error_w < -BAND_W ? -1 : 0;

	see(g, at_us, error_w, power_w, slow_us);
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
		g->now = (struct guard_half){ at_us, error_w, error_w };
		if (swings(g))
			detune(g, at_us);
	} else if (g->side) {
		widen(&g->now, error_w);
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
