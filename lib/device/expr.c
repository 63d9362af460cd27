/* How a point comes from values: one place, or a sum, product … of places; and that no two of them overlap by
 * mistake. */
#include <string.h>

#include "device/parts.h"

void expr_free(struct expr *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->term_count; i++)
		expr_free(x->terms[i]);
	free(x);
}

int expr_each(const struct expr *x, source_fn *fn, void *arg)
{
	int r = 0;

	if (x == NULL)
		return 0;
	if (x->kind == EXPR_VALUE)
		return fn(arg, &x->source);
	for (size_t i = 0; r == 0 && i < x->term_count; i++)
		r = expr_each(x->terms[i], fn, arg);
	return r;
}

static const struct { const char *key; enum expr_kind kind; } operators[] = {
	{ "sum", EXPR_SUM }, { "product", EXPR_PRODUCT }, { "first", EXPR_FIRST }, { "least", EXPR_LEAST },
	{ "greatest", EXPR_GREATEST },
};

const char *expr_word(enum expr_kind k)
{
	for (size_t i = 0; i < COUNT_OF(operators); i++)
		if (operators[i].kind == k)
			return operators[i].key;
	return "";
}

static struct expr *parse_operator(const struct parse *p, const struct conf_node *n, const struct conf_node *list,
				   enum expr_kind kind, int depth)
{
	static const char *const keys[] = { "sum", "product", "first", "least", "greatest", "scale", "rate",
					    "skip_absent", NULL };
	struct expr *x = xcalloc(1, sizeof *x);
	bool ok = true;

	x->kind = kind;
	x->scale = 1;
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	ok &= conf_read_real(p->conf, n, "scale", false, -1e9, 1e9, &x->scale, p->sink);
	ok &= conf_read_bool(p->conf, n, "skip_absent", false, &x->skip_absent, p->sink);
	if (x->skip_absent && kind != EXPR_SUM)
		ok = parse_fault(p, conf_get(n, "skip_absent"),
				 "is only for sum; first, least and greatest do it anyway");
	if (x->scale == 0.0)
		ok = parse_fault(p, n, "has scale 0, that makes every value 0");
	if (list->kind != CONF_LIST || list->count == 0 || list->count > PARTS_TERMS) {
		conf_report(p->conf, list, p->sink, "must be a list of 1…%d values, has %zu", PARTS_TERMS, list->count);
		ok = false;
	} else if (depth >= PARTS_DEPTH) {
		ok = parse_fault(p, list, "is nested more than 4 deep");
	} else {
		for (const struct conf_node *k = list->first; k != NULL; k = k->next) {
			struct expr *term = parse_expr(p, k, depth + 1);

			if (term == NULL)
				ok = false;
			else
				x->terms[x->term_count++] = term;
		}
	}
	if (!ok) {
		expr_free(x);
		return NULL;
	}
	return x;
}

struct expr *parse_expr(const struct parse *p, const struct conf_node *n, int depth)
{
	static const char *const keys[] = { "function", "address", "count", "type", "order", "scale", "absent", "mask",
					    "choices", "name", "model", "models", "point", "rate", NULL };
	struct expr *x;

	if (n->kind != CONF_MAP) {
		parse_fault(p, n, "must say where the value lies, as {address: …}, {model: …, point: …} or {sum: […]}");
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
	if (!parse_source(p, n, &x->source) ||
	    (!x->source.sunspec && x->source.function > BUS_READ_INPUT &&
	     !parse_fault(p, n, "is read with function 3 or 4"))) {
		expr_free(x);
		return NULL;
	}
	if (x->source.each && (depth == 0 || depth == PARTS_DEPTH)) {
		parse_fault(p, n,
			    "has [*], which stands for several values: put it into sum, least, greatest or first");
		expr_free(x);
		return NULL;
	}
	if (depth < PARTS_DEPTH && !x->source.sunspec && x->source.type == DEVICE_TEXT) {
		parse_fault(p, n, "is text; a point is a number");
		expr_free(x);
		return NULL;
	}
	return x;
}

/* ---- overlap ---- */

struct seen { const struct parse *p; const struct source *sources[256]; size_t count; };

static int check_source(void *arg, const struct source *s)
{
	struct seen *seen = arg;

	if (s->sunspec)
		return 0;
	for (size_t i = 0; i < seen->count; i++) {
		const struct source *o = seen->sources[i];
		bool same = o->address == s->address && o->count == s->count && o->type == s->type &&
			    o->order == s->order;

		if (o->function == s->function && !same && o->address < s->address + s->count &&
		    s->address < o->address + o->count) {
			diag_report(seen->p->sink, conf_name(seen->p->conf), s->line, "points",
				    "%s at %u overlaps %s at %u (line %d)", device_type_name(s->type), s->address,
				    device_type_name(o->type), o->address, o->line);
			return 0;
		}
	}
	if (seen->count < COUNT_OF(seen->sources))
		seen->sources[seen->count++] = s;
	return 0;
}

void check_overlap(const struct parse *p, const struct device_profile *profile)
{
	struct seen seen = { .p = p };

	for (size_t i = 0; i < profile->point_count; i++)
		(void)expr_each(profile->points[i].expr, check_source, &seen);
	for (size_t i = 0; i < IDENTITY_PARTS; i++)
		(void)expr_each(profile->identity[i], check_source, &seen);
}
