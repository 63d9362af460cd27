/* Which time ages are told by. A clock may jump years ahead (a flat battery, a bad server) and back again, and what was
 * dropped meanwhile does not come back: a jump is believed when it has stood for a day. */
#include "db.h"

#include <stdlib.h>

#define JUMP_US (86400 * US_PER_S)    /* further ahead than this in one step is a jump */
#define SETTLED_US (86400 * US_PER_S) /* so long it must stand, psecd running */
#define DRIFT_US (3600 * US_PER_S)    /* and stay the same jump */
#define MARK_US (3600 * US_PER_S)     /* how often the believed time is written down */

static bool is_believed(struct store *s, const struct now *now, int64_t expected_us)
{
	int64_t offset_us = now->utc_us - now->boot_us;

	if (s->clock.utc_us == INT64_MIN || now->utc_us <= expected_us + JUMP_US) {
		s->clock.jumped = false;
		return true;
	}
	if (!s->clock.jumped || llabs(offset_us - s->clock.jump_offset_us) > DRIFT_US) {
		s->clock.jumped = true;
		s->clock.jump_offset_us = offset_us;
		s->clock.jump_boot_us = now->boot_us;
	}
	return now->boot_us - s->clock.jump_boot_us >= SETTLED_US;
}

int clock_believed(struct store *s, const struct now *now, int64_t *utc_us, struct err *e)
{
	int64_t expected_us;

	if (!s->clock.runs) { /* how long we were away, only the clock itself could say */
		s->clock.runs = true;
		s->clock.boot_us = now->boot_us;
	}
	expected_us = s->clock.utc_us == INT64_MIN ? now->utc_us : s->clock.utc_us + (now->boot_us - s->clock.boot_us);
	if (!is_believed(s, now, expected_us)) {
		*utc_us = expected_us;
		return 0;
	}
	*utc_us = s->clock.utc_us = now->utc_us;
	s->clock.boot_us = now->boot_us;
	s->clock.jumped = false;
	if (s->clock.marked_us != INT64_MIN && llabs(now->utc_us - s->clock.marked_us) < MARK_US)
		return 0;
	if (mark_set(s, "clock", now->utc_us, e))
		return -1;
	s->clock.marked_us = now->utc_us;
	return 0;
}
