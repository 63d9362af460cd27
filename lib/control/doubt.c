#include "doubt.h"

#include <math.h>

enum {
	MOVES_W = 30,            /* a change of the model that is one */
	RUN_LEAST = 4,           /* samples in one direction before the meter is judged by them */
	OBEYS_W = 300,           /* a move that must be seen in the inverter's own power, … */
	OBEYS_PERCENT = 25,      /* … at least by so much */
	BACK_OFF_US = 30000000, BACK_OFF_MOST_US = 600000000,
};

/* How far it must go, for how many of the loop's answers, and how near (in percent of the squares) the meter must be to
 * what a turned one would show. A ramp of the load looks like that while the battery starts after it, for about one
 * answer: a small battery, or one near its bound, is judged by less, but for longer and more strictly. */
static const struct { double w, answers, apart_percent; } runs[] = { { 1200, 1.25, 25 }, { 300, 2, 3 } };

void doubt_init(struct doubt *d)
{
	*d = (struct doubt){ .jump_w = NAN };
	for (size_t k = 0; k < DOUBT_SHOWN; k++)
		d->shown_w[k] = NAN;
}

static void run_ends(struct doubt *d)
{
	d->run_w = d->moved2 = d->apart2 = 0;
	d->run_count = 0;
}

static bool is_run(const struct doubt *d, int64_t answer_us)
{
	double answers = (double)(d->at_us - d->run_from_us) / (double)answer_us;

	for (size_t k = 0; k < COUNT_OF(runs) && d->run_count >= RUN_LEAST; k++) {
		if (fabs(d->run_w) >= runs[k].w && answers >= runs[k].answers &&
		    d->apart2 * 100 < runs[k].apart_percent * d->moved2)
			return true;
	}
	return false;
}

/* With the right sign the grid goes down by what the battery goes up, and a load that moves is ahead of the battery.
 * With the wrong one the law drives away from the target, in one direction, and the shown value goes with the
 * battery. */
bool doubt_sign(struct doubt *d, int64_t at_us, double grid_w, double model_w, int64_t answer_us)
{
	double moved = model_w - d->model_w, seen = grid_w - d->grid_w;
	int64_t last_us = d->at_us;
	bool known = d->met;

	d->met = true;
	d->at_us = at_us;
	d->grid_w = grid_w;
	d->model_w = model_w;
	if (!known || fabs(moved) < MOVES_W)
		return false;
	if (seen * moved <= 0 || d->run_w * moved < 0)
		run_ends(d);
	if (seen * moved <= 0)
		return false;
	if (!d->run_count++)
		d->run_from_us = last_us;
	d->run_w += moved;
	d->moved2 += moved * moved;
	d->apart2 += (seen - moved) * (seen - moved);
	known = is_run(d, answer_us);
	if (known)
		run_ends(d);
	return known;
}

bool doubt_new(struct doubt *d, double grid_w)
{
	for (size_t k = 0; k < DOUBT_SHOWN; k++) {
		if (d->shown_w[k] == grid_w)
			return false;
	}
	d->newest_shown = (d->newest_shown + 1) % DOUBT_SHOWN;
	d->shown_w[d->newest_shown] = grid_w;
	return true;
}

bool doubt_jump(struct doubt *d, double load_w, double last_w, double most_w)
{
	bool first = fabs(load_w - last_w) > most_w && (isnan(d->jump_w) || fabs(load_w - d->jump_w) > most_w);

	d->jump_w = first ? load_w : NAN;
	return first;
}

void doubt_command(struct doubt *d, const struct control_signal *battery, double w, int64_t at_us)
{
	if (!battery->valid || (d->tried && fabs(w - d->to_w) < 1))
		return;
	if (d->tried && fabs(battery->value - d->from_w) < OBEYS_W / 2.0 &&
	    (w - d->from_w) * (d->to_w - d->from_w) > 0 && fabs(w - d->from_w) >= OBEYS_W) {
		d->to_w = w; /* the same trial goes on: it has not moved yet, and is still asked to */
		return;
	}
	d->tried = fabs(w - battery->value) >= OBEYS_W;
	d->from_w = battery->value;
	d->to_w = w;
	d->tried_us = at_us;
}

bool doubt_deaf(struct doubt *d, const struct control_signal *battery, int64_t now_us, int64_t patience_us)
{
	if (d->deaf && now_us >= d->again_us)
		d->deaf = false;
	if (!d->tried || !battery->valid)
		return d->deaf;
	if ((battery->value - d->from_w) * (d->to_w - d->from_w) * 100 >=
	    OBEYS_PERCENT * (d->to_w - d->from_w) * (d->to_w - d->from_w)) {
		d->tried = d->deaf = false;
		d->back_off_us = 0;
	} else if (now_us - d->tried_us > patience_us) {
		d->tried = false;
		d->deaf = true;
		d->back_off_us = d->back_off_us ? 2 * d->back_off_us : BACK_OFF_US;
		if (d->back_off_us > BACK_OFF_MOST_US)
			d->back_off_us = BACK_OFF_MOST_US;
		d->again_us = now_us + d->back_off_us;
	}
	return d->deaf;
}
