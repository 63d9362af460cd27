/* psec scan --write: proposals of a scan become entries of site.yaml; its text and comments stay. */
#include <string.h>

#include "scan.h"

/* The roles that this device should play in this site: all of its profile's, but one grid meter is enough. */
static unsigned roles_for(const struct site *site, unsigned can)
{
	unsigned grid = 1u << SITE_GRID_METER, load = 1u << SITE_LOAD_METER;

	if (can & grid && site_find_role(site, SITE_GRID_METER) < 0)
		return can & ~load;
	return can & ~grid;
}

static void name_for(const struct site *site, unsigned roles, char to[SITE_NAME_LEN])
{
	static const struct { enum site_role role; const char *name; } names[] = {
		{ SITE_GRID_METER, "meter" }, { SITE_BATTERY_INVERTER, "battery" }, { SITE_BMS, "bms" },
		{ SITE_PV_INVERTER, "pv" }, { SITE_GENSET, "genset" }, { SITE_LOAD_METER, "load" },
	};
	const char *base = "device";

	for (size_t i = COUNT_OF(names); i-- > 0;)
		if (roles & 1u << names[i].role)
			base = names[i].name;
	str_copy(to, SITE_NAME_LEN, base);
	for (int n = 2; site_find_device(site, to) >= 0; n++)
		snprintf(to, SITE_NAME_LEN, "%.20s-%d", base, n);
}

struct put { char *text; int count; struct buf words; /* what to say once the text is in its place */ };

/* Put one row into the text; the old text when it is not to be put in. */
static int put_in(const struct cmd_env *env, const struct device_catalogue *c, const struct scan_row *row,
		  struct put *put, struct err *e)
{
	const struct device_profile *p = row->profile[0] ? device_profile_find(c, row->profile) : NULL;
	struct diag_sink sink = { cmd_diag_to_stderr, env->err, 0 };
	struct site_device d = { .address = row->address };
	auto_free struct site *site = xcalloc(1, sizeof *site);
	char address[BUS_ADDRESS_LEN], comment[200];
	char *with;

	if (!p || row->state != SCAN_DEVICE)
		return 0;
	if (site_parse(put->text, strlen(put->text), env->paths.file, site, &sink, e) < 0)
		return -1;
	bus_address_format(&row->address, address);
	if (site_find_address(site, &row->address) >= 0) {
		fprintf(env->err, "%s is in site.yaml already\n", address);
		return 0;
	}
	d.roles = roles_for(site, device_profile_info(p)->roles);
	if (!d.roles) {
		fprintf(env->err, "%s is left out: the site has a grid meter, and it can be nothing else\n", address);
		return 0;
	}
	str_copy(d.profile, sizeof d.profile, row->profile);
	name_for(site, d.roles, d.name);
	snprintf(comment, sizeof comment, "%s %s%s%s%s", row->identity.make, row->identity.model,
		 row->identity.serial[0] ? " " : "", row->identity.serial,
		 row->match == DEVICE_PROPOSED ? " (a proposal: check it)" : "");
	with = site_text_with_device(put->text, env->paths.file, &d, comment, e);
	if (!with)
		return err_ctx(e, "cannot put %s into site.yaml", address);
	free(put->text);
	put->text = with;
	put->count++;
	buf_addf(&put->words, "added %s: %s, profile %s\n", d.name, address, row->profile);
	return 0;
}

static int put_all(const struct cmd_env *env, const struct device_catalogue *c, const struct scan_found *found,
		   struct put *put, struct err *e)
{
	for (size_t i = 0; i < found->count; i++)
		if (put_in(env, c, &found->rows[i], put, e) < 0)
			return -1;
	if (!put->count) {
		fprintf(env->err, "nothing new for site.yaml\n");
		return 0;
	}
	if (file_replace(env->paths.file, put->text, strlen(put->text), 0640, e) < 0)
		return -1;
	fprintf(env->err, "%s%d device%s put into %s; read it, then `psec%s%s site check`\n", put->words.data, put->count,
		put->count == 1 ? "" : "s", env->paths.file, env->dir ? " -C " : "", env->dir ? env->dir : "");
	return 0;
}

int scan_write_site(const struct cmd_env *env, const struct device_catalogue *c, const struct scan_found *found,
		    struct err *e)
{
	struct put put = { .words = BUF_INIT };
	auto_buf struct buf b = BUF_INIT;
	int rc;

	if (file_read(env->paths.file, SITE_FILE_MAX, &b, e) < 0)
		return err_ctx(e, "--write needs a site.yaml, make one with `psec init`");
	put.text = buf_take(&b);
	rc = put_all(env, c, found, &put, e);
	free(put.text);
	buf_release(&put.words);
	return rc;
}
