#include "batch/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jot/jot.h"

enum { FILE_MAX = 256 << 20 };

static const char *const states[] = {
	[BATCH_SKIPPED] = "skipped", [BATCH_STARTED] = "started", [BATCH_DONE] = "done", [BATCH_KEPT] = "kept",
	[BATCH_FAILED] = "failed",
};

const char *batch_state_name(enum batch_state s)
{
	return states[s];
}

/* ---- one line ---- */

json_t *batch_result_json(const struct batch_result *r)
{
	json_t *o = json_object(), *error = json_null(), *numbers = json_object();

	if (r->state == BATCH_FAILED) {
		error = json_object();
		json_object_set_new(error, "kind", jot_text(err_kind_name(r->kind)));
		json_object_set_new(error, "text", jot_text(r->text));
	}
	json_object_set_new(numbers, "idevid", jot_word(r->idevid));
	json_object_set_new(numbers, "iak", jot_word(r->iak));
	json_object_set_new(numbers, "ldevid", jot_word(r->ldevid));
	json_object_set_new(o, "serial", jot_word(r->serial));
	json_object_set_new(o, "tcti", jot_text(r->tcti));
	json_object_set_new(o, "site", jot_word(r->site));
	json_object_set_new(o, "folder", jot_word(r->folder));
	json_object_set_new(o, "state", jot_text(states[r->state]));
	json_object_set_new(o, "rework", json_boolean(r->rework));
	json_object_set_new(o, "error", error);
	json_object_set_new(o, "ek", jot_word(r->ek));
	json_object_set_new(o, "certificates", numbers);
	json_object_set_new(o, "took_s", jot_number((double)(r->took_us / US_PER_MS) / 1e3));
	json_object_set_new(o, "at_utc", jot_time(r->at_utc_us));
	json_object_set_new(o, "station", jot_text(r->station));
	return o;
}

/* false where it is neither text that fits nor null. */
static bool text_of(const json_t *o, const char *key, char *to, size_t n)
{
	const json_t *v = json_object_get(o, key);

	*to = '\0';
	return json_is_null(v) || (json_is_string(v) && str_copy(to, n, json_string_value(v)));
}

static bool state_of(const char *word, enum batch_state *out)
{
	for (size_t i = 0; i < COUNT_OF(states); i++)
		if (str_eq(states[i], word)) {
			*out = (enum batch_state)i;
			return true;
		}
	return false;
}

static bool read_result(const json_t *o, struct batch_result *r)
{
	const json_t *error = json_object_get(o, "error"), *numbers = json_object_get(o, "certificates");
	char word[BASE_TIME_LEN];
	bool ok;

	*r = (struct batch_result){ .rework = json_is_true(json_object_get(o, "rework")) };
	ok = text_of(o, "serial", r->serial, sizeof r->serial) && text_of(o, "tcti", r->tcti, sizeof r->tcti) &&
	     text_of(o, "site", r->site, sizeof r->site) && text_of(o, "folder", r->folder, sizeof r->folder) &&
	     text_of(o, "ek", r->ek, sizeof r->ek) && text_of(o, "station", r->station, sizeof r->station) &&
	     text_of(numbers, "idevid", r->idevid, sizeof r->idevid) && text_of(numbers, "iak", r->iak, sizeof r->iak) &&
	     text_of(numbers, "ldevid", r->ldevid, sizeof r->ldevid) && text_of(o, "state", word, sizeof word) &&
	     state_of(word, &r->state) && text_of(o, "at_utc", word, sizeof word) && time_parse(word, &r->at_utc_us);
	r->took_us = (int64_t)(json_number_value(json_object_get(o, "took_s")) * 1e6);
	if (!ok || !json_is_object(error))
		return ok;
	ok = text_of(error, "kind", word, sizeof word) && text_of(error, "text", r->text, sizeof r->text);
	r->kind = err_kind_parse(word);
	return ok;
}

/* ---- all lines: the last of each board ---- */

struct batch_log {
	int fd;
	char *path;
	struct batch_result **last; /* by TCTI */
	size_t count, room;
};

/* Where it is or is to be. */
static size_t place_of(const struct batch_log *l, const char *tcti)
{
	size_t lo = 0, hi = l->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(l->last[mid]->tcti, tcti) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct batch_result *batch_log_last(const struct batch_log *l, const char *tcti)
{
	size_t at = place_of(l, tcti);

	return at < l->count && str_eq(l->last[at]->tcti, tcti) ? l->last[at] : NULL;
}

static void keep(struct batch_log *l, const struct batch_result *r)
{
	size_t at = place_of(l, r->tcti);

	if (at == l->count || !str_eq(l->last[at]->tcti, r->tcti)) {
		if (l->count == l->room) {
			l->room = l->room ? 2 * l->room : 64;
			l->last = xrealloc(l->last, l->room, sizeof(struct batch_result *));
		}
		memmove(l->last + at + 1, l->last + at, (l->count - at) * sizeof *l->last);
		l->last[at] = xcalloc(1, sizeof **l->last);
		l->count++;
	}
	*l->last[at] = *r;
}

static int read_lines(struct batch_log *l, char *at, struct err *e)
{
	int line = 0;

	for (char *nl; (nl = strchr(at, '\n')); at = nl + 1) {
		struct batch_result r;
		json_t *o;
		bool ok;

		*nl = '\0';
		line++;
		o = json_loads(at, JSON_REJECT_DUPLICATES, NULL);
		ok = o && read_result(o, &r);
		json_decref(o);
		if (!ok)
			return err_set(e, ERR_INPUT, 0, "'%s' is damaged in line %d; move it away (the boards themselves say what "
							"is done)", l->path, line);
		keep(l, &r);
	}
	return 0;
}

/* ---- the file ---- */

void batch_log_free(struct batch_log *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count; i++)
		free(l->last[i]);
	free(l->last);
	free(l->path);
	base_close_(&l->fd);
	free(l);
}

void batch_log_free_(struct batch_log **l)
{
	batch_log_free(*l);
}

static struct batch_log *log_new(const char *dir)
{
	struct batch_log *l = xcalloc(1, sizeof *l);

	l->fd = -1;
	l->path = xasprintf("%s/results.jsonl", dir);
	return l;
}

static int read_all(struct batch_log *l, struct err *e)
{
	auto_buf struct buf text = BUF_INIT;
	const char *nl;
	size_t whole;

	if (file_read_fd(l->fd, l->path, FILE_MAX, &text, e))
		return -1;
	nl = text.len ? memrchr(text.data, '\n', text.len) : NULL;
	whole = nl ? (size_t)(nl - text.data) + 1 : 0;
	if (whole < text.len && ftruncate(l->fd, (off_t)whole) < 0)
		return err_set(e, ERR_IO, errno, "cannot write '%s'", l->path);
	return whole ? read_lines(l, text.data, e) : 0;
}

int batch_log_open(const char *dir, struct batch_log **out, struct err *e)
{
	auto_batch_log struct batch_log *l = log_new(dir);

	if (dir_make(dir, 0700, e))
		return -1;
	l->fd = open(l->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", l->path);
	if (flock(l->fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? ERR_AGAIN : ERR_IO, 0,
			       "another batch works in '%s'; wait for its end, or give this one another --out", dir);
	if (read_all(l, e) || dir_sync(dir, e))
		return -1;
	*out = take(l);
	return 0;
}

int batch_log_add(struct batch_log *l, const struct batch_result *r, struct err *e)
{
	json_t *o = batch_result_json(r);
	auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	auto_buf struct buf line = BUF_INIT;
	off_t before = lseek(l->fd, 0, SEEK_END);

	json_decref(o);
	buf_addf(&line, "%s\n", text);
	if (fd_write_all(l->fd, line.data, line.len, e)) {
		/* where this fails, too, the next to open it cuts the half line off */
		if (before >= 0 && ftruncate(l->fd, before) < 0)
			return -1;
		return err_ctx(e, "'%s'", l->path);
	}
	if (fdatasync(l->fd) < 0)
		return err_set(e, ERR_IO, errno, "cannot write '%s'", l->path);
	keep(l, r);
	return 0;
}

int batch_log_read(const char *dir, batch_result_fn *fn, void *arg, struct err *e)
{
	auto_batch_log struct batch_log *l = log_new(dir);
	auto_buf struct buf text = BUF_INIT;

	if (file_read_regular(l->path, FILE_MAX, &text, e))
		return e->errnum != ENOENT ? -1
					   : err_set(e, ERR_INPUT, 0, "'%s' has no results of a batch (results.jsonl)", dir);
	if (text.len && read_lines(l, text.data, e))
		return -1;
	for (size_t i = 0; i < l->count; i++)
		if (fn(arg, l->last[i], e))
			return -1;
	return 0;
}
