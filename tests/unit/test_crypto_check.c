/* The chain of an endorsement certificate, and each way in which it is refused. */
#include "cert_rig.h"

static struct rig root, mid, ek;
static const struct rig_words ek_words = { .constraints = "critical,CA:FALSE", .usage = "critical,keyEncipherment",
					   .extended = "2.23.133.8.1", .alt = "critical", .until_us = INT64_MAX };

static int build(void **state)
{
	(void)state;
	root = rig_ca(NULL, "maker root");
	mid = rig_ca(&root, "maker intermediate");
	ek = rig_make(&mid, &ek_words);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	rig_release(&root);
	rig_release(&mid);
	rig_release(&ek);
	return 0;
}

static void add_cert(struct crypto_bag *b, const struct crypto_cert *c)
{
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	assert_int_equal(crypto_cert_pem(c, &pem, &e), 0);
	assert_int_equal(crypto_bag_add_pem(b, "certificate", pem.data, &e), 0);
}

static struct crypto_bag *bag_of(const struct crypto_cert *c, const char *lists)
{
	struct crypto_bag *b = NULL;
	struct err e = { 0 };

	assert_int_equal(crypto_bag_new(&b, &e), 0);
	if (c)
		add_cert(b, c);
	if (lists)
		assert_int_equal(crypto_bag_add_pem(b, "lists", lists, &e), 0);
	return b;
}

struct ask {
	const struct rig *root, *mid, *leaf; /* NULL: the good ones */
	const char *lists;
	bool needed;
	enum crypto_use use; /* EK is 0 */
	const struct now *now;
};

static bool time_checked;

static int check(const struct ask *a, struct err *e)
{
	auto_crypto_bag struct crypto_bag *roots = bag_of((a->root ? a->root : &root)->cert, NULL);
	auto_crypto_bag struct crypto_bag *between = bag_of((a->mid ? a->mid : &mid)->cert, a->lists);
	struct crypto_check how = { .roots = roots, .between = between, .use = a->use, .crl_needed = a->needed,
				    .now = a->now ? a->now : &rig_now };

	*e = (struct err){ 0 };
	return crypto_cert_check((a->leaf ? a->leaf : &ek)->cert, &how, &time_checked, e);
}

static void assert_refused(const struct ask *a, const char *why)
{
	struct err e;

	assert_int_equal(check(a, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	if (!strstr(e.text, why))
		fail_msg("'%s' instead of '%s'", e.text, why);
}

static void assert_good(const struct ask *a)
{
	struct err e;

	if (check(a, &e))
		fail_msg("%s", e.text);
}

static void an_endorsement_certificate_without_subject_and_end_is_good(void **state)
{
	struct crypto_cert_facts f;

	(void)state;
	assert_good(&(struct ask){ 0 });
	assert_true(time_checked);
	crypto_cert_facts(ek.cert, &f);
	assert_string_equal(f.subject, "");
	assert_string_equal(f.issuer, "CN=maker intermediate");
	assert_true(f.not_after_us == INT64_MAX);
	assert_false(f.is_ca);
}

static void what_vendors_leave_out_is_forgiven_them_and_no_one_else(void **state)
{
	struct rig_words w = ek_words;
	struct rig odd;

	(void)state;
	w.alt = "not critical";
	w.no_key_ids = true;
	odd = rig_make(&mid, &w);
	assert_good(&(struct ask){ .leaf = &odd });
	assert_refused(&(struct ask){ .leaf = &odd, .use = CRYPTO_USE_DEVICE }, "number ");
	rig_release(&odd);
}

static void a_wrong_root_is_refused(void **state)
{
	struct rig other = rig_ca(NULL, "other root"), twin = rig_ca(NULL, "maker root");

	(void)state;
	assert_refused(&(struct ask){ .root = &other }, "'CN=maker intermediate' is not signed by a given root: "
							"its issuer 'CN=maker root' is not among");
	assert_refused(&(struct ask){ .root = &twin }, "'CN=maker intermediate'");
	rig_release(&other);
	rig_release(&twin);
}

static void a_missing_intermediate_is_refused(void **state)
{
	(void)state;
	assert_refused(&(struct ask){ .mid = &root },
		       "its issuer 'CN=maker intermediate' is not among the certificates given");
}

static void a_root_that_came_with_the_chain_is_not_believed(void **state)
{
	struct rig other = rig_ca(NULL, "other root");
	auto_crypto_bag struct crypto_bag *roots = bag_of(other.cert, NULL), *between = bag_of(root.cert, NULL);
	struct crypto_check how = { .roots = roots, .between = between, .now = &rig_now };
	struct err e = { 0 };

	(void)state;
	add_cert(between, mid.cert);
	assert_int_equal(crypto_cert_check(ek.cert, &how, &time_checked, &e), -1);
	assert_non_null(strstr(e.text, "the chain ends at 'CN=maker root', which is not signed by a given root"));
	rig_release(&other);
}

static void a_certificate_for_another_use_is_refused(void **state)
{
	struct rig_words w = ek_words;
	struct rig tls;

	(void)state;
	w.extended = "clientAuth";
	w.usage = "critical,digitalSignature";
	tls = rig_make(&mid, &w);
	assert_refused(&(struct ask){ .leaf = &tls }, "lacks the key usage tcg-kp-EKCertificate (2.23.133.8.1)");
	assert_good(&(struct ask){ .leaf = &tls, .use = CRYPTO_USE_CLIENT });
	assert_good(&(struct ask){ .leaf = &tls, .use = CRYPTO_USE_DEVICE });
	assert_refused(&(struct ask){ .leaf = &tls, .use = CRYPTO_USE_SERVER }, "is not for this use");
	rig_release(&tls);
	w.extended = NULL;
	tls = rig_make(&mid, &w);
	assert_refused(&(struct ask){ .leaf = &tls }, "lacks the key usage tcg-kp-EKCertificate (2.23.133.8.1)");
	assert_refused(&(struct ask){ .leaf = &tls, .use = CRYPTO_USE_CLIENT }, "lacks the key usage clientAuth");
	assert_refused(&(struct ask){ .leaf = &tls, .use = CRYPTO_USE_SERVER }, "lacks the key usage serverAuth");
	rig_release(&tls);
}

static void a_ca_is_no_device(void **state)
{
	(void)state;
	assert_refused(&(struct ask){ .leaf = &mid, .use = CRYPTO_USE_DEVICE },
		       "'CN=maker intermediate' is a CA's certificate, not a device's");
}

static void who_is_no_ca_signs_nothing(void **state)
{
	const struct rig_words w = { .subject = "some device", .constraints = "critical,CA:FALSE",
				     .usage = "critical,digitalSignature" };
	struct rig device = rig_make(&root, &w), forged = rig_make(&device, &ek_words);

	(void)state;
	assert_refused(&(struct ask){ .mid = &device, .leaf = &forged },
		       "'CN=some device' signed another certificate and is no CA");
	rig_release(&device);
	rig_release(&forged);
}

static void a_changed_certificate_is_refused(void **state)
{
	struct rig changed = { NULL, xcalloc(1, sizeof(struct crypto_cert)) };
	uint8_t *der = NULL;
	const uint8_t *p;
	int len = i2d_X509(ek.cert->x, &der);

	(void)state;
	der[len - 1] ^= 1; /* in the signature */
	p = der;
	changed.cert->x = d2i_X509(NULL, &p, len);
	assert_non_null(changed.cert->x);
	assert_refused(&(struct ask){ .leaf = &changed }, "the signature of 'number ");
	OPENSSL_free(der);
	rig_release(&changed);
}

static void dates_are_judged_by_a_clock_that_is_right(void **state)
{
	const struct now unset = { .utc_us = 0, .utc_valid = false };
	struct rig_words w = ek_words;
	struct rig old, young;

	(void)state;
	w.until_us = rig_now_us - DAY_US;
	old = rig_make(&mid, &w);
	assert_refused(&(struct ask){ .leaf = &old }, "has expired (2026-09-20T");
	assert_good(&(struct ask){ .leaf = &old, .now = &unset });
	assert_false(time_checked);
	w.until_us = INT64_MAX;
	w.from_us = rig_now_us + DAY_US;
	young = rig_make(&mid, &w);
	assert_refused(&(struct ask){ .leaf = &young }, "is not valid before 2026-09-22T");
	assert_good(&(struct ask){ .leaf = &young, .now = &unset });
	rig_release(&old);
	rig_release(&young);
}

static void an_unset_clock_excuses_nothing_but_dates(void **state)
{
	const struct now unset = { .utc_us = 0, .utc_valid = false };
	struct rig other = rig_ca(NULL, "other root");
	auto_buf struct buf lists = BUF_INIT;

	(void)state;
	assert_refused(&(struct ask){ .root = &other, .now = &unset }, "is not signed by a given root");
	assert_false(time_checked);
	rig_list(&root, &mid, rig_now_us, rig_now_us + DAY_US, &lists);
	assert_refused(&(struct ask){ .lists = lists.data, .now = &unset }, "'CN=maker intermediate' was revoked on");
	rig_release(&other);
}

static void a_revoked_intermediate_is_refused_with_day_and_reason(void **state)
{
	auto_buf struct buf lists = BUF_INIT, old = BUF_INIT;

	(void)state;
	rig_list(&root, &mid, rig_now_us - DAY_US, rig_now_us + DAY_US, &lists);
	assert_refused(&(struct ask){ .lists = lists.data },
		       "'CN=maker intermediate' was revoked on 2026-09-20T14:13:20.000Z (superseded)");
	rig_list(&root, &mid, rig_now_us - 3 * DAY_US, rig_now_us - DAY_US, &old);
	assert_refused(&(struct ask){ .lists = old.data }, "'CN=maker intermediate' was revoked");
}

static void a_revoked_endorsement_certificate_is_refused(void **state)
{
	auto_buf struct buf lists = BUF_INIT;

	(void)state;
	rig_list(&mid, &ek, rig_now_us - DAY_US, rig_now_us + DAY_US, &lists);
	assert_refused(&(struct ask){ .lists = lists.data }, "was revoked on");
}

static void where_lists_are_needed_each_link_needs_one_in_date(void **state)
{
	auto_buf struct buf one = BUF_INIT, both = BUF_INIT, old = BUF_INIT, forged = BUF_INIT;
	struct rig twin = rig_ca(&root, "maker intermediate");

	(void)state;
	assert_refused(&(struct ask){ .needed = true },
		       "no revocation list of 'CN=maker intermediate' says whether 'number ");
	rig_list(&mid, NULL, rig_now_us - DAY_US, rig_now_us + DAY_US, &one);
	assert_good(&(struct ask){ .lists = one.data });
	assert_refused(&(struct ask){ .needed = true, .lists = one.data },
		       "no revocation list of 'CN=maker root' says whether 'CN=maker intermediate' was revoked");
	buf_adds(&both, one.data);
	rig_list(&root, NULL, rig_now_us - DAY_US, rig_now_us + DAY_US, &both);
	assert_good(&(struct ask){ .needed = true, .lists = both.data });
	rig_list(&mid, NULL, rig_now_us - 3 * DAY_US, rig_now_us - DAY_US, &old);
	rig_list(&root, NULL, rig_now_us - DAY_US, rig_now_us + DAY_US, &old);
	assert_refused(&(struct ask){ .needed = true, .lists = old.data },
		       "the revocation list of 'CN=maker intermediate' is out of date since 2026-09-20T");
	assert_good(&(struct ask){ .lists = old.data });
	rig_list(&root, NULL, rig_now_us - DAY_US, rig_now_us + DAY_US, &forged);
	rig_list(&twin, NULL, rig_now_us - DAY_US, rig_now_us + DAY_US, &forged);
	assert_refused(&(struct ask){ .needed = true, .lists = forged.data }, "'CN=maker intermediate'");
	rig_release(&twin);
}

static void a_weak_key_in_the_chain_is_refused(void **state)
{
	const struct rig_words w = { .subject = "weak", .constraints = "critical,CA:TRUE",
				     .usage = "critical,keyCertSign" };
	struct rig weak = rig_make(&root, &w), leaf;

	(void)state;
	EVP_PKEY_free(weak.key->pkey);
	weak.key->pkey = EVP_RSA_gen(1024);
	X509_set_pubkey(weak.cert->x, weak.key->pkey);
	assert_true(X509_sign(weak.cert->x, root.key->pkey, EVP_sha256()) > 0);
	leaf = rig_make(&weak, &ek_words);
	assert_refused(&(struct ask){ .mid = &weak, .leaf = &leaf }, "'CN=weak' has too weak a key");
	rig_release(&leaf);
	rig_release(&weak);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endorsement_certificate_without_subject_and_end_is_good),
		cmocka_unit_test(what_vendors_leave_out_is_forgiven_them_and_no_one_else),
		cmocka_unit_test(a_wrong_root_is_refused),
		cmocka_unit_test(a_missing_intermediate_is_refused),
		cmocka_unit_test(a_root_that_came_with_the_chain_is_not_believed),
		cmocka_unit_test(a_certificate_for_another_use_is_refused),
		cmocka_unit_test(a_ca_is_no_device),
		cmocka_unit_test(who_is_no_ca_signs_nothing),
		cmocka_unit_test(a_changed_certificate_is_refused),
		cmocka_unit_test(dates_are_judged_by_a_clock_that_is_right),
		cmocka_unit_test(an_unset_clock_excuses_nothing_but_dates),
		cmocka_unit_test(a_revoked_intermediate_is_refused_with_day_and_reason),
		cmocka_unit_test(a_revoked_endorsement_certificate_is_refused),
		cmocka_unit_test(where_lists_are_needed_each_link_needs_one_in_date),
		cmocka_unit_test(a_weak_key_in_the_chain_is_refused),
	};

	return cmocka_run_group_tests(tests, build, drop);
}
