/* Cases of a study: each takes the series through the law of the field, step by step. */
#include <math.h>

#include "control/control.h"
#include "study/study.h"

/* The battery of the comparison: ideal but for its efficiency, one way at the AC side; its BMS allows what fits into
 * the step. */
struct battery {
	double energy_wh, capacity_wh, efficiency, power_w;
};

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
		.soc_percent = signal(100 * b->energy_wh / b->capacity_wh, now),
		.charge_limit_w = signal((b->capacity_wh - b->energy_wh) / (b->efficiency * hours), now),
		.discharge_limit_w = signal(b->energy_wh * b->efficiency / hours, now),
	};
}

static void account(struct study_result *r, const struct study *study, size_t i, struct battery *b, double hours)
{
	double load_w = study->series->load_w[i], pv_w = study->series->pv_w[i], grid_w = load_w - pv_w - b->power_w;

	r->load_wh += load_w * hours;
	r->pv_wh += pv_w * hours;
	r->import_wh += fmax(grid_w, 0) * hours;
	r->export_wh += fmax(-grid_w, 0) * hours;
	r->peak_import_w = fmax(r->peak_import_w, grid_w);
	r->peak_export_w = fmax(r->peak_export_w, -grid_w);
	r->energy_eur += (fmax(grid_w, 0) * study->import_eur_kwh[i] - fmax(-grid_w, 0) * study->export_eur_kwh[i]) *
			 hours / 1000;
	if (b->power_w > 0) {
		r->discharge_wh += b->power_w * hours;
		b->energy_wh -= b->power_w / b->efficiency * hours;
	} else {
		r->charge_wh -= b->power_w * hours;
		b->energy_wh -= b->power_w * b->efficiency * hours;
	}
	b->energy_wh = clamp_real(b->energy_wh, 0, b->capacity_wh);
	r->battery_w[i] = b->power_w;
	r->grid_w[i] = grid_w;
	r->soc_percent[i] = 100 * b->energy_wh / b->capacity_wh;
	r->steps++;
}

static int check(const struct study_case *c, struct err *e)
{
	if (!(c->battery_wh > 0) || !(c->battery_w > 0))
		return err_set(e, ERR_USAGE, 0, "battery of %g Wh and %g W: both must be above 0", c->battery_wh,
			       c->battery_w);
	if (!(c->efficiency > 0 && c->efficiency <= 1))
		return err_set(e, ERR_USAGE, 0, "efficiency is %g, must be above 0 and at most 1", c->efficiency);
	return 0;
}

static void skip(struct study_result *r, size_t i)
{
	r->battery_w[i] = r->grid_w[i] = r->soc_percent[i] = NAN;
	r->gaps++;
}

static void walk(struct study_result *r, const struct study *study, struct control *c, struct battery *b)
{
	const struct series *s = study->series;
	struct control_envelope envelope = { r->of.mode, r->of.manual_w, r->of.limits.target_w, INT64_MAX, true };
	double hours = (double)s->step_us / (3600.0 * US_PER_S);
	bool began = false;

	for (size_t i = 0; i < s->count; i++) {
		struct now now = { s->step_us * (int64_t)(i + 2), s->start_utc_us + s->step_us * (int64_t)i, true };
		struct control_input in = measure(b, s->load_w[i], s->pv_w[i], hours, &now);
		struct control_decision d;

		if (isnan(s->load_w[i])) {
			skip(r, i);
			continue;
		}
		if (!began) { /* the careful start is over before the series begins */
			struct now before = { now.boot_us - s->step_us, now.utc_us - s->step_us, true };
			struct control_input first = measure(b, s->load_w[i], s->pv_w[i], hours, &before);

			control_step(c, &first, &envelope, &before, &d);
			began = true;
		}
		control_step(c, &in, &envelope, &now, &d);
		if (d.write) {
			control_sent(c, d.setpoint_w, now.boot_us);
			b->power_w = d.setpoint_w;
		}
		account(r, study, i, b, hours);
	}
}

static double *column(size_t count)
{
	return xcalloc(count, sizeof(double));
}

static int run_case(struct study_result *r, const struct study_case *of, const struct study *study, struct err *e)
{
	const struct series *s = study->series;
	/* No dead time, no lag, no dead band: a step of the series is long against all of them. */
	struct control_config config = {
		.site = of->limits, .charge_rating_w = of->battery_w, .discharge_rating_w = of->battery_w,
		.meter_period_us = s->step_us, .inverter.ramp_w_per_s = INFINITY, .expects_bms = true,
		.bms_max_age_us = 3 * s->step_us, .inverter_max_age_us = 3 * s->step_us,
	};
	struct battery b = { of->battery_wh / 2, of->battery_wh, of->efficiency, 0 };
	struct control *c;

	if (check(of, e) < 0 || control_new(&config, &c, e) < 0)
		return -1;
	*r = (struct study_result){ .of = *of, .battery_w = column(s->count), .grid_w = column(s->count),
				    .soc_percent = column(s->count) };
	walk(r, study, c, &b);
	control_free(c);
	r->soc_end_percent = 100 * b.energy_wh / b.capacity_wh;
	r->self_consumption_percent = r->pv_wh > 0 ? 100 * (1 - r->export_wh / r->pv_wh) : NAN;
	r->autarky_percent = r->load_wh > 0 ? 100 * (1 - r->import_wh / r->load_wh) : NAN;
	r->cycles = r->discharge_wh / b.capacity_wh;
	r->capacity_eur = tariff_capacity_eur(study->tariff, s->start_utc_us, s->step_us, s->count, r->grid_w);
	r->cost_eur = r->energy_eur + r->capacity_eur;
	return 0;
}

static void release_result(struct study_result *r)
{
	free(r->battery_w);
	free(r->grid_w);
	free(r->soc_percent);
}

/* What the same series costs without a battery, for the savings. */
static int cost_off(const struct study *study, const struct study_case *like, double *eur, struct err *e)
{
	struct study_case off = *like;
	struct study_result r;

	for (size_t i = 0; i < study->count; i++)
		if (study->results[i].of.mode == SITE_MODE_OFF) {
			*eur = study->results[i].cost_eur;
			return 0;
		}
	off.mode = SITE_MODE_OFF;
	if (run_case(&r, &off, study, e) < 0)
		return -1;
	*eur = r.cost_eur;
	release_result(&r);
	return 0;
}

int study_run(const struct series *s, const struct tariff *t, const struct study_case *cases, size_t count,
	      struct study **out, struct err *e)
{
	auto_study struct study *study = xcalloc(1, sizeof *study);
	double off_eur;

	if (!s->count)
		return err_set(e, ERR_INPUT, 0, "the series has no rows");
	study->series = s;
	study->tariff = t;
	study->import_eur_kwh = column(s->count);
	study->export_eur_kwh = column(s->count);
	study->results = xcalloc(count, sizeof *study->results);
	if (tariff_prices(t, s->start_utc_us, s->step_us, s->count, s->price_eur_mwh, study->import_eur_kwh,
			  study->export_eur_kwh, e) < 0)
		return -1;
	for (; study->count < count; study->count++)
		if (run_case(&study->results[study->count], &cases[study->count], study, e) < 0)
			return -1;
	if (cost_off(study, &cases[0], &off_eur, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		study->results[i].saving_eur = off_eur - study->results[i].cost_eur;
	*out = take(study);
	return 0;
}

void study_free(struct study *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		release_result(&s->results[i]);
	free(s->results);
	free(s->import_eur_kwh);
	free(s->export_eur_kwh);
	free(s);
}

void study_free_(struct study **s)
{
	study_free(*s);
}
