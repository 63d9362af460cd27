#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the passphrase ---- */

int ca_passphrase(const char *dir, const char *file, struct secret *out, struct err *e)
{
	auto_free char *own = file ? NULL : xasprintf("%s/passphrase", dir);
	const char *path = file ? file : own;
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat info;
	char *end;
	ssize_t n;

	if (fd < 0 && errno == ENOENT && !file)
		return err_set(e, ERR_REFUSED, 0,
			       "the CA's passphrase is needed: '%s' is not there; --passphrase-file says where it is",
			       path);
	if (fd < 0 || fstat(fd, &info) < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", path);
	if (!S_ISREG(info.st_mode))
		return err_set(e, ERR_INPUT, 0, "'%s' is no file", path);
	if (info.st_mode & 077)
		return err_set(e, ERR_REFUSED, 0, "others can read or write the passphrase; `chmod 600 '%s'` and, if they "
						  "may have read it, `psec provision ca rotate`", path);
	n = read(fd, out->data, sizeof out->data);
	if (n < 0)
		return err_set(e, ERR_IO, errno, "cannot read '%s'", path);
	end = memchr(out->data, '\n', (size_t)n);
	out->len = end ? (size_t)(end - (char *)out->data) : (size_t)n;
	explicit_bzero(out->data + out->len, sizeof out->data - out->len);
	if (!end && n == (ssize_t)sizeof out->data)
		return err_set(e, ERR_INPUT, 0, "the first line of '%s' is longer than %zu bytes", path, sizeof out->data);
	if (out->len < 8)
		return err_set(e, ERR_INPUT, 0, "the passphrase in '%s' has %zu bytes, must be at least 8", path,
			       out->len);
	return 0;
}

/* ---- files ---- */

char *ca_path(const struct ca *c, const char *name)
{
	return xasprintf("%s/%s", c->dir, name);
}

int ca_text(const struct ca *c, const char *name, struct buf *b, struct err *e)
{
	auto_free char *path = ca_path(c, name);

	return file_read(path, DIR_TEXT_MAX, b, e);
}

int ca_root(const struct ca *c, struct crypto_cert **out, struct err *e)
{
	auto_free char *path = ca_path(c, "root.pem");

	return crypto_cert_read(path, out, e);
}

char *ca_key_path(struct ca *c, const char *name, struct err *e)
{
	auto_free char *folder = NULL;

	if (meta_get(c, "keys", &folder, e))
		return NULL;
	return xasprintf("%s/%s/%s.key", c->dir, folder, name);
}

int ca_key(struct ca *c, const char *name, struct crypto_key **out, struct err *e)
{
	auto_free char *path = NULL;

	if (!c->has_passphrase)
		return err_set(e, ERR_BUG, 0, "the CA was opened without its passphrase");
	path = ca_key_path(c, name, e);
	return path ? crypto_key_read(path, &c->passphrase, out, e) : -1;
}

int ca_clock(const struct now *now, struct err *e)
{
	if (now->utc_valid)
		return 0;
	return err_set(e, ERR_AGAIN, 0, "the clock of this machine is not set; set it (timedatectl) and try again");
}

/* ---- opening ---- */

static int is_a_ca(struct ca *c, struct err *e)
{
	auto_free char *path = ca_path(c, "ca.db");
	struct stat info;

	if (stat(path, &info) == 0)
		return registry_open(path, &c->db, e);
	if (errno != ENOENT && errno != ENOTDIR)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", path);
	if (stat(c->dir, &info) < 0)
		return err_set(e, ERR_INPUT, 0, "no CA here: '%s' does not exist; `psec provision ca init` makes one, --ca "
						"and $PSEC_CA say where it is", c->dir);
	return err_set(e, ERR_INPUT, 0, "'%s' is no CA: it has no ca.db; `psec provision ca restore` makes the CA from a "
					"backup", c->dir);
}

int ca_open(const char *dir, const struct secret *passphrase, struct ca **out, struct err *e)
{
	auto_ca struct ca *c = xcalloc(1, sizeof *c);
	auto_crypto_key struct crypto_key *probe = NULL;

	c->dir = xstrdup(dir);
	if (is_a_ca(c, e) || meta_get(c, "signer", &c->signer, e))
		return -1;
	if (!c->signer[0]) {
		free(c->signer);
		c->signer = NULL;
	}
	if (passphrase) {
		c->passphrase = *passphrase;
		c->has_passphrase = true;
		if (ca_key(c, "policy", &probe, e))
			return -1;
	}
	*out = take(c);
	return 0;
}

void ca_close(struct ca *c)
{
	if (!c)
		return;
	sqlite3_close(c->db);
	secret_wipe(&c->passphrase);
	free(c->signer);
	free(c->dir);
	free(c);
}

void ca_close_(struct ca **c)
{
	ca_close(*c);
}

bool ca_has_signer(const struct ca *c)
{
	return c->signer;
}

int ca_facts(struct ca *c, struct ca_facts *out, struct err *e)
{
	auto_row sqlite3_stmt *st = NULL;
	auto_crypto_cert struct crypto_cert *root = NULL;
	auto_free char *name = NULL, *roots = ca_path(c, "ek-roots.pem");
	struct crypto_cert_facts facts;

	*out = (struct ca_facts){ .signer = c->signer, .ek_roots = access(roots, F_OK) == 0 };
	if (meta_get(c, "name", &name, e) || ca_root(c, &root, e) ||
	    registry_row(c, &st, e, "SELECT not_after_us FROM authority ORDER BY generation DESC LIMIT 1", "") < 0)
		return -1;
	crypto_cert_facts(root, &facts);
	str_copy(out->name, sizeof out->name, name);
	out->root_not_after_us = facts.not_after_us;
	out->issuer_not_after_us = sqlite3_column_int64(st, 0);
	return 0;
}
