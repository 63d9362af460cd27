# A simulated site and psecd over it, for system and fault tests. Nothing here waits for a time; wait_until waits for a fact.
. "$BATS_TEST_DIRNAME/../cli/helper.bash"

# Others may pass through, so that a test as another user reaches the socket.
site_folder() {
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/psec-test.XXXXXX")
	chmod 755 "$DIR"
	cd "$DIR"
	export HOME=$DIR
	SIM_PID= PSECD_PID=
}

site_remove() {
	[ -z "$PSECD_PID" ] || end "$PSECD_PID"
	[ -z "$SIM_PID" ] || end "$SIM_PID"
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || { [ ! -f "$DIR/log" ] || cat "$DIR/log"; }
	cd /
	rm -rf "$DIR"
}

end() {
	kill "$1" 2>/dev/null || return 0
	wait "$1" 2>/dev/null || true
}

ask() { /usr/bin/python3 "$TOP/tests/system/ask.py" "$DIR/run/psecd.sock" "$@"; }
status() { ask control.status '' "$1"; }
sim() { /usr/bin/python3 "$TOP/tests/system/ask.py" "$DIR/run/sim.sock" sim.status '' "$1"; }
is() { [ "$(status "$1")" = "$2" ]; }
sim_is() { [ "$(sim "$1")" = "$2" ]; }
house() { "$PSEC" -C "$DIR" sim load "$1"; } # so much more than its series
fault() { "$PSEC" -C "$DIR" sim fault "$1" "$2"; }
status_near() { near "$(status "$1")" "$2" "$3"; }
sim_near() { near "$(sim "$1")" "$2" "$3"; }
pid_of() { ask status '' daemon.processes | /usr/bin/python3 -c '
import json, sys
for p in json.load(sys.stdin):
    if p["name"] == sys.argv[1]: print(p["pid"])' "$1"; }
runs() { [ -n "$(pid_of "$1")" ] && [ "$(pid_of "$1")" != null ]; }
another() { runs "$1" && [ "$(pid_of "$1")" != "$2" ]; } # a new process of that name
event() { ask events '{"max": 200}' | grep -q "$1"; }
logged() { grep -q -- "$1" "$DIR/log"; }

# The simulated site on free ports, and a site.yaml for it. Options go to `psec sim run`; $ACCESS and $CONTROL are put in.
sim_start() {
	"$PSEC" -C "$DIR" sim run --json --port 0 --host 127.0.0.41 "$@" >sim.json 2>sim.err 3>&- &
	SIM_PID=$!
	wait_until 10 sim at
	address() { /usr/bin/python3 -c '
import json, sys
print([d["address"] for d in json.load(open("sim.json")) if d["name"] == sys.argv[1]][0])' "$1"; }
	cat >site.yaml <<-YAML
	psec: 1
	site:
	  id: test-site
	  tier: sim
	devices:
	  - name: meter
	    profile: sunspec-meter
	    address: $(address meter)
	    roles: [grid-meter]
	    poll: 100ms
	  - name: battery
	    profile: sunspec-storage
	    address: $(address battery)
	    roles: [battery-inverter, bms]
	  - name: pv
	    profile: sunspec-inverter
	    address: $(address pv)
	    roles: [pv-inverter]
	batteries:
	  - name: house
	    inverter: battery
	    bms: battery
	    capacity_wh: 10000
	${CONTROL:-}
	${ACCESS:-}
	YAML
	chmod 644 site.yaml
}

# With as few open files as systemd gives.
psecd_start() {
	local files
	files=$(ulimit -Sn)
	ulimit -Sn 1024
	"$@" "$PSECD" -C "$DIR" >>log 2>&1 3>&- &
	PSECD_PID=$!
	ulimit -Sn "$files"
	wait_until 15 is state "${STATE:-idle}"
}

# Ends well, or the test has failed.
psecd_stop() {
	local pid=$PSECD_PID
	PSECD_PID=
	kill "$pid"
	wait "$pid"
}

live() { [ "$(ask control.status | grep -o '"state": "live"' | wc -l)" = "$1" ]; } # so many devices
all_live() { live 3; }
whole() { [ "$(sqlite3 "file:$DIR/state/psec.db?mode=ro" 'PRAGMA integrity_check')" = ok ]; }
order() { printf '%s\n' "$@" >orders.new && mv orders.new orders; } # what peers that read ./orders do from now on
