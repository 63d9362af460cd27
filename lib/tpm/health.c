/* health: what a TPM says of itself, without an authorisation. */
#include "inside.h"

#include <string.h>

static int word(struct tpm *t, TPM2_PT property, char to[4], struct err *e)
{
	uint32_t v;

	if (tpm_property(t, property, &v, e))
		return -1;
	put32((uint8_t *)to, v);
	return 0;
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
	uint32_t one, two, revision;
	char maker[4], model[16];

	if (word(t, TPM2_PT_MANUFACTURER, maker, e) || word(t, TPM2_PT_VENDOR_STRING_1, model, e) ||
	    word(t, TPM2_PT_VENDOR_STRING_2, model + 4, e) || word(t, TPM2_PT_VENDOR_STRING_3, model + 8, e) ||
	    word(t, TPM2_PT_VENDOR_STRING_4, model + 12, e) || tpm_property(t, TPM2_PT_FIRMWARE_VERSION_1, &one, e) ||
	    tpm_property(t, TPM2_PT_FIRMWARE_VERSION_2, &two, e) || tpm_property(t, TPM2_PT_REVISION, &revision, e))
		return -1;
	tidy(out->manufacturer, sizeof out->manufacturer, maker, sizeof maker);
	tidy(out->model, sizeof out->model, model, sizeof model);
	snprintf(out->firmware, sizeof out->firmware, "%u.%u.%u.%u", one >> 16, one & 0xffff, two >> 16, two & 0xffff);
	snprintf(out->revision, sizeof out->revision, "%u.%02u", revision / 100 % 100, revision % 100);
	return 0;
}

static int state(struct tpm *t, struct tpm_health *out, struct err *e)
{
	uint32_t permanent, startup;

	if (tpm_property(t, TPM2_PT_PERMANENT, &permanent, e) || tpm_property(t, TPM2_PT_STARTUP_CLEAR, &startup, e) ||
	    tpm_property(t, TPM2_PT_LOCKOUT_COUNTER, &out->lockout_counter, e) ||
	    tpm_property(t, TPM2_PT_MAX_AUTH_FAIL, &out->max_tries, e) ||
	    tpm_property(t, TPM2_PT_LOCKOUT_INTERVAL, &out->recovery_s, e) ||
	    tpm_property(t, TPM2_PT_LOCKOUT_RECOVERY, &out->lockout_recovery_s, e) ||
	    tpm_property(t, TPM2_PT_HR_PERSISTENT_AVAIL, &out->persistent_free, e))
		return -1;
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
