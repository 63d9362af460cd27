#include "tree.h"

#include <string.h>

enum { WORD_MAX = 64 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t near_distance(const char *a, const char *b, size_t most)
{
	/* Optimal string alignment: two rows back suffice for a swap. */
	size_t rows[3][WORD_MAX + 1];
	size_t la = strnlen(a, WORD_MAX + 1), lb = strnlen(b, WORD_MAX + 1);

	if (la > WORD_MAX || lb > WORD_MAX)
		return most + 1;
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
	return least(rows[la % 3][lb], most + 1);
}

const char *near_word(const char *word, const char *const *known)
{
	const char *best = NULL;
	size_t best_distance = 3;

	for (; *known; known++) {
		size_t d = near_distance(word, *known, 2);

		/* Of a word of two letters, two edits leave nothing. */
		if (d < best_distance && d < strlen(*known)) {
			best = *known;
			best_distance = d;
		}
	}
	return best;
}
