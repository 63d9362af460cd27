#include <string.h>

#include "doc.h"
#include "jot/jot.h"

/* ---- names ---- */

static bool made_of(const char *s, const char *set, size_t most)
{
	size_t len = strspn(s, set);

	return len >= 1 && len <= most && s[len] == '\0';
}

/* They become names of folders and words of a signer's command line. */
bool enrol_serial_ok(const char *s)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	return *s != '.' && *s != '-' && made_of(s, set, ENROL_NAME - 1);
}

bool enrol_site_ok(const char *s)
{
	enum { SITE_ID_MAX = 31 }; /* site.yaml's own bound */

	return *s != '-' && made_of(s, "abcdefghijklmnopqrstuvwxyz0123456789-", SITE_ID_MAX);
}

/* ---- what binds the documents to each other ---- */

void enrol_nonce(enum enrol_profile profile, const char *serial, const char *site, uint8_t out[CRYPTO_HASH])
{
	const char *const parts[] = { "psec-certify", enrol_profile_name(profile), serial, site };
	auto_buf struct buf b = BUF_INIT;

	for (size_t i = 0; i < COUNT_OF(parts); i++)
		buf_add(&b, parts[i], strlen(parts[i]) + 1);
	crypto_sha256(b.data, b.len, out);
}

void enrol_hash(const char *text, char hash[CRYPTO_HEX])
{
	uint8_t raw[CRYPTO_HASH];

	crypto_sha256(text, strlen(text), raw);
	crypto_hex(raw, sizeof raw, hash, CRYPTO_HEX);
}

void enrol_proof(const struct secret *value, const char *request_hash, uint8_t proof[CRYPTO_HASH])
{
	static const char what[] = "psec-answer"; /* its NUL ends it */
	char text[sizeof what + CRYPTO_HEX];
	size_t len = strnlen(request_hash, CRYPTO_HEX - 1);

	memcpy(text, what, sizeof what);
	memcpy(text + sizeof what, request_hash, len);
	crypto_hmac_sha256(value->data, value->len, text, sizeof what + len, proof);
}

/* ---- request ---- */

void enrol_request_release(struct enrol_request *r)
{
	free(r->ek_certificate);
	free(r->csr);
	for (size_t i = 0; i < r->ek_chain_count; i++)
		free(r->ek_chain[i]);
	*r = (struct enrol_request){ 0 };
}

static void read_site(struct doc *d, struct enrol_request *r)
{
	if (r->profile == ENROL_IDEVID) {
		if (doc_has(d, "site"))
			doc_fault(d, "site", "belongs to profile ldevid: an IDevID knows no site");
		return;
	}
	doc_site(d, "site", r->site);
}

int enrol_request_read(const char *text, struct enrol_request *out, struct err *e)
{
	auto_doc struct doc d;

	*out = (struct enrol_request){ 0 };
	if (doc_open(&d, text, ENROL_REQUEST, "psec version profile serial site created ek iak key", e))
		return -1;
	out->profile = doc_profile(&d);
	doc_serial(&d, "serial", out->serial);
	read_site(&d, out);
	out->created_us = doc_time(&d, "created");
	doc_enter(&d, "ek", "ek.", "certificate chain");
	out->ek_certificate = doc_pem(&d, "certificate", "CERTIFICATE", 1);
	out->ek_chain_count = doc_pems(&d, "chain", out->ek_chain);
	doc_leave(&d);
	doc_enter(&d, "iak", "iak.", "public");
	doc_blob(&d, "public", &out->iak);
	doc_leave(&d);
	doc_enter(&d, "key", "key.", "public certify signature csr");
	doc_blob(&d, "public", &out->key);
	doc_blob(&d, "certify", &out->certify);
	doc_blob(&d, "signature", &out->signature);
	out->csr = doc_pem(&d, "csr", "CERTIFICATE REQUEST", 1);
	if (!d.bad)
		return 0;
	enrol_request_release(out);
	return -1;
}

static json_t *pem_list(char *const *pems, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(pems[i]));
	return list;
}

int enrol_request_write(const struct enrol_request *r, struct buf *to, struct err *e)
{
	json_t *o = doc_new(ENROL_REQUEST), *ek = json_object(), *iak = json_object(), *key = json_object();

	json_object_set_new(o, "profile", json_string(enrol_profile_name(r->profile)));
	json_object_set_new(o, "serial", json_string(r->serial));
	if (r->profile == ENROL_LDEVID)
		json_object_set_new(o, "site", json_string(r->site));
	json_object_set_new(o, "created", jot_time(r->created_us));
	json_object_set_new(o, "ek", ek);
	json_object_set_new(o, "iak", iak);
	json_object_set_new(o, "key", key);
	json_object_set_new(ek, "certificate", json_string(r->ek_certificate));
	json_object_set_new(ek, "chain", pem_list(r->ek_chain, r->ek_chain_count));
	if (doc_put_bytes(iak, "public", r->iak.data, r->iak.len, e) ||
	    doc_put_bytes(key, "public", r->key.data, r->key.len, e) ||
	    doc_put_bytes(key, "certify", r->certify.data, r->certify.len, e) ||
	    doc_put_bytes(key, "signature", r->signature.data, r->signature.len, e)) {
		json_decref(o);
		return -1;
	}
	json_object_set_new(key, "csr", json_string(r->csr));
	return doc_write(o, to, e);
}

/* ---- challenge ---- */

int enrol_challenge_read(const char *text, struct enrol_challenge *out, struct err *e)
{
	auto_doc struct doc d;

	*out = (struct enrol_challenge){ 0 };
	if (doc_open(&d, text, ENROL_CHALLENGE, "psec version request serial credential secret expires", e))
		return -1;
	doc_hash(&d, "request", out->request);
	doc_serial(&d, "serial", out->serial);
	doc_blob(&d, "credential", &out->credential);
	doc_blob(&d, "secret", &out->secret);
	out->expires_us = doc_time(&d, "expires");
	return d.bad ? -1 : 0;
}

int enrol_challenge_write(const struct enrol_challenge *c, struct buf *to, struct err *e)
{
	json_t *o = doc_new(ENROL_CHALLENGE);

	json_object_set_new(o, "request", json_string(c->request));
	json_object_set_new(o, "serial", json_string(c->serial));
	if (doc_put_bytes(o, "credential", c->credential.data, c->credential.len, e) ||
	    doc_put_bytes(o, "secret", c->secret.data, c->secret.len, e)) {
		json_decref(o);
		return -1;
	}
	json_object_set_new(o, "expires", jot_time(c->expires_us));
	return doc_write(o, to, e);
}

/* ---- answer ---- */

int enrol_answer_read(const char *text, struct enrol_answer *out, struct err *e)
{
	auto_doc struct doc d;

	*out = (struct enrol_answer){ 0 };
	if (doc_open(&d, text, ENROL_ANSWER, "psec version request serial proof", e))
		return -1;
	doc_hash(&d, "request", out->request);
	doc_serial(&d, "serial", out->serial);
	doc_digest(&d, "proof", out->proof);
	return d.bad ? -1 : 0;
}

int enrol_answer_write(const struct enrol_answer *a, struct buf *to, struct err *e)
{
	json_t *o = doc_new(ENROL_ANSWER);
	char proof[CRYPTO_HEX];

	json_object_set_new(o, "request", json_string(a->request));
	json_object_set_new(o, "serial", json_string(a->serial));
	json_object_set_new(o, "proof", json_string(crypto_hex(a->proof, sizeof a->proof, proof, sizeof proof)));
	return doc_write(o, to, e);
}

/* ---- certificate ---- */

void enrol_certificate_release(struct enrol_certificate *c)
{
	free(c->chain);
	free(c->iak);
	for (size_t i = 0; i < c->trust_count; i++)
		free(c->trust[i]);
	*c = (struct enrol_certificate){ 0 };
}

int enrol_certificate_read(const char *text, struct enrol_certificate *out, struct err *e)
{
	auto_doc struct doc d;

	*out = (struct enrol_certificate){ 0 };
	if (doc_open(&d, text, ENROL_CERTIFICATE, "psec version request profile serial certificate iak trust", e))
		return -1;
	doc_hash(&d, "request", out->request);
	out->profile = doc_profile(&d);
	doc_serial(&d, "serial", out->serial);
	out->chain = doc_pem(&d, "certificate", "CERTIFICATE", ENROL_CHAIN);
	if (doc_has(&d, "iak") && out->profile == ENROL_LDEVID)
		doc_fault(&d, "iak", "belongs to profile idevid");
	if (doc_has(&d, "iak"))
		out->iak = doc_pem(&d, "iak", "CERTIFICATE", ENROL_CHAIN);
	out->trust_count = doc_pems(&d, "trust", out->trust);
	if (!d.bad && out->trust_count == 0)
		doc_fault(&d, "trust", "must have a root at least");
	if (!d.bad)
		return 0;
	enrol_certificate_release(out);
	return -1;
}

int enrol_certificate_write(const struct enrol_certificate *c, struct buf *to, struct err *e)
{
	json_t *o = doc_new(ENROL_CERTIFICATE);

	json_object_set_new(o, "request", json_string(c->request));
	json_object_set_new(o, "profile", json_string(enrol_profile_name(c->profile)));
	json_object_set_new(o, "serial", json_string(c->serial));
	json_object_set_new(o, "certificate", json_string(c->chain));
	if (c->iak)
		json_object_set_new(o, "iak", json_string(c->iak));
	json_object_set_new(o, "trust", pem_list(c->trust, c->trust_count));
	return doc_write(o, to, e);
}

/* ---- policy ---- */

static void read_pcrs(struct doc *d, struct tpm_pcrs *pcrs)
{
	const char *key;
	json_t *v;
	int64_t n;

	if (!json_is_object(json_object_get(d->at, "pcrs"))) {
		doc_fault(d, "pcrs", "is missing or no object");
		return;
	}
	d->at = json_object_get(d->at, "pcrs");
	d->within = "pcrs.";
	json_object_foreach(d->at, key, v) {
		char again[8];

		/* one way to write a number, so that no PCR stands there twice */
		if (!parse_int(key, 0, TPM_PCRS - 1, &n) ||
		    (snprintf(again, sizeof again, "%d", (int)n), !str_eq(again, key))) {
			doc_fault(d, "", "must have PCR numbers of 0…%d as keys", TPM_PCRS - 1);
			break;
		}
		doc_digest(d, key, pcrs->value[n]);
		pcrs->mask |= 1U << n;
	}
	doc_leave(d);
	if (!pcrs->mask)
		doc_fault(d, "pcrs", "must have a PCR at least");
}

int enrol_policy_read(const char *text, struct enrol_policy *out, struct err *e)
{
	json_t *slot;
	auto_doc struct doc d;

	*out = (struct enrol_policy){ 0 };
	if (doc_open(&d, text, ENROL_POLICY, "psec version slot serial pcrs digest signature", e))
		return -1;
	slot = json_object_get(d.at, "slot");
	if (!json_is_integer(slot) || json_integer_value(slot) < 0 || json_integer_value(slot) > 63)
		doc_fault(&d, "slot", "must be a whole number of 0…63");
	out->slot = (int)json_integer_value(slot);
	if (doc_has(&d, "serial"))
		doc_serial(&d, "serial", out->serial);
	read_pcrs(&d, &out->pcrs);
	doc_digest(&d, "digest", out->digest);
	if (doc_has(&d, "signature"))
		doc_bytes(&d, "signature", out->signature, sizeof out->signature, &out->signature_len);
	return d.bad ? -1 : 0;
}

int enrol_policy_write(const struct enrol_policy *p, struct buf *to, struct err *e)
{
	json_t *o = doc_new(ENROL_POLICY), *pcrs = json_object();
	char hex[CRYPTO_HEX], key[8];

	json_object_set_new(o, "slot", json_integer(p->slot));
	if (p->serial[0])
		json_object_set_new(o, "serial", json_string(p->serial));
	json_object_set_new(o, "pcrs", pcrs);
	for (int i = 0; i < TPM_PCRS; i++) {
		if (!(p->pcrs.mask & 1U << i))
			continue;
		snprintf(key, sizeof key, "%d", i);
		json_object_set_new(pcrs, key, json_string(crypto_hex(p->pcrs.value[i], CRYPTO_HASH, hex, sizeof hex)));
	}
	json_object_set_new(o, "digest", json_string(crypto_hex(p->digest, CRYPTO_HASH, hex, sizeof hex)));
	if (p->signature_len && doc_put_bytes(o, "signature", p->signature, p->signature_len, e)) {
		json_decref(o);
		return -1;
	}
	return doc_write(o, to, e);
}
