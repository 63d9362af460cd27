/* behaviour.h: the words of tests/fault/behaviours.tsv, made into bytes. */
#ifndef PSEC_TESTS_BEHAVIOUR_H
#define PSEC_TESTS_BEHAVIOUR_H

#include <ctype.h>
#include <stdlib.h>

#include "bus_ask.h"

#define BEHAVIOUR_FOREVER 0xFFFFFFFFu

struct bytes {
	size_t len;
	uint8_t data[4096];
};

static inline void bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (len > sizeof b->data - b->len)
		fail_msg("a behaviour says more than %zu bytes at once", sizeof b->data);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

/* What a server knows while it speaks. */
struct talk {
	struct bus_request q;
	bool rtu;
	uint16_t transaction, asked_transaction;
	uint8_t asked[BUS_ADU_MAX]; /* the question as it came */
	size_t asked_len;
	struct bytes previous;      /* the last honest answer */
};

/* What an honest device holds for q: registers, bits (a byte each), or the bytes behind the function code. */
static inline void behaviour_values(const struct bus_request *q, struct bytes *b)
{
	static const uint8_t all[] = {0x0E, 1, 1, 0, 0, 2, 0, 3, 'A', 'B', 'B', 1, 2, 'X', '1'};
	const uint8_t one[] = {0x0E, 4, 0x81, 0, 0, 1, (uint8_t)q->address, 2, 'X', '1'};

	b->len = 0;
	if (q->function == BUS_REPORT_ID)
		bytes_add(b, "\4\1\xFFhi", 5);
	else if (q->function == BUS_DEVICE_ID && q->count == 4)
		bytes_add(b, one, sizeof one);
	else if (q->function == BUS_DEVICE_ID)
		bytes_add(b, all, sizeof all);
	for (unsigned i = 0; i < q->count && q->function <= BUS_READ_INPUT; i++) {
		uint16_t v = value_at(q->address + i);

		if (q->function <= BUS_READ_DISCRETE)
			bytes_add(b, (const uint8_t[]){v & 1}, 1);
		else
			bytes_add(b, (const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
	}
}

static inline void behaviour_crc(struct bytes *b, size_t covered)
{
	uint16_t crc = bus_crc(b->data, covered);

	b->len = covered;
	bytes_add(b, (const uint8_t[]){(uint8_t)crc, (uint8_t)(crc >> 8)}, 2);
}

/* A PDU of any length, in a frame whose numbers are right. */
static inline void behaviour_frame(const struct talk *t, const struct bytes *pdu, struct bytes *b)
{
	size_t n = pdu->len + 1;
	const uint8_t head[] = {(uint8_t)(t->transaction >> 8), (uint8_t)t->transaction, 0, 0, (uint8_t)(n >> 8),
				(uint8_t)n, t->q.unit};

	b->len = 0;
	bytes_add(b, t->rtu ? head + 6 : head, t->rtu ? 1 : sizeof head);
	bytes_add(b, pdu->data, pdu->len);
	if (t->rtu)
		behaviour_crc(b, b->len);
}

static inline void behaviour_honest(const struct talk *t, struct bytes *b)
{
	struct bytes pdu = {0}, held;
	uint16_t values[BUS_BIT_MAX];

	behaviour_values(&t->q, &held);
	if (t->q.function == BUS_REPORT_ID || t->q.function == BUS_DEVICE_ID) {
		bytes_add(&pdu, &t->q.function, 1);
		bytes_add(&pdu, held.data, held.len);
	} else {
		for (unsigned i = 0; i < t->q.count; i++)
			values[i] = t->q.function > BUS_READ_INPUT ? t->q.values[i] :
				    t->q.function <= BUS_READ_DISCRETE ? value_at(t->q.address + i) & 1 :
				    value_at(t->q.address + i);
		pdu.len = bus_pdu_encode_reply(&t->q, values, pdu.data);
	}
	behaviour_frame(t, &pdu, b);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* The next word of [*at, end). */
static inline bool behaviour_word(const char **at, const char *end, char *word, size_t size)
{
	const char *p = *at;
	size_t n = 0;

	while (p < end && *p == ' ')
		p++;
	while (p < end && *p != ' ' && n + 1 < size)
		word[n++] = *p++;
	word[n] = '\0';
	*at = p;
	return n > 0;
}

/* Pairs of hex digits, each perhaps with *N for N of it, V for the honest values: up to another character. */
static inline bool behaviour_hex(const char **at, const struct talk *t, struct bytes *b)
{
	b->len = 0;
	while (isxdigit((unsigned char)(*at)[0]) || **at == 'V') {
		char pair[3] = {(*at)[0], (*at)[1]};
		uint8_t byte = (uint8_t)strtoul(pair, NULL, 16);
		struct bytes held;
		long n = 1;

		if (**at == 'V') {
			behaviour_values(&t->q, &held);
			bytes_add(b, held.data, held.len);
			++*at;
			continue;
		}
		if (!isxdigit((unsigned char)pair[1]))
			return false;
		*at += 2;
		if (**at == '*' && isdigit((unsigned char)(*at)[1]))
			n = strtol(*at + 1, (char **)at, 10);
		while (n-- > 0)
			bytes_add(b, &byte, 1);
	}
	return true;
}

/* 'text', with _ for a space and \r \n. */
static inline bool behaviour_text(const char **at, struct bytes *b)
{
	b->len = 0;
	for (++*at; **at && **at != '\''; ++*at) {
		char c = **at == '_' ? ' ' : **at;

		if (c == '\\')
			c = *++*at == 'r' ? '\r' : '\n';
		bytes_add(b, &c, 1);
	}
	return *(*at)++ == '\'';
}

static inline bool behaviour_body(const char **at, const struct talk *t, struct bytes *b)
{
	struct bytes pdu;

	if (**at == '\'')
		return behaviour_text(at, b);
	if (strncmp(*at, "ok", 2) == 0) {
		*at += 2;
		behaviour_honest(t, b);
	} else if (strncmp(*at, "prev", 4) == 0) {
		*at += 4;
		*b = t->previous;
	} else if (strncmp(*at, "ask", 3) == 0) {
		*at += 3;
		b->len = 0;
		bytes_add(b, t->asked, t->asked_len);
	} else if (**at == '[') {
		++*at;
		if (!behaviour_hex(at, t, &pdu) || *(*at)++ != ']')
			return false;
		behaviour_frame(t, &pdu, b);
	} else {
		return behaviour_hex(at, t, b);
	}
	return true;
}

static inline bool behaviour_slice(const char **at, struct bytes *b)
{
	size_t from = strtoul(*at + 1, (char **)at, 10), to = b->len;

	if (*(*at)++ != '-')
		return false;
	if (isdigit((unsigned char)**at))
		to = strtoul(*at, (char **)at, 10);
	if (from > to || to > b->len)
		return false;
	memmove(b->data, b->data + from, to - from);
	b->len = to - from;
	return true;
}

static inline bool behaviour_patch(const char **at, struct bytes *b)
{
	char how = **at;
	size_t i = strtoul(*at + 1, (char **)at, 10);
	uint8_t byte;

	if (*(*at)++ != '=' || i >= b->len)
		return false;
	byte = (uint8_t)strtoul(*at, (char **)at, 16);
	b->data[i] = how == '/' ? byte : b->data[i] ^ byte;
	return true;
}

/* The bytes of a word; *repeats: 1 or BEHAVIOUR_FOREVER; *pace_ms: between bytes, 0: none. */
static inline bool behaviour_bytes(const char *word, const struct talk *t, struct bytes *b, unsigned *repeats,
				   unsigned *pace_ms)
{
	bool good = behaviour_body(&word, t, b);

	*repeats = 1;
	*pace_ms = 0;
	while (good && *word)
		switch (*word) {
		case '/': case '^':
			good = behaviour_patch(&word, b);
			break;
		case ':':
			good = behaviour_slice(&word, b);
			break;
		case '!':
			word++;
			behaviour_crc(b, b->len - 2);
			break;
		case '%':
			*pace_ms = (unsigned)strtoul(word + 1, (char **)&word, 10);
			break;
		case '+':
			word++;
			*repeats = BEHAVIOUR_FOREVER;
			break;
		default:
			good = false;
		}
	return good;
}

#endif
