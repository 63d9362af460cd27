/* The simulated site: the world, the devices that show it, and the clock. The world moves when somebody looks at it,
 * and when something is to happen. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "inside.h"

enum { IDLE_US = 10 * 1000000 };       /* so that a look after a quiet night has little to catch up */
enum { RETRY_US = 1000000 };           /* a device's address that was taken meanwhile */

struct sim {
	struct loop *loop;
	struct sim_options options;
	/* The clock, exact: plant time is plant_from_us + speed times what went by since boot_from_us. */
	int64_t boot_from_us, plant_from_us;
	int speed;
	struct world world;
	struct face faces[SITE_FACES];
	struct sim_device devices[SITE_FACES];
	struct server *servers[SITE_FACES];
	size_t count;
	struct pty *pty;
	struct socket *socket;
	struct loop_timer tick;
	char said[160];
};

void sim_options_default(struct sim_options *o)
{
	*o = (struct sim_options){
		.host = "127.0.0.11", .port = 1502, .pv_factor = 1, .baud = 9600, .parity = 'N', .speed = 1,
		.battery_count = 1,
		.genset = { .minimum_percent = 30, .start_delay_s = 5, .warm_up_s = 20, .cool_down_s = 30,
			    .ramp_w_per_s = 500 },
	};
	for (size_t n = 0; n < SIM_BATTERIES; n++) {
		o->batteries[n] = (struct sim_battery){ .soc_percent = 50, .sunspec = true };
		sim_parameters_default(&o->batteries[n].plant);
	}
}

/* ---- time ---- */

static int64_t plant_time(const struct sim *s)
{
	return s->plant_from_us + (loop_now(s->loop)->boot_us - s->boot_from_us) * s->speed;
}

/* The first boot time at which it is plant_us. */
static int64_t boot_time(const struct sim *s, int64_t plant_us)
{
	return s->boot_from_us + (plant_us - s->plant_from_us + s->speed - 1) / s->speed;
}

static void set_tick(struct sim *s, int64_t most_us)
{
	const struct sim_event *next = world_next(&s->world);
	int64_t at = loop_now(s->loop)->boot_us + most_us;

	/* A step after the event: the world stands at whole steps. */
	if (next && s->speed > 0 && boot_time(s, next->at_us + SIM_STEP_US) < at)
		at = boot_time(s, next->at_us + SIM_STEP_US);
	loop_timer_set(s->loop, &s->tick, at);
}

static void advance(struct sim *s)
{
	world_advance(&s->world, plant_time(s));
}

/* Doors follow what their device became. Not from within a question: it may close the connection that asks. */
static int follow_all(struct sim *s, struct err *e)
{
	for (size_t n = 0; n < s->count; n++)
		if (s->servers[n] && server_follow(s->servers[n], e) < 0)
			return -1;
	return 0;
}

static void set_faults(struct sim *s)
{
	bool dark = world_dark(&s->world);

	for (size_t n = 0; n < s->count; n++) {
		struct face *f = &s->faces[n];

		f->fault = dark && !f->image.kind->lives_in_dark ? SIM_FAULT_LOST : f->given;
	}
}

static void on_tick(void *arg)
{
	struct sim *s = arg;
	struct err e;

	advance(s);
	set_faults(s);
	set_tick(s, follow_all(s, &e) < 0 ? RETRY_US : IDLE_US);
}

void sim_set_speed(struct sim *s, int speed)
{
	int64_t now = plant_time(s);

	advance(s);
	s->plant_from_us = now;
	s->boot_from_us = loop_now(s->loop)->boot_us;
	s->speed = speed;
	set_tick(s, IDLE_US);
}

int sim_speed(const struct sim *s)
{
	return s->speed;
}

/* ---- what happens ---- */

/* The inverter gave up its set-point: its registers show how it was delivered, in every face that it has. */
static void on_watchdog(void *arg, size_t battery)
{
	struct sim *s = arg;

	for (size_t n = 0; n < s->count; n++) {
		struct face *f = &s->faces[n];

		if (f->battery == battery && f->image.kind->expired)
			f->image.kind->expired(&f->image);
	}
}

static struct face *face_of(struct sim *s, const char *device)
{
	for (size_t n = 0; n < s->count; n++)
		if (str_eq(s->faces[n].name, device))
			return &s->faces[n];
	return NULL;
}

static void begin_image(struct sim *s, struct face *f, const struct image_kind *k)
{
	struct view v = world_look(&s->world, f->battery);
	uint64_t seed = s->options.batteries[0].plant.seed;

	image_begin(&f->image, k, seed + 7919 * f->battery + 104729 * f->swaps, &v);
}

/* What the world does not know: devices. The doors follow in the next turn. */
static void on_happened(void *arg, const struct sim_event *e)
{
	struct sim *s = arg;
	struct face *f = face_of(s, e->device);

	if (*e->say)
		str_copy(s->said, sizeof s->said, e->say);
	if (e->kind == SIM_EVENT_FAULT && f) {
		f->given = e->fault;
		f->held = world_look(&s->world, f->battery);
	} else if (e->kind == SIM_EVENT_SWAP && f) {
		f->swaps++;
		f->unplugged = true;
		begin_image(s, f, f->image.kind);
	} else if (e->kind == SIM_EVENT_MASTER && s->pty) {
		pty_second_master(s->pty, loop_now(s->loop)->boot_us + e->for_us / (s->speed ? s->speed : 1));
	} else if (e->kind == SIM_EVENT_BLACKOUT) {
		/* Somebody must look when the light comes back. */
		world_add(&s->world, &(struct sim_event){ .kind = SIM_EVENT_SAY, .is_end = true,
				.at_us = world_at(&s->world) + e->for_us,
				.say = "the grid is back; inverters wait 60 s" });
	}
	set_faults(s);
	set_tick(s, 0);
}

static int unknown_device(const struct sim *s, const char *device, struct err *e)
{
	char names[240] = "";

	for (size_t n = 0; n < s->count; n++) {
		size_t len = strlen(names);

		snprintf(names + len, sizeof names - len, "%s%s", n ? ", " : "", s->faces[n].name);
	}
	return err_set(e, ERR_INPUT, 0, "the simulated site has no device '%.40s', but %s", device, names);
}

static int can_happen(struct sim *s, const struct sim_event *event, struct err *e)
{
	if (event->kind == SIM_EVENT_GENSET && s->options.genset.rated_w <= 0)
		return err_set(e, ERR_INPUT, 0, "the simulated site has no genset");
	if (event->kind == SIM_EVENT_MASTER && !s->options.rtu)
		return err_set(e, ERR_INPUT, 0, "the simulated site has no serial line");
	if (*event->device && !face_of(s, event->device))
		return unknown_device(s, event->device, e);
	return 0;
}

int sim_happen(struct sim *s, const struct sim_event *event, struct err *e)
{
	if (can_happen(s, event, e) < 0)
		return -1;
	advance(s);
	world_do(&s->world, event);
	return follow_all(s, e);
}

int sim_set_fault(struct sim *s, const char *device, enum sim_fault f, struct err *e)
{
	struct sim_event event = { .kind = SIM_EVENT_FAULT, .fault = f };

	if (!str_copy(event.device, sizeof event.device, device))
		return unknown_device(s, device, e);
	return sim_happen(s, &event, e);
}

void sim_set_load(struct sim *s, double extra_w)
{
	advance(s);
	world_do(&s->world, &(struct sim_event){ .kind = SIM_EVENT_LOAD, .value = extra_w });
}

void sim_set_cloud(struct sim *s, double factor)
{
	advance(s);
	world_do(&s->world, &(struct sim_event){ .kind = SIM_EVENT_CLOUD, .value = 100 * (1 - factor) });
}

/* ---- what is true ---- */

const struct sim_plant *sim_plant_now(struct sim *s)
{
	advance(s);
	return &s->world.plants[0];
}

int64_t sim_utc_us(struct sim *s)
{
	advance(s);
	return (s->options.series ? s->options.series->start_utc_us : 0) + s->world.day.offset_us + world_at(&s->world);
}

const struct world *sim_world(struct sim *s)
{
	advance(s);
	return &s->world;
}

void sim_truth_now(struct sim *s, struct sim_truth *out)
{
	const struct sim_plant *p = sim_plant_now(s);
	const struct sim_event *next = world_next(&s->world);
	double stored = 0, fits = 0;

	*out = (struct sim_truth){
		.utc_us = sim_utc_us(s), .elapsed_us = p->at_us - SIM_WARM_US, .load_w = p->load_w, .pv_w = p->pv_w,
		.genset_w = s->world.genset.power_w, .grid_w = p->grid_w, .dark = world_dark(&s->world),
	};
	for (size_t n = 0; n < s->options.battery_count; n++) {
		out->battery_w += s->world.plants[n].battery_w;
		stored += s->world.plants[n].energy_wh;
		fits += s->options.batteries[n].plant.battery_wh;
	}
	out->soc_percent = fits > 0 ? 100 * stored / fits : 0;
	str_copy(out->said, sizeof out->said, s->said);
	if (next) {
		out->has_next = true;
		out->next = *next;
		out->next.at_us -= SIM_WARM_US;
	}
}

size_t sim_devices(const struct sim *s, const struct sim_device **out)
{
	struct sim *mine = (struct sim *)s; /* the counts live in the faces; the table is only their picture */

	for (size_t n = 0; n < s->count; n++) {
		mine->devices[n].fault = s->faces[n].fault;
		mine->devices[n].questions = s->faces[n].questions;
		mine->devices[n].writes = s->faces[n].writes;
	}
	*out = s->devices;
	return s->count;
}

/* ---- questions ---- */

static uint8_t judge(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, struct bus_request *q)
{
	if (unit != f->image.kind->unit)
		return MODBUS_NO_TARGET;
	if (f->fault == SIM_FAULT_EXCEPTION)
		return MODBUS_DEVICE_FAILURE;
	if (f->fault == SIM_FAULT_BUSY)
		return MODBUS_BUSY;
	if (!image_knows_function(&f->image, pdu[0]))
		return MODBUS_ILLEGAL_FUNCTION;
	if (!bus_pdu_parse_request(pdu, len, q))
		return MODBUS_ILLEGAL_VALUE;
	return image_judge(&f->image, q);
}

static void carry_out(struct face *f, const struct bus_request *q)
{
	uint16_t count = q->function == BUS_WRITE_REGISTER ? 1 : q->count;
	struct world *w = &f->sim->world;
	struct view v = world_look(w, f->battery);
	struct orders o = { &w->commands[f->battery], &w->pv, &w->genset, &w->options->genset, &f->rng };

	f->writes++;
	if (f->fault == SIM_FAULT_DEAF)
		return;
	image_store(&f->image, q);
	if (f->image.kind->written)
		f->image.kind->written(&f->image, q->address, count, &v, &o);
}

size_t face_answer(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t answer[BUS_PDU_MAX])
{
	struct bus_request q;
	struct view v;
	uint8_t no;

	advance(f->sim);
	f->questions++;
	no = judge(f, unit, pdu, len, &q);
	if (no)
		return bus_pdu_encode_exception(pdu[0], no, answer);
	if (q.function == BUS_REPORT_ID || q.function == BUS_DEVICE_ID)
		return image_identify(&f->image, &q, answer);
	if (q.function == BUS_WRITE_REGISTER || q.function == BUS_WRITE_REGISTERS) {
		carry_out(f, &q);
		return bus_pdu_encode_reply(&q, q.values, answer);
	}
	v = world_look(&f->sim->world, f->battery);
	fault_view(f, &v);
	f->image.kind->refresh(&f->image, &v);
	return bus_pdu_encode_reply(&q, image_at(&f->image, q.function, q.address, q.count), answer);
}

/* ---- the site ---- */

/* Places count from the meter's address; those of a further battery are ten further each. */
static int host_of(const struct sim_options *o, int place, char host[64], struct err *e)
{
	struct in_addr a;
	uint32_t first;

	if (inet_pton(AF_INET, o->host, &a) != 1 || (first = ntohl(a.s_addr)) >> 24 != 127)
		return err_set(e, ERR_INPUT, 0,
			       "'%s' is not an address of 127.0.0.0/8; a simulated site stays on its machine", o->host);
	a.s_addr = htonl(first + (uint32_t)place);
	if ((first + (uint32_t)place) >> 24 != 127)
		return err_set(e, ERR_INPUT, 0, "there are not enough loopback addresses after '%s'", o->host);
	inet_ntop(AF_INET, &a, host, 64);
	return 0;
}

size_t site_faces(const struct sim_options *o, struct site_face out[SITE_FACES])
{
	size_t count = 0;

	for (size_t battery = 0; battery < o->battery_count; battery++) {
		const struct sim_battery *b = &o->batteries[battery];
		bool first = battery == 0;
		const struct {
			enum sim_kind kind;
			const struct image_kind *image;
			bool wanted;
		} all[] = {
			{ SIM_METER, &image_meter, first }, { SIM_BATTERY, &image_battery, b->sunspec },
			{ SIM_PV, &image_pv, first }, { SIM_METER_RTU, &image_sdm630, first && o->rtu },
			{ SIM_HYBRID, &image_hybrid, b->hybrid }, { SIM_BMS, &image_bms, b->bms },
			{ SIM_GENSET, &image_genset, first && o->genset.rated_w > 0 },
		};

		for (size_t n = 0; n < COUNT_OF(all); n++) {
			struct site_face *f = &out[count];

			if (!all[n].wanted)
				continue;
			*f = (struct site_face){ all[n].kind, all[n].image, battery, "" };
			if (battery)
				snprintf(f->name, sizeof f->name, "%.11s%u", f->image->name,
					 (unsigned)(battery + 1) % 100);
			else
				str_copy(f->name, sizeof f->name, f->image->name);
			count++;
		}
	}
	return count;
}

static int add_device(struct sim *s, const struct site_face *w, struct err *e)
{
	const struct image_kind *k = w->image;
	size_t n = s->count;
	struct face *f = &s->faces[n];
	struct sim_device *d = &s->devices[n];

	*f = (struct face){ .sim = s, .battery = w->battery };
	str_copy(f->name, sizeof f->name, w->name);
	*d = (struct sim_device){ .name = f->name, .kind = w->kind, .words = k->words,
				  .address = { .kind = w->kind == SIM_METER_RTU ? BUS_RTU : BUS_TCP,
					       .port = s->options.port,
					       .unit = k->unit, .has_unit = true } };
	rng_seed(&f->rng, s->options.batteries[0].plant.seed + k->host + 7919 * w->battery);
	begin_image(s, f, k);
	s->count++;
	if (w->kind == SIM_METER_RTU)
		return pty_new(s->loop, f, &s->options, &d->address, &s->pty, e);
	if (host_of(&s->options, k->host + 10 * (int)w->battery, d->address.host, e) < 0)
		return -1;
	return server_new(s->loop, f, &d->address, &s->servers[n], e);
}

static int add_devices(struct sim *s, struct err *e)
{
	struct site_face all[SITE_FACES];
	size_t count = site_faces(&s->options, all);

	for (size_t n = 0; n < count; n++)
		if (add_device(s, &all[n], e) < 0)
			return -1;
	return 0;
}

static int add_events(struct sim *s, const struct sim_options *o, struct err *e)
{
	for (size_t n = 0; n < o->event_count; n++) {
		struct sim_event event = o->events[n];

		if (can_happen(s, &event, e) < 0)
			return err_ctx(e, "event %zu", n + 1);
		event.at_us += SIM_WARM_US;
		world_add(&s->world, &event);
	}
	return 0;
}

int sim_new(struct loop *l, const struct sim_options *o, struct sim **out, struct err *e)
{
	struct sim *s = xcalloc(1, sizeof *s);

	s->loop = l;
	s->options = *o;
	s->options.events = NULL;
	s->speed = o->speed;
	s->boot_from_us = loop_now(l)->boot_us;
	s->plant_from_us = SIM_WARM_US;
	world_begin(&s->world, &s->options);
	world_advance(&s->world, SIM_WARM_US);
	s->world.watchdog = on_watchdog;
	s->world.happened = on_happened;
	s->world.arg = s;
	s->tick = (struct loop_timer){ .fn = on_tick, .arg = s };
	if (add_devices(s, e) < 0 || add_events(s, o, e) < 0 ||
	    (*o->socket && socket_new(l, s, o->socket, &s->socket, e) < 0)) {
		sim_free(s);
		return -1;
	}
	on_tick(s);
	*out = s;
	return 0;
}

void sim_free(struct sim *s)
{
	if (!s)
		return;
	socket_free(s->socket);
	loop_timer_stop(s->loop, &s->tick);
	for (size_t n = 0; n < s->count; n++)
		server_free(s->servers[n]);
	pty_free(s->pty);
	world_release(&s->world);
	free(s);
}
