/* Addresses, questions, frames and the judge of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bus/bus.h"

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void assert_canonical(const char *text, const char *canonical)
{
	char shown[BUS_ADDRESS_LEN];
	struct bus_address a, again;
	struct err e;

	if (bus_address_parse(text, &a, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(bus_address_format(&a, shown), canonical);
	assert_int_equal(bus_address_parse(shown, &again, &e), 0);
	assert_memory_equal(&a, &again, sizeof a);
}

static void an_address_has_one_canonical_text(void **state)
{
	(void)state;
	assert_canonical("tcp://10.0.0.2", "tcp://10.0.0.2:502");
	assert_canonical("tcp://10.0.0.2#1", "tcp://10.0.0.2:502#1");
	assert_canonical("tcp://10.0.0.2:1502#255", "tcp://10.0.0.2:1502#255");
	assert_canonical("tcp://meter-1.site.lan#0", "tcp://meter-1.site.lan:502#0");
	assert_canonical("tcp://[fd00::2]#247", "tcp://[fd00::2]:502#247");
	assert_canonical("tcp://[fe80::1%eth1]:5020", "tcp://[fe80::1%eth1]:5020");
	assert_canonical("rtu:///dev/ttyS1#7", "rtu:///dev/ttyS1?baud=19200&parity=even#7");
	assert_canonical("rtu:/dev/ttyS1?baud=9600", "rtu:///dev/ttyS1?baud=9600&parity=even");
	assert_canonical("rtu:///dev/ttyS1?parity=none&baud=9600#1", "rtu:///dev/ttyS1?baud=9600&parity=none#1");
	assert_canonical("rtu:///dev/ttyS1?parity=none&stop=1#1", "rtu:///dev/ttyS1?baud=19200&parity=none&stop=1#1");
	assert_canonical("rtu+tcp://10.0.0.3:4001#9", "rtu+tcp://10.0.0.3:4001#9");
	assert_canonical("rtu+tcp://[fd00::3]:23", "rtu+tcp://[fd00::3]:23");
	assert_canonical("rtu:///dev/ttyS1?parity=odd&stop=2", "rtu:///dev/ttyS1?baud=19200&parity=odd&stop=2");
}

static void without_parity_a_character_has_two_stop_bits(void **state)
{
	struct bus_address a;
	struct err e;

	(void)state;
	assert_int_equal(bus_address_parse("rtu:///dev/ttyS1?parity=none", &a, &e), 0);
	assert_int_equal(a.stop, 2);
	assert_int_equal(bus_address_parse("rtu:///dev/ttyS1", &a, &e), 0);
	assert_int_equal(a.stop, 1);
	assert_false(a.has_unit);
}

static void a_bad_address_says_what_it_should_have_been(void **state)
{
	static const struct { const char *text, *says; } bad[] = {
		{"", "must begin with tcp://, rtu:// or rtu+tcp://"},
		{"rtu+tcp://10.0.0.3#1", "the port is missing"},
		{"rtu+tcp://10.0.0.3:4001#0", "on a serial line must be 1…247"},
		{"rtu+tcp://10.0.0.3:4001#255", "on a serial line must be 1…247"},
		{"10.0.0.2", "must begin with tcp://, rtu:// or rtu+tcp://"},
		{"http://10.0.0.2", "must begin with"},
		{"tcp://", "the host is missing"},
		{"tcp://#1", "the host is missing"},
		{"tcp://:502", "the host is missing"},
		{"tcp://10.0.0.2:0", "the port must be 1…65535"},
		{"tcp://10.0.0.2:65536", "the port must be 1…65535"},
		{"tcp://10.0.0.2:", "the port must be 1…65535"},
		{"tcp://10.0.0.2:50 2", "the port must be 1…65535"},
		{"tcp://10.0.0.2:502000000000000", "the port must be 1…65535"},
		{"tcp://10.0.0.2#", "the unit after '#' must be 0…247 or 255"},
		{"tcp://10.0.0.2#248", "the unit after '#' must be 0…247 or 255"},
		{"tcp://10.0.0.2#-1", "the unit after '#' must be 0…247 or 255"},
		{"tcp://10.0.0.2#1#2", "the unit after '#' must be 0…247 or 255"},
		{"tcp://fd00::2", "in brackets"},
		{"tcp://[fd00::2", "']' is missing"},
		{"tcp://[fd00::2]502", "only ':PORT' and '#UNIT'"},
		{"tcp://[10.0.0.2]", "only an IPv6 address stands in brackets"},
		{"tcp://a b", "a character that no host has"},
		{"tcp://me\x1b[2Jter", "a character that no host has"},
		{"tcp://0123456789012345678901234567890123456789012345678901234567890123", "longer than 63"},
		{"rtu://dev/ttyS1", "an absolute path, as in rtu:/dev/ttyS1"},
		{"rtu://", "an absolute path"},
		{"rtu:ttyS1?baud=9600", "an absolute path, as in rtu:/dev/ttyS1"},
		{"rtu:", "an absolute path"},
		{"rtu:///dev/tty S1", "may not be in it"},
		{"rtu:///dev/ttyS1?baud=9601", "baud must be 1200, 2400"},
		{"rtu:///dev/ttyS1?baud=", "baud must be 1200, 2400"},
		{"rtu:///dev/ttyS1?parity=E", "parity must be none, even or odd"},
		{"rtu:///dev/ttyS1?stop=3", "stop must be 1 or 2"},
		{"rtu:///dev/ttyS1?speed=9600", "after '?' stand"},
		{"rtu:///dev/ttyS1?baud=9600&&parity=even", "after '?' stand"},
		{"rtu:///dev/ttyS1#0", "1…247"},
		{"rtu:///dev/ttyS1#255", "1…247"},
		{"rtu:///dev/0123456789012345678901234567890123456789012345678901234567890123", "longer than 63"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct bus_address a;
		struct err e = {0};

		if (bus_address_parse(bad[i].text, &a, &e) == 0)
			fail_msg("'%s' was taken", bad[i].text);
		assert_int_equal(e.kind, ERR_INPUT);
		if (!strstr(e.text, bad[i].says))
			fail_msg("'%s' says '%s', not '%s'", bad[i].text, e.text, bad[i].says);
		assert_null(strchr(e.text, '\x1b'));
	}
}

static void units_of_one_host_or_line_share_a_link(void **state)
{
	static const struct { const char *a, *b; bool same; } pairs[] = {
		{"tcp://10.0.0.2#1", "tcp://10.0.0.2:502#2", true},
		{"tcp://Meter.lan", "tcp://meter.lan", true},
		{"tcp://10.0.0.2", "tcp://10.0.0.3", false},
		{"tcp://10.0.0.2", "tcp://10.0.0.2:1502", false},
		{"rtu:///dev/ttyS1#1", "rtu:///dev/ttyS1?baud=9600#2", true},
		{"rtu:///dev/ttyS1", "rtu:///dev/ttyS2", false},
		{"rtu:///dev/ttyS1", "tcp://10.0.0.2", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		struct bus_address a, b;
		struct err e;

		assert_int_equal(bus_address_parse(pairs[i].a, &a, &e), 0);
		assert_int_equal(bus_address_parse(pairs[i].b, &b, &e), 0);
		assert_int_equal(bus_address_same_link(&a, &b), pairs[i].same);
	}
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

static void a_question_has_the_bytes_of_the_standard(void **state)
{
	static const struct { struct bus_request q; size_t len; uint8_t pdu[12]; } table[] = { /* MAP 6's examples */
		{{.function = 1, .address = 0x13, .count = 0x13}, 5, {1, 0, 0x13, 0, 0x13}},
		{{.function = 2, .address = 0xC4, .count = 0x16}, 5, {2, 0, 0xC4, 0, 0x16}},
		{{.function = 3, .address = 0x6B, .count = 3}, 5, {3, 0, 0x6B, 0, 3}},
		{{.function = 4, .address = 8, .count = 1}, 5, {4, 0, 8, 0, 1}},
		{{.function = 5, .address = 0xAC, .count = 1, .values = {1}}, 5, {5, 0, 0xAC, 0xFF, 0}},
		{{.function = 6, .address = 1, .count = 1, .values = {3}}, 5, {6, 0, 1, 0, 3}},
		{{.function = 15, .address = 0x13, .count = 10, .values = {1, 0, 1, 1, 0, 0, 1, 1, 1, 0}}, 8,
		 {15, 0, 0x13, 0, 10, 2, 0xCD, 1}},
		{{.function = 16, .address = 1, .count = 2, .values = {10, 0x102}}, 10,
		 {16, 0, 1, 0, 2, 4, 0, 10, 1, 2}},
		{{.function = 17}, 1, {17}},
		{{.function = 43, .count = 1}, 4, {0x2B, 0x0E, 1, 0}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		uint8_t pdu[BUS_PDU_MAX];
		struct bus_request back;

		assert_int_equal(bus_pdu_encode(&table[i].q, pdu), table[i].len);
		assert_memory_equal(pdu, table[i].pdu, table[i].len);
		assert_true(bus_pdu_parse_request(pdu, table[i].len, &back));
		assert_memory_equal(&back, &table[i].q, sizeof back);
		assert_false(bus_pdu_parse_request(pdu, table[i].len - 1, &back));
		pdu[table[i].len] = 0;
		assert_false(bus_pdu_parse_request(pdu, table[i].len + 1, &back));
	}
}

static void what_is_beyond_the_limits_is_no_question(void **state)
{
	static const struct bus_request none[] = {
		{.function = 3, .count = 0}, {.function = 3, .count = 126}, {.function = 4, .count = 126},
		{.function = 1, .count = 2001}, {.function = 2, .count = 0}, {.function = 16, .count = 124},
		{.function = 16, .count = 0}, {.function = 15, .count = 0}, {.function = 15, .count = 124},
		{.function = 3, .address = 65535, .count = 2}, {.function = 43, .count = 0},
		{.function = 43, .count = 5},
		{.function = 43, .count = 1, .address = 256}, {.function = 0, .count = 1}, {.function = 8, .count = 1},
		{.function = 23, .count = 1}, {.function = 0x83, .count = 1},
	};
	static const struct bus_request most[] = {
		{.function = 3, .count = 125}, {.function = 1, .count = 2000}, {.function = 16, .count = 123},
		{.function = 3, .address = 65535, .count = 1},
	};
	uint8_t pdu[BUS_PDU_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(none); i++)
		assert_int_equal(bus_pdu_encode(&none[i], pdu), 0);
	for (size_t i = 0; i < COUNT_OF(most); i++)
		assert_true(bus_pdu_encode(&most[i], pdu) > 0);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Every function we ask, each with an answer that is right. */
static size_t good_answer(struct rng *rng, struct bus_request *q, uint8_t pdu[BUS_PDU_MAX])
{
	static const uint8_t functions[] = {1, 2, 3, 4, 5, 6, 15, 16, 17, 43};
	static const uint8_t id[] = {0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 3, 'A', 'B', 'B', 1, 2, 'X', '1'};
	static const uint8_t report[] = {17, 4, 1, 0xFF, 'h', 'i'};
	uint16_t values[BUS_BIT_MAX];

	*q = (struct bus_request){.unit = 1, .function = functions[rng_next(rng) % COUNT_OF(functions)]};
	q->address = (uint16_t)(rng_next(rng) % 60000);
	q->count = (uint16_t)(1 + rng_next(rng) % (q->function <= 2 ? BUS_BIT_MAX : BUS_WRITE_MAX));
	for (size_t i = 0; i < COUNT_OF(values); i++)
		values[i] = (uint16_t)rng_next(rng);
	memcpy(q->values, values, sizeof q->values);
	if (q->function == BUS_REPORT_ID) {
		memcpy(pdu, report, sizeof report);
		return sizeof report;
	}
	if (q->function == BUS_DEVICE_ID) {
		q->address = 0;
		q->count = 1;
		memcpy(pdu, id, sizeof id);
		return sizeof id;
	}
	return bus_pdu_encode_reply(q, values, pdu);
}

static void an_answer_is_taken_only_at_its_exact_length(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 11);
	for (int round = 0; round < 2000; round++) {
		uint8_t pdu[BUS_PDU_MAX + 16] = {0};
		struct bus_request q;
		struct bus_reply r;
		size_t len = good_answer(&rng, &q, pdu);

		bus_pdu_check(&q, pdu, len, &r);
		if (r.outcome != BUS_OK)
			fail_msg("function %u count %u: %s", q.function, q.count, r.why);
		for (size_t other = 0; other < sizeof pdu; other++) {
			if (other == len)
				continue;
			bus_pdu_check(&q, pdu, other, &r);
			assert_int_equal(r.outcome, BUS_GARBLED);
			assert_int_equal(r.count, 0);
			assert_true(r.why[0] != '\0');
		}
	}
}

static void the_first_two_bytes_cannot_be_changed_into_another_value(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 12);
	for (int round = 0; round < 500; round++) {
		uint8_t pdu[BUS_PDU_MAX];
		struct bus_request q;
		struct bus_reply r;
		size_t len = good_answer(&rng, &q, pdu);

		for (size_t at = 0; at < 2; at++)
			for (unsigned x = 1; x < 256; x++) {
				pdu[at] ^= (uint8_t)x;
				bus_pdu_check(&q, pdu, len, &r);
				if (r.outcome != BUS_GARBLED)
					fail_msg("function %u, byte %zu ^ %02x was taken", q.function, at, x);
				pdu[at] ^= (uint8_t)x;
			}
	}
}

static void values_come_in_their_order(void **state)
{
	static const uint8_t regs[] = {3, 6, 0x02, 0x2B, 0, 0, 0, 0x64}, bits[] = {1, 3, 0xCD, 0x6B, 0x05};
	static const uint8_t first[] = {1, 0, 1, 1, 0, 0, 1, 1};
	struct bus_reply r;

	(void)state;
	bus_pdu_check(&(struct bus_request){.function = 3, .address = 0x6B, .count = 3}, regs, sizeof regs, &r);
	assert_int_equal(r.outcome, BUS_OK);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.regs[0], 0x22B);
	assert_int_equal(r.regs[2], 0x64);
	bus_pdu_check(&(struct bus_request){.function = 1, .address = 0x13, .count = 19}, bits, sizeof bits, &r);
	assert_int_equal(r.outcome, BUS_OK);
	assert_int_equal(r.count, 19);
	assert_memory_equal(r.bits, first, sizeof first);
}

static void a_write_is_acknowledged_only_by_its_own_place_and_value(void **state)
{
	struct bus_request one = {.function = 6, .address = 7, .count = 1, .values = {500}};
	struct bus_request many = {.function = 16, .address = 7, .count = 2, .values = {1, 2}};
	struct bus_reply r;

	(void)state;
	bus_pdu_check(&one, (const uint8_t[]){6, 0, 7, 1, 0xF4}, 5, &r);
	assert_int_equal(r.outcome, BUS_OK);
	bus_pdu_check(&one, (const uint8_t[]){6, 0, 8, 1, 0xF4}, 5, &r);
	assert_string_equal(r.why, "address 8 was acknowledged instead of 7");
	bus_pdu_check(&one, (const uint8_t[]){6, 0, 7, 1, 0xF5}, 5, &r);
	assert_string_equal(r.why, "value 501 was acknowledged instead of 500");
	bus_pdu_check(&many, (const uint8_t[]){16, 0, 7, 0, 2}, 5, &r);
	assert_int_equal(r.outcome, BUS_OK);
	assert_int_equal(r.count, 2);
	bus_pdu_check(&many, (const uint8_t[]){16, 0, 7, 0, 1}, 5, &r);
	assert_string_equal(r.why, "count 1 was acknowledged instead of 2");
	assert_int_equal(r.outcome, BUS_GARBLED);
}

static void an_exception_names_itself_and_an_unknown_one_is_none(void **state)
{
	struct bus_request q = {.function = 3, .count = 1};
	struct bus_reply r;

	(void)state;
	for (unsigned code = 0; code < 256; code++) {
		bool exists = (code >= 1 && code <= 8) || code == 10 || code == 11;

		bus_pdu_check(&q, (const uint8_t[]){0x83, (uint8_t)code}, 2, &r);
		assert_int_equal(r.outcome, exists ? BUS_EXCEPTION : BUS_GARBLED);
		assert_int_equal(r.exception, exists ? code : 0);
	}
	bus_pdu_check(&q, (const uint8_t[]){0x83, 2}, 2, &r);
	assert_string_equal(r.why, "exception 2: illegal data address");
	bus_pdu_check(&q, (const uint8_t[]){0x84, 2}, 2, &r);
	assert_int_equal(r.outcome, BUS_GARBLED);
}

static void a_device_identification_whose_objects_do_not_end_together_is_garbled(void **state)
{
	static const uint8_t good[] = {0x2B, 0x0E, 1, 0x81, 0xFF, 2, 2, 0, 3, 'A', 'B', 'B', 1, 0};
	struct bus_request q = {.function = 43, .count = 1}, four = {.function = 43, .count = 4, .address = 1};
	uint8_t pdu[sizeof good];
	struct bus_reply r;

	(void)state;
	bus_pdu_check(&q, good, sizeof good, &r);
	assert_int_equal(r.outcome, BUS_OK);
	assert_int_equal(r.count, sizeof good - 1);
	assert_memory_equal(r.bytes, good + 1, sizeof good - 1);
	static const struct { size_t at; uint8_t byte; } wrong[] = {
		{1, 0x0D}, {2, 2}, {4, 1}, {6, 1}, {6, 3}, {6, 255}, {8, 4}, {8, 255}, {13, 1},
	};
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		memcpy(pdu, good, sizeof good);
		pdu[wrong[i].at] = wrong[i].byte;
		bus_pdu_check(&q, pdu, sizeof pdu, &r);
		if (r.outcome != BUS_GARBLED)
			fail_msg("byte %zu as %02x was taken", wrong[i].at, wrong[i].byte);
	}
	bus_pdu_check(&four, (const uint8_t[]){0x2B, 0x0E, 4, 1, 0, 0, 1, 1, 1, 'x'}, 10, &r);
	assert_int_equal(r.outcome, BUS_OK);
	bus_pdu_check(&four, (const uint8_t[]){0x2B, 0x0E, 4, 1, 0, 0, 1, 2, 1, 'x'}, 10, &r);
	assert_int_equal(r.outcome, BUS_GARBLED);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static void frames_have_the_bytes_of_the_standard(void **state)
{
	static const uint8_t pdu[] = {3, 0, 0, 0, 10};
	static const uint8_t rtu[] = {1, 3, 0, 0, 0, 10, 0xC5, 0xCD};
	static const uint8_t tcp[] = {0x15, 1, 0, 0, 0, 6, 0xFF, 3, 0, 0, 0, 10};
	uint8_t adu[BUS_ADU_MAX], big[BUS_PDU_MAX + 1] = {0};

	(void)state;
	assert_int_equal(bus_rtu_frame(1, pdu, sizeof pdu, adu), sizeof rtu);
	assert_memory_equal(adu, rtu, sizeof rtu);
	assert_int_equal(bus_crc(rtu, sizeof rtu), 0); /* a frame with its CRC has the CRC 0 */
	assert_int_equal(bus_mbap_frame(0x1501, 255, pdu, sizeof pdu, adu), sizeof tcp);
	assert_memory_equal(adu, tcp, sizeof tcp);
	assert_int_equal(bus_mbap_frame(1, 1, big, BUS_PDU_MAX, adu), BUS_ADU_MAX);
	assert_int_equal(bus_mbap_frame(1, 1, big, sizeof big, adu), 0);
	assert_int_equal(bus_rtu_frame(1, big, sizeof big, adu), 0);
	assert_int_equal(bus_rtu_frame(1, big, 0, adu), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_one_canonical_text),
		cmocka_unit_test(without_parity_a_character_has_two_stop_bits),
		cmocka_unit_test(a_bad_address_says_what_it_should_have_been),
		cmocka_unit_test(units_of_one_host_or_line_share_a_link),
		cmocka_unit_test(a_question_has_the_bytes_of_the_standard),
		cmocka_unit_test(what_is_beyond_the_limits_is_no_question),
		cmocka_unit_test(an_answer_is_taken_only_at_its_exact_length),
		cmocka_unit_test(the_first_two_bytes_cannot_be_changed_into_another_value),
		cmocka_unit_test(values_come_in_their_order),
		cmocka_unit_test(a_write_is_acknowledged_only_by_its_own_place_and_value),
		cmocka_unit_test(an_exception_names_itself_and_an_unknown_one_is_none),
		cmocka_unit_test(a_device_identification_whose_objects_do_not_end_together_is_garbled),
		cmocka_unit_test(frames_have_the_bytes_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
