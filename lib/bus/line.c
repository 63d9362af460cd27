/* line: one question on a serial line, from silence to verdict. */
#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "line.h"

/* A unit that answers later than this, or than ten rounds of the line, is taken to have forgotten the question. */
enum { FORGOTTEN_MS = 10000, FORGOTTEN_ROUNDS = 10 };
/* A pause that ends a frame whose length nobody knows. USB adapters hand over bytes every 16 ms at worst. */
enum { END_OF_FRAME_US = 20000 };
/* How long a line may babble while silence is waited for. */
enum { RESTLESS_US = 500000 };

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

enum heard { HEARD_BYTES, HEARD_NOTHING, HEARD_WAKE, HEARD_BROKEN };

static enum heard line_broke(struct line *l)
{
	line_close(l);
	return HEARD_BROKEN;
}

/* Wait until bytes came, or until_us. */
static enum heard listen_until(struct line *l, int64_t until_us)
{
	struct pollfd fds[2] = {{.fd = l->fd, .events = POLLIN}, {.fd = l->wake_fd, .events = POLLIN}};
	int64_t left = until_us - boot_now_us();
	struct timespec patience;
	ssize_t n;

	if (left < 0)
		left = 0;
	patience = (struct timespec){left / US_PER_S, left % US_PER_S * 1000};
	if (ppoll(fds, 2, &patience, NULL) < 0)
		return errno == EINTR ? HEARD_BYTES : line_broke(l);
	if (fds[1].revents)
		return HEARD_WAKE;
	if (!fds[0].revents)
		return HEARD_NOTHING;
	n = read(l->fd, l->in + l->in_len, sizeof l->in - l->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return HEARD_BYTES;
	if (n <= 0)
		return line_broke(l);
	l->in_len += (size_t)n;
	l->bytes_in += (uint64_t)n;
	l->heard_us = boot_now_us();
	return HEARD_BYTES;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

enum framed { FRAMED, FRAMED_NOTHING, FRAMED_CUT, FRAMED_NOISE, FRAMED_WAKE, FRAMED_BROKEN };

/* Wait for a frame whose CRC holds: its first byte until first_us, its last until last_us. It stands at in[0…*len). */
static enum framed next_frame(struct line *l, int64_t first_us, int64_t last_us, size_t *len)
{
	for (;;) {
		int want = frame_rtu_answer_len(l->in, l->in_len);
		bool open_end = want < 0 || want > BUS_RTU_MAX;
		int64_t until = l->in_len ? last_us : first_us;

		if (want > 0 && !open_end && l->in_len >= (size_t)want) {
			*len = (size_t)want;
			return frame_rtu_crc_ok(l->in, *len) ? FRAMED : FRAMED_NOISE;
		}
		if (open_end && l->in_len >= BUS_RTU_MAX)
			return FRAMED_NOISE;
		if (open_end && l->heard_us + END_OF_FRAME_US < until)
			until = l->heard_us + END_OF_FRAME_US;
		switch (listen_until(l, until)) {
		case HEARD_BYTES:
			break;
		case HEARD_WAKE:
			return FRAMED_WAKE;
		case HEARD_BROKEN:
			return FRAMED_BROKEN;
		case HEARD_NOTHING:
			if (l->in_len == 0)
				return FRAMED_NOTHING;
			*len = l->in_len;
			if (!open_end)
				return FRAMED_CUT;
			return frame_rtu_crc_ok(l->in, *len) ? FRAMED : FRAMED_NOISE;
		}
	}
}

static void take_off(struct line *l, size_t len)
{
	l->in_len -= len;
	memmove(l->in, l->in + len, l->in_len);
}

static enum verdict judge(struct line *l, const struct bus_request *q, size_t len, struct bus_reply *r)
{
	enum verdict v = suspects_judge(&l->suspects, q, l->in[0], l->in + 1, len - 3, r);

	take_off(l, len);
	return v;
}

/* ---- one exchange ------------------------------------------------------------------------------------------------ */

static void fail(struct bus_reply *r, enum framed why, size_t len, int answer_ms)
{
	switch (why) {
	case FRAMED_NOTHING:
		reply_fail(r, BUS_TIMEOUT, "no answer in %d ms", answer_ms);
		break;
	case FRAMED_CUT:
		reply_fail(r, BUS_TIMEOUT, "only %zu bytes of an answer came", len);
		break;
	case FRAMED_NOISE:
		reply_fail(r, BUS_LINE_NOISE, "%zu bytes with a wrong checksum: noise, parity, or two devices", len);
		break;
	case FRAMED_BROKEN:
		reply_fail(r, BUS_CLOSED, "the line went away");
		break;
	case FRAMED_WAKE:
		reply_fail(r, BUS_CANCELLED, "called off");
		break;
	case FRAMED: /* not a failure */
		break;
	}
}

/* The least silence between frames, MSL 2.5.1.1. */
static int64_t gap_us(const struct line *l)
{
	return l->address.baud > 19200 ? 1750 : 7 * line_char_us(l) / 2;
}

static enum framed stay_quiet(struct line *l)
{
	int64_t end = l->quiet_until_us, most = boot_now_us() + 4 * l->quiet_ms * US_PER_MS + RESTLESS_US;
	struct bus_reply ignored;
	enum framed f;
	size_t len;

	for (;;) {
		size_t before = l->suspects.count;

		/* What had to come has come: silence has nothing more to wait for. */
		if (before == 0 && l->opens == l->settled_opens && end > l->heard_us + gap_us(l))
			end = l->heard_us + gap_us(l);
		f = next_frame(l, end, end, &len);
		if (f == FRAMED_NOTHING || f == FRAMED_WAKE || f == FRAMED_BROKEN)
			break;
		if (f == FRAMED && judge(l, NULL, len, &ignored) == VERDICT_LATE)
			continue;
		l->in_len = 0;
		end = boot_now_us() + l->quiet_ms * US_PER_MS;
		if (end > most)
			return FRAMED_NOISE;
	}
	if (f == FRAMED_NOTHING)
		l->settled_opens = l->opens;
	return f;
}

static bool send_question(struct line *l, const struct bus_request *q)
{
	uint8_t raw[1 + BUS_PDU_MAX] = {q->unit};
	int n;

	tcflush(l->fd, TCIFLUSH);
	l->in_len = 0;
	n = modbus_send_raw_request(l->modbus, raw, 1 + (int)bus_pdu_encode(q, raw + 1));
	if (n > 0)
		l->bytes_out += (uint64_t)n;
	return n > 0;
}

static size_t answer_len(const struct bus_request *q)
{
	switch (q->function) {
	case BUS_READ_COILS: case BUS_READ_DISCRETE:
		return 5u + (q->count + 7u) / 8;
	case BUS_READ_HOLDING: case BUS_READ_INPUT:
		return 5u + 2u * q->count;
	case BUS_REPORT_ID: case BUS_DEVICE_ID:
		return BUS_RTU_MAX;
	default:
		return 8;
	}
}

/* The silence before a question; what comes meanwhile is nobody's answer. */
static enum framed wait_gap(struct line *l)
{
	int64_t most = boot_now_us() + RESTLESS_US, end;

	for (;;) {
		end = l->heard_us + gap_us(l);
		if (end <= boot_now_us())
			return FRAMED_NOTHING;
		l->in_len = 0;
		switch (listen_until(l, end)) {
		case HEARD_NOTHING:
			return FRAMED_NOTHING;
		case HEARD_WAKE:
			return FRAMED_WAKE;
		case HEARD_BROKEN:
			return FRAMED_BROKEN;
		case HEARD_BYTES:
			if (boot_now_us() > most)
				return FRAMED_NOISE;
		}
	}
}

/* Wait for the answer to q, which is sent. */
static enum verdict await(struct line *l, const struct bus_request *q, int answer_ms, struct bus_reply *r)
{
	int64_t wire_us = line_char_us(l) * (int64_t)(bus_pdu_encode(q, (uint8_t[BUS_PDU_MAX]){0}) + 3);
	int64_t first = r->sent_boot_us + wire_us + answer_ms * US_PER_MS;
	int64_t last = first + line_char_us(l) * (int64_t)answer_len(q);
	enum verdict v = VERDICT_LATE;
	enum framed f;
	size_t len = 0;

	while (v == VERDICT_LATE) {
		f = next_frame(l, first, last, &len);
		if (f != FRAMED) {
			fail(r, f, l->in_len, answer_ms);
			return VERDICT_ODD;
		}
		v = judge(l, q, len, r);
		r->received_boot_us = l->heard_us;
	}
	if (v == VERDICT_OURS && l->in_len > 0) {
		reply_fail(r, BUS_GARBLED, "%zu bytes follow the answer", l->in_len);
		return VERDICT_ODD;
	}
	return v;
}

/* Ask q and wait. OURS: r is the answer; else r is none, and the line is to be quiet before the next question. */
static enum verdict exchange(struct line *l, const struct bus_request *q, int answer_ms, struct bus_reply *r)
{
	enum framed f = wait_gap(l);
	enum verdict v;

	if (f != FRAMED_NOTHING) {
		fail(r, f, l->in_len, answer_ms);
		return VERDICT_ODD;
	}
	r->sent_boot_us = boot_now_us();
	if (!send_question(l, q)) {
		line_close(l);
		reply_fail(r, BUS_CLOSED, "the line went away: cannot send");
		return VERDICT_ODD;
	}
	v = await(l, q, answer_ms, r);
	if (v == VERDICT_ODD)
		suspects_add(&l->suspects, q, r->sent_boot_us);
	if (v != VERDICT_OURS)
		l->quiet_until_us = boot_now_us() + l->quiet_ms * US_PER_MS;
	return v;
}

/* ---- one question ------------------------------------------------------------------------------------------------ */

void line_question(struct line *l, const struct bus_request *q, int answer_ms, struct bus_reply *r)
{
	int64_t rounds_ms = (int64_t)FORGOTTEN_ROUNDS * (answer_ms + l->quiet_ms);
	struct bus_request probe;
	struct err e;
	enum framed f;

	if (l->fd < 0 && line_connect(l, &e) < 0) {
		reply_fail(r, BUS_UNREACHABLE, "%s", e.text);
		return;
	}
	f = stay_quiet(l);
	if (f == FRAMED_NOISE) {
		reply_fail(r, BUS_LINE_NOISE, "the line does not fall silent: is another master on it?");
		return;
	}
	if (f != FRAMED_NOTHING) {
		fail(r, f, 0, answer_ms);
		return;
	}
	if (rounds_ms < FORGOTTEN_MS)
		rounds_ms = FORGOTTEN_MS;
	suspects_expire(&l->suspects, boot_now_us() - rounds_ms * US_PER_MS);
	for (size_t tries = 0; suspects_need_probe(&l->suspects, q, &probe); tries++) {
		if (exchange(l, &probe, answer_ms, r) == VERDICT_ODD || tries > COUNT_OF(l->suspects.list))
			return;
	}
	exchange(l, q, answer_ms, r);
}
