/* What a CA makes, judged by openssl(1): requests, certificates, revocation lists, envelopes; and sealed files. */
#include "cert_rig.h"

#include <openssl/pem.h>
#include <unistd.h>

static char folder[64];
static struct rig root, mid;
static struct crypto_cert *recovery[2]; /* P-256, RSA */
static struct crypto_key *recovery_key[2];

/* Run in the folder; what it says goes to the file "said". */
static int sh(const char *command)
{
	auto_free char *line = xasprintf("cd %s && { %s; } >said 2>&1 </dev/null", folder, command);

	return system(line);
}

static void assert_sh(const char *command)
{
	auto_free char *path = xasprintf("%s/said", folder);
	auto_buf struct buf b = BUF_INIT;
	struct err e = { 0 };

	if (sh(command) == 0)
		return;
	assert_int_equal(file_read(path, 100000, &b, &e), 0);
	fail_msg("%s: %s", command, b.data);
}

static void assert_said(const char *words)
{
	auto_free char *path = xasprintf("%s/said", folder);
	auto_buf struct buf b = BUF_INIT;
	struct err e = { 0 };

	assert_int_equal(file_read(path, 100000, &b, &e), 0);
	if (!strstr(b.data, words))
		fail_msg("'%s' is not in: %s", words, b.data);
}

static void put(const char *name, const void *data, size_t len)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	struct err e = { 0 };

	assert_int_equal(file_replace(path, data, len, 0600, &e), 0);
}

static void put_cert(const char *name, const struct crypto_cert *c)
{
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	assert_int_equal(crypto_cert_pem(c, &pem, &e), 0);
	put(name, pem.data, pem.len);
}

static struct crypto_issue issue_of(enum crypto_profile p, const struct crypto_key *subject, const struct rig *by)
{
	static uint8_t number = 0x80; /* its top bit would make a careless number negative */
	struct crypto_issue how = { .profile = p, .subject_key = subject, .issuer = by->cert, .issuer_key = by->key,
				    .number = { number++, 1, 2, 3 }, .not_before_us = rig_now_us - DAY_US,
				    .not_after_us = rig_now_us + 300 * DAY_US };

	return how;
}

static int build(void **state)
{
	struct crypto_issue how;
	struct err e = { 0 };

	(void)state;
	snprintf(folder, sizeof folder, "/tmp/crypto-issue-XXXXXX");
	if (!mkdtemp(folder) || crypto_key_new(&root.key, &e) || crypto_key_new(&mid.key, &e))
		return -1;
	root.cert = NULL;
	how = issue_of(CRYPTO_ROOT, root.key, &root);
	how.names.cn = "psec root";
	if (crypto_cert_issue(&how, &root.cert, &e))
		return -1;
	how = issue_of(CRYPTO_INTERMEDIATE, mid.key, &root);
	how.names.cn = "psec intermediate";
	if (crypto_cert_issue(&how, &mid.cert, &e))
		return -1;
	put_cert("root.pem", root.cert);
	put_cert("mid.pem", mid.cert);
	return 0;
}

static int drop(void **state)
{
	auto_free char *line = xasprintf("rm -r %s", folder);

	(void)state;
	rig_release(&root);
	rig_release(&mid);
	for (size_t i = 0; i < COUNT_OF(recovery); i++) {
		crypto_cert_free(recovery[i]);
		crypto_key_free(recovery_key[i]);
	}
	return system(line);
}

/* Signs as the TPM does: a digest in, DER out. */
static int sign_digest(void *arg, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e)
{
	struct crypto_key *k = arg;
	auto_pkey_ctx EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->pkey, NULL);
	uint8_t sig[80];
	size_t n = sizeof sig;

	if (EVP_PKEY_sign_init(ctx) != 1 || EVP_PKEY_sign(ctx, sig, &n, digest, CRYPTO_HASH) != 1)
		return err_set(e, ERR_IO, 0, "no signature");
	buf_add(der, sig, n);
	return 0;
}

static int sign_never(void *arg, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e)
{
	(void)arg, (void)digest, (void)der;
	return err_set(e, ERR_AGAIN, 0, "the TPM is busy");
}

static const struct crypto_names house = { .cn = "house-17", .serial_number = "A-0042", .hardware_serial = "A-0042" };

static void a_request_is_one_that_others_understand(void **state)
{
	auto_crypto_key struct crypto_key *k = NULL, *asked = NULL;
	auto_buf struct buf pem = BUF_INIT;
	char cn[65], serial[65];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_request_make(k, &house, sign_digest, k, &pem, &e), 0);
	put("req.pem", pem.data, pem.len);
	assert_sh("openssl req -in req.pem -verify -noout -text");
	assert_said("Subject: CN = house-17, serialNumber = A-0042");
	assert_said("1.3.6.1.5.5.7.8.4");
	assert_int_equal(crypto_request_read(pem.data, &asked, cn, serial, &e), 0);
	assert_string_equal(cn, "house-17");
	assert_string_equal(serial, "A-0042");
	assert_true(crypto_key_same(k, asked));
}

static void a_request_is_signed_by_the_key_that_it_names(void **state)
{
	auto_crypto_key struct crypto_key *k = NULL, *other = NULL, *asked = NULL;
	auto_buf struct buf pem = BUF_INIT;
	char cn[65], serial[65];
	struct err e = { 0 };
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_key_new(&other, &e), 0);
	assert_int_equal(crypto_request_make(k, &house, sign_digest, other, &pem, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(crypto_request_make(k, &house, sign_never, NULL, &pem, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	assert_string_equal(e.text, "sign the certificate request: the TPM is busy");
	assert_int_equal(pem.len, 0);
	X509_REQ_set_pubkey(req, k->pkey);
	assert_true(X509_REQ_sign(req, other->pkey, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
	assert_int_equal(parts_drain(bio, &pem, &e), 0);
	assert_int_equal(crypto_request_read(pem.data, &asked, cn, serial, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(crypto_request_read("what?", &asked, cn, serial, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	X509_REQ_free(req);
	BIO_free(bio);
}

static void names_that_no_certificate_takes_are_refused(void **state)
{
	const struct crypto_names bad[] = {
		{ .cn = "a name of more than sixty-four characters, which is what X.520 allows at most" },
		{ .cn = "x", .serial_number = "A_0042" },
	};
	auto_crypto_key struct crypto_key *k = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(crypto_request_make(k, &bad[i], sign_digest, k, &pem, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_non_null(strstr(e.text, "cannot be the"));
	}
}

static void put_lists(const struct rig *gone)
{
	auto_buf struct buf lists = BUF_INIT;

	rig_list(&root, NULL, rig_now_us - DAY_US, rig_now_us + DAY_US, &lists);
	rig_list(&mid, gone, rig_now_us - DAY_US, rig_now_us + DAY_US, &lists);
	put("crl.pem", lists.data, lists.len);
}

#define VERIFY \
	"openssl verify -x509_strict -crl_check_all -attime 1790000000 -CAfile root.pem -untrusted mid.pem " \
	"-CRLfile crl.pem "

static void a_site_certificate_is_good_until_it_is_revoked(void **state)
{
	struct crypto_issue how;
	struct crypto_cert_facts f;
	struct rig site = { NULL, NULL };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&site.key, &e), 0);
	how = issue_of(CRYPTO_LDEVID, site.key, &mid);
	how.names = (struct crypto_names){ .cn = "house-17", .serial_number = "A-0042" };
	assert_int_equal(crypto_cert_issue(&how, &site.cert, &e), 0);
	crypto_cert_facts(site.cert, &f);
	assert_string_equal(f.cn, "house-17");
	assert_string_equal(f.serial_number, "A-0042");
	assert_int_equal(strlen(f.number), 32);
	assert_true(f.not_after_us == how.not_after_us && f.not_before_us == how.not_before_us);
	put_cert("site.pem", site.cert);
	put_lists(NULL);
	assert_sh(VERIFY "-purpose sslclient site.pem");
	assert_sh("openssl x509 -in site.pem -noout -text");
	assert_said("TLS Web Client Authentication");
	assert_said("Issuer: CN = psec intermediate");
	put_lists(&site);
	assert_true(sh(VERIFY "site.pem") != 0);
	assert_said("certificate revoked");
	rig_release(&site);
}

static void a_device_certificate_names_its_hardware_and_never_ends(void **state)
{
	struct crypto_issue how;
	struct crypto_cert_facts f;
	struct rig device = { NULL, NULL };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&device.key, &e), 0);
	how = issue_of(CRYPTO_IDEVID, device.key, &mid);
	how.names = (struct crypto_names){ .cn = "A-0042", .serial_number = "A-0042", .hardware_serial = "A-0042" };
	how.not_after_us = INT64_MAX;
	assert_int_equal(crypto_cert_issue(&how, &device.cert, &e), 0);
	crypto_cert_facts(device.cert, &f);
	assert_true(f.not_after_us == INT64_MAX);
	put_cert("device.pem", device.cert);
	put_lists(NULL);
	assert_sh(VERIFY "device.pem");
	assert_sh("openssl x509 -in device.pem -noout -text");
	assert_said("Dec 31 23:59:59 9999 GMT");
	assert_said("Digital Signature");
	assert_sh("openssl asn1parse -in device.pem -strparse $(openssl asn1parse -in device.pem | "
		  "awk -F: '/Subject Alternative Name/ { getline; print $1 + 0 }')");
	assert_said("1.3.6.1.5.5.7.8.4");
	assert_said("2.23.133.1.2");
	assert_said("A-0042");
	rig_release(&device);
}

static void a_broker_certificate_has_its_names_and_addresses(void **state)
{
	static const char *const names[] = { "broker.example", "127.0.0.1", "::1", NULL };
	struct crypto_issue how;
	struct rig broker = { NULL, NULL };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&broker.key, &e), 0);
	how = issue_of(CRYPTO_BROKER, broker.key, &mid);
	how.names.cn = "broker";
	how.dns = names;
	assert_int_equal(crypto_cert_issue(&how, &broker.cert, &e), 0);
	put_cert("broker.pem", broker.cert);
	put_lists(NULL);
	assert_sh(VERIFY "-purpose sslserver -verify_hostname broker.example broker.pem");
	assert_sh(VERIFY "-verify_ip 127.0.0.1 broker.pem");
	assert_true(sh(VERIFY "-purpose sslclient broker.pem") != 0);
	rig_release(&broker);
}

static void an_intermediate_makes_no_other(void **state)
{
	struct crypto_issue how;
	struct rig sub = { NULL, NULL }, leaf = { NULL, NULL };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&sub.key, &e), 0);
	how = issue_of(CRYPTO_INTERMEDIATE, sub.key, &mid);
	how.names.cn = "too deep";
	assert_int_equal(crypto_cert_issue(&how, &sub.cert, &e), 0);
	assert_int_equal(crypto_key_new(&leaf.key, &e), 0);
	how = issue_of(CRYPTO_LDEVID, leaf.key, &sub);
	how.names.cn = "leaf";
	assert_int_equal(crypto_cert_issue(&how, &leaf.cert, &e), 0);
	put_cert("sub.pem", sub.cert);
	put_cert("leaf.pem", leaf.cert);
	assert_true(sh("openssl verify -attime 1790000000 -CAfile root.pem -untrusted mid.pem -untrusted sub.pem "
		       "leaf.pem") != 0);
	assert_said("path length constraint exceeded");
	rig_release(&sub);
	rig_release(&leaf);
}

static void only_the_ca_itself_issues(void **state)
{
	struct crypto_issue how = issue_of(CRYPTO_LDEVID, mid.key, &mid);
	auto_crypto_cert struct crypto_cert *c = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_revoked entry = { .number = "12z4" };
	struct err e = { 0 };

	(void)state;
	how.names.cn = "x";
	how.issuer_key = root.key;
	assert_int_equal(crypto_cert_issue(&how, &c, &e), -1);
	assert_string_equal(e.text, "the CA's key is not that of its certificate");
	how.issuer_key = mid.key;
	how.not_after_us = how.not_before_us;
	assert_int_equal(crypto_cert_issue(&how, &c, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(crypto_crl_make(mid.cert, root.key, 1, 0, DAY_US, NULL, 0, &pem, &e), -1);
	assert_string_equal(e.text, "the CA's key is not that of its certificate");
	assert_int_equal(crypto_crl_make(mid.cert, mid.key, 1, 0, DAY_US, &entry, 1, &pem, &e), -1);
	assert_string_equal(e.text, "'12z4' is no certificate's number");
	entry = (struct crypto_revoked){ .number = "1234", .reason = 7 };
	assert_int_equal(crypto_crl_make(mid.cert, mid.key, 1, 0, DAY_US, &entry, 1, &pem, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(pem.len, 0);
}

/* ---- envelopes ---- */

static void make_recovery(void)
{
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	for (size_t i = 0; i < COUNT_OF(recovery); i++) {
		auto_free char *path = xasprintf("%s/rec%zu.key", folder, i);
		auto_free char *cert = xasprintf("%s/rec%zu.pem", folder, i);
		const char *kind = i ? "rsa:2048" : "ec -pkeyopt ec_paramgen_curve:P-256";
		auto_free char *line = xasprintf("openssl req -x509 -newkey %s -nodes -keyout rec%zu.key "
						 "-out rec%zu.pem -subj /CN=recovery && chmod 600 rec%zu.key",
						 kind, i, i, i);

		assert_sh(line);
		assert_int_equal(crypto_key_read(path, NULL, &recovery_key[i], &e), 0);
		buf_clear(&pem);
		assert_int_equal(file_read(cert, 100000, &pem, &e), 0);
		assert_int_equal(crypto_cert_from_pem(pem.data, &recovery[i], &e), 0);
	}
}

static void an_envelope_opens_for_its_key_alone(void **state)
{
	struct err e = { 0 };

	(void)state;
	make_recovery();
	for (size_t i = 0; i < COUNT_OF(recovery); i++) {
		auto_buf struct buf pem = BUF_INIT, out = BUF_INIT;
		auto_free char *line = xasprintf("openssl cms -decrypt -inform PEM -in escrow.pem "
						 "-inkey rec%zu.key -recip rec%zu.pem", i, i);

		assert_int_equal(crypto_envelope(recovery[i], "owner\0secret\n", 13, &pem, &e), 0);
		assert_true(str_starts(pem.data, "-----BEGIN CMS-----"));
		assert_int_equal(crypto_envelope_open(pem.data, recovery[i], recovery_key[i], &out, &e), 0);
		assert_int_equal(out.len, 13);
		assert_memory_equal(out.data, "owner\0secret\n", 13);
		assert_int_equal(crypto_envelope_open(pem.data, recovery[!i], recovery_key[!i], &out, &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
		assert_int_equal(crypto_envelope_open(pem.data, recovery[i], mid.key, &out, &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
		assert_int_equal(out.len, 13);
		buf_clear(&pem);
		assert_int_equal(crypto_envelope(recovery[i], "owner secret", 12, &pem, &e), 0);
		put("escrow.pem", pem.data, pem.len);
		assert_sh(line);
		assert_said("owner secret");
	}
}

static void a_changed_envelope_is_refused(void **state)
{
	auto_free char *path = xasprintf("%s/cbc.pem", folder);
	auto_buf struct buf pem = BUF_INIT, out = BUF_INIT;
	struct err e = { 0 };
	char *at;

	(void)state;
	assert_int_equal(crypto_envelope(recovery[0], "owner secret", 12, &pem, &e), 0);
	at = strstr(pem.data, "\n-----END"); /* the tag is at the end */
	at[-6] = at[-6] == 'A' ? 'B' : 'A';
	assert_int_equal(crypto_envelope_open(pem.data, recovery[0], recovery_key[0], &out, &e), -1);
	assert_int_equal(out.len, 0);
	put("plain", "x", 1);
	assert_sh("openssl cms -encrypt -binary -aes256 -outform PEM -in plain -out cbc.pem rec0.pem");
	buf_clear(&pem);
	assert_int_equal(file_read(path, 100000, &pem, &e), 0);
	assert_int_equal(crypto_envelope_open(pem.data, recovery[0], recovery_key[0], &out, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(crypto_envelope_open("what?", recovery[0], recovery_key[0], &out, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

/* ---- seals ---- */

static void what_is_sealed_comes_back_under_its_key_and_name_alone(void **state)
{
	uint8_t key[32] = { 1 }, other[32] = { 2 };
	auto_buf struct buf sealed = BUF_INIT, again = BUF_INIT, out = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_seal(key, "secrets", "owner", 5, &sealed, &e), 0);
	assert_int_equal(crypto_seal(key, "secrets", "owner", 5, &again, &e), 0);
	assert_int_equal(sealed.len, 12 + 12 + 5 + 16);
	assert_memory_equal(sealed.data, "psec-sealed\1", 12);
	assert_true(memcmp(sealed.data, again.data, sealed.len) != 0);
	assert_int_equal(crypto_unseal(key, "secrets", sealed.data, sealed.len, &out, &e), 0);
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.data, "owner", 5);
	assert_int_equal(crypto_unseal(other, "secrets", sealed.data, sealed.len, &out, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(crypto_unseal(key, "secret", sealed.data, sealed.len, &out, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 0x10;
		assert_int_equal(crypto_unseal(key, "secrets", sealed.data, sealed.len, &out, &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
		sealed.data[i] ^= 0x10;
		assert_int_equal(crypto_unseal(key, "secrets", sealed.data, i, &out, &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
	}
	assert_int_equal(out.len, 5);
}

static void nothing_can_be_sealed_too(void **state)
{
	uint8_t key[32] = { 1 };
	auto_buf struct buf sealed = BUF_INIT, out = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_seal(key, "", NULL, 0, &sealed, &e), 0);
	assert_int_equal(crypto_unseal(key, "", sealed.data, sealed.len, &out, &e), 0);
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_one_that_others_understand),
		cmocka_unit_test(a_request_is_signed_by_the_key_that_it_names),
		cmocka_unit_test(names_that_no_certificate_takes_are_refused),
		cmocka_unit_test(a_site_certificate_is_good_until_it_is_revoked),
		cmocka_unit_test(a_device_certificate_names_its_hardware_and_never_ends),
		cmocka_unit_test(a_broker_certificate_has_its_names_and_addresses),
		cmocka_unit_test(an_intermediate_makes_no_other),
		cmocka_unit_test(only_the_ca_itself_issues),
		cmocka_unit_test(an_envelope_opens_for_its_key_alone),
		cmocka_unit_test(a_changed_envelope_is_refused),
		cmocka_unit_test(what_is_sealed_comes_back_under_its_key_and_name_alone),
		cmocka_unit_test(nothing_can_be_sealed_too),
	};

	return cmocka_run_group_tests(tests, build, drop);
}
