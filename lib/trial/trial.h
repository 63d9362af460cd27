/* trial: tries a live device out. A test reads every point in some rounds and judges each: is it a value, can it be
 * true, does it move, do the values agree with each other. It never writes.
 *
 * A trial sits on a poll that somebody else runs: psecd's field, or psec itself. The judge is a function of what was
 * read.
 */
#ifndef PSEC_TRIAL_H
#define PSEC_TRIAL_H

#include <jansson.h>

#include "base/base.h"
#include "device/device.h"
#include "loop/loop.h"

struct poll;

enum trial_verdict { TRIAL_OK, TRIAL_ABSENT /* the device says that it has no such value */, TRIAL_SUSPICIOUS,
		     TRIAL_FAILED };
const char *trial_verdict_name(enum trial_verdict v); /* "ok", "absent", "suspicious", "failed" */

enum { TRIAL_ROUNDS_MAX = 60 };

/* One line of the result, of fixed size: it also crosses from field to core as it is. */
struct trial_row {
	int16_t point;               /* enum device_point; -1: about several, or the device as a whole */
	uint8_t verdict;             /* enum trial_verdict */
	char what[48];               /* "grid-meter.power_w", "power is the sum of its phases", "answers" */
	uint32_t reads, changes;     /* good values, and how often the value was another than the one before */
	double value, lowest, highest, raw; /* NaN: none */
	char why[160];               /* in words, or "" */
};
must_check bool trial_row_ok(const struct trial_row *r); /* ends its texts, holds what can be */
json_t *trial_row_to_json(const struct trial_row *r);    /* the caller's reference */
must_check int trial_row_from_json(const json_t *o, struct trial_row *r, struct err *e);

typedef void trial_row_fn(void *arg, const struct trial_row *row);

/* What the rounds read. */
struct trial_record {
	bool has[POINT_COUNT];       /* the map has this point */
	size_t rounds;
	struct device_reading readings[TRIAL_ROUNDS_MAX][POINT_COUNT];
};
/* A row for every point, then one for each relation that can be judged. */
void trial_judge(const struct trial_record *record, trial_row_fn *fn, void *arg);

/* ---- the test of a device of p ---- */
struct trial_hooks {
	trial_row_fn *row;
	/* kind ERR_NONE: it ran to its end. Free the trial not from within. */
	void (*done)(void *arg, enum err_kind kind, const char *why);
	void *arg;
};
struct trial;
/* device: poll's index. Rounds a second apart for about seconds (3…60), longer when the device is slow, at most
 * three times that. Rows come at the end. Caller frees; freeing ends it. */
struct trial *trial_begin(struct loop *l, struct poll *p, int device, int seconds, const struct trial_hooks *hooks);
void trial_free(struct trial *t);

/* ---- a sign: a step of power that ends by itself, so that people and the meter see which battery it is ---- */
struct trial_sign {
	int device;                  /* poll's index of a battery inverter */
	int meter;                   /* of the grid meter, -1: none; it is watched, too */
	double power_w;              /* 0: only the way back to rest, for a step whose end nobody saw */
	int seconds;                 /* 2…10 */
};
struct trial_sign_hooks {
	trial_row_fn *row;
	/* the set-point of before stands again, or nobody can make it */
	void (*done)(void *arg, enum err_kind kind, const char *why);
	/* Asked five times a second: NULL, or why it must end now. */
	const char *(*forbidden)(void *arg);
	void *arg;
};
struct trial_step;
/* The caller has checked that the battery may do this. Free it only after done, or when the poll goes. */
struct trial_step *trial_step_begin(struct loop *l, struct poll *p, const struct trial_sign *sign,
				    const struct trial_sign_hooks *hooks);
/* Back to the set-point of before, now; done comes when that is read back. */
void trial_step_stop(struct trial_step *s, const char *why);
void trial_step_free(struct trial_step *s);

#endif
