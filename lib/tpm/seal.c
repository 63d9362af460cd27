/* seal: data that opens only under a policy which an authority signed, whatever the PCRs will be after an update. */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

int tpm_pcr_read(struct tpm *t, uint32_t mask, struct tpm_pcrs *out, struct err *e)
{
	uint32_t left = mask;

	*out = (struct tpm_pcrs){.mask = mask};
	if (mask >> TPM_PCRS)
		return err_set(e, ERR_INPUT, 0, "the PCRs are 0x%x, must be of 0…%d", mask, TPM_PCRS - 1);
	while (left) { /* at most eight are given at once */
		TPML_PCR_SELECTION auto_esys *given = NULL;
		TPML_DIGEST auto_esys *values = NULL;
		TPML_PCR_SELECTION want;
		uint32_t got = 0, n = 0;
		TSS2_RC rc;

		tpm_pcr_selection(left, &want);
		rc = tpm_try(t, Esys_PCR_Read(t->esys, N3, &want, NULL, &given, &values));
		if (rc)
			return tpm_fail(t, rc, e, "cannot read the PCRs");
		for (int i = 0; given->count > 0 && i < TPM_PCRS; i++)
			got |= (uint32_t)(given->pcrSelections[0].pcrSelect[i / 8] >> i % 8 & 1) << i;
		got &= left;
		if (!got)
			return err_set(e, ERR_REFUSED, 0, "the TPM has no PCRs with SHA-256; switch that bank on in the firmware");
		for (int i = 0; i < TPM_PCRS; i++) {
			if (!(got >> i & 1))
				continue;
			if (n >= values->count || values->digests[n].size != CRYPTO_HASH)
				return tpm_fail(t, TSS2_ESYS_RC_MALFORMED_RESPONSE, e, "cannot read the PCRs");
			memcpy(out->value[i], values->digests[n++].buffer, CRYPTO_HASH);
		}
		left &= ~got;
	}
	return 0;
}

/* ---- seal -------------------------------------------------------------------------------------------------------- */

static int sealed_template(const struct crypto_key *authority, TPM2B_PUBLIC *out, struct err *e)
{
	uint8_t name[2 + CRYPTO_HASH];
	TPM2B_PUBLIC pub;

	if (tpm_authority(authority, &pub, name, e))
		return -1;
	*out = (TPM2B_PUBLIC){.publicArea = {
		.type = TPM2_ALG_KEYEDHASH, .nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA,
		.authPolicy.size = CRYPTO_HASH, .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
	}};
	tpm_policy_entity(out->publicArea.authPolicy.buffer, TPM2_CC_PolicyAuthorize, name, sizeof name, TPM_POLICY_REF);
	return 0;
}

int tpm_seal(struct tpm *t, const struct crypto_key *authority, const struct secret *data, struct tpm_blob *pub,
	     struct tpm_blob *priv, struct err *e)
{
	TPM2B_SENSITIVE_CREATE s = {.sensitive.data.size = (UINT16)data->len};
	const TPML_PCR_SELECTION no_pcrs = {0};
	const TPM2B_DATA nothing = {0};
	TPM2B_PRIVATE auto_esys *out_priv = NULL;
	TPM2B_PUBLIC auto_esys *out_pub = NULL;
	TPM2B_PUBLIC template;
	ESYS_TR srk;
	TSS2_RC rc;

	if (data->len == 0 || data->len > sizeof data->data)
		return err_set(e, ERR_INPUT, 0, "%zu bytes are to be sealed, must be 1…%zu", data->len, sizeof data->data);
	if (sealed_template(authority, &template, e) || tpm_bus(t, e) || tpm_srk(t, &srk, e))
		return -1;
	memcpy(s.sensitive.data.buffer, data->data, data->len);
	rc = tpm_try(t, Esys_Create(t->esys, srk, ESYS_TR_PASSWORD, t->bus, ESYS_TR_NONE, &s, &template, &nothing,
				    &no_pcrs, &out_priv, &out_pub, NULL, NULL, NULL));
	explicit_bzero(&s, sizeof s);
	if (rc)
		return tpm_fail(t, rc, e, "cannot seal");
	priv->len = 0;
	if (Tss2_MU_TPM2B_PRIVATE_Marshal(out_priv, priv->data, sizeof priv->data, &priv->len))
		return err_set(e, ERR_BUG, 0, "the sealed data is longer than its room");
	return tpm_public_blob(out_pub, pub, e);
}

/* ---- unseal: first why it would be refused ----------------------------------------------------------------------- */

static int check_signed(const struct crypto_key *authority, const struct tpm_policy *p, struct err *e)
{
	uint8_t digest[CRYPTO_HASH];
	auto_buf struct buf words = BUF_INIT;

	if (p->slot < 0 || p->slot >= TPM_SLOTS || p->pcrs.mask >> TPM_PCRS)
		return err_set(e, ERR_INPUT, 0, "the policy's slot is %d, must be 0…%d", p->slot, TPM_SLOTS - 1);
	tpm_policy_digest(&p->pcrs, p->slot, digest);
	if (!crypto_equal(digest, p->digest, CRYPTO_HASH))
		return err_set(e, ERR_REFUSED, 0, "the policy was changed: its digest is not that of its PCRs and its slot");
	tpm_policy_words(p->digest, &words);
	if (crypto_verify(authority, words.data, words.len, p->signature.data, p->signature.len, e)) {
		e->kind = ERR_REFUSED;
		return err_ctx(e, "the policy is not signed by the authority");
	}
	return 0;
}

static int check_pcrs(struct tpm *t, const struct tpm_policy *p, struct err *e)
{
	auto_buf struct buf which = BUF_INIT;
	struct tpm_pcrs now;

	if (tpm_pcr_read(t, p->pcrs.mask, &now, e))
		return -1;
	for (int i = 0; i < TPM_PCRS; i++)
		if (p->pcrs.mask >> i & 1 && memcmp(now.value[i], p->pcrs.value[i], CRYPTO_HASH) != 0)
			buf_addf(&which, "%s%d", which.len ? ", " : "", i);
	if (which.len)
		return err_set(e, ERR_REFUSED, 0, "PCR %s is not as the policy has it: what was started is not what the policy "
			       "was signed for", which.data);
	return 0;
}

static int check_slot(struct tpm *t, int slot, struct err *e)
{
	uint64_t bits;
	bool there;

	if (tpm_bits_read(t, &bits, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_REFUSED, 0, "the TPM has no revocation bits at 0x%x: it was never provisioned, or "
			       "cleared since", TPM_NV_BITS);
	if (bits >> slot & 1)
		return err_set(e, ERR_REFUSED, 0, "the policy's slot %d is revoked", slot);
	return 0;
}

/* ---- unseal: then the TPM judges --------------------------------------------------------------------------------- */

/* TPM2_VerifySignature: the ticket says that this TPM has seen the authority sign the policy. */
static int ticket_for(struct tpm *t, const TPM2B_PUBLIC *authority, const struct tpm_policy *p,
		      TPMT_TK_VERIFIED **ticket, struct err *e)
{
	TPMT_SIGNATURE s = {.sigAlg = TPM2_ALG_ECDSA, .signature.ecdsa = {.hash = TPM2_ALG_SHA256, .signatureR.size = 32,
									   .signatureS.size = 32}};
	TPM2B_DIGEST words = {.size = CRYPTO_HASH};
	ESYS_TR tr;
	TSS2_RC rc;

	tpm_policy_signed(p->digest, words.buffer);
	if (crypto_sig_raw(p->signature.data, p->signature.len, s.signature.ecdsa.signatureR.buffer,
			   s.signature.ecdsa.signatureS.buffer, e))
		return -1;
	/* In the owner's hierarchy, because a ticket of the null hierarchy proves nothing. */
	rc = tpm_try(t, Esys_LoadExternal(t->esys, N3, NULL, authority, ESYS_TR_RH_OWNER, &tr));
	if (rc)
		return tpm_fail(t, rc, e, "cannot show the TPM the authority's key");
	tpm_keep(t, tr);
	rc = tpm_try(t, Esys_VerifySignature(t->esys, tr, N3, &words, &s, ticket));
	tpm_drop(t, &tr);
	return rc ? tpm_fail(t, rc, e, "the policy's signature") : 0;
}

static int satisfy(struct tpm *t, ESYS_TR session, const struct crypto_key *authority, const struct tpm_policy *p,
		   struct err *e)
{
	TPM2B_NAME name = {.size = 2 + CRYPTO_HASH};
	TPM2B_NONCE ref = {.size = strlen(TPM_POLICY_REF)};
	TPMT_TK_VERIFIED auto_esys *ticket = NULL;
	TPM2B_DIGEST pcrs = {.size = CRYPTO_HASH}, approved = {.size = CRYPTO_HASH};
	TPM2B_OPERAND operand = {.size = 8};
	TPML_PCR_SELECTION selection;
	TPM2B_PUBLIC pub;
	ESYS_TR bits;
	TSS2_RC rc;

	if (tpm_authority(authority, &pub, name.name, e) || ticket_for(t, &pub, p, &ticket, e))
		return -1;
	memcpy(ref.buffer, TPM_POLICY_REF, ref.size);
	memcpy(approved.buffer, p->digest, CRYPTO_HASH);
	operand.buffer[7 - p->slot / 8] = (BYTE)(1 << p->slot % 8);
	tpm_pcr_selection(p->pcrs.mask, &selection);
	tpm_pcr_digest(&p->pcrs, pcrs.buffer);
	rc = tpm_try(t, Esys_PolicyPCR(t->esys, session, N3, &pcrs, &selection));
	if (rc)
		return tpm_fail(t, rc, e, "the policy's PCRs");
	rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, TPM_NV_BITS, N3, &bits));
	if (!rc)
		rc = tpm_try(t, Esys_PolicyNV(t->esys, bits, bits, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
					      &operand, 0, TPM2_EO_BITCLEAR));
	if (rc)
		return tpm_fail(t, rc, e, "the policy's slot %d", p->slot);
	rc = tpm_try(t, Esys_PolicyAuthorize(t->esys, session, N3, &approved, &ref, &name, ticket));
	return rc ? tpm_fail(t, rc, e, "the policy's signature") : 0;
}

int tpm_unseal(struct tpm *t, const struct crypto_key *authority, const struct tpm_policy *policy,
	       const struct tpm_blob *pub, const struct tpm_blob *priv, struct secret *data, struct err *e)
{
	TPM2B_SENSITIVE_DATA auto_esys *out = NULL;
	ESYS_TR tr = ESYS_TR_NONE, session = ESYS_TR_NONE;
	TSS2_RC rc;
	int r = -1;

	if (check_signed(authority, policy, e) || check_pcrs(t, policy, e) || check_slot(t, policy->slot, e) || tpm_bus(t,
															e))
		return -1;
	if (tpm_load(t, pub, priv, "the sealed data cannot be loaded", &tr, e) || tpm_policy_start(t, &session, e) ||
	    satisfy(t, session, authority, policy, e))
		goto out;
	rc = tpm_try(t, Esys_Unseal(t->esys, tr, session, t->bus, ESYS_TR_NONE, &out));
	if (rc) {
		tpm_fail(t, rc, e, "cannot unseal");
		goto out;
	}
	if (out->size > sizeof data->data) {
		err_set(e, ERR_INPUT, 0, "the sealed data has %u bytes, more than %zu", out->size, sizeof data->data);
		goto out;
	}
	memcpy(data->data, out->buffer, out->size);
	data->len = out->size;
	r = 0;
out:
	if (out)
		explicit_bzero(out, sizeof *out);
	tpm_drop(t, &session);
	tpm_drop(t, &tr);
	return r;
}
