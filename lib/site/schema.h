/* The schema of site.yaml as data: what reading, showing and the manual's test all go by. Private to site. */
#ifndef SITE_SCHEMA_H
#define SITE_SCHEMA_H

#include "conf/conf.h"
#include "site/site.h"

enum key_type {
	KEY_VERSION,   /* psec: 1 */
	KEY_MAP,       /* further keys, of .map */
	KEY_LIST,      /* a list of maps: .map, at most .most of .stride bytes each, counted at .count_offset */
	KEY_REAL,      /* double in [min, max] */
	KEY_BOOL,
	KEY_TEXT,      /* char[size]; made of .allowed only, or of anything printable */
	KEY_WORD,      /* char[size]; one of .choices */
	KEY_CHOICE,    /* an enum; one of .choices, in its order */
	KEY_DURATION,  /* int64_t ms in [min, max] */
	KEY_MEGABYTES, /* int64_t bytes, written in units of 1000000 in [min, max] */
	KEY_ADDRESS,   /* struct bus_address with unit */
	KEY_ROLES,     /* unsigned, a list of role names */
	KEY_DEVICE,    /* int, the name of a device above */
	KEY_NUMBERS,   /* unsigned, a list of whole numbers in [min, max], each a bit */
};

struct map;

struct key {
	const char *name;
	/* the name in `site show --json`, where the unit is not in the key; NULL: the same */
	const char *json;
	enum key_type type;
	bool required;
	size_t offset;               /* of the value in its map's struct */
	size_t size;                 /* KEY_TEXT, KEY_WORD: of the array */
	double min, max;
	const char *allowed, *words; /* KEY_TEXT: the characters, and "must be made of …" */
	const char *const *choices;  /* NULL-ended */
	const struct map *map;
	size_t most, stride, count_offset;
};

struct map {
	const struct key *keys;
	size_t count;
	size_t line_offset;          /* of `int line` in a list's element; 0: none (no struct begins with it) */
};

extern const struct map site_schema;

/* model.c: NULL-ended. */
extern const char *const site_tiers[], *const site_roles[], *const site_modes[];

/* check.c: what no single key can show. */
void site_check(const struct conf *c, const struct site *s, struct diag_sink *sink);

#endif
