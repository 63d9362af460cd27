#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

/* ---- errors ---- */

static void an_error_names_its_cause_and_its_context(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_IO, ENOENT, "cannot open '%s'", "a"), -1);
	assert_int_equal(err_ctx(&e, "load %d", 7), -1);
	assert_string_equal(e.text, "load 7: cannot open 'a': No such file or directory");
	assert_int_equal(err_add(&e, "; look at %d", 8), -1);
	assert_string_equal(e.text, "load 7: cannot open 'a': No such file or directory; look at 8");
	assert_int_equal(e.kind, ERR_IO);
	assert_int_equal(e.errnum, ENOENT);
}

static void a_long_error_is_cut_not_spilt(void **state)
{
	struct err e;
	char word[2000];

	(void)state;
	memset(word, 'x', sizeof word - 1);
	word[sizeof word - 1] = '\0';
	err_set(&e, ERR_INPUT, EINVAL, "%s", word);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_ctx(&e, "%s", word);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_add(&e, "%s", word);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void an_error_may_quote_its_own_text(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, ERR_INPUT, 0, "inner");
	err_set(&e, ERR_REFUSED, 0, "outer (%s)", e.text);
	assert_string_equal(e.text, "outer (inner)");
}

static void every_error_kind_reads_back_from_its_name(void **state)
{
	(void)state;
	for (enum err_kind k = ERR_NONE; k <= ERR_INTERRUPTED; k++)
		assert_int_equal(err_kind_parse(err_kind_name(k)), k);
	assert_int_equal(err_kind_parse("nonsense"), ERR_BUG);
	assert_string_equal(err_kind_name((enum err_kind)99), "bug");
}

static void a_kind_beyond_all_others_ends_a_program_as_our_bug(void **state)
{
	(void)state;
	assert_int_equal(err_exit_status(ERR_NONE), 0);
	assert_int_equal(err_exit_status(ERR_REFUSED), 77);
	assert_int_equal(err_exit_status(ERR_INTERRUPTED), 130);
	assert_int_equal(err_exit_status((enum err_kind)99), 70);
}

static void a_fault_is_one_sentence_that_no_file_name_can_break(void **state)
{
	const struct diag whole = { "site.yaml", 17, "control.reserve_percent", "is 140, must be 0…100" };
	const struct diag bare = { "a\nb", 0, "", "is empty" };
	char text[DIAG_LEN];

	(void)state;
	assert_string_equal(diag_format(&whole, text), "site.yaml:17: control.reserve_percent is 140, must be 0…100");
	assert_string_equal(diag_format(&bare, text), "a\\x0ab: is empty");
}

static void the_nearest_word_is_the_one_that_was_meant(void **state)
{
	static const char *const names[] = { "scan", "status", "control", "id", "site" };
	static const struct { const char *word, *near; } cases[] = {
		{ "sacn", "scan" }, { "contorl", "control" }, { "sta", "status" }, { "ie", "id" }, { "sitee", "site" },
		{ "xy", NULL }, { "", NULL }, { "zzzzzzzz", NULL },
		{ "a-word-that-is-much-longer-than-any-key-or-command-that-psec-could-ever-have", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *near = str_nearest(cases[i].word, names, COUNT_OF(names));

		assert_string_equal(near ? near : "none", cases[i].near ? cases[i].near : "none");
	}
}

static void data_lie_where_the_environment_says_else_beside_the_program(void **state)
{
	char path[SHARE_PATH_LEN];
	auto_free char *long_name = xcalloc(1, SHARE_PATH_LEN + 1);

	(void)state;
	setenv("PSEC_SHARE", "/somewhere", 1);
	assert_string_equal(share_path("profiles", path), "/somewhere/profiles");
	memset(long_name, 'a', SHARE_PATH_LEN);
	assert_string_equal(share_path(long_name, path), "");
	unsetenv("PSEC_SHARE");
	assert_int_equal(access(share_path("profiles/eastron-sdm630.yaml", path), R_OK), 0);
	assert_non_null(strstr(path, "/share/psec/profiles/"));
}

static void remember_diag(void *arg, const struct diag *d)
{
	snprintf(arg, 200, "%s:%d: %s %s", d->file, d->line, d->path, d->text);
}

static void a_fault_reaches_the_sink_and_is_counted(void **state)
{
	char seen[200];
	struct diag_sink sink = { .fn = remember_diag, .arg = seen }, silent = { 0 };

	(void)state;
	diag_report(&sink, "site.yaml", 17, "control.reserve_percent", "is %d, must be 0…100", 140);
	assert_string_equal(seen, "site.yaml:17: control.reserve_percent is 140, must be 0…100");
	assert_int_equal(sink.count, 1);
	diag_report(&silent, "f", 0, NULL, "x");
	assert_int_equal(silent.count, 1);
}

/* ---- ownership ---- */

static void what_is_taken_is_not_freed_twice(void **state)
{
	char *kept;

	(void)state;
	{
		auto_free char *p = xstrdup("kept");

		kept = take(p);
		assert_null(p);
	}
	assert_string_equal(kept, "kept");
	free(kept);
}

static void a_descriptor_closes_with_its_scope(void **state)
{
	int seen;

	(void)state;
	{
		auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		seen = fd;
		assert_true(fcntl(seen, F_GETFD) >= 0);
	}
	assert_int_equal(fcntl(seen, F_GETFD), -1);
}

static void a_buffer_grows_and_stays_ended(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	auto_free char *s = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		buf_addf(&b, "%d,", i % 10);
		assert_int_equal(b.data[b.len], '\0');
		assert_true(b.len < b.cap);
	}
	assert_int_equal(b.len, 2000);
	buf_clear(&b);
	assert_string_equal(b.data, "");
	buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	s = buf_take(&b);
	assert_memory_equal(s, "a\0b", 4);
	assert_null(b.data);
}

static void an_empty_buffer_is_taken_as_an_empty_string(void **state)
{
	struct buf b = BUF_INIT;
	auto_free char *s = buf_take(&b);

	(void)state;
	assert_string_equal(s, "");
}

/* ---- text ---- */

static void long_text_is_cut_not_spilt(void **state)
{
	char to[4];

	(void)state;
	assert_true(str_copy(to, sizeof to, "abc"));
	assert_string_equal(to, "abc");
	assert_false(str_copy(to, sizeof to, "abcd"));
	assert_string_equal(to, "abc");
	to[0] = 'z';
	assert_false(str_copy(to, 0, ""));
	assert_int_equal(to[0], 'z');
}

static void hostile_text_cannot_move_the_cursor(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "plain grüße €", "plain grüße €" },
		{ "a\x1b[2Jb", "a\\x1b[2Jb" },
		{ "a\nb\x7f", "a\\x0ab\\x7f" },
		{ "\xc2\x9b" "31m", "\\xc2\\x9b31m" },              /* CSI of C1 */
		{ "\xe2\x80\xae" "x", "\\xe2\\x80\\xaex" },         /* right-to-left override */
		{ "\xff\xc0\x80", "\\xff\\xc0\\x80" },              /* never UTF-8; overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },              /* a surrogate */
		{ "\xe2\x82", "\\xe2\\x82" },                       /* cut off */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },     /* beyond Unicode */
		{ "\xf0\x9f\x94\x8b", "\xf0\x9f\x94\x8b" },         /* a battery */
	};
	char to[100];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		str_printable(to, sizeof to, cases[i].from, strlen(cases[i].from));
		assert_string_equal(to, cases[i].to);
	}
	str_printable(to, sizeof to, "a\0b", 3);
	assert_string_equal(to, "a\\x00b");
}

static void a_cut_never_splits_a_character_or_an_escape(void **state)
{
	static const char from[] = "\x1b€\xff";
	char to[32];

	(void)state;
	for (size_t n = 1; n < sizeof to; n++) {
		memset(to, '#', sizeof to);
		str_printable(to, n, from, sizeof from - 1);
		assert_true(strlen(to) < n);
		assert_true(str_eq(to, "") || str_eq(to, "\\x1b") || str_eq(to, "\\x1b€") || str_eq(to, "\\x1b€\\xff"));
	}
}

/* ---- numbers ---- */

static void columns_are_characters_and_a_cut_fits_them(void **state)
{
	const char *text = "3 °C …k"; /* 7 columns, 10 bytes */

	(void)state;
	assert_int_equal(str_columns(text, strlen(text)), 7);
	assert_int_equal(str_columns(text, 2), 2);
	assert_int_equal(str_columns("", 0), 0);
	assert_int_equal(str_fit(text, strlen(text), 0), 0);
	assert_int_equal(str_fit(text, strlen(text), 2), 2);
	assert_int_equal(str_fit(text, strlen(text), 3), 4);
	assert_int_equal(str_fit(text, strlen(text), 6), 9);
	assert_int_equal(str_fit(text, strlen(text), 7), 10);
	assert_int_equal(str_fit(text, strlen(text), 100), 10);
	assert_int_equal(str_fit(text, 2, 100), 2);
}

static void only_a_whole_number_in_range_is_a_number(void **state)
{
	static const char *const wrong[] = { "", " 1", "1 ", "+1", "1.0", "0x", "x", "-", "--1", "1e3", "9223372036854775808",
					     "101", "-101", "0x65", "1\n", "0x 1", "-0x" };
	int64_t v = 42;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(parse_int(wrong[i], -100, 100, &v));
		assert_int_equal(v, 42);
	}
	assert_true(parse_int("-100", -100, 100, &v) && v == -100);
	assert_true(parse_int("007", -100, 100, &v) && v == 7);
	assert_true(parse_int("0x1F", -100, 100, &v) && v == 31);
	assert_true(parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v) && v == INT64_MIN);
}

static void a_real_number_is_finite_and_in_range(void **state)
{
	static const char *const wrong[] = { "", "inf", "nan", "-inf", " 1", "1 ", "+1", ".5", "1.", "1e", "1e999", "0x10",
					     "1,5", "1e5", "--1" };
	double v = 42;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(parse_real(wrong[i], -1000, 1000, &v));
		assert_true(v == 42);
	}
	assert_true(parse_real("-1.5e2", -1000, 1000, &v) && v == -150);
	assert_true(parse_real("0.1", -1000, 1000, &v) && v == 0.1);
	assert_true(parse_real("1E+2", -1000, 1000, &v) && v == 100);
}

static void a_duration_names_its_unit_or_takes_the_default(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} right[] = { { "500ms", 500 }, { "2s", 2000 }, { "1.5s", 1500 }, { "5min", 300000 }, { "1h", 3600000 },
		      { "400d", INT64_C(34560000000) }, { "7", 7000 }, { "0", 0 } };
	static const char *const wrong[] = { "", "s", "1m", "1 s", "1sec", "-1s", "401d", "inf", "1e99s", "1s ",
					     "1.0000000000000000000000000s" };
	int64_t ms = 42;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(right); i++) {
		assert_true(parse_duration(right[i].text, 1000, 0, INT64_C(34560000000), &ms));
		assert_int_equal(ms, right[i].ms);
	}
	ms = 42;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(parse_duration(wrong[i], 1000, 0, INT64_C(34560000000), &ms));
		assert_int_equal(ms, 42);
	}
}

static void the_same_seed_gives_the_same_sequence(void **state)
{
	struct rng a, b;
	double x, sum = 0;

	(void)state;
	rng_seed(&a, 1);
	rng_seed(&b, 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rng_next(&a), rng_next(&b));
	for (int i = 0; i < 10000; i++) {
		x = rng_real(&a, -2, 4);
		assert_true(x >= -2 && x < 4);
		sum += x;
	}
	assert_true(fabs(sum / 10000 - 1) < 0.1);
	/* The first numbers of xoshiro256** after splitmix64(0), so that no port changes every simulated day. */
	rng_seed(&a, 0);
	assert_int_equal(rng_next(&a), UINT64_C(0x99ec5f36cb75f2b4));
	assert_int_equal(rng_next(&a), UINT64_C(0xbf6e1f784956452a));
}

/* ---- time ---- */

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void a_spread_never_tells_a_quantile_too_good_nor_far_too_bad(void **state)
{
	static const unsigned shares[] = { 1, 500, 990, 999, 1000 };
	int64_t values[2000];
	struct spread odd = { 0 }, all = { 0 };
	struct rng r;

	(void)state;
	assert_int_equal(spread_quantile(&all, 990), 0);
	rng_seed(&r, 8);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		values[i] = (int64_t)(rng_next(&r) >> (41 + rng_next(&r) % 23));
		spread_add(i % 2 ? &odd : &all, values[i]);
	}
	spread_add(&all, -1);
	spread_merge(&all, &odd);
	assert_int_equal(all.count, COUNT_OF(values));
	qsort(values, COUNT_OF(values), sizeof values[0], by_value);
	assert_int_equal(all.max_us, values[COUNT_OF(values) - 1]);
	for (size_t i = 0; i < COUNT_OF(shares); i++) {
		int64_t want = values[(COUNT_OF(values) * shares[i] + 999) / 1000 - 1], got = spread_quantile(&all, shares[i]);

		assert_true(got >= want && got <= want + want / 8);
	}
	spread_add(&all, INT64_MAX);
	assert_int_equal(spread_quantile(&all, 1000), UINT32_MAX);
}

static void a_time_reads_back_as_it_was_written(void **state)
{
	char text[BASE_TIME_LEN];
	struct rng r;
	int64_t us;

	(void)state;
	rng_seed(&r, 3);
	for (int i = 0; i < 20000; i++) {
		/* Years 1 to 9999, at whole milliseconds. */
		int64_t ms = (int64_t)rng_real(&r, -62135596800000.0, 253402300799999.0);
		time_t s = (time_t)(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
		char want[64];
		struct tm tm;

		time_format(ms * 1000, text);
		assert_true(time_parse(text, &us));
		assert_int_equal(us, ms * 1000);
		gmtime_r(&s, &tm);
		snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			 tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_memory_equal(text, want, 19);
	}
	assert_string_equal(time_format(1, text), "1970-01-01T00:00:00.000Z");
	assert_string_equal(time_format(-1, text), "1969-12-31T23:59:59.999Z");
	time_format(INT64_MIN, text);
	time_format(INT64_MAX, text);
	assert_true(strlen(text) < BASE_TIME_LEN);
}

static void only_utc_that_exists_is_a_time(void **state)
{
	static const char *const wrong[] = { "", "2016-01-01", "2016-01-01T00:00", "2016-01-01T00:00+01:00",
					     "2016-02-30T00:00Z",
					     "2015-02-29T00:00Z", "2016-13-01T00:00Z", "2016-00-01T00:00Z", "2016-01-00T00:00Z",
					     "2016-01-01T24:00Z", "2016-01-01T00:60Z", "2016-01-01T00:00:60Z", "2016-01-01T00:00:00.Z",
					     "2016-01-01T00:00:00.1234567890Z", "2016-1-01T00:00Z", "2016-01-01 00:00Z",
					     "2016-01-01T00:00Zx", "+016-01-01T00:00Z" };
	int64_t us = 42;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(time_parse(wrong[i], &us));
		assert_int_equal(us, 42);
	}
	assert_true(time_parse("2016-01-01T00:00Z", &us) && us == INT64_C(1451606400000000));
	assert_true(time_parse("2016-02-29T12:30:15.25Z", &us) && us == INT64_C(1456749015250000));
	assert_true(time_parse("2016-01-01T00:00:00.123456789Z", &us) && us % US_PER_S == 123456);
}

static void boot_time_goes_forward(void **state)
{
	struct now a = now_read(), b = now_read();

	(void)state;
	assert_true(a.boot_us > 0 && b.boot_us >= a.boot_us);
	assert_true(a.utc_valid);
}

/* ---- files ---- */

static int make_folder(void **state)
{
	char *dir = xstrdup("/tmp/psec-base.XXXXXX");

	*state = mkdtemp(dir);
	return *state && chdir(dir) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	auto_free char *rm = xasprintf("rm -rf '%s'", (char *)*state);
	int rc = chdir("/") | system(rm);

	free(*state);
	return rc;
}

static void a_replaced_file_has_the_new_text_and_the_old_mode(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct stat st;
	struct err e;

	(void)state;
	umask(022);
	assert_int_equal(file_replace("a", "one", 3, 0666, &e), 0);
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(chmod("a", 0600), 0);
	assert_int_equal(file_replace("a", "two!", 4, 0666, &e), 0);
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(file_read("a", 100, &b, &e), 0);
	assert_string_equal(b.data, "two!");
}

static void a_link_stays_when_its_file_is_replaced(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct stat st;
	struct err e;

	(void)state;
	assert_int_equal(file_replace("real", "old", 3, 0644, &e), 0);
	assert_int_equal(symlink("real", "link"), 0);
	assert_int_equal(file_replace("link", "new", 3, 0644, &e), 0);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(file_read("real", 100, &b, &e), 0);
	assert_string_equal(b.data, "new");
}

static void where_others_may_write_a_link_is_replaced_itself(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct stat st;
	struct err e;

	(void)state;
	assert_int_equal(file_replace("theirs", "theirs", 6, 0666, &e), 0);
	assert_int_equal(symlink("theirs", "trap"), 0);
	assert_int_equal(file_replace_all("trap", "ours", 4, 0600, &e), 0);
	assert_int_equal(lstat("trap", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600); /* not what the link led to */
	assert_int_equal(file_read("trap", 100, &b, &e), 0);
	assert_string_equal(b.data, "ours");
	buf_clear(&b);
	assert_int_equal(file_read("theirs", 100, &b, &e), 0);
	assert_string_equal(b.data, "theirs");
	assert_int_equal(file_replace_all("no/where", "x", 1, 0600, &e), -1);
}

static void a_failed_replacement_leaves_nothing_behind(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_int_equal(file_replace("folder", "x", 1, 0644, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
	assert_int_equal(system("test -z \"$(ls | grep -F .new)\""), 0);
	assert_int_equal(file_replace("no/where", "x", 1, 0644, &e), -1);
	assert_int_equal(e.errnum, ENOENT);
}

static void a_file_beyond_the_bound_is_refused(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct err e;

	(void)state;
	assert_int_equal(file_replace("a", "12345", 5, 0644, &e), 0);
	assert_int_equal(file_read("a", 5, &b, &e), 0);
	assert_int_equal(file_read("a", 4, &b, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_string_equal(e.text, "'a' is larger than 4 bytes");
	assert_int_equal(file_read("none", 4, &b, &e), -1);
	assert_int_equal(e.errnum, ENOENT);
	assert_int_equal(file_replace("empty", "", 0, 0644, &e), 0);
	assert_int_equal(file_read("empty", 4, &b, &e), 0);
	assert_string_equal(b.data, "");
}

/* A pipe in /dev/fd is what the shell makes of <(…). */
static void a_fifo_a_folder_and_a_device_are_refused_and_a_pipe_that_was_handed_over_is_read(void **state)
{
	static const struct { const char *path, *what; } cases[] = {
		{ "fifo", "'fifo' is a fifo, must be a regular file" }, { "d", "'d' is a folder, must be a regular file" },
		{ "/dev/zero", "'/dev/zero' is a device, must be a regular file" },
	};
	auto_buf struct buf b = BUF_INIT;
	auto_free char *handed = NULL;
	struct err e;
	int fds[2], fd;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("d", 0700), 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(file_read(cases[i].path, 9, &b, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_string_equal(e.text, cases[i].what);
		assert_int_equal(file_open(cases[i].path, &fd, &e), -1);
	}
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	handed = xasprintf("/dev/fd/%d", fds[0]);
	if (fork() == 0) {
		usleep(20000); /* it is waited for, though nothing is there yet */
		_exit(write(fds[1], "late", 4) == 4 ? 0 : 1);
	}
	close(fds[1]);
	assert_int_equal(file_read(handed, 9, &b, &e), 0);
	assert_string_equal(b.data, "late");
	close(fds[0]);
}

static void what_is_left_to_wait_is_rounded_up_and_bounded(void **state)
{
	int64_t now_us = now_read().boot_us;
	int left = time_left_ms(now_us + 60 * US_PER_S);

	(void)state;
	assert_in_range(left, 1, 60000);
	assert_int_equal(time_left_ms(now_us), 0);
	assert_int_equal(time_left_ms(INT64_MIN / 2), 0);
	assert_int_equal(time_left_ms(INT64_MAX), INT32_MAX);
	left = 0;
	for (int i = 0; i < 1000 && !left; i++) /* a busy machine may let half a millisecond pass between the two */
		left = time_left_ms(now_read().boot_us + 500);
	assert_int_equal(left, 1);
}

static void folders_are_made_all_the_way(void **state)
{
	struct stat st;
	struct err e;

	(void)state;
	assert_int_equal(dir_make("x/y//z/", 0750, &e), 0);
	assert_int_equal(dir_make("x/y/z", 0750, &e), 0);
	assert_int_equal(stat("x/y/z", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(file_replace("x/f", "", 0, 0644, &e), 0);
	assert_int_equal(dir_make("x/f", 0750, &e), -1);
	assert_int_equal(e.errnum, ENOTDIR);
	assert_int_equal(dir_make("x/f/g", 0750, &e), -1);
}

static void a_full_pipe_does_not_cut_what_is_written(void **state)
{
	static char data[300000];
	auto_buf struct buf b = BUF_INIT;
	struct err e;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	memset(data, 'x', sizeof data);
	if (fork() == 0) {
		close(fds[0]);
		_exit(fd_write_all(fds[1], data, sizeof data, &e) == 0 ? 0 : 1);
	}
	close(fds[1]);
	fcntl(fds[0], F_SETFL, 0);
	assert_int_equal(file_read_fd(fds[0], "pipe", sizeof data, &b, &e), 0);
	close(fds[0]);
	assert_int_equal(b.len, sizeof data);
}

/* ---- log ---- */

static void assert_digest(const void *data, size_t len, const char *expected)
{
	uint8_t digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	sha256(data, len, digest);
	assert_string_equal(hex_format(digest, sizeof digest, hex), expected);
}

/* FIPS 180-4's examples, and every length around the borders of blocks, held against another implementation's sum. */
static void a_digest_is_sha256(void **state)
{
	auto_free uint8_t *many = xcalloc(1, 1000000);
	uint8_t digests[200][SHA256_LEN];

	(void)state;
	assert_digest("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(many, 'a', 1000000);
	assert_digest(many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	for (size_t i = 0; i < COUNT_OF(digests); i++)
		many[i] = (uint8_t)(i * 7 + 3);
	for (size_t i = 0; i < COUNT_OF(digests); i++)
		sha256(many, i, digests[i]);
	assert_digest(digests, sizeof digests, "615d67a99b8c846e1f0582dfe127019e93c33a66e89ced6a4f81f932c82ece87");
}

static void hex_reads_back_and_nothing_else_is_taken(void **state)
{
	uint8_t bytes[3] = { 0x00, 0xa5, 0xff }, back[3] = { 1, 2, 3 };
	char hex[7];

	(void)state;
	assert_string_equal(hex_format(bytes, 3, hex), "00a5ff");
	assert_true(hex_parse(hex, back, 3));
	assert_memory_equal(back, bytes, 3);
	assert_false(hex_parse("00a5f", back, 3));
	assert_false(hex_parse("00a5ff0", back, 3));
	assert_false(hex_parse("00A5ff", back, 3));
	assert_false(hex_parse("00a5fg", back, 3));
	assert_true(hex_parse("", back, 0));
}

static void a_log_entry_is_one_line_whatever_it_says(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	int saved = dup(STDERR_FILENO), fds[2];
	struct err e;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	dup2(fds[1], STDERR_FILENO);
	log_init("psecd", LOG_INFO);
	log_line(LOG_WARNING, "device '%s'", "evil\n<3>psecd: fake");
	log_line(LOG_DEBUG, "not shown");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	assert_int_equal(file_read_fd(fds[0], "pipe", 4096, &b, &e), 0);
	close(fds[0]);
	assert_string_equal(b.data, "<4>psecd: device 'evil\\x0a<3>psecd: fake'\n");
}

int main(void)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_names_its_cause_and_its_context),
		cmocka_unit_test(a_long_error_is_cut_not_spilt),
		cmocka_unit_test(an_error_may_quote_its_own_text),
		cmocka_unit_test(every_error_kind_reads_back_from_its_name),
		cmocka_unit_test(a_kind_beyond_all_others_ends_a_program_as_our_bug),
		cmocka_unit_test(a_fault_is_one_sentence_that_no_file_name_can_break),
		cmocka_unit_test(the_nearest_word_is_the_one_that_was_meant),
		cmocka_unit_test(data_lie_where_the_environment_says_else_beside_the_program),
		cmocka_unit_test(a_fault_reaches_the_sink_and_is_counted),
		cmocka_unit_test(what_is_taken_is_not_freed_twice),
		cmocka_unit_test(a_descriptor_closes_with_its_scope),
		cmocka_unit_test(a_buffer_grows_and_stays_ended),
		cmocka_unit_test(an_empty_buffer_is_taken_as_an_empty_string),
		cmocka_unit_test(long_text_is_cut_not_spilt),
		cmocka_unit_test(hostile_text_cannot_move_the_cursor),
		cmocka_unit_test(a_cut_never_splits_a_character_or_an_escape),
		cmocka_unit_test(columns_are_characters_and_a_cut_fits_them),
		cmocka_unit_test(only_a_whole_number_in_range_is_a_number),
		cmocka_unit_test(a_real_number_is_finite_and_in_range),
		cmocka_unit_test(a_duration_names_its_unit_or_takes_the_default),
		cmocka_unit_test(the_same_seed_gives_the_same_sequence),
		cmocka_unit_test(a_spread_never_tells_a_quantile_too_good_nor_far_too_bad),
		cmocka_unit_test(a_time_reads_back_as_it_was_written),
		cmocka_unit_test(only_utc_that_exists_is_a_time),
		cmocka_unit_test(boot_time_goes_forward),
		IN_FOLDER(a_replaced_file_has_the_new_text_and_the_old_mode),
		IN_FOLDER(a_link_stays_when_its_file_is_replaced),
		IN_FOLDER(where_others_may_write_a_link_is_replaced_itself),
		IN_FOLDER(a_failed_replacement_leaves_nothing_behind),
		IN_FOLDER(a_file_beyond_the_bound_is_refused),
		IN_FOLDER(a_fifo_a_folder_and_a_device_are_refused_and_a_pipe_that_was_handed_over_is_read),
		cmocka_unit_test(what_is_left_to_wait_is_rounded_up_and_bounded),
		IN_FOLDER(folders_are_made_all_the_way),
		cmocka_unit_test(a_full_pipe_does_not_cut_what_is_written),
		cmocka_unit_test(a_digest_is_sha256),
		cmocka_unit_test(hex_reads_back_and_nothing_else_is_taken),
		cmocka_unit_test(a_log_entry_is_one_line_whatever_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
