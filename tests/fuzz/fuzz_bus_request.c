/* Any bytes as a question, and as an address: what is taken reads the same again, and its answer is taken by the
 * judge. */
#include <string.h>

#include "bus/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void question(const uint8_t *data, size_t size)
{
	uint8_t pdu[BUS_PDU_MAX], adu[BUS_ADU_MAX];
	uint16_t values[BUS_BIT_MAX] = {1, 0, 0xFFFF};
	struct bus_request q, again;
	struct bus_reply r;
	size_t len;

	if (!bus_pdu_parse_request(data, size, &q))
		return;
	expect(bus_pdu_encode(&q, pdu) == size);
	expect(bus_pdu_parse_request(pdu, size, &again) && memcmp(&q, &again, sizeof q) == 0);
	len = bus_pdu_encode_reply(&q, values, pdu);
	expect(len > 0 || q.function == BUS_REPORT_ID || q.function == BUS_DEVICE_ID);
	if (len == 0)
		return;
	bus_pdu_check(&q, pdu, len, &r);
	expect(r.outcome == BUS_OK && r.count == q.count);
	expect(bus_mbap_frame(1, 1, pdu, len, adu) == len + BUS_MBAP_LEN);
	expect(bus_rtu_frame(1, pdu, len, adu) == len + 3 && bus_crc(adu, len + 3) == 0);
}

static void address(const uint8_t *data, size_t size)
{
	char text[300], shown[BUS_ADDRESS_LEN];
	struct bus_address a, again;
	struct err e = {0};

	if (size >= sizeof text)
		size = sizeof text - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	if (bus_address_parse(text, &a, &e) < 0) {
		expect(e.kind == ERR_INPUT && e.text[0]);
		return;
	}
	bus_address_format(&a, shown);
	expect(bus_address_parse(shown, &again, &e) == 0 && memcmp(&a, &again, sizeof a) == 0);
	expect(bus_address_same_link(&a, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	question(data, size);
	address(data, size);
	return 0;
}
