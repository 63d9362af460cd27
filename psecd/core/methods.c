/* methods: the control socket's methods, each with the least right that may ask. One table, one decision, one
 * place that notes a refusal. */
#include "core.h"

#include <math.h>
#include <string.h>

typedef int method_fn(const struct call *k, json_t **result, struct err *e);

/* ---- parameters ---- */

int param_text(const json_t *params, const char *key, bool required, const char **out, struct err *e)
{
	const json_t *v = json_object_get(params, key);

	if (!v && !required)
		return 0;
	if (!json_is_string(v))
		return err_set(e, ERR_USAGE, 0, "parameter '%s' must be a text", key);
	*out = json_string_value(v);
	return 0;
}

int param_real(const json_t *params, const char *key, bool required, double min, double max, double *out, struct err *e)
{
	const json_t *v = json_object_get(params, key);

	if (!v && !required)
		return 0;
	if (!json_is_number(v))
		return err_set(e, ERR_USAGE, 0, "parameter '%s' must be a number", key);
	if (!(json_number_value(v) >= min && json_number_value(v) <= max))
		return err_set(e, ERR_USAGE, 0, "parameter '%s' is %g, must be %g…%g", key, json_number_value(v), min,
			       max);
	*out = json_number_value(v);
	return 0;
}

int param_int(const json_t *params, const char *key, int64_t min, int64_t max, int64_t *out, struct err *e)
{
	const json_t *v = json_object_get(params, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return err_set(e, ERR_USAGE, 0, "parameter '%s' must be a whole number, %lld…%lld", key, (long long)min,
			       (long long)max);
	*out = json_integer_value(v);
	return 0;
}

/* ---- questions ---- */

static int ask_status(const struct call *k, json_t **result, struct err *e)
{
	(void)e;
	*result = report_status(k->core);
	return 0;
}

static int ask_control(const struct call *k, json_t **result, struct err *e)
{
	(void)e;
	*result = report_control(k->core);
	return 0;
}

static int ask_whoami(const struct call *k, json_t **result, struct err *e)
{
	(void)e;
	*result = json_pack("{s:o, s:s}", "name", jot_text(k->caller->name), "right", right_name(k->caller->right));
	return 0;
}

/* {from}: what was counted of each device, a page at a time. */
static int ask_devices(const struct call *k, json_t **result, struct err *e)
{
	int64_t from = 0;

	if (param_int(k->params, "from", 0, SITE_DEVICES_MAX, &from, e) < 0)
		return -1;
	*result = report_devices(k->core, (size_t)from);
	return 0;
}

static int ask_device(const struct call *k, json_t **result, struct err *e)
{
	const char *name = NULL;
	int i;

	if (param_text(k->params, "device", true, &name, e) < 0)
		return -1;
	i = site_find_device(k->core->site, name);
	if (i < 0)
		return err_set(e, ERR_INPUT, 0, "the site has no device '%s'", name);
	if (!k->core->devices[i].heard)
		return err_set(e, ERR_AGAIN, 0, "psecd has just begun and knows nothing of '%s' yet; try again", name);
	*result = report_points(k->core, i);
	if (json_array_size(*result))
		return 0;
	json_decref(*result);
	*result = NULL;
	return err_set(e, ERR_UNREACHABLE, 0, "'%s' has not answered yet%s%s", name,
		       k->core->devices[i].last.why[0] ? ": " : "", k->core->devices[i].last.why);
}

static void add_event(void *arg, const struct store_event *event)
{
	json_array_append_new(arg, record_event_json(event));
}

/* {after, max}: events with a greater id, oldest first; without after the last ones. */
static int ask_events(const struct call *k, json_t **result, struct err *e)
{
	int64_t after = -1, max = 100;
	json_t *list = json_array();
	int rc;

	if (param_int(k->params, "after", 0, INT64_MAX, &after, e) < 0 ||
	    param_int(k->params, "max", 1, 200, &max, e) < 0) {
		json_decref(list);
		return -1;
	}
	rc = after >= 0 ? store_read_events(k->core->store, after, (size_t)max, add_event, list, e)
			: store_last_events(k->core->store, (size_t)max, add_event, list, e);
	if (rc < 0) {
		json_decref(list);
		return -1;
	}
	*result = list;
	return 0;
}

static int time_param(const struct call *k, const char *key, int64_t *utc_us, struct err *e)
{
	const char *text = NULL;

	if (param_text(k->params, key, true, &text, e) < 0)
		return -1;
	return time_parse(text, utc_us)
		       ? 0
		       : err_set(e, ERR_USAGE, 0, "'%s' is not a time; write 2026-10-01T12:00:00Z", text);
}

enum { PAGE_ROWS = 1000 }; /* of some 45 bytes: within a line of the socket */
struct samples_page { json_t *rows; int64_t last_us; };

static void add_to_page(void *arg, const struct store_sample *s)
{
	struct samples_page *p = arg;

	json_array_append_new(p->rows, json_pack("[I, o]", (json_int_t)s->utc_us, jot_number(s->value)));
	p->last_us = s->utc_us;
}

/* {point, from_utc, to_utc, means, cursor}: [time in us, value] each, and the cursor of the next page, or null. */
static int ask_samples_page(const struct call *k, json_t **result, struct err *e)
{
	struct samples_page page = { 0 };
	const char *point = NULL;
	int64_t from_us, to_us, cursor_us = INT64_MIN;
	bool more;

	if (param_text(k->params, "point", true, &point, e) < 0 || time_param(k, "from_utc", &from_us, e) < 0 ||
	    time_param(k, "to_utc", &to_us, e) < 0 ||
	    param_int(k->params, "cursor", INT64_MIN, INT64_MAX, &cursor_us, e) < 0)
		return -1;
	record_flush(k->core);
	page.rows = json_array();
	if (store_read_samples(k->core->store, point, cursor_us > from_us ? cursor_us : from_us, to_us,
			       json_is_true(json_object_get(k->params, "means")), PAGE_ROWS, add_to_page, &page,
			       e) < 0) {
		json_decref(page.rows);
		return -1;
	}
	more = json_array_size(page.rows) == PAGE_ROWS;
	*result = json_pack("{s:o, s:o}", "rows", page.rows, "cursor",
			    more ? json_integer(page.last_us + 1) : json_null());
	return 0;
}

static int ask_subscribe(const struct call *k, json_t **result, struct err *e)
{
	static const char *const topics[] = { "live", "event", "check", "scan.row", "scan.progress", "scan.done",
					      "trial.row",
					      "trial.done" };
	const char *topic = NULL;

	(void)result;
	if (param_text(k->params, "topic", true, &topic, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(topics); i++) {
		if (!str_eq(topic, topics[i]))
			continue;
		ctl_peer_subscribe(k->peer, topics[i]);
		report_changed(k->core);
		return 0;
	}
	return err_set(e, ERR_USAGE, 0,
		       "there is no topic '%s'; there are live, event, check, scan.row, scan.progress, scan.done, "
		       "trial.row, trial.done", topic);
}

/* ---- the table ---- */

static const struct method {
	const char *name;
	enum right least;
	method_fn *fn;
} methods[] = {
	{ "whoami", RIGHT_VIEWER, ask_whoami },
	{ "status", RIGHT_VIEWER, ask_status },
	{ "control.status", RIGHT_VIEWER, ask_control },
	{ "devices", RIGHT_VIEWER, ask_devices },
	{ "events", RIGHT_VIEWER, ask_events },
	{ "samples.page", RIGHT_VIEWER, ask_samples_page },
	{ "device.read", RIGHT_VIEWER, ask_device },
	{ "subscribe", RIGHT_VIEWER, ask_subscribe },
	{ "audit.page", RIGHT_VIEWER, audited_page },
	{ "audit.last", RIGHT_SITE_ADMIN, audited_last },
	{ "audit.append", RIGHT_SITE_ADMIN, audited_append },
	{ "audit.head", RIGHT_SITE_ADMIN, audited_head },
	{ "control.mode", RIGHT_OPERATOR, change_mode },
	{ "control.set", RIGHT_OPERATOR, change_set },
	{ "control.off", RIGHT_OPERATOR, change_off },
	{ "control.check", RIGHT_TECHNICIAN, change_check },
	{ "scan", RIGHT_TECHNICIAN, scanning_scan },
	{ "device.test", RIGHT_TECHNICIAN, trying_test },
	{ "device.step", RIGHT_TECHNICIAN, trying_step },
};

/* What was refused is noted with who asked, within the quota of that one: or who may do nothing could fill the disk. */
static void note_refusal(struct core *c, const struct right_caller *caller, const char *what, const struct err *e)
{
	audited(c, caller->name, "refused", what, json_pack("{s:o}", "why", jot_text(e->text)));
	if (quota_allows(c, SEVERITY_WARNING, "refused", caller->name, e->text))
		record_event(c, SEVERITY_WARNING, "refused", "", caller->name, "%s", e->text);
}

static int answer(void *arg, struct ctl_peer *peer, const char *name, const json_t *params, json_t **result,
		  struct err *e)
{
	struct core *c = arg;
	struct call k = { .core = c, .peer = peer, .caller = ctl_peer_data(peer), .params = params };
	int rc;

	for (size_t i = 0; i < COUNT_OF(methods); i++) {
		if (!str_eq(name, methods[i].name))
			continue;
		rc = right_require(k.caller, methods[i].least, name, e);
		if (rc == 0)
			rc = methods[i].fn(&k, result, e);
		if (rc < 0 && e->kind == ERR_REFUSED)
			note_refusal(c, k.caller, name, e);
		return rc;
	}
	return err_set(e, ERR_USAGE, 0, "there is no method '%.40s'", name);
}

/* ---- who comes ---- */

static void *admit(void *arg, int fd, struct err *e)
{
	struct core *c = arg;
	struct right_caller *caller = xcalloc(1, sizeof(*caller));

	if (right_of_peer(fd, c->site, c->start->owner, caller, e) == 0) {
		if (caller->right != RIGHT_NONE)
			return caller;
		err_set(e, ERR_REFUSED, 0, "%s has no right on site %s; see access in site.yaml", caller->name,
			c->site->id);
		note_refusal(c, caller, "connection", e);
	}
	free(caller);
	return NULL;
}

static void go(void *arg, void *peer_data)
{
	scanning_peer_gone(arg, peer_data);
	trying_peer_gone(arg, peer_data);
	free(peer_data);
}

int methods_serve(struct core *c, struct err *e)
{
	const struct ctl_serve serve = { .method = answer, .admit = admit, .release = go, .arg = c };

	return ctl_server_new(c->loop, WIRE_FD_LISTEN, &serve, &c->ctl, e);
}
