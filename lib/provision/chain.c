/* Certificates as they stand in a file or come in a document: chain, names, key, time, revocation. */
#include "inside.h"

#include <string.h>

static const char *const names[] = { [CHAIN_IDEVID] = "IDevID", [CHAIN_IAK] = "IAK", [CHAIN_LDEVID] = "LDevID" };
static const char *const files[] = { [CHAIN_IDEVID] = "idevid.pem", [CHAIN_IAK] = "iak.pem",
				     [CHAIN_LDEVID] = "ldevid.pem" };

/* ---- one chain ---- */

static int check_names(const struct chain_check *how, const struct crypto_cert_facts *f, struct err *e)
{
	const char *cn = how->what == CHAIN_LDEVID ? how->site : how->serial;

	if (cn && !str_eq(f->cn, cn))
		return err_set(e, ERR_REFUSED, 0, "it is for '%s', not for '%s'", f->cn, cn);
	if (how->serial && !str_eq(f->serial_number, how->serial))
		return err_set(e, ERR_REFUSED, 0, "it is for board '%s', not for board '%s'", f->serial_number, how->serial);
	return 0;
}

static int check(const char *pem, const struct chain_check *how, bool *time_checked, struct crypto_cert_facts *f,
		 struct err *e)
{
	auto_crypto_cert struct crypto_cert *leaf = NULL;
	auto_crypto_bag struct crypto_bag *between = NULL;
	auto_crypto_key struct crypto_key *key = NULL;
	struct crypto_check c = { .roots = how->trust, .now = how->now,
				  .use = how->what == CHAIN_LDEVID ? CRYPTO_USE_CLIENT : CRYPTO_USE_DEVICE };

	if (crypto_bag_new(&between, e) || crypto_bag_add_pem(between, "the chain", pem, e) ||
	    crypto_bag_cert(between, 0, &leaf, e) || crypto_cert_key(leaf, &key, e))
		return -1;
	crypto_cert_facts(leaf, f);
	if (how->key && !crypto_key_same(key, how->key))
		return err_set(e, ERR_REFUSED, 0, "it is a certificate for another key than this TPM's");
	c.between = between;
	return check_names(how, f, e) ? -1 : crypto_cert_check(leaf, &c, time_checked, e);
}

int chain_check(const char *pem, const struct chain_check *how, bool *time_checked, struct crypto_cert_facts *facts,
		struct err *e)
{
	*time_checked = false;
	*facts = (struct crypto_cert_facts){ 0 };
	return check(pem, how, time_checked, facts, e) ? err_ctx(e, "the %s certificate", names[how->what]) : 0;
}

/* ---- trust ---- */

/* What is pinned already is not added twice: blocks are compared as text. */
static int add_blocks(struct buf *pem, struct crypto_bag *bag, const char *name, const char *text, struct err *e)
{
	static const char end[] = "-----END ";

	if (crypto_bag_add_pem(bag, name, text, e))
		return -1;
	for (const char *at = strstr(text, "-----BEGIN "); at; at = strstr(at, "-----BEGIN ")) {
		const char *last = strstr(at, end), *stop = last ? strchr(last, '\n') : NULL;
		size_t len = stop ? (size_t)(stop - at) : strlen(at);
		auto_free char *block = strndup(at, len);

		if (block && !(pem->data && strstr(pem->data, block)))
			buf_addf(pem, "%s\n", block);
		at += len;
	}
	return 0;
}

int chain_trust(const struct provision_how *how, const char *document, struct buf *pem, struct crypto_bag **bag,
		struct err *e)
{
	auto_crypto_bag struct crypto_bag *b = NULL;
	auto_buf struct buf pinned = BUF_INIT;
	bool there;

	if (crypto_bag_new(&b, e) || place_read(how, "trust.pem", &pinned, &there, e))
		return -1;
	if (there && add_blocks(pem, b, "trust.pem", pinned.data, e))
		return -1;
	if (how->trust && add_blocks(pem, b, "the roots given", how->trust, e))
		return -1;
	if (!there && !how->trust && document && add_blocks(pem, b, "the document's roots", document, e))
		return -1;
	if (!crypto_bag_certs(b))
		return err_set(e, ERR_REFUSED, 0, "no root is trusted yet: give the CA's root by --trust FILE");
	*bag = take(b);
	return 0;
}

/* ---- what is installed ---- */

struct revocation { const char *reason; char text[48]; bool found; };

static int look_revoked(void *arg, const struct ca_row *row, struct err *e)
{
	struct revocation *r = arg;

	(void)e;
	r->found = r->found || str_eq(row->state, "revoked");
	if (r->found)
		str_copy(r->text, sizeof r->text, row->reason);
	return 0;
}

/* The CA at hand knows sooner than a list. It may be another than the certificate's: then it says nothing. */
static int check_revoked(struct ca *ca, const struct now *now, const char *number, struct err *e)
{
	struct revocation r = { 0 };
	auto_free char *what = xasprintf("number:%s", number);
	struct err none;

	if (ca_list(ca, now, what, look_revoked, &r, &none))
		return 0;
	return r.found ? err_set(e, ERR_REFUSED, 0, "the CA has revoked it (%s)", r.text) : 0;
}

int chain_installed(const struct provision_how *how, enum chain what, const struct crypto_key *key, struct ca *ca,
		    const struct now *now, struct provision_certificate *out, struct err *e)
{
	auto_crypto_bag struct crypto_bag *bag = NULL;
	auto_buf struct buf pem = BUF_INIT, trust = BUF_INIT;
	struct chain_check c = { .what = what, .key = key, .serial = how->serial, .site = how->site, .now = now };
	struct crypto_cert_facts f;
	struct err why;

	if (place_read(how, files[what], &pem, &out->cert, e))
		return -1;
	if (!out->cert)
		return 0;
	if (chain_trust(how, NULL, &trust, &bag, &why) == 0) {
		c.trust = bag;
		out->valid = !chain_check(pem.data, &c, &out->time_checked, &f, &why);
		str_copy(out->fingerprint, sizeof out->fingerprint, f.fingerprint);
		str_copy(out->number, sizeof out->number, f.number);
		out->not_before_us = f.not_before_us;
		out->not_after_us = f.not_after_us;
		if (out->valid && ca && check_revoked(ca, now, f.number, &why))
			out->valid = false;
	}
	if (!out->valid)
		str_copy(out->why, sizeof out->why, why.text);
	return 0;
}
