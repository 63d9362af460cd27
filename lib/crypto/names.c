#include "parts.h"

#include <arpa/inet.h>
#include <openssl/asn1t.h>

/* RFC 4108, 5: the kind of hardware and its number. */
#define HARDWARE_MODULE_NAME "1.3.6.1.5.5.7.8.4"
/* TCG, TPM 2.0 Keys for Device Identity and Attestation, 8.1: a device whose identity is in a TPM 2.0 */
#define HARDWARE_TPM20 "2.23.133.1.2"

struct hw_name {
	ASN1_OBJECT *type;
	ASN1_OCTET_STRING *serial;
};
typedef struct hw_name HW_NAME;
ASN1_SEQUENCE(HW_NAME) = {
	ASN1_SIMPLE(HW_NAME, type, ASN1_OBJECT),
	ASN1_SIMPLE(HW_NAME, serial, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(HW_NAME)

static int set_part(X509_NAME *name, int nid, const char *text, struct err *e)
{
	if (!text || !*text)
		return 0;
	if (X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const uint8_t *)text, -1, -1, 0) != 1)
		return parts_fail(e, ERR_INPUT, "'%.80s' cannot be the %s of a certificate", text, OBJ_nid2ln(nid));
	return 0;
}

int parts_set_name(X509_NAME *name, const struct crypto_names *names, struct err *e)
{
	if (set_part(name, NID_commonName, names->cn, e) < 0)
		return -1;
	return set_part(name, NID_serialNumber, names->serial_number, e);
}

static ASN1_TYPE *hardware_value(const char *serial)
{
	HW_NAME *hw = (HW_NAME *)ASN1_item_new(ASN1_ITEM_rptr(HW_NAME));
	ASN1_TYPE *value = NULL;

	if (hw) {
		ASN1_OBJECT_free(hw->type);
		hw->type = OBJ_txt2obj(HARDWARE_TPM20, 1);
		if (hw->type && ASN1_OCTET_STRING_set(hw->serial, (const uint8_t *)serial, -1) == 1)
			value = ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(HW_NAME), hw, NULL);
	}
	ASN1_item_free((ASN1_VALUE *)hw, ASN1_ITEM_rptr(HW_NAME));
	return value;
}

static GENERAL_NAME *hardware_name(const char *serial)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OBJECT *type = OBJ_txt2obj(HARDWARE_MODULE_NAME, 1);
	ASN1_TYPE *value = hardware_value(serial);

	if (name && type && value && GENERAL_NAME_set0_othername(name, type, value) == 1)
		return name;
	ASN1_TYPE_free(value);
	ASN1_OBJECT_free(type);
	GENERAL_NAME_free(name);
	return NULL;
}

static bool is_address(const char *s)
{
	uint8_t room[16];

	return inet_pton(AF_INET, s, room) == 1 || inet_pton(AF_INET6, s, room) == 1;
}

static int push(GENERAL_NAMES *names, GENERAL_NAME *name, const char *what, struct err *e)
{
	if (name && sk_GENERAL_NAME_push(names, name) > 0)
		return 0;
	GENERAL_NAME_free(name);
	return parts_fail(e, ERR_INPUT, "'%.80s' cannot be a name of a certificate", what);
}

int parts_alt_names(const char *hardware_serial, const char *const *dns, GENERAL_NAMES **out, struct err *e)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	int rc = names ? 0 : parts_fail(e, ERR_IO, "no memory for names");

	*out = NULL;
	if (rc == 0 && hardware_serial && *hardware_serial)
		rc = push(names, hardware_name(hardware_serial), hardware_serial, e);
	for (; rc == 0 && dns && *dns; dns++) {
		int type = is_address(*dns) ? GEN_IPADD : GEN_DNS;

		rc = push(names, a2i_GENERAL_NAME(NULL, NULL, NULL, type, *dns, 0), *dns, e);
	}
	if (rc == 0 && sk_GENERAL_NAME_num(names) > 0)
		*out = take(names);
	GENERAL_NAMES_free(names);
	return rc;
}

int parts_set_time(ASN1_TIME *t, int64_t utc_us, struct err *e)
{
	bool good = utc_us == INT64_MAX ? ASN1_TIME_set_string(t, "99991231235959Z") == 1 :
					  ASN1_TIME_set(t, (time_t)(utc_us / US_PER_S)) != NULL;

	return good ? 0 : parts_fail(e, ERR_INPUT, "that time cannot stand in a certificate");
}

void parts_call(const X509 *x, char *to, size_t n)
{
	char number[41];

	parts_name(X509_get_subject_name(x), to, n);
	if (*to)
		return;
	parts_number(X509_get0_serialNumber(x), number);
	snprintf(to, n, "number %s", number);
}
