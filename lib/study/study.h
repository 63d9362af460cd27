/* study: what control would have done. A series of load and PV goes through control_step, in as many cases as asked for,
 * and every case gets its energies and its bill; a load step goes through it on the simulated plant, in real time's
 * steps. No traffic, no files: what is written is returned.
 */
#ifndef PSEC_STUDY_H
#define PSEC_STUDY_H

#include "base/base.h"
#include "series/series.h"
#include "site/site.h"
#include "tariff/tariff.h"

/* ---- a series, side by side ---- */

/* A battery, ideal but for its efficiency, and what decides over it. */
struct study_case {
	enum site_mode mode;
	double battery_wh, battery_w;
	double efficiency;                /* one way, at the AC side */
	double manual_w;                  /* battery power in mode manual */
	struct site_control limits;       /* the site's, or control_no_limits(); its target, SoC bounds and ramp too */
};

struct study_result {
	struct study_case of;
	double load_wh, pv_wh, import_wh, export_wh, charge_wh, discharge_wh, peak_import_w, peak_export_w;
	double self_consumption_percent, autarky_percent, cycles, soc_end_percent;
	double energy_eur, capacity_eur, cost_eur; /* cost: both */
	double saving_eur;                /* against mode off on the same series */
	int64_t steps, gaps;              /* gaps: steps without values, which nothing is counted for */
	/* each step; NaN in a gap */
	double *battery_w, *grid_w, *soc_percent; /* soc: at the end of the step */
};

/* The figures of a result, in the order in which they are shown; a table, JSON and the page read this. */
struct study_figure {
	const char *key, *heading, *unit;
	int decimals;
	size_t offset;                    /* of the double in study_result */
};
extern const struct study_figure study_figures[];
extern const size_t study_figure_count;
static inline double study_figure_of(const struct study_result *r, const struct study_figure *f)
{
	return *(const double *)((const char *)r + f->offset);
}

struct study {
	const struct series *series;      /* borrowed, as the tariff is */
	const struct tariff *tariff;
	double *import_eur_kwh, *export_eur_kwh; /* each step */
	struct study_result *results;
	size_t count;
};
/* Each case begins half full. Series and tariff are borrowed until study_free; caller frees. */
must_check int study_run(const struct series *s, const struct tariff *t, const struct study_case *cases, size_t count,
			 struct study **out, struct err *e);
void study_free(struct study *s);
void study_free_(struct study **s);
#define auto_study __attribute__((cleanup(study_free_)))
/* "self-consumption, 10 kWh, 5 kW, reserve 20 %": what of the case differs from the others of its study. */
void study_case_words(const struct study *s, size_t i, struct buf *b);

#endif
