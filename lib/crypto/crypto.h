/* crypto: OpenSSL. Digests, keys in files, certificates and their chains, revocation lists, sealed files, and what
 * of the TPM's arithmetic needs no TPM.
 *
 * Algorithms are few: ECDSA P-256 with SHA-256 signs, AES-256-GCM seals; RSA and P-384 are understood where others
 * chose them (endorsement certificates, a recovery key). All that comes in is hostile until checked: its size is
 * bounded before it is parsed. OpenSSL's error queue is empty after each call, no call asks a person for a
 * passphrase, and secrets are wiped where they lay. ERR_INPUT is for what cannot be read, ERR_REFUSED for what can
 * be and must not be believed.
 */
#ifndef PSEC_CRYPTO_H
#define PSEC_CRYPTO_H

#include "base/base.h"

/* ---- digests, random numbers, text ------------------------------------------------------------------------------ */

enum { CRYPTO_HASH = 32, CRYPTO_HEX = 2 * CRYPTO_HASH + 1 };
void crypto_sha256(const void *data, size_t len, uint8_t out[CRYPTO_HASH]);
void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[CRYPTO_HASH]);
/* As hex_format, of as many whole bytes as to has room for; returns to. */
char *crypto_hex(const void *data, size_t len, char *to, size_t n);
/* Fit for keys. */
must_check int crypto_random(void *to, size_t len, struct err *e);
/* In a time that tells nothing of the contents. */
bool crypto_equal(const void *a, const void *b, size_t len);
/* RFC 4648 with padding, in one line; at most 256 KiB. */
must_check int crypto_base64(const void *data, size_t len, struct buf *to, struct err *e);
/* The whole text, no blanks, the one way to write it: else ERR_INPUT. *len <= max. */
must_check int crypto_unbase64(const char *text, uint8_t *to, size_t max, size_t *len, struct err *e);

/* A secret in its own room. `auto_secret struct secret s = { 0 };` is wiped at the end of its block. */
struct secret {
	uint8_t data[128];
	size_t len;
};
void secret_wipe(struct secret *s);
#define auto_secret __attribute__((cleanup(secret_wipe)))
/* Of 2 * len digits of lower-case hex, whatever follows them. false: they are none, and the secret is empty. */
must_check bool secret_from_hex(struct secret *s, const char *hex, size_t len);
/* A buffer that held one: wiped, then released. It may have grown before: add a secret in one piece. */
void crypto_buf_wipe(struct buf *b);
#define auto_buf_wipe __attribute__((cleanup(crypto_buf_wipe)))

/* ---- keys ------------------------------------------------------------------------------------------------------- */

struct crypto_key; /* public, or private and public; its owner frees it with crypto_key_free */
void crypto_key_free(struct crypto_key *k);
void crypto_key_free_(struct crypto_key **k);
#define auto_crypto_key __attribute__((cleanup(crypto_key_free_)))
/* A new P-256 key, in memory. */
must_check int crypto_key_new(struct crypto_key **out, struct err *e);
/* PKCS#8 PEM, mode 0600, the old file or the new one, never half. Under a passphrase: AES-256-CBC and PBKDF2, whose
 * rounds suit a passphrase that a person made, unless it has 32 bytes and more. NULL: in plain. ERR_REFUSED when
 * others may read or write the old file. */
must_check int crypto_key_write(const struct crypto_key *k, const char *path, const struct secret *passphrase,
				struct err *e);
/* ERR_REFUSED: the passphrase is wrong, is missing, or was given for a key in plain; others may read or write the
 * file. */
must_check int crypto_key_read(const char *path, const struct secret *passphrase, struct crypto_key **out,
			       struct err *e);
must_check int crypto_key_public_pem(const struct crypto_key *k, struct buf *to, struct err *e);
/* A public key: P-256, P-384, or RSA of 2048…8192 bits; as DER a SubjectPublicKeyInfo and nothing after it. */
must_check int crypto_key_from_pem(const char *pem, struct crypto_key **out, struct err *e);
must_check int crypto_key_from_der(const void *der, size_t len, struct crypto_key **out, struct err *e);
/* A public P-256 key as the TPM has it; ERR_INPUT when the point is not on the curve. And back; ERR_INPUT for other
 * keys. */
must_check int crypto_key_from_point(const uint8_t x[32], const uint8_t y[32], struct crypto_key **out, struct err *e);
must_check int crypto_key_point(const struct crypto_key *k, uint8_t x[32], uint8_t y[32], struct err *e);
/* Have they the same public part? */
bool crypto_key_same(const struct crypto_key *a, const struct crypto_key *b);
/* ECDSA P-256 over SHA-256 of data; der gets an ECDSA-Sig-Value added. */
must_check int crypto_sign(const struct crypto_key *k, const void *data, size_t len, struct buf *der, struct err *e);
/* ERR_REFUSED when the signature is not that key's over data, or the key is no P-256 key. */
must_check int crypto_verify(const struct crypto_key *k, const void *data, size_t len, const void *der, size_t der_len,
			     struct err *e);
/* r and s as the TPM has them, into DER and back. */
must_check int crypto_sig_der(const uint8_t r[32], const uint8_t s[32], struct buf *der, struct err *e);
must_check int crypto_sig_raw(const void *der, size_t len, uint8_t r[32], uint8_t s[32], struct err *e);

/* ---- certificates ----------------------------------------------------------------------------------------------- */

struct crypto_cert; /* its owner frees it with crypto_cert_free */
void crypto_cert_free(struct crypto_cert *c);
void crypto_cert_free_(struct crypto_cert **c);
#define auto_crypto_cert __attribute__((cleanup(crypto_cert_free_)))
/* The first certificate of the text. */
must_check int crypto_cert_from_pem(const char *pem, struct crypto_cert **out, struct err *e);
/* That of the file that a person named; "-" is standard input. */
must_check int crypto_cert_read(const char *path, struct crypto_cert **out, struct err *e);
/* What follows the certificate is let be: an NV index is often longer than what it holds. */
must_check int crypto_cert_from_der(const void *der, size_t len, struct crypto_cert **out, struct err *e);
must_check int crypto_cert_pem(const struct crypto_cert *c, struct buf *to, struct err *e);
must_check int crypto_cert_key(const struct crypto_cert *c, struct crypto_key **out, struct err *e);

struct crypto_cert_facts {
	char cn[65], serial_number[65];      /* of the subject; "" when it has none; cut when longer */
	char number[41];                     /* the certificate's own serial, hex without leading zero bytes */
	char issuer[129], subject[129];      /* "CN=…,O=…", cut when longer */
	char fingerprint[CRYPTO_HEX];        /* SHA-256 of its DER */
	int64_t not_before_us, not_after_us; /* INT64_MAX: the year 9999, no end (RFC 5280 4.1.2.5); 0: not a time */
	bool is_ca;
};
/* Its texts are printable. */
void crypto_cert_facts(const struct crypto_cert *c, struct crypto_cert_facts *out);

/* Certificates and revocation lists, at most 64, as a PEM file has them; its owner frees it with crypto_bag_free. */
struct crypto_bag;
void crypto_bag_free(struct crypto_bag *b);
void crypto_bag_free_(struct crypto_bag **b);
#define auto_crypto_bag __attribute__((cleanup(crypto_bag_free_)))
must_check int crypto_bag_new(struct crypto_bag **out, struct err *e);
/* Every block of the text; name is for the error, which also names the block (from 1) that is neither certificate nor
 * list. A text without a block is ERR_INPUT. */
must_check int crypto_bag_add_pem(struct crypto_bag *b, const char *name, const char *pem, struct err *e);
/* One certificate after the other, as the TPM's NV indices hold a chain; filler at the end is let be. */
must_check int crypto_bag_add_der(struct crypto_bag *b, const void *der, size_t len, struct err *e);
must_check int crypto_bag_read(struct crypto_bag *b, const char *path, struct err *e);
size_t crypto_bag_certs(const struct crypto_bag *b);
size_t crypto_bag_crls(const struct crypto_bag *b);
/* The certificate number i, from 0, in the order they came; the caller's to free. */
must_check int crypto_bag_cert(const struct crypto_bag *b, size_t i, struct crypto_cert **out, struct err *e);

enum crypto_use {
	CRYPTO_USE_EK,     /* tcg-kp-EKCertificate, 2.23.133.8.1 */
	CRYPTO_USE_CLIENT, /* clientAuth */
	CRYPTO_USE_DEVICE, /* none is asked: IDevID, IAK */
	CRYPTO_USE_SERVER, /* serverAuth */
};
struct crypto_check {
	const struct crypto_bag *roots;   /* trust anchors, self-signed; their revocation lists count, too */
	const struct crypto_bag *between; /* intermediates and revocation lists; NULL: none */
	enum crypto_use use;
	bool crl_needed;                  /* each link below the root needs a list of its issuer that is in date */
	const struct now *now;
};
/* RFC 5280, strict, 112 bits of strength at least. A list that is given counts, needed or not. When the clock says
 * nothing (!now->utc_valid), signatures, names, uses and revocations are judged and dates are not: *time_checked is
 * then false, and the caller checks again when the clock is right. An endorsement certificate may be without
 * subject, key identifiers and the critical mark on its subjectAltName: vendors have it so. ERR_REFUSED, and the
 * text names the link and why: 'CN=…' is not signed by a given root; has expired (date); is not valid before …; was
 * revoked on … (reason); lacks the key usage tcg-kp-EKCertificate (2.23.133.8.1); signed another certificate and is
 * no CA; is a CA's certificate, not a device's; no revocation list of '…' says whether …. */
must_check int crypto_cert_check(const struct crypto_cert *c, const struct crypto_check *how, bool *time_checked,
				 struct err *e);

/* ---- requests and issuing --------------------------------------------------------------------------------------- */

/* Who signs what OpenSSL makes: a key in memory, or one in the TPM. der gets an ECDSA-Sig-Value added. */
typedef int crypto_sign_fn(void *arg, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e);

struct crypto_names {
	const char *cn;              /* at most 64 characters; NULL or "": left out, as the others */
	const char *serial_number;   /* of the subject; letters, digits and '()+,-./:=? only (PrintableString) */
	const char *hardware_serial; /* subjectAltName hardwareModuleName (RFC 4108), type TPM 2.0 (2.23.133.1.2) */
};
/* A PKCS#10 request for the public P-256 key. ERR_REFUSED when another key signed. */
must_check int crypto_request_make(const struct crypto_key *key, const struct crypto_names *names, crypto_sign_fn *sign,
				   void *arg, struct buf *pem, struct err *e);
/* What it asks for, its own signature checked (else ERR_REFUSED); *key is the caller's to free. Names are printable, ""
 * when it has none. */
must_check int crypto_request_read(const char *pem, struct crypto_key **key, char cn[65], char serial_number[65],
				   struct err *e);

enum crypto_profile {
	CRYPTO_ROOT,         /* CA, one CA below it; certificates and lists */
	CRYPTO_INTERMEDIATE, /* CA, no CA below it; certificates and lists */
	CRYPTO_IDEVID,       /* digitalSignature (IEEE 802.1AR) */
	CRYPTO_IAK,          /* digitalSignature */
	CRYPTO_LDEVID,       /* digitalSignature, clientAuth */
	CRYPTO_BROKER,       /* digitalSignature, serverAuth */
};
struct crypto_issue {
	enum crypto_profile profile;
	const struct crypto_key *subject_key;
	const struct crypto_cert *issuer;    /* NULL for the root, which signs itself */
	const struct crypto_key *issuer_key; /* P-256, that of the issuer's certificate: else ERR_INPUT */
	struct crypto_names names;
	const char *const *dns;              /* DNS names and IP addresses, NULL-ended; NULL: none */
	uint8_t number[16];                  /* the certificate's serial: random, not 0 */
	int64_t not_before_us, not_after_us; /* INT64_MAX: 99991231235959Z */
};
must_check int crypto_cert_issue(const struct crypto_issue *how, struct crypto_cert **out, struct err *e);

struct crypto_revoked {
	const char *number; /* hex, as in struct crypto_cert_facts */
	int64_t utc_us;
	int reason;         /* RFC 5280 5.3.1: 0 unspecified, 1 key compromised, 4 superseded, 5 out of operation … */
};
/* A revocation list of the CA, signed by its P-256 key; count may be 0. */
must_check int crypto_crl_make(const struct crypto_cert *issuer, const struct crypto_key *key, int64_t crl_number,
			       int64_t this_us, int64_t next_us, const struct crypto_revoked *list, size_t count,
			       struct buf *pem, struct err *e);

/* ---- envelopes and seals ---------------------------------------------------------------------------------------- */

/* CMS AuthEnvelopedData (RFC 5083, AES-256-GCM) in PEM for the key of one certificate, RSA (OAEP, SHA-256) or ECDH:
 * `openssl cms -decrypt -inform PEM` opens it. 1…131072 bytes. */
must_check int crypto_envelope(const struct crypto_cert *to, const void *data, size_t len, struct buf *pem,
			       struct err *e);
/* out gets the contents added in one piece; wipe it when they are secret (auto_buf_wipe). ERR_REFUSED when it is for
 * another key or was changed. */
must_check int crypto_envelope_open(const char *pem, const struct crypto_cert *cert, const struct crypto_key *key,
				    struct buf *out, struct err *e);
/* AES-256-GCM, random nonce; the name (what it is, where it lies) must be the same to unseal. At most 1 MiB. */
must_check int crypto_seal(const uint8_t key[32], const char *name, const void *data, size_t len, struct buf *out,
			   struct err *e);
/* As crypto_envelope_open: added in one piece, ERR_REFUSED when it was changed or key or name are others. */
must_check int crypto_unseal(const uint8_t key[32], const char *name, const void *data, size_t len, struct buf *out,
			     struct err *e);

/* ---- what TCG defines and needs no TPM -------------------------------------------------------------------------- */

/* TPM2_MakeCredential in software: value, of at most the size of the hash of the EK's template, can be had only by
 * the TPM that holds the endorsement key and an object of this Name. EKs: RSA-2048 and P-256 (SHA-256, AES-128),
 * P-384 (SHA-384, AES-256). credential gets a TPM2B_ID_OBJECT added, secret a TPM2B_ENCRYPTED_SECRET, both with
 * their size in front. */
must_check int crypto_make_credential(const struct crypto_key *ek, const uint8_t *name, size_t name_len,
				      const uint8_t *value, size_t len, struct buf *credential, struct buf *secret,
				      struct err *e);

/* A key that only its TPM can use, as tpm2-openssl and others write it: "TSS2 PRIVATE KEY", type 2.23.133.10.1.3. */
struct crypto_tss2 {
	uint32_t parent;                /* its handle */
	bool empty_auth;
	uint8_t pub[1024], priv[1024];  /* TPM2B_PUBLIC and TPM2B_PRIVATE, with their size in front */
	size_t pub_len, priv_len;
};
must_check int crypto_tss2_write(const struct crypto_tss2 *k, struct buf *pem, struct err *e);
/* ERR_INPUT also for a key with a policy, which could not be used. *out is set only on success. */
must_check int crypto_tss2_read(const char *pem, struct crypto_tss2 *out, struct err *e);
must_check int crypto_tss2_der(const void *der, size_t len, struct crypto_tss2 *out, struct err *e);

#endif
