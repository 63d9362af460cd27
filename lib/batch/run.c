/* Children side by side. One loop, no thread: a child's end is its pidfd, its result what it wrote into a pipe. */
#include "batch/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "enrol/enrol.h"
#include "loop/loop.h"

_Static_assert((int)BATCH_SERIAL == (int)ENROL_NAME, "one length of a serial");

enum { SAID_MAX = 64 * 1024, FDS_MAX = 8 };

struct run;
struct pipe_end { int fd; struct loop_source *source; struct buf said; };
struct job {
	struct run *run;
	const struct batch_row *row;
	struct batch_result *result;
	char *folder;               /* path */
	struct proc proc;
	struct loop_source *ended;
	struct loop_timer deadline;
	struct pipe_end out, err;
	bool rework, late, broken_off;
	int64_t began_us;
};

struct run {
	const struct batch_how *how;
	const struct batch_rows *rows;
	struct batch_result *results;
	struct batch_log *log;
	struct loop *loop;
	struct job *jobs[BATCH_JOBS];
	size_t next;                /* row */
	struct batch_progress p;
	bool failed;                /* *e of the run: results could not be written */
	struct err e;
};

static void start_more(struct run *r);

/* ---- a board's result ---- */

static void fail(struct batch_result *res, enum err_kind kind, const char *text)
{
	res->state = BATCH_FAILED;
	res->kind = kind == ERR_NONE ? ERR_BUG : kind;
	str_copy(res->text, sizeof res->text, text);
}

static void word_of(const json_t *o, const char *key, char to[65])
{
	const char *s = json_string_value(json_object_get(o, key));

	if (!s || !str_copy(to, 65, s))
		*to = '\0';
}

/* false: that is no result. */
static bool read_said(const struct buf *said, struct batch_result *res)
{
	json_t *o = said->len ? json_loadb(said->data, said->len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *numbers = json_object_get(o, "certificates"), *error = json_object_get(o, "error");
	const char *state = json_string_value(json_object_get(o, "state")), *text;
	bool ok = true;

	word_of(o, "ek", res->ek);
	word_of(numbers, "idevid", res->idevid);
	word_of(numbers, "iak", res->iak);
	word_of(numbers, "ldevid", res->ldevid);
	text = json_string_value(json_object_get(error, "text"));
	if (state && str_eq(state, "done")) {
		res->state = BATCH_DONE;
	} else if (state && str_eq(state, "kept")) {
		res->state = BATCH_KEPT;
	} else if (state && str_eq(state, "failed") && text) {
		const char *kind = json_string_value(json_object_get(error, "kind"));

		fail(res, err_kind_parse(kind ? kind : ""), text);
	} else {
		ok = false;
	}
	json_decref(o);
	return ok;
}

/* The last line of what it said on stderr: what a library or the loader complained of. */
static const char *last_words(struct buf *said)
{
	char *nl;

	if (!said->len)
		return "";
	while (said->len && said->data[said->len - 1] == '\n')
		said->data[--said->len] = '\0';
	nl = strrchr(said->data, '\n');
	return nl ? nl + 1 : said->data;
}

static void judge(struct job *j, const char *how_it_ended)
{
	struct batch_result *res = j->result;
	char text[480], shown[200];

	if (j->late) {
		snprintf(text, sizeof text, "not done after %g s (--deadline), ended; is the board's TPM still answering, "
					    "and the way to it open?", (double)j->run->how->deadline_ms / 1e3);
		fail(res, ERR_UNREACHABLE, text);
	} else if (j->broken_off) {
		fail(res, ERR_INTERRUPTED, "ended by Ctrl-C; run the same again, it goes on where it stopped");
	} else if (!read_said(&j->out.said, res)) {
		const char *last = last_words(&j->err.said);

		str_printable(shown, sizeof shown, last, strlen(last));
		snprintf(text, sizeof text, "its process ended with %s and without a result%s%s", how_it_ended,
			 *shown ? ": " : "", shown);
		fail(res, ERR_BUG, text);
	}
}

static int write_label(const struct run *r, const struct job *j, struct err *e)
{
	const struct batch_result *res = j->result;
	const struct batch_label l = { res->serial, res->ek, res->idevid, r->how->product };

	return batch_label_write(&l, j->folder, e);
}

static void tell(struct run *r)
{
	if (r->how->told)
		r->how->told(r->how->arg, &r->p);
}

/* No more is begun; what is at work goes on to its end. */
static void give_up(struct run *r, const struct err *e)
{
	if (!r->failed)
		r->e = *e;
	r->failed = true;
}

static void count(struct run *r, struct batch_result *res)
{
	struct err e = { 0 };

	res->at_utc_us = loop_now(r->loop)->utc_us;
	r->p.done += res->state == BATCH_DONE;
	r->p.kept += res->state == BATCH_KEPT;
	r->p.failed += res->state == BATCH_FAILED;
	if (batch_log_add(r->log, res, &e))
		give_up(r, &e);
	tell(r);
}

/* ---- a child ---- */

static void pipe_close(struct pipe_end *p)
{
	loop_remove(p->source);
	p->source = NULL;
	base_close_(&p->fd);
	p->fd = -1;
}

static void job_free(struct job *j)
{
	loop_remove(j->ended);
	loop_timer_stop(j->run->loop, &j->deadline);
	pipe_close(&j->out);
	pipe_close(&j->err);
	buf_release(&j->out.said);
	buf_release(&j->err.said);
	free(j->folder);
	free(j);
}

/* What is there; beyond the bound it is read and dropped. false: no more comes now. */
static bool drain_some(struct pipe_end *p)
{
	char some[4096];
	ssize_t n = p->fd < 0 ? 0 : read(p->fd, some, sizeof some);

	if (n > 0 && p->said.len < SAID_MAX)
		buf_add(&p->said, some, (size_t)n);
	if (n == 0)
		pipe_close(p);
	return n > 0;
}

static void on_pipe(void *arg, int fd, unsigned events)
{
	(void)fd, (void)events;
	drain_some(arg);
}

static void on_late(void *arg)
{
	struct job *j = arg;

	j->late = true;
	proc_kill(&j->proc);
}

static void forget(struct run *r, const struct job *j)
{
	for (size_t i = 0; i < BATCH_JOBS; i++)
		if (r->jobs[i] == j)
			r->jobs[i] = NULL;
	r->p.running--;
}

static void on_ended(void *arg, int fd, unsigned events)
{
	struct job *j = arg;
	struct run *r = j->run;
	struct err e = { 0 };
	char how_it_ended[64];
	bool clean;

	(void)fd, (void)events;
	loop_remove(j->ended);
	j->ended = NULL;
	/* what it started may hold the pipe open: what is in it now is all that is waited for */
	for (int i = 0; i < 2 * SAID_MAX / 4096 && drain_some(&j->out); i++)
		;
	if (!j->out.said.len)
		proc_kill(&j->proc);
	proc_reap(&j->proc, &clean, how_it_ended);
	drain_some(&j->err);
	judge(j, how_it_ended);
	if (j->result->state != BATCH_FAILED && write_label(r, j, &e))
		fail(j->result, e.kind, e.text);
	j->result->took_us = loop_now(r->loop)->boot_us - j->began_us;
	forget(r, j);
	count(r, j->result);
	job_free(j);
	start_more(r);
}

/* Our end; the child's comes back. */
static int pipe_open(struct run *r, struct pipe_end *p, int *theirs, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a pipe");
	p->fd = fds[0];
	*theirs = fds[1];
	if (fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a pipe");
	return loop_add_fd(r->loop, p->fd, LOOP_READ, on_pipe, p, &p->source, e);
}

static int start_child(struct run *r, struct job *j, struct err *e)
{
	const struct batch_board b = { j->result->serial, j->row->tcti, j->row->site, j->folder, j->rework };
	auto_close int out = -1, err = -1;
	const char *words[BATCH_WORDS] = { NULL };
	struct proc_fd fds[FDS_MAX];
	size_t n = 0;
	struct proc_spec spec = { .argv = words, .env = (const char *const *)environ, .fds = fds, .own_session = true };

	if (pipe_open(r, &j->out, &out, e) || pipe_open(r, &j->err, &err, e))
		return -1;
	for (; n < r->how->fd_count && n < FDS_MAX - 2; n++)
		fds[n] = r->how->fds[n];
	fds[n++] = (struct proc_fd){ out, STDOUT_FILENO };
	fds[n++] = (struct proc_fd){ err, STDERR_FILENO };
	spec.fd_count = n;
	r->how->words(r->how->arg, &b, words);
	if (proc_start(&spec, &j->proc, e))
		return -1;
	if (loop_add_fd(r->loop, j->proc.pidfd, LOOP_READ, on_ended, j, &j->ended, e)) {
		proc_end(&j->proc, 0);
		return -1;
	}
	j->deadline = (struct loop_timer){ .fn = on_late, .arg = j };
	loop_timer_set(r->loop, &j->deadline, j->began_us + r->how->deadline_ms * US_PER_MS);
	return 0;
}

/* ---- a row ---- */

/* A board that was given a serial keeps it, whatever else becomes of it. */
static int choose_serial(struct run *r, const struct batch_row *row, const struct batch_result *last,
			 struct batch_result *res, struct err *e)
{
	if (!str_eq(row->serial, BATCH_AUTO)) {
		str_copy(res->serial, sizeof res->serial, row->serial);
		return 0;
	}
	if (last && last->serial[0]) {
		str_copy(res->serial, sizeof res->serial, last->serial);
		return 0;
	}
	return r->how->serial(r->how->arg, res->serial, e);
}

/* -1 with *e: this board cannot be begun. */
static int begin(struct run *r, struct job *j, const struct batch_result *last, struct err *e)
{
	struct batch_result *res = j->result;
	auto_free char *state = NULL;

	if (choose_serial(r, j->row, last, res, e))
		return -1;
	str_copy(res->folder, sizeof res->folder, *j->row->out ? j->row->out : res->serial);
	j->folder = xasprintf("%s/%s", r->how->dir, res->folder);
	state = xasprintf("%s/state", j->folder);
	/* one that was reworked here is done, however often the same is run */
	res->rework = r->how->rework;
	j->rework = res->rework && !(last && last->rework && (last->state == BATCH_DONE || last->state == BATCH_KEPT) &&
				     str_eq(last->serial, res->serial));
	if (dir_make(state, 0700, e))
		return -1;
	res->state = BATCH_STARTED;
	res->at_utc_us = loop_now(r->loop)->utc_us;
	if (batch_log_add(r->log, res, e)) {
		give_up(r, e);
		return -1;
	}
	return start_child(r, j, e);
}

static void start(struct run *r, size_t slot, const struct batch_row *row, struct batch_result *res)
{
	const struct batch_result *last = batch_log_last(r->log, row->tcti);
	struct job *j = xcalloc(1, sizeof *j);
	struct err e = { 0 };

	*j = (struct job){ .run = r, .row = row, .result = res, .out.fd = -1, .err.fd = -1,
			   .proc = { .pid = -1, .pidfd = -1 }, .began_us = now_read().boot_us };
	if (begin(r, j, last, &e)) {
		fail(res, e.kind, e.text);
		if (!r->failed)
			count(r, res);
		job_free(j);
		return;
	}
	r->jobs[slot] = j;
	r->p.running++;
}

/* For --only-failed: all but what the results say is done. */
static bool is_wanted(const struct run *r, const struct batch_row *row)
{
	const struct batch_result *last = batch_log_last(r->log, row->tcti);

	return !r->how->only_failed || !last || (last->state != BATCH_DONE && last->state != BATCH_KEPT) ||
	       (!str_eq(row->serial, BATCH_AUTO) && !str_eq(row->serial, last->serial));
}

/* Left out, because it is done: which board that is. */
static void skip(struct run *r, const struct batch_row *row, struct batch_result *res)
{
	const struct batch_result *last = batch_log_last(r->log, row->tcti);

	str_copy(res->serial, sizeof res->serial, last->serial);
	str_copy(res->folder, sizeof res->folder, last->folder);
	str_copy(res->idevid, sizeof res->idevid, last->idevid);
	r->p.skipped++;
}

static void start_more(struct run *r)
{
	for (size_t slot = 0; slot < (size_t)r->how->jobs; slot++)
		while (!r->jobs[slot] && r->next < r->rows->count && !r->p.ending && !r->failed) {
			size_t i = r->next++;

			if (is_wanted(r, &r->rows->row[i]))
				start(r, slot, &r->rows->row[i], &r->results[i]);
			else
				skip(r, &r->rows->row[i], &r->results[i]);
		}
	if (!r->p.running)
		loop_stop(r->loop);
}

static void on_signal(void *arg, int signo)
{
	struct run *r = arg;

	(void)signo;
	for (size_t i = 0; r->p.ending && i < BATCH_JOBS; i++)
		if (r->jobs[i]) {
			r->jobs[i]->broken_off = true;
			proc_kill(&r->jobs[i]->proc);
		}
	r->p.ending = true;
	tell(r);
	if (!r->p.running)
		loop_stop(r->loop);
}

/* ---- the whole ---- */

static int work(struct run *r, struct err *e)
{
	if (loop_add_signal(r->loop, SIGINT, on_signal, r, e) || loop_add_signal(r->loop, SIGTERM, on_signal, r, e) ||
	    loop_add_signal(r->loop, SIGHUP, on_signal, r, e))
		return -1;
	start_more(r);
	if (r->p.running && loop_run(r->loop, e))
		return -1;
	r->p.skipped += r->rows->count - r->next;
	if (r->failed) {
		*e = r->e;
		return -1;
	}
	return r->p.ending ? err_set(e, ERR_INTERRUPTED, 0, "%s", "") : 0;
}

int batch_run(const struct batch_how *how, const struct batch_rows *rows, struct batch_result *results, struct err *e)
{
	auto_batch_log struct batch_log *log = NULL;
	struct run r = { .how = how, .rows = rows, .results = results, .p.total = rows->count };
	int rc;

	for (size_t i = 0; i < rows->count; i++) {
		results[i] = (struct batch_result){ .state = BATCH_SKIPPED };
		str_copy(results[i].tcti, sizeof results[i].tcti, rows->row[i].tcti);
		str_copy(results[i].site, sizeof results[i].site, rows->row[i].site);
		str_copy(results[i].station, sizeof results[i].station, how->station);
		if (!str_eq(rows->row[i].serial, BATCH_AUTO))
			str_copy(results[i].serial, sizeof results[i].serial, rows->row[i].serial);
	}
	if (how->jobs < 1 || how->jobs > BATCH_JOBS)
		return err_set(e, ERR_BUG, 0, "a batch of %d jobs", how->jobs);
	if (batch_log_open(how->dir, &log, e) || loop_new(&r.loop, e))
		return -1;
	r.log = log;
	rc = work(&r, e);
	for (size_t i = 0; i < BATCH_JOBS; i++)
		if (r.jobs[i]) {
			proc_kill(&r.jobs[i]->proc);
			proc_end(&r.jobs[i]->proc, 0);
			job_free(r.jobs[i]);
		}
	loop_free(r.loop);
	return rc;
}
