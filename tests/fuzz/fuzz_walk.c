/* Any answers to the SunSpec walk, and any registers in the models that it found: the walk ends, and nothing that is no value
 * is taken for one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

/* The device's memory is the input, again and again. */
static uint16_t reg(const uint8_t *data, size_t size, uint32_t at)
{
	return size > 0 ? (uint16_t)(data[2 * at % size] << 8 | data[(2 * at + 1) % size]) : 0;
}

static void use(const struct device_profile *p, const struct device_sunspec *s, const uint8_t *data, size_t size)
{
	uint16_t regs[BUS_READ_MAX];
	struct device_write w[DEVICE_WRITES_MAX];
	const struct device_block *b;
	struct device_reading r;
	struct device_map *m;
	size_t count, blocks;
	struct err e;

	if (device_map_new(p, device_profile_info(p)->roles, false, s, &m, &e) < 0)
		return;
	blocks = device_map_blocks(m, &b);
	for (size_t i = 0; i < blocks; i++) {
		expect(b[i].count > 0 && b[i].count <= BUS_READ_MAX && b[i].address + b[i].count <= 65536);
		for (uint16_t k = 0; k < b[i].count; k++)
			regs[k] = reg(data, size, b[i].address + k - s->base);
		device_map_take(m, i, regs, 1);
	}
	for (int q = 0; q < POINT_COUNT; q++)
		if (device_map_read(m, (enum device_point)q, &r))
			expect((r.quality == DEVICE_GOOD) == isfinite(r.value));
	(void)!device_map_write(m, POINT_BATTERY_SETPOINT_W, -500, w, &count, &e);
	device_map_free(m);
}

static void look(void *arg, const struct device_model_point *p)
{
	const struct device_model *m = arg;

	expect(p->address >= m->address && p->address < m->address + m->length);
	expect(p->is_text || (p->quality == DEVICE_GOOD) == isfinite(p->value));
}

static void use_model(struct device_model *m, const struct device_sunspec *s, const uint8_t *data, size_t size)
{
	uint16_t *regs;
	struct err e;

	if (m->length > 3000)
		return;
	regs = malloc(m->length * sizeof *regs + 1); /* as long as it is: a reach beyond it is seen */
	for (uint16_t k = 0; regs != NULL && k < m->length; k++)
		regs[k] = reg(data, size, m->address + k - s->base);
	(void)!device_model_points(m, regs, look, m, &e);
	free(regs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device_catalogue *c; /* read once: it is the same for every input */
	struct diag_sink sink = { 0 };
	const struct device_profile *p;
	struct device_identity id;
	struct device_probe q;
	struct device_walk w;
	struct err e;
	int asked = 0;

	if (c == NULL)
		expect(device_catalogue_load(NULL, &c, &sink, &e) == 0);
	device_walk_begin(&w);
	while (device_walk_next(&w, &q)) {
		uint16_t regs[2] = { reg(data, size, q.address - w.found.base), reg(data, size, q.address - w.found.base + 1u) };

		expect(++asked <= 3 + DEVICE_MODELS_MAX + 1 && q.count == 2 && q.address < 65535);
		device_walk_answer(&w, size % 97 == 96 && asked % 5 == 4 ? NULL : regs, 2);
	}
	for (size_t i = 0; i < w.found.model_count && i < 4; i++)
		use_model(&w.found.models[i], &w.found, data, size);
	for (size_t i = 0; i < w.found.model_count; i++)
		expect(w.found.models[i].address + w.found.models[i].length <= 65536);
	p = w.found.found ? device_sunspec_profile(c, &w.found) : NULL;
	if (p != NULL)
		use(p, &w.found, data, size);
	(void)!device_fc43_identity(data, size, &id);
	return 0;
}
