#!/usr/bin/env bats
# psecd over a simulated site: from the check of its configuration to the safe end.
load site

setup() { site_folder; }
teardown() { site_remove; }

checked() { [ "$(status checked.result)" = passed ]; }

@test "psecd -n says every fault with its line, and nothing when there is none" {
	sim_start --series none
	run -0 "$PSECD" -C "$DIR" -n
	[ -z "$output" ]
	sed -i 's/sunspec-inverter/no-such-profile/' site.yaml
	run -65 "$PSECD" -C "$DIR" -n
	[[ $output == *"site.yaml:"*"no-such-profile"* ]]
	sed -i 's/capacity_wh: 10000/capacity_wh: many/' site.yaml
	run -65 "$PSECD" -C "$DIR" -n
	[[ $output == *"site.yaml:"*"capacity_wh"* ]]
	run -65 "$PSECD" -C "$DIR"
	run -64 "$PSECD" --no-such-option
}

@test "a site is checked, regulated, and left at its safe set-point" {
	sim_start --series none --calm
	psecd_start
	wait_until 10 all_live
	run -77 "$PSEC" -C "$DIR" control mode self-consumption
	[[ $output == *"psec control check"* ]]
	run -0 "$PSEC" -C "$DIR" control check
	checked
	run -0 "$PSEC" -C "$DIR" control mode self-consumption
	wait_until 15 is state running
	house 3000
	wait_until 15 sim_near battery_w 3500 60
	wait_until 15 sim_near grid_w 0 60
	# what psecd says of the site is what is true there
	wait_until 5 status_near load_w 3500 100
	[ "$(status sample_to_wire_us)" -gt 0 ]
	psecd_stop
	sim_is setpoint_w 0.0
	logged "the inverter shows the safe set-point"
	[ ! -e run/psecd.sock ]
	# mode and proof are there again
	STATE=running psecd_start
	is mode self-consumption
	checked
}

# A field that begins only when there is a file "go".
slow_field() {
	mkdir libexec
	ln -s "$B/bin/psecd-core" libexec/
	cat >libexec/psecd-field <<-SH
	#!/bin/bash
	until [ -e "$DIR/go" ]; do read -rt 0.05 <> <(:); done
	exec "$B/bin/psecd-field"
	SH
	chmod +x libexec/psecd-field
	export PSEC_LIBEXEC=$DIR/libexec
}

@test "a psecd that has just begun says so, and the sign check waits for its devices" {
	sim_start --series none --calm
	slow_field
	STATE=starting psecd_start
	[ "$(status lost)" = "[]" ]
	run -0 "$PSEC" -C "$DIR" status
	[[ $output == *"Mode        off, starting"* ]]
	[[ $output != *"is gone"* ]]
	"$PSEC" -C "$DIR" control check >checked 2>&1 3>&- &
	check=$!
	touch go
	wait $check
	grep -q '^passed' checked
}

@test "mode off tells the same truth as off: not done while the inverter is silent" {
	sim_start --series none
	psecd_start
	wait_until 10 all_live
	run -0 "$PSEC" -C "$DIR" control set -- -800
	wait_until 15 sim_near setpoint_w -800 1
	fault battery silent
	wait_until 20 event signal-lost
	for words in "off" "mode off"; do
		run -69 "$PSEC" -C "$DIR" control $words
		[[ $output == *"'battery' does not answer"*"switch it off at the device"* ]]
	done
	run ! event "all signals are there" # nobody looks in mode off
	fault battery none
	wait_until 40 sim_is setpoint_w 0.0
	run -0 "$PSEC" -C "$DIR" control mode off
}

@test "psecd scans on request, leaves what it uses alone, and goes on regulating" {
	local meter bms
	sim_start --series none --with bms
	psecd_start
	wait_until 10 all_live
	meter=$(address meter) bms=$(address bms)
	run -0 --separate-stderr "$PSEC" -C "$DIR" scan --json "${meter%#*}" "${bms%#*}"
	/usr/bin/python3 - "${meter%#*}" "$bms" <<-P
	import json, sys
	rows = {r["address"]: r for r in json.loads('''$output''')}
	assert rows[sys.argv[1]]["faults"] == ["in use as 'meter': left alone"], rows
	assert rows[sys.argv[2]]["state"] == "device", rows
	P
	event "scan of"
	all_live
	[ "$(status devices.0.timeouts)" = 0 ]
}

@test "a manual set-point reaches the inverter, and off takes it back" {
	sim_start --series none
	psecd_start
	wait_until 10 all_live
	run -0 "$PSEC" -C "$DIR" control set -- -800
	wait_until 15 sim_near setpoint_w -800 1
	wait_until 15 status_near battery_w -800 50
	run -0 "$PSEC" -C "$DIR" control off
	wait_until 15 sim_is setpoint_w 0.0
	event "mode is off, was manual"
	event '"who": "unix:'
}

@test "observe decides and writes nothing" {
	sim_start --series none
	psecd_start
	wait_until 10 all_live
	ask control.mode '{"mode": "observe"}'
	wait_until 10 status_near wish_w 500 100
	[ "$(sim devices.1.writes)" = 0 ]
	psecd_stop
	[ "$(sim devices.1.writes)" = 0 ]
}

@test "a meter that falls silent leads to the safe set-point, and back when it speaks again" {
	CONTROL=$'control:\n  limits: {import_w: 20000}' sim_start --series none
	psecd_start
	wait_until 10 all_live
	ask control.set '{"power_w": -800}'
	wait_until 15 is state running
	fault meter silent
	wait_until 15 is state safe
	wait_until 15 sim_is setpoint_w 0.0
	event signal-lost
	fault meter none
	wait_until 40 is state running
	wait_until 15 sim_near setpoint_w -800 1
	event signal-back
}

@test "a second psecd on the same site is refused and names the first" {
	sim_start --series none
	psecd_start
	run -75 "$PSECD" -C "$DIR"
	[[ $output == *"pid $PSECD_PID"* ]]
	is state idle
}

@test "a state folder that is a link is refused with what to do, and what it leads to is left alone" {
	"$PSEC" -C "$DIR/linked" init --id linked --tier sim --yes >/dev/null
	mkdir elsewhere
	rmdir linked/state
	ln -s ../elsewhere linked/state
	before=$(stat -c '%u %g %a' elsewhere)
	run -77 timeout 20 "$PSECD" -C "$DIR/linked"
	[[ $output == *"is a symbolic link"*"mount --bind"* ]]
	[ "$(stat -c '%u %g %a' elsewhere)" = "$before" ]
	[ -z "$(ls elsewhere)" ]
}

@test "a psecd that is started while the one before is stopping waits for it" {
	sim_start --series none
	psecd_start
	wait_until 10 all_live
	ask control.set '{"power_w": -800}'
	wait_until 15 sim_near setpoint_w -800 1
	fault battery silent # so that it takes its 4 s
	kill "$PSECD_PID"
	wait_until 5 grep -q stopping run/psecd.lock
	old=$PSECD_PID
	"$PSECD" -C "$DIR" >>log 2>&1 3>&- &
	PSECD_PID=$!
	wait "$old" || true
	wait_until 15 is mode manual
	logged "waiting for the psecd before"
	[ "$(cat run/psecd.lock)" = "$PSECD_PID" ]
}

@test "status says when site.yaml is not what runs, and that a comment changes nothing" {
	sim_start --series none
	psecd_start
	echo '# looked at' >>site.yaml
	[ "$("$PSEC" -C "$DIR" status --json | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["site_file"])')" = same ]
	sed -i 's/poll: 100ms/poll: 200ms/' site.yaml
	run -0 "$PSEC" -C "$DIR" status
	[[ $output == *"Site file   site.yaml says other than psecd runs"* ]]
	sed -i 's/poll: 200ms/poll: often/' site.yaml
	run -0 "$PSEC" -C "$DIR" status
	[[ $output == *"has faults"* ]]
}

@test "device read of a device that has never answered ends with 69 and says why" {
	sim_start --series none
	fault meter silent
	psecd_start
	lost() { status devices.0.state | grep -q lost; }
	wait_until 20 lost
	run -69 "$PSEC" -C "$DIR" device read meter
	[[ $output == *"'meter' has not answered yet: "* ]]
	run -69 "$PSEC" -C "$DIR" device read meter power_w
}

@test "device.read is answered from the field" {
	sim_start --series none
	psecd_start
	wait_until 10 all_live
	reads() { ask device.read '{"device": "meter"}' | grep -q '"point": "grid-meter.power_w"'; }
	wait_until 5 reads
}

@test "a viewer sees and may not set; a stranger does not even see" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	ACCESS=$'access:\n  - user: daemon\n    right: viewer' sim_start --series none
	psecd_start
	chmod 755 "$DIR/run"
	as() { setpriv --reuid "$1" --regid "$1" --clear-groups /usr/bin/python3 - "$DIR/run/psecd.sock" "$2" "$3" <"$TOP/tests/system/ask.py"; }
	run -0 as daemon control.status ''
	run -1 as daemon control.set '{"power_w": 100}'
	[[ $output == "refused: "*operator*"viewer"* ]]
	run -1 as bin control.status ''
	[[ $output == "refused: "* ]]
	[ "$(status mode)" = off ]
	event '"kind": "refused"'
	event '"who": "unix:daemon"'
	cp "$PSEC" "$DIR/psec" # a user who may not pass through the folders above the build may run it all the same
	run -77 setpriv --reuid daemon --regid daemon --clear-groups "$DIR/psec" -C "$DIR" control set 100
}

# what a process of psecd may not be or have; users of its own when the machine has them
confined() {
	grep -qE '^CapEff:\s0+$' "/proc/$1/status"
	grep -qE '^CapBnd:\s0+$' "/proc/$1/status"
	grep -qE '^NoNewPrivs:\s1$' "/proc/$1/status"
	grep -qE '^Seccomp:\s2$' "/proc/$1/status"
	run ! grep -qE '^Uid:.*\b0\b' "/proc/$1/status"
	run ! grep -qE '^Groups:.*\b0\b' "/proc/$1/status"
}
# inodes of its sockets that are in a table of /proc/net
sockets_in() {
	local i
	for i in $(ls -l "/proc/$1/fd" | grep -o 'socket:\[[0-9]*\]' | tr -dc '0-9\n'); do
		cat "/proc/$1/net/"{tcp,tcp6,udp,udp6,raw,packet} 2>/dev/null | grep -w "$i" || true
	done
}

@test "each process has only what its job needs" {
	[ "$(id -u)" = 0 ] || skip "only root can take rights away from its children"
	sim_start --series none
	psecd_start
	wait_until 10 all_live
	core=$(pid_of psecd-core) field=$(pid_of psecd-field)
	confined "$core"
	confined "$field"
	# core has no network; field has, and neither the database nor the control socket
	[ -z "$(sockets_in "$core")" ]
	[ -n "$(sockets_in "$field")" ]
	ls -l "/proc/$core/fd" | grep -q 'psec\.db'
	run ls -l "/proc/$field/fd"
	[[ $output != *psec.db* ]]
	listening=$(awk -v s="$DIR/run/psecd.sock" '$8 == s { print $7; exit }' /proc/net/unix)
	[ -n "$listening" ]
	[[ $output != *"[$listening]"* ]]
	# nobody listens on a port
	run cat "/proc/$field/net/tcp"
	for i in $(ls -l "/proc/$field/fd" "/proc/$core/fd" | grep -o 'socket:\[[0-9]*\]' | tr -dc '0-9\n'); do
		run ! awk -v i="$i" '$4 == "0A" && $10 == i { found = 1 } END { exit !found }' "/proc/$field/net/tcp"
	done
}

@test "with users of their own the children are two different ones, and without them psecd says so" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	sim_start --series none
	if getent passwd psec-core psec-field >/dev/null; then
		psecd_start
	else
		psecd_start
		[[ $(ask status '' protection) == *"not protected from each other"* ]]
		psecd_stop
		# the same machine, seen with these users
		unshare -m true 2>/dev/null || skip "no mount namespaces here"
		{ cat /etc/passwd; printf 'psec-core:x:64711:64711::/:/bin/false\npsec-field:x:64712:64712::/:/bin/false\n'; } >passwd
		psecd_start unshare -m sh -c 'mount --bind passwd /etc/passwd && exec "$@"' sh
	fi
	uids() { for p in psecd-core psecd-field; do awk '/^Uid:/ { print $2 }' "/proc/$(pid_of $p)/status"; done; }
	[ "$(uids | sort -u | grep -cvx -e 0 -e 65534)" = 2 ]
	[ "$(ask status '' protection)" = "" ]
	[ "$(stat -c %u state/psec.db)" = "$(uids | head -1)" ]
}

@test "a core that was taken over cannot put anything in the place of what root keeps in the state folder" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	sim_start --series none
	mkdir -p state
	mkdir -m 700 state/tpm
	echo sealed >state/secrets
	chmod 600 state/secrets
	psecd_start
	core=$(awk '/^Uid:/ { print $2 }' "/proc/$(pid_of psecd-core)/status")
	group=$(awk '/^Gid:/ { print $2 }' "/proc/$(pid_of psecd-core)/status")
	[ "$core" != 0 ]
	as_core() { setpriv --reuid "$core" --regid "$group" --clear-groups "$@"; }
	chmod a+x . .. # only the folder itself is to stand in the way
	as_core touch state/its-own
	as_core rm state/its-own
	run ! as_core mv state/tpm state/away
	run ! as_core mv state/secrets state/away
	run ! as_core rm -f state/secrets
	run ! as_core chmod 700 state
	[ "$(cat state/secrets)" = sealed ]
	[ "$(stat -c '%u %a' state)" = "0 1775" ]
	# and the same after the next start, which finds its own files there
	psecd_stop
	psecd_start
	run ! as_core mv state/tpm state/away
	[ "$(stat -c %u state/psec.db)" = "$core" ]
}

@test "systemd is told when it serves and when it stops" {
	sim_start --series none
	/usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
open("notify.ready", "w").close()
while True:
    print(s.recv(256).decode(), flush=True)' >told 3>&- &
	listener=$!
	wait_until 5 test -e notify.ready
	psecd_start env NOTIFY_SOCKET="$DIR/notify" WATCHDOG_USEC=1000000
	wait_until 5 grep -qx READY=1 told
	wait_until 5 grep -qx WATCHDOG=1 told
	psecd_stop
	wait_until 5 grep -qx STOPPING=1 told
	end "$listener"
}

@test "a grid meter on a serial line is read and controlled with, by a field in its jail" {
	sim_start --series none --rtu
	wait_until 5 test -e run/rs485
	sed -i "s|profile: sunspec-meter|profile: eastron-sdm630|; s|address: tcp://127.0.0.41:.*|address: rtu://$DIR/run/rs485?baud=9600\&parity=none#1|; s|poll: 100ms|poll: 300ms|" site.yaml
	psecd_start
	wait_until 15 all_live
	wait_until 10 status_near grid_w 500 60
	ask control.set '{"power_w": 300}'
	wait_until 15 status_near grid_w 200 60
	if [ "$(id -u)" = 0 ]; then
		grep -qE '^Seccomp:\s2$' "/proc/$(pid_of psecd-field)/status"
		grep -qE '^Threads:\s1$' "/proc/$(pid_of psecd-field)/status"
	fi
}

@test "the sign check of another inverter is void" {
	sim_start --series none --calm
	psecd_start
	wait_until 10 all_live
	run -0 "$PSEC" -C "$DIR" control check
	run -0 "$PSEC" -C "$DIR" control mode self-consumption
	wait_until 15 is state running
	psecd_stop
	end "$SIM_PID"
	sim_start --series none --calm --seed 2 # other serial numbers
	STATE=refused psecd_start
	event "the sign check is void"
	is checked null
	run -77 "$PSEC" -C "$DIR" control mode self-consumption
	[ "$(sim setpoint_w)" = 0.0 ]
}

@test "what is in the place of the lock and is no file is named" {
	sim_start --series none
	mkfifo run/psecd.lock
	run -77 timeout 20 "$PSECD" -C "$DIR"
	[[ $output == *"psecd.lock' is not a regular file; take it away first"* ]]
	[ -p run/psecd.lock ]
}

# hold USER: 195 connections of that user, kept until the test ends; what was said to the last is in USER.
hold() {
	setpriv --reuid "$1" --regid "$1" --clear-groups /usr/bin/python3 -c '
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
all = [socket.socket(socket.AF_UNIX) for _ in range(195)]
for s in all: s.connect(sys.argv[1])
all[-1].settimeout(20)
print(all[-1].recv(4096).decode(), flush=True)
sys.stdin.read()' "$DIR/run/psecd.sock" <hold >"$1" 3>&- 7>&- &
	holders+=($!)
	wait_until 20 grep -q 'too many connections' "$1"
}

@test "connections of ordinary users shut out neither root nor, by one of them, each other" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	ACCESS="access: [$(printf '{user: %s, right: viewer}, ' daemon bin sys games)]" sim_start --series none
	psecd_start
	chmod 755 "$DIR/run"
	mkfifo hold
	exec 7<>hold # its end lets all go
	holders=()
	hold daemon
	as() { setpriv --reuid "$1" --regid "$1" --clear-groups /usr/bin/python3 - "$DIR/run/psecd.sock" "$2" "$3" <"$TOP/tests/system/ask.py"; }
	run -0 as bin control.status ''
	run -1 as daemon control.status ''
	[[ $output == *"too many connections"* ]]
	for user in bin sys games; do hold "$user"; done
	# all places but those of root are taken
	run -0 "$PSEC" -C "$DIR" control set -- -300
	[ "$(status mode)" = manual ]
	run -0 "$PSEC" -C "$DIR" control off
	for pid in "${holders[@]}"; do end "$pid"; done
	exec 7>&-
	seen() { as daemon control.status ''; }
	wait_until 10 seen
}
