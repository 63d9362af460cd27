/* psec shell: the same table, a line at a time, from a person or from a file. */
#include <errno.h>
#include <string.h>

#include "edit.h"
#include "frame.h"

struct options { bool stop; };

enum { STATUS_END = -2 /* exit, quit */, STATUS_NONE = -1 /* nothing stood there */ };

static int complain(const struct cmd_env *env, const struct err *e)
{
	fprintf(env->err, "psec shell: %s\n", e->text);
	return err_exit_status(e->kind);
}

static int run_words(const struct cmd_env *env, int count, char **words)
{
	struct err e = { 0 };
	char path[CMD_PATH_LEN];
	const struct cmd *c;
	int used;

	/* Lines copied from the manual begin with the program's name. */
	if (count && str_eq(words[0], "psec"))
		count--, words++;
	if (!count)
		return STATUS_NONE;
	if (str_eq(words[0], "exit") || str_eq(words[0], "quit"))
		return STATUS_END;
	c = cmd_find(words, count, &used, path);
	if (c && (c->flags & CMD_NO_SHELL)) {
		err_set(&e, ERR_USAGE, 0, "'%s' does not run inside the shell; leave with `exit` first", c->name);
		return complain(env, &e);
	}
	return cmd_dispatch(env, count, words);
}

static int run_line(const struct cmd_env *env, const char *line)
{
	auto_free char **words = NULL;
	struct err e = { 0 };
	int count = 0;

	if (cmd_split(line, &words, &count, &e))
		return complain(env, &e);
	if (env->interactive && count && line[0] != ' ' && !cmd_line_is_secret(words, count))
		edit_remember(line);
	return run_words(env, count, words);
}

static void prompt_of(const struct cmd_env *env, char to[64])
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct diag_sink silent = { 0 };
	struct err e = { 0 };

	if (site_read(env->paths.file, site, &silent, &e))
		snprintf(to, 64, "psec> ");
	else
		snprintf(to, 64, "psec:%s> ", site->id);
}

/* The next line, or NULL: at the end, or (with *e) when it cannot be read. Caller frees. */
static char *next_line(const struct cmd_env *env, struct err *e)
{
	char prompt[64], *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (env->interactive) {
		prompt_of(env, prompt);
		return edit_line(prompt);
	}
	errno = 0;
	len = getline(&line, &size, stdin);
	if (len >= 0 && memchr(line, '\0', (size_t)len))
		err_set(e, ERR_INPUT, 0, "the input has a zero byte, it is not a list of commands");
	else if (len >= 0)
		return line;
	else if (ferror(stdin) && errno != EINTR)
		err_set(e, ERR_IO, errno, "cannot read standard input");
	free(line);
	return NULL;
}

/* Runs until the end; the last status. */
static int run_lines(const struct cmd_env *env, const struct options *o, struct err *e)
{
	int last = 0;

	for (;;) {
		auto_free char *line = next_line(env, e);
		int status;

		if (!line)
			return last;
		status = run_line(env, line);
		if (status == STATUS_END)
			return last;
		if (status == STATUS_NONE)
			continue;
		last = status;
		if (status && o->stop)
			return last;
		/* Ctrl-C ends a person's command, but a script as a whole. */
		if (!env->interactive && status == err_exit_status(ERR_INTERRUPTED))
			return last;
	}
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	int last;

	(void)argc, (void)argv;
	if (env->interactive)
		edit_begin(env);
	last = run_lines(env, options, e);
	if (env->interactive)
		edit_end();
	return e->text[0] ? -1 : last;
}

static const struct options defaults = { .stop = false };

static const struct cmd_opt opts[] = {
	{ .name = "stop", .letter = 'e', .type = CMD_FLAG, .offset = offsetof(struct options, stop),
	  .summary = "stop at the first command that fails" },
};

const struct cmd cmd_shell = {
	.name = "shell",
	.summary = "run commands line by line, with completion and history",
	.more = "At a terminal, Tab completes commands, options, choices and the names of devices. Ctrl-C ends the "
		"command, not the shell; Ctrl-D, exit or quit end the shell. Elsewhere a command a line is read from "
		"standard input, # begins a comment, and the exit status is that of the last command.",
	.example = "psec shell\necho status | psec shell",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.flags = CMD_NO_SHELL,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
