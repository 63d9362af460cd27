/* A Pylontech-like BMS, after OpenEMS' PylontechPowercubeM2BatteryImpl (device-facts.yaml). Its discharge limit is a
 * negative current there (KEEP_NEGATIVE_AND_INVERT), so charging counts as positive, in the current as well. */
#include <math.h>

#include "inside.h"

enum { BASE = 0x1100, COUNT = 0x3A };
enum { CHARGE = 1, DISCHARGE = 2, IDLE = 3 };

static void begin(struct image *i, const struct view *v)
{
	(void)v;
	image_add_block(i, BUS_READ_HOLDING, BASE, COUNT);
}

static void refresh(struct image *i, const struct view *v)
{
	uint16_t *r = i->regs;
	double charge_a = -view_dc_w(v, -v->charge_limit_w) / v->battery_v;
	double discharge_a = view_dc_w(v, v->discharge_limit_w) / v->battery_v;

	r[0x1100 - BASE] = v->battery_w < -20 ? CHARGE : v->battery_w > 20 ? DISCHARGE : IDLE;
	r[0x1103 - BASE] = image_u16_sf(v->battery_v, -1);
	image_s32(r + 0x1104 - BASE, -view_dc_w(v, v->battery_w) / v->battery_v * 100);
	r[0x1106 - BASE] = image_s16_sf(24, -1);
	r[0x1107 - BASE] = image_u16(v->soc_percent);
	r[0x1108 - BASE] = 212;
	r[0x1109 - BASE] = image_u16_sf(440, -1);
	image_s32(r + 0x110A - BASE, charge_a * 100);
	r[0x110C - BASE] = image_u16_sf(340, -1);
	image_s32(r + 0x110D - BASE, -discharge_a * 100);
	r[0x1110 - BASE] = image_u16(v->battery_v / 120 * 1000 + 4);   /* highest and lowest cell, mV */
	r[0x1111 - BASE] = image_u16(v->battery_v / 120 * 1000 - 6);
	r[0x1112 - BASE] = 17;
	r[0x1113 - BASE] = 88;
	r[0x1114 - BASE] = image_s16_sf(26, -1);
	r[0x1115 - BASE] = image_s16_sf(23, -1);
	r[0x1120 - BASE] = 98;
	image_u32(r + 0x1121 - BASE, v->battery_wh * v->soc_percent / 100);
	r[0x1131 - BASE] = 1;
	r[0x1138 - BASE] = v->charge_limit_w < 1 ? 0xAA : 0;           /* charge forbidden */
	r[0x1139 - BASE] = v->discharge_limit_w < 1 ? 0xAA : 0;
}

const struct image_kind image_bms = {
	.name = "bms", .words = "Pylontech-like BMS", .unit = 1, .host = 4, .connections = 2, .read_max = 64,
	.lives_in_dark = true,
	.begin = begin, .refresh = refresh,
};
