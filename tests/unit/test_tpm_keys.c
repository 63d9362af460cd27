/* tpm: keys of TCG's templates in a real TPM 2.0 in software, and what a CA checks of them. */
#include "tpm_chip.h"

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static void the_published_policies_are_those_of_the_branches(void **state)
{
	const enum tpm_key_role roles[] = {TPM_IAK, TPM_IDEVID};
	const TPM2B_PUBLIC *const templates[] = {&tpm_template_iak, &tpm_template_idevid};
	struct tpm *t = opened();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(roles); i++) {
		TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
		TPM2B_DIGEST auto_esys *d = NULL;
		TPML_DIGEST branches;
		ESYS_TR s;

		tpm_devid_branches(roles[i], &branches);
		assert_int_equal(Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, N3, NULL, TPM2_SE_TRIAL, &none,
						       TPM2_ALG_SHA256, &s), 0);
		assert_int_equal(Esys_PolicyOR(t->esys, s, N3, &branches), 0);
		assert_int_equal(Esys_PolicyGetDigest(t->esys, s, N3, &d), 0);
		assert_int_equal(d->size, 32);
		assert_memory_equal(d->buffer, templates[i]->publicArea.authPolicy.buffer, 32);
		assert_int_equal(Esys_FlushContext(t->esys, s), 0);
	}
	tpm_close(t);
}

static void keys_are_made_once_and_found_again(void **state)
{
	const enum tpm_key_role roles[] = {TPM_SRK, TPM_IAK, TPM_IDEVID};
	struct tpm_key first[3], again;
	struct tpm *t = opened();
	struct err e;
	bool made, found;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_ok(tpm_key_find(t, roles[i], &again, &found, &e));
		assert_false(found);
		assert_ok(tpm_key_ensure(t, roles[i], &first[i], &made, &e));
		assert_true(made);
	}
	tpm_close(t);
	t = opened();
	for (size_t i = 0; i < 3; i++) {
		assert_ok(tpm_key_ensure(t, roles[i], &again, &made, &e));
		assert_false(made);
		assert_true(crypto_key_same(again.key, first[i].key));
		assert_memory_equal(again.name, first[i].name, 34);
		tpm_key_release(&again);
		/* The same key comes of the same template: nothing is lost with the handle. */
		assert_ok(tpm_key_evict(t, roles[i], &e));
		assert_ok(tpm_key_evict(t, roles[i], &e));
		assert_ok(tpm_key_ensure(t, roles[i], &again, &made, &e));
		assert_true(made);
		assert_true(crypto_key_same(again.key, first[i].key));
		tpm_key_release(&again);
		tpm_key_release(&first[i]);
	}
	tpm_close(t);
}

static void put_at(struct tpm *t, ESYS_TR tr, TPM2_HANDLE h)
{
	ESYS_TR there;

	assert_int_equal(Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, h,
					   &there), 0);
}

static void take_away(struct tpm *t, TPM2_HANDLE h)
{
	ESYS_TR tr, gone;

	assert_int_equal(Esys_TR_FromTPMPublic(t->esys, h, N3, &tr), 0);
	assert_int_equal(Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, h,
					   &gone), 0);
}

static void a_foreign_object_at_a_handle_is_refused_by_name(void **state)
{
	struct tpm *t = opened();
	TPM2B_PUBLIC auto_esys *pub = NULL;
	TPM2B_PUBLIC template = tpm_template_sign;
	struct tpm_key k;
	struct err e;
	ESYS_TR tr;
	bool made;

	(void)state;
	assert_ok(tpm_key_evict(t, TPM_IAK, &e));
	assert_ok(tpm_primary(t, ESYS_TR_RH_OWNER, &template, &tr, &pub, &e));
	put_at(t, tr, (TPM2_HANDLE)TPM_HANDLE_IAK);
	tpm_drop(t, &tr);
	assert_refused(tpm_key_ensure(t, TPM_IAK, &k, &made, &e), ERR_REFUSED, "the place of the IAK, 0x81020001, holds "
		       "another's object");
	assert_refused(tpm_key_evict(t, TPM_IAK, &e), ERR_REFUSED, "0x81020001");
	take_away(t, (TPM2_HANDLE)TPM_HANDLE_IAK);

	/* Our template, but of the owner's hierarchy. */
	Esys_Free(pub);
	pub = NULL;
	assert_ok(tpm_primary(t, ESYS_TR_RH_OWNER, &tpm_template_iak, &tr, &pub, &e));
	put_at(t, tr, (TPM2_HANDLE)TPM_HANDLE_IAK);
	assert_refused(tpm_key_ensure(t, TPM_IAK, &k, &made, &e), ERR_REFUSED, "of another hierarchy or parent");
	take_away(t, (TPM2_HANDLE)TPM_HANDLE_IAK);
	tpm_close(t);
}

static void a_created_key_signs_and_survives_its_file(void **state)
{
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK), k, read, not_ours;
	auto_buf struct buf pem = BUF_INIT, der = BUF_INIT;
	struct crypto_tss2 file, back;
	uint8_t digest[CRYPTO_HASH];
	struct err e;

	(void)state;
	assert_ok(tpm_key_create(t, &k, &e));
	tpm_key_to_tss2(&k, &file);
	assert_ok(crypto_tss2_write(&file, &pem, &e));
	assert_ok(crypto_tss2_read(pem.data, &back, &e));
	assert_ok(tpm_key_from_tss2(&back, &read, &e));
	assert_true(crypto_key_same(read.key, k.key));
	assert_ok(tpm_key_probe(t, &read, &e));
	crypto_sha256("words", 5, digest);
	assert_ok(tpm_sign(t, &read, digest, &der, &e));
	assert_ok(crypto_verify(k.key, "words", 5, der.data, der.len, &e));
	assert_int_equal(crypto_verify(k.key, "wordz", 5, der.data, der.len, &e), -1);
	back.parent = 0x81000007;
	assert_refused(tpm_key_from_tss2(&back, &not_ours, &e), ERR_INPUT, "parent is 0x81000007");
	tpm_key_release(&k);
	tpm_key_release(&read);
	tpm_key_release(&srk);
	tpm_close(t);
}

static void the_idevid_signs_too(void **state)
{
	struct tpm *t = opened();
	struct tpm_key k = ensured(t, TPM_IDEVID);
	auto_buf struct buf der = BUF_INIT;
	uint8_t digest[CRYPTO_HASH];
	struct err e;

	(void)state;
	crypto_sha256("words", 5, digest);
	assert_ok(tpm_sign(t, &k, digest, &der, &e));
	assert_ok(crypto_verify(k.key, "words", 5, der.data, der.len, &e));
	tpm_key_release(&k);
	tpm_close(t);
}

static void another_tpms_key_is_refused(void **state)
{
	struct swtpm other;
	struct tpm_key srk, k;
	struct tpm *t;
	struct err e;
	bool made;

	(void)state;
	swtpm_make(&other);
	swtpm_start(&other);
	assert_ok(tpm_open(other.tcti, 0, &t, &e));
	assert_ok(tpm_key_ensure(t, TPM_SRK, &srk, &made, &e));
	assert_ok(tpm_key_create(t, &k, &e));
	tpm_close(t);
	swtpm_end(&other);
	t = opened();
	assert_refused(tpm_key_probe(t, &k, &e), ERR_REFUSED, "made by another TPM");
	assert_ok(tpm_key_evict(t, TPM_SRK, &e));
	assert_refused(tpm_key_probe(t, &k, &e), ERR_REFUSED, "never provisioned, or cleared since");
	tpm_close(t);
	tpm_key_release(&k);
	tpm_key_release(&srk);
}

static void tpm2_tools_sees_the_keys_with_tcgs_attributes(void **state)
{
	struct tpm *t = opened();
	struct tpm_key k;

	(void)state;
	k = ensured(t, TPM_SRK);
	tpm_key_release(&k);
	k = ensured(t, TPM_IAK);
	tpm_key_release(&k);
	k = ensured(t, TPM_IDEVID);
	tpm_key_release(&k);
	assert_int_equal(tools("test \"$(tpm2_getcap handles-persistent | grep -cE '0x8100000[1]|0x8102000[01]')\" = 3",
			       0), 0);
	assert_int_equal(tools("tpm2_readpublic -c 0x81000001 | grep -q "
			       "'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt$'", 0), 0);
	assert_int_equal(tools("tpm2_readpublic -c 0x81020001 >said2 && grep -q 'authorization policy: "
			       "5437182326e414fca797d5f174615a1641f61255797c3a2b22c21d120b2d1e07' said2 && grep -q 'fixedtpm|"
			       "fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|restricted|sign$' said2", 0), 0);
	assert_int_equal(tools("tpm2_readpublic -c 0x81020000 >said2 && grep -q 'authorization policy: "
			       "ad6b3a2284fd698a0710bf5cc1b9bdf15e2532e3f601fa4b93a6a8fa8de579ea' said2 && grep -q 'fixedtpm|"
			       "fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|sign$' said2", 0), 0);
	/* Made by tpm2-tools from TCG's words (unique as it has it: a TPMS_ECC_POINT in memory), it is the same key. */
	assert_int_equal(tools("tpm2_readpublic -Q -c 0x81020001 -f pem -o iak.pem && "
			       "for i in x y; do printf '\\003\\000IAK'; head -c 125 /dev/zero; done >unique && "
			       "tpm2_createprimary -Q -C e -g sha256 -G ecc256:ecdsa-sha256:null -u unique -c iak.ctx "
			       "-L 5437182326e414fca797d5f174615a1641f61255797c3a2b22c21d120b2d1e07 -a 'fixedtpm|fixedparent|"
			       "sensitivedataorigin|userwithauth|adminwithpolicy|sign|restricted' && "
			       "tpm2_readpublic -Q -c iak.ctx -f pem -o theirs.pem && tpm2_flushcontext -t && "
			       "cmp iak.pem theirs.pem", 0), 0);
	tpm_close(t);
}

/* ---- what a CA checks -------------------------------------------------------------------------------------------- */

static void a_certified_key_is_believed_and_each_change_is_not(void **state)
{
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK), iak = ensured(t, TPM_IAK), idevid = ensured(t, TPM_IDEVID), k;
	uint8_t nonce[CRYPTO_HASH] = {1, 2, 3}, other[CRYPTO_HASH] = {4};
	struct tpm_public iak_pub, k_pub, idevid_pub;
	struct tpm_blob attest, signature, changed;
	struct err e;

	(void)state;
	assert_ok(tpm_key_create(t, &k, &e));
	assert_ok(tpm_certify(t, &iak, &k, nonce, &attest, &signature, &e));
	assert_ok(tpm_public_read(&iak.pub, &iak_pub, &e));
	assert_ok(tpm_public_read(&k.pub, &k_pub, &e));
	assert_ok(tpm_public_read(&idevid.pub, &idevid_pub, &e));
	assert_true(iak_pub.fixed && iak_pub.restricted && iak_pub.signs);
	assert_true(k_pub.fixed && !k_pub.restricted && k_pub.signs);
	assert_true(crypto_key_same(k_pub.key, k.key));
	assert_memory_equal(k_pub.name, k.name, 34);
	assert_ok(tpm_certify_check(&iak_pub, &k_pub, nonce, &attest, &signature, &e));

	assert_refused(tpm_certify_check(&iak_pub, &k_pub, other, &attest, &signature, &e), ERR_REFUSED, "nonce");
	assert_refused(tpm_certify_check(&iak_pub, &idevid_pub, nonce, &attest, &signature, &e), ERR_REFUSED, "another "
		       "key");
	assert_refused(tpm_certify_check(&idevid_pub, &k_pub, nonce, &attest, &signature, &e), ERR_REFUSED, "restricted "
		       "signing key");
	changed = attest;
	changed.data[0] ^= 1;
	assert_refused(tpm_certify_check(&iak_pub, &k_pub, nonce, &changed, &signature, &e), ERR_REFUSED, "magic");
	changed = attest;
	changed.len--;
	assert_refused(tpm_certify_check(&iak_pub, &k_pub, nonce, &changed, &signature, &e), ERR_INPUT, "TPMS_ATTEST");
	changed = signature;
	changed.data[20] ^= 1;
	assert_refused(tpm_certify_check(&iak_pub, &k_pub, nonce, &attest, &changed, &e), ERR_REFUSED, "signature by the "
		       "IAK");

	/* The IDevID is certified by its policy. */
	assert_ok(tpm_certify(t, &iak, &idevid, nonce, &attest, &signature, &e));
	assert_ok(tpm_certify_check(&iak_pub, &idevid_pub, nonce, &attest, &signature, &e));
	tpm_close(t);
	tpm_public_release(&iak_pub);
	tpm_public_release(&k_pub);
	tpm_public_release(&idevid_pub);
	tpm_key_release(&k);
	tpm_key_release(&idevid);
	tpm_key_release(&iak);
	tpm_key_release(&srk);
}

static void what_is_no_public_area_is_refused(void **state)
{
	struct tpm *t = opened();
	struct tpm_key iak = ensured(t, TPM_IAK);
	struct tpm_public p;
	struct tpm_blob b;
	struct err e;

	(void)state;
	for (size_t len = 0; len < iak.pub.len; len++) {
		b = iak.pub;
		b.len = len;
		assert_int_equal(tpm_public_read(&b, &p, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	b = iak.pub;
	b.len++;
	assert_int_equal(tpm_public_read(&b, &p, &e), -1);
	b = iak.pub;
	b.data[5] = 0x0c; /* nameAlg SHA-384 */
	assert_int_equal(tpm_public_read(&b, &p, &e), -1);
	tpm_key_release(&iak);
	tpm_close(t);
}

/* One activation with the EK of that certificate; what comes out must be what went in. */
static void activate_by(struct tpm *t, const struct crypto_key *ek)
{
	struct tpm_key iak = ensured(t, TPM_IAK), idevid = ensured(t, TPM_IDEVID);
	struct tpm_blob c, s;
	struct secret value;
	uint8_t want[CRYPTO_HASH];
	struct err e;

	assert_ok(crypto_random(want, sizeof want, &e));
	make_credential(ek, &iak, want, &c, &s);
	assert_ok(tpm_activate(t, &iak, &c, &s, &value, &e));
	assert_int_equal(value.len, sizeof want);
	assert_memory_equal(value.data, want, sizeof want);

	/* Another key's name is in the credential: this one may not have it. */
	make_credential(ek, &idevid, want, &c, &s);
	assert_refused(tpm_activate(t, &iak, &c, &s, &value, &e), ERR_REFUSED, "not for this TPM's EK and this IAK");
	tpm_key_release(&iak);
	tpm_key_release(&idevid);
}

static void the_ek_certificate_is_that_of_the_ek_and_activates(void **state)
{
	struct tpm *t = opened();
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_crypto_bag struct crypto_bag *chain = NULL;
	auto_crypto_key struct crypto_key *key = NULL;
	struct tpm_key ek;
	struct err e;
	bool found;

	(void)state;
	assert_ok(crypto_bag_new(&chain, &e));
	assert_ok(tpm_ek_certificate(t, &cert, chain, &e));
	assert_non_null(cert);
	assert_ok(crypto_cert_key(cert, &key, &e));
	assert_refused(tpm_key_find(t, TPM_EK, &ek, &found, &e), ERR_BUG, "tpm_ek_use");
	assert_ok(tpm_ek_use(t, cert, &e));
	assert_ok(tpm_key_find(t, TPM_EK, &ek, &found, &e));
	assert_true(crypto_key_same(ek.key, key));
	assert_true(ek.handle != 0);
	activate_by(t, key);
	tpm_key_release(&ek);
	tpm_close(t);
}

static bool lacks_p384;

TSS2_RC __real_Esys_CreatePrimary(ESYS_CONTEXT *c, ESYS_TR hierarchy, ESYS_TR one, ESYS_TR two, ESYS_TR three,
				  const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *template,
				  const TPM2B_DATA *data, const TPML_PCR_SELECTION *pcrs, ESYS_TR *tr, TPM2B_PUBLIC **pub,
				  TPM2B_CREATION_DATA **made, TPM2B_DIGEST **hash, TPMT_TK_CREATION **ticket);
TSS2_RC __wrap_Esys_CreatePrimary(ESYS_CONTEXT *c, ESYS_TR hierarchy, ESYS_TR one, ESYS_TR two, ESYS_TR three,
				  const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *template,
				  const TPM2B_DATA *data, const TPML_PCR_SELECTION *pcrs, ESYS_TR *tr, TPM2B_PUBLIC **pub,
				  TPM2B_CREATION_DATA **made, TPM2B_DIGEST **hash, TPMT_TK_CREATION **ticket);
TSS2_RC __wrap_Esys_CreatePrimary(ESYS_CONTEXT *c, ESYS_TR hierarchy, ESYS_TR one, ESYS_TR two, ESYS_TR three,
				  const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *template,
				  const TPM2B_DATA *data, const TPML_PCR_SELECTION *pcrs, ESYS_TR *tr, TPM2B_PUBLIC **pub,
				  TPM2B_CREATION_DATA **made, TPM2B_DIGEST **hash, TPMT_TK_CREATION **ticket)
{
	const TPMT_PUBLIC *a = &template->publicArea;

	if (lacks_p384 && a->type == TPM2_ALG_ECC && a->parameters.eccDetail.curveID == TPM2_ECC_NIST_P384)
		return TPM2_RC_CURVE | TPM2_RC_P | TPM2_RC_2;
	return __real_Esys_CreatePrimary(c, hierarchy, one, two, three, sensitive, template, data, pcrs, tr, pub, made, hash,
					 ticket);
}

/* As the TPM of many a board: only an RSA certificate of its EK, and no P-384. */
static void a_curve_that_the_tpm_lacks_does_not_end_the_search_for_the_ek(void **state)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	struct tpm *t = opened();
	uint8_t der[4096];
	size_t len;
	struct err e;

	(void)state;
	assert_ok(tpm_nv_read(t, 0x01c00002, der, sizeof der, &len, &e));
	assert_ok(crypto_cert_from_der(der, len, &cert, &e));
	lacks_p384 = true;
	assert_ok(tpm_ek_use(t, cert, &e));
	lacks_p384 = false;
	assert_int_equal(t->ek_handle, 0);
	tpm_close(t);
}

static void every_ek_template_makes_the_key_of_its_certificate(void **state)
{
	struct tpm *t = opened();
	TPM2_HANDLE h[16];
	size_t count;
	struct err e;

	(void)state;
	assert_ok(tpm_handles(t, 0x81010000, h, COUNT_OF(h), &count, &e));
	for (size_t i = 0; i < count; i++)
		if (h[i] <= 0x8101ffff)
			take_away(t, h[i]);
	for (size_t i = 0, seen = 0; i < tpm_ek_profile_count; i++) {
		auto_crypto_cert struct crypto_cert *cert = NULL;
		auto_crypto_key struct crypto_key *key = NULL;
		uint8_t der[4096];
		size_t len;

		assert_ok(tpm_nv_read(t, tpm_ek_profiles[i].certificate, der, sizeof der, &len, &e));
		seen += len > 0;
		if (i + 1 == tpm_ek_profile_count)
			assert_true(seen >= 2); /* swtpm's P-384 and RSA */
		if (!len)
			continue;
		assert_ok(crypto_cert_from_der(der, len, &cert, &e));
		assert_ok(crypto_cert_key(cert, &key, &e));
		assert_ok(tpm_ek_use(t, cert, &e));
		assert_int_equal(t->ek_handle, 0);
		activate_by(t, key);
	}
	tpm_close(t);
	t = opened();
	assert_ok(tpm_ek_use(t, NULL, &e)); /* no certificate: P-256 by template */
	assert_int_equal(t->ek_handle, 0);
	tpm_close(t);
}

static void an_odd_certificate_does_not_hide_another(void **state)
{
	struct tpm *t = opened();
	auto_crypto_cert struct crypto_cert *cert = NULL;
	struct err e;

	(void)state;
	assert_int_equal(tools("tpm2_nvdefine -Q -C o -s 20 -a 'ownerread|ownerwrite|authread|no_da' 0x01c0000a && "
			       "head -c 20 setup.conf >odd && tpm2_nvwrite -Q -C o -i odd 0x01c0000a", 0), 0);
	assert_ok(tpm_ek_certificate(t, &cert, NULL, &e));
	assert_non_null(cert);
	assert_int_equal(tools("tpm2_nvundefine -C o 0x01c0000a", 0), 0);
	tpm_close(t);
}

static void a_makers_nonce_and_template_are_used(void **state)
{
	static const char *const ways[] = {
		/* A nonce of 20 bytes: unique.x begins with it. */
		"tpm2_nvdefine -Q -C o -s 20 -a 'ownerread|ownerwrite|authread|no_da' 0x01c0000b && "
		"head -c 20 setup.conf >nonce && tpm2_nvwrite -Q -C o -i nonce 0x01c0000b && "
		"{ printf '\\040\\000'; cat nonce; head -c 108 /dev/zero; printf '\\040\\000'; head -c 128 /dev/zero; } "
		">unique && tpm2_createprimary -Q -C e -g sha256 -G ecc256:null:aes128cfb -u unique -c ek.ctx "
		"-L 837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa "
		"-a 'fixedtpm|fixedparent|sensitivedataorigin|adminwithpolicy|restricted|decrypt' && "
		"tpm2_readpublic -Q -c ek.ctx -f pem -o ek.pem && tpm2_flushcontext -t && tpm2_flushcontext -t",
		/* A template that lets the user role go by authorisation; the nonce still holds. */
		"tpm2_createprimary -Q -C e -g sha256 -G ecc256:null:aes128cfb -u unique -c ek.ctx "
		"-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt' && "
		"tpm2_readpublic -Q -c ek.ctx -f pem -o ek.pem && tpm2_readpublic -Q -c ek.ctx -f tpmt -o tpmt && "
		"tpm2_nvdefine -Q -C o -s $(stat -c %s tpmt) -a 'ownerread|ownerwrite|authread|no_da' 0x01c0000c && "
		"tpm2_nvwrite -Q -C o -i tpmt 0x01c0000c && tpm2_flushcontext -t",
	};
	struct tpm_key ek;
	bool found;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		auto_free char *path = xasprintf("%s/ek.pem", chip.dir);
		auto_crypto_key struct crypto_key *theirs = NULL;
		auto_buf struct buf pem = BUF_INIT;
		struct tpm *t;

		assert_int_equal(tools(ways[i], 0), 0);
		assert_ok(file_read(path, 4096, &pem, &e));
		assert_ok(crypto_key_from_pem(pem.data, &theirs, &e));
		t = opened();
		assert_ok(tpm_ek_use(t, NULL, &e));
		assert_ok(tpm_key_find(t, TPM_EK, &ek, &found, &e));
		if (i == 0)
			assert_true(crypto_key_same(ek.key, theirs));
		else /* another unique, so another key, but of that template: userWithAuth and no adminWithPolicy */
			assert_int_equal(ek.pub.data[9], 0x72);
		tpm_key_release(&ek);
		tpm_close(t);
	}
	assert_int_equal(tools("tpm2_nvundefine -C o 0x01c0000b && tpm2_nvundefine -C o 0x01c0000c", 0), 0);
}

static void a_certificate_of_another_tpm_is_refused(void **state)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	struct swtpm other;
	struct tpm *t;
	struct err e;

	(void)state;
	swtpm_make(&other);
	swtpm_start(&other);
	assert_ok(tpm_open(other.tcti, 0, &t, &e));
	assert_ok(tpm_ek_certificate(t, &cert, NULL, &e));
	tpm_close(t);
	swtpm_end(&other);
	t = opened();
	assert_refused(tpm_ek_use(t, cert, &e), ERR_REFUSED, "does not have the key of its EK certificate");
	tpm_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_policies_are_those_of_the_branches),
		cmocka_unit_test(keys_are_made_once_and_found_again),
		cmocka_unit_test(a_foreign_object_at_a_handle_is_refused_by_name),
		cmocka_unit_test(a_created_key_signs_and_survives_its_file),
		cmocka_unit_test(the_idevid_signs_too),
		cmocka_unit_test(another_tpms_key_is_refused),
		cmocka_unit_test(tpm2_tools_sees_the_keys_with_tcgs_attributes),
		cmocka_unit_test(a_certified_key_is_believed_and_each_change_is_not),
		cmocka_unit_test(what_is_no_public_area_is_refused),
		cmocka_unit_test(the_ek_certificate_is_that_of_the_ek_and_activates),
		cmocka_unit_test(every_ek_template_makes_the_key_of_its_certificate),
		cmocka_unit_test(a_curve_that_the_tpm_lacks_does_not_end_the_search_for_the_ek),
		cmocka_unit_test(an_odd_certificate_does_not_hide_another),
		cmocka_unit_test(a_makers_nonce_and_template_are_used),
		cmocka_unit_test(a_certificate_of_another_tpm_is_refused),
	};

	return cmocka_run_group_tests(tests, make_chip, end_chip);
}
