#include "out/out.h"

#include <math.h>
#include <string.h>

/* Blanks between groups of three digits before the point: "1 872.5"; a number of four digits and more becomes readable
 * from the other side of a plant room. */
static void group(char *to, size_t n, const char *digits)
{
	size_t at = 0, whole = strcspn(digits, ".");
	size_t first = *digits == '-' ? 1 : 0;

	for (size_t i = 0; digits[i] && at + 2 < n; i++) {
		if (i > first && i < whole && (whole - i) % 3 == 0)
			to[at++] = ' ';
		to[at++] = digits[i];
	}
	to[at] = '\0';
}

static bool scales(const char *unit)
{
	static const char *const units[] = { "W", "Wh", "VA", "var" };

	for (size_t i = 0; i < COUNT_OF(units); i++)
		if (str_eq(unit, units[i]))
			return true;
	return false;
}

/* kW from 1 000 W as it would be shown; MW from 10 000 kW, since a site's month is told in kWh. */
static const char *scale(double *value, int *decimals)
{
	double size = fabs(*value);

	if (round(size) < 1000) {
		*decimals = 0;
		return "";
	}
	if (*decimals < 1)
		*decimals = 1;
	if (round(size / 1e3) < 10000) {
		*value /= 1e3;
		if (size / 1e3 >= 999.95)
			*decimals = 0;
		return "k";
	}
	*value /= 1e6;
	return "M";
}

char *out_quantity(double value, const char *unit, int decimals, char to[32])
{
	const char *prefix = "";
	char digits[24], grouped[32], shown_unit[16] = "";

	if (!isfinite(value) || fabs(value) >= 1e15) {
		snprintf(to, 32, isnan(value) ? "-" : "%.3g%s%.12s", value, unit ? " " : "", unit ? unit : "");
		return to;
	}
	if (unit && scales(unit))
		prefix = scale(&value, &decimals);
	if (unit)
		snprintf(shown_unit, sizeof shown_unit, " %s%.12s", prefix, unit);
	/* -0.04 is 0.0, not -0.0. */
	if (fabs(value) < 0.5 * pow(10, -decimals))
		value = 0;
	snprintf(digits, sizeof digits, "%.*f", decimals < 0 ? 0 : decimals > 6 ? 6 : decimals, value);
	group(grouped, sizeof grouped, digits);
	snprintf(to, 32, "%s", grouped);
	strncat(to, shown_unit, 31 - strlen(to));
	return to;
}
