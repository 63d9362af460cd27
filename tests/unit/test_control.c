/* control: the law, its limits, its losses and the sign check. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "control_rig.h"

/* ---- tests ---- */

static void step_of(const struct control_config *config, double settle_s, double over_w)
{
	for (int phase = 0; phase < 10; phase++) {
		struct rig r;
		double over = 0, settled = 0;

		rig_begin(&r, config, 500, SITE_MODE_SELF_CONSUMPTION);
		rig_run(&r, 30 + phase * 0.05);
		assert_true(fabs(grid_now(&r)) < 50);
		r.plant.load_w = 3500;
		for (int i = 0; i < 30 * TICKS_PER_S; i++) {
			rig_run(&r, 0.01);
			if (fabs(grid_now(&r)) > 50)
				settled = (i + 1) / (double)TICKS_PER_S;
			over = fmax(over, -grid_now(&r));
		}
		assert_true(settled <= settle_s);
		assert_true(over <= over_w);
		control_free(r.control);
	}
}

static void a_kettle_is_covered_in_four_seconds_without_overshoot(void **state)
{
	struct control_config config = mid();

	(void)state;
	step_of(&config, 4.0, 50);
}

static void a_model_that_is_a_third_off_still_settles(void **state)
{
	struct control_config slow = mid(), fast = mid();

	(void)state;
	slow.inverter = (struct control_model){ 390000, 910000, INFINITY };
	fast.inverter = (struct control_model){ 210000, 490000, INFINITY };
	step_of(&slow, 7.0, 50);
	step_of(&fast, 7.0, 350);
}

static void a_value_read_twice_is_not_a_new_sample(void **state)
{
	struct control_config config = mid();
	struct rig r;
	double over = 0;

	(void)state;
	rig_begin(&r, &config, 500, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	r.plant.load_w = 3500;
	for (int i = 0; i < 1000; i++) { /* polled every 100 ms, five times a refresh */
		rig_run(&r, 0.01);
		if (i % 10 == 0) {
			r.plant.shown_us = plant_us(&r.plant);
			rig_decide(&r);
		}
		over = fmax(over, -grid_now(&r));
	}
	assert_true(over < 50);
	assert_true(fabs(grid_now(&r)) < 50);
	control_free(r.control);
}

static void the_bms_limit_wins_and_is_named(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	config.site.discharge_limit_w = 2000;
	rig_begin(&r, &config, 4000, SITE_MODE_SELF_CONSUMPTION);
	r.plant.discharge_w = 1500;
	rig_run(&r, 30);
	assert_int_equal(r.last.clamp, CONTROL_BY_BMS_DISCHARGE);
	assert_float_equal(r.last.setpoint_w, 1500, 1e-9);
	control_free(r.control);
}

static void no_limit_waits_for_a_ramp(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	config.site.ramp_w_per_s = 100;
	rig_begin(&r, &config, 4000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 60);
	assert_true(r.plant.told_w > 3900);
	r.plant.discharge_w = 1000;
	rig_run(&r, 0.6);
	assert_float_equal(r.plant.told_w, 1000, 1e-9);
	assert_int_equal(r.last.clamp, CONTROL_BY_BMS_DISCHARGE);
	r.plant.discharge_w = 5000; /* and back up by the ramp */
	rig_run(&r, 2);
	assert_true(r.plant.told_w > 1050 && r.plant.told_w < 1400);
	control_free(r.control);
}

static void an_undefined_limit_means_limited(void **state)
{
	struct control_config config = mid();
	struct control_envelope env = { SITE_MODE_MANUAL, 2000, 0, INT64_MAX, true };
	struct now now = { 1000 * US_PER_S, 0, false };
	struct control_decision d;
	struct control *c;
	struct err e;

	(void)state;
	assert_int_equal(control_new(&config, &c, &e), 0);
	for (int i = 0; i < 40; i++, now.boot_us += 500000) {
		struct control_input in = {
			.grid_w = signal(500, now.boot_us), .battery_w = signal(0, now.boot_us),
			.soc_percent = signal(50, now.boot_us), .charge_limit_w = signal(5000, now.boot_us),
		};

		control_step(c, &in, &env, &now, &d);
	}
	assert_float_equal(d.setpoint_w, 0, 1e-9);
	assert_int_equal(d.clamp, CONTROL_BY_BMS_DISCHARGE);
	control_free(c);
}

static void the_reserve_is_kept(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	config.site.reserve_percent = 30;
	rig_begin(&r, &config, 4000, SITE_MODE_SELF_CONSUMPTION);
	r.plant.soc = 30;
	rig_run(&r, 30);
	assert_int_equal(r.last.clamp, CONTROL_BY_RESERVE);
	assert_float_equal(r.last.setpoint_w, 0, 1e-9);
	control_free(r.control);
}

static void a_lost_meter_is_held_then_left_for_the_safe_setpoint(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	assert_true(r.plant.told_w > 2900);
	r.plant.meter_dead = true;
	rig_run(&r, 1.4);
	assert_int_equal(r.last.state, CONTROL_RUNNING);
	assert_true(r.plant.told_w > 2900);
	rig_run(&r, 5.6);
	assert_int_equal(r.last.state, CONTROL_SAFE);
	assert_true(r.last.lost & CONTROL_LOST_METER);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	r.plant.meter_dead = false;
	rig_run(&r, 0.9);
	assert_int_equal(r.last.state, CONTROL_SAFE);
	rig_run(&r, 1.1);
	assert_int_equal(r.last.state, CONTROL_RETURNING);
	rig_run(&r, 15);
	assert_int_equal(r.last.state, CONTROL_RUNNING);
	assert_true(fabs(grid_now(&r)) < 50);
	control_free(r.control);
}

static void a_frozen_meter_is_a_lost_meter(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 1000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	r.plant.load_w = 1300;
	rig_run(&r, 0.6);
	r.plant.meter_frozen = true; /* at 300 W import: the law drives on and on, and the meter never answers */
	rig_run(&r, 18);
	assert_int_equal(r.last.state, CONTROL_SAFE);
	assert_true(r.last.lost & CONTROL_FROZEN_METER);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	control_free(r.control);
}

static void a_lost_bms_stops_the_battery(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	r.silent_bms_us = plant_us(&r.plant);
	rig_run(&r, 8);
	assert_true(r.last.lost & CONTROL_LOST_BMS);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	control_free(r.control);
}

static void core_gone_means_safe(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	r.envelope.expires_boot_us = plant_us(&r.plant) + US_PER_S;
	rig_run(&r, 7);
	assert_int_equal(r.last.state, CONTROL_SAFE);
	assert_true(r.last.lost & CONTROL_LOST_ENVELOPE);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	control_free(r.control);
}

static void an_inverter_that_never_shows_its_setpoint_is_a_fault(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	for (int i = 0; i < 3; i++)
		control_not_shown(r.control, false);
	rig_decide(&r);
	assert_true(r.last.lost & CONTROL_NOT_OBEYED);
	control_free(r.control);
}

/* ---- the times of psecd(8)'s table, by this clock ---- */

static bool knows_a_loss(const struct rig *r)
{
	return r->last.lost;
}

static bool is_safe(const struct rig *r)
{
	return r->last.state == CONTROL_SAFE && r->last.setpoint_w == 0;
}

static bool rests(const struct rig *r)
{
	return r->last.setpoint_w == 0;
}

/* Within the time, and not a second too early: a figure that no longer holds shows in either direction. */
static void takes(double seconds, double table_s)
{
	if (seconds > table_s || seconds < table_s - 1)
		fail_msg("took %.2f s; the table says %.2f s", seconds, table_s);
}

static const double hold_s = 0.5, ramp_s = 4, tick_s = 1.0 / TICKS_PER_S;

static void at_3_kw(struct rig *r, const struct control_config *config)
{
	rig_begin(r, config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(r, 30);
	assert_true(r->plant.told_w > 2900);
}

static void a_silent_inverter_is_known_in_five_seconds_and_told_to_be_safe(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	at_3_kw(&r, &config);
	r.silent_us = plant_us(&r.plant);
	takes(rig_seconds_until(&r, knows_a_loss, 60), 5 + tick_s);
	assert_int_equal(r.last.lost, CONTROL_LOST_INVERTER);
	takes(rig_seconds_until(&r, is_safe, 60), hold_s + ramp_s + tick_s);
	for (int k = 0; k < 50; k++) { /* and tried again and again: it may answer at any moment */
		rig_run(&r, 1.1);
		assert_true(is_safe(&r));
		assert_true(r.plant.told_w > 2900); /* which it has not heard */
		assert_true(r.wake_us <= plant_us(&r.plant) + US_PER_S);
	}
	r.silent_us = 0;
	rig_run(&r, 20);
	assert_int_equal(r.last.state, CONTROL_RUNNING);
	assert_true(fabs(grid_now(&r)) < 60);
	control_free(r.control);
}

static void a_deaf_inverter_is_told_to_be_safe_after_its_patience(void **state)
{
	struct control_config config = mid();
	struct rig r;
	/* what psec-control(1) says: 10 s and twice its dead time, two lags and its way at its ramp */
	double patience_s = 10 + 2 * (0.3 + 2 * 0.7);

	(void)state;
	for (int ramped = 0; ramped < 2; ramped++) {
		if (ramped) {
			config.inverter.ramp_w_per_s = 1000;
			patience_s += 2 * 5;
		}
		rig_begin(&r, &config, 0, SITE_MODE_SELF_CONSUMPTION);
		rig_run(&r, 20);
		r.plant.deaf = true;
		r.plant.load_w = 3000;
		/* the meter's period and delay come first: no set-point has left before */
		takes(rig_seconds_until(&r, knows_a_loss, 60), patience_s + 0.7 + tick_s);
		assert_int_equal(r.last.lost, CONTROL_NOT_OBEYED);
		takes(rig_seconds_until(&r, is_safe, 60), hold_s + ramp_s + tick_s);
		control_free(r.control);
	}
}

static void three_setpoints_that_are_not_shown_are_enough(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	at_3_kw(&r, &config);
	r.shows_nothing = true;
	for (int i = 0; i < 3; i++) {
		assert_false(r.last.lost);
		control_not_shown(r.control, false);
	}
	rig_decide(&r);
	assert_int_equal(r.last.lost, CONTROL_NOT_OBEYED);
	takes(rig_seconds_until(&r, is_safe, 60), hold_s + ramp_s + tick_s);
	control_free(r.control);
}

/* Core killed and not back, or hanging: its last permission runs out. */
static void without_a_permission_it_is_safe_a_period_and_a_ramp_later(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	at_3_kw(&r, &config);
	r.envelope.expires_boot_us = plant_us(&r.plant) + 10 * US_PER_S;
	takes(rig_seconds_until(&r, is_safe, 60), 10 + hold_s + ramp_s + tick_s);
	assert_int_equal(r.last.lost, CONTROL_LOST_ENVELOPE);
	control_free(r.control);
}

static void the_other_losses_take_what_the_table_says(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	at_3_kw(&r, &config);
	r.plant.meter_dead = true;
	takes(rig_seconds_until(&r, is_safe, 60), 2 + hold_s + ramp_s + tick_s);
	assert_int_equal(r.last.lost, CONTROL_LOST_METER);
	control_free(r.control);
	at_3_kw(&r, &config);
	r.silent_bms_us = plant_us(&r.plant);
	takes(rig_seconds_until(&r, rests, 60), 5 + tick_s);
	assert_int_equal(r.last.lost, CONTROL_LOST_BMS);
	control_free(r.control);
}

static void a_setpoint_that_may_stand_is_taken_back_although_it_was_never_shown(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_OFF);
	rig_run(&r, 5);
	control_not_shown(r.control, false);
	rig_run(&r, 5);
	assert_int_equal(r.writes, 0); /* it never left: others' set-points are not ours to change */
	control_not_shown(r.control, true);
	rig_run(&r, 5);
	assert_int_equal(r.writes, 1);
	assert_true(r.last.setpoint_w == 0);
	control_free(r.control);
}

static void a_setpoint_like_the_last_one_is_sent_again_when_another_may_stand(void **state)
{
	struct control_config config = mid();
	struct rig r;
	int writes;

	(void)state;
	config.watchdog_us = 0; /* no refresh between */
	rig_begin(&r, &config, 3000, SITE_MODE_MANUAL);
	r.envelope.manual_w = 1000;
	rig_run(&r, 20);
	writes = r.writes;
	rig_run(&r, 5);
	assert_int_equal(r.writes, writes);
	control_not_shown(r.control, true); /* 2000 W, say, and then 1000 W again */
	rig_run(&r, 5);
	assert_int_equal(r.writes, writes + 1);
	control_free(r.control);
}

static void what_stood_there_before_is_no_obedience(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_MANUAL);
	r.envelope.manual_w = -800;
	rig_run(&r, 30);
	for (int i = 0; i < 3; i++)
		control_not_shown(r.control, true);
	rig_decide(&r); /* held: -800 W again, and the register shows it, as it did before */
	control_sent(r.control, -800, plant_us(&r.plant));
	rig_decide(&r);
	assert_true(r.last.lost & CONTROL_NOT_OBEYED);
	control_free(r.control);
}

static void automatic_without_a_sign_check_is_refused(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	r.envelope.checked = false;
	rig_run(&r, 10);
	assert_int_equal(r.last.state, CONTROL_REFUSED);
	assert_int_equal(r.writes, 0);
	control_free(r.control);
}

static void observe_decides_and_writes_nothing(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_OBSERVE);
	rig_run(&r, 10);
	assert_true(fabs(r.last.setpoint_w - 3000) < 50);
	assert_int_equal(r.writes, 0);
	control_free(r.control);
}

static void off_takes_the_setpoint_back_once(void **state)
{
	struct control_config config = mid();
	struct rig r;
	int before;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	before = r.writes;
	r.envelope.mode = SITE_MODE_OFF;
	rig_run(&r, 100);
	assert_int_equal(r.writes, before + 1);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	control_free(r.control);
}

static void a_quiet_setpoint_is_renewed_before_the_watchdog(void **state)
{
	struct control_config config = mid();
	struct rig r;
	int before;

	(void)state;
	rig_begin(&r, &config, 3000, SITE_MODE_SELF_CONSUMPTION);
	rig_run(&r, 30);
	before = r.writes;
	rig_run(&r, 60);
	assert_in_range(r.writes - before, 2, 4);
	control_free(r.control);
}

static void manual_keeps_the_import_limit(void **state)
{
	struct control_config config = mid();
	struct rig r;

	(void)state;
	config.site.import_limit_w = 4000;
	rig_begin(&r, &config, 3000, SITE_MODE_MANUAL);
	r.envelope.manual_w = -5000;
	rig_run(&r, 30);
	assert_int_equal(r.last.clamp, CONTROL_BY_IMPORT_LIMIT);
	assert_true(fabs(grid_now(&r) - 4000) < 50);
	control_free(r.control);
}

static enum control_check_result check_of(struct rig *r, const struct control_config *config)
{
	enum control_check_result result = CONTROL_CHECK_RUNS;
	struct control_check k;
	struct control_input in;
	struct now now;

	for (int i = 0; i < 300; i++)
		plant_tick(&r->plant);
	in = plant_input(&r->plant);
	now = (struct now){ plant_us(&r->plant), 0, false };
	control_check_begin(&k, config, &in, &now);
	for (int i = 0; i < 6000 && result == CONTROL_CHECK_RUNS; i++) {
		plant_tick(&r->plant);
		if (r->plant.shown_us == r->seen_us)
			continue;
		r->seen_us = r->plant.shown_us;
		in = plant_input(&r->plant);
		now.boot_us = plant_us(&r->plant);
		result = control_check_step(&k, config, &in, &now, &r->plant.told_w);
	}
	return result;
}

static void judged(int meter_sign, bool deaf, double room_w, enum control_check_result expected)
{
	struct control_config config = mid();
	struct rig r;

	rig_begin(&r, &config, 1000, SITE_MODE_OFF);
	r.plant.meter_sign = meter_sign;
	r.plant.deaf = deaf;
	r.plant.charge_w = r.plant.discharge_w = room_w;
	assert_int_equal(check_of(&r, &config), expected);
	assert_float_equal(r.plant.told_w, 0, 1e-9);
	control_free(r.control);
}

static void the_sign_check_tells_right_wrong_deaf_and_no_room_apart(void **state)
{
	(void)state;
	judged(1, false, 5000, CONTROL_CHECK_PASSED);
	judged(-1, false, 5000, CONTROL_CHECK_WRONG_SIGN);
	judged(1, true, 5000, CONTROL_CHECK_NO_EFFECT);
	judged(1, false, 100, CONTROL_CHECK_NO_ROOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kettle_is_covered_in_four_seconds_without_overshoot),
		cmocka_unit_test(a_model_that_is_a_third_off_still_settles),
		cmocka_unit_test(a_value_read_twice_is_not_a_new_sample),
		cmocka_unit_test(the_bms_limit_wins_and_is_named),
		cmocka_unit_test(no_limit_waits_for_a_ramp),
		cmocka_unit_test(an_undefined_limit_means_limited),
		cmocka_unit_test(the_reserve_is_kept),
		cmocka_unit_test(a_lost_meter_is_held_then_left_for_the_safe_setpoint),
		cmocka_unit_test(a_frozen_meter_is_a_lost_meter),
		cmocka_unit_test(a_lost_bms_stops_the_battery),
		cmocka_unit_test(core_gone_means_safe),
		cmocka_unit_test(an_inverter_that_never_shows_its_setpoint_is_a_fault),
		cmocka_unit_test(a_silent_inverter_is_known_in_five_seconds_and_told_to_be_safe),
		cmocka_unit_test(a_deaf_inverter_is_told_to_be_safe_after_its_patience),
		cmocka_unit_test(three_setpoints_that_are_not_shown_are_enough),
		cmocka_unit_test(without_a_permission_it_is_safe_a_period_and_a_ramp_later),
		cmocka_unit_test(the_other_losses_take_what_the_table_says),
		cmocka_unit_test(a_setpoint_that_may_stand_is_taken_back_although_it_was_never_shown),
		cmocka_unit_test(a_setpoint_like_the_last_one_is_sent_again_when_another_may_stand),
		cmocka_unit_test(what_stood_there_before_is_no_obedience),
		cmocka_unit_test(automatic_without_a_sign_check_is_refused),
		cmocka_unit_test(observe_decides_and_writes_nothing),
		cmocka_unit_test(off_takes_the_setpoint_back_once),
		cmocka_unit_test(a_quiet_setpoint_is_renewed_before_the_watchdog),
		cmocka_unit_test(manual_keeps_the_import_limit),
		cmocka_unit_test(the_sign_check_tells_right_wrong_deaf_and_no_room_apart),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
