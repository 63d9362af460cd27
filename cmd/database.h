/* database: psec.db from here, where psecd does not run: under its lock, by root as the user it belongs to. */
#ifndef PSEC_CMD_DATABASE_H
#define PSEC_CMD_DATABASE_H

#include <sys/types.h>
#include <unistd.h>

#include "cmd.h"
#include "store/store.h"

struct database { struct store *store; uid_t uid; gid_t gid; int folder; };
#define DATABASE_NONE (struct database){ .uid = geteuid(), .gid = getegid(), .folder = -1 }

/* Until database_close, which follows a failure, too, the working folder is that of the database. ERR_INPUT when psecd
 * has recorded nothing here yet: none is begun. */
must_check int database_open(const struct cmd_env *env, struct database *d, struct err *e);
/* As database_open, but where there is none it is begun, for whom the state folder belongs to. */
must_check int database_begin(const struct cmd_env *env, struct database *d, struct err *e);
void database_close(struct database *d);

#endif
