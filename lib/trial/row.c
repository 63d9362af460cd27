/* A row as JSON and back. */
#include <math.h>
#include <string.h>

#include "jot/jot.h"
#include "trial/seen.h"

static const char *const verdicts[] = { "ok", "absent", "suspicious", "failed" };

const char *trial_verdict_name(enum trial_verdict v)
{
	return (unsigned)v < COUNT_OF(verdicts) ? verdicts[v] : "?";
}

struct trial_row trial_row_about(const char *what)
{
	struct trial_row r = { .point = -1, .value = NAN, .lowest = NAN, .highest = NAN, .raw = NAN };

	str_copy(r.what, sizeof r.what, what);
	return r;
}

bool trial_row_ok(const struct trial_row *r)
{
	return r->point >= -1 && r->point < POINT_COUNT && r->verdict <= TRIAL_FAILED &&
	       memchr(r->what, '\0', sizeof r->what) != NULL && memchr(r->why, '\0', sizeof r->why) != NULL;
}

json_t *trial_row_to_json(const struct trial_row *r)
{
	return json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "check", jot_text(r->what), "kind",
			 r->point >= 0 ? "point" : "device", "verdict",
			 trial_verdict_name((enum trial_verdict)r->verdict),
			 "unit", r->point >= 0 ? device_point((enum device_point)r->point)->unit : "", "value",
			 jot_number(r->value), "lowest", jot_number(r->lowest), "highest", jot_number(r->highest),
			 "raw", jot_number(r->raw), "reads", (json_int_t)r->reads, "changes", (json_int_t)r->changes,
			 "why", jot_word(r->why));
}

static double real_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

int trial_row_from_json(const json_t *o, struct trial_row *r, struct err *e)
{
	const char *what = json_string_value(json_object_get(o, "check"));
	const char *verdict = json_string_value(json_object_get(o, "verdict"));
	const char *why = json_string_value(json_object_get(o, "why"));
	size_t v = 0;

	while (verdict != NULL && v < COUNT_OF(verdicts) && !str_eq(verdict, verdicts[v]))
		v++;
	if (what == NULL || verdict == NULL || v == COUNT_OF(verdicts))
		return err_set(e, ERR_INPUT, 0, "a row of the test has no check or no verdict");
	*r = (struct trial_row){ .point = -1, .verdict = (uint8_t)v, .value = real_of(o, "value"),
				 .lowest = real_of(o, "lowest"),
				 .highest = real_of(o, "highest"), .raw = real_of(o, "raw"),
				 .reads = (uint32_t)json_integer_value(json_object_get(o, "reads")),
				 .changes = (uint32_t)json_integer_value(json_object_get(o, "changes")) };
	str_copy(r->what, sizeof r->what, what);
	str_copy(r->why, sizeof r->why, why != NULL ? why : "");
	if (strchr(what, '.') != NULL)
		r->point = (int16_t)device_point_find(SITE_GRID_METER, what);
	return 0;
}
