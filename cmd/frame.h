/* What the frame's own files share; a command needs only cmd.h. */
#ifndef PSEC_CMD_FRAME_H
#define PSEC_CMD_FRAME_H

#include "cmd.h"

enum { CMD_PATH_LEN = 96 };

/* The command that words begin with; groups are followed as far as they go. *used counts the words taken. NULL when
 * words[0] is none. */
const struct cmd *cmd_find(char *const *words, int count, int *used, char path[CMD_PATH_LEN]);
/* The names of the table (group NULL) or of a group's subcommands, hidden ones left out; returns the count, at most
 * max. */
size_t cmd_names(const struct cmd *group, const char **names, size_t max);
/* "1…5000", "at least 0", or "" when anything goes; returns to. */
char *cmd_range_words(const struct cmd_opt *o, char to[80]);
/* A duration as it is written: "500ms", "2s"; returns to. */
char *cmd_duration_words(int64_t ms, char to[32]);

/* Text from column at on, wrapped to 80 columns and indented, its last line ended. A line that begins with two
 * blanks is kept as it is; newlines stay. */
void cmd_wrap(struct buf *b, const char *text, size_t indent, size_t at);

/* Ctrl-C, SIGTERM and SIGHUP set a flag once; the second one ends the program. Returns the flag, which holds the
 * signal's number. */
const volatile sig_atomic_t *cmd_interrupt_arm(void);

/* Split a line of the shell into words: quotes, backslash, # to the end. words is an array that the caller frees
 * with its first element's text (one allocation holds all); ERR_USAGE for an open quote. */
must_check int cmd_split(const char *line, char ***words, int *count, struct err *e);

/* What may stand for the last of words (which may be ""), after the ones before it. summary may be NULL. */
typedef void cmd_candidate_fn(void *arg, const char *word, const char *summary);
/* Returns true when the name of a file may stand there. */
bool cmd_complete(const struct cmd_env *env, char *const *words, int count, cmd_candidate_fn *fn, void *arg);

/* What the words before say of the one that is wanted; each may be NULL. */
struct cmd_clue { const char *device, *profile; };
/* The names that a kind of the tables (cmd_opt.complete, cmd_arg.complete) stands for. */
void cmd_candidates(const struct cmd_env *env, const char *kind, const struct cmd_clue *clue, cmd_candidate_fn *fn,
		    void *arg);

/* Does a line hold what the history must not keep? */
bool cmd_line_is_secret(char *const *words, int count);

#endif
