/* account: what we have loaded into a TPM without a resource manager, kept in the lock's file, so that who gets the
 * lock after a crash can flush it, and nothing else.
 *
 * Before a command that loads goes, it is noted that it goes and what of its kind is loaded, on one connection with it,
 * so that nobody comes between; with its answer, its handle. Killed in that time, it may have left one handle of that
 * kind that is not of the noted ones. Only when a stranger loads after such a death and before the next of ours, there
 * may be two; the lowest goes, which is the one that a TPM gives first.
 *
 * Every user may write that file (lock.c), so it is not believed: what is flushed is what the TPM lists as loaded.
 */
#include "inside.h"

#include <fcntl.h>
#include <unistd.h>

enum { MAGIC = 0x70736331 };

static void save(struct tpm_account *a)
{
	struct tpm_note n = a->note;

	n.magic = MAGIC;
	(void)!pwrite(a->fd, &n, sizeof n, 0); /* a full tmpfs: then as it was without an account */
}

static bool is_in(uint32_t handle, const uint32_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == handle)
			return true;
	return false;
}

static void hold(struct tpm_account *a, uint32_t handle)
{
	if (a->note.held_count < COUNT_OF(a->note.held))
		a->note.held[a->note.held_count++] = handle;
}

static void forget(struct tpm_account *a, uint32_t handle)
{
	for (uint32_t i = 0; i < a->note.held_count; i++)
		if (a->note.held[i] == handle)
			a->note.held[i--] = a->note.held[--a->note.held_count];
}

uint32_t tpm_account_command(struct tpm_account *a, const uint8_t *command, size_t size)
{
	a->loads = a->flushes = 0;
	if (size < 10)
		return 0;
	switch (get32(command + 6)) {
	case TPM2_CC_CreatePrimary:
	case TPM2_CC_CreateLoaded:
	case TPM2_CC_Load:
	case TPM2_CC_LoadExternal:
	case TPM2_CC_HMAC_Start:
	case TPM2_CC_HashSequenceStart:
		a->loads = FIRST_TRANSIENT;
		break;
	case TPM2_CC_StartAuthSession:
		a->loads = FIRST_LOADED_SESSION;
		break;
	case TPM2_CC_FlushContext:
		a->flushes = size >= 14 ? get32(command + 10) : 0;
		break;
	default:
		break;
	}
	return a->loads;
}

void tpm_account_begin(struct tpm_account *a, size_t listed)
{
	a->note.loading = a->loads;
	a->note.listed_count = (uint32_t)listed;
	save(a);
}

void tpm_account_answer(struct tpm_account *a, const uint8_t *response, size_t size)
{
	TPM2_RC rc = size >= 10 ? get32(response + 6) : TPM2_RC_FAILURE;

	if (a->loads) {
		if (!rc && size >= 14)
			hold(a, get32(response + 10));
		a->note.loading = 0;
		save(a);
	} else if (a->flushes && (!rc || tpm_rc_base(rc) == TPM2_RC_HANDLE)) { /* there is none, when a clear took it */
		forget(a, a->flushes);
		save(a);
	}
	a->loads = a->flushes = 0;
}

void tpm_account_open(struct tpm_account *a, int lock)
{
	struct tpm_note n;
	ssize_t len = pread(lock, &n, sizeof n, 0);
	bool other = len < 0 || (len > 0 && (len < (ssize_t)sizeof n.magic || n.magic != MAGIC));

	/* A file of who keeps it to himself: no account, and so nothing that we could not strike out again. Nor in one
	 * that has other words: where the kernel lets users do it, it may be a hard link to a file of ours. */
	a->fd = (fcntl(lock, F_GETFL) & O_ACCMODE) == O_RDWR && !other ? lock : -1;
	if (a->fd >= 0 && len == (ssize_t)sizeof n && n.held_count <= COUNT_OF(n.held) &&
	    n.listed_count <= COUNT_OF(n.listed))
		a->note = n;
}

/* Of a death in the midst of a command that loads: held from now on, so that another death here changes nothing. */
static void resolve(struct tpm_account *a, const TPM2_HANDLE *listed, size_t count)
{
	struct tpm_note *n = &a->note;
	uint32_t lowest = 0;

	for (size_t i = 0; i < count && n->listed_count < COUNT_OF(n->listed); i++) /* else cut: not known */
		if (!is_in(listed[i], n->listed, n->listed_count) && (!lowest || listed[i] < lowest))
			lowest = listed[i];
	n->loading = 0;
	if (lowest)
		hold(a, lowest);
	save(a);
}

void tpm_account_settle(struct tpm *t)
{
	struct tpm_account *a = &t->wire.account;
	TPM2_HANDLE objects[64], sessions[64];
	size_t object_count, session_count;
	TSS2_SYS_CONTEXT *sys;
	struct err ignored;

	if (a->fd < 0 || (!a->note.held_count && !a->note.loading))
		return;
	/* What does not answer now, as in failure mode, is settled by a later one. */
	if (Esys_GetSysContext(t->esys, &sys) ||
	    tpm_handles(t, FIRST_TRANSIENT, objects, COUNT_OF(objects), &object_count, &ignored) ||
	    tpm_handles(t, FIRST_LOADED_SESSION, sessions, COUNT_OF(sessions), &session_count, &ignored))
		return;
	if (a->note.loading == FIRST_TRANSIENT)
		resolve(a, objects, object_count);
	else
		resolve(a, sessions, a->note.loading == FIRST_LOADED_SESSION ? session_count : 0);
	for (uint32_t i = a->note.held_count; i-- > 0;) {
		uint32_t h = a->note.held[i];

		if (is_in(h, objects, object_count) || is_in(h, sessions, session_count))
			(void)Tss2_Sys_FlushContext(sys, h); /* which strikes it out; one that cannot go stays noted */
		else
			forget(a, h);
	}
	save(a);
}
