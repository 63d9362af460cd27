#!/usr/bin/env bats
# The audit log as people and auditors use it, where psecd does not run: what was appended is shown, exported and judged.
load helper

setup() {
	own_folder
	"$PSEC" init --id house --tier sim --yes >/dev/null
	mkdir -p state
	sqlite3 state/psec.db <"$TOP/tests/golden/psec-v2.sql"
}

db() { sqlite3 state/psec.db "$1"; }

@test "the newest entries are shown, oldest first" {
	run -0 "$PSEC" audit tail
	[[ ${lines[0]} == ENTRY*TIME*WHO*KIND*SUBJECT*DETAIL* ]]
	[[ ${lines[2]} == *2*2026-01-01T00:00:00.002Z*unix:anna*mode*'{"mode":"manual","mode_was":"off"}'* ]]
	[ ${#lines[@]} = 4 ]
	run -0 "$PSEC" audit tail -n 1 --csv
	[[ ${lines[0]} == seq,utc,utc_valid,who,kind,subject,detail,hash* ]]
	[[ ${lines[1]} == '3,"1970-01-01T00:00:00.000Z",false,"unix:root","provisioned",'* ]]
	[ ${#lines[@]} = 2 ]
	"$PSEC" audit tail --json >json
	/usr/bin/python3 - <<-PY
	import json
	rows = json.load(open("json"))
	assert [r["seq"] for r in rows] == [1, 2, 3], rows
	assert rows[2]["detail"] == {"serial": "sim-0123456789ab"}
	PY
}

@test "a whole log is whole, and says what was not checked" {
	run -0 "$PSEC" audit verify
	[ "${lines[0]}" = "the log is whole: 3 entries" ]
	[ "${lines[1]}" = "signed by 'house' up to entry 3, counter 5" ]
	[[ $output == *--counter* ]]
	run -0 "$PSEC" audit verify --counter 5
	[[ $output == *"counter 5, as the TPM counts"* && $output != *--counter* ]]
}

@test "roots are taken from --trust, at the site from state/tpm/trust.pem, and another one refuses" {
	sqlite3 state/psec.db 'SELECT pem FROM audit_certificate' >same.pem # self-signed, and no client's certificate
	sed 's/^/#/' same.pem >none.pem
	run -1 "$PSEC" audit verify --trust same.pem
	[[ $output == "entry 3: the head of entry 3 is forged or not to be trusted: "* ]]
	run -65 "$PSEC" audit verify --trust none.pem
	run -74 "$PSEC" audit verify --trust missing.pem
	mkdir state/tpm
	cp same.pem state/tpm/trust.pem
	run -1 "$PSEC" audit verify
	"$PSEC" audit export --out log.audit
	run -0 "$PSEC" audit verify --file log.audit
	[[ $output == *"whose key that is was not checked: --trust"* ]]
	run -1 "$PSEC" audit verify --file log.audit --trust same.pem
}

@test "a site that never ran has no log, and no database is begun for the asking" {
	rm -r state/psec.db*
	run -65 "$PSEC" audit verify
	run -65 "$PSEC" audit tail
	[ ! -e state/psec.db ]
}

@test "what was changed, dropped or cut off is told with the first bad entry, and 1" {
	db "CREATE TABLE kept AS SELECT * FROM audit"
	judged() { # SQL ENTRY WORDS [OPTION…]
		db "$1"
		run -1 "$PSEC" audit verify "${@:4}"
		[[ ${lines[0]} == "entry $2: "*"$3"* ]] || { echo "$output"; return 1; }
		"$PSEC" audit verify --json "${@:4}" >json || true
		grep -q "\"first_bad\": $2," json
		grep -q '"whole": false' json
		db "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept"
		run -0 "$PSEC" audit verify
	}
	judged "UPDATE audit SET who = 'unix:bob' WHERE seq = 2" 2 "was changed"
	judged "DELETE FROM audit WHERE seq = 2" 2 "is missing"
	judged "DELETE FROM audit WHERE seq = 3" 3 "cut off: there was an entry 3"
	judged "SELECT 1" 4 "the TPM counted 6, the last head has 5" --counter 6
	db "DELETE FROM audit_head; DELETE FROM audit WHERE seq = 3"
	run -1 "$PSEC" audit verify --counter 5
	[[ $output == "entry 3: the TPM counted 5, and no head is here"* ]]
	# without the counter nothing tells
	run -0 "$PSEC" audit verify
	[[ $output == *"no head is signed yet"* ]]
}

@test "a head that names another site is found" {
	sed -i 's/id: house/id: barn/' site.yaml
	run -1 "$PSEC" audit verify
	[[ $output == *"signed by 'house', and not by 'barn'"* ]]
}

@test "an export is judged anywhere, by file or through a pipe" {
	run -0 "$PSEC" audit export --out log.audit
	[ -z "$output" ]
	"$PSEC" audit export >piped
	diff <(sed 1d log.audit) <(sed 1d piped)
	mkdir elsewhere
	cp log.audit elsewhere/
	cd elsewhere
	unset PSEC_SITE
	run -0 "$PSEC" audit verify --file log.audit --counter 5
	[ "${lines[0]}" = "the log is whole: 3 entries" ]
	run -0 "$PSEC" audit verify --file <(cat log.audit)
	mkfifo fifo
	run -65 timeout 20 "$PSEC" audit verify --file fifo
	[[ $output == *"'fifo' is a fifo, must be a regular file" ]]
	run -65 timeout 20 "$PSEC" audit verify --file log.audit --trust fifo
	run -0 "$PSEC" audit verify --file - --json <log.audit
	[[ $output == *'"signed_to": 3'* ]]
}

@test "the hashes of an export can be computed by others, as the manual says" {
	"$PSEC" audit export --out log.audit
	/usr/bin/python3 - <<-'PY'
	import datetime, hashlib, json
	def field(b): return len(b).to_bytes(8, "big") + b
	def number(n): return field(n.to_bytes(8, "big"))
	def us(t): return (datetime.datetime.fromisoformat(t[:-1]) - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
	before, count = bytes(32), 0
	for line in open("log.audit"):
	    v = json.loads(line)
	    if "seq" not in v: continue
	    detail = json.dumps(v["detail"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
	    is_ = hashlib.sha256(field(b"psec-audit-1") + number(v["seq"]) + number(us(v["utc"])) + field(bytes([v["utc_valid"]])) +
	        b"".join(field(x.encode()) for x in (v["who"], v["kind"], v["subject"], detail)) + field(before)).digest()
	    assert v["before"] == before.hex() and v["hash"] == is_.hex(), v
	    before, count = is_, count + 1
	assert count == 3
	PY
}

@test "an export that was touched is told with the line" {
	"$PSEC" audit export --out log.audit
	touched() { # WORDS SED…: the first line that tells
		sed "${@:2}" log.audit >touched
		run -1 "$PSEC" audit verify --file touched
		[[ $output == "entry "*"$1"* ]] || { echo "$output"; return 1; }
	}
	touched "entry 2 was changed" 's/unix:anna/unix:bob/'
	touched "entry 2 was changed" 's/00.002Z/00.003Z/'
	touched "entry 2 is missing" '/"seq":2/d'
	touched "entry 2 is missing" '3{h;d}; 4G' # in another order
	touched "it was cut" '$d'
	touched "another number of entries" '4,5d; $!b'
	touched "line 3: it is no record" '3s/,"who"/,"whom"/'
	touched "line 3: it is no record" '3s/.*/}{/'
	touched "something stands after" '$a {}'
	touched "forged" 's/"counter":5/"counter":6/'
	touched "forged" 's/"head":3/"head":2/'
	for text in '' '{}' '{"psec":"audit","version":2,"site":"house"}' 'no json'; do
		printf '%s\n' "$text" >other
		run -65 "$PSEC" audit verify --file other
	done
	run -74 "$PSEC" audit verify --file missing
}

@test "psec control off without psecd is in the log, in one piece with the mode" {
	cat >>site.yaml <<-YAML
	  - name: battery
	    profile: sunspec-storage
	    address: tcp://127.0.0.1:1#1
	    roles: [battery-inverter, bms]
	YAML
	db "INSERT INTO setting VALUES ('control.mode', 'manual')"
	run -69 "$PSEC" control off # nobody is there; the mode is off all the same
	[ "$(db "SELECT value FROM setting WHERE key = 'control.mode'")" = off ]
	run -0 "$PSEC" audit verify
	[ "${lines[0]}" = "the log is whole: 4 entries" ]
	run -0 "$PSEC" audit tail -n 1
	[[ $output == *unix:*mode*'"mode_was":"manual"'*"did not run"* ]]
}
