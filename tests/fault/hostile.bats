#!/usr/bin/env bats
# Meters that lie in every way there is (peers/liar.py), under one running psecd: no lie is ever a value, nothing hangs, the
# event names the meter and the reason, and who is honest again is believed again.
load liars

setup() {
	site_folder
	liars_start 127.63.$((RANDOM % 250 + 1))
	CONTROL=$'control:\n  limits: {import_w: 20000}' sim_start --series none
	liars_enter
	psecd_start
	wait_until 20 each_live
	/usr/bin/python3 "$TOP/tests/fault/only_true.py" "$DIR" meter $(cut -d' ' -f2 liars) >seen 2>seen.err 3>&- &
	SEEN_PID=$!
	ask control.set '{"power_w": -800}'
	wait_until 15 sim_near setpoint_w -800 1
}

teardown() {
	[ -z "${SEEN_PID:-}" ] || end "$SEEN_PID"
	[ -z "$PSECD_PID" ] || end "$PSECD_PID"
	PSECD_PID=
	liars_end
	site_remove
}

# The meter of the site is one of them, and each lie has a load meter that is called after it.
liars_enter() {
	sed -i "s|address: $(address meter)|address: tcp://$NET.9:1502#1|" site.yaml
	while read -r host lie; do
		printf '  - name: %s\n    profile: sunspec-meter\n    address: tcp://%s:1502#1\n    roles: [load-meter]\n    poll: 200ms\n' "$lie" "$host"
	done <liars >entries
	sed -i -e '/^batteries:/{
		e cat entries
	}' site.yaml
	"$PSEC" -C "$DIR" site check
}

each_live() { live $(($(wc -l <liars) + 3)); }
# Each of those HOSTs has told so many lies more than when before.json was copied.
lied() { /usr/bin/python3 -c '
import json, sys
was, now = (json.load(open(f))["lies"] for f in ("before.json", "lies.json"))
sys.exit(any(now[h] < was[h] + int(sys.argv[1]) for h in sys.argv[2:]))' "$@"; }
last_event() { ask events '{"max": 1}' | grep -o '"id": [0-9]*' | tr -dc 0-9; }
# since ID EXPRESSION: an event after that one, whose "kind: subject: text" fits
since() { ask events "{\"after\": $1, \"max\": 200}" | /usr/bin/python3 -c '
import json, re, sys
sys.exit(not any(re.search(sys.argv[1], "%(kind)s: %(subject)s: %(text)s" % e) for e in json.load(sys.stdin)))' "$2"; }
only_true() {
	kill "$SEEN_PID"
	local status=0
	wait "$SEEN_PID" || status=$?
	SEEN_PID=
	cat seen seen.err
	return $status
}

# What the event says of a lie.
reason_of() {
	case $1 in
	transaction) echo 'transaction [0-9]+ was answered instead of' ;;
	protocol) echo 'this is not Modbus' ;;
	unit) echo 'unit 77 answered instead of 1' ;;
	length) echo "the header's length is 65280" ;;
	shorter | twice) echo 'bytes follow the answer' ;;
	function) echo 'function 4 answered instead of 3' ;;
	fewer | more) echo 'the byte count is [0-9]+ instead of' ;;
	count) echo 'bytes of values came, the byte count says|ends before its byte count' ;;
	exception) echo 'exception code 99 does not exist' ;;
	endless) echo 'transaction [0-9]+ was answered instead of|bytes came for one question' ;;
	trickle) echo 'only [0-9]+ bytes of an answer came in 1000 ms' ;;
	late | silent) echo 'no answer in 1000 ms' ;;
	vanish) echo 'the device closed the connection instead of answering' ;;
	reset) echo 'the connection broke|closed the connection' ;;
	esac
}

@test "every lie at once: none is a value, each meter is lost with the reason, the site's control goes on, and the honest are back" {
	mark=$(last_event)
	order "* own"
	while read -r host lie; do
		wait_until 20 since "$mark" "^device: $lie: is lost: .*($(reason_of "$lie"))" || { echo "$lie"; ask events '{"max": 60}'; false; }
	done <liars
	is state running
	sim_near setpoint_w -800 1
	run ! since "$mark" '^signal-lost:|^device: (meter|battery|pv):'
	order "* honest"
	wait_until 40 each_live
	# every seventh answer: what is said between the lies is believed, and the lies are not
	order "* own 7"
	cp lies.json before.json
	wait_until 60 lied 3 $(cut -d' ' -f1 liars)
	is state running
	order "* honest"
	wait_until 60 each_live
	run ! since "$mark" '^signal-lost:|^device: (meter|battery|pv):'
	[ "$(ask status '' daemon.processes | grep -o '"restarts": 0' | wc -l)" = 3 ]
	only_true
}

@test "when the site's own meter lies, control is safe, says why, and comes back when it is honest" {
	for lie in transaction trickle vanish endless; do
		mark=$(last_event)
		order "$NET.9 $lie"
		wait_until 15 is state safe
		[[ $(status lost_words) == *"meter lost"* ]]
		wait_until 5 since "$mark" "^device: meter: is lost: .*($(reason_of $lie))" || { echo "$lie"; ask events; false; }
		[ "$lie" != transaction ] || wait_until 15 sim_is setpoint_w 0.0
		order "$NET.9 honest"
		wait_until 40 is state running
	done
	wait_until 15 sim_near setpoint_w -800 1
	# now and then: control may be safe or running, and runs when the lies are over
	order "$NET.9 unit 15"
	cp lies.json before.json
	wait_until 40 lied 5 "$NET.9"
	order "$NET.9 honest"
	wait_until 40 is state running
	wait_until 15 sim_near setpoint_w -800 1
	only_true
}
