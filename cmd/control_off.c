/* psec control off: the battery to rest. By psecd; where it does not run, by the same guarded write in a loop of our
 * own. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "database.h"
#include "device/device.h"
#include "live.h"
#include "loop/loop.h"
#include "poll/poll.h"
#include "right/right.h"
#include "table.h"

enum { ALL_MS = 10000, WRITE_MS = 5000, TURN_MS = 200, SHOWN_MS = 5000, SHOWN_W = 20 };

struct inverter {
	bool asked, ended;
	enum poll_written how;
	char why[160];
};

struct off {
	const struct site *site;
	struct poll *poll;
	struct inverter inverters[SITE_DEVICES_MAX];
};

static void written(void *arg, int device, enum device_point point, double value, enum poll_written how,
		    const char *why, int64_t sent_boot_us)
{
	struct inverter *i = &((struct off *)arg)->inverters[device];

	(void)point, (void)value, (void)sent_boot_us;
	i->ended = true;
	i->how = how;
	str_copy(i->why, sizeof i->why, why ? why : "");
}

/* What the write needs (a rating, a mode) may be read after the device is live: then it is tried again with the next
 * values. */
static void updated(void *arg, int device)
{
	struct off *o = arg;
	struct inverter *i = &o->inverters[device];
	struct err e = { 0 };

	if (i->asked || poll_device_state(o->poll, device) != DEVICE_LIVE)
		return;
	if (poll_write(o->poll, device, POINT_BATTERY_SETPOINT_W, 0, POLL_CONTROL,
		       now_read().boot_us + WRITE_MS * US_PER_MS, written, o, &e))
		str_copy(i->why, sizeof i->why, e.text);
	else
		i->asked = true;
}

static void state(void *arg, int device, enum device_state s, const char *why)
{
	struct inverter *i = &((struct off *)arg)->inverters[device];

	if (s == DEVICE_LOST)
		str_copy(i->why, sizeof i->why, why ? why : "");
	updated(arg, device);
}

static bool all_ended(const struct off *o)
{
	for (size_t i = 0; i < o->site->device_count; i++)
		if (!o->inverters[i].ended)
			return false;
	return true;
}

static int turn_until_ended(const struct cmd_env *env, struct off *o, struct loop *l, struct err *e)
{
	int64_t deadline_us = now_read().boot_us + ALL_MS * US_PER_MS, now_us;

	poll_start(o->poll);
	while (!all_ended(o)) {
		if (*env->interrupted)
			return err_set(e, ERR_INTERRUPTED, 0,
				       "stopped before the battery was at rest; run `psec control off` again");
		now_us = now_read().boot_us;
		if (now_us >= deadline_us)
			return 0;
		if (loop_turn(l, now_us + TURN_MS * US_PER_MS, e))
			return -1;
	}
	return 0;
}

/* ---- the mode at psecd's next start ---- */

/* The setting and its audit entry: both, or neither. */
static int put_setting(struct store *store, struct audit_entry *entry, struct err *e)
{
	if (store_begin(store, e))
		return -1;
	if (store_put_setting(store, "control.mode", site_mode_name(SITE_MODE_OFF), e) || audit_append(store, entry, e)) {
		store_rollback(store);
		return -1;
	}
	return store_commit(store, e);
}

/* As psecd-core stores and tells it. */
static int put_off(struct store *store, struct err *e)
{
	struct now now = now_read();
	auto_free char *before = NULL;
	char text[64], who[RIGHT_USER], detail[96];
	enum site_mode was;
	struct store_event event = { .utc_us = now.utc_us, .utc_valid = now.utc_valid, .severity = SEVERITY_INFO,
				     .kind = "mode", .subject = "", .text = text, .who = right_user(getuid(), who) };
	struct audit_entry entry = { .utc_us = now.utc_us, .utc_valid = now.utc_valid, .who = who, .kind = "mode",
				     .subject = "", .detail = detail };

	if (store_get_setting(store, "control.mode", &before, e))
		return -1;
	if (before && str_eq(before, site_mode_name(SITE_MODE_OFF)))
		return 0;
	snprintf(detail, sizeof detail, "{\"mode\":\"off\",\"mode_was\":\"%s\",\"psecd\":\"did not run\"}",
		 before && site_mode_parse(before, &was) ? before : "that of site.yaml");
	if (put_setting(store, &entry, e))
		return -1;
	snprintf(text, sizeof text, "mode is off, was %.20s; psecd did not run", before ? before : "that of site.yaml");
	return store_put_event(store, &event, &event.id, e);
}

/* A psecd that is started later goes on in the mode it had: who switched off at night must not find the battery at
 * work in the morning. */
static bool keep_off(const struct cmd_env *env, const struct site *site)
{
	struct database database;
	struct err e = { 0 };
	int rc = database_open(env, &database, &e);

	if (rc && e.kind == ERR_INPUT && site->control.mode == SITE_MODE_OFF) {
		database_close(&database);
		return true;
	}
	if (!rc)
		rc = put_off(database.store, &e);
	database_close(&database);
	if (rc)
		fprintf(env->err, "mode off could not be stored: %s. A psecd that is started goes on in its mode: then "
				  "run `psec control off` again\n", e.text);
	return !rc;
}

/* ---- what became of it ---- */

static int judge(const struct cmd_env *env, const struct off *o, bool kept, struct err *e)
{
	for (size_t n = 0; n < o->site->device_count; n++) {
		const struct inverter *i = &o->inverters[n];
		const char *name = o->site->devices[n].name;

		if (!i->ended)
			return err_set(e, ERR_UNREACHABLE, 0,
				       "'%s' was not brought to rest%s%s; switch it off at the device, or look at "
				       "the cable and try again",
				       name, i->why[0] ? ": " : "", i->why);
		if (i->how == POLL_NOT_SHOWN)
			return err_set(e, ERR_INPUT, 0,
				       "'%s' took 0 W but does not show it%s%s; switch it off at the device", name,
				       i->why[0] ? ": " : "", i->why);
		if (i->how != POLL_SHOWN)
			return err_set(e, ERR_UNREACHABLE, 0,
				       "0 W could not be written to '%s'%s%s; switch it off at the device", name,
				       i->why[0] ? ": " : "", i->why);
		if (!env->json)
			fprintf(env->out, "%s shows 0 W; psecd does not run, so nobody sets it again%s\n", name,
				kept ? ", and mode off is kept for its next start" : "");
	}
	if (env->json)
		fprintf(env->out, "{\"mode\": \"off\", \"by\": \"psec\", \"setpoint_w\": 0.0, \"kept\": %s}\n",
			kept ? "true" : "false");
	return 0;
}

/* Only the battery inverters of the site: nothing else need answer. */
static void keep_inverters(struct site *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->device_count; i++) {
		if (!(s->devices[i].roles & 1u << SITE_BATTERY_INVERTER))
			continue;
		if (n != i)
			s->devices[n] = s->devices[i];
		n++;
	}
	s->device_count = n;
	s->battery_count = 0;
}

static int off_by_ourselves(const struct cmd_env *env, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	auto_free struct off *o = xcalloc(1, sizeof *o);
	const struct poll_hooks hooks = { .updated = updated, .state = state, .arg = o };
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	struct device_catalogue *catalogue = NULL;
	struct loop *l = NULL;
	bool kept;
	int rc;

	if (cmd_read_site(env, site, e))
		return -1;
	keep_inverters(site);
	if (!site->device_count)
		return err_set(e, ERR_INPUT, 0, "the site has no battery-inverter; nothing can be switched off");
	o->site = site;
	rc = device_catalogue_load(env->paths.profiles, &catalogue, &sink, e) || loop_new(&l, e) ||
			     poll_new(l, site, catalogue, &hooks, &o->poll, e) || turn_until_ended(env, o, l, e)
		     ? -1
		     : 0;
	kept = keep_off(env, site); /* also when the inverter does not answer, or the waiting was broken off */
	if (!rc)
		rc = judge(env, o, kept, e);
	poll_free(o->poll);
	loop_free(l);
	device_catalogue_free(catalogue);
	return rc;
}

/* ---- by psecd ---- */

static const json_t *inverter_of(const json_t *status)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(status, "devices"), i, d)
		if (live_has_role(d, SITE_BATTERY_INVERTER))
			return d;
	return NULL;
}

/* 1: nothing more to wait for; 0: not yet, and e says why not; -1: psecd was not to be asked. */
static int look(const struct cmd_env *env, struct err *e)
{
	json_t *status = NULL;
	const json_t *d;
	char name[LIVE_TEXT], why[LIVE_TEXT], shown[64];
	double shown_w;
	bool live;
	int rc = 0;

	if (cmd_ask_daemon(env, "control.status", NULL, &status, e))
		return -1;
	d = inverter_of(status);
	shown_w = live_real(status, "shown_w");
	live = d && str_eq(live_text(d, "state", why), "live");
	/* An inverter that shows no set-point follows none. */
	if (!d || (live && (isnan(shown_w) || fabs(shown_w) < SHOWN_W))) {
		rc = 1;
	} else if (!live) {
		err_set(e, ERR_UNREACHABLE, 0,
			"'%s' does not answer (%s); psecd writes 0 W as soon as it does. Until then switch it off at "
			"the device",
			live_text(d, "name", name), live_text(d, "why", why));
	} else {
		err_set(e, ERR_AGAIN, 0, "'%s' still shows %s; `psec control watch` shows what it does. If it does "
					 "not come to rest, switch "
			"it off at the device", live_text(d, "name", name),
			live_directed(shown_w, "discharge", "charge", shown));
	}
	json_decref(status);
	return rc;
}

/* The mode alone says nothing of the battery: who calls for off wants to know whether it rests. */
static int wait_for_rest(const struct cmd_env *env, struct err *e)
{
	int64_t deadline_us = now_read().boot_us + SHOWN_MS * US_PER_MS;
	int rc;

	while ((rc = look(env, e)) == 0 && now_read().boot_us < deadline_us) {
		if (*env->interrupted)
			return err_set(e, ERR_INTERRUPTED, 0,
				       "stopped before the battery was at rest; the mode is off");
		usleep(TURN_MS * 1000);
	}
	return rc > 0 ? 0 : -1;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	json_t *wish = NULL;
	int rc = 0;

	(void)options, (void)argc, (void)argv;
	if (cmd_ask_daemon(env, "control.off", NULL, &wish, e))
		return e->kind == ERR_UNREACHABLE && !cmd_daemon_runs(env) ? off_by_ourselves(env, e) : -1;
	if (env->json)
		rc = cmd_print_json(env, wish, e);
	else
		fprintf(env->out, "mode off\n");
	live_warn_unkept(env, wish);
	json_decref(wish);
	fflush(env->out);
	return rc ? rc : wait_for_rest(env, e);
}

const struct cmd cmd_control_off = {
	.name = "off",
	.summary = "bring the battery to rest, also without psecd",
	.more = "psecd goes to mode off, and it is waited until the battery inverter shows 0 W. Where psecd does not "
		"run, 0 W is written "
		"to the battery inverters from here, and read back.",
	.example = "psec control off",
	.flags = CMD_JSON,
	.run = run,
};
