/* From words to a command, and from its outcome to an exit status. */
#include <errno.h>
#include <string.h>

#include "frame.h"

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupted; /* a handler can reach nothing else */

static void interrupt(int signo)
{
	interrupted = signo;
}

static const int interrupts[] = { SIGINT, SIGTERM, SIGHUP };

const volatile sig_atomic_t *cmd_interrupt_arm(void)
{
	struct sigaction act = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };

	interrupted = 0;
	for (size_t i = 0; i < COUNT_OF(interrupts); i++)
		sigaction(interrupts[i], &act, NULL);
	return &interrupted;
}

/* The signals as they were, so that one command leaves nothing behind for the next line of the shell. */
struct signals { struct sigaction act[COUNT_OF(interrupts)]; sigset_t mask; };

static void signals_keep(struct signals *s)
{
	sigprocmask(SIG_SETMASK, NULL, &s->mask);
	for (size_t i = 0; i < COUNT_OF(interrupts); i++)
		sigaction(interrupts[i], NULL, &s->act[i]);
}

static void signals_restore(const struct signals *s)
{
	for (size_t i = 0; i < COUNT_OF(interrupts); i++)
		sigaction(interrupts[i], &s->act[i], NULL);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* ---- finding ---- */

static const struct cmd *in_table(const char *word)
{
	for (const struct cmd_entry *t = cmd_table; t->title; t++)
		if (t->cmd && str_eq(t->cmd->name, word))
			return t->cmd;
	return NULL;
}

static const struct cmd *in_group(const struct cmd *group, const char *word)
{
	for (const struct cmd *const *s = group->sub; *s; s++)
		if (str_eq((*s)->name, word))
			return *s;
	return NULL;
}

const struct cmd *cmd_find(char *const *words, int count, int *used, char path[CMD_PATH_LEN])
{
	const struct cmd *c = count > 0 ? in_table(words[0]) : NULL, *sub;

	*used = c ? 1 : 0;
	if (!c)
		return NULL;
	snprintf(path, CMD_PATH_LEN, "psec %s", c->name);
	while (c->sub && *used < count && (sub = in_group(c, words[*used]))) {
		size_t len = strlen(path);

		snprintf(path + len, CMD_PATH_LEN - len, " %s", sub->name);
		c = sub;
		++*used;
	}
	return c;
}

size_t cmd_names(const struct cmd *group, const char **names, size_t max)
{
	size_t n = 0;

	if (group) {
		for (const struct cmd *const *s = group->sub; *s && n < max; s++)
			if (!((*s)->flags & CMD_HIDDEN))
				names[n++] = (*s)->name;
		return n;
	}
	for (const struct cmd_entry *t = cmd_table; t->title && n < max; t++)
		if (t->cmd && !(t->cmd->flags & CMD_HIDDEN))
			names[n++] = t->cmd->name;
	return n;
}

static int unknown(const struct cmd *group, const char *path, const char *word, struct err *e)
{
	const char *names[64], *near = str_nearest(word, names, cmd_names(group, names, COUNT_OF(names)));
	char shown[64], hint[96] = "";

	if (str_starts(word, "-C")) /* before a command it is read before we are called */
		return err_set(e, ERR_USAGE, 0, "the shell has its site; `exit`, then `psec -C DIR shell` for another");
	str_printable(shown, sizeof shown, word, strlen(word));
	if (near)
		snprintf(hint, sizeof hint, "did you mean '%s'? ", near);
	if (!group)
		return err_set(e, ERR_USAGE, 0, "unknown command '%s'; %s`psec help` lists the commands", shown, hint);
	return err_set(e, ERR_USAGE, 0, "unknown subcommand '%s'; %s`%s --help` lists them", shown, hint, path);
}

/* ---- running ---- */

static int check_args(const struct cmd *c, const char *path, int argc, char **argv, struct err *e)
{
	size_t given = (size_t)argc;
	bool many = c->arg_count && c->args[c->arg_count - 1].many;

	for (size_t i = given; i < c->arg_count; i++)
		if (c->args[i].required)
			return err_set(e, ERR_USAGE, 0, "%s is missing; see `%s --help`", c->args[i].name, path);
	if (given > c->arg_count && !many) {
		char shown[64];

		str_printable(shown, sizeof shown, argv[c->arg_count], strlen(argv[c->arg_count]));
		return err_set(e, ERR_USAGE, 0, "unexpected argument '%s'; see `%s --help`", shown, path);
	}
	return 0;
}

int cmd_read_site(const struct cmd_env *env, struct site *site, struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };

	if (!site_read(env->paths.file, site, &sink, e))
		return 0;
	return e->errnum == ENOENT ? cmd_no_site(env, e->kind, e) : -1;
}

/* argv[0] is the command's own word. */
static int prepare_and_run(const struct cmd *c, const char *path, struct cmd_env *env, int argc, char **argv,
			   struct err *e)
{
	auto_free void *options = xcalloc(1, c->options_size ? c->options_size : 1);
	auto_free struct site *site = NULL;
	int rc;

	if (c->defaults)
		memcpy(options, c->defaults, c->options_size);
	rc = cmd_parse(c, env, &argc, &argv, options, e);
	if (rc > 0) {
		cmd_help(env->out, c, path);
		return 0;
	}
	if (rc < 0)
		return e->kind == ERR_USAGE ? err_set(e, ERR_USAGE, 0, "%s (see `%s --help`)", e->text, path) : -1;
	if (!c->run)
		return argc ? unknown(c, path, argv[0], e)
			    : err_set(e, ERR_USAGE, 0, "a subcommand is missing; `%s --help` lists them", path);
	if (check_args(c, path, argc, argv, e))
		return c->sub && argc && !c->arg_count ? unknown(c, path, argv[0], e) : -1;
	if (c->flags & CMD_SITE) {
		site = xcalloc(1, sizeof *site);
		if (cmd_read_site(env, site, e))
			return -1;
		env->site = site;
	}
	return c->run(env, options, argc, argv, e);
}

/* What was printed must have arrived: a full disk is a failure of the command. */
static int flush(const struct cmd_env *env, struct err *e)
{
	if (!fflush(env->out) && !ferror(env->out))
		return 0;
	return err_set(e, ERR_IO, errno, "cannot write to standard output");
}

/* A text may quote a name, a file or an answer that holds what a terminal obeys. */
static void say_why(const struct cmd_env *env, const char *path, const struct err *e)
{
	char shown[2 * sizeof e->text];

	str_printable(shown, sizeof shown, e->text, strlen(e->text));
	fprintf(env->err, "%s: %s\n", path, shown);
}

int cmd_dispatch(const struct cmd_env *base, int argc, char **argv)
{
	struct cmd_env env = *base;
	struct err e = { 0 };
	struct signals before;
	char path[CMD_PATH_LEN] = "psec";
	int used, rc, status, signo;
	const struct cmd *c = cmd_find(argv, argc, &used, path);

	signals_keep(&before);
	env.interrupted = cmd_interrupt_arm();
	rc = site_paths_of(env.dir, &env.paths, &e);
	if (!rc)
		rc = c ? prepare_and_run(c, path, &env, argc - used + 1, argv + used - 1, &e)
		       : unknown(NULL, path, argv[0], &e);
	signo = interrupted;
	signals_restore(&before);
	if (rc >= 0 && flush(&env, &e))
		rc = -1;
	if (rc < 0 && signo && e.errnum == EINTR) /* of a wait that is nobody's fault, as for a fifo's other end */
		err_set(&e, ERR_INTERRUPTED, 0, "interrupted");
	status = rc < 0 ? err_exit_status(e.kind) : signo ? err_exit_status(ERR_INTERRUPTED) : rc;
	/* A pipe that its reader closed needs no word: the reader wanted no more. */
	if (rc < 0 && !(e.kind == ERR_INTERRUPTED && !e.text[0]) && e.errnum != EPIPE)
		say_why(&env, path, &e);
	return status;
}
