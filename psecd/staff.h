/* staff: the children's lives (staff.c) and what they say (hear.c). */
#ifndef PSECD_STAFF_H
#define PSECD_STAFF_H

#include "proc/proc.h"
#include "supervise.h"

struct child {
	struct staff *staff;
	int index;
	const char *name;
	struct proc proc;
	bool runs, ready, asked;
	struct wire *wire;
	struct loop_source *end_source;
	struct loop_timer restart;
	int64_t began_boot_us;
	int backoff_ms;
	uint32_t restarts;
	enum err_kind failed;
	char missing[160];
};

struct staff {
	struct loop *loop;
	const struct place *place;
	struct child children[CHILDREN];
	uint64_t generation; /* of the pair between the children */
	bool all_ready, stopping, ending;
	struct loop_timer health, patience;
	int64_t health_us, began_boot_us;
	bool watchdog;
	enum err_kind verdict;
};

struct child *staff_other(struct child *c);
void staff_tell_core(struct staff *s);       /* who runs, and what protection is missing */
void staff_end_all(struct staff *s);
struct wire_ear hear_child(struct child *c);

#endif
