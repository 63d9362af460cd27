/* core judges what the field says: a decision as the field makes it is taken, and one with an odd field is not. What
 * core does with it afterwards is not here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "core/core.h"

/* ---- core's other parts ------------------------------------------------------------------------------------------ */

static int recorded, told;

void record_decision(struct core *c) { (void)c; recorded++; }
void report_changed(struct core *c) { (void)c; told++; }
void record_sample(struct core *c, int device, int point, const struct wire_sample *s)
{
	(void)c, (void)device, (void)point, (void)s;
}
void record_event(struct core *c, enum severity severity, const char *kind, const char *subject, const char *who,
		  const char *fmt, ...)
{
	(void)c, (void)severity, (void)kind, (void)subject, (void)who, (void)fmt;
}
bool record_event_at(struct core *c, int64_t utc_us, enum severity severity, const char *kind, const char *subject,
		     const char *who, const char *text)
{
	(void)c, (void)utc_us, (void)severity, (void)kind, (void)subject, (void)who, (void)text;
	return true;
}
bool quota_allows(struct core *c, enum severity severity, const char *kind, const char *subject, const char *text)
{
	(void)c, (void)severity, (void)kind, (void)subject, (void)text;
	return true;
}
int core_tell_field(struct core *c, enum wire_kind kind, const void *body, size_t len)
{
	(void)c, (void)kind, (void)body, (void)len;
	return 1;
}
void keep_judge_proof(struct core *c) { (void)c; }
void keep_check_result(struct core *c, const struct wire_checked *w) { (void)c, (void)w; }
void keep_meter_turned(struct core *c) { (void)c; }
void keep_send_envelope(struct core *c) { (void)c; }
bool scanning_take_row(struct core *c, const struct wire_scan_row *w) { (void)c, (void)w; return true; }
bool scanning_take_step(struct core *c, const struct wire_scan_step *w) { (void)c, (void)w; return true; }
bool scanning_take_done(struct core *c, const struct wire_scan_done *w) { (void)c, (void)w; return true; }
void scanning_field_gone(struct core *c) { (void)c; }
bool trying_take_row(struct core *c, const struct wire_trial_row *w) { (void)c, (void)w; return true; }
bool trying_take_done(struct core *c, const struct wire_trial_done *w) { (void)c, (void)w; return true; }
void trying_field_gone(struct core *c) { (void)c; }
void trying_field_ready(struct core *c) { (void)c; }

/* ---- a decision -------------------------------------------------------------------------------------------------- */

static struct site site;
static struct core core = { .site = &site };

static struct wire_decision honest(void)
{
	const struct control_model profile = { 300000, 700000, 2500 };

	return (struct wire_decision){
		.decision = { .state = CONTROL_RUNNING, .wish_w = 900, .setpoint_w = 800, .load_w = NAN },
		.at_boot_us = loop_now(core.loop)->boot_us, .sample_to_wire_us = -1,
		.learned = { .profile = profile, .learned = { 450000, 700000, 1300 }, .confidence_percent = 80 },
	};
}

static bool taken(const struct wire_decision *w)
{
	const struct core before = core;
	int was_recorded = recorded, was_told = told;
	const char *why = known_take(&core, WIRE_DECISION, w);

	if (!why) {
		assert_memory_equal(&core.decision, w, sizeof *w);
		assert_int_equal(recorded, was_recorded + 1);
		return true;
	}
	assert_string_equal(why, "a message holds what cannot be");
	assert_memory_equal(&core, &before, sizeof core); /* nothing of it is believed */
	assert_int_equal(recorded, was_recorded);
	assert_int_equal(told, was_told);
	return false;
}

static void a_decision_as_the_field_makes_it_is_taken(void **state)
{
	struct wire_decision w = honest();

	(void)state;
	assert_true(taken(&w));
	/* at the bounds, and for an inverter without a ramp */
	w.learned.learned = (struct control_model){ 150000, 1400000, 5000 };
	w.learned.confidence_percent = 0;
	assert_true(taken(&w));
	w.learned.profile = w.learned.learned = (struct control_model){ 0, 0, INFINITY };
	w.learned.confidence_percent = 100;
	assert_true(taken(&w));
	w.learned.profile = w.learned.learned = (struct control_model){ 60 * US_PER_S, 60 * US_PER_S, 1 };
	w.decision.lost = (1u << CONTROL_LOST_COUNT) - 1;
	w.decision.guard.level = CONTROL_GUARD_MOST;
	assert_true(taken(&w));
}

/* Each changes one field of an honest decision. */
#define ODD(name, change) static void name(struct wire_decision *w) { change; }
#define LEARNED w->learned.learned
#define PROFILE w->learned.profile
ODD(dead_time_below_half, LEARNED.dead_time_us = 149999)
ODD(dead_time_beyond_twice, LEARNED.dead_time_us = 600001)
ODD(dead_time_negative, LEARNED.dead_time_us = INT64_MIN)
ODD(lag_below_half, LEARNED.lag_us = 349999)
ODD(lag_beyond_twice, LEARNED.lag_us = 1400001)
ODD(ramp_below_half, LEARNED.ramp_w_per_s = 1249.9)
ODD(ramp_beyond_twice, LEARNED.ramp_w_per_s = 5000.1)
ODD(ramp_infinite, LEARNED.ramp_w_per_s = INFINITY)
ODD(ramp_no_number, LEARNED.ramp_w_per_s = NAN)
ODD(profile_dead_time_negative, PROFILE.dead_time_us = -1; LEARNED.dead_time_us = 0)
ODD(profile_dead_time_endless, PROFILE.dead_time_us = LEARNED.dead_time_us = 60 * US_PER_S + 1)
ODD(profile_lag_negative, PROFILE.lag_us = -1; LEARNED.lag_us = -1)
ODD(profile_lag_endless, PROFILE.lag_us = LEARNED.lag_us = INT64_MAX / 2)
ODD(profile_ramp_none, PROFILE.ramp_w_per_s = LEARNED.ramp_w_per_s = 0)
ODD(profile_ramp_no_number, PROFILE.ramp_w_per_s = NAN)
ODD(confidence_negative, w->learned.confidence_percent = -0.1)
ODD(confidence_beyond_all, w->learned.confidence_percent = 100.1)
ODD(confidence_no_number, w->learned.confidence_percent = NAN)
ODD(state_unknown, w->decision.state = CONTROL_REFUSED + 1)
ODD(clamp_unknown, w->decision.clamp = CONTROL_CLAMP_COUNT)
ODD(loss_unknown, w->decision.lost = 1u << CONTROL_LOST_COUNT)
ODD(setpoint_infinite, w->decision.setpoint_w = -INFINITY)
ODD(wish_infinite, w->decision.wish_w = INFINITY)
ODD(decided_in_the_future, w->at_boot_us += 61 * US_PER_S)
ODD(guard_level_negative, w->decision.guard.level = -1)
ODD(guard_level_unknown, w->decision.guard.level = CONTROL_GUARD_MOST + 1)
ODD(guard_since_the_future, w->decision.guard.since_boot_us = w->at_boot_us + 61 * US_PER_S)
ODD(guard_swing_no_number, w->decision.guard.swing_w = NAN)
ODD(guard_period_infinite, w->decision.guard.period_s = INFINITY)

static void a_decision_with_one_odd_field_is_refused_whole(void **state)
{
#define LINE(name) { #name, name }
	static const struct { const char *name; void (*change)(struct wire_decision *w); } odd[] = {
		LINE(dead_time_below_half), LINE(dead_time_beyond_twice), LINE(dead_time_negative),
		LINE(lag_below_half), LINE(lag_beyond_twice),
		LINE(ramp_below_half), LINE(ramp_beyond_twice), LINE(ramp_infinite), LINE(ramp_no_number),
		LINE(profile_dead_time_negative), LINE(profile_dead_time_endless),
		LINE(profile_lag_negative), LINE(profile_lag_endless),
		LINE(profile_ramp_none), LINE(profile_ramp_no_number),
		LINE(confidence_negative), LINE(confidence_beyond_all), LINE(confidence_no_number),
		LINE(state_unknown), LINE(clamp_unknown), LINE(loss_unknown),
		LINE(setpoint_infinite), LINE(wish_infinite), LINE(decided_in_the_future),
		LINE(guard_level_negative), LINE(guard_level_unknown), LINE(guard_since_the_future),
		LINE(guard_swing_no_number), LINE(guard_period_infinite),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		struct wire_decision w = honest();

		assert_true(taken(&w));
		odd[i].change(&w);
		if (taken(&w))
			fail_msg("%s is taken", odd[i].name);
	}
}

static int begin(void **state)
{
	struct err e;

	(void)state;
	return loop_new(&core.loop, &e);
}

static int end(void **state)
{
	(void)state;
	loop_free(core.loop);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decision_as_the_field_makes_it_is_taken),
		cmocka_unit_test(a_decision_with_one_odd_field_is_refused_whole),
	};

	return cmocka_run_group_tests_name("known", tests, begin, end);
}
