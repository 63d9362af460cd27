/* psec control simulate: a series of load and PV through the control law that runs in the field. */
#include <math.h>
#include <string.h>

#include "cmd.h"
#include "control/control.h"
#include "series/series.h"

struct options {
	const char *series, *tariff;
	double battery_wh, battery_w, efficiency, manual_w, target_w, reserve_percent;
	int mode;
};

static const struct options defaults = {
	.tariff = "fixed:0.30:0.08", .battery_wh = 10000, .battery_w = 5000, .efficiency = 0.95, .mode = SITE_MODE_SELF_CONSUMPTION,
};

static const char *const modes[] = { "off", "manual", "self-consumption", NULL };

static const struct cmd_opt opts[] = {
	{ .name = "series", .letter = 's', .type = CMD_TEXT, .offset = offsetof(struct options, series), .value = "FILE",
	  .complete = "file", .required = true, .summary = "CSV of ts_utc,load_w,pv_w[,price_eur_mwh]; - is standard input" },
	{ .name = "mode", .letter = 'm', .type = CMD_CHOICE, .offset = offsetof(struct options, mode), .value = "MODE",
	  .choices = modes, .summary = "what decides" },
	{ .name = "battery-wh", .type = CMD_REAL, .offset = offsetof(struct options, battery_wh), .value = "N", .min = 1, .max = 1e9,
	  .summary = "usable energy" },
	{ .name = "battery-w", .type = CMD_REAL, .offset = offsetof(struct options, battery_w), .value = "N", .min = 1, .max = 1e9,
	  .summary = "most power, either way" },
	{ .name = "efficiency", .type = CMD_REAL, .offset = offsetof(struct options, efficiency), .value = "F", .min = 0.1, .max = 1,
	  .summary = "one way, at the AC side" },
	{ .name = "tariff", .type = CMD_TEXT, .offset = offsetof(struct options, tariff), .value = "T",
	  .summary = "fixed:IMPORT:EXPORT in EUR/kWh" },
	{ .name = "target", .type = CMD_REAL, .offset = offsetof(struct options, target_w), .value = "W", .min = -1e9, .max = 1e9,
	  .summary = "grid power to hold" },
	{ .name = "reserve", .type = CMD_REAL, .offset = offsetof(struct options, reserve_percent), .value = "PERCENT", .max = 100,
	  .summary = "kept for a power cut" },
	{ .name = "power", .type = CMD_REAL, .offset = offsetof(struct options, manual_w), .value = "W", .min = -1e9, .max = 1e9,
	  .summary = "battery power in manual mode, discharge positive" },
};

enum column { MODE, FROM, STEPS, LOAD, PV, IMPORT, EXPORT, CHARGE, DISCHARGE, PEAK_IMPORT, PEAK_EXPORT, SELF, AUTARKY, CYCLES, SOC,
	      COST, COLUMNS };
static const struct out_column columns[COLUMNS] = {
	[MODE] = { .key = "mode", .heading = "Mode", .type = OUT_TEXT },
	[FROM] = { .key = "start_utc", .heading = "From", .type = OUT_TIME },
	[STEPS] = { .key = "steps", .heading = "Steps", .type = OUT_INT },
	[LOAD] = { .key = "load_wh", .heading = "Load", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
	[PV] = { .key = "pv_wh", .heading = "PV", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
	[IMPORT] = { .key = "import_wh", .heading = "Import", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
	[EXPORT] = { .key = "export_wh", .heading = "Export", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
	[CHARGE] = { .key = "charge_wh", .heading = "Charge", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
	[DISCHARGE] = { .key = "discharge_wh", .heading = "Discharge", .unit = "Wh", .type = OUT_REAL, .decimals = 1 },
	[PEAK_IMPORT] = { .key = "peak_import_w", .heading = "Peak import", .unit = "W", .type = OUT_REAL, .decimals = 1 },
	[PEAK_EXPORT] = { .key = "peak_export_w", .heading = "Peak export", .unit = "W", .type = OUT_REAL, .decimals = 1 },
	[SELF] = { .key = "self_consumption_percent", .heading = "Self-consumption", .unit = "%", .type = OUT_REAL, .decimals = 1 },
	[AUTARKY] = { .key = "autarky_percent", .heading = "Autarky", .unit = "%", .type = OUT_REAL, .decimals = 1 },
	[CYCLES] = { .key = "cycles", .heading = "Full cycles", .type = OUT_REAL, .decimals = 1 },
	[SOC] = { .key = "soc_end_percent", .heading = "SoC at the end", .unit = "%", .type = OUT_REAL, .decimals = 1 },
	[COST] = { .key = "cost_eur", .heading = "Cost", .unit = "EUR", .type = OUT_REAL, .decimals = 2 },
};

static int parse_tariff(const char *text, struct control_simulation *sim, struct err *e)
{
	char copy[64], *colon;

	if (str_starts(text, "fixed:") && str_copy(copy, sizeof copy, text + strlen("fixed:")) && (colon = strchr(copy, ':'))) {
		*colon = '\0';
		if (parse_real(copy, -10, 10, &sim->import_eur_kwh) && parse_real(colon + 1, -10, 10, &sim->export_eur_kwh))
			return 0;
	}
	return err_set(e, ERR_USAGE, 0, "tariff '%s' must be fixed:IMPORT:EXPORT in EUR/kWh, each -10…10, like fixed:0.30:0.08", text);
}

static void put_cells(struct out *o, const struct series *s, const struct options *opt, const struct control_result *r)
{
	const struct { enum column column; double value; } cells[] = {
		{ LOAD, r->load_wh }, { PV, r->pv_wh }, { IMPORT, r->import_wh }, { EXPORT, r->export_wh },
		{ CHARGE, r->charge_wh }, { DISCHARGE, r->discharge_wh }, { PEAK_IMPORT, r->peak_import_w },
		{ PEAK_EXPORT, r->peak_export_w }, { SELF, r->self_consumption_percent }, { AUTARKY, r->autarky_percent },
		{ CYCLES, r->cycles }, { SOC, r->soc_end_percent }, { COST, r->cost_eur },
	};

	out_row(o);
	out_text(o, MODE, modes[opt->mode]);
	out_time(o, FROM, s->start_utc_us);
	out_int(o, STEPS, r->steps);
	for (size_t i = 0; i < COUNT_OF(cells); i++)
		out_real(o, cells[i].column, cells[i].value);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *opt = options;
	struct control_simulation sim = {
		.mode = (enum site_mode)opt->mode, .battery_wh = opt->battery_wh, .battery_w = opt->battery_w,
		.efficiency = opt->efficiency, .manual_w = opt->manual_w, .limits = control_no_limits(),
	};
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	struct control_result result;
	struct series series;
	int rc;

	(void)argc, (void)argv;
	sim.limits.target_w = opt->target_w;
	sim.limits.reserve_percent = opt->reserve_percent;
	if (parse_tariff(opt->tariff, &sim, e) < 0 || series_read(opt->series, &series, &sink, e) < 0)
		return -1;
	rc = control_simulate(&series, &sim, &result, e);
	if (rc == 0) {
		auto_out struct out *o = out_new(columns, COLUMNS, cmd_form(env, true));

		put_cells(o, &series, opt, &result);
		rc = cmd_print(env, o, e);
	}
	series_release(&series);
	return rc;
}

const struct cmd cmd_control_simulate = {
	.name = "simulate",
	.summary = "a series of load and PV through the control law",
	.more = "The law is the one that runs in the field. The battery starts half full; its efficiency counts each way at the AC side. "
		"Works without a site.",
	.example = "psec control simulate --series year.csv --battery-wh 10000 --battery-w 5000",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.flags = CMD_JSON,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
