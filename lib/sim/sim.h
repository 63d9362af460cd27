/* sim: tier 1, the simulated site: a plant that is a pure function of state, inputs and time, and Modbus servers
 * that show it.
 *
 * It shares the frame encoder with bus and nothing with device, poll or control: its registers and signs are written
 * here from the devices' documents, so that a sign error on one side shows.
 */
#ifndef PSEC_SIM_H
#define PSEC_SIM_H

#include "base/base.h"
#include "bus/bus.h"
#include "loop/loop.h"
#include "series/series.h"

/* ---- the plant ----------------------------------------------------------------------------------------------- */

struct sim_parameters {
	double battery_wh, inverter_w;        /* 10 000, 5 000 */
	double efficiency;                    /* one way, at the AC side: 0.95 */
	double dead_time_s, lag_s, ramp_w_per_s; /* 0.3 (at most 10), 0.7, INFINITY */
	/* how often the inverter renews the power that it shows: 0.2; 0: always */
	double inverter_period_s;
	double meter_period_s;                /* 0.5 */
	/* 0.1, at most the period: from the end of its mean to where it can be read */
	double meter_delay_s;
	double meter_mean_s;                  /* 0.1, at most 10 */
	double meter_noise_w;                 /* 5, standard deviation */
	double watchdog_s;                    /* set-point older than this: inverter goes to 0; 60; 0: none */
	double standby_w;                     /* inverter's own draw, from the battery: 0 */
	uint64_t seed;
};
void sim_parameters_default(struct sim_parameters *p);

struct sim_inputs {
	double load_w, pv_w;                  /* what the sun and the house want now */
	double setpoint_w;                    /* last written, discharge positive */
	int64_t setpoint_at_us;               /* plant time of the last write; below 0: none yet */
	double reserve_percent;               /* the inverter's own: below it no discharge */
	bool inverter_off;
	double other_w;                       /* what else feeds here: genset, further batteries; + into the site */
	double voltage_by_v, frequency_by_hz; /* the grid's distance from 231.5 V and 50 Hz */
	bool grid_dark;                       /* a blackout: nothing flows (give no load, no PV) */
	bool grid_waits;                      /* it is back, and the inverter watches it before it feeds again */
};

enum { SIM_STEP_US = 10000, SIM_DELAY_STEPS = 1024 /* 10.24 s; a power of two */ };
struct sim_plant {                            /* the whole state: copy it and you have forked the world */
	int64_t at_us;                        /* plant time, from 0; a multiple of SIM_STEP_US */
	double battery_w;                     /* AC side, discharge positive */
	double energy_wh;                     /* stored, 0…battery_wh */
	double load_w, pv_w, grid_w;          /* true values now; grid = load - pv - battery - other */
	double charge_limit_w, discharge_limit_w; /* what the BMS allows: tapers at both ends */
	double command_w;                     /* what reached the inverter after the dead time and its own clamps */
	bool watchdog_tripped;
	double import_wh, export_wh, pv_wh, load_wh, charge_wh, discharge_wh;
	double meter_w, meter_l_w[3], meter_v[3], meter_hz; /* as the meter shows it now */
	int64_t meter_at_us;                  /* plant time that the shown value is of: the middle of its mean */
	double inverter_w;                    /* battery_w as the inverter shows it now */
	int64_t inverter_at_us;
	struct rng rng;
	/* private */
	double delayed_setpoint_w[SIM_DELAY_STEPS], grid_history_w[SIM_DELAY_STEPS];
	uint32_t head;
	double pending_w, pending_l_w[3], pending_v[3], pending_hz;
	int64_t pending_at_us, pending_show_us, next_meter_us, next_inverter_us;
};
void sim_plant_begin(struct sim_plant *s, const struct sim_parameters *p, double soc_percent);
/* Advance by whole steps of 10 ms, to to_us or to less than a step before it. Deterministic, and one call or many
 * make no difference: same state, inputs, time: same result. About 40 ns a step. */
void sim_plant_step(struct sim_plant *s, const struct sim_parameters *p, const struct sim_inputs *in, int64_t to_us);
double sim_plant_soc(const struct sim_plant *s, const struct sim_parameters *p); /* percent */

/* ---- the site: servers over one plant ------------------------------------------------------------------------ */

enum sim_kind {
	SIM_METER,     /* SunSpec 1, 203 */
	SIM_BATTERY,   /* SunSpec 1, 103, 120, 124 with BMS 802 */
	SIM_PV,        /* SunSpec 1, 103, 120, 123 */
	SIM_METER_RTU, /* SDM630 on a pty */
	SIM_HYBRID,    /* Sungrow-like */
	SIM_BMS,       /* Pylontech-like */
	SIM_GENSET,    /* GenComm */
	SIM_KIND_COUNT,
};

enum sim_fault {
	SIM_FAULT_NONE,
	SIM_FAULT_STALE,      /* answers, with the values of then */
	SIM_FAULT_FROZEN,     /* the power alone stands still */
	SIM_FAULT_SIGN,       /* power with the wrong sign */
	SIM_FAULT_EXCEPTION,  /* exception 4 to everything */
	SIM_FAULT_BUSY,       /* exception 6 */
	SIM_FAULT_GARBAGE,    /* bytes that are no frame */
	SIM_FAULT_WRONG_UNIT,
	/* the number of the question before; on a line, which has none, the answer to it */
	SIM_FAULT_WRONG_TRANSACTION,
	SIM_FAULT_WRONG_LENGTH, /* by turns a byte count and a frame length that are not so */
	SIM_FAULT_LOST,       /* connections closed, none accepted; a line says nothing */
	SIM_FAULT_SILENT,     /* accepts and never answers */
	SIM_FAULT_SLOW,       /* answers after 800 ms */
	SIM_FAULT_IMPOSSIBLE, /* values that cannot be: 2e9 W, SoC 400 % */
	SIM_FAULT_DEAF,       /* accepts a write and does nothing: the registers keep their values */
	SIM_FAULT_COUNT,
};
const char *sim_fault_name(enum sim_fault f);           /* "stale" */
const char *sim_fault_words(enum sim_fault f);          /* "answers with the values of then" */
must_check bool sim_fault_parse(const char *name, enum sim_fault *out);

enum { SIM_BATTERIES = 4, SIM_SPEED_MAX = 1000 };

struct sim_battery {
	struct sim_parameters plant;  /* the first one's also say how the meter is, and the seed */
	double soc_percent;           /* at the start: 50 */
	/* Its faces. Those of one battery show the same; the last set-point counts, whoever took it. */
	bool sunspec, hybrid, bms;
};
struct sim_genset {
	double rated_w;               /* 0: there is none */
	double minimum_percent;       /* it gives no less while it feeds: 30 */
	double start_delay_s, warm_up_s, cool_down_s; /* 5, 20, 30 */
	double ramp_w_per_s;          /* 500 */
};

/* Something that happens to the site at a time. */
enum sim_event_kind {
	SIM_EVENT_FAULT,              /* fault of device */
	SIM_EVENT_LOAD,               /* value: W beside what the series says */
	SIM_EVENT_CLOUD,              /* value: percent of the sun that goes, within 4 s */
	SIM_EVENT_GRID,               /* value, value2: V and Hz beside the usual */
	SIM_EVENT_BLACKOUT,           /* for_us */
	SIM_EVENT_GENSET,             /* value: W; 0: as before; below 0: stop */
	SIM_EVENT_SWAP,               /* device is another of the same make: another serial number, as delivered */
	SIM_EVENT_MASTER,             /* for_us: another master asks on the serial line */
	SIM_EVENT_SAY,                /* words for who trains */
};
struct sim_event {
	int64_t at_us;                /* since the site's start */
	int64_t for_us;               /* undone after that; 0: never */
	enum sim_event_kind kind;
	bool is_end;                  /* it undoes one */
	char device[16];
	enum sim_fault fault;
	double value, value2;
	char say[160];                /* what somebody who trains should look at; "" = nothing */
};
#define SIM_EVENT_LEN 240
/* "meter: frozen, for 20s"; returns to. */
char *sim_event_words(const struct sim_event *e, char to[SIM_EVENT_LEN]);

struct sim_options {
	struct sim_battery batteries[SIM_BATTERIES];
	size_t battery_count;      /* 1 at least */
	struct sim_genset genset;
	char host[16];             /* loopback address of the meter; each kind has its place after it: 127.0.0.11, .12,
				    * … and those of another battery ten further */
	uint16_t port;             /* 502 needs root or CAP_NET_BIND_SERVICE; default 1502; 0: a free one for each */
	const struct series *series; /* NULL: load 500 W, PV 0 */
	int64_t series_offset_us;  /* where in the series it begins */
	bool calm;                 /* only the series: no variation over seconds */
	int speed;                 /* plant seconds a second: 1 */
	double load_extra_w, pv_factor; /* changed while it runs by events: 0, 1 */
	bool rtu;                  /* also the SDM630 on a pty */
	uint32_t baud; char parity; /* of that line: 9600 'N', as the meter is delivered */
	char line[64];             /* where a link to the line's name is made; "" = none */
	char socket[108];          /* control socket; "" = none */
	const struct sim_event *events; /* borrowed until sim_new returns; any order */
	size_t event_count;
	char title[80];            /* of the scenario that they are from, or "" */
};
void sim_options_default(struct sim_options *o);

struct sim;
/* Bind everything or fail: ERR_AGAIN when an address is taken, ERR_INPUT for a host that is not of 127.0.0.0/8, or an
 * event of a device that is not there. The series is borrowed until sim_free. Caller frees. */
must_check int sim_new(struct loop *l, const struct sim_options *o, struct sim **out, struct err *e);
void sim_free(struct sim *s);
struct sim_device {
	const char *name;          /* "meter", "battery", "pv", "rs485", "hybrid", "bms", "genset", "battery2" … */
	enum sim_kind kind;
	struct bus_address address;
	const char *words;         /* "SunSpec meter (1, 203)" */
	enum sim_fault fault;      /* in a blackout: lost */
	uint64_t questions, writes; /* understood; of them writes that were accepted */
};
size_t sim_devices(const struct sim *s, const struct sim_device **out);
/* The plant of the first battery, with house, sun, grid and meter, advanced to the clock's time. It is not advanced
 * otherwise than by a question, by this, when something happens, and every 10 s. */
const struct sim_plant *sim_plant_now(struct sim *s);
/* What is true of the site as a whole. */
struct sim_truth {
	int64_t utc_us;            /* time of the series */
	int64_t elapsed_us;        /* plant time since the start */
	/* battery_w: of all; soc_percent: of all their energy */
	double load_w, pv_w, battery_w, genset_w, grid_w, soc_percent;
	bool dark;
	bool has_next;
	struct sim_event next;     /* what comes */
	char said[160];            /* what the last event said */
};
void sim_truth_now(struct sim *s, struct sim_truth *out);
/* Time of the series now. */
int64_t sim_utc_us(struct sim *s);
/* Let it happen now. ERR_INPUT for a device that is not there, or a genset or line that this site has not. */
must_check int sim_happen(struct sim *s, const struct sim_event *event, struct err *e);
/* From now on, speed plant seconds a second (0: it stands still, …SIM_SPEED_MAX). */
void sim_set_speed(struct sim *s, int speed);
/* device: "meter", "battery", "pv" …; until it is set to none again. */
must_check int sim_set_fault(struct sim *s, const char *device, enum sim_fault f, struct err *e);
void sim_set_load(struct sim *s, double extra_w);   /* the kettle: at once */
void sim_set_cloud(struct sim *s, double factor);   /* 1: clear sky, 0: none of the series' PV; takes 4 s */
/* Methods on its socket (ctl): sim.status, sim.event {text: "cloud: 80"} (as in a scenario), sim.speed {speed},
 * sim.fault {device, fault}, sim.load {extra_w}, sim.cloud {factor}. */

/* ---- scenarios: psec-sim(1) has the schema --------------------------------------------------------------------- */

struct sim_scenario {
	struct sim_options options;  /* as the file says; events lie in this struct */
	char title[80];
	char *about;                 /* or NULL */
	char series[256];            /* "": the shipped one; "none"; else a file beside the scenario */
	int64_t start_utc_us;        /* of the series; INT64_MIN: not given */
	struct sim_event *events;    /* by time */
	size_t event_count;
};
/* All faults go to sink with file and line; -1 when there was one, or *e for a file that cannot be read. Released by
 * sim_scenario_release. */
must_check int sim_scenario_read(const char *path, struct sim_scenario *out, struct diag_sink *sink, struct err *e);
/* The same for a text that is there already. */
must_check int sim_scenario_parse(const char *text, size_t len, const char *name, struct sim_scenario *out,
				  struct diag_sink *sink);
void sim_scenario_release(struct sim_scenario *x);
/* One event without its time, "fault: {device: meter, kind: frozen, for: 20s}". */
must_check int sim_event_parse(const char *text, struct sim_event *out, struct err *e);

#endif
