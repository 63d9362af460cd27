#include "base/base.h"

enum { PER_OCTAVE = 8 };

static size_t bucket_of(uint64_t us)
{
	unsigned octave;
	size_t b;

	if (us < PER_OCTAVE)
		return (size_t)us; /* exact where an octave has fewer values than buckets */
	octave = 63u - (unsigned)__builtin_clzll(us);
	b = (octave - 2) * PER_OCTAVE + (size_t)(us >> (octave - 3)) - PER_OCTAVE;
	return b < SPREAD_BUCKETS ? b : SPREAD_BUCKETS - 1;
}

/* The highest value of a bucket, so that a quantile is never told too good. */
static uint32_t highest_of(size_t b)
{
	unsigned octave;

	if (b < PER_OCTAVE)
		return (uint32_t)b;
	octave = (unsigned)(b / PER_OCTAVE) + 2;
	return (uint32_t)(((uint64_t)(b % PER_OCTAVE + PER_OCTAVE + 1) << (octave - 3)) - 1);
}

void spread_add(struct spread *s, int64_t us)
{
	if (us < 0)
		return;
	s->buckets[bucket_of((uint64_t)us)]++;
	s->count++;
	if (us > s->max_us)
		s->max_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

uint32_t spread_quantile(const struct spread *s, unsigned per_mille)
{
	uint64_t want = (s->count * per_mille + 999) / 1000, seen = 0;

	for (size_t b = 0; b + 1 < SPREAD_BUCKETS; b++) {
		seen += s->buckets[b];
		if (seen >= want)
			return highest_of(b) < s->max_us ? highest_of(b) : s->max_us;
	}
	return s->max_us;
}

void spread_merge(struct spread *into, const struct spread *more)
{
	for (size_t b = 0; b < SPREAD_BUCKETS; b++)
		into->buckets[b] += more->buckets[b];
	into->count += more->count;
	if (more->max_us > into->max_us)
		into->max_us = more->max_us;
}
