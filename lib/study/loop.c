/* The law on the plant of the simulated site. */
#include <math.h>

#include "control/control.h"
#include "sim/sim.h"
#include "study/study.h"

enum { KEEP_US = 100000, BAND_W = 50, SETTLE_IN_US = 10000000, INVERTER_AGE_US = 150000, RING = 32 };

const char *const study_plant_names[] = { "fast", "mid", "slow", NULL };
static const struct { double dead_s, lag_s, period_s, delay_s; } plants[STUDY_PLANT_COUNT] = {
	[STUDY_FAST] = { 0.2, 0.5, 0.2, 0.05 },
	[STUDY_MID] = { 0.3, 0.7, 0.5, 0.1 },
	[STUDY_SLOW] = { 0.5, 1.0, 1.0, 0.2 },
};

#define AT(field) offsetof(struct study_loop, field)
const struct study_figure study_loop_figures[] = {
	{ "settle_s", "Settled after", "s", 2, AT(settle_s) },
	{ "overshoot_w", "Overshoot", "W", 1, AT(overshoot_w) },
	{ "mean_abs_w", "Left when quiet", "W", 1, AT(mean_abs_w) },
	{ "leak_import_wh", "Leak import", "Wh", 2, AT(import_wh) },
	{ "leak_export_wh", "Leak export", "Wh", 2, AT(export_wh) },
	{ "dead_time_s", "Dead time", "s", 2, AT(dead_time_s) },
	{ "lag_s", "Lag", "s", 2, AT(lag_s) },
	{ "meter_period_s", "Meter period", "s", 2, AT(meter_period_s) },
	{ "meter_delay_s", "Meter delay", "s", 2, AT(meter_delay_s) },
};
const size_t study_loop_figure_count = COUNT_OF(study_loop_figures);

struct rig {
	struct sim_parameters parameters;
	struct sim_plant plant;
	struct sim_inputs inputs;
	struct control *control;
	double shown_w[RING];        /* battery power of the last steps: an inverter's reading is old when it comes */
	int64_t seen_us, shown_us, wake_us;
	double setpoint_w;
	size_t tick;
};

static struct sim_parameters parameters_of(enum study_plant plant, const struct study_case *c)
{
	struct sim_parameters p;

	sim_parameters_default(&p);
	p.battery_wh = c->battery_wh;
	p.inverter_w = c->battery_w;
	p.efficiency = c->efficiency;
	p.dead_time_s = plants[plant].dead_s;
	p.lag_s = plants[plant].lag_s;
	p.meter_period_s = plants[plant].period_s;
	p.meter_delay_s = plants[plant].delay_s;
	return p;
}

static struct control_config config_of(const struct sim_parameters *p, const struct study_case *c)
{
	return (struct control_config){
		.site = c->limits, .charge_rating_w = c->battery_w, .discharge_rating_w = c->battery_w,
		.meter_period_us = llround(p->meter_period_s * 1e6),
		/* To the middle of the mean, as a profile states it. */
		.meter_delay_us = llround((p->meter_delay_s + p->meter_mean_s / 2) * 1e6),
		.inverter = { llround(p->dead_time_s * 1e6), llround(p->lag_s * 1e6), INFINITY },
		.watchdog_us = llround(p->watchdog_s * 1e6), .expects_bms = true, .dead_band_w = 20,
	};
}

static struct control_signal signal(double value, int64_t at_us)
{
	return (struct control_signal){ true, value, at_us, at_us };
}

/* One turn of the field: at a new value of the meter, and when the law wants to be woken. */
static void decide(struct rig *r, const struct study_case *c, struct study_loop *out)
{
	struct control_envelope env = { SITE_MODE_SELF_CONSUMPTION, 0, c->limits.target_w, INT64_MAX, true };
	struct now now = { US_PER_S + r->plant.at_us, 0, false };
	struct control_decision d;
	struct control_input in;

	if (r->plant.meter_at_us != r->seen_us)
		r->shown_us = now.boot_us;
	else if (now.boot_us < r->wake_us)
		return;
	r->seen_us = r->plant.meter_at_us;
	in = (struct control_input){
		.grid_w = { r->shown_us > 0, r->plant.meter_w, r->shown_us, r->shown_us },
		.battery_w = signal(r->shown_w[(r->tick + RING - INVERTER_AGE_US / SIM_STEP_US) % RING], now.boot_us),
		.soc_percent = signal(sim_plant_soc(&r->plant, &r->parameters), now.boot_us),
		.charge_limit_w = signal(r->plant.charge_limit_w, now.boot_us),
		.discharge_limit_w = signal(r->plant.discharge_limit_w, now.boot_us),
	};
	control_step(r->control, &in, &env, &now, &d);
	r->wake_us = d.wake_boot_us;
	if (d.write) {
		r->setpoint_w = r->inputs.setpoint_w = d.setpoint_w;
		r->inputs.setpoint_at_us = r->plant.at_us;
		control_sent(r->control, d.setpoint_w, now.boot_us);
		out->writes++;
	}
}

static void keep(struct study_loop *out, const struct rig *r)
{
	if (r->plant.at_us % KEEP_US || out->count >= (size_t)(out->of.window_us / KEEP_US))
		return;
	out->load_w[out->count] = r->plant.load_w;
	out->battery_w[out->count] = r->plant.battery_w;
	out->setpoint_w[out->count] = r->setpoint_w;
	out->grid_w[out->count] = r->plant.grid_w;
	out->count++;
}

struct watch { int64_t up_us, down_us, last_off_us; double sum; int64_t quiet; };

static void judge(struct study_loop *out, struct watch *w, const struct rig *r, double target_w)
{
	double off = r->plant.grid_w - target_w, hours = SIM_STEP_US / 3.6e9;
	int64_t at = r->plant.at_us;

	out->import_wh += fmax(off, 0) * hours;
	out->export_wh += fmax(-off, 0) * hours;
	if (at > SETTLE_IN_US && at <= w->up_us) {
		w->sum += fabs(off);
		w->quiet++;
	}
	if (at <= w->up_us || at > w->down_us)
		return;
	if (fabs(off) > BAND_W)
		w->last_off_us = at;
	out->overshoot_w = fmax(out->overshoot_w, out->of.step_w >= 0 ? -off : off);
}

static int check(const struct study_loop_setup *s, struct err *e)
{
	if (s->window_us < 30 * US_PER_S || s->window_us > 3600 * US_PER_S)
		return err_set(e, ERR_USAGE, 0, "the window of the closed loop is %.0f s, must be 30 s to 1 h",
			       (double)s->window_us / US_PER_S);
	return 0;
}

int study_loop_run(const struct study_loop_setup *setup, const struct study_case *c, struct study_loop *out,
		   struct err *e)
{
	struct watch w = { setup->window_us / 3, 2 * setup->window_us / 3, 0, 0, 0 };
	auto_free struct rig *r = xcalloc(1, sizeof *r);
	struct control_config config;
	size_t room = (size_t)(setup->window_us / KEEP_US) + 1;

	r->parameters = parameters_of(setup->plant, c);
	config = config_of(&r->parameters, c);
	*out = (struct study_loop){ .of = *setup,
				    .dead_time_s = r->parameters.dead_time_s,
				    .lag_s = r->parameters.lag_s,
				    .meter_period_s = r->parameters.meter_period_s,
				    .meter_delay_s = r->parameters.meter_delay_s,
				    .step_us = KEEP_US };
	if (check(setup, e) < 0 || control_new(&config, &r->control, e) < 0)
		return -1;
	out->load_w = xcalloc(room, sizeof(double));
	out->battery_w = xcalloc(room, sizeof(double));
	out->setpoint_w = xcalloc(room, sizeof(double));
	out->grid_w = xcalloc(room, sizeof(double));
	sim_plant_begin(&r->plant, &r->parameters, 50);
	r->inputs.setpoint_at_us = -1;
	while (r->plant.at_us < setup->window_us) {
		r->inputs.load_w =
			setup->load_w + (r->plant.at_us >= w.up_us && r->plant.at_us < w.down_us ? setup->step_w : 0);
		sim_plant_step(&r->plant, &r->parameters, &r->inputs, r->plant.at_us + SIM_STEP_US);
		r->shown_w[++r->tick % RING] = r->plant.battery_w;
		decide(r, c, out);
		judge(out, &w, r, c->limits.target_w);
		keep(out, r);
	}
	control_free(r->control);
	out->settle_s = w.last_off_us >= w.down_us ? NAN
			: w.last_off_us            ? (double)(w.last_off_us - w.up_us) / US_PER_S
						   : 0;
	out->mean_abs_w = w.quiet ? w.sum / (double)w.quiet : NAN;
	return 0;
}

void study_loop_release(struct study_loop *l)
{
	free(l->load_w);
	free(l->battery_w);
	free(l->setpoint_w);
	free(l->grid_w);
	*l = (struct study_loop){ 0 };
}
