/* line.h: a serial line as the thread that owns it sees it; every call may block until the question's deadline. */
#ifndef PSEC_BUS_LINE_H
#define PSEC_BUS_LINE_H

#include "link.h"

struct line {
	struct bus_address address;
	int quiet_ms;
	int wake_fd;           /* readable: give up what is being waited for */

	void *modbus;          /* modbus_t; NULL: not open */
	int fd, lock_fd;
	struct suspects suspects;
	int64_t quiet_until_us; /* until then nothing is asked */
	int64_t heard_us;       /* the last byte in */
	uint8_t in[2 * BUS_RTU_MAX];
	size_t in_len;
	uint64_t bytes_in, bytes_out, opens;
	uint64_t settled_opens; /* the opening after which the line was silent once */
};

void line_init(struct line *l, const struct bus_address *a, int wake_fd, int quiet_ms);
/* Lock, open and set the line. ERR_AGAIN: another holds it; ERR_UNREACHABLE: not there, not a line, no right. */
must_check int line_connect(struct line *l, struct err *e);
void line_close(struct line *l);
/* Carry out one question, whatever that takes: opening, silence, probes. */
void line_question(struct line *l, const struct bus_request *q, int answer_ms, struct bus_reply *r);

/* The time of one character: 11 bits, MSL 2.5.1. */
int64_t line_char_us(const struct line *l);

#endif
