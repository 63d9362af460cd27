/* What the files of this room share: the transaction, what it has loaded, and how a response code is told. */
#ifndef PSEC_TPM_INSIDE_H
#define PSEC_TPM_INSIDE_H

#include "tpm.h"

#include <sys/types.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

#define N3 ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE

/* The library's own names for these shift a bit into an int's sign. */
#define FIRST_TRANSIENT 0x80000000u
#define FIRST_LOADED_SESSION 0x02000000u
#define FIRST_SAVED_SESSION 0x03000000u

/* At most: EK, a key and a sealed object; the bus's session and two policies. */
enum { TPM_LOADED_MAX = 8 };

/* ---- account.c ---- */
/* As it stands in the lock's file. All 0: nothing is loaded. */
struct tpm_note {
	uint32_t magic;
	uint32_t loading;                  /* the kind that a command on its way loads; 0: none is */
	uint32_t held_count, listed_count;
	uint32_t held[2 * TPM_LOADED_MAX]; /* ours, and what could not be flushed of the dead's */
	uint32_t listed[64];               /* loaded of that kind before; full: cut, and so not known */
};
struct tpm_account {
	int fd;                            /* the lock; -1: no account is kept */
	uint32_t loads, flushes;           /* by the command that is on its way: the kind; the handle */
	struct tpm_note note;
};

/* ---- wire.c ---- */
struct tpm_wire {
	TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first: the library knows only that */
	TSS2_TCTI_CONTEXT *inner;           /* borrowed */
	int answer_ms;
	bool broken;                        /* nothing passes any more: */
	bool late, interrupted;             /* no answer came in time; a signal that is handled came */
	struct tpm_account account;
};

struct tpm {
	TSS2_TCTI_CONTEXT *tcti;
	bool own_tcti;                     /* of stream.c, not of the library's loader */
	struct tpm_wire wire;
	ESYS_CONTEXT *esys;
	int lock;
	const char *name;                  /* the TCTI as given; owned */
	bool unmanaged;                    /* no resource manager: what is loaded stays when its process dies */
	bool swept;                        /* what strangers left was flushed once */
	struct {
		ESYS_TR tr;
		TPM2_HANDLE handle;
	} loaded[TPM_LOADED_MAX];          /* by us, flushed by tpm_close */
	size_t loaded_count;
	struct tpm_auths auths;
	ESYS_TR bus;                       /* the salted session that encrypts, or ESYS_TR_NONE */
	ESYS_TR ek;                        /* of tpm_ek_use, or ESYS_TR_NONE */
	TPM2_HANDLE ek_handle;             /* 0: of this transaction */
	ESYS_TR srk;                       /* looked at and found right, or ESYS_TR_NONE */
};

/* ---- lock.c ---- */
must_check int tpm_lock(const char *tcti, int wait_ms, int *fd, struct err *e);
/* "device:/dev/tpmrm0": "/dev/tpmrm0"; otherwise NULL. */
const char *tpm_device(const char *tcti);
bool tpm_device_managed(const char *device);

/* ---- open.c ---- */
void tpm_quiet(void);
/* With another bound for an answer; tpm_open's is 120 s. */
must_check int tpm_open_bound(const char *tcti, int wait_ms, int answer_ms, struct tpm **out, struct err *e);

/* ---- stream.c ---- both are ended by Tss2_Tcti_Finalize, which frees them. */
/* Of the program pid, which is ended with it; fd is its own from now on. */
TSS2_TCTI_CONTEXT *tpm_stream_new(int fd, pid_t pid);
must_check int tpm_swtpm_open(const char *tcti, int answer_ms, TSS2_TCTI_CONTEXT **out, struct err *e);
/* The next command comes on the same connection. Of another TCTI: nothing, each has one for all. */
void tpm_stream_hold(TSS2_TCTI_CONTEXT *context);

/* ---- cmd.c ---- */
must_check int tpm_cmd_open(const char *program, TSS2_TCTI_CONTEXT **out, struct err *e);
void tpm_cmd_end(pid_t pid);

/* ---- wire.c ---- */
/* What ESAPI is given; w lives as long. */
TSS2_TCTI_CONTEXT *tpm_wire_begin(struct tpm_wire *w, TSS2_TCTI_CONTEXT *inner, int answer_ms);

/* ---- account.c ---- */
/* Reads what the one before left, where the lock is a file that we may write. */
void tpm_account_open(struct tpm_account *a, int lock);
/* Flushes that: before anything is loaded. */
void tpm_account_settle(struct tpm *t);
/* The kind that it loads, or 0. Then a->note.listed is to be filled, and tpm_account_begin called, before it goes. */
uint32_t tpm_account_command(struct tpm_account *a, const uint8_t *command, size_t size);
void tpm_account_begin(struct tpm_account *a, size_t listed);
void tpm_account_answer(struct tpm_account *a, const uint8_t *response, size_t size);

/* ---- run.c ---- */
/* Should the command that ended with rc be given again? Waits meanwhile, within a bound counted in *tries. */
bool tpm_again(struct tpm *t, TSS2_RC rc, int *tries);
#define tpm_try(t, command) ({ \
	TSS2_RC rc_; \
	int tries_ = 0; \
	do \
		rc_ = (command); \
	while (tpm_again((t), rc_, &tries_)); \
	rc_; })
/* Ours until tpm_drop or tpm_close. */
void tpm_keep(struct tpm *t, ESYS_TR tr);
void tpm_drop(struct tpm *t, ESYS_TR *tr);
bool tpm_is_ours(const struct tpm *t, TPM2_HANDLE h);
/* Handles from first on, of its own kind (the top byte). More than max: the first max. */
must_check int tpm_handles(struct tpm *t, TPM2_HANDLE first, TPM2_HANDLE *to, size_t max, size_t *count, struct err *e);
must_check int tpm_handle_there(struct tpm *t, TPM2_HANDLE h, bool *there, struct err *e);
must_check int tpm_property(struct tpm *t, TPM2_PT property, uint32_t *value, struct err *e); /* 0 when it has none */
/* A group of them at once: from TPM2_PT_FIXED or TPM2_PT_VAR on; 0 where it has none. */
enum { TPM_PROPERTIES = 0x40 };
struct tpm_properties {
	TPM2_PT first;
	uint32_t value[TPM_PROPERTIES];
};
must_check int tpm_properties(struct tpm *t, TPM2_PT first, struct tpm_properties *out, struct err *e);

/* ---- rc.c ---- */
/* The number of a TPM's response without which handle, parameter or session it means; 0 when another layer spoke. */
TPM2_RC tpm_rc_base(TSS2_RC rc);
/* What came is no answer of a TPM 2.0, or was changed on its way. */
bool tpm_rc_is_odd(TSS2_RC rc);
/* "ACTION: what it means and what to do"; returns -1. t may be NULL. */
int tpm_fail(struct tpm *t, TSS2_RC rc, struct err *e, const char *fmt, ...) printf_like(4, 5);

/* ---- session.c ---- */
/* The session that encrypts what passes on the bus, started when first asked for. */
must_check int tpm_bus(struct tpm *t, struct err *e);
/* How a hierarchy is authorised: by the empty password, or by the bus session's HMAC. */
must_check int tpm_auth(struct tpm *t, ESYS_TR hierarchy, ESYS_TR *session, struct err *e);
must_check int tpm_policy_start(struct tpm *t, ESYS_TR *session, struct err *e);
/* TPM2_PolicySecret(TPM_RH_ENDORSEMENT): EK policy A. */
must_check int tpm_policy_endorsement(struct tpm *t, ESYS_TR session, struct err *e);
/* The admin role of IDevID and IAK for one command (tpm2-keys 7.3.6). */
must_check int tpm_policy_devid(struct tpm *t, ESYS_TR session, enum tpm_key_role role, TPM2_CC command, struct err *e);

/* ---- templates.c ---- */
extern const TPM2B_PUBLIC tpm_template_srk, tpm_template_iak, tpm_template_idevid, tpm_template_sign;
/* Endorsement keys: which certificate's, in the order of preference. */
struct tpm_ek_profile {
	TPM2_HANDLE certificate;
	bool rsa;
	TPMI_ECC_CURVE curve;
	bool high; /* template H: SHA-2 by strength, policy B, unique empty (EK Credential Profile 2.3, B.4) */
};
extern const struct tpm_ek_profile tpm_ek_profiles[];
extern const size_t tpm_ek_profile_count;
void tpm_ek_template(const struct tpm_ek_profile *p, TPM2B_PUBLIC *out);
/* policyRef and operands as TPM2_PolicyOR of an identity key takes them. */
void tpm_devid_branches(enum tpm_key_role role, TPML_DIGEST *out);
const char *tpm_role_name(enum tpm_key_role role);

/* ---- policy.c ---- */
/* A policy's digest grows by a command and its arguments (Part 1, 19.7). */
void tpm_policy_extend(uint8_t digest[CRYPTO_HASH], TPM2_CC command, const void *args, size_t len);
/* TPM2_PolicySecret, PolicySigned and PolicyAuthorize: by an entity's name, then by policyRef. */
void tpm_policy_entity(uint8_t digest[CRYPTO_HASH], TPM2_CC command, const void *name, size_t name_len,
		       const char *ref);
must_check int tpm_authority(const struct crypto_key *authority, TPM2B_PUBLIC *pub, uint8_t name[2 + CRYPTO_HASH],
			     struct err *e);
/* The SHA-256 of tpm_policy_words: what the TPM is asked to verify. */
void tpm_policy_signed(const uint8_t digest[CRYPTO_HASH], uint8_t out[CRYPTO_HASH]);
void tpm_pcr_selection(uint32_t mask, TPML_PCR_SELECTION *out);
void tpm_pcr_digest(const struct tpm_pcrs *pcrs, uint8_t digest[CRYPTO_HASH]);

/* ---- public.c ---- */
must_check int tpm_key_of(const TPM2B_PUBLIC *pub, struct crypto_key **out, struct err *e);
must_check int tpm_name_of(const TPM2B_PUBLIC *pub, uint8_t *name, size_t max, size_t *len, struct err *e);
must_check int tpm_public_blob(const TPM2B_PUBLIC *pub, struct tpm_blob *out, struct err *e);
must_check int tpm_public_parse(const struct tpm_blob *blob, TPM2B_PUBLIC *out, struct err *e);
must_check int tpm_signature_der(const TPMT_SIGNATURE *s, struct buf *der, struct err *e);
/* "P-256 key", "RSA-2048 key", "keyed hash": what an object is, for people. */
char *tpm_public_words(const TPM2B_PUBLIC *pub, char *to, size_t n);

/* ---- keys.c ---- */
must_check int tpm_read_public(struct tpm *t, TPM2_HANDLE h, ESYS_TR *tr, TPM2B_PUBLIC **pub, TPM2B_NAME **qualified,
			       struct err *e);
must_check int tpm_key_fill(const TPM2B_PUBLIC *pub, TPM2_HANDLE h, struct tpm_key *out, struct err *e);
/* Its object for a command; drop is true when the caller has to tpm_drop it. */
must_check int tpm_key_object(struct tpm *t, const struct tpm_key *k, ESYS_TR *tr, bool *drop, struct err *e);
/* A child of the SRK; what is the error's words when the TPM does not take it. */
must_check int tpm_load(struct tpm *t, const struct tpm_blob *pub, const struct tpm_blob *priv, const char *what,
			ESYS_TR *tr, struct err *e);
/* The SRK's object; without it ERR_REFUSED. */
must_check int tpm_srk(struct tpm *t, ESYS_TR *tr, struct err *e);
must_check int tpm_primary(struct tpm *t, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, ESYS_TR *tr,
			   TPM2B_PUBLIC **pub, struct err *e);

/* ---- nv.c ---- */
/* The whole of an index that reads by its own empty authorisation or the owner's; *len 0: absent or never written. */
must_check int tpm_nv_read(struct tpm *t, TPM2_HANDLE index, uint8_t *to, size_t max, size_t *len, struct err *e);
/* The Name that the revocation bits have once written: it is the same on every TPM. */
void tpm_bits_name(uint8_t name[2 + CRYPTO_HASH]);

static inline void put16(uint8_t *to, unsigned v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

static inline void put32(uint8_t *to, uint32_t v)
{
	put16(to, v >> 16);
	put16(to + 2, v & 0xffff);
}

static inline uint32_t get32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static inline void esys_free_(void *p)
{
	Esys_Free(*(void **)p);
}
#define auto_esys __attribute__((cleanup(esys_free_)))

#endif
