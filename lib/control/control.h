/* control: decides. Measured signals and an envelope in, a set-point and the reason for it out. No traffic, no clock of
 * its own: the same control_step runs in the field, in simulate and in tests.
 *
 * The law (research figures in psec-control(1)): a model of the inverter (dead time, lag, ramp) says what it delivered
 * at the instant of the meter's sample; load = meter + that; set-point = load - target. There is no feedback through
 * the dead time, hence no overshoot and nothing to tune. Signs: battery discharge +, grid import +.
 */
#ifndef PSEC_CONTROL_H
#define PSEC_CONTROL_H

#include "base/base.h"
#include "site/site.h"

/* ---- what control knows of the plant and of the site ---- */
/* How an inverter follows its set-point. */
struct control_model {
	int64_t dead_time_us, lag_us;
	double ramp_w_per_s;                        /* INFINITY: none */
};

struct control_config {
	struct site_control site;
	/* of the inverter, >= 0; NaN: not known, then the site's limit must be there */
	double charge_rating_w, discharge_rating_w;
	int64_t meter_period_us;                    /* how often its value is refreshed */
	/* age of a value when it appears, to the middle of the meter's averaging */
	int64_t meter_delay_us;
	struct control_model inverter;              /* as the profile has it */
	int64_t watchdog_us, write_interval_us;     /* 0: none */
	bool expects_bms;                           /* a BMS exists and must be heard */
	int64_t meter_max_age_us, bms_max_age_us, inverter_max_age_us; /* 0: 3 × period, at least 2 s; 5 s; 5 s */
	/* smaller changes are not written; 20 in the field, 0 in simulate */
	double dead_band_w;
};

struct control_signal {
	bool valid;               /* false: never seen, lost, absent or impossible */
	double value;
	int64_t at_boot_us;       /* when it arrived; control takes the meter's own delay off */
	int64_t changed_boot_us;  /* when it last was another value */
};

struct control_input {
	struct control_signal grid_w, battery_w, soc_percent, charge_limit_w, discharge_limit_w;
};

/* What core allows field to do, until when. */
struct control_envelope {
	enum site_mode mode;
	double manual_w;          /* CONTROL in manual mode: battery power */
	double target_w;          /* grid power in self-consumption */
	int64_t expires_boot_us;  /* INT64_MAX in simulate */
	bool checked;             /* the sign check stands; without it automatic modes are refused */
};

/* Which rule decided the set-point, in the order in which they are applied (last one wins and is named). */
enum control_clamp {
	CONTROL_FREE,             /* the law's own wish */
	CONTROL_BY_MODE,          /* off, or manual value */
	CONTROL_BY_RAMP,          /* before the limits: no limit waits for a ramp */
	CONTROL_BY_RESERVE, CONTROL_BY_SOC_MAX, CONTROL_BY_SOC_MIN,
	CONTROL_BY_IMPORT_LIMIT, CONTROL_BY_EXPORT_LIMIT,
	CONTROL_BY_CHARGE_LIMIT, CONTROL_BY_DISCHARGE_LIMIT,   /* the site's */
	CONTROL_BY_CHARGE_RATING, CONTROL_BY_DISCHARGE_RATING, /* the inverter's */
	CONTROL_BY_BMS_CHARGE, CONTROL_BY_BMS_DISCHARGE,       /* also: an undefined BMS limit, which means 0 */
	CONTROL_BY_SAFE, CONTROL_BY_UNCHECKED,
	CONTROL_CLAMP_COUNT,
};
const char *control_clamp_name(enum control_clamp c);     /* "bms-charge-limit" */
const char *control_clamp_words(enum control_clamp c);    /* "the BMS allows no more charge" */

enum control_state {
	CONTROL_IDLE,      /* mode off or observe: nothing is written */
	CONTROL_RUNNING,
	CONTROL_HOLD,      /* a signal is missing: one period with the last set-point */
	CONTROL_SAFE,      /* at, or on the ramp to, the safe set-point */
	CONTROL_RETURNING, /* three good samples were there: a ramp back */
	CONTROL_REFUSED,   /* automatic mode without a sign check */
};
const char *control_state_name(enum control_state s);

/* What is lost; bits. */
enum control_lost {
	CONTROL_LOST_METER = 1,
	CONTROL_LOST_INVERTER = 2,
	CONTROL_LOST_BMS = 4,
	CONTROL_LOST_ENVELOPE = 8,
	CONTROL_FROZEN_METER = 16, /* nothing new for 10 s while the command moved */
	CONTROL_NOT_OBEYED = 32,   /* set-points are not shown when read back, or shown and the power does not move */
	CONTROL_TURNED_METER = 64, /* its sign is wrong since a while: until the sign check is passed again */
};
enum { CONTROL_LOST_COUNT = 7 };
/* "meter-frozen", of one bit. */
const char *control_lost_name(enum control_lost bit);
/* "meter lost, BMS lost"; returns to. */
char *control_lost_words(unsigned lost, char to[96]);

/* The oscillation guard: the grid swung around the target and no load explained it, so the law is filtered. */
struct control_guard {
	int level;                 /* 0: quiet … CONTROL_GUARD_MOST: the strongest filter */
	int64_t since_boot_us;     /* when it began to act */
	double swing_w, period_s;  /* of the swing that it last acted on, peak to peak */
};
enum { CONTROL_GUARD_MOST = 3 };

struct control_decision {
	enum control_state state;
	enum control_clamp clamp;   /* the rule that decided */
	double wish_w;              /* before clamps */
	double setpoint_w;          /* after them */
	bool write;                 /* send it now: it changed, or the watchdog wants to hear from us */
	double load_w, model_w;     /* estimate of load − pv behind the meter; inverter power at the meter's instant */
	unsigned lost;              /* CONTROL_LOST_… */
	struct control_guard guard;
	/* when to call again without a new sample (refresh, age, ramp); INT64_MAX: no need */
	int64_t wake_boot_us;
};

struct control;
must_check int control_new(const struct control_config *config, struct control **out, struct err *e);
void control_free(struct control *c);
/* The inverter said what it can; what control knows of losses and of the way it is on stays. */
void control_set_ratings(struct control *c, double charge_w, double discharge_w);
/* One decision. Called on every meter sample, on every change of the envelope, and at wake_boot_us. */
void control_step(struct control *c, const struct control_input *in, const struct control_envelope *env,
		  const struct now *now, struct control_decision *out);
/* The set-point of the last decision with write was sent at that time and shown when read back; or it was not shown.
 * may_stand: it left, so that the inverter may hold it (or some of it) all the same. */
void control_sent(struct control *c, double setpoint_w, int64_t sent_boot_us);
void control_not_shown(struct control *c, bool may_stand);

/* What was found out about the inverter from the steps that it was told to make. */
struct control_learned {
	struct control_model profile, learned; /* learned: within half and twice of the profile */
	/* steps that told something, and that did not (a clamp, a loss, a load that moved) */
	uint32_t steps, unjudged;
	double confidence_percent; /* how many of the last steps agree within 15 %, of ten at least */
};
void control_learned(const struct control *c, struct control_learned *out);

/* ---- the sign check: a 500 W step that the meter must see (psec-control(1)) ---- */
enum control_check_result { CONTROL_CHECK_RUNS, CONTROL_CHECK_PASSED, CONTROL_CHECK_WRONG_SIGN, CONTROL_CHECK_NO_EFFECT,
			    CONTROL_CHECK_UNSTEADY /* the load moved too much: try again */, CONTROL_CHECK_LOST_SIGNAL,
			    CONTROL_CHECK_NO_ROOM /* SoC or limits do not allow 500 W either way */ };
const char *control_check_words(enum control_check_result r);
struct control_check {
	double step_w;                    /* +500 discharge, or -500 charge when the battery is empty */
	double before_w, after_w;         /* meter, means */
	int64_t began_boot_us, stepped_boot_us, seen_boot_us; /* seen: half of the step on the meter */
	/* private */
	int phase, attempts, count;
	int64_t phase_boot_us;
	double sum, lowest, highest;
};
void control_check_begin(struct control_check *k, const struct control_config *config, const struct control_input *in,
			 const struct now *now);
/* Feed every meter sample; *setpoint_w is what to write now. Meter must move by -step ± 30 % within 5 s. */
enum control_check_result control_check_step(struct control_check *k, const struct control_config *config,
					     const struct control_input *in, const struct now *now, double *setpoint_w);

/* No limit but the battery's own: bounds at INFINITY, SoC 0…100, no reserve, target and safe power 0. */
struct site_control control_no_limits(void);

#endif
