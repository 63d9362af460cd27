/* enrol: the documents by which a board gets its certificates: request, challenge, answer, certificate; the storage
 * policy and the hand-over. psec-enrolment(5) is their stated format.
 *
 * They are files, carried by hand, by a station or by a broker, and hostile until read here: at most ENROL_MAX bytes,
 * no unknown and no repeated key, every name of its character set, every length bounded. Reading judges the form; what
 * a document claims is judged by the CA (request, answer) and by the board (challenge, certificate).
 */
#ifndef PSEC_ENROL_H
#define PSEC_ENROL_H

#include "base/base.h"
#include "crypto/crypto.h"
#include "tpm/tpm.h"

enum { ENROL_MAX = 64 * 1024 };
enum { ENROL_NAME = 65 };   /* a board's serial or a site's id and its end */
enum { ENROL_CHAIN = 8 };   /* certificates or keys in a list, at most */
enum { ENROL_NUMBER = 41 }; /* a certificate's, in hex, and its end */

/* A board's serial: [A-Za-z0-9._-]{1,64}, no '.' or '-' at first; a site's id: [a-z0-9-]{1,31}, no '-' at first. */
bool enrol_serial_ok(const char *s);
bool enrol_site_ok(const char *s);

enum enrol_kind { ENROL_REQUEST, ENROL_CHALLENGE, ENROL_ANSWER, ENROL_CERTIFICATE, ENROL_POLICY, ENROL_HANDOVER };
/* Which document it says that it is; ERR_INPUT for none. */
must_check int enrol_kind(const char *text, enum enrol_kind *out, struct err *e);
const char *enrol_kind_name(enum enrol_kind k);

enum enrol_profile { ENROL_IDEVID, ENROL_LDEVID };
const char *enrol_profile_name(enum enrol_profile p); /* "idevid", "ldevid" */

/* A PEM text's certificates, one after the other: false at the end. *at begins as the text. */
bool enrol_pem_next(const char **at, struct buf *one);

/* ---- request: the board says who it is and which key is to be certified ---- */
struct enrol_request {
	enum enrol_profile profile;
	char serial[ENROL_NAME], site[ENROL_NAME];      /* site "" for idevid */
	int64_t created_us;
	char *ek_certificate, *ek_chain[ENROL_CHAIN];   /* PEM, one certificate each */
	size_t ek_chain_count;
	struct tpm_blob iak, key, certify, signature;   /* TPM2B_PUBLIC, TPM2B_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE */
	char *csr;                                      /* PEM */
};
void enrol_request_release(struct enrol_request *r);
must_check int enrol_request_read(const char *text, struct enrol_request *out, struct err *e);
must_check int enrol_request_write(const struct enrol_request *r, struct buf *to, struct err *e);
/* What the IAK certifies the key with: the key is meant for this board and this site, and for no other. */
void enrol_nonce(enum enrol_profile profile, const char *serial, const char *site, uint8_t out[CRYPTO_HASH]);
/* SHA-256 of a text's bytes as they are in the file, hex: by it the later documents name the request, the registry a
 * TPM (its EK's public key in PEM), state/secrets the escrow. */
void enrol_hash(const char *text, char hash[CRYPTO_HEX]);

/* ---- challenge: a secret that only this board's TPM can open ---- */
struct enrol_challenge {
	char request[CRYPTO_HEX], serial[ENROL_NAME];
	struct tpm_blob credential, secret;             /* TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET */
	int64_t expires_us;
};
must_check int enrol_challenge_read(const char *text, struct enrol_challenge *out, struct err *e);
must_check int enrol_challenge_write(const struct enrol_challenge *c, struct buf *to, struct err *e);

/* ---- answer: the proof that it was opened ---- */
struct enrol_answer {
	char request[CRYPTO_HEX], serial[ENROL_NAME];
	uint8_t proof[CRYPTO_HASH];
};
/* HMAC-SHA256 under the credential's value over "psec-answer", a NUL and the request's hash as 64 hex digits. */
void enrol_proof(const struct secret *value, const char *request_hash, uint8_t proof[CRYPTO_HASH]);
must_check int enrol_answer_read(const char *text, struct enrol_answer *out, struct err *e);
must_check int enrol_answer_write(const struct enrol_answer *a, struct buf *to, struct err *e);

/* ---- certificate ---- */
struct enrol_certificate {
	char request[CRYPTO_HEX], serial[ENROL_NAME];
	enum enrol_profile profile;
	char *chain;                  /* PEM, leaf first, without the root */
	char *iak;                    /* PEM chain; idevid only, and NULL where the CA is another's program */
	char *trust[ENROL_CHAIN];     /* PEM, one root each */
	size_t trust_count;
};
void enrol_certificate_release(struct enrol_certificate *c);
must_check int enrol_certificate_read(const char *text, struct enrol_certificate *out, struct err *e);
must_check int enrol_certificate_write(const struct enrol_certificate *c, struct buf *to, struct err *e);

/* ---- policy: under which PCR values the storage key opens; signed by the CA ---- */
struct enrol_policy {
	int slot;                     /* 0…63 */
	char serial[ENROL_NAME];      /* the board, or "": all boards under this authority */
	struct tpm_pcrs pcrs;
	uint8_t digest[CRYPTO_HASH];
	uint8_t signature[80];        /* DER */
	size_t signature_len;         /* 0: not signed yet */
};
must_check int enrol_policy_read(const char *text, struct enrol_policy *out, struct err *e);
must_check int enrol_policy_write(const struct enrol_policy *p, struct buf *to, struct err *e);

/* ---- hand-over: the CA's word that a site went from one board to another ---- */
struct enrol_handover {
	char site[ENROL_NAME], from[ENROL_NAME], to[ENROL_NAME];
	char certificate[ENROL_NUMBER]; /* of `from`, revoked */
	int64_t at_us;
	uint8_t signature[80];        /* DER */
	size_t signature_len;
};
must_check int enrol_handover_read(const char *text, struct enrol_handover *out, struct err *e);
must_check int enrol_handover_write(const struct enrol_handover *h, struct buf *to, struct err *e);
/* What the CA signs with the key of its policy.pem. */
void enrol_handover_words(const struct enrol_handover *h, struct buf *to);
/* Public keys that are believed, one policy.pem after the other. */
struct enrol_authority {
	struct crypto_key *key[ENROL_CHAIN];
	size_t count;
};
void enrol_authority_release(struct enrol_authority *a);
#define auto_enrol_authority __attribute__((cleanup(enrol_authority_release)))
must_check int enrol_authority_read(const char *text, struct enrol_authority *out, struct err *e);
/* ERR_REFUSED: none of the keys signed it. */
must_check int enrol_handover_check(const struct enrol_handover *h, const struct enrol_authority *a, struct err *e);

#endif
