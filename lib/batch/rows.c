#include "batch/batch.h"

#include <string.h>

#include "enrol/enrol.h"

enum { FAULTS_MAX = 100, LINE_MAX_BYTES = 4096, FILE_MAX = 16 << 20 };
enum column { SERIAL, TCTI, SITE, OUT, COLUMNS };
static const char *const names[COLUMNS] = { "serial", "tcti", "site", "out" };
static const char *const tcti_kinds[] = { "device", "cmd", "swtpm", "mssim", "tabrmd", "libtpms" };

struct reader {
	const char *name, *prefix;
	struct diag_sink *sink;
	int line, faults;
	enum column order[COLUMNS];
	size_t column_count;
	bool has[COLUMNS];
	struct batch_rows rows;
	size_t room;
};

static void fault(struct reader *r, int line, const char *column, const char *fmt, ...) printf_like(4, 5);
static void fault(struct reader *r, int line, const char *column, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (r->faults++ >= FAULTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	diag_report(r->sink, r->name, line, column, "%s", text);
}

/* A value as it is told. */
static const char *shown(const char *s, char to[80])
{
	size_t len = strlen(s);

	if (!len)
		return "empty";
	to[0] = '\'';
	str_printable(to + 1, 70, s, len > 60 ? str_fit(s, len, 60) : len);
	strcat(to, len > 60 ? "…'" : "'");
	return to;
}

/* ---- fields (RFC 4180, but that no field has a line end) ---- */

/* The field at *at, ended by a zero in place; *at becomes the next one's, NULL after the last. */
static char *next_field(struct reader *r, char **at)
{
	char *from = *at, *to = *at, *field = *at, *comma;

	if (*from != '"') {
		comma = strchr(from, ',');
		*at = comma ? comma + 1 : NULL;
		if (comma)
			*comma = '\0';
		if (strchr(field, '"'))
			fault(r, r->line, "", "has a '\"' within a field: the whole field must stand in quotes, and each '\"' "
					      "in it twice");
		return field;
	}
	for (from++; *from && !(*from == '"' && from[1] != '"'); from++) {
		if (*from == '"')
			from++;
		*to++ = *from;
	}
	if (!*from)
		fault(r, r->line, "", "has a field whose quote is not closed on its line");
	else if (from[1] && from[1] != ',')
		fault(r, r->line, "", "has text after a field's closing quote, must have a comma there");
	comma = *from ? strchr(from + 1, ',') : NULL;
	*at = comma ? comma + 1 : NULL;
	*to = '\0';
	return field;
}

/* Returns how many there are, even when that is more than fits. */
static size_t split(struct reader *r, char *line, char *fields[COLUMNS])
{
	size_t n = 0;

	for (char *at = line; at; n++) {
		char *field = next_field(r, &at);

		if (n < COLUMNS)
			fields[n] = field;
	}
	return n;
}

static bool is_clean(struct reader *r, const char *line, size_t len)
{
	char printed[4 * LINE_MAX_BYTES + 1];

	if (len > LINE_MAX_BYTES) {
		fault(r, r->line, "", "has %zu bytes, must have at most %d", len, LINE_MAX_BYTES);
		return false;
	}
	str_printable(printed, sizeof printed, line, len);
	if (strlen(printed) == len && !memcmp(printed, line, len))
		return true;
	fault(r, r->line, "", "has a control character or one that is not UTF-8");
	return false;
}

/* ---- headings ---- */

static void read_heading(struct reader *r, const char *field, size_t i)
{
	char buf[80], hint[40] = "";
	const char *near;
	size_t c = 0;

	while (c < COLUMNS && !str_eq(field, names[c]))
		c++;
	if (c < COLUMNS) {
		r->order[i] = (enum column)c;
		if (r->has[c])
			fault(r, r->line, names[c], "is there twice among the columns");
		r->has[c] = true;
		return;
	}
	near = str_nearest(field, names, COLUMNS);
	if (near)
		snprintf(hint, sizeof hint, "; did you mean '%s'?", near);
	fault(r, r->line, "", "the column %s is unknown, may be serial, tcti, site, out%s", shown(field, buf), hint);
}

static void read_headings(struct reader *r, char *line)
{
	char *fields[COLUMNS];

	if (strchr(line, ';') && !strchr(line, ',')) {
		fault(r, r->line, "", "is separated by ';', must be separated by ','");
		return;
	}
	r->column_count = split(r, line, fields);
	if (r->column_count > COLUMNS)
		fault(r, r->line, "", "has %zu columns, may have serial, tcti, site, out", r->column_count);
	for (size_t i = 0; i < r->column_count && i < COLUMNS; i++)
		read_heading(r, fields[i], i);
	for (size_t c = SERIAL; c <= TCTI; c++)
		if (!r->has[c])
			fault(r, r->line, names[c], "is missing among the columns");
}

/* ---- values ---- */

static void check_serial(struct reader *r, const char *s)
{
	char buf[80];

	if (str_eq(s, BATCH_AUTO)) {
		if (!r->prefix)
			fault(r, r->line, "serial", "is 'auto', must be the board's serial where no --serial-prefix is given");
	} else if (!enrol_serial_ok(s)) {
		fault(r, r->line, "serial", "is %s, must be 1 to 64 of A-Z a-z 0-9 . _ - (not . or - at first), or 'auto'",
		      shown(s, buf));
	}
}

static void check_tcti(struct reader *r, const char *s)
{
	size_t kind = strcspn(s, ":"), i = 0;
	char buf[80];

	if (strlen(s) >= BATCH_WORD)
		fault(r, r->line, "tcti", "has %zu bytes, must have at most %d", strlen(s), BATCH_WORD - 1);
	while (i < COUNT_OF(tcti_kinds) && !(strlen(tcti_kinds[i]) == kind && !strncmp(s, tcti_kinds[i], kind)))
		i++;
	if (i == COUNT_OF(tcti_kinds))
		fault(r, r->line, "tcti", "is %s, must begin with device:, cmd:, swtpm:, mssim:, tabrmd: or libtpms:",
		      shown(s, buf));
	else if (str_starts(s, "cmd") && !s[kind ? kind + (s[kind] == ':') : 0])
		fault(r, r->line, "tcti", "is %s, must have the command after 'cmd:'", shown(s, buf));
}

static void check_rest(struct reader *r, const struct batch_row *row)
{
	char buf[80];

	if (*row->site && !enrol_site_ok(row->site))
		fault(r, r->line, "site", "is %s, must be 1 to 31 of a-z 0-9 -", shown(row->site, buf));
	if (*row->out && (!enrol_serial_ok(row->out) || str_eq(row->out, "results.jsonl")))
		fault(r, r->line, "out", "is %s, must be the name of a folder within --out: A-Z a-z 0-9 . _ -, not . at first",
		      shown(row->out, buf));
	if (!*row->out && str_eq(row->serial, "results.jsonl"))
		fault(r, r->line, "serial", "is 'results.jsonl', which is the name of a file in --out; give the row an 'out'");
}

static void add_row(struct reader *r, char *fields[COLUMNS])
{
	const char *value[COLUMNS] = { "", "", "", "" };
	struct batch_row *row;

	for (size_t i = 0; i < r->column_count && i < COLUMNS; i++)
		value[r->order[i]] = fields[i];
	if (r->rows.count == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		r->rows.row = xrealloc(r->rows.row, r->room, sizeof *r->rows.row);
	}
	row = &r->rows.row[r->rows.count++];
	*row = (struct batch_row){ xstrdup(value[SERIAL]), xstrdup(value[TCTI]), xstrdup(value[SITE]), xstrdup(value[OUT]),
				   r->line };
	check_serial(r, row->serial);
	check_tcti(r, row->tcti);
	check_rest(r, row);
}

static void read_line(struct reader *r, char *line)
{
	char *fields[COLUMNS];
	int faults = r->faults;
	size_t n;

	if (!*line)
		return;
	n = split(r, line, fields);
	if (r->faults > faults)
		return;
	if (n != r->column_count)
		fault(r, r->line, "", "has %zu fields, must have %zu as the headings%s", n, r->column_count,
		      n > r->column_count ? " (a field with a comma stands in quotes)" : "");
	else if (r->rows.count == BATCH_ROWS)
		fault(r, r->line, "", "is one board too many: a batch has at most %d", BATCH_ROWS);
	else
		add_row(r, fields);
}

/* ---- what may be there once only ---- */

struct keyed { const char *key; int line; };

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int d = strcmp(x->key, y->key);

	return d ? d : x->line - y->line;
}

static void find_twins(struct reader *r, enum column c, const char *why)
{
	auto_free struct keyed *all = xcalloc(r->rows.count + 1, sizeof *all);
	size_t n = 0, first = 0;
	char buf[80];

	for (size_t i = 0; i < r->rows.count; i++) {
		const struct batch_row *row = &r->rows.row[i];
		const char *folder = *row->out ? row->out : row->serial;
		const char *key = c == SERIAL ? row->serial : c == TCTI ? row->tcti : c == SITE ? row->site : folder;

		if (*key && !(c != TCTI && str_eq(key, BATCH_AUTO)))
			all[n++] = (struct keyed){ key, row->line };
	}
	qsort(all, n, sizeof *all, by_key);
	for (size_t i = 1; i < n; i++)
		if (!str_eq(all[i].key, all[first].key))
			first = i;
		else
			fault(r, all[i].line, names[c], "is %s, as in line %d: %s", shown(all[i].key, buf), all[first].line,
			      why);
}

/* PREFIX-000001: the registry gives such serials, perhaps the very one to another board at this moment. */
static void find_taken(struct reader *r)
{
	size_t len = r->prefix ? strlen(r->prefix) : 0;
	bool autos = false;
	char buf[80];

	for (size_t i = 0; i < r->rows.count; i++)
		autos |= str_eq(r->rows.row[i].serial, BATCH_AUTO);
	for (size_t i = 0; autos && r->prefix && i < r->rows.count; i++) {
		const char *s = r->rows.row[i].serial;

		if (!strncmp(s, r->prefix, len) && s[len] == '-' && s[len + 1] &&
		    !s[len + 1 + strspn(s + len + 1, "0123456789")])
			fault(r, r->rows.row[i].line, "serial", "is %s, which 'auto' with --serial-prefix %s may give to another "
								"board of this file", shown(s, buf), r->prefix);
	}
}

/* ---- the file ---- */

static void read_lines(struct reader *r, char *at, char *end)
{
	bool headed = false;

	if (str_starts(at, "\xef\xbb\xbf")) /* a byte order mark, as some spreadsheets write it */
		at += 3;
	while (at < end) {
		char *nl = memchr(at, '\n', (size_t)(end - at)), *line = at;
		size_t len = (size_t)((nl ? nl : end) - at);

		at = nl ? nl + 1 : end;
		r->line++;
		if (len && line[len - 1] == '\r')
			len--;
		line[len] = '\0';
		if (!is_clean(r, line, len))
			continue;
		if (headed)
			read_line(r, line);
		else
			read_headings(r, line);
		headed = true;
		if (r->faults && !r->rows.count && r->line == 1)
			return; /* without headings nothing that follows can be judged */
	}
	if (!r->rows.count && !r->faults)
		fault(r, r->line, "", "names no board");
}

void batch_rows_release(struct batch_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		free(rows->row[i].serial);
		free(rows->row[i].tcti);
		free(rows->row[i].site);
		free(rows->row[i].out);
	}
	free(rows->row);
	*rows = (struct batch_rows){ NULL, 0 };
}

int batch_read(const char *path, const char *prefix, struct batch_rows *out, struct diag_sink *sink, struct err *e)
{
	struct reader r = { .name = str_eq(path, "-") ? "standard input" : path, .prefix = prefix, .sink = sink };
	auto_buf struct buf text = BUF_INIT;

	*out = (struct batch_rows){ NULL, 0 };
	if (file_read(path, FILE_MAX, &text, e))
		return -1;
	if (text.len)
		read_lines(&r, text.data, text.data + text.len);
	else
		fault(&r, 1, "", "is empty, must begin with the headings serial,tcti");
	find_twins(&r, SERIAL, "a serial is given once");
	find_twins(&r, TCTI, "that is one and the same TPM");
	find_twins(&r, SITE, "a site has one board");
	if (!r.faults)
		find_twins(&r, OUT, "each board has a folder of its own");
	find_taken(&r);
	if (r.faults > FAULTS_MAX)
		diag_report(sink, r.name, 0, "", "has %d more faults", r.faults - FAULTS_MAX);
	*out = r.rows;
	if (!r.faults)
		return 0;
	batch_rows_release(out);
	return err_set(e, ERR_INPUT, 0, "'%s' has %d fault%s; nothing was begun", r.name, r.faults,
		       r.faults > 1 ? "s" : "");
}
