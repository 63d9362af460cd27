/* Every behaviour of tests/fault/behaviours.tsv, which says what its columns mean: one link a line, the server in the
 * same loop, all lines at once. A line is a test; its question is followed by one that is answered honestly. */
#include "bus_ask.h"
#include "behaviour.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who is to be silent is not waited for long; for who is to answer, a busy machine is given time. */
enum { TIMEOUT_MS = 200, PATIENCE_MS = 3000, QUIET_MS = 100, ROWS_MIN = 200, ROWS_MAX = 400, AT_ONCE = 150 };

enum phase { FIRST, BEFORE, QUESTION, AFTER, NEXT, DONE };

struct row {
	char name[80], script[400], want[100];
	struct bus_request q, now; /* the line's question, and the one in flight */
	bool rtu, warm;
	struct loop *loop;
	struct bus_link *link;
	enum phase phase;
	unsigned asked, calls;
	struct bus_reply reply, next;
	char fault[150]; /* of the line or of the machine: no verdict */

	/* the server */
	int listen_fd, fd;
	struct loop_source *listen_source, *source;
	struct loop_timer timer;
	bool before_ran, told;
	const char *at, *end; /* what is left of the script; NULL: nothing */
	struct bytes said, paced; /* to be sent at once; byte by byte */
	size_t paced_at;
	unsigned repeats, pace_ms;
	struct talk talk;
	uint8_t in[BUS_ADU_MAX];
	size_t in_len;
};

static struct row rows[ROWS_MAX];
static size_t row_count;

static int64_t boot_now_us(void)
{
	return now_read().boot_us;
}

static void step(void *arg);
static void go_on(struct row *r);

/* ---- the server -------------------------------------------------------------------------------------------------- */

static void script_ends(struct row *r)
{
	loop_timer_stop(r->loop, &r->timer);
	r->at = NULL;
	r->paced_at = r->paced.len = r->said.len = 0;
	go_on(r);
}

static void drop(struct row *r, bool reset)
{
	struct linger now = {.l_onoff = 1};

	if (r->fd < 0)
		return;
	if (reset)
		setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	loop_remove(r->source);
	r->source = NULL;
	close(r->fd);
	r->fd = -1;
	r->in_len = 0;
}

/* What does not go out at once is lost: a client that does not read was lied to enough. */
static void say(struct row *r, const uint8_t *data, size_t len)
{
	if (r->fd >= 0 && len && send(r->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		r->paced_at = r->paced.len = r->repeats = 0;
}

static void flush(struct row *r)
{
	say(r, r->said.data, r->said.len);
	r->said.len = 0;
}

/* false: the rest waits for the timer. */
static bool paced(struct row *r)
{
	bool byte_by_byte = r->pace_ms > 0;

	while (r->paced_at < r->paced.len) {
		size_t n = byte_by_byte ? 1 : r->paced.len;

		say(r, r->paced.data + r->paced_at, n);
		if (r->fd < 0 || r->paced.len == 0)
			break;
		r->paced_at += n;
		if (r->paced_at == r->paced.len && r->repeats == BEHAVIOUR_FOREVER && r->phase == QUESTION)
			r->paced_at = 0;
		loop_timer_set(r->loop, &r->timer, boot_now_us() + (byte_by_byte ? r->pace_ms : 1) * US_PER_MS);
		return false;
	}
	r->paced_at = r->paced.len = 0;
	return true;
}

static bool pause_or_end(struct row *r, const char *word)
{
	if (word[0] == '~') {
		flush(r);
		loop_timer_set(r->loop, &r->timer, boot_now_us() + atoi(word + 1) * US_PER_MS);
		return true;
	}
	if (strcmp(word, "half") == 0) {
		flush(r);
		shutdown(r->fd, SHUT_WR);
	} else if (strcmp(word, "close") == 0 || strcmp(word, "rst") == 0) {
		flush(r);
		drop(r, word[0] == 'r');
	}
	return false;
}

static bool is_deed(const char *word)
{
	return word[0] == '~' || strcmp(word, "half") == 0 || strcmp(word, "close") == 0 || strcmp(word, "rst") == 0;
}

static void step(void *arg)
{
	struct row *r = arg;
	char word[200];

	if (!paced(r))
		return;
	while (r->at && behaviour_word(&r->at, r->end, word, sizeof word)) {
		struct bytes b;

		if (strcmp(word, "-") == 0)
			continue;
		if (is_deed(word)) {
			if (pause_or_end(r, word))
				return;
			continue;
		}
		if (!behaviour_bytes(word, &r->talk, &b, &r->repeats, &r->pace_ms)) {
			snprintf(r->fault, sizeof r->fault, "'%.60s' is no word of a behaviour", word);
			break;
		}
		if (r->pace_ms == 0 && r->repeats != BEHAVIOUR_FOREVER) {
			bytes_add(&r->said, b.data, b.len);
			continue;
		}
		flush(r);
		r->paced = b;
		r->paced_at = 0;
		if (!paced(r))
			return;
	}
	flush(r);
	script_ends(r);
}

/* The part before "?" (which may be missing), or the one behind it. */
static void perform(struct row *r, bool before)
{
	const char *mark = strstr(r->script, "? "), *all_end = r->script + strlen(r->script);

	r->at = before || !mark ? r->script : mark + 2;
	r->end = before ? (mark ? mark : r->script) : all_end;
	r->talk.q = r->q;
	r->talk.transaction = (uint16_t)(r->talk.asked_transaction + (before && r->warm));
	step(r);
}

static void question(struct row *r, size_t len)
{
	struct bytes honest;

	r->talk.asked_len = len;
	memcpy(r->talk.asked, r->in, len);
	r->talk.asked_transaction = r->talk.transaction = (uint16_t)(r->in[0] << 8 | r->in[1]);
	if (r->phase == QUESTION && !r->told) {
		r->told = true;
		perform(r, false);
		return;
	}
	r->talk.q = r->now;
	if (r->in[r->rtu ? 0 : 6] != r->now.unit)
		snprintf(r->fault, sizeof r->fault, "the link asks another unit");
	if (!bus_pdu_parse_request(r->in + (r->rtu ? 1 : BUS_MBAP_LEN), len - (r->rtu ? 3 : BUS_MBAP_LEN), &r->talk.q))
		snprintf(r->fault, sizeof r->fault, "the link asks what is no question");
	r->talk.q.unit = r->now.unit;
	behaviour_honest(&r->talk, &honest);
	r->talk.previous = honest;
	say(r, honest.data, honest.len);
}

static bool whole(const struct row *r)
{
	struct bus_request q;

	if (r->rtu)
		return r->in_len >= 4 && bus_crc(r->in, r->in_len) == 0 &&
		       bus_pdu_parse_request(r->in + 1, r->in_len - 3, &q);
	return r->in_len >= 6 && r->in_len == 6u + (r->in[4] << 8 | r->in[5]);
}

static void on_client(void *arg, int fd, unsigned events)
{
	struct row *r = arg;
	ssize_t n = recv(fd, r->in + r->in_len, sizeof r->in - r->in_len, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(r, false);
		if (r->at || r->paced.len)
			script_ends(r);
		return;
	}
	r->in_len += (size_t)n;
	if (whole(r)) {
		size_t len = r->in_len;

		r->in_len = 0;
		question(r, len);
	}
}

static void on_listen(void *arg, int fd, unsigned events)
{
	struct row *r = arg;
	struct err e;

	(void)events;
	drop(r, false);
	r->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (r->fd < 0 || loop_add_fd(r->loop, r->fd, LOOP_READ, on_client, r, &r->source, &e) < 0)
		fail_msg("%s: no connection", r->name);
	if (!r->warm && !r->before_ran) {
		r->before_ran = true;
		perform(r, true);
	}
}

static uint16_t server_bind(struct row *r)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;

	r->fd = -1;
	r->timer = (struct loop_timer){.fn = step, .arg = r};
	r->talk.rtu = r->rtu;
	r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(r->listen_fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(getsockname(r->listen_fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static void server_listen(struct row *r)
{
	struct err e;

	assert_int_equal(listen(r->listen_fd, 8), 0);
	if (loop_add_fd(r->loop, r->listen_fd, LOOP_READ, on_listen, r, &r->listen_source, &e) < 0)
		fail_msg("%s", e.text);
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct bus_request *q, const struct bus_reply *got)
{
	struct row *r = arg;

	(void)q;
	r->calls++;
	if (r->phase == FIRST) {
		if (got->outcome != BUS_OK)
			snprintf(r->fault, sizeof r->fault, "the honest first answer is %s", got->why);
		r->phase = BEFORE;
		perform(r, true);
	} else if (r->phase == QUESTION) {
		r->reply = *got;
		r->phase = AFTER;
		go_on(r);
	} else if (r->phase == NEXT) {
		r->next = *got;
		r->phase = DONE;
	}
}

static void ask_now(struct row *r, enum phase phase, struct bus_request q)
{
	bool mute = phase == QUESTION && strcmp(r->want, "timeout") == 0;
	struct err e;

	r->phase = phase;
	r->now = q;
	r->asked++;
	if (bus_link_ask(r->link, &q, mute ? TIMEOUT_MS : PATIENCE_MS, on_reply, r, &e) < 0)
		fail_msg("%s: %s", r->name, e.text);
}

/* When both the answer is here and the script has ended. */
static void go_on(struct row *r)
{
	struct bus_request next = read_holding(r->q.unit, 500, 3);

	if (r->at || r->paced.len || r->said.len)
		return;
	if (r->phase == BEFORE) {
		ask_now(r, QUESTION, r->q);
	} else if (r->phase == AFTER) {
		if (!r->listen_source)
			server_listen(r);
		ask_now(r, NEXT, next);
	}
}

static void row_begin(struct row *r, struct loop *l)
{
	struct bus_address a = {.kind = r->rtu ? BUS_RTU_TCP : BUS_TCP, .host = "127.0.0.1"};
	struct bus_options o = {.quiet_ms = QUIET_MS, .connect_ms = PATIENCE_MS};
	struct err e;

	r->loop = l;
	a.port = server_bind(r);
	if (strcmp(r->script, "refuse") != 0)
		server_listen(r);
	if (bus_link_new(l, &a, &o, &r->link, &e) < 0)
		fail_msg("%s", e.text);
	if (r->warm)
		ask_now(r, FIRST, read_holding(r->q.unit, 40, 2));
	else
		ask_now(r, QUESTION, r->q);
}

static void row_end(struct row *r)
{
	loop_timer_stop(r->loop, &r->timer);
	bus_link_free(r->link);
	drop(r, false);
	loop_remove(r->listen_source);
	close(r->listen_fd);
}

/* Some at a time: a process may have 1024 descriptors. */
static int run_all(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	for (size_t from = 0; from < row_count; from += AT_ONCE) {
		size_t to = from + AT_ONCE < row_count ? from + AT_ONCE : row_count;
		int64_t until = boot_now_us() + 60 * US_PER_S;
		bool busy = true;
		struct err e;

		for (size_t i = from; i < to; i++)
			row_begin(&rows[i], l);
		while (busy && boot_now_us() < until) {
			if (loop_turn(l, until, &e) < 0)
				fail_msg("%s", e.text);
			busy = false;
			for (size_t i = from; i < to; i++)
				busy |= rows[i].phase != DONE;
		}
		for (size_t i = from; i < to; i++)
			row_end(&rows[i]);
	}
	loop_free(l);
	return 0;
}

/* ---- the verdicts ------------------------------------------------------------------------------------------------ */

static void reply_bytes(const struct bus_request *q, const struct bus_reply *got, struct bytes *b)
{
	uint8_t word[2];

	b->len = 0;
	for (unsigned i = 0; i < got->count && q->function <= BUS_READ_INPUT; i++) {
		bool bits = q->function <= BUS_READ_DISCRETE;

		word[0] = bits ? got->bits[i] : (uint8_t)(got->regs[i] >> 8);
		word[1] = bits ? 0 : (uint8_t)got->regs[i];
		bytes_add(b, word, bits ? 1 : 2);
	}
	if (q->function == BUS_REPORT_ID || q->function == BUS_DEVICE_ID)
		bytes_add(b, got->bytes, got->count);
}

static void assert_value(const struct row *r)
{
	struct talk talk = {.q = r->q, .rtu = true};
	struct bytes got, want;

	reply_bytes(&r->q, &r->reply, &got);
	if (strncmp(r->want, "ok=", 3) == 0)
		assert_true(behaviour_bytes(r->want + 3, &talk, &want, &(unsigned){0}, &(unsigned){0}));
	else
		behaviour_values(&r->q, &want);
	if (got.len != want.len || memcmp(got.data, want.data, got.len) != 0)
		fail_msg("%s: a value that is not there: %zu bytes instead of %zu", r->name, got.len, want.len);
}

static void the_line_holds(void **state)
{
	const struct row *r = *state;
	const char *name = bus_outcome_name(r->reply.outcome);
	struct bus_request next = read_holding(r->q.unit, 500, 3);
	size_t n = strcspn(r->want, "=");

	if (r->fault[0])
		fail_msg("%s: %s", r->name, r->fault);
	if (r->phase != DONE)
		fail_msg("%s: no end (phase %d, %u calls for %u questions)", r->name, r->phase, r->calls, r->asked);
	if (r->calls != r->asked)
		fail_msg("%s: %u calls for %u questions", r->name, r->calls, r->asked);
	if (strlen(name) != n || strncmp(name, r->want, n) != 0)
		fail_msg("%s: %s (%s) instead of %s", r->name, name, r->reply.why, r->want);
	if (r->reply.outcome == BUS_OK)
		assert_value(r);
	else if (r->reply.count != 0)
		fail_msg("%s: %s with %u values", r->name, name, r->reply.count);
	if (r->reply.outcome == BUS_EXCEPTION && r->reply.exception != atoi(r->want + n + 1))
		fail_msg("%s: exception %u instead of %s", r->name, r->reply.exception, r->want);
	if (r->next.outcome != BUS_OK)
		fail_msg("%s: honest again, but %s (%s)", r->name, bus_outcome_name(r->next.outcome), r->next.why);
	assert_right(&r->next, &next);
}

static void the_table_has_at_least_200_lines_no_two_alike(void **state)
{
	(void)state;
	if (row_count < ROWS_MIN)
		fail_msg("%zu lines", row_count);
	for (size_t i = 0; i < row_count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(rows[i].name, rows[j].name) == 0 ||
			    (rows[i].rtu == rows[j].rtu && rows[i].warm == rows[j].warm &&
			     strcmp(rows[i].script, rows[j].script) == 0 &&
			     memcmp(&rows[i].q, &rows[j].q, sizeof rows[i].q) == 0))
				fail_msg("%s is %s once more", rows[i].name, rows[j].name);
}

/* name  transport  function@address×count  behaviour  outcome */
static void read_line(char *line)
{
	struct row *r = &rows[row_count];
	char transport[20];
	unsigned function, address, count;

	line[strcspn(line, "\n")] = '\0';
	if (line[0] == '#' || line[0] == '\0')
		return;
	if (row_count == ROWS_MAX ||
	    sscanf(line, "%79[^\t]%*[\t]%19[^\t]%*[\t]%u@%ux%u%*[\t]%399[^\t]%*[\t]%99[^\t]", r->name, transport, &function,
		   &address, &count, r->script, r->want) != 7) {
		fprintf(stderr, "not a line of the table, or one too many: %s\n", line);
		exit(1);
	}
	r->rtu = strncmp(transport, "rtu+tcp", 7) == 0;
	r->warm = strstr(transport, ",warm") != NULL;
	r->q = (struct bus_request){.unit = 1, .function = (uint8_t)function, .address = (uint16_t)address,
				    .count = (uint16_t)count};
	for (unsigned i = 0; i < count && i < BUS_WRITE_MAX; i++)
		r->q.values[i] = function == BUS_WRITE_COIL || function == BUS_WRITE_COILS
			? value_at(address + i) & 1 : value_at(address + i);
	row_count++;
}

int main(void)
{
	static struct CMUnitTest tests[ROWS_MAX + 1];
	FILE *f = fopen("tests/fault/behaviours.tsv", "re");
	char line[1000];

	if (!f) {
		perror("tests/fault/behaviours.tsv (run this from the top of the tree)");
		return 1;
	}
	while (fgets(line, sizeof line, f))
		read_line(line);
	fclose(f);
	tests[0] = (struct CMUnitTest)cmocka_unit_test(the_table_has_at_least_200_lines_no_two_alike);
	for (size_t i = 0; i < row_count; i++)
		tests[i + 1] = (struct CMUnitTest){.name = rows[i].name, .initial_state = &rows[i],
						   .test_func = the_line_holds};
	return _cmocka_run_group_tests("behaviours", tests, row_count + 1, run_all, NULL);
}
