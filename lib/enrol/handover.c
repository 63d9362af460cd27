/* hand-over: the CA's word that a site went from one board to another, and whose word it is. */
#include <string.h>

#include "doc.h"
#include "jot/jot.h"

/* ---- the statement ---- */

static void read_number(struct doc *d, const char *key, char to[ENROL_NUMBER])
{
	const char *s = doc_text(d, key);
	size_t len = strspn(s, "0123456789abcdefABCDEF");

	if (len < 1 || len >= ENROL_NUMBER || s[len])
		doc_fault(d, key, "must be a certificate's number, 1 to %d hex digits", ENROL_NUMBER - 1);
	else
		str_copy(to, ENROL_NUMBER, s);
}

int enrol_handover_read(const char *text, struct enrol_handover *out, struct err *e)
{
	auto_doc struct doc d;

	*out = (struct enrol_handover){ 0 };
	if (doc_open(&d, text, ENROL_HANDOVER, "psec version site from to certificate at signature", e))
		return -1;
	doc_site(&d, "site", out->site);
	doc_serial(&d, "from", out->from);
	doc_serial(&d, "to", out->to);
	read_number(&d, "certificate", out->certificate);
	out->at_us = doc_time(&d, "at");
	doc_bytes(&d, "signature", out->signature, sizeof out->signature, &out->signature_len);
	return d.bad ? -1 : 0;
}

static json_t *unsigned_of(const struct enrol_handover *h)
{
	json_t *o = doc_new(ENROL_HANDOVER);

	json_object_set_new(o, "site", json_string(h->site));
	json_object_set_new(o, "from", json_string(h->from));
	json_object_set_new(o, "to", json_string(h->to));
	json_object_set_new(o, "certificate", json_string(h->certificate));
	json_object_set_new(o, "at", jot_time(h->at_us));
	return o;
}

static void put_line(json_t *o, struct buf *to)
{
	auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(o);
	buf_adds(to, text);
}

void enrol_handover_words(const struct enrol_handover *h, struct buf *to)
{
	static const char what[] = "psec-hand-over"; /* its NUL ends it */

	buf_clear(to);
	buf_add(to, what, sizeof what);
	put_line(unsigned_of(h), to);
}

int enrol_handover_write(const struct enrol_handover *h, struct buf *to, struct err *e)
{
	json_t *o = unsigned_of(h);

	if (doc_put_bytes(o, "signature", h->signature, h->signature_len, e)) {
		json_decref(o);
		return -1;
	}
	buf_clear(to);
	put_line(o, to);
	buf_adds(to, "\n");
	return 0;
}

/* ---- whose word it is ---- */

void enrol_authority_release(struct enrol_authority *a)
{
	for (size_t i = 0; i < a->count; i++)
		crypto_key_free(a->key[i]);
	*a = (struct enrol_authority){ 0 };
}

int enrol_authority_read(const char *text, struct enrol_authority *out, struct err *e)
{
	__attribute__((cleanup(enrol_authority_release))) struct enrol_authority a = { 0 };
	static const char label[] = "PUBLIC KEY";
	auto_buf struct buf one = BUF_INIT;

	for (const char *at = text; doc_pem_next(&at, label, &one); a.count++) {
		if (a.count == ENROL_CHAIN)
			return err_set(e, ERR_INPUT, 0, "there are more than %d public keys", ENROL_CHAIN);
		if (crypto_key_from_pem(one.data, &a.key[a.count], e))
			return err_ctx(e, "public key %zu", a.count + 1);
	}
	if (!a.count)
		return err_set(e, ERR_INPUT, 0, "there is no public key in PEM; a CA's is its policy.pem");
	*out = a;
	a.count = 0;
	return 0;
}

int enrol_handover_check(const struct enrol_handover *h, const struct enrol_authority *a, struct err *e)
{
	auto_buf struct buf words = BUF_INIT;
	struct err why;

	enrol_handover_words(h, &words);
	for (size_t i = 0; i < a->count; i++)
		if (!crypto_verify(a->key[i], words.data, words.len, h->signature, h->signature_len, &why))
			return 0;
	return err_set(e, ERR_REFUSED, 0, "the hand-over of site '%s' to board '%s' was changed, or another CA signed it",
		       h->site, h->to);
}
