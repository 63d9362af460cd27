/* The document behind conf.h, seen inside the room only. */
#ifndef PSEC_CONF_TREE_H
#define PSEC_CONF_TREE_H

#include "conf/conf.h"

struct chunk {
	struct chunk *next;
	size_t used, size;
	char data[] __attribute__((aligned(16)));
};

struct conf {
	char *name, *text;
	size_t len;
	struct chunk *chunks;     /* nodes, keys and texts live here */
	struct conf_node *root;
	size_t end;               /* where the next line of a top-level map goes: the file's end, or before its "..." */
};

/* Edit distance with neighbours swapped counted as one, for words of at most 64 bytes; more than most is most + 1. */
size_t near_distance(const char *a, const char *b, size_t most);
/* The entry of known (NULL-ended) nearest to word, at most 2 edits away; NULL when none is. */
const char *near_word(const char *word, const char *const *known);

#endif
