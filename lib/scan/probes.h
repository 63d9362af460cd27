/* The signature reads of all profiles, each kept once: several profiles may ask for the same registers. */
#ifndef SCAN_PROBES_H
#define SCAN_PROBES_H

#include "device/device.h"

enum { PROBES_MAX = 48 };

struct probes {
	struct device_probe ask[PROBES_MAX];
	uint16_t regs[PROBES_MAX][BUS_READ_MAX];
	bool answered[PROBES_MAX];
	size_t count;
};

void probes_collect(struct probes *p, const struct device_catalogue *c);
void probes_forget(struct probes *p); /* a new unit: no answers yet */
/* The best match of the catalogue over the answers; NULL when nothing fits. */
const struct device_profile *probes_match(const struct probes *p, const struct device_catalogue *c,
					  enum device_match *match, char why[120]);

#endif
