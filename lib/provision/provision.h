/* provision: one device's identity, from an empty TPM to installed certificates, a sealed storage key and escrowed
 * authorisations.
 *
 * What is there is found out from the TPM and the files, never remembered, so that each call may be repeated, and may
 * be killed anywhere: the next one goes on where it stopped. One call at a time works on a place (ERR_AGAIN).
 */
#ifndef PSEC_PROVISION_H
#define PSEC_PROVISION_H

#include "base/base.h"
#include "ca/ca.h"
#include "enrol/enrol.h"
#include "tpm/tpm.h"

/* Where the identity's files are: state/tpm and state/secrets, 0700 and 0600. A site's state folder, or OUT/SERIAL of a
 * factory's station. */
struct provision_place {
	const char *state;
	const char *tpm;               /* in place of state/tpm; NULL: that */
};

struct provision_how {
	struct provision_place place;
	const char *tcti;
	int wait_ms;
	const char *serial;            /* the board's; "", unknown, for status, reset and storage_key only */
	const char *site;              /* NULL: the factory moment, IDevID only */
	const char *ek_roots;          /* PEM file, or NULL */
	bool ek_needed;                /* refuse without roots (lab, prod) */
	const char *trust;             /* roots of a CA that is meant, PEM text: added to those that are pinned; NULL */
	/* Hierarchy auths are escrowed to it; NULL: they are not set, status says so. */
	const struct crypto_cert *recovery;
	const struct tpm_auths *auths; /* out of the escrow, where state/secrets is lost; NULL: those of state/secrets */
	uint32_t pcrs;                 /* mask for the first storage policy; 0: PCR 7 */
	bool any_tpm;                  /* reset: also where the files are of another TPM */
	const char *replaces;          /* the serial of the board that had this site before, or NULL */
	const char *hand_over;         /* with it, where the CA is elsewhere: its statement, or NULL */
	const char *authority;         /* whose statement it must be, PEM; NULL: what the old board or this one pinned */
	/* Progress, one of provision_steps each. */
	void (*step)(void *arg, const char *name, bool done_now);
	/* For the audit chain; NULL: nothing is recorded. Called again after a kill when it may not have been heard. */
	int (*record)(void *arg, const char *kind, const char *subject, const char *detail_json, struct err *e);
	void *arg;                     /* of step and record */
};
/* The names that step is called with, in their order, and what they are for people. */
struct provision_step {
	const char *name, *words;
};
extern const struct provision_step provision_steps[];
extern const size_t provision_step_count;

/* No dumps of this process, no core file, and where it may, nothing of it into swap. Before a secret comes in. */
void provision_guard_memory(void);
/* "sim-" and 12 hex digits of the SHA-256 of the EK: the serial of a simulated board. */
must_check int provision_sim_serial(const char *tcti, int wait_ms, char serial[ENROL_NAME], struct err *e);
/* The serial in the IDevID certificate that is installed, or in the request that is open; "": there is neither. */
must_check int provision_known_serial(const struct provision_place *place, char serial[ENROL_NAME], struct err *e);

/* Everything that can be done now. With a CA (opened with its key) to the end: 0, the identity is whole. ca NULL: keys
 * and request.json are made, ERR_AGAIN says what to do next. ERR_REFUSED before anything is changed: lock-out, failure
 * mode, authorisations of others, another TPM than before, one that was cleared, an EK that is not believed. */
must_check int provision_run(const struct provision_how *how, struct ca *ca, const struct now *now, struct err *e);

/* The same by documents: request → (challenge) answer → (certificate) install. Each is kept in state/tpm, too, until
 * the certificate is installed; the same call again gives the same request. */
must_check int provision_request(const struct provision_how *how, enum enrol_profile profile, const struct now *now,
				 struct buf *request, struct err *e);
must_check int provision_answer(const struct provision_how *how, const char *challenge, const struct now *now,
				struct buf *answer, struct err *e);
/* A certificate document, or a plain PEM chain, leaf first. Roots are those that are pinned and how->trust; the first
 * time those of the document. ERR_REFUSED by name: another key, wrong name, wrong CA, expired, not yet valid, revoked.
 * ERR_AGAIN: it has an end, and the clock is not set. */
must_check int provision_install(const struct provision_how *how, const char *document, const struct now *now,
				 struct err *e);

/* When the LDevID's next certificate is due: at two thirds of its life. */
int64_t provision_due_us(int64_t not_before_us, int64_t not_after_us);
/* A new key and a new certificate for it; the old pair stays until then. *done false: it is not due, and !force. */
must_check int provision_renew(const struct provision_how *how, struct ca *ca, const struct now *now, bool force,
			       bool *done, struct err *e);
/* Remove what psec made (keys, NV, authorisations, files). EK and foreign objects stay. *removed: was there
 * anything? */
must_check int provision_reset(const struct provision_how *how, const struct now *now, bool *removed, struct err *e);

enum { PROVISION_WHY = sizeof((struct err *)NULL)->text };
struct provision_certificate {
	bool key, cert, valid, time_checked;
	char fingerprint[CRYPTO_HEX], number[41];
	int64_t not_before_us, not_after_us; /* INT64_MAX: no end */
	char why[200];                 /* why it is not valid, or "" */
};
struct provision_status {
	struct tpm_health health;
	char serial[ENROL_NAME], site[ENROL_NAME];
	struct provision_certificate idevid, iak, ldevid;
	bool ek_certificate, ek_checked;
	char ek_why[PROVISION_WHY];
	bool srk, counter, bits;
	uint64_t counter_value, bits_value;
	/* What stands in their places and is another's, and what to do, or "" */
	char keys_why[PROVISION_WHY], counter_why[PROVISION_WHY], bits_why[PROVISION_WHY];
	bool storage, storage_opens;
	char storage_why[PROVISION_WHY];
	int policy_slot;               /* of the policy that opens; -1 */
	bool auths_set, escrowed;
	bool pending;                  /* a request waits for its certificate */
	bool whole;
	const char *next;              /* what to do next, or NULL; it may be next_words */
	char next_words[PROVISION_WHY];
};
/* Changes nothing. */
must_check int provision_status(const struct provision_how *how, const struct now *now, struct provision_status *out,
				struct err *e);

/* Vouch for the audit log as it is: put gets the counter's next value, the site's chain and its key to sign with, and
 * keeps the head; then it is counted. Nothing happens where there is no LDevID yet. */
typedef int provision_head_fn(void *arg, uint64_t counter, const char *certificate, crypto_sign_fn *sign,
			      void *sign_arg, struct err *e);
must_check int provision_vouch(const struct provision_how *how, provision_head_fn *put, void *arg, struct err *e);

/* ---- the storage key and its policies ---- */

/* The 32 bytes: unsealed with the first policy that fits. ERR_REFUSED says why none does. */
must_check int provision_storage_key(const struct provision_how *how, struct secret *key, struct err *e);
/* An unsigned one: the TPM's PCRs of mask (0: how->pcrs), but for those of expected; slot -1: the next free one; fleet:
 * for all boards. */
must_check int provision_policy_make(const struct provision_how *how, const struct tpm_pcrs *expected, uint32_t mask,
				     int slot, bool fleet, struct buf *policy, struct err *e);
/* A signed one. Where there is no storage key yet, it is made under the authority (PEM); afterwards authority is NULL
 * or the same. *opens: the storage key opens with it now. */
must_check int provision_policy_add(const struct provision_how *how, const char *policy, const char *authority,
				    bool *opens, struct err *e);
/* The slot opens nothing any more, ever. ERR_REFUSED when no other policy opens the storage key now, and !force. */
must_check int provision_policy_revoke(const struct provision_how *how, int slot, bool force, struct err *e);
struct provision_policy {
	int slot;
	bool fleet, revoked, opens;
	uint32_t pcrs;
	const char *why;               /* why it does not open, or "" */
};
typedef int provision_policy_fn(void *arg, const struct provision_policy *policy, struct err *e);
must_check int provision_policy_list(const struct provision_how *how, provision_policy_fn *fn, void *arg,
				     struct err *e);

#endif
