#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ROUNDS_PERSON = 600000, /* PBKDF2-HMAC-SHA256: OWASP Password Storage, 2023 */
	ROUNDS_MADE = 2048,     /* 32 random characters are beyond guessing, and a batch opens the key often */
	MADE_LEN = 32,
};

bool parts_is_group(const EVP_PKEY *pkey, const char *name)
{
	char group[32];
	size_t n;

	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name((EVP_PKEY *)pkey, group, sizeof group, &n) == 1 && str_eq(group, name);
}

bool parts_is_p256(const EVP_PKEY *pkey)
{
	return parts_is_group(pkey, "prime256v1");
}

int parts_key(EVP_PKEY *pkey, struct crypto_key **out, struct err *e)
{
	auto_pkey EVP_PKEY *own = pkey;
	int bits = EVP_PKEY_get_bits(own);

	if (!parts_is_p256(own) && !parts_is_group(own, "secp384r1") &&
	    !(EVP_PKEY_get_base_id(own) == EVP_PKEY_RSA && bits >= 2048 && bits <= 8192))
		return parts_fail(e, ERR_INPUT, "the key is neither P-256, P-384 nor RSA of 2048 to 8192 bits");
	*out = xcalloc(1, sizeof **out);
	(*out)->pkey = take(own);
	return 0;
}

void crypto_key_free(struct crypto_key *k)
{
	if (k)
		EVP_PKEY_free(k->pkey);
	free(k);
}

void crypto_key_free_(struct crypto_key **k)
{
	crypto_key_free(*k);
}

int crypto_key_new(struct crypto_key **out, struct err *e)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");

	return pkey ? parts_key(pkey, out, e) : parts_fail(e, ERR_IO, "no key can be made");
}

/* PKCS#8 under the passphrase (PBES2: PBKDF2, AES-256-CBC). */
static int write_encrypted(BIO *bio, const EVP_PKEY *pkey, const struct secret *pass, struct err *e)
{
	int rounds = pass->len >= MADE_LEN ? ROUNDS_MADE : ROUNDS_PERSON, rc = -1;
	PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(pkey);
	X509_ALGOR *how = PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), rounds, NULL, 16, NULL, NID_hmacWithSHA256);
	X509_SIG *sealed = NULL;

	if (plain && how)
		sealed = PKCS8_set0_pbe((const char *)pass->data, (int)pass->len, plain, how);
	if (sealed) {
		how = NULL; /* it is the sealed one's now */
		if (PEM_write_bio_PKCS8(bio, sealed) == 1)
			rc = 0;
	}
	if (rc)
		parts_fail(e, ERR_IO, "the key cannot be put under its passphrase");
	X509_SIG_free(sealed);
	X509_ALGOR_free(how);
	PKCS8_PRIV_KEY_INFO_free(plain);
	return rc;
}

/* What is replaced gives its mode on: a key must not come to lie open that way. */
static int check_before(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0 || !(st.st_mode & 077))
		return 0;
	return err_set(e, ERR_REFUSED, 0, "others may read or write '%s', which the key would replace: remove it, or "
		       "chmod 600 it", path);
}

int crypto_key_write(const struct crypto_key *k, const char *path, const struct secret *pass, struct err *e)
{
	auto_bio BIO *bio = BIO_new(BIO_s_secmem());
	char *data;
	long len;

	if (!bio)
		return parts_fail(e, ERR_IO, "no memory for a key");
	if (pass && pass->len == 0)
		return err_set(e, ERR_INPUT, 0, "the passphrase for '%s' is empty", path);
	if (check_before(path, e) < 0)
		return -1;
	if (pass) {
		if (write_encrypted(bio, k->pkey, pass, e) < 0)
			return -1;
	} else if (PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
		return parts_fail(e, ERR_BUG, "the key cannot be written as PKCS#8");
	}
	len = BIO_get_mem_data(bio, &data);
	return file_replace(path, data, (size_t)len, 0600, e);
}

struct asked {
	const struct secret *pass;
	bool was;
};

static int give(char *to, int size, int writing, void *arg)
{
	struct asked *a = arg;

	(void)writing;
	a->was = true;
	if (!a->pass || size < 0 || a->pass->len > (size_t)size)
		return -1;
	memcpy(to, a->pass->data, a->pass->len);
	return (int)a->pass->len;
}

static int read_private(const char *path, const char *pem, const struct secret *pass, struct crypto_key **out,
			struct err *e)
{
	struct asked asked = { .pass = pass };
	auto_bio BIO *bio = parts_text(pem, path, e);
	EVP_PKEY *pkey;

	if (!bio)
		return -1;
	pkey = PEM_read_bio_PrivateKey(bio, NULL, give, &asked);
	if (!pkey && asked.was) {
		ERR_clear_error();
		return err_set(e, ERR_REFUSED, 0, pass ? "the passphrase does not open '%s'" :
						  "'%s' is under a passphrase, and none was given", path);
	}
	if (!pkey)
		return parts_fail(e, ERR_INPUT, "'%s' is no private key in PEM", path);
	if (pass && !asked.was) {
		EVP_PKEY_free(pkey);
		return parts_fail(e, ERR_REFUSED, "'%s' lies open though it should be under a passphrase", path);
	}
	return parts_key(pkey, out, e) < 0 ? err_ctx(e, "'%s'", path) : 0;
}

int crypto_key_read(const char *path, const struct secret *pass, struct crypto_key **out, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	auto_buf_wipe struct buf b = BUF_INIT;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot open the key '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED, 0, "the key '%s' is no regular file", path);
	if (st.st_mode & 077)
		return err_set(e, ERR_REFUSED, 0,
			       "others may read or write the key '%s': chmod 600 it, and make a new one if they did",
			       path);
	if (file_read_fd(fd, path, PARTS_PEM_MAX, &b, e) < 0)
		return -1;
	return read_private(path, b.data ? b.data : "", pass, out, e);
}

int crypto_key_public_pem(const struct crypto_key *k, struct buf *to, struct err *e)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_PUBKEY(bio, k->pkey) != 1)
		return parts_fail(e, ERR_BUG, "the public key cannot be written");
	return parts_drain(bio, to, e);
}

int crypto_key_from_pem(const char *pem, struct crypto_key **out, struct err *e)
{
	auto_bio BIO *bio = parts_text(pem, "the public key", e);
	EVP_PKEY *pkey;

	if (!bio)
		return -1;
	pkey = PEM_read_bio_PUBKEY(bio, NULL, parts_no_password, NULL);
	return pkey ? parts_key(pkey, out, e) : parts_fail(e, ERR_INPUT, "that is no public key in PEM");
}

int crypto_key_from_der(const void *der, size_t len, struct crypto_key **out, struct err *e)
{
	const uint8_t *p = der;
	EVP_PKEY *pkey = len <= PARTS_CERT_MAX ? d2i_PUBKEY(NULL, &p, (long)len) : NULL;

	if (pkey && p == (const uint8_t *)der + len)
		return parts_key(pkey, out, e);
	EVP_PKEY_free(pkey);
	return parts_fail(e, ERR_INPUT, "that is no public key in DER");
}

int crypto_key_from_point(const uint8_t x[32], const uint8_t y[32], struct crypto_key **out, struct err *e)
{
	uint8_t point[65] = { POINT_CONVERSION_UNCOMPRESSED };
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"prime256v1", 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
		OSSL_PARAM_construct_end(),
	};
	auto_pkey_ctx EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	auto_pkey_ctx EVP_PKEY_CTX *check = NULL;
	auto_pkey EVP_PKEY *pkey = NULL;

	memcpy(point + 1, x, 32);
	memcpy(point + 33, y, 32);
	/* quick: P-256 has cofactor 1, so that a point of the curve is of its group */
	if (!make || EVP_PKEY_fromdata_init(make) != 1 ||
	    EVP_PKEY_fromdata(make, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1 ||
	    !(check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) || EVP_PKEY_public_check_quick(check) != 1)
		return parts_fail(e, ERR_INPUT, "that is no point of the curve P-256");
	return parts_key(take(pkey), out, e);
}

static bool coordinate(const EVP_PKEY *pkey, const char *name, uint8_t *to, int field)
{
	BIGNUM *n = NULL;
	bool good = EVP_PKEY_get_bn_param(pkey, name, &n) == 1 && BN_bn2binpad(n, to, field) == field;

	BN_free(n);
	return good;
}

bool parts_point(const EVP_PKEY *pkey, size_t field, uint8_t *x, uint8_t *y)
{
	return coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X, x, (int)field) &&
	       coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y, (int)field);
}

int crypto_key_point(const struct crypto_key *k, uint8_t x[32], uint8_t y[32], struct err *e)
{
	if (!parts_is_p256(k->pkey))
		return err_set(e, ERR_INPUT, 0, "the key is not of the curve P-256");
	if (!parts_point(k->pkey, 32, x, y))
		return parts_fail(e, ERR_BUG, "the key does not tell its point");
	return 0;
}

bool crypto_key_same(const struct crypto_key *a, const struct crypto_key *b)
{
	bool same = EVP_PKEY_eq(a->pkey, b->pkey) == 1;

	ERR_clear_error();
	return same;
}

/* ---- signatures ---- */

static void free_md_ctx(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}
#define auto_md_ctx __attribute__((cleanup(free_md_ctx)))

int crypto_sign(const struct crypto_key *k, const void *data, size_t len, struct buf *der, struct err *e)
{
	auto_md_ctx EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[80];
	size_t n = sizeof sig;

	if (!parts_is_p256(k->pkey))
		return err_set(e, ERR_INPUT, 0, "only a key of the curve P-256 signs");
	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, len ? data : (const void *)"", len) != 1)
		return parts_fail(e, ERR_INPUT, "the key does not sign");
	buf_add(der, sig, n);
	return 0;
}

int crypto_verify(const struct crypto_key *k, const void *data, size_t len, const void *der, size_t der_len,
		  struct err *e)
{
	auto_md_ctx EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!parts_is_p256(k->pkey))
		return err_set(e, ERR_REFUSED, 0, "the key is not of the curve P-256, so the signature is not judged");
	if (!ctx || EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) != 1)
		return parts_fail(e, ERR_BUG, "no signature can be checked");
	if (EVP_DigestVerify(ctx, der, der_len, len ? data : (const void *)"", len) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_REFUSED, 0, "the signature is not that key's over this text");
	}
	return 0;
}

int crypto_sig_der(const uint8_t r[32], const uint8_t s[32], struct buf *der, struct err *e)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *br = BN_bin2bn(r, 32, NULL), *bs = BN_bin2bn(s, 32, NULL);
	uint8_t *out = NULL;
	int len = -1;

	if (sig && br && bs && ECDSA_SIG_set0(sig, br, bs) == 1) {
		br = bs = NULL;
		len = i2d_ECDSA_SIG(sig, &out);
	}
	if (len > 0)
		buf_add(der, out, (size_t)len);
	OPENSSL_free(out);
	BN_free(br);
	BN_free(bs);
	ECDSA_SIG_free(sig);
	return len > 0 ? 0 : parts_fail(e, ERR_IO, "no memory for a signature");
}

static bool number32(const BIGNUM *n, uint8_t to[32])
{
	return !BN_is_negative(n) && BN_bn2binpad(n, to, 32) == 32;
}

int crypto_sig_raw(const void *der, size_t len, uint8_t r[32], uint8_t s[32], struct err *e)
{
	const uint8_t *p = der, *end = p + len;
	ECDSA_SIG *sig = len <= 80 ? d2i_ECDSA_SIG(NULL, &p, (long)len) : NULL;
	bool good = sig && p == end && number32(ECDSA_SIG_get0_r(sig), r) && number32(ECDSA_SIG_get0_s(sig), s);

	ECDSA_SIG_free(sig);
	ERR_clear_error();
	return good ? 0 : err_set(e, ERR_INPUT, 0, "that is no ECDSA signature of a P-256 key");
}
