/* A tariff from words or from a file. */
#include <math.h>
#include <string.h>

#include "conf/conf.h"
#include "tariff/tariff.h"

enum { FILE_MAX = 1 << 18, UNSET = 255 };
#define PRICE_MAX 10.0

static const char *const day_names[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL };

/* ---- words ---- */

static int parse_words(char *numbers, struct tariff *t, bool dynamic)
{
	double v[3] = { 0 };
	size_t n = 0;
	char *rest = NULL;

	for (char *word = strtok_r(numbers, ":", &rest); word; word = strtok_r(NULL, ":", &rest), n++)
		if (n == 3 || !parse_real(word, n == 2 ? 0 : -PRICE_MAX, n == 2 ? 100 : PRICE_MAX, &v[n]))
			return -1;
	if (n < 2 || (n > 2 && !dynamic))
		return -1;
	t->import.kind = dynamic ? TARIFF_SPOT : TARIFF_FIXED;
	t->import.rates[0] = t->import.markup = v[0];
	t->import.tax_percent = v[2];
	t->export.rates[0] = v[1];
	return 0;
}

/* ---- the file ---- */

struct reader {
	const struct conf *c;
	struct diag_sink *sink;
};

static bool read_minute(const char *text, bool end, int *out)
{
	int64_t h, m;
	char hour[3] = "";

	if (strlen(text) != 5 || text[2] != ':')
		return false;
	memcpy(hour, text, 2);
	if (!parse_int(hour, 0, 24, &h) || !parse_int(text + 3, 0, 59, &m) || text[3] == '+' ||
	    h * 60 + m > (end ? 1440 : 1439))
		return false;
	*out = (int)(h * 60 + m);
	return true;
}

static int day_index(const char *name, size_t len)
{
	for (int i = 0; day_names[i]; i++)
		if (len == 3 && !memcmp(day_names[i], name, 3))
			return i;
	return -1;
}

/* "mon", "mon-fri"; bits by day. 0: it is neither. */
static unsigned parse_days(const char *text)
{
	const char *dash = strchr(text, '-');
	int first = day_index(text, dash ? (size_t)(dash - text) : strlen(text)),
	    last = dash ? day_index(dash + 1, strlen(dash + 1)) : first;
	unsigned days = 0;

	for (int d = first; first >= 0 && last >= 0; d = (d + 1) % 7) {
		days |= 1u << d;
		if (d == last)
			break;
	}
	return days;
}

static bool read_days(const struct reader *r, const struct conf_node *map, unsigned *days)
{
	const struct conf_node *list = conf_get(map, "days");

	*days = 0x7f;
	if (!list)
		return true;
	*days = 0;
	if (list->kind != CONF_LIST || !list->count) {
		conf_report(r->c, list, r->sink, "must be a list of days like [mon-fri, sun]");
		return false;
	}
	for (const struct conf_node *n = list->first; n; n = n->next) {
		unsigned some = n->kind == CONF_SCALAR ? parse_days(n->text) : 0;

		if (!some) {
			conf_report(r->c, n, r->sink,
				    "is no day, must be mon, tue, wed, thu, fri, sat, sun or a span like mon-fri");
			return false;
		}
		*days |= some;
	}
	return true;
}

static bool read_clock_time(const struct reader *r, const struct conf_node *map, const char *key, bool end, int *out)
{
	const char *text = NULL;

	if (!conf_read_text(r->c, map, key, true, 5, &text, r->sink))
		return false;
	if (read_minute(text, end, out))
		return true;
	conf_report(r->c, conf_get(map, key), r->sink, "must be a time of the day like \"06:00\"%s, in quotes",
		    end ? ", at most \"24:00\"" : "");
	return false;
}

static void mark(const struct reader *r, const struct conf_node *map, struct tariff_side *s, unsigned days, int from,
		 int to, uint8_t rate)
{
	/* From 22:00 to 06:00 goes over midnight, into the next day. */
	int span = to > from ? to - from : to + 1440 - from;

	for (int d = 0; d < 7; d++)
		for (int m = 0; days & 1u << d && m < span; m++) {
			int at = (d * 1440 + from + m) % TARIFF_WEEK_MINUTES;

			if (s->week[at] != UNSET) {
				conf_report(r->c, map, r->sink, "overlaps with a period above it on %s at %02d:%02d",
					    day_names[at / 1440], at % 1440 / 60, at % 60);
				return;
			}
			s->week[at] = rate;
		}
}

static void read_period(const struct reader *r, const struct conf_node *map, struct tariff_side *s)
{
	static const char *const known[] = { "from", "to", "days", "eur_kwh", NULL };
	int from = 0, to = 0;
	unsigned days;

	if (map->kind != CONF_MAP) {
		conf_report(r->c, map, r->sink, "must be a map with from, to, eur_kwh and perhaps days");
		return;
	}
	conf_refuse_unknown(r->c, map, known, r->sink);
	/* One place is kept for 'otherwise'. */
	if (s->rate_count == TARIFF_RATES_MAX - 1) {
		conf_report(r->c, map, r->sink, "is one period too many, at most %d are allowed", TARIFF_RATES_MAX - 1);
		return;
	}
	if (!read_clock_time(r, map, "from", false, &from) || !read_clock_time(r, map, "to", true, &to) ||
	    !read_days(r, map, &days) ||
	    !conf_read_real(r->c, map, "eur_kwh", true, -PRICE_MAX, PRICE_MAX, &s->rates[s->rate_count], r->sink))
		return;
	if (from == to)
		conf_report(r->c, map, r->sink,
			    "begins and ends at the same time; the whole day is \"00:00\" to \"24:00\"");
	else
		mark(r, map, s, days, from, to, (uint8_t)s->rate_count++);
}

static void read_periods(const struct reader *r, const struct conf_node *map, const struct conf_node *list,
			 struct tariff_side *s)
{
	double otherwise = NAN;
	int before = r->sink->count;

	s->kind = TARIFF_PERIODS;
	memset(s->week, UNSET, sizeof s->week);
	if (list->kind != CONF_LIST || !list->count) {
		conf_report(r->c, list, r->sink, "must be a list of periods");
		return;
	}
	for (const struct conf_node *n = list->first; n; n = n->next)
		read_period(r, n, s);
	if (!conf_read_real(r->c, map, "otherwise_eur_kwh", false, -PRICE_MAX, PRICE_MAX, &otherwise, r->sink) ||
	    r->sink->count != before)
		return;
	s->rates[s->rate_count] = otherwise;
	for (int i = 0; i < TARIFF_WEEK_MINUTES; i++) {
		if (s->week[i] != UNSET)
			continue;
		if (isnan(otherwise)) {
			conf_report(r->c, map, r->sink,
				    "has no price on %s at %02d:%02d; add a period or otherwise_eur_kwh",
				    day_names[i / 1440], i % 1440 / 60, i % 60);
			return;
		}
		s->week[i] = (uint8_t)s->rate_count;
	}
	s->rate_count += !isnan(otherwise);
}

static void read_spot(const struct reader *r, const struct conf_node *map, struct tariff_side *s)
{
	static const char *const known[] = { "factor",        "markup_eur_kwh", "tax_percent",
					     "least_eur_kwh", "most_eur_kwh",   NULL };

	s->kind = TARIFF_SPOT;
	if (map->kind != CONF_MAP) {
		conf_report(r->c, map, r->sink, "must be a map; {} takes the price of the exchange as it is");
		return;
	}
	conf_refuse_unknown(r->c, map, known, r->sink);
	(void)conf_read_real(r->c, map, "factor", false, 0, 10, &s->factor, r->sink);
	(void)conf_read_real(r->c, map, "markup_eur_kwh", false, -PRICE_MAX, PRICE_MAX, &s->markup, r->sink);
	(void)conf_read_real(r->c, map, "tax_percent", false, 0, 100, &s->tax_percent, r->sink);
	(void)conf_read_real(r->c, map, "least_eur_kwh", false, -PRICE_MAX, PRICE_MAX, &s->least, r->sink);
	(void)conf_read_real(r->c, map, "most_eur_kwh", false, -PRICE_MAX, PRICE_MAX, &s->most, r->sink);
	if (s->least > s->most)
		conf_report(r->c, map, r->sink, "has least_eur_kwh above most_eur_kwh");
}

static void read_side(const struct reader *r, const struct conf_node *root, const char *name, struct tariff_side *s)
{
	static const char *const known[] = { "fixed_eur_kwh", "periods", "otherwise_eur_kwh", "spot", NULL };
	const struct conf_node *map = conf_get(root, name), *fixed, *periods, *spot;

	if (!map || map->kind != CONF_MAP) {
		conf_report(r->c, map ? map : root, r->sink, "%s%smust be a map with fixed_eur_kwh, periods or spot",
			    map ? "" : name, map ? "" : " ");
		return;
	}
	conf_refuse_unknown(r->c, map, known, r->sink);
	fixed = conf_get(map, "fixed_eur_kwh");
	periods = conf_get(map, "periods");
	spot = conf_get(map, "spot");
	if (!!fixed + !!periods + !!spot != 1)
		conf_report(r->c, map, r->sink, "must have exactly one of fixed_eur_kwh, periods and spot");
	else if (periods)
		read_periods(r, map, periods, s);
	else if (conf_get(map, "otherwise_eur_kwh"))
		conf_report(r->c, conf_get(map, "otherwise_eur_kwh"), r->sink, "goes with periods only");
	else if (spot)
		read_spot(r, spot, s);
	else
		(void)conf_read_real(r->c, map, "fixed_eur_kwh", true, -PRICE_MAX, PRICE_MAX, &s->rates[0], r->sink);
}

static void read_clock(const struct reader *r, const struct conf_node *root, struct tariff_clock *clock)
{
	static const char *const rules[] = { "none", "eu", NULL };
	const char *text = NULL;
	int rule = 0, minute;

	if (conf_read_text(r->c, root, "clock", false, 6, &text, r->sink) && text) {
		if ((*text != '+' && *text != '-') || !read_minute(text + 1, false, &minute) || minute > 14 * 60)
			conf_report(r->c, conf_get(root, "clock"), r->sink,
				    "must be the winter time's distance from UTC like \"+01:00\", at most 14 h");
		else
			clock->offset_min = *text == '-' ? -minute : minute;
	}
	if (conf_read_choice(r->c, root, "summer_time", false, rules, &rule, r->sink))
		clock->summer_eu = rule == 1;
}

static void read_capacity(const struct reader *r, const struct conf_node *root, struct tariff *t)
{
	static const char *const known[] = { "eur_kw", "per", NULL };
	static const char *const pers[] = { "year", "month", NULL };
	const struct conf_node *map = conf_get(root, "capacity");
	int per = 0;

	if (!map)
		return;
	if (map->kind != CONF_MAP) {
		conf_report(r->c, map, r->sink, "must be a map with eur_kw and per");
		return;
	}
	conf_refuse_unknown(r->c, map, known, r->sink);
	(void)conf_read_real(r->c, map, "eur_kw", true, 0, 10000, &t->capacity_eur_kw, r->sink);
	if (conf_read_choice(r->c, map, "per", true, pers, &per, r->sink))
		t->capacity_per = (enum tariff_per)per;
}

static void read_all(const struct reader *r, struct tariff *t)
{
	static const char *const known[] = { "tariff", "name",   "clock",    "summer_time",
					     "import", "export", "capacity", NULL };
	const struct conf_node *root = conf_root(r->c);
	const char *name = NULL;
	int64_t version;

	if (!root || root->kind != CONF_MAP) {
		conf_report(r->c, NULL, r->sink, "must be a map that begins with 'tariff: 1'");
		return;
	}
	conf_refuse_unknown(r->c, root, known, r->sink);
	(void)conf_read_int(r->c, root, "tariff", true, 1, 1, &version, r->sink);
	if (conf_read_text(r->c, root, "name", false, sizeof t->name - 1, &name, r->sink) && name)
		str_copy(t->name, sizeof t->name, name);
	read_clock(r, root, &t->clock);
	read_side(r, root, "import", &t->import);
	read_side(r, root, "export", &t->export);
	read_capacity(r, root, t);
}

static int read_file(const char *path, struct tariff *t, struct diag_sink *sink, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	auto_conf struct conf *c = NULL;
	struct reader r = { .sink = sink };
	int before = sink->count;

	if (file_read(path, FILE_MAX, &text, e))
		return -1;
	r.c = c = conf_parse(text.data ? text.data : "", text.len, path, sink);
	if (c)
		read_all(&r, t);
	if (sink->count != before)
		return err_set(e, ERR_INPUT, 0, "'%s' is no tariff: %d fault%s", path, sink->count - before,
			       sink->count - before == 1 ? "" : "s");
	return 0;
}

int tariff_read(const char *words, struct tariff *out, struct diag_sink *sink, struct err *e)
{
	bool fixed = str_starts(words, "fixed:"), dynamic = str_starts(words, "dynamic:");
	const struct tariff_side plain = { .rate_count = 1, .factor = 1, .least = -INFINITY, .most = INFINITY };
	char copy[96];

	*out = (struct tariff){ .import = plain, .export = plain };
	if (!fixed && !dynamic) {
		if (!read_file(words, out, sink, e))
			return 0;
		return e->errnum ? err_ctx(e, "a tariff is fixed:IMPORT:EXPORT, dynamic:MARKUP:EXPORT[:TAX] in "
					      "EUR/kWh, or a file")
				 : -1;
	}
	if (str_copy(copy, sizeof copy, strchr(words, ':') + 1) && !parse_words(copy, out, dynamic))
		return 0;
	return err_set(e, ERR_USAGE, 0,
		       fixed ? "tariff '%s' must be fixed:IMPORT:EXPORT in EUR/kWh, each -10…10, like fixed:0.30:0.08"
			     : "tariff '%s' must be dynamic:MARKUP:EXPORT or dynamic:MARKUP:EXPORT:TAX, EUR/kWh each "
			       "-10…10 and percent 0…100, like "
			       "dynamic:0.18:0.08:19",
		       words);
}
