# Meters that lie (peers/liar.py), for tests of faults: ./orders says how, ./lies.json what each has told, ./liars "HOST LIE" a line.
. "$BATS_TEST_DIRNAME/../system/site.bash"

# liars_start NET: their addresses begin with it
liars_start() {
	NET=$1
	: >orders
	/usr/bin/python3 "$TOP/tests/system/peers/liar.py" --host "$NET" --orders orders --status lies.json >liar.out 2>liar.err 3>&- &
	LIAR_PID=$!
	wait_until 20 grep -q ready liar.out || { cat liar.err; return 1; }
	/usr/bin/python3 "$TOP/tests/system/peers/liar.py" --host "$NET" --list >liars
}

liars_end() {
	[ -z "${LIAR_PID:-}" ] || end "$LIAR_PID"
	[ ! -s liar.err ] || cat liar.err
}
