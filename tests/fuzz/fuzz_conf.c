/* Any text: it is refused with a report, or gives a tree whose marks lie in the text and whose edits read again. */
#include <string.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void walk(const struct conf *c, const struct conf_node *n, size_t size, struct diag_sink *sink)
{
	static const char *const known[] = { "name", "address", "roles", NULL };
	size_t count = 0;
	const char *text;
	int64_t i;

	expect(n->start <= n->end && n->end <= size && n->line >= 1);
	for (const struct conf_node *k = n->first; k; k = k->next, count++) {
		expect((n->kind == CONF_MAP) == (k->key != NULL));
		walk(c, k, size, sink);
	}
	expect(count == n->count && (n->kind != CONF_SCALAR || !count));
	if (n->kind != CONF_MAP)
		return;
	conf_refuse_unknown(c, n, known, sink);
	(void)conf_read_int(c, n, n->first ? n->first->key : "x", true, -5, 5, &i, sink);
	(void)conf_read_duration(c, n, n->first ? n->first->key : "x", true, 0, 1000, &i, sink);
	(void)conf_read_text(c, n, n->first ? n->first->key : "x", true, 16, &text, sink);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag_sink sink = { 0 }, quiet = { 0 };
	auto_conf struct conf *c = conf_parse((const char *)data, size, "fuzz", &sink);
	auto_buf struct buf item = BUF_INIT;
	auto_free char *text = NULL;

	expect((c == NULL) == (sink.count > 0));
	if (!c)
		return 0;
	walk(c, conf_root(c), size, &quiet);
	buf_adds(&item, "- name: ");
	conf_quote(&item, conf_root(c)->first ? conf_root(c)->first->text : "new");
	buf_adds(&item, "\n");
	text = conf_append_item(c, "devices", item.data, &sink);
	expect((text == NULL) == (sink.count > 0));
	if (text) {
		auto_conf struct conf *again = conf_parse(text, strlen(text), "fuzz", &sink);

		expect(again && conf_get(conf_root(again), "devices")->kind == CONF_LIST);
	}
	return 0;
}
