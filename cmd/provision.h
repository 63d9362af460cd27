/* What the files of psec provision share. */
#ifndef PSEC_CMD_PROVISION_H
#define PSEC_CMD_PROVISION_H

#include "ca/ca.h"
#include "cmd.h"
#include "crypto/crypto.h"
#include "enrol/enrol.h"
#include "provision/provision.h"

extern const struct cmd cmd_provision_ca, cmd_provision_status, cmd_provision_renew, cmd_provision_replace,
	cmd_provision_reset, cmd_provision_request, cmd_provision_answer, cmd_provision_install,
	cmd_provision_storage_key, cmd_provision_policy, cmd_provision_label, cmd_provision_board;
extern const struct cmd cmd_ca_list, cmd_ca_revoke, cmd_ca_crl, cmd_ca_scrap, cmd_ca_rework, cmd_ca_backup,
	cmd_ca_restore, cmd_ca_rotate, cmd_ca_replace;

/* The options that say which CA, as the first field of a command's options. */
struct ca_where { const char *ca, *passphrase_file; };
#define CA_OPT(in) \
	{ .name = "ca", .type = CMD_TEXT, .offset = offsetof(struct in, where.ca), .value = "DIR", .complete = "file", \
	  .summary = "the CA's folder; else $PSEC_CA, else ca in the site's folder" }
#define CA_PASSPHRASE_OPT(in) \
	{ .name = "passphrase-file", .type = CMD_TEXT, .offset = offsetof(struct in, where.passphrase_file), \
	  .value = "FILE", .complete = "file", \
	  .summary = "where the passphrase of its keys is, a file that only you can read; else DIR/passphrase" }

/* Where the CA is; caller frees. */
char *ca_folder(const struct cmd_env *env, const struct ca_where *where);
/* Open it, with its keys or without. */
must_check int ca_open_with_keys(const struct cmd_env *env, const struct ca_where *where, struct ca **out,
				 struct err *e);
must_check int ca_open_plain(const struct cmd_env *env, const struct ca_where *where, struct ca **out, struct err *e);
/* To the file, atomically, or to standard output. */
must_check int ca_put(const struct cmd_env *env, const char *out, const struct buf *b, struct err *e);
/* "uid 0 (root)" */
const char *ca_who(char to[64]);

/* ---- one device: provision_device.c ---- */

/* What is said of the board, as the first field of a command's options. */
struct board_said { const char *serial, *ek_roots, *trust, *recovery, *auths; bool no_ek_check; };
#define SERIAL_OPT(in) \
	{ .name = "serial", .letter = 's', .type = CMD_TEXT, .offset = offsetof(struct in, board.serial), \
	  .value = "SERIAL", .summary = "the board's; else that of its certificate, else the firmware's" }
#define EK_OPTS(in) \
	{ .name = "ek-roots", .type = CMD_TEXT, .offset = offsetof(struct in, board.ek_roots), .value = "FILE", \
	  .complete = "file", .summary = "roots of the TPM makers, PEM; else tpm.ek_roots of site.yaml" }, \
	{ .name = "no-ek-check", .type = CMD_FLAG, .offset = offsetof(struct in, board.no_ek_check), \
	  .summary = "take any TPM's word: for simulated ones, where there is no site.yaml that says so" }
#define TRUST_OPT(in) \
	{ .name = "trust", .type = CMD_TEXT, .offset = offsetof(struct in, board.trust), .value = "FILE", \
	  .complete = "file", .summary = "roots of a CA that is meant (and revocation lists), PEM: pinned from now on" }
#define RECOVERY_OPT(in) \
	{ .name = "recovery", .type = CMD_TEXT, .offset = offsetof(struct in, board.recovery), .value = "FILE", \
	  .complete = "file", .summary = "certificate that authorisations are escrowed to; else tpm.recovery" }
#define AUTHS_OPT(in) \
	{ .name = "auths", .type = CMD_TEXT, .offset = offsetof(struct in, board.auths), .value = "FILE", \
	  .complete = "file", .summary = "the TPM's authorisations, as they come out of the escrow" }

/* What a command works with, made from its options, the environment and site.yaml. */
struct board {
	const struct cmd_env *env;
	struct now now;
	struct site *site;             /* NULL: there is none, the factory moment */
	struct provision_how how;
	struct tpm_auths auths;
	struct crypto_cert *recovery;
	char serial[ENROL_NAME], *ek_roots, *trust;
	json_t *steps;
	bool recorded;                 /* the audit log has a new entry */
};
enum board_mode {
	BOARD_NAMED,       /* its serial is known, or that is an error */
	BOARD_FRESH,       /* the board's certificate here may be another's, it does not give the serial */
	BOARD_NAMELESS,    /* serial is "" where nothing says it */
	BOARD_KEY_ONLY,    /* its serial does not matter, nor its roots and its recovery certificate */
};
must_check int board_begin(const struct cmd_env *env, const struct board_said *o, enum board_mode mode, struct board *b,
			   struct err *e);
void board_end(struct board *b);
#define auto_board __attribute__((cleanup(board_end)))
/* The CA of this machine, with its keys; *out NULL: there is none. In tier sim and lab it is made. */
must_check int board_ca(const struct board *b, const struct ca_where *where, struct ca **out, struct err *e);
/* --yes, or yes at the terminal: else ERR_USAGE, ERR_REFUSED. */
must_check int board_agreed(const struct board *b, bool yes, const char *question, struct err *e);
/* The audit log's head is signed with the site's key and counted by the TPM, unless it is already. */
must_check int board_vouch(struct board *b, struct err *e);
/* --ek-roots was for this call alone: the line that has status and later calls know them. */
void board_say_roots(const struct board *b, const struct board_said *o);
must_check int board_print_steps(const struct board *b, struct err *e); /* as JSON, where that is asked for */
/* ---- a factory's batch: provision_batch.c ---- */
struct batch_options {
	const char *batch, *out, *serial_prefix, *rework, *station, *product;
	int64_t jobs, deadline_ms;
	bool only_failed;
};
must_check int provision_batch(const struct cmd_env *env, const struct ca_where *where, const struct board_said *said,
			       const struct batch_options *o, struct err *e);

/* The certificate that authorisations are escrowed to; the caller frees it. */
must_check int board_recovery(const char *path, struct crypto_cert **out, struct err *e);
/* A document's text; "-" is standard input. */
must_check int board_read(const char *path, struct buf *text, struct err *e);

#endif
