#!/usr/bin/env bats
# Serial lines and raw gateways: a line over a pty that psec shares no code with, and pymodbus with serial frames over TCP.
load ../cli/helper

PEERS=$BATS_TEST_DIRNAME/peers
PY=${PSEC_PY:-$BATS_TEST_DIRNAME/../../build/venv/bin/python}

setup() {
	own_folder
	PIDS=()
}

teardown() {
	local p
	for p in ${PIDS[@]+"${PIDS[@]}"}; do kill "$p" 2>/dev/null && wait "$p" || true; done
}

ready() { grep -q ready "$1"; }

# line NAME OPTIONS…: a line at $PWD/NAME
line() {
	/usr/bin/python3 "$PEERS/line.py" "$PWD/$1" "${@:2}" >"$1.out" 2>"$1.err" 3>&- &
	PIDS+=($!)
	wait_until 10 ready "$1.out"
}

# end_line NAME: its account, "questions N answered N most N"
end_line() {
	kill "${PIDS[-1]}"
	wait_until 10 grep -q ^questions "$1.out"
	tail -n 1 "$1.out"
}

# rows FILE EXPRESSION over the rows
rows() {
	/usr/bin/python3 -c '
import json, sys
rows = json.load(open(sys.argv[1]))
assert eval(sys.argv[2]), json.dumps(rows, indent=1)' "$1" "$2"
}

@test "baud, parity and unit of a line are found with nothing configured" {
	line a --baud 19200 --units 3
	"$PSEC" scan --json "rtu:$PWD/a" >found
	rows found 'len(rows) == 1 and rows[0]["make"] == "ABB" and "baud=19200&" in rows[0]["address"] and rows[0]["address"].endswith("#3")'
}

@test "the likely settings are asked for the likely units before any is asked for a rare one" {
	line a --baud 4800 --units 2
	"$PSEC" scan --json "rtu:$PWD/a" >found
	rows found 'len(rows) == 1 and "baud=4800&" in rows[0]["address"]'
	read -r _ questions _ answered _ most < <(end_line a)
	# six settings before it, three units each; the units that are left, at 4800; what the meter itself is asked
	[ $((questions - answered)) -le $((6 * 3 + 15)) ]
}

@test "several lines are searched at once, and each that gives nothing says why" {
	line a --units 1
	line b --baud 19200 --units 7,8
	"$PSEC" scan --json "rtu:$PWD/a?baud=9600&parity=none" "rtu:$PWD/b?baud=19200&parity=none" "rtu:$PWD/c" rtu:/dev/null >found 2>err
	rows found '[r["address"].split("#")[1] for r in rows] == ["1", "7", "8"]'
	grep -q "$PWD/c: cannot open '$PWD/c': No such file or directory" err
	grep -q "/dev/null: '/dev/null' is not a serial line" err
}

@test "a line on which nobody answers is said to be silent, with what to check" {
	line a --units ''
	"$PSEC" scan --json "rtu:$PWD/a?baud=9600&parity=none" >found 2>err
	rows found 'rows == []'
	grep -q 'no unit answered: check A/B wires' err
}

@test "a line in use is not touched, and its user is named" {
	line a
	/usr/bin/python3 -c 'import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(fd, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(600)' "$PWD/a" >held 3>&- &
	PIDS=($! "${PIDS[@]}")
	wait_until 10 ready held
	"$PSEC" scan --json "rtu:$PWD/a" >found 2>err
	rows found 'rows == []'
	grep -Eq "'$PWD/a' is in use by python3[0-9.]* \(pid [0-9]+\)" err
	[[ $(end_line a) == "questions 0 "* ]]
}

@test "a meter slower than the search's patience is found by its late answer" {
	line a --units 1 --delay 0.5
	"$PSEC" scan --json "rtu:$PWD/a?baud=9600&parity=none" >found
	rows found 'len(rows) == 1 and rows[0]["make"] == "ABB"'
}

@test "another master on the line is told, with whom it asks" {
	line a --units 1 --master 9
	"$PSEC" scan --json "rtu:$PWD/a?baud=9600&parity=none" >found
	rows found 'any(r["address"].endswith("#1") and r["make"] == "ABB" for r in rows)'
	rows found 'any("another master asks unit 9, function 3" in f for r in rows for f in r["faults"])'
	rows found 'not any(r["address"].endswith("#9") for r in rows)'
}

@test "an adapter that echoes is named" {
	line a --units 1 --echo
	"$PSEC" scan --json "rtu:$PWD/a?baud=9600&parity=none" >found
	rows found 'rows and all("another master" not in f for r in rows for f in r["faults"])'
	rows found 'any("echoes" in f for r in rows for f in r["faults"])'
}

@test "Ctrl-C ends a search with what was found" {
	line a --units 1
	"$PSEC" scan --json --every-unit --answer 30s "rtu:$PWD/a?baud=9600&parity=none" >found 2>err &
	local pid=$! status=0
	PIDS+=($pid)
	wait_until 20 grep -q 'no unit 2' a.out # all of the meter has been heard
	kill -INT $pid
	wait $pid || status=$?
	unset 'PIDS[-1]'
	[ "$status" = 130 ] || { cat err; false; }
	rows found 'len(rows) == 1 and rows[0]["make"] == "ABB"'
	grep -q 'interrupted: 1 found' err
}

@test "the progress names setting, unit and the time that is left" {
	line a --units 2
	run script -qec "'$PSEC' scan --every-unit 'rtu:$PWD/a?baud=9600&parity=none' --answer 50ms" /dev/null
	[[ $output =~ "9600 8N2, unit "[0-9]+" ("[0-9]+" of 247), about "[0-9]+" s left" ]] || { echo "$output"; false; }
}

@test "psecd says once, as an event, that another master asks on its line" {
	line a --units 1 --master 9
	cat >site.yaml <<-YAML
	psec: 1
	site: {id: lines, tier: lab}
	devices:
	  - {name: grid, profile: eastron-sdm630, address: "rtu://$PWD/a?baud=9600&parity=none#1", roles: [grid-meter]}
	YAML
	chmod 644 site.yaml
	"$PSECD" -C "$PWD" >log 2>&1 3>&- &
	PIDS+=($!)
	wait_until 30 grep -q 'second-master: grid: another master asks unit 9, function 3' log
	kill "${PIDS[-1]}"
	wait "${PIDS[-1]}"
	unset 'PIDS[-1]'
	[ "$(grep -c second-master log)" = 1 ]
}

@test "pymodbus behind a raw gateway is read, and found where nothing answers to Modbus TCP" {
	"$PY" "$PEERS/serve.py" --raw --host 127.0.93.1 1=sunspec-meter 7=sunspec-pv >gw.out 2>gw.err 3>&- &
	PIDS+=($!)
	wait_until 10 ready gw.out
	local port
	read -r _ port <gw.out
	"$PSEC" scan --json "rtu+tcp://127.0.93.1:$port" >found
	rows found '[(r["address"], r["profile"]) for r in rows] == [("rtu+tcp://127.0.93.1:'"$port"'#1", "sunspec-meter"), ("rtu+tcp://127.0.93.1:'"$port"'#7", "sunspec-inverter")]'
	"$PSEC" scan --json "127.0.93.1:$port" >found
	rows found 'rows[0]["address"] == "rtu+tcp://127.0.93.1:'"$port"'#1" and rows[0]["profile"] == "sunspec-meter"'
	"$PSEC" device read "rtu+tcp://127.0.93.1:$port#1" --profile sunspec-meter --json >read
	grep -q -- -1234 read
}
