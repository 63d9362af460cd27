#!/usr/bin/env bats
# psec control off where psecd does not run: the battery is brought to rest from psec itself.
load helper

setup() {
	own_folder
	HOST=127.$((RANDOM % 200 + 20)).$((RANDOM % 250 + 1)).11
	"$PSEC" init --id rest --tier sim --yes >/dev/null
	coproc SIM { exec "$PSEC" sim run --host "$HOST" --port 0 --json 3>&- 2>sim.err; }
	PID=$SIM_PID
	while read -r line <&"${SIM[0]}" && [ "$line" != ']' ]; do
		[[ $line != *'"address": "tcp://'* ]] || { line=${line#*tcp://}; echo "${line%%#*}"; }
	done >targets
	"$PSEC" scan --write $(cat targets) >/dev/null 2>&1
}

teardown() {
	[ -z "${DAEMON:-}" ] || kill "$DAEMON" 2>/dev/null || true
	kill "$PID"
	wait "$PID" ${DAEMON:-} 2>/dev/null || true
}

truth() { "$PSEC" sim status --json | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

@test "off writes 0 W and reads it back" {
	run -0 --separate-stderr "$PSEC" control off
	[[ $output == "battery shows 0 W"* ]]
	[ -z "$stderr" ]
	[ "$(truth setpoint_w)" = 0.0 ]
	[ "$(truth setpoint_age_s)" != None ]
	run -0 "$PSEC" control off --json
	/usr/bin/python3 -c 'import json,sys; assert json.loads(sys.argv[1])["by"] == "psec"' "$output"
}

@test "off says so when the battery does not answer, and what to do" {
	"$PSEC" sim fault battery lost
	run -69 --separate-stderr "$PSEC" control off
	[[ $stderr == *"'battery' was not brought to rest"*"switch it off at the device"* ]]
	[ -z "$output" ]
}

questions() {
	"$PSEC" sim status --json | /usr/bin/python3 -c 'import json,sys
print([d["questions"] for d in json.load(sys.stdin)["devices"] if d["name"] == "battery"][0])'
}

@test "Ctrl-C ends the waiting of off with 130" {
	local off status=0 before
	"$PSEC" sim fault battery silent
	before=$(questions)
	"$PSEC" control off 2>err &
	off=$!
	until [ "$(questions)" -gt "$before" ]; do :; done
	kill -INT $off
	wait $off || status=$?
	[ "$status" = 130 ]
	grep -q "stopped before" err
}

kept_mode() { "$PSEC" control status --json | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["mode"])'; }
runs() { [ -n "$(kept_mode)" ]; }

@test "a psecd that was killed in an automatic mode and started after off begins in mode off" {
	"$PSECD" 2>psecd.err 3>&- &
	DAEMON=$!
	wait_until 10 "$PSEC" control mode observe
	kill -KILL $DAEMON
	wait $DAEMON || true
	run -0 --separate-stderr "$PSEC" control off
	[[ $output == *"mode off is kept for its next start"* ]]
	[ -z "$stderr" ]
	"$PSECD" 2>psecd.err 3>&- &
	DAEMON=$!
	wait_until 10 runs
	run kept_mode
	"$PSEC" status >said
	[ "$output" = off ]
	grep -q "mode is off, was observe; psecd did not run (unix:" said
}

@test "off that cannot be stored says what psecd will do, and keeps it for the inverter that does not answer" {
	mkdir -p state/psec.db
	run -0 --separate-stderr "$PSEC" control off
	[[ $output == "battery shows 0 W"* ]]
	[[ $output != *"is kept"* ]]
	[[ $stderr == *"mode off could not be stored"*"run \`psec control off\` again"* ]]
	run -0 --separate-stderr "$PSEC" control off --json
	/usr/bin/python3 -c 'import json,sys; assert json.loads(sys.argv[1])["kept"] is False' "$output"
}
