/* Any text: it has faults, or it is a site with values in their ranges and references that exist, and can grow. */
#include <jansson.h>
#include <string.h>

#include "site/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void expect_device(const struct site_device *d)
{
	char shown[BUS_ADDRESS_LEN];
	struct bus_address again;
	struct err e;

	expect(*d->name && *d->profile && d->roles && d->roles < 1u << SITE_ROLE_COUNT && d->address.has_unit && d->line > 0);
	expect(d->poll_ms == 0 || (d->poll_ms >= 20 && d->poll_ms <= 60000));
	expect(bus_address_parse(bus_address_format(&d->address, shown), &again, &e) == 0);
}

static void expect_site(const struct site *s)
{
	const struct site_control *c = &s->control;

	expect(*s->id && s->tier <= SITE_PROD && s->device_count <= SITE_DEVICES_MAX && s->battery_count <= SITE_BATTERIES_MAX);
	for (size_t i = 0; i < s->device_count; i++) {
		expect_device(&s->devices[i]);
		expect((size_t)site_find_device(s, s->devices[i].name) == i);
	}
	for (size_t i = 0; i < s->battery_count; i++) {
		const struct site_battery *b = &s->batteries[i];

		expect(b->inverter >= 0 && (size_t)b->inverter < s->device_count && b->bms >= 0 && (size_t)b->bms < s->device_count);
		expect(s->devices[b->inverter].roles & 1u << SITE_BATTERY_INVERTER && s->devices[b->bms].roles & 1u << SITE_BMS);
	}
	expect(c->mode < SITE_MODE_COUNT && c->soc_min_percent >= 0 && c->soc_max_percent <= 100);
	expect(c->soc_min_percent <= c->reserve_percent && c->reserve_percent <= c->soc_max_percent);
	expect(c->import_limit_w >= 0 && c->export_limit_w >= 0 && c->charge_limit_w >= 0 && c->discharge_limit_w >= 0);
	expect(c->safe_w <= c->discharge_limit_w && -c->safe_w <= c->charge_limit_w && c->ramp_w_per_s > 0);
	for (size_t i = 0; i < s->access_count; i++)
		expect(!*s->access[i].user != !*s->access[i].group && *s->access[i].right);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct site s, longer_site;
	struct site_device d = { .name = "fuzz-new", .profile = "p", .roles = 1 << SITE_LOAD_METER };
	struct diag_sink sink = { 0 };
	auto_free char *text = NULL, *longer = NULL;
	json_t *shown;
	struct err e;

	if (site_parse((const char *)data, size, "fuzz", &s, &sink, &e) < 0) {
		expect(sink.count > 0 && e.kind == ERR_INPUT);
		return 0;
	}
	expect(sink.count == 0);
	expect_site(&s);
	shown = site_to_json(&s);
	text = json_dumps(shown, 0);
	expect(text != NULL);
	json_decref(shown);
	free(take(text));
	text = xcalloc(size + 1, 1);
	memcpy(text, data, size);
	expect(bus_address_parse("tcp://192.0.2.77:7777#77", &d.address, &e) == 0);
	longer = site_text_with_device(text, "fuzz", &d, "a\nb", &e);
	if (longer) {
		expect(site_parse(longer, strlen(longer), "fuzz", &longer_site, NULL, &e) == 0);
		expect(longer_site.device_count == s.device_count + 1 && site_find_device(&longer_site, "fuzz-new") >= 0);
	}
	return 0;
}
