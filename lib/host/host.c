#include "host/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static in_addr_t address_of(const struct sockaddr *sa)
{
	return ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
}

/* The address that the kernel would send from: connect on a datagram socket asks the routing table and sends
 * nothing. */
static bool source_for(const struct in_addr *addr, in_addr_t *source, int *why)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = *addr, .sin_port = htons(9) }, from = { 0 };
	socklen_t len = sizeof from;
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ||
	    getsockname(fd, (struct sockaddr *)&from, &len) < 0) {
		*why = errno;
		return false;
	}
	*source = from.sin_addr.s_addr;
	return true;
}

/* The driver sees the other end. <linux/if.h> has IFF_LOWER_UP, but cannot stand beside <net/if.h>. */
enum { LOWER_UP = 1 << 16 };

static bool usable(const struct ifaddrs *i)
{
	return i->ifa_addr && i->ifa_netmask && i->ifa_addr->sa_family == AF_INET;
}

static int prefix_of(const struct ifaddrs *i)
{
	return __builtin_popcount(address_of(i->ifa_netmask));
}

static bool on_subnet(const struct ifaddrs *i, in_addr_t addr)
{
	/* A point-to-point link (a modem) has the peer's address and no subnet. */
	if ((i->ifa_flags & IFF_POINTOPOINT) && i->ifa_dstaddr && i->ifa_dstaddr->sa_family == AF_INET &&
	    address_of(i->ifa_dstaddr) == addr)
		return true;
	return !((address_of(i->ifa_addr) ^ addr) & address_of(i->ifa_netmask));
}

/* The interface whose own subnet holds addr (the smallest such subnet), also when it is down and has no route for that
 * reason; else the one that the route would send from. */
static const struct ifaddrs *choose(const struct ifaddrs *all, in_addr_t addr, bool routed, in_addr_t source)
{
	const struct ifaddrs *direct = NULL, *by_source = NULL;

	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!usable(i))
			continue;
		if (on_subnet(i, addr) &&
		    (!direct || prefix_of(i) > prefix_of(direct) ||
		     (prefix_of(i) == prefix_of(direct) && routed && address_of(i->ifa_addr) == source)))
			direct = i;
		if (routed && address_of(i->ifa_addr) == source && !by_source)
			by_source = i;
	}
	return direct ? direct : by_source;
}

int host_link_to(const struct in_addr *addr, struct host_link *out, struct err *e)
{
	struct ifaddrs *all;
	const struct ifaddrs *via;
	in_addr_t source = 0;
	int why = 0;

	*out = (struct host_link){ 0 };
	out->routed = source_for(addr, &source, &why);
	if (!out->routed && why != ENETUNREACH && why != EHOSTUNREACH && why != EACCES && why != EINVAL)
		return err_set(e, ERR_IO, why, "cannot ask for the route");
	if (getifaddrs(&all) < 0)
		return err_set(e, ERR_IO, errno, "cannot list the interfaces");
	via = choose(all, addr->s_addr, out->routed, source);
	if (via) {
		char text[INET_ADDRSTRLEN];
		in_addr_t own = address_of(via->ifa_addr);

		str_copy(out->name, sizeof out->name, via->ifa_name);
		out->name[strcspn(out->name, ":")] = '\0'; /* a second address may carry a label, "eth0:1" */
		out->up = via->ifa_flags & IFF_UP;
		out->carrier = out->up && (via->ifa_flags & LOWER_UP);
		out->direct = on_subnet(via, addr->s_addr);
		inet_ntop(AF_INET, &own, text, sizeof text);
		snprintf(out->own, sizeof out->own, "%s/%d", text, prefix_of(via));
	}
	freeifaddrs(all);
	return 0;
}
