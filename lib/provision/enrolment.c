/* Request, answer, certificate: the board's half of an enrolment.
 *
 * request.json is written before anyone sees it and stays until its certificate is in place: after a kill the same
 * request goes to the CA again, which gives the same certificate, not a second one. A new LDevID key waits as
 * ldevid.next.key; the pair in force is not touched until the new one is whole.
 */
#include "inside.h"

#include <string.h>
#include <sys/stat.h>

#define NEXT_KEY "ldevid.next.key"

/* ---- the LDevID's key ---- */

int enrolment_ldevid_key(struct device *d, const char *file, struct tpm_key *out, bool *there, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_tss2 tss2;

	*out = (struct tpm_key){ 0 };
	if (place_read(d->how, file, &pem, there, e))
		return -1;
	if (*there && (crypto_tss2_read(pem.data, &tss2, e) || tpm_key_from_tss2(&tss2, out, e)))
		return err_ctx(e, "%s", file);
	return 0;
}

/* One that this TPM does not load is of no use to anyone, and nobody has certified it. */
static int ensure_next_key(struct device *d, struct tpm_key *out, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_tss2 tss2;
	bool there;

	if (enrolment_ldevid_key(d, NEXT_KEY, out, &there, e))
		return -1;
	if (there && !tpm_key_probe(d->t, out, e))
		return 0;
	if (there && e->kind != ERR_REFUSED)
		return -1;
	tpm_key_release(out);
	if (tpm_key_create(d->t, out, e))
		return -1;
	tpm_key_to_tss2(out, &tss2);
	return crypto_tss2_write(&tss2, &pem, e) ? -1 : place_write(d->how, NEXT_KEY, pem.data, pem.len, e);
}

bool enrolment_is_open(const struct provision_how *how, enum enrol_profile profile)
{
	auto_buf struct buf text = BUF_INIT;
	struct enrol_request r;
	struct err unreadable;
	bool open;

	if (place_read(how, "request.json", &text, &open, &unreadable) || !open ||
	    enrol_request_read(text.data, &r, &unreadable))
		return false;
	open = r.profile == profile;
	enrol_request_release(&r);
	return open;
}

/* ---- the request ---- */

static bool same_blob(const struct tpm_blob *a, const struct tpm_blob *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Is the open request the one that would be made now? */
static int open_request(struct device *d, enum enrol_profile profile, const struct tpm_key *key, struct buf *text,
			bool *is, struct err *e)
{
	struct enrol_request r;
	struct err unreadable;

	if (place_read(d->how, "request.json", text, is, e))
		return -1;
	if (!*is)
		return 0;
	if (enrol_request_read(text->data, &r, &unreadable)) {
		*is = false;
		return 0;
	}
	*is = r.profile == profile && str_eq(r.serial, d->how->serial) && same_blob(&r.iak, &d->iak.pub) &&
	      same_blob(&r.key, &key->pub) && (profile == ENROL_IDEVID || str_eq(r.site, d->how->site));
	enrol_request_release(&r);
	return 0;
}

static int fill_ek(struct device *d, struct enrol_request *r, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;

	if (device_ek(d, e))
		return -1;
	if (!d->ek)
		return err_set(e, ERR_REFUSED, 0, "the TPM has no endorsement certificate, without which no CA can "
			       "know that the keys are in a TPM; ask its maker for one");
	if (crypto_cert_pem(d->ek, &pem, e))
		return -1;
	r->ek_certificate = buf_take(&pem);
	for (size_t i = 0; i < crypto_bag_certs(d->ek_chain); i++) {
		auto_crypto_cert struct crypto_cert *c = NULL;
		auto_buf struct buf one = BUF_INIT;

		if (i == ENROL_CHAIN)
			return err_set(e, ERR_INPUT, 0, "the TPM's EK chain has more than %d "
				"certificates", ENROL_CHAIN);
		if (crypto_bag_cert(d->ek_chain, i, &c, e) || crypto_cert_pem(c, &one, e))
			return -1;
		r->ek_chain[r->ek_chain_count++] = buf_take(&one);
	}
	return 0;
}

static int fill_key(struct device *d, const struct tpm_key *key, struct enrol_request *r, struct err *e)
{
	struct device_signing s = { d->t, key };
	struct crypto_names names = { .cn = r->site[0] ? r->site : r->serial, .serial_number = r->serial };
	auto_buf struct buf csr = BUF_INIT;
	uint8_t nonce[CRYPTO_HASH];

	r->iak = d->iak.pub;
	r->key = key->pub;
	enrol_nonce(r->profile, r->serial, r->site, nonce);
	if (tpm_certify(d->t, &d->iak, key, nonce, &r->certify, &r->signature, e) ||
	    crypto_request_make(key->key, &names, device_sign, &s, &csr, e))
		return -1;
	r->csr = buf_take(&csr);
	return 0;
}

static int new_request(struct device *d, enum enrol_profile profile, const struct tpm_key *key, struct buf *text,
		       struct err *e)
{
	__attribute__((cleanup(enrol_request_release))) struct enrol_request r = { .profile = profile,
										   .created_us = d->now->utc_us };

	str_copy(r.serial, sizeof r.serial, d->how->serial);
	if (profile == ENROL_LDEVID)
		str_copy(r.site, sizeof r.site, d->how->site);
	buf_clear(text);
	if (fill_ek(d, &r, e) || fill_key(d, key, &r, e) || enrol_request_write(&r, text, e))
		return -1;
	/* what belongs to an older one goes first */
	return place_remove(d->how, "challenge.json", e) || place_remove(d->how, "answer.json", e) ||
	       place_write(d->how, "request.json", text->data, text->len, e) ? -1 : 0;
}

int enrolment_request(struct device *d, enum enrol_profile profile, struct buf *request, struct err *e)
{
	auto_tpm_key struct tpm_key next = { 0 };
	const struct tpm_key *key = profile == ENROL_IDEVID ? &d->idevid : &next;
	bool open;

	if (device_open(d, e) || device_authorise(d, e) || (profile == ENROL_LDEVID && ensure_next_key(d, &next, e)) ||
	    open_request(d, profile, key, request, &open, e))
		return -1;
	return open ? 0 : new_request(d, profile, key, request, e);
}

/* ---- the answer ---- */

int enrolment_answer(struct device *d, const char *challenge, struct buf *answer, struct err *e)
{
	auto_buf struct buf request = BUF_INIT;
	auto_secret struct secret value = { 0 };
	struct enrol_challenge c;
	struct enrol_answer a = { 0 };
	bool open;

	if (enrol_challenge_read(challenge, &c, e) || place_read(d->how, "request.json", &request, &open, e))
		return -1;
	if (!open)
		return err_set(e, ERR_REFUSED, 0, "no request is open here; `psec provision request` makes one");
	enrol_hash(request.data, a.request);
	if (!str_eq(a.request, c.request))
		return str_eq(c.serial, d->how->serial)
			? err_set(e, ERR_REFUSED, 0, "the challenge is for another request of this board, not for the one that "
				  "is open: give the CA that of `psec provision request`")
			: err_set(e, ERR_REFUSED, 0, "the challenge is for board '%s', this is '%s'", c.serial,
				  d->how->serial);
	if (d->now->utc_valid && c.expires_us < d->now->utc_us)
		return err_set(e, ERR_REFUSED, 0, "the challenge has expired; give the CA the request once more");
	str_copy(a.serial, sizeof a.serial, c.serial);
	if (device_open(d, e) || device_authorise(d, e) || device_ek_use(d, e) ||
	    tpm_activate(d->t, &d->iak, &c.credential, &c.secret, &value, e))
		return -1;
	enrol_proof(&value, a.request, a.proof);
	return enrol_answer_write(&a, answer, e);
}

/* ---- the certificate ---- */

struct installing {
	enum enrol_profile profile;
	const char *chain, *iak;       /* PEM */
	const char *roots;             /* of the document, or NULL */
	struct crypto_key *key, *iak_key;
	struct crypto_cert_facts facts;
};

static int keys_of(const struct enrol_request *r, struct installing *i, struct err *e)
{
	struct tpm_public key = { 0 }, iak = { 0 };
	int rc = tpm_public_read(&r->key, &key, e) || tpm_public_read(&r->iak, &iak, e) ? -1 : 0;

	if (!rc) {
		i->key = take(key.key);
		i->iak_key = take(iak.key);
	}
	tpm_public_release(&key);
	tpm_public_release(&iak);
	return rc;
}

static int check_one(struct device *d, enum chain what, const char *pem, const struct crypto_key *key,
		     const struct crypto_bag *trust, struct crypto_cert_facts *f, struct err *e)
{
	const struct chain_check c = { .what = what, .key = key, .serial = d->how->serial, .site = d->how->site,
				       .trust = trust, .now = d->now };
	bool time_checked;

	if (chain_check(pem, &c, &time_checked, f, e)) {
		if (strstr(e->text, "not signed by a given root"))
			err_add(e, "; if this CA is meant, give its root by --trust FILE");
		return -1;
	}
	/* nobody can say whether it has expired: it is not begun with */
	if (!time_checked && f->not_after_us != INT64_MAX)
		return err_set(e, ERR_AGAIN, 0, "the clock of this board is not set, and a certificate that ends is "
			       "not installed without the time: set it (timedatectl, NTP) and try again");
	return 0;
}

static int put_ldevid(struct device *d, const struct installing *i, struct err *e)
{
	auto_buf struct buf key = BUF_INIT;
	bool there;

	if (place_read(d->how, NEXT_KEY, &key, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_REFUSED, 0, "the key of this request is gone; `psec provision request ldevid` "
			       "makes a new one");
	return place_put_ldevid(d->how, &key, i->chain, i->facts.fingerprint, e);
}

static int install(struct device *d, struct installing *i, struct err *e)
{
	auto_crypto_bag struct crypto_bag *trust = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_cert_facts iak;
	bool ldevid = i->profile == ENROL_LDEVID;

	if (chain_trust(d->how, i->roots, &pem, &trust, e) ||
	    check_one(d, ldevid ? CHAIN_LDEVID : CHAIN_IDEVID, i->chain, i->key, trust, &i->facts, e) ||
	    (i->iak && check_one(d, CHAIN_IAK, i->iak, i->iak_key, trust, &iak, e)) ||
	    place_write(d->how, "trust.pem", pem.data, pem.len, e))
		return -1;
	if (ldevid)
		return put_ldevid(d, i, e);
	/* the IDevID's last: where it is, all is */
	return (i->iak && place_write(d->how, "iak.pem", i->iak, strlen(i->iak), e)) ||
	       place_write(d->how, "idevid.pem", i->chain, strlen(i->chain), e) ? -1 : 0;
}

static int install_document(struct device *d, const char *text, const char *request, struct installing *i,
			    struct err *e)
{
	__attribute__((cleanup(enrol_certificate_release))) struct enrol_certificate c = { 0 };
	auto_buf struct buf roots = BUF_INIT;
	char hash[CRYPTO_HEX];

	if (enrol_certificate_read(text, &c, e))
		return -1;
	enrol_hash(request, hash);
	if (!str_eq(c.request, hash) || c.profile != i->profile)
		return str_eq(c.serial, d->how->serial)
			? err_set(e, ERR_REFUSED, 0, "the certificate answers another request of this board, not the one that "
				  "is open: give the CA that of `psec provision request`")
			: err_set(e, ERR_REFUSED, 0, "the certificate is for board '%s', this is '%s'", c.serial,
				  d->how->serial);
	for (size_t n = 0; n < c.trust_count; n++)
		buf_adds(&roots, c.trust[n]);
	i->chain = c.chain;
	i->iak = c.iak;
	i->roots = roots.data;
	return install(d, i, e);
}

/* Is what is to be installed there already, from the same document? */
static bool is_installed(struct device *d, const char *text)
{
	__attribute__((cleanup(enrol_certificate_release))) struct enrol_certificate c = { 0 };
	auto_buf struct buf pem = BUF_INIT;
	struct err ignored;
	bool there;

	return !enrol_certificate_read(text, &c, &ignored) &&
	       !place_read(d->how, c.profile == ENROL_IDEVID ? "idevid.pem" : "ldevid.pem", &pem, &there, &ignored) &&
	       there && str_eq(pem.data, c.chain);
}

int enrolment_install(struct device *d, const char *text, struct err *e)
{
	__attribute__((cleanup(enrol_request_release))) struct enrol_request r = { 0 };
	auto_buf struct buf request = BUF_INIT;
	struct installing i = { 0 };
	bool open;
	int rc;

	if (place_read(d->how, "request.json", &request, &open, e))
		return -1;
	if (!open && is_installed(d, text))
		return 0;
	if (!open)
		return err_set(e, ERR_REFUSED, 0, "no request is open here that this could answer; `psec provision "
			       "request` makes one");
	if (enrol_request_read(request.data, &r, e) || keys_of(&r, &i, e))
		return err_ctx(e, "request.json");
	i.profile = r.profile;
	if (strncmp(text, "-----BEGIN", 10) == 0) {
		i.chain = text;
		rc = install(d, &i, e);
	} else {
		rc = install_document(d, text, request.data, &i, e);
	}
	crypto_key_free(i.key);
	crypto_key_free(i.iak_key);
	return rc ? -1 : enrolment_finish(d, e);
}

/* ---- the end of it ---- */

static int record(struct device *d, enum enrol_profile profile, const struct crypto_cert_facts *f, struct err *e)
{
	bool ldevid = profile == ENROL_LDEVID;
	auto_free char *detail = xasprintf("{\"certificate\":\"%s\",\"number\":\"%s\",\"profile\":\"%s\","
					   "\"serial\":\"%s\"}", f->fingerprint, f->number, enrol_profile_name(profile),
					   d->how->serial);
	const char *kind = ldevid && place_has_old_ldevid(d->how) ? "renewed" : "provisioned";

	return d->how->record ? d->how->record(d->how->arg, kind, ldevid ? d->how->site : d->how->serial, detail, e) : 0;
}

/* An IDevID that is certified again keeps its key: then the later file tells. */
static bool is_newer(struct device *d, const char *name, const char *than)
{
	auto_free char *a = place_path(d->how, name), *b = place_path(d->how, than);
	struct stat x, y;

	if (stat(a, &x) < 0 || stat(b, &y) < 0)
		return false;
	return x.st_mtim.tv_sec != y.st_mtim.tv_sec ? x.st_mtim.tv_sec > y.st_mtim.tv_sec
						    : x.st_mtim.tv_nsec >= y.st_mtim.tv_nsec;
}

/* Does the installed certificate answer this request: is it for its key? */
static int is_answered(struct device *d, const struct enrol_request *r, struct crypto_cert_facts *f, bool *is,
		       struct err *e)
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_crypto_key struct crypto_key *key = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct tpm_public pub = { 0 };
	int rc;

	if (place_read(d->how, r->profile == ENROL_IDEVID ? "idevid.pem" : "ldevid.pem", &pem, is, e))
		return -1;
	if (!*is)
		return 0;
	rc = crypto_cert_from_pem(pem.data, &cert, e) || crypto_cert_key(cert, &key, e) ||
	     tpm_public_read(&r->key, &pub, e) ? -1 : 0;
	*is = !rc && crypto_key_same(key, pub.key) &&
	      (r->profile == ENROL_LDEVID || is_newer(d, "idevid.pem", "request.json"));
	if (*is)
		crypto_cert_facts(cert, f);
	tpm_public_release(&pub);
	return rc;
}

static int close_request(struct device *d, struct err *e)
{
	return place_remove(d->how, "challenge.json", e) || place_remove(d->how, "answer.json", e) ||
	       place_remove(d->how, NEXT_KEY, e) || place_drop_old_ldevids(d->how, false, e) ||
	       place_remove(d->how, "request.json", e) ? -1 : 0;
}

int enrolment_finish(struct device *d, struct err *e)
{
	__attribute__((cleanup(enrol_request_release))) struct enrol_request r = { 0 };
	auto_buf struct buf request = BUF_INIT;
	struct crypto_cert_facts f;
	struct err unreadable;
	bool open, answered = false;

	if (place_read(d->how, "request.json", &request, &open, e))
		return -1;
	if (!open) /* a key that no request was made for */
		return place_remove(d->how, NEXT_KEY, e);
	if (enrol_request_read(request.data, &r, &unreadable))
		return 0;
	if (is_answered(d, &r, &f, &answered, e))
		return -1;
	return answered && (record(d, r.profile, &f, e) || close_request(d, e)) ? -1 : 0;
}

/* ---- all of it with a CA of this machine ---- */

static int to_next_step(struct device *d, enum enrol_profile profile, struct err *e)
{
	auto_free char *path = place_path(d->how, "request.json");

	return err_set(e, ERR_AGAIN, 0, "the keys are made, and the request for the %s is '%s'; have the CA sign it: "
		       "there `psec provision ca sign request.json --out challenge.json`, here `psec provision answer "
		       "challenge.json --out answer.json`, there `psec provision ca sign answer.json --out "
		       "certificate.json`, here `psec provision install certificate.json`",
		       profile == ENROL_IDEVID ? "IDevID" : "LDevID", path);
}

int enrolment_by(struct device *d, struct ca *ca, enum enrol_profile profile, struct err *e)
{
	auto_buf struct buf request = BUF_INIT, challenge = BUF_INIT, answer = BUF_INIT, certificate = BUF_INIT;

	if (enrolment_request(d, profile, &request, e))
		return -1;
	if (!ca)
		return to_next_step(d, profile, e);
	if (ca_challenge(ca, d->now, request.data, &challenge, e) ||
	    enrolment_answer(d, challenge.data, &answer, e))
		return -1;
	if (ca_has_signer(ca))
		device_close(d); /* others may use the TPM meanwhile */
	return ca_certify(ca, d->now, answer.data, &certificate, e) ? -1 : enrolment_install(d, certificate.data, e);
}

/* ---- one document a call ---- */

int provision_answer(const struct provision_how *how, const char *challenge, const struct now *now,
		     struct buf *answer, struct err *e)
{
	auto_device struct device d;

	if (device_begin(&d, how, now, true, e) || device_open(&d, e) || device_health(&d, e) ||
	    device_same(&d, e) || device_find_keys(&d, false, e))
		return -1;
	if (!d.iak.key)
		return err_set(e, ERR_REFUSED, 0, "this TPM has no IAK: it never made the request");
	return enrolment_answer(&d, challenge, answer, e) ||
	       place_write(how, "challenge.json", challenge, strlen(challenge), e) ||
	       place_write(how, "answer.json", answer->data, answer->len, e) ? -1 : 0;
}

int provision_install(const struct provision_how *how, const char *document, const struct now *now, struct err *e)
{
	auto_device struct device d;

	return device_begin(&d, how, now, true, e) || enrolment_install(&d, document, e) ? -1 : 0;
}
