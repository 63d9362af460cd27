/* The faults of the simulated site, as they are on the wire. */
#include "sim_site.h"

static void a_stale_meter_shows_then_and_a_frozen_one_only_its_power(void **state)
{
	struct site *s = *state;
	uint16_t volts;

	live(s, 100);
	volts = (uint16_t)get1(s, SIM_METER, 3, 40078);
	fault(s, "meter", SIM_FAULT_STALE);
	sim_set_load(s->sim, 5000);
	live(s, 300);
	assert_near(get1(s, SIM_METER, 3, METER_W), -2200, 1);
	assert_int_equal(get1(s, SIM_METER, 3, 40078), volts);
	fault(s, "meter", SIM_FAULT_NONE);
	assert_near(get1(s, SIM_METER, 3, METER_W), 2800, 1);
	fault(s, "meter", SIM_FAULT_FROZEN);
	volts = (uint16_t)get1(s, SIM_METER, 3, 40078);
	sim_set_load(s->sim, 0);
	live(s, 300);
	assert_near(get1(s, SIM_METER, 3, METER_W), 2800, 1);
	assert_true(get1(s, SIM_METER, 3, 40078) > volts + 20); /* 2.5 kW less on this phase */
	fault(s, "meter", SIM_FAULT_NONE);
	assert_near(get1(s, SIM_METER, 3, METER_W), -2200, 1);
}

static void a_wrong_sign_turns_power_alone(void **state)
{
	live(*state, 200);
	fault(*state, "meter", SIM_FAULT_SIGN);
	assert_near(get1(*state, SIM_METER, 3, METER_W), 2200, 1);
	assert_near(get1(*state, SIM_PV, 3, PV_W), 3000, 1);
}

static void impossible_values_cannot_be_true_with_any_scale_factor(void **state)
{
	fault(*state, "meter", SIM_FAULT_IMPOSSIBLE);
	fault(*state, "battery", SIM_FAULT_IMPOSSIBLE);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W), 20000);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W_SF), 5);
	assert_int_equal(get1(*state, SIM_BATTERY, 3, B802 + 11), 4000);
	fault(*state, "meter", SIM_FAULT_NONE);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W_SF), 0);
}

static void a_deaf_device_accepts_and_keeps_its_registers(void **state)
{
	fault(*state, "battery", SIM_FAULT_DEAF);
	assert_int_equal(put2(*state, SIM_BATTERY, OUT_RATE, 3000, -3000), 0);
	assert_int_equal(put(*state, SIM_BATTERY, MODE, 3), 0);
	assert_int_equal(get1(*state, SIM_BATTERY, 3, OUT_RATE), 10000);
	assert_near(setpoint(*state), 0, 0);
}

static void exceptions_come_to_every_question(void **state)
{
	uint16_t r[2];

	fault(*state, "meter", SIM_FAULT_EXCEPTION);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 2, r), 4);
	fault(*state, "meter", SIM_FAULT_BUSY);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 2, r), 6);
}

static void lying_frames_lie_in_one_thing_each(void **state)
{
	static const uint8_t pdu[] = { 3, 0x9c, 0x40, 0, 2 };
	struct site *s = *state;
	int fd = connect_to(s, SIM_METER), lies = 0;
	uint8_t in[300];

	fault(s, "meter", SIM_FAULT_WRONG_UNIT);
	send_frame(s, fd, 1, pdu, sizeof pdu);
	assert_int_equal(receive(s, fd, in, sizeof in), 13);
	assert_int_equal(in[6], 2);
	fault(s, "meter", SIM_FAULT_WRONG_TRANSACTION);
	send_frame(s, fd, 1, pdu, sizeof pdu);
	assert_int_equal(receive(s, fd, in, sizeof in), 13);
	assert_int_equal(in[0] << 8 | in[1], s->transaction - 1);
	fault(s, "meter", SIM_FAULT_WRONG_LENGTH);
	for (int i = 0; i < 2; i++) {
		send_frame(s, fd, 1, pdu, sizeof pdu);
		assert_int_equal(receive(s, fd, in, sizeof in), 13);
		lies += (in[8] != 4) + 10 * (in[5] != 7);
	}
	assert_int_equal(lies, 11);
	fault(s, "meter", SIM_FAULT_GARBAGE);
	send_frame(s, fd, 1, pdu, sizeof pdu);
	assert_true(receive(s, fd, in, sizeof in) >= 20);
	assert_true(in[2] || in[3]);
	close(fd);
}

static void a_lost_device_is_gone_and_comes_back_at_its_address(void **state)
{
	struct site *s = *state;
	uint8_t in[8];
	int fd = connect_to(s, SIM_METER);

	turn_until(s, now_read().boot_us + 2000);
	fault(s, "meter", SIM_FAULT_LOST);
	assert_int_equal(receive(s, fd, in, sizeof in), 0);
	assert_int_equal(connect_to(s, SIM_METER), -1);
	fault(s, "meter", SIM_FAULT_NONE);
	assert_int_equal(get1(s, SIM_METER, 3, 40002), 1);
	close(fd);
}

static void a_slow_device_answers_late_and_in_order(void **state)
{
	struct site *s = *state;
	int64_t began = now_read().boot_us;

	fault(s, "pv", SIM_FAULT_SLOW);
	assert_int_equal(get1(s, SIM_PV, 3, 40002), 1);
	assert_true(now_read().boot_us - began >= 800 * US_PER_MS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_stale_meter_shows_then_and_a_frozen_one_only_its_power),
		T(a_wrong_sign_turns_power_alone),
		T(impossible_values_cannot_be_true_with_any_scale_factor),
		T(a_deaf_device_accepts_and_keeps_its_registers),
		T(exceptions_come_to_every_question),
		T(lying_frames_lie_in_one_thing_each),
		T(a_lost_device_is_gone_and_comes_back_at_its_address),
		T(a_slow_device_answers_late_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
