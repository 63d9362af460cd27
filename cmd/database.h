/* database: psec.db from here, where psecd does not run: under its lock, by root as the user it belongs to. */
#ifndef PSEC_CMD_DATABASE_H
#define PSEC_CMD_DATABASE_H

#include <sys/types.h>

#include "cmd.h"
#include "store/store.h"

struct database { struct store *store; uid_t uid; gid_t gid; int folder; };

/* Until database_close, which follows a failure, too, the working folder is that of the database. ERR_INPUT when psecd
 * has recorded nothing here yet: none is begun. */
must_check int database_open(const struct cmd_env *env, struct database *d, struct err *e);
void database_close(struct database *d);

#endif
