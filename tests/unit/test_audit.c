#include "audit/audit.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "enrol/enrol.h"
#include "store_folder.h"

static struct store *opened(void)
{
	struct store *s = NULL;
	bool recovered;

	ok(store_open(path, NULL, &s, &recovered, &e));
	assert_false(recovered);
	return s;
}

static void append(struct store *s, const char *kind, const char *detail)
{
	struct audit_entry v = { .utc_us = T0, .utc_valid = true, .who = "unix:anna", .kind = kind, .subject = "house",
				 .detail = detail };

	ok(audit_append(s, &v, &e));
}

static void append_some(struct store *s, int count)
{
	char detail[32];

	for (int i = 0; i < count; i++) {
		snprintf(detail, sizeof detail, "{\"n\":%d}", i);
		append(s, "set", detail);
	}
}

/* What somebody does who has the file and not the key. */
static void tamper(const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

static struct audit_verdict verdict_of(const struct audit_judge *judge)
{
	static const struct audit_judge none;
	struct audit_walk *w = audit_walk_new(judge ? judge : &none);
	struct audit_verdict v = { 0 };
	struct store *s = opened();
	bool more;

	ok(audit_read(s, INT64_MIN, SIZE_MAX, audit_walk_record, w, &more, &e));
	audit_walk_end(w, &v);
	audit_walk_free(w);
	store_close(s);
	return v;
}

static void assert_bad(const struct audit_judge *judge, int64_t seq, const char *why)
{
	struct audit_verdict v = verdict_of(judge);

	if (v.first_bad != seq || !strstr(v.why, why))
		fail_msg("first bad is %" PRId64 " (%s), must be %" PRId64 " (%s)", v.first_bad, v.why, seq, why);
}

static void assert_whole(const struct audit_judge *judge, int64_t entries, int64_t heads)
{
	struct audit_verdict v = verdict_of(judge);

	if (v.first_bad)
		fail_msg("entry %" PRId64 ": %s", v.first_bad, v.why);
	assert_int_equal(v.entries, entries);
	assert_int_equal(v.heads, heads);
}

/* ---- a signer, made by the library itself ---- */

struct signer { EVP_PKEY *key; char *pem; };

static struct signer board_new(const char *cn, const char *serial)
{
	struct signer s = { .key = EVP_EC_gen("P-256") };
	X509 *cert = X509_new();
	BIO *to = BIO_new(BIO_s_mem());
	X509_NAME *name = X509_get_subject_name(cert);
	char *text;
	long len;

	assert_non_null(s.key);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	ASN1_TIME_set(X509_getm_notBefore(cert), T0 / US_PER_S - 86400);
	ASN1_TIME_set(X509_getm_notAfter(cert), T0 / US_PER_S + 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	if (serial)
		X509_NAME_add_entry_by_txt(name, "serialNumber", MBSTRING_UTF8, (const unsigned char *)serial, -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, s.key);
	assert_true(X509_sign(cert, s.key, EVP_sha256()) > 0);
	assert_true(PEM_write_bio_X509(to, cert) == 1);
	len = BIO_get_mem_data(to, &text);
	s.pem = xasprintf("%.*s", (int)len, text);
	BIO_free(to);
	X509_free(cert);
	return s;
}

static struct signer signer_new(const char *cn)
{
	return board_new(cn, NULL);
}

static void signer_free(struct signer *s)
{
	EVP_PKEY_free(s->key);
	free(s->pem);
}

static int sign(void *arg, const uint8_t digest[SHA256_LEN], struct buf *der, struct err *err)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(((struct signer *)arg)->key, NULL);
	unsigned char out[80];
	size_t len = sizeof out;

	(void)err;
	assert_true(EVP_PKEY_sign_init(c) == 1 && EVP_PKEY_sign(c, out, &len, digest, SHA256_LEN) == 1);
	EVP_PKEY_CTX_free(c);
	buf_add(der, out, len);
	return 0;
}

static void head(struct store *s, struct signer *by, uint64_t counter)
{
	const struct now now = { .utc_us = T0, .utc_valid = true };

	ok(audit_head(s, counter, by->pem, &now, sign, by, &e));
}

/* Nine entries, heads over 3, 6 and 9 with counters 5, 6, 7. */
static void make_log(struct signer *by)
{
	struct store *s = opened();

	for (uint64_t i = 0; i < 3; i++) {
		append_some(s, 3);
		head(s, by, 5 + i);
	}
	store_close(s);
}

/* The chain from entry seq on, made anew after its fields were changed: who knows how the hash is made can do that. */
struct entry_copy { struct audit_entry entry; char *detail; };
static int copy_entry(void *arg, const struct audit_record *record, struct err *err)
{
	struct { size_t count; struct entry_copy at[16]; } *all = arg;

	(void)err;
	if (record->entry) {
		struct entry_copy *c = &all->at[all->count++];

		c->entry = *record->entry;
		c->detail = xstrdup(record->entry->detail);
	}
	return 0;
}

static void chain_anew(int64_t seq, const char *detail)
{
	struct { size_t count; struct entry_copy at[16]; } all = { 0 };
	struct store *s = opened();
	uint8_t before[SHA256_LEN];
	bool more;

	ok(audit_read(s, 0, 16, copy_entry, &all, &more, &e));
	store_close(s);
	memcpy(before, all.at[seq - 1].entry.before, sizeof before);
	for (size_t i = 0; i < all.count; i++) {
		struct audit_entry *v = &all.at[i].entry;
		char was[2 * SHA256_LEN + 1], is[2 * SHA256_LEN + 1];
		auto_free char *sql = NULL;

		if (v->seq >= seq) {
			v->who = "unix:anna", v->kind = "set", v->subject = "house";
			v->detail = v->seq == seq ? detail : all.at[i].detail;
			memcpy(v->before, before, sizeof before);
			audit_hash(v, v->hash);
			memcpy(before, v->hash, sizeof before);
			sql = xasprintf("UPDATE audit SET detail = '%s', before = X'%s', hash = X'%s' WHERE seq = %" PRId64,
					v->detail, hex_format(v->before, SHA256_LEN, was),
					hex_format(v->hash, SHA256_LEN, is), v->seq);
			tamper(sql);
		}
		free(all.at[i].detail);
	}
}

/* ---- entries ---- */

static int first_entry(void *arg, const struct audit_record *record, struct err *err)
{
	char hex[2 * SHA256_LEN + 1];

	(void)err;
	if (record->entry)
		buf_addf(arg, "%" PRId64 " %s %s %s %s %s\n", record->entry->seq, record->entry->who,
			 record->entry->kind, record->entry->subject, record->entry->detail,
			 hex_format(record->entry->hash, SHA256_LEN, hex));
	return 0;
}

/* The sums were made by another program from the description in psec-audit(1). */
static void an_entry_is_kept_in_one_spelling_and_chained(void **state)
{
	struct store *s = opened();
	auto_buf struct buf b = BUF_INIT;
	struct audit_entry v = { .utc_us = T0 + 1999, .utc_valid = true, .who = "unix:anna", .kind = "renewed",
				 .subject = "a\033b", .detail = "{ \"b\" : [1, true], \"a\": \"\\u00e4\" }" };
	bool more;

	(void)state;
	ok(audit_append(s, &v, &e));
	assert_int_equal(v.seq, 1);
	assert_int_equal(v.utc_us, T0 + 1000);
	append(s, "reset", NULL);
	ok(audit_read(s, 0, 9, first_entry, &b, &more, &e));
	assert_false(more);
	assert_string_equal(b.data, "1 unix:anna renewed a\\x1bb {\"a\":\"ä\",\"b\":[1,true]} 6a072ff1abdc0bc0d1c517979b9d141408aa09d6b2685bd0df4bf07957493092\n"
				    "2 unix:anna reset house {} fba266ce36fbac642ffa8a0f587c2b0fcd8c890fac1ce6f93b04fd58d1a29478\n");
	store_close(s);
	assert_whole(NULL, 2, 0);
}

static void what_could_not_be_told_again_is_refused(void **state)
{
	static const struct { const char *kind, *detail, *why; } cases[] = {
		{ "Mode", "{}", "kind" }, { "", "{}", "kind" }, { "a b", "{}", "kind" },
		{ "set", "[]", "no JSON object" }, { "set", "{", "no JSON object" },
		{ "set", "{\"a\":1,\"a\":2}", "no JSON object" }, { "set", "{\"a\":[{\"b\":0.5}]}", "not whole" },
	};
	struct store *s = opened();
	auto_free char *far = xcalloc(1, AUDIT_SUBJECT_MAX + 2), *big = xasprintf("{\"a\":\"%*d\"}", AUDIT_DETAIL_MAX, 1);
	struct audit_entry v = { .who = "", .kind = "set", .subject = far };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct audit_entry one = { .who = "", .kind = cases[i].kind, .subject = "", .detail = cases[i].detail };

		assert_int_equal(audit_append(s, &one, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_non_null(strstr(e.text, cases[i].why));
	}
	memset(far, 'x', AUDIT_SUBJECT_MAX + 1);
	assert_int_equal(audit_append(s, &v, &e), -1);
	assert_non_null(strstr(e.text, "subject"));
	v = (struct audit_entry){ .who = "", .kind = "set", .subject = "", .detail = big };
	assert_int_equal(audit_append(s, &v, &e), -1);
	assert_non_null(strstr(e.text, "bytes"));
	store_close(s);
	assert_whole(NULL, 0, 0);
}

static void an_entry_is_kept_with_what_it_tells_of_or_neither_is(void **state)
{
	struct store *s = opened();
	auto_free char *value = NULL;

	(void)state;
	ok(store_begin(s, &e));
	ok(store_put_setting(s, "a", "1", &e));
	append(s, "set", "{}");
	ok(store_commit(s, &e));
	ok(store_begin(s, &e));
	ok(store_put_settings(s, &(struct store_setting){ "a", "2" }, 1, &e));
	append(s, "set", "{}");
	store_rollback(s);
	ok(store_get_setting(s, "a", &value, &e));
	assert_string_equal(value, "1");
	append(s, "set", "{}");
	store_close(s);
	assert_whole(NULL, 2, 0);
}

/* ---- what is found ---- */

static void a_changed_field_is_found_whichever_it_is(void **state)
{
	static const char *const changes[] = { "utc_us = utc_us + 1000", "utc_valid = 0", "who = 'unix:root'", "kind = 'mode'",
					       "subject = ''", "detail = '{\"n\":2}'", "before = hash", "hash = before",
					       "hash = 1", "detail = X'ff00'" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		struct store *s;
		auto_free char *sql = xasprintf("UPDATE audit SET %s WHERE seq = 2", changes[i]);

		unlink(path);
		s = opened();
		append_some(s, 3);
		store_close(s);
		assert_whole(NULL, 3, 0);
		tamper(sql);
		assert_bad(NULL, 2, "entry 2 was changed");
	}
}

static void a_dropped_a_moved_and_a_foreign_entry_are_found(void **state)
{
	struct store *s = opened();

	(void)state;
	append_some(s, 5);
	store_close(s);
	tamper("INSERT INTO audit SELECT 0, utc_us, utc_valid, who, kind, subject, detail, before, hash FROM audit WHERE seq = 1");
	assert_bad(NULL, 1, "stands after");
	tamper("DELETE FROM audit WHERE seq = 0");
	assert_whole(NULL, 5, 0);
	/* 2 and 3 change places */
	tamper("UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 "
	       "WHERE seq = 99");
	assert_bad(NULL, 2, "entry 2 was changed");
	tamper("UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 "
	       "WHERE seq = 99");
	assert_whole(NULL, 5, 0);
	tamper("DELETE FROM audit WHERE seq = 1");
	assert_bad(NULL, 1, "entry 1 is missing");
	tamper("DELETE FROM audit WHERE seq = 2; DELETE FROM audit WHERE seq = 4");
	assert_bad(NULL, 1, "entry 1 is missing");
}

static void the_greatest_number_ends_the_judging_and_nothing_else(void **state)
{
	const struct audit_entry odd = { .seq = INT64_MAX, .who = "", .kind = "set", .subject = "", .detail = "{}" };
	const struct audit_judge none = { 0 };
	struct audit_walk *w = audit_walk_new(&none);
	struct audit_verdict v;

	(void)state;
	for (int i = 0; i < 2; i++)
		ok(audit_walk_record(w, &(struct audit_record){ .entry = &odd }, &e));
	audit_walk_broken(w, "odd");
	audit_walk_end(w, &v);
	audit_walk_free(w);
	assert_int_equal(v.first_bad, 1);
	assert_int_equal(v.entries, 2);
	assert_non_null(strstr(v.why, "entry 1 is missing"));
}

static void an_entry_in_the_middle_that_is_gone_is_found(void **state)
{
	struct store *s = opened();

	(void)state;
	append_some(s, 5);
	store_close(s);
	tamper("DELETE FROM audit WHERE seq = 3");
	assert_bad(NULL, 3, "entry 3 is missing");
	/* and the others moved up do not fit either */
	tamper("UPDATE audit SET seq = 3 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5");
	assert_bad(NULL, 3, "entry 3 was changed");
}

static void an_entry_replaced_with_a_right_hash_does_not_fit_the_next(void **state)
{
	struct audit_entry v = { .seq = 2, .utc_us = T0, .utc_valid = true, .who = "unix:bob", .kind = "set",
				 .subject = "house", .detail = "{}" };
	struct store *s = opened();
	char hex[2 * SHA256_LEN + 1];
	auto_free char *sql = NULL;
	int64_t seq;

	(void)state;
	append_some(s, 1);
	ok(audit_last(s, &seq, v.before, &e));
	append_some(s, 2);
	store_close(s);
	audit_hash(&v, v.hash);
	sql = xasprintf("UPDATE audit SET who = 'unix:bob', detail = '{}', hash = X'%s' WHERE seq = 2",
			hex_format(v.hash, SHA256_LEN, hex));
	tamper(sql);
	assert_bad(NULL, 2, "entry 2 was replaced");
}

static void a_chain_made_anew_does_not_fit_its_head(void **state)
{
	struct signer by = signer_new("house");

	(void)state;
	make_log(&by);
	assert_whole(NULL, 9, 3);
	chain_anew(5, "{\"n\":77}");
	assert_bad(NULL, 4, "of the entries 4…6 at least one was changed");
	tamper("DELETE FROM audit_head WHERE seq = 6");
	assert_bad(NULL, 4, "of the entries 4…9 at least one was changed");
	/* without any head it looks whole: that is what the counter is for */
	tamper("DELETE FROM audit_head");
	assert_whole(NULL, 9, 0);
	assert_bad(&(struct audit_judge){ .counter = 7 }, 10, "no head is here");
	signer_free(&by);
}

static void a_tail_that_was_cut_off_is_found_by_head_or_counter(void **state)
{
	const struct audit_judge judge = { .counter = 7 };
	struct signer by = signer_new("house");
	struct audit_verdict v;

	(void)state;
	make_log(&by);
	assert_whole(&judge, 9, 3);
	v = verdict_of(&judge);
	assert_int_equal(v.signed_to, 9);
	assert_int_equal(v.counter, 7);
	assert_true(v.counter_checked);
	assert_string_equal(v.signer, "house");
	assert_int_equal(verdict_of(NULL).counter_checked, false);
	/* its head stays */
	tamper("DELETE FROM audit WHERE seq > 7");
	assert_bad(NULL, 8, "entry 8 and all after it were cut off: there was an entry 9");
	/* and goes: a smaller log that is whole */
	tamper("DELETE FROM audit_head WHERE seq = 9");
	assert_whole(NULL, 7, 2);
	assert_bad(&judge, 8, "the TPM counted 7, the last head has 6");
	signer_free(&by);
}

static void a_head_that_was_signed_but_not_counted_is_no_fault(void **state)
{
	struct signer by = signer_new("house");

	(void)state;
	make_log(&by);
	assert_whole(&(struct audit_judge){ .counter = 6 }, 9, 3);
	assert_bad(&(struct audit_judge){ .counter = 5 }, 9, "not this log's TPM");
	signer_free(&by);
}

static void a_forged_head_is_found(void **state)
{
	static const char *const changes[] = { "counter = 8", "utc_us = utc_us + 1000", "utc_valid = 0",
					       "signature = X'3006020101020101'", "signature = X''", "certificate_id = 99" };
	struct signer by = signer_new("house");

	(void)state;
	make_log(&by);
	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		auto_free char *sql = xasprintf("CREATE TABLE kept AS SELECT * FROM audit_head;"
						"UPDATE audit_head SET %s WHERE seq = 6", changes[i]);

		tamper(sql);
		assert_bad(NULL, 6, "head of entry 6 is forged");
		tamper("DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept; DROP TABLE kept");
		assert_whole(NULL, 9, 3);
	}
	/* another's certificate under it */
	tamper("UPDATE audit_certificate SET pem = 'x'");
	assert_bad(NULL, 3, "head of entry 3 is forged");
	signer_free(&by);
}

static void a_head_of_another_site_is_found(void **state)
{
	struct signer house = signer_new("house"), barn = signer_new("barn");
	struct store *s = opened();

	(void)state;
	append_some(s, 2);
	head(s, &house, 1);
	append_some(s, 2);
	head(s, &barn, 2);
	store_close(s);
	assert_bad(NULL, 4, "signed by 'barn', and not by 'house'");
	assert_bad(&(struct audit_judge){ .site = "" }, 4, "signed by 'barn', and not by 'house'");
	assert_bad(&(struct audit_judge){ .site = "barn" }, 2, "signed by 'house', and not by 'barn'");
	signer_free(&house);
	signer_free(&barn);
}

/* ---- hand-overs ---- */

/* What `psec provision ca replace` gives, but for changes after it was signed. */
static void hand_over(struct store *s, const struct crypto_key *by, const char *site, const char *to, const char *changed)
{
	struct enrol_handover h = { .from = "OLD-1", .certificate = "0A1B", .at_us = T0 };
	auto_buf struct buf words = BUF_INIT, der = BUF_INIT, text = BUF_INIT;

	str_copy(h.site, sizeof h.site, site);
	str_copy(h.to, sizeof h.to, to);
	enrol_handover_words(&h, &words);
	ok(crypto_sign(by, words.data, words.len, &der, &e));
	memcpy(h.signature, der.data, der.len);
	h.signature_len = der.len;
	if (changed)
		str_copy(h.to, sizeof h.to, changed);
	ok(enrol_handover_write(&h, &text, &e));
	append(s, "hand-over", text.data);
}

/* Two entries and a head by the old board, the hand-over as entry 3, one more and a head by board NEW-1. */
static void handed_log(const struct crypto_key *by, const char *site, const char *to, const char *changed)
{
	struct signer old = board_new("house", "OLD-1"), new = board_new("house", "NEW-1");
	struct store *s;

	unlink(path);
	s = opened();
	append_some(s, 2);
	head(s, &old, 40);
	if (by)
		hand_over(s, by, site, to, changed);
	else
		append(s, "hand-over", "{\"to\":\"NEW-1\"}");
	append_some(s, 1);
	head(s, &new, 1);
	store_close(s);
	signer_free(&old);
	signer_free(&new);
}

static void a_counter_counts_anew_only_after_a_hand_over(void **state)
{
	struct signer new = board_new("house", "NEW-1");
	struct crypto_key *ca = NULL;
	struct store *s;

	(void)state;
	ok(crypto_key_new(&ca, &e));
	handed_log(ca, "house", "NEW-1", NULL);
	assert_whole(&(struct audit_judge){ .counter = 1 }, 4, 2);
	s = opened();
	append_some(s, 1);
	head(s, &new, 0);
	store_close(s);
	assert_bad(NULL, 5, "has counter 0, the one before it 1");
	signer_free(&new);
	/* nor does a counter that went on make another board this one */
	new = board_new("house", "NEW-2");
	handed_log(ca, "house", "NEW-1", NULL);
	s = opened();
	append_some(s, 1);
	head(s, &new, 2);
	store_close(s);
	assert_bad(NULL, 5, "is signed by board 'NEW-2', the one before it by board 'NEW-1', and there is no hand-over between");
	signer_free(&new);
	crypto_key_free(ca);
}

static void a_hand_over_is_judged_by_the_authority_that_is_given_and_without_one_that_is_told(void **state)
{
	struct crypto_key *ca = NULL, *other = NULL;
	struct enrol_authority right = { .count = 1 }, wrong = { .count = 1 }, both = { .count = 2 };
	const struct audit_judge none = { .site = "house" }, by_right = { .site = "house", .authority = &right },
				 by_wrong = { .authority = &wrong }, by_both = { .authority = &both };
	struct audit_verdict v;

	(void)state;
	ok(crypto_key_new(&ca, &e));
	ok(crypto_key_new(&other, &e));
	right.key[0] = both.key[1] = ca;
	wrong.key[0] = both.key[0] = other;
	handed_log(ca, "house", "NEW-1", NULL);
	v = verdict_of(&none);
	assert_int_equal(v.first_bad, 0);
	assert_int_equal(v.hand_overs, 1);
	assert_false(v.authority_checked);
	v = verdict_of(&by_right);
	assert_int_equal(v.first_bad, 0);
	assert_true(v.authority_checked);
	assert_whole(&by_both, 4, 2);
	assert_bad(&by_wrong, 3, "another CA signed it");
	/* signed for another board, and made to name this one: only the signature tells */
	handed_log(ca, "house", "NEW-2", "NEW-1");
	assert_whole(&none, 4, 2);
	assert_bad(&by_right, 3, "to board 'NEW-1' was changed");
	handed_log(other, "house", "NEW-1", NULL);
	assert_bad(&by_right, 3, "another CA signed it");
	crypto_key_free(ca);
	crypto_key_free(other);
}

static void a_hand_over_to_another_board_or_of_another_site_or_without_a_statement_is_found_in_any_case(void **state)
{
	struct crypto_key *ca = NULL;
	struct enrol_authority right = { .count = 1 };
	/* with the last two nothing but the heads before it says whose log it is, as with an export that names no site */
	const struct audit_judge judges[] = { { .site = "house" }, { .site = "house", .authority = &right },
					      { .site = NULL }, { .site = "", .authority = &right } };

	(void)state;
	ok(crypto_key_new(&ca, &e));
	right.key[0] = ca;
	for (size_t i = 0; i < COUNT_OF(judges); i++) {
		handed_log(ca, "house", "NEW-2", NULL);
		assert_bad(&judges[i], 3, "to board 'NEW-2', and the head of entry 4 is signed by board 'NEW-1'");
		handed_log(ca, "barn", "NEW-1", NULL);
		assert_bad(&judges[i], 3, "hands site 'barn' over, and not 'house'");
		handed_log(NULL, NULL, NULL, NULL);
		assert_bad(&judges[i], 3, "without the CA's statement");
	}
	crypto_key_free(ca);
}

static void a_head_is_kept_only_for_the_entry_it_is_of(void **state)
{
	struct audit_head h = { .signature = (const uint8_t *)"x", .signature_len = 1, .certificate = "x" };
	struct store *s = opened();
	int64_t seq;

	(void)state;
	assert_int_equal(audit_last(s, &seq, h.hash, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	append_some(s, 2);
	ok(audit_last(s, &h.seq, h.hash, &e));
	assert_int_equal(h.seq, 2);
	h.seq = 1;
	assert_int_equal(audit_head_put(s, &h, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	h.seq = 3;
	assert_int_equal(audit_head_put(s, &h, &e), -1);
	h.seq = INT64_MIN;
	assert_int_equal(audit_head_put(s, &h, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "must be of 1"));
	h.seq = 2;
	for (int i = 0; i < AUDIT_HEADS_MAX; i++)
		ok(audit_head_put(s, &h, &e));
	assert_int_equal(audit_head_put(s, &h, &e), -1);
	assert_int_equal(e.kind, ERR_AGAIN);
	store_close(s);
}

/* A certificate of the signer's key from a root of its own; both valid from T0 - 1 d to T0 + 1 d. */
static struct crypto_bag *issue(struct signer *to, enum crypto_profile profile)
{
	const struct crypto_names root_names = { .cn = "root" }, names = { .cn = "house", .serial_number = "4711" };
	struct crypto_issue how = { .profile = CRYPTO_ROOT, .names = root_names, .number = { 1 },
				    .not_before_us = T0 - 86400 * US_PER_S, .not_after_us = T0 + 86400 * US_PER_S };
	struct crypto_key *key = NULL, *subject = NULL;
	struct crypto_cert *root = NULL, *cert = NULL;
	auto_buf struct buf root_pem = BUF_INIT, pem = BUF_INIT;
	struct crypto_bag *trust = NULL;
	BIO *public = BIO_new(BIO_s_mem());
	char *text;

	ok(crypto_key_new(&key, &e));
	how.subject_key = how.issuer_key = key;
	ok(crypto_cert_issue(&how, &root, &e));
	ok(crypto_cert_pem(root, &root_pem, &e));
	assert_true(PEM_write_bio_PUBKEY(public, to->key) == 1 && BIO_write(public, "", 1) == 1);
	assert_true(BIO_get_mem_data(public, &text) > 0);
	ok(crypto_key_from_pem(text, &subject, &e));
	how.profile = profile;
	how.subject_key = subject;
	how.issuer = root;
	how.names = names;
	how.number[0] = 2;
	ok(crypto_cert_issue(&how, &cert, &e));
	ok(crypto_cert_pem(cert, &pem, &e));
	free(to->pem);
	to->pem = buf_take(&pem);
	ok(crypto_bag_new(&trust, &e));
	ok(crypto_bag_add_pem(trust, "root", root_pem.data, &e));
	BIO_free(public);
	crypto_cert_free(root);
	crypto_cert_free(cert);
	crypto_key_free(key);
	crypto_key_free(subject);
	return trust;
}

static void the_heads_certificate_must_come_from_a_given_root_and_have_been_valid_then(void **state)
{
	struct signer by = signer_new("house"), other = signer_new("house");
	auto_crypto_bag struct crypto_bag *trust = issue(&by, CRYPTO_LDEVID), *foreign = issue(&other, CRYPTO_LDEVID);
	auto_crypto_bag struct crypto_bag *no_client = NULL;
	const struct now late = { .utc_us = T0 + 2 * 86400 * US_PER_S, .utc_valid = true };
	struct audit_judge judge = { .trust = trust, .site = "house" };
	struct store *s;

	(void)state;
	make_log(&by);
	assert_whole(&judge, 9, 3);
	assert_true(verdict_of(&judge).trust_checked);
	assert_false(verdict_of(NULL).trust_checked);
	judge.trust = foreign;
	assert_bad(&judge, 3, "not to be trusted");
	assert_false(verdict_of(&judge).trust_checked);
	judge.trust = trust;
	s = opened();
	append_some(s, 1);
	ok(audit_head(s, 8, by.pem, &late, sign, &by, &e));
	store_close(s);
	assert_bad(&judge, 10, "has expired");
	tamper("DELETE FROM audit_head WHERE seq = 10");
	no_client = issue(&by, CRYPTO_IDEVID);
	judge.trust = no_client;
	s = opened();
	head(s, &by, 8);
	store_close(s);
	tamper("DELETE FROM audit_head WHERE seq < 10");
	assert_bad(&judge, 10, "clientAuth");
	signer_free(&by);
	signer_free(&other);
}

/* ---- JSON ---- */

struct through { struct audit_walk *walk; struct audit_parsed parsed; char *certificate; int certificates; };

static int judge_json(void *arg, const struct audit_record *record, struct err *err)
{
	struct through *t = arg;
	json_t *o = audit_record_json(record, &t->certificate);
	int rc = audit_record_parse(&t->parsed, o, err) || audit_walk_record(t->walk, &t->parsed.record, err) ? -1 : 0;

	t->certificates += json_object_get(o, "certificate") != NULL;
	json_decref(o);
	return rc;
}

static void a_log_is_as_whole_in_json(void **state)
{
	const struct audit_judge judge = { .counter = 7, .site = "house" };
	struct through t = { .walk = audit_walk_new(&judge) };
	struct signer by = signer_new("house");
	struct audit_verdict v;
	struct store *s;
	bool more;

	(void)state;
	make_log(&by);
	s = opened();
	append(s, "renewed", "{\"a\":{\"y\":\"\\u0001\\\"\\\\/\",\"x\":[null,-5]},\"Z\":\"€\"}");
	ok(audit_read(s, INT64_MIN, SIZE_MAX, judge_json, &t, &more, &e));
	audit_walk_end(t.walk, &v);
	assert_int_equal(v.first_bad, 0);
	assert_int_equal(v.entries, 10);
	assert_int_equal(v.heads, 3);
	assert_int_equal(t.certificates, 1); /* all heads have the same */
	free(t.certificate);
	audit_walk_free(t.walk);
	audit_parsed_release(&t.parsed);
	store_close(s);
	signer_free(&by);
}

static void json_that_is_no_record_is_refused(void **state)
{
	static const char *const cases[] = {
		"{}", "[]", "7", "{\"seq\":1}", "{\"head\":1}",
#define ENTRY(utc, detail, hash, more) "{\"seq\":1,\"utc\":\"" utc "\",\"utc_valid\":true,\"who\":\"\",\"kind\":\"set\",\"subject\":\"\"," \
	"\"detail\":" detail ",\"before\":\"" ZERO "\",\"hash\":\"" hash "\"" more "}"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
		ENTRY("2026-01-01T00:00Z", "{}", ZERO, ""), ENTRY("2026-01-01T00:00:00.000Z", "[]", ZERO, ""),
		ENTRY("2026-01-01T00:00:00.000Z", "{\"a\":0.5}", ZERO, ""), ENTRY("2026-01-01T00:00:00.000Z", "{}", "00", ""),
		ENTRY("2026-01-01T00:00:00.000Z", "{}", ZERO, ",\"more\":1"),
		"{\"head\":1,\"hash\":\"" ZERO "\",\"counter\":1,\"utc\":\"2026-01-01T00:00:00.000Z\",\"utc_valid\":true,"
		"\"signature\":\"00\"}",
	};
	static const char good[] = ENTRY("2026-01-01T00:00:00.000Z", "{}", ZERO, "");
	struct audit_parsed p = { 0 };
	json_t *o = json_loads(good, 0, NULL);

	(void)state;
	ok(audit_record_parse(&p, o, &e));
	json_decref(o);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		o = json_loads(cases[i], JSON_DECODE_ANY, NULL);
		assert_non_null(o);
		if (audit_record_parse(&p, o, &e) != -1)
			fail_msg("taken: %s", cases[i]);
		assert_int_equal(e.kind, ERR_INPUT);
		json_decref(o);
	}
	assert_int_equal(audit_record_parse(&p, NULL, &e), -1);
	audit_parsed_release(&p);
}

/* ---- older databases ---- */

static void a_database_of_an_older_version_goes_on(void **state)
{
	static const struct { const char *sql; int64_t entries, heads; } cases[] = {
		{ "tests/golden/psec-v1.sql", 0, 0 }, { "tests/golden/psec-v2.sql", 3, 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		auto_buf struct buf sql = BUF_INIT;
		struct store *s;

		unlink(path);
		ok(file_read(cases[i].sql, 1 << 20, &sql, &e));
		tamper(sql.data);
		assert_whole(NULL, cases[i].entries, cases[i].heads);
		s = opened();
		append_some(s, 2);
		store_close(s);
		assert_whole(cases[i].heads ? &(struct audit_judge){ .counter = 5, .site = "house" } : NULL,
			     cases[i].entries + 2, cases[i].heads);
	}
}

/* ---- kills ---- */

static void append_for_ever(int told)
{
	struct store *s = opened();

	for (int64_t i = 1;; i++) {
		append(s, "set", "{}");
		if (write(told, &i, sizeof i) != sizeof i)
			_exit(1);
	}
}

static void a_kill_while_appending_leaves_a_whole_chain(void **state)
{
	struct rng r;
	int64_t before = 0;

	(void)state;
	rng_seed(&r, 13);
	for (int turn = 0; turn < 20; turn++) {
		int64_t told = 0, wanted = (int64_t)(rng_next(&r) % 20) + 1;
		struct audit_verdict v;
		int ends[2], status;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		pid = fork();
		if (pid == 0)
			append_for_ever(ends[1]);
		close(ends[1]);
		while (told < wanted)
			assert_true(read(ends[0], &told, sizeof told) == sizeof told);
		usleep((unsigned)(rng_next(&r) % 2000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(ends[0], &told, sizeof told) == sizeof told)
			;
		close(ends[0]);
		v = verdict_of(NULL);
		if (v.first_bad)
			fail_msg("entry %" PRId64 ": %s", v.first_bad, v.why);
		/* what was told is there; the one that was cut may be */
		assert_true(v.entries == before + told || v.entries == before + told + 1);
		before = v.entries;
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(an_entry_is_kept_in_one_spelling_and_chained),
		test(what_could_not_be_told_again_is_refused),
		test(an_entry_is_kept_with_what_it_tells_of_or_neither_is),
		test(a_changed_field_is_found_whichever_it_is),
		test(a_dropped_a_moved_and_a_foreign_entry_are_found),
		test(the_greatest_number_ends_the_judging_and_nothing_else),
		test(an_entry_in_the_middle_that_is_gone_is_found),
		test(an_entry_replaced_with_a_right_hash_does_not_fit_the_next),
		test(a_chain_made_anew_does_not_fit_its_head),
		test(a_tail_that_was_cut_off_is_found_by_head_or_counter),
		test(a_head_that_was_signed_but_not_counted_is_no_fault),
		test(a_forged_head_is_found),
		test(a_head_of_another_site_is_found),
		test(a_counter_counts_anew_only_after_a_hand_over),
		test(a_hand_over_is_judged_by_the_authority_that_is_given_and_without_one_that_is_told),
		test(a_hand_over_to_another_board_or_of_another_site_or_without_a_statement_is_found_in_any_case),
		test(the_heads_certificate_must_come_from_a_given_root_and_have_been_valid_then),
		test(a_head_is_kept_only_for_the_entry_it_is_of),
		test(a_log_is_as_whole_in_json),
		test(json_that_is_no_record_is_refused),
		test(a_database_of_an_older_version_goes_on),
		test(a_kill_while_appending_leaves_a_whole_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
