/* The intermediates: each is a generation, its certificate in the registry, its key in the folder of keys. */
#include "inside.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

void issuer_release(struct issuer *i)
{
	crypto_cert_free(i->cert);
	crypto_key_free(i->key);
}

static int read_issuer(struct ca *c, sqlite3_stmt *st, struct issuer *out, struct err *e)
{
	char name[40];

	out->generation = sqlite3_column_int64(st, 0);
	snprintf(name, sizeof name, "intermediate-%" PRId64, out->generation);
	return crypto_cert_from_pem(row_text(st, 1), &out->cert, e) || ca_key(c, name, &out->key, e) ? -1 : 0;
}

int issuer_of(struct ca *c, int64_t generation, struct issuer *out, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT generation, pem FROM authority WHERE generation = ?", "i", generation);

	*out = (struct issuer){ 0 };
	if (rc == 0)
		return err_set(e, ERR_BUG, 0, "the registry has no intermediate %" PRId64, generation);
	return rc < 0 ? -1 : read_issuer(c, st, out, e);
}

int issuer_now(struct ca *c, struct issuer *out, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT generation, pem FROM authority ORDER BY generation DESC LIMIT 1", "");

	*out = (struct issuer){ 0 };
	if (rc == 0)
		return err_set(e, ERR_BUG, 0, "the registry has no intermediate");
	return rc < 0 ? -1 : read_issuer(c, st, out, e);
}

/* 128 random bits, positive, and never shorter than 16 bytes. */
int issue_number(uint8_t number[16], struct err *e)
{
	if (crypto_random(number, 16, e))
		return -1;
	number[0] = (uint8_t)((number[0] & 0x3f) | 0x40);
	return 0;
}

int issuer_make(struct ca *c, int64_t generation, const struct crypto_cert *root, const struct crypto_key *root_key,
		int64_t now_us, struct err *e)
{
	enum { DAYS = 1826 };
	auto_crypto_key struct crypto_key *key = NULL;
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_free char *name = NULL, *cn = NULL, *path = NULL, *file = xasprintf("intermediate-%" PRId64, generation);
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_cert_facts facts;
	struct crypto_issue how = { .profile = CRYPTO_INTERMEDIATE, .issuer = root, .issuer_key = root_key,
				    .not_before_us = now_us - BEFORE_S * US_PER_S,
				    .not_after_us = now_us + DAYS * 86400 * US_PER_S };

	if (meta_get(c, "name", &name, e))
		return -1;
	crypto_cert_facts(root, &facts);
	if (facts.not_after_us < how.not_after_us)
		how.not_after_us = facts.not_after_us;
	how.names.cn = cn = xasprintf("%s issuing %" PRId64, name, generation);
	path = ca_key_path(c, file, e);
	if (!path || crypto_key_new(&key, e) || crypto_key_write(key, path, &c->passphrase, e) ||
	    issue_number(how.number, e))
		return -1;
	how.subject_key = key;
	if (crypto_cert_issue(&how, &cert, e) || crypto_cert_pem(cert, &pem, e))
		return -1;
	crypto_cert_facts(cert, &facts);
	return registry_run(c, e, "INSERT INTO authority (generation, number, pem, made_us, not_after_us)"
				  " VALUES (?, ?, ?, ?, ?)", "ittii", generation, facts.number, pem.data, now_us, facts.not_after_us);
}

int issuer_publish(struct ca *c, int64_t now_us, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	auto_buf struct buf all = BUF_INIT;
	auto_free char *path = ca_path(c, "intermediate.pem");
	int rc = registry_row(c, &st, e, "SELECT pem FROM authority WHERE not_after_us > ? ORDER BY generation DESC", "i",
			      now_us);

	for (; rc > 0; rc = registry_next(c, st, e))
		buf_adds(&all, row_text(st, 0));
	return rc < 0 ? -1 : file_replace(path, all.data ? all.data : "", all.len, 0600, e);
}

/* ---- rotation ---- */

struct rotation { const struct now *now; };

static int rotate(struct ca *c, void *arg, struct err *e)
{
	const struct rotation *r = arg;
	auto_crypto_key struct crypto_key *key = NULL;
	auto_crypto_cert struct crypto_cert *root = NULL;
	auto_issuer struct issuer newest = { 0 };
	char subject[24];

	if (ca_root(c, &root, e) || ca_key(c, "root", &key, e) || issuer_now(c, &newest, e))
		return -1;
	snprintf(subject, sizeof subject, "%" PRId64, newest.generation + 1);
	return issuer_make(c, newest.generation + 1, root, key, r->now->utc_us, e) ||
			       registry_act(c, r->now->utc_us, "rotate", subject, "", "", e)
		       ? -1 : 0;
}

int ca_rotate(struct ca *c, const struct now *now, struct err *e)
{
	struct rotation r = { now };

	if (c->signer)
		return err_set(e, ERR_REFUSED, 0, "'%s' signs here: its CA rotates its own keys", c->signer);
	if (ca_clock(now, e) || registry_change(c, rotate, &r, e))
		return -1;
	return issuer_publish(c, now->utc_us, e);
}

/* ---- another passphrase: the keys into a new folder, which the registry then names in one transaction ---- */

struct rekey { const struct secret *to; char *old, *fresh; };

static int rekey_one(struct ca *c, const struct rekey *k, const char *name, struct err *e)
{
	auto_crypto_key struct crypto_key *key = NULL;
	auto_free char *path = xasprintf("%s/%s/%s.key", c->dir, k->fresh, name);

	return ca_key(c, name, &key, e) || crypto_key_write(key, path, k->to, e) ? -1 : 0;
}

static int rekey(struct ca *c, void *arg, struct err *e)
{
	struct rekey *k = arg;
	auto_row sqlite3_stmt *st = NULL;
	auto_free char *folder = NULL;
	int64_t n;
	int rc;

	if (meta_get(c, "keys", &k->old, e))
		return -1;
	if (!str_starts(k->old, "keys-") || !parse_int(k->old + 5, 1, INT32_MAX, &n))
		return err_set(e, ERR_BUG, 0, "the registry has no folder of keys");
	k->fresh = xasprintf("keys-%" PRId64, n + 1);
	folder = ca_path(c, k->fresh);
	/* what a killed one left */
	if (dir_remove(folder, e) || dir_make(folder, 0700, e) || rekey_one(c, k, "policy", e))
		return -1;
	if (!c->signer && rekey_one(c, k, "root", e))
		return -1;
	rc = registry_row(c, &st, e, "SELECT generation FROM authority", "");
	for (; rc > 0; rc = registry_next(c, st, e)) {
		auto_free char *name = xasprintf("intermediate-%" PRId64, (int64_t)sqlite3_column_int64(st, 0));

		if (rekey_one(c, k, name, e))
			return -1;
	}
	return rc < 0 ? -1 : meta_put(c, "keys", k->fresh, e);
}

int ca_rotate_passphrase(struct ca *c, const struct secret *to, struct err *e)
{
	struct rekey k = { .to = to };
	auto_free char *file = ca_path(c, "passphrase"), *old = NULL, *fresh = NULL;
	auto_secret struct secret line = { 0 };
	int rc;

	if (to->len < 8 || to->len >= sizeof to->data || memchr(to->data, '\n', to->len))
		return err_set(e, ERR_INPUT, 0, "the new passphrase must have 8 to %zu bytes in one line",
			       sizeof to->data - 1);
	rc = registry_change(c, rekey, &k, e);
	old = k.old ? ca_path(c, k.old) : NULL;
	fresh = k.fresh ? ca_path(c, k.fresh) : NULL;
	free(k.old);
	free(k.fresh);
	if (rc < 0) {
		struct err ignored;

		if (fresh)
			(void)!dir_remove(fresh, &ignored);
		return -1;
	}
	c->passphrase = *to;
	line = *to;
	line.data[line.len++] = '\n';
	if (access(file, F_OK) == 0 && file_replace(file, line.data, line.len, 0600, e))
		return -1;
	return dir_remove(old, e);
}
