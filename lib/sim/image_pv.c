/* The PV inverter: SunSpec models 1 and 103. W: production is positive. */
#include <math.h>

#include "inside.h"

enum { M103 = SUNSPEC_COMMON_LEN + 2, END = M103 + SUNSPEC_103_LEN };
enum { SLEEPING = 2, MPPT = 4 }; /* St */

static void begin(struct image *i, const struct view *v)
{
	uint16_t *regs = image_add_block(i, BUS_READ_HOLDING, SUNSPEC_BASE, END + 2);

	(void)v;
	sunspec_begin(regs, "SimSun 8", i->serial);
	sunspec_end(regs + END);
}

static void refresh(struct image *i, const struct view *v)
{
	bool day = fabs(v->pv_w) > 5;
	struct sunspec_103 x = {
		.w = v->pv_w, .dc_w = v->pv_w / 0.97, .dc_v = day ? 620 : 180, .wh = v->pv_wh, .hz = v->grid_hz,
		.v = { v->grid_v[0], v->grid_v[1], v->grid_v[2] }, .rated_w = 8000,
		.state = day ? MPPT : SLEEPING, .vendor_state = SUNSPEC_NA_ENUM,
	};

	sunspec_103(i->regs + M103, &x);
}

const struct image_kind image_pv = {
	.name = "pv", .words = "SunSpec PV inverter (1, 103)", .unit = 1, .host = 2, .connections = 4,
	.read_max = BUS_READ_MAX, .begin = begin, .refresh = refresh,
};
