/* keep: SunSpec models in memory for a process that can open no file later (psecd-field after it entered its jail). */
#include <string.h>

#include "device/parts.h"

/* Once for the process: which models there are does not change while it runs. */
static struct sunspec_model *kept;
static size_t kept_count;

const struct sunspec_model *sunspec_model_kept(uint16_t id)
{
	for (size_t i = 0; i < kept_count; i++)
		if (kept[i].id == id)
			return &kept[i];
	return NULL;
}

static int keep_source(const struct source *s, struct err *e)
{
	struct sunspec_model m;

	for (size_t i = 0; s->sunspec && i < s->model_count; i++) {
		if (sunspec_model_kept(s->models[i]) != NULL)
			continue;
		if (sunspec_model_load(s->models[i], &m, e) < 0)
			return -1;
		kept = xrealloc(kept, kept_count + 1, sizeof *kept);
		kept[kept_count++] = m;
	}
	return 0;
}

static int keep_expr(const struct expr *x, struct err *e)
{
	int r = 0;

	if (x == NULL)
		return 0;
	if (x->kind == EXPR_VALUE)
		return keep_source(&x->source, e);
	for (size_t i = 0; r == 0 && i < x->term_count; i++)
		r = keep_expr(x->terms[i], e);
	return r;
}

static int keep_write(const struct write_def *w, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->step_count; i++)
		if ((r = keep_source(&w->steps[i].target, e)) == 0)
			r = keep_expr(w->steps[i].percent_of, e);
	return r;
}

int device_profile_keep(const struct device_profile *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->point_count; i++)
		r = keep_expr(p->points[i].expr, e);
	for (size_t i = 0; r == 0 && i < p->write_count; i++)
		r = keep_write(&p->writes[i], e);
	for (size_t i = 0; r == 0 && i < IDENTITY_PARTS; i++)
		r = keep_expr(p->identity[i], e);
	return r;
}
