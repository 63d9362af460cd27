#include "auditing.h"

#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "right/right.h"

enum { ANSWER_MS = 10000 };

int auditing_open(const struct cmd_env *env, bool begin, struct auditing *a, struct err *e)
{
	*a = (struct auditing){ .env = env, .database = DATABASE_NONE };
	if (cmd_daemon_runs(env))
		return cmd_connect_daemon(env, &a->client, e);
	return begin ? database_begin(env, &a->database, e) : database_open(env, &a->database, e);
}

void auditing_close(struct auditing *a)
{
	ctl_client_free(a->client);
	a->client = NULL;
	database_close(&a->database);
}

static int interrupted(const struct auditing *a, struct err *e)
{
	return *a->env->interrupted ? err_set(e, ERR_INTERRUPTED, 0, "interrupted") : 0;
}

/* ---- reading ---- */

static int take_records(const json_t *records, struct audit_parsed *parsed, audit_record_fn *fn, void *arg,
			struct err *e)
{
	const json_t *one;
	size_t i;

	json_array_foreach(records, i, one)
		if (audit_record_parse(parsed, one, e) < 0 || fn(arg, &parsed->record, e) < 0)
			return -1;
	return 0;
}

/* *params is stolen, and those of the next page come, or NULL. */
static int read_page(struct auditing *a, json_t **params, audit_record_fn *fn, void *arg, struct err *e)
{
	struct audit_parsed parsed = { 0 };
	json_t *page = NULL, *next;
	int rc = ctl_call(a->client, "audit.page", take(*params), ANSWER_MS, &page, e);

	if (rc < 0)
		return -1;
	rc = take_records(json_object_get(page, "records"), &parsed, fn, arg, e);
	audit_parsed_release(&parsed);
	next = json_object_get(page, "after");
	if (rc == 0 && json_is_integer(next))
		*params = json_pack("{s:O}", "after", next);
	if (rc == 0 && *params && !json_array_size(json_object_get(page, "records")))
		rc = err_set(e, ERR_INPUT, 0, "psecd answers with an empty page of the audit log");
	json_decref(page);
	return rc;
}

static int read_pages(struct auditing *a, json_t *params, audit_record_fn *fn, void *arg, struct err *e)
{
	int rc = 0;

	while (rc == 0 && params)
		rc = interrupted(a, e) < 0 ? -1 : read_page(a, &params, fn, arg, e);
	json_decref(params);
	return rc;
}

int auditing_read(struct auditing *a, audit_record_fn *fn, void *arg, struct err *e)
{
	bool more;

	return a->client ? read_pages(a, json_object(), fn, arg, e)
			 : audit_read(a->database.store, INT64_MIN, SIZE_MAX, fn, arg, &more, e);
}

int auditing_last(struct auditing *a, size_t max, audit_record_fn *fn, void *arg, struct err *e)
{
	return a->client ? read_pages(a, json_pack("{s:I}", "last", (json_int_t)max), fn, arg, e)
			 : audit_read_last(a->database.store, max, fn, arg, e);
}

/* ---- writing ---- */

int auditing_append(struct auditing *a, const char *kind, const char *subject, const char *detail, struct err *e)
{
	struct now now = now_read();
	char who[RIGHT_USER];
	struct audit_entry entry = { .utc_us = now.utc_us, .utc_valid = now.utc_valid, .who = right_user(getuid(), who),
				     .kind = kind, .subject = subject, .detail = detail };
	json_t *o;

	if (!a->client)
		return audit_append(a->database.store, &entry, e);
	o = json_loads(detail, JSON_REJECT_DUPLICATES, NULL);
	if (!o)
		return err_set(e, ERR_BUG, 0, "the detail of an audit entry is no JSON");
	return ctl_call(a->client, "audit.append", json_pack("{s:s, s:s, s:o}", "kind", kind, "subject", subject,
							      "detail", o), ANSWER_MS, NULL, e);
}

int auditing_next_head(struct auditing *a, struct audit_head *head, struct err *e)
{
	json_t *last = NULL;
	const char *hash;
	json_int_t seq;
	int rc = 0;

	if (!a->client)
		return audit_last(a->database.store, &head->seq, head->hash, e);
	if (ctl_call(a->client, "audit.last", NULL, ANSWER_MS, &last, e) < 0)
		return -1;
	if (json_unpack(last, "{s:I, s:s}", "seq", &seq, "hash", &hash) ||
	    !hex_parse(hash, head->hash, sizeof head->hash))
		rc = err_set(e, ERR_INPUT, 0, "psecd answers with an audit entry that is none");
	else
		head->seq = seq;
	json_decref(last);
	return rc;
}

/* The last entry's record, then its heads. */
static int find_head(void *arg, const struct audit_record *record, struct err *e)
{
	bool *vouched = arg;

	(void)e;
	*vouched = record->head != NULL;
	return 0;
}

int auditing_is_vouched(struct auditing *a, bool *vouched, struct err *e)
{
	struct audit_head last = { 0 };
	bool more;

	*vouched = false;
	if (auditing_next_head(a, &last, e))
		return -1;
	return a->client ? read_pages(a, json_pack("{s:I}", "after", (json_int_t)(last.seq - 1)), find_head, vouched, e)
			 : audit_read(a->database.store, last.seq - 1, SIZE_MAX, find_head, vouched, &more, e);
}

int auditing_put_head(struct auditing *a, const struct audit_head *head, struct err *e)
{
	if (!a->client)
		return audit_head_put(a->database.store, head, e);
	return ctl_call(a->client, "audit.head", audit_record_json(&(struct audit_record){ .head = head }, NULL),
			ANSWER_MS, NULL, e);
}
