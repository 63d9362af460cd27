/* SHA-256 (FIPS 180-4) by libmd: for who must not load a cryptographic library. psecd-core chains what it records, and
 * libcrypto costs it a third of its memory (libmd: 47 kB of file). */
#include "base/base.h"

#include <sha2.h>

void sha256(const void *data, size_t len, uint8_t out[SHA256_LEN])
{
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, data, len);
	SHA256Final(out, &ctx);
}
