/* open: a transaction from its lock to the last flush. */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The libraries would write about each expected failure, and about each odd byte in a document, on stderr. */
void tpm_quiet(void)
{
	setenv("TSS2_LOG", "all+none", 0);
}

/* Where an object stays loaded when its process dies. A "cmd:" ends at something that we do not know. */
static bool is_unmanaged(const char *tcti)
{
	const char *device = tpm_device(tcti);

	if (device)
		return !tpm_device_managed(device);
	return str_starts(tcti, "swtpm") || str_starts(tcti, "mssim");
}

/* A slow TPM takes half a minute for an RSA key. */
enum { ANSWER_MS = 120000 };

static int cannot_reach(const char *tcti, TSS2_RC rc, struct err *e)
{
	const char *device = tpm_device(tcti);

	if (device && access(device, R_OK | W_OK))
		return err_set(e, errno == EACCES ? ERR_REFUSED : ERR_UNREACHABLE, errno, "cannot use the TPM at '%s'; %s",
			       device, errno == EACCES ? "become root or join the group tss" :
			       "switch it on in the firmware, load its driver, or name another by tpm.tcti");
	if (device)
		return err_set(e, ERR_AGAIN, 0, "the TPM at '%s' is held by another program; end that, or use /dev/tpmrm0, "
			       "which many may open", device);
	if ((rc & 0xffff) == TSS2_BASE_RC_BAD_VALUE || (rc & 0xffff) == TSS2_BASE_RC_NOT_SUPPORTED)
		return err_set(e, ERR_INPUT, 0, "'%s' names no way to a TPM that is known here; it reads device:/dev/tpmrm0, "
			       "tabrmd:, swtpm:path=SOCKET or cmd:PROGRAM", tcti);
	return err_set(e, ERR_UNREACHABLE, 0, "cannot reach the TPM at '%s'; does it run there?", tcti);
}

/* What answers is a TPM 2.0, and started. In failure mode it is one, too; tpm_health tells. */
static int greet(struct tpm *t, struct err *e)
{
	TPMS_CAPABILITY_DATA auto_esys *c = NULL;
	TPMI_YES_NO more;
	TSS2_RC rc;

	rc = tpm_try(t, Esys_GetCapability(t->esys, N3, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FAMILY_INDICATOR, 1, &more, &c));
	if (rc == TPM2_RC_INITIALIZE) { /* a board whose firmware does not know its TPM */
		rc = tpm_try(t, Esys_Startup(t->esys, TPM2_SU_CLEAR));
		if (rc && rc != TPM2_RC_INITIALIZE)
			return tpm_fail(t, rc, e, "cannot start the TPM");
		rc = tpm_try(t, Esys_GetCapability(t->esys, N3, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FAMILY_INDICATOR, 1, &more,
						   &c));
	}
	if (rc == TPM2_RC_FAILURE)
		return 0;
	if (rc == TPM2_RC_BAD_TAG || tpm_rc_is_odd(rc))
		return err_set(e, ERR_INPUT, 0, "what answers at '%s' is not a TPM 2.0", t->name);
	if (rc)
		return tpm_fail(t, rc, e, "cannot ask the TPM at '%s'", t->name);
	if (c->capability != TPM2_CAP_TPM_PROPERTIES || c->data.tpmProperties.count != 1 ||
	    c->data.tpmProperties.tpmProperty[0].value != 0x322e3000) /* "2.0" */
		return err_set(e, ERR_INPUT, 0, "what answers at '%s' is not a TPM 2.0", t->name);
	return 0;
}

static int connect_to(struct tpm *t, int answer_ms, int64_t until, struct err *e)
{
	const char *device = tpm_device(t->name);
	TSS2_RC rc;

	t->own_tcti = true;
	if (str_starts(t->name, "cmd:"))
		return tpm_cmd_open(t->name + strlen("cmd:"), &t->tcti, e);
	if (str_eq(t->name, "swtpm") || str_starts(t->name, "swtpm:"))
		return tpm_swtpm_open(t->name, answer_ms, &t->tcti, e);
	t->own_tcti = false;
	for (;;) {
		rc = Tss2_TctiLdr_Initialize(t->name, &t->tcti);
		/* /dev/tpm0 opens once; who has it does not know our lock. */
		if (!rc || !device || access(device, R_OK | W_OK) || now_read().boot_us >= until)
			return rc ? cannot_reach(t->name, rc, e) : 0;
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
	}
}

int tpm_open_bound(const char *tcti, int wait_ms, int answer_ms, struct tpm **out, struct err *e)
{
	int64_t until = now_read().boot_us + (int64_t)wait_ms * US_PER_MS;
	struct tpm *t;
	TSS2_RC rc;

	tpm_quiet();
	t = xcalloc(1, sizeof *t);
	t->lock = t->wire.account.fd = -1;
	t->bus = t->ek = t->srk = ESYS_TR_NONE;
	t->name = tcti[0] == '/' ? xasprintf("device:%s", tcti) : xstrdup(tcti);
	t->unmanaged = is_unmanaged(t->name);
	if (tpm_lock(t->name, wait_ms, &t->lock, e))
		goto fail;
	if (t->unmanaged)
		tpm_account_open(&t->wire.account, t->lock);
	if (connect_to(t, answer_ms, until, e))
		goto fail;
	rc = Esys_Initialize(&t->esys, tpm_wire_begin(&t->wire, t->tcti, answer_ms), NULL);
	if (rc) {
		tpm_fail(NULL, rc, e, "cannot begin with the TPM");
		goto fail;
	}
	if (greet(t, e))
		goto fail;
	tpm_account_settle(t);
	*out = t;
	return 0;
fail:
	tpm_close(t);
	return -1;
}

int tpm_open(const char *tcti, int wait_ms, struct tpm **out, struct err *e)
{
	return tpm_open_bound(tcti, wait_ms, ANSWER_MS, out, e);
}

void tpm_close(struct tpm *t)
{
	if (!t)
		return;
	while (t->loaded_count > 0) {
		ESYS_TR tr = t->loaded[t->loaded_count - 1].tr;

		tpm_drop(t, &tr);
	}
	if (t->esys)
		Esys_Finalize(&t->esys);
	if (t->tcti && t->own_tcti)
		Tss2_Tcti_Finalize(t->tcti);
	else if (t->tcti)
		Tss2_TctiLdr_Finalize(&t->tcti);
	base_close_(&t->lock);
	tpm_auths_wipe(&t->auths);
	free((char *)t->name);
	free(t);
}
