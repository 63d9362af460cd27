/* vfs: SQLite's own file layer, but a path is opened as it was given. SQLite makes every path absolute and looks at
 * each folder above it; psecd-core stands in its state folder and may have no right to pass through what lies above. */
#include "db.h"

#include <string.h>

static int as_given(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
	(void)vfs;
	return str_copy(out, (size_t)len, name) ? SQLITE_OK : SQLITE_CANTOPEN;
}

const char *db_vfs(void)
{
	static sqlite3_vfs own;
	const sqlite3_vfs *unix_vfs;

	if (!own.zName && (unix_vfs = sqlite3_vfs_find(NULL))) {
		own = *unix_vfs;
		own.pNext = NULL;
		own.xFullPathname = as_given;
		own.zName = "psec";
		if (sqlite3_vfs_register(&own, 0) != SQLITE_OK)
			own.zName = NULL;
	}
	return own.zName;
}
