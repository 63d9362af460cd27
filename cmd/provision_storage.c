/* psec provision storage-key, policy: the key of the state partition, and under which measurements it opens. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "provision.h"

/* ---- storage-key ---- */

struct key_options { struct board_said board; int64_t fd; const char *from; };
static const struct key_options key_defaults = { .fd = -1 };
static const struct cmd_opt key_opts[] = {
	{ .name = "fd", .type = CMD_INT, .offset = offsetof(struct key_options, fd), .value = "N", .required = true,
	  .summary = "the descriptor that gets the 32 bytes", .min = 0, .max = 1023 },
	{ .name = "from", .type = CMD_TEXT, .offset = offsetof(struct key_options, from), .value = "DIR",
	  .complete = "file", .summary = "where storage.json and policies/ are; state/tpm" },
};

/* Where a key would be shown, or stay, it does not go. */
static int check_descriptor(int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_USAGE, errno, "descriptor %d", fd);
	if (isatty(fd))
		return err_set(e, ERR_REFUSED, 0, "descriptor %d is a terminal: the key is not shown", fd);
	if (fd <= STDERR_FILENO && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
		return err_set(e, ERR_REFUSED, 0, "descriptor %d is no pipe: the key is not kept in a file; say --fd "
			       "3 3>FILE where that is meant", fd);
	return 0;
}

static int run_key(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct key_options *o = options;
	/* who opens a partition at boot needs no serial, no roots and no network */
	const struct board_said nothing = { .serial = NULL };
	auto_secret struct secret key = { 0 };
	auto_board struct board b;

	(void)argc, (void)argv;
	if (board_begin(env, &nothing, BOARD_KEY_ONLY, &b, e) || check_descriptor((int)o->fd, e))
		return -1;
	b.how.place.tpm = o->from;
	if (provision_storage_key(&b.how, &key, e))
		return -1;
	return fd_write_all((int)o->fd, key.data, key.len, e);
}

const struct cmd cmd_provision_storage_key = {
	.name = "storage-key",
	.summary = "give the storage key to a program, by a descriptor",
	.more = "32 raw bytes, for cryptsetup(8). Not to a terminal, and to the descriptors 0 to 2 only where they "
		"are pipes.",
	.example = "psec provision storage-key --fd 1 | cryptsetup open --key-file - DEV NAME",
	.opts = key_opts,
	.opt_count = COUNT_OF(key_opts),
	.defaults = &key_defaults,
	.options_size = sizeof key_defaults,
	.run = run_key,
};

/* ---- policy make ---- */

struct make_options {
	struct board_said board;
	const char *pcrs, *expect, *out;
	int64_t slot;
	bool fleet;
};
static const struct make_options make_defaults = { .slot = -1 };
static const struct cmd_opt make_opts[] = {
	{ .name = "pcrs", .type = CMD_TEXT, .offset = offsetof(struct make_options, pcrs), .value = "N,N…",
	  .summary = "the PCRs (SHA-256) that it is bound to; tpm.pcrs of site.yaml" },
	{ .name = "expect", .type = CMD_TEXT, .offset = offsetof(struct make_options, expect), .value = "N=HEX,N=HEX…",
	  .summary = "values after an update; the others are those of now" },
	{ .name = "slot", .type = CMD_INT, .offset = offsetof(struct make_options, slot), .value = "N",
	  .summary = "by which it can be revoked, 0 to 63; the next free one", .min = 0, .max = TPM_SLOTS - 1 },
	{ .name = "fleet", .type = CMD_FLAG, .offset = offsetof(struct make_options, fleet),
	  .summary = "for all boards under this CA, not for this one alone" },
	{ .name = "out", .letter = 'o', .type = CMD_TEXT, .offset = offsetof(struct make_options, out), .value = "FILE",
	  .complete = "file", .summary = "write it there, else to standard output" },
	SERIAL_OPT(make_options),
};

static int parse_pcrs(const char *list, uint32_t *mask, struct err *e)
{
	auto_free char *copy = xstrdup(list ? list : "");
	char *rest = copy, *one;
	int64_t n;

	*mask = 0;
	while ((one = strsep(&rest, ",")) && list) {
		if (!parse_int(one, 0, TPM_PCRS - 1, &n))
			return err_set(e, ERR_USAGE, 0, "'%s' is no PCR; they are 0 to %d, with commas between", one,
				       TPM_PCRS - 1);
		*mask |= 1U << n;
	}
	return 0;
}

static int parse_expected(const char *list, struct tpm_pcrs *to, struct err *e)
{
	auto_free char *copy = xstrdup(list ? list : "");
	char *rest = copy, *one;
	int64_t n;

	while (list && (one = strsep(&rest, ","))) {
		char *hex = strchr(one, '=');

		if (hex)
			*hex++ = '\0';
		if (!hex || !parse_int(one, 0, TPM_PCRS - 1, &n) || !hex_parse(hex, to->value[n], CRYPTO_HASH))
			return err_set(e, ERR_USAGE, 0, "an expected value is N=HEX: a PCR of 0 to %d and 64 hex "
				"digits",
				       TPM_PCRS - 1);
		to->mask |= 1U << n;
	}
	return 0;
}

static int run_make(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct make_options *o = options;
	struct tpm_pcrs expected = { 0 };
	auto_buf struct buf text = BUF_INIT;
	auto_board struct board b;
	uint32_t mask;

	(void)argc, (void)argv;
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e) || parse_pcrs(o->pcrs, &mask, e) ||
	    parse_expected(o->expect, &expected, e))
		return -1;
	return provision_policy_make(&b.how, &expected, mask, (int)o->slot, o->fleet, &text, e) ||
	       ca_put(env, o->out, &text, e) ? -1 : 0;
}

static const struct cmd policy_make = {
	.name = "make",
	.summary = "an unsigned policy: the measurements of now, or expected ones",
	.more = "The CA signs it (psec provision ca policy), and `psec provision policy add` brings it to the board. "
		"After an update that changes a PCR the storage key opens with the new policy; the old one is revoked "
		"by its slot.",
	.example = "psec provision policy make --out policy.json\npsec provision policy make --pcrs 7,8 --fleet",
	.opts = make_opts,
	.opt_count = COUNT_OF(make_opts),
	.defaults = &make_defaults,
	.options_size = sizeof make_defaults,
	.run = run_make,
};

/* ---- policy add ---- */

struct add_options { struct board_said board; const char *authority; };
static const struct add_options add_defaults;
static const struct cmd_opt add_opts[] = {
	{ .name = "authority", .type = CMD_TEXT, .offset = offsetof(struct add_options, authority), .value = "FILE",
	  .complete = "file", .summary = "the CA's policy.pem: makes the storage key, where there is none yet" },
	SERIAL_OPT(add_options),
};

static int run_add(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct add_options *o = options;
	auto_buf struct buf policy = BUF_INIT, authority = BUF_INIT;
	auto_board struct board b;
	bool opens;

	(void)argc;
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e) || board_read(argv[0], &policy, e) ||
	    (o->authority && board_read(o->authority, &authority, e)) ||
	    provision_policy_add(&b.how, policy.data, o->authority ? authority.data : NULL, &opens, e))
		return -1;
	fprintf(env->out, opens ? "the policy is in place; the storage key opens with it\n"
				: "the policy is in place; the TPM's measurements are not those of it now\n");
	return 0;
}

static const struct cmd policy_add = {
	.name = "add",
	.summary = "bring a signed policy to this board",
	.more = "It is refused unless this board's policy authority has signed it and its slot is not revoked.",
	.example = "psec provision policy add policy.json",
	.args = (const struct cmd_arg[]){ { "FILE", true, false, "file" } },
	.arg_count = 1,
	.opts = add_opts,
	.opt_count = COUNT_OF(add_opts),
	.defaults = &add_defaults,
	.options_size = sizeof add_defaults,
	.run = run_add,
};

/* ---- policy revoke ---- */

struct revoke_options { struct board_said board; bool force; };
static const struct revoke_options revoke_defaults;
static const struct cmd_opt revoke_opts[] = {
	{ .name = "force", .letter = 'f', .type = CMD_FLAG, .offset = offsetof(struct revoke_options, force),
	  .summary = "also when nothing else opens the storage key now" },
	SERIAL_OPT(revoke_options), AUTHS_OPT(revoke_options),
};

static int run_revoke(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct revoke_options *o = options;
	auto_board struct board b = { 0 };
	int64_t slot;

	(void)argc;
	if (!parse_int(argv[0], 0, TPM_SLOTS - 1, &slot))
		return err_set(e, ERR_USAGE, 0, "'%s' is no slot; they are 0 to %d", argv[0], TPM_SLOTS - 1);
	if (board_begin(env, &o->board, BOARD_NAMED, &b, e) || provision_policy_revoke(&b.how, (int)slot, o->force, e))
		return -1;
	fprintf(env->out, "slot %d is revoked: its policy opens nothing any more\n", (int)slot);
	return 0;
}

static const struct cmd policy_revoke = {
	.name = "revoke",
	.summary = "end a policy, for good",
	.example = "psec provision policy revoke 0",
	.args = (const struct cmd_arg[]){ { "SLOT", true, false, NULL } },
	.arg_count = 1,
	.opts = revoke_opts,
	.opt_count = COUNT_OF(revoke_opts),
	.defaults = &revoke_defaults,
	.options_size = sizeof revoke_defaults,
	.run = run_revoke,
};

/* ---- policy list ---- */

struct list_options { struct board_said board; };
static const struct list_options list_defaults;
static const struct cmd_opt list_opts[] = { SERIAL_OPT(list_options) };

enum { SLOT, BOARDS, PCRS, STATE, WHY };
static const struct out_column columns[] = {
	[SLOT] = { "slot", "SLOT", NULL, OUT_INT, 0, 0 },
	[BOARDS] = { "fleet", "FLEET", NULL, OUT_BOOL, 0, 0 },
	[PCRS] = { "pcrs", "PCRS", NULL, OUT_JSON, 0, 0 },
	[STATE] = { "state", "STATE", NULL, OUT_TEXT, 0, 0 },
	[WHY] = { "why", "WHY", NULL, OUT_TEXT, 0, OUT_WIDE },
};

static int add_row(void *arg, const struct provision_policy *p, struct err *e)
{
	auto_buf struct buf words = BUF_INIT;
	json_t *list = json_array();
	struct out *o = arg;

	(void)e;
	for (int i = 0; i < TPM_PCRS; i++) {
		if (!(p->pcrs >> i & 1))
			continue;
		json_array_append_new(list, json_integer(i));
		buf_addf(&words, "%s%d", words.len ? "," : "", i);
	}
	out_row(o);
	out_int(o, SLOT, p->slot);
	out_bool(o, BOARDS, p->fleet);
	out_json(o, PCRS, list, words.len ? words.data : "");
	out_text(o, STATE, p->revoked ? "revoked" : p->opens ? "opens" : "does not fit");
	if (*p->why)
		out_text(o, WHY, p->why);
	return 0;
}

static int run_list(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct list_options *l = options;
	auto_out struct out *o = out_new(columns, COUNT_OF(columns), cmd_form(env, false));
	auto_board struct board b;

	(void)argc, (void)argv;
	if (board_begin(env, &l->board, BOARD_NAMED, &b, e) || provision_policy_list(&b.how, add_row, o, e))
		return -1;
	return cmd_print(env, o, e);
}

static const struct cmd policy_list = {
	.name = "list",
	.summary = "the policies of this board, and which opens the storage key",
	.example = "psec provision policy list --json",
	.opts = list_opts,
	.opt_count = COUNT_OF(list_opts),
	.defaults = &list_defaults,
	.options_size = sizeof list_defaults,
	.flags = CMD_JSON | CMD_CSV,
	.run = run_list,
};

const struct cmd cmd_provision_policy = {
	.name = "policy",
	.summary = "under which measurements the storage key opens",
	.sub = (const struct cmd *const[]){ &policy_make, &policy_add, &policy_revoke, &policy_list, NULL },
};
