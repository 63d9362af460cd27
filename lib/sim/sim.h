/* sim: tier 1, the simulated site: a plant that is a pure function of state, inputs and time, and Modbus servers that show it.
 *
 * It shares the frame encoder with bus and nothing with device, poll or control: its registers and signs are written here
 * from the devices' documents, so that a sign error on one side shows.
 */
#ifndef PSEC_SIM_H
#define PSEC_SIM_H

#include "base/base.h"
#include "bus/bus.h"
#include "loop/loop.h"
#include "series/series.h"

/* ---- the plant ------------------------------------------------------------------------------------------------------ */

struct sim_parameters {
	double battery_wh, inverter_w;        /* 10 000, 5 000 */
	double efficiency;                    /* one way, at the AC side: 0.95 */
	double dead_time_s, lag_s, ramp_w_per_s; /* 0.3, 0.7, INFINITY */
	double meter_period_s, meter_delay_s, meter_mean_s; /* 0.5, 0.1, 0.1 */
	double meter_noise_w;                 /* 5 */
	double watchdog_s;                    /* set-point older than this: inverter goes to 0; 60; 0: none */
	double standby_w;                     /* inverter's own draw: 0 */
	uint64_t seed;
};
void sim_parameters_default(struct sim_parameters *p);

struct sim_inputs {
	double load_w, pv_w;                  /* what the sun and the house want now */
	double setpoint_w;                    /* last written, discharge positive */
	int64_t setpoint_at_us;               /* plant time of the last write */
	bool inverter_off;
};

enum { SIM_DELAY_STEPS = 1024 };
struct sim_plant {                            /* the whole state: copy it and you have forked the world */
	int64_t at_us;                        /* plant time, from 0 */
	double battery_w;                     /* AC side, discharge positive */
	double energy_wh;                     /* stored, 0…battery_wh */
	double load_w, pv_w, grid_w;          /* true values now; grid = load - pv - battery */
	double charge_limit_w, discharge_limit_w; /* what the BMS allows: tapers at both ends */
	double command_w;                     /* what reached the inverter after the dead time and its own clamps */
	bool watchdog_tripped;
	double import_wh, export_wh, pv_wh, load_wh, charge_wh, discharge_wh;
	double meter_w, meter_l_w[3], meter_v[3], meter_hz; /* as the meter shows it now */
	int64_t meter_at_us;                  /* plant time that the shown value is of */
	struct rng rng;
	/* private */
	double delayed_setpoint_w[SIM_DELAY_STEPS]; double grid_history_w[SIM_DELAY_STEPS]; uint32_t head;
	double pending_meter_w; int64_t pending_show_us, pending_at_us, next_meter_us;
};
void sim_plant_begin(struct sim_plant *s, const struct sim_parameters *p, double soc_percent);
/* Advance to to_us in steps of 10 ms. Deterministic: same state, inputs, time: same result. */
void sim_plant_step(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in, int64_t to_us);

/* ---- the site: servers over one plant --------------------------------------------------------------------------------- */

enum sim_kind { SIM_METER /* SunSpec 203 */, SIM_BATTERY /* SunSpec 1, 103-like, 120, 124 with BMS 802 */, SIM_PV /* SunSpec 103 */,
		SIM_METER_RTU /* SDM630 on a pty */, SIM_HYBRID, SIM_BMS, SIM_KIND_COUNT };

enum sim_fault {
	SIM_FAULT_NONE,
	SIM_FAULT_STALE,      /* answers, with the values of then */
	SIM_FAULT_FROZEN,     /* the power register alone stands still */
	SIM_FAULT_SIGN,       /* power with the wrong sign */
	SIM_FAULT_EXCEPTION,  /* exception 4 to everything */
	SIM_FAULT_BUSY,       /* exception 6 */
	SIM_FAULT_GARBAGE,    /* bytes that are no frame */
	SIM_FAULT_WRONG_UNIT, SIM_FAULT_WRONG_TRANSACTION, SIM_FAULT_WRONG_LENGTH,
	SIM_FAULT_LOST,       /* connections closed, none accepted; a line says nothing */
	SIM_FAULT_SILENT,     /* accepts and never answers */
	SIM_FAULT_SLOW,       /* answers after 800 ms */
	SIM_FAULT_IMPOSSIBLE, /* values that cannot be: 1e9 W, SoC 400 % */
	SIM_FAULT_DEAF,       /* accepts a write and does nothing */
	SIM_FAULT_COUNT,
};
const char *sim_fault_name(enum sim_fault f);           /* "stale" */
must_check bool sim_fault_parse(const char *name, enum sim_fault *out);

struct sim_options {
	struct sim_parameters plant;
	char host[16];             /* first loopback address; each TCP device takes the next: 127.0.0.11, .12, … */
	uint16_t port;             /* 502 needs root or CAP_NET_BIND_SERVICE; default 1502 */
	const struct series *series; /* NULL: load 500 W, PV 0 */
	int64_t series_offset_us;  /* where in the series it begins */
	double soc_percent;        /* at the start: 50 */
	double load_extra_w, pv_factor; /* changed while it runs by sim.load / sim.cloud: 0, 1 */
	bool rtu;                  /* also the SDM630 on a pty */
	char socket[108];          /* control socket; "" = none */
};
void sim_options_default(struct sim_options *o);

struct sim;
/* Bind everything or fail. Caller frees. */
must_check int sim_new(struct loop *l, const struct sim_options *o, struct sim **out, struct err *e);
void sim_free(struct sim *s);
struct sim_device { const char *name; enum sim_kind kind; struct bus_address address; const char *words; enum sim_fault fault; uint64_t questions, writes; };
size_t sim_devices(const struct sim *s, const struct sim_device **out);
const struct sim_plant *sim_plant_now(const struct sim *s);
/* device: "meter", "battery", "pv" …; until it is set to none again. */
must_check int sim_set_fault(struct sim *s, const char *device, enum sim_fault f, struct err *e);
void sim_set_load(struct sim *s, double extra_w);   /* the kettle */
void sim_set_cloud(struct sim *s, double factor);   /* 1: clear sky, 0: none of the series' PV */
/* Methods on its socket (ctl): sim.status, sim.fault {device, fault}, sim.load {extra_w}, sim.cloud {factor}. */

#endif
