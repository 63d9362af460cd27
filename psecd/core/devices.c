/* devices: what is told of each device: its state in short for every status, what was counted of it, its points. */
#include "core.h"

#include <string.h>

enum { PAGE = 16 }; /* devices an answer: a line on the control socket has 64 KiB */

static int64_t now_us(const struct core *c)
{
	return loop_now(c->loop)->boot_us;
}

static void add_count(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

json_t *report_device(const struct core *c, size_t i)
{
	const struct site_device *d = &c->site->devices[i];
	const struct known_device *k = &c->devices[i];
	const struct wire_device *w = &k->last;
	char address[BUS_ADDRESS_LEN];
	json_t *o;

	o = json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "name", d->name, "profile", d->profile, "address",
		      bus_address_format(&d->address, address), "roles", site_roles_to_json(d->roles), "state",
		      device_state_name(k->heard ? w->state : DEVICE_WAITING), "why", jot_text(k->heard ? w->why : ""));
	json_object_set_new(o, "rate_hz", jot_number(w->counts.rate_hz));
	json_object_set_new(o, "latency_us", json_integer(w->counts.latency_us));
	add_count(o, "reads", w->counts.reads);
	add_count(o, "writes", w->counts.writes);
	add_count(o, "timeouts", w->counts.timeouts);
	add_count(o, "garbled", w->counts.garbled + w->counts.other_unit + w->counts.crc_errors);
	add_count(o, "exceptions", w->counts.exceptions);
	json_object_set_new(o, "make", jot_text(w->identity.make));
	json_object_set_new(o, "model", jot_text(w->identity.model));
	json_object_set_new(o, "serial", jot_text(w->identity.serial));
	return o;
}

/* ---- what was counted ---- */

static json_t *errors(const struct poll_stats *n)
{
	json_t *o = json_object(), *exceptions = json_object();

	add_count(o, "timeouts", n->timeouts);
	add_count(o, "closed", n->closed);
	add_count(o, "unreachable", n->unreachable);
	add_count(o, "crc_errors", n->crc_errors);
	add_count(o, "other_unit", n->other_unit);
	add_count(o, "garbled", n->garbled);
	for (uint8_t i = 0; i < POLL_EXCEPTIONS; i++)
		if (n->by_exception[i])
			add_count(exceptions, i ? bus_exception_name(i) : "unknown", n->by_exception[i]);
	json_object_set_new(o, "exceptions", exceptions);
	return o;
}

static json_t *line(const struct bus_address *a, const struct poll_line *w)
{
	struct bus_address link = *a;
	char name[BUS_ADDRESS_LEN], words[96];
	json_t *o;

	link.has_unit = false;
	o = json_pack("{s:s, s:b, s:f}", "line", bus_address_format(&link, name), "serial", a->kind != BUS_TCP,
		      "busy_percent", w->busy_percent);
	add_count(o, "asked", w->counters.asked);
	add_count(o, "answered", w->counters.answered);
	add_count(o, "silences", w->counters.timeouts);
	add_count(o, "retries", w->counters.retries);
	add_count(o, "crc_errors", w->counters.crc_errors);
	add_count(o, "foreign_frames", w->counters.foreign_frames);
	add_count(o, "noise_bytes", w->counters.noise_bytes);
	add_count(o, "connects", w->counters.connects);
	json_object_set_new(o, "second_master",
			    w->counters.second_master.seen
				    ? json_string(bus_second_master_words(&w->counters.second_master, words))
				    : json_null());
	return o;
}

static json_t *counted(const struct core *c, size_t i)
{
	const struct site_device *d = &c->site->devices[i];
	const struct known_device *k = &c->devices[i];
	const struct poll_stats *n = &k->last.counts;
	char address[BUS_ADDRESS_LEN];
	json_t *o;

	o = json_pack("{s:s, s:s, s:s, s:o}", "name", d->name, "address", bus_address_format(&d->address, address),
		      "state", device_state_name(k->heard ? k->last.state : DEVICE_WAITING), "why",
		      jot_text(k->heard ? k->last.why : ""));
	json_object_set_new(o, "wanted_hz", n->wanted_hz > 0 ? jot_number(n->wanted_hz) : json_null());
	json_object_set_new(o, "rate_hz", jot_number(n->rate_hz));
	json_object_set_new(o, "latency_p50_us", n->p50_us ? json_integer(n->p50_us) : json_null());
	json_object_set_new(o, "latency_p99_us", n->p99_us ? json_integer(n->p99_us) : json_null());
	json_object_set_new(o, "latency_max_us", n->max_us ? json_integer(n->max_us) : json_null());
	add_count(o, "reads", n->reads);
	add_count(o, "writes", n->writes);
	add_count(o, "connects", k->last.line.counters.connects);
	json_object_set_new(o, "errors", errors(n));
	add_count(o, "tries", n->tries);
	json_object_set_new(o, "next_try_in_ms", n->next_try_boot_us && k->heard
						  ? json_integer(n->next_try_boot_us > now_us(c)
								 ? (n->next_try_boot_us - now_us(c)) / US_PER_MS : 0)
						  : json_null());
	json_object_set_new(o, "line", line(&d->address, &k->last.line));
	return o;
}

json_t *report_devices(const struct core *c, size_t from)
{
	json_t *o = json_object(), *list = json_array();
	size_t i;

	for (i = from; i < c->site->device_count && i < from + PAGE; i++)
		json_array_append_new(list, counted(c, i));
	json_object_set_new(o, "devices", list);
	json_object_set_new(o, "next", i < c->site->device_count ? json_integer((json_int_t)i) : json_null());
	return o;
}

/* ---- points of one device ---- */

static json_t *point(const struct core *c, const struct known_point *k, int p)
{
	static const char *const whys[] = { "", "not read yet, or lost", "the device marks it as not available",
					   "outside what can be true" };
	const struct device_point_info *info = device_point((enum device_point)p);
	bool good = k->sample.quality == DEVICE_GOOD;

	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o}", "point", info->name, "value",
			 good ? jot_number(k->sample.value) : json_null(), "raw",
			 good ? jot_number(k->sample.raw) : json_null(), "unit", info->unit, "quality",
			 device_quality_name((enum device_quality)k->sample.quality), "why",
			 jot_text(good ? "" : k->why ? k->why : whys[k->sample.quality]), "age_ms",
			 k->sample.at_boot_us ? json_integer((now_us(c) - k->sample.at_boot_us) / US_PER_MS)
					      : json_null());
}

json_t *report_points(struct core *c, int i)
{
	json_t *list = json_array();

	for (int p = 0; p < POINT_COUNT; p++) {
		if (c->devices[i].points[p].heard)
			json_array_append_new(list, point(c, &c->devices[i].points[p], p));
	}
	return list;
}
