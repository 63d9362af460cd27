/* The plots along the time of the series. Each is followed by the table of its numbers. */
#include <math.h>
#include <string.h>

#include "view.h"

/* ---- cases side by side ---- */

void plot_cases(struct page *p, const struct study *s)
{
	static const char *const parts[] = { "bought", "sold", "peaks" };
	static const enum page_ink inks[] = { PAGE_GRID, PAGE_PV, PAGE_PRICE };
	auto_free struct page_bar *bars = xcalloc(s->count, sizeof *bars);
	auto_free double *values = xcalloc(s->count * 3, sizeof *values);
	auto_free char (*names)[LABEL_LEN] = xcalloc(s->count, sizeof *names);
	double hours = view_hours(s);

	for (size_t i = 0; i < s->count; i++) {
		const struct study_result *r = &s->results[i];
		double *v = &values[3 * i];

		for (size_t k = 0; k < s->series->count; k++) {
			if (isnan(r->grid_w[k]))
				continue;
			v[0] += fmax(r->grid_w[k], 0) * s->import_eur_kwh[k] * hours / 1000;
			v[1] -= fmax(-r->grid_w[k], 0) * s->export_eur_kwh[k] * hours / 1000;
		}
		v[2] = r->capacity_eur;
		snprintf(names[i], LABEL_LEN, "%zu", i + 1);
		bars[i] = (struct page_bar){ names[i], v };
	}
	page_bars(p, &(struct page_bars){ .title = "What each case costs",
					  .description = "Numbers below are those of the table above: what is bought "
							 "stands above the line, what is sold hangs below it.",
					  .y_unit = "EUR",
					  .parts = parts,
					  .inks = inks,
					  .part_count = s->tariff->capacity_eur_kw > 0 ? 3 : 2,
					  .bars = bars,
					  .bar_count = s->count });
	view_table(p, &(struct view_table){ "Numbers, EUR", "case", parts, 3, s->count,
					    (const char (*)[LABEL_LEN])names,
					    values, 2 });
}

/* ---- months, days or hours ---- */

enum { BARS = 5 };

static void add_up(const struct study *s, const struct study_result *r, size_t from, size_t to, double v[BARS])
{
	double hours = view_hours(s) / 1000;

	for (size_t i = from; i < to; i++) {
		if (isnan(r->grid_w[i]))
			continue;
		v[0] += fmin(s->series->load_w[i], s->series->pv_w[i]) * hours;
		v[1] += fmax(r->battery_w[i], 0) * hours;
		v[2] += fmax(r->grid_w[i], 0) * hours;
		v[3] += fmin(r->battery_w[i], 0) * hours;
		v[4] += fmin(r->grid_w[i], 0) * hours;
	}
}

void plot_buckets(struct page *p, const struct study *s, const struct study_result *r)
{
	static const char *const parts[BARS] = { "PV used at once", "from the battery", "from the grid",
						 "into the battery", "into the grid" };
	static const enum page_ink inks[BARS] = { PAGE_PV, PAGE_BATTERY, PAGE_GRID, PAGE_COMMAND, PAGE_SPARE };
	auto_free struct view_buckets *b = xcalloc(1, sizeof *b);
	auto_free struct page_bar *bars = NULL;
	auto_free double *values = NULL;
	auto_free char (*labels)[LABEL_LEN] = NULL;
	char title[64];

	view_buckets(s, b);
	bars = xcalloc(b->count, sizeof *bars);
	values = xcalloc(b->count * BARS, sizeof *values);
	labels = xcalloc(b->count, sizeof *labels);
	for (size_t i = 0; i < b->count; i++) {
		add_up(s, r, b->at[i].from, b->at[i].to, &values[i * BARS]);
		bars[i] = (struct page_bar){ b->at[i].label, &values[i * BARS] };
		str_copy(labels[i], LABEL_LEN, b->at[i].name);
	}
	snprintf(title, sizeof title, "Energy by the %s", b->word);
	page_bars(p,
		  &(struct page_bars){
			  .title = title,
			  .description = "What covered the load stands above the line; what was left over hangs below.",
			  .y_unit = "kWh",
			  .parts = parts,
			  .inks = inks,
			  .part_count = BARS,
			  .bars = bars,
			  .bar_count = b->count });
	view_table(p, &(struct view_table){ "Numbers, kWh", b->word, parts, BARS, b->count,
					    (const char (*)[LABEL_LEN])labels, values, 1 });
}

/* ---- all of it ---- */

static void envelope_numbers(struct page *p, const struct study *s, const double *const *lines,
			     const char *const *names, size_t count, const char *unit)
{
	auto_free struct view_buckets *b = xcalloc(1, sizeof *b);
	auto_free double *values = NULL;
	auto_free char (*labels)[LABEL_LEN] = NULL, (*texts)[64] = xcalloc(3 * count, sizeof *texts);
	const char *headings[9];
	char summary[64];

	view_buckets(s, b);
	values = xcalloc(b->count * 3 * count, sizeof *values);
	labels = xcalloc(b->count, sizeof *labels);
	for (size_t k = 0; k < 3 * count; k++) {
		static const char *const words[] = { "least", "mean", "most" };

		snprintf(texts[k], sizeof texts[k], "%s %s", names[k / 3], words[k % 3]);
		headings[k] = texts[k];
	}
	for (size_t i = 0; i < b->count; i++) {
		str_copy(labels[i], LABEL_LEN, b->at[i].name);
		for (size_t k = 0; k < count; k++)
			view_least_mean_most(lines[k] + b->at[i].from, b->at[i].to - b->at[i].from, 1,
					     &values[(i * count + k) * 3]);
	}
	snprintf(summary, sizeof summary, "Numbers, %s", unit);
	view_table(p, &(struct view_table){ summary, b->word, headings, 3 * count, b->count,
					    (const char (*)[LABEL_LEN])labels, values, 2 });
}

static void over_time(struct page *p, const struct study *s, const char *title, const char *unit,
		      const struct page_line *lines, size_t count, double least, double most)
{
	struct view_ticks ticks;
	const double *values[3];
	const char *names[3];
	bool dense = s->series->count > 400;

	page_cell_begin(p);
	view_ticks(s, 0, s->series->count, &ticks);
	for (size_t i = 0; i < count; i++) {
		values[i] = lines[i].y;
		names[i] = lines[i].name;
	}
	page_plot(p, &(struct page_plot){
			     .title = title,
			     .description = dense ? "Lines are means; the pale band goes from the least to the most."
						  : "One value a step of the series.",
			     .y_unit = unit,
			     .count = s->series->count,
			     .x1 = (double)s->series->count - 1,
			     .ticks = ticks.at,
			     .tick_count = ticks.count,
			     .lines = lines,
			     .line_count = count,
			     .y_least = least,
			     .y_most = most,
			     .steps = true });
	envelope_numbers(p, s, values, names, count, unit);
	page_cell_end(p);
}

void plot_all(struct page *p, const struct study *s, const struct study_result *r)
{
	size_t n = s->series->count;
	auto_free double *load = view_kilo(s->series->load_w, n), *pv = view_kilo(s->series->pv_w, n),
			 *battery = view_kilo(r->battery_w, n), *grid = view_kilo(r->grid_w, n),
			 *import_ct = xcalloc(n, sizeof(double)), *export_ct = xcalloc(n, sizeof(double));

	for (size_t i = 0; i < n; i++) {
		import_ct[i] = 100 * s->import_eur_kwh[i];
		export_ct[i] = 100 * s->export_eur_kwh[i];
	}
	over_time(p, s, "Load and PV", "kW",
		  (struct page_line[]){ { "PV", PAGE_PV, pv, false }, { "load", PAGE_LOAD, load, false } }, 2, 0, NAN);
	over_time(p, s, "Grid (import positive)", "kW", (struct page_line[]){ { "grid", PAGE_GRID, grid, false } }, 1,
		  0, 0);
	over_time(p, s, "Battery (discharge positive)", "kW",
		  (struct page_line[]){ { "battery", PAGE_BATTERY, battery, false } }, 1, 0, 0);
	over_time(p, s, "State of charge", "%", (struct page_line[]){ { "SoC", PAGE_SOC, r->soc_percent, false } }, 1,
		  0, 100);
	over_time(p, s, "Price", "ct/kWh",
		  (struct page_line[]){ { "import", PAGE_GRID, import_ct, false },
					{ "export", PAGE_PV, export_ct, false } },
		  2, 0, NAN);
}

/* ---- a day ---- */

static void day_numbers(struct page *p, const struct study *s, size_t from, size_t to, const double *const lines[5])
{
	static const char *const headings[] = { "load", "PV", "battery", "grid", "SoC %" };
	size_t each = (size_t)(3600 * US_PER_S / s->series->step_us), rows = 0;
	double values[24 * 5] = { 0 };
	char labels[24][LABEL_LEN];

	each = each ? each : 1;
	for (size_t i = from; i < to && rows < 24; i += each, rows++) {
		struct time_date d = view_date(s, i);

		snprintf(labels[rows], LABEL_LEN, "%02d:%02d", d.minute / 60, d.minute % 60);
		for (size_t c = 0; c < 5; c++) {
			double *v = &values[rows * 5 + c];

			for (size_t k = i; k < i + each && k < to; k++)
				*v = c == 4 ? lines[c][k - from] : *v + lines[c][k - from] / (double)each;
		}
	}
	view_table(p, &(struct view_table){ "Numbers, means of the hour in kW, SoC at its end", "hour", headings, 5,
					    rows, (const char (*)[LABEL_LEN])labels, values, 2 });
}

void plot_day(struct page *p, const struct study *s, const struct study_result *r)
{
	auto_free double *load = NULL, *pv = NULL, *battery = NULL, *grid = NULL;
	struct view_ticks ticks;
	struct time_date d;
	size_t from, to, n;
	char title[64];

	if (!view_best_day(s, r, &from, &to))
		return;
	n = to - from;
	d = view_date(s, from);
	view_ticks(s, from, to, &ticks);
	load = view_kilo(s->series->load_w + from, n);
	pv = view_kilo(s->series->pv_w + from, n);
	battery = view_kilo(r->battery_w + from, n);
	grid = view_kilo(r->grid_w + from, n);
	snprintf(title, sizeof title, "A day: %d-%02d-%02d", d.year, d.month, d.day);
	page_plot(p, &(struct page_plot){ .title = title,
					  .description = r->of.mode == SITE_MODE_OFF
								 ? "The one with most PV."
								 : "The one on which most went through the battery. "
								   "Import and discharge are positive.",
					  .y_unit = "kW",
					  .count = n,
					  .x1 = (double)n - 1,
					  .ticks = ticks.at,
					  .tick_count = ticks.count,
					  .lines = (struct page_line[]){ { "PV", PAGE_PV, pv, true },
									 { "load", PAGE_LOAD, load, false },
									 { "battery", PAGE_BATTERY, battery, false },
									 { "grid", PAGE_GRID, grid, false } },
					  .line_count = 4,
					  .y_least = 0,
					  .y_most = NAN,
					  .steps = true });
	day_numbers(p, s, from, to, (const double *const[]){ load, pv, battery, grid, r->soc_percent + from });
	snprintf(title, sizeof title, "State of charge on %d-%02d-%02d", d.year, d.month, d.day);
	page_plot(p, &(struct page_plot){
			     .title = title,
			     .description = "At the end of each step; the numbers are in the table of the day.",
			     .y_unit = "%",
			     .count = n,
			     .x1 = (double)n - 1,
			     .ticks = ticks.at,
			     .tick_count = ticks.count,
			     .lines = (struct page_line[]){ { "SoC", PAGE_SOC, r->soc_percent + from, true } },
			     .line_count = 1,
			     .y_least = 0,
			     .y_most = 100 });
}

/* ---- duration ---- */

enum { QUANTILES = 201, DURATION_CASES = 4 };

static int falling(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

static size_t sorted_grid(const struct study *s, const struct study_result *r, double *to)
{
	size_t n = 0;

	for (size_t i = 0; i < s->series->count; i++)
		if (!isnan(r->grid_w[i]))
			to[n++] = r->grid_w[i] / 1000;
	qsort(to, n, sizeof *to, falling);
	return n;
}

void plot_duration(struct page *p, const struct study *s)
{
	static const enum page_ink inks[DURATION_CASES] = { PAGE_LOAD, PAGE_GRID, PAGE_BATTERY, PAGE_SPARE };
	static const int shares[] = { 0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100 };
	static const struct page_tick ticks[] = {
		{ 0, "0" }, { 25, "25" }, { 50, "50" }, { 75, "75" }, { 100, "100 %" }
	};
	size_t cases = s->count < DURATION_CASES ? s->count : DURATION_CASES, n;
	auto_free double *sorted = xcalloc(s->series->count, sizeof *sorted),
			 *values = xcalloc(cases * QUANTILES, sizeof *values);
	double numbers[COUNT_OF(shares) * DURATION_CASES];
	char labels[COUNT_OF(shares)][LABEL_LEN];
	struct page_line lines[DURATION_CASES];
	struct buf names[DURATION_CASES];
	const char *headings[DURATION_CASES];

	for (size_t k = 0; k < cases; k++) {
		n = sorted_grid(s, &s->results[k], sorted);
		for (size_t i = 0; i < QUANTILES; i++)
			values[k * QUANTILES + i] = n ? sorted[i * (n - 1) / (QUANTILES - 1)] : NAN;
		for (size_t i = 0; i < COUNT_OF(shares); i++)
			numbers[i * cases + k] = values[k * QUANTILES + (size_t)shares[i] * (QUANTILES - 1) / 100];
		names[k] = (struct buf)BUF_INIT;
		study_case_words(s, k, &names[k]);
		headings[k] = names[k].data;
		lines[k] = (struct page_line){ names[k].data, inks[k], values + k * QUANTILES, false };
	}
	for (size_t i = 0; i < COUNT_OF(shares); i++)
		snprintf(labels[i], LABEL_LEN, "%d %%", shares[i]);
	page_plot(p, &(struct page_plot){
			     .title = "Duration of grid power",
			     .description = s->count > cases ? "Share of the time in which the grid power is at least "
							       "so high, import positive; the first four cases."
							     : "Share of the time in which the grid power is at least "
							       "so high, import positive.",
			     .y_unit = "kW",
			     .count = QUANTILES,
			     .x1 = 100,
			     .ticks = ticks,
			     .tick_count = COUNT_OF(ticks),
			     .lines = lines,
			     .line_count = cases,
			     .y_least = 0,
			     .y_most = 0 });
	view_table(p, &(struct view_table){ "Numbers, kW", "share of the time", headings, cases, COUNT_OF(shares),
					    (const char (*)[LABEL_LEN])labels, numbers, 2 });
	for (size_t k = 0; k < cases; k++)
		buf_release(&names[k]);
}
