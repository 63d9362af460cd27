#include "tree.h"

#include <string.h>
#include <yaml.h>

enum { TEXT_MAX = 1 << 20, NODES_MAX = 10000, DEPTH_MAX = 16, KEY_MAX = 64 };

struct level {
	struct conf_node *node, **tail;
	const char *key;          /* of the value that comes next; NULL: a map's key comes next */
	int key_line;
};

struct build {
	struct conf *c;
	struct diag_sink *sink;
	yaml_parser_t parser;
	struct level levels[DEPTH_MAX];
	size_t depth, nodes;
	struct { size_t chars, bytes; } at; /* libyaml counts characters: the last place, as both */
	bool bad;                 /* a fault was reported; the reading goes on to find more */
	bool lost;                /* the rest makes no sense */
};

static void *conf_alloc(struct conf *c, size_t size)
{
	struct chunk *k = c->chunks;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!k || k->size - k->used < size) {
		size_t room = size > 4000 ? size : 4000;

		k = xcalloc(1, sizeof *k + room);
		k->size = room;
		k->next = c->chunks;
		c->chunks = k;
	}
	p = k->data + k->used;
	k->used += size;
	return p;
}

static const char *conf_copy(struct conf *c, const char *s, size_t len)
{
	char *p = conf_alloc(c, len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

static size_t byte_offset(struct build *b, size_t chars)
{
	const unsigned char *text = (const unsigned char *)b->c->text;
	size_t i = b->at.bytes, n = b->at.chars, len = b->c->len;

	for (; n < chars && i < len; n++)
		for (i++; i < len && (text[i] & 0xc0) == 0x80; i++)
			;
	for (; n > chars && i > 0; n--)
		for (i--; i > 0 && (text[i] & 0xc0) == 0x80; i--)
			;
	b->at.bytes = i;
	b->at.chars = n;
	return i;
}

static const char *path_of(struct build *b, const struct level *up)
{
	char key[4 * KEY_MAX + 1];
	char *path;
	const char *kept;

	if (!up)
		return "";
	if (up->node->kind == CONF_LIST) {
		path = xasprintf("%s[%zu]", up->node->path, up->node->count);
	} else {
		str_printable(key, sizeof key, up->key, strlen(up->key));
		path = xasprintf("%s%s%s", up->node->path, *up->node->path ? "." : "", key);
	}
	kept = conf_copy(b->c, path, strlen(path));
	free(path);
	return kept;
}

static struct level *top(struct build *b)
{
	return b->depth ? &b->levels[b->depth - 1] : NULL;
}

static void refuse(struct build *b, int line, const char *path, const char *text)
{
	diag_report(b->sink, b->c->name, line, path, "%s", text);
	b->bad = b->lost = true;
}

/* A node of this event, put under the open container (or at the root). */
static struct conf_node *add_node(struct build *b, const yaml_event_t *ev, enum conf_kind kind)
{
	struct level *up = top(b);
	struct conf_node *n = conf_alloc(b->c, sizeof *n);

	n->kind = kind;
	n->line = (int)ev->start_mark.line + 1;
	n->start = byte_offset(b, ev->start_mark.index);
	n->end = byte_offset(b, ev->end_mark.index);
	n->path = path_of(b, up);
	n->text = "";
	if (!up) {
		b->c->root = n;
		return n;
	}
	if (up->node->kind == CONF_MAP) {
		n->key = take(up->key);
		/* A nested map starts on the line after its key; people look for the key. */
		n->line = up->key_line;
	}
	*up->tail = n;
	up->tail = (struct conf_node **)&n->next;
	up->node->count++;
	return n;
}

static void add_scalar(struct build *b, const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	int line = (int)ev->start_mark.line + 1;
	struct level *up = top(b);
	struct conf_node *n;

	if (strlen(s) != len) {
		refuse(b, line, up ? up->node->path : "", "has a zero byte in a text");
		return;
	}
	if (up && up->node->kind == CONF_MAP && !up->key) {
		if (!len || len > KEY_MAX) {
			refuse(b, line, up->node->path, len ? "has a key of more than 64 bytes" : "has an empty key");
			return;
		}
		up->key = conf_copy(b->c, s, len);
		up->key_line = line;
		return;
	}
	n = add_node(b, ev, CONF_SCALAR);
	n->text = conf_copy(b->c, s, len);
	n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static void open_container(struct build *b, const yaml_event_t *ev, enum conf_kind kind)
{
	struct level *up = top(b);
	struct conf_node *n;

	if (up && up->node->kind == CONF_MAP && !up->key) {
		refuse(b, (int)ev->start_mark.line + 1, up->node->path, "has a key that is not a plain word");
		return;
	}
	if (b->depth == DEPTH_MAX) {
		refuse(b, (int)ev->start_mark.line + 1, "", "is nested deeper than 16 levels");
		return;
	}
	n = add_node(b, ev, kind);
	b->levels[b->depth++] = (struct level){ .node = n, .tail = (struct conf_node **)&n->first };
}

static int by_key(const void *a, const void *b)
{
	const struct conf_node *x = *(const struct conf_node *const *)a, *y = *(const struct conf_node *const *)b;
	int d = strcmp(x->key, y->key);

	return d ? d : (x->start > y->start) - (x->start < y->start);
}

static void refuse_repeats(struct build *b, const struct conf_node *map)
{
	auto_free const struct conf_node **sorted = xcalloc(map->count + 1, sizeof *sorted);
	size_t n = 0;

	for (const struct conf_node *k = map->first; k; k = k->next)
		sorted[n++] = k;
	qsort(sorted, n, sizeof *sorted, by_key);
	for (size_t i = 1; i < n; i++) {
		if (!str_eq(sorted[i]->key, sorted[i - 1]->key))
			continue;
		diag_report(b->sink, b->c->name, sorted[i]->line, sorted[i]->path, "is given twice, before on line %d",
			    sorted[i - 1]->line);
		b->bad = true;
	}
}

static void close_container(struct build *b, const yaml_event_t *ev)
{
	struct conf_node *n = b->levels[--b->depth].node;
	char opened = b->c->text[n->start];

	if (n->kind == CONF_MAP)
		refuse_repeats(b, n);
	/* A block ends, for libyaml, where the next thing starts; for an edit it ends where its last child does. */
	n->end = byte_offset(b, ev->end_mark.index);
	if (n->first && opened != '{' && opened != '[') {
		const struct conf_node *last = n->first;

		while (last->next)
			last = last->next;
		n->end = last->end;
	}
}

static void refuse_extras(struct build *b, const yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	int line = (int)ev->start_mark.line + 1;

	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
		break;
	case YAML_ALIAS_EVENT:
		refuse(b, line, "", "has an alias (*name); write the value out");
		return;
	default:
		return;
	}
	if (anchor)
		refuse(b, line, "", "has an anchor (&name); write the value out where it is used");
	else if (tag)
		refuse(b, line, "", "has a tag (!name); values have the type that their key asks for");
	else if (++b->nodes > NODES_MAX)
		refuse(b, line, "", "has more than 10000 values");
}

static void handle(struct build *b, const yaml_event_t *ev)
{
	refuse_extras(b, ev);
	if (b->lost)
		return;
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->c->root)
			refuse(b, (int)ev->start_mark.line + 1, "", "starts a second document; one is allowed");
		break;
	case YAML_DOCUMENT_END_EVENT:
		if (!ev->data.document_end.implicit)
			b->c->end = byte_offset(b, ev->start_mark.index);
		break;
	case YAML_SCALAR_EVENT:
		add_scalar(b, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		open_container(b, ev, CONF_LIST);
		break;
	case YAML_MAPPING_START_EVENT:
		open_container(b, ev, CONF_MAP);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		close_container(b, ev);
		break;
	default:
		break;
	}
}

/* What libyaml calls the commonest faults, and what the person with the editor has to look for. */
static const char *plain_words(const char *problem)
{
	static const char *const words[][2] = {
		{ "did not find expected '-' indicator", "is indented otherwise than the list it is in: every '-' of a "
							 "list stands in one column, its keys in another" },
		{ "did not find expected key", "is indented otherwise than the keys it belongs to (they stand in one "
					       "column), or has more behind a value that has ended" },
		{ "mapping values are not allowed in this context", "has a ':' where none can be: it is indented too "
								    "far, or its text needs quotes" },
		{ "could not find expected ':'", "or the line before has a key without ': ' behind it" },
		{ "did not find expected ',' or ']'", "comes while a '[' is not closed" },
		{ "did not find expected ',' or '}'", "comes while a '{' is not closed" },
		{ "found unexpected end of stream", "is the end, and a quote is not closed" },
		{ "found character that cannot start any token", "has a text that begins with a sign that needs quotes" },
		{ "block sequence entries are not allowed in this context", "has a '- ' where no list can begin: put it "
									    "on a line of its own, below the key" },
	};

	for (size_t i = 0; problem && i < COUNT_OF(words); i++)
		if (str_eq(problem, words[i][0]))
			return words[i][1];
	return NULL;
}

static void report_syntax(struct build *b)
{
	const yaml_parser_t *p = &b->parser;
	size_t line = p->problem_mark.line + 1, at, from = p->context ? p->context_mark.line + 1 : line;
	const char *problem = p->problem ? p->problem : "cannot be read", *plain = plain_words(p->problem);
	char began[48] = "";

	b->bad = b->lost = true;
	if (p->error == YAML_READER_ERROR) {
		/* The reader knows only the byte. */
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < b->c->len; i++)
			line += b->c->text[i] == '\n';
		diag_report(b->sink, b->c->name, (int)line, "", "is not UTF-8 text: %s", problem);
		return;
	}
	if (from != line)
		snprintf(began, sizeof began, " (it began on line %zu)", from);
	at = byte_offset(b, p->problem_mark.index);
	if (at < b->c->len && b->c->text[at] == '\t')
		diag_report(b->sink, b->c->name, (int)line, "", "is not YAML: a tab cannot indent, use spaces");
	else if (plain)
		diag_report(b->sink, b->c->name, (int)line, "", "is not YAML: the line %s%s", plain, began);
	else if (from != line)
		diag_report(b->sink, b->c->name, (int)line, "", "is not YAML: %s (%s, from line %zu)", problem,
			    p->context, from);
	else
		diag_report(b->sink, b->c->name, (int)line, "", "is not YAML: %s", problem);
}

static void build_tree(struct build *b)
{
	bool done = false;

	while (!done && !b->lost) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&b->parser, &ev)) {
			report_syntax(b);
			return;
		}
		done = ev.type == YAML_STREAM_END_EVENT;
		handle(b, &ev);
		yaml_event_delete(&ev);
	}
}

struct conf *conf_parse(const char *text, size_t len, const char *name, struct diag_sink *sink)
{
	auto_conf struct conf *c = xcalloc(1, sizeof *c);
	struct build b = { .c = c, .sink = sink };
	size_t mark = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; /* that some editors begin a file with */

	c->name = xstrdup(name);
	if (len > TEXT_MAX) {
		diag_report(sink, name, 0, "", "has %zu bytes, may have %d", len, TEXT_MAX);
		return NULL;
	}
	c->text = xcalloc(1, len + 1);
	if (len)
		memcpy(c->text, text, len);
	c->len = c->end = len;
	if (!yaml_parser_initialize(&b.parser)) {
		diag_report(sink, name, 0, "", "cannot be read: no memory");
		return NULL;
	}
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)c->text + mark, len - mark);
	b.at.bytes = mark;
	build_tree(&b);
	yaml_parser_delete(&b.parser);
	if (b.bad)
		return NULL;
	if (!c->root) {
		/* An empty file is a map without keys: what misses is then said key by key. */
		c->root = conf_alloc(c, sizeof *c->root);
		*c->root = (struct conf_node){
			.kind = CONF_MAP, .line = 1, .start = len, .end = len, .path = "", .text = "",
		};
	}
	return take(c);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (struct chunk *k = c->chunks, *next; k; k = next) {
		next = k->next;
		free(k);
	}
	free(c->name);
	free(c->text);
	free(c);
}

void conf_free_(struct conf **c)
{
	conf_free(*c);
}

const struct conf_node *conf_root(const struct conf *c)
{
	return c->root;
}

const char *conf_name(const struct conf *c)
{
	return c->name;
}
