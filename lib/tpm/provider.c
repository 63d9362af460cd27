/* provider: keys that stay in the TPM, as OpenSSL wants them.
 *
 * An OpenSSL 3 provider of three algorithms: a decoder that makes a key of a "TSS2 PRIVATE KEY" file, the key, and
 * ECDSA by it. The key has no export function: OpenSSL cannot hand it to its default provider and so comes here to
 * sign, and to nobody else for it, without a property query. Digests, ECDHE and the other side's signatures stay with
 * the default provider, which stands before this one in each list because it was loaded first and sorts first.
 *
 * What the TPM says reaches OpenSSL's error queue as it is, with the kind of `struct err` as the reason.
 */
#include "inside.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <string.h>
#include <strings.h>

#define NAME "psec"
#define PROPERTIES "provider=" NAME
#define GROUP "prime256v1"
#define PEM_BEGIN "-----BEGIN TSS2 PRIVATE KEY-----"

enum {
	POINT_LEN = 1 + 2 * 32, /* 4, x, y: SEC 1, 2.3.3 */
	SIGNATURE_MAX = 72,     /* two INTEGERs of 33 bytes in a SEQUENCE */
	FILE_MAX = 64 * 1024,
};

/* Of the provider; its teardown frees it. */
struct context {
	char *tcti;
	int wait_ms;
	const OSSL_CORE_HANDLE *core;
	OSSL_FUNC_BIO_read_ex_fn *read;
	OSSL_FUNC_core_new_error_fn *new_error;
	OSSL_FUNC_core_vset_error_fn *set_error;
};

struct pkey {
	const struct context *c;
	struct tpm_key tpm;       /* of a file; empty when OpenSSL brought only a public key, to compare with */
	uint8_t point[POINT_LEN];
};

struct signing {
	const struct context *c;
	const struct pkey *key;
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void put_error(const struct context *c, uint32_t reason, const char *fmt, ...)
{
	va_list ap;

	c->new_error(c->core);
	va_start(ap, fmt);
	c->set_error(c->core, reason, fmt, ap);
	va_end(ap);
}

/* Returns 0, which is what OpenSSL takes for a failure. */
static int failed(const struct context *c, const struct err *e)
{
	put_error(c, e->kind, "%s", e->text);
	return 0;
}

static const OSSL_ITEM *reasons(void *c)
{
	static const OSSL_ITEM items[] = {
		{ERR_INPUT, (char *)"the TPM key cannot be used"},
		{ERR_UNREACHABLE, (char *)"the TPM does not answer"},
		{ERR_BUG, (char *)"psec is wrong"},
		{ERR_IO, (char *)"the system refused"},
		{ERR_AGAIN, (char *)"the TPM is busy"},
		{ERR_REFUSED, (char *)"the TPM refused"},
		{0, NULL},
	};

	(void)c;
	return items;
}

/* ---- the key ----------------------------------------------------------------------------------------------------- */

static void *key_new(void *c)
{
	struct pkey *k = xcalloc(1, sizeof *k);

	k->c = c;
	return k;
}

static void key_free(void *key)
{
	struct pkey *k = key;

	if (!k)
		return;
	tpm_key_release(&k->tpm);
	free(k);
}

/* What the decoder gave OpenSSL is where its key is. */
static void *key_load(const void *reference, size_t len)
{
	struct pkey **at = (struct pkey **)reference;

	return len == sizeof *at ? take(*at) : NULL;
}

static int key_has(const void *key, int selection)
{
	const struct pkey *k = key;

	return !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || k->tpm.priv.len > 0;
}

static int key_match(const void *a, const void *b, int selection)
{
	const struct pkey *one = a, *other = b;

	return !(selection & OSSL_KEYMGMT_SELECT_KEYPAIR) || memcmp(one->point, other->point, POINT_LEN) == 0;
}

/* A certificate's public key comes here to be compared with ours; a private key is never taken in. */
static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *pub = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
	const OSSL_PARAM *group = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
	struct pkey *k = key;
	const char *name;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY || !group || !OSSL_PARAM_get_utf8_string_ptr(group, &name) ||
	    !str_eq(name, GROUP) || !pub || pub->data_type != OSSL_PARAM_OCTET_STRING || pub->data_size != POINT_LEN)
		return 0;
	memcpy(k->point, pub->data, POINT_LEN);
	return k->point[0] == 4;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM none[] = {OSSL_PARAM_END}, types[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? none : types;
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
	static const struct {
		const char *name;
		int number;
	} numbers[] = {
		{OSSL_PKEY_PARAM_BITS, 256},
		{OSSL_PKEY_PARAM_SECURITY_BITS, 128},
		{OSSL_PKEY_PARAM_MAX_SIZE, SIGNATURE_MAX},
	};
	static const struct {
		const char *name, *text;
	} texts[] = {
		{OSSL_PKEY_PARAM_GROUP_NAME, GROUP}, /* libssl asks whether the other side takes this curve */
		{OSSL_PKEY_PARAM_DEFAULT_DIGEST, "SHA256"},
	};
	OSSL_PARAM *p;

	(void)key;
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		if ((p = OSSL_PARAM_locate(params, numbers[i].name)) && !OSSL_PARAM_set_int(p, numbers[i].number))
			return 0;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if ((p = OSSL_PARAM_locate(params, texts[i].name)) && !OSSL_PARAM_set_utf8_string(p, texts[i].text))
			return 0;
	return 1;
}

static const OSSL_PARAM *key_gettable_params(void *c)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)c;
	return params;
}

static const char *key_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* ---- signing ----------------------------------------------------------------------------------------------------- */

static void *sign_new(void *c, const char *properties)
{
	struct signing *s = xcalloc(1, sizeof *s);

	(void)properties;
	s->c = c;
	return s;
}

static void sign_free(void *s)
{
	free(s);
}

static bool is_sha256(const char *digest)
{
	return !digest || !*digest || strcasecmp(digest, "SHA256") == 0 || strcasecmp(digest, "SHA2-256") == 0 ||
	       strcasecmp(digest, "SHA-256") == 0;
}

static int sign_begin(void *signing, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *s = signing;

	(void)params;
	if (key)
		s->key = key; /* NULL: once more with the same */
	if (!is_sha256(digest)) {
		put_error(s->c, ERR_INPUT, "the TPM key signs with SHA-256 only, not with %s", digest);
		return 0;
	}
	return s->key && s->key->tpm.priv.len > 0;
}

static int by_tpm(const struct signing *s, const uint8_t digest[CRYPTO_HASH], struct buf *der, struct err *e)
{
	struct tpm *t;
	int rc;

	if (tpm_open(s->c->tcti, s->c->wait_ms, &t, e))
		return -1;
	rc = tpm_sign(t, &s->key->tpm, digest, der, e);
	tpm_close(t);
	return rc;
}

/* In one call, as TLS does it. The ways in several calls would ask for copies of a signing half done. */
static int sign_at_once(void *signing, unsigned char *to, size_t *len, size_t max, const unsigned char *data, size_t n)
{
	const struct signing *s = signing;
	auto_buf struct buf der = BUF_INIT;
	uint8_t digest[CRYPTO_HASH];
	struct err e;

	*len = SIGNATURE_MAX;
	if (!to)
		return 1; /* only how long it may become */
	crypto_sha256(data, n, digest);
	if (by_tpm(s, digest, &der, &e))
		return failed(s->c, &e);
	if (der.len > max) {
		put_error(s->c, ERR_BUG, "a signature of %zu bytes has room for %zu", der.len, max);
		return 0;
	}
	memcpy(to, der.data, der.len);
	*len = der.len;
	return 1;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void *decode_new(void *c)
{
	return c;
}

static void decode_free(void *c)
{
	(void)c;
}

static int decode_selects(void *c, int selection)
{
	(void)c;
	return selection == 0 || selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
}

static int key_of(const char *pem, struct pkey *k, struct err *e)
{
	struct crypto_tss2 file;

	if (crypto_tss2_read(pem, &file, e) || tpm_key_from_tss2(&file, &k->tpm, e))
		return -1;
	k->point[0] = 4;
	return crypto_key_point(k->tpm.key, k->point + 1, k->point + 33, e);
}

static int hand_over(struct pkey **k, OSSL_CALLBACK *give, void *arg)
{
	int type = OSSL_OBJECT_PKEY;
	const OSSL_PARAM object[] = {
		OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
		OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)"EC", 0),
		OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, k, sizeof *k), /* key_load takes it */
		OSSL_PARAM_construct_end(),
	};

	return give(object, arg);
}

/* 1 without a call of give: none of ours, another decoder is to look. */
static int decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *give, void *arg,
		  OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
	struct context *c = context;
	auto_buf struct buf text = BUF_INIT;
	const char *begin;
	struct pkey *k;
	struct err e;
	char piece[1024];
	size_t n;
	int good;

	(void)selection, (void)passphrase, (void)passphrase_arg;
	while (text.len < FILE_MAX && c->read(in, piece, sizeof piece, &n) == 1 && n > 0)
		buf_add(&text, piece, n);
	begin = text.data ? strstr(text.data, PEM_BEGIN) : NULL;
	if (!begin)
		return 1;
	k = key_new(c);
	good = key_of(begin, k, &e) ? failed(c, &e) : hand_over(&k, give, arg);
	key_free(k);
	return good;
}

/* ---- what OpenSSL asks for --------------------------------------------------------------------------------------- */

/* Every function has first to be of the type that belongs to its number. */
#define ENTRY(number, type, f) {number, (void (*)(void))(true ? (f) : (type *)NULL)}

static const OSSL_DISPATCH key_functions[] = {
	ENTRY(OSSL_FUNC_KEYMGMT_NEW, OSSL_FUNC_keymgmt_new_fn, key_new),
	ENTRY(OSSL_FUNC_KEYMGMT_FREE, OSSL_FUNC_keymgmt_free_fn, key_free),
	ENTRY(OSSL_FUNC_KEYMGMT_LOAD, OSSL_FUNC_keymgmt_load_fn, key_load),
	ENTRY(OSSL_FUNC_KEYMGMT_HAS, OSSL_FUNC_keymgmt_has_fn, key_has),
	ENTRY(OSSL_FUNC_KEYMGMT_MATCH, OSSL_FUNC_keymgmt_match_fn, key_match),
	ENTRY(OSSL_FUNC_KEYMGMT_IMPORT, OSSL_FUNC_keymgmt_import_fn, key_import),
	ENTRY(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, OSSL_FUNC_keymgmt_import_types_fn, key_import_types),
	ENTRY(OSSL_FUNC_KEYMGMT_GET_PARAMS, OSSL_FUNC_keymgmt_get_params_fn, key_get_params),
	ENTRY(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, OSSL_FUNC_keymgmt_gettable_params_fn, key_gettable_params),
	ENTRY(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, OSSL_FUNC_keymgmt_query_operation_name_fn, key_operation),
	{0, NULL},
};

static const OSSL_DISPATCH sign_functions[] = {
	ENTRY(OSSL_FUNC_SIGNATURE_NEWCTX, OSSL_FUNC_signature_newctx_fn, sign_new),
	ENTRY(OSSL_FUNC_SIGNATURE_FREECTX, OSSL_FUNC_signature_freectx_fn, sign_free),
	ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, OSSL_FUNC_signature_digest_sign_init_fn, sign_begin),
	ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, OSSL_FUNC_signature_digest_sign_fn, sign_at_once),
	{0, NULL},
};

static const OSSL_DISPATCH decode_functions[] = {
	ENTRY(OSSL_FUNC_DECODER_NEWCTX, OSSL_FUNC_decoder_newctx_fn, decode_new),
	ENTRY(OSSL_FUNC_DECODER_FREECTX, OSSL_FUNC_decoder_freectx_fn, decode_free),
	ENTRY(OSSL_FUNC_DECODER_DOES_SELECTION, OSSL_FUNC_decoder_does_selection_fn, decode_selects),
	ENTRY(OSSL_FUNC_DECODER_DECODE, OSSL_FUNC_decoder_decode_fn, decode),
	{0, NULL},
};

static const OSSL_ALGORITHM *algorithms(void *c, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM key[] = {
		{"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, key_functions, NULL},
		{NULL, NULL, NULL, NULL},
	}, sign[] = {
		{"ECDSA", PROPERTIES, sign_functions, NULL},
		{NULL, NULL, NULL, NULL},
	}, file[] = {
		{"EC", PROPERTIES ",input=pem", decode_functions, NULL},
		{NULL, NULL, NULL, NULL},
	};

	(void)c;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT: return key;
	case OSSL_OP_SIGNATURE: return sign;
	case OSSL_OP_DECODER: return file;
	default: return NULL;
	}
}

static void end(void *context)
{
	struct context *c = context;

	free(c->tcti);
	free(c);
}

static int begin(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
	static const OSSL_DISPATCH functions[] = {
		ENTRY(OSSL_FUNC_PROVIDER_TEARDOWN, OSSL_FUNC_provider_teardown_fn, end),
		ENTRY(OSSL_FUNC_PROVIDER_QUERY_OPERATION, OSSL_FUNC_provider_query_operation_fn, algorithms),
		ENTRY(OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, OSSL_FUNC_provider_get_reason_strings_fn, reasons),
		{0, NULL},
	};
	struct context *c = xcalloc(1, sizeof *c);

	c->core = core;
	for (; in->function_id; in++)
		switch (in->function_id) {
		case OSSL_FUNC_BIO_READ_EX: c->read = OSSL_FUNC_BIO_read_ex(in); break;
		case OSSL_FUNC_CORE_NEW_ERROR: c->new_error = OSSL_FUNC_core_new_error(in); break;
		case OSSL_FUNC_CORE_VSET_ERROR: c->set_error = OSSL_FUNC_core_vset_error(in); break;
		default: break;
		}
	if (!c->read || !c->new_error || !c->set_error) {
		free(c);
		return 0;
	}
	*out = functions;
	*context = c;
	return 1;
}

int tpm_provider_load(const char *tcti, int wait_ms, struct err *e)
{
	/* A provider is there while someone holds what its load gave. */
	static OSSL_PROVIDER *standard, *ours;
	struct context *c;

	tpm_quiet(); /* here no other thread reads the environment yet */
	/* Who loads one by name has to load the default one, too: it comes by itself only where none was named. */
	if (!standard && !(standard = OSSL_PROVIDER_load(NULL, "default")))
		return err_set(e, ERR_IO, 0, "OpenSSL's default provider cannot be loaded");
	if (!ours && OSSL_PROVIDER_add_builtin(NULL, NAME, begin))
		ours = OSSL_PROVIDER_load(NULL, NAME);
	if (!ours)
		return err_set(e, ERR_IO, 0, "OpenSSL does not load the provider of the TPM's keys");
	c = OSSL_PROVIDER_get0_provider_ctx(ours);
	free(c->tcti);
	c->tcti = xstrdup(tcti);
	c->wait_ms = wait_ms;
	return 0;
}
