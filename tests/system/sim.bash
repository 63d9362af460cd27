# Simulated sites for system tests, and clients that were not written here.
. "$BATS_TEST_DIRNAME/../cli/helper.bash"

PY=${PSEC_PY:-$TOP/build/venv/bin/python}

client() { "$PY" "$BATS_TEST_DIRNAME/sim_client.py" "$@"; }
sim() { "$PSEC" -C "$SITE" sim "$@"; }

# Start a site in $1 with further options; waits until it answers. Its devices are on free ports, its pid in $1/pid.
start_site() {
	local dir=$1
	shift
	mkdir -p "$dir"
	"$PSEC" -C "$dir" sim run --json --host "127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).11" --port 0 "$@" \
		>"$dir/devices.json" 2>"$dir/errors" 3>&- &
	echo $! >"$dir/pid" # of this test's own child
	wait_until 10 "$PSEC" -C "$dir" sim status || { cat "$dir/errors"; return 1; }
}

end_site() {
	local pid
	pid=$(cat "$1/pid")
	rm -f "$1/pid"
	kill -TERM "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

# Those that a test started beside the file's own.
end_own_sites() {
	local pid
	for pid in "$BATS_TEST_TMPDIR"/*/pid; do
		[ ! -e "$pid" ] || end_site "${pid%/pid}"
	done
}

# The address of a device.
at() { "$PY" -c 'import json,sys; print([d["address"] for d in json.load(open(sys.argv[1])) if d["name"] == sys.argv[2]][0])' "$SITE/devices.json" "$1"; }
# A value of the site's status.
true_value() { sim status --json | "$PY" -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
