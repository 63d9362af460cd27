/* The plant: load, PV, one battery behind an inverter, and the meter at the connection point. No clock, no socket, no
 * memory but the struct: what is in it is all there is. */
#include <math.h>
#include <string.h>

#include "sim/sim.h"

#define STEP_S (SIM_STEP_US / 1e6)
#define STEP_H (STEP_S / 3600)

void sim_parameters_default(struct sim_parameters *p)
{
	*p = (struct sim_parameters){
		.battery_wh = 10000, .inverter_w = 5000, .efficiency = 0.95,
		.dead_time_s = 0.3, .lag_s = 0.7, .ramp_w_per_s = INFINITY, .inverter_period_s = 0.2,
		.meter_period_s = 0.5, .meter_delay_s = 0.1, .meter_mean_s = 0.1, .meter_noise_w = 5,
		.watchdog_s = 60, .seed = 1,
	};
}

double sim_plant_soc(const struct sim_plant *s, const struct sim_parameters *p)
{
	return p->battery_wh > 0 ? 100 * s->energy_wh / p->battery_wh : 0;
}

/* What follows from the parameters alone, computed once a call. */
struct constants {
	double follow;      /* share of the way that a first-order lag goes in a step */
	double most_w;      /* change of power in a step */
	uint32_t dead, mean; /* steps */
	int64_t mean_us, delay_us, period_us, inverter_us;
};

static uint32_t steps(double seconds, uint32_t least)
{
	double n = round(seconds / STEP_S);

	return n <= least ? least : n >= SIM_DELAY_STEPS - 1 ? SIM_DELAY_STEPS - 1 : (uint32_t)n;
}

static struct constants constants_of(const struct sim_parameters *p)
{
	struct constants k = {
		.follow = p->lag_s > 0 ? 1 - exp(-STEP_S / p->lag_s) : 1,
		.most_w = p->ramp_w_per_s * STEP_S,
		.dead = steps(p->dead_time_s, 0),
		.mean = steps(p->meter_mean_s, 1),
		.period_us = (int64_t)fmax(round(p->meter_period_s * 1e6), SIM_STEP_US),
		.inverter_us = (int64_t)round(p->inverter_period_s * 1e6),
	};

	k.mean_us = k.mean * (int64_t)SIM_STEP_US;
	k.delay_us = (int64_t)fmin(round(p->meter_delay_s * 1e6), (double)k.period_us);
	return k;
}

/* A BMS gives full power between 5 and 95 %, less towards the ends, a trickle to the last, and nothing at it. */
static double taper(double way_percent, double full_w)
{
	if (way_percent <= 1e-6)
		return 0;
	return full_w * clamp_real(way_percent / 5, 0.04, 1);
}

static void set_limits(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in)
{
	double soc = sim_plant_soc(s, p);

	s->charge_limit_w = in && in->inverter_off ? 0 : taper(100 - soc, p->inverter_w);
	s->discharge_limit_w = in && in->inverter_off ? 0 : taper(soc, p->inverter_w);
}

void sim_plant_begin(struct sim_plant *s, const struct sim_parameters *p, double soc_percent)
{
	memset(s, 0, sizeof *s);
	s->energy_wh = p->battery_wh * clamp_real(soc_percent, 0, 100) / 100;
	s->meter_hz = 50;
	for (int i = 0; i < 3; i++)
		s->meter_v[i] = 230;
	s->pending_show_us = INT64_MAX;
	s->next_meter_us = constants_of(p).period_us;
	rng_seed(&s->rng, p->seed);
	set_limits(s, p, NULL);
}

/* The set-point as the inverter's watchdog lets it in. What was never written cannot be late. */
static double supervised(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in)
{
	s->watchdog_tripped = p->watchdog_s > 0 && in->setpoint_at_us >= 0 &&
		(double)(s->at_us - in->setpoint_at_us) > p->watchdog_s * 1e6;
	return s->watchdog_tripped ? 0 : in->setpoint_w;
}

static void step_inverter(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in,
			  const struct constants *k)
{
	double entering = supervised(s, p, in), change, arrived;

	s->delayed_setpoint_w[s->head % SIM_DELAY_STEPS] = entering;
	arrived = s->delayed_setpoint_w[(s->head - k->dead) % SIM_DELAY_STEPS];
	set_limits(s, p, in);
	s->command_w = clamp_real(arrived, -s->charge_limit_w, s->discharge_limit_w);
	if (s->command_w > 0 && sim_plant_soc(s, p) <= in->reserve_percent)
		s->command_w = 0;
	change = (s->command_w - s->battery_w) * k->follow;
	s->battery_w += clamp_real(change, -k->most_w, k->most_w);
	if (in->inverter_off || in->grid_dark || in->grid_waits) /* its contactor opens, which knows no lag */
		s->battery_w = 0;
}

/* Move the energy of one step, no more than there is or fits. */
static void step_battery(struct sim_plant *s, const struct sim_parameters *p)
{
	double most_out = s->energy_wh * p->efficiency / STEP_H;
	double most_in = (p->battery_wh - s->energy_wh) / p->efficiency / STEP_H;

	s->battery_w = clamp_real(s->battery_w, -fmax(most_in, 0), fmax(most_out, 0));
	if (s->battery_w > 0) {
		s->energy_wh -= s->battery_w * STEP_H / p->efficiency;
		s->discharge_wh += s->battery_w * STEP_H;
	} else {
		s->energy_wh -= s->battery_w * STEP_H * p->efficiency;
		s->charge_wh -= s->battery_w * STEP_H;
	}
	s->energy_wh = clamp_real(s->energy_wh - p->standby_w * STEP_H, 0, p->battery_wh);
}

static void step_grid(struct sim_plant *s, const struct sim_inputs *in)
{
	s->load_w = in->load_w;
	s->pv_w = in->pv_w;
	s->grid_w = in->grid_dark ? 0 : s->load_w - s->pv_w - s->battery_w - in->other_w;
	s->load_wh += s->load_w * STEP_H;
	s->pv_wh += s->pv_w * STEP_H;
	if (s->grid_w > 0)
		s->import_wh += s->grid_w * STEP_H;
	else
		s->export_wh -= s->grid_w * STEP_H;
	s->grid_history_w[s->head % SIM_DELAY_STEPS] = s->grid_w;
}

/* About normal with deviation 1: the sum of two uniform numbers in [-1, 1) has the variance 2/3. */
static double noise(struct rng *r)
{
	return (rng_real(r, -1, 1) + rng_real(r, -1, 1)) / 0.8165;
}

/* The meter closes a mean. A house loads its phases unevenly; inverters feed all three alike. */
static void sample_meter(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in,
			 const struct constants *k)
{
	static const double share[3] = { 0.5, 0.3, 0.2 };
	double sum = 0;

	for (uint32_t i = 0; i < k->mean; i++)
		sum += s->grid_history_w[(s->head - i) % SIM_DELAY_STEPS];
	s->pending_w = sum / k->mean + p->meter_noise_w * noise(&s->rng);
	for (int i = 0; i < 3; i++) {
		s->pending_l_w[i] = share[i] * s->load_w - (s->load_w - s->pending_w) / 3;
		/* some 0.4 Ω to the transformer: 1 kW on a phase costs 1.7 V */
		s->pending_v[i] = 231.5 + in->voltage_by_v - 0.0017 * s->pending_l_w[i] + 0.1 * noise(&s->rng);
	}
	s->pending_hz = 50 + in->frequency_by_hz + 0.01 * noise(&s->rng);
	s->pending_at_us = s->at_us - k->mean_us / 2;
	s->pending_show_us = s->at_us + k->delay_us;
	s->next_meter_us += k->period_us;
}

static void show_meter(struct sim_plant *s)
{
	s->meter_w = s->pending_w;
	memcpy(s->meter_l_w, s->pending_l_w, sizeof s->meter_l_w);
	memcpy(s->meter_v, s->pending_v, sizeof s->meter_v);
	s->meter_hz = s->pending_hz;
	s->meter_at_us = s->pending_at_us;
	s->pending_show_us = INT64_MAX;
}

void sim_plant_step(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in, int64_t to_us)
{
	const struct constants k = constants_of(p);

	while (to_us - s->at_us >= SIM_STEP_US) {
		step_inverter(s, p, in, &k);
		step_battery(s, p);
		step_grid(s, in);
		s->at_us += SIM_STEP_US;
		/* Shown before sampled: with a delay of a whole period a value must not be overtaken by the next. */
		if (s->at_us >= s->pending_show_us)
			show_meter(s);
		if (s->at_us >= s->next_meter_us)
			sample_meter(s, p, in, &k);
		if (s->at_us >= s->pending_show_us)
			show_meter(s);
		if (s->at_us >= s->next_inverter_us) {
			s->inverter_w = s->battery_w;
			s->inverter_at_us = s->at_us;
			s->next_inverter_us += k.inverter_us > SIM_STEP_US ? k.inverter_us : SIM_STEP_US;
		}
		s->head++;
	}
}
