/* One call's work on one device: its lock, its transactions with the TPM, what must be true before anything is
 * changed. */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void provision_guard_memory(void)
{
	const struct rlimit none = { 0, 0 }, all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its search for leaks looks into us as a debugger does */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	/* with a limit, what is locked later would fail instead */
	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE);
}

int device_begin(struct device *d, const struct provision_how *how, const struct now *now, bool lock, struct err *e)
{
	*d = (struct device){ .how = how, .now = now, .lock = -1 };
	if (!lock)
		return 0;
	if (place_make(how, e) || place_lock(how, &d->lock, e))
		return -1;
	return place_drop_half_files(how, e);
}

void device_end(struct device *d)
{
	device_close(d);
	tpm_key_release(&d->srk);
	tpm_key_release(&d->iak);
	tpm_key_release(&d->idevid);
	crypto_cert_free(d->ek);
	crypto_bag_free(d->ek_chain);
	tpm_auths_wipe(&d->auths);
	base_close_(&d->lock);
	d->lock = -1;
}

int device_open(struct device *d, struct err *e)
{
	if (d->t)
		return 0;
	if (tpm_open(d->how->tcti, d->how->wait_ms, &d->t, e))
		return -1;
	return d->has_auths ? tpm_reuse_auths(d->t, &d->auths, e) : 0;
}

void device_close(struct device *d)
{
	tpm_close(d->t);
	d->t = NULL;
	d->ek_used = false;
}

int device_sign(void *arg, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e)
{
	const struct device_signing *s = arg;

	return tpm_sign(s->t, s->key, digest, der, e);
}

void device_step(const struct device *d, const char *name, bool done_now)
{
	if (d->how->step)
		d->how->step(d->how->arg, name, done_now);
}

/* ---- health ---- */

static int tell_lockout(const struct tpm_health *h, struct err *e)
{
	uint32_t over = h->lockout_counter >= h->max_tries ? h->lockout_counter - h->max_tries + 1 : 1;

	if (!h->recovery_s)
		return err_set(e, ERR_AGAIN, 0, "the TPM is in lock-out after %u wrong authorisations by some "
			       "program; nothing was tried; it ends by 'tpm2_dictionarylockout -c' with the lockout "
			       "authorisation",
			       h->lockout_counter);
	return err_set(e, ERR_AGAIN, 0, "the TPM is in lock-out after %u wrong authorisations by some program (%u are "
		       "too many); nothing was tried; leave the board on, in at most %u s it can be used again; "
		       "'tpm2_dictionarylockout -c' with the lockout authorisation ends it at once", h->lockout_counter,
		       h->max_tries, over * h->recovery_s);
}

int device_health(struct device *d, struct err *e)
{
	struct tpm_health *h = &d->health;

	if (tpm_health(d->t, h, e))
		return -1;
	if (h->failed)
		return err_set(e, ERR_REFUSED, 0, "the TPM is in failure mode; power-cycle the board, and replace it "
			       "when that does not help");
	if (h->in_lockout)
		return tell_lockout(h, e);
	if (!h->storage_enabled || !h->endorsement_enabled)
		return err_set(e, ERR_REFUSED, 0, "the firmware has switched the TPM's %s hierarchy off; switch it on "
			"there",
			       h->storage_enabled ? "endorsement" : "storage");
	return 0;
}

/* ---- the endorsement key's certificate ---- */

int device_ek(struct device *d, struct err *e)
{
	if (d->ek_read)
		return 0;
	if (crypto_bag_new(&d->ek_chain, e) || tpm_ek_certificate(d->t, &d->ek, d->ek_chain, e))
		return -1;
	d->ek_read = true;
	return 0;
}

int device_ek_use(struct device *d, struct err *e)
{
	if (d->ek_used)
		return 0;
	if (device_ek(d, e) || tpm_ek_use(d->t, d->ek, e))
		return -1;
	d->ek_used = true;
	return 0;
}

int device_ek_check(struct device *d, bool *checked, struct err *e)
{
	auto_crypto_bag struct crypto_bag *roots = NULL;
	struct crypto_check how = { .between = d->ek_chain, .use = CRYPTO_USE_EK, .now = d->now };
	bool time_checked;

	*checked = false;
	if (!d->ek)
		return d->how->ek_needed
			       ? err_set(e, ERR_REFUSED, 0, "the TPM has no endorsement certificate: that it is a "
					 "real one cannot be known; ask its maker for one") : 0;
	if (!d->how->ek_roots)
		return d->how->ek_needed
			       ? err_set(e, ERR_REFUSED, 0, "whose TPMs are to be believed is not said: give the "
					 "makers' roots by --ek-roots FILE or tpm.ek_roots in site.yaml") : 0;
	if (crypto_bag_new(&roots, e) || crypto_bag_read(roots, d->how->ek_roots, e))
		return err_ctx(e, "the EK roots");
	how.roots = roots;
	if (crypto_cert_check(d->ek, &how, &time_checked, e)) {
		if (strstr(e->text, "not signed by a given root"))
			err_add(e, "; the certificates given are those of '%s'", d->how->ek_roots);
		return err_ctx(e, "the TPM's endorsement certificate");
	}
	*checked = true;
	return 0;
}

/* ---- authorisations ---- */

static int not_ours(struct err *e)
{
	return err_set(e, ERR_REFUSED, 0, "the TPM asks for authorisations that another program has set, or psec with a "
		       "state folder that is not here; nothing was tried. Bring that folder back, get them out of its escrow "
		       "with the recovery key (--auths FILE), or clear the TPM in the board's firmware");
}

static int ours(struct device *d, struct tpm_auths *to, struct err *e)
{
	auto_secret struct secret key = { 0 };
	struct err why;
	bool there;

	if (d->how->auths) {
		*to = *d->how->auths;
		return 0;
	}
	if (!place_has(d->how, "storage.json"))
		return not_ours(e);
	if (storage_open(d, &key, NULL, &why))
		return err_set(e, why.kind, 0, "the TPM asks for authorisations, and those in state/secrets cannot be "
			       "read: %s; with the recovery key they come out of the escrow (--auths FILE)", why.text);
	if (secrets_auths(d->how, &key, to, &there, e))
		return -1;
	return there ? 0 : not_ours(e);
}

int device_authorise(struct device *d, struct err *e)
{
	unsigned set;

	if (d->has_auths)
		return 0;
	if (tpm_asks_auths(d->t, &set, e))
		return -1;
	if (!set)
		return 0;
	if (ours(d, &d->auths, e) || tpm_use_auths(d->t, &d->auths, e)) {
		tpm_auths_wipe(&d->auths);
		return -1;
	}
	d->has_auths = true;
	return 0;
}

/* ---- is it the same TPM as before? ---- */

/* Of the certificate, so that no key is made only to look; a TPM without one is asked for the key itself. */
static int ek_public(struct device *d, struct buf *pem, struct err *e)
{
	auto_crypto_key struct crypto_key *key = NULL;
	auto_tpm_key struct tpm_key ek = { 0 };
	bool found;

	if (device_ek(d, e))
		return -1;
	if (d->ek)
		return crypto_cert_key(d->ek, &key, e) ? -1 : crypto_key_public_pem(key, pem, e);
	return device_ek_use(d, e) || tpm_key_find(d->t, TPM_EK, &ek, &found, e) ||
	       crypto_key_public_pem(ek.key, pem, e) ? -1 : 0;
}

/* The serial in the IDevID certificate that is here; "": none is. */
static int certified_serial(const struct provision_how *how, char serial[ENROL_NAME], struct err *e)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_cert_facts f;
	bool there;

	serial[0] = '\0';
	if (place_read(how, "idevid.pem", &pem, &there, e))
		return -1;
	if (!there)
		return 0;
	if (crypto_cert_from_pem(pem.data, &cert, e))
		return err_ctx(e, "idevid.pem");
	crypto_cert_facts(cert, &f);
	str_copy(serial, ENROL_NAME, f.serial_number);
	return 0;
}

/* ek.pem is the endorsement key that was met first: what else is kept here is of that TPM. */
static int compare(struct device *d, struct buf *now, bool *there, bool *same, struct err *e)
{
	auto_buf struct buf before = BUF_INIT;

	if (ek_public(d, now, e) || place_read(d->how, "ek.pem", &before, there, e))
		return -1;
	*same = *there && str_eq(now->data, before.data);
	return 0;
}

int device_is_other(struct device *d, bool *other, struct err *e)
{
	auto_buf struct buf now = BUF_INIT;
	bool there, same;

	if (compare(d, &now, &there, &same, e))
		return -1;
	*other = there && !same;
	return 0;
}

static int compare_ek(struct device *d, struct err *e)
{
	auto_buf struct buf now = BUF_INIT;
	char serial[ENROL_NAME];
	bool there, same;

	if (compare(d, &now, &there, &same, e) || certified_serial(d->how, serial, e))
		return -1;
	if (there && !same) {
		d->change = DEVICE_OTHER_TPM;
		return err_set(e, ERR_REFUSED, 0, "this is another TPM than before%s%s%s: the board or its TPM was "
			       "replaced. Is it a new board for this site: `psec provision replace --old %s`; "
			       "otherwise bring the old one back",
			       serial[0] ? " (that was board '" : "", serial, serial[0] ? "')" : "",
			       serial[0] ? serial : "SERIAL");
	}
	if (serial[0] && d->how->serial && !str_eq(serial, d->how->serial))
		return err_set(e, ERR_REFUSED, 0, "this board is '%s' by its IDevID certificate, not '%s'", serial,
			       d->how->serial);
	return 0;
}

int device_keep_ek(struct device *d, struct err *e)
{
	auto_buf struct buf now = BUF_INIT;

	if (place_has(d->how, "ek.pem"))
		return 0;
	return ek_public(d, &now, e) ? -1 : place_write(d->how, "ek.pem", now.data, now.len, e);
}

static int was_cleared(struct device *d, struct err *e)
{
	d->change = DEVICE_CLEARED;
	return err_set(e, ERR_REFUSED, 0, "the TPM was cleared since it was provisioned: the site's key and the storage "
		       "key are lost. `psec provision reset` removes what is left of them, `psec provision` then begins "
		       "anew");
}

/* The SRK went with the clear; a new one (made by a run that was cut, or by someone else) does not load the old
 * keys. */
static int compare_children(struct device *d, struct err *e)
{
	auto_tpm_key struct tpm_key srk = { 0 }, ldevid = { 0 };
	auto_storage struct storage s = { 0 };
	bool found, there, sealed;

	if (storage_read(d->how, &s, &sealed, e) || enrolment_ldevid_key(d, "ldevid.key", &ldevid, &there, e))
		return -1;
	if (!there && !sealed)
		return 0;
	if (tpm_key_find(d->t, TPM_SRK, &srk, &found, e))
		return -1;
	if (!found)
		return was_cleared(d, e);
	if (there && tpm_key_probe(d->t, &ldevid, e))
		return e->kind == ERR_REFUSED ? was_cleared(d, e) : -1;
	return 0;
}

int device_same(struct device *d, struct err *e)
{
	return compare_ek(d, e) || compare_children(d, e) ? -1 : 0;
}

int device_find_keys(struct device *d, bool make, struct err *e)
{
	struct { enum tpm_key_role role; struct tpm_key *to; const char *step; } keys[] = {
		{ TPM_SRK, &d->srk, "srk" }, { TPM_IAK, &d->iak, "iak" }, { TPM_IDEVID, &d->idevid, "idevid-key" },
	};

	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		bool flag = false;

		if (make ? tpm_key_ensure(d->t, keys[i].role, keys[i].to, &flag, e)
			 : tpm_key_find(d->t, keys[i].role, keys[i].to, &flag, e))
			return -1;
		if (make)
			device_step(d, keys[i].step, flag);
	}
	return 0;
}

/* ---- a board's serial ---- */

int provision_sim_serial(const char *tcti, int wait_ms, char serial[ENROL_NAME], struct err *e)
{
	const struct provision_how how = { .tcti = tcti, .wait_ms = wait_ms };
	auto_tpm_key struct tpm_key ek = { 0 };
	auto_buf struct buf pem = BUF_INIT;
	char hash[CRYPTO_HEX];
	auto_device struct device d;
	bool found;

	if (device_begin(&d, &how, NULL, false, e) || device_open(&d, e) ||
	    device_ek_use(&d, e) || tpm_key_find(d.t, TPM_EK, &ek, &found, e) ||
	    crypto_key_public_pem(ek.key, &pem, e))
		return -1;
	enrol_hash(pem.data, hash);
	snprintf(serial, ENROL_NAME, "sim-%.12s", hash);
	return 0;
}

int provision_known_serial(const struct provision_place *place, char serial[ENROL_NAME], struct err *e)
{
	const struct provision_how how = { .place = *place };
	auto_buf struct buf text = BUF_INIT;
	struct enrol_request r;
	bool there;

	if (certified_serial(&how, serial, e))
		return -1;
	if (serial[0] || place_read(&how, "request.json", &text, &there, e))
		return serial[0] ? 0 : -1;
	if (!there)
		return 0;
	if (enrol_request_read(text.data, &r, e))
		return err_ctx(e, "request.json");
	str_copy(serial, ENROL_NAME, r.serial);
	enrol_request_release(&r);
	return 0;
}
