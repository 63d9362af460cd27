/* Certificates as others make them, good and bad, by OpenSSL and not by what is tested. */
#ifndef PSEC_TESTS_CERT_RIG_H
#define PSEC_TESTS_CERT_RIG_H

#include <string.h>

#include "crypto/parts.h"
#include "unit.h"

#define DAY_US (86400 * US_PER_S)
static const int64_t rig_now_us = INT64_C(1790000000) * US_PER_S; /* September 2026 */
static const struct now rig_now __attribute__((unused)) = { .utc_us = INT64_C(1790000000) * US_PER_S, .utc_valid = true };

/* One who signs: a CA, or an end that pretends to be one. */
struct rig {
	struct crypto_key *key;
	struct crypto_cert *cert;
};

struct rig_words {
	const char *subject;                              /* CN; NULL: empty */
	const char *constraints, *usage, *extended, *alt; /* x509v3_config(5); NULL: absent */
	int64_t from_us, until_us;                        /* 0: a year around now */
	bool no_key_ids;
};

static X509V3_CTX rig_ctx;

static inline void rig_extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext;

	if (!value)
		return;
	ext = X509V3_EXT_conf_nid(NULL, &rig_ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* subjectAltName directoryName, as the EK Credential Profile has it. */
static inline void rig_directory(X509 *x, bool critical)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	X509_NAME *dir = X509_NAME_new();
	ASN1_OBJECT *maker = OBJ_txt2obj("2.23.133.2.1", 1);

	X509_NAME_add_entry_by_OBJ(dir, maker, MBSTRING_UTF8, (const uint8_t *)"id:00001014", -1, -1, 0);
	GENERAL_NAME_set0_value(name, GEN_DIRNAME, dir);
	sk_GENERAL_NAME_push(names, name);
	assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, critical, X509V3_ADD_DEFAULT), 1);
	GENERAL_NAMES_free(names);
	ASN1_OBJECT_free(maker);
}

static inline struct rig rig_make(const struct rig *by, const struct rig_words *w)
{
	static long number = 100;
	struct rig r = { NULL, xcalloc(1, sizeof(struct crypto_cert)) };
	X509 *x = r.cert->x = X509_new();
	int64_t from = w->from_us ? w->from_us : rig_now_us - 180 * DAY_US;
	int64_t until = w->until_us ? w->until_us : rig_now_us + 180 * DAY_US;
	struct err e = { 0 };

	assert_int_equal(crypto_key_new(&r.key, &e), 0);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), number++);
	if (w->subject)
		X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8,
					   (const uint8_t *)w->subject, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(by ? by->cert->x : x));
	X509_set_pubkey(x, r.key->pkey);
	assert_int_equal(parts_set_time(X509_getm_notBefore(x), from, &e), 0);
	assert_int_equal(parts_set_time(X509_getm_notAfter(x), until, &e), 0);
	X509V3_set_ctx(&rig_ctx, by ? by->cert->x : x, x, NULL, NULL, 0);
	rig_extend(x, NID_basic_constraints, w->constraints);
	rig_extend(x, NID_key_usage, w->usage);
	rig_extend(x, NID_ext_key_usage, w->extended);
	if (!w->no_key_ids) {
		rig_extend(x, NID_subject_key_identifier, "hash");
		rig_extend(x, NID_authority_key_identifier, "keyid:always");
	}
	if (w->alt)
		rig_directory(x, str_eq(w->alt, "critical"));
	assert_true(X509_sign(x, (by ? by->key : r.key)->pkey, EVP_sha256()) > 0);
	return r;
}

static inline void rig_release(struct rig *r)
{
	crypto_cert_free(r->cert);
	crypto_key_free(r->key);
	*r = (struct rig){ NULL, NULL };
}

static inline struct rig rig_ca(const struct rig *by, const char *name)
{
	const struct rig_words w = { .subject = name, .constraints = "critical,CA:TRUE",
				     .usage = "critical,keyCertSign,cRLSign" };

	return rig_make(by, &w);
}

/* A list of the CA that revokes one certificate, or none. */
static inline void rig_list(const struct rig *ca, const struct rig *gone, int64_t this_us, int64_t next_us,
			    struct buf *pem)
{
	struct crypto_cert_facts f = { 0 };
	struct crypto_revoked entry = { .number = f.number, .utc_us = rig_now_us - DAY_US, .reason = 4 };
	struct err e = { 0 };

	if (gone)
		crypto_cert_facts(gone->cert, &f);
	assert_int_equal(crypto_crl_make(ca->cert, ca->key, 7, this_us, next_us, &entry, gone ? 1 : 0, pem, &e), 0);
}

#endif
