/* The genset: an engine that takes its time. It feeds in parallel with the grid, never less than its minimum load (an
 * engine that idles warm fouls itself), and with a blackout its breaker opens. */
#include <math.h>

#include "inside.h"

#define STEP_S (SIM_STEP_US / 1e6)

static void go(struct genset *g, enum genset_state state, int64_t at_us)
{
	g->state = state;
	g->since_us = at_us;
}

void genset_ask(struct genset *g, const struct sim_genset *o, bool run, double target_w)
{
	g->wanted = run;
	if (target_w > 0)
		g->target_w = target_w;
	else if (g->target_w <= 0)
		g->target_w = o->rated_w;
}

static void follow_wish(struct genset *g, const struct sim_genset *o, int64_t at_us)
{
	double since_s = (double)(at_us - g->since_us) / 1e6;

	switch (g->state) {
	case GENSET_STOPPED:
		if (g->wanted)
			go(g, GENSET_PRE_START, at_us);
		break;
	case GENSET_PRE_START:
		if (!g->wanted)
			go(g, GENSET_STOPPED, at_us);
		else if (since_s >= o->start_delay_s) {
			g->starts++;
			go(g, GENSET_WARMING, at_us);
		}
		break;
	case GENSET_WARMING:
		if (!g->wanted)
			go(g, GENSET_COOLING, at_us);
		else if (since_s >= o->warm_up_s)
			go(g, GENSET_RUNNING, at_us);
		break;
	case GENSET_RUNNING:
		if (!g->wanted && g->power_w <= 0)
			go(g, GENSET_COOLING, at_us);
		break;
	case GENSET_COOLING:
		if (g->wanted)
			go(g, GENSET_RUNNING, at_us);
		else if (since_s >= o->cool_down_s)
			go(g, GENSET_STOPPED, at_us);
	}
}

void genset_step(struct genset *g, const struct sim_genset *o, int64_t at_us, bool dark)
{
	double least = o->rated_w * o->minimum_percent / 100, goal = 0;

	follow_wish(g, o, at_us);
	if (dark)
		g->power_w = 0;
	else if (g->state == GENSET_RUNNING && g->wanted)
		goal = clamp_real(g->target_w, least, o->rated_w);
	if (g->state != GENSET_RUNNING)
		g->power_w = 0;
	else if (!dark)
		g->power_w += clamp_real(goal - g->power_w, -o->ramp_w_per_s * STEP_S, o->ramp_w_per_s * STEP_S);
	g->power_w = fmax(g->power_w, 0);
	g->energy_wh += g->power_w * STEP_S / 3600;
	if (g->state == GENSET_WARMING || g->state == GENSET_RUNNING || g->state == GENSET_COOLING)
		g->run_us += SIM_STEP_US;
}
