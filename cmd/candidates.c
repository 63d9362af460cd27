/* Names for completion, from where they are: site.yaml, profiles, the running simulated site. Whatever cannot be
 * read names nothing. */
#include <string.h>

#include "ctl/ctl.h"
#include "device/device.h"
#include "frame.h"
#include "sim.h"

struct to { const struct cmd_env *env; const struct cmd_clue *clue; cmd_candidate_fn *fn; void *arg; };

static bool read_site(const struct to *t, struct site *site)
{
	struct diag_sink silent = { 0 };
	struct err e = { 0 };

	return !site_read(t->env->paths.file, site, &silent, &e);
}

static bool load_profiles(const struct to *t, struct device_catalogue **catalogue)
{
	struct diag_sink silent = { 0 };
	struct err e = { 0 };

	return !device_catalogue_load(t->env->paths.profiles, catalogue, &silent, &e);
}

static void device(const struct to *t)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);

	if (!read_site(t, site))
		return;
	for (size_t i = 0; i < site->device_count; i++)
		t->fn(t->arg, site->devices[i].name, site->devices[i].profile);
}

static void profile(const struct to *t)
{
	struct device_catalogue *catalogue = NULL;
	const struct device_profile *p;

	if (!load_profiles(t, &catalogue))
		return;
	for (size_t i = 0; (p = device_profile_at(catalogue, i)); i++)
		t->fn(t->arg, device_profile_info(p)->id, device_profile_info(p)->model);
	device_catalogue_free(catalogue);
}

/* The profile that the words before name, or that the site's device of the words before has. */
static const struct device_profile *profile_meant(const struct to *t, const struct device_catalogue *catalogue)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	int i;

	if (t->clue->profile)
		return device_profile_find(catalogue, t->clue->profile);
	if (!t->clue->device || !read_site(t, site))
		return NULL;
	i = site_find_device(site, t->clue->device);
	return i < 0 ? NULL : device_profile_find(catalogue, site->devices[i].profile);
}

static void point(const struct to *t)
{
	struct device_catalogue *catalogue = NULL;
	struct device_profile_point d;
	const struct device_profile *p = (t->clue->profile || t->clue->device) && load_profiles(t, &catalogue) ?
					 profile_meant(t, catalogue) : NULL;

	for (size_t i = 0; p && device_profile_point(p, i, &d); i++)
		t->fn(t->arg, device_point(d.point)->name, device_point(d.point)->unit);
	device_catalogue_free(catalogue);
	if (p)
		return;
	for (int i = 0; i < POINT_COUNT; i++)
		t->fn(t->arg, device_point((enum device_point)i)->name, device_point((enum device_point)i)->unit);
}

static void mode(const struct to *t)
{
	for (int m = 0; m < SITE_MODE_COUNT; m++)
		t->fn(t->arg, site_mode_name((enum site_mode)m), NULL);
}

static void role(const struct to *t)
{
	for (int r = 0; r < SITE_ROLE_COUNT; r++)
		t->fn(t->arg, site_role_name((enum site_role)r), NULL);
}

static void fault(const struct to *t)
{
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		t->fn(t->arg, sim_fault_name((enum sim_fault)f), sim_fault_words((enum sim_fault)f));
}

/* Only the running site knows its devices; Tab does not wait long for it. */
static void sim_device(const struct to *t)
{
	enum { PATIENCE_MS = 300 };
	struct ctl_client *c = NULL;
	struct err e = { 0 };
	json_t *status = NULL, *row;
	char path[sizeof t->env->paths.run + 16];
	size_t i;

	snprintf(path, sizeof path, "%s/sim.sock", t->env->paths.run);
	if (ctl_connect(path, &c, &e))
		return;
	if (!ctl_call(c, "sim.status", NULL, PATIENCE_MS, &status, &e))
		json_array_foreach(json_object_get(status, "devices"), i, row) {
			const char *name = json_string_value(json_object_get(row, "name"));

			if (name)
				t->fn(t->arg, name, json_string_value(json_object_get(row, "address")));
		}
	json_decref(status);
	ctl_client_free(c);
}

static int one_scenario(void *arg, const char *name, const char *path)
{
	const struct to *t = arg;

	(void)path;
	t->fn(t->arg, name, NULL);
	return 0;
}

static void scenario(const struct to *t)
{
	struct err e;

	(void)!sim_each_shipped(one_scenario, (void *)t, &e);
}

static const struct { const char *kind; void (*name)(const struct to *t); } kinds[] = {
	{ "device", device }, { "profile", profile }, { "point", point }, { "mode", mode }, { "role", role },
	{ "fault", fault },
	{ "sim-device", sim_device }, { "scenario", scenario },
};

void cmd_candidates(const struct cmd_env *env, const char *kind, const struct cmd_clue *clue, cmd_candidate_fn *fn,
		    void *arg)
{
	const struct to t = { env, clue, fn, arg };

	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (str_eq(kinds[i].kind, kind))
			kinds[i].name(&t);
}
