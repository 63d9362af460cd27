/* policy: digests of policies, computed as the TPM computes them (TPM 2.0 Part 3, 23). */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

void tpm_policy_extend(uint8_t digest[CRYPTO_HASH], TPM2_CC command, const void *args, size_t len)
{
	struct buf b = BUF_INIT;
	uint8_t code[4];

	put32(code, command);
	buf_add(&b, digest, CRYPTO_HASH);
	buf_add(&b, code, sizeof code);
	buf_add(&b, args, len);
	crypto_sha256(b.data, b.len, digest);
	buf_release(&b);
}

void tpm_policy_entity(uint8_t digest[CRYPTO_HASH], TPM2_CC command, const void *name, size_t name_len, const char *ref)
{
	struct buf b = BUF_INIT;

	tpm_policy_extend(digest, command, name, name_len);
	buf_add(&b, digest, CRYPTO_HASH);
	buf_adds(&b, ref);
	crypto_sha256(b.data, b.len, digest);
	buf_release(&b);
}

/* The authority signs words for policies; its key is no TPM's, so that its public area is ours to choose. */
int tpm_authority(const struct crypto_key *authority, TPM2B_PUBLIC *pub, uint8_t name[2 + CRYPTO_HASH], struct err *e)
{
	TPMS_ECC_POINT *point = &pub->publicArea.unique.ecc;
	size_t len;

	*pub = (TPM2B_PUBLIC){.publicArea = {
		.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SIGN_ENCRYPT,
		.parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL, .scheme.scheme = TPM2_ALG_NULL,
					 .curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL},
	}};
	point->x.size = point->y.size = 32;
	if (crypto_key_point(authority, point->x.buffer, point->y.buffer, e))
		return err_ctx(e, "the policy authority's key");
	return tpm_name_of(pub, name, 2 + CRYPTO_HASH, &len, e);
}

void tpm_pcr_selection(uint32_t mask, TPML_PCR_SELECTION *out)
{
	*out = (TPML_PCR_SELECTION){.count = 1};
	out->pcrSelections[0].hash = TPM2_ALG_SHA256;
	out->pcrSelections[0].sizeofSelect = TPM_PCRS / 8;
	for (int i = 0; i < TPM_PCRS; i++)
		if (mask >> i & 1)
			out->pcrSelections[0].pcrSelect[i / 8] |= (BYTE)(1 << i % 8);
}

void tpm_pcr_digest(const struct tpm_pcrs *pcrs, uint8_t digest[CRYPTO_HASH])
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < TPM_PCRS; i++)
		if (pcrs->mask >> i & 1)
			buf_add(&b, pcrs->value[i], CRYPTO_HASH);
	crypto_sha256(b.data, b.len, digest);
	buf_release(&b);
}

void tpm_policy_digest(const struct tpm_pcrs *pcrs, int slot, uint8_t digest[CRYPTO_HASH])
{
	uint8_t args[sizeof(TPML_PCR_SELECTION) + CRYPTO_HASH], hash[CRYPTO_HASH + 2 + CRYPTO_HASH],
	operand[8 + 2 + 2] = {0};
	TPML_PCR_SELECTION selection;
	size_t len = 0;

	memset(digest, 0, CRYPTO_HASH);
	tpm_pcr_selection(pcrs->mask, &selection);
	(void)Tss2_MU_TPML_PCR_SELECTION_Marshal(&selection, args, sizeof args, &len); /* ten bytes into ample room */
	tpm_pcr_digest(pcrs, args + len);
	tpm_policy_extend(digest, TPM2_CC_PolicyPCR, args, len + CRYPTO_HASH);

	/* PolicyNV: H(operandB ‖ offset ‖ operation) ‖ the index's Name. */
	operand[7 - slot / 8] = (uint8_t)(1 << slot % 8);
	put16(operand + 10, TPM2_EO_BITCLEAR);
	crypto_sha256(operand, sizeof operand, hash);
	tpm_bits_name(hash + CRYPTO_HASH);
	tpm_policy_extend(digest, TPM2_CC_PolicyNV, hash, sizeof hash);
}

void tpm_policy_words(const uint8_t digest[CRYPTO_HASH], struct buf *words)
{
	buf_add(words, digest, CRYPTO_HASH);
	buf_adds(words, TPM_POLICY_REF);
}

void tpm_policy_signed(const uint8_t digest[CRYPTO_HASH], uint8_t out[CRYPTO_HASH])
{
	struct buf b = BUF_INIT;

	tpm_policy_words(digest, &b);
	crypto_sha256(b.data, b.len, out);
	buf_release(&b);
}
