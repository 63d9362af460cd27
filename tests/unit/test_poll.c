/* Polling: a device comes, is read, goes, and is another one. */
#include "poll_bench.h"

static void a_device_comes_alive_identity_first_and_then_control_inputs(void **state)
{
	struct bench *b = bench_new();
	struct device_reading r;
	int64_t before = clock_us;

	(void)state;
	bench_start(b);
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_STARTING);
	WAIT(b, is_live(b, 0) && quality(b, POINT_BMS_TEMPERATURE_C) == DEVICE_GOOD);
	assert_true(poll_reading(b->poll, 0, POINT_BATTERY_POWER_W, &r));
	assert_float_equal(r.value, 1200, 0);
	assert_true(r.at_boot_us > before && r.at_boot_us < clock_us);
	assert_int_equal(b->server.log[0].what, SERIAL);
	assert_true(b->server.log[1].what == POWER || b->server.log[1].what == SOC);
	assert_string_equal(device_map_identity(poll_device_map(b->poll, 0))->serial, "A1");
	assert_string_equal(b->said[0], "0 starting: ");
	assert_string_equal(b->said[1], "0 live: ");
	assert_int_equal(b->said_count, 2);
	bench_free(b);
}

static void fast_points_are_read_more_often_than_slow_ones(void **state)
{
	struct bench *b = bench_new();
	struct poll_stats stats;

	(void)state;
	bench_start(b);
	WAIT(b, b->server.reads[POWER] >= 20);
	assert_true(b->server.reads[SOC] >= 1 && b->server.reads[SOC] < b->server.reads[POWER] / 4);
	assert_int_equal(b->server.reads[TEMPERATURE], 1);
	assert_int_equal(b->server.reads[SERIAL], 1);
	poll_device_stats(b->poll, 0, &stats);
	assert_true(stats.reads >= 20 && stats.connects == 1 && stats.timeouts == 0);
	bench_free(b);
}

static void a_silent_unit_costs_its_neighbour_at_most_its_answer_time_a_try(void **state)
{
	struct bench *b = bench_new();
	uint64_t before;
	struct poll_stats stats;

	(void)state;
	add_device(b, 2, b->server.port);
	b->server.silent_unit = 2;
	bench_start(b);
	WAIT(b, is_live(b, 0) && poll_device_state(b->poll, 1) == DEVICE_LOST);
	assert_non_null(strstr(poll_device_why(b->poll, 1), "timeout"));
	before = b->server.reads[POWER];
	poll_device_stats(b->poll, 1, &stats);
	assert_int_equal(stats.timeouts, 1); /* one try, then its pause */
	WAIT(b, b->server.reads[POWER] >= before + 20);
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_LIVE);
	poll_device_stats(b->poll, 0, &stats);
	assert_int_equal(stats.timeouts, 0);
	b->server.silent_unit = 0;
	WAIT(b, is_live(b, 1));
	bench_free(b);
}

static void a_vanished_device_is_lost_with_its_values_and_comes_back(void **state)
{
	struct bench *b = bench_live();

	(void)state;
	server_stop(&b->server);
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_UNKNOWN);
	assert_int_equal(quality(b, POINT_BMS_SOC_PERCENT), DEVICE_UNKNOWN);
	assert_true(poll_device_why(b->poll, 0)[0] != '\0');
	server_start(&b->server);
	WAIT(b, is_live(b, 0));
	bench_free(b);
}

static void behind_a_new_connection_the_identity_is_read_first(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	bench_start(b);
	WAIT(b, is_live(b, 0) && quality(b, POINT_BMS_TEMPERATURE_C) == DEVICE_GOOD);
	hang_up(&b->server);
	b->server.log_len = 0;
	WAIT(b, b->server.log_len >= 3);
	assert_int_equal(b->server.log[0].what, SERIAL);
	assert_int_equal(b->server.log[1].what, POWER);
	assert_int_equal(b->said_count, 2); /* it never went */
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_GOOD);
	assert_int_equal(b->server.reads[TEMPERATURE], 1); /* what is slow keeps its beat */
	bench_free(b);
}

static void another_device_at_the_address_is_lost_until_the_first_is_back(void **state)
{
	struct bench *b = bench_live();
	struct poll_stats stats;

	(void)state;
	b->server.regs[SERIAL] = 'B' << 8 | '2';
	hang_up(&b->server);
	WAIT(b, b->said_count == 3);
	assert_string_equal(b->said[2], "0 lost: serial B2 instead of A1; if it was replaced, restart psecd");
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_UNKNOWN); /* nothing of the other one counts */
	b->server.log_len = 0;
	bench_run(b, 20000);
	assert_true(b->server.log_len >= 3);
	assert_int_equal(logged(&b->server, SERIAL), b->server.log_len); /* it is asked who it is, and nothing else */
	poll_device_stats(b->poll, 0, &stats);
	assert_int_equal(stats.tries, b->server.log_len);
	b->server.regs[SERIAL] = 'A' << 8 | '1';
	WAIT(b, is_live(b, 0));
	bench_free(b);
}

static void one_that_says_no_longer_who_it_is_is_lost(void **state)
{
	struct bench *b = bench_live();

	(void)state;
	b->server.refused = SERIAL;
	hang_up(&b->server);
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_string_equal(poll_device_why(b->poll, 0),
			    "it says no longer who it is: exception 2: illegal data address");
	bench_free(b);
}

static void one_that_ends_every_connection_is_read_at_its_beat(void **state)
{
	struct bench *b = bench_new();
	uint64_t reads, serials;

	(void)state;
	b->server.ends = true;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	reads = b->server.reads[POWER];
	serials = b->server.reads[SERIAL];
	bench_run(b, 20000);
	assert_in_range(b->server.reads[POWER] - reads, 990, 1001);
	assert_in_range(b->server.reads[SERIAL] - serials, 3, 4); /* looked at every 5 s */
	assert_int_equal(b->said_count, 2);
	bench_free(b);
}

static void a_refused_side_value_says_why_and_the_device_lives(void **state)
{
	struct bench *b = bench_new();
	struct device_reading r;

	(void)state;
	b->server.refused = TEMPERATURE;
	bench_start(b);
	WAIT(b, b->server.reads[POWER] >= 10);
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_LIVE);
	assert_true(poll_reading(b->poll, 0, POINT_BMS_TEMPERATURE_C, &r));
	assert_int_equal(r.quality, DEVICE_UNKNOWN);
	assert_string_equal(r.why, "exception 2: illegal data address");
	bench_free(b);
}

static void without_a_required_value_a_device_is_lost(void **state)
{
	struct bench *b = bench_live();

	(void)state;
	b->server.refused = POWER;
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_string_equal(poll_device_why(b->poll, 0), "exception 2: illegal data address");
	assert_int_equal(quality(b, POINT_BATTERY_POWER_W), DEVICE_UNKNOWN);
	bench_free(b);
}

static void an_idle_poller_has_no_wake_up_without_a_cause(void **state)
{
	struct bench *b;
	uint64_t turns, reads;

	(void)state;
	clock_is_real = true;
	clock_us = now_read().boot_us;
	b = bench_new();
	bench_start(b);
	WAIT(b, b->server.reads[POWER] >= 5 && quality(b, POINT_BMS_TEMPERATURE_C) == DEVICE_GOOD);
	turns = b->turns;
	reads = b->server.unit_reads[1];
	WAIT(b, b->server.unit_reads[1] >= reads + 30);
	/* a timer, the question at the server, the answer at the client: three a read */
	assert_true(b->turns - turns <= 3 * (b->server.unit_reads[1] - reads) + 6);
	bench_free(b);
	clock_is_real = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_comes_alive_identity_first_and_then_control_inputs),
		cmocka_unit_test(fast_points_are_read_more_often_than_slow_ones),
		cmocka_unit_test(a_silent_unit_costs_its_neighbour_at_most_its_answer_time_a_try),
		cmocka_unit_test(a_vanished_device_is_lost_with_its_values_and_comes_back),
		cmocka_unit_test(behind_a_new_connection_the_identity_is_read_first),
		cmocka_unit_test(another_device_at_the_address_is_lost_until_the_first_is_back),
		cmocka_unit_test(one_that_says_no_longer_who_it_is_is_lost),
		cmocka_unit_test(one_that_ends_every_connection_is_read_at_its_beat),
		cmocka_unit_test(a_refused_side_value_says_why_and_the_device_lives),
		cmocka_unit_test(without_a_required_value_a_device_is_lost),
		cmocka_unit_test(an_idle_poller_has_no_wake_up_without_a_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
