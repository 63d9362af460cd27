/* In which order baud, parity and units are tried, so that the first answer comes early.
 *
 * What is asked next is what is likeliest to answer: the product of how common a setting is and how common a unit. So
 * the first few units are asked at every setting before the rarer units are, and all of 1…247, when they are wanted,
 * last of all. One answer fixes the setting of a line: from then on only units are tried.
 */
#ifndef SCAN_SEARCH_H
#define SCAN_SEARCH_H

#include "bus/bus.h"

enum { SEARCH_ROUNDS = 3, SEARCH_AGAIN_MAX = 8 };

struct search {
	bool on_line;                 /* on a serial line of this machine */
	bool settled;                 /* nothing but units to be tried */
	size_t setting, round;
	uint8_t units[256];           /* in the order in which they are tried, */
	size_t unit_count, unit_at;
	size_t sure;                  /* of them, so many are tried whatever the first of them do */
	size_t ends[SEARCH_ROUNDS];   /* by rounds: each ends before this one */
	bool listed[256];
	uint8_t again[SEARCH_AGAIN_MAX];
	size_t again_count;
	uint8_t unit;                 /* being tried */
};

struct search_wish {
	bool setting_given;           /* the line's setting was named */
	bool every_unit;
	bool few;                     /* only the likeliest units, */
	const uint8_t *own;           /* and these: of the site's own profiles */
	size_t own_count;
};
void search_init(struct search *s, const struct bus_address *a, const struct search_wish *w);
/* The setting that is being tried, into a serial address. */
void search_setting(const struct search *s, struct bus_address *a);

enum search_step { SEARCH_UNIT /* s->unit */, SEARCH_SETTING /* the next setting first */, SEARCH_END };
enum search_step search_next(struct search *s);
/* Two silent units tell that there are no others: but those that somebody wrote down are tried. */
bool search_is_sure(const struct search *s);
/* A unit answered: this is the setting. */
void search_settle(struct search *s);
/* This unit answered late: it is tried once more. false: it was before. */
bool search_again(struct search *s, uint8_t unit);
/* How many tries are left, when nothing more is found. */
size_t search_left(const struct search *s);
/* "9600 8N1, unit 37 (12 of 247)"; a: what is being tried. */
void search_words(const struct search *s, const struct bus_address *a, char to[64]);

#endif
