/* Which device is meant, by which profile, and whether psecd has it: for every command that asks a live one. */
#include <math.h>
#include <string.h>

#include "device.h"
#include "poll/poll.h"

int device_load_profiles(const struct cmd_env *env, struct device_catalogue **c, struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };

	return device_catalogue_load(env->paths.profiles, c, &sink, e);
}

int device_profile_named(const struct device_catalogue *c, const char *id, const struct device_profile **out,
			 struct err *e)
{
	*out = device_profile_find(c, id);
	if (*out != NULL)
		return 0;
	if (device_catalogue_faulty(c))
		return err_set(e, ERR_INPUT, 0, "no profile '%s' without faults: mend what is said above; "
			       "`psec device list` shows the others", id);
	return err_set(e, ERR_INPUT, 0, "no profile '%s'; `psec device list` shows them", id);
}

char *device_number_words(double value, const char *unit, char to[32])
{
	if (unit != NULL && unit[0] != '\0')
		return out_quantity(value, unit, str_eq(unit, "Hz") ? 2 : 1, to);
	snprintf(to, 32, "%.10g", value);
	return to;
}

void device_put_number(struct out *o, size_t column, double value, const char *unit)
{
	char text[32];

	if (isfinite(value))
		out_json(o, column, json_real(value), device_number_words(value, unit, text));
}

/* One reader a line: what psecd polls is read through psecd. */
int device_refuse_polled(const struct cmd_env *env, const struct bus_address *a, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct diag_sink silent = { 0 };
	struct err ignored;

	if (!cmd_daemon_runs(env) || site_read(env->paths.file, site, &silent, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < site->device_count; i++)
		if (bus_address_same_link(&site->devices[i].address, a))
			return err_set(e, ERR_AGAIN, 0,
				       "psecd reads '%s' there, and a line has one reader; `psec device read %s` shows "
				       "what it reads, for anything else stop psecd first",
				       site->devices[i].name, site->devices[i].name);
	return 0;
}

static int no_such_device(const struct site *site, const char *word, struct err *e)
{
	const char *names[SITE_DEVICES_MAX], *near;

	for (size_t i = 0; i < site->device_count; i++)
		names[i] = site->devices[i].name;
	near = str_nearest(word, names, site->device_count);
	if (near)
		return err_set(e, ERR_INPUT, 0, "the site has no device '%s'; did you mean '%s'?", word, near);
	return err_set(e, ERR_INPUT, 0, "the site has no device '%s'%s; an address reads tcp://HOST#UNIT, "
		       "rtu:///dev/…#UNIT or rtu+tcp://HOST:PORT#UNIT", word,
		       site->device_count ? "" : ", nor any other yet: `psec scan --write` finds them");
}

bool device_is_address(const char *word)
{
	return str_starts(word, "tcp:") || str_starts(word, "rtu:") || str_starts(word, "rtu+tcp:");
}

int device_find_target(const struct cmd_env *env, const char *profile, const char *word, struct site_device *out,
		       bool *by_name, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	int i;

	*out = (struct site_device){ 0 };
	*by_name = !device_is_address(word);
	if (*by_name) {
		if (site_read(env->paths.file, site, &sink, e) < 0)
			return -1;
		i = site_find_device(site, word);
		if (i < 0)
			return no_such_device(site, word, e);
		*out = site->devices[i];
		if (profile != NULL)
			str_copy(out->profile, sizeof out->profile, profile);
		return 0;
	}
	if (bus_address_parse(word, &out->address, e) < 0)
		return -1;
	if (!out->address.has_unit) {
		out->address.unit = 1;
		out->address.has_unit = true;
	}
	str_copy(out->name, sizeof out->name, "the device");
	str_copy(out->profile, sizeof out->profile, profile != NULL ? profile : "");
	return device_refuse_polled(env, &out->address, e);
}

int device_by_daemon(const struct cmd_env *env, const char *profile, const struct site_device *d, bool by_name,
		     struct err *e)
{
	if (!by_name)
		return 0; /* device_find_target has looked */
	return profile == NULL && cmd_daemon_runs(env) ? 1 : device_refuse_polled(env, &d->address, e);
}

int device_choose_profile(const struct device_catalogue *c, const struct site_device *d, int timeout_ms,
			  const struct device_profile **out, struct err *e)
{
	if (d->profile[0] == '\0')
		return poll_identify(&d->address, c, timeout_ms, out, e);
	return device_profile_named(c, d->profile, out, e);
}
