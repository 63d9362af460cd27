/* psec status --devices: how each device and each line does, as psecd has counted since it began. */
#include <math.h>
#include <string.h>

#include "live.h"
#include "status.h"

enum { NAME, STATE, RATE, WANTED, P50, P99, READS, CONNECTS, ERRORS, NOTE, COLUMNS };
static const struct out_column columns[COLUMNS] = {
	[NAME] = { .key = "name", .heading = "DEVICE" },
	[STATE] = { .key = "state", .heading = "STATE" },
	[RATE] = { .key = "rate_hz", .heading = "RATE", .unit = "Hz", .type = OUT_REAL, .decimals = 1 },
	[WANTED] = { .key = "wanted_hz", .heading = "WANTED", .unit = "Hz", .type = OUT_REAL, .decimals = 1 },
	[P50] = { .key = "latency_p50_ms", .heading = "P50", .unit = "ms", .type = OUT_REAL, .decimals = 1 },
	[P99] = { .key = "latency_p99_ms", .heading = "P99", .unit = "ms", .type = OUT_REAL, .decimals = 1 },
	[READS] = { .key = "reads", .heading = "READS", .type = OUT_INT },
	[CONNECTS] = { .key = "connects", .heading = "CONNECTS", .type = OUT_INT },
	[ERRORS] = { .key = "errors", .heading = "ERRORS" },
	[NOTE] = { .key = "note", .heading = "NOTE", .flags = OUT_WIDE },
};

enum { LINE, BUSY, ASKED, RETRIES, SILENCES, CRC, FOREIGN, NOISE, LINE_NOTE, LINE_COLUMNS };
static const struct out_column line_columns[LINE_COLUMNS] = {
	[LINE] = { .key = "line", .heading = "LINE" },
	[BUSY] = { .key = "busy_percent", .heading = "BUSY", .unit = "%", .type = OUT_REAL },
	[ASKED] = { .key = "asked", .heading = "ASKED", .type = OUT_INT },
	[RETRIES] = { .key = "retries", .heading = "RETRIES", .type = OUT_INT },
	[SILENCES] = { .key = "silences", .heading = "SILENCE", .type = OUT_INT },
	[CRC] = { .key = "crc_errors", .heading = "CRC", .type = OUT_INT },
	[FOREIGN] = { .key = "foreign_frames", .heading = "FOREIGN", .type = OUT_INT },
	[NOISE] = { .key = "noise_bytes", .heading = "NOISE", .type = OUT_INT },
	[LINE_NOTE] = { .key = "second_master", .heading = "NOTE", .flags = OUT_WIDE },
};

/* ---- asking ---- */

/* Every page of psecd's list, as one. Caller frees. */
static int ask_all(const struct cmd_env *env, json_t **devices, struct err *e)
{
	json_int_t from = 0;

	*devices = json_array();
	for (bool more = true; more;) {
		json_t *page = NULL, *next;

		if (cmd_ask_daemon(env, "devices", json_pack("{s:I}", "from", from), &page, e)) {
			json_decref(*devices);
			return -1;
		}
		json_array_extend(*devices, json_object_get(page, "devices"));
		next = json_object_get(page, "next");
		more = json_is_integer(next) && json_integer_value(next) > from;
		from = json_integer_value(next);
		json_decref(page);
	}
	return 0;
}

/* Lines have places of their own; a device keeps the name of its. Caller frees. */
static json_t *take_lines(json_t *devices)
{
	json_t *lines = json_object();

	for (size_t i = 0; i < json_array_size(devices); i++) {
		json_t *d = json_array_get(devices, i), *line = json_incref(json_object_get(d, "line"));
		const char *name = json_string_value(json_object_get(line, "line"));
		json_t *known = name ? json_object_get(lines, name) : NULL;

		json_object_set_new(d, "line", name ? json_string(name) : json_null());
		if (name && !known) {
			json_object_set_new(line, "devices", json_array());
			json_object_set(lines, name, line);
			known = line;
		}
		json_array_append(json_object_get(known, "devices"), json_object_get(d, "name"));
		json_decref(line);
	}
	return lines;
}

static int print_json(const struct cmd_env *env, json_t *devices, json_t *lines, struct err *e)
{
	json_t *list = json_array(), *line, *all;
	const char *name;
	int rc;

	json_object_foreach(lines, name, line)
		json_array_append(list, line);
	all = json_pack("{s:O, s:o}", "devices", devices, "lines", list);
	rc = cmd_print_json(env, all, e);
	json_decref(all);
	return rc;
}

/* ---- for people ---- */

static void add_word(struct buf *b, double n, const char *one, const char *many)
{
	if (n > 0)
		buf_addf(b, "%s%.0f %s", b->len ? ", " : "", n, n == 1 ? one : many);
}

static void error_words(struct buf *b, const json_t *errors)
{
	static const struct { const char *key, *one, *many; } words[] = {
		{ "timeouts", "time-out", "time-outs" }, { "closed", "closed", "closed" },
		{ "unreachable", "unreachable", "unreachable" }, { "crc_errors", "wrong CRC", "wrong CRC" },
		{ "other_unit", "other unit", "other unit" }, { "garbled", "garbled", "garbled" },
	};
	json_t *exceptions = json_object_get(errors, "exceptions"), *n;
	const char *name;

	for (size_t i = 0; i < COUNT_OF(words); i++)
		add_word(b, live_real(errors, words[i].key), words[i].one, words[i].many);
	json_object_foreach(exceptions, name, n)
		add_word(b, json_number_value(n), name, name);
}

static void device_note(struct buf *b, const json_t *d)
{
	double next_ms = live_real(d, "next_try_in_ms"), tries = live_real(d, "tries");
	char why[LIVE_TEXT];

	buf_adds(b, live_text(d, "why", why));
	if (isfinite(next_ms))
		buf_addf(b, "%snext try in %.0f s", b->len ? "; " : "", ceil(next_ms / 1000));
	if (tries > 0)
		buf_addf(b, ", after %.0f in vain", tries);
}

static void device_row(struct out *o, const json_t *d)
{
	auto_buf struct buf errors = BUF_INIT, note = BUF_INIT;
	bool live = json_string_value(json_object_get(d, "state")) &&
		    str_eq(json_string_value(json_object_get(d, "state")), "live");

	error_words(&errors, json_object_get(d, "errors"));
	device_note(&note, d);
	out_row(o);
	out_text(o, NAME, json_string_value(json_object_get(d, "name")));
	out_text(o, STATE, json_string_value(json_object_get(d, "state")));
	out_real(o, RATE, live ? live_real(d, "rate_hz") : NAN);
	out_real(o, WANTED, live_real(d, "wanted_hz"));
	out_real(o, P50, live_real(d, "latency_p50_us") / 1000);
	out_real(o, P99, live_real(d, "latency_p99_us") / 1000);
	out_int(o, READS, json_integer_value(json_object_get(d, "reads")));
	out_int(o, CONNECTS, json_integer_value(json_object_get(d, "connects")));
	out_text(o, ERRORS, errors.len ? errors.data : "none");
	out_text(o, NOTE, note.len ? note.data : NULL);
}

static void line_row(struct out *o, const json_t *v)
{
	static const struct { int column; const char *key; } counts[] = {
		{ ASKED, "asked" }, { RETRIES, "retries" }, { SILENCES, "silences" }, { CRC, "crc_errors" },
		{ FOREIGN, "foreign_frames" }, { NOISE, "noise_bytes" },
	};

	out_row(o);
	out_text(o, LINE, json_string_value(json_object_get(v, "line")));
	out_real(o, BUSY, live_real(v, "busy_percent"));
	for (size_t i = 0; i < COUNT_OF(counts); i++)
		out_int(o, (size_t)counts[i].column, json_integer_value(json_object_get(v, counts[i].key)));
	out_text(o, LINE_NOTE, json_string_value(json_object_get(v, "second_master")));
}

/* A connection of one device says nothing that its device does not. */
static bool is_shared(const json_t *line)
{
	return json_is_true(json_object_get(line, "serial")) || json_array_size(json_object_get(line, "devices")) > 1;
}

static int print_rows(const struct cmd_env *env, const json_t *devices, json_t *lines, struct err *e)
{
	auto_out struct out *o = out_new(columns, COLUMNS, cmd_form(env, false)),
			    *l = out_new(line_columns, LINE_COLUMNS, OUT_TABLE);
	bool shared = false;
	const char *name;
	json_t *line;

	if (!json_array_size(devices) && !env->csv) {
		fprintf(env->out, "No devices in site.yaml; `psec scan --write` finds them.\n");
		return 0;
	}
	for (size_t i = 0; i < json_array_size(devices); i++)
		device_row(o, json_array_get(devices, i));
	json_object_foreach(lines, name, line) {
		if (!is_shared(line))
			continue;
		line_row(l, line);
		shared = true;
	}
	if (cmd_print(env, o, e))
		return -1;
	if (!shared || env->csv)
		return 0;
	fputc('\n', env->out);
	return cmd_print(env, l, e);
}

int status_devices(const struct cmd_env *env, struct err *e)
{
	json_t *devices, *lines;
	int rc;

	if (ask_all(env, &devices, e))
		return -1;
	lines = take_lines(devices);
	rc = env->json ? print_json(env, devices, lines, e) : print_rows(env, devices, lines, e);
	json_decref(devices);
	json_decref(lines);
	return rc;
}
