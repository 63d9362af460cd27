/* state/secrets: what the storage key keeps, and the escrow of the hierarchies' authorisations.
 *
 * Sealed (crypto_seal), inside lines of "name value"; what this version does not know stays. The order is the safety:
 * authorisations are made, kept and escrowed, and only then does the TPM get them.
 */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD "psec-secrets 1\n"
#define SEAL_NAME "psec state/secrets"
enum { TEXT_MAX = 16384, AUTH_LEN = 32, ESCROW_MAX = 1024 };

char *secrets_path(const struct provision_how *how)
{
	return how->place.state ? xasprintf("%s/secrets", how->place.state) : place_path(how, "../secrets");
}

/* ---- the text ---- */

static int open_text(const struct provision_how *how, const struct secret *key, struct buf *text, bool *there,
		     struct err *e)
{
	auto_free char *path = secrets_path(how);
	auto_buf struct buf sealed = BUF_INIT;

	*there = access(path, F_OK) == 0;
	if (!*there)
		return errno == ENOENT ? 0 : err_set(e, ERR_IO, errno, "cannot look at '%s'", path);
	if (file_read_regular(path, 2 * TEXT_MAX, &sealed, e))
		return -1;
	if (key->len != CRYPTO_HASH || crypto_unseal(key->data, SEAL_NAME, sealed.data, sealed.len, text, e))
		return err_ctx(e, "'%s'", path);
	if (text->len > TEXT_MAX || !str_starts(text->data, HEAD))
		return err_set(e, ERR_INPUT, 0, "'%s' is of another version of psec", path);
	return 0;
}

/* The value of a line; *len 0: there is none. */
static const char *value_of(const struct buf *text, const char *name, size_t *len)
{
	const char *at = text->data ? text->data : "";
	size_t name_len = strlen(name);

	for (; *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strncmp(at, name, name_len) == 0 && at[name_len] == ' ') {
			*len = strcspn(at + name_len + 1, "\n");
			return at + name_len + 1;
		}
	*len = 0;
	return "";
}

static bool read_auth(const struct buf *text, const char *name, struct secret *to)
{
	size_t len;
	const char *hex = value_of(text, name, &len);

	return len == 2 * AUTH_LEN && secret_from_hex(to, hex, AUTH_LEN);
}

static bool read_auths(const struct buf *text, struct tpm_auths *to)
{
	return read_auth(text, "owner", &to->owner) && read_auth(text, "endorsement", &to->endorsement) &&
	       read_auth(text, "lockout", &to->lockout);
}

int secrets_auths(const struct provision_how *how, const struct secret *key, struct tpm_auths *to, bool *there,
		  struct err *e)
{
	auto_buf_wipe struct buf text = BUF_INIT;

	if (open_text(how, key, &text, there, e))
		return -1;
	*there = *there && read_auths(&text, to);
	return 0;
}

/* ---- writing it ---- */

static bool is_ours(const char *line)
{
	static const char *const names[] = { "owner ", "endorsement ", "lockout ", "escrow ", "recovery " };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_starts(line, names[i]))
			return true;
	return false;
}

struct escrow { char hash[CRYPTO_HEX], recovery[CRYPTO_HEX]; };

static void add_auth(struct buf *b, const char *name, const struct secret *s)
{
	char hex[2 * AUTH_LEN + 1];

	buf_addf(b, "%s %s\n", name, crypto_hex(s->data, s->len, hex, sizeof hex));
	explicit_bzero(hex, sizeof hex);
}

static int keep(const struct provision_how *how, const struct secret *key, const struct buf *before,
		const struct tpm_auths *a, const struct escrow *escrow, struct err *e)
{
	auto_free char *path = secrets_path(how);
	auto_buf struct buf sealed = BUF_INIT;
	auto_buf_wipe struct buf text = { .data = xcalloc(1, 2 * TEXT_MAX), .cap = 2 * TEXT_MAX }; /* never moved */
	const char *at = before->data ? before->data + strlen(HEAD) : "";

	buf_adds(&text, HEAD);
	add_auth(&text, "owner", &a->owner);
	add_auth(&text, "endorsement", &a->endorsement);
	add_auth(&text, "lockout", &a->lockout);
	buf_addf(&text, "escrow %s\nrecovery %s\n", escrow->hash, escrow->recovery);
	for (size_t len; *at; at += len) {
		len = strcspn(at, "\n");
		len += at[len] == '\n';
		if (!is_ours(at))
			buf_add(&text, at, len);
	}
	return crypto_seal(key->data, SEAL_NAME, text.data, text.len, &sealed, e) ||
	       file_replace_all(path, sealed.data, sealed.len, 0600, e) ? -1 : 0;
}

/* ---- the escrow ---- */

static int make_escrow(const struct device *d, const struct tpm_auths *a, struct buf *pem, struct err *e)
{
	char hex[3][2 * AUTH_LEN + 1], text[ESCROW_MAX], when[BASE_TIME_LEN];
	const struct secret *of[] = { &a->owner, &a->endorsement, &a->lockout };
	int rc, n;

	for (size_t i = 0; i < COUNT_OF(of); i++)
		crypto_hex(of[i]->data, of[i]->len, hex[i], sizeof hex[i]);
	n = snprintf(text, sizeof text, "{\"psec\": \"escrow\", \"version\": 1, \"serial\": \"%s\", \"site\": \"%s\", "
		     "\"at\": \"%s\", \"owner\": \"%s\", \"endorsement\": \"%s\", \"lockout\": "
		     "\"%s\"}\n", d->how->serial,
		     d->how->site ? d->how->site : "", d->now->utc_valid ? time_format(d->now->utc_us, when) : "", hex[0],
		     hex[1], hex[2]);
	rc = crypto_envelope(d->how->recovery, text, (size_t)n, pem, e);
	explicit_bzero(text, sizeof text);
	explicit_bzero(hex, sizeof hex);
	return rc ? err_ctx(e, "the recovery certificate") : 0;
}

static int make_auths(struct tpm_auths *a, struct err *e)
{
	struct secret *of[] = { &a->owner, &a->endorsement, &a->lockout };

	for (size_t i = 0; i < COUNT_OF(of); i++) {
		of[i]->len = AUTH_LEN;
		if (crypto_random(of[i]->data, AUTH_LEN, e))
			return -1;
		of[i]->data[AUTH_LEN - 1] |= 1; /* a TPM drops zeros at the end (Part 1, 19.6.4.3) */
	}
	return 0;
}

static bool line_is(const struct buf *text, const char *name, const char *value)
{
	size_t len;
	const char *at = value_of(text, name, &len);

	return len == strlen(value) && strncmp(at, value, len) == 0;
}

/* escrow.pem is the one of these authorisations, and for this recovery key (NULL: any). */
static int is_escrowed(const struct provision_how *how, const struct buf *text, bool *is, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_cert_facts f = { 0 };
	char hash[CRYPTO_HEX];

	if (place_read(how, "escrow.pem", &pem, is, e))
		return -1;
	if (!*is)
		return 0;
	enrol_hash(pem.data, hash);
	if (how->recovery)
		crypto_cert_facts(how->recovery, &f);
	*is = line_is(text, "escrow", hash) && (!how->recovery || line_is(text, "recovery", f.fingerprint));
	return 0;
}

int secrets_escrowed(const struct provision_how *how, const struct secret *key, bool *escrowed, struct err *e)
{
	auto_buf_wipe struct buf text = BUF_INIT;
	bool there;

	*escrowed = false;
	if (open_text(how, key, &text, &there, e))
		return -1;
	return there ? is_escrowed(how, &text, escrowed, e) : 0;
}

/* Who gets the authorisations is what site.yaml says, and that may change: so it is told to the log. */
static int record(struct device *d, const char *recovery, struct err *e)
{
	const struct provision_how *how = d->how;
	auto_free char *detail = xasprintf("{\"recovery\":\"%s\",\"serial\":\"%s\"}", recovery, how->serial);

	return how->record ? how->record(how->arg, "escrowed", how->site ? how->site : how->serial, detail, e) : 0;
}

int secrets_ensure(struct device *d, const struct secret *key, bool *made, struct err *e)
{
	auto_buf_wipe struct buf text = BUF_INIT;
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_cert_facts f;
	struct escrow escrow;
	bool there, escrowed;

	*made = false;
	if (open_text(d->how, key, &text, &there, e) || is_escrowed(d->how, &text, &escrowed, e))
		return -1;
	if (there && escrowed && read_auths(&text, &d->auths))
		return 0;
	*made = true;
	/* those that the TPM has already, or may have */
	if (!(there && read_auths(&text, &d->auths)) && !d->has_auths && make_auths(&d->auths, e))
		return -1;
	if (make_escrow(d, &d->auths, &pem, e))
		return -1;
	crypto_cert_facts(d->how->recovery, &f);
	enrol_hash(pem.data, escrow.hash);
	str_copy(escrow.recovery, sizeof escrow.recovery, f.fingerprint);
	/* recorded before the escrow counts as made: a kill between the two records it twice, never not at all */
	return keep(d->how, key, &text, &d->auths, &escrow, e) || record(d, escrow.recovery, e) ||
	       place_write(d->how, "escrow.pem", pem.data, pem.len, e) ? -1 : 0;
}
