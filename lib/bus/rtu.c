/* rtu: one question at a time in serial frames, from silence to verdict; nothing here waits, and nothing has a thread.
 *
 * A serial frame has no number, so that what comes could be the answer to an earlier question; each passes
 * suspects_judge. Before a question there is silence, after one without an answer a longer one; what comes meanwhile is
 * late, or somebody else's (overheard.c). libmodbus's receive_confirmation is not used: it blocks, it cannot take the
 * answer to FC 43, and it hands over the late answer to the question before.
 */
#include "rtu.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* A unit that answers later than this, or than ten rounds of the line, is taken to have forgotten the question. */
enum { FORGOTTEN_MS = 10000, FORGOTTEN_ROUNDS = 10 };
/* How long a line may babble while silence is waited for. */
enum { RESTLESS_US = 500000 };

static void shut(struct rtu *r)
{
	loop_remove(r->source);
	r->source = NULL;
	r->medium->close(r);
	r->in_len = r->in_due = 0;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void tell_overheard(struct rtu *r)
{
	overheard(r, r->in_len, r->in_due);
	r->in_len = r->in_due = 0;
}

/* Read what is there, once. false: nothing came; the medium may have broken, then it is shut. The loop's word that it
 * is there can be old, and a line without bytes reads like one that has gone. */
static bool take_in(struct rtu *r)
{
	struct pollfd p = {.fd = r->fd, .events = POLLIN};
	ssize_t n;

	if (r->fd < 0 || poll(&p, 1, 0) <= 0)
		return false;
	if (r->in_len == sizeof r->in) /* nobody's frame is that long */
		tell_overheard(r);
	n = read(r->fd, r->in + r->in_len, sizeof r->in - r->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		shut(r);
		return false;
	}
	r->in_len += (size_t)n;
	r->link->counters.bytes_in += (uint64_t)n;
	r->heard_us = boot_now_us();
	return true;
}

static void count_late(struct rtu *r)
{
	r->link->counters.late_answers++;
	r->link->counters.late_unit = r->in[0];
}

static void take_off(struct rtu *r, size_t len)
{
	r->in_len -= len;
	r->in_due -= r->in_due < len ? r->in_due : len;
	memmove(r->in, r->in + len, r->in_len);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

enum framed { FRAMED, FRAMED_NOT_YET, FRAMED_NOTHING, FRAMED_CUT, FRAMED_NOISE };

static bool open_ended(const struct rtu *r)
{
	int want = frame_rtu_answer_len(r->in, r->in_len);

	return want < 0 || want > BUS_RTU_MAX;
}

/* What stands at the front; ended: the time for more is over. *len: of the frame. */
static enum framed front(const struct rtu *r, bool ended, size_t *len)
{
	int want = frame_rtu_answer_len(r->in, r->in_len);

	*len = open_ended(r) ? r->in_len : (size_t)want;
	if (r->in_len == 0)
		return ended ? FRAMED_NOTHING : FRAMED_NOT_YET;
	if (open_ended(r) && r->in_len >= BUS_RTU_MAX)
		return FRAMED_NOISE;
	if (*len == 0 || r->in_len < *len || (open_ended(r) && !ended))
		return ended ? FRAMED_CUT : FRAMED_NOT_YET;
	return frame_rtu_crc_ok(r->in, *len) ? FRAMED : FRAMED_NOISE;
}

/* ---- the end of a question --------------------------------------------------------------------------------------- */

static void end(struct rtu *r, struct bus_reply *reply)
{
	bool answered = reply->outcome == BUS_OK || reply->outcome == BUS_EXCEPTION;

	r->step = RTU_IDLE;
	reply->sent_boot_us = r->sent_us;
	reply->received_boot_us = answered ? r->heard_us : boot_now_us();
	link_done(r->link, reply);
}

static void give_up(struct rtu *r, enum bus_outcome outcome, const char *why)
{
	struct bus_reply reply = {0};

	reply_fail(&reply, outcome, "%s", why);
	end(r, &reply);
}

/* The question that is sent has no answer: one may come later, and the line is to be quiet before the next. */
static void fail(struct rtu *r, enum verdict v, struct bus_reply *reply)
{
	if (v == VERDICT_ODD)
		suspects_add(&r->suspects, &r->asked, r->sent_us);
	r->quiet_until_us = boot_now_us() + r->link->options.quiet_ms * US_PER_MS;
	r->in_due = r->in_len;
	end(r, reply);
}

#define ECHO "the question came back: the adapter echoes what it sends"

/* An adapter that hands back what it sends is no second master, and none of its answers can be trusted. */
static bool is_echo(const struct rtu *r)
{
	size_t n = r->in_len < r->sent_len ? r->in_len : r->sent_len;

	return n >= 4 && memcmp(r->in, r->sent, n) == 0;
}

static void fail_framed(struct rtu *r, enum framed f)
{
	struct bus_reply reply = {0};

	if (f == FRAMED_NOTHING)
		reply_fail(&reply, BUS_TIMEOUT, "no answer in %d ms", r->link->answer_ms);
	else if (is_echo(r))
		reply_fail(&reply, BUS_GARBLED, ECHO);
	else if (f == FRAMED_CUT)
		reply_fail(&reply, BUS_TIMEOUT, "only %zu bytes of an answer came", r->in_len);
	else
		reply_fail(&reply, BUS_LINE_NOISE, "%zu bytes with a wrong checksum: noise, parity, or two devices",
			   r->in_len);
	fail(r, VERDICT_ODD, &reply);
}

/* ---- silence, question ------------------------------------------------------------------------------------------- */

static void open_now(struct rtu *r);
static void arm_answer(struct rtu *r);

/* The medium broke before the question was sent: once more, from the beginning, when it was not opened for it. */
static void reopen(struct rtu *r)
{
	if (r->link->only_on)
		give_up(r, BUS_CANCELLED, CONNECTION_GONE);
	else if (r->fresh)
		give_up(r, BUS_CLOSED, "the line went away");
	else
		open_now(r);
}

static void arm_silence(struct rtu *r)
{
	int64_t at = r->silent_us;

	if (r->in_len && r->heard_us + r->pause_us > at)
		at = r->heard_us + r->pause_us;
	loop_timer_set(r->link->loop, &r->link->timer, at);
}

/* How long it is to last, by what was heard so far. */
static void measure_silence(struct rtu *r)
{
	int64_t gap_us = r->heard_us + r->gap_us, quiet_us = r->heard_us + r->link->options.quiet_ms * US_PER_MS;

	r->silent_us = r->quiet_until_us > gap_us ? r->quiet_until_us : gap_us;
	if (r->in_len && quiet_us > r->silent_us)
		r->silent_us = quiet_us;
	else if (r->suspects.count == 0 && r->settled) /* what had to come has come: no more to wait for */
		r->silent_us = gap_us;
}

static void begin_silence(struct rtu *r)
{
	r->step = RTU_SILENCE;
	r->restless_us = boot_now_us() + 4 * r->link->options.quiet_ms * US_PER_MS + RESTLESS_US;
	measure_silence(r);
	arm_silence(r);
}

/* Late answers leave the front; what else came is kept until it has ended. */
static void take_late(struct rtu *r)
{
	struct bus_reply ignored;
	size_t len;

	while (front(r, false, &len) == FRAMED &&
	       suspects_judge(&r->suspects, NULL, r->in[0], r->in + 1, len - 3, &ignored) == VERDICT_LATE) {
		count_late(r);
		take_off(r, len);
	}
}

/* Bytes came in the silence: late answers do not prolong it, all else does. */
static void disturbed(struct rtu *r)
{
	take_late(r);
	measure_silence(r);
	if (r->in_len && r->silent_us > r->restless_us)
		give_up(r, BUS_LINE_NOISE, "the line does not fall silent: is another master on it?");
	else
		arm_silence(r);
}

static void send_question(struct rtu *r)
{
	struct bus_link *k = r->link;
	uint8_t pdu[BUS_PDU_MAX], adu[BUS_ADU_MAX];

	r->sent_len = bus_rtu_frame(r->asked.unit, pdu, bus_pdu_encode(&r->asked, pdu), adu);
	memcpy(r->sent, adu, r->sent_len);
	r->sent_us = boot_now_us();
	if (!r->medium->send(r)) {
		shut(r);
		reopen(r);
		return;
	}
	k->counters.bytes_out += r->sent_len;
	r->step = RTU_WAITING;
	r->first_us = r->sent_us + r->char_us * (int64_t)r->sent_len + k->answer_ms * US_PER_MS;
	r->last_us = r->first_us + r->char_us * (int64_t)frame_rtu_answer_room(&r->asked);
	arm_answer(r);
}

static void silent(struct rtu *r)
{
	struct bus_link *k = r->link;
	int64_t now_us = boot_now_us(), rounds_ms = (int64_t)FORGOTTEN_ROUNDS * (k->answer_ms + k->options.quiet_ms);

	if (rounds_ms < FORGOTTEN_MS)
		rounds_ms = FORGOTTEN_MS;
	r->settled = true;
	suspects_expire(&r->suspects, now_us - rounds_ms * US_PER_MS);
	r->probing = suspects_need_probe(&r->suspects, &k->q, &r->asked);
	if (!r->probing)
		r->asked = k->q;
	else if (r->probes++ > COUNT_OF(r->suspects.list)) {
		give_up(r, BUS_TIMEOUT, "no question tells its answer from the late ones");
		return;
	}
	send_question(r);
}

static void silence_over(struct rtu *r)
{
	if (take_in(r)) {
		disturbed(r);
		return;
	}
	if (r->fd < 0) {
		reopen(r);
		return;
	}
	if (r->in_len)
		tell_overheard(r);
	if (boot_now_us() < r->silent_us)
		arm_silence(r);
	else
		silent(r);
}

/* ---- answer ------------------------------------------------------------------------------------------------------ */

static void arm_answer(struct rtu *r)
{
	int64_t until = r->in_len ? r->last_us : r->first_us;

	if (r->in_len && open_ended(r) && r->heard_us + r->pause_us < until)
		until = r->heard_us + r->pause_us;
	loop_timer_set(r->link->loop, &r->link->timer, until);
}

/* The probe's answer may be a late one, too: another probe, after a silence. */
static void doubt(struct rtu *r)
{
	r->quiet_until_us = boot_now_us() + r->link->options.quiet_ms * US_PER_MS;
	begin_silence(r);
}

/* A frame of len bytes is at the front. false: it was late, the wait goes on; else the question, or its probe, has
 * ended, and r may be gone. */
static bool judged(struct rtu *r, size_t len)
{
	struct bus_reply reply = {0};
	enum verdict v = suspects_judge(&r->suspects, &r->asked, r->in[0], r->in + 1, len - 3, &reply);

	if (v == VERDICT_LATE)
		count_late(r);
	if (v == VERDICT_ODD && is_echo(r))
		reply_fail(&reply, BUS_GARBLED, ECHO);
	else if (v == VERDICT_ODD && r->in[0] != r->asked.unit)
		overheard(r, len, len);
	take_off(r, len);
	if (v == VERDICT_LATE)
		return false;
	if (v == VERDICT_OURS && r->in_len > 0) {
		reply_fail(&reply, BUS_GARBLED, "%zu bytes follow the answer", r->in_len);
		v = VERDICT_ODD;
	}
	if (v == VERDICT_OURS && !r->probing)
		end(r, &reply);
	else if (v == VERDICT_OURS)
		begin_silence(r); /* now the question itself */
	else if (v == VERDICT_DOUBT && r->probing)
		doubt(r);
	else
		fail(r, v, &reply);
	return true;
}

static void examine(struct rtu *r, bool ended)
{
	size_t len;

	for (;;) {
		enum framed f = front(r, ended, &len);

		if (f == FRAMED && judged(r, len))
			return;
		if (f == FRAMED)
			continue;
		if (f == FRAMED_NOT_YET)
			arm_answer(r);
		else
			fail_framed(r, f);
		return;
	}
}

static void broke_while_waiting(struct rtu *r)
{
	struct bus_reply reply = {0};

	reply_fail(&reply, BUS_CLOSED, "the line went away");
	fail(r, VERDICT_ODD, &reply);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void is_open(struct rtu *r)
{
	/* Whoever asked before us, a process killed a moment ago, may still be answered. */
	r->quiet_until_us = boot_now_us() + r->link->options.quiet_ms * US_PER_MS;
	r->settled = false;
	r->link->counters.connects++;
}

static void on_bytes(void *arg, int fd, unsigned events)
{
	struct rtu *r = arg;
	struct err e;

	(void)fd, (void)events;
	if (r->step == RTU_OPENING) {
		if (r->medium->opened(r, &e) < 0 || loop_watch(r->source, LOOP_READ, &e) < 0) {
			shut(r);
			give_up(r, BUS_UNREACHABLE, e.text);
			return;
		}
		is_open(r);
		begin_silence(r);
		return;
	}
	/* What came before a pause is whole: it must not be taken for the beginning of what comes now. */
	if (r->step == RTU_IDLE && r->in_len && boot_now_us() > r->heard_us + r->pause_us)
		tell_overheard(r);
	if (take_in(r)) {
		if (r->step == RTU_WAITING)
			examine(r, false);
		else if (r->step == RTU_SILENCE)
			disturbed(r);
		else
			take_late(r);
	} else if (r->fd < 0 && r->step == RTU_WAITING) {
		broke_while_waiting(r);
	} else if (r->fd < 0 && r->step == RTU_SILENCE) {
		reopen(r);
	}
}

/* Open the medium. 0: it is; 1: it will be; -1: not, with e. */
static int open_medium(struct rtu *r, struct err *e)
{
	int rc = r->medium->open(r, e);

	if (rc >= 0 && loop_add_fd(r->link->loop, r->fd, rc ? LOOP_WRITE : LOOP_READ, on_bytes, r, &r->source, e) < 0)
		rc = -1;
	if (rc < 0)
		shut(r);
	else if (rc == 0)
		is_open(r);
	return rc;
}

/* For the question in flight. */
static void open_now(struct rtu *r)
{
	struct bus_link *k = r->link;
	struct err e;
	int rc = open_medium(r, &e);

	r->fresh = true;
	if (rc < 0) {
		r->step = RTU_IDLE;
		link_fail_soon(k, BUS_UNREACHABLE, e.text);
	} else if (rc == 0) {
		begin_silence(r);
	} else {
		r->step = RTU_OPENING;
		loop_timer_set(k->loop, &k->timer, boot_now_us() + k->options.connect_ms * US_PER_MS);
	}
}

/* ---- the kind ---------------------------------------------------------------------------------------------------- */

static void begin(struct bus_link *k)
{
	struct rtu *r = k->door;

	r->fresh = false;
	r->probes = 0;
	r->sent_us = 0;
	/* What came since the last question, or the end of the connection. */
	while (take_in(r))
		take_late(r);
	if (k->only_on && (r->fd < 0 || k->only_on != k->counters.connects)) {
		link_fail_soon(k, BUS_CANCELLED, CONNECTION_GONE);
		return;
	}
	if (r->fd < 0)
		open_now(r);
	else
		begin_silence(r);
}

static void expired(struct bus_link *k)
{
	struct rtu *r = k->door;
	char why[60];

	switch (r->step) {
	case RTU_OPENING:
		snprintf(why, sizeof why, "cannot connect: no answer in %d ms", k->options.connect_ms);
		shut(r);
		give_up(r, BUS_UNREACHABLE, why);
		break;
	case RTU_SILENCE:
		silence_over(r);
		break;
	case RTU_WAITING:
		examine(r, true);
		break;
	case RTU_IDLE:
		break;
	}
}

static void rtu_free(struct bus_link *k)
{
	struct rtu *r = k->door;

	shut(r);
	free(r);
}

static const struct link_kind rtu_kind = {begin, expired, rtu_free};

int rtu_open(struct bus_link *k, struct err *e)
{
	struct rtu *r = xcalloc(1, sizeof *r);
	int rc = 0;

	r->link = k;
	r->fd = r->lock_fd = -1;
	k->door = r;
	k->kind = &rtu_kind;
	r->medium = k->address.kind == BUS_RTU ? &medium_serial : &medium_gateway;
	if (k->address.kind == BUS_RTU_TCP)
		rc = socket_peer(&k->address, &r->peer, &r->peer_len, e);
	/* A line that is not there now may come; one that another holds is refused at once. */
	else if (open_medium(r, e) < 0 && e->kind == ERR_AGAIN)
		rc = -1;
	if (rc < 0)
		rtu_free(k);
	return rc;
}
