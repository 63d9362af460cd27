/* The plan: beats, whose turn it is on a shared line, pauses of the lost, and what is counted of it all. */
#include "poll_bench.h"

/* Two devices on two connections; the second is of the other server. */
static struct bench *two_links(void)
{
	struct bench *b = bench_new();

	server_start(&b->other);
	add_device(b, 1, b->other.port);
	return b;
}

/* How often what was asked in the window that begins with the i-th time: at most so often in any. */
static size_t most_within(const struct server *s, uint16_t what, int64_t window_us)
{
	size_t most = 0;

	for (size_t i = 0; i < s->log_len; i++) {
		size_t n = 0;

		for (size_t j = i; j < s->log_len && s->log[j].at_us < s->log[i].at_us + window_us; j++)
			n += s->log[j].what == what;
		most = n > most ? n : most;
	}
	return most;
}

static size_t asked_since(const struct server *s, uint16_t what, int64_t since_us)
{
	size_t n = 0;

	for (size_t i = 0; i < s->log_len; i++)
		n += s->log[i].what == what && s->log[i].at_us >= since_us;
	return n;
}

/* ---- beats ---- */

static void every_rate_has_its_beat_without_drift(void **state)
{
	struct bench *b = bench_live();
	int64_t first_us = 0;

	(void)state;
	bench_run(b, 30000);
	assert_in_range(b->server.reads[POWER], 1495, 1502);
	assert_in_range(b->server.reads[SOC], 30, 31);
	assert_in_range(b->server.reads[TEMPERATURE], 3, 4);
	assert_int_equal(b->server.reads[SERIAL], 1);
	for (size_t i = 0; i < b->server.log_len; i++) {
		if (b->server.log[i].what != POWER)
			continue;
		first_us = first_us ? first_us : b->server.log[i].at_us;
		/* late by what was in the way, never more and more */
		assert_in_range((b->server.log[i].at_us - first_us) % (20 * US_PER_MS), 0, 2 * US_PER_MS);
	}
	bench_free(b);
}

static void a_site_may_have_a_device_read_at_another_rate(void **state)
{
	struct bench *b = bench_new();
	struct poll_stats stats;

	(void)state;
	b->site.devices[0].poll_ms = 5000;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	bench_run(b, 30000);
	assert_in_range(b->server.reads[POWER], 6, 7);
	assert_in_range(b->server.reads[SOC], 6, 7); /* nothing is faster than the fast */
	poll_device_stats(b->poll, 0, &stats);
	assert_float_equal(stats.wanted_hz, 0.2, 1e-9);
	bench_free(b);
}

/* Whatever a device does, counted by itself. */
static void no_device_is_asked_more_often_than_was_wanted(void **state)
{
	struct rng r;

	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct bench *b = bench_new();

		rng_seed(&r, seed);
		bench_start(b);
		for (int i = 0; i < 60; i++) {
			b->server.takes_us = rng_next(&r) % 3 ? 0 : (int64_t)(rng_next(&r) % (350 * US_PER_MS));
			b->server.silent = rng_next(&r) % 5 == 0;
			b->server.refused = rng_next(&r) % 5 ? 0xFFFF : rng_next(&r) % 2 ? POWER : TEMPERATURE;
			b->server.exception = rng_next(&r) % 2 ? 2 : 6;
			b->server.ends = rng_next(&r) % 6 == 0;
			if (rng_next(&r) % 6 == 0)
				hang_up(&b->server);
			bench_run(b, (int64_t)(rng_next(&r) % 700));
			/* One may be late and the next in time; more is a rate above the wanted one. */
			assert_true(most_within(&b->server, POWER, 1000 * US_PER_MS) <= 51);
			assert_true(most_within(&b->server, POWER, 200 * US_PER_MS) <= 11);
			assert_true(most_within(&b->server, POWER, 20 * US_PER_MS) <= 2);
			b->server.log_len = 0;
		}
		bench_free(b);
	}
}

static void missed_beats_are_not_made_up_for(void **state)
{
	struct bench *b = bench_live();
	int64_t since_us;

	(void)state;
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	bench_run(b, 300); /* fifteen beats */
	since_us = clock_us;
	server_release(&b->server);
	bench_run(b, 100);
	assert_in_range(asked_since(&b->server, POWER, since_us), 4, 6);
	bench_free(b);
}

/* ---- whose turn it is ---- */

static void a_control_read_never_waits_behind_another_block(void **state)
{
	struct bench *b = bench_new();
	int64_t last_us = 0, gap_us = 0;

	(void)state;
	b->site.devices[0].poll_ms = 100;
	b->server.takes_us = 40 * US_PER_MS;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	bench_run(b, 2000); /* how long an answer takes is known now */
	b->server.log_len = 0;
	bench_run(b, 25000);
	for (size_t i = 0; i < b->server.log_len; i++) {
		if (b->server.log[i].what != POWER)
			continue;
		if (last_us && b->server.log[i].at_us - last_us > gap_us)
			gap_us = b->server.log[i].at_us - last_us;
		last_us = b->server.log[i].at_us;
	}
	assert_true(gap_us <= 102 * US_PER_MS);
	assert_in_range(logged(&b->server, SOC), 24, 26);
	assert_in_range(logged(&b->server, TEMPERATURE), 2, 3);
	bench_free(b);
}

static void what_never_fits_is_read_after_four_control_reads(void **state)
{
	struct bench *b = bench_new();
	size_t run = 0, most = 0;

	(void)state;
	b->site.devices[0].poll_ms = 100;
	b->server.takes_us = 70 * US_PER_MS; /* two do not fit a beat */
	bench_start(b);
	WAIT(b, is_live(b, 0));
	bench_run(b, 2000);
	b->server.log_len = 0;
	bench_run(b, 25000);
	for (size_t i = 0; i < b->server.log_len; i++) {
		run = b->server.log[i].what == POWER || b->server.log[i].what == SETPOINT ? run + 1 : 0;
		most = run > most ? run : most;
	}
	assert_in_range(logged(&b->server, SOC), 20, 26);
	assert_true(logged(&b->server, TEMPERATURE) >= 2);
	assert_true(most <= 16);
	bench_free(b);
}

static void units_of_one_line_share_it_evenly(void **state)
{
	struct bench *b = bench_new();

	(void)state;
	add_device(b, 2, b->server.port);
	add_device(b, 3, b->server.port);
	b->server.takes_us = 30 * US_PER_MS; /* more is wanted than the line can give */
	bench_start(b);
	WAIT(b, is_live(b, 0) && is_live(b, 1) && is_live(b, 2));
	memset(b->server.unit_reads, 0, sizeof b->server.unit_reads);
	bench_run(b, 20000);
	for (int u = 1; u <= 3; u++)
		assert_in_range(b->server.unit_reads[u], 190, 250);
	bench_free(b);
}

static void a_slow_device_slows_nobody_on_another_line(void **state)
{
	struct bench *b = two_links();

	(void)state;
	b->other.takes_us = 350 * US_PER_MS;
	bench_start(b);
	WAIT(b, is_live(b, 0) && is_live(b, 1));
	b->server.reads[POWER] = 0;
	bench_run(b, 10000);
	assert_in_range(b->server.reads[POWER], 499, 501);
	assert_int_equal(poll_device_state(b->poll, 1), DEVICE_LIVE);
	bench_free(b);
}

static void silent_units_take_at_most_a_fifth_of_their_line(void **state)
{
	struct bench *b = bench_new();
	struct poll_stats stats;
	uint64_t timeouts = 0;

	(void)state;
	for (uint8_t u = 2; u <= 6; u++) {
		add_device(b, u, b->server.port);
		b->site.devices[u - 1].address.unit = u;
	}
	b->site.devices[0].poll_ms = 100;
	b->server.only_unit = 1;
	bench_start(b);
	WAIT(b, is_live(b, 0) && poll_device_state(b->poll, 5) == DEVICE_LOST);
	b->server.reads[POWER] = 0;
	for (int d = 1; d <= 5; d++) {
		poll_device_stats(b->poll, d, &stats);
		timeouts += stats.timeouts;
	}
	bench_run(b, 60000);
	for (int d = 1; d <= 5; d++) {
		poll_device_stats(b->poll, d, &stats);
		timeouts -= stats.timeouts;
	}
	assert_true(-timeouts * 400 <= 60000 / 5 + 400);
	assert_true(-timeouts >= 10); /* and they are tried */
	assert_true(b->server.reads[POWER] >= 600 * 3 / 4);
	bench_free(b);
}

/* ---- the lost ---- */

static void the_pauses_of_a_lost_device_grow_to_thirty_seconds_with_jitter(void **state)
{
	static const int64_t most_ms[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000 };
	struct bench *b = bench_live();
	bool odd = false;

	(void)state;
	server_stop(&b->server);
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	b->turn_us = 2 * US_PER_MS;
	for (size_t i = 0; i < COUNT_OF(most_ms); i++) {
		struct poll_stats stats, next;
		int64_t ms;

		poll_device_stats(b->poll, 0, &stats);
		assert_int_equal(stats.tries, i);
		ms = (stats.next_try_boot_us - clock_us) / US_PER_MS;
		assert_in_range(ms, (most_ms[i] < 1400 ? 1000 : most_ms[i] * 3 / 4) - 20, most_ms[i]);
		odd |= ms % 100 > 10 && ms % 100 < 90;
		do { /* it is tried when it was said to be */
			poll_device_stats(b->poll, 0, &next);
			bench_turn(b);
		} while (next.tries == i);
		assert_in_range(clock_us, stats.next_try_boot_us, stats.next_try_boot_us + 10 * US_PER_MS);
	}
	assert_true(odd);
	bench_free(b);
}

static void the_first_answer_ends_the_pauses(void **state)
{
	struct bench *b = bench_live();
	struct poll_stats stats;

	(void)state;
	server_stop(&b->server);
	b->turn_us = 2 * US_PER_MS;
	do {
		bench_turn(b);
		poll_device_stats(b->poll, 0, &stats);
	} while (stats.tries < 4);
	server_start(&b->server);
	WAIT(b, clock_us >= stats.next_try_boot_us);
	b->turn_us = TURN_US;
	bench_run(b, 20);
	assert_true(is_live(b, 0));
	poll_device_stats(b->poll, 0, &stats);
	assert_int_equal(stats.tries, 0);
	assert_int_equal(stats.next_try_boot_us, 0);
	server_stop(&b->server); /* and they begin with the first again */
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	poll_device_stats(b->poll, 0, &stats);
	assert_in_range(stats.next_try_boot_us - clock_us, 900 * US_PER_MS, 1000 * US_PER_MS);
	bench_free(b);
}

/* ---- what is counted ---- */

static void errors_are_counted_by_kind(void **state)
{
	struct bench *b = bench_new();
	struct poll_stats stats;

	(void)state;
	b->server.refused = TEMPERATURE;
	bench_start(b);
	WAIT(b, is_live(b, 0) && b->server.reads[POWER] > 5 && logged(&b->server, TEMPERATURE) > 0);
	bench_run(b, 100);
	poll_device_stats(b->poll, 0, &stats);
	assert_int_equal(stats.exceptions, 1);
	assert_int_equal(stats.by_exception[2], 1);
	assert_int_equal(stats.timeouts + stats.closed + stats.garbled + stats.unreachable + stats.other_unit, 0);
	b->server.hold = true;
	WAIT(b, b->server.held_len > 0);
	hang_up(&b->server);
	b->server.hold = false;
	bench_run(b, 100);
	b->server.answers_as = 9;
	bench_run(b, 20);
	b->server.answers_as = 0;
	bench_run(b, 3000);
	poll_device_stats(b->poll, 0, &stats);
	assert_int_equal(stats.closed, 1);
	assert_true(stats.other_unit >= 1);
	assert_int_equal(stats.garbled, 0);
	b->server.silent = true;
	WAIT(b, poll_device_state(b->poll, 0) == DEVICE_LOST);
	server_stop(&b->server);
	bench_run(b, 3000);
	poll_device_stats(b->poll, 0, &stats);
	assert_true(stats.timeouts >= 1);
	assert_true(stats.unreachable >= 1);
	bench_free(b);
}

static void rate_and_latency_are_of_the_last_while(void **state)
{
	struct bench *b = bench_new();
	struct poll_stats stats;
	struct poll_line line;

	(void)state;
	b->site.devices[0].poll_ms = 100;
	b->server.takes_us = 50 * US_PER_MS;
	bench_start(b);
	WAIT(b, is_live(b, 0));
	bench_run(b, 12000);
	poll_device_stats(b->poll, 0, &stats);
	assert_float_equal(stats.rate_hz, 10, 0.1);
	assert_float_equal(stats.wanted_hz, 10, 1e-9);
	assert_in_range(stats.p50_us, 50000, 57000);
	assert_in_range(stats.p99_us, 50000, 57000);
	poll_line_stats(b->poll, 0, &line);
	assert_in_range(line.busy_percent, 60, 62); /* ten, one, one, and a tenth of an answer a second */
	assert_int_equal(line.counters.connects, 1);
	b->server.takes_us = 10 * US_PER_MS;
	bench_run(b, 70000); /* what was before has fallen out */
	poll_device_stats(b->poll, 0, &stats);
	assert_in_range(stats.p99_us, 10000, 11500);
	assert_in_range(stats.max_us, 10000, 11500);
	b->server.silent = true;
	bench_run(b, 20000);
	poll_device_stats(b->poll, 0, &stats);
	assert_float_equal(stats.rate_hz, 0, 1e-9); /* a device that is silent has no rate */
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rate_has_its_beat_without_drift),
		cmocka_unit_test(a_site_may_have_a_device_read_at_another_rate),
		cmocka_unit_test(no_device_is_asked_more_often_than_was_wanted),
		cmocka_unit_test(missed_beats_are_not_made_up_for),
		cmocka_unit_test(a_control_read_never_waits_behind_another_block),
		cmocka_unit_test(what_never_fits_is_read_after_four_control_reads),
		cmocka_unit_test(units_of_one_line_share_it_evenly),
		cmocka_unit_test(a_slow_device_slows_nobody_on_another_line),
		cmocka_unit_test(silent_units_take_at_most_a_fifth_of_their_line),
		cmocka_unit_test(the_pauses_of_a_lost_device_grow_to_thirty_seconds_with_jitter),
		cmocka_unit_test(the_first_answer_ends_the_pauses),
		cmocka_unit_test(errors_are_counted_by_kind),
		cmocka_unit_test(rate_and_latency_are_of_the_last_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
