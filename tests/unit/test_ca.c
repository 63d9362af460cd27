/* ca: whole enrolments with boards whose TPM is soft_board.h, and what is refused; the registry under several processes.
 *
 * With words after it this program is such a board for the tests of the command:
 *
 *   test_ca make DIR SERIAL [SITE]     keys, endorsement certificate (ek-cert.pem) and request.json
 *   test_ca request DIR                the request anew, with ek-cert.pem and ek-chain.pem as they are now
 *   test_ca answer DIR CHALLENGE       the answer, to standard output
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asserts.h"
#include "ca/ca.h"
#include "soft_board.h"
#include "unit.h"

static char dir[64], folder[80];
static struct err e;
static const struct now now = { .boot_us = 1, .utc_us = INT64_C(1790000000000000), .utc_valid = true };
static const int64_t day = INT64_C(86400000000);

static struct now later(int64_t us)
{
	struct now n = now;

	n.utc_us += us;
	return n;
}

static char *at(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static struct ca *opened(const char *where)
{
	auto_secret struct secret passphrase = { 0 };
	struct ca *c = NULL;

	assert_ok(ca_passphrase(where, NULL, &passphrase, &e));
	assert_ok(ca_open(where, &passphrase, &c, &e));
	return c;
}

static int setup(void **state)
{
	struct ca_init how = { .name = "Test", .now = &now };

	str_copy(dir, sizeof dir, "/tmp/psec-ca-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(folder, sizeof folder, "%s/ca", dir);
	assert_ok(ca_init(folder, &how, &e));
	*state = opened(folder);
	return 0;
}

static int teardown(void **state)
{
	auto_free char *rm = xasprintf("rm -rf %s", dir);

	ca_close(*state);
	return system(rm);
}

/* ---- one board through ---- */

static void asked(struct ca *c, const struct soft_board *b, struct buf *answer)
{
	auto_buf struct buf request = BUF_INIT, challenge = BUF_INIT;

	assert_ok(soft_request(b, &request, &e));
	assert_ok(ca_challenge(c, &now, request.data, &challenge, &e));
	assert_ok(soft_answer(b, challenge.data, answer, &e));
}

static void enrolled(struct ca *c, const struct soft_board *b, struct enrol_certificate *doc)
{
	auto_buf struct buf answer = BUF_INIT, certificate = BUF_INIT;

	asked(c, b, &answer);
	assert_ok(ca_certify(c, &now, answer.data, &certificate, &e));
	assert_ok(enrol_certificate_read(certificate.data, doc, &e));
}

static void board(struct soft_board *b, const char *serial, const char *site)
{
	assert_ok(soft_make(b, serial, site, &e));
}

/* Judges the leaf as a peer would; the lists are crl.pem's when that is there. */
static int judged(const char *chain, const char *root, enum crypto_use use, bool lists, const struct now *when)
{
	auto_crypto_bag struct crypto_bag *roots = NULL, *between = NULL;
	auto_crypto_cert struct crypto_cert *leaf = NULL;
	auto_free char *crl = xasprintf("%s/crl.pem", folder);
	struct crypto_check how = { .use = use, .crl_needed = lists, .now = when };
	bool time_checked;

	assert_ok(crypto_bag_new(&roots, &e));
	assert_ok(crypto_bag_add_pem(roots, "root", root, &e));
	assert_ok(crypto_bag_new(&between, &e));
	assert_ok(crypto_bag_add_pem(between, "chain", chain, &e));
	if (lists)
		assert_ok(crypto_bag_read(between, crl, &e));
	assert_ok(crypto_cert_from_pem(chain, &leaf, &e));
	how.roots = roots;
	how.between = between;
	return crypto_cert_check(leaf, &how, &time_checked, &e);
}

static void facts_of(const char *chain, struct crypto_cert_facts *f)
{
	auto_crypto_cert struct crypto_cert *leaf = NULL;

	assert_ok(crypto_cert_from_pem(chain, &leaf, &e));
	crypto_cert_facts(leaf, f);
}

static void a_board_gets_its_identity_for_life(void **state)
{
	struct enrol_certificate doc;
	struct crypto_cert_facts f;
	struct soft_board b;

	board(&b, "A1-000001", "");
	enrolled(*state, &b, &doc);
	assert_ok(judged(doc.chain, doc.trust[0], CRYPTO_USE_DEVICE, false, &now));
	assert_ok(judged(doc.iak, doc.trust[0], CRYPTO_USE_DEVICE, false, &now));
	facts_of(doc.chain, &f);
	assert_string_equal(f.cn, "A1-000001");
	assert_string_equal(f.serial_number, "A1-000001");
	assert_true(f.not_after_us == INT64_MAX);
	assert_refused(judged(doc.chain, doc.trust[0], CRYPTO_USE_CLIENT, false, &now), ERR_REFUSED, "");
	enrol_certificate_release(&doc);
	soft_release(&b);
}

static void a_site_gets_a_client_certificate_of_a_year(void **state)
{
	struct enrol_certificate doc;
	struct crypto_cert_facts f;
	struct soft_board b;

	board(&b, "A1-000001", "hof-7");
	enrolled(*state, &b, &doc);
	assert_ok(judged(doc.chain, doc.trust[0], CRYPTO_USE_CLIENT, false, &now));
	facts_of(doc.chain, &f);
	assert_string_equal(f.cn, "hof-7");
	assert_string_equal(f.serial_number, "A1-000001");
	assert_int_equal(f.not_after_us, now.utc_us + 365 * day);
	assert_null(doc.iak);
	enrol_certificate_release(&doc);
	soft_release(&b);
}

static void the_same_answer_brings_the_same_certificate(void **state)
{
	auto_buf struct buf request = BUF_INIT, first = BUF_INIT, second = BUF_INIT, answer = BUF_INIT, again = BUF_INIT;
	auto_buf struct buf one = BUF_INIT, two = BUF_INIT;
	struct now week = later(8 * day);
	struct soft_board b;

	board(&b, "A1-000001", "");
	assert_ok(soft_request(&b, &request, &e));
	assert_ok(ca_challenge(*state, &now, request.data, &first, &e));
	assert_ok(ca_challenge(*state, &now, request.data, &second, &e));
	assert_ok(soft_answer(&b, first.data, &answer, &e));
	assert_refused(ca_certify(*state, &now, answer.data, &one, &e), ERR_REFUSED, "not that of the last challenge");
	assert_ok(soft_answer(&b, second.data, &answer, &e));
	assert_refused(ca_certify(*state, &week, answer.data, &one, &e), ERR_REFUSED, "expired");
	assert_ok(ca_certify(*state, &now, answer.data, &one, &e));
	assert_ok(ca_certify(*state, &now, answer.data, &two, &e));
	assert_string_equal(one.data, two.data);
	/* the answer was lost, and the request is given once more */
	assert_ok(ca_challenge(*state, &now, request.data, &first, &e));
	assert_ok(soft_answer(&b, first.data, &again, &e));
	assert_ok(ca_certify(*state, &now, again.data, &two, &e));
	assert_string_equal(one.data, two.data);
	soft_release(&b);
}

static void only_the_tpm_that_asked_can_answer(void **state)
{
	auto_buf struct buf request = BUF_INIT, challenge = BUF_INIT, answer = BUF_INIT, out = BUF_INIT;
	struct soft_board b, thief;
	struct enrol_answer a;

	board(&b, "A1-000001", "");
	board(&thief, "A1-000001", "");
	assert_ok(soft_request(&b, &request, &e));
	assert_ok(ca_challenge(*state, &now, request.data, &challenge, &e));
	assert_refused(soft_answer(&thief, challenge.data, &answer, &e), ERR_REFUSED, "another TPM");
	/* and a guess is no answer */
	assert_ok(soft_answer(&b, challenge.data, &answer, &e));
	assert_ok(enrol_answer_read(answer.data, &a, &e));
	a.proof[31] ^= 1;
	assert_ok(enrol_answer_write(&a, &answer, &e));
	assert_refused(ca_certify(*state, &now, answer.data, &out, &e), ERR_REFUSED, "not that of the last challenge");
	a.request[0] = a.request[0] == '0' ? '1' : '0';
	assert_ok(enrol_answer_write(&a, &answer, &e));
	assert_refused(ca_certify(*state, &now, answer.data, &out, &e), ERR_REFUSED, "no challenge is open");
	soft_release(&b);
	soft_release(&thief);
}

/* ---- what a request may not claim ---- */

static void refused(struct ca *c, const struct soft_board *b, const char *words)
{
	auto_buf struct buf request = BUF_INIT, challenge = BUF_INIT;

	assert_ok(soft_request(b, &request, &e));
	assert_refused(ca_challenge(c, &now, request.data, &challenge, &e), ERR_REFUSED, words);
}

static void what_a_request_may_not_claim_is_named(void **state)
{
	const uint32_t should = SOFT_FIXED | SOFT_USER_AUTH | SOFT_SIGN;
	struct soft_board b;
	EVP_PKEY *other = soft_key();

	board(&b, "A1-000001", "hof-7");
	b.key_attributes = should & ~0x2U; /* fixedTPM */
	refused(*state, &b, "is no signing key that was made in its TPM");
	b.key_attributes = should & ~0x20U; /* sensitiveDataOrigin: it was brought in from outside */
	refused(*state, &b, "is no signing key that was made in its TPM");
	b.key_attributes = should | SOFT_RESTRICTED;
	refused(*state, &b, "restricted");
	b.key_attributes = 0;
	b.iak_attributes = should; /* it would sign anything, statements of a TPM, too */
	refused(*state, &b, "the IAK is no restricted");
	b.iak_attributes = 0;
	b.certifier = other;
	refused(*state, &b, "key.certify");
	b.certifier = NULL;
	b.other_nonce = true;
	refused(*state, &b, "key.certify");
	b.other_nonce = false;
	b.magic = 0xff544348;
	refused(*state, &b, "key.certify");
	b.magic = 0;
	b.csr_key = other;
	refused(*state, &b, "key.csr is for another key");
	b.csr_key = NULL;
	b.csr_cn = "hof-8";
	refused(*state, &b, "key.csr asks for the name 'hof-8'");
	b.csr_cn = NULL;
	EVP_PKEY_free(other);
	soft_release(&b);
}

static void a_ca_without_a_clock_does_not_begin(void **state)
{
	struct now unset = { .boot_us = 1, .utc_us = 0 };
	struct ca_init how = { .name = "Test", .now = &unset };
	auto_free char *to = at("other");

	(void)state;
	assert_refused(ca_init(to, &how, &e), ERR_AGAIN, "clock");
	assert_int_equal(access(to, F_OK), -1);
}

static void a_board_without_a_clock_does_not_sign(void **state)
{
	struct now unset = { .boot_us = 1, .utc_us = 0 };
	auto_buf struct buf request = BUF_INIT, challenge = BUF_INIT;
	struct soft_board b;

	board(&b, "A1-000001", "");
	assert_ok(soft_request(&b, &request, &e));
	assert_refused(ca_challenge(*state, &unset, request.data, &challenge, &e), ERR_AGAIN, "clock");
	soft_release(&b);
}

/* ---- boards and sites ---- */

static void one_tpm_has_one_serial_and_one_serial_one_tpm(void **state)
{
	struct enrol_certificate doc = { 0 };
	struct soft_board b, other;

	board(&b, "A1-000001", "");
	board(&other, "A1-000001", "");
	enrolled(*state, &b, &doc);
	enrol_certificate_release(&doc);
	refused(*state, &other, "known with another TPM");
	str_copy(b.serial, sizeof b.serial, "A1-000002");
	refused(*state, &b, "known as board 'A1-000001'");
	/* after a rework the serial takes the new TPM, and the old one is free */
	assert_ok(ca_board_rework(*state, &now, "A1-000001", "new TPM", "me", &e));
	enrolled(*state, &other, &doc);
	enrol_certificate_release(&doc);
	enrolled(*state, &b, &doc);
	enrol_certificate_release(&doc);
	assert_ok(ca_board_scrap(*state, &now, "A1-000002", "cracked", "me", &e));
	refused(*state, &b, "was scrapped");
	assert_refused(ca_board_rework(*state, &now, "A1-000002", "", "me", &e), ERR_REFUSED, "was scrapped");
	str_copy(b.serial, sizeof b.serial, "A1-000003");
	refused(*state, &b, "known as board 'A1-000002'"); /* scrapped is scrapped under every name */
	assert_refused(ca_board_scrap(*state, &now, "A1-000009", "", "me", &e), ERR_INPUT, "no board 'A1-000009'");
	soft_release(&b);
	soft_release(&other);
}

/* The same TPM by its other endorsement key: that is another certificate, and the same attestation key. */
static void one_tpm_has_one_serial_by_either_endorsement_key(void **state)
{
	struct enrol_certificate doc = { 0 };
	struct soft_board b, other;

	board(&b, "A1-000001", "");
	board(&other, "A1-000002", "");
	EVP_PKEY_free(other.iak);
	other.iak = b.iak;
	EVP_PKEY_up_ref(b.iak);
	enrolled(*state, &b, &doc);
	enrol_certificate_release(&doc);
	refused(*state, &other, "known as board 'A1-000001'");
	assert_ok(ca_board_rework(*state, &now, "A1-000001", "new TPM", "me", &e));
	enrolled(*state, &other, &doc);
	enrol_certificate_release(&doc);
	refused(*state, &b, "known as board 'A1-000002'");
	soft_release(&b);
	soft_release(&other);
}

static void a_site_goes_from_one_board_to_another(void **state)
{
	struct enrol_certificate old = { 0 }, doc = { 0 };
	auto_buf struct buf statement = BUF_INIT, again = BUF_INIT, list = BUF_INIT;
	struct soft_board b, fresh;

	board(&b, "A1-000001", "hof-7");
	board(&fresh, "A1-000002", "hof-7");
	enrolled(*state, &b, &old);
	refused(*state, &fresh, "site 'hof-7' has board 'A1-000001'");
	assert_refused(ca_replace(*state, &now, "hof-8", "A1-000001", "A1-000002", &statement, &e), ERR_INPUT,
		       "never had board");
	assert_ok(ca_replace(*state, &now, "hof-7", "A1-000001", "A1-000002", &statement, &e));
	assert_ok(ca_replace(*state, &now, "hof-7", "A1-000001", "A1-000002", &again, &e));
	assert_string_equal(statement.data, again.data);
	assert_non_null(strstr(statement.data, "\"from\":\"A1-000001\""));
	enrolled(*state, &fresh, &doc);
	assert_ok(ca_crl(*state, &now, 86400000, &list, &e));
	assert_refused(judged(old.chain, old.trust[0], CRYPTO_USE_CLIENT, true, &now), ERR_REFUSED, "revoked");
	assert_ok(judged(doc.chain, doc.trust[0], CRYPTO_USE_CLIENT, true, &now));
	refused(*state, &b, "was replaced");
	/* the one before gives the site to nobody any more, and its own statement once more */
	assert_refused(ca_replace(*state, &now, "hof-7", "A1-000001", "A1-000003", &again, &e), ERR_REFUSED,
		       "has board 'A1-000002' now");
	assert_ok(ca_replace(*state, &now, "hof-7", "A1-000001", "A1-000002", &again, &e));
	assert_string_equal(statement.data, again.data);
	assert_ok(ca_replace(*state, &now, "hof-7", "A1-000002", "A1-000003", &again, &e));
	enrol_certificate_release(&old);
	enrol_certificate_release(&doc);
	soft_release(&b);
	soft_release(&fresh);
}

/* mosquitto's use_identity_as_username asks for the CN alone. */
static void a_board_is_never_named_as_another_ones_site(void **state)
{
	struct enrol_certificate doc = { 0 };
	struct soft_board site, thief, later_site;

	board(&site, "A1-000001", "hof-7");
	enrolled(*state, &site, &doc);
	enrol_certificate_release(&doc);
	board(&thief, "hof-7", "");
	refused(*state, &thief, "'hof-7' is the id of a site");
	str_copy(thief.serial, sizeof thief.serial, "hof-8");
	enrolled(*state, &thief, &doc);
	enrol_certificate_release(&doc);
	board(&later_site, "A1-000002", "hof-8");
	refused(*state, &later_site, "'hof-8' is the serial of a board");
	/* its own name twice is nobody else's */
	str_copy(thief.site, sizeof thief.site, "hof-8");
	enrolled(*state, &thief, &doc);
	enrol_certificate_release(&doc);
	soft_release(&site);
	soft_release(&thief);
	soft_release(&later_site);
}

static void a_replaced_boards_own_certificate_ends_too(void **state)
{
	struct enrol_certificate own = { 0 }, old = { 0 };
	auto_buf struct buf statement = BUF_INIT, list = BUF_INIT;
	struct soft_board b;

	board(&b, "A1-000001", "");
	enrolled(*state, &b, &own);
	str_copy(b.site, sizeof b.site, "hof-7");
	enrolled(*state, &b, &old);
	assert_ok(ca_replace(*state, &now, "hof-7", "A1-000001", "A1-000002", &statement, &e));
	assert_ok(ca_crl(*state, &now, 86400000, &list, &e));
	assert_refused(judged(own.chain, own.trust[0], CRYPTO_USE_DEVICE, true, &now), ERR_REFUSED, "revoked");
	assert_refused(judged(old.chain, old.trust[0], CRYPTO_USE_CLIENT, true, &now), ERR_REFUSED, "revoked");
	enrol_certificate_release(&own);
	enrol_certificate_release(&old);
	soft_release(&b);
}

/* The statement's signature, checked as psec-enrolment(5) says it. */
static void a_hand_over_is_signed_by_the_policy_key(void **state)
{
	struct enrol_certificate doc = { 0 };
	auto_crypto_key struct crypto_key *key = NULL;
	auto_buf struct buf statement = BUF_INIT, words = BUF_INIT;
	char *from, *to, b64[200];
	uint8_t sig[80];
	size_t len;
	struct soft_board b;

	board(&b, "A1-000001", "hof-7");
	enrolled(*state, &b, &doc);
	assert_ok(ca_replace(*state, &now, "hof-7", "A1-000001", "A1-000002", &statement, &e));
	assert_ok(ca_policy_key(*state, &key, &e));
	from = strstr(statement.data, "\"signature\":\"");
	assert_non_null(from);
	to = strchr(from + 13, '"');
	str_copy(b64, (size_t)(to - from - 13) + 1, from + 13);
	assert_ok(crypto_unbase64(b64, sig, sizeof sig, &len, &e));
	buf_add(&words, "psec-hand-over", 15);
	buf_add(&words, statement.data, (size_t)(from - statement.data));
	buf_adds(&words, to + 2); /* the quote and the comma */
	words.data[--words.len] = '\0'; /* the line's end */
	assert_ok(crypto_verify(key, words.data, words.len, sig, len, &e));
	words.data[30] ^= 1;
	assert_refused(crypto_verify(key, words.data, words.len, sig, len, &e), ERR_REFUSED, "");
	enrol_certificate_release(&doc);
	soft_release(&b);
}

/* ---- serials, by two processes at once ---- */

enum { EACH = 100 };

static void take_serials(const char *name)
{
	auto_free char *path = at(name);
	auto_fclose FILE *f = fopen(path, "w");
	struct ca *c = NULL;
	char serial[ENROL_NAME];

	if (!f || ca_open(folder, NULL, &c, &e))
		_exit(1);
	for (int i = 0; i < EACH; i++) {
		if (ca_serial_take(c, &now, "EX2", serial, &e)) {
			fprintf(stderr, "%s\n", e.text);
			_exit(2);
		}
		fprintf(f, "%s\n", serial);
	}
	ca_close(c);
}

static void two_processes_never_take_one_serial_twice(void **state)
{
	static bool seen[2 * EACH + 1];
	const char *const names[] = { "one", "two" };
	pid_t pids[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			take_serials(names[i]);
			_exit(0);
		}
	}
	for (int i = 0; i < 2; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < 2; i++) {
		auto_free char *path = at(names[i]);
		auto_fclose FILE *f = fopen(path, "r");
		int n, count = 0;

		assert_non_null(f);
		for (; fscanf(f, "EX2-%d\n", &n) == 1; count++) {
			assert_in_range(n, 1, 2 * EACH);
			assert_false(seen[n]);
			seen[n] = true;
		}
		assert_int_equal(count, EACH);
	}
}

static void two_processes_with_one_answer_get_one_certificate(void **state)
{
	auto_buf struct buf answer = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
	struct soft_board b;
	pid_t pids[2];

	board(&b, "A1-000001", "hof-7");
	asked(*state, &b, &answer);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			auto_free char *path = at(i ? "two" : "one");
			auto_buf struct buf out = BUF_INIT;
			struct ca *c = opened(folder);

			if (ca_certify(c, &now, answer.data, &out, &e) || file_replace(path, out.data, out.len, 0600, &e))
				_exit(1);
			_exit(0);
		}
	}
	for (int i = 0; i < 2; i++) {
		auto_free char *path = at(i ? "two" : "one");
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
		assert_ok(file_read(path, ENROL_MAX, i ? &second : &first, &e));
	}
	assert_string_equal(first.data, second.data);
	soft_release(&b);
}

/* ---- revocation ---- */

static void what_is_revoked_is_refused_and_what_is_not_stays(void **state)
{
	struct enrol_certificate a = { 0 }, b = { 0 };
	auto_buf struct buf list = BUF_INIT;
	struct soft_board one, two;
	int count;

	board(&one, "A1-000001", "hof-7");
	board(&two, "A1-000002", "hof-8");
	enrolled(*state, &one, &a);
	enrolled(*state, &two, &b);
	assert_ok(ca_crl(*state, &now, 86400000, &list, &e));
	assert_ok(judged(a.chain, a.trust[0], CRYPTO_USE_CLIENT, true, &now));
	assert_refused(ca_revoke(*state, &now, "hof-9", 1, "me", &count, &e), ERR_INPUT, "no certificate has 'hof-9'");
	assert_ok(ca_revoke(*state, &now, "hof-7", 1, "me", &count, &e));
	assert_int_equal(count, 1);
	assert_ok(ca_revoke(*state, &now, "A1-000001", 1, "me", &count, &e));
	assert_int_equal(count, 0);
	assert_ok(ca_crl(*state, &now, 86400000, &list, &e));
	assert_refused(judged(a.chain, a.trust[0], CRYPTO_USE_CLIENT, true, &now), ERR_REFUSED, "revoked");
	assert_ok(judged(b.chain, b.trust[0], CRYPTO_USE_CLIENT, true, &now));
	enrol_certificate_release(&a);
	enrol_certificate_release(&b);
	soft_release(&one);
	soft_release(&two);
}

static void a_word_that_is_a_serial_and_a_site_must_say_which(void **state)
{
	struct enrol_certificate doc = { 0 };
	struct soft_board one, two;
	int count;

	board(&one, "a", "b");
	board(&two, "b", "c");
	enrolled(*state, &one, &doc);
	enrol_certificate_release(&doc);
	enrolled(*state, &two, &doc);
	enrol_certificate_release(&doc);
	assert_refused(ca_revoke(*state, &now, "b", 0, "me", &count, &e), ERR_REFUSED, "serial:b or site:b");
	assert_ok(ca_revoke(*state, &now, "site:b", 0, "me", &count, &e));
	assert_int_equal(count, 1);
	assert_ok(ca_revoke(*state, &now, "serial:b", 0, "me", &count, &e));
	assert_int_equal(count, 1);
	soft_release(&one);
	soft_release(&two);
}

/* ---- rotation ---- */

static void what_the_old_intermediate_signed_stays_good_and_revocable(void **state)
{
	struct enrol_certificate old = { 0 }, fresh = { 0 };
	auto_buf struct buf list = BUF_INIT;
	struct soft_board one, two;
	int count;

	board(&one, "A1-000001", "hof-7");
	board(&two, "A1-000002", "hof-8");
	enrolled(*state, &one, &old);
	assert_ok(ca_rotate(*state, &now, &e));
	enrolled(*state, &two, &fresh);
	assert_null(strstr(fresh.chain, strstr(old.chain + 30, "-----BEGIN"))); /* another intermediate */
	assert_ok(ca_crl(*state, &now, 86400000, &list, &e));
	assert_ok(judged(old.chain, old.trust[0], CRYPTO_USE_CLIENT, true, &now));
	assert_ok(judged(fresh.chain, fresh.trust[0], CRYPTO_USE_CLIENT, true, &now));
	assert_ok(ca_revoke(*state, &now, "hof-7", 4, "me", &count, &e));
	assert_ok(ca_crl(*state, &now, 86400000, &list, &e));
	assert_refused(judged(old.chain, old.trust[0], CRYPTO_USE_CLIENT, true, &now), ERR_REFUSED, "revoked");
	assert_ok(judged(fresh.chain, fresh.trust[0], CRYPTO_USE_CLIENT, true, &now));
	enrol_certificate_release(&old);
	enrol_certificate_release(&fresh);
	soft_release(&one);
	soft_release(&two);
}

static void the_passphrase_changes_for_all_keys_at_once(void **state)
{
	struct secret fresh = { .data = "another passphrase", .len = 18 }, old = { 0 };
	struct enrol_certificate doc = { 0 };
	struct soft_board b;
	struct ca *c = NULL;

	assert_ok(ca_passphrase(folder, NULL, &old, &e));
	assert_ok(ca_rotate(*state, &now, &e));
	assert_ok(ca_rotate_passphrase(*state, &fresh, &e));
	assert_refused(ca_open(folder, &old, &c, &e), ERR_REFUSED, "passphrase");
	assert_ok(ca_open(folder, &fresh, &c, &e));
	board(&b, "A1-000001", "hof-7");
	enrolled(c, &b, &doc);
	enrol_certificate_release(&doc);
	assert_ok(ca_rotate(c, &now, &e)); /* the root's key, too */
	ca_close(c);
	c = opened(folder); /* by the file in the folder, which is the new one */
	ca_close(c);
	soft_release(&b);
}

/* ---- backup ---- */

static void a_backup_brings_all_back(void **state)
{
	auto_free char *file = at("backup"), *to = at("restored");
	auto_secret struct secret passphrase = { 0 };
	struct enrol_certificate doc = { 0 };
	auto_buf struct buf answer = BUF_INIT, one = BUF_INIT, two = BUF_INIT;
	struct soft_board b, other;
	struct ca *c = NULL;
	struct stat info;

	board(&b, "A1-000001", "hof-7");
	board(&other, "A1-000001", "hof-7");
	asked(*state, &b, &answer);
	assert_ok(ca_certify(*state, &now, answer.data, &one, &e));
	assert_ok(ca_passphrase(folder, NULL, &passphrase, &e));
	assert_ok(ca_backup(*state, file, NULL, &e));
	assert_int_equal(stat(file, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_refused(ca_restore(file, to, NULL, &e), ERR_REFUSED, "passphrase");
	assert_refused(ca_restore(file, folder, &passphrase, &e), ERR_REFUSED, "there is a CA");
	assert_ok(ca_restore(file, to, &passphrase, &e));
	assert_ok(ca_open(to, &passphrase, &c, &e));
	assert_ok(ca_certify(c, &now, answer.data, &two, &e));
	assert_string_equal(one.data, two.data);
	refused(c, &other, "known with another TPM");
	str_copy(other.serial, sizeof other.serial, "A1-000002");
	str_copy(other.site, sizeof other.site, "hof-8");
	enrolled(c, &other, &doc);
	enrol_certificate_release(&doc);
	ca_close(c);
	soft_release(&b);
	soft_release(&other);
}

/* One byte after the other would take long; each kind of piece once. */
static void a_broken_backup_makes_nothing(void **state)
{
	auto_free char *file = at("backup"), *bad = at("bad"), *to = at("restored");
	auto_secret struct secret passphrase = { 0 };
	auto_buf struct buf text = BUF_INIT;
	size_t cuts[] = { 0, 10, 700, 1500 };

	assert_ok(ca_passphrase(folder, NULL, &passphrase, &e));
	assert_ok(ca_backup(*state, file, NULL, &e));
	assert_ok(file_read(file, 1 << 24, &text, &e));
	for (size_t i = 0; i < COUNT_OF(cuts) + 1; i++) {
		size_t len = i < COUNT_OF(cuts) ? cuts[i] : text.len - 100;

		assert_ok(file_replace(bad, text.data, len, 0600, &e));
		assert_int_equal(ca_restore(bad, to, &passphrase, &e), -1);
		assert_true(e.kind == ERR_INPUT || e.kind == ERR_REFUSED);
		assert_int_equal(access(to, F_OK), -1);
	}
	for (size_t flip = 300; flip < text.len; flip += text.len / 7) {
		text.data[flip] ^= 1;
		assert_ok(file_replace(bad, text.data, text.len, 0600, &e));
		assert_int_equal(ca_restore(bad, to, &passphrase, &e), -1);
		assert_int_equal(access(to, F_OK), -1);
		text.data[flip] ^= 1;
	}
}

/* ---- the folder ---- */

static void a_name_keeps_to_what_a_certificate_takes(void **state)
{
	static const char *const bad[] = { "", " a", "a ", "a+b", "a#", "a/b", "ä", "a\nb",
					   "1234567890123456789012345678901234567890123456789" };
	auto_free char *to = at("other");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct ca_init how = { .name = bad[i], .now = &now };

		assert_refused(ca_init(to, &how, &e), ERR_USAGE, "name");
		assert_int_equal(access(to, F_OK), -1);
	}
}

static void what_is_there_already_stays(void **state)
{
	auto_free char *file = at("ca/x"), *full = at("full"), *in = at("full/x"), *empty = at("empty");
	struct ca_init how = { .name = "Test", .now = &now };

	(void)state;
	assert_refused(ca_init(folder, &how, &e), ERR_REFUSED, "there is a CA");
	assert_int_equal(mkdir(full, 0700), 0);
	assert_ok(file_replace(in, "x", 1, 0600, &e));
	assert_refused(ca_init(full, &how, &e), ERR_REFUSED, "is no CA");
	assert_refused(ca_init(in, &how, &e), ERR_REFUSED, "is no CA");
	assert_int_equal(mkdir(empty, 0700), 0);
	assert_ok(ca_init(empty, &how, &e));
}

static void a_damaged_or_foreign_registry_is_told(void **state)
{
	auto_free char *db = at("ca/ca.db"), *cmd = NULL;
	auto_buf struct buf text = BUF_INIT;
	struct ca *c = NULL;
	int fd;

	assert_ok(file_read(db, 1 << 24, &text, &e));
	fd = open(db, O_WRONLY | O_CLOEXEC);
	for (off_t o = 4096; o < (off_t)text.len; o += 512)
		assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, o), 8);
	close(fd);
	ca_close(*state);
	*state = NULL;
	assert_refused(ca_open(folder, NULL, &c, &e), ERR_INPUT, "restore");
	assert_ok(file_replace(db, "not a database, but long enough to be looked at as if it were one", 60, 0600, &e));
	assert_refused(ca_open(folder, NULL, &c, &e), ERR_INPUT, "restore");
	assert_ok(file_replace(db, text.data, text.len, 0600, &e));
	cmd = xasprintf("sqlite3 %s 'PRAGMA user_version=99'", db);
	assert_int_equal(system(cmd), 0);
	assert_refused(ca_open(folder, NULL, &c, &e), ERR_INPUT, "newer psec");
	free(cmd);
	cmd = xasprintf("sqlite3 %s 'PRAGMA application_id=99'", db);
	assert_int_equal(system(cmd), 0);
	assert_refused(ca_open(folder, NULL, &c, &e), ERR_INPUT, "another program");
	unlink(db);
	assert_refused(ca_open(folder, NULL, &c, &e), ERR_INPUT, "no ca.db");
}

/* ---- policies ---- */

static void a_policy_is_signed_for_the_tpm_and_its_slot_given_once(void **state)
{
	struct enrol_policy p = { .slot = 3, .serial = "A1", .pcrs = { .mask = 1U << 7 } }, q;
	auto_crypto_key struct crypto_key *key = NULL;
	auto_buf struct buf words = BUF_INIT;

	tpm_policy_digest(&p.pcrs, p.slot, p.digest);
	q = p;
	assert_ok(ca_policy_sign(*state, &now, &p, &e));
	assert_ok(ca_policy_key(*state, &key, &e));
	tpm_policy_words(p.digest, &words);
	assert_ok(crypto_verify(key, words.data, words.len, p.signature, p.signature_len, &e));
	assert_ok(ca_policy_sign(*state, &now, &q, &e));
	assert_memory_equal(&p, &q, sizeof p);
	q.pcrs.value[7][0] = 1;
	assert_refused(ca_policy_sign(*state, &now, &q, &e), ERR_REFUSED, "digest");
	tpm_policy_digest(&q.pcrs, q.slot, q.digest);
	assert_refused(ca_policy_sign(*state, &now, &q, &e), ERR_REFUSED, "slot 3 was given");
	str_copy(q.serial, sizeof q.serial, "A2"); /* another board has slots of its own */
	assert_ok(ca_policy_sign(*state, &now, &q, &e));
}

/* ---- as a program ---- */

static int put_key(const char *name, EVP_PKEY *k)
{
	auto_free char *path = at(name);
	FILE *f = fopen(path, "w");

	return !f || !PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) || fclose(f) || chmod(path, 0600);
}

static EVP_PKEY *get_key(const char *name)
{
	auto_free char *path = at(name);
	FILE *f = fopen(path, "r");
	EVP_PKEY *k = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return k;
}

static int get_text(const char *name, struct buf *b)
{
	auto_free char *path = at(name);

	return file_read(path, ENROL_MAX, b, &e);
}

static int put_text(const char *name, const char *text)
{
	auto_free char *path = at(name);

	return file_replace(path, text, strlen(text), 0644, &e);
}

static int load(struct soft_board *b)
{
	auto_buf struct buf text = BUF_INIT, one = BUF_INIT;
	const char *next;

	*b = (struct soft_board){ .ek = get_key("ek.key"), .iak = get_key("iak.key"), .key = get_key("key.key") };
	if (!b->ek || !b->iak || !b->key || get_text("serial", &text))
		return -1;
	str_copy(b->serial, sizeof b->serial, text.data);
	if (get_text("site", &text))
		return -1;
	str_copy(b->site, sizeof b->site, text.data);
	if (get_text("ek-cert.pem", &text))
		return -1;
	next = text.data;
	enrol_pem_next(&next, &one);
	b->ek_certificate = buf_take(&one);
	if (get_text("ek-chain.pem", &text))
		return 0;
	for (next = text.data; b->ek_chain_count < ENROL_CHAIN && enrol_pem_next(&next, &one);)
		b->ek_chain[b->ek_chain_count++] = xstrdup(one.data);
	return 0;
}

static int program(int argc, char **argv)
{
	auto_buf struct buf text = BUF_INIT, out = BUF_INIT;
	struct soft_board b = { 0 };
	int rc = -1;

	str_copy(dir, sizeof dir, argc > 2 ? argv[2] : "");
	if (argc > 3 && str_eq(argv[1], "make"))
		rc = soft_make(&b, argv[3], argc > 4 ? argv[4] : "", &e) || put_key("ek.key", b.ek) ||
		     put_key("iak.key", b.iak) || put_key("key.key", b.key) || put_text("serial", b.serial) ||
		     put_text("site", b.site) || put_text("ek-cert.pem", b.ek_certificate) ||
		     soft_request(&b, &out, &e) || put_text("request.json", out.data);
	else if (argc == 3 && str_eq(argv[1], "request"))
		rc = load(&b) || soft_request(&b, &out, &e) || put_text("request.json", out.data);
	else if (argc == 4 && str_eq(argv[1], "answer"))
		rc = load(&b) || file_read(argv[3], ENROL_MAX, &text, &e) || soft_answer(&b, text.data, &out, &e) ||
		     printf("%s", out.data) < 0;
	if (rc)
		fprintf(stderr, "soft board: %s\n", e.text);
	soft_release(&b);
	return rc ? 1 : 0;
}

#define with_ca(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		with_ca(a_board_gets_its_identity_for_life),
		with_ca(a_site_gets_a_client_certificate_of_a_year),
		with_ca(the_same_answer_brings_the_same_certificate),
		with_ca(only_the_tpm_that_asked_can_answer),
		with_ca(what_a_request_may_not_claim_is_named),
		with_ca(a_ca_without_a_clock_does_not_begin),
		with_ca(a_board_without_a_clock_does_not_sign),
		with_ca(one_tpm_has_one_serial_and_one_serial_one_tpm),
		with_ca(one_tpm_has_one_serial_by_either_endorsement_key),
		with_ca(a_site_goes_from_one_board_to_another),
		with_ca(a_board_is_never_named_as_another_ones_site),
		with_ca(a_replaced_boards_own_certificate_ends_too),
		with_ca(a_hand_over_is_signed_by_the_policy_key),
		with_ca(two_processes_never_take_one_serial_twice),
		with_ca(two_processes_with_one_answer_get_one_certificate),
		with_ca(what_is_revoked_is_refused_and_what_is_not_stays),
		with_ca(a_word_that_is_a_serial_and_a_site_must_say_which),
		with_ca(what_the_old_intermediate_signed_stays_good_and_revocable),
		with_ca(the_passphrase_changes_for_all_keys_at_once),
		with_ca(a_backup_brings_all_back),
		with_ca(a_broken_backup_makes_nothing),
		with_ca(a_name_keeps_to_what_a_certificate_takes),
		with_ca(what_is_there_already_stays),
		with_ca(a_damaged_or_foreign_registry_is_told),
		with_ca(a_policy_is_signed_for_the_tpm_and_its_slot_given_once),
	};

	if (argc > 1)
		return program(argc, argv);
	return cmocka_run_group_tests_name("ca", tests, NULL, NULL);
}
