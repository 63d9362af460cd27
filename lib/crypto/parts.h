/* parts: what the files of this folder share and no other room sees: OpenSSL's objects inside ours, their cleanup,
 * and its errors as ours. */
#ifndef PSEC_CRYPTO_PARTS_H
#define PSEC_CRYPTO_PARTS_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/crypto.h"

enum {
	PARTS_PEM_MAX = 256 * 1024,  /* a bag, a key, an envelope: what is parsed at most */
	PARTS_CERT_MAX = 16 * 1024,  /* one certificate as DER */
	PARTS_BAG_MAX = 64,
};

struct crypto_key {
	EVP_PKEY *pkey;
};
struct crypto_cert {
	X509 *x;
};
struct crypto_bag {
	STACK_OF(X509) *certs;
	STACK_OF(X509_CRL) *crls;
};

#define PARTS_CLEANUP(type, free_it)                                                                                   \
	static inline void free_it##_at(type **p)                                                                      \
	{                                                                                                              \
		free_it(*p);                                                                                           \
	}
PARTS_CLEANUP(BIO, BIO_free_all)
PARTS_CLEANUP(EVP_PKEY, EVP_PKEY_free)
PARTS_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
PARTS_CLEANUP(X509, X509_free)
#define auto_bio __attribute__((cleanup(BIO_free_all_at)))
#define auto_pkey __attribute__((cleanup(EVP_PKEY_free_at)))
#define auto_pkey_ctx __attribute__((cleanup(EVP_PKEY_CTX_free_at)))
#define auto_x509 __attribute__((cleanup(X509_free_at)))

/* ---- hash.c ---- */
/* The words, then ": " and OpenSSL's reason when it has one; its queue is empty afterwards. Returns -1. */
int parts_fail(struct err *e, enum err_kind kind, const char *fmt, ...) printf_like(3, 4);
/* A text to read; ERR_INPUT when it is longer than what is parsed. Borrows pem. NULL on failure. */
BIO *parts_text(const char *pem, const char *what, struct err *e);
/* What was written into a memory BIO, added to a buffer at once. */
int parts_drain(BIO *bio, struct buf *to, struct err *e);
/* A pem_password_cb that never asks a person. */
int parts_no_password(char *to, int size, int writing, void *arg);

/* ---- key.c ---- */
/* Takes the reference over, the key being of a kind that we understand; ERR_INPUT and freed otherwise. */
int parts_key(EVP_PKEY *pkey, struct crypto_key **out, struct err *e);
bool parts_is_group(const EVP_PKEY *pkey, const char *name);
bool parts_is_p256(const EVP_PKEY *pkey);
/* Its coordinates, each of field bytes; false for a key that has none, or longer ones. */
bool parts_point(const EVP_PKEY *pkey, size_t field, uint8_t *x, uint8_t *y);

/* ---- cert.c ---- */
/* "CN=…,O=…", or "" ; printable. */
void parts_name(const X509_NAME *name, char *to, size_t n);
/* Microseconds of a time, INT64_MAX for the year 9999 ("no end"), 0 when it is no time. */
int64_t parts_time(const ASN1_TIME *t);
void parts_number(const ASN1_INTEGER *n, char to[41]);
int parts_cert(X509 *x, struct crypto_cert **out);
/* One text of a name; "" when it is absent, ERR_INPUT when it is too long for to. */
int parts_text_of(const X509_NAME *name, int nid, char *to, size_t n, struct err *e);

/* ---- names.c ---- */
int parts_set_name(X509_NAME *name, const struct crypto_names *names, struct err *e);
/* subjectAltName: hardwareModuleName, DNS names and addresses; *out NULL when there is none to name. The caller
 * frees. */
int parts_alt_names(const char *hardware_serial, const char *const *dns, STACK_OF(GENERAL_NAME) **out, struct err *e);
int parts_set_time(ASN1_TIME *t, int64_t utc_us, struct err *e);
/* "CN=…", or "number 1f…" for one without a subject, as endorsement certificates are. */
void parts_call(const X509 *x, char *to, size_t n);

#endif
