/* site: site.yaml as a checked model. The one file a person writes; every fault at once, with file and line.
 *
 * psec-site(5) documents every key. A struct site that site_read returned holds only values inside their ranges and
 * references that exist.
 */
#ifndef PSEC_SITE_H
#define PSEC_SITE_H

#include "base/base.h"
#include "bus/bus.h"

enum { SITE_DEVICES_MAX = 64, SITE_BATTERIES_MAX = 1, SITE_ACCESS_MAX = 32, SITE_NAME_LEN = 32,
       SITE_FILE_MAX = 1 << 20 };

enum site_tier { SITE_SIM, SITE_LAB, SITE_PROD };
const char *site_tier_name(enum site_tier t);

enum site_role {
	SITE_GRID_METER, SITE_BATTERY_INVERTER, SITE_BMS, SITE_PV_INVERTER, SITE_GENSET, SITE_LOAD_METER, SITE_UPS,
	SITE_ROLE_COUNT,
};
const char *site_role_name(enum site_role r);              /* "grid-meter" */
must_check bool site_role_parse(const char *name, enum site_role *out);

/* The modes of control, in the field's words (control/control.h acts on them). */
enum site_mode { SITE_MODE_OFF, SITE_MODE_MANUAL, SITE_MODE_SELF_CONSUMPTION, SITE_MODE_OBSERVE, SITE_MODE_COUNT };
const char *site_mode_name(enum site_mode m);
must_check bool site_mode_parse(const char *name, enum site_mode *out);

struct site_device {
	char name[SITE_NAME_LEN];        /* [a-z0-9-]+, unique */
	char profile[48];                /* a profile's id; whether it exists is device's question */
	struct bus_address address;      /* with unit */
	unsigned roles;                  /* bits 1 << SITE_GRID_METER … */
	bool reversed;                   /* mounted the other way round: power and energy directions are swapped */
	int64_t poll_ms;                 /* how often the fast points are read; 0: the profile's */
	int line;
};

struct site_battery {
	char name[SITE_NAME_LEN];
	int inverter, bms;               /* index into devices; bms may be the same device */
	double capacity_wh;              /* usable energy; 0: not stated */
	int line;
};

struct site_control {
	enum site_mode mode;             /* of the first start; later the daemon keeps its own */
	double target_w;                 /* grid power that self-consumption holds, import positive; default 0 */
	double import_limit_w, export_limit_w; /* both >= 0; default: none (INFINITY) */
	double charge_limit_w, discharge_limit_w; /* of the battery, AC side, >= 0; default: none */
	double soc_min_percent, soc_max_percent;  /* 5, 100 */
	double reserve_percent;          /* kept for a power cut; default 10, moved into soc_min…soc_max */
	double ramp_w_per_s;             /* of the set-point; default: none (INFINITY) */
	double safe_w;                   /* battery power when a signal is lost; default 0 */
};

struct site_access {
	char user[SITE_NAME_LEN], group[SITE_NAME_LEN]; /* one of both is "" */
	char right[16];                  /* "viewer" … */
	int line;
};

struct site_samples { int64_t raw_keep_ms, mean_keep_ms, budget_bytes; };

/* Files are absolute paths or beside site.yaml. "": not stated. */
struct site_tpm {
	char tcti[160];                  /* as tpm2-tools write it, "device:/dev/tpmrm0" (the default) */
	char ek_roots[256];              /* PEM: the makers whose endorsement certificates are believed */
	char recovery[256];              /* PEM: the certificate that the hierarchies' authorisations are escrowed to */
	unsigned pcrs;                   /* bits 1 << 7 …: what the first storage policy is bound to; default 7 alone */
};

struct site {
	char id[SITE_NAME_LEN];          /* [a-z0-9-]+ */
	char title[64];                  /* for people, or "" */
	enum site_tier tier;
	char ot_port[16], it_port[16];   /* interface names, or "" */
	struct site_device devices[SITE_DEVICES_MAX];
	size_t device_count;
	struct site_battery batteries[SITE_BATTERIES_MAX];
	size_t battery_count;
	struct site_control control;
	struct site_access access[SITE_ACCESS_MAX];
	size_t access_count;
	struct site_samples samples;
	struct site_tpm tpm;
};

/* Where things of a site are. /etc/psec has state in /var/lib/psec and run in /run/psec; any other DIR its own state/
 * and run/. */
struct site_paths {
	char dir[256], file[288], profiles[288], state[288], db[320], run[288], socket[320];
	bool is_system; /* /etc/psec: the service runs it */
};
/* dir NULL: $PSEC_SITE, else /etc/psec. */
must_check int site_paths_of(const char *dir, struct site_paths *out, struct err *e);

/* Read and check; name is shown in faults. -1 (ERR_INPUT "site.yaml has 3 faults") when sink got any. */
must_check int site_parse(const char *text, size_t len, const char *name, struct site *out, struct diag_sink *sink,
			  struct err *e);
/* Like it, from a file that must be a regular file of ours or root's, not group- or world-writable (ERR_REFUSED).
 * A file that does not exist is ERR_INPUT with errnum ENOENT. */
must_check int site_read(const char *path, struct site *out, struct diag_sink *sink, struct err *e);

/* Every key of the schema: "control.limits.import_w", "devices[].address" (the manual is held against it). */
void site_each_key(void (*fn)(void *arg, const char *path), void *arg);
/* The site as it takes effect, defaults included, as an object with the schema's keys; what is not stated is null.
 * Caller's reference. */
struct json_t;
struct json_t *site_to_json(const struct site *s);
/* Tells two configurations apart by what they take effect as: other comments, the same digest (SHA-256, in hex). */
enum { SITE_DIGEST_LEN = 2 * SHA256_LEN + 1 };
char *site_digest(const struct site *s, char to[SITE_DIGEST_LEN]);
/* The names of roles (bits 1 << SITE_GRID_METER …), as a list. Caller's reference. */
struct json_t *site_roles_to_json(unsigned roles);

/* Device of that name or -1. */
int site_find_device(const struct site *s, const char *name);
/* First device at that unit of that link, or -1. */
int site_find_address(const struct site *s, const struct bus_address *a);
/* First device with that role, or -1. */
int site_find_role(const struct site *s, enum site_role role);

/* What a first site.yaml says, commented for a person; caller frees. */
char *site_template(const char *id, const char *title, enum site_tier tier, const char *ot_port);
/* The text of site.yaml with one more device (and, when it has both roles battery-inverter and bms or completes the
 * pair, the battery), put in without touching the rest. name is the text's, for faults. Checked again; NULL and *e when
 * it would not stand. Caller frees. */
char *site_text_with_device(const char *text, const char *name, const struct site_device *d, const char *comment,
			    struct err *e);

#endif
