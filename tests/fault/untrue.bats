#!/usr/bin/env bats
# Signals that are there and not true, on a running site: each ends in what psec-control(1) says.
load ../system/site

setup() {
	site_folder
	sim_start --series none --calm
	psecd_start
	wait_until 15 all_live
	run -0 "$PSEC" -C "$DIR" control check
	run -0 "$PSEC" -C "$DIR" control mode self-consumption
	wait_until 15 is state running
	house 1000
	wait_until 20 sim_near grid_w 0 60
}
teardown() { site_remove; }

@test "a meter that turns its sign round voids the sign check; the battery rests until it is passed again" {
	fault meter sign
	house 2000
	wait_until 30 event 'the sign check is void: the meter went where the battery went'
	wait_until 10 is state refused
	wait_until 15 sim_is setpoint_w 0.0
	[ "$(status checked)" = null ]
	run -1 "$PSEC" -C "$DIR" control check # still turned
	fault meter none
	run -0 "$PSEC" -C "$DIR" control check
	wait_until 20 is state running
	wait_until 20 sim_near grid_w 0 60
}

@test "a meter that turns its sign round over next to no load is found before the battery has gone far" {
	house 0
	wait_until 20 sim_near grid_w 0 60
	fault meter sign
	house 100
	went() { sim grid_w >>grids; is state refused; }
	wait_until 20 went
	wait_until 15 sim_is setpoint_w 0.0
	awk '{ if ($1 > 3000 || $1 < -3000) exit 1 }' grids
}

@test "a meter whose power stands still is a lost one" {
	house 1500
	fault meter frozen
	wait_until 40 is state safe
	[[ $(status lost_words) == *"meter frozen"* ]]
	wait_until 15 sim_is setpoint_w 0.0
	fault meter none
	wait_until 40 is state running
}

@test "an inverter that takes set-points and does nothing does not obey, and is safe" {
	fault battery deaf
	house 3000
	wait_until 30 event 'set-point not obeyed'
	fault battery none
	wait_until 60 is state running
}

@test "what was learned of the inverter is told, beside its profile" {
	told() { [ $(($(status model.steps) + $(status model.unjudged))) -gt "$1" ]; }
	wait_until 20 told 0 # the step of the setup is over
	house 3000
	wait_until 20 told 1
	house 0
	wait_until 20 told 2
	[ "$(status model.steps)" -ge 2 ]
	[ "$(status model.profile.lag_ms)" = 700.0 ]
	[ "$(status guard.state)" = quiet ]
	run -0 "$PSEC" -C "$DIR" control status --why
	[[ $output == *"Inverter    dead time "* ]]
	[[ $output == *"Guard       quiet"* ]]
}
