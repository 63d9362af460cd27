/* Which registers answer. Bounded: a range that a person names is looked through by halves; without one, islands are
 * looked for where devices have them, and followed to their shores. */
#include <string.h>

#include "survey/inside.h"

enum { BLOCK = 32, REACH = 64, ISLAND_MAX = 2048, EVERYWHERE_BLOCK = 16 };

static struct bank *bank_of(const struct survey *s, uint8_t function)
{
	return s->banks[function];
}

/* Every register of first…first+count-1 that answers; false: stopped. */
static bool look_through(struct survey *s, uint8_t function, uint32_t first, uint32_t count)
{
	int r = survey_probe(s, function, first, count);

	if (r < 0)
		return false;
	if (r > 0 || count == 1)
		return true;
	return look_through(s, function, first, count / 2) &&
	       look_through(s, function, first + count / 2, count - count / 2);
}

/* Follow an island from what is known of it upwards or downwards; the steps grow while it lasts and shrink at its
 * shore. */
static bool follow(struct survey *s, uint8_t function, uint32_t from, bool up)
{
	const struct bank *b = bank_of(s, function);
	uint32_t at = from, step = 8, went = 0;

	while (step > 0 && went < ISLAND_MAX) {
		uint32_t room = up ? 65535 - at : at, n = step < room ? step : room, first = up ? at + 1 : at - n;
		int r;

		if (n == 0)
			return true;
		if (b->here[up ? at + 1 : at - 1]) {
			at = up ? at + 1 : at - 1; /* met another part of it */
			continue;
		}
		r = survey_probe(s, function, first, n);
		if (r < 0)
			return false;
		if (r == 0) {
			step = n / 2;
			continue;
		}
		at = up ? at + n : at - n;
		went += n;
		step = step < REACH / 2 ? 2 * step : REACH;
	}
	return true;
}

/* Some devices give a value of two registers whole or not at all. */
static bool try_at(struct survey *s, uint8_t function, uint32_t address, bool pair)
{
	int r;

	if (bank_of(s, function)->here[address])
		return true;
	r = survey_probe(s, function, address, 1);
	if (r == 0 && pair && address < 65535)
		r = survey_probe(s, function, address, 2);
	if (r <= 0)
		return r == 0;
	return follow(s, function, bank_of(s, function)->here[address + (address < 65535)] ? address + 1 : address,
		      true) &&
	       follow(s, function, address, false);
}

/* What answered does not count as found. */
static void forget(struct survey *s, uint8_t function, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		bank_of(s, function)->here[first + i] = false;
	s->found -= count;
}

/* A device that answers at any address says 0 where it has nothing: only what is not counts, and nothing is
 * followed. */
static bool try_everywhere(struct survey *s, uint8_t function, uint32_t address)
{
	const struct bank *b = bank_of(s, function);
	uint32_t first = address - address % EVERYWHERE_BLOCK;
	bool something = false;
	int r;

	if (b->here[first])
		return true;
	r = survey_probe(s, function, first, EVERYWHERE_BLOCK);
	if (r <= 0)
		return r == 0;
	for (uint32_t i = 0; i < EVERYWHERE_BLOCK; i++)
		something |= b->now[first + i] != 0 && b->now[first + i] != 0xFFFF;
	if (!something)
		forget(s, function, first, EVERYWHERE_BLOCK);
	return true;
}

static bool answers_everywhere(struct survey *s, uint8_t function)
{
	static const uint16_t nowhere[] = { 61234, 47113, 23579 };

	for (size_t i = 0; i < COUNT_OF(nowhere); i++)
		if (survey_probe(s, function, nowhere[i], 1) <= 0)
			return false;
	for (size_t i = 0; i < COUNT_OF(nowhere); i++)
		forget(s, function, nowhere[i], 1);
	return true;
}

static bool look_at(struct survey *s, uint8_t function, uint32_t address, bool pair)
{
	return s->everywhere[function] ? try_everywhere(s, function, address) : try_at(s, function, address, pair);
}

/* Where the devices of the catalogue have their registers. */
static bool look_at_hints(struct survey *s, const struct device_catalogue *c)
{
	const struct device_profile *p;
	bool go_on = true;

	for (size_t i = 0; go_on && c != NULL && (p = device_profile_at(c, i)) != NULL; i++) {
		const struct device_block *blocks;
		struct device_map *m;
		struct err e;
		size_t n;

		if (device_profile_info(p)->sunspec ||
		    device_map_new(p, device_profile_info(p)->roles, false, NULL, &m, &e) < 0)
			continue;
		n = device_map_blocks(m, &blocks);
		for (size_t k = 0; go_on && k < n; k++)
			go_on = look_at(s, blocks[k].function, blocks[k].address, true);
		device_map_free(m);
	}
	return go_on;
}

/* Round numbers, close together where most maps begin. */
static bool look_at_grid(struct survey *s)
{
	for (uint32_t a = 0; a < 65536; a += a < 1000 ? 20 : a < 10000 ? 100 : 250)
		if (!look_at(s, BUS_READ_INPUT, a, false) || !look_at(s, BUS_READ_HOLDING, a, false))
			return false;
	for (uint32_t a = 0; a < 65536; a += 0x400)
		if (!look_at(s, BUS_READ_INPUT, a, false) || !look_at(s, BUS_READ_HOLDING, a, false))
			return false;
	return true;
}

int survey_map(struct survey *s, const struct survey_range *wanted, size_t count, const struct device_catalogue *hints,
	       struct err *e)
{
	bool go_on = true;

	for (size_t i = 0; go_on && i < count; i++)
		for (uint32_t a = wanted[i].first; go_on && a <= wanted[i].last; a += BLOCK)
			go_on = look_through(s, wanted[i].function, a,
					     wanted[i].last - a + 1u < BLOCK ? wanted[i].last - a + 1u : BLOCK);
	if (count == 0) {
		s->everywhere[BUS_READ_INPUT] = answers_everywhere(s, BUS_READ_INPUT);
		s->everywhere[BUS_READ_HOLDING] = answers_everywhere(s, BUS_READ_HOLDING);
		(void)(look_at_hints(s, hints) && look_at_grid(s));
	}
	if (!s->answered)
		return err_set(e, ERR_UNREACHABLE, 0, "%s", s->why[0] ? s->why : "no answer");
	return 0;
}

size_t survey_ranges(const struct survey *s, struct survey_range out[SURVEY_RANGES_MAX])
{
	size_t n = 0;

	for (uint8_t f = BUS_READ_HOLDING; f <= BUS_READ_INPUT; f++) {
		const struct bank *b = bank_of(s, f);

		for (uint32_t a = 0; a < 65536; a++) {
			if (!b->here[a])
				continue;
			if (a > 0 && b->here[a - 1] && n > 0 && out[n - 1].function == f)
				out[n - 1].last = (uint16_t)a;
			else if (n < SURVEY_RANGES_MAX)
				out[n++] = (struct survey_range){ f, (uint16_t)a, (uint16_t)a };
			else
				return n;
		}
	}
	return n;
}

int survey_read(struct survey *s, struct err *e)
{
	struct survey_range ranges[SURVEY_RANGES_MAX];
	size_t n = survey_ranges(s, ranges);
	uint32_t block = s->longest > BLOCK ? BLOCK : s->longest;

	for (size_t i = 0; i < n; i++) {
		struct bank *b = bank_of(s, ranges[i].function);

		for (uint32_t a = ranges[i].first; a <= ranges[i].last; a += block) {
			uint32_t most = ranges[i].last - a + 1u < block ? ranges[i].last - a + 1u : block;

			memcpy(&b->before[a], &b->now[a], most * sizeof *b->now);
			if (!look_through(s, ranges[i].function, a, most))
				return err_set(e, ERR_UNREACHABLE, 0, "the second reading did not end: %s", s->stopped);
		}
	}
	return 0;
}
