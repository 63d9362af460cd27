/* view: a study cut into what plots show: parts of time, a day, a profile. Seen inside the room only. */
#ifndef STUDY_VIEW_H
#define STUDY_VIEW_H

#include "page/page.h"
#include "study/study.h"

enum { TICKS_MAX = 16, BUCKETS_MAX = 400, LABEL_LEN = 24 };

struct view_ticks {
	struct page_tick at[TICKS_MAX];
	char labels[TICKS_MAX][LABEL_LEN];
	size_t count;
};
/* For steps [from, to): x counts from `from`. */
void view_ticks(const struct study *s, size_t from, size_t to, struct view_ticks *out);

/* Steps that belong together: a month, a day or an hour of the wall clock, whichever makes some tens of them. */
struct view_buckets {
	const char *word;                 /* "month" */
	struct { size_t from, to; char label[LABEL_LEN], name[LABEL_LEN]; } at[BUCKETS_MAX]; /* "Jan", "2016-01" */
	size_t count;
};
void view_buckets(const struct study *s, struct view_buckets *out);

/* The whole day on which most went through the battery of r (or, when it rests, most PV came); false: there is none. */
bool view_best_day(const struct study *s, const struct study_result *r, size_t *from, size_t *to);
struct time_date view_date(const struct study *s, size_t step);
int64_t view_utc_us(const struct study *s, size_t step);
/* What the table and the plots after the first show in detail: the case that saves most. */
size_t view_shown_case(const struct study *s);
/* Hours of a step. */
double view_hours(const struct study *s);
/* Each value / 1000; caller frees. */
double *view_kilo(const double *values, size_t count);
/* v: least, mean and most of count values that lie a stride apart; NaN ones are none of them. */
void view_least_mean_most(const double *values, size_t count, size_t stride, double v[3]);

/* A plot's numbers: a row a label. */
struct view_table {
	const char *summary, *first_heading;
	const char *const *headings;      /* of the columns after the first */
	size_t columns, rows;
	const char (*labels)[LABEL_LEN];
	const double *values;             /* row by row */
	int decimals;
};
void view_table(struct page *p, const struct view_table *t);

/* plots.c */
void plot_cases(struct page *p, const struct study *s);
void plot_buckets(struct page *p, const struct study *s, const struct study_result *r);
void plot_all(struct page *p, const struct study *s, const struct study_result *r);
void plot_day(struct page *p, const struct study *s, const struct study_result *r);
void plot_duration(struct page *p, const struct study *s);
/* profile.c */
void plot_profile(struct page *p, const struct study *s, const struct study_result *r);
void plot_heat(struct page *p, const struct study *s, const struct study_result *r);
void plot_loop(struct page *p, const struct study_loop *l);

#endif
