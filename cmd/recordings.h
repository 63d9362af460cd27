/* recordings: a site's samples, from psecd where it runs, else from its database. */
#ifndef PSEC_CMD_RECORDINGS_H
#define PSEC_CMD_RECORDINGS_H

#include "cmd.h"
#include "series/series.h"

/* The series of the site between two times. What psecd holds is asked for in pages; where it does not run, the
 * database is opened under its lock, by root as the user it belongs to. Warnings go to env->err. Released by
 * series_release. */
must_check int recordings_read(const struct cmd_env *env, int64_t from_utc_us, int64_t to_utc_us, int64_t step_us,
			       struct series *out, struct err *e);

#endif
