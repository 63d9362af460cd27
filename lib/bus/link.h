/* link.h: what the files of this room share; nobody outside sees it. */
#ifndef PSEC_BUS_LINK_H
#define PSEC_BUS_LINK_H

#include <sys/socket.h>

#include "bus/bus.h"

/* ---- pdu.c ------------------------------------------------------------------------------------------------------- */

/* Fill a reply that carries no value. */
void reply_fail(struct bus_reply *r, enum bus_outcome outcome, const char *fmt, ...) printf_like(3, 4);

/* ---- frame.c ----------------------------------------------------------------------------------------------------- */

/* The whole length of a serial answer whose first len bytes are here, CRC included; 0 when these do not say it yet,
 * -1 when its function is none whose length we know (it ends with silence). May exceed BUS_RTU_MAX when the answer
 * lies. */
int frame_rtu_answer_len(const uint8_t *adu, size_t len);
/* Likewise of a question; -1 also when it is none that we could ask. */
int frame_rtu_question_len(const uint8_t *adu, size_t len);
/* The most that the answer to q has. */
size_t frame_rtu_answer_room(const struct bus_request *q);
bool frame_rtu_crc_ok(const uint8_t *adu, size_t len);

enum { BUS_RTU_MAX = 256 }; /* MSL 2.5.1.1 */

/* ---- link.c ------------------------------------------------------------------------------------------------------ */

enum link_phase { LINK_IDLE, LINK_PAUSING, LINK_WORKING, LINK_FAILING };

/* What a kind of link does. begin may call link_fail_soon but never link_done; expired: its timer. */
struct link_kind {
	void (*begin)(struct bus_link *k);
	void (*expired)(struct bus_link *k);
	void (*free)(struct bus_link *k);
};

struct bus_link {
	struct loop *loop;
	struct bus_address address;
	struct bus_options options;
	struct bus_counters counters;
	const struct link_kind *kind;
	void *door; /* struct tcp or struct rtu, the kind's */

	enum link_phase phase;
	struct bus_request q;
	uint8_t pdu[BUS_PDU_MAX];
	size_t pdu_len;
	int answer_ms;
	uint64_t only_on; /* the connection that the question is for, as counters.connects counts them; 0: any */
	bus_reply_fn *fn;
	void *arg;
	int64_t ended_boot_us; /* of the last question; 0: of none, or no pause is wanted */
	uint8_t failed_units[256 / 8]; /* a bit a unit: its last question had no answer */

	struct loop_timer timer; /* PAUSING: the pause; WORKING: the kind's; FAILING: at once */
	enum bus_outcome failed;
	char failed_why[120];
};

/* The question ends with r: the call of its fn is the last thing that happens, k may be gone afterwards. */
void link_done(struct bus_link *k, const struct bus_reply *r);
/* The question ends without a value, told from the loop's next turn. */
void link_fail_soon(struct bus_link *k, enum bus_outcome outcome, const char *why);

int64_t boot_now_us(void);
#define CONNECTION_GONE "the connection that it was meant for is gone; nothing was sent"

/* ---- socket.c ---------------------------------------------------------------------------------------------------- */

/* Of a numeric host; ERR_INPUT for a name. */
must_check int socket_peer(const struct bus_address *a, struct sockaddr_storage *to, socklen_t *len, struct err *e);
/* Begin to connect; the descriptor, or -1. */
must_check int socket_connect(const struct sockaddr_storage *peer, socklen_t len, struct err *e);
/* Has it connected? */
must_check int socket_connected(int fd, struct err *e);

/* ---- tcp.c, rtu.c ------------------------------------------------------------------------------------------------ */

must_check int tcp_open(struct bus_link *k, struct err *e);
must_check int rtu_open(struct bus_link *k, struct err *e);

/* ---- suspects.c -------------------------------------------------------------------------------------------------- */

/* Questions on a serial line that were given up and whose answers may still come, oldest first. */
struct suspects {
	struct suspect {
		struct bus_request q;
		int64_t since_us;
	} list[8];
	size_t count;
};

enum verdict {
	VERDICT_OURS,  /* answers the question asked and none given up before: those of this unit are settled */
	VERDICT_LATE,  /* answers an earlier question: forgotten, go on waiting */
	VERDICT_DOUBT, /* answers either: not a value; the question is given up, too */
	VERDICT_ODD,   /* answers none */
};

void suspects_add(struct suspects *s, const struct bus_request *q, int64_t since_us);
void suspects_expire(struct suspects *s, int64_t before_us);
/* Judge a frame (unit and PDU) while q is in flight (NULL: none is). r gets what it means for q. */
enum verdict suspects_judge(struct suspects *s, const struct bus_request *q, uint8_t unit, const uint8_t *pdu,
			    size_t len, struct bus_reply *r);
/* Whether the good answer to one given up could pass for q's; then *probe is a read whose good answer none can pass
 * for. */
bool suspects_need_probe(const struct suspects *s, const struct bus_request *q, struct bus_request *probe);

#endif
