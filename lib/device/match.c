/* How a device is recognised. A signature identifies; values that look right only propose. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

size_t device_profile_probes(const struct device_profile *p, const struct device_probe **out)
{
	*out = p->probes;
	return p->condition_count;
}

static bool holds(const struct condition *c, const uint16_t *regs, char *shows, size_t n)
{
	const struct source *s = &c->source;
	char text[PARTS_TEXT];
	double value;

	if (s->type == DEVICE_TEXT) {
		raw_text(regs, s->count, text, sizeof text);
		snprintf(shows, n, "%s '%s'", c->what, text);
		return str_starts(text, c->starts);
	}
	value = raw_decode(regs, s->type, s->order).number * s->scale;
	if (!isfinite(value))
		return false;
	for (size_t i = 0; i < c->equal_count; i++)
		if (value == c->equals[i]) {
			snprintf(shows, n, "%s %.10g at %u", c->what, value, s->address);
			return true;
		}
	snprintf(shows, n, "%s %.5g%s%s", c->what, value, c->unit[0] ? " " : "", c->unit);
	return c->has_range && value >= c->min && value <= c->max;
}

enum device_match device_profile_match(const struct device_profile *p, const uint16_t *const *answers, char why[120])
{
	size_t len = 0;

	why[0] = '\0';
	if (p->condition_count == 0)
		return DEVICE_NO;
	for (size_t i = 0; i < p->condition_count; i++) {
		char shows[64] = "";

		/* A signature stands alone; what is plausible besides adds nothing to it. */
		if (p->signature_count > 0 && i >= p->signature_count)
			break;
		if (answers[i] == NULL || !holds(&p->conditions[i], answers[i], shows, sizeof shows)) {
			why[0] = '\0';
			return DEVICE_NO;
		}
		if (len < 120)
			len += (size_t)snprintf(why + len, 120 - len, "%s%s", i > 0 ? ", " : "", shows);
	}
	if (p->signature_count > 0)
		return DEVICE_IDENTIFIED;
	if (len < 120)
		snprintf(why + len, 120 - len, " plausible");
	return DEVICE_PROPOSED;
}

/* Where in the walk one of these models is; -1 when it is not. */
static int find_any(const struct device_sunspec *s, const uint16_t *models, size_t count)
{
	for (size_t i = 0; i < s->model_count; i++)
		for (size_t k = 0; k < count; k++)
			if (s->models[i].id == models[k])
				return (int)i;
	return -1;
}

const struct device_profile *device_sunspec_profile(const struct device_catalogue *c, const struct device_sunspec *s)
{
	const struct device_profile *best = NULL;
	int best_score = 0;

	for (size_t i = 0;; i++) {
		const struct device_profile *p = device_profile_at(c, i);
		int score = 0, first = DEVICE_MODELS_MAX;
		size_t k;

		if (p == NULL)
			break;
		for (k = 0; k < p->need_count; k++) {
			int at = find_any(s, p->needs[k].models, p->needs[k].count);

			if (at < 0)
				break;
			if (at < first)
				first = at;
			score += 1000;
		}
		if (p->need_count == 0 || k < p->need_count || p->by_hand)
			continue;
		for (k = 0; k < p->like_count; k++)
			score += find_any(s, &p->likes[k], 1) >= 0 ? 100 : 0;
		score += DEVICE_MODELS_MAX - first; /* an inverter that also shows its meter is an inverter */
		if (score > best_score) {
			best = p;
			best_score = score;
		}
	}
	return best;
}
