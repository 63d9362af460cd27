/* out: rows to a table, to JSON, to CSV or to a record, from columns that are declared once (libsmartcols, jansson).
 *
 * JSON has raw numbers in base units, with the column's key; people get units. Text from devices is untrusted:
 * control characters are escaped before a terminal sees them.
 *
 * CSV is RFC 4180 with a header of the keys, numbers raw as in JSON. Text is always in quotes and a row always one
 * line: control characters are escaped as for people. A text that a spreadsheet would calculate (it begins with
 * = + - or @ and is no number) has a ' before it.
 */
#ifndef PSEC_OUT_H
#define PSEC_OUT_H

#include <jansson.h>

#include "base/base.h"

enum out_type { OUT_TEXT, OUT_INT, OUT_REAL, OUT_BOOL, OUT_TIME /* utc_us */, OUT_JSON };

struct out_column {
	const char *key;     /* JSON; carries its unit: "power_w" */
	const char *heading; /* table: "POWER" */
	const char *unit;    /* for people: "W" becomes W/kW/MW, "Wh" likewise, "%", "V", "ms"; NULL: none */
	enum out_type type;
	int decimals;        /* OUT_REAL for people */
	unsigned flags;
};
enum { OUT_WIDE = 1 /* the column that gives way in a narrow terminal */, OUT_JSON_ONLY = 2, OUT_PEOPLE_ONLY = 4 };

enum out_form {
	OUT_TABLE,  /* rows under headings */
	OUT_RECORD, /* one row, a line a column: "Import      1 872 kWh" */
	OUT_DOCUMENT, /* JSON: an array of rows */
	OUT_OBJECT, /* JSON: the one row as an object */
	OUT_CSV,
};

struct out;
/* columns is borrowed until out_free. */
struct out *out_new(const struct out_column *columns, size_t count, enum out_form form);
void out_free(struct out *o);
void out_free_(struct out **o);
#define auto_out __attribute__((cleanup(out_free_)))

void out_row(struct out *o); /* begin a row; cells not set are null, shown as "-" */
void out_text(struct out *o, size_t column, const char *text); /* NULL: not set */
void out_int(struct out *o, size_t column, int64_t value);
void out_real(struct out *o, size_t column, double value); /* NaN: not set */
void out_bool(struct out *o, size_t column, bool value);
void out_time(struct out *o, size_t column, int64_t utc_us);
/* value is stolen; text is what people see. */
void out_json(struct out *o, size_t column, json_t *value, const char *text);

/* Write all rows and flush: a full disk is an error. width 0: the terminal's; where there is none, nothing is cut.
 * An empty table prints nothing; CSV its header. */
must_check int out_print(struct out *o, FILE *to, unsigned width, struct err *e);

/* A power, energy … for people: "3.4 kW", "-250 W", "12.5 %"; returns to. */
char *out_quantity(double value, const char *unit, int decimals, char to[32]);

/* The last minute of a value in OUT_SPARK_CELLS columns, oldest first: blocks, or signs of ASCII. Begins zeroed. */
enum { OUT_SPARK_SECONDS = 60, OUT_SPARK_CELLS = 15 };
struct out_spark {
	struct out_spark_second { int64_t second; double sum; unsigned count; } at[OUT_SPARK_SECONDS];
};
void out_spark_add(struct out_spark *s, int64_t boot_us, double value); /* NaN: nothing is known */
/* The lowest and the highest of the minute take the whole height, when they lie at least least_span apart. */
void out_spark_draw(const struct out_spark *s, int64_t boot_us, double least_span, bool utf8, struct buf *b);

/* A progress line on stderr: shown only when stderr is a terminal and the work is longer than a second. */
struct out_progress {
	const char *what; /* "scanning" */
	int64_t began_us, shown_us;
	bool visible;
};
void out_progress_begin(struct out_progress *p, const char *what, const struct now *now);
/* done of total (0: unknown); extra may be NULL. */
void out_progress_step(struct out_progress *p, const struct now *now, uint64_t done, uint64_t total, const char *extra);
void out_progress_end(struct out_progress *p); /* wipes the line */

#endif
