#include "search.h"

#include <string.h>

/* Commonest first: what the sources of device-facts name (9600 four times in five; 19200; 115200 for gensets) and the
 * standard's default, 19200 E (MSL 2.5.1). Two stop bits are not tried by themselves: a receiver needs only one, and
 * the second is but a longer pause. */
static const struct { uint32_t baud; char parity; } settings[] = {
	{ 9600, 'N' }, { 19200, 'E' }, { 19200, 'N' }, { 9600, 'E' }, { 115200, 'N' }, { 38400, 'N' },
	{ 4800, 'N' }, { 2400, 'N' }, { 57600, 'N' }, { 38400, 'E' }, { 9600, 'O' }, { 19200, 'O' },
};

/* Factory settings first: 1 nearly everywhere; 247 GoodWe, 10 DSE, 126 Fronius, 240 SMA-like meters, 100, 20. */
static const uint8_t first_rtu[] = { 1, 2, 3 }, later_rtu[] = { 247, 10, 4, 5, 6, 7, 8, 9, 20, 100, 126, 240 };
static const uint8_t likely_tcp[] = { 1, 2, 3, 255, 247, 71, 100, 126, 240, 0 };
enum { SURE_TCP = 2, SERIAL_MAX = 247 };

static void list(struct search *s, const uint8_t *units, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s->listed[units[i]])
			continue;
		s->listed[units[i]] = true;
		s->units[s->unit_count++] = units[i];
	}
}

/* A profile may name 0 and 255, which are no devices of a serial line. */
static void list_own(struct search *s, const struct bus_address *a, const struct search_wish *w)
{
	for (size_t i = 0; i < w->own_count; i++)
		if (a->kind == BUS_TCP || (w->own[i] > 0 && w->own[i] <= SERIAL_MAX))
			list(s, &w->own[i], 1);
}

void search_init(struct search *s, const struct bus_address *a, const struct search_wish *w)
{
	uint8_t all[247];

	*s = (struct search){ .on_line = a->kind == BUS_RTU, .settled = a->kind != BUS_RTU || w->setting_given };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		all[i] = (uint8_t)(i + 1);
	if (a->has_unit)
		list(s, &a->unit, 1);
	else
		list(s, a->kind == BUS_TCP ? likely_tcp : first_rtu,
		     a->kind == BUS_TCP ? SURE_TCP : COUNT_OF(first_rtu));
	if (!a->has_unit && (a->kind == BUS_TCP || w->few))
		list_own(s, a, w);
	s->sure = s->unit_count;
	if (!a->has_unit && a->kind == BUS_TCP)
		list(s, likely_tcp, COUNT_OF(likely_tcp));
	s->ends[0] = s->unit_count;
	if (!a->has_unit && a->kind != BUS_TCP && !w->few) {
		list_own(s, a, w);
		list(s, later_rtu, COUNT_OF(later_rtu));
	}
	s->ends[1] = s->unit_count;
	if (!a->has_unit && w->every_unit)
		list(s, all, COUNT_OF(all));
	s->ends[2] = s->unit_count;
}

void search_setting(const struct search *s, struct bus_address *a)
{
	a->baud = settings[s->setting].baud;
	a->parity = settings[s->setting].parity;
	a->stop = 1;
}

bool search_is_sure(const struct search *s)
{
	return s->unit_at < s->sure;
}

static size_t begin_of(const struct search *s, size_t round)
{
	return round ? s->ends[round - 1] : 0;
}

enum search_step search_next(struct search *s)
{
	if (s->again_count) {
		s->unit = s->again[0];
		memmove(s->again, s->again + 1, --s->again_count);
		return SEARCH_UNIT;
	}
	if (s->unit_at < (s->settled ? s->unit_count : s->ends[s->round])) {
		s->unit = s->units[s->unit_at++];
		return SEARCH_UNIT;
	}
	if (s->settled)
		return SEARCH_END;
	if (++s->setting == COUNT_OF(settings)) {
		s->setting = 0;
		do
			s->round++;
		while (s->round < SEARCH_ROUNDS && begin_of(s, s->round) == s->ends[s->round]);
	}
	if (s->round == SEARCH_ROUNDS) {
		s->setting = 0;
		return SEARCH_END;
	}
	s->unit_at = begin_of(s, s->round);
	return SEARCH_SETTING;
}

void search_settle(struct search *s)
{
	s->settled = true;
}

bool search_again(struct search *s, uint8_t unit)
{
	if (!s->listed[unit] || s->again_count == SEARCH_AGAIN_MAX)
		return false;
	s->listed[unit] = false; /* once */
	s->again[s->again_count++] = unit;
	return true;
}

size_t search_left(const struct search *s)
{
	size_t left = s->again_count;

	if (s->settled)
		return left + s->unit_count - s->unit_at;
	left += s->ends[s->round] - s->unit_at;
	left += (COUNT_OF(settings) - 1 - s->setting) * (s->ends[s->round] - begin_of(s, s->round));
	return left + COUNT_OF(settings) * (s->unit_count - s->ends[s->round]);
}

void search_words(const struct search *s, const struct bus_address *a, char to[64])
{
	int n = s->on_line ? snprintf(to, 64, "%u 8%c%u, ", a->baud, a->parity, a->stop) : 0;

	snprintf(to + n, 64 - (size_t)n, "unit %u (%zu of %zu)", s->unit, s->unit_at, s->unit_count);
}
