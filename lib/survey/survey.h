/* survey: asks a device that no profile describes: who it is, which registers answer, what they hold, and where a value
 * that a person sees on its display lies. Reads only: questions of functions 3, 4, 17 and 43 are all that is sent.
 *
 * One question at a time on a loop of its own; a call returns when it is done, when the patience or the number of
 * questions is used up, or on Ctrl-C. What is known by then is kept.
 */
#ifndef PSEC_SURVEY_H
#define PSEC_SURVEY_H

#include <signal.h>

#include "base/base.h"
#include "bus/bus.h"
#include "device/device.h"

struct survey;

struct survey_options {
	int pause_ms;                  /* between an answer and the next question */
	int answer_ms;
	int64_t patience_ms;           /* for all of it */
	uint32_t questions;            /* at most */
	const volatile sig_atomic_t *interrupted; /* may be NULL */
	void (*step)(void *arg, uint32_t asked, uint32_t found); /* for a progress line; may be NULL */
	void *arg;
};

/* ERR_UNREACHABLE comes with the first question. o is copied. Caller frees. */
must_check int survey_new(const struct bus_address *a, const struct survey_options *o, struct survey **out,
			  struct err *e);
void survey_free(struct survey *s);

/* ---- who it is ---- */
struct survey_identity {
	struct device_identity identity;
	/* "SunSpec model 1", "device identification (FC 43/14)", "" when it says nothing */
	char how[64];
	char report[64];               /* what FC 17 answered, as text, or "" */
	struct device_sunspec sunspec;
};
/* -1 only when nothing answers at all. */
must_check int survey_identify(struct survey *s, struct survey_identity *out, struct err *e);

/* ---- which registers answer ---- */
struct survey_range { uint8_t function; uint16_t first, last; };
enum { SURVEY_RANGES_MAX = 64 };
/* wanted: looked through whole, each register that answers is found. count 0: looked for where devices have their
 * registers (hints: those of all profiles; may be NULL) and on a coarse grid; found islands are followed to their
 * ends. */
must_check int survey_map(struct survey *s, const struct survey_range *wanted, size_t count,
			  const struct device_catalogue *hints, struct err *e);
/* What was found, by function and address; at most SURVEY_RANGES_MAX. */
size_t survey_ranges(const struct survey *s, struct survey_range out[SURVEY_RANGES_MAX]);
/* Read all that was found again; what was there becomes the reading before. */
must_check int survey_read(struct survey *s, struct err *e);

struct survey_summary {
	uint32_t asked, registers;
	int64_t p50_us, slowest_us;
	uint16_t longest_read;         /* registers in one answer */
	bool everywhere[5];            /* by function: answers at any address; only what is not 0 counts as found */
	const char *stopped;           /* why it did not look everywhere, or NULL */
};
void survey_sum_up(const struct survey *s, struct survey_summary *out);

/* ---- where a value lies ---- */
struct survey_sight {
	double value, resolution;      /* SI; half of the last digit that was said */
	char text[48];                 /* as it was said */
	int point;                     /* enum device_point it is meant for, or -1 */
};
/* "grid-meter.voltage_l1_v=231.4V", "231.4 V", "1.2kWh". */
must_check int survey_sight_parse(const char *text, struct survey_sight *out, struct err *e);

struct survey_place {
	uint8_t function;
	uint16_t address;
	enum device_type type;
	enum device_order order;
	double scale;                  /* value = raw × scale */
	double now, before;            /* what it shows in the two readings */
	int penalty;                   /* 0: as sure as such a thing can be */
};
enum { SURVEY_PLACES_MAX = 8 };
/* Best first; both readings must show it. */
size_t survey_find(const struct survey *s, const struct survey_sight *sight,
		   struct survey_place out[SURVEY_PLACES_MAX]);
/* "{function: 4, address: 0, type: float32}" as a profile says it; returns to. */
char *survey_place_words(const struct survey_place *p, char to[120]);

/* ---- a profile to begin with ---- */
struct survey_point { int point; struct survey_sight sight; struct survey_place place; size_t others; };
struct survey_draft {
	const char *id, *make, *model; /* make, model "": what the device said, or a word to replace */
	unsigned roles;                /* whose missing points are listed */
	const char *address, *day;     /* where and when it was looked at */
	uint8_t unit;
	const struct survey_point *points;
	size_t count;
};
/* A commented profile; caller releases text. */
void survey_profile(const struct survey *s, const struct survey_identity *who, const struct survey_draft *d,
		    struct buf *text);

#endif
