/* ctl: the control socket's words: JSON-RPC 2.0, one object a line, at most 64 KiB; a server on a loop, a client that
 * waits.
 *
 * A failure crosses the socket as {"code": -32000 - kind, "message": text, "data": {"kind": "refused"}} and comes out
 * of ctl_call as the same struct err. Hostile peers: a line too long, not JSON, or a peer that does not read is
 * dropped.
 */
#ifndef PSEC_CTL_H
#define PSEC_CTL_H

#include <jansson.h>

#include "base/base.h"
#include "loop/loop.h"

enum { CTL_LINE_MAX = 65536, CTL_PEERS_MAX = 64 };

/* ---- server ---- */
struct ctl_server;
struct ctl_peer;

/* Answer method: 0 with *result (stolen), or -1 with *e. NULL result: {}. */
typedef int ctl_method_fn(void *arg, struct ctl_peer *peer, const char *method, const json_t *params, json_t **result,
			  struct err *e);
/* Serve a listening descriptor (owned from here on). admit (may be NULL) is asked once a connection: NULL from it
 * closes; otherwise its pointer is the peer's, released by release. The server is not to be freed from within these. */
struct ctl_serve {
	ctl_method_fn *method;
	void *(*admit)(void *arg, int fd, struct err *e);
	void (*release)(void *arg, void *peer_data);
	void *arg;
};
must_check int ctl_server_new(struct loop *l, int listen_fd, const struct ctl_serve *serve, struct ctl_server **out,
			      struct err *e);
void ctl_server_free(struct ctl_server *s);
void *ctl_peer_data(const struct ctl_peer *p);
/* From now on the peer gets notifications of this name (method "subscribe"). */
void ctl_peer_subscribe(struct ctl_peer *p, const char *topic);
bool ctl_has_subscriber(const struct ctl_server *s, const char *topic);
/* Send {"method": topic, "params": params} to the subscribers; who is more than 256 KiB behind is dropped. */
void ctl_notify(struct ctl_server *s, const char *topic, const json_t *params);
/* Bind and listen on path: a stale socket is replaced, a live one is ERR_AGAIN. */
must_check int ctl_listen(const char *path, unsigned mode, int *fd, struct err *e);

/* ---- client ---- */
struct ctl_client;
/* ERR_UNREACHABLE when nobody listens. Caller frees. */
must_check int ctl_connect(const char *path, struct ctl_client **out, struct err *e);
void ctl_client_free(struct ctl_client *c);
/* params is stolen, may be NULL. *result: caller's reference (may be NULL when not wanted). */
must_check int ctl_call(struct ctl_client *c, const char *method, json_t *params, int timeout_ms, json_t **result,
			struct err *e);
/* The next notification: 1 with *topic (until the next call) and *params (caller's reference, may be NULL); 0 at the
 * time-out or when a signal came; -1. */
must_check int ctl_next(struct ctl_client *c, int timeout_ms, const char **topic, json_t **params, struct err *e);

#endif
