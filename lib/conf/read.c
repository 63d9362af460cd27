#include "tree.h"

#include <math.h>
#include <string.h>

enum { SHOWN_MAX = 80 };

const struct conf_node *conf_get(const struct conf_node *map, const char *key)
{
	if (!map || map->kind != CONF_MAP)
		return NULL;
	for (const struct conf_node *n = map->first; n; n = n->next)
		if (str_eq(n->key, key))
			return n;
	return NULL;
}

void conf_report(const struct conf *c, const struct conf_node *n, struct diag_sink *sink, const char *fmt, ...)
{
	char text[sizeof ((struct err *)0)->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	diag_report(sink, c->name, n ? n->line : 0, n ? n->path : "", "%s", text);
}

void conf_refuse_unknown(const struct conf *c, const struct conf_node *map, const char *const *known,
			 struct diag_sink *sink)
{
	size_t count = 0;

	if (map->kind != CONF_MAP) {
		conf_report(c, map, sink, "%smust be keys with values", *map->path ? "" : "the document ");
		return;
	}
	while (known[count])
		count++;
	for (const struct conf_node *n = map->first; n; n = n->next) {
		bool found = false;
		const char *near;

		for (size_t i = 0; i < count && !found; i++)
			found = str_eq(known[i], n->key);
		if (found)
			continue;
		near = str_nearest(n->key, known, count);
		if (near)
			conf_report(c, n, sink, "is not a key here; did you mean '%s'?", near);
		else
			conf_report(c, n, sink, "is not a key here");
	}
}

/* What the file says, for a message: short, and safe to show. */
static const char *shown(const struct conf_node *n, char to[SHOWN_MAX])
{
	char raw[SHOWN_MAX - 8];

	if (n->kind != CONF_SCALAR)
		return n->kind == CONF_MAP ? "a map" : "a list";
	if (!*n->text)
		return "empty";
	str_printable(raw, sizeof raw, n->text, strlen(n->text));
	snprintf(to, SHOWN_MAX, n->quoted ? "'%s'" : "%s", raw);
	return to;
}

static bool is_empty(const struct conf_node *n)
{
	return n->kind == CONF_SCALAR && !n->quoted && (!*n->text || str_eq(n->text, "~") || str_eq(n->text, "null"));
}

/* The value of key: NULL with *ok saying whether that is allowed. */
static const struct conf_node *find(const struct conf *c, const struct conf_node *map, const char *key, bool required,
				    bool *ok, struct diag_sink *sink)
{
	const struct conf_node *n = conf_get(map, key);

	*ok = n || !required;
	if (!*ok) {
		auto_free char *path = xasprintf("%s%s%s", map->path, *map->path ? "." : "", key);

		diag_report(sink, c->name, map->line, path, "is missing");
	}
	return n;
}

static bool wrong(const struct conf *c, const struct conf_node *n, struct diag_sink *sink, const char *must)
{
	char buf[SHOWN_MAX];

	conf_report(c, n, sink, "is %s, must be %s", shown(n, buf), must);
	return false;
}

/* "0…100", "at least 0", or what a value without bounds is. */
static void range_text(char *to, size_t n, const char *what, const char *lo, const char *hi)
{
	if (lo && hi)
		snprintf(to, n, "%s…%s", lo, hi);
	else if (lo)
		snprintf(to, n, "at least %s", lo);
	else if (hi)
		snprintf(to, n, "at most %s", hi);
	else
		snprintf(to, n, "%s", what);
}

/* range with what the value must be before it, when the text is not even that. */
static bool wrong_number(const struct conf *c, const struct conf_node *n, struct diag_sink *sink, const char *what,
			 const char *range, bool is_number)
{
	char must[120];

	if (is_number || str_eq(what, range))
		return wrong(c, n, sink, range);
	snprintf(must, sizeof must, "%s, %s", what, range);
	return wrong(c, n, sink, must);
}

bool conf_read_int(const struct conf *c, const struct conf_node *map, const char *key, bool required, int64_t min,
		   int64_t max, int64_t *out, struct diag_sink *sink)
{
	bool ok;
	const struct conf_node *n = find(c, map, key, required, &ok, sink);
	bool plain = n && n->kind == CONF_SCALAR && !n->quoted;
	char lo[24], hi[24], range[64];
	int64_t any;

	if (!n || (plain && parse_int(n->text, min, max, out)))
		return ok;
	snprintf(lo, sizeof lo, "%lld", (long long)min);
	snprintf(hi, sizeof hi, "%lld", (long long)max);
	range_text(range, sizeof range, "a whole number", min == INT64_MIN ? NULL : lo, max == INT64_MAX ? NULL : hi);
	return wrong_number(c, n, sink, "a whole number", range,
			    plain && parse_int(n->text, INT64_MIN, INT64_MAX, &any));
}

bool conf_read_real(const struct conf *c, const struct conf_node *map, const char *key, bool required, double min,
		    double max, double *out, struct diag_sink *sink)
{
	const double all = 1e300; /* beyond this a bound is none */
	bool ok;
	const struct conf_node *n = find(c, map, key, required, &ok, sink);
	bool plain = n && n->kind == CONF_SCALAR && !n->quoted;
	char lo[24], hi[24], range[64];
	double any;

	if (!n || (plain && parse_real(n->text, min, max, out)))
		return ok;
	snprintf(lo, sizeof lo, "%.10g", min);
	snprintf(hi, sizeof hi, "%.10g", max);
	range_text(range, sizeof range, "a number", min > -all ? lo : NULL, max < all ? hi : NULL);
	return wrong_number(c, n, sink, "a number", range, plain && parse_real(n->text, -INFINITY, INFINITY, &any));
}

bool conf_read_bool(const struct conf *c, const struct conf_node *map, const char *key, bool required, bool *out,
		    struct diag_sink *sink)
{
	bool ok;
	const struct conf_node *n = find(c, map, key, required, &ok, sink);

	if (!n)
		return ok;
	if (n->kind == CONF_SCALAR && !n->quoted) {
		bool yes = str_eq(n->text, "true") || str_eq(n->text, "yes");

		if (yes || str_eq(n->text, "false") || str_eq(n->text, "no")) {
			*out = yes;
			return true;
		}
	}
	return wrong(c, n, sink, "true or false");
}

static bool has_control(const char *s)
{
	size_t len = strlen(s);
	auto_free char *safe = xcalloc(4 * len + 1, 1);

	str_printable(safe, 4 * len + 1, s, len);
	return !str_eq(safe, s);
}

bool conf_read_text(const struct conf *c, const struct conf_node *map, const char *key, bool required, size_t max_len,
		    const char **out, struct diag_sink *sink)
{
	bool ok;
	const struct conf_node *n = find(c, map, key, required, &ok, sink);
	char must[64];

	if (!n)
		return ok;
	if (n->kind != CONF_SCALAR || is_empty(n))
		return wrong(c, n, sink, "a text");
	if (strlen(n->text) > max_len) {
		snprintf(must, sizeof must, "a text of at most %zu bytes", max_len);
		return wrong(c, n, sink, must);
	}
	if (has_control(n->text)) {
		conf_report(c, n, sink, "has a line break or another control character in its text");
		return false;
	}
	*out = n->text;
	return true;
}

static const char *duration_text(int64_t ms, char to[32])
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 }, { "ms", 1 } };
	size_t i = 0;

	if (!ms)
		return "0";
	while (ms % units[i].ms)
		i++;
	snprintf(to, 32, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
	return to;
}

bool conf_read_duration(const struct conf *c, const struct conf_node *map, const char *key, bool required,
			int64_t min_ms, int64_t max_ms, int64_t *out_ms, struct diag_sink *sink)
{
	static const char what[] = "a time with its unit (500ms, 2s, 5min, 1h, 14d)";
	bool ok, plain, bare;
	const struct conf_node *n = find(c, map, key, required, &ok, sink);
	char lo[32], hi[32], range[80];
	int64_t any;

	if (!n)
		return ok;
	plain = n->kind == CONF_SCALAR && !n->quoted;
	/* 30 could be seconds or minutes to the one who reads it; 0 is 0. */
	bare = plain && parse_duration(n->text, 1, 1, INT64_MAX, &any) &&
	       strspn(n->text, "0123456789.eE+-") == strlen(n->text);
	if (plain && !bare && parse_duration(n->text, 1, min_ms, max_ms, out_ms))
		return true;
	range_text(range, sizeof range, what, min_ms == INT64_MIN ? NULL : duration_text(min_ms, lo),
		   max_ms == INT64_MAX ? NULL : duration_text(max_ms, hi));
	return wrong_number(c, n, sink, what, range,
			    plain && !bare && parse_duration(n->text, 1, INT64_MIN, INT64_MAX, &any));
}

bool conf_read_choice(const struct conf *c, const struct conf_node *map, const char *key, bool required,
		      const char *const *names, int *out, struct diag_sink *sink)
{
	bool ok;
	const struct conf_node *n = find(c, map, key, required, &ok, sink);
	auto_buf struct buf must = BUF_INIT;

	if (!n)
		return ok;
	for (int i = 0; names[i]; i++) {
		if (n->kind == CONF_SCALAR && str_eq(n->text, names[i])) {
			*out = i;
			return true;
		}
		buf_addf(&must, "%s%s", !i ? "" : names[i + 1] ? ", " : " or ", names[i]);
	}
	return wrong(c, n, sink, must.data ? must.data : "nothing");
}
