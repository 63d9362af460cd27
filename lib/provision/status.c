/* What is there, and what is to be done next. Nothing is changed. */
#include "inside.h"

/* Another's object or index in a place of ours is one fault among what is told; what else fails ends it. */
static int told(int rc, char why[PROVISION_WHY], struct err *e)
{
	if (!rc || e->kind != ERR_REFUSED)
		return rc;
	str_copy(why, PROVISION_WHY, e->text);
	return 0;
}

static int look_at_keys(struct device *d, struct provision_status *s, struct err *e)
{
	bool found;

	if (told(tpm_key_find(d->t, TPM_IDEVID, &d->idevid, &found, e), s->keys_why, e) ||
	    told(tpm_key_find(d->t, TPM_IAK, &d->iak, &found, e), s->keys_why, e) ||
	    told(tpm_key_find(d->t, TPM_SRK, &d->srk, &found, e), s->keys_why, e) ||
	    told(tpm_counter_read(d->t, &s->counter_value, &s->counter, e), s->counter_why, e) ||
	    told(tpm_bits_read(d->t, &s->bits_value, &s->bits, e), s->bits_why, e))
		return -1;
	s->counter = s->counter && !s->counter_why[0];
	s->bits = s->bits && !s->bits_why[0];
	s->srk = d->srk.key != NULL;
	s->idevid.key = d->idevid.key != NULL;
	s->iak.key = d->iak.key != NULL;
	return 0;
}

static int look_at_ek(struct device *d, struct provision_status *s, struct err *e)
{
	struct err why;

	if (device_ek(d, e))
		return -1;
	s->ek_certificate = d->ek != NULL;
	if (device_ek_check(d, &s->ek_checked, &why))
		str_copy(s->ek_why, sizeof s->ek_why, why.text);
	return 0;
}

/* A certificate without its key in this TPM is not valid here. */
static int look_at_certificate(struct device *d, enum chain what, const struct crypto_key *key,
			       struct provision_certificate *c, struct err *e)
{
	if (chain_installed(d->how, what, key, NULL, d->now, c, e))
		return -1;
	if (c->cert && !key) {
		c->valid = false;
		str_copy(c->why, sizeof c->why, "its key is not in this TPM");
	}
	return 0;
}

static int look_at_ldevid(struct device *d, struct provision_status *s, struct err *e)
{
	auto_tpm_key struct tpm_key key = { 0 };
	struct err why;

	if (enrolment_ldevid_key(d, "ldevid.key", &key, &s->ldevid.key, e) ||
	    look_at_certificate(d, CHAIN_LDEVID, key.key, &s->ldevid, e))
		return -1;
	if (s->ldevid.key && tpm_key_probe(d->t, &key, &why)) {
		s->ldevid.key = s->ldevid.valid = false;
		str_copy(s->ldevid.why, sizeof s->ldevid.why, why.text);
	}
	return 0;
}

static int look_at_storage(struct device *d, struct provision_status *s, struct err *e)
{
	auto_secret struct secret key = { 0 };
	struct err why;

	s->policy_slot = -1;
	s->storage = place_has(d->how, "storage.json");
	s->auths_set = d->health.owner_auth && d->health.endorsement_auth && d->health.lockout_auth;
	s->storage_opens = s->storage && !storage_open(d, &key, &s->policy_slot, &why);
	if (s->storage && !s->storage_opens)
		str_copy(s->storage_why, sizeof s->storage_why, why.text);
	return s->storage_opens ? secrets_escrowed(d->how, &key, &s->escrowed, e) : 0;
}

/* ---- what next ---- */

/* The enrolment by documents that is open: whose turn is it? */
static const char *about_request(const struct device *d, struct provision_status *s)
{
	bool answered = place_has(d->how, "answer.json");
	auto_free char *path = place_path(d->how, answered ? "answer.json" : "request.json");

	if (answered)
		snprintf(s->next_words, sizeof s->next_words, "an answer waits for its certificate: carry %s to the CA, "
			 "there `psec provision ca sign answer.json --out certificate.json`, here `psec provision install "
			 "certificate.json`", path);
	else
		snprintf(s->next_words, sizeof s->next_words, "a request waits for its certificate: carry %s to the CA, there "
			 "`psec provision ca sign request.json --out challenge.json`, here `psec provision answer "
			 "challenge.json`; or, with the CA at hand, `psec provision --ca DIR`", path);
	return s->next_words;
}

static const char *about_hand_over(struct provision_status *s, const char *old)
{
	snprintf(s->next_words, sizeof s->next_words, "the site is not handed over to this board yet: `psec provision "
		 "replace --old %s%s%s` goes on", old, s->serial[0] ? " --serial " : "", s->serial);
	return s->next_words;
}

static const char *about_certificates(const struct provision_status *s, const struct now *now)
{
	const struct provision_certificate *l = &s->ldevid;

	if (!s->idevid.valid)
		return "the board has no valid certificate: `psec provision`";
	if (s->site[0] && !l->valid)
		return "the site has no valid certificate: `psec provision`";
	if (s->site[0] && !l->time_checked)
		return "set the clock: whether the certificates have expired is not checked";
	if (s->site[0] && now->utc_us >= provision_due_us(l->not_before_us, l->not_after_us))
		return "the site's certificate is due: `psec provision renew`";
	return NULL;
}

static const char *about(const struct device *d, struct provision_status *s, const char *old)
{
	if (s->keys_why[0] || s->counter_why[0] || s->bits_why[0])
		return "a place of psec in the TPM holds another's object: see keys, audit counter and revoked slots for whose "
		       "it is, and how it is removed if nobody needs it";
	if (old[0] && !s->pending)
		return about_hand_over(s, old);
	if ((!s->srk || !s->idevid.key || !s->iak.key || !s->counter || !s->bits) && !s->serial[0])
		return "keys or counters are missing in the TPM: `psec provision --serial SERIAL`, with the serial on the "
		       "board's label";
	if (!s->srk || !s->idevid.key || !s->iak.key || !s->counter || !s->bits)
		return "keys or counters are missing in the TPM: `psec provision`";
	/* the documents go on without roots, provision does not */
	if (s->pending && !(s->ek_why[0] && d->how->ek_roots) && (!s->storage || s->storage_opens))
		return about_request(d, s);
	if (s->ek_why[0] && s->ek_certificate && !d->how->ek_roots)
		return s->site[0] ? "whether the TPM is a real one is not known here: write `ek_roots: FILE` under `tpm:` "
				    "in site.yaml, FILE has the makers' roots; --ek-roots is for one call alone"
				  : "whether the TPM is a real one is not known here: `psec provision status --ek-roots "
				    "FILE`, FILE has the makers' roots";
	if (s->ek_why[0])
		return "the TPM's endorsement certificate is not believed: see ek, and give the makers' roots by "
			"tpm.ek_roots";
	if (s->storage && !s->storage_opens)
		return "the storage key does not open: after an authorised update `psec provision policy add` with "
		       "the policy for it; otherwise find out who changed the boot";
	if (!s->storage)
		return "there is no storage key: `psec provision`";
	if (d->how->recovery && (!s->auths_set || !s->escrowed))
		return "authorisations are not set or not escrowed to the recovery certificate: `psec provision`";
	return NULL;
}

static int look(struct device *d, struct provision_status *s, struct err *e)
{
	char old[ENROL_NAME];
	struct err why;

	str_copy(s->serial, sizeof s->serial, d->how->serial ? d->how->serial : "");
	str_copy(s->site, sizeof s->site, d->how->site ? d->how->site : "");
	if (device_open(d, e) || tpm_health(d->t, &s->health, e))
		return -1;
	d->health = s->health;
	s->policy_slot = -1;
	if (s->health.failed) {
		s->next = "the TPM is in failure mode: power-cycle the board, and replace it when that does not help";
		return 0;
	}
	if (look_at_ek(d, s, e) || look_at_keys(d, s, e) ||
	    look_at_certificate(d, CHAIN_IDEVID, d->idevid.key, &s->idevid, e) ||
	    look_at_certificate(d, CHAIN_IAK, d->iak.key, &s->iak, e) || look_at_ldevid(d, s, e) ||
	    look_at_storage(d, s, e) || renew_owed(d->how, old, e))
		return -1;
	s->pending = place_has(d->how, "request.json");
	if (device_same(d, &why)) {
		str_copy(s->storage_why, sizeof s->storage_why, why.text);
		s->next = d->change == DEVICE_CLEARED
				  ? "the TPM was cleared: `psec provision reset`, then `psec provision`"
			: d->change == DEVICE_OTHER_TPM
				  ? "this is another TPM than before: `psec provision replace --old SERIAL` for a new board"
				  : "what is in state/tpm is not as psec left it: see storage key; bring it back from a "
				    "backup, or begin anew by `psec provision reset`";
		return 0;
	}
	s->next = s->health.in_lockout ? "the TPM is in lock-out: leave the board on until it has ended" : about(d, s, old);
	if (!s->next)
		s->next = about_certificates(s, d->now);
	return 0;
}

int provision_status(const struct provision_how *how, const struct now *now, struct provision_status *out,
		     struct err *e)
{
	struct device d;
	int rc;

	*out = (struct provision_status){ 0 };
	rc = device_begin(&d, how, now, false, e) || look(&d, out, e) ? -1 : 0;
	device_end(&d);
	out->whole = !rc && !out->next;
	/* that nobody may know them is a choice; it is told all the same */
	if (out->whole && !out->auths_set)
		out->next = "the TPM's authorisations are not set: give a recovery certificate by tpm.recovery in "
			    "site.yaml, then `psec provision`";
	return rc;
}
