/* A small plant of the tests' own (10 ms steps), which shares no code with lib/sim, and control around it as field runs it. */
#ifndef TESTS_CONTROL_RIG_H
#define TESTS_CONTROL_RIG_H

#include "control/control.h"

enum { TICK_US = 10000, HISTORY = 1024, TICKS_PER_S = 100 };

/* ---- a plant with dead time, lag and a meter ---- */
struct plant {
	double lag_s, dead_s, meter_period_s, meter_delay_s;
	int meter_sign;
	double power[HISTORY], command[HISTORY], grid[HISTORY];
	double now_w, told_w, load_w;
	long tick;
	double shown_w;
	int64_t shown_us, changed_us;
	bool meter_dead, meter_frozen, deaf;
	double ramp_w_per_s, most_w;     /* the inverter's own, unsaid; 0: none */
	struct rng noise;                /* 4 W on every value of the meter */
	double spike_w;                  /* on the next values of the meter */
	int replay;                      /* so many of its last values, again and again */
	double values[8];
	long value_count;
	double power_period_s;           /* how often the inverter renews the power that it shows; 0: always, 100 ms old */
	double shown_power_w;
	int64_t power_us;
	double soc, charge_w, discharge_w;
};

static inline int64_t plant_us(const struct plant *p)
{
	return 1000 * US_PER_S + p->tick * TICK_US;
}

static inline void plant_tick(struct plant *p)
{
	long dead = lround(p->dead_s * TICKS_PER_S), period = lround(p->meter_period_s * TICKS_PER_S);
	long delay = lround(p->meter_delay_s * TICKS_PER_S);
	double command = p->command[(p->tick - dead + HISTORY) % HISTORY], change;

	if (p->most_w > 0)
		command = clamp_real(command, -p->most_w, p->most_w);
	change = (command - p->now_w) * 0.01 / p->lag_s;
	p->now_w += p->ramp_w_per_s > 0 ? clamp_real(change, -p->ramp_w_per_s * 0.01, p->ramp_w_per_s * 0.01) : change;
	p->power[p->tick % HISTORY] = p->now_w;
	p->grid[p->tick % HISTORY] = p->load_w - p->now_w;
	if (!p->meter_dead && p->tick % period == delay % period && p->tick > delay) {
		double sum = 0;

		for (long i = 0; i < 10; i++)
			sum += p->grid[(p->tick - delay - i + HISTORY) % HISTORY];
		if (!p->meter_frozen) {
			p->shown_w = p->meter_sign * sum / 10 + p->spike_w + rng_real(&p->noise, -7, 7);
			if (p->replay) {
				p->shown_w = p->values[p->value_count % p->replay];
				p->value_count++;
			} else {
				p->values[p->value_count++ % COUNT_OF(p->values)] = p->shown_w;
			}
			p->changed_us = plant_us(p);
		}
		p->shown_us = plant_us(p);
	}
	if (p->power_period_s > 0 && p->tick % lround(p->power_period_s * TICKS_PER_S) == 0) {
		p->shown_power_w = p->now_w;
		p->power_us = plant_us(p);
	}
	p->tick++;
	p->command[p->tick % HISTORY] = p->deaf ? 0 : p->told_w;
}

static inline void plant_begin(struct plant *p, double load_w)
{
	*p = (struct plant){ .lag_s = 0.7, .dead_s = 0.3, .meter_period_s = 0.5, .meter_delay_s = 0.1, .meter_sign = 1,
			     .load_w = load_w, .soc = 50, .charge_w = 5000, .discharge_w = 5000 };
	rng_seed(&p->noise, 1);
}

static inline struct control_signal signal(double value, int64_t at_us)
{
	return (struct control_signal){ at_us > 0, value, at_us, at_us };
}

static inline struct control_input plant_input(const struct plant *p)
{
	int64_t us = plant_us(p);

	return (struct control_input){
		.grid_w = { p->shown_us > 0, p->shown_w, p->shown_us, p->changed_us },
		.battery_w = p->power_period_s > 0 ? (struct control_signal){ p->power_us > 0, p->shown_power_w, us, p->power_us }
						   : signal(p->power[(p->tick + HISTORY - 10) % HISTORY], us),
		.soc_percent = signal(p->soc, us),
		.charge_limit_w = signal(p->charge_w, us),
		.discharge_limit_w = signal(p->discharge_w, us),
	};
}

static inline struct control_config mid(void)
{
	return (struct control_config){
		.site = control_no_limits(), .charge_rating_w = 5000, .discharge_rating_w = 5000,
		/* a mean of 100 ms is 50 ms older than its end */
		.meter_period_us = 500000, .meter_delay_us = 150000, .inverter = { 300000, 700000, INFINITY },
		.watchdog_us = 60 * US_PER_S, .expects_bms = true, .dead_band_w = 20,
	};
}

/* ---- the loop as field runs it ---- */
struct rig {
	struct plant plant;
	struct control *control;
	struct control_envelope envelope;
	struct control_decision last;
	int64_t wake_us, seen_us;
	int writes;
	int64_t silent_bms_us;   /* it has said nothing since then; 0: it speaks */
	bool shows_nothing;      /* set-points leave, and read back as others */
	int64_t silent_us;       /* the inverter answers nothing since then: no power is heard, no set-point arrives */
};

static inline void rig_begin(struct rig *r, const struct control_config *config, double load_w, enum site_mode mode)
{
	struct err e;

	memset(r, 0, sizeof *r);
	plant_begin(&r->plant, load_w);
	assert_int_equal(control_new(config, &r->control, &e), 0);
	r->envelope = (struct control_envelope){ .mode = mode, .expires_boot_us = INT64_MAX, .checked = true };
}

static inline void rig_decide(struct rig *r)
{
	struct now now = { plant_us(&r->plant), 0, false };
	struct control_input in = plant_input(&r->plant);

	if (r->silent_bms_us)
		in.soc_percent.at_boot_us = in.charge_limit_w.at_boot_us = in.discharge_limit_w.at_boot_us = r->silent_bms_us;
	if (r->silent_us)
		in.battery_w.at_boot_us = in.battery_w.changed_boot_us = r->silent_us;
	control_step(r->control, &in, &r->envelope, &now, &r->last);
	r->wake_us = r->last.wake_boot_us;
	if (r->last.write && r->shows_nothing) {
		control_not_shown(r->control, true);
	} else if (r->last.write && !r->silent_us) {
		r->plant.told_w = r->last.setpoint_w;
		r->writes++;
		control_sent(r->control, r->last.setpoint_w, now.boot_us);
	}
}

static inline void rig_run(struct rig *r, double seconds)
{
	for (long i = 0; i < lround(seconds * TICKS_PER_S); i++) {
		plant_tick(&r->plant);
		if (r->plant.shown_us != r->seen_us || plant_us(&r->plant) >= r->wake_us) {
			r->seen_us = r->plant.shown_us;
			rig_decide(r);
		}
	}
}

/* How long it takes until that is so, to the tick; INFINITY: not within most_s. */
static inline double rig_seconds_until(struct rig *r, bool (*is)(const struct rig *r), double most_s)
{
	for (long i = 0; i <= lround(most_s * TICKS_PER_S); i++) {
		if (is(r))
			return (double)i / TICKS_PER_S;
		rig_run(r, 1.0 / TICKS_PER_S);
	}
	return INFINITY;
}

static inline double grid_now(const struct rig *r)
{
	return r->plant.load_w - r->plant.now_w;
}

#endif
