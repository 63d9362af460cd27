/* Options from their table: getopt_long does the words, this checks the values. */
#include <getopt.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "frame.h"

enum { OPTIONS_MAX = 32, VAL_HELP = 1000, VAL_JSON, VAL_CSV, VAL_FIRST };

static bool whole(double x)
{
	return fabs(x) < 9e15;
}

char *cmd_duration_words(int64_t ms, char to[32])
{
	static const struct { int64_t ms; const char *unit; } units[] = {
		{ 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" }, { 1, "ms" },
	};
	size_t i = 0;

	while (ms % units[i].ms || (!ms && i < 3))
		i++;
	snprintf(to, 32, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
	return to;
}

static char *bound_words(const struct cmd_opt *o, double x, char to[32])
{
	if (o->type == CMD_DURATION)
		return cmd_duration_words((int64_t)x, to);
	snprintf(to, 32, o->type == CMD_INT ? "%.0f" : "%.10g", x);
	return to;
}

char *cmd_range_words(const struct cmd_opt *o, char to[80])
{
	char low[32], high[32];
	/* Beyond a milliard it only keeps nonsense out: no word for people. */
	bool has_low = o->min > -1e9, has_high = o->max < 1e9 || (o->type == CMD_DURATION && whole(o->max));

	to[0] = '\0';
	if (o->min >= o->max)
		return to;
	if (has_low && has_high)
		snprintf(to, 80, "%s…%s", bound_words(o, o->min, low), bound_words(o, o->max, high));
	else if (has_low)
		snprintf(to, 80, "at least %s", bound_words(o, o->min, low));
	else if (has_high)
		snprintf(to, 80, "at most %s", bound_words(o, o->max, high));
	return to;
}

/* ---- values ---- */

/* The table's bounds as the parsers want them; min == max == 0 in the table means any. */
static double low_of(const struct cmd_opt *o)
{
	return o->min < o->max && whole(o->min) ? o->min : -9e15;
}

static double high_of(const struct cmd_opt *o)
{
	return o->min < o->max && whole(o->max) ? o->max : 9e15;
}

static int bad_number(const struct cmd_opt *o, const char *text, struct err *e)
{
	static const char *const kinds[] = {
		[CMD_INT] = "a whole number", [CMD_REAL] = "a number", [CMD_DURATION] = "a time as 500ms, 2s or 5min",
		[CMD_REALS] = "a number or several with commas between",
	};
	char range[80], shown[64];

	str_printable(shown, sizeof shown, text, strlen(text));
	cmd_range_words(o, range);
	return err_set(e, ERR_USAGE, 0, "--%s is '%s', must be %s%s%s", o->name, shown, kinds[o->type],
		       range[0] ? ", " : "", range);
}

static int bad_choice(const struct cmd_opt *o, const char *text, struct err *e)
{
	char all[256] = "", shown[64];
	size_t len = 0;

	str_printable(shown, sizeof shown, text, strlen(text));
	for (const char *const *c = o->choices; *c && len < sizeof all; c++)
		len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", c == o->choices ? "" : c[1] ? ", " : " or ", *c);
	return err_set(e, ERR_USAGE, 0, "--%s is '%s', must be %s", o->name, shown, all);
}

static int choice_of(const struct cmd_opt *o, const char *text)
{
	for (int i = 0; o->choices[i]; i++)
		if (str_eq(o->choices[i], text))
			return i;
	return -1;
}

/* "a,b,c", each once. */
static int set_list(const struct cmd_opt *o, const char *text, void *field, struct err *e)
{
	struct cmd_choices choices = { .count = 0 };
	struct cmd_reals reals = { .count = 0 };
	size_t n = 0;

	for (const char *at = text; at; n++) {
		size_t len = strcspn(at, ",");
		char word[64];

		if (n == CMD_LIST_MAX)
			return err_set(e, ERR_USAGE, 0, "--%s has more than %d values", o->name, CMD_LIST_MAX);
		snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), at);
		if (o->type == CMD_REALS && !parse_real(word, low_of(o), high_of(o), &reals.at[n]))
			return bad_number(o, word, e);
		if (o->type == CMD_CHOICES && (choices.at[n] = choice_of(o, word)) < 0)
			return bad_choice(o, word, e);
		for (size_t i = 0; i < n; i++)
			if (o->type == CMD_REALS ? reals.at[i] == reals.at[n] : choices.at[i] == choices.at[n])
				return err_set(e, ERR_USAGE, 0, "--%s has '%s' twice", o->name, word);
		at = at[len] ? at + len + 1 : NULL;
	}
	reals.count = choices.count = n;
	if (o->type == CMD_REALS)
		*(struct cmd_reals *)field = reals;
	else
		*(struct cmd_choices *)field = choices;
	return 0;
}

static int set_value(const struct cmd_opt *o, const char *text, void *options, struct err *e)
{
	void *field = (char *)options + o->offset;

	switch (o->type) {
	case CMD_FLAG:
		*(bool *)field = true;
		return 0;
	case CMD_TEXT:
		*(const char **)field = text;
		return 0;
	case CMD_INT:
		return parse_int(text, (int64_t)low_of(o), (int64_t)high_of(o), field) ? 0 : bad_number(o, text, e);
	case CMD_REAL:
		return parse_real(text, low_of(o), high_of(o), field) ? 0 : bad_number(o, text, e);
	case CMD_DURATION:
		return parse_duration(text, 1000, (int64_t)low_of(o), (int64_t)high_of(o), field) ? 0 : bad_number(o, text, e);
	case CMD_CHOICE:
		if (choice_of(o, text) < 0)
			return bad_choice(o, text, e);
		*(int *)field = choice_of(o, text);
		return 0;
	case CMD_CHOICES:
	case CMD_REALS:
		return set_list(o, text, field, e);
	}
	return err_set(e, ERR_BUG, 0, "option --%s has no type", o->name);
}

/* ---- words ---- */

struct words {
	struct option longs[OPTIONS_MAX + 4];
	char shorts[2 * OPTIONS_MAX + 8];
};

static void words_of(const struct cmd *c, struct words *w)
{
	size_t n = 0, s = 0;

	memset(w, 0, sizeof *w);
	s += (size_t)snprintf(w->shorts, sizeof w->shorts, "-:h");
	for (size_t i = 0; i < c->opt_count && i < OPTIONS_MAX; i++) {
		const struct cmd_opt *o = &c->opts[i];

		w->longs[n++] = (struct option){ o->name, o->type != CMD_FLAG, NULL, VAL_FIRST + (int)i };
		if (o->letter) {
			w->shorts[s++] = o->letter;
			if (o->type != CMD_FLAG)
				w->shorts[s++] = ':';
		}
	}
	if (c->flags & CMD_JSON)
		w->longs[n++] = (struct option){ "json", no_argument, NULL, VAL_JSON };
	if (c->flags & CMD_CSV)
		w->longs[n++] = (struct option){ "csv", no_argument, NULL, VAL_CSV };
	w->longs[n] = (struct option){ "help", no_argument, NULL, VAL_HELP };
}

static const struct cmd_opt *opt_of(const struct cmd *c, int val)
{
	if (val >= VAL_FIRST)
		return &c->opts[val - VAL_FIRST];
	for (size_t i = 0; i < c->opt_count; i++)
		if (c->opts[i].letter && c->opts[i].letter == val)
			return &c->opts[i];
	return NULL;
}

static int unknown_option(const struct words *w, const char *word, struct err *e)
{
	const char *names[OPTIONS_MAX + 3], *near;
	char shown[64];
	size_t n = 0, starts = 0, len = strcspn(word, "=");

	for (const struct option *l = w->longs; l->name; l++) {
		names[n++] = l->name;
		starts += !strncmp(l->name, word, len);
	}
	str_printable(shown, sizeof shown, word, len);
	if (starts > 1)
		return err_set(e, ERR_USAGE, 0, "option '--%s' could be several; write it out", shown);
	near = str_nearest(shown, names, n);
	return near ? err_set(e, ERR_USAGE, 0, "unknown option '--%s'; did you mean '--%s'?", shown, near)
		    : err_set(e, ERR_USAGE, 0, "unknown option '--%s'", shown);
}

/* Of an option that needs no entry in the command's table. */
static const char *common_name(int val)
{
	return val == VAL_JSON ? "json" : val == VAL_CSV ? "csv" : "help";
}

static int bad_word(const struct cmd *c, const struct words *w, const char *word, struct err *e)
{
	const struct cmd_opt *o;

	if (optopt == 'C')
		return err_set(e, ERR_USAGE, 0, "-C stands before the command: `psec -C DIR COMMAND`");
	if (optopt == 0 || !str_starts(word, "--"))
		return optopt ? err_set(e, ERR_USAGE, 0, "unknown option '-%c'", isprint(optopt) ? optopt : '?')
			      : unknown_option(w, word + 2, e);
	o = optopt >= VAL_FIRST ? opt_of(c, optopt) : NULL;
	return err_set(e, ERR_USAGE, 0, "option '--%s' takes no value", o ? o->name : common_name(optopt));
}

/* "-500" is a number, not the options -5, -0 and -0: `control set -500` charges. */
static bool is_number(const char *word)
{
	return word[0] == '-' && (isdigit((unsigned char)word[1]) || (word[1] == '.' && isdigit((unsigned char)word[2])));
}

/* What the words of one call become. */
struct parse {
	const struct cmd *c;
	const struct words *w;
	struct cmd_env *env;
	void *options;
	bool given[OPTIONS_MAX], help;
};

static int take_option(struct parse *p, int val, const char *word, struct err *e)
{
	const struct cmd_opt *o;

	if (val == 'h' || val == VAL_HELP)
		return 1;
	if (val == VAL_JSON || val == VAL_CSV) {
		*(val == VAL_JSON ? &p->env->json : &p->env->csv) = true;
		if (p->env->json && p->env->csv)
			return err_set(e, ERR_USAGE, 0, "--json and --csv are two forms of one answer; choose");
		return 0;
	}
	if (val == '?')
		return bad_word(p->c, p->w, word, e);
	o = opt_of(p->c, val == ':' ? optopt : val);
	if (!o)
		return err_set(e, ERR_BUG, 0, "option '%s' is in no table", word);
	if (val == ':')
		return err_set(e, ERR_USAGE, 0, "option '--%s' needs a value: %s", o->name, o->value ? o->value : "VALUE");
	p->given[o - p->c->opts] = true;
	return set_value(o, optarg, p->options, e);
}

/* Arguments are moved to argv[1] and on; returns their count, 0 with help, or -1. */
static int parse_words(struct parse *p, int argc, char **argv, struct err *e)
{
	const struct words *w = p->w;
	int kept = 0;

	/* glibc: 0 begins anew. The shell parses many lines in one process, so the state of the last one is dropped
	 * first. */
	optind = 0;
	opterr = 0;
	(void)getopt_long(1, argv, w->shorts, w->longs, NULL);
	for (;;) {
		int at = optind, val, rc;

		if (at < argc && is_number(argv[at])) {
			argv[1 + kept++] = argv[at];
			optind++;
			continue;
		}
		optarg = NULL;
		optopt = 0;
		val = getopt_long(argc, argv, w->shorts, w->longs, NULL);
		if (val == -1)
			break;
		if (val == 1) {
			argv[1 + kept++] = optarg;
			continue;
		}
		rc = take_option(p, val, argv[at], e);
		if (rc) {
			p->help = rc > 0;
			return rc > 0 ? 0 : -1;
		}
	}
	while (optind < argc)
		argv[1 + kept++] = argv[optind++];
	return kept;
}

int cmd_parse(const struct cmd *c, struct cmd_env *env, int *argc, char ***argv, void *options, struct err *e)
{
	struct words w;
	struct parse p = { .c = c, .w = &w, .env = env, .options = options };
	int kept;

	if (c->opt_count > OPTIONS_MAX)
		return err_set(e, ERR_BUG, 0, "%s has more than %d options", c->name, OPTIONS_MAX);
	words_of(c, &w);
	kept = parse_words(&p, *argc, *argv, e);
	if (kept < 0 || p.help)
		return kept < 0 ? -1 : 1;
	for (size_t i = 0; i < c->opt_count; i++)
		if (c->opts[i].required && !p.given[i])
			return err_set(e, ERR_USAGE, 0, "option '--%s' is required", c->opts[i].name);
	*argc = kept;
	++*argv;
	(*argv)[kept] = NULL;
	return 0;
}
