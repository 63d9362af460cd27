#include "target.h"

#include <arpa/inet.h>
#include <string.h>

#include "host/host.h"
#include "scan/scan.h"

enum { MODBUS_PORT = 502, PORT_PREFIX_MIN = 22, PREFIX_MIN = 20 /* SCAN_HOSTS_MAX addresses */ };

static int push(struct targets *t, const struct bus_address *a, bool baud_given, struct err *e)
{
	if (t->count == SCAN_HOSTS_MAX)
		return err_set(e, ERR_USAGE, 0, "more than %d addresses in one scan", SCAN_HOSTS_MAX);
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->addresses = xrealloc(t->addresses, t->cap, sizeof *t->addresses);
		t->baud_given = xrealloc(t->baud_given, t->cap, sizeof *t->baud_given);
	}
	t->baud_given[t->count] = baud_given;
	t->addresses[t->count++] = *a;
	return 0;
}

void targets_release(struct targets *t)
{
	free(t->addresses);
	free(t->baud_given);
	*t = (struct targets){ 0 };
}

static int push_host(struct targets *t, uint32_t host, uint16_t port, struct err *e)
{
	struct bus_address a = { .kind = BUS_TCP, .port = port };
	struct in_addr in = { htonl(host) };

	inet_ntop(AF_INET, &in, a.host, sizeof a.host);
	return push(t, &a, false, e);
}

static int bad(const char *text, struct err *e)
{
	return err_set(e, ERR_USAGE, 0, "'%s' is not a target; expected 192.168.1.0/24, 192.168.1.10, "
		       "192.168.1.10-20, each with :PORT if not 502, rtu:/dev/ttyS1?baud=9600&parity=none, or "
		       "rtu+tcp://HOST:PORT", text);
}

/* "HOST", "HOST/PREFIX", "HOST-LAST"; every address of a network but its first and last. */
static int add_range(struct targets *t, char *text, const char *whole, uint16_t port, struct err *e)
{
	char *slash = strchr(text, '/'), *dash = strchr(text, '-');
	struct in_addr in;
	uint32_t first, last;
	int64_t n;

	if (slash)
		*slash = '\0';
	if (dash)
		*dash = '\0';
	if ((slash && dash) || inet_pton(AF_INET, text, &in) != 1)
		return bad(whole, e);
	first = last = ntohl(in.s_addr);
	if (slash) {
		if (!parse_int(slash + 1, PREFIX_MIN, 32, &n))
			return err_set(e, ERR_USAGE, 0, "'%s': the prefix must be %d…32", whole, PREFIX_MIN);
		first &= n ? UINT32_MAX << (32 - n) : 0;
		last = first | (n == 32 ? 0 : UINT32_MAX >> n);
		if (n < 31)
			first++, last--;
	} else if (dash) {
		if (!parse_int(dash + 1, first & 0xFF, 255, &n))
			return err_set(e, ERR_USAGE, 0, "'%s': the last number must be %u…255", whole, first & 0xFF);
		last = (first & 0xFFFFFF00) | (uint32_t)n;
	}
	for (uint32_t host = first; host <= last && host >= first; host++)
		if (push_host(t, host, port, e) < 0)
			return -1;
	return 0;
}

int targets_add(struct targets *t, const char *text, struct err *e)
{
	char copy[160], *colon;
	struct bus_address a;
	int64_t port = MODBUS_PORT;

	if (strlen(text) >= sizeof copy)
		return bad("(too long)", e);
	if (str_starts(text, "rtu:") || str_starts(text, "tcp:") || str_starts(text, "rtu+tcp:")) {
		if (bus_address_parse(text, &a, e) < 0) {
			e->kind = ERR_USAGE;
			return -1;
		}
		return push(t, &a, strstr(text, "baud=") || strstr(text, "parity="), e);
	}
	str_copy(copy, sizeof copy, text);
	colon = strrchr(copy, ':');
	if (colon) {
		*colon = '\0';
		if (!parse_int(colon + 1, 1, 65535, &port))
			return err_set(e, ERR_USAGE, 0, "'%s': the port must be 1…65535", text);
	}
	return add_range(t, copy, text, (uint16_t)port, e);
}

int scan_target_of_port(const char *port, char to[32], struct err *e)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr own;
	int prefix;

	if (host_subnet_of(port, &own, &prefix, e) < 0)
		return -1;
	if (prefix < PORT_PREFIX_MIN)
		return err_set(e, ERR_INPUT, 0,
			       "port '%s' is on a /%d network, too large to scan unasked: name a range", port, prefix);
	inet_ntop(AF_INET, &own, text, sizeof text);
	snprintf(to, 32, "%s/%d", text, prefix);
	return 0;
}
