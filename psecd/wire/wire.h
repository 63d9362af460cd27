/* wire: what crosses the borders inside psecd, over SOCK_SEQPACKET: a kind, an exact length, a struct. Anything odd ends the sender.
 *
 * core ⇄ field; the supervisor hands both their end and the site's text. Kinds of link are reserved here so that numbers never move.
 */
#ifndef PSEC_WIRE_H
#define PSEC_WIRE_H

#include "base/base.h"
#include "control/control.h"
#include "site/site.h"

enum { WIRE_BUILD_LEN = 48, WIRE_TEXT_LEN = 120, WIRE_BATCH = 64 };

enum wire_kind {
	WIRE_HELLO = 1,         /* both ways, first: build id */
	/* core → field */
	WIRE_ENVELOPE = 10,     /* struct wire_envelope */
	WIRE_CHECK = 11,        /* begin the sign check */
	WIRE_SCAN = 12,         /* struct wire_scan: carry out a scan */
	WIRE_STOP = 13,         /* go to the safe set-point, then end */
	/* field → core */
	WIRE_SAMPLES = 30,      /* struct wire_samples; latest wins, never waited for */
	WIRE_DECISION = 31,     /* struct wire_decision, at most 10 a second */
	WIRE_DEVICE = 32,       /* struct wire_device: state change */
	WIRE_CHECKED = 33,      /* struct wire_checked: result of the sign check */
	WIRE_SCAN_ROW = 34, WIRE_SCAN_DONE = 35,
	WIRE_EVENT = 36,        /* struct wire_event */
	WIRE_STOPPED = 37,      /* safe set-point reached and shown (or not, with why) */
	WIRE_READY = 38,        /* devices are being polled */
	/* supervisor ⇄ children */
	WIRE_ALIVE = 50, WIRE_SHUTDOWN = 51,
	/* link: reserved */
	WIRE_LINK_FIRST = 100, WIRE_LINK_LAST = 149,
};

struct wire_hello { char build[WIRE_BUILD_LEN]; };
struct wire_envelope { struct control_envelope envelope; uint64_t serial; };
struct wire_sample { int16_t device; int16_t point; uint8_t quality; int64_t at_boot_us, utc_us; double value; };
struct wire_samples { uint32_t count; struct wire_sample samples[WIRE_BATCH]; };
struct wire_decision { struct control_decision decision; uint64_t envelope_serial; int64_t at_boot_us, utc_us; int64_t sample_to_wire_us; };
struct wire_device { int16_t device; uint8_t state; char why[WIRE_TEXT_LEN]; struct { char make[33], model[33], serial[33], version[17]; } identity;
		     uint64_t reads, writes, timeouts, garbled, exceptions; double rate_hz; };
struct wire_checked { int32_t result; struct control_check check; };
struct wire_event { uint8_t severity; char kind[24], subject[SITE_NAME_LEN], text[WIRE_TEXT_LEN]; int64_t utc_us; };

struct wire; /* one end */
must_check int wire_new(int fd, struct wire **out, struct err *e); /* owns fd */
void wire_free(struct wire *w);
int wire_fd(const struct wire *w);
/* 1 sent; 0 the peer does not read (nothing was sent; latest wins: the caller keeps the newest); -1 the peer is gone. */
must_check int wire_send(struct wire *w, enum wire_kind kind, const void *body, size_t len, struct err *e);
/* 1 with *kind and *body (valid until the next call), 0 nothing there, -1 gone or odd (length, kind, no hello first, other build). */
must_check int wire_receive(struct wire *w, enum wire_kind *kind, const void **body, size_t *len, struct err *e);
/* The exact length of a kind's body; -1 for a kind that does not exist. */
int wire_length(enum wire_kind kind);
/* This build's id: version and a digest of the wire header. */
const char *wire_build(void);

#endif
