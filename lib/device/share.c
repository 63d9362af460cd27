/* Where installed data lie. */
#include "device/parts.h"

char *share_path(const char *what, char to[512])
{
	const char *share = getenv("PSEC_SHARE");

	snprintf(to, 512, "%s/%s", share && *share ? share : PSEC_SHARE, what);
	return to;
}
