/* psec sim: the simulated site, to run it and to provoke it. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "ctl/ctl.h"
#include "sim.h"

static const char *socket_path(const struct cmd_env *env, char to[PATH_MAX])
{
	snprintf(to, PATH_MAX, "%s/sim.sock", env->paths.run);
	return to;
}

/* Ask the running site; params is stolen. */
static int ask(const struct cmd_env *env, const char *method, json_t *params, json_t **result, struct err *e)
{
	enum { ANSWER_MS = 5000 };
	struct ctl_client *c = NULL;
	char path[PATH_MAX];
	int rc;

	if (ctl_connect(socket_path(env, path), &c, e) < 0) {
		json_decref(params);
		if (e->kind == ERR_UNREACHABLE)
			err_set(e, ERR_UNREACHABLE, 0,
				"no simulated site runs in '%s'; start one with `psec -C %s sim run`", env->paths.dir,
				env->paths.dir);
		if (e->kind == ERR_REFUSED)
			err_set(e, ERR_REFUSED, 0, "the simulated site in '%s' obeys who started it; be that user",
				env->paths.dir);
		return -1;
	}
	rc = ctl_call(c, method, params, ANSWER_MS, result, e);
	ctl_client_free(c);
	return rc;
}

/* ---- status ---- */

static const struct out_column status_columns[] = {
	{ .key = "at", .heading = "Time of the series", .type = OUT_TEXT },
	{ .key = "load_w", .heading = "House", .unit = "W", .type = OUT_REAL },
	{ .key = "pv_w", .heading = "Sun", .unit = "W", .type = OUT_REAL },
	{ .key = "battery_w", .heading = "Battery (+ discharges)", .unit = "W", .type = OUT_REAL },
	{ .key = "genset_w", .heading = "Genset", .unit = "W", .type = OUT_REAL },
	{ .key = "genset_state", .heading = "Genset is", .type = OUT_TEXT },
	{ .key = "grid_w", .heading = "Grid (+ imports)", .unit = "W", .type = OUT_REAL },
	{ .key = "meter_w", .heading = "Meter shows", .unit = "W", .type = OUT_REAL },
	{ .key = "soc_percent", .heading = "State of charge", .unit = "%", .type = OUT_REAL, .decimals = 1 },
	{ .key = "setpoint_w", .heading = "Set-point", .unit = "W", .type = OUT_REAL },
	{ .key = "setpoint_age_s", .heading = "Set-point's age", .unit = "s", .type = OUT_REAL, .decimals = 1 },
	{ .key = "command_w", .heading = "Inverter follows", .unit = "W", .type = OUT_REAL },
	{ .key = "watchdog_tripped", .heading = "Watchdog came", .type = OUT_BOOL },
	{ .key = "charge_limit_w", .heading = "Battery may take", .unit = "W", .type = OUT_REAL },
	{ .key = "discharge_limit_w", .heading = "Battery may give", .unit = "W", .type = OUT_REAL },
	{ .key = "extra_w", .heading = "Extra load", .unit = "W", .type = OUT_REAL },
	{ .key = "cloud_percent", .heading = "Cloud", .unit = "%", .type = OUT_REAL },
	{ .key = "import_wh", .heading = "Imported", .unit = "Wh", .type = OUT_REAL },
	{ .key = "export_wh", .heading = "Exported", .unit = "Wh", .type = OUT_REAL },
	{ .key = "pv_wh", .heading = "Produced", .unit = "Wh", .type = OUT_REAL },
	{ .key = "charge_wh", .heading = "Charged", .unit = "Wh", .type = OUT_REAL },
	{ .key = "discharge_wh", .heading = "Discharged", .unit = "Wh", .type = OUT_REAL },
	{ .key = "blackout", .heading = "Blackout", .type = OUT_BOOL },
	{ .key = "speed", .heading = "Speed", .type = OUT_INT },
	{ .key = "scenario", .heading = "Scenario", .type = OUT_TEXT },
	{ .key = "elapsed_s", .heading = "Since the start", .unit = "s", .type = OUT_REAL },
	{ .key = "said", .heading = "Last said", .type = OUT_TEXT, .flags = OUT_WIDE },
	{ .key = "next", .heading = "What comes next", .type = OUT_TEXT, .flags = OUT_WIDE },
	{ .key = "next_in_s", .heading = "In", .unit = "s", .type = OUT_REAL },
	{ .key = "batteries", .heading = "Batteries", .type = OUT_JSON, .flags = OUT_JSON_ONLY },
	{ .key = "devices", .heading = "Devices", .type = OUT_JSON, .flags = OUT_JSON_ONLY },
};
static const struct out_column device_columns[] = {
	{ .key = "name", .heading = "DEVICE", .type = OUT_TEXT },
	{ .key = "address", .heading = "ADDRESS", .type = OUT_TEXT, .flags = OUT_WIDE },
	{ .key = "fault", .heading = "FAULT", .type = OUT_TEXT },
	{ .key = "questions", .heading = "QUESTIONS", .type = OUT_INT },
	{ .key = "writes", .heading = "WRITES", .type = OUT_INT },
};

static void put_cell(struct out *o, const struct out_column *columns, size_t n, json_t *row)
{
	json_t *v = json_object_get(row, columns[n].key);

	if (!v || json_is_null(v))
		return;
	switch (columns[n].type) {
	case OUT_TEXT:
		out_text(o, n, json_string_value(v));
		break;
	case OUT_BOOL:
		out_bool(o, n, json_is_true(v));
		break;
	case OUT_INT:
		out_int(o, n, json_integer_value(v));
		break;
	case OUT_JSON:
		out_json(o, n, json_incref(v), "");
		break;
	default:
		out_real(o, n, json_number_value(v));
	}
}

static void put_row(struct out *o, const struct out_column *columns, size_t count, json_t *row)
{
	out_row(o);
	for (size_t n = 0; n < count; n++)
		put_cell(o, columns, n, row);
}

static int print_status(const struct cmd_env *env, json_t *status, struct err *e)
{
	auto_out struct out *record = out_new(status_columns, COUNT_OF(status_columns), cmd_form(env, true));
	auto_out struct out *table = out_new(device_columns, COUNT_OF(device_columns), cmd_form(env, false));
	json_t *row;
	size_t n;

	put_row(record, status_columns, COUNT_OF(status_columns), status);
	if (!env->csv && cmd_print(env, record, e) < 0)
		return -1;
	if (env->json)
		return 0;
	json_array_foreach(json_object_get(status, "devices"), n, row)
		put_row(table, device_columns, COUNT_OF(device_columns), row);
	if (!env->csv)
		fputc('\n', env->out);
	return cmd_print(env, table, e);
}

static int run_status(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	json_t *status = NULL;
	int rc;

	(void)options, (void)argc, (void)argv;
	if (ask(env, "sim.status", NULL, &status, e) < 0)
		return -1;
	rc = print_status(env, status, e);
	json_decref(status);
	return rc;
}

/* ---- fault, load, cloud ---- */

static const struct out_column fault_columns[] = {
	{ .key = "fault", .heading = "FAULT", .type = OUT_TEXT },
	{ .key = "words", .heading = "WHAT THE DEVICE DOES", .type = OUT_TEXT, .flags = OUT_WIDE },
};

static int list_faults(const struct cmd_env *env, struct err *e)
{
	auto_out struct out *o = out_new(fault_columns, COUNT_OF(fault_columns), cmd_form(env, false));

	for (int f = SIM_FAULT_NONE + 1; f < SIM_FAULT_COUNT; f++) {
		out_row(o);
		out_text(o, 0, sim_fault_name((enum sim_fault)f));
		out_text(o, 1, sim_fault_words((enum sim_fault)f));
	}
	return cmd_print(env, o, e);
}

static int run_fault(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	enum sim_fault f;

	(void)options;
	if (argc == 0)
		return list_faults(env, e);
	if (argc == 1)
		return err_set(e, ERR_USAGE, 0, "which fault shall '%.40s' have? `psec sim fault` lists them", argv[0]);
	if (!sim_fault_parse(argv[1], &f))
		return err_set(e, ERR_USAGE, 0, "there is no fault '%.40s'; `psec sim fault` lists them", argv[1]);
	return ask(env, "sim.fault", json_pack("{s:s, s:s}", "device", argv[0], "fault", argv[1]), NULL, e);
}

static int run_load(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	double w;

	(void)options, (void)argc;
	if (!parse_real(argv[0], 0, 1e6, &w))
		return err_set(e, ERR_USAGE, 0, "WATTS is '%.40s', must be a number of 0…1000000", argv[0]);
	return ask(env, "sim.load", json_pack("{s:f}", "extra_w", w), NULL, e);
}

static int run_cloud(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	double percent;

	(void)options, (void)argc;
	if (!parse_real(argv[0], 0, 100, &percent))
		return err_set(e, ERR_USAGE, 0, "PERCENT is '%.40s', must be a number of 0…100", argv[0]);
	return ask(env, "sim.cloud", json_pack("{s:f}", "factor", 1 - percent / 100), NULL, e);
}

static int run_event(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct sim_event event;

	(void)options, (void)argc;
	if (sim_event_parse(argv[0], &event, e) < 0)
		return -1;
	return ask(env, "sim.event", json_pack("{s:s}", "text", argv[0]), NULL, e);
}

static int run_speed(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	int64_t speed;

	(void)options, (void)argc;
	if (!parse_int(argv[0], 0, SIM_SPEED_MAX, &speed))
		return err_set(e, ERR_USAGE, 0, "N is '%.40s', must be a whole number of 0…%d", argv[0], SIM_SPEED_MAX);
	return ask(env, "sim.speed", json_pack("{s:I}", "speed", (json_int_t)speed), NULL, e);
}

static const struct cmd sub_status = {
	.name = "status",
	.summary = "show what is true on the simulated site, and its devices",
	.example = "psec sim status --json",
	.flags = CMD_JSON | CMD_CSV,
	.run = run_status,
};

static const struct cmd_arg fault_args[] = {
	{ "DEVICE", false, false, "sim-device" }, { "FAULT", false, false, "fault" },
};
static const struct cmd sub_fault = {
	.name = "fault",
	.summary = "give a device a fault, or take it away with 'none'",
	.more = "Without arguments the faults are listed. A device has one fault at a time, until it is set to none.",
	.example = "psec sim fault meter stale\npsec sim fault meter none",
	.args = fault_args, .arg_count = COUNT_OF(fault_args),
	.flags = CMD_JSON | CMD_CSV,
	.run = run_fault,
};

static const struct cmd_arg load_args[] = { { "WATTS", true, false, NULL } };
static const struct cmd sub_load = {
	.name = "load",
	.summary = "add WATTS to what the house draws, at once; 0 ends it",
	.example = "psec sim load 2000",
	.args = load_args, .arg_count = COUNT_OF(load_args),
	.run = run_load,
};

static const struct cmd_arg cloud_args[] = { { "PERCENT", true, false, NULL } };
static const struct cmd sub_cloud = {
	.name = "cloud",
	.summary = "take PERCENT of the sun away, within 4 s; 0 is a clear sky",
	.example = "psec sim cloud 70",
	.args = cloud_args, .arg_count = COUNT_OF(cloud_args),
	.run = run_cloud,
};

static const struct cmd_arg event_args[] = { { "EVENT", true, false, NULL } };
static const struct cmd sub_event = {
	.name = "event",
	.summary = "let something happen, in the words of a scenario",
	.example = "psec sim event 'blackout: 60s'\npsec sim event '{load: 2000, for: 3min}'\npsec sim event 'swap: "
		   "battery'",
	.args = event_args, .arg_count = COUNT_OF(event_args),
	.run = run_event,
};

static const struct cmd_arg speed_args[] = { { "N", true, false, NULL } };
static const struct cmd sub_speed = {
	.name = "speed",
	.summary = "from now on N plant seconds in a second; 0 stands still",
	.example = "psec sim speed 20",
	.args = speed_args, .arg_count = COUNT_OF(speed_args),
	.run = run_speed,
};

static const struct cmd *const subs[] = {
	&cmd_sim_run, &sub_status, &sub_fault, &sub_load, &sub_cloud, &sub_event, &sub_speed, &cmd_sim_check,
		&cmd_sim_scenarios,
	NULL,
};

const struct cmd cmd_sim = {
	.name = "sim",
	.summary = "a simulated site, to try and to train",
	.more = "Meter, battery inverters, PV inverter and genset on loopback addresses (and a meter on a serial "
		"line), driven by a year of a real house, with faults on demand or from a scenario.",
	.example = "psec -C demo sim run\npsec scan 127.0.0.11:1502 127.0.0.12:1502 127.0.0.13:1502",
	.sub = subs,
};
