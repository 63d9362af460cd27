/* Any text as what comes from a TPM, a request document or a file of roots: it is refused, or can be used. */
#include <openssl/err.h>
#include <string.h>

#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

/* A certificate that was taken can be told, written, and read again as the same one. */
static void use(const struct crypto_cert *c)
{
	auto_crypto_cert struct crypto_cert *again = NULL;
	auto_crypto_key struct crypto_key *key = NULL;
	struct crypto_cert_facts a, b;
	auto_buf struct buf pem = BUF_INIT;
	struct err e;

	crypto_cert_facts(c, &a);
	expect(crypto_cert_pem(c, &pem, &e) == 0);
	expect(crypto_cert_from_pem(pem.data, &again, &e) == 0);
	crypto_cert_facts(again, &b);
	expect(str_eq(a.fingerprint, b.fingerprint) && str_eq(a.subject, b.subject));
	if (crypto_cert_key(c, &key, &e) == 0)
		expect(crypto_key_same(key, key));
}

/* Whatever the chain looks like, it is good or refused in words. */
static void judge(const struct crypto_cert *c, const struct crypto_bag *bag)
{
	const struct now now = { .utc_us = INT64_C(1790000000) * US_PER_S, .utc_valid = true };

	for (int use_as = CRYPTO_USE_EK; use_as <= CRYPTO_USE_SERVER; use_as++) {
		struct crypto_check how = { .roots = bag, .between = bag, .use = (enum crypto_use)use_as, .now = &now };
		struct err e = { 0 };
		bool time_checked;

		if (crypto_cert_check(c, &how, &time_checked, &e) < 0)
			expect(e.kind == ERR_REFUSED && *e.text);
	}
}

static void as_request(const char *text)
{
	auto_crypto_key struct crypto_key *k = NULL;
	char cn[65], serial_number[65];
	struct err e;

	if (crypto_request_read(text, &k, cn, serial_number, &e) == 0)
		expect(k && strlen(cn) < sizeof cn && strlen(serial_number) < sizeof serial_number);
	else
		expect(k == NULL);
}

static void as_bag(const char *text, const uint8_t *data, size_t size)
{
	auto_crypto_bag struct crypto_bag *bag = NULL;
	auto_crypto_cert struct crypto_cert *first = NULL;
	struct err e;
	int rc;

	expect(crypto_bag_new(&bag, &e) == 0);
	rc = crypto_bag_add_pem(bag, "fuzz", text, &e);
	if (rc == 0)
		expect(crypto_bag_certs(bag) + crypto_bag_crls(bag) > 0);
	if (crypto_bag_add_der(bag, data, size, &e) == 0)
		expect(crypto_bag_certs(bag) > 0);
	if (crypto_bag_cert(bag, 0, &first, &e) == 0) {
		use(first);
		judge(first, bag);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xcalloc(size + 1, 1);
	auto_crypto_cert struct crypto_cert *c = NULL;
	auto_crypto_key struct crypto_key *k = NULL;
	uint8_t r[32], s[32], out[64];
	struct crypto_tss2 t;
	struct err e;
	size_t n;

	memcpy(text, data, size);
	as_bag(text, data, size);
	as_request(text);
	if (crypto_cert_from_der(data, size, &c, &e) == 0)
		use(c);
	if (crypto_tss2_read(text, &t, &e) == 0 || crypto_tss2_der(data, size, &t, &e) == 0)
		expect(t.pub_len <= sizeof t.pub && t.priv_len <= sizeof t.priv && t.pub_len > 2);
	if (crypto_key_from_pem(text, &k, &e) == 0 || crypto_key_from_der(data, size, &k, &e) == 0)
		expect(crypto_key_same(k, k));
	if (crypto_unbase64(text, out, sizeof out, &n, &e) == 0)
		expect(n <= sizeof out);
	(void)!crypto_sig_raw(data, size, r, s, &e);
	expect(ERR_peek_error() == 0); /* nothing is left for who looks at the queue next */
	return 0;
}
