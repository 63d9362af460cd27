/* Coming up and going down: walk, identity, then blocks; when it fails, a pause that grows. */
#include <string.h>

#include "poll/inside.h"

void dev_forget_values(struct dev *d)
{
	for (size_t i = 0; i < d->block_count; i++)
		device_map_lose(d->map, i);
	memset(d->modes, 0, sizeof d->modes);
}

void dev_lose(struct dev *d, const char *why)
{
	char said[120];

	str_copy(said, sizeof said, why);
	d->backoff_us = d->backoff_us == 0 ? BACKOFF_FIRST_MS * US_PER_MS : 2 * d->backoff_us;
	if (d->backoff_us > BACKOFF_MOST_MS * US_PER_MS)
		d->backoff_us = BACKOFF_MOST_MS * US_PER_MS;
	d->phase = PHASE_DOWN;
	d->due_us = poll_clock(d->poll) + d->backoff_us;
	d->failures = 0;
	dev_forget_values(d);
	if (d->state != DEVICE_LOST || !str_eq(d->why, said))
		dev_set_state(d, DEVICE_LOST, said);
	write_drop(d, said);
	if (d->poll->hooks.updated != NULL && d->map != NULL)
		d->poll->hooks.updated(d->poll->hooks.arg, d->index);
}

void dev_begin(struct dev *d)
{
	if (d->state == DEVICE_WAITING)
		dev_set_state(d, DEVICE_STARTING, "");
	if (d->info->sunspec) {
		device_walk_begin(&d->walk);
		d->phase = PHASE_WALK;
		return;
	}
	dev_enter_identity(d);
}

void dev_walk_answer(struct dev *d, const struct bus_reply *r)
{
	struct device_probe more;
	char why[120];

	if (r->outcome != BUS_OK && r->outcome != BUS_EXCEPTION) {
		reply_words(r, why, sizeof why);
		dev_lose(d, why);
		return;
	}
	d->stats.reads += r->outcome == BUS_OK;
	device_walk_answer(&d->walk, r->outcome == BUS_OK ? r->regs : NULL, r->count);
	if (device_walk_next(&d->walk, &more))
		return;
	if (d->walk.found.found)
		dev_enter_identity(d);
	else
		dev_lose(d, d->walk.why);
}

/* Of a device that no site names: every role that its profile and registers fill. */
static unsigned roles_that_fit(const struct dev *d, const struct device_sunspec *found)
{
	unsigned roles = 0;
	struct err e;

	for (int r = 0; r < SITE_ROLE_COUNT; r++) {
		struct device_map *map;

		if (d->info->roles & 1u << r && device_map_new(d->profile, 1u << r, false, found, &map, &e) == 0) {
			device_map_free(map);
			roles |= 1u << r;
		}
	}
	return roles != 0 ? roles : d->info->roles; /* none: the map says what is missing */
}

/* Lay the profile on what the walk found; the old map stays when nothing has changed, so that its readers need not
 * notice. */
static bool make_map(struct dev *d, struct err *e)
{
	const struct device_sunspec *found = d->info->sunspec ? &d->walk.found : NULL;
	struct device_map *map;

	if (d->map != NULL && (found == NULL || memcmp(found, &d->sunspec, sizeof *found) == 0))
		return true;
	if (d->roles == 0)
		d->roles = roles_that_fit(d, found);
	if (device_map_new(d->profile, d->roles, d->site->reversed, found, &map, e) < 0)
		return false;
	device_map_free(d->map);
	d->map = map;
	if (found != NULL)
		d->sunspec = *found;
	d->block_count = device_map_blocks(map, &d->blocks);
	free(d->plans);
	d->plans = xcalloc(d->block_count + 1, sizeof *d->plans);
	return true;
}

static void plan_blocks(struct dev *d)
{
	int64_t fast_us = (d->site->poll_ms > 0 ? d->site->poll_ms : d->info->timing.poll_ms) * US_PER_MS;
	int64_t now_us = poll_clock(d->poll);

	for (size_t i = 0; i < d->block_count; i++) {
		struct block_plan *b = &d->plans[i];
		enum device_rate rate = d->blocks[i].rate;
		int64_t period_us = rate == DEVICE_FAST ? fast_us : rate == DEVICE_NORMAL ? US_PER_S : 10 * US_PER_S;

		*b = (struct block_plan){ .due_us = rate == DEVICE_ONCE ? INT64_MAX : now_us,
					  .period_us = period_us > fast_us ? period_us : fast_us,
					  .tried = rate == DEVICE_ONCE };
	}
}

static bool next_once(struct dev *d)
{
	while (d->once_next < d->block_count && d->blocks[d->once_next].rate != DEVICE_ONCE)
		d->once_next++;
	return d->once_next < d->block_count;
}

/* Is it the device that it was? Only a serial number says so. */
static bool is_another(const struct dev *d, char why[120])
{
	const struct device_identity *now = device_map_identity(d->map);

	if (!d->has_identity || d->identity.serial[0] == '\0' || now->serial[0] == '\0' ||
	    str_eq(d->identity.serial, now->serial))
		return false;
	snprintf(why, 120, "serial %s instead of %s", now->serial, d->identity.serial);
	return true;
}

/* heard: it has answered since it was down. One that has nothing to say about itself is live with its first value. */
static void go_live(struct dev *d, bool heard)
{
	bool again = d->state == DEVICE_LIVE;
	char why[120] = "";
	bool another = is_another(d, why);

	d->phase = PHASE_RUN;
	d->backoff_us = 0;
	d->failures = 0;
	d->identity = *device_map_identity(d->map);
	d->has_identity = true;
	if (d->line->link != NULL)
		d->connects_seen = bus_link_counters(d->line->link)->connects;
	plan_blocks(d);
	if (another)
		write_drop(d, why); /* it was meant for the other one */
	if (heard && (!again || another))
		dev_set_state(d, DEVICE_LIVE, why);
}

void dev_enter_identity(struct dev *d)
{
	struct err e = { 0 };

	if (!make_map(d, &e)) {
		dev_lose(d, e.text);
		return;
	}
	d->phase = PHASE_IDENTITY;
	d->due_us = poll_clock(d->poll);
	d->once_next = 0;
	if (!next_once(d))
		go_live(d, d->info->sunspec);
}

void dev_identity_step(struct dev *d)
{
	d->once_next++;
	if (!next_once(d))
		go_live(d, true);
}
