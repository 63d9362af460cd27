/* What the files of psec sim share. */
#ifndef PSEC_CMD_SIM_H
#define PSEC_CMD_SIM_H

#include "cmd.h"
#include "sim/sim.h"

extern const struct cmd cmd_sim_run, cmd_sim_check, cmd_sim_scenarios;

/* A scenario by its file, or by the name of one that was shipped; path is where it was found, PATH_MAX bytes. Faults go
 * to sink. */
must_check int sim_read_scenario(const char *word, char *path, struct sim_scenario *out, struct diag_sink *sink,
				 struct err *e);
/* A scenario that was to be judged and not run: 1 when its faults were told, else -1 as e says. */
int sim_judge_faults(const struct cmd_env *env, const char *path, const struct diag_sink *sink);
/* What happens in it, as a table. */
must_check int sim_print_scenario(const struct cmd_env *env, const struct sim_scenario *x, struct err *e);
/* Calls fn for the name of each shipped scenario. */
must_check int sim_each_shipped(int (*fn)(void *arg, const char *name, const char *path), void *arg, struct err *e);

#endif
