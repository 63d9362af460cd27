/* TPM2_MakeCredential without a TPM: TPM 2.0 Library Part 1, 24 (credential protection) and annexes B.10.3 (RSA),
 * C.6.4 (ECC). */
#include "parts.h"

#include <openssl/crypto.h>
#include <openssl/rsa.h>

enum { FIELD_MAX = 48, HASH_MAX = 48, VALUE_MAX = 64, TPM_NAME_MAX = 66 };

/* What the EK's template fixes (EK Credential Profile, templates L-1, L-2 and H-3). */
struct kind {
	const char *group;  /* NULL: RSA-2048 */
	const char *digest;
	size_t hash, aes, field;
};
static const struct kind kinds[] = {
	{ NULL, "SHA256", 32, 16, 0 },
	{ "prime256v1", "SHA256", 32, 16, 32 },
	{ "secp384r1", "SHA384", 48, 32, 48 },
};

static const struct kind *kind_of(const EVP_PKEY *ek)
{
	if (EVP_PKEY_get_base_id(ek) == EVP_PKEY_RSA)
		return EVP_PKEY_get_bits(ek) == 2048 ? &kinds[0] : NULL;
	for (size_t i = 1; i < COUNT_OF(kinds); i++)
		if (parts_is_group(ek, kinds[i].group))
			return &kinds[i];
	return NULL;
}

static void add16(struct buf *b, size_t n)
{
	uint8_t be[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	buf_add(b, be, sizeof be);
}

static void add32(struct buf *b, uint32_t n)
{
	add16(b, n >> 16);
	add16(b, n & 0xffff);
}

static int hmac(const struct kind *k, const uint8_t *key, const void *data, size_t len, uint8_t out[HASH_MAX])
{
	size_t n;

	return EVP_Q_mac(NULL, "HMAC", NULL, k->digest, NULL, key, k->hash, data, len, out, HASH_MAX, &n) ? 0 : -1;
}

/* Part 1, 11.4.10.2 (SP 800-108, counter): one round is enough, for no key here is longer than the hash. The
 * label's NUL is the separator. */
static int kdfa(const struct kind *k, const uint8_t *seed, const char *label, const uint8_t *u, size_t u_len,
		size_t len, uint8_t *out)
{
	auto_buf_wipe struct buf in = BUF_INIT;
	uint8_t mac[HASH_MAX];
	int rc = -1;

	add32(&in, 1);
	buf_add(&in, label, strlen(label) + 1);
	buf_add(&in, u, u_len);
	add32(&in, (uint32_t)len * 8);
	if (len <= k->hash && hmac(k, seed, in.data, in.len, mac) == 0) {
		memcpy(out, mac, len);
		rc = 0;
	}
	OPENSSL_cleanse(mac, sizeof mac);
	return rc;
}

/* A seed that only the EK's holder can derive: one-pass ECDH and KDFe (Part 1, 11.4.10.3). */
static int seed_ecc(const struct kind *k, EVP_PKEY *ek, uint8_t seed[HASH_MAX], struct buf *secret)
{
	auto_pkey EVP_PKEY *mine = EVP_EC_gen(k->group);
	auto_pkey_ctx EVP_PKEY_CTX *ctx = mine ? EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL) : NULL;
	auto_buf_wipe struct buf in = BUF_INIT;
	uint8_t x[FIELD_MAX], y[FIELD_MAX], ek_x[FIELD_MAX], ek_y[FIELD_MAX], z[FIELD_MAX] = { 0 };
	size_t n = sizeof z;
	int rc = -1;

	if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, ek) != 1 ||
	    EVP_PKEY_derive(ctx, z, &n) != 1 || n != k->field || !parts_point(mine, k->field, x, y) ||
	    !parts_point(ek, k->field, ek_x, ek_y))
		goto out;
	in.data = xcalloc(1, in.cap = 4 * FIELD_MAX); /* room for all of it: where a buffer grows, z would stay behind */
	add32(&in, 1);
	buf_add(&in, z, k->field);
	buf_add(&in, "IDENTITY", sizeof "IDENTITY");
	buf_add(&in, x, k->field);
	buf_add(&in, ek_x, k->field);
	if (EVP_Q_digest(NULL, k->digest, NULL, in.data, in.len, seed, &n) == 1) {
		add16(secret, 2 * (2 + k->field)); /* TPMS_ECC_POINT: two TPM2B */
		add16(secret, k->field);
		buf_add(secret, x, k->field);
		add16(secret, k->field);
		buf_add(secret, y, k->field);
		rc = 0;
	}
out:
	OPENSSL_cleanse(z, sizeof z);
	return rc;
}

static int seed_rsa(EVP_PKEY *ek, uint8_t seed[HASH_MAX], struct buf *secret)
{
	auto_pkey_ctx EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ek, NULL);
	char *label = OPENSSL_memdup("IDENTITY", sizeof "IDENTITY"); /* its NUL is part of it */
	uint8_t out[256];
	size_t n = sizeof out;

	if (!ctx || !label || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) != 1 ||
	    EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, sizeof "IDENTITY") != 1) {
		OPENSSL_free(label);
		return -1;
	}
	if (EVP_PKEY_encrypt(ctx, out, &n, seed, 32) != 1 || n != sizeof out)
		return -1;
	add16(secret, n);
	buf_add(secret, out, n);
	return 0;
}

static int cfb(const struct kind *k, const uint8_t *key, uint8_t *data, size_t len)
{
	static const uint8_t zero[16];
	const EVP_CIPHER *cipher = k->aes == 16 ? EVP_aes_128_cfb128() : EVP_aes_256_cfb128();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, rc = -1;

	if (ctx && EVP_EncryptInit_ex2(ctx, cipher, key, zero, NULL) == 1 &&
	    EVP_EncryptUpdate(ctx, data, &n, data, (int)len) == 1 && n == (int)len)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

/* TPM2B_ID_OBJECT: an HMAC over the encrypted value and the Name, then the encrypted value. */
static int wrap(const struct kind *k, const uint8_t *seed, const uint8_t *name, size_t name_len, const uint8_t *value,
		size_t len, struct buf *credential)
{
	uint8_t key[32], mac_key[HASH_MAX], mac[HASH_MAX], sealed[2 + VALUE_MAX + TPM_NAME_MAX];
	size_t sealed_len = 2 + len;
	int rc = -1;

	sealed[0] = (uint8_t)(len >> 8);
	sealed[1] = (uint8_t)len;
	memcpy(sealed + 2, value, len);
	if (kdfa(k, seed, "STORAGE", name, name_len, k->aes, key) == 0 && cfb(k, key, sealed, sealed_len) == 0 &&
	    kdfa(k, seed, "INTEGRITY", (const uint8_t *)"", 0, k->hash, mac_key) == 0) {
		memcpy(sealed + sealed_len, name, name_len);
		if (hmac(k, mac_key, sealed, sealed_len + name_len, mac) == 0) {
			add16(credential, 2 + k->hash + sealed_len);
			add16(credential, k->hash);
			buf_add(credential, mac, k->hash);
			buf_add(credential, sealed, sealed_len);
			rc = 0;
		}
	}
	OPENSSL_cleanse(key, sizeof key);
	OPENSSL_cleanse(mac_key, sizeof mac_key);
	OPENSSL_cleanse(sealed, sizeof sealed);
	return rc;
}

int crypto_make_credential(const struct crypto_key *ek, const uint8_t *name, size_t name_len, const uint8_t *value,
			   size_t len, struct buf *credential, struct buf *secret, struct err *e)
{
	const struct kind *k = kind_of(ek->pkey);
	uint8_t seed[HASH_MAX];
	int rc;

	if (!k)
		return err_set(e, ERR_INPUT, 0, "the endorsement key is neither RSA-2048, P-256 nor P-384");
	if (name_len == 0 || name_len > TPM_NAME_MAX)
		return err_set(e, ERR_INPUT, 0, "an object's Name has 1…%d bytes, not %zu", TPM_NAME_MAX, name_len);
	if (len == 0 || len > k->hash)
		return err_set(e, ERR_INPUT, 0, "a credential has 1…%zu bytes, not %zu", k->hash, len);
	if (!k->group && crypto_random(seed, k->hash, e) < 0)
		return -1;
	rc = k->group ? seed_ecc(k, ek->pkey, seed, secret) : seed_rsa(ek->pkey, seed, secret);
	if (rc == 0)
		rc = wrap(k, seed, name, name_len, value, len, credential);
	OPENSSL_cleanse(seed, sizeof seed);
	return rc < 0 ? parts_fail(e, ERR_BUG, "no credential can be made for the endorsement key") : 0;
}
