/* What is counted. A window has two halves: the older one falls out when the younger is full, so that what is told
 * covers between half a window and a whole one, whoever asks when. */
#include <string.h>

#include "poll/inside.h"

enum { LATENCY_HALF_MS = 30000, BEAT_HALF_MS = 5000 };

static bool half_is_over(int64_t *since_us, int64_t now_us, int64_t half_ms)
{
	if (*since_us == 0)
		*since_us = now_us;
	return now_us - *since_us >= half_ms * US_PER_MS;
}

static void count_failure(struct poll_stats *s, const struct bus_reply *r)
{
	switch (r->outcome) {
	case BUS_TIMEOUT:
		s->timeouts++;
		break;
	case BUS_CLOSED:
		s->closed++;
		break;
	case BUS_UNREACHABLE:
		s->unreachable++;
		break;
	case BUS_LINE_NOISE:
		s->crc_errors++;
		break;
	case BUS_GARBLED:
		if (r->other_unit)
			s->other_unit++;
		else
			s->garbled++;
		break;
	case BUS_EXCEPTION:
		s->exceptions++;
		s->by_exception[r->exception < POLL_EXCEPTIONS ? r->exception : 0]++;
		break;
	case BUS_OK: case BUS_CANCELLED:
		break;
	}
}

void stats_answer(struct dev *d, const struct bus_reply *r)
{
	struct record *c = &d->record;
	int64_t us = r->received_boot_us - r->sent_boot_us, now_us = poll_clock(d->poll);

	count_failure(&c->sums, r);
	if (r->outcome != BUS_OK && r->outcome != BUS_EXCEPTION)
		return;
	if (half_is_over(&c->latency[1].since_us, now_us, LATENCY_HALF_MS)) {
		c->latency[0] = c->latency[1];
		c->latency[1] = (struct half){ .since_us = now_us };
	}
	spread_add(&c->latency[1].latency, us);
	c->sums.latency_us = us;
	c->latency_us = us > c->latency_us ? us : c->latency_us + (us - c->latency_us) / 8;
}

/* Half the window of a rate: three beats of a device that is read seldom. */
static int64_t beat_half_ms(const struct dev *d)
{
	int64_t three_ms = d->block_count > 0 ? 3 * d->plans[d->beat].period_us / US_PER_MS : 0;

	return three_ms > BEAT_HALF_MS ? three_ms : BEAT_HALF_MS;
}

void stats_beat(struct dev *d)
{
	struct beat *b = d->record.beats;
	int64_t now_us = poll_clock(d->poll);

	if (half_is_over(&b[1].since_us, now_us, beat_half_ms(d))) {
		b[0] = b[1];
		b[1] = (struct beat){ .since_us = now_us };
	}
	b[1].reads++;
	b[1].last_us = now_us;
}

void stats_busy(struct line *k)
{
	int64_t now_us = poll_clock(k->poll);

	if (half_is_over(&k->busy[1].since_us, k->asked_us, BEAT_HALF_MS)) {
		k->busy[0] = k->busy[1];
		k->busy[1] = (struct busy){ .since_us = k->asked_us };
	}
	k->busy[1].us += now_us - k->asked_us;
}

/* When a window began, of which the last half began at since_us: what is older than a whole one does not count any
 * more. */
static int64_t window_us(int64_t older_us, int64_t since_us, int64_t now_us, int64_t half_ms, bool *older_counts)
{
	bool stale = now_us - since_us >= half_ms * US_PER_MS;

	*older_counts = older_us != 0 && !stale;
	return *older_counts ? older_us : since_us;
}

static double rate_of(const struct dev *d, int64_t now_us)
{
	const struct beat *b = d->record.beats;
	int64_t half_ms = beat_half_ms(d), since_us, until_us = b[1].last_us;
	bool older;
	uint64_t reads;

	if (d->state != DEVICE_LIVE || now_us - b[1].since_us >= 2 * half_ms * US_PER_MS)
		return 0;
	if (now_us - until_us > 2 * d->plans[d->beat].period_us)
		until_us = now_us; /* the next one is late */
	since_us = window_us(b[0].since_us, b[1].since_us, now_us, half_ms, &older);
	reads = b[1].reads + (older ? b[0].reads : 0);

	/* The first of a window stands at its beginning: there is one interval less than reads. */
	return reads > 1 && until_us > since_us ? (double)(reads - 1) * 1e6 / (double)(until_us - since_us) : 0;
}

void stats_of(const struct dev *d, struct poll_stats *out)
{
	const struct half *h = d->record.latency;
	int64_t now_us = poll_clock(d->poll);
	struct spread all = h[1].latency;
	bool older;

	*out = d->record.sums;
	out->connects = dev_connection(d);
	out->rate_hz = rate_of(d, now_us);
	(void)window_us(h[0].since_us, h[1].since_us, now_us, LATENCY_HALF_MS, &older);
	if (older)
		spread_merge(&all, &h[0].latency);
	if (now_us - h[1].since_us < 2 * LATENCY_HALF_MS * US_PER_MS) {
		out->p50_us = spread_quantile(&all, 500);
		out->p99_us = spread_quantile(&all, 990);
		out->max_us = all.max_us;
	}
	if (d->state == DEVICE_LOST)
		out->next_try_boot_us = d->due_us > d->line->no_try_until_us ? d->due_us : d->line->no_try_until_us;
}

double stats_busy_percent(const struct line *k)
{
	int64_t now_us = poll_clock(k->poll), since_us, busy_us = k->busy[1].us;
	bool older;
	double percent;

	if (now_us - k->busy[1].since_us >= 2 * BEAT_HALF_MS * US_PER_MS)
		busy_us = 0;
	since_us = window_us(k->busy[0].since_us, k->busy[1].since_us, now_us, BEAT_HALF_MS, &older);
	if (older)
		busy_us += k->busy[0].us;
	if (k->in_flight)
		busy_us += now_us - k->asked_us;
	percent = now_us > since_us && since_us > 0 ? 100.0 * (double)busy_us / (double)(now_us - since_us) : 0;
	return clamp_real(percent, 0, 100);
}
