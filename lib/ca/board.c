#include "inside.h"

#include <inttypes.h>
#include <string.h>

const char *const board_states[] = { "new", "provisioned", "replaced", "scrapped" };

int board_get(struct ca *c, const char *serial, struct board *out, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT ek, state FROM board WHERE serial = ?", "t", serial);

	*out = (struct board){ .there = rc > 0 };
	if (rc <= 0)
		return rc;
	str_copy(out->ek, sizeof out->ek, row_text(st, 0));
	str_copy(out->state, sizeof out->state, row_text(st, 1));
	return 0;
}

/* ---- may it enrol? ---- */

/* A TPM has an endorsement key of each kind that its maker certified; psec's IAK is the same under each. */
static int other_serial(struct ca *c, const struct judged *j, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT serial FROM board WHERE (ek = ? OR iak = ?) AND serial <> ?", "ttt",
			      j->ek_hash, j->iak_hash, j->request.serial);

	if (rc <= 0)
		return rc;
	return err_set(e, ERR_REFUSED, 0,
		       "this TPM is known as board '%s': one endorsement key has one serial; if the TPM was moved, "
		       "`psec provision ca rework %s` first", row_text(st, 0), row_text(st, 0));
}

static int other_board(struct ca *c, const struct enrol_request *r, int64_t now_us, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e,
			      "SELECT serial FROM certificate WHERE site = ? AND serial <> ? AND profile = 'ldevid'"
			      " AND revoked_us IS NULL AND not_after_us > ?", "tti", r->site, r->serial, now_us);

	if (rc <= 0)
		return rc;
	return err_set(e, ERR_REFUSED, 0, "site '%s' has board '%s'; if '%s' takes its place, say so: `psec provision "
					      "replace`", r->site, row_text(st, 0), r->serial);
}

/* Who looks at a certificate's CN alone, as a broker does, must not meet a board where a site is meant: an IDevID is
 * for life, and it opens TLS, too. */
static int other_name(struct ca *c, const struct enrol_request *r, struct err *e)
{
	static const char sites[] = "SELECT 1 FROM certificate WHERE site = ? AND serial <> ? AND profile = 'ldevid'";
	static const char boards[] = "SELECT 1 FROM certificate WHERE serial = ? AND serial <> ? AND profile = 'idevid'"
				     " AND revoked_us IS NULL";
	bool idevid = r->profile == ENROL_IDEVID;
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, idevid ? sites : boards, "tt", idevid ? r->serial : r->site, r->serial);

	if (rc <= 0)
		return rc;
	if (idevid)
		return err_set(e, ERR_REFUSED, 0, "'%s' is the id of a site, and a board's certificate in this name would pass "
						  "for the site's; the board needs another serial", r->serial);
	return err_set(e, ERR_REFUSED, 0, "'%s' is the serial of a board, whose certificate would pass for the site's; the "
					  "site needs another id", r->site);
}

int board_may_enrol(struct ca *c, const struct judged *j, int64_t now_us, struct err *e)
{
	const struct enrol_request *r = &j->request;
	struct board b;

	if (board_get(c, r->serial, &b, e))
		return -1;
	if (b.there && str_eq(b.state, board_states[CA_BOARD_SCRAPPED]))
		return err_set(e, ERR_REFUSED, 0, "board '%s' was scrapped", r->serial);
	if (b.there && str_eq(b.state, board_states[CA_BOARD_REPLACED]))
		return err_set(e, ERR_REFUSED, 0, "board '%s' was replaced by another; after its repair `psec provision ca "
						  "rework %s` lets it in again", r->serial, r->serial);
	if (b.there && b.ek[0] && !str_eq(b.ek, j->ek_hash))
		return err_set(e, ERR_REFUSED, 0, "board '%s' is known with another TPM; if its TPM was replaced, `psec "
						  "provision ca rework %s` first", r->serial, r->serial);
	if (other_serial(c, j, e) || other_name(c, r, e))
		return -1;
	return r->profile == ENROL_LDEVID ? other_board(c, r, now_us, e) : 0;
}

/* ---- serials ---- */

struct serial_taking { const struct now *now; const char *prefix; char *serial; };

static int take_serial(struct ca *c, void *arg, struct err *e)
{
	const struct serial_taking *t = arg;
	struct board b = { .there = true };
	int64_t n = 0;

	{
		auto_row sqlite3_stmt *st = NULL;
		int rc = registry_row(c, &st, e, "SELECT last FROM prefix WHERE prefix = ?", "t", t->prefix);

		if (rc < 0)
			return -1;
		n = rc ? sqlite3_column_int64(st, 0) : 0;
	}
	/* a board may have had such a serial by hand */
	while (b.there) {
		if (snprintf(t->serial, ENROL_NAME, "%s-%06" PRId64, t->prefix, ++n) >= ENROL_NAME)
			return err_set(e, ERR_USAGE, 0, "the serial '%s-%06" PRId64 "' is longer than %d", t->prefix, n,
				       ENROL_NAME - 1);
		if (board_get(c, t->serial, &b, e))
			return -1;
	}
	if (registry_run(c, e, "INSERT OR REPLACE INTO prefix (prefix, last) VALUES (?, ?)", "ti", t->prefix, n))
		return -1;
	return registry_run(c, e, "INSERT INTO board (serial, state, changed_us) VALUES (?, ?, ?)", "tti", t->serial,
			    board_states[CA_BOARD_NEW], t->now->utc_us);
}

int ca_serial_take(struct ca *c, const struct now *now, const char *prefix, char serial[ENROL_NAME], struct err *e)
{
	struct serial_taking t = { now, prefix, serial };

	if (!enrol_serial_ok(prefix))
		return err_set(e, ERR_USAGE, 0, "a serial's prefix is made of A-Z, a-z, 0-9, '.', '_' and '-'");
	return registry_change(c, take_serial, &t, e);
}

/* ---- scrap, rework ---- */

struct board_change {
	const struct now *now;
	const char *serial, *reason, *who, *kind;
	int revocation;
};

static int change_board(struct ca *c, void *arg, struct err *e)
{
	const struct board_change *b = arg;
	bool scrap = str_eq(b->kind, "scrap");
	const struct which its = { "serial = ?", b->serial };
	struct board was;

	if (board_get(c, b->serial, &was, e))
		return -1;
	if (!was.there)
		return err_set(e, ERR_INPUT, 0, "the registry has no board '%s'; `psec provision ca list --boards` shows them",
			       b->serial);
	if (!scrap && str_eq(was.state, board_states[CA_BOARD_SCRAPPED]))
		return err_set(e, ERR_REFUSED, 0, "board '%s' was scrapped", b->serial);
	if (revoke_which(c, b->now->utc_us, &its, b->revocation, b->who, e))
		return -1;
	/* a scrapped board keeps its TPM: it is not to come back under another serial */
	if (registry_run(c, e, scrap ? "UPDATE board SET state = ?, changed_us = ?, reason = ?, who = ? WHERE serial = ?"
				     : "UPDATE board SET state = ?, changed_us = ?, reason = ?, who = ?, ek = NULL, iak = NULL,"
				       " ek_checked = 0 WHERE serial = ?", "tittt",
			 board_states[scrap ? CA_BOARD_SCRAPPED : CA_BOARD_NEW], b->now->utc_us, b->reason, b->who, b->serial))
		return -1;
	return registry_act(c, b->now->utc_us, b->kind, b->serial, b->reason, b->who, e);
}

int ca_board_scrap(struct ca *c, const struct now *now, const char *serial, const char *reason, const char *who,
		   struct err *e)
{
	struct board_change b = { now, serial, reason, who, "scrap", ca_reason("cessation") };

	return ca_clock(now, e) ? -1 : registry_change(c, change_board, &b, e);
}

int ca_board_rework(struct ca *c, const struct now *now, const char *serial, const char *reason, const char *who,
		    struct err *e)
{
	struct board_change b = { now, serial, reason, who, "rework", ca_reason("superseded") };

	return ca_clock(now, e) ? -1 : registry_change(c, change_board, &b, e);
}

/* ---- a site's board is replaced ---- */

struct handing { const struct now *now; const char *site, *old, *fresh; struct buf *out; };

static int statement(struct ca *c, const struct handing *h, const char *certificate, struct err *e)
{
	struct enrol_handover o = { .at_us = h->now->utc_us };
	auto_crypto_key struct crypto_key *key = NULL;
	auto_buf struct buf words = BUF_INIT, der = BUF_INIT;

	str_copy(o.site, sizeof o.site, h->site);
	str_copy(o.from, sizeof o.from, h->old);
	str_copy(o.to, sizeof o.to, h->fresh);
	str_copy(o.certificate, sizeof o.certificate, certificate);
	enrol_handover_words(&o, &words);
	if (ca_key(c, "policy", &key, e) || crypto_sign(key, words.data, words.len, &der, e))
		return -1;
	if (der.len > sizeof o.signature)
		return err_set(e, ERR_BUG, 0, "a signature has %zu bytes, must have at most %zu", der.len, sizeof o.signature);
	memcpy(o.signature, der.data, der.len);
	o.signature_len = der.len;
	return enrol_handover_write(&o, h->out, e);
}

/* 1: the statement that was made before. */
static int made_before(struct ca *c, const struct handing *h, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT document FROM handover WHERE site = ? AND old = ? AND new = ?", "ttt",
			      h->site, h->old, h->fresh);

	if (rc > 0) {
		buf_clear(h->out);
		buf_adds(h->out, row_text(st, 0));
	}
	return rc;
}

static int newest_of(struct ca *c, const struct handing *h, char number[ENROL_NUMBER], struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e, "SELECT number FROM certificate WHERE site = ? AND serial = ?"
					 " AND profile = 'ldevid' ORDER BY id DESC LIMIT 1", "tt", h->site, h->old);

	if (rc == 0)
		return err_set(e, ERR_INPUT, 0, "site '%s' never had board '%s'; `psec provision ca list %s` shows which "
						"it had", h->site, h->old, h->site);
	if (rc > 0)
		str_copy(number, ENROL_NUMBER, row_text(st, 0));
	return rc < 0 ? -1 : 0;
}

/* Who had it long ago cannot give it: the one that has it would keep its certificate. */
static int has_it_still(struct ca *c, const struct handing *h, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	int rc = registry_row(c, &st, e,
			      "SELECT serial FROM certificate WHERE site = ? AND serial NOT IN (?, ?) AND profile = 'ldevid'"
			      " AND revoked_us IS NULL AND not_after_us > ?", "ttti", h->site, h->old, h->fresh,
			      h->now->utc_us);

	if (rc <= 0)
		return rc;
	return err_set(e, ERR_REFUSED, 0, "site '%s' has board '%s' now, not '%s': hand it over from that one, --old %s",
		       h->site, row_text(st, 0), h->old, row_text(st, 0));
}

static int hand_over(struct ca *c, void *arg, struct err *e)
{
	const struct handing *h = arg;
	const struct which its = { "serial = ?", h->old };
	char number[ENROL_NUMBER];
	struct board fresh;
	int before = made_before(c, h, e);

	if (before)
		return before < 0 ? -1 : 0;
	if (newest_of(c, h, number, e) || has_it_still(c, h, e) || board_get(c, h->fresh, &fresh, e))
		return -1;
	if (fresh.there && (str_eq(fresh.state, board_states[CA_BOARD_SCRAPPED]) ||
			    str_eq(fresh.state, board_states[CA_BOARD_REPLACED])))
		return err_set(e, ERR_REFUSED, 0, "board '%s' was %s", h->fresh, fresh.state);
	/* its IDevID, too, which may open the broker as well: it comes back by rework alone, and then anew */
	if (statement(c, h, number, e) ||
	    revoke_which(c, h->now->utc_us, &its, ca_reason("superseded"), "", e))
		return -1;
	if (registry_run(c, e, "UPDATE board SET state = ?, changed_us = ?, reason = ? WHERE serial = ? AND state <> ?",
			 "tittt", board_states[CA_BOARD_REPLACED], h->now->utc_us, h->fresh, h->old,
			 board_states[CA_BOARD_SCRAPPED]) ||
	    registry_run(c, e, "INSERT INTO handover (site, old, new, utc_us, document) VALUES (?, ?, ?, ?, ?)", "tttit",
			 h->site, h->old, h->fresh, h->now->utc_us, h->out->data))
		return -1;
	return registry_act(c, h->now->utc_us, "replace", h->site, h->fresh, "", e);
}

int ca_replace(struct ca *c, const struct now *now, const char *site, const char *old_serial, const char *new_serial,
	       struct buf *handover, struct err *e)
{
	struct handing h = { now, site, old_serial, new_serial, handover };

	if (!enrol_site_ok(site) || !enrol_serial_ok(old_serial) || !enrol_serial_ok(new_serial))
		return err_set(e, ERR_USAGE, 0, "a site's id is made of a-z, 0-9 and '-', a serial of A-Z, a-z, 0-9, '.', '_' "
						"and '-'");
	if (str_eq(old_serial, new_serial))
		return err_set(e, ERR_USAGE, 0, "old and new board are the same, '%s'", old_serial);
	return ca_clock(now, e) ? -1 : registry_change(c, hand_over, &h, e);
}
