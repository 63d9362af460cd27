/* heard: what the signals say to the law: is one lost, is a sample new and true, what does it teach. Beside it
 * law.c, which decides; the state is theirs together. */
#ifndef CONTROL_HEARD_H
#define CONTROL_HEARD_H

#include "control/control.h"
#include "doubt.h"
#include "guard.h"
#include "identify.h"
#include "limits.h"
#include "model.h"

enum { HEARD_POWERS = 8 };

struct control {
	struct control_config config;
	struct model model;
	struct identify identify;
	struct guard guard;
	struct doubt doubt;
	struct limits_blocks blocks;
	enum control_state state;
	enum control_clamp clamp;        /* of the last decision */
	/* the meter */
	double load_w;                   /* load − pv behind the meter at the last used sample; NaN before the first */
	double calm_load_w;              /* the same, as the oscillation guard lets the law see it */
	int64_t used_changed_us, used_us;
	int64_t new_us;                  /* when it last showed what it had not shown before */
	int good;
	bool turned, was_checked;        /* its sign is wrong; cleared by a new sign check */
	/* the inverter's own power, the last of its values, in a ring */
	struct { int64_t at_us; double w; } powers[HEARD_POWERS];
	size_t newest_power;
	/* loss */
	unsigned lost;
	int64_t lost_us;                 /* since when */
	double ramp_from_w;
	int64_t ramp_from_us;
	/* commands */
	bool sent;
	double sent_w;
	int64_t sent_us;
	bool unsure;                     /* one that left later was not shown: what the inverter holds is not known */
	double moved_low_w, moved_high_w; /* range of the commands since the meter last showed anything new */
	int mismatches;
	struct control_signal battery_w; /* as last heard */
};

bool heard_needs_meter(const struct control *c, enum site_mode mode);
double heard_biggest_rating(const struct control *c);
/* CONTROL_LOST_… of now. */
unsigned heard_lost(const struct control *c, const struct control_input *in, const struct control_envelope *env,
		    const struct now *now);
void heard_drop_old_limits(const struct control *c, struct control_input *in, const struct now *now);
/* The next instant at which a signal would be too old, if nothing comes. */
int64_t heard_next_loss(const struct control *c, const struct control_input *in, const struct control_envelope *env,
			const struct now *now);
/* true: the meter's value is a new sample, and load_w was made from it. */
bool heard_sample(struct control *c, const struct control_signal *grid);
/* What a new sample says of the model, of the law and of the meter itself. */
void heard_judge(struct control *c, const struct control_signal *grid, const struct control_envelope *env);
void heard_power(struct control *c, const struct control_signal *battery, const struct now *now);
/* May a set-point of now teach something of the inverter? */
bool heard_teaches(const struct control *c);
/* After the decision: what the step that is over taught goes into the model. */
void heard_learn(struct control *c, const struct now *now);

#endif
