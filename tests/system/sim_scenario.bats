#!/usr/bin/env bats
# Scenarios, several batteries, the genset and accelerated time, seen by clients that were not written here.
load sim

setup_file() {
	export SITE=$BATS_FILE_TMPDIR/site
	cat >"$BATS_FILE_TMPDIR/all.yaml" <<-'END'
	psec-sim: 1
	title: All of it
	series: none
	calm: true
	line: {baud: 9600}
	genset: {rated_w: 6000, start_delay: 200ms, warm_up: 300ms, cool_down: 300ms, ramp_w_per_s: 50000}
	batteries:
	  - {soc_percent: 40}
	  - {soc_percent: 80}
	  - {inverter: hybrid, bms: true}
	events:
	  - {at: 23:00:00, load: 100, say: never in this test}
	END
	start_site "$SITE" "$BATS_FILE_TMPDIR/all.yaml"
}
teardown_file() { end_site "$SITE"; }
teardown() { end_own_sites; }

# pymodbus, lines of python with c, a connection to device $1
modbus() {
	{
		printf '%s\n' 'import sys' 'from urllib.parse import urlsplit' 'from pymodbus.client import ModbusTcpClient' \
			'u = urlsplit(sys.argv[1])' 'c = ModbusTcpClient(u.hostname, port=u.port)' 'assert c.connect()'
		cat
	} | "$PY" - "$(at "$1")"
}

@test "two equal inverters are the same model, with other serial numbers and energies of their own" {
	one=$(client models "$(at battery)") two=$(client models "$(at battery2)")
	[ "${one%| *}" = "${two%| *}" ]
	[ "$one" != "$two" ]
	near "$(client point "$(at battery)" 802 SoC)" 40 0.5
	near "$(client point "$(at battery2)" 802 SoC)" 80 0.5
	[ "$(client read "$(at hybrid3)" 4 13022 1)" = 500 ]
}

@test "the meter shows the balance of all batteries and the genset" {
	client setpoint "$(at battery)" 20   # 1000 W out
	client setpoint "$(at battery2)" -40 # 2000 W in
	settled() { # 500 W of house
		near "$(client point "$(at meter)" 203 W)" 1500 20 && near "$(client point "$(at battery)" 103 W)" 1000 5 &&
			near "$(client point "$(at battery2)" 103 W)" -2000 5
	}
	wait_until 15 settled
	modbus genset <<-'END'
		assert not c.write_registers(4104, [35732, 65535 - 35732], slave=1).isError()
		assert c.write_registers(4104, [35732, 0], slave=1).isError()
	END
	runs() { [ "$(client read "$(at genset)" 3 1408 1)" = 3 ] && near "$(client read "$(at genset)" 3 1537 1)" 6000 1; }
	wait_until 15 runs
	settled() { near "$(client point "$(at meter)" 203 W)" -4500 60; }
	wait_until 15 settled
	[ "$(client read "$(at genset)" 3 1031 1)" = 500 ]
	modbus genset <<<'c.write_registers(4104, [35733, 65535 - 35733], slave=1)'
	stopped() { [ "$(client read "$(at genset)" 3 1408 1)" = 0 ]; }
	wait_until 15 stopped
	client setpoint "$(at battery)" 0
	client setpoint "$(at battery2)" 0
}

@test "the PV inverter keeps to its bound of model 123 and comes back" {
	start_site "$BATS_TEST_TMPDIR/pv" --calm --at 2016-06-14T11:00Z
	SITE=$BATS_TEST_TMPDIR/pv
	modbus pv <<-'END'
		assert c.read_holding_registers(40150, count=2, slave=1).registers == [123, 24]
		assert not c.write_register(40155, 2500, slave=1).isError()  # 25 % of 8000 W
		assert not c.write_register(40159, 1, slave=1).isError()
	END
	bounded() { near "$(true_value pv_w)" 2000 5; }
	wait_until 15 bounded
	[ "$(client point "$(at pv)" 123 WMaxLimPct)" = 25.0 ]
	modbus pv <<<'c.write_register(40159, 0, slave=1)'
	free() { near "$(true_value pv_w)" 4190 60; }
	wait_until 15 free
}

@test "who has FC 43 and FC 17 says who it is, who has not says so" {
	modbus battery <<-'END'
		r = c.read_device_information(read_code=1, object_id=0, slave=1)
		assert not r.isError(), r
		assert r.information[0] == b"psec" and r.information[1] == b"SimStore 5/10", r.information
	END
	[ "$(client pdu "$(at meter)" 11)" = "111201ff$(printf 'psec SimMeter 3P' | od -An -tx1 | tr -d ' \n')" ]
	[ "$(client pdu "$(at hybrid3)" 11)" = 9101 ]
	[ "$(client pdu "$(at meter)" 2b0e0100)" = ab01 ]
	[ "$(client pdu "$(at battery)" 2b0e0407)" = ab02 ]
}

@test "another master's frames are on the line, whole, and the device answers them" {
	sim event 'second-master: 10s'
	run -0 "$PY" -c '
import serial, sys, time
s = serial.Serial(sys.argv[1], 9600, timeout=0.2)
seen, until = b"", time.monotonic() + 15
pair = b"\x01\x04\x00\x00\x00\x06\x70\x08\x01\x04\x0c" # opening the line may have cut the first one
while time.monotonic() < until and pair not in seen: seen += s.read(100)
print(pair in seen)' "$SITE/run/rs485"
	[ "$output" = True ]
}

@test "an exchanged device has another serial number and ends its connections" {
	before=$(client models "$(at battery2)")
	"$PY" - "$(at battery2)" >"$BATS_TEST_TMPDIR/end" 3>&- <<-'END' &
		import socket, sys
		from urllib.parse import urlsplit
		u = urlsplit(sys.argv[1])
		s = socket.create_connection((u.hostname, u.port), 30)
		print("open", flush=True)
		print("ended" if s.recv(10) == b"" else "alive", flush=True)
	END
	opened() { grep -q open "$BATS_TEST_TMPDIR/end"; }
	wait_until 15 opened
	sim event 'swap: battery2'
	ended() { grep -q ended "$BATS_TEST_TMPDIR/end"; }
	wait_until 15 ended
	wait $!
	[ "$(client models "$(at battery2)")" != "$before" ]
	run -65 --separate-stderr sim event 'swap: boiler'
	[[ $stderr == *"no device 'boiler', but meter, battery, pv, rs485, genset, battery2, hybrid3, bms3"* ]]
}

@test "at speed 60 energies and events go 60 times as fast, and faults end" {
	cat >"$BATS_TEST_TMPDIR/fast.yaml" <<-'END'
	psec-sim: 1
	title: Fast
	series: none
	calm: true
	events:
	  - {at: 00:02:00, fault: {device: meter, kind: lost, for: 60s}, say: gone}
	  - {at: 00:10:00, load: 500}
	END
	start_site "$BATS_TEST_TMPDIR/fast" --speed 60 "$BATS_TEST_TMPDIR/fast.yaml"
	SITE=$BATS_TEST_TMPDIR/fast
	[ "$(true_value speed)" = 60 ]
	gone() { [ "$(true_value said)" = gone ]; }
	wait_until 15 gone
	back() { [ "$(true_value next)" = "500 W more load" ] && [ "$(client read "$(at meter)" 3 40000 1)" = 21365 ]; }
	wait_until 15 back
	more() { [ "$(true_value extra_w)" = 500.0 ]; }
	wait_until 30 more
	sim speed 0
	# 500 W for 10 min and what was before it, 1000 W since: to the step.
	sim status --json | "$PY" -c '
import json, sys
s = json.load(sys.stdin)
want = 500 * (s["elapsed_s"] + 2) / 3600 + 500 * max(s["elapsed_s"] - 600, 0) / 3600
assert abs(s["import_wh"] - want) < 0.1, (s["import_wh"], want)'
	[ "$(true_value elapsed_s)" = "$(true_value elapsed_s)" ]
}

@test "the faults of a scenario are told at once with their lines, and nothing starts" {
	printf 'psec-sim: 1\ntitle: T\nevents:\n  - {at: 1s, cloud: 300}\n  - {at: 2s, swap: metre}\nweather: bad\n' >"$BATS_TEST_TMPDIR/x.yaml"
	local x=$BATS_TEST_TMPDIR/x.yaml
	for command in "1 sim check $x" "1 sim run --check $x" "65 sim run $x"; do
		# shellcheck disable=SC2086
		run -"${command%% *}" --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/n" ${command#* }
		[[ $stderr == *"x.yaml:4: "*300* && $stderr == *"x.yaml:5: "*"'meter'"* && $stderr == *"x.yaml:6: "*weather* ]]
		[ ! -e "$BATS_TEST_TMPDIR/n/run/sim.sock" ]
	done
	run -65 --separate-stderr "$PSEC" sim check no-such-one
	[[ $stderr == *"psec sim scenarios"* ]]
}

@test "every shipped scenario is sound" {
	names=$("$PSEC" sim scenarios --json | "$PY" -c 'import json,sys; print(*[s["name"] for s in json.load(sys.stdin)])')
	[[ " $names " == *" storm "* ]]
	for name in $names; do
		run -0 --separate-stderr "$PSEC" sim run --check "$name"
		[ -z "$stderr" ]
	done
}

@test "what a site of everything shows is put into site.yaml as one that has no fault, with one grid meter" {
	local targets
	own_folder
	targets=$("$PY" -c '
import json, sys
print(*(d["address"].split("//")[1].split("#")[0] for d in json.load(open(sys.argv[1])) if d["address"].startswith("tcp:")))' \
		"$SITE/devices.json")
	"$PSEC" init --id all --tier sim --yes >/dev/null
	run -0 "$PSEC" scan --write $targets
	[[ $output == *"added meter: "* && $output == *"added genset: "* && $output == *"profile sungrow-hybrid"* ]]
	run -0 "$PSEC" site check
	[ "$("$PSEC" site show --json | grep -c '"grid-meter"')" = 1 ]
}
