/* Any text as an exported log: each line is refused or is a record that reads back as itself, and a log that is judged
 * whole has consecutive entries from 1. */
#include <string.h>

#include "audit/audit.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct audit_judge judge = { 0 };
	struct audit_walk *walk = audit_walk_new(&judge);
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
			if (p.record.entry)
				last = p.record.entry->seq;
		}
		json_decref(o);
	}
	audit_walk_end(walk, &v);
	expect(v.first_bad || (v.entries == last && v.signed_to <= last));
	audit_walk_free(walk);
	audit_parsed_release(&p);
	return 0;
}
