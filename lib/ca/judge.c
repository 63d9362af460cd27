/* What a request claims, judged without the registry: the EK's chain, the IAK, the key it certified, the CSR. */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void judged_release(struct judged *j)
{
	enrol_request_release(&j->request);
	crypto_key_free(j->ek);
	crypto_key_free(j->iak);
	crypto_key_free(j->key);
	j->ek = j->iak = j->key = NULL;
}

/* ---- the endorsement key ---- */

static int check_chain(struct ca *c, const struct now *now, const struct crypto_cert *ek, struct judged *j,
		       struct err *e)
{
	auto_free char *path = ca_path(c, "ek-roots.pem");
	auto_crypto_bag struct crypto_bag *roots = NULL, *between = NULL;
	struct crypto_check how = { .use = CRYPTO_USE_EK, .now = now };
	bool time_checked;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0; /* the registry says so with each certificate */
	if (crypto_bag_new(&roots, e) || crypto_bag_read(roots, path, e) || crypto_bag_new(&between, e))
		return -1;
	for (size_t i = 0; i < j->request.ek_chain_count; i++)
		if (crypto_bag_add_pem(between, "ek.chain", j->request.ek_chain[i], e))
			return -1;
	how.roots = roots;
	how.between = between;
	if (crypto_cert_check(ek, &how, &time_checked, e)) {
		if (strstr(e->text, "not signed by a given root"))
			err_add(e, "; whose TPMs this CA believes is in its '%s': if the maker is meant, add its root and "
				"what is between, from the maker's site, not from the board", path);
		return err_ctx(e, "the endorsement certificate");
	}
	j->ek_checked = true;
	return 0;
}

static int judge_ek(struct ca *c, const struct now *now, struct judged *j, struct err *e)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_buf struct buf pem = BUF_INIT;

	if (crypto_cert_from_pem(j->request.ek_certificate, &cert, e) || crypto_cert_key(cert, &j->ek, e))
		return err_ctx(e, "ek.certificate");
	if (check_chain(c, now, cert, j, e) || crypto_key_public_pem(j->ek, &pem, e))
		return -1;
	enrol_hash(pem.data, j->ek_hash);
	return 0;
}

/* ---- the keys ---- */

static int judge_keys(struct judged *j, struct err *e)
{
	__attribute__((cleanup(tpm_public_release))) struct tpm_public iak = { 0 }, key = { 0 };
	struct enrol_request *r = &j->request;
	uint8_t nonce[CRYPTO_HASH];

	if (tpm_public_read(&r->iak, &iak, e))
		return err_ctx(e, "iak.public");
	if (tpm_public_read(&r->key, &key, e))
		return err_ctx(e, "key.public");
	if (!iak.fixed || !iak.restricted || !iak.signs)
		return err_set(e, ERR_REFUSED, 0, "the IAK is no restricted signing key that was made in its TPM and is fixed "
						  "to it");
	if (!key.fixed || !key.signs)
		return err_set(e, ERR_REFUSED, 0, "the key is no signing key that was made in its TPM and is fixed to it");
	if (key.restricted)
		return err_set(e, ERR_REFUSED, 0, "the key is restricted: it could not sign for TLS");
	enrol_nonce(r->profile, r->serial, r->site, nonce);
	if (tpm_certify_check(&iak, &key, nonce, &r->certify, &r->signature, e))
		return err_ctx(e, "key.certify");
	memcpy(j->iak_name, iak.name, iak.name_len);
	j->iak_name_len = iak.name_len;
	crypto_hex(iak.name + 2, CRYPTO_HASH, j->iak_hash, sizeof j->iak_hash); /* what follows the hash's number */
	j->iak = take(iak.key);
	j->key = take(key.key);
	return 0;
}

static int judge_csr(const struct judged *j, struct err *e)
{
	const struct enrol_request *r = &j->request;
	const char *cn_must = r->profile == ENROL_LDEVID ? r->site : r->serial;
	auto_crypto_key struct crypto_key *key = NULL;
	char cn[65], number[65];

	if (crypto_request_read(r->csr, &key, cn, number, e))
		return err_ctx(e, "key.csr");
	if (!crypto_key_same(key, j->key))
		return err_set(e, ERR_REFUSED, 0, "key.csr is for another key than key.public");
	if (!str_eq(cn, cn_must))
		return err_set(e, ERR_REFUSED, 0, "key.csr asks for the name '%s', must be '%s'", cn, cn_must);
	if (!str_eq(number, r->serial))
		return err_set(e, ERR_REFUSED, 0, "key.csr asks for the serial number '%s', must be '%s'", number, r->serial);
	return 0;
}

int judge(struct ca *c, const struct now *now, const char *request, struct judged *out, struct err *e)
{
	*out = (struct judged){ 0 };
	if (!enrol_request_read(request, &out->request, e) && !judge_ek(c, now, out, e) && !judge_keys(out, e) &&
	    !judge_csr(out, e))
		return 0;
	judged_release(out);
	return -1;
}
