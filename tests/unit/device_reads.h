/* device_reads.h: how many requests a profile needs, merged and with one read a value; for a test and for the bench. */
#ifndef PSEC_TESTS_DEVICE_READS_H
#define PSEC_TESTS_DEVICE_READS_H

#include "device/live.h"

struct reads {
	size_t values, blocks;          /* a round of all: one read a value, scale factors too; merged */
	double values_hz, blocks_hz;    /* requests a second at the profile's rates */
};

/* A device that has the first model of each need, and all that the profile likes. */
static inline void device_for(const struct device_profile *p, struct device_sunspec *out)
{
	uint16_t ids[1 + PARTS_GROUPS + PARTS_MODELS] = { 1 }, at = 40002;
	size_t n = 1;

	*out = (struct device_sunspec){ .found = true, .base = 40000, .ended = true };
	for (size_t i = 0; i < p->need_count; i++)
		ids[n++] = p->needs[i].models[0];
	for (size_t i = 0; i < p->like_count; i++)
		ids[n++] = p->likes[i];
	for (size_t i = 0; i < n; i++) {
		struct sunspec_model m;
		uint16_t length;
		struct err e;

		if (sunspec_model_load(ids[i], &m, &e) < 0)
			continue;
		length = (uint16_t)(m.groups[0].size - 2 + (m.group_count > 1 ? 80 : 0)); /* four modules of model 160 */
		out->models[out->model_count++] = (struct device_model){ ids[i], (uint16_t)(at + 2), length };
		at = (uint16_t)(at + 2 + length);
		sunspec_model_release(&m);
	}
}

static inline double rate_hz(enum device_rate r, const struct device_timing *t)
{
	return r == DEVICE_FAST ? 1000.0 / (double)t->poll_ms : r == DEVICE_NORMAL ? 1 : r == DEVICE_SLOW ? 0.1 : 0;
}

static inline struct reads reads_of(const struct device_profile *p)
{
	struct device_sunspec s;
	struct device_map *m;
	struct reads out = { 0 };
	struct err e;

	device_for(p, &s);
	if (device_map_new(p, p->info.roles, false, p->info.sunspec ? &s : NULL, &m, &e) < 0)
		return out;
	out.values = m->value_count;
	out.blocks = m->block_count;
	for (size_t i = 0; i < m->value_count; i++)
		out.values_hz += rate_hz(m->values[i].rate, &p->info.timing);
	for (size_t i = 0; i < m->block_count; i++)
		out.blocks_hz += rate_hz(m->blocks[i].rate, &p->info.timing);
	device_map_free(m);
	return out;
}

#endif
