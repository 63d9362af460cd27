/* The simulated site: one plant, the devices that show it, and time. The plant moves when somebody looks at it. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "inside.h"

/* Inputs are taken anew so often: fine enough for ramps of seconds, and the plant does not notice who asked when. */
enum { CHUNK_US = 100000 };
enum { WARM_US = 2 * 1000000 };        /* the site has been there before you look */
enum { IDLE_US = 10 * 1000000 };       /* so that a look after a quiet night has little to catch up */

struct sim {
	struct loop *loop;
	struct sim_options options;
	int64_t began_us;              /* boot time of plant time 0 */
	struct sim_plant plant;
	struct command command;
	struct day day;
	struct face faces[SIM_KIND_COUNT];
	struct sim_device devices[SIM_KIND_COUNT];
	struct server *servers[SIM_KIND_COUNT];
	size_t count;
	struct pty *pty;
	struct socket *socket;
	struct loop_timer idle;
};

void sim_options_default(struct sim_options *o)
{
	*o = (struct sim_options){
		.host = "127.0.0.11", .port = 1502, .soc_percent = 50, .pv_factor = 1, .baud = 9600, .parity = 'N',
	};
	sim_parameters_default(&o->plant);
}

/* ---- time ---- */

/* The inverter gave up its set-point: its registers show how it was delivered, in every device that has them. */
static void watchdog_came(struct sim *s)
{
	s->command.from_w = s->command.to_w = 0;
	for (size_t n = 0; n < s->count; n++)
		if (s->faces[n].image.kind->expired)
			s->faces[n].image.kind->expired(&s->faces[n].image);
}

static void advance(struct sim *s)
{
	int64_t to = loop_now(s->loop)->boot_us - s->began_us;
	struct sim_parameters p = s->options.plant;

	p.watchdog_s = s->command.watchdog_s;
	p.ramp_w_per_s = fmin(p.ramp_w_per_s, s->command.ramp_w_per_s);
	while (to - s->plant.at_us >= SIM_STEP_US) {
		int64_t at = s->plant.at_us, edge = (at / CHUNK_US + 1) * CHUNK_US;
		bool tripped = s->plant.watchdog_tripped;
		struct sim_inputs in = {
			.setpoint_w = command_at(&s->command, at), .setpoint_at_us = s->command.written_us,
			.reserve_percent = s->command.reserve_percent, .inverter_off = s->command.off,
		};

		day_at(&s->day, at, &in.load_w, &in.pv_w);
		sim_plant_step(&s->plant, &p, &in, edge < to ? edge : to);
		if (s->plant.watchdog_tripped && !tripped)
			watchdog_came(s);
	}
}

static void on_idle(void *arg)
{
	struct sim *s = arg;

	advance(s);
	loop_timer_set(s->loop, &s->idle, loop_now(s->loop)->boot_us + IDLE_US);
}

const struct sim_plant *sim_plant_now(struct sim *s)
{
	advance(s);
	return &s->plant;
}

int64_t sim_utc_us(struct sim *s)
{
	advance(s);
	return (s->options.series ? s->options.series->start_utc_us : 0) + s->day.offset_us + s->plant.at_us;
}

void sim_now_read(struct sim *s, struct sim_now *out)
{
	advance(s);
	*out = (struct sim_now){
		.extra_w = s->day.extra_w, .cloud = s->day.cloud_to,
		.setpoint_w = command_at(&s->command, s->plant.at_us),
		.setpoint_age_s = s->command.written_us < 0 ? NAN :
			(double)(s->plant.at_us - s->command.written_us) / 1e6,
	};
}

const struct sim_options *sim_options_of(const struct sim *s)
{
	return &s->options;
}

/* ---- what devices see ---- */

double view_dc_w(const struct view *v, double ac_w)
{
	return ac_w > 0 ? ac_w / v->efficiency : ac_w * v->efficiency;
}

static struct view look(const struct sim *s)
{
	const struct sim_plant *p = &s->plant;
	const struct sim_parameters *o = &s->options.plant;
	struct view v = {
		.at_us = p->at_us, .grid_w = p->meter_w, .grid_hz = p->meter_hz,
		.battery_w = p->inverter_w, .pv_w = p->pv_w,
		.import_wh = p->import_wh, .export_wh = p->export_wh, .pv_wh = p->pv_wh,
		.charge_wh = p->charge_wh, .discharge_wh = p->discharge_wh,
		.soc_percent = sim_plant_soc(p, o),
		.charge_limit_w = p->charge_limit_w, .discharge_limit_w = p->discharge_limit_w,
		.battery_wh = o->battery_wh, .inverter_w = o->inverter_w, .efficiency = o->efficiency,
		.watchdog_s = o->watchdog_s,
		.watchdog_tripped = p->watchdog_tripped, .off = s->command.off, .command_w = p->command_w,
	};

	memcpy(v.grid_l_w, p->meter_l_w, sizeof v.grid_l_w);
	memcpy(v.grid_v, p->meter_v, sizeof v.grid_v);
	/* 120 cells of LFP: flat over the charge, softer under load */
	v.battery_v = 384 + 0.24 * v.soc_percent - 0.0012 * p->battery_w;
	return v;
}

/* ---- questions ---- */

/* MAP 7 */
enum { ILLEGAL_FUNCTION = 1, ILLEGAL_VALUE = 3, DEVICE_FAILURE = 4, DEVICE_BUSY = 6, GATEWAY_NO_TARGET = 11 };

static uint8_t judge(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, struct bus_request *q)
{
	if (unit != f->image.kind->unit)
		return GATEWAY_NO_TARGET;
	if (f->fault == SIM_FAULT_EXCEPTION)
		return DEVICE_FAILURE;
	if (f->fault == SIM_FAULT_BUSY)
		return DEVICE_BUSY;
	if (pdu[0] != BUS_READ_HOLDING && pdu[0] != BUS_READ_INPUT && pdu[0] != BUS_WRITE_REGISTER &&
	    pdu[0] != BUS_WRITE_REGISTERS)
		return ILLEGAL_FUNCTION;
	if (!bus_pdu_parse_request(pdu, len, q))
		return ILLEGAL_VALUE;
	return image_judge(&f->image, q);
}

static void carry_out(struct face *f, const struct bus_request *q)
{
	uint16_t count = q->function == BUS_WRITE_REGISTER ? 1 : q->count;
	struct view v = look(f->sim);

	f->writes++;
	if (f->fault == SIM_FAULT_DEAF)
		return;
	image_store(&f->image, q);
	if (f->image.kind->written)
		f->image.kind->written(&f->image, q->address, count, &v, &f->sim->command, &f->rng);
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
	if (q.function == BUS_WRITE_REGISTER || q.function == BUS_WRITE_REGISTERS) {
		carry_out(f, &q);
		return bus_pdu_encode_reply(&q, q.values, answer);
	}
	v = look(f->sim);
	fault_view(f, &v);
	f->image.kind->refresh(&f->image, &v);
	return bus_pdu_encode_reply(&q, image_at(&f->image, q.function, q.address, q.count), answer);
}

/* ---- the site ---- */

static int host_of(const struct sim_options *o, int place, char host[64], struct err *e)
{
	struct in_addr a;
	uint32_t first;

	if (inet_pton(AF_INET, o->host, &a) != 1 || (first = ntohl(a.s_addr)) >> 24 != 127)
		return err_set(e, ERR_INPUT, 0, "'%s' is not an address of 127.0.0.0/8; a simulated site stays on its machine",
			       o->host);
	a.s_addr = htonl(first + (uint32_t)place);
	if ((first + (uint32_t)place) >> 24 != 127)
		return err_set(e, ERR_INPUT, 0, "there are not enough loopback addresses after '%s'", o->host);
	inet_ntop(AF_INET, &a, host, 64);
	return 0;
}

static int add_device(struct sim *s, enum sim_kind kind, const struct image_kind *k, struct err *e)
{
	size_t n = s->count;
	struct face *f = &s->faces[n];
	struct sim_device *d = &s->devices[n];
	struct view v = look(s);

	*d = (struct sim_device){ .name = k->name, .kind = kind, .words = k->words,
				  .address = { .kind = kind == SIM_METER_RTU ? BUS_RTU : BUS_TCP, .port = s->options.port,
					       .unit = k->unit, .has_unit = true } };
	*f = (struct face){ .sim = s };
	rng_seed(&f->rng, s->options.plant.seed + k->host);
	image_begin(&f->image, k, s->options.plant.seed, &v);
	s->count++;
	if (kind == SIM_METER_RTU)
		return pty_new(s->loop, f, &s->options, &d->address, &s->pty, e);
	if (host_of(&s->options, k->host, d->address.host, e) < 0)
		return -1;
	return server_new(s->loop, f, &d->address, &s->servers[n], e);
}

static int add_devices(struct sim *s, struct err *e)
{
	const struct {
		enum sim_kind kind;
		const struct image_kind *image;
		bool wanted;
	} all[] = {
		{ SIM_METER, &image_meter, true }, { SIM_BATTERY, &image_battery, true }, { SIM_PV, &image_pv, true },
		{ SIM_METER_RTU, &image_sdm630, s->options.rtu }, { SIM_HYBRID, &image_hybrid, s->options.hybrid },
		{ SIM_BMS, &image_bms, s->options.bms },
	};

	for (size_t n = 0; n < COUNT_OF(all); n++)
		if (all[n].wanted && add_device(s, all[n].kind, all[n].image, e) < 0)
			return -1;
	return 0;
}

int sim_new(struct loop *l, const struct sim_options *o, struct sim **out, struct err *e)
{
	struct sim *s = xcalloc(1, sizeof *s);

	s->loop = l;
	s->options = *o;
	s->began_us = loop_now(l)->boot_us - WARM_US;
	s->day = (struct day){ .series = o->series, .offset_us = o->series_offset_us - WARM_US, .seed = o->plant.seed,
			       .calm = o->calm, .extra_w = o->load_extra_w, .cloud_from = o->pv_factor,
			       .cloud_to = o->pv_factor };
	s->command = (struct command){ .written_us = -1, .watchdog_s = o->plant.watchdog_s, .ramp_w_per_s = INFINITY };
	sim_plant_begin(&s->plant, &o->plant, o->soc_percent);
	advance(s);
	if (add_devices(s, e) < 0 || (*o->socket && socket_new(l, s, o->socket, &s->socket, e) < 0)) {
		sim_free(s);
		return -1;
	}
	s->idle = (struct loop_timer){ .fn = on_idle, .arg = s };
	on_idle(s);
	*out = s;
	return 0;
}

void sim_free(struct sim *s)
{
	if (!s)
		return;
	socket_free(s->socket);
	loop_timer_stop(s->loop, &s->idle);
	for (size_t n = 0; n < s->count; n++)
		server_free(s->servers[n]);
	pty_free(s->pty);
	free(s);
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

static int unknown_device(const struct sim *s, const char *device, struct err *e)
{
	char names[128] = "";

	for (size_t n = 0; n < s->count; n++) {
		size_t len = strlen(names);

		snprintf(names + len, sizeof names - len, "%s%s", n ? ", " : "", s->devices[n].name);
	}
	return err_set(e, ERR_INPUT, 0, "the simulated site has no device '%.40s', but %s", device, names);
}

int sim_set_fault(struct sim *s, const char *device, enum sim_fault f, struct err *e)
{
	advance(s);
	for (size_t n = 0; n < s->count; n++) {
		if (!str_eq(s->devices[n].name, device))
			continue;
		s->faces[n].fault = f;
		s->faces[n].held = look(s);
		return s->servers[n] ? server_follow(s->servers[n], e) : 0;
	}
	return unknown_device(s, device, e);
}

void sim_set_load(struct sim *s, double extra_w)
{
	advance(s);
	s->day.extra_w = extra_w;
}

void sim_set_cloud(struct sim *s, double factor)
{
	advance(s);
	day_cloud(&s->day, s->plant.at_us, factor);
}
