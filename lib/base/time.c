#include "base/base.h"

#include <string.h>
#include <time.h>

#define UTC_2024_S INT64_C(1704067200)

static int64_t clock_us(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		return 0;
	return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

struct now now_read(void)
{
	struct now now = { .boot_us = clock_us(CLOCK_BOOTTIME), .utc_us = clock_us(CLOCK_REALTIME) };

	now.utc_valid = now.utc_us >= UTC_2024_S * US_PER_S;
	return now;
}

int time_left_ms(int64_t boot_us)
{
	int64_t left_us = boot_us - now_read().boot_us;

	if (left_us <= 0)
		return 0;
	return left_us / US_PER_MS >= INT32_MAX ? INT32_MAX : (int)((left_us + US_PER_MS - 1) / US_PER_MS);
}

/* The calendar is done here: gmtime and timegm of glibc open the time zone's file, which a jailed process may not.
 * Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March (H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int of_year = (int)(of_era - (365 * y + y / 4 - y / 100)), m = (5 * of_year + 2) / 153;

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + era * 400 + (*month <= 2);
}

char *time_format(int64_t utc_us, char to[BASE_TIME_LEN])
{
	int64_t day_us = 86400 * US_PER_S, days = utc_us / day_us, us = utc_us % day_us, year;
	int month, day, ms;

	if (us < 0) {
		us += day_us;
		days--;
	}
	ms = (int)(us / US_PER_MS);
	date_of(days, &year, &month, &day);
	snprintf(to, BASE_TIME_LEN, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, month, day, ms / 3600000,
		 ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
	return to;
}

struct time_date time_date_of(int64_t utc_us)
{
	int64_t day_us = 86400 * US_PER_S, days = utc_us / day_us, us = utc_us % day_us, year;
	struct time_date d;

	if (us < 0) {
		us += day_us;
		days--;
	}
	date_of(days, &year, &d.month, &d.day);
	d.year = (int)year;
	d.minute = (int)(us / (60 * US_PER_S));
	d.weekday = (int)(((days + 3) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	return d;
}

int64_t time_midnight(int year, int month, int day)
{
	return days_of(year, month, day) * 86400 * US_PER_S;
}

/* Exactly n digits at *s, which moves past them and past the character end. */
static bool field(const char **s, int n, char end, int *out)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	if (end && *(*s)++ != end)
		return false;
	*out = v;
	return true;
}

/* ".123456…": up to nine digits are read, six are kept. */
static bool fraction(const char **s, int *us)
{
	int weight = 100000, n = 0;

	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, n++, weight /= 10)
		*us += (**s - '0') * weight;
	return n > 0 && n <= 9;
}

bool time_parse(const char *s, int64_t *utc_us)
{
	int year, month, day, hour, minute, second = 0, us = 0, back_month, back_day;
	int64_t days, back_year;

	if (!field(&s, 4, '-', &year) || !field(&s, 2, '-', &month) || !field(&s, 2, 'T', &day) ||
	    !field(&s, 2, ':', &hour) || !field(&s, 2, 0, &minute))
		return false;
	if (*s == ':') {
		s++;
		if (!field(&s, 2, 0, &second))
			return false;
		if (*s == '.' && !fraction(&s, &us))
			return false;
	}
	if (!str_eq(s, "Z") || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
		return false;
	/* 30 February comes back as 1 March. */
	days = days_of(year, month, day);
	date_of(days, &back_year, &back_month, &back_day);
	if (back_month != month || back_day != day)
		return false;
	*utc_us = (((days * 24 + hour) * 60 + minute) * 60 + second) * US_PER_S + us;
	return true;
}
