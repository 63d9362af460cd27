/* psec control simulate: a series of load and PV through the control law that runs in the field. */
#include <math.h>
#include <string.h>

#include "cmd.h"
#include "control/control.h"
#include "series/series.h"
#include "study/study.h"
#include "tariff/tariff.h"

enum { CASES_MAX = 24 };

struct options {
	const char *series, *tariff;
	struct cmd_choices modes;
	struct cmd_reals battery_wh, battery_w, reserve_percent;
	double efficiency, manual_w, target_w;
	bool compare;
};

static const struct options defaults = {
	.tariff = "fixed:0.30:0.08", .modes = { { SITE_MODE_SELF_CONSUMPTION }, 1 }, .battery_wh = { { 10000 }, 1 },
	.battery_w = { { 5000 }, 1 }, .reserve_percent = { { 0 }, 1 }, .efficiency = 0.95,
};

static const char *const modes[] = { "off", "manual", "self-consumption", NULL };

#define AT(field) .offset = offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "series", .letter = 's', .type = CMD_TEXT, AT(series), .value = "FILE", .complete = "file", .required = true,
	  .summary = "CSV of ts_utc,load_w,pv_w[,price_eur_mwh]; - is standard input" },
	{ .name = "mode", .letter = 'm', .type = CMD_CHOICES, AT(modes), .value = "MODE,…", .choices = modes,
	  .summary = "what decides; several are shown side by side" },
	{ .name = "compare", .letter = 'c', .type = CMD_FLAG, AT(compare), .summary = "show off beside the modes" },
	{ .name = "battery-wh", .type = CMD_REALS, AT(battery_wh), .value = "N,…", .min = 1, .max = 1e9,
	  .summary = "usable energy, one or several" },
	{ .name = "battery-w", .type = CMD_REALS, AT(battery_w), .value = "N,…", .min = 1, .max = 1e9,
	  .summary = "most power, either way; one or several" },
	{ .name = "efficiency", .type = CMD_REAL, AT(efficiency), .value = "F", .min = 0.1, .max = 1,
	  .summary = "one way, at the AC side" },
	{ .name = "tariff", .letter = 't', .type = CMD_TEXT, AT(tariff), .value = "T", .complete = "file",
	  .summary = "fixed:IMPORT:EXPORT, dynamic:MARKUP:EXPORT[:TAX] in EUR/kWh, or a file" },
	{ .name = "target", .type = CMD_REAL, AT(target_w), .value = "W", .min = -1e9, .max = 1e9,
	  .summary = "grid power to hold" },
	{ .name = "reserve", .type = CMD_REALS, AT(reserve_percent), .value = "PERCENT,…", .max = 100,
	  .summary = "kept for a power cut, one or several" },
	{ .name = "power", .type = CMD_REAL, AT(manual_w), .value = "W", .min = -1e9, .max = 1e9,
	  .summary = "battery power in mode manual, discharge positive" },
};

/* ---- cases ---- */

static int add_case(struct study_case *cases, size_t *count, const struct study_case *c, struct err *e)
{
	if (*count == CASES_MAX)
		return err_set(e, ERR_USAGE, 0, "modes, batteries and reserves make more than %d cases; give fewer of one", CASES_MAX);
	cases[(*count)++] = *c;
	return 0;
}

/* Every mode with every battery and reserve; off is one case, since its battery rests whatever it is. */
static int make_cases(const struct options *opt, struct study_case cases[CASES_MAX], size_t *count, struct err *e)
{
	struct study_case c = { .efficiency = opt->efficiency, .manual_w = opt->manual_w, .limits = control_no_limits() };
	bool with_off = opt->compare;

	c.limits.target_w = opt->target_w;
	*count = 0;
	for (size_t m = 0; m < opt->modes.count; m++)
		with_off |= opt->modes.at[m] == SITE_MODE_OFF;
	c.mode = SITE_MODE_OFF;
	c.battery_wh = opt->battery_wh.at[0];
	c.battery_w = opt->battery_w.at[0];
	c.limits.reserve_percent = opt->reserve_percent.at[0];
	if (with_off && add_case(cases, count, &c, e) < 0)
		return -1;
	for (size_t m = 0; m < opt->modes.count; m++) {
		c.mode = (enum site_mode)opt->modes.at[m];
		for (size_t i = 0; c.mode != SITE_MODE_OFF && i < opt->battery_wh.count; i++)
			for (size_t k = 0; k < opt->battery_w.count; k++)
				for (size_t r = 0; r < opt->reserve_percent.count; r++) {
					c.battery_wh = opt->battery_wh.at[i];
					c.battery_w = opt->battery_w.at[k];
					c.limits.reserve_percent = opt->reserve_percent.at[r];
					if (add_case(cases, count, &c, e) < 0)
						return -1;
				}
	}
	return 0;
}

/* ---- output ---- */

enum { BEFORE = 7 };
/* The study's figures as columns, behind what names the case. */
static void make_columns(const struct study *s, const struct options *opt, struct out_column *columns)
{
	static const char *const side_by_side[] = { "import_wh", "export_wh", "self_consumption_percent", "autarky_percent",
						    "cycles", "cost_eur", "saving_eur" };
	static const char *const short_headings[] = { "Import", "Export", "Self", "Autarky", "Cycles", "Cost", "Saved" };
	static const struct out_column before[BEFORE] = {
		{ .key = "mode", .heading = "Mode", .type = OUT_TEXT },
		{ .key = "start_utc", .heading = "From", .type = OUT_TIME },
		{ .key = "steps", .heading = "Steps", .type = OUT_INT },
		{ .key = "gaps", .heading = "Gaps", .type = OUT_INT },
		{ .key = "battery_wh", .heading = "Battery", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
		{ .key = "battery_w", .heading = "Power", .unit = "W", .type = OUT_REAL, .decimals = 1 },
		{ .key = "reserve_percent", .heading = "Reserve", .unit = "%", .type = OUT_REAL },
	};
	bool table = s->count > 1;

	memcpy(columns, before, sizeof before);
	if (!s->results[0].gaps)
		columns[3].flags = OUT_JSON_ONLY;
	if (table)
		columns[1].flags = columns[2].flags = columns[3].flags = OUT_JSON_ONLY;
	if (table && opt->battery_wh.count < 2)
		columns[4].flags = OUT_JSON_ONLY;
	if (table && opt->battery_w.count < 2)
		columns[5].flags = OUT_JSON_ONLY;
	if (opt->reserve_percent.count < 2)
		columns[6].flags = OUT_JSON_ONLY;
	for (size_t i = 0; i < study_figure_count; i++) {
		const struct study_figure *f = &study_figures[i];
		struct out_column *c = &columns[BEFORE + i];

		*c = (struct out_column){ .key = f->key, .heading = f->heading, .unit = f->unit, .type = OUT_REAL, .decimals = f->decimals };
		if (table)
			c->flags = OUT_JSON_ONLY;
		for (size_t k = 0; k < COUNT_OF(side_by_side) && table; k++)
			if (str_eq(f->key, side_by_side[k])) {
				c->flags = 0;
				c->heading = short_headings[k];
			}
		/* Without a price for peaks there is one cost, not three. */
		if (s->tariff->capacity_eur_kw <= 0 && (str_eq(f->key, "energy_eur") || str_eq(f->key, "capacity_eur")))
			c->flags = OUT_JSON_ONLY;
		if (table && s->tariff->capacity_eur_kw > 0 && str_eq(f->key, "peak_import_w")) {
			c->flags = 0;
			c->heading = "Peak";
		}
	}
}

static int show(const struct cmd_env *env, const struct options *opt, const struct study *s, struct err *e)
{
	auto_free struct out_column *columns = xcalloc(BEFORE + study_figure_count, sizeof *columns);
	auto_out struct out *o = NULL;

	make_columns(s, opt, columns);
	o = out_new(columns, BEFORE + study_figure_count, cmd_form(env, s->count == 1));
	for (size_t i = 0; i < s->count; i++) {
		const struct study_result *r = &s->results[i];

		out_row(o);
		out_text(o, 0, site_mode_name(r->of.mode));
		out_time(o, 1, s->series->start_utc_us);
		out_int(o, 2, r->steps);
		out_int(o, 3, r->gaps);
		if (r->of.mode != SITE_MODE_OFF) {
			out_real(o, 4, r->of.battery_wh);
			out_real(o, 5, r->of.battery_w);
			out_real(o, 6, r->of.limits.reserve_percent);
		}
		for (size_t k = 0; k < study_figure_count; k++)
			out_real(o, BEFORE + k, study_figure_of(r, &study_figures[k]));
	}
	return cmd_print(env, o, e);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *opt = options;
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	auto_free struct tariff *tariff = xcalloc(1, sizeof *tariff);
	struct study_case cases[CASES_MAX];
	auto_study struct study *study = NULL;
	struct series series;
	size_t count;
	int rc;

	(void)argc, (void)argv;
	if (make_cases(opt, cases, &count, e) < 0 || tariff_read(opt->tariff, tariff, &sink, e) < 0 ||
	    series_read(opt->series, &series, &sink, e) < 0)
		return -1;
	rc = study_run(&series, tariff, cases, count, &study, e);
	if (rc == 0)
		rc = show(env, opt, study, e);
	series_release(&series);
	return rc;
}

const struct cmd cmd_control_simulate = {
	.name = "simulate",
	.summary = "a series of load and PV through the control law",
	.more = "The law is the one that runs in the field. The battery starts half full; its efficiency counts each way at the AC side. "
		"Works without a site. One case is printed whole, several side by side; with --json an object or a list.",
	.example = "psec control simulate --series year.csv --battery-wh 10000 --battery-w 5000\n"
		   "psec control simulate --series year.csv --compare --battery-wh 5000,10000,15000",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.flags = CMD_JSON,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
