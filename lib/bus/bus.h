/* bus: Modbus. Addresses, frames, one judge of every answer, and links that ask one question at a time.
 *
 * Two non-blocking engines in the caller's loop: Modbus TCP, and serial frames over a line or a raw gateway. Both hand
 * every PDU to bus_pdu_check: what does not answer exactly the question asked is never a value. Clauses: MODBUS
 * Application Protocol 1.1b3 (MAP), MODBUS Messaging on TCP/IP 1.0b (MTCP), Serial Line 1.02 (MSL).
 */
#ifndef PSEC_BUS_H
#define PSEC_BUS_H

#include "base/base.h"
#include "loop/loop.h"

/* ---- addresses -----------------------------------------------------------------------------------------------------
 * tcp://HOST[:502]#UNIT   rtu:///dev/ttyS1?baud=19200&parity=even&stop=1#UNIT   rtu+tcp://HOST:PORT#UNIT */

enum bus_kind {
	BUS_TCP,            /* Modbus TCP */
	BUS_RTU,            /* a serial line of this machine */
	BUS_RTU_TCP,        /* a serial line behind a gateway that passes its frames on raw */
};

struct bus_address {
	enum bus_kind kind;
	char host[64];      /* not RTU: an IPv4 or IPv6 literal (here without its brackets) or a name */
	uint16_t port;      /* not RTU */
	char path[64];      /* RTU: the line */
	uint32_t baud;      /* RTU: 1200 2400 4800 9600 19200 38400 57600 115200, default 19200 */
	char parity;        /* RTU: 'N' 'E' 'O', default 'E' (MSL 2.5.1) */
	uint8_t stop;       /* RTU: 1 or 2; default 1, with parity N 2 */
	uint8_t unit;       /* TCP: 0…247, 255; else 1…247 */
	bool has_unit;
};
#define BUS_ADDRESS_LEN 160

/* ERR_INPUT, quoting the text. Also takes "rtu:/dev/ttyS1". */
must_check int bus_address_parse(const char *text, struct bus_address *out, struct err *e);
/* The canonical form, always with port and unit (when it has one): "tcp://10.0.0.2:502#1". Returns to. */
char *bus_address_format(const struct bus_address *a, char to[BUS_ADDRESS_LEN]);
/* Same host and port, or same line: one link serves both. */
bool bus_address_same_link(const struct bus_address *a, const struct bus_address *b);
/* That, and the same unit. */
bool bus_address_same_unit(const struct bus_address *a, const struct bus_address *b);

/* ---- PDUs -------------------------------------------------------------------------------------------------------- */

enum bus_function {
	BUS_READ_COILS = 1, BUS_READ_DISCRETE = 2, BUS_READ_HOLDING = 3, BUS_READ_INPUT = 4,
	BUS_WRITE_COIL = 5, BUS_WRITE_REGISTER = 6, BUS_WRITE_COILS = 15, BUS_WRITE_REGISTERS = 16,
	BUS_REPORT_ID = 17, BUS_DEVICE_ID = 0x2B,
};
enum { BUS_PDU_MAX = 253, BUS_READ_MAX = 125, BUS_WRITE_MAX = 123, BUS_BIT_MAX = 2000 }; /* MAP 4.1, 6.3, 6.12, 6.1 */

struct bus_request {
	uint8_t unit;
	uint8_t function;
	uint16_t address;            /* zero-based, as sent; BUS_DEVICE_ID: the first object */
	uint16_t count;              /* registers or bits; BUS_DEVICE_ID: ReadDevId code 1…4 */
	uint16_t values[BUS_WRITE_MAX]; /* writes: registers; coils as 0 or 1 */
};

enum bus_outcome {
	BUS_OK,
	BUS_EXCEPTION,    /* the device said no: reply.exception (MAP 7) */
	BUS_TIMEOUT,      /* nothing in time */
	BUS_GARBLED,      /* something that is not the answer: reply.why */
	BUS_CLOSED,       /* the peer closed or reset */
	BUS_UNREACHABLE,  /* no connection: refused, no route, no such line */
	BUS_LINE_NOISE,   /* RTU: bytes with a wrong CRC */
	BUS_CANCELLED,
};
const char *bus_outcome_name(enum bus_outcome o);      /* "timeout" */
const char *bus_exception_name(uint8_t exception);     /* "illegal data address" */

struct bus_reply {
	enum bus_outcome outcome;
	uint8_t exception;
	bool other_unit;             /* TCP: BUS_GARBLED because another unit answered */
	uint16_t count;              /* registers, bits or bytes that follow */
	union {
		uint16_t regs[BUS_READ_MAX];
		uint8_t bits[BUS_BIT_MAX];   /* 0 or 1 each */
		uint8_t bytes[BUS_PDU_MAX];  /* BUS_REPORT_ID, BUS_DEVICE_ID: the PDU after the function code */
	};
	int64_t sent_boot_us, received_boot_us; /* first byte out, last byte in */
	char why[100];               /* for people: "unit 5 answered instead of 1" */
};
/* Why it is none, for people: "exception 2: illegal data address", "timeout: no answer in 1000 ms". */
void bus_reply_words(const struct bus_reply *r, char *to, size_t n);

/* Encode the question; returns the PDU's length, or 0 when the request is not one (count 0, beyond the limits,
 * address + count > 65536). */
size_t bus_pdu_encode(const struct bus_request *q, uint8_t pdu[BUS_PDU_MAX]);
/* Judge the answer to q: fills r->outcome (BUS_OK, BUS_EXCEPTION or BUS_GARBLED) and what belongs to it. */
void bus_pdu_check(const struct bus_request *q, const uint8_t *pdu, size_t len, struct bus_reply *r);

/* The other side, for the simulator and tests: take a question apart (false: malformed, or more coils than values
 * holds; the unit is the caller's to set), build answers. values: registers, or 0/1 a bit; writes need none. 0: not
 * a reply (of BUS_REPORT_ID and BUS_DEVICE_ID the caller writes the bytes). */
must_check bool bus_pdu_parse_request(const uint8_t *pdu, size_t len, struct bus_request *q);
size_t bus_pdu_encode_reply(const struct bus_request *q, const uint16_t *values, uint8_t pdu[BUS_PDU_MAX]);
size_t bus_pdu_encode_exception(uint8_t function, uint8_t exception, uint8_t pdu[BUS_PDU_MAX]);

/* ---- frames ------------------------------------------------------------------------------------------------------ */

enum { BUS_ADU_MAX = 260, BUS_MBAP_LEN = 7 };
size_t bus_mbap_frame(uint16_t transaction, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t adu[BUS_ADU_MAX]);
size_t bus_rtu_frame(uint8_t unit, const uint8_t *pdu, size_t len, uint8_t adu[BUS_ADU_MAX]); /* with CRC */
uint16_t bus_crc(const uint8_t *data, size_t len);

/* ---- links ------------------------------------------------------------------------------------------------------- */

struct bus_link; /* one TCP connection or one serial line; one question in flight */

struct bus_options {
	int connect_ms;     /* TCP: 0 = 1000 */
	int answer_ms;      /* 0 = 1000 */
	int quiet_ms;       /* RTU: silence after opening and after a failed question, before the next; 0 = answer_ms */
	int pause_ms;       /* least time between an answer and the next question */
};

typedef void bus_reply_fn(void *arg, const struct bus_request *q, const struct bus_reply *r);

/* No traffic yet; o NULL: the defaults. TCP: the host must be numeric (ERR_INPUT), no name is looked up here. RTU
 * takes a flock on the line (ERR_AGAIN naming the holder when another has it); a line that is not there yet is
 * BUS_UNREACHABLE until it comes. Caller frees. */
must_check int bus_link_new(struct loop *l, const struct bus_address *a, const struct bus_options *o,
			    struct bus_link **out, struct err *e);
void bus_link_free(struct bus_link *k); /* closes; a pending question is forgotten without a call */
/* Ask; connects first when needed. The answer, whatever it is, comes as exactly one call of fn from the loop, never
 * from within this call; fn may ask the next question or free k. -1: busy (ERR_AGAIN) or not a request (ERR_BUG).
 * answer_ms 0: the link's. RTU: when the late answer to an earlier question could pass for this one's, a read of
 * another length goes first (suspects.c). */
must_check int bus_link_ask(struct bus_link *k, const struct bus_request *q, int answer_ms, bus_reply_fn *fn, void *arg,
			    struct err *e);
/* Likewise, but only over the connection that was the connection-th (bus_counters.connects), 0: over any. When it is
 * gone by the time the question would leave, nothing is sent and the outcome is BUS_CANCELLED: who is met behind a
 * new one need not be the same. */
must_check int bus_link_ask_on(struct bus_link *k, uint64_t connection, const struct bus_request *q, int answer_ms,
			       bus_reply_fn *fn, void *arg, struct err *e);
/* Somebody else asks on our serial line (or behind our gateway): what was heard that no question of ours explains. */
struct bus_second_master {
	bool seen;                 /* enough was heard to say so */
	uint64_t requests, answers; /* frames with a good checksum: questions that are not ours, answers to such */
	uint8_t unit, function;    /* of the last question, or else of the last answer */
};
/* "another master asks unit 3, function 3: 12 questions, 9 answers heard"; "" when none was seen. Returns to. */
char *bus_second_master_words(const struct bus_second_master *m, char to[96]);

struct bus_counters {
	uint64_t asked, answered, exceptions, timeouts /* silence */, garbled, closed, connects, bytes_out, bytes_in;
	uint64_t retries;          /* of asked: to a unit whose question before this one had no answer */
	/* RTU, on a line or behind a gateway */
	uint64_t crc_errors;       /* of garbled: bytes with a wrong checksum where an answer was due */
	uint64_t late_answers;     /* after their question was given up; no values */
	uint8_t late_unit;         /* whose the last of them was */
	uint64_t foreign_frames;   /* whole frames that answer nothing we asked */
	uint64_t noise_bytes;      /* came while nothing was due, and are no frame */
	struct bus_second_master second_master;
};
const struct bus_counters *bus_link_counters(const struct bus_link *k);

#endif
