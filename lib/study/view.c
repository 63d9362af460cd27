#include "view.h"

#include <math.h>
#include <string.h>

static const char *const months[] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};
#define DAY_US (86400 * US_PER_S)

int64_t view_utc_us(const struct study *s, size_t step)
{
	return s->series->start_utc_us + (int64_t)step * s->series->step_us;
}

struct time_date view_date(const struct study *s, size_t step)
{
	return time_date_of(tariff_local_us(&s->tariff->clock, view_utc_us(s, step)));
}

double view_hours(const struct study *s)
{
	return (double)s->series->step_us / (3600.0 * US_PER_S);
}

double *view_kilo(const double *values, size_t count)
{
	double *k = xcalloc(count, sizeof *k);

	for (size_t i = 0; i < count; i++)
		k[i] = values[i] / 1000;
	return k;
}

void view_least_mean_most(const double *values, size_t count, size_t stride, double v[3])
{
	double sum = 0;
	size_t n = 0;

	v[0] = v[2] = NAN;
	for (size_t i = 0; i < count; i++) {
		double x = values[i * stride];

		if (isnan(x))
			continue;
		v[0] = fmin(v[0], x);
		v[2] = fmax(v[2], x);
		sum += x;
		n++;
	}
	v[1] = n ? sum / (double)n : NAN;
}

size_t view_shown_case(const struct study *s)
{
	size_t best = 0;

	for (size_t i = 1; i < s->count; i++)
		if (s->results[best].of.mode == SITE_MODE_OFF || s->results[i].saving_eur > s->results[best].saving_eur)
			best = i;
	return best;
}

/* ---- parts of time ---- */

enum part { MONTH, DAY, HOUR };

static bool same(const struct time_date *a, const struct time_date *b, enum part part)
{
	return a->year == b->year && a->month == b->month && (part == MONTH || a->day == b->day) &&
	       (part != HOUR || a->minute / 60 == b->minute / 60);
}

static void name_of(const struct time_date *d, enum part part, char label[LABEL_LEN], char name[LABEL_LEN])
{
	if (part == MONTH) {
		snprintf(label, LABEL_LEN, "%s", months[d->month - 1]);
		snprintf(name, LABEL_LEN, "%d-%02d", d->year, d->month);
	} else if (part == DAY) {
		snprintf(label, LABEL_LEN, "%d %s", d->day, months[d->month - 1]);
		snprintf(name, LABEL_LEN, "%d-%02d-%02d", d->year, d->month, d->day);
	} else {
		snprintf(label, LABEL_LEN, "%02d:00", d->minute / 60);
		snprintf(name, LABEL_LEN, "%02d-%02d %02d:00", d->month, d->day, d->minute / 60);
	}
}

void view_buckets(const struct study *s, struct view_buckets *out)
{
	static const char *const words[] = { "month", "day", "hour" };
	int64_t span_us = (int64_t)s->series->count * s->series->step_us;
	enum part part = span_us > 62 * DAY_US ? MONTH : span_us > 2 * DAY_US ? DAY : HOUR;
	struct time_date last = { 0 };

	out->word = words[part];
	out->count = 0;
	for (size_t i = 0; i < s->series->count; i++) {
		struct time_date d = view_date(s, i);

		if (out->count && same(&d, &last, part)) {
			out->at[out->count - 1].to = i + 1;
			continue;
		}
		if (out->count == BUCKETS_MAX)
			break;
		last = d;
		out->at[out->count].from = i;
		out->at[out->count].to = i + 1;
		name_of(&d, part, out->at[out->count].label, out->at[out->count].name);
		out->count++;
	}
}

/* A tick where a month, a day or some hours begin. */
static bool tick_here(const struct time_date *d, int64_t span_us, int64_t *every)
{
	*every = 1;
	if (span_us > 62 * DAY_US) {
		*every = 1 + span_us / (366 * DAY_US);
		return d->day == 1 && d->minute == 0;
	}
	if (span_us > 2 * DAY_US) {
		*every = 1 + span_us / (8 * DAY_US);
		return d->minute == 0;
	}
	return d->minute % (span_us > DAY_US / 2 ? 360 : span_us > DAY_US / 4 ? 120 : 60) == 0;
}

void view_ticks(const struct study *s, size_t from, size_t to, struct view_ticks *out)
{
	int64_t span_us = (int64_t)(to - from) * s->series->step_us, every, n = 0;
	char name[LABEL_LEN];

	out->count = 0;
	for (size_t i = from; i < to && out->count < TICKS_MAX; i++) {
		struct time_date d = view_date(s, i);

		if (!tick_here(&d, span_us, &every) || n++ % every)
			continue;
		name_of(&d,
			span_us > 62 * DAY_US  ? MONTH
			: span_us > 2 * DAY_US ? DAY
					       : HOUR,
			out->labels[out->count], name);
		out->at[out->count] = (struct page_tick){ (double)(i - from), out->labels[out->count] };
		out->count++;
	}
}

bool view_best_day(const struct study *s, const struct study_result *r, size_t *from, size_t *to)
{
	size_t whole = (size_t)(DAY_US / s->series->step_us), begin = 0;
	double best = -1;

	for (size_t i = 1; i <= s->series->count; i++) {
		struct time_date a = view_date(s, begin),
				 b = i < s->series->count ? view_date(s, i) : (struct time_date){ 0 };
		double sum = 0;

		if (i < s->series->count && same(&a, &b, DAY))
			continue;
		for (size_t k = begin; k < i; k++)
			sum += r->of.mode == SITE_MODE_OFF ? s->series->pv_w[k] : fabs(r->battery_w[k]);
		if (i - begin == whole && sum > best) { /* false for a sum with a gap in it */
			best = sum;
			*from = begin;
			*to = i;
		}
		begin = i;
	}
	return best >= 0;
}

/* ---- numbers ---- */

void view_table(struct page *p, const struct view_table *t)
{
	const char *headings[12];
	char text[32];

	headings[0] = t->first_heading;
	for (size_t c = 0; c < t->columns && c < COUNT_OF(headings) - 1; c++)
		headings[c + 1] = t->headings[c];
	page_numbers_begin(p, t->summary);
	page_table_begin(p, NULL, headings, t->columns + 1);
	for (size_t r = 0; r < t->rows; r++) {
		page_row_begin(p, t->labels[r]);
		for (size_t c = 0; c < t->columns; c++) {
			double v = t->values[r * t->columns + c];

			snprintf(text, sizeof text, "%.*f", t->decimals, v == 0 ? 0 : v);
			page_cell_number(p, NULL, v, text);
		}
		page_row_end(p);
	}
	page_table_end(p);
	page_numbers_end(p);
}
