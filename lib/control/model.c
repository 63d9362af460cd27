#include "model.h"

#include <math.h>

void model_init(struct model *m, int64_t dead_us, int64_t lag_us, double ramp_w_per_s)
{
	*m = (struct model){ .dead_us = dead_us, .lag_us = lag_us, .ramp_w_per_s = ramp_w_per_s };
}

void model_reset(struct model *m, int64_t at_us, double power_w)
{
	m->at_us = at_us;
	m->power_w = m->command_w = power_w;
	m->first = m->count = 0;
}

/* Power after span_us of a constant command: a straight ramp while the lag alone would be steeper, then the lag. */
static double respond(const struct model *m, double power, double command, int64_t span_us)
{
	double span = (double)span_us / US_PER_S, lag = (double)m->lag_us / US_PER_S;
	double gap = command - power, ramp = m->ramp_w_per_s;

	if (span <= 0)
		return power;
	if (isfinite(ramp) && fabs(gap) > ramp * lag) {
		double steep = (fabs(gap) - ramp * lag) / ramp;

		if (span <= steep)
			return power + copysign(ramp * span, gap);
		power += copysign(ramp * steep, gap);
		span -= steep;
		gap = command - power;
	}
	return lag > 0 ? command - gap * exp(-span / lag) : command;
}

static void advance(const struct model *m, int64_t *at_us, double *power, double *command, int64_t to_us, size_t *used)
{
	size_t i;

	for (i = 0; i < m->count; i++) {
		size_t k = (m->first + i) % MODEL_COMMANDS;
		int64_t effect_us = m->commands[k].at_us + m->dead_us;

		if (effect_us > to_us)
			break;
		*power = respond(m, *power, *command, effect_us - *at_us);
		*at_us = effect_us > *at_us ? effect_us : *at_us;
		*command = m->commands[k].power_w;
	}
	*power = respond(m, *power, *command, to_us - *at_us);
	*at_us = to_us > *at_us ? to_us : *at_us;
	*used = i;
}

double model_at(const struct model *m, int64_t at_us)
{
	int64_t from = m->at_us;
	double power = m->power_w, command = m->command_w;
	size_t used;

	if (at_us > from)
		advance(m, &from, &power, &command, at_us, &used);
	return power;
}

void model_forget(struct model *m, int64_t at_us)
{
	size_t used;

	if (at_us <= m->at_us)
		return;
	advance(m, &m->at_us, &m->power_w, &m->command_w, at_us, &used);
	m->first = (m->first + used) % MODEL_COMMANDS;
	m->count -= used;
}

void model_command(struct model *m, int64_t at_us, double power_w)
{
	if (m->count == MODEL_COMMANDS)
		model_forget(m, m->commands[m->first].at_us + m->dead_us);
	m->commands[(m->first + m->count) % MODEL_COMMANDS].at_us = at_us;
	m->commands[(m->first + m->count) % MODEL_COMMANDS].power_w = power_w;
	m->count++;
}
