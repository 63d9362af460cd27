#include "parts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { YEAR_NO_END = 9999 }; /* RFC 5280 4.1.2.5 */

void parts_name(const X509_NAME *name, char *to, size_t n)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;

	*to = '\0';
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    (len = BIO_get_mem_data(bio, &data)) > 0)
		str_printable(to, n, data, (size_t)len);
	ERR_clear_error();
}

int64_t parts_time(const ASN1_TIME *t)
{
	struct tm tm;
	bool good = t && ASN1_TIME_to_tm(t, &tm) == 1;

	ERR_clear_error();
	if (!good)
		return 0;
	if (tm.tm_year + 1900 >= YEAR_NO_END)
		return INT64_MAX;
	return (int64_t)timegm(&tm) * US_PER_S;
}

void parts_number(const ASN1_INTEGER *n, char to[41])
{
	crypto_hex(ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n), to, 41);
}

int parts_cert(X509 *x, struct crypto_cert **out)
{
	*out = xcalloc(1, sizeof **out);
	(*out)->x = x;
	return 0;
}

void crypto_cert_free(struct crypto_cert *c)
{
	if (c)
		X509_free(c->x);
	free(c);
}

void crypto_cert_free_(struct crypto_cert **c)
{
	crypto_cert_free(*c);
}

int crypto_cert_from_pem(const char *pem, struct crypto_cert **out, struct err *e)
{
	auto_bio BIO *bio = parts_text(pem, "the certificate", e);
	X509 *x;

	if (!bio)
		return -1;
	x = PEM_read_bio_X509(bio, NULL, parts_no_password, NULL);
	return x ? parts_cert(x, out) : parts_fail(e, ERR_INPUT, "that is no certificate in PEM");
}

int crypto_cert_from_der(const void *der, size_t len, struct crypto_cert **out, struct err *e)
{
	const uint8_t *p = der;
	X509 *x = len <= PARTS_CERT_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;

	return x ? parts_cert(x, out) : parts_fail(e, ERR_INPUT, "that is no certificate in DER of at most %d KiB",
						   PARTS_CERT_MAX / 1024);
}

int crypto_cert_pem(const struct crypto_cert *c, struct buf *to, struct err *e)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_X509(bio, c->x) != 1)
		return parts_fail(e, ERR_BUG, "the certificate cannot be written");
	return parts_drain(bio, to, e);
}

int crypto_cert_key(const struct crypto_cert *c, struct crypto_key **out, struct err *e)
{
	EVP_PKEY *pkey = X509_get_pubkey(c->x);

	if (!pkey)
		return parts_fail(e, ERR_INPUT, "the certificate's key is of no kind that is understood");
	return parts_key(pkey, out, e) < 0 ? err_ctx(e, "certificate") : 0;
}

int parts_text_of(const X509_NAME *name, int nid, char *to, size_t n, struct err *e)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1), len;
	unsigned char *text = NULL;

	*to = '\0';
	if (at < 0)
		return 0;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len < 0)
		return parts_fail(e, ERR_INPUT, "the %s is no text", OBJ_nid2ln(nid));
	str_printable(to, n, (const char *)text, (size_t)len);
	OPENSSL_free(text);
	if ((size_t)len >= n)
		return err_set(e, ERR_INPUT, 0, "the %s has %d characters, more than %zu", OBJ_nid2ln(nid), len, n - 1);
	return 0;
}

void crypto_cert_facts(const struct crypto_cert *c, struct crypto_cert_facts *out)
{
	const X509_NAME *subject = X509_get_subject_name(c->x);
	uint8_t hash[CRYPTO_HASH] = { 0 };
	struct err cut;

	*out = (struct crypto_cert_facts){ 0 };
	/* Too long a name is cut here: whoever relies on it compares the whole one when he reads the request. */
	(void)!parts_text_of(subject, NID_commonName, out->cn, sizeof out->cn, &cut);
	(void)!parts_text_of(subject, NID_serialNumber, out->serial_number, sizeof out->serial_number, &cut);
	parts_number(X509_get0_serialNumber(c->x), out->number);
	parts_name(X509_get_issuer_name(c->x), out->issuer, sizeof out->issuer);
	parts_name(subject, out->subject, sizeof out->subject);
	if (X509_digest(c->x, EVP_sha256(), hash, NULL) != 1)
		abort(); /* only without memory */
	crypto_hex(hash, sizeof hash, out->fingerprint, sizeof out->fingerprint);
	out->not_before_us = parts_time(X509_get0_notBefore(c->x));
	out->not_after_us = parts_time(X509_get0_notAfter(c->x));
	out->is_ca = X509_check_ca(c->x) == 1;
	ERR_clear_error();
}

/* ---- bags ---- */

void crypto_bag_free(struct crypto_bag *b)
{
	if (!b)
		return;
	sk_X509_pop_free(b->certs, X509_free);
	sk_X509_CRL_pop_free(b->crls, X509_CRL_free);
	free(b);
}

void crypto_bag_free_(struct crypto_bag **b)
{
	crypto_bag_free(*b);
}

int crypto_bag_new(struct crypto_bag **out, struct err *e)
{
	auto_crypto_bag struct crypto_bag *b = xcalloc(1, sizeof *b);

	b->certs = sk_X509_new_null();
	b->crls = sk_X509_CRL_new_null();
	if (!b->certs || !b->crls)
		return parts_fail(e, ERR_IO, "no memory for certificates");
	*out = take(b);
	return 0;
}

static int full(const struct crypto_bag *b, struct err *e)
{
	if (sk_X509_num(b->certs) + sk_X509_CRL_num(b->crls) < PARTS_BAG_MAX)
		return 0;
	return err_set(e, ERR_INPUT, 0, "more than %d certificates and lists", PARTS_BAG_MAX);
}

static int push_cert(struct crypto_bag *b, X509 *x, struct err *e)
{
	int rc = full(b, e);

	if (rc == 0 && sk_X509_push(b->certs, x) > 0)
		return 0;
	X509_free(x);
	return rc < 0 ? rc : parts_fail(e, ERR_IO, "no memory for a certificate");
}

static int push_crl(struct crypto_bag *b, X509_CRL *crl, struct err *e)
{
	int rc = full(b, e);

	if (rc == 0 && sk_X509_CRL_push(b->crls, crl) > 0)
		return 0;
	X509_CRL_free(crl);
	return rc < 0 ? rc : parts_fail(e, ERR_IO, "no memory for a revocation list");
}

static int add_block(struct crypto_bag *b, const char *type, const uint8_t *der, long len, struct err *e)
{
	const uint8_t *p = der;

	if (str_eq(type, PEM_STRING_X509) || str_eq(type, PEM_STRING_X509_OLD)) {
		X509 *x = len <= PARTS_CERT_MAX ? d2i_X509(NULL, &p, len) : NULL;

		if (x && p != der + len) {
			X509_free(x);
			return err_set(e, ERR_INPUT, 0, "something follows the certificate inside its block");
		}
		return x ? push_cert(b, x, e) : parts_fail(e, ERR_INPUT, "it is no certificate");
	}
	if (str_eq(type, PEM_STRING_X509_CRL)) {
		X509_CRL *crl = d2i_X509_CRL(NULL, &p, len);

		return crl ? push_crl(b, crl, e) : parts_fail(e, ERR_INPUT, "it is no revocation list");
	}
	return err_set(e, ERR_INPUT, 0, "it is neither a certificate nor a revocation list");
}

int crypto_bag_add_pem(struct crypto_bag *b, const char *name, const char *pem, struct err *e)
{
	auto_bio BIO *bio = parts_text(pem, name, e);
	char *type = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len;
	int block = 0, rc = 0;

	if (!bio)
		return -1;
	while (rc == 0 && PEM_read_bio(bio, &type, &header, &der, &len) == 1) {
		block++;
		rc = add_block(b, type, der, len, e);
		OPENSSL_free(type);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	if (rc < 0)
		return err_ctx(e, "'%s', block %d", name, block);
	if (ERR_GET_REASON(ERR_peek_error()) != PEM_R_NO_START_LINE)
		return parts_fail(e, ERR_INPUT, "'%s', block %d is no PEM", name, block + 1);
	ERR_clear_error();
	return block ? 0 : err_set(e, ERR_INPUT, 0, "'%s' has no certificate", name);
}

int crypto_bag_add_der(struct crypto_bag *b, const void *der, size_t len, struct err *e)
{
	const uint8_t *p = der, *end = p + len;
	int count = 0;

	if (len > PARTS_PEM_MAX)
		return err_set(e, ERR_INPUT, 0, "the certificates are longer than %d KiB", PARTS_PEM_MAX / 1024);
	while (p < end && *p == 0x30) { /* SEQUENCE; an NV index is filled up with 0x00 or 0xff */
		X509 *x = d2i_X509(NULL, &p, end - p);

		if (!x)
			return parts_fail(e, ERR_INPUT, "certificate %d of the chain cannot be read", count + 1);
		if (push_cert(b, x, e) < 0)
			return -1;
		count++;
	}
	return count ? 0 : err_set(e, ERR_INPUT, 0, "there is no certificate");
}

int crypto_cert_read(const char *path, struct crypto_cert **out, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;

	if (file_read(path, PARTS_PEM_MAX, &text, e) < 0)
		return -1;
	return crypto_cert_from_pem(text.data, out, e) < 0 ? err_ctx(e, "'%s'", path) : 0;
}

int crypto_bag_read(struct crypto_bag *b, const char *path, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;

	if (file_read(path, PARTS_PEM_MAX, &text, e) < 0)
		return -1;
	return crypto_bag_add_pem(b, path, text.data, e);
}

size_t crypto_bag_certs(const struct crypto_bag *b)
{
	return (size_t)sk_X509_num(b->certs);
}

size_t crypto_bag_crls(const struct crypto_bag *b)
{
	return (size_t)sk_X509_CRL_num(b->crls);
}

int crypto_bag_cert(const struct crypto_bag *b, size_t i, struct crypto_cert **out, struct err *e)
{
	X509 *x = i < crypto_bag_certs(b) ? sk_X509_value(b->certs, (int)i) : NULL;

	if (!x)
		return err_set(e, ERR_INPUT, 0, "there is no certificate number %zu", i + 1);
	X509_up_ref(x);
	return parts_cert(x, out);
}
