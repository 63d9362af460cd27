/* Any text as a profile: it is refused with a report, or can be laid on a device whose registers say anything. */
#include <math.h>
#include <string.h>

#include "device/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void use(struct device_map *m, const uint8_t *data, size_t size)
{
	static uint16_t regs[BUS_READ_MAX];
	struct device_write w[DEVICE_WRITES_MAX];
	const struct device_block *b;
	size_t blocks = device_map_blocks(m, &b), count;
	struct device_reading r;
	struct err e;

	for (size_t i = 0; i < COUNT_OF(regs); i++)
		regs[i] = size > 0 ? (uint16_t)(data[i % size] << 8 | data[(i * 7 + 1) % size]) : 0;
	for (size_t i = 0; i < blocks; i++) {
		expect(b[i].count > 0 && b[i].count <= BUS_READ_MAX && b[i].address + b[i].count <= 65536);
		device_map_take(m, i, regs, 1);
	}
	for (int p = 0; p < POINT_COUNT; p++) {
		char from[160];

		if (device_map_read(m, (enum device_point)p, &r))
			expect((r.quality == DEVICE_GOOD) == isfinite(r.value));
		device_map_from(m, (enum device_point)p, from);
		if (device_map_write(m, (enum device_point)p, 100, w, &count, &e) == 0)
			for (size_t i = 0; i < count; i++)
				expect(w[i].write.count > 0 && w[i].write.function >= BUS_WRITE_REGISTER);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag_sink sink = { 0 };
	struct device_profile *p = profile_parse((const char *)data, size, "fuzz", &sink);
	struct device_map *m;
	struct err e;

	expect((p == NULL) == (sink.count > 0));
	if (p != NULL && !p->info.sunspec && device_map_new(p, p->info.roles, size % 2 == 1, NULL, &m, &e) == 0) {
		use(m, data, size);
		device_map_free(m);
	}
	profile_free(p);
	return 0;
}
