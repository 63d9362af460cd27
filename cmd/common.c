/* What several commands need. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd.h"
#include "ctl/ctl.h"

enum out_form cmd_form(const struct cmd_env *env, bool record)
{
	if (env->json)
		return record ? OUT_OBJECT : OUT_DOCUMENT;
	if (env->csv)
		return OUT_CSV;
	return record ? OUT_RECORD : OUT_TABLE;
}

bool cmd_for_people(const struct cmd_env *env)
{
	return !env->json && !env->csv;
}

int cmd_print(const struct cmd_env *env, struct out *o, struct err *e)
{
	return out_print(o, env->out, 0, e);
}

int cmd_print_json(const struct cmd_env *env, const json_t *v, struct err *e)
{
	if (json_dumpf(v, env->out, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER) ||
	    fputc('\n', env->out) == EOF)
		return err_set(e, ERR_IO, errno, "cannot write to standard output");
	return 0;
}

void cmd_diag_to_stderr(void *arg, const struct diag *d)
{
	char line[DIAG_LEN];

	fprintf(arg, "%s\n", diag_format(d, line));
}

int cmd_no_site(const struct cmd_env *env, enum err_kind kind, struct err *e)
{
	if (!env->dir && !getenv("PSEC_SITE") && access("site.yaml", F_OK) == 0)
		return err_set(e, kind, 0, "no site at '%s'; for the one in this folder say `psec -C . COMMAND`",
			       env->paths.file);
	return err_set(e, kind, 0,
		       "no site here: '%s' does not exist; `psec init` writes one, `psec -C DIR` or $PSEC_SITE say where "
		       "it is", env->paths.file);
}

/* ---- the daemon ---- */

int cmd_connect_daemon(const struct cmd_env *env, struct ctl_client **c, struct err *e)
{
	if (!ctl_connect(env->paths.socket, c, e))
		return 0;
	if (e->kind == ERR_UNREACHABLE && access(env->paths.file, F_OK) < 0 && errno == ENOENT)
		return cmd_no_site(env, ERR_UNREACHABLE, e);
	if (e->kind == ERR_UNREACHABLE)
		err_set(e, ERR_UNREACHABLE, 0, "psecd does not run for '%s'; start it with `%s%s`", env->paths.dir,
			env->paths.is_system ? "systemctl start psecd" : "psecd -C ",
			env->paths.is_system ? "" : env->paths.dir);
	return -1;
}

int cmd_ask_daemon(const struct cmd_env *env, const char *method, json_t *params, json_t **result, struct err *e)
{
	enum { ANSWER_MS = 10000 };
	struct ctl_client *c = NULL;
	int rc;

	if (cmd_connect_daemon(env, &c, e)) {
		json_decref(params);
		return -1;
	}
	rc = ctl_call(c, method, params, ANSWER_MS, result, e);
	ctl_client_free(c);
	return rc;
}

bool cmd_daemon_runs(const struct cmd_env *env)
{
	struct ctl_client *c = NULL;
	struct err e = { 0 };
	bool runs = !ctl_connect(env->paths.socket, &c, &e);

	ctl_client_free(c);
	return runs;
}

