/* The simulated site as its devices show it: what they are, signs, connections. */
#include "sim_site.h"

/* ---- reading ---- */

static void every_sunspec_device_walks_to_its_end(void **state)
{
	static const struct { enum sim_kind kind; uint16_t models[8]; } all[] = {
		{ SIM_METER, { 1, 203, 0xFFFF } }, { SIM_BATTERY, { 1, 103, 120, 124, 802, 0xFFFF } },
		{ SIM_PV, { 1, 103, 120, 123, 0xFFFF } },
	};
	uint16_t r[2];

	for (size_t d = 0; d < COUNT_OF(all); d++) {
		unsigned at = 40002;

		assert_int_equal(get(*state, all[d].kind, 3, 40000, 2, r), 0);
		assert_int_equal(r[0], 0x5375);
		assert_int_equal(r[1], 0x6e53);
		for (int n = 0; ; n++) {
			assert_int_equal(get(*state, all[d].kind, 3, at, 2, r), 0);
			assert_int_equal(r[0], all[d].models[n]);
			if (r[0] == 0xFFFF)
				break;
			at += 2u + r[1];
		}
		assert_int_equal(r[1], 0);
		assert_int_equal(get(*state, all[d].kind, 3, at + 2, 1, r), 2);
	}
}

static void surplus_is_negative_at_the_meter_and_positive_at_the_pv_inverter(void **state)
{
	live(*state, 200);
	assert_near(get1(*state, SIM_METER, 3, METER_W), -2200, 1);
	assert_int_equal(get1(*state, SIM_METER, 3, METER_W_SF), 0);
	assert_near(get1(*state, SIM_PV, 3, PV_W), 3000, 1);
}

static void discharging_is_positive_at_the_battery_inverter_and_lowers_the_import(void **state)
{
	struct site *s = *state;

	sim_set_load(s->sim, 4200); /* 5000 W house, 3000 W sun: 2000 W import */
	live(s, 200);
	assert_near(get1(s, SIM_METER, 3, METER_W), 2000, 1);
	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, 3000, -3000), 0); /* 30 % of 5000 W out, at least 30 % */
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	live(s, 600);
	assert_near(get1(s, SIM_BATTERY, 3, BATTERY_W), 1500, 2);
	assert_near(get1(s, SIM_METER, 3, METER_W), 500, 3);
	assert_true(get1(s, SIM_BATTERY, 3, B802 + 44) > 0);        /* A */
	assert_int_equal(get1(s, SIM_BATTERY, 3, B802 + 16), 3);    /* ChaSt: DISCHARGING */
}

static void limits_of_the_bms_are_currents_at_its_voltage(void **state)
{
	uint16_t m[64];

	assert_int_equal(get(*state, SIM_BATTERY, 3, B802, 64, m), 0);
	assert_int_equal(m[0], 802);
	assert_int_equal((int16_t)m[56], -1);
	assert_near(m[11] / 10., 50, 0.1);
	assert_near(m[45] / 100. * m[34] / 10., 5000 * 0.95, 5);
	assert_near(m[46] / 100. * m[34] / 10., 5000 / 0.95, 5);
}

static void questions_that_a_device_cannot_answer_get_the_right_exception(void **state)
{
	static const uint8_t coils[] = { 1, 0, 0, 0, 1 }, unknown[] = { 99, 0, 0, 0, 1 };
	uint16_t r[125];

	assert_int_equal(ask(*state, SIM_METER, coils, sizeof coils, r), 1);
	assert_int_equal(ask(*state, SIM_METER, unknown, sizeof unknown, r), 1);
	assert_int_equal(get(*state, SIM_METER, 4, 40000, 2, r), 1);
	assert_int_equal(get(*state, SIM_METER, 3, 39999, 2, r), 2);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 0, r), 3);
	assert_int_equal(get(*state, SIM_METER, 3, 40000, 126, r), 3);
	assert_int_equal(put(*state, SIM_METER, 40000, 1), 1);
}

static void another_unit_is_a_gateway_without_a_target(void **state)
{
	static const uint8_t pdu[] = { 3, 0x9c, 0x40, 0, 2 };
	struct site *s = *state;
	int fd = connect_to(s, SIM_METER);
	uint8_t in[32];

	send_frame(s, fd, 5, pdu, sizeof pdu);
	assert_int_equal(receive(s, fd, in, sizeof in), 9);
	assert_int_equal(in[7], 0x83);
	assert_int_equal(in[8], 11);
	close(fd);
}

/* ---- the others ---- */

static void the_hybrid_follows_mode_command_and_power(void **state)
{
	struct site *s = *state;
	uint16_t r[4];

	assert_int_equal(put(s, SIM_HYBRID, 13051, 1500), 0);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 0xAA), 0);
	assert_near(setpoint(s), 0, 0); /* still in self-consumption */
	assert_int_equal(put(s, SIM_HYBRID, 13049, 2), 0);
	assert_near(setpoint(s), -1500, 0);
	live(s, 500);
	assert_near(get1(s, SIM_HYBRID, 4, 13021), 1500, 2);        /* a magnitude */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 13000) & 6, 2);     /* charging */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 5627), 50);         /* 100 W */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 5634), 11);         /* A: 4750 W at some 398 V */
	assert_int_equal(get1(s, SIM_HYBRID, 4, 5635), 13);
	assert_int_equal(get(s, SIM_HYBRID, 4, 13009, 2, r), 0);    /* export, low word first */
	assert_near((int32_t)((uint32_t)r[1] << 16 | r[0]), 700, 3);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 0xBB), 0);
	assert_near(setpoint(s), 1500, 0);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 0xCC), 0);
	assert_near(setpoint(s), 0, 0);
	assert_int_equal(put(s, SIM_HYBRID, 13050, 7), 3);
}

static void the_bms_counts_charging_as_positive(void **state)
{
	struct site *s = *state;
	uint16_t r[2];

	assert_int_equal(put2(s, SIM_BATTERY, OUT_RATE, -4000, 4000), 0);
	assert_int_equal(put(s, SIM_BATTERY, MODE, 3), 0);
	live(s, 600);
	assert_int_equal(get(s, SIM_BMS, 3, 0x1104, 2, r), 0);
	assert_near((int32_t)((uint32_t)r[0] << 16 | r[1]) / 100., 1900 / 398., 0.1);
	assert_int_equal(get(s, SIM_BMS, 3, 0x110D, 2, r), 0);
	assert_near((int32_t)((uint32_t)r[0] << 16 | r[1]) / 100., -5263 / 398., 0.1);
	assert_int_equal(get1(s, SIM_BMS, 3, 0x1107), 50);
}

/* ---- connections ---- */

static void a_connection_too_many_is_closed_and_the_others_live(void **state)
{
	struct site *s = *state;
	int fd[4];
	uint8_t in[8];

	for (int i = 0; i < 4; i++)
		fd[i] = connect_to(s, SIM_BATTERY);
	assert_int_equal(receive(s, fd[3], in, sizeof in), 0);
	s->fd[SIM_BATTERY] = fd[0];
	assert_int_equal(get1(s, SIM_BATTERY, 3, 40002), 1);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
}

static void what_is_no_frame_ends_its_connection_alone(void **state)
{
	static const uint8_t bad[][8] = {
		{ 0, 1, 0, 9, 0, 6, 1, 3 },       /* protocol 9 */
		{ 0, 1, 0, 0, 0, 1, 1, 3 },       /* length 1 */
		{ 0, 1, 0, 0, 0xFF, 0xFF, 1, 3 }, /* length 65535 */
	};
	struct site *s = *state;
	uint8_t in[8];

	assert_int_equal(get1(s, SIM_METER, 3, 40002), 1);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		int fd = connect_to(s, SIM_METER);

		assert_int_equal(send(fd, bad[i], sizeof bad[i], MSG_NOSIGNAL), (ssize_t)sizeof bad[i]);
		assert_int_equal(receive(s, fd, in, sizeof in), 0);
		close(fd);
	}
	assert_int_equal(get1(s, SIM_METER, 3, 40002), 1);
}

static void a_question_in_pieces_and_two_at_once_are_both_answered(void **state)
{
	static const uint8_t two[] = { 0, 1, 0, 0, 0, 6, 1, 3, 0x9c, 0x40, 0, 1, 0, 2, 0, 0, 0, 6, 1, 3, 0x9c, 0x41, 0, 1 };
	struct site *s = *state;
	int fd = connect_to(s, SIM_METER);
	uint8_t in[64];
	size_t have = 0;

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(send(fd, two + i, 1, MSG_NOSIGNAL), 1);
		turn_until(s, now_read().boot_us + 2000);
	}
	assert_int_equal(send(fd, two + 5, sizeof two - 5, MSG_NOSIGNAL), (ssize_t)sizeof two - 5);
	while (have < 22) {
		ssize_t n = receive(s, fd, in + have, sizeof in - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(in[1], 1);
	assert_int_equal(in[9] << 8 | in[10], 0x5375);
	assert_int_equal(in[12], 2);
	assert_int_equal(in[20] << 8 | in[21], 0x6e53);
	close(fd);
}

static void an_unknown_device_is_told_with_those_that_are_there(void **state)
{
	struct site *s = *state;
	struct err e = { 0 };

	assert_int_equal(sim_set_fault(s->sim, "boiler", SIM_FAULT_LOST, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "meter, battery, pv"));
}

static void a_site_that_nobody_asks_does_not_wake(void **state)
{
	struct site *s = *state;
	int64_t until;

	live(s, 20);
	until = now_read().boot_us + 300 * US_PER_MS;
	turn_until(s, until);
	assert_true(now_read().boot_us >= until); /* nothing but the deadline ended this turn */
}

static void a_site_stays_on_its_machine(void **state)
{
	struct site *s = *state;
	struct sim_options o;
	struct err e = { 0 };
	struct sim *other = NULL;

	sim_options_default(&o);
	str_copy(o.host, sizeof o.host, "192.168.1.1");
	assert_int_equal(sim_new(s->loop, &o, &other, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_sunspec_device_walks_to_its_end),
		T(surplus_is_negative_at_the_meter_and_positive_at_the_pv_inverter),
		T(discharging_is_positive_at_the_battery_inverter_and_lowers_the_import),
		T(limits_of_the_bms_are_currents_at_its_voltage),
		T(questions_that_a_device_cannot_answer_get_the_right_exception),
		T(another_unit_is_a_gateway_without_a_target),
		T(the_hybrid_follows_mode_command_and_power),
		T(the_bms_counts_charging_as_positive),
		T(a_connection_too_many_is_closed_and_the_others_live),
		T(what_is_no_frame_ends_its_connection_alone),
		T(a_question_in_pieces_and_two_at_once_are_both_answered),
		T(an_unknown_device_is_told_with_those_that_are_there),
		T(a_site_that_nobody_asks_does_not_wake),
		T(a_site_stays_on_its_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
