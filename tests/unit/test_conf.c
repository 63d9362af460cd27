#include "conf/conf.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* Every report as the line people see, one under the other. */
static struct buf said;

static void say(void *arg, const struct diag *d)
{
	(void)arg;
	buf_addf(&said, "%s:%d: %s%s%s\n", d->file, d->line, d->path, *d->path ? " " : "", d->text);
}

static struct diag_sink sink = { .fn = say };

static int reset(void **state)
{
	(void)state;
	buf_release(&said);
	sink.count = 0;
	return 0;
}

static struct conf *parse(const char *text)
{
	return conf_parse(text, strlen(text), "site.yaml", &sink);
}

static void assert_said(const char *text)
{
	assert_string_equal(said.data ? said.data : "", text);
}

static void assert_refused(const char *text, const char *why)
{
	reset(NULL);
	assert_null(parse(text));
	assert_said(why);
}

static void nodes_know_their_line_path_and_place(void **state)
{
	static const char text[] = "# München\nsite:\n  id: Straße\ndevices:\n  - name: a\n    roles: [x, y]\n  -\n    name: b\n";
	auto_conf struct conf *c = parse(text);
	const struct conf_node *id = conf_get(conf_get(conf_root(c), "site"), "id");
	const struct conf_node *list = conf_get(conf_root(c), "devices");
	const struct conf_node *second = list->first->next;

	(void)state;
	assert_int_equal(id->line, 3);
	assert_string_equal(id->path, "site.id");
	assert_memory_equal(text + id->start, "Straße", id->end - id->start);
	assert_int_equal(list->line, 4);
	assert_int_equal(list->count, 2);
	assert_string_equal(conf_get(second, "name")->path, "devices[1].name");
	assert_int_equal(conf_get(second, "name")->line, 8);
	assert_string_equal(conf_get(list->first, "roles")->first->next->path, "devices[0].roles[1]");
	assert_memory_equal(text + conf_get(list->first, "roles")->start, "[x, y]", 6);
	assert_int_equal(sink.count, 0);
}

static void an_empty_file_is_a_map_without_keys(void **state)
{
	auto_conf struct conf *c = parse("# nothing yet\n");
	int64_t v = 7;

	(void)state;
	assert_non_null(c);
	assert_false(conf_read_int(c, conf_root(c), "psec", true, 1, 1, &v, &sink));
	assert_said("site.yaml:1: psec is missing\n");
}

static void the_extras_of_yaml_are_refused_with_their_line(void **state)
{
	(void)state;
	assert_refused("a: 1\nb: &x 1\n", "site.yaml:2: has an anchor (&name); write the value out where it is used\n");
	assert_refused("a: *x\n", "site.yaml:1: has an alias (*name); write the value out\n");
	assert_refused("a: !!int 3\n", "site.yaml:1: has a tag (!name); values have the type that their key asks for\n");
	assert_refused("a: 1\n---\nb: 1\n", "site.yaml:2: starts a second document; one is allowed\n");
	assert_refused("? [a]\n: 1\n", "site.yaml:1: has a key that is not a plain word\n");
	assert_refused("a: \"x\\0y\"\n", "site.yaml:1: has a zero byte in a text\n");
	assert_refused("a:\n\tb: 1\n", "site.yaml:2: is not YAML: a tab cannot indent, use spaces\n");
	assert_refused("a: 1\nb: \xff\n", "site.yaml:2: is not UTF-8 text: invalid leading UTF-8 octet\n");
}

static void every_repeated_key_is_named_and_the_reading_goes_on(void **state)
{
	(void)state;
	assert_refused("a:\n  x: 1\n  y: 2\n  x: 3\nb: 1\na: 2\n",
		       "site.yaml:4: a.x is given twice, before on line 2\nsite.yaml:6: a is given twice, before on line 1\n");
}

static void size_nodes_and_depth_have_bounds(void **state)
{
	auto_buf struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 10001; i++)
		buf_adds(&b, "- 1\n");
	assert_refused(b.data, "site.yaml:10000: has more than 10000 values\n");
	buf_clear(&b);
	for (int i = 0; i < 17; i++)
		buf_adds(&b, "[");
	assert_refused(b.data, "site.yaml:1: is nested deeper than 16 levels\n");
	buf_clear(&b);
	while (b.len <= 1 << 20)
		buf_adds(&b, "# filler filler filler filler filler\n");
	reset(NULL);
	assert_null(conf_parse(b.data, b.len, "site.yaml", &sink));
	assert_non_null(strstr(said.data, "bytes, may have 1048576"));
}

static void an_unknown_key_is_refused_with_the_nearest_known_one(void **state)
{
	static const char *const known[] = { "reserve_percent", "mode", "id", NULL };
	auto_conf struct conf *c = parse("control:\n  reserv_percent: 3\n  mdoe: off\n  xy: 1\n  ie: 2\n");

	(void)state;
	conf_refuse_unknown(c, conf_get(conf_root(c), "control"), known, &sink);
	assert_said("site.yaml:2: control.reserv_percent is not a key here; did you mean 'reserve_percent'?\n"
		    "site.yaml:3: control.mdoe is not a key here; did you mean 'mode'?\n"
		    "site.yaml:4: control.xy is not a key here\n"
		    "site.yaml:5: control.ie is not a key here; did you mean 'id'?\n");
}

static void a_number_out_of_range_is_told_with_value_and_range(void **state)
{
	auto_conf struct conf *c = parse("control:\n  reserve_percent: 140\n  a: ten\n  b: '5'\n  c: [1]\n  d:\n  e: -1\n  f: 1.5\n"
					 "  g: nan\n");
	const struct conf_node *m = conf_get(conf_root(c), "control");
	int64_t i = 7;
	double r = 7;

	(void)state;
	assert_false(conf_read_real(c, m, "reserve_percent", true, 0, 100, &r, &sink));
	assert_false(conf_read_int(c, m, "a", true, 0, 100, &i, &sink));
	assert_false(conf_read_int(c, m, "b", true, 0, 100, &i, &sink));
	assert_false(conf_read_int(c, m, "c", true, 0, 100, &i, &sink));
	assert_false(conf_read_int(c, m, "d", true, 0, 100, &i, &sink));
	assert_false(conf_read_int(c, m, "e", true, 0, INT64_MAX, &i, &sink));
	assert_false(conf_read_int(c, m, "f", true, INT64_MIN, INT64_MAX, &i, &sink));
	assert_false(conf_read_real(c, m, "g", true, -INFINITY, INFINITY, &r, &sink));
	assert_true(conf_read_int(c, m, "not there", false, 0, 1, &i, &sink));
	assert_int_equal(i, 7);
	assert_true(r == 7);
	assert_said("site.yaml:2: control.reserve_percent is 140, must be 0…100\n"
		    "site.yaml:3: control.a is ten, must be a whole number, 0…100\n"
		    "site.yaml:4: control.b is '5', must be a whole number, 0…100\n"
		    "site.yaml:5: control.c is a list, must be a whole number, 0…100\n"
		    "site.yaml:6: control.d is empty, must be a whole number, 0…100\n"
		    "site.yaml:7: control.e is -1, must be at least 0\n"
		    "site.yaml:8: control.f is 1.5, must be a whole number\n"
		    "site.yaml:9: control.g is nan, must be a number\n");
}

static void texts_choices_booleans_and_durations_are_strict(void **state)
{
	static const char *const modes[] = { "off", "manual", "observe", NULL };
	auto_conf struct conf *c = parse("t: abc\nlong: abcdef\nctl: \"a\\eb\"\nnil: ~\nok: yes\nno: maybe\nmode: auto\n"
					 "m: observe\nd: 14d\nbare: 30\nfar: 2h\nzero: 0\n");
	const struct conf_node *m = conf_root(c);
	const char *t = "default";
	int64_t ms = 1;
	int choice = 9;
	bool b = false;

	(void)state;
	assert_true(conf_read_text(c, m, "t", true, 3, &t, &sink));
	assert_string_equal(t, "abc");
	assert_true(conf_read_bool(c, m, "ok", true, &b, &sink));
	assert_true(b);
	assert_true(conf_read_choice(c, m, "m", true, modes, &choice, &sink));
	assert_int_equal(choice, 2);
	assert_true(conf_read_duration(c, m, "d", true, 0, INT64_MAX, &ms, &sink));
	assert_int_equal(ms, 14 * 86400000ll);
	assert_true(conf_read_duration(c, m, "zero", true, 0, 1000, &ms, &sink));
	assert_int_equal(ms, 0);
	assert_false(conf_read_text(c, m, "long", true, 3, &t, &sink));
	assert_false(conf_read_text(c, m, "ctl", true, 9, &t, &sink));
	assert_false(conf_read_text(c, m, "nil", true, 9, &t, &sink));
	assert_false(conf_read_bool(c, m, "no", true, &b, &sink));
	assert_false(conf_read_choice(c, m, "mode", true, modes, &choice, &sink));
	assert_false(conf_read_duration(c, m, "bare", true, 0, 5000, &ms, &sink));
	assert_false(conf_read_duration(c, m, "far", true, 100, 3600000, &ms, &sink));
	assert_said("site.yaml:2: long is abcdef, must be a text of at most 3 bytes\n"
		    "site.yaml:3: ctl has a line break or another control character in its text\n"
		    "site.yaml:4: nil is ~, must be a text\n"
		    "site.yaml:6: no is maybe, must be true or false\n"
		    "site.yaml:7: mode is auto, must be off, manual or observe\n"
		    "site.yaml:10: bare is 30, must be a time with its unit (500ms, 2s, 5min, 1h, 14d), 0…5s\n"
		    "site.yaml:11: far is 2h, must be 100ms…1h\n");
}

static void hostile_text_is_escaped_in_messages_and_paths(void **state)
{
	auto_conf struct conf *c = parse("\"k\\e[2J\": \"v\\e[2J\"\n");
	int64_t v;

	(void)state;
	assert_false(conf_read_int(c, conf_root(c), "k\x1b[2J", true, 0, 1, &v, &sink));
	assert_said("site.yaml:1: k\\x1b[2J is 'v\\x1b[2J', must be a whole number, 0…1\n");
}

static void assert_appended(const char *before, const char *after)
{
	auto_conf struct conf *c = parse(before);
	auto_free char *got = NULL;

	assert_non_null(c);
	got = conf_append_item(c, "devices", "- name: new\n  unit: 1\n", &sink);
	assert_said("");
	assert_non_null(got);
	assert_string_equal(got, after);
}

static void an_item_is_put_after_the_last_one_and_comments_stay(void **state)
{
	(void)state;
	assert_appended("devices: # all\n  - name: a # one\n    # of a\n\n# control\ncontrol:\n  mode: off\n",
			"devices: # all\n  - name: a # one\n    # of a\n  - name: new\n    unit: 1\n\n# control\ncontrol:\n  mode: off\n");
	assert_appended("devices:\n- name: a\n- name: b\n  roles:\n  - x\n\ncontrol: {}\n",
			"devices:\n- name: a\n- name: b\n  roles:\n  - x\n- name: new\n  unit: 1\n\ncontrol: {}\n");
	assert_appended("devices:\n    - {name: a,\n       unit: 2}\nx: 1",
			"devices:\n    - {name: a,\n       unit: 2}\n    - name: new\n      unit: 1\nx: 1");
	assert_appended("devices:\n  - note: |\n      text\n\n  # end\n",
			"devices:\n  - note: |\n      text\n\n  - name: new\n    unit: 1\n  # end\n");
}

static void a_missing_or_empty_list_is_made(void **state)
{
	(void)state;
	assert_appended("", "devices:\n  - name: new\n    unit: 1\n");
	assert_appended("psec: 1", "psec: 1\ndevices:\n  - name: new\n    unit: 1\n");
	assert_appended("psec: 1\n# end\n...\n", "psec: 1\n# end\ndevices:\n  - name: new\n    unit: 1\n...\n");
	assert_appended("devices:   # none\nx: 1\n", "devices:   # none\n  - name: new\n    unit: 1\nx: 1\n");
	assert_appended("devices: []  # none\nx: 1\n", "devices:   # none\n  - name: new\n    unit: 1\nx: 1\n");
}

static void a_list_that_is_not_a_block_is_not_edited(void **state)
{
	static const char *const texts[] = { "devices: [a]\n", "devices: {a: 1}\n", "devices: x\n", "{devices: []}\n", "- a\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		auto_conf struct conf *c = parse(texts[i]);

		assert_non_null(c);
		assert_null(conf_append_item(c, "devices", "- name: x\n", &sink));
		assert_int_equal(sink.count, i + 1);
	}
}

static void an_item_that_is_more_than_one_item_is_not_inserted(void **state)
{
	auto_conf struct conf *c = parse("devices:\n  - a: 1\ncontrol:\n  mode: off\n");

	(void)state;
	assert_null(conf_append_item(c, "devices", "- a: 2\n- a: 3\n", &sink));
	assert_null(conf_append_item(c, "devices", "x: 2\n", &sink));
	assert_null(conf_append_item(c, "devices", "- *a\n", &sink));
	assert_int_equal(sink.count, 3);
}

/* ---- properties over random documents ------------------------------------------------------------------------------ */

static const char *const scalars[] = { "1", "abc", "'it''s'", "\"a # b\"", "|\n@  lines\n@  more\n", ">-\n@  folded\n\n@  text\n", "",
				       "a\n@  b", "tcp://h:502#1", "é", "[1, {a: 2}]", "{}" };
static const char *const comments[] = { "", "", " # c", "  # é: [" };

static void add_comment_line(struct buf *b, struct rng *r, int indent)
{
	if (rng_next(r) % 4 == 0)
		buf_addf(b, "%*s# note %d: - x\n", (int)(rng_next(r) % 3) * indent, "", (int)(rng_next(r) % 100));
	if (rng_next(r) % 6 == 0)
		buf_adds(b, "\n");
}

static void add_scalar(struct buf *b, struct rng *r, int indent)
{
	const char *s = scalars[rng_next(r) % COUNT_OF(scalars)];

	buf_adds(b, *s ? " " : "");
	for (; *s; s++)
		if (*s == '@')
			buf_addf(b, "%*s", indent, "");
		else
			buf_add(b, s, 1);
	if (b->data[b->len - 1] != '\n')
		buf_addf(b, "%s\n", comments[rng_next(r) % COUNT_OF(comments)]);
}

static void add_list(struct buf *b, struct rng *r, int indent)
{
	for (int n = (int)(rng_next(r) % 4); n >= 0; n--) {
		buf_addf(b, "%*s- name:", indent, "");
		add_scalar(b, r, indent + 2);
		add_comment_line(b, r, indent + 2);
		if (rng_next(r) % 2) {
			buf_addf(b, "%*sroles:", indent + 2, "");
			add_scalar(b, r, indent + 2);
		}
		add_comment_line(b, r, indent);
	}
}

static void add_document(struct buf *b, struct rng *r)
{
	static const char *const keys[] = { "psec", "devices", "control", "notes" };
	unsigned with = (unsigned)rng_next(r);

	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		add_comment_line(b, r, 2);
		if (!(with >> i & 1))
			continue;
		buf_addf(b, "%s:", keys[i]);
		if (rng_next(r) % 3) {
			buf_addf(b, "%s\n", comments[rng_next(r) % COUNT_OF(comments)]);
			add_comment_line(b, r, 2);
			add_list(b, r, 2 * (int)(rng_next(r) % 3));
		} else {
			add_scalar(b, r, 0);
		}
	}
}

static bool equal(const struct conf_node *a, const struct conf_node *b)
{
	const struct conf_node *x = a->first, *y = b->first;

	if (a->kind != b->kind || a->quoted != b->quoted || !str_eq(a->text, b->text))
		return false;
	for (; x && y; x = x->next, y = y->next)
		if ((x->key && !str_eq(x->key, y->key)) || !equal(x, y))
			return false;
	return !x && !y;
}

/* Each line of before stands in after, in its order (the brackets of an empty list may have gone). */
static bool keeps_lines(const char *before, const char *after)
{
	while (*before) {
		size_t len = strcspn(before, "\n");
		const char *at = after;

		while (at && (strncmp(at, before, len) != 0 || (at[len] && at[len] != '\n'))) {
			at = strchr(at, '\n');
			at = at ? at + 1 : NULL;
		}
		if (!at)
			return false;
		after = at + len;
		before += len + (before[len] == '\n');
	}
	return true;
}

static void an_edit_gives_the_same_document_and_the_new_item(void **state)
{
	struct rng r;
	int edits = 0;

	(void)state;
	rng_seed(&r, 11);
	for (int round = 0; round < 3000; round++) {
		auto_buf struct buf b = BUF_INIT;
		auto_conf struct conf *c = NULL, *d = NULL;
		auto_free char *text = NULL;
		const struct conf_node *old, *new, *x, *y;

		add_document(&b, &r);
		buf_adds(&b, "");
		c = parse(b.data ? b.data : "");
		if (!c)
			print_error("%s\n%s", b.data, said.data);
		assert_non_null(c);
		text = conf_append_item(c, "devices", "- name: new\n  unit: 1\n", &sink);
		old = conf_get(conf_root(c), "devices");
		if (!text) {
			/* Only what is no block list may be refused. */
			if (!old || (old->kind == CONF_LIST && b.data[old->start] != '['))
				print_error("%s\n%s", b.data, said.data);
			assert_true(old && (old->kind != CONF_LIST || b.data[old->start] == '['));
			continue;
		}
		edits++;
		d = parse(text);
		assert_non_null(d);
		new = conf_get(conf_root(d), "devices");
		assert_int_equal(new->count, (old ? old->count : 0) + 1);
		for (x = old ? old->first : NULL, y = new->first; x; x = x->next, y = y->next)
			assert_true(equal(x, y));
		assert_string_equal(conf_get(y, "name")->text, "new");
		for (x = conf_root(c)->first; x; x = x->next)
			assert_true(x == old || equal(x, conf_get(conf_root(d), x->key)));
		assert_true(keeps_lines(b.data, text));
	}
	assert_true(edits > 1000);
}

static void a_quoted_text_is_read_back_as_it_was(void **state)
{
	static const char *const parts[] = { "a", "7", " ", "\"", "'", "\\", "\n", "\t", "#", ": ", "- ", "é", "\xe2\x80\xa8", "\x1b",
					     "\xc2\x85", "%", "{", "[", ",", "true", "null", "0x1", "\xf0\x9f\x94\x8b", "~", "!", "&" };
	struct rng r;

	(void)state;
	rng_seed(&r, 3);
	for (int round = 0; round < 3000; round++) {
		auto_buf struct buf text = BUF_INIT, yaml = BUF_INIT;
		auto_conf struct conf *c = NULL;

		buf_adds(&text, "");
		for (int n = (int)(rng_next(&r) % 6); n > 0; n--)
			buf_adds(&text, parts[rng_next(&r) % COUNT_OF(parts)]);
		buf_adds(&yaml, "- k: ");
		conf_quote(&yaml, text.data ? text.data : "");
		buf_adds(&yaml, " # c\n- {k: ");
		conf_quote(&yaml, text.data ? text.data : "");
		buf_adds(&yaml, "}\n");
		c = parse(yaml.data);
		if (!c)
			print_error("%s%s", yaml.data, said.data);
		assert_non_null(c);
		assert_string_equal(conf_get(conf_root(c)->first, "k")->text, text.data ? text.data : "");
		assert_string_equal(conf_get(conf_root(c)->first->next, "k")->text, text.data ? text.data : "");
	}
}

static void quotes_are_set_only_where_they_must_be(void **state)
{
	static const char *const cases[][2] = {
		{ "tcp://127.0.0.1:502#1", "tcp://127.0.0.1:502#1" }, { "grid-meter", "grid-meter" }, { "SDM630", "SDM630" },
		{ "off", "\"off\"" }, { "1.5", "\"1.5\"" }, { "2016-01-01", "\"2016-01-01\"" }, { "", "\"\"" },
		{ "a b", "\"a b\"" }, { "bad\xff", "\"bad\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		auto_buf struct buf b = BUF_INIT;

		conf_quote(&b, cases[i][0]);
		assert_string_equal(b.data, cases[i][1]);
	}
}

static void faults_of_indentation_are_told_in_words_for_who_edits(void **state)
{
	(void)state;
	assert_refused("d:\n  - a: 1\n   - b: 1\n",
		       "site.yaml:3: is not YAML: the line is indented otherwise than the list it is in: every '-' of a list "
		       "stands in one column, its keys in another (it began on line 2)\n");
	assert_refused("c:\n  a: 1\n   b: 1\n",
		       "site.yaml:3: is not YAML: the line has a ':' where none can be: it is indented too far, or its text "
		       "needs quotes\n");
	assert_refused("c:\n  a: [1\nb: 2\n", "site.yaml:3: is not YAML: the line comes while a '[' is not closed (it "
						"began on line 2)\n");
	assert_refused("c:\n  a: \"x\n", "site.yaml:3: is not YAML: the line is the end, and a quote is not closed (it "
					  "began on line 2)\n");
}

static void a_byte_order_mark_is_no_text_and_an_edit_keeps_it(void **state)
{
	static const char text[] = "\xef\xbb\xbfpsec: 1\r\ndevices:\r\n  - name: a\r\n";
	auto_conf struct conf *c = parse(text);
	auto_free char *out = NULL;

	(void)state;
	assert_non_null(c);
	assert_string_equal(conf_get(conf_root(c), "psec")->text, "1");
	out = conf_append_item(c, "devices", "- name: b\n", &sink);
	assert_non_null(out);
	assert_memory_equal(out, text, sizeof text - 1);
	assert_non_null(strstr(out + sizeof text - 1, "- name: b"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, reset, reset)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(nodes_know_their_line_path_and_place),
		test(an_empty_file_is_a_map_without_keys),
		test(the_extras_of_yaml_are_refused_with_their_line),
		test(every_repeated_key_is_named_and_the_reading_goes_on),
		test(size_nodes_and_depth_have_bounds),
		test(an_unknown_key_is_refused_with_the_nearest_known_one),
		test(a_number_out_of_range_is_told_with_value_and_range),
		test(texts_choices_booleans_and_durations_are_strict),
		test(hostile_text_is_escaped_in_messages_and_paths),
		test(an_item_is_put_after_the_last_one_and_comments_stay),
		test(a_missing_or_empty_list_is_made),
		test(a_list_that_is_not_a_block_is_not_edited),
		test(an_item_that_is_more_than_one_item_is_not_inserted),
		test(an_edit_gives_the_same_document_and_the_new_item),
		test(a_quoted_text_is_read_back_as_it_was),
		test(quotes_are_set_only_where_they_must_be),
		test(faults_of_indentation_are_told_in_words_for_who_edits),
		test(a_byte_order_mark_is_no_text_and_an_edit_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
