/* What every plot has: its frame, its key, its axes. */
#include <math.h>
#include <string.h>

#include "inside.h"

void coordinate(struct buf *b, double v)
{
	char text[32];
	char *end;

	if (fabs(v) < 0.05)
		v = 0;
	snprintf(text, sizeof text, "%.1f", v);
	end = text + strlen(text) - 2;
	if (str_eq(end, ".0"))
		*end = '\0';
	buf_adds(b, text);
}

void svg_begin(struct page *p, const char *title, const char *description, double height)
{
	int id = ++p->plots;

	buf_addf(&p->b,
		 "<svg viewBox=\"0 0 %d %g\" role=\"img\" aria-labelledby=\"t%d d%d\" "
		 "xmlns=\"http://www.w3.org/2000/svg\">"
		 "<title id=\"t%d\">",
		 WIDTH, height, id, id, id);
	html(p, title);
	buf_addf(&p->b, "</title><desc id=\"d%d\">", id);
	html(p, description);
	buf_adds(&p->b, "</desc>\n");
}

void svg_end(struct page *p)
{
	buf_adds(&p->b, "</svg>\n");
}

void figure_begin(struct page *p, const char *title, const char *description)
{
	buf_adds(&p->b, "<figure>\n<figcaption>");
	html(p, title);
	buf_adds(&p->b, "<small>");
	html(p, description);
	buf_adds(&p->b, "</small></figcaption>\n");
}

void figure_end(struct page *p)
{
	buf_adds(&p->b, "</figure>\n");
}

void key_begin(struct page *p)
{
	buf_adds(&p->b, "<ul class=\"key\">");
}

void key_entry(struct page *p, const char *name, enum page_ink ink, bool line)
{
	buf_addf(
		&p->b,
		line ? "<li><svg viewBox=\"0 0 24 12\" aria-hidden=\"true\"><path class=\"l i%d\" d=\"M0 6H24\"/></svg>"
		     : "<li><svg viewBox=\"0 0 24 12\" aria-hidden=\"true\"><path class=\"b i%d\" d=\"M4 "
		       "0H20V12H4z\"/></svg>",
		(int)ink);
	html(p, name);
	buf_adds(&p->b, "</li>");
}

void key_end(struct page *p)
{
	buf_adds(&p->b, "</ul>\n");
}

/* ---- axes ---- */

double nice_step(double span, int parts)
{
	double raw = span / parts, power = pow(10, floor(log10(raw))), part = raw / power;

	return (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
}

char *axis_number(double v, double step, char to[32])
{
	int decimals = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);

	snprintf(to, 32, "%.*f", decimals, fabs(v) < step / 1000 ? 0 : v);
	return to;
}

struct axis axis_of(double least, double most, double y_low, double y_high)
{
	struct axis a = { .y_low = y_low, .y_high = y_high };

	if (!(most > least)) {
		least = isfinite(least) ? least - 1 : 0;
		most = least + 2;
	}
	a.step = nice_step(most - least, 5);
	a.low = floor(least / a.step + 1e-9) * a.step;
	a.high = ceil(most / a.step - 1e-9) * a.step;
	return a;
}

double axis_at(const struct axis *a, double v)
{
	return a->y_low + (v - a->low) / (a->high - a->low) * (a->y_high - a->y_low);
}

void axis_draw(struct page *p, const struct axis *a, const char *unit)
{
	char number[32];

	buf_adds(&p->b, "<path class=\"gr\" d=\"");
	for (double v = a->low; v <= a->high + a->step / 2; v += a->step)
		buf_addf(&p->b, "M%d %.1fH%d", LEFT, axis_at(a, v), WIDTH - RIGHT);
	buf_adds(&p->b, "\"/>\n");
	for (double v = a->low; v <= a->high + a->step / 2; v += a->step)
		buf_addf(&p->b, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 5, axis_at(a, v) + 4,
			 axis_number(v, a->step, number));
	buf_addf(&p->b, "<text x=\"2\" y=\"12\">");
	html(p, unit);
	buf_adds(&p->b, "</text>\n");
	if (a->low <= 0 && a->high >= 0)
		buf_addf(&p->b, "<path class=\"ax\" d=\"M%d %.1fH%d\"/>\n", LEFT, axis_at(a, 0), WIDTH - RIGHT);
}

void x_tick(struct page *p, double x, double y, const char *label)
{
	/* A label at an end stays within the picture. */
	const char *anchor = x > WIDTH - 24 ? "end" : x < LEFT + 2 ? "start" : "middle";

	buf_addf(&p->b, "<path class=\"ax\" d=\"M%.1f %.1fv4\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y,
		 x, y + 17, anchor);
	html(p, label);
	buf_adds(&p->b, "</text>\n");
}
