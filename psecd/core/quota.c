/* quota: how many events the field may raise, and who asks for what is refused. Each is a commit, and a field that was
 * taken over, a device that flaps, or a user without the right must fill neither the disk nor the story. What is over
 * it is counted, and the count is said. */
#include "core.h"

#include <string.h>

enum {
	SAY_FIRST_MS = 10000, SAY_LAST_MS = 3600000,
	KEYS = 48,                   /* kinds and subjects that are told apart; then the one longest unused gives way */
	KEY_BURST = 20, KEY_REFILL_MS = 60000,
	ALL_BURST = 300, ALL_REFILL_MS = 30000,
};

struct key {
	char kind[24], subject[sizeof((struct right_caller *)NULL)->name]; /* a device, or who was refused */
	struct bucket bucket;
	int64_t used_boot_us;
};

struct quota {
	struct key keys[KEYS];
	struct bucket all;
	uint64_t kept_back;              /* since it was last said */
	char last[160];                  /* one of them */
	enum severity worst;
	struct saying say;
};

bool bucket_take(struct bucket *b, int burst, int64_t refill_ms, int64_t now_us)
{
	int64_t back = (now_us - b->since_boot_us) / (refill_ms * US_PER_MS);

	if (back >= b->taken) {
		b->taken = 0;
		b->since_boot_us = now_us;
	} else {
		b->taken -= (int)back;
		b->since_boot_us += back * refill_ms * US_PER_MS;
	}
	if (b->taken >= burst)
		return false;
	b->taken++;
	return true;
}

void saying_init(struct core *c, struct saying *s, void (*say)(void *core))
{
	*s = (struct saying){ .after_ms = SAY_FIRST_MS, .timer = { .fn = say, .arg = c } };
}

void saying_soon(struct core *c, struct saying *s)
{
	if (!s->timer.index_)
		loop_timer_set(c->loop, &s->timer, loop_now(c->loop)->boot_us + s->after_ms * US_PER_MS);
}

void saying_again(struct core *c, struct saying *s, bool said)
{
	if (!said) { /* a whole interval without one: the next time is a first time */
		s->after_ms = SAY_FIRST_MS;
		return;
	}
	saying_soon(c, s);
	s->after_ms = s->after_ms * 2 < SAY_LAST_MS ? s->after_ms * 2 : SAY_LAST_MS;
}

static struct key *key_of(struct quota *q, const char *kind, const char *subject, int64_t now_us)
{
	struct key *oldest = &q->keys[0];

	for (struct key *k = q->keys; k < q->keys + KEYS; k++) {
		if (k->used_boot_us && str_eq(k->kind, kind) && str_eq(k->subject, subject)) {
			k->used_boot_us = now_us;
			return k;
		}
		if (k->used_boot_us < oldest->used_boot_us)
			oldest = k;
	}
	*oldest = (struct key){ .used_boot_us = now_us, .bucket.since_boot_us = now_us };
	str_copy(oldest->kind, sizeof(oldest->kind), kind);
	str_copy(oldest->subject, sizeof(oldest->subject), subject);
	return oldest;
}

static void say_kept_back(void *arg)
{
	struct core *c = arg;
	struct quota *q = c->quota;

	if (q->kept_back)
		record_event(c, q->worst, "kept-back", "", "", "%llu event%s came too fast and %s not kept, as: %s",
			     (unsigned long long)q->kept_back, q->kept_back > 1 ? "s" : "",
			     q->kept_back > 1 ? "are" : "is", q->last);
	saying_again(c, &q->say, q->kept_back > 0);
	q->kept_back = 0;
	q->worst = SEVERITY_WARNING;
}

bool quota_allows(struct core *c, enum severity severity, const char *kind, const char *subject, const char *text)
{
	struct quota *q = c->quota;
	int64_t now_us = loop_now(c->loop)->boot_us;

	if (bucket_take(&key_of(q, kind, subject, now_us)->bucket, KEY_BURST, KEY_REFILL_MS, now_us) &&
	    bucket_take(&q->all, ALL_BURST, ALL_REFILL_MS, now_us))
		return true;
	if (severity > q->worst)
		q->worst = severity;
	q->kept_back++;
	snprintf(q->last, sizeof(q->last), "%s%s%s: %s", kind, subject[0] ? " " : "", subject, text);
	saying_soon(c, &q->say);
	return false;
}

void quota_init(struct core *c)
{
	c->quota = xcalloc(1, sizeof(*c->quota));
	c->quota->worst = SEVERITY_WARNING;
	saying_init(c, &c->quota->say, say_kept_back);
}

void quota_release(struct core *c)
{
	if (!c->quota)
		return;
	loop_timer_stop(c->loop, &c->quota->say.timer);
	free(c->quota);
}
