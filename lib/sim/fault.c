/* The faults that a device can be given while it runs: how each bends what the device sees, or the frame that it
 * sends. */
#include <string.h>

#include "inside.h"

static const struct {
	const char *name, *words;
} faults[SIM_FAULT_COUNT] = {
	[SIM_FAULT_NONE] = { "none", "none" },
	[SIM_FAULT_STALE] = { "stale", "answers with the values of then" },
	[SIM_FAULT_FROZEN] = { "frozen", "the power alone stands still" },
	[SIM_FAULT_SIGN] = { "sign", "power has the wrong sign" },
	[SIM_FAULT_EXCEPTION] = { "exception", "answers exception 4, device failure" },
	[SIM_FAULT_BUSY] = { "busy", "answers exception 6, device busy" },
	[SIM_FAULT_GARBAGE] = { "garbage", "answers with bytes that are no frame" },
	[SIM_FAULT_WRONG_UNIT] = { "wrong-unit", "answers as another unit" },
	[SIM_FAULT_WRONG_TRANSACTION] = { "wrong-transaction", "answers the question before" },
	[SIM_FAULT_WRONG_LENGTH] = { "wrong-length", "answers with a byte count or length that is not so" },
	[SIM_FAULT_LOST] = { "lost", "is not there: no connection, no answer" },
	[SIM_FAULT_SILENT] = { "silent", "takes questions and never answers" },
	[SIM_FAULT_SLOW] = { "slow", "answers after 800 ms" },
	[SIM_FAULT_IMPOSSIBLE] = { "impossible", "shows values that cannot be" },
	[SIM_FAULT_DEAF] = { "deaf", "accepts writes and does nothing" },
};

const char *sim_fault_name(enum sim_fault f)
{
	return f >= 0 && f < SIM_FAULT_COUNT ? faults[f].name : "unknown";
}

const char *sim_fault_words(enum sim_fault f)
{
	return f >= 0 && f < SIM_FAULT_COUNT ? faults[f].words : "unknown";
}

bool sim_fault_parse(const char *name, enum sim_fault *out)
{
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		if (str_eq(name, faults[f].name)) {
			*out = (enum sim_fault)f;
			return true;
		}
	return false;
}

static void copy_power(struct view *to, const struct view *from, double factor)
{
	to->grid_w = from->grid_w * factor;
	for (int n = 0; n < 3; n++)
		to->grid_l_w[n] = from->grid_l_w[n] * factor;
	to->battery_w = from->battery_w * factor;
	to->pv_w = from->pv_w * factor;
	to->genset_w = from->genset_w * factor;
}

void fault_view(const struct face *f, struct view *v)
{
	switch (f->fault) {
	case SIM_FAULT_STALE:
		*v = f->held;
		break;
	case SIM_FAULT_FROZEN:
		copy_power(v, &f->held, 1);
		break;
	case SIM_FAULT_SIGN:
		copy_power(v, v, -1);
		break;
	case SIM_FAULT_IMPOSSIBLE:
		v->grid_w = v->battery_w = v->pv_w = v->genset_w = 2e9;
		for (int n = 0; n < 3; n++)
			v->grid_l_w[n] = 2e9 / 3;
		v->soc_percent = 400;
		break;
	default:
		break;
	}
}

int64_t fault_delay_us(const struct face *f)
{
	return f->fault == SIM_FAULT_SLOW ? 800 * US_PER_MS : 0;
}

static size_t garbage(struct face *f, uint8_t adu[BUS_ADU_MAX])
{
	size_t len = 20 + rng_next(&f->rng) % 40;

	for (size_t n = 0; n < len; n++)
		adu[n] = (uint8_t)(rng_next(&f->rng) >> 32 | 1); /* odd: never a protocol id of 0 */
	return len;
}

static size_t wrong_length_tcp(struct face *f, uint8_t *adu, size_t len)
{
	if (f->questions % 2 && len > BUS_MBAP_LEN + 2)
		adu[BUS_MBAP_LEN + 1] = (uint8_t)(adu[BUS_MBAP_LEN + 1] + 2); /* the byte count */
	else
		adu[5] = (uint8_t)(adu[5] + 6);                               /* the length of the frame */
	return len;
}

size_t fault_tcp(struct face *f, uint16_t transaction, uint8_t unit, const uint8_t *pdu, size_t len,
		 uint8_t adu[BUS_ADU_MAX])
{
	uint16_t before = f->last_transaction;

	f->last_transaction = transaction;
	switch (f->fault) {
	case SIM_FAULT_LOST: case SIM_FAULT_SILENT:
		return 0;
	case SIM_FAULT_GARBAGE:
		return garbage(f, adu);
	case SIM_FAULT_WRONG_UNIT:
		return bus_mbap_frame(transaction, (uint8_t)(unit + 1), pdu, len, adu);
	case SIM_FAULT_WRONG_TRANSACTION:
		return bus_mbap_frame(before != transaction ? before : (uint16_t)(transaction - 1), unit, pdu, len,
				      adu);
	case SIM_FAULT_WRONG_LENGTH:
		return wrong_length_tcp(f, adu, bus_mbap_frame(transaction, unit, pdu, len, adu));
	default:
		return bus_mbap_frame(transaction, unit, pdu, len, adu);
	}
}

static size_t wrong_length_rtu(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t *adu)
{
	uint8_t lie[BUS_PDU_MAX];

	if (f->questions % 2 == 0 || len < 2) /* cut: its end and its CRC never come */
		return bus_rtu_frame(unit, pdu, len, adu) - 3;
	memcpy(lie, pdu, len);
	lie[1] = (uint8_t)(lie[1] + 2);
	return bus_rtu_frame(unit, lie, len, adu);
}

size_t fault_rtu(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t adu[BUS_ADU_MAX])
{
	uint8_t before[BUS_PDU_MAX];
	size_t before_len = f->last_len;

	memcpy(before, f->last_pdu, before_len);
	memcpy(f->last_pdu, pdu, len);
	f->last_len = len;
	switch (f->fault) {
	case SIM_FAULT_LOST: case SIM_FAULT_SILENT:
		return 0;
	case SIM_FAULT_GARBAGE:
		return garbage(f, adu);
	case SIM_FAULT_WRONG_UNIT:
		return bus_rtu_frame((uint8_t)(unit + 1), pdu, len, adu);
	case SIM_FAULT_WRONG_TRANSACTION: /* a line has no numbers: this lie is well-formed */
		return before_len ? bus_rtu_frame(unit, before, before_len, adu) : 0;
	case SIM_FAULT_WRONG_LENGTH:
		return wrong_length_rtu(f, unit, pdu, len, adu);
	default:
		return bus_rtu_frame(unit, pdu, len, adu);
	}
}
