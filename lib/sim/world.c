/* The world: house, sun, batteries, genset, grid, and the events that come to them, in steps of 10 ms of plant time.
 * What it is at a time depends on what was done to it at which plant time, and not on who looked when, nor on how
 * fast the clock of sim.c runs. */
#include <math.h>
#include <string.h>

#include "inside.h"

/* The series and its variation are taken so often: fine enough for clouds, and an eighth of the cost of a step. */
enum { DAY_US = 100000 };

void world_begin(struct world *w, const struct sim_options *o)
{
	memset(w, 0, sizeof *w);
	w->options = o;
	w->day = (struct day){ .series = o->series, .offset_us = o->series_offset_us - SIM_WARM_US,
			       .seed = o->batteries[0].plant.seed, .calm = o->calm, .extra_w = o->load_extra_w,
			       .cloud_from = o->pv_factor, .cloud_to = o->pv_factor };
	w->pv = (struct pv_limit){ .most_w = INFINITY, .now_w = SIM_PV_RATED_W };
	w->genset.target_w = o->genset.rated_w;
	for (size_t n = 0; n < o->battery_count; n++) {
		const struct sim_battery *b = &o->batteries[n];

		w->commands[n] = (struct command){ .written_us = -1, .watchdog_s = b->plant.watchdog_s,
						   .ramp_w_per_s = INFINITY };
		sim_plant_begin(&w->plants[n], &b->plant, b->soc_percent);
	}
}

void world_release(struct world *w)
{
	free(w->events);
	w->events = NULL;
}

int64_t world_at(const struct world *w)
{
	return w->plants[0].at_us;
}

bool world_dark(const struct world *w)
{
	return world_at(w) < w->grid.dark_until_us;
}

/* ---- events ---- */

void world_add(struct world *w, const struct sim_event *e)
{
	size_t n = w->event_count;

	w->events = xrealloc(w->events, n + 1, sizeof *w->events);
	/* Behind those of the same time: what was said later happens later. */
	for (; n > w->event_next && w->events[n - 1].at_us > e->at_us; n--)
		w->events[n] = w->events[n - 1];
	w->events[n] = *e;
	w->event_count++;
}

/* An event that ends by itself: what undoes it comes then. */
static void add_end(struct world *w, const struct sim_event *e)
{
	struct sim_event end = *e;

	end.at_us = world_at(w) + e->for_us;
	end.for_us = 0;
	end.is_end = true;
	end.fault = SIM_FAULT_NONE;
	end.value = end.value2 = 0;
	end.say[0] = '\0';
	if (e->kind == SIM_EVENT_GENSET)
		end.value = -1;
	world_add(w, &end);
}

static void black_out(struct world *w, const struct sim_event *e)
{
	w->grid.dark_until_us = world_at(w) + e->for_us;
	/* VDE-AR-N 4105 8.3.2: a generator watches the grid for 60 s before it connects again. */
	w->grid.waits_until_us = w->grid.dark_until_us + 60 * US_PER_S;
}

void world_do(struct world *w, const struct sim_event *e)
{
	switch (e->kind) {
	case SIM_EVENT_LOAD:
		w->day.extra_w = e->value;
		break;
	case SIM_EVENT_CLOUD:
		day_cloud(&w->day, world_at(w), 1 - e->value / 100);
		break;
	case SIM_EVENT_GRID:
		w->grid.voltage_by_v = e->value;
		w->grid.frequency_by_hz = e->value2;
		break;
	case SIM_EVENT_BLACKOUT:
		black_out(w, e);
		break;
	case SIM_EVENT_GENSET:
		genset_ask(&w->genset, &w->options->genset, e->value >= 0, e->value);
		break;
	default: /* what happens to a device alone */
		break;
	}
	if (e->for_us && e->kind != SIM_EVENT_BLACKOUT && e->kind != SIM_EVENT_MASTER)
		add_end(w, e);
	if (w->happened)
		w->happened(w->arg, e);
}

static void happen(struct world *w)
{
	while (w->event_next < w->event_count && w->events[w->event_next].at_us <= world_at(w)) {
		struct sim_event e = w->events[w->event_next++]; /* a copy: what it adds may move them */

		world_do(w, &e);
	}
}

const struct sim_event *world_next(const struct world *w)
{
	return w->event_next < w->event_count ? &w->events[w->event_next] : NULL;
}

/* ---- a step ---- */

/* What of the sun comes out of the inverter: its limit moves with half the rating a second; above 50.2 Hz it gives
 * 40 % a hertz less (VDE-AR-N 4105 5.7.4.2). */
static double limited_pv(struct world *w, double sun_w, bool cut)
{
	struct pv_limit *l = &w->pv;
	double most = l->off ? 0 : fmin(l->most_w, SIM_PV_RATED_W);
	double by = SIM_PV_RATED_W / 2 * SIM_STEP_US / 1e6;
	double over = fmax(50 + w->grid.frequency_by_hz - 50.2, 0);

	if (l->revert_at_us && world_at(w) >= l->revert_at_us) {
		*l = (struct pv_limit){ .most_w = INFINITY, .now_w = l->now_w, .reverted = true };
		most = SIM_PV_RATED_W;
	}
	l->now_w += clamp_real(most - l->now_w, -by, by);
	return cut ? 0 : fmin(sun_w, l->now_w) * fmax(1 - 0.4 * over, 0);
}

static void step_battery(struct world *w, size_t n, struct sim_inputs *in)
{
	struct sim_parameters p = w->options->batteries[n].plant;
	struct sim_plant *s = &w->plants[n];
	struct command *c = &w->commands[n];
	bool tripped = s->watchdog_tripped;

	p.watchdog_s = c->watchdog_s;
	p.ramp_w_per_s = fmin(p.ramp_w_per_s, c->ramp_w_per_s);
	in->setpoint_w = command_at(c, s->at_us);
	in->setpoint_at_us = c->written_us;
	in->reserve_percent = c->reserve_percent;
	in->inverter_off = c->off;
	sim_plant_step(s, &p, in, s->at_us + SIM_STEP_US);
	if (s->watchdog_tripped && !tripped) {
		c->from_w = c->to_w = 0;
		if (w->watchdog)
			w->watchdog(w->arg, n);
	}
}

static void step(struct world *w)
{
	int64_t at = world_at(w);
	struct sim_inputs in = { .grid_dark = world_dark(w), .grid_waits = at < w->grid.waits_until_us,
				 .voltage_by_v = w->grid.voltage_by_v, .frequency_by_hz = w->grid.frequency_by_hz };
	double other = 0, load_w, pv_w;

	if (at % DAY_US == 0)
		day_base(&w->day, at, &w->base_load_w, &w->base_pv_w);
	day_now(&w->day, at, w->base_load_w, w->base_pv_w, &load_w, &pv_w);
	pv_w = limited_pv(w, pv_w, in.grid_waits);
	if (w->options->genset.rated_w > 0) {
		genset_step(&w->genset, &w->options->genset, at, in.grid_dark);
		other += w->genset.power_w;
	}
	for (size_t n = 1; n < w->options->battery_count; n++) {
		step_battery(w, n, &in);
		other += w->plants[n].battery_w;
	}
	in.load_w = in.grid_dark ? 0 : load_w;
	in.pv_w = pv_w;
	in.other_w = other;
	step_battery(w, 0, &in);
}

void world_advance(struct world *w, int64_t to_us)
{
	for (;;) {
		happen(w);
		if (to_us - world_at(w) < SIM_STEP_US)
			return;
		step(w);
	}
}

/* ---- what devices see ---- */

double view_dc_w(const struct view *v, double ac_w)
{
	return ac_w > 0 ? ac_w / v->efficiency : ac_w * v->efficiency;
}

static void look_at_genset(const struct world *w, struct view *v)
{
	const struct genset *g = &w->genset;

	v->genset_state = g->state;
	v->genset_w = g->power_w;
	v->genset_wh = g->energy_wh;
	v->genset_starts = g->starts;
	v->genset_run_s = (uint32_t)(g->run_us / US_PER_S);
	v->genset_rated_w = w->options->genset.rated_w;
}

struct view world_look(const struct world *w, size_t battery)
{
	const struct sim_plant *site = &w->plants[0], *p = &w->plants[battery];
	const struct sim_parameters *o = &w->options->batteries[battery].plant;
	struct view v = {
		.at_us = site->at_us, .grid_w = site->meter_w, .grid_hz = site->meter_hz,
		.battery_w = p->inverter_w, .pv_w = battery ? 0 : site->pv_w,
		.import_wh = site->import_wh, .export_wh = site->export_wh, .pv_wh = site->pv_wh,
		.charge_wh = p->charge_wh, .discharge_wh = p->discharge_wh,
		.soc_percent = sim_plant_soc(p, o),
		.charge_limit_w = p->charge_limit_w, .discharge_limit_w = p->discharge_limit_w,
		.battery_wh = o->battery_wh, .inverter_w = o->inverter_w, .efficiency = o->efficiency,
		.watchdog_s = o->watchdog_s,
		.watchdog_tripped = p->watchdog_tripped, .off = w->commands[battery].off, .command_w = p->command_w,
		.pv_rated_w = SIM_PV_RATED_W, .pv_limited = w->pv.now_w < SIM_PV_RATED_W, .pv_off = w->pv.off,
		.pv_reverted = w->pv.reverted,
	};

	memcpy(v.grid_l_w, site->meter_l_w, sizeof v.grid_l_w);
	memcpy(v.grid_v, site->meter_v, sizeof v.grid_v);
	/* 120 cells of LFP: flat over the charge, softer under load */
	v.battery_v = 384 + 0.24 * v.soc_percent - 0.0012 * p->battery_w;
	look_at_genset(w, &v);
	return v;
}
