/* auth: whether an authorisation is right, and changing it. Owner's and endorsement's can be tried, a wrong one costs
 * nothing; the lockout's cannot: one wrong try shuts it for its recovery time (Part 1, 19.8.5). */
#include "inside.h"

#include <string.h>

static const struct hierarchy {
	ESYS_TR esys;
	const char *name;
	TPMA_PERMANENT set;
	size_t at; /* in struct tpm_auths */
	bool can_try;
} hierarchies[] = { /* in the order of change */
	{ESYS_TR_RH_LOCKOUT, "lockout", TPMA_PERMANENT_LOCKOUTAUTHSET, offsetof(struct tpm_auths, lockout), false},
	{ESYS_TR_RH_ENDORSEMENT, "endorsement", TPMA_PERMANENT_ENDORSEMENTAUTHSET, offsetof(struct tpm_auths, endorsement),
	 true},
	{ESYS_TR_RH_OWNER, "owner", TPMA_PERMANENT_OWNERAUTHSET, offsetof(struct tpm_auths, owner), true},
};

void tpm_auths_wipe(struct tpm_auths *a)
{
	secret_wipe(&a->owner);
	secret_wipe(&a->endorsement);
	secret_wipe(&a->lockout);
}

static struct secret *in(struct tpm_auths *a, const struct hierarchy *h)
{
	return (struct secret *)((char *)a + h->at);
}

static const struct secret *of(const struct tpm_auths *a, const struct hierarchy *h)
{
	return (const struct secret *)((const char *)a + h->at);
}

static bool same(const struct secret *a, const struct secret *b)
{
	return a->len == b->len && crypto_equal(a->data, b->data, a->len);
}

/* TPM2_PolicySecret authorises and does nothing else. */
static int try_auth(struct tpm *t, const struct hierarchy *h, bool *right, struct err *e)
{
	ESYS_TR auth, policy = ESYS_TR_NONE;
	TSS2_RC rc;

	if (tpm_auth(t, h->esys, &auth, e) || tpm_policy_start(t, &policy, e))
		return -1;
	rc = tpm_try(t, Esys_PolicySecret(t->esys, h->esys, policy, auth, ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0,
					  NULL, NULL));
	tpm_drop(t, &policy);
	*right = rc == 0;
	if (rc && tpm_rc_base(rc) != TPM2_RC_BAD_AUTH)
		return tpm_fail(t, rc, e, "the %s authorisation", h->name);
	return 0;
}

int tpm_asks_auths(struct tpm *t, unsigned *set, struct err *e)
{
	uint32_t permanent;

	if (tpm_property(t, TPM2_PT_PERMANENT, &permanent, e))
		return -1;
	*set = 0;
	for (size_t i = 0; i < COUNT_OF(hierarchies); i++)
		*set += (permanent & hierarchies[i].set) != 0;
	return 0;
}

static int use_auths(struct tpm *t, const struct tpm_auths *a, bool tried, struct err *e)
{
	uint32_t permanent;

	if (tpm_property(t, TPM2_PT_PERMANENT, &permanent, e))
		return -1;
	tpm_auths_wipe(&t->auths);
	for (size_t i = 0; i < COUNT_OF(hierarchies); i++) {
		const struct hierarchy *h = &hierarchies[i];
		bool right;

		if (!(permanent & h->set))
			continue;
		*in(&t->auths, h) = *of(a, h);
		if (tried || !h->can_try)
			continue;
		if (try_auth(t, h, &right, e))
			return -1;
		if (!right)
			return err_set(e, ERR_REFUSED, 0, "the %s authorisation of this TPM is %s; the right one is where the TPM "
				       "was provisioned: state/secrets, or the escrow", h->name, of(a, h)->len ? "another" : "set, and "
				       "was not given");
	}
	return 0;
}

int tpm_use_auths(struct tpm *t, const struct tpm_auths *a, struct err *e)
{
	return use_auths(t, a, false, e);
}

int tpm_reuse_auths(struct tpm *t, const struct tpm_auths *a, struct err *e)
{
	return use_auths(t, a, true, e);
}

static int change(struct tpm *t, const struct hierarchy *h, const struct secret *to, struct err *e)
{
	TPM2B_AUTH value = {.size = (UINT16)to->len};
	ESYS_TR auth, enc;
	TSS2_RC rc;

	if (to->len > sizeof value.buffer)
		return err_set(e, ERR_INPUT, 0, "the %s authorisation has %zu bytes, at most %zu are taken", h->name, to->len,
			       sizeof value.buffer);
	if (tpm_bus(t, e) || tpm_auth(t, h->esys, &auth, e))
		return -1;
	enc = auth == t->bus ? ESYS_TR_NONE : t->bus; /* one session may do both, and stands once only */
	memcpy(value.buffer, to->data, to->len);
	rc = tpm_try(t, Esys_HierarchyChangeAuth(t->esys, h->esys, auth, enc, ESYS_TR_NONE, &value));
	explicit_bzero(&value, sizeof value);
	if (rc)
		return tpm_fail(t, rc, e, "cannot change the %s authorisation", h->name);
	*in(&t->auths, h) = *to;
	return 0;
}

/* Does the TPM have it already? For the lockout's a set one that we were not told is taken for it. */
static int is_already(struct tpm *t, const struct hierarchy *h, uint32_t permanent, const struct secret *to,
		      bool *already, struct err *e)
{
	struct secret *now = in(&t->auths, h);
	bool right;

	if (!(permanent & h->set)) {
		now->len = 0;
		*already = to->len == 0;
		return 0;
	}
	*already = same(now, to) || (!h->can_try && now->len == 0);
	if (!h->can_try || now->len != 0)
		return 0; /* tpm_use_auths has tried what it was given */
	*now = *to;
	if (try_auth(t, h, &right, e))
		return -1;
	if (!right) {
		secret_wipe(now);
		return err_set(e, ERR_REFUSED, 0, "the %s authorisation of this TPM is set, and was not given", h->name);
	}
	*already = true;
	return 0;
}

int tpm_change_auths(struct tpm *t, const struct tpm_auths *to, struct err *e)
{
	uint32_t permanent;

	if (tpm_property(t, TPM2_PT_PERMANENT, &permanent, e))
		return -1;
	for (size_t i = 0; i < COUNT_OF(hierarchies); i++) {
		const struct hierarchy *h = &hierarchies[i];
		bool already;

		if (is_already(t, h, permanent, of(to, h), &already, e) || (!already && change(t, h, of(to, h), e)))
			return -1;
	}
	return 0;
}
