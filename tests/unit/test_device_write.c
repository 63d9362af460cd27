/* Write plans: the registers that set a point. */
#include "device_image.h"

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
		cmocka_unit_test(one_step_of_the_register_is_shown_and_two_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
