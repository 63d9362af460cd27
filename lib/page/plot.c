/* Lines over time. */
#include <math.h>

#include "inside.h"

/* So many columns show an envelope; more would be finer than a pixel and make a file of megabytes. */
enum { COLUMNS_MAX = 400, LINE_VALUES_MAX = 400 };

static double x_of(const struct page_plot *plot, double x)
{
	double span = plot->x1 > plot->x0 ? plot->x1 - plot->x0 : 1;

	return LEFT + (x - plot->x0) / span * (WIDTH - RIGHT - LEFT);
}

static double x_at(const struct page_plot *plot, double i)
{
	return x_of(plot, plot->x0 + i / (plot->count > 1 ? (double)(plot->count - 1) : 1) * (plot->x1 - plot->x0));
}

static struct axis plot_axis(const struct page_plot *plot)
{
	double least = plot->y_least, most = plot->y_most;

	for (size_t k = 0; k < plot->line_count; k++)
		for (size_t i = 0; i < plot->count; i++) {
			least = fmin(least, plot->lines[k].y[i]);
			most = fmax(most, plot->lines[k].y[i]);
		}
	return axis_of(least, most, PLOT_HEIGHT - BOTTOM, TOP);
}

/* ---- each value ---- */

static void point(struct buf *b, char command, double x, double y)
{
	buf_add(b, &command, 1);
	coordinate(b, x);
	buf_adds(b, " ");
	coordinate(b, y);
}

static void draw_values(struct page *p, const struct page_plot *plot, const struct page_line *line,
			const struct axis *a)
{
	bool pen = false;
	double last_y = 0;

	buf_addf(&p->b, "<path class=\"l i%d\" d=\"", (int)line->ink);
	for (size_t i = 0; i < plot->count; i++) {
		double x = x_at(plot, (double)i), y;

		if (isnan(line->y[i])) {
			pen = false;
			continue;
		}
		y = axis_at(a, line->y[i]);
		if (pen && plot->steps)
			point(&p->b, 'L', x, last_y);
		point(&p->b, pen ? 'L' : 'M', x, y);
		last_y = y;
		pen = true;
	}
	buf_adds(&p->b, "\"/>\n");
}

static void draw_area(struct page *p, const struct page_plot *plot, const struct page_line *line, const struct axis *a)
{
	double zero = axis_at(a, clamp_real(0, a->low, a->high)), x = 0;
	bool pen = false;

	buf_addf(&p->b, "<path class=\"e i%d\" d=\"", (int)line->ink);
	for (size_t i = 0; i < plot->count; i++) {
		if (isnan(line->y[i])) {
			if (pen)
				point(&p->b, 'L', x, zero), buf_adds(&p->b, "z");
			pen = false;
			continue;
		}
		x = x_at(plot, (double)i);
		if (!pen)
			point(&p->b, 'M', x, zero);
		point(&p->b, 'L', x, axis_at(a, line->y[i]));
		pen = true;
	}
	if (pen)
		point(&p->b, 'L', x, zero), buf_adds(&p->b, "z");
	buf_adds(&p->b, "\"/>\n");
}

/* ---- an envelope ---- */

struct envelope { double low[COLUMNS_MAX], high[COLUMNS_MAX], mean[COLUMNS_MAX]; };

static void make_envelope(const struct page_plot *plot, const double *y, struct envelope *v)
{
	for (size_t c = 0; c < COLUMNS_MAX; c++) {
		size_t from = c * plot->count / COLUMNS_MAX, to = (c + 1) * plot->count / COLUMNS_MAX, n = 0;
		double sum = 0;

		v->low[c] = v->high[c] = NAN;
		for (size_t i = from; i < to; i++) {
			if (isnan(y[i]))
				continue;
			v->low[c] = fmin(v->low[c], y[i]);
			v->high[c] = fmax(v->high[c], y[i]);
			sum += y[i];
			n++;
		}
		v->mean[c] = n ? sum / (double)n : NAN;
	}
}

/* From gap to gap one closed form: along the top, and back along the bottom. */
static void draw_envelope(struct page *p, const struct page_plot *plot, const struct page_line *line,
			  const struct axis *a)
{
	struct envelope v;
	struct page_line mean = { line->name, line->ink, v.mean, false };
	struct page_plot of_mean = { .count = COLUMNS_MAX, .x0 = plot->x0, .x1 = plot->x1 };
	size_t begin, end;

	make_envelope(plot, line->y, &v);
	buf_addf(&p->b, "<path class=\"e i%d\" d=\"", (int)line->ink);
	for (begin = 0; begin < COLUMNS_MAX; begin = end + 1) {
		for (end = begin; end < COLUMNS_MAX && !isnan(v.low[end]); end++)
			point(&p->b, end == begin ? 'M' : 'L', x_at(&of_mean, (double)end), axis_at(a, v.high[end]));
		for (size_t c = end; c > begin; c--)
			point(&p->b, 'L', x_at(&of_mean, (double)(c - 1)), axis_at(a, v.low[c - 1]));
		if (end > begin)
			buf_adds(&p->b, "z");
	}
	buf_adds(&p->b, "\"/>\n");
	draw_values(p, &of_mean, &mean, a);
}

/* ---- together ---- */

void page_plot(struct page *p, const struct page_plot *plot)
{
	struct axis a = plot_axis(plot);

	figure_begin(p, plot->title, plot->description);
	key_begin(p);
	for (size_t k = 0; k < plot->line_count; k++)
		key_entry(p, plot->lines[k].name, plot->lines[k].ink, true);
	key_end(p);
	svg_begin(p, plot->title, plot->description, PLOT_HEIGHT);
	if (plot->mark_high > plot->mark_low)
		buf_addf(&p->b, "<path class=\"band\" d=\"M%d %.1fH%dV%.1fH%dz\"/>\n", LEFT,
			 axis_at(&a, fmin(plot->mark_high, a.high)), WIDTH - RIGHT,
			 axis_at(&a, fmax(plot->mark_low, a.low)), LEFT);
	axis_draw(p, &a, plot->y_unit);
	for (size_t i = 0; i < plot->tick_count; i++)
		x_tick(p, x_of(plot, plot->ticks[i].x), PLOT_HEIGHT - BOTTOM, plot->ticks[i].label);
	for (size_t k = 0; k < plot->line_count; k++) {
		const struct page_line *line = &plot->lines[k];

		if (plot->count > LINE_VALUES_MAX) {
			draw_envelope(p, plot, line, &a);
			continue;
		}
		if (line->area)
			draw_area(p, plot, line, &a);
		draw_values(p, plot, line, &a);
	}
	svg_end(p);
	figure_end(p);
}
