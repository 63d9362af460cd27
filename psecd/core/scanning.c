/* scanning: a scan, which field carries out; one at a time, its rows go to who asked. */
#include "core.h"

#include <string.h>

#include "scan/scan.h"

static void tell_done(struct core *c, enum err_kind kind, const char *text)
{
	json_t *params = json_pack("{s:I, s:s, s:o}", "scan", (json_int_t)c->scan_id, "failure",
				   kind == ERR_NONE ? "" : err_kind_name(kind), "text", jot_lines(text));

	ctl_notify(c->ctl, "scan.done", params);
	json_decref(params);
	c->scan_peer = NULL;
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
int scanning_scan(const struct call *k, json_t **result, struct err *e)
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

bool scanning_take_row(struct core *c, const struct wire_scan_row *w)
{
	const struct scan_row *r = &w->row;
	json_t *params;

	if ((unsigned)r->state > SCAN_NOT_MODBUS || (unsigned)r->match > DEVICE_IDENTIFIED ||
	    r->fault_count > SCAN_FAULTS_MAX || r->sunspec.model_count > DEVICE_MODELS_MAX ||
	    !wire_text_ok(r->address.host) || !wire_text_ok(r->address.path) || !wire_text_ok(r->identity.make) ||
	    !wire_text_ok(r->identity.model) || !wire_text_ok(r->identity.version) ||
	    !wire_text_ok(r->identity.serial) || !wire_text_ok(r->profile) || !wire_text_ok(r->evidence))
		return false;
	for (size_t i = 0; i < r->fault_count; i++) {
		if (!wire_text_ok(r->faults[i]))
			return false;
	}
	if (w->id != c->scan_id || !c->scan_peer)
		return true;
	params = json_pack("{s:I, s:o}", "scan", (json_int_t)w->id, "row", scan_row_to_json(r));
	ctl_notify(c->ctl, "scan.row", params);
	json_decref(params);
	return true;
}

bool scanning_take_step(struct core *c, const struct wire_scan_step *w)
{
	json_t *params;

	if (!wire_text_ok(w->progress.where))
		return false;
	if (w->id != c->scan_id || !c->scan_peer)
		return true;
	params = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "scan", (json_int_t)w->id, "hosts",
			   (json_int_t)w->progress.hosts, "begun", (json_int_t)w->progress.begun, "finished",
			   (json_int_t)w->progress.finished, "found", (json_int_t)w->progress.found, "where",
			   jot_text(w->progress.where));
	ctl_notify(c->ctl, "scan.progress", params);
	json_decref(params);
	return true;
}

bool scanning_take_done(struct core *c, const struct wire_scan_done *w)
{
	if (!wire_text_ok(w->text) || (unsigned)w->kind > ERR_INTERRUPTED)
		return false;
	if (w->id == c->scan_id && c->scan_peer)
		tell_done(c, (enum err_kind)w->kind, w->text);
	return true;
}

void scanning_peer_gone(struct core *c, const void *peer_data)
{
	struct wire_scan_end end = { .id = c->scan_id };

	if (!c->scan_peer || ctl_peer_data(c->scan_peer) != peer_data)
		return;
	c->scan_peer = NULL;
	core_tell_field(c, WIRE_SCAN_END, &end, sizeof(end));
}

void scanning_field_gone(struct core *c)
{
	if (c->scan_peer)
		tell_done(c, ERR_AGAIN, "psecd-field is gone; try again");
}
