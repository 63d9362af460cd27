/* read: entries out of the database, each followed by its heads. */
#include "inside.h"

#include <string.h>

struct reading {
	struct store *store;
	audit_record_fn *fn;
	void *arg;
	int64_t heads_to;        /* heads of entries up to this one were told */
	size_t count;
	bool heads;
};

static int tell_head(void *arg, const struct store_audit_head *row, struct err *e)
{
	struct reading *r = arg;
	struct audit_head head = {
		.seq = row->seq, .counter = (uint64_t)row->counter, .utc_us = row->utc_us, .utc_valid = row->utc_valid,
		.signature = row->signature, .signature_len = row->signature_len, .certificate = row->certificate,
	};

	memcpy(head.hash, row->hash, sizeof head.hash);
	return r->fn(r->arg, &(struct audit_record){ .head = &head }, e);
}

static int tell_heads(struct reading *r, int64_t to_seq, struct err *e)
{
	int64_t after = r->heads_to;

	r->heads_to = to_seq;
	return r->heads ? store_read_audit_heads(r->store, after, to_seq, tell_head, r, e) : 0;
}

static int tell_entry(void *arg, const struct store_audit *row, struct err *e)
{
	struct reading *r = arg;
	struct audit_entry entry = {
		.seq = row->seq, .utc_us = row->utc_us, .utc_valid = row->utc_valid, .who = row->who,
		.kind = row->kind, .subject = row->subject, .detail = row->detail,
	};

	memcpy(entry.before, row->before, sizeof entry.before);
	memcpy(entry.hash, row->hash, sizeof entry.hash);
	r->count++;
	return r->fn(r->arg, &(struct audit_record){ .entry = &entry }, e) < 0 ? -1 : tell_heads(r, entry.seq, e);
}

int audit_read(struct store *s, int64_t after, size_t max, audit_record_fn *fn, void *arg, bool *more, struct err *e)
{
	struct reading r = { .store = s, .fn = fn, .arg = arg, .heads_to = after, .heads = true };

	*more = false;
	if (store_read_audit(s, after, max, tell_entry, &r, e) < 0)
		return -1;
	*more = r.count == max;
	/* A head whose entry was taken away is told, too. */
	return *more ? 0 : tell_heads(&r, INT64_MAX, e);
}

int audit_read_last(struct store *s, size_t max, audit_record_fn *fn, void *arg, struct err *e)
{
	struct reading r = { .store = s, .fn = fn, .arg = arg };

	return store_last_audit(s, max, tell_entry, &r, e);
}

/* ---- as JSON ---- */

static json_t *text(const char *s)
{
	json_t *v = json_string(s);

	return v ? v : json_string("(not UTF-8)"); /* what was changed by force may be anything, and is found so */
}

static json_t *hex(const void *data, size_t len)
{
	auto_free char *to = xcalloc(2, len + 1);

	return json_string(hex_format(data, len, to));
}

static json_t *entry_json(const struct audit_entry *v)
{
	char utc[BASE_TIME_LEN];
	json_t *detail = json_loads(v->detail, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(detail)) {
		json_decref(detail);
		detail = text(v->detail);
	}
	return json_pack("{s:I, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "seq", (json_int_t)v->seq, "utc",
			 time_format(v->utc_us, utc), "utc_valid", v->utc_valid, "who", text(v->who), "kind",
			 text(v->kind), "subject", text(v->subject), "detail", detail, "before",
			 hex(v->before, sizeof v->before), "hash", hex(v->hash, sizeof v->hash));
}

json_t *audit_record_json(const struct audit_record *record, char **last)
{
	const struct audit_head *h = record->head;
	char utc[BASE_TIME_LEN];
	json_t *o;

	if (record->entry)
		return entry_json(record->entry);
	o = json_pack("{s:I, s:o, s:I, s:s, s:b, s:o}", "head", (json_int_t)h->seq, "hash", hex(h->hash, sizeof h->hash),
		      "counter", (json_int_t)h->counter, "utc", time_format(h->utc_us, utc), "utc_valid", h->utc_valid,
		      "signature", hex(h->signature, h->signature_len));
	if (last && *last && str_eq(*last, h->certificate))
		return o;
	json_object_set_new(o, "certificate", text(h->certificate));
	if (last) {
		free(*last);
		*last = xstrdup(h->certificate);
	}
	return o;
}

/* ---- and back ---- */

static int no_record(const char *what, struct err *e)
{
	return err_set(e, ERR_INPUT, 0, "it is no record of an audit log: %s", what);
}

static int parse_time(const char *utc, int64_t *utc_us, struct err *e)
{
	char back[BASE_TIME_LEN];

	/* One spelling, so that what people read is what was hashed. */
	if (!time_parse(utc, utc_us) || !str_eq(time_format(*utc_us, back), utc))
		return no_record("'utc' is no time as 2026-10-01T12:00:00.000Z", e);
	return 0;
}

static int parse_entry(struct audit_parsed *p, const json_t *o, struct err *e)
{
	struct audit_entry *v = &p->entry;
	const char *utc, *before, *hash;
	json_t *detail;
	json_int_t seq;
	int valid;

	if (json_unpack((json_t *)o, "{s:I, s:s, s:b, s:s, s:s, s:s, s:o, s:s, s:s!}", "seq", &seq, "utc", &utc,
			"utc_valid", &valid, "who", &v->who, "kind", &v->kind, "subject", &v->subject, "detail",
			&detail, "before", &before, "hash", &hash))
		return no_record("a field of an entry is missing, odd, or one too many", e);
	if (!hex_parse(before, v->before, sizeof v->before) || !hex_parse(hash, v->hash, sizeof v->hash))
		return no_record("a hash is not 64 signs of 0…9 and a…f", e);
	if (parse_time(utc, &v->utc_us, e) < 0)
		return -1;
	free(p->detail);
	p->detail = json_is_object(detail) ? detail_canonical(detail, e) :
		    json_is_string(detail) ? xstrdup(json_string_value(detail)) : NULL;
	if (!p->detail)
		return no_record("'detail' is no object of texts and whole numbers", e);
	v->seq = seq;
	v->utc_valid = valid;
	v->detail = p->detail;
	p->record.entry = v;
	return 0;
}

static int parse_head(struct audit_parsed *p, const json_t *o, struct err *e)
{
	struct audit_head *h = &p->head;
	const char *utc, *hash, *signature, *certificate = NULL;
	json_int_t seq, counter;
	int valid;

	if (json_unpack((json_t *)o, "{s:I, s:s, s:I, s:s, s:b, s:s, s?s!}", "head", &seq, "hash", &hash, "counter",
			&counter, "utc", &utc, "utc_valid", &valid, "signature", &signature, "certificate",
			&certificate))
		return no_record("a field of a head is missing, odd, or one too many", e);
	h->signature_len = strlen(signature) / 2;
	if (!hex_parse(hash, h->hash, sizeof h->hash) || h->signature_len > sizeof p->signature ||
	    !hex_parse(signature, p->signature, h->signature_len))
		return no_record("hash or signature of a head are no hex of that length", e);
	if (parse_time(utc, &h->utc_us, e) < 0)
		return -1;
	if (certificate) {
		if (strlen(certificate) > AUDIT_CERTIFICATE_MAX)
			return no_record("the certificate is too long", e);
		free(p->certificate);
		p->certificate = xstrdup(certificate);
	}
	if (!p->certificate)
		return no_record("the first head has no certificate", e);
	h->seq = seq;
	h->counter = (uint64_t)counter;
	h->utc_valid = valid;
	h->signature = p->signature;
	h->certificate = p->certificate;
	p->record.head = h;
	return 0;
}

int audit_record_parse(struct audit_parsed *p, const json_t *o, struct err *e)
{
	p->record = (struct audit_record){ 0 };
	if (json_object_get(o, "head"))
		return parse_head(p, o, e);
	return parse_entry(p, o, e);
}

void audit_parsed_release(struct audit_parsed *p)
{
	free(p->detail);
	free(p->certificate);
	*p = (struct audit_parsed){ 0 };
}
