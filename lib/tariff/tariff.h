/* tariff: what a kilowatt-hour costs when, and what the highest power costs. From words on a command line or from a
 * small YAML file (psec-control(1), TARIFFS). Nothing is rounded here.
 */
#ifndef PSEC_TARIFF_H
#define PSEC_TARIFF_H

#include "base/base.h"

enum { TARIFF_RATES_MAX = 64, TARIFF_WEEK_MINUTES = 7 * 24 * 60 };

/* The clock on the wall: UTC + offset, one hour more in summer by the rule of the EU (from the last Sunday of March to
 * that of October, 01:00 UTC). */
struct tariff_clock {
	int offset_min;
	bool summer_eu;
};
/* Local wall time as if it were UTC, for time_date_of. */
int64_t tariff_local_us(const struct tariff_clock *c, int64_t utc_us);
/* The instant at which that wall clock shows the midnight of a date. */
int64_t tariff_midnight_us(const struct tariff_clock *c, int year, int month, int day);
char *tariff_clock_words(const struct tariff_clock *c, char to[64]);

enum tariff_kind { TARIFF_FIXED, TARIFF_PERIODS, TARIFF_SPOT };
struct tariff_side {
	enum tariff_kind kind;
	double rates[TARIFF_RATES_MAX];        /* EUR/kWh; fixed: the first */
	size_t rate_count;
	uint8_t week[TARIFF_WEEK_MINUTES];     /* periods: index into rates by minute from Monday 00:00, local */
	double factor, markup, tax_percent;    /* spot: (factor × price + markup) × (1 + tax), … */
	double least, most;                    /* … then within these; -INFINITY, INFINITY: none */
};
enum tariff_per { TARIFF_PER_YEAR, TARIFF_PER_MONTH };
struct tariff {
	char name[64];                         /* or "" */
	struct tariff_clock clock;
	struct tariff_side import, export;
	double capacity_eur_kw;                /* for the highest mean import of a step; 0: none */
	enum tariff_per capacity_per;
};

/* "fixed:IMPORT:EXPORT", "dynamic:MARKUP:EXPORT[:TAX]", or the name of a YAML file, whose faults go to sink. */
must_check int tariff_read(const char *words, struct tariff *out, struct diag_sink *sink, struct err *e);
bool tariff_needs_spot(const struct tariff *t);
/* Means of the prices over count steps; spot_eur_mwh NULL when there is none (ERR_INPUT when the tariff needs it). */
must_check int tariff_prices(const struct tariff *t, int64_t start_utc_us, int64_t step_us, size_t count,
			     const double *spot_eur_mwh, double *import_eur_kwh, double *export_eur_kwh, struct err *e);
/* What the peaks cost: price × highest import of each month or year (local) × the share of it that grid_w covers;
 * steps without a value (NaN) cover nothing. */
double tariff_capacity_eur(const struct tariff *t, int64_t start_utc_us, int64_t step_us, size_t count,
			   const double *grid_w);
/* One line for people: "import 0.30 EUR/kWh, export 0.08 EUR/kWh". */
void tariff_words(const struct tariff *t, struct buf *b);

#endif
