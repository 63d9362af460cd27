/* The battery inverter of the simulated site: the window of model 124, its times, its bank. */
#include "sim_site.h"

static void the_window_of_model_124_decides_the_set_point(void **state)
{
	static const struct { int mode, out, in; double w; } cases[] = {
		{ 0, 10000, 10000, 0 },       /* as delivered */
		{ 0, 3000, -3000, 0 },        /* rates without their bits */
		{ 3, 3000, -3000, 1500 },     /* a set-point out */
		{ 3, -4000, 4000, -2000 },    /* a set-point in */
		{ 3, 0, 0, 0 },
		{ 3, 3000, 4000, 0 },         /* room on both sides: rests */
		{ 2, -4000, 10000, -2000 },   /* at most -40 % out: must charge */
		{ 1, 10000, -900, 450 },      /* at most -9 % in: must discharge */
		{ 1, -4000, 10000, 0 },       /* the discharge bit is not set: the rate counts for nothing */
		{ 3, -4000, -4000, 0 },       /* empty */
		{ 3, 10000, -10000, 5000 },
		{ 3, -10000, 10000, -5000 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(put2(*state, SIM_BATTERY, OUT_RATE, cases[i].out, cases[i].in), 0);
		assert_int_equal(put(*state, SIM_BATTERY, MODE, cases[i].mode), 0);
		live(*state, 70);
		assert_near(setpoint(*state), cases[i].w, 1e-6);
	}
}

static void rates_written_one_after_the_other_do_not_jerk_through_an_empty_window(void **state)
{
	struct site *s = *state;

	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 6000, -6000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_near(setpoint(s), 3000, 1e-6);
	assert_int_equal(put(s, SIM_BATTERY, OUT_RATE, 2000), 0); /* at least 3000 W and at most 1000 W */
	assert_near(setpoint(s), 3000, 1e-6);
	assert_int_equal(put(s, SIM_BATTERY, IN_RATE, -2000), 0);
	assert_near(setpoint(s), 1000, 1e-6);
}

static void a_refused_write_leaves_everything_as_it_was(void **state)
{
	struct site *s = *state;

	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 2000, -2000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 1000, -10001), 3); /* the second value is out of range */
	assert_int_equal(put(s, SIM_BATTERY, MODE, 4), 3);
	assert_int_equal(put(s, SIM_BATTERY, B124 + 8, 1), 2);             /* ChaState is measured */
	assert_int_equal(put2(s, SIM_BATTERY, B124 + 17, 1, 0), 2);        /* the second register is a scale factor */
	assert_near(setpoint(s), 1000, 1e-6);
	assert_int_equal(get1(s, SIM_BATTERY, 3, OUT_RATE), 2000);
	assert_int_equal(device(s, SIM_BATTERY)->writes, 2);
}

static void a_ramp_time_takes_the_set_point_there_slowly(void **state)
{
	struct site *s = *state;

	assert_int_equal(put(s, SIM_BATTERY, RAMP_S, 100), 0);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 10000, -10000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	live(s, 300);
	assert_near(setpoint(s), 15, 14);
}

static void the_revert_time_gives_the_set_point_up_and_shows_it(void **state)
{
	struct site *s = *state;
	int64_t until = now_read().boot_us + 5 * US_PER_S;

	assert_int_equal(get1(s, SIM_BATTERY, 3, REVERT_S), 60);
	assert_int_equal(put(s, SIM_BATTERY, REVERT_S, 1), 0);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 4000, -4000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, BATTERY_VND), 2);
	while (get1(s, SIM_BATTERY, 3, BATTERY_VND) != 3 && now_read().boot_us < until)
		live(s, 50);
	assert_int_equal(get1(s, SIM_BATTERY, 3, MODE), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, OUT_RATE), 10000);
	live(s, 500);
	assert_near(sim_plant_now(s->sim)->battery_w, 0, 2);
	/* What comes next counts, and is not taken for the old one. */
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 2000, -2000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, MODE), 3);
	assert_near(setpoint(s), 1000, 1e-6);
}

static void a_disconnected_bank_gives_nothing_and_says_so(void **state)
{
	struct site *s = *state;

	assert_int_equal(put(s, SIM_BATTERY, B802 + 50, 2), 0);
	live(s, 50);
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 22), 1);
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 45), 0);
	assert_int_equal(get1(s, SIM_BATTERY, 3, 40108), 1);
	assert_int_equal(put(s, SIM_BATTERY, B802 + 50, 1), 0);
	live(s, 50);
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 22), 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_window_of_model_124_decides_the_set_point),
		T(rates_written_one_after_the_other_do_not_jerk_through_an_empty_window),
		T(a_refused_write_leaves_everything_as_it_was),
		T(a_ramp_time_takes_the_set_point_there_slowly),
		T(the_revert_time_gives_the_set_point_up_and_shows_it),
		T(a_disconnected_bank_gives_nothing_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
