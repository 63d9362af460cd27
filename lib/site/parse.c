/* Text to struct site: the schema walked over the node tree; every fault is reported, none ends the walk. */
#include <math.h>
#include <string.h>

#include "faults.h"
#include "schema.h"

struct reader {
	const struct conf *c;
	struct diag_sink *sink;
	struct site *site;
};

static void read_map(struct reader *r, const struct conf_node *node, const struct map *m, char *base);

/* A key with nothing behind it, its children all commented out: as good as not there. */
static bool is_empty(const struct conf_node *n)
{
	return n->kind == CONF_SCALAR && !n->quoted && (!*n->text || str_eq(n->text, "~") || str_eq(n->text, "null"));
}

static void missing(struct reader *r, const struct conf_node *map, const char *key, const char *text)
{
	char path[96];

	snprintf(path, sizeof path, "%s%s%s", map->path, *map->path ? "." : "", key);
	diag_report(r->sink, conf_name(r->c), map->line, path, "%s", text);
}

/* "is WHAT-THE-FILE-SAYS, …", which may be anything. */
static void wrong(struct reader *r, const struct conf_node *n, const char *must)
{
	char safe[100];

	if (n->kind == CONF_SCALAR)
		str_printable(safe, sizeof safe, n->text, strlen(n->text));
	conf_report(r->c, n, r->sink, "%sis %s, %s", *n->path ? "" : "the file ",
		    n->kind == CONF_SCALAR ? (*safe ? safe : "empty") : !n->count ? "empty" :
		    n->kind == CONF_MAP ? "a map" : "a list", must);
}

static void read_version(struct reader *r, const struct conf_node *map, const struct key *k)
{
	const struct conf_node *n = conf_get(map, k->name);

	if (!n)
		missing(r, map, k->name, "is missing: the file must begin with 'psec: 1'");
	else if (n->kind != CONF_SCALAR || !str_eq(n->text, "1"))
		wrong(r, n, "this psec reads version 1");
}

static void read_list(struct reader *r, const struct conf_node *map, const struct key *k, char *base)
{
	const struct conf_node *list = conf_get(map, k->name);
	size_t *count = (size_t *)(base + k->count_offset), n = 0;

	if (!list || is_empty(list))
		return;
	if (list->kind != CONF_LIST) {
		wrong(r, list, "must be a list");
		return;
	}
	for (const struct conf_node *item = list->first; item; item = item->next) {
		char *element = base + k->offset + n * k->stride;

		if (n == k->most) {
			conf_report(r->c, item, r->sink, "is one too many, at most %zu %s", k->most,
				    k->most == 1 ? "is possible" : "are possible");
			break;
		}
		memcpy(element + k->map->line_offset, &item->line, sizeof item->line);
		read_map(r, item, k->map, element);
		*count = ++n;
	}
}

static void read_text(struct reader *r, const struct conf_node *map, const struct key *k, char *to)
{
	const struct conf_node *n = conf_get(map, k->name);
	const char *text = NULL;

	if (!conf_read_text(r->c, map, k->name, k->required, k->size - 1, &text, r->sink) || !text)
		return;
	/* kept even when it is refused below, so that one wrong name is not also a missing device further down */
	str_copy(to, k->size, text);
	if (k->allowed && (!*text || text[strspn(text, k->allowed)]))
		wrong(r, n, k->words);
	else if (k->allowed && *text == '-')
		wrong(r, n, "must not begin with -");
}

static void read_address(struct reader *r, const struct conf_node *map, const struct key *k, struct bus_address *to)
{
	const struct conf_node *n = conf_get(map, k->name);
	const char *text = NULL;
	struct err e;

	if (!conf_read_text(r->c, map, k->name, k->required, BUS_ADDRESS_LEN - 1, &text, r->sink) || !text)
		return;
	if (bus_address_parse(text, to, &e) < 0) {
		/* "address 'ADDRESS': why"; the key and its value are already said */
		const char *why = strstr(e.text, "': ");

		wrong(r, n, why ? why + 3 : e.text);
	} else if (!to->has_unit) {
		conf_report(r->c, n, r->sink, "is %s, must end with a unit, as %s#1", text, text);
	}
}

static void wrong_role(struct reader *r, const struct conf_node *n)
{
	auto_buf struct buf must = BUF_INIT;

	for (int i = 0; i < SITE_ROLE_COUNT; i++)
		buf_addf(&must, "%s%s", !i ? "must be " : i + 1 == SITE_ROLE_COUNT ? " or " : ", ",
			 site_role_name((enum site_role)i));
	wrong(r, n, must.data);
}

static void read_roles(struct reader *r, const struct conf_node *map, const struct key *k, unsigned *to)
{
	const struct conf_node *n = conf_get(map, k->name);
	enum site_role role;

	if (!n) {
		missing(r, map, k->name, "is missing");
		return;
	}
	if (n->kind != CONF_LIST || !n->count) {
		wrong(r, n, "must be a list of roles, as [grid-meter]");
		return;
	}
	for (const struct conf_node *item = n->first; item; item = item->next) {
		if (item->kind != CONF_SCALAR || !site_role_parse(item->text, &role)) {
			wrong_role(r, item);
		} else if (*to & 1u << role) {
			conf_report(r->c, item, r->sink, "names %s a second time", item->text);
		} else {
			*to |= 1u << role;
		}
	}
}

static void read_device(struct reader *r, const struct conf_node *map, const struct key *k, int *to)
{
	const struct conf_node *n = conf_get(map, k->name);
	const char *text = NULL;

	*to = -1;
	if (!conf_read_text(r->c, map, k->name, k->required, SITE_NAME_LEN - 1, &text, r->sink) || !text)
		return;
	*to = site_find_device(r->site, text);
	if (*to < 0)
		wrong(r, n, "which is not the name of a device");
}

static void read_numbers(struct reader *r, const struct conf_node *map, const struct key *k, unsigned *to)
{
	const struct conf_node *n = conf_get(map, k->name);
	char must[80];
	unsigned got = 0;

	if (!n)
		return;
	snprintf(must, sizeof must, "must be a list of whole numbers from %g to %g, as [7]", k->min, k->max);
	if (n->kind != CONF_LIST || !n->count) {
		wrong(r, n, must);
		return;
	}
	for (const struct conf_node *item = n->first; item; item = item->next) {
		int64_t number;

		if (item->kind != CONF_SCALAR || !parse_int(item->text, (int64_t)k->min, (int64_t)k->max, &number))
			wrong(r, item, must);
		else if (got & 1u << number)
			conf_report(r->c, item, r->sink, "names %s a second time", item->text);
		else
			got |= 1u << number;
	}
	*to = got;
}

static void read_megabytes(struct reader *r, const struct conf_node *map, const struct key *k, int64_t *to)
{
	int64_t mb = *to / 1000000;

	if (conf_read_int(r->c, map, k->name, k->required, (int64_t)k->min, (int64_t)k->max, &mb, r->sink))
		*to = mb * 1000000;
}

static void read_choice(struct reader *r, const struct conf_node *map, const struct key *k, char *to)
{
	int chosen = -1;

	if (!conf_read_choice(r->c, map, k->name, k->required, k->choices, &chosen, r->sink) || chosen < 0)
		return;
	if (k->type == KEY_WORD)
		str_copy(to, k->size, k->choices[chosen]);
	else
		memcpy(to, &chosen, sizeof chosen);
}

static void read_key(struct reader *r, const struct conf_node *map, const struct key *k, char *base)
{
	const struct conf_node *n = conf_get(map, k->name);
	void *to = base + k->offset;

	/* "key:" with nothing after it is a key that is not there */
	if (n && is_empty(n) && k->type != KEY_VERSION) {
		if (k->required)
			conf_report(r->c, n, r->sink, "is empty");
		return;
	}
	switch (k->type) {
	case KEY_VERSION:
		read_version(r, map, k);
		break;
	case KEY_MAP:
		if (n)
			read_map(r, n, k->map, to);
		else if (k->required)
			missing(r, map, k->name, "is missing");
		break;
	case KEY_LIST:
		read_list(r, map, k, base);
		break;
	case KEY_REAL:
		conf_read_real(r->c, map, k->name, k->required, k->min, k->max, to, r->sink);
		break;
	case KEY_BOOL:
		conf_read_bool(r->c, map, k->name, k->required, to, r->sink);
		break;
	case KEY_TEXT:
		read_text(r, map, k, to);
		break;
	case KEY_WORD:
	case KEY_CHOICE:
		read_choice(r, map, k, to);
		break;
	case KEY_DURATION:
		conf_read_duration(r->c, map, k->name, k->required, (int64_t)k->min, (int64_t)k->max, to, r->sink);
		break;
	case KEY_MEGABYTES:
		read_megabytes(r, map, k, to);
		break;
	case KEY_ADDRESS:
		read_address(r, map, k, to);
		break;
	case KEY_ROLES:
		read_roles(r, map, k, to);
		break;
	case KEY_DEVICE:
		read_device(r, map, k, to);
		break;
	case KEY_NUMBERS:
		read_numbers(r, map, k, to);
		break;
	}
}

static void read_map(struct reader *r, const struct conf_node *node, const struct map *m, char *base)
{
	const char *known[16];

	if (node->kind != CONF_MAP) {
		char must[64];

		snprintf(must, sizeof must, "must be keys with values, as '%s: …'", m->keys[0].name);
		wrong(r, node, must);
		return;
	}
	for (size_t i = 0; i < m->count; i++)
		known[i] = m->keys[i].name;
	known[m->count] = NULL;
	conf_refuse_unknown(r->c, node, known, r->sink);
	for (size_t i = 0; i < m->count; i++)
		read_key(r, node, &m->keys[i], base);
}

static void set_defaults(struct site *s)
{
	*s = (struct site){
		.control = {
			.mode = SITE_MODE_OFF,
			.import_limit_w = INFINITY, .export_limit_w = INFINITY,
			.charge_limit_w = INFINITY, .discharge_limit_w = INFINITY,
			.soc_min_percent = 5, .soc_max_percent = 100,
			.reserve_percent = NAN,
			.ramp_w_per_s = INFINITY,
		},
		.samples = {
			.raw_keep_ms = INT64_C(14) * 24 * 3600 * 1000,
			.mean_keep_ms = INT64_C(400) * 24 * 3600 * 1000,
			.budget_bytes = INT64_C(1000) * 1000000,
		},
		.tpm.pcrs = 1u << 7,
	};
}

static void read_site(struct reader *r)
{
	const struct conf_node *root = conf_root(r->c), *version = conf_get(root, "psec");
	struct site_control *control = &r->site->control;

	/* another version means other keys: its number is then the one fault worth telling */
	if (version && version->kind == CONF_SCALAR && *version->text && !str_eq(version->text, "1")) {
		read_version(r, root, &site_schema.keys[0]);
		return;
	}
	read_map(r, root, &site_schema, (char *)r->site);
	if (isnan(control->reserve_percent))
		control->reserve_percent = fmin(fmax(10, control->soc_min_percent), control->soc_max_percent);
	site_check(r->c, r->site, r->sink);
}

int site_parse(const char *text, size_t len, const char *name, struct site *out, struct diag_sink *sink, struct err *e)
{
	struct diag_sink collector;
	struct faults faults;
	int count;

	set_defaults(out);
	faults_begin(&faults, &collector);
	auto_conf struct conf *c = conf_parse(text, len, name, &collector);
	if (c)
		read_site(&(struct reader){ c, &collector, out });
	count = faults.count;
	faults_end(&faults, name, sink);
	if (count || !c)
		return err_set(e, ERR_INPUT, 0, "%s has %d fault%s", name, count, count == 1 ? "" : "s");
	return 0;
}
