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

#endif
