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
			return err_set(e, ERR_USAGE, 0, "a quote is not closed; end it, or write \\\" for the sign itself");
	}
	*count = n;
	*words = take(list);
	return 0;
}

bool cmd_line_is_secret(char *const *words, int count)
{
	static const char *const telling[] = { "password", "passwd", "secret", "token" };
	char path[CMD_PATH_LEN];
	int used;
	const struct cmd *c = cmd_find(words, count, &used, path);

	for (int i = 0; i < count; i++) {
		for (size_t t = 0; t < COUNT_OF(telling); t++)
			if (strcasestr(words[i], telling[t]))
				return true;
		for (size_t o = 0; c && o < c->opt_count; o++) {
			const struct cmd_opt *opt = &c->opts[o];
			size_t len = strcspn(words[i], "=");

			if (!opt->secret)
				continue;
			/* Shortened names are options, too. */
			if (len > 2 && str_starts(words[i], "--") && !strncmp(opt->name, words[i] + 2, len - 2))
				return true;
			if (opt->letter && words[i][0] == '-' && words[i][1] != '-' && strchr(words[i], opt->letter))
				return true;
		}
	}
	return false;
}
