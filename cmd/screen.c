#include "screen.h"

#include <math.h>
#include <string.h>

#include "live.h"

enum { BAR = 24, LOOK_ROWS = 24, TEXT_MAX = 400, WIRE = 11 };

enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED };
static const char *const codes[] = { "\033[0m", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m" };

struct glyphs { const char *flat, *down, *top, *middle, *right, *left, *full, *empty; };
static const struct glyphs unicode = { "─", "│", "┬", "┴", "▶", "◀", "█", "░" };
static const struct glyphs ascii = { "-", "|", "+", "+", ">", "<", "#", "." };

struct drawing {
	const struct screen *s;
	const struct glyphs *g;
	struct buf *b;
	int row;
};

/* One line, cut to the terminal; colour for the whole of it. Lines beyond the terminal's rows are not drawn. */
static void put(struct drawing *d, enum colour c, const char *text)
{
	size_t columns = d->s->columns > 1 ? (size_t)d->s->columns : 1, len = strcspn(text, "\n");
	bool cut = str_columns(text, len) > columns;

	if (d->row >= d->s->rows)
		return;
	if (d->row++)
		buf_adds(d->b, "\r\n");
	if (d->s->colour && c != PLAIN)
		buf_adds(d->b, codes[c]);
	buf_add(d->b, text, cut ? str_fit(text, len, columns - 1) : len);
	if (cut)
		buf_adds(d->b, d->s->utf8 ? "…" : ">");
	if (d->s->colour && c != PLAIN)
		buf_adds(d->b, codes[PLAIN]);
	buf_adds(d->b, "\033[K");
}

static void putf(struct drawing *d, enum colour c, const char *fmt, ...) printf_like(3, 4);
static void putf(struct drawing *d, enum colour c, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	put(d, c, text);
}

/* Text to a width, on the left or the right of it. */
static void pad(struct buf *b, const char *text, size_t width, bool right)
{
	size_t n = str_columns(text, strlen(text)), gap = n < width ? width - n : 0;

	buf_addf(b, "%*s%s%*s", right ? (int)gap : 0, "", text, right ? 0 : (int)gap, "");
}

/* ---- flows ---- */

/* A wire with an arrow in its middle: +1 to the right, -1 to the left, 0 none. */
static void wire(struct buf *b, const struct glyphs *g, int direction)
{
	for (int i = 0; i < WIRE; i++)
		buf_adds(b, i == WIRE / 2 && direction ? direction > 0 ? g->right : g->left : g->flat);
}

/* Below this a power is a meter's noise, and an arrow would flicker. */
static int direction_of(double w)
{
	return !isfinite(w) || fabs(w) < 10 ? 0 : w > 0 ? 1 : -1;
}

static const char *direction_word(double w, const char *positive, const char *negative)
{
	int direction = direction_of(w);

	return direction > 0 ? positive : direction < 0 ? negative : "";
}

/* directed: the sign is said in words. */
struct end { const char *name; double w; const char *word; bool directed; };

static char *end_power(const struct end *e, char to[32])
{
	return live_power(e->directed ? fabs(e->w) : e->w, to);
}

static void flow_row(struct drawing *d, const struct end *left, int into, const struct end *right, int out,
		     const char *cross)
{
	auto_buf struct buf b = BUF_INIT;
	char power[32];

	buf_adds(&b, "   ");
	pad(&b, left->name, 5, false);
	pad(&b, end_power(left, power), 10, true);
	buf_adds(&b, " ");
	wire(&b, d->g, into);
	buf_adds(&b, cross);
	wire(&b, d->g, out);
	buf_adds(&b, " ");
	pad(&b, right->name, 8, false);
	pad(&b, end_power(right, power), 10, true);
	buf_addf(&b, "  %s", right->word);
	put(d, PLAIN, b.data);
}

static void flows(struct drawing *d, const json_t *o)
{
	double grid_w = live_real(o, "grid_w"), pv_w = live_real(o, "pv_w"), battery_w = live_real(o, "battery_w");
	char doubt[LIVE_TEXT];
	bool doubtful = live_doubt(o, "load_w", doubt)[0];
	const struct end grid = { "Grid", grid_w, "", true }, pv = { "PV", pv_w, "", false };
	const struct end load = { "Load", live_real(o, "load_w"), doubtful ? "doubtful" : "", false };
	const struct end battery = { "Battery", battery_w, direction_word(battery_w, "discharging", "charging"), true };
	auto_buf struct buf b = BUF_INIT;

	flow_row(d, &grid, direction_of(grid_w), &load, direction_of(load.w), d->g->top);
	/* The name of the direction under the number, the bus between both. */
	buf_adds(&b, "   ");
	pad(&b, direction_word(grid_w, "import", "export"), 15, true);
	buf_addf(&b, " %*s%s", WIRE, "", d->g->down);
	put(d, DIM, b.data);
	flow_row(d, &pv, direction_of(pv_w), &battery, -direction_of(battery_w), d->g->middle);
	if (doubtful)
		putf(d, YELLOW, "   Doubtful: the load is %s", doubt);
	else
		put(d, PLAIN, "");
}

static void charge(struct drawing *d, const json_t *o)
{
	double soc = live_real(o, "soc_percent");
	auto_buf struct buf b = BUF_INIT;

	buf_adds(&b, "   SoC   ");
	for (int i = 0; i < BAR; i++)
		buf_adds(&b, isfinite(soc) && soc >= 100.0 * (i + 0.5) / BAR ? d->g->full : d->g->empty);
	if (isfinite(soc))
		buf_addf(&b, "  %.1f %%", soc);
	else
		buf_adds(&b, "  not known");
	put(d, soc < 10 ? YELLOW : PLAIN, b.data);
}

/* A minute shows what a number cannot: whether it holds, swings or creeps. */
static void minute(struct drawing *d)
{
	enum { NOISE_W = 200 /* the law's own deadband and a meter's noise lie flat */, NOISE_PERCENT = 1 };
	auto_buf struct buf b = BUF_INIT;

	buf_adds(&b, "   Minute  Grid ");
	out_spark_draw(d->s->grid, d->s->boot_us, NOISE_W, d->s->utf8, &b);
	buf_adds(&b, "  Battery ");
	out_spark_draw(d->s->battery, d->s->boot_us, NOISE_W, d->s->utf8, &b);
	buf_adds(&b, "  SoC ");
	out_spark_draw(d->s->soc, d->s->boot_us, NOISE_PERCENT, d->s->utf8, &b);
	put(d, PLAIN, b.data);
}

/* ---- words ---- */

static enum colour colour_of_state(const char *state)
{
	if (str_eq(state, "running") || str_eq(state, "idle"))
		return GREEN;
	return str_eq(state, "safe") || str_eq(state, "refused") || str_eq(state, "field-gone") ? RED : YELLOW;
}

static void decision(struct drawing *d, const json_t *o)
{
	bool check_runs = json_is_true(json_object_get(o, "check_runs"));
	bool checked = json_is_object(json_object_get(o, "checked"));
	char words[LIVE_TEXT], setpoint[64], wish[64], shown[64];

	live_directed(live_real(o, "setpoint_w"), "discharge", "charge", setpoint);
	putf(d, BOLD, "   Set-point   %-22s wanted %s, shown %s", setpoint, live_power(live_real(o, "wish_w"), wish),
	     live_power(live_real(o, "shown_w"), shown));
	live_text(o, "clamp_words", words);
	putf(d, PLAIN, "   Why         %s", check_runs ? "the sign check has the battery for some seconds" : words);
	live_text(o, "lost_words", words);
	putf(d, words[0] ? RED : PLAIN, "   Missing     %s", words[0] ? words : "nothing");
	putf(d, checked ? PLAIN : YELLOW, "   Sign check  %s", live_check_words(o, words));
	putf(d, PLAIN, "   Reaction    %s", live_reaction(o, words)[0] ? words : "-");
}

static void devices(struct drawing *d, const json_t *o, int most)
{
	const json_t *list = json_object_get(o, "devices");
	size_t count = json_array_size(list);
	int shown = 0, live = 0;

	/* Those with trouble first, then the others while there is room. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < count; i++) {
			const json_t *v = json_array_get(list, i);
			char name[LIVE_TEXT], state[LIVE_TEXT], why[LIVE_TEXT], rate[32] = "";
			bool good = str_eq(live_text(v, "state", state), "live");

			if (good != (pass == 1))
				continue;
			live += good;
			if (shown >= most)
				continue;
			if (isfinite(live_real(v, "rate_hz")))
				snprintf(rate, sizeof rate, "%.1f Hz", live_real(v, "rate_hz"));
			live_text(v, "name", name);
			live_text(v, "why", why);
			putf(d, good ? PLAIN : RED, "   %-16.16s %-8.8s %8s   %s", name, state, good ? rate : "",
			     good ? "" : why);
			shown++;
		}
	if ((int)count > shown)
		putf(d, DIM, "   … %d more, %d of %zu live", (int)count - shown, live, count);
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

static bool line_has(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	return at && at < next_line(line);
}

static void events(struct drawing *d, const json_t *o, int rows)
{
	auto_buf struct buf b = BUF_INIT;
	const char *line, *first;
	int over = 0;

	live_events(&b, o, 3);
	first = b.data ? b.data : "";
	/* The newest are wanted, and the last row may be taken. */
	for (line = first; *line; line = next_line(line))
		over++;
	over -= d->row < rows ? rows - d->row : 0;
	for (; over > 0; over--)
		first = next_line(first);
	for (line = first; *line; line = next_line(line))
		put(d, line_has(line, "alarm") ? RED : PLAIN, line);
}

static void head(struct drawing *d, const json_t *o)
{
	const json_t *site = json_object_get(o, "site");
	char id[LIVE_TEXT], tier[LIVE_TEXT], mode[LIVE_TEXT], state[LIVE_TEXT], at[LIVE_TEXT], left[TEXT_MAX];
	int gap;

	snprintf(left, sizeof left, " %.31s (%.8s)   %.20s, %.20s", live_text(site, "id", id),
		 live_text(site, "tier", tier), live_text(o, "mode", mode), live_text(o, "state", state));
	gap = d->s->columns - (int)str_columns(left, strlen(left)) - (int)strlen(" hh:mm:ss UTC");
	putf(d, BOLD, "%s%*s%.8s UTC", left, gap > 0 ? gap : 1, "", live_clock(o, "utc", at));
	putf(d, colour_of_state(state), " %s", live_state_words(state));
}

/* What must not be missed, or "": the picture is old, or something is wrong with psecd. */
static const char *warning(const struct screen *s, const json_t *o, char to[TEXT_MAX])
{
	char text[LIVE_TEXT];

	to[0] = '\0';
	if (s->silent_ms >= 2000)
		snprintf(to, TEXT_MAX, " no news for %lld s%s%s", (long long)(s->silent_ms / 1000), s->notice ? ":" : "",
			 s->notice ? s->notice : "");
	else if (s->notice)
		str_copy(to, TEXT_MAX, s->notice);
	else if (live_text(o, "store_fault", text)[0])
		snprintf(to, TEXT_MAX, " nothing is recorded: %s", text);
	else if (live_text(o, "protection", text)[0])
		snprintf(to, TEXT_MAX, " missing protection: %s", text);
	return to;
}

void screen_draw(struct buf *b, const struct screen *s, const json_t *o)
{
	struct drawing d = { .s = s, .g = s->utf8 ? &unicode : &ascii, .b = b };
	char text[TEXT_MAX];
	bool warns = warning(s, o, text)[0];

	buf_adds(b, "\033[H");
	head(&d, o);
	put(&d, PLAIN, "");
	flows(&d, o);
	charge(&d, o);
	minute(&d);
	put(&d, PLAIN, "");
	decision(&d, o);
	put(&d, PLAIN, "");
	devices(&d, o, s->rows > LOOK_ROWS ? 3 + s->rows - LOOK_ROWS : 3);
	put(&d, PLAIN, "");
	events(&d, o, s->rows - warns);
	if (warns) {
		/* On a terminal of few rows it takes the place of the last one. */
		if (d.row >= s->rows) {
			d.row = s->rows - 1;
			buf_addf(b, "\033[%d;1H", d.row);
		}
		put(&d, s->silent_ms >= 2000 || s->notice ? RED : YELLOW, text);
	}
	buf_adds(b, "\033[J");
}
