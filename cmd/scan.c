/* psec scan: find and identify what speaks Modbus, and propose it for site.yaml. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "scan.h"

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
	{ .name = "pace", .type = CMD_INT, .offset = offsetof(struct options, pace), .value = "N", .min = 1,
	  .max = 5000,
	  .summary = "new connections a second" },
	{ .name = "connect", .type = CMD_DURATION, .offset = offsetof(struct options, connect_ms), .value = "TIME",
	  .min = 50,
	  .max = 30000, .summary = "patience for a connection" },
	{ .name = "answer", .type = CMD_DURATION, .offset = offsetof(struct options, answer_ms), .value = "TIME",
	  .min = 50,
	  .max = 30000, .summary = "patience for an answer" },
};

/* All but the last are the keys of scan_row_to_json. */
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

/* ---- what people and programs see ---- */

/* State, evidence and the first fault in one phrase. */
static void note_of(const struct scan_row *row, char to[256])
{
	bool named = row->state == SCAN_DEVICE;

	snprintf(to, 256, "%s%s%s%s%s", named ? "" : scan_state_name(row->state), row->evidence,
		 row->match == DEVICE_PROPOSED ? " (a proposal)" : "",
		 row->fault_count && (row->evidence[0] || !named) ? ": " : "", row->fault_count ? row->faults[0] : "");
}

static void put_cells(struct out *o, const struct scan_row *row)
{
	json_t *j = scan_row_to_json(row);
	char note[256];

	out_row(o);
	for (size_t c = 0; c < NOTE; c++) {
		json_t *value = json_object_get(j, columns[c].key);

		if (columns[c].type == OUT_JSON)
			out_json(o, c, json_incref(value), NULL);
		else
			out_text(o, c, json_string_value(value));
	}
	note_of(row, note);
	out_text(o, NOTE, note);
	json_decref(j);
}

static int by_address(const void *a, const void *b)
{
	const struct scan_row *x = a, *y = b;
	int order = strverscmp(x->address.kind != BUS_RTU ? x->address.host : x->address.path,
			       y->address.kind != BUS_RTU ? y->address.host : y->address.path);

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

/* ---- run ---- */

/* No range named: the network of the site's OT port. */
static int default_target(const struct cmd_env *env, char to[32], struct err *e)
{
	struct diag_sink silent = { 0 };
	auto_free struct site *site = xcalloc(1, sizeof *site);

	if (site_read(env->paths.file, site, &silent, e) < 0 || !site->ot_port[0])
		return err_set(e, ERR_USAGE, 0,
			       "name a range (192.168.1.0/24) or a line (rtu:/dev/ttyS1); without one, ports.ot of "
			       "site.yaml is scanned, and there is none");
	return scan_target_of_port(site->ot_port, to, e);
}

/* What --write will change must be there and trusted before the devices are asked; its faults may be mended by what
 * is found. */
static int can_write(const struct cmd_env *env, struct err *e)
{
	struct diag_sink silent = { 0 };
	auto_free struct site *site = xcalloc(1, sizeof *site);

	if (access(env->paths.file, F_OK) < 0 && errno == ENOENT)
		return cmd_no_site(env, ERR_INPUT, e);
	return site_read(env->paths.file, site, &silent, e) < 0 && e->kind == ERR_REFUSED ? -1 : 0;
}

/* Nothing answers where a simulated site should: most likely it was not started. */
static void hint_at_sim(const struct cmd_env *env)
{
	struct diag_sink silent = { 0 };
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct ctl_client *sim = NULL;
	char path[sizeof env->paths.run + 16];
	struct err e;

	if (site_read(env->paths.file, site, &silent, &e) < 0 || site->tier != SITE_SIM)
		return;
	snprintf(path, sizeof path, "%s/sim.sock", env->paths.run);
	if (ctl_connect(path, &sim, &e) < 0 && e.kind == ERR_UNREACHABLE)
		fprintf(env->err, "site '%s' is a simulated one and is not running; start it with `psec%s%s sim run`\n",
			site->id, env->dir ? " -C " : "", env->dir ? env->dir : "");
	ctl_client_free(sim);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct scan_options so = { (int)o->pace, (int)o->connect_ms, (int)o->answer_ms, o->every_unit };
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	struct scan_found found = { 0 };
	struct device_catalogue *c = NULL;
	char own[32];
	const char *own_target[] = { own };
	int rc;

	if (o->write && can_write(env, e) < 0)
		return -1;
	if (!argc && default_target(env, own, e) < 0)
		return -1;
	if (device_catalogue_load(env->paths.profiles, &c, &sink, e) < 0)
		return -1;
	rc = scan_carry_out(env, c, argc ? (const char *const *)argv : own_target, argc ? (size_t)argc : 1, &so, &found,
			    e);
	if (rc == 0)
		rc = print_rows(env, found.rows, found.count, e);
	if (rc == 0 && found.explained.len)
		fputs(found.explained.data, env->err);
	if (rc == 0 && !found.count)
		hint_at_sim(env);
	if (rc == 0 && o->write && !*env->interrupted)
		rc = scan_write_site(env, c, &found, e);
	if (rc == 0 && *env->interrupted)
		rc = err_set(e, ERR_INTERRUPTED, 0, "interrupted: %zu found so far", found.count);
	scan_found_release(&found);
	device_catalogue_free(c);
	return rc;
}

const struct cmd cmd_scan = {
	.name = "scan",
	.summary = "find and identify devices on Modbus TCP and serial lines",
	.more = "Asks every address at once and every host one question at a time, with reads only, over one "
		"connection. A unit is named by SunSpec, by its device identification (FC 43/14) or by a profile's "
		"signature; what a profile's plausibility suggests is a proposal. On a serial line whose baud and "
		"parity are not named, the likely ones are tried first. Without a RANGE the network of ports.ot is "
		"scanned.",
	.example = "psec scan 192.168.1.0/24\npsec scan --json 192.168.1.10:1502\npsec scan rtu:/dev/ttyS1\n"
		   "psec scan --write 'rtu:/dev/ttyS1?baud=9600&parity=none'",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.args = (const struct cmd_arg[]){ { .name = "RANGE", .required = false, .many = true } },
	.arg_count = 1,
	.flags = CMD_JSON | CMD_CSV,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
