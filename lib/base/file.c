#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int file_read_fd(int fd, const char *name, size_t max, struct buf *b, struct err *e)
{
	char chunk[16384];

	buf_clear(b);
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n < 0 && errno == EINTR) /* who sends a signal may wait for a writer that never writes */
			return err_set(e, ERR_INTERRUPTED, 0, "interrupted while reading '%s'", name);
		if (n < 0)
			return err_set(e, ERR_IO, errno, "cannot read '%s'", name);
		if (n == 0)
			break;
		if ((size_t)n > max - b->len)
			return err_set(e, ERR_INPUT, 0, "'%s' is larger than %zu bytes", name, max);
		buf_add(b, chunk, (size_t)n);
	}
	if (!b->data)
		buf_adds(b, "");
	return 0;
}

/* A pipe that was handed to us (`<(…)`, /dev/stdin) has somebody who writes; one with a name in a folder may have none,
 * ever. */
static bool is_handed_pipe(int fd, const struct stat *st)
{
	struct statfs fs;

	return S_ISFIFO(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC &&
	       fcntl(fd, F_SETFL, O_RDONLY) == 0;
}

int file_open(const char *path, int *out, struct err *e)
{
	bool standard = str_eq(path, "-");
	auto_close int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				     : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, ERR_IO, errno, standard ? "cannot use standard input" : "cannot open '%s'", path);
	if (!standard && !S_ISREG(st.st_mode) && !is_handed_pipe(fd, &st))
		return err_set(e, ERR_INPUT, 0, "'%s' is %s, must be a regular file", path,
			       S_ISDIR(st.st_mode) ? "a folder" : S_ISFIFO(st.st_mode) ? "a fifo" : "a device");
	*out = take_fd(&fd);
	return 0;
}

int file_read(const char *path, size_t max, struct buf *b, struct err *e)
{
	auto_close int fd = -1;

	return file_open(path, &fd, e) ? -1 : file_read_fd(fd, str_eq(path, "-") ? "standard input" : path, max, b, e);
}

int file_read_regular(const char *path, size_t max, struct buf *b, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED, 0, "'%s' is not a regular file", path);
	return file_read_fd(fd, path, max, b, e);
}

int fd_write_all(int fd, const void *data, size_t len, struct err *e)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			if (poll(&wait, 1, -1) < 0 && errno != EINTR)
				return err_set(e, ERR_IO, errno, "cannot write");
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_IO, errno, "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int dir_sync(const char *dir, struct err *e)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Some file systems cannot sync a folder and say EINVAL; they order the rename themselves. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return err_set(e, ERR_IO, errno, "cannot sync '%s'", dir);
	return 0;
}

/* A new file beside path. Not mkstemp: the caller's umask is to count for a file that did not exist. */
static int open_beside(const char *path, unsigned mode, char **name, struct err *e)
{
	for (int i = 0; i < 100; i++) {
		auto_free char *tmp = NULL;
		uint32_t word = 0;
		int fd;

		if (getrandom(&word, sizeof word, GRND_NONBLOCK) != sizeof word)
			word = (uint32_t)getpid() + (uint32_t)i;
		tmp = xasprintf("%s.%08x.new", path, word);
		fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd >= 0) {
			*name = take(tmp);
			return fd;
		}
		if (errno != EEXIST)
			return err_set(e, ERR_IO, errno, "cannot write beside '%s'", path);
	}
	return err_set(e, ERR_IO, EEXIST, "cannot write beside '%s'", path);
}

/* What stands at path keeps its mode, and its owner where we may give files away. */
static int keep_owner(int fd, const char *path, struct err *e)
{
	struct stat old;

	if (stat(path, &old) == 0) {
		if (!S_ISREG(old.st_mode))
			return err_set(e, ERR_IO, 0, "cannot replace '%s': not a regular file", path);
		if (fchown(fd, old.st_uid, old.st_gid) < 0 && errno != EPERM)
			return err_set(e, ERR_IO, errno, "cannot give '%s' to its owner", path);
		if (fchmod(fd, old.st_mode & 07777) < 0)
			return err_set(e, ERR_IO, errno, "cannot set the mode of '%s'", path);
	}
	return 0;
}

static int fill(int fd, const char *path, const void *data, size_t len, struct err *e)
{
	if (fd_write_all(fd, data, len, e) < 0)
		return err_ctx(e, "'%s'", path);
	if (fsync(fd) < 0)
		return err_set(e, ERR_IO, errno, "cannot sync '%s'", path);
	return 0;
}

static int replace(const char *path, bool keep, const void *data, size_t len, unsigned mode, struct err *e)
{
	auto_free char *dir = NULL;
	auto_free char *name = NULL;
	auto_close int fd = open_beside(path, mode, &name, e);

	if (fd < 0)
		return -1;
	if ((keep && keep_owner(fd, path, e) < 0) || fill(fd, path, data, len, e) < 0) {
		unlink(name);
		return -1;
	}
	if (rename(name, path) < 0) {
		err_set(e, ERR_IO, errno, "cannot replace '%s'", path);
		unlink(name);
		return -1;
	}
	dir = xstrdup(path);
	return dir_sync(dirname(dir), e);
}

int file_replace(const char *path, const void *data, size_t len, unsigned mode, struct err *e)
{
	/* A link is followed, so that the file it names changes and the link stays. */
	auto_free char *real = realpath(path, NULL);

	return replace(real ? real : path, true, data, len, mode, e);
}

int file_replace_all(const char *path, const void *data, size_t len, unsigned mode, struct err *e)
{
	return replace(path, false, data, len, mode, e);
}

int dir_make(const char *path, unsigned mode, struct err *e)
{
	auto_free char *part = xstrdup(path);
	struct stat st;

	for (char *p = part + 1; *part && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, mode | 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return err_set(e, ERR_IO, errno, "cannot make the folder '%s'", part);
		*p = '/';
	}
	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return err_set(e, ERR_IO, errno, "cannot make the folder '%s'", path);
	if (stat(path, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot look at '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_IO, ENOTDIR, "cannot make the folder '%s'", path);
	return 0;
}
