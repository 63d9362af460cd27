/* staff: the two children. What dies is started again with back-off; the living one gets the new end of their pair
 * and never notices more than a silence. */
#include "staff.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BACKOFF_FIRST_MS = 200, BACKOFF_LAST_MS = 10000,
	STEADY_MS = 60000,     /* who ran so long begins at the first back-off again */
	HEALTH_MS = 10000,     /* a child that has not answered by the next question is ended */
	SAFE_PATIENCE_MS = 5000, END_PATIENCE_MS = 2000,
};

static void child_ended(void *arg, int fd, unsigned events);
static void restart_due(void *arg);

struct child *staff_other(struct child *c)
{
	return &c->staff->children[c->index == CORE ? FIELD : CORE];
}

/* ---- what core should know of us ---- */

void staff_tell_core(struct staff *s)
{
	struct wire_staff w = { .count = 3, .began_boot_us = s->began_boot_us };
	struct child *core = &s->children[CORE];
	size_t used;
	struct err e;

	if (!core->runs || !core->wire)
		return;
	str_copy(w.processes[0].name, sizeof(w.processes[0].name), "psecd");
	w.processes[0].pid = getpid();
	w.processes[0].runs = 1;
	str_copy(w.missing, sizeof(w.missing), s->place->missing);
	for (int i = 0; i < CHILDREN; i++) {
		struct child *c = &s->children[i];

		str_copy(w.processes[i + 1].name, sizeof(w.processes[0].name), c->name);
		w.processes[i + 1].pid = c->runs ? c->proc.pid : 0;
		w.processes[i + 1].runs = c->runs;
		w.processes[i + 1].restarts = c->restarts;
		used = strlen(w.missing);
		if (c->missing[0] && !strstr(w.missing, c->missing))
			snprintf(w.missing + used, sizeof(w.missing) - used, "%s%s", used ? "; " : "", c->missing);
	}
	if (wire_send(core->wire, WIRE_STAFF, &w, sizeof(w), &e) != 1)
		log_line(LOG_WARNING, "psecd-core does not hear who runs");
}

/* ---- start ---- */

enum { PASSED_MAX = 3 };

static void pass_env(const char *env[PASSED_MAX + 1], char text[PASSED_MAX][512])
{
	static const char *const passed[PASSED_MAX] = { "PSEC_SHARE", "ASAN_OPTIONS", "UBSAN_OPTIONS" };
	size_t count = 0;

	for (size_t i = 0; i < PASSED_MAX; i++) {
		const char *value = getenv(passed[i]);

		if (!value)
			continue;
		snprintf(text[count], sizeof(text[count]), "%s=%s", passed[i], value);
		env[count] = text[count];
		count++;
	}
	env[count] = NULL;
}

static int run_program(struct child *c, int supervisor_fd, struct err *e)
{
	const struct place *p = c->staff->place;
	const char *argv[] = { p->program[c->index], NULL };
	const char *env[PASSED_MAX + 1] = { NULL };
	char env_text[PASSED_MAX][512];
	const struct proc_fd fds[] = {
		{ supervisor_fd, WIRE_FD_SUPERVISOR }, { p->start_fd[c->index], WIRE_FD_START },
		{ p->lock_fd, WIRE_FD_LOCK },
		{ p->listen_fd, WIRE_FD_LISTEN }, { p->state_fd, WIRE_FD_STATE }, /* the last two: core's */
	};
	const struct proc_spec spec = {
		.argv = argv, .env = env, .fds = fds, .fd_count = c->index == CORE ? COUNT_OF(fds) : COUNT_OF(fds) - 2,
		/* its pair closes with us; then it brings the devices to the safe set-point first */
		.stays = c->index == FIELD,
	};

	pass_env(env, env_text);
	return proc_start(&spec, &c->proc, e);
}

static int child_start(struct child *c, struct err *e)
{
	struct staff *s = c->staff;
	struct child *other = staff_other(c);
	const struct wire_ear ear = hear_child(c);
	struct wire_peer peer = { .generation = ++s->generation };
	auto_close int ours = -1, theirs = -1, end_a = -1, end_b = -1;
	int own[2], between[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, own) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a pair for %s", c->name);
	ours = own[0];
	theirs = own[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, between) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a pair for %s", c->name);
	end_a = between[0];
	end_b = between[1];
	if (run_program(c, theirs, e) < 0)
		return err_ctx(e, "start %s", c->name);
	c->runs = true;
	c->ready = c->asked = false;
	c->failed = ERR_NONE;
	c->began_boot_us = loop_now(s->loop)->boot_us;
	if (loop_add_fd(s->loop, c->proc.pidfd, LOOP_READ, child_ended, c, &c->end_source, e) < 0 ||
	    wire_new(s->loop, take_fd(&ours), &ear, &c->wire, e) < 0 ||
	    wire_send_peer(c->wire, &peer, end_a, e) != 1)
		return err_ctx(e, "start %s", c->name);
	/* One that does not read is found by the question for its health. */
	if (other->runs && wire_send_peer(other->wire, &peer, end_b, e) != 1)
		log_line(LOG_WARNING, "%s does not hear of the new %s", other->name, c->name);
	return 0;
}

/* ---- end ---- */

static void child_clear(struct child *c)
{
	loop_remove(c->end_source);
	wire_free(c->wire);
	c->end_source = NULL;
	c->wire = NULL;
	c->runs = c->ready = c->asked = false;
}

void staff_end_all(struct staff *s)
{
	struct err e;
	bool some = false;

	s->ending = true;
	for (int i = 0; i < CHILDREN; i++) {
		struct child *c = &s->children[i];

		loop_timer_stop(s->loop, &c->restart);
		if (!c->runs)
			continue;
		some = true;
		if (wire_send(c->wire, WIRE_SHUTDOWN, NULL, 0, &e) != 1)
			kill(c->proc.pid, SIGTERM);
	}
	if (!some)
		loop_stop(s->loop);
	else
		loop_timer_set(s->loop, &s->patience, loop_now(s->loop)->boot_us + END_PATIENCE_MS * US_PER_MS);
}

static void patience_over(void *arg)
{
	struct staff *s = arg;

	if (!s->ending) {
		log_line(LOG_ERROR,
			 "psecd-field has not reached the safe set-point in %d s; the devices' watchdogs must do it",
			 SAFE_PATIENCE_MS / 1000);
		staff_end_all(s);
		return;
	}
	for (int i = 0; i < CHILDREN; i++) {
		if (s->children[i].runs)
			kill(s->children[i].proc.pid, SIGKILL);
	}
}

static void give_up(struct staff *s, enum err_kind kind)
{
	s->verdict = kind;
	s->stopping = true;
	staff_end_all(s);
}

static void plan_restart(struct child *c)
{
	struct staff *s = c->staff;
	int64_t now = loop_now(s->loop)->boot_us;

	if (c->backoff_ms == 0 || now - c->began_boot_us > STEADY_MS * US_PER_MS)
		c->backoff_ms = BACKOFF_FIRST_MS;
	loop_timer_set(s->loop, &c->restart, now + c->backoff_ms * US_PER_MS);
	c->backoff_ms = c->backoff_ms * 2 < BACKOFF_LAST_MS ? c->backoff_ms * 2 : BACKOFF_LAST_MS;
}

static void child_ended(void *arg, int fd, unsigned events)
{
	struct child *c = arg;
	struct staff *s = c->staff;
	char how[64];
	bool clean;

	(void)fd, (void)events;
	if (c->wire)
		wire_hear(c->wire); /* its last words */
	if (!c->runs)
		return;
	proc_reap(&c->proc, &clean, how);
	child_clear(c);
	if (s->stopping) {
		if (!s->ending && c->index == FIELD) {
			log_line(LOG_WARNING, "psecd-field ended before it reached the safe set-point: %s", how);
			staff_end_all(s);
		} else if (s->ending && !staff_other(c)->runs) {
			loop_stop(s->loop);
		}
		return;
	}
	/* A site that cannot be run is told once; trying again would only repeat it. */
	if (!s->all_ready && c->failed != ERR_NONE && c->failed != ERR_AGAIN) {
		give_up(s, c->failed);
		return;
	}
	plan_restart(c);
	log_line(LOG_ERROR, "%s ended: %s; it is started again", c->name, how);
	staff_tell_core(s);
}

static void restart_due(void *arg)
{
	struct child *c = arg;
	struct err e;

	c->restarts++;
	if (child_start(c, &e) < 0) {
		log_line(LOG_ERROR, "%s", e.text);
		if (c->runs) {
			proc_end(&c->proc, 0);
			child_clear(c);
		}
		plan_restart(c);
	}
	staff_tell_core(c->staff);
}

/* ---- health ---- */

static void health_due(void *arg)
{
	struct staff *s = arg;
	struct err e;

	for (int i = 0; i < CHILDREN; i++) {
		struct child *c = &s->children[i];

		if (!c->runs || !c->ready)
			continue;
		if (c->asked || wire_send(c->wire, WIRE_ALIVE, NULL, 0, &e) != 1) {
			log_line(LOG_ERROR, "%s is ended: it does not answer", c->name);
			kill(c->proc.pid, SIGKILL);
		}
		c->asked = true;
	}
	if (s->watchdog)
		notify_say("WATCHDOG=1");
	loop_timer_set(s->loop, &s->health, loop_now(s->loop)->boot_us + s->health_us);
}

/* ---- the whole ---- */

/* `psecd -n`: the field reads the profiles of this site and says whether it could run. */
int staff_check(const struct place *p, struct err *e)
{
	const char *argv[] = { p->program[FIELD], "-n", NULL };
	const char *env[PASSED_MAX + 1] = { NULL };
	char env_text[PASSED_MAX][512], how[64];
	auto_close int start = -1;
	struct proc proc;
	struct pollfd ended;
	bool clean;

	if (place_seal(p, FIELD, &start, e) < 0)
		return -1;
	const struct proc_fd fds[] = { { start, WIRE_FD_START } };
	const struct proc_spec spec = { .argv = argv, .env = env, .fds = fds, .fd_count = COUNT_OF(fds) };

	pass_env(env, env_text);
	if (proc_start(&spec, &proc, e) < 0)
		return -1;
	ended = (struct pollfd){ .fd = proc.pidfd, .events = POLLIN };
	while (poll(&ended, 1, -1) < 0 && errno == EINTR)
		;
	proc_reap(&proc, &clean, how);
	return clean ? 0 : err_set(e, ERR_INPUT, 0, "'%s' cannot be run as it is", p->start.paths.file);
}

int staff_new(struct loop *l, const struct place *p, struct staff **out, struct err *e)
{
	struct staff *s = xcalloc(1, sizeof(*s));
	int64_t watchdog_us = notify_watchdog_us();

	(void)e;
	s->loop = l;
	s->place = p;
	s->began_boot_us = loop_now(l)->boot_us;
	s->watchdog = watchdog_us > 0;
	s->health_us = HEALTH_MS * US_PER_MS;
	if (s->watchdog && watchdog_us / 2 < s->health_us)
		s->health_us = watchdog_us / 2;
	s->health = (struct loop_timer){ .fn = health_due, .arg = s };
	s->patience = (struct loop_timer){ .fn = patience_over, .arg = s };
	for (int i = 0; i < CHILDREN; i++) {
		s->children[i] = (struct child){ .staff = s, .index = i, .name = child_names[i],
						 .proc = { .pidfd = -1 } };
		s->children[i].restart = (struct loop_timer){ .fn = restart_due, .arg = &s->children[i] };
	}
	*out = s;
	return 0;
}

int staff_start(struct staff *s, struct err *e)
{
	for (int i = 0; i < CHILDREN; i++) {
		if (child_start(&s->children[i], e) < 0)
			return -1;
	}
	loop_timer_set(s->loop, &s->health, loop_now(s->loop)->boot_us + s->health_us);
	return 0;
}

void staff_stop(struct staff *s)
{
	struct child *core = &s->children[CORE], *field = &s->children[FIELD];
	struct err e;

	if (s->stopping) {
		if (!s->ending)
			staff_end_all(s); /* asked twice: no more patience */
		return;
	}
	s->stopping = true;
	notify_say("STOPPING=1");
	place_say_stopping(s->place);
	loop_timer_stop(s->loop, &s->health);
	for (int i = 0; i < CHILDREN; i++)
		loop_timer_stop(s->loop, &s->children[i].restart);
	if (core->runs && wire_send(core->wire, WIRE_STOP, NULL, 0, &e) != 1)
		log_line(LOG_WARNING, "psecd-core does not hear that we stop");
	if (field->runs && wire_send(field->wire, WIRE_STOP, NULL, 0, &e) == 1)
		loop_timer_set(s->loop, &s->patience, loop_now(s->loop)->boot_us + SAFE_PATIENCE_MS * US_PER_MS);
	else
		staff_end_all(s);
}

enum err_kind staff_verdict(const struct staff *s)
{
	return s->verdict;
}

void staff_free(struct staff *s)
{
	if (!s)
		return;
	loop_timer_stop(s->loop, &s->health);
	loop_timer_stop(s->loop, &s->patience);
	for (int i = 0; i < CHILDREN; i++) {
		loop_timer_stop(s->loop, &s->children[i].restart);
		if (s->children[i].runs) {
			proc_end(&s->children[i].proc, END_PATIENCE_MS);
			child_clear(&s->children[i]);
		}
	}
	free(s);
}
