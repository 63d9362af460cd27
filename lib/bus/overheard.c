/* overheard: what came over a serial line and answers nothing we asked. Whole frames with a good checksum are evidence
 * of another master: its questions, and the answers of units that we did not ask. */
#include <string.h>

#include "rtu.h"

/* A question that is not ours has no innocent cause, but one frame may be chance, or answer a process that has just
 * died. */
enum { QUESTIONS_ENOUGH = 2, ANSWERS_ENOUGH = 3 };

static bool whole(const uint8_t *in, size_t left, int len)
{
	return len > 0 && len <= BUS_RTU_MAX && (size_t)len <= left && frame_rtu_crc_ok(in, (size_t)len);
}

/* Three bytes of coils read like a question for coils. */
static bool could_be_answer(const uint8_t *in)
{
	return (in[1] == BUS_READ_COILS || in[1] == BUS_READ_DISCRETE) && in[2] == 3;
}

static void note(struct rtu *r, const uint8_t *in, bool question)
{
	struct bus_second_master *m = &r->link->counters.second_master;

	r->link->counters.foreign_frames++;
	if (question || m->requests == 0) {
		m->unit = in[0];
		m->function = in[1] & 0x7F;
	}
	m->requests += question;
	m->answers += !question;
	m->seen = m->requests >= QUESTIONS_ENOUGH || m->answers >= ANSWERS_ENOUGH;
}

void overheard(struct rtu *r, size_t len, size_t due)
{
	const uint8_t *last_question = NULL;

	for (size_t at = 0, n; at < len; at += n) {
		const uint8_t *in = r->in + at;
		int question = frame_rtu_question_len(in, len - at), answer = frame_rtu_answer_len(in, len - at);
		bool acknowledges;

		n = 1;
		if (whole(in, len - at, question) && !could_be_answer(in)) {
			n = (size_t)question;
			if (n == r->sent_len && memcmp(in, r->sent, n) == 0)
				continue; /* our own, by an adapter that echoes, or the acknowledgement of a write */
			acknowledges = last_question && memcmp(last_question, in, n) == 0;
			note(r, in, !acknowledges);
			last_question = in;
		} else if (whole(in, len - at, answer)) {
			n = (size_t)answer;
			if (at >= due || in[0] != r->asked.unit)
				note(r, in, false);
		} else if (at >= due) {
			r->link->counters.noise_bytes++;
		}
	}
}
