/* Where the points of a SunSpec model lie on one device: the model's own points, then its groups, repeated as often as
 * the device says or its length allows. Nothing here reaches beyond the length, whatever the counts say. */
#include <string.h>

#include "device/parts.h"

struct lay {
	const struct sunspec_model *m;
	const uint16_t *regs;          /* NULL: counts follow from the length */
	uint32_t length;
	sunspec_place_fn *fn;
	void *arg;
	bool stop;
};

static bool is_child(const struct sunspec_model *m, size_t group, size_t parent)
{
	return m->groups[group].parent == (int)parent;
}

/* Registers of one instance; 0 when that depends on counts. */
static uint32_t span_of(const struct sunspec_model *m, size_t group)
{
	uint32_t span = m->groups[group].size;

	for (size_t g = group + 1; g < m->group_count; g++) {
		uint32_t inner = is_child(m, g, group) ? span_of(m, g) : 0;

		if (!is_child(m, g, group))
			continue;
		if (inner == 0 || m->groups[g].repeat != REPEAT_ONCE)
			return 0;
		span += inner;
	}
	return span;
}

/* The point of this name in the group or, from there outwards, around it; its offset, when groups repeat, in at. */
static const struct sunspec_point *find_around(const struct sunspec_model *m, int group, const char *name)
{
	for (; group >= 0; group = m->groups[group].parent) {
		const struct sunspec_group *g = &m->groups[group];

		for (size_t i = g->first; i < g->first + g->points; i++)
			if (str_eq(m->points[i].name, name))
				return &m->points[i];
	}
	return NULL;
}

static uint32_t count_of(const struct lay *l, size_t group, uint32_t at)
{
	const struct sunspec_group *g = &l->m->groups[group];
	const struct sunspec_point *count;
	uint32_t span = span_of(l->m, group), most = at < l->length && span > 0 ? (l->length - at) / span : 0;

	if (g->repeat == REPEAT_ONCE)
		return 1;
	if (g->repeat == REPEAT_TO_END || l->regs == NULL)
		return most;
	count = find_around(l->m, 0, g->count);
	if (count == NULL || count->group != 0 || count->offset < 2 || count->offset - 2u >= l->length ||
	    l->regs[count->offset - 2] == 0xFFFF)
		return 0;
	return l->regs[count->offset - 2]; /* its end is looked for at every instance */
}

static int sf_offset(const struct lay *l, const struct sunspec_point *p, uint32_t at)
{
	const struct sunspec_point *sf = p->sf[0] != '\0' ? find_around(l->m, p->group, p->sf) : NULL;
	uint32_t offset;

	if (sf == NULL || !sf->is_sf || (sf->group != p->group && sf->group != 0))
		return -1;
	offset = sf->group == 0 ? sf->offset - 2u : at + sf->offset;
	return offset < l->length ? (int)offset : -1;
}

/* One instance of a group from register at; returns where it ends. */
static uint32_t lay_group(struct lay *l, size_t group, uint32_t at, const char *prefix)
{
	const struct sunspec_group *g = &l->m->groups[group];
	uint32_t first = group == 0 ? 2 : 0; /* id and length are before the model's registers */

	for (size_t i = g->first; i < g->first + g->points && !l->stop; i++) {
		const struct sunspec_point *p = &l->m->points[i];
		struct place here = { .point = p };

		if (p->offset < first || at + p->offset - first + p->size > l->length)
			continue;
		here.offset = (uint16_t)(at + p->offset - first);
		here.sf_offset = sf_offset(l, p, at);
		if ((size_t)snprintf(here.name, sizeof here.name, "%s%s", prefix, p->name) < sizeof here.name)
			l->fn(l->arg, &here);
	}
	at += g->size - first;
	for (size_t c = group + 1; c < l->m->group_count; c++) {
		uint32_t n = is_child(l->m, c, group) ? count_of(l, c, at) : 0;

		for (uint32_t k = 0; k < n && at < l->length && !l->stop; k++) {
			char name[2 * PARTS_PATH]; /* what does not fit a place's name is no place */

			if (l->m->groups[c].repeat == REPEAT_ONCE)
				snprintf(name, sizeof name, "%.60s%.31s.", prefix, l->m->groups[c].name);
			else
				snprintf(name, sizeof name, "%.60s%.31s[%u].", prefix, l->m->groups[c].name, k + 1);
			at = lay_group(l, c, at, name);
		}
	}
	return at;
}

void sunspec_places(const struct sunspec_model *m, const uint16_t *regs, uint16_t length, sunspec_place_fn *fn,
		    void *arg)
{
	struct lay l = { m, regs, length, fn, arg, false };

	lay_group(&l, 0, 0, "");
}

/* Does name, "module[2].DCW", fit pattern, "module[*].DCW"? */
static bool fits(const char *pattern, const char *name)
{
	const char *star = strstr(pattern, "[*]");
	size_t head = star != NULL ? (size_t)(star - pattern) : 0;
	const char *close;

	if (star == NULL)
		return str_eq(pattern, name);
	if (strncmp(pattern, name, head) != 0 || name[head] != '[' || (close = strchr(name + head, ']')) == NULL)
		return false;
	return str_eq(star + 3, close + 1);
}

struct search { const char *pattern; size_t wanted, seen; struct place *out; struct lay *lay; };

static void compare(void *arg, const struct place *p)
{
	struct search *s = arg;

	if (!fits(s->pattern, p->name) || s->seen++ != s->wanted)
		return;
	*s->out = *p;
	s->lay->stop = true;
}

bool sunspec_place(const struct sunspec_model *m, uint16_t length, const char *pattern, size_t n, struct place *out)
{
	struct search s = { pattern, n, 0, out, NULL };
	struct lay l = { m, NULL, length, compare, &s, false };

	s.lay = &l;
	lay_group(&l, 0, 0, "");
	return l.stop;
}

/* Cut "module[2].DCW" after its first part; the index in it, 0 when there is none, -1 for [*], -2 for no number. */
static const char *cut_part(const char *at, char name[PARTS_PATH], int *index)
{
	const char *dot = strchr(at, '.');
	size_t len = dot != NULL ? (size_t)(dot - at) : strlen(at);
	char *bracket;
	int64_t n = 0;

	snprintf(name, PARTS_PATH, "%.*s", (int)len, at);
	*index = 0;
	bracket = strchr(name, '[');
	if (bracket != NULL && name[len - 1] == ']') {
		name[len - 1] = '\0';
		*index = str_eq(bracket + 1, "*") ? -1 : parse_int(bracket + 1, 1, 999, &n) ? (int)n : -2;
		*bracket = '\0';
	}
	return dot != NULL ? dot + 1 : NULL;
}

const char *sunspec_pattern_fault(const struct sunspec_model *m, const char *pattern)
{
	char name[PARTS_PATH];
	size_t group = 0;
	int index;

	for (const char *rest = pattern; rest != NULL;) {
		bool repeated = m->groups[group].repeat != REPEAT_ONCE, found = false;

		rest = cut_part(rest, name, &index);
		if (rest == NULL) {
			for (size_t i = 0; i < m->groups[group].points; i++)
				found |= str_eq(m->points[m->groups[group].first + i].name, name);
			return found && index == 0 ? NULL : "is no point of the model";
		}
		for (size_t g = group + 1; g < m->group_count && !found; g++)
			if (is_child(m, g, group) && str_eq(m->groups[g].name, name)) {
				found = true;
				group = g;
			}
		if (!found)
			return "names a group that the model does not have";
		if ((m->groups[group].repeat != REPEAT_ONCE) != (index != 0) || index == -2)
			return m->groups[group].repeat != REPEAT_ONCE
				       ? "needs the group's number, as in Prt[1], or Prt[*]"
				       : "gives a number to a group that is there once";
		if (repeated || (m->groups[group].repeat != REPEAT_ONCE && span_of(m, group) == 0))
			return "lies in a group whose place depends on what the device counts; no point can be there";
	}
	return "is no point of the model";
}
