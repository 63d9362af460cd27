/* The site as it takes effect, defaults included, in the schema's order. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "schema.h"

static json_t *show_map(const struct site *s, const struct map *m, const char *base);

static json_t *show_list(const struct site *s, const struct key *k, const char *base)
{
	json_t *list = json_array();
	size_t count;

	memcpy(&count, base + k->count_offset, sizeof count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, show_map(s, k->map, base + k->offset + i * k->stride));
	return list;
}

json_t *site_roles_to_json(unsigned roles)
{
	json_t *list = json_array();

	for (int r = 0; r < SITE_ROLE_COUNT; r++)
		if (roles & 1u << r)
			json_array_append_new(list, json_string(site_role_name((enum site_role)r)));
	return list;
}

static json_t *show_numbers(unsigned bits)
{
	json_t *list = json_array();

	for (int i = 0; i < 32; i++)
		if (bits & 1u << i)
			json_array_append_new(list, json_integer(i));
	return list;
}

static json_t *show_address(const struct bus_address *a)
{
	char text[BUS_ADDRESS_LEN];

	return json_string(bus_address_format(a, text));
}

static json_t *show_number(double x)
{
	if (isinf(x) || isnan(x))
		return json_null();
	/* 10, not 10.0: as a person writes it */
	return x == rint(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *show_key(const struct site *s, const struct key *k, const char *base)
{
	const void *at = base + k->offset;
	const char *text = at;
	int number;
	int64_t wide;

	switch (k->type) {
	case KEY_VERSION:
		return json_integer(1);
	case KEY_MAP:
		return show_map(s, k->map, at);
	case KEY_LIST:
		return show_list(s, k, base);
	case KEY_REAL:
		/* no capacity is 0: not stated */
		return k->min > 0 && *(const double *)at == 0 ? json_null() : show_number(*(const double *)at);
	case KEY_BOOL:
		return json_boolean(*(const bool *)at);
	case KEY_TEXT:
	case KEY_WORD:
		return *text ? json_string(text) : json_null();
	case KEY_CHOICE:
		memcpy(&number, at, sizeof number);
		return json_string(k->choices[number]);
	case KEY_DURATION:
		memcpy(&wide, at, sizeof wide);
		return wide ? json_integer(wide) : json_null();
	case KEY_MEGABYTES:
		memcpy(&wide, at, sizeof wide);
		return json_integer(wide / 1000000);
	case KEY_ADDRESS:
		return show_address(at);
	case KEY_ROLES:
		return site_roles_to_json(*(const unsigned *)at);
	case KEY_DEVICE:
		memcpy(&number, at, sizeof number);
		return json_string(s->devices[number].name);
	case KEY_NUMBERS:
		return show_numbers(*(const unsigned *)at);
	}
	return json_null();
}

static json_t *show_map(const struct site *s, const struct map *m, const char *base)
{
	json_t *map = json_object();

	for (size_t i = 0; i < m->count; i++) {
		const struct key *k = &m->keys[i];

		json_object_set_new(map, k->json ? k->json : k->name, show_key(s, k, base));
	}
	return map;
}

struct json_t *site_to_json(const struct site *s)
{
	return show_map(s, &site_schema, (const char *)s);
}

char *site_digest(const struct site *s, char to[SITE_DIGEST_LEN])
{
	json_t *all = site_to_json(s);
	auto_free char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	uint8_t digest[SHA256_LEN];

	json_decref(all);
	sha256(text ? text : "", text ? strlen(text) : 0, digest);
	return hex_format(digest, sizeof digest, to);
}
