/* What a CA is handed: a TPM2B_PUBLIC, a TPMS_ATTEST and a TPMT_SIGNATURE, each with its length (two bytes) in front.
 * What is taken for a public area has a Name and a key; no change of a certified one is believed but the one it was. */
#include <string.h>

#include "tpm/tpm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void part(struct tpm_blob *b, const uint8_t **at, size_t *left)
{
	size_t len = *left < 2 ? 0 : (size_t)(*at)[0] << 8 | (*at)[1];
	size_t head = *left < 2 ? *left : 2;

	*at += head;
	*left -= head;
	if (len > *left)
		len = *left;
	b->len = len < sizeof b->data ? len : sizeof b->data;
	memcpy(b->data, *at, b->len);
	*at += len;
	*left -= len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nonce[CRYPTO_HASH] = {7};
	struct tpm_blob pub = {0}, attest = {0}, signature = {0};
	struct tpm_public key;
	struct err e;

	part(&pub, &data, &size);
	part(&attest, &data, &size);
	part(&signature, &data, &size);
	if (tpm_public_read(&pub, &key, &e)) {
		expect(e.kind == ERR_INPUT && e.text[0]);
		return 0;
	}
	expect(key.key && key.name_len == 34 && key.name[0] == 0 && key.name[1] == 0x0b);
	/* As an IAK that certified itself, so that one area reaches all the judgements. */
	if (tpm_certify_check(&key, &key, nonce, &attest, &signature, &e))
		expect((e.kind == ERR_INPUT || e.kind == ERR_REFUSED) && e.text[0]);
	else
		expect(key.fixed && key.restricted && key.signs);
	tpm_public_release(&key);
	return 0;
}
