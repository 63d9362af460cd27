#include "edit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "frame.h"

enum { HISTORY_MAX = 1000 };

/* readline calls back without an argument, so its caller's state has to be here. */
static struct {
	const struct cmd_env *env;
	char history[512];   /* "" when there is nowhere to keep it */
	char *line;
	bool done;
	char **found;        /* candidates of this completion */
	size_t found_count;
} editor;

/* ---- completion ---- */

static void candidate(void *arg, const char *word, const char *summary)
{
	(void)arg, (void)summary;
	editor.found = xrealloc(editor.found, editor.found_count + 1, sizeof *editor.found);
	editor.found[editor.found_count++] = xstrdup(word);
}

static char *next_candidate(const char *text, int state)
{
	static size_t at; /* readline's own way: state 0 begins */

	(void)text;
	if (!state)
		at = 0;
	return at < editor.found_count ? xstrdup(editor.found[at++]) : NULL;
}

static char **complete(const char *text, int start, int end)
{
	auto_free char *before = strndup(rl_line_buffer, (size_t)start);
	auto_free char **words = NULL, **all = NULL;
	char **matches = NULL, *last = (char *)(uintptr_t)text;
	struct err e = { 0 };
	int count = 0, skip;
	bool files;

	(void)end;
	rl_attempted_completion_over = 1;
	if (!before || cmd_split(before, &words, &count, &e))
		return NULL;
	all = xcalloc((size_t)count + 2, sizeof *all);
	memcpy(all, words, (size_t)count * sizeof *all);
	all[count] = last;
	skip = count && str_eq(words[0], "psec"); /* the shell takes it away, too */
	files = cmd_complete(editor.env, all + skip, count + 1 - skip, candidate, NULL);
	if (editor.found_count)
		matches = rl_completion_matches(text, next_candidate);
	else if (files)
		rl_attempted_completion_over = 0;
	for (size_t i = 0; i < editor.found_count; i++)
		free(editor.found[i]);
	free(editor.found);
	editor.found = NULL;
	editor.found_count = 0;
	return matches;
}

/* ---- history ---- */

static void history_open(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char dir[480];
	struct err e = { 0 };

	editor.history[0] = '\0';
	if (state && state[0] == '/')
		snprintf(dir, sizeof dir, "%s/psec", state);
	else if (home && home[0] == '/')
		snprintf(dir, sizeof dir, "%s/.local/state/psec", home);
	else
		return;
	/* Without a place for it the shell works and forgets. */
	if (dir_make(dir, 0700, &e))
		return;
	snprintf(editor.history, sizeof editor.history, "%s/history", dir);
	auto_close int fd = open(editor.history, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fchmod(fd, 0600)) {
		editor.history[0] = '\0';
		return;
	}
	history_truncate_file(editor.history, HISTORY_MAX);
	read_history(editor.history);
}

void edit_remember(const char *line)
{
	HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

	if (last && str_eq(last->line, line))
		return;
	add_history(line);
	if (editor.history[0])
		append_history(1, editor.history);
}

/* ---- the line ---- */

static void got_line(char *line)
{
	editor.line = line;
	editor.done = true;
	rl_callback_handler_remove();
}

static void drop_line(void)
{
	rl_callback_sigcleanup();
	rl_free_line_state();
	fputs("^C", rl_outstream);
	rl_crlf();
	rl_replace_line("", 0);
	rl_on_new_line();
	rl_redisplay();
}

char *edit_line(const char *prompt)
{
	sigset_t stop, before;
	const volatile sig_atomic_t *signo = cmd_interrupt_arm();

	/* Signals are let in only while waiting: none is lost between looking and sleeping. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, &before);
	editor.line = NULL;
	editor.done = false;
	rl_callback_handler_install(prompt, got_line);
	while (!editor.done) {
		struct pollfd p = { .fd = fileno(rl_instream), .events = POLLIN };
		int n = ppoll(&p, 1, NULL, &before);

		if (*signo == SIGINT) {
			drop_line();
			signo = cmd_interrupt_arm();
		} else if (*signo || (n < 0 && errno != EINTR)) {
			rl_callback_handler_remove();
			break;
		} else {
			/* Also without input: readline looks after a resized terminal here. */
			if (n > 0)
				rl_callback_read_char();
			else
				rl_resize_terminal();
		}
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return editor.line;
}

void edit_begin(const struct cmd_env *env)
{
	static char breaks[] = " \t\n\"'";

	editor.env = env;
	rl_readline_name = "psec";
	rl_catch_signals = 0;
	rl_outstream = env->out;
	rl_completer_word_break_characters = breaks;
	rl_attempted_completion_function = complete;
	using_history();
	stifle_history(HISTORY_MAX);
	history_open();
}

void edit_end(void)
{
	clear_history();
	editor.env = NULL;
}
