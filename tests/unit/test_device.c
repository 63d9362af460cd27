/* Profiles, the SunSpec walk, maps, values and write plans. The register images are typed from the devices' documents. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/device.h"
#include "unit.h"

/* ---- a device's memory, by hand ------------------------------------------------------------------------------------ */

struct image { uint16_t holding[65536], input[65536]; };

static struct image *image_new(void)
{
	return xcalloc(1, sizeof(struct image));
}

static void put_text(uint16_t *at, const char *text, size_t regs)
{
	char bytes[64] = "";

	memcpy(bytes, text, strlen(text));
	for (size_t i = 0; i < regs; i++)
		at[i] = (uint16_t)((uint8_t)bytes[2 * i] << 8 | (uint8_t)bytes[2 * i + 1]);
}

static void put_float(uint16_t *at, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	at[0] = (uint16_t)(bits >> 16);
	at[1] = (uint16_t)bits;
}

static uint16_t *put_model(struct image *m, uint16_t *at, uint16_t id, uint16_t length)
{
	uint16_t *first = &m->holding[*at + 2];

	first[-2] = id;
	first[-1] = length;
	*at = (uint16_t)(*at + 2 + length);
	return first;
}

static uint16_t put_common(struct image *m, uint16_t base, const char *make, const char *model, const char *serial)
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

static void put_end(struct image *m, uint16_t at)
{
	m->holding[at] = 0xFFFF;
	m->holding[at + 1] = 0;
}

/* A three-phase meter, model 203: 231.2 V, 49.98 Hz, exporting 1234 W of which L3 imports. */
static uint16_t put_meter_203(struct image *m, uint16_t at)
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
static uint16_t put_storage(struct image *m, uint16_t at)
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

static struct device_walk walk(const struct image *m)
{
	struct device_walk w;
	struct device_probe q;

	device_walk_begin(&w);
	while (device_walk_next(&w, &q))
		device_walk_answer(&w, &m->holding[q.address], q.count);
	return w;
}

static void take_all(struct device_map *map, const struct image *m, int64_t at_us)
{
	const struct device_block *b;
	size_t n = device_map_blocks(map, &b);

	for (size_t i = 0; i < n; i++)
		device_map_take(map, i, (b[i].function == BUS_READ_INPUT ? m->input : m->holding) + b[i].address, at_us);
}

static struct device_catalogue *catalogue(void)
{
	struct diag_sink sink = { 0 };
	struct device_catalogue *c;
	struct err e;

	if (device_catalogue_load(NULL, &c, &sink, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(sink.count, 0);
	return c;
}

static struct device_map *map_of(const struct device_catalogue *c, const char *id, unsigned roles, bool reversed,
				 const struct device_sunspec *s)
{
	struct device_map *m;
	struct err e;

	if (device_map_new(device_profile_find(c, id), roles, reversed, s, &m, &e) < 0)
		fail_msg("%s", e.text);
	return m;
}

static void assert_reads(const struct device_map *m, enum device_point p, double value)
{
	struct device_reading r;

	assert_true(device_map_read(m, p, &r));
	if (r.quality != DEVICE_GOOD)
		fail_msg("%s: %s", device_point(p)->name, r.why);
	assert_float_equal(r.value, value, fabs(value) * 1e-6 + 1e-9);
}

static void assert_quality(const struct device_map *m, enum device_point p, enum device_quality q, const char *why)
{
	struct device_reading r;

	assert_true(device_map_read(m, p, &r));
	assert_int_equal(r.quality, q);
	assert_true(isnan(r.value));
	if (strstr(r.why, why) == NULL)
		fail_msg("'%s' does not say '%s'", r.why, why);
}

/* ---- roles and profiles --------------------------------------------------------------------------------------------- */

static void every_point_has_a_name_of_its_role_and_is_found_by_it(void **state)
{
	(void)state;
	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *p = device_point((enum device_point)i);
		const char *role = site_role_name(p->role);

		assert_non_null(p->name);
		assert_true(str_starts(p->name, role));
		assert_int_equal(device_point_find(SITE_UPS, p->name), i);
		assert_int_equal(device_point_find(p->role, p->name + strlen(role) + 1), i);
		assert_true(p->min < p->max);
	}
	assert_int_equal(device_point_find(SITE_GRID_METER, "nothing"), -1);
	assert_int_equal(device_point_find(SITE_GRID_METER, "soc_percent"), -1);
}

static void every_installed_profile_is_faultless_and_names_its_source(void **state)
{
	struct device_catalogue *c = catalogue();

	(void)state;
	for (size_t i = 0; device_profile_at(c, i) != NULL; i++) {
		const struct device_profile_info *p = device_profile_info(device_profile_at(c, i));

		assert_true(strlen(p->source) > 10);
		assert_true(p->roles != 0 && p->unit_count > 0);
	}
	assert_non_null(device_profile_find(c, "sunspec-storage"));
	assert_null(device_profile_find(c, "sunspec"));
	device_catalogue_free(c);
}

static void the_manual_lists_every_point_with_its_unit(void **state)
{
	auto_buf struct buf page = BUF_INIT;
	struct err e;

	(void)state;
	if (file_read("man/psec-profile.5.scd", 1 << 20, &page, &e) < 0)
		fail_msg("%s", e.text);
	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *p = device_point((enum device_point)i);
		auto_free char *line = xasprintf("%s%s%s", p->name, p->unit[0] ? " " : "", p->unit);

		if (strstr(page.data, line) == NULL)
			fail_msg("psec-profile(5) lacks '%s'", line);
	}
}

struct said { char text[4096]; };

static void listen(void *arg, const struct diag *d)
{
	struct said *s = arg;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof s->text - n, "%d: %s %s\n", d->line, d->path, d->text);
}

/* The faults of one profile in a site's own folder; "" when it is taken. */
static void faults_of(const char *yaml, struct said *said, mode_t mode)
{
	char folder[] = "/tmp/psec-device-XXXXXX", path[64];
	struct diag_sink sink = { listen, said, 0 };
	struct device_catalogue *c;
	struct err e;
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/own.yaml", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(yaml, f);
	fclose(f);
	chmod(path, mode);
	said->text[0] = '\0';
	assert_int_equal(device_catalogue_load(folder, &c, &sink, &e), 0);
	device_catalogue_free(c);
	unlink(path);
	rmdir(folder);
}

#define HEAD "psec-profile: 1\nid: own\nmake: M\nmodel: N\nsource: by hand, here\n"

static void all_faults_of_a_profile_are_told_at_once_with_their_lines(void **state)
{
	struct said said;

	(void)state;
	faults_of(HEAD "colour: red\n"                                            /* 6 */
		  "points:\n"
		  "  grid-meter.power_w: {function: 3, address: 70000}\n"              /* 8 */
		  "  grid-meter.frequency_hz: {function: 3, address: 10, type: int7}\n" /* 9 */
		  "  grid-meter.import_wh: {function: 3, address: 20, scale: 0}\n"    /* 10 */
		  "  grid-meter.colour: {function: 3, address: 30}\n"                  /* 11 */
		  "  grid-meter.voltage_l1_v: {function: 3, address: 40, type: int32}\n"
		  "  grid-meter.voltage_l2_v: {function: 3, address: 41}\n"           /* 13 */
		  "  grid-meter.export_wh: {function: 3, address: 65535, type: int32}\n" /* 14 */
		  "  bms.voltage_v: {address: 5}\n",                                  /* 15: no function; and no SoC */
		  &said, 0600);
	assert_non_null(strstr(said.text, "6: colour"));
	assert_non_null(strstr(said.text, "8: points.grid-meter.power_w.address"));
	assert_non_null(strstr(said.text, "9: "));
	assert_non_null(strstr(said.text, "10: points.grid-meter.import_wh.scale is 0"));
	assert_non_null(strstr(said.text, "11: points.grid-meter.colour is no point"));
	assert_non_null(strstr(said.text, "13: points uint16 at 41 overlaps int32 at 40 (line 12)"));
	assert_non_null(strstr(said.text, "14: "));
	assert_non_null(strstr(said.text, "15: points.bms.voltage_v"));
	assert_non_null(strstr(said.text, "role bms needs bms.soc_percent"));
}

static void a_profile_that_others_may_change_is_refused(void **state)
{
	static const char good[] = HEAD "points:\n  grid-meter.power_w: {function: 3, address: 1}\n";
	struct said said;

	(void)state;
	faults_of(good, &said, 0600);
	assert_string_equal(said.text, "");
	faults_of(good, &said, 0622);
	assert_non_null(strstr(said.text, "not writable by others"));
}

static void a_write_is_checked_like_a_read(void **state)
{
	struct said said;

	(void)state;
	faults_of(HEAD "points:\n  battery-inverter.power_w: {function: 3, address: 1}\n"
		  "writes:\n"
		  "  battery-inverter.setpoint_w: [{function: 6, address: 9, type: int32}, {function: 3, address: 9}]\n"
		  "  battery-inverter.power_w: [{address: 2}]\n", &said, 0600);
	assert_non_null(strstr(said.text, "function 6 writes one register"));
	assert_non_null(strstr(said.text, "is written with function 6 or 16"));
	assert_non_null(strstr(said.text, "battery-inverter.power_w is no point that may be written"));
}

/* ---- the walk --------------------------------------------------------------------------------------------------------- */

static void the_walk_finds_the_models_at_every_base(void **state)
{
	static const uint16_t bases[] = { 40000, 0, 50000 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bases); i++) {
		struct image *m = image_new();
		struct device_walk w;

		put_end(m, put_meter_203(m, put_common(m, bases[i], "Acme", "M1", "77")));
		w = walk(m);
		assert_true(w.found.found && w.found.ended);
		assert_int_equal(w.found.base, bases[i]);
		assert_int_equal(w.found.model_count, 2);
		assert_int_equal(w.found.models[0].id, 1);
		assert_int_equal(w.found.models[1].id, 203);
		assert_int_equal(w.found.models[1].address, bases[i] + 2 + 68 + 2);
		free(m);
	}
}

static void a_device_without_the_marker_is_no_sunspec_device(void **state)
{
	struct image *m = image_new();
	struct device_walk w = walk(m);

	(void)state;
	assert_false(w.found.found);
	assert_non_null(strstr(w.why, "no SunSpec marker"));
	free(m);
}

static void a_hostile_model_list_ends_and_says_why(void **state)
{
	struct image *m = image_new();
	struct device_walk w;
	uint16_t at;

	(void)state;
	at = put_common(m, 40000, "Acme", "Evil", "1");
	put_model(m, &at, 103, 60000); /* beyond 65535 */
	w = walk(m);
	assert_true(w.found.found && !w.found.ended);
	assert_int_equal(w.found.model_count, 1);
	assert_non_null(strstr(w.why, "beyond 65535"));

	at = put_common(m, 40000, "Acme", "Evil", "1");
	put_model(m, &at, 0, 10);
	w = walk(m);
	assert_non_null(strstr(w.why, "id 0"));

	at = put_common(m, 40000, "Acme", "Evil", "1");
	for (int i = 0; i < 100; i++)
		put_model(m, &at, 64000, 0); /* length 0: does not loop, does not overflow */
	w = walk(m);
	assert_int_equal(w.found.model_count, DEVICE_MODELS_MAX);
	assert_non_null(strstr(w.why, "more than 64"));

	at = put_common(m, 40000, "Acme", "Evil", "1");
	put_model(m, &at, 64000, (uint16_t)(65535 - at - 1 - 1)); /* ends exactly at 65534 */
	w = walk(m);
	assert_int_equal(w.found.model_count, 2);
	assert_non_null(strstr(w.why, "without its marker"));
	free(m);
}

static void a_walk_that_gets_no_answer_keeps_what_it_has(void **state)
{
	static const uint16_t marker[] = { 0x5375, 0x6E53 }, one[] = { 1, 66 };
	struct device_probe q;
	struct device_walk w;

	(void)state;
	device_walk_begin(&w);
	assert_true(device_walk_next(&w, &q));
	assert_int_equal(q.address, 40000);
	device_walk_answer(&w, marker, 2);
	assert_true(device_walk_next(&w, &q));
	device_walk_answer(&w, one, 2);
	assert_true(device_walk_next(&w, &q));
	assert_int_equal(q.address, 40070);
	device_walk_answer(&w, NULL, 0);
	assert_false(device_walk_next(&w, &q));
	assert_int_equal(w.found.model_count, 1);
	assert_string_equal(w.why, "no answer about the model at 40070");
}

static void the_models_choose_the_profile(void **state)
{
	static const struct { uint16_t models[6]; const char *profile; } cases[] = {
		{ { 1, 203 }, "sunspec-meter" }, { { 1, 103, 120 }, "sunspec-inverter" }, { { 1, 111 }, "sunspec-inverter" },
		{ { 1, 103, 120, 121, 124 }, "sunspec-storage" }, { { 1, 802 }, "sunspec-bms" },
		{ { 1, 103, 1, 203 }, "sunspec-inverter" }, { { 1, 64001 }, NULL },
	};
	struct device_catalogue *c = catalogue();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct device_sunspec s = { .found = true };
		const struct device_profile *p;

		while (s.model_count < 6 && cases[i].models[s.model_count] != 0) {
			s.models[s.model_count].id = cases[i].models[s.model_count];
			s.model_count++;
		}
		p = device_sunspec_profile(c, &s);
		if (cases[i].profile == NULL)
			assert_null(p);
		else
			assert_string_equal(device_profile_info(p)->id, cases[i].profile);
	}
	device_catalogue_free(c);
}

/* ---- values ----------------------------------------------------------------------------------------------------------- */

static void a_sunspec_meter_is_read_with_its_scale_factors(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_walk w;
	struct device_map *map;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_UNKNOWN, "not read yet");
	take_all(map, m, 1000);
	assert_reads(map, POINT_GRID_POWER_W, -1234);
	assert_reads(map, POINT_GRID_POWER_L3_W, 66);
	assert_reads(map, POINT_GRID_VOLTAGE_L1_V, 231.2);
	assert_reads(map, POINT_GRID_CURRENT_L2_A, 2.1);
	assert_reads(map, POINT_GRID_FREQUENCY_HZ, 49.98);
	assert_reads(map, POINT_GRID_EXPORT_WH, 655360);
	assert_reads(map, POINT_GRID_IMPORT_WH, 50000);
	assert_string_equal(device_map_identity(map)->make, "Acme");
	assert_string_equal(device_map_identity(map)->serial, "4711");
	assert_string_equal(device_map_identity(map)->version, "1.2.3");
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void scale_factors_arrive_with_the_values_that_they_scale(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	const struct device_block *b;
	const struct device_value *v;
	struct device_walk w;
	struct device_map *map;
	size_t blocks, values;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	blocks = device_map_blocks(map, &b);
	values = device_map_values(map, &v);
	for (size_t i = 0; i < values; i++) {
		bool together = v[i].scale_index < 0;

		for (size_t k = 0; k < blocks && !together; k++)
			together = v[i].address >= b[k].address && v[i].address < b[k].address + b[k].count &&
				   v[v[i].scale_index].address >= b[k].address &&
				   v[v[i].scale_index].address < b[k].address + b[k].count;
		assert_true(together);
	}
	assert_true(blocks <= 4);
	assert_true(b[0].control && b[0].rate == DEVICE_FAST);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_scale_factor_that_is_none_makes_the_value_unknown(void **state)
{
	static const uint16_t bad[] = { 0x8000, 11, (uint16_t)-11, 0x7fff };
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_walk w;
	struct device_map *map;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		m->holding[40072 + 20] = bad[i];
		take_all(map, m, 1000);
		assert_quality(map, POINT_GRID_POWER_W, DEVICE_UNKNOWN, "scale factor 203.W_SF");
	}
	m->holding[40072 + 20] = 10;
	m->holding[40072 + 16] = 1;
	take_all(map, m, 1000);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_IMPOSSIBLE, "can be");
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void what_the_device_marks_as_not_available_is_no_value(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_walk w;
	struct device_map *map;
	uint16_t at, *p;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	m->holding[40072 + 16] = 0x8000;
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	take_all(map, m, 1000);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_ABSENT, "32768 means not available");
	device_map_free(map);

	memset(m, 0, sizeof *m); /* the same as floats, model 213: NaN */
	at = put_common(m, 40000, "Acme", "M2", "1");
	p = put_model(m, &at, 213, 124);
	put_float(p + 26, NAN);
	put_float(p + 28, -12.5f);
	put_float(p + 30, INFINITY);
	put_end(m, at);
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	take_all(map, m, 1000);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_ABSENT, "NaN");
	assert_reads(map, POINT_GRID_POWER_L1_W, -12.5);
	assert_quality(map, POINT_GRID_POWER_L2_W, DEVICE_IMPOSSIBLE, "can be");
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_reversed_meter_swaps_power_and_energy_and_nothing_else(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_walk w;
	struct device_map *map;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, true, &w.found);
	take_all(map, m, 1000);
	assert_reads(map, POINT_GRID_POWER_W, 1234);
	assert_reads(map, POINT_GRID_IMPORT_WH, 655360);
	assert_reads(map, POINT_GRID_EXPORT_WH, 50000);
	assert_reads(map, POINT_GRID_VOLTAGE_L1_V, 231.2);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_lost_block_is_unknown_until_it_is_read_again(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	const struct device_block *b;
	struct device_walk w;
	struct device_map *map;
	size_t n;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	take_all(map, m, 1000);
	n = device_map_blocks(map, &b);
	for (size_t i = 0; i < n; i++)
		device_map_lose(map, i);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_UNKNOWN, "lost");
	take_all(map, m, 2000);
	assert_reads(map, POINT_GRID_POWER_W, -1234);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_value_that_stands_still_shows_since_when(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_reading r;
	struct device_walk w;
	struct device_map *map;

	(void)state;
	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	w = walk(m);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	take_all(map, m, 1000);
	m->holding[40072 + 17]++; /* its neighbour in the same block moves */
	take_all(map, m, 2000);
	assert_true(device_map_read(map, POINT_GRID_POWER_W, &r));
	assert_int_equal(r.at_boot_us, 2000);
	assert_int_equal(r.changed_boot_us, 1000);
	m->holding[40072 + 16]++;
	take_all(map, m, 3000);
	assert_true(device_map_read(map, POINT_GRID_POWER_W, &r));
	assert_int_equal(r.changed_boot_us, 3000);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_storage_inverter_shows_power_ratings_and_limits(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_walk w;
	struct device_map *map;

	(void)state;
	put_end(m, put_storage(m, put_common(m, 40000, "Acme", "Bat", "9")));
	w = walk(m);
	map = map_of(c, "sunspec-storage", 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS, false, &w.found);
	take_all(map, m, 1000);
	assert_reads(map, POINT_BATTERY_POWER_W, 2500);
	assert_reads(map, POINT_BATTERY_CHARGE_RATING_W, 4600);
	assert_reads(map, POINT_BATTERY_DISCHARGE_RATING_W, 5000);
	assert_reads(map, POINT_BMS_SOC_PERCENT, 63.5);
	assert_reads(map, POINT_BMS_VOLTAGE_V, 512);
	assert_reads(map, POINT_BMS_CHARGE_LIMIT_W, 5120);
	assert_reads(map, POINT_BMS_DISCHARGE_LIMIT_W, 6000); /* 512 V × 20 A, but no more than the nameplate */
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_shorter_model_of_an_older_device_lacks_the_points_beyond_its_end(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_reading r;
	struct device_walk w;
	struct device_map *map;
	uint16_t at, *p;

	(void)state;
	at = put_common(m, 40000, "Acme", "Old", "1");
	p = put_model(m, &at, 103, 20);
	p[12] = 700;
	put_end(m, at);
	w = walk(m);
	map = map_of(c, "sunspec-inverter", 1u << SITE_PV_INVERTER, false, &w.found);
	take_all(map, m, 1000);
	assert_reads(map, POINT_PV_POWER_W, 700);
	assert_false(device_map_read(map, POINT_PV_ENERGY_WH, &r));
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_device_without_a_required_point_gets_no_map(void **state)
{
	struct device_sunspec s = { .found = true, .base = 40000, .models = { { 1, 40004, 66 } }, .model_count = 1 };
	struct device_catalogue *c = catalogue();
	struct device_map *map;
	struct err e;

	(void)state;
	assert_int_equal(device_map_new(device_profile_find(c, "sunspec-meter"), 1u << SITE_GRID_METER, false, &s, &map, &e), -1);
	assert_non_null(strstr(e.text, "grid-meter.power_w"));
	assert_int_equal(device_map_new(device_profile_find(c, "sunspec-meter"), 1u << SITE_GRID_METER, false, NULL, &map, &e), -1);
	assert_non_null(strstr(e.text, "shows no SunSpec"));
	assert_int_equal(device_map_new(device_profile_find(c, "eastron-sdm630"), 1u << SITE_BMS, false, NULL, &map, &e), -1);
	device_catalogue_free(c);
}

static void reads_are_merged_within_what_the_device_allows(void **state)
{
	struct device_catalogue *c = catalogue();
	struct device_map *map = map_of(c, "eastron-sdm630", 1u << SITE_GRID_METER, false, NULL);
	const struct device_profile_info *info = device_profile_info(device_profile_find(c, "eastron-sdm630"));
	const struct device_block *b;
	size_t n = device_map_blocks(map, &b);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_true(b[i].count <= info->block_max);
		assert_int_equal(b[i].function, BUS_READ_INPUT);
	}
	assert_int_equal(b[0].address, 52); /* the fast one is the total power alone */
	assert_int_equal(b[0].count, 2);
	assert_true(n <= 4);
	device_map_free(map);
	device_catalogue_free(c);
}

static void sums_and_products_of_registers_are_points(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_map *map = map_of(c, "sma-hybrid", 1u << SITE_GRID_METER, false, NULL);

	(void)state;
	m->input[30866] = 300; /* import */
	m->input[30868] = 50;  /* export */
	take_all(map, m, 1000);
	assert_reads(map, POINT_GRID_POWER_W, 250);
	m->input[30867] = 0x8000;
	m->input[30868] = 0;
	take_all(map, m, 1000);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_ABSENT, "not available");
	device_map_free(map);

	memset(m, 0, sizeof *m); /* Pylontech: 480.0 V, charge 25.00 A, discharge as a negative number */
	m->holding[4355] = 4800;
	m->holding[4356] = 0xFFFF, m->holding[4357] = (uint16_t)-1250;
	m->holding[4359] = 88;
	m->holding[4363] = 2500;
	m->holding[4365] = 0xFFFF, m->holding[4366] = (uint16_t)-3000;
	map = map_of(c, "pylontech-powercube-m2", 1u << SITE_BMS, false, NULL);
	take_all(map, m, 1000);
	assert_reads(map, POINT_BMS_SOC_PERCENT, 88);
	assert_reads(map, POINT_BMS_CURRENT_A, -12.5);
	assert_reads(map, POINT_BMS_CHARGE_LIMIT_W, 12000);
	assert_reads(map, POINT_BMS_DISCHARGE_LIMIT_W, 14400);
	m->holding[4365] = 0, m->holding[4366] = 3000;
	take_all(map, m, 1000);
	assert_quality(map, POINT_BMS_DISCHARGE_LIMIT_W, DEVICE_IMPOSSIBLE, "can be 0");
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_power_without_a_sign_gets_it_from_the_running_state(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_map *map = map_of(c, "sungrow-hybrid", 1u << SITE_BATTERY_INVERTER | 1u << SITE_GRID_METER | 1u << SITE_BMS,
					false, NULL);

	(void)state;
	m->input[13021] = 1500;
	m->input[13009] = 2000, m->input[13010] = 0; /* low word first; export positive */
	m->input[13022] = 505;
	m->input[13019] = 2500, m->input[5634] = 20, m->input[5635] = 30;
	m->input[13000] = 0x0002;
	take_all(map, m, 1000);
	assert_reads(map, POINT_BATTERY_POWER_W, -1500);
	assert_reads(map, POINT_GRID_POWER_W, -2000);
	assert_reads(map, POINT_BMS_CHARGE_LIMIT_W, 5000);
	assert_reads(map, POINT_BMS_DISCHARGE_LIMIT_W, 7500);
	assert_reads(map, POINT_BMS_SOC_PERCENT, 50.5);
	m->input[13000] = 0x0004;
	take_all(map, m, 1000);
	assert_reads(map, POINT_BATTERY_POWER_W, 1500);
	m->holding[13050] = 0xAA, m->holding[13051] = 800;
	take_all(map, m, 1000);
	assert_reads(map, POINT_BATTERY_SETPOINT_W, -800);
	m->holding[13050] = 0x11;
	take_all(map, m, 1000);
	assert_quality(map, POINT_BATTERY_SETPOINT_W, DEVICE_ABSENT, "none of the values");
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void impossible_values_are_not_values(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_map *map = map_of(c, "eastron-sdm630", 1u << SITE_GRID_METER, false, NULL);

	(void)state;
	put_float(&m->input[52], 1e9f);
	put_float(&m->input[0], -3);
	take_all(map, m, 1000);
	assert_quality(map, POINT_GRID_POWER_W, DEVICE_IMPOSSIBLE, "can be -1e+07…1e+07");
	assert_quality(map, POINT_GRID_VOLTAGE_L1_V, DEVICE_IMPOSSIBLE, "-3 V");
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

/* ---- signatures ------------------------------------------------------------------------------------------------------- */

static void plausible_values_propose_and_never_identify(void **state)
{
	struct device_catalogue *c = catalogue();
	const struct device_profile *p = device_profile_find(c, "eastron-sdm630");
	const struct device_probe *probes;
	uint16_t volts[2], hertz[2];
	const uint16_t *answers[] = { volts, hertz };
	char why[120];

	(void)state;
	assert_int_equal(device_profile_probes(p, &probes), 2);
	assert_int_equal(probes[0].function, BUS_READ_INPUT);
	assert_int_equal(probes[1].address, 70);
	put_float(volts, 231.2f);
	put_float(hertz, 49.98f);
	assert_int_equal(device_profile_match(p, answers, why), DEVICE_PROPOSED);
	assert_string_equal(why, "voltage 231.2 V, frequency 49.98 Hz plausible");
	put_float(hertz, NAN);
	assert_int_equal(device_profile_match(p, answers, why), DEVICE_NO);
	answers[1] = NULL;
	assert_int_equal(device_profile_match(p, answers, why), DEVICE_NO);
	device_catalogue_free(c);
}

static void text_from_a_device_is_made_printable(void **state)
{
	static const uint8_t fc43[] = { 0x0E, 1, 1, 0, 0, 3, 0, 4, 'A', 0x1b, '[', 'm', 1, 3, 'X', '9', '0', 2, 2, 'v', '1' };
	struct image *m = image_new();
	struct device_identity id;

	(void)state;
	put_common(m, 40000, "Ac\x1b[2Jme", "M1", "4711");
	device_sunspec_identity(&m->holding[40004], 66, &id);
	assert_string_equal(id.make, "Ac\\x1b[2Jme");
	device_sunspec_identity(&m->holding[40004], 12, &id);
	assert_string_equal(id.make, "");
	assert_true(device_fc43_identity(fc43, sizeof fc43, &id));
	assert_string_equal(id.make, "A\\x1b[m");
	assert_string_equal(id.model, "X90");
	assert_string_equal(id.version, "v1");
	for (size_t n = 0; n < sizeof fc43; n++)
		assert_false(device_fc43_identity(fc43, n, &id));
	free(m);
}

/* ---- writes ----------------------------------------------------------------------------------------------------------- */

static struct device_map *storage_map(struct device_catalogue *c, struct image *m, bool reversed)
{
	struct device_walk w;
	struct device_map *map;

	put_end(m, put_storage(m, put_common(m, 40000, "Acme", "Bat", "9")));
	w = walk(m);
	map = map_of(c, "sunspec-storage", 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS, reversed, &w.found);
	return map;
}

/* 40002 + 68 (model 1) + 52 (103) + 28 (120) + 2: the registers of model 124 */
enum { M124 = 40002 + 68 + 52 + 28 + 2 };

static void a_set_point_is_a_window_of_no_width_in_one_frame(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_map *map = storage_map(c, m, false);
	struct device_write w[DEVICE_WRITES_MAX];
	size_t n;
	struct err e;

	(void)state;
	take_all(map, m, 1000);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -1000, w, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_true(w[0].only_when_changed);
	assert_int_equal(w[0].write.address, M124 + 3);
	assert_int_equal(w[0].write.values[0], 3);
	assert_int_equal(w[1].write.function, BUS_WRITE_REGISTERS);
	assert_int_equal(w[1].write.address, M124 + 10);
	assert_int_equal(w[1].write.count, 2);
	assert_int_equal((int16_t)w[1].write.values[0], -2000); /* OutWRte: -20.00 % */
	assert_int_equal((int16_t)w[1].write.values[1], 2000);  /* InWRte: 20.00 % */
	assert_int_equal(w[1].read_back.count, 2);

	m->holding[M124 + 13] = 300; /* now the device has a reversion time */
	take_all(map, m, 1000);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 0, w, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(w[1].write.address, M124 + 13);
	assert_int_equal(w[1].write.values[0], 60);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void what_is_written_reads_back_as_the_same_power(void **state)
{
	struct device_catalogue *c = catalogue();

	(void)state;
	for (int reversed = 0; reversed < 2; reversed++)
		for (double watts = -4600; watts <= 5000; watts += 137) {
			struct image *m = image_new();
			struct device_map *map = storage_map(c, m, reversed == 1);
			struct device_write w[DEVICE_WRITES_MAX];
			struct device_reading r;
			struct err e;
			size_t n;

			take_all(map, m, 1000);
			if (device_map_write(map, POINT_BATTERY_SETPOINT_W, reversed ? -watts : watts, w, &n, &e) < 0)
				fail_msg("%s", e.text);
			for (size_t i = 0; i < n; i++)
				memcpy(&m->holding[w[i].write.address], w[i].write.values, 2 * w[i].write.count);
			take_all(map, m, 2000);
			assert_true(device_map_read(map, POINT_BATTERY_SETPOINT_W, &r));
			assert_float_equal(r.value, reversed ? -watts : watts, 0.51);
			device_map_free(map);
			free(m);
		}
	device_catalogue_free(c);
}

static void a_set_point_out_of_range_is_refused_before_anything_is_sent(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_map *map = storage_map(c, m, false);
	struct device_write w[DEVICE_WRITES_MAX];
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 0, w, &n, &e), -1); /* nothing read yet: what is 100 %? */
	assert_int_equal(e.kind, ERR_REFUSED);
	take_all(map, m, 1000);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -4700, w, &n, &e), -1);
	assert_non_null(strstr(e.text, "charge rating of 4600 W"));
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 5100, w, &n, &e), -1);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, NAN, w, &n, &e), -1);
	assert_int_equal(device_map_write(map, POINT_BATTERY_POWER_W, 0, w, &n, &e), -1);
	assert_non_null(strstr(e.text, "only read"));
	m->holding[M124 + 23] = 0x8000; /* scale of InWRte, OutWRte */
	take_all(map, m, 1000);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 100, w, &n, &e), -1);
	assert_non_null(strstr(e.text, "124.InOutWRte_SF is not implemented"));
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_hybrid_is_set_by_mode_power_and_command(void **state)
{
	static const struct { double watts; uint16_t power, command; } cases[] = {
		{ -1200, 1200, 0xAA }, { 800, 800, 0xBB }, { 0, 0, 0xCC },
	};
	struct device_catalogue *c = catalogue();
	struct device_map *map = map_of(c, "sungrow-hybrid", 1u << SITE_BATTERY_INVERTER, false, NULL);
	struct device_write w[DEVICE_WRITES_MAX];
	struct err e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, cases[i].watts, w, &n, &e), 0);
		assert_int_equal(n, 3);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(w[k].write.function, BUS_WRITE_REGISTER);
		assert_int_equal(w[0].write.address, 13049);
		assert_int_equal(w[0].write.values[0], 2);
		assert_int_equal(w[1].write.address, 13051);
		assert_int_equal(w[1].write.values[0], cases[i].power);
		assert_int_equal(w[2].write.address, 13050);
		assert_int_equal(w[2].write.values[0], cases[i].command);
	}
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 70000, w, &n, &e), -1); /* does not fit the register */
	device_map_free(map);
	device_catalogue_free(c);
}

static void one_step_of_the_register_is_shown_and_two_are_not(void **state)
{
	struct device_write w = { .write = { .count = 2, .values = { 100, 0xFFFF } }, .read_back = { 3, 0, 2 }, .width = 1 };
	uint16_t near_by[] = { 101, 0 }, off[] = { 98, 0xFFFF }, mode[] = { 100, 0xFFFF };

	(void)state;
	assert_true(device_write_shown(&w, near_by));
	assert_false(device_write_shown(&w, off));
	w.only_when_changed = true;
	assert_false(device_write_shown(&w, near_by));
	assert_true(device_write_shown(&w, mode));
	w = (struct device_write){ .write = { .count = 2, .values = { 1, 0 } }, .width = 2, .order = DEVICE_HIGH_FIRST };
	assert_true(device_write_shown(&w, (uint16_t[]){ 0, 0xFFFF }));
	assert_false(device_write_shown(&w, (uint16_t[]){ 0, 0 })); /* 65536 away, though each word is near */
}

/* ---- the site --------------------------------------------------------------------------------------------------------- */

static void a_site_is_told_what_its_profiles_cannot_do(void **state)
{
	static struct site s;
	struct device_catalogue *c = catalogue();
	struct said said = { "" };
	struct diag_sink sink = { listen, &said, 0 };

	(void)state;
	s.device_count = 3;
	s.devices[0] = (struct site_device){ .name = "a", .profile = "nothing", .line = 5 };
	s.devices[1] = (struct site_device){ .name = "b", .profile = "eastron-sdm630", .roles = 1u << SITE_BMS, .line = 9 };
	s.devices[2] = (struct site_device){ .name = "c", .profile = "deye-hybrid-3p", .line = 13,
					     .roles = 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS };
	s.battery_count = 1;
	s.batteries[0] = (struct site_battery){ .inverter = 2, .bms = 2 };
	s.control.mode = SITE_MODE_SELF_CONSUMPTION;
	device_check_site(c, &s, "site.yaml", &sink);
	assert_int_equal(sink.count, 3);
	assert_non_null(strstr(said.text, "5: devices[0].profile 'nothing' is no profile here"));
	assert_non_null(strstr(said.text, "9: devices[1].profile 'eastron-sdm630' does not know the role bms"));
	assert_non_null(strstr(said.text, "13: devices[2].profile 'deye-hybrid-3p' only reads"));
	device_catalogue_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_point_has_a_name_of_its_role_and_is_found_by_it),
		cmocka_unit_test(every_installed_profile_is_faultless_and_names_its_source),
		cmocka_unit_test(the_manual_lists_every_point_with_its_unit),
		cmocka_unit_test(all_faults_of_a_profile_are_told_at_once_with_their_lines),
		cmocka_unit_test(a_profile_that_others_may_change_is_refused),
		cmocka_unit_test(a_write_is_checked_like_a_read),
		cmocka_unit_test(the_walk_finds_the_models_at_every_base),
		cmocka_unit_test(a_device_without_the_marker_is_no_sunspec_device),
		cmocka_unit_test(a_hostile_model_list_ends_and_says_why),
		cmocka_unit_test(a_walk_that_gets_no_answer_keeps_what_it_has),
		cmocka_unit_test(the_models_choose_the_profile),
		cmocka_unit_test(a_sunspec_meter_is_read_with_its_scale_factors),
		cmocka_unit_test(scale_factors_arrive_with_the_values_that_they_scale),
		cmocka_unit_test(a_scale_factor_that_is_none_makes_the_value_unknown),
		cmocka_unit_test(what_the_device_marks_as_not_available_is_no_value),
		cmocka_unit_test(a_reversed_meter_swaps_power_and_energy_and_nothing_else),
		cmocka_unit_test(a_lost_block_is_unknown_until_it_is_read_again),
		cmocka_unit_test(a_value_that_stands_still_shows_since_when),
		cmocka_unit_test(a_storage_inverter_shows_power_ratings_and_limits),
		cmocka_unit_test(a_shorter_model_of_an_older_device_lacks_the_points_beyond_its_end),
		cmocka_unit_test(a_device_without_a_required_point_gets_no_map),
		cmocka_unit_test(reads_are_merged_within_what_the_device_allows),
		cmocka_unit_test(sums_and_products_of_registers_are_points),
		cmocka_unit_test(a_power_without_a_sign_gets_it_from_the_running_state),
		cmocka_unit_test(impossible_values_are_not_values),
		cmocka_unit_test(plausible_values_propose_and_never_identify),
		cmocka_unit_test(text_from_a_device_is_made_printable),
		cmocka_unit_test(a_set_point_is_a_window_of_no_width_in_one_frame),
		cmocka_unit_test(what_is_written_reads_back_as_the_same_power),
		cmocka_unit_test(a_set_point_out_of_range_is_refused_before_anything_is_sent),
		cmocka_unit_test(a_hybrid_is_set_by_mode_power_and_command),
		cmocka_unit_test(one_step_of_the_register_is_shown_and_two_are_not),
		cmocka_unit_test(a_site_is_told_what_its_profiles_cannot_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
