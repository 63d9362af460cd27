/* Values: what a map makes of the registers, and how it reads them. */
#include "device/live.h"
#include "device_image.h"
#include "device_reads.h"

/* A device, its image, and what was made of a walk over it. */
struct met {
	struct device_catalogue *catalogue;
	struct image *image;
	struct device_map *map;
};

static struct met meet(struct image *m, const char *profile, unsigned roles, bool reversed)
{
	struct met d = { catalogue(), m, NULL };
	struct device_walk w = walk(m);

	d.map = map_of(d.catalogue, profile, roles, reversed, &w.found);
	return d;
}

static struct met meet_meter_203(bool reversed)
{
	struct image *m = image_new();

	put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
	return meet(m, "sunspec-meter", 1u << SITE_GRID_METER, reversed);
}

static void part(struct met *d)
{
	device_map_free(d->map);
	free(d->image);
	device_catalogue_free(d->catalogue);
}

static void a_sunspec_meter_is_read_with_its_scale_factors(void **state)
{
	struct met d = meet_meter_203(false);

	(void)state;
	assert_quality(d.map, POINT_GRID_POWER_W, DEVICE_UNKNOWN, "not read yet");
	take_all(d.map, d.image, 1000);
	assert_reads(d.map, POINT_GRID_POWER_W, -1234);
	assert_reads(d.map, POINT_GRID_POWER_L3_W, 66);
	assert_reads(d.map, POINT_GRID_VOLTAGE_L1_V, 231.2);
	assert_reads(d.map, POINT_GRID_CURRENT_L2_A, 2.1);
	assert_reads(d.map, POINT_GRID_FREQUENCY_HZ, 49.98);
	assert_reads(d.map, POINT_GRID_EXPORT_WH, 655360);
	assert_reads(d.map, POINT_GRID_IMPORT_WH, 50000);
	assert_string_equal(device_map_identity(d.map)->make, "Acme");
	assert_string_equal(device_map_identity(d.map)->serial, "4711");
	assert_string_equal(device_map_identity(d.map)->version, "1.2.3");
	part(&d);
}

static void scale_factors_arrive_with_the_values_that_they_scale(void **state)
{
	struct met d = meet_meter_203(false);
	const struct device_block *b;
	size_t blocks;

	(void)state;
	blocks = device_map_blocks(d.map, &b);
	for (size_t i = 0; i < d.map->value_count; i++) {
		const struct device_value *v = d.map->values;
		bool together = v[i].scale_index < 0;

		for (size_t k = 0; k < blocks && !together; k++)
			together = v[i].address >= b[k].address && v[i].address < b[k].address + b[k].count &&
				   v[v[i].scale_index].address >= b[k].address &&
				   v[v[i].scale_index].address < b[k].address + b[k].count;
		assert_true(together);
	}
	assert_true(blocks <= 4);
	assert_true(b[0].control && b[0].rate == DEVICE_FAST);
	part(&d);
}

static void a_scale_factor_that_is_none_makes_the_value_unknown(void **state)
{
	static const uint16_t bad[] = { 0x8000, 11, (uint16_t)-11, 0x7fff };
	struct met d = meet_meter_203(false);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		d.image->holding[40072 + 20] = bad[i];
		take_all(d.map, d.image, 1000);
		assert_quality(d.map, POINT_GRID_POWER_W, DEVICE_UNKNOWN, "scale factor 203.W_SF");
	}
	d.image->holding[40072 + 20] = 10;
	d.image->holding[40072 + 16] = 1;
	take_all(d.map, d.image, 1000);
	assert_quality(d.map, POINT_GRID_POWER_W, DEVICE_IMPOSSIBLE, "can be");
	part(&d);
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
	struct met d = meet_meter_203(true);

	(void)state;
	take_all(d.map, d.image, 1000);
	assert_reads(d.map, POINT_GRID_POWER_W, 1234);
	assert_reads(d.map, POINT_GRID_IMPORT_WH, 655360);
	assert_reads(d.map, POINT_GRID_EXPORT_WH, 50000);
	assert_reads(d.map, POINT_GRID_VOLTAGE_L1_V, 231.2);
	part(&d);
}

static void a_lost_block_is_unknown_until_it_is_read_again(void **state)
{
	struct met d = meet_meter_203(false);
	const struct device_block *b;
	size_t n;

	(void)state;
	take_all(d.map, d.image, 1000);
	n = device_map_blocks(d.map, &b);
	for (size_t i = 0; i < n; i++)
		device_map_lose(d.map, i);
	assert_quality(d.map, POINT_GRID_POWER_W, DEVICE_UNKNOWN, "lost");
	take_all(d.map, d.image, 2000);
	assert_reads(d.map, POINT_GRID_POWER_W, -1234);
	part(&d);
}

static void a_value_that_stands_still_shows_since_when(void **state)
{
	struct met d = meet_meter_203(false);
	struct device_reading r;

	(void)state;
	take_all(d.map, d.image, 1000);
	d.image->holding[40072 + 17]++; /* its neighbour in the same block moves */
	take_all(d.map, d.image, 2000);
	assert_true(device_map_read(d.map, POINT_GRID_POWER_W, &r));
	assert_int_equal(r.at_boot_us, 2000);
	assert_int_equal(r.changed_boot_us, 1000);
	d.image->holding[40072 + 16]++;
	take_all(d.map, d.image, 3000);
	assert_true(device_map_read(d.map, POINT_GRID_POWER_W, &r));
	assert_int_equal(r.changed_boot_us, 3000);
	part(&d);
}

static void a_storage_inverter_shows_power_ratings_and_limits(void **state)
{
	struct image *m = image_new();
	struct met d;

	(void)state;
	put_end(m, put_storage(m, put_common(m, 40000, "Acme", "Bat", "9")));
	d = meet(m, "sunspec-storage", 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS, false);
	take_all(d.map, m, 1000);
	assert_reads(d.map, POINT_BATTERY_POWER_W, 2500);
	assert_reads(d.map, POINT_BATTERY_CHARGE_RATING_W, 4600);
	assert_reads(d.map, POINT_BATTERY_DISCHARGE_RATING_W, 5000);
	assert_reads(d.map, POINT_BMS_SOC_PERCENT, 63.5);
	assert_reads(d.map, POINT_BMS_VOLTAGE_V, 512);
	assert_reads(d.map, POINT_BMS_CHARGE_LIMIT_W, 5120);
	assert_reads(d.map, POINT_BMS_DISCHARGE_LIMIT_W, 6000); /* 512 V × 20 A, but no more than the nameplate */
	part(&d);
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

static void merged_reads_need_at_most_a_third_of_the_requests(void **state)
{
	struct device_catalogue *c = catalogue();
	const struct device_profile *p;
	struct reads sum = { 0 };

	(void)state;
	for (size_t i = 0; (p = device_profile_at(c, i)) != NULL; i++) {
		struct reads r = reads_of(p);

		assert_true(r.blocks > 0 && r.blocks <= r.values);
		sum.blocks += r.blocks;
		sum.values += r.values;
		sum.blocks_hz += r.blocks_hz;
		sum.values_hz += r.values_hz;
	}
	assert_true(3 * sum.blocks <= sum.values);
	assert_true(3 * sum.blocks_hz <= sum.values_hz);
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
	const unsigned roles = 1u << SITE_BATTERY_INVERTER | 1u << SITE_GRID_METER | 1u << SITE_BMS;
	struct device_map *map = map_of(c, "sungrow-hybrid", roles, false, NULL);

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sunspec_meter_is_read_with_its_scale_factors),
		cmocka_unit_test(scale_factors_arrive_with_the_values_that_they_scale),
		cmocka_unit_test(a_scale_factor_that_is_none_makes_the_value_unknown),
		cmocka_unit_test(what_the_device_marks_as_not_available_is_no_value),
		cmocka_unit_test(a_reversed_meter_swaps_power_and_energy_and_nothing_else),
		cmocka_unit_test(a_lost_block_is_unknown_until_it_is_read_again),
		cmocka_unit_test(a_value_that_stands_still_shows_since_when),
		cmocka_unit_test(a_storage_inverter_shows_power_ratings_and_limits),
		cmocka_unit_test(reads_are_merged_within_what_the_device_allows),
		cmocka_unit_test(merged_reads_need_at_most_a_third_of_the_requests),
		cmocka_unit_test(sums_and_products_of_registers_are_points),
		cmocka_unit_test(a_power_without_a_sign_gets_it_from_the_running_state),
		cmocka_unit_test(impossible_values_are_not_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
