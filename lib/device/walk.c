/* The SunSpec walk as a machine: "SunS" at one of three bases, then id and length, model after model, to 0xFFFF.
 * SunSpec Device Information Model Specification 1.1, 6. Addresses only rise, so it ends whatever the device says. */
#include <string.h>

#include "device/parts.h"

static const uint16_t bases[] = { 40000, 0, 50000 }; /* in the order in which devices use them */

enum { STEP_MODELS = COUNT_OF(bases), STEP_END };

void device_walk_begin(struct device_walk *w)
{
	memset(w, 0, sizeof *w);
	str_copy(w->why, sizeof w->why, "no SunSpec marker at 40000, 0 or 50000");
}

bool device_walk_next(const struct device_walk *w, struct device_probe *out)
{
	if (w->step >= STEP_END)
		return false;
	*out = (struct device_probe){ BUS_READ_HOLDING, w->step < STEP_MODELS ? bases[w->step] : w->next, 2 };
	return true;
}

static void walk_end(struct device_walk *w, const char *why)
{
	w->step = STEP_END;
	str_copy(w->why, sizeof w->why, why);
}

static void walk_model(struct device_walk *w, uint16_t id, uint16_t length)
{
	struct device_sunspec *s = &w->found;
	uint32_t first = (uint32_t)w->next + 2;
	char why[80];

	if (id == 0xFFFF) { /* the length of the end marker is 0 or, with some, 1 */
		s->ended = true;
		walk_end(w, "");
	} else if (id == 0) {
		snprintf(why, sizeof why, "the model at %u has id 0: the list ends without its marker", w->next);
		walk_end(w, why);
	} else if (first + length > 65536) {
		snprintf(why, sizeof why, "model %u at %u says length %u, which ends beyond 65535", id, w->next,
			 length);
		walk_end(w, why);
	} else {
		s->models[s->model_count++] = (struct device_model){ id, (uint16_t)first, length };
		if (first + length + 2 > 65536)
			walk_end(w, "the list ends at 65535 without its marker");
		else if (s->model_count == DEVICE_MODELS_MAX)
			walk_end(w, "more than 64 models: the rest is left out");
		else
			w->next = (uint16_t)(first + length);
	}
}

void device_walk_answer(struct device_walk *w, const uint16_t *regs, size_t count)
{
	char why[80];

	if (w->step >= STEP_END)
		return;
	if (w->step < STEP_MODELS) {
		if (regs != NULL && count >= 2 && regs[0] == 0x5375 && regs[1] == 0x6E53) {
			w->found.found = true;
			w->found.base = bases[w->step];
			w->next = (uint16_t)(bases[w->step] + 2);
			w->step = STEP_MODELS;
		} else if (++w->step == STEP_MODELS) {
			w->step = STEP_END;
		}
	} else if (regs == NULL || count < 2) {
		snprintf(why, sizeof why, "no answer about the model at %u", w->next);
		walk_end(w, why);
	} else {
		walk_model(w, regs[0], regs[1]);
	}
}
