/* own_profiles.h: profiles of a test, loaded as a site's own from a folder that is gone afterwards. */
#ifndef PSEC_TESTS_OWN_PROFILES_H
#define PSEC_TESTS_OWN_PROFILES_H

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/device.h"
#include "unit.h"

struct said { char text[8192]; };

/* A diag_sink's fn: "LINE: PATH TEXT" a line. */
static inline void listen_to_diags(void *arg, const struct diag *d)
{
	struct said *s = arg;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof s->text - n, "%d: %s %s\n", d->line, d->path, d->text);
}

/* texts ends with NULL; said gets the faults, "" when there are none. Caller frees. */
static inline struct device_catalogue *own_profiles(const char *const *texts, mode_t mode, struct said *said)
{
	char folder[] = "/tmp/psec-profiles-XXXXXX", path[64];
	struct diag_sink sink = { listen_to_diags, said, 0 };
	struct device_catalogue *c;
	struct err e;
	int n = 0;

	assert_non_null(mkdtemp(folder));
	for (; texts[n] != NULL; n++) {
		FILE *f;

		snprintf(path, sizeof path, "%s/%d.yaml", folder, n);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(texts[n], f);
		fclose(f);
		chmod(path, mode);
	}
	said->text[0] = '\0';
	if (device_catalogue_load(folder, &c, &sink, &e) < 0)
		fail_msg("%s", e.text);
	while (n-- > 0) {
		snprintf(path, sizeof path, "%s/%d.yaml", folder, n);
		unlink(path);
	}
	rmdir(folder);
	return c;
}

#endif
