/* scan's rows as JSON; what a scan does on a network is in tests/system/scan.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "scan/scan.h"
#include "scan/search.h"

static void a_row_survives_its_json(void **state)
{
	struct scan_row row = { .state = SCAN_DEVICE, .identity = { .make = "Mk", .model = "Md", .version = "1", .serial = "S" },
				.profile = "sunspec-meter", .match = DEVICE_PROPOSED, .evidence = "seen", .fault_count = 1,
				.faults = { "odd" }, .sunspec = { .found = true, .base = 40000, .model_count = 2,
								  .models = { { .id = 1 }, { .id = 203 } } } };
	struct scan_row back;
	struct err e;
	json_t *j;

	(void)state;
	assert_int_equal(bus_address_parse("tcp://127.0.0.9:1502#3", &row.address, &e), 0);
	j = scan_row_to_json(&row);
	assert_non_null(j);
	assert_int_equal(scan_row_from_json(j, &back, &e), 0);
	json_decref(j);
	assert_int_equal(back.state, SCAN_DEVICE);
	assert_int_equal(back.address.unit, 3);
	assert_int_equal(back.match, DEVICE_PROPOSED);
	assert_string_equal(back.identity.serial, "S");
	assert_string_equal(back.profile, "sunspec-meter");
	assert_string_equal(back.faults[0], "odd");
	assert_int_equal(back.sunspec.models[1].id, 203);
}

static void what_is_empty_is_null(void **state)
{
	struct scan_row row = { .state = SCAN_SILENT };
	struct err e;
	json_t *j;

	(void)state;
	assert_int_equal(bus_address_parse("tcp://127.0.0.9", &row.address, &e), 0);
	j = scan_row_to_json(&row);
	assert_true(json_is_null(json_object_get(j, "serial")));
	assert_true(json_is_null(json_object_get(j, "sunspec")));
	assert_string_equal(json_string_value(json_object_get(j, "address")), "tcp://127.0.0.9:502");
	json_decref(j);
}

static void a_row_from_nowhere_is_refused(void **state)
{
	static const char *const bad[] = { "{}", "[]", "{\"state\": \"device\"}", "{\"address\": \"tcp://127.0.0.1#1\"}",
					   "{\"address\": \"nonsense\", \"state\": \"device\"}",
					   "{\"address\": \"tcp://127.0.0.1#1\", \"state\": \"king\"}" };
	struct scan_row row;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		json_t *j = json_loads(bad[i], 0, NULL);

		assert_int_equal(scan_row_from_json(j, &row, &e), -1);
		json_decref(j);
	}
}

static const struct bus_address a_line = { .kind = BUS_RTU, .path = "/dev/ttyS1" };

/* Every try of a whole search: unit, and setting as baud and parity. */
struct tries { size_t count; struct { uint8_t unit; uint32_t baud; char parity; } list[4000]; };

static void try_all(struct search *s, struct tries *t)
{
	struct bus_address a = a_line;
	enum search_step step;
	size_t left;

	search_setting(s, &a);
	t->count = 0;
	for (left = search_left(s); (step = search_next(s)) != SEARCH_END; ) {
		if (step == SEARCH_SETTING) {
			search_setting(s, &a);
			continue;
		}
		assert_int_equal(search_left(s), --left); /* the estimate is exact when nothing answers */
		assert_true(t->count < COUNT_OF(t->list));
		t->list[t->count].unit = s->unit;
		t->list[t->count].baud = a.baud;
		t->list[t->count++].parity = a.parity;
	}
	assert_int_equal(left, 0);
}

static void a_search_asks_likely_units_at_all_settings_before_rare_ones_at_any(void **state)
{
	struct search s;
	struct tries t;

	(void)state;
	search_init(&s, &a_line, &(struct search_wish){ .every_unit = false });
	try_all(&s, &t);
	assert_int_equal(t.count, 12 * 15);
	assert_true(t.list[0].unit == 1 && t.list[0].baud == 9600 && t.list[0].parity == 'N');
	for (size_t i = 0; i < t.count; i++)
		assert_true((t.list[i].unit <= 3) == (i < 12 * 3));
}

static void a_search_for_every_unit_asks_each_once_at_each_setting(void **state)
{
	static uint8_t asked[256];
	struct search s;
	static struct tries t;

	(void)state;
	search_init(&s, &a_line, &(struct search_wish){ .every_unit = true });
	try_all(&s, &t);
	assert_int_equal(t.count, 12 * 247);
	for (size_t i = 0; i < t.count; i++)
		asked[t.list[i].unit]++;
	for (int unit = 1; unit <= 247; unit++)
		assert_int_equal(asked[unit], 12);
}

static void units_of_own_profiles_are_asked_although_the_first_two_are_silent(void **state)
{
	static const uint8_t own[] = { 17, 1, 255 }, order[] = { 1, 2, 17, 255, 3, 247, 71, 100, 126, 240, 0 };
	const struct bus_address host = { .kind = BUS_TCP, .host = "127.0.0.1", .port = 502 };
	const struct search_wish w = { .own = own, .own_count = COUNT_OF(own) };
	struct search s;

	(void)state;
	search_init(&s, &host, &w);
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		assert_int_equal(search_is_sure(&s), i < 4);
		assert_int_equal(search_next(&s), SEARCH_UNIT);
		assert_int_equal(s.unit, order[i]);
	}
	assert_int_equal(search_next(&s), SEARCH_END);
	/* without any, two silent units are enough as before */
	search_init(&s, &host, &(struct search_wish){ .few = false });
	for (int i = 0; i < 2; i++)
		assert_int_equal(search_next(&s), SEARCH_UNIT);
	assert_false(search_is_sure(&s));
}

static void on_a_line_units_of_own_profiles_come_after_the_first_and_only_if_a_line_has_them(void **state)
{
	static const uint8_t own[] = { 17, 0, 255, 2 };
	struct search s;
	struct tries t;

	(void)state;
	search_init(&s, &a_line, &(struct search_wish){ .own = own, .own_count = COUNT_OF(own) });
	try_all(&s, &t);
	assert_int_equal(t.count, 12 * 16);
	assert_int_equal(t.list[12 * 3].unit, 17);
}

static void one_answer_fixes_the_setting_and_only_units_are_left(void **state)
{
	uint8_t before[256] = { 0 };
	struct search s;

	(void)state;
	search_init(&s, &a_line, &(struct search_wish){ .every_unit = true });
	for (int i = 0; i < 5; i++) /* units 1, 2, 3, the next setting, unit 1 of it */
		assert_int_equal(search_next(&s) == SEARCH_SETTING, i == 3);
	search_settle(&s);
	assert_int_equal(search_left(&s), 246);
	assert_true(search_again(&s, 1));
	assert_false(search_again(&s, 1));
	assert_int_equal(search_next(&s), SEARCH_UNIT);
	assert_int_equal(s.unit, 1);
	for (int i = 0; i < 246; i++) {
		assert_int_equal(search_next(&s), SEARCH_UNIT);
		assert_int_equal(before[s.unit]++, 0);
	}
	assert_int_equal(search_next(&s), SEARCH_END);
	assert_int_equal(s.setting, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_survives_its_json),
		cmocka_unit_test(what_is_empty_is_null),
		cmocka_unit_test(a_row_from_nowhere_is_refused),
		cmocka_unit_test(a_search_asks_likely_units_at_all_settings_before_rare_ones_at_any),
		cmocka_unit_test(a_search_for_every_unit_asks_each_once_at_each_setting),
		cmocka_unit_test(units_of_own_profiles_are_asked_although_the_first_two_are_silent),
		cmocka_unit_test(on_a_line_units_of_own_profiles_come_after_the_first_and_only_if_a_line_has_them),
		cmocka_unit_test(one_answer_fixes_the_setting_and_only_units_are_left),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
