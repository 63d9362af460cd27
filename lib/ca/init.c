#include "inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a folder that is there whole or not at all ------------------------------------------------------------------ */

static int dir_empty(const char *path, struct err *e)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (!d)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", path);
	while (rc == 0 && (entry = readdir(d)) != NULL) {
		auto_free char *name = xasprintf("%s/%s", path, entry->d_name);

		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (unlink(name) < 0)
			rc = errno == EISDIR ? dir_remove(name, e)
					     : err_set(e, ERR_IO, errno, "cannot remove '%s'", name);
	}
	closedir(d);
	return rc;
}

int dir_remove(const char *path, struct err *e)
{
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (dir_empty(path, e))
		return -1;
	return rmdir(path) < 0 ? err_set(e, ERR_IO, errno, "cannot remove '%s'", path) : 0;
}

/* Its lock says whether who began it still works on it; what a killed one left is begun anew. */
static int take_over(struct made *m, struct err *e)
{
	struct stat ours, there;
	auto_close int fd = -1;

	if (mkdir(m->beside, 0700) < 0 && errno != EEXIST)
		return err_set(e, ERR_IO, errno, "cannot make '%s'", m->beside);
	fd = open(m->beside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", m->beside);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &ours) < 0 || stat(m->beside, &there) < 0 ||
	    ours.st_ino != there.st_ino || ours.st_dev != there.st_dev)
		return err_set(e, ERR_AGAIN, 0, "another process is making '%s'", m->dir);
	if (ours.st_uid != geteuid())
		return err_set(e, ERR_REFUSED, 0, "'%s' belongs to another user; remove it first", m->beside);
	m->fd = take_fd(&fd);
	return 0;
}

static int is_free(const char *dir, struct err *e)
{
	auto_free char *db = xasprintf("%s/ca.db", dir);
	struct stat info;
	DIR *d;
	int n = 0;

	if (lstat(dir, &info) < 0)
		return errno == ENOENT ? 0 : err_set(e, ERR_IO, errno, "cannot look at '%s'", dir);
	if (access(db, F_OK) == 0)
		return err_set(e, ERR_REFUSED, 0, "there is a CA in '%s' already", dir);
	d = S_ISDIR(info.st_mode) ? opendir(dir) : NULL;
	while (d && readdir(d))
		n++;
	if (!d || n > 2)
		n = err_set(e, ERR_REFUSED, 0, "'%s' is there and is no CA; another folder must be given, or an empty one",
			    dir);
	if (d)
		closedir(d);
	return n < 0 ? -1 : 0;
}

int made_begin(const char *dir, struct made *m, struct err *e)
{
	auto_free char *a = xstrdup(dir), *b = xstrdup(dir), *above = xstrdup(dirname(a));

	*m = (struct made){ .dir = dir, .fd = -1 };
	if (!*dir || str_eq(basename(b), ".") || str_eq(basename(b), "..") || str_eq(basename(b), "/"))
		return err_set(e, ERR_USAGE, 0, "the CA's folder needs a name of its own, not '%s'", dir);
	if (is_free(dir, e) || dir_make(above, 0700, e))
		return -1;
	m->beside = xasprintf("%s/.%s.new", above, basename(b));
	return take_over(m, e) || dir_empty(m->beside, e) ? -1 : 0;
}

int made_rename(struct made *m, struct err *e)
{
	auto_free char *copy = xstrdup(m->dir);
	auto_close int above = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (above < 0 || fsync(m->fd) < 0)
		return err_set(e, ERR_IO, errno, "cannot sync '%s'", m->beside);
	/* Takes the place of an empty folder, and of nothing else. */
	if (rename(m->beside, m->dir) < 0)
		return errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
			       ? err_set(e, ERR_REFUSED, 0, "'%s' has come to be meanwhile", m->dir)
			       : err_set(e, ERR_IO, errno, "cannot make '%s'", m->dir);
	free(take(m->beside));
	if (fsync(above) < 0 && errno != EINVAL)
		return err_set(e, ERR_IO, errno, "cannot sync the folder above '%s'", m->dir);
	return 0;
}

void made_drop(struct made *m)
{
	struct err ignored;

	/* only what we hold: another's is not ours to remove */
	if (m->beside && m->fd >= 0)
		(void)!dir_remove(m->beside, &ignored);
	free(m->beside);
	base_close_(&m->fd);
}

/* ---- what is in it ----------------------------------------------------------------------------------------------- */

static int check_name(const char *name, struct err *e)
{
	enum { NAME_MAX_LEN = 48 };
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~' || strchr("+#/\"\\<>;,=", name[i]))
			return err_set(e, ERR_USAGE, 0, "the CA's name may have letters, digits, blanks and signs of ASCII, "
							"but none of + # / \" \\ < > ; , =");
	if (!len || len > NAME_MAX_LEN || name[0] == ' ' || name[len - 1] == ' ')
		return err_set(e, ERR_USAGE, 0, "the CA's name must have 1 to %d characters, with no blank at an end",
			       NAME_MAX_LEN);
	return 0;
}

static int put(const struct ca *c, const char *name, const struct buf *b, struct err *e)
{
	auto_free char *path = ca_path(c, name);

	return file_replace(path, b->data, b->len, 0600, e);
}

/* 256 random bits as hex: long enough that the keys need few rounds (crypto_key_write). */
static int make_passphrase(struct ca *c, struct err *e)
{
	auto_secret struct secret raw = { .len = CRYPTO_HASH };
	auto_free char *path = ca_path(c, "passphrase");

	if (crypto_random(raw.data, raw.len, e))
		return -1;
	crypto_hex(raw.data, raw.len, (char *)c->passphrase.data, sizeof c->passphrase.data);
	c->passphrase.len = 2 * raw.len;
	c->passphrase.data[c->passphrase.len] = '\n';
	return file_replace(path, c->passphrase.data, c->passphrase.len + 1, 0600, e);
}

static int make_key(struct ca *c, const char *name, struct crypto_key **out, struct err *e)
{
	auto_free char *path = ca_key_path(c, name, e);

	return !path || crypto_key_new(out, e) || crypto_key_write(*out, path, &c->passphrase, e) ? -1 : 0;
}

static int make_root(struct ca *c, const struct ca_init *how, struct err *e)
{
	enum { DAYS = 3652 };
	auto_crypto_key struct crypto_key *key = NULL;
	auto_crypto_cert struct crypto_cert *cert = NULL;
	auto_free char *cn = xasprintf("%s root", how->name);
	auto_buf struct buf pem = BUF_INIT;
	struct crypto_issue root = {
		.profile = CRYPTO_ROOT, .names = { .cn = cn }, .not_before_us = how->now->utc_us - BEFORE_S * US_PER_S,
		.not_after_us = how->now->utc_us + DAYS * 86400 * US_PER_S,
	};

	if (make_key(c, "root", &key, e) || issue_number(root.number, e))
		return -1;
	root.subject_key = root.issuer_key = key;
	if (crypto_cert_issue(&root, &cert, e) || crypto_cert_pem(cert, &pem, e) || put(c, "root.pem", &pem, e))
		return -1;
	return issuer_make(c, 1, cert, key, how->now->utc_us, e) || issuer_publish(c, how->now->utc_us, e) ? -1 : 0;
}

/* Another's CA: the chain's roots are those that signed themselves. */
static int take_chain(struct ca *c, const struct ca_init *how, struct err *e)
{
	auto_buf struct buf text = BUF_INIT, roots = BUF_INIT, between = BUF_INIT, one = BUF_INIT;
	auto_free char *file = ca_path(c, "intermediate.pem");

	if (file_read(how->chain, DIR_TEXT_MAX, &text, e))
		return -1;
	for (const char *at = text.data; enrol_pem_next(&at, &one);) {
		auto_crypto_cert struct crypto_cert *cert = NULL;
		struct crypto_cert_facts f;

		if (crypto_cert_from_pem(one.data, &cert, e))
			return err_ctx(e, "'%s'", how->chain);
		crypto_cert_facts(cert, &f);
		if (!f.is_ca)
			return err_set(e, ERR_INPUT, 0, "'%s': '%s' is not the certificate of a CA", how->chain, f.subject);
		buf_adds(str_eq(f.issuer, f.subject) ? &roots : &between, one.data);
	}
	if (!roots.len)
		return err_set(e, ERR_INPUT, 0, "'%s' has no root: a certificate that is signed by itself", how->chain);
	if (!between.len)
		buf_adds(&between, "");
	return put(c, "root.pem", &roots, e) || file_replace(file, between.data, between.len, 0600, e) ||
			       meta_put(c, "signer", how->signer, e)
		       ? -1 : 0;
}

static int take_ek_roots(struct ca *c, const char *from, struct err *e)
{
	auto_crypto_bag struct crypto_bag *bag = NULL;
	auto_buf struct buf text = BUF_INIT;

	if (!from)
		return 0;
	if (file_read(from, DIR_TEXT_MAX, &text, e) || crypto_bag_new(&bag, e) ||
	    crypto_bag_add_pem(bag, from, text.data, e))
		return -1;
	if (!crypto_bag_certs(bag))
		return err_set(e, ERR_INPUT, 0, "'%s' has no certificate", from);
	return put(c, "ek-roots.pem", &text, e);
}

static int fill(struct ca *c, void *arg, struct err *e)
{
	const struct ca_init *how = arg;
	auto_crypto_key struct crypto_key *policy = NULL;
	auto_buf struct buf pem = BUF_INIT;

	if (meta_put(c, "name", how->name, e) || meta_put(c, "keys", "keys-1", e) ||
	    registry_act(c, how->now->utc_us, "init", how->name, "", "", e))
		return -1;
	if (make_key(c, "policy", &policy, e) || crypto_key_public_pem(policy, &pem, e) || put(c, "policy.pem", &pem, e))
		return -1;
	return (how->signer ? take_chain(c, how, e) : make_root(c, how, e)) || take_ek_roots(c, how->ek_roots, e) ? -1 : 0;
}

static int check_signer(const struct ca_init *how, struct err *e)
{
	struct stat info;

	if (!how->signer)
		return how->chain ? err_set(e, ERR_USAGE, 0, "a chain belongs to a signer; --signer says which") : 0;
	if (!how->chain)
		return err_set(e, ERR_USAGE, 0, "with a signer its CA's certificates are needed: --chain FILE");
	if (how->signer[0] != '/')
		return err_set(e, ERR_USAGE, 0, "the signer must be given by its whole path, not '%s'", how->signer);
	if (stat(how->signer, &info) < 0)
		return err_set(e, ERR_IO, errno, "cannot run '%s'", how->signer);
	if (!S_ISREG(info.st_mode) || access(how->signer, X_OK) < 0)
		return err_set(e, ERR_INPUT, 0, "'%s' is no program", how->signer);
	if (info.st_mode & 022)
		return err_set(e, ERR_REFUSED, 0, "others can write the signer '%s'; `chmod go-w` it", how->signer);
	return 0;
}

int ca_init(const char *dir, const struct ca_init *how, struct err *e)
{
	auto_made struct made m = { .fd = -1 };
	auto_ca struct ca *c = xcalloc(1, sizeof *c);
	auto_free char *db = NULL, *keys = NULL;

	if (check_name(how->name, e) || check_signer(how, e) || ca_clock(how->now, e) || made_begin(dir, &m, e))
		return -1;
	c->dir = xstrdup(m.beside);
	db = ca_path(c, "ca.db");
	keys = ca_path(c, "keys-1");
	c->has_passphrase = true;
	if (how->passphrase)
		c->passphrase = *how->passphrase;
	else if (make_passphrase(c, e))
		return -1;
	if (dir_make(keys, 0700, e) || registry_make(db, &c->db, e) ||
	    registry_change(c, fill, (void *)how, e)) /* fill only reads it */
		return -1;
	return made_rename(&m, e);
}
