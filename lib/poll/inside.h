/* inside: what the files of poll share. A line is one connection or serial line; its devices take turns on it. */
#ifndef PSEC_POLL_INSIDE_H
#define PSEC_POLL_INSIDE_H

#include "bus/bus.h"
#include "poll/poll.h"

enum { OPS_MAX = 4 * DEVICE_WRITES_MAX, MODE_FRESH_MS = 10000,
       SHOW_LATER_MS = 200, BUSY_MS = 100, LOOK_AGAIN_MS = 5000, CUT_SHORT_MOST = 3,
       TRY_SHARE = 4 /* a try that failed costs its line at most 1 / (1 + this) of the time */ };

enum phase {
	PHASE_DOWN,      /* waits until due_us, then starts */
	PHASE_WALK,      /* SunSpec */
	PHASE_IDENTITY,  /* what is read once: after coming up, and first on every new connection */
	PHASE_RUN,
};

/* ---- writes: a list of small acts, done one after the other, each before any read of its line ---- */
enum op_kind { OP_CHECK /* is the mode already so? */, OP_WRITE, OP_SHOW /* read back */,
	       OP_VERIFY /* is the mode still so? */ };
struct op { enum op_kind kind; uint8_t step; };

struct write_order {         /* what a caller wants */
	bool active;
	enum device_point point;
	double value;
	enum poll_purpose purpose;
	int64_t expires_us;
	poll_written_fn *fn;
	void *arg;
};
struct write_job {
	struct write_order order;
	struct device_write plan[DEVICE_WRITES_MAX];
	size_t plan_count;
	struct op ops[OPS_MAX];
	size_t op_count, at;
	bool sent;           /* a register was written: it will be carried through */
	bool taken;          /* and the device said so */
	bool looked_again;   /* the read-back was not yet so; this is the second look */
	int64_t not_before_us, sent_us;
};
struct mode_shown { bool known; uint16_t address, value; int64_t at_us; };

struct block_plan { int64_t due_us; int64_t period_us; int64_t backoff_us;
		    bool tried, told /* it was answered once */; };

/* What is counted of a device. Two halves of each window, so that what is old falls out: see stats.c. */
struct record {
	struct poll_stats sums;
	/* what to reckon with: follows a slower answer at once, a faster one slowly */
	int64_t latency_us;
	struct half { int64_t since_us; struct spread latency; } latency[2];
	struct beat { int64_t since_us, last_us; uint64_t reads; } beats[2];
};

struct dev {
	struct poll *poll;
	struct line *line;
	int index;                         /* of the site's devices */
	const struct site_device *site;
	const struct device_profile *profile;
	const struct device_profile_info *info;
	unsigned roles;                    /* that are read: the site's */
	enum device_state state;
	enum phase phase;
	char why[120];
	int64_t due_us, backoff_us;
	int failures;                      /* in a row */
	struct device_walk walk;
	struct device_sunspec sunspec;     /* that the map was made with */
	struct device_map *map;
	const struct device_block *blocks; /* of the map */
	size_t block_count, once_next;
	struct block_plan *plans;
	struct device_identity identity;   /* that it had when it was live */
	bool has_identity;
	/* Who answers was met on this connection of the line (bus_counters.connects), 0: on none. Nothing is written
	 * over another, and nothing read but by a device that ends each connection so soon that it cannot be met
	 * (brief). */
	uint64_t met, meeting;             /* meeting: the connection on which the reading of the identity began */
	int64_t met_us;                    /* when */
	int cut_short;                     /* connections in a row that ended before anything was asked over them */
	bool brief;
	struct write_order waiting;
	struct write_job job;
	struct mode_shown modes[DEVICE_WRITES_MAX];
	int64_t last_write_us;
	struct record record;
	size_t beat;                       /* the block whose reads are the rate: the fastest */
};

enum job_kind { JOB_NONE, JOB_WALK, JOB_BLOCK, JOB_OP };

struct line {
	struct poll *poll;
	struct bus_address address;
	struct bus_options options;
	struct bus_link *link;             /* NULL until it could be had */
	struct loop_timer timer;
	bool in_flight;
	struct dev *dev;                   /* whose question is in flight */
	enum job_kind job;
	size_t block;
	int control_run;                   /* control reads in a row while others waited */
	int64_t asked_us;
	int64_t no_try_until_us;           /* devices that are not live have had their share of the line */
	struct busy { int64_t since_us, us; } busy[2];
	struct dev *devs[SITE_DEVICES_MAX];
	size_t dev_count;
};

struct poll {
	struct loop *loop;
	struct poll_hooks hooks;
	bool started, only_once;           /* only_once: each block once, then rest (poll_read_once) */
	struct rng rng;                    /* of the back-off's jitter */
	struct dev devs[SITE_DEVICES_MAX];
	size_t dev_count;
	struct line lines[SITE_DEVICES_MAX];
	size_t line_count;
};

/* poll.c */
int64_t poll_clock(const struct poll *p);
void dev_set_state(struct dev *d, enum device_state s, const char *why);
void poll_add_device(struct poll *p, int index, const struct site_device *s, const struct device_profile *profile);

/* turn.c: whose turn it is on a line */
void line_pump(struct line *k);

/* answer.c: what came of it */
void line_answered(void *arg, const struct bus_request *q, const struct bus_reply *r);

/* stats.c */
void stats_answer(struct dev *d, const struct bus_reply *r);
void stats_beat(struct dev *d);
void stats_busy(struct line *k);                                   /* the question in flight has ended */
void stats_of(const struct dev *d, struct poll_stats *out);
double stats_busy_percent(const struct line *k);

/* start.c: coming up, going down */
void dev_begin(struct dev *d);                                     /* due: walk or identity */
void dev_walk_answer(struct dev *d, const struct bus_reply *r);
void dev_meet(struct dev *d);                                      /* read who answers (again), then run */
void dev_identity_step(struct dev *d);
void dev_came(struct dev *d);                                      /* it answers as it should: live */
uint64_t dev_connection(const struct dev *d);                      /* that its line has now or had last; 0: none yet */
int64_t dev_fast_us(const struct dev *d);
int64_t dev_backoff_us(int64_t last_us);                           /* the pause after that one, 0: the first */
void dev_lose(struct dev *d, const char *why);                     /* values unknown, wait, start anew */

/* write.c */
bool write_due(struct dev *d, int64_t now_us, int64_t *due_us);
bool write_question(struct dev *d, struct bus_request *q);         /* false: nothing to send after all */
void write_answer(struct dev *d, const struct bus_reply *r);
/* from its first register, when who answers was met */
void write_again(struct dev *d);
void write_drop(struct dev *d, const char *why);                   /* the device went: tell who waits */

#endif
