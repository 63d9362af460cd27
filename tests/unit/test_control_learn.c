/* control: what it learns of the inverter, the oscillation guard, and signals that are there and not true. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "control_rig.h"

static struct control_learned learned_of(const struct rig *r)
{
	struct control_learned l;

	control_learned(r->control, &l);
	return l;
}

static double dead_s(const struct control_learned *l)
{
	return (double)l->learned.dead_time_us / US_PER_S;
}

static double lag_s(const struct control_learned *l)
{
	return (double)l->learned.lag_us / US_PER_S;
}

/* ---- learning ---- */

/* A rig whose profile says dead and lag times those of its plant. */
static void rig_off(struct rig *r, double plant_dead_s, double plant_lag_s, double period_s, double dead, double lag)
{
	struct control_config config = mid();

	config.inverter = (struct control_model){ (int64_t)(plant_dead_s * dead * US_PER_S),
						  (int64_t)(plant_lag_s * lag * US_PER_S), INFINITY };
	config.meter_period_us = (int64_t)(period_s * US_PER_S);
	rig_begin(r, &config, 500, SITE_MODE_SELF_CONSUMPTION);
	r->plant.dead_s = plant_dead_s;
	r->plant.lag_s = plant_lag_s;
	r->plant.meter_period_s = period_s;
	r->plant.power_period_s = 0.2;
}

static void kettles(struct rig *r, struct rng *rng, int count)
{
	for (int k = 0; k < count; k++) {
		r->plant.load_w = k % 2 ? rng_real(rng, 200, 800) : rng_real(rng, 1300, 4500);
		rig_run(r, rng_real(rng, 14, 24));
	}
}

static void a_wrong_profile_is_found_out_in_ten_steps(void **state)
{
	static const double periods[] = { 0.2, 0.5, 1 };

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		double dead, lag, dead_off, lag_off;
		struct control_learned l;
		struct rng rng;
		struct rig r;

		rng_seed(&rng, seed);
		dead = rng_real(&rng, 0.2, 0.6), lag = rng_real(&rng, 0.4, 1.2);
		dead_off = rng_real(&rng, 0.6, 1.4), lag_off = rng_real(&rng, 0.6, 1.4);
		dead = round(dead * 100) / 100;
		rig_off(&r, dead, lag, periods[seed % 3], dead_off, lag_off);
		kettles(&r, &rng, 10);
		l = learned_of(&r);
		if (fabs(dead_s(&l) / dead - 1) > 0.15 || fabs(lag_s(&l) / lag - 1) > 0.15)
			print_message("seed %d period %.1f: dead %.3f (profile %.3f) learned %.3f, lag %.3f (%.3f) %.3f, %u steps %u\n", (int)seed,
				      periods[seed % 3], dead, dead * dead_off, dead_s(&l), lag, lag * lag_off, lag_s(&l), l.steps, l.unjudged);
		assert_true(fabs(dead_s(&l) / dead - 1) <= 0.15);
		assert_true(fabs(lag_s(&l) / lag - 1) <= 0.15);
		assert_in_range(l.steps, 8, 11);
		assert_true(l.confidence_percent >= 60);
		control_free(r.control);
	}
}

static void what_is_learned_stays_within_half_and_twice_of_the_profile(void **state)
{
	static const double factors[] = { 0.2, 0.35, 2.5, 4 };

	(void)state;
	for (size_t k = 0; k < COUNT_OF(factors); k++) {
		struct rng rng;
		struct rig r;

		rng_seed(&rng, k);
		rig_off(&r, 0.3, 0.7, 0.5, factors[k], factors[k]);
		for (int step = 0; step < 20; step++) {
			struct control_learned l;

			kettles(&r, &rng, 1);
			l = learned_of(&r);
			assert_in_range(l.learned.dead_time_us, l.profile.dead_time_us / 2 - 1, l.profile.dead_time_us * 2);
			assert_in_range(l.learned.lag_us, l.profile.lag_us / 2 - 1, l.profile.lag_us * 2);
		}
		control_free(r.control);
	}
}

static void where_the_load_hides_the_truth_it_errs_to_the_slow_side(void **state)
{
	int slower = 0, seen = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct control_learned l;
		struct rng rng;
		struct rig r;

		rng_seed(&rng, seed);
		rig_off(&r, 0.3, 0.7, 0.5, 1, 1);
		for (int k = 0; k < 200; k++) { /* never quiet for a second */
			if (k % 20 == 0)
				r.plant.load_w = k % 40 ? 600 : 3000;
			r.plant.load_w += rng_real(&rng, -150, 150);
			rig_run(&r, 1);
		}
		l = learned_of(&r);
		assert_true(dead_s(&l) + lag_s(&l) >= 0.95 * 1.0);
		slower += dead_s(&l) >= 0.3 * 0.99;
		seen += l.steps > 0;
		control_free(r.control);
	}
	assert_in_range(slower, 17, 20);
	assert_in_range(seen, 10, 20);
}

static void nothing_is_learned_from_a_clamp(void **state)
{
	struct control_learned l;
	struct rng rng;
	struct rig r;

	(void)state;
	rng_seed(&rng, 1);
	rig_off(&r, 0.3, 0.7, 0.5, 0.7, 0.7);
	r.plant.discharge_w = 1000;
	r.plant.load_w = 0;
	rig_run(&r, 10);
	for (int k = 0; k < 6; k++) {
		r.plant.load_w = k % 2 ? 4000 : 2500; /* the set-point stands at 1000 W all the while */
		rig_run(&r, 20);
	}
	l = learned_of(&r);
	assert_int_equal(l.steps, 0);
	assert_memory_equal(&l.learned, &l.profile, sizeof l.learned);
	control_free(r.control);
}

static void nothing_is_learned_from_an_inverter_that_holds_back_by_itself(void **state)
{
	struct control_learned l;
	struct rig r;

	(void)state;
	rig_off(&r, 0.3, 0.7, 0.5, 0.7, 0.7);
	rig_run(&r, 10);
	r.plant.most_w = 1200; /* and no limit says so */
	for (int k = 0; k < 6; k++) {
		r.plant.load_w = k % 2 ? 500 : 3000;
		rig_run(&r, 5);
	}
	l = learned_of(&r);
	assert_in_range(l.unjudged, 1, 10);
	assert_true(lag_s(&l) < 0.75 && dead_s(&l) < 0.4);
	control_free(r.control);
}

static void a_loss_in_the_middle_of_a_step_teaches_nothing_and_forgets_nothing(void **state)
{
	struct control_learned before, after;
	struct rng rng;
	struct rig r;

	(void)state;
	rng_seed(&rng, 3);
	rig_off(&r, 0.3, 0.7, 0.5, 0.7, 0.7);
	kettles(&r, &rng, 6);
	before = learned_of(&r);
	assert_true(before.steps >= 5);
	r.plant.load_w = 3000;
	rig_run(&r, 1);
	r.plant.meter_dead = true;
	rig_run(&r, 10);
	after = learned_of(&r);
	assert_memory_equal(&before.learned, &after.learned, sizeof after.learned);
	assert_int_equal(before.steps, after.steps);
	assert_int_equal(before.unjudged + 1, after.unjudged);
	control_free(r.control);
}

static void a_ramp_is_learned_where_it_shows(void **state)
{
	struct control_config config = mid();
	struct control_learned l;
	struct rng rng;
	struct rig r;

	(void)state;
	rng_seed(&rng, 4);
	config.inverter.ramp_w_per_s = 1500 * 1.4;
	rig_begin(&r, &config, 500, SITE_MODE_SELF_CONSUMPTION);
	r.plant.power_period_s = 0.2;
	r.plant.ramp_w_per_s = 1500;
	kettles(&r, &rng, 14);
	l = learned_of(&r);
	assert_true(fabs(l.learned.ramp_w_per_s / 1500 - 1) < 0.15);
	control_free(r.control);
}

/* ---- the oscillation guard ---- */

static void cycling(double on_s, double off_s, double w)
{
	struct control_config config = mid();
	struct rig r;

	rig_begin(&r, &config, 500, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 20);
	for (double t = 0; t < 180; t += on_s + off_s) {
		r.plant.load_w = 500 + w;
		rig_run(&r, on_s);
		assert_int_equal(r.last.guard.level, 0);
		r.plant.load_w = 500;
		rig_run(&r, off_s);
		assert_int_equal(r.last.guard.level, 0);
	}
	assert_false(r.last.lost);
	control_free(r.control);
}

static void a_load_that_cycles_is_no_oscillation(void **state)
{
	(void)state;
	cycling(60, 120, 90);    /* a fridge */
	cycling(1, 1, 1800);     /* hobs that pulse */
	cycling(0.9, 1.3, 1800);
	cycling(2, 2, 2000);
	cycling(2.5, 2.5, 800);
	cycling(3, 3, 3000);
	cycling(5, 4, 1500);
	cycling(10, 10, 2200);
}

/* The meter shows everything late, and nobody said so: the law takes its own moves for load. */
static void swing(struct rig *r, const struct control_config *config, double late_s)
{
	rig_begin(r, config, 500, SITE_MODE_SELF_CONSUMPTION);
	r->plant.power_period_s = 0.2;
	rig_run(r, 20);
	r->plant.meter_delay_s = late_s;
	r->plant.load_w = 2500;
}

static double swing_of(struct rig *r, double seconds)
{
	double low = INFINITY, high = -INFINITY;

	for (int i = 0; i < lround(seconds * TICKS_PER_S); i++) {
		rig_run(r, 0.01);
		low = fmin(low, grid_now(r));
		high = fmax(high, grid_now(r));
	}
	return high - low;
}

static void an_oscillation_is_damped_and_let_go_step_by_step(void **state)
{
	static const double lates[] = { 2, 2.5, 3 };
	struct control_config config = mid();

	(void)state;
	for (size_t k = 0; k < COUNT_OF(lates); k++) {
		struct rig r;
		int level = 0, most = 0;

		swing(&r, &config, lates[k]);
		for (int i = 0; i < 120 && !r.last.guard.level; i++)
			rig_run(&r, 1);
		assert_true(r.last.guard.level > 0);
		assert_true(r.last.guard.swing_w > 200 && r.last.guard.period_s > 2);
		assert_true(r.last.guard.since_boot_us > 0);
		rig_run(&r, 60);
		most = r.last.guard.level;
		if (k < 2)
			assert_true(swing_of(&r, 20) < 200);
		r.plant.meter_delay_s = 0.1; /* mended */
		level = most;
		for (int i = 0; i < 1200 && r.last.guard.level; i++) {
			rig_run(&r, 1);
			assert_true(r.last.guard.level == level || r.last.guard.level == level - 1);
			level = r.last.guard.level;
		}
		assert_int_equal(r.last.guard.level, 0);
		assert_true(fabs(grid_now(&r)) < 60);
		control_free(r.control);
	}
}

/* ---- signals that are not true ---- */

static void a_meter_that_turns_its_sign_round_is_found_before_it_does_harm(void **state)
{
	(void)state;
	for (int phase = 0; phase < 10; phase++) {
		struct control_config config = mid();
		struct rig r;

		rig_begin(&r, &config, 1000, SITE_MODE_SELF_CONSUMPTION);
		r.plant.power_period_s = phase % 2 ? 0.2 : 0;
		rig_run(&r, 20 + phase * 0.07);
		r.plant.meter_sign = -1;
		r.plant.load_w += phase < 5 ? 400 : -400;
		rig_run(&r, 12);
		assert_true(r.last.lost & CONTROL_TURNED_METER);
		assert_int_equal(r.last.state, CONTROL_SAFE);
		rig_run(&r, 10);
		assert_float_equal(r.plant.told_w, 0, 1e-9);
		/* it stays so, whatever the meter says, until the sign check was made again */
		r.plant.meter_sign = 1;
		rig_run(&r, 60);
		assert_int_equal(r.last.state, CONTROL_SAFE);
		r.envelope.checked = false;
		rig_run(&r, 1);
		assert_int_equal(r.last.state, CONTROL_REFUSED);
		r.envelope.checked = true;
		rig_run(&r, 20);
		assert_int_equal(r.last.state, CONTROL_RUNNING);
		control_free(r.control);
	}
}

static bool is_turned(const struct rig *r)
{
	return r->last.lost & CONTROL_TURNED_METER;
}

/* The battery has gone 100 W away from what would be right: from here on every answer of the loop doubles it. */
static bool runs_away(const struct rig *r)
{
	return fabs(grid_now(r)) > 100;
}

static void turned_at(double load_w, double step_w, double rating_w, double period_s)
{
	struct control_config config = mid();
	struct rig r;
	double found_s, worst_w = 0;

	config.charge_rating_w = config.discharge_rating_w = rating_w;
	config.meter_period_us = (int64_t)(period_s * US_PER_S);
	rig_begin(&r, &config, load_w, SITE_MODE_SELF_CONSUMPTION);
	r.plant.meter_period_s = period_s;
	rig_run(&r, 20);
	r.plant.meter_sign = -1;
	r.plant.load_w += step_w;
	/* a load that stands still leaves it to the meter's noise to begin, which may take long and does no harm */
	assert_true(rig_seconds_until(&r, runs_away, 600) <= 600);
	found_s = rig_seconds_until(&r, is_turned, 60);
	for (int i = 0; i < 1000; i++) {
		rig_run(&r, 0.01);
		worst_w = fmax(worst_w, fabs(grid_now(&r) - r.plant.load_w));
	}
	if (found_s > 4.5 + 3 * period_s || r.plant.told_w != 0)
		fail_msg("load %g W, step %g W, %g W, %g s: found after %g s", load_w, step_w, rating_w, period_s, found_s);
	assert_true(worst_w <= rating_w + 1);
	control_free(r.control);
}

static void a_turned_meter_is_found_at_any_load_and_with_a_small_battery(void **state)
{
	const double loads[] = { 0, 5, 50, 400, -400, 0.6, -0.6 }; /* watts; the last two of a bigger rating */
	const double steps[] = { 0, 30, -30, 100, -100 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(loads); i++) {
		for (size_t k = 0; k < COUNT_OF(steps); k++) {
			bool part = i >= COUNT_OF(loads) - 2;

			turned_at(part ? loads[i] * 5000 : loads[i], steps[k], 5000, 0.5);
			turned_at(part ? loads[i] * 5000 : loads[i], steps[k], 5000, 1);
			turned_at(part ? loads[i] * 2000 : loads[i], steps[k], 2000, 0.5);
			turned_at(part ? loads[i] * 500 : loads[i], steps[k], 1000, 0.5);
		}
	}
}

/* Too near its bound the battery has no way to go that would tell: it stays there until it has. */
static void beside_its_bound_a_turned_meter_is_found_when_the_battery_leaves_it(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	config.site.reserve_percent = 30;
	rig_begin(&r, &config, 4900, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 20);
	r.plant.meter_sign = -1;
	r.plant.load_w = 4800;
	rig_run(&r, 60);
	assert_false(r.last.lost);
	assert_float_equal(r.plant.told_w, 5000, 1e-9);
	r.plant.soc = 29;
	assert_true(rig_seconds_until(&r, is_turned, 60) < 5);
	control_free(r.control);
}

static void no_honest_meter_is_called_turned(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct rng rng;
		struct rig r;

		rng_seed(&rng, seed);
		rig_off(&r, 0.3, 0.7, seed % 2 ? 0.5 : 0.2, rng_real(&rng, 0.5, 2), rng_real(&rng, 0.5, 2));
		for (int k = 0; k < 40; k++) {
			double to = rng_real(&rng, -4000, 4500), slope = rng_real(&rng, 50, 4000) / TICKS_PER_S;
			long hold = lround(rng_real(&rng, 0, 8) * TICKS_PER_S);

			while (fabs(r.plant.load_w - to) > slope) {
				r.plant.load_w += copysign(slope, to - r.plant.load_w);
				rig_run(&r, 0.01);
			}
			rig_run(&r, (double)hold / TICKS_PER_S);
			assert_false(r.last.lost);
		}
		control_free(r.control);
	}
}

static void nor_is_one_over_a_small_battery_or_a_slow_load(void **state)
{
	const double ratings[] = { 600, 1000, 2000, 5000 }, periods[] = { 0.2, 0.5, 1 };

	(void)state;
	for (uint64_t seed = 1; seed <= 96; seed++) {
		struct control_config config = mid();
		double fastest = seed % 2 ? 600 : 4000, period_s = periods[seed / 4 % 3];
		struct rng rng;
		struct rig r;

		rng_seed(&rng, seed);
		config.charge_rating_w = config.discharge_rating_w = ratings[seed % 4];
		config.meter_period_us = (int64_t)(period_s * US_PER_S);
		config.inverter.dead_time_us = (int64_t)(300000 * rng_real(&rng, 0.5, 2));
		config.inverter.lag_us = (int64_t)(700000 * rng_real(&rng, 0.5, 2));
		rig_begin(&r, &config, 0, SITE_MODE_SELF_CONSUMPTION);
		r.plant.meter_period_s = period_s;
		for (int k = 0; k < 20; k++) {
			double to = rng_real(&rng, -4500, 4500), slope = rng_real(&rng, 50, fastest) / TICKS_PER_S;

			while (fabs(r.plant.load_w - to) > slope) {
				r.plant.load_w += copysign(slope, to - r.plant.load_w);
				rig_run(&r, 0.01);
			}
			rig_run(&r, rng_real(&rng, 0, 8));
			assert_false(is_turned(&r));
		}
		control_free(r.control);
	}
}

static void an_inverter_that_shows_its_setpoint_and_does_nothing_is_not_obeying(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 100, SITE_MODE_SELF_CONSUMPTION);
	r.plant.deaf = true;
	rig_run(&r, 5);
	r.plant.load_w = 2000;
	rig_run(&r, 22);
	assert_true(r.last.lost & CONTROL_NOT_OBEYED);
	assert_int_equal(r.last.state, CONTROL_SAFE);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	r.plant.deaf = false; /* it is tried again after a while */
	rig_run(&r, 60);
	assert_int_equal(r.last.state, CONTROL_RUNNING);
	assert_true(fabs(grid_now(&r)) < 60);
	control_free(r.control);
}

static void a_value_that_jumps_for_one_sample_moves_nothing(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 1000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 20);
	for (int k = 0; k < 20; k++) {
		r.plant.spike_w = k % 2 ? 60000 : -40000;
		rig_run(&r, 0.5);
		r.plant.spike_w = 0;
		rig_run(&r, 2);
		assert_true(fabs(r.plant.told_w - 1000) < 30);
	}
	r.plant.load_w = 30000; /* one that stays is believed with its second sample */
	rig_run(&r, 2);
	assert_float_equal(r.plant.told_w, 5000, 1e-9);
	control_free(r.control);
}

static void old_values_with_new_times_are_a_lost_meter(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 1000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 20);
	r.plant.load_w = 1500;
	rig_run(&r, 0.7);
	r.plant.replay = 4; /* the last four values over and over, each as if it were new */
	rig_run(&r, 40);
	assert_true(r.last.lost & CONTROL_FROZEN_METER);
	assert_int_equal(r.last.state, CONTROL_SAFE);
	control_free(r.control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_profile_is_found_out_in_ten_steps),
		cmocka_unit_test(what_is_learned_stays_within_half_and_twice_of_the_profile),
		cmocka_unit_test(where_the_load_hides_the_truth_it_errs_to_the_slow_side),
		cmocka_unit_test(nothing_is_learned_from_a_clamp),
		cmocka_unit_test(nothing_is_learned_from_an_inverter_that_holds_back_by_itself),
		cmocka_unit_test(a_loss_in_the_middle_of_a_step_teaches_nothing_and_forgets_nothing),
		cmocka_unit_test(a_ramp_is_learned_where_it_shows),
		cmocka_unit_test(a_load_that_cycles_is_no_oscillation),
		cmocka_unit_test(an_oscillation_is_damped_and_let_go_step_by_step),
		cmocka_unit_test(a_meter_that_turns_its_sign_round_is_found_before_it_does_harm),
		cmocka_unit_test(a_turned_meter_is_found_at_any_load_and_with_a_small_battery),
		cmocka_unit_test(beside_its_bound_a_turned_meter_is_found_when_the_battery_leaves_it),
		cmocka_unit_test(no_honest_meter_is_called_turned),
		cmocka_unit_test(nor_is_one_over_a_small_battery_or_a_slow_load),
		cmocka_unit_test(an_inverter_that_shows_its_setpoint_and_does_nothing_is_not_obeying),
		cmocka_unit_test(a_value_that_jumps_for_one_sample_moves_nothing),
		cmocka_unit_test(old_values_with_new_times_are_a_lost_meter),
	};

	return cmocka_run_group_tests_name("control-learn", tests, NULL, NULL);
}
