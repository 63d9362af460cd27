/* Any bytes as an answer: garbled, an exception, or exactly the values asked for. The first six bytes are the question:
 * function, address, count and one value; the rest is the PDU that came. */
#include <string.h>

#include "bus/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void taken(const struct bus_request *q, const uint8_t *pdu, size_t len, const struct bus_reply *r)
{
	uint16_t values[BUS_BIT_MAX];
	uint8_t again[BUS_PDU_MAX];

	expect(pdu[0] == q->function && r->exception == 0 && r->why[0] == '\0');
	if (q->function == BUS_REPORT_ID || q->function == BUS_DEVICE_ID) {
		expect(r->count == len - 1 && memcmp(r->bytes, pdu + 1, len - 1) == 0);
		return;
	}
	expect(r->count == (q->function == 5 || q->function == 6 ? 1 : q->count));
	for (unsigned i = 0; i < r->count; i++)
		values[i] = q->function <= 2 ? r->bits[i] : q->function <= 4 ? r->regs[i] : 0;
	expect(bus_pdu_encode_reply(q, values, again) == len);
	if (q->function > 2) /* the last byte of bits has some that mean nothing */
		expect(memcmp(again, pdu, len) == 0);
}

static void frame(const uint8_t *adu, size_t len)
{
	int last = 0;

	for (size_t n = 0; n <= len; n++) {
		int want = frame_rtu_answer_len(adu, n);

		expect(want >= -1 && want != 1 && want != 2 && (last <= 0 || want == last)); /* once known, it stays */
		last = want;
	}
	(void)frame_rtu_crc_ok(adu, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bus_request q = {.unit = 1};
	uint8_t pdu[BUS_PDU_MAX];
	struct bus_reply r;

	frame(data, size);
	if (size < 7)
		return 0;
	q.function = data[0];
	q.address = (uint16_t)(data[1] << 8 | data[2]);
	q.count = (uint16_t)(data[3] << 8 | data[4]);
	q.values[0] = data[5];
	if (bus_pdu_encode(&q, pdu) == 0)
		return 0;
	bus_pdu_check(&q, data + 6, size - 6, &r);
	expect(r.outcome == BUS_OK || r.outcome == BUS_EXCEPTION || r.outcome == BUS_GARBLED);
	if (r.outcome == BUS_OK)
		taken(&q, data + 6, size - 6, &r);
	else
		expect(r.count == 0 && r.why[0] && (r.exception != 0) == (r.outcome == BUS_EXCEPTION));
	return 0;
}
