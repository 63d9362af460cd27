/* gateway: serial frames over TCP, to a device server that passes bytes on raw in both directions.
 *
 * It answers for no device, so silence is no sign that it has gone: only TCP itself tells.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "rtu.h"

/* Its line's rate is not known here. A pause in a stream of TCP is no end of a frame, but where nothing else is. */
enum { ASSUMED_BAUD = 9600, PAUSE_US = 50000, UNACKED_MS = 5000 };

static int gateway_open(struct rtu *r, struct err *e)
{
	int most_ms = UNACKED_MS;

	r->char_us = 11 * US_PER_S / ASSUMED_BAUD;
	r->gap_us = 0; /* the gateway keeps it */
	r->pause_us = PAUSE_US;
	r->fd = socket_connect(&r->peer, r->peer_len, e);
	if (r->fd < 0)
		return -1;
	setsockopt(r->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most_ms, sizeof most_ms);
	return 1;
}

static int gateway_opened(struct rtu *r, struct err *e)
{
	return socket_connected(r->fd, e);
}

static bool gateway_send(struct rtu *r)
{
	return send(r->fd, r->sent, r->sent_len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)r->sent_len;
}

static void gateway_close(struct rtu *r)
{
	base_close_(&r->fd);
}

const struct medium medium_gateway = {gateway_open, gateway_opened, gateway_send, gateway_close};
