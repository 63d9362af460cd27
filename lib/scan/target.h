/* What the user named, as a list of addresses: checked whole before anything is sent. */
#ifndef SCAN_TARGET_H
#define SCAN_TARGET_H

#include "bus/bus.h"

struct targets {
	struct bus_address *addresses; /* unit: has_unit when it was named */
	size_t count, cap;
	bool *baud_given;              /* RTU: the line's setting was named, so no other is tried */
};

must_check int targets_add(struct targets *t, const char *text, struct err *e);
void targets_release(struct targets *t);

#endif
