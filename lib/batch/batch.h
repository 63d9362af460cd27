/* batch: a factory's boards side by side: the file that names them, a child process each, what became of each, and its
 * label.
 *
 * What is done to a board is the child's affair: a board that hangs or a child that crashes is one failed row. The
 * results are a file of lines that only grows; one batch at a time works in a folder. psec-provision-batch(1) has both
 * formats.
 */
#ifndef PSEC_BATCH_H
#define PSEC_BATCH_H

#include <jansson.h>

#include "base/base.h"
#include "proc/proc.h"

/* ---- the file ---- */

enum { BATCH_ROWS = 10000, BATCH_SERIAL = 65, BATCH_WORD = 512 };
#define BATCH_AUTO "auto"

struct batch_row {
	char *serial; /* or "auto" */
	char *tcti;
	char *site;   /* or "" */
	char *out;    /* the name of its folder; "": its serial */
	int line;
};
struct batch_rows { struct batch_row *row; size_t count; };
/* CSV with the headings serial,tcti[,site][,out]; path "-": standard input. prefix NULL: no serial may be "auto". Every
 * fault goes to sink (at most 100, then how many more); -1 when there was one, and then no rows. */
must_check int batch_read(const char *path, const char *prefix, struct batch_rows *out, struct diag_sink *sink,
			  struct err *e);
void batch_rows_release(struct batch_rows *rows);

/* ---- what became of a board ---- */

enum batch_state { BATCH_SKIPPED, BATCH_STARTED, BATCH_DONE, BATCH_KEPT, BATCH_FAILED };
const char *batch_state_name(enum batch_state s); /* "skipped" … */

struct batch_result {
	char serial[BATCH_SERIAL];   /* "" where none was given to it yet */
	char tcti[BATCH_WORD], site[BATCH_SERIAL], folder[BATCH_SERIAL];
	char station[BATCH_SERIAL];
	enum batch_state state;
	bool rework;
	enum err_kind kind;          /* of a failure */
	char text[480];
	char ek[65], idevid[65], iak[65], ldevid[65]; /* SHA-256 of the EK's public key, numbers of certificates, or "" */
	int64_t took_us, at_utc_us;
};
/* As a line of results.jsonl has it; caller owns it. */
json_t *batch_result_json(const struct batch_result *r);

/* DIR/results.jsonl, open for one batch. */
struct batch_log;
/* Makes the folder. ERR_AGAIN: another batch works there. What a power cut left of a line at its end is cut off. */
must_check int batch_log_open(const char *dir, struct batch_log **out, struct err *e);
void batch_log_free(struct batch_log *l);
void batch_log_free_(struct batch_log **l);
#define auto_batch_log __attribute__((cleanup(batch_log_free_)))
/* The last line about that TCTI; NULL: none. */
const struct batch_result *batch_log_last(const struct batch_log *l, const char *tcti);
/* On the disk when it returns. */
must_check int batch_log_add(struct batch_log *l, const struct batch_result *r, struct err *e);
/* The last line of each board in dir/results.jsonl, for who only reads; ERR_INPUT: no such file. */
typedef int batch_result_fn(void *arg, const struct batch_result *r, struct err *e);
must_check int batch_log_read(const char *dir, batch_result_fn *fn, void *arg, struct err *e);

/* ---- the run ---- */

enum { BATCH_JOBS = 32, BATCH_WORDS = 40 };

struct batch_board { const char *serial, *tcti, *site, *folder; bool rework; }; /* folder: DIR/SERIAL, is there */
struct batch_progress { size_t total, done, kept, failed, skipped, running; bool ending; };

struct batch_how {
	const char *dir, *station;
	int jobs;
	int64_t deadline_ms;         /* a board that is not done then is ended */
	bool only_failed;            /* leave out what the results say is done */
	bool rework;
	const char *product;         /* second line of a label, or NULL */
	/* A new serial for a row that has "auto". */
	int (*serial)(void *arg, char serial[BATCH_SERIAL], struct err *e);
	/* The child's words, words[0] the path of the program; what they point to stays until the next call. It prints one
	 * JSON object: {"state": "done"|"kept"|"failed", "error": {"kind", "text"}, "ek", "certificates": {"idevid",
	 * "iak", "ldevid"}}. */
	void (*words)(void *arg, const struct batch_board *b, const char *words[BATCH_WORDS]);
	const struct proc_fd *fds;   /* given to each child, beside 1 and 2 */
	size_t fd_count;
	void (*told)(void *arg, const struct batch_progress *p); /* after each board, and at the first Ctrl-C */
	void *arg;
};
/* results has one for each row. SIGINT, SIGTERM, SIGHUP: no board is begun any more; again: those at work are ended.
 * ERR_INTERRUPTED then, results whole. Other errors: the results cannot be written. A failed board is none. */
must_check int batch_run(const struct batch_how *how, const struct batch_rows *rows, struct batch_result *results,
			 struct err *e);

/* ---- the label ---- */

struct batch_label { const char *serial, *ek, *idevid, *product; }; /* ek, idevid "": not known; product may be NULL */
/* "psec:1;serial=…;ek=…;idevid=…"; caller frees. */
char *batch_label_text(const struct batch_label *l);
/* The code in half blocks, the lines below it. */
must_check int batch_label_terminal(const struct batch_label *l, struct buf *to, struct err *e);
must_check int batch_label_svg(const struct batch_label *l, struct buf *svg, struct err *e);
/* As label.svg of the folder; one that is the same stays as it is. */
must_check int batch_label_write(const struct batch_label *l, const char *folder, struct err *e);

#endif
