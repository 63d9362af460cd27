/* Registers as numbers and back. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

static const struct { const char *name; uint16_t registers; } types[] = {
	[DEVICE_INT16] = { "int16", 1 }, [DEVICE_UINT16] = { "uint16", 1 }, [DEVICE_INT32] = { "int32", 2 },
	[DEVICE_UINT32] = { "uint32", 2 }, [DEVICE_INT64] = { "int64", 4 }, [DEVICE_UINT64] = { "uint64", 4 },
	[DEVICE_FLOAT32] = { "float32", 2 }, [DEVICE_FLOAT64] = { "float64", 4 }, [DEVICE_TEXT] = { "text", 0 },
};

uint16_t device_type_registers(enum device_type t)
{
	return types[t].registers;
}

const char *device_type_name(enum device_type t)
{
	return types[t].name;
}

uint64_t raw_bits(const uint16_t *regs, size_t count, enum device_order o)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < count; i++)
		bits = bits << 16 | regs[o == DEVICE_HIGH_FIRST ? i : count - 1 - i];
	return bits;
}

uint64_t raw_all(size_t count)
{
	return count >= 4 ? UINT64_MAX : (UINT64_C(1) << (16 * count)) - 1;
}

struct raw raw_decode(const uint16_t *regs, enum device_type t, enum device_order o)
{
	struct raw r = { raw_bits(regs, types[t].registers, o), NAN };
	float f32;
	uint32_t u32;

	switch (t) {
	case DEVICE_INT16:
		r.number = (int16_t)r.bits;
		break;
	case DEVICE_INT32:
		r.number = (int32_t)r.bits;
		break;
	case DEVICE_INT64:
		r.number = (double)(int64_t)r.bits;
		break;
	case DEVICE_UINT16: case DEVICE_UINT32: case DEVICE_UINT64:
		r.number = (double)r.bits;
		break;
	case DEVICE_FLOAT32:
		u32 = (uint32_t)r.bits;
		memcpy(&f32, &u32, sizeof f32);
		r.number = (double)f32;
		break;
	case DEVICE_FLOAT64:
		memcpy(&r.number, &r.bits, sizeof r.number);
		break;
	case DEVICE_TEXT:
		break;
	}
	return r;
}

double device_number(const uint16_t *regs, enum device_type t, enum device_order o)
{
	return raw_decode(regs, t, o).number;
}

bool raw_encode(double number, enum device_type t, enum device_order o, uint16_t regs[4], size_t *count)
{
	static const struct { double min, max; } range[] = {
		[DEVICE_INT16] = { INT16_MIN, INT16_MAX }, [DEVICE_UINT16] = { 0, UINT16_MAX },
		[DEVICE_INT32] = { INT32_MIN, INT32_MAX }, [DEVICE_UINT32] = { 0, UINT32_MAX },
		/* what a double holds exactly; nothing that is written needs more */
		[DEVICE_INT64] = { -9007199254740992.0, 9007199254740992.0 },
		[DEVICE_UINT64] = { 0, 9007199254740992.0 },
	};
	size_t n = types[t].registers;
	uint64_t bits = 0;

	if (n == 0 || !isfinite(number))
		return false;
	if (t == DEVICE_FLOAT32) {
		float f = (float)number;
		uint32_t u;

		memcpy(&u, &f, sizeof u);
		bits = u;
	} else if (t == DEVICE_FLOAT64) {
		memcpy(&bits, &number, sizeof bits);
	} else {
		number = nearbyint(number);
		if (number < range[t].min || number > range[t].max)
			return false;
		bits = number < 0 ? (uint64_t)(int64_t)number : (uint64_t)number;
	}
	for (size_t i = 0; i < n; i++)
		regs[o == DEVICE_HIGH_FIRST ? n - 1 - i : i] = (uint16_t)(bits >> (16 * i));
	*count = n;
	return true;
}

bool sf_power(const char *name, int sf, double *out, char why[80])
{
	if (sf == INT16_MIN) {
		snprintf(why, 80, "scale factor %.40s is not implemented", name);
		return false;
	}
	if (sf < -10 || sf > 10) { /* SunSpec allows no other */
		snprintf(why, 80, "scale factor %.40s is %d, can be -10…10", name, sf);
		return false;
	}
	*out = pow(10, sf);
	return true;
}

void raw_text(const uint16_t *regs, size_t count, char *to, size_t n)
{
	char bytes[2 * BUS_READ_MAX];
	size_t len = 0, first = 0;

	for (size_t i = 0; i < count && i < BUS_READ_MAX; i++) {
		bytes[len++] = (char)(regs[i] >> 8);
		bytes[len++] = (char)(regs[i] & 0xff);
	}
	len = strnlen(bytes, len); /* SunSpec pads with NUL, others with blanks or 0xFF */
	while (len > 0 && (bytes[len - 1] == ' ' || bytes[len - 1] == '\xff'))
		len--;
	while (first < len && bytes[first] == ' ')
		first++;
	str_printable(to, n, bytes + first, len - first);
}
