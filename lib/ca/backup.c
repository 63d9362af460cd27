/* A CA in one file: pieces of its files, a line of JSON each, each in a CMS envelope. Without a recovery certificate
 * the envelopes are for a key that was made for this file alone and stands at its head, under the passphrase: so
 * nothing but openssl is needed to open it, and no format of our own. The passphrase itself is never in it. */
#include "inside.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>


enum { BACKUP_MAX = 1 << 30, DB_MAX = 256 << 20, PART_MAX = 64 << 20, VERSION = 1 };
enum { PIECE = 90 * 1024 /* as base64 what an envelope takes */ };

/* What belongs to it beside ca.db and the keys. */
static const char *const parts[] = { "root.pem", "intermediate.pem", "policy.pem", "ek-roots.pem", "crl.pem" };

/* ---- packing ---- */

static int pack_bytes(json_t *pieces, const char *name, const void *data, size_t len, struct err *e)
{
	auto_buf struct buf b64 = BUF_INIT;

	for (size_t at = 0; at < len || at == 0; at += PIECE) {
		buf_clear(&b64);
		buf_adds(&b64, "");
		if (len && crypto_base64((const char *)data + at, len - at < PIECE ? len - at : PIECE, &b64, e))
			return -1;
		json_array_append_new(pieces, json_pack("{s:s s:i s:s s:s}", "psec", "ca-backup", "version", VERSION, "file",
							name, "data", b64.data));
	}
	return 0;
}

static int pack(json_t *pieces, const char *name, const char *path, struct err *e)
{
	auto_buf struct buf b = BUF_INIT;

	return file_read(path, PART_MAX, &b, e) ? -1 : pack_bytes(pieces, name, b.data, b.len, e);
}

static int pack_keys(struct ca *c, json_t *pieces, struct err *e)
{
	auto_free char *keys = NULL, *path = NULL;
	struct dirent *entry;
	int rc = 0;
	DIR *d;

	if (meta_get(c, "keys", &keys, e))
		return -1;
	path = ca_path(c, keys);
	d = opendir(path);
	if (!d)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", path);
	while (rc == 0 && (entry = readdir(d)) != NULL) {
		auto_free char *name = xasprintf("%s/%s", keys, entry->d_name), *file = ca_path(c, name);

		if (entry->d_name[0] != '.')
			rc = pack(pieces, name, file, e);
	}
	closedir(d);
	return rc;
}

/* While nobody writes, so that registry, lists and keys are of one moment. By SQLite and not by the file: to open and
 * close ca.db once more would drop our locks on it. */
static int pack_all(struct ca *c, void *arg, struct err *e)
{
	json_t *pieces = arg;
	sqlite3_int64 len = 0;
	unsigned char *db = sqlite3_serialize(c->db, "main", &len, 0);
	int rc = 0;

	if (!db)
		return err_set(e, ERR_IO, 0, "cannot copy the registry: no memory for its %lld bytes", (long long)len);
	if (len > DB_MAX)
		rc = err_set(e, ERR_INPUT, 0, "the registry has more than %d bytes", DB_MAX);
	else
		rc = pack_bytes(pieces, "ca.db", db, (size_t)len, e);
	sqlite3_free(db);
	if (rc || pack_keys(c, pieces, e))
		return -1;
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		auto_free char *path = ca_path(c, parts[i]);

		if (access(path, F_OK) == 0 && pack(pieces, parts[i], path, e))
			return -1;
	}
	return 0;
}

/* ---- sealing ---- */

/* The key for this file alone, under the passphrase, and its certificate, both as PEM. */
static int key_for(struct ca *c, const char *file, struct buf *out, struct crypto_cert **cert, struct err *e)
{
	auto_free char *beside = xasprintf("%s.key", file);
	auto_crypto_key struct crypto_key *key = NULL;
	struct crypto_issue how = { .profile = CRYPTO_ROOT, .names = { .cn = "psec backup" }, .not_after_us = INT64_MAX };
	int rc;

	if (!c->has_passphrase)
		return err_set(e, ERR_BUG, 0, "the CA was opened without its passphrase");
	if (access(beside, F_OK) == 0)
		return err_set(e, ERR_REFUSED, 0, "'%s' is in the way", beside);
	if (crypto_key_new(&key, e) || issue_number(how.number, e))
		return -1;
	how.subject_key = how.issuer_key = key;
	rc = crypto_cert_issue(&how, cert, e) || crypto_key_write(key, beside, &c->passphrase, e) ||
	     file_read(beside, PART_MAX, out, e) || crypto_cert_pem(*cert, out, e);
	unlink(beside);
	return rc ? -1 : 0;
}

/* Which piece of how many of which backup: none is left out, doubled or taken from another. */
static int seal(json_t *pieces, const struct crypto_cert *to, struct buf *out, struct err *e)
{
	size_t n = json_array_size(pieces);
	uint8_t raw[16];
	char id[33];

	if (crypto_random(raw, sizeof raw, e))
		return -1;
	crypto_hex(raw, sizeof raw, id, sizeof id);
	for (size_t i = 0; i < n; i++) {
		json_t *piece = json_array_get(pieces, i);
		auto_free char *line = NULL;
		auto_buf struct buf text = BUF_INIT, cms = BUF_INIT;

		json_object_set_new(piece, "id", json_string(id));
		json_object_set_new(piece, "part", json_integer((json_int_t)i + 1));
		json_object_set_new(piece, "of", json_integer((json_int_t)n));
		line = json_dumps(piece, JSON_COMPACT);
		if (!line)
			return err_set(e, ERR_BUG, 0, "a piece of the backup is no JSON");
		buf_addf(&text, "%s\n", line);
		if (crypto_envelope(to, text.data, text.len, &cms, e))
			return -1;
		buf_add(out, cms.data, cms.len);
	}
	return 0;
}

int ca_backup(struct ca *c, const char *file, const struct crypto_cert *recovery, struct err *e)
{
	json_t *pieces = json_array();
	auto_crypto_cert struct crypto_cert *own = NULL;
	auto_buf struct buf out = BUF_INIT;
	int rc = registry_change(c, pack_all, pieces, e) || (!recovery && key_for(c, file, &out, &own, e)) ||
		 seal(pieces, recovery ? recovery : own, &out, e);

	json_decref(pieces);
	return rc ? -1 : file_replace(file, out.data, out.len, 0600, e);
}

/* ---- unsealing ---- */

static bool name_ok(const char *name)
{
	size_t digits, letters;

	for (size_t i = 0; i < COUNT_OF(parts); i++)
		if (str_eq(name, parts[i]))
			return true;
	if (str_eq(name, "ca.db"))
		return true;
	if (!str_starts(name, "keys-") || strlen(name) > 80)
		return false;
	name += strlen("keys-");
	digits = strspn(name, "0123456789");
	letters = digits && name[digits] == '/' ? strspn(name + digits + 1, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
	return letters && str_eq(name + digits + 1 + letters, ".key");
}

static int put_file(const char *dir, const char *name, const struct buf *b, struct err *e)
{
	auto_free char *path = xasprintf("%s/%s", dir, name), *folder = xstrdup(path);

	*strrchr(folder, '/') = '\0';
	if (access(path, F_OK) == 0)
		return err_set(e, ERR_INPUT, 0, "the backup has '%s' twice", name);
	if (dir_make(folder, 0700, e))
		return -1;
	return file_replace(path, b->data ? b->data : "", b->len, str_eq(name, "crl.pem") ? 0644 : 0600, e);
}

struct unpacking {
	const char *dir;
	char id[33], name[81];
	int64_t part, of;
	struct buf file;
};

static int take_piece(struct unpacking *u, const json_t *o, struct err *e)
{
	const char *id = json_string_value(json_object_get(o, "id")), *name = json_string_value(json_object_get(o, "file"));
	const char *data = json_string_value(json_object_get(o, "data"));
	auto_free uint8_t *piece = xcalloc(PIECE, 1);
	size_t len = 0;

	if (!str_eq(json_string_value(json_object_get(o, "psec")), "ca-backup") || !id || !name || !data)
		return err_set(e, ERR_INPUT, 0, "it is no backup of a CA");
	if (json_integer_value(json_object_get(o, "version")) != VERSION)
		return err_set(e, ERR_INPUT, 0, "the backup was made by a newer psec");
	if (u->part == 0) {
		str_copy(u->id, sizeof u->id, id);
		u->of = json_integer_value(json_object_get(o, "of"));
	}
	if (!str_eq(id, u->id) || json_integer_value(json_object_get(o, "part")) != ++u->part ||
	    json_integer_value(json_object_get(o, "of")) != u->of)
		return err_set(e, ERR_INPUT, 0, "the backup's pieces are not those of one backup, in their order");
	if (!name_ok(name) || (data[0] && crypto_unbase64(data, piece, PIECE, &len, e)))
		return err_set(e, ERR_INPUT, 0, "piece %lld of the backup is broken", (long long)u->part);
	if (!str_eq(name, u->name)) {
		if (u->name[0] && put_file(u->dir, u->name, &u->file, e))
			return -1;
		str_copy(u->name, sizeof u->name, name);
		buf_clear(&u->file);
	}
	buf_add(&u->file, piece, len);
	return 0;
}

/* Line by line. */
static int unpack(struct unpacking *u, const struct buf *text, struct err *e)
{
	json_error_t why;
	size_t len;

	for (const char *at = text->data; *at; at += len + (at[len] == '\n')) {
		json_t *o;
		int rc;

		len = strcspn(at, "\n");
		o = json_loadb(at, len, JSON_REJECT_DUPLICATES, &why);
		rc = take_piece(u, o, e);
		json_decref(o);
		if (rc)
			return -1;
	}
	if (u->part != u->of || !u->name[0])
		return err_set(e, ERR_INPUT, 0, "the backup ends after %lld of %lld pieces", (long long)u->part,
			       (long long)u->of);
	return put_file(u->dir, u->name, &u->file, e);
}

/* ---- opening ---- */

/* Every envelope of the text. */
static int open_all(const char *at, const struct crypto_cert *cert, const struct crypto_key *key, struct buf *text,
		    struct err *e)
{
	static const char begin[] = "-----BEGIN CMS-----", end[] = "-----END CMS-----";

	while ((at = strstr(at, begin)) != NULL) {
		const char *to = strstr(at, end);
		auto_free char *one = NULL;

		if (!to)
			return err_set(e, ERR_INPUT, 0, "the backup ends in the middle");
		to += strlen(end);
		one = xasprintf("%.*s\n", (int)(to - at), at);
		if (crypto_envelope_open(one, cert, key, text, e))
			return -1;
		at = to;
	}
	return 0;
}

static int open_own(const char *dir, const struct buf *file, const struct secret *passphrase, struct buf *text,
		    struct err *e)
{
	auto_free char *beside = xasprintf("%s/backup.key", dir);
	const char *end = strstr(file->data, "-----END ENCRYPTED PRIVATE KEY-----");
	auto_crypto_key struct crypto_key *key = NULL;
	auto_crypto_cert struct crypto_cert *cert = NULL;
	int rc;

	if (!passphrase)
		return err_set(e, ERR_REFUSED, 0, "the backup is under the CA's passphrase; --passphrase-file says where "
						  "it is");
	if (!end || crypto_cert_from_pem(end, &cert, e))
		return err_set(e, ERR_INPUT, 0, "the file is no whole backup of a CA");
	rc = file_replace(beside, file->data, (size_t)(strchrnul(end, '\n') - file->data), 0600, e) ||
	     crypto_key_read(beside, passphrase, &key, e) || open_all(end, cert, key, text, e);
	unlink(beside);
	return rc ? -1 : 0;
}

static int open_backup(const char *dir, const struct buf *file, const struct secret *passphrase, struct buf *text,
		       struct err *e)
{
	if (file->data[0] == '{') {
		buf_add(text, file->data, file->len);
		return 0;
	}
	if (str_starts(file->data, "-----BEGIN ENCRYPTED PRIVATE KEY-----"))
		return open_own(dir, file, passphrase, text, e);
	if (str_starts(file->data, "-----BEGIN CMS"))
		return err_set(e, ERR_REFUSED, 0, "the backup is for a recovery key; psec-provision-ca(1), BACKUP, says how "
						  "it is opened where that key is");
	return err_set(e, ERR_INPUT, 0, "the file is no backup of a CA");
}

static void unpacking_release(struct unpacking *u)
{
	buf_release(&u->file);
}

int ca_restore(const char *file, const char *dir, const struct secret *passphrase, struct err *e)
{
	auto_made struct made m = { .fd = -1 };
	auto_buf struct buf sealed = BUF_INIT, text = BUF_INIT;
	auto_ca struct ca *c = NULL;
	__attribute__((cleanup(unpacking_release))) struct unpacking u = { 0 };

	if (file_read(file, BACKUP_MAX, &sealed, e) || made_begin(dir, &m, e) ||
	    open_backup(m.beside, &sealed, passphrase, &text, e))
		return -1;
	buf_adds(&text, "");
	u.dir = m.beside;
	if (unpack(&u, &text, e) || ca_open(m.beside, passphrase, &c, e))
		return err_ctx(e, "'%s'", file);
	return made_rename(&m, e);
}
