#include <string.h>

#include "control/control.h"

static const struct { const char *name, *words; } clamps[CONTROL_CLAMP_COUNT] = {
	[CONTROL_FREE] = { "free", "nothing limits it" },
	[CONTROL_BY_MODE] = { "mode", "the mode says so" },
	[CONTROL_BY_RESERVE] = { "reserve", "the rest of the battery is kept for a power cut" },
	[CONTROL_BY_SOC_MAX] = { "soc-max", "the battery is as full as the site allows" },
	[CONTROL_BY_SOC_MIN] = { "soc-min", "the battery is as empty as the site allows" },
	[CONTROL_BY_IMPORT_LIMIT] = { "import-limit", "the site may import no more" },
	[CONTROL_BY_EXPORT_LIMIT] = { "export-limit", "the site may export no more" },
	[CONTROL_BY_CHARGE_LIMIT] = { "charge-limit", "the site's charge limit" },
	[CONTROL_BY_DISCHARGE_LIMIT] = { "discharge-limit", "the site's discharge limit" },
	[CONTROL_BY_CHARGE_RATING] = { "charge-rating", "the inverter charges with no more" },
	[CONTROL_BY_DISCHARGE_RATING] = { "discharge-rating", "the inverter delivers no more" },
	[CONTROL_BY_BMS_CHARGE] = { "bms-charge-limit", "the BMS allows no more charge" },
	[CONTROL_BY_BMS_DISCHARGE] = { "bms-discharge-limit", "the BMS allows no more discharge" },
	[CONTROL_BY_RAMP] = { "ramp", "on its way there by the ramp" },
	[CONTROL_BY_SAFE] = { "safe", "a signal is lost: the safe set-point" },
	[CONTROL_BY_UNCHECKED] = { "unchecked", "no sign check yet: run `psec control check`" },
};

static const char *const states[] = {
	[CONTROL_IDLE] = "idle", [CONTROL_RUNNING] = "running", [CONTROL_HOLD] = "hold", [CONTROL_SAFE] = "safe",
	[CONTROL_RETURNING] = "returning", [CONTROL_REFUSED] = "refused",
};

static const char *const checks[] = {
	[CONTROL_CHECK_RUNS] = "the check runs",
	[CONTROL_CHECK_PASSED] = "the meter moved the right way",
	[CONTROL_CHECK_WRONG_SIGN] =
		"the meter moved the wrong way: a meter, a CT or the inverter has the other sign (see 'reversed' in "
		"psec-site(5))",
	[CONTROL_CHECK_NO_EFFECT] = "the meter did not move: it does not see this battery, or the inverter does not "
				    "obey",
	[CONTROL_CHECK_UNSTEADY] = "the load moved too much to tell: try again when it is steady",
	[CONTROL_CHECK_LOST_SIGNAL] = "a signal is missing or was lost during the check",
	[CONTROL_CHECK_NO_ROOM] = "neither 500 W of charge nor of discharge is allowed now",
};

const char *control_clamp_name(enum control_clamp c)
{
	return (unsigned)c < CONTROL_CLAMP_COUNT ? clamps[c].name : "?";
}

const char *control_clamp_words(enum control_clamp c)
{
	return (unsigned)c < CONTROL_CLAMP_COUNT ? clamps[c].words : "?";
}

const char *control_state_name(enum control_state s)
{
	return (unsigned)s < COUNT_OF(states) ? states[s] : "?";
}

const char *control_check_words(enum control_check_result r)
{
	return (unsigned)r < COUNT_OF(checks) ? checks[r] : "?";
}

/* By bit. */
static const struct { const char *name, *words; } losses[CONTROL_LOST_COUNT] = {
	{ "meter", "meter lost" }, { "inverter", "inverter lost" }, { "bms", "BMS lost" },
	{ "envelope", "core silent" },
	{ "meter-frozen", "meter frozen" }, { "not-obeyed", "set-point not obeyed" },
	{ "meter-turned", "meter has the wrong sign" },
};

const char *control_lost_name(enum control_lost bit)
{
	for (size_t i = 0; i < COUNT_OF(losses); i++) {
		if (bit == 1u << i)
			return losses[i].name;
	}
	return "?";
}

char *control_lost_words(unsigned lost, char to[96])
{
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < COUNT_OF(losses); i++) {
		if (!(lost & 1u << i))
			continue;
		str_copy(to + len, 96 - len, len ? ", " : "");
		len += strlen(to + len);
		str_copy(to + len, 96 - len, losses[i].words);
		len += strlen(to + len);
	}
	return to;
}
