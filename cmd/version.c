#include "cmd.h"

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	(void)options, (void)argc, (void)argv, (void)e;
	if (env->json)
		fprintf(env->out, "{\"version\": \"%s\"}\n", PSEC_VERSION);
	else
		fprintf(env->out, "psec %s\n", PSEC_VERSION);
	return 0;
}

const struct cmd cmd_version = {
	.name = "version",
	.summary = "print the version",
	.example = "psec version",
	.flags = CMD_JSON | CMD_NO_PAGE,
	.run = run,
};
