#include "words.h"

#include <string.h>

char *words_line(json_t *value, size_t *len)
{
	auto_free char *text = json_dumps(value, JSON_COMPACT);
	size_t n = text ? strlen(text) : 0;
	char *line;

	json_decref(value);
	if (!text || n + 1 > CTL_LINE_MAX)
		return NULL;
	line = xrealloc(NULL, n + 2, 1);
	memcpy(line, text, n);
	memcpy(line + n, "\n", 2);
	*len = n + 1;
	return line;
}

json_t *words_failure(const json_t *id, int code, const struct err *e)
{
	char safe[sizeof e->text * 2];

	/* json_pack takes UTF-8 only, and the text may quote what a peer said */
	str_printable(safe, sizeof safe, e->text, strlen(e->text));
	return json_pack("{s:s, s:o, s:{s:i, s:s, s:{s:s}}}", "jsonrpc", "2.0", "id",
			 id ? json_deep_copy(id) : json_null(), "error", "code", code ? code : -32000 - (int)e->kind,
			 "message", safe, "data", "kind", err_kind_name(e->kind));
}

void words_take_failure(const json_t *error, struct err *e)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *kind = json_string_value(json_object_get(json_object_get(error, "data"), "kind"));
	char safe[sizeof e->text];

	if (!message)
		message = "failed without saying why";
	str_printable(safe, sizeof safe, message, strlen(message));
	err_set(e, kind ? err_kind_parse(kind) : ERR_BUG, 0, "%s", safe);
	/* "none" would read as success further up */
	if (e->kind == ERR_NONE)
		e->kind = ERR_BUG;
}
