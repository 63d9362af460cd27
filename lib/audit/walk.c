/* walk: is the log whole? One pass, every record in turn; the first thing that is wrong is what is told. */
#include "inside.h"

#include <inttypes.h>
#include <string.h>

#include "crypto/crypto.h"
#include "enrol/enrol.h"

struct walk_signer {
	char *pem;               /* whose these are: most heads have the certificate of the one before */
	struct crypto_cert *cert;
	struct crypto_key *key;
	struct crypto_bag *between;
	char cn[65], serial[65]; /* of the site, and of the board */
};

struct audit_walk {
	const struct audit_judge *judge;
	struct audit_verdict v;
	int64_t seq;             /* of the last entry */
	uint8_t hash[SHA256_LEN];
	/* To another board since the last head, whose counter counts anew, and by which entry; "": no such thing */
	char handed_to[ENROL_NAME];
	int64_t handed_seq;
	char board[65];          /* that signed the last head */
	struct walk_signer signer;
};

static void bad(struct audit_walk *w, int64_t seq, const char *fmt, ...) printf_like(3, 4);
static void bad(struct audit_walk *w, int64_t seq, const char *fmt, ...)
{
	char text[2 * sizeof w->v.why];
	va_list ap;

	if (w->v.first_bad)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	w->v.first_bad = seq > 0 ? seq : 1;
	str_printable(w->v.why, sizeof w->v.why, text, strlen(text));
}

static void signer_release(struct walk_signer *s)
{
	free(s->pem);
	crypto_cert_free(s->cert);
	crypto_key_free(s->key);
	crypto_bag_free(s->between);
	*s = (struct walk_signer){ 0 };
}

struct audit_walk *audit_walk_new(const struct audit_judge *judge)
{
	struct audit_walk *w = xcalloc(1, sizeof *w);

	w->judge = judge;
	return w;
}

void audit_walk_free(struct audit_walk *w)
{
	if (!w)
		return;
	signer_release(&w->signer);
	free(w);
}

void audit_walk_broken(struct audit_walk *w, const char *why)
{
	bad(w, w->seq + 1, "entry %" PRId64 " cannot be read: %s", w->seq + 1, why);
}

/* ---- entries ---- */

static void judge_entry(struct audit_walk *w, const struct audit_entry *v)
{
	uint8_t hash[SHA256_LEN];

	if (v->seq > w->seq + 1) {
		bad(w, w->seq + 1, "entry %" PRId64 " is missing or stands elsewhere: after %" PRId64 " comes %" PRId64,
		    w->seq + 1, w->seq, v->seq);
		return;
	}
	if (v->seq < w->seq + 1) {
		bad(w, v->seq, "entry %" PRId64 " stands after entry %" PRId64, v->seq, w->seq);
		return;
	}
	audit_hash(v, hash);
	if (memcmp(hash, v->hash, sizeof hash))
		bad(w, v->seq, "entry %" PRId64 " was changed: its hash is that of other words", v->seq);
	/* Both agree with themselves: the earlier one was put there later. */
	else if (memcmp(v->before, w->hash, sizeof hash) && v->seq > 1)
		bad(w, w->seq, "entry %" PRId64 " was replaced: entry %" PRId64 " follows another one", w->seq, v->seq);
	else if (memcmp(v->before, w->hash, sizeof hash))
		bad(w, 1, "entry 1 follows another one: the beginning was cut off");
}

/* Whose log it is: as the judge says, else as the first head does; "" before it. */
static const char *site_of(const struct audit_walk *w)
{
	return w->judge->site && *w->judge->site ? w->judge->site : w->v.signer;
}

/* The CA's word, whole in the entry: for this site, and by a key that is believed where there is one. */
static void judge_hand_over(struct audit_walk *w, const struct audit_entry *v)
{
	const struct audit_judge *judge = w->judge;
	const char *site = site_of(w);
	struct enrol_handover h;
	struct err e;

	if (enrol_handover_read(v->detail, &h, &e) < 0)
		bad(w, v->seq, "entry %" PRId64 " is a hand-over without the CA's statement: %s", v->seq, e.text);
	else if (*site && !str_eq(h.site, site))
		bad(w, v->seq, "entry %" PRId64 " hands site '%s' over, and not '%s'", v->seq, h.site, site);
	else if (judge->authority && enrol_handover_check(&h, judge->authority, &e) < 0)
		bad(w, v->seq, "entry %" PRId64 " is not to be trusted: %s", v->seq, e.text);
	str_copy(w->handed_to, sizeof w->handed_to, h.to);
	w->handed_seq = v->seq;
	w->v.hand_overs++;
	w->v.authority_checked = judge->authority != NULL;
}

static void take_entry(struct audit_walk *w, const struct audit_entry *v)
{
	judge_entry(w, v);
	w->v.entries++;
	if (w->v.first_bad) /* nor is its number one to count on from */
		return;
	w->seq = v->seq;
	memcpy(w->hash, v->hash, sizeof w->hash);
	if (str_eq(v->kind, "hand-over"))
		judge_hand_over(w, v);
}

/* ---- heads ---- */

static int open_signer(struct walk_signer *s, const char *pem, struct err *e)
{
	struct crypto_cert_facts facts;

	if (s->pem && str_eq(s->pem, pem))
		return 0;
	signer_release(s);
	if (crypto_cert_from_pem(pem, &s->cert, e) < 0 || crypto_cert_key(s->cert, &s->key, e) < 0 ||
	    crypto_bag_new(&s->between, e) < 0 || crypto_bag_add_pem(s->between, "the head's certificate", pem, e) < 0)
		return -1;
	crypto_cert_facts(s->cert, &facts);
	str_copy(s->cn, sizeof s->cn, facts.cn);
	str_copy(s->serial, sizeof s->serial, facts.serial_number);
	s->pem = xstrdup(pem);
	return 0;
}

/* The certificate must have been good when the head was signed; that it has ended since is no fault. */
static int check_certificate(struct audit_walk *w, const struct audit_head *h, struct err *e)
{
	const struct now then = { .utc_us = h->utc_us, .utc_valid = h->utc_valid };
	const struct crypto_check how = { .roots = w->judge->trust, .between = w->signer.between,
					  .use = CRYPTO_USE_CLIENT, .now = &then };
	bool time_checked;

	if (!w->judge->trust)
		return 0;
	if (crypto_cert_check(w->signer.cert, &how, &time_checked, e) < 0)
		return -1;
	w->v.trust_checked = true;
	return 0;
}

static int check_signature(struct audit_walk *w, const struct audit_head *h, struct err *e)
{
	auto_buf struct buf fields = BUF_INIT;
	const char *site = site_of(w);

	if (open_signer(&w->signer, h->certificate, e) < 0)
		return -1;
	head_fields(h, &fields);
	if (crypto_verify(w->signer.key, fields.data, fields.len, h->signature, h->signature_len, e) < 0)
		return err_set(e, ERR_REFUSED, 0, "the signature is not of the key of '%s'", w->signer.cn);
	if (*site && !str_eq(w->signer.cn, site))
		return err_set(e, ERR_REFUSED, 0, "it is signed by '%s', and not by '%s'", w->signer.cn, site);
	return check_certificate(w, h, e);
}

static void judge_head(struct audit_walk *w, const struct audit_head *h)
{
	struct err e = { 0 };

	if (check_signature(w, h, &e) < 0)
		bad(w, h->seq, "the head of entry %" PRId64 " is forged or not to be trusted: %s", h->seq, e.text);
	else if (h->seq > w->seq)
		bad(w, w->seq + 1, "entry %" PRId64 " and all after it were cut off: there was an entry %" PRId64
		    ", its head (counter %" PRIu64 ") says so", w->seq + 1, h->seq, h->counter);
	else if (h->seq < w->seq)
		bad(w, h->seq, "the head of entry %" PRId64 " stands after entry %" PRId64, h->seq, w->seq);
	else if (memcmp(h->hash, w->hash, sizeof w->hash))
		bad(w, w->v.signed_to + 1, "of the entries %" PRId64 "…%" PRId64 " at least one was changed and the chain made "
		    "anew: the head (counter %" PRIu64 ") was signed for others", w->v.signed_to + 1, h->seq, h->counter);
	else if (w->handed_to[0] && !str_eq(w->signer.serial, w->handed_to))
		bad(w, w->handed_seq, "entry %" PRId64 " hands the site over to board '%s', and the head of entry %" PRId64
		    " is signed by board '%s'", w->handed_seq, w->handed_to, h->seq, w->signer.serial);
	else if (w->v.heads && h->counter < w->v.counter && !w->handed_to[0])
		bad(w, h->seq, "the head of entry %" PRId64 " has counter %" PRIu64 ", the one before it %" PRIu64
		    ", and there is no hand-over between them", h->seq, h->counter, w->v.counter);
	else if (w->v.heads && !w->handed_to[0] && !str_eq(w->signer.serial, w->board))
		bad(w, h->seq, "the head of entry %" PRId64 " is signed by board '%s', the one before it by board '%s', and "
		    "there is no hand-over between them", h->seq, w->signer.serial, w->board);
}

static void take_head(struct audit_walk *w, const struct audit_head *h)
{
	judge_head(w, h);
	w->v.heads++;
	w->v.counter = h->counter;
	w->handed_to[0] = '\0';
	str_copy(w->board, sizeof w->board, w->signer.serial);
	if (w->v.first_bad)
		return;
	w->v.signed_to = h->seq;
	if (!w->v.signer[0])
		str_copy(w->v.signer, sizeof w->v.signer, w->signer.cn);
}

int audit_walk_record(void *walk, const struct audit_record *record, struct err *e)
{
	struct audit_walk *w = walk;

	(void)e;
	if (record->entry)
		take_entry(w, record->entry);
	else
		take_head(w, record->head);
	return 0;
}

/* ---- the end ---- */

void audit_walk_end(struct audit_walk *w, struct audit_verdict *out)
{
	uint64_t now = w->judge->counter;

	if (now && !w->v.heads)
		bad(w, w->seq + 1, "the TPM counted %" PRIu64 ", and no head is here: heads were cut off, or the log was "
		    "begun anew", now);
	else if (now && w->v.counter < now)
		bad(w, w->seq + 1, "the TPM counted %" PRIu64 ", the last head has %" PRIu64
		    ": later heads, and entries with them, were cut off", now, w->v.counter);
	else if (now && w->v.counter > now + 1) /* one more: signed, and then killed before it was counted */
		bad(w, w->v.signed_to, "the last head has counter %" PRIu64 ", the TPM counted %" PRIu64
		    ": it is not this log's TPM", w->v.counter, now);
	w->v.counter_checked = now != 0;
	*out = w->v;
}
