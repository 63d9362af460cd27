/* The SunSpec walk, what its models choose, and who a device says it is. */
#include "device_image.h"

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

static void of_a_model_that_is_there_twice_the_first_is_meant(void **state)
{
	struct device_catalogue *c = catalogue();
	struct image *m = image_new();
	struct device_walk w;
	struct device_map *map;
	uint16_t at = put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")), first = at;

	(void)state;
	put_end(m, put_meter_203(m, at));
	m->holding[first + 2 + 16] = 777;
	w = walk(m);
	assert_int_equal(w.found.model_count, 3);
	map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
	take_all(map, m, 1000);
	assert_reads(map, POINT_GRID_POWER_W, -1234);
	device_map_free(map);
	free(m);
	device_catalogue_free(c);
}

/* A length that is not the model's own: more than it has is passed over, less takes away what lies beyond, and the next
 * model is looked for where the length says, whatever lies there. */
static void a_wrong_length_costs_what_lies_beyond_it_and_nothing_before(void **state)
{
	static const struct { uint16_t length; bool ended, power, energy; } cases[] = {
		{ 105, true, true, true }, { 125, true, true, true }, { 30, false, true, false },
		{ 20, false, false, false }, { 0, false, false, false },
	};
	struct device_catalogue *c = catalogue();
	const struct device_profile *meter = device_profile_find(c, "sunspec-meter");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct image *m = image_new();
		struct device_reading r;
		struct device_walk w;
		struct device_map *map;
		struct err e;

		put_end(m, put_meter_203(m, put_common(m, 40000, "Acme", "M1", "4711")));
		m->holding[40071] = cases[i].length;
		if (cases[i].length > 105)
			put_end(m, (uint16_t)(40072 + cases[i].length));
		w = walk(m);
		assert_int_equal(w.found.models[1].length, cases[i].length);
		assert_int_equal(w.found.ended, cases[i].ended);
		assert_true(w.found.ended == (w.why[0] == '\0'));
		if (!cases[i].power) {
			assert_int_equal(device_map_new(meter, 1u << SITE_GRID_METER, false, &w.found, &map, &e), -1);
			free(m);
			continue;
		}
		map = map_of(c, "sunspec-meter", 1u << SITE_GRID_METER, false, &w.found);
		take_all(map, m, 1000);
		assert_reads(map, POINT_GRID_POWER_W, -1234);
		assert_int_equal(device_map_read(map, POINT_GRID_IMPORT_WH, &r), cases[i].energy);
		device_map_free(map);
		free(m);
	}
	device_catalogue_free(c);
}

static void a_device_without_a_required_point_gets_no_map(void **state)
{
	struct device_sunspec s = { .found = true, .base = 40000, .models = { { 1, 40004, 66 } }, .model_count = 1 };
	struct device_catalogue *c = catalogue();
	const struct device_profile *meter = device_profile_find(c, "sunspec-meter");
	struct device_map *map;
	struct err e;

	(void)state;
	assert_int_equal(device_map_new(meter, 1u << SITE_GRID_METER, false, &s, &map, &e), -1);
	assert_non_null(strstr(e.text, "grid-meter.power_w"));
	assert_int_equal(device_map_new(meter, 1u << SITE_GRID_METER, false, NULL, &map, &e), -1);
	assert_non_null(strstr(e.text, "shows no SunSpec"));
	assert_int_equal(device_map_new(device_profile_find(c, "eastron-sdm630"), 1u << SITE_BMS, false, NULL, &map, &e), -1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_walk_finds_the_models_at_every_base),
		cmocka_unit_test(a_device_without_the_marker_is_no_sunspec_device),
		cmocka_unit_test(a_hostile_model_list_ends_and_says_why),
		cmocka_unit_test(a_walk_that_gets_no_answer_keeps_what_it_has),
		cmocka_unit_test(the_models_choose_the_profile),
		cmocka_unit_test(a_shorter_model_of_an_older_device_lacks_the_points_beyond_its_end),
		cmocka_unit_test(of_a_model_that_is_there_twice_the_first_is_meant),
		cmocka_unit_test(a_wrong_length_costs_what_lies_beyond_it_and_nothing_before),
		cmocka_unit_test(a_device_without_a_required_point_gets_no_map),
		cmocka_unit_test(text_from_a_device_is_made_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
