/* Do a profile's SunSpec points exist? A name with a typing error would only look like a device that lacks it. */
#include "device/parts.h"

struct check { const struct device_profile *p; struct diag_sink *sink; struct sunspec_model *models; size_t count; };

static const struct sunspec_model *load(struct check *c, uint16_t id, int line)
{
	struct err e = { 0 };

	for (size_t i = 0; i < c->count; i++)
		if (c->models[i].id == id)
			return &c->models[i];
	c->models = xrealloc(c->models, c->count + 1, sizeof *c->models);
	if (sunspec_model_load(id, &c->models[c->count], &e) == 0)
		return &c->models[c->count++];
	diag_report(c->sink, c->p->file, line, "model", "is %u, which is no SunSpec model that psec knows", id);
	return NULL;
}

static void check_place(struct check *c, const struct source *s)
{
	for (size_t i = 0; s->sunspec && i < s->model_count; i++) {
		const struct sunspec_model *m = load(c, s->models[i], s->line);
		const char *fault = m != NULL ? sunspec_pattern_fault(m, s->name) : NULL;

		if (fault != NULL)
			diag_report(c->sink, c->p->file, s->line, "point", "is %s, which %s (model %u)", s->name, fault,
				    s->models[i]);
	}
}

static void check_expr(struct check *c, const struct expr *x)
{
	if (x == NULL)
		return;
	if (x->kind == EXPR_VALUE)
		check_place(c, &x->source);
	for (size_t i = 0; i < x->term_count; i++)
		check_expr(c, x->terms[i]);
}

void profile_check_models(const struct device_profile *p, struct diag_sink *sink)
{
	struct check c = { .p = p, .sink = sink };

	for (size_t i = 0; i < p->point_count; i++)
		check_expr(&c, p->points[i].expr);
	for (size_t i = 0; i < p->write_count; i++)
		for (size_t k = 0; k < p->writes[i].step_count; k++) {
			check_place(&c, &p->writes[i].steps[k].target);
			check_expr(&c, p->writes[i].steps[k].percent_of);
		}
	for (size_t i = 0; i < IDENTITY_PARTS; i++)
		check_expr(&c, p->identity[i]);
	for (size_t i = 0; i < c.count; i++)
		sunspec_model_release(&c.models[i]);
	free(c.models);
}
