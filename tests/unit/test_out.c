#include "out/out.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <pty.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NAME, POWER, ENERGY, SOC, OK, AT, FAULTS, NOTE };
static const struct out_column columns[] = {
	[NAME] = { "name", "NAME", NULL, OUT_TEXT, 0, 0 },
	[POWER] = { "power_w", "POWER", "W", OUT_REAL, 0, 0 },
	[ENERGY] = { "import_wh", "IMPORT", "Wh", OUT_INT, 0, 0 },
	[SOC] = { "soc_percent", "SOC", "%", OUT_REAL, 1, 0 },
	[OK] = { "ok", "OK", NULL, OUT_BOOL, 0, OUT_JSON_ONLY },
	[AT] = { "at_utc", "AT", NULL, OUT_TIME, 0, 0 },
	[FAULTS] = { "faults", "FAULTS", NULL, OUT_JSON, 0, 0 },
	[NOTE] = { "note", "NOTE", NULL, OUT_TEXT, 0, OUT_WIDE | OUT_PEOPLE_ONLY },
};

static struct out *two_rows(enum out_form form)
{
	struct out *o = out_new(columns, COUNT_OF(columns), form);

	out_row(o);
	out_text(o, NAME, "meter");
	out_real(o, POWER, 3400);
	out_int(o, ENERGY, 1872000);
	out_real(o, SOC, NAN);
	out_bool(o, OK, true);
	out_time(o, AT, INT64_C(1451606400000000));
	out_json(o, FAULTS, json_pack("[s, s]", "stale", "frozen"), "stale, frozen");
	out_text(o, NOTE, "kept as it is, and long enough to be cut");
	out_row(o);
	out_text(o, NAME, "bad\x1b[2J\xff\n");
	out_real(o, POWER, -250.4);
	out_real(o, SOC, 12.5);
	out_text(o, NOTE, NULL);
	return o;
}

static char *printed(struct out *o, unsigned width)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct err e = { 0 };

	if (out_print(o, f, width, &e))
		fail_msg("%s", e.text);
	fclose(f);
	return text;
}

static void people_see_scaled_units_and_no_control_characters(void **state)
{
	auto_out struct out *o = two_rows(OUT_TABLE);
	auto_free char *text = printed(o, 0);

	(void)state;
	assert_string_equal(text,
			    "NAME                POWER    IMPORT    SOC AT                   FAULTS        NOTE\n"
			    "meter              3.4 kW 1 872 kWh      - 2016-01-01T00:00:00Z stale, frozen kept as it is, and long enough to be cut\n"
			    "bad\\x1b[2J\\xff\\x0a -250 W         - 12.5 % -                    -             -\n");
}

static void the_table_is_the_same_in_every_locale(void **state)
{
	auto_free char *in_c = NULL, *in_utf8 = NULL;
	auto_out struct out *o = two_rows(OUT_TABLE);

	(void)state;
	in_c = printed(o, 0);
	setlocale(LC_ALL, "C.UTF-8");
	in_utf8 = printed(o, 0);
	setlocale(LC_ALL, "C");
	assert_string_equal(in_c, in_utf8);
}

static void the_wide_column_gives_way_in_a_narrow_terminal(void **state)
{
	auto_out struct out *o = two_rows(OUT_TABLE);
	auto_free char *text = printed(o, 100);

	(void)state;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 100);
	free(take(text));
	text = printed(o, 100);
	assert_non_null(strstr(text, "stale, frozen kept"));
	assert_null(strstr(text, "to be cut"));
}

static void programs_see_raw_numbers_under_their_key(void **state)
{
	auto_out struct out *o = two_rows(OUT_DOCUMENT);
	auto_free char *text = printed(o, 0);
	json_error_t error;
	json_t *all = json_loads(text, 0, &error);
	json_t *first = json_array_get(all, 0), *second = json_array_get(all, 1);

	(void)state;
	assert_int_equal(json_array_size(all), 2);
	assert_true(json_real_value(json_object_get(first, "power_w")) == 3400);
	assert_int_equal(json_integer_value(json_object_get(first, "import_wh")), 1872000);
	assert_true(json_is_null(json_object_get(first, "soc_percent")));
	assert_true(json_is_true(json_object_get(first, "ok")));
	assert_string_equal(json_string_value(json_object_get(first, "at_utc")), "2016-01-01T00:00:00.000Z");
	assert_string_equal(json_string_value(json_array_get(json_object_get(first, "faults"), 1)), "frozen");
	assert_null(json_object_get(first, "note"));
	assert_string_equal(json_string_value(json_object_get(second, "name")), "bad\\x1b[2J\\xff\\x0a");
	assert_true(json_is_null(json_object_get(second, "ok")));
	json_decref(all);
}

static void a_record_is_a_line_a_column(void **state)
{
	static const struct out_column few[] = { { "import_wh", "Import", "Wh", OUT_REAL, 0, 0 },
						 { "pv_wh", "Größe", "Wh", OUT_REAL, 0, 0 },
						 { "name", "Name", NULL, OUT_TEXT, 0, 0 } };
	auto_out struct out *o = out_new(few, COUNT_OF(few), OUT_RECORD);
	auto_free char *text = NULL;

	(void)state;
	out_row(o);
	out_real(o, 0, 1872000);
	out_real(o, 1, 7);
	out_text(o, 2, "a\tb");
	text = printed(o, 0);
	assert_string_equal(text, "Import  1 872 kWh\nGröße   7 Wh\nName    a\\x09b\n");
}

static void one_row_is_an_object(void **state)
{
	static const struct out_column few[] = { { "price_eur_mwh", "PRICE", "EUR/MWh", OUT_REAL, 2, 0 } };
	auto_out struct out *o = out_new(few, 1, OUT_OBJECT);
	auto_free char *text = NULL;

	(void)state;
	out_row(o);
	out_real(o, 0, 23.86);
	text = printed(o, 0);
	assert_string_equal(text, "{\n  \"price_eur_mwh\": 23.86\n}\n");
}

static void an_empty_table_is_nothing_for_people_and_an_empty_list_for_programs(void **state)
{
	auto_out struct out *table = out_new(columns, COUNT_OF(columns), OUT_TABLE);
	auto_out struct out *list = out_new(columns, COUNT_OF(columns), OUT_DOCUMENT);
	auto_free char *text = printed(table, 0), *json = printed(list, 0);

	(void)state;
	assert_string_equal(text, "");
	assert_string_equal(json, "[]\n");
}

static void a_full_disk_is_an_error_in_every_form(void **state)
{
	static const enum out_form forms[] = { OUT_TABLE, OUT_RECORD, OUT_DOCUMENT, OUT_OBJECT };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		auto_out struct out *o = two_rows(forms[i]);
		auto_fclose FILE *full = fopen("/dev/full", "w");
		struct err e = { 0 };

		assert_int_equal(out_print(o, full, 0, &e), -1);
		assert_int_equal(e.kind, ERR_IO);
		assert_string_equal(e.text, "cannot write the answer: No space left on device");
	}
}

static void quantities_scale_where_people_do(void **state)
{
	static const struct {
		double value;
		const char *unit;
		int decimals;
		const char *text;
	} cases[] = {
		{ 3400, "W", 0, "3.4 kW" }, { -250, "W", 0, "-250 W" }, { 12.5, "%", 1, "12.5 %" }, { 0, "W", 0, "0 W" },
		{ -0.2, "W", 0, "0 W" }, { 999.4, "W", 1, "999 W" }, { 999.6, "W", 0, "1.0 kW" }, { -1000, "W", 0, "-1.0 kW" },
		{ 999960, "Wh", 0, "1 000 kWh" }, { 1872000, "Wh", 0, "1 872 kWh" }, { 9999600, "Wh", 0, "10.0 MWh" },
		{ 1.5e10, "W", 0, "15 000.0 MW" }, { 3421, "W", 2, "3.42 kW" }, { 230.1, "V", 1, "230.1 V" },
		{ 12345678, "ms", 0, "12 345 678 ms" }, { -1234.5, NULL, 1, "-1 234.5" }, { -0.004, "Hz", 2, "0.00 Hz" },
		{ 1e300, "W", 0, "1e+300 W" }, { 5, "a very long unit indeed", 0, "5 a very long " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char to[32];

		assert_string_equal(out_quantity(cases[i].value, cases[i].unit, cases[i].decimals, to), cases[i].text);
	}
	assert_string_equal(out_quantity(NAN, "W", 0, (char[32]){ 0 }), "-");
}

/* What a progress of these steps leaves on a terminal, or in a file when master is -1. */
static size_t progress_written(int to, int read_from, char *text, size_t n)
{
	struct out_progress p;
	struct now now = { .boot_us = 5000000 };
	int saved = dup(STDERR_FILENO);
	size_t len = 0;

	dup2(to, STDERR_FILENO);
	out_progress_begin(&p, "scanning", &now);
	now.boot_us += 900000;
	out_progress_step(&p, &now, 1, 254, NULL);
	now.boot_us += 200000;
	out_progress_step(&p, &now, 2, 254, "found \x1b[2J");
	now.boot_us += 50000;
	out_progress_step(&p, &now, 3, 254, NULL);
	out_progress_end(&p);
	out_progress_end(&p);
	dup2(saved, STDERR_FILENO);
	close(saved);
	/* A terminal hands on in pieces: an end mark says that all was read. */
	assert_int_equal(write(to, "$", 1), 1);
	while (len < n - 1 && (len == 0 || text[len - 1] != '$')) {
		ssize_t got = read(read_from, text + len, n - 1 - len);

		assert_true(got > 0);
		len += (size_t)got;
	}
	text[len - 1] = '\0';
	return len - 1;
}

static void progress_is_shown_on_a_terminal_after_a_second_and_wiped(void **state)
{
	char text[400];
	int master, slave;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	progress_written(slave, master, text, sizeof text);
	assert_string_equal(text, "\rscanning 2 of 254, found \\x1b[2J\033[K\r\033[K");
	close(master);
	close(slave);
}

static char *minute(const struct out_spark *s, int64_t second, bool utf8)
{
	struct buf b = BUF_INIT;

	out_spark_draw(s, second * US_PER_S, 100, utf8, &b);
	return buf_take(&b);
}

static void a_minute_is_as_high_as_its_highest_and_its_lowest_are_apart(void **state)
{
	struct out_spark s = { 0 };
	auto_free char *blocks = NULL, *signs = NULL, *later = NULL;

	(void)state;
	for (int64_t second = 1000; second < 1060; second++)
		out_spark_add(&s, second * US_PER_S, (double)(second - 1000) * 20 - 500);
	blocks = minute(&s, 1059, true);
	signs = minute(&s, 1059, false);
	later = minute(&s, 1064, false);
	assert_string_equal(blocks, "▁▁▂▂▃▃▄▅▅▆▆▇▇██");
	assert_string_equal(signs, "__..::-==++**##");
	/* five seconds without news: the oldest are gone, the newest cells are empty */
	assert_string_equal(later, "__.::-==+**##  ");
}

static void a_minute_of_noise_is_flat_and_what_is_not_known_is_empty(void **state)
{
	struct out_spark s = { 0 }, never = { 0 };
	auto_free char *flat = NULL, *empty = NULL;

	(void)state;
	for (int64_t second = 1020; second < 1060; second++)
		out_spark_add(&s, second * US_PER_S, second % 8 < 4 ? 3 : -3);
	out_spark_add(&s, 1059 * US_PER_S, NAN);
	flat = minute(&s, 1059, false);
	empty = minute(&never, 10, true);
	assert_string_equal(flat, "     ----------");
	assert_string_equal(empty, "               ");
}

static void progress_is_silent_without_a_terminal(void **state)
{
	char text[400];
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(progress_written(ends[1], ends[0], text, sizeof text), 0);
	close(ends[0]);
	close(ends[1]);
}

static void a_spreadsheet_sees_raw_numbers_under_their_key(void **state)
{
	auto_out struct out *o = two_rows(OUT_CSV);
	auto_free char *text = printed(o, 0);

	(void)state;
	assert_string_equal(text, "name,power_w,import_wh,soc_percent,ok,at_utc,faults\r\n"
				  "\"meter\",3400.0,1872000,,true,\"2016-01-01T00:00:00.000Z\",\"stale, frozen\"\r\n"
				  "\"bad\\x1b[2J\\xff\\x0a\",-250.4,,12.5,,,\r\n");
}

static void csv_of_a_text(const char *text, const char *expected)
{
	static const struct out_column one[] = { { "t", "T", NULL, OUT_TEXT, 0, 0 }, { "j", "J", NULL, OUT_JSON, 0, 0 } };
	auto_out struct out *o = out_new(one, COUNT_OF(one), OUT_CSV);
	auto_free char *got = NULL, *whole = xasprintf("t,j\r\n%s,%s\r\n", expected, expected);

	out_row(o);
	out_text(o, 0, text);
	out_json(o, 1, json_string(text), "for people");
	got = printed(o, 0);
	assert_string_equal(got, whole);
}

static void a_text_from_a_device_is_never_a_formula(void **state)
{
	(void)state;
	csv_of_a_text("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\"");
	csv_of_a_text("+1+cmd|' /C calc'!A0", "\"'+1+cmd|' /C calc'!A0\"");
	csv_of_a_text("-2+3", "\"'-2+3\"");
	csv_of_a_text("@SUM(A1)", "\"'@SUM(A1)\"");
	csv_of_a_text("\uff1d1+1", "\"'\uff1d1+1\"");
	csv_of_a_text("\t=1+1", "\"\\x09=1+1\"");
	csv_of_a_text("\r\n=1+1", "\"\\x0d\\x0a=1+1\"");
}

static void a_text_that_is_a_number_or_has_quotes_and_commas_stays_what_it_is(void **state)
{
	(void)state;
	csv_of_a_text("-12.5", "\"-12.5\"");
	csv_of_a_text("", "\"\"");
	csv_of_a_text("5\" rack, left", "\"5\"\" rack, left\"");
	csv_of_a_text("Größe = 5", "\"Größe = 5\"");
}

static void csv_has_objects_as_json_and_numbers_as_numbers(void **state)
{
	static const struct out_column one[] = { { "v", "V", NULL, OUT_JSON, 0, 0 } };
	auto_out struct out *o = out_new(one, COUNT_OF(one), OUT_CSV);
	auto_free char *text = NULL;

	(void)state;
	out_row(o);
	out_json(o, 0, json_real(23.86), "23.9 V");
	out_row(o);
	out_json(o, 0, json_pack("{s:i}", "a", 1), "");
	out_row(o);
	out_json(o, 0, json_pack("[{s:i}]", "a", 1), NULL);
	out_row(o);
	out_json(o, 0, json_array(), NULL);
	text = printed(o, 0);
	assert_string_equal(text, "v\r\n23.86\r\n\"{\"\"a\"\":1}\"\r\n\"[{\"\"a\"\":1}]\"\r\n\"\"\r\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(people_see_scaled_units_and_no_control_characters),
		cmocka_unit_test(the_table_is_the_same_in_every_locale),
		cmocka_unit_test(the_wide_column_gives_way_in_a_narrow_terminal),
		cmocka_unit_test(programs_see_raw_numbers_under_their_key),
		cmocka_unit_test(a_record_is_a_line_a_column),
		cmocka_unit_test(one_row_is_an_object),
		cmocka_unit_test(a_spreadsheet_sees_raw_numbers_under_their_key),
		cmocka_unit_test(a_text_from_a_device_is_never_a_formula),
		cmocka_unit_test(a_text_that_is_a_number_or_has_quotes_and_commas_stays_what_it_is),
		cmocka_unit_test(csv_has_objects_as_json_and_numbers_as_numbers),
		cmocka_unit_test(an_empty_table_is_nothing_for_people_and_an_empty_list_for_programs),
		cmocka_unit_test(a_full_disk_is_an_error_in_every_form),
		cmocka_unit_test(quantities_scale_where_people_do),
		cmocka_unit_test(progress_is_shown_on_a_terminal_after_a_second_and_wiped),
		cmocka_unit_test(a_minute_is_as_high_as_its_highest_and_its_lowest_are_apart),
		cmocka_unit_test(a_minute_of_noise_is_flat_and_what_is_not_known_is_empty),
		cmocka_unit_test(progress_is_silent_without_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
