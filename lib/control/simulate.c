#include <math.h>

#include "control/control.h"

/* The battery of the comparison: ideal but for its efficiency, one way at the AC side; its BMS allows what fits into
 * the step. */
struct battery {
	double energy_wh, capacity_wh, efficiency, power_w;
};

struct site_control control_no_limits(void)
{
	return (struct site_control){
		.import_limit_w = INFINITY, .export_limit_w = INFINITY, .charge_limit_w = INFINITY, .discharge_limit_w = INFINITY,
		.soc_max_percent = 100, .ramp_w_per_s = INFINITY,
	};
}

static struct control_signal signal(double value, const struct now *now)
{
	return (struct control_signal){ true, value, now->boot_us, now->boot_us };
}

static struct control_input measure(const struct battery *b, double load_w, double pv_w, double hours,
				    const struct now *now)
{
	return (struct control_input){
		.grid_w = signal(load_w - pv_w - b->power_w, now),
		.battery_w = signal(b->power_w, now),
		.pv_w = signal(pv_w, now),
		.soc_percent = signal(100 * b->energy_wh / b->capacity_wh, now),
		.charge_limit_w = signal((b->capacity_wh - b->energy_wh) / (b->efficiency * hours), now),
		.discharge_limit_w = signal(b->energy_wh * b->efficiency / hours, now),
	};
}

static void account(struct control_result *r, const struct control_simulation *sim, struct battery *b, double load_w,
		    double pv_w, double hours)
{
	double grid_w = load_w - pv_w - b->power_w;

	r->load_wh += load_w * hours;
	r->pv_wh += pv_w * hours;
	r->import_wh += fmax(grid_w, 0) * hours;
	r->export_wh += fmax(-grid_w, 0) * hours;
	r->peak_import_w = fmax(r->peak_import_w, grid_w);
	r->peak_export_w = fmax(r->peak_export_w, -grid_w);
	r->cost_eur += (fmax(grid_w, 0) * sim->import_eur_kwh - fmax(-grid_w, 0) * sim->export_eur_kwh) * hours / 1000;
	if (b->power_w > 0) {
		r->discharge_wh += b->power_w * hours;
		b->energy_wh -= b->power_w / b->efficiency * hours;
	} else {
		r->charge_wh -= b->power_w * hours;
		b->energy_wh -= b->power_w * b->efficiency * hours;
	}
	b->energy_wh = clamp_real(b->energy_wh, 0, b->capacity_wh);
	r->steps++;
}

static int check(const struct series *s, const struct control_simulation *sim, struct err *e)
{
	if (!s->count)
		return err_set(e, ERR_INPUT, 0, "the series has no rows");
	if (!(sim->battery_wh > 0) || !(sim->battery_w > 0))
		return err_set(e, ERR_USAGE, 0, "battery of %g Wh and %g W: both must be above 0", sim->battery_wh, sim->battery_w);
	if (!(sim->efficiency > 0 && sim->efficiency <= 1))
		return err_set(e, ERR_USAGE, 0, "efficiency is %g, must be above 0 and at most 1", sim->efficiency);
	return 0;
}

static void finish(struct control_result *r, const struct battery *b)
{
	r->soc_end_percent = 100 * b->energy_wh / b->capacity_wh;
	r->self_consumption_percent = r->pv_wh > 0 ? 100 * (1 - r->export_wh / r->pv_wh) : NAN;
	r->autarky_percent = r->load_wh > 0 ? 100 * (1 - r->import_wh / r->load_wh) : NAN;
	r->cycles = r->discharge_wh / b->capacity_wh;
}

int control_simulate(const struct series *s, const struct control_simulation *sim, struct control_result *out,
		     struct err *e)
{
	/* No dead time, no lag, no dead band: a step of the series is long against all of them. */
	struct control_config config = {
		.site = sim->limits, .charge_rating_w = sim->battery_w, .discharge_rating_w = sim->battery_w,
		.meter_period_us = s->step_us, .ramp_w_per_s = INFINITY, .expects_bms = true,
		.bms_max_age_us = 3 * s->step_us, .inverter_max_age_us = 3 * s->step_us,
	};
	struct control_envelope envelope = { sim->mode, sim->manual_w, sim->limits.target_w, INT64_MAX, true };
	struct battery b = { sim->battery_wh / 2, sim->battery_wh, sim->efficiency, 0 };
	double hours = (double)s->step_us / (3600.0 * US_PER_S);
	struct control *c;

	*out = (struct control_result){ 0 };
	if (check(s, sim, e) < 0 || control_new(&config, &c, e) < 0)
		return -1;
	for (size_t i = 0; i < s->count; i++) {
		struct now now = { s->step_us * (int64_t)(i + 2), s->start_utc_us + s->step_us * (int64_t)i, true };
		struct control_input in = measure(&b, s->load_w[i], s->pv_w[i], hours, &now);
		struct control_decision d;

		if (i == 0) { /* the careful start is over before the series begins */
			struct now before = { now.boot_us - s->step_us, now.utc_us - s->step_us, true };
			struct control_input first = measure(&b, s->load_w[0], s->pv_w[0], hours, &before);

			control_step(c, &first, &envelope, &before, &d);
		}
		control_step(c, &in, &envelope, &now, &d);
		if (d.write) {
			control_sent(c, d.setpoint_w, now.boot_us);
			b.power_w = d.setpoint_w;
		}
		account(out, sim, &b, s->load_w[i], s->pv_w[i], hours);
	}
	control_free(c);
	finish(out, &b);
	return 0;
}
