#include "parts.h"

#include <openssl/err.h>

/* "psec-sealed" and the format's number, nonce, what is sealed, tag. The head and the name are authenticated. */
static const char head[12] = "psec-sealed\1";
enum { HEAD = sizeof head, NONCE = 12, TAG = 16, AROUND = HEAD + NONCE + TAG, SEAL_MAX = 1024 * 1024 };

PARTS_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
#define auto_cipher __attribute__((cleanup(EVP_CIPHER_CTX_free_at)))

static EVP_CIPHER_CTX *start(const uint8_t key[32], const uint8_t *nonce, const char *name, int sealing)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	if (ctx && EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, sealing, NULL) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)head, HEAD) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

int crypto_seal(const uint8_t key[32], const char *name, const void *data, size_t len, struct buf *out, struct err *e)
{
	auto_cipher EVP_CIPHER_CTX *ctx = NULL;
	auto_free uint8_t *to = NULL;
	uint8_t *nonce, *body;
	int n;

	if (len > SEAL_MAX)
		return err_set(e, ERR_INPUT, 0, "at most %d bytes are sealed in one piece, not %zu", SEAL_MAX, len);
	to = xcalloc(AROUND + len, 1);
	nonce = to + HEAD;
	body = nonce + NONCE;
	memcpy(to, head, HEAD);
	if (crypto_random(nonce, NONCE, e) < 0)
		return -1;
	ctx = start(key, nonce, name, 1);
	if (!ctx || EVP_CipherUpdate(ctx, body, &n, len ? data : (const void *)"", (int)len) != 1 || n != (int)len ||
	    EVP_CipherFinal_ex(ctx, body + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, body + len) != 1)
		return parts_fail(e, ERR_BUG, "'%s' cannot be sealed", name);
	buf_add(out, to, AROUND + len);
	return 0;
}

int crypto_unseal(const uint8_t key[32], const char *name, const void *data, size_t len, struct buf *out, struct err *e)
{
	auto_cipher EVP_CIPHER_CTX *ctx = NULL;
	auto_buf_wipe struct buf plain = BUF_INIT;
	const uint8_t *from = data;
	uint8_t tag[TAG], end[TAG];
	size_t body;
	int n = 0;

	if (len < AROUND || len - AROUND > SEAL_MAX || memcmp(from, head, HEAD) != 0)
		return err_set(e, ERR_REFUSED, 0, "'%s' was not sealed by psec, or was changed", name);
	body = len - AROUND;
	memcpy(tag, from + len - TAG, TAG);
	plain.data = xcalloc(body + 1, 1);
	plain.cap = body + 1;
	plain.len = body;
	ctx = start(key, from + HEAD, name, 0);
	if (!ctx || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
		return parts_fail(e, ERR_BUG, "'%s' cannot be unsealed", name);
	if (EVP_CipherUpdate(ctx, (uint8_t *)plain.data, &n, from + HEAD + NONCE, (int)body) != 1 || n != (int)body ||
	    EVP_CipherFinal_ex(ctx, end, &n) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_REFUSED, 0, "'%s' was changed, or was sealed under another key or name", name);
	}
	buf_add(out, plain.data, plain.len);
	return 0;
}
