#!/usr/bin/env bats
# Devices that were not written here: pymodbus servers with register images typed by hand (peers/images.py), and pysunspec2 as a
# second reader of the same registers.
load ../cli/helper

PY=${PSEC_PY:-$TOP/build/venv/bin/python}

setup_file() {
	[ -x "$PY" ] || skip "no build/venv: run make deps-test"
	export FILES=$(mktemp -d /tmp/psec-device.XXXXXX)
	export VENDORS=$("$PY" "$TOP/tests/system/peers/vendors.py" list)
	"$PY" "$TOP/tests/system/peers/serve.py" --ledger "$FILES/ledger" 1=sunspec-meter 2=sdm630 3=sunspec-battery 4=pylontech \
		5=sungrow 6=sunspec-pv 7=sunspec-meter-float 8=sunspec-hostile 9=unlisted 10=acme-hb5+ 11=acme-hb5- \
		$(n=20; for v in $VENDORS; do echo $n=$v; n=$((n + 1)); done) >"$FILES/ready" 2>"$FILES/err" 3>&- &
	echo $! >"$FILES/pid"
	wait_for "$FILES/ready" "$(cat "$FILES/pid")"
	export PORT=$(awk '{ print $2 }' "$FILES/ready")
}

teardown_file() {
	[ -z "$FILES" ] || { kill "$(cat "$FILES/pid")"; rm -rf "$FILES"; }
}

# Until the file has "ready", as long as its writer lives.
wait_for() {
	until grep -q '^ready' "$1" 2>/dev/null; do
		kill -0 "$2" || { cat "$FILES/err"; return 1; }
		read -rt 0.05 <> <(:) || :
	done
}

setup() { own_folder; }

# The unit's points as JSON in ./read.
read_unit() { # UNIT [OPTIONS]
	local unit=$1
	shift
	"$PSEC" device read "tcp://127.0.0.1:$PORT#$unit" --json "$@" >read
}

# Each argument is POINT=VALUE as typed in the image, scaled by hand.
says() {
	"$PY" - "$@" <<'P'
import json, sys
got = {p["point"]: p for p in json.load(open("read"))}
for want in sys.argv[1:]:
    point, value = want.split("=")
    p = got[point]
    if value == "absent":
        assert p["quality"] == "absent" and p["value"] is None, p
    else:
        assert p["quality"] == "good" and abs(p["value"] - float(value)) <= 1e-6 * max(1, abs(float(value))), (want, p)
P
}

@test "an SDM630 is read as typed" {
	read_unit 2 --profile eastron-sdm630
	says grid-meter.power_w=1025.25 grid-meter.power_l2_w=-300.25 grid-meter.voltage_l3_v=229.75 grid-meter.current_l1_a=5.5 \
		grid-meter.frequency_hz=49.9375 grid-meter.import_wh=1234500 grid-meter.export_wh=56250
}

@test "a Pylontech BMS is read as typed, limits as products" {
	read_unit 4 --profile pylontech-powercube-m2
	says bms.soc_percent=88 bms.voltage_v=512.2 bms.current_a=-12.5 bms.temperature_c=23.5 bms.charge_limit_a=75 \
		bms.discharge_limit_a=90 bms.charge_limit_w=38415 bms.discharge_limit_w=46098
}

@test "a Sungrow hybrid is read as typed: words swapped, export negated, charging negative" {
	read_unit 5 --profile sungrow-hybrid
	says grid-meter.power_w=1850 grid-meter.import_wh=3333300 grid-meter.export_wh=4444400 pv-inverter.power_w=4200 \
		pv-inverter.energy_wh=9876500 battery-inverter.power_w=-1500 battery-inverter.charge_rating_w=5000 bms.soc_percent=50.5 \
		bms.charge_limit_w=5000 bms.discharge_limit_w=7500 bms.current_a=-6 battery-inverter.setpoint_w=0
}

@test "SunSpec devices name themselves at each base and are read as typed" {
	read_unit 1
	says grid-meter.power_w=-1234 grid-meter.power_l1_w=-1734 grid-meter.frequency_hz=49.98 grid-meter.import_wh=50000
	read_unit 6
	says pv-inverter.power_w=7340 pv-inverter.energy_wh=12345600 pv-inverter.state=4
	read_unit 7
	says grid-meter.power_w=-750.5 grid-meter.power_l3_w=absent grid-meter.voltage_l1_v=231.25
	read_unit 3
	says battery-inverter.power_w=-1250 battery-inverter.charge_rating_w=4600 battery-inverter.discharge_rating_w=5000 \
		bms.soc_percent=63.5 bms.charge_limit_w=4352 bms.discharge_limit_w=5632
}

@test "the manual's example is a profile, and reads the device of its table" {
	local unit pid
	mkdir -p site/profiles
	awk '/^; example acme-hb5.yaml/ { armed = 1; next } armed && /^```/ { if (inside) exit; inside = 1; next } inside' \
		"$TOP/man/psec-profile.5.scd" >site/profiles/acme-hb5.yaml
	chmod 600 site/profiles/acme-hb5.yaml
	run -0 --separate-stderr "$PSEC" -C site device show acme-hb5
	[ -z "$stderr" ]
	for unit in 10 11; do
		"$PSEC" -C site device read "tcp://127.0.0.1:$PORT#$unit" --profile acme-hb5 --json >read
		"$PY" "$TOP/tests/system/peers/vendors.py" expect "acme-hb5$([ $unit = 10 ] && echo + || echo -)" >expect
		says $("$PY" -c 'import json; print(*(f"{k}={v}" for k, v in json.load(open("expect"))["points"].items()))')
	done
	"$PY" "$TOP/tests/system/peers/serve.py" 1=acme-hb5+ >ready 2>"$FILES/err" 3>&- &
	pid=$!
	wait_for ready "$pid"
	"$PSEC" -C site scan --json "127.0.0.1:$(awk '{ print $2 }' ready)" >rows || :
	kill "$pid"
	[ "$("$PY" -c 'import json; print(*(x["profile"] for x in json.load(open("rows"))))')" = acme-hb5 ]
}

@test "every maker's device is read as typed, both ways round, with its marks for what is not there" {
	local name unit=20
	for name in $VENDORS; do
		"$PY" "$TOP/tests/system/peers/vendors.py" expect "$name" >expect
		read_unit $unit --profile "$("$PY" -c 'import json; print(json.load(open("expect"))["profile"])')" ||
			[ "$name" != "${name/night/}${name/marked/}" ]
		says $("$PY" -c 'import json; print(*(f"{k}={v}" for k, v in json.load(open("expect"))["points"].items()))') || {
			echo "$name"
			false
		}
		unit=$((unit + 1))
	done
	[ "$unit" = 56 ]
}

# POINT of psec = MODEL.POINT of SunSpec [× factor]
agree() { # UNIT POINT=MODEL.POINT…
	local unit=$1
	shift
	"$PY" "$TOP/tests/system/peers/sunspec_read.py" 127.0.0.1 "$PORT" "$unit" "${@#*=}" >theirs
	read_unit "$unit"
	"$PY" - "$@" <<'P'
import json, sys
ours = {p["point"]: p["value"] for p in json.load(open("read"))}
theirs = json.load(open("theirs"))
for pair in sys.argv[1:]:
    point, model = pair.split("=")
    assert abs(ours[point] - theirs[model]) <= 1e-6 * max(1, abs(theirs[model])), (pair, ours[point], theirs[model])
P
}

@test "pysunspec2 reads the same values from the same devices" {
	agree 1 grid-meter.power_w=203.W grid-meter.power_l1_w=203.WphA grid-meter.power_l2_w=203.WphB grid-meter.power_l3_w=203.WphC \
		grid-meter.voltage_l1_v=203.PhVphA grid-meter.voltage_l2_v=203.PhVphB grid-meter.voltage_l3_v=203.PhVphC \
		grid-meter.current_l1_a=203.AphA grid-meter.current_l3_a=203.AphC grid-meter.frequency_hz=203.Hz \
		grid-meter.import_wh=203.TotWhImp grid-meter.export_wh=203.TotWhExp
	agree 7 grid-meter.power_w=213.W grid-meter.power_l1_w=213.WphA grid-meter.frequency_hz=213.Hz grid-meter.import_wh=213.TotWhImp
	agree 6 pv-inverter.power_w=103.W pv-inverter.energy_wh=103.WH pv-inverter.state=103.St
	agree 3 battery-inverter.power_w=103.W battery-inverter.charge_rating_w=120.MaxChaRte bms.soc_percent=802.SoC bms.voltage_v=802.V \
		bms.current_a=802.A bms.charge_limit_a=802.AChaMax bms.discharge_limit_a=802.ADisChaMax bms.alarm=802.Evt1
}

@test "every point of every listed model, groups included, is what pysunspec2 encoded" {
	local pid unit
	mkdir all
	"$PY" "$TOP/tests/system/peers/sunspec_all.py" all 1 2 3 4 5 >ready 2>"$FILES/err" 3>&- &
	pid=$!
	wait_for ready "$pid"
	for unit in 1 2 3 4 5; do
		"$PSEC" device models "tcp://127.0.0.1:$(awk '{ print $2 }' ready)#$unit" --json >"all/$unit.ours" || break
	done
	kill "$pid"
	"$PY" - <<'P'
import json
for unit in range(1, 6):
    theirs = json.load(open(f"all/{unit}"))
    ours = {f"{p['model']}.{p['point']}": p for p in json.load(open(f"all/{unit}.ours"))}
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())
    assert len(ours) > 1300, len(ours)
    for name, want in theirs.items():
        got = ours[name]
        if want is None:
            assert got["quality"] == "absent" and got["value"] is None, (name, got)
        elif isinstance(want, str):
            assert got["value"] == want, (name, want, got)
        else:
            assert got["quality"] == "good" and abs(got["value"] - want) <= 1e-9 * abs(want), (name, want, got)
P
}

@test "one model of a device is shown, and one that it lacks is said to be missing" {
	run -0 "$PSEC" device models "tcp://127.0.0.1:$PORT#1" 203
	[[ $output == *TotWhImp* && $output != *Manufacturer* ]]
	run -65 "$PSEC" device models "tcp://127.0.0.1:$PORT#1" 802
	[[ $output == *"has no model 802"* ]]
	run -0 "$PSEC" device models "tcp://127.0.0.1:$PORT#8"
	[[ $output == *"says length 65000, which ends beyond 65535"* ]]
	run -65 "$PSEC" device read "tcp://127.0.0.1:$PORT#1" voltage_l1
	[[ $output == *"has no point 'voltage_l1'; did you mean 'voltage_l1_v'?"* ]]
	run -65 "$PSEC" device models "tcp://127.0.0.1:$PORT#2"
	[[ $output == *"no SunSpec marker"* ]]
}

@test "a hostile model list ends at once, and nothing is taken for a value" {
	run -65 "$PSEC" device read "tcp://127.0.0.1:$PORT#8"
	[[ $output == *"no profile fits"* ]]
	run -69 "$PSEC" device read "tcp://127.0.0.1:$PORT#8" --profile sunspec-meter
	[[ $output == *"nothing for grid-meter.power_w"* ]]
}

@test "a unit that is not there, and a profile that does not fit, say so" {
	run -69 "$PSEC" device read "tcp://127.0.0.1:$PORT#77" --profile eastron-sdm630 --timeout 2s
	run -69 "$PSEC" device read "tcp://127.0.0.1:$PORT#1" --profile eastron-sdm630
	[[ $output == *"exception 2: illegal data address"* ]]
}

@test "a device of the site is read by its name, one point of it, with the status as answer" {
	mkdir site
	cat >site/site.yaml <<Y
psec: 1
site: {id: here, tier: sim}
devices:
  - name: meter
    profile: sunspec-meter
    address: tcp://127.0.0.1:$PORT#7
    roles: [grid-meter]
    reversed: true
Y
	chmod 600 site/site.yaml
	"$PSEC" -C site device read meter power_w --json >read
	says grid-meter.power_w=750.5
	[ "$("$PY" -c 'import json; print(len(json.load(open("read"))))')" = 1 ]
	run -1 "$PSEC" -C site device read meter grid-meter.power_l3_w
	[[ $output == *"NaN means not available"* ]]
	run -65 "$PSEC" -C site device read meter colour
	run -65 "$PSEC" -C site device read nobody
}

@test "an SDM630 on a serial line is read over a pty" {
	command -v socat >/dev/null || skip "no socat"
	socat -d pty,raw,echo=0,link="$DIR/a" pty,raw,echo=0,link="$DIR/b" 3>&- &
	local socat_pid=$! peer_pid
	until [ -e a ] && [ -e b ]; do kill -0 "$socat_pid"; read -rt 0.05 <> <(:) || :; done
	"$PY" "$TOP/tests/system/peers/serve.py" --rtu "$DIR/b" 9=sdm630 >ready 2>"$FILES/err" 3>&- &
	peer_pid=$!
	wait_for ready "$peer_pid"
	"$PSEC" device read "rtu://$DIR/a?baud=19200&parity=none#9" --profile eastron-sdm630 --json >read || {
		kill "$peer_pid" "$socat_pid"
		false
	}
	kill "$peer_pid" "$socat_pid"
	says grid-meter.power_w=1025.25 grid-meter.import_wh=1234500
}

# The verdict of each check as JSON in ./tested.
test_unit() { # UNIT [OPTIONS]
	local unit=$1
	shift
	"$PSEC" device test "tcp://127.0.0.1:$PORT#$unit" --seconds 3 --json "$@" >tested || [ $? = 1 ]
}

# CHECK=VERDICT…
verdicts() {
	"$PY" - "$@" <<'P'
import json, sys
got = {r["check"]: r for r in json.load(open("tested"))}
for want in sys.argv[1:]:
    check, verdict = want.split("=")
    assert got[check]["verdict"] == verdict, (want, got[check])
P
}

@test "a device is tested: what fits is ok, what is absent says so, what contradicts itself is suspicious" {
	test_unit 2 --profile eastron-sdm630
	verdicts grid-meter.power_w=ok grid-meter.frequency_hz=ok "power is the sum of its phases=ok" "power fits voltage and current=ok" \
		answers=ok
	test_unit 1
	# its phase of -1734 W has 2.0 A at 231 V
	verdicts grid-meter.power_w=ok "power is the sum of its phases=ok" "power fits voltage and current=suspicious" identity=ok
	test_unit 7
	verdicts grid-meter.power_l3_w=absent
	test_unit 3
	verdicts "battery power fits the BMS=suspicious" bms.soc_percent=ok
	test_unit 5 --profile sungrow-hybrid
	verdicts "battery power fits the BMS=ok" "battery power is within the rating=ok"
	# a profile that does not fit this device: the values cannot be true, and the words say what to look at
	mkdir profiles
	sed -e 's/^id: .*/id: wrong/' -e 's/voltage_l1_v: {address: 0}/voltage_l1_v: {address: 0, scale: 0.1}/' \
		"$TOP/lib/device/profiles/eastron-sdm630.yaml" >profiles/wrong.yaml
	run -1 "$PSEC" device test "tcp://127.0.0.1:$PORT#2" --profile wrong --seconds 3
	[[ $output == *"voltage_l1_v  "*"suspicious"*"10 times that would be"* ]]
}

@test "a profile for a device of no list is begun from what its display shows, and reads it as typed" {
	"$PSEC" device new "tcp://127.0.0.1:$PORT#9" --id acme-m3 --role grid-meter grid-meter.power_w=-1.87kW grid-meter.voltage_l1_v=232.6V \
		grid-meter.frequency_hz=49.97Hz grid-meter.import_wh=71234.56kWh grid-meter.current_l1_a=8.214A 2>said
	grep -q 'next: .*device test' said
	"$PSEC" device show acme-m3 >shown
	read_unit 9 --profile acme-m3
	says grid-meter.power_w=-1868 grid-meter.voltage_l1_v=232.6 grid-meter.frequency_hz=49.97 grid-meter.import_wh=71234560 \
		grid-meter.current_l1_a=8.214
	grep -q '^  # grid-meter.export_wh' profiles/acme-m3.yaml
	run -77 "$PSEC" device new "tcp://127.0.0.1:$PORT#9" --id acme-m3
	# what it says on standard output is the same profile
	"$PSEC" device new "tcp://127.0.0.1:$PORT#9" --id acme-m3 --stdout --range 3:0x5000-0x5020 grid-meter.power_w=-1.87kW 2>said |
		grep 'grid-meter.power_w: {function: 3, address: 20486, type: int32'
}

@test "a profile without the point that its role needs says which line is missing, and a SunSpec device needs none" {
	"$PSEC" device new "tcp://127.0.0.1:$PORT#9" --id half --range 3:0x5000-0x5020 grid-meter.voltage_l1_v=232.6V 2>said
	grep -q 'half.yaml:[0-9]*: points role grid-meter needs grid-meter.power_w' said
	"$PSEC" device new "tcp://127.0.0.1:$PORT#6" 2>said
	grep -q "profile 'sunspec-inverter' fits" said
}

@test "reading a device writes nothing to it" {
	[ -s "$FILES/ledger" ]
	[ "$(awk '$2 != 3 && $2 != 4 && $2 != 17 && $2 != 43' "$FILES/ledger")" = "" ]
}
