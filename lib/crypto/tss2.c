#include "parts.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#define TSS2_PEM "TSS2 PRIVATE KEY"
#define TSS2_LOADABLE "2.23.133.10.1.3"

/* "ASN.1 Specification for TPM 2.0 Key Files", 3.1, as far as a key without a policy has it. */
struct tpm_key {
	ASN1_OBJECT *type;
	int empty_auth; /* -1: absent */
	ASN1_INTEGER *parent;
	ASN1_OCTET_STRING *pub, *priv;
};
typedef struct tpm_key TPM_KEY;
ASN1_SEQUENCE(TPM_KEY) = {
	ASN1_SIMPLE(TPM_KEY, type, ASN1_OBJECT),
	ASN1_EXP_OPT(TPM_KEY, empty_auth, ASN1_BOOLEAN, 0),
	ASN1_SIMPLE(TPM_KEY, parent, ASN1_INTEGER),
	ASN1_SIMPLE(TPM_KEY, pub, ASN1_OCTET_STRING),
	ASN1_SIMPLE(TPM_KEY, priv, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(TPM_KEY)

static void free_tpm_key(TPM_KEY **k)
{
	ASN1_item_free((ASN1_VALUE *)*k, ASN1_ITEM_rptr(TPM_KEY));
}

int crypto_tss2_write(const struct crypto_tss2 *k, struct buf *pem, struct err *e)
{
	TPM_KEY *t __attribute__((cleanup(free_tpm_key))) = (TPM_KEY *)ASN1_item_new(ASN1_ITEM_rptr(TPM_KEY));
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *der = NULL;
	int len = -1;
	bool good;

	if (k->pub_len > sizeof k->pub || k->priv_len > sizeof k->priv)
		return err_set(e, ERR_BUG, 0, "the key's parts are longer than their room");
	if (t && bio) {
		ASN1_OBJECT_free(t->type);
		t->type = OBJ_txt2obj(TSS2_LOADABLE, 1);
		t->empty_auth = k->empty_auth ? 0xff : -1;
		if (t->type && ASN1_INTEGER_set_uint64(t->parent, k->parent) == 1 &&
		    ASN1_OCTET_STRING_set(t->pub, k->pub, (int)k->pub_len) == 1 &&
		    ASN1_OCTET_STRING_set(t->priv, k->priv, (int)k->priv_len) == 1)
			len = ASN1_item_i2d((ASN1_VALUE *)t, &der, ASN1_ITEM_rptr(TPM_KEY));
	}
	good = len > 0 && PEM_write_bio(bio, TSS2_PEM, "", der, len) > 0;
	OPENSSL_free(der);
	return good ? parts_drain(bio, pem, e) : parts_fail(e, ERR_IO, "the TPM key cannot be written");
}

/* A TPM2B: its own size stands in front, big-endian. */
static bool sized(const ASN1_OCTET_STRING *s, uint8_t *to, size_t max, size_t *len)
{
	const uint8_t *data = ASN1_STRING_get0_data(s);
	size_t n = (size_t)ASN1_STRING_length(s);

	if (n < 3 || n > max || (size_t)(data[0] << 8 | data[1]) != n - 2)
		return false;
	memcpy(to, data, n);
	*len = n;
	return true;
}

int crypto_tss2_der(const void *der, size_t len, struct crypto_tss2 *out, struct err *e)
{
	TPM_KEY *t __attribute__((cleanup(free_tpm_key))) = NULL;
	const uint8_t *p = der, *end = p + len;
	struct crypto_tss2 k = { 0 };
	uint64_t parent;
	char type[32];

	if (len <= PARTS_CERT_MAX)
		t = (TPM_KEY *)ASN1_item_d2i(NULL, &p, (long)len, ASN1_ITEM_rptr(TPM_KEY));
	if (!t || p != end)
		return parts_fail(e, ERR_INPUT, "that is no TPM key without a policy (\"%s\")", TSS2_PEM);
	OBJ_obj2txt(type, sizeof type, t->type, 1);
	if (!str_eq(type, TSS2_LOADABLE))
		return err_set(e, ERR_INPUT, 0, "the TPM key is of the type %s, not a loadable one (%s)", type,
			       TSS2_LOADABLE);
	if (ASN1_INTEGER_get_uint64(&parent, t->parent) != 1 || parent > UINT32_MAX)
		return parts_fail(e, ERR_INPUT, "the TPM key's parent is no handle");
	if (!sized(t->pub, k.pub, sizeof k.pub, &k.pub_len) || !sized(t->priv, k.priv, sizeof k.priv, &k.priv_len))
		return err_set(e, ERR_INPUT, 0, "a part of the TPM key is not as long as it says");
	k.parent = (uint32_t)parent;
	k.empty_auth = t->empty_auth > 0;
	*out = k;
	return 0;
}

int crypto_tss2_read(const char *pem, struct crypto_tss2 *out, struct err *e)
{
	auto_bio BIO *bio = parts_text(pem, "the TPM key", e);
	char *type = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len;
	int rc;

	if (!bio)
		return -1;
	if (PEM_read_bio(bio, &type, &header, &der, &len) != 1)
		return parts_fail(e, ERR_INPUT, "that is no TPM key in PEM");
	if (str_eq(type, TSS2_PEM))
		rc = crypto_tss2_der(der, (size_t)len, out, e);
	else
		rc = err_set(e, ERR_INPUT, 0, "that is no \"%s\"", TSS2_PEM);
	OPENSSL_free(type);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return rc;
}
