/* All profiles: the site's own folder first, then the installed ones. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/parts.h"

enum { PROFILES_MAX = 1024 };

struct device_catalogue {
	struct device_profile **profiles;
	size_t count;
	bool faulty;                   /* something was left out */
	char **broken;                 /* ids of the site's own profiles that were left out */
	size_t broken_count;
};

void device_catalogue_free(struct device_catalogue *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++)
		profile_free(c->profiles[i]);
	free(c->profiles);
	for (size_t i = 0; i < c->broken_count; i++)
		free(c->broken[i]);
	free(c->broken);
	free(c);
}

const struct device_profile *device_profile_find(const struct device_catalogue *c, const char *id)
{
	for (size_t i = 0; i < c->count; i++)
		if (str_eq(c->profiles[i]->id, id))
			return c->profiles[i];
	return NULL;
}

bool device_catalogue_faulty(const struct device_catalogue *c)
{
	return c->faulty;
}

const struct device_profile *device_profile_at(const struct device_catalogue *c, size_t i)
{
	return i < c->count ? c->profiles[i] : NULL;
}

const struct device_profile_info *device_profile_info(const struct device_profile *p)
{
	return &p->info;
}

/* A profile says which registers are written: who may change it controls the site. */
static bool is_trusted(const char *path, struct diag_sink *sink)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
		diag_report(sink, path, 0, "", "cannot be read or is no file");
		return false;
	}
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH)) {
		diag_report(sink, path, 0, "", "must be yours or root's and not writable by others (mode %04o)",
			    (unsigned)(st.st_mode & 07777));
		return false;
	}
	return true;
}

static bool is_broken(const struct device_catalogue *c, const char *id)
{
	for (size_t i = 0; i < c->broken_count; i++)
		if (str_eq(c->broken[i], id))
			return true;
	return false;
}

/* The installed profile of the same id must not stand in for one of the site's own that has a fault: it says other
 * registers, or other signs, and nobody asked for it. Where the id cannot be read, the file's name tells it. */
static void note_broken(struct device_catalogue *c, const char *path, const struct buf *text)
{
	struct diag_sink silent = { 0 };
	auto_conf struct conf *conf = conf_parse(text->data != NULL ? text->data : "", text->len, path, &silent);
	const struct conf_node *id = conf != NULL && conf_root(conf)->kind == CONF_MAP ? conf_get(conf_root(conf), "id")
										       : NULL;
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	c->broken = xrealloc(c->broken, c->broken_count + 1, sizeof *c->broken);
	c->broken[c->broken_count++] = id != NULL && id->text[0] != '\0'
					       ? xstrdup(id->text)
					       : xasprintf("%.*s", (int)(strlen(name) - strlen(".yaml")), name);
}

static struct device_profile *read_profile(const char *path, bool check, struct buf *text, struct diag_sink *sink)
{
	struct err e = { 0 };
	struct device_profile *p;
	int faults;

	if (check && !is_trusted(path, sink))
		return NULL;
	if (file_read(path, PARTS_FILE_MAX, text, &e) < 0) {
		diag_report(sink, path, 0, "", "%s", e.text);
		return NULL;
	}
	p = profile_parse(text->data != NULL ? text->data : "", text->len, path, sink);
	if (p == NULL)
		return NULL;
	faults = sink->count;
	if (check)
		profile_check_models(p, sink); /* the installed ones are checked by the tests */
	if (sink->count > faults) {
		profile_free(p);
		return NULL;
	}
	return p;
}

static void add_file(struct device_catalogue *c, size_t own, const char *path, bool check, struct diag_sink *sink)
{
	auto_buf struct buf text = BUF_INIT;
	struct device_profile *p = read_profile(path, check, &text, sink);

	if (p == NULL && check)
		note_broken(c, path, &text);
	if (p == NULL || (!check && is_broken(c, p->id))) {
		profile_free(p);
		return;
	}
	for (size_t i = 0; i < c->count; i++) {
		if (!str_eq(c->profiles[i]->id, p->id))
			continue;
		if (i >= own) /* twice in one folder; a site's own profile stands before an installed one */
			diag_report(sink, path, 0, "id", "'%s' is already the id of %s", p->id, c->profiles[i]->file);
		profile_free(p);
		return;
	}
	c->profiles = xrealloc(c->profiles, c->count + 1, sizeof *c->profiles);
	p->info.own = check;
	c->profiles[c->count++] = p;
}

static int is_yaml(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return d->d_name[0] != '.' && len > 5 && str_eq(d->d_name + len - 5, ".yaml");
}

static int add_folder(struct device_catalogue *c, const char *folder, bool check, struct diag_sink *sink, struct err *e)
{
	struct dirent **names = NULL;
	int n = scandir(folder, &names, is_yaml, alphasort);
	size_t own = c->count;

	if (n < 0)
		return err_set(e, ERR_IO, errno, "cannot read the profiles in '%s'", folder);
	for (int i = 0; i < n; i++) {
		auto_free char *path = xasprintf("%s/%s", folder, names[i]->d_name);

		if (c->count < PROFILES_MAX)
			add_file(c, own, path, check, sink);
		free(names[i]);
	}
	free(names);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp((*(struct device_profile *const *)a)->id, (*(struct device_profile *const *)b)->id);
}

int device_catalogue_load(const char *site_profiles, struct device_catalogue **out, struct diag_sink *sink,
			  struct err *e)
{
	struct device_catalogue *c = xcalloc(1, sizeof *c);
	char path[SHARE_PATH_LEN];
	int r, faults = sink->count;

	if (site_profiles != NULL && access(site_profiles, F_OK) == 0 &&
	    add_folder(c, site_profiles, true, sink, e) < 0) {
		device_catalogue_free(c);
		return -1;
	}
	r = add_folder(c, share_path("profiles", path), false, sink, e);
	if (c->count == 0) {
		device_catalogue_free(c);
		return r < 0 ? -1 : err_set(e, ERR_INPUT, 0, "no usable profile in '%s'", path);
	}
	c->faulty = sink->count > faults;
	qsort(c->profiles, c->count, sizeof *c->profiles, by_id);
	*out = c;
	return 0;
}

/* ---- a point's origin in words ---- */

static void describe(const struct expr *x, struct buf *b)
{
	const struct source *s = &x->source;

	if (x->kind != EXPR_VALUE) {
		buf_addf(b, "%s(", expr_word(x->kind));
		for (size_t i = 0; i < x->term_count; i++) {
			buf_adds(b, i > 0 ? ", " : "");
			describe(x->terms[i], b);
		}
		buf_adds(b, ")");
		if (x->scale != 1.0)
			buf_addf(b, " × %g", x->scale);
		return;
	}
	if (s->sunspec) {
		buf_addf(b, "%u", s->models[0]);
		for (size_t i = 1; i < s->model_count; i++)
			buf_addf(b, "|%u", s->models[i]);
		buf_addf(b, ".%s", s->name);
	} else {
		buf_addf(b, "%s %u %s%s", s->function == BUS_READ_INPUT ? "input" : "holding", s->address,
			 device_type_name(s->type), s->count > 1 && s->order == DEVICE_LOW_FIRST ? " low-first" : "");
	}
	if (s->mask != 0)
		buf_addf(b, " & 0x%x", s->mask);
	if (s->scale != 1.0)
		buf_addf(b, " × %g", s->scale);
}

bool device_profile_point(const struct device_profile *p, size_t i, struct device_profile_point *out)
{
	auto_buf struct buf b = BUF_INIT;

	if (i >= p->point_count)
		return false;
	describe(p->points[i].expr, &b);
	*out = (struct device_profile_point){ .point = p->points[i].point, .rate = p->points[i].rate };
	str_copy(out->how, sizeof out->how, b.data);
	for (size_t k = 0; k < p->write_count; k++)
		out->writable |= p->writes[k].point == out->point;
	return true;
}

/* ---- the site's devices against the profiles ---- */

static bool can_write(const struct device_profile *p, enum device_point point)
{
	for (size_t i = 0; i < p->write_count; i++)
		if (p->writes[i].point == point)
			return true;
	return false;
}

static void check_device(const struct device_catalogue *c, const struct site *s, size_t i, const char *file,
			 struct diag_sink *sink)
{
	const struct site_device *d = &s->devices[i];
	const struct device_profile *p = device_profile_find(c, d->profile);
	bool automatic = s->control.mode == SITE_MODE_MANUAL || s->control.mode == SITE_MODE_SELF_CONSUMPTION;
	char path[64];

	snprintf(path, sizeof path, "devices[%zu].profile", i);
	if (p == NULL) {
		diag_report(sink, file, d->line, path,
			    is_broken(c, d->profile) ? "'%s' is a profile of the site's own that has faults: mend them, or "
						       "take its file away"
						     : "'%s' is no profile here; `psec device list` shows them",
			    d->profile);
		return;
	}
	for (int r = 0; r < SITE_ROLE_COUNT; r++)
		if (d->roles & 1u << r && !(p->info.roles & 1u << r))
			diag_report(sink, file, d->line, path, "'%s' does not know the role %s", d->profile,
				    site_role_name((enum site_role)r));
	for (size_t b = 0; b < s->battery_count; b++)
		if (automatic && s->batteries[b].inverter == (int)i && !can_write(p, POINT_BATTERY_SETPOINT_W))
			diag_report(sink, file, d->line, path, "'%s' only reads; control mode %s needs a set-point",
				    d->profile, site_mode_name(s->control.mode));
}

void device_check_site(const struct device_catalogue *c, const struct site *s, const char *file, struct diag_sink *sink)
{
	for (size_t i = 0; i < s->device_count; i++)
		check_device(c, s, i, file, sink);
}
