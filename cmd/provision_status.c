/* psec provision status: what is there, how long it holds, and what is to be done next. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "provision.h"

struct options { struct board_said board; };
static const struct options defaults;
static const struct cmd_opt opts[] = { SERIAL_OPT(options), EK_OPTS(options), RECOVERY_OPT(options) };

#define US_PER_DAY (86400 * US_PER_S)

/* ---- JSON ---- */

static json_t *text_or_null(const char *s)
{
	return *s ? json_string(s) : json_null();
}

static json_t *time_or_null(int64_t us)
{
	char when[BASE_TIME_LEN];

	return us && us != INT64_MAX ? json_string(time_format(us, when)) : json_null();
}

static json_t *certificate_json(const struct provision_certificate *c, const struct now *now)
{
	bool ends = c->cert && now->utc_valid && c->not_after_us != INT64_MAX && c->not_after_us;
	json_t *days = ends ? json_real(floor((double)(c->not_after_us - now->utc_us) / US_PER_DAY)) : json_null();

	return json_pack("{s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "key", c->key, "certificate", c->cert,
			 "valid", c->valid, "time_checked", c->time_checked, "fingerprint", text_or_null(c->fingerprint),
			 "number", text_or_null(c->number), "not_before", time_or_null(c->not_before_us), "not_after",
			 time_or_null(c->not_after_us), "days_left", days, "why", text_or_null(c->why));
}

static json_t *health_json(const struct tpm_health *h)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, "
			 "s:I}", "manufacturer", h->manufacturer,
			 "model", h->model, "firmware", h->firmware, "revision", h->revision, "failed", h->failed,
			 "in_lockout", h->in_lockout, "lockout_counter", (json_int_t)h->lockout_counter, "max_tries",
			 (json_int_t)h->max_tries, "recovery_s", (json_int_t)h->recovery_s, "persistent_free",
			 (json_int_t)h->persistent_free, "transient_loaded", (json_int_t)h->transient_loaded,
			 "sessions_loaded", (json_int_t)h->sessions_loaded);
}

static json_t *storage_json(const struct provision_status *s)
{
	return json_pack("{s:b, s:b, s:o, s:o}", "there", s->storage, "opens", s->storage_opens, "slot",
			 s->policy_slot >= 0 ? json_integer(s->policy_slot) : json_null(), "why",
			 text_or_null(s->storage_why));
}

static json_t *status_json(const struct provision_status *s, const struct now *now)
{
	return json_pack("{s:o, s:o, s:b, s:o, s:{s:b, s:b, s:o}, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:b, s:b}, "
			 "s:b, s:o, s:{s:o, s:o, s:o}}",
			 "serial", text_or_null(s->serial), "site", text_or_null(s->site), "whole", s->whole, "tpm",
			 health_json(&s->health), "ek", "certificate", s->ek_certificate, "checked", s->ek_checked, "why",
			 text_or_null(s->ek_why), "srk", s->srk, "idevid", certificate_json(&s->idevid, now), "iak",
			 certificate_json(&s->iak, now), "ldevid", certificate_json(&s->ldevid, now), "counter",
			 s->counter ? json_integer((json_int_t)s->counter_value) : json_null(), "revoked_slots",
			 s->bits ? json_integer((json_int_t)s->bits_value) : json_null(), "storage", storage_json(s),
			 "authorisations", "set", s->auths_set, "escrowed", s->escrowed, "pending", s->pending, "next",
			 s->next ? json_string(s->next) : json_null(), "foreign", "keys", text_or_null(s->keys_why), "counter",
			 text_or_null(s->counter_why), "revoked_slots", text_or_null(s->bits_why));
}

/* ---- for people ---- */

static void certificate_words(const struct provision_certificate *c, const struct now *now, char to[320])
{
	char when[BASE_TIME_LEN];

	if (!c->cert) {
		snprintf(to, 320, "%s", c->key ? "key, no certificate" : "none");
	} else if (!c->valid) {
		snprintf(to, 320, "not valid: %s", c->why);
	} else if (c->not_after_us == INT64_MAX) {
		snprintf(to, 320, "valid, without end");
	} else if (!c->time_checked) {
		snprintf(to, 320, "valid but for its dates, which are not checked: the clock is not set");
	} else {
		snprintf(to, 320, "valid, %" PRId64 " days left (%.10s)", (c->not_after_us - now->utc_us) / US_PER_DAY,
			 time_format(c->not_after_us, when));
	}
}

static void line(const struct cmd_env *env, const char *name, const char *words)
{
	char shown[PROVISION_WHY];

	str_printable(shown, sizeof shown, words, strlen(words));
	fprintf(env->out, "%-15s %s\n", name, shown);
}

static void say_tpm(const struct cmd_env *env, const struct provision_status *s)
{
	const struct tpm_health *h = &s->health;
	char words[200];

	snprintf(words, sizeof words, "%s %s, firmware %s%s", h->manufacturer, h->model, h->firmware,
		 h->failed ? ": in failure mode" : h->in_lockout ? ": in lock-out" : "");
	line(env, "tpm", words);
	if (h->transient_loaded + h->sessions_loaded) {
		snprintf(words, sizeof words, "%u objects and %u sessions of other programs are "
			"loaded", h->transient_loaded,
			 h->sessions_loaded);
		line(env, "", words);
	}
	line(env, "ek", s->ek_why[0] ? s->ek_why : s->ek_checked ? "certificate and chain believed"
	     : s->ek_certificate ? "certificate, not checked: no roots are given" : "no certificate");
}

static void say(const struct cmd_env *env, const struct provision_status *s, const struct now *now)
{
	const struct { const char *name; const struct provision_certificate *c; } certificates[] = {
		{ "idevid", &s->idevid }, { "iak", &s->iak }, { "ldevid", &s->ldevid },
	};
	char words[320];

	line(env, "board", s->serial[0] ? s->serial : "unknown: neither a certificate nor the firmware says its serial");
	line(env, "site", s->site[0] ? s->site : "none: the factory moment");
	say_tpm(env, s);
	for (size_t i = 0; i < COUNT_OF(certificates); i++) {
		if (certificates[i].c == &s->ldevid && !s->site[0])
			continue;
		certificate_words(certificates[i].c, now, words);
		line(env, certificates[i].name, words);
	}
	snprintf(words, sizeof words, "opens, by policy %d", s->policy_slot);
	line(env, "storage key", s->storage_opens ? words : s->storage_why[0] ? s->storage_why : "none");
	line(env, "authorisations", !s->auths_set ? "not set" : s->escrowed ? "set and escrowed" :
	     s->storage && !s->storage_opens ? "set; escrowed or not is known when the storage key opens" :
	     "set, not escrowed");
	if (s->keys_why[0])
		line(env, "keys", s->keys_why);
	if (s->counter || s->counter_why[0]) {
		snprintf(words, sizeof words, "%" PRIu64, s->counter_value);
		line(env, "audit counter", s->counter ? words : s->counter_why);
	}
	if (s->bits_why[0])
		line(env, "revoked slots", s->bits_why);
	if (s->next)
		line(env, "next", s->next);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	struct provision_status s;
	auto_board struct board b;

	(void)argc, (void)argv;
	if (board_begin(env, &o->board, BOARD_NAMELESS, &b, e) || provision_status(&b.how, &b.now, &s, e))
		return -1;
	if (env->json) {
		json_t *v = status_json(&s, &b.now);
		int rc = cmd_print_json(env, v, e);

		json_decref(v);
		if (rc)
			return -1;
	} else {
		say(env, &s, &b.now);
	}
	return s.whole ? 0 : 1;
}

const struct cmd cmd_provision_status = {
	.name = "status",
	.summary = "what is there, how long it holds, and what is next",
	.more = "Looks and changes nothing. Ends with 1 when the identity is not whole.",
	.example = "psec provision status\npsec provision status --json",
	.opts = opts,
	.opt_count = COUNT_OF(opts),
	.defaults = &defaults,
	.options_size = sizeof defaults,
	.flags = CMD_JSON,
	.run = run,
};
