/* chain: entries and their hashes. No cryptographic library is met here. */
#include "inside.h"

#include <endian.h>
#include <string.h>

/* ---- what is hashed ---- */

void field_add(struct buf *b, const void *data, size_t len)
{
	uint64_t n = htobe64((uint64_t)len);

	buf_add(b, &n, sizeof n);
	buf_add(b, data, len);
}

void field_number(struct buf *b, uint64_t n)
{
	n = htobe64(n);
	field_add(b, &n, sizeof n);
}

void field_text(struct buf *b, const char *text)
{
	field_add(b, text, strlen(text));
}

void audit_hash(const struct audit_entry *entry, uint8_t out[SHA256_LEN])
{
	auto_buf struct buf b = BUF_INIT;
	uint8_t valid = entry->utc_valid;

	field_text(&b, "psec-audit-1");
	field_number(&b, (uint64_t)entry->seq);
	field_number(&b, (uint64_t)entry->utc_us);
	field_add(&b, &valid, 1);
	field_text(&b, entry->who);
	field_text(&b, entry->kind);
	field_text(&b, entry->subject);
	field_text(&b, entry->detail);
	field_add(&b, entry->before, sizeof entry->before);
	sha256(b.data, b.len, out);
}

/* ---- what may be in an entry ---- */

/* A real number has many spellings, and each program writes its own. */
static bool has_real(const json_t *v)
{
	const char *key;
	const json_t *one;
	size_t i;

	if (json_is_object(v))
		json_object_foreach((json_t *)v, key, one)
			if (has_real(one))
				return true;
	if (json_is_array(v))
		json_array_foreach((json_t *)v, i, one)
			if (has_real(one))
				return true;
	return json_is_real(v);
}

char *detail_canonical(const json_t *o, struct err *e)
{
	char *text;

	if (has_real(o)) {
		err_set(e, ERR_INPUT, 0, "the detail has a number that is not whole; give it as a text");
		return NULL;
	}
	text = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);
	if (text && strlen(text) <= AUDIT_DETAIL_MAX)
		return text;
	err_set(e, ERR_INPUT, 0, "the detail has %zu bytes, must have at most %d", text ? strlen(text) : 0,
		AUDIT_DETAIL_MAX);
	free(text);
	return NULL;
}

static int make_canonical(const char *detail, char **out, struct err *e)
{
	json_error_t why;
	json_t *o = json_loads(detail, JSON_REJECT_DUPLICATES, &why);

	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(e, ERR_INPUT, 0, "the detail is no JSON object%s%s", o ? "" : ": ", o ? "" : why.text);
	}
	*out = detail_canonical(o, e);
	json_decref(o);
	return *out ? 0 : -1;
}

static int make_printable(const char *what, const char *text, char *to, size_t max, struct err *e)
{
	auto_free char *whole = xcalloc(1, 4 * strlen(text) + 1);

	str_printable(whole, 4 * strlen(text) + 1, text, strlen(text));
	return str_copy(to, max + 1, whole) ? 0 : err_set(e, ERR_INPUT, 0, "the %s of an audit entry is '%.60s…': %zu "
							  "bytes, must be at most %zu", what, whole, strlen(whole), max);
}

static int check_kind(const char *kind, struct err *e)
{
	size_t len = strlen(kind);
	char shown[64];

	if (len >= 1 && len <= AUDIT_KIND_MAX && strspn(kind, "abcdefghijklmnopqrstuvwxyz-") == len)
		return 0;
	str_printable(shown, sizeof shown, kind, len);
	return err_set(e, ERR_INPUT, 0, "the kind of an audit entry is '%s', must be 1…%d of a…z and -", shown,
		       AUDIT_KIND_MAX);
}

/* ---- appending ---- */

struct last { int64_t seq; uint8_t hash[SHA256_LEN]; };

static int take_last(void *arg, const struct store_audit *entry, struct err *e)
{
	struct last *last = arg;

	(void)e;
	last->seq = entry->seq;
	memcpy(last->hash, entry->hash, sizeof last->hash);
	return 0;
}

int audit_last(struct store *s, int64_t *seq, uint8_t hash[SHA256_LEN], struct err *e)
{
	struct last last = { 0 };

	if (store_last_audit(s, 1, take_last, &last, e) < 0)
		return -1;
	if (last.seq < 1)
		return err_set(e, ERR_INPUT, 0, "the audit log has no entry yet");
	*seq = last.seq;
	memcpy(hash, last.hash, sizeof last.hash);
	return 0;
}

static int put(struct store *s, struct audit_entry *entry, const struct audit_entry *kept, struct err *e)
{
	const struct store_audit row = {
		.seq = kept->seq, .utc_us = kept->utc_us, .utc_valid = kept->utc_valid, .who = kept->who,
		.kind = kept->kind, .subject = kept->subject, .detail = kept->detail, .before = kept->before,
		.hash = kept->hash,
	};

	if (store_put_audit(s, &row, e) < 0)
		return -1;
	entry->seq = kept->seq;
	entry->utc_us = kept->utc_us;
	memcpy(entry->before, kept->before, sizeof entry->before);
	memcpy(entry->hash, kept->hash, sizeof entry->hash);
	return 0;
}

int audit_append(struct store *s, struct audit_entry *entry, struct err *e)
{
	char who[AUDIT_WHO_MAX + 1], subject[AUDIT_SUBJECT_MAX + 1];
	auto_free char *detail = NULL;
	struct audit_entry kept = *entry;
	struct last last = { 0 };

	if (check_kind(entry->kind, e) < 0 || make_printable("who", entry->who, who, AUDIT_WHO_MAX, e) < 0 ||
	    make_printable("subject", entry->subject, subject, AUDIT_SUBJECT_MAX, e) < 0 ||
	    make_canonical(entry->detail ? entry->detail : "{}", &detail, e) < 0 ||
	    store_last_audit(s, 1, take_last, &last, e) < 0)
		return -1;
	kept.who = who;
	kept.subject = subject;
	kept.detail = detail;
	kept.seq = last.seq + 1;
	kept.utc_us = whole_ms(entry->utc_us);
	memcpy(kept.before, last.hash, sizeof kept.before);
	audit_hash(&kept, kept.hash);
	return put(s, entry, &kept, e);
}

/* ---- a head among the rows: kept here, since psecd-core keeps what others have signed ---- */

struct wanted { const struct audit_head *head; bool there; int heads; };

static int compare(void *arg, const struct store_audit *entry, struct err *e)
{
	struct wanted *w = arg;

	(void)e;
	w->there = entry->seq == w->head->seq && memcmp(entry->hash, w->head->hash, SHA256_LEN) == 0;
	return 0;
}

static int count_head(void *arg, const struct store_audit_head *head, struct err *e)
{
	struct wanted *w = arg;

	(void)head, (void)e;
	w->heads++;
	return 0;
}

int audit_head_put(struct store *s, const struct audit_head *head, struct err *e)
{
	const struct store_audit_head row = {
		.seq = head->seq, .counter = (int64_t)head->counter, .utc_us = head->utc_us,
		.utc_valid = head->utc_valid, .hash = head->hash, .signature = head->signature,
		.signature_len = head->signature_len, .certificate = head->certificate,
	};
	struct wanted wanted = { .head = head };

	if (strlen(head->certificate) > AUDIT_CERTIFICATE_MAX || head->signature_len > AUDIT_SIGNATURE_MAX ||
	    head->counter > INT64_MAX)
		return err_set(e, ERR_INPUT, 0, "a head of the audit log has a field that is too long");
	if (head->seq < 1)
		return err_set(e, ERR_INPUT, 0, "the head is of entry %lld, must be of 1 or a later one",
			       (long long)head->seq);
	if (store_read_audit(s, head->seq - 1, 1, compare, &wanted, e) < 0)
		return -1;
	if (store_read_audit_heads(s, head->seq - 1, head->seq, count_head, &wanted, e) < 0)
		return -1;
	if (wanted.heads >= AUDIT_HEADS_MAX)
		return err_set(e, ERR_AGAIN, 0, "entry %lld of the audit log has %d heads already; sign after the next entry",
			       (long long)head->seq, wanted.heads);
	if (!wanted.there)
		return err_set(e, ERR_INPUT, 0, "the head is not of entry %lld as the audit log has it",
			       (long long)head->seq);
	return store_put_audit_head(s, &row, e);
}
