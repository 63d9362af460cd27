/* The nearest word: what "did you mean" says, of keys, commands and options alike. */
#include "base/base.h"

#include <string.h>

enum { WORD_MAX = 64 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits between two words: a letter put in, left out, changed, or swapped with its neighbour. Optimal string
 * alignment: two rows back suffice for a swap. */
static size_t edits(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t la = strnlen(a, WORD_MAX + 1), lb = strnlen(b, WORD_MAX + 1);

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], above2[j - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}

const char *str_nearest(const char *word, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t len = strlen(word), best_edits = 2 + len / 3;

	for (size_t i = 0; i < count; i++) {
		size_t n = len >= 3 && str_starts(names[i], word) ? 1 : edits(word, names[i]);

		/* A word of which every letter was changed is another word. */
		if (n < best_edits && n < len && n < strlen(names[i])) {
			best = names[i];
			best_edits = n;
		}
	}
	return best;
}
