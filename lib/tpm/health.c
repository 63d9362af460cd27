/* health: what a TPM says of itself, without an authorisation. */
#include "inside.h"

#include <string.h>

static uint32_t value(const struct tpm_properties *p, TPM2_PT property)
{
	return p->value[property - p->first];
}

/* Vendors fill with blanks, zeros and control characters. */
static void tidy(char *to, size_t n, const char *from, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 1 < n; i++)
		if (from[i] > ' ' && from[i] < 0x7f)
			to[used++] = from[i];
		else if (from[i] == ' ' && used > 0)
			to[used++] = ' ';
	while (used > 0 && to[used - 1] == ' ')
		used--;
	to[used] = '\0';
}

static int identity(struct tpm *t, struct tpm_health *out, struct err *e)
{
	struct tpm_properties p;
	uint32_t one, two, revision;
	uint8_t maker[4], model[16];

	if (tpm_properties(t, TPM2_PT_FIXED, &p, e))
		return -1;
	put32(maker, value(&p, TPM2_PT_MANUFACTURER));
	for (unsigned i = 0; i < 4; i++)
		put32(model + 4 * i, value(&p, TPM2_PT_VENDOR_STRING_1 + i));
	one = value(&p, TPM2_PT_FIRMWARE_VERSION_1);
	two = value(&p, TPM2_PT_FIRMWARE_VERSION_2);
	revision = value(&p, TPM2_PT_REVISION);
	tidy(out->manufacturer, sizeof out->manufacturer, (const char *)maker, sizeof maker);
	tidy(out->model, sizeof out->model, (const char *)model, sizeof model);
	snprintf(out->firmware, sizeof out->firmware, "%u.%u.%u.%u", one >> 16, one & 0xffff, two >> 16, two & 0xffff);
	snprintf(out->revision, sizeof out->revision, "%u.%02u", revision / 100 % 100, revision % 100);
	return 0;
}

static int state(struct tpm *t, struct tpm_health *out, struct err *e)
{
	struct tpm_properties p;
	uint32_t permanent, startup;

	if (tpm_properties(t, TPM2_PT_VAR, &p, e))
		return -1;
	permanent = value(&p, TPM2_PT_PERMANENT);
	startup = value(&p, TPM2_PT_STARTUP_CLEAR);
	out->lockout_counter = value(&p, TPM2_PT_LOCKOUT_COUNTER);
	out->max_tries = value(&p, TPM2_PT_MAX_AUTH_FAIL);
	out->recovery_s = value(&p, TPM2_PT_LOCKOUT_INTERVAL);
	out->lockout_recovery_s = value(&p, TPM2_PT_LOCKOUT_RECOVERY);
	out->persistent_free = value(&p, TPM2_PT_HR_PERSISTENT_AVAIL);
	out->owner_auth = permanent & TPMA_PERMANENT_OWNERAUTHSET;
	out->endorsement_auth = permanent & TPMA_PERMANENT_ENDORSEMENTAUTHSET;
	out->lockout_auth = permanent & TPMA_PERMANENT_LOCKOUTAUTHSET;
	out->in_lockout = permanent & TPMA_PERMANENT_INLOCKOUT;
	out->storage_enabled = startup & TPMA_STARTUP_CLEAR_SHENABLE;
	out->endorsement_enabled = startup & TPMA_STARTUP_CLEAR_EHENABLE;
	return 0;
}

static int foreign(struct tpm *t, TPM2_HANDLE first, uint32_t *out, struct err *e)
{
	TPM2_HANDLE h[64];
	size_t count;

	if (tpm_handles(t, first, h, COUNT_OF(h), &count, e))
		return -1;
	*out = 0;
	for (size_t i = 0; i < count; i++)
		*out += !tpm_is_ours(t, h[i]);
	return 0;
}

int tpm_health(struct tpm *t, struct tpm_health *out, struct err *e)
{
	TPM2B_MAX_BUFFER auto_esys *words = NULL;
	TPM2_RC result = TPM2_RC_SUCCESS;
	TSS2_RC rc;

	*out = (struct tpm_health){0};
	rc = tpm_try(t, Esys_GetTestResult(t->esys, N3, &words, &result));
	if (rc && rc != TPM2_RC_FAILURE)
		return tpm_fail(t, rc, e, "cannot ask the TPM for its self-test");
	out->failed = rc == TPM2_RC_FAILURE || (result != TPM2_RC_SUCCESS && result != TPM2_RC_NEEDS_TEST &&
						result != TPM2_RC_TESTING);
	if (out->failed) { /* Part 1, 12.3: it still tells who it is, not more */
		struct err ignored;

		(void)identity(t, out, &ignored);
		return 0;
	}
	if (identity(t, out, e) || state(t, out, e) || foreign(t, FIRST_TRANSIENT, &out->transient_loaded, e) ||
	    foreign(t, FIRST_LOADED_SESSION, &out->sessions_loaded, e))
		return -1;
	return 0;
}
