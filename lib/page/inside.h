/* inside: what the files of page share. */
#ifndef PAGE_INSIDE_H
#define PAGE_INSIDE_H

#include "page/page.h"

/* text, safe as the text of an element and within an attribute's quotes; what is not UTF-8 or a control character is
 * shown as \xNN. */
void html(struct page *p, const char *text);
/* A number for an SVG, a tenth of its unit, "-0" never. */
void coordinate(struct buf *b, double v);
/* The frame of a plot: figure, key and the beginning of its SVG, named and described; and its end. */
void figure_begin(struct page *p, const char *title, const char *description);
void svg_begin(struct page *p, const char *title, const char *description, double height);
void svg_end(struct page *p);
void figure_end(struct page *p);
void key_begin(struct page *p);
void key_entry(struct page *p, const char *name, enum page_ink ink, bool line);
void key_end(struct page *p);
/* A step of an axis that people count in: 1, 2 or 5 times a power of ten, about span / parts. */
double nice_step(double span, int parts);
/* "1 200", "-0.5": as many decimals as the step needs. */
char *axis_number(double v, double step, char to[32]);

/* In units of the SVG; text is 12 of them high, 14 on a phone. */
enum { WIDTH = 460, LEFT = 48, RIGHT = 8, TOP = 28, BOTTOM = 26, PLOT_HEIGHT = 240 };

/* The vertical axis: from a round value to a round value, with its lines. */
struct axis { double low, high, step, y_low, y_high; };
struct axis axis_of(double least, double most, double y_low, double y_high);
double axis_at(const struct axis *a, double v);
void axis_draw(struct page *p, const struct axis *a, const char *unit);
void x_tick(struct page *p, double x, double y, const char *label);

#endif
