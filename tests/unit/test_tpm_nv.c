/* tpm: authorisations, counter, revocation bits, and lock-out, in a real TPM 2.0 in software; tpm2-tools looks, too. */
#include "tpm_chip.h"

static void fill(struct tpm_auths *a, unsigned char seed)
{
	struct secret *all[] = {&a->owner, &a->endorsement, &a->lockout};

	for (size_t i = 0; i < 3; i++) {
		all[i]->len = 32;
		memset(all[i]->data, seed + (int)i, 32);
	}
}

static struct tpm_health health_of(struct tpm *t)
{
	struct tpm_health h;
	struct err e;

	assert_ok(tpm_health(t, &h, &e));
	return h;
}

/* ---- authorisations ---------------------------------------------------------------------------------------------- */

static void authorisations_are_set_used_and_taken_away(void **state)
{
	struct tpm_auths a = {0}, wrong = {0}, none = {0};
	struct tpm *t = opened();
	struct tpm_health h;
	struct tpm_key k;
	struct err e;
	bool made;

	(void)state;
	fill(&a, 0x41);
	fill(&wrong, 0x51);
	assert_ok(tpm_use_auths(t, &a, &e)); /* none is set: the empty ones are used */
	assert_ok(tpm_change_auths(t, &a, &e));
	assert_ok(tpm_change_auths(t, &a, &e));
	assert_ok(tpm_key_ensure(t, TPM_IDEVID, &k, &made, &e)); /* the transaction goes on with them */
	assert_true(made);
	tpm_key_release(&k);
	tpm_close(t);

	t = opened();
	h = health_of(t);
	assert_true(h.owner_auth && h.endorsement_auth && h.lockout_auth);
	assert_refused(tpm_key_evict(t, TPM_IDEVID, &e), ERR_REFUSED, "authorisation is wrong");
	assert_refused(tpm_use_auths(t, &wrong, &e), ERR_REFUSED, "authorisation of this TPM is another");
	assert_refused(tpm_use_auths(t, &none, &e), ERR_REFUSED, "is set, and was not given");
	assert_int_equal(health_of(t).lockout_counter, 0);
	assert_ok(tpm_use_auths(t, &a, &e));
	assert_ok(tpm_key_evict(t, TPM_IDEVID, &e));
	assert_int_equal(tools("tpm2_nvdefine -Q -C o -P hex:$A -s 4 0x01500099 && tpm2_nvundefine -C o -P hex:$A "
			       "0x01500099", 0x41), 0);
	assert_int_not_equal(tools("tpm2_nvdefine -Q -C o -s 4 0x01500099", 0x41), 0);
	assert_int_equal(tools("tpm2_dictionarylockout -s -n 5 -t 600 -l 700 -p hex:$A", 0x43), 0);
	assert_ok(tpm_change_auths(t, &none, &e));
	h = health_of(t);
	assert_false(h.owner_auth || h.endorsement_auth || h.lockout_auth);
	assert_int_equal(h.max_tries, 5);
	assert_int_equal(h.recovery_s, 600);
	assert_int_equal(h.lockout_recovery_s, 700);
	tpm_close(t);
}

/* After each of the three changes a process can be gone; the next run is given the same values. */
static void a_change_that_was_cut_is_finished_by_the_next_run(void **state)
{
	struct tpm_auths all = {0}, none = {0};
	struct err e;

	(void)state;
	fill(&all, 0x61);
	for (int done = 0; done <= 3; done++) {
		struct tpm_auths some = {0};
		struct tpm *t = opened();
		struct tpm_health h;

		if (done > 0)
			some.lockout = all.lockout;
		if (done > 1)
			some.endorsement = all.endorsement;
		if (done > 2)
			some.owner = all.owner;
		assert_ok(tpm_change_auths(t, &some, &e));
		tpm_close(t);
		t = opened();
		assert_ok(tpm_use_auths(t, &all, &e));
		assert_ok(tpm_change_auths(t, &all, &e));
		h = health_of(t);
		assert_true(h.owner_auth && h.endorsement_auth && h.lockout_auth);
		assert_int_equal(h.lockout_counter, 0);
		tpm_close(t);
		t = opened();
		assert_ok(tpm_use_auths(t, &all, &e));
		assert_ok(tpm_change_auths(t, &none, &e));
		tpm_close(t);
	}
}

static void a_lockout_authorisation_that_was_not_given_is_not_tried(void **state)
{
	struct tpm_auths first = {0}, all = {0}, none = {0};
	struct tpm *t = opened();
	struct err e;

	(void)state;
	fill(&all, 0x31);
	first.lockout = all.lockout;
	first.lockout.data[0] = 0;
	assert_ok(tpm_change_auths(t, &first, &e));
	tpm_close(t);
	t = opened();
	assert_ok(tpm_use_auths(t, &none, &e));
	assert_ok(tpm_change_auths(t, &all, &e)); /* taken to be all.lockout; it is not, and a try would have shut it */
	assert_int_equal(tools("tpm2_dictionarylockout -c -p hex:00$(echo $A | cut -c3-)", 0x33), 0);
	tpm_close(t);
	t = opened();
	all.lockout = first.lockout;
	assert_ok(tpm_use_auths(t, &all, &e));
	assert_ok(tpm_change_auths(t, &none, &e));
	tpm_close(t);
}

static void an_authorisation_too_long_is_refused(void **state)
{
	struct tpm_auths a = {0};
	struct tpm *t = opened();
	struct err e;

	(void)state;
	a.lockout.len = 100;
	assert_refused(tpm_change_auths(t, &a, &e), ERR_INPUT, "100 bytes");
	assert_false(health_of(t).lockout_auth);
	tpm_close(t);
}

/* With everything set, all that needs a hierarchy is authorised by the encrypted session; also salted by the EK. */
static void all_works_with_authorisations_and_the_ek(void **state)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_crypto_key struct crypto_key *ek = NULL;
	struct tpm_blob c, s, attest, signature;
	struct tpm_auths a = {0}, none = {0};
	struct tpm_key srk, iak, idevid;
	struct tpm *t = opened();
	uint8_t nonce[CRYPTO_HASH] = {7};
	struct secret value;
	uint64_t v;
	struct err e;
	bool made;

	(void)state;
	fill(&a, 0x71);
	assert_ok(tpm_ek_certificate(t, &cert, NULL, &e));
	assert_ok(tpm_ek_use(t, cert, &e));
	assert_ok(tpm_change_auths(t, &a, &e));
	tpm_close(t);

	t = opened();
	assert_ok(tpm_ek_use(t, cert, &e));
	assert_ok(tpm_use_auths(t, &a, &e));
	srk = ensured(t, TPM_SRK);
	iak = ensured(t, TPM_IAK);
	idevid = ensured(t, TPM_IDEVID);
	assert_ok(tpm_certify(t, &iak, &idevid, nonce, &attest, &signature, &e));
	assert_ok(crypto_cert_key(cert, &ek, &e));
	make_credential(ek, &iak, nonce, &c, &s);
	assert_ok(tpm_activate(t, &iak, &c, &s, &value, &e));
	assert_memory_equal(value.data, nonce, sizeof nonce);
	assert_ok(tpm_counter_ensure(t, &v, &made, &e));
	assert_ok(tpm_bits_ensure(t, &v, &made, &e));
	assert_ok(tpm_bits_set(t, 9, &e));
	assert_ok(tpm_nv_remove(t, TPM_NV_COUNTER, &e));
	assert_ok(tpm_nv_remove(t, TPM_NV_BITS, &e));
	assert_ok(tpm_key_evict(t, TPM_IAK, &e));
	assert_ok(tpm_key_evict(t, TPM_IDEVID, &e));
	assert_ok(tpm_change_auths(t, &none, &e));
	tpm_close(t);
	tpm_key_release(&srk);
	tpm_key_release(&iak);
	tpm_key_release(&idevid);
}

/* ---- NV ---------------------------------------------------------------------------------------------------------- */

static bool reads_nothing;

TSS2_RC __real_Esys_NV_Read(ESYS_CONTEXT *c, ESYS_TR by, ESYS_TR index, ESYS_TR one, ESYS_TR two, ESYS_TR three,
			    UINT16 size, UINT16 offset, TPM2B_MAX_NV_BUFFER **data);
TSS2_RC __wrap_Esys_NV_Read(ESYS_CONTEXT *c, ESYS_TR by, ESYS_TR index, ESYS_TR one, ESYS_TR two, ESYS_TR three,
			    UINT16 size, UINT16 offset, TPM2B_MAX_NV_BUFFER **data);
TSS2_RC __wrap_Esys_NV_Read(ESYS_CONTEXT *c, ESYS_TR by, ESYS_TR index, ESYS_TR one, ESYS_TR two, ESYS_TR three,
			    UINT16 size, UINT16 offset, TPM2B_MAX_NV_BUFFER **data)
{
	TSS2_RC rc = __real_Esys_NV_Read(c, by, index, one, two, three, size, offset, data);

	if (rc == 0 && reads_nothing)
		(*data)->size = 0;
	return rc;
}

static void an_answer_without_what_was_asked_is_told_as_none(void **state)
{
	struct tpm *t = opened();
	uint64_t value;
	struct err e;
	bool made;

	(void)state;
	assert_ok(tpm_counter_ensure(t, &value, &made, &e));
	reads_nothing = true;
	assert_refused(tpm_counter_ensure(t, &value, &made, &e), ERR_INPUT, "the TPM's answer is none; look at its");
	reads_nothing = false;
	assert_ok(tpm_nv_remove(t, TPM_NV_COUNTER, &e));
	tpm_close(t);
}

static void the_counter_only_rises(void **state)
{
	struct tpm *t = opened();
	uint64_t first, next, read;
	bool made, there;
	struct err e;

	(void)state;
	assert_ok(tpm_counter_read(t, &read, &there, &e));
	assert_false(there);
	assert_refused(tpm_counter_increment(t, &read, &e), ERR_REFUSED, "never provisioned");
	assert_ok(tpm_counter_ensure(t, &first, &made, &e));
	assert_true(made);
	assert_ok(tpm_counter_ensure(t, &next, &made, &e));
	assert_false(made);
	assert_int_equal(next, first);
	assert_ok(tpm_counter_increment(t, &next, &e));
	assert_int_equal(next, first + 1);
	tpm_close(t);
	swtpm_restart(&chip);
	t = opened();
	assert_ok(tpm_counter_read(t, &read, &there, &e));
	assert_true(there);
	assert_int_equal(read, next);
	assert_int_equal(tools("tpm2_nvreadpublic 0x01500020 | grep -q 'nt=0x1' && ! tpm2_nvwrite 0x01500020 -C 0x01500020 "
			       "-i /etc/hostname",
			       0), 0);
	/* Made anew, it goes on from where the TPM was: an old value never comes again (Part 1, 37.2.4). */
	assert_ok(tpm_nv_remove(t, TPM_NV_COUNTER, &e));
	assert_ok(tpm_nv_remove(t, TPM_NV_COUNTER, &e));
	assert_ok(tpm_counter_ensure(t, &first, &made, &e));
	assert_true(first > next);
	tpm_close(t);
}

static void bits_are_set_by_the_owner_and_stay(void **state)
{
	struct tpm *t = opened();
	uint64_t v;
	bool made;
	struct err e;

	(void)state;
	assert_refused(tpm_bits_set(t, 3, &e), ERR_REFUSED, "never provisioned");
	assert_ok(tpm_bits_ensure(t, &v, &made, &e));
	assert_true(made);
	assert_int_equal(v, 0);
	assert_ok(tpm_bits_set(t, 0, &e));
	assert_ok(tpm_bits_set(t, 63, &e));
	assert_ok(tpm_bits_set(t, 63, &e));
	assert_refused(tpm_bits_set(t, 64, &e), ERR_INPUT, "0…63");
	assert_ok(tpm_bits_ensure(t, &v, &made, &e));
	assert_false(made);
	assert_true(v == (UINT64_C(1) << 63 | 1));
	assert_int_not_equal(tools("tpm2_nvsetbits 0x01500021 -C 0x01500021 -i 0x10", 0), 0);
	assert_int_equal(tools("test $(tpm2_nvread -C 0x01500021 0x01500021 | od -An -tx1 | tr -d ' ') = 8000000000000001",
			       0), 0);
	assert_ok(tpm_nv_remove(t, TPM_NV_BITS, &e));
	tpm_close(t);
}

static void anothers_index_is_refused_by_name(void **state)
{
	struct tpm *t = opened();
	uint64_t v;
	bool made, there;
	struct err e;

	(void)state;
	assert_int_equal(tools("tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' 0x01500021", 0), 0);
	assert_refused(tpm_bits_ensure(t, &v, &made, &e), ERR_REFUSED, "0x1500021 is another's");
	assert_refused(tpm_nv_remove(t, TPM_NV_BITS, &e), ERR_REFUSED, "0x1500021 is another's");
	assert_int_equal(tools("tpm2_nvundefine -C o 0x01500021", 0), 0);
	/* Defined, and cut before it was written. */
	assert_ok(tpm_nv_remove(t, TPM_NV_COUNTER, &e));
	assert_int_equal(tools("tpm2_nvdefine -Q -C o -s 8 -a 'authread|authwrite|ownerread|no_da|nt=counter' 0x01500020",
			       0), 0);
	assert_ok(tpm_counter_read(t, &v, &there, &e));
	assert_false(there);
	assert_ok(tpm_counter_ensure(t, &v, &made, &e));
	assert_true(made);
	tpm_close(t);
}

/* ---- lock-out ---------------------------------------------------------------------------------------------------- */

static void lock_out_is_told_and_not_made_worse(void **state)
{
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK), idevid = ensured(t, TPM_IDEVID), k;
	auto_buf struct buf der = BUF_INIT;
	uint8_t digest[CRYPTO_HASH] = {1};
	struct tpm_health h;
	struct err e;

	(void)state;
	assert_ok(tpm_key_create(t, &k, &e));
	assert_int_equal(tools("tpm2_dictionarylockout -s -n 2 -t 1000 -l 1000", 0), 0);
	assert_int_equal(tools("for i in 1 2; do "
			       "tpm2_sign -Q -c 0x81020000 -p wrong -g sha256 -s ecdsa -o sig setup.conf && exit 1; done; exit 0",
			       0), 0);
	h = health_of(t);
	assert_true(h.in_lockout);
	assert_int_equal(h.lockout_counter, 2);
	for (int i = 0; i < 3; i++)
		assert_refused(tpm_sign(t, &idevid, digest, &der, &e), ERR_AGAIN, "in lock-out: 2 wrong authorisations, 2 are "
			       "too many; one is forgotten every 1000 s");
	assert_int_equal(health_of(t).lockout_counter, 2);
	assert_ok(tpm_sign(t, &k, digest, &der, &e)); /* the LDevID is no part of it */
	assert_int_equal(tools("tpm2_dictionarylockout -c", 0), 0);
	assert_ok(tpm_sign(t, &idevid, digest, &der, &e));
	tpm_close(t);
	tpm_key_release(&k);
	tpm_key_release(&idevid);
	tpm_key_release(&srk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authorisations_are_set_used_and_taken_away),
		cmocka_unit_test(a_change_that_was_cut_is_finished_by_the_next_run),
		cmocka_unit_test(a_lockout_authorisation_that_was_not_given_is_not_tried),
		cmocka_unit_test(an_authorisation_too_long_is_refused),
		cmocka_unit_test(all_works_with_authorisations_and_the_ek),
		cmocka_unit_test(the_counter_only_rises),
		cmocka_unit_test(an_answer_without_what_was_asked_is_told_as_none),
		cmocka_unit_test(bits_are_set_by_the_owner_and_stay),
		cmocka_unit_test(anothers_index_is_refused_by_name),
		cmocka_unit_test(lock_out_is_told_and_not_made_worse),
	};

	return cmocka_run_group_tests(tests, make_chip, end_chip);
}
