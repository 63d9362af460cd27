/* Scenario files: what they may say, and how what is wrong is told. */
#include <string.h>

#include "sim/inside.h"
#include "unit.h"

struct told {
	char lines[20][DIAG_LEN];
	int count;
};

static void note(void *arg, const struct diag *d)
{
	struct told *t = arg;

	assert_true(t->count < (int)COUNT_OF(t->lines));
	diag_format(d, t->lines[t->count++]);
}

static int parse(const char *text, struct sim_scenario *x, struct told *t)
{
	struct diag_sink sink = { .fn = note, .arg = t };

	memset(t, 0, sizeof *t);
	return sim_scenario_parse(text, strlen(text), "s.yaml", x, &sink);
}

static void told(const struct told *t, const char *where, const char *what)
{
	for (int n = 0; n < t->count; n++)
		if (str_starts(t->lines[n], where) && strstr(t->lines[n], what))
			return;
	for (int n = 0; n < t->count; n++)
		print_error("%s\n", t->lines[n]);
	fail_msg("nothing at %s about %s", where, what);
}

static void a_scenario_says_site_day_and_events(void **state)
{
	struct sim_scenario x;
	struct told t;
	char words[SIM_EVENT_LEN];

	(void)state;
	assert_int_equal(parse("psec-sim: 1\ntitle: T\nstart: 2016-06-14T11:00Z\nspeed: 20\nline: {baud: 19200}\n"
			       "meter: {period: 1s}\nbatteries:\n  - {capacity_wh: 5000}\n  - {inverter: hybrid, bms: true}\n"
			       "events:\n  - at: 00:05:30\n    fault: {device: meter, kind: frozen, for: 20s}\n"
			       "  - {at: 90s, load: 2000, for: 3min, say: look}\n  - {at: 1:00:00.5, second-master: 20s}\n"
			       "  - {at: 2min, fault: {device: hybrid2, kind: lost}}\n", &x, &t), 0);
	assert_int_equal(x.options.speed, 20);
	assert_int_equal(x.options.baud, 19200);
	assert_int_equal(x.options.battery_count, 2);
	assert_true(x.options.batteries[1].hybrid && !x.options.batteries[1].sunspec);
	assert_int_equal(x.event_count, 4);
	assert_int_equal(x.events[0].at_us, 90 * US_PER_S);
	assert_string_equal(sim_event_words(&x.events[0], words), "2000 W more load, for 3min: look");
	assert_int_equal(x.events[2].at_us, 330 * US_PER_S);
	assert_string_equal(sim_event_words(&x.events[2], words), "meter: frozen, for 20s");
	assert_int_equal(x.events[3].at_us, 3600500 * US_PER_MS);
	sim_scenario_release(&x);
}

static void all_faults_are_told_at_once_with_their_lines(void **state)
{
	struct sim_scenario x;
	struct told t;

	(void)state;
	assert_int_equal(parse("psec-sim: 1\n"
			       "titel: T\n"
			       "speed: 5000\n"
			       "batteries: [{soc_percent: 140}]\n"
			       "events:\n"
			       "  - {at: later, load: 1}\n"
			       "  - {at: 1s, fault: {device: boiler, kind: lost}}\n"
			       "  - {at: 1s, fault: {device: meter, kind: sleepy}}\n"
			       "  - {at: 1s, load: 1, cloud: 2}\n"
			       "  - {load: 3}\n"
			       "  - {at: 1s}\n"
			       "  - {at: 1s, genset: start}\n"
			       "  - {at: 1s, second-master: 5s}\n"
			       "  - {at: 1s, swap: meter, for: 3s}\n"
			       "  - {at: 1s, cloud: 101}\n"
			       "  - {at: 1s, fault: {device: meter, kind: lost, for: 1s}, for: 2s}\n"
			       "  - 7\n", &x, &t), -1);
	told(&t, "s.yaml:2:", "titel");
	told(&t, "s.yaml:1:", "title");
	told(&t, "s.yaml:3:", "5000");
	told(&t, "s.yaml:4:", "140");
	told(&t, "s.yaml:6:", "'later'");
	told(&t, "s.yaml:7:", "boiler");
	told(&t, "s.yaml:8:", "sleepy");
	told(&t, "s.yaml:9:", "several events");
	told(&t, "s.yaml:10:", "needs a time");
	told(&t, "s.yaml:11:", "nothing that happens");
	told(&t, "s.yaml:12:", "needs a genset");
	told(&t, "s.yaml:13:", "serial line");
	told(&t, "s.yaml:14:", "does not go with");
	told(&t, "s.yaml:15:", "101");
	told(&t, "s.yaml:16:", "twice");
	told(&t, "s.yaml:17:", "must be");
}

static void a_device_that_is_nearly_one_is_proposed(void **state)
{
	struct sim_scenario x;
	struct told t;

	(void)state;
	assert_int_equal(parse("psec-sim: 1\ntitle: T\nevents: [{at: 1s, swap: metre}]\n", &x, &t), -1);
	told(&t, "s.yaml:3:", "is it 'meter'");
}

static void one_event_alone_is_read_by_the_same_words(void **state)
{
	struct sim_event event;
	struct err e;

	(void)state;
	assert_int_equal(sim_event_parse("blackout: 60s", &event, &e), 0);
	assert_int_equal(event.for_us, 60 * US_PER_S);
	assert_int_equal(sim_event_parse("{load: 2000, for: 3min}", &event, &e), 0);
	assert_int_equal(sim_event_parse("genset: stop", &event, &e), 0);
	assert_true(event.value < 0);
	for (const char *const *bad = (const char *const[]){ "", "load", "load: much", "at: 5s", "[1]", "a: {", "blackout: 1",
							     "grid: 3", "fault: {device: meter}", "fault: {kind: lost}", NULL };
	     *bad; bad++) {
		assert_int_equal(sim_event_parse(*bad, &event, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_true(*e.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scenario_says_site_day_and_events),
		cmocka_unit_test(all_faults_are_told_at_once_with_their_lines),
		cmocka_unit_test(a_device_that_is_nearly_one_is_proposed),
		cmocka_unit_test(one_event_alone_is_read_by_the_same_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
