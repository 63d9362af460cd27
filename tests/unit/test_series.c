#include "series/series.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct buf said;

static void say(void *arg, const struct diag *d)
{
	(void)arg;
	buf_addf(&said, "%d: %s%s%s\n", d->line, d->path, *d->path ? " " : "", d->text);
}

static struct diag_sink sink = { .fn = say };

static int reset(void **state)
{
	(void)state;
	buf_release(&said);
	sink.count = 0;
	return 0;
}

static int read_text(const char *text, size_t len, struct series *s)
{
	char path[] = "/tmp/psec-series-XXXXXX";
	auto_close int fd = mkstemp(path);
	struct err e = { 0 };
	int rc;

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, len, &e), 0);
	rc = series_read(path, s, &sink, &e);
	unlink(path);
	assert_int_equal(rc, e.kind == ERR_NONE ? 0 : -1);
	if (rc)
		assert_int_equal(e.kind, ERR_INPUT);
	return rc;
}

static void assert_refused(const char *text, const char *why)
{
	struct series s = { 0 };

	reset(NULL);
	assert_int_equal(read_text(text, strlen(text), &s), -1);
	assert_string_equal(said.data, why);
	assert_null(s.load_w);
}

static void the_shipped_year_is_read_whole(void **state)
{
	struct series s;
	struct err e = { 0 };
	double load = 0;

	(void)state;
	assert_int_equal(series_read("lib/sim/series/home-a-2016.csv", &s, &sink, &e), 0);
	assert_int_equal(s.count, 35136);
	assert_int_equal(s.step_us, 900 * US_PER_S);
	assert_true(s.load_w[0] == 1019 && s.pv_w[0] == 0 && s.price_eur_mwh[0] == 23.86);
	for (size_t i = 0; i < s.count; i++)
		load += s.load_w[i] / 4;
	assert_true(fabs(load - 4.5e6) < 1e4);
	series_release(&s);
}

static void columns_come_in_any_order_and_the_price_may_miss(void **state)
{
	static const char text[] = "\xef\xbb\xbfpv_w,ts_utc,load_w\r\n1.5,2016-01-01T00:00Z,2\r\n0,2016-01-01T00:01:00Z,1e3\r\n\r\n";
	struct series s;

	(void)state;
	assert_int_equal(read_text(text, sizeof text - 1, &s), 0);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.step_us, 60 * US_PER_S);
	assert_true(s.pv_w[0] == 1.5 && s.load_w[0] == 2 && s.load_w[1] == 1000);
	assert_null(s.price_eur_mwh);
	series_release(&s);
}

static void every_fault_is_told_with_line_value_and_what_was_expected(void **state)
{
	(void)state;
	assert_refused("ts_utc,load_w,pv_w\n2016-01-01T00:00Z,-5,0\n2016-01-01T00:15Z,1,5 W\n2016-01-01 00:30,1,nan\n"
		       "2016-01-01T00:30Z,1\n2016-01-01T00:30Z,,1.\n",
		       "2: load_w is -5, must be a number of watts, at least 0\n"
		       "3: pv_w is 5 W, must be a number of watts, at least 0\n"
		       "4: ts_utc is 2016-01-01 00:30, must be a time in UTC like 2016-01-01T00:15Z\n"
		       "4: pv_w is nan, must be a number of watts, at least 0\n"
		       "5: has 2 fields, must have 3\n"
		       "6: load_w is empty, must be a number of watts, at least 0\n"
		       "6: pv_w is 1., must be a number of watts, at least 0\n");
}

static void a_gap_or_a_repeat_is_one_fault(void **state)
{
	(void)state;
	assert_refused("ts_utc,load_w,pv_w\n2016-01-01T00:00Z,1,0\n2016-01-01T00:15Z,1,0\n2016-01-01T00:45Z,1,0\n"
		       "2016-01-01T01:00Z,1,0\n2016-01-01T01:00Z,1,0\n2016-01-01T01:15Z,1,0\n",
		       "4: ts_utc is 2016-01-01T00:45:00.000Z, must be 2016-01-01T00:30:00.000Z: steps are equal, here 900 s\n"
		       "6: ts_utc is 2016-01-01T01:00:00.000Z, must be after 2016-01-01T01:00:00.000Z of the row before\n");
}

static void headings_are_checked(void **state)
{
	(void)state;
	assert_refused("", "1: has no headings, must begin with ts_utc,load_w,pv_w\n");
	assert_refused("ts_utc;load_w;pv_w\n", "1: is separated by ';', must be separated by ','\n");
	assert_refused("ts_utc,load_w,pv_kw\n", "1: has a column 'pv_kw', may have ts_utc, load_w, pv_w, price_eur_mwh\n");
	assert_refused("ts_utc,load_w\n", "1: pv_w is missing among the columns\n");
	assert_refused("ts_utc,load_w,pv_w,pv_w\n", "1: pv_w is there twice\n");
	assert_refused("ts_utc,load_w,pv_w\n", "0: has 0 rows, must have at least 2\n");
	assert_refused("ts_utc,load_w,pv_w\n2016-01-01T00:00Z,1,0\n\n2016-01-01T00:15Z,1,0\n",
		       "3: is an empty line, may only be at the end\n");
}

static void hostile_bytes_are_escaped_and_zero_bytes_refused(void **state)
{
	static const char zero[] = "ts_utc,load_w,pv_w\n2016-01-01T00:00Z,1\0002,0\n2016-01-01T00:15Z,1,0\n";
	struct series s;

	(void)state;
	assert_refused("ts_utc,load_w,pv_w\n2016-01-01T00:00Z,\x1b[2J,0\n",
		       "2: load_w is \\x1b[2J, must be a number of watts, at least 0\n");
	reset(NULL);
	assert_int_equal(read_text(zero, sizeof zero - 1, &s), -1);
	assert_string_equal(said.data, "0: has a zero byte at 38, must be text\n");
}

static void reading_stops_after_twenty_faults(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct series s;

	(void)state;
	buf_adds(&b, "ts_utc,load_w,pv_w\n");
	for (int i = 0; i < 100; i++)
		buf_adds(&b, "x,y,z\n");
	assert_int_equal(read_text(b.data, b.len, &s), -1);
	assert_int_equal(sink.count, 20);
}

static void numbers_are_read_as_strtod_reads_them(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 5);
	for (int round = 0; round < 500; round++) {
		char text[200], number[64];
		struct series s;

		snprintf(number, sizeof number, "%.*f", (int)(rng_next(&r) % 9), rng_real(&r, 0, pow(10, (double)(rng_next(&r) % 10))));
		snprintf(text, sizeof text, "ts_utc,load_w,pv_w\n2016-01-01T00:00Z,%s,0\n2016-01-01T00:15Z,0,0\n", number);
		assert_int_equal(read_text(text, strlen(text), &s), 0);
		assert_true(s.load_w[0] == strtod(number, NULL));
		series_release(&s);
	}
}

static void between_the_middles_the_series_is_linear_and_it_repeats(void **state)
{
	double load_w[] = { 100, 200, 400 }, pv_w[] = { 0, 10, 20 }, load, pv;
	struct series s = { .count = 3, .step_us = 1000, .load_w = load_w, .pv_w = pv_w };

	(void)state;
	series_at(&s, 500, &load, &pv);
	assert_true(load == 100 && pv == 0);
	series_at(&s, 1000, &load, &pv);
	assert_true(load == 150 && pv == 5);
	series_at(&s, 3000, &load, &pv);
	assert_true(load == 250 && pv == 10);
	series_at(&s, 0, &load, &pv);
	assert_true(load == 250 && pv == 10);
	series_at(&s, 300000000500, &load, &pv);
	assert_true(load == 100 && pv == 0);
	series_at(&s, -500, &load, &pv);
	assert_true(load == 400 && pv == 20);
}

#define test(f) cmocka_unit_test_setup_teardown(f, reset, reset)

static void a_gap_that_is_stated_comes_through_and_a_half_one_is_a_fault(void **state)
{
	struct series s, again;
	char path[] = "/tmp/psec-series-XXXXXX";
	int fd = mkstemp(path);
	const char text[] = "ts_utc,load_w,pv_w\n2026-01-01T00:00Z,1,2\n2026-01-01T00:15Z,,\n2026-01-01T00:30Z,3.5,4\n";
	auto_free char *written = NULL;
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, sizeof text - 1, 0), sizeof text - 1);
	assert_int_equal(series_read(path, &s, &sink, &e), 0);
	assert_int_equal(s.gaps, 1);
	assert_true(isnan(s.load_w[1]) && isnan(s.pv_w[1]));
	written = series_text(&s);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, written, strlen(written), 0), strlen(written));
	assert_int_equal(series_read(path, &again, &sink, &e), 0);
	assert_int_equal(again.count, 3);
	assert_int_equal(again.gaps, 1);
	assert_float_equal(again.load_w[2], 3.5, 0);
	series_release(&s);
	series_release(&again);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, "ts_utc,load_w,pv_w\n2026-01-01T00:00Z,1,\n", 41, 0), 41);
	assert_int_equal(series_read(path, &again, &sink, &e), -1);
	close(fd);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(the_shipped_year_is_read_whole),
		test(columns_come_in_any_order_and_the_price_may_miss),
		test(every_fault_is_told_with_line_value_and_what_was_expected),
		test(a_gap_or_a_repeat_is_one_fault),
		test(headings_are_checked),
		test(hostile_bytes_are_escaped_and_zero_bytes_refused),
		test(reading_stops_after_twenty_faults),
		test(numbers_are_read_as_strtod_reads_them),
		test(between_the_middles_the_series_is_linear_and_it_repeats),
		cmocka_unit_test(a_gap_that_is_stated_comes_through_and_a_half_one_is_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
