/* address: a socket's path of any length. By itself, so that psecd, which only listens, maps no JSON library. */
#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int words_address(const char *path, struct sockaddr_un *to, int *dir_fd, struct err *e)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = NULL;

	*dir_fd = -1;
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path)
		return err_set(e, ERR_BUG, 0, "a socket needs a path");
	if (str_copy(to->sun_path, sizeof to->sun_path, path))
		return 0;
	dir = slash ? xstrdup(path) : xstrdup(".");
	if (slash)
		dir[slash == path ? 1 : slash - path] = '\0';
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return err_set(e, errno == ENOENT ? ERR_UNREACHABLE : ERR_IO, errno, "cannot open '%s'", dir);
	if ((size_t)snprintf(to->sun_path, sizeof to->sun_path, "/proc/self/fd/%d/%s", *dir_fd,
			     slash ? slash + 1 : path) >= sizeof to->sun_path)
		return err_set(e, ERR_INPUT, 0, "the name of the socket '%s' is too long", path);
	return 0;
}
