#include "parts.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h> /* before cms.h, which otherwise has no PEM */
#include <openssl/rsa.h>

#include <openssl/cms.h>

PARTS_CLEANUP(CMS_ContentInfo, CMS_ContentInfo_free)
#define auto_cms __attribute__((cleanup(CMS_ContentInfo_free_at)))

/* OpenSSL's defaults are PKCS#1 v1.5 and SHA-1. */
static bool add_recipient(CMS_ContentInfo *cms, X509 *to)
{
	CMS_RecipientInfo *who = CMS_add1_recipient_cert(cms, to, CMS_KEY_PARAM);
	EVP_PKEY_CTX *ctx = who ? CMS_RecipientInfo_get0_pkey_ctx(who) : NULL;

	if (!ctx)
		return false;
	if (EVP_PKEY_get_base_id(X509_get0_pubkey(to)) == EVP_PKEY_EC)
		return EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) == 1;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

int crypto_envelope(const struct crypto_cert *to, const void *data, size_t len, struct buf *pem, struct err *e)
{
	auto_crypto_key struct crypto_key *understood = NULL;
	auto_cms CMS_ContentInfo *cms = NULL;
	auto_bio BIO *in = NULL, *out = BIO_new(BIO_s_mem());

	if (len == 0 || len > PARTS_PEM_MAX / 2)
		return err_set(e, ERR_INPUT, 0, "an envelope holds 1…%d bytes, not %zu", PARTS_PEM_MAX / 2, len);
	if (crypto_cert_key(to, &understood, e) < 0)
		return -1;
	in = BIO_new_mem_buf(data, (int)len);
	cms = CMS_encrypt(NULL, NULL, EVP_aes_256_gcm(), CMS_PARTIAL | CMS_BINARY);
	if (!in || !out || !cms || !add_recipient(cms, to->x) || CMS_final(cms, in, NULL, CMS_BINARY) != 1 ||
	    PEM_write_bio_CMS(out, cms) != 1)
		return parts_fail(e, ERR_INPUT, "no envelope can be made for this certificate");
	return parts_drain(out, pem, e);
}

int crypto_envelope_open(const char *pem, const struct crypto_cert *cert, const struct crypto_key *key, struct buf *out,
			 struct err *e)
{
	auto_bio BIO *in = parts_text(pem, "the envelope", e);
	auto_bio BIO *plain = BIO_new(BIO_s_secmem());
	auto_cms CMS_ContentInfo *cms = NULL;

	if (!in)
		return -1;
	cms = PEM_read_bio_CMS(in, NULL, parts_no_password, NULL);
	if (!cms || !plain)
		return parts_fail(e, ERR_INPUT, "that is no envelope (CMS) in PEM");
	if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_id_smime_ct_authEnvelopedData)
		return err_set(e, ERR_REFUSED, 0, "the envelope is of a kind that does not show changes");
	if (CMS_decrypt(cms, key->pkey, cert->x, NULL, plain, CMS_BINARY) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_REFUSED, 0, "the envelope is for another key, or it was changed");
	}
	return parts_drain(plain, out, e);
}
