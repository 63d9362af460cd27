/* psec control simulate: a series of load and PV through the control law that runs in the field. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cmd.h"
#include "control/control.h"
#include "recordings.h"
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
	const char *html, *title;
	const char *from, *to, *export;
	int64_t step_ms;
	bool closed_loop;
	int plant;
	double load_step_w;
	int64_t window_ms;
};

static const struct options defaults = {
	.tariff = "fixed:0.30:0.08", .modes = { { SITE_MODE_SELF_CONSUMPTION }, 1 }, .battery_wh = { { 10000 }, 1 },
	.battery_w = { { 5000 }, 1 }, .reserve_percent = { { 0 }, 1 }, .efficiency = 0.95,
	.plant = STUDY_MID, .load_step_w = 3000, .window_ms = 60000, .step_ms = 900000,
};

static const char *const modes[] = { "off", "manual", "self-consumption", NULL };

#define AT(field) .offset = offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "series",
	  .letter = 's',
	  .type = CMD_TEXT,
	  AT(series),
	  .value = "FILE",
	  .complete = "file",
	  .summary = "CSV of ts_utc,load_w,pv_w[,price_eur_mwh]; - is standard input" },
	{ .name = "from",
	  .type = CMD_TEXT,
	  AT(from),
	  .value = "DATE",
	  .summary = "the site's own recordings from here on: 2026-10-01, or 2026-10-01T06:00Z" },
	{ .name = "to",
	  .type = CMD_TEXT,
	  AT(to),
	  .value = "DATE",
	  .summary = "and until here; now, when it is left out" },
	{ .name = "step",
	  .type = CMD_DURATION,
	  AT(step_ms),
	  .value = "TIME",
	  .min = 1000,
	  .max = 3600000,
	  .summary = "of the recordings; other than 15 min from raw samples" },
	{ .name = "export-series",
	  .type = CMD_TEXT,
	  AT(export),
	  .value = "FILE",
	  .complete = "file",
	  .summary = "write the series as a CSV; - is standard output" },
	{ .name = "mode",
	  .letter = 'm',
	  .type = CMD_CHOICES,
	  AT(modes),
	  .value = "MODE,…",
	  .choices = modes,
	  .summary = "what decides; several are shown side by side" },
	{ .name = "compare", .letter = 'c', .type = CMD_FLAG, AT(compare), .summary = "show off beside the modes" },
	{ .name = "battery-wh",
	  .type = CMD_REALS,
	  AT(battery_wh),
	  .value = "N,…",
	  .min = 1,
	  .max = 1e9,
	  .summary = "usable energy, one or several" },
	{ .name = "battery-w",
	  .type = CMD_REALS,
	  AT(battery_w),
	  .value = "N,…",
	  .min = 1,
	  .max = 1e9,
	  .summary = "most power, either way; one or several" },
	{ .name = "efficiency",
	  .type = CMD_REAL,
	  AT(efficiency),
	  .value = "F",
	  .min = 0.1,
	  .max = 1,
	  .summary = "one way, at the AC side" },
	{ .name = "tariff",
	  .letter = 't',
	  .type = CMD_TEXT,
	  AT(tariff),
	  .value = "T",
	  .complete = "file",
	  .summary = "fixed:IMPORT:EXPORT, dynamic:MARKUP:EXPORT[:TAX] in EUR/kWh, or a file" },
	{ .name = "target",
	  .type = CMD_REAL,
	  AT(target_w),
	  .value = "W",
	  .min = -1e9,
	  .max = 1e9,
	  .summary = "grid power to hold" },
	{ .name = "reserve",
	  .type = CMD_REALS,
	  AT(reserve_percent),
	  .value = "PERCENT,…",
	  .max = 100,
	  .summary = "kept for a power cut, one or several" },
	{ .name = "power",
	  .type = CMD_REAL,
	  AT(manual_w),
	  .value = "W",
	  .min = -1e9,
	  .max = 1e9,
	  .summary = "battery power in mode manual, discharge positive" },
	{ .name = "closed-loop",
	  .type = CMD_FLAG,
	  AT(closed_loop),
	  .summary = "also, or without a series only: a load step on the simulated plant" },
	{ .name = "plant",
	  .type = CMD_CHOICE,
	  AT(plant),
	  .value = "PLANT",
	  .choices = study_plant_names,
	  .summary = "closed loop: inverter and meter" },
	{ .name = "load-step",
	  .type = CMD_REAL,
	  AT(load_step_w),
	  .value = "W",
	  .min = -1e6,
	  .max = 1e6,
	  .summary = "closed loop: how much more load, for a third of the window" },
	{ .name = "window",
	  .type = CMD_DURATION,
	  AT(window_ms),
	  .value = "TIME",
	  .min = 30000,
	  .max = 3600000,
	  .summary = "closed loop: how long" },
	{ .name = "html",
	  .type = CMD_TEXT,
	  AT(html),
	  .value = "FILE",
	  .complete = "file",
	  .summary = "write a page with plots; - is standard output" },
	{ .name = "title", .type = CMD_TEXT, AT(title), .value = "TEXT", .summary = "of the page" },
};

/* ---- cases ---- */

static int add_case(struct study_case *cases, size_t *count, const struct study_case *c, struct err *e)
{
	if (*count == CASES_MAX)
		return err_set(e, ERR_USAGE, 0,
			       "modes, batteries and reserves make more than %d cases; give fewer of one", CASES_MAX);
	cases[(*count)++] = *c;
	return 0;
}

/* Every mode with every battery and reserve; off is one case, since its battery rests whatever it is. */
static int make_cases(const struct options *opt, struct study_case cases[CASES_MAX], size_t *count, struct err *e)
{
	struct study_case c = { .efficiency = opt->efficiency,
				.manual_w = opt->manual_w,
				.limits = control_no_limits() };
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

static struct out_column figure_column(const struct study_figure *f)
{
	return (struct out_column){
		.key = f->key, .heading = f->heading, .unit = f->unit, .type = OUT_REAL, .decimals = f->decimals
	};
}

enum { BEFORE = 7 };
/* The study's figures as columns, behind what names the case. */
static void make_columns(const struct study *s, const struct options *opt, struct out_column *columns)
{
	static const char *const side_by_side[] = { "import_wh",       "export_wh", "self_consumption_percent",
						    "autarky_percent", "cycles",    "cost_eur",
						    "saving_eur" };
	static const char *const short_headings[] = {
		"Import", "Export", "Self", "Autarky", "Cycles", "Cost", "Saved"
	};
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

		*c = figure_column(f);
		if (table)
			c->flags = OUT_JSON_ONLY;
		for (size_t k = 0; k < COUNT_OF(side_by_side) && table; k++)
			if (str_eq(f->key, side_by_side[k])) {
				c->flags = 0;
				c->heading = short_headings[k];
			}
		if (!study_figure_counts(s, f))
			c->flags = OUT_JSON_ONLY;
		if (table && s->tariff->capacity_eur_kw > 0 && str_eq(f->key, "peak_import_w")) {
			c->flags = 0;
			c->heading = "Peak";
		}
	}
}

/* Caller's reference. */
static json_t *loop_json(const struct study_loop *l)
{
	json_t *o = json_pack("{s:s, s:I}", "plant", study_plant_names[l->of.plant], "writes", (json_int_t)l->writes);

	for (size_t i = 0; i < study_loop_figure_count; i++) {
		double v = study_figure_of(l, &study_loop_figures[i]);

		json_object_set_new(o, study_loop_figures[i].key, isfinite(v) ? json_real(v) : json_null());
	}
	return o;
}

static int show(const struct cmd_env *env, const struct options *opt, const struct study *s,
		const struct study_loop *loop, struct err *e)
{
	size_t count = BEFORE + study_figure_count + (loop ? 1 : 0);
	auto_free struct out_column *columns = xcalloc(count, sizeof *columns);
	auto_out struct out *o = NULL;

	make_columns(s, opt, columns);
	if (loop)
		columns[count - 1] =
			(struct out_column){ .key = "closed_loop", .type = OUT_JSON, .flags = OUT_JSON_ONLY };
	o = out_new(columns, count, cmd_form(env, s->count == 1));
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
		if (loop && r->of.mode != SITE_MODE_OFF)
			out_json(o, count - 1, loop_json(loop), NULL);
	}
	return cmd_print(env, o, e);
}

static int write_text(const struct cmd_env *env, const char *path, const char *text, struct err *e)
{
	if (!str_eq(path, "-"))
		return file_replace(path, text, strlen(text), 0644, e);
	return fputs(text, env->out) == EOF ? err_set(e, ERR_IO, errno, "cannot write to standard output") : 0;
}

/* ---- the closed loop ---- */

static int run_loop(const struct options *opt, const struct study_case *cases, size_t count, struct study_loop *out,
		    struct err *e)
{
	/* Of several batteries the first one that works. */
	const struct study_case *c = count > 1 && cases[0].mode == SITE_MODE_OFF ? &cases[1] : &cases[0];
	struct study_loop_setup setup = { .plant = (enum study_plant)opt->plant,
					  .load_w = 500,
					  .step_w = opt->load_step_w,
					  .window_us = opt->window_ms * US_PER_MS };

	return study_loop_run(&setup, c, out, e);
}

static int show_loop(const struct cmd_env *env, const struct study_loop *l, struct err *e)
{
	auto_free struct out_column *columns = xcalloc(study_loop_figure_count + 2, sizeof *columns);
	auto_out struct out *o = NULL;

	columns[0] = (struct out_column){ .key = "plant", .heading = "Closed loop", .type = OUT_TEXT };
	for (size_t i = 0; i < study_loop_figure_count; i++)
		columns[1 + i] = figure_column(&study_loop_figures[i]);
	columns[study_loop_figure_count + 1] =
		(struct out_column){ .key = "writes", .heading = "Set-points sent", .type = OUT_INT };
	o = out_new(columns, study_loop_figure_count + 2, cmd_form(env, true));
	out_row(o);
	out_text(o, 0, study_plant_names[l->of.plant]);
	for (size_t i = 0; i < study_loop_figure_count; i++)
		out_real(o, 1 + i, study_figure_of(l, &study_loop_figures[i]));
	out_int(o, study_loop_figure_count + 1, l->writes);
	return cmd_print(env, o, e);
}

/* ---- the page ---- */

/* Where a series came from stands in a NOTICE.md beside it that names it. Caller frees; NULL: there is none. */
static char *notice_of(const char *series)
{
	enum { NOTICE_MAX = 8192 };
	const char *slash = strrchr(series, '/'), *name = slash ? slash + 1 : series;
	auto_free char *path = xasprintf("%.*sNOTICE.md", slash ? (int)(slash + 1 - series) : 0, series);
	auto_buf struct buf text = BUF_INIT;
	struct err e;

	if (file_read_regular(path, NOTICE_MAX, &text, &e) < 0 || !text.data || strlen(text.data) != text.len ||
	    !strstr(text.data, name))
		return NULL;
	return buf_take(&text);
}

static int write_page(const struct cmd_env *env, const struct options *opt, const struct study *study,
		      const struct study_loop *loop, struct err *e)
{
	auto_free char *notice = opt->series ? notice_of(opt->series) : NULL, *html = NULL;
	const char *slash = opt->series ? strrchr(opt->series, '/') : NULL;
	struct study_page page = { .title = opt->title ? opt->title : "Battery simulation",
				   .licence = notice,
				   .loop = loop,
				   .source = opt->from ? "recordings of the site"
					     : slash   ? slash + 1
						       : opt->series,
				   .made_utc_us = now_read().utc_us };

	html = study_page(study, &page);
	return write_text(env, opt->html, html, e);
}

static int show_all(const struct cmd_env *env, const struct options *opt, const struct study *study,
		    const struct study_loop *loop, struct err *e)
{
	if (opt->html && write_page(env, opt, study, loop, e) < 0)
		return -1;
	if ((opt->html && str_eq(opt->html, "-")) || (opt->export && str_eq(opt->export, "-")))
		return 0;
	if (study && show(env, opt, study, loop, e) < 0)
		return -1;
	if (!loop || (!cmd_for_people(env) && study))
		return 0;
	if (study)
		fputc('\n', env->out);
	return show_loop(env, loop, e);
}

/* ---- the series ---- */

/* A date is its midnight on the tariff's clock. */
static int parse_when(const char *option, const char *text, const struct tariff_clock *clock, int64_t *utc_us,
		      struct err *e)
{
	auto_free char *midnight = xasprintf("%sT00:00Z", text);
	struct time_date d;
	char shown[64];

	if (time_parse(text, utc_us))
		return 0;
	if (time_parse(midnight, utc_us)) {
		d = time_date_of(*utc_us);
		*utc_us = tariff_midnight_us(clock, d.year, d.month, d.day);
		return 0;
	}
	str_printable(shown, sizeof shown, text, strlen(text));
	return err_set(e, ERR_USAGE, 0, "--%s is '%s', must be a date like 2026-10-01 or a time like 2026-10-01T06:00Z",
		       option, shown);
}

static int read_recordings(const struct cmd_env *env, const struct options *opt, const struct tariff *tariff,
			   struct series *series, struct err *e)
{
	int64_t from_us, to_us = now_read().utc_us;

	if (opt->series)
		return err_set(e, ERR_USAGE, 0, "--series and --from are two sources; give one");
	if (3600000 % opt->step_ms)
		return err_set(e, ERR_USAGE, 0, "--step must divide an hour, as 1min, 5min or 15min do");
	if (parse_when("from", opt->from, &tariff->clock, &from_us, e) < 0 ||
	    (opt->to && parse_when("to", opt->to, &tariff->clock, &to_us, e) < 0))
		return -1;
	return recordings_read(env, from_us, to_us, opt->step_ms * US_PER_MS, series, e);
}

static int run_series(const struct cmd_env *env, const struct options *opt, const struct tariff *tariff,
		      const struct study_case *cases, size_t count, struct series *series, struct study **study,
		      struct err *e)
{
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };

	if (opt->from ? read_recordings(env, opt, tariff, series, e) < 0
		      : series_read(opt->series, series, &sink, e) < 0)
		return -1;
	if (opt->export) {
		auto_free char *text = series_text(series);

		if (write_text(env, opt->export, text, e) < 0)
			return -1;
	}
	return study_run(series, tariff, cases, count, study, e);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *opt = options;
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	auto_free struct tariff *tariff = xcalloc(1, sizeof *tariff);
	struct study_case cases[CASES_MAX];
	auto_study struct study *study = NULL;
	struct study_loop loop = { 0 };
	struct series series = { 0 };
	size_t count;
	int rc;

	(void)argc, (void)argv;
	if (!opt->series && !opt->from && !opt->closed_loop)
		return err_set(e, ERR_USAGE, 0,
			       opt->to ? "--to needs --from"
				       : "there is nothing to simulate; give --series or --closed-loop, or --from for "
					 "the site's recordings");
	if (make_cases(opt, cases, &count, e) < 0 || tariff_read(opt->tariff, tariff, &sink, e) < 0)
		return -1;
	rc = opt->series || opt->from ? run_series(env, opt, tariff, cases, count, &series, &study, e) : 0;
	if (rc == 0 && opt->closed_loop)
		rc = run_loop(opt, cases, count, &loop, e);
	if (rc == 0)
		rc = show_all(env, opt, study, opt->closed_loop ? &loop : NULL, e);
	series_release(&series);
	study_loop_release(&loop);
	return rc;
}

const struct cmd cmd_control_simulate = {
	.name = "simulate",
	.summary = "a series of load and PV through the control law",
	.more = "The law is the one that runs in the field. The battery starts half full; its efficiency counts each "
		"way at the AC side. "
		"Works without a site. One case is printed whole, several side by side; with --json an object or a "
		"list.",
	.example = "psec control simulate --series year.csv --battery-wh 10000 --battery-w 5000\n"
		   "psec control simulate -s year.csv --compare --battery-wh 5000,10000,15000",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.flags = CMD_JSON | CMD_CSV,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
