/* ca: the embedded certificate authority: registry, root and intermediate, EK check and credential activation,
 * revocation.
 *
 * A CA is a folder: ca.db (the registry: the truth), root.pem, intermediate.pem (those that are valid, newest first),
 * policy.pem (the key that signs storage policies), ek-roots.pem, crl.pem, and keys-N/ with the private keys (PKCS#8
 * under a passphrase that is read from a file). Several processes may work on one folder; each change is one
 * transaction, and no serial and no EK is given twice.
 *
 * With a signer (the site's own CA behind a program), registry, EK check and activation are the same; the program gives
 * the certificates, and their revocation lists are its CA's.
 */
#ifndef PSEC_CA_H
#define PSEC_CA_H

#include "base/base.h"
#include "crypto/crypto.h"
#include "enrol/enrol.h"

/* ---- the passphrase ---- */

/* The first line of a file that nobody else can read (ERR_REFUSED otherwise). file NULL: dir/passphrase. */
must_check int ca_passphrase(const char *dir, const char *file, struct secret *out, struct err *e);

/* ---- the folder ---- */

struct ca_init {
	const char *name;              /* "Example Energy": CN "Example Energy root", "… issuing 1" */
	const char *ek_roots;          /* PEM file of the TPM makers' roots and lists, or NULL: EKs are not checked, and
					* each certificate says so in the registry */
	const char *signer;            /* path of the program of the site's own CA, or NULL: the embedded one signs */
	const char *chain;             /* with signer: its certificates, PEM: root and what is between */
	const struct secret *passphrase; /* NULL: a random one is made and kept as dir/passphrase, 0600 */
	const struct now *now;
};
/* All or nothing: the folder is made beside and renamed. ERR_REFUSED when something is there already, ERR_AGAIN while
 * another process makes it, and when our clock is not set. */
must_check int ca_init(const char *dir, const struct ca_init *how, struct err *e);

struct ca;
/* passphrase NULL: only what needs no key (challenge, serials, revocation in the registry, lists). ERR_REFUSED for a
 * wrong passphrase; ERR_INPUT for a folder that is no CA or a damaged one. */
must_check int ca_open(const char *dir, const struct secret *passphrase, struct ca **out, struct err *e);
void ca_close(struct ca *c);
void ca_close_(struct ca **c);
#define auto_ca __attribute__((cleanup(ca_close_)))

struct ca_facts {
	char name[65];
	const char *signer;            /* NULL: embedded; valid until ca_close */
	bool ek_roots;
	int64_t root_not_after_us, issuer_not_after_us; /* with a signer: of its root, and 0 */
};
must_check int ca_facts(struct ca *c, struct ca_facts *out, struct err *e);
/* Does a program sign, which may take its time? */
bool ca_has_signer(const struct ca *c);

/* ---- enrolment (documents: psec-enrolment(5)) ---- */

/* Judge a request and make the challenge; both are kept until answered (7 d). The same request again gives a new
 * challenge. ERR_INPUT: the document; ERR_REFUSED: what it claims, by name (EK root, EKU, revoked intermediate; certify
 * not by the IAK; key not fixed to the TPM; CSR for another key or name; EK known under another serial; serial known
 * with another EK; scrapped or replaced; the site has another board;
 * a board's serial that is another's site, and back). ERR_AGAIN: our clock is not set. */
must_check int ca_challenge(struct ca *c, const struct now *now, const char *request, struct buf *challenge,
			    struct err *e);
/* The answer → the certificate document. Idempotent: the same answer again gives the same certificate. */
must_check int ca_certify(struct ca *c, const struct now *now, const char *answer, struct buf *certificate,
			  struct err *e);

/* ---- boards ---- */

/* A new board serial PREFIX-000001 in one transaction; never given twice. */
must_check int ca_serial_take(struct ca *c, const struct now *now, const char *prefix, char serial[ENROL_NAME],
			      struct err *e);
enum ca_board_state { CA_BOARD_NEW, CA_BOARD_PROVISIONED, CA_BOARD_REPLACED, CA_BOARD_SCRAPPED };
/* It may never enrol again; its certificates are revoked. */
must_check int ca_board_scrap(struct ca *c, const struct now *now, const char *serial, const char *reason,
			      const char *who, struct err *e);
/* The same board may enrol again, with another TPM, too; its certificates are revoked (superseded). */
must_check int ca_board_rework(struct ca *c, const struct now *now, const char *serial, const char *reason,
			       const char *who, struct err *e);
/* A site goes from one board to another: the old board is replaced, and all its certificates are revoked. A hand-over
 * statement for the audit chain comes back (JSON, signed by the policy key, see psec-enrolment(5)). Idempotent: again
 * the same statement. */
must_check int ca_replace(struct ca *c, const struct now *now, const char *site, const char *old_serial,
			  const char *new_serial, struct buf *handover, struct err *e);

/* ---- revocation ---- */

/* RFC 5280 5.3.1: the reason's number for "key-compromise" …, -1 for none; and the names, NULL-ended. */
int ca_reason(const char *name);
const char *ca_reason_name(int reason);
extern const char *const ca_reasons[];

/* what: a certificate's number, a board's serial or a site; "serial:X", "site:X" and "number:X" where one word could be
 * two of them. *count: how many were revoked now. ERR_INPUT: there is none. */
must_check int ca_revoke(struct ca *c, const struct now *now, const char *what, int reason, const char *who, int *count,
			 struct err *e);
/* Sign new lists, one an issuer (valid_ms from now), keep them as crl.pem; their number rises. */
must_check int ca_crl(struct ca *c, const struct now *now, int64_t valid_ms, struct buf *pem, struct err *e);

/* ---- upkeep ---- */

/* One file: CMS for the recovery certificate, or (NULL) under the passphrase; keys inside stay under theirs.
 * `openssl cms -decrypt` opens both. Consistent while others work. */
must_check int ca_backup(struct ca *c, const char *file, const struct crypto_cert *recovery, struct err *e);
/* From such a file, or from what `openssl cms -decrypt` made of it (then passphrase may be NULL). All or nothing. */
must_check int ca_restore(const char *file, const char *dir, const struct secret *passphrase, struct err *e);
/* A new intermediate; the old one stays until it has expired, and its revocation list with it. */
must_check int ca_rotate(struct ca *c, const struct now *now, struct err *e);
/* All keys under a new passphrase, at once. dir/passphrase, where it is, is replaced, too. */
must_check int ca_rotate_passphrase(struct ca *c, const struct secret *to, struct err *e);

/* ---- storage policies ---- */

/* Sign one: its digest must be that of its PCRs and slot. A slot is given once a board (serial "": once for all
 * boards); the same policy again gives the same signature. */
must_check int ca_policy_sign(struct ca *c, const struct now *now, struct enrol_policy *policy, struct err *e);
/* The authority's public key (a TPM takes it by Name); caller frees. Needs no passphrase. */
must_check int ca_policy_key(struct ca *c, struct crypto_key **out, struct err *e);

/* ---- what is known ---- */

struct ca_row {
	const char *serial, *site, *profile, *number, *state, *fingerprint, *reason; /* state: valid, expired, revoked */
	int64_t not_before_us, not_after_us, revoked_us; /* INT64_MAX: never expires; revoked 0: not */
	bool ek_checked;
};
typedef int ca_row_fn(void *arg, const struct ca_row *row, struct err *e);
/* Certificates of what (as ca_revoke has it; NULL: all), oldest first. */
must_check int ca_list(struct ca *c, const struct now *now, const char *what, ca_row_fn *fn, void *arg, struct err *e);
struct ca_board {
	const char *serial, *state, *ek, *reason, *who;  /* ek: SHA-256 of its public key, or "" */
	bool ek_checked;
	int64_t changed_us, certificates;                /* certificates that are not revoked */
};
typedef int ca_board_fn(void *arg, const struct ca_board *board, struct err *e);
must_check int ca_boards(struct ca *c, ca_board_fn *fn, void *arg, struct err *e);

#endif
