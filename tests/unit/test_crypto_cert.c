/* Certificates and bags of them, as files and as a TPM's NV indices hold them. */
#include <openssl/err.h>

#include "cert_rig.h"

static struct rig root, leaf;

static int build(void **state)
{
	static const struct rig_words w = { .subject = "bad\nname\x1b[31m", .constraints = "critical,CA:FALSE" };

	(void)state;
	root = rig_ca(NULL, "root");
	leaf = rig_make(&root, &w);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	rig_release(&root);
	rig_release(&leaf);
	return 0;
}

static int no_error_is_left(void **state)
{
	(void)state;
	return ERR_peek_error() == 0 ? 0 : -1;
}

static void add_pem(struct buf *b, const struct crypto_cert *c)
{
	struct err e = { 0 };

	assert_int_equal(crypto_cert_pem(c, b, &e), 0);
}

static void add_der(struct buf *b, const struct crypto_cert *c)
{
	uint8_t *der = NULL;
	int len = i2d_X509(c->x, &der);

	buf_add(b, der, (size_t)len);
	OPENSSL_free(der);
}

static void assert_same(const struct crypto_cert *a, const struct crypto_cert *b)
{
	struct crypto_cert_facts fa, fb;

	crypto_cert_facts(a, &fa);
	crypto_cert_facts(b, &fb);
	assert_string_equal(fa.fingerprint, fb.fingerprint);
}

static void facts_are_safe_to_print(void **state)
{
	struct crypto_cert_facts f;

	(void)state;
	crypto_cert_facts(leaf.cert, &f);
	assert_string_equal(f.cn, "bad\\x0aname\\x1b[31m");
	assert_null(strchr(f.subject, '\n'));
	assert_null(strchr(f.subject, '\x1b'));
	assert_string_equal(f.issuer, "CN=root");
	assert_string_equal(f.serial_number, "");
	assert_true(f.not_before_us == rig_now_us - 180 * DAY_US);
	assert_true(f.not_after_us == rig_now_us + 180 * DAY_US);
	assert_false(f.is_ca);
	crypto_cert_facts(root.cert, &f);
	assert_true(f.is_ca);
}

static void a_bag_keeps_the_order_of_the_file(void **state)
{
	auto_crypto_bag struct crypto_bag *bag = NULL;
	auto_crypto_cert struct crypto_cert *first = NULL, *second = NULL, *third = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	buf_adds(&pem, "Some words before\n");
	add_pem(&pem, leaf.cert);
	add_pem(&pem, root.cert);
	rig_list(&root, NULL, rig_now_us, rig_now_us + DAY_US, &pem);
	assert_int_equal(crypto_bag_new(&bag, &e), 0);
	assert_int_equal(crypto_bag_add_pem(bag, "chain.pem", pem.data, &e), 0);
	assert_int_equal(crypto_bag_certs(bag), 2);
	assert_int_equal(crypto_bag_crls(bag), 1);
	assert_int_equal(crypto_bag_cert(bag, 0, &first, &e), 0);
	assert_int_equal(crypto_bag_cert(bag, 1, &second, &e), 0);
	assert_int_equal(crypto_bag_cert(bag, 2, &third, &e), -1);
	assert_same(first, leaf.cert);
	assert_same(second, root.cert);
}

static void assert_bad_bag(const char *pem, const char *why)
{
	auto_crypto_bag struct crypto_bag *bag = NULL;
	struct err e = { 0 };

	assert_int_equal(crypto_bag_new(&bag, &e), 0);
	assert_int_equal(crypto_bag_add_pem(bag, "roots.pem", pem, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	if (!strstr(e.text, why))
		fail_msg("'%s' instead of '%s'", e.text, why);
}

static void a_bag_names_the_block_that_is_none(void **state)
{
	auto_buf struct buf pem = BUF_INIT, many = BUF_INIT;
	size_t good;

	(void)state;
	assert_bad_bag("", "'roots.pem' has no certificate");
	assert_bad_bag("no PEM at all\n", "'roots.pem' has no certificate");
	add_pem(&pem, root.cert);
	good = pem.len;
	buf_adds(&pem, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	assert_bad_bag(pem.data, "'roots.pem', block 2: it is neither a certificate nor a revocation list");
	pem.data[pem.len = good] = '\0';
	buf_adds(&pem, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	assert_bad_bag(pem.data, "'roots.pem', block 2: it is no certificate");
	pem.data[pem.len = good] = '\0';
	buf_adds(&pem, "-----BEGIN CERTIFICATE-----\nMI!B\n-----END CERTIFICATE-----\n");
	assert_bad_bag(pem.data, "'roots.pem', block 2 is no PEM");
	pem.data[good / 2] = '\0';
	assert_bad_bag(pem.data, "'roots.pem', block 1 is no PEM");
	for (int i = 0; i < 65; i++)
		add_pem(&many, root.cert);
	assert_bad_bag(many.data, "'roots.pem', block 65: more than 64 certificates and lists");
}

static void a_chain_in_nv_is_read_to_its_filler(void **state)
{
	auto_crypto_bag struct crypto_bag *bag = NULL;
	auto_crypto_cert struct crypto_cert *second = NULL;
	auto_buf struct buf der = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	add_der(&der, leaf.cert);
	add_der(&der, root.cert);
	buf_add(&der, "\xff\xff\xff\xff", 4);
	assert_int_equal(crypto_bag_new(&bag, &e), 0);
	assert_int_equal(crypto_bag_add_der(bag, der.data, der.len, &e), 0);
	assert_int_equal(crypto_bag_certs(bag), 2);
	assert_int_equal(crypto_bag_cert(bag, 1, &second, &e), 0);
	assert_same(second, root.cert);
	assert_int_equal(crypto_bag_add_der(bag, der.data, der.len - 20, &e), -1);
	assert_string_equal(e.text, "certificate 2 of the chain cannot be read: too long");
	assert_int_equal(crypto_bag_add_der(bag, "\0\0\0\0", 4, &e), -1);
	assert_string_equal(e.text, "there is no certificate");
}

static void what_is_no_certificate_is_told_in_one_line(void **state)
{
	auto_crypto_cert struct crypto_cert *c = NULL;
	auto_free char *big = xcalloc(300 * 1024, 1);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_cert_from_pem("what?", &c, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(crypto_cert_from_der("what?", 5, &c, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(crypto_cert_from_der("", 0, &c, &e), -1);
	memset(big, 'A', 300 * 1024 - 1);
	assert_int_equal(crypto_cert_from_pem(big, &c, &e), -1);
	assert_string_equal(e.text, "the certificate is longer than 256 KiB");
	assert_null(strchr(e.text, '\n'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(facts_are_safe_to_print, no_error_is_left),
		cmocka_unit_test_teardown(a_bag_keeps_the_order_of_the_file, no_error_is_left),
		cmocka_unit_test_teardown(a_bag_names_the_block_that_is_none, no_error_is_left),
		cmocka_unit_test_teardown(a_chain_in_nv_is_read_to_its_filler, no_error_is_left),
		cmocka_unit_test_teardown(what_is_no_certificate_is_told_in_one_line, no_error_is_left),
	};

	return cmocka_run_group_tests(tests, build, drop);
}
