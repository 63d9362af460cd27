/* psec device identify: which of several equal devices is it: what it says of itself, and for a battery a step that
 * people see. */
#include <math.h>
#include <string.h>

#include "device.h"
#include "poll/poll.h"
#include "survey/survey.h"

struct options { const char *profile; double step_w; int64_t seconds; bool yes; };

enum { PATIENCE_MS = 15000, ANSWER_MS = 1000, QUESTIONS = 400, MANY_MAX = 32 };

enum { GIVEN, ENTRY, ADDRESS, MAKE, MODEL, SERIAL, VERSION, PROFILE, HOW, NOTE, COLUMNS };
static const struct out_column columns[COLUMNS] = {
	[GIVEN] = { "asked", "ASKED", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[ENTRY] = { "device", "DEVICE", NULL, OUT_TEXT, 0, 0 },
	[ADDRESS] = { "address", "ADDRESS", NULL, OUT_TEXT, 0, 0 },
	[MAKE] = { "make", "MAKE", NULL, OUT_TEXT, 0, 0 },
	[MODEL] = { "model", "MODEL", NULL, OUT_TEXT, 0, 0 },
	[SERIAL] = { "serial", "SERIAL", NULL, OUT_TEXT, 0, 0 },
	[VERSION] = { "version", "VERSION", NULL, OUT_TEXT, 0, 0 },
	[PROFILE] = { "profile", "PROFILE", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[HOW] = { "how", "HOW", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[NOTE] = { "note", "NOTE", NULL, OUT_TEXT, 0, OUT_WIDE },
};

struct one {
	const char *word;
	struct site_device d;
	int entry;                     /* of the site's devices, -1: none */
	struct device_identity identity;
	char how[64], note[200];
	bool answered;
};

struct work {
	const struct cmd_env *env;
	const struct options *options;
	struct device_catalogue *catalogue;
	struct site *site;             /* no device when there is no site.yaml */
	json_t *known;                 /* devices as psecd knows them, or NULL */
	struct one ones[MANY_MAX];
	size_t count;
};

/* ---- who it is ---- */

static bool has_identity(const struct one *o)
{
	return o->identity.make[0] || o->identity.model[0] || o->identity.serial[0];
}

/* The identity that a profile's own registers show. */
static void read_by_profile(struct work *w, struct one *o)
{
	const struct device_profile *p = device_profile_find(w->catalogue, o->d.profile);
	struct device_map *m = NULL;
	struct err e;

	if (p == NULL || poll_read_once(&o->d, p, PATIENCE_MS, &m, &e) < 0)
		return;
	o->answered = true;
	o->identity = *device_map_identity(m);
	if (has_identity(o))
		snprintf(o->how, sizeof o->how, "profile %.40s", o->d.profile);
	device_map_free(m);
}

static void ask_device(struct work *w, struct one *o)
{
	const struct survey_options so = { .answer_ms = ANSWER_MS, .patience_ms = PATIENCE_MS, .questions = QUESTIONS,
					   .interrupted = w->env->interrupted };
	struct survey_identity who;
	struct survey *s;
	struct err e;

	if (o->d.profile[0])
		read_by_profile(w, o);
	if (has_identity(o))
		return;
	if (survey_new(&o->d.address, &so, &s, &e) < 0) {
		str_copy(o->note, sizeof o->note, e.text);
		return;
	}
	if (survey_identify(s, &who, &e) == 0) {
		o->answered = true;
		o->identity = who.identity;
		str_copy(o->how, sizeof o->how, who.how);
		if (!has_identity(o))
			snprintf(o->note, sizeof o->note, "answers, and does not say who it is%s%s",
				 who.report[0] ? "; to FC 17: " : "", who.report);
	} else {
		snprintf(o->note, sizeof o->note, "%.190s", e.text);
	}
	survey_free(s);
}

static void copy_text(const json_t *o, const char *key, char *to, size_t n)
{
	const char *s = json_string_value(json_object_get(o, key));

	str_copy(to, n, s != NULL ? s : "");
}

/* What psecd has read of the device when it last met it. */
static bool take_known(const struct work *w, struct one *o)
{
	const json_t *d;
	size_t i;

	json_array_foreach(w->known, i, d) {
		const char *name = json_string_value(json_object_get(d, "name"));

		if (o->entry < 0 || name == NULL || !str_eq(name, w->site->devices[o->entry].name))
			continue;
		copy_text(d, "make", o->identity.make, sizeof o->identity.make);
		copy_text(d, "model", o->identity.model, sizeof o->identity.model);
		copy_text(d, "serial", o->identity.serial, sizeof o->identity.serial);
		copy_text(d, "version", o->identity.version, sizeof o->identity.version);
		o->answered = str_eq(json_string_value(json_object_get(d, "state")), "live");
		str_copy(o->how, sizeof o->how, "psecd");
		if (!o->answered)
			str_copy(o->note, sizeof o->note, "not live: what it said when it last was");
		else if (!has_identity(o))
			str_copy(o->note, sizeof o->note, "live, and does not say who it is");
		return true;
	}
	return false;
}

/* ---- who else it is ---- */

/* The same serial elsewhere: among those asked for, or at the address of site.yaml that psecd reads. */
static void compare(struct work *w, struct one *o)
{
	char address[BUS_ADDRESS_LEN];
	const json_t *d;
	size_t i;

	if (o->identity.serial[0] == '\0' || o->note[0])
		return;
	for (i = 0; i < w->count; i++)
		if (!bus_address_same_unit(&w->ones[i].d.address, &o->d.address) &&
		    str_eq(w->ones[i].identity.serial, o->identity.serial)) {
			snprintf(o->note, sizeof o->note, "the same serial as at %s: one device, or two copies of one",
				 bus_address_format(&w->ones[i].d.address, address));
			return;
		}
	json_array_foreach(w->known, i, d) {
		const char *serial = json_string_value(json_object_get(d, "serial"));
		int at = serial != NULL && str_eq(serial, o->identity.serial) ? site_find_device(w->site,
			 json_string_value(json_object_get(d, "name"))) : -1;

		if (at >= 0 && at != o->entry) {
			snprintf(o->note, sizeof o->note, "this is '%s'; site.yaml has it at %s",
				 w->site->devices[at].name, bus_address_format(&w->site->devices[at].address, address));
			return;
		}
	}
}

static void put_one(struct out *out, const struct work *w, const struct one *o)
{
	char address[BUS_ADDRESS_LEN];

	out_row(out);
	out_text(out, GIVEN, o->word);
	out_text(out, ENTRY, o->entry >= 0 ? w->site->devices[o->entry].name : NULL);
	out_text(out, ADDRESS, bus_address_format(&o->d.address, address));
	out_text(out, MAKE, o->identity.make[0] ? o->identity.make : NULL);
	out_text(out, MODEL, o->identity.model[0] ? o->identity.model : NULL);
	out_text(out, SERIAL, o->identity.serial[0] ? o->identity.serial : NULL);
	out_text(out, VERSION, o->identity.version[0] ? o->identity.version : NULL);
	out_text(out, PROFILE, o->d.profile[0] ? o->d.profile : NULL);
	out_text(out, HOW, o->how[0] ? o->how : NULL);
	out_text(out, NOTE, o->note[0] ? o->note : NULL);
}

/* ---- the devices that are meant ---- */

static int add_one(struct work *w, const char *word, struct err *e)
{
	struct one *o = &w->ones[w->count];
	bool by_name;

	if (w->count == MANY_MAX)
		return err_set(e, ERR_USAGE, 0, "at most %d devices", MANY_MAX);
	*o = (struct one){ .word = word };
	/* what psecd polls is not asked again: what it knows is shown */
	if (device_find_target(w->env, w->options->profile, word, &o->d, &by_name, e) < 0 && e->kind != ERR_AGAIN)
		return -1;
	o->entry = by_name ? site_find_device(w->site, word) : site_find_address(w->site, &o->d.address);
	if (!by_name && o->entry >= 0 && o->d.profile[0] == '\0')
		str_copy(o->d.profile, sizeof o->d.profile, w->site->devices[o->entry].profile);
	w->count++;
	if (take_known(w, o))
		return 0;
	if (device_refuse_polled(w->env, &o->d.address, e) < 0)
		return -1;
	ask_device(w, o);
	return *w->env->interrupted ? err_set(e, ERR_INTERRUPTED, 0, "interrupted") : 0;
}

static void learn_site(struct work *w)
{
	struct diag_sink silent = { 0 };
	json_t *status = NULL;
	struct err e;

	if (site_read(w->env->paths.file, w->site, &silent, &e) < 0)
		w->site->device_count = 0;
	if (w->site->device_count > 0 && cmd_ask_daemon(w->env, "control.status", NULL, &status, &e) == 0)
		w->known = json_incref(json_object_get(status, "devices"));
	json_decref(status);
}

static int show_all(struct work *w, int argc, char **argv, struct err *e)
{
	auto_out struct out *out = out_new(columns, COLUMNS, cmd_form(w->env, false));
	size_t answered = 0;

	for (int i = 0; i < argc; i++)
		if (add_one(w, argv[i], e) < 0)
			return -1;
	for (size_t i = 0; argc == 0 && i < w->site->device_count; i++)
		if (add_one(w, w->site->devices[i].name, e) < 0)
			return -1;
	if (w->count == 0)
		return err_set(e, ERR_USAGE, 0, "name a device or an address; the site has none");
	for (size_t i = 0; i < w->count; i++) {
		compare(w, &w->ones[i]);
		put_one(out, w, &w->ones[i]);
		answered += w->ones[i].answered;
	}
	if (cmd_print(w->env, out, e) < 0)
		return -1;
	return answered == w->count ? 0 : 1;
}

/* ---- the step ---- */

struct said { const struct cmd_env *env; json_t *rows; bool bad; };

static void say_row(void *arg, const struct trial_row *r)
{
	struct said *s = arg;
	char why[640];

	s->bad |= r->verdict == TRIAL_FAILED || r->verdict == TRIAL_SUSPICIOUS;
	json_array_append_new(s->rows, trial_row_to_json(r));
	if (!cmd_for_people(s->env))
		return;
	str_printable(why, sizeof why, r->why, strlen(r->why));
	fprintf(s->env->out, "%-14s %s\n", r->what, why);
	fflush(s->env->out);
}

static int confirm(const struct cmd_env *env, const struct options *opt, const char *name, struct err *e)
{
	char question[160];
	auto_free char *line = NULL;

	if (opt->yes)
		return 0;
	if (!env->interactive)
		return err_set(e, ERR_USAGE, 0, "a step moves power: say --yes in a script");
	snprintf(question, sizeof question, "'%.40s' will %s %.0f W for %lld s. Go on? (yes/no)", name,
		 opt->step_w > 0 ? "discharge" : "charge", fabs(opt->step_w), (long long)opt->seconds);
	line = cmd_ask_line(env, question, "no");
	return line != NULL && (str_eq(line, "yes") || str_eq(line, "y"))
		       ? 0
		       : err_set(e, ERR_INTERRUPTED, 0, "nothing was done");
}

static int make_step(const struct cmd_env *env, const struct options *opt, const char *name, struct err *e)
{
	struct said said = { .env = env, .rows = json_array() };
	int rc = confirm(env, opt, name, e);

	if (rc == 0)
		rc = device_carry_by_daemon(env, "device.step",
					    json_pack("{s:s, s:f, s:I}", "device", name, "power_w", opt->step_w,
						      "seconds", (json_int_t)opt->seconds),
					    say_row, &said, e);
	if (rc < 0 && e->kind == ERR_INTERRUPTED && opt->yes)
		err_set(e, ERR_INTERRUPTED, 0, "interrupted; psecd brings '%s' back to the set-point of before", name);
	if (rc < 0 && e->kind == ERR_UNREACHABLE && !cmd_daemon_runs(env))
		err_set(e, ERR_UNREACHABLE, 0,
			"a step needs psecd, which ends it whatever happens here; start it with `psecd -C %s`",
			env->paths.dir);
	if (rc == 0 && env->json)
		rc = cmd_print_json(env, said.rows, e);
	json_decref(said.rows);
	return rc < 0 ? -1 : said.bad ? 1 : 0;
}

/* ---- run ---- */

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *opt = options;
	auto_free struct work *w = xcalloc(1, sizeof *w);
	int rc;

	if (opt->step_w != 0 && (argc != 1 || device_is_address(argv[0])))
		return err_set(e, ERR_USAGE, 0, "--step wants one device of the site by its name");
	if (opt->step_w != 0 && env->csv)
		return err_set(e, ERR_USAGE, 0, "a step is told while it goes on, not as a table: --json, or neither");
	if (opt->step_w != 0)
		return make_step(env, opt, argv[0], e);
	w->env = env;
	w->options = opt;
	w->site = xcalloc(1, sizeof *w->site);
	learn_site(w);
	rc = device_load_profiles(env, &w->catalogue, e);
	if (rc == 0) {
		rc = show_all(w, argc, argv, e);
		device_catalogue_free(w->catalogue);
	}
	json_decref(w->known);
	free(w->site);
	return rc;
}

static const struct options defaults = { .seconds = 5 };
#define OPT(field) offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "profile", .letter = 'p', .type = CMD_TEXT, .offset = OPT(profile), .value = "ID",
	  .summary = "read who it is by this profile", .complete = "profile" },
	{ .name = "step", .type = CMD_REAL, .offset = OPT(step_w), .value = "WATTS", .min = -2000, .max = 2000,
	  .summary = "let this battery discharge (or charge: minus) a moment" },
	{ .name = "seconds", .letter = 's', .type = CMD_INT, .offset = OPT(seconds), .value = "N", .min = 3, .max = 10,
	  .summary = "how long the step lasts" },
	{ .name = "yes", .letter = 'y', .type = CMD_FLAG, .offset = OPT(yes), .summary = "do not ask before a step" },
};
static const struct cmd_arg args[] = { { "NAME|ADDRESS", false, true, "device" } };
const struct cmd cmd_device_identify = {
	.name = "identify", .summary = "which of several equal devices is it",
	.more = "Shows make, model, serial and version of each, and tells which serial is where; without a NAME of "
		"all devices of the site.\n\n"
		"With --step one battery inverter of the site moves its power for some seconds: look which one it is. "
		"psecd does that, only while control is off, within every limit, and goes back by itself, also when "
		"psec is killed.\n\n"
		"Ends with 1 when not all answered, or the step was not seen.",
	.example = "psec device identify tcp://192.168.1.21#1 tcp://192.168.1.22#1\n"
		   "psec device identify battery-2 --step 500",
	.opts = opts, .opt_count = COUNT_OF(opts), .args = args, .arg_count = COUNT_OF(args),
	.flags = CMD_JSON | CMD_CSV, .defaults = &defaults, .options_size = sizeof(struct options), .run = run,
};
