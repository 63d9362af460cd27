#include "live.h"

#include <math.h>
#include <string.h>

#include "frame.h"
#include "out/out.h"

double live_real(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

char *live_text(const json_t *o, const char *key, char to[LIVE_TEXT])
{
	const char *s = json_string_value(json_object_get(o, key));

	to[0] = '\0';
	if (s)
		str_printable(to, LIVE_TEXT, s, strlen(s));
	return to;
}

char *live_power(double w, char to[32])
{
	if (!isfinite(w)) {
		str_copy(to, 32, "-");
		return to;
	}
	return out_quantity(fabs(w) < 0.5 ? 0 : w, "W", fabs(w) < 1000 ? 0 : 2, to);
}

char *live_directed(double w, const char *positive, const char *negative, char to[64])
{
	char power[32];
	const char *word = !isfinite(w) || fabs(w) < 0.5 ? "" : w > 0 ? positive : negative;

	snprintf(to, 64, "%s%s%s", live_power(fabs(w), power), word[0] ? " " : "", word);
	return to;
}

char *live_doubt(const json_t *o, const char *key, char to[LIVE_TEXT])
{
	return live_text(json_object_get(o, "doubts"), key, to);
}

bool live_has_role(const json_t *device, enum site_role role)
{
	const json_t *roles = json_object_get(device, "roles"), *name;
	size_t i;

	json_array_foreach(roles, i, name)
		if (json_is_string(name) && str_eq(json_string_value(name), site_role_name(role)))
			return true;
	return false;
}

char *live_clock(const json_t *o, const char *key, char to[LIVE_TEXT])
{
	live_text(o, key, to);
	if (strlen(to) >= 19 && to[10] == 'T') {
		memmove(to, to + 11, 8);
		to[8] = '\0';
	}
	return to;
}

const char *live_state_words(const char *state)
{
	static const struct { const char *state, *words; } all[] = {
		{ "idle", "nothing is written in this mode" },
		{ "running", "every sample of the meter is followed" },
		{ "hold", "a signal is late: the last set-point stays" },
		{ "safe", "a signal is lost: at the safe set-point, or on the way to it" },
		{ "returning", "the signals are back: after three good samples a ramp leads back" },
		{ "refused", "no sign check stands: run `psec control check`" },
		{ "starting", "psecd has just begun: its devices are being opened" },
		{ "waiting", "the devices have not been heard yet" },
		{ "field-gone", "the process that holds the devices is started again" },
	};

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (str_eq(all[i].state, state))
			return all[i].words;
	return "";
}

char *live_check_words(const json_t *o, char to[LIVE_TEXT])
{
	const json_t *c = json_object_get(o, "checked");
	char result[LIVE_TEXT], at[LIVE_TEXT], before[32], after[32];

	if (!json_is_object(c)) {
		str_copy(to, LIVE_TEXT, "none stands; automatic modes wait for `psec control check`");
		return to;
	}
	live_text(c, "at_utc", at);
	if (strlen(at) >= 16 && at[10] == 'T') {
		at[10] = ' ';
		at[16] = '\0';
	}
	snprintf(to, LIVE_TEXT, "%.40s %.20s UTC, the meter from %s to %s", live_text(c, "result", result), at,
		 live_power(live_real(c, "before_w"), before), live_power(live_real(c, "after_w"), after));
	return to;
}

char *live_reaction(const json_t *o, char to[LIVE_TEXT])
{
	const json_t *many = json_object_get(o, "sample_to_wire");
	double last_us = live_real(o, "sample_to_wire_us"), p50_us = live_real(many, "p50_us"),
	       p999_us = live_real(many, "p999_us");

	to[0] = '\0';
	if (isfinite(p50_us) && isfinite(p999_us))
		snprintf(to, LIVE_TEXT, "%.2f ms (median of %.0f; 99.9 %% below %.2f ms)", p50_us / 1000,
			 live_real(many, "count"), p999_us / 1000);
	else if (isfinite(last_us))
		snprintf(to, LIVE_TEXT, "%.2f ms", last_us / 1000);
	return to;
}

/* ---- lines ---- */

static void line(struct buf *b, const char *label, const char *fmt, ...) printf_like(3, 4);
static void line(struct buf *b, const char *label, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_addf(b, "%-11s ", label);
	cmd_wrap(b, text[0] ? text : "-", 12, 12);
}

/* "dead time 310 ms (profile 300)": what was learned beside where it began. */
static void learned(struct buf *b, const json_t *o)
{
	const json_t *model = json_object_get(o, "model"), *is = json_object_get(model, "learned");
	const json_t *was = json_object_get(model, "profile");
	double steps = live_real(model, "steps"), ramp = live_real(is, "ramp_w_per_s");
	char power[32], profile[32], slope[96] = "";

	if (!json_is_object(model))
		return;
	if (isfinite(ramp))
		snprintf(slope, sizeof slope, ", ramp %s/s (%s/s)", live_power(ramp, power),
			 live_power(live_real(was, "ramp_w_per_s"), profile));
	if (steps > 0)
		line(b, "Inverter",
		     "dead time %.0f ms (profile %.0f ms), lag %.0f ms (%.0f ms)%s; from %.0f step%s, %.0f %% sure",
		     live_real(is, "dead_time_ms"), live_real(was, "dead_time_ms"), live_real(is, "lag_ms"),
		     live_real(was, "lag_ms"), slope, steps, steps == 1 ? "" : "s",
		     live_real(model, "confidence_percent"));
	else
		line(b, "Inverter", "dead time %.0f ms, lag %.0f ms%s, as the profile says; no step was seen yet",
		     live_real(is, "dead_time_ms"), live_real(is, "lag_ms"), slope);
}

static void guarded(struct buf *b, const json_t *o)
{
	const json_t *guard = json_object_get(o, "guard");
	char at[LIVE_TEXT], power[32];

	if (!json_is_object(guard))
		return;
	if (live_real(guard, "level") > 0)
		line(b, "Guard", "acting since %s: the grid swung by %s every %.1f s and no load explains it; the "
				 "law is slowed, step "
		     "%.0f", live_clock(guard, "since_utc", at), live_power(live_real(guard, "swing_w"), power),
		     live_real(guard, "period_s"), live_real(guard, "level"));
	else
		line(b, "Guard", "quiet: no oscillation");
}

static void reasons(struct buf *b, const json_t *o)
{
	const json_t *envelope = json_object_get(o, "envelope");
	char words[LIVE_TEXT], clamp[LIVE_TEXT], state[LIVE_TEXT], one[32], two[32];
	double expires_ms = live_real(envelope, "expires_in_ms");

	buf_adds(b, "\n");
	line(b, "State", "%s", live_state_words(live_text(o, "state", state)));
	line(b, "Wanted", "%s", live_power(live_real(o, "wish_w"), one));
	if (live_text(o, "clamp_words", words)[0])
		line(b, "Decided by", "%s (%s)", words, live_text(o, "clamp", clamp));
	line(b, "Set-point", "%s", live_power(live_real(o, "setpoint_w"), one));
	line(b, "Read back", "%s", live_power(live_real(o, "shown_w"), one));
	if (json_is_object(envelope))
		line(b, "Envelope", "grid target %s, manual %s%s", live_power(live_real(envelope, "target_w"), one),
		     live_power(live_real(envelope, "manual_w"), two), expires_ms > 0 ? "" : "; expired");
	if (live_reaction(o, words)[0])
		line(b, "Reaction", "%s from the meter's sample to the set-point on the wire", words);
	learned(b, o);
	guarded(b, o);
}

/* A value that is not to be trusted says so, and why. */
static void valued(struct buf *b, const json_t *o, const char *label, const char *key, const char *value)
{
	char doubt[LIVE_TEXT];

	if (live_doubt(o, key, doubt)[0])
		line(b, label, "%s (doubtful: %s)", value, doubt);
	else
		line(b, label, "%s", value);
}

void live_summary(struct buf *b, const json_t *o, bool why)
{
	const json_t *site = json_object_get(o, "site");
	char id[LIVE_TEXT], tier[LIVE_TEXT], mode[LIVE_TEXT], state[LIVE_TEXT], lost[LIVE_TEXT], clamp[LIVE_TEXT],
		power[64];
	double soc = live_real(o, "soc_percent"), age_ms = live_real(o, "age_ms");

	line(b, "Site", "%s (%s)", live_text(site, "id", id), live_text(site, "tier", tier));
	line(b, "Mode", "%s, %s", live_text(o, "mode", mode), live_text(o, "state", state));
	live_directed(live_real(o, "grid_w"), "import", "export", power);
	if (age_ms >= 2000 && isfinite(live_real(o, "grid_w")))
		line(b, "Grid", "%s, %.0f s old", power, age_ms / 1000);
	else
		valued(b, o, "Grid", "grid_w", power);
	valued(b, o, "PV", "pv_w", live_power(live_real(o, "pv_w"), power));
	valued(b, o, "Load", "load_w", live_power(live_real(o, "load_w"), power));
	live_directed(live_real(o, "battery_w"), "discharging", "charging", power);
	if (isfinite(soc))
		snprintf(power + strlen(power), sizeof power - strlen(power), ", %.1f %% full", soc);
	valued(b, o, "Battery", "battery_w", power);
	live_directed(live_real(o, "setpoint_w"), "discharge", "charge", power);
	if (json_is_true(json_object_get(o, "check_runs")))
		line(b, "Set-point", "the sign check has it for some seconds");
	else if (live_text(o, "clamp_words", clamp)[0])
		line(b, "Set-point", "%s: %s", power, clamp);
	else
		line(b, "Set-point", "%s", power);
	if (live_text(o, "lost_words", lost)[0])
		line(b, "Missing", "%s", lost);
	line(b, "Sign check", "%s", live_check_words(o, clamp));
	if (why)
		reasons(b, o);
	if (live_text(o, "store_fault", lost)[0])
		line(b, "Recording", "nothing is recorded: %s", lost);
	if (live_text(o, "protection", lost)[0])
		line(b, "Protection", "missing: %s", lost);
}

void live_warn_unkept(const struct cmd_env *env, const json_t *wish)
{
	if (json_is_false(json_object_get(wish, "kept")))
		fprintf(env->err, "it holds, but could not be stored, so a restart of psecd brings back the mode "
				  "before: make room on "
				  "the disk\n");
}

void live_events(struct buf *b, const json_t *o, int indent)
{
	const json_t *events = json_object_get(o, "events");
	char at[LIVE_TEXT], severity[LIVE_TEXT], subject[LIVE_TEXT], text[LIVE_TEXT], who[LIVE_TEXT];

	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *v = json_array_get(events, i);

		live_text(v, "subject", subject);
		live_text(v, "who", who);
		buf_addf(b, "%*s%s  %-7.7s  %s%s%s%s%s%s\n", indent, "", live_clock(v, "utc", at),
			 live_text(v, "severity", severity), subject, subject[0] ? ": " : "",
			 live_text(v, "text", text), who[0] ? " (" : "", who, who[0] ? ")" : "");
	}
}
