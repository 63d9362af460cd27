/* Who a device says it is: in SunSpec model 1, or by function 43. */
#include "device/parts.h"

void device_sunspec_identity(const uint16_t *regs, size_t count, struct device_identity *out)
{
	/* Model 1: Mn 0+16, Md 16+16, Opt 32+8, Vr 40+8, SN 48+16 */
	*out = (struct device_identity){ 0 };
	if (count < 64)
		return;
	raw_text(regs, 16, out->make, sizeof out->make);
	raw_text(regs + 16, 16, out->model, sizeof out->model);
	raw_text(regs + 40, 8, out->version, sizeof out->version);
	raw_text(regs + 48, 16, out->serial, sizeof out->serial);
}

bool device_fc43_identity(const uint8_t *bytes, size_t count, struct device_identity *out)
{
	/* MAP 6.21: MEI type, code, conformity, more follows, next object, number of objects, then id, length, text
	 * each */
	size_t at = 6;

	*out = (struct device_identity){ 0 };
	if (count < 6 || bytes[0] != 0x0E)
		return false;
	for (unsigned n = bytes[5]; n > 0; n--) {
		char *to = NULL;
		size_t size = sizeof out->make, len;

		if (at + 2 > count || at + 2 + bytes[at + 1] > count)
			return false;
		len = bytes[at + 1];
		if (bytes[at] == 0x00) {
			to = out->make;
		} else if (bytes[at] == 0x01) {
			to = out->model;
		} else if (bytes[at] == 0x02) {
			to = out->version;
			size = sizeof out->version;
		} else if (bytes[at] == 0x05) { /* ModelName is for people, ProductCode for the shop */
			to = out->model;
		}
		if (to != NULL && len > 0)
			str_printable(to, size, (const char *)bytes + at + 2, len);
		at += 2 + len;
	}
	return out->make[0] != '\0' || out->model[0] != '\0';
}
