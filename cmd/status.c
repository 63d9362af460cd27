/* psec status: the site at a glance. */
#include <math.h>
#include <string.h>

#include "bus/bus.h"
#include "live.h"
#include "status.h"
#include "table.h"

struct options { bool devices; };
static const struct options defaults;
static const struct cmd_opt opts[] = {
	{ .name = "devices", .letter = 'd', .type = CMD_FLAG, .offset = offsetof(struct options, devices),
	  .summary = "how each device and line does: rates, latency, errors, next try" },
};

enum { NAME, PROFILE, ADDRESS, STATE, RATE, LATENCY, WHY, COLUMNS };
static const struct out_column columns[COLUMNS] = {
	[NAME] = { .key = "name", .heading = "DEVICE" },
	[PROFILE] = { .key = "profile", .heading = "PROFILE" },
	[ADDRESS] = { .key = "address", .heading = "ADDRESS" },
	[STATE] = { .key = "state", .heading = "STATE" },
	[RATE] = { .key = "rate_hz", .heading = "RATE", .unit = "Hz", .type = OUT_REAL, .decimals = 1 },
	[LATENCY] = { .key = "latency_ms", .heading = "ANSWERS IN", .unit = "ms", .type = OUT_REAL, .decimals = 1 },
	[WHY] = { .key = "why", .heading = "WHY", .flags = OUT_WIDE },
};

static void device_rows(struct out *o, const json_t *devices)
{
	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *d = json_array_get(devices, i);

		out_row(o);
		out_text(o, NAME, json_string_value(json_object_get(d, "name")));
		out_text(o, PROFILE, json_string_value(json_object_get(d, "profile")));
		out_text(o, ADDRESS, json_string_value(json_object_get(d, "address")));
		out_text(o, STATE, json_string_value(json_object_get(d, "state")));
		out_real(o, RATE, live_real(d, "rate_hz"));
		out_real(o, LATENCY, live_real(d, "latency_us") / 1000);
		out_text(o, WHY, json_string_value(json_object_get(d, "why")));
	}
}

static int print_devices(const struct cmd_env *env, const json_t *devices, struct err *e)
{
	auto_out struct out *o = out_new(columns, COLUMNS, cmd_form(env, false));

	if (!json_array_size(devices) && !env->csv) {
		fprintf(env->out, "\nNo devices in site.yaml; `psec scan --write` finds them.\n");
		return 0;
	}
	if (!env->csv)
		fputc('\n', env->out);
	device_rows(o, devices);
	return cmd_print(env, o, e);
}

/* "3 min", "2 d 4 h" */
static char *uptime_words(double s, char to[48])
{
	long long n = isfinite(s) && s > 0 && s < 1e12 ? (long long)s : 0;

	if (n < 60)
		snprintf(to, 48, "%lld s", n);
	else if (n < 3600)
		snprintf(to, 48, "%lld min", n / 60);
	else if (n < 86400)
		snprintf(to, 48, "%lld h %lld min", n / 3600, n / 60 % 60);
	else
		snprintf(to, 48, "%lld d %lld h", n / 86400, n / 3600 % 24);
	return to;
}

/* "same" | "changed" | "faulty"; NULL when the file may not be read, or an older psecd does not say what it runs. */
static const char *file_against(const struct cmd_env *env, const json_t *all)
{
	const char *runs = json_string_value(json_object_get(json_object_get(all, "daemon"), "site_digest"));
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct diag_sink sink = { 0 };
	char digest[SITE_DIGEST_LEN];
	struct err e;

	if (!runs)
		return NULL;
	if (site_read(env->paths.file, site, &sink, &e))
		return sink.count ? "faulty" : NULL;
	return str_eq(site_digest(site, digest), runs) ? "same" : "changed";
}

static void file_line(struct buf *b, const json_t *all)
{
	char file[LIVE_TEXT];

	live_text(all, "site_file", file);
	if (str_eq(file, "changed"))
		buf_addf(b, "%-11s site.yaml says other than psecd runs: try it with\n            `psecd -n`, then "
			    "restart psecd\n", "Site file");
	else if (str_eq(file, "faulty"))
		buf_addf(b,
			 "%-11s site.yaml was changed and has faults: `psec site check`\n            shows them, psecd "
			 "runs what was before\n",
			 "Site file");
}

static void daemon_lines(struct buf *b, const json_t *all)
{
	bool counting = json_is_false(json_object_get(json_object_get(all, "store"), "counted"));
	const json_t *daemon = json_object_get(all, "daemon"), *store = json_object_get(all, "store");
	const json_t *processes = json_object_get(daemon, "processes");
	char version[LIVE_TEXT], name[LIVE_TEXT], state[LIVE_TEXT], up[48];
	double bytes = live_real(store, "bytes"), samples = live_real(store, "samples"),
	       events = live_real(store, "events");

	buf_addf(b, "%-11s psecd %s, up %s", "Daemon", live_text(daemon, "version", version),
		 uptime_words(live_real(daemon, "uptime_s"), up));
	for (size_t i = 0; i < json_array_size(processes); i++) {
		const json_t *p = json_array_get(processes, i);
		double restarts = live_real(p, "restarts");

		buf_addf(b, "%s %s %s", i ? "," : ";", live_text(p, "name", name), live_text(p, "state", state));
		if (restarts > 0)
			buf_addf(b, " (%.0f restart%s)", restarts, restarts > 1 ? "s" : "");
	}
	buf_adds(b, "\n");
	if (isfinite(bytes))
		buf_addf(b, "%-11s %.1f MB, %s%.0f samples, %.0f event%s\n", "Store", bytes / 1e6,
			 counting ? "at least " : "", isfinite(samples) ? samples : 0, isfinite(events) ? events : 0,
			 events == 1 ? "" : "s");
}

static int print_all(const struct cmd_env *env, json_t *all, struct err *e)
{
	auto_buf struct buf head = BUF_INIT, tail = BUF_INIT;
	const char *file = file_against(env, all);

	json_object_set_new(all, "site_file", file ? json_string(file) : json_null());
	if (env->json)
		return cmd_print_json(env, all, e);
	if (env->csv)
		return print_devices(env, json_object_get(all, "devices"), e);
	live_summary(&head, all, false);
	daemon_lines(&head, all);
	file_line(&head, all);
	fputs(head.data, env->out);
	if (print_devices(env, json_object_get(all, "devices"), e))
		return -1;
	live_events(&tail, all, 0);
	if (tail.len)
		fprintf(env->out, "\n%s", tail.data);
	return 0;
}

/* What site.yaml alone can say. Caller frees. */
static json_t *from_file(const struct site *s)
{
	json_t *devices = json_array();
	char address[BUS_ADDRESS_LEN];

	for (size_t i = 0; i < s->device_count; i++)
		json_array_append_new(devices, json_pack("{s:s, s:s, s:s, s:n}", "name", s->devices[i].name, "profile",
							 s->devices[i].profile, "address",
							 bus_address_format(&s->devices[i].address, address), "state"));
	return json_pack("{s:{s:s, s:s}, s:n, s:o}", "site", "id", s->id, "tier", site_tier_name(s->tier), "daemon",
			 "devices", devices);
}

/* No daemon: what the site is, and then the failure that says how to start it. */
static int without_daemon(const struct cmd_env *env, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	const struct err why = *e;
	json_t *all;
	int rc;

	if (cmd_read_site(env, site, e))
		return -1;
	all = from_file(site);
	if (env->json) {
		rc = cmd_print_json(env, all, e);
	} else {
		if (!env->csv)
			fprintf(env->out, "%-11s %s (%s)\n%-11s not running\n", "Site", site->id,
				site_tier_name(site->tier), "Daemon");
		rc = print_devices(env, json_object_get(all, "devices"), e);
	}
	json_decref(all);
	if (rc)
		return -1;
	*e = why;
	return -1;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	json_t *all = NULL;
	int rc;

	(void)argc, (void)argv;
	if (o->devices)
		return status_devices(env, e);
	if (cmd_ask_daemon(env, "status", NULL, &all, e))
		return e->kind == ERR_UNREACHABLE ? without_daemon(env, e) : -1;
	rc = print_all(env, all, e);
	json_decref(all);
	return rc;
}

const struct cmd cmd_status = {
	.name = "status",
	.summary = "the site at a glance",
	.more = "What the site does now, its devices, its daemon, and what happened last. Where psecd does not run, "
		"what site.yaml says; "
		"the exit status is then 69. With --devices, how each device and each shared line does.",
	.example = "psec status\npsec status --devices\npsec status --json",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof(struct options),
	.flags = CMD_JSON | CMD_CSV,
	.run = run,
};
