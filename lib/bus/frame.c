/* frame: what stands around a PDU: the MBAP header on TCP, unit and CRC on a serial line. */
#include <string.h>

#include "link.h"

size_t bus_mbap_frame(uint16_t transaction, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t adu[BUS_ADU_MAX])
{
	uint16_t rest = (uint16_t)(len + 1); /* unit and PDU, MTCP 3.1.3 */

	if (len == 0 || len > BUS_PDU_MAX)
		return 0;
	adu[0] = (uint8_t)(transaction >> 8);
	adu[1] = (uint8_t)transaction;
	adu[2] = adu[3] = 0;
	adu[4] = (uint8_t)(rest >> 8);
	adu[5] = (uint8_t)rest;
	adu[6] = unit;
	memcpy(adu + BUS_MBAP_LEN, pdu, len);
	return BUS_MBAP_LEN + len;
}

uint16_t bus_crc(const uint8_t *data, size_t len)
{
	uint16_t crc = 0xFFFF;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1);
	}
	return crc;
}

size_t bus_rtu_frame(uint8_t unit, const uint8_t *pdu, size_t len, uint8_t adu[BUS_ADU_MAX])
{
	uint16_t crc;

	if (len == 0 || len > BUS_PDU_MAX)
		return 0;
	adu[0] = unit;
	memcpy(adu + 1, pdu, len);
	crc = bus_crc(adu, len + 1);
	adu[len + 1] = (uint8_t)crc; /* low byte first, unlike all else */
	adu[len + 2] = (uint8_t)(crc >> 8);
	return len + 3;
}

bool frame_rtu_crc_ok(const uint8_t *adu, size_t len)
{
	return len >= 4 && bus_crc(adu, len - 2) == (adu[len - 2] | adu[len - 1] << 8);
}

/* unit 2B 0E code conformity more next count (id length bytes)…, MAP 6.21: no byte says the whole length. */
static int device_id_len(const uint8_t *adu, size_t len)
{
	size_t at = 8;

	if (len < at)
		return 0;
	for (int objects = adu[7]; objects > 0 && at <= BUS_RTU_MAX; objects--) {
		if (len < at + 2)
			return 0;
		at += 2u + adu[at + 1];
	}
	return (int)at + 2;
}

int frame_rtu_answer_len(const uint8_t *adu, size_t len)
{
	if (len < 2)
		return 0;
	if (adu[1] & 0x80)
		return 5;
	switch (adu[1]) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE: case BUS_READ_HOLDING: case BUS_READ_INPUT: case BUS_REPORT_ID:
		return len < 3 ? 0 : 5 + adu[2];
	case BUS_WRITE_COIL: case BUS_WRITE_REGISTER: case BUS_WRITE_COILS: case BUS_WRITE_REGISTERS:
		return 8;
	case BUS_DEVICE_ID:
		return device_id_len(adu, len);
	default:
		return -1;
	}
}

int frame_rtu_question_len(const uint8_t *adu, size_t len)
{
	if (len < 2)
		return 0;
	switch (adu[1]) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE: case BUS_READ_HOLDING: case BUS_READ_INPUT:
	case BUS_WRITE_COIL: case BUS_WRITE_REGISTER:
		return 8;
	case BUS_WRITE_COILS: case BUS_WRITE_REGISTERS:
		return len < 7 ? 0 : 9 + adu[6];
	case BUS_REPORT_ID:
		return 4;
	case BUS_DEVICE_ID:
		return 7;
	default:
		return -1;
	}
}

size_t frame_rtu_answer_room(const struct bus_request *q)
{
	switch (q->function) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE:
		return 5u + (q->count + 7u) / 8;
	case BUS_READ_HOLDING: case BUS_READ_INPUT:
		return 5u + 2u * q->count;
	case BUS_REPORT_ID: case BUS_DEVICE_ID:
		return BUS_RTU_MAX;
	default:
		return 8;
	}
}
