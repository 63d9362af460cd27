/* session: what encrypts on the bus, how hierarchies are authorised, and the policies of TCG's keys.
 *
 * A wire between processor and TPM can be listened to. The bus session is salted: its secret is encrypted for a key of
 * the TPM, so that only that TPM can follow. By the EK, which a certificate vouches for, no one in between can be the
 * TPM either; by the SRK, whose public part comes over the same wire, that is taken on trust.
 */
#include "inside.h"

#include <openssl/crypto.h>
#include <string.h>

/* tpm2-tss (3.2.1) asks OpenSSL for a library context of its own for each hash and each nonce: providers and a random
 * generator are made and thrown away, six times a command in a session. The default context has the same ones. A
 * program's own symbol is found before a library's; OSSL_LIB_CTX_free leaves the default one alone. */
__attribute__((visibility("default"))) OSSL_LIB_CTX *OSSL_LIB_CTX_new(void)
{
	return OSSL_LIB_CTX_get0_global_default();
}

static const TPMT_SYM_DEF aes = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

/* The EK, else the SRK, else (a TPM that has nothing yet) a primary of the null hierarchy, which asks for nothing. */
static int salt_key(struct tpm *t, ESYS_TR *tr, bool *drop, struct err *e)
{
	TPM2B_PUBLIC auto_esys *pub = NULL;
	bool there;

	*drop = false;
	if (t->ek != ESYS_TR_NONE) {
		*tr = t->ek;
		return 0;
	}
	if (tpm_handle_there(t, (TPM2_HANDLE)TPM_HANDLE_SRK, &there, e))
		return -1;
	if (there)
		return tpm_srk(t, tr, e);
	*drop = true;
	return tpm_primary(t, ESYS_TR_RH_NULL, &tpm_template_srk, tr, &pub, e);
}

int tpm_bus(struct tpm *t, struct err *e)
{
	ESYS_TR key;
	bool drop;
	TSS2_RC rc;

	if (t->bus != ESYS_TR_NONE)
		return 0;
	if (salt_key(t, &key, &drop, e))
		return -1;
	rc = tpm_try(t, Esys_StartAuthSession(t->esys, key, ESYS_TR_NONE, N3, NULL, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256,
					      &t->bus));
	if (!rc)
		tpm_keep(t, t->bus);
	if (drop)
		tpm_drop(t, &key);
	if (rc) {
		t->bus = ESYS_TR_NONE;
		return tpm_fail(t, rc, e, "cannot begin to encrypt what passes to the TPM");
	}
	rc = Esys_TRSess_SetAttributes(t->esys, t->bus,
				       TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT,
				       0xff);
	if (!rc)
		return 0;
	tpm_drop(t, &t->bus); /* or the next would take it for one that encrypts */
	return tpm_fail(t, rc, e, "cannot begin to encrypt what passes to the TPM");
}

static const struct secret *auth_of(const struct tpm *t, ESYS_TR hierarchy)
{
	if (hierarchy == ESYS_TR_RH_OWNER)
		return &t->auths.owner;
	return hierarchy == ESYS_TR_RH_LOCKOUT ? &t->auths.lockout : &t->auths.endorsement;
}

int tpm_auth(struct tpm *t, ESYS_TR hierarchy, ESYS_TR *session, struct err *e)
{
	const struct secret *s = auth_of(t, hierarchy);
	TPM2B_AUTH auth = {.size = (UINT16)s->len};
	TSS2_RC rc;

	if (s->len > sizeof auth.buffer)
		return err_set(e, ERR_INPUT, 0, "an authorisation has %zu bytes, at most %zu are taken", s->len,
			       sizeof auth.buffer);
	memcpy(auth.buffer, s->data, s->len);
	rc = Esys_TR_SetAuth(t->esys, hierarchy, &auth);
	explicit_bzero(&auth, sizeof auth);
	if (rc)
		return tpm_fail(t, rc, e, "cannot authorise");
	*session = ESYS_TR_PASSWORD; /* the empty one tells nothing */
	if (s->len == 0)
		return 0;
	if (tpm_bus(t, e))
		return -1;
	*session = t->bus;
	return 0;
}

int tpm_policy_start(struct tpm *t, ESYS_TR *session, struct err *e)
{
	TSS2_RC rc = tpm_try(t, Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, N3, NULL, TPM2_SE_POLICY, &aes,
						      TPM2_ALG_SHA256, session));

	if (rc) {
		*session = ESYS_TR_NONE;
		return tpm_fail(t, rc, e, "cannot begin a policy");
	}
	tpm_keep(t, *session);
	/* So that it is ours to flush also after a command that failed. */
	rc = Esys_TRSess_SetAttributes(t->esys, *session, TPMA_SESSION_CONTINUESESSION, 0xff);
	return rc ? tpm_fail(t, rc, e, "cannot begin a policy") : 0;
}

int tpm_policy_endorsement(struct tpm *t, ESYS_TR session, struct err *e)
{
	ESYS_TR auth;
	TSS2_RC rc;

	if (tpm_auth(t, ESYS_TR_RH_ENDORSEMENT, &auth, e))
		return -1;
	rc = tpm_try(t, Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, session, auth, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
					  NULL, NULL, 0, NULL, NULL));
	return rc ? tpm_fail(t, rc, e, "the endorsement hierarchy") : 0;
}

int tpm_policy_devid(struct tpm *t, ESYS_TR session, enum tpm_key_role role, TPM2_CC command, struct err *e)
{
	TPML_DIGEST branches;
	TSS2_RC rc;

	if (tpm_policy_endorsement(t, session, e))
		return -1;
	rc = tpm_try(t, Esys_PolicyCommandCode(t->esys, session, N3, command));
	if (rc)
		return tpm_fail(t, rc, e, "the policy of the %s", tpm_role_name(role));
	tpm_devid_branches(role, &branches);
	rc = tpm_try(t, Esys_PolicyOR(t->esys, session, N3, &branches));
	return rc ? tpm_fail(t, rc, e, "the policy of the %s", tpm_role_name(role)) : 0;
}
