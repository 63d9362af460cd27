/* What several commands need. */
#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "ctl/ctl.h"

enum out_form cmd_form(const struct cmd_env *env, bool record)
{
	if (env->json)
		return record ? OUT_OBJECT : OUT_DOCUMENT;
	return record ? OUT_RECORD : OUT_TABLE;
}

int cmd_print(const struct cmd_env *env, struct out *o, struct err *e)
{
	return out_print(o, env->out, 0, e);
}

int cmd_print_json(const struct cmd_env *env, const json_t *v, struct err *e)
{
	if (json_dumpf(v, env->out, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER) || fputc('\n', env->out) == EOF)
		return err_set(e, ERR_IO, errno, "cannot write to standard output");
	return 0;
}

void cmd_diag_to_stderr(void *arg, const struct diag *d)
{
	FILE *to = arg;
	char path[160], text[480];

	str_printable(path, sizeof path, d->path, strlen(d->path));
	str_printable(text, sizeof text, d->text, strlen(d->text));
	fputs(d->file, to);
	if (d->line > 0)
		fprintf(to, ":%d", d->line);
	fprintf(to, ": %s%s%s\n", path, path[0] ? " " : "", text);
}

/* ---- the nearest word ---- */

enum { WORD_MAX = 32 };

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Edits between two words: a letter put in, left out, changed, or swapped with its neighbour. */
static size_t edits(const char *a, const char *b)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1], la = strlen(a), lb = strlen(b);

	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++)
		for (size_t j = 1; j <= lb; j++) {
			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	return d[la][lb];
}

const char *cmd_nearest(const char *word, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t len = strlen(word), best_edits = 1 + len / 3;

	if (!len || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(names[i]) > WORD_MAX ? SIZE_MAX : edits(word, names[i]);

		if (len >= 3 && str_starts(names[i], word))
			n = 1;
		if (n < best_edits || (n == best_edits && !best)) {
			best = names[i];
			best_edits = n;
		}
	}
	return best;
}

/* ---- the daemon ---- */

int cmd_connect_daemon(const struct cmd_env *env, struct ctl_client **c, struct err *e)
{
	if (!ctl_connect(env->paths.socket, c, e))
		return 0;
	if (e->kind == ERR_UNREACHABLE)
		err_set(e, ERR_UNREACHABLE, 0, "psecd does not run for '%s'; start it with `systemctl start psecd`, or here with "
			"`psecd -C %s`", env->paths.dir, env->paths.dir);
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
