/* psec init: a first site.yaml, asked for on a terminal or said by options in a script. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

struct options {
	const char *id, *title, *ot_port;
	int tier;
	bool yes, force;
};

static const char *const tiers[] = { "sim", "lab", "prod", NULL };
static const struct options defaults = { .tier = -1 };

#define OPT(field) offsetof(struct options, field)
static const struct cmd_opt opts[] = {
	{ .name = "id", .type = CMD_TEXT, .offset = OPT(id), .value = "ID",
	  .summary = "name of the site: a-z, 0-9 and -" },
	{ .name = "tier", .type = CMD_CHOICE, .offset = OPT(tier), .value = "TIER", .choices = tiers,
	  .summary = "what the devices are: simulated, a lab, a real site" },
	{ .name = "title", .type = CMD_TEXT, .offset = OPT(title), .value = "TEXT",
	  .summary = "the site's name for people" },
	{ .name = "ot-port", .type = CMD_TEXT, .offset = OPT(ot_port), .value = "IF",
	  .summary = "interface towards the devices, as eth1" },
	{ .name = "yes", .letter = 'y', .type = CMD_FLAG, .offset = OPT(yes), .summary = "ask nothing" },
	{ .name = "force", .letter = 'f', .type = CMD_FLAG, .offset = OPT(force),
	  .summary = "replace a site.yaml that is there; a copy of it is kept" },
};

/* ---- is what was said a site? ---- */

struct first_fault {
	char path[48], text[200];
};

static void keep_first(void *arg, const struct diag *d)
{
	struct first_fault *f = arg;

	if (*f->text)
		return;
	str_copy(f->path, sizeof f->path, d->path);
	str_copy(f->text, sizeof f->text, d->text);
}

static char *text_of(const struct options *o)
{
	return site_template(o->id, o->title ? o->title : "", (enum site_tier)o->tier, o->ot_port ? o->ot_port : "");
}

static int check(const char *text, struct err *e)
{
	auto_free struct site *site = xcalloc(1, sizeof *site);
	struct first_fault f = { "", "" };
	struct diag_sink sink = { keep_first, &f, 0 };

	if (site_parse(text, strlen(text), "site.yaml", site, &sink, e) < 0)
		return err_set(e, ERR_USAGE, 0, "%s %s", f.path, f.text);
	return 0;
}

/* ---- asking ---- */

/* Ask until the site with this answer in it stands. *field is set to text that *kept owns. */
static int ask(const struct cmd_env *env, const char *question, const char *proposed, struct options *o,
	       const char **field, char **kept, struct err *e)
{
	for (;;) {
		char *line = cmd_ask_line(env, question, proposed);

		if (!line)
			return err_set(e, ERR_INTERRUPTED, 0, "nothing is written");
		free(*kept);
		*kept = line;
		*field = *line ? line : proposed;
		auto_free char *text = text_of(o);
		if (check(text, e) == 0)
			return 0;
		fprintf(env->err, "  %s\n", e->text);
	}
}

static int ask_tier(const struct cmd_env *env, struct options *o, struct err *e)
{
	for (;;) {
		auto_free char *line = cmd_ask_line(env, "Tier: sim (simulated devices), lab or prod (a real site)",
						    "lab");

		if (!line)
			return err_set(e, ERR_INTERRUPTED, 0, "nothing is written");
		for (int i = 0; tiers[i]; i++)
			if (str_eq(*line ? line : "lab", tiers[i])) {
				o->tier = i;
				return 0;
			}
		fprintf(env->err, "  %s is none of sim, lab and prod\n", line);
	}
}

struct answers {
	char *id, *title, *ot_port;
};

static void answers_release(struct answers *a)
{
	free(a->id);
	free(a->title);
	free(a->ot_port);
}

static int ask_all(const struct cmd_env *env, struct options *o, struct answers *a, struct err *e)
{
	bool has_id = o->id != NULL, has_tier = o->tier >= 0;

	/* what is not asked yet has a sound value while an answer is checked */
	if (!has_id)
		o->id = "x";
	if (!has_tier)
		o->tier = SITE_LAB;
	auto_free char *given = text_of(o);
	if (check(given, e) < 0)
		return -1;
	if (!has_id && ask(env, "Id of the site (a-z, 0-9 and -)", "", o, &o->id, &a->id, e) < 0)
		return -1;
	if (!o->title && ask(env, "Title, for people (may be empty)", "", o, &o->title, &a->title, e) < 0)
		return -1;
	if (!has_tier && ask_tier(env, o, e) < 0)
		return -1;
	if (!o->ot_port &&
	    ask(env, "Interface towards the devices (may be empty)", "", o, &o->ot_port, &a->ot_port, e) < 0)
		return -1;
	return 0;
}

/* ---- writing ---- */

/* A copy beside it, whose name has the time, so that a second --force does not replace it. */
static int keep_copy(const struct cmd_env *env, char *copy, size_t n, struct err *e)
{
	auto_buf struct buf old = BUF_INIT;
	char stamp[BASE_TIME_LEN];

	snprintf(copy, n, "%s.%s", env->paths.file, time_format(now_read().utc_us, stamp));
	if (file_read_regular(env->paths.file, SITE_FILE_MAX, &old, e) < 0)
		return e->kind == ERR_REFUSED ? err_set(e, ERR_REFUSED, 0, "%s; take it away first", e->text) : -1;
	return file_replace(copy, old.data ? old.data : "", old.len, 0600, e);
}

static int make_folders(const struct cmd_env *env, struct err *e)
{
	/* run must be entered by everyone who may talk to psecd; rights are looked at behind the socket */
	const struct { const char *path; unsigned mode; } folders[] = {
		{ env->paths.dir, 0755 }, { env->paths.profiles, 0755 }, { env->paths.state, 0700 },
		{ env->paths.run, 0755 },
	};

	for (size_t i = 0; i < COUNT_OF(folders); i++)
		if (dir_make(folders[i].path, folders[i].mode, e) < 0)
			return -1;
	return 0;
}

static int write_site(const struct cmd_env *env, const struct options *o, const char *text, struct err *e)
{
	struct stat st;
	bool there = lstat(env->paths.file, &st) == 0; /* not access(2): a link to nothing is there, too */
	char copy[400] = "";

	if (!there && errno != ENOENT)
		return err_set(e, ERR_IO, errno, "cannot write '%s'", env->paths.file);
	if (there && !o->force)
		return err_set(e, ERR_REFUSED, 0, "'%s' is there already; --force replaces it and keeps a copy",
			       env->paths.file);
	if (make_folders(env, e) < 0)
		return -1;
	if (there && keep_copy(env, copy, sizeof copy, e) < 0)
		return -1;
	/* the new text keeps the old one's mode, and would be refused with one that others can write */
	if (there && chmod(env->paths.file, 0644) < 0)
		return err_set(e, ERR_IO, errno, "cannot set the mode of '%s'", env->paths.file);
	if (file_replace(env->paths.file, text, strlen(text), 0644, e) < 0)
		return -1;
	if (there)
		fprintf(env->out, "kept the old one as %s\n", copy);
	return 0;
}

static void say_next(const struct cmd_env *env, const struct options *o)
{
	const char *flag = env->dir ? " -C " : "", *dir = env->dir ? env->dir : "";
	/* a scan without a range needs ports.ot; what is said here must do when it is typed as it stands */
	const char *range = o->tier == SITE_SIM ? " 127.0.0.11-13:1502" : o->ot_port && *o->ot_port ? "" : " RANGE";

	fprintf(env->out, "wrote %s: site %s, tier %s\n\nnext:\n", env->paths.file, o->id, tiers[o->tier]);
	if (o->tier == SITE_SIM)
		fprintf(env->out, "  psec%s%s sim run\n      starts simulated devices and prints where they are\n",
			flag, dir);
	fprintf(env->out, "  psec%s%s scan --write%s\n      finds the devices and adds them to site.yaml%s\n", flag,
		dir, range, str_eq(range, " RANGE") ? "; RANGE as 192.168.1.0/24 or rtu:/dev/ttyS1" : "");
	fprintf(env->out, "  psec%s%s site check\n      finds what is missing or wrong\n", flag, dir);
}

static int name_missing(const struct options *o, struct err *e)
{
	const char *names[] = { o->id ? NULL : "--id", o->tier < 0 ? "--tier" : NULL, o->yes ? NULL : "--yes" };
	auto_buf struct buf missing = BUF_INIT;

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (names[i])
			buf_addf(&missing, "%s%s", missing.len ? ", " : "", names[i]);
	return err_set(e, ERR_USAGE, 0, "nobody can be asked here: %s must be given, too", missing.data);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	struct options o = *(const struct options *)options;
	__attribute__((cleanup(answers_release))) struct answers answers = { NULL, NULL, NULL };
	auto_free char *text = NULL;

	(void)argc, (void)argv;
	if (access(env->paths.file, F_OK) == 0 && !o.force)
		return err_set(e, ERR_REFUSED, 0, "'%s' is there already; --force replaces it and keeps a copy",
			       env->paths.file);
	if (!o.yes && env->interactive) {
		if (ask_all(env, &o, &answers, e) < 0)
			return -1;
	} else if (!o.id || o.tier < 0) {
		return name_missing(&o, e);
	} else if (!o.yes) {
		return err_set(e, ERR_USAGE, 0, "nobody can be asked here; --yes writes the file without questions");
	}
	text = text_of(&o);
	if (check(text, e) < 0 || write_site(env, &o, text, e) < 0)
		return -1;
	say_next(env, &o);
	return 0;
}

const struct cmd cmd_init = {
	.name = "init",
	.summary = "write a first site.yaml",
	.more = "Writes site.yaml with comments and no devices, and makes the folders profiles, state and run beside "
		"it. On a "
		"terminal it asks for what the options do not say; in a script --id, --tier and --yes are needed. "
		"A site.yaml that is there is never touched without --force.",
	.example = "psec -C hof init\npsec -C hof init --id hof-7 --tier sim --yes",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof(struct options),
	.run = run,
};
