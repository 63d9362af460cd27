/* keep: SunSpec models in memory for a process that can open no file later (psecd-field after it entered its jail). */
#include "device/parts.h"

/* Once for the process: which models there are does not change while it runs. */
static struct sunspec_models kept;

const struct sunspec_model *sunspec_model_kept(uint16_t id)
{
	for (size_t i = 0; i < kept.count; i++)
		if (kept.all[i].id == id)
			return &kept.all[i];
	return NULL;
}

static int keep_source(void *arg, const struct source *s)
{
	for (size_t i = 0; s->sunspec && i < s->model_count; i++)
		if (sunspec_models_get(&kept, s->models[i], arg) == NULL)
			return -1;
	return 0;
}

int device_profile_keep(const struct device_profile *p, struct err *e)
{
	return profile_each(p, keep_source, e);
}
