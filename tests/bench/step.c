/* A 3 kW load step on the simulated mid plant: psec's law beside a loop as OpenEMS Edge runs it by default (1 s cycle, meter +
 * ESS through a PID of 0.3/0.3/0.1 on the ESS power). Worst of ten step phases; settled: the true grid power stays within ±50 W.
 * The peer's figure of the research, 8.6 s, must come out within 10 %, or the comparison says nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "control/control.h"
#include "sim/sim.h"

enum { TICKS_PER_S = 100, PHASES = 10, ESS_AGE_TICKS = 15, RING = 64 };

struct outcome { double settle_s, over_w; };

struct loop_rig {
	struct sim_parameters parameters;
	struct sim_plant plant;
	struct sim_inputs inputs;
	double battery_w[RING];
	long tick;
};

static void rig_begin(struct loop_rig *r)
{
	memset(r, 0, sizeof *r);
	sim_parameters_default(&r->parameters);
	r->parameters.battery_wh = 1e6; /* never empty */
	r->parameters.inverter_w = 5000;
	r->parameters.meter_noise_w = 3;
	r->parameters.inverter_period_s = 0;
	sim_plant_begin(&r->plant, &r->parameters, 50);
	r->inputs = (struct sim_inputs){ .load_w = 500, .setpoint_at_us = -1 };
}

static void rig_tell(struct loop_rig *r, double w)
{
	r->inputs.setpoint_w = w;
	r->inputs.setpoint_at_us = r->plant.at_us;
}

static void rig_tick(struct loop_rig *r)
{
	r->tick++;
	sim_plant_step(&r->plant, &r->parameters, &r->inputs, r->tick * (int64_t)SIM_STEP_US);
	r->battery_w[r->tick % RING] = r->plant.battery_w;
}

/* ---- the two loops: each is called after every tick ---- */
struct psec_loop {
	struct control *control;
	int64_t seen_us, wake_us, shown_us;
};

static void psec_tick(struct psec_loop *p, struct loop_rig *r)
{
	struct control_envelope env = { SITE_MODE_SELF_CONSUMPTION, 0, 0, INT64_MAX, true };
	struct now now = { US_PER_S + r->plant.at_us, 0, false };
	struct control_decision d;
	struct control_input in;

	if (r->plant.meter_at_us == p->seen_us && now.boot_us < p->wake_us)
		return;
	if (r->plant.meter_at_us != p->seen_us)
		p->shown_us = now.boot_us;
	p->seen_us = r->plant.meter_at_us;
	in = (struct control_input){
		.grid_w = { p->shown_us > 0, r->plant.meter_w, p->shown_us, p->shown_us },
		.battery_w = { true, r->battery_w[(r->tick + RING - ESS_AGE_TICKS) % RING], now.boot_us, now.boot_us },
		.soc_percent = { true, 50, now.boot_us, now.boot_us },
		.charge_limit_w = { true, 5000, now.boot_us, now.boot_us },
		.discharge_limit_w = { true, 5000, now.boot_us, now.boot_us },
	};
	control_step(p->control, &in, &env, &now, &d);
	p->wake_us = d.wake_boot_us;
	if (d.write) {
		rig_tell(r, d.setpoint_w);
		control_sent(p->control, d.setpoint_w, now.boot_us);
	}
}

struct openems_loop { bool began; double sum, last; };

static void openems_tick(struct openems_loop *o, struct loop_rig *r)
{
	double ess = r->battery_w[(r->tick + RING - ESS_AGE_TICKS) % RING], target, error, w;

	if ((r->tick + 37) % TICKS_PER_S != 0)
		return;
	target = clamp_real(r->plant.meter_w + ess, -5000, 5000);
	error = target - ess;
	if (!o->began)
		o->last = ess;
	o->began = true;
	w = 0.3 * error + 0.3 * o->sum - 0.1 * (ess - o->last);
	o->last = ess;
	o->sum = clamp_real(o->sum + error, -50000, 50000);
	rig_tell(r, clamp_real(fabs(error) < 0.5 ? target : w, -5000, 5000));
}

/* ---- the step ---- */
static struct outcome step(bool openems, int phase, const struct control_config *config)
{
	struct outcome out = { 0, 0 };
	struct psec_loop psec = { 0 };
	struct openems_loop ems = { 0 };
	struct loop_rig r;
	struct err e;
	long at = 30 * TICKS_PER_S + phase * 10;

	rig_begin(&r);
	if (!openems && control_new(config, &psec.control, &e) < 0) {
		fprintf(stderr, "step: %s\n", e.text);
		exit(70);
	}
	for (long i = 0; i < at + 60 * TICKS_PER_S; i++) {
		if (i == at)
			r.inputs.load_w = 3500;
		rig_tick(&r);
		if (openems)
			openems_tick(&ems, &r);
		else
			psec_tick(&psec, &r);
		if (i < at)
			continue;
		if (fabs(r.plant.grid_w) > 50)
			out.settle_s = (double)(i + 1 - at) / TICKS_PER_S;
		out.over_w = fmax(out.over_w, -r.plant.grid_w);
	}
	control_free(psec.control);
	return out;
}

static struct outcome worst(bool openems, const struct control_config *config)
{
	struct outcome w = { 0, 0 };

	for (int phase = 0; phase < PHASES; phase++) {
		struct outcome o = step(openems, phase, config);

		w.settle_s = fmax(w.settle_s, o.settle_s);
		w.over_w = fmax(w.over_w, o.over_w);
	}
	return w;
}

int main(void)
{
	struct control_config config = {
		.site = control_no_limits(), .charge_rating_w = 5000, .discharge_rating_w = 5000, .meter_period_us = 500000,
		.meter_delay_us = 150000, .dead_time_us = 300000, .lag_us = 700000, .ramp_w_per_s = INFINITY,
		.watchdog_us = 60 * US_PER_S, .expects_bms = true, .dead_band_w = 20,
	};
	struct outcome psec = worst(false, &config), ems = worst(true, NULL);

	printf("step  3 kW on the mid plant, worst of %d phases: psec %.2f s, overshoot %.0f W (goal 4.0 s, 50 W); "
	       "OpenEMS-like loop %.2f s, %.0f W (research 8.6 s, 19 W): ratio %.2f%s\n",
	       PHASES, psec.settle_s, psec.over_w, ems.settle_s, ems.over_w, psec.settle_s / ems.settle_s,
	       fabs(ems.settle_s / 8.6 - 1) <= 0.1 ? "" : "  (the peer is off the research by more than 10 %)");
	return 0;
}
