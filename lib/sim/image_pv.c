/* The PV inverter: SunSpec models 1, 103, 120, 123. W: production is positive.
 *
 * Model 123: with WMaxLim_Ena it gives at most WMaxLimPct of its rating; Conn takes it off the grid. WMaxLimPct_RvrtTms
 * is a watchdog as in model 124: so long after the last write to the bound it is given up. 0, as delivered: never. */
#include <math.h>

#include "inside.h"

enum {
	M103 = SUNSPEC_COMMON_LEN + 2,
	M120 = M103 + SUNSPEC_103_LEN,
	M123 = M120 + SUNSPEC_120_LEN, M123_LEN = 26,
	END = M123 + M123_LEN,
};
enum { CONN_WIN = 2, CONN_RVRT = 3, CONN = 4, W_MAX_LIM = 5, W_WIN = 6, W_RVRT = 7, W_RMP = 8, W_ENA = 9, PF_SET = 10,
       W_SF = 23 };
enum { OFF = 1, SLEEPING = 2, MPPT = 4, THROTTLED = 5 }; /* 103.St */
enum { PV = 4 };                                         /* 120.DERTyp */
enum { PCT_SF = -2, AT123 = SUNSPEC_BASE + M123 };

static const struct image_writable writable[] = {
	{ .address = AT123 + CONN, .max = 1 },
	{ .address = AT123 + W_MAX_LIM, .max = 10000 },
	{ .address = AT123 + W_RVRT, .max = 28800 },
	{ .address = AT123 + W_ENA, .max = 1 },
};

static void begin_123(uint16_t *m)
{
	sunspec_model(m, 123, M123_LEN);
	m[CONN] = 1;
	m[W_MAX_LIM] = image_u16_sf(100, PCT_SF);
	for (int n = PF_SET; n < W_SF; n++)      /* no power factor, no reactive power to be had */
		m[n] = n < 14 || (n > 17 && n < 21) ? SUNSPEC_NA_U16 : 0;
	m[PF_SET] = m[15] = m[16] = m[17] = SUNSPEC_NA_S16;
	m[CONN_WIN] = m[CONN_RVRT] = m[W_WIN] = m[W_RMP] = SUNSPEC_NA_U16;
	m[W_SF] = (uint16_t)PCT_SF;
	m[24] = m[25] = SUNSPEC_NA_SF;
}

static void begin(struct image *i, const struct view *v)
{
	uint16_t *regs = image_add_block(i, BUS_READ_HOLDING, SUNSPEC_BASE, END + 2);

	sunspec_begin(regs, "SimSun 8", i->serial);
	sunspec_120(regs + M120, PV, v->pv_rated_w, 0);
	begin_123(regs + M123);
	sunspec_end(regs + END);
}

static void refresh(struct image *i, const struct view *v)
{
	bool day = fabs(v->pv_w) > 5;
	struct sunspec_103 x = {
		.w = v->pv_w, .dc_w = v->pv_w / 0.97, .dc_v = day ? 620 : 180, .wh = v->pv_wh, .hz = v->grid_hz,
		.v = { v->grid_v[0], v->grid_v[1], v->grid_v[2] }, .rated_w = v->pv_rated_w,
		.state = v->pv_off ? OFF : !day ? SLEEPING : v->pv_limited ? THROTTLED : MPPT,
		.vendor_state = SUNSPEC_NA_ENUM,
	};

	sunspec_103(i->regs + M103, &x);
	if (v->pv_reverted) {
		i->regs[M123 + W_MAX_LIM] = image_u16_sf(100, PCT_SF);
		i->regs[M123 + W_ENA] = 0;
	}
}

static void written(struct image *i, uint16_t address, uint16_t count, const struct view *v, const struct orders *o)
{
	const uint16_t *m = i->regs + M123;

	(void)address, (void)count;
	o->pv->most_w = m[W_ENA] ? m[W_MAX_LIM] * pow(10, PCT_SF) / 100 * v->pv_rated_w : INFINITY;
	o->pv->off = !m[CONN];
	o->pv->reverted = false;
	o->pv->revert_at_us = m[W_ENA] && m[W_RVRT] ? v->at_us + m[W_RVRT] * US_PER_S : 0;
}

const struct image_kind image_pv = {
	.name = "pv", .words = "SunSpec PV inverter (1, 103, 120, 123)", .unit = 1, .host = 2, .connections = 4,
	.identity = { "psec", "SimSun 8", PSEC_VERSION },
	.read_max = BUS_READ_MAX, .writable = writable, .writable_count = COUNT_OF(writable),
	.begin = begin, .refresh = refresh, .written = written,
};
