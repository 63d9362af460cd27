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
			r = err_set(e, ERR_UNREACHABLE, 0, "'%s' did not answer everything in %d ms", s->name, timeout_ms);
	}
	if (r == 0 && d->state == DEVICE_LOST)
		r = err_set(e, ERR_UNREACHABLE, 0, "'%s': %s", s->name, d->why);
	if (r == 0)
		*out = take(d->map);
	poll_free(p);
	loop_free(l);
	return r;
}

/* ---- which SunSpec device is it? ---- */

struct walker {
	struct bus_link *link;
	struct device_walk walk;
	uint8_t unit;
	bool done;
	int r;
	struct err *e;
};

static void ask(struct walker *w);

static void answered(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct walker *w = arg;
	char why[120];

	(void)q;
	if (r->outcome != BUS_OK && r->outcome != BUS_EXCEPTION) {
		reply_words(r, why, sizeof why);
		w->r = err_set(w->e, ERR_UNREACHABLE, 0, "%s", why);
		w->done = true;
		return;
	}
	device_walk_answer(&w->walk, r->outcome == BUS_OK ? r->regs : NULL, r->count);
	ask(w);
}

static void ask(struct walker *w)
{
	struct bus_request q = { .unit = w->unit };
	struct device_probe p;

	w->done = !device_walk_next(&w->walk, &p);
	if (w->done)
		return;
	q.function = p.function;
	q.address = p.address;
	q.count = p.count;
	if (bus_link_ask(w->link, &q, 0, answered, w, w->e) < 0) {
		w->r = -1;
		w->done = true;
	}
}

int poll_identify(const struct bus_address *address, const struct device_catalogue *c, int timeout_ms,
		  const struct device_profile **out, struct err *e)
{
	const struct bus_options options = { 0 };
	struct walker w = { .unit = address->unit, .e = e };
	int64_t deadline = now_read().boot_us + timeout_ms * US_PER_MS;
	char text[BUS_ADDRESS_LEN];
	struct loop *l;

	if (loop_new(&l, e) < 0)
		return -1;
	w.r = bus_link_new(l, address, &options, &w.link, e);
	if (w.r == 0) {
		device_walk_begin(&w.walk);
		ask(&w);
		while (w.r == 0 && !w.done) {
			if (loop_turn(l, deadline, e) < 0)
				w.r = -1;
			else if (!w.done && now_read().boot_us >= deadline)
				w.r = err_set(e, ERR_UNREACHABLE, 0, "no answer in %d ms", timeout_ms);
		}
		bus_link_free(w.link);
	}
	loop_free(l);
	bus_address_format(address, text);
	if (w.r < 0)
		return err_ctx(e, "%s", text);
	*out = w.walk.found.found ? device_sunspec_profile(c, &w.walk.found) : NULL;
	if (*out != NULL)
		return 0;
	return err_set(e, ERR_INPUT, 0, "%s: %s; say which profile with --profile, `psec device list` shows them", text,
		       w.walk.found.found ? "no profile fits its SunSpec models" : w.walk.why);
}
