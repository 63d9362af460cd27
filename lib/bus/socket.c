/* socket: how both kinds of TCP link reach their peer. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "link.h"

int socket_peer(const struct bus_address *a, struct sockaddr_storage *to, socklen_t *len, struct err *e)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
	char port[8];

	snprintf(port, sizeof port, "%u", a->port);
	if (getaddrinfo(a->host, port, &hints, &found) != 0)
		return err_set(e, ERR_INPUT, 0, "host '%s' must be a numeric address", a->host);
	memcpy(to, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int socket_connect(const struct sockaddr_storage *peer, socklen_t len, struct err *e)
{
	auto_close int fd = socket(peer->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0 || (connect(fd, (const struct sockaddr *)peer, len) < 0 && errno != EINPROGRESS))
		return err_set(e, ERR_UNREACHABLE, errno, "cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* a question is one segment, now */
	return take_fd(&fd);
}

int socket_connected(int fd, struct err *e)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? err_set(e, ERR_UNREACHABLE, error, "cannot connect") : 0;
}
