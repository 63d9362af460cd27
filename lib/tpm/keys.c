/* keys: SRK, IAK and IDevID at their handles, and the LDevID as a child of the SRK. */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

static const struct place {
	int handle;
	const TPM2B_PUBLIC *template;
	TPM2_RH hierarchy;
	ESYS_TR esys;
} places[] = {
	[TPM_SRK] = {TPM_HANDLE_SRK, &tpm_template_srk, TPM2_RH_OWNER, ESYS_TR_RH_OWNER},
	[TPM_IAK] = {TPM_HANDLE_IAK, &tpm_template_iak, TPM2_RH_ENDORSEMENT, ESYS_TR_RH_ENDORSEMENT},
	[TPM_IDEVID] = {TPM_HANDLE_IDEVID, &tpm_template_idevid, TPM2_RH_ENDORSEMENT, ESYS_TR_RH_ENDORSEMENT},
};

void tpm_key_release(struct tpm_key *k)
{
	crypto_key_free(k->key);
	*k = (struct tpm_key){0};
}

/* ---- what stands in the TPM -------------------------------------------------------------------------------------- */

int tpm_read_public(struct tpm *t, TPM2_HANDLE h, ESYS_TR *tr, TPM2B_PUBLIC **pub, TPM2B_NAME **qualified,
		    struct err *e)
{
	TSS2_RC rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, h, N3, tr));

	if (!rc)
		rc = tpm_try(t, Esys_ReadPublic(t->esys, *tr, N3, pub, NULL, qualified));
	return rc ? tpm_fail(t, rc, e, "cannot read what stands at 0x%x", h) : 0;
}

/* A primary's qualified name is made of its hierarchy and its name (Part 1, 26.5): a child of someone's key with our
 * template's words is none of ours. */
static bool is_primary_of(TPM2_RH hierarchy, const struct tpm_key *k, const TPM2B_NAME *qualified)
{
	uint8_t words[4 + sizeof k->name], hash[CRYPTO_HASH];

	put32(words, hierarchy);
	memcpy(words + 4, k->name, k->name_len);
	crypto_sha256(words, 4 + k->name_len, hash);
	return qualified->size == 2 + CRYPTO_HASH && memcmp(qualified->name + 2, hash, sizeof hash) == 0;
}

static bool is_of_template(const TPM2B_PUBLIC *pub, const TPM2B_PUBLIC *template)
{
	TPM2B_PUBLIC a = *template;
	struct tpm_blob mine, its;
	struct err ignored;

	a.publicArea.unique = pub->publicArea.unique;
	return pub->publicArea.type == a.publicArea.type && !tpm_public_blob(&a, &mine, &ignored) &&
	       !tpm_public_blob(pub, &its, &ignored) && mine.len == its.len && memcmp(mine.data, its.data, mine.len) == 0;
}

int tpm_key_fill(const TPM2B_PUBLIC *pub, TPM2_HANDLE h, struct tpm_key *out, struct err *e)
{
	*out = (struct tpm_key){.handle = h};
	if (tpm_public_blob(pub, &out->pub, e) || tpm_key_of(pub, &out->key, e))
		return -1;
	if (pub->publicArea.nameAlg != TPM2_ALG_SHA256)
		return 0; /* a P-384 EK: its certificate names it */
	if (tpm_name_of(pub, out->name, sizeof out->name, &out->name_len, e)) {
		tpm_key_release(out);
		return -1;
	}
	return 0;
}

static int find_ek(struct tpm *t, struct tpm_key *out, bool *found, struct err *e)
{
	TPM2B_PUBLIC auto_esys *pub = NULL;
	TSS2_RC rc;

	if (t->ek == ESYS_TR_NONE)
		return err_set(e, ERR_BUG, 0, "the EK is asked for before tpm_ek_use");
	rc = tpm_try(t, Esys_ReadPublic(t->esys, t->ek, N3, &pub, NULL, NULL));
	if (rc)
		return tpm_fail(t, rc, e, "cannot read the EK");
	*found = true;
	return tpm_key_fill(pub, t->ek_handle, out, e);
}

int tpm_key_find(struct tpm *t, enum tpm_key_role role, struct tpm_key *out, bool *found, struct err *e)
{
	const struct place *p = &places[role];
	TPM2B_NAME auto_esys *qualified = NULL;
	TPM2B_PUBLIC auto_esys *pub = NULL;
	TPM2_HANDLE h = (TPM2_HANDLE)p->handle;
	char words[64];
	ESYS_TR tr;

	*out = (struct tpm_key){0};
	*found = false;
	if (role == TPM_EK)
		return find_ek(t, out, found, e);
	if (tpm_handle_there(t, h, found, e))
		return -1;
	if (!*found)
		return 0;
	if (tpm_read_public(t, h, &tr, &pub, &qualified, e))
		return -1;
	if (!is_of_template(pub, p->template))
		return err_set(e, ERR_REFUSED, 0, "the place of the %s, 0x%x, holds another's object (%s); it is left alone: "
			       "see whose it is with 'tpm2_readpublic -c 0x%x', and remove it with 'tpm2_evictcontrol -c 0x%x' if "
			       "nobody needs it", tpm_role_name(role), h, tpm_public_words(pub, words, sizeof words), h, h);
	if (tpm_key_fill(pub, h, out, e))
		return -1;
	if (!is_primary_of(p->hierarchy, out, qualified)) {
		tpm_key_release(out);
		return err_set(e, ERR_REFUSED, 0, "the place of the %s, 0x%x, holds another's object (of another hierarchy or "
			       "parent); it is left alone: remove it with 'tpm2_evictcontrol -c 0x%x' if nobody needs it",
			       tpm_role_name(role), h, h);
	}
	return 0;
}

int tpm_primary(struct tpm *t, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, ESYS_TR *tr, TPM2B_PUBLIC **pub,
		struct err *e)
{
	const TPM2B_SENSITIVE_CREATE empty = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	const TPM2B_DATA nothing = {0};
	ESYS_TR auth = ESYS_TR_PASSWORD;
	TSS2_RC rc;

	*tr = ESYS_TR_NONE;
	if (hierarchy != ESYS_TR_RH_NULL && tpm_auth(t, hierarchy, &auth, e))
		return -1;
	rc = tpm_try(t, Esys_CreatePrimary(t->esys, hierarchy, auth, ESYS_TR_NONE, ESYS_TR_NONE, &empty, template,
					   &nothing, &no_pcrs, tr, pub, NULL, NULL, NULL));
	if (rc) {
		*tr = ESYS_TR_NONE;
		return tpm_fail(t, rc, e, "cannot make a key in the TPM");
	}
	tpm_keep(t, *tr);
	return 0;
}

static int persist(struct tpm *t, ESYS_TR tr, TPM2_HANDLE h, const char *what, struct err *e)
{
	ESYS_TR auth, there;
	TSS2_RC rc;

	if (tpm_auth(t, ESYS_TR_RH_OWNER, &auth, e))
		return -1;
	rc = tpm_try(t, Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, tr, auth, ESYS_TR_NONE, ESYS_TR_NONE, h, &there));
	return rc ? tpm_fail(t, rc, e, "cannot keep the %s at 0x%x", what, h) : 0;
}

int tpm_key_ensure(struct tpm *t, enum tpm_key_role role, struct tpm_key *out, bool *made, struct err *e)
{
	const struct place *p = &places[role];
	TPM2B_PUBLIC auto_esys *pub = NULL;
	bool found;
	ESYS_TR tr;
	int failed;

	*made = false;
	if (role == TPM_EK && t->ek == ESYS_TR_NONE && tpm_ek_use(t, NULL, e))
		return -1;
	if (tpm_key_find(t, role, out, &found, e))
		return -1;
	if (found)
		return 0;
	if (tpm_primary(t, p->esys, p->template, &tr, &pub, e))
		return err_ctx(e, "the %s", tpm_role_name(role));
	failed = persist(t, tr, (TPM2_HANDLE)p->handle, tpm_role_name(role), e);
	tpm_drop(t, &tr);
	*made = !failed;
	return failed ? -1 : tpm_key_fill(pub, (TPM2_HANDLE)p->handle, out, e);
}

int tpm_key_evict(struct tpm *t, enum tpm_key_role role, struct err *e)
{
	struct tpm_key k = {0};
	ESYS_TR tr, auth, gone;
	bool found;
	TSS2_RC rc;

	if (role == TPM_EK)
		return err_set(e, ERR_BUG, 0, "the EK is the maker's, it is not removed");
	if (tpm_key_find(t, role, &k, &found, e))
		return -1;
	tpm_key_release(&k);
	if (!found)
		return 0;
	t->srk = ESYS_TR_NONE;
	if (tpm_auth(t, ESYS_TR_RH_OWNER, &auth, e))
		return -1;
	rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, (TPM2_HANDLE)places[role].handle, N3, &tr));
	if (!rc)
		rc = tpm_try(t, Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, tr, auth, ESYS_TR_NONE, ESYS_TR_NONE,
						  (TPM2_HANDLE)places[role].handle, &gone));
	return rc ? tpm_fail(t, rc, e, "cannot remove the %s", tpm_role_name(role)) : 0;
}

/* ---- children of the SRK ----------------------------------------------------------------------------------------- */

int tpm_srk(struct tpm *t, ESYS_TR *tr, struct err *e)
{
	struct tpm_key k = {0};
	bool found;
	TSS2_RC rc;

	*tr = t->srk;
	if (t->srk != ESYS_TR_NONE)
		return 0;
	if (tpm_key_find(t, TPM_SRK, &k, &found, e))
		return -1;
	tpm_key_release(&k);
	if (!found)
		return err_set(e, ERR_REFUSED, 0, "the TPM has no SRK at 0x%x: it was never provisioned, or cleared since",
			       (unsigned)TPM_HANDLE_SRK);
	rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, (TPM2_HANDLE)TPM_HANDLE_SRK, N3, &t->srk));
	if (rc) {
		t->srk = ESYS_TR_NONE;
		return tpm_fail(t, rc, e, "cannot use the SRK");
	}
	*tr = t->srk;
	return 0;
}

/* What the SRK is, is not looked at before: under another's key nothing of ours can be loaded, and a signature takes
 * three commands fewer. */
int tpm_load(struct tpm *t, const struct tpm_blob *pub, const struct tpm_blob *priv, const char *what, ESYS_TR *tr,
	     struct err *e)
{
	TPM2B_PRIVATE private = {0};
	TPM2B_PUBLIC public;
	ESYS_TR srk = t->srk;
	TSS2_RC rc = 0;
	size_t at = 0;

	if (tpm_public_parse(pub, &public, e))
		return -1;
	if (priv->len > sizeof priv->data || Tss2_MU_TPM2B_PRIVATE_Unmarshal(priv->data, priv->len, &at, &private) ||
	    at != priv->len)
		return err_set(e, ERR_INPUT, 0, "%zu bytes are not a TPM2B_PRIVATE", priv->len);
	if (srk == ESYS_TR_NONE)
		rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, (TPM2_HANDLE)TPM_HANDLE_SRK, N3, &srk));
	if (!rc)
		rc = tpm_try(t, Esys_Load(t->esys, srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &private, &public,
					  tr));
	if (rc) {
		*tr = t->srk = ESYS_TR_NONE;
		return tpm_srk(t, &srk, e) ? -1 : tpm_fail(t, rc, e, "%s", what);
	}
	tpm_keep(t, *tr);
	return 0;
}

int tpm_key_create(struct tpm *t, struct tpm_key *out, struct err *e)
{
	const TPM2B_SENSITIVE_CREATE empty = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	const TPM2B_DATA nothing = {0};
	TPM2B_PRIVATE auto_esys *priv = NULL;
	TPM2B_PUBLIC auto_esys *pub = NULL;
	ESYS_TR srk;
	TSS2_RC rc;

	*out = (struct tpm_key){0};
	if (tpm_srk(t, &srk, e))
		return -1;
	rc = tpm_try(t, Esys_Create(t->esys, srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &empty, &tpm_template_sign,
				    &nothing, &no_pcrs, &priv, &pub, NULL, NULL, NULL));
	if (rc)
		return tpm_fail(t, rc, e, "cannot make a key in the TPM");
	if (tpm_key_fill(pub, 0, out, e))
		return -1;
	if (Tss2_MU_TPM2B_PRIVATE_Marshal(priv, out->priv.data, sizeof out->priv.data, &out->priv.len)) {
		tpm_key_release(out);
		return err_set(e, ERR_BUG, 0, "the new key is longer than its room");
	}
	return 0;
}

int tpm_key_from_tss2(const struct crypto_tss2 *file, struct tpm_key *out, struct err *e)
{
	struct tpm_blob blob = {.len = file->pub_len};
	TPM2B_PUBLIC pub;

	*out = (struct tpm_key){0};
	if (file->parent != (uint32_t)TPM_HANDLE_SRK)
		return err_set(e, ERR_INPUT, 0, "the key's parent is 0x%x, not the SRK at 0x%x", file->parent,
			       (unsigned)TPM_HANDLE_SRK);
	if (!file->empty_auth)
		return err_set(e, ERR_INPUT, 0, "the key asks for a password; psec's keys do not");
	if (file->pub_len > sizeof blob.data || file->priv_len > sizeof out->priv.data)
		return err_set(e, ERR_INPUT, 0, "the key is longer than a TPM's key can be");
	memcpy(blob.data, file->pub, file->pub_len);
	if (tpm_public_parse(&blob, &pub, e) || tpm_key_fill(&pub, 0, out, e))
		return -1;
	memcpy(out->priv.data, file->priv, file->priv_len);
	out->priv.len = file->priv_len;
	return 0;
}

void tpm_key_to_tss2(const struct tpm_key *k, struct crypto_tss2 *out)
{
	*out = (struct crypto_tss2){.parent = (uint32_t)TPM_HANDLE_SRK, .empty_auth = true, .pub_len = k->pub.len,
				    .priv_len = k->priv.len};
	memcpy(out->pub, k->pub.data, k->pub.len);
	memcpy(out->priv, k->priv.data, k->priv.len);
}

/* A persistent key that is not the one which was found: removed and made anew meanwhile. */
static int persistent_object(struct tpm *t, const struct tpm_key *k, ESYS_TR *tr, struct err *e)
{
	TPM2B_NAME auto_esys *name = NULL;
	TSS2_RC rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, k->handle, N3, tr));

	if (!rc)
		rc = Esys_TR_GetName(t->esys, *tr, &name);
	if (rc)
		return tpm_fail(t, rc, e, "the key at 0x%x", k->handle);
	if (name->size != k->name_len || memcmp(name->name, k->name, k->name_len) != 0)
		return err_set(e, ERR_REFUSED, 0, "the key at 0x%x is another than before", k->handle);
	return 0;
}

int tpm_key_object(struct tpm *t, const struct tpm_key *k, ESYS_TR *tr, bool *drop, struct err *e)
{
	*drop = k->handle == 0;
	if (k->handle)
		return persistent_object(t, k, tr, e);
	return tpm_load(t, &k->pub, &k->priv, "the key cannot be loaded", tr, e);
}

int tpm_key_probe(struct tpm *t, const struct tpm_key *k, struct err *e)
{
	ESYS_TR tr;
	bool drop;

	if (tpm_key_object(t, k, &tr, &drop, e))
		return -1;
	if (drop)
		tpm_drop(t, &tr);
	return 0;
}
