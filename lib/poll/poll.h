/* poll: reads a site's devices at their rates, and the one guarded write.
 *
 * One link a connection or line, one question in flight on it; control inputs first; a device that fails backs off (1 s
 * … 30 s) without slowing the others. On connect: SunSpec walk where the profile is of that kind, identity, then
 * blocks.
 */
#ifndef PSEC_POLL_H
#define PSEC_POLL_H

#include "base/base.h"
#include "device/device.h"
#include "loop/loop.h"
#include "site/site.h"

struct poll;

struct poll_hooks {
	/* A block of device arrived (or was lost): its points may have new values; read them with poll_reading. */
	void (*updated)(void *arg, int device);
	/* A device came, went, or is another one (why: "serial 4711 instead of 4712"). */
	void (*state)(void *arg, int device, enum device_state s, const char *why);
	void *arg;
};

/* Nothing is sent before poll_start. Everything given is borrowed until poll_free. */
must_check int poll_new(struct loop *l, const struct site *s, const struct device_catalogue *c,
			const struct poll_hooks *hooks, struct poll **out, struct err *e);
void poll_free(struct poll *p);
void poll_start(struct poll *p);
/* device: index into s->devices. */
must_check bool poll_reading(const struct poll *p, int device, enum device_point point, struct device_reading *out);
/* Read everything of device anew as soon as its line is free, whatever its rates; asked for by a person's test. */
void poll_again(struct poll *p, int device);
enum device_state poll_device_state(const struct poll *p, int device);
const char *poll_device_why(const struct poll *p, int device);          /* of the last loss, or "" */
const struct device_map *poll_device_map(const struct poll *p, int device); /* NULL until it was live once */

/* ---- the guarded write: the only way to a register ---- */
enum poll_purpose { POLL_CONTROL, POLL_TEST, POLL_RELAY };
enum poll_written { POLL_SHOWN /* read back and equal */, POLL_NOT_SHOWN /* accepted, but reads differently */, POLL_FAILED,
		    POLL_EXPIRED /* not sent by its deadline */, POLL_REPLACED /* by a newer value of the same point */ };
/* sent_boot_us: when the value left, or 0 when it did not or was refused. POLL_FAILED with a time: it may stand all the same. */
typedef void poll_written_fn(void *arg, int device, enum device_point point, double value, enum poll_written how,
			     const char *why, int64_t sent_boot_us);
/* Write value to point before expires_boot_us, then read it back. Goes before every read; a value that waits is
 * replaced by a newer one. -1: the device is not live, the point is not writable, out of range (ERR_REFUSED), already
 * expired. */
must_check int poll_write(struct poll *p, int device, enum device_point point, double value, enum poll_purpose purpose,
			  int64_t expires_boot_us, poll_written_fn *fn, void *arg, struct err *e);

struct poll_stats {
	uint64_t reads, writes, timeouts, garbled, exceptions, connects;
	double rate_hz;            /* of the fast block, over the last 10 s */
	int64_t latency_us;        /* of the last answer */
};
void poll_device_stats(const struct poll *p, int device, struct poll_stats *out);

/* Read one device once, all its points, in a loop of its own: for `device read` without a daemon. The map is the
 * caller's. d->roles 0: every role that profile and device fill. */
must_check int poll_read_once(const struct site_device *d, const struct device_profile *profile, int timeout_ms,
			      struct device_map **out, struct err *e);
/* Which profile fits the SunSpec models that answer at address; ERR_INPUT when it shows none or none fits. */
must_check int poll_identify(const struct bus_address *address, const struct device_catalogue *c, int timeout_ms,
			     const struct device_profile **out, struct err *e);

#endif
