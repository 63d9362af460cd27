/* tpm: sealed data under signed policies, and what passes on the bus, in a real TPM 2.0 in software. */
#include "tpm_chip.h"

enum { PCR = 16, MASK = 1 << 16 | 1 << 7 }; /* PCR 16 can be set back */

struct sealed {
	struct crypto_key *authority;
	struct secret data;
	struct tpm_blob pub, priv;
};

static void sign(const struct crypto_key *authority, struct tpm_policy *p)
{
	auto_buf struct buf words = BUF_INIT;
	struct err e;

	tpm_policy_digest(&p->pcrs, p->slot, p->digest);
	tpm_policy_words(p->digest, &words);
	buf_clear(&p->signature);
	assert_ok(crypto_sign(authority, words.data, words.len, &p->signature, &e));
}

/* Signed for what the PCRs are now. */
static struct tpm_policy signed_policy(struct tpm *t, const struct crypto_key *authority, int slot)
{
	struct tpm_policy p = {.slot = slot};
	struct err e;

	assert_ok(tpm_pcr_read(t, MASK, &p.pcrs, &e));
	sign(authority, &p);
	return p;
}

static void extend(struct tpm *t)
{
	TPML_DIGEST_VALUES v = {.count = 1, .digests[0] = {.hashAlg = TPM2_ALG_SHA256, .digest.sha256 = {1}}};

	assert_int_equal(Esys_PCR_Extend(t->esys, ESYS_TR_PCR16, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &v), 0);
}

static void new_bits(struct tpm *t)
{
	struct err e;
	uint64_t v;
	bool made;

	assert_ok(tpm_nv_remove(t, TPM_NV_BITS, &e));
	assert_ok(tpm_bits_ensure(t, &v, &made, &e));
}

/* Some data sealed; the bits are new, the PCR is set back. */
static struct tpm *with_sealed(struct sealed *s)
{
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK);
	struct err e;

	tpm_key_release(&srk);
	assert_int_equal(Esys_PCR_Reset(t->esys, ESYS_TR_PCR16, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE), 0);
	new_bits(t);
	*s = (struct sealed){.data.len = 32};
	assert_ok(crypto_key_new(&s->authority, &e));
	assert_ok(crypto_random(s->data.data, 32, &e));
	assert_ok(tpm_seal(t, s->authority, &s->data, &s->pub, &s->priv, &e));
	return t;
}

static void done_with(struct tpm *t, struct sealed *s, struct tpm_policy *p)
{
	tpm_close(t);
	crypto_key_free(s->authority);
	buf_release(&p->signature);
}

static void must_open(struct tpm *t, const struct sealed *s, const struct tpm_policy *p)
{
	struct secret got = {0};
	struct err e;

	assert_ok(tpm_unseal(t, s->authority, p, &s->pub, &s->priv, &got, &e));
	assert_int_equal(got.len, s->data.len);
	assert_memory_equal(got.data, s->data.data, got.len);
}

static void must_not_open(struct tpm *t, const struct sealed *s, const struct tpm_policy *p, const char *words)
{
	struct secret got = {0};
	struct err e;

	assert_refused(tpm_unseal(t, s->authority, p, &s->pub, &s->priv, &got, &e), ERR_REFUSED, words);
	assert_int_equal(got.len, 0);
}

/* ---- policies ---------------------------------------------------------------------------------------------------- */

static void software_computes_the_policy_as_the_tpm_does(void **state)
{
	TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
	TPM2B_DIGEST auto_esys *d = NULL;
	TPM2B_DIGEST pcrs = {.size = CRYPTO_HASH};
	TPM2B_OPERAND operand = {.size = 8};
	TPML_PCR_SELECTION selection;
	struct tpm_policy p;
	struct sealed s;
	struct tpm *t = with_sealed(&s);
	ESYS_TR session, bits;

	(void)state;
	p = signed_policy(t, s.authority, 42);
	tpm_pcr_selection(MASK, &selection);
	tpm_pcr_digest(&p.pcrs, pcrs.buffer);
	operand.buffer[2] = 4; /* 1 << 42 */
	assert_int_equal(Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, N3, NULL, TPM2_SE_TRIAL, &none,
					       TPM2_ALG_SHA256, &session), 0);
	assert_int_equal(Esys_PolicyPCR(t->esys, session, N3, &pcrs, &selection), 0);
	assert_int_equal(Esys_TR_FromTPMPublic(t->esys, TPM_NV_BITS, N3, &bits), 0);
	assert_int_equal(Esys_PolicyNV(t->esys, bits, bits, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
				       &operand, 0, TPM2_EO_BITCLEAR), 0);
	assert_int_equal(Esys_PolicyGetDigest(t->esys, session, N3, &d), 0);
	assert_memory_equal(d->buffer, p.digest, CRYPTO_HASH);
	assert_int_equal(Esys_FlushContext(t->esys, session), 0);
	done_with(t, &s, &p);
}

static void more_than_eight_pcrs_are_read(void **state)
{
	struct tpm *t = opened();
	struct tpm_pcrs all, one;
	struct err e;

	(void)state;
	assert_ok(tpm_pcr_read(t, 0xffffff, &all, &e));
	for (int i = 0; i < TPM_PCRS; i++) {
		assert_ok(tpm_pcr_read(t, 1u << i, &one, &e));
		assert_memory_equal(one.value[i], all.value[i], CRYPTO_HASH);
	}
	assert_int_equal(all.value[17][0], 0xff); /* 17…22 begin with ones (PC Client) */
	assert_refused(tpm_pcr_read(t, 1u << 24, &one, &e), ERR_INPUT, "0…23");
	tpm_close(t);
}

static void a_changed_pcr_refuses_until_a_policy_is_signed_for_it(void **state)
{
	struct tpm_policy old, new;
	struct sealed s;
	struct tpm *t = with_sealed(&s);

	(void)state;
	old = signed_policy(t, s.authority, 0);
	must_open(t, &s, &old);
	tpm_close(t);
	t = opened();
	must_open(t, &s, &old);
	extend(t);
	must_not_open(t, &s, &old, "PCR 16 is not as the policy has it");
	new = signed_policy(t, s.authority, 1);
	must_open(t, &s, &new);
	must_not_open(t, &s, &old, "PCR 16");
	buf_release(&old.signature);
	done_with(t, &s, &new);
}

static void a_policy_that_the_authority_did_not_sign_is_refused(void **state)
{
	struct crypto_key *other;
	struct tpm_policy p;
	struct sealed s;
	struct tpm *t = with_sealed(&s);
	struct err e;

	(void)state;
	p = signed_policy(t, s.authority, 5);
	p.signature.data[p.signature.len - 1] ^= 1;
	must_not_open(t, &s, &p, "not signed by the authority");
	buf_clear(&p.signature);
	must_not_open(t, &s, &p, "not signed by the authority");
	assert_ok(crypto_key_new(&other, &e));
	sign(other, &p);
	must_not_open(t, &s, &p, "not signed by the authority");
	sign(s.authority, &p);
	p.slot = 6;
	must_not_open(t, &s, &p, "the policy was changed");
	p.slot = 5;
	p.pcrs.value[7][0] ^= 1;
	must_not_open(t, &s, &p, "the policy was changed");
	p.pcrs.value[7][0] ^= 1;
	must_open(t, &s, &p);

	/* Another's key given as the authority: all in order for it, but the TPM knows whose seal it is. */
	sign(other, &p);
	{
		struct sealed its = s;

		its.authority = other;
		must_not_open(t, &its, &p, "the TPM does not find its policy fulfilled");
	}
	crypto_key_free(other);
	done_with(t, &s, &p);
}

static void a_revoked_slot_is_refused_and_another_opens(void **state)
{
	struct tpm_policy old, new;
	struct sealed s;
	struct tpm *t = with_sealed(&s);
	struct err e;

	(void)state;
	old = signed_policy(t, s.authority, 11);
	new = signed_policy(t, s.authority, 12);
	must_open(t, &s, &old);
	assert_ok(tpm_bits_set(t, 11, &e));
	must_not_open(t, &s, &old, "slot 11 is revoked");
	must_open(t, &s, &new);
	tpm_close(t);
	t = opened();
	must_not_open(t, &s, &old, "slot 11 is revoked");
	assert_ok(tpm_nv_remove(t, TPM_NV_BITS, &e));
	must_not_open(t, &s, &new, "no revocation bits");
	assert_int_equal(tools("tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' 0x01500021", 0), 0);
	must_not_open(t, &s, &new, "0x1500021 is another's");
	assert_int_equal(tools("tpm2_nvundefine -C o 0x01500021", 0), 0);
	buf_release(&old.signature);
	done_with(t, &s, &new);
}

/* What the room says before, the TPM says, too. */
static void the_tpm_itself_refuses(void **state)
{
	TPM2B_OPERAND operand = {.size = 8, .buffer = {[7] = 2}};
	TPM2B_SENSITIVE_DATA auto_esys *out = NULL;
	TPM2B_DIGEST pcrs = {.size = CRYPTO_HASH};
	TPML_PCR_SELECTION selection;
	struct tpm_policy p;
	struct sealed s;
	struct tpm *t = with_sealed(&s);
	ESYS_TR session, bits, tr;
	struct err e;

	(void)state;
	p = signed_policy(t, s.authority, 1);
	assert_ok(tpm_load(t, &s.pub, &s.priv, "the sealed data", &tr, &e));
	assert_ok(tpm_policy_start(t, &session, &e));
	tpm_pcr_selection(MASK, &selection);
	tpm_pcr_digest(&p.pcrs, pcrs.buffer);
	assert_int_equal(Esys_PolicyPCR(t->esys, session, N3, &pcrs, &selection), 0);
	assert_int_equal(tpm_rc_base(Esys_Unseal(t->esys, tr, session, ESYS_TR_NONE, ESYS_TR_NONE, &out)),
			 TPM2_RC_POLICY_FAIL);
	assert_int_equal(tpm_rc_base(Esys_Unseal(t->esys, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &out)),
			 TPM2_RC_AUTH_UNAVAILABLE);
	assert_ok(tpm_bits_set(t, 1, &e));
	assert_int_equal(Esys_TR_FromTPMPublic(t->esys, TPM_NV_BITS, N3, &bits), 0);
	assert_int_equal(Esys_PolicyNV(t->esys, bits, bits, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
				       &operand, 0, TPM2_EO_BITCLEAR), TPM2_RC_POLICY);
	extend(t);
	assert_int_equal(tpm_rc_base(Esys_PolicyPCR(t->esys, session, N3, &pcrs, &selection)), TPM2_RC_VALUE);
	done_with(t, &s, &p);
}

static void another_tpms_seal_is_refused(void **state)
{
	struct swtpm mine = chip, other;
	struct tpm_policy p;
	struct sealed s;
	struct tpm *t;

	(void)state;
	swtpm_make(&other);
	swtpm_start(&other);
	chip = other;
	t = with_sealed(&s);
	tpm_close(t);
	chip = mine;
	swtpm_end(&other);
	t = opened();
	p = signed_policy(t, s.authority, 2);
	new_bits(t);
	must_not_open(t, &s, &p, "made by another TPM");
	done_with(t, &s, &p);
}

static void too_much_or_nothing_is_not_sealed(void **state)
{
	struct sealed s;
	struct tpm *t = with_sealed(&s);
	struct tpm_policy p = signed_policy(t, s.authority, 1);
	struct secret none = {0};
	struct tpm_blob pub, priv;
	struct err e;

	(void)state;
	assert_refused(tpm_seal(t, s.authority, &none, &pub, &priv, &e), ERR_INPUT, "1…128");
	s.data.len = 128;
	assert_ok(crypto_random(s.data.data, 128, &e));
	assert_ok(tpm_seal(t, s.authority, &s.data, &s.pub, &s.priv, &e));
	must_open(t, &s, &p);
	done_with(t, &s, &p);
}

/* ---- the bus ----------------------------------------------------------------------------------------------------- */

/* A TPM behind a program that writes down what passes. */
static struct tpm *overheard(void)
{
	auto_free char *tcti = xasprintf("cmd:tee -a %s/bus | socat - UNIX-CONNECT:%s/s | tee -a %s/bus", chip.dir,
					 chip.dir, chip.dir);
	struct tpm *t;
	struct err e;

	assert_ok(tpm_open(tcti, 5000, &t, &e));
	return t;
}

static bool was_heard(const void *what, size_t len)
{
	auto_free char *path = xasprintf("%s/bus", chip.dir);
	auto_buf struct buf b = BUF_INIT;
	struct err e;

	assert_ok(file_read(path, 1 << 20, &b, &e));
	return memmem(b.data, b.len, what, len) != NULL;
}

static void secrets_do_not_pass_in_clear(void **state)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_crypto_key struct crypto_key *ek = NULL;
	struct tpm_auths auths = {0}, none = {0};
	struct tpm_blob c, x;
	uint8_t value[CRYPTO_HASH];
	struct tpm_policy p;
	struct secret got;
	struct tpm_key iak;
	struct sealed s;
	struct tpm *t = with_sealed(&s);
	struct err e;

	(void)state;
	p = signed_policy(t, s.authority, 3);
	assert_ok(tpm_ek_certificate(t, &cert, NULL, &e));
	assert_ok(crypto_cert_key(cert, &ek, &e));
	iak = ensured(t, TPM_IAK);
	tpm_close(t);
	for (struct secret *a = &auths.owner; a <= &auths.lockout; a++) {
		a->len = 32;
		assert_ok(crypto_random(a->data, 32, &e));
	}
	assert_ok(crypto_random(value, sizeof value, &e));
	make_credential(ek, &iak, value, &c, &x);
	for (int by_ek = 0; by_ek < 2; by_ek++) {
		t = overheard();
		if (by_ek)
			assert_ok(tpm_ek_use(t, cert, &e));
		assert_ok(tpm_change_auths(t, &auths, &e));
		assert_ok(tpm_seal(t, s.authority, &s.data, &s.pub, &s.priv, &e));
		must_open(t, &s, &p);
		if (by_ek) {
			assert_ok(tpm_activate(t, &iak, &c, &x, &got, &e));
			assert_memory_equal(got.data, value, sizeof value);
		}
		tpm_close(t);
		t = overheard();
		assert_ok(tpm_use_auths(t, &auths, &e));
		assert_ok(tpm_change_auths(t, &none, &e));
		tpm_close(t);
	}
	assert_true(was_heard(s.pub.data + 2, s.pub.len - 2)); /* it was written down */
	assert_true(was_heard(p.digest, CRYPTO_HASH));
	assert_false(was_heard(s.data.data, 16));
	assert_false(was_heard(value, 16));
	for (struct secret *a = &auths.owner; a <= &auths.lockout; a++)
		assert_false(was_heard(a->data, 16));
	tpm_key_release(&iak);
	crypto_key_free(s.authority);
	buf_release(&p.signature);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(software_computes_the_policy_as_the_tpm_does),
		cmocka_unit_test(more_than_eight_pcrs_are_read),
		cmocka_unit_test(a_changed_pcr_refuses_until_a_policy_is_signed_for_it),
		cmocka_unit_test(a_policy_that_the_authority_did_not_sign_is_refused),
		cmocka_unit_test(a_revoked_slot_is_refused_and_another_opens),
		cmocka_unit_test(the_tpm_itself_refuses),
		cmocka_unit_test(another_tpms_seal_is_refused),
		cmocka_unit_test(too_much_or_nothing_is_not_sealed),
		cmocka_unit_test(secrets_do_not_pass_in_clear),
	};

	return cmocka_run_group_tests(tests, make_chip, end_chip);
}
