/* Digests, text, keys, signatures, TPM keys in PEM, credentials. Certificates are in test_crypto_cert.c and its neighbours. */
#include "unit.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/crypto.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/crypto-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/key", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void digests_are_those_of_the_standards(void **state)
{
	uint8_t out[CRYPTO_HASH];
	char hex[CRYPTO_HEX];

	(void)state;
	crypto_sha256("abc", 3, out); /* FIPS 180-2, B.1 */
	assert_string_equal(crypto_hex(out, sizeof out, hex, sizeof hex),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha256(NULL, 0, out);
	assert_string_equal(crypto_hex(out, sizeof out, hex, sizeof hex),
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out); /* RFC 4231, case 2 */
	assert_string_equal(crypto_hex(out, sizeof out, hex, sizeof hex),
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void hex_stops_where_the_room_ends(void **state)
{
	char to[6];

	(void)state;
	assert_string_equal(crypto_hex("\x01\xab\xff", 3, to, sizeof to), "01ab");
	assert_string_equal(crypto_hex("\x01\xab\xff", 3, to, 1), "");
}

static void a_secret_in_hex_is_of_its_length_whatever_follows(void **state)
{
	struct secret s = { "old", 3 };
	char longest[2 * sizeof s.data + 1];

	(void)state;
	assert_true(secret_from_hex(&s, "00abff77 and more", 3));
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.data, "\x00\xab\xff\x00", 4);
	assert_false(secret_from_hex(&s, "00abf", 3));
	assert_false(secret_from_hex(&s, "00abfg", 3));
	assert_false(secret_from_hex(&s, "00ABFF", 3));
	assert_int_equal(s.len, 0);
	assert_int_equal(s.data[1], 0);
	memset(longest, '1', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_true(secret_from_hex(&s, longest, sizeof s.data));
	assert_false(secret_from_hex(&s, longest, sizeof s.data + 1));
}

static void base64_comes_back_as_it_went(void **state)
{
	uint8_t in[100], out[100];
	struct err e = { 0 };
	size_t n;

	(void)state;
	assert_int_equal(crypto_random(in, sizeof in, &e), 0);
	for (size_t len = 0; len <= sizeof in; len++) {
		auto_buf struct buf text = BUF_INIT;

		assert_int_equal(crypto_base64(in, len, &text, &e), 0);
		assert_int_equal(crypto_unbase64(text.data, out, len, &n, &e), 0);
		assert_int_equal(n, len);
		assert_memory_equal(in, out, len);
	}
}

static void base64_is_taken_only_as_it_is_written(void **state)
{
	static const char *const bad[] = { "A", "AB", "ABC", "AB=C", "A===", "====", "QUI=\n", " QUI=", "QUJD\n",
					   "QR==", "QUJ=", "QU-D", "QUJDQ===", "Q=I=" };
	uint8_t out[16];
	struct err e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(crypto_unbase64(bad[i], out, sizeof out, &n, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	assert_int_equal(crypto_unbase64("QUJD", out, 2, &n, &e), -1);
	assert_non_null(strstr(e.text, "3 bytes of base64 are more than 2"));
	assert_int_equal(crypto_unbase64("QUJD", out, 3, &n, &e), 0);
}

static void a_key_comes_back_from_its_file_only_with_its_passphrase(void **state)
{
	auto_secret struct secret pass = { "correct horse", 13 }, wrong = { "correct house", 13 };
	auto_crypto_key struct crypto_key *k = NULL, *again = NULL;
	struct err e = { 0 };
	struct stat st;
	auto_buf struct buf text = BUF_INIT;

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_key_write(k, path, &pass, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_read(path, 10000, &text, &e), 0);
	assert_true(str_starts(text.data, "-----BEGIN ENCRYPTED PRIVATE KEY-----"));
	assert_int_equal(crypto_key_read(path, &wrong, &again, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "the passphrase does not open"));
	assert_int_equal(crypto_key_read(path, NULL, &again, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "none was given"));
	assert_int_equal(crypto_key_read(path, &pass, &again, &e), 0);
	assert_true(crypto_key_same(k, again));
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	auto_crypto_key struct crypto_key *k = NULL, *again = NULL;
	auto_secret struct secret pass = { "correct horse", 13 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_key_write(k, path, NULL, &e), 0);
	assert_int_equal(crypto_key_read(path, &pass, &again, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "lies open"));
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(crypto_key_read(path, NULL, &again, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "others may read"));
	assert_int_equal(crypto_key_write(k, path, NULL, &e), -1); /* nor does a new one take that mode over */
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "chmod 600 it"));
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(crypto_key_read(path, NULL, &again, &e), 0);
	assert_int_equal(truncate(path, 100), 0);
	crypto_key_free(take(again));
	assert_int_equal(crypto_key_read(path, NULL, &again, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(crypto_key_read(path, NULL, &again, &e), -1); /* nobody writes: it is not waited for */
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "is no regular file"));
}

static void only_the_key_and_the_text_make_the_signature(void **state)
{
	auto_crypto_key struct crypto_key *k = NULL, *other = NULL, *public = NULL;
	auto_buf struct buf der = BUF_INIT, pem = BUF_INIT, again = BUF_INIT;
	uint8_t r[32], s[32];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_key_new(&other, &e), 0);
	assert_false(crypto_key_same(k, other));
	assert_int_equal(crypto_key_public_pem(k, &pem, &e), 0);
	assert_int_equal(crypto_key_from_pem(pem.data, &public, &e), 0);
	assert_int_equal(crypto_sign(k, "text", 4, &der, &e), 0);
	assert_int_equal(crypto_verify(public, "text", 4, der.data, der.len, &e), 0);
	assert_int_equal(crypto_verify(public, "tex", 3, der.data, der.len, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(crypto_verify(other, "text", 4, der.data, der.len, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(crypto_sign(public, "text", 4, &again, &e), -1);
	assert_int_equal(crypto_sig_raw(der.data, der.len, r, s, &e), 0);
	assert_int_equal(crypto_sig_der(r, s, &again, &e), 0);
	assert_int_equal(again.len, der.len);
	assert_memory_equal(again.data, der.data, der.len);
	assert_int_equal(crypto_sig_raw(der.data, der.len - 1, r, s, &e), -1);
	buf_add(&der, "", 1);
	assert_int_equal(crypto_sig_raw(der.data, der.len, r, s, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

static void a_public_key_in_der_is_the_whole_of_it(void **state)
{
	/* RFC 5480: id-ecPublicKey on secp256r1, then the point. */
	uint8_t der[27 + 64 + 1] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
				     0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };
	auto_crypto_key struct crypto_key *k = NULL, *again = NULL;
	const size_t len = sizeof der - 1;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_key_point(k, der + 27, der + 27 + 32, &e), 0);
	assert_int_equal(crypto_key_from_der(der, len, &again, &e), 0);
	assert_true(crypto_key_same(k, again));
	crypto_key_free(take(again));
	assert_int_equal(crypto_key_from_der(der, len + 1, &again, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(crypto_key_from_der(der, len - 1, &again, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	der[len - 1] ^= 1; /* not on the curve */
	assert_int_equal(crypto_key_from_der(der, len, &again, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_null(again);
}

static void a_point_is_a_key_only_on_the_curve(void **state)
{
	auto_crypto_key struct crypto_key *k = NULL, *again = NULL;
	uint8_t x[32], y[32];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&k, &e), 0);
	assert_int_equal(crypto_key_point(k, x, y, &e), 0);
	assert_int_equal(crypto_key_from_point(x, y, &again, &e), 0);
	assert_true(crypto_key_same(k, again));
	crypto_key_free(take(again));
	y[31] ^= 1;
	assert_int_equal(crypto_key_from_point(x, y, &again, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

static struct crypto_tss2 sample(void)
{
	struct crypto_tss2 k = { .parent = 0x81000001, .empty_auth = true, .pub = { 0, 3, 1, 2, 3 }, .pub_len = 5,
				 .priv = { 0, 2, 9, 8 }, .priv_len = 4 };

	return k;
}

static void a_tpm_key_comes_back_from_its_pem(void **state)
{
	struct crypto_tss2 k = sample(), again;
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_tss2_write(&k, &pem, &e), 0);
	assert_true(str_starts(pem.data, "-----BEGIN TSS2 PRIVATE KEY-----\n"));
	assert_int_equal(crypto_tss2_read(pem.data, &again, &e), 0);
	assert_memory_equal(&again, &k, sizeof k);
	k.empty_auth = false;
	buf_clear(&pem);
	assert_int_equal(crypto_tss2_write(&k, &pem, &e), 0);
	assert_int_equal(crypto_tss2_read(pem.data, &again, &e), 0);
	assert_memory_equal(&again, &k, sizeof k);
}

static void a_tpm_key_whose_parts_lie_about_their_size_is_refused(void **state)
{
	struct crypto_tss2 k = sample(), again;
	auto_buf struct buf pem = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	k.priv[1] = 3;
	assert_int_equal(crypto_tss2_write(&k, &pem, &e), 0);
	assert_int_equal(crypto_tss2_read(pem.data, &again, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "not as long as it says"));
	assert_int_equal(crypto_tss2_read("-----BEGIN X-----\nAAAA\n-----END X-----\n", &again, &e), -1);
	assert_non_null(strstr(e.text, "that is no \"TSS2 PRIVATE KEY\""));
}

static void a_credential_has_the_sizes_that_the_tpm_expects(void **state)
{
	auto_buf struct buf credential = BUF_INIT, secret = BUF_INIT, more = BUF_INIT;
	auto_crypto_key struct crypto_key *ek = NULL;
	uint8_t name[34] = { 0, 11 }, value[32] = "a secret of the CA";
	struct err e = { 0 };

	(void)state;
	assert_int_equal(crypto_key_new(&ek, &e), 0);
	assert_int_equal(crypto_make_credential(ek, name, sizeof name, value, 32, &credential, &secret, &e), 0);
	assert_int_equal(credential.len, 2 + 2 + 32 + 2 + 32);
	assert_memory_equal(credential.data, "\0\x44\0\x20", 4);
	assert_int_equal(secret.len, 2 + 2 * (2 + 32));
	assert_memory_equal(secret.data, "\0\x44\0\x20", 4);
	assert_int_equal(crypto_make_credential(ek, name, sizeof name, value, 33, &more, &more, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(crypto_make_credential(ek, name, 0, value, 32, &more, &more, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_those_of_the_standards),
		cmocka_unit_test(hex_stops_where_the_room_ends),
		cmocka_unit_test(a_secret_in_hex_is_of_its_length_whatever_follows),
		cmocka_unit_test(base64_comes_back_as_it_went),
		cmocka_unit_test(base64_is_taken_only_as_it_is_written),
		cmocka_unit_test(a_key_comes_back_from_its_file_only_with_its_passphrase),
		cmocka_unit_test(a_key_that_others_can_read_is_refused),
		cmocka_unit_test(only_the_key_and_the_text_make_the_signature),
		cmocka_unit_test(a_public_key_in_der_is_the_whole_of_it),
		cmocka_unit_test(a_point_is_a_key_only_on_the_curve),
		cmocka_unit_test(a_tpm_key_comes_back_from_its_pem),
		cmocka_unit_test(a_tpm_key_whose_parts_lie_about_their_size_is_refused),
		cmocka_unit_test(a_credential_has_the_sizes_that_the_tpm_expects),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
