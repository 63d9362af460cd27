#!/usr/bin/env bats
# Devices tried out while psecd has them: tests and steps are carried out by it, and a step always ends.
load site

setup() {
	site_folder
	CONTROL=$'control:\n  limits: {import_w: 20000, discharge_w: 1500}' sim_start --series none --calm
	psecd_start
	wait_until 15 all_live
}

teardown() { site_remove; }

rests() { [ "$(ask control.status '' shown_w)" = 0.0 ]; }

@test "a test is carried out by psecd, and its rows are judged and told" {
	"$PSEC" -C "$DIR" device test meter --seconds 3 --json >tested || [ $? = 1 ]
	/usr/bin/python3 - <<'P'
import json
rows = {r["check"]: r for r in json.load(open("tested"))}
assert rows["grid-meter.power_w"]["verdict"] == "ok" and rows["grid-meter.power_w"]["reads"] >= 3, rows
assert rows["answers"]["verdict"] == "ok" and rows["identity"]["why"], rows
P
	event '"kind": "test"'
	run -65 "$PSEC" -C "$DIR" device test nobody
	# by its address psecd has it, too
	run -75 "$PSEC" -C "$DIR" device test "$(address meter)"
}

@test "devices say who they are, by name and by address" {
	"$PSEC" -C "$DIR" device identify --json >all
	/usr/bin/python3 - <<'P'
import json
rows = {r["device"]: r for r in json.load(open("all"))}
assert set(rows) == {"meter", "battery", "pv"} and all(r["serial"] and r["how"] == "psecd" for r in rows.values()), rows
P
	"$PSEC" -C "$DIR" device identify "$(address battery)" --json | grep -q '"device": "battery"'
}

@test "a step is seen at the inverter and at the meter, and ends at the set-point of before" {
	"$PSEC" -C "$DIR" device identify battery --step 800 --seconds 4 --yes --json >stepped
	/usr/bin/python3 - <<'P'
import json
rows = {r["check"]: r for r in json.load(open("stepped"))}
assert [rows[c]["verdict"] for c in ("set-point", "its own power", "grid meter", "back")] == ["ok"] * 4, rows
P
	sim_is setpoint_w 0.0
	event '"kind": "step"'
}

@test "a step is refused that is beyond a limit, of a device that has none, without a word, and while control is on" {
	run -77 "$PSEC" -C "$DIR" device identify battery --step 1800 --yes
	[[ $output == *"the site's limit, 1500 W"* ]]
	run -65 "$PSEC" -C "$DIR" device identify meter --step 500 --yes
	run -64 "$PSEC" -C "$DIR" device identify battery --step 500
	ask control.set '{"power_w": 300}'
	run -77 "$PSEC" -C "$DIR" device identify battery --step 500 --yes
	[[ $output == *"psec control off"* ]]
}

@test "a step ends when psec is killed" {
	"$PSEC" -C "$DIR" device identify battery --step 700 --seconds 10 --yes 3>&- &
	local pid=$!
	wait_until 15 sim_is setpoint_w 700.0
	kill -9 "$pid"
	wait_until 4 sim_is setpoint_w 0.0
}

@test "a step ends when a mode is set, and then the mode counts" {
	"$PSEC" -C "$DIR" device identify battery --step 700 --seconds 10 --yes >stepped 2>&1 3>&- &
	local pid=$!
	wait_until 15 sim_is setpoint_w 700.0
	ask control.set '{"power_w": -400}'
	wait_until 10 sim_is setpoint_w -400.0
	run -77 wait "$pid"
	grep -q 'control is not off' stepped
}

@test "a step ends when psecd ends" {
	"$PSEC" -C "$DIR" device identify battery --step 700 --seconds 10 --yes 3>&- &
	wait_until 15 sim_is setpoint_w 700.0
	psecd_stop
	sim_is setpoint_w 0.0
}

# The battery may still be on its way to rest when it begins: 75. What the step shows (0 or 1) is not this test's matter.
steps() { "$PSEC" -C "$DIR" device identify battery --step 700 --seconds 4 --yes || [ $? = 1 ]; }

@test "a step whose field is killed is taken back by the next one, and then another can begin" {
	"$PSEC" -C "$DIR" device identify battery --step 700 --seconds 10 --yes 3>&- &
	wait_until 15 sim_is setpoint_w 700.0
	kill -9 "$(pid_of psecd-field)"
	wait_until 15 sim_is setpoint_w 0.0
	event 'brought to rest'
	wait_until 20 steps
}
