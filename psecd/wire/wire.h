/* wire: what crosses the borders inside psecd, over SOCK_SEQPACKET: a kind, an exact length, a struct. Anything odd
 * ends the sender.
 *
 * Three pairs: supervisor ⇄ core, supervisor ⇄ field, core ⇄ field. The ends of the last come as WIRE_PEER with a
 * descriptor, anew whenever one of the two was started. What a message says is judged by who receives it; wire judges
 * kind, length, and that both ends are of one build. Kinds of link are reserved here so that numbers never move.
 */
#ifndef PSEC_WIRE_H
#define PSEC_WIRE_H

#include <sys/types.h>

#include "base/base.h"
#include "bus/bus.h"
#include "control/control.h"
#include "loop/loop.h"
#include "poll/poll.h"
#include "scan/scan.h"
#include "site/site.h"
#include "trial/trial.h"

enum { WIRE_BUILD_LEN = 48, WIRE_TEXT_LEN = 120, WIRE_BATCH = 64, WIRE_PROCESSES = 4 };

enum wire_kind {
	WIRE_HELLO = 1,         /* both ways, first: build id; sent and judged by wire itself */
	/* core → field */
	WIRE_ENVELOPE = 10,     /* struct wire_envelope */
	WIRE_CHECK = 11,        /* begin the sign check; no body */
	WIRE_SCAN = 12,         /* struct wire_scan: carry out a scan */
	WIRE_STOP = 13,         /* from the supervisor: psecd stops; field becomes safe, then WIRE_STOPPED; no body */
	WIRE_SCAN_END = 14,     /* struct wire_scan_end: nobody wants that scan any more */
	WIRE_NOTED = 15,        /* struct wire_noted: that event is in the database */
	WIRE_TRIAL = 16,        /* struct wire_trial: test a device, or let it make a step */
	WIRE_TRIAL_END = 17,    /* struct wire_trial_end: nobody waits for that any more */
	/* field → core */
	WIRE_SAMPLES = 30,      /* struct wire_samples; latest wins, never waited for */
	WIRE_DECISION = 31,     /* struct wire_decision, at most 10 a second */
	WIRE_DEVICE = 32,       /* struct wire_device: state change, identity, counters */
	WIRE_CHECKED = 33,      /* struct wire_checked: result of the sign check */
	WIRE_SCAN_ROW = 34,     /* struct wire_scan_row */
	WIRE_SCAN_DONE = 35,    /* struct wire_scan_done */
	WIRE_EVENT = 36,        /* struct wire_event; said again to the next core until it is noted */
	WIRE_STOPPED = 37,      /* struct wire_stopped: safe set-point shown (or not, with why). To the supervisor */
	WIRE_READY = 38,        /* devices are being polled and what is known of them was sent; no body */
	WIRE_WHY = 39,          /* struct wire_why: why a point has no value */
	WIRE_SCAN_STEP = 40,    /* struct wire_scan_step: progress */
	WIRE_TRIAL_ROW = 41,    /* struct wire_trial_row */
	WIRE_TRIAL_DONE = 42,   /* struct wire_trial_done */
	/* supervisor ⇄ children */
	WIRE_ALIVE = 50,        /* asked by the supervisor, answered by the child; no body */
	WIRE_SHUTDOWN = 51,     /* supervisor → child: end now; no body */
	WIRE_PEER = 52,         /* supervisor → child, with a descriptor: struct wire_peer, the end to the other */
	WIRE_ODD = 53,          /* child → supervisor: struct wire_odd, the other child broke the contract */
	WIRE_RUNNING = 54,      /* child → supervisor: struct wire_running, jailed and serving */
	WIRE_FAILED = 55,       /* child → supervisor: struct wire_failed, last word before it ends */
	WIRE_STAFF = 56,        /* supervisor → core: struct wire_staff, who runs */
	/* link: reserved */
	WIRE_LINK_FIRST = 100, WIRE_LINK_LAST = 149,
};

struct wire_hello { char build[WIRE_BUILD_LEN]; };
struct wire_envelope { struct control_envelope envelope; uint64_t serial; };
struct wire_sample { int16_t device; int16_t point; uint8_t quality; int64_t at_boot_us, utc_us; double value, raw; };
struct wire_samples { uint32_t count; struct wire_sample samples[WIRE_BATCH]; };
struct wire_why { int16_t device; int16_t point; char why[80]; };
/* Meter sample to set-point on the wire, since the field began. */
struct wire_timing { uint64_t count; uint32_t p50_us, p99_us, p999_us, max_us; };
struct wire_decision { struct control_decision decision; uint64_t envelope_serial; int64_t at_boot_us, utc_us;
		       struct control_learned learned;
		       int64_t sample_to_wire_us; /* of the last set-point, -1: none yet */
		       struct wire_timing timing; };
/* What was counted since the field began, and of the line that the device shares. */
struct wire_device { int16_t device; uint8_t state; uint8_t connected; /* identity was read since the field began */
		     char why[WIRE_TEXT_LEN]; struct device_identity identity;
		     struct poll_stats counts; struct poll_line line; };
struct wire_checked { int32_t result; struct control_check check; };
struct wire_event { uint64_t serial; uint8_t severity; char kind[24], subject[SITE_NAME_LEN], text[WIRE_TEXT_LEN];
		    int64_t utc_us; };
struct wire_noted { uint64_t serial; };
struct wire_scan { uint64_t id; uint32_t count; char targets[SCAN_TARGETS_MAX][BUS_ADDRESS_LEN];
		   struct scan_options options; };
enum wire_trial_kind { WIRE_TRIAL_TEST, WIRE_TRIAL_STEP };
struct wire_trial { uint64_t id; uint8_t kind; int16_t device; int32_t seconds;
		    double power_w; /* 0: only back to rest */ };
struct wire_trial_end { uint64_t id; };
struct wire_trial_row { uint64_t id; struct trial_row row; };
struct wire_trial_done { uint64_t id; int32_t kind; /* enum err_kind */ char text[160]; };
struct wire_scan_end { uint64_t id; };
struct wire_scan_row { uint64_t id; struct scan_row row; };
struct wire_scan_step { uint64_t id; struct scan_progress progress; };
/* kind: enum err_kind, ERR_NONE when it ran to its end. text: the failure, or why nothing answered. */
struct wire_scan_done { uint64_t id; int32_t kind; char text[480]; };
struct wire_stopped { uint8_t shown; double setpoint_w; char why[WIRE_TEXT_LEN]; };
struct wire_peer { uint64_t generation; };
struct wire_odd { uint64_t generation; char why[WIRE_TEXT_LEN]; };
struct wire_running { char missing[160]; /* protection that could not be had, or "" */ };
struct wire_failed { int32_t kind; /* enum err_kind */ };
struct wire_staff { uint32_t count;
		    struct { char name[16]; int32_t pid; uint8_t runs; uint32_t restarts; } processes[WIRE_PROCESSES];
		    char missing[WIRE_PROCESSES * 160]; int64_t began_boot_us; };

/* Descriptors of a child, and what lies in the sealed one: the checked site, read once by the supervisor. */
enum { WIRE_FD_SUPERVISOR = 3, WIRE_FD_START = 4, WIRE_FD_LOCK = 5,
       WIRE_FD_LISTEN = 6, WIRE_FD_STATE = 7, /* core's */ };
struct wire_start {
	char build[WIRE_BUILD_LEN];
	struct site site;
	struct site_paths paths;
	char user[32];          /* "" or whom the child becomes */
	uid_t owner;            /* the site's owner has every right on it */
};
/* Map what lies in fd, read only, until the process ends; fd is closed. ERR_BUG: of another build, or not sealed. */
must_check int wire_start_map(int fd, const struct wire_start **out, struct err *e);

struct wire; /* one end, on a loop */
/* What its owner does with what it hears. */
struct wire_ear {
	/* A message: NULL, or how its sender broke the contract. body is valid until it returns; it must not free
	 * the end. */
	const char *(*said)(void *arg, enum wire_kind kind, const void *body);
	/* Once, and nothing comes after it: the other is gone (ERR_UNREACHABLE) or odd (ERR_INPUT: what said
	 * answered, length, kind, a descriptor where none belongs, no hello first, other build). It may free the
	 * end. */
	void (*ended)(void *arg, const struct err *e);
	void *arg;
};
/* Owns fd, also when it fails; says hello and hears from the next turn on. */
must_check int wire_new(struct loop *l, int fd, const struct wire_ear *ear, struct wire **out, struct err *e);
void wire_free(struct wire *w);
/* Hear at once what lies there: the last words of a process that has ended. */
void wire_hear(struct wire *w);
/* 1 sent; 0 the peer does not read (nothing was sent, the caller keeps the newest); -1 the peer is gone. */
must_check int wire_send(struct wire *w, enum wire_kind kind, const void *body, size_t len, struct err *e);
/* WIRE_PEER with a descriptor, which stays the caller's. */
must_check int wire_send_peer(struct wire *w, const struct wire_peer *peer, int fd, struct err *e);
/* While a WIRE_PEER is being said: the descriptor that came with it, the caller's from now on. -1: none. */
int wire_take_fd(struct wire *w);
/* The exact length of a kind's body; -1 for a kind that does not exist. */
int wire_length(enum wire_kind kind);
/* This build's id: version and a digest of all kinds and their lengths. */
const char *wire_build(void);
/* Is the text of an array that came over the wire ended? */
#define wire_text_ok(a) (memchr((a), '\0', sizeof(a)) != NULL)

/* ---- a child's life, as far as all children are alike (child.c) ---- */
/* First in main: its name in the log, and signals that a terminal sends to the whole group are the supervisor's. */
void wire_child_begin(const char *name);
/* Its pair with the supervisor. */
must_check int wire_child_meet(struct loop *l, const struct wire_ear *ear, struct wire **out, struct err *e);
/* The end to the other child, which came with WIRE_PEER; NULL when that died meanwhile: another end will come. */
struct wire *wire_child_meet_peer(struct loop *l, struct wire *supervisor, const struct wire_ear *ear);
/* The other child broke the contract: the supervisor ends it. */
void wire_child_odd(struct wire *supervisor, uint64_t generation, const char *who, const char *why);
/* Why it cannot run: said in the log and to the supervisor (NULL: not met yet). */
void wire_child_failed(struct wire *supervisor, const struct err *e);

#endif
