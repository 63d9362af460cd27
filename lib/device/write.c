/* Write plans: the registers that set a point, checked before they leave. */
#include <math.h>
#include <string.h>

#include "device/live.h"

static const struct mapped_write *find_write(const struct device_map *m, enum device_point p)
{
	for (size_t i = 0; i < m->write_count; i++)
		if (m->writes[i].point == p)
			return &m->writes[i];
	return NULL;
}

static int refuse(struct err *e, enum device_point p, const char *why)
{
	return err_set(e, ERR_REFUSED, 0, "%s: %s", device_point(p)->name, why);
}

/* The device's own range, when it says one: a rating that is not known does not widen anything. */
static int check_rating(const struct device_map *m, enum device_point p, double value, struct err *e)
{
	enum device_point rating = value < 0 ? POINT_BATTERY_CHARGE_RATING_W : POINT_BATTERY_DISCHARGE_RATING_W;
	struct device_reading r;

	if (p != POINT_BATTERY_SETPOINT_W || !device_map_read(m, rating, &r))
		return 0;
	if (r.quality == DEVICE_GOOD && fabs(value) > r.value * 1.001 + 1)
		return err_set(e, ERR_REFUSED, 0, "%s: %.0f W is beyond the device's %s of %.0f W",
			       device_point(p)->name, value, value < 0 ? "charge rating" : "discharge rating", r.value);
	return 0;
}

/* What the register must say, before its scale. */
static int step_number(const struct device_map *m, const struct mapped_step *s, double value, double *out,
		       struct err *e)
{
	struct device_reading whole;

	switch (s->step->kind) {
	case STEP_CONSTANT:
		*out = s->step->constant;
		return 0;
	case STEP_SIGN:
		*out = value < 0 ? s->step->negative : value > 0 ? s->step->positive : s->step->zero;
		return 0;
	case STEP_VALUE:
		break;
	}
	*out = s->step->magnitude ? fabs(value) : value;
	if (s->percent_of == NULL)
		return 0;
	node_read(m, s->percent_of, &whole);
	if (whole.quality != DEVICE_GOOD || whole.value <= 0)
		return err_set(e, ERR_REFUSED, 0, "%s: what 100 %% is, is not known: %s", s->target.name,
			       whole.quality == DEVICE_GOOD ? "it reads 0" : whole.why);
	*out = *out / whole.value * 100;
	return 0;
}

static int plan_step(const struct device_map *m, const struct mapped_step *s, double value, struct device_write *out,
		     struct err *e)
{
	const struct device_value *t = &s->target;
	double number, factor = 1;
	char why[80];
	size_t count;

	memset(out, 0, sizeof *out);
	if (step_number(m, s, value, &number, e) < 0)
		return -1;
	if (!scale_factor(m, t, s->sf_constant, &factor, why))
		return err_set(e, ERR_REFUSED, 0, "%s: %s", t->name, why);
	if (!raw_encode(number / (t->scale * factor), t->type, t->order, out->write.values, &count))
		return err_set(e, ERR_REFUSED, 0, "%s: %.6g does not fit into %s", t->name, number,
			       device_type_name(t->type));
	out->write.function = t->function;
	out->write.address = t->address;
	out->write.count = (uint16_t)count;
	out->width = (uint8_t)count;
	out->order = t->order;
	out->only_when_changed = s->step->when_changed;
	if (s->step->read_function != 0)
		out->read_back = (struct device_probe){ s->step->read_function, t->address, (uint16_t)count };
	return 0;
}

/* An optional register is written when the device shows that it has it. */
static bool is_there(const struct device_map *m, const struct mapped_step *s)
{
	const struct node now = { .kind = EXPR_VALUE, .value = s->now, .scale = 1 };
	struct device_reading r;

	if (s->now < 0)
		return true;
	node_read(m, &now, &r);
	return r.quality == DEVICE_GOOD;
}

/* Neighbours that go together leave in one frame: both halves of a set-point take effect at once. */
static bool join(struct device_write *a, const struct device_write *b)
{
	if (a->write.function != BUS_WRITE_REGISTERS || b->write.function != BUS_WRITE_REGISTERS)
		return false;
	if (a->only_when_changed || b->only_when_changed || a->width != b->width || a->order != b->order)
		return false;
	if ((a->read_back.count == 0) != (b->read_back.count == 0) || a->read_back.function != b->read_back.function)
		return false;
	if (a->write.address + a->write.count != b->write.address || a->write.count + b->write.count > BUS_WRITE_MAX)
		return false;
	memcpy(a->write.values + a->write.count, b->write.values, b->write.count * sizeof *b->write.values);
	a->write.count = (uint16_t)(a->write.count + b->write.count);
	if (a->read_back.count > 0)
		a->read_back.count = a->write.count;
	return true;
}

int device_map_write(const struct device_map *m, enum device_point p, double value,
		     struct device_write out[DEVICE_WRITES_MAX], size_t *count, struct err *e)
{
	const struct mapped_write *w = find_write(m, p);
	const struct device_point_info *info = device_point(p);

	*count = 0;
	if (w == NULL)
		return refuse(e, p, info->writable ? "this device cannot be set; its profile or its registers only read"
						   : "is only read");
	if (!isfinite(value) || value < info->min || value > info->max)
		return err_set(e, ERR_REFUSED, 0, "%s is %.6g %s, can be %.6g…%.6g", info->name, value, info->unit,
			       info->min, info->max);
	if (m->reversed && info->directed)
		value = -value;
	if (value < w->min || value > w->max)
		return err_set(e, ERR_REFUSED, 0, "%s is %.6g %s, the device takes %.6g…%.6g", info->name, value,
			       info->unit, w->min, w->max);
	if (check_rating(m, p, value, e) < 0)
		return -1;
	for (size_t i = 0; i < w->step_count; i++) {
		struct device_write step;

		if (!is_there(m, &w->steps[i]))
			continue;
		if (plan_step(m, &w->steps[i], value, &step, e) < 0)
			return err_ctx(e, "%s", info->name);
		if (*count == 0 || !join(&out[*count - 1], &step))
			out[(*count)++] = step;
	}
	return 0;
}

static bool near(const uint16_t *a, const uint16_t *b, uint8_t width, enum device_order order)
{
	return ((raw_bits(a, width, order) - raw_bits(b, width, order) + 1) & raw_all(width)) <= 2;
}

bool device_write_shown(const struct device_write *w, const uint16_t *regs)
{
	if (w->only_when_changed) /* a mode one step away is another mode */
		return memcmp(regs, w->write.values, w->write.count * sizeof *regs) == 0;
	for (uint16_t i = 0; i < w->write.count; i = (uint16_t)(i + w->width))
		if (!near(regs + i, w->write.values + i, w->width, w->order))
			return false;
	return true;
}
