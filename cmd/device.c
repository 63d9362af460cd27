/* psec device: profiles and live devices. */
#include <string.h>

#include "device.h"
#include "table.h"

/* ---- list ---- */

static void put_roles(struct out *o, size_t column, unsigned roles)
{
	auto_buf struct buf text = BUF_INIT;
	json_t *list = site_roles_to_json(roles), *role;
	size_t i;

	json_array_foreach(list, i, role)
		buf_addf(&text, "%s%s", i > 0 ? ", " : "", json_string_value(role));
	out_json(o, column, list, text.data != NULL ? text.data : "");
}

enum { LIST_ID, LIST_MAKE, LIST_MODEL, LIST_KIND, LIST_ROLES, LIST_SETS, LIST_FILE };
static const struct out_column list_columns[] = {
	[LIST_ID] = { "profile", "PROFILE", NULL, OUT_TEXT, 0, 0 },
	[LIST_MAKE] = { "make", "MAKE", NULL, OUT_TEXT, 0, 0 },
	[LIST_MODEL] = { "model", "MODEL", NULL, OUT_TEXT, 0, OUT_WIDE },
	[LIST_KIND] = { "kind", "KIND", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[LIST_ROLES] = { "roles", "ROLES", NULL, OUT_JSON, 0, 0 },
	[LIST_SETS] = { "can_set", "SETS", NULL, OUT_BOOL, 0, 0 },
	[LIST_FILE] = { "file", "FILE", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
};

static bool can_set(const struct device_profile *p)
{
	struct device_profile_point point;

	for (size_t i = 0; device_profile_point(p, i, &point); i++)
		if (point.writable)
			return true;
	return false;
}

static int run_list(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_out struct out *o = out_new(list_columns, COUNT_OF(list_columns), cmd_form(env, false));
	struct device_catalogue *c;
	int r;

	(void)options;
	(void)argc;
	(void)argv;
	if (device_load_profiles(env, &c, e) < 0)
		return -1;
	for (size_t i = 0; device_profile_at(c, i) != NULL; i++) {
		const struct device_profile_info *p = device_profile_info(device_profile_at(c, i));

		out_row(o);
		out_text(o, LIST_ID, p->id);
		out_text(o, LIST_MAKE, p->make);
		out_text(o, LIST_MODEL, p->model);
		out_text(o, LIST_KIND, p->sunspec ? "sunspec" : "registers");
		put_roles(o, LIST_ROLES, p->roles);
		out_bool(o, LIST_SETS, can_set(device_profile_at(c, i)));
		out_text(o, LIST_FILE, p->file);
	}
	r = cmd_print(env, o, e);
	device_catalogue_free(c);
	return r;
}

/* ---- show ---- */

static const char *rate_name(enum device_rate r)
{
	static const char *const names[] = { "fast", "normal", "slow", "once" };

	return names[r];
}

static json_t *show_points(const struct device_profile *p)
{
	json_t *points = json_array();
	struct device_profile_point d;

	for (size_t i = 0; device_profile_point(p, i, &d); i++)
		json_array_append_new(points,
				      json_pack("{s:s, s:s, s:s, s:s, s:b}", "point", device_point(d.point)->name,
						"unit", device_point(d.point)->unit, "from", d.how, "rate",
						rate_name(d.rate), "writable", d.writable));
	return points;
}

enum { SHOW_ID, SHOW_MAKE, SHOW_MODEL, SHOW_ROLES, SHOW_POLL, SHOW_WATCHDOG, SHOW_NOTE, SHOW_SOURCE, SHOW_FILE,
       SHOW_POINTS };
static const struct out_column show_columns[] = {
	[SHOW_ID] = { "profile", "Profile", NULL, OUT_TEXT, 0, 0 },
	[SHOW_MAKE] = { "make", "Make", NULL, OUT_TEXT, 0, 0 },
	[SHOW_MODEL] = { "model", "Model", NULL, OUT_TEXT, 0, 0 },
	[SHOW_ROLES] = { "roles", "Roles", NULL, OUT_JSON, 0, 0 },
	[SHOW_POLL] = { "poll_ms", "Polled every", "ms", OUT_INT, 0, 0 },
	[SHOW_WATCHDOG] = { "watchdog_ms", "Watchdog", "ms", OUT_INT, 0, 0 },
	[SHOW_NOTE] = { "note", "Note", NULL, OUT_TEXT, 0, 0 },
	[SHOW_SOURCE] = { "source", "Source", NULL, OUT_TEXT, 0, 0 },
	[SHOW_FILE] = { "file", "File", NULL, OUT_TEXT, 0, 0 },
	[SHOW_POINTS] = { "points", "", NULL, OUT_JSON, 0, OUT_JSON_ONLY },
};

static const struct out_column point_columns[] = {
	{ "point", "POINT", NULL, OUT_TEXT, 0, 0 }, { "unit", "UNIT", NULL, OUT_TEXT, 0, 0 },
	{ "rate", "READ", NULL, OUT_TEXT, 0, 0 }, { "writable", "SET", NULL, OUT_BOOL, 0, 0 },
	{ "from", "FROM", NULL, OUT_TEXT, 0, OUT_WIDE },
};

static int print_points(const struct cmd_env *env, const struct device_profile *p, struct err *e)
{
	auto_out struct out *o = out_new(point_columns, COUNT_OF(point_columns), cmd_form(env, false));
	struct device_profile_point d;

	for (size_t i = 0; device_profile_point(p, i, &d); i++) {
		out_row(o);
		out_text(o, 0, device_point(d.point)->name);
		out_text(o, 1, device_point(d.point)->unit);
		out_text(o, 2, rate_name(d.rate));
		out_bool(o, 3, d.writable);
		out_text(o, 4, d.how);
	}
	return cmd_print(env, o, e);
}

static int print_profile(const struct cmd_env *env, const struct device_profile *profile, struct err *e)
{
	auto_out struct out *o = out_new(show_columns, COUNT_OF(show_columns), cmd_form(env, true));
	const struct device_profile_info *p = device_profile_info(profile);

	out_row(o);
	out_text(o, SHOW_ID, p->id);
	out_text(o, SHOW_MAKE, p->make);
	out_text(o, SHOW_MODEL, p->model);
	put_roles(o, SHOW_ROLES, p->roles);
	out_int(o, SHOW_POLL, p->timing.poll_ms);
	if (p->timing.watchdog_ms > 0)
		out_int(o, SHOW_WATCHDOG, p->timing.watchdog_ms);
	out_text(o, SHOW_NOTE, p->note[0] ? p->note : NULL);
	out_text(o, SHOW_SOURCE, p->source);
	out_text(o, SHOW_FILE, p->file);
	out_json(o, SHOW_POINTS, show_points(profile), "");
	/* The rows of a profile are its points. */
	if (env->csv)
		return print_points(env, profile, e);
	if (cmd_print(env, o, e) < 0)
		return -1;
	if (env->json)
		return 0;
	fputc('\n', env->out);
	return print_points(env, profile, e);
}

static int run_show(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct device_profile *p;
	struct device_catalogue *c;
	int r;

	(void)options;
	(void)argc;
	if (device_load_profiles(env, &c, e) < 0)
		return -1;
	r = device_profile_named(c, argv[0], &p, e);
	if (r == 0)
		r = print_profile(env, p, e);
	device_catalogue_free(c);
	return r;
}

/* ---- the commands ---- */

static const struct cmd list = {
	.name = "list", .summary = "the profiles: what devices psec knows", .flags = CMD_JSON | CMD_CSV,
	.run = run_list,
};

static const struct cmd_arg show_args[] = { { "PROFILE", true, false, "profile" } };
static const struct cmd show = {
	.name = "show", .summary = "one profile: its points and where they lie",
	.example = "psec device show eastron-sdm630",
	.args = show_args, .arg_count = COUNT_OF(show_args), .flags = CMD_JSON | CMD_CSV, .run = run_show,
};

const struct cmd cmd_device = {
	.name = "device", .summary = "profiles and live devices",
	.sub = (const struct cmd *const[]){ &list, &show, &cmd_device_read, &cmd_device_models, &cmd_device_test,
					 &cmd_device_identify, &cmd_device_new, NULL },
};
