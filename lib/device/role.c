/* The catalogue: what each role consists of, and what can be true on any site. */
#include <string.h>

#include "device/parts.h"

#define POWER 1e7  /* 10 MW: beyond what one low-voltage site has */
#define ENERGY 1e12

struct entry {
	struct device_point_info info;
	enum device_rate rate;
	bool control;
};

#define P(role, name, unit, min, max, required, writable, directed, rate, control) \
	{ { name, role, unit, min, max, required, writable, directed }, rate, control }
#define PHASES(sym, what, unit, min, max, directed) \
	[sym##_L1_##unit] = P(SITE_GRID_METER, "grid-meter." what "_l1_" PHASE_##unit, #unit, min, max, false, false, directed, DEVICE_NORMAL, false), \
	[sym##_L2_##unit] = P(SITE_GRID_METER, "grid-meter." what "_l2_" PHASE_##unit, #unit, min, max, false, false, directed, DEVICE_NORMAL, false), \
	[sym##_L3_##unit] = P(SITE_GRID_METER, "grid-meter." what "_l3_" PHASE_##unit, #unit, min, max, false, false, directed, DEVICE_NORMAL, false)
#define PHASE_W "w"
#define PHASE_V "v"
#define PHASE_A "a"

/*                                      role                    name                      unit   min     max   req.   write  dir.   rate           control */
static const struct entry points[POINT_COUNT] = {
	[POINT_GRID_POWER_W]      = P(SITE_GRID_METER, "grid-meter.power_w", "W", -POWER, POWER, true, false, true, DEVICE_FAST, true),
	PHASES(POINT_GRID_POWER, "power", W, -POWER, POWER, true),
	PHASES(POINT_GRID_VOLTAGE, "voltage", V, 0, 1000, false),
	PHASES(POINT_GRID_CURRENT, "current", A, -10000, 10000, false),
	[POINT_GRID_FREQUENCY_HZ] = P(SITE_GRID_METER, "grid-meter.frequency_hz", "Hz", 0, 70, false, false, false, DEVICE_NORMAL, false),
	[POINT_GRID_IMPORT_WH]    = P(SITE_GRID_METER, "grid-meter.import_wh", "Wh", 0, ENERGY, false, false, false, DEVICE_SLOW, false),
	[POINT_GRID_EXPORT_WH]    = P(SITE_GRID_METER, "grid-meter.export_wh", "Wh", 0, ENERGY, false, false, false, DEVICE_SLOW, false),

	[POINT_BATTERY_POWER_W]   = P(SITE_BATTERY_INVERTER, "battery-inverter.power_w", "W", -POWER, POWER, true, false, true, DEVICE_FAST, true),
	[POINT_BATTERY_SETPOINT_W] = P(SITE_BATTERY_INVERTER, "battery-inverter.setpoint_w", "W", -POWER, POWER, false, true, true, DEVICE_NORMAL, false),
	[POINT_BATTERY_CHARGE_RATING_W] = P(SITE_BATTERY_INVERTER, "battery-inverter.charge_rating_w", "W", 0, POWER, false, false, false, DEVICE_SLOW, false),
	[POINT_BATTERY_DISCHARGE_RATING_W] = P(SITE_BATTERY_INVERTER, "battery-inverter.discharge_rating_w", "W", 0, POWER, false, false, false, DEVICE_SLOW, false),
	[POINT_BATTERY_STATE]     = P(SITE_BATTERY_INVERTER, "battery-inverter.state", "", 0, 65535, false, false, false, DEVICE_NORMAL, false),

	[POINT_BMS_SOC_PERCENT]   = P(SITE_BMS, "bms.soc_percent", "%", 0, 100, true, false, false, DEVICE_NORMAL, true),
	[POINT_BMS_VOLTAGE_V]     = P(SITE_BMS, "bms.voltage_v", "V", 0, 2000, false, false, false, DEVICE_NORMAL, false),
	[POINT_BMS_CURRENT_A]     = P(SITE_BMS, "bms.current_a", "A", -10000, 10000, false, false, false, DEVICE_NORMAL, false),
	[POINT_BMS_TEMPERATURE_C] = P(SITE_BMS, "bms.temperature_c", "°C", -60, 150, false, false, false, DEVICE_SLOW, false),
	[POINT_BMS_CHARGE_LIMIT_W] = P(SITE_BMS, "bms.charge_limit_w", "W", 0, POWER, false, false, false, DEVICE_NORMAL, true),
	[POINT_BMS_DISCHARGE_LIMIT_W] = P(SITE_BMS, "bms.discharge_limit_w", "W", 0, POWER, false, false, false, DEVICE_NORMAL, true),
	[POINT_BMS_CHARGE_LIMIT_A] = P(SITE_BMS, "bms.charge_limit_a", "A", 0, 10000, false, false, false, DEVICE_NORMAL, false),
	[POINT_BMS_DISCHARGE_LIMIT_A] = P(SITE_BMS, "bms.discharge_limit_a", "A", 0, 10000, false, false, false, DEVICE_NORMAL, false),
	[POINT_BMS_ALARM]         = P(SITE_BMS, "bms.alarm", "", 0, 4294967295.0, false, false, false, DEVICE_NORMAL, false),

	[POINT_PV_POWER_W]        = P(SITE_PV_INVERTER, "pv-inverter.power_w", "W", -POWER, POWER, true, false, true, DEVICE_FAST, true),
	[POINT_PV_ENERGY_WH]      = P(SITE_PV_INVERTER, "pv-inverter.energy_wh", "Wh", 0, ENERGY, false, false, false, DEVICE_SLOW, false),
	[POINT_PV_STATE]          = P(SITE_PV_INVERTER, "pv-inverter.state", "", 0, 65535, false, false, false, DEVICE_NORMAL, false),
	[POINT_GENSET_POWER_W]    = P(SITE_GENSET, "genset.power_w", "W", -POWER, POWER, true, false, true, DEVICE_FAST, false),
	[POINT_GENSET_FREQUENCY_HZ] = P(SITE_GENSET, "genset.frequency_hz", "Hz", 0, 70, false, false, false, DEVICE_NORMAL, false),
	[POINT_GENSET_STATE]      = P(SITE_GENSET, "genset.state", "", 0, 65535, false, false, false, DEVICE_NORMAL, false),
	[POINT_LOAD_POWER_W]      = P(SITE_LOAD_METER, "load-meter.power_w", "W", -POWER, POWER, true, false, true, DEVICE_FAST, false),
	[POINT_LOAD_IMPORT_WH]    = P(SITE_LOAD_METER, "load-meter.import_wh", "Wh", 0, ENERGY, false, false, false, DEVICE_SLOW, false),
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
