/* psec provision: a board's identity in its TPM, and the CA that certifies it. */
#include "provision.h"
#include "table.h"

struct options { struct ca_where where; struct board_said board; bool yes; };
static const struct options defaults;
static const struct cmd_opt opts[] = {
	{ .name = "yes", .letter = 'y', .type = CMD_FLAG, .offset = offsetof(struct options, yes),
	  .summary = "ask nothing" },
	SERIAL_OPT(options), CA_OPT(options), CA_PASSPHRASE_OPT(options), EK_OPTS(options), TRUST_OPT(options),
	RECOVERY_OPT(options), AUTHS_OPT(options),
};

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_free char *question = NULL;
	auto_board struct board b;
	auto_ca struct ca *ca = NULL;

	(void)argc, (void)argv;
	if (board_begin(env, &o->board, false, &b, e))
		return -1;
	question = xasprintf("board %s%s%s: make its identity in the TPM at %s?", b.serial, b.site ? " of site " : "",
			     b.site ? b.site->id : "", b.how.tcti);
	if (board_agreed(&b, o->yes, question, e) || board_ca(&b, &o->where, &ca, e))
		return -1;
	if (cmd_for_people(env))
		fprintf(env->out, "board %s%s%s\n", b.serial, b.site ? ", site " : "", b.site ? b.site->id : "");
	if (provision_run(&b.how, ca, &b.now, e))
		return -1;
	if (cmd_for_people(env) && !b.how.ek_roots)
		fprintf(env->err, "psec: whether the TPM is a real one was not checked: there are no EK roots\n");
	if (cmd_for_people(env) && !b.how.recovery)
		fprintf(env->err, "psec: the TPM's authorisations are not set: there is no recovery certificate to "
				  "escrow them to (tpm.recovery)\n");
	return board_print_steps(&b, e);
}

const struct cmd cmd_provision = {
	.name = "provision",
	.summary = "a board's identity in its TPM, and the CA that certifies it",
	.more = "Does all that can be done now, and may be repeated: what is there is found out and left. Without a "
		"site.yaml it is the factory moment: the board's own identity alone. Where no CA is at hand it ends "
		"with 75, and says how the request goes to one.",
	.example = "psec provision\npsec provision --yes --json\npsec provision ca init --ca factory-ca --ek-roots "
		"tpm-makers.pem",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.flags = CMD_JSON,
	.run = run,
	.sub = (const struct cmd *const[]){ &cmd_provision_status, &cmd_provision_renew, &cmd_provision_replace,
					    &cmd_provision_reset, &cmd_provision_request, &cmd_provision_answer,
					    &cmd_provision_install, &cmd_provision_storage_key, &cmd_provision_policy,
					    &cmd_provision_ca, NULL },
};
