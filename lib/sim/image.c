/* The registers of a device: blocks, what a question may ask of them, values in the forms that devices use. */
#include <math.h>
#include <string.h>

#include "inside.h"

void image_begin(struct image *i, const struct image_kind *kind, uint64_t seed, const struct view *v)
{
	struct rng r;

	memset(i, 0, sizeof *i);
	i->kind = kind;
	/* The host place keeps the serial numbers of one site apart. */
	rng_seed(&r, seed * 64 + kind->host);
	snprintf(i->serial, sizeof i->serial, "PS%08u", (unsigned)(rng_next(&r) % 100000000));
	kind->begin(i, v);
	kind->refresh(i, v);
}

uint16_t *image_add_block(struct image *i, uint8_t function, uint16_t start, uint16_t count)
{
	struct image_block *b = &i->blocks[i->block_count];
	uint16_t at = i->block_count ? (uint16_t)(b[-1].at + b[-1].count) : 0;

	if (i->block_count == COUNT_OF(i->blocks) || at + count > (int)COUNT_OF(i->regs))
		abort(); /* a device too large for its image: found by the first test that starts it */
	*b = (struct image_block){ function, start, count, at };
	i->block_count++;
	return i->regs + at;
}

uint16_t *image_at(struct image *i, uint8_t function, uint16_t address, uint16_t count)
{
	for (size_t n = 0; n < i->block_count; n++) {
		const struct image_block *b = &i->blocks[n];

		if (b->function == function && address >= b->start && address + count <= b->start + b->count)
			return i->regs + b->at + (address - b->start);
	}
	return NULL;
}

static bool allowed(const struct image_writable *w, uint16_t raw)
{
	int32_t value = w->is_signed ? (int16_t)raw : raw;

	if (w->only[0] || w->only[1] || w->only[2])
		return raw == w->only[0] || raw == w->only[1] || raw == w->only[2];
	return value >= w->min && value <= w->max;
}

static uint8_t judge_write(const struct image_kind *k, uint16_t address, uint16_t raw)
{
	for (size_t n = 0; n < k->writable_count; n++)
		if (k->writable[n].address == address)
			return allowed(&k->writable[n], raw) ? 0 : MODBUS_ILLEGAL_VALUE;
	return MODBUS_ILLEGAL_ADDRESS;
}

bool image_knows_function(const struct image *i, uint8_t function)
{
	switch (function) {
	case BUS_WRITE_REGISTER: case BUS_WRITE_REGISTERS:
		return i->kind->writable_count > 0;
	case BUS_REPORT_ID:
		return i->kind->report;
	case BUS_DEVICE_ID:
		return i->kind->identity[0];
	}
	for (size_t n = 0; n < i->block_count; n++)
		if (i->blocks[n].function == function)
			return true;
	return false;
}

/* MAP 6.21: read code 1 is the stream of basic objects, 4 one object; beyond these three this device has none. */
enum { READ_BASIC = 1, READ_ONE = 4, BASIC_OBJECTS = 3 };

static uint8_t judge_identify(const struct image_kind *k, const struct bus_request *q)
{
	if (q->function == BUS_REPORT_ID || q->count < READ_ONE)
		return 0;
	return q->count > READ_ONE ? MODBUS_ILLEGAL_VALUE :
	       q->address < BASIC_OBJECTS && k->identity[q->address] ? 0 : MODBUS_ILLEGAL_ADDRESS;
}

static size_t report_id(const struct image_kind *k, uint8_t *answer)
{
	size_t len = strlen(k->report);

	answer[0] = BUS_REPORT_ID;
	answer[1] = (uint8_t)(len + 2);
	answer[2] = k->unit;
	answer[3] = 0xFF; /* it runs */
	memcpy(answer + 4, k->report, len);
	return len + 4;
}

size_t image_identify(const struct image *i, const struct bus_request *q, uint8_t answer[BUS_PDU_MAX])
{
	enum { MEI = 0x0E, BASIC_AND_ONE = 0x81 };
	const struct image_kind *k = i->kind;
	size_t at = 7;

	if (q->function == BUS_REPORT_ID)
		return report_id(k, answer);
	memcpy(answer, (uint8_t[]){ BUS_DEVICE_ID, MEI, (uint8_t)q->count, BASIC_AND_ONE, 0, 0, 0 }, at);
	/* A first object that is not there means from the beginning. */
	for (size_t n = q->address < BASIC_OBJECTS ? q->address : 0; n < BASIC_OBJECTS; n++) {
		size_t len = strlen(k->identity[n]);

		answer[6]++;
		answer[at++] = (uint8_t)n;
		answer[at++] = (uint8_t)len;
		memcpy(answer + at, k->identity[n], len);
		at += len;
		if (q->count == READ_ONE)
			break;
	}
	return at;
}

uint8_t image_judge(struct image *i, const struct bus_request *q)
{
	bool write = q->function == BUS_WRITE_REGISTER || q->function == BUS_WRITE_REGISTERS;
	uint16_t count = q->function == BUS_WRITE_REGISTER ? 1 : q->count;

	if (q->function == BUS_REPORT_ID || q->function == BUS_DEVICE_ID)
		return judge_identify(i->kind, q);
	if (write) {
		for (uint16_t n = 0; n < count; n++) {
			uint8_t no = judge_write(i->kind, (uint16_t)(q->address + n), q->values[n]);

			if (no)
				return no;
		}
		return 0;
	}
	if (q->count > i->kind->read_max)
		return MODBUS_ILLEGAL_VALUE;
	return image_at(i, q->function, q->address, q->count) ? 0 : MODBUS_ILLEGAL_ADDRESS;
}

void image_store(struct image *i, const struct bus_request *q)
{
	uint16_t count = q->function == BUS_WRITE_REGISTER ? 1 : q->count;
	uint16_t *to = image_at(i, BUS_READ_HOLDING, q->address, count);

	if (to)
		memcpy(to, q->values, count * sizeof *to);
}

/* ---- values ---- */

uint16_t image_u16(double v)
{
	return (uint16_t)lround(clamp_real(v, 0, 0xFFFE));
}

uint16_t image_s16(double v)
{
	return (uint16_t)(int16_t)lround(clamp_real(v, -0x7FFF, 0x7FFF));
}

uint16_t image_u16_sf(double v, int sf)
{
	return image_u16(v / pow(10, sf));
}

uint16_t image_s16_sf(double v, int sf)
{
	return image_s16(v / pow(10, sf));
}

int image_fit_sf(double v, int least)
{
	int sf = least;

	while (sf < 10 && fabs(v) / pow(10, sf) > 32000)
		sf++;
	return sf;
}

static void put32(uint16_t *to, uint32_t v)
{
	to[0] = (uint16_t)(v >> 16);
	to[1] = (uint16_t)v;
}

static void put32_low(uint16_t *to, uint32_t v)
{
	to[0] = (uint16_t)v;
	to[1] = (uint16_t)(v >> 16);
}

static uint32_t u32(double v)
{
	return (uint32_t)llround(clamp_real(v, 0, 0xFFFFFFFEu));
}

static uint32_t s32(double v)
{
	return (uint32_t)(int32_t)llround(clamp_real(v, -0x7FFFFFFF, 0x7FFFFFFF));
}

void image_u32(uint16_t *to, double v) { put32(to, u32(v)); }
void image_s32(uint16_t *to, double v) { put32(to, s32(v)); }
void image_u32_low(uint16_t *to, double v) { put32_low(to, u32(v)); }
void image_s32_low(uint16_t *to, double v) { put32_low(to, s32(v)); }

void image_acc32(uint16_t *to, double v)
{
	put32(to, (uint32_t)(uint64_t)fmax(v, 0));
}

void image_f32(uint16_t *to, double v)
{
	float f = (float)v;
	uint32_t raw;

	memcpy(&raw, &f, sizeof raw);
	put32(to, raw);
}

void image_text(uint16_t *to, size_t count, const char *text)
{
	size_t len = strlen(text);

	for (size_t n = 0; n < count; n++) {
		unsigned char a = 2 * n < len ? (unsigned char)text[2 * n] : 0;
		unsigned char b = 2 * n + 1 < len ? (unsigned char)text[2 * n + 1] : 0;

		to[n] = (uint16_t)(a << 8 | b);
	}
}
