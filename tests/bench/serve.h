/* serve.h: what the devices of wire.c and rates.c have in common: where they listen, and the words on stdin that reach them. */
#ifndef PSEC_TESTS_SERVE_H
#define PSEC_TESTS_SERVE_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

struct words {
	struct loop *loop;
	void (*go)(void), (*report)(void);
};

static inline int listen_at(struct loop *l, uint32_t host, uint16_t port, loop_fd_fn *on_connection, void *arg, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct loop_source *source;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    listen(fd, 16) < 0)
		return err_set(e, ERR_IO, errno, "cannot serve %s:%u", inet_ntoa(a.sin_addr), port);
	return loop_add_fd(l, fd, LOOP_READ, on_connection, arg, &source, e);
}

static inline void on_word(void *arg, int fd, unsigned events)
{
	const struct words *w = arg;
	char line[64];
	ssize_t n = read(fd, line, sizeof line - 1);

	(void)events;
	line[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		loop_stop(w->loop);
	else if (str_starts(line, "go"))
		w->go();
	else if (str_starts(line, "report"))
		w->report();
}

/* All listen: "ready", then the words until stdin ends. */
static inline int serve_words(struct words *w, struct err *e)
{
	struct loop_source *source;

	if (loop_add_fd(w->loop, STDIN_FILENO, LOOP_READ, on_word, w, &source, e) < 0)
		return -1;
	puts("ready");
	fflush(stdout);
	return loop_run(w->loop, e);
}

#endif
