/* SunSpec's models: groups that repeat, scale factors that move, and every point of every model. */
#include "device/parts.h"
#include "device_image.h"
#include "own_profiles.h"

#define HEAD "psec-profile: 1\nid: own\nmake: M\nmodel: N\nsource: typed for this test\nkind: sunspec\n"

static struct device_map *own_map(const char *text, unsigned roles, const struct image *m, struct device_catalogue **c)
{
	struct device_walk w = walk(m);
	struct said said;

	*c = own_profiles((const char *const[]){ text, NULL }, 0600, &said);
	assert_string_equal(said.text, "");
	return map_of(*c, "own", roles, false, &w.found);
}

/* Model 160 with that many modules; module n makes n × 100 W, in units of 10^sf. */
static uint16_t *put_mppt(struct image *m, uint16_t *at, uint16_t modules, int sf)
{
	uint16_t *p = put_model(m, at, 160, (uint16_t)(8 + 20 * modules));

	p[0] = p[1] = p[3] = 0x8000;
	p[2] = (uint16_t)sf;
	p[6] = modules;
	for (uint16_t n = 0; n < modules; n++)
		p[8 + 20 * n + 11] = (uint16_t)((n + 1) * 100 * (sf == -1 ? 10 : 1)); /* ID, IDStr 8, DCA, DCV, DCW */
	return p;
}

static const char mppt_profile[] = HEAD
	"sunspec: {needs: [160]}\n"
	"points:\n"
	"  pv-inverter.power_w: {sum: [{model: 160, point: \"module[*].DCW\"}]}\n";

static void a_group_is_summed_over_as_many_as_the_device_has(void **state)
{
	(void)state;
	for (uint16_t modules = 1; modules <= 5; modules++) {
		struct image *m = image_new();
		uint16_t at = put_common(m, 40000, "Acme", "PV", "1"), *p = put_mppt(m, &at, modules, 0);
		struct device_catalogue *c;
		struct device_map *map;

		put_end(m, at);
		map = own_map(mppt_profile, 1u << SITE_PV_INVERTER, m, &c);
		take_all(map, m, 1000);
		assert_reads(map, POINT_PV_POWER_W, modules * (modules + 1) * 50);
		p[8 + 11] = 0xFFFF; /* a sum without a part would be a wrong number */
		take_all(map, m, 2000);
		assert_quality(map, POINT_PV_POWER_W, DEVICE_ABSENT, "not available");
		device_map_free(map);
		device_catalogue_free(c);
		free(m);
	}
}

static void the_least_and_the_greatest_of_a_group_pass_over_what_is_absent(void **state)
{
	struct image *m = image_new();
	uint16_t at = put_common(m, 40000, "Acme", "PV", "1"), *p = put_mppt(m, &at, 3, 0);
	struct device_catalogue *c;
	struct device_map *map;

	(void)state;
	put_end(m, at);
	map = own_map(HEAD "sunspec: {needs: [160]}\npoints:\n"
		      "  grid-meter.power_w: {greatest: [{model: 160, point: \"module[*].DCW\"}]}\n"
		      "  pv-inverter.power_w: {least: [{model: 160, point: \"module[*].DCW\"}]}\n"
		      "  load-meter.power_w: {model: 160, point: \"module[2].DCW\"}\n",
		      1u << SITE_PV_INVERTER | 1u << SITE_GRID_METER | 1u << SITE_LOAD_METER, m, &c);
	p[8 + 11] = p[8 + 40 + 11] = 0xFFFF;
	take_all(map, m, 1000);
	assert_reads(map, POINT_GRID_POWER_W, 200);
	assert_reads(map, POINT_PV_POWER_W, 200);
	assert_reads(map, POINT_LOAD_POWER_W, 200);
	device_map_free(map);
	device_catalogue_free(c);
	free(m);
}

static void a_group_that_the_length_cuts_short_ends_before_it(void **state)
{
	struct image *m = image_new();
	uint16_t at = put_common(m, 40000, "Acme", "PV", "1");
	struct device_catalogue *c;
	struct device_map *map;

	(void)state;
	put_mppt(m, &at, 3, 0);
	m->holding[40071] = 8 + 20 + 15; /* the second has lost its end; N says 3 all the same */
	put_end(m, (uint16_t)(40072 + 43));
	map = own_map(mppt_profile, 1u << SITE_PV_INVERTER, m, &c);
	take_all(map, m, 1000);
	assert_reads(map, POINT_PV_POWER_W, 100);
	device_map_free(map);
	device_catalogue_free(c);
	free(m);
}

static uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

/* A device that moves its scale factors as it likes: what it shows at one time is true at that time. */
struct mover {
	struct image *m;
	uint16_t *sf, *raw[8];
	double shown[8][4096];
	size_t count;
};

static void move(struct mover *d, struct rng *r)
{
	static const double step[] = { 0.1, 1, 10 };
	size_t sf = rng_below(r, 3);

	*d->sf = (uint16_t)((int)sf - 1);
	for (size_t i = 0; i < 8; i++) {
		*d->raw[i] = (uint16_t)(100 + rng_below(r, 900));
		d->shown[i][d->count] = *d->raw[i] * step[sf];
	}
	d->count++;
}

static bool was_shown(const struct mover *d, size_t i, double value)
{
	for (size_t k = 0; k < d->count; k++)
		if (fabs(d->shown[i][k] - value) < 1e-6)
			return true;
	return false;
}

/* Where one read holds a value and its factor, the device may move at any time; where none does, twice within one round
 * of reads would go unseen, so that it moves once a round there. */
static void no_value_is_made_with_the_scale_factor_of_another_moment(void **state)
{
	static const char profile[] = HEAD "block: {max: %d, gap: 4}\nsunspec: {needs: [160]}\npoints:\n"
		"  grid-meter.power_w: {model: 160, point: \"module[1].DCW\"}\n"
		"  grid-meter.power_l1_w: {model: 160, point: \"module[2].DCW\", rate: slow}\n"
		"  grid-meter.power_l2_w: {model: 160, point: \"module[5].DCW\"}\n"
		"  grid-meter.power_l3_w: {model: 160, point: \"module[7].DCW\", rate: fast}\n"
		"  grid-meter.import_wh: {model: 160, point: \"module[8].DCW\"}\n";
	static const struct { enum device_point p; size_t module; } points[] = {
		{ POINT_GRID_POWER_W, 0 }, { POINT_GRID_POWER_L1_W, 1 }, { POINT_GRID_POWER_L2_W, 4 },
		{ POINT_GRID_POWER_L3_W, 6 }, { POINT_GRID_IMPORT_WH, 7 },
	};
	static const struct { int width; size_t points; bool any_time; } cases[] = {
		{ 125, 3, true }, { 125, 5, false }, { 60, 5, false }, { 20, 5, false }, { 1, 5, false },
	};
	struct mover *d = xcalloc(1, sizeof *d);
	struct rng r;
	size_t good = 0;

	(void)state;
	rng_seed(&r, 160);
	for (size_t w = 0; w < COUNT_OF(cases); w++) {
		auto_free char *text = xasprintf(profile, cases[w].width);
		struct image *m = d->m = image_new();
		uint16_t at = put_common(m, 40000, "Acme", "PV", "1"), *p = put_mppt(m, &at, 8, 0);
		struct device_catalogue *c;
		const struct device_block *b;
		struct device_reading reading;
		struct device_map *map;
		uint64_t taken = 0;
		size_t blocks;

		put_end(m, at);
		d->sf = &p[2];
		d->count = 0;
		for (size_t i = 0; i < 8; i++)
			d->raw[i] = &p[8 + 20 * i + 11];
		map = own_map(text, 1u << SITE_GRID_METER, m, &c);
		blocks = device_map_blocks(map, &b);
		for (int64_t t = 1; t < 3000; t++) { /* blocks in any order, the device moves in between */
			size_t k = rng_below(&r, (uint32_t)blocks);

			if (t == 1 || (rng_below(&r, 6) == 0 && (cases[w].any_time || taken == (1u << blocks) - 1))) {
				move(d, &r);
				taken = 0;
			}
			if (rng_below(&r, 50) == 0) {
				device_map_lose(map, k);
			} else {
				device_map_take(map, k, &m->holding[b[k].address], t);
				taken |= 1u << k;
			}
			for (size_t i = 0; i < cases[w].points; i++) {
				assert_true(device_map_read(map, points[i].p, &reading));
				if (reading.quality == DEVICE_GOOD && !was_shown(d, points[i].module, reading.value))
					fail_msg("%s is %g, which the device never showed (reads of %d)",
						 device_point(points[i].p)->name, reading.value, cases[w].width);
				good += reading.quality == DEVICE_GOOD;
			}
		}
		device_map_free(map);
		device_catalogue_free(c);
		free(m);
	}
	assert_true(good > 20000); /* and it does not get there by saying nothing */
	free(d);
}

static void what_waits_for_its_scale_factor_says_so(void **state)
{
	static const char profile[] = HEAD "block: {max: 20}\nsunspec: {needs: [160]}\npoints:\n"
		"  pv-inverter.power_w: {model: 160, point: \"module[4].DCW\"}\n";
	struct image *m = image_new();
	uint16_t at = put_common(m, 40000, "Acme", "PV", "1");
	struct device_catalogue *c;
	struct device_map *map;

	(void)state;
	put_mppt(m, &at, 4, 0);
	put_end(m, at);
	map = own_map(profile, 1u << SITE_PV_INVERTER, m, &c);
	take_all(map, m, 1000);
	assert_false(device_map_settled(map));
	assert_quality(map, POINT_PV_POWER_W, DEVICE_UNKNOWN, "scale factor 160.DCW_SF not read with it yet");
	take_all(map, m, 2000);
	assert_true(device_map_settled(map));
	assert_reads(map, POINT_PV_POWER_W, 400);
	m->holding[40072 + 2] = 0x8000;
	take_all(map, m, 3000);
	take_all(map, m, 4000);
	take_all(map, m, 5000);
	assert_quality(map, POINT_PV_POWER_W, DEVICE_UNKNOWN, "160.DCW_SF is not implemented");
	device_map_free(map);
	device_catalogue_free(c);
	free(m);
}

/* ---- every model ---- */

static const uint16_t listed[] = {
	1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 125, 126, 160, 201, 202, 203, 204, 211, 212, 213, 214,
	701, 702, 703, 704, 705, 706, 707, 708, 709, 710, 711, 712, 713, 714, 715, 802, 803, 804, 805,
};

struct seen { uint16_t next, length; size_t places; const uint16_t *regs; };

static void look_at(void *arg, const struct place *p)
{
	struct seen *s = arg;

	assert_int_equal(p->offset, s->next); /* no hole and no overlap */
	s->next = (uint16_t)(s->next + p->point->size);
	assert_true(s->next <= s->length);
	assert_true(p->point->sf[0] == '\0' || p->sf_offset >= 0);
	assert_true(p->sf_offset < (int)s->length);
	s->places++;
}

static void every_register_of_every_model_is_one_point_and_has_its_scale_factor(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(listed); i++) {
		struct seen s = { .length = 600 };
		uint16_t regs[600];
		struct sunspec_model m;
		struct err e;

		for (size_t k = 0; k < COUNT_OF(regs); k++)
			regs[k] = 2; /* whatever counts, counts two */
		if (sunspec_model_load(listed[i], &m, &e) < 0)
			fail_msg("%s", e.text);
		s.regs = regs;
		sunspec_places(&m, regs, s.length, look_at, &s);
		assert_true(s.places >= 4);
		sunspec_model_release(&m);
	}
}

static void count_places(void *arg, const struct place *p)
{
	struct seen *s = arg;

	assert_true(p->offset + p->point->size <= s->length);
	s->places++;
}

static void counts_that_lie_lead_nowhere_beyond_the_length(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 7);
	for (size_t i = 0; i < COUNT_OF(listed) * 20; i++) {
		uint16_t regs[1000];
		struct seen s = { .length = (uint16_t)rng_below(&r, 1000) };
		struct sunspec_model m;
		struct err e;

		for (size_t k = 0; k < COUNT_OF(regs); k++)
			regs[k] = (uint16_t)rng_below(&r, i % 3 == 0 ? 65536 : 6);
		assert_int_equal(sunspec_model_load(listed[i % COUNT_OF(listed)], &m, &e), 0);
		sunspec_places(&m, regs, s.length, count_places, &s);
		assert_true(s.places <= s.length);
		sunspec_model_release(&m);
	}
}

static void a_point_is_named_with_its_group_and_number(void **state)
{
	static const struct { uint16_t model; const char *name, *fault; } cases[] = {
		{ 103, "W", NULL }, { 160, "module[1].DCW", NULL }, { 160, "module[*].DCW", NULL }, { 704, "PFWInj.PF", NULL },
		{ 714, "Prt[2].DCV", NULL }, { 711, "Ctl[1].DbOf", NULL },
		{ 103, "Watts", "no point" }, { 160, "DCW", "no point" }, { 160, "modul[1].DCW", "group that" },
		{ 160, "module.DCW", "number" }, { 160, "module[0].DCW", "number" }, { 160, "module[x].DCW", "number" },
		{ 160, "module[1].Watts", "no point" }, { 160, "module[1]", "no point" }, { 704, "PFWInj[1].PF", "there once" },
		{ 705, "Crv[1].Pt[1].V", "depends" }, { 103, "", "no point" }, { 103, "W.", "group that" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sunspec_model m;
		const char *fault;
		struct err e;

		assert_int_equal(sunspec_model_load(cases[i].model, &m, &e), 0);
		fault = sunspec_pattern_fault(&m, cases[i].name);
		if ((fault == NULL) != (cases[i].fault == NULL) || (fault != NULL && strstr(fault, cases[i].fault) == NULL))
			fail_msg("%u.%s: %s", cases[i].model, cases[i].name, fault != NULL ? fault : "no fault");
		sunspec_model_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_summed_over_as_many_as_the_device_has),
		cmocka_unit_test(the_least_and_the_greatest_of_a_group_pass_over_what_is_absent),
		cmocka_unit_test(a_group_that_the_length_cuts_short_ends_before_it),
		cmocka_unit_test(no_value_is_made_with_the_scale_factor_of_another_moment),
		cmocka_unit_test(what_waits_for_its_scale_factor_says_so),
		cmocka_unit_test(every_register_of_every_model_is_one_point_and_has_its_scale_factor),
		cmocka_unit_test(counts_that_lie_lead_nowhere_beyond_the_length),
		cmocka_unit_test(a_point_is_named_with_its_group_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
