/* A scenario: a YAML file with the site, its day, and what happens to it. */
#include <math.h>
#include <string.h>

#include "conf/conf.h"
#include "inside.h"

enum { SCENARIO_MAX = 256 * 1024, EVENTS_MAX = 1000 };

/* Durations into seconds. */
static void read_s(const struct conf *c, const struct conf_node *map, const char *key, int64_t min_ms, int64_t max_ms,
		   double *s, struct diag_sink *sink)
{
	int64_t ms = llround(*s * 1000);

	if (conf_read_duration(c, map, key, false, min_ms, max_ms, &ms, sink))
		*s = (double)ms / 1000;
}

/* The map at key, checked for unknown keys; NULL when there is none or it is none. */
static const struct conf_node *section(const struct conf *c, const char *key, const char *const *known,
				       struct diag_sink *sink)
{
	const struct conf_node *n = conf_get(conf_root(c), key);

	if (!n)
		return NULL;
	if (n->kind != CONF_MAP) {
		conf_report(c, n, sink, "must be a map");
		return NULL;
	}
	conf_refuse_unknown(c, n, known, sink);
	return n;
}

static void read_meter(const struct conf *c, struct sim_parameters *p, struct diag_sink *sink)
{
	static const char *const keys[] = { "period", "delay", "noise_w", NULL };
	const struct conf_node *n = section(c, "meter", keys, sink);

	if (!n)
		return;
	read_s(c, n, "period", 10, 60000, &p->meter_period_s, sink);
	read_s(c, n, "delay", 0, 60000, &p->meter_delay_s, sink);
	conf_read_real(c, n, "noise_w", false, 0, 1000, &p->meter_noise_w, sink);
}

static void read_genset(const struct conf *c, struct sim_genset *g, struct diag_sink *sink)
{
	static const char *const keys[] = { "rated_w", "minimum_percent", "start_delay", "warm_up", "cool_down",
					    "ramp_w_per_s",
					    NULL };
	const struct conf_node *n = section(c, "genset", keys, sink);

	if (!n)
		return;
	conf_read_real(c, n, "rated_w", true, 100, 1e6, &g->rated_w, sink);
	conf_read_real(c, n, "minimum_percent", false, 0, 100, &g->minimum_percent, sink);
	read_s(c, n, "start_delay", 0, 600000, &g->start_delay_s, sink);
	read_s(c, n, "warm_up", 0, 3600000, &g->warm_up_s, sink);
	read_s(c, n, "cool_down", 0, 3600000, &g->cool_down_s, sink);
	conf_read_real(c, n, "ramp_w_per_s", false, 1, 1e6, &g->ramp_w_per_s, sink);
}

static void read_line(const struct conf *c, struct sim_options *o, struct diag_sink *sink)
{
	static const char *const keys[] = { "baud", NULL };
	static const char *const rates[] = { "1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200",
					     NULL };
	const struct conf_node *n = section(c, "line", keys, sink);
	int rate = 3;

	if (!n)
		return;
	o->rtu = true;
	if (conf_read_choice(c, n, "baud", false, rates, &rate, sink))
		o->baud = (uint32_t)strtoul(rates[rate], NULL, 10);
}

static void read_battery(const struct conf *c, const struct conf_node *n, struct sim_battery *b, struct diag_sink *sink)
{
	static const char *const keys[] = { "capacity_wh", "inverter_w", "efficiency_percent", "soc_percent",
					    "dead_time", "lag",
					    "ramp_w_per_s", "watchdog", "inverter", "bms", NULL };
	static const char *const inverters[] = { "sunspec", "hybrid", "both", NULL };
	struct sim_parameters *p = &b->plant;
	double percent = p->efficiency * 100, ramp = 0;
	int inverter = 0;

	if (n->kind != CONF_MAP) {
		conf_report(c, n, sink, "must be a map");
		return;
	}
	conf_refuse_unknown(c, n, keys, sink);
	conf_read_real(c, n, "capacity_wh", false, 100, 1e7, &p->battery_wh, sink);
	conf_read_real(c, n, "inverter_w", false, 100, 1e6, &p->inverter_w, sink);
	conf_read_real(c, n, "efficiency_percent", false, 50, 100, &percent, sink);
	conf_read_real(c, n, "soc_percent", false, 0, 100, &b->soc_percent, sink);
	read_s(c, n, "dead_time", 0, 10000, &p->dead_time_s, sink);
	read_s(c, n, "lag", 0, 60000, &p->lag_s, sink);
	read_s(c, n, "watchdog", 0, 28800000, &p->watchdog_s, sink);
	conf_read_real(c, n, "ramp_w_per_s", false, 0, 1e6, &ramp, sink);
	conf_read_choice(c, n, "inverter", false, inverters, &inverter, sink);
	conf_read_bool(c, n, "bms", false, &b->bms, sink);
	p->efficiency = percent / 100;
	p->ramp_w_per_s = ramp > 0 ? ramp : INFINITY;
	b->sunspec = inverter != 1;
	b->hybrid = inverter != 0;
}

static void read_batteries(const struct conf *c, struct sim_options *o, struct diag_sink *sink)
{
	const struct conf_node *list = conf_get(conf_root(c), "batteries"), *n;
	size_t count = 0;

	if (!list)
		return;
	if (list->kind != CONF_LIST || list->count < 1 || list->count > SIM_BATTERIES) {
		conf_report(c, list, sink, "must be a list of 1 to %d batteries", SIM_BATTERIES);
		return;
	}
	for (n = list->first; n; n = n->next)
		read_battery(c, n, &o->batteries[count++], sink);
	o->battery_count = count;
}

/* ---- events ---- */

/* The device of an event must be one of this site. */
static void check_device(const struct conf *c, const struct conf_node *n, const struct sim_options *o,
			 const struct sim_event *e, struct diag_sink *sink)
{
	struct site_face faces[SITE_FACES];
	const char *names[SITE_FACES], *near;
	size_t count = site_faces(o, faces);

	if (!*e->device)
		return;
	for (size_t i = 0; i < count; i++) {
		names[i] = faces[i].name;
		if (str_eq(names[i], e->device))
			return;
	}
	near = str_nearest(e->device, names, count);
	conf_report(c, n, sink, "names the device '%s', which this site has not%s%s%s", e->device,
		    near ? "; is it '" : "", near ? near : "", near ? "'" : "");
}

static void check_event(const struct conf *c, const struct conf_node *n, const struct sim_options *o,
			const struct sim_event *e, struct diag_sink *sink)
{
	check_device(c, n, o, e, sink);
	if (e->kind == SIM_EVENT_GENSET && o->genset.rated_w <= 0)
		conf_report(c, n, sink, "needs a genset, which this site has not (genset: {rated_w: 6000})");
	if (e->kind == SIM_EVENT_MASTER && !o->rtu)
		conf_report(c, n, sink, "needs a serial line, which this site has not (line: {baud: 9600})");
}

static int by_time(const void *a, const void *b)
{
	const struct sim_event *x = a, *y = b;

	return x->at_us != y->at_us ? (x->at_us < y->at_us ? -1 : 1) : 0;
}

static void read_events(const struct conf *c, struct sim_scenario *out, struct diag_sink *sink)
{
	const struct conf_node *list = conf_get(conf_root(c), "events"), *n;

	if (!list)
		return;
	if (list->kind != CONF_LIST || list->count > EVENTS_MAX) {
		conf_report(c, list, sink, "must be a list of at most %d events", EVENTS_MAX);
		return;
	}
	out->events = xcalloc(list->count + 1, sizeof *out->events);
	for (n = list->first; n; n = n->next) {
		struct sim_event *e = &out->events[out->event_count];

		if (!event_read(c, n, true, e, sink))
			continue;
		check_event(c, n, &out->options, e, sink);
		out->event_count++;
	}
	qsort(out->events, out->event_count, sizeof *out->events, by_time);
}

/* ---- the file ---- */

static void read_head(const struct conf *c, struct sim_scenario *out, struct diag_sink *sink)
{
	const struct conf_node *root = conf_root(c), *start = conf_get(root, "start");
	const char *title = "", *about = NULL, *series = "";
	int64_t version = 0, seed = 1, speed = 1;

	conf_read_int(c, root, "psec-sim", true, 1, 1, &version, sink);
	if (conf_read_text(c, root, "title", true, sizeof out->title - 1, &title, sink))
		str_copy(out->title, sizeof out->title, title);
	if (conf_read_text(c, root, "about", false, 4000, &about, sink) && about)
		out->about = xstrdup(about);
	if (conf_read_text(c, root, "series", false, sizeof out->series - 1, &series, sink))
		str_copy(out->series, sizeof out->series, series);
	if (start && (start->kind != CONF_SCALAR || !time_parse(start->text, &out->start_utc_us)))
		conf_report(c, start, sink, "is '%.40s', must be a time like 2016-06-14T11:00Z",
			    start->kind == CONF_SCALAR ? start->text : "no time");
	else if (start && str_eq(out->series, "none"))
		conf_report(c, start, sink, "needs a series");
	conf_read_bool(c, root, "calm", false, &out->options.calm, sink);
	conf_read_int(c, root, "seed", false, 0, 4294967295, &seed, sink);
	conf_read_int(c, root, "speed", false, 1, SIM_SPEED_MAX, &speed, sink);
	out->options.batteries[0].plant.seed = (uint64_t)seed;
	out->options.speed = (int)speed;
}

int sim_scenario_parse(const char *text, size_t len, const char *name, struct sim_scenario *out, struct diag_sink *sink)
{
	static const char *const keys[] = { "psec-sim", "title", "about", "series", "start", "calm", "seed", "speed",
					    "meter",
					    "genset", "line", "batteries", "events", NULL };
	auto_conf struct conf *c = conf_parse(text, len, name, sink);
	int before = sink->count;

	*out = (struct sim_scenario){ .start_utc_us = INT64_MIN };
	sim_options_default(&out->options);
	if (!c)
		return -1;
	if (conf_root(c)->kind != CONF_MAP) {
		conf_report(c, conf_root(c), sink, "must be a map, beginning with psec-sim: 1");
		return -1;
	}
	conf_refuse_unknown(c, conf_root(c), keys, sink);
	read_batteries(c, &out->options, sink);
	read_head(c, out, sink);
	read_meter(c, &out->options.batteries[0].plant, sink);
	read_genset(c, &out->options.genset, sink);
	read_line(c, &out->options, sink);
	read_events(c, out, sink);
	if (sink->count > before) {
		sim_scenario_release(out);
		return -1;
	}
	str_copy(out->options.title, sizeof out->options.title, out->title);
	out->options.events = out->events;
	out->options.event_count = out->event_count;
	return 0;
}

int sim_scenario_read(const char *path, struct sim_scenario *out, struct diag_sink *sink, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;

	if (file_read(path, SCENARIO_MAX, &text, e) < 0)
		return -1;
	if (sim_scenario_parse(text.data ? text.data : "", text.len, path, out, sink) < 0)
		return err_set(e, ERR_INPUT, 0, "'%s' is not a scenario that can be run", path);
	return 0;
}

void sim_scenario_release(struct sim_scenario *x)
{
	free(x->about);
	free(x->events);
	*x = (struct sim_scenario){ .start_utc_us = INT64_MIN };
}
