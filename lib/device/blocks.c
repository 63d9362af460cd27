/* Reads: values of one rate side by side, as far as the device allows; slower values ride along where a faster read
 * covers them. */
#include <string.h>

#include "device/live.h"

static bool covers(const struct device_block *b, const struct device_value *v)
{
	return b->function == v->function && v->address >= b->address && v->address + v->count <= b->address + b->count;
}

static int find_cover(const struct device_map *m, const struct device_value *v)
{
	for (size_t i = 0; i < m->block_count; i++)
		if (covers(&m->blocks[i], v))
			return (int)i;
	return -1;
}

static int add_block(struct device_map *m, const struct device_value *v)
{
	m->blocks = xrealloc(m->blocks, m->block_count + 1, sizeof *m->blocks);
	m->blocks[m->block_count] = (struct device_block){
		.function = v->function, .address = v->address, .count = v->count, .rate = v->rate
	};
	return (int)m->block_count++;
}

/* Let the last block reach to the value's end, when the gap and the sum allow. */
static bool reach(const struct device_map *m, struct device_block *b, const struct device_value *v)
{
	unsigned end = b->address + b->count, total = v->address + v->count - b->address;

	if (b->function != v->function || b->rate != v->rate || v->address > end + m->profile->info.block_gap ||
	    total > m->profile->info.block_max)
		return false;
	if (total > b->count)
		b->count = (uint16_t)total;
	return true;
}

/* A scale factor is read with the values that it scales, wherever one read can hold both: devices change it as they
 * go. */
static bool stretch(struct device_map *m, int sf)
{
	const struct device_value *v = &m->values[sf];

	for (size_t i = 0; i < m->value_count; i++) {
		struct device_block *b;
		unsigned first, end;

		if (m->values[i].scale_index != sf || m->mapped[i].block < 0)
			continue;
		b = &m->blocks[m->mapped[i].block];
		first = v->address < b->address ? v->address : b->address;
		end = b->address + b->count;
		if (end < (unsigned)v->address + v->count)
			end = v->address + v->count;
		if (b->function != v->function || end - first > m->profile->info.block_max)
			continue;
		b->address = (uint16_t)first;
		b->count = (uint16_t)(end - first);
		return true;
	}
	return false;
}

static const struct device_map *sorted_map; /* qsort has no argument; one thread, set around each sort */

static int by_place(const void *a, const void *b)
{
	const struct device_value *x = &sorted_map->values[*(const int *)a], *y = &sorted_map->values[*(const int *)b];

	if (x->rate != y->rate)
		return (int)x->rate - (int)y->rate;
	if (x->function != y->function)
		return x->function - y->function;
	return (int)x->address - (int)y->address;
}

static void place(struct device_map *m, int i)
{
	const struct device_value *v = &m->values[i];
	int block = find_cover(m, v);

	if (block < 0 && m->block_count > 0 && reach(m, &m->blocks[m->block_count - 1], v))
		block = (int)m->block_count - 1;
	if (block < 0)
		block = add_block(m, v);
	m->mapped[i].block = block;
}

void map_lay_blocks(struct device_map *m)
{
	auto_free int *order = xcalloc(m->value_count + 1, sizeof *order);

	for (size_t i = 0; i < m->value_count; i++) {
		order[i] = (int)i;
		m->mapped[i].block = -1;
	}
	sorted_map = m;
	qsort(order, m->value_count, sizeof *order, by_place);
	sorted_map = NULL;
	for (size_t i = 0; i < m->value_count; i++)
		if (!m->mapped[order[i]].is_sf)
			place(m, order[i]);
	for (size_t i = 0; i < m->value_count; i++)
		if (m->mapped[order[i]].is_sf) {
			m->values[order[i]].rate = DEVICE_ONCE;
			if (!stretch(m, order[i]))
				place(m, order[i]);
		}
	/* Blocks grew on both sides meanwhile: now each value finds its own, the fastest that covers it. */
	for (size_t i = 0; i < m->value_count; i++) {
		struct mapped *x = &m->mapped[i];

		x->block = find_cover(m, &m->values[i]);
		x->offset = (uint16_t)(m->values[i].address - m->blocks[x->block].address);
		m->blocks[x->block].control |= x->control;
		m->blocks[x->block].required |= x->required;
	}
	m->states = xcalloc(m->block_count + 1, sizeof *m->states);
}

size_t device_map_blocks(const struct device_map *m, const struct device_block **out)
{
	*out = m->blocks;
	return m->block_count;
}
