/* What the two files of psec sim share. */
#ifndef PSEC_CMD_SIM_H
#define PSEC_CMD_SIM_H

#include "cmd.h"
#include "sim/sim.h"

extern const struct cmd cmd_sim_run;

#endif
