/* A line from a person at a terminal: readline, with completion from the table and a history. Private to `psec
 * shell`. */
#ifndef PSEC_CMD_EDIT_H
#define PSEC_CMD_EDIT_H

#include "cmd.h"

/* env is borrowed until edit_end. One editor a process: readline itself is one. */
void edit_begin(const struct cmd_env *env);
void edit_end(void);
/* NULL at the end of input, or when a signal other than Ctrl-C came; Ctrl-C drops what was typed. Caller frees. */
char *edit_line(const char *prompt);
void edit_remember(const char *line);

#endif
