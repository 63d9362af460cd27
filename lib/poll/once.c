/* One device, once, in a loop of its own: for commands without a daemon. */
#include <string.h>

#include "poll/inside.h"

static bool all_tried(const struct dev *d)
{
	if (d->phase != PHASE_RUN)
		return false;
	for (size_t i = 0; i < d->block_count; i++)
		if (!d->plans[i].tried)
			return false;
	return device_map_settled(d->map);
}

int poll_read_once(const struct site_device *s, const struct device_profile *profile, int timeout_ms,
		   struct device_map **out, struct err *e)
{
	struct loop *l;
	struct poll *p;
	struct dev *d;
	int64_t deadline;
	int r = 0;

	if (loop_new(&l, e) < 0)
		return -1;
	p = xcalloc(1, sizeof *p);
	p->loop = l;
	p->only_once = true;
	poll_add_device(p, 0, s, profile);
	d = &p->devs[0];
	deadline = now_read().boot_us + timeout_ms * US_PER_MS;
	poll_start(p);
	while (r == 0 && !all_tried(d) && d->state != DEVICE_LOST) {
		r = loop_turn(l, deadline, e);
		if (r == 0 && !all_tried(d) && d->state != DEVICE_LOST && now_read().boot_us >= deadline)
			r = err_set(e, ERR_UNREACHABLE, 0, "'%s' did not answer everything in %d ms", s->name,
				    timeout_ms);
	}
	if (r == 0 && d->state == DEVICE_LOST)
		r = err_set(e, ERR_UNREACHABLE, 0, "'%s': %s", s->name, d->why);
	if (r == 0)
		*out = take(d->map);
	poll_free(p);
	loop_free(l);
	return r;
}
