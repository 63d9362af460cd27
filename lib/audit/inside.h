/* What the files of audit share. */
#ifndef PSEC_AUDIT_INSIDE_H
#define PSEC_AUDIT_INSIDE_H

#include "audit/audit.h"

/* A field as it is hashed: its length in 8 bytes, the highest first, then its bytes. */
void field_add(struct buf *b, const void *data, size_t len);
void field_number(struct buf *b, uint64_t n);
void field_text(struct buf *b, const char *text);

/* The one spelling of a JSON object: keys sorted by bytes, no blanks. Caller frees; NULL with *e. */
char *detail_canonical(const json_t *o, struct err *e);
/* What a head's signature is over. */
void head_fields(const struct audit_head *head, struct buf *b);

static inline int64_t whole_ms(int64_t utc_us)
{
	int64_t over = utc_us % US_PER_MS;

	return utc_us - (over < 0 ? over + US_PER_MS : over);
}

#endif
