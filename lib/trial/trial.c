/* The test itself: once a second everything is asked for again, and what is there is noted. */
#include <math.h>
#include <string.h>

#include "poll/poll.h"
#include "trial/seen.h"

enum { ROUND_MS = 1000, START_MS = 15000, ROUNDS_LEAST = 3 };

struct trial {
	struct loop *loop;
	struct poll *poll;
	int device, seconds;
	struct trial_hooks hooks;
	struct loop_timer timer;
	int64_t began_us;              /* of the first round, 0: the device is not live yet */
	int64_t waits_since_us;
	struct poll_stats before;
	bool lost;
	char lost_why[120];
	struct trial_record record;
};

static int64_t clock_us(const struct trial *t)
{
	return loop_now(t->loop)->boot_us;
}

/* ---- how it answers ---- */

static void add_errors(char *why, size_t n, uint64_t count, const char *what)
{
	size_t len = strlen(why);

	if (count > 0)
		snprintf(why + len, n - len, ", %llu %s", (unsigned long long)count, what);
}

static void tell_answers(struct trial *t)
{
	struct trial_row row = trial_row_about("answers");
	const struct poll_stats *b = &t->before;
	struct poll_stats s;
	uint64_t bad;

	poll_device_stats(t->poll, t->device, &s);
	row.reads = (uint32_t)(s.reads - b->reads);
	bad = s.timeouts - b->timeouts + s.garbled - b->garbled + s.crc_errors - b->crc_errors + s.other_unit -
	      b->other_unit;
	if (row.reads > 0)
		snprintf(row.why, sizeof row.why, "half of them within %.1f ms, all within %.1f ms", s.p50_us / 1e3,
			 s.max_us / 1e3);
	else
		str_copy(row.why, sizeof row.why, "none");
	add_errors(row.why, sizeof row.why, s.timeouts - b->timeouts, "missing");
	add_errors(row.why, sizeof row.why, s.garbled - b->garbled, "garbled");
	add_errors(row.why, sizeof row.why, s.crc_errors - b->crc_errors, "with a wrong CRC");
	add_errors(row.why, sizeof row.why, s.other_unit - b->other_unit, "of another unit");
	add_errors(row.why, sizeof row.why, s.closed - b->closed, "times hung up");
	add_errors(row.why, sizeof row.why, s.exceptions - b->exceptions, "refused");
	if (t->lost) {
		size_t len = strlen(row.why);

		snprintf(row.why + len, sizeof row.why - len, "; lost: %s", t->lost_why);
	}
	row.verdict = row.reads == 0 || t->lost ? TRIAL_FAILED : bad > 0 ? TRIAL_SUSPICIOUS : TRIAL_OK;
	t->hooks.row(t->hooks.arg, &row);
}

static void tell_identity(struct trial *t)
{
	const struct device_map *m = poll_device_map(t->poll, t->device);
	const struct device_identity *i = m != NULL ? device_map_identity(m) : NULL;
	struct trial_row row = trial_row_about("identity");
	bool named;

	if (i == NULL || !(i->make[0] || i->model[0] || i->serial[0]))
		return;
	named = i->make[0] || i->model[0];
	snprintf(row.why, sizeof row.why, "%s%s%s%s%s%s%s%s", i->make, i->make[0] && i->model[0] ? " " : "", i->model,
		 named && i->serial[0] ? ", " : "", i->serial[0] ? "serial " : "", i->serial,
		 i->version[0] ? ", version " : "", i->version);
	t->hooks.row(t->hooks.arg, &row);
}

/* ---- rounds ---- */

static void note_round(struct trial *t)
{
	struct trial_record *r = &t->record;

	for (int p = 0; p < POINT_COUNT; p++) {
		struct device_reading *v = &r->readings[r->rounds][p];

		*v = (struct device_reading){ .quality = DEVICE_UNKNOWN, .value = NAN, .raw = NAN };
		r->has[p] |= poll_reading(t->poll, t->device, (enum device_point)p, v);
	}
	r->rounds++;
}

/* Every point that can be read was read often enough to say something of it. */
static bool seen_enough(const struct trial *t)
{
	const struct trial_record *r = &t->record;

	for (int p = 0; p < POINT_COUNT; p++) {
		size_t fresh = 0;
		int64_t at = 0;

		for (size_t i = 0; i < r->rounds; i++) {
			fresh += r->readings[i][p].at_boot_us != at;
			at = r->readings[i][p].at_boot_us;
		}
		if (r->has[p] && at > 0 && fresh < ROUNDS_LEAST)
			return false;
	}
	return true;
}

static void finish(struct trial *t)
{
	tell_identity(t);
	trial_judge(&t->record, t->hooks.row, t->hooks.arg);
	tell_answers(t);
	t->hooks.done(t->hooks.arg, ERR_NONE, "");
}

static void again(struct trial *t)
{
	poll_again(t->poll, t->device);
	loop_timer_set(t->loop, &t->timer, clock_us(t) + ROUND_MS * US_PER_MS);
}

/* A second is over. */
static void tick(void *arg)
{
	struct trial *t = arg;
	int64_t now_us = clock_us(t), ran_us;

	if (poll_device_state(t->poll, t->device) == DEVICE_LOST) {
		t->lost = true;
		str_copy(t->lost_why, sizeof t->lost_why, poll_device_why(t->poll, t->device));
	}
	if (t->began_us == 0) {
		if (poll_device_state(t->poll, t->device) == DEVICE_LIVE) {
			t->began_us = now_us;
			t->lost = false;
			again(t);
		} else if (t->lost || now_us - t->waits_since_us > START_MS * US_PER_MS) {
			t->hooks.done(t->hooks.arg, ERR_UNREACHABLE,
				      t->lost ? t->lost_why : "it did not answer everything that it must");
		} else {
			loop_timer_set(t->loop, &t->timer, now_us + ROUND_MS / 20 * US_PER_MS);
		}
		return;
	}
	note_round(t);
	ran_us = now_us - t->began_us;
	if (t->record.rounds >= TRIAL_ROUNDS_MAX || ran_us >= 3 * t->seconds * US_PER_S || t->lost ||
	    (ran_us >= t->seconds * US_PER_S && seen_enough(t)))
		finish(t);
	else
		again(t);
}

struct trial *trial_begin(struct loop *l, struct poll *p, int device, int seconds, const struct trial_hooks *hooks)
{
	struct trial *t = xcalloc(1, sizeof *t);

	t->loop = l;
	t->poll = p;
	t->device = device;
	t->seconds = seconds < ROUNDS_LEAST ? ROUNDS_LEAST : seconds;
	t->hooks = *hooks;
	t->timer = (struct loop_timer){ .fn = tick, .arg = t };
	t->waits_since_us = clock_us(t);
	poll_device_stats(p, device, &t->before);
	loop_timer_set(l, &t->timer, t->waits_since_us);
	return t;
}

void trial_free(struct trial *t)
{
	if (t == NULL)
		return;
	loop_timer_stop(t->loop, &t->timer);
	free(t);
}
