#include "tariff/tariff.h"

/* The last Sunday of a month of 31 days, 01:00 UTC. */
static int64_t last_sunday(int year, int month)
{
	int64_t last_us = time_midnight(year, month, 31);

	return last_us - ((time_date_of(last_us).weekday + 1) % 7) * 86400 * US_PER_S + 3600 * US_PER_S;
}

int64_t tariff_local_us(const struct tariff_clock *c, int64_t utc_us)
{
	int64_t local_us = utc_us + c->offset_min * 60 * US_PER_S;
	int year;

	if (!c->summer_eu)
		return local_us;
	year = time_date_of(utc_us).year;
	return utc_us >= last_sunday(year, 3) && utc_us < last_sunday(year, 10) ? local_us + 3600 * US_PER_S : local_us;
}

int64_t tariff_midnight_us(const struct tariff_clock *c, int year, int month, int day)
{
	int64_t local_us = time_midnight(year, month, day), utc_us = local_us - c->offset_min * 60 * US_PER_S;

	return tariff_local_us(c, utc_us) == local_us ? utc_us : utc_us - 3600 * US_PER_S;
}

char *tariff_clock_words(const struct tariff_clock *c, char to[64])
{
	int off = c->offset_min < 0 ? -c->offset_min : c->offset_min;

	if (!off && !c->summer_eu)
		str_copy(to, 64, "UTC");
	else
		snprintf(to, 64, "UTC%c%02d:%02d%s", c->offset_min < 0 ? '-' : '+', off / 60, off % 60,
			 c->summer_eu ? ", summer time of the EU" : "");
	return to;
}
