#include "out/out.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "jot/jot.h"

struct cell {
	bool set;
	int64_t whole;            /* OUT_INT, OUT_BOOL, OUT_TIME */
	double real;
	char *text;               /* OUT_TEXT, and what people see of OUT_JSON */
	json_t *json;
};

struct out {
	const struct out_column *columns;
	size_t column_count, row_count, room;
	enum out_form form;
	struct cell *cells;       /* row by row */
};

struct out *out_new(const struct out_column *columns, size_t count, enum out_form form)
{
	struct out *o = xcalloc(1, sizeof *o);

	o->columns = columns;
	o->column_count = count;
	o->form = form;
	return o;
}

void out_free(struct out *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->row_count * o->column_count; i++) {
		free(o->cells[i].text);
		json_decref(o->cells[i].json);
	}
	free(o->cells);
	free(o);
}

void out_free_(struct out **o)
{
	out_free(*o);
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

void out_row(struct out *o)
{
	if (o->row_count == o->room) {
		o->room = o->room ? 2 * o->room : 16;
		o->cells = xrealloc(o->cells, o->room * o->column_count, sizeof *o->cells);
	}
	memset(o->cells + o->row_count * o->column_count, 0, o->column_count * sizeof *o->cells);
	o->row_count++;
}

/* The cell of the last row, emptied; a call that does not fit the declaration is our bug. */
static struct cell *cell(struct out *o, size_t column, enum out_type type)
{
	struct cell *c;

	if (!o->row_count || column >= o->column_count || o->columns[column].type != type)
		abort();
	c = &o->cells[(o->row_count - 1) * o->column_count + column];
	free(c->text);
	json_decref(c->json);
	*c = (struct cell){ .set = true };
	return c;
}

void out_text(struct out *o, size_t column, const char *text)
{
	struct cell *c = cell(o, column, OUT_TEXT);

	c->set = text != NULL;
	c->text = text ? xstrdup(text) : NULL;
}

void out_int(struct out *o, size_t column, int64_t value)
{
	cell(o, column, OUT_INT)->whole = value;
}

void out_real(struct out *o, size_t column, double value)
{
	struct cell *c = cell(o, column, OUT_REAL);

	c->set = isfinite(value);
	c->real = value;
}

void out_bool(struct out *o, size_t column, bool value)
{
	cell(o, column, OUT_BOOL)->whole = value;
}

void out_time(struct out *o, size_t column, int64_t utc_us)
{
	cell(o, column, OUT_TIME)->whole = utc_us;
}

void out_json(struct out *o, size_t column, json_t *value, const char *text)
{
	struct cell *c = cell(o, column, OUT_JSON);

	c->set = value != NULL;
	c->json = value;
	c->text = text ? xstrdup(text) : NULL;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static char *printable(const char *text)
{
	size_t len = strlen(text);
	char *safe = xcalloc(4 * len + 1, 1);

	str_printable(safe, 4 * len + 1, text, len);
	return safe;
}

/* RFC 3339; a fraction of zero tells people nothing. */
static char *time_for_people(int64_t utc_us)
{
	char text[BASE_TIME_LEN];
	char *dot = strstr(time_format(utc_us, text), ".000Z");

	if (dot)
		strcpy(dot, "Z");
	return xstrdup(text);
}

/* Caller frees. */
static char *for_people(const struct out_column *k, const struct cell *c)
{
	char quantity[32];

	if (!c->set)
		return xstrdup("-");
	switch (k->type) {
	case OUT_INT:
		return k->unit ? xstrdup(out_quantity((double)c->whole, k->unit, 0, quantity)) :
				 xasprintf("%lld", (long long)c->whole);
	case OUT_REAL:
		return xstrdup(out_quantity(c->real, k->unit, k->decimals, quantity));
	case OUT_BOOL:
		return xstrdup(c->whole ? "yes" : "no");
	case OUT_TIME:
		return time_for_people(c->whole);
	case OUT_TEXT:
	case OUT_JSON:
		break;
	}
	return c->text ? printable(c->text) : xstrdup("-");
}

static bool people_see(const struct out_column *k)
{
	return !(k->flags & OUT_JSON_ONLY);
}

static void fill_line(struct out *o, size_t row, struct libscols_line *line)
{
	size_t at = 0;

	for (size_t i = 0; i < o->column_count; i++) {
		auto_free char *text = NULL;

		if (!people_see(&o->columns[i]))
			continue;
		text = for_people(&o->columns[i], &o->cells[row * o->column_count + i]);
		if (scols_line_set_data(line, at++, text))
			abort();
	}
}

/* As wide as asked; without a terminal nothing is cut. */
static unsigned terminal_width(FILE *to)
{
	struct winsize size;
	int fd = fileno(to);

	if (fd < 0 || !isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static int table(struct out *o, FILE *to, unsigned width, struct buf *b, struct err *e)
{
	struct libscols_table *t = o->row_count ? scols_new_table() : NULL;
	char *text = NULL;
	int rc = 0;

	if (!o->row_count)
		return 0;
	if (!t)
		return err_set(e, ERR_IO, ENOMEM, "cannot make a table");
	/* The text is escaped already, and in the same way in every locale. */
	scols_table_enable_noencoding(t, 1);
	if (!width)
		width = terminal_width(to);
	scols_table_set_termforce(t, width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	if (width)
		scols_table_set_termwidth(t, width);
	for (size_t i = 0; i < o->column_count; i++) {
		const struct out_column *k = &o->columns[i];
		bool number = k->type == OUT_INT || k->type == OUT_REAL;

		if (people_see(k) && !scols_table_new_column(t, k->heading, k->flags & OUT_WIDE ? 0.1 : 0,
							     (number ? SCOLS_FL_RIGHT : 0) |
							     (k->flags & OUT_WIDE ? SCOLS_FL_TRUNC : 0)))
			rc = -1;
	}
	for (size_t row = 0; row < o->row_count && rc == 0; row++) {
		struct libscols_line *line = scols_table_new_line(t, NULL);

		if (line)
			fill_line(o, row, line);
		else
			rc = -1;
	}
	if (rc || scols_print_table_to_string(t, &text))
		rc = err_set(e, ERR_IO, ENOMEM, "cannot make a table");
	else
		buf_addf(b, "%s\n", text);
	free(text);
	scols_unref_table(t);
	return rc;
}

static size_t columns_of(const struct out_column *k)
{
	return str_columns(k->heading, strlen(k->heading));
}

static void record(const struct out *o, struct buf *b)
{
	size_t widest = 0;

	for (size_t i = 0; i < o->column_count; i++)
		if (people_see(&o->columns[i]) && columns_of(&o->columns[i]) > widest)
			widest = columns_of(&o->columns[i]);
	for (size_t row = 0; row < o->row_count; row++) {
		if (row)
			buf_adds(b, "\n");
		for (size_t i = 0; i < o->column_count; i++) {
			const struct out_column *k = &o->columns[i];
			auto_free char *text = NULL;

			if (!people_see(k))
				continue;
			text = for_people(k, &o->cells[row * o->column_count + i]);
			buf_addf(b, "%s%*s  %s\n", k->heading, (int)(widest - columns_of(k)), "", text);
		}
	}
}

/* ---- for programs ------------------------------------------------------------------------------------------------ */

/* New reference. */
static json_t *for_programs(const struct out_column *k, const struct cell *c)
{
	json_t *value;

	if (!c->set)
		return json_null();
	switch (k->type) {
	case OUT_INT:
		return json_integer(c->whole);
	case OUT_REAL:
		return json_real(c->real);
	case OUT_BOOL:
		return json_boolean(c->whole);
	case OUT_TIME:
		return jot_time(c->whole);
	case OUT_JSON:
		return json_incref(c->json);
	case OUT_TEXT:
		value = json_string(c->text);
		return value ? value : jot_text(c->text); /* not UTF-8, so not JSON either: shown as to people */
	}
	return json_null();
}

static json_t *row_object(const struct out *o, size_t row)
{
	json_t *object = json_object();

	for (size_t i = 0; i < o->column_count; i++)
		if (!(o->columns[i].flags & OUT_PEOPLE_ONLY) &&
		    json_object_set_new(object, o->columns[i].key,
					for_programs(&o->columns[i], &o->cells[row * o->column_count + i])))
			abort();
	return object;
}

static int json(const struct out *o, struct buf *b, struct err *e)
{
	json_t *all = o->form == OUT_DOCUMENT ? json_array() :
		      o->row_count            ? row_object(o, o->row_count - 1) : json_null();
	char *text;

	if (o->form == OUT_DOCUMENT)
		for (size_t row = 0; row < o->row_count; row++)
			if (json_array_append_new(all, row_object(o, row)))
				abort();
	/* Fifteen digits give every decimal number back as it was written: 23.86, not 23.859999999999999. */
	text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY);
	json_decref(all);
	if (!text)
		return err_set(e, ERR_BUG, 0, "cannot write the answer as JSON");
	buf_adds(b, text);
	buf_adds(b, "\n");
	free(text);
	return 0;
}

/* ---- for spreadsheets -------------------------------------------------------------------------------------------- */

/* Would a spreadsheet calculate it? A tab or a line's end before the sign is escaped already; full-width signs
 * count. */
static bool is_formula(const char *text)
{
	static const char *const signs[] = { "=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20" };
	double number;

	if (parse_real(text, -1e300, 1e300, &number))
		return false;
	for (size_t i = 0; i < COUNT_OF(signs); i++)
		if (str_starts(text, signs[i]))
			return true;
	return false;
}

static void csv_text(struct buf *b, const char *text)
{
	auto_free char *safe = printable(text);

	buf_adds(b, is_formula(safe) ? "\"'" : "\"");
	for (const char *s = safe; *s; s++)
		buf_addf(b, *s == '"' ? "\"\"" : "%c", *s);
	buf_adds(b, "\"");
}

/* A list has the words that people see, an object its JSON. */
static void csv_value(struct buf *b, const struct cell *c, const json_t *value)
{
	bool words = json_is_array(value) && c->text && c->text[0];
	auto_free char *text = json_is_string(value) || words ? NULL :
			       json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY);

	if (json_is_null(value))
		return;
	if (json_is_array(value) && !json_array_size(value))
		buf_adds(b, "\"\"");
	else if (json_is_number(value) || json_is_boolean(value))
		buf_adds(b, text ? text : "");
	else
		csv_text(b, text ? text : words ? c->text : json_string_value(value));
}

static void csv(const struct out *o, struct buf *b)
{
	const char *comma = "";

	for (size_t i = 0; i < o->column_count; i++) {
		if (o->columns[i].flags & OUT_PEOPLE_ONLY)
			continue;
		buf_addf(b, "%s%s", comma, o->columns[i].key);
		comma = ",";
	}
	buf_adds(b, "\r\n");
	for (size_t row = 0; row < o->row_count; row++) {
		comma = "";
		for (size_t i = 0; i < o->column_count; i++) {
			const struct cell *c = &o->cells[row * o->column_count + i];
			json_t *value;

			if (o->columns[i].flags & OUT_PEOPLE_ONLY)
				continue;
			value = for_programs(&o->columns[i], c);
			buf_adds(b, comma);
			csv_value(b, c, value);
			json_decref(value);
			comma = ",";
		}
		buf_adds(b, "\r\n");
	}
}

int out_print(struct out *o, FILE *to, unsigned width, struct err *e)
{
	auto_buf struct buf b = BUF_INIT;

	if (o->form == OUT_RECORD)
		record(o, &b);
	else if (o->form == OUT_CSV)
		csv(o, &b);
	else if (o->form == OUT_TABLE ? table(o, to, width, &b, e) : json(o, &b, e))
		return -1;
	errno = 0;
	if ((b.len && fwrite(b.data, 1, b.len, to) != b.len) || fflush(to) || ferror(to))
		return err_set(e, ERR_IO, errno, "cannot write the answer");
	return 0;
}
