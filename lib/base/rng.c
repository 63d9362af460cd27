#include "base/base.h"

/* xoshiro256** 1.0 of Blackman and Vigna, seeded by splitmix64 as they advise (https://prng.di.unimi.it). */

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

void rng_seed(struct rng *r, uint64_t seed)
{
	for (size_t i = 0; i < COUNT_OF(r->s); i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

double rng_real(struct rng *r, double lo, double hi)
{
	double x = lo + (hi - lo) * ((double)(rng_next(r) >> 11) * 0x1p-53);

	return x < hi ? x : lo; /* rounding can reach hi */
}
