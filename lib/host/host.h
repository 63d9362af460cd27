/* host: facts of this machine's kernel that explain why a network does not answer. */
#ifndef PSEC_HOST_H
#define PSEC_HOST_H

#include <netinet/in.h>

#include "base/base.h"

struct host_link {
	char name[16];       /* interface that leads to the address */
	bool up, carrier;
	bool direct;         /* the address is on this interface's own subnet */
	char own[48];        /* our address there, with prefix length: "192.168.1.20/24" */
	bool routed;         /* there is a route at all */
};
/* How would a packet reach addr? Reads only (getifaddrs, a connected but silent UDP socket). No interface leads
 * there: name is "". An interface that is down is named when the address is on its subnet. */
must_check int host_link_to(const struct in_addr *addr, struct host_link *out, struct err *e);

/* The IPv4 subnet that a port is on: its first address and prefix length. ERR_INPUT when it has none. */
must_check int host_subnet_of(const char *port, struct in_addr *own, int *prefix, struct err *e);

#endif
