/* psec sim run: the simulated site in the foreground. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "series/series.h"
#include "sim.h"

/* Numbers below 0 are not given: then the scenario decides, or the site as it is delivered. */
struct options {
	bool rtu, calm, check;
	int64_t port, seed, baud, speed, batteries, meter_period_ms, meter_delay_ms, dead_time_ms, lag_ms, watchdog_ms;
	const char *host, *series, *at;
	struct cmd_choices with;
	double soc, battery_wh, inverter_w, efficiency, ramp, genset_w;
};

static const struct options defaults = {
	.port = 1502, .seed = -1, .baud = -1, .speed = -1, .batteries = -1, .meter_period_ms = -1, .meter_delay_ms = -1,
	.dead_time_ms = -1, .lag_ms = -1, .watchdog_ms = -1, .host = "127.0.0.11", .soc = -1, .battery_wh = -1,
	.inverter_w = -1, .efficiency = -1, .ramp = -1, .genset_w = -1,
};

enum with { WITH_HYBRID, WITH_BMS, WITH_GENSET };
static const char *const with_words[] = {
	[WITH_HYBRID] = "hybrid", [WITH_BMS] = "bms", [WITH_GENSET] = "genset", NULL,
};

#define AT(field) offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "check", .type = CMD_FLAG, .offset = AT(check),
	  .summary = "read the scenario, tell its faults, run nothing" },
	{ .name = "speed", .type = CMD_INT, .offset = AT(speed), .value = "N", .min = 1, .max = SIM_SPEED_MAX,
	  .summary = "plant seconds in a second: 1" },
	{ .name = "rtu", .type = CMD_FLAG, .offset = AT(rtu),
	  .summary = "also an SDM630 meter on a serial line, DIR/run/rs485" },
	{ .name = "with", .type = CMD_CHOICES, .offset = AT(with), .value = "DEVICE,…",
	  .summary = "more devices", .choices = with_words },
	{ .name = "batteries", .type = CMD_INT, .offset = AT(batteries), .value = "N", .min = 1, .max = SIM_BATTERIES,
	  .summary = "equal ones, each with its inverter: 1" },
	{ .name = "host", .type = CMD_TEXT, .offset = AT(host), .value = "ADDRESS",
	  .summary = "loopback address of the meter; the others follow it" },
	{ .name = "port", .type = CMD_INT, .offset = AT(port), .value = "N", .min = 0, .max = 65535,
	  .summary = "TCP port of every device; 0: a free one for each" },
	{ .name = "series", .type = CMD_TEXT, .offset = AT(series), .value = "FILE", .complete = "file",
	  .summary = "load and PV over time; 'none': 500 W and no sun" },
	{ .name = "at", .type = CMD_TEXT, .offset = AT(at), .value = "TIME",
	  .summary = "where in the series it begins (2016-06-14T11:00Z)" },
	{ .name = "calm", .type = CMD_FLAG, .offset = AT(calm),
	  .summary = "only the series, without variation over seconds" },
	{ .name = "soc", .type = CMD_REAL, .offset = AT(soc), .value = "PERCENT", .min = 0, .max = 100,
	  .summary = "state of charge at the start: 50" },
	{ .name = "battery-wh", .type = CMD_REAL, .offset = AT(battery_wh), .value = "WH", .min = 100, .max = 1e7,
	  .summary = "what a battery stores: 10000" },
	{ .name = "inverter-w", .type = CMD_REAL, .offset = AT(inverter_w), .value = "W", .min = 100, .max = 1e6,
	  .summary = "rating of a battery inverter: 5000" },
	{ .name = "genset-w", .type = CMD_REAL, .offset = AT(genset_w), .value = "W", .min = 100, .max = 1e6,
	  .summary = "rating of the genset, and that there is one" },
	{ .name = "efficiency", .type = CMD_REAL, .offset = AT(efficiency), .value = "PERCENT", .min = 50, .max = 100,
	  .summary = "of a battery, one way: 95" },
	{ .name = "dead-time", .type = CMD_DURATION, .offset = AT(dead_time_ms), .value = "TIME", .min = 0,
	  .max = 10000,
	  .summary = "from a set-point to its first effect: 300ms" },
	{ .name = "lag", .type = CMD_DURATION, .offset = AT(lag_ms), .value = "TIME", .min = 0, .max = 60000,
	  .summary = "time constant of the inverter: 700ms" },
	{ .name = "ramp", .type = CMD_REAL, .offset = AT(ramp), .value = "W", .min = 0, .max = 1e6,
	  .summary = "most change of power in a second; 0: no bound" },
	{ .name = "watchdog", .type = CMD_DURATION, .offset = AT(watchdog_ms), .value = "TIME", .min = 0,
	  .max = 28800000,
	  .summary = "a set-point not written for so long is dropped: 60s; 0: never" },
	{ .name = "meter-period", .type = CMD_DURATION, .offset = AT(meter_period_ms), .value = "TIME", .min = 10,
	  .max = 60000,
	  .summary = "how often the meter renews its values: 500ms" },
	{ .name = "meter-delay", .type = CMD_DURATION, .offset = AT(meter_delay_ms), .value = "TIME", .min = 0,
	  .max = 60000,
	  .summary = "how old they are when they appear: 100ms" },
	{ .name = "baud", .type = CMD_INT, .offset = AT(baud), .value = "N", .min = 1200, .max = 115200,
	  .summary = "rate of the serial line, no parity: 9600" },
	{ .name = "seed", .type = CMD_INT, .offset = AT(seed), .value = "N", .min = 0, .max = 4294967295.,
	  .summary = "same seed, same noise and serial numbers: 1" },
};

/* ---- options into a site ---- */

static void add_with(const struct cmd_choices *with, struct sim_options *so)
{
	for (size_t i = 0; i < with->count; i++)
		switch ((enum with)with->at[i]) {
		case WITH_HYBRID:
			so->batteries[0].hybrid = true;
			break;
		case WITH_BMS:
			so->batteries[0].bms = true;
			break;
		case WITH_GENSET:
			so->genset.rated_w = so->genset.rated_w > 0 ? so->genset.rated_w : 6000;
			break;
		}
}

static void set_plant(const struct options *o, struct sim_parameters *p)
{
	const struct { int64_t ms; double *s; } times[] = {
		{ o->dead_time_ms, &p->dead_time_s }, { o->lag_ms, &p->lag_s }, { o->watchdog_ms, &p->watchdog_s },
		{ o->meter_period_ms, &p->meter_period_s }, { o->meter_delay_ms, &p->meter_delay_s },
	};

	for (size_t n = 0; n < COUNT_OF(times); n++)
		if (times[n].ms >= 0)
			*times[n].s = (double)times[n].ms / 1e3;
	if (o->battery_wh >= 0)
		p->battery_wh = o->battery_wh;
	if (o->inverter_w >= 0)
		p->inverter_w = o->inverter_w;
	if (o->efficiency >= 0)
		p->efficiency = o->efficiency / 100;
	if (o->ramp >= 0)
		p->ramp_w_per_s = o->ramp > 0 ? o->ramp : INFINITY;
	if (o->seed >= 0)
		p->seed = (uint64_t)o->seed;
}

/* What is given on the command line stands before what the scenario says. */
static int set_options(const struct options *o, struct sim_options *so, struct err *e)
{
	if (o->batteries > 0)
		so->battery_count = (size_t)o->batteries;
	for (size_t n = 0; n < SIM_BATTERIES; n++) {
		set_plant(o, &so->batteries[n].plant);
		if (o->soc >= 0)
			so->batteries[n].soc_percent = o->soc;
	}
	so->port = (uint16_t)o->port;
	so->calm |= o->calm;
	so->rtu |= o->rtu;
	if (o->baud > 0)
		so->baud = (uint32_t)o->baud;
	if (o->speed > 0)
		so->speed = (int)o->speed;
	if (o->genset_w > 0)
		so->genset.rated_w = o->genset_w;
	if (!str_copy(so->host, sizeof so->host, o->host))
		return err_set(e, ERR_INPUT, 0, "--host is '%.40s', must be an address of 127.0.0.0/8", o->host);
	add_with(&o->with, so);
	return 0;
}

/* Where the series starts; a time outside of it would show another day than the one that was asked for. */
static int set_time(const char *what, int64_t utc_us, struct sim_options *so, struct err *e)
{
	const struct series *series = so->series;
	int64_t length_us = (int64_t)series->count * series->step_us;
	char at[BASE_TIME_LEN], first[BASE_TIME_LEN], last[BASE_TIME_LEN];

	if (utc_us < series->start_utc_us || utc_us >= series->start_utc_us + length_us)
		return err_set(e, ERR_INPUT, 0, "%s %s is not in the series, which goes from %s to %s", what,
			       time_format(utc_us, at), time_format(series->start_utc_us, first),
			       time_format(series->start_utc_us + length_us, last));
	so->series_offset_us = utc_us - series->start_utc_us;
	return 0;
}

/* The series of the option, else of the scenario (beside its file), else the shipped one; "none" is none. */
static const char *series_path(const struct options *o, const char *file, const struct sim_scenario *x,
			       char to[PATH_MAX])
{
	const char *slash = file ? strrchr(file, '/') : NULL;

	if (o->series)
		snprintf(to, PATH_MAX, "%s", o->series);
	else if (str_eq(x->series, "none") || *x->series == '/')
		snprintf(to, PATH_MAX, "%s", x->series);
	else if (*x->series)
		snprintf(to, PATH_MAX, "%.*s%s", slash ? (int)(slash + 1 - file) : 0, file, x->series);
	else
		share_path("series/home-a-2016.csv", to);
	return to;
}

static int read_series(const struct cmd_env *env, const struct options *o, const char *file,
		       const struct sim_scenario *x, struct series *series, struct sim_options *so, struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	bool shipped = !o->series && !*x->series;
	char path[PATH_MAX];
	int64_t utc_us = x->start_utc_us;

	if (o->at && !time_parse(o->at, &utc_us))
		return err_set(e, ERR_USAGE, 0, "--at is '%.40s', must be a time like 2016-06-14T11:00Z", o->at);
	if (str_eq(series_path(o, file, x, path), "none"))
		return o->at ? err_set(e, ERR_USAGE, 0, "--at needs a series") : 0;
	if (series_read(path, series, &sink, e) < 0)
		return shipped ? err_ctx(e, "no series is given, and the shipped one cannot be read") : -1;
	if (series->gaps) {
		err_set(e, ERR_INPUT, 0, "the series has %zu steps without values; a plant needs all", series->gaps);
		series_release(series);
		return -1;
	}
	so->series = series;
	/* a summer noon of that year */
	if (utc_us == INT64_MIN && shipped && !time_parse("2016-06-14T11:00Z", &utc_us))
		return err_set(e, ERR_BUG, 0, "the start of the shipped series is no time");
	return utc_us == INT64_MIN ? 0 : set_time(o->at ? "--at" : "start", utc_us, so, e);
}

/* Socket and line live in DIR/run, by absolute names: a site.yaml written from them holds anywhere. */
static int set_places(const struct cmd_env *env, struct sim_options *so, struct err *e)
{
	char run[PATH_MAX], place[PATH_MAX + 16];

	if (dir_make(env->paths.run, 0755, e) < 0)
		return err_ctx(e, "give the simulated site a folder: psec -C DIR sim run");
	if (!realpath(env->paths.run, run))
		return err_set(e, ERR_IO, errno, "cannot find '%s'", env->paths.run);
	snprintf(place, sizeof place, "%s/sim.sock", run);
	if (!str_copy(so->socket, sizeof so->socket, place))
		return err_set(e, ERR_INPUT, 0, "'%s' is too long a name for a socket, at most %zu bytes are possible",
			       place, sizeof so->socket - 1);
	snprintf(place, sizeof place, "%s/rs485", run);
	if (!str_copy(so->line, sizeof so->line, place))
		so->line[0] = '\0'; /* too long for an address: the line goes by its own name, /dev/pts/N */
	return 0;
}

/* ---- running ---- */

static const struct out_column columns[] = {
	{ .key = "name", .heading = "DEVICE", .type = OUT_TEXT },
	{ .key = "address", .heading = "ADDRESS", .type = OUT_TEXT },
	{ .key = "words", .heading = "WHAT IT IS", .type = OUT_TEXT, .flags = OUT_WIDE },
};

static int print_devices(const struct cmd_env *env, const struct sim *s, struct err *e)
{
	auto_out struct out *o = out_new(columns, COUNT_OF(columns), cmd_form(env, false));
	const struct sim_device *d;
	size_t count = sim_devices(s, &d);

	for (size_t n = 0; n < count; n++) {
		char address[BUS_ADDRESS_LEN];

		out_row(o);
		out_text(o, 0, d[n].name);
		out_text(o, 1, bus_address_format(&d[n].address, address));
		out_text(o, 2, d[n].words);
	}
	if (cmd_print(env, o, e) < 0)
		return -1;
	if (fflush(env->out) != 0)
		return err_set(e, ERR_IO, errno, "cannot write");
	return 0;
}

struct running {
	struct loop *loop;
	struct sim *sim;
	FILE *out;
	struct loop_timer tick;
	bool started;
};

static void add_faults(const struct sim *s, char *line, size_t size)
{
	const struct sim_device *d;
	size_t count = sim_devices(s, &d);

	for (size_t n = 0; n < count; n++) {
		size_t len = strlen(line);

		if (d[n].fault)
			snprintf(line + len, size - len, "  %s: %s", d[n].name, sim_fault_name(d[n].fault));
	}
}

/* One line, in place, within 80 columns. */
static void show_live(void *arg)
{
	struct running *r = arg;
	struct sim_truth t;
	char at[BASE_TIME_LEN], line[256], q[5][32];

	sim_truth_now(r->sim, &t);
	time_format(t.utc_us, at);
	snprintf(line, sizeof line, "%.8s  sun %s  house %s  battery %s %.1f %%%s%s  grid %s", at + 11,
		 out_quantity(t.pv_w, "W", 0, q[0]), out_quantity(t.load_w, "W", 0, q[1]),
		 out_quantity(t.battery_w, "W", 0, q[2]), t.soc_percent,
		 t.genset_w > 0 ? "  genset " : "", t.genset_w > 0 ? out_quantity(t.genset_w, "W", 0, q[4]) : "",
		 t.dark ? "dark" : out_quantity(t.grid_w, "W", 0, q[3]));
	add_faults(r->sim, line, sizeof line);
	fprintf(r->out, "\r%.79s\033[K", line);
	fflush(r->out);
	r->started = true;
	loop_timer_set(r->loop, &r->tick, loop_now(r->loop)->boot_us + US_PER_S);
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

/* At a speed, what is late for the plant is early for who asks: a watchdog comes sooner than a controller renews. */
static void warn_of_watchdog(const struct cmd_env *env, const struct sim_options *so)
{
	double comes_s = so->batteries[0].plant.watchdog_s / so->speed;

	if (so->speed > 1 && comes_s > 0 && comes_s < 30)
		fprintf(env->err, "psec: at speed %d the inverter drops a set-point that is not renewed within %.3g "
				  "s; for longer, "
			"--watchdog\n", so->speed, comes_s);
}

static int serve(const struct cmd_env *env, struct loop *l, const struct sim_options *so, struct err *e)
{
	struct running r = { .loop = l, .out = env->out };
	int rc;

	r.tick = (struct loop_timer){ .fn = show_live, .arg = &r };
	if (loop_add_signal(l, SIGINT, on_signal, l, e) < 0 || loop_add_signal(l, SIGTERM, on_signal, l, e) < 0 ||
	    loop_add_signal(l, SIGHUP, on_signal, l, e) < 0 || sim_new(l, so, &r.sim, e) < 0)
		return -1;
	rc = print_devices(env, r.sim, e);
	if (rc == 0) {
		warn_of_watchdog(env, so);
		if (!env->json && isatty(fileno(env->out)))
			show_live(&r);
		rc = loop_run(l, e);
	}
	if (r.started)
		fputc('\n', env->out);
	loop_timer_stop(l, &r.tick);
	sim_free(r.sim);
	return rc;
}

static int run_site(const struct cmd_env *env, const struct options *o, const char *file, struct sim_scenario *x,
		    struct err *e)
{
	struct sim_options so = x->options;
	struct series series = { 0 };
	struct loop *l = NULL;
	bool had_dir = access(env->paths.dir, F_OK) == 0, had_run = access(env->paths.run, F_OK) == 0;
	int rc = -1;

	if (set_options(o, &so, e) == 0 && read_series(env, o, file, x, &series, &so, e) == 0) {
		if (o->check)
			rc = sim_print_scenario(env, x, e);
		else if (set_places(env, &so, e) == 0 && loop_new(&l, e) == 0)
			rc = serve(env, l, &so, e);
	}
	loop_free(l);
	series_release(&series);
	/* what was made for a site that could not begin goes again; rmdir takes empty folders only */
	if (rc < 0 && !had_run && rmdir(env->paths.run) == 0 && !had_dir)
		(void)rmdir(env->paths.dir);
	return rc;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct sim_scenario x = { .start_utc_us = INT64_MIN };
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	char path[PATH_MAX];
	int rc;

	if (argc == 0) {
		if (o->check)
			return err_set(e, ERR_USAGE, 0, "which scenario shall be checked? `psec sim scenarios` lists "
							"those that are there");
		sim_options_default(&x.options);
		return run_site(env, o, NULL, &x, e);
	}
	if (sim_read_scenario(argv[0], path, &x, &sink, e) < 0)
		return o->check ? sim_judge_faults(env, path, &sink) : -1;
	rc = run_site(env, o, path, &x, e);
	sim_scenario_release(&x);
	return rc;
}

static const struct cmd_arg args[] = { { "SCENARIO", false, false, "scenario" } };
const struct cmd cmd_sim_run = {
	.name = "run",
	.summary = "run the simulated site until Ctrl-C",
	.more = "Prints where the devices are, then, on a terminal, a line of what happens. Other terminals use `psec "
		"-C DIR sim status|fault|load|cloud|event` with the same DIR.\n\n"
		"SCENARIO is a file, or the name of one that came with psec (`psec sim scenarios`): a site with events "
		"at their times. Where both say something, the option counts.",
	.example = "psec -C demo sim run\npsec -C demo sim run storm\n"
		   "psec -C demo sim run --speed 20 --at 2016-02-01T17:00Z --soc 20",
	.args = args, .arg_count = COUNT_OF(args),
	.opts = opts, .opt_count = COUNT_OF(opts),
	.flags = CMD_JSON | CMD_NO_SHELL,
	.defaults = &defaults, .options_size = sizeof defaults,
	.run = run,
};
