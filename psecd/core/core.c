/* psecd-core: holds the database and the control socket, decides what the field may do, keeps what happened. It
 * has no thread and no network: what comes from devices reaches it through the field, in messages of fixed length. */
#include "core.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "jail/jail.h"

static void stop(void *arg, int signo)
{
	struct core *c = arg;

	(void)signo;
	loop_stop(c->loop);
}

static int open_store(struct core *c, bool *recovered, struct err *e)
{
	const struct site_samples *s = &c->site->samples;
	const struct store_limits limits = {
		.raw_keep_us = s->raw_keep_ms * US_PER_MS, .mean_keep_us = s->mean_keep_ms * US_PER_MS,
		.budget_bytes = s->budget_bytes,
	};

	if (store_open("psec.db", &limits, &c->store, recovered, e) < 0)
		return err_ctx(e, "'%s'", c->start->paths.state);
	if (store_last_events(c->store, LAST_EVENTS, record_remember, c, e) < 0)
		return -1;
	if (*recovered) {
		log_line(LOG_ERROR, "psec.db was broken; it is kept aside and a new one is begun");
		record_event(c, SEVERITY_ALARM, "store", "", "",
			     "psec.db was broken; it is kept aside and a new one is begun");
	}
	return 0;
}

/* Open first, drop, then serve. */
static int prepare(struct core *c, struct wire_running *running, struct err *e)
{
	struct jail_spec jail = { .families = JAIL_UNIX, .needs = JAIL_FILES };
	bool recovered;

	if (wire_start_map(WIRE_FD_START, &c->start, e) < 0)
		return -1;
	c->site = &c->start->site;
	c->devices = xcalloc(c->site->device_count ? c->site->device_count : 1, sizeof(*c->devices));
	jail.user = c->start->user[0] ? c->start->user : NULL;
	if (fchdir(WIRE_FD_STATE) < 0)
		return err_set(e, ERR_IO, errno, "cannot enter the state folder");
	close(WIRE_FD_STATE);
	if (loop_new(&c->loop, e) < 0 || loop_add_signal(c->loop, SIGTERM, stop, c, e) < 0 ||
	    core_meet_supervisor(c, e) < 0 || jail_enter(&jail, running->missing, e) < 0)
		return -1;
	record_init(c);
	quota_init(c);
	if (open_store(c, &recovered, e) < 0)
		return -1;
	audited_init(c, recovered);
	if (keep_load(c, e) < 0 || methods_serve(c, e) < 0)
		return -1;
	return 0;
}

static int run(struct core *c, struct err *e)
{
	struct wire_running running = { 0 };

	if (prepare(c, &running, e) < 0)
		return -1;
	record_event(c, SEVERITY_INFO, "start", "", "", "psecd %s runs site %s", PSEC_VERSION, c->site->id);
	if (wire_send(c->supervisor, WIRE_RUNNING, &running, sizeof(running), e) != 1)
		return err_ctx(e, "tell the supervisor");
	return loop_run(c->loop, e);
}

static void release(struct core *c)
{
	if (c->record)
		record_flush(c);
	ctl_server_free(c->ctl);
	wire_free(c->field);
	wire_free(c->supervisor);
	record_release(c);
	quota_release(c);
	audited_release(c);
	if (c->store)
		store_close(c->store);
	loop_free(c->loop);
	free(c->devices);
}

int main(void)
{
	static struct core core;
	struct err e = { 0 };
	int result;

	wire_child_begin("psecd-core");
	result = run(&core, &e);
	if (result < 0)
		wire_child_failed(core.supervisor, &e);
	release(&core);
	return result < 0 || core.failed ? 1 : 0;
}
