/* Every key of site.yaml. To add one: a line here, its field in site.h, its paragraph in psec-site(5). */
#include <string.h>

#include "schema.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define NAME_CHARS LOWER "0123456789-"
#define WORD_CHARS NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ._"

/* fleet-admin is not here: a site cannot give what reaches beyond it. */
static const char *const rights[] = { "viewer", "operator", "technician", "site-admin", NULL };

#define MAP(a) { .keys = a, .count = COUNT_OF(a) }
#define LISTED(a, t) { .keys = a, .count = COUNT_OF(a), .line_offset = offsetof(struct t, line) }
#define AT(t, field) .offset = offsetof(struct t, field), .size = sizeof(((struct t *)0)->field)
#define NAME .type = KEY_TEXT, .allowed = NAME_CHARS, .words = "must be made of a-z, 0-9 and -"
#define WORD .type = KEY_TEXT, .allowed = WORD_CHARS, .words = "must be made of letters, digits, dot, _ and -"
#define WATTS .type = KEY_REAL, .min = 0, .max = 1e7
#define PERCENT .type = KEY_REAL, .min = 0, .max = 100
#define MIN_MS INT64_C(60000)
#define DAY_MS (24 * 60 * MIN_MS)

static const struct key site_keys[] = {
	{ "id", .required = true, NAME, AT(site, id) },
	{ "title", .type = KEY_TEXT, AT(site, title) },
	{ "tier", .required = true, .type = KEY_CHOICE, .choices = site_tiers, AT(site, tier) },
};
static const struct key port_keys[] = {
	{ "ot", WORD, AT(site, ot_port) },
	{ "it", WORD, AT(site, it_port) },
};
static const struct key device_keys[] = {
	{ "name", .required = true, NAME, AT(site_device, name) },
	{ "profile", .required = true, WORD, AT(site_device, profile) },
	{ "address", .required = true, .type = KEY_ADDRESS, AT(site_device, address) },
	{ "roles", .required = true, .type = KEY_ROLES, AT(site_device, roles) },
	{ "reversed", .type = KEY_BOOL, AT(site_device, reversed) },
	{ "poll", "poll_ms", .type = KEY_DURATION, .min = 20, .max = 60 * 1000, AT(site_device, poll_ms) },
};
static const struct key battery_keys[] = {
	{ "name", .required = true, NAME, AT(site_battery, name) },
	{ "inverter", .required = true, .type = KEY_DEVICE, AT(site_battery, inverter) },
	{ "bms", .required = true, .type = KEY_DEVICE, AT(site_battery, bms) },
	{ "capacity_wh", .type = KEY_REAL, .min = 1, .max = 1e9, AT(site_battery, capacity_wh) },
};
static const struct key limit_keys[] = {
	{ "import_w", WATTS, AT(site_control, import_limit_w) },
	{ "export_w", WATTS, AT(site_control, export_limit_w) },
	{ "charge_w", WATTS, AT(site_control, charge_limit_w) },
	{ "discharge_w", WATTS, AT(site_control, discharge_limit_w) },
};
static const struct key soc_keys[] = {
	{ "min_percent", PERCENT, AT(site_control, soc_min_percent) },
	{ "max_percent", PERCENT, AT(site_control, soc_max_percent) },
};
static const struct map limit_map = MAP(limit_keys), soc_map = MAP(soc_keys);
static const struct key control_keys[] = {
	{ "mode", .type = KEY_CHOICE, .choices = site_modes, AT(site_control, mode) },
	{ "target_w", .type = KEY_REAL, .min = -1e7, .max = 1e7, AT(site_control, target_w) },
	{ "limits", .type = KEY_MAP, .map = &limit_map },
	{ "soc", .type = KEY_MAP, .map = &soc_map },
	{ "reserve_percent", PERCENT, AT(site_control, reserve_percent) },
	{ "ramp_w_per_s", .type = KEY_REAL, .min = 1, .max = 1e7, AT(site_control, ramp_w_per_s) },
	{ "safe_w", .type = KEY_REAL, .min = -1e7, .max = 1e7, AT(site_control, safe_w) },
};
static const struct key access_keys[] = {
	{ "user", WORD, AT(site_access, user) },
	{ "group", WORD, AT(site_access, group) },
	{ "right", .required = true, .type = KEY_WORD, .choices = rights, AT(site_access, right) },
};
static const struct key sample_keys[] = {
	{ "raw_keep", "raw_keep_ms", .type = KEY_DURATION, .min = 60 * MIN_MS, .max = 400 * DAY_MS,
	  AT(site_samples, raw_keep_ms) },
	{ "mean_keep", "mean_keep_ms", .type = KEY_DURATION, .min = DAY_MS, .max = 4000 * DAY_MS,
	  AT(site_samples, mean_keep_ms) },
	{ "budget_mb", .type = KEY_MEGABYTES, .min = 10, .max = 1e6, AT(site_samples, budget_bytes) },
};

static const struct key tpm_keys[] = {
	{ "tcti", .type = KEY_TEXT, AT(site_tpm, tcti) },
	{ "ek_roots", .type = KEY_TEXT, AT(site_tpm, ek_roots) },
	{ "recovery", .type = KEY_TEXT, AT(site_tpm, recovery) },
	{ "pcrs", .type = KEY_NUMBERS, .min = 0, .max = 23, AT(site_tpm, pcrs) },
};

static const struct map site_map = MAP(site_keys), port_map = MAP(port_keys), control_map = MAP(control_keys),
			sample_map = MAP(sample_keys), tpm_map = MAP(tpm_keys), device_map = LISTED(device_keys, site_device),
			battery_map = LISTED(battery_keys, site_battery), access_map = LISTED(access_keys, site_access);

#define LIST(field, counted, of) .type = KEY_LIST, .map = &of, AT(site, field), \
	.stride = sizeof(((struct site *)0)->field[0]), .most = COUNT_OF(((struct site *)0)->field), \
	.count_offset = offsetof(struct site, counted)

/* devices stands before batteries, which name them. */
static const struct key top_keys[] = {
	{ "psec", .required = true, .type = KEY_VERSION },
	{ "site", .required = true, .type = KEY_MAP, .map = &site_map },
	{ "ports", .type = KEY_MAP, .map = &port_map },
	{ "devices", LIST(devices, device_count, device_map) },
	{ "batteries", LIST(batteries, battery_count, battery_map) },
	{ "control", .type = KEY_MAP, .map = &control_map, .offset = offsetof(struct site, control) },
	{ "access", LIST(access, access_count, access_map) },
	{ "samples", .type = KEY_MAP, .map = &sample_map, .offset = offsetof(struct site, samples) },
	{ "tpm", .type = KEY_MAP, .map = &tpm_map, .offset = offsetof(struct site, tpm) },
};
const struct map site_schema = MAP(top_keys);

static void visit(const struct map *m, const char *above, void (*fn)(void *arg, const char *path), void *arg)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct key *k = &m->keys[i];
		char path[80];

		snprintf(path, sizeof path, "%s%s%s%s", above, *above ? "." : "", k->name,
			 k->type == KEY_LIST ? "[]" : "");
		fn(arg, path);
		if (k->map)
			visit(k->map, path, fn, arg);
	}
}

void site_each_key(void (*fn)(void *arg, const char *path), void *arg)
{
	visit(&site_schema, "", fn, arg);
}
