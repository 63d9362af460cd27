/* Enrolment documents: what is read can be written, and comes back the same. */
#include <string.h>

#include "enrol/enrol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void request(const char *text)
{
	struct enrol_request r, again;
	auto_buf struct buf b = BUF_INIT, c = BUF_INIT;
	struct err e;

	if (enrol_request_read(text, &r, &e))
		return;
	/* two blanks a level make some longer than they came */
	if (!enrol_request_write(&r, &b, &e)) {
		must(enrol_request_read(b.data, &again, &e) == 0);
		must(enrol_request_write(&again, &c, &e) == 0 && str_eq(b.data, c.data));
		enrol_request_release(&again);
	}
	enrol_request_release(&r);
}

static void certificate(const char *text)
{
	struct enrol_certificate r, again;
	auto_buf struct buf b = BUF_INIT, c = BUF_INIT;
	struct err e;

	if (enrol_certificate_read(text, &r, &e))
		return;
	if (!enrol_certificate_write(&r, &b, &e)) {
		must(enrol_certificate_read(b.data, &again, &e) == 0);
		must(enrol_certificate_write(&again, &c, &e) == 0 && str_eq(b.data, c.data));
		enrol_certificate_release(&again);
	}
	enrol_certificate_release(&r);
}

static void small(const char *text)
{
	auto_buf struct buf b = BUF_INIT;
	struct enrol_challenge challenge, challenge2;
	struct enrol_answer answer, answer2;
	struct enrol_policy policy, policy2;
	struct err e;

	if (!enrol_challenge_read(text, &challenge, &e))
		must(enrol_challenge_write(&challenge, &b, &e) == 0 && enrol_challenge_read(b.data, &challenge2, &e) == 0 &&
		     str_eq(challenge.request, challenge2.request) && challenge.secret.len == challenge2.secret.len);
	if (!enrol_answer_read(text, &answer, &e))
		must(enrol_answer_write(&answer, &b, &e) == 0 && enrol_answer_read(b.data, &answer2, &e) == 0 &&
		     memcmp(answer.proof, answer2.proof, sizeof answer.proof) == 0);
	if (!enrol_policy_read(text, &policy, &e))
		must(enrol_policy_write(&policy, &b, &e) == 0 && enrol_policy_read(b.data, &policy2, &e) == 0 &&
		     memcmp(&policy.pcrs, &policy2.pcrs, sizeof policy.pcrs) == 0 && policy.slot == policy2.slot);
}

static void handover(const char *text)
{
	struct enrol_authority a;
	struct enrol_handover h, again;
	auto_buf struct buf b = BUF_INIT, c = BUF_INIT;
	struct err e;

	if (!enrol_handover_read(text, &h, &e))
		must(enrol_handover_write(&h, &b, &e) == 0 && enrol_handover_read(b.data, &again, &e) == 0 &&
		     enrol_handover_write(&again, &c, &e) == 0 && str_eq(b.data, c.data));
	if (!enrol_authority_read(text, &a, &e)) {
		must(a.count >= 1 && a.count <= ENROL_CHAIN);
		enrol_authority_release(&a);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf text = BUF_INIT, one = BUF_INIT;
	enum enrol_kind kind;
	const char *at;
	struct err e;

	buf_adds(&text, "");
	buf_add(&text, data, size);
	at = text.data;
	while (enrol_pem_next(&at, &one))
		must(one.len <= size + 1);
	(void)!enrol_kind(text.data, &kind, &e);
	request(text.data);
	certificate(text.data);
	small(text.data);
	handover(text.data);
	return 0;
}
