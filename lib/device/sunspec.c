/* SunSpec's models (JSON data of the SunSpec Alliance, see sunspec/NOTICE.md). How its points lie: places.c. */
#include <jansson.h>
#include <string.h>

#include "device/parts.h"

enum { POINTS_MAX = 1024, GROUPS_MAX = 32 };

/* How SunSpec types read, and their mark for "not implemented" (Device Information Model Specification 1.1, 4.2). */
static const struct sun_type {
	const char *name;
	enum device_type type;
	bool has_absent;
	uint64_t absent;
} sun_types[] = {
	{ "int16", DEVICE_INT16, true, 0x8000 },
	{ "uint16", DEVICE_UINT16, true, 0xFFFF },
	{ "enum16", DEVICE_UINT16, true, 0xFFFF },
	{ "bitfield16", DEVICE_UINT16, true, 0xFFFF },
	{ "count", DEVICE_UINT16, true, 0xFFFF },
	{ "acc16", DEVICE_UINT16, false, 0 }, /* an accumulator's mark is 0, which is also an honest beginning */
	{ "pad", DEVICE_UINT16, true, 0x8000 },
	{ "sunssf", DEVICE_INT16, true, 0x8000 },
	{ "int32", DEVICE_INT32, true, 0x80000000 },
	{ "uint32", DEVICE_UINT32, true, 0xFFFFFFFF },
	{ "enum32", DEVICE_UINT32, true, 0xFFFFFFFF },
	{ "bitfield32", DEVICE_UINT32, true, 0xFFFFFFFF },
	{ "acc32", DEVICE_UINT32, false, 0 },
	{ "int64", DEVICE_INT64, true, 0x8000000000000000 },
	{ "uint64", DEVICE_UINT64, true, 0xFFFFFFFFFFFFFFFF },
	{ "bitfield64", DEVICE_UINT64, true, 0xFFFFFFFFFFFFFFFF },
	{ "acc64", DEVICE_UINT64, false, 0 },
	{ "float32", DEVICE_FLOAT32, false, 0 }, /* NaN */
	{ "float64", DEVICE_FLOAT64, false, 0 },
	{ "string", DEVICE_TEXT, false, 0 },
	{ "ipaddr", DEVICE_UINT32, true, 0 },
};

static const struct sun_type *find_type(const char *name)
{
	for (size_t i = 0; name != NULL && i < COUNT_OF(sun_types); i++)
		if (str_eq(sun_types[i].name, name))
			return &sun_types[i];
	return NULL; /* eui48, ipv6addr: no number, never asked for */
}

static bool read_point(const json_t *j, struct sunspec_point *out)
{
	const char *name = json_string_value(json_object_get(j, "name"));
	const char *type = json_string_value(json_object_get(j, "type"));
	const char *access = json_string_value(json_object_get(j, "access"));
	const char *units = json_string_value(json_object_get(j, "units"));
	const json_t *sf = json_object_get(j, "sf");
	json_int_t size = json_integer_value(json_object_get(j, "size"));
	const struct sun_type *t = find_type(type);

	if (name == NULL || type == NULL || size < 1 || size > 64)
		return false;
	str_copy(out->name, sizeof out->name, name);
	str_copy(out->units, sizeof out->units, units != NULL ? units : "");
	out->size = (uint16_t)size;
	out->type = t != NULL ? t->type : DEVICE_TEXT;
	out->has_absent = t != NULL && t->has_absent;
	out->absent = t != NULL ? t->absent : 0;
	out->is_sf = str_eq(type, "sunssf");
	out->is_pad = str_eq(type, "pad");
	out->writable = access != NULL && str_eq(access, "RW");
	if (json_is_string(sf))
		str_copy(out->sf, sizeof out->sf, json_string_value(sf));
	else if (json_is_integer(sf))
		out->sf_constant = (int)json_integer_value(sf);
	/* Model 124 spells one scale factor with a blank at its end. */
	for (size_t n = strlen(out->sf); n > 0 && out->sf[n - 1] == ' '; n--)
		out->sf[n - 1] = '\0';
	return t == NULL || device_type_registers(t->type) == 0 || device_type_registers(t->type) == out->size;
}

static bool read_points(const json_t *points, uint16_t group, struct sunspec_model *out)
{
	size_t n = json_array_size(points);
	uint32_t offset = 0;

	if (n > POINTS_MAX - out->count)
		return false;
	out->points = xrealloc(out->points, out->count + n + 1, sizeof *out->points);
	for (size_t i = 0; i < n; i++) {
		struct sunspec_point *p = &out->points[out->count++];

		*p = (struct sunspec_point){ .offset = (uint16_t)offset, .group = group };
		if (!read_point(json_array_get(points, i), p))
			return false;
		offset += p->size;
	}
	out->groups[group].size = (uint16_t)offset;
	return offset > 0 && offset <= UINT16_MAX;
}

/* A group without "count" is there once; with a point's name as often as that says; with 0 to the model's end. */
static bool read_repeat(const json_t *count, struct sunspec_group *g)
{
	g->repeat = REPEAT_ONCE;
	if (json_is_string(count)) {
		g->repeat = REPEAT_COUNTED;
		str_copy(g->count, sizeof g->count, json_string_value(count));
	} else if (count != NULL && json_integer_value(count) == 0) {
		g->repeat = REPEAT_TO_END;
	} else if (count != NULL && json_integer_value(count) != 1) {
		return false;
	}
	return true;
}

static bool read_group(const json_t *j, int parent, int depth, struct sunspec_model *out)
{
	const char *name = json_string_value(json_object_get(j, "name"));
	const json_t *groups = json_object_get(j, "groups"), *child;
	uint16_t self = (uint16_t)out->group_count;
	size_t i;

	if (name == NULL || depth > PARTS_DEPTH || out->group_count == GROUPS_MAX)
		return false;
	out->groups = xrealloc(out->groups, ++out->group_count, sizeof *out->groups);
	out->groups[self] = (struct sunspec_group){ .parent = parent, .first = out->count };
	str_copy(out->groups[self].name, sizeof out->groups[self].name, name);
	if (!read_repeat(json_object_get(j, "count"), &out->groups[self]) ||
	    !read_points(json_object_get(j, "points"), self, out))
		return false;
	out->groups[self].points = out->count - out->groups[self].first;
	json_array_foreach(groups, i, child)
		if (!read_group(child, self, depth + 1, out))
			return false;
	return true;
}

int sunspec_model_load(uint16_t id, struct sunspec_model *out, struct err *e)
{
	const struct sunspec_model *kept = sunspec_model_kept(id);
	char name[40], path[SHARE_PATH_LEN];
	json_error_t je;
	json_t *root;
	bool ok;

	if (kept != NULL) {
		*out = *kept;
		out->borrowed = true;
		return 0;
	}
	*out = (struct sunspec_model){ .id = id };
	snprintf(name, sizeof name, "sunspec/model_%u.json", id);
	root = json_load_file(share_path(name, path), JSON_REJECT_DUPLICATES, &je);
	if (root == NULL)
		return err_set(e, ERR_IO, 0, "cannot read SunSpec model %u: '%s' line %d: %s", id, path, je.line,
			       je.text);
	ok = read_group(json_object_get(root, "group"), -1, 0, out) && out->groups[0].size > 2;
	json_decref(root);
	if (ok)
		return 0;
	sunspec_model_release(out);
	return err_set(e, ERR_INPUT, 0, "'%s' is no SunSpec model that can be understood", path);
}

void sunspec_model_release(struct sunspec_model *m)
{
	if (!m->borrowed) {
		free(m->points);
		free(m->groups);
	}
	*m = (struct sunspec_model){ 0 };
}

const struct sunspec_model *sunspec_models_get(struct sunspec_models *s, uint16_t id, struct err *e)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->all[i].id == id)
			return &s->all[i];
	s->all = xrealloc(s->all, s->count + 1, sizeof *s->all);
	return sunspec_model_load(id, &s->all[s->count], e) < 0 ? NULL : &s->all[s->count++];
}

void sunspec_models_release(struct sunspec_models *s)
{
	for (size_t i = 0; i < s->count; i++)
		sunspec_model_release(&s->all[i]);
	free(s->all);
	*s = (struct sunspec_models){ 0 };
}
