/* The storage key: sealed under the policy authority's word, opened by a policy that it signed. */
#include "inside.h"

#include <jansson.h>
#include <string.h>

enum { KEY_LEN = 32 };

void storage_release(struct storage *s)
{
	crypto_key_free(s->authority);
	*s = (struct storage){ 0 };
}

/* ---- storage.json ---- */

static int read_blob(const json_t *o, const char *key, struct tpm_blob *to, struct err *e)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (!text || crypto_unbase64(text, to->data, sizeof to->data, &to->len, e))
		return err_set(e, ERR_INPUT, 0, "storage.json: %s is missing or no base64", key);
	return 0;
}

int storage_read(const struct provision_how *how, struct storage *out, bool *there, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	const char *pem;
	json_t *o;
	int rc = -1;

	*out = (struct storage){ 0 };
	if (place_read(how, "storage.json", &text, there, e))
		return -1;
	if (!*there)
		return 0;
	o = json_loads(text.data, JSON_REJECT_DUPLICATES, NULL);
	pem = json_string_value(json_object_get(o, "authority"));
	if (!pem || json_integer_value(json_object_get(o, "version")) != 1)
		err_set(e, ERR_INPUT, 0, "storage.json is damaged, or of another version of psec");
	else
		rc = read_blob(o, "public", &out->pub, e) || read_blob(o, "private", &out->priv, e) ||
		     crypto_key_from_pem(pem, &out->authority, e) ? -1 : 0;
	json_decref(o);
	return rc;
}

static int storage_write(const struct provision_how *how, const struct storage *s, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT, pub = BUF_INIT, priv = BUF_INIT;
	auto_free char *text = NULL;
	json_t *o;

	if (crypto_key_public_pem(s->authority, &pem, e) || crypto_base64(s->pub.data, s->pub.len, &pub, e) ||
	    crypto_base64(s->priv.data, s->priv.len, &priv, e))
		return -1;
	o = json_pack("{s:s s:i s:s s:s "
		      "s:s}", "psec", "storage", "version", 1, "authority", pem.data, "public", pub.data,
		      "private", priv.data);
	text = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(o);
	return place_write(how, "storage.json", text, strlen(text), e);
}

/* ---- policies ---- */

static int read_policy(const struct provision_how *how, int slot, struct enrol_policy *out, bool *there, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	char name[32];

	snprintf(name, sizeof name, "policies/%d.json", slot);
	if (place_read(how, name, &text, there, e))
		return -1;
	if (*there && (enrol_policy_read(text.data, out, e) ||
		       (out->slot != slot && err_set(e, ERR_INPUT, 0, "it is of slot %d", out->slot))))
		return err_ctx(e, "%s", name);
	return 0;
}

static int write_policy(const struct provision_how *how, const struct enrol_policy *p, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	char name[32];

	snprintf(name, sizeof name, "policies/%d.json", p->slot);
	return enrol_policy_write(p, &text, e) ? -1 : place_write(how, name, text.data, text.len, e);
}

static int unseal(struct device *d, const struct storage *s, const struct enrol_policy *p, struct secret *key,
		  struct err *e)
{
	struct tpm_policy policy = { .slot = p->slot, .pcrs = p->pcrs };
	int rc;

	memcpy(policy.digest, p->digest, sizeof policy.digest);
	buf_add(&policy.signature, p->signature, p->signature_len);
	rc = tpm_unseal(d->t, s->authority, &policy, &s->pub, &s->priv, key, e);
	buf_release(&policy.signature);
	if (!rc && key->len != KEY_LEN) {
		secret_wipe(key);
		return err_set(e, ERR_INPUT, 0, "the sealed storage key has another length than %d bytes", KEY_LEN);
	}
	return rc;
}

/* A policy that does not fit is passed over; what else fails ends it. The newest one's reason is told. */
int storage_open(struct device *d, struct secret *key, int *slot, struct err *e)
{
	auto_storage struct storage s = { 0 };
	struct enrol_policy p;
	struct err why;
	bool there;

	if (storage_read(d->how, &s, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_REFUSED, 0, "there is no storage key yet; `psec provision` makes it");
	err_set(e, ERR_REFUSED, 0, "there is no storage policy; `psec provision policy add FILE` brings one");
	for (int i = 0; i < TPM_SLOTS; i++) {
		if (read_policy(d->how, i, &p, &there, &why)) {
			*e = why;
			continue; /* one damaged file does not shut out the others */
		}
		if (!there)
			continue;
		if (!unseal(d, &s, &p, key, &why)) {
			if (slot)
				*slot = i;
			return 0;
		}
		*e = why;
		if (e->kind != ERR_REFUSED)
			return -1;
		err_ctx(e, "policy %d", i);
	}
	return err_ctx(e, "the storage key does not open");
}

/* ---- making it ---- */

int storage_make(struct device *d, const struct crypto_key *authority, const struct enrol_policy *policy,
		 struct secret *key, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;
	auto_secret struct secret new = { .len = KEY_LEN };
	auto_storage struct storage s = { 0 };

	if (crypto_key_public_pem(authority, &pem, e) || crypto_key_from_pem(pem.data, &s.authority, e) ||
	    crypto_random(new.data, new.len, e) || tpm_seal(d->t, authority, &new, &s.pub, &s.priv, e) ||
	    unseal(d, &s, policy, key, e))
		return err_ctx(e, "the storage key");
	if (!crypto_equal(new.data, key->data, KEY_LEN))
		return err_set(e, ERR_BUG, 0, "the TPM unseals another storage key than was sealed");
	return write_policy(d->how, policy, e) || storage_write(d->how, &s, e) ? -1 : 0;
}

/* Slots that the CA gave to other policies of this board (before a reset) are passed over. */
static int sign_first(struct device *d, struct ca *ca, struct enrol_policy *p, struct err *e)
{
	uint64_t revoked;
	bool made;

	if (tpm_bits_ensure(d->t, &revoked, &made, e) ||
	    tpm_pcr_read(d->t, d->how->pcrs ? d->how->pcrs : 1 << 7, &p->pcrs, e))
		return -1;
	str_copy(p->serial, sizeof p->serial, d->how->serial);
	err_set(e, ERR_REFUSED, 0, "every slot is revoked");
	for (p->slot = 0; p->slot < TPM_SLOTS; p->slot++) {
		if (revoked >> p->slot & 1)
			continue;
		tpm_policy_digest(&p->pcrs, p->slot, p->digest);
		if (!ca_policy_sign(ca, d->now, p, e))
			return 0;
		if (e->kind != ERR_REFUSED)
			return -1;
	}
	return err_ctx(e, "no slot is left for a storage policy");
}

int storage_ensure(struct device *d, struct ca *ca, struct secret *key, bool *made, struct err *e)
{
	auto_crypto_key struct crypto_key *authority = NULL;
	struct enrol_policy p = { 0 };

	*made = false;
	if (place_has(d->how, "storage.json"))
		return storage_open(d, key, NULL, e);
	*made = true;
	if (ca_policy_key(ca, &authority, e) || sign_first(d, ca, &p, e))
		return err_ctx(e, "the first storage policy");
	return storage_make(d, authority, &p, key, e);
}

int provision_storage_key(const struct provision_how *how, struct secret *key, struct err *e)
{
	auto_device struct device d;

	return device_begin(&d, how, NULL, false, e) || device_open(&d, e) || storage_open(&d, key, NULL, e) ? -1 : 0;
}

/* ---- policy make, add, revoke, list ---- */

static int next_slot(struct device *d, uint64_t revoked, int *slot, struct err *e)
{
	struct enrol_policy p;
	struct err ignored;
	bool there;

	for (int i = TPM_SLOTS - 1; i >= 0; i--) {
		bool used = revoked >> i & 1 || read_policy(d->how, i, &p, &there, &ignored) || there;

		if (used && i == TPM_SLOTS - 1)
			return err_set(e, ERR_REFUSED, 0, "slot %d is used; name a free one by --slot", i);
		if (used) {
			*slot = i + 1;
			return 0;
		}
	}
	*slot = 0;
	return 0;
}

static int make_policy(struct device *d, const struct tpm_pcrs *expected, uint32_t mask, struct enrol_policy *p,
		       struct err *e)
{
	uint64_t revoked;
	bool there;

	if (!mask)
		mask = (d->how->pcrs ? d->how->pcrs : 1 << 7) | expected->mask;
	if (expected->mask & ~mask)
		return err_set(e, ERR_USAGE, 0, "values are given for PCRs that are not among those of the policy");
	if (device_open(d, e) || tpm_bits_read(d->t, &revoked, &there, e) || tpm_pcr_read(d->t, mask, &p->pcrs, e) ||
	    (p->slot < 0 && next_slot(d, revoked, &p->slot, e)))
		return -1;
	for (int i = 0; i < TPM_PCRS; i++)
		if (expected->mask >> i & 1)
			memcpy(p->pcrs.value[i], expected->value[i], CRYPTO_HASH);
	if (revoked >> p->slot & 1)
		return err_set(e, ERR_REFUSED, 0, "slot %d is revoked on this board", p->slot);
	tpm_policy_digest(&p->pcrs, p->slot, p->digest);
	return 0;
}

int provision_policy_make(const struct provision_how *how, const struct tpm_pcrs *expected, uint32_t mask, int slot,
			  bool fleet, struct buf *policy, struct err *e)
{
	struct enrol_policy p = { .slot = slot };
	auto_device struct device d;

	if (!fleet)
		str_copy(p.serial, sizeof p.serial, how->serial);
	return device_begin(&d, how, NULL, false, e) || make_policy(&d, expected, mask, &p, e) ||
	       enrol_policy_write(&p, policy, e) ? -1 : 0;
}

static int check_signed(const struct crypto_key *authority, const struct enrol_policy *p, struct err *e)
{
	auto_buf struct buf words = BUF_INIT;
	uint8_t digest[CRYPTO_HASH];

	tpm_policy_digest(&p->pcrs, p->slot, digest);
	if (!crypto_equal(digest, p->digest, sizeof digest))
		return err_set(e, ERR_REFUSED, 0, "the policy was changed: its digest is not that of its PCRs and its "
			"slot");
	if (!p->signature_len)
		return err_set(e, ERR_REFUSED, 0, "the policy is not signed; `psec provision ca policy FILE` signs it");
	tpm_policy_words(p->digest, &words);
	if (crypto_verify(authority, words.data, words.len, p->signature, p->signature_len, e)) {
		e->kind = ERR_REFUSED;
		return err_ctx(e, "the policy is not signed by this board's policy authority");
	}
	return 0;
}

/* *out: the key among those of a policy.pem that is meant: the one that the storage key is under, else the only one. */
static int authority_of(const char *text, const struct crypto_key *pinned, struct crypto_key **out, struct err *e)
{
	auto_enrol_authority struct enrol_authority a = { 0 };
	size_t i = 0;

	if (enrol_authority_read(text, &a, e))
		return err_ctx(e, "the authority");
	while (pinned && i < a.count && !crypto_key_same(a.key[i], pinned))
		i++;
	if (i == a.count)
		return err_set(e, ERR_REFUSED, 0, "the storage key is under another policy authority");
	if (!pinned && a.count > 1)
		return err_set(e, ERR_INPUT, 0, "the authority: there are %zu public keys, must be one: the first policy says "
			       "under which the storage key is", a.count);
	*out = a.key[i];
	a.key[i] = NULL;
	return 0;
}

static int add_policy(struct device *d, const struct enrol_policy *p, const char *authority, bool *opens, struct err *e)
{
	auto_crypto_key struct crypto_key *given = NULL;
	auto_secret struct secret key = { 0 };
	auto_storage struct storage s = { 0 };
	uint64_t revoked;
	struct err why;
	bool there;

	if (p->serial[0] && !str_eq(p->serial, d->how->serial))
		return err_set(e, ERR_REFUSED, 0, "the policy is for board '%s', this is "
			"'%s'", p->serial, d->how->serial);
	if (storage_read(d->how, &s, &there, e) ||
	    (authority && authority_of(authority, there ? s.authority : NULL, &given, e)))
		return -1;
	if (!there && !given)
		return err_set(e, ERR_USAGE, 0, "there is no storage key yet: give the authority's public key, the "
			       "CA's policy.pem, by --authority FILE");
	if (check_signed(there ? s.authority : given, p, e) || device_open(d, e) || device_authorise(d, e) ||
	    tpm_bits_ensure(d->t, &revoked, opens, e))
		return -1;
	if (revoked >> p->slot & 1)
		return err_set(e, ERR_REFUSED, 0, "slot %d is revoked on this board", p->slot);
	*opens = true;
	if (!there)
		return storage_make(d, given, p, &key, e);
	*opens = !unseal(d, &s, p, &key, &why);
	return write_policy(d->how, p, e);
}

int provision_policy_add(const struct provision_how *how, const char *policy, const char *authority, bool *opens,
			 struct err *e)
{
	auto_device struct device d = DEVICE_INIT;
	struct enrol_policy p;

	return enrol_policy_read(policy, &p, e) || device_begin(&d, how, NULL, true, e) ||
	       add_policy(&d, &p, authority, opens, e) ? -1 : 0;
}

/* Does the storage key open by another policy than that of the slot? */
static int opens_without(struct device *d, int slot, bool *opens, struct err *e)
{
	auto_storage struct storage s = { 0 };
	struct enrol_policy p;
	struct err why;
	bool there;

	*opens = false;
	if (storage_read(d->how, &s, &there, e))
		return -1;
	for (int i = 0; there && i < TPM_SLOTS && !*opens; i++) {
		auto_secret struct secret key = { 0 };
		bool is;

		*opens = i != slot && !read_policy(d->how, i, &p, &is, &why) && is && !unseal(d, &s, &p, &key, &why);
	}
	*opens = *opens || !there;
	return 0;
}

int provision_policy_revoke(const struct provision_how *how, int slot, bool force, struct err *e)
{
	auto_device struct device d;
	bool opens = false;
	char name[32];

	snprintf(name, sizeof name, "policies/%d.json", slot);
	if (device_begin(&d, how, NULL, true, e) || device_open(&d, e) || device_authorise(&d, e) ||
	    opens_without(&d, slot, &opens, e))
		return -1;
	if (!place_has(how, name) && !force)
		return err_set(e, ERR_REFUSED, 0, "there is no policy of slot %d here (`psec provision policy list`), and a "
			       "slot that is revoked can never be used again; is it meant, say --force", slot);
	if (!opens && !force)
		return err_set(e, ERR_REFUSED, 0, "without slot %d the storage key would not open now: bring the policy "
			       "that takes its place first (`psec provision policy add FILE`), or say --force", slot);
	return tpm_bits_set(d.t, slot, e);
}

static int list_policies(struct device *d, provision_policy_fn *fn, void *arg, struct err *e)
{
	auto_storage struct storage s = { 0 };
	uint64_t revoked;
	bool there, bits;

	if (device_open(d, e) || storage_read(d->how, &s, &there, e) || tpm_bits_read(d->t, &revoked, &bits, e))
		return -1;
	for (int i = 0; i < TPM_SLOTS; i++) {
		auto_secret struct secret key = { 0 };
		struct provision_policy row = { .slot = i, .revoked = revoked >> i & 1, .why = "" };
		struct enrol_policy p = { 0 };
		struct err why = { 0 };
		bool is;

		if (read_policy(d->how, i, &p, &is, &why))
			row.why = why.text;
		else if (!is)
			continue;
		else if (!there)
			row.why = "there is no storage key yet";
		else if (unseal(d, &s, &p, &key, &why))
			row.why = why.text;
		else
			row.opens = true;
		row.pcrs = p.pcrs.mask;
		row.fleet = !p.serial[0];
		if (fn(arg, &row, e))
			return -1;
	}
	return 0;
}

int provision_policy_list(const struct provision_how *how, provision_policy_fn *fn, void *arg, struct err *e)
{
	auto_device struct device d;

	return device_begin(&d, how, NULL, false, e) || list_policies(&d, fn, arg, e) ? -1 : 0;
}
