#!/usr/bin/env bats
# psec init and psec site: from nothing to a checked site.yaml. The words of every fault are in tests/golden/site.
load helper

setup() { own_folder; }

init() { "$PSEC" -C hof init --id hof-7 --tier sim --yes "$@"; }

@test "a script gets a checked site.yaml without a question" {
	run --separate-stderr init --title 'Hof "Müller": #7' --ot-port eth1 </dev/null
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ $output == *"wrote hof/site.yaml"*"psec -C hof scan --write"* ]]
	run "$PSEC" -C hof site check
	[ "$status" = 0 ]
	[ "$output" = "hof/site.yaml: no faults" ]
	run "$PSEC" -C hof site show --json
	[ "$(python3 -c 'import json,sys; s=json.load(sys.stdin); print(s["site"]["id"], s["site"]["title"], s["site"]["tier"], s["ports"]["ot"], s["ports"]["it"])' <<<"$output")" = 'hof-7 Hof "Müller": #7 sim eth1 None' ]
}

@test "nobody but the owner gets into the state, and nobody else can write" {
	umask 0
	init >/dev/null
	[ "$(stat -c %a hof/state)" = 700 ]
	for f in hof hof/site.yaml hof/profiles hof/run; do
		[ $((0$(stat -c %a "$f") & 022)) = 0 ] || { stat "$f"; false; }
	done
	"$PSEC" -C hof site check
}

@test "a site.yaml that is there stays, and with --force a copy of it stays" {
	init >/dev/null
	echo '# mine' >>hof/site.yaml
	cp hof/site.yaml before
	run init
	[ "$status" = 77 ]
	[[ $output == *"--force"* ]]
	cmp before hof/site.yaml
	chmod 664 hof/site.yaml
	run init --force
	[ "$status" = 0 ]
	cmp before hof/site.yaml.2*
	[ "$(stat -c %a hof/site.yaml.2*)" = 600 ]
	run ! grep -q '# mine' hof/site.yaml
	"$PSEC" -C hof site check
}

@test "a fifo in the place of site.yaml is refused, not waited for" {
	mkdir hof
	mkfifo hof/site.yaml
	run timeout 20 "$PSEC" -C hof init --id a --tier sim --yes --force
	[ "$status" = 77 ]
	[[ $output == *"is not a regular file; take it away first"* ]]
	[ -p hof/site.yaml ]
}

@test "where nobody can be asked, all that is missing is named at once" {
	missing() { run -64 "$PSEC" -C hof init "${@:2}" </dev/null; [[ $output == *": $1 must be given, too"* ]]; }
	missing '--id, --tier, --yes'
	missing '--id, --tier' --yes
	missing '--tier, --yes' --id hof
	missing --id --tier sim --yes
	run -64 "$PSEC" -C hof init --id hof --tier sim </dev/null
	[[ $output == *"--yes writes the file without questions"* ]]
	[ ! -e hof ]
}

@test "a profile that no device uses may be unfinished: site check says so, names its file, and is content as psecd -n is" {
	init >/dev/null
	cat >>hof/site.yaml <<-'END'
	  - {name: meter, profile: sunspec-meter, address: "tcp://127.0.0.9:1#1", roles: [grid-meter]}
	END
	printf 'psec-profile: 1\nid: d\n' >hof/profiles/d.yaml
	run -0 "$PSEC" -C hof site check
	[[ $output == *"hof/profiles/d.yaml:"* ]]
	[[ $output == *"hof/site.yaml: no faults"$'\n'"the profiles have "*", in files that no device uses"* ]]
	run -0 "$PSECD" -C hof -n
	run -0 "$PSEC" -C hof site check --json
	[[ $output == *'"file": "hof/profiles/d.yaml"'* ]]
	sed -i 's/profile: sunspec-meter/profile: d/' hof/site.yaml
	run -1 "$PSEC" -C hof site check
	[[ $output == *"hof/site.yaml has 1 fault"* ]]
	run -65 "$PSECD" -C hof -n
}

@test "a scan that finds nothing on a simulated site says how to start it" {
	init >/dev/null
	run -0 --separate-stderr "$PSEC" -C hof scan 127.0.0.11:1
	[[ $stderr == *"is a simulated one and is not running; start it with \`psec -C hof sim run\`"* ]]
	sed -i 's/tier: sim/tier: lab/' hof/site.yaml
	run -0 --separate-stderr "$PSEC" -C hof scan 127.0.0.11:1
	[[ $stderr != *"sim run"* ]]
}

@test "where nobody can be asked, what is missing or wrong is told and nothing is written" {
	local args
	for args in '--tier sim --yes' '--id a --yes' '--id a --tier sim' '--id Hof --tier sim --yes' '--id a --tier simm --yes' \
		'--id a --tier sim --yes --ot-port eth/0' '--id a --tier sim --yes extra'; do
		run "$PSEC" -C hof init $args </dev/null
		[ "$status" = 64 ] || { echo "$args: $status $output"; false; }
		[ ! -e hof ]
	done
}

@test "on a terminal it asks, asks again, and writes what was answered" {
	python3 "$TOP/tests/cli/terminal.py" "$PSEC" -C hof init <<-'END'
	expect Id of the site
	send Hof 7\n
	expect must be made of a-z, 0-9 and -
	expect Id of the site
	send hof-7\n
	expect Title
	send Hof Müller\n
	expect Tier
	send prd\n
	expect none of sim, lab and prod
	send prod\n
	expect Interface
	send \n
	expect wrote hof/site.yaml
	end 0
	END
	run "$PSEC" -C hof site show
	[ "$status" = 0 ]
	[[ $output == *hof-7*"Hof Müller"*prod* ]]
}

@test "Ctrl-C and the end of input at a question leave nothing behind" {
	python3 "$TOP/tests/cli/terminal.py" "$PSEC" -C hof init <<-'END'
	expect Id of the site
	send \x03
	expect nothing is written
	end 130
	END
	[ ! -e hof ]
	python3 "$TOP/tests/cli/terminal.py" "$PSEC" -C hof init --id a <<-'END'
	expect Title
	send \x04
	expect nothing is written
	end 130
	END
	[ ! -e hof ]
}

@test "check tells every fault with its line, ends with 1, and --json lists them" {
	init >/dev/null
	sed -i 's/reserve_percent: 10/reserve_percent: 140/; s/tier: sim/tier: simm/' hof/site.yaml
	line=$(grep -n reserve_percent hof/site.yaml | cut -d: -f1)
	run --separate-stderr "$PSEC" -C hof site check
	[ "$status" = 1 ]
	[ -z "$stderr" ]
	[ "${lines[1]}" = "hof/site.yaml:$line: control.reserve_percent is 140, must be 0…100" ]
	[ "${lines[2]}" = "hof/site.yaml has 2 faults" ]
	run --separate-stderr "$PSEC" -C hof site check --json
	[ "$status" = 1 ]
	[ -z "$stderr" ]
	[ "$(python3 -c 'import json,sys; f=json.load(sys.stdin); print(len(f), f[1]["file"], f[1]["line"], f[1]["path"], f[1]["text"])' <<<"$output")" = "2 hof/site.yaml $line control.reserve_percent is 140, must be 0…100" ]
}

@test "check reads another file, standard input, and says [] when all is well" {
	init >/dev/null
	mkdir elsewhere
	cp hof/site.yaml elsewhere/new.yaml
	run "$PSEC" site check --json elsewhere/new.yaml
	[ "$status" = 0 ]
	[ "$output" = "[]" ]
	run "$PSEC" site check - <hof/site.yaml
	[ "$status" = 0 ] && [ "$output" = "-: no faults" ]
}

@test "a file that is not there or not to be trusted is no answer" {
	run "$PSEC" -C hof site check
	[ "$status" = 65 ]
	[[ $output == *"psec init"* ]]
	init >/dev/null
	chmod 666 hof/site.yaml
	for c in check show; do
		run "$PSEC" -C hof site $c
		[ "$status" = 77 ]
		[[ $output == *"chmod go-w"* ]]
	done
}

@test "show of a faulty site tells the faults and shows nothing" {
	init >/dev/null
	echo 'colour: red' >>hof/site.yaml
	run --separate-stderr "$PSEC" -C hof site show --json
	[ "$status" = 65 ]
	[ -z "$output" ]
	[[ $stderr == *"colour is not a key here"* ]]
}

@test "what a device's profile cannot do is a fault of the site" {
	init >/dev/null
	printf '  - name: grid\n    profile: eastron-sdm630\n    address: tcp://127.0.0.1#1\n    roles: [grid-meter, bms]\n' >>hof/site.yaml
	run "$PSEC" -C hof site check
	[ "$status" = 1 ]
	[[ $output == *"role bms"* ]]
	sed -i 's/, bms\]/]/' hof/site.yaml
	"$PSEC" -C hof site check
	echo 'id: [' >hof/profiles/own.yaml
	run -0 "$PSEC" -C hof site check
	[[ $output == *hof/profiles/own.yaml:* ]]
}

@test "the example in the manual is a sound site" {
	sed -n '/^# EXAMPLES/,/^# SEE/p' "$TOP/man/psec-site.5.scd" | sed -n '/^```/,/^```/{//!p}' >example.yaml
	grep -q '^psec: 1' example.yaml
	run "$PSEC" site check - <example.yaml
	echo "$output"
	[ "$status" = 0 ]
}
