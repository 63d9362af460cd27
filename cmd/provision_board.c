/* psec provision board: one board of a batch, run by provision_batch.c as a process of its own. Its result is one JSON
 * object on standard output (lib/batch/batch.h). */
#include <string.h>

#include "batch/batch.h"
#include "provision.h"

enum { WAIT_MS = 10000, FILE_MAX = 256 * 1024 };

struct options {
	struct ca_where where;
	const char *serial, *tcti, *state, *site, *ek_roots, *recovery, *trust, *rework;
};
static const struct options defaults;
#define AT(field) offsetof(struct options, field)
#define WORD(word, field, what) \
	{ .name = word, .type = CMD_TEXT, .offset = AT(field), .value = "TEXT", .summary = what }
static const struct cmd_opt opts[] = {
	CA_OPT(options), CA_PASSPHRASE_OPT(options), WORD("serial", serial, "the board's"),
	WORD("tcti", tcti, "where its TPM is"), WORD("state", state, "folder of its files"), WORD("site", site, "its site"),
	WORD("ek-roots", ek_roots, "roots of the TPM makers"), WORD("recovery", recovery, "certificate of the escrow"),
	WORD("trust", trust, "roots of a CA that is meant"), WORD("rework", rework, "why it comes again"),
};

struct work {
	const struct options *o;
	struct provision_how how;
	struct ca *ca;
	struct crypto_cert *recovery;
	struct buf trust;
	bool changed;                 /* a step was not there before */
	struct batch_result result;
};

static void step(void *arg, const char *name, bool done_now)
{
	struct work *w = arg;

	(void)name;
	w->changed |= done_now;
}

/* ---- what the registry knows ---- */

static int take_ek(void *arg, const struct ca_board *board, struct err *e)
{
	struct work *w = arg;

	(void)e;
	if (str_eq(board->serial, w->o->serial))
		str_copy(w->result.ek, sizeof w->result.ek, board->ek);
	return 0;
}

/* Oldest first: the last that is valid stays. */
static int take_number(void *arg, const struct ca_row *row, struct err *e)
{
	struct work *w = arg;
	char *to = str_eq(row->profile, "idevid") ? w->result.idevid
		 : str_eq(row->profile, "iak")    ? w->result.iak
						  : w->result.ldevid;

	(void)e;
	if (str_eq(row->state, "valid"))
		str_copy(to, sizeof w->result.idevid, row->number);
	return 0;
}

static int ask_registry(struct work *w, const struct now *now, struct err *e)
{
	auto_free char *what = xasprintf("serial:%s", w->o->serial);

	return ca_boards(w->ca, take_ek, w, e) || ca_list(w->ca, now, what, take_number, w, e) ? -1 : 0;
}

/* ---- one TPM under two serials ---- */

struct twin { const char *serial; char ek[CRYPTO_HEX], other[ENROL_NAME]; };

static int take_twin(void *arg, const struct ca_board *board, struct err *e)
{
	struct twin *t = arg;

	(void)e;
	if (str_eq(board->ek, t->ek) && !str_eq(board->serial, t->serial))
		str_copy(t->other, sizeof t->other, board->serial);
	return 0;
}

/* As the registry knows a TPM. false: it has no certificate, or does not answer. */
static bool ek_hash(const char *tcti, char hash[CRYPTO_HEX])
{
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_crypto_key struct crypto_key *key = NULL;
	auto_buf struct buf pem = BUF_INIT;
	auto_crypto_bag struct crypto_bag *chain = NULL;
	struct tpm *t = NULL;
	struct err e = { 0 };
	bool ok = !crypto_bag_new(&chain, &e) && !tpm_open(tcti, WAIT_MS, &t, &e) &&
		  !tpm_ek_certificate(t, &cert, chain, &e) && cert && !crypto_cert_key(cert, &key, &e) &&
		  !crypto_key_public_pem(key, &pem, &e);

	tpm_close(t);
	if (ok)
		enrol_hash(pem.data, hash);
	return ok;
}

/* That a TPM is another board's may show in many ways (authorisations that are not ours); this is what it means. */
static void explain(struct work *w, struct err *why)
{
	struct twin t = { .serial = w->o->serial };
	struct err e = { 0 };

	if (why->kind != ERR_REFUSED || !ek_hash(w->how.tcti, t.ek) || ca_boards(w->ca, take_twin, &t, &e) ||
	    !t.other[0])
		return;
	err_set(why, ERR_REFUSED, 0, "this TPM is board '%s' already: one endorsement key has one serial. Look which of "
		"the two boards is at this TCTI; was it begun in an earlier batch, that one's FILE and --out go on with it; if "
		"the TPM was moved, `psec provision ca rework %s` first", t.other, t.other);
}

/* ---- the board ---- */

/* Its certificates are revoked, and what is in its TPM and its folder goes, of another TPM, too. */
static int rework(struct work *w, const struct now *now, struct err *e)
{
	char who[64];
	bool removed;

	return ca_board_rework(w->ca, now, w->o->serial, w->o->rework, ca_who(who), e) ||
	       provision_reset(&w->how, now, &removed, e) ? -1 : 0;
}

static int prepare(struct work *w, const struct cmd_env *env, struct err *e)
{
	const struct options *o = w->o;

	if (!o->serial || !o->tcti || !o->state)
		return err_set(e, ERR_USAGE, 0, "--serial, --tcti and --state are needed; boards are run by --batch");
	w->how = (struct provision_how){
		.place.state = o->state, .tcti = o->tcti, .wait_ms = WAIT_MS, .serial = o->serial, .site = o->site,
		.ek_roots = o->ek_roots, .ek_needed = o->ek_roots != NULL, .any_tpm = true, .step = step, .arg = w,
	};
	if (o->trust && file_read(o->trust, FILE_MAX, &w->trust, e))
		return -1;
	w->how.trust = o->trust ? w->trust.data : NULL;
	if (o->recovery && board_recovery(o->recovery, &w->recovery, e))
		return -1;
	w->how.recovery = w->recovery;
	return ca_open_with_keys(env, &o->where, &w->ca, e);
}

static int work(struct work *w, const struct cmd_env *env, struct err *e)
{
	struct now now = now_read();

	if (prepare(w, env, e))
		return -1;
	if ((w->o->rework && rework(w, &now, e)) || provision_run(&w->how, w->ca, &now, e)) {
		explain(w, e);
		return -1;
	}
	w->result.state = w->changed || w->o->rework ? BATCH_DONE : BATCH_KEPT;
	return ask_registry(w, &now, e);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct work w = { .o = options };
	json_t *o;
	int rc;

	(void)argc, (void)argv;
	provision_guard_memory();
	rc = work(&w, env, e);
	if (rc) {
		w.result.state = BATCH_FAILED;
		w.result.kind = e->kind;
		str_copy(w.result.text, sizeof w.result.text, e->text);
	}
	ca_close(w.ca);
	crypto_cert_free(w.recovery);
	buf_release(&w.trust);
	o = batch_result_json(&w.result);
	rc = cmd_print_json(env, o, e) ? -1 : rc ? 1 : 0;
	json_decref(o);
	return rc;
}

const struct cmd cmd_provision_board = {
	.name = "board",
	.summary = "one board of a batch; run by psec provision --batch",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.flags = CMD_JSON | CMD_HIDDEN | CMD_NO_SHELL | CMD_NO_PAGE,
	.run = run,
};
