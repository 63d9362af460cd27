/* psec device: profiles and live devices. */
#include <math.h>
#include <string.h>

#include "cmd.h"
#include "device/device.h"
#include "poll/poll.h"
#include "table.h"

static int load(const struct cmd_env *env, struct device_catalogue **c, struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };

	return device_catalogue_load(env->paths.profiles, c, &sink, e);
}

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
	if (load(env, &c, e) < 0)
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
		json_array_append_new(points, json_pack("{s:s, s:s, s:s, s:s, s:b}", "point", device_point(d.point)->name, "unit",
							device_point(d.point)->unit, "from", d.how, "rate", rate_name(d.rate),
							"writable", d.writable));
	return points;
}

enum { SHOW_ID, SHOW_MAKE, SHOW_MODEL, SHOW_ROLES, SHOW_POLL, SHOW_WATCHDOG, SHOW_NOTE, SHOW_SOURCE, SHOW_FILE, SHOW_POINTS };
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
	auto_out struct out *o = out_new(point_columns, COUNT_OF(point_columns), OUT_TABLE);
	struct device_profile_point d;

	for (size_t i = 0; device_profile_point(p, i, &d); i++) {
		out_row(o);
		out_text(o, 0, device_point(d.point)->name);
		out_text(o, 1, device_point(d.point)->unit);
		out_text(o, 2, rate_name(d.rate));
		out_bool(o, 3, d.writable);
		out_text(o, 4, d.how);
	}
	fputc('\n', env->out);
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
	if (cmd_print(env, o, e) < 0)
		return -1;
	return env->json ? 0 : print_points(env, profile, e);
}

static int run_show(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct device_profile *p;
	struct device_catalogue *c;
	int r;

	(void)options;
	(void)argc;
	if (load(env, &c, e) < 0)
		return -1;
	p = device_profile_find(c, argv[0]);
	r = p != NULL ? print_profile(env, p, e)
		      : err_set(e, ERR_INPUT, 0, "no profile '%s'; `psec device list` shows them", argv[0]);
	device_catalogue_free(c);
	return r;
}

/* ---- read ---- */

struct read_options { const char *profile; int64_t timeout_ms; };

enum { READ_POINT, READ_VALUE, READ_UNIT, READ_RAW, READ_QUALITY, READ_WHY, READ_AGE, READ_FROM };
static const struct out_column read_columns[] = {
	[READ_POINT] = { "point", "POINT", NULL, OUT_TEXT, 0, 0 },
	[READ_VALUE] = { "value", "VALUE", NULL, OUT_JSON, 0, 0 },
	[READ_UNIT] = { "unit", "UNIT", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[READ_RAW] = { "raw", "RAW", NULL, OUT_JSON, 0, 0 },
	[READ_QUALITY] = { "quality", "QUALITY", NULL, OUT_TEXT, 0, 0 },
	[READ_WHY] = { "why", "WHY NOT", NULL, OUT_TEXT, 0, 0 },
	[READ_AGE] = { "age_ms", "AGE", "ms", OUT_INT, 0, OUT_JSON_ONLY },
	[READ_FROM] = { "from", "FROM", NULL, OUT_TEXT, 0, OUT_WIDE },
};

static const char *from_of(const struct device_profile *p, int point, struct device_profile_point *d)
{
	for (size_t i = 0; p != NULL && device_profile_point(p, i, d); i++)
		if ((int)d->point == point)
			return d->how;
	return NULL;
}

/* unit NULL or "": a bare number. */
static void put_number(struct out *o, size_t column, double value, const char *unit)
{
	char text[32];

	if (!isfinite(value))
		return;
	if (unit != NULL && unit[0] != '\0')
		out_quantity(value, unit, str_eq(unit, "Hz") ? 2 : 1, text);
	else
		snprintf(text, sizeof text, "%.10g", value);
	out_json(o, column, json_real(value), text);
}

/* "" : every point; else "grid-meter.power_w" or "power_w". */
static bool is_asked(const char *asked, const char *name)
{
	const char *dot = strchr(name, '.');

	return asked == NULL || str_eq(asked, name) || (dot != NULL && str_eq(asked, dot + 1));
}

static void put_row(struct out *o, int point, const struct device_reading *r, int64_t age_ms, const char *from)
{
	const struct device_point_info *info = device_point((enum device_point)point);

	out_row(o);
	out_text(o, READ_POINT, info->name);
	out_text(o, READ_UNIT, info->unit);
	if (r->quality == DEVICE_GOOD)
		put_number(o, READ_VALUE, r->value, info->unit);
	put_number(o, READ_RAW, r->raw, NULL);
	out_text(o, READ_QUALITY, device_quality_name(r->quality));
	out_text(o, READ_WHY, r->quality != DEVICE_GOOD ? r->why : NULL);
	if (age_ms >= 0)
		out_int(o, READ_AGE, age_ms);
	out_text(o, READ_FROM, from);
}

struct shown { size_t rows, good; };

static void put_map(struct out *o, const struct device_map *m, const char *asked, struct shown *shown)
{
	int64_t now_us = now_read().boot_us;

	for (int p = 0; p < POINT_COUNT; p++) {
		struct device_reading r;
		char from[160];

		if (!is_asked(asked, device_point((enum device_point)p)->name) || !device_map_read(m, (enum device_point)p, &r))
			continue;
		put_row(o, p, &r, r.at_boot_us > 0 ? (now_us - r.at_boot_us) / US_PER_MS : -1,
			device_map_from(m, (enum device_point)p, from));
		shown->rows++;
		shown->good += r.quality == DEVICE_GOOD;
	}
}

/* The daemon's answer: an array of {point, value, raw, quality, why, age_ms}. */
static int put_answer(struct out *o, const struct device_profile *profile, const json_t *answer, const char *asked,
		      struct shown *shown, struct err *e)
{
	const json_t *j;
	size_t i;

	if (!json_is_array(answer))
		return err_set(e, ERR_BUG, 0, "psecd answered device.read with something that is no list");
	json_array_foreach(answer, i, j) {
		struct device_profile_point d;
		struct device_reading r = { .quality = DEVICE_UNKNOWN, .value = NAN, .raw = NAN };
		const char *name = json_string_value(json_object_get(j, "point"));
		const char *quality = json_string_value(json_object_get(j, "quality"));
		const char *why = json_string_value(json_object_get(j, "why"));
		const json_t *age = json_object_get(j, "age_ms"), *raw = json_object_get(j, "raw");
		int point = name != NULL && strchr(name, '.') != NULL ? device_point_find(SITE_GRID_METER, name) : -1;

		if (point < 0 || !is_asked(asked, name))
			continue;
		if (quality == NULL || !device_quality_parse(quality, &r.quality))
			r.quality = DEVICE_UNKNOWN;
		if (r.quality == DEVICE_GOOD)
			r.value = json_number_value(json_object_get(j, "value"));
		if (json_is_number(raw))
			r.raw = json_number_value(raw);
		str_copy(r.why, sizeof r.why, why != NULL ? why : "");
		put_row(o, point, &r, json_is_integer(age) ? json_integer_value(age) : -1, from_of(profile, point, &d));
		shown->rows++;
		shown->good += r.quality == DEVICE_GOOD;
	}
	return 0;
}

/* One reader a line: what psecd polls is read through psecd. */
static int refuse_polled(const struct cmd_env *env, const struct bus_address *a, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct diag_sink silent = { 0 };
	struct err ignored;

	if (!cmd_daemon_runs(env) || site_read(env->paths.file, site, &silent, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < site->device_count; i++)
		if (bus_address_same_link(&site->devices[i].address, a))
			return err_set(e, ERR_AGAIN, 0, "psecd reads '%s' there; ask by its name, `psec device read %s`",
				       site->devices[i].name, site->devices[i].name);
	return 0;
}

/* What is to be read: a device of the site by name, or an address. */
static int find_target(const struct cmd_env *env, const struct read_options *opt, const char *word, struct site_device *out,
		       bool *by_name, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	int i;

	*out = (struct site_device){ 0 };
	*by_name = !str_starts(word, "tcp:") && !str_starts(word, "rtu:");
	if (*by_name) {
		if (site_read(env->paths.file, site, &sink, e) < 0)
			return -1;
		i = site_find_device(site, word);
		if (i < 0)
			return err_set(e, ERR_INPUT, 0, "the site has no device '%s'; an address reads tcp://HOST#UNIT or "
				       "rtu:///dev/…#UNIT", word);
		*out = site->devices[i];
		if (opt->profile != NULL)
			str_copy(out->profile, sizeof out->profile, opt->profile);
		return 0;
	}
	if (bus_address_parse(word, &out->address, e) < 0)
		return err_ctx(e, "%s", word);
	if (!out->address.has_unit) {
		out->address.unit = 1;
		out->address.has_unit = true;
	}
	str_copy(out->name, sizeof out->name, "the device");
	str_copy(out->profile, sizeof out->profile, opt->profile != NULL ? opt->profile : "");
	return refuse_polled(env, &out->address, e);
}

static int choose_profile(const struct device_catalogue *c, const struct site_device *d, int timeout_ms,
			  const struct device_profile **out, struct err *e)
{
	if (d->profile[0] == '\0')
		return poll_identify(&d->address, c, timeout_ms, out, e);
	*out = device_profile_find(c, d->profile);
	return *out != NULL ? 0 : err_set(e, ERR_INPUT, 0, "no profile '%s'; `psec device list` shows them", d->profile);
}

static int read_daemon(const struct cmd_env *env, const struct device_profile *profile, const char *name, const char *asked,
		       struct out *o, struct shown *shown, struct err *e)
{
	json_t *answer = NULL;
	int r;

	if (cmd_ask_daemon(env, "device.read", json_pack("{s:s}", "device", name), &answer, e) < 0)
		return -1;
	r = put_answer(o, profile, answer, asked, shown, e);
	json_decref(answer);
	return r;
}

static int read_device(const struct cmd_env *env, const struct read_options *opt, const struct device_catalogue *c,
		       const char *word, const char *asked, struct err *e)
{
	auto_out struct out *o = out_new(read_columns, COUNT_OF(read_columns), cmd_form(env, false));
	const struct device_profile *profile = NULL;
	struct shown shown = { 0 };
	struct device_map *map = NULL;
	struct site_device d;
	bool by_name;
	int r;

	if (find_target(env, opt, word, &d, &by_name, e) < 0 ||
	    choose_profile(c, &d, (int)opt->timeout_ms, &profile, e) < 0)
		return -1;
	if (by_name && opt->profile == NULL && cmd_daemon_runs(env)) {
		r = read_daemon(env, profile, word, asked, o, &shown, e);
	} else {
		r = by_name ? refuse_polled(env, &d.address, e) : 0;
		if (r == 0)
			r = poll_read_once(&d, profile, (int)opt->timeout_ms, &map, e);
		if (r == 0)
			put_map(o, map, asked, &shown);
		device_map_free(map);
	}
	if (r < 0)
		return -1;
	if (asked != NULL && shown.rows == 0)
		return err_set(e, ERR_INPUT, 0, "%s has no point '%s'", word, asked);
	if (cmd_print(env, o, e) < 0)
		return -1;
	return shown.good > 0 ? 0 : 1;
}

static int run_read(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct device_catalogue *c;
	int r;

	if (load(env, &c, e) < 0)
		return -1;
	r = read_device(env, options, c, argv[0], argc > 1 ? argv[1] : NULL, e);
	device_catalogue_free(c);
	return r;
}

/* ---- the commands ---- */

static const struct cmd list = {
	.name = "list", .summary = "the profiles: what devices psec knows", .flags = CMD_JSON, .run = run_list,
};

static const struct cmd_arg show_args[] = { { "PROFILE", true, false, "profile" } };
static const struct cmd show = {
	.name = "show", .summary = "one profile: its points and where they lie",
	.example = "psec device show eastron-sdm630",
	.args = show_args, .arg_count = COUNT_OF(show_args), .flags = CMD_JSON, .run = run_show,
};

static const struct read_options read_defaults = { .timeout_ms = 15000 };
static const struct cmd_opt read_opts[] = {
	{ .name = "profile", .letter = 'p', .type = CMD_TEXT, .offset = offsetof(struct read_options, profile), .value = "ID",
	  .summary = "read by this profile", .complete = "profile" },
	{ .name = "timeout", .letter = 't', .type = CMD_DURATION, .offset = offsetof(struct read_options, timeout_ms),
	  .value = "DURATION", .summary = "give up after this", .min = 100, .max = 600000 },
};
static const struct cmd_arg read_args[] = { { "NAME|ADDRESS", true, false, "device" }, { "POINT", false, false, "point" } };
static const struct cmd device_read = {
	.name = "read", .summary = "read a device now: raw and scaled",
	.more = "NAME is a device of the site; while psecd runs, it is asked. ADDRESS reads\n"
		"tcp://HOST[:502]#UNIT or rtu:///dev/ttyS1?baud=9600&parity=none#UNIT; without\n"
		"--profile the device must show itself by SunSpec. Nothing is ever written.\n"
		"Ends with 1 when there is no good value.",
	.example = "psec device read meter\n"
		   "psec device read meter power_w --json\n"
		   "psec device read tcp://192.168.1.20#1 --profile eastron-sdm630",
	.opts = read_opts, .opt_count = COUNT_OF(read_opts), .args = read_args, .arg_count = COUNT_OF(read_args),
	.flags = CMD_JSON, .defaults = &read_defaults, .options_size = sizeof(struct read_options), .run = run_read,
};

const struct cmd cmd_device = {
	.name = "device", .summary = "profiles and live devices",
	.sub = (const struct cmd *const[]){ &list, &show, &device_read, NULL },
};
