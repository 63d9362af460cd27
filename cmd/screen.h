/* The picture of `psec control watch`: one JSON object to lines, without traffic and without a terminal, so that tests
 * can look. */
#ifndef PSEC_CMD_SCREEN_H
#define PSEC_CMD_SCREEN_H

#include <jansson.h>

#include "base/base.h"
#include "out/out.h"

struct screen {
	int columns, rows;   /* of the terminal */
	bool utf8, colour;
	int64_t silent_ms;   /* since the last news; shown when it is long */
	int64_t boot_us;     /* now */
	const struct out_spark *grid, *battery, *soc; /* the last minute */
	const char *notice;  /* in place of the picture's last line, or NULL */
};

/* The whole picture with its control sequences: home, every line to its end, the rest wiped. */
void screen_draw(struct buf *b, const struct screen *s, const json_t *o);

#endif
