/* Series through the law: by hand, and side by side. */
#include "unit.h"

#include <math.h>

#include "control/control.h"
#include "study/study.h"

static struct tariff *fixed(double import_eur, double export_eur)
{
	static struct tariff t;

	t = (struct tariff){ .import.rates = { import_eur }, .export.rates = { export_eur } };
	return &t;
}

static void a_day_by_hand_comes_out(void **state)
{
	/* 1 h steps: 1 kW surplus for two hours, then 1 kW load for three; 2 kWh battery, half full, 50 % one way:
	 * 500 + 500 Wh stored make it full, 1000 Wh come out of 2000, then it is empty. */
	double load[] = { 0, 0, 1000, 1000, 1000 }, pv[] = { 1000, 1000, 0, 0, 0 };
	struct series s = { .count = 5, .step_us = 3600 * US_PER_S, .load_w = load, .pv_w = pv };
	struct study_case c = { .mode = SITE_MODE_SELF_CONSUMPTION, .battery_wh = 2000, .battery_w = 1000, .efficiency = 0.5,
				.limits = control_no_limits() };
	auto_study struct study *study = NULL;
	struct study_result *r;
	struct err e;

	(void)state;
	assert_int_equal(study_run(&s, fixed(0.3, 0.1), &c, 1, &study, &e), 0);
	r = &study->results[0];
	assert_float_equal(r->charge_wh, 2000, 1e-6);
	assert_float_equal(r->discharge_wh, 1000, 1e-6);
	assert_float_equal(r->import_wh, 2000, 1e-6);
	assert_float_equal(r->export_wh, 0, 1e-6);
	assert_float_equal(r->cost_eur, 0.6, 1e-6);
	assert_float_equal(r->saving_eur, 0.9 - 0.2 - 0.6, 1e-6);
	assert_float_equal(r->soc_end_percent, 0, 1e-9);
	assert_float_equal(r->soc_percent[1], 100, 1e-9);
	assert_float_equal(r->battery_w[0], -1000, 1e-9);
}

static void a_gap_counts_as_nothing_and_moves_nothing(void **state)
{
	double load[] = { 1000, NAN, NAN, 1000 }, pv[] = { 0, NAN, NAN, 0 };
	struct series s = { .count = 4, .step_us = 3600 * US_PER_S, .load_w = load, .pv_w = pv };
	struct study_case c = { .mode = SITE_MODE_SELF_CONSUMPTION, .battery_wh = 4000, .battery_w = 1000, .efficiency = 1,
				.limits = control_no_limits() };
	auto_study struct study *study = NULL;
	struct err e;

	(void)state;
	assert_int_equal(study_run(&s, fixed(0.3, 0.1), &c, 1, &study, &e), 0);
	assert_int_equal(study->results[0].steps, 2);
	assert_int_equal(study->results[0].gaps, 2);
	assert_float_equal(study->results[0].load_wh, 2000, 1e-9);
	assert_float_equal(study->results[0].discharge_wh, 2000, 1e-6);
	assert_true(isnan(study->results[0].grid_w[1]));
	assert_float_equal(study->results[0].soc_end_percent, 0, 1e-6);
}

static void each_case_is_as_if_it_were_alone(void **state)
{
	double load[96], pv[96];
	struct series s = { .count = 96, .step_us = 900 * US_PER_S, .load_w = load, .pv_w = pv };
	struct study_case cases[3];
	auto_study struct study *all = NULL;
	struct rng rng;
	struct err e;

	(void)state;
	rng_seed(&rng, 7);
	for (int i = 0; i < 96; i++) {
		load[i] = rng_real(&rng, 0, 3000);
		pv[i] = rng_real(&rng, 0, 3000);
	}
	for (int i = 0; i < 3; i++)
		cases[i] = (struct study_case){ .mode = i ? SITE_MODE_SELF_CONSUMPTION : SITE_MODE_OFF, .battery_wh = 1000 * (i + 1),
						.battery_w = 2000, .efficiency = 0.9, .limits = control_no_limits() };
	assert_int_equal(study_run(&s, fixed(0.3, 0.1), cases, 3, &all, &e), 0);
	for (int i = 0; i < 3; i++) {
		auto_study struct study *alone = NULL;

		assert_int_equal(study_run(&s, fixed(0.3, 0.1), &cases[i], 1, &alone, &e), 0);
		for (size_t k = 0; k < study_figure_count; k++) {
			double a = study_figure_of(&all->results[i], &study_figures[k]), b = study_figure_of(&alone->results[0], &study_figures[k]);

			assert_true(a == b);
		}
		/* What flows is what is consumed: an energy balance that the law has no part in. */
		assert_float_equal(all->results[i].import_wh - all->results[i].export_wh + all->results[i].discharge_wh - all->results[i].charge_wh,
				   all->results[i].load_wh - all->results[i].pv_wh, 1e-6);
	}
	assert_float_equal(all->results[0].saving_eur, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_by_hand_comes_out),
		cmocka_unit_test(a_gap_counts_as_nothing_and_moves_nothing),
		cmocka_unit_test(each_case_is_as_if_it_were_alone),
	};

	return cmocka_run_group_tests_name("study", tests, NULL, NULL);
}
