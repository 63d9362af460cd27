/* One document while it is read: the first fault stays in *e, and what comes after it does nothing. Seen inside the
 * room only. */
#ifndef PSEC_ENROL_DOC_H
#define PSEC_ENROL_DOC_H

#include <jansson.h>

#include "enrol/enrol.h"

struct doc {
	json_t *root, *at;     /* at: the object whose keys are read */
	const char *within;    /* "ek." of that object, or "" */
	bool bad;
	struct err *e;
};
void doc_close(struct doc *d);
#define auto_doc __attribute__((cleanup(doc_close)))

/* Parse, and check the kind, the version and that no key is there beside keys (names with blanks between). */
must_check int doc_open(struct doc *d, const char *text, enum enrol_kind kind, const char *keys, struct err *e);
/* Go into an object of the document and check its keys; doc_leave comes back. */
void doc_enter(struct doc *d, const char *key, const char *within, const char *keys);
void doc_leave(struct doc *d);
/* Say what is wrong with a key; the first one counts. */
void doc_fault(struct doc *d, const char *key, const char *fmt, ...) printf_like(3, 4);
bool doc_has(const struct doc *d, const char *key);

const char *doc_text(struct doc *d, const char *key);              /* "" after a fault */
void doc_serial(struct doc *d, const char *key, char to[ENROL_NAME]);
void doc_site(struct doc *d, const char *key, char to[ENROL_NAME]);
/* A SHA-256 of 64 hex digits, lower case: its bytes, or the digits again. */
void doc_digest(struct doc *d, const char *key, uint8_t to[CRYPTO_HASH]);
void doc_hash(struct doc *d, const char *key, char to[CRYPTO_HEX]);
int64_t doc_time(struct doc *d, const char *key);
void doc_blob(struct doc *d, const char *key, struct tpm_blob *to);
void doc_bytes(struct doc *d, const char *key, uint8_t *to, size_t max, size_t *len);
enum enrol_profile doc_profile(struct doc *d);
/* The text of one PEM block, or of several where most > 1; caller frees. NULL after a fault. */
char *doc_pem(struct doc *d, const char *key, const char *label, size_t most);
/* A PEM text's blocks of that label, one after the other: false at the end. *at begins as the text. */
bool doc_pem_next(const char **at, const char *label, struct buf *one);
/* A list of certificates, one each; returns how many. */
size_t doc_pems(struct doc *d, const char *key, char *to[ENROL_CHAIN]);

/* ---- writing ---- */
json_t *doc_new(enum enrol_kind kind);
must_check int doc_put_bytes(json_t *to, const char *key, const void *data, size_t len, struct err *e);
/* Written by two blanks a level, ended by a line end; o is stolen. */
must_check int doc_write(json_t *o, struct buf *to, struct err *e);

#endif
