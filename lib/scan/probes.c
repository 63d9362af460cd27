#include "probes.h"

static int find(const struct probes *p, const struct device_probe *q)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->ask[i].function == q->function && p->ask[i].address == q->address && p->ask[i].count == q->count)
			return (int)i;
	return -1;
}

static void collect(struct probes *p, const struct device_catalogue *c, bool own)
{
	const struct device_profile *profile;

	for (size_t i = 0; (profile = device_profile_at(c, i)); i++) {
		const struct device_probe *probes;
		size_t n = device_profile_info(profile)->own == own ? device_profile_probes(profile, &probes) : 0;

		for (size_t k = 0; k < n && p->count < PROBES_MAX; k++)
			if (find(p, &probes[k]) < 0 && probes[k].count <= BUS_READ_MAX)
				p->ask[p->count++] = probes[k];
	}
}

/* The site's own first: they have their place however many there are, and a device that is recognised early is. */
void probes_collect(struct probes *p, const struct device_catalogue *c)
{
	p->count = 0;
	collect(p, c, true);
	collect(p, c, false);
	probes_forget(p);
}

void probes_forget(struct probes *p)
{
	for (size_t i = 0; i < p->count; i++)
		p->answered[i] = false;
}

const struct device_profile *probes_match(const struct probes *p, const struct device_catalogue *c,
					  enum device_match *match, char why[120])
{
	const struct device_profile *profile, *best = NULL;

	*match = DEVICE_NO;
	for (size_t i = 0; (profile = device_profile_at(c, i)); i++) {
		const uint16_t *answers[PROBES_MAX] = { NULL };
		const struct device_probe *probes;
		size_t n = device_profile_probes(profile, &probes);
		enum device_match m;
		char words[120];

		for (size_t k = 0; k < n && k < PROBES_MAX; k++) {
			int at = find(p, &probes[k]);

			answers[k] = at >= 0 && p->answered[at] ? p->regs[at] : NULL;
		}
		m = n ? device_profile_match(profile, answers, words) : DEVICE_NO;
		if (m > *match) {
			*match = m;
			best = profile;
			str_copy(why, 120, words);
		}
	}
	return best;
}
