/* right: who may do what. Tiers of rights, and who calls, from the kernel's word (SO_PEERCRED) and site.yaml's access.
 *
 * IEC 62443-3-3 SR 2.1 (authorization enforcement). Root and the site's owner are site-admin; everyone else is what
 * access says; not named: nothing.
 */
#ifndef PSEC_RIGHT_H
#define PSEC_RIGHT_H

#include <sys/types.h>

#include "base/base.h"
#include "site/site.h"

enum right { RIGHT_NONE, RIGHT_VIEWER, RIGHT_OPERATOR, RIGHT_TECHNICIAN, RIGHT_SITE_ADMIN, RIGHT_FLEET_ADMIN };
const char *right_name(enum right r);                 /* "operator" */

enum { RIGHT_USER = 64 };
/* "unix:anna", "unix:1000" where /etc/passwd does not know the user: who did it, for events and the audit log. */
char *right_user(uid_t uid, char to[RIGHT_USER]);

struct right_caller {
	uid_t uid;
	gid_t gid;
	gid_t groups[64];  /* the first 64; all are judged */
	size_t group_count;
	char name[RIGHT_USER]; /* of right_user */
	enum right right;
};

/* The peer of a connected Unix socket, judged after site's access. owner: the uid the daemon runs for. */
must_check int right_of_peer(int fd, const struct site *site, uid_t owner, struct right_caller *out, struct err *e);
/* 0, or -1 ERR_REFUSED "operator is needed, unix:anna is viewer". */
must_check int right_require(const struct right_caller *caller, enum right least, const char *act, struct err *e);

#endif
