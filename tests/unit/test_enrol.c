/* enrol: each document out and in again; what is odd is refused and named. */
#include <string.h>

#include "enrol/enrol.h"
#include "unit.h"

#define CERT "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
#define CSR "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"

static struct tpm_blob blob(uint8_t seed, size_t len)
{
	struct tpm_blob b = { .len = len };

	for (size_t i = 0; i < len; i++)
		b.data[i] = (uint8_t)(seed + i);
	return b;
}

static struct enrol_request request_of(enum enrol_profile profile)
{
	struct enrol_request r = {
		.profile = profile, .serial = "A1-000007", .created_us = INT64_C(1790000000000000),
		.ek_certificate = (char *)CERT, .ek_chain = { (char *)CERT, (char *)CERT }, .ek_chain_count = 2,
		.iak = blob(1, 90), .key = blob(2, 90), .certify = blob(3, 150), .signature = blob(4, 72),
		.csr = (char *)CSR,
	};

	if (profile == ENROL_LDEVID)
		str_copy(r.site, sizeof r.site, "hof-7");
	return r;
}

static void same_blob(const struct tpm_blob *a, const struct tpm_blob *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

static void a_request_comes_back_as_it_was(void **state)
{
	(void)state;
	for (int p = ENROL_IDEVID; p <= ENROL_LDEVID; p++) {
		struct enrol_request r = request_of((enum enrol_profile)p), back;
		auto_buf struct buf text = BUF_INIT;
		enum enrol_kind kind;
		struct err e;

		assert_int_equal(enrol_request_write(&r, &text, &e), 0);
		assert_int_equal(enrol_kind(text.data, &kind, &e), 0);
		assert_int_equal(kind, ENROL_REQUEST);
		assert_int_equal(enrol_request_read(text.data, &back, &e), 0);
		assert_int_equal(back.profile, p);
		assert_string_equal(back.serial, r.serial);
		assert_string_equal(back.site, r.site);
		assert_int_equal(back.created_us, r.created_us);
		assert_int_equal(back.ek_chain_count, 2);
		assert_string_equal(back.ek_certificate, CERT);
		assert_string_equal(back.csr, CSR);
		same_blob(&back.iak, &r.iak);
		same_blob(&back.key, &r.key);
		same_blob(&back.certify, &r.certify);
		same_blob(&back.signature, &r.signature);
		enrol_request_release(&back);
	}
}

/* The request with one text put in the place of another is refused, and the refusal has these words. */
static void refused(const char *from, const char *to, const char *words)
{
	struct enrol_request r = request_of(ENROL_LDEVID), back;
	auto_buf struct buf text = BUF_INIT, odd = BUF_INIT;
	const char *at;
	struct err e = { 0 };

	assert_int_equal(enrol_request_write(&r, &text, &e), 0);
	at = strstr(text.data, from);
	assert_non_null(at);
	buf_add(&odd, text.data, (size_t)(at - text.data));
	buf_adds(&odd, to);
	buf_adds(&odd, at + strlen(from));
	assert_int_equal(enrol_request_read(odd.data, &back, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	if (!strstr(e.text, words))
		fail_msg("'%s' says '%s', not '%s'", to, e.text, words);
}

static void what_is_odd_in_a_request_is_named(void **state)
{
	(void)state;
	refused("\"serial\": \"A1-000007\"", "\"serial\": \"a/b\"", "serial must be");
	refused("\"serial\": \"A1-000007\"", "\"serial\": \"\"", "serial must be");
	refused("\"serial\": \"A1-000007\"", "\"serial\": 7", "serial is missing or no text");
	refused("\"serial\": \"A1-000007\"", "\"serial\": \"a\\u0000b\"", "no JSON");
	refused("\"serial\"", "\"seriel\"", "seriel is not a key");
	refused("\"serial\"", "\"\": 1, \"serial\"", "'' is not a key");
	refused("\"serial\"", "\"psec version\": 1, \"serial\"", "psec version is not a key");
	refused("\"serial\"", "\"seri\": 1, \"serial\"", "seri is not a key");
	refused("\"serial\"", "\"site\": \"x\", \"serial\"", "no JSON"); /* twice */
	refused("\"site\": \"hof-7\"", "\"site\": \"Hof\"", "site must be");
	refused("\"site\": \"hof-7\"", "\"site\": \"a+b\"", "site must be");
	refused("\"site\": \"hof-7\"", "\"site\": \"abcdefghijklmnopqrstuvwxyz-012345\"", "site must be");
	refused("\"profile\": \"ldevid\"", "\"profile\": \"idevid\"", "site belongs to profile ldevid");
	refused("\"profile\": \"ldevid\"", "\"profile\": \"both\"", "profile must be idevid or ldevid");
	refused("\"version\": 1", "\"version\": 2", "version 2");
	refused("\"version\": 1", "\"version\": \"1\"", "version is missing or no number");
	refused("\"psec\": \"request\"", "\"psec\": \"answer\"", "this is the answer, wanted is the request");
	refused("\"psec\": \"request\"", "\"psec\": \"demand\"", "psec is 'demand'");
	refused("\"created\": \"20", "\"created\": \"", "created must be a time");
	refused("\"csr\": \"-----BEGIN CERT", "\"csr\": \" -----BEGIN CERT", "key.csr must be PEM");
	refused("\"certify\": \"", "\"certify\": \"*", "key.certify must be base64");
	refused("\"certificate\": \"-----BEGIN", "\"certificate\": \"-----BEGIN X\\n-----BEGIN", "ek.certificate must be PEM");
	refused("\"chain\": [", "\"chain\": [ 1,", "ek.chain must be PEM");
	refused("\"ek\": {", "\"ek\": 7, \"k\": {", "k is not a key");
	refused("\"serial\"", "\"\": 1, \"serial\"", "is not a key");
	refused("\"serial\"", "\"psec version\": 1, \"serial\"", "psec version is not a key");
	refused("\"serial\"", "\"seria\"", "seria is not a key");
	refused("{", "[ {", "no JSON object");
	refused("\"public\": \"", "\"private\": \"x\", \"public\": \"", "iak.private is not a key");
	refused("\"iak\": {", "\"iak\": [ {} ], \"key\": {", "no JSON"); /* key twice */
}

static void a_document_has_at_most_64_kib(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	enum enrol_kind kind;
	struct err e = { 0 };

	(void)state;
	buf_adds(&b, "{\"psec\":\"request\",\"version\":1}");
	while (b.len < ENROL_MAX)
		buf_adds(&b, " ");
	assert_int_equal(enrol_kind(b.data, &kind, &e), 0);
	buf_adds(&b, " ");
	assert_int_equal(enrol_kind(b.data, &kind, &e), -1);
	assert_non_null(strstr(e.text, "more than 65536 bytes"));
}

static void the_other_documents_come_back_as_they_were(void **state)
{
	struct enrol_challenge c = { .serial = "B2", .credential = blob(9, 60), .secret = blob(8, 258),
				     .expires_us = INT64_C(1790000000000000) }, c2;
	struct enrol_answer a = { .serial = "B2" }, a2;
	struct enrol_certificate d = { .serial = "B2", .profile = ENROL_IDEVID, .chain = (char *)CERT CERT,
				       .iak = (char *)CERT, .trust = { (char *)CERT }, .trust_count = 1 }, d2;
	auto_buf struct buf text = BUF_INIT;
	struct err e;

	(void)state;
	enrol_hash("the request", c.request);
	str_copy(a.request, sizeof a.request, c.request);
	str_copy(d.request, sizeof d.request, c.request);
	memset(a.proof, 0xa5, sizeof a.proof);
	assert_int_equal(enrol_challenge_write(&c, &text, &e), 0);
	assert_int_equal(enrol_challenge_read(text.data, &c2, &e), 0);
	assert_string_equal(c2.request, c.request);
	same_blob(&c2.credential, &c.credential);
	same_blob(&c2.secret, &c.secret);
	assert_int_equal(c2.expires_us, c.expires_us);
	assert_int_equal(enrol_answer_write(&a, &text, &e), 0);
	assert_int_equal(enrol_answer_read(text.data, &a2, &e), 0);
	assert_memory_equal(&a, &a2, sizeof a);
	assert_int_equal(enrol_certificate_write(&d, &text, &e), 0);
	assert_int_equal(enrol_certificate_read(text.data, &d2, &e), 0);
	assert_string_equal(d2.chain, d.chain);
	assert_string_equal(d2.iak, d.iak);
	assert_int_equal(d2.trust_count, 1);
	enrol_certificate_release(&d2);
}

static void a_policy_comes_back_and_has_a_pcr_once(void **state)
{
	struct enrol_policy p = { .slot = 63, .serial = "B2", .pcrs = { .mask = 1U << 7 | 1U << 23 }, .signature_len = 71 }, q;
	static const char two_ways[] = "{\"psec\":\"policy\",\"version\":1,\"slot\":0,\"pcrs\":{\"07\":\"%064d\"},"
				       "\"digest\":\"%064d\"}";
	auto_buf struct buf text = BUF_INIT;
	struct err e;

	(void)state;
	memset(p.pcrs.value[7], 7, CRYPTO_HASH);
	memset(p.digest, 0xee, sizeof p.digest);
	memset(p.signature, 0x30, p.signature_len);
	assert_int_equal(enrol_policy_write(&p, &text, &e), 0);
	assert_int_equal(enrol_policy_read(text.data, &q, &e), 0);
	assert_memory_equal(&p, &q, sizeof p);
	buf_clear(&text);
	buf_addf(&text, two_ways, 0, 0);
	assert_int_equal(enrol_policy_read(text.data, &q, &e), -1);
	assert_non_null(strstr(e.text, "PCR numbers"));
}

#define HANDOVER "{\"at\":\"2026-10-01T12:00:00.000Z\",\"certificate\":\"0A1b\",\"from\":\"A1\",\"psec\":\"hand-over\"," \
		 "%s\"site\":\"hof-7\",\"to\":\"B2\",\"version\":1}"

static void a_hand_over_is_one_line_and_what_is_signed_is_that_without_the_signature(void **state)
{
	static const char *const odd[][2] = {
		{ "\"A1\"", "from must be 1 to 64" }, { "\"B2\"", "to must be 1 to 64" }, { "\"hof-7\"", "site must be a site's id" },
		{ "\"0A1b\"", "certificate must be a certificate's number" }, { "\"2026", "at must be a time" },
		{ "\"psec", "no text psec" }, { "\"MAA=\"", "signature must be base64" }, { "\"from\"", "is not a key" },
	};
	auto_buf struct buf text = BUF_INIT, words = BUF_INIT, again = BUF_INIT;
	struct enrol_handover h;
	struct err e;

	(void)state;
	buf_addf(&text, HANDOVER "\n", "\"signature\":\"MAA=\",");
	assert_int_equal(enrol_handover_read(text.data, &h, &e), 0);
	assert_string_equal(h.from, "A1");
	assert_string_equal(h.to, "B2");
	assert_int_equal(h.signature_len, 2);
	assert_int_equal(enrol_handover_write(&h, &again, &e), 0);
	assert_string_equal(again.data, text.data);
	buf_addf(&words, HANDOVER, "");
	enrol_handover_words(&h, &again);
	assert_memory_equal(again.data, "psec-hand-over", 15);
	assert_string_equal(again.data + 15, words.data);
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		auto_free char *copy = xstrdup(text.data);

		strstr(copy, odd[i][0])[1] = '*';
		assert_int_equal(enrol_handover_read(copy, &h, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		if (!strstr(e.text, odd[i][1]))
			fail_msg("%s says '%s'", odd[i][0], e.text);
	}
}

static void an_authority_is_one_public_key_or_some_and_nothing_else(void **state)
{
	struct enrol_authority a = { 0 };
	struct crypto_key *key[ENROL_CHAIN + 1] = { NULL };
	auto_buf struct buf text = BUF_INIT, one = BUF_INIT;
	struct err e;

	(void)state;
	assert_int_equal(enrol_authority_read("words", &a, &e), -1);
	assert_non_null(strstr(e.text, "there is no public key in PEM; a CA's is its policy.pem"));
	assert_int_equal(enrol_authority_read(CERT, &a, &e), -1);
	assert_int_equal(enrol_authority_read("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", &a, &e), -1);
	assert_non_null(strstr(e.text, "public key 1"));
	for (size_t i = 0; i < COUNT_OF(key); i++) {
		buf_clear(&one);
		assert_int_equal(crypto_key_new(&key[i], &e), 0);
		assert_int_equal(crypto_key_public_pem(key[i], &one, &e), 0);
		buf_adds(&text, one.data);
		if (i == ENROL_CHAIN)
			break;
		assert_int_equal(enrol_authority_read(text.data, &a, &e), 0);
		assert_int_equal(a.count, i + 1);
		assert_true(crypto_key_same(a.key[i], key[i]));
		enrol_authority_release(&a);
	}
	assert_int_equal(enrol_authority_read(text.data, &a, &e), -1);
	assert_non_null(strstr(e.text, "more than 8 public keys"));
	for (size_t i = 0; i < COUNT_OF(key); i++)
		crypto_key_free(key[i]);
}

static void proof_and_nonce_are_what_the_manual_says(void **state)
{
	/* openssl dgst -sha256 and -mac HMAC over the same bytes */
	static const char nonce_words[] = "psec-certify\0ldevid\0A1\0hof\0";
	uint8_t nonce[CRYPTO_HASH], want[CRYPTO_HASH], proof[CRYPTO_HASH];
	struct secret value = { .len = 32 };
	char hash[CRYPTO_HEX], words[12 + CRYPTO_HEX - 1];

	(void)state;
	enrol_nonce(ENROL_LDEVID, "A1", "hof", nonce);
	crypto_sha256(nonce_words, sizeof nonce_words - 1, want);
	assert_memory_equal(nonce, want, sizeof want);
	enrol_hash("x", hash);
	assert_string_equal(hash, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
	memset(value.data, 3, value.len);
	memcpy(words, "psec-answer", 12);
	memcpy(words + 12, hash, CRYPTO_HEX - 1);
	crypto_hmac_sha256(value.data, value.len, words, sizeof words, want);
	enrol_proof(&value, hash, proof);
	assert_memory_equal(proof, want, sizeof want);
}

static void names_keep_to_their_letters(void **state)
{
	static const char *const bad_serials[] = { "", "a b", "a/b", "a+b", "a#", "ä", "\n", ".", "..", ".a", "-a", "--ca",
		"a234567890123456789012345678901234567890123456789012345678901234x" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad_serials); i++)
		assert_false(enrol_serial_ok(bad_serials[i]));
	assert_true(enrol_serial_ok("a2345678901234567890123456789012345678901234567890123456789012.4"));
	assert_true(enrol_serial_ok("A_1.b-2"));
	assert_true(enrol_site_ok("hof-7"));
	assert_false(enrol_site_ok("hof_7"));
	assert_false(enrol_site_ok("-hof"));
	assert_false(enrol_site_ok(""));
}

static void certificates_of_a_text_come_one_by_one(void **state)
{
	const char *at = "words\n" CERT "between" CERT;
	auto_buf struct buf one = BUF_INIT;

	(void)state;
	assert_true(enrol_pem_next(&at, &one));
	assert_string_equal(one.data, CERT);
	assert_true(enrol_pem_next(&at, &one));
	assert_false(enrol_pem_next(&at, &one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_comes_back_as_it_was),
		cmocka_unit_test(what_is_odd_in_a_request_is_named),
		cmocka_unit_test(a_document_has_at_most_64_kib),
		cmocka_unit_test(the_other_documents_come_back_as_they_were),
		cmocka_unit_test(a_policy_comes_back_and_has_a_pcr_once),
		cmocka_unit_test(a_hand_over_is_one_line_and_what_is_signed_is_that_without_the_signature),
		cmocka_unit_test(an_authority_is_one_public_key_or_some_and_nothing_else),
		cmocka_unit_test(proof_and_nonce_are_what_the_manual_says),
		cmocka_unit_test(names_keep_to_their_letters),
		cmocka_unit_test(certificates_of_a_text_come_one_by_one),
	};

	return cmocka_run_group_tests_name("enrol", tests, NULL, NULL);
}
