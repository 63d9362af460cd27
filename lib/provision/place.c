/* Files of an identity. Each is there whole or not at all; a key and its certificate come as one. */
#include "inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder_of(const struct provision_how *how)
{
	return how->place.tpm ? xstrdup(how->place.tpm) : xasprintf("%s/tpm", how->place.state);
}

char *place_path(const struct provision_how *how, const char *name)
{
	auto_free char *folder = folder_of(how);

	return xasprintf("%s/%s", folder, name);
}

int place_make(const struct provision_how *how, struct err *e)
{
	auto_free char *folder = folder_of(how), *policies = place_path(how, "policies");

	/* psecd hands state/ to its own user: others must pass through to it */
	return (how->place.state && dir_make(how->place.state, 0750, e)) || dir_make(folder, 0700, e) ||
	       dir_make(policies, 0700, e) ? -1 : 0;
}

int place_lock(const struct provision_how *how, int *fd, struct err *e)
{
	auto_free char *folder = folder_of(how);
	auto_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (dir < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", folder);
	/* state/ may be psecd-core's: what it could have put there is not written through */
	if (fstat(dir, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 077)
		return err_set(e, ERR_REFUSED, 0, "'%s' must be a folder of yours that nobody else can open: chown, chmod 700",
			       folder);
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, ERR_AGAIN, 0, "another `psec provision` works on '%s'; wait until it has ended",
					 folder)
			       : err_set(e, ERR_IO, errno, "cannot lock '%s'", folder);
	*fd = take_fd(&dir);
	return 0;
}

bool place_has(const struct provision_how *how, const char *name)
{
	auto_free char *path = place_path(how, name);

	return access(path, F_OK) == 0;
}

int place_read(const struct provision_how *how, const char *name, struct buf *to, bool *there, struct err *e)
{
	auto_free char *path = place_path(how, name);

	*there = access(path, F_OK) == 0;
	if (!*there && errno != ENOENT && errno != ENOTDIR)
		return err_set(e, ERR_IO, errno, "cannot look at '%s'", path);
	buf_clear(to);
	buf_adds(to, "");
	return *there ? file_read_regular(path, PLACE_TEXT_MAX, to, e) : 0;
}

int place_write(const struct provision_how *how, const char *name, const void *data, size_t len, struct err *e)
{
	auto_free char *path = place_path(how, name);

	return file_replace_all(path, data, len, 0600, e);
}

int place_remove(const struct provision_how *how, const char *name, struct err *e)
{
	auto_free char *path = place_path(how, name);

	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_set(e, ERR_IO, errno, "cannot remove '%s'", path);
	return 0;
}

static int sync_folder(const struct provision_how *how, struct err *e)
{
	auto_free char *folder = folder_of(how);

	return dir_sync(folder, e);
}

/* Calls fn for each name of the folder; 0 goes on. */
static int each_name(const struct provision_how *how, int (*fn)(int at, const char *name, void *arg, struct err *e),
		     void *arg, struct err *e)
{
	auto_free char *folder = folder_of(how);
	DIR *dir = opendir(folder);
	struct dirent *f;
	int rc = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_set(e, ERR_IO, errno, "cannot read '%s'", folder);
	while (rc == 0 && (f = readdir(dir)))
		rc = fn(dirfd(dir), f->d_name, arg, e);
	closedir(dir);
	return rc;
}

/* What file_replace had begun when it was killed: NAME.8 hex.new. */
static int drop_half(int at, const char *name, void *arg, struct err *e)
{
	size_t len = strlen(name);

	(void)arg;
	if (len > 13 && str_eq(name + len - 4, ".new") && name[len - 13] == '.' &&
	    strspn(name + len - 12, "0123456789abcdef") == 8 && unlinkat(at, name, 0) < 0 && errno != ENOENT)
		return err_set(e, ERR_IO, errno, "cannot remove '%s'", name);
	return 0;
}

/* ---- the LDevID's key and certificate ----
 *
 * They are two files, because programs ask for two, and must never be of two generations: a key beside another key's
 * certificate is no identity. So each generation is a folder of its own, ldevid-NUMBER, written and synced before
 * anyone looks there. `ldevid` is a link to the one in force, and `ldevid.key` and `ldevid.pem` are links through it,
 * made once. One rename of `ldevid` is the change from one pair to the other; a kill before it leaves the old pair in
 * force, a kill after it the new one, and what is left over of either is removed by the next call.
 */

static int link_to(const struct provision_how *how, const char *name, const char *target, struct err *e)
{
	auto_free char *path = place_path(how, name), *beside = xasprintf("%s.new", path);
	char now[64] = "";

	if (readlink(path, now, sizeof now - 1) > 0 && str_eq(now, target))
		return 0;
	if ((unlink(beside) < 0 && errno != ENOENT) || symlink(target, beside) < 0 || rename(beside, path) < 0)
		return err_set(e, ERR_IO, errno, "cannot put '%s' in place", path);
	return 0;
}

int place_put_ldevid(const struct provision_how *how, const struct buf *key, const char *chain,
		     const char *fingerprint, struct err *e)
{
	auto_free char *name = xasprintf("ldevid-%.16s", fingerprint), *folder = place_path(how, name);
	auto_free char *key_path = xasprintf("%s/ldevid.key", folder), *cert_path = xasprintf("%s/ldevid.pem", folder);
	const struct provision_how within = { .place.tpm = folder };

	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_set(e, ERR_IO, errno, "cannot make '%s'", folder);
	if (each_name(&within, drop_half, NULL, e)) /* an installation that was cut began the same one */
		return -1;
	if (file_replace(key_path, key->data, key->len, 0600, e) ||
	    file_replace(cert_path, chain, strlen(chain), 0600, e) ||
	    link_to(how, "ldevid.key", "ldevid/ldevid.key", e) || link_to(how, "ldevid.pem", "ldevid/ldevid.pem", e) ||
	    sync_folder(how, e))
		return -1;
	return link_to(how, "ldevid", name, e) || sync_folder(how, e) ? -1 : 0;
}

static int remove_tree(int at, const char *name, struct err *e)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *f;
	DIR *dir;

	if (fd < 0)
		return unlinkat(at, name, 0) < 0 && errno != ENOENT ? err_set(e, ERR_IO, errno, "cannot remove '%s'", name) : 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return err_set(e, ERR_IO, errno, "cannot read '%s'", name);
	}
	while ((f = readdir(dir)))
		if (!str_eq(f->d_name, ".") && !str_eq(f->d_name, ".."))
			(void)unlinkat(fd, f->d_name, 0); /* what stays is told by the folder's own removal */
	closedir(dir);
	return unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT
		       ? err_set(e, ERR_IO, errno, "cannot remove '%s'", name) : 0;
}

struct generations {
	char current[64];
	bool remove, found;
};

static int look_at(int at, const char *name, void *arg, struct err *e)
{
	struct generations *g = arg;

	if (!str_starts(name, "ldevid-") || str_eq(name, g->current))
		return 0;
	g->found = true;
	return g->remove ? remove_tree(at, name, e) : 0;
}

static void current_of(const struct provision_how *how, char to[64])
{
	auto_free char *path = place_path(how, "ldevid");
	ssize_t n = readlink(path, to, 63);

	to[n > 0 ? n : 0] = '\0';
}

bool place_has_old_ldevid(const struct provision_how *how)
{
	struct generations g = { .remove = false };
	struct err ignored;

	current_of(how, g.current);
	return each_name(how, look_at, &g, &ignored) == 0 && g.found;
}

int place_drop_old_ldevids(const struct provision_how *how, bool current, struct err *e)
{
	struct generations g = { .remove = true };

	if (current) {
		if (place_remove(how, "ldevid", e) || place_remove(how, "ldevid.key", e) ||
		    place_remove(how, "ldevid.pem", e))
			return -1;
	} else {
		current_of(how, g.current);
	}
	return each_name(how, look_at, &g, e);
}

int place_drop_half_files(const struct provision_how *how, struct err *e)
{
	auto_free char *policies = place_path(how, "policies");
	const struct provision_how within = { .place = { .tpm = policies } };

	/* and links that were about to be put in place */
	if (place_remove(how, "ldevid.new", e) || place_remove(how, "ldevid.key.new", e) ||
	    place_remove(how, "ldevid.pem.new", e))
		return -1;
	return each_name(how, drop_half, NULL, e) || each_name(&within, drop_half, NULL, e) ? -1 : 0;
}

/* Another board's identity: out of the way, and kept. */
int place_aside(const struct provision_how *how, const char *name, struct err *e)
{
	auto_free char *folder = folder_of(how), *secrets = secrets_path(how), *to = NULL, *to_secrets = NULL;

	to = xasprintf("%s.%s", folder, name);
	to_secrets = xasprintf("%s/secrets", folder);
	/* the secrets first: without their folder nobody would know whose they are */
	if (rename(secrets, to_secrets) < 0 && errno != ENOENT)
		return err_set(e, ERR_IO, errno, "cannot move '%s' aside", secrets);
	if (rename(folder, to) < 0)
		return err_set(e, ERR_IO, errno, "cannot move '%s' aside to '%s'", folder, to);
	return place_make(how, e);
}
