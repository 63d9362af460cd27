/* timing: how long a meter sample takes to become a set-point on the wire, as a histogram of fixed size. */
#include "field.h"

enum { PER_OCTAVE = 8 };

static size_t bucket_of(uint64_t us)
{
	unsigned octave;
	size_t b;

	if (us < PER_OCTAVE)
		return (size_t)us; /* exact where an octave has fewer values than buckets */
	octave = 63u - (unsigned)__builtin_clzll(us);
	b = (octave - 2) * PER_OCTAVE + (size_t)(us >> (octave - 3)) - PER_OCTAVE;
	return b < TIMING_BUCKETS ? b : TIMING_BUCKETS - 1;
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

void timing_add(struct timing *t, int64_t us)
{
	if (us < 0)
		return;
	t->buckets[bucket_of((uint64_t)us)]++;
	t->count++;
	if (us > t->max_us)
		t->max_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static uint32_t quantile(const struct timing *t, uint64_t per_mille)
{
	uint64_t want = (t->count * per_mille + 999) / 1000, seen = 0;

	for (size_t b = 0; b < TIMING_BUCKETS; b++) {
		seen += t->buckets[b];
		if (seen >= want)
			return highest_of(b) < t->max_us ? highest_of(b) : t->max_us;
	}
	return t->max_us;
}

struct wire_timing timing_sum(const struct timing *t)
{
	return t->count == 0 ? (struct wire_timing){ 0 }
			     : (struct wire_timing){ .count = t->count, .p50_us = quantile(t, 500), .p99_us = quantile(t, 990),
						     .p999_us = quantile(t, 999), .max_us = t->max_us };
}
