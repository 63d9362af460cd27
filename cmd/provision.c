/* psec provision: a board's identity in its TPM, and the CA that certifies it. */
#include "batch/batch.h"
#include "provision.h"
#include "table.h"

struct options { struct ca_where where; struct board_said board; bool yes; struct batch_options batch; };
enum { BATCH_DEADLINE_MS = 120000 };
static const struct options defaults = { .batch.deadline_ms = BATCH_DEADLINE_MS };
#define BATCH(field) offsetof(struct options, batch.field)
static const struct cmd_opt opts[] = {
	{ .name = "yes", .letter = 'y', .type = CMD_FLAG, .offset = offsetof(struct options, yes),
	  .summary = "ask nothing" },
	SERIAL_OPT(options), CA_OPT(options), CA_PASSPHRASE_OPT(options), EK_OPTS(options), TRUST_OPT(options),
	RECOVERY_OPT(options), AUTHS_OPT(options),
	{ .name = "batch", .letter = 'b', .type = CMD_TEXT, .offset = BATCH(batch), .value = "FILE", .complete = "file",
	  .summary = "many boards side by side: CSV, serial,tcti[,site][,out]" },
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = BATCH(out), .value = "DIR", .complete = "file",
	  .summary = "with --batch: where boards' folders and results go: FILE.d" },
	{ .name = "jobs", .letter = 'j', .type = CMD_INT, .offset = BATCH(jobs), .value = "N", .min = 1, .max = BATCH_JOBS,
	  .summary = "with --batch: boards at a time; else two a core" },
	{ .name = "deadline", .type = CMD_DURATION, .offset = BATCH(deadline_ms), .value = "TIME", .min = 1000,
	  .max = 3600000,
	  .summary = "with --batch: a board that is not done then is ended: 2min" },
	{ .name = "serial-prefix", .type = CMD_TEXT, .offset = BATCH(serial_prefix), .value = "PREFIX",
	  .summary = "with --batch: 'auto' becomes PREFIX-000001 …, given by the CA" },
	{ .name = "only-failed", .type = CMD_FLAG, .offset = BATCH(only_failed),
	  .summary = "with --batch: leave out what the results say is done" },
	{ .name = "rework", .type = CMD_TEXT, .offset = BATCH(rework), .value = "REASON",
	  .summary = "with --batch: these boards come again: revoked, reset, made anew" },
	{ .name = "station", .type = CMD_TEXT, .offset = BATCH(station), .value = "NAME",
	  .summary = "with --batch: stands in the results; else the host's name" },
	{ .name = "product", .type = CMD_TEXT, .offset = BATCH(product), .value = "TEXT",
	  .summary = "with --batch: make and model, on the labels" },
};

static bool is_batch_said(const struct batch_options *b)
{
	return b->out || b->jobs || b->serial_prefix || b->only_failed || b->rework || b->station || b->product ||
	       b->deadline_ms != BATCH_DEADLINE_MS;
}

static bool has_step(const struct board *b, const char *name)
{
	size_t i;
	json_t *s;

	json_array_foreach(b->steps, i, s)
		if (str_eq(json_string_value(json_object_get(s, "name")), name))
			return true;
	return false;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_free char *question = NULL;
	auto_board struct board b = { 0 };
	auto_ca struct ca *ca = NULL;

	(void)argc, (void)argv;
	if (o->batch.batch)
		return provision_batch(env, &o->where, &o->board, &o->batch, e);
	if (is_batch_said(&o->batch))
		return err_set(e, ERR_USAGE, 0, "what is for many boards goes with --batch FILE");
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e))
		return -1;
	question = xasprintf("board %s%s%s: make its identity in the TPM at %s?", b.serial, b.site ? " of site " : "",
			     b.site ? b.site->id : "", b.how.tcti);
	if (board_agreed(&b, o->yes, question, e) || board_ca(&b, &o->where, &ca, e))
		return -1;
	if (cmd_for_people(env)) {
		fprintf(env->out, "board %s%s%s\n", b.serial, b.site ? ", site " : "", b.site ? b.site->id : "");
		fflush(env->out); /* before a refusal, also where both go to one file */
	}
	if (provision_run(&b.how, ca, &b.now, e) || board_vouch(&b, e))
		return -1;
	if (cmd_for_people(env) && !b.how.ek_roots)
		fprintf(env->err, "psec: whether the TPM is a real one was not checked: there are no EK roots\n");
	if (cmd_for_people(env) && !has_step(&b, "authorisations"))
		fprintf(env->err, "psec: the TPM's authorisations are not set: there is no recovery certificate to "
				  "escrow them to (tpm.recovery)\n");
	board_say_roots(&b, &o->board);
	return board_print_steps(&b, e);
}

const struct cmd cmd_provision = {
	.name = "provision",
	.summary = "a board's identity in its TPM, and the CA that certifies it",
	.more = "Does all that can be done now, and may be repeated: what is there is found out and left. Without a "
		"site.yaml it is the factory moment: the board's own identity alone. Where no CA is at hand it ends "
		"with 75, and says how the request goes to one. A factory does many boards side by side (--batch).",
	.example = "psec provision\npsec provision --yes --json\npsec provision ca init --ca factory-ca --ek-roots "
		"tpm-makers.pem\n"
		"psec provision --batch boards.csv --ca factory-ca --recovery recovery.pem",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.flags = CMD_JSON,
	.run = run,
	.sub = (const struct cmd *const[]){ &cmd_provision_status, &cmd_provision_renew, &cmd_provision_replace,
					    &cmd_provision_reset, &cmd_provision_request, &cmd_provision_answer,
					    &cmd_provision_install, &cmd_provision_storage_key, &cmd_provision_policy,
					    &cmd_provision_label, &cmd_provision_ca, &cmd_provision_board, NULL },
};
