/* The questions to one host or line, one after the other over one connection: which units are there, and what is each. */
#ifndef SCAN_DIALOGUE_H
#define SCAN_DIALOGUE_H

#include "scan/scan.h"

struct dialogue;

struct dialogue_hooks {
	void (*row)(void *arg, const struct scan_row *row);
	void (*done)(void *arg, struct dialogue *d);
	void *arg;
};

must_check int dialogue_new(struct loop *l, const struct device_catalogue *c, const struct bus_address *a,
			    bool fixed_setting, const struct scan_options *o, const struct dialogue_hooks *hooks,
			    struct dialogue **out, struct err *e);
void dialogue_start(struct dialogue *d);
void dialogue_free(struct dialogue *d);
/* Did anything at all answer there? */
bool dialogue_answered(const struct dialogue *d);
/* Why nothing did: "cannot connect: Connection refused"; or "". */
const char *dialogue_why(const struct dialogue *d);

#endif
