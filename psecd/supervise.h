/* supervise: psecd's own parts, seen only here: where things are (place), the children (staff), systemd (notify). */
#ifndef PSECD_SUPERVISE_H
#define PSECD_SUPERVISE_H

#include <sys/types.h>

#include "base/base.h"
#include "loop/loop.h"
#include "site/site.h"
#include "wire/wire.h"

enum { CORE, FIELD, CHILDREN };
extern const char *const child_names[CHILDREN]; /* of the programs, and in what is said of them */

/* ---- place: the folders, the lock, the socket, the users, the sealed site ---- */
struct place {
	struct wire_start start;      /* what the children get; user is filled in for each */
	char program[CHILDREN][288];
	char user[CHILDREN][32];      /* "" when not root */
	char missing[160];            /* protection that could not be had, or "" */
	int lock_fd, state_fd, listen_fd, start_fd[CHILDREN];
};
/* Read and check site.yaml; faults are printed. */
must_check int place_read(struct place *p, const char *dir, struct err *e);
/* Find the programs of the children: $PSEC_LIBEXEC, beside psecd, the installed folder. */
must_check int place_find_programs(struct place *p, struct err *e);
/* Take the lock, make the folders, listen, seal the site. ERR_AGAIN with the pid of the psecd that has the site. */
must_check int place_open(struct place *p, struct err *e);
/* A psecd that is started from now on waits for the end of this one. */
void place_say_stopping(const struct place *p);
/* The checked site in a sealed descriptor, for one child. */
must_check int place_seal(const struct place *p, int child, int *fd, struct err *e);
void place_close(struct place *p);

/* ---- staff: the children, restarted when they die, each without the other ---- */
struct staff;
must_check int staff_new(struct loop *l, const struct place *p, struct staff **out, struct err *e);
void staff_free(struct staff *s); /* ends the children */
must_check int staff_start(struct staff *s, struct err *e);
/* The field goes to the safe set-point, then all end and the loop stops. */
void staff_stop(struct staff *s);
/* Why the loop ended: ERR_NONE, or what a child could not do at the first start. */
enum err_kind staff_verdict(const struct staff *s);
/* What `psecd -n` asks of the field: do the profiles fit the site? */
must_check int staff_check(const struct place *p, struct err *e);

/* ---- notify: sd_notify(3) ---- */
void notify_say(const char *words);       /* "READY=1"; nothing without systemd */
int64_t notify_watchdog_us(void);         /* 0: none is asked for */

#endif
