/* A TPM as the maker left it: its certificates are believed, and what crypto_make_credential wraps for each kind of
 * endorsement key it opens, with tpm2-tools as the other side. */
#include "crypto/crypto.h"
#include "swtpm.h"

static struct swtpm chip;

static void run(const char *command)
{
	auto_free char *line = xasprintf("cd %s && export TPM2TOOLS_TCTI=%s TSS2_LOG=all+none && %s", chip.dir,
					 chip.tcti, command);
	auto_free char *said = xasprintf("%s/said", chip.dir);
	const char *const argv[] = { "sh", "-ec", line, NULL };
	auto_buf struct buf b = BUF_INIT;
	struct err e = { 0 };

	if (swtpm_run_program(chip.dir, argv) == 0)
		return;
	assert_int_equal(file_read(said, 100000, &b, &e), 0);
	fail_msg("%s: %s", command, b.data ? b.data : "");
}

static void get(const char *name, struct buf *b)
{
	auto_free char *path = xasprintf("%s/%s", chip.dir, name);
	struct err e = { 0 };

	assert_int_equal(file_read(path, 100000, b, &e), 0);
}

/* A key that a CA would want to know in the TPM: ak.ctx, ak.name. */
static int make(void **state)
{
	(void)state;
	swtpm_make(&chip);
	swtpm_start(&chip);
	run("tpm2_createprimary -Q -C o -G ecc256:ecdsa-sha256:null -c ak.ctx "
	    "-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign'; "
	    "tpm2_readpublic -Q -c ak.ctx -n ak.name; tpm2_flushcontext -t");
	return 0;
}

static int end(void **state)
{
	(void)state;
	swtpm_end(&chip);
	return 0;
}

/* The credential for ek.pem and the name, as the tools have it: their mark, version 1, then the two TPM2B. */
static void wrap(const uint8_t *value, size_t len, const struct buf *name)
{
	auto_free char *path = xasprintf("%s/blob", chip.dir);
	auto_buf struct buf pem = BUF_INIT, blob = BUF_INIT, secret = BUF_INIT;
	auto_crypto_key struct crypto_key *ek = NULL;
	struct err e = { 0 };

	get("ek.pem", &pem);
	assert_int_equal(crypto_key_from_pem(pem.data, &ek, &e), 0);
	buf_add(&blob, "\xba\xdc\xc0\xde\0\0\0\1", 8);
	if (crypto_make_credential(ek, (const uint8_t *)name->data, name->len, value, len, &blob, &secret, &e))
		fail_msg("%s", e.text);
	buf_add(&blob, secret.data, secret.len);
	assert_int_equal(file_replace(path, blob.data, blob.len, 0600, &e), 0);
}

static void opens(const char *prepare, const char *activate, size_t len)
{
	auto_buf struct buf name = BUF_INIT, out = BUF_INIT, said = BUF_INIT;
	auto_free char *refuse = xasprintf("! { %s; }", activate);
	uint8_t value[48];
	struct err e = { 0 };

	run(prepare);
	get("ak.name", &name);
	assert_int_equal(crypto_random(value, sizeof value, &e), 0);
	wrap(value, len, &name);
	run(activate);
	get("out", &out);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, value, len);
	name.data[10] ^= 1; /* another object's */
	wrap(value, len, &name);
	run(refuse);
	get("said", &said);
	assert_non_null(strstr(said.data, "integrity check failed"));
}

#define WITH_POLICY                                                                                                    \
	"tpm2_flushcontext -t; tpm2_flushcontext -l; rm -f out; "                                                      \
	"tpm2_startauthsession --policy-session -S s.ctx && tpm2_policysecret -Q -S s.ctx -c e && "                    \
	"tpm2_activatecredential -Q -c ak.ctx -C ek.ctx -i blob -o out -P session:s.ctx"

static void a_tpm_opens_what_is_for_its_rsa_endorsement_key(void **state)
{
	(void)state;
	opens("tpm2_createek -Q -G rsa -c ek.ctx -u ek.pem -f pem", WITH_POLICY, 32);
}

static void a_tpm_opens_what_is_for_its_p256_endorsement_key(void **state)
{
	(void)state;
	opens("tpm2_flushcontext -t; tpm2_createek -Q -G ecc -c ek.ctx -u ek.pem -f pem", WITH_POLICY, 32);
}

/* The maker's own, at its reserved handle (template H-3). */
static void a_tpm_opens_what_is_for_its_p384_endorsement_key(void **state)
{
	(void)state;
	opens("tpm2_flushcontext -t; tpm2_readpublic -Q -c 0x81010016 -f pem -o ek.pem",
	      "tpm2_flushcontext -t; rm -f out; tpm2_activatecredential -Q -c ak.ctx -C 0x81010016 -i blob -o out", 48);
}

/* ---- the certificates of its endorsement keys ---- */

static void add_file(struct crypto_bag *b, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", chip.dir, name);
	struct err e = { 0 };

	if (crypto_bag_read(b, path, &e))
		fail_msg("%s", e.text);
}

static void check_ek(const char *index, const struct crypto_bag *roots, const struct crypto_bag *between,
		     const char *why)
{
	auto_free char *read = xasprintf("tpm2_nvread -Q %s -o ek.der && printf '\\377\\377\\0\\0' >>ek.der", index);
	const struct now now = now_read();
	struct crypto_check how = { .roots = roots, .between = between, .use = CRYPTO_USE_EK, .now = &now };
	auto_crypto_cert struct crypto_cert *c = NULL;
	auto_buf struct buf der = BUF_INIT;
	struct crypto_cert_facts f;
	struct err e = { 0 };
	bool time_checked;
	int rc;

	run(read);
	get("ek.der", &der);
	assert_int_equal(crypto_cert_from_der(der.data, der.len, &c, &e), 0);
	crypto_cert_facts(c, &f);
	assert_true(f.not_after_us == INT64_MAX);
	rc = crypto_cert_check(c, &how, &time_checked, &e);
	assert_int_equal(rc, why ? -1 : 0);
	if (why && !strstr(e.text, why))
		fail_msg("%s", e.text);
}

static void the_chain_that_came_with_the_tpm_is_good_and_another_makers_root_is_not_its_root(void **state)
{
	auto_crypto_bag struct crypto_bag *roots = NULL, *others = NULL, *between = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_bag_new(&roots, &e), 0);
	assert_int_equal(crypto_bag_new(&others, &e), 0);
	assert_int_equal(crypto_bag_new(&between, &e), 0);
	run("openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other");
	add_file(roots, "swtpm-localca-rootca-cert.pem");
	add_file(others, "other.pem");
	add_file(between, "issuercert.pem");
	check_ek("0x01c00002", roots, between, NULL);
	check_ek("0x01c00016", roots, between, NULL);
	check_ek("0x01c00002", others, between, "is not signed by a given root: its issuer 'CN=swtpm-localca-rootca'");
	check_ek("0x01c00002", roots, others, "is not signed by a given root: its issuer 'CN=swtpm-localca'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_chain_that_came_with_the_tpm_is_good_and_another_makers_root_is_not_its_root),
		cmocka_unit_test(a_tpm_opens_what_is_for_its_rsa_endorsement_key),
		cmocka_unit_test(a_tpm_opens_what_is_for_its_p256_endorsement_key),
		cmocka_unit_test(a_tpm_opens_what_is_for_its_p384_endorsement_key),
	};

	return cmocka_run_group_tests(tests, make, end);
}
