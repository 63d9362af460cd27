/* ek: the endorsement key and the certificates that its maker left in NV (TCG EK Credential Profile 2.3, 2.2). */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

enum { CERTIFICATE_MAX = 4096, CHAIN_MAX = 32768, CHAIN_FIRST = 0x01c00100, CHAIN_LAST = 0x01c001ff };
enum { EK_FIRST = (int)0x81010000, EK_LAST = (int)0x8101ffff };

/* The indices in their order are one string of certificates, which need not end where an index does. */
static int read_chain(struct tpm *t, struct crypto_bag *chain, struct err *e)
{
	TPM2_HANDLE h[CHAIN_LAST - CHAIN_FIRST + 1];
	auto_buf struct buf all = BUF_INIT;
	auto_free uint8_t *part = xcalloc(1, CERTIFICATE_MAX);
	size_t count, len;

	if (tpm_handles(t, CHAIN_FIRST, h, COUNT_OF(h), &count, e))
		return -1;
	for (size_t i = 0; i < count && h[i] <= CHAIN_LAST; i++) {
		if (tpm_nv_read(t, h[i], part, CERTIFICATE_MAX, &len, e))
			return -1;
		if (all.len + len > CHAIN_MAX)
			return err_set(e, ERR_INPUT, 0, "the certificate chain is longer than %d bytes", CHAIN_MAX);
		buf_add(&all, part, len);
	}
	return all.len ? crypto_bag_add_der(chain, all.data, all.len, e) : 0;
}

/* One that cannot be read is told only when there is no other: makers have left odd ones. */
int tpm_ek_certificate(struct tpm *t, struct crypto_cert **out, struct crypto_bag *chain, struct err *e)
{
	auto_free uint8_t *der = xcalloc(1, CERTIFICATE_MAX);
	bool odd = false;
	size_t len;

	*out = NULL;
	for (size_t i = 0; i < tpm_ek_profile_count && !*out; i++) {
		TPM2_HANDLE h = tpm_ek_profiles[i].certificate;
		struct err why;

		if (tpm_nv_read(t, h, der, CERTIFICATE_MAX, &len, &why) == 0 &&
		    (!len || crypto_cert_from_der(der, len, out, &why) == 0))
			continue;
		if (!odd) {
			*e = why;
			err_ctx(e, "the EK's certificate at 0x%x", h);
		}
		odd = true;
	}
	if (!*out)
		return odd ? -1 : 0;
	if (chain && read_chain(t, chain, e)) {
		crypto_cert_free(*out);
		*out = NULL;
		return err_ctx(e, "the EK's certificate chain in NV");
	}
	return 0;
}

/* ---- the key ----------------------------------------------------------------------------------------------------- */

/* wanted NULL: any that is an endorsement key. */
static bool is_wanted(const TPM2B_PUBLIC *pub, const struct crypto_key *wanted)
{
	const TPMA_OBJECT storage = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM;
	struct crypto_key *key = NULL;
	struct err ignored;
	bool same;

	if ((pub->publicArea.objectAttributes & storage) != storage || tpm_key_of(pub, &key, &ignored))
		return false;
	same = !wanted || crypto_key_same(key, wanted);
	crypto_key_free(key);
	return same;
}

static int find_persistent(struct tpm *t, const struct crypto_key *wanted, struct err *e)
{
	TPM2_HANDLE h[64];
	size_t count;

	if (tpm_handles(t, (TPM2_HANDLE)EK_FIRST, h, COUNT_OF(h), &count, e))
		return -1;
	for (size_t i = 0; i < count && h[i] <= (TPM2_HANDLE)EK_LAST; i++) {
		TPM2B_PUBLIC auto_esys *pub = NULL;
		ESYS_TR tr;

		if (tpm_read_public(t, h[i], &tr, &pub, NULL, e))
			return -1;
		if (is_wanted(pub, wanted)) {
			t->ek = tr;
			t->ek_handle = h[i];
			return 0;
		}
	}
	return 0;
}

/* A maker may have left a template or a nonce of its own beside the certificate: of the L range two indices and one
 * above it, of the H range the template one above (EK Credential Profile 2.3, 2.2.1.4). */
static int template_of(struct tpm *t, const struct tpm_ek_profile *p, TPM2B_PUBLIC *out, struct err *e)
{
	uint8_t bytes[sizeof(TPMT_PUBLIC)];
	TPMT_PUBLIC *a = &out->publicArea;
	TPMT_PUBLIC own = {0};
	size_t len, at = 0;

	tpm_ek_template(p, out);
	if (tpm_nv_read(t, p->certificate + (p->high ? 1 : 2), bytes, sizeof bytes, &len, e))
		return -1;
	if (len && Tss2_MU_TPMT_PUBLIC_Unmarshal(bytes, len, &at, &own) == 0)
		*a = own;
	if (p->high)
		return 0;
	if (tpm_nv_read(t, p->certificate + 1, bytes, sizeof bytes, &len, e))
		return -1;
	if (p->rsa && a->type == TPM2_ALG_RSA && len <= a->unique.rsa.size)
		memcpy(a->unique.rsa.buffer, bytes, len);
	else if (!p->rsa && a->type == TPM2_ALG_ECC && len <= a->unique.ecc.x.size)
		memcpy(a->unique.ecc.x.buffer, bytes, len);
	return 0;
}

/* A curve that this TPM lacks, or a template that it does not take, is only not the one. */
static int make_by_template(struct tpm *t, const struct crypto_key *wanted, struct err *e)
{
	for (size_t i = 0; i < tpm_ek_profile_count && t->ek == ESYS_TR_NONE; i++) {
		TPM2B_PUBLIC auto_esys *pub = NULL;
		TPM2B_PUBLIC template;
		ESYS_TR tr;

		if (template_of(t, &tpm_ek_profiles[i], &template, e))
			return err_ctx(e, "the EK's template");
		if (tpm_primary(t, ESYS_TR_RH_ENDORSEMENT, &template, &tr, &pub, e)) {
			if (e->kind == ERR_IO || e->kind == ERR_INPUT)
				continue;
			return err_ctx(e, "the EK");
		}
		if (is_wanted(pub, wanted))
			t->ek = tr;
		else
			tpm_drop(t, &tr);
	}
	return 0;
}

int tpm_ek_use(struct tpm *t, const struct crypto_cert *certificate, struct err *e)
{
	struct crypto_key *wanted = NULL;
	int r;

	if (certificate && crypto_cert_key(certificate, &wanted, e))
		return err_ctx(e, "the EK's certificate");
	tpm_drop(t, &t->ek);
	t->ek = ESYS_TR_NONE;
	t->ek_handle = 0;
	tpm_drop(t, &t->bus); /* it was salted for another */
	r = find_persistent(t, wanted, e);
	if (!r && t->ek == ESYS_TR_NONE)
		r = make_by_template(t, wanted, e);
	crypto_key_free(wanted);
	if (!r && t->ek == ESYS_TR_NONE)
		return err_set(e, ERR_REFUSED, 0, "this TPM does not have the key of its EK certificate: the certificate is "
			       "another TPM's, or its maker used a template of its own");
	return r;
}
