/* templates: the public areas of TCG's keys, from which a TPM makes the same key each time. */
#include "inside.h"

#include <string.h>

#define OURS (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)
#define DEVID (OURS | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_SIGN_ENCRYPT)
#define AES_128_CFB {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB}

/* TPM v2.0 Provisioning Guidance 7.5.1, by the ECC template of the EK Credential Profile (unique: 32 zeros each). */
const TPM2B_PUBLIC tpm_template_srk = {.publicArea = {
	.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256,
	.objectAttributes = OURS | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
			    TPMA_OBJECT_DECRYPT,
	.parameters.eccDetail = {.symmetric = AES_128_CFB, .scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
				 .kdf.scheme = TPM2_ALG_NULL},
	.unique.ecc = {.x.size = 32, .y.size = 32},
}};

/* "TPM 2.0 Keys for Device Identity and Attestation" 1.0: attributes 7.3.4.1, algorithms 7.3.4.2 (H-2), unique 7.3.1,
 * policies 7.3.6.6 table 19. The user role has the empty authorisation; the admin role goes by the policy. */
const TPM2B_PUBLIC tpm_template_iak = {.publicArea = {
	.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = DEVID | TPMA_OBJECT_RESTRICTED,
	.authPolicy = {.size = 32, .buffer = {
		0x54, 0x37, 0x18, 0x23, 0x26, 0xe4, 0x14, 0xfc, 0xa7, 0x97, 0xd5, 0xf1, 0x74, 0x61, 0x5a, 0x16,
		0x41, 0xf6, 0x12, 0x55, 0x79, 0x7c, 0x3a, 0x2b, 0x22, 0xc2, 0x1d, 0x12, 0x0b, 0x2d, 0x1e, 0x07}},
	.parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
				 .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
				 .kdf.scheme = TPM2_ALG_NULL},
	.unique.ecc = {.x = {.size = 3, .buffer = "IAK"}, .y = {.size = 3, .buffer = "IAK"}},
}};

const TPM2B_PUBLIC tpm_template_idevid = {.publicArea = {
	.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = DEVID,
	.authPolicy = {.size = 32, .buffer = {
		0xad, 0x6b, 0x3a, 0x22, 0x84, 0xfd, 0x69, 0x8a, 0x07, 0x10, 0xbf, 0x5c, 0xc1, 0xb9, 0xbd, 0xf1,
		0x5e, 0x25, 0x32, 0xe3, 0xf6, 0x01, 0xfa, 0x4b, 0x93, 0xa6, 0xa8, 0xfa, 0x8d, 0xe5, 0x79, 0xea}},
	.parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL, .scheme.scheme = TPM2_ALG_NULL,
				 .curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL},
	.unique.ecc = {.x = {.size = 6, .buffer = "IDEVID"}, .y = {.size = 6, .buffer = "IDEVID"}},
}};

/* The LDevID: signs for TLS in an everyday way, so that no wrong authorisation of others can lock it out. */
const TPM2B_PUBLIC tpm_template_sign = {.publicArea = {
	.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256,
	.objectAttributes = OURS | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT,
	.parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL, .scheme.scheme = TPM2_ALG_NULL,
				 .curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL},
}};

/* TCG EK Credential Profile 2.3, 2.2.1.4 and 2.2.1.5. */
const struct tpm_ek_profile tpm_ek_profiles[] = {
	{0x01c0000a, false, TPM2_ECC_NIST_P256, false},
	{0x01c00014, false, TPM2_ECC_NIST_P256, true},
	{0x01c00016, false, TPM2_ECC_NIST_P384, true},
	{0x01c00002, true, 0, false},
	{0x01c00012, true, 0, true},
};
const size_t tpm_ek_profile_count = COUNT_OF(tpm_ek_profiles);

/* EK Credential Profile B.6: PolicyA, and PolicyB for the H templates. */
static const uint8_t policy_a[32] = {
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
	0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
static const uint8_t policy_b[32] = {
	0xca, 0x3d, 0x0a, 0x99, 0xa2, 0xb9, 0x39, 0x06, 0xf7, 0xa3, 0x34, 0x24, 0x14, 0xef, 0xcf, 0xb3,
	0xa3, 0x85, 0xd4, 0x4c, 0xd1, 0xfd, 0x45, 0x90, 0x89, 0xd1, 0x9b, 0x50, 0x71, 0xc0, 0xb7, 0xa0};
static const uint8_t policy_b_384[48] = {
	0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
	0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
	0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

void tpm_ek_template(const struct tpm_ek_profile *p, TPM2B_PUBLIC *out)
{
	bool strong = p->curve == TPM2_ECC_NIST_P384;
	TPMT_SYM_DEF_OBJECT sym = AES_128_CFB;
	TPMT_PUBLIC *a = &out->publicArea;

	*out = (TPM2B_PUBLIC){0};
	a->type = p->rsa ? TPM2_ALG_RSA : TPM2_ALG_ECC;
	a->nameAlg = strong ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;
	a->objectAttributes = OURS | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT |
			      (p->high ? TPMA_OBJECT_USERWITHAUTH : 0);
	a->authPolicy.size = strong ? sizeof policy_b_384 : sizeof policy_a;
	memcpy(a->authPolicy.buffer, strong ? policy_b_384 : p->high ? policy_b : policy_a, a->authPolicy.size);
	if (strong)
		sym.keyBits.aes = 256;
	if (p->rsa) {
		a->parameters.rsaDetail.symmetric = sym;
		a->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
		a->parameters.rsaDetail.keyBits = 2048;
		a->unique.rsa.size = p->high ? 0 : 256;
		return;
	}
	a->parameters.eccDetail.symmetric = sym;
	a->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
	a->parameters.eccDetail.curveID = p->curve;
	a->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
	a->unique.ecc.x.size = a->unique.ecc.y.size = p->high ? 0 : 32;
}

/* The index of 7.3.2 whose content may replace the policy: PolicyAuthorizeNV. It need not be there; only its Name
 * counts, once written, with the attributes of 7.3.5.1. */
static void authorize_nv(uint32_t index, const uint8_t auth[CRYPTO_HASH], uint8_t digest[CRYPTO_HASH])
{
	uint8_t pub[4 + 2 + 4 + 2 + CRYPTO_HASH + 2], name[2 + CRYPTO_HASH];

	put32(pub, index);
	put16(pub + 4, TPM2_ALG_SHA256);
	put32(pub + 6, TPMA_NV_POLICYWRITE | TPMA_NV_WRITEALL | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD |
		       TPMA_NV_POLICYREAD | TPMA_NV_NO_DA | TPMA_NV_WRITTEN);
	put16(pub + 10, CRYPTO_HASH);
	memcpy(pub + 12, auth, CRYPTO_HASH);
	put16(pub + 12 + CRYPTO_HASH, 2 + CRYPTO_HASH); /* a TPMT_HA */
	put16(name, TPM2_ALG_SHA256);
	crypto_sha256(pub, sizeof pub, name + 2);
	memset(digest, 0, CRYPTO_HASH);
	tpm_policy_extend(digest, TPM2_CC_PolicyAuthorizeNV, name, sizeof name);
}

void tpm_devid_branches(enum tpm_key_role role, TPML_DIGEST *out)
{
	uint8_t endorsement[4], *d[4], command[4];

	*out = (TPML_DIGEST){.count = 4};
	for (int i = 0; i < 4; i++) {
		out->digests[i].size = CRYPTO_HASH;
		d[i] = out->digests[i].buffer;
	}
	put32(endorsement, TPM2_RH_ENDORSEMENT);
	tpm_policy_entity(d[0], TPM2_CC_PolicySecret, endorsement, sizeof endorsement, "");
	memcpy(d[1], d[0], CRYPTO_HASH);
	put32(command, TPM2_CC_Certify);
	tpm_policy_extend(d[1], TPM2_CC_PolicyCommandCode, command, sizeof command);
	memcpy(d[2], d[0], CRYPTO_HASH);
	put32(command, TPM2_CC_ActivateCredential);
	tpm_policy_extend(d[2], TPM2_CC_PolicyCommandCode, command, sizeof command);
	authorize_nv(role == TPM_IAK ? 0x01c90018 : 0x01c90010, d[0], d[3]);
}

const char *tpm_role_name(enum tpm_key_role role)
{
	static const char *const names[] = {"EK", "SRK", "IAK", "IDevID"};

	return names[role];
}
