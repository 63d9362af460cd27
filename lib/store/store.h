/* store: psec.db. Samples, events, settings, proofs of commissioning and the audit log in SQLite (WAL); one writer, who
 * holds the lock.
 *
 * What was accepted is committed before the call returns. Schema changes go forward only, one transaction each
 * (PRAGMA user_version).
 */
#ifndef PSEC_STORE_H
#define PSEC_STORE_H

#include "base/base.h"

struct store;

struct store_limits {
	int64_t raw_keep_us;      /* samples as they came; 0: 14 d */
	int64_t mean_keep_us;     /* quarter-hour means, and events; 0: 400 d */
	int64_t budget_bytes;     /* 0: 1 GB; the oldest raw samples go first, then the oldest means */
};

/* Open or make path (mode 0640; limits NULL: the defaults). ERR_AGAIN naming the holder's pid when another process has
 * it; ERR_INPUT when it is not psec's or a newer psec's, and then it is left as it is. A broken file is kept aside
 * (path.broken-TIME; of these the two newest stay) and a new one is begun: *recovered tells. Caller frees. */
must_check int store_open(const char *path, const struct store_limits *limits, struct store **out, bool *recovered,
			  struct err *e);
void store_close(struct store *s);

/* ---- samples: one value of one point at one time ---- */
struct store_sample {
	const char *point;     /* "grid.power_w": device name, dot, point name */
	int64_t utc_us;
	double value;
};
/* All or none, one transaction. ERR_INPUT: a value that is not finite, a name over 128 bytes, more than 4096 points. */
must_check int store_put_samples(struct store *s, const struct store_sample *samples, size_t count, struct err *e);
/* Turn raw samples into quarter-hour means (arithmetic, by the start of the quarter), drop what is past its time or
 * over the budget. Some milliseconds a call; *more: call again soon. A clock that is more than a day ahead of the time
 * that was believed last (marked in the database, and gone on with boot_us) has jumped: ages are told without the jump
 * until it has stood for a day of running. A clock that goes back is believed at once. */
must_check int store_tidy(struct store *s, const struct now *now, bool *more, struct err *e);
/* Called while the store reads: it must not call the store. */
typedef void store_sample_fn(void *arg, const struct store_sample *sample);
/* Samples of point (NULL: all) in [from, to), oldest first, at most max. means: quarter-hour means instead of raw. */
must_check int store_read_samples(struct store *s, const char *point, int64_t from_utc_us, int64_t to_utc_us,
				  bool means, size_t max, store_sample_fn *fn, void *arg, struct err *e);

/* ---- events: what happened, in words ---- */
struct store_event {
	int64_t id;            /* rises by one */
	int64_t utc_us;
	bool utc_valid;
	enum severity severity;
	const char *kind;      /* "signal-lost", "mode", "safe" … */
	const char *subject;   /* device or ""; */
	const char *text;
	const char *who;       /* who caused it, or "" */
};
must_check int store_put_event(struct store *s, const struct store_event *event, int64_t *id, struct err *e);
typedef void store_event_fn(void *arg, const struct store_event *event);
/* Events with id > after, oldest first, at most max. */
must_check int store_read_events(struct store *s, int64_t after_id, size_t max, store_event_fn *fn, void *arg,
				 struct err *e);
/* The last max events, oldest first. */
must_check int store_last_events(struct store *s, size_t max, store_event_fn *fn, void *arg, struct err *e);

/* ---- settings: small named texts that survive a restart (mode, target, the sign check's proof as JSON) ---- */
must_check int store_put_setting(struct store *s, const char *key, const char *value, struct err *e);
struct store_setting { const char *key, *value; };
/* Those that belong together: all or none, one transaction. */
must_check int store_put_settings(struct store *s, const struct store_setting *settings, size_t count, struct err *e);
/* *value is NULL when there is none; caller frees. */
must_check int store_get_setting(struct store *s, const char *key, char **value, struct err *e);

/* ---- several writes as one: settings and audit entries between these two are all kept, or none ---- */
must_check int store_begin(struct store *s, struct err *e);
/* When it fails nothing of it is kept. */
must_check int store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s);

/* ---- the rows of the audit log, never dropped; what they mean, and their chain, is the room audit's ---- */
enum { STORE_HASH = 32 };
struct store_audit {
	int64_t seq, utc_us;
	bool utc_valid;
	const char *who, *kind, *subject, *detail;
	const uint8_t *before, *hash;    /* STORE_HASH bytes each */
};
/* ERR_BUG when there is an entry of that number. */
must_check int store_put_audit(struct store *s, const struct store_audit *entry, struct err *e);
/* 0; -1 ends the reading, with *e. It may read heads, and call the store for nothing else. */
typedef int store_audit_fn(void *arg, const struct store_audit *entry, struct err *e);
/* Entries with seq > after, by their numbers, at most max. A hash of another length is told as zeros. */
must_check int store_read_audit(struct store *s, int64_t after_seq, size_t max, store_audit_fn *fn, void *arg,
				struct err *e);
/* The last max entries, oldest first. */
must_check int store_last_audit(struct store *s, size_t max, store_audit_fn *fn, void *arg, struct err *e);
struct store_audit_head {
	int64_t seq, counter, utc_us;
	bool utc_valid;
	const uint8_t *hash, *signature; /* signature may be NULL */
	size_t signature_len;
	const char *certificate;         /* PEM; equal ones are kept once */
};
must_check int store_put_audit_head(struct store *s, const struct store_audit_head *head, struct err *e);
typedef int store_audit_head_fn(void *arg, const struct store_audit_head *head, struct err *e);
/* Heads of entries in (after, to], by entry and then as they came. */
must_check int store_read_audit_heads(struct store *s, int64_t after_seq, int64_t to_seq, store_audit_head_fn *fn,
				      void *arg, struct err *e);

struct store_size {
	int64_t bytes;                   /* database and log */
	int64_t samples, means, events;
	bool counted;                    /* false: a big file is still being counted, by store_tidy; these at least */
};
must_check int store_size(struct store *s, struct store_size *out, struct err *e);

#endif
