/* psec audit: the hash-chained log, for people, for auditors, and judged. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "auditing.h"
#include "table.h"

/* ---- tail ---- */

struct tail_options { int64_t count; };
static const struct tail_options tail_defaults = { .count = 20 };
static const struct cmd_opt tail_opts[] = {
	{ .name = "count", .letter = 'n', .type = CMD_INT, .offset = offsetof(struct tail_options, count),
	  .value = "N", .summary = "so many, the newest; 20", .min = 1, .max = 1000000 },
};

enum { SEQ, UTC, UTC_VALID, WHO, KIND, SUBJECT, DETAIL, HASH };
static const struct out_column columns[] = {
	[SEQ] = { .key = "seq", .heading = "ENTRY", .type = OUT_INT },
	[UTC] = { .key = "utc", .heading = "TIME", .type = OUT_TIME },
	[UTC_VALID] = { .key = "utc_valid", .type = OUT_BOOL, .flags = OUT_JSON_ONLY },
	[WHO] = { .key = "who", .heading = "WHO", .type = OUT_TEXT },
	[KIND] = { .key = "kind", .heading = "KIND", .type = OUT_TEXT },
	[SUBJECT] = { .key = "subject", .heading = "SUBJECT", .type = OUT_TEXT },
	[DETAIL] = { .key = "detail", .heading = "DETAIL", .type = OUT_JSON, .flags = OUT_WIDE },
	[HASH] = { .key = "hash", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
};

static int add_row(void *arg, const struct audit_record *record, struct err *e)
{
	const struct audit_entry *v = record->entry;
	struct out *o = arg;
	char hash[2 * SHA256_LEN + 1];
	json_t *detail;

	(void)e;
	if (!v)
		return 0;
	detail = json_loads(v->detail, 0, NULL);
	out_row(o);
	out_int(o, SEQ, v->seq);
	out_time(o, UTC, v->utc_us);
	out_bool(o, UTC_VALID, v->utc_valid);
	out_text(o, WHO, v->who);
	out_text(o, KIND, v->kind);
	out_text(o, SUBJECT, v->subject);
	out_json(o, DETAIL, detail ? detail : json_null(), v->detail);
	out_text(o, HASH, hex_format(v->hash, sizeof v->hash, hash));
	return 0;
}

static int tail(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct tail_options *t = options;
	auto_out struct out *o = out_new(columns, COUNT_OF(columns), cmd_form(env, false));
	struct auditing a;
	int rc = auditing_open(env, false, &a, e);

	(void)argc, (void)argv;
	if (rc == 0)
		rc = auditing_last(&a, (size_t)t->count, add_row, o, e);
	auditing_close(&a);
	return rc < 0 ? -1 : cmd_print(env, o, e);
}

static const struct cmd audit_tail = {
	.name = "tail",
	.summary = "the newest entries: who changed what, who was refused",
	.example = "psec audit tail\npsec audit tail -n 100 --csv",
	.opts = tail_opts,
	.opt_count = COUNT_OF(tail_opts),
	.flags = CMD_JSON | CMD_CSV,
	.defaults = &tail_defaults,
	.options_size = sizeof tail_defaults,
	.run = tail,
};

/* ---- export ---- */

struct export_options { const char *out; };
static const struct export_options export_defaults;
static const struct cmd_opt export_opts[] = {
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = offsetof(struct export_options, out),
	  .value = "FILE", .summary = "where it goes; standard output", .complete = "file" },
};

struct export { FILE *to; int64_t entries, heads; char *certificate; };

static int write_line(FILE *to, json_t *o, struct err *e)
{
	int rc = json_dumpf(o, to, JSON_COMPACT | JSON_PRESERVE_ORDER);

	json_decref(o);
	return rc == 0 && fputc('\n', to) != EOF ? 0 : err_set(e, ERR_IO, errno, "cannot write the audit log");
}

static int write_record(void *arg, const struct audit_record *record, struct err *e)
{
	struct export *x = arg;

	x->entries += record->entry != NULL;
	x->heads += record->head != NULL;
	return write_line(x->to, audit_record_json(record, &x->certificate), e);
}

static int write_all(const struct cmd_env *env, struct auditing *a, FILE *to, struct err *e)
{
	struct now now = now_read();
	struct export x = { .to = to };
	char utc[BASE_TIME_LEN];
	int rc = write_line(to, json_pack("{s:s, s:i, s:s, s:s}", "psec", "audit", "version", 1, "site",
					  env->site->id, "exported", time_format(now.utc_us, utc)), e);

	if (rc == 0)
		rc = auditing_read(a, write_record, &x, e);
	free(x.certificate);
	if (rc < 0)
		return -1;
	return write_line(to, json_pack("{s:{s:I, s:I}}", "end", "entries", (json_int_t)x.entries, "heads",
					(json_int_t)x.heads), e);
}

/* A file has all of it, or what it had before. */
static int write_file(const struct cmd_env *env, struct auditing *a, const char *path, struct err *e)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int rc;

	if (!f)
		return err_set(e, ERR_IO, errno, "cannot hold the audit log");
	rc = write_all(env, a, f, e);
	if (fclose(f) && rc == 0)
		rc = err_set(e, ERR_IO, errno, "cannot hold the audit log");
	auditing_close(a); /* the file is the caller's, and where he stands */
	return rc < 0 ? -1 : file_replace(path, text, len, 0640, e);
}

static int export(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct export_options *x = options;
	struct auditing a;
	int rc = auditing_open(env, false, &a, e);

	(void)argc, (void)argv;
	if (rc == 0)
		rc = x->out ? write_file(env, &a, x->out, e) : write_all(env, &a, env->out, e);
	auditing_close(&a);
	return rc;
}

static const struct cmd audit_export = {
	.name = "export",
	.summary = "the whole log as JSON lines, which `audit verify --file` judges anywhere",
	.example = "psec audit export --out house.audit",
	.opts = export_opts,
	.opt_count = COUNT_OF(export_opts),
	.flags = CMD_SITE,
	.defaults = &export_defaults,
	.options_size = sizeof export_defaults,
	.run = export,
};

/* ---- the group ---- */

const struct cmd cmd_audit = {
	.name = "audit",
	.summary = "the log of who did what, hash-chained: show, verify, export",
	.example = "psec audit tail\npsec audit verify\npsec audit export --out house.audit",
	.sub = (const struct cmd *const[]){ &audit_tail, &cmd_audit_verify, &audit_export, NULL },
};
