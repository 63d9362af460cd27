#include "inside.h"

#include <inttypes.h>
#include <string.h>

/* ---- reasons (RFC 5280 5.3.1) ---- */

const char *const ca_reasons[] = { "unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation",
				   "privilege-withdrawn", NULL };
static const int codes[] = { 0, 1, 3, 4, 5, 9 };

int ca_reason(const char *name)
{
	for (size_t i = 0; ca_reasons[i]; i++)
		if (str_eq(name, ca_reasons[i]))
			return codes[i];
	return -1;
}

const char *ca_reason_name(int reason)
{
	for (size_t i = 0; ca_reasons[i]; i++)
		if (codes[i] == reason)
			return ca_reasons[i];
	return "";
}

/* ---- what a word names ---- */

static const struct { const char *prefix, *where; } kinds[] = {
	{ "number:", "number = ? COLLATE NOCASE" }, { "serial:", "serial = ?" }, { "site:", "site = ?" },
};

static int named(struct ca *c, const struct which *w, struct err *e)
{
	auto_free char *sql = xasprintf("SELECT 1 FROM certificate WHERE %s LIMIT 1", w->where);
	auto_row sqlite3_stmt *st = NULL;

	return registry_row(c, &st, e, sql, "t", w->word);
}

int which_is(struct ca *c, const char *what, struct which *out, struct err *e)
{
	char shown[80];

	*out = (struct which){ 0 };
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		bool said = str_starts(what, kinds[i].prefix);
		const struct which w = { kinds[i].where, said ? what + strlen(kinds[i].prefix) : what };
		int rc = named(c, &w, e);

		if (rc < 0)
			return -1;
		if (rc && out->where)
			return err_set(e, ERR_REFUSED, 0, "'%s' is a board's serial and a site; say serial:%s or site:%s", what,
				       what, what);
		if (rc)
			*out = w;
	}
	if (out->where)
		return 0;
	str_printable(shown, sizeof shown, what, strlen(what));
	return err_set(e, ERR_INPUT, 0, "no certificate has '%s' as its number, its board's serial or its site; `psec "
					"provision ca list` shows them", shown);
}

/* ---- revoking ---- */

int revoke_which(struct ca *c, int64_t now_us, const struct which *w, int reason, const char *who, struct err *e)
{
	auto_free char *sql = xasprintf("UPDATE certificate SET revoked_us = ?, reason = ?, who = ?"
					" WHERE revoked_us IS NULL AND %s", w->where);

	return registry_run(c, e, sql, "iitt", now_us, (int64_t)reason, who, w->word);
}

struct revocation { const struct now *now; const char *what, *who; int reason, *count; };

static int revoke(struct ca *c, void *arg, struct err *e)
{
	const struct revocation *r = arg;
	struct which w;

	if (which_is(c, r->what, &w, e) || revoke_which(c, r->now->utc_us, &w, r->reason, r->who, e))
		return -1;
	*r->count = sqlite3_changes(c->db);
	return registry_act(c, r->now->utc_us, "revoke", r->what, ca_reason_name(r->reason), r->who, e);
}

int ca_revoke(struct ca *c, const struct now *now, const char *what, int reason, const char *who, int *count,
	      struct err *e)
{
	struct revocation r = { now, what, who, reason, count };

	*count = 0;
	return ca_clock(now, e) ? -1 : registry_change(c, revoke, &r, e);
}

/* ---- lists ---- */

struct revoked_set { struct crypto_revoked *at; size_t count, room; };

static void set_release(struct revoked_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		free((char *)s->at[i].number);
	free(s->at);
}

/* An expired certificate stays on the lists of a month more (RFC 5280 3.3: on one at least). */
static int revoked_of(struct ca *c, int64_t generation, int64_t now_us, struct revoked_set *s, struct err *e)
{
	enum { STAYS_S = 31 * 86400 };
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e,
			      "SELECT number, revoked_us, reason FROM certificate WHERE generation = ? AND revoked_us IS NOT"
			      " NULL AND not_after_us > ? ORDER BY id", "ii", generation, now_us - STAYS_S * US_PER_S);

	for (; rc > 0; rc = registry_next(c, st, e)) {
		if (s->count == s->room) {
			s->room = s->room ? 2 * s->room : 64;
			s->at = xrealloc(s->at, s->room, sizeof *s->at);
		}
		s->at[s->count++] = (struct crypto_revoked){ xstrdup(row_text(st, 0)), sqlite3_column_int64(st, 1),
							     (int)sqlite3_column_int64(st, 2) };
	}
	return rc;
}

struct listing { const struct now *now; int64_t next_us, number; struct buf *pem; };

static int list_of(struct ca *c, const struct listing *l, int64_t generation, struct err *e)
{
	__attribute__((cleanup(set_release))) struct revoked_set s = { 0 };
	auto_issuer struct issuer by = { 0 };
	auto_buf struct buf one = BUF_INIT;

	if (issuer_of(c, generation, &by, e) || revoked_of(c, generation, l->now->utc_us, &s, e) ||
	    crypto_crl_make(by.cert, by.key, l->number, l->now->utc_us, l->next_us, s.at, s.count, &one, e))
		return -1;
	buf_adds(l->pem, one.data);
	return 0;
}

/* The root's own: it has never revoked an intermediate, and who checks every link wants to read that. */
static int list_of_root(struct ca *c, const struct listing *l, struct err *e)
{
	auto_crypto_key struct crypto_key *key = NULL;
	auto_crypto_cert struct crypto_cert *root = NULL;
	auto_buf struct buf one = BUF_INIT;

	if (ca_root(c, &root, e) || ca_key(c, "root", &key, e) ||
	    crypto_crl_make(root, key, l->number, l->now->utc_us, l->next_us, NULL, 0, &one, e))
		return -1;
	buf_adds(l->pem, one.data);
	return 0;
}

/* Seconds of UTC where that is more: it rises, too, after a backup of last week was restored. */
static int next_number(struct ca *c, struct listing *l, struct err *e)
{
	auto_free char *last = NULL;
	char text[24];
	int64_t n = 0;

	if (meta_get(c, "crl_number", &last, e))
		return -1;
	if (last[0] && !parse_int(last, 0, INT64_MAX - 1, &n))
		return err_set(e, ERR_BUG, 0, "the registry's last list has no number");
	l->number = n + 1 > l->now->utc_us / US_PER_S ? n + 1 : l->now->utc_us / US_PER_S;
	snprintf(text, sizeof text, "%" PRId64, l->number);
	return meta_put(c, "crl_number", text, e);
}

static int make_lists(struct ca *c, void *arg, struct err *e)
{
	struct listing *l = arg;
	auto_row sqlite3_stmt *st = NULL;
	auto_free char *path = ca_path(c, "crl.pem");
	int rc;

	buf_clear(l->pem);
	if (next_number(c, l, e))
		return -1;
	rc = registry_row(c, &st, e, "SELECT generation FROM authority WHERE not_after_us > ?"
				     " ORDER BY generation DESC", "i", l->now->utc_us);
	for (; rc > 0; rc = registry_next(c, st, e))
		if (list_of(c, l, sqlite3_column_int64(st, 0), e))
			return -1;
	if (rc < 0 || list_of_root(c, l, e))
		return -1;
	/* before the commit: who writes later has the higher number, in the file, too */
	return file_replace(path, l->pem->data, l->pem->len, 0644, e);
}

int ca_crl(struct ca *c, const struct now *now, int64_t valid_ms, struct buf *pem, struct err *e)
{
	struct listing l = { .now = now, .next_us = now->utc_us + valid_ms * US_PER_MS, .pem = pem };

	if (c->signer)
		return err_set(e, ERR_REFUSED, 0, "'%s' signs here: its CA makes the revocation list, and what `psec provision "
						  "ca revoke` marks must be revoked there, too", c->signer);
	return ca_clock(now, e) ? -1 : registry_change(c, make_lists, &l, e);
}
