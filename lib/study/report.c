/* The page: what came out, what it came from, and under which conditions. */
#include <math.h>
#include <string.h>

#include "out/out.h"
#include "view.h"

static void tile(struct page *p, const struct study_result *r, const char *key, const char *name, const char *note)
{
	for (size_t i = 0; i < study_figure_count; i++) {
		const struct study_figure *f = &study_figures[i];
		double v = study_figure_of(r, f);
		char text[32];

		if (str_eq(f->key, key))
			page_tile(p, name, isfinite(v) ? out_quantity(v, f->unit, f->decimals, text) : "–", note);
	}
}

static void figure_cell(struct page *p, const void *of, const struct study_figure *f)
{
	double v = study_figure_of(of, f);
	char text[32];

	page_cell_number(p, f->key, v, isfinite(v) ? out_quantity(v, f->unit, f->decimals, text) : "");
}

static void figures_row(struct page *p, const struct study *s, const struct study_figure *f)
{
	page_row_begin(p, f->heading);
	for (size_t i = 0; i < s->count; i++)
		figure_cell(p, &s->results[i], f);
	page_row_end(p);
}

static void results_table(struct page *p, const struct study *s)
{
	auto_free const char **headings = xcalloc(s->count + 1, sizeof *headings);
	auto_free char **texts = xcalloc(s->count, sizeof *texts);

	headings[0] = "";
	for (size_t i = 0; i < s->count; i++) {
		auto_buf struct buf words = BUF_INIT;

		study_case_words(s, i, &words);
		headings[i + 1] = texts[i] =
			s->count > 1 ? xasprintf("%zu: %s", i + 1, words.data) : xstrdup(words.data);
	}
	page_table_begin(p, "Each case over the whole series", headings, s->count + 1);
	for (size_t k = 0; k < study_figure_count; k++)
		if (study_figure_counts(s, &study_figures[k]))
			figures_row(p, s, &study_figures[k]);
	page_table_end(p);
	for (size_t i = 0; i < s->count; i++)
		free(texts[i]);
}

static void summary(struct page *p, const struct study *s, const struct study_result *r)
{
	auto_buf struct buf words = BUF_INIT;

	page_section(p, "results", "Results");
	study_case_words(s, (size_t)(r - s->results), &words);
	if (s->count > 1)
		page_paragraph(p, "The case that saves most: %s. It is the one that is shown in detail below.",
			       words.data);
	page_tiles_begin(p);
	tile(p, r, "cost_eur", "Cost", r->of.mode == SITE_MODE_OFF ? "without a battery" : words.data);
	tile(p, r, "saving_eur", "Saved", "against a battery that rests");
	tile(p, r, "autarky_percent", "Autarky", "of the load not from the grid");
	tile(p, r, "self_consumption_percent", "Self-consumption", "of the PV not exported");
	tile(p, r, "import_wh", "Import", NULL);
	tile(p, r, "export_wh", "Export", NULL);
	tile(p, r, "peak_import_w", "Highest import", "mean of a step");
	tile(p, r, "cycles", "Full cycles", NULL);
	page_tiles_end(p);
	results_table(p, s);
	page_plots_begin(p);
	if (s->count > 1) {
		page_cell_begin(p);
		plot_cases(p, s);
		page_cell_end(p);
	}
	page_cell_begin(p);
	plot_duration(p, s);
	page_cell_end(p);
	page_plots_end(p);
	page_section_end(p);
}

/* A plot and its table stay one cell of the grid. */
static void cell(struct page *p, const struct study *s, const struct study_result *r,
		 void (*plot)(struct page *, const struct study *, const struct study_result *))
{
	page_cell_begin(p);
	plot(p, s, r);
	page_cell_end(p);
}

static void detail(struct page *p, const struct study *s, const struct study_result *r)
{
	auto_buf struct buf words = BUF_INIT;

	study_case_words(s, (size_t)(r - s->results), &words);
	page_section(p, "detail", "In detail");
	page_paragraph(p, "Case: %s.", words.data);
	page_plots_begin(p);
	cell(p, s, r, plot_buckets);
	cell(p, s, r, plot_profile);
	cell(p, s, r, plot_heat);
	cell(p, s, r, plot_day);
	page_plots_end(p);
	page_section_end(p);
	page_section(p, "series", "All of it");
	page_plots_begin(p);
	plot_all(p, s, r);
	page_plots_end(p);
	page_section_end(p);
}

static void loop_section(struct page *p, const struct study_loop *l)
{
	static const char *const headings[] = { "", "Value" };

	page_section(p, "loop", "The closed loop");
	page_paragraph(p,
		       "The same control step as in the field, on the simulated plant '%s' with noise on its meter: "
		       "%.0f W of load, %.0f W more after a "
		       "third of %.0f s, and back after two thirds. Settled means that the grid stays within 50 W.",
		       study_plant_names[l->of.plant], l->of.load_w, l->of.step_w, (double)l->of.window_us / US_PER_S);
	page_plots_begin(p);
	page_cell_begin(p);
	plot_loop(p, l);
	page_cell_end(p);
	page_cell_begin(p);
	page_table_begin(p, "Over the whole window", headings, 2);
	for (size_t i = 0; i < study_loop_figure_count; i++) {
		page_row_begin(p, study_loop_figures[i].heading);
		figure_cell(p, l, &study_loop_figures[i]);
		page_row_end(p);
	}
	page_table_end(p);
	page_cell_end(p);
	page_plots_end(p);
	page_section_end(p);
}

static void condition(struct page *p, const char *name, const char *text)
{
	page_row_begin(p, name);
	page_cell_text(p, text);
	page_row_end(p);
}

static void battery_words(const struct study_result *r, struct buf *b)
{
	char wh[32], w[32];

	buf_addf(b,
		 "%s usable, %s, %g %% one way at the AC side, half full at the beginning; reserve %g %%; no ageing, "
		 "no standby",
		 out_quantity(r->of.battery_wh, "Wh", 1, wh), out_quantity(r->of.battery_w, "W", 1, w),
		 100 * r->of.efficiency, r->of.limits.reserve_percent);
	if (r->of.limits.target_w != 0)
		buf_addf(b, "; the grid is held at %g W", r->of.limits.target_w);
}

static void conditions(struct page *p, const struct study *s, const struct study_page *info,
		       const struct study_result *r)
{
	static const char *const headings[] = { "", "" };
	auto_buf struct buf tariff = BUF_INIT, battery = BUF_INIT, steps = BUF_INIT;
	char from[BASE_TIME_LEN], to[BASE_TIME_LEN], clock[64];

	page_section(p, "conditions", "Conditions and sources");
	page_table_begin(p, NULL, headings, 2);
	if (s) {
		const struct series *q = s->series;

		condition(p, "Series", info->source);
		buf_addf(&steps, "%s to %s, %lld steps of %g min", time_format(q->start_utc_us, from),
			 time_format(view_utc_us(s, q->count), to), (long long)r->steps,
			 (double)q->step_us / (60.0 * US_PER_S));
		if (r->gaps)
			buf_addf(&steps, "; %lld more without values: gaps, for which nothing is counted",
				 (long long)r->gaps);
		condition(p, "Time", steps.data);
		condition(p, "Clock of the page", tariff_clock_words(&s->tariff->clock, clock));
		tariff_words(s->tariff, &tariff);
		condition(p, "Tariff", tariff.data);
		battery_words(r, &battery);
		condition(p, "Battery", battery.data);
		condition(p, "What is left out",
			  "Means of a step hide what happens within it: with seconds counted, some more is imported "
			  "and exported.");
	}
	condition(p, "Made by", "psec " PSEC_VERSION ", psec control simulate");
	condition(p, "Made at", time_format(info->made_utc_us, from));
	page_table_end(p);
	if (info->licence) {
		auto_free char *copy = xstrdup(info->licence);
		char *rest = NULL;

		page_paragraph(p, "Source and licence of the series, as they stand beside it:");
		for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			page_paragraph(p, "%s", line);
	}
	page_section_end(p);
}

char *study_page(const struct study *study, const struct study_page *info)
{
	const struct study_result *shown = study ? &study->results[view_shown_case(study)] : NULL;
	struct page p;

	page_begin(&p, info->title,
		   "What the control of psec would have done: every case takes the same series through the law of the "
		   "field.");
	if (study) {
		summary(&p, study, shown);
		detail(&p, study, shown);
	}
	if (info->loop)
		loop_section(&p, info->loop);
	conditions(&p, study, info, shown);
	return page_end(&p, "One file: no scripts, nothing is loaded from elsewhere. Save it, print it, pass it on.");
}
