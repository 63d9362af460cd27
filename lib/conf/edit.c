#include "tree.h"

#include <string.h>
#include <strings.h>

/* ---- where a text may be inserted ------------------------------------------------------------------------------- */

static size_t line_start(const struct conf *c, size_t at)
{
	while (at > 0 && c->text[at - 1] != '\n')
		at--;
	return at;
}

/* The start of the line after the one that at is on, or the end of the text. */
static size_t next_line(const struct conf *c, size_t at)
{
	const char *nl = memchr(c->text + at, '\n', c->len - at);

	return nl ? (size_t)(nl - c->text) + 1 : c->len;
}

/* Comments that stand deeper than the list's dashes belong to its last item: go behind them, and behind the empty
 * lines before each, but not behind empty lines that no such comment follows. */
static size_t behind_comments(const struct conf *c, size_t at, size_t dash_column)
{
	size_t after = at, i = at;

	while (i < c->len) {
		size_t text = i + strspn(c->text + i, " ");

		if (c->text[text] == '#' && text - i > dash_column)
			after = next_line(c, i);
		else if (c->text[text + strspn(c->text + text, " \t\r")] != '\n')
			break;
		i = next_line(c, i);
	}
	return after;
}

/* Behind the last line of a node. A block scalar's end is already the start of a line. */
static size_t behind_node(const struct conf *c, const struct conf_node *n)
{
	const struct conf_node *last = n->kind == CONF_SCALAR ? NULL : n->first;
	size_t end = n->end;

	if (last && c->text[n->start] != '[' && c->text[n->start] != '{') {
		while (last->next)
			last = last->next;
		return behind_node(c, last);
	}
	if (end > n->start && c->text[end - 1] == '\n')
		return end;
	return next_line(c, end);
}

static void add_indented(struct buf *b, const char *item, size_t column)
{
	while (*item) {
		size_t len = strcspn(item, "\n");

		if (len)
			buf_addf(b, "%*s%.*s", (int)column, "", (int)len, item);
		buf_adds(b, "\n");
		item += len + (item[len] == '\n');
	}
}

static char *spliced(const struct conf *c, size_t cut, size_t cut_len, size_t at, const char *key, const char *item,
		     size_t column)
{
	struct buf b = BUF_INIT;

	buf_add(&b, c->text, cut);
	buf_add(&b, c->text + cut + cut_len, at - cut - cut_len);
	if (b.len && b.data[b.len - 1] != '\n')
		buf_adds(&b, "\n");
	if (key) {
		buf_adds(&b, key);
		buf_adds(&b, ":\n");
	}
	add_indented(&b, item, column);
	buf_add(&b, c->text + at, c->len - at);
	return buf_take(&b);
}

/* ---- the result must say the same and one item more -------------------------------------------------------------- */

static bool same(const struct conf_node *a, const struct conf_node *b)
{
	const struct conf_node *x = a->first, *y = b->first;

	if (a->kind != b->kind || a->count != b->count || !str_eq(a->text, b->text) ||
	    (a->kind == CONF_SCALAR && a->quoted != b->quoted))
		return false;
	for (; x && y; x = x->next, y = y->next)
		if ((x->key && !str_eq(x->key, y->key)) || !same(x, y))
			return false;
	return !x && !y;
}

static bool is_longer_list(const struct conf_node *before, const struct conf_node *after)
{
	const struct conf_node *x = before ? before->first : NULL, *y = after->first;

	if (after->kind != CONF_LIST || after->count != (before ? before->count : 0) + 1)
		return false;
	for (; x; x = x->next, y = y->next)
		if (!same(x, y))
			return false;
	return true;
}

static bool only_added(const struct conf_node *before, const struct conf_node *after, const char *key)
{
	const struct conf_node *x = before->first, *y = after->first;

	if (after->kind != CONF_MAP || !conf_get(after, key) ||
	    !is_longer_list(conf_get(before, key), conf_get(after, key)))
		return false;
	for (; x; x = x->next, y = y->next) {
		if (!y || !str_eq(x->key, y->key))
			return false;
		if (!str_eq(x->key, key) && !same(x, y))
			return false;
	}
	return !y || (!y->next && str_eq(y->key, key));
}

/* "devices: []" with nothing inside the brackets. */
static bool is_empty_flow(const struct conf *c, const struct conf_node *n)
{
	if (n->kind != CONF_LIST || n->count || n->end - n->start < 2 || c->text[n->start] != '[')
		return false;
	return strspn(c->text + n->start + 1, " ") == n->end - n->start - 2;
}

char *conf_append_item(const struct conf *c, const char *key, const char *item, struct diag_sink *sink)
{
	const struct conf_node *n = conf_get(c->root, key);
	struct diag_sink quiet = { 0 };
	auto_free char *text = NULL;
	auto_conf struct conf *again = NULL;

	if (c->root->kind != CONF_MAP || (c->root->count && c->text[c->root->start] == '{')) {
		conf_report(c, c->root, sink, "the document must be keys with values, one a line, to be edited");
		return NULL;
	}
	if (n && n->kind == CONF_LIST && n->count && c->text[n->start] != '[') {
		size_t column = n->start - line_start(c, n->start);

		text = spliced(c, 0, 0, behind_comments(c, behind_node(c, n), column), NULL, item, column);
	} else if (n && is_empty_flow(c, n)) {
		text = spliced(c, n->start, n->end - n->start, next_line(c, n->end), NULL, item, 2);
	} else if (n && n->kind == CONF_SCALAR && !n->quoted && !*n->text) {
		text = spliced(c, 0, 0, next_line(c, n->start), NULL, item, 2);
	} else if (n) {
		conf_report(c, n, sink, "must be a list with one '- ' a line to be edited");
		return NULL;
	} else {
		text = spliced(c, 0, 0, c->end, key, item, 2);
	}
	again = conf_parse(text, strlen(text), c->name, &quiet);
	if (!again || !only_added(c->root, again->root, key)) {
		conf_report(c, n, sink, "cannot be edited here; please add the item by hand");
		return NULL;
	}
	return take(text);
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

/* Words that YAML readers (ours or another) take for themselves wherever they stand, and what looks like a number. */
static bool is_plain_word(const char *s)
{
	static const char *const taken[] = { "true", "false", "yes", "no", "on", "off", "null", "y", "n" };
	static const char inside[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:+=@()%&#;";
	size_t len = strlen(s);

	if (!len || len > 200 || s[strspn(s, inside)] || s[len - 1] == ':' || strchr("-.:+=@()%&#;", s[0]))
		return false;
	/* A word that starts like a number must have something that no number, date or time of YAML has. */
	if (s[0] >= '0' && s[0] <= '9' && !s[strspn(s, "0123456789abcdefABCDEFxXo_.:+-TZ")])
		return false;
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (!strcasecmp(s, taken[i]))
			return false;
	return true;
}

/* What follows must be read back as it was: YAML folds or refuses these when they stand raw in quotes. */
static bool needs_escape(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff;
}

static size_t utf8_next(const unsigned char *s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	*code = 0xfffd;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (!n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 1;
	*code = c;
	return n;
}

void conf_quote(struct buf *b, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (is_plain_word(text)) {
		buf_adds(b, text);
		return;
	}
	buf_adds(b, "\"");
	while (*s) {
		uint32_t code;
		size_t n = utf8_next(s, &code);

		if (*s == '"' || *s == '\\')
			buf_addf(b, "\\%c", *s);
		else if (*s == '\n')
			buf_adds(b, "\\n");
		else if (*s == '\t')
			buf_adds(b, "\\t");
		else if (needs_escape(code))
			buf_addf(b, "\\u%04X", (unsigned)code);
		else if (code == 0xfffd)
			buf_adds(b, "\xef\xbf\xbd");
		else
			buf_add(b, s, n);
		s += n;
	}
	buf_adds(b, "\"");
}
