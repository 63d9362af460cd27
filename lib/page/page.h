/* page: one HTML file that needs nothing else: text, tables and SVG plots. No script, no fetch; inline style for
 * phones, for print and for the dark. Every text is escaped here, so that what comes from outside can go through these
 * calls.
 *
 * A page is made from top to bottom. Each plot names itself for who does not see it, and stands over a table of its
 * numbers.
 */
#ifndef PSEC_PAGE_H
#define PSEC_PAGE_H

#include "base/base.h"

/* Colours by what they mean, the same in every plot; told apart also without colour vision and, as dashes, in print. */
enum page_ink {
	PAGE_LOAD, PAGE_PV, PAGE_BATTERY, PAGE_GRID, PAGE_SOC, PAGE_PRICE, PAGE_COMMAND, PAGE_SPARE, PAGE_INKS,
};

struct page {
	struct buf b;
	int plots;                /* numbers the ids of titles and descriptions */
};
void page_begin(struct page *p, const char *title, const char *subtitle);
/* The whole file; caller frees. The page is empty afterwards. */
char *page_end(struct page *p, const char *footer);

void page_section(struct page *p, const char *id, const char *heading);
void page_section_end(struct page *p);
void page_paragraph(struct page *p, const char *fmt, ...) printf_like(2, 3);
/* Between these, plots stand beside each other where there is room. */
void page_plots_begin(struct page *p);
void page_plots_end(struct page *p);
/* What stays together: a plot and its table. */
void page_cell_begin(struct page *p);
void page_cell_end(struct page *p);

/* Big figures: "Cost" over "174.38 EUR". */
void page_tiles_begin(struct page *p);
void page_tile(struct page *p, const char *name, const char *value, const char *note);
void page_tiles_end(struct page *p);

/* caption may be NULL. Cells of a row begin with a heading. A number's machine-readable value is kept beside its
 * text. */
void page_table_begin(struct page *p, const char *caption, const char *const *headings, size_t count);
void page_row_begin(struct page *p, const char *heading);
void page_cell_text(struct page *p, const char *text);
void page_cell_number(struct page *p, const char *key, double value, const char *text); /* NaN: "–" */
void page_row_end(struct page *p);
void page_table_end(struct page *p);
/* The table of a plot's numbers, folded away on the screen. */
void page_numbers_begin(struct page *p, const char *summary);
void page_numbers_end(struct page *p);

struct page_line {
	const char *name;
	enum page_ink ink;
	const double *y;          /* count each; NaN: a gap, where nothing is drawn */
	bool area;                /* filled down to 0 */
};
struct page_tick { double x; const char *label; };
struct page_plot {
	const char *title, *description, *y_unit; /* "kW" */
	size_t count;
	double x0, x1;            /* of the first and of the last value */
	const struct page_tick *ticks;
	size_t tick_count;
	const struct page_line *lines;
	size_t line_count;
	double y_least, y_most;   /* the axis shows these at least; NaN: only what the lines need */
	bool steps;               /* a value holds until the next one */
	double mark_low, mark_high; /* a band behind the lines; equal: none */
};
/* Up to as many values as the plot is wide each is drawn; beyond that the envelope of least and most, and the mean. */
void page_plot(struct page *p, const struct page_plot *plot);

struct page_bar { const char *name; const double *values; }; /* one a part; negative ones hang below */
struct page_bars {
	const char *title, *description, *y_unit;
	const char *const *parts;
	const enum page_ink *inks;
	size_t part_count;
	const struct page_bar *bars;
	size_t bar_count;
};
/* Stacked bars. */
void page_bars(struct page *p, const struct page_bars *bars);

struct page_heat {
	const char *title, *description, *low_words, *high_words, *unit;
	size_t columns, rows;     /* rows from top to bottom */
	const double *values;     /* columns × rows, column by column; NaN: nothing is drawn */
	const struct page_tick *column_ticks, *row_ticks; /* x: index, from 0 */
	size_t column_tick_count, row_tick_count;
};
void page_heat(struct page *p, const struct page_heat *heat);

/* ---- QR codes (ISO/IEC 18004, level Q), by themselves ---- */
enum { PAGE_QR_MAX = 300 };
/* A label of 62 mm, the width of common label tape, as an SVG file: the code of text, beside it the lines, the first
 * one bold. ERR_INPUT: text is longer than PAGE_QR_MAX bytes. */
must_check int page_qr_label(const char *text, const char *const *lines, size_t count, struct buf *svg, struct err *e);
/* The code in half blocks, two modules a character, for a terminal with a dark background. */
must_check int page_qr_terminal(const char *text, struct buf *to, struct err *e);

#endif
