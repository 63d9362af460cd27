/* psec scan: find and identify what speaks Modbus, and propose it for site.yaml. */
#include <string.h>

#include "cmd.h"
#include "device/device.h"
#include "loop/loop.h"
#include "scan/scan.h"

enum { LOOK_US = 200000 /* how often Ctrl-C is looked for */ };

struct options {
	int64_t pace, connect_ms, answer_ms;
	bool every_unit, write;
};

static const struct options defaults = { .pace = 500, .connect_ms = 500, .answer_ms = 1000 };

static const struct cmd_opt opts[] = {
	{ .name = "write", .letter = 'w', .type = CMD_FLAG, .offset = offsetof(struct options, write),
	  .summary = "put what was recognised into site.yaml" },
	{ .name = "every-unit", .type = CMD_FLAG, .offset = offsetof(struct options, every_unit),
	  .summary = "ask all of 1…247 instead of the likely units" },
	{ .name = "pace", .type = CMD_INT, .offset = offsetof(struct options, pace), .value = "N", .min = 1, .max = 5000,
	  .summary = "new connections a second" },
	{ .name = "connect", .type = CMD_DURATION, .offset = offsetof(struct options, connect_ms), .value = "TIME", .min = 50,
	  .max = 30000, .summary = "patience for a connection" },
	{ .name = "answer", .type = CMD_DURATION, .offset = offsetof(struct options, answer_ms), .value = "TIME", .min = 50,
	  .max = 30000, .summary = "patience for an answer" },
};

enum column { STATE, ADDRESS, MAKE, MODEL, SERIAL, VERSION, PROFILE, MATCH, EVIDENCE, SUNSPEC, FAULTS, NOTE, COLUMNS };
static const struct out_column columns[COLUMNS] = {
	[STATE] = { .key = "state", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
	[ADDRESS] = { .key = "address", .heading = "ADDRESS", .type = OUT_TEXT },
	[MAKE] = { .key = "make", .heading = "MAKE", .type = OUT_TEXT },
	[MODEL] = { .key = "model", .heading = "MODEL", .type = OUT_TEXT },
	[SERIAL] = { .key = "serial", .heading = "SERIAL", .type = OUT_TEXT },
	[VERSION] = { .key = "version", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
	[PROFILE] = { .key = "profile", .heading = "PROFILE", .type = OUT_TEXT },
	[MATCH] = { .key = "match", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
	[EVIDENCE] = { .key = "evidence", .type = OUT_TEXT, .flags = OUT_JSON_ONLY },
	[SUNSPEC] = { .key = "sunspec", .type = OUT_JSON, .flags = OUT_JSON_ONLY },
	[FAULTS] = { .key = "faults", .type = OUT_JSON, .flags = OUT_JSON_ONLY },
	[NOTE] = { .key = "note", .heading = "SEEN", .type = OUT_TEXT, .flags = OUT_PEOPLE_ONLY | OUT_WIDE },
};

static const char *const matches[] = { [DEVICE_NO] = NULL, [DEVICE_PROPOSED] = "proposed", [DEVICE_IDENTIFIED] = "identified" };

/* One scan in this process. */
struct work {
	const struct cmd_env *env;
	struct loop *loop;
	struct scan_row *rows;
	size_t count, cap;
	struct out_progress progress;
	bool done;
};

static void on_row(void *arg, const struct scan_row *row)
{
	struct work *w = arg;

	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 16;
		w->rows = xrealloc(w->rows, w->cap, sizeof *w->rows);
	}
	w->rows[w->count++] = *row;
}

static void on_progress(void *arg, const struct scan_progress *p)
{
	struct work *w = arg;
	char found[32];

	snprintf(found, sizeof found, "%zu found", p->found);
	out_progress_step(&w->progress, loop_now(w->loop), p->finished, p->hosts, found);
}

static void on_done(void *arg)
{
	struct work *w = arg;

	w->done = true;
	loop_stop(w->loop);
}

/* ---- what people and programs see ---- */

static json_t *sunspec_json(const struct device_sunspec *s)
{
	json_t *models;

	if (!s->found)
		return json_null();
	models = json_array();
	for (size_t i = 0; i < s->model_count; i++)
		json_array_append_new(models, json_integer(s->models[i].id));
	return json_pack("{s:i, s:o}", "base", s->base, "models", models);
}

static void put_cells(struct out *o, const struct scan_row *row)
{
	char address[BUS_ADDRESS_LEN], note[256];
	json_t *faults = json_array();
	const struct device_identity *id = &row->identity;

	for (size_t i = 0; i < row->fault_count; i++) {
		char text[sizeof row->faults[i] * 4];

		str_printable(text, sizeof text, row->faults[i], strlen(row->faults[i]));
		json_array_append_new(faults, json_string(text));
	}
	snprintf(note, sizeof note, "%s%s%s%s%s", row->state == SCAN_DEVICE ? "" : scan_state_name(row->state),
		 row->evidence, row->match == DEVICE_PROPOSED ? " (a proposal)" : "",
		 row->fault_count && (row->evidence[0] || row->state != SCAN_DEVICE) ? ": " : "", row->fault_count ? row->faults[0] : "");
	out_row(o);
	out_text(o, STATE, scan_state_name(row->state));
	out_text(o, ADDRESS, bus_address_format(&row->address, address));
	out_text(o, MAKE, id->make[0] ? id->make : NULL);
	out_text(o, MODEL, id->model[0] ? id->model : NULL);
	out_text(o, SERIAL, id->serial[0] ? id->serial : NULL);
	out_text(o, VERSION, id->version[0] ? id->version : NULL);
	out_text(o, PROFILE, row->profile[0] ? row->profile : NULL);
	out_text(o, MATCH, matches[row->match]);
	out_text(o, EVIDENCE, row->evidence[0] ? row->evidence : NULL);
	out_json(o, SUNSPEC, sunspec_json(&row->sunspec), NULL);
	out_json(o, FAULTS, faults, NULL);
	out_text(o, NOTE, note);
}

static int by_address(const void *a, const void *b)
{
	const struct scan_row *x = a, *y = b;
	int order = strverscmp(x->address.kind == BUS_TCP ? x->address.host : x->address.path,
			       y->address.kind == BUS_TCP ? y->address.host : y->address.path);

	if (!order)
		order = (int)x->address.port - (int)y->address.port;
	return order ? order : (int)x->address.unit - (int)y->address.unit;
}

static int print_rows(const struct cmd_env *env, struct scan_row *rows, size_t count, struct err *e)
{
	auto_out struct out *o = out_new(columns, COLUMNS, cmd_form(env, false));

	if (count)
		qsort(rows, count, sizeof *rows, by_address);
	for (size_t i = 0; i < count; i++)
		put_cells(o, &rows[i]);
	return cmd_print(env, o, e);
}

/* ---- --write ---- */

/* The roles that this device should play in this site: all of its profile's, but one grid meter is enough. */
static unsigned roles_for(const struct site *site, unsigned can)
{
	unsigned grid = 1u << SITE_GRID_METER, load = 1u << SITE_LOAD_METER;

	if (can & grid && site_find_role(site, SITE_GRID_METER) < 0)
		return can & ~load;
	return can & load ? can & ~grid : can;
}

static void name_for(const struct site *site, unsigned roles, char to[SITE_NAME_LEN])
{
	static const struct { enum site_role role; const char *name; } names[] = {
		{ SITE_GRID_METER, "meter" }, { SITE_BATTERY_INVERTER, "battery" }, { SITE_BMS, "bms" },
		{ SITE_PV_INVERTER, "pv" }, { SITE_GENSET, "genset" }, { SITE_LOAD_METER, "load" },
	};
	const char *base = "device";

	for (size_t i = COUNT_OF(names); i-- > 0;)
		if (roles & 1u << names[i].role)
			base = names[i].name;
	str_copy(to, SITE_NAME_LEN, base);
	for (int n = 2; site_find_device(site, to) >= 0; n++)
		snprintf(to, SITE_NAME_LEN, "%.20s-%d", base, n);
}

static bool in_site(const struct site *site, const struct bus_address *a)
{
	for (size_t i = 0; i < site->device_count; i++)
		if (bus_address_same_link(&site->devices[i].address, a) && site->devices[i].address.unit == a->unit)
			return true;
	return false;
}

/* Put one row into the text; the old text when it is not to be put in. */
static int put_in(const struct cmd_env *env, const struct device_catalogue *c, const struct scan_row *row, char **text, int *added,
		  struct err *e)
{
	const struct device_profile *p = row->profile[0] ? device_profile_find(c, row->profile) : NULL;
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	struct site_device d = { .address = row->address };
	auto_free struct site *site = xcalloc(1, sizeof *site);
	char address[BUS_ADDRESS_LEN], comment[200];
	char *with;

	if (!p || row->state != SCAN_DEVICE)
		return 0;
	if (site_parse(*text, strlen(*text), env->paths.file, site, &sink, e) < 0)
		return -1;
	bus_address_format(&row->address, address);
	if (in_site(site, &row->address)) {
		fprintf(env->err, "%s is in site.yaml already\n", address);
		return 0;
	}
	d.roles = roles_for(site, device_profile_info(p)->roles);
	if (!d.roles)
		return 0;
	str_copy(d.profile, sizeof d.profile, row->profile);
	name_for(site, d.roles, d.name);
	snprintf(comment, sizeof comment, "%s %s %s%s", row->identity.make, row->identity.model, row->identity.serial,
		 row->match == DEVICE_PROPOSED ? " (a proposal: check it)" : "");
	with = site_text_with_device(*text, env->paths.file, &d, comment, e);
	if (!with)
		return err_ctx(e, "cannot put %s into site.yaml", address);
	free(*text);
	*text = with;
	fprintf(env->err, "added %s: %s, profile %s\n", d.name, address, row->profile);
	++*added;
	return 0;
}

static int write_site(const struct cmd_env *env, const struct device_catalogue *c, const struct scan_row *rows, size_t count,
		      struct err *e)
{
	auto_buf struct buf b = BUF_INIT;
	auto_free char *text = NULL;
	int added = 0;

	if (file_read(env->paths.file, SITE_FILE_MAX, &b, e) < 0)
		return err_ctx(e, "--write needs a site.yaml, make one with 'psec init'");
	text = buf_take(&b);
	for (size_t i = 0; i < count; i++)
		if (put_in(env, c, &rows[i], &text, &added, e) < 0)
			return -1;
	if (!added) {
		fprintf(env->err, "nothing new for site.yaml\n");
		return 0;
	}
	if (file_replace(env->paths.file, text, strlen(text), 0640, e) < 0)
		return -1;
	fprintf(env->err, "%d device%s put into %s; read it, then 'psec site check'\n", added, added == 1 ? "" : "s", env->paths.file);
	return 0;
}

/* ---- run ---- */

/* No range named: the network of the site's OT port. */
static int default_target(const struct cmd_env *env, char to[32], struct err *e)
{
	struct diag_sink silent = { 0 };
	auto_free struct site *site = xcalloc(1, sizeof *site);

	if (site_read(env->paths.file, site, &silent, e) < 0 || !site->ot_port[0])
		return err_set(e, ERR_USAGE, 0, "name a range (192.168.1.0/24) or a line (rtu:/dev/ttyS1); without one, ports.ot of "
			       "site.yaml is scanned, and there is none");
	return scan_target_of_port(site->ot_port, to, e);
}

static int carry_out(struct work *w, struct scan *s, struct err *e)
{
	out_progress_begin(&w->progress, "scanning", loop_now(w->loop));
	scan_start(s);
	while (!w->done && !*w->env->interrupted)
		if (loop_turn(w->loop, now_read().boot_us + LOOK_US, e) < 0)
			return -1;
	out_progress_end(&w->progress);
	return 0;
}

static int scan_here(struct work *w, const struct device_catalogue *c, const struct options *o, const char *const *targets,
		     size_t count, struct buf *explained, struct err *e)
{
	struct scan_options so = { (int)o->pace, (int)o->connect_ms, (int)o->answer_ms, o->every_unit };
	struct scan_hooks hooks = { on_row, on_progress, on_done, w };
	struct scan *s = NULL;
	int rc = -1;

	if (loop_new(&w->loop, e) < 0)
		return -1;
	if (scan_new(w->loop, c, targets, count, &so, &hooks, &s, e) == 0)
		rc = carry_out(w, s, e);
	if (rc == 0)
		scan_explain(s, explained);
	scan_free(s);
	loop_free(w->loop);
	return rc;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	struct work w = { .env = env };
	auto_buf struct buf explained = BUF_INIT;
	struct device_catalogue *c = NULL;
	char own[32];
	const char *own_target[] = { own };
	int rc = -1;

	if (!argc && default_target(env, own, e) < 0)
		return -1;
	if (device_catalogue_load(env->paths.profiles, &c, &sink, e) < 0)
		return -1;
	if (scan_here(&w, c, o, argc ? (const char *const *)argv : own_target, argc ? (size_t)argc : 1, &explained, e) == 0)
		rc = print_rows(env, w.rows, w.count, e);
	if (rc == 0 && explained.len)
		fputs(explained.data, env->err);
	if (rc == 0 && o->write && !*env->interrupted)
		rc = write_site(env, c, w.rows, w.count, e);
	if (rc == 0 && *env->interrupted)
		rc = err_set(e, ERR_INTERRUPTED, 0, "interrupted: %zu found so far", w.count);
	free(w.rows);
	device_catalogue_free(c);
	return rc;
}

const struct cmd cmd_scan = {
	.name = "scan",
	.summary = "find and identify devices on Modbus TCP and serial lines",
	.more = "Asks every address at once and every host one question at a time, with reads only, over one connection. A unit is named by "
		"SunSpec, by its device identification (FC 43/14) or by a profile's signature; what a profile's plausibility suggests is "
		"a proposal. Without a RANGE the network of ports.ot is scanned.",
	.example = "psec scan 192.168.1.0/24\npsec scan --json 192.168.1.10:1502\npsec scan --write 'rtu:/dev/ttyS1?baud=9600&parity=none'",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.args = (const struct cmd_arg[]){ { .name = "RANGE", .required = false, .many = true } },
	.arg_count = 1,
	.flags = CMD_JSON,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
