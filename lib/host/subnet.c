#include <errno.h>
#include <ifaddrs.h>
#include <sys/socket.h>

#include "host/host.h"

int host_subnet_of(const char *port, struct in_addr *own, int *prefix, struct err *e)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return err_set(e, ERR_IO, errno, "cannot list the network ports");
	for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !i->ifa_netmask || !str_eq(i->ifa_name, port))
			continue;
		*own = ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;
		*prefix = __builtin_popcount(((struct sockaddr_in *)(void *)i->ifa_netmask)->sin_addr.s_addr);
		found = true;
	}
	freeifaddrs(all);
	return found ? 0 : err_set(e, ERR_INPUT, 0, "port '%s' is not there or has no IPv4 address", port);
}
