/* suspects: a serial answer has no number, so it could be the late one to a question given up before.
 *
 * What this rests on: a unit works on one question after the other, so that its answers come in the order of the
 * questions (it may leave some out); and an answer later than suspects_expire's bound does not come at all. Then an
 * answer that fits the question in flight and none before settles all before. One that fits both is never a value.
 * So that a unit which was late once does not stay in doubt, a probe is asked first: a read whose answer has a
 * length that no late one has.
 */
#include <string.h>

#include "link.h"

static void forget(struct suspects *s, size_t i)
{
	s->count--;
	memmove(s->list + i, s->list + i + 1, (s->count - i) * sizeof s->list[0]);
}

void suspects_add(struct suspects *s, const struct bus_request *q, int64_t since_us)
{
	if (s->count == COUNT_OF(s->list))
		forget(s, 0);
	s->list[s->count++] = (struct suspect){*q, since_us};
}

void suspects_expire(struct suspects *s, int64_t before_us)
{
	for (size_t i = s->count; i-- > 0;)
		if (s->list[i].since_us < before_us)
			forget(s, i);
}

static bool fits(const struct bus_request *q, uint8_t unit, const uint8_t *pdu, size_t len, struct bus_reply *r)
{
	if (q->unit != unit) {
		reply_fail(r, BUS_GARBLED, "unit %u answered instead of %u", unit, q->unit);
		return false;
	}
	bus_pdu_check(q, pdu, len, r);
	return r->outcome != BUS_GARBLED;
}

/* Forget what this unit was asked before list[last], and list[last] itself; returns since when that one is open. */
static int64_t settle(struct suspects *s, uint8_t unit, size_t last)
{
	int64_t since = s->list[last].since_us;

	for (size_t i = last + 1; i-- > 0;)
		if (s->list[i].q.unit == unit)
			forget(s, i);
	return since;
}

/* Identification does not change: the late answer to the same question is as good. */
static bool same_identification(const struct bus_request *a, const struct bus_request *b)
{
	return a->function == b->function && a->address == b->address && a->count == b->count &&
	       (a->function == BUS_REPORT_ID || a->function == BUS_DEVICE_ID);
}

enum verdict suspects_judge(struct suspects *s, const struct bus_request *q, uint8_t unit, const uint8_t *pdu,
			    size_t len, struct bus_reply *r)
{
	bool ours = q && fits(q, unit, pdu, len, r);
	struct bus_reply other;
	int64_t since;

	for (size_t i = 0; i < s->count; i++) {
		if (!fits(&s->list[i].q, unit, pdu, len, &other))
			continue;
		if (ours && same_identification(q, &s->list[i].q))
			break;
		since = settle(s, unit, i);
		if (!ours)
			return VERDICT_LATE;
		/* Either this was the late one, and ours is still to come, or ours, and nothing is: keep the open
		 * place, with the age it has, so that doubt ends when the first of the row is too old to be
		 * answered. */
		suspects_add(s, q, since);
		reply_fail(r, BUS_GARBLED, "the answer may belong to a question given up before");
		return VERDICT_DOUBT;
	}
	if (!ours)
		return VERDICT_ODD;
	for (size_t i = s->count; i-- > 0;)
		if (s->list[i].q.unit == unit)
			forget(s, i);
	return VERDICT_OURS;
}

/* Whether good answers to a and b can be the same bytes while meaning different things. */
static bool alike(const struct bus_request *a, const struct bus_request *b)
{
	if (a->unit != b->unit || a->function != b->function)
		return false;
	switch (a->function) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE:
		return (a->count + 7) / 8 == (b->count + 7) / 8;
	case BUS_READ_HOLDING: case BUS_READ_INPUT:
		return a->count == b->count;
	case BUS_WRITE_COIL: case BUS_WRITE_REGISTER:
		return a->address == b->address && a->values[0] == b->values[0];
	case BUS_WRITE_COILS: case BUS_WRITE_REGISTERS: /* the acknowledgement does not say which values */
		return a->address == b->address && a->count == b->count;
	default:
		return false;
	}
}

static bool any_alike(const struct suspects *s, const struct bus_request *q)
{
	for (size_t i = 0; i < s->count; i++)
		if (alike(&s->list[i].q, q))
			return true;
	return false;
}

bool suspects_need_probe(const struct suspects *s, const struct bus_request *q, struct bus_request *probe)
{
	bool bits = q->function == BUS_READ_COILS || q->function == BUS_READ_DISCRETE;
	int step = bits ? 8 : 1, count;

	if (!any_alike(s, q))
		return false;
	*probe = (struct bus_request){.unit = q->unit, .function = q->function, .address = q->address};
	count = q->count;
	if (q->function > BUS_READ_INPUT) { /* a write is probed by a read at its place */
		probe->function = BUS_READ_HOLDING;
		count = 2;
	}
	/* Fewer values first: the device has them all; then more. Eight suspects leave one of 17 lengths free. */
	for (int less = count - step; less > 0; less -= step) {
		probe->count = (uint16_t)less;
		if (!any_alike(s, probe))
			return true;
	}
	for (int more = count + step;; more += step) {
		probe->count = (uint16_t)more;
		if (probe->address + more > 0x10000) { /* the last registers: begin lower */
			probe->address = (uint16_t)(0x10000 - more);
		}
		if (!any_alike(s, probe))
			return true;
	}
}
