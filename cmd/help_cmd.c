#include <string.h>

#include "frame.h"
#include "table.h"

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	char path[CMD_PATH_LEN];
	const struct cmd *c;
	int used;

	(void)options;
	if (!argc) {
		cmd_help_all(env->out);
		return 0;
	}
	c = cmd_find(argv, argc, &used, path);
	if (!c || used < argc) {
		const char *names[64], *near = str_nearest(argv[used], names, cmd_names(c, names, COUNT_OF(names)));
		char shown[64];

		str_printable(shown, sizeof shown, argv[used], strlen(argv[used]));
		return err_set(e, ERR_USAGE, 0, "no command '%s'%s%s%s; `psec help` lists them", shown,
			       near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	cmd_help(env->out, c, path);
	return 0;
}

static const struct cmd_arg args[] = { { "COMMAND", false, false, "command" },
				       { "SUBCOMMAND", false, false, "command" } };

const struct cmd cmd_help_words = {
	.name = "help",
	.summary = "list the commands, or explain one",
	.example = "psec help control",
	.args = args,
	.arg_count = COUNT_OF(args),
	.flags = CMD_NO_PAGE,
	.run = run,
};
