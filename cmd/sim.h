/* What the files of psec sim share. */
#ifndef PSEC_CMD_SIM_H
#define PSEC_CMD_SIM_H

#include "cmd.h"
#include "sim/sim.h"

extern const struct cmd cmd_sim_run, cmd_sim_check, cmd_sim_scenarios;

/* A scenario by its file, or by the name of one that was shipped; path is where it was found, PATH_MAX bytes. Faults go
 * to env->err. */
must_check int sim_read_scenario(const struct cmd_env *env, const char *word, char *path, struct sim_scenario *out,
				 struct err *e);
/* What happens in it, as a table. */
must_check int sim_print_scenario(const struct cmd_env *env, const struct sim_scenario *x, struct err *e);
/* Calls fn for the name of each shipped scenario. */
must_check int sim_each_shipped(int (*fn)(void *arg, const char *name, const char *path), void *arg, struct err *e);

#endif
