/* psec provision renew, replace, reset: an identity that is there is changed. */
#include "provision.h"

/* ---- renew ---- */

struct renew_options { struct ca_where where; struct board_said board; bool force; };
static const struct renew_options renew_defaults;
static const struct cmd_opt renew_opts[] = {
	{ .name = "force", .letter = 'f', .type = CMD_FLAG, .offset = offsetof(struct renew_options, force),
	  .summary = "also when it is not due" },
	SERIAL_OPT(renew_options), CA_OPT(renew_options), CA_PASSPHRASE_OPT(renew_options), TRUST_OPT(renew_options),
};

static int run_renew(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct renew_options *o = options;
	auto_board struct board b;
	auto_ca struct ca *ca = NULL;
	bool done;

	(void)argc, (void)argv;
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e) || board_ca(&b, &o->where, &ca, e) ||
	    provision_renew(&b.how, ca, &b.now, o->force, &done, e) || board_vouch(&b, e))
		return -1;
	if (env->json) {
		json_t *v = json_pack("{s:s, s:s, s:b}", "serial", b.serial, "site", b.how.site, "renewed", done);
		int rc = cmd_print_json(env, v, e);

		json_decref(v);
		return rc;
	}
	fprintf(env->out, done ? "the site has a new key and a new certificate for it\n"
			       : "the certificate is not due; --force renews it all the same\n");
	return 0;
}

const struct cmd cmd_provision_renew = {
	.name = "renew",
	.summary = "a new key and certificate for the site, when they are due",
	.more = "From two thirds of the certificate's life on. The old pair stays in force until the new one is "
		"whole; then programs that read state/tpm/ldevid.key and ldevid.pem find the new pair.",
	.example = "psec provision renew\npsec provision renew --force",
	.opts = renew_opts,
	.opt_count = COUNT_OF(renew_opts),
	.defaults = &renew_defaults,
	.options_size = sizeof renew_defaults,
	.flags = CMD_JSON,
	.run = run_renew,
};

/* ---- replace ---- */

struct replace_options {
	struct ca_where where;
	struct board_said board;
	const char *old, *hand_over, *authority;
	bool yes;
};
static const struct replace_options replace_defaults;
static const struct cmd_opt replace_opts[] = {
	{ .name = "old", .type = CMD_TEXT, .offset = offsetof(struct replace_options, old), .value = "SERIAL",
	  .summary = "the board that had this site until now", .required = true },
	{ .name = "yes", .letter = 'y', .type = CMD_FLAG, .offset = offsetof(struct replace_options, yes),
	  .summary = "ask nothing" },
	{ .name = "hand-over", .type = CMD_TEXT, .offset = offsetof(struct replace_options, hand_over), .value = "FILE",
	  .complete = "file", .summary = "the CA's statement, where it is elsewhere (psec provision ca replace)" },
	{ .name = "authority", .type = CMD_TEXT, .offset = offsetof(struct replace_options, authority), .value = "FILE",
	  .complete = "file", .summary = "its policy.pem; else the key that the old board, or this one, has pinned" },
	SERIAL_OPT(replace_options), CA_OPT(replace_options), CA_PASSPHRASE_OPT(replace_options),
	EK_OPTS(replace_options), TRUST_OPT(replace_options), RECOVERY_OPT(replace_options),
};

static int run_replace(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct replace_options *o = options;
	auto_free char *question = NULL;
	auto_buf struct buf statement = BUF_INIT, authority = BUF_INIT;
	auto_board struct board b;
	auto_ca struct ca *ca = NULL;

	(void)argc, (void)argv;
	if (board_begin(env, &o->board, BOARD_FRESH, &b, e))
		return -1;
	if (o->authority && !o->hand_over)
		return err_set(e, ERR_USAGE, 0, "--authority is for the statement of --hand-over, and there is none");
	if (!enrol_serial_ok(o->old))
		return err_set(e, ERR_USAGE, 0, "--old names a board by its serial, and this is none");
	if (!b.site)
		return cmd_no_site(env, ERR_INPUT, e);
	question = xasprintf("site %s goes from board %s to board %s; the old one's certificates are revoked. Go on?",
			     b.site->id, o->old, b.serial);
	if (board_agreed(&b, o->yes, question, e) || board_ca(&b, &o->where, &ca, e))
		return -1;
	if ((o->hand_over && board_read(o->hand_over, &statement, e)) ||
	    (o->authority && board_read(o->authority, &authority, e)))
		return -1;
	b.how.replaces = o->old;
	b.how.hand_over = o->hand_over ? statement.data : NULL;
	b.how.authority = o->authority ? authority.data : NULL;
	if (cmd_for_people(env)) {
		fprintf(env->out, "board %s in place of %s, site %s\n", b.serial, o->old, b.site->id);
		fflush(env->out);
	}
	if (provision_run(&b.how, ca, &b.now, e) || board_vouch(&b, e))
		return -1;
	board_say_roots(&b, &o->board);
	return board_print_steps(&b, e);
}

const struct cmd cmd_provision_replace = {
	.name = "replace",
	.summary = "a new board takes over this site from an old one",
	.more = "The old board's certificate for the site is revoked, the CA's signed statement of it goes into the "
		"audit log, which goes on, and the new board gets its own identity. What the old one left in "
		"state/tpm is set aside.",
	.example = "psec provision replace --old EX2-000017",
	.opts = replace_opts,
	.opt_count = COUNT_OF(replace_opts),
	.defaults = &replace_defaults,
	.options_size = sizeof replace_defaults,
	.flags = CMD_JSON,
	.run = run_replace,
};

/* ---- reset ---- */

struct reset_options { struct board_said board; bool yes; };
static const struct reset_options reset_defaults;
static const struct cmd_opt reset_opts[] = {
	{ .name = "yes", .letter = 'y', .type = CMD_FLAG, .offset = offsetof(struct reset_options, yes),
	  .summary = "ask nothing" },
	SERIAL_OPT(reset_options), AUTHS_OPT(reset_options),
};

/* The name is asked for, not a yes: what the storage key encrypts is lost. */
static int agreed_to_reset(const struct board *b, bool yes, struct err *e)
{
	const char *name = b->site ? b->site->id : b->serial[0] ? b->serial : "this board";
	auto_free char *question = NULL, *line = NULL;

	if (yes)
		return 0;
	if (!b->env->interactive)
		return err_set(e, ERR_USAGE, 0, "this ends the board's identity; where nobody can be asked, say --yes");
	question = xasprintf("this ends the identity of %s: keys, certificates, and all that the storage key "
			     "encrypts. Its name, to go on", name);
	line = cmd_ask_line(b->env, question, "");
	return line && str_eq(line, name) ? 0 : err_set(e, ERR_INTERRUPTED, 0, "nothing was changed");
}

static int run_reset(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct reset_options *o = options;
	auto_board struct board b;
	bool removed;

	(void)argc, (void)argv;
	if (board_begin(env, &o->board, BOARD_NAMELESS, &b, e) || agreed_to_reset(&b, o->yes, e) ||
	    provision_reset(&b.how, &b.now, &removed, e))
		return -1;
	fprintf(env->out, removed ? "removed what psec had made; the endorsement key and others' objects are left\n"
				  : "there was nothing of psec\n");
	return 0;
}

const struct cmd cmd_provision_reset = {
	.name = "reset",
	.summary = "remove what psec made in the TPM and beside it",
	.more = "Keys, counters, authorisations and files go; the endorsement key and what others keep in the TPM "
		"stay. Certificates are not revoked by it: that is the CA's (psec provision ca revoke, rework, scrap).",
	.example = "psec provision reset",
	.opts = reset_opts,
	.opt_count = COUNT_OF(reset_opts),
	.defaults = &reset_defaults,
	.options_size = sizeof reset_defaults,
	.run = run_reset,
};
