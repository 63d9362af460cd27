/* rc: a response code as one sentence for the person in front of the board, with what to do next. */
#include "inside.h"

#include <errno.h>
#include <string.h>

#include <tss2/tss2_rc.h>

TPM2_RC tpm_rc_base(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	if (rc == 0 || (layer != 0 && layer != TSS2_RESMGR_TPM_RC_LAYER))
		return 0;
	rc &= ~TSS2_RC_LAYER_MASK;
	/* Format one says which parameter, session or handle in bits 8 to 11 (Part 2, 6.6.2). */
	return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

/* What each means here, and what to do; in the order of likelihood at a board. */
static const struct meaning {
	TPM2_RC rc;
	enum err_kind kind;
	const char *text;
} meanings[] = {
	{TPM2_RC_AUTH_FAIL, ERR_REFUSED, "the authorisation is wrong, and the TPM counted it towards its lock-out; it is "
	 "not tried again"},
	{TPM2_RC_BAD_AUTH, ERR_REFUSED, "the authorisation is wrong (this does not count towards a lock-out)"},
	{TPM2_RC_POLICY_FAIL, ERR_REFUSED, "the TPM does not find its policy fulfilled"},
	{TPM2_RC_POLICY, ERR_REFUSED, "the TPM does not find its policy fulfilled"},
	{TPM2_RC_POLICY_CC, ERR_REFUSED, "the policy allows another command only"},
	{TPM2_RC_PCR_CHANGED, ERR_AGAIN, "the PCRs changed meanwhile; try again"},
	{TPM2_RC_AUTH_TYPE, ERR_REFUSED, "the TPM asks for a policy there"},
	{TPM2_RC_AUTH_UNAVAILABLE, ERR_REFUSED, "the TPM does not take that kind of authorisation there"},
	{TPM2_RC_INTEGRITY, ERR_REFUSED, "it was made by another TPM, or this one was cleared since"},
	{TPM2_RC_SIGNATURE, ERR_REFUSED, "the signature is not that key's"},
	{TPM2_RC_TICKET, ERR_REFUSED, "the ticket is not this TPM's"},
	{TPM2_RC_HANDLE, ERR_REFUSED, "the TPM has nothing at that handle; it was cleared or replaced"},
	{TPM2_RC_OBJECT_MEMORY, ERR_AGAIN, "the TPM is full of other programs' objects; end them, then flush what is left "
	 "with 'tpm2_flushcontext -t', or power-cycle the board"},
	{TPM2_RC_OBJECT_HANDLES, ERR_AGAIN, "the TPM is full of other programs' objects; end them, then flush what is left "
	 "with 'tpm2_flushcontext -t', or power-cycle the board"},
	{TPM2_RC_SESSION_MEMORY, ERR_AGAIN, "the TPM is full of other programs' sessions; end them, then flush what is "
	 "left with 'tpm2_flushcontext -l', or power-cycle the board"},
	{TPM2_RC_SESSION_HANDLES, ERR_AGAIN, "the TPM is full of other programs' sessions; end them, then flush what is "
	 "left with 'tpm2_flushcontext -s', or power-cycle the board"},
	{TPM2_RC_CONTEXT_GAP, ERR_AGAIN, "another program holds a session for too long; end it, or power-cycle the board"},
	{TPM2_RC_RETRY, ERR_AGAIN, "the TPM was busy for too long; try again"},
	{TPM2_RC_YIELDED, ERR_AGAIN, "the TPM was busy for too long; try again"},
	{TPM2_RC_TESTING, ERR_AGAIN, "the TPM tests itself; try again in some seconds"},
	{TPM2_RC_NV_RATE, ERR_AGAIN, "the TPM spares its memory and takes no more writes for now; try again in a minute"},
	{TPM2_RC_NV_UNAVAILABLE, ERR_AGAIN, "the TPM cannot write its memory now; try again"},
	{TPM2_RC_NV_SPACE, ERR_REFUSED, "the TPM has no room left for persistent objects; look with 'tpm2_getcap "
	 "handles-persistent' and 'tpm2_nvreadpublic', and remove what is not needed"},
	{TPM2_RC_NV_DEFINED, ERR_REFUSED, "something stands at that place already"},
	{TPM2_RC_NV_UNINITIALIZED, ERR_INPUT, "it was never written"},
	{TPM2_RC_NV_LOCKED, ERR_REFUSED, "it is locked until the next restart"},
	{TPM2_RC_NV_AUTHORIZATION, ERR_REFUSED, "its attributes do not allow that"},
	{TPM2_RC_HIERARCHY, ERR_REFUSED, "the firmware has switched that hierarchy off; switch the TPM's storage and "
	 "endorsement hierarchies on in the firmware"},
	{TPM2_RC_DISABLED, ERR_REFUSED, "the command is switched off in this TPM"},
	{TPM2_RC_COMMAND_CODE, ERR_REFUSED, "this TPM does not have the command"},
	{TPM2_RC_CURVE, ERR_INPUT, "this TPM does not have the curve"}, /* a template of another may do: ek.c */
	{TPM2_RC_FAILURE, ERR_REFUSED, "the TPM is in failure mode; power-cycle the board, and replace it when that does "
	 "not help"},
	{TPM2_RC_INITIALIZE, ERR_REFUSED, "the TPM was not started; power-cycle the board"},
	{TPM2_RC_REBOOT, ERR_REFUSED, "the TPM asks for a restart; power-cycle the board"},
	{TPM2_RC_UPGRADE, ERR_REFUSED, "the TPM is in the midst of an update of its firmware; finish that first"},
	{TPM2_RC_LOCALITY, ERR_REFUSED, "the TPM does not take that from here"},
};

static const struct meaning lost = {0, ERR_UNREACHABLE, "the connection to the TPM broke; does it still run there?"};
static const struct meaning odd = {0, ERR_INPUT, "the TPM's answer is none; look at its connection and firmware"};

/* NULL: only its number can be told. */
static const struct meaning *meaning_of(TSS2_RC rc)
{
	TPM2_RC base = tpm_rc_base(rc);

	if (!base) {
		if ((rc & TSS2_RC_LAYER_MASK) == TSS2_MU_RC_LAYER) /* its answer does not unmarshal */
			return &odd;
		switch (rc & 0xffff) {
		case TSS2_BASE_RC_IO_ERROR:
		case TSS2_BASE_RC_NO_CONNECTION:
		case TSS2_BASE_RC_TRY_AGAIN:
			return &lost;
		case TSS2_BASE_RC_MALFORMED_RESPONSE:
		case TSS2_BASE_RC_INSUFFICIENT_RESPONSE:
		case TSS2_BASE_RC_RSP_AUTH_FAILED: /* someone on the bus changed it */
		case TSS2_BASE_RC_GENERAL_FAILURE:
			return &odd;
		default:
			return NULL;
		}
	}
	/* TPM2_RC_SUCCESS is no meaning; warnings for a handle or session that is not loaded (Part 2, 6.6.3). */
	for (size_t i = 0; i < COUNT_OF(meanings); i++)
		if (meanings[i].rc == base)
			return &meanings[i];
	return NULL;
}

bool tpm_rc_is_odd(TSS2_RC rc)
{
	return meaning_of(rc) == &odd;
}

/* A failure more is forgotten every recovery_s; nothing was tried again meanwhile. */
static void tell_lockout(struct tpm *t, char *to, size_t n)
{
	uint32_t tries = 0, most = 0, recovery = 0;
	struct err ignored;

	if (!t || tpm_property(t, TPM2_PT_LOCKOUT_COUNTER, &tries, &ignored) ||
	    tpm_property(t, TPM2_PT_MAX_AUTH_FAIL, &most, &ignored) ||
	    tpm_property(t, TPM2_PT_LOCKOUT_INTERVAL, &recovery, &ignored) || !recovery) {
		str_copy(to, n, "the TPM is in lock-out after wrong authorisations by some program; nothing is tried again; it "
			 "ends by 'tpm2_dictionarylockout -c' with the lockout authorisation, or when the TPM is cleared");
		return;
	}
	snprintf(to, n, "the TPM is in lock-out: %u wrong authorisations, %u are too many; one is forgotten every %u s "
		 "that the board is on, so it can be used again in at most %u s; nothing is tried again", tries, most, recovery,
		 (tries >= most ? tries - most + 1 : 1) * recovery);
}

int tpm_fail(struct tpm *t, TSS2_RC rc, struct err *e, const char *fmt, ...)
{
	const struct meaning *m = meaning_of(rc);
	char what[160], why[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (tpm_rc_base(rc) == TPM2_RC_LOCKOUT) {
		tell_lockout(t, why, sizeof why);
		return err_set(e, ERR_AGAIN, 0, "%s: %s", what, why);
	}
	if (t && t->wire.interrupted)
		return err_set(e, ERR_INTERRUPTED, EINTR, "%s: interrupted; say it again, and it goes on", what);
	if (t && t->wire.late)
		return err_set(e, ERR_UNREACHABLE, 0, "%s: the TPM did not answer within %d s; power-cycle the board, or "
			       "end and start again what serves the TPM", what, (t->wire.answer_ms + 999) / 1000);
	if (m)
		return err_set(e, m->kind, 0, "%s: %s", what, m->text);
	str_printable(why, sizeof why, Tss2_RC_Decode(rc), strlen(Tss2_RC_Decode(rc)));
	return err_set(e, ERR_IO, 0, "%s: the TPM says 0x%x (%s)", what, rc, why);
}
