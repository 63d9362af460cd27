/* tpm: the TPM 2.0, raw ESAPI, met nowhere else.
 *
 * A `struct tpm` is one short transaction: it holds the lock that psec and psecd share, and tpm_close leaves nothing
 * loaded, on every path; what a killed process had loaded goes at the next tpm_open. Busy, and an answer that does not
 * come, are waited for with a bound; lock-out is told and never made worse: nothing is tried with
 * an authorisation that may be wrong where a wrong one counts (TPM 2.0 Part 1, 19.8).
 */
#ifndef PSEC_TPM_H
#define PSEC_TPM_H

#include "base/base.h"
#include "crypto/crypto.h"

/* SRK: "TCG TPM v2.0 Provisioning Guidance" 7.5.1. IDevID and IAK: the "Registry of Reserved TPM 2.0 Handles and
 * Localities" gives endorsement keys 0x8101xxxx and leaves what follows; 0x81020000 for the IDevID is what makers' own
 * scripts use (GlobalSign's, beside its certificate in NV 0x01c90000), and the IAK has the next one. 0x01500000… is of
 * the owner's range of NV indices. */
enum {
	TPM_HANDLE_SRK = (int)0x81000001,
	TPM_HANDLE_IDEVID = (int)0x81020000,
	TPM_HANDLE_IAK = (int)0x81020001,
	TPM_NV_COUNTER = 0x01500020,
	TPM_NV_BITS = 0x01500021,
};

struct tpm;
/* tcti as tpm2-tools have it: "device:/dev/tpmrm0" (or only "/dev/tpmrm0"), "swtpm:path=/run/swtpm", "tabrmd:",
 * "cmd:ssh board …". The lock is the device itself where the kernel manages its objects, else a file of /run/lock (or
 * /tmp) named by the TCTI's text: one spelling for all who share a TPM. ERR_UNREACHABLE, with the next step; ERR_AGAIN
 * when another holds it for longer than wait_ms; ERR_INPUT when it is no TPM 2.0. */
must_check int tpm_open(const char *tcti, int wait_ms, struct tpm **out, struct err *e);
void tpm_close(struct tpm *t);

/* A marshalled TPM2B_…, as it stands in files and documents. */
struct tpm_blob {
	uint8_t data[1024];
	size_t len;
};

/* ---- health ------------------------------------------------------------------------------------------------------ */

struct tpm_health {
	char manufacturer[5], model[17], firmware[24], revision[8];
	bool owner_auth, endorsement_auth, lockout_auth; /* set? (TPM_PT_PERMANENT) */
	bool in_lockout, failed;                         /* failed: failure mode; what else there is may be 0 */
	uint32_t lockout_counter, max_tries;
	uint32_t recovery_s, lockout_recovery_s;         /* until one failure is forgotten; the lockout authorisation's */
	uint32_t persistent_free, transient_loaded, sessions_loaded; /* loaded by someone else */
	bool storage_enabled, endorsement_enabled;
};
must_check int tpm_health(struct tpm *t, struct tpm_health *out, struct err *e);

/* ---- authorisations of the hierarchies --------------------------------------------------------------------------- */

struct tpm_auths {
	struct secret owner, endorsement, lockout;
};
void tpm_auths_wipe(struct tpm_auths *a);
/* How many of them are set? tpm_health says which; this is one command. */
enum { TPM_AUTHS = 3 };
must_check int tpm_asks_auths(struct tpm *t, unsigned *set, struct err *e);
/* What this transaction authorises with. A value for a hierarchy whose authorisation is not set is not used: it is
 * empty; so a run that was cut between two changes is simply begun again. ERR_REFUSED when owner or endorsement is
 * wrong (neither counts towards the lock-out); lockout is not tried. Never on the bus in clear. */
must_check int tpm_use_auths(struct tpm *t, const struct tpm_auths *a, struct err *e);
/* What tpm_use_auths found right before, in another transaction of this process: not tried again. */
must_check int tpm_reuse_auths(struct tpm *t, const struct tpm_auths *a, struct err *e);
/* TPM2_HierarchyChangeAuth, the new values encrypted on the bus by a session salted for the EK (tpm_ek_use), else for
 * the SRK; lockout first, owner last; those that are already `to` are left. A lockout authorisation that is set, and
 * for which tpm_use_auths was given none, is taken to be `to`'s: a try could lock it. Look at tpm_health before. */
must_check int tpm_change_auths(struct tpm *t, const struct tpm_auths *to, struct err *e);

/* ---- keys -------------------------------------------------------------------------------------------------------- */

enum tpm_key_role { TPM_EK, TPM_SRK, TPM_IAK, TPM_IDEVID };
struct tpm_key {
	uint32_t handle;             /* persistent; 0: a child of the SRK by pub and priv, or the EK of this transaction */
	struct tpm_blob pub, priv;
	uint8_t name[50];            /* nameAlg and hash; 34 bytes but for a P-384 EK */
	size_t name_len;
	struct crypto_key *key;      /* its public key; owned: tpm_key_release */
};
void tpm_key_release(struct tpm_key *k);
#define auto_tpm_key __attribute__((cleanup(tpm_key_release)))
/* Endorsement certificates as NV has them, best first: P-256 (0x01c0000a, 0x01c00014), P-384 (0x01c00016), RSA
 * (0x01c00002, 0x01c00012); the chain (0x01c00100…0x01c001ff) is added to the bag. *out NULL: there is none. */
must_check int tpm_ek_certificate(struct tpm *t, struct crypto_cert **out, struct crypto_bag *chain, struct err *e);
/* The EK of that certificate: persistent where it is, else made from TCG's template for this transaction; NULL where
 * the TPM has no certificate: the persistent one, else P-256. ERR_REFUSED: the TPM's key is not the certificate's. */
must_check int tpm_ek_use(struct tpm *t, const struct crypto_cert *ek_certificate, struct err *e);
/* There and of TCG's template, else made and made persistent (the EK: of this transaction only). A foreign object at
 * its handle: ERR_REFUSED naming it. */
must_check int tpm_key_ensure(struct tpm *t, enum tpm_key_role role, struct tpm_key *out, bool *made, struct err *e);
must_check int tpm_key_find(struct tpm *t, enum tpm_key_role role, struct tpm_key *out, bool *found, struct err *e);
/* A signing key under the SRK (LDevID). */
must_check int tpm_key_create(struct tpm *t, struct tpm_key *out, struct err *e);
must_check int tpm_key_from_tss2(const struct crypto_tss2 *file, struct tpm_key *out, struct err *e);
/* As it stands in a "TSS2 PRIVATE KEY" file. */
void tpm_key_to_tss2(const struct tpm_key *k, struct crypto_tss2 *out);
/* ERR_REFUSED when this TPM cannot load it (another TPM's, cleared). */
must_check int tpm_key_probe(struct tpm *t, const struct tpm_key *k, struct err *e);
/* What we made there; an absent one is no fault, a foreign one is refused. Not for the EK. */
must_check int tpm_key_evict(struct tpm *t, enum tpm_key_role role, struct err *e);
must_check int tpm_sign(struct tpm *t, const struct tpm_key *k, const uint8_t digest[CRYPTO_HASH], struct buf *der,
			struct err *e);
/* TPM2_Certify of key by the IAK: TPMS_ATTEST and TPMT_SIGNATURE, marshalled. */
must_check int tpm_certify(struct tpm *t, const struct tpm_key *iak, const struct tpm_key *key,
			   const uint8_t nonce[CRYPTO_HASH], struct tpm_blob *attest, struct tpm_blob *signature,
			   struct err *e);
/* TPM2_ActivateCredential by the EK (tpm_ek_use before) for the IAK; the value comes encrypted over the bus.
 * ERR_REFUSED when the credential is not for this EK and this key. */
must_check int tpm_activate(struct tpm *t, const struct tpm_key *iak, const struct tpm_blob *credential,
			    const struct tpm_blob *secret, struct secret *value, struct err *e);

/* ---- without a TPM: judged by the CA ----------------------------------------------------------------------------- */

struct tpm_public {
	struct crypto_key *key;
	uint8_t name[34];
	size_t name_len;
	bool fixed;      /* fixedTPM, fixedParent, sensitiveDataOrigin: made in that TPM, never to leave it */
	bool restricted; /* signs only what the TPM itself made */
	bool signs;      /* and does not decrypt */
};
/* Unmarshal TPM2B_PUBLIC, compute the Name. ERR_INPUT for what is not P-256/SHA-256. */
must_check int tpm_public_read(const struct tpm_blob *pub, struct tpm_public *out, struct err *e);
void tpm_public_release(struct tpm_public *p);
/* The IAK is fixed, restricted and signs; magic, type, the nonce, the Name of key, and the signature by iak.
 * ERR_REFUSED says which. */
must_check int tpm_certify_check(const struct tpm_public *iak, const struct tpm_public *key,
				 const uint8_t nonce[CRYPTO_HASH], const struct tpm_blob *attest,
				 const struct tpm_blob *signature, struct err *e);

/* ---- counter and revocation bits in NV --------------------------------------------------------------------------- */

/* An index of another kind at its place: ERR_REFUSED. One that was defined and never written is not there. */
must_check int tpm_counter_ensure(struct tpm *t, uint64_t *value, bool *made, struct err *e);
must_check int tpm_counter_read(struct tpm *t, uint64_t *value, bool *there, struct err *e);
must_check int tpm_counter_increment(struct tpm *t, uint64_t *value, struct err *e);
/* Set by the owner only; a bit that is set stays. */
must_check int tpm_bits_ensure(struct tpm *t, uint64_t *value, bool *made, struct err *e);
must_check int tpm_bits_read(struct tpm *t, uint64_t *value, bool *there, struct err *e);
must_check int tpm_bits_set(struct tpm *t, int slot, struct err *e); /* slot 0…63 */
must_check int tpm_nv_remove(struct tpm *t, uint32_t index, struct err *e); /* an absent one is no fault */

/* ---- sealed data under an authorised policy ---------------------------------------------------------------------- */

enum { TPM_PCRS = 24, TPM_SLOTS = 64 };
#define TPM_POLICY_REF "psec-storage"
struct tpm_pcrs { /* bank SHA-256 */
	uint32_t mask;
	uint8_t value[TPM_PCRS][CRYPTO_HASH];
};
must_check int tpm_pcr_read(struct tpm *t, uint32_t mask, struct tpm_pcrs *out, struct err *e);
struct tpm_policy {
	int slot;
	struct tpm_pcrs pcrs;
	uint8_t digest[CRYPTO_HASH];
	struct buf signature; /* DER, by the authority */
};
/* Computed in software: PolicyPCR then PolicyNV(TPM_NV_BITS, 1<<slot, BITCLEAR). */
void tpm_policy_digest(const struct tpm_pcrs *pcrs, int slot, uint8_t digest[CRYPTO_HASH]);
/* digest ‖ policyRef: what the authority signs, by crypto_sign (which hashes it: SHA-256). */
void tpm_policy_words(const uint8_t digest[CRYPTO_HASH], struct buf *words);
/* Seal under PolicyAuthorize(authority); the data goes encrypted over the bus. */
must_check int tpm_seal(struct tpm *t, const struct crypto_key *authority, const struct secret *data,
			struct tpm_blob *pub, struct tpm_blob *priv, struct err *e);
/* ERR_REFUSED, and why: the PCRs are not those of the policy (which), the policy is not signed by the authority, its
 * slot is revoked, another TPM's. The reasons are found before the TPM is asked; it judges all of them again. */
must_check int tpm_unseal(struct tpm *t, const struct crypto_key *authority, const struct tpm_policy *policy,
			  const struct tpm_blob *pub, const struct tpm_blob *priv, struct secret *data, struct err *e);

/* ---- TLS: keys that stay in the TPM ------------------------------------------------------------------------------ */

/* From now on OpenSSL reads "TSS2 PRIVATE KEY" PEM files and signs with the TPM behind tcti; no key can be exported.
 * ECDSA P-256 with SHA-256, in one call (EVP_DigestSign, as TLS 1.3 does it). One transaction a signature, from
 * any thread; nothing is held between. Before any TLS context is made; a second call changes tcti and wait_ms, while
 * nobody signs. What the TPM says is the first error in OpenSSL's queue after a handshake that failed for it: its
 * reason the kind, ERR_AGAIN…, its data (ERR_get_error_all) the text of a struct err. */
must_check int tpm_provider_load(const char *tcti, int wait_ms, struct err *e);

#endif
