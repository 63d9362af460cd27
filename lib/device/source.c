/* The parts of a profile that say where values lie and how they are written. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

static const char *const type_names[] = { "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
					  "text", NULL };
static const char *const order_names[] = { "high-first", "low-first", NULL };

static const char *const source_keys[] = { "function", "address", "count", "type", "order", "scale", "absent", "mask", "choices",
					   "name", "model", "models", "point", NULL };

void expr_free(struct expr *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->term_count; i++)
		expr_free(x->terms[i]);
	free(x);
}

static bool fault(const struct parse *p, const struct conf_node *n, const char *text)
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
static bool read_numbers(const struct parse *p, const struct conf_node *n, int64_t min, int64_t max, size_t most,
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

	if (!read_numbers(p, n, 1, 65534, PARTS_MODELS, numbers, count))
		return false;
	for (size_t i = 0; i < *count; i++)
		models[i] = (uint16_t)numbers[i];
	return true;
}

static bool parse_choices(const struct parse *p, const struct conf_node *n, struct source *out)
{
	if (n->kind != CONF_MAP || n->count == 0 || n->count > PARTS_CHOICES)
		return fault(p, n, "must be a map from raw numbers to values, at most 8");
	for (const struct conf_node *k = n->first; k != NULL; k = k->next) {
		struct choice *c = &out->choices[out->choice_count++];

		if (!parse_int(k->key, INT32_MIN, UINT32_MAX, &c->raw) || k->kind != CONF_SCALAR ||
		    !parse_real(k->text, -1e9, 1e9, &c->value))
			return fault(p, k, "must be a raw number and its value");
	}
	return true;
}

static bool parse_registers(const struct parse *p, const struct conf_node *n, struct source *out)
{
	int64_t function = out->function, address = 0, count = 0;
	int type = (int)out->type, order = (int)out->order;
	bool ok = conf_read_int(p->conf, n, "function", out->function == 0, 3, 16, &function, p->sink);

	ok &= conf_read_int(p->conf, n, "address", true, 0, 65535, &address, p->sink);
	ok &= conf_read_choice(p->conf, n, "type", false, type_names, &type, p->sink);
	ok &= conf_read_choice(p->conf, n, "order", false, order_names, &order, p->sink);
	ok &= conf_read_int(p->conf, n, "count", type == DEVICE_TEXT, 1, RAW_TEXT_REGS, &count, p->sink);
	if (!ok)
		return false;
	out->function = (uint8_t)function;
	out->address = (uint16_t)address;
	out->type = (enum device_type)type;
	out->order = (enum device_order)order;
	out->count = type_registers(out->type);
	if (out->count == 0)
		out->count = (uint16_t)count;
	else if (count != 0 && count != out->count)
		return fault(p, conf_get(n, "count"), "does not fit the type");
	if (address + out->count > 65536)
		return fault(p, conf_get(n, "address"), "is so high that the value ends beyond 65535");
	if (function != BUS_READ_HOLDING && function != BUS_READ_INPUT && function != BUS_WRITE_REGISTER &&
	    function != BUS_WRITE_REGISTERS)
		return fault(p, conf_get(n, "function"), "must be 3 or 4 to read, 6 or 16 to write");
	return true;
}

static bool parse_sunspec(const struct parse *p, const struct conf_node *n, struct source *out)
{
	const struct conf_node *models = conf_get(n, "models");
	const char *name = NULL;
	bool ok = conf_read_text(p->conf, n, "point", true, PARTS_NAME - 1, &name, p->sink);

	out->sunspec = true;
	if (models == NULL)
		models = conf_get(n, "model");
	if (models == NULL)
		return fault(p, n, "needs model or models, and point");
	ok &= parse_models(p, models, out->models, &out->model_count);
	if (ok)
		str_copy(out->name, sizeof out->name, name);
	if (conf_get(n, "address") != NULL || conf_get(n, "type") != NULL)
		ok = fault(p, n, "has a SunSpec point and a register; one of both");
	return ok;
}

static bool parse_source_body(const struct parse *p, const struct conf_node *n, struct source *out)
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
		ok = fault(p, conf_get(n, "scale"), "is 0, that makes every value 0");
	out->scale = scale;
	ok &= conf_read_int(p->conf, n, "mask", false, 1, UINT32_MAX, &mask, p->sink);
	out->mask = (uint32_t)mask;
	ok &= conf_read_text(p->conf, n, "name", false, PARTS_NAME - 1, &name, p->sink);
	if (name != NULL && !out->sunspec)
		str_copy(out->name, sizeof out->name, name);
	k = conf_get(n, "absent");
	if (k != NULL) {
		int64_t marks[PARTS_ABSENT];

		ok &= read_numbers(p, k, INT64_MIN, INT64_MAX, PARTS_ABSENT, marks, &out->absent_count);
		for (size_t i = 0; ok && i < out->absent_count; i++)
			out->absent[i] = (uint64_t)marks[i];
	}
	k = conf_get(n, "choices");
	if (k != NULL)
		ok &= parse_choices(p, k, out);
	return ok;
}

bool parse_source(const struct parse *p, const struct conf_node *n, struct source *out)
{
	if (n->kind != CONF_MAP)
		return fault(p, n, "must say where the value lies, as {address: …} or {model: …, point: …}");
	conf_refuse_unknown(p->conf, n, source_keys, p->sink);
	return parse_source_body(p, n, out);
}

static const struct { const char *key; enum expr_kind kind; } operators[] = {
	{ "sum", EXPR_SUM }, { "product", EXPR_PRODUCT }, { "first", EXPR_FIRST }, { "least", EXPR_LEAST },
};

static struct expr *parse_operator(const struct parse *p, const struct conf_node *n, const struct conf_node *list,
				   enum expr_kind kind, int depth)
{
	static const char *const keys[] = { "sum", "product", "first", "least", "scale", "rate", NULL };
	struct expr *x = xcalloc(1, sizeof *x);
	bool ok = true;

	x->kind = kind;
	x->scale = 1;
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	ok &= conf_read_real(p->conf, n, "scale", false, -1e9, 1e9, &x->scale, p->sink);
	if (x->scale == 0.0)
		ok = fault(p, n, "has scale 0, that makes every value 0");
	if (list->kind != CONF_LIST || list->count == 0 || list->count > PARTS_TERMS)
		ok = fault(p, list, "must be a list of 1…8 values");
	else if (depth >= PARTS_DEPTH)
		ok = fault(p, list, "is nested too deep");
	else
		for (const struct conf_node *k = list->first; k != NULL; k = k->next) {
			struct expr *term = parse_expr(p, k, depth + 1);

			if (term == NULL)
				ok = false;
			else
				x->terms[x->term_count++] = term;
		}
	if (!ok) {
		expr_free(x);
		return NULL;
	}
	return x;
}

struct expr *parse_expr(const struct parse *p, const struct conf_node *n, int depth)
{
	static const char *const keys[] = { "function", "address", "count", "type", "order", "scale", "absent", "mask", "choices",
					    "name", "model", "models", "point", "rate", NULL };
	struct expr *x;

	if (n->kind != CONF_MAP) {
		fault(p, n, "must say where the value lies, as {address: …}, {model: …, point: …} or {sum: […]}");
		return NULL;
	}
	for (size_t i = 0; i < COUNT_OF(operators); i++) {
		const struct conf_node *list = conf_get(n, operators[i].key);

		if (list != NULL)
			return parse_operator(p, n, list, operators[i].kind, depth);
	}
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	x = xcalloc(1, sizeof *x);
	x->scale = 1;
	if (!parse_source_body(p, n, &x->source) || (!x->source.sunspec && x->source.function > BUS_READ_INPUT)) {
		if (x->source.function > BUS_READ_INPUT)
			fault(p, n, "is read with function 3 or 4");
		expr_free(x);
		return NULL;
	}
	if (depth < PARTS_DEPTH && !x->source.sunspec && x->source.type == DEVICE_TEXT) {
		fault(p, n, "is text; a point is a number");
		expr_free(x);
		return NULL;
	}
	return x;
}

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
			return fault(p, sign, "must be {negative: N, zero: N, positive: N}");
		conf_refuse_unknown(p->conf, sign, sign_keys, p->sink);
		ok &= read_whole(p, sign, "negative", &out->negative);
		ok &= read_whole(p, sign, "zero", &out->zero);
		ok &= read_whole(p, sign, "positive", &out->positive);
		return ok;
	}
	out->kind = STEP_VALUE;
	ok &= conf_read_bool(p->conf, n, "magnitude", false, &out->magnitude, p->sink);
	if (percent != NULL && (out->percent_of = parse_expr(p, percent, 1)) == NULL)
		ok = false;
	return ok;
}

bool parse_step(const struct parse *p, const struct conf_node *n, struct step *out)
{
	static const char *const keys[] = { "function", "address", "type", "order", "scale", "model", "models", "point", "constant",
					    "sign", "magnitude", "percent_of", "when", "optional", "read_function", NULL };
	static const char *const when[] = { "always", "changed", NULL };
	struct parse writes = *p;
	int64_t read_function = BUS_READ_HOLDING;
	int changed = 0;
	bool ok;

	memset(out, 0, sizeof *out);
	if (n->kind != CONF_MAP)
		return fault(p, n, "must be a register and what is written to it");
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	writes.defaults.function = BUS_WRITE_REGISTERS;
	writes.defaults.scale = 1;
	ok = parse_source_body(&writes, n, &out->target);
	if (ok && out->target.function < BUS_WRITE_REGISTER)
		ok = fault(p, n, "is written with function 6 or 16");
	if (ok && out->target.function == BUS_WRITE_REGISTER && out->target.count > 1)
		ok = fault(p, n, "function 6 writes one register, the type has more");
	if (ok && !out->target.sunspec && out->target.type == DEVICE_TEXT)
		ok = fault(p, n, "cannot write text");
	ok &= parse_step_value(p, n, out);
	ok &= conf_read_choice(p->conf, n, "when", false, when, &changed, p->sink);
	ok &= conf_read_bool(p->conf, n, "optional", false, &out->optional, p->sink);
	ok &= conf_read_int(p->conf, n, "read_function", false, 0, 4, &read_function, p->sink);
	out->when_changed = changed == 1;
	out->read_function = (uint8_t)read_function;
	if (ok && (read_function == 1 || read_function == 2))
		ok = fault(p, n, "read_function must be 3 or 4, or 0 for a register that cannot be read");
	if (!ok) {
		expr_free(out->percent_of);
		out->percent_of = NULL;
	}
	return ok;
}

bool parse_condition(const struct parse *p, const struct conf_node *n, struct condition *out)
{
	static const char *const keys[] = { "function", "address", "count", "type", "order", "scale", "min", "max", "equals", "starts",
					    "what", "unit", NULL };
	const struct conf_node *equals;
	const char *starts = NULL, *what = "value", *unit = "";
	bool ok;

	memset(out, 0, sizeof *out);
	if (n->kind != CONF_MAP)
		return fault(p, n, "must be a register and what it must show");
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	ok = parse_source_body(p, n, &out->source);
	if (ok && (out->source.sunspec || out->source.function > BUS_READ_INPUT))
		ok = fault(p, n, "is read with function 3 or 4 at an address");
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
		int64_t numbers[PARTS_CHOICES];

		ok &= read_numbers(p, equals, INT32_MIN, UINT32_MAX, PARTS_CHOICES, numbers, &out->equal_count);
		for (size_t i = 0; ok && i < out->equal_count; i++)
			out->equals[i] = (double)numbers[i];
	}
	if (!ok)
		return false;
	str_copy(out->starts, sizeof out->starts, starts != NULL ? starts : "");
	str_copy(out->what, sizeof out->what, what);
	str_copy(out->unit, sizeof out->unit, unit);
	if (!out->has_range && out->equal_count == 0 && starts == NULL)
		return fault(p, n, "needs equals, starts, or min and max");
	if ((starts != NULL) != (out->source.type == DEVICE_TEXT))
		return fault(p, n, "starts goes with type text, and only with it");
	return true;
}

/* ---- overlap ---- */

struct seen { const struct source *sources[256]; size_t count; };

static void check_source(const struct parse *p, struct seen *seen, const struct source *s)
{
	if (s->sunspec)
		return;
	for (size_t i = 0; i < seen->count; i++) {
		const struct source *o = seen->sources[i];
		bool same = o->address == s->address && o->count == s->count && o->type == s->type && o->order == s->order;

		if (o->function == s->function && !same && o->address < s->address + s->count &&
		    s->address < o->address + o->count) {
			diag_report(p->sink, conf_name(p->conf), s->line, "points",
				    "%s at %u overlaps %s at %u (line %d)", type_name(s->type), s->address,
				    type_name(o->type), o->address, o->line);
			return;
		}
	}
	if (seen->count < COUNT_OF(seen->sources))
		seen->sources[seen->count++] = s;
}

static void check_expr(const struct parse *p, struct seen *seen, const struct expr *x)
{
	if (x->kind == EXPR_VALUE)
		check_source(p, seen, &x->source);
	for (size_t i = 0; i < x->term_count; i++)
		check_expr(p, seen, x->terms[i]);
}

void check_overlap(const struct parse *p, const struct device_profile *profile)
{
	struct seen seen = { .count = 0 };

	for (size_t i = 0; i < profile->point_count; i++)
		check_expr(p, &seen, profile->points[i].expr);
	for (size_t i = 0; i < IDENTITY_PARTS; i++)
		if (profile->identity[i] != NULL)
			check_expr(p, &seen, profile->identity[i]);
}
