#!/usr/bin/env bats
# From a maker's table to a regulated battery, for devices that psec has no profile for: makers/tables.txt is served by peers/makers.py, and the
# profiles beside it were written from that page with the manual alone.
load site

setup() {
	site_folder
	NET=127.63.$((RANDOM % 250 + 1))
	/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/makers.py" "$NET.1" "$NET.2" 1502 "$DIR/truth.json" >makers.out 2>makers.err 3>&- &
	MAKERS_PID=$!
	wait_until 10 grep -q ready makers.out || { cat makers.err; return 1; }
	METER=tcp://$NET.1:1502#17 INVERTER=tcp://$NET.2:1502#1
	"$PSEC" -C "$DIR" init --id makers --tier lab --yes
}

teardown() {
	[ -z "$PSECD_PID" ] || end "$PSECD_PID"
	PSECD_PID=
	[ -z "${MAKERS_PID:-}" ] || end "$MAKERS_PID"
	site_remove
}

all_live() { live 2; }
profile() { install -m 644 "$BATS_TEST_DIRNAME/makers/$1.yaml" "profiles/$1.yaml"; }

# A Python expression over what a command printed as JSON (v: the document; p: the rows by point), or over the truth (t).
holds() { # FILE EXPRESSION
	/usr/bin/python3 - "$1" "$2" <<-'P'
	import json, sys
	v, t = json.load(open(sys.argv[1])), json.load(open("truth.json"))
	p = {r["point"]: r["value"] for r in v if "point" in r} if isinstance(v, list) else {}
	assert eval(sys.argv[2], {"v": v, "t": t, "p": p}), (v, t)
	P
}
true_that() { holds truth.json "$1"; }

@test "what device new begins from the displayed values is the profile's beginning" {
	run -0 "$PSEC" -C "$DIR" device new "$METER" --id kestrel-pq3 --make Kestrel --model PQ3 --role grid-meter --range 3:256-289 \
		grid-meter.voltage_l1_v=231.4V grid-meter.frequency_hz=49.98Hz </dev/null
	grep -q 'grid-meter.voltage_l1_v: {function: 3, address: 256, type: float32, order: low-first}' profiles/kestrel-pq3.yaml
	grep -q 'grid-meter.frequency_hz: {function: 3, address: 288, type: float32, order: low-first}' profiles/kestrel-pq3.yaml
	grep -q '^units: \[17\]' profiles/kestrel-pq3.yaml
	# the power stands there as of the secondary side: that is the table's to say, and without it the profile is none
	run ! "$PSEC" -C "$DIR" device show kestrel-pq3
	[[ $output == *"kestrel-pq3.yaml:"*"grid-meter needs grid-meter.power_w"* ]]
}

@test "a unit that says no to every question is named, and one that only a profile knows is asked" {
	run "$PSEC" -C "$DIR" scan --json "$METER"
	[[ $output == *"exception 2 (illegal data address) to every question of unit 17: has it another map?"* ]]
	run "$PSEC" -C "$DIR" scan --json --answer 200ms "$NET.1:1502"
	[[ $output == *'"silent"'*"--every-unit"* ]]
	profile kestrel-pq3
	"$PSEC" -C "$DIR" scan --json "$NET.1:1502" >rows
	holds rows 'v[0]["address"].endswith("#17") and v[0]["profile"] == "kestrel-pq3" and v[0]["match"] == "identified"'
	# what its profile says of serial and version is read, too
	holds rows 'v[0]["serial"] == "PQ3-0047711" and v[0]["version"] == "2.14"'
}

@test "from the maker's table to a battery that follows the meter" {
	profile kestrel-pq3
	profile lumenta-l8
	for id in kestrel-pq3 lumenta-l8; do
		run -0 --separate-stderr "$PSEC" -C "$DIR" device show $id
		[ -z "$stderr" ]
	done
	# read with the right sign, ratio and exponent
	"$PSEC" -C "$DIR" device read "$METER" --profile kestrel-pq3 --json >read
	holds read 'abs(p["grid-meter.power_w"] - 1600) < 15 and abs(p["grid-meter.power_l2_w"] - 480) < 5'
	holds read 'abs(p["grid-meter.import_wh"] - 1234570) < 50 and abs(p["grid-meter.frequency_hz"] - 49.98) < 1e-3'
	"$PSEC" -C "$DIR" device read "$INVERTER" --profile lumenta-l8 --json >read
	holds read 'p["battery-inverter.discharge_rating_w"] == 8000 and p["battery-inverter.charge_rating_w"] == 6400'
	holds read 'p["battery-inverter.setpoint_w"] is None and abs(p["bms.discharge_limit_w"] - 6144) < 0.01 and p["bms.alarm"] == 0'
	holds read 'str(p["bms.current_a"]) == "0.0" and not any(str(r["raw"]) == "-0.0" for r in v)' # by a negative scale
	run -0 "$PSEC" -C "$DIR" device test "$METER" --profile kestrel-pq3 --seconds 3
	[[ $output == *" serial PQ3-0047711, version 2.14"*" 0 suspicious, 0 failed"* ]]
	run ! grep -q ' , serial' <<<"$output"

	"$PSEC" -C "$DIR" scan --write --answer 200ms "$NET.1-2:1502"
	grep -q '# Kestrel PQ3 three-phase meter PQ3-0047711$' site.yaml
	run -0 "$PSEC" -C "$DIR" site check
	[[ $output == *"no faults"* ]]
	grep -A2 "^batteries:" site.yaml | grep -q "inverter: battery"
	run -0 "$PSECD" -C "$DIR" -n
	true_that 't["writes"] == []'

	psecd_start
	wait_until 10 all_live
	"$PSEC" -C "$DIR" status --devices --json >devices
	holds devices '{d["name"]: d["state"] for d in v["devices"]} == {"meter": "live", "battery": "live"}'
	run -0 "$PSEC" -C "$DIR" control check
	[[ $output == passed* ]]
	# watchdog and release before the first set-point, each once; 500 W of 8 kW; none was refused
	true_that 't["writes"][:2] == ["40103=60", "40101=1"] and "40102=-625" in t["writes"]'
	run -0 "$PSEC" -C "$DIR" control mode self-consumption
	wait_until 15 true_that 'abs(t["grid_w"]) < 60 and t["battery_w"] > 1500'
	psecd_stop
	wait_until 5 true_that 't["writes"][-1] == "40102=0" and abs(t["battery_w"]) < 10'
	true_that 'sum(w.startswith(("40101", "40103")) for w in t["writes"]) == 2 and not any("refused" in w for w in t["writes"])'
}
