/* provision: what its files promise, without a TPM. The rest is tested with one: tests/system, tests/fault. */
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "provision/inside.h"
#include "unit.h"

static char folder[64];
static struct provision_how how = { .serial = "A1-7", .site = "hof-7" };
static struct err e;

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
	(void)s, (void)kind, (void)f;
	return remove(path);
}

static int begin(void **state)
{
	(void)state;
	str_copy(folder, sizeof folder, "/tmp/psec-provision-XXXXXX");
	assert_non_null(mkdtemp(folder));
	how.place.state = folder;
	assert_int_equal(place_make(&how, &e), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	crypto_cert_free((struct crypto_cert *)how.recovery);
	how.recovery = NULL;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void has(const char *name, const char *text)
{
	auto_buf struct buf b = BUF_INIT;
	bool there;

	assert_int_equal(place_read(&how, name, &b, &there, &e), 0);
	assert_int_equal(there, text != NULL);
	assert_string_equal(b.data, text ? text : "");
}

static void put(const char *key, const char *chain, const char *fingerprint)
{
	auto_buf struct buf b = BUF_INIT;

	buf_adds(&b, key);
	assert_int_equal(place_put_ldevid(&how, &b, chain, fingerprint, &e), 0);
}

static void a_certificate_is_due_at_two_thirds_of_its_life(void **state)
{
	(void)state;
	assert_int_equal(provision_due_us(300, 600), 500);
	assert_true(provision_due_us(0, INT64_MAX) == INT64_MAX);
}

static void key_and_certificate_are_always_of_one_pair(void **state)
{
	auto_free char *next = place_path(&how, "ldevid-2222222222222222");

	(void)state;
	has("ldevid.key", NULL);
	put("key 1", "chain 1", "11111111111111111111");
	has("ldevid.key", "key 1");
	has("ldevid.pem", "chain 1");
	assert_false(place_has_old_ldevid(&how));
	/* cut before the change: a pair that is half there is none */
	assert_int_equal(mkdir(next, 0700), 0);
	assert_int_equal(place_write(&how, "ldevid-2222222222222222/ldevid.key.0123abcd.new", "x", 1, &e), 0);
	has("ldevid.key", "key 1");
	has("ldevid.pem", "chain 1");
	put("key 2", "chain 2", "22222222222222222222");
	has("ldevid.key", "key 2");
	has("ldevid.pem", "chain 2");
	has("ldevid/ldevid.key.0123abcd.new", NULL);
	assert_true(place_has_old_ldevid(&how));
	assert_int_equal(place_drop_old_ldevids(&how, false, &e), 0);
	assert_false(place_has_old_ldevid(&how));
	has("ldevid.key", "key 2");
	assert_int_equal(place_drop_old_ldevids(&how, true, &e), 0);
	has("ldevid.key", NULL);
	has("ldevid.pem", NULL);
}

static void what_was_half_written_goes_and_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(place_write(&how, "trust.pem.0123abcd.new", "x", 1, &e), 0);
	assert_int_equal(place_write(&how, "policies/3.json.0123abcd.new", "x", 1, &e), 0);
	assert_int_equal(place_write(&how, "mine.new", "x", 1, &e), 0);
	assert_int_equal(place_drop_half_files(&how, &e), 0);
	has("trust.pem.0123abcd.new", NULL);
	has("policies/3.json.0123abcd.new", NULL);
	has("mine.new", "x");
}

static void one_call_at_a_time_works_on_a_place(void **state)
{
	auto_free char *path = place_path(&how, "");
	int one = -1, two = -1;

	(void)state;
	assert_int_equal(place_lock(&how, &one, &e), 0);
	assert_int_equal(place_lock(&how, &two, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	close(one);
	assert_int_equal(chmod(path, 0750), 0);
	assert_int_equal(place_lock(&how, &one, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
}

/* ---- secrets ---- */

static void make_recovery(void)
{
	struct crypto_key *key;
	struct crypto_cert *cert;
	struct crypto_issue issue = { .profile = CRYPTO_ROOT, .names.cn = "recovery", .number = { 1 }, .not_before_us = 1,
				      .not_after_us = INT64_MAX };

	assert_int_equal(crypto_key_new(&key, &e), 0);
	issue.subject_key = issue.issuer_key = key;
	if (crypto_cert_issue(&issue, &cert, &e))
		fail_msg("%s", e.text);
	crypto_key_free(key);
	how.recovery = cert;
}

static struct tpm_auths ensured(const struct secret *key, bool expect_made)
{
	const struct now now = { .utc_us = INT64_C(1790000000000000), .utc_valid = true };
	struct device d = { .how = &how, .now = &now };
	bool made;

	if (secrets_ensure(&d, key, &made, &e))
		fail_msg("%s", e.text);
	assert_int_equal(made, expect_made);
	return d.auths;
}

static void authorisations_are_made_once_and_escrowed_again_where_that_is_lost(void **state)
{
	struct secret key = { .len = 32, .data = { 1, 2, 3 } };
	struct tpm_auths first, again;
	bool escrowed;

	(void)state;
	make_recovery();
	first = ensured(&key, true);
	assert_int_equal(first.owner.len, 32);
	assert_memory_not_equal(first.owner.data, first.lockout.data, 32);
	again = ensured(&key, false);
	assert_memory_equal(&first, &again, sizeof first);
	/* cut between state/secrets and the escrow, or the escrow was lost */
	assert_int_equal(place_remove(&how, "escrow.pem", &e), 0);
	assert_int_equal(secrets_escrowed(&how, &key, &escrowed, &e), 0);
	assert_false(escrowed);
	again = ensured(&key, true);
	assert_memory_equal(&first, &again, sizeof first);
	assert_int_equal(secrets_escrowed(&how, &key, &escrowed, &e), 0);
	assert_true(escrowed);
	/* another recovery key: escrowed to that, the same ones */
	crypto_cert_free((struct crypto_cert *)how.recovery);
	make_recovery();
	again = ensured(&key, true);
	assert_memory_equal(&first, &again, sizeof first);
}

static void what_the_storage_key_keeps_opens_with_no_other(void **state)
{
	struct secret key = { .len = 32, .data = { 1, 2, 3 } };
	struct tpm_auths a;
	bool there;

	(void)state;
	make_recovery();
	(void)ensured(&key, true);
	key.data[31] = 1;
	assert_int_equal(secrets_auths(&how, &key, &a, &there, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
}

/* ---- trust ---- */

static void a_root_is_pinned_once(void **state)
{
	auto_buf struct buf root = BUF_INIT, first = BUF_INIT, again = BUF_INIT;
	struct crypto_bag *bag;

	(void)state;
	make_recovery();
	assert_int_equal(crypto_cert_pem(how.recovery, &root, &e), 0);
	assert_int_equal(chain_trust(&how, NULL, &first, &bag, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(chain_trust(&how, root.data, &first, &bag, &e), 0);
	crypto_bag_free(bag);
	assert_int_equal(place_write(&how, "trust.pem", first.data, first.len, &e), 0);
	how.trust = root.data;
	assert_int_equal(chain_trust(&how, root.data, &again, &bag, &e), 0);
	how.trust = NULL;
	assert_string_equal(first.data, again.data);
	crypto_bag_free(bag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_is_due_at_two_thirds_of_its_life),
		cmocka_unit_test_setup_teardown(key_and_certificate_are_always_of_one_pair, begin, end),
		cmocka_unit_test_setup_teardown(what_was_half_written_goes_and_nothing_else, begin, end),
		cmocka_unit_test_setup_teardown(one_call_at_a_time_works_on_a_place, begin, end),
		cmocka_unit_test_setup_teardown(authorisations_are_made_once_and_escrowed_again_where_that_is_lost, begin, end),
		cmocka_unit_test_setup_teardown(what_the_storage_key_keeps_opens_with_no_other, begin, end),
		cmocka_unit_test_setup_teardown(a_root_is_pinned_once, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
