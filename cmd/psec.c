/* psec: the table of commands, and main. */
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "table.h"

static const char begin[] = "Begin", work[] = "Work", tools[] = "Tools", hidden[] = "";

const struct cmd_entry cmd_table[] = {
	{ begin, &cmd_init },
	{ begin, &cmd_site },
	{ begin, &cmd_scan },
	{ begin, &cmd_device },
	{ work, &cmd_status },
	{ work, &cmd_control },
	{ work, &cmd_provision },
	{ work, &cmd_audit },
	{ tools, &cmd_sim },
	{ tools, &cmd_shell },
	{ tools, &cmd_help_words },
	{ tools, &cmd_version },
	{ hidden, &cmd_complete_words },
	{ NULL, NULL },
};

/* The words before the command. Returns how many were taken, or -1 with the exit status. */
static int global_options(struct cmd_env *env, int argc, char **argv, int *status)
{
	static char version[] = "version", help[] = "help";
	char shown[64];
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		/* an empty $DIR does not mean /etc/psec */
		if (str_eq(argv[i], "-C") && i + 1 < argc && argv[i + 1][0]) {
			env->dir = argv[++i];
		} else if (str_starts(argv[i], "-C") && argv[i][2]) {
			env->dir = argv[i] + 2;
		} else if (str_eq(argv[i], "--version")) {
			*status = cmd_dispatch(env, 1, (char *[]){ version, NULL });
			return -1;
		} else if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
			*status = cmd_dispatch(env, 1, (char *[]){ help, NULL });
			return -1;
		} else {
			str_printable(shown, sizeof shown, argv[i], strlen(argv[i]));
			if (str_eq(argv[i], "-C"))
				fprintf(env->err, "psec: option '-C' needs a value: the folder of a site, as in `psec "
						  "-C DIR status`\n");
			else
				fprintf(env->err, "psec: unknown option '%s'; options of a command stand after it, "
						  "and before it only "
						  "-C DIR, --help and --version\n", shown);
			*status = err_exit_status(ERR_USAGE);
			return -1;
		}
	}
	return i;
}

static int run(struct cmd_env *env, int argc, char **argv)
{
	int status = 0, taken = global_options(env, argc, argv, &status);

	if (taken < 0)
		return status;
	if (taken == argc) {
		cmd_help_all(env->err);
		return err_exit_status(ERR_USAGE);
	}
	return cmd_dispatch(env, argc - taken, argv + taken);
}

int main(int argc, char **argv)
{
	struct cmd_env env = { .out = stdout, .err = stderr };
	int status;

	setlocale(LC_CTYPE, "");
	/* A peer or a pipe that closes is an error to report, not an end without a word. */
	signal(SIGPIPE, SIG_IGN);
	env.interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	status = run(&env, argc, argv);
	if (ferror(stdout) | (fclose(stdout) != 0)) {
		if (errno != EPIPE && status < err_exit_status(ERR_USAGE))
			fprintf(stderr, "psec: cannot write to standard output: %s\n", strerror(errno));
		if (status < err_exit_status(ERR_USAGE))
			status = err_exit_status(ERR_IO);
	}
	return status;
}
