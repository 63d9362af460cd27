/* A profile: YAML in, struct device_profile out. psec-profile(5) documents the keys. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

void profile_free(struct device_profile *p)
{
	if (p == NULL)
		return;
	free(p->id);
	free(p->make);
	free(p->model);
	free(p->source);
	free(p->note);
	free(p->file);
	for (size_t i = 0; i < p->point_count; i++)
		expr_free(p->points[i].expr);
	for (size_t i = 0; i < p->write_count; i++)
		for (size_t k = 0; k < p->writes[i].step_count; k++)
			expr_free(p->writes[i].steps[k].percent_of);
	free(p->writes);
	for (size_t i = 0; i < IDENTITY_PARTS; i++)
		expr_free(p->identity[i]);
	free(p);
}

int profile_each(const struct device_profile *p, source_fn *fn, void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->point_count; i++)
		r = expr_each(p->points[i].expr, fn, arg);
	for (size_t i = 0; r == 0 && i < p->write_count; i++)
		for (size_t k = 0; r == 0 && k < p->writes[i].step_count; k++)
			if ((r = fn(arg, &p->writes[i].steps[k].target)) == 0)
				r = expr_each(p->writes[i].steps[k].percent_of, fn, arg);
	for (size_t i = 0; r == 0 && i < IDENTITY_PARTS; i++)
		r = expr_each(p->identity[i], fn, arg);
	return r;
}

static void read_head(struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	static const char *const kinds[] = { "registers", "sunspec", NULL };
	const char *id = "", *make = "", *model = "", *source = "", *note = "";
	int64_t version = 0;
	int kind = 0;

	conf_read_int(p->conf, root, "psec-profile", true, 1, 1, &version, p->sink);
	conf_read_text(p->conf, root, "id", true, 47, &id, p->sink);
	conf_read_text(p->conf, root, "make", true, 32, &make, p->sink);
	conf_read_text(p->conf, root, "model", true, 64, &model, p->sink);
	conf_read_text(p->conf, root, "source", true, 1000, &source, p->sink);
	conf_read_text(p->conf, root, "note", false, 2000, &note, p->sink);
	conf_read_choice(p->conf, root, "kind", false, kinds, &kind, p->sink);
	if (id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		conf_report(p->conf, conf_get(root, "id"), p->sink, "is %s, may have a-z, 0-9 and -", id);
	p->sunspec = out->info.sunspec = kind == 1;
	out->id = xstrdup(id);
	out->make = xstrdup(make);
	out->model = xstrdup(model);
	out->source = xstrdup(source);
	out->note = xstrdup(note);
	out->file = xstrdup(conf_name(p->conf));
}

/* Not there is well, too; anything else than a map is not. */
static bool is_map(const struct parse *p, const struct conf_node *n)
{
	return n == NULL || n->kind == CONF_MAP || parse_fault(p, n, "must be a map of keys and values");
}

static void read_units(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	const struct conf_node *units = conf_get(root, "units");
	int64_t unit;

	if (units == NULL) {
		out->units[out->info.unit_count++] = 1;
		return;
	}
	if (units->kind != CONF_LIST || units->count == 0 || units->count > PARTS_UNITS) {
		conf_report(p->conf, units, p->sink, "must be a list of 1…%d units", PARTS_UNITS);
		return;
	}
	for (const struct conf_node *k = units->first; k != NULL; k = k->next) {
		if (k->kind != CONF_SCALAR || !parse_int(k->text, 0, 255, &unit) || (unit > 247 && unit < 255))
			conf_report(p->conf, k, p->sink, "is %s, must be a unit, 0…247 or 255",
				    k->kind == CONF_SCALAR ? k->text : "no number");
		else
			out->units[out->info.unit_count++] = (uint8_t)unit;
	}
}

static void read_timing(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	static const char *const keys[] = { "meter_period", "meter_delay", "dead_time", "lag", "ramp_w_per_s",
					    "watchdog",
					    "write_interval", "poll", "answer", "pause", NULL };
	static const char *const block_keys[] = { "max", "gap", NULL };
	struct device_timing *t = &out->info.timing;
	const struct conf_node *n = conf_get(root, "timing"), *block = conf_get(root, "block");
	int64_t max = out->info.sunspec ? BUS_READ_MAX : 64, gap = out->info.sunspec ? 8 : 0;

	*t = (struct device_timing){ .meter_period_ms = 1000, .dead_time_ms = 500, .lag_ms = 1000,
				     .ramp_w_per_s = INFINITY,
				     .poll_ms = 1000, .answer_ms = 1000 };
	if (n != NULL && is_map(p, n)) {
		conf_refuse_unknown(p->conf, n, keys, p->sink);
		conf_read_duration(p->conf, n, "meter_period", false, 1, 60000, &t->meter_period_ms, p->sink);
		conf_read_duration(p->conf, n, "meter_delay", false, 0, 60000, &t->meter_delay_ms, p->sink);
		conf_read_duration(p->conf, n, "dead_time", false, 0, 60000, &t->dead_time_ms, p->sink);
		conf_read_duration(p->conf, n, "lag", false, 0, 60000, &t->lag_ms, p->sink);
		conf_read_real(p->conf, n, "ramp_w_per_s", false, 1, 1e9, &t->ramp_w_per_s, p->sink);
		conf_read_duration(p->conf, n, "watchdog", false, 0, 86400000, &t->watchdog_ms, p->sink);
		conf_read_duration(p->conf, n, "write_interval", false, 0, 60000, &t->write_interval_ms, p->sink);
		conf_read_duration(p->conf, n, "poll", false, 10, 60000, &t->poll_ms, p->sink);
		conf_read_duration(p->conf, n, "answer", false, 10, 30000, &t->answer_ms, p->sink);
		conf_read_duration(p->conf, n, "pause", false, 0, 10000, &t->pause_ms, p->sink);
	}
	if (block != NULL && is_map(p, block)) {
		conf_refuse_unknown(p->conf, block, block_keys, p->sink);
		conf_read_int(p->conf, block, "max", false, 1, BUS_READ_MAX, &max, p->sink);
		conf_read_int(p->conf, block, "gap", false, 0, BUS_READ_MAX, &gap, p->sink);
	}
	out->info.block_max = (uint16_t)max;
	out->info.block_gap = (uint16_t)gap;
}

static void read_defaults(struct parse *p, const struct conf_node *root)
{
	static const char *const keys[] = { "function", "type", "order", NULL };
	const struct conf_node *n = conf_get(root, "defaults");
	int64_t function = 0;

	p->defaults.scale = 1;
	p->defaults.type = DEVICE_UINT16;
	if (n == NULL || !is_map(p, n))
		return;
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	conf_read_int(p->conf, n, "function", false, 3, 4, &function, p->sink);
	parse_form(p, n, false, &p->defaults);
	p->defaults.function = (uint8_t)function;
}

static void read_identity(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	static const char *const keys[] = { "make", "model", "serial", "version", NULL };
	const struct conf_node *n = conf_get(root, "identity");

	if (n == NULL || !is_map(p, n))
		return;
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	for (size_t i = 0; i < IDENTITY_PARTS; i++) {
		const struct conf_node *k = conf_get(n, keys[i]);

		if (k != NULL)
			out->identity[i] = parse_expr(p, k, PARTS_DEPTH);
		if (out->identity[i] != NULL && out->identity[i]->kind != EXPR_VALUE)
			conf_report(p->conf, k, p->sink, "must be one value");
	}
}

static void read_conditions(const struct parse *p, const struct conf_node *root, const char *key,
			    struct device_profile *out)
{
	const struct conf_node *n = conf_get(root, key);

	if (n == NULL)
		return;
	if (n->kind != CONF_LIST || out->condition_count + n->count > PARTS_CONDITIONS) {
		conf_report(p->conf, n, p->sink, "must be a list; signature and plausible have at most %d together",
			    PARTS_CONDITIONS);
		return;
	}
	for (const struct conf_node *k = n->first; k != NULL; k = k->next) {
		struct condition *c = &out->conditions[out->condition_count];

		if (!parse_condition(p, k, c))
			continue;
		out->probes[out->condition_count++] =
			(struct device_probe){ c->source.function, c->source.address, c->source.count };
	}
}

static void read_sunspec(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	static const char *const keys[] = { "needs", "likes", "propose", NULL };
	const struct conf_node *n = conf_get(root, "sunspec"), *needs, *likes;
	bool propose = true;

	if (n == NULL) {
		if (p->sunspec)
			conf_report(p->conf, root, p->sink,
				    "sunspec.needs is missing: the models by which the device is known");
		return;
	}
	if (!is_map(p, n))
		return;
	if (!p->sunspec)
		conf_report(p->conf, n, p->sink, "is only for kind: sunspec");
	conf_refuse_unknown(p->conf, n, keys, p->sink);
	conf_read_bool(p->conf, n, "propose", false, &propose, p->sink);
	out->by_hand = !propose;
	needs = conf_get(n, "needs");
	likes = conf_get(n, "likes");
	if (needs == NULL || needs->kind != CONF_LIST || needs->count == 0 || needs->count > PARTS_GROUPS) {
		conf_report(p->conf, n, p->sink, "needs must be a list of 1…%d lists of models", PARTS_GROUPS);
		return;
	}
	for (const struct conf_node *k = needs->first; k != NULL; k = k->next)
		if (parse_models(p, k, out->needs[out->need_count].models, &out->needs[out->need_count].count))
			out->need_count++;
	if (likes != NULL && !parse_models(p, likes, out->likes, &out->like_count))
		out->like_count = 0;
}

static void read_points(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	static const char *const rates[] = { "fast", "normal", "slow", "once", NULL };
	const struct conf_node *n = conf_get(root, "points");

	if (n == NULL || n->kind != CONF_MAP || n->count == 0) {
		conf_report(p->conf, n != NULL ? n : root, p->sink, "%s a map of role.point to where it lies",
			    n == NULL ? "points is missing:" : n->kind == CONF_MAP ? "is empty, must be" : "must be");
		return;
	}
	for (const struct conf_node *k = n->first; k != NULL; k = k->next) {
		int point = strchr(k->key, '.') != NULL ? device_point_find(SITE_GRID_METER, k->key) : -1;
		struct point_def *d = &out->points[out->point_count];
		int rate;

		if (point < 0) {
			conf_report(p->conf, k, p->sink, "is no point of any role; psec-profile(5) lists them");
			continue;
		}
		rate = (int)point_rate((enum device_point)point);
		if (k->kind == CONF_MAP)
			conf_read_choice(p->conf, k, "rate", false, rates, &rate, p->sink);
		*d = (struct point_def){ (enum device_point)point, (enum device_rate)rate, parse_expr(p, k, 0),
					 k->line };
		if (d->expr != NULL)
			out->point_count++;
		out->info.roles |= 1u << device_point(d->point)->role; /* meant, even when faulty: no second report */
	}
}

static void read_writes(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	const struct conf_node *n = conf_get(root, "writes");

	if (!is_map(p, n))
		return;

	for (const struct conf_node *k = n != NULL ? n->first : NULL; k != NULL; k = k->next) {
		int point = k->key != NULL && strchr(k->key, '.') != NULL ? device_point_find(SITE_GRID_METER, k->key)
									  : -1;
		struct write_def *d;

		if (point < 0 || !device_point((enum device_point)point)->writable) {
			conf_report(p->conf, k, p->sink, "is no point that may be written");
			continue;
		}
		if (k->kind != CONF_LIST || k->count == 0 || k->count > DEVICE_WRITES_MAX) {
			conf_report(p->conf, k, p->sink, "must be a list of 1…%d writes", DEVICE_WRITES_MAX);
			continue;
		}
		out->writes = xrealloc(out->writes, out->write_count + 1, sizeof *out->writes);
		d = &out->writes[out->write_count++];
		*d = (struct write_def){ .point = (enum device_point)point, .min = NAN, .max = NAN, .line = k->line };
		for (const struct conf_node *s = k->first; s != NULL; s = s->next)
			if (parse_step(p, s, &d->steps[d->step_count]))
				d->step_count++;
	}
}

static bool has_point(const struct device_profile *p, enum device_point point)
{
	for (size_t i = 0; i < p->point_count; i++)
		if (p->points[i].point == point)
			return true;
	return false;
}

/* A range for what the profile writes: in numbers, or in points that the device shows. Nothing is written without. */
static void read_ranges(const struct parse *p, const struct conf_node *root, struct device_profile *out)
{
	static const char *const keys[] = { "min", "max", NULL };
	const struct conf_node *n = conf_get(root, "ranges"), *writes = conf_get(root, "writes");

	if (!is_map(p, n))
		return;

	for (const struct conf_node *k = n != NULL ? n->first : NULL; k != NULL; k = k->next) {
		struct write_def *d = NULL;
		bool ok;

		for (size_t i = 0; i < out->write_count; i++)
			if (k->key != NULL && str_eq(device_point(out->writes[i].point)->name, k->key))
				d = &out->writes[i];
		if (d == NULL && writes != NULL && writes->kind == CONF_MAP && conf_get(writes, k->key) != NULL)
			continue; /* that one is faulty, and said to be */
		if (d == NULL || k->kind != CONF_MAP) {
			parse_fault(p, k, "must be a point of writes and its {min: N, max: N}");
			continue;
		}
		conf_refuse_unknown(p->conf, k, keys, p->sink);
		ok = conf_read_real(p->conf, k, "min", true, device_point(d->point)->min, 0, &d->min, p->sink);
		ok &= conf_read_real(p->conf, k, "max", true, 0, device_point(d->point)->max, &d->max, p->sink);
		if (!ok)
			d->min = d->max = 0; /* said already */
	}
	for (size_t i = 0; i < out->write_count; i++)
		if (isnan(out->writes[i].min) && (!has_point(out, POINT_BATTERY_CHARGE_RATING_W) ||
						  !has_point(out, POINT_BATTERY_DISCHARGE_RATING_W)))
			diag_report(p->sink, conf_name(p->conf), out->writes[i].line, "writes",
				    "%s has no range: needs the points battery-inverter.charge_rating_w and "
				    "discharge_rating_w, "
				    "or ranges: {%s: {min: -W, max: W}}",
				    device_point(out->writes[i].point)->name, device_point(out->writes[i].point)->name);
}

static void check_roles(const struct parse *p, const struct conf_node *root, const struct device_profile *out)
{
	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *info = device_point((enum device_point)i);
		const struct conf_node *points = conf_get(root, "points");

		if (info->required && out->info.roles & 1u << info->role && points != NULL &&
		    conf_get(points, info->name) == NULL)
			conf_report(p->conf, points, p->sink, "role %s needs %s", site_role_name(info->role),
				    info->name);
	}
}

struct device_profile *profile_parse(const char *text, size_t len, const char *file, struct diag_sink *sink)
{
	static const char *const keys[] = { "psec-profile", "id", "make", "model", "source", "note", "kind", "units",
					    "block", "timing", "defaults", "identity", "signature", "plausible",
					    "sunspec", "points", "writes", "ranges", NULL };
	auto_conf struct conf *c = conf_parse(text, len, file, sink);
	const struct conf_node *root = c != NULL ? conf_root(c) : NULL;
	struct parse p = { .conf = c, .sink = sink };
	int before = sink->count;
	struct device_profile *out;

	if (c == NULL)
		return NULL;
	if (root == NULL || root->kind != CONF_MAP) {
		conf_report(c, root, sink, "is no profile: must be a map that begins with psec-profile: 1");
		return NULL;
	}
	out = xcalloc(1, sizeof *out);
	conf_refuse_unknown(c, root, keys, sink);
	read_head(&p, root, out);
	read_units(&p, root, out);
	read_timing(&p, root, out);
	read_defaults(&p, root);
	read_identity(&p, root, out);
	read_conditions(&p, root, "signature", out);
	out->signature_count = out->condition_count;
	read_conditions(&p, root, "plausible", out);
	read_sunspec(&p, root, out);
	read_points(&p, root, out);
	read_writes(&p, root, out);
	read_ranges(&p, root, out);
	check_roles(&p, root, out);
	check_overlap(&p, out);
	if (sink->count > before) {
		profile_free(out);
		return NULL;
	}
	out->info.id = out->id;
	out->info.make = out->make;
	out->info.model = out->model;
	out->info.source = out->source;
	out->info.note = out->note;
	out->info.file = out->file;
	out->info.units = out->units;
	return out;
}
