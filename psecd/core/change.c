/* change: what people may have done: mode, set-point, sign check, scan. */
#include "core.h"

#include <string.h>

enum { POWER_MAX_W = 10000000 };

static int wish(const struct call *k, const struct wish *w, json_t **result, struct err *e)
{
	if (keep_wish(k->core, w, k->caller->name, e) < 0)
		return -1;
	*result = json_pack("{s:s, s:o, s:o, s:b}", "mode", site_mode_name(w->mode), "manual_w",
			    jot_number(w->manual_w), "target_w", jot_number(w->target_w), "kept",
			    !k->core->wish_unkept);
	return 0;
}

/* {mode} */
int change_mode(const struct call *k, json_t **result, struct err *e)
{
	struct wish w = k->core->wish;
	const char *mode = NULL;

	if (param_text(k->params, "mode", true, &mode, e) < 0)
		return -1;
	if (!site_mode_parse(mode, &w.mode))
		return err_set(e, ERR_USAGE, 0,
			       "there is no mode '%.40s'; there are off, manual, self-consumption and observe", mode);
	return wish(k, &w, result, e);
}

/* {power_w}: battery power, and mode manual. {target_w}: the grid power that self-consumption holds. */
int change_set(const struct call *k, json_t **result, struct err *e)
{
	struct wish w = k->core->wish;
	bool power = json_object_get(k->params, "power_w"), target = json_object_get(k->params, "target_w");

	if (!power && !target)
		return err_set(e, ERR_USAGE, 0, "parameter 'power_w' or 'target_w' is needed");
	if (param_real(k->params, "power_w", false, -POWER_MAX_W, POWER_MAX_W, &w.manual_w, e) < 0 ||
	    param_real(k->params, "target_w", false, -POWER_MAX_W, POWER_MAX_W, &w.target_w, e) < 0)
		return -1;
	if (power)
		w.mode = SITE_MODE_MANUAL;
	return wish(k, &w, result, e);
}

int change_off(const struct call *k, json_t **result, struct err *e)
{
	struct wish w = k->core->wish;

	w.mode = SITE_MODE_OFF;
	return wish(k, &w, result, e);
}

/* Its end is the notification "check". */
int change_check(const struct call *k, json_t **result, struct err *e)
{
	ctl_peer_subscribe(k->peer, "check");
	if (keep_begin_check(k->core, k->caller->name, e) < 0)
		return -1;
	*result = json_pack("{s:b}", "started", 1);
	return 0;
}

/* 0 stays the field's default. */
static int scan_options(const json_t *o, struct scan_options *out, struct err *e)
{
	int64_t pace = 0, connect_ms = 0, answer_ms = 0;

	if (param_int(o, "pace_per_s", 1, 5000, &pace, e) < 0 ||
	    param_int(o, "connect_ms", 10, 60000, &connect_ms, e) < 0 ||
	    param_int(o, "answer_ms", 10, 60000, &answer_ms, e) < 0)
		return -1;
	*out = (struct scan_options){ .pace_per_s = (int)pace, .connect_ms = (int)connect_ms,
				      .answer_ms = (int)answer_ms,
				      .every_unit = json_is_true(json_object_get(o, "every_unit")) };
	return 0;
}

/* {targets: […], options: {…}}: rows come as "scan.row", the end as "scan.done". One scan at a time. */
int change_scan(const struct call *k, json_t **result, struct err *e)
{
	static const char *const topics[] = { "scan.row", "scan.progress", "scan.done" };
	struct core *c = k->core;
	const json_t *targets = json_object_get(k->params, "targets");
	struct wire_scan w = { .id = c->scan_id + 1, .count = (uint32_t)json_array_size(targets) };

	if (!json_is_array(targets) || w.count == 0 || w.count > SCAN_TARGETS_MAX)
		return err_set(e, ERR_USAGE, 0, "parameter 'targets' must be a list of 1…%d texts",
			       (int)SCAN_TARGETS_MAX);
	for (uint32_t i = 0; i < w.count; i++) {
		const char *t = json_string_value(json_array_get(targets, i));

		if (!t || !str_copy(w.targets[i], sizeof(w.targets[i]), t))
			return err_set(e, ERR_USAGE, 0, "target %u is not a text of at most %d bytes", (unsigned)i + 1,
				       BUS_ADDRESS_LEN - 1);
	}
	if (scan_options(json_object_get(k->params, "options"), &w.options, e) < 0)
		return -1;
	if (c->scan_peer)
		return err_set(e, ERR_AGAIN, 0, "another scan runs; try again when it has ended");
	if (!c->field_ready || core_tell_field(c, WIRE_SCAN, &w, sizeof(w)) != 1)
		return err_set(e, ERR_AGAIN, 0, "psecd-field is not ready; try again");
	for (size_t i = 0; i < COUNT_OF(topics); i++)
		ctl_peer_subscribe(k->peer, topics[i]);
	c->scan_id = w.id;
	c->scan_peer = k->peer;
	record_event(c, SEVERITY_INFO, "scan", "", k->caller->name, "scan of %s%s", w.targets[0],
		     w.count > 1 ? " and others" : "");
	*result = json_pack("{s:I}", "scan", (json_int_t)w.id);
	return 0;
}
