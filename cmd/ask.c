/* A question to the person at the terminal. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

/* Signals are let in only while waiting: none is lost between looking and sleeping. */
static bool wait_for_line(const struct cmd_env *env)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t stop, before;
	int n = 0;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, &before);
	while (!*env->interrupted && n == 0) {
		n = ppoll(&p, 1, NULL, &before);
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !*env->interrupted;
}

char *cmd_ask_line(const struct cmd_env *env, const char *question, const char *proposed)
{
	char *line = NULL;
	size_t size = 0;

	fprintf(env->err, "%s%s%s%s ", question, *proposed ? " [" : "", proposed, *proposed ? "]:" : ":");
	fflush(env->err);
	/* A terminal gives one line at a time, so that none waits in the buffer of stdin. */
	if (!wait_for_line(env) || getline(&line, &size, stdin) < 0 || *env->interrupted) {
		fputc('\n', env->err);
		free(line);
		clearerr(stdin);
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}
