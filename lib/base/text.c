#include "base/base.h"

#include <string.h>

bool str_copy(char *to, size_t n, const char *from)
{
	size_t len = strnlen(from, n);
	bool whole = len < n;

	if (!n)
		return false;
	if (!whole)
		len = n - 1;
	memmove(to, from, len);
	to[len] = '\0';
	return whole;
}

bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Length of the well-formed UTF-8 character at s, its code in *code; 0 when there is none (Unicode, table 3-7). */
static size_t utf8_char(const unsigned char *s, size_t len, uint32_t *code)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c;

	if (!n || n > len)
		return 0;
	c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return n;
}

static bool begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

size_t str_columns(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += begins_character(s[i]);
	return n;
}

size_t str_fit(const char *s, size_t len, size_t columns)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (begins_character(s[i]) && n++ == columns)
			return i;
	return len;
}

/* C0, DEL, C1, line and paragraph separators, and what turns the direction of writing: all of these can make a
 * terminal show something else than what is there. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

void str_printable(char *to, size_t n, const char *from, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)from, *end = s + len;
	size_t at = 0;

	if (!n)
		return;
	while (s < end) {
		uint32_t c = 0;
		size_t chars = utf8_char(s, (size_t)(end - s), &c);
		bool plain = chars && !is_control(c);
		size_t bytes = chars ? chars : 1, need = plain ? bytes : 4 * bytes;

		if (need >= n - at)
			break;
		for (size_t i = 0; i < bytes; i++, s++) {
			if (plain) {
				to[at++] = (char)*s;
			} else {
				to[at++] = '\\';
				to[at++] = 'x';
				to[at++] = hex[*s >> 4];
				to[at++] = hex[*s & 15];
			}
		}
	}
	to[at] = '\0';
}

char *hex_format(const void *data, size_t len, char *to)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = data;

	for (size_t i = 0; i < len; i++) {
		to[2 * i] = digits[at[i] >> 4];
		to[2 * i + 1] = digits[at[i] & 15];
	}
	to[2 * len] = '\0';
	return to;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_parse(const char *text, void *to, size_t len)
{
	uint8_t *out = to;

	if (strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
