/* The rules between a wish and a set-point, each one named when it decides. */
#ifndef CONTROL_LIMITS_H
#define CONTROL_LIMITS_H

#include "control/control.h"

/* What blocks a direction stays until the SoC is a little off the bound, so that the battery does not flicker there. */
struct limits_blocks {
	bool discharge, charge;
};

/* Apply the site's, the inverter's and the BMS's rules to wish_w. load_w: load − pv behind the meter, NaN when not
 * known (then the grid limits cannot be kept by prediction and are left out). Returns the set-point and names the last
 * rule that moved it in *clamp (unchanged when none). */
double limits_apply(const struct control_config *config, const struct control_input *in, struct limits_blocks *blocks,
		    double load_w, double wish_w, enum control_clamp *clamp);

#endif
