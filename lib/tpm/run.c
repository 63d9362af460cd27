/* run: giving a command until it is taken, and the account of what we have loaded.
 *
 * Without a resource manager a dead process's objects stay until power-off. Those of ours go when the next one opens
 * (account.c). Under the lock, whatever else is loaded belongs to strangers. It is flushed only when the TPM has no
 * room left for us, and only where no resource manager stands between: /dev/tpmN, which only one can hold, and the
 * simulators. Behind "cmd:" we do not know, and say what to do.
 */
#include "inside.h"

#include <string.h>
#include <time.h>

/* 10, 20, 40 … 320 ms, then 320 each: about 4 s. */
enum { TRIES = 16, FIRST_MS = 10, LONGEST_MS = 320 };

static void rest(int tries)
{
	int ms = FIRST_MS << (tries < 5 ? tries : 5);

	nanosleep(&(struct timespec){.tv_nsec = (ms < LONGEST_MS ? ms : LONGEST_MS) * 1000000L}, NULL);
}

static void flush_kind(struct tpm *t, TPM2_HANDLE first)
{
	TPM2_HANDLE h[64];
	TSS2_SYS_CONTEXT *sys;
	size_t count;
	struct err ignored;

	if (Esys_GetSysContext(t->esys, &sys) || tpm_handles(t, first, h, COUNT_OF(h), &count, &ignored))
		return;
	for (size_t i = 0; i < count; i++)
		if (!tpm_is_ours(t, h[i]))
			(void)Tss2_Sys_FlushContext(sys, h[i]); /* one that cannot go is met again as no room */
}

static bool sweep(struct tpm *t)
{
	if (!t->unmanaged || t->swept)
		return false;
	t->swept = true;
	flush_kind(t, FIRST_TRANSIENT);
	flush_kind(t, FIRST_LOADED_SESSION);
	flush_kind(t, FIRST_SAVED_SESSION);
	return true;
}

bool tpm_again(struct tpm *t, TSS2_RC rc, int *tries)
{
	switch (tpm_rc_base(rc)) {
	case TPM2_RC_RETRY:
	case TPM2_RC_YIELDED:
	case TPM2_RC_TESTING:
	case TPM2_RC_NV_RATE:
		break;
	case TPM2_RC_OBJECT_MEMORY:
	case TPM2_RC_SESSION_MEMORY:
	case TPM2_RC_SESSION_HANDLES:
	case TPM2_RC_OBJECT_HANDLES:
		if (sweep(t))
			return true;
		if (t->unmanaged) /* nobody else will make room */
			return false;
		break;
	default:
		return false;
	}
	if (*tries >= TRIES)
		return false;
	rest((*tries)++);
	return true;
}

void tpm_keep(struct tpm *t, ESYS_TR tr)
{
	if (t->loaded_count == TPM_LOADED_MAX)
		abort(); /* our own count is wrong: never more than eight, by reading the code */
	t->loaded[t->loaded_count].tr = tr;
	t->loaded[t->loaded_count].handle = 0;
	(void)Esys_TR_GetTpmHandle(t->esys, tr, &t->loaded[t->loaded_count].handle);
	t->loaded_count++;
}

void tpm_drop(struct tpm *t, ESYS_TR *tr)
{
	size_t i = 0;

	while (i < t->loaded_count && t->loaded[i].tr != *tr)
		i++;
	if (i == t->loaded_count)
		return;
	(void)tpm_try(t, Esys_FlushContext(t->esys, *tr)); /* a TPM that cannot flush says so at the next command */
	t->loaded_count--;
	memmove(&t->loaded[i], &t->loaded[i + 1], (t->loaded_count - i) * sizeof t->loaded[0]);
	*tr = ESYS_TR_NONE;
}

bool tpm_is_ours(const struct tpm *t, TPM2_HANDLE h)
{
	for (size_t i = 0; i < t->loaded_count; i++)
		if (t->loaded[i].handle == h)
			return true;
	return false;
}

/* Loaded sessions are listed together, each by its own kind: HMAC 0x02…, policy 0x03… (Part 3, 30.2). */
static unsigned kind(TPM2_HANDLE h)
{
	unsigned top = h >> 24;

	return top == TPM2_HT_POLICY_SESSION ? TPM2_HT_HMAC_SESSION : top;
}

int tpm_handles(struct tpm *t, TPM2_HANDLE first, TPM2_HANDLE *to, size_t max, size_t *count, struct err *e)
{
	TPM2_HANDLE next = first;
	TPMI_YES_NO more = TPM2_YES;

	for (*count = 0; more && *count < max;) {
		TPMS_CAPABILITY_DATA auto_esys *c = NULL;
		TSS2_RC rc = tpm_try(t, Esys_GetCapability(t->esys, N3, TPM2_CAP_HANDLES, next, (UINT32)(max - *count), &more,
							   &c));
		const TPML_HANDLE *list;

		if (rc)
			return tpm_fail(t, rc, e, "cannot list what the TPM holds");
		list = &c->data.handles;
		if (list->count == 0)
			return 0;
		for (UINT32 i = 0; i < list->count && *count < max; i++) {
			if (kind(list->handle[i]) != kind(first))
				return 0;
			to[(*count)++] = list->handle[i];
		}
		next = list->handle[list->count - 1] + 1;
	}
	return 0;
}

int tpm_handle_there(struct tpm *t, TPM2_HANDLE h, bool *there, struct err *e)
{
	TPM2_HANDLE found = 0;
	size_t count = 0;

	if (tpm_handles(t, h, &found, 1, &count, e))
		return -1;
	*there = count == 1 && found == h;
	return 0;
}

/* From first on, at most count of them. A TPM may give fewer at a time. */
static int read_properties(struct tpm *t, TPM2_PT first, uint32_t count, TPML_TAGGED_TPM_PROPERTY *to, bool *more,
			   struct err *e)
{
	TPMS_CAPABILITY_DATA auto_esys *c = NULL;
	TPMI_YES_NO rest = TPM2_NO;
	TSS2_RC rc = tpm_try(t, Esys_GetCapability(t->esys, N3, TPM2_CAP_TPM_PROPERTIES, first, count, &rest, &c));

	if (rc)
		return tpm_fail(t, rc, e, "cannot read the TPM's property 0x%x", first);
	if (c->capability != TPM2_CAP_TPM_PROPERTIES || c->data.tpmProperties.count > COUNT_OF(to->tpmProperty))
		return tpm_fail(t, TSS2_ESYS_RC_MALFORMED_RESPONSE, e, "cannot read the TPM's property 0x%x", first);
	*to = c->data.tpmProperties;
	*more = rest == TPM2_YES;
	return 0;
}

int tpm_properties(struct tpm *t, TPM2_PT first, struct tpm_properties *out, struct err *e)
{
	TPML_TAGGED_TPM_PROPERTY some;
	TPM2_PT next = first;
	bool more = true;

	*out = (struct tpm_properties){.first = first};
	while (more && next < first + TPM_PROPERTIES) {
		TPM2_PT asked = next;

		if (read_properties(t, next, first + TPM_PROPERTIES - next, &some, &more, e))
			return -1;
		for (uint32_t i = 0; i < some.count; i++) {
			TPM2_PT p = some.tpmProperty[i].property;

			if (p >= next && p < first + TPM_PROPERTIES) {
				out->value[p - first] = some.tpmProperty[i].value;
				next = p + 1;
			}
		}
		more = more && next > asked;
	}
	return 0;
}

int tpm_property(struct tpm *t, TPM2_PT property, uint32_t *value, struct err *e)
{
	TPML_TAGGED_TPM_PROPERTY one;
	bool more;

	if (read_properties(t, property, 1, &one, &more, e))
		return -1;
	*value = one.count > 0 && one.tpmProperty[0].property == property ? one.tpmProperty[0].value : 0;
	return 0;
}
