/* Write plans: the registers that set a point. */
#include "device_image.h"
#include "own_profiles.h"

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
	/* nothing read yet: what is 100 %? */
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 0, w, &n, &e), -1);
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
	/* does not fit the register */
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 70000, w, &n, &e), -1);
	device_map_free(map);
	device_catalogue_free(c);
}

/* 1030…: 1034 set-point, 1038 and 1040 the ratings; floats, low word first. */
static void a_kostal_takes_watts_as_a_float_within_its_ratings(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	uint16_t at = put_common(m, 40000, "KOSTAL", "PLENTICORE", "1"), *p;
	struct device_write w[DEVICE_WRITES_MAX];
	struct device_walk found;
	struct device_map *map;
	struct err e;
	size_t n;

	(void)state;
	p = put_model(m, &at, 160, 28);
	p[2] = 0, p[6] = 1;
	p = put_model(m, &at, 802, 62);
	p[54] = p[57] = p[61] = 0;
	put_end(m, at);
	m->holding[1038] = 0, m->holding[1039] = 0x4580; /* 4096 W to charge */
	m->holding[1040] = 0, m->holding[1041] = 0x4500; /* 2048 W to discharge */
	found = walk(m);
	map = map_of(c, "kostal-plenticore", 1u << SITE_BATTERY_INVERTER, false, &found.found);
	take_all(map, m, 1000);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -1536, w, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(w[0].write.function, BUS_WRITE_REGISTERS);
	assert_int_equal(w[0].write.address, 1034);
	assert_int_equal(w[0].write.values[0], 0);
	assert_int_equal(w[0].write.values[1], 0xC4C0); /* -1536 = -1.5 × 2^10 */
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -4096, w, &n, &e), 0);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -4200, w, &n, &e), -1);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 2100, w, &n, &e), -1);
	assert_non_null(strstr(e.text, "discharge rating of 2048 W"));
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

/* Models 701 (153), 702 (50), 704 (65) and 713 (7), as their tables lie: offsets from the first register after id, length. */
enum { M701 = 40070 + 2, M702 = M701 + 153 + 2, M704 = M702 + 50 + 2 };

static struct device_map *der_map(struct device_catalogue *c, struct image *m)
{
	uint16_t at = put_common(m, 40000, "Acme", "DER", "7"), *p;
	struct device_walk w;

	p = put_model(m, &at, 701, 153);
	assert_int_equal(p - m->holding, M701);
	p[8] = (uint16_t)-1250;                     /* W */
	p[114] = 0;                                 /* W_SF */
	p = put_model(m, &at, 702, 50);
	p[8] = p[9] = p[32] = p[33] = 5000;         /* (Dis)Cha ratings and settings */
	p[43] = 0;
	p = put_model(m, &at, 704, 65);
	assert_int_equal(p - m->holding, M704);
	p[22] = 0xFFFF, p[23] = 0xFFFF;             /* WSet -1, of no meaning while not enabled */
	p[29] = p[30] = 0xFFFF;                     /* WSetRvrtTms: not there */
	p[53] = (uint16_t)-1;                       /* WSet_SF */
	p = put_model(m, &at, 713, 7);
	p[2] = 615, p[6] = (uint16_t)-1;            /* SoC 61.5 % */
	put_end(m, at);
	w = walk(m);
	return map_of(c, "sunspec-der-storage", 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS, false, &w.found);
}

static void a_der_is_set_in_watts_with_the_scale_that_it_has_now(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_map *map = der_map(c, m);
	struct device_write w[DEVICE_WRITES_MAX];
	struct err e;
	size_t n;

	(void)state;
	take_all(map, m, 1000);
	assert_reads(map, POINT_BATTERY_POWER_W, -1250);
	assert_reads(map, POINT_BMS_SOC_PERCENT, 61.5);
	assert_reads(map, POINT_BATTERY_CHARGE_RATING_W, 5000);
	assert_quality(map, POINT_BATTERY_SETPOINT_W, DEVICE_ABSENT, "none of the values");
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -800, w, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(w[0].write.address, M704 + 21); /* WSetMod: watts */
	assert_int_equal(w[1].write.address, M704 + 22);
	assert_int_equal((int32_t)((uint32_t)w[1].write.values[0] << 16 | w[1].write.values[1]), -8000);
	assert_int_equal(w[2].write.address, M704 + 20); /* WSetEna */
	m->holding[M704 + 53] = 1;
	take_all(map, m, 2000);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -800, w, &n, &e), 0);
	assert_int_equal((int32_t)((uint32_t)w[1].write.values[0] << 16 | w[1].write.values[1]), -80);
	for (size_t i = 0; i < n; i++)
		memcpy(&m->holding[w[i].write.address], w[i].write.values, 2 * w[i].write.count);
	take_all(map, m, 3000);
	assert_reads(map, POINT_BATTERY_SETPOINT_W, -800);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

static void a_range_of_the_profile_bounds_what_is_written(void **state)
{
	static const char text[] =
		"psec-profile: 1\nid: own\nmake: M\nmodel: N\nsource: typed for this test\npoints:\n"
		"  battery-inverter.power_w: {function: 3, address: 1, type: int16}\n"
		"writes:\n  battery-inverter.setpoint_w: [{function: 6, address: 2, type: int16}]\n"
		"ranges: {battery-inverter.setpoint_w: {min: -3000, max: 2500}}\n";
	struct said said;
	struct device_catalogue *c = own_profiles((const char *const[]){ text, NULL }, 0600, &said);
	struct device_map *map = map_of(c, "own", 1u << SITE_BATTERY_INVERTER, false, NULL);
	struct device_write w[DEVICE_WRITES_MAX];
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -3000, w, &n, &e), 0);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, -3001, w, &n, &e), -1);
	assert_int_equal(device_map_write(map, POINT_BATTERY_SETPOINT_W, 2501, w, &n, &e), -1);
	assert_non_null(strstr(e.text, "the device takes -3000…2500"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_point_is_a_window_of_no_width_in_one_frame),
		cmocka_unit_test(what_is_written_reads_back_as_the_same_power),
		cmocka_unit_test(a_set_point_out_of_range_is_refused_before_anything_is_sent),
		cmocka_unit_test(a_hybrid_is_set_by_mode_power_and_command),
		cmocka_unit_test(a_kostal_takes_watts_as_a_float_within_its_ratings),
		cmocka_unit_test(a_der_is_set_in_watts_with_the_scale_that_it_has_now),
		cmocka_unit_test(a_range_of_the_profile_bounds_what_is_written),
		cmocka_unit_test(one_step_of_the_register_is_shown_and_two_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
