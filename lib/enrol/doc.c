#include "doc.h"

#include <string.h>

#include "jot/jot.h"

enum { VERSION = 1, BLOCK_MAX = 16 * 1024 };

static const char *const kinds[] = { "request", "challenge", "answer", "certificate", "policy", "hand-over" };
static const char *const profiles[] = { "idevid", "ldevid" };

const char *enrol_kind_name(enum enrol_kind k)
{
	return kinds[k];
}

const char *enrol_profile_name(enum enrol_profile p)
{
	return profiles[p];
}

/* ---- faults ---- */

void doc_fault(struct doc *d, const char *key, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	if (d->bad)
		return;
	d->bad = true;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	err_set(d->e, ERR_INPUT, 0, "%s%s %s", d->within, key, what);
}

/* Is it one of the names, which have blanks between? */
static bool is_among(const char *key, const char *keys)
{
	size_t len = strlen(key);

	while (len && *keys) {
		size_t n = strcspn(keys, " ");

		if (n == len && memcmp(keys, key, n) == 0)
			return true;
		keys += n;
		keys += strspn(keys, " ");
	}
	return false;
}

static void only_keys(struct doc *d, const char *keys)
{
	char shown[64];
	const char *key;
	json_t *v;

	json_object_foreach(d->at, key, v) {
		if (is_among(key, keys))
			continue;
		str_printable(shown, sizeof shown, key, strlen(key));
		doc_fault(d, *key ? shown : "''", "is not a key of this document");
		return;
	}
}

/* ---- opening ---- */

static json_t *parse(const char *text, struct err *e)
{
	json_error_t why;
	char shown[120];
	json_t *root;

	if (strnlen(text, ENROL_MAX + 1) > ENROL_MAX) {
		err_set(e, ERR_INPUT, 0, "the document has more than %d bytes", ENROL_MAX);
		return NULL;
	}
	root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (!root) {
		str_printable(shown, sizeof shown, why.text, strlen(why.text));
		err_set(e, ERR_INPUT, 0, "the document is no JSON object: line %d: %s", why.line, shown);
	} else if (!json_is_object(root)) {
		json_decref(root);
		root = NULL;
		err_set(e, ERR_INPUT, 0, "the document is no JSON object");
	}
	return root;
}

static int kind_of(const json_t *root, enum enrol_kind *out, struct err *e)
{
	const char *said = json_string_value(json_object_get(root, "psec"));
	const json_t *version = json_object_get(root, "version");
	char shown[40];

	for (size_t i = 0; said && i < COUNT_OF(kinds); i++) {
		if (!str_eq(said, kinds[i]))
			continue;
		*out = (enum enrol_kind)i;
		if (!json_is_integer(version))
			return err_set(e, ERR_INPUT, 0, "version is missing or no number");
		if (json_integer_value(version) != VERSION)
			return err_set(e, ERR_INPUT, 0, "the %s is of version %lld; this psec knows version %d", said,
				       (long long)json_integer_value(version), VERSION);
		return 0;
	}
	if (!said)
		return err_set(e, ERR_INPUT, 0, "this is no enrolment document: it has no text psec");
	str_printable(shown, sizeof shown, said, strlen(said));
	return err_set(e, ERR_INPUT, 0, "psec is '%s', must be request, challenge, answer, certificate, policy or "
			  "hand-over", shown);
}

int enrol_kind(const char *text, enum enrol_kind *out, struct err *e)
{
	json_t *root = parse(text, e);
	int rc = root ? kind_of(root, out, e) : -1;

	json_decref(root);
	return rc;
}

int doc_open(struct doc *d, const char *text, enum enrol_kind kind, const char *keys, struct err *e)
{
	enum enrol_kind found;

	*d = (struct doc){ .within = "", .e = e };
	d->root = d->at = parse(text, e);
	if (!d->root || kind_of(d->root, &found, e))
		return -1;
	if (found != kind)
		return err_set(e, ERR_INPUT, 0, "this is the %s, wanted is the %s", kinds[found], kinds[kind]);
	only_keys(d, keys);
	return d->bad ? -1 : 0;
}

void doc_close(struct doc *d)
{
	json_decref(d->root);
}

void doc_enter(struct doc *d, const char *key, const char *within, const char *keys)
{
	json_t *v = json_object_get(d->at, key);

	if (!json_is_object(v)) {
		doc_fault(d, key, "is missing or no object");
		return;
	}
	d->at = v;
	d->within = within;
	only_keys(d, keys);
}

void doc_leave(struct doc *d)
{
	d->at = d->root;
	d->within = "";
}

/* ---- values ---- */

bool doc_has(const struct doc *d, const char *key)
{
	return json_object_get(d->at, key) != NULL;
}

const char *doc_text(struct doc *d, const char *key)
{
	const char *s = json_string_value(json_object_get(d->at, key));

	if (!s)
		doc_fault(d, key, "is missing or no text");
	return s && !d->bad ? s : "";
}

void doc_serial(struct doc *d, const char *key, char to[ENROL_NAME])
{
	const char *s = doc_text(d, key);

	if (!enrol_serial_ok(s))
		doc_fault(d, key, "must be 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not '.' or '-' at first");
	str_copy(to, ENROL_NAME, s);
}

void doc_site(struct doc *d, const char *key, char to[ENROL_NAME])
{
	const char *s = doc_text(d, key);

	if (!enrol_site_ok(s))
		doc_fault(d, key, "must be a site's id, 1 to 31 of a-z, 0-9 and '-', not '-' at first");
	str_copy(to, ENROL_NAME, s);
}

void doc_digest(struct doc *d, const char *key, uint8_t to[CRYPTO_HASH])
{
	if (!hex_parse(doc_text(d, key), to, CRYPTO_HASH))
		doc_fault(d, key, "must be a SHA-256 of 64 hex digits, lower case");
}

void doc_hash(struct doc *d, const char *key, char to[CRYPTO_HEX])
{
	uint8_t digest[CRYPTO_HASH] = { 0 };

	doc_digest(d, key, digest);
	hex_format(digest, sizeof digest, to);
}

int64_t doc_time(struct doc *d, const char *key)
{
	int64_t utc_us = 0;

	if (!time_parse(doc_text(d, key), &utc_us))
		doc_fault(d, key, "must be a time as 2026-10-01T12:00:00Z");
	return utc_us;
}

void doc_bytes(struct doc *d, const char *key, uint8_t *to, size_t max, size_t *len)
{
	const char *s = doc_text(d, key);
	struct err why;

	*len = 0;
	if (!d->bad && (crypto_unbase64(s, to, max, len, &why) || !*len))
		doc_fault(d, key, "must be base64 of 1 to %zu bytes", max);
}

void doc_blob(struct doc *d, const char *key, struct tpm_blob *to)
{
	doc_bytes(d, key, to->data, sizeof to->data, &to->len);
}

enum enrol_profile doc_profile(struct doc *d)
{
	const char *s = doc_text(d, "profile");

	for (size_t i = 0; i < COUNT_OF(profiles); i++)
		if (str_eq(s, profiles[i]))
			return (enum enrol_profile)i;
	doc_fault(d, "profile", "must be idevid or ldevid");
	return ENROL_IDEVID;
}

/* ---- PEM ---- */

/* Nothing but `most` blocks of that label, each with its end; what is in them is for OpenSSL to judge. */
static bool is_pem(const char *s, const char *label, size_t most)
{
	auto_free char *begin = xasprintf("-----BEGIN %s-----\n", label), *end = xasprintf("\n-----END %s-----", label);
	size_t blocks = 0;

	for (; *s; blocks++) {
		if (!str_starts(s, begin))
			return false;
		s = strstr(s + strlen(begin) - 1, end);
		if (!s)
			return false;
		s += strlen(end);
		s += *s == '\n';
	}
	return blocks >= 1 && blocks <= most;
}

bool enrol_pem_next(const char **at, struct buf *one)
{
	return doc_pem_next(at, "CERTIFICATE", one);
}

bool doc_pem_next(const char **at, const char *label, struct buf *one)
{
	auto_free char *begin = xasprintf("-----BEGIN %s-----", label), *end = xasprintf("-----END %s-----", label);
	const char *from = strstr(*at, begin), *to = from ? strstr(from, end) : NULL;

	buf_clear(one);
	if (!to)
		return false;
	*at = to + strlen(end);
	buf_add(one, from, (size_t)(*at - from));
	buf_adds(one, "\n");
	return true;
}

static bool pem_ok(struct doc *d, const char *key, const char *s, const char *label, size_t most)
{
	if (strlen(s) > BLOCK_MAX * most || !is_pem(s, label, most))
		doc_fault(d, key, "must be PEM, %s%s and nothing else", most > 1 ? "one or some times " : "one ", label);
	return !d->bad;
}

char *doc_pem(struct doc *d, const char *key, const char *label, size_t most)
{
	const char *s = doc_text(d, key);

	return !d->bad && pem_ok(d, key, s, label, most) ? xstrdup(s) : NULL;
}

size_t doc_pems(struct doc *d, const char *key, char *to[ENROL_CHAIN])
{
	json_t *list = json_object_get(d->at, key);
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > ENROL_CHAIN) {
		doc_fault(d, key, "must be a list of at most %d certificates", ENROL_CHAIN);
		return 0;
	}
	for (size_t i = 0; i < n && !d->bad; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (!pem_ok(d, key, s ? s : "", "CERTIFICATE", 1))
			return i;
		to[i] = xstrdup(s);
	}
	return d->bad ? 0 : n;
}

/* ---- writing ---- */

json_t *doc_new(enum enrol_kind kind)
{
	json_t *o = json_object();

	json_object_set_new(o, "psec", json_string(kinds[kind]));
	json_object_set_new(o, "version", json_integer(VERSION));
	return o;
}

int doc_put_bytes(json_t *to, const char *key, const void *data, size_t len, struct err *e)
{
	auto_buf struct buf b = BUF_INIT;

	if (crypto_base64(data, len, &b, e))
		return -1;
	json_object_set_new(to, key, json_string(b.data));
	return 0;
}

int doc_write(json_t *o, struct buf *to, struct err *e)
{
	auto_free char *text = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	json_decref(o);
	if (!text)
		return err_set(e, ERR_BUG, 0, "an enrolment document holds what is no UTF-8");
	if (strlen(text) + 1 > ENROL_MAX)
		return err_set(e, ERR_INPUT, 0, "the document would have more than %d bytes", ENROL_MAX);
	buf_clear(to);
	buf_adds(to, text);
	buf_adds(to, "\n");
	return 0;
}
