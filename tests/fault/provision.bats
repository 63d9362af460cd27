#!/usr/bin/env bats
# psec provision is killed at each system call that writes or sends, and at random moments: the next run completes, and tpm2-tools and
# openssl see a whole identity. `make check` takes some of the calls, other ones for another PSEC_SEED; `make check-long` all.
load ../system/provision

setup_file() { provision_file; }
setup() {
	own_folder
	board start
	site sim
	"$PSEC" provision ca init --ca ca --ek-roots ek-roots.pem >/dev/null
	swtpm_stop start # what a clock would have counted is saved
	mkdir fresh
	mv start site.yaml ek-roots.pem recovery.pem ca fresh/
}
teardown() { boards_end; }

# A board and a site as they were at the beginning.
begin() {
	[ -z "${BOARD:-}" ] || swtpm_stop "$BOARD"
	rm -rf board state site.yaml ca ek-roots.pem recovery.pem
	cp -a fresh/start board
	cp -a fresh/site.yaml fresh/ek-roots.pem fresh/recovery.pem fresh/ca .
	board board
}

# No resource manager stands before a swtpm: what the dead had loaded, the next one flushes.
nothing_is_loaded() {
	{ tpm2_getcap handles-transient; tpm2_getcap handles-loaded-session; tpm2_getcap handles-saved-session; } >loaded
	[ ! -s loaded ] || { echo "after a kill: $what: there stays"; cat loaded; return 1; }
}

completes() {
	"$PSEC" "$@" >again 2>&1 || { echo "after a kill: $what: status $?"; cat again; return 1; }
	nothing_is_loaded || return
	whole_identity >seen 2>&1 || { echo "after a kill: $what"; cat again seen; return 1; }
	"$PSEC" provision status >seen || { echo "after a kill: $what"; cat seen; return 1; }
}

# So many of the numbers 1 to LAST, spread, at another place for another seed; all in check-long.
some_of() {
	local last=$1 n=$2 step
	if [ -n "${PSEC_LONG:-}" ]; then seq "$last"; return; fi
	step=$((last / n + 1))
	seq $((1 + ${PSEC_SEED:-7} % step)) "$step" "$last"
}

# killed_at_calls MANY PREPARE COMMAND…: how many calls the command makes, then kill it at some.
killed_at_calls() {
	local many=$1 prepare=$2 last what n
	shift 2
	begin
	$prepare
	kill_at 0 "$PSEC" "$@" >/dev/null 2>count || [ $? = 100 ]
	last=$(tail -n 1 count)
	[ "$last" -gt 50 ]
	for n in $(some_of "$last" "$many"); do
		begin
		$prepare
		kill_at "$n" "$PSEC" "$@" >killed 2>&1 || { [ $? = 100 ] && continue; } || { cat killed; return 1; }
		what="at call $n of $last of psec $*"
		$after "$@"
	done
}

nothing() { :; }
provisioned() { "$PSEC" provision --yes >/dev/null; }

@test "killed at calls of the first run" {
	after=completes killed_at_calls 11 nothing provision --yes
}

renewed() {
	"$PSEC" provision status >/dev/null || true # the next run: else tpm2-tools find no room for a look
	nothing_is_loaded || return
	# old or new, never half: what is in force fits even before the next run
	ldevid_signs state/tpm >seen 2>&1 || { echo "$what: no pair is in force"; cat seen; return 1; }
	completes provision renew
	completes provision --yes
}
@test "killed at calls of a renewal: a whole pair is in force at each moment" {
	after=renewed killed_at_calls 5 provisioned provision renew --force
}

reset_again() {
	"$PSEC" provision reset --yes >again 2>&1 || { echo "$what"; cat again; return 1; }
	nothing_is_loaded || return
	[ -z "$(find state/tpm -type f)" ] && [ ! -e state/secrets ] || { echo "$what"; find state; return 1; }
	tpm2_getcap properties-variable | grep AuthSet >set
	run ! grep -q 1 set
	run ! grep -q 0x8102 <(tpm2_getcap handles-persistent)
	completes provision --yes
}
@test "killed at calls of a reset: the next one removes the rest, and a board can begin anew" {
	after=reset_again killed_at_calls 5 provisioned provision reset --yes
}

@test "killed at random moments, again and again on one board" {
	local n what times=6
	[ -z "${PSEC_LONG:-}" ] || times=100
	RANDOM=${PSEC_SEED:-7}
	for ((n = 0; n < times; n++)); do
		[ $((n % 3)) != 0 ] || begin # three kills on one board, then another
		what="the $n-th, at a random moment"
		# --foreground: else timeout kills itself, too, and nobody waits until the dead has let its locks go
		timeout --foreground -s KILL "0.$(printf %03d $((RANDOM % 200)))" "$PSEC" provision --yes >/dev/null 2>&1 || true
		[ $((n % 3)) != 2 ] || completes provision --yes
	done
}
