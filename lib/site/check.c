/* What no single key can show: names and addresses that clash, references of the wrong kind, limits that contradict. */
#include <string.h>

#include "schema.h"

/* The node at a path, or the nearest one above it that is there: where a fault is shown. */
static const struct conf_node *node_at(const struct conf *c, const char *path)
{
	const struct conf_node *best = conf_root(c);

	for (const struct conf_node *n = best ? best->first : NULL; n;) {
		size_t len = strlen(n->path);

		if (strncmp(path, n->path, len) || (path[len] && path[len] != '.' && path[len] != '[')) {
			n = n->next;
			continue;
		}
		best = n;
		n = n->first;
	}
	return best;
}

static const struct conf_node *item_at(const struct conf *c, const char *list, size_t i, const char *key)
{
	char path[64];

	snprintf(path, sizeof path, "%s[%zu].%s", list, i, key);
	return node_at(c, path);
}

static bool has_role(const struct site_device *d, enum site_role r)
{
	return d->roles & 1u << r;
}

static bool is_loopback(const struct bus_address *a)
{
	return a->kind != BUS_RTU && (str_starts(a->host, "127.") || str_eq(a->host, "::1") ||
				      str_eq(a->host, "[::1]") || str_eq(a->host, "localhost"));
}

static bool same_settings(const struct bus_address *a, const struct bus_address *b)
{
	return a->kind != BUS_RTU || (a->baud == b->baud && a->parity == b->parity && a->stop == b->stop);
}

/* The i-th device beside those above it on its link. */
static void check_link(const struct conf *c, const struct site *s, size_t i, struct diag_sink *sink)
{
	const struct site_device *d = &s->devices[i];
	const struct bus_address *a = &d->address;
	const struct conf_node *n = item_at(c, "devices", i, "address");
	bool first = true;

	for (size_t j = 0; j < i && a->has_unit; j++) {
		const struct site_device *other = &s->devices[j];
		const struct bus_address *b = &other->address;
		unsigned both = d->roles & other->roles;

		if (!b->has_unit || !bus_address_same_link(a, b))
			continue;
		if (first && !same_settings(a, b))
			conf_report(c, n, sink,
				    "has %u baud, parity %c, %u stop; '%s' on line %d has %u, %c, %u on the same "
				    "serial line",
				    a->baud, a->parity, a->stop, other->name, other->line, b->baud, b->parity, b->stop);
		if (a->unit == b->unit && both)
			conf_report(c, n, sink, "is also the address of '%s' on line %d, with the same role %s",
				    other->name, other->line, site_role_name((enum site_role)(ffs((int)both) - 1)));
		first = false;
	}
}

static void check_devices(const struct conf *c, const struct site *s, struct diag_sink *sink)
{
	int meter = site_find_role(s, SITE_GRID_METER);

	for (size_t i = 0; i < s->device_count; i++) {
		const struct site_device *d = &s->devices[i];
		int first = site_find_device(s, d->name);

		if (first >= 0 && (size_t)first < i)
			conf_report(c, item_at(c, "devices", i, "name"), sink,
				    "is '%s', which is the name of the device on line %d", d->name,
				    s->devices[first].line);
		if (has_role(d, SITE_GRID_METER) && (size_t)meter < i)
			conf_report(c, item_at(c, "devices", i, "roles"), sink,
				    "has a second grid-meter, '%s' on line %d is one: a second meter is a load-meter",
				    s->devices[meter].name, s->devices[meter].line);
		if (s->tier == SITE_PROD && is_loopback(&d->address))
			conf_report(c, item_at(c, "devices", i, "address"), sink,
				    "is on this machine itself, which site.tier prod does not allow");
		check_link(c, s, i, sink);
	}
}

static void check_batteries(const struct conf *c, const struct site *s, struct diag_sink *sink)
{
	for (size_t i = 0; i < s->battery_count; i++) {
		const struct site_battery *b = &s->batteries[i];

		if (b->inverter >= 0 && !has_role(&s->devices[b->inverter], SITE_BATTERY_INVERTER))
			conf_report(c, item_at(c, "batteries", i, "inverter"), sink,
				    "is '%s', which does not have the role battery-inverter",
				    s->devices[b->inverter].name);
		if (b->bms >= 0 && !has_role(&s->devices[b->bms], SITE_BMS))
			conf_report(c, item_at(c, "batteries", i, "bms"), sink,
				    "is '%s', which does not have the role bms", s->devices[b->bms].name);
		if (site_find_role(s, SITE_GRID_METER) < 0)
			conf_report(c, item_at(c, "batteries", i, ""), sink,
				    "needs a device with the role grid-meter, without which nothing says what to "
				    "deliver");
	}
}

static const char *watts(double w, char to[24])
{
	snprintf(to, 24, "%.12g", w == 0 ? 0 : w); /* -0 is 0 */
	return to;
}

static void check_between(const struct conf *c, const char *path, double value, double low, double high,
			  const char *low_name, const char *high_name, struct diag_sink *sink)
{
	char limit[24];

	if (value > high)
		conf_report(c, node_at(c, path), sink, "is %.12g, must not be above %s, which is control.limits.%s",
			    value, watts(high, limit), high_name);
	else if (value < -low)
		conf_report(c, node_at(c, path), sink, "is %.12g, must not be below %s, which is control.limits.%s",
			    value, watts(-low, limit), low_name);
}

static void check_control(const struct conf *c, const struct site *s, struct diag_sink *sink)
{
	const struct site_control *k = &s->control;

	if ((k->mode == SITE_MODE_SELF_CONSUMPTION || k->mode == SITE_MODE_MANUAL) && !s->battery_count)
		conf_report(c, node_at(c, "control.mode"), sink, "is %s, which needs a battery, and batteries has none",
			    site_mode_name(k->mode));
	if (k->soc_min_percent >= k->soc_max_percent)
		conf_report(c, node_at(c, "control.soc.min_percent"), sink,
			    "is %g, must be below control.soc.max_percent %g", k->soc_min_percent, k->soc_max_percent);
	else if (k->reserve_percent < k->soc_min_percent)
		conf_report(c, node_at(c, "control.reserve_percent"), sink,
			    "is %g, must not be below control.soc.min_percent %g", k->reserve_percent,
			    k->soc_min_percent);
	else if (k->reserve_percent > k->soc_max_percent)
		conf_report(c, node_at(c, "control.reserve_percent"), sink,
			    "is %g, must not be above control.soc.max_percent %g", k->reserve_percent,
			    k->soc_max_percent);
	check_between(c, "control.safe_w", k->safe_w, k->charge_limit_w, k->discharge_limit_w, "charge_w",
		      "discharge_w", sink);
	check_between(c, "control.target_w", k->target_w, k->export_limit_w, k->import_limit_w, "export_w",
		      "import_w", sink);
}

static void check_access(const struct conf *c, const struct site *s, struct diag_sink *sink)
{
	for (size_t i = 0; i < s->access_count; i++) {
		const struct site_access *a = &s->access[i];

		if (!*a->user && !*a->group)
			conf_report(c, item_at(c, "access", i, ""), sink, "names nobody, must have a user or a group");
		else if (*a->user && *a->group)
			conf_report(c, item_at(c, "access", i, ""), sink,
				    "names a user and a group, must be two entries or one of both");
		for (size_t j = 0; j < i; j++)
			if (str_eq(a->user, s->access[j].user) && str_eq(a->group, s->access[j].group) &&
			    (*a->user || *a->group))
				conf_report(c, item_at(c, "access", i, ""), sink,
					    "gives %s '%s' a right a second time, after line %d",
					    *a->user ? "user" : "group", *a->user ? a->user : a->group,
					    s->access[j].line);
	}
}

void site_check(const struct conf *c, const struct site *s, struct diag_sink *sink)
{
	if (*s->ot_port && str_eq(s->ot_port, s->it_port))
		conf_report(c, node_at(c, "ports.it"), sink, "is %s, which is ports.ot: OT and IT never share a port",
			    s->it_port);
	check_devices(c, s, sink);
	check_batteries(c, s, sink);
	check_control(c, s, sink);
	check_access(c, s, sink);
}
