/* Everything that can be done now, in its order. */
#include "inside.h"

#include <string.h>

const struct provision_step provision_steps[] = {
	{ "health", "the TPM is well" },
	{ "ek", "endorsement key, and its certificate as far as roots are given" },
	{ "srk", "storage root key" },
	{ "iak", "attestation key (IAK)" },
	{ "idevid-key", "the board's key (IDevID)" },
	{ "counter", "counter of the audit log" },
	{ "revocation-bits", "revocation bits of storage policies" },
	{ "idevid", "the board's certificates" },
	{ "storage-key", "storage key, sealed" },
	{ "secrets", "authorisations made, kept and escrowed" },
	{ "authorisations", "authorisations set in the TPM" },
	{ "hand-over", "the site is handed over to this board" },
	{ "ldevid", "the site's key and certificate (LDevID)" },
};
const size_t provision_step_count = COUNT_OF(provision_steps);

/* Room for SRK, IAK and IDevID; what stands there needs none. */
static int check_room(struct device *d, struct err *e)
{
	const enum tpm_key_role roles[] = { TPM_SRK, TPM_IAK, TPM_IDEVID };
	uint32_t needed = 0;

	for (size_t i = 0; i < COUNT_OF(roles); i++) {
		auto_tpm_key struct tpm_key k = { 0 };
		bool found;

		if (tpm_key_find(d->t, roles[i], &k, &found, e))
			return -1;
		needed += !found;
	}
	if (needed <= d->health.persistent_free)
		return 0;
	return err_set(e, ERR_REFUSED, 0, "the TPM has room for %u persistent keys, and %u are needed; nothing was "
		       "tried: see whose they are with 'tpm2_getcap handles-persistent', and remove what nobody needs "
		       "with 'tpm2_evictcontrol -c HANDLE'", d->health.persistent_free, needed);
}

/* What the old board left is another TPM's: of use to nobody here, and kept. */
static int make_way(struct device *d, struct err *e)
{
	bool other;

	if (device_ek(d, e) || device_is_other(d, &other, e))
		return -1;
	if (!other)
		return 0;
	base_close_(&d->lock);
	d->lock = -1;
	return place_aside(d->how, d->how->replaces, e) || place_lock(d->how, &d->lock, e) ? -1 : 0;
}

/* Judged before anything is changed; then what needs no CA. */
static int keys(struct device *d, struct err *e)
{
	uint64_t value;
	bool checked, made;

	if (device_open(d, e) || device_health(d, e) || check_room(d, e))
		return -1;
	device_step(d, "health", false);
	if (d->how->replaces && (make_way(d, e) || renew_owe(d->how, e)))
		return -1;
	if (device_ek(d, e) || device_ek_check(d, &checked, e) || device_same(d, e) || device_authorise(d, e) ||
	    device_keep_ek(d, e))
		return -1;
	device_step(d, "ek", false);
	if (device_find_keys(d, true, e) || tpm_counter_ensure(d->t, &value, &made, e))
		return -1;
	device_step(d, "counter", made);
	if (tpm_bits_ensure(d->t, &value, &made, e))
		return -1;
	device_step(d, "revocation-bits", made);
	return enrolment_finish(d, e);
}

static int idevid(struct device *d, struct ca *ca, struct err *e)
{
	struct provision_certificate own = { 0 }, iak = { 0 };

	if (chain_installed(d->how, CHAIN_IDEVID, d->idevid.key, ca, d->now, &own, e) ||
	    chain_installed(d->how, CHAIN_IAK, d->iak.key, ca, d->now, &iak, e))
		return -1;
	/* a CA behind a program certifies no IAK */
	if (own.valid && (iak.valid || !iak.cert)) {
		device_step(d, "idevid", false);
		return 0;
	}
	if (enrolment_by(d, ca, ENROL_IDEVID, e))
		return err_ctx(e, "the board's certificate");
	device_step(d, "idevid", true);
	return 0;
}

/* Without a CA there is nobody who would sign the policy: *lacks. */
static int storage(struct device *d, struct ca *ca, struct secret *key, bool *lacks, struct err *e)
{
	bool made;

	*lacks = !ca && !place_has(d->how, "storage.json");
	if (*lacks)
		return 0;
	if (device_open(d, e) || device_authorise(d, e) || storage_ensure(d, ca, key, &made, e))
		return -1;
	device_step(d, "storage-key", made);
	return 0;
}

static int auths(struct device *d, const struct secret *key, struct err *e)
{
	unsigned before;
	bool made;

	if (device_open(d, e) || tpm_asks_auths(d->t, &before, e))
		return -1;
	if (!d->how->recovery) { /* nobody could get new ones back: status says so */
		if (d->has_auths)
			device_step(d, "authorisations", false);
		return 0;
	}
	/* A lockout authorisation alone is not tried (tpm.h): where nothing of ours says that it is ours, it is
	 * another's. */
	if (secrets_ensure(d, key, &made, e))
		return -1;
	device_step(d, "secrets", made);
	if (!d->has_auths && before > 0)
		return err_set(e, ERR_BUG, 0, "authorisations are set, and were not given");
	/* what they are kept under goes over the bus, for the EK only */
	if (device_ek_use(d, e) || tpm_change_auths(d->t, &d->auths, e))
		return -1;
	d->has_auths = true;
	device_step(d, "authorisations", before < TPM_AUTHS);
	return 0;
}

static int ldevid(struct device *d, struct ca *ca, struct err *e)
{
	struct provision_certificate own = { 0 };
	auto_tpm_key struct tpm_key key = { 0 };
	bool there;

	if (device_open(d, e) || enrolment_ldevid_key(d, "ldevid.key", &key, &there, e) ||
	    (there && tpm_key_probe(d->t, &key, e)) ||
	    chain_installed(d->how, CHAIN_LDEVID, key.key, ca, d->now, &own, e))
		return -1;
	/* a renewal that was begun is brought to its end */
	own.valid = own.valid && !enrolment_is_open(d->how, ENROL_LDEVID);
	if (!own.valid && enrolment_by(d, ca, ENROL_LDEVID, e))
		return err_ctx(e, "the site's certificate");
	device_step(d, "ldevid", !own.valid);
	return 0;
}

/* Installed is not yet usable: the TPM signs with it once. */
static int prove(struct device *d, struct err *e)
{
	uint8_t nonce[CRYPTO_HASH], digest[CRYPTO_HASH];
	auto_buf struct buf der = BUF_INIT;
	auto_tpm_key struct tpm_key key = { 0 };
	bool there;

	if (crypto_random(nonce, sizeof nonce, e) || device_open(d, e) ||
	    enrolment_ldevid_key(d, "ldevid.key", &key, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_BUG, 0, "the site's key is gone");
	crypto_sha256(nonce, sizeof nonce, digest);
	return tpm_sign(d->t, &key, digest, &der, e) ||
	       crypto_verify(key.key, nonce, sizeof nonce, der.data, der.len, e) ? -1 : 0;
}

static int no_storage_key(struct err *e)
{
	return err_set(e, ERR_AGAIN, 0, "the identity is there, but for the storage key and what it keeps: its policy "
		       "must be signed. Here `psec provision policy make --out policy.json`, at the CA `psec "
		       "provision ca policy policy.json --out signed.json`, here, with the CA's policy.pem, `psec "
		       "provision policy add --authority policy.pem signed.json`, then `psec provision` again");
}

static int run(struct device *d, struct ca *ca, struct err *e)
{
	auto_secret struct secret key = { 0 };
	bool lacks;

	if (renew_nothing_owed(d->how, e) || keys(d, e) || idevid(d, ca, e) || storage(d, ca, &key, &lacks, e) ||
	    (!lacks && auths(d, &key, e)))
		return -1;
	secret_wipe(&key);
	if (d->how->replaces && renew_hand_over(d, ca, e))
		return -1;
	if (d->how->site && (ldevid(d, ca, e) || prove(d, e)))
		return -1;
	return lacks ? no_storage_key(e) : 0;
}

int provision_run(const struct provision_how *how, struct ca *ca, const struct now *now, struct err *e)
{
	auto_device struct device d;

	return device_begin(&d, how, now, true, e) || run(&d, ca, e) ? -1 : 0;
}

int provision_request(const struct provision_how *how, enum enrol_profile profile, const struct now *now,
		      struct buf *request, struct err *e)
{
	auto_device struct device d = DEVICE_INIT;

	if (profile == ENROL_LDEVID && !how->site)
		return err_set(e, ERR_USAGE, 0, "an LDevID is for a site, and there is none here");
	return device_begin(&d, how, now, true, e) || (profile == ENROL_LDEVID && renew_nothing_owed(how, e)) ||
	       keys(&d, e) || enrolment_request(&d, profile, request, e) ? -1 : 0;
}
