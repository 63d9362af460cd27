/* What the inverter delivers, from what it was told: dead time, first-order lag, ramp. Exact between commands, no fixed
 * step. */
#ifndef CONTROL_MODEL_H
#define CONTROL_MODEL_H

#include "base/base.h"

enum { MODEL_COMMANDS = 128 };

struct model {
	int64_t dead_us, lag_us;
	double ramp_w_per_s;
	int64_t at_us;      /* the state below is of this instant */
	double power_w, command_w;
	/* given after at_us - dead_us, oldest first */
	struct { int64_t at_us; double power_w; } commands[MODEL_COMMANDS];
	size_t first, count;
};

void model_init(struct model *m, int64_t dead_us, int64_t lag_us, double ramp_w_per_s);
/* The inverter is known to be at power_w and to stay there. */
void model_reset(struct model *m, int64_t at_us, double power_w);
void model_command(struct model *m, int64_t at_us, double power_w);
double model_at(const struct model *m, int64_t at_us);
/* Nobody will ask for an instant before at_us any more. */
void model_forget(struct model *m, int64_t at_us);

#endif
