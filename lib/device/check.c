/* Do a profile's SunSpec points exist? A name with a typing error would only look like a device that lacks it. */
#include "device/parts.h"

struct check { const struct device_profile *p; struct diag_sink *sink; struct sunspec_models models; };

static int check_place(void *arg, const struct source *s)
{
	struct check *c = arg;

	for (size_t i = 0; s->sunspec && i < s->model_count; i++) {
		struct err e = { 0 };
		const struct sunspec_model *m = sunspec_models_get(&c->models, s->models[i], &e);
		const char *fault = m != NULL ? sunspec_pattern_fault(m, s->name) : NULL;

		if (m == NULL)
			diag_report(c->sink, c->p->file, s->line, "model",
				    "is %u, which is no SunSpec model that psec knows", s->models[i]);
		if (fault != NULL)
			diag_report(c->sink, c->p->file, s->line, "point", "is %s, which %s (model %u)", s->name, fault,
				    s->models[i]);
	}
	return 0;
}

void profile_check_models(const struct device_profile *p, struct diag_sink *sink)
{
	struct check c = { .p = p, .sink = sink };

	(void)profile_each(p, check_place, &c);
	sunspec_models_release(&c.models);
}
