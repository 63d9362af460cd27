/* jail: a process gives up, for good, what it does not need: user, capabilities, new privileges, system calls, address
 * families. IEC 62443-4-2 CR 2.1 (least privilege), CR 7.7 (least functionality). */
#ifndef PSEC_JAIL_H
#define PSEC_JAIL_H

#include "base/base.h"

enum { JAIL_UNIX = 1, JAIL_INET = 2, JAIL_NETLINK = 4 }; /* families that socket(2) may still name */
enum {
	JAIL_FILES = 1, /* may open and change files (the database) */
	JAIL_TTY = 2,   /* may set up serial lines (ioctl TCSETS …) */
};

struct jail_spec {
	const char *user;   /* NULL: stay who we are. Not used (and no fault) when not root */
	unsigned families;  /* JAIL_UNIX … */
	unsigned needs;     /* JAIL_FILES … */
};

/* In this order: groups and user, capability bounding set and sets emptied, no dumps, no_new_privs, seccomp filter
 * (a call outside the list kills the process; a forbidden family gives EAFNOSUPPORT). Everything is verified after.
 * missing receives one line of what could not be had without root ("one user for all processes, no …"), or "". */
must_check int jail_enter(const struct jail_spec *spec, char missing[160], struct err *e);

#endif
