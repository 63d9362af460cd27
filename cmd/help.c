/* Help from the tables, in 80 columns. */
#include <math.h>
#include <string.h>

#include "frame.h"

enum { COLUMNS = 80, LEFT_MAX = 26 };

void cmd_wrap(struct buf *to, const char *text, size_t indent, size_t at)
{
	bool as_it_is = str_starts(text, "  "), fresh = true;

	while (*text) {
		size_t len = as_it_is ? strcspn(text, "\n") : strcspn(text, " \n"), width = str_columns(text, len);

		if (!fresh && at + 1 + width > COLUMNS) {
			buf_addf(to, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!fresh) {
			buf_adds(to, " ");
			at++;
		}
		buf_add(to, text, len);
		at += width;
		fresh = false;
		text += len;
		while (*text == ' ')
			text++;
		if (*text == '\n') {
			buf_adds(to, "\n");
			text++;
			as_it_is = str_starts(text, "  ");
			if (*text && *text != '\n')
				buf_addf(to, "%*s", (int)indent, "");
			at = indent;
			fresh = true;
		}
	}
	if (!fresh)
		buf_adds(to, "\n");
}

static void wrap(FILE *to, const char *text, size_t indent, size_t at)
{
	auto_buf struct buf b = BUF_INIT;

	cmd_wrap(&b, text, indent, at);
	fputs(b.data ? b.data : "", to);
}

static void two_columns(FILE *to, const char *left, const char *right, size_t indent)
{
	size_t width = str_columns(left, strlen(left));

	fprintf(to, "  %s", left);
	if (width + 4 > indent) {
		fputc('\n', to);
		width = 0;
		fprintf(to, "%*s", (int)indent, "");
	} else {
		fprintf(to, "%*s", (int)(indent - 2 - width), "");
	}
	wrap(to, right, indent, indent);
}

/* ---- options ---- */

static void default_words(const struct cmd *c, const struct cmd_opt *o, char to[80])
{
	const void *field = c->defaults ? (const char *)c->defaults + o->offset : NULL;

	to[0] = '\0';
	if (!field || o->required)
		return;
	switch (o->type) {
	case CMD_FLAG:
		break;
	case CMD_TEXT:
		if (*(const char *const *)field)
			snprintf(to, 80, "%s", *(const char *const *)field);
		break;
	case CMD_INT:
		snprintf(to, 80, "%lld", (long long)*(const int64_t *)field);
		break;
	case CMD_REAL:
		if (isfinite(*(const double *)field))
			snprintf(to, 80, "%.10g", *(const double *)field);
		break;
	case CMD_DURATION:
		cmd_duration_words(*(const int64_t *)field, to);
		break;
	case CMD_CHOICE:
		/* -1: none was chosen */
		if (*(const int *)field >= 0)
			snprintf(to, 80, "%s", o->choices[*(const int *)field]);
		break;
	case CMD_CHOICES:
		if (((const struct cmd_choices *)field)->count)
			snprintf(to, 80, "%s", o->choices[((const struct cmd_choices *)field)->at[0]]);
		break;
	case CMD_REALS:
		if (((const struct cmd_reals *)field)->count)
			snprintf(to, 80, "%.10g", ((const struct cmd_reals *)field)->at[0]);
		break;
	}
	/* A default outside the range stands for "not given". */
	if ((o->type == CMD_INT && o->min < o->max && (double)*(const int64_t *)field < o->min) ||
	    (o->type == CMD_DURATION && o->min < o->max && (double)*(const int64_t *)field < o->min) ||
	    (o->type == CMD_REAL && o->min < o->max && *(const double *)field < o->min))
		to[0] = '\0';
}

static void option_line(FILE *to, const struct cmd *c, const struct cmd_opt *o, size_t indent)
{
	char left[64], range[80], normal[80];
	auto_buf struct buf right = BUF_INIT;

	snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
		 o->letter ? "," : " ", o->name, o->value ? " " : "", o->value ? o->value : "");
	buf_adds(&right, o->summary);
	if (o->type == CMD_CHOICE || o->type == CMD_CHOICES)
		for (const char *const *w = o->choices; *w; w++)
			buf_addf(&right, "%s%s", w == o->choices ? ": " : w[1] ? ", " : " or ", *w);
	cmd_range_words(o, range);
	default_words(c, o, normal);
	if (o->required)
		buf_addf(&right, " (required%s%s)", range[0] ? ", " : "", range);
	else if (range[0] && normal[0])
		buf_addf(&right, " (%s, default %s)", range, normal);
	else if (range[0] || normal[0])
		buf_addf(&right, " (%s%s%s)", range, normal[0] ? "default " : "", normal);
	two_columns(to, left, right.data, indent);
}

static size_t option_indent(const struct cmd *c)
{
	size_t most = strlen("    --json") + 4;

	for (size_t i = 0; i < c->opt_count; i++) {
		const struct cmd_opt *o = &c->opts[i];
		size_t n = 4 + strlen(o->name) + 2 + (o->value ? 1 + str_columns(o->value, strlen(o->value)) : 0) + 4;

		if (n > most && n <= LEFT_MAX)
			most = n;
	}
	return most;
}

static void options(FILE *to, const struct cmd *c)
{
	size_t indent = option_indent(c);

	fprintf(to, "\nOptions:\n");
	for (size_t i = 0; i < c->opt_count; i++)
		option_line(to, c, &c->opts[i], indent);
	if (c->flags & CMD_JSON)
		two_columns(to, "    --json", "print JSON", indent);
	if (c->flags & CMD_CSV)
		two_columns(to, "    --csv", "print CSV", indent);
	two_columns(to, "-h, --help", "print this", indent);
}

/* ---- a command ---- */

static void usage(FILE *to, const struct cmd *c, const char *path)
{
	auto_buf struct buf line = BUF_INIT;

	if (c->sub && (!c->run || c->arg_count)) {
		fprintf(to, "usage: %s SUBCOMMAND …\n", path);
		if (!c->run)
			return;
	}
	buf_addf(&line, "usage: %s", path);
	if (c->sub)
		buf_adds(&line, " [SUBCOMMAND]");
	for (size_t i = 0; i < c->opt_count; i++)
		if (c->opts[i].required)
			buf_addf(&line, " --%s %s", c->opts[i].name, c->opts[i].value ? c->opts[i].value : "");
	buf_adds(&line, " [OPTIONS]");
	for (size_t i = 0; i < c->arg_count; i++)
		buf_addf(&line, " %s%s%s%s", c->args[i].required ? "" : "[", c->args[i].name,
			 c->args[i].many ? "…" : "", c->args[i].required ? "" : "]");
	wrap(to, line.data, strlen("usage: ") + 2, 0);
}

static void subcommands(FILE *to, const struct cmd *c)
{
	size_t most = 0;

	for (const struct cmd *const *s = c->sub; *s; s++)
		if (strlen((*s)->name) > most)
			most = strlen((*s)->name);
	fprintf(to, "\nSubcommands:\n");
	for (const struct cmd *const *s = c->sub; *s; s++)
		if (!((*s)->flags & CMD_HIDDEN))
			two_columns(to, (*s)->name, (*s)->summary, most + 4);
}

/* "control" for "psec control set"; "provision-ca" where a group within a group has a page of its own. */
static void page_of(const char *path, char page[CMD_PATH_LEN])
{
	char words[CMD_PATH_LEN], again[CMD_PATH_LEN], *at = words, *first, *second;
	const struct cmd *c;
	int used;

	str_copy(words, sizeof words, path + strlen("psec "));
	first = strsep(&at, " ");
	second = strsep(&at, " ");
	c = second ? cmd_find((char *[]){ first, second }, 2, &used, again) : NULL;
	snprintf(page, CMD_PATH_LEN, c && c->sub ? "%s-%s" : "%s", first, second ? second : "");
}

void cmd_help(FILE *to, const struct cmd *c, const char *path)
{
	char page[CMD_PATH_LEN];

	usage(to, c, path);
	fputc('\n', to);
	wrap(to, c->summary, 0, 0);
	if (c->more) {
		fputc('\n', to);
		wrap(to, c->more, 0, 0);
	}
	if (c->sub)
		subcommands(to, c);
	options(to, c);
	if (c->example) {
		fprintf(to, "\nExamples:\n  ");
		wrap(to, c->example, 2, 2);
	}
	if (c->flags & CMD_NO_PAGE) {
		fprintf(to, "\nThe manual: psec(1)\n");
	} else {
		page_of(path, page);
		fprintf(to, "\nThe manual: psec-%s(1)\n", page);
	}
}

void cmd_help_all(FILE *to)
{
	const char *title = NULL;

	fprintf(to, "usage: psec [-C DIR] COMMAND [SUBCOMMAND] [OPTIONS] [ARGUMENTS]\n\n"
		    "Finds, describes and controls the devices of a site with a battery.\n");
	for (const struct cmd_entry *t = cmd_table; t->title; t++) {
		if (!t->cmd || (t->cmd->flags & CMD_HIDDEN))
			continue;
		if (t->title != title)
			fprintf(to, "\n%s:\n", t->title);
		title = t->title;
		two_columns(to, t->cmd->name, t->cmd->summary, 14);
	}
	fprintf(to, "\nOptions before the command:\n");
	two_columns(to, "-C DIR", "the site's folder; else $PSEC_SITE, else /etc/psec", 14);
	two_columns(to, "--version", "print the version", 14);
	fprintf(to, "\n`psec help COMMAND` says more about one, and psec(1) about all.\n");
}
