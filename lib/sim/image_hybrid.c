/* A Sungrow-like hybrid inverter: the same battery and PV as the SunSpec devices, seen through another device.
 * Registers after evcc's template sungrow-hybrid.yaml and mkaiser's modbus_sungrow.yaml for Home Assistant;
 * addresses as sent, one less than in Sungrow's tables; 32-bit values have their low word first. */
#include <math.h>

#include "inside.h"

enum { IDENTITY = 4989, IDENTITY_COUNT = 48, BANK = 5621, BANK_COUNT = 20,
       RUN = 12999, RUN_COUNT = 50, EMS = 13049, EMS_COUNT = 3 };
enum { MODE_SELF = 0, MODE_FORCED = 2, MODE_EXTERNAL = 3 };        /* 13049 */
enum { CHARGE = 0xAA, DISCHARGE = 0xBB, STOP = 0xCC };             /* 13050 */
enum { PRODUCING = 1, CHARGING = 2, DISCHARGING = 4, LOADED = 8, FEEDING = 16, IMPORTING = 32 }; /* 13000 */

static const struct image_writable writable[] = {
	{ .address = EMS, .max = 4 },
	{ .address = EMS + 1, .only = { CHARGE, DISCHARGE, STOP } },
	{ .address = EMS + 2, .max = 30000 },
};

static void begin(struct image *i, const struct view *v)
{
	uint16_t *id = image_add_block(i, BUS_READ_INPUT, IDENTITY, IDENTITY_COUNT), *ems;

	image_text(id, 10, i->serial);
	id[4999 - IDENTITY] = 0x0E00;                           /* device type: SH5.0RT */
	id[5000 - IDENTITY] = image_u16(v->inverter_w / 100);   /* rated power, 0.1 kW */
	id[5001 - IDENTITY] = 1;                                /* three phases, four wires */
	image_add_block(i, BUS_READ_INPUT, BANK, BANK_COUNT);
	image_add_block(i, BUS_READ_INPUT, RUN, RUN_COUNT);
	ems = image_add_block(i, BUS_READ_HOLDING, EMS, EMS_COUNT);
	ems[1] = STOP;
}

static uint16_t running_state(const struct view *v)
{
	return (uint16_t)((v->pv_w > 5 ? PRODUCING : 0) | (v->battery_w < -20 ? CHARGING : 0) |
			  (v->battery_w > 20 ? DISCHARGING : 0) | LOADED | (v->grid_w < 0 ? FEEDING : IMPORTING));
}

/* What the battery is and may; whole amperes. */
static void refresh_bank(uint16_t *r, const struct view *v)
{
	r[5627 - BANK] = image_u16_sf(v->inverter_w, 2);        /* rated power, 100 W */
	r[5630 - BANK] = image_s16_sf(view_dc_w(v, v->battery_w) / v->battery_v, -1); /* A */
	r[5634 - BANK] = image_u16(floor(-view_dc_w(v, -v->charge_limit_w) / v->battery_v));
	r[5635 - BANK] = image_u16(floor(view_dc_w(v, v->discharge_limit_w) / v->battery_v));
	r[5638 - BANK] = image_u16(v->battery_wh / 10);         /* 0.01 kWh */
}

static void refresh(struct image *i, const struct view *v)
{
	uint16_t *id = i->regs, *r = image_at(i, BUS_READ_INPUT, RUN, RUN_COUNT);
	double dc_w = view_dc_w(v, v->battery_w);

	image_u32_low(id + 5016 - IDENTITY, v->pv_w / 0.97);    /* DC power of the PV */
	for (int n = 0; n < 3; n++)
		id[5018 - IDENTITY + n] = image_u16_sf(v->grid_v[n], -1);
	id[5035 - IDENTITY] = image_u16_sf(v->grid_hz, -1);
	r[12999 - RUN] = v->off ? 2 : 0x40;                           /* system state: stop, running */
	r[13000 - RUN] = running_state(v);
	image_u32_low(r + 13002 - RUN, v->pv_wh / 100);         /* 0.1 kWh */
	image_s32_low(r + 13007 - RUN, v->grid_w + v->battery_w + v->pv_w); /* load */
	image_s32_low(r + 13009 - RUN, -v->grid_w);                   /* export is positive */
	r[13019 - RUN] = image_u16_sf(v->battery_v, -1);
	r[13020 - RUN] = image_u16_sf(fabs(dc_w) / v->battery_v, -1);
	r[13021 - RUN] = image_s16(fabs(v->battery_w));               /* a magnitude: 13000 says which way */
	r[13022 - RUN] = image_u16_sf(v->soc_percent, -1);
	r[13023 - RUN] = image_u16_sf(98, -1);                        /* SoH */
	r[13024 - RUN] = image_s16_sf(24, -1);                        /* battery temperature */
	image_s32_low(r + 13033 - RUN, v->battery_w + v->pv_w);       /* AC power of the inverter */
	image_u32_low(r + 13036 - RUN, v->import_wh / 100);           /* 0.1 kWh */
	image_u32_low(r + 13045 - RUN, v->export_wh / 100);
	refresh_bank(image_at(i, BUS_READ_INPUT, BANK, BANK_COUNT), v);
}

/* Forced and external mode follow command and power; in self-consumption the real one would balance by its own
 * meter, this one rests. */
static void written(struct image *i, uint16_t address, uint16_t count, const struct view *v, const struct orders *o)
{
	const uint16_t *ems = image_at(i, BUS_READ_HOLDING, EMS, EMS_COUNT);
	bool follow = ems[0] == MODE_FORCED || ems[0] == MODE_EXTERNAL;
	double w = ems[1] == CHARGE ? -ems[2] : ems[1] == DISCHARGE ? ems[2] : 0;

	(void)address, (void)count;
	command_set(o->command, follow ? w : 0, v->at_us, 0, 0);
}

static void expired(struct image *i)
{
	uint16_t *ems = image_at(i, BUS_READ_HOLDING, EMS, EMS_COUNT);

	ems[0] = MODE_SELF;
	ems[1] = STOP;
	ems[2] = 0;
}

const struct image_kind image_hybrid = {
	.name = "hybrid", .words = "Sungrow-like hybrid inverter", .unit = 1, .host = 3, .connections = 2,
	.read_max = 100,
	.writable = writable, .writable_count = COUNT_OF(writable),
	.begin = begin, .refresh = refresh, .written = written, .expired = expired,
};
