#include "parts.h"

#include <openssl/pem.h>

PARTS_CLEANUP(X509_CRL, X509_CRL_free)
#define auto_crl __attribute__((cleanup(X509_CRL_free_at)))

static bool set_number(X509_REVOKED *r, const char *hex)
{
	BIGNUM *bn = NULL;
	ASN1_INTEGER *n = NULL;
	bool good;

	if (!*hex || strlen(hex) > 40 || BN_hex2bn(&bn, hex) != (int)strlen(hex) || BN_is_negative(bn)) {
		BN_free(bn);
		return false;
	}
	n = BN_to_ASN1_INTEGER(bn, NULL);
	good = n && X509_REVOKED_set_serialNumber(r, n) == 1;
	ASN1_INTEGER_free(n);
	BN_free(bn);
	return good;
}

static bool set_reason(X509_REVOKED *r, int reason)
{
	ASN1_ENUMERATED *why;
	bool good;

	if (reason == CRL_REASON_UNSPECIFIED)
		return true; /* is told by leaving it out: RFC 5280 5.3.1 */
	why = ASN1_ENUMERATED_new();
	good = why && ASN1_ENUMERATED_set(why, reason) == 1 &&
	       X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, why, 0, X509V3_ADD_DEFAULT) == 1;
	ASN1_ENUMERATED_free(why);
	return good;
}

static int revoke(X509_CRL *crl, const struct crypto_revoked *entry, struct err *e)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *when = ASN1_TIME_new();
	int rc = -1;

	if (!r || !when)
		parts_fail(e, ERR_IO, "no memory for a revocation list");
	else if (entry->reason < 0 || entry->reason == 7 || entry->reason > CRL_REASON_AA_COMPROMISE)
		err_set(e, ERR_INPUT, 0, "%d is no reason for a revocation", entry->reason);
	else if (!set_number(r, entry->number))
		parts_fail(e, ERR_INPUT, "'%.60s' is no certificate's number", entry->number);
	else if (parts_set_time(when, entry->utc_us, e) == 0) {
		if (X509_REVOKED_set_revocationDate(r, when) == 1 && set_reason(r, entry->reason) &&
		    X509_CRL_add0_revoked(crl, r) == 1) {
			r = NULL;
			rc = 0;
		} else {
			parts_fail(e, ERR_IO, "no memory for a revocation list");
		}
	}
	ASN1_TIME_free(when);
	X509_REVOKED_free(r);
	return rc;
}

static int set_times(X509_CRL *crl, int64_t this_us, int64_t next_us, struct err *e)
{
	ASN1_TIME *t = ASN1_TIME_new();
	int rc = -1;

	if (!t)
		parts_fail(e, ERR_IO, "no memory for a revocation list");
	else if (next_us <= this_us)
		err_set(e, ERR_INPUT, 0, "the revocation list would end before it begins");
	else if (parts_set_time(t, this_us, e) == 0 && X509_CRL_set1_lastUpdate(crl, t) == 1 &&
		 parts_set_time(t, next_us, e) == 0 && X509_CRL_set1_nextUpdate(crl, t) == 1)
		rc = 0;
	ASN1_TIME_free(t);
	return rc;
}

static int extensions(X509_CRL *crl, X509 *issuer, int64_t crl_number, struct err *e)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509_EXTENSION *authority = NULL;
	X509V3_CTX ctx;
	bool good;

	X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
	authority = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	good = n && authority && crl_number >= 0 && ASN1_INTEGER_set_int64(n, crl_number) == 1 &&
	       X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, X509V3_ADD_DEFAULT) == 1 &&
	       X509_CRL_add_ext(crl, authority, -1) == 1;
	X509_EXTENSION_free(authority);
	ASN1_INTEGER_free(n);
	return good ? 0 : parts_fail(e, ERR_INPUT, "the revocation list cannot name its number and its CA's key");
}

int crypto_crl_make(const struct crypto_cert *issuer, const struct crypto_key *key, int64_t crl_number, int64_t this_us,
		    int64_t next_us, const struct crypto_revoked *list, size_t count, struct buf *pem, struct err *e)
{
	struct crypto_key own = { .pkey = X509_get0_pubkey(issuer->x) };
	auto_crl X509_CRL *crl = X509_CRL_new();
	auto_bio BIO *bio = BIO_new(BIO_s_mem());

	if (!own.pkey || !crypto_key_same(&own, key))
		return err_set(e, ERR_INPUT, 0, "the CA's key is not that of its certificate");
	if (!crl || !bio || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
	    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x)) != 1)
		return parts_fail(e, ERR_IO, "no memory for a revocation list");
	if (set_times(crl, this_us, next_us, e) < 0 || extensions(crl, issuer->x, crl_number, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (revoke(crl, &list[i], e) < 0)
			return -1;
	if (X509_CRL_sort(crl) != 1 || X509_CRL_sign(crl, key->pkey, EVP_sha256()) <= 0 ||
	    PEM_write_bio_X509_CRL(bio, crl) != 1)
		return parts_fail(e, ERR_INPUT, "the CA's key does not sign");
	return parts_drain(bio, pem, e);
}
