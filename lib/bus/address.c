/* address: the text of a device's place, taken apart and put together. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "bus/bus.h"

/* libmodbus falls back to 9600 in silence for a rate it does not know, so only those it knows are taken. */
static const uint32_t rates[] = {1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200};

static int bad(struct err *e, const char *text, const char *what)
{
	char shown[120];

	str_printable(shown, sizeof shown, text, strlen(text));
	return err_set(e, ERR_INPUT, 0, "address '%s': %s", shown, what);
}

/* A copy of [from, to) that fits into n bytes with its end. */
static bool copy_part(char *out, size_t n, const char *from, const char *to)
{
	size_t len = (size_t)(to - from);

	if (len >= n)
		return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

static int parse_unit(const char *text, const char *word, struct bus_address *a, struct err *e)
{
	int64_t unit;

	if (!parse_int(word, 0, 255, &unit) || (unit > 247 && unit != 255))
		return bad(e, text, "the unit after '#' must be 0…247 or 255");
	if (a->kind != BUS_TCP && (unit == 0 || unit == 255))
		return bad(e, text, "the unit on a serial line must be 1…247 (nobody answers the broadcast, 0)");
	a->unit = (uint8_t)unit;
	a->has_unit = true;
	return 0;
}

static bool host_ok(const char *host, bool bracketed)
{
	const char *more = bracketed ? ":.%-_" : ".-_";

	if (host[0] == '\0' || host[0] == '-' || host[0] == '.')
		return false;
	for (const char *p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(more, *p))
			return false;
	return true;
}

static int parse_tcp(const char *text, const char *rest, const char *end, struct bus_address *a, struct err *e)
{
	const char *host_end, *after;
	bool bracketed = *rest == '[';
	char port_text[8];
	int64_t port = 502;

	if (bracketed) {
		host_end = memchr(rest, ']', (size_t)(end - rest));
		if (!host_end)
			return bad(e, text, "']' is missing after the IPv6 address");
		rest++;
		after = host_end + 1;
	} else {
		host_end = memchr(rest, ':', (size_t)(end - rest));
		if (host_end && memchr(host_end + 1, ':', (size_t)(end - host_end - 1)))
			return bad(e, text, "an IPv6 address stands in brackets, as in tcp://[fd00::2]:502");
		after = host_end = host_end ? host_end : end;
	}
	if (!copy_part(a->host, sizeof a->host, rest, host_end))
		return bad(e, text, "the host is longer than 63 characters");
	if (!host_ok(a->host, bracketed))
		return bad(e, text, a->host[0] ? "the host has a character that no host has" : "the host is missing");
	if (bracketed && !strchr(a->host, ':'))
		return bad(e, text, "only an IPv6 address stands in brackets");
	if (after < end && *after != ':')
		return bad(e, text, "only ':PORT' and '#UNIT' may follow the host");
	if (after == end && a->kind == BUS_RTU_TCP)
		return bad(e, text, "the port is missing: gateways that pass serial frames on have none in common");
	if (after < end && (!copy_part(port_text, sizeof port_text, after + 1, end) ||
			    !parse_int(port_text, 1, 65535, &port)))
		return bad(e, text, "the port must be 1…65535");
	a->port = (uint16_t)port;
	return 0;
}

static bool parse_baud(const char *word, uint32_t *baud)
{
	int64_t n;

	if (!parse_int(word, 1, 1000000, &n))
		return false;
	for (size_t i = 0; i < COUNT_OF(rates); i++)
		if (rates[i] == n) {
			*baud = rates[i];
			return true;
		}
	return false;
}

static int parse_setting(const char *text, const char *word, struct bus_address *a, bool *has_stop, struct err *e)
{
	if (str_starts(word, "baud=")) {
		if (!parse_baud(word + 5, &a->baud))
			return bad(e, text, "baud must be 1200, 2400, 4800, 9600, 19200, 38400, 57600 or 115200");
	} else if (str_starts(word, "parity=")) {
		const char *p = word + 7;

		a->parity = str_eq(p, "none") ? 'N' : str_eq(p, "even") ? 'E' : str_eq(p, "odd") ? 'O' : 0;
		if (!a->parity)
			return bad(e, text, "parity must be none, even or odd");
	} else if (str_eq(word, "stop=1") || str_eq(word, "stop=2")) {
		a->stop = (uint8_t)(word[5] - '0');
		*has_stop = true;
	} else if (str_starts(word, "stop=")) {
		return bad(e, text, "stop must be 1 or 2");
	} else {
		return bad(e, text, "after '?' stand baud=, parity= and stop=, joined by '&'");
	}
	return 0;
}

static int parse_rtu(const char *text, const char *rest, const char *end, struct bus_address *a, struct err *e)
{
	const char *query = memchr(rest, '?', (size_t)(end - rest));
	const char *path_end = query ? query : end;
	bool has_stop = false;

	if (*rest != '/')
		return bad(e, text, "the line must be an absolute path, as in rtu:/dev/ttyS1");
	if (!copy_part(a->path, sizeof a->path, rest, path_end))
		return bad(e, text, "the line's path is longer than 63 characters");
	for (const char *p = a->path; *p; p++)
		if (!isgraph((unsigned char)*p))
			return bad(e, text, "the line's path has a character that may not be in it");
	a->baud = 19200;
	a->parity = 'E';
	while (query && query < end) {
		const char *word = query + 1, *next = memchr(word, '&', (size_t)(end - word));
		char setting[24];

		query = next ? next : end;
		if (!copy_part(setting, sizeof setting, word, query))
			return bad(e, text, "after '?' stand baud=, parity= and stop=, joined by '&'");
		if (parse_setting(text, setting, a, &has_stop, e) < 0)
			return -1;
	}
	if (!has_stop)
		a->stop = a->parity == 'N' ? 2 : 1; /* a character has 11 bits, MSL 2.5.1 */
	return 0;
}

int bus_address_parse(const char *text, struct bus_address *out, struct err *e)
{
	struct bus_address a = {0};
	const char *hash = strchr(text, '#'), *end = hash ? hash : text + strlen(text);
	int r;

	if (str_starts(text, "tcp://")) {
		a.kind = BUS_TCP;
		r = parse_tcp(text, text + 6, end, &a, e);
	} else if (str_starts(text, "rtu+tcp://")) {
		a.kind = BUS_RTU_TCP;
		r = parse_tcp(text, text + 10, end, &a, e);
	} else if (str_starts(text, "rtu://")) {
		a.kind = BUS_RTU;
		r = parse_rtu(text, text + 6, end, &a, e);
	} else if (str_starts(text, "rtu:")) { /* as people type it */
		a.kind = BUS_RTU;
		r = parse_rtu(text, text + 4, end, &a, e);
	} else {
		return bad(e, text, "must begin with tcp://, rtu:// or rtu+tcp://");
	}
	if (r < 0 || (hash && parse_unit(text, hash + 1, &a, e) < 0))
		return -1;
	*out = a;
	return 0;
}

char *bus_address_format(const struct bus_address *a, char to[BUS_ADDRESS_LEN])
{
	const char *parity = a->parity == 'N' ? "none" : a->parity == 'O' ? "odd" : "even";
	bool v6 = strchr(a->host, ':');
	char stop[16] = "", unit[8] = "";

	if (a->has_unit)
		snprintf(unit, sizeof unit, "#%u", a->unit);
	if (a->kind != BUS_RTU) {
		snprintf(to, BUS_ADDRESS_LEN, v6 ? "%stcp://[%s]:%u%s" : "%stcp://%s:%u%s",
			 a->kind == BUS_RTU_TCP ? "rtu+" : "", a->host, a->port, unit);
		return to;
	}
	if (a->stop != (a->parity == 'N' ? 2 : 1))
		str_copy(stop, sizeof stop, a->stop == 2 ? "&stop=2" : "&stop=1");
	snprintf(to, BUS_ADDRESS_LEN, "rtu://%s?baud=%u&parity=%s%s%s", a->path, a->baud, parity, stop, unit);
	return to;
}

bool bus_address_same_link(const struct bus_address *a, const struct bus_address *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind != BUS_RTU)
		return a->port == b->port && strcasecmp(a->host, b->host) == 0;
	return str_eq(a->path, b->path);
}

bool bus_address_same_unit(const struct bus_address *a, const struct bus_address *b)
{
	return bus_address_same_link(a, b) && a->unit == b->unit;
}
