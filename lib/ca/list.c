#include "inside.h"

#include <string.h>

int ca_list(struct ca *c, const struct now *now, const char *what, ca_row_fn *fn, void *arg, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	auto_free char *sql = NULL;
	struct which w = { "true", NULL };
	int rc;

	if (what && which_is(c, what, &w, e))
		return -1;
	sql = xasprintf("SELECT serial, site, profile, number, fingerprint, reason, not_before_us, not_after_us,"
			" revoked_us, ek_checked FROM certificate WHERE %s ORDER BY id", w.where);
	rc = registry_row(c, &st, e, sql, what ? "t" : "", w.word);
	for (; rc > 0; rc = registry_next(c, st, e)) {
		bool revoked = sqlite3_column_type(st, 8) != SQLITE_NULL;
		struct ca_row row = {
			.serial = row_text(st, 0), .site = row_text(st, 1), .profile = row_text(st, 2),
			.number = row_text(st, 3), .fingerprint = row_text(st, 4),
			.reason = revoked ? ca_reason_name((int)sqlite3_column_int64(st, 5)) : "",
			.not_before_us = sqlite3_column_int64(st, 6), .not_after_us = sqlite3_column_int64(st, 7),
			.revoked_us = sqlite3_column_int64(st, 8), .ek_checked = sqlite3_column_int64(st, 9) != 0,
		};

		row.state = revoked ? "revoked" : now->utc_valid && row.not_after_us <= now->utc_us ? "expired" : "valid";
		if (fn(arg, &row, e))
			return -1;
	}
	return rc;
}

int ca_boards(struct ca *c, ca_board_fn *fn, void *arg, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e,
			      "SELECT serial, state, ek, reason, who, ek_checked, changed_us, (SELECT count(*) FROM certificate"
			      " WHERE certificate.serial = board.serial AND revoked_us IS NULL) FROM board ORDER BY serial", "");

	for (; rc > 0; rc = registry_next(c, st, e)) {
		const struct ca_board b = {
			.serial = row_text(st, 0), .state = row_text(st, 1), .ek = row_text(st, 2),
			.reason = row_text(st, 3), .who = row_text(st, 4), .ek_checked = sqlite3_column_int64(st, 5) != 0,
			.changed_us = sqlite3_column_int64(st, 6), .certificates = sqlite3_column_int64(st, 7),
		};

		if (fn(arg, &b, e))
			return -1;
	}
	return rc;
}

/* ---- storage policies ---- */

int ca_policy_key(struct ca *c, struct crypto_key **out, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;

	return ca_text(c, "policy.pem", &pem, e) ? -1 : crypto_key_from_pem(pem.data, out, e);
}

struct policy_signing { const struct now *now; struct enrol_policy *policy; const char *digest; };

/* 1: it was signed before. */
static int signed_before(struct ca *c, const struct policy_signing *s, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT digest, signature FROM policy WHERE serial = ? AND slot = ?", "ti",
			      s->policy->serial, (int64_t)s->policy->slot);
	size_t len;

	if (rc <= 0)
		return rc;
	if (!str_eq(row_text(st, 0), s->digest))
		return err_set(e, ERR_REFUSED, 0, "slot %d was given to another policy%s%s before; take the next slot",
			       s->policy->slot, s->policy->serial[0] ? " of board " : " of all boards", s->policy->serial);
	len = (size_t)sqlite3_column_bytes(st, 1);
	if (len > sizeof s->policy->signature)
		return err_set(e, ERR_INPUT, 0, "the registry's signature of slot %d is too long", s->policy->slot);
	memcpy(s->policy->signature, sqlite3_column_blob(st, 1), len);
	s->policy->signature_len = len;
	return 1;
}

static int sign_policy(struct ca *c, void *arg, struct err *e)
{
	const struct policy_signing *s = arg;
	auto_crypto_key struct crypto_key *key = NULL;
	auto_buf struct buf words = BUF_INIT, der = BUF_INIT;
	int before = signed_before(c, s, e);

	if (before)
		return before < 0 ? -1 : 0;
	tpm_policy_words(s->policy->digest, &words);
	if (ca_key(c, "policy", &key, e) || crypto_sign(key, words.data, words.len, &der, e))
		return -1;
	if (der.len > sizeof s->policy->signature)
		return err_set(e, ERR_BUG, 0, "a signature of %zu bytes", der.len);
	memcpy(s->policy->signature, der.data, der.len);
	s->policy->signature_len = der.len;
	return registry_run(c, e, "INSERT INTO policy (serial, slot, digest, signature, made_us) VALUES (?, ?, ?, ?, ?)",
			    "titbi", s->policy->serial, (int64_t)s->policy->slot, s->digest, der.data, der.len,
			    s->now->utc_us);
}

int ca_policy_sign(struct ca *c, const struct now *now, struct enrol_policy *policy, struct err *e)
{
	uint8_t digest[CRYPTO_HASH];
	char hex[CRYPTO_HEX];
	struct policy_signing s = { now, policy, hex };

	tpm_policy_digest(&policy->pcrs, policy->slot, digest);
	if (!crypto_equal(digest, policy->digest, sizeof digest))
		return err_set(e, ERR_REFUSED, 0, "the policy's digest is not that of its PCRs and its slot");
	crypto_hex(digest, sizeof digest, hex, sizeof hex);
	return registry_change(c, sign_policy, &s, e);
}
