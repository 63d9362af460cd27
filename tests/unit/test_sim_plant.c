/* The plant of the simulated site, driven without a socket. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim.h"

#define assert_near(a, b, by) do { double a_ = (a), b_ = (b); \
	if (!(fabs(a_ - b_) <= (by))) fail_msg("%s is %.9g, expected %.9g ± %g", #a, a_, b_, (double)(by)); } while (0)

static int64_t s_us(double s)
{
	return (int64_t)llround(s * 1e6);
}

/* A plant at 50 %, its meter without noise. */
struct world {
	struct sim_parameters p;
	struct sim_inputs in;
	struct sim_plant s;
};

static struct world world(double soc_percent)
{
	struct world w = { .in = { .setpoint_at_us = -1 } };

	sim_parameters_default(&w.p);
	w.p.meter_noise_w = 0;
	sim_plant_begin(&w.s, &w.p, soc_percent);
	return w;
}

static void until(struct world *w, double s)
{
	sim_plant_step(&w->s, &w->p, &w->in, s_us(s));
}

/* Hours in which everything happens: load and sun wander, the set-point jumps about, both ends of the battery are
 * met. */
static void wander(struct world *w, double seconds, double chunk_s)
{
	struct rng r;

	rng_seed(&r, 7);
	for (double t = 0; t < seconds; t += 10) {
		w->in.load_w = rng_real(&r, 0, 6000);
		w->in.pv_w = fmax(rng_real(&r, -4000, 7000), 0);
		w->in.setpoint_w = rng_real(&r, -8000, 8000);
		w->in.setpoint_at_us = s_us(t);
		for (double u = chunk_s; u < 10; u += chunk_s)
			until(w, t + u);
		until(w, t + 10);
	}
}

static struct world small_battery_wandered(void)
{
	struct world w = world(50);

	w.p.battery_wh = 500;
	sim_plant_begin(&w.s, &w.p, 50);
	wander(&w, 6 * 3600, 10);
	return w;
}

static void energy_is_conserved_at_the_connection_point(void **state)
{
	struct world w = small_battery_wandered();
	struct sim_plant *s = &w.s;

	(void)state;
	assert_true(s->import_wh > 1000 && s->export_wh > 1000 && s->charge_wh > 500 && s->discharge_wh > 500);
	assert_near(s->import_wh - s->export_wh + s->pv_wh - s->load_wh + s->discharge_wh - s->charge_wh, 0, 1e-6);
	assert_near(s->grid_w, s->load_w - s->pv_w - s->battery_w, 1e-9);
}

static void what_is_stored_is_what_went_in_less_the_losses(void **state)
{
	struct world w = small_battery_wandered();

	(void)state;
	assert_near(w.s.energy_wh, 250 + w.s.charge_wh * 0.95 - w.s.discharge_wh / 0.95, 1e-6);
	assert_true(w.s.energy_wh >= 0 && w.s.energy_wh <= 500);
}

static void standby_is_taken_from_the_battery_alone(void **state)
{
	struct world w = world(50);

	(void)state;
	w.p.standby_w = 36;
	w.in.load_w = 300;
	until(&w, 3600);
	assert_near(w.s.energy_wh, 5000 - 36, 1e-6);
	assert_near(w.s.grid_w, 300, 0);
}

static void splitting_a_step_changes_nothing(void **state)
{
	struct world a = world(50), b = world(50);

	(void)state;
	a.p.meter_noise_w = b.p.meter_noise_w = 5;
	wander(&a, 600, 10);
	wander(&b, 600, 0.0137); /* not a multiple of the step, either */
	assert_memory_equal(&a.s, &b.s, sizeof a.s);
}

static void the_same_seed_gives_the_same_world_and_another_seed_another_noise(void **state)
{
	struct world a = world(50), b = world(50), c = world(50);

	(void)state;
	a.p.meter_noise_w = b.p.meter_noise_w = c.p.meter_noise_w = 5;
	c.p.seed = 2;
	sim_plant_begin(&c.s, &c.p, 50);
	wander(&a, 60, 10);
	wander(&b, 60, 10);
	wander(&c, 60, 10);
	assert_memory_equal(&a.s, &b.s, sizeof a.s);
	assert_true(a.s.meter_w != c.s.meter_w);
	assert_near(a.s.battery_w, c.s.battery_w, 0); /* the noise is the meter's, not the plant's */
}

static void less_than_a_step_or_a_time_past_changes_nothing(void **state)
{
	struct world a = world(50);
	struct sim_plant was;

	(void)state;
	until(&a, 0.05);
	was = a.s;
	until(&a, 0.059999);
	until(&a, 0);
	assert_memory_equal(&a.s, &was, sizeof was);
}

static void a_set_point_takes_the_dead_time_and_then_the_lag(void **state)
{
	struct world w = world(50);

	(void)state;
	w.in.setpoint_w = 3000;
	until(&w, 0.30);
	assert_near(w.s.battery_w, 0, 0);
	until(&w, 0.31);
	assert_true(w.s.battery_w > 0);
	until(&w, 0.3 + 0.7); /* one time constant: 63.2 % */
	assert_near(w.s.battery_w, 3000 * (1 - exp(-1)), 0.5);
	until(&w, 0.3 + 2.1);
	assert_near(w.s.battery_w, 3000 * (1 - exp(-3)), 0.5);
}

static void without_dead_time_and_lag_power_follows_in_one_step(void **state)
{
	struct world w = world(50);

	(void)state;
	w.p.dead_time_s = w.p.lag_s = 0;
	w.in.setpoint_w = -2000;
	until(&w, 0.01);
	assert_near(w.s.battery_w, -2000, 0);
}

static void the_ramp_bounds_the_change_of_power(void **state)
{
	struct world w = world(50);

	(void)state;
	w.p.ramp_w_per_s = 1000;
	w.p.lag_s = w.p.dead_time_s = 0;
	w.in.setpoint_w = 4000;
	until(&w, 1.5);
	assert_near(w.s.battery_w, 1500, 1e-6);
	w.in.setpoint_w = -4000;
	until(&w, 3.5);
	assert_near(w.s.battery_w, -500, 1e-6);
}

static void the_rating_bounds_the_set_point(void **state)
{
	struct world w = world(50);

	(void)state;
	w.in.setpoint_w = 99999;
	until(&w, 20);
	assert_near(w.s.battery_w, 5000, 1e-3);
	assert_near(w.s.command_w, 5000, 0);
}

static void the_bms_tapers_at_both_ends_and_stops_there(void **state)
{
	struct world w = world(97.5);

	(void)state;
	assert_near(w.s.charge_limit_w, 2500, 1e-6);
	assert_near(w.s.discharge_limit_w, 5000, 1e-6);
	w.in.setpoint_w = -5000;
	until(&w, 3 * 3600);
	assert_near(sim_plant_soc(&w.s, &w.p), 100, 1e-6);
	assert_near(w.s.battery_w, 0, 1e-3);
	assert_near(w.s.charge_limit_w, 0, 0);
	w.in.setpoint_w = 5000;
	until(&w, 3 * 3600 + 20);
	assert_near(w.s.battery_w, 5000, 1);
	until(&w, 10 * 3600);
	assert_near(w.s.energy_wh, 0, 1e-4);
	assert_near(w.s.battery_w, 0, 1e-3);
	assert_near(w.s.discharge_limit_w, 0, 0);
}

static void below_the_reserve_it_charges_but_does_not_discharge(void **state)
{
	struct world w = world(50);

	(void)state;
	w.in.reserve_percent = 60;
	w.in.setpoint_w = 2000;
	until(&w, 10);
	assert_near(w.s.battery_w, 0, 0);
	w.in.setpoint_w = -2000;
	until(&w, 20);
	assert_near(w.s.battery_w, -2000, 1);
}

static void the_watchdog_takes_a_forgotten_set_point_away_and_a_new_one_brings_it_back(void **state)
{
	struct world w = world(50);

	(void)state;
	w.in = (struct sim_inputs){ .setpoint_w = 3000, .setpoint_at_us = 0 };
	until(&w, 60);
	assert_false(w.s.watchdog_tripped);
	assert_near(w.s.battery_w, 3000, 1);
	until(&w, 66);
	assert_true(w.s.watchdog_tripped);
	assert_near(w.s.battery_w, 0, 5);
	w.in.setpoint_at_us = w.s.at_us;
	until(&w, 72);
	assert_false(w.s.watchdog_tripped);
	assert_near(w.s.battery_w, 3000, 5);
}

static void what_was_never_written_trips_nothing(void **state)
{
	struct world w = world(50);

	(void)state;
	until(&w, 300);
	assert_false(w.s.watchdog_tripped);
}

static void the_meter_shows_a_mean_late_and_says_of_when(void **state)
{
	struct world w = world(50);

	(void)state;
	w.in.load_w = 1000;
	until(&w, 0.45); /* half of the mean that ends at 0.5 s */
	w.in.load_w = 2000;
	until(&w, 0.59);
	assert_near(w.s.meter_w, 0, 0);
	until(&w, 0.60);
	assert_near(w.s.meter_w, 1500, 1e-9);
	assert_int_equal(w.s.meter_at_us, 450000);
	assert_near(w.s.meter_l_w[0] + w.s.meter_l_w[1] + w.s.meter_l_w[2], 1500, 1e-9);
	assert_true(w.s.meter_l_w[0] > w.s.meter_l_w[2]);
	until(&w, 1.09);
	assert_near(w.s.meter_w, 1500, 1e-9);
	until(&w, 1.10);
	assert_near(w.s.meter_w, 2000, 1e-9);
}

static void the_meter_keeps_up_when_its_delay_is_a_whole_period(void **state)
{
	struct world w = world(50);

	(void)state;
	w.p.meter_delay_s = 7; /* cut to the period */
	w.in.load_w = 1000;
	until(&w, 10);
	assert_int_equal(w.s.meter_at_us, 9450000);
	assert_near(w.s.meter_w, 1000, 1e-9);
}

static void the_meter_noise_has_no_bias_and_the_stated_deviation(void **state)
{
	struct world w = world(50);
	double sum = 0, square = 0;
	enum { n = 4000 };

	(void)state;
	w.p.meter_noise_w = 5;
	w.in.load_w = 1000;
	for (int i = 1; i <= n; i++) {
		until(&w, 0.1 + 0.5 * i);
		sum += w.s.meter_w - 1000;
		square += (w.s.meter_w - 1000) * (w.s.meter_w - 1000);
	}
	assert_near(sum / n, 0, 0.3);
	assert_near(sqrt(square / n), 5, 0.3);
}

static void the_inverter_shows_its_power_at_its_own_pace(void **state)
{
	struct world w = world(50);
	double shown;

	(void)state;
	w.in.setpoint_w = 3000;
	until(&w, 0.81);
	shown = w.s.inverter_w;
	assert_true(shown > 500);
	until(&w, 0.99);
	assert_near(w.s.inverter_w, shown, 0);
	assert_true(w.s.battery_w > shown + 100);
	until(&w, 1.00);
	assert_near(w.s.inverter_w, w.s.battery_w, 0);
	assert_int_equal(w.s.inverter_at_us, 1000000);
}

static void an_inverter_that_is_off_gives_nothing_at_once(void **state)
{
	struct world w = world(50);

	(void)state;
	w.in.setpoint_w = 3000;
	until(&w, 5);
	w.in.inverter_off = true;
	until(&w, 5.01);
	assert_near(w.s.battery_w, 0, 0);
	assert_near(w.s.charge_limit_w, 0, 0);
}

static void times_beyond_the_ring_are_cut_and_not_spilt(void **state)
{
	struct world w = world(50);

	(void)state;
	w.p.dead_time_s = w.p.meter_mean_s = 1e9;
	w.p.meter_period_s = 0;
	w.in.setpoint_w = 3000;
	until(&w, 10.2);
	assert_near(w.s.battery_w, 0, 0);
	until(&w, 20);
	assert_near(w.s.battery_w, 3000, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(energy_is_conserved_at_the_connection_point),
		cmocka_unit_test(what_is_stored_is_what_went_in_less_the_losses),
		cmocka_unit_test(standby_is_taken_from_the_battery_alone),
		cmocka_unit_test(splitting_a_step_changes_nothing),
		cmocka_unit_test(the_same_seed_gives_the_same_world_and_another_seed_another_noise),
		cmocka_unit_test(less_than_a_step_or_a_time_past_changes_nothing),
		cmocka_unit_test(a_set_point_takes_the_dead_time_and_then_the_lag),
		cmocka_unit_test(without_dead_time_and_lag_power_follows_in_one_step),
		cmocka_unit_test(the_ramp_bounds_the_change_of_power),
		cmocka_unit_test(the_rating_bounds_the_set_point),
		cmocka_unit_test(the_bms_tapers_at_both_ends_and_stops_there),
		cmocka_unit_test(below_the_reserve_it_charges_but_does_not_discharge),
		cmocka_unit_test(the_watchdog_takes_a_forgotten_set_point_away_and_a_new_one_brings_it_back),
		cmocka_unit_test(what_was_never_written_trips_nothing),
		cmocka_unit_test(the_meter_shows_a_mean_late_and_says_of_when),
		cmocka_unit_test(the_meter_keeps_up_when_its_delay_is_a_whole_period),
		cmocka_unit_test(the_meter_noise_has_no_bias_and_the_stated_deviation),
		cmocka_unit_test(the_inverter_shows_its_power_at_its_own_pace),
		cmocka_unit_test(an_inverter_that_is_off_gives_nothing_at_once),
		cmocka_unit_test(times_beyond_the_ring_are_cut_and_not_spilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
