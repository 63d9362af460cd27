/* psec provision ca: what keeps it: lists, revocation, boards, backup, rotation. */
#include <string.h>

#include "provision.h"

static const struct cmd_arg serial_args[] = { { "SERIAL", true, false, NULL } };
static const struct cmd_arg file_args[] = { { "FILE", true, false, "file" } };

/* ---- list ---- */

struct list_options { struct ca_where where; bool boards; };
static const struct list_options list_defaults;
static const struct cmd_opt list_opts[] = {
	CA_OPT(list_options),
	{ .name = "boards", .letter = 'b', .type = CMD_FLAG, .offset = offsetof(struct list_options, boards),
	  .summary = "the boards and their states instead of the certificates" },
};

enum { L_SERIAL, L_SITE, L_PROFILE, L_STATE, L_FROM, L_TO, L_REVOKED, L_REASON, L_NUMBER, L_FINGERPRINT, L_CHECKED };
static const struct out_column list_columns[] = {
	[L_SERIAL] = { .key = "serial", .heading = "SERIAL", .type = OUT_TEXT },
	[L_SITE] = { .key = "site", .heading = "SITE", .type = OUT_TEXT },
	[L_PROFILE] = { .key = "profile", .heading = "PROFILE", .type = OUT_TEXT },
	[L_STATE] = { .key = "state", .heading = "STATE", .type = OUT_TEXT },
	[L_FROM] = { .key = "not_before", .heading = "FROM", .type = OUT_TIME, .flags = OUT_JSON_ONLY },
	[L_TO] = { .key = "not_after", .heading = "UNTIL", .type = OUT_TIME },
	[L_REVOKED] = { .key = "revoked", .heading = "REVOKED", .type = OUT_TIME, .flags = OUT_JSON_ONLY },
	[L_REASON] = { .key = "reason", .heading = "REASON", .type = OUT_TEXT },
	[L_NUMBER] = { .key = "number", .heading = "NUMBER", .type = OUT_TEXT, .flags = OUT_WIDE },
	[L_FINGERPRINT] = { .key = "fingerprint", .heading = "SHA-256", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
	[L_CHECKED] = { .key = "ek_checked", .heading = "TPM CHECKED", .type = OUT_BOOL },
};

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static int put_row(void *arg, const struct ca_row *row, struct err *e)
{
	struct out *o = arg;

	(void)e;
	out_row(o);
	out_text(o, L_SERIAL, row->serial);
	out_text(o, L_SITE, or_null(row->site));
	out_text(o, L_PROFILE, row->profile);
	out_text(o, L_STATE, row->state);
	out_time(o, L_FROM, row->not_before_us);
	if (row->not_after_us != INT64_MAX)
		out_time(o, L_TO, row->not_after_us);
	if (row->revoked_us)
		out_time(o, L_REVOKED, row->revoked_us);
	out_text(o, L_REASON, or_null(row->reason));
	out_text(o, L_NUMBER, row->number);
	out_text(o, L_FINGERPRINT, row->fingerprint);
	out_bool(o, L_CHECKED, row->ek_checked);
	return 0;
}

enum { B_SERIAL, B_STATE, B_CERTIFICATES, B_CHANGED, B_CHECKED, B_REASON, B_WHO, B_EK };
static const struct out_column board_columns[] = {
	[B_SERIAL] = { .key = "serial", .heading = "SERIAL", .type = OUT_TEXT },
	[B_STATE] = { .key = "state", .heading = "STATE", .type = OUT_TEXT },
	[B_CERTIFICATES] = { .key = "certificates", .heading = "CERTIFICATES", .type = OUT_INT },
	[B_CHANGED] = { .key = "changed", .heading = "CHANGED", .type = OUT_TIME },
	[B_CHECKED] = { .key = "ek_checked", .heading = "TPM CHECKED", .type = OUT_BOOL },
	[B_REASON] = { .key = "reason", .heading = "REASON", .type = OUT_TEXT, .flags = OUT_WIDE },
	[B_WHO] = { .key = "who", .heading = "WHO", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
	[B_EK] = { .key = "ek", .heading = "TPM", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
};

static int put_board(void *arg, const struct ca_board *board, struct err *e)
{
	struct out *o = arg;

	(void)e;
	out_row(o);
	out_text(o, B_SERIAL, board->serial);
	out_text(o, B_STATE, board->state);
	out_int(o, B_CERTIFICATES, board->certificates);
	out_time(o, B_CHANGED, board->changed_us);
	out_bool(o, B_CHECKED, board->ek_checked);
	out_text(o, B_REASON, or_null(board->reason));
	out_text(o, B_WHO, or_null(board->who));
	out_text(o, B_EK, or_null(board->ek));
	return 0;
}

static int list(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct list_options *o = options;
	const struct out_column *columns = o->boards ? board_columns : list_columns;
	auto_out struct out *rows = out_new(columns, o->boards ? COUNT_OF(board_columns) : COUNT_OF(list_columns),
					    cmd_form(env, false));
	auto_ca struct ca *c = NULL;
	struct now now = now_read();

	if (o->boards && argc)
		return err_set(e, ERR_USAGE, 0, "--boards lists all boards; WHAT is for certificates");
	if (ca_open_plain(env, &o->where, &c, e))
		return -1;
	if (o->boards ? ca_boards(c, put_board, rows, e) : ca_list(c, &now, argc ? argv[0] : NULL, put_row, rows, e))
		return -1;
	return cmd_print(env, rows, e);
}

static const struct cmd_arg what_args[] = { { "WHAT", false, false, NULL } };
const struct cmd cmd_ca_list = {
	.name = "list",
	.summary = "the certificates that were given, or the boards",
	.more = "WHAT is a board's serial, a site or a certificate's number. A certificate without an end has none in "
		"UNTIL.",
	.example = "psec provision ca list\npsec provision ca list hof-7 --json\npsec provision ca list --boards",
	.opts = list_opts,
	.opt_count = COUNT_OF(list_opts),
	.args = what_args,
	.arg_count = COUNT_OF(what_args),
	.flags = CMD_JSON | CMD_CSV,
	.defaults = &list_defaults,
	.options_size = sizeof list_defaults,
	.run = list,
};

/* ---- revoke ---- */

struct revoke_options { struct ca_where where; int reason; };
static const struct revoke_options revoke_defaults;
static const struct cmd_opt revoke_opts[] = {
	CA_OPT(revoke_options),
	{ .name = "reason", .letter = 'r', .type = CMD_CHOICE, .offset = offsetof(struct revoke_options, reason),
	  .value = "REASON", .summary = "why", .choices = ca_reasons },
};

static int revoke_what(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct revoke_options *o = options;
	auto_ca struct ca *c = NULL;
	struct now now = now_read();
	char who[64];
	int count = 0;

	(void)argc;
	if (ca_open_plain(env, &o->where, &c, e) ||
	    ca_revoke(c, &now, argv[0], ca_reason(ca_reasons[o->reason]), ca_who(who), &count, e))
		return -1;
	fprintf(env->out, "%d certificate%s revoked%s\n", count, count == 1 ? "" : "s",
		count ? "; brokers refuse them after `psec provision ca crl` and its way to them" : ": all were before");
	return 0;
}

static const struct cmd_arg revoke_args[] = { { "WHAT", true, false, NULL } };
const struct cmd cmd_ca_revoke = {
	.name = "revoke",
	.summary = "mark the certificates of a board, a site or a number as revoked",
	.more = "WHAT is a board's serial, a site or a certificate's number; where one word is two of these, serial:WHAT "
		"or site:WHAT. It cannot be undone. It is known to others once a new list was signed: psec provision ca crl.",
	.example = "psec provision ca revoke hof-7 --reason key-compromise",
	.opts = revoke_opts,
	.opt_count = COUNT_OF(revoke_opts),
	.args = revoke_args,
	.arg_count = COUNT_OF(revoke_args),
	.defaults = &revoke_defaults,
	.options_size = sizeof revoke_defaults,
	.run = revoke_what,
};

/* ---- crl ---- */

enum { DAY_MS = 86400000 };
struct crl_options { struct ca_where where; const char *out; int64_t valid_ms; };
static const struct crl_options crl_defaults = { .valid_ms = INT64_C(30) * DAY_MS };
static const struct cmd_opt crl_opts[] = {
	CA_OPT(crl_options),
	CA_PASSPHRASE_OPT(crl_options),
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = offsetof(struct crl_options, out), .value = "FILE",
	  .complete = "file", .summary = "replace this file by it, atomically; else to standard output" },
	{ .name = "valid", .type = CMD_DURATION, .offset = offsetof(struct crl_options, valid_ms), .value = "DURATION",
	  .summary = "until when it is good; make the next one before", .min = 3600000, .max = 365.0 * DAY_MS },
};

static int crl(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct crl_options *o = options;
	auto_ca struct ca *c = NULL;
	auto_buf struct buf pem = BUF_INIT;
	struct now now = now_read();

	(void)argc, (void)argv;
	if (ca_open_with_keys(env, &o->where, &c, e) || ca_crl(c, &now, o->valid_ms, &pem, e))
		return -1;
	return ca_put(env, o->out, &pem, e);
}

const struct cmd cmd_ca_crl = {
	.name = "crl",
	.summary = "sign a new revocation list",
	.more = "The file has one list an issuer, the root's, too. A broker that has an expired list refuses everybody: "
		"renew it in time.",
	.example = "psec provision ca crl --out /etc/mosquitto/certs/psec.crl",
	.opts = crl_opts,
	.opt_count = COUNT_OF(crl_opts),
	.defaults = &crl_defaults,
	.options_size = sizeof crl_defaults,
	.run = crl,
};

/* ---- scrap, rework ---- */

struct board_options { struct ca_where where; const char *reason; };
static const struct board_options board_defaults;
static const struct cmd_opt board_opts[] = {
	CA_OPT(board_options),
	{ .name = "reason", .letter = 'r', .type = CMD_TEXT, .offset = offsetof(struct board_options, reason),
	  .value = "TEXT", .summary = "why, for the registry", .required = true },
};

typedef int board_fn(struct ca *c, const struct now *now, const char *serial, const char *reason, const char *who,
		     struct err *e);

static int change_board(const struct cmd_env *env, const struct board_options *o, const char *word, board_fn *fn,
			const char *done, struct err *e)
{
	auto_ca struct ca *c = NULL;
	struct now now = now_read();
	char who[64], reason[200];

	str_printable(reason, sizeof reason, o->reason, strlen(o->reason));
	if (ca_open_plain(env, &o->where, &c, e) || fn(c, &now, word, reason, ca_who(who), e))
		return -1;
	fprintf(env->out, "board %s %s\n", word, done);
	return 0;
}

static int scrap(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	(void)argc;
	return change_board(env, options, argv[0], ca_board_scrap, "is scrapped; its certificates are revoked", e);
}

static int rework(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	(void)argc;
	return change_board(env, options, argv[0], ca_board_rework,
			    "may enrol again, with another TPM, too; its certificates are revoked", e);
}

const struct cmd cmd_ca_scrap = {
	.name = "scrap",
	.summary = "a board will never enrol again; its certificates are revoked",
	.example = "psec provision ca scrap EX2-000017 --reason 'cracked board'",
	.opts = board_opts,
	.opt_count = COUNT_OF(board_opts),
	.args = serial_args,
	.arg_count = COUNT_OF(serial_args),
	.defaults = &board_defaults,
	.options_size = sizeof board_defaults,
	.run = scrap,
};

const struct cmd cmd_ca_rework = {
	.name = "rework",
	.summary = "a board may enrol again after a repair; its certificates are revoked",
	.example = "psec provision ca rework EX2-000017 --reason 'new TPM'",
	.opts = board_opts,
	.opt_count = COUNT_OF(board_opts),
	.args = serial_args,
	.arg_count = COUNT_OF(serial_args),
	.defaults = &board_defaults,
	.options_size = sizeof board_defaults,
	.run = rework,
};

/* ---- backup, restore ---- */

struct backup_options { struct ca_where where; const char *recovery; };
static const struct backup_options backup_defaults;
static const struct cmd_opt backup_opts[] = {
	CA_OPT(backup_options),
	CA_PASSPHRASE_OPT(backup_options),
	{ .name = "recovery", .type = CMD_TEXT, .offset = offsetof(struct backup_options, recovery), .value = "FILE",
	  .complete = "file", .summary = "encrypt it for this certificate instead of the passphrase, PEM" },
};

static int backup(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct backup_options *o = options;
	auto_crypto_cert struct crypto_cert *recovery = NULL;
	auto_ca struct ca *c = NULL;

	(void)argc;
	if (o->recovery && board_recovery(o->recovery, &recovery, e))
		return -1;
	if (ca_open_with_keys(env, &o->where, &c, e) || ca_backup(c, argv[0], recovery, e))
		return -1;
	fprintf(env->out, "wrote %s; the passphrase of the keys is not in it\n", argv[0]);
	return 0;
}

const struct cmd cmd_ca_backup = {
	.name = "backup",
	.summary = "the whole CA in one encrypted file",
	.more = "Of one moment, also while others work. Its keys stay under their passphrase, which is not in it.",
	.example = "psec provision ca backup ca-2026-10-01.pem",
	.opts = backup_opts,
	.opt_count = COUNT_OF(backup_opts),
	.args = file_args,
	.arg_count = COUNT_OF(file_args),
	.defaults = &backup_defaults,
	.options_size = sizeof backup_defaults,
	.run = backup,
};

struct restore_options { struct ca_where where; };
static const struct restore_options restore_defaults;
static const struct cmd_opt restore_opts[] = { CA_OPT(restore_options), CA_PASSPHRASE_OPT(restore_options) };

static int restore(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct restore_options *o = options;
	auto_free char *dir = ca_folder(env, &o->where);
	auto_secret struct secret passphrase = { 0 };

	(void)argc;
	provision_guard_memory();
	if (o->where.passphrase_file && ca_passphrase(dir, o->where.passphrase_file, &passphrase, e))
		return -1;
	if (ca_restore(argv[0], dir, passphrase.len ? &passphrase : NULL, e))
		return -1;
	fprintf(env->out, "made the CA in %s from %s; what was signed since the backup is not known to it\n", dir, argv[0]);
	return 0;
}

const struct cmd cmd_ca_restore = {
	.name = "restore",
	.summary = "make the CA from a backup, in a folder that is not there yet",
	.more = "FILE may also be what `openssl cms -decrypt` made of a backup for a recovery key.",
	.example = "psec provision ca restore ca.pem --ca copy --passphrase-file passphrase",
	.opts = restore_opts,
	.opt_count = COUNT_OF(restore_opts),
	.args = file_args,
	.arg_count = COUNT_OF(file_args),
	.defaults = &restore_defaults,
	.options_size = sizeof restore_defaults,
	.run = restore,
};

/* ---- rotate ---- */

struct rotate_options { struct ca_where where; const char *fresh; };
static const struct rotate_options rotate_defaults;
static const struct cmd_opt rotate_opts[] = {
	CA_OPT(rotate_options),
	CA_PASSPHRASE_OPT(rotate_options),
	{ .name = "new-passphrase-file", .type = CMD_TEXT, .offset = offsetof(struct rotate_options, fresh),
	  .value = "FILE", .complete = "file",
	  .summary = "a new passphrase for all keys, instead of a new intermediate" },
};

static int rotate_passphrase(const struct cmd_env *env, const struct rotate_options *o, struct err *e)
{
	const struct ca_where again = { .ca = o->where.ca, .passphrase_file = o->fresh };
	auto_free char *dir = ca_folder(env, &o->where);
	auto_secret struct secret to = { 0 };
	auto_ca struct ca *c = NULL;
	struct err ignored;

	provision_guard_memory();
	if (ca_passphrase(dir, o->fresh, &to, e))
		return -1;
	/* it may have been done before, and killed at the very end */
	if (ca_open_with_keys(env, &o->where, &c, e) && ca_open_with_keys(env, &again, &c, &ignored))
		return -1;
	if (ca_rotate_passphrase(c, &to, e))
		return -1;
	fprintf(env->out, "the keys of %s are under the new passphrase\n", dir);
	return 0;
}

static int rotate(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct rotate_options *o = options;
	auto_ca struct ca *c = NULL;
	struct now now = now_read();

	(void)argc, (void)argv;
	if (o->fresh)
		return rotate_passphrase(env, o, e);
	if (ca_open_with_keys(env, &o->where, &c, e) || ca_rotate(c, &now, e))
		return -1;
	fprintf(env->out, "made a new intermediate; brokers need intermediate.pem and a new list (`psec provision ca "
			  "crl`)\n");
	return 0;
}

const struct cmd cmd_ca_rotate = {
	.name = "rotate",
	.summary = "a new intermediate, or a new passphrase for the keys",
	.more = "What the old intermediate signed stays good, and is revoked by it, until that has expired.",
	.example = "psec provision ca rotate\npsec provision ca rotate --new-passphrase-file new",
	.opts = rotate_opts,
	.opt_count = COUNT_OF(rotate_opts),
	.defaults = &rotate_defaults,
	.options_size = sizeof rotate_defaults,
	.run = rotate,
};
