#include "store_folder.h"

#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUARTER (900 * US_PER_S)
#define DAY (86400 * US_PER_S)

static size_t files(const char *pattern)
{
	auto_free char *whole = xasprintf("%s/%s", folder, pattern);
	glob_t g;
	size_t n = glob(whole, 0, NULL, &g) == 0 ? g.gl_pathc : 0;

	if (n)
		globfree(&g);
	return n;
}

static struct store *open_with(const struct store_limits *limits, bool expect_recovered)
{
	struct store *s = NULL;
	bool recovered;

	if (store_open(path, limits, &s, &recovered, &e))
		fail_msg("%s", e.text);
	assert_int_equal(recovered, expect_recovered);
	return s;
}

static void put(struct store *s, const char *point, int64_t utc_us, double value)
{
	struct store_sample x = { .point = point, .utc_us = utc_us, .value = value };

	ok(store_put_samples(s, &x, 1, &e));
}

static void add_text(void *arg, const struct store_sample *x)
{
	buf_addf(arg, "%s@%lld=%g ", x->point, (long long)((x->utc_us - T0) / US_PER_S), x->value);
}

static void assert_samples(struct store *s, const char *point, bool means, size_t max, const char *text)
{
	auto_buf struct buf b = BUF_INIT;

	ok(store_read_samples(s, point, INT64_MIN, INT64_MAX, means, max, add_text, &b, &e));
	assert_string_equal(b.data ? b.data : "", text);
}

/* Tidy until there is nothing to do, in a bounded number of calls. */
static void tidy_at(struct store *s, const struct now *now)
{
	bool more = true;

	for (int i = 0; more; i++) {
		assert_true(i < 10000);
		ok(store_tidy(s, now, &more, &e));
	}
}

/* With a clock that goes as time does. */
static void tidy(struct store *s, int64_t utc_us)
{
	const struct now now = { .boot_us = utc_us - T0 + DAY, .utc_us = utc_us, .utc_valid = true };

	tidy_at(s, &now);
}

static struct store_size size_of(struct store *s)
{
	struct store_size size;

	ok(store_size(s, &size, &e));
	return size;
}

/* ---- what is put is there ----------------------------------------------------------------------------------------- */

static void samples_are_read_back_oldest_first(void **state)
{
	struct store *s = open_with(NULL, false);

	(void)state;
	put(s, "grid.power_w", T0 + 2 * US_PER_S, 2.5);
	put(s, "grid.power_w", T0 + 1 * US_PER_S, -1);
	put(s, "bms.soc_percent", T0 + 1 * US_PER_S, 50);
	assert_samples(s, "grid.power_w", false, 9, "grid.power_w@1=-1 grid.power_w@2=2.5 ");
	assert_samples(s, NULL, false, 2, "grid.power_w@1=-1 bms.soc_percent@1=50 ");
	assert_samples(s, "nobody.power_w", false, 9, "");
	store_close(s);
	s = open_with(NULL, false);
	assert_samples(s, "bms.soc_percent", false, 9, "bms.soc_percent@1=50 ");
	assert_int_equal(size_of(s).samples, 3);
	store_close(s);
}

static void a_second_value_of_the_same_time_counts(void **state)
{
	struct store *s = open_with(NULL, false);

	(void)state;
	assert_int_equal(size_of(s).samples, 0);
	put(s, "a.x", T0, 1);
	put(s, "a.x", T0, 2);
	assert_samples(s, NULL, false, 9, "a.x@0=2 ");
	assert_int_equal(size_of(s).samples, 1);
	store_close(s);
}

static void a_batch_is_stored_whole_or_not_at_all(void **state)
{
	struct store_sample batch[] = { { "a.x", T0, 1 }, { "new.y", T0, 2 }, { "a.x", T0 + 1, NAN } };
	struct store *s = open_with(NULL, false);

	(void)state;
	assert_int_equal(store_put_samples(s, batch, 3, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_string_equal(e.text, "point 'a.x' has no finite value");
	assert_samples(s, NULL, false, 9, "");
	batch[2].value = 3;
	ok(store_put_samples(s, batch, 3, &e));
	assert_samples(s, "new.y", false, 9, "new.y@0=2 ");
	assert_int_equal(size_of(s).samples, 3);
	store_close(s);
}

static void the_number_of_points_has_a_bound(void **state)
{
	struct store_sample *batch = xcalloc(4097, sizeof *batch);
	struct store *s = open_with(NULL, false);

	(void)state;
	for (int i = 0; i < 4097; i++)
		batch[i] = (struct store_sample){ xasprintf("device-%d.power_w", i), T0, i };
	assert_int_equal(store_put_samples(s, batch, 4097, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	ok(store_put_samples(s, batch, 4096, &e));
	store_close(s);
	s = open_with(NULL, false);
	assert_samples(s, "device-4095.power_w", false, 9, "device-4095.power_w@0=4095 ");
	store_close(s);
	for (int i = 0; i < 4097; i++)
		free((char *)batch[i].point);
	free(batch);
}

static void add_event(void *arg, const struct store_event *v)
{
	buf_addf(arg, "%lld:%s:%s:%s:%s:%s:%d ", (long long)v->id, severity_name(v->severity), v->kind, v->subject, v->text,
		 v->who, v->utc_valid);
}

static void events_have_rising_numbers_and_pages(void **state)
{
	struct store_event v = { .utc_us = T0, .utc_valid = true, .severity = SEVERITY_ALARM, .kind = "safe", .subject = "bms",
				 .text = "it's \x1b[2J", .who = "unix:anna" };
	struct store *s = open_with(NULL, false);
	auto_buf struct buf b = BUF_INIT;
	int64_t id;

	(void)state;
	ok(store_put_event(s, &v, &id, &e));
	assert_int_equal(id, 1);
	v = (struct store_event){ .severity = SEVERITY_INFO, .kind = "mode", .text = "off" };
	ok(store_put_event(s, &v, NULL, &e));
	ok(store_put_event(s, &v, &id, &e));
	assert_int_equal(id, 3);
	ok(store_read_events(s, 0, 1, add_event, &b, &e));
	assert_string_equal(b.data, "1:alarm:safe:bms:it's \x1b[2J:unix:anna:1 ");
	buf_clear(&b);
	ok(store_read_events(s, 1, 9, add_event, &b, &e));
	assert_string_equal(b.data, "2:info:mode::off::0 3:info:mode::off::0 ");
	buf_clear(&b);
	ok(store_last_events(s, 2, add_event, &b, &e));
	assert_string_equal(b.data, "2:info:mode::off::0 3:info:mode::off::0 ");
	store_close(s);
}

static void settings_survive_and_change(void **state)
{
	struct store *s = open_with(NULL, false);
	char *value;

	(void)state;
	ok(store_get_setting(s, "mode", &value, &e));
	assert_null(value);
	ok(store_put_setting(s, "mode", "off", &e));
	ok(store_put_setting(s, "mode", "manual", &e));
	store_close(s);
	s = open_with(NULL, false);
	ok(store_get_setting(s, "mode", &value, &e));
	assert_string_equal(value, "manual");
	free(value);
	store_close(s);
}

static void settings_that_belong_together_are_kept_together_or_not_at_all(void **state)
{
	const struct store_setting good[] = { { "manual_w", "0" }, { "mode", "manual" } };
	const struct store_setting bad[] = { { "manual_w", "3000" }, { "mode", NULL } };
	struct store *s = open_with(NULL, false);
	char *value;

	(void)state;
	ok(store_put_settings(s, good, COUNT_OF(good), &e));
	assert_int_equal(store_put_settings(s, bad, COUNT_OF(bad), &e), -1);
	ok(store_get_setting(s, "manual_w", &value, &e));
	assert_string_equal(value, "0");
	free(value);
	ok(store_put_settings(s, good, COUNT_OF(good), &e)); /* no transaction was left open */
	store_close(s);
}

/* ---- the file ------------------------------------------------------------------------------------------------------- */

static void a_second_holder_is_told_who_has_it(void **state)
{
	struct store *s = open_with(NULL, false), *other = NULL;
	auto_free char *expected = xasprintf("'%s' is in use by process %d", path, (int)getpid());
	bool recovered;

	(void)state;
	assert_int_equal(store_open(path, NULL, &other, &recovered, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	assert_string_equal(e.text, expected);
	store_close(s);
	store_close(open_with(NULL, false));
}

static void others_may_not_read_or_write_it(void **state)
{
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	store_close(open_with(NULL, false));
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void overwrite(off_t at, const char *text)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT, 0640);

	assert_true(pwrite(fd, text, strlen(text), at) == (ssize_t)strlen(text));
}

static void a_file_that_is_no_database_is_set_aside(void **state)
{
	struct store *s;

	(void)state;
	overwrite(0, "this was a database once, before the power failed in the middle of something");
	s = open_with(NULL, true);
	put(s, "a.x", T0, 1);
	store_close(s);
	assert_int_equal(files("psec.db.broken-*Z"), 1);
	store_close(open_with(NULL, false));
}

static void of_the_broken_files_the_two_newest_stay(void **state)
{
	static const char *const older[] = { "broken-2020-01-01T00:00:00.000Z", "broken-2021-01-01T00:00:00.000Z",
					     "broken-2021-01-01T00:00:00.000Z-wal", "broken-2022-01-01T00:00:00.000Z" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(older); i++) {
		auto_free char *name = xasprintf("%s.%s", path, older[i]);
		auto_close int fd = open(name, O_WRONLY | O_CREAT, 0640);

		assert_true(fd >= 0);
	}
	overwrite(0, "this was a database once, before the power failed in the middle of something");
	store_close(open_with(NULL, true));
	assert_int_equal(files("psec.db.broken-*"), 2);
	assert_int_equal(files("psec.db.broken-2022*"), 1);
}

static void a_damaged_page_is_found_at_the_start(void **state)
{
	struct store *s = open_with(NULL, false);

	(void)state;
	for (int i = 0; i < 5; i++)
		put(s, "a.x", T0 + i, i);
	store_close(s);
	for (int page = 1; page < 12; page++)
		overwrite(page * 4096, "\xff\xff\xff\xff damaged");
	s = open_with(NULL, true);
	assert_samples(s, NULL, false, 9, "");
	put(s, "a.x", T0, 7);
	store_close(s);
	assert_int_equal(files("psec.db.broken-*Z"), 1);
}

static void ignore_sample(void *arg, const struct store_sample *x)
{
	(void)arg;
	(void)x;
}

static void damage_that_is_met_while_it_runs_is_remembered_for_the_next_start(void **state)
{
	static struct store_sample batch[50000];
	struct store *s = open_with(NULL, false);

	(void)state;
	for (int i = 0; i < 50000; i++)
		batch[i] = (struct store_sample){ "a.x", T0 + i, i };
	ok(store_put_samples(s, batch, 50000, &e));
	store_close(s);
	s = open_with(NULL, false);
	for (int page = 20; page < 200; page++)
		overwrite(page * 4096, "\xff\xff\xff\xff damaged");
	assert_int_equal(store_read_samples(s, NULL, INT64_MIN, INT64_MAX, false, SIZE_MAX, ignore_sample, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
	assert_int_equal(files("psec.db-suspect"), 1);
	store_close(s);
	store_close(open_with(NULL, true));
	assert_int_equal(files("psec.db-suspect"), 0);
}

static void run_sql(const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

static void a_foreign_or_newer_database_is_left_as_it_is(void **state)
{
	static const char *const sql[] = { "CREATE TABLE precious (x); INSERT INTO precious VALUES (1)",
					   "PRAGMA application_id=0x70736563; PRAGMA user_version=99; CREATE TABLE later (x)" };
	static const char *const why[] = { "is a database of another program",
					   "was written by a newer psec: its schema is 99, this psec knows 2" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		auto_buf struct buf before = BUF_INIT, after = BUF_INIT;
		struct store *s = NULL;
		bool recovered;

		unlink(path);
		run_sql(sql[i]);
		ok(file_read(path, 1 << 20, &before, &e));
		assert_int_equal(store_open(path, NULL, &s, &recovered, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_non_null(strstr(e.text, why[i]));
		ok(file_read(path, 1 << 20, &after, &e));
		assert_int_equal(before.len, after.len);
		assert_memory_equal(before.data, after.data, before.len);
		assert_int_equal(files("psec.db.broken-*"), 0);
	}
}

static void a_database_of_version_1_opens(void **state)
{
	auto_buf struct buf dump = BUF_INIT, b = BUF_INIT;
	struct store *s;
	char *value;

	(void)state;
	ok(file_read("tests/golden/psec-v1.sql", 1 << 20, &dump, &e));
	run_sql(dump.data);
	s = open_with(NULL, false);
	assert_samples(s, NULL, false, 9, "grid.power_w@900=1500 bms.soc_percent@900=55.5 ");
	assert_samples(s, NULL, true, 9, "grid.power_w@0=-250 ");
	ok(store_read_events(s, 0, 9, add_event, &b, &e));
	assert_string_equal(b.data, "1:warning:signal-lost:grid:no answer for 2 s::1 2:info:mode::self-consumption:unix:anna:1 ");
	ok(store_get_setting(s, "mode", &value, &e));
	assert_string_equal(value, "self-consumption");
	free(value);
	put(s, "pv.power_w", T0 + 2 * QUARTER, 3);
	tidy(s, T0 + 4 * QUARTER);
	assert_samples(s, NULL, true, 9, "grid.power_w@0=-250 grid.power_w@900=1500 bms.soc_percent@900=55.5 pv.power_w@1800=3 ");
	store_close(s);
}

static void a_missing_folder_is_an_error_and_no_recovery(void **state)
{
	struct store *s;
	bool recovered;

	(void)state;
	assert_int_equal(store_open("/tmp/psec-no-such-folder/psec.db", NULL, &s, &recovered, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
	assert_false(recovered);
}

/* ---- tidy ----------------------------------------------------------------------------------------------------------- */

static void finished_quarters_get_their_mean(void **state)
{
	struct store *s = open_with(NULL, false);
	struct store_sample batch[1800];

	(void)state;
	for (int i = 0; i < 1800; i++)
		batch[i] = (struct store_sample){ "a.x", T0 + i * US_PER_S, i };
	ok(store_put_samples(s, batch, 1800, &e));
	put(s, "b.y", T0 + QUARTER - 1, 7);
	tidy(s, T0 + QUARTER);
	assert_samples(s, NULL, true, 9, "");
	tidy(s, T0 + QUARTER + 10 * US_PER_S);
	assert_samples(s, NULL, true, 9, "a.x@0=449.5 b.y@0=7 ");
	store_close(s);
	s = open_with(NULL, false);
	tidy(s, T0 + 3 * QUARTER);
	assert_samples(s, "a.x", true, 9, "a.x@0=449.5 a.x@900=1349.5 ");
	assert_int_equal(size_of(s).means, 3);
	store_close(s);
}

static void a_long_quarter_is_added_up_in_parts(void **state)
{
	struct store *s = open_with(NULL, false);
	struct store_sample batch[6000];
	struct now now = { .utc_us = T0 + 2 * QUARTER, .utc_valid = true };
	bool more = true;
	int calls = 0;

	(void)state;
	for (int i = 0; i < 60000; i += 6000) {
		for (int k = 0; k < 6000; k++)
			batch[k] = (struct store_sample){ k % 2 ? "a.x" : "b.y", T0 + (i + k) * 10000, i + k };
		ok(store_put_samples(s, batch, 6000, &e));
	}
	ok(store_tidy(s, &now, &more, &e));
	assert_true(more);
	/* A late sample of the part that was added already: begun again. */
	put(s, "a.x", T0, 100000);
	for (; more; calls++)
		ok(store_tidy(s, &now, &more, &e));
	assert_true(calls >= 4);
	/* a.x is 1, 3 … 59 999 and the late 100 000; b.y is 0, 2 … 59 998. */
	assert_samples(s, NULL, true, 9, "b.y@0=29999 a.x@0=30002.3 ");
	store_close(s);
}

static void a_late_sample_has_its_mean_made_again(void **state)
{
	struct store *s = open_with(NULL, false);

	(void)state;
	put(s, "a.x", T0, 1);
	put(s, "a.x", T0 + QUARTER, 10);
	tidy(s, T0 + 3 * QUARTER);
	put(s, "a.x", T0 + 1, 3);
	store_close(s);
	s = open_with(NULL, false);
	tidy(s, T0 + 3 * QUARTER);
	assert_samples(s, NULL, true, 9, "a.x@0=2 a.x@900=10 ");
	assert_int_equal(size_of(s).means, 2);
	store_close(s);
}

static void old_samples_means_and_events_go(void **state)
{
	struct store_limits limits = { .raw_keep_us = DAY, .mean_keep_us = 10 * DAY };
	struct store_event v = { .utc_us = T0, .utc_valid = true, .kind = "k", .text = "old" };
	struct store *s = open_with(&limits, false);
	auto_buf struct buf b = BUF_INIT;

	(void)state;
	ok(store_put_event(s, &v, NULL, &e));
	v = (struct store_event){ .utc_us = T0 + 11 * DAY, .utc_valid = true, .kind = "k", .text = "new" };
	ok(store_put_event(s, &v, NULL, &e));
	put(s, "a.x", T0, 1);
	put(s, "a.x", T0 + 5 * DAY, 2);
	tidy(s, T0 + 5 * DAY + 3600 * US_PER_S);
	assert_samples(s, NULL, false, 9, "a.x@432000=2 ");
	assert_samples(s, NULL, true, 9, "a.x@0=1 a.x@432000=2 ");
	tidy(s, T0 + 12 * DAY);
	assert_samples(s, NULL, false, 9, "");
	assert_samples(s, NULL, true, 9, "a.x@432000=2 ");
	ok(store_read_events(s, 0, 9, add_event, &b, &e));
	assert_string_equal(b.data, "2:info:k::new::1 ");
	/* A late sample of a quarter whose raw samples are gone does not spoil its mean. */
	put(s, "a.x", T0 + 5 * DAY + 1, 1000);
	tidy(s, T0 + 12 * DAY);
	assert_samples(s, NULL, true, 9, "a.x@432000=2 ");
	assert_int_equal(size_of(s).samples, 0);
	assert_int_equal(size_of(s).means, 1);
	assert_int_equal(size_of(s).events, 1);
	store_close(s);
}

static void without_a_clock_nothing_goes_by_age(void **state)
{
	struct store *s = open_with(NULL, false);
	struct now now = { .utc_us = T0 + 1000 * DAY };
	bool more;

	(void)state;
	put(s, "a.x", T0, 1);
	for (int i = 0; i < 100; i++)
		ok(store_tidy(s, &now, &more, &e));
	assert_false(more);
	assert_samples(s, NULL, false, 9, "a.x@0=1 ");
	store_close(s);
}

static void tidy_jumped(struct store *s, int64_t boot_us, int64_t ahead_us)
{
	const struct now now = { .boot_us = boot_us, .utc_us = T0 + boot_us + ahead_us, .utc_valid = true };

	tidy_at(s, &now);
}

static void a_clock_that_jumps_ahead_drops_nothing_before_it_has_stood_for_a_day(void **state)
{
	struct store *s = open_with(NULL, false);

	(void)state;
	put(s, "a.x", T0, 1);
	tidy_jumped(s, QUARTER, 0);
	tidy_jumped(s, 2 * QUARTER, 3650 * DAY); /* ten years, for half a day, and also over a restart */
	put(s, "a.x", T0 + 3650 * DAY, 2);
	tidy_jumped(s, DAY / 2, 3650 * DAY);
	store_close(s);
	s = open_with(NULL, false);
	tidy_jumped(s, DAY / 2 + QUARTER, 3650 * DAY);
	assert_samples(s, NULL, true, 9, "a.x@0=1 ");
	/* Back again: what came meanwhile, and what comes now, has its means. */
	put(s, "a.x", T0 + QUARTER, 3);
	tidy_jumped(s, DAY, 0);
	assert_samples(s, "a.x", true, 9, "a.x@0=1 a.x@900=3 ");
	assert_samples(s, "a.x", false, 2, "a.x@0=1 a.x@900=3 ");
	/* Another one, that stays: then it is the time. */
	tidy_jumped(s, 2 * DAY, 100 * DAY);
	assert_samples(s, "a.x", false, 2, "a.x@0=1 a.x@900=3 ");
	tidy_jumped(s, 3 * DAY + QUARTER, 100 * DAY);
	assert_int_equal(size_of(s).samples, 1);
	store_close(s);
}

static void a_box_that_was_off_for_a_month_drops_by_age_a_day_later(void **state)
{
	const struct store_limits limits = { .raw_keep_us = DAY };
	struct store *s = open_with(&limits, false);

	(void)state;
	put(s, "a.x", T0, 1);
	tidy_jumped(s, QUARTER * 2, 0);
	store_close(s);
	s = open_with(&limits, false);
	tidy_jumped(s, 0, 30 * DAY);
	assert_int_equal(size_of(s).samples, 1);
	tidy_jumped(s, DAY, 30 * DAY);
	assert_int_equal(size_of(s).samples, 0);
	assert_samples(s, NULL, true, 9, "a.x@0=1 ");
	store_close(s);
}

static void the_budget_takes_the_oldest_raw_samples_first(void **state)
{
	struct store_limits limits = { .budget_bytes = 1 << 20 };
	struct store *s = open_with(&limits, false);
	auto_buf struct buf b = BUF_INIT;
	struct store_size size;
	struct stat st;

	(void)state;
	for (int i = 0; i < 80000; i += 4000) {
		struct store_sample batch[4000];

		for (int k = 0; k < 4000; k++)
			batch[k] = (struct store_sample){ "a.x", T0 + (i + k) * US_PER_S, i + 0.1 };
		ok(store_put_samples(s, batch, 4000, &e));
	}
	put(s, "last.y", T0 + 80000 * US_PER_S, 5);
	tidy(s, T0 + 90 * QUARTER);
	size = size_of(s);
	assert_in_range(size.samples, 20000, 70000);
	assert_int_equal(size.means, 90);
	ok(store_read_samples(s, NULL, INT64_MIN, INT64_MAX, false, 1000000, add_text, &b, &e));
	assert_non_null(strstr(b.data, "last.y@80000=5 "));
	assert_null(strstr(b.data, "a.x@0="));
	store_close(s);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= limits.budget_bytes + 65536);
	/* Counted along is what is there. */
	s = open_with(&limits, false);
	assert_int_equal(size_of(s).samples, size.samples);
	assert_int_equal(size_of(s).means, size.means);
	store_close(s);
}

static void add_one(void *arg, const struct store_sample *x)
{
	(void)x;
	++*(int64_t *)arg;
}

static void a_big_file_is_counted_in_parts_while_it_changes(void **state)
{
	static struct store_sample batch[50000];
	struct store_limits limits = { .raw_keep_us = DAY };
	struct store *s = open_with(&limits, false);
	struct now now = { .utc_us = T0 + DAY + 20 * QUARTER, .utc_valid = true };
	struct store_size size;
	int64_t samples = 0, means = 0;
	bool more = true;

	(void)state;
	for (int i = 0; i < 800000; i += 50000) {
		for (int k = 0; k < 50000; k++)
			batch[k] = (struct store_sample){ k % 2 ? "a.x" : "b.y", T0 + (i + k) * INT64_C(100000), k + 0.5 };
		ok(store_put_samples(s, batch, 50000, &e));
	}
	store_close(s);
	s = open_with(&limits, false);
	assert_false(size_of(s).counted);
	/* Means are made, old samples go, new and late ones come, and all the while it counts. */
	for (int i = 0; more; i++) {
		assert_true(i < 10000);
		if (i % 10 == 0 && i < 500) {
			put(s, "c.z", T0 + DAY - i * 60 * US_PER_S, i);
			put(s, "c.z", T0 + 2 * DAY + i, i);
		}
		ok(store_tidy(s, &now, &more, &e));
	}
	size = size_of(s);
	assert_true(size.counted);
	ok(store_read_samples(s, NULL, INT64_MIN, INT64_MAX, false, SIZE_MAX, add_one, &samples, &e));
	ok(store_read_samples(s, NULL, INT64_MIN, INT64_MAX, true, SIZE_MAX, add_one, &means, &e));
	assert_int_equal(size.samples, samples);
	assert_int_equal(size.means, means);
	assert_true(means > 2 * 80 && samples < 800000);
	store_close(s);
}

/* ---- faults --------------------------------------------------------------------------------------------------------- */

static void a_full_disk_is_an_error_and_the_batch_is_not_there(void **state)
{
	struct store *s = open_with(NULL, false);
	struct store_sample batch[2000];
	struct rlimit old, small;

	(void)state;
	for (int i = 0; i < 2000; i++)
		batch[i] = (struct store_sample){ "a.x", T0 + i, i + 0.5 };
	put(s, "a.x", T0 - 1, 1);
	/* A file may not grow any more: the same to SQLite as a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = 65536, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(store_put_samples(s, batch, 2000, &e), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(e.kind, ERR_IO);
	assert_samples(s, NULL, false, 9, "a.x@0=1 ");
	ok(store_put_samples(s, batch, 2000, &e));
	assert_int_equal(size_of(s).samples, 2001);
	store_close(s);
	s = open_with(NULL, false);
	assert_int_equal(size_of(s).samples, 2001);
	store_close(s);
}

static void a_first_start_on_a_full_disk_says_what_to_do(void **state)
{
	struct store *s;
	struct rlimit old, small;
	bool recovered;
	int rc;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = 16, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = store_open(path, NULL, &s, &recovered, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_IO);
	assert_non_null(strstr(e.text, "; make room on the disk that holds '"));
	store_close(open_with(NULL, false));
}

static void a_full_disk_does_not_keep_a_store_from_opening(void **state)
{
	struct store *s = open_with(NULL, false);
	auto_free char *mode = NULL;
	struct rlimit old, small;
	bool recovered;
	int rc;

	(void)state;
	ok(store_put_setting(s, "mode", "off", &e));
	store_close(s);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = 16, .rlim_max = old.rlim_max }; /* the pid in the lock file has room */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = store_open(path, NULL, &s, &recovered, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	ok(rc);
	assert_false(recovered);
	ok(store_get_setting(s, "mode", &mode, &e));
	assert_string_equal(mode, "off");
	ok(store_put_setting(s, "mode", "manual", &e));
	store_close(s);
}

enum { BATCH = 7 };

/* Write until killed: a batch, an event and a setting, and then the event's number to the pipe. */
static void write_for_ever(int to)
{
	struct store *s;
	bool recovered;

	if (store_open(path, NULL, &s, &recovered, &e) || recovered)
		_exit(1);
	for (;;) {
		struct store_event v = { .kind = "k", .text = "written" };
		struct store_sample batch[BATCH];
		char value[24];
		int64_t id;

		if (store_put_event(s, &v, &id, &e))
			_exit(2);
		for (int i = 0; i < BATCH; i++)
			batch[i] = (struct store_sample){ "a.x", T0 + id * 1000 + i, (double)id };
		snprintf(value, sizeof value, "%lld", (long long)id);
		if (store_put_samples(s, batch, BATCH, &e) || store_put_setting(s, "last", value, &e) ||
		    write(to, &id, sizeof id) != sizeof id)
			_exit(3);
	}
}

static void count_sample(void *arg, const struct store_sample *x)
{
	int64_t *counts = arg, id = (x->utc_us - T0) / 1000;

	assert_true(x->value == (double)id);
	counts[id]++;
}

static void kill_while_writing_loses_nothing_committed(void **state)
{
	struct rng r;
	int64_t last = 0;

	(void)state;
	rng_seed(&r, 9);
	for (int round = 0; round < 12; round++) {
		int64_t wanted = last + 1 + (int64_t)(rng_next(&r) % 40), *counts;
		int ends[2], status;
		auto_free char *value = NULL;
		struct store *s;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		pid = fork();
		if (pid == 0)
			write_for_ever(ends[1]);
		close(ends[1]);
		while (last < wanted)
			assert_true(read(ends[0], &last, sizeof last) == sizeof last);
		usleep((unsigned)(rng_next(&r) % 3000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(ends[0], &last, sizeof last) == sizeof last)
			;
		close(ends[0]);

		s = open_with(NULL, false);
		ok(store_get_setting(s, "last", &value, &e));
		assert_true(atoll(value) == last || atoll(value) == last + 1);
		counts = xcalloc((size_t)last + 2, sizeof *counts);
		ok(store_read_samples(s, "a.x", INT64_MIN, INT64_MAX, false, SIZE_MAX, count_sample, counts, &e));
		/* The one that was cut may be whole or missing, and its number is never used again. */
		for (int64_t id = 1; id <= last; id++)
			assert_true(counts[id] == BATCH || (counts[id] == 0 && id < last));
		assert_true(counts[last + 1] == 0 || counts[last + 1] == BATCH);
		assert_true(size_of(s).events >= last);
		free(counts);
		store_close(s);
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(samples_are_read_back_oldest_first),
		test(a_second_value_of_the_same_time_counts),
		test(a_batch_is_stored_whole_or_not_at_all),
		test(the_number_of_points_has_a_bound),
		test(events_have_rising_numbers_and_pages),
		test(settings_survive_and_change),
		test(settings_that_belong_together_are_kept_together_or_not_at_all),
		test(a_second_holder_is_told_who_has_it),
		test(others_may_not_read_or_write_it),
		test(a_file_that_is_no_database_is_set_aside),
		test(of_the_broken_files_the_two_newest_stay),
		test(a_damaged_page_is_found_at_the_start),
		test(damage_that_is_met_while_it_runs_is_remembered_for_the_next_start),
		test(a_foreign_or_newer_database_is_left_as_it_is),
		test(a_database_of_version_1_opens),
		test(a_missing_folder_is_an_error_and_no_recovery),
		test(finished_quarters_get_their_mean),
		test(a_long_quarter_is_added_up_in_parts),
		test(a_late_sample_has_its_mean_made_again),
		test(old_samples_means_and_events_go),
		test(without_a_clock_nothing_goes_by_age),
		test(a_clock_that_jumps_ahead_drops_nothing_before_it_has_stood_for_a_day),
		test(a_box_that_was_off_for_a_month_drops_by_age_a_day_later),
		test(the_budget_takes_the_oldest_raw_samples_first),
		test(a_big_file_is_counted_in_parts_while_it_changes),
		test(a_full_disk_is_an_error_and_the_batch_is_not_there),
		test(a_first_start_on_a_full_disk_says_what_to_do),
		test(a_full_disk_does_not_keep_a_store_from_opening),
		test(kill_while_writing_loses_nothing_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
