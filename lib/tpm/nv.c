/* nv: what stands in the TPM's memory: certificates of its maker, our counter, our revocation bits. */
#include "inside.h"

#include <string.h>

#include <tss2/tss2_mu.h>

/* Anyone at the TPM may raise the counter, nobody can lower it; bits are set by the owner alone. Neither by a password,
 * so that a wrong one can lock nothing out. */
#define COUNTER (TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA | \
		 TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT)
#define BITS (TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_OWNERWRITE | TPMA_NV_NO_DA | \
	      TPM2_NT_BITS << TPMA_NV_TPM2_NT_SHIFT)
enum { CHUNK = 512 }; /* every TPM takes that much (TPM2_PT_NV_BUFFER_MAX) */

struct index {
	ESYS_TR tr;
	TPMS_NV_PUBLIC pub;
	bool there, written;
};

static int open_index(struct tpm *t, TPM2_HANDLE h, struct index *x, struct err *e)
{
	TPM2B_NV_PUBLIC auto_esys *pub = NULL;
	TSS2_RC rc;

	*x = (struct index){.tr = ESYS_TR_NONE};
	if (tpm_handle_there(t, h, &x->there, e))
		return -1;
	if (!x->there)
		return 0;
	rc = tpm_try(t, Esys_TR_FromTPMPublic(t->esys, h, N3, &x->tr));
	if (!rc)
		rc = tpm_try(t, Esys_NV_ReadPublic(t->esys, x->tr, N3, &pub, NULL));
	if (rc)
		return tpm_fail(t, rc, e, "cannot read the NV index 0x%x", h);
	x->pub = pub->nvPublic;
	x->written = x->pub.attributes & TPMA_NV_WRITTEN;
	return 0;
}

static int read_index(struct tpm *t, const struct index *x, uint8_t *to, struct err *e)
{
	ESYS_TR by = x->pub.attributes & TPMA_NV_AUTHREAD ? x->tr : ESYS_TR_RH_OWNER, auth = ESYS_TR_PASSWORD;
	size_t at = 0;

	if (by == ESYS_TR_RH_OWNER && tpm_auth(t, by, &auth, e))
		return -1;
	while (at < x->pub.dataSize) {
		size_t left = x->pub.dataSize - at;
		TPM2B_MAX_NV_BUFFER auto_esys *d = NULL;
		TSS2_RC rc = tpm_try(t, Esys_NV_Read(t->esys, by, x->tr, auth, ESYS_TR_NONE, ESYS_TR_NONE,
						     (UINT16)(left < CHUNK ? left : CHUNK), (UINT16)at, &d));

		if (rc || d->size == 0 || d->size > left)
			return tpm_fail(t, rc ? rc : TSS2_ESYS_RC_MALFORMED_RESPONSE, e, "cannot read the NV index 0x%x",
					x->pub.nvIndex);
		memcpy(to + at, d->buffer, d->size);
		at += d->size;
	}
	return 0;
}

int tpm_nv_read(struct tpm *t, TPM2_HANDLE h, uint8_t *to, size_t max, size_t *len, struct err *e)
{
	struct index x;

	*len = 0;
	if (open_index(t, h, &x, e))
		return -1;
	if (!x.there || !x.written)
		return 0;
	if (x.pub.dataSize > max)
		return err_set(e, ERR_INPUT, 0, "the NV index 0x%x has %u bytes, more than %zu", h, x.pub.dataSize, max);
	if (read_index(t, &x, to, e))
		return -1;
	*len = x.pub.dataSize;
	return 0;
}

/* ---- our two ----------------------------------------------------------------------------------------------------- */

static TPMS_NV_PUBLIC ours(TPM2_HANDLE h)
{
	return (TPMS_NV_PUBLIC){.nvIndex = h, .nameAlg = TPM2_ALG_SHA256, .dataSize = 8,
				.attributes = h == TPM_NV_COUNTER ? COUNTER : BITS};
}

void tpm_bits_name(uint8_t name[2 + CRYPTO_HASH])
{
	TPMS_NV_PUBLIC pub = ours(TPM_NV_BITS);
	uint8_t bytes[sizeof pub];
	size_t len = 0;

	pub.attributes |= TPMA_NV_WRITTEN;
	(void)Tss2_MU_TPMS_NV_PUBLIC_Marshal(&pub, bytes, sizeof bytes, &len); /* fourteen bytes */
	put16(name, TPM2_ALG_SHA256);
	crypto_sha256(bytes, len, name + 2);
}

static int open_ours(struct tpm *t, TPM2_HANDLE h, struct index *x, struct err *e)
{
	TPMS_NV_PUBLIC want = ours(h);

	if (open_index(t, h, x, e))
		return -1;
	if (x->there && ((x->pub.attributes & ~TPMA_NV_WRITTEN) != want.attributes || x->pub.dataSize != want.dataSize ||
			 x->pub.nameAlg != want.nameAlg || x->pub.authPolicy.size != 0))
		return err_set(e, ERR_REFUSED, 0, "the NV index 0x%x is another's (attributes 0x%x, %u bytes); see whose with "
			       "'tpm2_nvreadpublic 0x%x', and remove it with 'tpm2_nvundefine 0x%x' if nobody needs it", h,
			       x->pub.attributes, x->pub.dataSize, h, h);
	return 0;
}

static int value_of(struct tpm *t, const struct index *x, uint64_t *value, struct err *e)
{
	uint8_t b[8];

	if (!x->there || !x->written) /* what the TPM said a moment ago was another thing */
		return tpm_fail(t, TSS2_ESYS_RC_MALFORMED_RESPONSE, e, "cannot read the TPM's own NV index");
	if (read_index(t, x, b, e))
		return -1;
	*value = 0;
	for (int i = 0; i < 8; i++)
		*value = *value << 8 | b[i];
	return 0;
}

static int first_write(struct tpm *t, TPM2_HANDLE h, const struct index *x, struct err *e)
{
	ESYS_TR auth;
	TSS2_RC rc;

	if (h == TPM_NV_COUNTER) {
		rc = tpm_try(t, Esys_NV_Increment(t->esys, x->tr, x->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE));
	} else {
		if (tpm_auth(t, ESYS_TR_RH_OWNER, &auth, e))
			return -1;
		rc = tpm_try(t, Esys_NV_SetBits(t->esys, ESYS_TR_RH_OWNER, x->tr, auth, ESYS_TR_NONE, ESYS_TR_NONE, 0));
	}
	return rc ? tpm_fail(t, rc, e, "cannot begin the NV index 0x%x", h) : 0;
}

/* Defined and never written is what a cut between the two leaves. */
static int ensure(struct tpm *t, TPM2_HANDLE h, uint64_t *value, bool *made, struct err *e)
{
	const TPM2B_AUTH empty = {0};
	struct index x;

	*made = false;
	if (open_ours(t, h, &x, e))
		return -1;
	if (!x.there) {
		TPM2B_NV_PUBLIC pub = {.nvPublic = ours(h)};
		ESYS_TR auth;
		TSS2_RC rc;

		if (tpm_auth(t, ESYS_TR_RH_OWNER, &auth, e))
			return -1;
		rc = tpm_try(t, Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, auth, ESYS_TR_NONE, ESYS_TR_NONE, &empty, &pub,
						    &x.tr));
		if (rc)
			return tpm_fail(t, rc, e, "cannot make the NV index 0x%x", h);
		x.pub = pub.nvPublic;
		x.there = true;
	}
	if (!x.written) {
		if (first_write(t, h, &x, e))
			return -1;
		*made = x.written = true;
	}
	return value_of(t, &x, value, e);
}

int tpm_counter_ensure(struct tpm *t, uint64_t *value, bool *made, struct err *e)
{
	return ensure(t, TPM_NV_COUNTER, value, made, e);
}

int tpm_bits_ensure(struct tpm *t, uint64_t *value, bool *made, struct err *e)
{
	return ensure(t, TPM_NV_BITS, value, made, e);
}

static int read_ours(struct tpm *t, TPM2_HANDLE h, uint64_t *value, bool *there, struct err *e)
{
	struct index x;

	*value = 0;
	if (open_ours(t, h, &x, e))
		return -1;
	*there = x.there && x.written;
	return *there ? value_of(t, &x, value, e) : 0;
}

int tpm_counter_read(struct tpm *t, uint64_t *value, bool *there, struct err *e)
{
	return read_ours(t, TPM_NV_COUNTER, value, there, e);
}

int tpm_bits_read(struct tpm *t, uint64_t *value, bool *there, struct err *e)
{
	return read_ours(t, TPM_NV_BITS, value, there, e);
}

int tpm_counter_increment(struct tpm *t, uint64_t *value, struct err *e)
{
	struct index x;
	TSS2_RC rc;

	if (open_ours(t, TPM_NV_COUNTER, &x, e))
		return -1;
	if (!x.there)
		return err_set(e, ERR_REFUSED, 0, "the TPM has no counter at 0x%x: it was never provisioned, or cleared since",
			       TPM_NV_COUNTER);
	rc = tpm_try(t, Esys_NV_Increment(t->esys, x.tr, x.tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE));
	if (rc)
		return tpm_fail(t, rc, e, "cannot raise the TPM's counter");
	x.written = true;
	return value_of(t, &x, value, e);
}

int tpm_bits_set(struct tpm *t, int slot, struct err *e)
{
	struct index x;
	ESYS_TR auth;
	TSS2_RC rc;

	if (slot < 0 || slot >= TPM_SLOTS)
		return err_set(e, ERR_INPUT, 0, "the slot is %d, must be 0…%d", slot, TPM_SLOTS - 1);
	if (open_ours(t, TPM_NV_BITS, &x, e))
		return -1;
	if (!x.there)
		return err_set(e, ERR_REFUSED, 0, "the TPM has no revocation bits at 0x%x: it was never provisioned, or "
			       "cleared since", TPM_NV_BITS);
	if (tpm_auth(t, ESYS_TR_RH_OWNER, &auth, e))
		return -1;
	rc = tpm_try(t, Esys_NV_SetBits(t->esys, ESYS_TR_RH_OWNER, x.tr, auth, ESYS_TR_NONE, ESYS_TR_NONE,
					UINT64_C(1) << slot));
	return rc ? tpm_fail(t, rc, e, "cannot set the revocation bit %d", slot) : 0;
}

int tpm_nv_remove(struct tpm *t, uint32_t h, struct err *e)
{
	struct index x;
	ESYS_TR auth;
	TSS2_RC rc;

	if (h == TPM_NV_COUNTER || h == TPM_NV_BITS ? open_ours(t, h, &x, e) : open_index(t, h, &x, e))
		return -1;
	if (!x.there)
		return 0;
	if (tpm_auth(t, ESYS_TR_RH_OWNER, &auth, e))
		return -1;
	rc = tpm_try(t, Esys_NV_UndefineSpace(t->esys, ESYS_TR_RH_OWNER, x.tr, auth, ESYS_TR_NONE, ESYS_TR_NONE));
	return rc ? tpm_fail(t, rc, e, "cannot remove the NV index 0x%x", h) : 0;
}
