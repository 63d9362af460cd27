/* Text of site.yaml: a first one, and one with a device more. */
#include <string.h>

#include "conf/conf.h"
#include "site/site.h"

char *site_template(const char *id, const char *title, enum site_tier tier, const char *ot_port)
{
	auto_buf struct buf b = BUF_INIT;

	buf_adds(&b, "# One site of psec. psec-site(5) explains every key; `psec site check` reads this file.\n"
		     "psec: 1\n\nsite:\n  id: ");
	conf_quote(&b, id);
	buf_adds(&b, "\n");
	if (title && *title) {
		buf_adds(&b, "  title: ");
		conf_quote(&b, title);
		buf_adds(&b, "\n");
	}
	buf_addf(&b, "  tier: %s                # sim, lab or prod\n\n", site_tier_name(tier));
	buf_adds(&b, "ports:                     # the controller's interfaces\n");
	if (ot_port && *ot_port) {
		buf_adds(&b, "  ot: ");
		conf_quote(&b, ot_port);
		buf_adds(&b, "                 # towards the devices\n");
	} else {
		buf_adds(&b, "  # ot: eth1               # towards the devices\n");
	}
	buf_adds(&b, "  # it: eth0               # towards the broker\n\n"
		     "control:                   # power in W: grid import and battery discharge are positive\n"
		     "  mode: off                # at the first start; `psec control mode` changes it later\n"
		     "  target_w: 0              # grid power that self-consumption holds\n"
		     "  # limits:                # none until they are stated\n"
		     "  #   import_w: 20000\n  #   export_w: 10000\n  #   charge_w: 5000\n  #   discharge_w: 5000\n"
		     "  soc:\n    min_percent: 5\n    max_percent: 100\n"
		     "  reserve_percent: 10      # kept for a power cut\n"
		     "  safe_w: 0                # battery power when a signal is lost\n\n"
		     "# Who may do what on this controller, besides root and the owner.\n"
		     "# access:\n#   - user: anna\n#     right: operator       # viewer, operator, technician or "
		     "site-admin\n\n"
		     "# Its identity in the TPM: psec-provision(1).\n"
		     "# tpm:\n#   ek_roots: tpm-makers.pem  # whose TPMs are believed; needed in lab and prod\n"
		     "#   recovery: recovery.pem    # the certificate that the TPM's authorisations are escrowed to\n\n"
		     "samples:\n  raw_keep: 14d\n  mean_keep: 400d          # quarter-hour means\n  budget_mb: 1000\n\n"
		     "# `psec scan --write` puts what it finds here.\n"
		     "devices:\n");
	return buf_take(&b);
}

/* Faults of a text that we made: the first one becomes the error. */
static void keep_first(void *arg, const struct diag *d)
{
	struct err *e = arg;

	if (e->kind == ERR_NONE)
		err_set(e, ERR_INPUT, 0, "%s:%d: %s%s%s", d->file, d->line, d->path, *d->path ? " " : "", d->text);
}

static void write_comment(struct buf *b, const char *comment)
{
	char safe[128];

	if (!comment || !*comment)
		return;
	str_printable(safe, sizeof safe, comment, strlen(comment));
	buf_addf(b, "  # %s", safe);
}

static char *device_item(const struct site_device *d, const char *comment)
{
	auto_buf struct buf b = BUF_INIT;
	char address[BUS_ADDRESS_LEN];
	bool first = true;

	buf_adds(&b, "- name: ");
	conf_quote(&b, d->name);
	write_comment(&b, comment);
	buf_adds(&b, "\n  profile: ");
	conf_quote(&b, d->profile);
	buf_adds(&b, "\n  address: ");
	conf_quote(&b, bus_address_format(&d->address, address));
	buf_adds(&b, "\n  roles: [");
	for (int r = 0; r < SITE_ROLE_COUNT; r++)
		if (d->roles & 1u << r) {
			buf_addf(&b, "%s%s", first ? "" : ", ", site_role_name((enum site_role)r));
			first = false;
		}
	buf_adds(&b, "]\n");
	if (d->reversed)
		buf_adds(&b, "  reversed: true\n");
	if (d->poll_ms)
		buf_addf(&b, "  poll: %lldms\n", (long long)d->poll_ms);
	return buf_take(&b);
}

static char *append(const char *text, const char *name, const char *key, const char *item, struct err *e)
{
	struct diag_sink sink = { keep_first, e, 0 };
	auto_conf struct conf *c = conf_parse(text, strlen(text), name, &sink);
	char *longer = c ? conf_append_item(c, key, item, &sink) : NULL;

	if (!longer && e->kind == ERR_NONE)
		err_set(e, ERR_INPUT, 0, "%s: '%s' is not a list that can be added to", name, key);
	return longer;
}

/* A battery belongs to a meter, an inverter and a BMS; the entry is written when the last of the three arrives. */
static char *battery_item(const struct site *s)
{
	int inverter = site_find_role(s, SITE_BATTERY_INVERTER), bms = site_find_role(s, SITE_BMS);
	auto_buf struct buf b = BUF_INIT;

	if (s->battery_count || inverter < 0 || bms < 0 || site_find_role(s, SITE_GRID_METER) < 0)
		return NULL;
	buf_adds(&b, "- name: battery\n  inverter: ");
	conf_quote(&b, s->devices[inverter].name);
	buf_adds(&b, "\n  bms: ");
	conf_quote(&b, s->devices[bms].name);
	buf_adds(&b, "\n  # capacity_wh: 10000     # usable energy, see its data sheet\n");
	return buf_take(&b);
}

char *site_text_with_device(const char *text, const char *name, const struct site_device *d, const char *comment,
			    struct err *e)
{
	auto_free char *item = device_item(d, comment);
	auto_free struct site *s = xcalloc(1, sizeof *s);
	auto_free char *longer = NULL, *battery = NULL, *with_battery = NULL;
	struct diag_sink sink = { keep_first, e, 0 };
	struct err ignored;

	e->kind = ERR_NONE;
	longer = append(text, name, "devices", item, e);
	if (!longer || site_parse(longer, strlen(longer), name, s, &sink, &ignored) < 0)
		return NULL;
	battery = battery_item(s);
	if (!battery)
		return take(longer);
	with_battery = append(longer, name, "batteries", battery, e);
	if (!with_battery || site_parse(with_battery, strlen(with_battery), name, s, &sink, &ignored) < 0)
		return NULL;
	return take(with_battery);
}
