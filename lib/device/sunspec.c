/* SunSpec's models (JSON data of the SunSpec Alliance, see sunspec/NOTICE.md), and the identity in model 1. */
#include <jansson.h>
#include <string.h>

#include "device/parts.h"

enum { POINTS_MAX = 1024 };

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
	const json_t *sf = json_object_get(j, "sf");
	json_int_t size = json_integer_value(json_object_get(j, "size"));
	const struct sun_type *t = find_type(type);

	if (name == NULL || type == NULL || size < 1 || size > 64)
		return false;
	str_copy(out->name, sizeof out->name, name);
	out->size = (uint16_t)size;
	out->type = t != NULL ? t->type : DEVICE_TEXT;
	out->has_absent = t != NULL && t->has_absent;
	out->absent = t != NULL ? t->absent : 0;
	out->is_sf = str_eq(type, "sunssf");
	out->writable = access != NULL && str_eq(access, "RW");
	if (json_is_string(sf))
		str_copy(out->sf, sizeof out->sf, json_string_value(sf));
	else if (json_is_integer(sf))
		out->sf_constant = (int)json_integer_value(sf);
	/* Model 124 spells one scale factor with a blank at its end. */
	for (size_t n = strlen(out->sf); n > 0 && out->sf[n - 1] == ' '; n--)
		out->sf[n - 1] = '\0';
	return t == NULL || type_registers(t->type) == 0 || type_registers(t->type) == out->size;
}

/* Only the points before the first repeating group: their offsets are fixed. */
static int read_model(const json_t *root, const char *path, struct sunspec_model *out, struct err *e)
{
	const json_t *points = json_object_get(json_object_get(root, "group"), "points");
	size_t n = json_array_size(points);
	uint32_t offset = 0;

	if (n < 2 || n > POINTS_MAX)
		return err_set(e, ERR_INPUT, 0, "'%s' is no SunSpec model: it has no points", path);
	out->points = xcalloc(n, sizeof *out->points);
	for (size_t i = 0; i < n; i++) {
		struct sunspec_point *p = &out->points[out->count];

		if (!read_point(json_array_get(points, i), p))
			return err_set(e, ERR_INPUT, 0, "'%s': point %zu cannot be understood", path, i);
		if (offset >= 2) {
			p->offset = (uint16_t)(offset - 2);
			out->count++;
		}
		offset += p->size;
	}
	return 0;
}

int sunspec_model_load(uint16_t id, struct sunspec_model *out, struct err *e)
{
	const struct sunspec_model *kept = sunspec_model_kept(id);
	char name[40], path[SHARE_PATH_LEN];
	json_error_t je;
	json_t *root;
	int r;

	*out = (struct sunspec_model){ .id = id };
	if (kept != NULL) {
		out->points = xcalloc(kept->count, sizeof *out->points);
		memcpy(out->points, kept->points, kept->count * sizeof *out->points);
		out->count = kept->count;
		return 0;
	}
	snprintf(name, sizeof name, "sunspec/model_%u.json", id);
	root = json_load_file(share_path(name, path), JSON_REJECT_DUPLICATES, &je);
	if (root == NULL)
		return err_set(e, ERR_IO, 0, "cannot read SunSpec model %u: '%s' line %d: %s", id, path, je.line, je.text);
	r = read_model(root, path, out, e);
	json_decref(root);
	if (r < 0)
		sunspec_model_release(out);
	return r;
}

void sunspec_model_release(struct sunspec_model *m)
{
	free(m->points);
	*m = (struct sunspec_model){ 0 };
}

const struct sunspec_point *sunspec_model_find(const struct sunspec_model *m, const char *name)
{
	for (size_t i = 0; i < m->count; i++)
		if (str_eq(m->points[i].name, name))
			return &m->points[i];
	return NULL;
}

void device_sunspec_identity(const uint16_t *regs, size_t count, struct device_identity *out)
{
	/* Model 1: Mn 0+16, Md 16+16, Opt 32+8, Vr 40+8, SN 48+16 */
	*out = (struct device_identity){ 0 };
	if (count < 64)
		return;
	raw_text(regs, 16, out->make, sizeof out->make);
	raw_text(regs + 16, 16, out->model, sizeof out->model);
	raw_text(regs + 40, 8, out->version, sizeof out->version);
	raw_text(regs + 48, 16, out->serial, sizeof out->serial);
}

bool device_fc43_identity(const uint8_t *bytes, size_t count, struct device_identity *out)
{
 /* MAP 6.21: MEI type, code, conformity, more follows, next object, number of objects, then id, length, text
	 * each */
	size_t at = 6;

	*out = (struct device_identity){ 0 };
	if (count < 6 || bytes[0] != 0x0E)
		return false;
	for (unsigned n = bytes[5]; n > 0; n--) {
		char *to = NULL;
		size_t size = sizeof out->make, len;

		if (at + 2 > count || at + 2 + bytes[at + 1] > count)
			return false;
		len = bytes[at + 1];
		if (bytes[at] == 0x00) {
			to = out->make;
		} else if (bytes[at] == 0x01) {
			to = out->model;
		} else if (bytes[at] == 0x02) {
			to = out->version;
			size = sizeof out->version;
		} else if (bytes[at] == 0x05) { /* ModelName is for people, ProductCode for the shop */
			to = out->model;
		}
		if (to != NULL && len > 0)
			str_printable(to, size, (const char *)bytes + at + 2, len);
		at += 2 + len;
	}
	return out->make[0] != '\0' || out->model[0] != '\0';
}
