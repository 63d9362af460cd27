/* The catalogue: what each role consists of, and what can be true on any site. */
#include <string.h>

#include "device/parts.h"

#define POWER 1e7  /* 10 MW: beyond what one low-voltage site has */
#define ENERGY 1e12
#define CURRENT 1e4

struct entry {
	struct device_point_info info;
	enum device_rate rate;
	bool control;
};

enum { REQUIRED = 1, WRITABLE = 2, DIRECTED = 4, CONTROL = 8 };

#define P(role, name, unit, min, max, flags, rate) \
	{ { name, role, unit, min, max, ((flags) & REQUIRED) != 0, ((flags) & WRITABLE) != 0, \
	    ((flags) & DIRECTED) != 0 }, \
	  rate, ((flags) & CONTROL) != 0 }
#define GRID(name, ...) P(SITE_GRID_METER, "grid-meter." name, __VA_ARGS__)
#define BATTERY(name, ...) P(SITE_BATTERY_INVERTER, "battery-inverter." name, __VA_ARGS__)
#define BMS(name, ...) P(SITE_BMS, "bms." name, __VA_ARGS__)
#define PV(name, ...) P(SITE_PV_INVERTER, "pv-inverter." name, __VA_ARGS__)
#define GENSET(name, ...) P(SITE_GENSET, "genset." name, __VA_ARGS__)
#define LOAD(name, ...) P(SITE_LOAD_METER, "load-meter." name, __VA_ARGS__)

static const struct entry points[POINT_COUNT] = {
	[POINT_GRID_POWER_W] = GRID("power_w", "W", -POWER, POWER, REQUIRED | DIRECTED | CONTROL, DEVICE_FAST),
	[POINT_GRID_POWER_L1_W] = GRID("power_l1_w", "W", -POWER, POWER, DIRECTED, DEVICE_NORMAL),
	[POINT_GRID_POWER_L2_W] = GRID("power_l2_w", "W", -POWER, POWER, DIRECTED, DEVICE_NORMAL),
	[POINT_GRID_POWER_L3_W] = GRID("power_l3_w", "W", -POWER, POWER, DIRECTED, DEVICE_NORMAL),
	[POINT_GRID_VOLTAGE_L1_V] = GRID("voltage_l1_v", "V", 0, 1000, 0, DEVICE_NORMAL),
	[POINT_GRID_VOLTAGE_L2_V] = GRID("voltage_l2_v", "V", 0, 1000, 0, DEVICE_NORMAL),
	[POINT_GRID_VOLTAGE_L3_V] = GRID("voltage_l3_v", "V", 0, 1000, 0, DEVICE_NORMAL),
	/* Not directed: many meters show a current without a sign. */
	[POINT_GRID_CURRENT_L1_A] = GRID("current_l1_a", "A", -CURRENT, CURRENT, 0, DEVICE_NORMAL),
	[POINT_GRID_CURRENT_L2_A] = GRID("current_l2_a", "A", -CURRENT, CURRENT, 0, DEVICE_NORMAL),
	[POINT_GRID_CURRENT_L3_A] = GRID("current_l3_a", "A", -CURRENT, CURRENT, 0, DEVICE_NORMAL),
	[POINT_GRID_FREQUENCY_HZ] = GRID("frequency_hz", "Hz", 0, 70, 0, DEVICE_NORMAL),
	[POINT_GRID_IMPORT_WH] = GRID("import_wh", "Wh", 0, ENERGY, 0, DEVICE_SLOW),
	[POINT_GRID_EXPORT_WH] = GRID("export_wh", "Wh", 0, ENERGY, 0, DEVICE_SLOW),

	[POINT_BATTERY_POWER_W] = BATTERY("power_w", "W", -POWER, POWER, REQUIRED | DIRECTED | CONTROL, DEVICE_FAST),
	[POINT_BATTERY_SETPOINT_W] = BATTERY("setpoint_w", "W", -POWER, POWER, WRITABLE | DIRECTED, DEVICE_NORMAL),
	[POINT_BATTERY_CHARGE_RATING_W] = BATTERY("charge_rating_w", "W", 0, POWER, 0, DEVICE_SLOW),
	[POINT_BATTERY_DISCHARGE_RATING_W] = BATTERY("discharge_rating_w", "W", 0, POWER, 0, DEVICE_SLOW),
	[POINT_BATTERY_STATE] = BATTERY("state", "", 0, 65535, 0, DEVICE_NORMAL),

	[POINT_BMS_SOC_PERCENT] = BMS("soc_percent", "%", 0, 100, REQUIRED | CONTROL, DEVICE_NORMAL),
	[POINT_BMS_VOLTAGE_V] = BMS("voltage_v", "V", 0, 2000, 0, DEVICE_NORMAL),
	[POINT_BMS_CURRENT_A] = BMS("current_a", "A", -CURRENT, CURRENT, 0, DEVICE_NORMAL),
	[POINT_BMS_TEMPERATURE_C] = BMS("temperature_c", "°C", -60, 150, 0, DEVICE_SLOW),
	[POINT_BMS_CHARGE_LIMIT_W] = BMS("charge_limit_w", "W", 0, POWER, CONTROL, DEVICE_NORMAL),
	[POINT_BMS_DISCHARGE_LIMIT_W] = BMS("discharge_limit_w", "W", 0, POWER, CONTROL, DEVICE_NORMAL),
	[POINT_BMS_CHARGE_LIMIT_A] = BMS("charge_limit_a", "A", 0, CURRENT, 0, DEVICE_NORMAL),
	[POINT_BMS_DISCHARGE_LIMIT_A] = BMS("discharge_limit_a", "A", 0, CURRENT, 0, DEVICE_NORMAL),
	[POINT_BMS_ALARM] = BMS("alarm", "", 0, 4294967295.0, 0, DEVICE_NORMAL),

	[POINT_PV_POWER_W] = PV("power_w", "W", -POWER, POWER, REQUIRED | DIRECTED | CONTROL, DEVICE_FAST),
	[POINT_PV_ENERGY_WH] = PV("energy_wh", "Wh", 0, ENERGY, 0, DEVICE_SLOW),
	[POINT_PV_STATE] = PV("state", "", 0, 65535, 0, DEVICE_NORMAL),

	[POINT_GENSET_POWER_W] = GENSET("power_w", "W", -POWER, POWER, REQUIRED | DIRECTED, DEVICE_FAST),
	[POINT_GENSET_FREQUENCY_HZ] = GENSET("frequency_hz", "Hz", 0, 70, 0, DEVICE_NORMAL),
	[POINT_GENSET_STATE] = GENSET("state", "", 0, 65535, 0, DEVICE_NORMAL),

	[POINT_LOAD_POWER_W] = LOAD("power_w", "W", -POWER, POWER, REQUIRED | DIRECTED, DEVICE_FAST),
	[POINT_LOAD_IMPORT_WH] = LOAD("import_wh", "Wh", 0, ENERGY, 0, DEVICE_SLOW),
};

const struct device_point_info *device_point(enum device_point p)
{
	return &points[p].info;
}

int device_point_find(enum site_role role, const char *name)
{
	size_t len = strlen(site_role_name(role));
	bool full = strchr(name, '.') != NULL;

	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *p = &points[i].info;

		if (full ? str_eq(p->name, name) : p->role == role && str_eq(p->name + len + 1, name))
			return i;
	}
	return -1;
}

enum device_rate point_rate(enum device_point p)
{
	return points[p].rate;
}

bool point_is_control(enum device_point p)
{
	return points[p].control;
}

static const char *const qualities[] = { "good", "unknown", "absent", "impossible" };

const char *device_state_name(enum device_state s)
{
	static const char *const names[DEVICE_STATE_COUNT] = { "waiting", "starting", "live", "lost" };

	return (unsigned)s < DEVICE_STATE_COUNT ? names[s] : "?";
}

const char *device_quality_name(enum device_quality q)
{
	return (unsigned)q < COUNT_OF(qualities) ? qualities[q] : "?";
}

bool device_quality_parse(const char *name, enum device_quality *out)
{
	for (size_t q = 0; q < COUNT_OF(qualities); q++) {
		if (str_eq(name, qualities[q])) {
			*out = (enum device_quality)q;
			return true;
		}
	}
	return false;
}
