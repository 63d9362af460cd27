/* What changes an identity that is there: a new LDevID in time, a new board in an old site, none any more. */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- renew ---- */

int64_t provision_due_us(int64_t not_before_us, int64_t not_after_us)
{
	return not_after_us == INT64_MAX ? INT64_MAX : not_before_us + (not_after_us - not_before_us) / 3 * 2;
}

/* The old certificate need not be valid: a technician may come late. */
static int is_due(struct device *d, struct ca *ca, bool *due, struct err *e)
{
	struct provision_certificate own = { 0 };
	auto_tpm_key struct tpm_key key = { 0 };
	bool there;

	if (enrolment_ldevid_key(d, "ldevid.key", &key, &there, e) ||
	    chain_installed(d->how, CHAIN_LDEVID, key.key, ca, d->now, &own, e))
		return -1;
	if (!there || !own.cert)
		return err_set(e, ERR_REFUSED, 0, "there is no LDevID to renew; `psec provision` makes the first one");
	/* one that was begun is brought to its end */
	*due = !own.valid || enrolment_is_open(d->how, ENROL_LDEVID) ||
	       (d->now->utc_valid && d->now->utc_us >= provision_due_us(own.not_before_us, own.not_after_us));
	return 0;
}

int provision_renew(const struct provision_how *how, struct ca *ca, const struct now *now, bool force, bool *done,
		    struct err *e)
{
	auto_device struct device d = DEVICE_INIT;

	*done = false;
	if (!how->site)
		return err_set(e, ERR_USAGE, 0, "an LDevID is for a site, and there is none here");
	if (device_begin(&d, how, now, true, e) || device_open(&d, e) || device_health(&d, e) ||
	    device_same(&d, e) || device_find_keys(&d, false, e) || enrolment_finish(&d, e) ||
	    is_due(&d, ca, done, e))
		return -1;
	if (!d.iak.key)
		return err_set(e, ERR_REFUSED, 0, "this TPM has no IAK; `psec provision` makes it");
	*done = *done || force;
	return *done ? enrolment_by(&d, ca, ENROL_LDEVID, e) : 0;
}

/* ---- replace ---- */

/* The one that the old board had pinned; where that was lost, this board's; *whose gets the file. */
static int pinned_authority(const struct provision_how *how, struct storage *s, char **whose, struct err *e)
{
	auto_free char *old = xasprintf("%s/tpm.%s", how->place.state, how->replaces);
	const struct provision_how before = { .place.tpm = old };
	bool there;

	*whose = place_path(&before, "storage.json");
	if (storage_read(&before, s, &there, e))
		return err_ctx(e, "'%s'", *whose);
	if (there)
		return 0;
	if (storage_read(how, s, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_REFUSED, 0, "whether the CA signed the hand-over statement cannot be checked: '%s', "
			       "which has its key, is missing; carry the CA's policy.pem here, and the same again with "
			       "--authority policy.pem", *whose);
	free(*whose);
	*whose = place_path(how, "storage.json");
	return 0;
}

static int check_signature(const struct provision_how *how, const struct enrol_handover *h, struct err *e)
{
	auto_enrol_authority struct enrol_authority given = { 0 };
	auto_storage struct storage s = { 0 };
	auto_free char *whose = NULL;

	if (how->authority) {
		if (enrol_authority_read(how->authority, &given, e))
			return err_ctx(e, "the authority");
		return enrol_handover_check(h, &given, e);
	}
	if (pinned_authority(how, &s, &whose, e))
		return -1;
	if (enrol_handover_check(h, &(struct enrol_authority){ { s.authority }, 1 }, e))
		return err_add(e, "; believed is the CA of '%s', another one's policy.pem by --authority FILE", whose);
	return 0;
}

static int check_statement(const struct provision_how *how, struct err *e)
{
	struct enrol_handover h;

	if (enrol_handover_read(how->hand_over, &h, e))
		return err_ctx(e, "the hand-over statement");
	if (!str_eq(h.site, how->site) || !str_eq(h.from, how->replaces) || !str_eq(h.to, how->serial))
		return err_set(e, ERR_REFUSED, 0, "the hand-over statement is of site '%s' from board '%s' to board '%s', must "
			       "be of site '%s' from board '%s' to board '%s'", h.site, h.from, h.to, how->site, how->replaces,
			       how->serial);
	return check_signature(how, &h, e);
}

static int statement_of(struct device *d, struct ca *ca, struct buf *to, struct err *e)
{
	const struct provision_how *how = d->how;

	if (ca)
		return ca_replace(ca, d->now, how->site, how->replaces, how->serial, to, e);
	if (!how->hand_over)
		return err_set(e, ERR_AGAIN, 0, "the CA must hand the site over: there `psec provision ca replace "
			       "--old %s --new %s --out handover.json %s`, here the same again with --hand-over "
			       "handover.json", how->replaces,
			       how->serial, how->site);
	buf_adds(to, how->hand_over);
	return check_statement(how, e);
}

int renew_owe(const struct provision_how *how, struct err *e)
{
	/* with an LDevID it is the site's own board already, and this a slip of the hand */
	if (place_has(how, "handover.json") || place_has(how, "ldevid.pem"))
		return 0;
	return place_write(how, RENEW_OWED, how->replaces, strlen(how->replaces), e);
}

int renew_owed(const struct provision_how *how, char old[ENROL_NAME], struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	bool there;

	if (place_read(how, RENEW_OWED, &text, &there, e))
		return -1;
	str_copy(old, ENROL_NAME, there && enrol_serial_ok(text.data) ? text.data : "");
	return 0;
}

int renew_nothing_owed(const struct provision_how *how, struct err *e)
{
	char old[ENROL_NAME];

	if (how->replaces)
		return 0;
	if (renew_owed(how, old, e))
		return -1;
	if (old[0])
		return err_set(e, ERR_REFUSED, 0, "this board takes the site over from board '%s', and the CA's statement "
			       "of it is not in the audit log yet, which would be broken without: `psec provision replace "
			       "--old %s --serial %s` goes on", old, old, how->serial);
	return 0;
}

/* The CA's statement goes into the audit log, which goes on; it is kept beside, so that it goes there once. */
int renew_hand_over(struct device *d, struct ca *ca, struct err *e)
{
	auto_buf struct buf statement = BUF_INIT, kept = BUF_INIT;
	const struct provision_how *how = d->how;
	bool there;

	device_close(d);
	if (place_read(how, "handover.json", &kept, &there, e))
		return -1;
	if (there && !ca && !how->hand_over) { /* it was here */
		device_step(d, "hand-over", false);
		return 0;
	}
	if (statement_of(d, ca, &statement, e))
		return -1;
	if (!there || !str_eq(kept.data, statement.data)) {
		if ((how->record && how->record(how->arg, "hand-over", how->site, statement.data, e)) ||
		    place_write(how, "handover.json", statement.data, statement.len, e))
			return -1;
		there = false;
	}
	if (place_remove(how, RENEW_OWED, e))
		return -1;
	device_step(d, "hand-over", !there);
	return 0;
}

/* ---- reset ---- */

static const char *const files[] = {
	"request.json", "challenge.json", "answer.json", "ldevid.next.key", "handover.json", "storage.json", "idevid.pem",
	"iak.pem", "trust.pem", "escrow.pem", "ek.pem",
};

static bool is_anything(const struct provision_how *how)
{
	for (size_t i = 0; i < COUNT_OF(files); i++)
		if (place_has(how, files[i]))
			return true;
	return place_has(how, "ldevid.key") || place_has_old_ldevid(how);
}

/* The authorisations come out of the storage key, and that out of the SRK: so they go first, and the storage key's
 * files after the keys. A call that was cut finds the TPM without authorisations and needs none. */
static int reset_tpm(struct device *d, bool *removed, struct err *e)
{
	const struct tpm_auths none = { 0 };
	const enum tpm_key_role roles[] = { TPM_IDEVID, TPM_IAK, TPM_SRK };
	const uint32_t indices[] = { TPM_NV_COUNTER, TPM_NV_BITS };

	if (d->has_auths && (device_ek_use(d, e) || tpm_change_auths(d->t, &none, e)))
		return -1;
	*removed = d->has_auths;
	for (size_t i = 0; i < COUNT_OF(roles); i++) {
		auto_tpm_key struct tpm_key k = { 0 };
		bool found;

		if (tpm_key_find(d->t, roles[i], &k, &found, e))
			return -1;
		*removed = *removed || found;
		if (tpm_key_evict(d->t, roles[i], e))
			return -1;
	}
	for (size_t i = 0; i < COUNT_OF(indices); i++) {
		uint64_t value;
		bool there;

		if ((i ? tpm_bits_read(d->t, &value, &there, e) : tpm_counter_read(d->t, &value, &there, e)) ||
		    tpm_nv_remove(d->t, indices[i], e))
			return -1;
		*removed = *removed || there;
	}
	return 0;
}

static int reset_files(const struct provision_how *how, struct err *e)
{
	auto_free char *secrets = secrets_path(how);
	char policy[32];

	if (place_drop_old_ldevids(how, true, e))
		return -1;
	for (int i = 0; i < TPM_SLOTS; i++) {
		snprintf(policy, sizeof policy, "policies/%d.json", i);
		if (place_remove(how, policy, e))
			return -1;
	}
	for (size_t i = 0; i < COUNT_OF(files); i++)
		if (place_remove(how, files[i], e))
			return -1;
	return unlink(secrets) < 0 && errno != ENOENT ? err_set(e, ERR_IO, errno, "cannot remove '%s'", secrets) : 0;
}

/* Nothing goes before it is known that all may: the TPM is the one that the files are of, its indices are ours. */
static int may_reset(struct device *d, struct err *e)
{
	uint64_t value;
	bool other, there;

	if (device_is_other(d, &other, e))
		return -1;
	if (other && !d->how->any_tpm)
		return err_set(e, ERR_REFUSED, 0, "this is another TPM than the one that state/tpm is of, and both identities "
			       "would end. A new board for this site: `psec provision replace --old SERIAL`; is this TPM's "
			       "identity meant, set state/tpm and state/secrets aside first");
	return tpm_counter_read(d->t, &value, &there, e) || tpm_bits_read(d->t, &value, &there, e) ? -1 : 0;
}

static int reset(struct device *d, bool *removed, struct err *e)
{
	auto_free char *detail = NULL;
	bool files_there = is_anything(d->how);

	if (device_open(d, e) || device_health(d, e) || may_reset(d, e) || device_authorise(d, e) ||
	    reset_tpm(d, removed, e))
		return -1;
	*removed = *removed || files_there;
	detail = xasprintf("{\"serial\":\"%s\"}", d->how->serial);
	if (*removed && d->how->record &&
	    d->how->record(d->how->arg, "reset", d->how->site ? d->how->site : d->how->serial, detail, e))
		return -1;
	return reset_files(d->how, e);
}

int provision_reset(const struct provision_how *how, const struct now *now, bool *removed, struct err *e)
{
	auto_device struct device d;

	return device_begin(&d, how, now, true, e) || reset(&d, removed, e) ? -1 : 0;
}
