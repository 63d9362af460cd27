/* poll: reads a site's devices at their rates, and the one guarded write.
 *
 * One link a connection or line, one question in flight on it. Each block of registers has its beat; a beat that was
 * missed is not made up for, so that no device is asked more often than was wanted. Inputs of control go first: another
 * block is begun only where its answer is expected before their next beat, and at the latest after four of them. A
 * device that fails backs off, 1 s … 30 s, and on a line with others its tries take at most a fifth of the time.
 *
 * When a device comes: SunSpec walk where its profile is of that kind, identity, then blocks. On every new connection:
 * identity first. Who has another serial number than before is lost, is neither read nor written, and is looked at
 * again as any lost device is; only a new poll takes it for what it is now.
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
	/* A device came, went, or is another one: lost, "serial 4711 instead of 4712; …". */
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
enum poll_written { POLL_SHOWN /* read back and equal */, POLL_NOT_SHOWN /* accepted, but reads differently */,
		    POLL_FAILED, POLL_EXPIRED /* not sent by its deadline */,
		    POLL_REPLACED /* by a newer value of the same point */ };
/* sent_boot_us: when the value left, or 0 when it did not or was refused. POLL_FAILED with a time: it may stand all
 * the same. */
typedef void poll_written_fn(void *arg, int device, enum device_point point, double value, enum poll_written how,
			     const char *why, int64_t sent_boot_us);
/* Write value to point before expires_boot_us, then read it back. Goes before every read; a value that waits is
 * replaced by a newer one. -1: the device is not live, the point is not writable, out of range (ERR_REFUSED), already
 * expired. */
must_check int poll_write(struct poll *p, int device, enum device_point point, double value, enum poll_purpose purpose,
			  int64_t expires_boot_us, poll_written_fn *fn, void *arg, struct err *e);

/* ---- how it goes ---- */

enum { POLL_EXCEPTIONS = 12 };
struct poll_stats {
	uint64_t reads, writes, connects /* of its line */;
	uint64_t timeouts, closed, unreachable, crc_errors, other_unit, garbled /* and nothing of these */;
	uint64_t exceptions, by_exception[POLL_EXCEPTIONS]; /* code 1…11; 0: any other */
	/* of the fastest block: over the last 5…10 s or 3…6 beats, and as configured; 0: not read yet */
	double rate_hz, wanted_hz;
	int64_t latency_us;                /* of the last answer */
	uint32_t p50_us, p99_us, max_us;   /* of the answers of the last 30…60 s; 0: none */
	int64_t next_try_boot_us;          /* of a lost device; 0: it is not lost */
	uint32_t tries;                    /* of it that failed, since it was lost */
};
void poll_device_stats(const struct poll *p, int device, struct poll_stats *out);
/* Of the connection or serial line that the device is on, whoever else is. */
struct poll_line { struct bus_counters counters; double busy_percent; /* a question was out: over the last 5…10 s */ };
void poll_line_stats(const struct poll *p, int device, struct poll_line *out);

/* Read one device once, all its points, in a loop of its own: for `device read` without a daemon. The map is the
 * caller's. d->roles 0: every role that profile and device fill. */
must_check int poll_read_once(const struct site_device *d, const struct device_profile *profile, int timeout_ms,
			      struct device_map **out, struct err *e);
/* Which profile fits the SunSpec models that answer at address; ERR_INPUT when it shows none or none fits. */
must_check int poll_identify(const struct bus_address *address, const struct device_catalogue *c, int timeout_ms,
			     const struct device_profile **out, struct err *e);

/* Every SunSpec model of the device at address with its registers, m->length of them (fewer than it says when it
 * refuses to show the rest). ERR_INPUT when it shows no SunSpec; why: what the list of models lacks, or "". */
typedef void poll_model_fn(void *arg, const struct device_model *m, const uint16_t *regs);
must_check int poll_models_once(const struct bus_address *address, int timeout_ms, poll_model_fn *fn, void *arg,
				char why[80], struct err *e);

#endif
