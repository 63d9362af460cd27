/* From a tariff to prices and to what peaks cost. */
#include <math.h>

#include "tariff/tariff.h"

#define MINUTE_US (60 * US_PER_S)

/* The mean of the rates over a step: a step may cross the border of a period. */
static double period_price(const struct tariff_side *s, const struct tariff_clock *clock, int64_t utc_us,
			   int64_t step_us)
{
	int64_t minutes = step_us / MINUTE_US;
	double sum = 0;

	if (minutes < 1)
		minutes = 1;
	for (int64_t i = 0; i < minutes; i++) {
		struct time_date d = time_date_of(tariff_local_us(clock, utc_us + i * MINUTE_US));

		sum += s->rates[s->week[d.weekday * 1440 + d.minute]];
	}
	return sum / (double)minutes;
}

static double side_price(const struct tariff *t, const struct tariff_side *s, int64_t utc_us, int64_t step_us,
			 double spot_eur_mwh)
{
	switch (s->kind) {
	case TARIFF_PERIODS:
		return period_price(s, &t->clock, utc_us, step_us);
	case TARIFF_SPOT:
		return fmin(s->most,
			    fmax(s->least, (s->factor * spot_eur_mwh / 1000 + s->markup) * (1 + s->tax_percent / 100)));
	default:
		return s->rates[0];
	}
}

bool tariff_needs_spot(const struct tariff *t)
{
	return t->import.kind == TARIFF_SPOT || t->export.kind == TARIFF_SPOT;
}

int tariff_prices(const struct tariff *t, int64_t start_utc_us, int64_t step_us, size_t count,
		  const double *spot_eur_mwh, double *import_eur_kwh, double *export_eur_kwh, struct err *e)
{
	if (tariff_needs_spot(t) && !spot_eur_mwh)
		return err_set(
			e, ERR_INPUT, 0,
			"the tariff follows the price of the exchange, and the series has no column price_eur_mwh");
	for (size_t i = 0; i < count; i++) {
		int64_t utc_us = start_utc_us + (int64_t)i * step_us;
		double spot = spot_eur_mwh ? spot_eur_mwh[i] : 0;

		import_eur_kwh[i] = side_price(t, &t->import, utc_us, step_us, spot);
		export_eur_kwh[i] = side_price(t, &t->export, utc_us, step_us, spot);
	}
	return 0;
}

/* ---- peaks ---- */

static double period_share(const struct tariff *t, const struct time_date *d, int64_t covered_us)
{
	int64_t from_us, to_us;

	if (t->capacity_per == TARIFF_PER_MONTH) {
		from_us = time_midnight(d->year, d->month, 1);
		to_us = time_midnight(d->month == 12 ? d->year + 1 : d->year, d->month == 12 ? 1 : d->month + 1, 1);
	} else {
		from_us = time_midnight(d->year, 1, 1);
		to_us = time_midnight(d->year + 1, 1, 1);
	}
	return (double)covered_us / (double)(to_us - from_us);
}

double tariff_capacity_eur(const struct tariff *t, int64_t start_utc_us, int64_t step_us, size_t count,
			   const double *grid_w)
{
	struct time_date now = { 0 };
	int64_t covered_us = 0;
	double peak_w = 0, eur = 0;

	if (t->capacity_eur_kw <= 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct time_date d = time_date_of(tariff_local_us(&t->clock, start_utc_us + (int64_t)i * step_us));

		if (d.year != now.year || (t->capacity_per == TARIFF_PER_MONTH && d.month != now.month)) {
			if (covered_us)
				eur += t->capacity_eur_kw * peak_w / 1000 * period_share(t, &now, covered_us);
			now = d;
			peak_w = 0;
			covered_us = 0;
		}
		if (isnan(grid_w[i]))
			continue;
		peak_w = fmax(peak_w, grid_w[i]);
		covered_us += step_us;
	}
	return covered_us ? eur + t->capacity_eur_kw * peak_w / 1000 * period_share(t, &now, covered_us) : eur;
}
