/* wire: what passes between ESAPI and the way to the TPM: no answer is waited for without end, and where no resource
 * manager stands between, account.c sees each command that loads before it goes and each answer as it comes.
 *
 * The bound is the timeout of the TCTI's receive. Ours, the library's device and tabrmd keep it; its mssim (3.2.1) does
 * not.
 */
#include "inside.h"

#include <errno.h>

static struct tpm_wire *mine(TSS2_TCTI_CONTEXT *c)
{
	return (struct tpm_wire *)c;
}

/* Where the next answer begins is not known any more. */
static TSS2_RC broke(struct tpm_wire *w, TSS2_RC rc)
{
	w->broken = true;
	w->late = w->late || rc == TSS2_TCTI_RC_TRY_AGAIN;
	return w->late ? TSS2_TCTI_RC_IO_ERROR : rc; /* TRY_AGAIN would be asked again, for ever */
}

static TSS2_RC send_on(struct tpm_wire *w, size_t size, const uint8_t *command)
{
	TSS2_RC rc = Tss2_Tcti_Transmit(w->inner, size, command);

	return rc ? broke(w, rc) : TSS2_RC_SUCCESS;
}

static TSS2_RC take_answer(struct tpm_wire *w, size_t *size, uint8_t *response)
{
	int64_t until = now_read().boot_us + w->answer_ms * US_PER_MS;
	int left_ms = w->answer_ms;
	TSS2_RC rc;

	do { /* tabrmd's says TRY_AGAIN also for an answer that is not whole yet */
		errno = 0;
		rc = Tss2_Tcti_Receive(w->inner, size, response, left_ms);
		left_ms = time_left_ms(until);
	} while (rc == TSS2_TCTI_RC_TRY_AGAIN && left_ms > 0);
	w->interrupted = rc && errno == EINTR;
	return rc ? broke(w, rc) : TSS2_RC_SUCCESS;
}

/* In the midst of the library's own command: raw. An answer that is none, or another than asked for: *count is max, as
 * for a list that is cut. */
static TSS2_RC list_loaded(struct tpm_wire *w, uint32_t first, uint32_t *to, size_t max, size_t *count)
{
	enum { COMMAND = 22, MORE = 10, FRONT = 19 };
	uint8_t command[COMMAND] = {0x80, 0x01, 0, 0, 0, COMMAND, 0, 0, 0x01, 0x7a};
	uint8_t answer[TPM2_MAX_RESPONSE_SIZE];
	size_t size = sizeof answer, n;
	TSS2_RC rc;

	put32(command + 10, TPM2_CAP_HANDLES);
	put32(command + 14, first);
	put32(command + 18, (uint32_t)max);
	tpm_stream_hold(w->inner);
	rc = send_on(w, sizeof command, command);
	if (!rc)
		rc = take_answer(w, &size, answer);
	*count = max;
	if (rc || size < FRONT || get32(answer + 6))
		return rc;
	n = get32(answer + 15);
	if (n >= max || answer[MORE] || size != FRONT + 4 * n || get32(answer + MORE + 1) != TPM2_CAP_HANDLES)
		return TSS2_RC_SUCCESS;
	for (size_t i = 0; i < n; i++)
		to[i] = get32(answer + FRONT + 4 * i);
	*count = n;
	return TSS2_RC_SUCCESS;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
	struct tpm_wire *w = mine(context);
	struct tpm_account *a = &w->account;
	uint32_t loads;

	if (w->broken)
		return TSS2_TCTI_RC_IO_ERROR;
	loads = a->fd >= 0 ? tpm_account_command(a, command, size) : 0;
	if (loads) {
		size_t listed;
		TSS2_RC rc = list_loaded(w, loads, a->note.listed, COUNT_OF(a->note.listed), &listed);

		if (rc)
			return rc;
		tpm_account_begin(a, listed);
	}
	return send_on(w, size, command);
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
	struct tpm_wire *w = mine(context);
	TSS2_RC rc;

	(void)timeout; /* the library's synchronous calls ask for none */
	if (w->broken)
		return TSS2_TCTI_RC_IO_ERROR;
	if (!response) {
		*size = TPM2_MAX_RESPONSE_SIZE;
		return TSS2_RC_SUCCESS;
	}
	rc = take_answer(w, size, response);
	if (!rc && w->account.fd >= 0)
		tpm_account_answer(&w->account, response, *size);
	return rc;
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *context, uint8_t locality)
{
	(void)context;
	return locality == 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

TSS2_TCTI_CONTEXT *tpm_wire_begin(struct tpm_wire *w, TSS2_TCTI_CONTEXT *inner, int answer_ms)
{
	w->common = (TSS2_TCTI_CONTEXT_COMMON_V1){.magic = 0x7073656377697200, .version = 1, .transmit = transmit,
						  .receive = receive, .setLocality = set_locality};
	w->inner = inner;
	w->answer_ms = answer_ms;
	return (TSS2_TCTI_CONTEXT *)w;
}
