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

char *time_format(int64_t utc_us, char to[BASE_TIME_LEN])
{
	int64_t us = utc_us % US_PER_S;
	time_t s;
	struct tm tm;

	if (us < 0)
		us += US_PER_S;
	s = (utc_us - us) / US_PER_S;
	gmtime_r(&s, &tm);
	snprintf(to, BASE_TIME_LEN, "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ", tm.tm_year + 1900, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100, (unsigned)(us / 1000) % 1000);
	return to;
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
	struct tm tm = { 0 }, back;
	int year, month, us = 0;
	time_t t;

	if (!field(&s, 4, '-', &year) || !field(&s, 2, '-', &month) || !field(&s, 2, 'T', &tm.tm_mday) ||
	    !field(&s, 2, ':', &tm.tm_hour) || !field(&s, 2, 0, &tm.tm_min))
		return false;
	if (*s == ':') {
		s++;
		if (!field(&s, 2, 0, &tm.tm_sec))
			return false;
		if (*s == '.' && !fraction(&s, &us))
			return false;
	}
	if (!str_eq(s, "Z"))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	back = tm;
	/* timegm makes 1 March of 30 February; what it had to mend was no date. */
	t = timegm(&tm);
	if (tm.tm_year != back.tm_year || tm.tm_mon != back.tm_mon || tm.tm_mday != back.tm_mday ||
	    tm.tm_hour != back.tm_hour || tm.tm_min != back.tm_min || tm.tm_sec != back.tm_sec)
		return false;
	*utc_us = (int64_t)t * US_PER_S + us;
	return true;
}
