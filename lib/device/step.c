/* What a profile writes, and what it must be shown: register writes of a set-point, conditions of a signature. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

/* What is written as it is: a whole number, in the makers' way often hexadecimal. */
static bool read_whole(const struct parse *p, const struct conf_node *n, const char *key, double *out)
{
	int64_t number = 0;
	bool ok = conf_read_int(p->conf, n, key, true, INT32_MIN, UINT32_MAX, &number, p->sink);

	*out = (double)number;
	return ok;
}

static bool parse_step_value(const struct parse *p, const struct conf_node *n, struct step *out)
{
	const struct conf_node *sign = conf_get(n, "sign"), *percent = conf_get(n, "percent_of");
	static const char *const sign_keys[] = { "negative", "zero", "positive", NULL };
	bool ok = true;

	if (conf_get(n, "constant") != NULL) {
		out->kind = STEP_CONSTANT;
		return read_whole(p, n, "constant", &out->constant);
	}
	if (sign != NULL) {
		out->kind = STEP_SIGN;
		if (sign->kind != CONF_MAP)
			return parse_fault(p, sign, "must be {negative: N, zero: N, positive: N}");
		conf_refuse_unknown(p->conf, sign, sign_keys, p->sink);
		ok &= read_whole(p, sign, "negative", &out->negative);
		ok &= read_whole(p, sign, "zero", &out->zero);
		ok &= read_whole(p, sign, "positive", &out->positive);
		return ok;
	}
	out->kind = STEP_VALUE;
	ok &= conf_read_bool(p->conf, n, "magnitude", false, &out->magnitude, p->sink);
	if (percent != NULL && (out->percent_of = parse_expr(p, percent, 0)) == NULL)
		ok = false;
	return ok;
}

bool parse_step(const struct parse *p, const struct conf_node *n, struct step *out)
{
	static const char *const keys[] = { "function", "address", "type", "order", "scale", "model", "models", "point",
					    "constant", "sign", "magnitude", "percent_of", "when", "optional",
					    "read_function", NULL };
	static const char *const when[] = { "always", "changed", NULL };
	struct parse writes = *p;
	int64_t read_function = BUS_READ_HOLDING;
	int changed = 0;
	bool ok;

	memset(out, 0, sizeof *out);
	if (n->kind != CONF_MAP)
		return parse_fault(p, n, "must be a register and what is written to it");
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	writes.defaults.function = BUS_WRITE_REGISTERS;
	writes.defaults.scale = 1;
	ok = parse_source(&writes, n, &out->target);
	if (ok && out->target.function < BUS_WRITE_REGISTER)
		ok = parse_fault(p, n, "is written with function 6 or 16");
	if (ok && out->target.function == BUS_WRITE_REGISTER && out->target.count > 1)
		ok = parse_fault(p, n, "function 6 writes one register, the type has more");
	if (ok && out->target.each)
		ok = parse_fault(p, n, "is written to one place; [*] stands for several");
	if (ok && !out->target.sunspec && out->target.type == DEVICE_TEXT)
		ok = parse_fault(p, n, "cannot write text");
	ok &= parse_step_value(p, n, out);
	ok &= conf_read_choice(p->conf, n, "when", false, when, &changed, p->sink);
	ok &= conf_read_bool(p->conf, n, "optional", false, &out->optional, p->sink);
	ok &= conf_read_int(p->conf, n, "read_function", false, 0, 4, &read_function, p->sink);
	out->when_changed = changed == 1;
	out->read_function = (uint8_t)read_function;
	if (ok && (read_function == 1 || read_function == 2))
		ok = parse_fault(p, n, "read_function must be 3 or 4, or 0 for a register that cannot be read");
	if (!ok) {
		expr_free(out->percent_of);
		out->percent_of = NULL;
	}
	return ok;
}

bool parse_condition(const struct parse *p, const struct conf_node *n, struct condition *out)
{
	static const char *const keys[] = { "function", "address", "count", "type", "order", "scale", "min", "max",
					    "equals", "starts", "what", "unit", NULL };
	const struct conf_node *equals;
	const char *starts = NULL, *what = "value", *unit = "";
	bool ok;

	memset(out, 0, sizeof *out);
	if (n->kind != CONF_MAP)
		return parse_fault(p, n, "must be a register and what it must show");
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	ok = parse_source(p, n, &out->source);
	if (ok && (out->source.sunspec || out->source.function > BUS_READ_INPUT))
		ok = parse_fault(p, n, "is read with function 3 or 4 at an address");
	out->min = -INFINITY;
	out->max = INFINITY;
	out->has_range = conf_get(n, "min") != NULL || conf_get(n, "max") != NULL;
	ok &= conf_read_real(p->conf, n, "min", false, -1e12, 1e12, &out->min, p->sink);
	ok &= conf_read_real(p->conf, n, "max", false, -1e12, 1e12, &out->max, p->sink);
	ok &= conf_read_text(p->conf, n, "starts", false, PARTS_TEXT - 1, &starts, p->sink);
	ok &= conf_read_text(p->conf, n, "what", false, PARTS_NAME - 1, &what, p->sink);
	ok &= conf_read_text(p->conf, n, "unit", false, sizeof out->unit - 1, &unit, p->sink);
	equals = conf_get(n, "equals");
	if (equals != NULL) {
		int64_t numbers[PARTS_EQUALS];

		ok &= parse_numbers(p, equals, INT32_MIN, UINT32_MAX, PARTS_EQUALS, numbers, &out->equal_count);
		for (size_t i = 0; ok && i < out->equal_count; i++)
			out->equals[i] = (double)numbers[i];
	}
	if (!ok)
		return false;
	str_copy(out->starts, sizeof out->starts, starts != NULL ? starts : "");
	str_copy(out->what, sizeof out->what, what);
	str_copy(out->unit, sizeof out->unit, unit);
	if (out->min > out->max)
		return parse_fault(p, n, "has a min above its max");
	if (!out->has_range && out->equal_count == 0 && starts == NULL)
		return parse_fault(p, n, "needs equals, starts, or min and max");
	if ((starts != NULL) != (out->source.type == DEVICE_TEXT))
		return parse_fault(p, n, "starts goes with type text, and only with it");
	return true;
}
