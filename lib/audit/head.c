/* head: the site's key vouches for an entry and all before it. */
#include "inside.h"

#include <string.h>

void head_fields(const struct audit_head *head, struct buf *b)
{
	uint8_t valid = head->utc_valid;

	field_text(b, "psec-audit-head-1");
	field_number(b, (uint64_t)head->seq);
	field_add(b, head->hash, sizeof head->hash);
	field_number(b, head->counter);
	field_number(b, (uint64_t)head->utc_us);
	field_add(b, &valid, 1);
}

int audit_head_sign(struct audit_head *head, audit_sign_fn *sign, void *arg, struct buf *signature, struct err *e)
{
	auto_buf struct buf fields = BUF_INIT;
	uint8_t digest[SHA256_LEN];

	head->utc_us = whole_ms(head->utc_us);
	head_fields(head, &fields);
	sha256(fields.data, fields.len, digest);
	buf_clear(signature);
	if (sign(arg, digest, signature, e) < 0)
		return err_ctx(e, "sign the head of the audit log");
	if (!signature->len || signature->len > AUDIT_SIGNATURE_MAX)
		return err_set(e, ERR_BUG, 0, "a signature has %zu bytes, must have 1…%d", signature->len,
			       AUDIT_SIGNATURE_MAX);
	head->signature = (const uint8_t *)signature->data;
	head->signature_len = signature->len;
	return 0;
}

int audit_head(struct store *s, uint64_t counter, const char *certificate_pem, const struct now *now,
	       audit_sign_fn *sign, void *arg, struct err *e)
{
	struct audit_head head = { .counter = counter, .utc_us = now->utc_us, .utc_valid = now->utc_valid,
				   .certificate = certificate_pem };
	auto_buf struct buf signature = BUF_INIT;

	if (audit_last(s, &head.seq, head.hash, e) < 0 || audit_head_sign(&head, sign, arg, &signature, e) < 0)
		return -1;
	return audit_head_put(s, &head, e);
}
