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

struct options {
	bool rtu, calm;
	int64_t port, seed, baud, meter_period_ms, meter_delay_ms, dead_time_ms, lag_ms, watchdog_ms;
	const char *host, *series, *at, *with;
	double soc, battery_wh, inverter_w, efficiency, ramp;
};

static const struct options defaults = {
	.port = 1502, .seed = 1, .baud = 9600, .meter_period_ms = 500, .meter_delay_ms = 100, .dead_time_ms = 300, .lag_ms = 700,
	.watchdog_ms = 60000, .host = "127.0.0.11", .soc = 50, .battery_wh = 10000, .inverter_w = 5000, .efficiency = 95,
};

#define AT(field) offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "rtu", .type = CMD_FLAG, .offset = AT(rtu), .summary = "also an SDM630 meter on a serial line, DIR/run/rs485" },
	{ .name = "with", .type = CMD_TEXT, .offset = AT(with), .value = "LIST",
	  .summary = "more devices: hybrid, bms", .complete = "sim-with" },
	{ .name = "host", .type = CMD_TEXT, .offset = AT(host), .value = "ADDRESS",
	  .summary = "loopback address of the meter; the others follow it" },
	{ .name = "port", .type = CMD_INT, .offset = AT(port), .value = "N", .min = 0, .max = 65535,
	  .summary = "TCP port of every device; 0: a free one for each" },
	{ .name = "series", .type = CMD_TEXT, .offset = AT(series), .value = "FILE", .complete = "file",
	  .summary = "load and PV over time; 'none': 500 W and no sun" },
	{ .name = "at", .type = CMD_TEXT, .offset = AT(at), .value = "TIME",
	  .summary = "where in the series it begins (2016-06-14T11:00Z)" },
	{ .name = "calm", .type = CMD_FLAG, .offset = AT(calm), .summary = "only the series, without variation over seconds" },
	{ .name = "soc", .type = CMD_REAL, .offset = AT(soc), .value = "PERCENT", .min = 0, .max = 100,
	  .summary = "state of charge at the start" },
	{ .name = "battery-wh", .type = CMD_REAL, .offset = AT(battery_wh), .value = "WH", .min = 100, .max = 1e7,
	  .summary = "what the battery stores" },
	{ .name = "inverter-w", .type = CMD_REAL, .offset = AT(inverter_w), .value = "W", .min = 100, .max = 1e6,
	  .summary = "rating of the battery inverter" },
	{ .name = "efficiency", .type = CMD_REAL, .offset = AT(efficiency), .value = "PERCENT", .min = 50, .max = 100,
	  .summary = "of the battery, one way" },
	{ .name = "dead-time", .type = CMD_DURATION, .offset = AT(dead_time_ms), .value = "TIME", .min = 0, .max = 10000,
	  .summary = "from a set-point to its first effect" },
	{ .name = "lag", .type = CMD_DURATION, .offset = AT(lag_ms), .value = "TIME", .min = 0, .max = 60000,
	  .summary = "time constant of the inverter" },
	{ .name = "ramp", .type = CMD_REAL, .offset = AT(ramp), .value = "W", .min = 0, .max = 1e6,
	  .summary = "most change of power in a second; 0: no bound" },
	{ .name = "watchdog", .type = CMD_DURATION, .offset = AT(watchdog_ms), .value = "TIME", .min = 0, .max = 28800000,
	  .summary = "a set-point not written for so long is dropped; 0: never" },
	{ .name = "meter-period", .type = CMD_DURATION, .offset = AT(meter_period_ms), .value = "TIME", .min = 10, .max = 60000,
	  .summary = "how often the meter renews its values" },
	{ .name = "meter-delay", .type = CMD_DURATION, .offset = AT(meter_delay_ms), .value = "TIME", .min = 0, .max = 60000,
	  .summary = "how old they are when they appear" },
	{ .name = "baud", .type = CMD_INT, .offset = AT(baud), .value = "N", .min = 1200, .max = 115200,
	  .summary = "rate of the serial line, no parity" },
	{ .name = "seed", .type = CMD_INT, .offset = AT(seed), .value = "N", .min = 0, .max = 4294967295.,
	  .summary = "same seed, same noise and serial numbers" },
};

/* ---- options into a site ---- */

/* A list of words, separated by commas. */
static int add_with(const char *list, struct sim_options *so, struct err *e)
{
	auto_free char *copy = xstrdup(list);
	char *rest = copy, *word;

	while ((word = strsep(&rest, ","))) {
		if (str_eq(word, "hybrid"))
			so->hybrid = true;
		else if (str_eq(word, "bms"))
			so->bms = true;
		else
			return err_set(e, ERR_USAGE, 0, "--with takes hybrid and bms, not '%.40s'", word);
	}
	return 0;
}

/* Where the series starts; a time outside of it would show another day than the one that was asked for. */
static int set_time(const struct options *o, const struct series *series, struct sim_options *so, struct err *e)
{
	const char *at = o->at ? o->at : o->series ? NULL : "2016-06-14T11:00Z"; /* a summer noon of the shipped year */
	int64_t utc_us, length_us = (int64_t)series->count * series->step_us;
	char first[BASE_TIME_LEN], last[BASE_TIME_LEN];

	if (!at)
		return 0;
	if (!time_parse(at, &utc_us))
		return err_set(e, ERR_USAGE, 0, "--at is '%.40s', must be a time like 2016-06-14T11:00Z", at);
	if (utc_us < series->start_utc_us || utc_us >= series->start_utc_us + length_us)
		return err_set(e, ERR_INPUT, 0, "--at %.40s is not in the series, which goes from %s to %s", at,
			       time_format(series->start_utc_us, first), time_format(series->start_utc_us + length_us, last));
	so->series_offset_us = utc_us - series->start_utc_us;
	return 0;
}

static int read_series(const struct cmd_env *env, const struct options *o, struct series *series, struct sim_options *so,
		       struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	char shipped[SHARE_PATH_LEN];

	if (o->series && str_eq(o->series, "none"))
		return o->at ? err_set(e, ERR_USAGE, 0, "--at needs a series") : 0;
	share_path("series/home-a-2016.csv", shipped);
	if (series_read(o->series ? o->series : shipped, series, &sink, e) < 0)
		return o->series ? -1 : err_ctx(e, "no --series is given, and the shipped one cannot be read");
	so->series = series;
	return set_time(o, series, so, e);
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
		return err_set(e, ERR_INPUT, 0, "'%s' is too long a name for a socket, at most %zu bytes are possible", place,
			       sizeof so->socket - 1);
	snprintf(place, sizeof place, "%s/rs485", run);
	if (!str_copy(so->line, sizeof so->line, place))
		so->line[0] = '\0'; /* too long for an address: the line goes by its own name, /dev/pts/N */
	return 0;
}

static int set_options(const struct cmd_env *env, const struct options *o, struct sim_options *so, struct err *e)
{
	sim_options_default(so);
	so->plant.battery_wh = o->battery_wh;
	so->plant.inverter_w = o->inverter_w;
	so->plant.efficiency = o->efficiency / 100;
	so->plant.dead_time_s = (double)o->dead_time_ms / 1e3;
	so->plant.lag_s = (double)o->lag_ms / 1e3;
	so->plant.ramp_w_per_s = o->ramp > 0 ? o->ramp : INFINITY;
	so->plant.watchdog_s = (double)o->watchdog_ms / 1e3;
	so->plant.meter_period_s = (double)o->meter_period_ms / 1e3;
	so->plant.meter_delay_s = (double)o->meter_delay_ms / 1e3;
	so->plant.seed = (uint64_t)o->seed;
	so->port = (uint16_t)o->port;
	so->soc_percent = o->soc;
	so->calm = o->calm;
	so->rtu = o->rtu;
	so->baud = (uint32_t)o->baud;
	if (!str_copy(so->host, sizeof so->host, o->host))
		return err_set(e, ERR_INPUT, 0, "--host is '%.40s', must be an address of 127.0.0.0/8", o->host);
	if (o->with && add_with(o->with, so, e) < 0)
		return -1;
	return set_places(env, so, e);
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
	double battery_wh;
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
	const struct sim_plant *p = sim_plant_now(r->sim);
	char at[BASE_TIME_LEN], line[256], q[4][32];

	time_format(sim_utc_us(r->sim), at);
	snprintf(line, sizeof line, "%.8s  sun %s  house %s  battery %s %.1f %%  grid %s", at + 11,
		 out_quantity(p->pv_w, "W", 0, q[0]), out_quantity(p->load_w, "W", 0, q[1]),
		 out_quantity(p->battery_w, "W", 0, q[2]), 100 * p->energy_wh / r->battery_wh,
		 out_quantity(p->grid_w, "W", 0, q[3]));
	add_faults(r->sim, line, sizeof line);
	fprintf(r->out, "\r%.79s\033[K", line);
	fflush(r->out);
	loop_timer_set(r->loop, &r->tick, loop_now(r->loop)->boot_us + US_PER_S);
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

static int serve(const struct cmd_env *env, struct loop *l, const struct sim_options *so, struct err *e)
{
	struct running r = { .loop = l, .out = env->out, .battery_wh = so->plant.battery_wh };
	int rc;

	r.tick = (struct loop_timer){ .fn = show_live, .arg = &r };
	if (loop_add_signal(l, SIGINT, on_signal, l, e) < 0 || loop_add_signal(l, SIGTERM, on_signal, l, e) < 0 ||
	    loop_add_signal(l, SIGHUP, on_signal, l, e) < 0 || sim_new(l, so, &r.sim, e) < 0)
		return -1;
	rc = print_devices(env, r.sim, e);
	if (rc == 0) {
		if (!env->json && isatty(fileno(env->out)))
			show_live(&r);
		rc = loop_run(l, e);
	}
	if (r.tick.index_)
		fputc('\n', env->out);
	loop_timer_stop(l, &r.tick);
	sim_free(r.sim);
	return rc;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct sim_options so;
	struct series series = { 0 };
	struct loop *l = NULL;
	int rc = -1;

	(void)argc, (void)argv;
	if (set_options(env, o, &so, e) == 0 && read_series(env, o, &series, &so, e) == 0 && loop_new(&l, e) == 0)
		rc = serve(env, l, &so, e);
	loop_free(l);
	series_release(&series);
	return rc;
}

const struct cmd cmd_sim_run = {
	.name = "run",
	.summary = "run the simulated site until Ctrl-C",
	.more = "Prints where the devices are, then, on a terminal, a line of what happens. Other\n"
		"terminals use `psec -C DIR sim status|fault|load|cloud` with the same DIR.",
	.example = "psec -C demo sim run\npsec -C demo sim run --rtu --with hybrid,bms --at 2016-02-01T17:00Z --soc 20",
	.opts = opts, .opt_count = COUNT_OF(opts),
	.flags = CMD_JSON | CMD_NO_SHELL,
	.defaults = &defaults, .options_size = sizeof defaults,
	.run = run,
};
