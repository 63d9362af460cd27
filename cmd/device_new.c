/* psec device new: a profile to begin with, from a live device that no profile describes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "survey/survey.h"

struct options {
	const char *id, *make, *model, *role, *range;
	int64_t seconds, questions, pause_ms;
	bool to_stdout;
};

enum { ANSWER_MS = 1000, WANTED_MAX = 16, POINTS_MAX = 32, UNIT_DEFAULT = 1 };

struct draft {
	const struct cmd_env *env;
	const struct options *options;
	struct device_catalogue *catalogue;
	char address[BUS_ADDRESS_LEN], day[BASE_TIME_LEN], id[48], path[352];
	struct bus_address at;
	struct survey *survey;
	struct survey_identity who;
	struct survey_point points[POINTS_MAX];
	size_t count;
	json_t *found;                 /* what was looked for, as JSON */
	unsigned roles;
	struct out_progress progress;
};

/* ---- what was said ---- */

/* "3:0-199,4:1000-1099" or "0-199", which means both functions. */
static int parse_ranges(const char *text, struct survey_range out[WANTED_MAX], size_t *count, struct err *e)
{
	auto_free char *copy = xstrdup(text);
	char *rest = NULL;

	*count = 0;
	for (char *w = strtok_r(copy, ",", &rest); w != NULL; w = strtok_r(NULL, ",", &rest)) {
		char *colon = strchr(w, ':'), *range = colon != NULL ? colon + 1 : w, *dash = strchr(range, '-');
		int64_t f = 0, first, last;

		if (colon != NULL)
			*colon = '\0';
		if (dash != NULL)
			*dash = '\0';
		if ((colon != NULL && !parse_int(w, 3, 4, &f)) || !parse_int(range, 0, 65535, &first) ||
		    !parse_int(dash != NULL ? dash + 1 : range, first, 65535, &last) || *count + 2 > WANTED_MAX)
			return err_set(e, ERR_USAGE, 0,
				       "--range is '%s', must be as 0-199 or 3:0-199,4:1000-1099 (3 holding, "
				       "4 input registers; addresses from 0, as they are sent)",
				       text);
		for (uint8_t k = BUS_READ_HOLDING; k <= BUS_READ_INPUT; k++)
			if (f == 0 || f == k)
				out[(*count)++] = (struct survey_range){ k, (uint16_t)first, (uint16_t)last };
	}
	return 0;
}

static int check_id(const char *id, struct err *e)
{
	if (id[0] != '\0' && strlen(id) < 48 && id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0')
		return 0;
	return err_set(e, ERR_USAGE, 0, "id '%s' must have a-z, 0-9 and - alone, at most 47 of them", id);
}

/* "Acme", "M3 (2)" → "acme-m3-2" */
static void propose_id(const struct draft *d, char to[48])
{
	const char *make = d->options->make != NULL ? d->options->make : d->who.identity.make;
	const char *model = d->options->model != NULL ? d->options->model : d->who.identity.model;
	char both[100];
	size_t n = 0;

	snprintf(both, sizeof both, "%s %s", make, model);
	for (const char *s = both; *s && n < 40; s++) {
		char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			to[n++] = c;
		else if (n > 0 && to[n - 1] != '-')
			to[n++] = '-';
	}
	while (n > 0 && to[n - 1] == '-')
		n--;
	to[n] = '\0';
}

/* Known before the device is asked anything, where a script said it. */
static int place_for(struct draft *d, const char *id, struct err *e)
{
	if (check_id(id, e) < 0)
		return -1;
	str_copy(d->id, sizeof d->id, id);
	snprintf(d->path, sizeof d->path, "%s/%s.yaml", d->env->paths.profiles, id);
	if (!d->options->to_stdout && access(d->path, F_OK) == 0)
		return err_set(e, ERR_REFUSED, 0, "'%s' is there already; choose another --id, or move it away",
			       d->path);
	return 0;
}

static int choose_id(struct draft *d, struct err *e)
{
	char proposed[48];

	if (d->id[0])
		return 0;
	propose_id(d, proposed);
	for (;;) {
		auto_free char *line = NULL;

		if (!d->env->interactive)
			return place_for(d, proposed[0] ? proposed : "new-device", e);
		line = cmd_ask_line(d->env, "Id of the profile (a-z, 0-9 and -)", proposed);
		if (line == NULL)
			return err_set(e, ERR_INTERRUPTED, 0, "nothing is written");
		if (place_for(d, line[0] ? line : proposed, e) == 0)
			return 0;
		fprintf(d->env->err, "  %s\n", e->text);
	}
}

/* ---- asking the device ---- */

static void show_step(void *arg, uint32_t asked, uint32_t found)
{
	struct draft *d = arg;
	struct now now = now_read();
	char extra[48];

	snprintf(extra, sizeof extra, "%u registers found", (unsigned)found);
	out_progress_step(&d->progress, &now, asked, (uint64_t)d->options->questions, extra);
}

static void say_found(const struct draft *d)
{
	struct survey_range ranges[SURVEY_RANGES_MAX];
	size_t n = survey_ranges(d->survey, ranges);
	struct survey_summary sum;

	survey_sum_up(d->survey, &sum);
	fprintf(d->env->err, "%u registers answered", (unsigned)sum.registers);
	for (size_t i = 0; i < n && i < 8; i++)
		fprintf(d->env->err, "%s %s %u…%u", i > 0 ? "," : ":",
			ranges[i].function == BUS_READ_INPUT ? "input" : "holding", ranges[i].first, ranges[i].last);
	fprintf(d->env->err, "%s (%u questions)\n", n > 8 ? " …" : "", (unsigned)sum.asked);
	for (int f = BUS_READ_HOLDING; f <= BUS_READ_INPUT; f++)
		if (sum.everywhere[f])
			fprintf(d->env->err, "it answers function %d at any address, with 0 where it has nothing; "
					     "name its registers with "
				"--range\n", f);
	if (sum.stopped != NULL)
		fprintf(d->env->err, "not everything was looked at: %s; --range names what to look through\n",
			sum.stopped);
}

static int look(struct draft *d, struct err *e)
{
	struct survey_range wanted[WANTED_MAX];
	size_t count = 0;
	struct now now = now_read();
	int rc;

	if (d->options->range != NULL && parse_ranges(d->options->range, wanted, &count, e) < 0)
		return -1;
	out_progress_begin(&d->progress, "looking", &now);
	rc = survey_identify(d->survey, &d->who, e);
	if (rc == 0 && !d->who.sunspec.found)
		rc = survey_map(d->survey, wanted, count, d->catalogue, e);
	if (rc == 0 && !d->who.sunspec.found)
		rc = survey_read(d->survey, e);
	out_progress_end(&d->progress);
	if (rc < 0 && *d->env->interrupted)
		return err_set(e, ERR_INTERRUPTED, 0, "interrupted; nothing is written");
	if (rc < 0 && !(e->kind == ERR_UNREACHABLE && d->who.how[0]))
		return err_ctx(e, "%s", d->address);
	return 0;
}

/* ---- values that a person sees ---- */

static json_t *place_json(const struct survey_place *p)
{
	char words[120];

	return json_pack("{s:s, s:i, s:i, s:s, s:s, s:f, s:f, s:f}", "place", survey_place_words(p, words), "function",
			 p->function, "address", p->address, "type", device_type_name(p->type), "order",
			 p->order == DEVICE_LOW_FIRST ? "low-first" : "high-first", "scale", p->scale, "now", p->now,
			 "before", p->before);
}

static void say_places(const struct draft *d, const struct survey_sight *sight, const struct survey_place *p, size_t n)
{
	char words[120];

	fprintf(d->env->err, "%s stands at%s\n", sight->text,
		n > 0 ? "" : " no register that was found, in both readings");
	for (size_t i = 0; i < n; i++)
		fprintf(d->env->err, "  %zu  %-60s %.10g\n", i + 1, survey_place_words(&p[i], words), p[i].now);
}

static void set_point(struct draft *d, const struct survey_sight *sight, const struct survey_place *places, size_t n,
		      size_t chosen)
{
	size_t i = 0;

	while (i < d->count && d->points[i].point != sight->point)
		i++;
	if (sight->point < 0 || n == 0 || i == POINTS_MAX)
		return;
	d->points[i] = (struct survey_point){ sight->point, *sight, places[chosen], n - 1 };
	d->count += i == d->count;
	d->roles |= 1u << device_point((enum device_point)sight->point)->role;
}

static size_t ask_which(const struct draft *d, size_t n)
{
	int64_t number;

	for (;;) {
		auto_free char *line = cmd_ask_line(d->env, "Which one (0: none)", "1");

		if (line == NULL)
			return n;
		if (line[0] == '\0')
			return 0;
		if (parse_int(line, 0, (int64_t)n, &number))
			return number == 0 ? n : (size_t)number - 1;
	}
}

static void find(struct draft *d, const struct survey_sight *sight, bool ask)
{
	struct survey_place places[SURVEY_PLACES_MAX];
	size_t n = survey_find(d->survey, sight, places), chosen = 0;
	json_t *list = json_array(), *point;

	say_places(d, sight, places, n);
	if (ask && n > 1 && sight->point >= 0)
		chosen = ask_which(d, n);
	if (chosen < n)
		set_point(d, sight, places, n, chosen);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, place_json(&places[i]));
	point = sight->point >= 0 ? json_string(device_point((enum device_point)sight->point)->name) : json_null();
	json_array_append_new(d->found, json_pack("{s:s, s:o, s:f, s:o}", "said", sight->text, "point", point, "value",
						  sight->value, "places", list));
}

static int ask_sights(struct draft *d, struct err *e)
{
	fprintf(d->env->err,
		"Say what the device shows now, as grid-meter.voltage_l1_v=231.4V (psec-profile(5) has all points).\n");
	for (;;) {
		auto_free char *line = cmd_ask_line(d->env, "POINT=VALUE, empty to write the profile", "");
		struct survey_sight sight;

		if (line == NULL)
			return err_set(e, ERR_INTERRUPTED, 0, "nothing is written");
		if (line[0] == '\0')
			return 0;
		if (survey_sight_parse(line, &sight, e) < 0) {
			fprintf(d->env->err, "  %s\n", e->text);
			continue;
		}
		if (survey_read(d->survey, e) < 0 || survey_read(d->survey, e) < 0)
			return -1;
		find(d, &sight, true);
	}
}

/* ---- the profile ---- */

/* Is it one already? What is missing is told with its line, as `device show` will. */
static void say_next(const struct draft *d)
{
	const char *c = d->env->dir != NULL ? " -C " : "", *dir = d->env->dir != NULL ? d->env->dir : "";
	struct device_catalogue *all = NULL;
	struct diag_sink sink = { cmd_diag_to_stderr, d->env->err, 0 };
	struct err e;
	bool stands = device_catalogue_load(d->env->paths.profiles, &all, &sink, &e) == 0 &&
		      device_profile_find(all, d->id) != NULL;

	device_catalogue_free(all);
	fprintf(d->env->err, "wrote %s with %zu point%s\n", d->path, d->count, d->count == 1 ? "" : "s");
	if (!stands || d->count == 0)
		fprintf(d->env->err,
			"next: open it, set the points that are still comments, then `psec%s%s device show %s`\n", c,
			dir, d->id);
	else
		fprintf(d->env->err, "next: read it through, then `psec%s%s device test '%s' --profile %s`\n", c, dir,
			d->address, d->id);
}

static int write_profile(const struct draft *d, struct err *e)
{
	const struct options *o = d->options;
	const struct survey_draft draft = { .id = d->id, .make = o->make != NULL ? o->make : "",
					    .model = o->model != NULL ? o->model : "",
					    .roles = d->roles, .address = d->address, .day = d->day, .unit = d->at.unit,
					    .points = d->points, .count = d->count };
	auto_buf struct buf text = BUF_INIT;

	survey_profile(d->survey, &d->who, &draft, &text);
	if (o->to_stdout) {
		if (fwrite(text.data, 1, text.len, d->env->out) != text.len || fflush(d->env->out) != 0)
			return err_set(e, ERR_IO, errno, "cannot write to standard output");
		return 0;
	}
	if (access(d->path, F_OK) == 0) /* it came while we were asking */
		return err_set(e, ERR_REFUSED, 0, "'%s' is there already", d->path);
	if (dir_make(d->env->paths.profiles, 0755, e) < 0 || file_replace(d->path, text.data, text.len, 0644, e) < 0)
		return -1;
	say_next(d);
	return 0;
}

static int print_json(const struct draft *d, struct err *e)
{
	struct survey_range ranges[SURVEY_RANGES_MAX];
	size_t n = survey_ranges(d->survey, ranges);
	json_t *list = json_array(), *models = json_array(), *o;
	struct survey_summary sum;
	int rc;

	survey_sum_up(d->survey, &sum);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:i, s:i, s:i}", "function", ranges[i].function, "first",
						      ranges[i].first, "last", ranges[i].last));
	for (size_t i = 0; i < d->who.sunspec.model_count; i++)
		json_array_append_new(models, json_integer(d->who.sunspec.models[i].id));
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:o, s:O, s:o, s:o}", "address", d->address, "make",
		      d->who.identity.make, "model", d->who.identity.model, "serial", d->who.identity.serial, "version",
		      d->who.identity.version, "sunspec_models", models, "questions", (json_int_t)sum.asked,
		      "registers", (json_int_t)sum.registers, "ranges", list, "found", d->found, "stopped",
		      sum.stopped != NULL ? json_string(sum.stopped) : json_null(), "file",
		      d->options->to_stdout ? json_null() : json_string(d->path));
	rc = cmd_print_json(d->env, o, e);
	json_decref(o);
	return rc;
}

/* ---- run ---- */

/* A SunSpec device describes itself; a profile that fits is better than a new one. */
static bool is_known(const struct draft *d)
{
	const struct device_profile *p = d->who.sunspec.found ? device_sunspec_profile(d->catalogue, &d->who.sunspec)
							      : NULL;

	if (p == NULL || d->options->id != NULL)
		return false;
	fprintf(d->env->err,
		"%s %s shows itself by SunSpec, and profile '%s' fits: no profile needs to be written.\n"
		"next: `psec device test '%s'`; --id writes one all the same\n",
		d->who.identity.make, d->who.identity.model, device_profile_info(p)->id, d->address);
	return true;
}

static int work(struct draft *d, const struct survey_sight *sights, size_t count, struct err *e)
{
	if (look(d, e) < 0)
		return -1;
	if (is_known(d))
		return d->env->json ? print_json(d, e) : 0;
	if (!d->who.sunspec.found)
		say_found(d);
	for (size_t i = 0; i < count; i++)
		find(d, &sights[i], false);
	if (choose_id(d, e) < 0 || (d->env->interactive && count == 0 && !d->who.sunspec.found && ask_sights(d, e) < 0))
		return -1;
	if (write_profile(d, e) < 0)
		return -1;
	return d->env->json && !d->options->to_stdout ? print_json(d, e) : 0;
}

static int prepare(struct draft *d, const char *address, struct err *e)
{
	const struct options *o = d->options;
	const struct survey_options so = { .pause_ms = (int)o->pause_ms, .answer_ms = ANSWER_MS,
					   .patience_ms = o->seconds * 1000,
					   .questions = (uint32_t)o->questions, .interrupted = d->env->interrupted,
					   .step = show_step, .arg = d };
	enum site_role role;

	if (bus_address_parse(address, &d->at, e) < 0)
		return -1;
	if (!d->at.has_unit)
		d->at.unit = UNIT_DEFAULT;
	d->at.has_unit = true;
	bus_address_format(&d->at, d->address);
	time_format(now_read().utc_us, d->day);
	d->day[10] = '\0';
	if (o->role != NULL && !site_role_parse(o->role, &role))
		return err_set(e, ERR_USAGE, 0, "'%s' is no role; psec-site(5) lists them, as grid-meter", o->role);
	d->roles = o->role != NULL ? 1u << role : 0;
	if (o->id != NULL && place_for(d, o->id, e) < 0)
		return -1;
	if (device_refuse_polled(d->env, &d->at, e) < 0)
		return -1;
	return survey_new(&d->at, &so, &d->survey, e);
}

/* Asking takes minutes: where the profile is to go is known before. A folder that nobody made is somebody else's. */
static int has_place(const struct cmd_env *env, const struct options *o, struct err *e)
{
	if (o->to_stdout || access(env->paths.dir, F_OK) == 0)
		return 0;
	return err_set(e, ERR_INPUT, 0, "no site here for the profile: '%s' does not exist; `psec -C DIR device new` or "
		       "$PSEC_SITE names the site's folder, --stdout needs none", env->paths.dir);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct draft d = { .env = env, .options = options };
	struct survey_sight sights[POINTS_MAX];
	size_t count = 0;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (count == POINTS_MAX)
			return err_set(e, ERR_USAGE, 0, "at most %d values", POINTS_MAX);
		if (survey_sight_parse(argv[i], &sights[count++], e) < 0)
			return -1;
	}
	if (has_place(env, options, e) < 0 || device_load_profiles(env, &d.catalogue, e) < 0)
		return -1;
	d.found = json_array();
	rc = prepare(&d, argv[0], e);
	if (rc == 0)
		rc = work(&d, sights, count, e);
	survey_free(d.survey);
	json_decref(d.found);
	device_catalogue_free(d.catalogue);
	return rc;
}

static const struct options defaults = { .seconds = 120, .questions = 4000, .pause_ms = 5 };
#define OPT(field) offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "id", .type = CMD_TEXT, .offset = OPT(id), .value = "ID",
	  .summary = "of the profile; also its file's name" },
	{ .name = "make", .type = CMD_TEXT, .offset = OPT(make), .value = "TEXT", .summary = "who makes it" },
	{ .name = "model", .type = CMD_TEXT, .offset = OPT(model), .value = "TEXT", .summary = "what it is called" },
	{ .name = "role", .letter = 'r', .type = CMD_TEXT, .offset = OPT(role), .value = "ROLE",
	  .summary = "list this role's points in the profile", .complete = "role" },
	{ .name = "range", .type = CMD_TEXT, .offset = OPT(range), .value = "RANGES",
	  .summary = "look through these, as 3:0-199,4:1000-1099" },
	{ .name = "questions", .type = CMD_INT, .offset = OPT(questions), .value = "N", .min = 10, .max = 200000,
	  .summary = "ask at most so many" },
	{ .name = "seconds", .letter = 's', .type = CMD_INT, .offset = OPT(seconds), .value = "N", .min = 1,
	  .max = 3600,
	  .summary = "take at most so long" },
	{ .name = "pause", .type = CMD_DURATION, .offset = OPT(pause_ms), .value = "TIME", .min = 0, .max = 5000,
	  .summary = "wait before each question" },
	{ .name = "stdout", .type = CMD_FLAG, .offset = OPT(to_stdout),
	  .summary = "write the profile there, not into the site" },
};
static const struct cmd_arg args[] = { { "ADDRESS", true, false, NULL }, { "[POINT=]VALUE", false, true, "point" } };
const struct cmd cmd_device_new = {
	.name = "new", .summary = "begin a profile for a device that psec does not know",
	.more = "Asks the device who it is, finds the registers that answer, and looks for the\n"
		"values that you read on its display, in two readings. What is found becomes a\n"
		"commented profile in the site's folder profiles/. Only reads are sent, paced and\n"
		"bounded; with the maker's table at hand, --range is quickest. On a terminal it\n"
		"asks for values one by one.",
	.example = "psec device new tcp://192.168.1.20#1 --id acme-m3 --role grid-meter\n"
		   "psec device new tcp://192.168.1.20#1 --id acme-m3 --range 4:0-99 \\\n"
		   "  grid-meter.voltage_l1_v=231.4V grid-meter.power_w=1234W",
	.opts = opts, .opt_count = COUNT_OF(opts), .args = args, .arg_count = COUNT_OF(args),
	.flags = CMD_JSON, .defaults = &defaults, .options_size = sizeof(struct options), .run = run,
};
