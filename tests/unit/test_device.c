/* Points and profiles: what is refused, what a site is told. */
#include "device/parts.h"
#include "device_image.h"
#include "own_profiles.h"

static void every_point_has_a_name_of_its_role_and_is_found_by_it(void **state)
{
	(void)state;
	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *p = device_point((enum device_point)i);
		const char *role = site_role_name(p->role);

		assert_non_null(p->name);
		assert_true(str_starts(p->name, role));
		assert_int_equal(device_point_find(SITE_UPS, p->name), i);
		assert_int_equal(device_point_find(p->role, p->name + strlen(role) + 1), i);
		assert_true(p->min < p->max);
	}
	assert_int_equal(device_point_find(SITE_GRID_METER, "nothing"), -1);
	assert_int_equal(device_point_find(SITE_GRID_METER, "soc_percent"), -1);
}

static void every_installed_profile_is_faultless_and_names_its_source(void **state)
{
	struct device_catalogue *c = catalogue();
	struct said said = { "" };
	struct diag_sink sink = { listen_to_diags, &said, 0 };

	(void)state;
	for (size_t i = 0; device_profile_at(c, i) != NULL; i++) {
		const struct device_profile_info *p = device_profile_info(device_profile_at(c, i));

		profile_check_models(device_profile_at(c, i), &sink);
		assert_string_equal(said.text, "");
		assert_true(strlen(p->source) > 10);
		assert_true(p->roles != 0 && p->unit_count > 0);
	}
	assert_non_null(device_profile_find(c, "sunspec-storage"));
	assert_null(device_profile_find(c, "sunspec"));
	device_catalogue_free(c);
}

static void the_manual_lists_every_point_with_its_unit(void **state)
{
	auto_buf struct buf page = BUF_INIT;
	struct err e;

	(void)state;
	if (file_read("man/psec-profile.5.scd", 1 << 20, &page, &e) < 0)
		fail_msg("%s", e.text);
	for (int i = 0; i < POINT_COUNT; i++) {
		const struct device_point_info *p = device_point((enum device_point)i);
		auto_free char *line = xasprintf("%s%s%s", p->name, p->unit[0] ? " " : "", p->unit);

		if (strstr(page.data, line) == NULL)
			fail_msg("psec-profile(5) lacks '%s'", line);
	}
}

#define HEAD "psec-profile: 1\nid: own\nmake: M\nmodel: N\nsource: by hand, here\n"

/* The faults of one profile in a site's own folder; "" when it is taken. */
static void faults_of(const char *yaml, struct said *said, mode_t mode)
{
	device_catalogue_free(own_profiles((const char *const[]){ yaml, NULL }, mode, said));
}

static void all_faults_of_a_profile_are_told_at_once_with_their_lines(void **state)
{
	struct said said;

	(void)state;
	faults_of(HEAD "colour: red\n"                                            /* 6 */
		  "points:\n"
		  "  grid-meter.power_w: {function: 3, address: 70000}\n"              /* 8 */
		  "  grid-meter.frequency_hz: {function: 3, address: 10, type: int7}\n" /* 9 */
		  "  grid-meter.import_wh: {function: 3, address: 20, scale: 0}\n"    /* 10 */
		  "  grid-meter.colour: {function: 3, address: 30}\n"                  /* 11 */
		  "  grid-meter.voltage_l1_v: {function: 3, address: 40, type: int32}\n"
		  "  grid-meter.voltage_l2_v: {function: 3, address: 41}\n"           /* 13 */
		  "  grid-meter.export_wh: {function: 3, address: 65535, type: int32}\n" /* 14 */
		  "  bms.voltage_v: {address: 5}\n",                                  /* 15: no function; and no SoC */
		  &said, 0600);
	assert_non_null(strstr(said.text, "6: colour"));
	assert_non_null(strstr(said.text, "8: points.grid-meter.power_w.address"));
	assert_non_null(strstr(said.text, "9: "));
	assert_non_null(strstr(said.text, "10: points.grid-meter.import_wh.scale is 0"));
	assert_non_null(strstr(said.text, "11: points.grid-meter.colour is no point"));
	assert_non_null(strstr(said.text, "13: points uint16 at 41 overlaps int32 at 40 (line 12)"));
	assert_non_null(strstr(said.text, "14: "));
	assert_non_null(strstr(said.text, "15: points.bms.voltage_v"));
	assert_non_null(strstr(said.text, "role bms needs bms.soc_percent"));
}

static void a_profile_that_others_may_change_is_refused(void **state)
{
	static const char good[] = HEAD "points:\n  grid-meter.power_w: {function: 3, address: 1}\n";
	struct said said;

	(void)state;
	faults_of(good, &said, 0600);
	assert_string_equal(said.text, "");
	faults_of(good, &said, 0622);
	assert_non_null(strstr(said.text, "not writable by others"));
}

static void a_write_is_checked_like_a_read(void **state)
{
	struct said said;

	(void)state;
	faults_of(HEAD "points:\n  battery-inverter.power_w: {function: 3, address: 1}\n"
		  "writes:\n"
		  "  battery-inverter.setpoint_w: [{function: 6, address: 9, type: int32}, {function: 3, address: 9}]\n"
		  "  battery-inverter.power_w: [{address: 2}]\n", &said, 0600);
	assert_non_null(strstr(said.text, "function 6 writes one register"));
	assert_non_null(strstr(said.text, "is written with function 6 or 16"));
	assert_non_null(strstr(said.text, "battery-inverter.power_w is no point that may be written"));
}

static void plausible_values_propose_and_never_identify(void **state)
{
	struct device_catalogue *c = catalogue();
	const struct device_profile *p = device_profile_find(c, "eastron-sdm630");
	const struct device_probe *probes;
	uint16_t volts[2], hertz[2];
	const uint16_t *answers[] = { volts, hertz };
	char why[120];

	(void)state;
	assert_int_equal(device_profile_probes(p, &probes), 2);
	assert_int_equal(probes[0].function, BUS_READ_INPUT);
	assert_int_equal(probes[1].address, 70);
	put_float(volts, 231.2f);
	put_float(hertz, 49.98f);
	assert_int_equal(device_profile_match(p, answers, why), DEVICE_PROPOSED);
	assert_string_equal(why, "voltage 231.2 V, frequency 49.98 Hz plausible");
	put_float(hertz, NAN);
	assert_int_equal(device_profile_match(p, answers, why), DEVICE_NO);
	answers[1] = NULL;
	assert_int_equal(device_profile_match(p, answers, why), DEVICE_NO);
	device_catalogue_free(c);
}

/* Registers from their addresses on, as the devices answer; a last register of another device, or nothing, is no match. */
static void a_signature_identifies_and_its_neighbour_does_not(void **state)
{
	static const struct { const char *profile; uint16_t address[2], answers[2][16]; } cases[] = {
		{ "abb-b2x", { 0x8960 }, { { 0x4232, 0x3320 } } },
		{ "carlo-gavazzi-em24", { 11 }, { { 1653 } } },
		{ "comap-intelilite4", { 1307 }, { { 0x496E, 0x7465, 0x6C69, 0x4C69, 0x7465, 0x342D, 0x414D } } },
		{ "dse-gencomm", { 768, 769 }, { { 1 }, { 32841 } } },
		{ "dse-gencomm", { 768, 769 }, { { 1 }, { 4623 } } },
	};
	struct device_catalogue *c = catalogue();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct device_profile *p = device_profile_find(c, cases[i].profile);
		uint16_t other[16] = { 0x1234, 7 };
		const uint16_t *answers[2] = { cases[i].answers[0], cases[i].answers[1] };
		const struct device_probe *probes;
		size_t n = device_profile_probes(p, &probes);
		char why[120];

		for (size_t k = 0; k < n; k++)
			assert_int_equal(probes[k].address, cases[i].address[k]);
		assert_int_equal(device_profile_match(p, answers, why), DEVICE_IDENTIFIED);
		assert_non_null(strstr(why, "model"));
		answers[n - 1] = other;
		assert_int_equal(device_profile_match(p, answers, why), DEVICE_NO);
		answers[n - 1] = NULL;
		assert_int_equal(device_profile_match(p, answers, why), DEVICE_NO);
	}
	device_catalogue_free(c);
}

static void a_site_is_told_what_its_profiles_cannot_do(void **state)
{
	static struct site s;
	struct device_catalogue *c = catalogue();
	struct said said = { "" };
	struct diag_sink sink = { listen_to_diags, &said, 0 };

	(void)state;
	s.device_count = 3;
	s.devices[0] = (struct site_device){ .name = "a", .profile = "nothing", .line = 5 };
	s.devices[1] = (struct site_device){ .name = "b", .profile = "eastron-sdm630", .roles = 1u << SITE_BMS, .line = 9 };
	s.devices[2] = (struct site_device){ .name = "c", .profile = "deye-hybrid-3p", .line = 13,
					     .roles = 1u << SITE_BATTERY_INVERTER | 1u << SITE_BMS };
	s.battery_count = 1;
	s.batteries[0] = (struct site_battery){ .inverter = 2, .bms = 2 };
	s.control.mode = SITE_MODE_SELF_CONSUMPTION;
	device_check_site(c, &s, "site.yaml", &sink);
	assert_int_equal(sink.count, 3);
	assert_non_null(strstr(said.text, "5: devices[0].profile 'nothing' is no profile here"));
	assert_non_null(strstr(said.text, "9: devices[1].profile 'eastron-sdm630' does not know the role bms"));
	assert_non_null(strstr(said.text, "13: devices[2].profile 'deye-hybrid-3p' only reads"));
	device_catalogue_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_point_has_a_name_of_its_role_and_is_found_by_it),
		cmocka_unit_test(every_installed_profile_is_faultless_and_names_its_source),
		cmocka_unit_test(the_manual_lists_every_point_with_its_unit),
		cmocka_unit_test(all_faults_of_a_profile_are_told_at_once_with_their_lines),
		cmocka_unit_test(a_profile_that_others_may_change_is_refused),
		cmocka_unit_test(a_write_is_checked_like_a_read),
		cmocka_unit_test(plausible_values_propose_and_never_identify),
		cmocka_unit_test(a_signature_identifies_and_its_neighbour_does_not),
		cmocka_unit_test(a_site_is_told_what_its_profiles_cannot_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
