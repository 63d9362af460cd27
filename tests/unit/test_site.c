/* site: what is read, what is refused, where a site lies, whose file is believed, and text with a device more.
 * The words of every fault are held in tests/golden/site. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "site/site.h"
#include "unit.h"

static const char whole[] =
	"psec: 1\n"
	"site: {id: hof-7, title: \"Hof Müller\", tier: lab}\n"
	"ports: {ot: eth1, it: eth0.10}\n"
	"devices:\n"
	"  - name: grid\n"
	"    profile: sunspec-meter\n"
	"    address: tcp://10.0.0.2#1\n"
	"    roles: [grid-meter]\n"
	"    reversed: true\n"
	"    poll: 100ms\n"
	"  - name: hybrid\n"
	"    profile: hybrid\n"
	"    address: rtu:///dev/ttyS1?baud=9600&parity=none#7\n"
	"    roles: [battery-inverter, pv-inverter]\n"
	"  - name: bms\n"
	"    profile: bms\n"
	"    address: tcp://10.0.0.3:1502#2\n"
	"    roles: [bms]\n"
	"batteries:\n"
	"  - name: cellar\n"
	"    inverter: hybrid\n"
	"    bms: bms\n"
	"    capacity_wh: 10240\n"
	"control:\n"
	"  mode: self-consumption\n"
	"  target_w: 50\n"
	"  limits: {import_w: 20000, export_w: 0, charge_w: 4600, discharge_w: 5000.5}\n"
	"  soc: {min_percent: 12, max_percent: 95}\n"
	"  reserve_percent: 20\n"
	"  ramp_w_per_s: 500\n"
	"  safe_w: 100\n"
	"access:\n"
	"  - {user: anna, right: operator}\n"
	"  - {group: adm, right: viewer}\n"
	"samples: {raw_keep: 2d, mean_keep: 30d, budget_mb: 200}\n"
	"tpm: {tcti: 'swtpm:path=/run/tpm', ek_roots: makers.pem, pcrs: [7, 11]}\n";

struct faults {
	int count;
	char text[8192];
};

static void collect(void *arg, const struct diag *d)
{
	struct faults *f = arg;
	size_t len = strlen(f->text);

	f->count++;
	snprintf(f->text + len, sizeof f->text - len, "%s:%d: %s %s\n", d->file, d->line, d->path, d->text);
}

static int parse(const char *text, struct site *s, struct faults *f, struct err *e)
{
	struct diag_sink sink = { collect, f, 0 };
	int rc;

	memset(f, 0, sizeof *f);
	rc = site_parse(text, strlen(text), "site.yaml", s, &sink, e);
	assert_int_equal(sink.count, f->count);
	assert_int_equal(rc < 0, f->count > 0);
	return rc;
}

/* `whole` with one piece replaced, and one it must be there for. */
static void expect_fault(const char *piece, const char *by, const char *fault)
{
	const char *at = strstr(whole, piece);
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	assert_non_null(at);
	auto_free char *text = xasprintf("%.*s%s%s", (int)(at - whole), whole, by, at + strlen(piece));
	if (parse(text, s, &f, &e) == 0)
		fail_msg("no fault where '%s' becomes '%s'", piece, by);
	if (!strstr(f.text, fault))
		fail_msg("'%s' is not among\n%s", fault, f.text);
}

/* ---- reading ---- */

static void every_key_arrives_in_its_field(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	if (parse(whole, s, &f, &e) < 0)
		fail_msg("%s", f.text);
	assert_string_equal(s->id, "hof-7");
	assert_string_equal(s->title, "Hof Müller");
	assert_int_equal(s->tier, SITE_LAB);
	assert_string_equal(s->ot_port, "eth1");
	assert_string_equal(s->it_port, "eth0.10");
	assert_int_equal(s->device_count, 3);
	assert_string_equal(s->devices[0].name, "grid");
	assert_string_equal(s->devices[0].profile, "sunspec-meter");
	assert_int_equal(s->devices[0].address.port, 502);
	assert_int_equal(s->devices[0].roles, 1 << SITE_GRID_METER);
	assert_true(s->devices[0].reversed);
	assert_int_equal(s->devices[0].poll_ms, 100);
	assert_int_equal(s->devices[0].line, 5);
	assert_int_equal(s->devices[1].address.kind, BUS_RTU);
	assert_int_equal(s->devices[1].address.unit, 7);
	assert_int_equal(s->devices[1].roles, 1 << SITE_BATTERY_INVERTER | 1 << SITE_PV_INVERTER);
	assert_int_equal(s->devices[1].poll_ms, 0);
	assert_false(s->devices[1].reversed);
	assert_int_equal(s->battery_count, 1);
	assert_string_equal(s->batteries[0].name, "cellar");
	assert_int_equal(s->batteries[0].inverter, 1);
	assert_int_equal(s->batteries[0].bms, 2);
	assert_true(s->batteries[0].capacity_wh == 10240);
	assert_int_equal(s->batteries[0].line, 20);
	assert_int_equal(s->control.mode, SITE_MODE_SELF_CONSUMPTION);
	assert_true(s->control.target_w == 50);
	assert_true(s->control.import_limit_w == 20000 && s->control.export_limit_w == 0);
	assert_true(s->control.charge_limit_w == 4600 && s->control.discharge_limit_w == 5000.5);
	assert_true(s->control.soc_min_percent == 12 && s->control.soc_max_percent == 95);
	assert_true(s->control.reserve_percent == 20 && s->control.ramp_w_per_s == 500 && s->control.safe_w == 100);
	assert_int_equal(s->access_count, 2);
	assert_string_equal(s->access[0].user, "anna");
	assert_string_equal(s->access[0].group, "");
	assert_string_equal(s->access[0].right, "operator");
	assert_string_equal(s->access[1].group, "adm");
	assert_int_equal(s->samples.raw_keep_ms, INT64_C(2) * 86400000);
	assert_int_equal(s->samples.mean_keep_ms, INT64_C(30) * 86400000);
	assert_int_equal(s->samples.budget_bytes, 200000000);
	assert_string_equal(s->tpm.tcti, "swtpm:path=/run/tpm");
	assert_string_equal(s->tpm.ek_roots, "makers.pem");
	assert_int_equal(s->tpm.pcrs, 1 << 7 | 1 << 11);
	assert_int_equal(site_find_device(s, "bms"), 2);
	assert_int_equal(site_find_device(s, "nope"), -1);
	assert_int_equal(site_find_role(s, SITE_PV_INVERTER), 1);
	assert_int_equal(site_find_role(s, SITE_GENSET), -1);
}

static void a_device_is_found_by_where_it_is(void **state)
{
	static const struct { const char *address; int at; } where[] = {
		{ "tcp://10.0.0.3:1502#2", 2 }, { "tcp://10.0.0.3:1502#3", -1 }, { "tcp://10.0.0.3#2", -1 },
		{ "rtu:/dev/ttyS1?baud=19200#7", 1 }, /* the same line, whatever its speed */
		{ "rtu:/dev/ttyS2?baud=9600&parity=none#7", -1 },
	};
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	assert_int_equal(parse(whole, s, &f, &e), 0);
	for (size_t i = 0; i < COUNT_OF(where); i++) {
		struct bus_address a;

		assert_int_equal(bus_address_parse(where[i].address, &a, &e), 0);
		assert_int_equal(site_find_address(s, &a), where[i].at);
	}
}

static void what_is_not_said_has_its_default(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	assert_int_equal(parse("psec: 1\nsite: {id: a, tier: sim}\ndevices:\ncontrol:\n", s, &f, &e), 0);
	assert_int_equal(s->device_count, 0);
	assert_int_equal(s->control.mode, SITE_MODE_OFF);
	assert_true(isinf(s->control.import_limit_w) && isinf(s->control.discharge_limit_w) && isinf(s->control.ramp_w_per_s));
	assert_true(s->control.soc_min_percent == 5 && s->control.soc_max_percent == 100 && s->control.reserve_percent == 10);
	assert_int_equal(s->samples.raw_keep_ms, INT64_C(14) * 86400000);
	assert_int_equal(s->samples.budget_bytes, 1000000000);
	assert_string_equal(s->tpm.tcti, "");
	assert_int_equal(s->tpm.pcrs, 1 << 7);
}

static void the_default_reserve_keeps_within_the_soc_bounds(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	assert_int_equal(parse("psec: 1\nsite: {id: a, tier: sim}\ncontrol: {soc: {min_percent: 25}}\n", s, &f, &e), 0);
	assert_true(s->control.reserve_percent == 25);
	assert_int_equal(parse("psec: 1\nsite: {id: a, tier: sim}\ncontrol: {soc: {min_percent: 1, max_percent: 8}}\n", s, &f, &e), 0);
	assert_true(s->control.reserve_percent == 8);
}

static void what_is_shown_has_every_key_and_its_value(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;
	json_t *j, *d;

	(void)state;
	assert_int_equal(parse(whole, s, &f, &e), 0);
	j = site_to_json(s);
	assert_int_equal(json_integer_value(json_object_get(j, "psec")), 1);
	d = json_array_get(json_object_get(j, "devices"), 1);
	assert_string_equal(json_string_value(json_object_get(d, "address")), "rtu:///dev/ttyS1?baud=9600&parity=none#7");
	assert_string_equal(json_string_value(json_array_get(json_object_get(d, "roles"), 1)), "pv-inverter");
	assert_true(json_is_null(json_object_get(d, "poll_ms")));
	d = json_array_get(json_object_get(j, "batteries"), 0);
	assert_string_equal(json_string_value(json_object_get(d, "inverter")), "hybrid");
	assert_true(json_real_value(json_object_get(json_object_get(json_object_get(j, "control"), "limits"), "discharge_w")) == 5000.5);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "samples"), "budget_mb")), 200);
	json_decref(j);
}

/* ---- faults: one of each check across fields; tests/golden/site has them all, with their words ---- */

static void each_contradiction_is_a_fault(void **state)
{
	(void)state;
	expect_fault("name: bms\n", "name: grid\n", "devices[2].name is 'grid', which is the name of the device on line 5");
	expect_fault("tcp://10.0.0.3:1502#2\n    roles: [bms]", "tcp://10.0.0.2:502#1\n    roles: [bms, grid-meter]",
		     "with the same role grid-meter");
	expect_fault("tcp://10.0.0.3:1502#2", "rtu:///dev/ttyS1?baud=19200&parity=none#8", "on the same serial line");
	expect_fault("[bms]", "[bms, grid-meter]", "has a second grid-meter");
	expect_fault("[grid-meter]", "[load-meter]", "batteries[0] needs a device with the role grid-meter");
	expect_fault("inverter: hybrid", "inverter: grid", "does not have the role battery-inverter");
	expect_fault("bms: bms", "bms: grid", "does not have the role bms");
	expect_fault("inverter: hybrid", "inverter: other", "batteries[0].inverter is other, which is not the name of a device");
	expect_fault("reserve_percent: 20", "reserve_percent: 11", "must not be below control.soc.min_percent 12");
	expect_fault("reserve_percent: 20", "reserve_percent: 96", "must not be above control.soc.max_percent 95");
	expect_fault("max_percent: 95", "max_percent: 12", "must be below control.soc.max_percent 12");
	expect_fault("safe_w: 100", "safe_w: 6000", "must not be above 5000.5, which is control.limits.discharge_w");
	expect_fault("safe_w: 100", "safe_w: -4601", "must not be below -4600, which is control.limits.charge_w");
	expect_fault("target_w: 50", "target_w: 20001", "must not be above 20000, which is control.limits.import_w");
	expect_fault("target_w: 50", "target_w: -50", "must not be below 0, which is control.limits.export_w");
	expect_fault("it: eth0.10", "it: eth1", "OT and IT never share a port");
	expect_fault("user: anna, ", "", "access[0] names nobody");
	expect_fault("user: anna", "user: anna, group: adm", "names a user and a group");
	expect_fault("right: viewer", "right: fleet-admin", "must be viewer, operator, technician or site-admin");
	expect_fault("psec: 1\n", "psec: 2\n", "psec is 2, this psec reads version 1");
	expect_fault("psec: 1\n", "", "psec is missing");
}

static void prod_takes_no_device_on_this_machine(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "127.9.9.9", "localhost", "[::1]" };
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(hosts); i++)
		for (int prod = 0; prod < 2; prod++) {
			auto_free char *text = xasprintf("psec: 1\nsite: {id: a, tier: %s}\ndevices:\n  - name: m\n    profile: p\n"
							 "    address: 'tcp://%s#1'\n    roles: [load-meter]\n",
							 prod ? "prod" : "lab", hosts[i]);

			assert_int_equal(parse(text, s, &f, &e), prod ? -1 : 0);
			assert_int_equal(f.count, prod);
		}
}

static void all_faults_come_at_once_in_the_order_of_the_file(void **state)
{
	static const char text[] = "psec: 1\nsite:\n  id: A\n  tier: x\n  colour: red\ncontrol:\n  reserve_percent: 140\n  safe_w: a\n";
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	assert_int_equal(parse(text, s, &f, &e), -1);
	assert_string_equal(f.text, "site.yaml:3: site.id is A, must be made of a-z, 0-9 and -\n"
				    "site.yaml:4: site.tier is x, must be sim, lab or prod\n"
				    "site.yaml:5: site.colour is not a key here\n"
				    "site.yaml:7: control.reserve_percent is 140, must be 0…100\n"
				    "site.yaml:8: control.safe_w is a, must be a number, -10000000…10000000\n");
	assert_int_equal(e.kind, ERR_INPUT);
	assert_string_equal(e.text, "site.yaml has 5 faults");
}

static void without_a_sink_the_count_is_still_told(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct err e;

	(void)state;
	assert_int_equal(site_parse("psec: 1\n", 8, "x", s, NULL, &e), -1);
	assert_string_equal(e.text, "x has 1 fault");
	assert_int_equal(site_parse("", 0, "x", s, NULL, &e), -1);
	assert_int_equal(site_parse("a: &b c\n", 8, "x", s, NULL, &e), -1);
}

static void more_devices_than_there_is_room_for_are_a_fault(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	auto_buf struct buf b = BUF_INIT;
	struct faults f;
	struct err e;

	(void)state;
	buf_adds(&b, "psec: 1\nsite: {id: a, tier: sim}\ndevices:\n");
	for (int i = 0; i < SITE_DEVICES_MAX + 3; i++)
		buf_addf(&b, "  - {name: d%d, profile: p, address: 'tcp://10.0.0.1#%d', roles: [load-meter]}\n", i, i);
	assert_int_equal(parse(b.data, s, &f, &e), -1);
	assert_string_equal(f.text, "site.yaml:68: devices[64] is one too many, at most 64 are possible\n");
}

/* ---- the file ---- */

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void only_a_plain_file_of_ours_is_believed(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	char dir[] = "/tmp/psec-site-XXXXXX", path[64];
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/site.yaml", dir);
	assert_int_equal(site_read(path, s, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(e.errnum, ENOENT);
	write_file(path, whole, 0600);
	assert_int_equal(site_read(path, s, NULL, &e), 0);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(site_read(path, s, NULL, &e), 0);
	for (mode_t bad = 0620; bad; bad = bad == 0620 ? 0602 : 0) {
		assert_int_equal(chmod(path, bad), 0);
		assert_int_equal(site_read(path, s, NULL, &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
		assert_non_null(strstr(e.text, "chmod go-w"));
	}
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 1, 1), 0);
		assert_int_equal(site_read(path, s, NULL, &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
		assert_non_null(strstr(e.text, "belongs to user 1"));
	}
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(site_read(path, s, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	unlink(path);
	assert_int_equal(site_read(dir, s, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	rmdir(dir);
}

static void a_site_lies_where_it_is_said_to(void **state)
{
	auto_free char *long_dir = xasprintf("/%0300d", 1);
	struct site_paths p;
	struct err e;

	(void)state;
	unsetenv("PSEC_SITE");
	assert_int_equal(site_paths_of(NULL, &p, &e), 0);
	assert_string_equal(p.dir, PSEC_SYSCONFDIR "/psec");
	assert_string_equal(p.file, PSEC_SYSCONFDIR "/psec/site.yaml");
	assert_string_equal(p.db, "/var/lib/psec/psec.db");
	assert_string_equal(p.socket, "/run/psec/psecd.sock");
	setenv("PSEC_SITE", "/srv/hof/", 1);
	assert_int_equal(site_paths_of(NULL, &p, &e), 0);
	assert_string_equal(p.dir, "/srv/hof");
	assert_string_equal(p.profiles, "/srv/hof/profiles");
	assert_string_equal(p.db, "/srv/hof/state/psec.db");
	assert_string_equal(p.socket, "/srv/hof/run/psecd.sock");
	assert_int_equal(site_paths_of(".", &p, &e), 0);
	assert_string_equal(p.file, "site.yaml");
	assert_string_equal(p.db, "./state/psec.db");
	unsetenv("PSEC_SITE");
	assert_int_equal(site_paths_of(long_dir, &p, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

/* ---- text ---- */

static struct site_device device(const char *name, const char *address, unsigned roles)
{
	struct site_device d = { .roles = roles };
	struct err e;

	str_copy(d.name, sizeof d.name, name);
	str_copy(d.profile, sizeof d.profile, "sunspec-meter");
	assert_int_equal(bus_address_parse(address, &d.address, &e), 0);
	return d;
}

static void the_first_site_yaml_is_sound_in_every_tier(void **state)
{
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	for (enum site_tier t = SITE_SIM; t <= SITE_PROD; t++) {
		auto_free char *text = site_template("null", "Hof: \"7\" # x", t, t == SITE_LAB ? "eth1" : "");

		if (parse(text, s, &f, &e) < 0)
			fail_msg("%s", f.text);
		assert_string_equal(s->id, "null");
		assert_string_equal(s->title, "Hof: \"7\" # x");
		assert_int_equal(s->tier, t);
		assert_string_equal(s->ot_port, t == SITE_LAB ? "eth1" : "");
	}
}

static void a_battery_is_written_when_the_last_of_its_three_arrives(void **state)
{
	const struct site_device all[] = {
		device("inverter", "tcp://127.0.0.2#1", 1 << SITE_BATTERY_INVERTER | 1 << SITE_PV_INVERTER),
		device("bms", "tcp://127.0.0.3#1", 1 << SITE_BMS),
		device("grid", "rtu:///dev/ttyS1?baud=9600&parity=none#1", 1 << SITE_GRID_METER),
	};
	auto_free struct site *s = xcalloc(1, sizeof *s);
	struct faults f;
	struct err e;

	(void)state;
	for (size_t first = 0; first < 3; first++) {
		char *text = site_template("hof", "", SITE_SIM, "");

		for (size_t i = 0; i < 3; i++) {
			char *longer = site_text_with_device(text, "site.yaml", &all[(first + i) % 3], "found\nby scan", &e);

			if (!longer)
				fail_msg("%s", e.text);
			free(text);
			text = longer;
			assert_int_equal(parse(text, s, &f, &e), 0);
			assert_int_equal(s->device_count, i + 1);
			assert_int_equal(s->battery_count, i == 2);
		}
		assert_int_equal(s->batteries[0].inverter, site_find_device(s, "inverter"));
		assert_int_equal(s->batteries[0].bms, site_find_device(s, "bms"));
		free(text);
	}
}

static void the_rest_of_the_text_stays_as_it_was(void **state)
{
	struct site_device d = device("load", "tcp://10.0.0.9:1502#3", 1 << SITE_LOAD_METER), *again = &d;
	struct err e;

	(void)state;
	d.reversed = true;
	d.poll_ms = 250;
	auto_free char *text = site_text_with_device(whole, "site.yaml", &d, NULL, &e);
	assert_non_null(text);
	const char *added = strstr(text, "  - name: load\n");
	static const char item[] = "  - name: load\n    profile: sunspec-meter\n    address: tcp://10.0.0.9:1502#3\n"
				   "    roles: [load-meter]\n    reversed: true\n    poll: 250ms\n";
	assert_non_null(added);
	assert_memory_equal(added, item, sizeof item - 1);
	assert_memory_equal(text, whole, (size_t)(added - text));
	assert_string_equal(added + sizeof item - 1, whole + (added - text));
	assert_null(site_text_with_device(text, "site.yaml", again, NULL, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "which is the name of the device on line"));
	assert_null(site_text_with_device("psec: 1\ndevices: 5\n", "site.yaml", again, NULL, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_null(site_text_with_device("{", "site.yaml", again, NULL, &e));
	assert_int_equal(e.kind, ERR_INPUT);
}

/* ---- the manual ---- */

struct page {
	struct buf text;
	int missing;
};

/* Each key stands in the page as a heading of its own: "*control.limits.import_w*". */
static void look_up(void *arg, const char *path)
{
	struct page *page = arg;
	auto_free char *heading = xasprintf("\n*%s*", path);

	if (!strstr(page->text.data, heading)) {
		print_error("psec-site(5) has no '%s'\n", path);
		page->missing++;
	}
}

static void every_key_is_in_the_manual(void **state)
{
	struct page page = { BUF_INIT, 0 };
	struct err e;

	(void)state;
	if (file_read("man/psec-site.5.scd", 1 << 20, &page.text, &e) < 0)
		fail_msg("%s (run from the top of the tree)", e.text);
	site_each_key(look_up, &page);
	assert_int_equal(page.missing, 0);
	buf_release(&page.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_arrives_in_its_field),
		cmocka_unit_test(a_device_is_found_by_where_it_is),
		cmocka_unit_test(what_is_not_said_has_its_default),
		cmocka_unit_test(the_default_reserve_keeps_within_the_soc_bounds),
		cmocka_unit_test(what_is_shown_has_every_key_and_its_value),
		cmocka_unit_test(each_contradiction_is_a_fault),
		cmocka_unit_test(prod_takes_no_device_on_this_machine),
		cmocka_unit_test(all_faults_come_at_once_in_the_order_of_the_file),
		cmocka_unit_test(without_a_sink_the_count_is_still_told),
		cmocka_unit_test(more_devices_than_there_is_room_for_are_a_fault),
		cmocka_unit_test(only_a_plain_file_of_ours_is_believed),
		cmocka_unit_test(a_site_lies_where_it_is_said_to),
		cmocka_unit_test(the_first_site_yaml_is_sound_in_every_tier),
		cmocka_unit_test(a_battery_is_written_when_the_last_of_its_three_arrives),
		cmocka_unit_test(the_rest_of_the_text_stays_as_it_was),
		cmocka_unit_test(every_key_is_in_the_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
