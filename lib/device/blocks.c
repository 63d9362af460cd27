/* Reads: values of one rate side by side, as far as the device allows; slower values ride along where a faster read
 * covers them. */
#include <string.h>

#include "device/live.h"

/* What must arrive in one read: the value and, where one read can hold both, its scale factor. */
struct extent { uint32_t first, end; bool whole; };

static struct extent extent_of(const struct device_map *m, size_t i)
{
	const struct device_value *v = &m->values[i], *sf;
	struct extent x = { v->address, (uint32_t)v->address + v->count, true }, both = x;

	if (v->scale_index < 0)
		return x;
	sf = &m->values[v->scale_index];
	if (sf->address < both.first)
		both.first = sf->address;
	if (sf->address + 1u > both.end)
		both.end = sf->address + 1u;
	if (sf->function == v->function && both.end - both.first <= m->profile->info.block_max)
		return both;
	x.whole = false;
	return x;
}

/* A block that holds it and is read often enough. */
static int find_cover(const struct device_map *m, size_t i, const struct extent *x)
{
	for (size_t k = 0; k < m->block_count; k++) {
		const struct device_block *b = &m->blocks[k];

		if (b->function == m->values[i].function && b->rate <= m->values[i].rate && x->first >= b->address &&
		    x->end <= (uint32_t)b->address + b->count)
			return (int)k;
	}
	return -1;
}

/* Let the last block reach to the end of x, when the gap and the sum allow. */
static bool reach(const struct device_map *m, struct device_block *b, const struct device_value *v,
		  const struct extent *x)
{
	uint32_t end = (uint32_t)b->address + b->count, total;

	if (b->function != v->function || b->rate != v->rate || x->first < b->address ||
	    x->first > end + m->profile->info.block_gap)
		return false;
	total = (x->end > end ? x->end : end) - b->address;
	if (total > m->profile->info.block_max)
		return false;
	b->count = (uint16_t)total;
	return true;
}

static void place(struct device_map *m, size_t i)
{
	const struct device_value *v = &m->values[i];
	struct extent x = extent_of(m, i);

	if (find_cover(m, i, &x) >= 0 ||
	    (m->block_count > 0 && reach(m, &m->blocks[m->block_count - 1], v, &x)))
		return;
	m->blocks = xrealloc(m->blocks, m->block_count + 1, sizeof *m->blocks);
	m->blocks[m->block_count++] = (struct device_block){
		.function = v->function, .address = (uint16_t)x.first, .count = (uint16_t)(x.end - x.first),
		.rate = v->rate
	};
}

static const struct device_map *sorted_map; /* qsort has no argument; one thread, set around each sort */

static int by_place(const void *a, const void *b)
{
	size_t i = *(const size_t *)a, k = *(const size_t *)b;
	const struct device_value *x = &sorted_map->values[i], *y = &sorted_map->values[k];
	struct extent p = extent_of(sorted_map, i), q = extent_of(sorted_map, k);

	if (x->rate != y->rate)
		return (int)x->rate - (int)y->rate;
	if (x->function != y->function)
		return x->function - y->function;
	return (int)p.first - (int)q.first;
}

/* Each value finds its block, the fastest that holds it; blocks grew since it was placed. */
static void settle(struct device_map *m, size_t i)
{
	struct mapped *x = &m->mapped[i];
	struct extent here = extent_of(m, i);
	const struct device_value *v = &m->values[i];

	x->block = find_cover(m, i, &here);
	x->offset = (uint16_t)(v->address - m->blocks[x->block].address);
	x->sf_offset = -1;
	m->blocks[x->block].control |= x->control;
	m->blocks[x->block].required |= x->required;
	if (v->scale_index >= 0 && here.whole)
		x->sf_offset = m->values[v->scale_index].address - m->blocks[x->block].address;
	else if (v->scale_index >= 0)
		x->pair = xcalloc(1, sizeof *x->pair);
}

void map_lay_blocks(struct device_map *m)
{
	auto_free size_t *order = xcalloc(m->value_count + 1, sizeof *order);

	for (size_t i = 0; i < m->value_count; i++)
		order[i] = i;
	sorted_map = m;
	qsort(order, m->value_count, sizeof *order, by_place);
	sorted_map = NULL;
	for (size_t i = 0; i < m->value_count; i++)
		if (!m->mapped[order[i]].is_sf)
			place(m, order[i]);
	/* Scale factors came with their values; what is left is read by itself, as often as its fastest value. */
	for (size_t i = 0; i < m->value_count; i++)
		if (m->mapped[order[i]].is_sf)
			place(m, order[i]);
	for (size_t i = 0; i < m->value_count; i++)
		settle(m, i);
	m->states = xcalloc(m->block_count + 1, sizeof *m->states);
}

size_t device_map_blocks(const struct device_map *m, const struct device_block **out)
{
	*out = m->blocks;
	return m->block_count;
}
