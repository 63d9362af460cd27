/* conf: YAML read by libyaml into a tree of nodes that know their line; checked access; edits that keep comments.
 *
 * Hostile until checked: anchors, aliases, tags, duplicate keys, several documents, more than 1 MiB, 10 000 nodes or
 * depth 16 are refused with a diag. Everything is borrowed from the document.
 */
#ifndef PSEC_CONF_H
#define PSEC_CONF_H

#include "base/base.h"

enum conf_kind { CONF_SCALAR, CONF_MAP, CONF_LIST };

struct conf_node {
	enum conf_kind kind;
	int line;                 /* from 1 */
	size_t start, end;        /* byte offsets in the text, for edits */
	const char *path;         /* "control.limits.import_w", "devices[2].address" */
	const char *key;          /* the key this node is the value of, or NULL */
	const char *text;         /* CONF_SCALAR: its text; "" for an empty value */
	bool quoted;              /* CONF_SCALAR: written in quotes */
	const struct conf_node *first, *next; /* children, in the order of the file */
	size_t count;             /* children */
};

struct conf; /* a document */

/* Parse text; name is the file's name for diags. NULL when it cannot be read as YAML (reported). Caller frees. */
struct conf *conf_parse(const char *text, size_t len, const char *name, struct diag_sink *sink);
void conf_free(struct conf *c);
void conf_free_(struct conf **c);
#define auto_conf __attribute__((cleanup(conf_free_)))
const struct conf_node *conf_root(const struct conf *c);
const char *conf_name(const struct conf *c);

/* The child of a map, or NULL. */
const struct conf_node *conf_get(const struct conf_node *map, const char *key);
/* Report every key of map that is not in known (NULL-ended), naming the nearest known one when it is near. */
void conf_refuse_unknown(const struct conf *c, const struct conf_node *map, const char *const *known,
			 struct diag_sink *sink);
/* Report on a node (or, with NULL, on the document). */
void conf_report(const struct conf *c, const struct conf_node *n, struct diag_sink *sink, const char *fmt, ...)
	printf_like(4, 5);

/* Typed reads of map's key: false and a diag naming value and range when it is there and wrong; when it is not there,
 * true and *out untouched (set the default before), or false and a diag when required. */
bool conf_read_int(const struct conf *c, const struct conf_node *map, const char *key, bool required, int64_t min,
		   int64_t max, int64_t *out, struct diag_sink *sink);
bool conf_read_real(const struct conf *c, const struct conf_node *map, const char *key, bool required, double min,
		    double max, double *out, struct diag_sink *sink);
bool conf_read_bool(const struct conf *c, const struct conf_node *map, const char *key, bool required, bool *out,
		    struct diag_sink *sink);
bool conf_read_text(const struct conf *c, const struct conf_node *map, const char *key, bool required, size_t max_len,
		    const char **out, struct diag_sink *sink);
/* A duration with its unit ("500ms", "14d"), in ms. */
bool conf_read_duration(const struct conf *c, const struct conf_node *map, const char *key, bool required,
			int64_t min_ms, int64_t max_ms, int64_t *out_ms, struct diag_sink *sink);
/* One of names (NULL-ended): its index. */
bool conf_read_choice(const struct conf *c, const struct conf_node *map, const char *key, bool required,
		      const char *const *names, int *out, struct diag_sink *sink);

/* The document's text with item (YAML of one list element, starting "- ", unindented, newline-ended) put after the last
 * element of the top-level list key; the list, or the key at the end of the file, is made when missing. Comments stay.
 * Caller frees; NULL (reported) when key is there and not a block list. */
char *conf_append_item(const struct conf *c, const char *key, const char *item, struct diag_sink *sink);
/* text as a YAML scalar, quoted where it must be. */
void conf_quote(struct buf *b, const char *text);

#endif
