/* A genset behind a Deep Sea controller, GenComm: registers after victronenergy/dbus-modbus-client dse.py (commit
 * 090aaa9fa936acf5b3655616e006d7a6a71ff287), page times 256 plus offset. Production is positive; 32-bit values have
 * their high word first; the top eight values of a type are marks ("not implemented" is the highest).
 *
 * It starts and stops by a key in 4104 with its complement in 4105, written together: 35732 starts it and 35733 ends
 * that, when it is in auto mode, as it is delivered; 35700 is stop mode, 35701 auto mode. */
#include <math.h>

#include "inside.h"

enum { STATUS = 768, STATUS_COUNT = 16, BASIC = 1024, BASIC_COUNT = 36, ENGINE = 1408, DERIVED = 1536,
       DERIVED_COUNT = 24,
       ACCUMULATED = 1792, ACCUMULATED_COUNT = 18, KEYS = 4096, KEY = 4104 };
enum { STOP_MODE, AUTO_MODE };                            /* 772 */
enum { SELECT_STOP = 35700, SELECT_AUTO = 35701, START = 35732, STOP = 35733 };
enum { NONE16 = 0xFFFF };

static const struct image_writable writable[] = {
	{ .address = KEY, .min = SELECT_STOP, .max = STOP },
	{ .address = KEY + 1, .min = 0xFFFF - STOP, .max = 0xFFFF - SELECT_STOP },
};

/* Marks everywhere; then what there is. */
static uint16_t *add(struct image *i, uint16_t start, uint16_t count)
{
	uint16_t *r = image_add_block(i, BUS_READ_HOLDING, start, count);

	for (int n = 0; n < count; n++)
		r[n] = NONE16;
	return r;
}

static void begin(struct image *i, const struct view *v)
{
	uint16_t *r = add(i, STATUS, STATUS_COUNT);
	int number = 0;

	(void)v;
	r[0] = 1;                                        /* Deep Sea Electronics */
	r[1] = 32840;                                    /* 7310 MKII */
	sscanf(i->serial, "PS%d", &number);
	image_u32(r + 2, number);
	r[4] = AUTO_MODE;
	add(i, BASIC, BASIC_COUNT);
	add(i, ENGINE, 1);
	add(i, DERIVED, DERIVED_COUNT);
	add(i, ACCUMULATED, ACCUMULATED_COUNT);
	r = image_add_block(i, BUS_READ_HOLDING, KEYS, KEY + 2 - KEYS);
	/* Which keys it knows: key 35700 is the highest bit of the first register. */
	r[0] = 0xC000;
	r[2] = 0x8000 >> (START - SELECT_STOP - 32) | 0x8000 >> (STOP - SELECT_STOP - 32);
}

static bool turns(const struct view *v)
{
	return v->genset_state == GENSET_WARMING || v->genset_state == GENSET_RUNNING ||
	       v->genset_state == GENSET_COOLING;
}

static void refresh(struct image *i, const struct view *v)
{
	uint16_t *basic = image_at(i, BUS_READ_HOLDING, BASIC, BASIC_COUNT);
	uint16_t *derived = image_at(i, BUS_READ_HOLDING, DERIVED, DERIVED_COUNT);
	uint16_t *sums = image_at(i, BUS_READ_HOLDING, ACCUMULATED, ACCUMULATED_COUNT);
	/* On its own breaker it keeps 50 Hz; connected, the grid leads. */
	double hz = !turns(v) ? 0 : v->genset_state == GENSET_RUNNING ? v->grid_hz : 50;
	double share = v->genset_rated_w > 0 ? v->genset_w / v->genset_rated_w : 0;

	basic[0] = image_u16(turns(v) ? 420 : 0);                /* oil, kPa */
	basic[1] = image_s16(turns(v) ? 74 + 10 * share : 30);   /* coolant, °C */
	basic[3] = 83;                                           /* fuel, % */
	basic[5] = image_u16_sf(turns(v) ? 13.8 : 12.6, -1);     /* its own battery, V */
	basic[6] = image_u16(hz * 30);                           /* rpm: four poles */
	basic[7] = image_u16_sf(hz, -1);
	for (int n = 0; n < 3; n++) {
		double volts = turns(v) ? v->grid_v[n] : 0;

		image_u32(basic + 8 + 2 * n, volts * 10);
		image_u32(basic + 20 + 2 * n, volts > 1 ? fabs(v->genset_w) / 3 / volts * 10 : 0);
		image_s32(basic + 28 + 2 * n, v->genset_w / 3);
	}
	*image_at(i, BUS_READ_HOLDING, ENGINE, 1) = (uint16_t)v->genset_state;
	image_s32(derived, v->genset_w);
	derived[22] = image_s16_sf(100 * share, -1);             /* load, 0.1 % */
	image_u32(sums + 6, v->genset_run_s);                    /* 1798 */
	image_u32(sums + 8, v->genset_wh / 100);                 /* 1800, 0.1 kWh */
	image_u32(sums + 16, v->genset_starts);                  /* 1808 */
}

static void written(struct image *i, uint16_t address, uint16_t count, const struct view *v, const struct orders *o)
{
	uint16_t *key = image_at(i, BUS_READ_HOLDING, KEY, 2), *mode = image_at(i, BUS_READ_HOLDING, STATUS + 4, 1);
	uint16_t asked = key[0];
	bool sound = address == KEY && count == 2 && key[0] + key[1] == 0xFFFF;

	(void)v;
	key[0] = key[1] = 0; /* keys read as 0 */
	if (!sound)
		return;
	if (asked == SELECT_STOP || asked == SELECT_AUTO)
		*mode = asked == SELECT_AUTO ? AUTO_MODE : STOP_MODE;
	if (asked == START && *mode == AUTO_MODE)
		genset_ask(o->genset, o->genset_options, true, 0);
	else if (asked == STOP || asked == SELECT_STOP)
		genset_ask(o->genset, o->genset_options, false, 0);
}

const struct image_kind image_genset = {
	.name = "genset", .words = "Genset with a Deep Sea controller (GenComm)", .unit = 1, .host = 5,
	.connections = 2,
	.read_max = 64, .lives_in_dark = true, .writable = writable, .writable_count = COUNT_OF(writable),
	.begin = begin, .refresh = refresh, .written = written,
};
