#!/usr/bin/env bats
# Any process of psecd may be killed at any time: the others go on, and what starts again continues.
load ../system/site

setup() {
	site_folder
	sim_start --series none --watchdog 30s
	psecd_start
	wait_until 10 all_live
	ask control.set '{"power_w": -800}'
	wait_until 15 sim_near setpoint_w -800 1
	core=$(pid_of psecd-core) field=$(pid_of psecd-field)
}
teardown() {
	[ -z "${stopped:-}" ] || kill -CONT "$stopped" 2>/dev/null || true
	site_remove
}

@test "core is killed: field goes on, core comes back, the mode stands" {
	kill -9 "$core"
	wait_until 10 another psecd-core "$core"
	[ "$(pid_of psecd-field)" = "$field" ]
	wait_until 10 is state running
	is mode manual
	sim_near setpoint_w -800 1
	[ "$(ask status '' daemon.processes.1.restarts)" = 1 ]
	logged "psecd-core ended: killed by signal 9"
}

@test "field is killed: core says so and goes on, and the new field controls again" {
	kill -9 "$field"
	wait_until 10 another psecd-field "$field"
	[ "$(pid_of psecd-core)" = "$core" ]
	wait_until 15 is state running
	wait_until 15 sim_near setpoint_w -800 1
	event "psecd-field is gone"
}

@test "both are killed at once: both come back as a pair" {
	kill -9 "$core" "$field"
	wait_until 10 another psecd-core "$core"
	wait_until 10 another psecd-field "$field"
	wait_until 15 is state running
	wait_until 15 sim_near setpoint_w -800 1
}

@test "the supervisor is killed: the field ends at the safe set-point, and the next psecd continues" {
	kill -9 "$PSECD_PID"
	wait "$PSECD_PID" 2>/dev/null || true
	gone() { ! kill -0 "$field" 2>/dev/null && ! kill -0 "$core" 2>/dev/null; }
	wait_until 10 gone
	sim_is setpoint_w 0.0
	STATE=running psecd_start
	is mode manual
	wait_until 15 sim_near setpoint_w -800 1
}

@test "a psecd that is started while the old field is still there waits for it" {
	kill -9 "$PSECD_PID"
	STATE=running psecd_start
	wait_until 15 sim_near setpoint_w -800 1
	[ "$(pid_of psecd-field)" != "$field" ]
}

@test "core hangs: the envelope expires and the field is safe; then core is replaced" {
	stopped=$core
	kill -STOP "$core"
	wait_until 20 sim_is setpoint_w 0.0
	wait_until 40 another psecd-core "$core"
	stopped=
	wait_until 15 is state running
	wait_until 15 sim_near setpoint_w -800 1
	event signal-lost # the field kept it for the next core
	logged "does not answer"
}

@test "field hangs: it is replaced" {
	stopped=$field
	kill -STOP "$field"
	wait_until 40 another psecd-field "$field"
	stopped=
	wait_until 15 is state running
	wait_until 15 sim_near setpoint_w -800 1
}

@test "killed again and again, at any moment, it continues" {
	for n in 1 2 3 4 5 6; do
		kill -9 "$(pid_of psecd-core)" 2>/dev/null || true
		kill -9 "$(pid_of psecd-field)" 2>/dev/null || true
		wait_until 20 runs psecd-core
	done
	wait_until 30 is state running
	wait_until 15 sim_near setpoint_w -800 1
	is mode manual
}
