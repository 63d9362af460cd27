/* The Eastron SDM630 on the line: input registers of 32-bit floats, high word first, + is import (mbmd
 * meters/rs485/sdm.go and Eastron's register list). It shows the same grid as the SunSpec meter. */
#include <math.h>

#include "inside.h"

enum { INPUTS = 400, HOLDINGS = 64 };

static void begin(struct image *i, const struct view *v)
{
	uint16_t *h;

	(void)v;
	image_add_block(i, BUS_READ_INPUT, 0, INPUTS);
	h = image_add_block(i, BUS_READ_HOLDING, 0, HOLDINGS);
	image_f32(h + 12, 60);  /* relay pulse width, ms */
	image_f32(h + 18, 0);   /* one stop bit, no parity */
	image_f32(h + 20, 1);   /* unit */
	image_f32(h + 28, 2);   /* 9600 Bd */
}

static void refresh(struct image *i, const struct view *v)
{
	uint16_t *r = i->regs;
	double sum_v = 0, sum_a = 0, var = 0.1 * v->grid_w;

	for (int n = 0; n < 3; n++) {
		double a = fabs(v->grid_l_w[n]) / v->grid_v[n], w = v->grid_l_w[n];

		image_f32(r + 2 * n, v->grid_v[n]);             /* 0: V L-N */
		image_f32(r + 6 + 2 * n, a);                    /* 6: A, a magnitude */
		image_f32(r + 12 + 2 * n, w);                   /* 12: W */
		image_f32(r + 18 + 2 * n, hypot(w, 0.1 * w));   /* 18: VA */
		image_f32(r + 24 + 2 * n, 0.1 * w);             /* 24: VAr */
		image_f32(r + 30 + 2 * n, w < 0 ? -0.995 : 0.995); /* 30: power factor */
		image_f32(r + 200 + 2 * n, (v->grid_v[n] + v->grid_v[(n + 1) % 3]) / 2 * sqrt(3)); /* 200: V L-L */
		sum_v += v->grid_v[n];
		sum_a += a;
	}
	image_f32(r + 42, sum_v / 3);
	image_f32(r + 46, sum_a / 3);
	image_f32(r + 48, sum_a);
	image_f32(r + 52, v->grid_w);                           /* total W */
	image_f32(r + 56, hypot(v->grid_w, var));               /* total VA */
	image_f32(r + 60, var);                                 /* total VAr */
	image_f32(r + 62, v->grid_w < 0 ? -0.995 : 0.995);
	image_f32(r + 70, v->grid_hz);
	image_f32(r + 72, v->import_wh / 1000);
	image_f32(r + 74, v->export_wh / 1000);
	image_f32(r + 342, (v->import_wh + v->export_wh) / 1000);
}

const struct image_kind image_sdm630 = {
	.name = "rs485", .words = "Eastron SDM630 on a serial line", .unit = 1, .host = 8,
	.read_max = 80, /* 40 values in one answer */
	.begin = begin, .refresh = refresh,
};
