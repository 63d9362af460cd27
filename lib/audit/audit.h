/* audit: the hash-chained log (IEC 62443-3-3 SR 2.8, 3.9, 6.1; ISO 27001 A.8.15). Each entry has the hash of the one
 * before; heads are signed by the site's key and counted by the TPM.
 *
 * Entries live in psec.db, appended by whoever holds it. The chain itself needs no cryptographic library, so that
 * psecd-core loads none: only audit_walk_* calls the room crypto.
 */
#ifndef PSEC_AUDIT_H
#define PSEC_AUDIT_H

#include <jansson.h>

#include "base/base.h"
#include "store/store.h"

/* Of one record, in bytes; heads: of one entry. */
enum { AUDIT_WHO_MAX = 127, AUDIT_KIND_MAX = 31, AUDIT_SUBJECT_MAX = 255, AUDIT_DETAIL_MAX = 4096,
       AUDIT_SIGNATURE_MAX = 128, AUDIT_CERTIFICATE_MAX = 8192, AUDIT_HEADS_MAX = 4, AUDIT_LINE_MAX = 32768 };

struct audit_entry {
	int64_t seq;             /* from 1 */
	int64_t utc_us;          /* whole milliseconds */
	bool utc_valid;
	const char *who;         /* "unix:anna" */
	const char *kind;        /* "provisioned", "renewed", "escrowed", "hand-over", "reset" … [a-z-] */
	const char *subject;     /* "" or whom it is about */
	const char *detail;      /* a JSON object, canonical: sorted keys, compact; whole numbers */
	uint8_t before[SHA256_LEN], hash[SHA256_LEN];
};
/* Append one; seq, before and hash are filled, utc_us is cut to milliseconds. Texts are kept printable, detail is made
 * canonical (NULL: {}). ERR_INPUT: a kind of other signs, a text too long, a detail that is no object or has a number
 * that is not whole (others would write it otherwise; give it as a text). Within store_begin it is part of what is
 * written there. */
must_check int audit_append(struct store *s, struct audit_entry *entry, struct err *e);
/* hash = SHA-256 over "psec-audit-1" and every field above up to before, each with its length (psec-audit(1)). */
void audit_hash(const struct audit_entry *entry, uint8_t out[SHA256_LEN]);

/* A head vouches for an entry and all before it. */
struct audit_head {
	int64_t seq;             /* of the entry; hash is that entry's */
	uint8_t hash[SHA256_LEN];
	uint64_t counter;        /* of the TPM */
	int64_t utc_us;          /* whole milliseconds */
	bool utc_valid;
	const uint8_t *signature; /* DER, over "psec-audit-head-1" and every field above */
	size_t signature_len;
	const char *certificate; /* PEM, the signer's first, then those between it and its root */
};
/* What to sign next: the last entry and its hash. ERR_INPUT when there is none. */
must_check int audit_last(struct store *s, int64_t *seq, uint8_t hash[SHA256_LEN], struct err *e);
/* The site's key, in the TPM: digest in, ECDSA-Sig-Value out. A crypto_sign_fn is one. */
typedef int audit_sign_fn(void *arg, const uint8_t digest[SHA256_LEN], struct buf *der, struct err *e);
/* Sign head's fields; signature gets the memory. */
must_check int audit_head_sign(struct audit_head *head, audit_sign_fn *sign, void *arg, struct buf *signature,
			       struct err *e);
/* ERR_INPUT when it is not of an entry that is there; ERR_AGAIN when that has AUDIT_HEADS_MAX. Its signature is judged
 * by audit_walk_*, not here. */
must_check int audit_head_put(struct store *s, const struct audit_head *head, struct err *e);
/* All three. counter is the value that the TPM's counter will have next: sign and keep, then increment. So after a kill
 * between the two the counter is one behind, which verify knows; a head that was cut off makes it run ahead. */
must_check int audit_head(struct store *s, uint64_t counter, const char *certificate_pem, const struct now *now,
			  audit_sign_fn *sign, void *arg, struct err *e);

/* ---- reading ---- */
/* One of the two; while fn runs. */
struct audit_record { const struct audit_entry *entry; const struct audit_head *head; };
typedef int audit_record_fn(void *arg, const struct audit_record *record, struct err *e); /* 0; -1 ends it, with *e */
/* Entries with seq > after, at most max, oldest first, each followed by its heads; *more: there may be others. */
must_check int audit_read(struct store *s, int64_t after, size_t max, audit_record_fn *fn, void *arg, bool *more,
			  struct err *e);
/* The last max entries, oldest first, without heads. */
must_check int audit_read_last(struct store *s, size_t max, audit_record_fn *fn, void *arg, struct err *e);

/* As JSON, for the socket and for export. A head's certificate is left out when it is *last, that of the head before,
 * and is put there otherwise; *last begins NULL, caller frees. last NULL: it is never left out. */
json_t *audit_record_json(const struct audit_record *record, char **last);
/* One record out of JSON; it holds until the next call. Begins zeroed; audit_parsed_release frees. */
struct audit_parsed {
	struct audit_record record;
	struct audit_entry entry;
	struct audit_head head;
	char *detail, *certificate;
	uint8_t signature[AUDIT_SIGNATURE_MAX];
};
must_check int audit_record_parse(struct audit_parsed *p, const json_t *o, struct err *e);
void audit_parsed_release(struct audit_parsed *p);

/* ---- judging: every record in turn, then the end ---- */
struct audit_verdict {
	int64_t entries, heads;
	int64_t first_bad;       /* the first entry that cannot be believed; 0: the log is whole */
	char why[200];
	int64_t signed_to;       /* entries up to this one are vouched for by a head */
	uint64_t counter;        /* of the last head */
	char signer[65];         /* the name in the heads' certificates */
	bool trust_checked, counter_checked; /* and this was so */
	int64_t hand_overs;      /* to other boards */
	bool authority_checked;  /* and the CA signed each */
};
struct crypto_bag;
struct enrol_authority;
struct audit_judge {
	const struct crypto_bag *trust; /* roots of the heads' certificates, or NULL */
	const struct enrol_authority *authority; /* who may hand the site over to another board; NULL: not judged */
	uint64_t counter;               /* the TPM's now, or 0 when it is not known */
	const char *site;               /* the name that must be in the certificates; NULL or "": one and the same in all */
};
struct audit_walk;
struct audit_walk *audit_walk_new(const struct audit_judge *judge); /* judge is borrowed; caller frees */
void audit_walk_free(struct audit_walk *w);
/* fn of audit_read, arg the walk. Never fails for what it finds. */
int audit_walk_record(void *walk, const struct audit_record *record, struct err *e);
/* A record that cannot be read: where and why. */
void audit_walk_broken(struct audit_walk *w, const char *why);
void audit_walk_end(struct audit_walk *w, struct audit_verdict *out);

#endif
