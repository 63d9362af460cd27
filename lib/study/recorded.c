/* A series from what psecd recorded. */
#include <math.h>

#include "device/device.h"
#include "study/study.h"

enum { STEPS_MAX = 2000000 };
#define QUARTER_US (900 * US_PER_S)
#define SPAN_US (10 * US_PER_S) /* steps from this length on must be covered to their half */

/* One device's power by the step. */
struct column {
	int64_t from_us, step_us;
	size_t count;
	double *sum;
	uint32_t *n;
	int64_t *first_us, *last_us;  /* of raw samples */
	int64_t mean_to_us;           /* up to here there are means */
};

static size_t step_of(const struct column *c, int64_t utc_us)
{
	return (size_t)((utc_us - c->from_us) / c->step_us);
}

static void add_mean(void *arg, int64_t utc_us, double value)
{
	struct column *c = arg;
	size_t i = step_of(c, utc_us);

	c->sum[i] = value;
	c->n[i] = 1;
	/* A mean has its quarter behind it. */
	c->first_us[i] = utc_us;
	c->last_us[i] = utc_us + c->step_us;
	c->mean_to_us = utc_us + c->step_us;
}

static void add_raw(void *arg, int64_t utc_us, double value)
{
	struct column *c = arg;
	size_t i = step_of(c, utc_us);

	if (!c->n[i]++)
		c->first_us[i] = utc_us;
	c->last_us[i] = utc_us;
	c->sum[i] += value;
}

static void finish(struct column *c)
{
	for (size_t i = 0; i < c->count; i++) {
		bool thin = c->step_us >= SPAN_US && c->last_us[i] - c->first_us[i] < c->step_us / 2;

		c->sum[i] = !c->n[i] || thin ? NAN : c->sum[i] / c->n[i];
	}
}

/* Adds a device's power to total (and to pv, if it is that), a gap being stronger than anything. */
static int add_device(const char *name, enum device_point point, const struct study_samples *s,
		      const struct series *series, double *total, double *pv, struct err *e)
{
	auto_free char *full = xasprintf("%s.%s", name, device_point(point)->name);
	auto_free double *sum = xcalloc(series->count, sizeof *sum);
	auto_free uint32_t *n = xcalloc(series->count, sizeof *n);
	auto_free int64_t *first = xcalloc(series->count, sizeof *first), *last = xcalloc(series->count, sizeof *last);
	struct column c = { series->start_utc_us, series->step_us, series->count, sum, n, first, last,
			    series->start_utc_us };
	int64_t to_us = series->start_utc_us + (int64_t)series->count * series->step_us;

	if (series->step_us == QUARTER_US && s->read(s->arg, full, c.from_us, to_us, true, add_mean, &c, e) < 0)
		return -1;
	/* The last quarters may not have their means yet. */
	if (c.mean_to_us < to_us && s->read(s->arg, full, c.mean_to_us, to_us, false, add_raw, &c, e) < 0)
		return -1;
	finish(&c);
	for (size_t i = 0; i < series->count; i++) {
		total[i] += sum[i];
		if (pv)
			pv[i] += sum[i];
	}
	return 0;
}

static int add_site(const struct site *site, const struct study_samples *samples, struct series *s, struct err *e)
{
	static const struct { enum site_role role; enum device_point point; } terms[] = {
		{ SITE_GRID_METER, POINT_GRID_POWER_W }, { SITE_BATTERY_INVERTER, POINT_BATTERY_POWER_W },
		{ SITE_PV_INVERTER, POINT_PV_POWER_W }, { SITE_GENSET, POINT_GENSET_POWER_W },
	};
	int meter = site_find_role(site, SITE_GRID_METER);

	for (size_t k = 0; k < COUNT_OF(terms); k++)
		for (size_t i = 0; i < site->device_count; i++) {
			/* One meter stands where the grid comes in; more of them would count the same energy twice. */
			if (!(site->devices[i].roles & 1u << terms[k].role) ||
			    (terms[k].role == SITE_GRID_METER && (int)i != meter))
				continue;
			if (add_device(site->devices[i].name, terms[k].point, samples, s, s->load_w,
				       terms[k].role == SITE_PV_INVERTER ? s->pv_w : NULL, e) < 0)
				return -1;
		}
	return 0;
}

static void mend(struct series *s, size_t *below_zero)
{
	*below_zero = 0;
	for (size_t i = 0; i < s->count; i++) {
		if (isnan(s->load_w[i]) || isnan(s->pv_w[i])) {
			s->load_w[i] = s->pv_w[i] = NAN;
			s->gaps++;
			continue;
		}
		*below_zero += s->load_w[i] < 0 || s->pv_w[i] < 0;
		s->load_w[i] = fmax(s->load_w[i], 0);
		s->pv_w[i] = fmax(s->pv_w[i], 0);
	}
}

int study_recorded(const struct site *site, const struct study_samples *samples, int64_t from_utc_us, int64_t to_utc_us,
		   int64_t step_us, struct series *out, size_t *below_zero, struct err *e)
{
	struct series s = { .start_utc_us = from_utc_us - from_utc_us % step_us, .step_us = step_us };
	char from[BASE_TIME_LEN], to[BASE_TIME_LEN];

	if (to_utc_us <= from_utc_us)
		return err_set(e, ERR_USAGE, 0, "recordings from %s to %s: the end is not after the beginning",
			       time_format(from_utc_us, from), time_format(to_utc_us, to));
	if ((to_utc_us - s.start_utc_us) / step_us >= STEPS_MAX)
		return err_set(e, ERR_USAGE, 0, "from %s to %s are more than %d steps; take longer ones",
			       time_format(from_utc_us, from), time_format(to_utc_us, to), STEPS_MAX);
	if (site_find_role(site, SITE_GRID_METER) < 0)
		return err_set(e, ERR_INPUT, 0, "site '%s' has no grid meter, so that nobody knows its load", site->id);
	s.count = (size_t)((to_utc_us - s.start_utc_us + step_us - 1) / step_us);
	s.load_w = xcalloc(s.count, sizeof(double));
	s.pv_w = xcalloc(s.count, sizeof(double));
	if (add_site(site, samples, &s, e) < 0) {
		series_release(&s);
		return -1;
	}
	mend(&s, below_zero);
	if (s.gaps == s.count) {
		series_release(&s);
		return err_set(e, ERR_INPUT, 0,
			       "nothing was recorded from %s to %s by all of grid meter, battery, PV and genset at "
			       "once; psecd "
			       "records while it runs",
			       time_format(from_utc_us, from), time_format(to_utc_us, to));
	}
	*out = s;
	return 0;
}
