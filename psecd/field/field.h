/* field's own parts: the pairs (staff), the fast law (law), the sign check (check), what core is told (tell),
 * scan, the way out (leave). */
#ifndef FIELD_FIELD_H
#define FIELD_FIELD_H

#include "base/base.h"
#include "bus/bus.h"
#include "control/control.h"
#include "device/device.h"
#include "loop/loop.h"
#include "poll/poll.h"
#include "scan/scan.h"
#include "site/site.h"
#include "wire/wire.h"

enum { ASKED_MAX = 16 };
struct law {
	struct control *control;         /* NULL: the site has no battery */
	struct control_config config;
	int meter, inverter, bms;        /* devices of the site; bms -1: none */
	struct control_envelope envelope;
	uint64_t envelope_serial;
	struct control_decision decision;
	int64_t grid_at_boot_us;         /* of the last sample that was decided on */
	struct loop_timer wake;
	/* writes on their way: which sample asked for them */
	struct asked { struct field *field; int64_t sample_boot_us; } asked[ASKED_MAX];
	size_t next_asked;
	int64_t sample_to_wire_us;       /* of the last one, -1: none */
	struct spread timing;            /* meter sample to set-point on the wire, since the field began */
	bool wrote;                      /* a set-point was sent in this life */
	double last_w;                   /* the last one that was sent */
	bool last_shown;                 /* and read back */
	/* what was last said about it */
	enum control_state said_state;
	unsigned said_lost;
	int said_guard;
	int said_class;
	int64_t class_said_boot_us;
	struct said { char text[120]; int64_t since_boot_us, said_boot_us; uint32_t more; } refused, not_shown;
	int64_t told_boot_us;            /* when core last got a decision */
	struct loop_timer tell;
};

struct check {
	bool runs;
	struct control_check check;
	struct loop_timer tick;          /* judges signals that do not come */
	double asked_w;
	int64_t asked_boot_us;
};

struct tell;
struct scanning;
struct trying;

struct field {
	struct loop *loop;
	const struct wire_start *start;
	const struct site *site;
	struct device_catalogue *catalogue;
	struct poll *poll;
	/* processes */
	struct wire *supervisor, *core;
	uint64_t generation;
	int64_t began_boot_us;
	bool started;                    /* devices are being polled */
	enum device_state said_state[SITE_DEVICES_MAX]; /* live or lost, as an event said it */
	bool said_master[SITE_DEVICES_MAX];             /* that another master is on its line */
	/* work */
	struct law law;
	struct check check;
	struct tell *tell;
	struct scanning *scanning;
	struct trying *trying;
	bool leave_waits;                /* for the end of a step */
	/* the way out */
	bool leaving, left;              /* going to the safe set-point; there, or given up */
	bool then_end;                   /* nobody will tell us to end */
	struct loop_timer patience, retry;
	char leave_why[80];
};

/* ---- staff.c ---- */
must_check int staff_meet_supervisor(struct field *f, struct err *e);
int staff_tell_core(struct field *f, enum wire_kind kind, const void *body, size_t len);
void staff_release(struct field *f);

/* ---- law.c: sample in, set-point out, in one turn ---- */
must_check int law_init(struct field *f, struct err *e);
void law_release(struct field *f);
void law_updated(struct field *f, int device);              /* a block of that device arrived */
void law_device_changed(struct field *f, int device);       /* it came or went */
void law_envelope(struct field *f, const struct wire_envelope *w);
void law_decide(struct field *f, bool grid_is_new);
/* The set-point leaves; sample_boot_us: of the meter's answer that asked for it, 0: none did. */
void law_write(struct field *f, double setpoint_w, enum poll_purpose purpose, int64_t sample_boot_us);
void law_input(struct field *f, struct control_input *in);

/* ---- said.c: events about the law ---- */
void said_decision(struct field *f);
void said_refusal(struct field *f, const struct err *e);     /* a set-point that was not sent */
void said_accepted(struct field *f);                          /* one was */
void said_not_shown(struct field *f, int device, double setpoint_w, const char *why);
void said_shown(struct field *f);
void said_line(struct field *f, int device); /* what the device's serial line shows of others */

/* ---- check.c ---- */
void check_begin(struct field *f);
void check_sample(struct field *f);
void check_abort(struct field *f);
void check_init(struct field *f);

/* ---- tell.c: what core is told; the newest of everything, and every event ---- */
void tell_init(struct field *f);
void tell_release(struct field *f);
void tell_all(struct field *f);                             /* core is new: it knows nothing */
void tell_updated(struct field *f, int device);
void tell_device(struct field *f, int device);
void tell_noted(struct field *f, uint64_t serial);           /* an event that need not be said again */
void tell_event(struct field *f, enum severity severity, const char *kind, const char *subject, const char *fmt, ...)
	printf_like(5, 6);

/* ---- scanning.c ---- */
void scanning_begin(struct field *f, const struct wire_scan *w);
void scanning_end(struct field *f, uint64_t id);

/* ---- trying.c ---- */
void trying_begin(struct field *f, const struct wire_trial *w);
/* Nobody waits for it: a test is dropped, a step goes back at once. id UINT64_MAX: whichever runs. */
void trying_end(struct field *f, uint64_t id);
bool trying_writes(const struct field *f);                  /* the law must not */
void trying_release(struct field *f);

/* ---- leave.c: to the safe set-point, then WIRE_STOPPED ---- */
void leave_begin(struct field *f, bool then_end);
void leave_written(struct field *f, double value, enum poll_written how, const char *why);

#endif
