#!/usr/bin/env bats
# psec scan against servers that were not written here: pymodbus, pysunspec2, and what else answers on a network.
load ../cli/helper

ready_or_gone() { grep -q ready "$RUN/plant.out" || ! kill -0 "$(cat "$RUN/pid")"; }

setup_file() {
	export NET=127.61.$((RANDOM % 250 + 1)) RUN=$BATS_FILE_TMPDIR
	"${PSEC_PY:-$BATS_TEST_DIRNAME/../../build/venv/bin/python}" "$BATS_TEST_DIRNAME/peers/plant.py" --host "$NET" --port 1502 \
		--status "$RUN/truth.json" --strangers >"$RUN/plant.out" 2>"$RUN/plant.err" 3>&- &
	echo $! >"$RUN/pid"
	wait_until 10 ready_or_gone
	grep -q ready "$RUN/plant.out" || { cat "$RUN/plant.err" >&2; return 1; }
	"${B:-$BATS_TEST_DIRNAME/../../build}/bin/psec" scan --json "$NET.11-30:1502" >"$RUN/found.json" 2>"$RUN/found.err"
}

teardown_file() {
	kill "$(cat "$RUN/pid")"
}

setup() { own_folder; }

# field LAST-NUMBER PYTHON-EXPRESSION over the row(s) r of that host
row() {
	/usr/bin/python3 - "$RUN/found.json" "$NET.$1" "$2" <<-'P'
	import json, sys
	rows = [r for r in json.load(open(sys.argv[1])) if r["address"].startswith(f"tcp://{sys.argv[2]}:")]
	assert rows, f"nothing about {sys.argv[2]}"
	r = rows[0]
	assert eval(sys.argv[3]), json.dumps(rows, indent=1)
	P
}

@test "SunSpec devices are named with maker, model, serial, models and a profile" {
	row 11 'r["make"] == "Stranger" and r["model"] == "Meter3" and r["serial"] == "SN-M-1" and r["profile"] == "sunspec-meter"'
	row 12 'r["sunspec"] == {"base": 40000, "models": [1, 103, 120, 124, 802]} and r["profile"] == "sunspec-storage" and r["match"] == "identified"'
	row 13 'r["profile"] == "sunspec-inverter" and r["address"].endswith(":1502#1")'
}

@test "a meter without a signature is a proposal, not a claim" {
	row 14 'r["profile"] == "eastron-sdm630" and r["match"] == "proposed" and "plausible" in r["evidence"]'
}

@test "a device that no profile fits keeps what it says of itself" {
	row 24 'r["make"] == "Acme" and r["model"] == "Boiler 9" and r["version"] == "0.3" and r["profile"] is None and r["faults"]'
}

@test "a device without SunSpec is identified by what it says of itself and by its registers" {
	row 15 'r["make"] == "ABB" and r["model"] == "B23 112-100" and r["version"] == "2.1" and r["profile"] == "abb-b2x"'
}

@test "what answers and cannot be named is told with the reason" {
	row 16 'r["state"] == "modbus" and "illegal data address" in r["faults"][0]'
	row 25 'r["state"] == "modbus" and "exception 11" in r["faults"][0] and "--every-unit" in r["faults"][0]'
	row 17 'r["state"] == "silent"'
	row 18 'r["state"] == "not-modbus"'
	row 19 'r["state"] == "silent" and "one master" in r["faults"][0]'
}

@test "a slow device, another base and another unit are found" {
	row 20 'r["model"] == "SlowMeter"'
	row 21 'r["address"].endswith("#126") and r["sunspec"]["base"] == 0'
}

@test "a device that answers to every unit is one device" {
	row 23 '[x["address"].split("#")[1] for x in rows] == ["1"] and "every unit" in r["faults"][0] and r["model"] == "EasyMeter"'
}

@test "a gateway's units are separate devices" {
	row 22 '[x["address"].split("#")[1] for x in rows] == ["1", "3"]'
}

@test "a scan writes nothing" {
	/usr/bin/python3 -c 'import json, sys; assert not any(json.load(open(sys.argv[1]))["writes"].values())' "$RUN/truth.json"
}

@test "no second sees more connections than the pace, those made again among them" {
	"$PSEC" scan --json --pace 60 "$NET.40-42:1502" >out
	/usr/bin/python3 - "$RUN/truth.json" <<-'P'
	import json, sys, time
	count = -1
	while True:  # until the truth has them all
	    at = json.load(open(sys.argv[1]))["connections"]
	    if len(at) == count:
	        break
	    count = len(at)
	    time.sleep(0.3)
	# who accepts may be some hundredths of a second late with one and not with a later one
	most = max(sum(t <= u < t + 0.95 for u in at) for t in at)
	assert len(at) > 75, f"{len(at)} connections are too few to judge"
	assert most <= 60, f"{most} connections within a second"
	P
}

@test "nothing there is said with the cause" {
	run "$PSEC" scan --json "$NET.200-202:1502"
	[ "$status" = 0 ]
	[ "${lines[0]}" = "[]" ] || [ "${lines[1]}" = "[]" ]
	[[ $output == *"3 of 3 hosts are there, but refuse port 1502"* ]]
}

@test "targets that are none are refused before anything is sent" {
	for bad in 300.1.1.1 127.0.0.1/3 127.0.0.9-3 127.0.0.1:0 'rtu:relative?baud=7' example; do
		run "$PSEC" scan "$NET.11:1502" "$bad"
		[ "$status" = 64 ] || { echo "$bad: $status $output"; false; }
	done
	run "$PSEC" scan rtu:ttyS1
	[ "$output" = "psec scan: address 'rtu:ttyS1': the line must be an absolute path, as in rtu:/dev/ttyS1" ]
}

@test "what was found goes into site.yaml once, and it still checks" {
	"$PSEC" init --id strangers --tier sim --yes
	"$PSEC" scan --write "$NET.11-13:1502" 2>err
	[ "$(grep -c '^added ' err)" = 3 ]
	grep -q '^3 devices put into ' err
	"$PSEC" site check
	grep -q 'profile: sunspec-storage' site.yaml
	cp site.yaml before
	"$PSEC" scan --write "$NET.11-13:1502"
	cmp before site.yaml
}

@test "nothing is said to be added when site.yaml cannot be replaced" {
	"$PSEC" init --id full --tier sim --yes
	cp site.yaml before
	# no file may grow, as on a full disk
	run bash -c 'trap "" XFSZ; ulimit -f 0; exec "$@"' - "$PSEC" scan --write "$NET.11:1502"
	[ "$status" = 74 ]
	[[ $output == *"too large"* && $output != *added* ]]
	cmp before site.yaml
}

@test "Ctrl-C prints what there is and ends with 130" {
	"$PSEC" scan --json "$NET.11:1502" "$NET.17:1502" --answer 30s >out 2>err &
	local pid=$!
	connected() { [ -n "$(ss -tnH state established dst "$NET.17")" ]; }
	wait_until 10 connected || { kill $pid; cat err; false; }
	kill -INT $pid
	local status=0
	wait $pid || status=$?
	[ "$status" = 130 ] || { cat err; false; }
	/usr/bin/python3 -c 'import json; json.load(open("out"))'
}
