/* public: a TPM's public areas as Names and as keys that OpenSSL knows, and what an attestation says. No TPM is
 * asked. */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* SubjectPublicKeyInfo up to the point or the modulus (RFC 5480, RFC 8017). After an RSA modulus comes its exponent. */
static const uint8_t spki_p384[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
				    0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04};
static const uint8_t spki_rsa2048[] = {0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
				       0x0d,
				       0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a,
				       0x02, 0x82, 0x01, 0x01, 0x00};
static const uint8_t rsa_exponent[] = {0x02, 0x03, 0x01, 0x00, 0x01};

/* A TPM may leave out leading zeros. */
static void add_padded(struct buf *b, const BYTE *data, size_t len, size_t want)
{
	static const uint8_t zeros[256];

	buf_add(b, zeros, want - len);
	buf_add(b, data, len);
}

int tpm_key_of(const TPM2B_PUBLIC *pub, struct crypto_key **out, struct err *e)
{
	const TPMT_PUBLIC *a = &pub->publicArea;
	auto_buf struct buf der = BUF_INIT;

	if (a->type == TPM2_ALG_ECC) {
		const TPMS_ECC_POINT *p = &a->unique.ecc;
		bool p384 = a->parameters.eccDetail.curveID == TPM2_ECC_NIST_P384;
		size_t len = p384 ? 48 : 32;
		const uint8_t *point;

		if ((!p384 && a->parameters.eccDetail.curveID != TPM2_ECC_NIST_P256) || p->x.size > len || p->y.size > len)
			return err_set(e, ERR_INPUT, 0, "the key is on a curve (0x%x) that is not used here",
				       a->parameters.eccDetail.curveID);
		if (p384)
			buf_add(&der, spki_p384, sizeof spki_p384);
		add_padded(&der, p->x.buffer, p->x.size, len);
		add_padded(&der, p->y.buffer, p->y.size, len);
		point = (const uint8_t *)der.data;
		if (!p384)
			return crypto_key_from_point(point, point + 32, out, e);
	} else if (a->type == TPM2_ALG_RSA) {
		uint32_t exponent = a->parameters.rsaDetail.exponent;

		if (a->unique.rsa.size != 256 || !(a->unique.rsa.buffer[0] & 0x80) || (exponent && exponent != 65537))
			return err_set(e, ERR_INPUT, 0, "the RSA key is not one of 2048 bits with the exponent 65537");
		buf_add(&der, spki_rsa2048, sizeof spki_rsa2048);
		buf_add(&der, a->unique.rsa.buffer, 256);
		buf_add(&der, rsa_exponent, sizeof rsa_exponent);
	} else {
		return err_set(e, ERR_INPUT, 0, "the object (type 0x%x) is not a key pair", a->type);
	}
	return crypto_key_from_der(der.data, der.len, out, e);
}

int tpm_name_of(const TPM2B_PUBLIC *pub, uint8_t *name, size_t max, size_t *len, struct err *e)
{
	uint8_t area[sizeof(TPMT_PUBLIC)];
	size_t n = 0;

	if (pub->publicArea.nameAlg != TPM2_ALG_SHA256 || max < 2 + CRYPTO_HASH)
		return err_set(e, ERR_INPUT, 0, "the object's name is not made with SHA-256");
	if (Tss2_MU_TPMT_PUBLIC_Marshal(&pub->publicArea, area, sizeof area, &n))
		return err_set(e, ERR_INPUT, 0, "the object's public area cannot be written down");
	put16(name, TPM2_ALG_SHA256);
	crypto_sha256(area, n, name + 2);
	*len = 2 + CRYPTO_HASH;
	return 0;
}

/* ---- to and from bytes ------------------------------------------------------------------------------------------- */

int tpm_public_blob(const TPM2B_PUBLIC *pub, struct tpm_blob *out, struct err *e)
{
	out->len = 0;
	if (Tss2_MU_TPM2B_PUBLIC_Marshal(pub, out->data, sizeof out->data, &out->len))
		return err_set(e, ERR_INPUT, 0, "the object's public area cannot be written down");
	return 0;
}

int tpm_public_parse(const struct tpm_blob *blob, TPM2B_PUBLIC *out, struct err *e)
{
	size_t at = 0;

	tpm_quiet();
	*out = (TPM2B_PUBLIC){0};
	if (blob->len > sizeof blob->data || Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob->data, blob->len, &at, out) ||
	    at != blob->len) return err_set(e, ERR_INPUT, 0, "%zu bytes are not a TPM2B_PUBLIC", blob->len);
	return 0;
}

char *tpm_public_words(const TPM2B_PUBLIC *pub, char *to, size_t n)
{
	const TPMT_PUBLIC *a = &pub->publicArea;
	const char *use = a->objectAttributes & TPMA_OBJECT_RESTRICTED ? "restricted " : "";
	const char *kind = a->objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT ? "signing key" :
			   a->objectAttributes & TPMA_OBJECT_DECRYPT ? "storage key" : "object";

	if (a->type == TPM2_ALG_RSA)
		snprintf(to, n, "%sRSA-%u %s", use, a->parameters.rsaDetail.keyBits, kind);
	else if (a->type == TPM2_ALG_ECC)
		snprintf(to, n, "%sECC %s on curve 0x%x", use, kind, a->parameters.eccDetail.curveID);
	else
		snprintf(to, n, "object of type 0x%x", a->type);
	return to;
}

int tpm_signature_der(const TPMT_SIGNATURE *s, struct buf *der, struct err *e)
{
	const TPMS_SIGNATURE_ECDSA *g = &s->signature.ecdsa;
	uint8_t r[32] = {0}, v[32] = {0};

	if (s->sigAlg != TPM2_ALG_ECDSA || g->hash != TPM2_ALG_SHA256 || g->signatureR.size > 32 || g->signatureS.size > 32)
		return err_set(e, ERR_INPUT, 0, "the signature is not ECDSA on P-256 with SHA-256");
	memcpy(r + 32 - g->signatureR.size, g->signatureR.buffer, g->signatureR.size);
	memcpy(v + 32 - g->signatureS.size, g->signatureS.buffer, g->signatureS.size);
	return crypto_sig_der(r, v, der, e);
}

/* ---- what a CA judges -------------------------------------------------------------------------------------------- */

int tpm_public_read(const struct tpm_blob *blob, struct tpm_public *out, struct err *e)
{
	const TPMA_OBJECT fixed = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN;
	TPM2B_PUBLIC pub;
	TPMA_OBJECT a;

	*out = (struct tpm_public){0};
	if (tpm_public_parse(blob, &pub, e))
		return -1;
	if (pub.publicArea.type != TPM2_ALG_ECC || pub.publicArea.parameters.eccDetail.curveID != TPM2_ECC_NIST_P256)
		return err_set(e, ERR_INPUT, 0, "the key is not on P-256");
	if (tpm_name_of(&pub, out->name, sizeof out->name, &out->name_len, e))
		return -1;
	a = pub.publicArea.objectAttributes;
	out->fixed = (a & fixed) == fixed;
	out->restricted = a & TPMA_OBJECT_RESTRICTED;
	out->signs = (a & (TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_DECRYPT)) == TPMA_OBJECT_SIGN_ENCRYPT;
	return tpm_key_of(&pub, &out->key, e);
}

void tpm_public_release(struct tpm_public *p)
{
	crypto_key_free(p->key);
	*p = (struct tpm_public){0};
}

static int check_words(const struct tpm_blob *attest, const struct tpm_public *key, const uint8_t nonce[CRYPTO_HASH],
		       struct err *e)
{
	const TPM2B_NAME *name;
	TPMS_ATTEST a = {0};
	size_t at = 0;

	if (attest->len > sizeof attest->data || Tss2_MU_TPMS_ATTEST_Unmarshal(attest->data, attest->len, &at, &a) ||
	    at != attest->len)
		return err_set(e, ERR_INPUT, 0, "%zu bytes are not a TPMS_ATTEST", attest->len);
	if (a.magic != TPM2_GENERATED_VALUE)
		return err_set(e, ERR_REFUSED, 0, "the attestation was not made by a TPM (magic 0x%x)", a.magic);
	if (a.type != TPM2_ST_ATTEST_CERTIFY)
		return err_set(e, ERR_REFUSED, 0, "the attestation is of another kind (0x%x), not of TPM2_Certify", a.type);
	if (a.extraData.size != CRYPTO_HASH || !crypto_equal(a.extraData.buffer, nonce, CRYPTO_HASH))
		return err_set(e, ERR_REFUSED, 0, "the attestation is not for this request: its nonce is another");
	name = &a.attested.certify.name;
	if (name->size != key->name_len || !crypto_equal(name->name, key->name, key->name_len))
		return err_set(e, ERR_REFUSED, 0, "the attestation is for another key: its name is another");
	return 0;
}

int tpm_certify_check(const struct tpm_public *iak, const struct tpm_public *key, const uint8_t nonce[CRYPTO_HASH],
		      const struct tpm_blob *attest, const struct tpm_blob *signature, struct err *e)
{
	auto_buf struct buf der = BUF_INIT;
	TPMT_SIGNATURE s = {0};
	size_t at = 0;

	tpm_quiet();
	/* A key that signs what anyone gives it would sign a TPMS_ATTEST of anyone's making. */
	if (!iak->fixed || !iak->restricted || !iak->signs)
		return err_set(e, ERR_REFUSED, 0, "the IAK is not a restricted signing key that is fixed to its TPM");
	if (check_words(attest, key, nonce, e))
		return -1;
	if (signature->len > sizeof signature->data ||
	    Tss2_MU_TPMT_SIGNATURE_Unmarshal(signature->data, signature->len, &at, &s) || at != signature->len)
		return err_set(e, ERR_INPUT, 0, "%zu bytes are not a TPMT_SIGNATURE", signature->len);
	if (tpm_signature_der(&s, &der, e))
		return -1;
	if (crypto_verify(iak->key, attest->data, attest->len, der.data, der.len, e))
		return err_ctx(e, "the attestation's signature by the IAK");
	return 0;
}
