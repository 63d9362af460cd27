/* The guarded write: at once, in time, read back, and to nobody but the device that was met. */
#include "poll_bench.h"

static void a_write_leaves_at_once_and_is_read_back(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	b->server.log_len = 0;
	assert_int_equal(write_watts(b, -700, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_SHOWN);
	assert_true(b->written[0].sent_us > 0);
	assert_int_equal((int16_t)b->server.regs[SETPOINT], -700);
	assert_int_equal(b->server.regs[MODE], 2);
	/* after what was in flight: mode looked at, written, shown; value written, shown; no read in between */
	for (size_t i = 0; i < b->server.log_len; i++)
		if (b->server.log[i].what == MODE) {
			assert_int_equal(b->server.log[i + 1].what, MODE | 0x8000);
			assert_int_equal(b->server.log[i + 2].what, MODE);
			assert_int_equal(b->server.log[i + 3].what, SETPOINT | 0x8000);
			assert_int_equal(b->server.log[i + 4].what, SETPOINT);
			break;
		}
	bench_free(b);
}

static void a_mode_that_is_already_set_is_not_written_again(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write_watts(b, 100 * i, 1000, &e), 0);
		WAIT(b, b->written_count == (size_t)i + 1);
	}
	assert_int_equal(b->server.writes[MODE], 1);
	assert_int_equal(b->server.writes[SETPOINT], 3);
	bench_free(b);
}

static void a_newer_value_replaces_the_one_that_waits(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	assert_int_equal(write_watts(b, 200, 1000, &e), 0);
	assert_int_equal(write_watts(b, 300, 1000, &e), 0);
	assert_int_equal(b->written_count, 2);
	assert_int_equal(b->written[0].how, POLL_REPLACED);
	assert_int_equal(b->written[1].how, POLL_REPLACED);
	server_release(&b->server);
	WAIT(b, b->written_count == 3);
	assert_int_equal(b->written[2].how, POLL_SHOWN);
	assert_float_equal(b->written[2].value, 300, 0);
	assert_int_equal(b->server.regs[SETPOINT], 300);
	assert_int_equal(b->server.writes[SETPOINT], 1);
	bench_free(b);
}

static void a_write_that_could_not_leave_in_time_never_leaves(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	assert_int_equal(write_watts(b, 100, 0, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	assert_int_equal(write_watts(b, 100, 20, &e), 0);
	while (clock_us < loop_now(b->loop)->boot_us + 25 * US_PER_MS)
		clock_us += US_PER_MS; /* the device takes its time: the deadline passes while its answer is awaited */
	server_release(&b->server);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_EXPIRED);
	assert_int_equal(b->server.writes[SETPOINT] + b->server.writes[MODE], 0);
	bench_free(b);
}

static void a_deaf_device_is_found_out(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	b->server.regs[MODE] = 2;
	b->server.deaf = true;
	assert_int_equal(write_watts(b, 4000, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_NOT_SHOWN);
	assert_string_equal(b->written[0].why, "register 501 reads 0 instead of 4000");
	assert_int_equal(b->server.writes[MODE], 0);
	bench_free(b);
}

static void a_refused_write_has_failed_and_says_why(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	b->server.refused = MODE;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_FAILED);
	assert_string_equal(b->written[0].why, "exception 2: illegal data address");
	assert_int_equal(b->server.writes[SETPOINT], 0); /* no value into a mode that is not known */
	assert_int_equal(poll_device_state(b->poll, 0), DEVICE_LIVE);
	bench_free(b);
}

static void what_waits_when_the_device_goes_has_failed(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	assert_int_equal(write_watts(b, 100, 10000, &e), 0);
	server_stop(&b->server);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_FAILED);
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	assert_int_equal(write_watts(b, 100, 10000, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	bench_free(b);
}

static void a_write_whose_answer_is_lost_says_that_it_left(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	b->server.lose_write = SETPOINT;
	assert_int_equal(write_watts(b, 200, 1000, &e), 0);
	WAIT(b, b->written_count == 2);
	assert_int_equal(b->written[1].how, POLL_FAILED);
	assert_int_equal(b->server.regs[SETPOINT], 200);
	assert_true(b->written[1].sent_us > 0);
	b->server.lose_write = 0;
	b->server.refused = SETPOINT;
	WAIT(b, is_live(b, 0));
	assert_int_equal(write_watts(b, 300, 1000, &e), 0);
	WAIT(b, b->written_count == 3);
	assert_int_equal(b->written[2].how, POLL_FAILED);
	assert_int_equal(b->written[2].sent_us, 0); /* the device said no: it does not stand */
	bench_free(b);
}

static void a_write_that_is_asked_for_while_a_neighbour_starts_does_not_cost_the_neighbour(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	add_device(b, 2, b->server.port);
	str_copy(b->site.devices[0].profile, sizeof b->site.devices[0].profile, "plain");
	b->site.devices[0].roles = 1u << SITE_BATTERY_INVERTER;
	str_copy(b->site.devices[1].profile, sizeof b->site.devices[1].profile, "sunspec-bms");
	b->site.devices[1].roles = 1u << SITE_BMS;
	b->server.silent_unit = 2;
	b->write_when_starting = true;
	bench_start(b);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_SHOWN);
	WAIT(b, poll_device_state(b->poll, 1) == DEVICE_LOST);
	assert_true(str_starts(poll_device_why(b->poll, 1), "timeout")); /* it was asked, not refused the line */
	bench_free(b);
}

static void what_may_not_be_written_is_refused(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	bench_start(b);
	assert_int_equal(write_watts(b, 100, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	WAIT(b, is_live(b, 0));
	assert_int_equal(write_watts(b, NAN, 1000, &e), -1);
	assert_int_equal(write_watts(b, 40000, 1000, &e), -1); /* no int16 */
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(poll_write(b->poll, 0, POINT_BATTERY_POWER_W, 1, POLL_TEST, INT64_MAX, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	bench_free(b);
}

/* ---- to nobody but the device that was met ---- */

static void a_write_is_never_the_first_question_on_a_connection(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	for (int i = 1; i <= 5; i++) { /* also when the last look was a moment ago */
		hang_up(&b->server);
		b->server.log_len = 0;
		assert_int_equal(write_watts(b, 100 * i, 1000, &e), 0);
		WAIT(b, b->written_count == (size_t)i);
		assert_int_equal(b->written[i - 1].how, POLL_SHOWN);
		assert_int_equal(b->server.regs[SETPOINT], 100 * i);
		assert_int_equal(b->server.log[0].what, SERIAL);
		assert_int_equal(b->server.log[1].what, MODE); /* who has just come may have forgotten it */
	}
	assert_int_equal(b->server.writes[SETPOINT], 5);
	bench_free(b);
}

static void a_peer_that_was_swapped_behind_the_address_gets_no_write(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	b->server.regs[SERIAL] = 'B' << 8 | '2';
	b->server.regs[MODE] = b->server.regs[SETPOINT] = 0;
	hang_up(&b->server);
	assert_int_equal(write_watts(b, 4000, 10000, &e), 0);
	WAIT(b, b->written_count == 2);
	assert_int_equal(b->written[1].how, POLL_FAILED);
	assert_non_null(strstr(b->written[1].why, "serial B2 instead of A1"));
	assert_int_equal(b->written[1].sent_us, 0);
	assert_int_equal(write_watts(b, 4000, 10000, &e), -1);
	assert_non_null(strstr(e.text, "serial B2 instead of A1"));
	bench_run(b, 60000);
	assert_int_equal(b->server.writes[MODE] + b->server.writes[SETPOINT], 2);
	assert_int_equal(b->server.regs[SETPOINT], 0);
	bench_free(b);
}

static void a_connection_that_goes_between_mode_and_value_is_begun_anew(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->server.writes[MODE] == 1);
	hang_up(&b->server);
	b->server.regs[MODE] = 0; /* it started anew */
	WAIT(b, b->written_count == 1);
	if (b->written[0].how == POLL_SHOWN)
		assert_int_equal(b->server.regs[MODE], 2);
	else
		assert_int_equal(b->server.writes[SETPOINT], 0);
	bench_free(b);
}

static void one_that_ends_every_connection_is_never_written(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	b->server.ends = true;
	bench_start(b);
	WAIT(b, is_live(b, 0) && b->server.reads[POWER] > 5);
	assert_int_equal(write_watts(b, 100, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "ends every connection after an answer"));
	bench_run(b, 6000);
	assert_int_equal(b->server.writes[MODE] + b->server.writes[SETPOINT], 0);
	b->server.ends = false; /* from now on its connection lasts */
	WAIT(b, b->server.reads[SERIAL] > 0 && write_watts(b, 200, 1000, &e) == 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_SHOWN);
	bench_free(b);
}

static void one_that_says_nothing_about_itself_is_written_after_a_value_of_this_connection(void **state)
{
	struct bench *b = bench_new();
	struct err e;

	(void)state;
	str_copy(b->site.devices[0].profile, sizeof b->site.devices[0].profile, "plain");
	b->site.devices[0].roles = 1u << SITE_BATTERY_INVERTER;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	hang_up(&b->server);
	b->server.log_len = 0;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	assert_int_equal(b->written[0].how, POLL_SHOWN);
	assert_int_equal(b->server.log[0].what, POWER);
	bench_free(b);
}

/* ---- the mode register later ---- */

static void a_mode_not_seen_for_ten_seconds_is_looked_at_after_the_value_has_left(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	bench_run(b, 9000);
	b->server.reads[MODE] = 0;
	assert_int_equal(write_watts(b, 200, 1000, &e), 0);
	WAIT(b, b->written_count == 2);
	assert_int_equal(b->server.reads[MODE], 0);
	bench_run(b, 2000);
	b->server.log_len = 0;
	assert_int_equal(write_watts(b, 300, 1000, &e), 0);
	WAIT(b, b->written_count == 3);
	assert_int_equal(b->written[2].how, POLL_SHOWN);
	assert_int_equal(b->server.reads[MODE], 1);
	assert_int_equal(b->server.writes[MODE], 1);
	for (size_t i = 0; i < b->server.log_len; i++)
		if (b->server.log[i].what == MODE)
			break;
		else
			assert_int_not_equal(i + 1, b->server.log_len);
	assert_int_equal(logged(&b->server, SETPOINT | 0x8000), 1);
	bench_free(b);
}

static void a_mode_that_was_changed_behind_our_back_is_told_and_then_set_again(void **state)
{
	struct bench *b = bench_live();
	struct err e;

	(void)state;
	assert_int_equal(write_watts(b, 100, 1000, &e), 0);
	WAIT(b, b->written_count == 1);
	bench_run(b, 11000);
	b->server.regs[MODE] = 0; /* somebody at its panel */
	assert_int_equal(write_watts(b, 200, 1000, &e), 0);
	WAIT(b, b->written_count == 2);
	assert_int_equal(b->written[1].how, POLL_NOT_SHOWN);
	assert_string_equal(b->written[1].why, "register 500 reads 0 instead of 2");
	assert_int_equal(write_watts(b, 300, 1000, &e), 0);
	WAIT(b, b->written_count == 3);
	assert_int_equal(b->written[2].how, POLL_SHOWN);
	assert_int_equal(b->server.regs[MODE], 2);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_leaves_at_once_and_is_read_back),
		cmocka_unit_test(a_mode_that_is_already_set_is_not_written_again),
		cmocka_unit_test(a_newer_value_replaces_the_one_that_waits),
		cmocka_unit_test(a_write_that_could_not_leave_in_time_never_leaves),
		cmocka_unit_test(a_deaf_device_is_found_out),
		cmocka_unit_test(a_refused_write_has_failed_and_says_why),
		cmocka_unit_test(what_waits_when_the_device_goes_has_failed),
		cmocka_unit_test(a_write_whose_answer_is_lost_says_that_it_left),
		cmocka_unit_test(a_write_that_is_asked_for_while_a_neighbour_starts_does_not_cost_the_neighbour),
		cmocka_unit_test(what_may_not_be_written_is_refused),
		cmocka_unit_test(a_write_is_never_the_first_question_on_a_connection),
		cmocka_unit_test(a_peer_that_was_swapped_behind_the_address_gets_no_write),
		cmocka_unit_test(a_connection_that_goes_between_mode_and_value_is_begun_anew),
		cmocka_unit_test(one_that_ends_every_connection_is_never_written),
		cmocka_unit_test(one_that_says_nothing_about_itself_is_written_after_a_value_of_this_connection),
		cmocka_unit_test(a_mode_not_seen_for_ten_seconds_is_looked_at_after_the_value_has_left),
		cmocka_unit_test(a_mode_that_was_changed_behind_our_back_is_told_and_then_set_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
