/* What the files of survey share. */
#ifndef SURVEY_INSIDE_H
#define SURVEY_INSIDE_H

#include "loop/loop.h"
#include "survey/survey.h"

enum { SURVEY_LATENCIES = 256 };

struct bank {                      /* one function's registers */
	bool here[65536];
	uint16_t now[65536], before[65536];
};

struct survey {
	struct loop *loop;
	struct bus_link *link;
	struct survey_options options;
	uint8_t unit;
	int64_t deadline_us;
	uint32_t asked, found;
	int silent;                /* questions in a row without any answer */
	bool answered;             /* ever, be it with a no */
	const char *stopped;
	char why[120];
	bool got;
	struct bus_reply reply;
	int64_t latencies[SURVEY_LATENCIES];
	size_t latency_count;
	uint16_t longest;
	bool everywhere[5];
	struct bank *banks[5];     /* 3 and 4 */
};

/* 1: these registers answered and are noted; 0: they did not; -1: stopped. */
int survey_probe(struct survey *s, uint8_t function, uint32_t first, uint32_t count);

#endif
