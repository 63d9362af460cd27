/* What the registers say: raw to value, and whether it is one. */
#include <math.h>
#include <string.h>

#include "device/live.h"

/* An answer's registers as they are now in the block. */
static const uint16_t *regs_of(const struct device_map *m, int i)
{
	return m->states[m->mapped[i].block].regs + m->mapped[i].offset;
}

static void take_part(struct device_map *m, enum identity_part part, int at)
{
	const struct device_value *v = &m->values[at];
	const struct source *s = m->mapped[at].source;
	const struct identity_form form = { v->type, v->order, v->count, v->scale };
	size_t n;
	char *to = identity_part(&m->identity, part, &n);

	identity_text(&form, s != NULL ? s->absent : NULL, s != NULL ? s->absent_count : 0, regs_of(m, at), to, n);
}

static void take_identity(struct device_map *m, int block)
{
	for (int i = 0; i < IDENTITY_PARTS; i++) {
		int at = m->identity_values[i];

		if (at >= 0 && m->mapped[at].block == block)
			take_part(m, (enum identity_part)i, at);
	}
}

/* The scale factor of values in other blocks arrives: those read since it last came are what they are by now, if it is
 * still the same. */
static void confirm_pairs(struct device_map *m, size_t block, const uint16_t *regs)
{
	const struct block_state *s = &m->states[block];

	for (size_t i = 0; i < m->value_count; i++) {
		struct mapped *x = &m->mapped[i];
		const struct mapped *f = x->pair != NULL ? &m->mapped[m->values[i].scale_index] : NULL;
		const struct block_state *v = &m->states[x->block];
		size_t bytes = m->values[i].count * sizeof *regs;

		if (f == NULL || f->block != (int)block || !s->known || !v->known || v->at_boot_us < s->at_boot_us ||
		    s->regs[f->offset] != regs[f->offset])
			continue;
		if (!x->pair->known || memcmp(x->pair->regs, v->regs + x->offset, bytes) != 0)
			x->pair->changed_boot_us = v->at_boot_us;
		memcpy(x->pair->regs, v->regs + x->offset, bytes);
		x->pair->sf = (int16_t)regs[f->offset];
		x->pair->at_boot_us = v->at_boot_us;
		x->pair->known = true;
	}
}

void device_map_take(struct device_map *m, size_t block, const uint16_t *regs, int64_t at_boot_us)
{
	struct block_state *s = &m->states[block];

	confirm_pairs(m, block, regs);
	for (size_t i = 0; i < m->value_count; i++) {
		struct mapped *x = &m->mapped[i];

		if (x->block == (int)block && (!s->known || memcmp(s->regs + x->offset, regs + x->offset,
								   m->values[i].count * sizeof *regs) != 0))
			x->changed_boot_us = at_boot_us;
	}
	memcpy(s->regs, regs, m->blocks[block].count * sizeof *regs);
	s->known = true;
	s->at_boot_us = at_boot_us;
	take_identity(m, (int)block);
}

bool device_map_settled(const struct device_map *m)
{
	for (size_t i = 0; i < m->value_count; i++) {
		const struct mapped *x = &m->mapped[i];

		if (x->pair != NULL && !x->pair->known && m->states[x->block].known &&
		    m->states[m->mapped[m->values[i].scale_index].block].known)
			return false;
	}
	return true;
}

void device_map_lose(struct device_map *m, size_t block)
{
	device_map_refuse(m, block, "");
}

void device_map_refuse(struct device_map *m, size_t block, const char *why)
{
	m->states[block].known = false;
	for (size_t i = 0; i < m->value_count; i++) {
		struct mapped *x = &m->mapped[i];

		if (x->pair != NULL &&
		    (x->block == (int)block || m->mapped[m->values[i].scale_index].block == (int)block))
			x->pair->known = false;
	}
	str_copy(m->states[block].why, sizeof m->states[block].why, why);
}

const struct device_identity *device_map_identity(const struct device_map *m)
{
	return &m->identity;
}

static void judge(struct device_reading *out, enum device_quality q, const char *why)
{
	out->quality = q;
	out->value = NAN;
	str_copy(out->why, sizeof out->why, why);
}

bool scale_factor(const struct device_map *m, const struct device_value *v, int sf_constant, double *out, char why[80])
{
	const struct device_value *f = v->scale_index >= 0 ? &m->values[v->scale_index] : v;

	if (v->scale_index < 0)
		return sf_power(v->name, sf_constant, out, why);
	if (!m->states[m->mapped[v->scale_index].block].known) {
		snprintf(why, 80, "scale factor %.40s not read yet", f->name);
		return false;
	}
	return sf_power(f->name, (int16_t)regs_of(m, v->scale_index)[0], out, why);
}

static bool is_absent(const struct mapped *x, const struct raw *r, uint16_t count)
{
	if (x->has_absent && r->bits == x->absent)
		return true;
	for (size_t i = 0; x->source != NULL && i < x->source->absent_count; i++)
		if (r->bits == (x->source->absent[i] & raw_all(count)))
			return true;
	return false;
}

/* What the registers mean before any scale: marks, bits and choices. */
static void judge_raw(const struct device_map *m, int i, const struct raw *r, struct device_reading *out)
{
	const struct source *s = m->mapped[i].source;
	size_t k = 0;

	out->raw = out->value = r->number;
	if (is_absent(&m->mapped[i], r, m->values[i].count)) {
		snprintf(out->why, sizeof out->why, "%.0f means not available", (double)r->bits);
		out->quality = DEVICE_ABSENT;
	} else if (isnan(r->number)) {
		judge(out, DEVICE_ABSENT, "NaN means not available");
	} else if (s != NULL && s->mask != 0) {
		out->value = (r->bits & s->mask) != 0 ? 1 : 0;
	} else if (s != NULL && s->choice_count > 0) {
		while (k < s->choice_count && (double)s->choices[k].raw != r->number)
			k++;
		if (k < s->choice_count)
			out->value = s->choices[k].value;
		else
			snprintf(out->why, sizeof out->why, "%.0f is none of the values that the profile knows",
				 r->number);
		out->quality = k < s->choice_count ? DEVICE_GOOD : DEVICE_ABSENT;
	}
}

static void value_read(const struct device_map *m, int i, struct device_reading *out)
{
	const struct device_value *v = &m->values[i], *f = v->scale_index >= 0 ? &m->values[v->scale_index] : v;
	const struct mapped *x = &m->mapped[i];
	const struct block_state *s = &m->states[x->block];
	const uint16_t *regs = x->pair != NULL ? x->pair->regs : regs_of(m, i);
	double factor;
	struct raw r;
	int sf;

	*out = (struct device_reading){ .value = NAN, .raw = NAN };
	if (!s->known) {
		judge(out, DEVICE_UNKNOWN, s->why[0] ? s->why : "not read yet, or lost");
		return;
	}
	if (x->pair != NULL && !x->pair->known) {
		snprintf(out->why, sizeof out->why, "scale factor %.40s not read with it yet", f->name);
		out->quality = DEVICE_UNKNOWN;
		return;
	}
	out->at_boot_us = x->pair != NULL ? x->pair->at_boot_us : s->at_boot_us;
	out->changed_boot_us = x->pair != NULL ? x->pair->changed_boot_us : x->changed_boot_us;
	r = raw_decode(regs, v->type, v->order);
	judge_raw(m, i, &r, out);
	if (out->quality != DEVICE_GOOD)
		return;
	sf = x->pair != NULL ? x->pair->sf : v->scale_index >= 0 ? (int16_t)s->regs[x->sf_offset] : x->sf_constant;
	if (sf_power(f->name, sf, &factor, out->why)) {
		out->value *= v->scale * factor;
	} else {
		out->quality = DEVICE_UNKNOWN;
		out->value = NAN;
	}
}

/* Bad news in this order: what is not known yet, what cannot be, what is not there. */
static enum device_quality worse(enum device_quality a, enum device_quality b)
{
	static const int rank[] = { [DEVICE_GOOD] = 0, [DEVICE_ABSENT] = 1, [DEVICE_IMPOSSIBLE] = 2,
				    [DEVICE_UNKNOWN] = 3 };

	return rank[a] > rank[b] ? a : b;
}

/* Fold one term into the result of a sum, product, least or greatest. */
static void combine(enum expr_kind kind, struct device_reading *out, const struct device_reading *term, bool first)
{
	if (first) {
		*out = *term;
		return;
	}
	if (worse(out->quality, term->quality) != out->quality)
		str_copy(out->why, sizeof out->why, term->why);
	out->quality = worse(out->quality, term->quality);
	if (kind == EXPR_PRODUCT)
		out->value *= term->value;
	else if (kind == EXPR_SUM)
		out->value += term->value;
	else if (kind == EXPR_GREATEST ? term->value > out->value : term->value < out->value)
		out->value = term->value;
	out->raw = out->value;
	if (term->at_boot_us < out->at_boot_us)
		out->at_boot_us = term->at_boot_us; /* as old as its oldest part */
	if (term->changed_boot_us > out->changed_boot_us)
		out->changed_boot_us = term->changed_boot_us;
}

void node_read(const struct device_map *m, const struct node *n, struct device_reading *out)
{
	bool choose = n->kind == EXPR_FIRST || n->kind == EXPR_LEAST || n->kind == EXPR_GREATEST || n->skip_absent;
	bool first = true;

	if (n->kind == EXPR_VALUE) {
		value_read(m, n->value, out);
		return;
	}
	for (size_t i = 0; i < n->term_count; i++) {
		struct device_reading term;

		node_read(m, n->terms[i], &term);
		/* An alternative that the device does not have is passed over; one that is not read yet is waited
		 * for. */
		if (choose && term.quality == DEVICE_ABSENT && (i + 1 < n->term_count || !first))
			continue;
		combine(n->kind, out, &term, first);
		first = false;
		if (n->kind == EXPR_FIRST)
			break;
	}
	out->value *= n->scale;
}

bool device_map_read(const struct device_map *m, enum device_point p, struct device_reading *out)
{
	const struct device_point_info *info = device_point(p);

	if (m->reversed && (p == POINT_GRID_IMPORT_WH || p == POINT_GRID_EXPORT_WH))
		p = p == POINT_GRID_IMPORT_WH ? POINT_GRID_EXPORT_WH : POINT_GRID_IMPORT_WH;
	if (m->nodes[p] == NULL)
		return false;
	node_read(m, m->nodes[p], out);
	out->raw += 0.0; /* 0 by a negative scale is 0, not -0 */
	out->value += 0.0;
	if (out->quality == DEVICE_GOOD &&
	    (!isfinite(out->value) || out->value < info->min || out->value > info->max)) {
		out->quality = DEVICE_IMPOSSIBLE;
		snprintf(out->why, sizeof out->why, "%.6g %s, can be %.6g…%.6g", out->value, info->unit, info->min,
			 info->max);
	}
	if (out->quality != DEVICE_GOOD)
		out->value = NAN;
	else if (m->reversed && info->directed)
		out->value = 0.0 - out->value;
	return true;
}
