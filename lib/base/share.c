/* Where data lie that came with the program. */
#include "base/base.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* PREFIX of a program at PREFIX/bin/NAME (or sbin); "" when it cannot be known. */
static void own_prefix(char to[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", to, PATH_MAX - 1);
	char *slash;

	to[n > 0 ? n : 0] = '\0';
	for (int up = 0; up < 2; up++) {
		slash = strrchr(to, '/');
		if (slash)
			*slash = '\0';
	}
}

char *share_path(const char *what, char to[SHARE_PATH_LEN])
{
	const char *share = getenv("PSEC_SHARE");
	char beside[PATH_MAX + 16], prefix[PATH_MAX];

	if (!share || !*share) {
		own_prefix(prefix);
		snprintf(beside, sizeof beside, "%s/share/psec", prefix);
		share = access(beside, R_OK) == 0 ? beside : PSEC_SHARE;
	}
	if (snprintf(to, SHARE_PATH_LEN, "%s/%s", share, what) >= SHARE_PATH_LEN)
		to[0] = '\0'; /* no file, rather than another one */
	return to;
}
