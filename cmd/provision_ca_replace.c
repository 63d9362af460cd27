/* psec provision ca replace: a site goes from one board to another, where the CA and the site are apart. */
#include "provision.h"

struct options { struct ca_where where; const char *old, *fresh, *out; };
static const struct options defaults;
static const struct cmd_opt opts[] = {
	CA_OPT(options), CA_PASSPHRASE_OPT(options),
	{ .name = "old", .type = CMD_TEXT, .offset = offsetof(struct options, old), .value = "SERIAL", .required = true,
	  .summary = "the board that has the site: its LDevID is revoked" },
	{ .name = "new", .type = CMD_TEXT, .offset = offsetof(struct options, fresh), .value = "SERIAL", .required = true,
	  .summary = "the board that gets it" },
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = offsetof(struct options, out), .value = "FILE",
	  .complete = "file", .summary = "write the statement there, else to standard output" },
};

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_ca struct ca *c = NULL;
	auto_buf struct buf statement = BUF_INIT;
	struct now now = now_read();

	(void)argc;
	if (ca_open_with_keys(env, &o->where, &c, e) || ca_replace(c, &now, argv[0], o->old, o->fresh, &statement, e))
		return -1;
	return ca_put(env, o->out, &statement, e);
}

const struct cmd cmd_ca_replace = {
	.name = "replace",
	.summary = "hand a site over from one board to another: the statement",
	.more = "The old board's certificate for the site is revoked. The statement goes to the new board, by `psec "
		"provision replace --hand-over`, and into the audit log of the site. Again: the same statement.",
	.example = "psec provision ca replace --old EX2-000017 --new EX2-000042 --out handover.json hof-7",
	.args = (const struct cmd_arg[]){ { "SITE", true, false, NULL } },
	.arg_count = 1,
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
