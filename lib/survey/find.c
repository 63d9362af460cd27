/* Where a value that a person sees lies: every type, word order and power of ten is tried at every register, in two
 * readings. */
#include <math.h>
#include <string.h>

#include "survey/inside.h"

enum { MOVES_PERCENT = 2, FEW_DIGITS = 10 };

/* ---- what was said ---- */

static bool take_unit(const char *text, double *factor, char unit[8])
{
	static const struct { char letter; double factor; } prefixes[] = { { 'k', 1e3 }, { 'M', 1e6 }, { 'm', 1e-3 } };
	static const char *const units[] = { "W", "V", "A", "Hz", "Wh", "%", "°C", "C" };

	while (*text == ' ')
		text++;
	*factor = 1;
	unit[0] = '\0';
	if (*text == '\0')
		return true;
	for (size_t p = 0; p <= COUNT_OF(prefixes); p++) {
		const char *rest = p == 0 ? text : text[0] == prefixes[p - 1].letter ? text + 1 : "";

		for (size_t i = 0; i < COUNT_OF(units); i++)
			if (str_eq(rest, units[i])) {
				*factor = p == 0 ? 1 : prefixes[p - 1].factor;
				str_copy(unit, 8, str_eq(units[i], "C") ? "°C" : units[i]);
				return true;
			}
	}
	return false;
}

int survey_sight_parse(const char *text, struct survey_sight *out, struct err *e)
{
	const char *is = strchr(text, '='), *number = is != NULL ? is + 1 : text;
	size_t len = strspn(number, "-0123456789.");
	const char *dot = memchr(number, '.', len);
	char name[48] = "", digits[24] = "", unit[8];
	double factor, value;

	*out = (struct survey_sight){ .point = -1 };
	if (is != NULL && (size_t)(is - text) < sizeof name)
		memcpy(name, text, (size_t)(is - text));
	if (is != NULL) {
		out->point = strchr(name, '.') != NULL ? device_point_find(SITE_GRID_METER, name) : -1;
		if (out->point < 0)
			return err_set(e, ERR_USAGE, 0,
				       "'%s' is no point; psec-profile(5) lists them, as grid-meter.power_w", text);
	}
	if (len < sizeof digits)
		memcpy(digits, number, len);
	if (!parse_real(digits, -1e12, 1e12, &value) || !take_unit(number + len, &factor, unit))
		return err_set(e, ERR_USAGE, 0, "'%s' is no value as 231.4V, 1234W or 56.7kWh", text);
	if (out->point >= 0 && unit[0] && !str_eq(unit, device_point((enum device_point)out->point)->unit))
		return err_set(e, ERR_USAGE, 0, "%s is in %s, not in %s", name,
			       device_point((enum device_point)out->point)->unit, unit);
	if (value == 0)
		return err_set(e, ERR_USAGE, 0,
			       "'%s': 0 stands in too many places; wait until the device shows something else", text);
	out->value = value * factor;
	out->resolution = 0.5 * factor * pow(10, dot != NULL ? -(double)(number + len - dot - 1) : 0);
	str_copy(out->text, sizeof out->text, number);
	return 0;
}

/* ---- where it stands ---- */

static bool shows(double value, const struct survey_sight *sight, bool *exactly)
{
	double off = fabs(value - sight->value);

	*exactly = off <= sight->resolution * 1.001;
	return off <= sight->resolution + fabs(sight->value) * MOVES_PERCENT / 100;
}

static bool is_there(const struct bank *b, uint32_t address, uint16_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (address + i > 65535 || !b->here[address + i])
			return false;
	return true;
}

/* A wide whole number whose upper half is only sign says no more than its lower half. */
static bool is_narrow(enum device_type t, double raw)
{
	if (t == DEVICE_INT32 || t == DEVICE_UINT32)
		return raw >= -32768 && raw <= 65535;
	return (t == DEVICE_INT64 || t == DEVICE_UINT64) && raw >= -2147483648.0 && raw <= 4294967295.0;
}

/* Of two types that read the same number here, the one that the point will need. */
static bool is_twin(enum device_type t, double raw, const struct survey_sight *sight)
{
	bool signed_one = t == DEVICE_INT16 || t == DEVICE_INT32 || t == DEVICE_INT64;
	double half = t == DEVICE_INT16 || t == DEVICE_UINT16 ? 32768 : t == DEVICE_INT32 ||
		t == DEVICE_UINT32 ? 2147483648.0 : 9.3e18;
	bool wants_sign = sight->point < 0 || device_point((enum device_point)sight->point)->min < 0;

	return t < DEVICE_FLOAT32 && raw >= 0 && raw < half && signed_one != wants_sign;
}

static int penalty_of(enum device_type t, double raw, double before, double scale, bool exactly)
{
	bool whole = t != DEVICE_FLOAT32 && t != DEVICE_FLOAT64;
	int power = (int)lround(fabs(log10(fabs(scale))));
	int penalty = exactly ? 0 : 10;

	penalty += whole ? 1 + (power > 2 ? 2 * power : 0) : power % 3 == 0 ? 0 : 20;
	penalty += scale < 0 ? 4 : 0;
	penalty += whole && fabs(raw) < FEW_DIGITS ? 6 : 0;
	/* An upper half of nothing but sign is no accident; one of zeros may be a register of its own. */
	penalty += !is_narrow(t, raw) ? 0 : raw < 0 ? -1 : 3;
	return penalty + (raw == before ? 1 : 0); /* what moves is alive */
}

static void keep(struct survey_place out[SURVEY_PLACES_MAX], size_t *n, const struct survey_place *p)
{
	size_t at = *n;

	while (at > 0 && out[at - 1].penalty > p->penalty)
		at--;
	if (at >= SURVEY_PLACES_MAX)
		return;
	if (*n < SURVEY_PLACES_MAX)
		(*n)++;
	memmove(&out[at + 1], &out[at], (*n - at - 1) * sizeof *out);
	out[at] = *p;
}

static void try_scales(const struct survey_sight *sight, struct survey_place *p, double raw, double before,
		       struct survey_place out[SURVEY_PLACES_MAX], size_t *n)
{
	for (int power = -4; power <= 6; power++)
		for (int sign = 1; sign >= -1; sign -= 2) {
			bool exactly, then;

			p->scale = sign * pow(10, power);
			p->now = raw * p->scale;
			p->before = before * p->scale;
			if (!shows(p->now, sight, &exactly) || !shows(p->before, sight, &then))
				continue;
			p->penalty = penalty_of(p->type, raw, before, p->scale, exactly || then);
			keep(out, n, p);
		}
}

static void try_type(const struct survey *s, const struct survey_sight *sight, struct survey_place *p,
		     struct survey_place out[SURVEY_PLACES_MAX], size_t *n)
{
	const struct bank *b = s->banks[p->function];
	double raw, before;

	if (!is_there(b, p->address, device_type_registers(p->type)))
		return;
	raw = device_number(&b->now[p->address], p->type, p->order);
	before = device_number(&b->before[p->address], p->type, p->order);
	if (isfinite(raw) && isfinite(before) && raw != 0 && !is_twin(p->type, raw, sight))
		try_scales(sight, p, raw, before, out, n);
}

size_t survey_find(const struct survey *s, const struct survey_sight *sight, struct survey_place out[SURVEY_PLACES_MAX])
{
	size_t n = 0;

	for (uint8_t f = BUS_READ_HOLDING; f <= BUS_READ_INPUT; f++)
		for (uint32_t a = 0; a < 65536; a++)
			for (int t = DEVICE_INT16; s->banks[f]->here[a] && t <= DEVICE_FLOAT64; t++)
				for (int o = DEVICE_HIGH_FIRST; o <= DEVICE_LOW_FIRST; o++) {
					struct survey_place p = { .function = f, .address = (uint16_t)a,
								  .type = (enum device_type)t,
								  .order = (enum device_order)o };

					if (o == DEVICE_HIGH_FIRST || device_type_registers(p.type) > 1)
						try_type(s, sight, &p, out, &n);
				}
	return n;
}

char *survey_place_words(const struct survey_place *p, char to[120])
{
	size_t len = (size_t)snprintf(to, 120, "{function: %u, address: %u, type: %s", p->function, p->address,
				      device_type_name(p->type));

	if (p->order == DEVICE_LOW_FIRST)
		len += (size_t)snprintf(to + len, 120 - len, ", order: low-first");
	if (p->scale != 1)
		len += (size_t)snprintf(to + len, 120 - len, ", scale: %.10g", p->scale);
	snprintf(to + len, 120 - len, "}");
	return to;
}
