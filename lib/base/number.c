#include "base/base.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *skip_digits(const char *s)
{
	while (is_digit(*s))
		s++;
	return s;
}

bool parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	const char *p = *s == '-' ? s + 1 : s;
	bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
	long long v;
	char *end;

	/* strtoll alone would take blanks, a plus sign, and nothing at all. */
	if (hex ? !is_hex(p[2]) : !is_digit(p[0]))
		return false;
	errno = 0;
	v = strtoll(s, &end, hex ? 16 : 10);
	if (errno || *end || v < min || v > max)
		return false;
	*out = v;
	return true;
}

/* Where a decimal number that starts at s ends; s itself when there is none. */
static const char *real_end(const char *s)
{
	const char *p = *s == '-' ? s + 1 : s;
	const char *q = skip_digits(p);

	if (q == p)
		return s;
	if (*q == '.') {
		p = skip_digits(q + 1);
		if (p == q + 1)
			return s;
		q = p;
	}
	if (*q == 'e' || *q == 'E') {
		p = q[1] == '-' || q[1] == '+' ? q + 2 : q + 1;
		if (is_digit(*p))
			q = skip_digits(p);
	}
	return q;
}

/* glibc's newlocale of "C" gives its constant object and takes no memory; the point is a point whatever main set. */
static double c_strtod(const char *s)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	double v = c ? strtod_l(s, NULL, c) : strtod(s, NULL);

	if (c)
		freelocale(c);
	return v;
}

bool parse_real(const char *s, double min, double max, double *out)
{
	const char *end = real_end(s);
	double v;

	if (end == s || *end)
		return false;
	v = c_strtod(s);
	if (!isfinite(v) || v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool parse_duration(const char *s, int64_t unit_ms, int64_t min_ms, int64_t max_ms, int64_t *out_ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	const char *unit = real_end(s);
	double v;

	if (unit == s || unit - s > 24)
		return false;
	if (*unit) {
		unit_ms = 0;
		for (size_t i = 0; i < COUNT_OF(units); i++)
			if (str_eq(unit, units[i].name))
				unit_ms = units[i].ms;
		if (!unit_ms)
			return false;
	}
	/* The number ends where the unit starts; a double holds every millisecond of 285,000 years. */
	v = round(c_strtod(s) * (double)unit_ms);
	if (!(fabs(v) <= 9007199254740992.0) || (int64_t)v < min_ms || (int64_t)v > max_ms)
		return false;
	*out_ms = (int64_t)v;
	return true;
}

double clamp_real(double x, double lo, double hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}
