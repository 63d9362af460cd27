/* device_image.h: a device's memory, typed by hand from the devices' documents, and what a map is to make of it. */
#ifndef PSEC_TESTS_DEVICE_IMAGE_H
#define PSEC_TESTS_DEVICE_IMAGE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "unit.h"

struct image { uint16_t holding[65536], input[65536]; };

static inline struct image *image_new(void)
{
	return xcalloc(1, sizeof(struct image));
}

static inline void put_text(uint16_t *at, const char *text, size_t regs)
{
	char bytes[64] = "";

	memcpy(bytes, text, strlen(text));
	for (size_t i = 0; i < regs; i++)
		at[i] = (uint16_t)((uint8_t)bytes[2 * i] << 8 | (uint8_t)bytes[2 * i + 1]);
}

static inline void put_float(uint16_t *at, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	at[0] = (uint16_t)(bits >> 16);
	at[1] = (uint16_t)bits;
}

static inline uint16_t *put_model(struct image *m, uint16_t *at, uint16_t id, uint16_t length)
{
	uint16_t *first = &m->holding[*at + 2];

	first[-2] = id;
	first[-1] = length;
	*at = (uint16_t)(*at + 2 + length);
	return first;
}

static inline uint16_t put_common(struct image *m, uint16_t base, const char *make, const char *model,
				  const char *serial)
{
	uint16_t at = (uint16_t)(base + 2), *p;

	put_text(&m->holding[base], "SunS", 2);
	p = put_model(m, &at, 1, 66);
	put_text(p, make, 16);
	put_text(p + 16, model, 16);
	put_text(p + 40, "1.2.3", 8);
	put_text(p + 48, serial, 16);
	return at;
}

static inline void put_end(struct image *m, uint16_t at)
{
	m->holding[at] = 0xFFFF;
	m->holding[at + 1] = 0;
}

/* A three-phase meter, model 203: 231.2 V, 49.98 Hz, exporting 1234 W of which L3 imports. */
static inline uint16_t put_meter_203(struct image *m, uint16_t at)
{
	uint16_t *p = put_model(m, &at, 203, 105);

	p[0] = 53, p[1] = 20, p[2] = 21, p[3] = 12, p[4] = (uint16_t)-1;            /* A … A_SF */
	p[5] = 2312, p[6] = 2312, p[7] = 2308, p[8] = 2316, p[13] = (uint16_t)-1;   /* PhV … V_SF */
	p[14] = 4998, p[15] = (uint16_t)-2;                                         /* Hz */
	p[16] = (uint16_t)-1234, p[17] = (uint16_t)-900, p[18] = (uint16_t)-400, p[19] = 66, p[20] = 0; /* W … W_SF */
	p[36] = 0x0001, p[37] = 0x0000;                                             /* TotWhExp 65536 */
	p[44] = 0, p[45] = 5000, p[52] = 1;                                         /* TotWhImp × 10 */
	return at;
}

/* A storage inverter: 103 (2500 W out), 120, 124 with WChaMax 5000, 802 at 63.5 %. */
static inline uint16_t put_storage(struct image *m, uint16_t at)
{
	uint16_t *p = put_model(m, &at, 103, 50);

	p[12] = 250, p[13] = 1;                                 /* W 250 × 10 */
	p[36] = 4;                                              /* St MPPT */
	p = put_model(m, &at, 120, 26);
	p[1] = 5000, p[2] = 0;                                  /* WRtg */
	p[21] = 46, p[22] = 2, p[23] = 0xFFFF, p[24] = 0x8000;  /* MaxChaRte 4600; MaxDisChaRte not there */
	p = put_model(m, &at, 124, 24);
	p[0] = 5000, p[16] = 0;                                 /* WChaMax */
	p[3] = 0;                                               /* StorCtl_Mod */
	p[10] = 0, p[11] = 0, p[23] = (uint16_t)-2;             /* OutWRte, InWRte, their scale */
	p[13] = 0xFFFF;                                         /* InOutWRte_RvrtTms: not there */
	p = put_model(m, &at, 802, 62);
	p[2] = 600, p[3] = 600, p[52] = 1;                      /* nameplate 6000 W */
	p[9] = 635, p[54] = (uint16_t)-1;                       /* SoC */
	p[32] = 5120, p[57] = (uint16_t)-1;                     /* V 512.0 */
	p[42] = (uint16_t)-50, p[59] = (uint16_t)-1;            /* A */
	p[43] = 100, p[44] = 200, p[60] = (uint16_t)-1;         /* AChaMax 10 A, ADisChaMax 20 A */
	p[24] = 0, p[25] = 0;
	return at;
}

static inline struct device_walk walk(const struct image *m)
{
	struct device_walk w;
	struct device_probe q;

	device_walk_begin(&w);
	while (device_walk_next(&w, &q))
		device_walk_answer(&w, &m->holding[q.address], q.count);
	return w;
}

static inline void take_all(struct device_map *map, const struct image *m, int64_t at_us)
{
	const struct device_block *b;
	size_t n = device_map_blocks(map, &b);

	for (size_t i = 0; i < n; i++)
		device_map_take(map, i, (b[i].function == BUS_READ_INPUT ? m->input : m->holding) + b[i].address, at_us);
}

static inline struct device_catalogue *catalogue(void)
{
	struct diag_sink sink = { 0 };
	struct device_catalogue *c;
	struct err e;

	if (device_catalogue_load(NULL, &c, &sink, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(sink.count, 0);
	return c;
}

static inline struct device_map *map_of(const struct device_catalogue *c, const char *id, unsigned roles, bool reversed,
				 const struct device_sunspec *s)
{
	struct device_map *m;
	struct err e;

	if (device_map_new(device_profile_find(c, id), roles, reversed, s, &m, &e) < 0)
		fail_msg("%s", e.text);
	return m;
}

static inline void assert_reads(const struct device_map *m, enum device_point p, double value)
{
	struct device_reading r;

	assert_true(device_map_read(m, p, &r));
	if (r.quality != DEVICE_GOOD)
		fail_msg("%s: %s", device_point(p)->name, r.why);
	assert_float_equal(r.value, value, fabs(value) * 1e-6 + 1e-9);
}

static inline void assert_quality(const struct device_map *m, enum device_point p, enum device_quality q,
				  const char *why)
{
	struct device_reading r;

	assert_true(device_map_read(m, p, &r));
	assert_int_equal(r.quality, q);
	assert_true(isnan(r.value));
	if (strstr(r.why, why) == NULL)
		fail_msg("'%s' does not say '%s'", r.why, why);
}

#endif
