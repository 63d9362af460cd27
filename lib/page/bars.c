/* Stacked bars, and a map of colours. */
#include <math.h>

#include "inside.h"

static struct axis bars_axis(const struct page_bars *bars)
{
	double least = 0, most = 0;

	for (size_t i = 0; i < bars->bar_count; i++) {
		double up = 0, down = 0;

		for (size_t k = 0; k < bars->part_count; k++) {
			double v = bars->bars[i].values[k];

			if (v > 0)
				up += v;
			else if (v < 0)
				down += v;
		}
		least = fmin(least, down);
		most = fmax(most, up);
	}
	return axis_of(least, most, PLOT_HEIGHT - BOTTOM, TOP);
}

static void draw_bar(struct page *p, const struct page_bars *bars, const struct page_bar *bar, const struct axis *a,
		     double x, double wide)
{
	double up = 0, down = 0;

	for (size_t k = 0; k < bars->part_count; k++) {
		double v = bar->values[k], *base = v < 0 ? &down : &up;

		if (!isfinite(v) || v == 0)
			continue;
		buf_addf(&p->b, "<path class=\"b i%d\" d=\"M%.1f %.1fh%.1fV%.1fh%.1fz\"/>", (int)bars->inks[k], x,
			 axis_at(a, *base), wide, axis_at(a, *base + v), -wide);
		*base += v;
	}
}

void page_bars(struct page *p, const struct page_bars *bars)
{
	struct axis a = bars_axis(bars);
	double pitch = (double)(WIDTH - RIGHT - LEFT) / (double)(bars->bar_count ? bars->bar_count : 1),
	       wide = fmin(pitch * 0.78, 64);
	size_t each = 1 + (bars->bar_count - 1) / 12;

	figure_begin(p, bars->title, bars->description);
	key_begin(p);
	for (size_t k = 0; k < bars->part_count; k++)
		key_entry(p, bars->parts[k], bars->inks[k], false);
	key_end(p);
	svg_begin(p, bars->title, bars->description, PLOT_HEIGHT);
	axis_draw(p, &a, bars->y_unit);
	for (size_t i = 0; i < bars->bar_count; i++) {
		double middle = LEFT + pitch * ((double)i + 0.5);

		draw_bar(p, bars, &bars->bars[i], &a, middle - wide / 2, wide);
		if (i % each == 0) {
			buf_addf(&p->b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", middle,
				 PLOT_HEIGHT - BOTTOM + 17);
			html(p, bars->bars[i].name);
			buf_adds(&p->b, "</text>\n");
		}
	}
	svg_end(p);
	figure_end(p);
}

/* ---- a map of colours: blue above 0, orange below, the stronger the farther ---- */

enum { SHADES = 8 };

static void heat_shade(struct page *p, const struct page_heat *heat, int shade, double most, double wide, double high)
{
	bool any = false;

	for (size_t c = 0; c < heat->columns; c++)
		for (size_t r = 0; r < heat->rows; r++) {
			double v = heat->values[c * heat->rows + r];

			if (isnan(v) || (int)lround(v / most * SHADES) != shade)
				continue;
			if (!any)
				buf_addf(&p->b, "<path class=\"h\" style=\"fill:rgba(var(--%s),%.2f)\" d=\"",
					 shade < 0 ? "ex" : "in", fmax(0.03, abs(shade) / (double)SHADES));
			any = true;
			buf_adds(&p->b, "M");
			coordinate(&p->b, LEFT + (double)c * wide);
			buf_adds(&p->b, " ");
			coordinate(&p->b, TOP + (double)r * high);
			buf_addf(&p->b, "h%.1fv%.1fh%.1fz", wide + 0.05, high + 0.05, -wide - 0.05);
		}
	if (any)
		buf_adds(&p->b, "\"/>\n");
}

static void heat_key(struct page *p, const struct page_heat *heat, double most)
{
	static const char *const inks[] = { "ex", "in" };

	key_begin(p);
	for (int i = 0; i < 2; i++) {
		buf_adds(&p->b, "<li><svg viewBox=\"0 0 24 12\" aria-hidden=\"true\">");
		for (int s = 0; s < 4; s++)
			buf_addf(&p->b, "<path style=\"fill:rgba(var(--%s),%.2f)\" d=\"M%d 0h6v12h-6z\"/>", inks[i],
				 (s + 1) / 4.0, s * 6);
		buf_adds(&p->b, "</svg>");
		html(p, i ? heat->high_words : heat->low_words);
		buf_addf(&p->b, " up to %.1f ", most);
		html(p, heat->unit);
		buf_adds(&p->b, "</li>");
	}
	key_end(p);
}

void page_heat(struct page *p, const struct page_heat *heat)
{
	double most = 0, wide = (double)(WIDTH - RIGHT - LEFT) / (double)heat->columns,
	       high = (double)(PLOT_HEIGHT - BOTTOM - TOP) / (double)heat->rows;

	for (size_t i = 0; i < heat->columns * heat->rows; i++)
		most = fmax(most, fabs(heat->values[i]));
	if (!(most > 0))
		most = 1;
	figure_begin(p, heat->title, heat->description);
	heat_key(p, heat, most);
	svg_begin(p, heat->title, heat->description, PLOT_HEIGHT);
	for (int shade = -SHADES; shade <= SHADES; shade++)
		heat_shade(p, heat, shade, most, wide, high);
	for (size_t i = 0; i < heat->column_tick_count; i++)
		x_tick(p, LEFT + heat->column_ticks[i].x * wide, PLOT_HEIGHT - BOTTOM, heat->column_ticks[i].label);
	for (size_t i = 0; i < heat->row_tick_count; i++) {
		buf_addf(&p->b, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 5,
			 TOP + heat->row_ticks[i].x * high + 4);
		html(p, heat->row_ticks[i].label);
		buf_adds(&p->b, "</text>");
	}
	svg_end(p);
	figure_end(p);
}
