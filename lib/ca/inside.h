/* The open CA, seen inside the room only. */
#ifndef PSEC_CA_INSIDE_H
#define PSEC_CA_INSIDE_H

#include <sqlite3.h>

#include "ca/ca.h"
#include "tpm/tpm.h"

enum { DIR_TEXT_MAX = 1 << 20 };
enum { BEFORE_S = 300 /* what is signed is good so long before: clocks differ */, LDEVID_S = 365 * 86400 };

struct ca {
	char *dir;
	sqlite3 *db;
	struct secret passphrase;
	bool has_passphrase;
	char *signer;         /* or NULL */
};

/* ---- registry.c: ca.db ---- */

/* Make a new one, or open one that is there. */
must_check int registry_make(const char *path, sqlite3 **out, struct err *e);
must_check int registry_open(const char *path, sqlite3 **out, struct err *e);

/* What SQLite said, as *e. Returns -1. */
int registry_fail(sqlite3 *db, const char *doing, struct err *e);
/* Binds: t a text (NULL: null), i an int64_t, b a pointer and a size_t. Run a statement that gives no row. */
must_check int registry_run(struct ca *c, struct err *e, const char *sql, const char *types, ...);
/* The first row: 1, none: 0, -1. *st is freed by auto_row. */
must_check int registry_row(struct ca *c, sqlite3_stmt **st, struct err *e, const char *sql, const char *types, ...);
/* The next one. */
must_check int registry_next(struct ca *c, sqlite3_stmt *st, struct err *e);
void registry_row_free(sqlite3_stmt **st);
#define auto_row __attribute__((cleanup(registry_row_free)))
const char *row_text(sqlite3_stmt *st, int column); /* "" for null; until the next step */

/* A value of meta, "" when it is not there; caller frees. */
must_check int meta_get(struct ca *c, const char *key, char **value, struct err *e);
must_check int meta_put(struct ca *c, const char *key, const char *value, struct err *e);

/* One change, one transaction: fn's failure rolls back. Nobody else writes meanwhile. */
typedef int change_fn(struct ca *c, void *arg, struct err *e);
must_check int registry_change(struct ca *c, change_fn *fn, void *arg, struct err *e);
/* Who did what, in the registry's own log; inside a change. */
must_check int registry_act(struct ca *c, int64_t utc_us, const char *kind, const char *subject, const char *reason,
			    const char *who, struct err *e);

/* ---- open.c ---- */

char *ca_path(const struct ca *c, const char *name); /* caller frees */
/* Folder and name of a private key, "root" or "policy" or "intermediate-1"; caller frees; NULL with *e. */
char *ca_key_path(struct ca *c, const char *name, struct err *e);
must_check int ca_key(struct ca *c, const char *name, struct crypto_key **out, struct err *e);
/* Read a PEM file of the folder as text. */
must_check int ca_text(const struct ca *c, const char *name, struct buf *b, struct err *e);
/* The root's certificate; of several, with a signer, the first. */
must_check int ca_root(const struct ca *c, struct crypto_cert **out, struct err *e);
must_check int ca_clock(const struct now *now, struct err *e);

/* ---- init.c: a folder that is made beside and renamed ---- */

struct made { char *beside; const char *dir; int fd; };
void made_drop(struct made *m); /* what was not renamed is removed */
#define auto_made __attribute__((cleanup(made_drop)))
must_check int made_begin(const char *dir, struct made *m, struct err *e);
must_check int made_rename(struct made *m, struct err *e);
must_check int dir_remove(const char *path, struct err *e);

/* ---- issue.c ---- */

struct issuer { int64_t generation; struct crypto_cert *cert; struct crypto_key *key; };
void issuer_release(struct issuer *i);
#define auto_issuer __attribute__((cleanup(issuer_release)))
/* The newest intermediate with its key. */
must_check int issuer_now(struct ca *c, struct issuer *out, struct err *e);
must_check int issuer_of(struct ca *c, int64_t generation, struct issuer *out, struct err *e);
/* Make intermediate `generation` and its key; into the registry. */
must_check int issuer_make(struct ca *c, int64_t generation, const struct crypto_cert *root,
			   const struct crypto_key *root_key, int64_t now_us, struct err *e);
/* intermediate.pem anew, from the registry. */
must_check int issuer_publish(struct ca *c, int64_t now_us, struct err *e);
must_check int issue_number(uint8_t number[16], struct err *e);

/* ---- board.c ---- */

struct board { bool there; char ek[CRYPTO_HEX], state[16]; };
must_check int board_get(struct ca *c, const char *serial, struct board *out, struct err *e);
extern const char *const board_states[];

/* ---- judge.c: what a request claims, without the registry ---- */

struct judged {
	struct enrol_request request;
	struct crypto_key *ek, *iak, *key;
	uint8_t iak_name[34];
	size_t iak_name_len;
	char ek_hash[CRYPTO_HEX], iak_hash[CRYPTO_HEX];
	bool ek_checked;
};
void judged_release(struct judged *j);
#define auto_judged __attribute__((cleanup(judged_release)))
/* May this board with this TPM have that profile (for that site)? ERR_REFUSED says why not. Inside a change. */
must_check int board_may_enrol(struct ca *c, const struct judged *j, int64_t now_us, struct err *e);
must_check int judge(struct ca *c, const struct now *now, const char *request, struct judged *out, struct err *e);

/* ---- signer.c ---- */

/* Have the program sign; *chain is what it gave, checked against our roots, the key and the names. */
must_check int signer_sign(struct ca *c, const struct now *now, const struct judged *j, struct buf *chain,
			   struct crypto_cert **leaf, struct err *e);

/* ---- revoke.c ---- */

/* As a condition of SQL on certificates, with the word to bind. */
struct which { const char *where, *word; };
/* Those that are not revoked yet, inside a change. */
must_check int revoke_which(struct ca *c, int64_t now_us, const struct which *w, int reason, const char *who,
			    struct err *e);
/* What a word names: a number, a serial or a site, with or without its prefix. ERR_INPUT: nothing. */
must_check int which_is(struct ca *c, const char *what, struct which *out, struct err *e);

#endif
