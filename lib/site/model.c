/* model: names and look-ups in a site that was read. By itself, so that a process that is handed a checked site maps no
 * YAML. */
#include <string.h>

#include "schema.h"

const char *const site_tiers[] = { "sim", "lab", "prod", NULL };
const char *const site_roles[] = {
	"grid-meter", "battery-inverter", "bms", "pv-inverter", "genset", "load-meter", "ups", NULL,
};
const char *const site_modes[] = { "off", "manual", "self-consumption", "observe", NULL };

_Static_assert(COUNT_OF(site_roles) == SITE_ROLE_COUNT + 1, "a name a role");
_Static_assert(COUNT_OF(site_modes) == SITE_MODE_COUNT + 1, "a name a mode");

static bool find(const char *const *names, const char *name, int *out)
{
	for (int i = 0; names[i]; i++)
		if (str_eq(names[i], name)) {
			*out = i;
			return true;
		}
	return false;
}

const char *site_tier_name(enum site_tier t)
{
	return (unsigned)t < COUNT_OF(site_tiers) - 1 ? site_tiers[t] : "?";
}

const char *site_role_name(enum site_role r)
{
	return (unsigned)r < SITE_ROLE_COUNT ? site_roles[r] : "?";
}

bool site_role_parse(const char *name, enum site_role *out)
{
	int i;

	if (!find(site_roles, name, &i))
		return false;
	*out = (enum site_role)i;
	return true;
}

const char *site_mode_name(enum site_mode m)
{
	return (unsigned)m < SITE_MODE_COUNT ? site_modes[m] : "?";
}

bool site_mode_parse(const char *name, enum site_mode *out)
{
	int i;

	if (!find(site_modes, name, &i))
		return false;
	*out = (enum site_mode)i;
	return true;
}

int site_find_device(const struct site *s, const char *name)
{
	for (size_t i = 0; i < s->device_count; i++)
		if (*name && str_eq(s->devices[i].name, name))
			return (int)i;
	return -1;
}

int site_find_address(const struct site *s, const struct bus_address *a)
{
	for (size_t i = 0; i < s->device_count; i++)
		if (bus_address_same_unit(&s->devices[i].address, a))
			return (int)i;
	return -1;
}

int site_find_role(const struct site *s, enum site_role role)
{
	for (size_t i = 0; i < s->device_count; i++)
		if (s->devices[i].roles & 1u << role)
			return (int)i;
	return -1;
}
