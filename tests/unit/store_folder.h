/* A folder of the test's own, and where psec.db is in it. */
#ifndef PSEC_TESTS_STORE_FOLDER_H
#define PSEC_TESTS_STORE_FOLDER_H

#include "store/store.h"

#include <glob.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define T0 (INT64_C(1767225600) * US_PER_S) /* 2026-01-01 */

static char folder[64], path[128];
static struct err e;

static inline int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/psec-store-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/psec.db", folder);
	e = (struct err){ 0 };
	return 0;
}

static inline int remove_folder(void **state)
{
	auto_free char *pattern = xasprintf("%s/*", folder);
	glob_t g;

	(void)state;
	if (glob(pattern, 0, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc; i++)
			unlink(g.gl_pathv[i]);
		globfree(&g);
	}
	return rmdir(folder);
}

static inline void ok(int rc)
{
	if (rc)
		fail_msg("%s", e.text);
}

#endif
