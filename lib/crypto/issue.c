/* Requests (PKCS#10) and what a CA makes of them. */
#include "parts.h"

#include <openssl/err.h>
#include <openssl/pem.h>

PARTS_CLEANUP(X509_REQ, X509_REQ_free)
PARTS_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free)
#define auto_req __attribute__((cleanup(X509_REQ_free_at)))
#define auto_names __attribute__((cleanup(GENERAL_NAMES_free_at)))

/* ---- requests ---- */

static int request_names(X509_REQ *req, const struct crypto_names *names, struct err *e)
{
	auto_names GENERAL_NAMES *alt = NULL;
	STACK_OF(X509_EXTENSION) *exts = NULL;
	bool good;

	if (parts_set_name(X509_REQ_get_subject_name(req), names, e) < 0 ||
	    parts_alt_names(names->hardware_serial, NULL, &alt, e) < 0)
		return -1;
	if (!alt)
		return 0;
	good = X509V3_add1_i2d(&exts, NID_subject_alt_name, alt, 0, X509V3_ADD_DEFAULT) == 1 &&
	       X509_REQ_add_extensions(req, exts) == 1;
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return good ? 0 : parts_fail(e, ERR_IO, "no memory for a request");
}

static int put_signature(X509_REQ *req, const struct buf *der, struct err *e)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	X509_ALGOR *how = X509_ALGOR_new();
	bool good = bits && how && ASN1_BIT_STRING_set(bits, (uint8_t *)der->data, (int)der->len) == 1 &&
		    X509_ALGOR_set0(how, OBJ_nid2obj(NID_ecdsa_with_SHA256), V_ASN1_UNDEF, NULL) == 1 &&
		    X509_REQ_set1_signature_algo(req, how) == 1;

	X509_ALGOR_free(how);
	if (!good) {
		ASN1_BIT_STRING_free(bits);
		return parts_fail(e, ERR_IO, "no memory for a signature");
	}
	/* No unused bits, whatever the last byte looks like. */
	bits->flags = (bits->flags & ~(ASN1_STRING_FLAG_BITS_LEFT | 0x07)) | ASN1_STRING_FLAG_BITS_LEFT;
	X509_REQ_set0_signature(req, bits);
	return 0;
}

/* OpenSSL signs only with keys of its own; this one may be in the TPM, so only the digest leaves. */
static int sign_request(X509_REQ *req, crypto_sign_fn *sign, void *arg, struct err *e)
{
	auto_buf struct buf der = BUF_INIT;
	uint8_t digest[CRYPTO_HASH], *tbs = NULL;
	int len = i2d_re_X509_REQ_tbs(req, &tbs);

	if (len <= 0)
		return parts_fail(e, ERR_BUG, "the request cannot be written");
	crypto_sha256(tbs, (size_t)len, digest);
	OPENSSL_free(tbs);
	if (sign(arg, digest, &der, e) < 0)
		return err_ctx(e, "sign the certificate request");
	return put_signature(req, &der, e);
}

int crypto_request_make(const struct crypto_key *key, const struct crypto_names *names, crypto_sign_fn *sign, void *arg,
			struct buf *pem, struct err *e)
{
	auto_req X509_REQ *req = X509_REQ_new();
	auto_bio BIO *bio = BIO_new(BIO_s_mem());

	if (!req || !bio || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_pubkey(req, key->pkey) != 1)
		return parts_fail(e, ERR_IO, "no memory for a request");
	if (request_names(req, names, e) < 0 || sign_request(req, sign, arg, e) < 0)
		return -1;
	if (X509_REQ_verify(req, key->pkey) != 1)
		return parts_fail(e, ERR_REFUSED, "what signed the certificate request is not the key that it names");
	if (PEM_write_bio_X509_REQ(bio, req) != 1)
		return parts_fail(e, ERR_BUG, "the request cannot be written");
	return parts_drain(bio, pem, e);
}

int crypto_request_read(const char *pem, struct crypto_key **key, char cn[65], char serial_number[65], struct err *e)
{
	auto_bio BIO *bio = parts_text(pem, "the certificate request", e);
	auto_crypto_key struct crypto_key *own = NULL;
	auto_req X509_REQ *req = NULL;
	EVP_PKEY *pkey;

	if (!bio)
		return -1;
	req = PEM_read_bio_X509_REQ(bio, NULL, parts_no_password, NULL);
	pkey = req ? X509_REQ_get_pubkey(req) : NULL;
	if (!pkey)
		return parts_fail(e, ERR_INPUT, "that is no certificate request in PEM");
	if (parts_key(pkey, &own, e) < 0)
		return err_ctx(e, "certificate request");
	if (X509_REQ_verify(req, own->pkey) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_REFUSED, 0, "the certificate request is not signed by the key that it names");
	}
	if (parts_text_of(X509_REQ_get_subject_name(req), NID_commonName, cn, 65, e) < 0 ||
	    parts_text_of(X509_REQ_get_subject_name(req), NID_serialNumber, serial_number, 65, e) < 0)
		return err_ctx(e, "certificate request");
	*key = take(own);
	return 0;
}

/* ---- issuing ---- */

static const struct profile {
	const char *constraints, *usage, *extended; /* as x509v3_config(5) has them */
} profiles[] = {
	[CRYPTO_ROOT] = { "critical,CA:TRUE,pathlen:1", "critical,keyCertSign,cRLSign", NULL },
	[CRYPTO_INTERMEDIATE] = { "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL },
	[CRYPTO_IDEVID] = { "critical,CA:FALSE", "critical,digitalSignature", NULL },
	[CRYPTO_IAK] = { "critical,CA:FALSE", "critical,digitalSignature", NULL },
	[CRYPTO_LDEVID] = { "critical,CA:FALSE", "critical,digitalSignature", "clientAuth" },
	[CRYPTO_BROKER] = { "critical,CA:FALSE", "critical,digitalSignature", "serverAuth" },
};

static int extend(X509 *x, X509V3_CTX *ctx, int nid, const char *value, struct err *e)
{
	X509_EXTENSION *ext;
	bool good;

	if (!value)
		return 0;
	ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	good = ext && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return good ? 0 : parts_fail(e, ERR_INPUT, "the certificate cannot have the extension %s", OBJ_nid2sn(nid));
}

static int extensions(X509 *x, const struct crypto_issue *how, struct err *e)
{
	const struct profile *p = &profiles[how->profile];
	auto_names GENERAL_NAMES *alt = NULL;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, how->issuer ? how->issuer->x : x, x, NULL, NULL, 0);
	if (extend(x, &ctx, NID_basic_constraints, p->constraints, e) < 0 ||
	    extend(x, &ctx, NID_key_usage, p->usage, e) < 0 || extend(x, &ctx, NID_ext_key_usage, p->extended, e) < 0 ||
	    extend(x, &ctx, NID_subject_key_identifier, "hash", e) < 0 ||
	    extend(x, &ctx, NID_authority_key_identifier, "keyid:always", e) < 0 ||
	    parts_alt_names(how->names.hardware_serial, how->dns, &alt, e) < 0)
		return -1;
	if (alt && X509_add1_ext_i2d(x, NID_subject_alt_name, alt, 0, X509V3_ADD_DEFAULT) != 1)
		return parts_fail(e, ERR_IO, "no memory for a certificate");
	return 0;
}

static int number(X509 *x, const uint8_t n[16], struct err *e)
{
	BIGNUM *bn = BN_bin2bn(n, 16, NULL);
	bool good = bn && !BN_is_zero(bn) && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;

	BN_free(bn);
	return good ? 0 : parts_fail(e, ERR_BUG, "a certificate's number cannot be 0");
}

static int may_issue(const struct crypto_issue *how, struct err *e)
{
	struct crypto_key issuer = { .pkey = how->issuer ? X509_get0_pubkey(how->issuer->x) : how->subject_key->pkey };

	if (!parts_is_p256(how->issuer_key->pkey))
		return err_set(e, ERR_INPUT, 0, "only a key of the curve P-256 signs certificates");
	if (!how->issuer != (how->profile == CRYPTO_ROOT))
		return err_set(e, ERR_BUG, 0, "a root, and only a root, is issued by itself");
	if (!issuer.pkey || !crypto_key_same(&issuer, how->issuer_key))
		return err_set(e, ERR_INPUT, 0, "the CA's key is not that of its certificate");
	if (how->issuer && X509_check_ca(how->issuer->x) != 1)
		return err_set(e, ERR_INPUT, 0, "the certificate that is to issue another is no CA's");
	if (how->not_after_us <= how->not_before_us)
		return err_set(e, ERR_INPUT, 0, "the certificate would end before it begins");
	return 0;
}

int crypto_cert_issue(const struct crypto_issue *how, struct crypto_cert **out, struct err *e)
{
	auto_x509 X509 *x = X509_new();
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;

	if (!x || X509_set_version(x, X509_VERSION_3) != 1 || X509_set_pubkey(x, how->subject_key->pkey) != 1)
		return parts_fail(e, ERR_IO, "no memory for a certificate");
	if (may_issue(how, e) < 0 || number(x, how->number, e) < 0 || parts_set_name(name, &how->names, e) < 0)
		return -1;
	if (X509_NAME_entry_count(name) == 0)
		return err_set(e, ERR_INPUT, 0, "a certificate needs a name");
	if (X509_set_issuer_name(x, how->issuer ? X509_get_subject_name(how->issuer->x) : name) != 1)
		return parts_fail(e, ERR_IO, "no memory for a certificate");
	if (parts_set_time(X509_getm_notBefore(x), how->not_before_us, e) < 0 ||
	    parts_set_time(X509_getm_notAfter(x), how->not_after_us, e) < 0 || extensions(x, how, e) < 0)
		return -1;
	if (X509_sign(x, how->issuer_key->pkey, EVP_sha256()) <= 0)
		return parts_fail(e, ERR_INPUT, "the CA's key does not sign");
	return parts_cert(take(x), out);
}
