#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/wire.h"

static struct err e;
static struct loop *loop;

/* What an end heard last, and why it hears no more. */
struct heard {
	int count;
	enum wire_kind kind;
	char body[20000];
	size_t len;
	bool ended;
	const char *refuse; /* what we answer */
	struct wire *end;
	int passed;         /* the descriptor that came with WIRE_PEER */
};
static struct heard last;

static const char *take_it(void *arg, enum wire_kind kind, const void *body)
{
	struct heard *h = arg;

	h->count++;
	h->kind = kind;
	h->len = (size_t)wire_length(kind);
	memcpy(h->body, body, h->len);
	if (kind == WIRE_PEER)
		h->passed = wire_take_fd(h->end);
	return h->refuse;
}

static void it_ended(void *arg, const struct err *why)
{
	struct heard *h = arg;

	assert_false(h->ended); /* once */
	h->ended = true;
	e = *why;
}

static struct wire *end_of(int fd)
{
	const struct wire_ear ear = { .said = take_it, .ended = it_ended, .arg = &last };
	struct wire *w;

	if (!loop)
		assert_int_equal(loop_new(&loop, &e), 0);
	memset(&last, 0, sizeof(last));
	assert_int_equal(wire_new(loop, fd, &ear, &w, &e), 0);
	last.end = w;
	return w;
}

/* One end is wire's, the other a plain socket that can say anything. */
static struct wire *one_end(int *other)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	*other = fds[1];
	return end_of(fds[0]);
}

static void both_ends(struct wire **a, struct wire **b)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	*a = end_of(fds[0]);
	*b = end_of(fds[1]);
}

static void say_raw(int fd, uint32_t kind, uint32_t len, size_t bytes)
{
	struct { uint32_t kind, len; char body[20000]; } m = { .kind = kind, .len = len };

	assert_int_equal(send(fd, &m, 8 + bytes, 0), 8 + bytes);
}

static void say_hello(int fd, const char *build)
{
	struct { uint32_t kind, len; struct wire_hello hello; } m = { WIRE_HELLO, sizeof(m.hello), { { 0 } } };

	str_copy(m.hello.build, sizeof(m.hello.build), build);
	assert_int_equal(send(fd, &m, sizeof(m), 0), sizeof(m));
}

/* 1: a message more, 0: none, -1: it ended. */
static int hear(struct wire *w)
{
	int before = last.count;

	wire_hear(w);
	return last.ended ? -1 : last.count - before;
}

static void a_message_arrives_as_it_was_sent(void **state)
{
	struct wire *a, *b;
	struct wire_envelope sent = { .serial = 7, .envelope = { .manual_w = -500, .expires_boot_us = 12 } };

	(void)state;
	both_ends(&a, &b);
	assert_int_equal(hear(b), 0); /* hello is wire's own affair */
	assert_int_equal(wire_send(a, WIRE_ENVELOPE, &sent, sizeof(sent), &e), 1);
	assert_int_equal(loop_turn(loop, 0, &e), 0);
	assert_int_equal(last.count, 1);
	assert_int_equal(last.kind, WIRE_ENVELOPE);
	assert_memory_equal(last.body, &sent, sizeof(sent));
	assert_int_equal(hear(b), 0);
	wire_free(a);
	assert_int_equal(loop_turn(loop, 0, &e), 0);
	assert_true(last.ended);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	wire_free(b);
}

static void nothing_is_heard_after_a_message_that_its_owner_refused(void **state)
{
	struct wire *a, *b;

	(void)state;
	both_ends(&a, &b);
	last.refuse = "no";
	assert_int_equal(wire_send(a, WIRE_ALIVE, NULL, 0, &e), 1);
	assert_int_equal(wire_send(a, WIRE_STOP, NULL, 0, &e), 1);
	assert_int_equal(hear(b), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_string_equal(e.text, "no");
	wire_hear(b);
	assert_int_equal(loop_turn(loop, 0, &e), 0);
	assert_int_equal(last.count, 1);
	wire_free(a);
	wire_free(b);
}

static void a_message_before_hello_ends_the_sender(void **state)
{
	int other;
	struct wire *w = one_end(&other);

	(void)state;
	say_raw(other, WIRE_ALIVE, 0, 0);
	assert_int_equal(hear(w), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	wire_free(w);
	close(other);
}

static void another_build_and_a_second_hello_are_refused(void **state)
{
	int other;
	struct wire *w = one_end(&other);

	(void)state;
	say_hello(other, "0.0.9 0123456789abcdef");
	assert_int_equal(hear(w), -1);
	assert_non_null(strstr(e.text, "0.0.9"));
	wire_free(w);
	close(other);

	w = one_end(&other);
	say_hello(other, wire_build());
	assert_int_equal(hear(w), 0);
	say_hello(other, wire_build());
	assert_int_equal(hear(w), -1);
	wire_free(w);
	close(other);
}

static void a_wrong_length_or_kind_is_never_a_message(void **state)
{
	const struct { uint32_t kind, len; size_t bytes; } odd[] = {
		{ WIRE_ALIVE, 0, 1 }, { WIRE_ALIVE, 1, 1 }, { WIRE_ENVELOPE, 0, 0 },
		{ WIRE_ENVELOPE, sizeof(struct wire_envelope), sizeof(struct wire_envelope) - 1 },
		{ WIRE_ENVELOPE, sizeof(struct wire_envelope) + 1, sizeof(struct wire_envelope) + 1 },
		{ WIRE_SAMPLES, sizeof(struct wire_samples), 0 }, { 0, 0, 0 }, { 9999, 0, 0 }, { WIRE_LINK_FIRST, 0, 0 },
		{ WIRE_ALIVE, 0, 19000 }, /* larger than any message */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		int other;
		struct wire *w = one_end(&other);

		say_hello(other, wire_build());
		say_raw(other, odd[i].kind, odd[i].len, odd[i].bytes);
		assert_int_equal(hear(w), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		wire_free(w);
		close(other);
	}
}

static void a_few_bytes_are_no_message(void **state)
{
	int other;
	struct wire *w = one_end(&other);

	(void)state;
	say_hello(other, wire_build());
	assert_int_equal(send(other, "abc", 3, 0), 3);
	assert_int_equal(hear(w), -1);
	wire_free(w);
	close(other);
}

static void a_peer_that_does_not_read_blocks_nobody(void **state)
{
	struct wire *a, *b;
	struct wire_samples samples = { .count = 1 };
	int sent, n = 0;

	(void)state;
	both_ends(&a, &b);
	while ((sent = wire_send(a, WIRE_SAMPLES, &samples, sizeof(samples), &e)) == 1)
		assert_true(++n < 100000);
	assert_int_equal(sent, 0);
	wire_free(a);
	wire_free(b);
}

static void a_descriptor_travels_only_with_the_message_that_has_one(void **state)
{
	struct wire *a, *b;
	struct wire_peer peer = { .generation = 3 };
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct { uint32_t kind, len; } alive = { WIRE_ALIVE, 0 };
	struct iovec iov = { &alive, sizeof(alive) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int pipe_fds[2], got, null, other;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	both_ends(&a, &b);
	assert_int_equal(wire_send_peer(a, &peer, pipe_fds[1], &e), 1);
	assert_int_equal(hear(b), 1);
	assert_int_equal(last.kind, WIRE_PEER);
	got = last.passed;
	assert_true(got >= 0);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(wire_take_fd(b), -1);
	assert_int_equal(write(got, "x", 1), 1);

	/* without one where one belongs, with one where none belongs */
	assert_int_equal(wire_send(a, WIRE_PEER, &peer, sizeof(peer), &e), 1);
	assert_int_equal(hear(b), -1);
	wire_free(a);
	wire_free(b);
	b = one_end(&other);
	say_hello(other, wire_build());
	null = open("/dev/null", O_RDONLY);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &null, sizeof(int));
	assert_int_equal(sendmsg(other, &m, 0), sizeof(alive));
	assert_int_equal(hear(b), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	wire_free(b);
	close(other);
	close(null);
	close(got);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void every_length_is_checked_before_it_leaves_us(void **state)
{
	struct wire *a, *b;

	(void)state;
	both_ends(&a, &b);
	assert_int_equal(wire_send(a, WIRE_ENVELOPE, "x", 1, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(wire_length(WIRE_LINK_FIRST), -1);
	wire_free(a);
	wire_free(b);
}

static void only_a_sealed_site_is_taken(void **state)
{
	static struct wire_start start = { .owner = 4711 };
	const struct wire_start *got;
	int fd = memfd_create("site", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	str_copy(start.build, sizeof(start.build), wire_build());
	assert_int_equal(write(fd, &start, sizeof(start)), sizeof(start));
	assert_int_equal(wire_start_map(dup(fd), &got, &e), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	assert_int_equal(wire_start_map(dup(fd), &got, &e), 0);
	assert_int_equal(got->owner, 4711);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_as_it_was_sent),
		cmocka_unit_test(nothing_is_heard_after_a_message_that_its_owner_refused),
		cmocka_unit_test(a_message_before_hello_ends_the_sender),
		cmocka_unit_test(another_build_and_a_second_hello_are_refused),
		cmocka_unit_test(a_wrong_length_or_kind_is_never_a_message),
		cmocka_unit_test(a_few_bytes_are_no_message),
		cmocka_unit_test(a_peer_that_does_not_read_blocks_nobody),
		cmocka_unit_test(a_descriptor_travels_only_with_the_message_that_has_one),
		cmocka_unit_test(every_length_is_checked_before_it_leaves_us),
		cmocka_unit_test(only_a_sealed_site_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
