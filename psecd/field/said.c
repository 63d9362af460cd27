/* said: the law's changes as events, each once. A clamp that flickers is not a story, so classes of clamps are
 * told, and slowly. */
#include "field.h"

#include <math.h>
#include <string.h>

enum { CLASS_MS = 10000, START_MS = 5000, AGAIN_MS = 600000, OTHER_MS = 60000 };
enum class { CLASS_FREE, CLASS_SOC, CLASS_SITE, CLASS_RATING, CLASS_BMS };

static enum class class_of(enum control_clamp c)
{
	switch (c) {
	case CONTROL_BY_RESERVE: case CONTROL_BY_SOC_MAX: case CONTROL_BY_SOC_MIN:
		return CLASS_SOC;
	case CONTROL_BY_IMPORT_LIMIT: case CONTROL_BY_EXPORT_LIMIT:
	case CONTROL_BY_CHARGE_LIMIT: case CONTROL_BY_DISCHARGE_LIMIT:
		return CLASS_SITE;
	case CONTROL_BY_CHARGE_RATING: case CONTROL_BY_DISCHARGE_RATING:
		return CLASS_RATING;
	case CONTROL_BY_BMS_CHARGE: case CONTROL_BY_BMS_DISCHARGE:
		return CLASS_BMS;
	default:
		return CLASS_FREE; /* state and mode changes tell the others */
	}
}

/* Nothing was heard yet; that is news only when it stays so. */
static bool just_began(const struct field *f)
{
	return loop_now(f->loop)->boot_us - f->began_boot_us < START_MS * US_PER_MS;
}

static void say_state(struct field *f)
{
	struct law *l = &f->law;
	const struct control_decision *d = &l->decision;
	bool worse = d->state == CONTROL_SAFE || d->state == CONTROL_REFUSED || d->state == CONTROL_HOLD;
	char words[96];

	if (d->lost && just_began(f))
		return;
	if (d->lost & ~l->said_lost)
		tell_event(f, SEVERITY_ALARM, "signal-lost", "", "%s", control_lost_words(d->lost, words));
	/* in mode off nobody looks whether they are */
	else if (l->said_lost & ~d->lost && l->envelope.mode != SITE_MODE_OFF)
		tell_event(f, SEVERITY_INFO, "signal-back", "", "%s%s", d->lost ? "still " : "all signals are there",
			   d->lost ? control_lost_words(d->lost, words) : "");
	if (d->state != l->said_state)
		tell_event(f, worse ? SEVERITY_WARNING : SEVERITY_INFO, "state", "",
			   "control is %s, was %s; set-point %.0f W (%s)", control_state_name(d->state),
			   control_state_name(l->said_state), round(d->setpoint_w) + 0.0,
			   control_clamp_words(d->clamp));
	l->said_lost = d->lost;
	l->said_state = d->state;
}

static void say_guard(struct field *f)
{
	struct law *l = &f->law;
	const struct control_guard *g = &l->decision.guard;

	if (g->level > l->said_guard)
		tell_event(f, SEVERITY_ALARM, "oscillation", "",
			   "the grid swings by %.0f W every %.1f s and no load explains it: "
			   "the law is slowed, step %d of %d",
			   g->swing_w, g->period_s, g->level, CONTROL_GUARD_MOST);
	else if (g->level < l->said_guard && g->level > 0)
		tell_event(f, SEVERITY_INFO, "oscillation", "",
			   "the grid is quiet: the law is slowed less, step %d of %d", g->level, CONTROL_GUARD_MOST);
	else if (g->level < l->said_guard)
		tell_event(f, SEVERITY_INFO, "oscillation", "",
			   "the grid stayed quiet: the law has its full speed again");
	l->said_guard = g->level;
}

void said_decision(struct field *f)
{
	struct law *l = &f->law;
	int64_t now_us = loop_now(f->loop)->boot_us;
	int class = (int)class_of(l->decision.clamp);

	say_state(f);
	say_guard(f);
	if (l->decision.state != CONTROL_RUNNING || class == l->said_class ||
	    now_us - l->class_said_boot_us < CLASS_MS * US_PER_MS)
		return;
	if (l->said_class >= 0 || class != CLASS_FREE)
		tell_event(f, SEVERITY_INFO, "limit", "", "set-point %.0f W: %s", round(l->decision.setpoint_w) + 0.0,
			   class == CLASS_FREE ? "no limit decides any more" : control_clamp_words(l->decision.clamp));
	l->said_class = class;
	l->class_said_boot_us = now_us;
}

/* ---- what would be said several times a second: then at intervals, with how often ---- */

/* true: it is to be said now, and " (and 41 times more)" is in more. */
static bool is_due(struct said *s, const char *text, int64_t now_us, char more[48])
{
	int64_t every_ms = str_eq(s->text, text) ? AGAIN_MS : OTHER_MS;

	if (s->said_boot_us && now_us - s->said_boot_us < every_ms * US_PER_MS) {
		s->more++;
		return false;
	}
	more[0] = '\0';
	if (s->more)
		snprintf(more, 48, " (and %u time%s more)", s->more, s->more > 1 ? "s" : "");
	s->more = 0;
	s->said_boot_us = now_us;
	str_copy(s->text, sizeof(s->text), text);
	return true;
}

/* A battery that comes back is live before all of it is read, what its 100 % are for instance: that is no news. */
void said_refusal(struct field *f, const struct err *e)
{
	struct said *s = &f->law.refused;
	int64_t now_us = loop_now(f->loop)->boot_us;
	char more[48];

	if (!s->since_boot_us)
		s->since_boot_us = now_us;
	if (just_began(f) || now_us - s->since_boot_us < START_MS * US_PER_MS || !is_due(s, e->text, now_us, more))
		return;
	tell_event(f, SEVERITY_WARNING, "set-point", "", "not written: %s%s", e->text, more);
}

void said_accepted(struct field *f)
{
	f->law.refused.since_boot_us = 0;
	f->law.refused.text[0] = '\0';
}

void said_not_shown(struct field *f, int device, double setpoint_w, const char *why)
{
	char more[48];

	/* The power differs with every sample of the meter; the reason tells one story from another. */
	if (is_due(&f->law.not_shown, why, loop_now(f->loop)->boot_us, more))
		tell_event(f, SEVERITY_WARNING, "set-point", f->site->devices[device].name, "%.0f W is not shown: %s%s",
			   setpoint_w, why, more);
}

void said_shown(struct field *f)
{
	f->law.not_shown.text[0] = '\0';
}

/* Once a line: a second master does not go away by itself, and its answers are nobody's values. */
void said_line(struct field *f, int device)
{
	const struct bus_address *a = &f->site->devices[device].address;
	struct poll_line line;
	char words[96];

	if (a->kind == BUS_TCP || f->said_master[device])
		return;
	poll_line_stats(f->poll, device, &line);
	if (!line.counters.second_master.seen)
		return;
	for (size_t i = 0; i < f->site->device_count; i++)
		if (bus_address_same_link(&f->site->devices[i].address, a))
			f->said_master[i] = true;
	tell_event(f, SEVERITY_WARNING, "second-master", f->site->devices[device].name,
		   "%s; only one may ask on a line", bus_second_master_words(&line.counters.second_master, words));
}
