/* rtu.h: serial frames, and what carries their bytes: a line of this machine, or a gateway that passes them on raw. */
#ifndef PSEC_BUS_RTU_H
#define PSEC_BUS_RTU_H

#include <sys/socket.h>

#include "link.h"

struct rtu {
	struct bus_link *link;
	const struct medium *medium;
	int fd; /* -1: not open */
	struct loop_source *source;

	/* the medium's */
	int lock_fd;          /* serial */
	void *modbus;         /* serial: modbus_t */
	struct sockaddr_storage peer; /* gateway */
	socklen_t peer_len;
	int64_t char_us, gap_us; /* of one character; the least silence between frames, MSL 2.5.1.1 */
	int64_t pause_us;     /* a pause that ends a frame whose length nobody knows */

	/* the question in flight */
	enum { RTU_IDLE, RTU_OPENING, RTU_SILENCE, RTU_WAITING } step;
	struct bus_request asked; /* it, or the probe that goes before it */
	bool probing, fresh;      /* fresh: opened for this question */
	size_t probes;
	int64_t sent_us, first_us, last_us; /* WAITING: the first byte is due, the last one */
	int64_t silent_us, restless_us;     /* SILENCE: its end; when enough was waited for it */
	uint8_t sent[BUS_RTU_MAX];
	size_t sent_len;

	/* the line, over all questions */
	struct suspects suspects;
	int64_t quiet_until_us; /* until then nothing is asked */
	int64_t heard_us;       /* the last byte in */
	bool settled;           /* was silent once since it was opened */
	uint8_t in[2 * BUS_RTU_MAX];
	size_t in_len, in_due;  /* the first in_due came where an answer was due */
};

struct medium {
	/* 0: r->fd is open; 1: it will be, or fail, when it can be written to. */
	int (*open)(struct rtu *r, struct err *e);
	int (*opened)(struct rtu *r, struct err *e); /* after 1 */
	bool (*send)(struct rtu *r);                 /* all of sent; false: the medium broke */
	void (*close)(struct rtu *r);
};

/* Takes a lock on the line: ERR_AGAIN, another holds it; ERR_UNREACHABLE: not there, not a line, no right. */
extern const struct medium medium_serial;
extern const struct medium medium_gateway;

/* ---- overheard.c ------------------------------------------------------------------------------------------------- */

/* len bytes at the front of r->in have ended and are no answer to us: count them, and whose they are. The first due of
 * them came where an answer was due. */
void overheard(struct rtu *r, size_t len, size_t due);

#endif
