/* What the files of psec provision share. */
#ifndef PSEC_CMD_PROVISION_H
#define PSEC_CMD_PROVISION_H

#include "ca/ca.h"
#include "cmd.h"
#include "crypto/crypto.h"
#include "enrol/enrol.h"

extern const struct cmd cmd_provision_ca;
extern const struct cmd cmd_ca_list, cmd_ca_revoke, cmd_ca_crl, cmd_ca_scrap, cmd_ca_rework, cmd_ca_backup,
	cmd_ca_restore, cmd_ca_rotate;

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

#endif
