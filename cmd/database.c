#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* As psecd-core, whose user may have no way through the folders above. */
static int enter_folder(const char *folder, struct database *d, struct err *e)
{
	d->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->folder < 0 || chdir(folder) < 0)
		return err_set(e, ERR_IO, errno, "cannot enter '%s'", folder);
	return 0;
}

/* Root becomes who the database belongs to, so that no file is left behind that psecd-core cannot open. */
static int become(const struct stat *st, struct err *e)
{
	if (geteuid() != 0 || st->st_uid == 0)
		return 0;
	if (setegid(st->st_gid) < 0 || seteuid(st->st_uid) < 0)
		return err_set(e, ERR_IO, errno, "cannot become the user of the database");
	return 0;
}

static int open_as(const struct cmd_env *env, const struct stat *owner, struct database *d, struct err *e)
{
	bool recovered = false;

	if (enter_folder(env->paths.state, d, e) < 0 || become(owner, e) < 0)
		return -1;
	if (store_open("psec.db", NULL, &d->store, &recovered, e) < 0)
		return err_ctx(e, "'%s'", env->paths.state);
	if (recovered)
		fprintf(env->err, "the database was broken; it is kept aside, and a new one is begun\n");
	return 0;
}

int database_open(const struct cmd_env *env, struct database *d, struct err *e)
{
	const char *path = env->paths.db;
	struct stat st;

	*d = DATABASE_NONE;
	if (stat(path, &st) < 0)
		return errno == ENOENT
			       ? err_set(e, ERR_INPUT, 0, "'%s' does not exist: psecd has not recorded here yet", path)
			       : err_set(e, ERR_IO, errno, "cannot look at '%s'", path);
	return open_as(env, &st, d, e);
}

int database_begin(const struct cmd_env *env, struct database *d, struct err *e)
{
	struct stat st;

	if (stat(env->paths.db, &st) == 0 || errno != ENOENT)
		return database_open(env, d, e);
	*d = DATABASE_NONE;
	if (dir_make(env->paths.state, 0750, e) < 0)
		return -1;
	if (stat(env->paths.state, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot look at '%s'", env->paths.state);
	return open_as(env, &st, d, e);
}

void database_close(struct database *d)
{
	store_close(d->store);
	d->store = NULL;
	if (seteuid(d->uid) < 0 || setegid(d->gid) < 0)
		abort();
	if (d->folder >= 0 && (fchdir(d->folder) < 0 || close(d->folder) < 0))
		abort();
	d->folder = -1;
}
