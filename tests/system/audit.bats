#!/usr/bin/env bats
# The audit log of a running psecd: who changed what, who was refused; bounded, paged, and whole.
load site

setup() { site_folder; }
teardown() { site_remove; }

# who kind subject detail, a line each
log() { "$PSEC" -C "$DIR" audit tail -n 1000 --json | /usr/bin/python3 -c 'import json, sys
for v in json.load(sys.stdin):
    print(v["who"], v["kind"], v["subject"] or "-", json.dumps(v["detail"], sort_keys=True, separators=(",", ":")))'; }
entries() { log | grep -cF -- "$1" || true; }
entry() { log | grep -qF -- "$1"; }
as() { setpriv --reuid "$1" --regid "$1" --clear-groups /usr/bin/python3 - "$DIR/run/psecd.sock" "$2" "$3" <"$TOP/tests/system/ask.py"; }

@test "changes of mode, set-point and target are entries with who and what it was, and so are configuration and refusals" {
	sim_start --series none
	psecd_start
	entry 'psecd configuration test-site {"psecd":"'
	ask control.set '{"power_w": -1500.5}'
	ask control.set '{"power_w": -1500.5}' # nothing new
	ask control.set '{"target_w": 100}'
	run -77 "$PSEC" -C "$DIR" control mode self-consumption
	entry "unix:$(id -un)"' mode - {"manual_w":"-1500.5","manual_was_w":"0","mode":"manual","mode_was":"off"}'
	entry "unix:$(id -un)"' set - {"target_w":"100","target_was_w":"0"}'
	entry "unix:$(id -un)"' refused control.mode {"why":"mode self-consumption needs the sign check'
	[ "$(log | grep -c '^unix:')" = 3 ]
	ask control.off
	entry "unix:$(id -un)"' mode - {"mode":"off","mode_was":"manual"}'
	run -0 "$PSEC" -C "$DIR" audit verify
	[ "${lines[0]}" = "the log is whole: 5 entries" ]
	# the same configuration is no news, comments make no other one, a limit does
	psecd_stop
	sed -i '1i # a comment' site.yaml
	psecd_start
	[ "$(entries ' configuration ')" = 1 ]
	psecd_stop
	sed -i 's/capacity_wh: 10000/capacity_wh: 9000/' site.yaml
	psecd_start
	[ "$(entries ' configuration ')" = 2 ]
	run -0 "$PSEC" -C "$DIR" audit verify
}

@test "who may set may not write the log; site-admin adds what psecd cannot know, under his own name" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	ACCESS=$'access:\n  - user: daemon\n    right: technician' sim_start --series none
	psecd_start
	chmod 755 "$DIR/run"
	for method in audit.append audit.head audit.last; do
		run -1 as daemon $method '{"kind": "renewed", "detail": {}}'
		[[ $output == "refused: "*site-admin* ]]
	done
	entry 'unix:daemon refused audit.append {'
	run -0 as daemon audit.page ''
	ask audit.append '{"kind": "renewed", "subject": "house", "detail": {"b": 1, "a": "x"}}'
	entry "unix:$(id -un)"' renewed house {"a":"x","b":1}'
	for params in '{"kind": "mode", "detail": {}}' '{"kind": "Re newed", "detail": {}}' '{"kind": "renewed"}' \
		'{"kind": "renewed", "detail": {"a": 0.5}}' '{"kind": "renewed", "detail": []}'; do
		run -1 ask audit.append "$params"
		[[ $output == usage:* || $output == input:* ]]
	done
	run -0 "$PSEC" -C "$DIR" audit verify
	# a head is kept for the last entry alone, and judged by who verifies
	seq=$(ask audit.last '' seq) hash=$(ask audit.last '' hash)
	put_head() { ask audit.head "{\"head\": $1, \"hash\": \"$hash\", \"counter\": 1, \"utc\": \"2026-01-01T00:00:00.000Z\",
		\"utc_valid\": true, \"signature\": \"00\", \"certificate\": \"x\"}"; }
	run -1 put_head $((seq + 1))
	[[ $output == input:* ]]
	put_head "$seq"
	run -1 "$PSEC" -C "$DIR" audit verify
	[[ $output == "entry $seq: the head of entry $seq is forged"* ]]
}

@test "a caller who is refused in a loop is counted and fills nothing" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	ACCESS=$'access:\n  - user: daemon\n    right: viewer' sim_start --series none
	psecd_start
	chmod 755 "$DIR/run"
	loop() {
		setpriv --reuid daemon --regid daemon --clear-groups /usr/bin/python3 - "$DIR/run/psecd.sock" <<-'PY'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		for i in range(500):
		    f.write(json.dumps({"jsonrpc": "2.0", "id": i, "method": ["control.set", "control.off"][i % 2]}) + "\n")
		    f.flush()
		    assert "operator is needed" in f.readline()
		PY
	}
	loop
	[ "$(entries ' refused ')" = 20 ]
	wait_until 20 entry 'unix:daemon kept-back - {"count":480,"kind":"refused","last":{"why":"cannot control.off'
	# another's entries are not kept back by it
	ask control.set '{"power_w": -100}'
	entry "unix:$(id -un)"' mode - {"manual_w":"-100"'
	run -0 "$PSEC" -C "$DIR" audit verify
}

@test "a log of many pages is shown, exported and judged through psecd as without it" {
	sim_start --series none
	psecd_start
	psecd_stop
	/usr/bin/python3 - "$DIR/state/psec.db" <<-'PY'
	import hashlib, json, sqlite3, sys
	def field(b): return len(b).to_bytes(8, "big") + b
	def number(n): return field(n.to_bytes(8, "big"))
	db = sqlite3.connect(sys.argv[1])
	(seq, before), = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
	for seq in range(seq + 1, seq + 1501):
	    detail = json.dumps({"n": seq, "text": "x" * (4000 if seq % 50 == 0 else 10)}, sort_keys=True, separators=(",", ":"))
	    texts = ["unix:root", "renewed", '"' * 200, detail]
	    digest = hashlib.sha256(field(b"psec-audit-1") + number(seq) + number(seq * 1000) + field(b"\1") +
	        b"".join(field(t.encode()) for t in texts) + field(before)).digest()
	    db.execute("INSERT INTO audit VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)", (seq, seq * 1000, *texts, before, digest))
	    before = digest
	db.commit()
	PY
	"$PSEC" -C "$DIR" audit verify --json >without.json
	"$PSEC" -C "$DIR" audit tail -n 700 --json >without.rows
	"$PSEC" -C "$DIR" audit export | sed 1d >without.lines
	psecd_start
	"$PSEC" -C "$DIR" audit verify --json >with.json
	"$PSEC" -C "$DIR" audit tail -n 700 --json >with.rows
	"$PSEC" -C "$DIR" audit export | sed 1d >with.lines
	cmp without.json with.json
	cmp without.rows with.rows
	cmp without.lines with.lines
	[ "$(wc -l <with.lines)" = 1502 ]
	grep -q '"entries": 1501' with.json
	psecd_stop
	# what no psec writes does not stop the answer
	sqlite3 state/psec.db "UPDATE audit SET who = hex(zeroblob(100000)) WHERE seq = 900"
	psecd_start
	run -1 "$PSEC" -C "$DIR" audit verify
	[[ $output == "entry 900: "* ]]
}
