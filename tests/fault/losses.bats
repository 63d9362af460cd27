#!/usr/bin/env bats
# The rows of the table of losses in psecd(8) that no other file here proves: silent devices, a BMS without limits,
# a full disk, and a UTC clock that steps.
load ../system/site

setup() { site_folder; }
teardown() { site_remove; }

site_runs() {
	sim_start --series none
	psecd_start "$@"
	wait_until 15 all_live
	charges
}

charges() {
	ask control.set '{"power_w": -800}'
	wait_until 15 is state running
	wait_until 15 sim_near setpoint_w -800 1
}

# falls DEVICE FAULT WORDS: control is safe and says the words, the battery's set-point is safe, and it comes back.
falls() {
	fault "$1" "$2"
	wait_until 20 is state safe
	[[ $(status lost_words) == *"$3"* ]] || { status lost_words; false; }
	wait_until 5 event signal-lost
	[ "$1" = battery ] || wait_until 15 sim_is setpoint_w 0.0
	fault "$1" none
	wait_until 60 is state running
	wait_until 15 sim_near setpoint_w -800 1
}

unrecorded() { [[ $(status store_fault) == *?" "* ]]; }
recorded() { [ "$(status store_fault)" = null ] || [ -z "$(status store_fault)" ]; }

@test "the disk is full: control goes on, mode off is taken, status says it, and it records again when there is room" {
	[ "$(id -u)" = 0 ] || skip "a disk of its own needs root"
	unshare -m true 2>/dev/null || skip "no mount namespace of its own here"
	mkdir -p state
	site_runs unshare -m sh -c 'mount -t tmpfs -o size=2m,mode=755 tmpfs "$0/state" && exec "$@"' "$DIR"
	local disk=/proc/$PSECD_PID/root$DIR/state
	[ "$(stat -f -c %T "$disk")" = tmpfs ]
	recorded
	cat /dev/zero >"$disk/fill" 2>/dev/null || true
	wait_until 60 unrecorded
	run -0 "$PSEC" -C "$DIR" control status
	[[ $output == *"nothing is recorded"* ]]
	is state running
	sim_near setpoint_w -800 1
	# what a restart would lose is refused, and what was commanded stays
	run -74 "$PSEC" -C "$DIR" control set -- -900
	sim_near setpoint_w -800 1
	run -0 "$PSEC" -C "$DIR" control mode off
	wait_until 15 sim_is setpoint_w 0.0
	is mode off
	rm "$disk/fill"
	wait_until 30 recorded
	wait_until 15 event "mode off is stored now"
	"$PSEC" -C "$DIR" audit tail --csv | grep -q "unix:$(id -un).*"'""mode"":""off"",""mode_was"":""manual""'
	run -0 "$PSEC" -C "$DIR" control set -- -900
	wait_until 15 sim_near setpoint_w -900 1
	[ "$(ask status '' daemon.processes | grep -o '"restarts": 0' | wc -l)" -ge 2 ]
}

# clock_at SECONDS: so far off is psecd's UTC clock from now on.
clock_at() {
	/usr/bin/python3 -c '
import struct, sys
open("clock", "r+b").write(struct.pack("=q", int(sys.argv[1])))' "$1"
}

# The last event's time is that of the stepped clock, within a minute.
steps_to() {
	clock_at "$1"
	ask control.set "{\"power_w\": $2}"
	wait_until 15 sim_near setpoint_w "$2" 1
	ask events '{"max": 200}' | /usr/bin/python3 -c '
import json, sys, time, datetime
events = json.load(sys.stdin)
events = events if isinstance(events, list) else events["events"]
e = [e for e in events if "manual set-point is %s W" % sys.argv[2] in json.dumps(e)][-1]
at = e.get("time") or e.get("ts_utc") or e.get("utc")
at = datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
assert abs(at - time.time() - int(sys.argv[1])) < 60, e' "$1" "$2"
}

@test "the UTC clock steps forward and back: control does not notice, nothing is lost, nothing is dropped" {
	[ -z "${PSEC_SAN:-}" ] || skip "a sanitizer wants to be the first that is preloaded"
	cp "$B/fault/clock_step.so" . # where psecd's users may pass
	head -c 8 /dev/zero >clock
	chmod 644 clock
	# The children get no environment that is not psecd's own.
	mkdir libexec
	for child in psecd-core psecd-field; do
		cat >libexec/$child <<-SH
		#!/bin/sh
		LD_PRELOAD="$DIR/clock_step.so" CLOCK_STEP="$DIR/clock" exec "$B/bin/$child" "\$@"
		SH
		chmod +x libexec/$child
	done
	chmod 755 libexec clock_step.so
	PSEC_LIBEXEC=$DIR/libexec site_runs
	steps_to 315360000 -700 # ten years
	steps_to 0 -600
	steps_to -31536000 -500 # a year back
	steps_to 0 -400
	is state running
	event "manual set-point is -800 W" # the first is still there
	run ! event signal-lost
	[ "$(ask status '' daemon.processes | grep -o '"restarts": 0' | wc -l)" = 3 ]
	recorded
	psecd_stop
	whole
}

@test "the meter is silent: the battery is safe, and comes back" {
	CONTROL=$'control:\n  limits: {import_w: 20000}' site_runs
	falls meter silent "meter lost"
}

@test "the inverter is silent: it is told the safe set-point when it answers, and comes back" {
	site_runs
	falls battery silent "inverter lost"
}

# The site with a BMS of its own.
bms_runs() {
	sim_start --series none --with bms
	local bms="  - name: bms\n    profile: pylontech-powercube-m2\n    address: $(address bms)\n    roles: [bms]"
	sed -i -e 's/roles: \[battery-inverter, bms\]/roles: [battery-inverter]/' -e 's/^    bms: battery/    bms: bms/' \
		-e "/^batteries:/i\\$bms" site.yaml
	psecd_start
	wait_until 15 live 4
	charges
}

@test "the BMS is silent: the battery rests, and comes back" {
	bms_runs
	falls bms silent "BMS lost"
}

@test "a BMS that shows impossible values: none is believed, the battery rests, and comes back" {
	bms_runs
	falls bms impossible "BMS lost"
}

@test "a BMS that shows no limits: nothing flows, and it is said why" {
	mkdir profiles
	sed '/bms\..*charge_limit_[aw]:/,/^  bms\.alarm\|^  # The limits/{/bms\.alarm/!d}; s/^id: .*/id: no-limits/' \
		"$TOP/lib/device/profiles/sunspec-storage.yaml" >profiles/no-limits.yaml
	run ! grep -q 'charge_limit' profiles/no-limits.yaml
	sim_start --series none
	sed -i 's/sunspec-storage/no-limits/' site.yaml
	psecd_start
	wait_until 15 all_live
	ask control.set '{"power_w": -800}'
	wait_until 15 is clamp bms-charge-limit
	sim_is setpoint_w 0.0
	ask control.set '{"power_w": 800}'
	wait_until 15 is clamp bms-discharge-limit
	sim_is setpoint_w 0.0
	sim_near battery_w 0 10
	run -0 "$PSEC" -C "$DIR" control status --why
	[[ $output == *"bms-discharge-limit"* ]]
}
