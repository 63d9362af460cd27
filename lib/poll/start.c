/* Coming up and going down: walk, identity, then blocks; when it fails, a pause that grows. */
#include <string.h>

#include "poll/inside.h"

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MOST_MS = 30000 };

static void forget_values(struct dev *d)
{
	for (size_t i = 0; i < d->block_count; i++)
		device_map_lose(d->map, i);
	memset(d->modes, 0, sizeof d->modes);
}

/* 1 s, then twice as long up to 30 s. */
int64_t dev_backoff_us(int64_t last_us)
{
	int64_t us = last_us == 0 ? BACKOFF_FIRST_MS * US_PER_MS : 2 * last_us;

	return us > BACKOFF_MOST_MS * US_PER_MS ? BACKOFF_MOST_MS * US_PER_MS : us;
}

/* Up to a quarter less, so that devices that went together do not all come back in one instant; never less than a
 * second. */
static int64_t next_pause_us(struct dev *d)
{
	int64_t us;

	d->backoff_us = dev_backoff_us(d->backoff_us);
	us = d->backoff_us - (int64_t)(rng_real(&d->poll->rng, 0, 0.25) * (double)d->backoff_us);
	return us < BACKOFF_FIRST_MS * US_PER_MS ? BACKOFF_FIRST_MS * US_PER_MS : us;
}

static bool shares_line(const struct dev *d)
{
	for (size_t i = 0; i < d->line->dev_count; i++)
		if (d->line->devs[i] != d && d->line->devs[i]->state == DEVICE_LIVE)
			return true;
	return false;
}

void dev_lose(struct dev *d, const char *why)
{
	int64_t now_us = poll_clock(d->poll);
	char said[120];

	str_copy(said, sizeof said, why);
	if (d->state != DEVICE_LIVE && shares_line(d))
		d->line->no_try_until_us = now_us + TRY_SHARE * (now_us - d->line->asked_us);
	d->record.sums.tries += d->state == DEVICE_LOST;
	d->phase = PHASE_DOWN;
	d->due_us = now_us + next_pause_us(d);
	d->failures = 0;
	d->met = d->meeting = 0;
	d->brief = false;
	d->cut_short = 0;
	forget_values(d);
	if (d->state != DEVICE_LOST || !str_eq(d->why, said))
		dev_set_state(d, DEVICE_LOST, said);
	write_drop(d, said);
	if (d->poll->hooks.updated != NULL)
		d->poll->hooks.updated(d->poll->hooks.arg, d->index);
}

static void begin_identity(struct dev *d);

void dev_begin(struct dev *d)
{
	if (d->state == DEVICE_WAITING)
		dev_set_state(d, DEVICE_STARTING, "");
	if (d->info->sunspec) {
		device_walk_begin(&d->walk);
		d->phase = PHASE_WALK;
		return;
	}
	begin_identity(d);
}

void dev_walk_answer(struct dev *d, const struct bus_reply *r)
{
	struct device_probe more;
	char why[120];

	if (r->outcome != BUS_OK && r->outcome != BUS_EXCEPTION) {
		bus_reply_words(r, why, sizeof why);
		dev_lose(d, why);
		return;
	}
	d->record.sums.reads += r->outcome == BUS_OK;
	device_walk_answer(&d->walk, r->outcome == BUS_OK ? r->regs : NULL, r->count);
	if (device_walk_next(&d->walk, &more))
		return;
	if (d->walk.found.found)
		begin_identity(d);
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

int64_t dev_fast_us(const struct dev *d)
{
	return (d->site->poll_ms > 0 ? d->site->poll_ms : d->info->timing.poll_ms) * US_PER_MS;
}

static void plan_blocks(struct dev *d)
{
	int64_t fast_us = dev_fast_us(d), now_us = poll_clock(d->poll);

	d->beat = 0;
	for (size_t i = 0; i < d->block_count; i++) {
		struct block_plan *b = &d->plans[i];
		enum device_rate rate = d->blocks[i].rate;
		int64_t period_us = rate == DEVICE_FAST ? fast_us : rate == DEVICE_NORMAL ? US_PER_S : 10 * US_PER_S;

		*b = (struct block_plan){ .due_us = rate == DEVICE_ONCE ? INT64_MAX : now_us,
					  .period_us = period_us > fast_us ? period_us : fast_us,
					  .tried = rate == DEVICE_ONCE, .told = b->told };
		if (rate != DEVICE_ONCE &&
		    (d->blocks[d->beat].rate == DEVICE_ONCE || b->period_us < d->plans[d->beat].period_us))
			d->beat = i;
	}
	d->record.sums.wanted_hz = d->block_count > 0 && d->blocks[d->beat].rate != DEVICE_ONCE
					   ? 1e6 / (double)d->plans[d->beat].period_us : 0;
}

static bool next_once(struct dev *d)
{
	while (d->once_next < d->block_count && d->blocks[d->once_next].rate != DEVICE_ONCE)
		d->once_next++;
	return d->once_next < d->block_count;
}

/* Is it the device that it was? Only a serial number says so for sure, a model that it is not. */
static bool is_another(const struct dev *d, char why[120])
{
	const struct device_identity *now = device_map_identity(d->map), *was = &d->identity;
	const char *hint = "; if it was replaced, restart psecd";

	if (!d->has_identity)
		return false;
	if (was->serial[0] != '\0' && !str_eq(now->serial, was->serial)) {
		snprintf(why, 120, "serial %s instead of %s%s", now->serial[0] ? now->serial : "none", was->serial,
			 hint);
		return true;
	}
	if (was->model[0] != '\0' && now->model[0] != '\0' && !str_eq(now->model, was->model)) {
		snprintf(why, 120, "model %s instead of %s%s", now->model, was->model, hint);
		return true;
	}
	return false;
}

void dev_came(struct dev *d)
{
	d->backoff_us = 0;
	d->record.sums.tries = 0;
	d->identity = *device_map_identity(d->map);
	d->has_identity = true;
	if (d->state != DEVICE_LIVE)
		dev_set_state(d, DEVICE_LIVE, "");
}

/* heard: it has answered since it was down. One that has nothing to say about itself is live with its first value. */
static void go_live(struct dev *d, bool heard)
{
	char why[120];

	if (is_another(d, why)) {
		dev_lose(d, why);
		return;
	}
	if (d->state != DEVICE_LIVE)
		plan_blocks(d);
	d->phase = PHASE_RUN;
	d->failures = 0;
	d->met = d->meeting;
	d->met_us = poll_clock(d->poll);
	if (!heard)
		return;
	dev_came(d);
}

/* What says nothing about itself is met with a value: the first one that is wanted, now. */
static void meet_by_value(struct dev *d)
{
	size_t first = d->block_count;

	for (size_t i = d->block_count; i-- > 0;)
		if (d->plans[i].due_us != INT64_MAX && (first == d->block_count || d->blocks[i].required))
			first = i;
	if (first < d->block_count && d->plans[first].due_us > poll_clock(d->poll))
		d->plans[first].due_us = poll_clock(d->poll);
}

void dev_meet(struct dev *d)
{
	int64_t now_us = poll_clock(d->poll), next_us = d->met_us + dev_fast_us(d);
	bool again = d->state == DEVICE_LIVE;

	d->phase = PHASE_IDENTITY;
	d->met = d->meeting = 0;
	/* Not faster than its beat, also when it ends every connection. */
	d->due_us = again && next_us > now_us ? next_us : now_us;
	d->once_next = 0;
	if (next_once(d))
		return;
	go_live(d, d->info->sunspec && !again);
	if (again && d->phase == PHASE_RUN)
		meet_by_value(d);
}

static void begin_identity(struct dev *d)
{
	struct err e = { 0 };

	if (make_map(d, &e))
		dev_meet(d);
	else
		dev_lose(d, e.text);
}

void dev_identity_step(struct dev *d)
{
	d->meeting = dev_connection(d); /* the questions after the first are held to it */
	d->once_next++;
	if (!next_once(d))
		go_live(d, true);
}
