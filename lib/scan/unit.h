/* What one unit is: the questions that tell, one after the other, and the row they end in. */
#ifndef SCAN_UNIT_H
#define SCAN_UNIT_H

#include "probes.h"
#include "scan/scan.h"

struct unit {
	const struct device_catalogue *catalogue;
	enum { UNIT_WALK, UNIT_MODEL_1, UNIT_FC43, UNIT_PROBES, UNIT_IDENTITY, UNIT_DONE } phase;
	bool gave_value;
	int same_exceptions;       /* in a row: the same no to everything */
	uint8_t last_exception;
	struct device_walk walk;
	struct probes probes;
	size_t probe_at;
	const struct device_profile *known; /* by its signature; its own identity is asked, part by part */
	size_t part;
	struct scan_row row;
};

void unit_init(struct unit *u, const struct device_catalogue *c);
void unit_begin(struct unit *u, const struct bus_address *a, uint8_t number);
/* What to ask next; false: nothing, the row is complete. */
bool unit_question(struct unit *u, struct bus_request *q);
/* What came: a value, an exception, or NULL for nothing that could be used. */
void unit_answer(struct unit *u, const struct bus_reply *r);
/* No more questions: the row from what is known. */
void unit_conclude(struct unit *u);

/* One more fault in the row, while there is room. */
void row_fault(struct scan_row *row, const char *fmt, ...) printf_like(2, 3);

#endif
