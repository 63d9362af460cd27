/* Request → challenge, answer → certificate. */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

enum { CHALLENGE_S = 7 * 86400 };

/* ---- the challenge ---- */

struct asking {
	const struct now *now;
	const struct judged *judged;
	const char *request;
	const struct enrol_challenge *challenge;
	const char *proof;
};

static int remember(struct ca *c, void *arg, struct err *e)
{
	const struct asking *a = arg;

	if (board_may_enrol(c, a->judged, a->now->utc_us, e) ||
	    registry_run(c, e, "DELETE FROM challenge WHERE expires_us < ?", "i", a->now->utc_us))
		return -1;
	return registry_run(c, e, "INSERT OR REPLACE INTO challenge (request, document, proof, made_us, expires_us)"
				  " VALUES (?, ?, ?, ?, ?)", "tttii", a->challenge->request, a->request, a->proof,
			    a->now->utc_us, a->challenge->expires_us);
}

/* The registry keeps the hash of the proof: who reads it cannot answer. */
static void hash_proof(const uint8_t proof[CRYPTO_HASH], char to[CRYPTO_HEX])
{
	uint8_t hash[CRYPTO_HASH];

	crypto_sha256(proof, CRYPTO_HASH, hash);
	crypto_hex(hash, sizeof hash, to, CRYPTO_HEX);
}

static int blob_of(const struct buf *b, struct tpm_blob *to, struct err *e)
{
	if (b->len > sizeof to->data)
		return err_set(e, ERR_BUG, 0, "a credential of %zu bytes", b->len);
	memcpy(to->data, b->data, b->len);
	to->len = b->len;
	return 0;
}

int ca_challenge(struct ca *c, const struct now *now, const char *request, struct buf *challenge, struct err *e)
{
	auto_judged struct judged j = { 0 };
	auto_buf struct buf credential = BUF_INIT, secret = BUF_INIT;
	auto_secret struct secret value = { .len = CRYPTO_HASH };
	struct enrol_challenge out = { .expires_us = now->utc_us + CHALLENGE_S * US_PER_S };
	struct asking a = { .now = now, .judged = &j, .request = request, .challenge = &out };
	uint8_t proof[CRYPTO_HASH];
	char proof_hash[CRYPTO_HEX];

	if (ca_clock(now, e) || judge(c, now, request, &j, e) || crypto_random(value.data, value.len, e))
		return -1;
	if (crypto_make_credential(j.ek, j.iak_name, j.iak_name_len, value.data, value.len, &credential, &secret, e) ||
	    blob_of(&credential, &out.credential, e) || blob_of(&secret, &out.secret, e))
		return -1;
	enrol_hash(request, out.request);
	str_copy(out.serial, sizeof out.serial, j.request.serial);
	enrol_proof(&value, out.request, proof);
	hash_proof(proof, proof_hash);
	a.proof = proof_hash;
	return registry_change(c, remember, &a, e) ? -1 : enrol_challenge_write(&out, challenge, e);
}

/* ---- the certificate ---- */

struct certifying {
	const struct now *now;
	const struct enrol_answer *answer;
	struct judged judged;
	char *document;
	/* what a signer gave; without one it is made inside the change */
	struct buf chain;
	struct crypto_cert *leaf;
};

static int open_challenge(struct ca *c, struct certifying *t, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	char proof[CRYPTO_HEX];
	int rc = registry_row(c, &st, e, "SELECT document, proof, expires_us FROM challenge WHERE request = ?", "t",
			      t->answer->request);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_REFUSED, 0, "no challenge is open for this request; give the request once more");
	if (sqlite3_column_int64(st, 2) < t->now->utc_us)
		return err_set(e, ERR_REFUSED, 0, "the challenge has expired; give the request once more");
	hash_proof(t->answer->proof, proof);
	if (strlen(row_text(st, 1)) != CRYPTO_HEX - 1 || !crypto_equal(proof, row_text(st, 1), CRYPTO_HEX - 1))
		return err_set(e, ERR_REFUSED, 0, "the answer is not that of the last challenge: the TPM did not open it, or "
						  "a newer challenge was made for the same request");
	free(t->document);
	t->document = xstrdup(row_text(st, 0));
	return 0;
}

static int chain_of(struct ca *c, sqlite3_stmt *st, char **chain, struct err *e)
{
	auto_row sqlite3_stmt *issuer = NULL;
	int rc = registry_row(c, &issuer, e, "SELECT pem FROM authority WHERE generation = ?", "i",
			      (int64_t)sqlite3_column_int64(st, 2));

	if (rc < 0)
		return -1;
	*chain = xasprintf("%s%s", row_text(st, 1), rc ? row_text(issuer, 0) : "");
	return 0;
}

/* The document of what was issued for this request: 1; 0 when nothing was. */
static int issued(struct ca *c, const struct certifying *t, struct enrol_certificate *doc, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	const char *at;
	auto_buf struct buf roots = BUF_INIT, one = BUF_INIT;
	int found = 0, rc = registry_row(c, &st, e,
					 "SELECT profile, pem, generation, revoked_us FROM certificate WHERE request = ?"
					 " ORDER BY id", "t", t->answer->request);

	for (; rc > 0; rc = registry_next(c, st, e), found++) {
		if (sqlite3_column_type(st, 3) != SQLITE_NULL)
			return err_set(e, ERR_REFUSED, 0, "the certificate of this request was revoked; the board must make "
							  "a new request");
		if (chain_of(c, st, str_eq(row_text(st, 0), "iak") ? &doc->iak : &doc->chain, e))
			return -1;
	}
	if (rc < 0 || !found)
		return rc;
	if (ca_text(c, "root.pem", &roots, e))
		return -1;
	at = roots.data;
	while (doc->trust_count < ENROL_CHAIN && enrol_pem_next(&at, &one))
		doc->trust[doc->trust_count++] = xstrdup(one.data);
	str_copy(doc->request, sizeof doc->request, t->answer->request);
	str_copy(doc->serial, sizeof doc->serial, t->judged.request.serial);
	doc->profile = t->judged.request.profile;
	return 1;
}

static int insert(struct ca *c, const struct certifying *t, const char *profile, int64_t generation,
		  const struct crypto_cert *cert, const char *pem, struct err *e)
{
	const struct enrol_request *r = &t->judged.request;
	auto_row sqlite3_stmt *st = NULL;
	struct crypto_cert_facts f;
	int rc;

	crypto_cert_facts(cert, &f);
	rc = registry_row(c, &st, e, "SELECT 1 FROM certificate WHERE number = ?", "t", f.number);
	if (rc)
		return rc < 0 ? -1 : err_set(e, ERR_REFUSED, 0, "the number %s was given to another certificate before",
					     f.number);
	return registry_run(c, e,
			    "INSERT INTO certificate (number, generation, request, serial, site, profile, fingerprint, pem,"
			    " ek_checked, not_before_us, not_after_us) VALUES (?, nullif(?, 0), ?, ?, nullif(?, ''), ?, ?, ?,"
			    " ?, ?, ?)", "tittttttiii", f.number, generation, t->answer->request, r->serial, r->site, profile,
			    f.fingerprint, pem, (int64_t)t->judged.ek_checked, f.not_before_us, f.not_after_us);
}

static int issue(struct ca *c, const struct certifying *t, const struct issuer *by, enum crypto_profile profile,
		 const char *name, const struct crypto_key *key, struct err *e)
{
	const struct enrol_request *r = &t->judged.request;
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_cert_facts authority;
	struct crypto_issue how = {
		.profile = profile, .subject_key = key, .issuer = by->cert, .issuer_key = by->key,
		.names = { .cn = profile == CRYPTO_LDEVID ? r->site : r->serial, .serial_number = r->serial,
			   .hardware_serial = profile == CRYPTO_LDEVID ? NULL : r->serial },
		.not_before_us = t->now->utc_us - BEFORE_S * US_PER_S, .not_after_us = INT64_MAX,
	};

	crypto_cert_facts(by->cert, &authority);
	if (authority.not_after_us <= t->now->utc_us)
		return err_set(e, ERR_REFUSED, 0, "the CA's intermediate has expired; `psec provision ca rotate` makes a new "
						  "one");
	if (profile == CRYPTO_LDEVID) {
		how.not_after_us = t->now->utc_us + LDEVID_S * US_PER_S;
		if (authority.not_after_us < how.not_after_us)
			how.not_after_us = authority.not_after_us;
	}
	if (issue_number(how.number, e) || crypto_cert_issue(&how, &cert, e) || crypto_cert_pem(cert, &pem, e))
		return -1;
	return insert(c, t, name, by->generation, cert, pem.data, e);
}

static int issue_all(struct ca *c, const struct certifying *t, struct err *e)
{
	bool idevid = t->judged.request.profile == ENROL_IDEVID;
	auto_issuer struct issuer by = { 0 };

	if (c->signer)
		return insert(c, t, enrol_profile_name(t->judged.request.profile), 0, t->leaf, t->chain.data, e);
	if (issuer_now(c, &by, e) ||
	    issue(c, t, &by, idevid ? CRYPTO_IDEVID : CRYPTO_LDEVID, idevid ? "idevid" : "ldevid", t->judged.key, e))
		return -1;
	return idevid ? issue(c, t, &by, CRYPTO_IAK, "iak", t->judged.iak, e) : 0;
}

static int register_board(struct ca *c, const struct certifying *t, struct err *e)
{
	return registry_run(c, e,
			    "INSERT INTO board (serial, ek, ek_checked, state, changed_us, iak) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
			    " ON CONFLICT (serial) DO UPDATE SET ek = ?2, ek_checked = ?3, state = ?4, changed_us = ?5, iak = ?6",
			    "ttitit", t->judged.request.serial, t->judged.ek_hash, (int64_t)t->judged.ek_checked,
			    board_states[CA_BOARD_PROVISIONED], t->now->utc_us, t->judged.iak_hash);
}

/* What may have changed since it was judged is looked at once more, where nobody else writes. */
static int certify(struct ca *c, void *arg, struct err *e)
{
	struct certifying *t = arg;
	__attribute__((cleanup(enrol_certificate_release))) struct enrol_certificate doc = { 0 };
	int rc;

	if (open_challenge(c, t, e))
		return -1;
	rc = issued(c, t, &doc, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	if (board_may_enrol(c, &t->judged, t->now->utc_us, e) || register_board(c, t, e) ||
	    issue_all(c, t, e))
		return -1;
	return 0;
}

/* A signer's certificate cannot be taken back by a rollback: one process at a time asks it, and only for what is not
 * there yet. */
static int ask_signer(struct ca *c, struct certifying *t, struct err *e)
{
	__attribute__((cleanup(enrol_certificate_release))) struct enrol_certificate doc = { 0 };
	int rc = issued(c, t, &doc, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	return board_may_enrol(c, &t->judged, t->now->utc_us, e)
		       ? -1 : signer_sign(c, t->now, &t->judged, &t->chain, &t->leaf, e);
}

static int lock_signer(struct ca *c, int *fd, struct err *e)
{
	auto_free char *path = ca_path(c, "signer.lock");

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0 || flock(*fd, LOCK_EX) < 0)
		return err_set(e, ERR_IO, errno, "cannot lock '%s'", path);
	return 0;
}

static void certifying_release(struct certifying *t)
{
	judged_release(&t->judged);
	free(t->document);
	buf_release(&t->chain);
	crypto_cert_free(t->leaf);
}

int ca_certify(struct ca *c, const struct now *now, const char *answer, struct buf *certificate, struct err *e)
{
	struct enrol_answer a;
	__attribute__((cleanup(certifying_release))) struct certifying t = { .now = now, .answer = &a };
	__attribute__((cleanup(enrol_certificate_release))) struct enrol_certificate doc = { 0 };
	auto_close int lock = -1;
	int rc;

	if (ca_clock(now, e) || enrol_answer_read(answer, &a, e) || open_challenge(c, &t, e) ||
	    judge(c, now, t.document, &t.judged, e))
		return -1;
	if (!str_eq(a.serial, t.judged.request.serial))
		return err_set(e, ERR_REFUSED, 0, "the answer is of board '%s', the request of '%s'", a.serial,
			       t.judged.request.serial);
	if (c->signer && (lock_signer(c, &lock, e) || ask_signer(c, &t, e)))
		return -1;
	if (registry_change(c, certify, &t, e))
		return -1;
	rc = issued(c, &t, &doc, e);
	if (rc == 0)
		return err_set(e, ERR_BUG, 0, "the certificate is not in the registry, where it was put");
	return rc < 0 ? -1 : enrol_certificate_write(&doc, certificate, e);
}
