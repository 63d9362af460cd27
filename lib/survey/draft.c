/* The profile to begin with: what was found, what was measured, and what a person has still to say. */
#include <math.h>
#include <string.h>

#include "survey/inside.h"

enum { LINE_REGS = 8, ROWS_MAX = 400 };

/* A YAML text in double quotes; what comes from a device or a person is not trusted to be plain. */
static void add_quoted(struct buf *b, const char *s)
{
	buf_adds(b, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_adds(b, "\\");
		buf_add(b, (unsigned char)*s < 0x20 || *s == 0x7f ? " " : s, 1);
	}
	buf_adds(b, "\"");
}

static void add_comment(struct buf *b, const char *s)
{
	char clean[256];

	str_printable(clean, sizeof clean, s, strlen(s));
	buf_adds(b, clean);
}

static const char *or_else(const char *a, const char *b, const char *c)
{
	return a[0] ? a : b[0] ? b : c;
}

static void add_head(struct buf *b, const struct survey *s, const struct survey_identity *who,
		     const struct survey_draft *d)
{
	struct survey_summary sum;

	survey_sum_up(s, &sum);
	buf_addf(b, "# Begun by `psec device new` at %s on %s. psec-profile(5) explains every key.\n", d->address,
		 d->day);
	if (who->how[0]) {
		buf_addf(b, "# It says who it is by %s: ", who->how);
		add_comment(b, who->identity.make);
		buf_adds(b, ", ");
		add_comment(b, who->identity.model);
		buf_adds(b, ", serial ");
		add_comment(b, who->identity.serial[0] ? who->identity.serial : "not told");
		buf_adds(b, "\n");
	}
	if (who->report[0]) {
		buf_adds(b, "# To FC 17 it answers: ");
		add_comment(b, who->report);
		buf_adds(b, "\n");
	}
	buf_addf(b, "psec-profile: 1\nid: %s\nmake: ", d->id);
	add_quoted(b, or_else(d->make, who->identity.make, "maker"));
	buf_adds(b, "\nmodel: ");
	add_quoted(b, or_else(d->model, who->identity.model, "model"));
	buf_adds(b, "\nsource: ");
	buf_addf(b, "\"looked at live on %s\"   # then: the maker's register table, its revision and page\n", d->day);
	buf_addf(b, "units: [%u]\n", d->unit);
	if (!who->sunspec.found)
		buf_addf(b, "block: {max: %u, gap: 0}   # the longest answer seen had %u registers\n",
			 sum.longest_read > 64 ? 64 : sum.longest_read > 0 ? sum.longest_read : 64, sum.longest_read);
	buf_addf(b,
		 "timing: {poll: 1s, answer: %.0fms}   # half of the answers came within %.1f ms, all within %.1f ms\n",
		 clamp_real((double)sum.slowest_us * 3 / 1e3, 500, 5000), (double)sum.p50_us / 1e3,
		 (double)sum.slowest_us / 1e3);
}

static void add_sunspec(struct buf *b, const struct device_sunspec *f)
{
	buf_addf(b, "kind: sunspec   # at %u, models", f->base);
	for (size_t i = 0; i < f->model_count; i++)
		buf_addf(b, " %u", f->models[i].id);
	buf_adds(b, "\nsunspec:\n  needs:\n");
	for (size_t i = 0; i < f->model_count && i < 8; i++)
		if (f->models[i].id > 99)
			buf_addf(b, "    - [%u]\n", f->models[i].id);
	buf_adds(b, "# points are {model: 203, point: W}, as SunSpec's tables of these models name them\n");
}

/* A text is a better sign of a device than a number that looks right; none may stand still for long by chance, but
 * zeros do. */
static void add_signs(struct buf *b, const struct survey_identity *who)
{
	if (who->sunspec.found)
		return;
	buf_adds(b, "# How a device of this model is recognised by `psec scan`. A register that always holds the same "
		    "number or text,\n"
		    "# such as the model's code in the maker's table, is a signature; values that look right are only "
		    "plausible:\n"
		    "# signature:\n#   - {function: 3, address: 0, equals: 0x1234, what: model}\n"
		    "# plausible:\n#   - {function: 3, address: 0, scale: 0.1, min: 180, max: 260, what: voltage, "
		    "unit: V}\n"
		    "# identity:\n#   serial: {function: 3, address: 0, type: text, count: 8}\n");
}

static void add_point(struct buf *b, const struct survey_point *p)
{
	char words[120], now[32];

	snprintf(now, sizeof now, "%.10g", p->place.now);
	buf_addf(b, "  %s: %s   # shows %s, its display ", device_point((enum device_point)p->point)->name,
		 survey_place_words(&p->place, words), now);
	add_comment(b, p->sight.text);
	if (p->others > 0)
		buf_addf(b, "; %zu other%s would fit", p->others, p->others == 1 ? "" : "s");
	buf_adds(b, "\n");
}

static bool is_set(const struct survey_draft *d, int point)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->points[i].point == point)
			return true;
	return false;
}

static const char *sign_words(enum site_role r)
{
	switch (r) {
	case SITE_GRID_METER:
		return ", import is positive";
	case SITE_BATTERY_INVERTER: case SITE_BMS:
		return ", discharge is positive";
	case SITE_LOAD_METER:
		return ", consumption is positive";
	default:
		return ", production is positive";
	}
}

/* The rest of a map usually lies as its first value does. */
static void add_missing(struct buf *b, const struct survey_draft *d, bool sunspec)
{
	const struct survey_place usual = { .function = BUS_READ_HOLDING, .type = DEVICE_UINT16 };
	const struct survey_place *like = d->count > 0 ? &d->points[0].place : &usual;

	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *p = device_point((enum device_point)i);

		if (!(d->roles & 1u << p->role) || is_set(d, i))
			continue;
		buf_addf(b, "  # %s: ", p->name);
		if (sunspec)
			buf_adds(b, "{model: , point: }");
		else
			buf_addf(b, "{function: %u, address: , type: %s%s, scale: 1}", like->function,
				 device_type_name(like->type),
				 like->order == DEVICE_LOW_FIRST ? ", order: low-first" : "");
		buf_addf(b, "   # %s%s%s%s\n", p->unit[0] ? p->unit : "a number", p->required ? ", required" : "",
			 p->directed ? sign_words(p->role) : "", p->writable ? ", can be set under writes:" : "");
	}
}

static void add_registers(struct buf *b, const struct survey *s)
{
	struct survey_range ranges[SURVEY_RANGES_MAX];
	size_t n = survey_ranges(s, ranges), rows = 0;

	buf_adds(b, "\n# What answered, as it stood at the second reading:\n");
	for (size_t i = 0; i < n && rows < ROWS_MAX; i++) {
		buf_addf(b, "# %s (function %u), %u…%u\n", ranges[i].function == BUS_READ_INPUT ? "input" : "holding",
			 ranges[i].function, ranges[i].first, ranges[i].last);
		for (uint32_t a = ranges[i].first; a <= ranges[i].last && rows < ROWS_MAX; a += LINE_REGS, rows++) {
			buf_addf(b, "#   %5u:", a);
			for (uint32_t k = a; k < a + LINE_REGS && k <= ranges[i].last; k++)
				buf_addf(b, " %04x", s->banks[ranges[i].function]->now[k]);
			buf_adds(b, "\n");
		}
	}
	if (rows >= ROWS_MAX)
		buf_adds(b, "# … and more; `psec device new --range` looks at one part\n");
}

void survey_profile(const struct survey *s, const struct survey_identity *who, const struct survey_draft *d,
		    struct buf *text)
{
	add_head(text, s, who, d);
	if (who->sunspec.found)
		add_sunspec(text, &who->sunspec);
	else
		add_signs(text, who);
	buf_addf(text, "points:%s\n",
		 d->count > 0 ? "" : "   # take away the # of those that you know, and say where they lie");
	for (size_t i = 0; i < d->count; i++)
		add_point(text, &d->points[i]);
	add_missing(text, d, who->sunspec.found);
	if (!who->sunspec.found)
		add_registers(text, s);
}
