/* Any text as an exported log: each line is refused or is a record that reads back as itself, and a log that is judged
 * whole has consecutive entries from 1, and no hand-over where nobody has the key that must have signed it. */
#include <string.h>

#include "audit/audit.h"
#include "crypto/crypto.h"
#include "enrol/enrol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool that)
{
	if (!that)
		abort();
}

static void reads_back(const struct audit_record *record)
{
	json_t *o = audit_record_json(record, NULL), *again;
	struct audit_parsed p = { 0 };
	struct err e;

	expect(audit_record_parse(&p, o, &e) == 0);
	again = audit_record_json(&p.record, NULL);
	expect(json_equal(o, again));
	json_decref(o);
	json_decref(again);
	audit_parsed_release(&p);
}

static const struct enrol_authority *nobody(void)
{
	static struct enrol_authority a;
	struct err e;

	if (!a.count)
		expect(crypto_key_new(&a.key[a.count++], &e) == 0);
	return &a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct audit_judge judge = { 0 }, strict = { .authority = nobody() };
	struct audit_walk *walk = audit_walk_new(&judge), *second = audit_walk_new(&strict);
	auto_free char *text = xcalloc(1, size + 1);
	struct audit_parsed p = { 0 };
	struct audit_verdict v;
	int64_t last = 0;
	struct err e;

	memcpy(text, data, size);
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		if (audit_record_parse(&p, o, &e) == 0) {
			reads_back(&p.record);
			expect(audit_walk_record(walk, &p.record, &e) == 0);
			expect(audit_walk_record(second, &p.record, &e) == 0);
			if (p.record.entry)
				last = p.record.entry->seq;
		}
		json_decref(o);
	}
	audit_walk_end(walk, &v);
	expect(v.first_bad || (v.entries == last && v.signed_to <= last));
	audit_walk_end(second, &v);
	expect(v.first_bad || !v.hand_overs);
	audit_walk_free(walk);
	audit_walk_free(second);
	audit_parsed_release(&p);
	return 0;
}
