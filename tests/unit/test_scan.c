/* scan's rows as JSON; what a scan does on a network is in tests/system/scan.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "scan/scan.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_survives_its_json),
		cmocka_unit_test(what_is_empty_is_null),
		cmocka_unit_test(a_row_from_nowhere_is_refused),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
