#!/usr/bin/env bats
# The lessons of psec-sim(1), typed as they stand there: a line that says what it shows is repeated until it does.
load site

PAGE=$BATS_TEST_DIRNAME/../../man/psec-sim.1.scd

# The lines of the lesson that begins with "; lesson N"; blocks that say "; lesson" alone go on with it.
lines_of() {
	awk -v n="$1" '/^; lesson [0-9]/ { mine = $3 == n } /^; lesson/ { armed = mine } armed && /^```/ { inside = !inside
		if (!inside) armed = 0; next } inside' "$PAGE"
}
options_of() { sed -n "s/^; lesson $1 //p" "$PAGE"; }

setup() {
	site_folder
	export PATH=$PSEC_BUILD/bin:$PATH
	NET=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
	HERE=$DIR
}
teardown() { DIR=$HERE; site_remove; }

# As the user's three terminals: what runs stays in the background.
site_runs() {
	psec -C house sim run --host "$NET.11" "$@" >sim.out 2>&1 3>&- &
	SIM_PID=$!
	wait_until 10 psec -C house sim status
}
daemon_runs() {
	psecd -C house >>log 2>&1 3>&- &
	PSECD_PID=$!
	wait_until 15 psec -C house control status
	wait_until 15 all_answer
}
all_answer() { ! psec -C house status --json | grep -qE '"state": "(new|lost|starting)"'; }

shows() { eval "$1" >out 2>&1 || true; grep -qF -- "$2" out; }

type_line() {
	local line=${1//127.0.0.11/$NET.11} said
	said=$(sed -n 's/.*# shows //p' <<<"$line")
	case $line in
	*"sim run"*) site_runs ;;
	psecd*) daemon_runs ;;
	*"# shows "*) wait_until 45 shows "${line%%# shows*}" "$said" || { echo "$line:"; cat out; return 1; } ;;
	*) eval "$line" || { echo "$line: status $?"; return 1; } ;;
	esac
}

commissioned() {
	mkdir house
	psec -C house init --id house --tier sim --yes >/dev/null
	site_runs "$@"
	psec -C house scan --write "$NET.11-16:1502" >/dev/null
	daemon_runs
}

lesson() {
	local line
	lines_of "$1" >lesson
	[ -s lesson ]
	while read -r line <&4; do type_line "$line"; done 4<lesson
}

@test "lesson 1: commission a site" { lesson 1; }
@test "lesson 2: a meter the wrong way round" { commissioned $(options_of 2); lesson 2; }
@test "lesson 3: a lost meter, and another one" { commissioned $(options_of 3); lesson 3; }
@test "lesson 4: an inverter that does not listen" { commissioned $(options_of 4); lesson 4; }
@test "lesson 5: a blackout, and the genset" { commissioned $(options_of 5); lesson 5; }
@test "lesson 6: the storm" { commissioned $(options_of 6); lesson 6; }
