/* cmd: a command is a value: its words, its options, its run. One table in cmd/psec.c; the shell runs the same table.
 *
 * Parsing, --help, completion and the manual's check all read `struct cmd`. Options live in a struct of the command's
 * own, copied from its defaults for every run; nothing is file-level, nothing exits below main.
 */
#ifndef PSEC_CMD_H
#define PSEC_CMD_H

#include <jansson.h>
#include <signal.h>

#include "base/base.h"
#include "out/out.h"
#include "site/site.h"

enum cmd_opt_type {
	CMD_FLAG,      /* bool */
	CMD_TEXT,      /* const char * */
	CMD_INT,       /* int64_t in [min, max] */
	CMD_REAL,      /* double in [min, max] */
	CMD_DURATION,  /* int64_t ms in [min, max] */
	CMD_CHOICE,    /* int: index into choices */
	CMD_CHOICES,   /* struct cmd_choices: several of choices, with commas between */
	CMD_REALS,     /* struct cmd_reals: several numbers, each in [min, max] */
};
enum { CMD_LIST_MAX = 12 };
struct cmd_choices { int at[CMD_LIST_MAX]; size_t count; };
struct cmd_reals { double at[CMD_LIST_MAX]; size_t count; };

struct cmd_opt {
	const char *name;          /* "battery-wh", without dashes */
	char letter;               /* or 0 */
	enum cmd_opt_type type;
	size_t offset;             /* of the field in the options struct */
	const char *value;         /* "N" in the help; NULL for flags */
	const char *summary;       /* one line */
	double min, max;
	const char *const *choices; /* NULL-ended */
	const char *complete;      /* "file", "device", "profile", "sim-device", "fault"…; NULL: nothing */
	bool required;
	bool secret;               /* its value is not kept in the shell's history */
};

enum {
	CMD_JSON = 1,              /* prints data: takes --json */
	CMD_HIDDEN = 2,
	CMD_SITE = 4,              /* the dispatcher reads site.yaml first */
	CMD_NO_SHELL = 8,          /* not from within `psec shell` */
	CMD_CSV = 32,              /* prints rows by lib/out: takes --csv beside --json */
	CMD_NO_PAGE = 16,          /* psec(1) says it all, there is no page of its own */
};

struct cmd_arg { const char *name; bool required, many; const char *complete; };

/* What the dispatcher gives every run. */
struct cmd_env {
	const char *dir;           /* -C, or NULL */
	struct site_paths paths;
	const struct site *site;   /* with CMD_SITE */
	bool json, csv;            /* at most one */
	bool interactive;          /* stdin and stdout are terminals */
	FILE *out, *err;
	const volatile sig_atomic_t *interrupted; /* Ctrl-C came: finish with what there is */
};

struct cmd {
	const char *name;          /* "scan", or "list" under a group */
	const char *summary;       /* one line, no full stop */
	const char *more;          /* paragraphs for --help, or NULL */
	const char *example;       /* "psec scan 192.168.1.0/24" lines, or NULL */
	const struct cmd_opt *opts;
	size_t opt_count;
	const struct cmd_arg *args;
	size_t arg_count;
	unsigned flags;
	const void *defaults;      /* the options struct before parsing */
	size_t options_size;
	const struct cmd *const *sub; /* NULL-ended: a group (`device list`), then run is NULL or its default */
	/* argv[0] is the first argument, not the command. 0 done, 1 the answer is no, -1 with *e */
	int (*run)(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e);
};

/* cmd/psec.c: the table, ended by an entry without a title. The title groups commands in the help. */
struct cmd_entry { const char *title; const struct cmd *cmd; };
extern const struct cmd_entry cmd_table[];

/* cmd/options.c: argv[0] is the command's word. Options are filled; *argc, *argv become the arguments alone. 1: help
 * was asked. */
must_check int cmd_parse(const struct cmd *c, struct cmd_env *env, int *argc, char ***argv, void *options,
			 struct err *e);
/* cmd/help.c: 80 columns. path: "psec device list". */
void cmd_help(FILE *to, const struct cmd *c, const char *path);
void cmd_help_all(FILE *to);
/* cmd/dispatch.c: run one line's words; returns the exit status. */
int cmd_dispatch(const struct cmd_env *base, int argc, char **argv);
/* Read the site's site.yaml; faults go to env->err. For a command that needs it only sometimes; others say CMD_SITE. */
must_check int cmd_read_site(const struct cmd_env *env, struct site *site, struct err *e);
/* cmd/common.c: what several commands need. */
int cmd_no_site(const struct cmd_env *env, enum err_kind kind, struct err *e); /* -1: where a site may be */
enum out_form cmd_form(const struct cmd_env *env, bool record); /* table/record, JSON or CSV */
bool cmd_for_people(const struct cmd_env *env); /* neither JSON nor CSV */
must_check int cmd_print(const struct cmd_env *env, struct out *o, struct err *e);
/* as it came from the daemon */
must_check int cmd_print_json(const struct cmd_env *env, const json_t *v, struct err *e);
void cmd_diag_to_stderr(void *arg, const struct diag *d);       /* arg: FILE * */
/* cmd/ask.c: the line without its end, NULL at the end of input or at Ctrl-C. proposed "": none. Caller frees. */
char *cmd_ask_line(const struct cmd_env *env, const char *question, const char *proposed);
/* Ask the daemon; ERR_UNREACHABLE says how to start it. For more than one question: connect, ctl_call…,
 * ctl_client_free. */
struct ctl_client;
must_check int cmd_connect_daemon(const struct cmd_env *env, struct ctl_client **c, struct err *e);
must_check int cmd_ask_daemon(const struct cmd_env *env, const char *method, json_t *params, json_t **result,
			      struct err *e);
bool cmd_daemon_runs(const struct cmd_env *env);
/* cmd/carry.c: have psecd do what takes time. It tells of it in notifications, the last of which is `done`. */
struct cmd_carried {
	const char *done;          /* "scan.done" */
	int (*heard)(void *arg, const char *topic, const json_t *params, struct err *e); /* all but the last; 0 or -1 */
	void (*looked)(void *arg); /* some times a second while it goes on, or NULL */
	void *arg;
	struct buf *said;          /* gets the words at the end, or NULL */
};
/* params is stolen. 1: it is done; 0: Ctrl-C came, and psecd ends it; -1, also where psecd says why it failed. */
must_check int cmd_carry_by_daemon(const struct cmd_env *env, const char *method, json_t *params,
				   const struct cmd_carried *c, struct err *e);

#endif
