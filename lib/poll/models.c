/* A SunSpec device that no site names, in a loop of its own: its models, and all that lies in them. */
#include <string.h>

#include "poll/inside.h"

struct walker {
	struct bus_link *link;
	struct device_walk walk;
	uint8_t unit;
	bool done;
	int r;
	struct err *e;
	poll_model_fn *fn;        /* NULL: the models alone are asked for */
	void *arg;
	size_t model;             /* that is read now */
	uint16_t *regs, have;     /* of it */
};

static void ask(struct walker *w);

static void answered(void *arg, const struct bus_request *q, const struct bus_reply *r)
{
	struct walker *w = arg;
	char why[120];

	if (r->outcome != BUS_OK && r->outcome != BUS_EXCEPTION) {
		bus_reply_words(r, why, sizeof why);
		w->r = err_set(w->e, ERR_UNREACHABLE, 0, "%s", why);
		w->done = true;
		return;
	}
	if (w->regs == NULL) {
		device_walk_answer(&w->walk, r->outcome == BUS_OK ? r->regs : NULL, r->count);
	} else if (r->outcome == BUS_OK) {
		memcpy(w->regs + w->have, r->regs, r->count * sizeof *r->regs);
		w->have = (uint16_t)(w->have + r->count);
	} else { /* says it has the model and refuses to show it: the rest of it is left out */
		w->walk.found.models[w->model].length = w->have;
	}
	(void)q;
	ask(w);
}

/* The next stretch of the models, one after the other; false: all were read. */
static bool next_stretch(struct walker *w, struct device_probe *out)
{
	const struct device_sunspec *s = &w->walk.found;

	if (w->fn == NULL || !s->found)
		return false;
	if (w->regs == NULL)
		w->regs = xcalloc(UINT16_MAX + 1, sizeof *w->regs);
	while (w->model < s->model_count && w->have == s->models[w->model].length) {
		w->fn(w->arg, &s->models[w->model++], w->regs);
		w->have = 0;
	}
	if (w->model == s->model_count)
		return false;
	*out = (struct device_probe){ BUS_READ_HOLDING, (uint16_t)(s->models[w->model].address + w->have),
				      (uint16_t)(s->models[w->model].length - w->have) };
	if (out->count > BUS_READ_MAX)
		out->count = BUS_READ_MAX;
	return true;
}

static void ask(struct walker *w)
{
	struct bus_request q = { .unit = w->unit };
	struct device_probe p;

	w->done = !(w->regs == NULL && device_walk_next(&w->walk, &p)) && !next_stretch(w, &p);
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

static int walk_now(struct walker *w, const struct bus_address *address, int timeout_ms, struct err *e)
{
	const struct bus_options options = { 0 };
	int64_t deadline = now_read().boot_us + timeout_ms * US_PER_MS;
	struct loop *l;

	w->unit = address->unit;
	w->e = e;
	if (loop_new(&l, e) < 0)
		return -1;
	w->r = bus_link_new(l, address, &options, &w->link, e);
	if (w->r == 0) {
		device_walk_begin(&w->walk);
		ask(w);
		while (w->r == 0 && !w->done) {
			if (loop_turn(l, deadline, e) < 0)
				w->r = -1;
			else if (!w->done && now_read().boot_us >= deadline)
				w->r = err_set(e, ERR_UNREACHABLE, 0, "no answer in %d ms", timeout_ms);
		}
		bus_link_free(w->link);
	}
	loop_free(l);
	free(w->regs);
	return w->r;
}

int poll_identify(const struct bus_address *address, const struct device_catalogue *c, int timeout_ms,
		  const struct device_profile **out, struct err *e)
{
	struct walker w = { 0 };
	char text[BUS_ADDRESS_LEN];

	bus_address_format(address, text);
	if (walk_now(&w, address, timeout_ms, e) < 0)
		return err_ctx(e, "%s", text);
	*out = w.walk.found.found ? device_sunspec_profile(c, &w.walk.found) : NULL;
	if (*out != NULL)
		return 0;
	return err_set(e, ERR_INPUT, 0, "%s: %s; say which profile with --profile, `psec device list` shows them", text,
		       w.walk.found.found ? "no profile fits its SunSpec models" : w.walk.why);
}

int poll_models_once(const struct bus_address *address, int timeout_ms, poll_model_fn *fn, void *arg, char why[80],
		     struct err *e)
{
	struct walker w = { .fn = fn, .arg = arg };
	char text[BUS_ADDRESS_LEN];

	bus_address_format(address, text);
	if (walk_now(&w, address, timeout_ms, e) < 0)
		return err_ctx(e, "%s", text);
	if (!w.walk.found.found)
		return err_set(e, ERR_INPUT, 0, "%s: %s", text, w.walk.why);
	str_copy(why, 80, w.walk.why);
	return 0;
}
