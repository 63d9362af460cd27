/* The parts of psec scan; only for cmd/scan*.c. */
#ifndef PSEC_CMD_SCAN_H
#define PSEC_CMD_SCAN_H

#include "cmd.h"
#include "device/device.h"
#include "scan/scan.h"

/* What a scan gave so far; rows are freed by scan_found_release. */
struct scan_found {
	struct scan_row *rows;
	size_t count, cap;
	struct buf explained;     /* why nothing answered */
};
void scan_found_add(struct scan_found *f, const struct scan_row *row);
void scan_found_release(struct scan_found *f);

/* cmd/scan_carry.c: in this process, or by psecd's field where it runs; Ctrl-C ends it early, without an error. */
must_check int scan_carry_out(const struct cmd_env *env, const struct device_catalogue *c, const char *const *targets,
			      size_t count, const struct scan_options *o, struct scan_found *found, struct err *e);
/* cmd/scan_write.c: what was recognised into site.yaml. */
must_check int scan_write_site(const struct cmd_env *env, const struct device_catalogue *c,
			       const struct scan_found *found, struct err *e);

#endif
