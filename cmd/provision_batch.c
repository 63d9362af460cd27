/* psec provision --batch: a factory's boards side by side. Each is a child process, `psec provision board`
 * (provision_board.c); its results are lib/batch's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/batch.h"
#include "provision.h"

enum { PASSPHRASE_FD = 3 };

struct batch {
	const struct cmd_env *env;
	const struct board_said *said;
	const struct batch_options *o;
	struct ca *ca;               /* for serials */
	char *ca_dir, *ek_roots, *dir;
	int passphrase;              /* a file in memory */
	struct batch_how how;
	struct out_progress progress;
	int64_t began_us;
	bool ending;
};

static void batch_end(struct batch *b)
{
	ca_close(b->ca);
	free(b->ca_dir);
	free(b->ek_roots);
	free(b->dir);
	base_close_(&b->passphrase);
}
#define auto_batch __attribute__((cleanup(batch_end)))

/* ---- what the children need ---- */

/* The children read it there, and never in their words or environment. */
static int keep_passphrase(struct batch *b, const struct secret *s, struct err *e)
{
	b->passphrase = memfd_create("passphrase", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->passphrase < 0 || fchmod(b->passphrase, 0600) < 0)
		return err_set(e, ERR_IO, errno, "cannot make a file in memory");
	if (fd_write_all(b->passphrase, s->data, s->len, e) || fd_write_all(b->passphrase, "\n", 1, e))
		return -1;
	if (fcntl(b->passphrase, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_set(e, ERR_IO, errno, "cannot seal a file in memory");
	return 0;
}

/* What holds for all boards fails once, not once a board. */
static int check_files(const struct batch *b, struct err *e)
{
	auto_crypto_bag struct crypto_bag *roots = NULL, *trust = NULL;
	auto_crypto_cert struct crypto_cert *recovery = NULL;

	if (b->said->recovery && board_recovery(b->said->recovery, &recovery, e))
		return -1;
	if (b->ek_roots && (crypto_bag_new(&roots, e) || crypto_bag_read(roots, b->ek_roots, e)))
		return err_ctx(e, "the EK roots");
	if (b->said->trust && (crypto_bag_new(&trust, e) || crypto_bag_read(trust, b->said->trust, e)))
		return err_ctx(e, "the roots of --trust");
	return 0;
}

/* A wrong passphrase, a damaged CA, a clock that is not set are told once, and not by each board. */
static int open_ca(struct batch *b, const struct ca_where *where, struct err *e)
{
	auto_secret struct secret passphrase = { 0 };
	auto_ca struct ca *probe = NULL;
	struct ca_facts facts;

	b->ca_dir = ca_folder(b->env, where);
	if (ca_open(b->ca_dir, NULL, &b->ca, e) || ca_passphrase(b->ca_dir, where->passphrase_file, &passphrase, e) ||
	    ca_open(b->ca_dir, &passphrase, &probe, e) || ca_facts(b->ca, &facts, e) || keep_passphrase(b, &passphrase, e))
		return -1;
	if (b->said->ek_roots)
		b->ek_roots = xstrdup(b->said->ek_roots);
	else if (facts.ek_roots)
		b->ek_roots = xasprintf("%s/ek-roots.pem", b->ca_dir);
	else
		fprintf(b->env->err, "psec: whether the TPMs are real ones is not checked: the CA has no EK roots\n");
	if (!b->said->recovery)
		fprintf(b->env->err, "psec: the TPMs' authorisations are not set: there is no --recovery certificate to escrow "
				     "them to\n");
	if (check_files(b, e))
		return -1;
	return now_read().utc_valid ? 0 : err_set(e, ERR_AGAIN, 0, "the clock of this machine is not set; set it "
						  "(timedatectl) and try again");
}

static int give_serial(void *arg, char serial[BATCH_SERIAL], struct err *e)
{
	const struct batch *b = arg;
	struct now now = now_read();

	return ca_serial_take(b->ca, &now, b->o->serial_prefix, serial, e);
}

static void words(void *arg, const struct batch_board *board, const char *w[BATCH_WORDS])
{
	static char state[4096];
	const struct batch *b = arg;
	const struct { const char *option, *value; } options[] = {
		{ "--serial", board->serial }, { "--tcti", board->tcti }, { "--state", state }, { "--ca", b->ca_dir },
		{ "--passphrase-file", "/proc/self/fd/3" }, { "--site", *board->site ? board->site : NULL },
		{ "--ek-roots", b->ek_roots }, { "--recovery", b->said->recovery }, { "--trust", b->said->trust },
		{ "--rework", board->rework ? b->o->rework : NULL },
	};
	size_t n = 0;

	snprintf(state, sizeof state, "%s/state", board->folder);
	w[n++] = "/proc/self/exe";
	w[n++] = "provision";
	w[n++] = "board";
	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (options[i].value) {
			w[n++] = options[i].option;
			w[n++] = options[i].value;
		}
}

/* ---- what is told ---- */

static void told(void *arg, const struct batch_progress *p)
{
	struct batch *b = arg;
	struct now now = now_read();
	size_t finished = p->done + p->kept + p->failed, left = p->total - p->skipped - finished;
	double took_s = (double)(now.boot_us - b->began_us) / 1e6;
	double a_minute = took_s > 0 ? 60 * (double)finished / took_s : 0;
	char extra[120];

	if (p->ending && !b->ending) {
		out_progress_end(&b->progress);
		fprintf(b->env->err, "psec: no more boards are begun; %zu at work are waited for, Ctrl-C again ends them\n",
			p->running);
	}
	b->ending = p->ending;
	snprintf(extra, sizeof extra, "%zu failed, %.0f a minute, %.0f s left", p->failed, a_minute,
		 a_minute > 0 ? 60 * (double)left / a_minute : 0);
	out_progress_step(&b->progress, &now, finished, p->total - p->skipped, extra);
}

static int print_table(const struct cmd_env *env, const struct batch_result *res, size_t n, struct err *e)
{
	static const struct out_column columns[] = {
		{ "serial", "SERIAL", NULL, OUT_TEXT, 0, 0 }, { "site", "SITE", NULL, OUT_TEXT, 0, 0 },
		{ "state", "STATE", NULL, OUT_TEXT, 0, 0 }, { "took_s", "TOOK", "s", OUT_REAL, 1, 0 },
		{ "idevid", "IDEVID", NULL, OUT_TEXT, 0, 0 }, { "folder", "FOLDER", NULL, OUT_TEXT, 0, OUT_WIDE },
	};
	auto_out struct out *out = out_new(columns, COUNT_OF(columns), OUT_TABLE);

	for (size_t i = 0; i < n; i++) {
		const struct batch_result *r = &res[i];

		out_row(out);
		out_text(out, 0, *r->serial ? r->serial : NULL);
		out_text(out, 1, *r->site ? r->site : NULL);
		out_text(out, 2, batch_state_name(r->state));
		if (r->state != BATCH_SKIPPED)
			out_real(out, 3, (double)r->took_us / 1e6);
		out_text(out, 4, *r->idevid ? r->idevid : NULL);
		out_text(out, 5, *r->folder ? r->folder : NULL);
	}
	return cmd_print(env, out, e);
}

static int print_json(const struct cmd_env *env, const struct batch_result *res, size_t n, struct err *e)
{
	json_t *list = json_array();
	int rc;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, batch_result_json(&res[i]));
	rc = cmd_print_json(env, list, e);
	json_decref(list);
	return rc;
}

/* Each failure with its reason, which says what to do; returns how many there are. */
static size_t summarise(const struct batch *b, const struct batch_result *res, size_t n)
{
	FILE *to = cmd_for_people(b->env) ? b->env->out : b->env->err;
	size_t of[BATCH_FAILED + 1] = { 0 };

	for (size_t i = 0; i < n; i++)
		of[res[i].state]++;
	fprintf(to, "\n%zu done, %zu kept, %zu failed", of[BATCH_DONE], of[BATCH_KEPT], of[BATCH_FAILED]);
	if (of[BATCH_SKIPPED])
		fprintf(to, ", %zu not begun", of[BATCH_SKIPPED]);
	fprintf(to, " of %zu; results in %s\n", n, b->dir);
	for (size_t i = 0; i < n; i++) {
		const struct batch_result *r = &res[i];
		char text[2 * sizeof r->text];

		if (r->state != BATCH_FAILED)
			continue;
		str_printable(text, sizeof text, r->text, strlen(r->text));
		fprintf(to, "  %s at %s: %s\n", *r->serial ? r->serial : "a board", r->tcti, text);
	}
	if (of[BATCH_FAILED])
		fprintf(to, "when that is put right, run the same again with --only-failed\n");
	return of[BATCH_FAILED];
}

/* ---- all together ---- */

static int default_jobs(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 2 : 2 * cores > BATCH_JOBS ? BATCH_JOBS : 2 * (int)cores;
}

static int run(struct batch *b, const struct batch_rows *rows, struct batch_result *res, struct err *e)
{
	struct now now = now_read();
	size_t failed;
	int rc;

	b->began_us = now.boot_us;
	out_progress_begin(&b->progress, "boards", &now);
	rc = batch_run(&b->how, rows, res, e);
	out_progress_end(&b->progress);
	if (rc && e->kind != ERR_INTERRUPTED)
		return -1;
	if (cmd_for_people(b->env) ? print_table(b->env, res, rows->count, e) : print_json(b->env, res, rows->count, e))
		return -1;
	failed = summarise(b, res, rows->count);
	return rc ? err_set(e, ERR_INTERRUPTED, 0, "%s", "") : failed ? 1 : 0;
}

/* FILE is judged before anything else is looked at: its author need not be who has the CA. */
int provision_batch(const struct cmd_env *env, const struct ca_where *where, const struct board_said *said,
		    const struct batch_options *o, struct err *e)
{
	struct diag_sink sink = { .fn = cmd_diag_to_stderr, .arg = env->err };
	auto_batch struct batch b = { .env = env, .said = said, .o = o, .passphrase = -1 };
	auto_free struct batch_result *res = NULL;
	char station[BATCH_SERIAL] = "";
	struct proc_fd fd;
	struct batch_rows rows;
	int rc;

	if (said->serial || said->auths || said->no_ek_check)
		return err_set(e, ERR_USAGE, 0, "%s does not go with --batch", said->serial ? "--serial" : said->auths
			       ? "--auths" : "--no-ek-check (it is the CA that was made with or without roots)");
	if (str_eq(o->batch, "-") && !o->out)
		return err_set(e, ERR_USAGE, 0, "rows from standard input need --out DIR, where their results go");
	provision_guard_memory();
	if (batch_read(o->batch, o->serial_prefix, &rows, &sink, e))
		return -1;
	gethostname(station, sizeof station - 1);
	b.dir = o->out ? xstrdup(o->out) : xasprintf("%s.d", o->batch);
	b.how = (struct batch_how){
		.dir = b.dir, .station = o->station ? o->station : station, .jobs = o->jobs ? (int)o->jobs : default_jobs(),
		.deadline_ms = o->deadline_ms, .only_failed = o->only_failed, .rework = o->rework != NULL,
		.product = o->product, .serial = give_serial, .words = words, .fds = &fd, .fd_count = 1, .told = told,
		.arg = &b,
	};
	res = xcalloc(rows.count, sizeof *res);
	rc = open_ca(&b, where, e);
	if (!rc) {
		fd = (struct proc_fd){ b.passphrase, PASSPHRASE_FD };
		rc = run(&b, &rows, res, e);
	}
	batch_rows_release(&rows);
	return rc;
}
