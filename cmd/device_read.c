/* psec device read: every point of a device now, raw and scaled. */
#include <math.h>
#include <string.h>

#include "device.h"
#include "poll/poll.h"

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
		device_put_number(o, READ_VALUE, r->value, info->unit);
	device_put_number(o, READ_RAW, r->raw, NULL);
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

		if (!is_asked(asked, device_point((enum device_point)p)->name) ||
		    !device_map_read(m, (enum device_point)p, &r))
			continue;
		put_row(o, p, &r, r.at_boot_us > 0 ? (now_us - r.at_boot_us) / US_PER_MS : -1,
			device_map_from(m, (enum device_point)p, from));
		shown->rows++;
		shown->good += r.quality == DEVICE_GOOD;
	}
}

static int no_such_point(const struct device_profile *profile, const char *word, const char *asked, struct err *e)
{
	const char *names[2 * POINT_COUNT], *near;
	struct device_profile_point d;
	size_t n = 0;

	for (size_t i = 0; profile != NULL && device_profile_point(profile, i, &d) && n + 2 <= COUNT_OF(names); i++) {
		names[n++] = device_point(d.point)->name;
		names[n++] = strchr(device_point(d.point)->name, '.') + 1;
	}
	near = str_nearest(asked, names, n);
	return err_set(e, ERR_INPUT, 0, "'%s' has no point '%s'; %s%s%s`psec device read %s` shows all", word, asked,
		       near ? "did you mean '" : "", near ? near : "", near ? "'? " : "", word);
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

static int read_daemon(const struct cmd_env *env, const struct device_profile *profile, const char *name,
		       const char *asked, struct out *o, struct shown *shown, struct err *e)
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
	int r, by_daemon;

	if (device_find_target(env, opt->profile, word, &d, &by_name, e) < 0 ||
	    (by_daemon = device_by_daemon(env, opt->profile, &d, by_name, e)) < 0 ||
	    device_choose_profile(c, &d, (int)opt->timeout_ms, &profile, e) < 0)
		return -1;
	if (by_daemon) {
		r = read_daemon(env, profile, word, asked, o, &shown, e);
	} else {
		r = poll_read_once(&d, profile, (int)opt->timeout_ms, &map, e);
		if (r == 0)
			put_map(o, map, asked, &shown);
		device_map_free(map);
	}
	if (r < 0)
		return -1;
	if (asked != NULL && shown.rows == 0)
		return no_such_point(profile, word, asked, e);
	if (cmd_print(env, o, e) < 0)
		return -1;
	return shown.good > 0 ? 0 : 1;
}

static int run_read(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct device_catalogue *c;
	int r;

	if (device_load_profiles(env, &c, e) < 0)
		return -1;
	r = read_device(env, options, c, argv[0], argc > 1 ? argv[1] : NULL, e);
	device_catalogue_free(c);
	return r;
}

static const struct read_options read_defaults = { .timeout_ms = 15000 };
static const struct cmd_opt read_opts[] = {
	{ .name = "profile", .letter = 'p', .type = CMD_TEXT, .offset = offsetof(struct read_options, profile),
	  .value = "ID",
	  .summary = "read by this profile", .complete = "profile" },
	{ .name = "timeout", .letter = 't', .type = CMD_DURATION, .offset = offsetof(struct read_options, timeout_ms),
	  .value = "DURATION", .summary = "give up after this", .min = 100, .max = 600000 },
};
static const struct cmd_arg read_args[] = { { "NAME|ADDRESS", true, false, "device" },
					    { "POINT", false, false, "point" } };
const struct cmd cmd_device_read = {
	.name = "read", .summary = "read a device now: raw and scaled",
	.more = "NAME is a device of the site; while psecd runs, it is asked. ADDRESS reads\n"
		"tcp://HOST[:502]#UNIT or rtu:///dev/ttyS1?baud=9600&parity=none#UNIT; without\n"
		"--profile the device must show itself by SunSpec. Nothing is ever written.\n"
		"Ends with 1 when there is no good value.",
	.example = "psec device read meter\n"
		   "psec device read meter power_w --json\n"
		   "psec device read tcp://192.168.1.20#1 --profile eastron-sdm630",
	.opts = read_opts, .opt_count = COUNT_OF(read_opts), .args = read_args, .arg_count = COUNT_OF(read_args),
	.flags = CMD_JSON | CMD_CSV, .defaults = &read_defaults, .options_size = sizeof(struct read_options),
	.run = run_read,
};
