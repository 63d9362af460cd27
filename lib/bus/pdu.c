/* pdu: questions into bytes, and the one judge of every answer. */
#include <inttypes.h>
#include <string.h>

#include "link.h"

static void put16(uint8_t *to, unsigned v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static bool is_bits(uint8_t function)
{
	return function == BUS_READ_COILS || function == BUS_READ_DISCRETE || function == BUS_WRITE_COILS;
}

/* The most values one question of this function may carry, MAP 6.1…6.12; 0 for those that count otherwise. */
static unsigned most(uint8_t function)
{
	switch (function) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE:
		return BUS_BIT_MAX;
	case BUS_READ_HOLDING: case BUS_READ_INPUT:
		return BUS_READ_MAX;
	case BUS_WRITE_COILS: case BUS_WRITE_REGISTERS: /* coils: as many as struct bus_request holds */
		return BUS_WRITE_MAX;
	default:
		return 0;
	}
}

static unsigned byte_count(uint8_t function, unsigned count)
{
	return is_bits(function) ? (count + 7) / 8 : 2 * count;
}

static void pack_bits(uint8_t *to, const uint16_t *values, unsigned count)
{
	memset(to, 0, (count + 7) / 8);
	for (unsigned i = 0; i < count; i++)
		if (values[i])
			to[i / 8] |= (uint8_t)(1u << i % 8);
}

static void put_values(uint8_t *to, uint8_t function, const uint16_t *values, unsigned count)
{
	if (is_bits(function)) {
		pack_bits(to, values, count);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		put16(to + 2 * i, values[i]);
}

size_t bus_pdu_encode(const struct bus_request *q, uint8_t pdu[BUS_PDU_MAX])
{
	unsigned n;

	pdu[0] = q->function;
	put16(pdu + 1, q->address);
	switch (q->function) {
	case BUS_WRITE_COIL:
		put16(pdu + 3, q->values[0] ? 0xFF00 : 0);
		return 5;
	case BUS_WRITE_REGISTER:
		put16(pdu + 3, q->values[0]);
		return 5;
	case BUS_REPORT_ID:
		return 1;
	case BUS_DEVICE_ID:
		if (q->count < 1 || q->count > 4 || q->address > 0xFF)
			return 0;
		pdu[1] = 0x0E; /* the MEI type, MAP 6.21 */
		pdu[2] = (uint8_t)q->count;
		pdu[3] = (uint8_t)q->address;
		return 4;
	}
	if (q->count == 0 || q->count > most(q->function) || q->address + q->count > 0x10000)
		return 0;
	put16(pdu + 3, q->count);
	if (q->function != BUS_WRITE_COILS && q->function != BUS_WRITE_REGISTERS)
		return 5;
	n = byte_count(q->function, q->count);
	pdu[5] = (uint8_t)n;
	put_values(pdu + 6, q->function, q->values, q->count);
	return 6 + n;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

void reply_fail(struct bus_reply *r, enum bus_outcome outcome, const char *fmt, ...)
{
	va_list ap;

	r->outcome = outcome;
	r->exception = 0;
	r->count = 0;
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof r->why, fmt, ap);
	va_end(ap);
}

static void check_values(const struct bus_request *q, const uint8_t *pdu, size_t len, struct bus_reply *r)
{
	unsigned want = byte_count(q->function, q->count);

	if (len < 2) {
		reply_fail(r, BUS_GARBLED, "the answer ends before its byte count");
	} else if (pdu[1] != want) {
		reply_fail(r, BUS_GARBLED, "the byte count is %u instead of %u", pdu[1], want);
	} else if (len - 2 != want) {
		reply_fail(r, BUS_GARBLED, "%zu bytes of values came, the byte count says %u", len - 2, want);
	} else {
		r->count = q->count;
		for (unsigned i = 0; i < q->count; i++)
			if (is_bits(q->function))
				r->bits[i] = pdu[2 + i / 8] >> i % 8 & 1;
			else
				r->regs[i] = get16(pdu + 2 + 2 * i);
	}
}

/* A write is answered by its own first five bytes. */
static void check_echo(const struct bus_request *q, const uint8_t *pdu, size_t len, struct bus_reply *r)
{
	uint8_t asked[BUS_PDU_MAX];

	bus_pdu_encode(q, asked);
	if (len != 5)
		reply_fail(r, BUS_GARBLED, "the answer to a write has %zu bytes instead of 5", len);
	else if (get16(pdu + 1) != q->address)
		reply_fail(r, BUS_GARBLED, "address %u was acknowledged instead of %u", get16(pdu + 1), q->address);
	else if (memcmp(pdu, asked, 5) != 0)
		reply_fail(r, BUS_GARBLED, "%s %u was acknowledged instead of %u",
			   most(q->function) ? "count" : "value", get16(pdu + 3), get16(asked + 3));
	else
		r->count = most(q->function) ? q->count : 1;
}

/* 0E code conformity more next count, then count times id, length, bytes: to the very end. */
static const char *device_id_fault(const struct bus_request *q, const uint8_t *body, size_t len)
{
	size_t at = 6;

	if (len < at)
		return "the device identification ends in its head";
	if (body[0] != 0x0E || body[1] != q->count)
		return "the device identification answers another read code";
	if (body[3] != 0 && body[3] != 0xFF)
		return "the device identification's 'more follows' is neither 00 nor FF";
	if (q->count == 4 && (body[5] != 1 || len < at + 2 || body[at] != q->address))
		return "the device identification has another object than the one asked for";
	for (unsigned objects = body[5]; objects > 0; objects--) {
		if (len < at + 2 || len - at - 2 < body[at + 1])
			return "an object of the device identification ends early";
		at += 2u + body[at + 1];
	}
	return at == len ? NULL : "bytes follow the last object of the device identification";
}

static void check_bytes(const struct bus_request *q, const uint8_t *pdu, size_t len, struct bus_reply *r)
{
	if (q->function == BUS_REPORT_ID && (len < 2 || pdu[1] != len - 2)) {
		reply_fail(r, BUS_GARBLED, "the byte count of the report does not fit its length");
		return;
	}
	if (q->function == BUS_DEVICE_ID) {
		const char *fault = device_id_fault(q, pdu + 1, len - 1);

		if (fault) {
			reply_fail(r, BUS_GARBLED, "%s", fault);
			return;
		}
	}
	r->count = (uint16_t)(len - 1);
	memcpy(r->bytes, pdu + 1, len - 1);
}

static bool exception_exists(uint8_t code)
{
	return (code >= 1 && code <= 8) || code == 10 || code == 11; /* MAP 7 */
}

static void check_exception(const uint8_t *pdu, size_t len, struct bus_reply *r)
{
	if (len != 2) {
		reply_fail(r, BUS_GARBLED, "an exception has %zu bytes instead of 2", len);
	} else if (!exception_exists(pdu[1])) {
		reply_fail(r, BUS_GARBLED, "exception code %u does not exist", pdu[1]);
	} else {
		reply_fail(r, BUS_EXCEPTION, "exception %u: %s", pdu[1], bus_exception_name(pdu[1]));
		r->exception = pdu[1];
	}
}

void bus_pdu_check(const struct bus_request *q, const uint8_t *pdu, size_t len, struct bus_reply *r)
{
	r->outcome = BUS_OK;
	r->exception = 0;
	r->count = 0;
	r->why[0] = '\0';
	if (len == 0 || len > BUS_PDU_MAX)
		reply_fail(r, BUS_GARBLED, "the answer has %zu bytes, 1…%d are possible", len, BUS_PDU_MAX);
	else if (pdu[0] == (q->function | 0x80))
		check_exception(pdu, len, r);
	else if (pdu[0] != q->function)
		reply_fail(r, BUS_GARBLED, "function %u answered instead of %u", pdu[0], q->function);
	else if (q->function == BUS_REPORT_ID || q->function == BUS_DEVICE_ID)
		check_bytes(q, pdu, len, r);
	else if (q->function <= BUS_READ_INPUT)
		check_values(q, pdu, len, r);
	else
		check_echo(q, pdu, len, r);
}

/* ---- the other side ---------------------------------------------------------------------------------------------- */

static bool parse_write_many(const uint8_t *pdu, size_t len, struct bus_request *q)
{
	unsigned n = byte_count(q->function, q->count);

	if (len < 6 || pdu[5] != n || len != 6 + n)
		return false;
	for (unsigned i = 0; i < q->count; i++)
		q->values[i] = is_bits(q->function) ? pdu[6 + i / 8] >> i % 8 & 1 : get16(pdu + 6 + 2 * i);
	return true;
}

bool bus_pdu_parse_request(const uint8_t *pdu, size_t len, struct bus_request *q)
{
	*q = (struct bus_request){0};
	if (len == 0 || len > BUS_PDU_MAX)
		return false;
	q->function = pdu[0];
	if (q->function == BUS_REPORT_ID)
		return len == 1;
	if (q->function == BUS_DEVICE_ID) {
		if (len != 4 || pdu[1] != 0x0E || pdu[2] < 1 || pdu[2] > 4)
			return false;
		q->count = pdu[2];
		q->address = pdu[3];
		return true;
	}
	if (len < 5)
		return false;
	q->address = get16(pdu + 1);
	q->count = get16(pdu + 3);
	if (q->function == BUS_WRITE_COIL || q->function == BUS_WRITE_REGISTER) {
		if (len != 5 || (q->function == BUS_WRITE_COIL && q->count != 0 && q->count != 0xFF00))
			return false;
		q->values[0] = q->function == BUS_WRITE_REGISTER ? q->count : q->count != 0;
		q->count = 1;
		return true;
	}
	if (q->count == 0 || q->count > most(q->function) || q->address + q->count > 0x10000)
		return false;
	if (q->function == BUS_WRITE_COILS || q->function == BUS_WRITE_REGISTERS)
		return parse_write_many(pdu, len, q);
	return len == 5;
}

size_t bus_pdu_encode_reply(const struct bus_request *q, const uint16_t *values, uint8_t pdu[BUS_PDU_MAX])
{
	unsigned n;

	switch (q->function) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE: case BUS_READ_HOLDING: case BUS_READ_INPUT:
		if (q->count == 0 || q->count > most(q->function))
			return 0;
		n = byte_count(q->function, q->count);
		pdu[0] = q->function;
		pdu[1] = (uint8_t)n;
		put_values(pdu + 2, q->function, values, q->count);
		return 2 + n;
	case BUS_WRITE_COIL: case BUS_WRITE_REGISTER: case BUS_WRITE_COILS: case BUS_WRITE_REGISTERS:
		return bus_pdu_encode(q, pdu) ? 5 : 0;
	default:
		return 0;
	}
}

size_t bus_pdu_encode_exception(uint8_t function, uint8_t exception, uint8_t pdu[BUS_PDU_MAX])
{
	pdu[0] = function | 0x80;
	pdu[1] = exception;
	return 2;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *bus_outcome_name(enum bus_outcome o)
{
	static const char *const names[] = {
		[BUS_OK] = "ok", [BUS_EXCEPTION] = "exception", [BUS_TIMEOUT] = "timeout", [BUS_GARBLED] = "garbled",
		[BUS_CLOSED] = "closed", [BUS_UNREACHABLE] = "unreachable", [BUS_LINE_NOISE] = "line-noise",
		[BUS_CANCELLED] = "cancelled",
	};

	return (size_t)o < COUNT_OF(names) ? names[o] : "?";
}

void bus_reply_words(const struct bus_reply *r, char *to, size_t n)
{
	if (r->outcome == BUS_EXCEPTION)
		snprintf(to, n, "exception %u: %s", r->exception, bus_exception_name(r->exception));
	else if (r->why[0] != '\0')
		snprintf(to, n, "%s: %s", bus_outcome_name(r->outcome), r->why);
	else
		snprintf(to, n, "%s", bus_outcome_name(r->outcome));
}

char *bus_second_master_words(const struct bus_second_master *m, char to[96])
{
	to[0] = '\0';
	if (m->seen)
		snprintf(to, 96, "another master asks unit %u, function %u: %" PRIu64 " questions, %" PRIu64
			 " answers heard", m->unit, m->function, m->requests, m->answers);
	return to;
}

const char *bus_exception_name(uint8_t exception)
{
	static const char *const names[] = {
		[1] = "illegal function", [2] = "illegal data address", [3] = "illegal data value",
		[4] = "server device failure", [5] = "acknowledge", [6] = "server device busy",
		[7] = "negative acknowledge", [8] = "memory parity error", [10] = "gateway path unavailable",
		[11] = "gateway target device failed to respond",
	};

	return exception_exists(exception) ? names[exception] : "unknown exception";
}
