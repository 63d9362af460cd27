/* The last minute of a value as a row of signs. */
#include <math.h>

#include "out/out.h"

/* A value counts in the second that it came in; unknown ones leave theirs empty. */
void out_spark_add(struct out_spark *s, int64_t boot_us, double value)
{
	int64_t second = boot_us / US_PER_S;
	struct out_spark_second *at = &s->at[second % OUT_SPARK_SECONDS];

	if (!isfinite(value))
		return;
	if (at->second != second)
		*at = (struct out_spark_second){ .second = second };
	at->sum += value;
	at->count++;
}

static double mean_of(const struct out_spark *s, int64_t from, int64_t to, int64_t now)
{
	double sum = 0;
	unsigned count = 0;

	for (int64_t second = from; second < to; second++) {
		const struct out_spark_second *at = &s->at[second % OUT_SPARK_SECONDS];

		if (second < 0 || second > now || at->second != second)
			continue;
		sum += at->sum;
		count += at->count;
	}
	return count ? sum / count : NAN;
}

void out_spark_draw(const struct out_spark *s, int64_t boot_us, double least_span, bool utf8, struct buf *b)
{
	static const char *const unicode[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { "_", ".", ":", "-", "=", "+", "*", "#" };
	enum { LEVELS = COUNT_OF(unicode), EACH = OUT_SPARK_SECONDS / OUT_SPARK_CELLS };
	int64_t now = boot_us / US_PER_S, first = now / EACH - OUT_SPARK_CELLS + 1;
	double cell[OUT_SPARK_CELLS], low = INFINITY, high = -INFINITY, span;

	/* A cell is the same seconds in every picture: it moves to the left and does not flicker. */
	for (int i = 0; i < OUT_SPARK_CELLS; i++) {
		cell[i] = mean_of(s, (first + i) * EACH, (first + i + 1) * EACH, now);
		low = fmin(low, cell[i]);
		high = fmax(high, cell[i]);
	}
	/* What moves less than the least span lies flat in the middle of a level: a meter's noise is no mountain. */
	span = fmax(high - low, least_span);
	if (span > high - low)
		low -= (span - (high - low)) / 2 - span / (2 * LEVELS);
	for (int i = 0; i < OUT_SPARK_CELLS; i++) {
		int level = isfinite(cell[i]) ? (int)((cell[i] - low) / span * LEVELS) : -1;

		if (level >= LEVELS)
			level = LEVELS - 1;
		buf_adds(b, level < 0 ? " " : utf8 ? unicode[level] : ascii[level]);
	}
}
