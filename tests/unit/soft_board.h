/* A board without a TPM, for tests of the CA: its endorsement, attestation and identity keys lie in files, and what a TPM
 * would do is done here with OpenSSL, written from TPM 2.0 Part 1 (24, 11.4.10) and Part 2 and not from the product.
 */
#ifndef PSEC_TESTS_SOFT_BOARD_H
#define PSEC_TESTS_SOFT_BOARD_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <string.h>

#include "crypto/crypto.h"
#include "enrol/enrol.h"

struct soft_board {
	char serial[ENROL_NAME], site[ENROL_NAME]; /* site "": IDevID */
	EVP_PKEY *ek, *iak, *key;
	char *ek_certificate, *ek_chain[ENROL_CHAIN];
	size_t ek_chain_count;
	/* what a bad board would do */
	uint32_t key_attributes, iak_attributes;   /* 0: as they should be */
	EVP_PKEY *csr_key, *certifier;             /* NULL: key and iak */
	const char *csr_cn;
	uint32_t magic;
	bool other_nonce;
};

enum { SOFT_FIXED = 0x32, SOFT_USER_AUTH = 0x40, SOFT_RESTRICTED = 0x10000, SOFT_SIGN = 0x40000 };

static inline EVP_PKEY *soft_key(void)
{
	return EVP_EC_gen("P-256");
}

static inline void soft_point(EVP_PKEY *k, uint8_t x[32], uint8_t y[32])
{
	BIGNUM *bx = NULL, *by = NULL;

	EVP_PKEY_get_bn_param(k, "qx", &bx);
	EVP_PKEY_get_bn_param(k, "qy", &by);
	BN_bn2binpad(bx, x, 32);
	BN_bn2binpad(by, y, 32);
	BN_free(bx);
	BN_free(by);
}

static inline struct crypto_key *soft_public(EVP_PKEY *k)
{
	struct crypto_key *out = NULL;
	uint8_t x[32], y[32];
	struct err e;

	soft_point(k, x, y);
	return crypto_key_from_point(x, y, &out, &e) ? NULL : out;
}

/* ---- marshalling ---- */

static inline void soft_put(struct tpm_blob *b, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
		b->data[b->len++] = (uint8_t)(v >> 8 * i);
}

static inline void soft_put_2b(struct tpm_blob *b, const void *data, size_t len)
{
	soft_put(b, len, 2);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

/* TPM2B_PUBLIC of a P-256 key; scheme 0: TPM_ALG_NULL. */
static inline struct tpm_blob soft_area(EVP_PKEY *k, uint32_t attributes, unsigned scheme)
{
	struct tpm_blob t = { 0 }, out = { 0 };
	uint8_t x[32], y[32];

	soft_point(k, x, y);
	soft_put(&t, 0x0023, 2);
	soft_put(&t, 0x000b, 2);
	soft_put(&t, attributes, 4);
	soft_put(&t, 0, 2);
	soft_put(&t, 0x0010, 2);
	soft_put(&t, scheme ? scheme : 0x0010, 2);
	if (scheme)
		soft_put(&t, 0x000b, 2);
	soft_put(&t, 0x0003, 2);
	soft_put(&t, 0x0010, 2);
	soft_put_2b(&t, x, 32);
	soft_put_2b(&t, y, 32);
	soft_put_2b(&out, t.data, t.len);
	return out;
}

/* The Name: 0x000b and the hash of the area. */
static inline void soft_name(const struct tpm_blob *area, uint8_t name[34])
{
	name[0] = 0;
	name[1] = 0x0b;
	crypto_sha256(area->data + 2, area->len - 2, name + 2);
}

/* ---- signing ---- */

static inline int soft_sign_digest(void *key, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	uint8_t sig[80];
	size_t len = sizeof sig;
	int ok = EVP_PKEY_sign_init(c) > 0 && EVP_PKEY_sign(c, sig, &len, digest, CRYPTO_HASH) > 0;

	EVP_PKEY_CTX_free(c);
	if (!ok)
		return err_set(e, ERR_BUG, 0, "soft board: no signature");
	buf_add(der, sig, len);
	return 0;
}

static inline int soft_certify(const struct soft_board *b, struct enrol_request *r, struct err *e)
{
	struct tpm_blob *a = &r->certify, *s = &r->signature;
	uint8_t name[34], nonce[CRYPTO_HASH], digest[CRYPTO_HASH], sr[32], sv[32];
	auto_buf struct buf der = BUF_INIT;

	soft_name(&r->key, name);
	enrol_nonce(r->profile, b->other_nonce ? "another" : b->serial, b->site, nonce);
	soft_put(a, b->magic ? b->magic : 0xff544347, 4);
	soft_put(a, 0x8017, 2);
	soft_put_2b(a, name, sizeof name); /* qualifiedSigner: nobody can judge it without the TPM */
	soft_put_2b(a, nonce, sizeof nonce);
	soft_put(a, 12345, 8);
	soft_put(a, 1, 4);
	soft_put(a, 0, 4);
	soft_put(a, 1, 1);
	soft_put(a, 1, 8);
	soft_put_2b(a, name, sizeof name);
	soft_put_2b(a, name, sizeof name);
	crypto_sha256(a->data, a->len, digest);
	if (soft_sign_digest(b->certifier ? b->certifier : b->iak, digest, &der, e) ||
	    crypto_sig_raw(der.data, der.len, sr, sv, e))
		return -1;
	soft_put(s, 0x0018, 2);
	soft_put(s, 0x000b, 2);
	soft_put_2b(s, sr, 32);
	soft_put_2b(s, sv, 32);
	return 0;
}

/* ---- the board ---- */

static inline int soft_request(const struct soft_board *b, struct buf *text, struct err *e)
{
	uint32_t fixed = SOFT_FIXED | SOFT_USER_AUTH | SOFT_SIGN;
	struct enrol_request r = { .profile = b->site[0] ? ENROL_LDEVID : ENROL_IDEVID,
				   .created_us = INT64_C(1790000000000000), .ek_certificate = b->ek_certificate,
				   .ek_chain_count = b->ek_chain_count };
	struct crypto_names names = { .cn = b->csr_cn ? b->csr_cn : b->site[0] ? b->site : b->serial,
				      .serial_number = b->serial };
	EVP_PKEY *csr_key = b->csr_key ? b->csr_key : b->key;
	auto_crypto_key struct crypto_key *pub = soft_public(csr_key);
	auto_buf struct buf csr = BUF_INIT;

	memcpy(r.ek_chain, b->ek_chain, sizeof r.ek_chain);
	str_copy(r.serial, sizeof r.serial, b->serial);
	str_copy(r.site, sizeof r.site, b->site);
	r.iak = soft_area(b->iak, b->iak_attributes ? b->iak_attributes : fixed | SOFT_RESTRICTED, 0x0018);
	r.key = soft_area(b->key, b->key_attributes ? b->key_attributes : fixed, 0);
	if (soft_certify(b, &r, e) || crypto_request_make(pub, &names, soft_sign_digest, csr_key, &csr, e))
		return -1;
	r.csr = csr.data;
	return enrol_request_write(&r, text, e);
}

static inline void soft_kdfa(const uint8_t seed[32], const char *label, const void *context, size_t len, unsigned bits,
			     uint8_t out[32])
{
	uint8_t text[4 + 16 + 64 + 4] = { 0, 0, 0, 1 };
	size_t n = 4, label_len = strlen(label) + 1;

	memcpy(text + n, label, label_len);
	n += label_len;
	if (len)
		memcpy(text + n, context, len);
	n += len;
	text[n++] = 0;
	text[n++] = 0;
	text[n++] = (uint8_t)(bits >> 8);
	text[n++] = (uint8_t)bits;
	HMAC(EVP_sha256(), seed, 32, text, n, out, NULL);
}

/* ECDH with the point in the secret, then KDFe: Part 1, C.6.1. */
static inline bool soft_seed(EVP_PKEY *ek, const struct tpm_blob *secret, uint8_t seed[32])
{
	static const char label[] = "IDENTITY";
	const uint8_t *p = secret->data;
	uint8_t text[4 + 32 + sizeof label + 64] = { 0, 0, 0, 1 }, x[32], y[32], point[65] = { 4 };
	EVP_PKEY *peer = EVP_PKEY_new();
	EVP_PKEY_CTX *c;
	size_t z = 32;
	bool ok;

	if (secret->len != 2 + 2 + 32 + 2 + 32 || !EVP_PKEY_copy_parameters(peer, ek))
		return false;
	memcpy(point + 1, p + 4, 32);
	memcpy(point + 33, p + 38, 32);
	ok = EVP_PKEY_set1_encoded_public_key(peer, point, sizeof point) > 0;
	c = EVP_PKEY_CTX_new(ek, NULL);
	ok = ok && EVP_PKEY_derive_init(c) > 0 && EVP_PKEY_derive_set_peer(c, peer) > 0 &&
	     EVP_PKEY_derive(c, text + 4, &z) > 0;
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(peer);
	memcpy(text + 36, label, sizeof label);
	memcpy(text + 36 + sizeof label, point + 1, 32);
	soft_point(ek, x, y);
	memcpy(text + 68 + sizeof label, x, 32);
	crypto_sha256(text, sizeof text, seed);
	return ok;
}

/* TPM2_ActivateCredential; false as a TPM refuses it. */
static inline bool soft_activate(const struct soft_board *b, const struct enrol_challenge *c, struct secret *value)
{
	struct tpm_blob area = soft_area(b->iak, b->iak_attributes ? b->iak_attributes
						: SOFT_FIXED | SOFT_USER_AUTH | SOFT_SIGN | SOFT_RESTRICTED, 0x0018);
	uint8_t seed[32], key[32], mac[32], name[34], text[256], plain[64];
	const uint8_t *p = c->credential.data;
	size_t enc = c->credential.len - 2 - 2 - 32;
	EVP_CIPHER_CTX *cipher;
	int n = 0;

	soft_name(&area, name);
	if (c->credential.len < 40 || enc > sizeof plain || !soft_seed(b->ek, &c->secret, seed))
		return false;
	soft_kdfa(seed, "INTEGRITY", NULL, 0, 256, key);
	memcpy(text, p + 36, enc);
	memcpy(text + enc, name, sizeof name);
	HMAC(EVP_sha256(), key, 32, text, enc + sizeof name, mac, NULL);
	if (memcmp(mac, p + 4, 32) != 0)
		return false;
	soft_kdfa(seed, "STORAGE", name, sizeof name, 128, key);
	cipher = EVP_CIPHER_CTX_new();
	EVP_DecryptInit_ex(cipher, EVP_aes_128_cfb128(), NULL, key, (const uint8_t[16]){ 0 });
	EVP_DecryptUpdate(cipher, plain, &n, p + 36, (int)enc);
	EVP_CIPHER_CTX_free(cipher);
	value->len = (size_t)plain[0] << 8 | plain[1];
	if (value->len + 2 > enc)
		return false;
	memcpy(value->data, plain + 2, value->len);
	return true;
}

/* The answer to a challenge; ERR_REFUSED when it is not for this board. */
static inline int soft_answer(const struct soft_board *b, const char *challenge, struct buf *text, struct err *e)
{
	struct enrol_challenge c;
	struct enrol_answer a = { 0 };
	struct secret value;

	if (enrol_challenge_read(challenge, &c, e))
		return -1;
	if (!soft_activate(b, &c, &value))
		return err_set(e, ERR_REFUSED, 0, "soft board: the credential is for another TPM");
	str_copy(a.request, sizeof a.request, c.request);
	str_copy(a.serial, sizeof a.serial, b->serial);
	enrol_proof(&value, c.request, a.proof);
	return enrol_answer_write(&a, text, e);
}

static inline void soft_release(struct soft_board *b)
{
	EVP_PKEY_free(b->ek);
	EVP_PKEY_free(b->iak);
	EVP_PKEY_free(b->key);
	free(b->ek_certificate);
	for (size_t i = 0; i < b->ek_chain_count; i++)
		free(b->ek_chain[i]);
	*b = (struct soft_board){ 0 };
}

/* A certificate that the endorsement key signed for itself: enough where EKs are not checked. */
static inline int soft_make(struct soft_board *b, const char *serial, const char *site, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *x = X509_new();
	char *data;
	long len;

	*b = (struct soft_board){ .ek = soft_key(), .iak = soft_key(), .key = soft_key() };
	str_copy(b->serial, sizeof b->serial, serial);
	str_copy(b->site, sizeof b->site, site);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)"soft EK", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, b->ek);
	X509_sign(x, b->ek, EVP_sha256());
	PEM_write_bio_X509(bio, x);
	len = BIO_get_mem_data(bio, &data);
	buf_add(&pem, data, (size_t)len);
	b->ek_certificate = buf_take(&pem);
	X509_free(x);
	BIO_free(bio);
	return b->ek && b->iak && b->key ? 0 : err_set(e, ERR_BUG, 0, "soft board: no keys");
}

#endif
