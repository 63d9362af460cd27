/* One call's work on one device, seen inside the room only. */
#ifndef PSEC_PROVISION_INSIDE_H
#define PSEC_PROVISION_INSIDE_H

#include "provision.h"

enum { PLACE_TEXT_MAX = ENROL_MAX };

struct device {
	const struct provision_how *how;
	const struct now *now;
	int lock;                      /* on the place */
	struct tpm *t;                 /* the transaction that is open, or NULL */
	bool ek_used;                  /* in it */
	struct tpm_health health;
	enum device_change { DEVICE_AS_BEFORE, DEVICE_OTHER_TPM, DEVICE_CLEARED } change; /* of device_same */
	bool ek_read;
	struct crypto_cert *ek;        /* its certificate; NULL: the TPM has none */
	struct crypto_bag *ek_chain;
	struct tpm_key srk, iak, idevid; /* as found or made; pub.len 0: not */
	bool has_auths;
	struct tpm_auths auths;
};
#define DEVICE_INIT { .lock = -1 }

/* ---- place.c: files ---- */
char *place_path(const struct provision_how *how, const char *name); /* below state/tpm; caller frees */
must_check int place_make(const struct provision_how *how, struct err *e);
must_check int place_lock(const struct provision_how *how, int *fd, struct err *e);
/* *there false: no such file, and to is "". */
must_check int place_read(const struct provision_how *how, const char *name, struct buf *to, bool *there,
			  struct err *e);
bool place_has(const struct provision_how *how, const char *name);
must_check int place_write(const struct provision_how *how, const char *name, const void *data, size_t len,
			   struct err *e);
must_check int place_remove(const struct provision_how *how, const char *name, struct err *e); /* absent: no fault */
/* Key and certificate of the LDevID, both at once. */
must_check int place_put_ldevid(const struct provision_how *how, const struct buf *key, const char *chain,
				const char *fingerprint, struct err *e);
bool place_has_old_ldevid(const struct provision_how *how);
must_check int place_drop_old_ldevids(const struct provision_how *how, bool current, struct err *e);
must_check int place_drop_half_files(const struct provision_how *how, struct err *e);
must_check int place_aside(const struct provision_how *how, const char *name, struct err *e);

/* ---- device.c ---- */
must_check int device_begin(struct device *d, const struct provision_how *how, const struct now *now, bool lock,
			    struct err *e);
void device_end(struct device *d);
#define auto_device __attribute__((cleanup(device_end)))
must_check int device_open(struct device *d, struct err *e);
void device_close(struct device *d);
/* A crypto_sign_fn; its argument is a struct device_signing. */
struct device_signing { struct tpm *t; const struct tpm_key *key; };
must_check int device_sign(void *arg, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e);
/* Refuses what must not be worked on: nothing has been tried then. */
must_check int device_health(struct device *d, struct err *e);
/* Read the EK's certificate, judge it by the roots. */
must_check int device_ek(struct device *d, struct err *e);
/* The transaction's EK is the certificate's from now on; what is secret passes in a session salted for it. */
must_check int device_ek_use(struct device *d, struct err *e);
/* ERR_REFUSED: it is not believed; *checked: there were roots to judge it by. */
must_check int device_ek_check(struct device *d, bool *checked, struct err *e);
/* What the hierarchies ask for, where they ask: how->auths, else state/secrets. */
must_check int device_authorise(struct device *d, struct err *e);
/* SRK, IAK and IDevID; once a device. */
must_check int device_find_keys(struct device *d, bool make, struct err *e);
/* The files are of this TPM, and it was not cleared since. */
must_check int device_same(struct device *d, struct err *e);
/* From now on they are to be this TPM's. */
must_check int device_keep_ek(struct device *d, struct err *e);
must_check int device_is_other(struct device *d, bool *other, struct err *e);
void device_step(const struct device *d, const char *name, bool done_now);

/* ---- secrets.c ---- */
/* Of state/secrets; *there false: there is none, or it has no authorisations. */
must_check int secrets_auths(const struct provision_how *how, const struct secret *key, struct tpm_auths *to,
			     bool *there, struct err *e);
must_check int secrets_escrowed(const struct provision_how *how, const struct secret *key, bool *escrowed,
				struct err *e);
/* Authorisations made, kept and escrowed, all durable: they may be set now. */
must_check int secrets_ensure(struct device *d, const struct secret *key, bool *made, struct err *e);
char *secrets_path(const struct provision_how *how); /* caller frees */

/* ---- storage.c ---- */
struct storage {
	struct crypto_key *authority;
	struct tpm_blob pub, priv;
};
void storage_release(struct storage *s);
#define auto_storage __attribute__((cleanup(storage_release)))
must_check int storage_read(const struct provision_how *how, struct storage *out, bool *there, struct err *e);
/* Unsealed with the first policy that fits; *slot may be NULL. */
must_check int storage_open(struct device *d, struct secret *key, int *slot, struct err *e);
/* Sealed under the authority; the policy must open it before it is kept. */
must_check int storage_make(struct device *d, const struct crypto_key *authority, const struct enrol_policy *policy,
			    struct secret *key, struct err *e);
/* Made, or opened. */
must_check int storage_ensure(struct device *d, struct ca *ca, struct secret *key, bool *made, struct err *e);

/* ---- chain.c: certificates ---- */
enum chain { CHAIN_IDEVID, CHAIN_IAK, CHAIN_LDEVID };
struct chain_check {
	enum chain what;
	const struct crypto_key *key;  /* NULL: not compared */
	const char *serial, *site;
	const struct crypto_bag *trust;
	const struct now *now;
};
must_check int chain_check(const char *pem, const struct chain_check *how, bool *time_checked,
			   struct crypto_cert_facts *facts, struct err *e);
/* The pinned roots, how->trust and document (NULL: none), as one text and as a bag. */
must_check int chain_trust(const struct provision_how *how, const char *document, struct buf *pem,
			   struct crypto_bag **bag, struct err *e);
/* Not valid is no fault: *why. The CA (or NULL) knows of revocation. */
must_check int chain_installed(const struct provision_how *how, enum chain what, const struct crypto_key *key,
			       struct ca *ca, const struct now *now, struct provision_certificate *out, struct err *e);

/* ---- enrolment.c ---- */
must_check int enrolment_ldevid_key(struct device *d, const char *file, struct tpm_key *out, bool *there,
				    struct err *e);
bool enrolment_is_open(const struct provision_how *how, enum enrol_profile profile);
/* request.json of that profile, the one that is open or a new one. */
must_check int enrolment_request(struct device *d, enum enrol_profile profile, struct buf *request, struct err *e);
must_check int enrolment_answer(struct device *d, const char *challenge, struct buf *answer, struct err *e);
must_check int enrolment_install(struct device *d, const char *document, struct err *e);
/* What an installation that was cut left: it is recorded, and its documents go. */
must_check int enrolment_finish(struct device *d, struct err *e);
/* Request, challenge, answer, certificate, with a CA of this machine; NULL: ERR_AGAIN says what to do next. */
must_check int enrolment_by(struct device *d, struct ca *ca, enum enrol_profile profile, struct err *e);

/* ---- renew.c ---- */
must_check int renew_hand_over(struct device *d, struct ca *ca, struct err *e);
/* While a replacement has begun and its hand-over is not in the audit log, a file names the old board: the site's key
 * must not sign a head before. old: "" where nothing is owed. */
#define RENEW_OWED "replaces"
must_check int renew_owe(const struct provision_how *how, struct err *e);
must_check int renew_owed(const struct provision_how *how, char old[ENROL_NAME], struct err *e);
must_check int renew_nothing_owed(const struct provision_how *how, struct err *e);

#endif
