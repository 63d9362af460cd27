/* A line of the shell as words. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "frame.h"

/* One word from *from to *to; false for a quote that does not end. */
static bool one_word(const char **from, char **to)
{
	char quote = 0;
	const char *s = *from;

	for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
		if (quote ? *s == quote : *s == '"' || *s == '\'')
			quote = quote ? 0 : *s;
		else if (*s == '\\' && quote != '\'' && s[1])
			*(*to)++ = *++s;
		else
			*(*to)++ = *s;
	}
	*(*to)++ = '\0';
	*from = s;
	return !quote;
}

int cmd_split(const char *line, char ***words, int *count, struct err *e)
{
	size_t len = strlen(line), most = len / 2 + 2;
	auto_free char **list = xcalloc(1, (most + 1) * sizeof *list + len + 1);
	char *to = (char *)(list + most + 1);
	int n = 0;

	for (;;) {
		while (isspace((unsigned char)*line))
			line++;
		if (!*line || *line == '#')
			break;
		list[n++] = to;
		if (!one_word(&line, &to))
			return err_set(e, ERR_USAGE, 0,
				       "a quote is not closed; end it, or write \\\" for the sign itself");
	}
	*count = n;
	*words = take(list);
	return 0;
}

/* Does a word begin a secret option of c? Shortened names are options, too. */
static bool is_secret_of(const struct cmd *c, const char *word)
{
	size_t len = strcspn(word, "=");

	for (size_t o = 0; o < c->opt_count; o++) {
		const struct cmd_opt *opt = &c->opts[o];

		if (!opt->secret)
			continue;
		if (len > 2 && str_starts(word, "--") && !strncmp(opt->name, word + 2, len - 2))
			return true;
		if (opt->letter && word[0] == '-' && word[1] != '-' && strchr(word, opt->letter))
			return true;
	}
	return false;
}

static bool is_secret_below(const struct cmd *c, const char *word)
{
	for (const struct cmd *const *s = c->sub; s && *s; s++)
		if (is_secret_below(*s, word))
			return true;
	return is_secret_of(c, word);
}

/* Where a command's name is mistyped, any command could have been meant. */
static bool is_secret_of_any(const char *word)
{
	for (const struct cmd_entry *t = cmd_table; t->title; t++)
		if (t->cmd && is_secret_below(t->cmd, word))
			return true;
	return false;
}

bool cmd_line_is_secret(char *const *words, int count)
{
	static const char *const telling[] = { "password", "passwd", "secret", "token" };
	char path[CMD_PATH_LEN];
	int used, skip = count && str_eq(words[0], "psec"); /* the shell takes it away, too */
	const struct cmd *c = cmd_find(words + skip, count - skip, &used, path);

	for (int i = skip; i < count; i++) {
		for (size_t t = 0; t < COUNT_OF(telling); t++)
			if (strcasestr(words[i], telling[t]))
				return true;
		if (c && !c->sub ? is_secret_of(c, words[i]) : is_secret_of_any(words[i]))
			return true;
	}
	return false;
}
