/* series: a CSV of load, PV and price over time, read strictly, for `control simulate` and the simulated site.
 *
 * Columns by heading, any order: ts_utc (RFC 3339, Z, start of the interval), load_w >= 0, pv_w >= 0, price_eur_mwh
 * (optional). Steps are equal, no row is missing, no repeat. A row with neither load_w nor pv_w is a gap that is
 * stated.
 */
#ifndef PSEC_SERIES_H
#define PSEC_SERIES_H

#include "base/base.h"

struct series {
	size_t count;
	int64_t start_utc_us, step_us;
	size_t gaps;            /* steps without values */
	double *load_w, *pv_w;  /* count each, means over [t, t + step); NaN in a gap */
	double *price_eur_mwh;  /* count, or NULL when the file has no such column */
};

/* Read path ("-": standard input). Faults (at most 20, then it stops) go to sink with their line; -1 when there was
 * one. Released by series_release. */
must_check int series_read(const char *path, struct series *out, struct diag_sink *sink, struct err *e);
void series_release(struct series *s);
/* As such a file, gaps stated; caller frees. */
char *series_text(const struct series *s);
/* Load and PV at any time: repeats from the start after the end; linear between the middles of the intervals. */
void series_at(const struct series *s, int64_t offset_us, double *load_w, double *pv_w);

#endif
