#include "batch/batch.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

/* ---- the file ---- */

static struct buf said;

static void say(void *arg, const struct diag *d)
{
	(void)arg;
	buf_addf(&said, "%d: %s%s%s\n", d->line, d->path, *d->path ? " " : "", d->text);
}

static int read_text(const char *text, size_t len, const char *prefix, struct batch_rows *rows)
{
	char path[] = "/tmp/psec-batch-XXXXXX";
	auto_close int fd = mkstemp(path);
	struct diag_sink sink = { .fn = say };
	struct err e = { 0 };
	int rc;

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, len, &e), 0);
	buf_clear(&said);
	rc = batch_read(path, prefix, rows, &sink, &e);
	unlink(path);
	assert_int_equal(rc ? ERR_INPUT : ERR_NONE, e.kind);
	return rc;
}

static void assert_refused(const char *text, const char *why)
{
	struct batch_rows rows;

	assert_int_equal(read_text(text, strlen(text), NULL, &rows), -1);
	assert_string_equal(said.data, why);
	assert_null(rows.row);
}

static void rows_are_read_with_quotes_mark_and_crlf(void **state)
{
	static const char text[] = "\xef\xbb\xbftcti,site,serial,out\r\n"
				   "\"cmd:ssh board \"\"tpm2_send, raw\"\"\",house-1,P-1,\r\n"
				   "\r\n"
				   "device:/dev/tpmrm0,,P-2,box2";
	struct batch_rows rows;

	(void)state;
	assert_int_equal(read_text(text, sizeof text - 1, NULL, &rows), 0);
	assert_int_equal(rows.count, 2);
	assert_string_equal(rows.row[0].tcti, "cmd:ssh board \"tpm2_send, raw\"");
	assert_string_equal(rows.row[0].serial, "P-1");
	assert_string_equal(rows.row[0].site, "house-1");
	assert_string_equal(rows.row[0].out, "");
	assert_string_equal(rows.row[1].out, "box2");
	assert_int_equal(rows.row[1].line, 4);
	batch_rows_release(&rows);
}

static void every_fault_is_told_with_its_line(void **state)
{
	(void)state;
	assert_refused("serial,tcti,site,out\n"
		       "A B,device:/dev/tpm0,,\n"
		       ",tpm0,Haus,../x\n"
		       "auto,cmd:,,\n"
		       "P-1,device:a\n"
		       "P-1,device:b,,,more\n"
		       "\"P-1,device:c,,\n"
		       "P-1,device:\"d\",,\n"
		       "\"P-1\"x,device:d,,\n"
		       "P-1,device:e,s,x\n"
		       "P-1,device:e,s,y\n"
		       "P\a-1,device:f,,\n"
		       "-P,device:g,,\n",
		       "2: serial is 'A B', must be 1 to 64 of A-Z a-z 0-9 . _ - (not . or - at first), or 'auto'\n"
		       "3: serial is empty, must be 1 to 64 of A-Z a-z 0-9 . _ - (not . or - at first), or 'auto'\n"
		       "3: tcti is 'tpm0', must begin with device:, cmd:, swtpm:, mssim:, tabrmd: or libtpms:\n"
		       "3: site is 'Haus', must be 1 to 31 of a-z 0-9 -\n"
		       "3: out is '../x', must be the name of a folder within --out: A-Z a-z 0-9 . _ -, not . at first\n"
		       "4: serial is 'auto', must be the board's serial where no --serial-prefix is given\n"
		       "4: tcti is 'cmd:', must have the command after 'cmd:'\n"
		       "5: has 2 fields, must have 4 as the headings\n"
		       "6: has 5 fields, must have 4 as the headings (a field with a comma stands in quotes)\n"
		       "7: has a field whose quote is not closed on its line\n"
		       "8: has a '\"' within a field: the whole field must stand in quotes, and each '\"' in it twice\n"
		       "9: has text after a field's closing quote, must have a comma there\n"
		       "12: has a control character or one that is not UTF-8\n"
		       "13: serial is '-P', must be 1 to 64 of A-Z a-z 0-9 . _ - (not . or - at first), or 'auto'\n"
		       "11: serial is 'P-1', as in line 10: a serial is given once\n"
		       "11: tcti is 'device:e', as in line 10: that is one and the same TPM\n"
		       "11: site is 's', as in line 10: a site has one board\n");
}

static void headings_that_are_wrong_are_told_alone(void **state)
{
	(void)state;
	assert_refused("", "1: is empty, must begin with the headings serial,tcti\n");
	assert_refused("serial,tcti\n", "1: names no board\n");
	assert_refused("serial;tcti\nx;y\n", "1: is separated by ';', must be separated by ','\n");
	assert_refused("serial,serial,tctl\nx,y,z\n",
		       "1: serial is there twice among the columns\n"
		       "1: the column 'tctl' is unknown, may be serial, tcti, site, out; did you mean 'tcti'?\n"
		       "1: tcti is missing among the columns\n");
	assert_refused("serial,tcti,site,out,more\n", "1: has 5 columns, may have serial, tcti, site, out\n");
}

static void folders_and_given_serials_do_not_meet(void **state)
{
	static const char text[] = "serial,tcti\nP-000002,device:a\nP-x,device:b\nauto,device:c\n";
	struct batch_rows rows;

	(void)state;
	assert_refused("serial,tcti,out\nP-1,device:a,\nP-2,device:b,P-1\n",
		       "3: out is 'P-1', as in line 2: each board has a folder of its own\n");
	assert_int_equal(read_text(text, sizeof text - 1, "P", &rows), -1);
	assert_string_equal(said.data, "2: serial is 'P-000002', which 'auto' with --serial-prefix P may give to another board "
				       "of this file\n");
}

static void a_batch_is_bounded(void **state)
{
	auto_buf struct buf text = BUF_INIT;
	struct batch_rows rows;

	(void)state;
	buf_adds(&text, "serial,tcti\n");
	for (int i = 0; i < BATCH_ROWS; i++)
		buf_addf(&text, "P-%d,device:%d\n", i, i);
	assert_int_equal(read_text(text.data, text.len, NULL, &rows), 0);
	assert_int_equal(rows.count, BATCH_ROWS);
	batch_rows_release(&rows);
	buf_adds(&text, "P-x,device:x\n");
	assert_int_equal(read_text(text.data, text.len, NULL, &rows), -1);
	assert_string_equal(said.data, "10002: is one board too many: a batch has at most 10000\n");
}

static void beyond_a_hundred_faults_they_are_counted(void **state)
{
	auto_buf struct buf text = BUF_INIT;
	struct batch_rows rows;

	(void)state;
	buf_adds(&text, "serial,tcti\n");
	for (int i = 0; i < 150; i++)
		buf_addf(&text, "P %d,device:%d\n", i, i);
	assert_int_equal(read_text(text.data, text.len, NULL, &rows), -1);
	assert_non_null(strstr(said.data, "\n0: has 50 more faults\n"));
}

/* ---- the run ---- */

/* A station: the script that stands for each board, by its serial. */
struct station {
	char dir[64];
	const char *script;
	int serials, told, break_after;
	struct batch_progress last;
};

static int give_serial(void *arg, char serial[BATCH_SERIAL], struct err *e)
{
	struct station *s = arg;

	(void)e;
	snprintf(serial, BATCH_SERIAL, "P-%06d", ++s->serials);
	return 0;
}

static void words(void *arg, const struct batch_board *b, const char *w[BATCH_WORDS])
{
	struct station *s = arg;

	w[0] = "/bin/sh";
	w[1] = "-c";
	w[2] = s->script;
	w[3] = b->serial;
	w[4] = b->folder;
	w[5] = b->rework ? "rework" : "";
}

static void told(void *arg, const struct batch_progress *p)
{
	struct station *s = arg;

	s->last = *p;
	if (++s->told == s->break_after)
		raise(SIGINT);
}

static void station_begin(struct station *s, const char *script)
{
	*s = (struct station){ .script = script };
	str_copy(s->dir, sizeof s->dir, "/tmp/psec-batch-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
}

static void station_end(const struct station *s)
{
	auto_free char *rm = xasprintf("rm -r %s", s->dir);

	assert_int_equal(system(rm), 0);
}

static const struct batch_how base = { .station = "hall-1", .jobs = 3, .deadline_ms = 10000, .product = "P2",
				       .serial = give_serial, .words = words, .told = told };

/* Boards T0 … Tn-1, with the serials S0 … or "auto". */
static int run(struct station *s, struct batch_how how, size_t n, bool autos, struct batch_result *res, struct err *e)
{
	struct batch_row row[8];
	char serial[8][8], tcti[8][8];
	static char none[1], automatic[] = BATCH_AUTO;
	const struct batch_rows rows = { row, n };

	for (size_t i = 0; i < n; i++) {
		snprintf(serial[i], 8, "S%zu", i);
		snprintf(tcti[i], 8, "T%zu", i);
		row[i] = (struct batch_row){ autos ? automatic : serial[i], tcti[i], none, none, (int)i + 2 };
	}
	how.dir = s->dir;
	how.arg = s;
	*e = (struct err){ 0 };
	return batch_run(&how, &rows, res, e);
}

#define DONE "echo '{\"state\":\"done\",\"ek\":\"0123456789abcdef\",\"certificates\":{\"idevid\":\"77\"}}'"

static void each_board_has_its_result_and_its_label(void **state)
{
	static const char script[] =
		"case $0 in S0) " DONE ";; S1) echo '{\"state\":\"kept\"}';;"
		" S2) echo '{\"state\":\"failed\",\"error\":{\"kind\":\"refused\",\"text\":\"no such EK\"}}'; exit 1;;"
		" S3) echo 'loader: no library' >&2; exit 127;; S4) kill -SEGV $$;; S5) echo '[{}]';; esac";
	struct batch_result res[6];
	auto_buf struct buf label = BUF_INIT;
	auto_free char *path = NULL;
	struct station s;
	struct err e;

	(void)state;
	station_begin(&s, script);
	assert_int_equal(run(&s, base, 6, false, res, &e), 0);
	assert_int_equal(res[0].state, BATCH_DONE);
	assert_string_equal(res[0].idevid, "77");
	assert_int_equal(res[1].state, BATCH_KEPT);
	assert_int_equal(res[2].state, BATCH_FAILED);
	assert_int_equal(res[2].kind, ERR_REFUSED);
	assert_string_equal(res[2].text, "no such EK");
	assert_string_equal(res[3].text, "its process ended with exit status 127 and without a result: loader: no library");
	assert_non_null(strstr(res[4].text, "killed by signal 11"));
	assert_int_equal(res[5].kind, ERR_BUG);
	assert_int_equal(s.last.done, 1);
	assert_int_equal(s.last.kept, 1);
	assert_int_equal(s.last.failed, 4);
	path = xasprintf("%s/S0/label.svg", s.dir);
	assert_int_equal(file_read(path, 100000, &label, &e), 0);
	assert_non_null(strstr(label.data, ">P2<"));
	station_end(&s);
}

/* Or dead, and only nobody has asked for it yet. */
static bool is_gone(long pid)
{
	auto_free char *path = xasprintf("/proc/%ld/stat", pid);
	const char *state;

	for (int i = 0; i < 1000; i++) {
		auto_buf struct buf stat = BUF_INIT;
		struct err e;

		if (file_read(path, 4096, &stat, &e))
			return true;
		state = strrchr(stat.data, ')');
		if (state && state[1] == ' ' && state[2] == 'Z')
			return true;
		usleep(1000);
	}
	return false;
}

static void one_that_hangs_is_ended_with_what_it_started(void **state)
{
	/* the sleeper holds the pipe */
	static const char script[] = "if [ $0 = S1 ]; then sleep 300 & echo $! >\"$1/pid\"; wait; fi; " DONE;
	struct batch_how how = base;
	struct batch_result res[3];
	auto_buf struct buf pid = BUF_INIT;
	auto_free char *path = NULL;
	struct station s;
	struct err e;

	(void)state;
	how.deadline_ms = 300;
	station_begin(&s, script);
	assert_int_equal(run(&s, how, 3, false, res, &e), 0);
	assert_int_equal(res[0].state, BATCH_DONE);
	assert_int_equal(res[1].state, BATCH_FAILED);
	assert_int_equal(res[1].kind, ERR_UNREACHABLE);
	assert_non_null(strstr(res[1].text, "0.3 s (--deadline)"));
	assert_int_equal(res[2].state, BATCH_DONE);
	path = xasprintf("%s/S1/pid", s.dir);
	assert_int_equal(file_read(path, 100, &pid, &e), 0);
	assert_true(is_gone(strtol(pid.data, NULL, 10)));
	station_end(&s);
}

static void a_serial_stays_with_its_board(void **state)
{
	static const char script[] = "[ -e \"$1/before\" ] && " DONE " && exit; : >\"$1/before\"; exit 1";
	struct batch_result res[4];
	struct station s;
	struct err e;

	(void)state;
	station_begin(&s, script);
	assert_int_equal(run(&s, base, 4, true, res, &e), 0);
	assert_int_equal(s.last.failed, 4);
	assert_string_equal(res[3].serial, "P-000004");
	assert_int_equal(run(&s, base, 4, true, res, &e), 0);
	assert_int_equal(s.last.done, 4);
	assert_string_equal(res[3].serial, "P-000004");
	assert_int_equal(s.serials, 4);
	station_end(&s);
}

static void only_those_that_failed_are_done_again(void **state)
{
	static const char script[] = "echo x >>\"$1/runs\"; [ $0 = S1 ] && [ ! -e \"$1/../mended\" ] && exit 1; " DONE;
	struct batch_how how = base;
	struct batch_result res[3];
	auto_free char *path = NULL;
	struct station s;
	struct err e;

	(void)state;
	station_begin(&s, script);
	assert_int_equal(run(&s, base, 3, false, res, &e), 0);
	path = xasprintf("%s/mended", s.dir);
	assert_int_equal(file_replace(path, "", 0, 0600, &e), 0);
	how.only_failed = true;
	assert_int_equal(run(&s, how, 3, false, res, &e), 0);
	assert_int_equal(res[0].state, BATCH_SKIPPED);
	assert_int_equal(res[1].state, BATCH_DONE);
	assert_int_equal(run(&s, how, 3, false, res, &e), 0);
	assert_int_equal(res[1].state, BATCH_SKIPPED);
	station_end(&s);
}

static void a_rework_is_done_once(void **state)
{
	static const char script[] = "[ -z \"$2\" ] || echo x >>\"$1/reworks\"; [ -e \"$1/fails\" ] && exit 1; " DONE;
	struct batch_how how = base;
	struct batch_result res[1];
	auto_free char *folder = NULL, *fails = NULL, *path = NULL;
	auto_buf struct buf runs = BUF_INIT;
	struct station s;
	struct err e;

	(void)state;
	station_begin(&s, script);
	assert_int_equal(run(&s, base, 1, false, res, &e), 0);
	fails = xasprintf("%s/S0/fails", s.dir);
	assert_int_equal(file_replace(fails, "", 0, 0600, &e), 0);
	how.rework = true;
	assert_int_equal(run(&s, how, 1, false, res, &e), 0); /* fails: once more */
	assert_int_equal(unlink(fails), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(run(&s, how, 1, false, res, &e), 0);
	path = xasprintf("%s/S0/reworks", s.dir);
	assert_int_equal(file_read(path, 100, &runs, &e), 0);
	assert_string_equal(runs.data, "x\nx\n");
	station_end(&s);
}

static void the_first_signal_begins_no_more_and_the_second_ends_them(void **state)
{
	struct batch_how how = base;
	struct batch_result res[8];
	struct station s;
	struct err e;

	(void)state;
	how.jobs = 2;
	station_begin(&s, DONE);
	s.break_after = 1;
	assert_int_equal(run(&s, how, 8, false, res, &e), -1);
	assert_int_equal(e.kind, ERR_INTERRUPTED);
	assert_int_equal(s.last.failed, 0);
	assert_true(s.last.done >= 1 && s.last.done < 8);
	assert_int_equal(res[7].state, BATCH_SKIPPED);
	station_end(&s);

	/* the first comes from the board, the second when the first was told */
	station_begin(&s, "kill -INT $PPID; sleep 300");
	s.break_after = 1;
	how.jobs = 1;
	assert_int_equal(run(&s, how, 2, false, res, &e), -1);
	assert_int_equal(e.kind, ERR_INTERRUPTED);
	assert_int_equal(res[0].state, BATCH_FAILED);
	assert_int_equal(res[0].kind, ERR_INTERRUPTED);
	assert_int_equal(res[1].state, BATCH_SKIPPED);
	station_end(&s);
}

/* ---- the results ---- */

static void half_a_line_at_the_end_is_cut_off(void **state)
{
	auto_batch_log struct batch_log *log = NULL, *second = NULL;
	struct batch_result r = { .serial = "P-1", .tcti = "device:a", .state = BATCH_FAILED, .kind = ERR_AGAIN,
				  .text = "busy", .station = "s", .at_utc_us = INT64_C(1800000000000000), .took_us = 1500000 };
	auto_free char *path = NULL;
	auto_buf struct buf text = BUF_INIT;
	struct station s;
	struct err e = { 0 };
	FILE *f;

	(void)state;
	station_begin(&s, "");
	assert_int_equal(batch_log_open(s.dir, &log, &e), 0);
	assert_int_equal(batch_log_add(log, &r, &e), 0);
	assert_int_equal(batch_log_open(s.dir, &second, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	batch_log_free(take(log));
	path = xasprintf("%s/results.jsonl", s.dir);
	f = fopen(path, "a");
	fputs("{\"serial\":\"P-2\",\"tcti\":\"dev", f);
	fclose(f);
	assert_int_equal(batch_log_open(s.dir, &log, &e), 0);
	assert_null(batch_log_last(log, "dev"));
	assert_int_equal(batch_log_last(log, "device:a")->kind, ERR_AGAIN);
	assert_int_equal(batch_log_last(log, "device:a")->took_us, 1500000);
	assert_int_equal(file_read(path, 10000, &text, &e), 0);
	assert_string_equal(text.data, "{\"serial\":\"P-1\",\"tcti\":\"device:a\",\"site\":null,\"folder\":null,"
				       "\"state\":\"failed\",\"rework\":false,\"error\":{\"kind\":\"again\",\"text\":\"busy\"},"
				       "\"ek\":null,\"certificates\":{\"idevid\":null,\"iak\":null,\"ldevid\":null},"
				       "\"took_s\":1.5,\"at_utc\":\"2027-01-15T08:00:00.000Z\",\"station\":\"s\"}\n");
	station_end(&s);
}

static void a_damaged_line_is_told(void **state)
{
	auto_batch_log struct batch_log *log = NULL;
	auto_free char *path = NULL;
	struct station s;
	struct err e = { 0 };

	(void)state;
	station_begin(&s, "");
	path = xasprintf("%s/results.jsonl", s.dir);
	assert_int_equal(file_replace(path, "{}\n", 3, 0600, &e), 0);
	assert_int_equal(batch_log_open(s.dir, &log, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "line 1"));
	station_end(&s);
}

static void a_label_says_what_is_known(void **state)
{
	const struct batch_label whole = { "P-1", "0123456789abcdef", "77", NULL }, bare = { "P-1", "", "", NULL };
	auto_free char *one = batch_label_text(&whole), *two = batch_label_text(&bare);

	(void)state;
	assert_string_equal(one, "psec:1;serial=P-1;ek=0123456789abcdef;idevid=77");
	assert_string_equal(two, "psec:1;serial=P-1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read_with_quotes_mark_and_crlf),
		cmocka_unit_test(every_fault_is_told_with_its_line),
		cmocka_unit_test(headings_that_are_wrong_are_told_alone),
		cmocka_unit_test(folders_and_given_serials_do_not_meet),
		cmocka_unit_test(a_batch_is_bounded),
		cmocka_unit_test(beyond_a_hundred_faults_they_are_counted),
		cmocka_unit_test(each_board_has_its_result_and_its_label),
		cmocka_unit_test(one_that_hangs_is_ended_with_what_it_started),
		cmocka_unit_test(a_serial_stays_with_its_board),
		cmocka_unit_test(only_those_that_failed_are_done_again),
		cmocka_unit_test(a_rework_is_done_once),
		cmocka_unit_test(the_first_signal_begins_no_more_and_the_second_ends_them),
		cmocka_unit_test(half_a_line_at_the_end_is_cut_off),
		cmocka_unit_test(a_damaged_line_is_told),
		cmocka_unit_test(a_label_says_what_is_known),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&said);
	return rc;
}
