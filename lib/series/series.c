#include "series/series.h"

#include <math.h>
#include <string.h>

enum column { TS, LOAD, PV, PRICE, COLUMN_COUNT, FIELDS_MAX = COLUMN_COUNT };
enum { FAULTS_MAX = 20, FILE_MAX = 128 << 20 };

static const struct {
	const char *name, *must;
	double min, max;
} columns[] = {
	[TS] = { "ts_utc", "a time in UTC like 2016-01-01T00:15Z", 0, 0 },
	[LOAD] = { "load_w", "a number of watts, at least 0", 0, 1e9 },
	[PV] = { "pv_w", "a number of watts, at least 0", 0, 1e9 },
	[PRICE] = { "price_eur_mwh", "a number of EUR/MWh", -1e6, 1e6 },
};

struct reader {
	const char *name;
	struct diag_sink *sink;
	char *at, *end;            /* the rest of the text */
	int line, faults;
	enum column order[FIELDS_MAX];
	size_t field_count;
	bool has[COLUMN_COUNT];
	struct series s;
	size_t room;
	int64_t last_utc_us;
};

static void fault(struct reader *r, int line, const char *column, const char *fmt, ...) printf_like(4, 5);
static void fault(struct reader *r, int line, const char *column, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (r->faults == FAULTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	diag_report(r->sink, r->name, line, column, "%s", text);
	r->faults++;
}

/* A field as it is safe to show. */
static const char *shown(const char *field, char to[48])
{
	if (!*field)
		return "empty";
	str_printable(to, 48, field, strlen(field));
	return to;
}

/* The next line, ended by a zero, without its line end. */
static char *next_line(struct reader *r)
{
	char *line = r->at, *nl;

	if (r->at == r->end)
		return NULL;
	nl = memchr(line, '\n', (size_t)(r->end - line));
	if (!nl)
		nl = r->end;
	r->at = nl == r->end ? nl : nl + 1;
	*nl = '\0';
	if (nl > line && nl[-1] == '\r')
		nl[-1] = '\0';
	r->line++;
	return line;
}

/* Cut line at its commas. Returns how many fields there are, even when that is more than fits. */
static size_t split(char *line, char *fields[FIELDS_MAX])
{
	size_t n = 0;

	for (char *comma;; line = comma + 1) {
		if (n < FIELDS_MAX)
			fields[n] = line;
		n++;
		comma = strchr(line, ',');
		if (!comma)
			return n;
		*comma = '\0';
	}
}

static void read_headings(struct reader *r)
{
	char *fields[FIELDS_MAX], buf[48];
	char *line = next_line(r);
	bool semicolons;

	if (line && str_starts(line, "\xef\xbb\xbf")) /* a byte order mark, as some spreadsheets write it */
		line += 3;
	if (!line || !*line) {
		fault(r, 1, "", "has no headings, must begin with ts_utc,load_w,pv_w");
		return;
	}
	semicolons = strchr(line, ';') && !strchr(line, ',');
	if (semicolons) {
		fault(r, 1, "", "is separated by ';', must be separated by ','");
		return;
	}
	r->field_count = split(line, fields);
	for (size_t i = 0; i < r->field_count && i < FIELDS_MAX; i++) {
		size_t c = 0;

		while (c < COLUMN_COUNT && !str_eq(fields[i], columns[c].name))
			c++;
		if (c == COLUMN_COUNT)
			fault(r, 1, "", "has a column '%s', may have ts_utc, load_w, pv_w, price_eur_mwh",
			      *fields[i] ? shown(fields[i], buf) : "");
		else if (r->has[c])
			fault(r, 1, columns[c].name, "is there twice");
		else
			r->has[r->order[i] = (enum column)c] = true;
	}
	if (r->field_count > FIELDS_MAX)
		fault(r, 1, "", "has %zu columns, may have ts_utc, load_w, pv_w, price_eur_mwh", r->field_count);
	for (size_t c = TS; c <= PV && !r->faults; c++)
		if (!r->has[c])
			fault(r, 1, columns[c].name, "is missing among the columns");
}

/* Up to 15 digits over a power of ten up to 10^22 are both exact in a double, so that their quotient is the correctly
 * rounded value (Clinger, "How to read floating point numbers accurately", 1990); the rest goes the long way. */
static bool read_number(const char *s, double min, double max, double *out)
{
	static const double tens[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
				       1e15 };
	const char *p = *s == '-' ? s + 1 : s;
	int64_t digits = 0;
	int n = 0, after = 0;
	double v;

	for (; *p >= '0' && *p <= '9' && n < 15; p++, n++)
		digits = digits * 10 + (*p - '0');
	if (n && *p == '.' && p[1])
		for (p++; *p >= '0' && *p <= '9' && n < 15; p++, n++, after++)
			digits = digits * 10 + (*p - '0');
	if (!n || *p)
		return parse_real(s, min, max, out);
	v = (double)digits / tens[after];
	if (*s == '-')
		v = -v;
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

/* Equal steps, given by the first two rows. After a fault the next row is judged from this one, so that one gap is one
 * fault. */
static void check_step(struct reader *r, int64_t utc_us)
{
	char is[BASE_TIME_LEN], must[BASE_TIME_LEN];
	size_t row = r->s.count;

	if (row == 0) {
		r->s.start_utc_us = utc_us;
	} else if (utc_us <= r->last_utc_us) {
		fault(r, r->line, "ts_utc", "is %s, must be after %s of the row before", time_format(utc_us, is),
		      time_format(r->last_utc_us, must));
	} else if (row == 1 || !r->s.step_us) {
		r->s.step_us = utc_us - r->last_utc_us;
	} else if (utc_us - r->last_utc_us != r->s.step_us) {
		fault(r, r->line, "ts_utc", "is %s, must be %s: steps are equal, here %g s", time_format(utc_us, is),
		      time_format(r->last_utc_us + r->s.step_us, must), (double)r->s.step_us / (double)US_PER_S);
	}
	r->last_utc_us = utc_us;
}

static void make_room(struct reader *r)
{
	if (r->s.count < r->room)
		return;
	r->room = r->room ? 2 * r->room : 1024;
	r->s.load_w = xrealloc(r->s.load_w, r->room, sizeof *r->s.load_w);
	r->s.pv_w = xrealloc(r->s.pv_w, r->room, sizeof *r->s.pv_w);
	if (r->has[PRICE])
		r->s.price_eur_mwh = xrealloc(r->s.price_eur_mwh, r->room, sizeof *r->s.price_eur_mwh);
}

/* Load and PV left out together: nothing was recorded. One alone is a fault. */
static bool is_gap(const struct reader *r, char *const *fields)
{
	int empty = 0;

	for (size_t i = 0; i < r->field_count; i++)
		empty += (r->order[i] == LOAD || r->order[i] == PV) && !*fields[i];
	return empty == 2;
}

static void read_row(struct reader *r, char *line)
{
	char *fields[FIELDS_MAX], buf[48];
	size_t n = split(line, fields);
	bool gap;

	if (n != r->field_count) {
		fault(r, r->line, "", "has %zu fields, must have %zu", n, r->field_count);
		return;
	}
	make_room(r);
	gap = is_gap(r, fields);
	r->s.gaps += gap;
	for (size_t i = 0; i < n; i++) {
		enum column c = r->order[i];
		double *to = c == LOAD ? r->s.load_w : c == PV ? r->s.pv_w : r->s.price_eur_mwh;
		int64_t utc_us;

		if (c == TS && time_parse(fields[i], &utc_us))
			check_step(r, utc_us);
		else if (gap && (c == LOAD || c == PV))
			to[r->s.count] = NAN;
		else if (c == TS || !read_number(fields[i], columns[c].min, columns[c].max, &to[r->s.count]))
			fault(r, r->line, columns[c].name, "is %s, must be %s", shown(fields[i], buf), columns[c].must);
	}
	r->s.count++;
}

static void read_rows(struct reader *r)
{
	int empty = 0;
	char *line;

	while (r->faults < FAULTS_MAX && (line = next_line(r))) {
		if (!*line) {
			empty = empty ? empty : r->line;
			continue;
		}
		if (empty)
			fault(r, empty, "", "is an empty line, may only be at the end");
		empty = 0;
		read_row(r, line);
	}
	if (!r->faults && r->s.count < 2)
		fault(r, 0, "", "has %zu rows, must have at least 2", r->s.count);
}

int series_read(const char *path, struct series *out, struct diag_sink *sink, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	struct reader r = { .name = str_eq(path, "-") ? "standard input" : path, .sink = sink };
	const char *zero;

	if (file_read(path, FILE_MAX, &text, e))
		return -1;
	r.at = text.data;
	r.end = text.data + text.len;
	zero = memchr(text.data, '\0', text.len);
	if (zero)
		fault(&r, 0, "", "has a zero byte at %td, must be text", zero - text.data);
	if (!r.faults)
		read_headings(&r);
	if (!r.faults)
		read_rows(&r);
	if (r.faults) {
		series_release(&r.s);
		return err_set(e, ERR_INPUT, 0, "'%s' has %d fault%s%s", r.name, r.faults, r.faults == 1 ? "" : "s",
			       r.faults >= FAULTS_MAX ? " or more" : "");
	}
	*out = r.s;
	return 0;
}

char *series_text(const struct series *s)
{
	struct buf b = BUF_INIT;
	char time[BASE_TIME_LEN];

	buf_addf(&b, "ts_utc,load_w,pv_w%s\n", s->price_eur_mwh ? ",price_eur_mwh" : "");
	for (size_t i = 0; i < s->count; i++) {
		buf_adds(&b, time_format(s->start_utc_us + (int64_t)i * s->step_us, time));
		if (isnan(s->load_w[i]))
			buf_adds(&b, ",,");
		else
			buf_addf(&b, ",%.3f,%.3f", s->load_w[i], s->pv_w[i]);
		if (s->price_eur_mwh)
			buf_addf(&b, ",%.6g", s->price_eur_mwh[i]);
		buf_adds(&b, "\n");
	}
	return buf_take(&b);
}

void series_release(struct series *s)
{
	free(s->load_w);
	free(s->pv_w);
	free(s->price_eur_mwh);
	*s = (struct series){ 0 };
}

void series_at(const struct series *s, int64_t offset_us, double *load_w, double *pv_w)
{
	int64_t whole_us = (int64_t)s->count * s->step_us;
	int64_t us = (offset_us - s->step_us / 2) % whole_us;
	size_t i, next;
	double part;

	if (us < 0)
		us += whole_us;
	i = (size_t)(us / s->step_us);
	next = (i + 1) % s->count;
	part = (double)(us % s->step_us) / (double)s->step_us;
	*load_w = s->load_w[i] + part * (s->load_w[next] - s->load_w[i]);
	*pv_w = s->pv_w[i] + part * (s->pv_w[next] - s->pv_w[i]);
}
