/* A map: a profile laid on one live device. */
#include <string.h>

#include "device/live.h"

struct build {
	struct device_map *m;
	const struct device_sunspec *sunspec;
	struct sunspec_models models; /* loaded for this map only */
	struct err *e;
	bool failed;
};

void node_free(struct node *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->term_count; i++)
		node_free(n->terms[i]);
	free(n->terms);
	free(n);
}

void device_map_free(struct device_map *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < POINT_COUNT; i++)
		node_free(m->nodes[i]);
	for (size_t i = 0; i < m->write_count; i++)
		for (size_t k = 0; k < m->writes[i].step_count; k++)
			node_free(m->writes[i].steps[k].percent_of);
	for (size_t i = 0; i < m->value_count; i++)
		free(m->mapped[i].pair);
	free(m->writes);
	free(m->values);
	free(m->mapped);
	free(m->blocks);
	free(m->states);
	free(m);
}

static void describe(const struct device_map *m, const struct node *n, struct buf *b)
{
	const struct device_value *v = &m->values[n->value];

	if (n->kind == EXPR_VALUE) {
		if (strchr(v->name, ' ') == NULL) /* "input 52" says it already */
			buf_addf(b, "%s at %u", v->name, v->address);
		else
			buf_adds(b, v->name);
		return;
	}
	buf_addf(b, "%s(", expr_word(n->kind));
	for (size_t i = 0; i < n->term_count; i++) {
		buf_adds(b, i > 0 ? ", " : "");
		describe(m, n->terms[i], b);
	}
	buf_adds(b, ")");
}

char *device_map_from(const struct device_map *m, enum device_point p, char to[160])
{
	auto_buf struct buf b = BUF_INIT;

	if (m->reversed && (p == POINT_GRID_IMPORT_WH || p == POINT_GRID_EXPORT_WH))
		p = p == POINT_GRID_IMPORT_WH ? POINT_GRID_EXPORT_WH : POINT_GRID_IMPORT_WH;
	if (m->nodes[p] != NULL)
		describe(m, m->nodes[p], &b);
	str_copy(to, 160, b.data != NULL ? b.data : "");
	return to;
}

/* The index of this value; the same one again when another point already reads it. */
static int add_value(struct build *b, const struct device_value *v, const struct mapped *x)
{
	struct device_map *m = b->m;

	for (size_t i = 0; i < m->value_count; i++) {
		struct device_value *o = &m->values[i];

		if (o->function != v->function || o->address != v->address || o->type != v->type ||
		    o->count != v->count || m->mapped[i].source != x->source || o->scale_index != v->scale_index)
			continue;
		if (v->rate < o->rate)
			o->rate = v->rate;
		m->mapped[i].control |= x->control;
		m->mapped[i].required |= x->required;
		return (int)i;
	}
	m->values = xrealloc(m->values, m->value_count + 1, sizeof *m->values);
	m->mapped = xrealloc(m->mapped, m->value_count + 1, sizeof *m->mapped);
	m->values[m->value_count] = *v;
	m->mapped[m->value_count] = *x;
	return (int)m->value_count++;
}

/* ---- SunSpec: a point's registers by the walk and the model's definition ---- */

static const struct sunspec_model *model_of(struct build *b, uint16_t id)
{
	const struct sunspec_model *m = sunspec_models_get(&b->models, id, b->e);

	b->failed |= m == NULL;
	return m;
}

static int add_scale_factor(struct build *b, const struct device_model *at, const struct place *p,
			    enum device_rate rate)
{
	struct device_value v = { .point = -1, .function = BUS_READ_HOLDING, .count = 1, .type = DEVICE_INT16,
				  .scale = 1,
				  .scale_index = -1, .rate = rate };
	struct mapped x = { .has_absent = true, .absent = 0x8000, .is_sf = true };

	if (p->sf_offset < 0)
		return -1;
	v.address = (uint16_t)(at->address + p->sf_offset);
	snprintf(v.name, sizeof v.name, "%u.%s", at->id, p->point->sf);
	return add_value(b, &v, &x);
}

/* Fill *v and *x for a SunSpec point, the n-th that the name means. false: the device has none of its models, an older,
 * shorter one, or fewer of the group. Of a model that is there twice the first is meant. */
static bool locate_sunspec(struct build *b, const struct source *s, size_t n, struct device_value *v, struct mapped *x)
{
	for (size_t k = 0; k < s->model_count; k++)
		for (size_t i = 0; i < b->sunspec->model_count; i++) {
			const struct device_model *at = &b->sunspec->models[i];
			const struct sunspec_model *def;
			struct place p;

			if (at->id != s->models[k] || (def = model_of(b, at->id)) == NULL ||
			    !sunspec_place(def, at->length, s->name, n, &p))
				continue;
			v->function = BUS_READ_HOLDING;
			v->address = (uint16_t)(at->address + p.offset);
			v->count = p.point->size;
			v->type = p.point->type;
			v->order = DEVICE_HIGH_FIRST;
			snprintf(v->name, sizeof v->name, "%u.%s", at->id, p.name);
			x->has_absent = p.point->has_absent;
			x->absent = p.point->absent;
			x->sf_constant = p.point->sf_constant;
			if (p.point->sf[0] == '\0')
				return true;
			v->scale_index = add_scale_factor(b, at, &p, v->rate);
			return v->scale_index >= 0;
		}
	return false;
}

static bool locate(struct build *b, const struct source *s, size_t n, struct device_value *v, struct mapped *x)
{
	v->scale = s->scale;
	v->scale_index = -1;
	x->source = s;
	if (s->sunspec)
		return b->sunspec != NULL && locate_sunspec(b, s, n, v, x);
	v->function = s->function;
	v->address = s->address;
	v->count = s->count;
	v->type = s->type;
	v->order = s->order;
	if (s->name[0] != '\0')
		str_copy(v->name, sizeof v->name, s->name);
	else
		snprintf(v->name, sizeof v->name, "%s %u", s->function == BUS_READ_INPUT ? "input" : "holding",
			 s->address);
	return n == 0;
}

/* ---- expressions ---- */

static struct node *build_value(struct build *b, const struct expr *x, size_t nth, int point, enum device_rate rate)
{
	struct device_value v = { .point = point, .rate = rate };
	struct mapped at = { .control = point >= 0 && point_is_control((enum device_point)point),
			     .required = point >= 0 && device_point((enum device_point)point)->required };
	struct node *n;

	if (!locate(b, &x->source, nth, &v, &at))
		return NULL;
	n = xcalloc(1, sizeof *n);
	n->scale = x->scale;
	n->value = add_value(b, &v, &at);
	return n;
}

static void add_term(struct node *n, struct node *term)
{
	n->terms = xrealloc(n->terms, n->term_count + 1, sizeof *n->terms);
	n->terms[n->term_count++] = term;
}

static struct node *build_node(struct build *b, const struct expr *x, int point, enum device_rate rate)
{
	struct node *n, *term;

	if (x->kind == EXPR_VALUE)
		return build_value(b, x, 0, point, rate);
	n = xcalloc(1, sizeof *n);
	n->kind = x->kind;
	n->scale = x->scale;
	n->skip_absent = x->skip_absent;
	for (size_t i = 0; i < x->term_count; i++) {
		const struct expr *t = x->terms[i];

		term = build_node(b, t, point, rate);
		if (term == NULL && (x->kind == EXPR_SUM || x->kind == EXPR_PRODUCT) && !x->skip_absent) {
			node_free(n); /* a sum without a part would be a wrong number */
			return NULL;
		}
		for (size_t nth = 1; term != NULL; nth++) {
			add_term(n, term);
			term = t->kind == EXPR_VALUE && t->source.each ? build_value(b, t, nth, point, rate) : NULL;
		}
	}
	if (n->term_count > 0)
		return n;
	node_free(n);
	return NULL;
}

static void build_points(struct build *b)
{
	const struct device_profile *p = b->m->profile;

	for (size_t i = 0; i < p->point_count && !b->failed; i++) {
		const struct point_def *d = &p->points[i];

		if (b->m->roles & 1u << device_point(d->point)->role)
			b->m->nodes[d->point] = build_node(b, d->expr, (int)d->point, d->rate);
	}
	for (int i = 0; i < POINT_COUNT && !b->failed; i++) {
		const struct device_point_info *info = device_point((enum device_point)i);

		if (info->required && b->m->roles & 1u << info->role && b->m->nodes[i] == NULL) {
			err_set(b->e, ERR_INPUT, 0, "the device has nothing for %s, which profile '%s' needs",
				info->name, p->id);
			b->failed = true;
		}
	}
}

/* ---- identity ---- */

/* Several model 1 in one list (an inverter with its meters): the one before the profile's first model is meant. */
static const struct device_model *identity_model(const struct build *b)
{
	const struct device_profile *p = b->m->profile;
	const struct device_model *one = NULL;

	for (size_t i = 0; i < b->sunspec->model_count; i++) {
		const struct device_model *at = &b->sunspec->models[i];

		if (at->id == 1 && at->length >= 64)
			one = at;
		for (size_t k = 0; one != NULL && k < p->need_count; k++)
			for (size_t n = 0; n < p->needs[k].count; n++)
				if (p->needs[k].models[n] == at->id)
					return one;
	}
	return one;
}

static void build_identity(struct build *b)
{
	static const struct { const char *name; uint16_t offset, count; } parts[IDENTITY_PARTS] = {
		[IDENTITY_MAKE] = { "make", 0, 16 }, [IDENTITY_MODEL] = { "model", 16, 16 },
		[IDENTITY_SERIAL] = { "serial", 48, 16 }, [IDENTITY_VERSION] = { "version", 40, 8 },
	};
	const struct device_model *one = b->sunspec != NULL ? identity_model(b) : NULL;

	for (size_t i = 0; i < IDENTITY_PARTS; i++) {
		const struct expr *own = b->m->profile->identity[i];
		struct device_value v = { .point = -1, .rate = DEVICE_ONCE, .scale = 1, .scale_index = -1 };
		struct mapped x = { .has_absent = false };
		bool there = false;

		if (own != NULL) {
			there = locate(b, &own->source, 0, &v, &x);
		} else if (one != NULL) {
			v.function = BUS_READ_HOLDING;
			v.address = (uint16_t)(one->address + parts[i].offset);
			v.count = parts[i].count;
			v.type = DEVICE_TEXT;
			there = true;
		}
		str_copy(v.name, sizeof v.name, parts[i].name);
		b->m->identity_values[i] = there ? add_value(b, &v, &x) : -1;
	}
}

/* ---- writes ---- */

static bool build_step(struct build *b, const struct step *s, struct mapped_step *out)
{
	struct mapped x = { .has_absent = false };

	*out = (struct mapped_step){ .step = s, .now = -1 };
	out->target.point = -1;
	out->target.rate = DEVICE_NORMAL; /* of its scale factor: a set-point by an old one is ten times wrong */
	if (!locate(b, &s->target, 0, &out->target, &x))
		return false;
	out->sf_constant = x.sf_constant;
	if (s->optional) {
		struct device_value v = out->target;

		v.function = s->read_function != 0 ? s->read_function : BUS_READ_HOLDING;
		v.rate = DEVICE_SLOW;
		out->now = add_value(b, &v, &x);
	}
	out->target.function = s->target.sunspec ? BUS_WRITE_REGISTERS : s->target.function;
	if (s->percent_of != NULL)
		out->percent_of = build_node(b, s->percent_of, -1, DEVICE_SLOW);
	return s->percent_of == NULL || out->percent_of != NULL;
}

/* A point whose registers the device lacks in part is not writable at all: half a set-point is none. */
static void build_writes(struct build *b)
{
	const struct device_profile *p = b->m->profile;

	b->m->writes = xcalloc(p->write_count + 1, sizeof *b->m->writes);
	for (size_t i = 0; i < p->write_count && !b->failed; i++) {
		const struct write_def *d = &p->writes[i];
		struct mapped_write *w = &b->m->writes[b->m->write_count];
		bool whole = (b->m->roles & 1u << device_point(d->point)->role) != 0;

		w->point = d->point;
		w->min = d->min;
		w->max = d->max;
		for (size_t k = 0; whole && k < d->step_count; k++) {
			struct mapped_step step;

			if (build_step(b, &d->steps[k], &step))
				w->steps[w->step_count++] = step;
			else
				whole = d->steps[k].optional;
		}
		if (whole) {
			b->m->write_count++;
			continue;
		}
		for (size_t k = 0; k < w->step_count; k++)
			node_free(w->steps[k].percent_of);
		*w = (struct mapped_write){ 0 };
	}
}

int device_map_new(const struct device_profile *p, unsigned roles, bool reversed, const struct device_sunspec *sunspec,
		   struct device_map **out, struct err *e)
{
	struct device_map *m;
	struct build b = { .e = e };

	if (roles & ~p->info.roles)
		return err_set(e, ERR_INPUT, 0, "profile '%s' does not fill every role that is asked of it", p->id);
	if (p->info.sunspec && (sunspec == NULL || !sunspec->found))
		return err_set(e, ERR_INPUT, 0, "profile '%s' is for SunSpec devices, and this one shows no SunSpec",
			       p->id);
	m = xcalloc(1, sizeof *m);
	m->profile = p;
	m->roles = roles;
	m->reversed = reversed;
	b.m = m;
	b.sunspec = p->info.sunspec ? sunspec : NULL;
	build_points(&b);
	if (!b.failed)
		build_identity(&b);
	if (!b.failed)
		build_writes(&b);
	sunspec_models_release(&b.models);
	if (b.failed) {
		device_map_free(m);
		return -1;
	}
	map_lay_blocks(m);
	*out = m;
	return 0;
}
