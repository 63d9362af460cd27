/* The guarded write: planned by device, sent before its deadline, read back. Latest wins while it waits; what has begun
 * is carried through, because half a set-point is none. */
#include <string.h>

#include "poll/inside.h"

static void finish(struct dev *d, enum poll_written how, const char *why)
{
	struct write_job job = d->job;

	d->job = (struct write_job){ 0 };
	if (how != POLL_SHOWN)
		memset(d->modes, 0, sizeof d->modes); /* look at the mode again before the next one */
	if (job.order.fn != NULL)
		job.order.fn(job.order.arg, d->index, job.order.point, job.order.value, how, why, job.sent_us);
}

void write_drop(struct dev *d, const char *why)
{
	struct write_order waiting = d->waiting;

	d->waiting = (struct write_order){ 0 };
	if (d->job.order.active)
		finish(d, POLL_FAILED, why);
	if (waiting.active && waiting.fn != NULL)
		waiting.fn(waiting.arg, d->index, waiting.point, waiting.value, POLL_FAILED, why, 0);
}

bool write_due(struct dev *d, int64_t now_us, int64_t *due_us)
{
	*due_us = now_us;
	if (d->job.order.active) {
		*due_us = d->job.not_before_us;
		return true;
	}
	if (!d->waiting.active)
		return false;
	if (d->last_write_us > 0)
		*due_us = d->last_write_us + d->info->timing.write_interval_ms * US_PER_MS;
	if (*due_us > d->waiting.expires_us)
		*due_us = d->waiting.expires_us; /* to say so then */
	return true;
}

/* When the step's register was seen to hold what it is to hold; not after the device's watchdog may have taken it
 * back. */
static struct mode_shown *mode_of(struct dev *d, size_t step, int64_t now_us)
{
	struct mode_shown *m = &d->modes[step];
	const struct bus_request *q = &d->job.plan[step].write;
	int64_t watchdog_us = d->info->timing.watchdog_ms * US_PER_MS;

	if (!m->known || m->address != q->address || m->value != q->values[0])
		return NULL;
	return watchdog_us > 0 && d->last_write_us > 0 && now_us - d->last_write_us >= watchdog_us ? NULL : m;
}

static void add_op(struct write_job *j, enum op_kind kind, size_t step)
{
	if (j->op_count < OPS_MAX)
		j->ops[j->op_count++] = (struct op){ kind, (uint8_t)step };
}

/* A mode register that was just seen right is left alone; one not seen for a while is looked at after the set-point has
 * left. */
static void list_ops(struct dev *d, int64_t now_us)
{
	struct write_job *j = &d->job;

	for (size_t i = 0; i < j->plan_count; i++) {
		const struct device_write *w = &j->plan[i];

		if (w->only_when_changed && w->read_back.count > 0) {
			if (mode_of(d, i, now_us) != NULL)
				continue;
			add_op(j, OP_CHECK, i);
		}
		add_op(j, OP_WRITE, i);
		if (w->read_back.count > 0)
			add_op(j, OP_SHOW, i);
	}
	for (size_t i = 0; i < j->plan_count; i++) {
		const struct mode_shown *m = j->plan[i].only_when_changed ? mode_of(d, i, now_us) : NULL;

		if (m != NULL && now_us - m->at_us > MODE_FRESH_MS * US_PER_MS)
			add_op(j, OP_VERIFY, i);
	}
}

static bool begin(struct dev *d, int64_t now_us)
{
	struct err e = { 0 };

	d->job = (struct write_job){ .order = d->waiting };
	d->waiting = (struct write_order){ 0 };
	if (now_us >= d->job.order.expires_us) {
		finish(d, POLL_EXPIRED, "its deadline passed before it could be sent");
		return false;
	}
	if (device_map_write(d->map, d->job.order.point, d->job.order.value, d->job.plan, &d->job.plan_count, &e) < 0) {
		finish(d, POLL_FAILED, e.text);
		return false;
	}
	list_ops(d, now_us);
	if (d->job.op_count == 0) {
		finish(d, POLL_FAILED, "nothing to write");
		return false;
	}
	return true;
}

bool write_question(struct dev *d, struct bus_request *q)
{
	int64_t now_us = poll_clock(d->poll);
	struct write_job *j = &d->job;
	const struct op *op;

	if (!j->order.active && !begin(d, now_us))
		return false;
	if (j->op_count == 0)
		list_ops(d, now_us); /* begun over a connection that is gone */
	if (!j->sent && now_us >= j->order.expires_us) {
		finish(d, POLL_EXPIRED, "its deadline passed before it could be sent");
		return false;
	}
	op = &j->ops[j->at];
	if (op->kind == OP_WRITE) {
		*q = j->plan[op->step].write;
		j->sent = true;
		d->last_write_us = now_us;
		return true;
	}
	q->function = j->plan[op->step].read_back.function;
	q->address = j->plan[op->step].read_back.address;
	q->count = j->plan[op->step].read_back.count;
	return true;
}

static void remember_mode(struct dev *d, size_t step)
{
	const struct bus_request *q = &d->job.plan[step].write;

	if (d->job.plan[step].only_when_changed)
		d->modes[step] = (struct mode_shown){ true, q->address, q->values[0], poll_clock(d->poll) };
}

static void next_op(struct dev *d)
{
	struct write_job *j = &d->job;

	j->looked_again = false;
	j->not_before_us = 0;
	if (++j->at >= j->op_count)
		finish(d, POLL_SHOWN, "");
}

static void say_not_shown(struct dev *d, const struct device_write *w, const struct bus_reply *r)
{
	char why[120];

	for (uint16_t i = 0; i < w->write.count; i++)
		if (r->regs[i] != w->write.values[i]) {
			snprintf(why, sizeof why, "register %u reads %u instead of %u", w->write.address + i,
				 r->regs[i], w->write.values[i]);
			break;
		}
	finish(d, POLL_NOT_SHOWN, why);
}

static void read_answer(struct dev *d, const struct op *op, const struct bus_reply *r)
{
	struct write_job *j = &d->job;
	const struct device_write *w = &j->plan[op->step];
	bool shown = device_write_shown(w, r->regs);

	if (shown) {
		remember_mode(d, op->step);
		while (op->kind == OP_CHECK && j->at + 1 < j->op_count && j->ops[j->at + 1].step == op->step &&
		       j->ops[j->at + 1].kind != OP_VERIFY)
			j->at++; /* already so: neither written nor shown again */
		next_op(d);
	} else if (op->kind == OP_CHECK) {
		next_op(d);
	} else if (op->kind == OP_SHOW && !j->looked_again) {
		j->looked_again = true; /* some devices take a moment to show what they took */
		j->not_before_us = poll_clock(d->poll) + SHOW_LATER_MS * US_PER_MS;
	} else {
		say_not_shown(d, w, r);
	}
}

/* Its question could not leave: the connection was gone. What has begun is carried through, from the mode register
 * on, for the device may have started anew; what has not, waits as if it had just been asked for. */
void write_again(struct dev *d)
{
	struct write_job *j = &d->job;

	memset(d->modes, 0, sizeof d->modes);
	j->sent = j->taken;
	if (j->sent) {
		j->at = j->op_count = 0;
		j->looked_again = false;
		j->not_before_us = 0;
	} else if (d->waiting.active) {
		finish(d, POLL_REPLACED, "a newer value came first");
	} else {
		d->waiting = j->order;
		*j = (struct write_job){ 0 };
	}
}

void write_answer(struct dev *d, const struct bus_reply *r)
{
	const struct op op = d->job.ops[d->job.at];
	char words[120], why[200];

	if (!d->job.order.active)
		return; /* dropped while its question was out */
	if (r->outcome == BUS_OK) {
		d->failures = 0;
		if (op.kind == OP_WRITE) {
			d->record.sums.writes++;
			d->job.taken = true;
			if (!d->job.plan[op.step].only_when_changed)
				d->job.sent_us = r->sent_boot_us;
			next_op(d);
		} else {
			d->record.sums.reads++;
			read_answer(d, &op, r);
		}
		return;
	}
	bus_reply_words(r, words, sizeof words);
	if (op.kind == OP_WRITE && r->outcome != BUS_EXCEPTION && !d->job.plan[op.step].only_when_changed &&
	    d->job.sent_us == 0)
		d->job.sent_us = r->sent_boot_us; /* 0: no connection, it never left */
	d->failures = r->outcome == BUS_EXCEPTION ? 0 : d->failures + 1;
	if (d->failures >= 2) {
		dev_lose(d, words); /* tells who waits for the write, too */
		return;
	}
	snprintf(why, sizeof why, "%s%s", words,
		 op.kind == OP_WRITE && r->outcome != BUS_EXCEPTION ? "; the device may have taken it all the same"
								    : "");
	finish(d, POLL_FAILED, why);
}
