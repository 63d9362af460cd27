/* psecd-field: holds the devices and the fast law. A meter sample arrives, control decides, the set-point leaves
 * in the same turn of one loop; no other process and no disk is in that path. It works inside an envelope from
 * core and goes to the safe set-point by itself when that expires. After its start it opens no file (but a serial
 * line that came back) and reaches no database. */
#include "field.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "jail/jail.h"

static void terminate(void *arg, int signo)
{
	(void)signo;
	leave_begin(arg, true);
}

static void device_updated(void *arg, int device)
{
	struct field *f = arg;

	/* First the set-point, then the news. */
	law_updated(f, device);
	tell_updated(f, device);
	said_line(f, device);
}

static void device_state(void *arg, int device, enum device_state s, const char *why)
{
	struct field *f = arg;
	const char *name = f->site->devices[device].name;

	if (s == DEVICE_LIVE)
		tell_event(f, SEVERITY_INFO, "device", name, "is live");
	else if (s == DEVICE_LOST && f->said_state[device] != DEVICE_LOST) /* each vain try is not news */
		tell_event(f, SEVERITY_WARNING, "device", name, "is lost: %s", why);
	if (s == DEVICE_LIVE || s == DEVICE_LOST)
		f->said_state[device] = s;
	tell_device(f, device);
	law_device_changed(f, device);
	said_line(f, device);
}

static bool has_line(const struct site *s)
{
	for (size_t i = 0; i < s->device_count; i++) {
		if (s->devices[i].address.kind == BUS_RTU)
			return true;
	}
	return false;
}

/* The profiles, and whether this site can be run with them. */
static int load(struct field *f, struct err *e)
{
	struct diag_sink sink = { .fn = log_diag };

	if (wire_start_map(WIRE_FD_START, &f->start, e) < 0)
		return -1;
	f->site = &f->start->site;
	if (device_catalogue_load(f->start->paths.profiles, &f->catalogue, &sink, e) < 0)
		return -1;
	sink.count = 0; /* a profile that nobody uses may be broken */
	device_check_site(f->catalogue, f->site, f->start->paths.file, &sink);
	if (sink.count)
		return err_set(e, ERR_INPUT, 0, "the site has %d fault%s", sink.count, sink.count > 1 ? "s" : "");
	for (size_t i = 0; i < f->site->device_count; i++) {
		if (device_profile_keep(device_profile_find(f->catalogue, f->site->devices[i].profile), e) < 0)
			return err_ctx(e, "device '%s'", f->site->devices[i].name);
	}
	return 0;
}

/* Open first, drop, then work. */
static int prepare(struct field *f, struct wire_running *running, struct err *e)
{
	const struct poll_hooks hooks = { .updated = device_updated, .state = device_state, .arg = f };
	struct jail_spec jail = { .families = JAIL_INET | JAIL_UNIX };

	if (loop_new(&f->loop, e) < 0 || loop_add_signal(f->loop, SIGTERM, terminate, f, e) < 0 ||
	    staff_meet_supervisor(f, e) < 0 || load(f, e) < 0)
		return -1;
	tell_init(f);
	check_init(f);
	if (poll_new(f->loop, f->site, f->catalogue, &hooks, &f->poll, e) < 0 || law_init(f, e) < 0)
		return -1;
	scan_raise_files();
	malloc_trim(0); /* what reading YAML and JSON left behind */
	jail.user = f->start->user[0] ? f->start->user : NULL;
	if (has_line(f->site))
		jail.needs = JAIL_TTY;
	return jail_enter(&jail, running->missing, e);
}

static int run(struct field *f, struct err *e)
{
	struct wire_running running = { 0 };

	if (prepare(f, &running, e) < 0)
		return -1;
	if (wire_send(f->supervisor, WIRE_RUNNING, &running, sizeof(running), e) != 1)
		return err_ctx(e, "tell the supervisor");
	poll_start(f->poll);
	f->started = true;
	f->began_boot_us = loop_now(f->loop)->boot_us;
	tell_all(f);
	return loop_run(f->loop, e);
}

static void release(struct field *f)
{
	if (f->scanning)
		scanning_end(f, UINT64_MAX);
	trying_release(f);
	poll_free(f->poll);
	law_release(f);
	tell_release(f);
	staff_release(f);
	device_catalogue_free(f->catalogue);
	loop_free(f->loop);
}

static int check_only(struct field *f)
{
	struct err e;
	int result = load(f, &e);

	if (result < 0)
		log_line(LOG_ERROR, "%s", e.text);
	device_catalogue_free(f->catalogue);
	return result < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct field field;
	struct err e = { 0 };
	int result;

	wire_child_begin("psecd-field");
	if (argc == 2 && str_eq(argv[1], "-n"))
		return check_only(&field);
	result = run(&field, &e);
	if (result < 0)
		wire_child_failed(field.supervisor, &e);
	release(&field);
	return result < 0 ? 1 : 0;
}
