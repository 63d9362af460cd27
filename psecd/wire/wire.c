/* wire: messages of exact length over SOCK_SEQPACKET; what is not exactly one of them is the end of the peer. */
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct header {
	uint32_t kind, len;
};

union body {
	struct wire_hello hello; struct wire_envelope envelope; struct wire_samples samples;
	struct wire_decision decision;
	struct wire_device device; struct wire_checked checked; struct wire_event event; struct wire_scan scan;
	struct wire_scan_end scan_end; struct wire_scan_row scan_row; struct wire_scan_step scan_step;
	struct wire_scan_done scan_done; struct wire_stopped stopped; struct wire_why why; struct wire_peer peer;
	struct wire_noted noted; struct wire_odd odd; struct wire_running running; struct wire_failed failed;
	struct wire_staff staff; struct wire_trial trial; struct wire_trial_end trial_end;
	struct wire_trial_row trial_row; struct wire_trial_done trial_done;
};

struct wire {
	int fd;
	struct loop_source *source;
	struct wire_ear ear;
	int passed_fd; /* came with WIRE_PEER, not taken yet */
	bool greeted, over;
	struct { struct header head; union body body; } in;
};

_Static_assert(offsetof(struct wire, in.body) == offsetof(struct wire, in.head) + sizeof(struct header),
	       "no gap on the wire");

static const struct {
	enum wire_kind kind;
	int len;
} lengths[] = {
	{ WIRE_HELLO, sizeof(struct wire_hello) },
	{ WIRE_ENVELOPE, sizeof(struct wire_envelope) },
	{ WIRE_CHECK, 0 },
	{ WIRE_SCAN, sizeof(struct wire_scan) },
	{ WIRE_STOP, 0 },
	{ WIRE_SCAN_END, sizeof(struct wire_scan_end) },
	{ WIRE_TRIAL, sizeof(struct wire_trial) },
	{ WIRE_TRIAL_END, sizeof(struct wire_trial_end) },
	{ WIRE_TRIAL_ROW, sizeof(struct wire_trial_row) },
	{ WIRE_TRIAL_DONE, sizeof(struct wire_trial_done) },
	{ WIRE_NOTED, sizeof(struct wire_noted) },
	{ WIRE_SAMPLES, sizeof(struct wire_samples) },
	{ WIRE_DECISION, sizeof(struct wire_decision) },
	{ WIRE_DEVICE, sizeof(struct wire_device) },
	{ WIRE_CHECKED, sizeof(struct wire_checked) },
	{ WIRE_SCAN_ROW, sizeof(struct wire_scan_row) },
	{ WIRE_SCAN_DONE, sizeof(struct wire_scan_done) },
	{ WIRE_EVENT, sizeof(struct wire_event) },
	{ WIRE_STOPPED, sizeof(struct wire_stopped) },
	{ WIRE_READY, 0 },
	{ WIRE_WHY, sizeof(struct wire_why) },
	{ WIRE_SCAN_STEP, sizeof(struct wire_scan_step) },
	{ WIRE_ALIVE, 0 },
	{ WIRE_SHUTDOWN, 0 },
	{ WIRE_PEER, sizeof(struct wire_peer) },
	{ WIRE_ODD, sizeof(struct wire_odd) },
	{ WIRE_RUNNING, sizeof(struct wire_running) },
	{ WIRE_FAILED, sizeof(struct wire_failed) },
	{ WIRE_STAFF, sizeof(struct wire_staff) },
};

int wire_length(enum wire_kind kind)
{
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		if (lengths[i].kind == kind)
			return lengths[i].len;
	}
	return -1;
}

/* FNV-1a: it tells builds apart by accident, not by attack; both ends were started by one supervisor. */
const char *wire_build(void)
{
	static char build[WIRE_BUILD_LEN];
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	if (build[0])
		return build;
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		h = (h ^ (uint64_t)lengths[i].kind) * UINT64_C(0x100000001b3);
		h = (h ^ (uint64_t)lengths[i].len) * UINT64_C(0x100000001b3);
	}
	h = (h ^ sizeof(struct wire_start)) * UINT64_C(0x100000001b3);
	snprintf(build, sizeof(build), "%s %016" PRIx64, PSEC_VERSION, h);
	return build;
}

static void readable(void *arg, int fd, unsigned events)
{
	(void)fd, (void)events;
	wire_hear(arg);
}

int wire_new(struct loop *l, int fd, const struct wire_ear *ear, struct wire **out, struct err *e)
{
	struct wire_hello hello = { 0 };
	struct wire *w = xcalloc(1, sizeof(*w));

	w->fd = fd;
	w->passed_fd = -1;
	w->ear = *ear;
	str_copy(hello.build, sizeof(hello.build), wire_build());
	if (wire_send(w, WIRE_HELLO, &hello, sizeof(hello), e) != 1 ||
	    loop_add_fd(l, fd, LOOP_READ, readable, w, &w->source, e) < 0) {
		wire_free(w);
		return err_ctx(e, "say hello");
	}
	*out = w;
	return 0;
}

void wire_free(struct wire *w)
{
	if (!w)
		return;
	loop_remove(w->source);
	if (w->passed_fd >= 0)
		close(w->passed_fd);
	close(w->fd);
	free(w);
}

int wire_take_fd(struct wire *w)
{
	return take_fd(&w->passed_fd);
}

static int send_message(struct wire *w, enum wire_kind kind, const void *body, size_t len, int passed_fd, struct err *e)
{
	struct header head = { .kind = (uint32_t)kind, .len = (uint32_t)len };
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)body, len } };
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };

	if (wire_length(kind) != (int)len)
		return err_set(e, ERR_BUG, 0, "message %d has %zu bytes, must have %d", (int)kind, len,
			       wire_length(kind));
	if (passed_fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control.space);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &passed_fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(w->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 1;
		if (errno == EAGAIN || errno == ENOBUFS)
			return 0;
		if (errno != EINTR)
			return err_set(e, ERR_UNREACHABLE, errno, "the other process is gone");
	}
}

int wire_send(struct wire *w, enum wire_kind kind, const void *body, size_t len, struct err *e)
{
	return send_message(w, kind, body, len, -1, e);
}

int wire_send_peer(struct wire *w, const struct wire_peer *peer, int fd, struct err *e)
{
	return send_message(w, WIRE_PEER, peer, sizeof(*peer), fd, e);
}

/* Keep the one descriptor that may come; every other is closed and makes the message odd. */
static bool take_passed(struct wire *w, struct msghdr *m)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (char *)c + at, sizeof(fd));
			if (w->passed_fd >= 0)
				close(w->passed_fd);
			w->passed_fd = fd;
			count++;
		}
	}
	return count <= 1 && !(m->msg_flags & MSG_CTRUNC);
}

static int judge(struct wire *w, size_t got, bool cut, bool fds_ok, struct err *e)
{
	int len = got < sizeof(struct header) ? -1 : wire_length((enum wire_kind)w->in.head.kind);

	if (got < sizeof(struct header) || cut)
		return err_set(e, ERR_INPUT, 0, "a message of %zu bytes is none of ours", got);
	if (len < 0)
		return err_set(e, ERR_INPUT, 0, "there is no message of kind %u", w->in.head.kind);
	if (w->in.head.len != (uint32_t)len || got != sizeof(struct header) + (size_t)len)
		return err_set(e, ERR_INPUT, 0, "message %u has %zu bytes, must have %d", w->in.head.kind,
			       got - sizeof(struct header), len);
	if (!fds_ok || (w->passed_fd >= 0) != (w->in.head.kind == WIRE_PEER))
		return err_set(e, ERR_INPUT, 0, "message %u has the wrong number of descriptors", w->in.head.kind);
	if (w->greeted == (w->in.head.kind == WIRE_HELLO))
		return err_set(e, ERR_INPUT, 0, "message %u came %s hello", w->in.head.kind,
			       w->greeted ? "after" : "before");
	if (!w->greeted) {
		w->in.body.hello.build[WIRE_BUILD_LEN - 1] = '\0';
		if (!str_eq(w->in.body.hello.build, wire_build()))
			return err_set(e, ERR_INPUT, 0, "the other process is of build '%s', this one of '%s'",
				       w->in.body.hello.build, wire_build());
	}
	return 0;
}

/* 1 with a message in w->in, 0 nothing there, -1 gone or odd. */
static int receive(struct wire *w, struct err *e)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(2 * sizeof(int))]; } control;

	for (;;) {
		struct iovec iov = { &w->in, sizeof(w->in) };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				    .msg_controllen = sizeof(control) };
		ssize_t n;
		bool fds_ok;

		if (w->passed_fd >= 0)
			close(take_fd(&w->passed_fd));
		n = recvmsg(w->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* ECONNRESET is told once, when the peer ended with words of ours unread; its own last words come
		 * after it. */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return err_set(e, ERR_UNREACHABLE, n < 0 ? errno : 0, "the other process is gone");
		fds_ok = take_passed(w, &m);
		if (judge(w, (size_t)n, m.msg_flags & MSG_TRUNC, fds_ok, e) < 0)
			return -1;
		if (!w->greeted) {
			w->greeted = true;
			continue;
		}
		return 1;
	}
}

void wire_hear(struct wire *w)
{
	const char *why;
	struct err e;
	int got = 0;

	while (!w->over && (got = receive(w, &e)) > 0) {
		why = w->ear.said(w->ear.arg, (enum wire_kind)w->in.head.kind, &w->in.body);
		if (!why)
			continue;
		got = err_set(&e, ERR_INPUT, 0, "%s", why);
		break;
	}
	if (w->over || got == 0)
		return;
	w->over = true;
	loop_remove(w->source);
	w->source = NULL;
	w->ear.ended(w->ear.arg, &e);
}

int wire_start_map(int fd, const struct wire_start **out, struct err *e)
{
	auto_close int owned = fd;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	const struct wire_start *s;

	if (seals < 0 || !(seals & F_SEAL_WRITE) || fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(*s))
		return err_set(e, ERR_BUG, 0, "descriptor %d is not the sealed site; psecd starts this program", owned);
	s = mmap(NULL, sizeof(*s), PROT_READ, MAP_PRIVATE, fd, 0);
	if (s == MAP_FAILED)
		return err_set(e, ERR_IO, errno, "cannot map the site");
	if (!wire_text_ok(s->build) || !str_eq(s->build, wire_build()))
		return err_set(e, ERR_BUG, 0, "psecd and this program are of different builds; install both from one");
	*out = s;
	return 0;
}
