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

	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", d->name,
			 "address", bus_address_format(&d->address, address), "words", d->words, "fault", sim_fault_name(d->fault),
			 "questions", (json_int_t)d->questions, "writes", (json_int_t)d->writes);
}

/* Powers to a tenth of a watt and energies likewise: more is noise to who reads it. */
static json_t *tenth(double v)
{
	return json_real(round(v * 10) / 10);
}

static json_t *status(struct sim *s)
{
	const struct sim_options *o = sim_options_of(s);
	const struct sim_plant *p = sim_plant_now(s);
	const struct sim_device *d;
	size_t count = sim_devices(s, &d);
	json_t *devices = json_array();
	char at[BASE_TIME_LEN];
	struct sim_now now;

	sim_now_read(s, &now);
	for (size_t n = 0; n < count; n++)
		json_array_append_new(devices, device_json(&d[n]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:o, s:o}",
			 "at", time_format(sim_utc_us(s), at),
			 "load_w", tenth(p->load_w), "pv_w", tenth(p->pv_w), "battery_w", tenth(p->battery_w),
			 "grid_w", tenth(p->grid_w), "meter_w", tenth(p->meter_w),
			 "soc_percent", tenth(sim_plant_soc(p, &o->plant)),
			 "setpoint_w", tenth(now.setpoint_w),
			 "setpoint_age_s", isnan(now.setpoint_age_s) ? json_null() : tenth(now.setpoint_age_s),
			 "command_w", tenth(p->command_w), "watchdog_tripped", p->watchdog_tripped,
			 "charge_limit_w", tenth(p->charge_limit_w), "discharge_limit_w", tenth(p->discharge_limit_w),
			 "extra_w", tenth(now.extra_w), "cloud_percent", tenth(100 * (1 - now.cloud)),
			 "import_wh", tenth(p->import_wh), "export_wh", tenth(p->export_wh), "pv_wh", tenth(p->pv_wh),
			 "charge_wh", tenth(p->charge_wh), "discharge_wh", tenth(p->discharge_wh), "devices", devices);
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
