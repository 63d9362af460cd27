/* Where a site is, and what its file must be before it is believed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "site/site.h"

static const char system_dir[] = PSEC_SYSCONFDIR "/psec";

static bool is_system(const char *dir)
{
	char real[PATH_MAX];

	return str_eq(dir, system_dir) || (realpath(dir, real) && str_eq(real, system_dir));
}

int site_paths_of(const char *dir, struct site_paths *out, struct err *e)
{
	const char *slash;
	size_t len;

	if (!dir)
		dir = getenv("PSEC_SITE");
	if (!dir || !*dir)
		dir = system_dir;
	len = strlen(dir);
	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (len >= sizeof out->dir)
		return err_set(e, ERR_INPUT, 0, "the site's folder has a name of %zu bytes, at most %zu are possible",
			       len, sizeof out->dir - 1);
	memset(out, 0, sizeof *out);
	memcpy(out->dir, dir, len);
	slash = str_eq(out->dir, "/") ? "" : "/";
	/* "." stays out of messages: site.yaml:17, as in the folder itself */
	if (str_eq(out->dir, "."))
		snprintf(out->file, sizeof out->file, "site.yaml");
	else
		snprintf(out->file, sizeof out->file, "%s%ssite.yaml", out->dir, slash);
	snprintf(out->profiles, sizeof out->profiles, "%s%sprofiles", out->dir, slash);
	out->is_system = is_system(out->dir);
	if (out->is_system) {
		snprintf(out->state, sizeof out->state, "/var/lib/psec");
		snprintf(out->run, sizeof out->run, "/run/psec");
	} else {
		snprintf(out->state, sizeof out->state, "%s%sstate", out->dir, slash);
		snprintf(out->run, sizeof out->run, "%s%srun", out->dir, slash);
	}
	snprintf(out->db, sizeof out->db, "%s/psec.db", out->state);
	snprintf(out->socket, sizeof out->socket, "%s/psecd.sock", out->run);
	return 0;
}

static int check_owner(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot examine '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED, 0, "'%s' is not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(e, ERR_REFUSED, 0, "'%s' belongs to user %u, must belong to root or to you: chown it",
			       path, (unsigned)st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, ERR_REFUSED, 0, "'%s' has mode %04o, others may write it: chmod go-w '%s'", path,
			       (unsigned)st.st_mode & 07777, path);
	return 0;
}

int site_read(const char *path, struct site *out, struct diag_sink *sink, struct err *e)
{
	/* O_NONBLOCK: a fifo in its place must not stop us before it is refused */
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	auto_buf struct buf text = BUF_INIT;

	if (fd < 0 && errno == ENOENT) {
		err_set(e, ERR_INPUT, 0, "there is no '%s'; `psec init` writes one", path);
		e->errnum = ENOENT;
		return -1;
	}
	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", path);
	if (check_owner(fd, path, e) < 0 || file_read_fd(fd, path, SITE_FILE_MAX, &text, e) < 0)
		return -1;
	return site_parse(text.data ? text.data : "", text.len, path, out, sink, e);
}
