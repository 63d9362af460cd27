/* scan: what answers on a network or a serial line, and what it is. Reads only: the encoder here knows no write
 * function.
 *
 * All addresses in flight at once under a pace limit; per host one connection and one question at a time; likely units
 * first.
 */
#ifndef PSEC_SCAN_H
#define PSEC_SCAN_H

#include <jansson.h>

#include "base/base.h"
#include "bus/bus.h"
#include "device/device.h"
#include "loop/loop.h"

enum { SCAN_TARGETS_MAX = 16, SCAN_HOSTS_MAX = 4096, SCAN_FAULTS_MAX = 4 };

struct scan_options {
	int pace_per_s;        /* connections a second, reconnections among them; default 500 */
	int connect_ms;        /* default 500 */
	int answer_ms;         /* default 1000 */
	bool every_unit;       /* all of 1…247 instead of the likely ones */
};
void scan_options_default(struct scan_options *o);

enum scan_state {
	SCAN_DEVICE,           /* a unit that answered */
	SCAN_MODBUS,           /* a host that speaks Modbus, but no unit with a value; a line with another master */
	SCAN_SILENT,           /* accepts the connection and never answers */
	SCAN_NOT_MODBUS,       /* answers something else */
};
const char *scan_state_name(enum scan_state s); /* "device", "modbus", "silent", "not-modbus" */

/* One line of the result, of fixed size: it also crosses from field to core as it is. */
struct scan_row {
	enum scan_state state;
	struct bus_address address;
	struct device_identity identity;
	char profile[48];              /* "" when nothing fits */
	enum device_match match;       /* how sure */
	char evidence[120];            /* "SunSpec at 40000: models 1, 103, 124", "uint32 at 0x8960 is 0x42323320" */
	struct device_sunspec sunspec;
	char faults[SCAN_FAULTS_MAX][96]; /* "not named: exception 2 to every probe; try a profile of your own" */
	size_t fault_count;
};

/* As DESIGN §5 names the fields; what is empty is null. The caller's reference. */
json_t *scan_row_to_json(const struct scan_row *row);
/* Back, from psecd's notification; of SunSpec only base and model ids cross. ERR_INPUT when it is no row. */
must_check int scan_row_from_json(const json_t *o, struct scan_row *row, struct err *e);

struct scan_progress {
	size_t hosts, begun, finished, found;
	char where[112]; /* "9600 8N1, unit 37 (12 of 247), about 40 s left": what takes longest; or "" */
};
struct scan_hooks {
	void (*row)(void *arg, const struct scan_row *row);   /* as they come */
	void (*progress)(void *arg, const struct scan_progress *p);
	void (*done)(void *arg);
	void *arg;
};

/* More open files for this process, as far as the system allows: with fewer a scan has fewer addresses in flight. For
 * the program to call before it gives up its rights; a jailed process may not. */
void scan_raise_files(void);

struct scan;
/* targets: "192.168.1.0/24[:PORT]", "HOST[:PORT]", "10.0.0.1-20", "rtu:/dev/ttyS1[?baud=…&parity=…]",
 * "rtu+tcp://HOST:PORT"; checked whole before anything is sent. Caller frees; freeing a running scan ends it. */
must_check int scan_new(struct loop *l, const struct device_catalogue *c, const char *const *targets, size_t count,
			const struct scan_options *o, const struct scan_hooks *hooks, struct scan **out, struct err *e);
/* Before scan_start: a is in somebody's use (name) and may take one master only; it gets a row that says so, and no
 * question. */
void scan_leave_alone(struct scan *s, const struct bus_address *a, const char *name);
void scan_start(struct scan *s);
/* It is broken off: what is known and was not told yet is told now. */
void scan_break_off(struct scan *s);
void scan_free(struct scan *s);
/* Why nothing answered, for people: "eth1 has no carrier", "192.168.1.0/24 is not on any port of this machine …". Empty
 * when something did. */
void scan_explain(const struct scan *s, struct buf *text);

/* The target of a port: the IPv4 subnet that interface is on, at most a /22. */
must_check int scan_target_of_port(const char *port, char to[32], struct err *e);

#endif
