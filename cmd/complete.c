/* What may stand at a place of the command line: for Tab in bash (`psec __complete -- WORDS…`) and in the shell. */
#include <ctype.h>
#include <string.h>

#include "frame.h"
#include "sim/sim.h"

struct asked {
	const struct cmd_env *env;
	const char *word;          /* begun so far */
	const char *prefix;        /* stands before every candidate: "--mode=" */
	char *const *before;       /* the words of the command's arguments so far, for help */
	int before_count;
	struct cmd_clue clue;
	cmd_candidate_fn *fn;
	void *arg;
};

static void offer(const struct asked *a, const char *candidate, const char *summary)
{
	char whole[160];

	if (!str_starts(candidate, a->word))
		return;
	snprintf(whole, sizeof whole, "%s%s", a->prefix, candidate);
	a->fn(a->arg, whole, summary);
}

/* ---- what names stand for ---- */

static void offer_commands(const struct asked *a)
{
	for (const struct cmd_entry *t = cmd_table; t->title; t++)
		if (t->cmd && !(t->cmd->flags & CMD_HIDDEN))
			offer(a, t->cmd->name, t->cmd->summary);
}

static void offer_subcommands(const struct asked *a, const struct cmd *c)
{
	for (const struct cmd *const *s = c->sub; *s; s++)
		if (!((*s)->flags & CMD_HIDDEN))
			offer(a, (*s)->name, (*s)->summary);
}

static void command(const struct asked *a)
{
	char path[CMD_PATH_LEN];
	int used;
	const struct cmd *c = cmd_find(a->before, a->before_count, &used, path);

	if (!a->before_count)
		offer_commands(a);
	else if (c && c->sub && used == a->before_count)
		offer_subcommands(a, c);
}

static void named(void *arg, const char *word, const char *summary)
{
	offer(arg, word, summary);
}

/* True when it is a file's name. */
static bool offer_kind(struct asked *a, const char *kind)
{
	if (!kind)
		return false;
	if (str_eq(kind, "command"))
		command(a);
	else
		cmd_candidates(a->env, kind, &a->clue, named, a);
	return str_eq(kind, "file");
}

/* Is the word one of the first len bytes of a list? */
static bool is_given(const char *list, size_t len, const char *word)
{
	for (size_t at = 0; at < len; at += strcspn(list + at, ",") + 1)
		if (strcspn(list + at, ",") == strlen(word) && str_starts(list + at, word))
			return true;
	return false;
}

/* The last word of a list; what stands before it stays, and is not offered again. */
static void offer_last(struct asked *a, const struct cmd_opt *o)
{
	const char *comma = strrchr(a->word, ',');
	auto_free char *prefix = xasprintf("%s%.*s", a->prefix, comma ? (int)(comma + 1 - a->word) : 0, a->word);
	struct asked last = *a;

	last.prefix = prefix;
	last.word = comma ? comma + 1 : a->word;
	for (const char *const *c = o->choices; *c; c++)
		if (!is_given(a->word, (size_t)(last.word - a->word), *c))
			offer(&last, *c, NULL);
}

static bool offer_value(struct asked *a, const struct cmd_opt *o)
{
	if (o->type == CMD_CHOICES)
		offer_last(a, o);
	for (const char *const *c = o->choices; o->type == CMD_CHOICE && *c; c++)
		offer(a, *c, NULL);
	return offer_kind(a, o->complete);
}

static void offer_options(const struct asked *a, const struct cmd *c)
{
	char name[80];

	for (size_t i = 0; i < c->opt_count; i++) {
		snprintf(name, sizeof name, "--%s", c->opts[i].name);
		offer(a, name, c->opts[i].summary);
	}
	if (c->flags & CMD_JSON)
		offer(a, "--json", "print JSON");
	if (c->flags & CMD_CSV)
		offer(a, "--csv", "print CSV");
	offer(a, "--help", "print this command's help");
}

/* ---- where the word stands ---- */

static const struct cmd_opt *option_of(const struct cmd *c, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < c->opt_count; i++) {
		const struct cmd_opt *o = &c->opts[i];

		if (o->type == CMD_FLAG)
			continue;
		if (str_starts(word, "--") ? str_eq(word + 2, o->name)
					   : len >= 2 && word[0] == '-' && o->letter && word[len - 1] == o->letter)
			return o;
	}
	return NULL;
}

/* Looks at the words of c that are whole: counts arguments; *pending is the option whose value comes next, *ended says
 * that no option may come. */
static int walk(const struct cmd *c, char *const *words, int count, char **args, const struct cmd_opt **pending,
		bool *ended)
{
	int n = 0;

	*pending = NULL;
	*ended = false;
	for (int i = 0; i < count; i++) {
		if (str_eq(words[i], "=")) /* bash cuts "--mode=off" in three */
			continue;
		if (*pending)
			*pending = NULL;
		else if (!*ended && str_eq(words[i], "--"))
			*ended = true;
		else if (!*ended && words[i][0] == '-' && words[i][1] && !isdigit((unsigned char)words[i][1]))
			*pending = option_of(c, words[i]);
		else
			args[n++] = words[i];
	}
	return n;
}

/* A device and a profile among the words that are whole. */
static struct cmd_clue clue_of(const struct cmd *c, char *const *words, int count, char *const *args, int n)
{
	struct cmd_clue clue = { NULL, NULL };

	for (int i = 0; i < n && (size_t)i < c->arg_count; i++)
		if (c->args[i].complete && str_eq(c->args[i].complete, "device"))
			clue.device = args[i];
	for (int i = 0; i < count; i++) {
		const char *equals = strchr(words[i], '=');
		auto_free char *name = equals ? strndup(words[i], (size_t)(equals - words[i])) : xstrdup(words[i]);
		const struct cmd_opt *o = name ? option_of(c, name) : NULL;

		if (!o || !o->complete || !str_eq(o->complete, "profile"))
			continue;
		if (equals)
			clue.profile = equals + 1;
		else if (i + 1 < count) /* bash cuts at the = */
			clue.profile = words[i + 1 + (i + 2 < count && str_eq(words[i + 1], "="))];
	}
	return clue;
}

static bool complete_in(struct asked *a, const struct cmd *c, char *const *words, int count)
{
	const struct cmd_opt *pending;
	auto_free char **args = xcalloc((size_t)count + 1, sizeof *args);
	auto_free char *prefix = NULL;
	bool ended;
	int n = walk(c, words, count, args, &pending, &ended);
	const char *equals = strchr(a->word, '=');

	if (pending)
		return offer_value(a, pending);
	if (!ended && str_starts(a->word, "--") && equals) {
		auto_free char *name = strndup(a->word, (size_t)(equals - a->word));

		pending = name ? option_of(c, name) : NULL;
		prefix = xasprintf("%s=", name ? name : "");
		a->prefix = prefix;
		a->word = equals + 1;
		return pending && offer_value(a, pending);
	}
	if (!ended && a->word[0] == '-') {
		offer_options(a, c);
		return false;
	}
	if (c->sub && !n)
		offer_subcommands(a, c);
	a->before = args;
	a->before_count = n;
	a->clue = clue_of(c, words, count, args, n);
	if (c->arg_count && (size_t)n >= c->arg_count && c->args[c->arg_count - 1].many)
		n = (int)c->arg_count - 1;
	return (size_t)n < c->arg_count && offer_kind(a, c->args[n].complete);
}

bool cmd_complete(const struct cmd_env *base, char *const *words, int count, cmd_candidate_fn *fn, void *arg)
{
	struct cmd_env env = *base;
	struct asked a = { .env = &env, .prefix = "", .fn = fn, .arg = arg };
	const struct cmd *c;
	char path[CMD_PATH_LEN];
	struct err e = { 0 };
	int used;

	if (count > 1 && str_eq(words[0], "-C")) {
		if (count == 2)
			return true;
		env.dir = words[1];
		if (site_paths_of(env.dir, &env.paths, &e))
			return false;
		words += 2;
		count -= 2;
	}
	if (count < 1)
		return false;
	a.word = str_eq(words[count - 1], "=") ? "" : words[count - 1];
	if (count == 1) {
		offer_commands(&a);
		if (a.word[0] == '-') {
			offer(&a, "-C", "the site's folder");
			offer(&a, "--help", "list the commands");
			offer(&a, "--version", "print the version");
		}
		return false;
	}
	c = cmd_find(words, count - 1, &used, path);
	return c && complete_in(&a, c, words + used, count - 1 - used);
}

/* ---- psec __complete ---- */

static void print(void *arg, const char *word, const char *summary)
{
	char name[160], about[160];

	/* A profile's words are somebody's text. */
	str_printable(name, sizeof name, word, strlen(word));
	str_printable(about, sizeof about, summary ? summary : "", strlen(summary ? summary : ""));
	fprintf(arg, "%s\t%s\n", name, about);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	(void)options, (void)e;
	if (cmd_complete(env, argv, argc, print, env->out))
		fputs(":files\n", env->out);
	return 0;
}

static const struct cmd_arg args[] = { { "WORDS", false, true, NULL } };

const struct cmd cmd_complete_words = {
	.name = "__complete",
	.summary = "print what may stand for the last of the words",
	.args = args,
	.arg_count = COUNT_OF(args),
	.flags = CMD_HIDDEN,
	.run = run,
};
