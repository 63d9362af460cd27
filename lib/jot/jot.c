#include "jot/jot.h"

#include <math.h>
#include <string.h>

static void add_printable(struct buf *b, const char *s, size_t len)
{
	auto_free char *clean = xcalloc(4 * len + 1, 1); /* "\\x1b" for each byte at most */

	str_printable(clean, 4 * len + 1, s, len);
	buf_adds(b, clean);
}

json_t *jot_text(const char *s)
{
	auto_buf struct buf b = BUF_INIT;

	buf_adds(&b, "");
	if (s)
		add_printable(&b, s, strlen(s));
	return json_string(b.data);
}

json_t *jot_word(const char *s)
{
	return s && s[0] ? jot_text(s) : json_null();
}

json_t *jot_lines(const char *s)
{
	auto_buf struct buf b = BUF_INIT;

	buf_adds(&b, "");
	for (size_t len; *s; s += len) {
		len = strcspn(s, "\n");
		add_printable(&b, s, len);
		if (s[len] == '\n') {
			buf_adds(&b, "\n");
			len++;
		}
	}
	return json_string(b.data);
}

json_t *jot_number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

json_t *jot_real_text(double v)
{
	char text[32];

	snprintf(text, sizeof text, "%.9g", v == 0 ? 0.0 : v);
	return isfinite(v) ? json_string(text) : json_null();
}

json_t *jot_time(int64_t utc_us)
{
	char text[BASE_TIME_LEN];

	return json_string(time_format(utc_us, text));
}
