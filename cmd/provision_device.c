/* What the commands of psec provision know of the board that they work on. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auditing.h"
#include "provision.h"

enum { WAIT_MS = 10000, FILE_MAX = 256 * 1024 };

/* ---- its serial ---- */

/* Makers leave words in the field; with a blank in them they are no serial anyway. */
static bool is_placeholder(const char *s)
{
	static const char *const words[] = { "none", "default", "unknown", "n/a", "na", "oem", "serial", "0", "0123456789",
					     "123456789", "empty", "null" };

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return false;
}

static bool from_firmware(char serial[ENROL_NAME])
{
	static const char *const files[] = { "/sys/class/dmi/id/product_serial",
					     "/sys/firmware/devicetree/base/serial-number" };

	for (size_t i = 0; i < COUNT_OF(files); i++) {
		auto_buf struct buf b = BUF_INIT;
		struct err ignored;

		if (file_read_regular(files[i], 256, &b, &ignored))
			continue;
		b.data[strcspn(b.data, " \n")] = '\0'; /* a device tree's ends with a NUL */
		if (!enrol_serial_ok(b.data) || is_placeholder(b.data))
			continue;
		str_copy(serial, ENROL_NAME, b.data);
		return true;
	}
	return false;
}

static int find_serial(struct board *b, const struct board_said *o, enum board_mode mode, struct err *e)
{
	char *to = b->serial;

	if (o->serial) {
		if (!enrol_serial_ok(o->serial))
			return err_set(e, ERR_USAGE, 0, "a serial is made of 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and "
				       "begins with none of '.' and '-'");
		str_copy(to, ENROL_NAME, o->serial);
		return 0;
	}
	if (mode != BOARD_FRESH && provision_known_serial(&b->how.place, to, e))
		return -1;
	if (to[0])
		return 0;
	if (b->site && b->site->tier == SITE_SIM)
		return provision_sim_serial(b->how.tcti, WAIT_MS, to, e);
	if (from_firmware(to))
		return 0;
	if (mode != BOARD_NAMELESS)
		return err_set(e, ERR_USAGE, 0, "the firmware does not say the board's serial: give it by --serial SERIAL, as "
			       "it stands on the board's label");
	return 0;
}

/* ---- what its options name ---- */

int board_recovery(const char *path, struct crypto_cert **out, struct err *e)
{
	return crypto_cert_read(path, out, e) ? err_ctx(e, "the recovery certificate") : 0;
}

/* "owner": "64 hex digits" */
static int one_auth(const char *text, const char *name, struct secret *to, struct err *e)
{
	auto_free char *key = xasprintf("\"%s\": \"", name);
	const char *at = strstr(text, key), *hex = at ? at + strlen(key) : "";

	if (!secret_from_hex(to, hex, 32) || hex[64] != '"')
		return err_set(e, ERR_INPUT, 0, "it has no authorisation '%s' of 64 hex digits", name);
	return 0;
}

/* It is a secret: who else can read the file has the TPM. */
static int read_auths(struct board *b, const char *path, struct err *e)
{
	auto_buf_wipe struct buf text = BUF_INIT;
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(e, ERR_IO, errno, "cannot look at '%s'", path);
	if (S_ISREG(st.st_mode) && st.st_mode & 077)
		return err_set(e, ERR_REFUSED, 0, "others may read '%s': chmod 600", path);
	if (file_read(path, 4096, &text, e) || one_auth(text.data, "owner", &b->auths.owner, e) ||
	    one_auth(text.data, "endorsement", &b->auths.endorsement, e) ||
	    one_auth(text.data, "lockout", &b->auths.lockout, e))
		return err_ctx(e, "the authorisations in '%s'", path);
	b->how.auths = &b->auths;
	return 0;
}

static char *beside_site(const struct board *b, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", b->env->paths.dir, path);
}

static int use_options(struct board *b, const struct board_said *o, struct err *e)
{
	const struct site_tpm *t = b->site ? &b->site->tpm : NULL;
	auto_free char *recovery = NULL;

	if (o->ek_roots)
		b->ek_roots = xstrdup(o->ek_roots);
	else if (t && t->ek_roots[0])
		b->ek_roots = beside_site(b, t->ek_roots);
	if (o->no_ek_check && b->site && b->site->tier != SITE_SIM)
		return err_set(e, ERR_USAGE, 0, "--no-ek-check is for simulated TPMs, and this site is of tier %s",
			       b->site->tier == SITE_LAB ? "lab" : "prod");
	b->how.ek_roots = b->ek_roots;
	b->how.ek_needed = !o->no_ek_check && !(b->site && b->site->tier == SITE_SIM);
	if (o->trust) {
		auto_buf struct buf pem = BUF_INIT;

		if (file_read(o->trust, FILE_MAX, &pem, e))
			return -1;
		b->how.trust = b->trust = buf_take(&pem);
	}
	if (o->auths && read_auths(b, o->auths, e))
		return -1;
	if (!o->recovery && t && t->recovery[0])
		recovery = beside_site(b, t->recovery);
	if ((o->recovery || recovery) && board_recovery(o->recovery ? o->recovery : recovery, &b->recovery, e))
		return -1;
	b->how.recovery = b->recovery;
	return 0;
}

/* ---- what is told meanwhile ---- */

static const char *words_of(const char *name)
{
	for (size_t i = 0; i < provision_step_count; i++)
		if (str_eq(provision_steps[i].name, name))
			return provision_steps[i].words;
	return name;
}

static void step(void *arg, const char *name, bool done_now)
{
	struct board *b = arg;

	json_array_append_new(b->steps, json_pack("{s:s, s:b}", "name", name, "done_now", done_now));
	if (cmd_for_people(b->env)) {
		fprintf(b->env->out, "  %-6s %s\n", done_now ? "done" : "there", words_of(name));
		fflush(b->env->out);
	}
}

/* Opened only for this: meanwhile root is who the database belongs to. */
static int record(void *arg, const char *kind, const char *subject, const char *detail, struct err *e)
{
	struct board *b = arg;
	struct auditing a;
	int rc = auditing_open(b->env, true, &a, e) || auditing_append(&a, kind, subject, detail, e) ? -1 : 0;

	b->recorded = b->recorded || !rc;
	auditing_close(&a);
	return rc ? err_ctx(e, "it is done, but not yet in the audit log; run the same again") : 0;
}

/* The log is closed while the TPM signs: open, it may make root its owner. */
static int put_head(void *arg, uint64_t counter, const char *certificate, crypto_sign_fn *sign, void *with,
		    struct err *e)
{
	const struct board *b = arg;
	struct audit_head head = { .counter = counter, .utc_us = b->now.utc_us, .utc_valid = b->now.utc_valid,
				   .certificate = certificate };
	auto_buf struct buf signature = BUF_INIT;
	struct auditing a;
	int rc = auditing_open(b->env, false, &a, e) || auditing_next_head(&a, &head, e) ? -1 : 0;

	auditing_close(&a);
	if (rc || audit_head_sign(&head, sign, with, &signature, e))
		return -1;
	rc = auditing_open(b->env, false, &a, e) || auditing_put_head(&a, &head, e) ? -1 : 0;
	auditing_close(&a);
	return rc;
}

/* Where this call recorded nothing, an earlier one may have, before it was killed or there was a key to sign with. */
static int is_vouched(const struct board *b, bool *vouched, struct err *e)
{
	struct auditing a;
	int rc;

	*vouched = !b->recorded;
	if (b->recorded || !b->site)
		return 0;
	rc = auditing_open(b->env, false, &a, e) || auditing_is_vouched(&a, vouched, e) ? -1 : 0;
	auditing_close(&a);
	if (rc && e->kind == ERR_INPUT) { /* there is no log */
		*vouched = true;
		return 0;
	}
	return rc;
}

int board_vouch(struct board *b, struct err *e)
{
	bool vouched;

	if (is_vouched(b, &vouched, e))
		return -1;
	if (vouched)
		return 0;
	return provision_vouch(&b->how, put_head, b, e) ? err_ctx(e, "it is done and in the audit log, but not vouched for")
							 : 0;
}

/* ---- all together ---- */

static const char *tcti_of(const struct board *b)
{
	const char *named = getenv("PSEC_TCTI");

	if (named && *named)
		return named;
	return b->site && b->site->tpm.tcti[0] ? b->site->tpm.tcti : "device:/dev/tpmrm0";
}

int board_begin(const struct cmd_env *env, const struct board_said *o, enum board_mode mode, struct board *b,
		struct err *e)
{
	*b = (struct board){ .env = env, .now = now_read(), .steps = json_array() };
	provision_guard_memory();
	if (access(env->paths.file, F_OK) == 0) {
		b->site = xcalloc(1, sizeof *b->site);
		if (cmd_read_site(env, b->site, e))
			return -1;
	}
	b->how = (struct provision_how){
		.place.state = env->paths.state, .tcti = tcti_of(b), .wait_ms = WAIT_MS, .serial = b->serial,
		.site = b->site ? b->site->id : NULL, .pcrs = b->site ? b->site->tpm.pcrs : 0, .step = step,
		.record = b->site ? record : NULL, .arg = b,
	};
	if (mode == BOARD_KEY_ONLY)
		return 0;
	return use_options(b, o, e) || find_serial(b, o, mode, e) ? -1 : 0;
}

void board_end(struct board *b)
{
	tpm_auths_wipe(&b->auths);
	crypto_cert_free(b->recovery);
	free(b->site);
	free(b->ek_roots);
	free(b->trust);
	json_decref(b->steps);
}

static int make_ca(const struct board *b, const char *dir, struct err *e)
{
	const struct ca_init how = { .name = b->site->id, .ek_roots = b->how.ek_roots, .now = &b->now };

	if (ca_init(dir, &how, e))
		return err_ctx(e, "the CA of this site");
	fprintf(b->env->err, "psec: made a CA for this site in '%s'\n", dir);
	return 0;
}

int board_ca(const struct board *b, const struct ca_where *where, struct ca **out, struct err *e)
{
	auto_free char *dir = ca_folder(b->env, where);
	const char *named = getenv("PSEC_CA");

	*out = NULL;
	if (!where->ca && !(named && *named) && access(dir, F_OK) < 0 && errno == ENOENT) {
		if (!b->site || b->site->tier == SITE_PROD)
			return 0;
		if (make_ca(b, dir, e))
			return -1;
	}
	return ca_open_with_keys(b->env, where, out, e);
}

int board_agreed(const struct board *b, bool yes, const char *question, struct err *e)
{
	auto_free char *line = NULL;

	if (yes)
		return 0;
	if (!b->env->interactive)
		return err_set(e, ERR_USAGE, 0, "this changes the TPM; where nobody can be asked, say --yes");
	line = cmd_ask_line(b->env, question, "no");
	if (line && (strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0))
		return 0;
	return err_set(e, ERR_INTERRUPTED, 0, "nothing was changed");
}

void board_say_roots(const struct board *b, const struct board_said *o)
{
	auto_free char *real = o->ek_roots ? realpath(o->ek_roots, NULL) : NULL;

	if (o->ek_roots && b->site && !b->site->tpm.ek_roots[0] && cmd_for_people(b->env))
		fprintf(b->env->err, "psec: --ek-roots was for this call alone: for `psec provision status` and later calls "
			"write in '%s', under `tpm:`, the line\n  ek_roots: %s\n", b->env->paths.file,
			real ? real : o->ek_roots);
}

int board_print_steps(const struct board *b, struct err *e)
{
	json_t *o;
	int rc;

	if (cmd_for_people(b->env))
		return 0;
	o = json_pack("{s:s, s:s?, s:b, s:O}", "serial", b->serial, "site", b->how.site, "whole", true, "steps", b->steps);
	rc = cmd_print_json(b->env, o, e);
	json_decref(o);
	return rc;
}

int board_read(const char *path, struct buf *text, struct err *e)
{
	return file_read(path, ENROL_MAX, text, e);
}
