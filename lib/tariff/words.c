#include <math.h>

#include "tariff/tariff.h"

static void side_words(const struct tariff_side *s, struct buf *b)
{
	double lowest = INFINITY, highest = -INFINITY;

	switch (s->kind) {
	case TARIFF_FIXED:
		buf_addf(b, "%g EUR/kWh", s->rates[0]);
		break;
	case TARIFF_PERIODS:
		for (size_t i = 0; i < s->rate_count; i++) {
			lowest = fmin(lowest, s->rates[i]);
			highest = fmax(highest, s->rates[i]);
		}
		buf_addf(b, "by time of use %g to %g EUR/kWh", lowest, highest);
		break;
	case TARIFF_SPOT:
		if (s->factor != 1)
			buf_addf(b, "%g × ", s->factor);
		buf_adds(b, "price of the exchange");
		if (s->markup != 0)
			buf_addf(b, " %c %g EUR/kWh", s->markup < 0 ? '-' : '+', fabs(s->markup));
		if (s->tax_percent != 0)
			buf_addf(b, ", and %g %% of it", s->tax_percent);
		if (isfinite(s->least))
			buf_addf(b, ", at least %g EUR/kWh", s->least);
		if (isfinite(s->most))
			buf_addf(b, ", at most %g EUR/kWh", s->most);
		break;
	}
}

void tariff_words(const struct tariff *t, struct buf *b)
{
	if (*t->name)
		buf_addf(b, "%s: ", t->name);
	buf_adds(b, "import ");
	side_words(&t->import, b);
	buf_adds(b, "; export ");
	side_words(&t->export, b);
	if (t->capacity_eur_kw > 0)
		buf_addf(b, "; peak %g EUR/kW a %s", t->capacity_eur_kw,
			 t->capacity_per == TARIFF_PER_MONTH ? "month" : "year");
}
