/* The SunSpec meter: models 1 and 203 (three-phase, wye). */
#include <math.h>

#include "inside.h"

enum { M203 = SUNSPEC_COMMON_LEN + 2, M203_LEN = 107, END = M203 + M203_LEN };
enum { A_SF = -2, V_SF = -1, HZ_SF = -2, PF_SF = -1 };

static void begin(struct image *i, const struct view *v)
{
	uint16_t *regs = image_add_block(i, BUS_READ_HOLDING, SUNSPEC_BASE, END + 2);

	(void)v;
	sunspec_end(sunspec_model(sunspec_begin(regs, "SimMeter 3P", i->serial), 203, M203_LEN));
}

/* The power triangle of one phase or of all: reactive power is a small constant share of what a house draws. */
static void put_power(uint16_t *m, int column, double w, int sf)
{
	double var = 0.1 * w, va = hypot(w, var);

	m[18 + column] = image_s16_sf(w, sf);
	m[23 + column] = image_s16_sf(va, sf);
	m[28 + column] = image_s16_sf(var, sf);
	m[33 + column] = image_s16_sf(va > 1 ? 100 * w / va : 100, PF_SF);
}

static void put_currents_and_voltages(uint16_t *m, const struct view *v)
{
	double sum_a = 0, sum_v = 0, sum_pp = 0;

	for (int n = 0; n < 3; n++) {
		double a = v->grid_l_w[n] / v->grid_v[n];
		double pp = (v->grid_v[n] + v->grid_v[(n + 1) % 3]) / 2 * sqrt(3);

		m[3 + n] = image_s16_sf(a, A_SF);               /* AphA… */
		m[8 + n] = image_s16_sf(v->grid_v[n], V_SF);    /* PhVphA… */
		m[12 + n] = image_s16_sf(pp, V_SF);             /* PhVphAB… */
		sum_a += a;
		sum_v += v->grid_v[n];
		sum_pp += pp;
	}
	m[2] = image_s16_sf(sum_a, A_SF);                       /* A */
	m[6] = (uint16_t)A_SF;
	m[7] = image_s16_sf(sum_v / 3, V_SF);                   /* PhV */
	m[11] = image_s16_sf(sum_pp / 3, V_SF);                 /* PPV */
	m[15] = (uint16_t)V_SF;
	m[16] = image_s16_sf(v->grid_hz, HZ_SF);                /* Hz */
	m[17] = (uint16_t)HZ_SF;
}

/* W: the model itself does not say which way is positive. Taken here: import, as Fronius' manual of its meters has
 * it for a meter at the connection point, and as the quadrants of the model's own energy counters (import Q1, Q2 in
 * its names) suggest. SolarEdge's meters count the other way; that is what the fault "sign" is for. */
static void refresh(struct image *i, const struct view *v)
{
	uint16_t *m = i->regs + M203;
	int sf = image_fit_sf(v->grid_w, 0);

	put_currents_and_voltages(m, v);
	put_power(m, 0, v->grid_w, sf);
	for (int n = 0; n < 3; n++)
		put_power(m, 1 + n, v->grid_l_w[n], sf);
	m[22] = m[27] = m[32] = (uint16_t)sf;                   /* W_SF, VA_SF, VAR_SF */
	m[37] = (uint16_t)PF_SF;
	image_acc32(m + 38, v->export_wh);                      /* TotWhExp */
	image_acc32(m + 46, v->import_wh);                      /* TotWhImp */
	m[54] = 0;                                              /* TotWh_SF */
	/* Counters per phase, of VAh and of varh: 0 is an accumulator's "not available". */
	m[71] = m[104] = SUNSPEC_NA_SF;
	m[105] = m[106] = 0;                                    /* Evt */
}

const struct image_kind image_meter = {
	.name = "meter", .words = "SunSpec meter (1, 203)", .unit = 1, .host = 0, .connections = 8,
	.report = "psec SimMeter 3P",
	.read_max = BUS_READ_MAX, .begin = begin, .refresh = refresh,
};
