/* The chain of a certificate, after RFC 5280, with words for each refusal. */
#include "parts.h"

#include <openssl/err.h>

#define KP_EK "2.23.133.8.1" /* tcg-kp-EKCertificate: EK Credential Profile, 3.2 */

enum { BITS_112 = 2 }; /* OpenSSL's security level: RSA-2048, SHA-224 and better */

struct judge {
	const struct crypto_check *how;
	bool said;
	struct err *e;
};

static int say(struct judge *j, const char *fmt, ...) printf_like(2, 3);
static int say(struct judge *j, const char *fmt, ...)
{
	char text[sizeof j->e->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	j->said = true;
	err_set(j->e, ERR_REFUSED, 0, "%s", text);
	return 0; /* what a callback says to end the check */
}

/* RFC 5280, 5.3.1 */
static const char *reason_name(const X509_REVOKED *r)
{
	static const char *const names[] = { "no reason given", "key compromised", "CA compromised",
					     "affiliation changed", "superseded", "out of operation", "on hold", NULL,
					     "removed", "privilege withdrawn", "attribute authority compromised" };
	ASN1_ENUMERATED *why = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	long i = why ? ASN1_ENUMERATED_get(why) : 0;

	ASN1_ENUMERATED_free(why);
	return i >= 0 && i < (long)COUNT_OF(names) && names[i] ? names[i] : names[0];
}

static int say_revoked(struct judge *j, X509_STORE_CTX *ctx, X509 *x, const char *who)
{
	X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
	X509_REVOKED *r = NULL;
	char when[BASE_TIME_LEN];

	/* OpenSSL forgets the list when it was out of date and that was forgiven. */
	if (!crl || X509_CRL_get0_by_cert(crl, &r, x) == 0 || !r)
		return say(j, "'%s' was revoked", who);
	return say(j, "'%s' was revoked on %s (%s)", who,
		   time_format(parts_time(X509_REVOKED_get0_revocationDate(r)), when), reason_name(r));
}

/* What is bad about a revocation list; the certificate is the one that it should speak of. */
static int say_list(struct judge *j, X509_STORE_CTX *ctx, int error, const X509 *x, const char *who)
{
	X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
	char issuer[129], when[BASE_TIME_LEN];

	parts_name(X509_get_issuer_name(x), issuer, sizeof issuer);
	if (error == X509_V_ERR_UNABLE_TO_GET_CRL)
		return say(j, "no revocation list of '%s' says whether '%s' was revoked", issuer, who);
	if (error == X509_V_ERR_CRL_HAS_EXPIRED && crl)
		return say(j, "the revocation list of '%s' is out of date since %s: get a new one", issuer,
			   time_format(parts_time(X509_CRL_get0_nextUpdate(crl)), when));
	if (error == X509_V_ERR_CRL_NOT_YET_VALID && crl)
		return say(j, "the revocation list of '%s' is not valid before %s", issuer,
			   time_format(parts_time(X509_CRL_get0_lastUpdate(crl)), when));
	return say(j, "the revocation list of '%s' cannot be believed: %s", issuer,
		   X509_verify_cert_error_string(error));
}

static int say_chain(struct judge *j, const X509 *x, int error, const char *who)
{
	char issuer[129], when[BASE_TIME_LEN];

	switch (error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		parts_name(X509_get_issuer_name(x), issuer, sizeof issuer);
		return say(j, "'%s' is not signed by a given root: its issuer '%s' is not among the certificates given",
			   who, issuer);
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return say(j, "the chain ends at '%s', which is not signed by a given root", who);
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return say(j, "the signature of '%s' is not its issuer's", who);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return say(j, "'%s' has expired (%s)", who, time_format(parts_time(X509_get0_notAfter(x)), when));
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return say(j, "'%s' is not valid before %s", who,
			   time_format(parts_time(X509_get0_notBefore(x)), when));
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
		return say(j, "'%s' signed another certificate and is no CA", who);
	case X509_V_ERR_PATH_LENGTH_EXCEEDED:
		return say(j, "'%s' allows fewer CAs below it than there are", who);
	case X509_V_ERR_INVALID_PURPOSE:
		return say(j, "'%s' is not for this use", who);
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return say(j, "'%s' has too weak a key or signature (%s)", who, X509_verify_cert_error_string(error));
	default:
		return say(j, "'%s': %s", who, X509_verify_cert_error_string(error));
	}
}

/* Vendors' endorsement certificates miss these rules of RFC 5280; none of them says who signed what. */
static bool is_vendors_habit(int error)
{
	return error == X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL ||
	       error == X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER ||
	       error == X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER;
}

static bool is_list(int error)
{
	switch (error) {
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
	case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
		return true;
	default:
		return false;
	}
}

static int judge(int good, X509_STORE_CTX *ctx)
{
	struct judge *j = X509_STORE_CTX_get_app_data(ctx);
	int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
	X509 *x = X509_STORE_CTX_get_current_cert(ctx);
	char who[129];

	if (good)
		return 1;
	if (!x)
		return say(j, "%s", X509_verify_cert_error_string(error));
	/* Whoever may withhold a list may also give an old one: where none is needed, an old one only adds. */
	if (!j->how->crl_needed && (error == X509_V_ERR_UNABLE_TO_GET_CRL || error == X509_V_ERR_CRL_HAS_EXPIRED))
		return 1;
	/* A root is believed because it was given, not because of what it says of itself. */
	if (error == X509_V_ERR_UNABLE_TO_GET_CRL && X509_self_signed(x, 0) == 1)
		return 1;
	if (j->how->use == CRYPTO_USE_EK && depth == 0 && is_vendors_habit(error))
		return 1;
	parts_call(x, who, sizeof who);
	if (error == X509_V_ERR_CERT_REVOKED)
		return say_revoked(j, ctx, x, who);
	if (is_list(error))
		return say_list(j, ctx, error, x, who);
	return say_chain(j, x, error, who);
}

/* ---- what the certificate itself must be for ---- */

static bool has_usage(const X509 *x, const char *oid)
{
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	bool has = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(list); i++) {
		char text[64];

		OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(list, i), 1);
		has |= str_eq(text, oid);
	}
	EXTENDED_KEY_USAGE_free(list);
	return has;
}

static int check_use(X509 *x, enum crypto_use use, struct err *e)
{
	static const struct { const char *oid, *name; } usages[] = {
		[CRYPTO_USE_EK] = { KP_EK, "tcg-kp-EKCertificate" },
		[CRYPTO_USE_CLIENT] = { "1.3.6.1.5.5.7.3.2", "clientAuth" },
		[CRYPTO_USE_SERVER] = { "1.3.6.1.5.5.7.3.1", "serverAuth" },
		[CRYPTO_USE_DEVICE] = { NULL, NULL },
	};
	char who[129];

	parts_call(x, who, sizeof who);
	if (X509_check_ca(x) == 1)
		return err_set(e, ERR_REFUSED, 0, "'%s' is a CA's certificate, not a device's", who);
	if (usages[use].oid && !has_usage(x, usages[use].oid))
		return err_set(e, ERR_REFUSED, 0, "'%s' lacks the key usage %s (%s)", who, usages[use].name,
			       usages[use].oid);
	return 0;
}

/* ---- the check ---- */

struct work {
	X509_STORE *store;
	X509_STORE_CTX *ctx;
	STACK_OF(X509_CRL) *crls; /* of both bags; borrowed */
};

static void work_release(struct work *w)
{
	X509_STORE_CTX_free(w->ctx);
	X509_STORE_free(w->store);
	sk_X509_CRL_free(w->crls);
}

static bool add_lists(STACK_OF(X509_CRL) *to, const struct crypto_bag *from)
{
	for (int i = 0; from && i < sk_X509_CRL_num(from->crls); i++)
		if (sk_X509_CRL_push(to, sk_X509_CRL_value(from->crls, i)) <= 0)
			return false;
	return true;
}

static int prepare(struct work *w, const struct crypto_cert *c, const struct crypto_check *how, struct err *e)
{
	w->store = X509_STORE_new();
	w->ctx = X509_STORE_CTX_new();
	w->crls = sk_X509_CRL_new_null();
	if (!w->store || !w->ctx || !w->crls || !add_lists(w->crls, how->roots) || !add_lists(w->crls, how->between))
		return parts_fail(e, ERR_IO, "no memory to check a certificate");
	for (int i = 0; i < sk_X509_num(how->roots->certs); i++)
		if (X509_STORE_add_cert(w->store, sk_X509_value(how->roots->certs, i)) != 1)
			return parts_fail(e, ERR_IO, "no memory to check a certificate");
	if (X509_STORE_CTX_init(w->ctx, w->store, c->x, how->between ? how->between->certs : NULL) != 1)
		return parts_fail(e, ERR_IO, "no memory to check a certificate");
	X509_STORE_CTX_set0_crls(w->ctx, w->crls);
	return 0;
}

static void set_rules(X509_STORE_CTX *ctx, const struct crypto_check *how)
{
	X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_VERIFY_PARAM_set_auth_level(p, BITS_112);
	if (how->now->utc_valid)
		X509_VERIFY_PARAM_set_time(p, (time_t)(how->now->utc_us / US_PER_S));
	else
		X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_NO_CHECK_TIME);
	if (how->use == CRYPTO_USE_CLIENT)
		X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_CLIENT);
	if (how->use == CRYPTO_USE_SERVER)
		X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
}

int crypto_cert_check(const struct crypto_cert *c, const struct crypto_check *how, bool *time_checked, struct err *e)
{
	struct work w __attribute__((cleanup(work_release))) = { NULL, NULL, NULL };
	struct judge j = { .how = how, .e = e };
	int rc;

	*time_checked = how->now->utc_valid;
	if (prepare(&w, c, how, e) < 0)
		return -1;
	set_rules(w.ctx, how);
	X509_STORE_CTX_set_app_data(w.ctx, &j);
	X509_STORE_CTX_set_verify_cb(w.ctx, judge);
	/* Who signed it comes first: what a stranger's certificate is for says nothing. */
	rc = X509_verify_cert(w.ctx);
	ERR_clear_error();
	if (rc == 1)
		return check_use(c->x, how->use, e);
	if (j.said)
		return -1;
	return err_set(e, ERR_REFUSED, 0, "the certificate cannot be checked: %s",
		       X509_verify_cert_error_string(X509_STORE_CTX_get_error(w.ctx)));
}
