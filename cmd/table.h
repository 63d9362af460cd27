/* The commands, one line each, in the order of the help. A command lives in cmd/NAME.c; its line in cmd/psec.c has
 * its group. */
#ifndef PSEC_CMD_TABLE_H
#define PSEC_CMD_TABLE_H

#include "cmd.h"

extern const struct cmd cmd_init;
extern const struct cmd cmd_site;
extern const struct cmd cmd_scan;
extern const struct cmd cmd_device;
extern const struct cmd cmd_status;
extern const struct cmd cmd_control;
extern const struct cmd cmd_provision;
extern const struct cmd cmd_audit;
extern const struct cmd cmd_sim;
extern const struct cmd cmd_shell;
extern const struct cmd cmd_help_words;
extern const struct cmd cmd_version;
extern const struct cmd cmd_complete_words;

/* Subcommands that have files of their own. */
extern const struct cmd cmd_control_watch;
extern const struct cmd cmd_control_off;
extern const struct cmd cmd_control_check;
extern const struct cmd cmd_control_simulate;
extern const struct cmd cmd_audit_verify;

#endif
