/* psec provision label: what sticks on a board. */
#include <string.h>

#include "batch/batch.h"
#include "provision.h"

struct options {
	struct ca_where where;
	const char *from, *svg, *product;
	bool terminal;
};
static const struct options defaults;
#define AT(field) offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	CA_OPT(options),
	{ .name = "from", .letter = 'f', .type = CMD_TEXT, .offset = AT(from), .value = "DIR", .complete = "file",
	  .summary = "take it from a batch's results in DIR; without SERIAL: all labels there anew" },
	{ .name = "svg", .type = CMD_TEXT, .offset = AT(svg), .value = "FILE", .complete = "file",
	  .summary = "write it as SVG, 62 mm wide; '-': to standard output" },
	{ .name = "terminal", .type = CMD_FLAG, .offset = AT(terminal),
	  .summary = "show it on the terminal; so it is without --svg" },
	{ .name = "product", .type = CMD_TEXT, .offset = AT(product), .value = "TEXT",
	  .summary = "make and model, as the second line" },
};
static const struct cmd_arg args[] = { { "SERIAL", false, false, NULL } };

/* ---- what is known of the board ---- */

struct found {
	const char *serial;
	char ek[65], idevid[65];
	bool there;
};

static int take_board(void *arg, const struct ca_board *board, struct err *e)
{
	struct found *f = arg;

	(void)e;
	if (str_eq(board->serial, f->serial)) {
		f->there = true;
		str_copy(f->ek, sizeof f->ek, board->ek);
	}
	return 0;
}

static int take_number(void *arg, const struct ca_row *row, struct err *e)
{
	struct found *f = arg;

	(void)e;
	if (str_eq(row->profile, "idevid") && str_eq(row->state, "valid"))
		str_copy(f->idevid, sizeof f->idevid, row->number);
	return 0;
}

static int find_in_ca(const struct cmd_env *env, const struct options *o, struct found *f, struct err *e)
{
	auto_ca struct ca *ca = NULL;
	auto_free char *what = xasprintf("serial:%s", f->serial);
	struct now now = now_read();

	if (ca_open_plain(env, &o->where, &ca, e) || ca_boards(ca, take_board, f, e))
		return -1;
	if (!f->there)
		return err_set(e, ERR_INPUT, 0, "the registry has no board '%s'; `psec provision ca list --boards` shows them",
			       f->serial);
	if (!f->ek[0])
		return err_set(e, ERR_INPUT, 0, "board '%s' has a serial and no identity yet; `psec provision` makes it",
			       f->serial);
	return ca_list(ca, &now, what, take_number, f, e);
}

static int take_result(void *arg, const struct batch_result *r, struct err *e)
{
	struct found *f = arg;

	(void)e;
	if (str_eq(r->serial, f->serial) && (r->state == BATCH_DONE || r->state == BATCH_KEPT)) {
		f->there = true;
		str_copy(f->ek, sizeof f->ek, r->ek);
		str_copy(f->idevid, sizeof f->idevid, r->idevid);
	}
	return 0;
}

static int find_in_results(const struct options *o, struct found *f, struct err *e)
{
	if (batch_log_read(o->from, take_result, f, e))
		return -1;
	return f->there ? 0 : err_set(e, ERR_INPUT, 0, "the results in '%s' have no board '%s' that is done", o->from,
				      f->serial);
}

/* ---- all of a batch ---- */

struct all { const struct options *o; size_t count; };

static int write_one(void *arg, const struct batch_result *r, struct err *e)
{
	struct all *a = arg;
	const struct batch_label l = { r->serial, r->ek, r->idevid, a->o->product };
	auto_free char *folder = xasprintf("%s/%s", a->o->from, r->folder);

	if (r->state != BATCH_DONE && r->state != BATCH_KEPT)
		return 0;
	a->count++;
	return batch_label_write(&l, folder, e);
}

static int write_all(const struct cmd_env *env, const struct options *o, struct err *e)
{
	struct all a = { .o = o };

	if (o->svg || o->terminal)
		return err_set(e, ERR_USAGE, 0, "which board's? with --svg and --terminal SERIAL is needed");
	if (batch_log_read(o->from, write_one, &a, e))
		return -1;
	fprintf(env->out, "%zu labels in %s/*/label.svg\n", a.count, o->from);
	return 0;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct found f = { .serial = argc ? argv[0] : NULL };
	struct batch_label l = { .serial = f.serial, .ek = f.ek, .idevid = f.idevid, .product = o->product };
	auto_buf struct buf svg = BUF_INIT, drawn = BUF_INIT;

	if (!argc)
		return o->from ? write_all(env, o, e)
			       : err_set(e, ERR_USAGE, 0, "which board's? give its SERIAL, or --from DIR of a batch");
	if (o->from ? find_in_results(o, &f, e) : find_in_ca(env, o, &f, e))
		return -1;
	if (o->svg && (batch_label_svg(&l, &svg, e) || ca_put(env, str_eq(o->svg, "-") ? NULL : o->svg, &svg, e)))
		return -1;
	if (o->svg && !o->terminal)
		return 0;
	if (batch_label_terminal(&l, &drawn, e))
		return -1;
	fwrite(drawn.data, 1, drawn.len, env->out);
	return 0;
}

const struct cmd cmd_provision_label = {
	.name = "label",
	.summary = "the label of a board: a QR code, serial and endorsement key",
	.more = "A batch has written them already, as label.svg in each board's folder.",
	.example = "psec provision label P-000017 --ca factory-ca\n"
		   "psec provision label P-000017 --ca factory-ca --svg label.svg --product P2",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.args = args,
	.arg_count = COUNT_OF(args),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
