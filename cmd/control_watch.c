/* psec control watch: the site live. A picture on a terminal, a line a change elsewhere, a JSON line a change with
 * --json. */
#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "live.h"
#include "screen.h"
#include "table.h"

enum { ASK_MS = 5000, TICK_MS = 1000 };

struct options { int64_t count; };
static const struct options defaults;
static const struct cmd_opt opts[] = {
	{ .name = "count", .letter = 'n', .type = CMD_INT, .offset = offsetof(struct options, count), .value = "N",
	  .summary = "end after N pictures or lines", .min = 1, .max = 1e9 },
};

struct watch {
	const struct cmd_env *env;
	struct ctl_client *client;
	bool picture;
	int64_t left;        /* still to show; -1: no end */
	json_t *last;
	int64_t last_boot_us;
	const char *notice;
	struct out_spark grid, battery, soc;
};

static int write_out(const struct watch *w, const char *text, struct err *e)
{
	if (fputs(text, w->env->out) == EOF || fflush(w->env->out) == EOF)
		return err_set(e, ERR_IO, errno, "cannot write to standard output");
	return 0;
}

static int draw(const struct watch *w, struct err *e)
{
	struct winsize size = { 0 };
	struct screen s = { .columns = 80, .rows = 24, .notice = w->notice, .grid = &w->grid, .battery = &w->battery,
			    .soc = &w->soc };
	const char *no_colour = getenv("NO_COLOR");
	auto_buf struct buf b = BUF_INIT;

	if (!ioctl(fileno(w->env->out), TIOCGWINSZ, &size) && size.ws_col && size.ws_row) {
		s.columns = size.ws_col;
		s.rows = size.ws_row;
	}
	s.utf8 = str_eq(nl_langinfo(CODESET), "UTF-8");
	s.colour = !no_colour || !no_colour[0];
	s.boot_us = now_read().boot_us;
	s.silent_ms = (s.boot_us - w->last_boot_us) / US_PER_MS;
	screen_draw(&b, &s, w->last);
	return write_out(w, b.data, e);
}

static int print_line(const struct watch *w, struct err *e)
{
	char at[LIVE_TEXT], mode[LIVE_TEXT], state[LIVE_TEXT], clamp[LIVE_TEXT], doubt[LIVE_TEXT];
	char grid[64], pv[32], load[32], battery[64], setpoint[32], soc[32] = "not known";
	char text[700], doubtful[LIVE_TEXT + 16] = "";
	const json_t *o = w->last;
	double percent = live_real(o, "soc_percent");

	if (isfinite(percent))
		snprintf(soc, sizeof soc, "%.1f %%", percent);
	if (live_doubt(o, "load_w", doubt)[0])
		snprintf(doubtful, sizeof doubtful, " (doubtful: %s)", doubt);
	snprintf(text, sizeof text, "%s  grid %s, PV %s, load %s%s, battery %s, SoC %s, set-point %s: %s, %s: %s\n",
		 live_clock(o, "utc", at), live_directed(live_real(o, "grid_w"), "import", "export", grid),
		 live_power(live_real(o, "pv_w"), pv), live_power(live_real(o, "load_w"), load), doubtful,
		 live_directed(live_real(o, "battery_w"), "discharging", "charging", battery), soc,
		 live_power(live_real(o, "setpoint_w"), setpoint), live_text(o, "mode", mode), live_text(o, "state", state),
		 live_text(o, "clamp_words", clamp));
	return write_out(w, text, e);
}

static int show(struct watch *w, struct err *e)
{
	int rc;

	if (w->env->json) {
		auto_free char *text = json_dumps(w->last, JSON_COMPACT | JSON_PRESERVE_ORDER);
		auto_free char *line = text ? xasprintf("%s\n", text) : NULL;

		rc = line ? write_out(w, line, e) : err_set(e, ERR_BUG, 0, "cannot write JSON");
	} else {
		rc = w->picture ? draw(w, e) : print_line(w, e);
	}
	if (w->left > 0)
		w->left--;
	return rc;
}

static void take_news(struct watch *w, json_t *o)
{
	json_decref(w->last);
	w->last = o;
	w->last_boot_us = now_read().boot_us;
	w->notice = NULL;
	out_spark_add(&w->grid, w->last_boot_us, live_real(o, "grid_w"));
	out_spark_add(&w->battery, w->last_boot_us, live_real(o, "battery_w"));
	out_spark_add(&w->soc, w->last_boot_us, live_real(o, "soc_percent"));
}

static int connect_to(struct watch *w, struct err *e)
{
	json_t *now = NULL;

	ctl_client_free(w->client);
	w->client = NULL;
	if (cmd_connect_daemon(w->env, &w->client, e) ||
	    ctl_call(w->client, "subscribe", json_pack("{s:s}", "topic", "live"), ASK_MS, NULL, e) ||
	    ctl_call(w->client, "control.status", NULL, ASK_MS, &now, e)) {
		ctl_client_free(w->client);
		w->client = NULL;
		return -1;
	}
	take_news(w, now);
	return show(w, e);
}

/* Without a daemon a picture waits for it; a stream ends. */
static int wait_for_daemon(struct watch *w, struct err *e)
{
	struct timespec tick = { .tv_sec = TICK_MS / 1000 };

	if (!w->picture || e->kind != ERR_UNREACHABLE)
		return -1;
	w->notice = " psecd does not answer; waiting for it, Ctrl-C ends";
	if (draw(w, e))
		return -1;
	nanosleep(&tick, NULL);
	if (*w->env->interrupted || !connect_to(w, e))
		return 0;
	return e->kind == ERR_UNREACHABLE ? 0 : -1;
}

static int follow(struct watch *w, struct err *e)
{
	while (w->left && !*w->env->interrupted) {
		const char *topic = NULL;
		json_t *o = NULL;
		int rc;

		if (!w->client) {
			err_set(e, ERR_UNREACHABLE, 0, "psecd has gone");
			if (wait_for_daemon(w, e))
				return -1;
			continue;
		}
		rc = ctl_next(w->client, TICK_MS, &topic, &o, e);
		if (rc > 0 && str_eq(topic, "live")) {
			take_news(w, o);
			rc = show(w, e);
			if (rc)
				return -1;
			continue;
		}
		json_decref(o);
		if (rc < 0 && e->kind == ERR_INTERRUPTED)
			continue; /* another signal may have been it: the flag decides */
		if (rc < 0 && e->kind == ERR_UNREACHABLE && w->picture) {
			ctl_client_free(w->client);
			w->client = NULL;
		} else if (rc < 0) {
			return -1;
		} else if (rc == 0 && w->picture && draw(w, e)) {
			return -1;
		}
	}
	return 0;
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct watch w = { .env = env, .left = o->count ? o->count : -1 };
	int rc;

	(void)argc, (void)argv;
	w.picture = !env->json && isatty(fileno(env->out));
	if (w.picture)
		fputs("\033[?1049h\033[?25l\033[2J", env->out); /* the other screen, no cursor */
	rc = connect_to(&w, e);
	if (!rc)
		rc = follow(&w, e);
	if (w.picture) {
		fputs("\033[?25h\033[?1049l", env->out);
		fflush(env->out);
	}
	ctl_client_free(w.client);
	json_decref(w.last);
	return rc;
}

const struct cmd cmd_control_watch = {
	.name = "watch",
	.summary = "the flows of the site, live, until Ctrl-C",
	.more = "On a terminal of 80×24 or more a picture: flows, state of charge, the last minute, set-point and "
		"the rule that made it, devices, events. Elsewhere a line a change, at most two a second; with --json "
		"each is one JSON object on a line.",
	.example = "psec control watch\npsec control watch --json --count 10",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.flags = CMD_JSON,
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.run = run,
};
