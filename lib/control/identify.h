/* What the inverter really is: dead time, lag and ramp, from how its own power and the meter answer to set-points.
 * It begins with the profile and stays within half and twice of it. */
#ifndef CONTROL_IDENTIFY_H
#define CONTROL_IDENTIFY_H

#include "control/control.h"
#include "model.h"

enum identify_source { IDENTIFY_POWER, IDENTIFY_METER };
enum { IDENTIFY_SAMPLES = 96, IDENTIFY_KEPT = 15 };

struct identify_sample { int64_t at_us; double w; enum identify_source source; };

/* What the steps said of one quantity, newest last. */
struct identify_kept { double values[IDENTIFY_KEPT]; size_t count; };

struct identify {
	struct control_model profile, learned;
	uint32_t steps, unjudged;
	double confidence_percent;
	struct identify_kept dead_s, lag_s, ramp, age_s; /* age: of the power that the inverter shows */
	/* the step that is being watched */
	bool open;
	struct model start;         /* what was known of it when it began, and all commands since */
	int64_t least_us, began_us, over_us, last_sample_us;
	struct identify_sample samples[IDENTIFY_SAMPLES];
	size_t count;
	int64_t power_us;           /* of the last power that was taken */
};

void identify_init(struct identify *i, const struct control_model *profile, int64_t meter_period_us);
/* Set-point w left at at_us. before: the model as it was until then. */
void identify_command(struct identify *i, const struct model *before, int64_t at_us, double w);
/* The meter at its own instant. */
void identify_meter(struct identify *i, int64_t at_us, double w);
/* The inverter's own power, as it is shown now and since when. */
void identify_power(struct identify *i, const struct control_signal *battery);
/* This step cannot be judged: a clamp, a loss, a set-point of which nobody knows whether it stands. */
void identify_drop(struct identify *i);
/* true: a step was over and told something; learned has changed. */
bool identify_turn(struct identify *i, int64_t now_us);

#endif
