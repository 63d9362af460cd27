/* study: what control would have done. A series of load and PV goes through control_step, in as many cases as asked
 * for, and every case gets its energies and its bill; a load step goes through it on the simulated plant, in real
 * time's steps. No traffic, no files: what is written is returned.
 */
#ifndef PSEC_STUDY_H
#define PSEC_STUDY_H

#include "base/base.h"
#include "series/series.h"
#include "site/site.h"
#include "tariff/tariff.h"

/* ---- a series from what a site recorded ---- */

/* Where samples come from: every sample of point in [from, to), oldest first; means: those of quarter-hours. */
typedef void study_sample_fn(void *arg, int64_t utc_us, double value);
struct study_samples {
	int (*read)(void *arg, const char *point, int64_t from_utc_us, int64_t to_utc_us, bool means,
		    study_sample_fn *each, void *each_arg, struct err *e);
	void *arg;
};
/* load = grid + battery + pv + genset, by the step. A step in which one of the site's devices has no samples is a
 * gap; one that is raw and not covered to its half, too. What measures below 0 counts as 0: *below_zero says in
 * how many steps. step_us divides an hour; from and to are brought to whole steps. Released by series_release. */
must_check int study_recorded(const struct site *site, const struct study_samples *samples, int64_t from_utc_us,
			      int64_t to_utc_us, int64_t step_us, struct series *out, size_t *below_zero,
			      struct err *e);

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

/* Figures in the order in which they are shown; a table, JSON and the page read this. */
struct study_figure {
	const char *key, *heading, *unit;
	int decimals;
	size_t offset;                    /* of the double in what the figures are of */
};
static inline double study_figure_of(const void *of, const struct study_figure *f)
{
	return *(const double *)((const char *)of + f->offset);
}
extern const struct study_figure study_figures[]; /* of struct study_result */
extern const size_t study_figure_count;

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
/* Is the figure one for people? Without a price for peaks there is one cost, not three. */
bool study_figure_counts(const struct study *s, const struct study_figure *f);
void study_free(struct study *s);
void study_free_(struct study **s);
#define auto_study __attribute__((cleanup(study_free_)))
/* "self-consumption, 10 kWh, 5 kW, reserve 20 %": what of the case differs from the others of its study. */
void study_case_words(const struct study *s, size_t i, struct buf *b);

/* ---- the closed loop: the law on the simulated plant, with dead time, lag and noise ---- */

enum study_plant { STUDY_FAST, STUDY_MID, STUDY_SLOW, STUDY_PLANT_COUNT };
extern const char *const study_plant_names[]; /* NULL-ended: "fast", "mid", "slow" */

struct study_loop_setup {
	enum study_plant plant;
	double load_w, step_w; /* load before, and how much more after a third of the time; back after two thirds */
	int64_t window_us;                /* 30 s…1 h */
};
/* True powers every 100 ms; the plant goes in steps of 10 ms, and the law is asked as in the field: at each new
 * value of the meter, and when it wants to be woken. */
struct study_loop {
	struct study_loop_setup of;
	double dead_time_s, lag_s, meter_period_s, meter_delay_s;
	double settle_s; /* after the step until the grid stays within ± 50 W of the target; NaN: it does not */
	double overshoot_w;               /* beyond the target, after the step */
	double import_wh, export_wh;      /* the leak: what passed the grid beside the target */
	double mean_abs_w; /* of the distance from the target, before the step: what is left when all is quiet */
	int64_t writes;
	size_t count;
	int64_t step_us;
	double *load_w, *battery_w, *setpoint_w, *grid_w;
};
/* In mode self-consumption with the battery of c. Caller releases. */
must_check int study_loop_run(const struct study_loop_setup *setup, const struct study_case *c, struct study_loop *out,
			      struct err *e);
void study_loop_release(struct study_loop *l);
extern const struct study_figure study_loop_figures[]; /* of struct study_loop */
extern const size_t study_loop_figure_count;

/* ---- the page ---- */

struct study_page {
	const char *title, *source;       /* "Hill farm 7"; "year.csv, 35 136 steps of 15 min" */
	const char *licence;              /* of the source, lines, or NULL */
	int64_t made_utc_us;
	const struct study_loop *loop;    /* or NULL */
};
/* One HTML file with all of it; caller frees. study may be NULL when there is a loop. */
char *study_page(const struct study *study, const struct study_page *page);

#endif
