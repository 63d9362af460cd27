/* libmodbus as the peer: its server is asked by our engine, its client is answered by our encoder. */
#include "bus_ask.h"

#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACES = 500, ROUNDS = 3000 };

/* What the libmodbus server holds; the test keeps the same and changes it with every write. */
struct image {
	uint8_t coils[PLACES], inputs[PLACES];
	uint16_t holding[PLACES], input[PLACES];
};

static void image_fill(struct image *m)
{
	struct rng rng;

	rng_seed(&rng, 7);
	for (int i = 0; i < PLACES; i++) {
		m->coils[i] = rng_next(&rng) & 1;
		m->inputs[i] = rng_next(&rng) & 1;
		m->holding[i] = (uint16_t)rng_next(&rng);
		m->input[i] = (uint16_t)rng_next(&rng);
	}
}

static int listen_anywhere(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* ---- our client, their server
 * ------------------------------------------------------------------------------------- */

static void libmodbus_server(int listen_fd)
{
	modbus_t *ctx = modbus_new_tcp("127.0.0.1", 1502);
	modbus_mapping_t *map = modbus_mapping_new(PLACES, PLACES, PLACES, PLACES);
	uint8_t question[MODBUS_TCP_MAX_ADU_LENGTH];
	struct image m;
	int n;

	image_fill(&m);
	memcpy(map->tab_bits, m.coils, sizeof m.coils);
	memcpy(map->tab_input_bits, m.inputs, sizeof m.inputs);
	memcpy(map->tab_registers, m.holding, sizeof m.holding);
	memcpy(map->tab_input_registers, m.input, sizeof m.input);
	modbus_tcp_accept(ctx, &listen_fd);
	while ((n = modbus_receive(ctx, question)) >= 0)
		if (n > 0)
			modbus_reply(ctx, question, n, map);
	modbus_mapping_free(map);
	modbus_close(ctx);
	modbus_free(ctx);
}

static struct bus_request any_question(struct rng *rng)
{
	static const uint8_t functions[] = {1, 2, 3, 4, 5, 6, 15, 16};
	struct bus_request q = {.unit = (uint8_t)(rng_next(rng) % 248)};
	unsigned most;

	q.function = functions[rng_next(rng) % COUNT_OF(functions)];
	most = q.function <= 2 ? BUS_BIT_MAX : q.function <= 4 ? BUS_READ_MAX : q.function <= 6 ? 1 : BUS_WRITE_MAX;
	q.address = (uint16_t)(rng_next(rng) % (PLACES + 50));
	q.count = (uint16_t)(1 + rng_next(rng) % most);
	if (q.count > PLACES / 2)
		q.count %= PLACES;
	if (q.count == 0)
		q.count = 1;
	for (unsigned i = 0; i < q.count && q.function >= 5; i++)
		q.values[i] = (uint16_t)(rng_next(rng) & (q.function == 5 || q.function == 15 ? 1 : 0xFFFF));
	return q;
}

static void assert_held(const struct image *m, const struct bus_request *q, const struct bus_reply *r)
{
	assert_int_equal(r->count, q->count);
	for (unsigned i = 0, at = q->address; i < q->count; i++, at++)
		switch (q->function) {
		case 1: assert_int_equal(r->bits[i], m->coils[at]); break;
		case 2: assert_int_equal(r->bits[i], m->inputs[at]); break;
		case 3: assert_int_equal(r->regs[i], m->holding[at]); break;
		case 4: assert_int_equal(r->regs[i], m->input[at]); break;
		}
}

static void hold(struct image *m, const struct bus_request *q)
{
	for (unsigned i = 0; i < q->count; i++)
		if (q->function == 5 || q->function == 15)
			m->coils[q->address + i] = (uint8_t)q->values[i];
		else if (q->function == 6 || q->function == 16)
			m->holding[q->address + i] = q->values[i];
}

static void libmodbus_answers_what_we_ask_and_we_read_what_it_holds(void **state)
{
	struct bus_address a = {.kind = BUS_TCP, .host = "127.0.0.1"};
	struct loop *l = new_loop();
	int fd = listen_anywhere(&a.port), exceptions = 0;
	struct bus_link *k;
	struct image m;
	struct rng rng;
	struct err e;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		libmodbus_server(fd);
		_exit(0);
	}
	close(fd);
	image_fill(&m);
	rng_seed(&rng, 21);
	assert_int_equal(bus_link_new(l, &a, &(struct bus_options){.answer_ms = 10000}, &k, &e), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct bus_request q = any_question(&rng);
		struct bus_reply r = ask(l, k, &q);

		if (q.address + q.count > PLACES) {
			assert_outcome(&r, BUS_EXCEPTION);
			assert_int_equal(r.exception, 2);
			exceptions++;
			continue;
		}
		assert_outcome(&r, BUS_OK);
		if (q.function <= 4)
			assert_held(&m, &q, &r);
		else
			hold(&m, &q);
	}
	assert_true(exceptions > 50 && exceptions < ROUNDS / 2);
	struct bus_reply r = ask(l, k, &(struct bus_request){.unit = 9, .function = BUS_REPORT_ID});
	assert_outcome(&r, BUS_OK);
	assert_non_null(memmem(r.bytes, r.count, "LMB", 3));
	assert_int_equal(bus_link_counters(k)->connects, 1);
	bus_link_free(k);
	waitpid(child, NULL, 0);
	loop_free(l);
}

/* ---- their client, our server
 * -------------------------------------------------------------------------------------- */

static size_t our_answer(struct image *m, const uint8_t *pdu, size_t len, uint8_t out[BUS_PDU_MAX])
{
	uint16_t values[BUS_BIT_MAX];
	struct bus_request q;

	if (!bus_pdu_parse_request(pdu, len, &q))
		return bus_pdu_encode_exception(pdu[0], 3, out);
	if (q.address + q.count > PLACES)
		return bus_pdu_encode_exception(pdu[0], 2, out);
	for (unsigned i = 0, at = q.address; i < q.count; i++, at++)
		values[i] = q.function == 1 ? m->coils[at] : q.function == 2 ? m->inputs[at] :
			    q.function == 3 ? m->holding[at] : m->input[at];
	hold(m, &q);
	return bus_pdu_encode_reply(&q, values, out);
}

static void our_server(int listen_fd)
{
	uint8_t in[BUS_ADU_MAX], pdu[BUS_PDU_MAX], out[BUS_ADU_MAX];
	int fd = accept(listen_fd, NULL, NULL);
	struct image m;

	image_fill(&m);
	while (recv(fd, in, BUS_MBAP_LEN, MSG_WAITALL) == BUS_MBAP_LEN) {
		size_t len = (size_t)(in[4] << 8 | in[5]) - 1;

		if (recv(fd, in + BUS_MBAP_LEN, len, MSG_WAITALL) != (ssize_t)len)
			break;
		len = our_answer(&m, in + BUS_MBAP_LEN, len, pdu);
		len = bus_mbap_frame((uint16_t)(in[0] << 8 | in[1]), in[6], pdu, len, out);
		if (send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
			break;
	}
}

/* Returns what libmodbus returns: the count, or -1 with errno. */
static int libmodbus_asks(modbus_t *ctx, const struct bus_request *q, struct bus_reply *r)
{
	uint8_t bits[BUS_WRITE_MAX];

	for (unsigned i = 0; i < COUNT_OF(bits); i++)
		bits[i] = (uint8_t)q->values[i];
	switch (q->function) {
	case 1: return modbus_read_bits(ctx, q->address, q->count, r->bits);
	case 2: return modbus_read_input_bits(ctx, q->address, q->count, r->bits);
	case 3: return modbus_read_registers(ctx, q->address, q->count, r->regs);
	case 4: return modbus_read_input_registers(ctx, q->address, q->count, r->regs);
	case 5: return modbus_write_bit(ctx, q->address, q->values[0]);
	case 6: return modbus_write_register(ctx, q->address, q->values[0]);
	case 15: return modbus_write_bits(ctx, q->address, q->count, bits);
	default: return modbus_write_registers(ctx, q->address, q->count, q->values);
	}
}

static void a_libmodbus_client_takes_our_answers(void **state)
{
	struct image m;
	struct rng rng;
	uint16_t port;
	int fd = listen_anywhere(&port), exceptions = 0;
	pid_t child = fork();
	modbus_t *ctx;

	(void)state;
	if (child == 0) {
		our_server(fd);
		_exit(0);
	}
	close(fd);
	image_fill(&m);
	rng_seed(&rng, 22);
	ctx = modbus_new_tcp("127.0.0.1", port);
	modbus_set_response_timeout(ctx, 10, 0);
	assert_int_equal(modbus_connect(ctx), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct bus_request q = any_question(&rng);
		struct bus_reply r = {0};
		int n;

		modbus_set_slave(ctx, q.unit);
		n = libmodbus_asks(ctx, &q, &r);
		if (q.address + q.count > PLACES) {
			assert_int_equal(n, -1);
			assert_int_equal(errno, EMBXILADD);
			exceptions++;
			continue;
		}
		assert_int_equal(n, q.count);
		r.count = (uint16_t)n;
		if (q.function <= 4)
			assert_held(&m, &q, &r);
		else
			hold(&m, &q);
	}
	assert_true(exceptions > 50);
	modbus_close(ctx);
	modbus_free(ctx);
	waitpid(child, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libmodbus_answers_what_we_ask_and_we_read_what_it_holds),
		cmocka_unit_test(a_libmodbus_client_takes_our_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
