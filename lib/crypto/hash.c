#include "parts.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

int parts_fail(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	unsigned long first = ERR_get_error(); /* the cause; what follows is who passed it on */
	const char *reason = first ? ERR_reason_error_string(first) : NULL;
	char text[320], printable[100] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (reason)
		str_printable(printable, sizeof printable, reason, strlen(reason));
	ERR_clear_error();
	return err_set(e, kind, 0, "%s%s%s", text, reason ? ": " : "", printable);
}

BIO *parts_text(const char *pem, const char *what, struct err *e)
{
	size_t len = strnlen(pem, PARTS_PEM_MAX + 1);
	BIO *bio;

	if (len > PARTS_PEM_MAX)
		return err_set(e, ERR_INPUT, 0, "%s is longer than %d KiB", what, PARTS_PEM_MAX / 1024), NULL;
	bio = BIO_new_mem_buf(pem, (int)len);
	if (!bio)
		parts_fail(e, ERR_IO, "no memory for %s", what);
	return bio;
}

int parts_drain(BIO *bio, struct buf *to, struct err *e)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	if (len < 0)
		return parts_fail(e, ERR_BUG, "cannot take what was written");
	buf_add(to, len ? data : "", (size_t)len);
	return 0;
}

int parts_no_password(char *to, int size, int writing, void *arg)
{
	(void)to, (void)size, (void)writing, (void)arg;
	return -1;
}

void crypto_sha256(const void *data, size_t len, uint8_t out[CRYPTO_HASH])
{
	if (!SHA256(len ? data : "", len, out))
		abort(); /* only without memory, as xcalloc */
}

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[CRYPTO_HASH])
{
	const void *k = key_len ? key : "", *d = len ? data : "";
	size_t n;

	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, k, key_len, d, len, out, CRYPTO_HASH, &n) ||
	    n != CRYPTO_HASH)
		abort();
}

char *crypto_hex(const void *data, size_t len, char *to, size_t n)
{
	size_t room = n ? (n - 1) / 2 : 0;

	return hex_format(data, len < room ? len : room, to);
}

int crypto_random(void *to, size_t len, struct err *e)
{
	if (len > INT_MAX || RAND_priv_bytes(to, (int)len) != 1)
		return parts_fail(e, ERR_IO, "the system gives no random numbers");
	return 0;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

int crypto_base64(const void *data, size_t len, struct buf *to, struct err *e)
{
	size_t room = (len + 2) / 3 * 4 + 1;
	auto_free unsigned char *text = NULL;

	if (len > PARTS_PEM_MAX)
		return err_set(e, ERR_BUG, 0, "%zu bytes are too many for base64 in one piece", len);
	text = xcalloc(room, 1);
	buf_add(to, text, (size_t)EVP_EncodeBlock(text, len ? data : (const void *)"", (int)len));
	OPENSSL_cleanse(text, room);
	return 0;
}

static int digit64(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int crypto_unbase64(const char *text, uint8_t *to, size_t max, size_t *len, struct err *e)
{
	size_t chars = strlen(text), pad = 0, n;
	uint32_t bits = 0;

	while (pad < 2 && pad < chars && text[chars - 1 - pad] == '=')
		pad++;
	n = chars / 4 * 3 - pad;
	if (chars % 4)
		return err_set(e, ERR_INPUT, 0, "base64 comes in groups of 4 characters, not %zu", chars);
	if (n > max)
		return err_set(e, ERR_INPUT, 0, "%zu bytes of base64 are more than %zu", n, max);
	for (size_t i = 0; i < chars; i++) {
		int d = i < chars - pad ? digit64(text[i]) : 0;

		if (d < 0)
			return err_set(e, ERR_INPUT, 0, "character %zu is none of base64", i + 1);
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 != 3)
			continue;
		for (size_t b = 0, at = i / 4 * 3; b < 3; b++)
			if (at + b < n)
				to[at + b] = (uint8_t)(bits >> (16 - 8 * b));
			else if ((uint8_t)(bits >> (16 - 8 * b)))
				return err_set(e, ERR_INPUT, 0, "base64 ends with bits that belong to no byte");
	}
	*len = n;
	return 0;
}

void secret_wipe(struct secret *s)
{
	OPENSSL_cleanse(s, sizeof *s);
}

bool secret_from_hex(struct secret *s, const char *hex, size_t len)
{
	char whole[2 * sizeof s->data + 1];
	bool ok = len <= sizeof s->data;

	secret_wipe(s);
	if (!ok)
		return false;
	snprintf(whole, sizeof whole, "%.*s", (int)(2 * len), hex);
	ok = hex_parse(whole, s->data, len);
	OPENSSL_cleanse(whole, sizeof whole);
	if (ok)
		s->len = len;
	else
		secret_wipe(s);
	return ok;
}

void crypto_buf_wipe(struct buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	buf_release(b);
}
