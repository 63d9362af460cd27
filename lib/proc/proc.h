/* proc: children without a shell: a given argv, a clean environment, only the named descriptors, and a pidfd to wait
 * on. */
#ifndef PSEC_PROC_H
#define PSEC_PROC_H

#include <sys/types.h>

#include "base/base.h"

struct proc_fd {
	int from; /* in the parent; stays the parent's */
	int to;   /* in the child; 0, 1 and 2 are inherited unless named */
};

struct proc_spec {
	const char *const *argv;  /* argv[0] is the path of the program; NULL-ended */
	const char *const *env;   /* NULL-ended "K=V"; nothing else is inherited */
	const struct proc_fd *fds;
	size_t fd_count;
	bool stays; /* not killed with its parent: it notices that by itself and has something to finish first */
	bool own_session; /* a terminal's Ctrl-C does not reach it, and what it started can be ended with it */
};

struct proc {
	pid_t pid;
	int pidfd; /* readable when the child has ended; closed by proc_reap or proc_end */
	bool own_session;
};

/* Start it. The child dies with the thread that started it (PR_SET_PDEATHSIG); every other descriptor is closed;
 * signals are as a fresh program expects them. A program that cannot be executed is an error here, not a child that
 * ends with 127. */
must_check int proc_start(const struct proc_spec *spec, struct proc *out, struct err *e);
/* After pidfd was readable: collect it. text says how it ended ("exit status 3", "killed by signal 9 (Killed)"). */
void proc_reap(struct proc *p, bool *clean, char text[64]);
/* SIGTERM, wait at most patience_ms, SIGKILL, reap. */
void proc_end(struct proc *p, int patience_ms);
/* SIGKILL, to all of the session where it has its own; does not wait: pidfd tells when it has ended. */
void proc_kill(const struct proc *p);

#endif
