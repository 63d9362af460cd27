/* Events: what may happen, as YAML and in words. One reader for scenarios and for `psec sim event`. */
#include <math.h>
#include <string.h>

#include "conf/conf.h"
#include "inside.h"

#define USUAL_V 231.5
#define USUAL_HZ 50.0
enum { DAY_MS = 24 * 3600 * 1000 };

/* ---- in words ---- */

static char *span(int64_t us, char to[32])
{
	int64_t s = us / US_PER_S;

	if (us % US_PER_S)
		snprintf(to, 32, "%lldms", (long long)(us / US_PER_MS));
	else if (s % 3600 == 0)
		snprintf(to, 32, "%lldh", (long long)(s / 3600));
	else if (s % 60 == 0)
		snprintf(to, 32, "%lldmin", (long long)(s / 60));
	else
		snprintf(to, 32, "%llds", (long long)s);
	return to;
}

static void what(const struct sim_event *e, char to[SIM_EVENT_LEN])
{
	char t[32];

	switch (e->kind) {
	case SIM_EVENT_FAULT:
		snprintf(to, SIM_EVENT_LEN, e->fault ? "%s: %s" : "%s: no fault", e->device, sim_fault_name(e->fault));
		break;
	case SIM_EVENT_LOAD:
		snprintf(to, SIM_EVENT_LEN, e->value > 0 ? "%.0f W more load" : "no more load", e->value);
		break;
	case SIM_EVENT_CLOUD:
		snprintf(to, SIM_EVENT_LEN, e->value > 0 ? "a cloud takes %.0f %%" : "clear sky", e->value);
		break;
	case SIM_EVENT_GRID:
		snprintf(to, SIM_EVENT_LEN, "grid at %.1f V, %.2f Hz", USUAL_V + e->value, USUAL_HZ + e->value2);
		break;
	case SIM_EVENT_BLACKOUT:
		snprintf(to, SIM_EVENT_LEN, "blackout of %s", span(e->for_us, t));
		break;
	case SIM_EVENT_GENSET:
		snprintf(to, SIM_EVENT_LEN, e->value < 0 ? "genset stops" : e->value > 0 ? "genset starts for %.0f W" :
			 "genset starts", e->value);
		break;
	case SIM_EVENT_SWAP:
		snprintf(to, SIM_EVENT_LEN, "%s is another one", e->device);
		break;
	case SIM_EVENT_MASTER:
		snprintf(to, SIM_EVENT_LEN, "a second master for %s", span(e->for_us, t));
		break;
	case SIM_EVENT_SAY:
		*to = '\0';
	}
}

char *sim_event_words(const struct sim_event *e, char to[SIM_EVENT_LEN])
{
	char t[32];
	size_t len;

	what(e, to);
	len = strlen(to);
	if (e->for_us && e->kind != SIM_EVENT_BLACKOUT && e->kind != SIM_EVENT_MASTER)
		len += (size_t)snprintf(to + len, SIM_EVENT_LEN - len, ", for %s", span(e->for_us, t));
	if (*e->say && len < SIM_EVENT_LEN)
		snprintf(to + len, SIM_EVENT_LEN - len, "%s%s", len ? ": " : "", e->say);
	return to;
}

/* ---- from YAML ---- */

static const struct {
	const char *key;
	enum sim_event_kind kind;
} kinds[] = {
	{ "fault", SIM_EVENT_FAULT }, { "load", SIM_EVENT_LOAD }, { "cloud", SIM_EVENT_CLOUD },
	{ "grid", SIM_EVENT_GRID },
	{ "blackout", SIM_EVENT_BLACKOUT }, { "genset", SIM_EVENT_GENSET }, { "swap", SIM_EVENT_SWAP },
	{ "second-master", SIM_EVENT_MASTER },
};
static const char *const timed_keys[] = { "at", "for", "say", "fault", "load", "cloud", "grid", "blackout", "genset",
					  "swap",
					  "second-master", NULL };

/* "00:05:30", with or without a fraction, or a duration. */
static bool parse_at(const char *text, int64_t *us)
{
	int h, m, used = 0;
	double s;
	int64_t ms;

	if (!strchr(text, ':')) {
		if (!parse_duration(text, 1000, 0, 7 * (int64_t)DAY_MS, &ms))
			return false;
		*us = ms * US_PER_MS;
		return true;
	}
	if (strspn(text, "0123456789:.") != strlen(text) || sscanf(text, "%3d:%2d:%n", &h, &m, &used) != 2 || !used ||
	    !parse_real(text + used, 0, 59.999, &s) || h > 168 || m > 59)
		return false;
	*us = (h * 60 + m) * 60 * US_PER_S + llround(s * 1000) * US_PER_MS;
	return true;
}

/* What is wrong is told to sink, by all of these. */

static void read_span(const struct conf *c, const struct conf_node *map, const char *key, int64_t *us,
		      struct diag_sink *sink)
{
	int64_t ms = *us / US_PER_MS;

	if (conf_read_duration(c, map, key, false, 100, DAY_MS, &ms, sink))
		*us = ms * US_PER_MS;
}

static void read_device(const struct conf *c, const struct conf_node *map, const char *key, struct sim_event *e,
			struct diag_sink *sink)
{
	const char *name = "";

	if (conf_read_text(c, map, key, true, sizeof e->device - 1, &name, sink))
		str_copy(e->device, sizeof e->device, name);
}

static bool a_map(const struct conf *c, const struct conf_node *n, const char *keys, struct diag_sink *sink)
{
	if (n->kind == CONF_MAP)
		return true;
	conf_report(c, n, sink, "must be a map of %s", keys);
	return false;
}

static void read_fault(const struct conf *c, const struct conf_node *n, struct sim_event *e, struct diag_sink *sink)
{
	static const char *const keys[] = { "device", "kind", "for", NULL };
	const char *names[SIM_FAULT_COUNT + 1] = { NULL };
	int fault = 0;

	if (!a_map(c, n, "device, kind and for", sink))
		return;
	conf_refuse_unknown(c, n, keys, sink);
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		names[f] = sim_fault_name((enum sim_fault)f);
	read_device(c, n, "device", e, sink);
	if (!conf_get(n, "kind"))
		conf_report(c, n, sink, "needs a kind, which `psec sim fault` lists");
	conf_read_choice(c, n, "kind", false, names, &fault, sink);
	e->fault = (enum sim_fault)fault;
	read_span(c, n, "for", &e->for_us, sink);
}

static void read_grid(const struct conf *c, const struct conf_node *n, struct sim_event *e, struct diag_sink *sink)
{
	static const char *const keys[] = { "voltage_v", "frequency_hz", "for", NULL };
	double v = USUAL_V, hz = USUAL_HZ;

	if (!a_map(c, n, "voltage_v, frequency_hz and for", sink))
		return;
	conf_refuse_unknown(c, n, keys, sink);
	conf_read_real(c, n, "voltage_v", false, 100, 300, &v, sink);
	conf_read_real(c, n, "frequency_hz", false, 45, 55, &hz, sink);
	e->value = v - USUAL_V;
	e->value2 = hz - USUAL_HZ;
	read_span(c, n, "for", &e->for_us, sink);
}

static void read_genset(const struct conf *c, const struct conf_node *n, struct sim_event *e, struct diag_sink *sink)
{
	bool word = n->kind == CONF_SCALAR;

	if (word && str_eq(n->text, "stop"))
		e->value = -1;
	else if (!word || (!str_eq(n->text, "start") && !parse_real(n->text, 1, 1e6, &e->value)))
		conf_report(c, n, sink, "is '%.40s', must be start, stop, or the power in W that it starts for",
			    word ? n->text : "no word");
}

static void read_kind(const struct conf *c, const struct conf_node *map, size_t kind, struct sim_event *e,
		      struct diag_sink *sink)
{
	const char *key = kinds[kind].key;
	const struct conf_node *n = conf_get(map, key);

	e->kind = kinds[kind].kind;
	switch (e->kind) {
	case SIM_EVENT_FAULT:
		read_fault(c, n, e, sink);
		break;
	case SIM_EVENT_LOAD:
		conf_read_real(c, map, key, true, 0, 1e6, &e->value, sink);
		break;
	case SIM_EVENT_CLOUD:
		conf_read_real(c, map, key, true, 0, 100, &e->value, sink);
		break;
	case SIM_EVENT_GRID:
		read_grid(c, n, e, sink);
		break;
	case SIM_EVENT_BLACKOUT: case SIM_EVENT_MASTER:
		read_span(c, map, key, &e->for_us, sink);
		break;
	case SIM_EVENT_GENSET:
		read_genset(c, n, e, sink);
		break;
	default:
		read_device(c, map, key, e, sink);
	}
}

static void read_for(const struct conf *c, const struct conf_node *map, struct sim_event *e, struct diag_sink *sink)
{
	const struct conf_node *n = conf_get(map, "for");

	if (n && (e->for_us || e->kind == SIM_EVENT_SWAP || e->kind == SIM_EVENT_SAY))
		conf_report(c, n, sink, e->for_us ? "is said twice" : "does not go with this event");
	else
		read_span(c, map, "for", &e->for_us, sink);
}

static void read_at(const struct conf *c, const struct conf_node *map, struct sim_event *e, struct diag_sink *sink)
{
	const struct conf_node *n = conf_get(map, "at");

	if (!n)
		conf_report(c, map, sink, "needs a time, at: 00:05:30");
	else if (n->kind != CONF_SCALAR || !parse_at(n->text, &e->at_us))
		conf_report(c, n, sink,
			    "is '%.40s', must be a time since the start like 00:05:30, 90s or 5min, at most 7 days",
			    n->kind == CONF_SCALAR ? n->text : "no time");
}

bool event_read(const struct conf *c, const struct conf_node *map, bool timed, struct sim_event *out,
		struct diag_sink *sink)
{
	const char *say = "";
	size_t found = COUNT_OF(kinds);
	int before = sink->count, count = 0;

	*out = (struct sim_event){ .kind = SIM_EVENT_SAY };
	if (!a_map(c, map, "one event, like load: 2000", sink))
		return false;
	conf_refuse_unknown(c, map, timed ? timed_keys : timed_keys + 1, sink);
	for (size_t k = 0; k < COUNT_OF(kinds); k++)
		if (conf_get(map, kinds[k].key)) {
			found = k;
			count++;
		}
	if (count > 1)
		conf_report(c, map, sink, "is several events; give each an entry of its own");
	else if (count == 0 && !conf_get(map, "say") && sink->count == before)
		conf_report(c, map, sink, "says nothing that happens");
	else if (count == 1)
		read_kind(c, map, found, out, sink);
	if (timed)
		read_at(c, map, out, sink);
	read_for(c, map, out, sink);
	if (conf_read_text(c, map, "say", false, sizeof out->say - 1, &say, sink))
		str_copy(out->say, sizeof out->say, say);
	return sink->count == before;
}

static void keep_first(void *arg, const struct diag *d)
{
	struct err *e = arg;

	if (!e->kind)
		err_set(e, ERR_INPUT, 0, "%s%s%s", d->path, *d->path ? " " : "", d->text);
}

int sim_event_parse(const char *text, struct sim_event *out, struct err *e)
{
	struct diag_sink sink = { .fn = keep_first, .arg = e };
	auto_conf struct conf *c = NULL;

	e->kind = ERR_NONE;
	c = conf_parse(text, strlen(text), "event", &sink);
	if (c && event_read(c, conf_root(c), false, out, &sink))
		return 0;
	return e->kind ? -1 : err_set(e, ERR_INPUT, 0, "'%.60s' is no event", text);
}
