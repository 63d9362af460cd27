/* Who a device says it is: in SunSpec model 1, by function 43, or in registers that its profile names. */
#include <math.h>

#include "device/parts.h"

void device_sunspec_identity(const uint16_t *regs, size_t count, struct device_identity *out)
{
	/* Model 1: Mn 0+16, Md 16+16, Opt 32+8, Vr 40+8, SN 48+16 */
	*out = (struct device_identity){ 0 };
	if (count < 64)
		return;
	raw_text(regs, 16, out->make, sizeof out->make);
	raw_text(regs + 16, 16, out->model, sizeof out->model);
	raw_text(regs + 40, 8, out->version, sizeof out->version);
	raw_text(regs + 48, 16, out->serial, sizeof out->serial);
}

bool device_fc43_identity(const uint8_t *bytes, size_t count, struct device_identity *out)
{
	/* MAP 6.21: MEI type, code, conformity, more follows, next object, number of objects, then id, length, text
	 * each */
	size_t at = 6;

	*out = (struct device_identity){ 0 };
	if (count < 6 || bytes[0] != 0x0E)
		return false;
	for (unsigned n = bytes[5]; n > 0; n--) {
		char *to = NULL;
		size_t size = sizeof out->make, len;

		if (at + 2 > count || at + 2 + bytes[at + 1] > count)
			return false;
		len = bytes[at + 1];
		if (bytes[at] == 0x00) {
			to = out->make;
		} else if (bytes[at] == 0x01) {
			to = out->model;
		} else if (bytes[at] == 0x02) {
			to = out->version;
			size = sizeof out->version;
		} else if (bytes[at] == 0x05) { /* ModelName is for people, ProductCode for the shop */
			to = out->model;
		}
		if (to != NULL && len > 0)
			str_printable(to, size, (const char *)bytes + at + 2, len);
		at += 2 + len;
	}
	return out->make[0] != '\0' || out->model[0] != '\0';
}

char *identity_part(struct device_identity *i, enum identity_part part, size_t *n)
{
	char *const at[IDENTITY_PARTS] = { i->make, i->model, i->serial, i->version };
	const size_t size[IDENTITY_PARTS] = { sizeof i->make, sizeof i->model, sizeof i->serial, sizeof i->version };

	*n = size[part];
	return at[part];
}

void identity_text(const struct identity_form *f, const uint64_t *absent, size_t absent_count, const uint16_t *regs,
		   char *to, size_t n)
{
	double number;

	to[0] = '\0';
	if (f->type == DEVICE_TEXT) {
		raw_text(regs, f->count, to, n);
		return;
	}
	for (size_t i = 0; i < absent_count; i++)
		if (raw_bits(regs, f->count, f->order) == (absent[i] & raw_all(f->count)))
			return;
	number = raw_decode(regs, f->type, f->order).number * f->scale;
	if (isfinite(number)) /* a serial number keeps its digits, a version its point: 2.14 */
		snprintf(to, n, number == nearbyint(number) ? "%.0f" : "%.9g", number);
}

bool device_profile_identity(const struct device_profile *p, size_t *part, struct device_probe *out)
{
	for (; *part < IDENTITY_PARTS; ++*part) {
		const struct expr *x = p->identity[*part];

		if (x == NULL || x->source.sunspec)
			continue;
		*out = (struct device_probe){ x->source.function, x->source.address, x->source.count };
		return true;
	}
	return false;
}

void device_profile_identity_take(const struct device_profile *p, size_t part, const uint16_t *regs,
				  struct device_identity *out)
{
	const struct source *s = &p->identity[part]->source;
	const struct identity_form form = { s->type, s->order, s->count, s->scale };
	char text[sizeof out->serial], *to;
	size_t n;

	identity_text(&form, s->absent, s->absent_count, regs, text, sizeof text);
	to = identity_part(out, (enum identity_part)part, &n);
	if (text[0] != '\0')
		str_copy(to, n, text);
}
