/* base: what every room may use: errors, ownership, strings, numbers, time, files.
 *
 * A function that can fail returns 0, or -1 with *e filled; it never prints and never exits. Pointers are borrowed
 * unless the comment says who frees. Names tell the owner: _init/_release (caller's storage), _new/_free (heap).
 */
#ifndef PSEC_BASE_H
#define PSEC_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PSEC_VERSION "0.1.0"

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, first) __attribute__((format(printf, fmt, first)))
#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

/* ---- errors ---------------------------------------------------------------------------------------------------- */

/* What a failure means to the caller, and the exit status of a program that ends with it (psec(1), EXIT STATUS). */
enum err_kind {
	ERR_NONE,
	ERR_USAGE,       /* the call's words are wrong                          64 */
	ERR_INPUT,       /* a file, an answer or a value is not acceptable      65 */
	ERR_UNREACHABLE, /* the device, daemon or host does not answer          69 */
	ERR_BUG,         /* we are wrong                                        70 */
	ERR_IO,          /* the system refused: file, socket, memory            74 */
	ERR_AGAIN,       /* busy; the same call may succeed later               75 */
	ERR_REFUSED,     /* not allowed: rights, safety                         77 */
	ERR_INTERRUPTED, /* a signal ended it                                  130 */
};

/* One cause and the context its callers added, on the caller's stack. */
struct err {
	enum err_kind kind;
	int errnum;      /* errno of the cause, or 0 */
	char text[480];  /* "context: cause: strerror", no full stop, no secrets */
};

/* Fill *e; returns -1 so that a failing function can `return err_set(…)`. errnum 0 when errno says nothing. */
int err_set(struct err *e, enum err_kind kind, int errnum, const char *fmt, ...) printf_like(4, 5);
/* Put "context: " before what *e says; returns -1. */
int err_ctx(struct err *e, const char *fmt, ...) printf_like(2, 3);
/* Add to its end, what is to be done next; returns -1. */
int err_add(struct err *e, const char *fmt, ...) printf_like(2, 3);
/* "usage", "input", "unreachable" …: the kind's name as it stands in JSON. */
const char *err_kind_name(enum err_kind kind);
/* The kind of that name; ERR_BUG for a name that is none. */
enum err_kind err_kind_parse(const char *name);
/* What a program ends with: the number beside the kind. */
int err_exit_status(enum err_kind kind);

/* One fault among several found at once, in a file or in an answer (site check, profiles). Shown as one sentence,
 * "FILE:LINE: PATH TEXT": site.yaml:17: control.reserve_percent is 140, must be 0…100. */
struct diag {
	const char *file; /* borrowed; as the user wrote it */
	int line;         /* from 1; 0 when the fault has no line */
	const char *path; /* "control.reserve_percent", or "" */
	const char *text; /* what is wrong and what was expected */
};

/* Where faults go. Zero-initialise, set fn and arg; count rises with every report. */
struct diag_sink {
	void (*fn)(void *arg, const struct diag *d);
	void *arg;
	int count;
};

void diag_report(struct diag_sink *sink, const char *file, int line, const char *path, const char *fmt, ...)
	printf_like(5, 6);
#define DIAG_LEN 900
/* As that one sentence, safe for a terminal and a log; returns to. */
char *diag_format(const struct diag *d, char to[DIAG_LEN]);

/* ---- ownership ------------------------------------------------------------------------------------------------- */

void base_free_(void *p);
void base_close_(int *fd);
void base_fclose_(FILE **f);
#define auto_free __attribute__((cleanup(base_free_)))
#define auto_close __attribute__((cleanup(base_close_)))
#define auto_fclose __attribute__((cleanup(base_fclose_)))

/* Hand a pointer on and forget it: *out = take(p). */
#define take(p) ({ __typeof__(p) taken_ = (p); (p) = NULL; taken_; })
/* Likewise for a descriptor; -1 stays behind. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Memory of a small fixed need: never NULL, aborts when the system has none (a daemon of bounded size does not
 * recover from that, it is restarted). Sizes that come from outside are checked before they reach these. */
void *xcalloc(size_t n, size_t size) __attribute__((returns_nonnull, malloc, alloc_size(1, 2)));
void *xrealloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull, alloc_size(2, 3)));
char *xstrdup(const char *s) __attribute__((returns_nonnull, malloc));
char *xasprintf(const char *fmt, ...) printf_like(1, 2) __attribute__((returns_nonnull, malloc));

/* A string or byte sequence that grows. Invariant: data is NULL and cap 0, or data[len] is '\0' and len < cap.
 * Start with BUF_INIT; buf_release frees. */
struct buf {
	char *data;
	size_t len, cap;
};
#define BUF_INIT { NULL, 0, 0 }
void buf_add(struct buf *b, const void *data, size_t len);
void buf_addf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_adds(struct buf *b, const char *s);
void buf_clear(struct buf *b);               /* empty, memory kept */
char *buf_take(struct buf *b);               /* caller frees; "" when empty */
void buf_release(struct buf *b);
#define auto_buf __attribute__((cleanup(buf_release)))

/* ---- strings and numbers --------------------------------------------------------------------------------------- */

/* Copy into an array of size n, always ended; false when it was cut. */
bool str_copy(char *to, size_t n, const char *from);
bool str_eq(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
/* Replace control characters and bytes that are not UTF-8 by \xNN, for text from devices that goes into a log,
 * an error or a terminal; to has room for n bytes. */
void str_printable(char *to, size_t n, const char *from, size_t len);
/* Columns that UTF-8 text takes on a screen, near enough: characters, not bytes. */
size_t str_columns(const char *s, size_t len);
/* How many of its bytes stand in so many columns; never half a character. */
size_t str_fit(const char *s, size_t len, size_t columns);
/* The one of names that word was probably meant to be, for "did you mean"; NULL when none is near. */
const char *str_nearest(const char *word, const char *const *names, size_t count);

/* The whole text as a decimal number (integers also as 0x…), in [min, max]; false otherwise, *out untouched.
 * No blanks, no inf or nan, the C locale's point. */
must_check bool parse_int(const char *s, int64_t min, int64_t max, int64_t *out);
must_check bool parse_real(const char *s, double min, double max, double *out);
/* "500ms", "2s", "5min", "1h", "400d" as milliseconds; a plain number counts in unit_ms. */
must_check bool parse_duration(const char *s, int64_t unit_ms, int64_t min_ms, int64_t max_ms, int64_t *out_ms);

double clamp_real(double x, double lo, double hi);

/* SHA-256, for chains and fingerprints in programs that load no cryptographic library; never for secrets. */
enum { SHA256_LEN = 32 };
void sha256(const void *data, size_t len, uint8_t out[SHA256_LEN]);
/* Bytes as lower-case hex, to has 2 * len + 1 bytes; returns to. */
char *hex_format(const void *data, size_t len, char *to);
/* The whole text as exactly len bytes, lower case; false otherwise. */
must_check bool hex_parse(const char *text, void *to, size_t len);

/* A seeded generator (xoshiro256**): same seed, same sequence, on every machine. For the simulator and for tests,
 * never for keys. */
struct rng {
	uint64_t s[4];
};
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
double rng_real(struct rng *r, double lo, double hi); /* uniform in [lo, hi) */

/* ---- time ------------------------------------------------------------------------------------------------------ */

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define BASE_TIME_LEN 32 /* "2026-10-01T12:00:00.123Z" and its end */

/* Read once per turn of the loop and passed down as an argument, so that the same code runs live, in simulate and in
 * tests. Ages and deadlines use boot_us (CLOCK_BOOTTIME); utc_us is for people. */
struct now {
	int64_t boot_us, utc_us;
	bool utc_valid; /* false on a board without a clock before its first NTP answer (a year before 2024) */
};
struct now now_read(void);
/* From now to boot_us, for poll: rounded up, 0 when it is over, INT32_MAX at most. */
int time_left_ms(int64_t boot_us);

/* RFC 3339 in UTC with millisecond; to holds BASE_TIME_LEN bytes. Returns to. */
char *time_format(int64_t utc_us, char to[BASE_TIME_LEN]);
/* "2016-01-01T00:00Z", with or without seconds and fraction; only Z is taken. false when it is not that. */
must_check bool time_parse(const char *s, int64_t *utc_us);
/* The calendar's words for an instant, and back: a date's first microsecond; both in UTC. */
struct time_date {
	int year, month, day; /* 1…12, 1…31 */
	int weekday;          /* 0 Monday … 6 Sunday */
	int minute;           /* of the day */
};
struct time_date time_date_of(int64_t utc_us);
int64_t time_midnight(int year, int month, int day);

/* How times lie: a histogram of fixed size, 8 buckets an octave, 1 µs … 16 s; what is longer is in the last. Zero is
 * empty. */
enum { SPREAD_BUCKETS = 8 * 22 };
struct spread {
	uint64_t count;
	uint32_t max_us, buckets[SPREAD_BUCKETS];
};
void spread_add(struct spread *s, int64_t us); /* negative: not counted */
/* At least so many of a thousand are not above it; never told too good, at most an eighth too bad. 0 when empty. */
uint32_t spread_quantile(const struct spread *s, unsigned per_mille);
void spread_merge(struct spread *into, const struct spread *more);

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* What a person named: a regular file or a pipe that was handed over; "-" is standard input. ERR_INPUT: a fifo in a
 * folder, on which one could wait for ever, a folder, a device. *fd is the caller's. */
must_check int file_open(const char *path, int *fd, struct err *e);
/* The whole of it into b, at most max bytes (ERR_INPUT beyond). ERR_INTERRUPTED: a signal that is handled came. */
must_check int file_read(const char *path, size_t max, struct buf *b, struct err *e);
/* One that nobody named: what is no regular file is ERR_REFUSED, and a fifo is not waited for. */
must_check int file_read_regular(const char *path, size_t max, struct buf *b, struct err *e);
must_check int file_read_fd(int fd, const char *name, size_t max, struct buf *b, struct err *e);
/* Write a new file beside path, fsync it, rename it into place, fsync the folder: path has the old or the new text,
 * never half. mode for a file that did not exist; an existing one keeps its own. */
must_check int file_replace(const char *path, const void *data, size_t len, unsigned mode, struct err *e);
/* The same where others may have put something in its place: a link is not followed, nothing of what stood there
 * stays, mode and owner neither. */
must_check int file_replace_all(const char *path, const void *data, size_t len, unsigned mode, struct err *e);
/* Make a folder and those above it; no fault when it is there. */
must_check int dir_make(const char *path, unsigned mode, struct err *e);
/* What was made, renamed or removed in the folder is on the disk. */
must_check int dir_sync(const char *dir, struct err *e);
/* Where what came with the program lies, "profiles", "series/…": below $PSEC_SHARE, else ../share/psec of the program's
 * folder, as in a build tree, else the installed share folder. Returns to. */
#define SHARE_PATH_LEN 1024
char *share_path(const char *what, char to[SHARE_PATH_LEN]);
must_check int fd_write_all(int fd, const void *data, size_t len, struct err *e);

/* ---- log (programs only: psecd/; rooms of lib return errors instead) -------------------------------------------- */

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };
/* One line on stderr: "<n>name: text" (sd-daemon(3)); the prefix only when stderr is not a terminal. */
void log_init(const char *name, enum log_level most);
void log_line(enum log_level level, const char *fmt, ...) printf_like(2, 3);
/* How grave what happened is, and the level at which a log has it. */
enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ALARM, SEVERITY_COUNT };
const char *severity_name(enum severity s); /* "info", "warning", "alarm" */
enum log_level severity_level(enum severity s);
/* Each fault as a line of its own: fn of a diag_sink. */
void log_diag(void *arg, const struct diag *d);

#endif
