/* psec audit verify: is the log whole, and who vouches for it? */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "auditing.h"
#include "crypto/crypto.h"
#include "enrol/enrol.h"
#include "table.h"

struct options { const char *file, *trust, *authority; int64_t counter; };
static const struct options defaults;
static const struct cmd_opt opts[] = {
	{ .name = "file", .type = CMD_TEXT, .offset = offsetof(struct options, file), .value = "FILE",
	  .summary = "what `psec audit export` wrote, - for standard input", .complete = "file" },
	{ .name = "trust", .type = CMD_TEXT, .offset = offsetof(struct options, trust), .value = "PEM",
	  .summary = "roots of the heads' certificates; at the site, state/tpm/trust.pem", .complete = "file" },
	{ .name = "authority", .type = CMD_TEXT, .offset = offsetof(struct options, authority), .value = "FILE",
	  .summary = "the CA's policy.pem: it signed each hand-over to another board", .complete = "file" },
	{ .name = "counter", .type = CMD_INT, .offset = offsetof(struct options, counter), .value = "N",
	  .summary = "what the TPM's counter says: finds heads that were cut off", .min = 1, .max = INT64_MAX },
};

/* ---- a file ---- */

struct file {
	FILE *f;
	const char *name;
	struct audit_walk *walk;
	struct audit_parsed parsed;
	int64_t line, entries, heads;
	char site[SITE_NAME_LEN];
	bool ended;
};

/* 1 a line, 0 the end. What is longer than any line of psec's is no JSON either way. */
static int next_line(struct file *x, char line[AUDIT_LINE_MAX + 2], struct err *e)
{
	if (!fgets(line, AUDIT_LINE_MAX + 2, x->f))
		return ferror(x->f) ? err_set(e, ERR_IO, errno, "cannot read '%s'", x->name) : 0;
	x->line++;
	return 1;
}

static void broken(struct file *x, const char *why)
{
	auto_free char *text = xasprintf("line %" PRId64 ": %s", x->line, why);

	audit_walk_broken(x->walk, text);
	x->ended = true;
}

static void take_end(struct file *x, const json_t *end)
{
	json_int_t entries, heads;

	x->ended = true;
	if (json_unpack((json_t *)end, "{s:I, s:I!}", "entries", &entries, "heads", &heads) ||
	    entries != x->entries || heads != x->heads)
		broken(x, "the file's end tells of another number of entries or heads");
}

static void take_line(struct file *x, const char *line)
{
	json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const json_t *end = json_object_get(o, "end");
	struct err e;

	if (end) {
		take_end(x, end);
	} else if (audit_record_parse(&x->parsed, o, &e) < 0) {
		broken(x, e.text);
	} else {
		x->entries += x->parsed.record.entry != NULL;
		x->heads += x->parsed.record.head != NULL;
		(void)!audit_walk_record(x->walk, &x->parsed.record, &e);
	}
	json_decref(o);
}

static int read_first(struct file *x, const char *line, struct err *e)
{
	json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *psec = NULL, *site = NULL;
	int version = 0;
	bool good = o && json_unpack(o, "{s:s, s:i, s:s}", "psec", &psec, "version", &version, "site", &site) == 0 &&
		    str_eq(psec, "audit") && version == 1 && str_copy(x->site, sizeof x->site, site);

	json_decref(o);
	return good ? 0 : err_set(e, ERR_INPUT, 0, "'%s' is not what `psec audit export` writes (version 1)", x->name);
}

static int read_file(struct file *x, struct audit_judge *judge, struct err *e)
{
	auto_free char *line = xcalloc(1, AUDIT_LINE_MAX + 2);
	int rc = next_line(x, line, e);

	if (rc < 0 || read_first(x, line, e) < 0)
		return -1;
	judge->site = x->site;
	x->walk = audit_walk_new(judge);
	while (!x->ended && (rc = next_line(x, line, e)) > 0)
		take_line(x, line);
	if (rc >= 0 && !x->ended)
		broken(x, "the file ends without its last line: it was cut");
	else if (rc >= 0 && next_line(x, line, e) > 0)
		broken(x, "something stands after the file's end");
	return rc < 0 ? -1 : 0;
}

static int verify_file(const struct options *o, struct audit_judge *judge, struct audit_verdict *v, struct err *e)
{
	auto_close int fd = -1;
	auto_fclose FILE *f = file_open(o->file, &fd, e) ? NULL : fdopen(fd, "r");
	struct file x = { .f = f, .name = o->file };
	int rc;

	if (fd < 0)
		return -1;
	if (!f)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", o->file);
	(void)take_fd(&fd);
	rc = read_file(&x, judge, e);
	if (rc == 0)
		audit_walk_end(x.walk, v);
	audit_walk_free(x.walk);
	audit_parsed_release(&x.parsed);
	return rc;
}

/* ---- the site's own ---- */

static int verify_site(const struct cmd_env *env, const struct audit_judge *judge, struct audit_verdict *v,
		       struct err *e)
{
	struct audit_walk *walk = audit_walk_new(judge);
	struct auditing a;
	int rc = auditing_open(env, false, &a, e);

	if (rc == 0) {
		rc = auditing_read(&a, audit_walk_record, walk, e);
		if (rc < 0 && e->kind == ERR_INPUT) {
			audit_walk_broken(walk, e->text);
			rc = 0;
		}
	}
	if (rc == 0)
		audit_walk_end(walk, v);
	auditing_close(&a);
	audit_walk_free(walk);
	return rc;
}

/* ---- words ---- */

static int print_json(const struct cmd_env *env, const struct audit_verdict *v, struct err *e)
{
	json_t *o = json_pack("{s:b, s:I, s:I, s:o, s:s, s:I, s:s, s:o, s:b, s:b, s:I, s:b}", "whole", !v->first_bad,
			      "entries", (json_int_t)v->entries, "heads", (json_int_t)v->heads, "first_bad",
			      v->first_bad ? json_integer(v->first_bad) : json_null(), "why", v->why, "signed_to",
			      (json_int_t)v->signed_to, "signer", v->signer, "counter",
			      v->heads ? json_integer((json_int_t)v->counter) : json_null(), "counter_checked",
			      v->counter_checked, "trust_checked", v->trust_checked, "hand_overs",
			      (json_int_t)v->hand_overs, "authority_checked", v->authority_checked);
	int rc = cmd_print_json(env, o, e);

	json_decref(o);
	return rc;
}

static void print_hand_overs(const struct cmd_env *env, const struct audit_verdict *v)
{
	const char *s = v->hand_overs == 1 ? "" : "s";

	if (v->hand_overs && v->authority_checked)
		fprintf(env->out, "%" PRId64 " hand-over%s to another board, signed by the CA\n", v->hand_overs, s);
	else if (v->hand_overs)
		fprintf(env->out, "whether the CA signed the %" PRId64 " hand-over%s to another board was not judged: "
			"--authority names its policy.pem\n", v->hand_overs, s);
}

static void print_words(const struct cmd_env *env, const struct audit_verdict *v)
{
	int64_t after = v->entries - v->signed_to;

	if (v->first_bad) {
		fprintf(env->out, "entry %" PRId64 ": %s\n", v->first_bad, v->why);
		return;
	}
	fprintf(env->out, "the log is whole: %" PRId64 " %s\n", v->entries, v->entries == 1 ? "entry" : "entries");
	print_hand_overs(env, v);
	if (!v->heads) {
		fprintf(env->out, "no head is signed yet: who can write the database can make another log that is whole\n");
		return;
	}
	fprintf(env->out, "signed by '%s' up to entry %" PRId64 ", counter %" PRIu64 "%s\n", v->signer, v->signed_to,
		v->counter, v->counter_checked ? ", as the TPM counts" : "");
	if (after)
		fprintf(env->out, "%" PRId64 " %s after it %s not signed yet\n", after, after == 1 ? "entry" : "entries",
			after == 1 ? "is" : "are");
	if (!v->trust_checked)
		fprintf(env->out, "whose key that is was not checked: --trust names the roots\n");
	if (!v->counter_checked)
		fprintf(env->out, "whether later heads were cut off was not checked: --counter tells what the TPM counts\n");
}

/* At the site: without other words the roots that its certificate came with. */
static int read_trust(const struct cmd_env *env, const struct options *o, struct crypto_bag **trust, struct err *e)
{
	auto_free char *own = xasprintf("%s/tpm/trust.pem", env->paths.state);
	const char *path = o->trust ? o->trust : o->file || access(own, F_OK) ? NULL : own;

	return path && (crypto_bag_new(trust, e) < 0 || crypto_bag_read(*trust, path, e) < 0) ? -1 : 0;
}

static int read_authority(const char *path, struct enrol_authority *out, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;

	if (file_read(path, ENROL_MAX, &text, e))
		return -1;
	return enrol_authority_read(text.data, out, e) ? err_ctx(e, "'%s'", path) : 0;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_free struct site *site = NULL;
	auto_crypto_bag struct crypto_bag *trust = NULL;
	auto_enrol_authority struct enrol_authority authority = { 0 };
	struct audit_judge judge = { .counter = (uint64_t)o->counter };
	struct audit_verdict v = { 0 };
	int rc = 0;

	(void)argc, (void)argv;
	if (read_trust(env, o, &trust, e) < 0 || (o->authority && read_authority(o->authority, &authority, e)))
		return -1;
	judge.authority = o->authority ? &authority : NULL;
	judge.trust = trust;
	if (!o->file) {
		site = xcalloc(1, sizeof *site);
		rc = cmd_read_site(env, site, e);
		judge.site = site->id;
	}
	if (rc == 0)
		rc = o->file ? verify_file(o, &judge, &v, e) : verify_site(env, &judge, &v, e);
	if (rc < 0 || (env->json && print_json(env, &v, e) < 0))
		return -1;
	if (!env->json)
		print_words(env, &v);
	return v.first_bad ? 1 : 0;
}

const struct cmd cmd_audit_verify = {
	.name = "verify",
	.summary = "is every entry there, unchanged and in order? The first that is not",
	.more = "Ends with 1 and the number of the first entry that cannot be believed, and why. Without --file it is the "
		"log of the site, asked from psecd where that runs.",
	.example = "psec audit verify\npsec audit verify --file house.audit --trust roots.pem --counter 41",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.flags = CMD_JSON,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
