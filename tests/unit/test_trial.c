/* The judge of a live device, on rounds made by hand. */
#include <math.h>
#include <string.h>

#include "trial/trial.h"
#include "unit.h"

struct told { struct trial_row rows[POINT_COUNT + 16]; size_t count; };

static void take_row(void *arg, const struct trial_row *row)
{
	struct told *t = arg;

	t->rows[t->count++] = *row;
}

static const struct trial_row *row_of(const struct told *t, const char *what)
{
	for (size_t i = 0; i < t->count; i++)
		if (str_eq(t->rows[i].what, what))
			return &t->rows[i];
	return NULL;
}

static void put(struct trial_record *r, size_t round, enum device_point p, double value)
{
	r->has[p] = true;
	r->readings[round][p] = (struct device_reading){ .quality = DEVICE_GOOD, .value = value, .raw = value,
							 .at_boot_us = (int64_t)(round + 1) * US_PER_S };
}

static struct trial_record *record(size_t rounds)
{
	struct trial_record *r = xcalloc(1, sizeof *r);

	r->rounds = rounds;
	return r;
}

static void judge(struct trial_record *r, struct told *t)
{
	*t = (struct told){ .count = 0 };
	trial_judge(r, take_row, t);
	free(r);
}

static void a_voltage_with_a_wrong_scale_is_suspicious_and_the_words_name_the_factor(void **state)
{
	struct trial_record *r = record(3);
	struct told t;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		put(r, i, POINT_GRID_VOLTAGE_L1_V, 23.1);
	judge(r, &t);
	assert_int_equal(row_of(&t, "grid-meter.voltage_l1_v")->verdict, TRIAL_SUSPICIOUS);
	assert_non_null(strstr(row_of(&t, "grid-meter.voltage_l1_v")->why, "10 times that"));
}

static void an_energy_that_runs_back_is_suspicious_and_one_that_grows_is_not(void **state)
{
	struct trial_record *r = record(3);
	struct told t;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		put(r, i, POINT_GRID_IMPORT_WH, 1000 + (double)i);
		put(r, i, POINT_GRID_EXPORT_WH, 1000 - (double)i);
	}
	judge(r, &t);
	assert_int_equal(row_of(&t, "grid-meter.import_wh")->verdict, TRIAL_OK);
	assert_int_equal(row_of(&t, "grid-meter.export_wh")->verdict, TRIAL_SUSPICIOUS);
}

static void one_jump_between_two_reads_is_no_contradiction_and_a_wrong_sign_is(void **state)
{
	struct trial_record *r = record(5), *s = record(5);
	struct told t;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		put(r, i, POINT_GRID_POWER_W, i == 2 ? 4000 : 1500);
		put(s, i, POINT_GRID_POWER_W, -1500);
		for (int p = POINT_GRID_POWER_L1_W; p <= POINT_GRID_POWER_L3_W; p++) {
			put(r, i, (enum device_point)p, 500);
			put(s, i, (enum device_point)p, 500);
		}
	}
	judge(r, &t);
	assert_int_equal(row_of(&t, "power is the sum of its phases")->verdict, TRIAL_OK);
	judge(s, &t);
	assert_int_equal(row_of(&t, "power is the sum of its phases")->verdict, TRIAL_SUSPICIOUS);
	assert_non_null(strstr(row_of(&t, "power is the sum of its phases")->why, "wrong sign"));
}

static void more_power_than_voltage_times_current_is_suspicious(void **state)
{
	struct trial_record *r = record(3);
	struct told t;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		put(r, i, POINT_GRID_POWER_L1_W, 2300);
		put(r, i, POINT_GRID_VOLTAGE_L1_V, 230);
		put(r, i, POINT_GRID_CURRENT_L1_A, 1);
	}
	judge(r, &t);
	assert_int_equal(row_of(&t, "power fits voltage and current")->verdict, TRIAL_SUSPICIOUS);
}

static void a_genset_at_rest_is_well_at_0_hz_and_one_that_makes_power_is_not(void **state)
{
	static const struct { double power_w, hz; enum trial_verdict verdict; } cases[] = {
		{ 0, 0, TRIAL_OK }, { 5000, 0, TRIAL_SUSPICIOUS }, { NAN, 0, TRIAL_SUSPICIOUS }, { 0, 5, TRIAL_SUSPICIOUS },
		{ 5000, 50, TRIAL_OK },
	};
	struct told t;

	(void)state;
	for (size_t n = 0; n < COUNT_OF(cases); n++) {
		struct trial_record *r = record(3);

		for (size_t i = 0; i < 3; i++) {
			if (isfinite(cases[n].power_w))
				put(r, i, POINT_GENSET_POWER_W, cases[n].power_w);
			put(r, i, POINT_GENSET_FREQUENCY_HZ, cases[n].hz);
		}
		judge(r, &t);
		assert_int_equal(row_of(&t, "genset.frequency_hz")->verdict, cases[n].verdict);
	}
}

static void a_meter_that_never_moves_is_suspicious_a_battery_at_rest_is_not(void **state)
{
	struct trial_record *r = record(6), *s = record(6);
	struct told t;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		put(r, i, POINT_GRID_POWER_W, 812);
		put(s, i, POINT_BATTERY_POWER_W, 0);
	}
	judge(r, &t);
	assert_int_equal(row_of(&t, "values move")->verdict, TRIAL_SUSPICIOUS);
	judge(s, &t);
	assert_int_equal(row_of(&t, "values move")->verdict, TRIAL_OK);
}

static void absent_refused_and_now_and_then_are_three_verdicts(void **state)
{
	struct trial_record *r = record(4);
	struct told t;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		put(r, i, POINT_BMS_SOC_PERCENT, 50);
		put(r, i, POINT_BMS_TEMPERATURE_C, 21);
		put(r, i, POINT_BMS_VOLTAGE_V, 400);
		r->readings[i][POINT_BMS_TEMPERATURE_C].quality = DEVICE_ABSENT;
		if (i == 1)
			r->readings[i][POINT_BMS_VOLTAGE_V].quality = DEVICE_ABSENT;
		r->has[POINT_BMS_CURRENT_A] = true;
		r->readings[i][POINT_BMS_CURRENT_A] = (struct device_reading){ .quality = DEVICE_UNKNOWN, .value = NAN, .raw = NAN,
									       .why = "exception 2" };
	}
	judge(r, &t);
	assert_int_equal(row_of(&t, "bms.soc_percent")->verdict, TRIAL_OK);
	assert_int_equal(row_of(&t, "bms.temperature_c")->verdict, TRIAL_ABSENT);
	assert_int_equal(row_of(&t, "bms.voltage_v")->verdict, TRIAL_SUSPICIOUS);
	assert_int_equal(row_of(&t, "bms.current_a")->verdict, TRIAL_FAILED);
	assert_string_equal(row_of(&t, "bms.current_a")->why, "exception 2");
}

static void a_row_crosses_as_json_and_comes_back(void **state)
{
	struct trial_row row = { .point = POINT_GRID_POWER_W, .verdict = TRIAL_SUSPICIOUS, .what = "grid-meter.power_w", .reads = 6,
				 .changes = 2, .value = 812.5, .lowest = 800, .highest = NAN, .raw = 8125, .why = "odd \033[2J" }, back;
	json_t *o = trial_row_to_json(&row);
	struct err e;

	(void)state;
	assert_non_null(o);
	assert_int_equal(trial_row_from_json(o, &back, &e), 0);
	assert_int_equal(back.point, row.point);
	assert_int_equal(back.verdict, row.verdict);
	assert_true(back.value == 812.5 && isnan(back.highest));
	assert_null(strchr(back.why, '\033'));
	json_object_set_new(o, "verdict", json_string("good"));
	assert_int_equal(trial_row_from_json(o, &back, &e), -1);
	json_decref(o);
	memset(row.why, 'x', sizeof row.why);
	assert_false(trial_row_ok(&row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_voltage_with_a_wrong_scale_is_suspicious_and_the_words_name_the_factor),
		cmocka_unit_test(an_energy_that_runs_back_is_suspicious_and_one_that_grows_is_not),
		cmocka_unit_test(one_jump_between_two_reads_is_no_contradiction_and_a_wrong_sign_is),
		cmocka_unit_test(more_power_than_voltage_times_current_is_suspicious),
		cmocka_unit_test(a_genset_at_rest_is_well_at_0_hz_and_one_that_makes_power_is_not),
		cmocka_unit_test(a_meter_that_never_moves_is_suspicious_a_battery_at_rest_is_not),
		cmocka_unit_test(absent_refused_and_now_and_then_are_three_verdicts),
		cmocka_unit_test(a_row_crosses_as_json_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
