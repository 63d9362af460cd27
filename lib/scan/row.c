/* A row as programs see it; the same JSON crosses the control socket. */
#include <string.h>

#include "jot/jot.h"
#include "scan/scan.h"

static const char *const states[] = { [SCAN_DEVICE] = "device", [SCAN_MODBUS] = "modbus", [SCAN_SILENT] = "silent",
				      [SCAN_NOT_MODBUS] = "not-modbus" };
static const char *const matches[] = { [DEVICE_NO] = NULL, [DEVICE_PROPOSED] = "proposed",
				       [DEVICE_IDENTIFIED] = "identified" };

const char *scan_state_name(enum scan_state s)
{
	return (unsigned)s < COUNT_OF(states) ? states[s] : "?";
}

static json_t *sunspec_json(const struct device_sunspec *s)
{
	json_t *models;

	if (!s->found)
		return json_null();
	models = json_array();
	for (size_t i = 0; i < s->model_count; i++)
		json_array_append_new(models, json_integer(s->models[i].id));
	return json_pack("{s:i, s:o}", "base", s->base, "models", models);
}

json_t *scan_row_to_json(const struct scan_row *row)
{
	const struct device_identity *id = &row->identity;
	json_t *faults = json_array();
	char address[BUS_ADDRESS_LEN];

	for (size_t i = 0; i < row->fault_count; i++)
		json_array_append_new(faults, jot_word(row->faults[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "state",
			 scan_state_name(row->state), "address", jot_word(bus_address_format(&row->address, address)),
			 "make", jot_word(id->make), "model", jot_word(id->model), "serial", jot_word(id->serial),
			 "version", jot_word(id->version), "profile", jot_word(row->profile), "match",
			 jot_word(matches[row->match]), "evidence", jot_word(row->evidence), "sunspec",
			 sunspec_json(&row->sunspec), "faults", faults);
}

static void take_text(const json_t *o, const char *key, char *to, size_t n)
{
	const char *text = json_string_value(json_object_get(o, key));

	str_copy(to, n, text ? text : "");
}

static int index_of(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (names[i] && name && str_eq(names[i], name))
			return (int)i;
	return -1;
}

int scan_row_from_json(const json_t *o, struct scan_row *row, struct err *e)
{
	const char *address = json_string_value(json_object_get(o, "address"));
	int state = index_of(states, COUNT_OF(states), json_string_value(json_object_get(o, "state")));
	int match = index_of(matches, COUNT_OF(matches), json_string_value(json_object_get(o, "match")));
	const json_t *sunspec = json_object_get(o, "sunspec"), *models = json_object_get(sunspec, "models"), *value;
	size_t i;

	*row = (struct scan_row){ .state = (enum scan_state)state,
				  .match = match < 0 ? DEVICE_NO : (enum device_match)match };
	if (!address || state < 0)
		return err_set(e, ERR_INPUT, 0, "a row of a scan without address or state");
	if (bus_address_parse(address, &row->address, e) < 0)
		return -1;
	take_text(o, "make", row->identity.make, sizeof row->identity.make);
	take_text(o, "model", row->identity.model, sizeof row->identity.model);
	take_text(o, "serial", row->identity.serial, sizeof row->identity.serial);
	take_text(o, "version", row->identity.version, sizeof row->identity.version);
	take_text(o, "profile", row->profile, sizeof row->profile);
	take_text(o, "evidence", row->evidence, sizeof row->evidence);
	row->sunspec.found = json_is_object(sunspec);
	row->sunspec.base = (uint16_t)json_integer_value(json_object_get(sunspec, "base"));
	json_array_foreach((json_t *)models, i, value)
		if (row->sunspec.model_count < DEVICE_MODELS_MAX)
			row->sunspec.models[row->sunspec.model_count++].id = (uint16_t)json_integer_value(value);
	json_array_foreach(json_object_get(o, "faults"), i, value)
		if (row->fault_count < SCAN_FAULTS_MAX && json_is_string(value))
			str_copy(row->faults[row->fault_count++], sizeof row->faults[0], json_string_value(value));
	return 0;
}
