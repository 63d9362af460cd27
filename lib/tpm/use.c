/* use: signing, certifying and activating with keys that are there. */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

int tpm_sign(struct tpm *t, const struct tpm_key *k, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e)
{
	const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256};
	const TPMT_TK_HASHCHECK unchecked = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
	TPMT_SIGNATURE auto_esys *s = NULL;
	TPM2B_DIGEST d = {.size = CRYPTO_HASH};
	ESYS_TR tr;
	bool drop;
	TSS2_RC rc;

	memcpy(d.buffer, digest, CRYPTO_HASH);
	if (tpm_key_object(t, k, &tr, &drop, e))
		return -1;
	rc = tpm_try(t, Esys_Sign(t->esys, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &d, &scheme, &unchecked, &s));
	if (drop)
		tpm_drop(t, &tr);
	return rc ? tpm_fail(t, rc, e, "cannot sign with the TPM's key") : tpm_signature_der(s, der, e);
}

static bool is_devid(const struct tpm_key *k)
{
	return k->handle == (uint32_t)TPM_HANDLE_IAK || k->handle == (uint32_t)TPM_HANDLE_IDEVID;
}

static int certify(struct tpm *t, ESYS_TR key, ESYS_TR key_auth, ESYS_TR iak, const uint8_t nonce[CRYPTO_HASH],
		   struct tpm_blob *attest, struct tpm_blob *signature, struct err *e)
{
	const TPMT_SIG_SCHEME its_own = {.scheme = TPM2_ALG_NULL};
	TPM2B_DATA data = {.size = CRYPTO_HASH};
	TPMT_SIGNATURE auto_esys *s = NULL;
	TPM2B_ATTEST auto_esys *a = NULL;
	TSS2_RC rc;

	memcpy(data.buffer, nonce, CRYPTO_HASH);
	rc = tpm_try(t, Esys_Certify(t->esys, key, iak, key_auth, ESYS_TR_PASSWORD, ESYS_TR_NONE, &data, &its_own, &a, &s));
	if (rc)
		return tpm_fail(t, rc, e, "the IAK cannot certify the key");
	signature->len = 0;
	if (a->size > sizeof attest->data ||
	    Tss2_MU_TPMT_SIGNATURE_Marshal(s, signature->data, sizeof signature->data, &signature->len))
		return err_set(e, ERR_BUG, 0, "the attestation is longer than its room");
	memcpy(attest->data, a->attestationData, a->size);
	attest->len = a->size;
	return 0;
}

int tpm_certify(struct tpm *t, const struct tpm_key *iak, const struct tpm_key *key, const uint8_t nonce[CRYPTO_HASH],
		struct tpm_blob *attest, struct tpm_blob *signature, struct err *e)
{
	ESYS_TR iak_tr, key_tr = ESYS_TR_NONE, auth = ESYS_TR_PASSWORD, policy = ESYS_TR_NONE;
	bool iak_drop, drop = false;
	int r = -1;

	if (tpm_key_object(t, iak, &iak_tr, &iak_drop, e))
		return err_ctx(e, "the IAK");
	if (tpm_key_object(t, key, &key_tr, &drop, e))
		goto out;
	/* Certifying is of the admin role, for which an identity key asks for its policy. */
	if (is_devid(key)) {
		enum tpm_key_role role = key->handle == (uint32_t)TPM_HANDLE_IAK ? TPM_IAK : TPM_IDEVID;

		if (tpm_policy_start(t, &policy, e) || tpm_policy_devid(t, policy, role, TPM2_CC_Certify, e))
			goto out;
		auth = policy;
	}
	r = certify(t, key_tr, auth, iak_tr, nonce, attest, signature, e);
out:
	tpm_drop(t, &policy);
	if (drop)
		tpm_drop(t, &key_tr);
	if (iak_drop)
		tpm_drop(t, &iak_tr);
	return r;
}

/* ---- activation -------------------------------------------------------------------------------------------------- */

static int parse_credential(const struct tpm_blob *credential, const struct tpm_blob *secret, TPM2B_ID_OBJECT *id,
			    TPM2B_ENCRYPTED_SECRET *enc, struct err *e)
{
	size_t at = 0, to = 0;

	if (credential->len > sizeof credential->data ||
	    Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(credential->data, credential->len, &at, id) || at != credential->len)
		return err_set(e, ERR_INPUT, 0, "%zu bytes are not a credential (TPM2B_ID_OBJECT)", credential->len);
	if (secret->len > sizeof secret->data || Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret->data, secret->len, &to,
											  enc) ||
	    to != secret->len)
		return err_set(e, ERR_INPUT, 0, "%zu bytes are not a credential's secret (TPM2B_ENCRYPTED_SECRET)",
			       secret->len);
	return 0;
}

/* An EK of the L templates goes by policy alone; of the H templates also by its empty authorisation. */
static int ek_auth(struct tpm *t, ESYS_TR *auth, ESYS_TR *policy, struct err *e)
{
	TPM2B_PUBLIC auto_esys *pub = NULL;
	TSS2_RC rc = tpm_try(t, Esys_ReadPublic(t->esys, t->ek, N3, &pub, NULL, NULL));

	if (rc)
		return tpm_fail(t, rc, e, "cannot read the EK");
	*auth = ESYS_TR_PASSWORD;
	if (pub->publicArea.objectAttributes & TPMA_OBJECT_USERWITHAUTH)
		return 0;
	if (tpm_policy_start(t, policy, e) || tpm_policy_endorsement(t, *policy, e))
		return -1;
	*auth = *policy;
	return 0;
}

int tpm_activate(struct tpm *t, const struct tpm_key *iak, const struct tpm_blob *credential,
		 const struct tpm_blob *secret, struct secret *value, struct err *e)
{
	ESYS_TR tr, iak_policy = ESYS_TR_NONE, ek_policy = ESYS_TR_NONE, auth = ESYS_TR_NONE;
	TPM2B_ENCRYPTED_SECRET enc = {0};
	TPM2B_DIGEST auto_esys *out = NULL;
	TPM2B_ID_OBJECT id = {0};
	bool drop;
	TSS2_RC rc;
	int r = -1;

	if (t->ek == ESYS_TR_NONE)
		return err_set(e, ERR_BUG, 0, "a credential is activated before tpm_ek_use");
	if (parse_credential(credential, secret, &id, &enc, e) || tpm_bus(t, e) || tpm_key_object(t, iak, &tr, &drop, e))
		return -1;
	if (tpm_policy_start(t, &iak_policy, e) ||
	    tpm_policy_devid(t, iak_policy, TPM_IAK, TPM2_CC_ActivateCredential, e) || ek_auth(t, &auth, &ek_policy, e))
		goto out;
	rc = tpm_try(t, Esys_ActivateCredential(t->esys, tr, t->ek, iak_policy, auth, t->bus, &id, &enc, &out));
	switch (tpm_rc_base(rc)) {
	case TPM2_RC_INTEGRITY:
	case TPM2_RC_VALUE:
	case TPM2_RC_SIZE:
	case TPM2_RC_ECC_POINT:
		err_set(e, ERR_REFUSED, 0, "the credential is not for this TPM's EK and this IAK");
		goto out;
	default:
		break;
	}
	if (rc) {
		tpm_fail(t, rc, e, "cannot activate the credential");
		goto out;
	}
	value->len = out->size;
	memcpy(value->data, out->buffer, out->size); /* a digest is shorter than a secret's room */
	explicit_bzero(out, sizeof *out);
	r = 0;
out:
	tpm_drop(t, &ek_policy);
	tpm_drop(t, &iak_policy);
	if (drop)
		tpm_drop(t, &tr);
	return r;
}
