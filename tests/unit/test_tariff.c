/* Tariffs: what they cost when, and what is no tariff. */
#include "unit.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tariff/tariff.h"

static struct tariff *t;
static char faults[2000];

static void keep(void *arg, const struct diag *d)
{
	char line[DIAG_LEN];

	(void)arg;
	strncat(faults, diag_format(d, line), sizeof faults - strlen(faults) - 2);
	strcat(faults, "\n");
}

static int read_words(const char *words)
{
	struct diag_sink sink = { .fn = keep };
	struct err e;

	faults[0] = '\0';
	if (!tariff_read(words, t, &sink, &e))
		return 0;
	strncat(faults, e.text, sizeof faults - strlen(faults) - 1);
	return -1;
}

static int read_yaml(const char *text)
{
	char path[] = "/tmp/psec-tariff-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	rc = read_words(path);
	unlink(path);
	return rc;
}

static double import_at(const char *utc, int64_t step_us, double spot)
{
	double in, out;
	int64_t us;
	struct err e;

	assert_true(time_parse(utc, &us));
	assert_int_equal(tariff_prices(t, us, step_us, 1, &spot, &in, &out, &e), 0);
	return in;
}

static int setup(void **state)
{
	(void)state;
	t = calloc(1, sizeof *t);
	return !t;
}

static int teardown(void **state)
{
	(void)state;
	free(t);
	return 0;
}

static void words_are_enough_for_a_simple_tariff(void **state)
{
	(void)state;
	assert_int_equal(read_words("fixed:0.30:0.08"), 0);
	assert_float_equal(import_at("2016-06-14T10:00Z", 900 * US_PER_S, 999), 0.30, 0);
	assert_int_equal(read_words("dynamic:0.1:0.08:20"), 0);
	assert_float_equal(import_at("2016-06-14T10:00Z", 900 * US_PER_S, 50), 0.18, 1e-12);
	assert_true(tariff_needs_spot(t));
}

static void words_that_are_none_are_told_with_what_they_must_be(void **state)
{
	static const char *const bad[] = { "fixed:", "fixed:1", "fixed:1:2:3", "fixed:x:1", "fixed:11:1", "fixed:nan:1", "dynamic:1",
					   "dynamic:1:1:101", "dynamic:1:1:1:1", "flat", "" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(read_words(bad[i]), -1);
		assert_non_null(strstr(faults, "fixed:"[0] == bad[i][0] && bad[i][1] == 'i' ? "like fixed:0.30:0.08" : "MARKUP:EXPORT"));
	}
}

static void night_goes_over_midnight_on_the_clock_of_the_wall(void **state)
{
	(void)state;
	assert_int_equal(read_yaml("tariff: 1\nclock: \"+01:00\"\nsummer_time: eu\nimport:\n  periods:\n"
				   "    - {from: \"22:00\", to: \"06:00\", days: [mon-fri], eur_kwh: 0.20}\n"
				   "  otherwise_eur_kwh: 0.32\nexport: {fixed_eur_kwh: 0.08}\n"), 0);
	/* Monday 5 January 2026: 21:30 in winter is 20:30 UTC. */
	assert_float_equal(import_at("2026-01-05T20:45Z", 900 * US_PER_S, 0), 0.32, 0);
	assert_float_equal(import_at("2026-01-05T21:00Z", 900 * US_PER_S, 0), 0.20, 0);
	assert_float_equal(import_at("2026-01-06T04:45Z", 900 * US_PER_S, 0), 0.20, 0);
	assert_float_equal(import_at("2026-01-06T05:00Z", 900 * US_PER_S, 0), 0.32, 0);
	/* Friday's night ends on Saturday; Saturday has none. */
	assert_float_equal(import_at("2026-01-10T04:00Z", 900 * US_PER_S, 0), 0.20, 0);
	assert_float_equal(import_at("2026-01-10T22:00Z", 900 * US_PER_S, 0), 0.32, 0);
	/* Summer began on 29 March 2026, 01:00 UTC. */
	assert_float_equal(import_at("2026-03-30T20:00Z", 900 * US_PER_S, 0), 0.20, 0);
	/* A step of an hour across the border costs the mean. */
	assert_float_equal(import_at("2026-01-05T20:30Z", 3600 * US_PER_S, 0), 0.26, 1e-12);
}

static void the_clock_changes_on_the_last_sundays(void **state)
{
	const struct tariff_clock cet = { 60, true };
	static const struct { const char *utc; int hours; } at[] = {
		{ "2016-03-27T00:59Z", 1 }, { "2016-03-27T01:00Z", 2 }, { "2016-10-30T00:59Z", 2 }, { "2016-10-30T01:00Z", 1 },
		{ "2024-03-31T01:00Z", 2 }, { "2024-03-31T00:59Z", 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(at); i++) {
		int64_t us;

		assert_true(time_parse(at[i].utc, &us));
		assert_int_equal((tariff_local_us(&cet, us) - us) / (3600 * US_PER_S), at[i].hours);
	}
}

static void a_price_of_the_exchange_stays_within_its_bounds(void **state)
{
	(void)state;
	assert_int_equal(read_yaml("tariff: 1\nimport:\n  spot: {factor: 1.1, markup_eur_kwh: 0.1, tax_percent: 10, least_eur_kwh: 0.05, "
				   "most_eur_kwh: 0.5}\nexport:\n  spot: {}\n"), 0);
	assert_float_equal(import_at("2026-01-05T20:45Z", 900 * US_PER_S, 100), (0.11 + 0.1) * 1.1, 1e-12);
	assert_float_equal(import_at("2026-01-05T20:45Z", 900 * US_PER_S, -500), 0.05, 0);
	assert_float_equal(import_at("2026-01-05T20:45Z", 900 * US_PER_S, 5000), 0.5, 0);
}

static void a_tariff_of_the_exchange_needs_its_price(void **state)
{
	double in, out;
	struct err e;

	(void)state;
	assert_int_equal(read_words("dynamic:0.1:0.1"), 0);
	assert_int_equal(tariff_prices(t, 0, US_PER_S, 1, NULL, &in, &out, &e), -1);
	assert_non_null(strstr(e.text, "price_eur_mwh"));
}

static void peaks_cost_by_the_share_of_the_month_that_is_covered(void **state)
{
	/* 31 January and 1 February 2026, an hour a step: 4 kW and 2 kW, with a gap. */
	double grid[48];
	int64_t start;

	(void)state;
	assert_int_equal(read_yaml("tariff: 1\nimport: {fixed_eur_kwh: 0}\nexport: {fixed_eur_kwh: 0}\ncapacity: {eur_kw: 10, per: month}\n"), 0);
	for (int i = 0; i < 48; i++)
		grid[i] = i < 24 ? (i == 3 ? 4000 : 100) : (i < 36 ? 2000 : NAN);
	assert_true(time_parse("2026-01-31T00:00Z", &start));
	assert_float_equal(tariff_capacity_eur(t, start, 3600 * US_PER_S, 48, grid), 10 * 4 / 31.0 + 10 * 2 * 0.5 / 28, 1e-12);
}

static void what_is_no_tariff_is_told_with_its_line(void **state)
{
	static const struct { const char *text, *says; } bad[] = {
		{ "", "tariff is missing" },
		{ "tariff: 2\nimport: {fixed_eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n", "tariff" },
		{ "tariff: 1\nimport: {fixed_eur_kwh: 1}\n", "export must be a map" },
		{ "tariff: 1\nimport: {fixed_eur_kwh: 11}\nexport: {fixed_eur_kwh: 1}\n", "11" },
		{ "tariff: 1\nimport: {fixed_eur_kwh: 1, spot: {}}\nexport: {fixed_eur_kwh: 1}\n", "exactly one of" },
		{ "tariff: 1\nimport: {}\nexport: {fixed_eur_kwh: 1}\n", "import" },
		{ "tariff: 1\nimprot: {fixed_eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n", "import" },
		{ "tariff: 1\nimport: {periods: []}\nexport: {fixed_eur_kwh: 1}\n", "periods" },
		{ "tariff: 1\nimport:\n  periods:\n    - {from: \"06:00\", to: \"22:00\", eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n",
		  "no price on mon at 00:00" },
		{ "tariff: 1\nimport:\n  periods:\n    - {from: \"00:00\", to: \"24:00\", eur_kwh: 1}\n"
		  "    - {from: \"06:00\", to: \"07:00\", days: [sun], eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n",
		  ":5: import.periods[1] overlaps with a period above it on sun at 06:00" },
		{ "tariff: 1\nimport:\n  periods:\n    - {from: \"6:00\", to: \"22:00\", eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n", "06:00" },
		{ "tariff: 1\nimport:\n  periods:\n    - {from: \"06:00\", to: \"06:00\", eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n", "same time" },
		{ "tariff: 1\nimport:\n  periods:\n    - {from: \"06:00\", to: \"07:00\", days: [monday], eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n",
		  "no day" },
		{ "tariff: 1\nclock: CET\nimport: {fixed_eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n", "+01:00" },
		{ "tariff: 1\nimport: {fixed_eur_kwh: 1, otherwise_eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\n", "periods only" },
		{ "tariff: 1\nimport: {spot: {least_eur_kwh: 1, most_eur_kwh: 0}}\nexport: {fixed_eur_kwh: 1}\n", "least_eur_kwh above" },
		{ "tariff: 1\nimport: {fixed_eur_kwh: 1}\nexport: {fixed_eur_kwh: 1}\ncapacity: {eur_kw: 5, per: week}\n", "week" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(read_yaml(bad[i].text), -1);
		if (!strstr(faults, bad[i].says))
			fail_msg("no '%s' in: %s", bad[i].says, faults);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_enough_for_a_simple_tariff),
		cmocka_unit_test(words_that_are_none_are_told_with_what_they_must_be),
		cmocka_unit_test(night_goes_over_midnight_on_the_clock_of_the_wall),
		cmocka_unit_test(the_clock_changes_on_the_last_sundays),
		cmocka_unit_test(a_price_of_the_exchange_stays_within_its_bounds),
		cmocka_unit_test(a_tariff_of_the_exchange_needs_its_price),
		cmocka_unit_test(peaks_cost_by_the_share_of_the_month_that_is_covered),
		cmocka_unit_test(what_is_no_tariff_is_told_with_its_line),
	};

	return cmocka_run_group_tests_name("tariff", tests, setup, teardown);
}
