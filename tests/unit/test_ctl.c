/* ctl: a server in a thread of its own on a loop, met by our client and by peers that misbehave, over real sockets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "unit.h"

/* ---- the server under test ---- */

struct world {
	char dir[64], path[128];
	struct loop *loop;
	struct ctl_server *server;
	pthread_t thread;
	int stop_fd, flood_fd;
	int admitted, released; /* the thread's; read after it has ended */
	bool refuse;
};

static int method(void *arg, struct ctl_peer *peer, const char *name, const json_t *params, json_t **result, struct err *e)
{
	struct world *w = arg;

	assert_ptr_equal(ctl_peer_data(peer), w);
	if (str_eq(name, "echo")) {
		*result = params ? json_deep_copy(params) : NULL;
		return 0;
	}
	if (str_eq(name, "nothing"))
		return 0;
	if (str_eq(name, "subscribe")) {
		ctl_peer_subscribe(peer, "flow");
		*result = json_object();
		return 0;
	}
	if (str_eq(name, "big")) {
		size_t n = (size_t)json_integer_value(json_object_get(params, "n"));
		auto_free char *text = xcalloc(n + 1, 1);

		memset(text, 'x', n);
		*result = json_pack("{s:s}", "text", text);
		return 0;
	}
	if (str_eq(name, "tell")) {
		/* a notification from within a method, as a change of mode does */
		for (json_int_t i = json_integer_value(json_object_get(params, "n")); i > 0; i--) {
			json_t *p = json_pack("{s:I}", "left", i);

			ctl_notify(w->server, "flow", p);
			json_decref(p);
		}
		return 0;
	}
	if (str_eq(name, "sleepy"))
		return err_set(e, ERR_AGAIN, 0, "come \"later\"\n\x1b[2J");
	return err_set(e, ERR_REFUSED, 0, "no method '%s'", name);
}

static void *admit(void *arg, int fd, struct err *e)
{
	struct world *w = arg;

	assert_true(fd >= 0);
	if (w->refuse) {
		err_set(e, ERR_REFUSED, 0, "you are nobody here");
		return NULL;
	}
	w->admitted++;
	return w;
}

static void release(void *arg, void *data)
{
	struct world *w = arg;

	assert_ptr_equal(w, data);
	w->released++;
}

static void on_stop(void *arg, int fd, unsigned events)
{
	(void)fd, (void)events;
	loop_stop(arg);
}

/* Half a megabyte to whoever subscribed. */
static void on_flood(void *arg, int fd, unsigned events)
{
	struct world *w = arg;
	uint64_t n;
	char text[4000];

	(void)events;
	assert_int_equal(read(fd, &n, sizeof n), sizeof n);
	memset(text, 'y', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int i = 0; i < 128 * 4; i++) {
		json_t *p = json_pack("{s:s}", "text", text);

		ctl_notify(w->server, "flow", p);
		json_decref(p);
	}
}

static void *serve(void *arg)
{
	struct world *w = arg;
	struct err e;

	assert_int_equal(loop_run(w->loop, &e), 0);
	return NULL;
}

static int begin(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);
	struct ctl_serve s = { method, admit, release, w };
	struct err e;
	int fd;

	snprintf(w->dir, sizeof w->dir, "/tmp/psec-ctl-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof w->path, "%s/psecd.sock", w->dir);
	assert_int_equal(loop_new(&w->loop, &e), 0);
	assert_int_equal(ctl_listen(w->path, 0660, &fd, &e), 0);
	assert_int_equal(ctl_server_new(w->loop, fd, &s, &w->server, &e), 0);
	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	w->flood_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(loop_add_fd(w->loop, w->stop_fd, LOOP_READ, on_stop, w->loop, NULL, &e), 0);
	assert_int_equal(loop_add_fd(w->loop, w->flood_fd, LOOP_READ, on_flood, w, NULL, &e), 0);
	*state = w;
	return 0;
}

static void run(struct world *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
}

static void kick(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

static int end(void **state)
{
	struct world *w = *state;

	if (w->thread) {
		kick(w->stop_fd);
		pthread_join(w->thread, NULL);
	}
	ctl_server_free(w->server);
	assert_int_equal(w->admitted, w->released);
	loop_free(w->loop);
	close(w->stop_fd);
	close(w->flood_fd);
	unlink(w->path);
	rmdir(w->dir);
	free(w);
	return 0;
}

/* ---- peers ---- */

static struct ctl_client *client(struct world *w)
{
	struct ctl_client *c = NULL;
	struct err e;

	assert_int_equal(ctl_connect(w->path, &c, &e), 0);
	return c;
}

/* A peer of raw bytes. */
static int stranger(struct world *w)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	str_copy(a.sun_path, sizeof a.sun_path, w->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* dropped meanwhile, which some tests are about */
		text += n;
		len -= (size_t)n;
	}
}

/* All that comes until the server closes, or until `lines` newlines came. */
static char *hear(int fd, int lines)
{
	struct buf b = BUF_INIT;
	char c;

	while (lines && recv(fd, &c, 1, 0) == 1) {
		buf_add(&b, &c, 1);
		lines -= c == '\n';
	}
	return buf_take(&b);
}

static void expect_alive(struct world *w)
{
	struct ctl_client *c = client(w);
	struct err e;

	assert_int_equal(ctl_call(c, "nothing", NULL, 10000, NULL, &e), 0);
	ctl_client_free(c);
}

/* ---- what it is for ---- */

static void an_answer_comes_back_whole(void **state)
{
	struct world *w = *state;
	struct ctl_client *c;
	json_t *result = NULL;
	struct err e;

	run(w);
	c = client(w);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(ctl_call(c, "echo", json_pack("{s:i, s:s}", "i", i, "text", "Käse\n\"2\""), 10000, &result, &e), 0);
		assert_int_equal(json_integer_value(json_object_get(result, "i")), i);
		assert_string_equal(json_string_value(json_object_get(result, "text")), "Käse\n\"2\"");
		json_decref(result);
	}
	assert_int_equal(ctl_call(c, "nothing", NULL, 10000, &result, &e), 0);
	assert_int_equal(json_object_size(result), 0);
	json_decref(result);
	ctl_client_free(c);
}

static void a_failure_keeps_its_kind_and_loses_its_control_characters(void **state)
{
	struct world *w = *state;
	struct ctl_client *c;
	struct err e = { 0 };

	run(w);
	c = client(w);
	assert_int_equal(ctl_call(c, "sleepy", NULL, 10000, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	assert_string_equal(e.text, "come \"later\"\\x0a\\x1b[2J");
	assert_int_equal(ctl_call(c, "set", NULL, 10000, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_string_equal(e.text, "no method 'set'");
	ctl_client_free(c);
}

static void notifications_arrive_in_order_also_those_before_an_answer(void **state)
{
	struct world *w = *state;
	struct ctl_client *c;
	const char *topic;
	json_t *params;
	struct err e;

	run(w);
	c = client(w);
	assert_int_equal(ctl_call(c, "subscribe", NULL, 10000, NULL, &e), 0);
	assert_int_equal(ctl_call(c, "tell", json_pack("{s:i}", "n", 100), 10000, NULL, &e), 0);
	for (int i = 100; i > 0; i--) {
		assert_int_equal(ctl_next(c, 10000, &topic, &params, &e), 1);
		assert_string_equal(topic, "flow");
		assert_int_equal(json_integer_value(json_object_get(params, "left")), i);
		json_decref(params);
	}
	assert_int_equal(ctl_next(c, 0, &topic, &params, &e), 0);
	ctl_client_free(c);
}

static void who_did_not_subscribe_gets_nothing(void **state)
{
	struct world *w = *state;
	struct ctl_client *c;
	const char *topic;
	json_t *params;
	struct err e;

	run(w);
	c = client(w);
	assert_int_equal(ctl_call(c, "tell", json_pack("{s:i}", "n", 3), 10000, NULL, &e), 0);
	assert_int_equal(ctl_next(c, 0, &topic, &params, &e), 0);
	ctl_client_free(c);
}

static void requests_sent_at_once_are_answered_one_by_one(void **state)
{
	struct world *w = *state;
	static const char one_and_a_half[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}\n\n"
					     "{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"no";
	static const char rest_and_one[] = "thing\"}\n{\"method\":\"nothing\"}\n";
	int fd;

	run(w);
	fd = stranger(w);
	say(fd, one_and_a_half, sizeof one_and_a_half - 1);
	auto_free char *first = hear(fd, 1);
	assert_string_equal(first, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
	say(fd, rest_and_one, sizeof rest_and_one - 1);
	shutdown(fd, SHUT_WR);
	auto_free char *rest = hear(fd, -1);
	assert_string_equal(rest, "{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"result\":{}}\n");
	close(fd);
}

static void answers_to_a_peer_that_has_said_its_last_are_all_sent(void **state)
{
	struct world *w = *state;
	auto_buf struct buf b = BUF_INIT;
	int fd, lines = 0;

	run(w);
	fd = stranger(w);
	for (int i = 0; i < 40; i++)
		buf_addf(&b, "{\"id\":%d,\"method\":\"big\",\"params\":{\"n\":30000}}\n", i);
	say(fd, b.data, b.len);
	shutdown(fd, SHUT_WR);
	auto_free char *all = hear(fd, -1);
	for (const char *p = all; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 40);
	close(fd);
}

static void an_answer_longer_than_a_line_is_a_failure(void **state)
{
	struct world *w = *state;
	struct ctl_client *c;
	json_t *result;
	struct err e;

	run(w);
	c = client(w);
	assert_int_equal(ctl_call(c, "big", json_pack("{s:i}", "n", 65000), 10000, &result, &e), 0);
	json_decref(result);
	assert_int_equal(ctl_call(c, "big", json_pack("{s:i}", "n", 65536), 10000, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	ctl_client_free(c);
}

static void a_question_longer_than_a_line_is_not_sent(void **state)
{
	struct world *w = *state;
	auto_free char *text = xcalloc(70001, 1);
	struct ctl_client *c;
	struct err e;

	run(w);
	memset(text, 'x', 70000);
	c = client(w);
	assert_int_equal(ctl_call(c, "echo", json_pack("{s:s}", "text", text), 10000, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(ctl_call(c, "nothing", NULL, 10000, NULL, &e), 0);
	ctl_client_free(c);
}

/* ---- strangers ---- */

static void what_is_not_the_protocol_is_told_so_and_dropped(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n\r\n", "{\n", "[]\n", "null\n", "{}\n", "{\"method\":5}\n", "{\"id\":{},\"method\":\"nothing\"}\n",
		"{\"id\":1,\"id\":2,\"method\":\"nothing\"}\n", "{\"method\":\"a\",\"params\":3}\n", "\xff\xfe\n", "{\"method\":\"\\u0000\"}\n",
		"[{\"id\":1,\"method\":\"nothing\"}]\n",
	};
	struct world *w = *state;

	run(w);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		int fd = stranger(w);

		say(fd, bad[i], strlen(bad[i]));
		auto_free char *words = hear(fd, -1);
		assert_non_null(strstr(words, "\"error\""));
		assert_non_null(strstr(words, "\"kind\":\"input\""));
		close(fd);
	}
	expect_alive(w);
}

static void deep_nesting_does_no_harm(void **state)
{
	struct world *w = *state;
	char deep[60002];
	int fd;

	run(w);
	memset(deep, '[', 60000);
	deep[60000] = '\n';
	fd = stranger(w);
	say(fd, deep, 60001);
	auto_free char *words = hear(fd, -1);
	assert_non_null(strstr(words, "not a JSON object"));
	close(fd);
	expect_alive(w);
}

static void a_line_too_long_is_dropped_before_it_ends(void **state)
{
	struct world *w = *state;
	auto_free char *line = xcalloc(CTL_LINE_MAX + 20000, 1);
	int fd;

	run(w);
	memset(line, 'x', CTL_LINE_MAX + 20000);
	fd = stranger(w);
	say(fd, line, CTL_LINE_MAX + 20000);
	auto_free char *words = hear(fd, -1);
	assert_non_null(strstr(words, "longer than 65536 bytes"));
	close(fd);
	expect_alive(w);
}

static void a_subscriber_that_does_not_read_is_dropped_and_others_get_all(void **state)
{
	struct world *w = *state;
	struct ctl_client *good;
	const char *topic;
	json_t *params;
	struct err e;
	int fd, got = 0;

	run(w);
	good = client(w);
	assert_int_equal(ctl_call(good, "nothing", NULL, 10000, NULL, &e), 0);
	fd = stranger(w);
	say(fd, "{\"id\":1,\"method\":\"subscribe\"}\n", strlen("{\"id\":1,\"method\":\"subscribe\"}\n"));
	auto_free char *words = hear(fd, 1);
	kick(w->flood_fd);
	/* the end of what was sent to it: a closed connection, not a wait for more */
	auto_free char *flood = hear(fd, -1);
	assert_true(strlen(flood) < 512 * 4096u);
	close(fd);
	assert_int_equal(ctl_call(good, "subscribe", NULL, 10000, NULL, &e), 0);
	assert_int_equal(ctl_call(good, "tell", json_pack("{s:i}", "n", 5), 10000, NULL, &e), 0);
	while (ctl_next(good, 0, &topic, &params, &e) == 1) {
		got++;
		json_decref(params);
	}
	assert_int_equal(got, 5);
	ctl_client_free(good);
}

/* Never read, but keep asking: the server must stop listening to it long before its memory is full. */
static void a_peer_that_asks_without_reading_is_no_longer_heard(void **state)
{
	static const char ask[] = "{\"id\":1,\"method\":\"big\",\"params\":{\"n\":60000}}\n";
	struct world *w = *state;
	size_t sent = 0;
	int fd;

	run(w);
	fd = stranger(w);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (int quiet = 0; quiet < 3 && sent < (8u << 20);) {
		ssize_t n = send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL);
		struct pollfd p = { fd, POLLOUT, 0 };

		if (n > 0)
			sent += (size_t)n;
		quiet = n > 0 ? 0 : quiet + (poll(&p, 1, 100) == 0);
	}
	assert_true(sent < (8u << 20));
	close(fd);
	expect_alive(w);
}

static void one_peer_too_many_is_told_to_come_later(void **state)
{
	struct world *w = *state;
	struct ctl_client *c[CTL_PEERS_MAX], *late;
	struct err e;

	run(w);
	for (int i = 0; i < CTL_PEERS_MAX; i++) {
		c[i] = client(w);
		assert_int_equal(ctl_call(c[i], "nothing", NULL, 10000, NULL, &e), 0);
	}
	late = client(w);
	assert_int_equal(ctl_call(late, "nothing", NULL, 10000, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	ctl_client_free(late);
	for (int i = 0; i < CTL_PEERS_MAX; i++) {
		assert_int_equal(ctl_call(c[i], "nothing", NULL, 10000, NULL, &e), 0);
		ctl_client_free(c[i]);
	}
	/* each place is free again as soon as the server has seen the end of a connection */
	for (int tries = 0, ok = 0; !ok; tries++) {
		assert_true(tries < 1000);
		late = client(w);
		ok = ctl_call(late, "nothing", NULL, 10000, NULL, &e) == 0;
		ctl_client_free(late);
	}
}

static void who_is_not_admitted_learns_why(void **state)
{
	struct world *w = *state;
	struct ctl_client *c;
	struct err e = { 0 };

	w->refuse = true;
	run(w);
	c = client(w);
	assert_int_equal(ctl_call(c, "nothing", NULL, 10000, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_string_equal(e.text, "you are nobody here");
	ctl_client_free(c);
}

static void a_peer_that_vanishes_within_a_line_leaves_nothing(void **state)
{
	struct world *w = *state;

	run(w);
	for (int i = 0; i < 200; i++) {
		int fd = stranger(w);

		say(fd, "{\"id\":1,\"method\":\"subscr", 24);
		close(fd);
	}
	expect_alive(w);
}

/* ---- the client against servers that misbehave ---- */

struct fake {
	int fd;
	const char *words;
};

static void *lie(void *arg)
{
	struct fake *f = arg;
	int fd = accept(f->fd, NULL, NULL);
	auto_free char *asked = hear(fd, 1);

	say(fd, f->words, strlen(f->words));
	/* a word that is none stays open until the client has gone; the others close */
	if (!*f->words)
		free(hear(fd, -1));
	close(fd);
	return NULL;
}

static int ask_fake(const char *words, int timeout_ms, struct err *e)
{
	char dir[] = "/tmp/psec-ctl-XXXXXX", path[64];
	struct ctl_client *c = NULL;
	pthread_t thread;
	struct fake f = { -1, words };
	int rc;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	assert_int_equal(ctl_listen(path, 0600, &f.fd, e), 0);
	assert_int_equal(fcntl(f.fd, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, lie, &f), 0);
	assert_int_equal(ctl_connect(path, &c, e), 0);
	rc = ctl_call(c, "nothing", NULL, timeout_ms, NULL, e);
	ctl_client_free(c);
	pthread_join(thread, NULL);
	close(f.fd);
	unlink(path);
	rmdir(dir);
	return rc;
}

static void a_client_gives_up_at_its_deadline(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ask_fake("", 50, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_string_equal(e.text, "no answer to nothing within 50 ms");
}

static void a_client_takes_no_answer_to_another_question(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ask_fake("{\"id\":7,\"result\":{}}\n", 10000, &e), -1);
	assert_string_equal(e.text, "the daemon closed the connection");
	assert_int_equal(ask_fake("{\"id\":0,\"result\":{}}\n{\"id\":1,\"result\":{}}\n", 10000, &e), 0);
}

static void a_client_survives_what_is_not_the_protocol(void **state)
{
	static const char *const bad[] = { "hello\n", "[]\n", "{\"id\":1}\n", "{\"id\":1,\"res", "\n" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(ask_fake(bad[i], 10000, &e), -1);
		assert_int_equal(e.kind, ERR_UNREACHABLE);
	}
	assert_int_equal(ask_fake("{\"id\":1,\"error\":7}\n", 10000, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
	assert_int_equal(ask_fake("{\"id\":1,\"error\":{\"data\":{\"kind\":\"none\"}}}\n", 10000, &e), -1);
	assert_int_equal(e.kind, ERR_BUG);
}

/* ---- the socket ---- */

static void a_live_socket_is_not_taken_and_a_stale_one_is(void **state)
{
	struct world *w = *state;
	struct err e;
	int fd, stale;
	char path[160];

	run(w);
	assert_int_equal(ctl_listen(w->path, 0600, &fd, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	snprintf(path, sizeof path, "%s/stale", w->dir);
	assert_int_equal(ctl_listen(path, 0600, &stale, &e), 0);
	close(stale);
	assert_int_equal(ctl_listen(path, 0640, &fd, &e), 0);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	close(fd);
	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(ctl_listen(path, 0600, &fd, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
}

static void nobody_listening_is_unreachable(void **state)
{
	struct ctl_client *c = NULL;
	struct err e;

	(void)state;
	assert_int_equal(ctl_connect("/nonexistent/psecd.sock", &c, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
}

static void a_path_longer_than_an_address_works(void **state)
{
	struct world *w = *state;
	auto_free char *dir = xasprintf("%s/%0120d", w->dir, 7), *path = xasprintf("%s/psecd.sock", dir);
	struct ctl_client *c = NULL;
	struct err e;
	int fd;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(ctl_listen(path, 0600, &fd, &e), 0);
	assert_int_equal(ctl_connect(path, &c, &e), 0);
	ctl_client_free(c);
	close(fd);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_SERVER(an_answer_comes_back_whole),
		WITH_SERVER(a_failure_keeps_its_kind_and_loses_its_control_characters),
		WITH_SERVER(notifications_arrive_in_order_also_those_before_an_answer),
		WITH_SERVER(who_did_not_subscribe_gets_nothing),
		WITH_SERVER(requests_sent_at_once_are_answered_one_by_one),
		WITH_SERVER(answers_to_a_peer_that_has_said_its_last_are_all_sent),
		WITH_SERVER(an_answer_longer_than_a_line_is_a_failure),
		WITH_SERVER(a_question_longer_than_a_line_is_not_sent),
		WITH_SERVER(what_is_not_the_protocol_is_told_so_and_dropped),
		WITH_SERVER(deep_nesting_does_no_harm),
		WITH_SERVER(a_line_too_long_is_dropped_before_it_ends),
		WITH_SERVER(a_subscriber_that_does_not_read_is_dropped_and_others_get_all),
		WITH_SERVER(a_peer_that_asks_without_reading_is_no_longer_heard),
		WITH_SERVER(one_peer_too_many_is_told_to_come_later),
		WITH_SERVER(who_is_not_admitted_learns_why),
		WITH_SERVER(a_peer_that_vanishes_within_a_line_leaves_nothing),
		WITH_SERVER(a_live_socket_is_not_taken_and_a_stale_one_is),
		WITH_SERVER(a_path_longer_than_an_address_works),
		cmocka_unit_test(a_client_gives_up_at_its_deadline),
		cmocka_unit_test(a_client_takes_no_answer_to_another_question),
		cmocka_unit_test(a_client_survives_what_is_not_the_protocol),
		cmocka_unit_test(nobody_listening_is_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
