#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "words.h"

/* Is somebody listening there? A full queue (EAGAIN) is somebody, too. */
static bool is_live(const struct sockaddr_un *a)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)a, sizeof *a) == 0 || errno == EAGAIN);
}

static int clear_stale(const char *path, const struct sockaddr_un *a, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "'%s' is there and is not a socket", path);
	if (is_live(a))
		return err_set(e, ERR_AGAIN, 0, "another process already serves '%s'", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(e, ERR_IO, errno, "cannot remove the stale socket '%s'", path);
	return 0;
}

int ctl_listen(const char *path, unsigned mode, int *fd, struct err *e)
{
	auto_close int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	auto_close int dir_fd = -1;
	struct sockaddr_un a;

	if (s < 0)
		return err_set(e, ERR_IO, errno, "cannot make a socket");
	if (words_address(path, &a, &dir_fd, e) < 0)
		return -1;
	/* the socket's own mode is what bind gives the file: it is never open wider, not even for a moment */
	if (fchmod(s, mode) < 0)
		return err_set(e, ERR_IO, errno, "cannot set the mode of a socket");
	if (bind(s, (const struct sockaddr *)&a, sizeof a) < 0) {
		if (errno != EADDRINUSE)
			return err_set(e, ERR_IO, errno, "cannot bind '%s'", path);
		if (clear_stale(path, &a, e) < 0)
			return -1;
		if (bind(s, (const struct sockaddr *)&a, sizeof a) < 0)
			return err_set(e, errno == EADDRINUSE ? ERR_AGAIN : ERR_IO, errno, "cannot bind '%s'", path);
	}
	if (chmod(path, mode) < 0)
		return err_set(e, ERR_IO, errno, "cannot set the mode of '%s'", path);
	if (listen(s, 32) < 0)
		return err_set(e, ERR_IO, errno, "cannot listen on '%s'", path);
	*fd = take_fd(&s);
	return 0;
}
