/* The control socket of a simulated site: what `psec sim status`, fault, load and cloud ask. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "inside.h"

struct socket {
	struct sim *sim;
	struct ctl_server *server;
	char path[108];
};

static json_t *device_json(const struct sim_device *d)
{
	char address[BUS_ADDRESS_LEN];

	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", d->name, "address",
			 bus_address_format(&d->address, address), "words", d->words, "fault", sim_fault_name(d->fault),
			 "questions", (json_int_t)d->questions, "writes", (json_int_t)d->writes);
}

/* Powers to a tenth of a watt and energies likewise: more is noise to who reads it. */
static json_t *tenth(double v)
{
	return json_real(round(v * 10) / 10);
}

static json_t *battery_json(const struct world *w, size_t n)
{
	const struct sim_plant *p = &w->plants[n];
	const struct command *c = &w->commands[n];
	const struct sim_parameters *o = &w->options->batteries[n].plant;
	double age_s = c->written_us < 0 ? NAN : (double)(p->at_us - c->written_us) / 1e6;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}",
			 "battery_w", tenth(p->battery_w), "soc_percent", tenth(sim_plant_soc(p, o)),
			 "setpoint_w", tenth(command_at(c, p->at_us)),
			 "setpoint_age_s", isnan(age_s) ? json_null() : tenth(age_s),
			 "command_w", tenth(p->command_w), "watchdog_tripped", p->watchdog_tripped,
			 "charge_limit_w", tenth(p->charge_limit_w), "discharge_limit_w", tenth(p->discharge_limit_w),
			 "charge_wh", tenth(p->charge_wh), "discharge_wh", tenth(p->discharge_wh));
}

static void put_progress(struct sim *s, const struct sim_truth *t, json_t *o)
{
	const char *title = sim_world(s)->options->title;
	char words[SIM_EVENT_LEN];

	json_object_set_new(o, "scenario", *title ? json_string(title) : json_null());
	json_object_set_new(o, "elapsed_s", tenth((double)t->elapsed_us / 1e6));
	json_object_set_new(o, "speed", json_integer(sim_speed(s)));
	json_object_set_new(o, "next", t->has_next ? json_string(sim_event_words(&t->next, words)) : json_null());
	json_object_set_new(o, "next_in_s",
			    t->has_next ? tenth((double)(t->next.at_us - t->elapsed_us) / 1e6) : json_null());
	json_object_set_new(o, "said", *t->said ? json_string(t->said) : json_null());
}

/* Of the first battery what one battery has alone; its powers and charge are those of all. */
static json_t *status(struct sim *s)
{
	static const char *const genset_states[] = { "stopped", "pre-start", "warming up", "running", "cooling down" };
	const struct world *w = sim_world(s);
	const struct sim_plant *p = &w->plants[0];
	const struct sim_device *d;
	size_t count = sim_devices(s, &d);
	json_t *devices = json_array(), *batteries = json_array(), *o = battery_json(w, 0);
	char at[BASE_TIME_LEN];
	struct sim_truth t;

	sim_truth_now(s, &t);
	for (size_t n = 0; n < count; n++)
		json_array_append_new(devices, device_json(&d[n]));
	for (size_t n = 0; n < w->options->battery_count; n++)
		json_array_append_new(batteries, battery_json(w, n));
	json_object_update_new(o,
			       json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}",
		"at", time_format(t.utc_us, at), "load_w", tenth(t.load_w), "pv_w", tenth(t.pv_w),
		"battery_w", tenth(t.battery_w), "grid_w", tenth(t.grid_w), "meter_w", tenth(p->meter_w),
		"soc_percent", tenth(t.soc_percent), "extra_w", tenth(w->day.extra_w),
		"cloud_percent", tenth(100 * (1 - w->day.cloud_to)), "import_wh", tenth(p->import_wh),
		"export_wh", tenth(p->export_wh), "pv_wh", tenth(p->pv_wh), "blackout", t.dark,
		"devices", devices, "batteries", batteries));
	if (w->options->genset.rated_w > 0) {
		json_object_set_new(o, "genset_w", tenth(t.genset_w));
		json_object_set_new(o, "genset_state", json_string(genset_states[w->genset.state]));
	}
	put_progress(s, &t, o);
	return o;
}

static int set_fault(struct sim *s, const json_t *params, struct err *e)
{
	const char *device, *name;
	enum sim_fault f;

	if (json_unpack((json_t *)params, "{s:s, s:s}", "device", &device, "fault", &name) < 0)
		return err_set(e, ERR_INPUT, 0, "sim.fault needs device and fault");
	if (!sim_fault_parse(name, &f))
		return err_set(e, ERR_INPUT, 0, "there is no fault '%.40s'", name);
	return sim_set_fault(s, device, f, e);
}

/* A number of params within [least, most]. */
static int number(const json_t *params, const char *key, double least, double most, double *out, struct err *e)
{
	const json_t *v = json_object_get(params, key);

	if (!json_is_number(v) || json_number_value(v) < least || json_number_value(v) > most)
		return err_set(e, ERR_INPUT, 0, "%s must be a number of %g…%g", key, least, most);
	*out = json_number_value(v);
	return 0;
}

static int happen(struct sim *s, const json_t *params, struct err *e)
{
	struct sim_event event;
	const char *text;

	if (json_unpack((json_t *)params, "{s:s}", "text", &text) < 0)
		return err_set(e, ERR_INPUT, 0, "sim.event needs a text");
	return sim_event_parse(text, &event, e) < 0 ? -1 : sim_happen(s, &event, e);
}

static int on_method(void *arg, struct ctl_peer *peer, const char *method, const json_t *params, json_t **result,
		     struct err *e)
{
	struct socket *k = arg;
	double v;

	(void)peer;
	*result = NULL;
	if (str_eq(method, "sim.status")) {
		*result = status(k->sim);
	} else if (str_eq(method, "sim.fault")) {
		return set_fault(k->sim, params, e);
	} else if (str_eq(method, "sim.event")) {
		return happen(k->sim, params, e);
	} else if (str_eq(method, "sim.speed")) {
		if (number(params, "speed", 0, SIM_SPEED_MAX, &v, e) < 0)
			return -1;
		sim_set_speed(k->sim, (int)v);
	} else if (str_eq(method, "sim.load")) {
		if (number(params, "extra_w", 0, 1e6, &v, e) < 0)
			return -1;
		sim_set_load(k->sim, v);
	} else if (str_eq(method, "sim.cloud")) {
		if (number(params, "factor", 0, 1, &v, e) < 0)
			return -1;
		sim_set_cloud(k->sim, v);
	} else {
		return err_set(e, ERR_USAGE, 0, "a simulated site has no method '%.60s'", method);
	}
	return 0;
}

int socket_new(struct loop *l, struct sim *s, const char *path, struct socket **out, struct err *e)
{
	struct socket *k = xcalloc(1, sizeof *k);
	struct ctl_serve serve = { .method = on_method, .arg = k };
	int fd;

	k->sim = s;
	if (ctl_listen(path, 0600, &fd, e) < 0 || ctl_server_new(l, fd, &serve, &k->server, e) < 0) {
		free(k);
		return -1;
	}
	str_copy(k->path, sizeof k->path, path);
	*out = k;
	return 0;
}

void socket_free(struct socket *k)
{
	if (!k)
		return;
	ctl_server_free(k->server);
	unlink(k->path);
	free(k);
}
