/* One TPM for a test program, and what its tests say of it. */
#ifndef PSEC_TESTS_TPM_CHIP_H
#define PSEC_TESTS_TPM_CHIP_H

#include "asserts.h"
#include "swtpm.h"
#include "tpm/inside.h"

static struct swtpm chip;

static inline struct tpm *opened(void)
{
	struct tpm *t;
	struct err e = {0};

	if (tpm_open(chip.tcti, 5000, &t, &e))
		fail_msg("%s", e.text);
	return t;
}

static inline struct tpm_key ensured(struct tpm *t, enum tpm_key_role role)
{
	struct tpm_key k;
	struct err e;
	bool made;

	assert_ok(tpm_key_ensure(t, role, &k, &made, &e));
	return k;
}

/* The exit status of a shell line with tpm2-tools, in the TPM's folder; $A is the hex of 32 such bytes. */
static inline int tools(const char *line, unsigned char of)
{
	char hex[CRYPTO_HEX];
	uint8_t bytes[CRYPTO_HASH];
	auto_free char *words = NULL;

	memset(bytes, of, sizeof bytes);
	words = xasprintf("cd %s && export TPM2TOOLS_TCTI=%s; A=%s; %s", chip.dir, chip.tcti, crypto_hex(bytes,
													 sizeof bytes, hex,
										      sizeof hex), line);
	return swtpm_run_program(chip.dir, (const char *const[]){"sh", "-c", words, NULL});
}

/* Value for who has that EK and that key, as documents bring it. */
static inline void make_credential(const struct crypto_key *ek, const struct tpm_key *k, const uint8_t value[CRYPTO_HASH],
				   struct tpm_blob *credential, struct tpm_blob *secret)
{
	auto_buf struct buf c = BUF_INIT, s = BUF_INIT;
	struct err e;

	assert_ok(crypto_make_credential(ek, k->name, k->name_len, value, CRYPTO_HASH, &c, &s, &e));
	*credential = (struct tpm_blob){.len = c.len};
	*secret = (struct tpm_blob){.len = s.len};
	memcpy(credential->data, c.data, c.len);
	memcpy(secret->data, s.data, s.len);
}

static inline int make_chip(void **state)
{
	(void)state;
	swtpm_make(&chip);
	swtpm_start(&chip);
	return 0;
}

static inline int end_chip(void **state)
{
	(void)state;
	swtpm_end(&chip);
	return 0;
}

#endif
