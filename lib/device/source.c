/* Where a value lies: a register by its number, or a point of a SunSpec model. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

bool parse_fault(const struct parse *p, const struct conf_node *n, const char *text)
{
	conf_report(p->conf, n, p->sink, "%s", text);
	return false;
}

static bool read_number(const struct parse *p, const struct conf_node *n, int64_t min, int64_t max, int64_t *out)
{
	if (n->kind == CONF_SCALAR && parse_int(n->text, min, max, out))
		return true;
	conf_report(p->conf, n, p->sink, "is %s, must be %lld…%lld", n->kind == CONF_SCALAR ? n->text : "no number",
		    (long long)min, (long long)max);
	return false;
}

/* One number or a list of them. */
bool parse_numbers(const struct parse *p, const struct conf_node *n, int64_t min, int64_t max, size_t most,
			 int64_t *out, size_t *count)
{
	*count = 0;
	if (n->kind == CONF_SCALAR) {
		*count = 1;
		return read_number(p, n, min, max, out);
	}
	if (n->kind != CONF_LIST || n->count == 0 || n->count > most) {
		conf_report(p->conf, n, p->sink, "must be a number or a list of at most %zu", most);
		return false;
	}
	for (const struct conf_node *k = n->first; k != NULL; k = k->next)
		if (!read_number(p, k, min, max, &out[(*count)++]))
			return false;
	return true;
}

bool parse_models(const struct parse *p, const struct conf_node *n, uint16_t models[PARTS_MODELS], size_t *count)
{
	int64_t numbers[PARTS_MODELS];

	if (!parse_numbers(p, n, 1, 65534, PARTS_MODELS, numbers, count))
		return false;
	for (size_t i = 0; i < *count; i++)
		models[i] = (uint16_t)numbers[i];
	return true;
}

static bool parse_choices(const struct parse *p, const struct conf_node *n, struct source *out)
{
	if (n->kind != CONF_MAP || n->count == 0 || n->count > PARTS_CHOICES)
		return parse_fault(p, n, "must be a map from raw numbers to values, at most 8");
	for (const struct conf_node *k = n->first; k != NULL; k = k->next) {
		struct choice *c = &out->choices[out->choice_count++];

		if (!parse_int(k->key, INT32_MIN, UINT32_MAX, &c->raw) || k->kind != CONF_SCALAR ||
		    !parse_real(k->text, -1e9, 1e9, &c->value))
			return parse_fault(p, k, "must be a raw number and its value");
	}
	return true;
}

bool parse_form(const struct parse *p, const struct conf_node *n, bool text, struct source *out)
{
	static const char *const orders[] = { "high-first", "low-first", NULL };
	const char *types[DEVICE_TEXT + 2] = { NULL };
	int type = (int)out->type, order = (int)out->order;
	bool ok;

	for (int t = 0; t < DEVICE_TEXT + (int)text; t++)
		types[t] = device_type_name((enum device_type)t);
	ok = conf_read_choice(p->conf, n, "type", false, types, &type, p->sink);
	ok &= conf_read_choice(p->conf, n, "order", false, orders, &order, p->sink);
	out->type = (enum device_type)type;
	out->order = (enum device_order)order;
	return ok;
}

static bool parse_registers(const struct parse *p, const struct conf_node *n, struct source *out)
{
	int64_t function = out->function, address = 0, count = 0;
	bool ok = conf_read_int(p->conf, n, "function", out->function == 0, 3, 16, &function, p->sink);

	ok &= conf_read_int(p->conf, n, "address", true, 0, 65535, &address, p->sink);
	ok &= parse_form(p, n, true, out);
	ok &= conf_read_int(p->conf, n, "count", out->type == DEVICE_TEXT, 1, RAW_TEXT_REGS, &count, p->sink);
	if (!ok)
		return false;
	out->function = (uint8_t)function;
	out->address = (uint16_t)address;
	out->count = device_type_registers(out->type);
	if (out->count == 0)
		out->count = (uint16_t)count;
	else if (count != 0 && count != out->count) {
		conf_report(p->conf, conf_get(n, "count"), p->sink, "is %lld, but a value of type %s has %u registers",
			    (long long)count, device_type_name(out->type), out->count);
		return false;
	}
	if (address + out->count > 65536)
		return parse_fault(p, conf_get(n, "address"), "is so high that the value ends beyond 65535");
	if (function != BUS_READ_HOLDING && function != BUS_READ_INPUT && function != BUS_WRITE_REGISTER &&
	    function != BUS_WRITE_REGISTERS)
		return parse_fault(p, conf_get(n, "function"), "must be 3 or 4 to read, 6 or 16 to write");
	return true;
}

static bool parse_sunspec(const struct parse *p, const struct conf_node *n, struct source *out)
{
	const struct conf_node *models = conf_get(n, "models");
	const char *name = NULL;
	bool ok = conf_read_text(p->conf, n, "point", true, PARTS_PATH - 1, &name, p->sink);

	out->sunspec = true;
	if (models == NULL)
		models = conf_get(n, "model");
	if (models == NULL)
		return parse_fault(p, n, "needs model or models, and point");
	ok &= parse_models(p, models, out->models, &out->model_count);
	if (ok)
		str_copy(out->name, sizeof out->name, name);
	out->each = strstr(out->name, "[*]") != NULL;
	if (conf_get(n, "address") != NULL || conf_get(n, "type") != NULL)
		ok = parse_fault(p, n, "has a SunSpec point and a register; one of both");
	return ok;
}

bool parse_source(const struct parse *p, const struct conf_node *n, struct source *out)
{
	const struct conf_node *k;
	const char *name = NULL;
	int64_t mask = 0;
	double scale;
	bool ok;

	*out = p->defaults;
	out->line = n->line;
	scale = out->scale;
	ok = conf_get(n, "model") != NULL || conf_get(n, "models") != NULL ? parse_sunspec(p, n, out)
									    : parse_registers(p, n, out);
	ok &= conf_read_real(p->conf, n, "scale", false, -1e9, 1e9, &scale, p->sink);
	if (scale == 0.0)
		ok = parse_fault(p, conf_get(n, "scale"), "is 0, that makes every value 0");
	out->scale = scale;
	ok &= conf_read_int(p->conf, n, "mask", false, 1, UINT32_MAX, &mask, p->sink);
	out->mask = (uint32_t)mask;
	ok &= conf_read_text(p->conf, n, "name", false, PARTS_NAME - 1, &name, p->sink);
	if (name != NULL && !out->sunspec)
		str_copy(out->name, sizeof out->name, name);
	k = conf_get(n, "absent");
	if (k != NULL) {
		int64_t marks[PARTS_ABSENT];

		ok &= parse_numbers(p, k, INT64_MIN, INT64_MAX, PARTS_ABSENT, marks, &out->absent_count);
		for (size_t i = 0; ok && i < out->absent_count; i++)
			out->absent[i] = (uint64_t)marks[i];
	}
	k = conf_get(n, "choices");
	if (k != NULL)
		ok &= parse_choices(p, k, out);
	return ok;
}
