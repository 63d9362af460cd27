/* All that a SunSpec model says on one device, for people: its points and those of its groups, scaled. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

struct tell { const struct device_model *m; const uint16_t *regs; device_model_fn *fn; void *arg; };

static void judge_number(const struct tell *t, const struct place *p, struct device_model_point *out)
{
	struct raw r = raw_decode(t->regs + p->offset, p->point->type, DEVICE_HIGH_FIRST);
	int sf = p->sf_offset >= 0 ? (int16_t)t->regs[p->sf_offset] : p->point->sf_constant;
	double factor;

	out->raw = r.number;
	if (isnan(r.number) || (p->point->has_absent && r.bits == p->point->absent)) {
		out->quality = DEVICE_ABSENT;
		str_copy(out->why, sizeof out->why, "not available");
	} else if (p->point->sf[0] != '\0' && p->sf_offset < 0) {
		out->quality = DEVICE_UNKNOWN;
		str_copy(out->why, sizeof out->why, "its scale factor is not there");
	} else if (!sf_power(p->point->sf, sf, &factor, out->why)) {
		out->quality = DEVICE_UNKNOWN;
	} else if (!isfinite(r.number)) {
		out->quality = DEVICE_IMPOSSIBLE;
		str_copy(out->why, sizeof out->why, "infinite");
	} else {
		out->value = r.number * factor;
	}
}

static void tell_place(void *arg, const struct place *p)
{
	const struct tell *t = arg;
	struct device_model_point out = { .address = (uint16_t)(t->m->address + p->offset),
					  .writable = p->point->writable,
					  .is_text = p->point->type == DEVICE_TEXT, .value = NAN, .raw = NAN };

	if (p->point->is_sf || p->point->is_pad)
		return;
	str_copy(out.name, sizeof out.name, p->name);
	str_copy(out.unit, sizeof out.unit, p->point->units);
	if (out.is_text) {
		raw_text(t->regs + p->offset, p->point->size, out.text, sizeof out.text);
		out.quality = out.text[0] != '\0' ? DEVICE_GOOD : DEVICE_ABSENT;
		str_copy(out.why, sizeof out.why, out.text[0] != '\0' ? "" : "empty");
	} else {
		judge_number(t, p, &out);
	}
	t->fn(t->arg, &out);
}

int device_model_points(const struct device_model *m, const uint16_t *regs, device_model_fn *fn, void *arg,
			struct err *e)
{
	struct tell t = { m, regs, fn, arg };
	struct sunspec_model def;

	if (sunspec_model_load(m->id, &def, e) < 0)
		return -1;
	sunspec_places(&def, regs, m->length, tell_place, &t);
	sunspec_model_release(&def);
	return 0;
}
