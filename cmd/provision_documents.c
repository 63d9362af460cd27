/* psec provision request, answer, install: the same by documents, where the CA is elsewhere. psec-enrolment(5) */
#include "provision.h"

#define OUT_OPT(in) \
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = offsetof(struct in, out), .value = "FILE", \
	  .complete = "file", .summary = "write it there, else to standard output" }

struct options { struct board_said board; const char *out; };
static const struct options defaults;
static const struct cmd_arg document[] = { { "FILE", true, false, "file" } };

/* ---- request ---- */

static const struct cmd_opt request_opts[] = { OUT_OPT(options), SERIAL_OPT(options), EK_OPTS(options) };
static const char *const profiles[] = { "idevid", "ldevid" };

static int run_request(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_buf struct buf text = BUF_INIT;
	auto_board struct board b;
	enum enrol_profile profile = ENROL_IDEVID;

	if (board_begin(env, &o->board, BOARD_NAMED, &b, e))
		return -1;
	if (argc ? str_eq(argv[0], profiles[1]) : b.site != NULL)
		profile = ENROL_LDEVID;
	else if (argc && !str_eq(argv[0], profiles[0]))
		return err_set(e, ERR_USAGE, 0, "'%s' is no profile; they are idevid and ldevid", argv[0]);
	b.how.step = NULL;
	return provision_request(&b.how, profile, &b.now, &text, e) || ca_put(env, o->out, &text, e) ? -1 : 0;
}

const struct cmd cmd_provision_request = {
	.name = "request",
	.summary = "ask a CA elsewhere for a certificate: the request",
	.more = "PROFILE is idevid, the board's own, or ldevid, the site's (which is meant where there is a site). "
		"The keys are made where they are missing. The same request comes again until its certificate is "
		"installed.",
	.example = "psec provision request idevid --out request.json",
	.args = (const struct cmd_arg[]){ { "PROFILE", false, false, NULL } },
	.arg_count = 1,
	.opts = request_opts,
	.opt_count = COUNT_OF(request_opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run_request,
};

/* ---- answer ---- */

static const struct cmd_opt answer_opts[] = { OUT_OPT(options), SERIAL_OPT(options) };

static int run_answer(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_buf struct buf challenge = BUF_INIT, text = BUF_INIT;
	auto_board struct board b;

	(void)argc;
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e) || board_read(argv[0], &challenge, e))
		return -1;
	return provision_answer(&b.how, challenge.data, &b.now, &text, e) || ca_put(env, o->out, &text, e) ? -1 : 0;
}

const struct cmd cmd_provision_answer = {
	.name = "answer",
	.summary = "open the CA's challenge in the TPM: the answer",
	.example = "psec provision answer challenge.json --out answer.json",
	.args = document,
	.arg_count = 1,
	.opts = answer_opts,
	.opt_count = COUNT_OF(answer_opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run_answer,
};

/* ---- install ---- */

static const struct cmd_opt install_opts[] = { SERIAL_OPT(options), TRUST_OPT(options) };

static int run_install(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_buf struct buf text = BUF_INIT;
	auto_board struct board b;

	(void)argc;
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e) || board_read(argv[0], &text, e) ||
	    provision_install(&b.how, text.data, &b.now, e) || board_vouch(&b, e))
		return -1;
	fprintf(env->out, "the certificate is checked and in place; `psec provision status` says what is next\n");
	return 0;
}

const struct cmd cmd_provision_install = {
	.name = "install",
	.summary = "check a certificate and put it in place",
	.more = "FILE is the CA's certificate document, or a plain PEM chain, leaf first. It is refused, and nothing "
		"changes, when it is for another key, name or board, of a CA that is not trusted here, expired, not "
		"yet valid or revoked.",
	.example = "psec provision install certificate.json\npsec provision install --trust root.pem chain.pem",
	.args = document,
	.arg_count = 1,
	.opts = install_opts,
	.opt_count = COUNT_OF(install_opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run_install,
};
