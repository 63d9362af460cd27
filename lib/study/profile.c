/* The mean day, the map of days and hours, and the step of the closed loop. */
#include <math.h>
#include <string.h>

#include "view.h"

enum { BINS = 96, HOURS = 24, COLUMNS_MAX = 400 };
#define DAY_US (86400 * US_PER_S)

void plot_profile(struct page *p, const struct study *s, const struct study_result *r)
{
	static const char *const headings[] = { "load", "PV", "battery", "grid" };
	static const struct page_tick ticks[] = {
		{ 0, "00:00" }, { 6, "06:00" }, { 12, "12:00" }, { 18, "18:00" }, { 24, "24:00" }
	};
	const double *of[4] = { s->series->load_w, s->series->pv_w, r->battery_w, r->grid_w };
	double sums[4][BINS] = { 0 }, hourly[HOURS * 4] = { 0 };
	size_t counts[BINS] = { 0 }, bins = s->series->step_us > 900 * US_PER_S ? HOURS : BINS;
	char labels[HOURS][LABEL_LEN];

	if ((int64_t)s->series->count * s->series->step_us < 2 * DAY_US || s->series->step_us > 3600 * US_PER_S)
		return;
	for (size_t i = 0; i < s->series->count; i++) {
		size_t bin = (size_t)view_date(s, i).minute * bins / 1440;

		if (isnan(r->grid_w[i]))
			continue;
		counts[bin]++;
		for (int k = 0; k < 4; k++)
			sums[k][bin] += of[k][i] / 1000;
	}
	for (size_t b = 0; b < bins; b++)
		for (size_t k = 0; k < 4; k++) {
			sums[k][b] = counts[b] ? sums[k][b] / (double)counts[b] : NAN;
			hourly[b * HOURS / bins * 4 + k] += sums[k][b] * HOURS / (double)bins;
		}
	for (int h = 0; h < HOURS; h++)
		snprintf(labels[h], LABEL_LEN, "%02d:00", h);
	page_plot(p, &(struct page_plot){
			     .title = "The mean day",
			     .description = "Means by the time of the day over the whole series. Import and discharge "
					    "are positive.",
			     .y_unit = "kW",
			     .count = bins,
			     .x1 = 24 - 24.0 / (double)bins,
			     .ticks = ticks,
			     .tick_count = COUNT_OF(ticks) - 1,
			     .lines = (struct page_line[]){ { "PV", PAGE_PV, sums[1], true },
							    { "load", PAGE_LOAD, sums[0], false },
							    { "battery", PAGE_BATTERY, sums[2], false },
							    { "grid", PAGE_GRID, sums[3], false } },
			     .line_count = 4,
			     .y_least = 0,
			     .y_most = 0 });
	view_table(p, &(struct view_table){ "Numbers, kW", "hour", headings, 4, HOURS,
					    (const char (*)[LABEL_LEN])labels,
					    hourly, 2 });
}

/* ---- days and hours ---- */

void plot_heat(struct page *p, const struct study *s, const struct study_result *r)
{
	static const struct page_tick rows[] = { { 0, "00:00" }, { 6, "06:00" }, { 12, "12:00" }, { 18, "18:00" } };
	static const char *const headings[] = { "least", "mean", "most" };
	int64_t first = tariff_local_us(&s->tariff->clock, view_utc_us(s, 0)) / DAY_US;
	int64_t days = tariff_local_us(&s->tariff->clock, view_utc_us(s, s->series->count - 1)) / DAY_US - first + 1;
	int64_t each = days > 100 ? 7 : 1;
	size_t columns = (size_t)((days + each - 1) / each);
	auto_free double *values = xcalloc(columns * HOURS, sizeof(double)),
			 *counts = xcalloc(columns * HOURS, sizeof(double));
	double numbers[HOURS * 3];
	struct view_ticks ticks;
	char labels[HOURS][LABEL_LEN];

	if (days < 3 || columns > COLUMNS_MAX)
		return;
	for (size_t i = 0; i < s->series->count; i++) {
		int64_t day = tariff_local_us(&s->tariff->clock, view_utc_us(s, i)) / DAY_US - first;
		size_t at = (size_t)(day / each) * HOURS + (size_t)(view_date(s, i).minute / 60);

		if (isnan(r->grid_w[i]))
			continue;
		values[at] += r->grid_w[i] / 1000;
		counts[at]++;
	}
	for (size_t i = 0; i < columns * HOURS; i++)
		values[i] = counts[i] > 0 ? values[i] / counts[i] : NAN;
	for (size_t h = 0; h < HOURS; h++) {
		snprintf(labels[h], LABEL_LEN, "%02zu:00", h);
		view_least_mean_most(values + h, columns, HOURS, &numbers[h * 3]);
	}
	view_ticks(s, 0, s->series->count, &ticks);
	for (size_t i = 0; i < ticks.count; i++)
		ticks.at[i].x *= (double)columns / (double)s->series->count;
	page_heat(p, &(struct page_heat){ .title = "Grid by the day and the hour",
					  .description = each > 1 ? "A column is the mean of a week, a row an hour."
								  : "A column is a day, a row an hour.",
					  .low_words = "export",
					  .high_words = "import",
					  .unit = "kW",
					  .columns = columns,
					  .rows = HOURS,
					  .values = values,
					  .column_ticks = ticks.at,
					  .column_tick_count = ticks.count,
					  .row_ticks = rows,
					  .row_tick_count = COUNT_OF(rows) });
	view_table(p, &(struct view_table){ "Numbers, kW, over the columns", "hour", headings, 3, HOURS,
					    (const char (*)[LABEL_LEN])labels, numbers, 2 });
}

/* ---- the closed loop ---- */

enum { BEFORE_S = 5, AFTER_S = 15, ROWS = 2 * (BEFORE_S + AFTER_S) + 1 };

void plot_loop(struct page *p, const struct study_loop *l)
{
	static const char *const headings[] = { "load", "set-point", "battery", "grid" };
	static const struct page_tick ticks[] = {
		{ -5, "-5 s" }, { 0, "step" }, { 5, "5 s" }, { 10, "10 s" }, { 15, "15 s" }
	};
	size_t step = l->count / 3, per_s = (size_t)(US_PER_S / l->step_us), from, n;
	auto_free double *load = NULL, *command = NULL, *battery = NULL, *grid = NULL;
	double values[ROWS * 4];
	char labels[ROWS][LABEL_LEN];
	size_t rows = 0;

	if (step < BEFORE_S * per_s || step + AFTER_S * per_s > l->count)
		from = 0, n = l->count;
	else
		from = step - BEFORE_S * per_s, n = (BEFORE_S + AFTER_S) * per_s + 1;
	n = from + n > l->count ? l->count - from : n;
	load = view_kilo(l->load_w + from, n);
	command = view_kilo(l->setpoint_w + from, n);
	battery = view_kilo(l->battery_w + from, n);
	grid = view_kilo(l->grid_w + from, n);
	for (size_t i = 0; i < n && rows < ROWS; i += per_s / 2, rows++) {
		snprintf(labels[rows], LABEL_LEN, "%.1f s", ((double)(from + i) - (double)step) / (double)per_s);
		memcpy(&values[rows * 4], (double[]){ load[i], command[i], battery[i], grid[i] }, 4 * sizeof(double));
	}
	page_plot(p, &(struct page_plot){
			     .title = "A step of the load",
			     .description = "True powers on the simulated plant, every 100 ms. The pale band is 50 W "
					    "about 0 for the grid.",
			     .y_unit = "kW",
			     .count = n,
			     .x0 = ((double)from - (double)step) / (double)per_s,
			     .x1 = ((double)(from + n - 1) - (double)step) / (double)per_s,
			     .ticks = ticks,
			     .tick_count = COUNT_OF(ticks),
			     .lines = (struct page_line[]){ { "load", PAGE_LOAD, load, false },
							    { "set-point", PAGE_COMMAND, command, false },
							    { "battery", PAGE_BATTERY, battery, false },
							    { "grid", PAGE_GRID, grid, true } },
			     .line_count = 4,
			     .y_least = 0,
			     .y_most = 0,
			     .mark_low = -0.05,
			     .mark_high = 0.05 });
	view_table(p, &(struct view_table){ "Numbers, kW", "after the step", headings, 4, rows,
					    (const char (*)[LABEL_LEN])labels, values, 3 });
}
