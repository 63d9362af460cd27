/* The world behind the simulated site: who looks when changes nothing, events come at their step, the genset takes its
 * time, several batteries and the grid balance. */
#include <math.h>
#include <string.h>

#include "sim/inside.h"
#include "unit.h"

#define assert_near(a, b, by) do { double a_ = (a), b_ = (b); \
	if (!(fabs(a_ - b_) <= (by))) fail_msg("%s is %.9g, expected %.9g ± %g", #a, a_, b_, (double)(by)); } while (0)

struct run {
	struct sim_scenario x;
	struct world w;
};

static struct series sunny;

static void no_fault(void *arg, const struct diag *d)
{
	char text[DIAG_LEN];

	(void)arg;
	fail_msg("%s", diag_format(d, text));
}

static struct run *begin(const char *yaml)
{
	static double load[2] = { 900, 400 }, pv[2] = { 3000, 4500 };
	struct run *r = xcalloc(1, sizeof *r);
	struct diag_sink sink = { .fn = no_fault };

	sunny = (struct series){ .count = 2, .step_us = 900 * US_PER_S, .load_w = load, .pv_w = pv };
	assert_int_equal(sim_scenario_parse(yaml, strlen(yaml), "test", &r->x, &sink), 0);
	r->x.options.series = &sunny;
	world_begin(&r->w, &r->x.options);
	for (size_t n = 0; n < r->x.event_count; n++)
		world_add(&r->w, &r->x.events[n]);
	return r;
}

static void end(struct run *r)
{
	world_release(&r->w);
	sim_scenario_release(&r->x);
	free(r);
}

static const char everything[] =
	"psec-sim: 1\ntitle: everything\nseed: 9\ngenset: {rated_w: 6000, start_delay: 2s, warm_up: 3s, cool_down: 4s}\n"
	"batteries: [{soc_percent: 50, watchdog: 20s}, {soc_percent: 80, inverter: hybrid}]\nevents:\n"
	"  - {at: 3.33s, load: 2500, for: 7s}\n  - {at: 5s, cloud: 80}\n  - {at: 11s, genset: 3000, for: 12s}\n"
	"  - {at: 31s, blackout: 5s}\n  - {at: 40s, grid: {voltage_v: 245, frequency_hz: 50.5}}\n  - {at: 110s, cloud: 0}\n";

/* A controller that writes at times of its own, of the plant. */
static void write_if_due(struct run *r, int64_t *next_us)
{
	int64_t at = world_at(&r->w);

	if (at < *next_us)
		return;
	command_set(&r->w.commands[0], 3000 - (double)(at / US_PER_S % 7) * 900, at, 0, 0);
	command_set(&r->w.commands[1], 500, at, 0, US_PER_S);
	*next_us += 1700 * US_PER_MS;
}

/* To to_us by looks of chunk_us, as a client that asks so often at some speed makes them. */
static void live(struct run *r, int64_t to_us, int64_t chunk_us)
{
	int64_t next_us = 1700 * US_PER_MS, look = 0;

	while (world_at(&r->w) < to_us) {
		look = look + chunk_us > to_us ? to_us : look + chunk_us;
		while (next_us <= look) {
			world_advance(&r->w, next_us);
			write_if_due(r, &next_us);
		}
		world_advance(&r->w, look);
	}
}

static void the_same_scenario_at_speed_1_and_20_is_the_same_plant_at_the_same_plant_times(void **state)
{
	/* A look every 7.3 ms at speed 1; the same looks at speed 20; hardly any; and each step. */
	static const int64_t chunks[] = { 7300, 20 * 7300, 60 * US_PER_S, SIM_STEP_US };

	(void)state;
	for (int64_t to = 20 * US_PER_S; to <= 140 * US_PER_S; to += 40 * US_PER_S) {
		struct run *one = begin(everything);

		live(one, to, chunks[0]);
		for (size_t n = 1; n < COUNT_OF(chunks); n++) {
			struct run *r = begin(everything);

			live(r, to, chunks[n]);
			assert_memory_equal(r->w.plants, one->w.plants, 2 * sizeof *r->w.plants);
			assert_memory_equal(&r->w.genset, &one->w.genset, sizeof r->w.genset);
			end(r);
		}
		end(one);
	}
}

static void what_flows_at_the_connection_point_is_the_balance_of_all(void **state)
{
	struct run *r = begin(everything);
	int64_t next_us = 1700 * US_PER_MS;

	(void)state;
	for (int64_t t = 0; t < 140 * US_PER_S; t += SIM_STEP_US) {
		const struct sim_plant *p = r->w.plants;

		world_advance(&r->w, t);
		write_if_due(r, &next_us);
		if (t < 2 * SIM_STEP_US)
			continue;
		assert_near(p[0].grid_w + p[0].pv_w + p[0].battery_w + p[1].battery_w + r->w.genset.power_w, p[0].load_w, 1e-9);
	}
	assert_near(r->w.plants[0].import_wh - r->w.plants[0].export_wh,
		    r->w.plants[0].load_wh - r->w.plants[0].pv_wh - r->w.genset.energy_wh -
		    (r->w.plants[0].discharge_wh - r->w.plants[0].charge_wh) -
		    (r->w.plants[1].discharge_wh - r->w.plants[1].charge_wh), 1e-6);
	end(r);
}

static void an_event_comes_at_the_first_step_of_its_time_and_ends_by_itself(void **state)
{
	struct run *r = begin("psec-sim: 1\ntitle: t\ncalm: true\nevents: [{at: 3.333s, load: 1000, for: 500ms}]\n");

	(void)state;
	world_advance(&r->w, 3340 * US_PER_MS);
	assert_near(r->w.plants[0].load_w, 900, 300);
	assert_near(r->w.day.extra_w, 1000, 0);
	world_advance(&r->w, 3839 * US_PER_MS);
	assert_near(r->w.day.extra_w, 1000, 0);
	world_advance(&r->w, 3840 * US_PER_MS);
	assert_near(r->w.day.extra_w, 0, 0);
	end(r);
}

static void a_genset_starts_warms_up_keeps_its_minimum_and_cools_down(void **state)
{
	struct run *r = begin("psec-sim: 1\ntitle: t\ngenset: {rated_w: 6000, minimum_percent: 30, start_delay: 5s, warm_up: 20s,"
			      " cool_down: 30s, ramp_w_per_s: 500}\nevents: [{at: 1s, genset: 500}, {at: 60s, genset: stop}]\n");
	static const struct { int at_s; enum genset_state state; double w; } seen[] = {
		{ 0, GENSET_STOPPED, 0 }, { 4, GENSET_PRE_START, 0 }, { 10, GENSET_WARMING, 0 }, { 28, GENSET_RUNNING, 1000 },
		{ 50, GENSET_RUNNING, 1800 }, { 66, GENSET_COOLING, 0 }, { 99, GENSET_STOPPED, 0 },
	};

	(void)state;
	for (size_t n = 0; n < COUNT_OF(seen); n++) {
		world_advance(&r->w, seen[n].at_s * US_PER_S);
		assert_int_equal(r->w.genset.state, seen[n].state);
		assert_near(r->w.genset.power_w, seen[n].w, seen[n].w > 0 && seen[n].w < 1800 ? 20 : 1e-6);
	}
	assert_int_equal(r->w.genset.starts, 1);
	end(r);
}

static void in_a_blackout_nothing_flows_and_inverters_wait_a_minute_afterwards(void **state)
{
	struct run *r = begin("psec-sim: 1\ntitle: t\ncalm: true\nevents: [{at: 5s, blackout: 10s}]\n");
	const struct sim_plant *p = r->w.plants;

	(void)state;
	command_set(&r->w.commands[0], 2000, 0, 0, 0);
	world_advance(&r->w, 5 * US_PER_S);
	assert_true(p->battery_w > 1900 && p->pv_w > 1000);
	world_advance(&r->w, 6 * US_PER_S);
	assert_true(world_dark(&r->w));
	assert_near(fabs(p->battery_w) + p->pv_w + p->load_w + fabs(p->grid_w), 0, 0);
	world_advance(&r->w, 16 * US_PER_S);
	assert_false(world_dark(&r->w));
	assert_true(p->grid_w > 300); /* the house alone */
	assert_near(fabs(p->battery_w) + p->pv_w, 0, 0);
	command_set(&r->w.commands[0], 2000, world_at(&r->w), 0, 0);
	world_advance(&r->w, 74 * US_PER_S);
	assert_near(p->pv_w, 0, 0);
	world_advance(&r->w, 80 * US_PER_S);
	assert_true(p->battery_w > 1900 || p->watchdog_tripped);
	assert_true(p->pv_w > 1000);
	end(r);
}

static void the_sun_gives_way_when_the_frequency_is_high(void **state)
{
	struct run *r = begin("psec-sim: 1\ntitle: t\ncalm: true\nevents: [{at: 5s, grid: {frequency_hz: 50.7}}]\n");
	double before;

	(void)state;
	world_advance(&r->w, 4 * US_PER_S);
	before = r->w.plants[0].pv_w;
	world_advance(&r->w, 7 * US_PER_S);
	assert_near(r->w.plants[0].pv_w, 0.8 * before, 5);
	assert_near(r->w.plants[0].meter_hz, 50.7, 0.1);
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_scenario_at_speed_1_and_20_is_the_same_plant_at_the_same_plant_times),
		cmocka_unit_test(what_flows_at_the_connection_point_is_the_balance_of_all),
		cmocka_unit_test(an_event_comes_at_the_first_step_of_its_time_and_ends_by_itself),
		cmocka_unit_test(a_genset_starts_warms_up_keeps_its_minimum_and_cools_down),
		cmocka_unit_test(in_a_blackout_nothing_flows_and_inverters_wait_a_minute_afterwards),
		cmocka_unit_test(the_sun_gives_way_when_the_frequency_is_high),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
