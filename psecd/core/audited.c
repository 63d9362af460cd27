/* audited: what goes into the audit log: what core itself has to say there, and what root has others say. Each entry is
 * kept for good, so each caller has a bound for each kind; what is over it is counted, and the count is an entry. */
#include "core.h"

#include <string.h>

#include "audit/audit.h"

enum {
	KEYS = 48, BURST = 20, REFILL_MS = 60000,
	PAGE_BYTES = 20000, RECORD_BYTES = 10000, PAGE_ENTRIES = 64, /* a line on the socket has 64 KiB */
};

struct key {
	char who[64], kind[AUDIT_KIND_MAX + 1];
	struct bucket bucket;
	int64_t used_boot_us;
	uint64_t kept_back;              /* since it was last said */
	char subject[64];                /* of the last of them */
	json_t *detail;
};

struct audited {
	struct key keys[KEYS];
	struct saying say;
};

/* What only core says: nobody else writes these. */
static const char *const own_kinds[] = { "mode", "set", "check", "step", "refused", "configuration", "store",
					 "kept-back" };

static int append(struct core *c, const char *who, const char *kind, const char *subject, const json_t *detail,
		  int64_t *seq, struct err *e)
{
	const struct now *now = loop_now(c->loop);
	auto_free char *text = json_dumps(detail, JSON_SORT_KEYS | JSON_COMPACT);
	struct audit_entry v = { .utc_us = now->utc_us, .utc_valid = now->utc_valid, .who = who, .kind = kind,
				 .subject = subject, .detail = text };

	if (audit_append(c->store, &v, e) < 0)
		return -1;
	if (seq)
		*seq = v.seq;
	return 0;
}

/* ---- the bound ---- */

static void say_one(struct core *c, struct key *k)
{
	json_t *detail;
	struct err e;

	if (!k->kept_back)
		return;
	detail = json_pack("{s:s, s:I, s:s, s:O}", "kind", k->kind, "count", (json_int_t)k->kept_back, "last_subject",
			   k->subject, "last", k->detail);
	if (append(c, k->who, "kept-back", "", detail, NULL, &e) < 0)
		record_failed(c, &e); /* and it is said the next time */
	else
		k->kept_back = 0;
	json_decref(detail);
}

static void say_kept_back(void *arg)
{
	struct core *c = arg;
	struct audited *a = c->audited;
	bool any = false;

	for (struct key *k = a->keys; k < a->keys + KEYS; k++) {
		any |= k->kept_back > 0;
		say_one(c, k);
	}
	saying_again(c, &a->say, any);
}

static struct key *key_of(struct core *c, const char *who, const char *kind)
{
	int64_t now_us = loop_now(c->loop)->boot_us;
	struct key *oldest = &c->audited->keys[0];

	for (struct key *k = c->audited->keys; k < c->audited->keys + KEYS; k++) {
		if (k->used_boot_us && str_eq(k->who, who) && str_eq(k->kind, kind)) {
			k->used_boot_us = now_us;
			return k;
		}
		if (k->used_boot_us < oldest->used_boot_us)
			oldest = k;
	}
	say_one(c, oldest);
	json_decref(oldest->detail);
	*oldest = (struct key){ .used_boot_us = now_us, .bucket.since_boot_us = now_us };
	str_copy(oldest->who, sizeof(oldest->who), who);
	str_copy(oldest->kind, sizeof(oldest->kind), kind);
	return oldest;
}

static void count(struct core *c, struct key *k, const char *subject, json_t *detail)
{
	k->kept_back++;
	str_copy(k->subject, sizeof(k->subject), subject);
	json_decref(k->detail);
	k->detail = json_incref(detail);
	saying_soon(c, &c->audited->say);
}

int audited_put(struct core *c, const char *who, const char *kind, const char *subject, json_t *detail, struct err *e)
{
	struct key *k = key_of(c, who, kind);
	int rc = 0;

	if (bucket_take(&k->bucket, BURST, REFILL_MS, loop_now(c->loop)->boot_us))
		rc = append(c, who, kind, subject, detail, NULL, e);
	else
		count(c, k, subject, detail);
	json_decref(detail);
	return rc;
}

void audited(struct core *c, const char *who, const char *kind, const char *subject, json_t *detail)
{
	struct err e;

	if (audited_put(c, who, kind, subject, detail, &e) < 0)
		record_failed(c, &e);
}

/* ---- the configuration that runs ---- */

static int put_configuration(struct core *c, const struct store_setting *is, const char *was, struct err *e)
{
	json_t *detail = json_pack("{s:s, s:s, s:s*}", "sha256", is->value, "psecd", PSEC_VERSION, "sha256_was", was);
	int rc = store_begin(c->store, e);

	if (rc == 0) {
		rc = append(c, "psecd", "configuration", c->site->id, detail, NULL, e);
		if (rc == 0)
			rc = store_put_settings(c->store, is, 1, e);
		if (rc == 0)
			rc = store_commit(c->store, e);
		else
			store_rollback(c->store);
	}
	json_decref(detail);
	return rc;
}

static int note_configuration(struct core *c, struct err *e)
{
	auto_free char *was = NULL;
	char is[SITE_DIGEST_LEN];
	const struct store_setting setting = { "audit.configuration", site_digest(c->site, is) };

	if (store_get_setting(c->store, setting.key, &was, e) < 0)
		return -1;
	return was && str_eq(was, is) ? 0 : put_configuration(c, &setting, was, e);
}

void audited_init(struct core *c, bool recovered)
{
	struct err e;

	c->audited = xcalloc(1, sizeof(*c->audited));
	saying_init(c, &c->audited->say, say_kept_back);
	if (recovered)
		audited(c, "psecd", "store", "", json_pack("{s:s}", "why", "the database was broken and a new one is begun: "
							   "the log before it is in the one kept aside"));
	/* A full disk must not keep psecd from starting. */
	if (note_configuration(c, &e) < 0)
		record_failed(c, &e);
}

void audited_release(struct core *c)
{
	if (!c->audited)
		return;
	loop_timer_stop(c->loop, &c->audited->say.timer);
	for (struct key *k = c->audited->keys; k < c->audited->keys + KEYS; k++) {
		say_one(c, k);
		json_decref(k->detail);
	}
	free(c->audited);
}

/* ---- methods ---- */

struct page { json_t *records; size_t bytes; char *certificate; int64_t last_seq; bool full; };

/* Ends the reading where the page is full; an entry's heads are in its page. */
static int add_record(void *arg, const struct audit_record *record, struct err *e)
{
	struct page *p = arg;
	json_t *o;
	size_t bytes;

	if (record->entry && p->bytes >= PAGE_BYTES) {
		p->full = true;
		return err_set(e, ERR_AGAIN, 0, "the page is full");
	}
	o = audit_record_json(record, &p->certificate);
	bytes = json_dumpb(o, NULL, 0, 0);
	if (bytes > RECORD_BYTES) { /* which psec does not write: let verify say so */
		json_decref(o);
		o = json_pack("{s:s}", "broken", "it is longer than any that psec writes");
	}
	json_array_append_new(p->records, o);
	p->bytes += bytes;
	if (record->entry)
		p->last_seq = record->entry->seq;
	return 0;
}

/* From where the last so many entries begin. */
static int before_last(const struct call *k, int64_t *after, struct err *e)
{
	uint8_t hash[SHA256_LEN];
	int64_t max = 0, seq;

	if (param_int(k->params, "last", 1, INT64_MAX, &max, e) < 0)
		return -1;
	if (!max)
		return 0;
	if (audit_last(k->core->store, &seq, hash, e) == 0)
		*after = seq > max ? seq - max : 0;
	else if (e->kind != ERR_INPUT)
		return -1;
	return 0;
}

/* {after} or {last}: records, and from where to go on, or null. */
int audited_page(const struct call *k, json_t **result, struct err *e)
{
	struct page page = { 0 };
	int64_t after = INT64_MIN;
	bool more = false;
	int rc;

	if (before_last(k, &after, e) < 0 || param_int(k->params, "after", INT64_MIN, INT64_MAX, &after, e) < 0)
		return -1;
	page.records = json_array();
	page.last_seq = after;
	rc = audit_read(k->core->store, after, PAGE_ENTRIES, add_record, &page, &more, e);
	free(page.certificate);
	if (rc < 0 && !page.full) {
		json_decref(page.records);
		return -1;
	}
	*result = json_pack("{s:o, s:o}", "records", page.records, "after",
			    more || page.full ? json_integer(page.last_seq) : json_null());
	return 0;
}

/* What others have said here is bounded, too; who is over it is told, and nothing of his is lost in silence. */
static int take_turn(const struct call *k, const char *kind, const char *what, struct err *e)
{
	struct key *key = key_of(k->core, k->caller->name, kind);

	if (bucket_take(&key->bucket, BURST, REFILL_MS / 10, loop_now(k->core->loop)->boot_us))
		return 0;
	return err_set(e, ERR_AGAIN, 0, "too many %s at once; try again in some seconds", what);
}

/* {kind, subject, detail}: who says it is the caller. */
int audited_append(const struct call *k, json_t **result, struct err *e)
{
	const char *kind = NULL, *subject = "";
	const json_t *detail = json_object_get(k->params, "detail");
	int64_t seq;

	if (param_text(k->params, "kind", true, &kind, e) < 0 || param_text(k->params, "subject", false, &subject, e) < 0)
		return -1;
	if (!json_is_object(detail))
		return err_set(e, ERR_USAGE, 0, "parameter 'detail' must be an object");
	for (size_t i = 0; i < COUNT_OF(own_kinds); i++)
		if (str_eq(kind, own_kinds[i]))
			return err_set(e, ERR_USAGE, 0, "an entry of kind '%s' is psecd's own to write", kind);
	if (take_turn(k, "append", "audit entries", e) < 0 ||
	    append(k->core, k->caller->name, kind, subject, detail, &seq, e) < 0)
		return -1;
	*result = json_pack("{s:I}", "seq", (json_int_t)seq);
	return 0;
}

/* {}: what a head is to be signed for. */
int audited_last(const struct call *k, json_t **result, struct err *e)
{
	uint8_t hash[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	int64_t seq;

	if (audit_last(k->core->store, &seq, hash, e) < 0)
		return -1;
	*result = json_pack("{s:I, s:s}", "seq", (json_int_t)seq, "hash", hex_format(hash, sizeof(hash), hex));
	return 0;
}

/* A head as export writes it. Its signature is judged by who verifies, not here. */
int audited_head(const struct call *k, json_t **result, struct err *e)
{
	struct audit_parsed parsed = { 0 };
	int rc = audit_record_parse(&parsed, k->params, e);

	(void)result;
	if (rc == 0 && !parsed.record.head)
		rc = err_set(e, ERR_USAGE, 0, "it is no head of the audit log");
	if (rc == 0)
		rc = take_turn(k, "head", "heads of the audit log", e);
	if (rc == 0)
		rc = audit_head_put(k->core->store, &parsed.head, e);
	audit_parsed_release(&parsed);
	return rc;
}
