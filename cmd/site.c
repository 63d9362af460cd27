/* psec site: what site.yaml says, and what is wrong with it. */
#include <errno.h>
#include <string.h>

#include "device/device.h"
#include "frame.h"

/* ---- check ---- */

enum { FAULT_FILE, FAULT_LINE, FAULT_PATH, FAULT_TEXT };
static const struct out_column fault_columns[] = {
	[FAULT_FILE] = { "file", "FILE", NULL, OUT_TEXT, 0, 0 },
	[FAULT_LINE] = { "line", "LINE", NULL, OUT_INT, 0, 0 },
	[FAULT_PATH] = { "path", "KEY", NULL, OUT_TEXT, 0, 0 },
	[FAULT_TEXT] = { "text", "FAULT", NULL, OUT_TEXT, 0, OUT_WIDE },
};

static void add_fault(void *arg, const struct diag *d)
{
	struct out *o = arg;

	out_row(o);
	out_text(o, FAULT_FILE, d->file);
	if (d->line)
		out_int(o, FAULT_LINE, d->line);
	out_text(o, FAULT_PATH, d->path);
	out_text(o, FAULT_TEXT, d->text);
}

static int read_any(const char *path, struct site *site, struct diag_sink *sink, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;

	if (!str_eq(path, "-"))
		return site_read(path, site, sink, e);
	if (file_read(path, SITE_FILE_MAX, &text, e) < 0)
		return -1;
	return site_parse(text.data ? text.data : "", text.len, "-", site, sink, e);
}

/* The profiles are looked at only for a site that is sound in itself: what it says of its devices is then believed. */
static int check(const struct cmd_env *env, const char *path, struct diag_sink *sink, int *in_profiles, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct device_catalogue *catalogue;

	if (read_any(path, site, sink, e) < 0 && !sink->count)
		return path == env->paths.file && e->errnum == ENOENT ? cmd_no_site(env, e->kind, e) : -1;
	if (sink->count)
		return 0;
	if (!site->device_count)
		return 0;
	if (device_catalogue_load(env->paths.profiles, &catalogue, sink, e) < 0)
		return -1;
	/* as psecd judges: the fault of a profile is one of the site when a device uses it, and then told as that */
	*in_profiles = sink->count;
	sink->count = 0;
	device_check_site(catalogue, site, path, sink);
	device_catalogue_free(catalogue);
	return 0;
}

static int run_check(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const char *path = argc ? argv[0] : env->paths.file;
	bool people = cmd_for_people(env);
	auto_out struct out *o = out_new(fault_columns, COUNT_OF(fault_columns), cmd_form(env, false));
	struct diag_sink sink = { cmd_diag_to_stderr, env->out, 0 };
	int in_profiles = 0;

	(void)options;
	if (!people) {
		sink.fn = add_fault;
		sink.arg = o;
	}
	if (check(env, path, &sink, &in_profiles, e) < 0)
		return -1;
	if (!people && cmd_print(env, o, e) < 0)
		return -1;
	if (people && !sink.count)
		fprintf(env->out, "%s: no faults\n", path);
	else if (people)
		fprintf(env->out, "%s has %d fault%s\n", path, sink.count, sink.count == 1 ? "" : "s");
	if (people && in_profiles)
		fprintf(env->out, "the profiles have %d%s\n", in_profiles,
			sink.count ? "" : ", in files that no device uses: psecd runs all the same");
	return sink.count ? 1 : 0;
}

static const struct cmd site_check_cmd = {
	.name = "check",
	.summary = "find every fault in site.yaml",
	.more = "Reads FILE, or the site's own site.yaml, and tells every fault at once, a line each, as FILE:LINE: "
		"KEY what is "
		"wrong. "
		"Looks also whether each device's profile exists and can fill its roles. Ends with 1 when there are "
		"faults; those of a profile that no device uses are told and do not count. "
		"\"-\" is standard input.",
	.example = "psec site check\npsec site check --json site.yaml.new",
	.args = (const struct cmd_arg[]){ { "FILE", false, false, "file" } },
	.arg_count = 1,
	.flags = CMD_JSON | CMD_CSV,
	.run = run_check,
};

/* ---- show ---- */

enum { SHOW_KEY, SHOW_VALUE };
static const struct out_column show_columns[] = {
	[SHOW_KEY] = { "key", "KEY", NULL, OUT_TEXT, 0, 0 },
	[SHOW_VALUE] = { "value", "VALUE", NULL, OUT_TEXT, 0, OUT_WIDE },
};

static void show_leaf(struct out *o, const char *path, const json_t *value)
{
	auto_free char *number = json_is_string(value) ? NULL
						       : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));

	out_row(o);
	out_text(o, SHOW_KEY, path);
	if (!json_is_null(value))
		out_text(o, SHOW_VALUE, number ? number : json_string_value(value));
}

/* People get 14d where the file has raw_keep: 14d; JSON has raw_keep_ms. */
static void show_time(struct out *o, const char *path, const json_t *ms)
{
	auto_free char *key = xstrdup(path);
	char words[32];

	key[strlen(key) - strlen("_ms")] = '\0';
	out_row(o);
	out_text(o, SHOW_KEY, key);
	if (!json_is_null(ms))
		out_text(o, SHOW_VALUE, cmd_duration_words(json_integer_value(ms), words));
}

static bool is_time(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && str_eq(path + len - 3, "_ms");
}

static bool is_words(const json_t *list)
{
	return json_array_size(list) && json_is_string(json_array_get(list, 0));
}

static void show_words(struct out *o, const char *path, const json_t *list)
{
	auto_buf struct buf words = BUF_INIT;
	const json_t *word;
	size_t i;

	json_array_foreach(list, i, word)
		buf_addf(&words, "%s%s", i ? ", " : "", json_string_value(word));
	out_row(o);
	out_text(o, SHOW_KEY, path);
	out_text(o, SHOW_VALUE, words.data);
}

static void show(struct out *o, const char *path, json_t *value)
{
	const char *key;
	json_t *child;
	size_t i;

	if (is_words(value)) {
		show_words(o, path, value);
	} else if (json_is_object(value)) {
		json_object_foreach(value, key, child) {
			auto_free char *below = xasprintf("%s%s%s", path, *path ? "." : "", key);

			show(o, below, child);
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, child) {
			auto_free char *below = xasprintf("%s[%zu]", path, i);

			show(o, below, child);
		}
	} else if (is_time(path)) {
		show_time(o, path, value);
	} else {
		show_leaf(o, path, value);
	}
}

static int run_show(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_out struct out *o = out_new(show_columns, COUNT_OF(show_columns), cmd_form(env, false));
	json_t *site = site_to_json(env->site);
	int rc = 0;

	(void)options, (void)argc, (void)argv;
	if (env->json) {
		if (json_dumpf(site, env->out, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) < 0 ||
		    fputc('\n', env->out) == EOF)
			rc = err_set(e, ERR_IO, 0, "cannot write to standard output");
	} else {
		show(o, "", site);
		rc = cmd_print(env, o, e);
	}
	json_decref(site);
	return rc;
}

static const struct cmd site_show_cmd = {
	.name = "show",
	.summary = "show the site as it takes effect, with defaults",
	.more = "Every key of site.yaml with the value that counts, also where the file says nothing. \"-\" (null in "
		"JSON) is "
		"not stated: no limit, no ramp, the profile's own rate.",
	.example = "psec site show\npsec site show --json | jq .control.limits",
	.flags = CMD_JSON | CMD_CSV | CMD_SITE,
	.run = run_show,
};

const struct cmd cmd_site = {
	.name = "site",
	.summary = "check and show site.yaml",
	.sub = (const struct cmd *const[]){ &site_check_cmd, &site_show_cmd, NULL },
};
