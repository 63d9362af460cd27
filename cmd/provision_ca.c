/* psec provision ca: make it, sign, give serials. What keeps it is in provision_ca_keep.c. */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "provision.h"

/* ---- which CA ---- */

char *ca_folder(const struct cmd_env *env, const struct ca_where *where)
{
	const char *named = getenv("PSEC_CA");

	if (where->ca)
		return xstrdup(where->ca);
	return named && *named ? xstrdup(named) : xasprintf("%s/ca", env->paths.dir);
}

int ca_open_with_keys(const struct cmd_env *env, const struct ca_where *where, struct ca **out, struct err *e)
{
	auto_free char *dir = ca_folder(env, where);
	auto_secret struct secret passphrase = { 0 };
	auto_ca struct ca *probe = NULL;

	provision_guard_memory();
	/* a folder that is no CA is told before a passphrase that is not there */
	if (ca_open(dir, NULL, &probe, e) || ca_passphrase(dir, where->passphrase_file, &passphrase, e))
		return -1;
	return ca_open(dir, &passphrase, out, e);
}

int ca_open_plain(const struct cmd_env *env, const struct ca_where *where, struct ca **out, struct err *e)
{
	auto_free char *dir = ca_folder(env, where);

	return ca_open(dir, NULL, out, e);
}

int ca_put(const struct cmd_env *env, const char *out, const struct buf *b, struct err *e)
{
	if (out)
		return file_replace(out, b->data, b->len, 0644, e);
	fwrite(b->data, 1, b->len, env->out);
	return 0;
}

const char *ca_who(char to[64])
{
	const struct passwd *p = getpwuid(getuid());

	snprintf(to, 64, "uid %lu (%s)", (unsigned long)getuid(), p ? p->pw_name : "no name");
	return to;
}

/* ---- init ---- */

struct init_options {
	struct ca_where where;
	const char *name, *ek_roots, *signer, *chain;
	bool unchecked;
};
static const struct init_options init_defaults = { .name = "psec" };
static const struct cmd_opt init_opts[] = {
	CA_OPT(init_options),
	{ .name = "name", .letter = 'n', .type = CMD_TEXT, .offset = offsetof(struct init_options, name), .value = "NAME",
	  .summary = "whose CA it is; its certificates begin with it" },
	{ .name = "ek-roots", .type = CMD_TEXT, .offset = offsetof(struct init_options, ek_roots), .value = "FILE",
	  .complete = "file", .summary = "the roots of the TPM makers (and their revocation lists), PEM" },
	{ .name = "no-ek-check", .type = CMD_FLAG, .offset = offsetof(struct init_options, unchecked),
	  .summary = "take any TPM's word, a simulated one's, too; each certificate is marked" },
	{ .name = "signer", .type = CMD_TEXT, .offset = offsetof(struct init_options, signer), .value = "PROGRAM",
	  .complete = "file", .summary = "have this program, the door to a CA of your own, sign" },
	{ .name = "chain", .type = CMD_TEXT, .offset = offsetof(struct init_options, chain), .value = "FILE",
	  .complete = "file", .summary = "with --signer: that CA's root and intermediates, PEM" },
	{ .name = "passphrase-file", .type = CMD_TEXT, .offset = offsetof(struct init_options, where.passphrase_file),
	  .value = "FILE", .complete = "file",
	  .summary = "the passphrase for its keys, a file that only you can read; else one is made in DIR/passphrase" },
};

static int say_made(const struct cmd_env *env, const char *dir, bool own_passphrase, struct err *e)
{
	auto_free char *file = xasprintf("%s/root.pem", dir);
	auto_crypto_cert struct crypto_cert *root = NULL;
	struct crypto_cert_facts f;

	if (crypto_cert_read(file, &root, e))
		return -1;
	crypto_cert_facts(root, &f);
	fprintf(env->out, "made the CA in %s\nroot: %s\nits SHA-256: %s\n", dir, f.subject, f.fingerprint);
	if (own_passphrase)
		fprintf(env->out, "made its passphrase in %s/passphrase: keep a copy elsewhere, it is in no backup\n", dir);
	return 0;
}

static int init(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct init_options *o = options;
	auto_free char *dir = ca_folder(env, &o->where);
	auto_secret struct secret passphrase = { 0 };
	struct now now = now_read();
	struct ca_init how = { .name = o->name, .ek_roots = o->ek_roots, .signer = o->signer, .chain = o->chain,
			       .now = &now };

	(void)argc, (void)argv;
	provision_guard_memory();
	if (!o->ek_roots == !o->unchecked)
		return err_set(e, ERR_USAGE, 0, o->unchecked ? "either --ek-roots or --no-ek-check, not both"
							     : "which TPMs are to be believed? --ek-roots FILE, or "
							       "--no-ek-check where they are simulated");
	if (o->where.passphrase_file) {
		if (ca_passphrase(dir, o->where.passphrase_file, &passphrase, e))
			return -1;
		how.passphrase = &passphrase;
	}
	return ca_init(dir, &how, e) ? -1 : say_made(env, dir, !how.passphrase, e);
}

static const struct cmd ca_init_cmd = {
	.name = "init",
	.summary = "make a CA: registry, root, intermediate",
	.more = "The folder is there whole or not at all. Its keys are encrypted under a passphrase that is read from a "
		"file.",
	.example = "psec provision ca init --ca factory-ca --ek-roots tpm-makers.pem\n"
		   "psec provision ca init --ca lab-ca --no-ek-check",
	.opts = init_opts,
	.opt_count = COUNT_OF(init_opts),
	.defaults = &init_defaults,
	.options_size = sizeof init_defaults,
	.run = init,
};

/* ---- sign, challenge ---- */

struct sign_options { struct ca_where where; const char *out; };
static const struct sign_options sign_defaults;
#define OUT_OPT(in) \
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = offsetof(struct in, out), .value = "FILE", \
	  .complete = "file", .summary = "write it there, else to standard output" }
static const struct cmd_opt sign_opts[] = {
	CA_OPT(sign_options),
	CA_PASSPHRASE_OPT(sign_options),
	OUT_OPT(sign_options),
};
static const struct cmd_arg document_args[] = { { "DOCUMENT", true, false, "file" } };

/* What the person at the CA should know, now that it is used. */
static void warn(const struct cmd_env *env, struct ca *c, const struct now *now)
{
	enum { SOON_S = 365 * 86400 };
	struct ca_facts f;
	struct err ignored;
	char when[BASE_TIME_LEN];

	if (ca_facts(c, &f, &ignored))
		return;
	if (!f.ek_roots)
		fprintf(env->err, "psec: this CA has no roots of TPM makers: whether the TPM is a real one was not "
				  "checked\n");
	if (!f.signer && f.issuer_not_after_us - now->utc_us < SOON_S * US_PER_S)
		fprintf(env->err, "psec: the CA's intermediate expires on %.10s and bounds what it signs; `psec provision ca "
				  "rotate` makes a new one\n", time_format(f.issuer_not_after_us, when));
}

static int challenge_for(const struct cmd_env *env, const struct sign_options *o, const char *request, struct err *e)
{
	auto_ca struct ca *c = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct now now = now_read();

	if (ca_open_plain(env, &o->where, &c, e) || ca_challenge(c, &now, request, &b, e))
		return -1;
	warn(env, c, &now);
	return ca_put(env, o->out, &b, e);
}

static int certificate_for(const struct cmd_env *env, const struct sign_options *o, const char *answer, struct err *e)
{
	auto_ca struct ca *c = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct now now = now_read();

	if (ca_open_with_keys(env, &o->where, &c, e) || ca_certify(c, &now, answer, &b, e))
		return -1;
	warn(env, c, &now);
	return ca_put(env, o->out, &b, e);
}

static int sign(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	enum enrol_kind kind;

	(void)argc;
	if (board_read(argv[0], &text, e))
		return -1;
	if (enrol_kind(text.data, &kind, e))
		return err_ctx(e, "'%s'", argv[0]);
	if (kind == ENROL_REQUEST)
		return challenge_for(env, options, text.data, e);
	if (kind == ENROL_ANSWER)
		return certificate_for(env, options, text.data, e);
	return err_set(e, ERR_INPUT, 0, "'%s' is of kind %s; signed are a request (a challenge comes back) and an answer "
					"(a certificate comes back)%s", argv[0], enrol_kind_name(kind),
		       kind == ENROL_POLICY ? ", a policy by `psec provision ca policy`" : "");
}

static const struct cmd ca_sign = {
	.name = "sign",
	.summary = "a board's request into a challenge, its answer into the certificate",
	.more = "The document says which it is. A request is judged (endorsement certificate, keys of the TPM, names) and "
		"a challenge comes back, which only that TPM can open; its answer brings the certificate. '-' is standard "
		"input. The same answer again gives the same certificate.",
	.example = "psec provision ca sign request.json --out challenge.json\n"
		   "psec provision ca sign answer.json --out certificate.json",
	.opts = sign_opts,
	.opt_count = COUNT_OF(sign_opts),
	.args = document_args,
	.arg_count = COUNT_OF(document_args),
	.defaults = &sign_defaults,
	.options_size = sizeof sign_defaults,
	.run = sign,
};

static const struct cmd_opt challenge_opts[] = { CA_OPT(sign_options), OUT_OPT(sign_options) };

static int challenge(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;

	(void)argc;
	return board_read(argv[0], &text, e) ? -1 : challenge_for(env, options, text.data, e);
}

static const struct cmd_arg request_args[] = { { "REQUEST", true, false, "file" } };
static const struct cmd ca_challenge_cmd = {
	.name = "challenge",
	.summary = "only the first step: judge a request and make the challenge",
	.more = "As sign does it with a request, and needs no passphrase: a station may challenge where it may not sign.",
	.example = "psec provision ca challenge request.json --out challenge.json",
	.opts = challenge_opts,
	.opt_count = COUNT_OF(challenge_opts),
	.args = request_args,
	.arg_count = COUNT_OF(request_args),
	.defaults = &sign_defaults,
	.options_size = sizeof sign_defaults,
	.run = challenge,
};

/* ---- policy ---- */

static int policy(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct sign_options *o = options;
	auto_buf struct buf text = BUF_INIT, out = BUF_INIT;
	auto_ca struct ca *c = NULL;
	struct now now = now_read();
	struct enrol_policy p;

	(void)argc;
	if (board_read(argv[0], &text, e))
		return -1;
	if (enrol_policy_read(text.data, &p, e))
		return err_ctx(e, "'%s'", argv[0]);
	if (ca_open_with_keys(env, &o->where, &c, e) || ca_policy_sign(c, &now, &p, e) ||
	    enrol_policy_write(&p, &out, e))
		return -1;
	return ca_put(env, o->out, &out, e);
}

static const struct cmd_arg policy_args[] = { { "POLICY", true, false, "file" } };
static const struct cmd ca_policy = {
	.name = "policy",
	.summary = "sign a storage policy: PCR values under which the storage key opens",
	.more = "The policy's digest must be that of its PCRs and its slot. A slot is given once a board; the same policy "
		"again gives the same signature.",
	.example = "psec provision ca policy policy.json --out policy-signed.json",
	.opts = sign_opts,
	.opt_count = COUNT_OF(sign_opts),
	.args = policy_args,
	.arg_count = COUNT_OF(policy_args),
	.defaults = &sign_defaults,
	.options_size = sizeof sign_defaults,
	.run = policy,
};

/* ---- serial ---- */

struct serial_options { struct ca_where where; int64_t count; };
static const struct serial_options serial_defaults = { .count = 1 };
static const struct cmd_opt serial_opts[] = {
	CA_OPT(serial_options),
	{ .name = "count", .letter = 'c', .type = CMD_INT, .offset = offsetof(struct serial_options, count), .value = "N",
	  .summary = "how many, a line each", .min = 1, .max = 10000 },
};

static int serial(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct serial_options *o = options;
	auto_ca struct ca *c = NULL;
	struct now now = now_read();
	char text[ENROL_NAME];

	(void)argc;
	if (ca_open_plain(env, &o->where, &c, e))
		return -1;
	for (int64_t i = 0; i < o->count && !*env->interrupted; i++) {
		if (ca_serial_take(c, &now, argv[0], text, e))
			return -1;
		fprintf(env->out, "%s\n", text);
	}
	return 0;
}

static const struct cmd_arg serial_args[] = { { "PREFIX", true, false, NULL } };
static const struct cmd ca_serial = {
	.name = "serial",
	.summary = "take new board serials, PREFIX-000001 and on",
	.more = "A serial is given once, whoever asks, and however many ask at once. One that is not used is lost.",
	.example = "psec provision ca serial EX2 --count 20",
	.opts = serial_opts,
	.opt_count = COUNT_OF(serial_opts),
	.args = serial_args,
	.arg_count = COUNT_OF(serial_args),
	.defaults = &serial_defaults,
	.options_size = sizeof serial_defaults,
	.run = serial,
};

/* ---- the group ---- */

const struct cmd cmd_provision_ca = {
	.name = "ca",
	.summary = "the certificate authority: make, sign, revoke, list, keep",
	.more = "A CA is a folder: --ca DIR, else $PSEC_CA, else ca in the site's folder. Several stations may work on one "
		"folder at once.",
	.example = "psec provision ca init --ca lab-ca --no-ek-check\npsec provision ca list --ca lab-ca",
	.sub = (const struct cmd *const[]){
		&ca_init_cmd, &ca_sign, &ca_challenge_cmd, &ca_policy, &ca_serial, &cmd_ca_list, &cmd_ca_revoke, &cmd_ca_crl,
		&cmd_ca_scrap, &cmd_ca_rework, &cmd_ca_backup, &cmd_ca_restore, &cmd_ca_rotate,
		&cmd_ca_replace, NULL,
	},
};
