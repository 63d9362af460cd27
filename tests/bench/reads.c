/* How many requests the shipped profiles need, merged and with one read a value. Counts, not times. */
#include <stdio.h>

#include "../unit/device_reads.h"

int main(void)
{
	struct diag_sink sink = { 0 };
	const struct device_profile *p;
	struct device_catalogue *c;
	struct reads sum = { 0 };
	struct err e;
	size_t n = 0;

	if (device_catalogue_load(NULL, &c, &sink, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	for (; (p = device_profile_at(c, n)) != NULL; n++) {
		struct reads r = reads_of(p);

		printf("%s %zu %zu %.2f %.2f\n", p->id, r.blocks, r.values, r.blocks_hz, r.values_hz);
		sum.blocks += r.blocks;
		sum.values += r.values;
		sum.blocks_hz += r.blocks_hz;
		sum.values_hz += r.values_hz;
	}
	printf("all %zu %zu %.2f %.2f\n", sum.blocks, sum.values, sum.blocks_hz, sum.values_hz);
	device_catalogue_free(c);
	return 0;
}
