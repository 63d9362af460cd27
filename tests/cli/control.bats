#!/usr/bin/env bats
# The commands that ask psecd, against a peer that was not written with psec's code.
load helper

setup() { own_folder; }

teardown() { [ -z "${FAKE:-}" ] || { kill "$FAKE"; wait "$FAKE" 2>/dev/null || true; }; }

daemon() {
	mkdir -p run
	coproc PEER { exec /usr/bin/python3 "$BATS_TEST_DIRNAME/fake_psecd.py" "$DIR/run/psecd.sock" "$DIR/asked" "$@" 3>&-; }
	FAKE=$PEER_PID
	read -r ready <&"${PEER[0]}"
	[ "$ready" = ready ]
}

@test "control status says what is decided, and --why what led to it" {
	daemon
	run -0 --separate-stderr "$PSEC" control status
	[[ $output == *"hill-7 (sim)"* ]]
	[[ $output == *"self-consumption, running"* ]]
	[[ $output == *"1.23 kW import"* ]]
	[[ $output == *"2.63 kW charging, 52.3 % full"* ]]
	[[ $output == *"the BMS allows no more charge"* ]]
	[[ $output != *"-3.4"* ]]
	run -0 "$PSEC" control status --why
	[[ $output == *"Wanted      -3.40 kW"* ]]
	[[ $output == *"Decided by  the BMS allows no more charge (bms-charge-limit)"* ]]
	[[ $output == *"0.81 ms"* ]]
	[[ $output == *"dead time 412 ms (profile 300 ms), lag 655 ms (700 ms);"* ]]
	[[ $output == *"acting since 11:59:30: the grid swung by 1.90 kW every 6.5 s"* ]]
	[ "$(wc -L <<<"$output")" -le 80 ]
}

@test "control status --json is psecd's answer" {
	daemon
	"$PSEC" control status --json >out
	/usr/bin/python3 -c 'import json; o = json.load(open("out")); assert o["grid_w"] == 1234.0 and o["site"]["id"] == "hill-7"'
}

@test "control mode, set and off ask what they are told to" {
	daemon
	run -0 --separate-stderr "$PSEC" control mode observe
	[ "$output" = "mode observe" ]
	run -0 "$PSEC" control mode self-consumption
	[[ $output == "mode self-consumption"* ]]
	run -0 "$PSEC" control set -1500
	[ "$output" = "mode manual, battery 1.50 kW charge" ]
	run -0 "$PSEC" control set --target 100
	run -0 "$PSEC" control set 250 --json
	/usr/bin/python3 -c 'import json,sys; assert json.loads(sys.argv[1])["manual_w"] == 250' "$output"
	for words in off "mode off"; do # by whichever words
		run -69 --separate-stderr "$PSEC" control $words
		[ "$output" = "mode off" ]
		[[ $stderr == *"'battery' does not answer (no answer"*"switch it off at the device" ]]
	done
	diff - <(grep -v control.status asked) <<'END'
["control.mode", {"mode": "observe"}]
["control.mode", {"mode": "self-consumption"}]
["control.set", {"power_w": -1500.0}]
["control.set", {"target_w": 100.0}]
["control.set", {"power_w": 250.0}]
["control.off", {}]
["control.off", {}]
END
}

@test "wrong words never reach psecd" {
	daemon
	run -64 "$PSEC" control mode self-consumptoin
	[[ $output == *"did you mean 'self-consumption'?"* ]]
	run -64 "$PSEC" control mode
	[[ $output == *"MODE is missing"* ]]
	run -64 "$PSEC" control set
	run -64 "$PSEC" control set much
	[[ $output == *"must be a number"* ]]
	run -64 "$PSEC" control set 1e99
	run -64 "$PSEC" control set nan
	run -64 "$PSEC" control set --target inf
	run -64 "$PSEC" control stauts
	[[ $output == *"did you mean 'status'?"* ]]
	run -64 "$PSEC" control
	[ ! -s asked ]
}

@test "a refusal by psecd ends with its kind" {
	daemon "refused:operator is needed, unix:anna is viewer"
	run -77 --separate-stderr "$PSEC" control set 500
	[ "$stderr" = "psec control set: operator is needed, unix:anna is viewer" ]
	run -77 "$PSEC" control check
	run -77 "$PSEC" control watch --count 1
	run -77 "$PSEC" control off
}

@test "control check waits for the end: 0 when passed, 1 when not" {
	CHECK=passes daemon
	run -0 --separate-stderr "$PSEC" control check
	[[ $output == "passed: the meter follows"* ]]
	[[ $output == *"from 812 W to 318 W"* ]]
	[ -z "$stderr" ]
	teardown
	rm run/psecd.sock
	CHECK=fails daemon
	run -1 "$PSEC" control check
	[[ $output == "not passed: "* ]]
	run -1 "$PSEC" control check --json
	/usr/bin/python3 -c 'import json,sys; assert json.loads(sys.argv[1])["passed"] is False' "$output"
}

@test "status --devices shows rates, latency, errors by name, the next try, and the lines that are shared" {
	daemon
	COLUMNS=200 run -0 --separate-stderr "$PSEC" status --devices
	[[ ${lines[0]} =~ DEVICE\ +STATE\ +RATE\ +WANTED\ +P50\ +P99\ +READS\ +CONNECTS\ +ERRORS\ +NOTE ]]
	[[ ${lines[1]} =~ ^meter\ +live\ +10.0\ Hz\ +10.0\ Hz\ +0.9\ ms\ +2.3\ ms\ +100\ +1\ +none ]]
	[[ ${lines[2]} == *"3 time-outs, 1 other unit, 2 illegal data address"* ]]
	[[ ${lines[2]} == *"in 400 ms; next try in 12 s, after 4 in vain"* ]]
	[[ $output != *$'\e'* ]]
	[ "$(grep -c ^rtu: <<<"$output")" = 1 ]
	[[ $output == *"another master asks unit 3"* ]]
	[[ $output != *"tcp://"* ]] # a connection of one device says nothing more
	"$PSEC" status --devices --json >out
	/usr/bin/python3 - out <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
assert [x["name"] for x in d["devices"]] == ["meter", "battery", "bms"]
assert [(l["line"][:3], l["devices"]) for l in d["lines"]] == [("tcp", ["meter"]), ("rtu", ["battery", "bms"])]
assert d["devices"][1]["line"] == d["lines"][1]["line"] and d["devices"][1]["errors"]["exceptions"] == {"illegal data address": 2}
END
}

@test "status --devices without psecd says how to start it" {
	"$PSEC" init --id here --tier sim --yes >/dev/null
	run -69 --separate-stderr "$PSEC" status --devices
	[[ $stderr == *psecd* ]]
	[ -z "$output" ]
}

@test "a value that is not to be trusted says why" {
	daemon
	run -0 "$PSEC" control status
	[[ $output != *doubtful* ]]
	kill "$FAKE"
	wait "$FAKE" || true
	rm run/psecd.sock
	DOUBTS='{"load_w": "a load below zero", "grid_w": "the meter repeats itself"}' daemon
	run -0 "$PSEC" control status
	[[ $output == *"1.23 kW import (doubtful: the meter repeats itself)"* ]]
	[[ $output == *"1.80 kW (doubtful: a load below zero)"* ]]
	run -0 "$PSEC" control watch --count 2
	[[ $output == *"load 1.80 kW (doubtful: a load below zero), battery"* ]]
}

@test "status shows site, daemon, devices and events; what a device says cannot move the cursor" {
	daemon
	run -0 --separate-stderr "$PSEC" status
	[[ $output == *"psecd 0.1.0, up 2 h 2 min"* ]]
	[[ $output == *"psecd-field runs (2 restarts)"* ]]
	[[ $output == *"tcp://127.0.0.11:1502#1"* ]]
	[[ $output == *"mode is number 5 (unix:anna)"* ]]
	[[ $output != *$'\033'* ]]
	"$PSEC" status --json >out
	/usr/bin/python3 -c 'import json; o = json.load(open("out")); assert o["daemon"]["uptime_s"] == 7325 and o["store"]["events"] == 17'
}

@test "without psecd, the answer is 69 and says how to start it" {
	"$PSEC" init --id here --tier sim --yes >/dev/null
	local c
	for c in "status" "mode observe" "set 5" "check" "watch"; do
		run -69 --separate-stderr "$PSEC" control $c
		[[ $stderr == *"psecd -C $DIR"* ]]
		[ -z "$output" ]
	done
}

@test "without psecd, status shows what site.yaml says" {
	"$PSEC" -C "$DIR" init --id hill-7 --tier sim --yes >/dev/null 2>&1 || skip "no psec init"
	run -69 --separate-stderr "$PSEC" status
	[[ $output == *"hill-7 (sim)"*"not running"* ]]
	run -69 --separate-stderr "$PSEC" status --json
	/usr/bin/python3 -c 'import json,sys; o = json.loads(sys.argv[1]); assert o["site"]["id"] == "hill-7" and o["daemon"] is None' "$output"
}

@test "watch in a pipe prints a line a change, with --json an object a line" {
	daemon
	run -0 --separate-stderr "$PSEC" control watch --count 3
	[ "${#lines[@]}" = 3 ]
	[[ ${lines[0]} == "12:00:09  grid 1.23 kW import, PV 3.20 kW, load 1.80 kW, battery 2.63 kW charging, SoC 5"* ]]
	"$PSEC" control watch --json -n 4 >out
	[ "$(wc -l <out)" = 4 ]
	/usr/bin/python3 -c 'import json; assert [json.loads(l)["soc_percent"] for l in open("out")][-1] == 55.0'
}

@test "watch ends when its reader does" {
	daemon
	run timeout 20 bash -c '"$1" control watch --json | head -1 | wc -l' - "$PSEC"
	[ "$output" = 1 ]
}

@test "watch on a terminal fits 80x24, and Ctrl-C leaves the terminal as it was" {
	daemon
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" control watch <<'END'
expect hill-7
expect SoC
expect 55.0 %
expect mode is number 5
send \x03
end 130
END
	[[ $output == *$'\033[?1049h'* ]]
	[[ $output == *$'\033[?25h\033[?1049l'* ]]
	[[ $output != *$'\033[2J for'* ]]
	# a picture: from home to the wipe of the rest
	printf '%s' "$output" | /usr/bin/python3 -c '
import re, sys
text = sys.stdin.buffer.read().decode()
pictures = re.findall(r"\x1b\[H(.*?)\x1b\[J", text, re.S)
assert len(pictures) >= 2, len(pictures)
for p in pictures:
    rows = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", p).replace("\r", "").split("\n")
    assert len(rows) <= 24, rows
    assert max(map(len, rows)) <= 80, rows
    assert sum(r.startswith("   Minute  Grid ") for r in rows) == 1, rows
minutes = [m for p in pictures for m in re.findall("Grid ([ ▁-█]{15})  Battery ([ ▁-█]{15})  SoC ([ ▁-█]{15})", p)]
assert len(minutes) == len(pictures) and any(all(map(str.strip, m)) for m in minutes), minutes
'
}

@test "watch on a terminal without UTF-8 draws the minute in ASCII" {
	daemon
	LC_ALL=C run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" control watch <<'END'
expect 55.0 %
expect Minute  Grid
expect mode is number 5
send \x03
end 130
END
	[[ $output == *'Minute  Grid '*[_.:=+*#-]* ]]
	LC_ALL=C
	[[ $output != *$'\xe2\x96'* ]]
}

@test "watch on a terminal waits for a psecd that went away" {
	daemon
	{
		printf '%s\n' 'expect 55.0 %'
		printf 'expect waiting for it\n'
		printf 'send \\x03\nend 130\n'
	} >script
	(
		while [ ! -s asked ]; do :; done
		while ! grep -q control.status asked; do :; done
		kill "$FAKE"
	) &
	run /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" control watch <script
	[[ $output == *"waiting for it"* ]] || { echo "$output"; false; }
	[ "$status" = 0 ]
	wait
	FAKE=
}

@test "the shell keeps going after Ctrl-C in watch" {
	daemon
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" shell <<'END'
expect psec
send control watch\n
expect 55.0 %
send \x03
expect psec
send version\n
expect psec 0
send exit\n
end 0
END
}

@test "completion knows the modes" {
	run -0 "$PSEC" __complete -- control mode s
	[ "$output" = $'self-consumption\t' ]
	run -0 "$PSEC" __complete -- control s
	[[ $output == *$'status\t'* ]]
	[[ $output == *$'set\t'* ]]
}
