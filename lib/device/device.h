/* device: what devices are. Roles and their points, profiles (YAML data), SunSpec models (JSON data), how values lie in
 * registers.
 *
 * No traffic here: poll reads and writes, device says what and judges what came. Profiles: psec-profile(5), the site's
 * own folder first, then the share folder (share_path).
 */
#ifndef PSEC_DEVICE_H
#define PSEC_DEVICE_H

#include "base/base.h"
#include "bus/bus.h"
#include "site/site.h"

/* ---- points: what roles consist of. SI units, DESIGN signs ------------------------------------------------------ */

enum device_point {
	/* grid-meter: import positive */
	POINT_GRID_POWER_W, POINT_GRID_POWER_L1_W, POINT_GRID_POWER_L2_W, POINT_GRID_POWER_L3_W,
	POINT_GRID_VOLTAGE_L1_V, POINT_GRID_VOLTAGE_L2_V, POINT_GRID_VOLTAGE_L3_V,
	POINT_GRID_CURRENT_L1_A, POINT_GRID_CURRENT_L2_A, POINT_GRID_CURRENT_L3_A,
	POINT_GRID_FREQUENCY_HZ, POINT_GRID_IMPORT_WH, POINT_GRID_EXPORT_WH,
	/* battery-inverter: discharge positive, at the AC side */
	POINT_BATTERY_POWER_W, POINT_BATTERY_SETPOINT_W /* writable */, POINT_BATTERY_CHARGE_RATING_W,
	POINT_BATTERY_DISCHARGE_RATING_W, POINT_BATTERY_STATE,
	/* bms */
	POINT_BMS_SOC_PERCENT, POINT_BMS_VOLTAGE_V, POINT_BMS_CURRENT_A, POINT_BMS_TEMPERATURE_C,
	POINT_BMS_CHARGE_LIMIT_W, POINT_BMS_DISCHARGE_LIMIT_W, POINT_BMS_CHARGE_LIMIT_A, POINT_BMS_DISCHARGE_LIMIT_A,
	POINT_BMS_ALARM,
	/* pv-inverter, genset: production positive */
	POINT_PV_POWER_W, POINT_PV_ENERGY_WH, POINT_PV_STATE,
	POINT_GENSET_POWER_W, POINT_GENSET_FREQUENCY_HZ, POINT_GENSET_STATE,
	/* load-meter: consumption positive */
	POINT_LOAD_POWER_W, POINT_LOAD_IMPORT_WH,
	POINT_COUNT,
};

struct device_point_info {
	const char *name;      /* "grid-meter.power_w" */
	enum site_role role;
	const char *unit;      /* "W" … or "" */
	double min, max;       /* what can be true on any site; outside is impossible and not a value */
	bool required;         /* the role is nothing without it */
	bool writable;
	bool directed;         /* changes sign with site_device.reversed */
};
const struct device_point_info *device_point(enum device_point p);
/* "power_w" within a role, or the full name (role ignored then); -1 when there is none. */
int device_point_find(enum site_role role, const char *name);

/* ---- how good a value is ---- */
enum device_quality {
	DEVICE_GOOD,
	DEVICE_UNKNOWN,    /* not read yet, or lost */
	DEVICE_ABSENT,     /* the device marks it not available */
	DEVICE_IMPOSSIBLE, /* outside what can be true */
};
/* A device of a running site, as poll finds it. */
enum device_state { DEVICE_WAITING /* not asked yet */, DEVICE_STARTING, DEVICE_LIVE, DEVICE_LOST, DEVICE_STATE_COUNT };
const char *device_state_name(enum device_state s);
const char *device_quality_name(enum device_quality q);     /* "good", "unknown", "absent", "impossible" */
must_check bool device_quality_parse(const char *name, enum device_quality *out);

/* ---- profiles ----------------------------------------------------------------------------------------------- */

enum device_type { DEVICE_INT16, DEVICE_UINT16, DEVICE_INT32, DEVICE_UINT32, DEVICE_INT64, DEVICE_UINT64,
		   DEVICE_FLOAT32, DEVICE_FLOAT64, DEVICE_TEXT };
enum device_order { DEVICE_HIGH_FIRST, DEVICE_LOW_FIRST }; /* words of a value of several registers */
const char *device_type_name(enum device_type t);       /* "int16" */
uint16_t device_type_registers(enum device_type t);     /* that a number of it has; 0 for text */
/* The number that registers hold, before any scale; NAN for text. */
double device_number(const uint16_t *regs, enum device_type t, enum device_order o);
enum device_rate { DEVICE_FAST, DEVICE_NORMAL, DEVICE_SLOW, DEVICE_ONCE }; /* poll period, 1 s, 10 s, at connect */

/* Dynamics of a battery inverter and timing of a meter: what the predictor starts from. */
struct device_timing {
	int64_t meter_period_ms, meter_delay_ms;   /* internal refresh; age of a value when it appears */
	int64_t dead_time_ms, lag_ms;              /* set-point to effect; first-order lag */
	double ramp_w_per_s;                       /* INFINITY: none */
	/* the device leaves the set-point when not written for so long; 0: none */
	int64_t watchdog_ms;
	int64_t write_interval_ms;                 /* least time between writes */
	int64_t poll_ms;                           /* fast points */
	int64_t answer_ms, pause_ms;               /* for bus_options */
};

struct device_profile;  /* of a catalogue */
struct device_catalogue;

/* Read every *.yaml of site_profiles (may be NULL or missing) and of the share folder. Faults go to sink, a profile
 * with a fault is left out; -1 only when no profile can be had. Caller frees. */
must_check int device_catalogue_load(const char *site_profiles, struct device_catalogue **out, struct diag_sink *sink,
				     struct err *e);
void device_catalogue_free(struct device_catalogue *c);
bool device_catalogue_faulty(const struct device_catalogue *c); /* sink was told of faults */
const struct device_profile *device_profile_find(const struct device_catalogue *c, const char *id);
/* The i-th, sorted by id; NULL past the end. */
const struct device_profile *device_profile_at(const struct device_catalogue *c, size_t i);

struct device_profile_info {
	const char *id, *make, *model, *source, *note, *file;
	unsigned roles;                 /* that it can fill */
	bool sunspec;
	bool own;                       /* of the site's folder, not an installed one */
	const uint8_t *units;           /* likely units, best first */
	size_t unit_count;
	struct device_timing timing;
	uint16_t block_max, block_gap;  /* registers a read may have; unwanted registers a merged read may cross */
};
const struct device_profile_info *device_profile_info(const struct device_profile *p);
/* The i-th point that the profile maps, for people: "input 52 float32", "203.W", "sum of …". false past the end. */
struct device_profile_point { enum device_point point; enum device_rate rate; bool writable; char how[160]; };
must_check bool device_profile_point(const struct device_profile *p, size_t i, struct device_profile_point *out);

/* Keep the SunSpec models that a map of p may need in memory until the process ends: for one that can open no file
 * later. */
must_check int device_profile_keep(const struct device_profile *p, struct err *e);

/* What every device of site.yaml needs: profile there, roles fillable, required points there. Faults name the device's
 * line. */
void device_check_site(const struct device_catalogue *c, const struct site *s, const char *file,
		       struct diag_sink *sink);

/* ---- signatures: how a device is recognised ----------------------------------------------------------------- */

/* One read and what it must show. A signature *identifies*; plausibility only *proposes*. */
struct device_probe {
	uint8_t function;
	uint16_t address, count;
};
size_t device_profile_probes(const struct device_profile *p, const struct device_probe **out);
enum device_match { DEVICE_NO, DEVICE_PROPOSED, DEVICE_IDENTIFIED };
/* Judge the answers (one array of registers a probe, NULL when it failed); why gets "voltage 231.2 V, 49.98 Hz
 * plausible". */
enum device_match device_profile_match(const struct device_profile *p, const uint16_t *const *answers, char why[120]);

/* ---- SunSpec ------------------------------------------------------------------------------------------------ */

enum { DEVICE_MODELS_MAX = 64 };
struct device_model { uint16_t id, address, length; }; /* address of the first register after id and length */
struct device_sunspec {
	bool found;
	uint16_t base;                         /* of "SunS": 40000, 0 or 50000 */
	struct device_model models[DEVICE_MODELS_MAX];
	size_t model_count;
	bool ended;                            /* the end marker 0xFFFF was seen */
};
/* The walk as a machine without traffic: begin, ask what to read, give the answer (regs NULL: it failed), until
 * false. */
struct device_walk { struct device_sunspec found; int step; uint16_t next; char why[80]; };
void device_walk_begin(struct device_walk *w);
must_check bool device_walk_next(const struct device_walk *w, struct device_probe *out);
void device_walk_answer(struct device_walk *w, const uint16_t *regs, size_t count);
/* Which profile of the catalogue fits the models best; NULL: none. */
const struct device_profile *device_sunspec_profile(const struct device_catalogue *c, const struct device_sunspec *s);

/* One point of a model on a device, those of its groups included: "W", "module[2].DCW". */
struct device_model_point {
	char name[64], unit[16];
	uint16_t address;
	bool writable, is_text;
	enum device_quality quality;
	double value, raw;             /* value: DEVICE_GOOD, scaled */
	char text[65];                 /* is_text */
	char why[80];                  /* not good */
};
typedef void device_model_fn(void *arg, const struct device_model_point *p);
/* All points of a model, in their order, scale factors and padding left out. regs: m->length of them. ERR_IO when psec
 * does not know the model. */
must_check int device_model_points(const struct device_model *m, const uint16_t *regs, device_model_fn *fn, void *arg,
				   struct err *e);

struct device_identity { char make[33], model[33], version[17], serial[33]; };
/* From the registers of SunSpec model 1 (its 65 or 66 registers after id and length). */
void device_sunspec_identity(const uint16_t *regs, size_t count, struct device_identity *out);
/* From FC 43/14 bytes (after the function code); false when they are not that. */
must_check bool device_fc43_identity(const uint8_t *bytes, size_t count, struct device_identity *out);
/* The reads of a profile's own identity, registers by address: the first part from *part on, which is set to it; false:
 * no more. Its answer goes into out, where it says something. */
must_check bool device_profile_identity(const struct device_profile *p, size_t *part, struct device_probe *out);
void device_profile_identity_take(const struct device_profile *p, size_t part, const uint16_t *regs,
				  struct device_identity *out);

/* ---- maps: a profile laid on one live device ---------------------------------------------------------------- */

struct device_map;
/* roles: those of the site's device. sunspec: what the walk found, for profiles of that kind (NULL otherwise). Fails
 * when a required point cannot be had. Caller frees. */
must_check int device_map_new(const struct device_profile *p, unsigned roles, bool reversed,
			      const struct device_sunspec *sunspec, struct device_map **out, struct err *e);
void device_map_free(struct device_map *m);

/* Blocks: reads that cover values of one rate, merged as far as the device allows. */
struct device_block {
	uint8_t function;
	uint16_t address, count;
	enum device_rate rate;
	bool control;             /* holds an input of the control law: goes first */
	bool required;            /* holds a part of a required point: without it the device is nothing */
};
size_t device_map_blocks(const struct device_map *m, const struct device_block **out);

/* Put a block's answer in; remembers raw registers. */
void device_map_take(struct device_map *m, size_t block, const uint16_t *regs, int64_t at_boot_us);
/* A scale factor that no read holds together with its value must be seen before and after it: false while values wait
 * for that. */
bool device_map_settled(const struct device_map *m);
/* A failed block makes its values unknown. */
void device_map_lose(struct device_map *m, size_t block);
/* Likewise, with what the device said: "exception 2: illegal data address" is then why its values are unknown. */
void device_map_refuse(struct device_map *m, size_t block, const char *why);

struct device_reading {
	enum device_quality quality;
	double value;             /* only with DEVICE_GOOD */
	double raw;               /* before scale and sign, for `device read` */
	int64_t at_boot_us;       /* when its registers arrived, minus half the read time */
	int64_t changed_boot_us;  /* when one of its own registers last changed: a frozen value shows here */
	char why[80];             /* not good: "32768 means not available", "412 V, can be 0…400" */
};
/* A point's value now, sums and products of registers included. false: the map has no such point. */
must_check bool device_map_read(const struct device_map *m, enum device_point p, struct device_reading *out);
/* Where the point lies on this device: "203.W at 40090", "product(…)"; returns to. */
char *device_map_from(const struct device_map *m, enum device_point p, char to[160]);
const struct device_identity *device_map_identity(const struct device_map *m);

/* ---- writes ------------------------------------------------------------------------------------------------- */

/* The writes that set p to value, in order, each with the read that must show it afterwards (count 0: cannot be read
 * back). Checks range. Profiles name the registers; a set-point may need a mode register before it. */
enum { DEVICE_WRITES_MAX = 8 };
struct device_write {
	struct bus_request write;
	struct device_probe read_back;
	/* a mode register: written when the last read-back differs, not with every set-point */
	bool only_when_changed;
	uint8_t width;            /* registers a value has: 1, 2 or 4 */
	enum device_order order;
};
must_check int device_map_write(const struct device_map *m, enum device_point p, double value,
				struct device_write out[DEVICE_WRITES_MAX], size_t *count, struct err *e);
/* Does what was read back mean what was written (one step of the register at most away)? */
bool device_write_shown(const struct device_write *w, const uint16_t *regs);

#endif
