/* Signals that are there and not true: a meter whose sign turned round while control ran, a value that jumps, an
 * inverter that takes every set-point and does nothing. */
#ifndef CONTROL_DOUBT_H
#define CONTROL_DOUBT_H

#include "control/control.h"

enum { DOUBT_SHOWN = 8 };

struct doubt {
	/* the sign: a run of the inverter in one direction, and what the meter did in it */
	bool met;
	int64_t at_us;
	double grid_w, model_w;
	double run_w, moved2, apart2;
	int run_count;
	int64_t run_from_us;
	/* a jump that waits for its second sample */
	double jump_w;
	/* the last different values of the meter */
	double shown_w[DOUBT_SHOWN];
	size_t newest_shown;
	/* the inverter's obedience */
	bool tried;
	double from_w, to_w;
	int64_t tried_us;
	bool deaf;
	int64_t again_us, back_off_us;
};

void doubt_init(struct doubt *d);
/* Meter and model at one instant. true: for a whole run the meter went where the battery went, so that its sign is
 * wrong. answer_us: how long the loop needs for an answer. */
bool doubt_sign(struct doubt *d, int64_t at_us, double grid_w, double model_w, int64_t answer_us);
/* Has the meter not shown this value lately? One that goes round in old values has its times from somebody else. */
bool doubt_new(struct doubt *d, double grid_w);
/* Is this load a jump by more than most_w from the last one, seen for the first time? */
bool doubt_jump(struct doubt *d, double load_w, double last_w, double most_w);
/* A set-point that left. */
void doubt_command(struct doubt *d, const struct control_signal *battery, double w, int64_t at_us);
/* true: the inverter does not move although it shows its set-point. patience_us: how long a slow one may take. */
bool doubt_deaf(struct doubt *d, const struct control_signal *battery, int64_t now_us, int64_t patience_us);

#endif
