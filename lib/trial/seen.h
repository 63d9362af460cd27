/* What the rounds showed, in short: judge.c makes it, relations.c holds the values against each other. */
#ifndef TRIAL_SEEN_H
#define TRIAL_SEEN_H

#include "trial/trial.h"

struct seen {
	uint32_t reads, good, changes; /* answers, those with a value, and values other than the one before */
	double first, last, lowest, highest, raw;
	bool ran_back;                 /* smaller than the one before */
	enum device_quality bad;       /* of the last reading that was no value */
	char why[80];
};

/* row.c: a row without a point or a number. */
struct trial_row trial_row_about(const char *what);
/* Rounds in which every one of the points had a value; the relation is judged in each, at one time. */
void judge_relations(const struct trial_record *r, const struct seen seen[POINT_COUNT], trial_row_fn *fn, void *arg);

#endif
