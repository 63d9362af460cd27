/* The room's face: make, start, ask, free. */
#include <string.h>

#include "poll/inside.h"

int64_t poll_clock(const struct poll *p)
{
	return loop_now(p->loop)->boot_us;
}

void dev_set_state(struct dev *d, enum device_state s, const char *why)
{
	bool same = d->state == s && why[0] == '\0';

	d->state = s;
	if (s == DEVICE_LOST)
		str_copy(d->why, sizeof d->why, why);
	if (!same && d->poll->hooks.state != NULL)
		d->poll->hooks.state(d->poll->hooks.arg, d->index, s, why);
}

uint64_t dev_connection(const struct dev *d)
{
	return d->line->link != NULL ? bus_link_counters(d->line->link)->connects : 0;
}

static void on_timer(void *arg)
{
	line_pump(arg);
}

static struct line *line_of(struct poll *p, const struct site_device *d, const struct device_timing *t)
{
	struct line *k = NULL;

	for (size_t i = 0; i < p->line_count; i++)
		if (bus_address_same_link(&p->lines[i].address, &d->address))
			k = &p->lines[i];
	if (k == NULL) {
		k = &p->lines[p->line_count++];
		*k = (struct line){ .poll = p, .address = d->address };
		k->timer.fn = on_timer;
		k->timer.arg = k;
	}
	if (t->pause_ms > k->options.pause_ms) /* the most sensitive device of a line sets its pace */
		k->options.pause_ms = (int)t->pause_ms;
	if (t->answer_ms > k->options.answer_ms)
		k->options.answer_ms = (int)t->answer_ms;
	return k;
}

void poll_add_device(struct poll *p, int index, const struct site_device *s, const struct device_profile *profile)
{
	struct dev *d = &p->devs[p->dev_count++];
	const struct device_profile_info *info = device_profile_info(profile);

	*d = (struct dev){ .poll = p, .index = index, .site = s, .profile = profile, .info = info, .roles = s->roles };
	d->line = line_of(p, s, &info->timing);
	d->line->devs[d->line->dev_count++] = d;
}

/* Serial lines are opened now, while the process may still have the right to; what fails is tried again with its first
 * question. */
static void open_lines(struct poll *p)
{
	for (size_t i = 0; i < p->line_count; i++) {
		struct line *k = &p->lines[i];
		struct err e;

		if (k->address.kind == BUS_RTU && bus_link_new(p->loop, &k->address, &k->options, &k->link, &e) < 0)
			k->link = NULL;
	}
}

int poll_new(struct loop *l, const struct site *s, const struct device_catalogue *c, const struct poll_hooks *hooks,
	     struct poll **out, struct err *e)
{
	struct poll *p = xcalloc(1, sizeof *p);

	p->loop = l;
	rng_seed(&p->rng, (uint64_t)loop_now(l)->boot_us);
	if (hooks != NULL)
		p->hooks = *hooks;
	for (size_t i = 0; i < s->device_count; i++) {
		const struct device_profile *profile = device_profile_find(c, s->devices[i].profile);

		if (profile == NULL) {
			err_set(e, ERR_INPUT, 0, "device '%s': no profile '%s'", s->devices[i].name,
				s->devices[i].profile);
			poll_free(p);
			return -1;
		}
		poll_add_device(p, (int)i, &s->devices[i], profile);
	}
	open_lines(p);
	*out = p;
	return 0;
}

void poll_free(struct poll *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->line_count; i++) {
		loop_timer_stop(p->loop, &p->lines[i].timer);
		bus_link_free(p->lines[i].link);
	}
	for (size_t i = 0; i < p->dev_count; i++) {
		device_map_free(p->devs[i].map);
		free(p->devs[i].plans);
	}
	free(p);
}

void poll_start(struct poll *p)
{
	if (p->started)
		return;
	p->started = true;
	for (size_t i = 0; i < p->line_count; i++)
		line_pump(&p->lines[i]);
}

static struct dev *find(const struct poll *p, int device)
{
	for (size_t i = 0; i < p->dev_count; i++)
		if (p->devs[i].index == device)
			return (struct dev *)&p->devs[i];
	return NULL;
}

bool poll_reading(const struct poll *p, int device, enum device_point point, struct device_reading *out)
{
	const struct dev *d = find(p, device);

	return d != NULL && d->map != NULL && device_map_read(d->map, point, out);
}

void poll_again(struct poll *p, int device)
{
	struct dev *d = find(p, device);

	if (d == NULL || d->phase != PHASE_RUN)
		return;
	for (size_t i = 0; i < d->block_count; i++)
		if (d->blocks[i].rate != DEVICE_ONCE && d->plans[i].due_us > poll_clock(p))
			d->plans[i].due_us = poll_clock(p);
	line_pump(d->line);
}

enum device_state poll_device_state(const struct poll *p, int device)
{
	const struct dev *d = find(p, device);

	return d != NULL ? d->state : DEVICE_WAITING;
}

const char *poll_device_why(const struct poll *p, int device)
{
	const struct dev *d = find(p, device);

	return d != NULL ? d->why : "";
}

const struct device_map *poll_device_map(const struct poll *p, int device)
{
	const struct dev *d = find(p, device);

	return d != NULL ? d->map : NULL;
}

void poll_device_stats(const struct poll *p, int device, struct poll_stats *out)
{
	const struct dev *d = find(p, device);

	*out = (struct poll_stats){ 0 };
	if (d != NULL)
		stats_of(d, out);
}

void poll_line_stats(const struct poll *p, int device, struct poll_line *out)
{
	const struct dev *d = find(p, device);

	*out = (struct poll_line){ 0 };
	if (d == NULL || d->line->link == NULL)
		return;
	out->counters = *bus_link_counters(d->line->link);
	out->busy_percent = stats_busy_percent(d->line);
}

int poll_write(struct poll *p, int device, enum device_point point, double value, enum poll_purpose purpose,
	       int64_t expires_boot_us, poll_written_fn *fn, void *arg, struct err *e)
{
	struct dev *d = find(p, device);
	struct device_write plan[DEVICE_WRITES_MAX];
	struct write_order old;
	size_t count;

	if (d == NULL)
		return err_set(e, ERR_BUG, 0, "device %d is not polled", device);
	if (d->state != DEVICE_LIVE)
		return err_set(e, ERR_UNREACHABLE, 0, "'%s' is %s%s%s", d->site->name, device_state_name(d->state),
			       d->why[0] ? ": " : "", d->why);
	if (d->brief)
		return err_set(e, ERR_REFUSED, 0,
			       "'%s' ends every connection after an answer: who would take the write cannot "
			       "be known",
			       d->site->name);
	if (expires_boot_us <= poll_clock(p))
		return err_set(e, ERR_REFUSED, 0, "'%s': the write had expired before it was asked for", d->site->name);
	/* again when it is sent; here only to be able to refuse */
	if (device_map_write(d->map, point, value, plan, &count, e) < 0)
		return err_ctx(e, "'%s'", d->site->name);
	if (d->waiting.active && d->waiting.point != point)
		return err_set(e, ERR_AGAIN, 0, "'%s': another point is about to be written", d->site->name);
	old = d->waiting;
	d->waiting = (struct write_order){ true, point, value, purpose, expires_boot_us, fn, arg };
	if (old.active && old.fn != NULL)
		old.fn(old.arg, device, old.point, old.value, POLL_REPLACED, "a newer value came first", 0);
	line_pump(d->line);
	return 0;
}
