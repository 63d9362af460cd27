/* The oscillation guard: does the grid swing around the target, as wide or wider every time, with no load that would
 * explain it? Then the law is filtered, and the filter taken off again in steps. */
#ifndef CONTROL_GUARD_H
#define CONTROL_GUARD_H

#include "control/control.h"

enum { GUARD_HALVES = 5, GUARD_SEEN = 128 };

/* Between two crossings of the target. */
struct guard_half { int64_t from_us; double low_w, high_w; };

struct guard {
	struct control_guard said;
	int side;                   /* of the target, beyond the band: -1, 1; 0 none yet */
	struct guard_half halves[GUARD_HALVES]; /* that are over, newest last */
	size_t count;
	struct guard_half now;
	struct { int64_t at_us; double error_w, power_w; } seen[GUARD_SEEN]; /* a ring, evenly thinned */
	size_t newest;
	int64_t loud_us;            /* when it last crossed, or was detuned or released */
	int64_t released_us;
	int relapses;               /* it swung again soon after it was let go: longer waits */
	bool began;
	double smooth_w;
	int64_t smooth_us;
};

/* One sample of the meter. error_w: grid less target; power_w: of the inverter, by itself, at that instant. slow_us:
 * how long the loop needs for an answer (dead time, lag, the meter's period and delay). */
void guard_sample(struct guard *g, int64_t at_us, double error_w, double power_w, int64_t slow_us);
/* The law does not work now: what swings is not its doing. */
void guard_pause(struct guard *g);
/* The load estimate as the law may use it: itself while all is quiet. */
double guard_filter(struct guard *g, int64_t at_us, double load_w, int64_t slow_us);

#endif
