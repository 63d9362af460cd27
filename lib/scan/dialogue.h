/* The questions to one host or line, one after the other over one connection: which units are there, what is each. */
#ifndef SCAN_DIALOGUE_H
#define SCAN_DIALOGUE_H

#include "scan/scan.h"

struct dialogue;

struct dialogue_hooks {
	void (*row)(void *arg, const struct scan_row *row);
	void (*step)(void *arg); /* another unit is tried */
	/* When (boot_us) it may connect again; asked once for each connection after the first. */
	int64_t (*turn)(void *arg);
	void (*done)(void *arg, struct dialogue *d);
	void *arg;
};

must_check int dialogue_new(struct loop *l, const struct device_catalogue *c, const struct bus_address *a,
			    bool setting_given, const struct scan_options *o, const struct dialogue_hooks *hooks,
			    struct dialogue **out, struct err *e);
void dialogue_start(struct dialogue *d);
void dialogue_free(struct dialogue *d);
/* Tell what is known and not told yet; the dialogue is to be freed. */
void dialogue_flush(struct dialogue *d);
/* Did anything at all answer there? */
bool dialogue_answered(const struct dialogue *d);
/* It could be asked, and nothing came. */
bool dialogue_silent(const struct dialogue *d);
/* Why nothing did: "cannot connect: Connection refused"; or "". */
const char *dialogue_why(const struct dialogue *d);
/* Where it is: "9600 8N1, unit 37 (12 of 247)"; returns how long it may still take, in ms. */
int64_t dialogue_where(const struct dialogue *d, char to[64]);

#endif
