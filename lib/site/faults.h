/* A sink that keeps what it gets and hands it on in the order of the lines. Private to site. */
#ifndef SITE_FAULTS_H
#define SITE_FAULTS_H

#include "base/base.h"

struct fault {
	int line, order;
	char *path, *text;
};

struct faults {
	struct fault *list;
	int count;
};

void faults_begin(struct faults *f, struct diag_sink *sink);
/* Hand them to `to` (may be NULL) and free them. */
void faults_end(struct faults *f, const char *file, struct diag_sink *to);

#endif
