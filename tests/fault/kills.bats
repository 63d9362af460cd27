#!/usr/bin/env bats
# Whichever process of psecd is killed, at any moment: what was acknowledged is kept, the database is whole, and control goes on.
load ../system/site

setup() {
	site_folder
	sim_start --series none
	psecd_start
	wait_until 10 all_live
}
teardown() { site_remove; }

# The same moments each time; PSEC_SEED gives others.
moment() { read -rt "$(awk -v r=$RANDOM 'BEGIN { printf "%.3f", r / 32768 }')" <> <(:) || true; }

ids() { ask events "{\"after\": $1, \"max\": 200}" | /usr/bin/python3 -c 'import json, sys; print(*[e["id"] for e in json.load(sys.stdin)])'; }

# Every event there is, by its id, in order, none missing.
events_without_gap() {
	local after=0 page n
	while page=$(ids $after) && [ -n "$page" ]; do
		for n in $page; do
			[ "$n" = $((after + 1)) ] || { echo "event $n follows $after"; return 1; }
			after=$n
		done
	done
	[ $after -gt 0 ]
}

killed() {
	case $1 in
	core | field) kill -9 "$(pid_of "psecd-$1")" ;;
	children) kill -9 "$(pid_of psecd-core)" "$(pid_of psecd-field)" ;;
	psecd)
		kill -9 "$PSECD_PID"
		wait "$PSECD_PID" 2>/dev/null || true
		;;
	all)
		kill -9 "$(pid_of psecd-field)" "$(pid_of psecd-core)" "$PSECD_PID" # a field that outlives the others acts
		wait "$PSECD_PID" 2>/dev/null || true
		;;
	esac
}

@test "ten kills at random moments: what was acknowledged stands, no event is lost, the database is whole, control goes on" {
	RANDOM=${PSEC_SEED:-20261}
	for n in 1 2 3 4 5 6 7 8 9 10; do
		local victims=(core field children psecd all) power=$((-400 - 50 * n))
		local victim=${victims[RANDOM % 5]}
		echo "$n: $victim at $power W"
		moment
		ask control.set "{\"power_w\": $power}"
		# now at once, now while the set-point is on its way
		[ $((RANDOM % 2)) = 0 ] || moment
		killed "$victim"
		case $victim in
		psecd | all) STATE=running psecd_start ;; # waits for an old field, which goes to the safe set-point first
		*) wait_until 30 is state running ;;
		esac
		is mode manual
		wait_until 20 sim_near setpoint_w $power 1
		event "manual set-point is $power W"
		"$PSEC" -C "$DIR" audit tail -n 20 --csv | grep -q "\"\"manual_w\"\":\"\"$power\"\""
		run -0 "$PSEC" -C "$DIR" audit verify
		whole
		events_without_gap
	done
	psecd_stop
	sim_is setpoint_w 0.0
	whole
}

@test "with all three dead the inverter's own watchdog takes over, and the next psecd continues in the stored mode" {
	[ -n "${PSEC_LONG:-}" ] || skip "takes a minute: make check-long"
	ask control.set '{"power_w": -700}'
	wait_until 15 sim_near battery_w -700 50
	killed all
	sim_near battery_w -700 50
	wait_until 90 sim_near battery_w 0 10 # 60 s after the last write, as the profile has set it
	STATE=running psecd_start
	is mode manual
	wait_until 20 sim_near setpoint_w -700 1
	whole
	events_without_gap
}
