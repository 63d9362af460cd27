#!/usr/bin/env bats
# The frame of psec: help, options, errors, exit status, completion, the shell.
load helper

setup() { own_folder; }

# "scan", "control set", … : what the program itself says it has, in both levels
every_command() {
	local c s
	"$PSEC" __complete -- '' | cut -f1 | while read -r c; do
		echo "$c"
		[ "$c" = help ] || "$PSEC" __complete -- "$c" '' | grep -v '^:' | cut -f1 | while read -r s; do
			"$PSEC" "$c" "$s" --help 2>/dev/null | grep -q "^usage: psec $c $s" && echo "$c $s"
		done
	done
}

@test "every command explains itself on stdout, within 80 columns" {
	local c
	every_command >all
	grep -qx version all
	while read -r c; do
		"$PSEC" $c --help >out 2>err || { echo "$c --help fails: $(cat err)"; false; }
		[ ! -s err ]
		grep -q "^usage: psec $c" out
		[ "$(wc -L <out)" -le 80 ] || { cat out; false; }
		"$PSEC" $c -h | cmp - out
		"$PSEC" help $c | cmp - out
		{ cat out; printf '\f'; } >>helps
	done <all
	# No line of a paragraph ends where the next word had room, and an example can be copied.
	/usr/bin/python3 - <<-'P'
	for text in open("helps", newline="\n").read().split("\f"):
	    told, _, rest = text.partition("\nOptions:")
	    lines = [l for l in told.split("\nSubcommands:")[0].split("\n")]
	    for line, after in zip(lines, lines[1:]):
	        if line and after and not line.startswith(" ") and not after.startswith(" "):
	            full = len(line) + 1 + len(after.split()[0]) > 80
	            assert full or line[-1] in ".:;", f"broken in a sentence: {line!r}, {after!r}"
	    goes_on = False
	    for line in rest.partition("\nExamples:\n")[2].split("\n\n")[0].split("\n"):
	        assert not line or goes_on or line.startswith(("  psec ", "  echo ")), f"an example is wrapped: {line!r}"
	        goes_on = line.endswith("\\")
	P
}

@test "every command says what is wrong with an unknown option, on stderr, with 64" {
	local c
	every_command >all
	while read -r c; do
		local status=0
		"$PSEC" $c --no-such-option >out 2>err </dev/null || status=$?
		[ "$status" = 64 ] || { echo "$c: $status"; false; }
		[ ! -s out ]
		grep -q "unknown option '--no-such-option'" err || { cat err; false; }
		grep -q "^psec $c: " err
	done <all
}

@test "no command at all is a usage error, and help is not" {
	run -64 --separate-stderr "$PSEC"
	[ -z "$output" ]
	run -0 --separate-stderr "$PSEC" --help
	[[ $output == "usage: psec [-C DIR] COMMAND"* ]]
	[ -z "$stderr" ]
	run -0 "$PSEC" help
	[[ $output == "usage: psec [-C DIR] COMMAND"* ]]
	run -0 "$PSEC" --version
	[[ $output == "psec "* ]]
}

@test "the help lists every command that is not hidden, under its group" {
	run -0 "$PSEC" help
	[[ $output == *"Tools:"* ]]
	for c in $("$PSEC" __complete -- '' | cut -f1); do [[ $output == *$'\n  '"$c "* ]]; done
	[[ $output != *__complete* ]]
}

@test "a word that is nearly one is answered with that one" {
	run -64 "$PSEC" vresion
	[[ $output == *"did you mean 'version'?"* ]]
	run -64 "$PSEC" version --jsno
	[[ $output == *"did you mean '--json'?"* ]]
	run -64 "$PSEC" help vesion
	[[ $output == *"did you mean 'version'?"* ]]
	run -64 "$PSEC" qqqqqqqq
	[[ $output != *"did you mean"* ]]
}

@test "control characters in a wrong word do not reach the terminal" {
	run -64 "$PSEC" $'ver\033[2Jsion'
	[[ $output != *$'\033'* ]]
	run -64 "$PSEC" version $'--\033[2J'
	[[ $output != *$'\033'* ]]
	run -64 "$PSEC" version $'\033[2J'
	[[ $output != *$'\033'* ]]
}

@test "an option that takes no value refuses one, and arguments beyond the last are refused" {
	run -64 "$PSEC" version --json=yes
	[[ $output == *"takes no value"* ]]
	run -64 "$PSEC" version more
	[[ $output == *"unexpected argument 'more'"* ]]
	run -64 "$PSEC" version -5
	[[ $output == *"unexpected argument '-5'"* ]]
	run -64 "$PSEC" version -- --json
	[[ $output == *"unexpected argument '--json'"* ]]
}

@test "a value outside its range is told with the range, and what is required is asked for" {
	run -64 "$PSEC" control simulate --series x.csv --efficiency 2
	[[ $output == *"--efficiency is '2', must be a number, 0.1…1 (see \`psec control simulate --help\`)"* ]]
	run -64 "$PSEC" control simulate --series x.csv --efficiency nan
	run -64 "$PSEC" control simulate --series x.csv --mode selfish
	[[ $output == *"--mode is 'selfish', must be off, manual or self-consumption"* ]]
	run -64 "$PSEC" control simulate
	[[ $output == *"give --series or --closed-loop"* ]]
	run -64 "$PSEC" control simulate --series
	[[ $output == *"option '--series' needs a value: FILE"* ]]
	run -64 "$PSEC" control simulate --battery 1
	[[ $output == *"could be several"* ]]
	run -64 "$PSEC" scan --pace 0 127.0.0.1
	[[ $output == *"--pace is '0', must be a whole number, 1…5000"* ]]
	run -64 "$PSEC" scan --answer 5parsecs 127.0.0.1
	[[ $output == *"must be a time as 500ms, 2s or 5min, 50ms…30s"* ]]
	run -64 "$PSEC" scan -Z 127.0.0.1
	[[ $output == *"unknown option '-Z'"* ]]
}

@test "--json prints JSON, without it people get words" {
	run -0 "$PSEC" version --json
	/usr/bin/python3 -c 'import json,sys; assert "version" in json.loads(sys.argv[1])' "$output"
	run -0 "$PSEC" version
	[[ $output == "psec "* ]]
	run -64 "$PSEC" shell --json
}

@test "a full disk under stdout is 74, also for help" {
	local c
	for c in version 'version --json' help --version 'version --help'; do
		local status=0
		"$PSEC" $c >/dev/full 2>err || status=$?
		[ "$status" = 74 ]
		grep -q 'cannot write to standard output: No space left' err
		[ "$(wc -l <err)" = 1 ]
	done
}

@test "a site that is not there says which command writes one" {
	local c
	c=$("$PSEC" __complete -- '' | cut -f1 | grep -x -e status || true)
	[ -n "$c" ] || skip "no command that reads a site"
	run --separate-stderr "$PSEC" -C "$DIR/none" "$c"
	[ "$status" -ge 65 ]
	[[ $stderr == *"psec init"* ]]
}

@test "-C stands before the command and needs a folder" {
	run -64 "$PSEC" -C
	[[ $output == *"-C"* ]]
	run -0 "$PSEC" -C "$DIR" version
	run -0 "$PSEC" -C"$DIR" version
	run -64 "$PSEC" --frobnicate version
	[[ $output == *"unknown option '--frobnicate'"* ]]
	run -64 "$PSEC" site check -C "$DIR"
	[[ $output == *"-C stands before the command"* ]]
	run -64 "$PSEC" shell <<<'psec -C other status'
	[[ $output == *"psec -C DIR shell"* ]]
}

@test "who stands in the folder of the site, or in none, is told so also where psecd is asked" {
	local c
	unset PSEC_SITE
	[ ! -e /etc/psec/site.yaml ] || skip "this machine has a site of its own"
	for c in status 'control status' 'control mode off' 'device read meter'; do
		run "$PSEC" -C "$DIR/none" $c
		[[ $output == *"no site here: '$DIR/none/site.yaml' does not exist; \`psec init\`"* || $output == *"there is no"* ]]
	done
	run -69 "$PSEC" control watch
	[[ $output == *"\`psec init\` writes one"* ]]
	"$PSEC" -C . init --id here --tier sim --yes >/dev/null
	run -69 "$PSEC" control watch
	[[ $output == *"say \`psec -C . COMMAND\`"* ]]
	for c in 'site check' 'scan --write 127.0.0.1:1' 'control off'; do
		run -65 "$PSEC" $c
		[[ $output == *"say \`psec -C . COMMAND\`"* ]]
	done
	run -69 "$PSEC" -C . control watch
	[[ $output == *"psecd does not run for '.'"* ]]
}

@test "a device or a point that is nearly one is answered with that one" {
	"$PSEC" init --id near --tier sim --yes >/dev/null
	run -65 "$PSEC" device read metre
	[[ $output == *"nor any other yet: \`psec scan --write\`"* ]]
	cat >>site.yaml <<-'END'
	  - {name: meter, profile: eastron-sdm630, address: "tcp://127.0.0.9:1#1", roles: [grid-meter]}
	END
	run -65 "$PSEC" device test metre
	[[ $output == *"no device 'metre'; did you mean 'meter'?"* ]]
	run -65 "$PSEC" device read boiler
	[[ $output == *"an address reads tcp://HOST#UNIT"* ]]
}

@test "completion knows commands, options and subcommands, with a word on each" {
	run -0 "$PSEC" __complete -- ver
	[ "$output" = $'version\tprint the version' ]
	run -0 "$PSEC" __complete -- version --
	[ "$output" = $'--json\tprint JSON\n--help\tprint this command\'s help' ]
	run -0 "$PSEC" __complete -- shell --st
	[[ $output == $'--stop\t'* ]]
	run -0 "$PSEC" __complete -- help she
	[[ $output == $'shell\t'* ]]
	run -0 "$PSEC" __complete -- -C "$DIR" ver
	[[ $output == $'version\t'* ]]
	run -0 "$PSEC" __complete -- control simulate --mode o
	[ "$output" = $'off\t' ]
	run -0 "$PSEC" __complete -- control simulate --mode=o
	[ "$output" = $'--mode=off\t' ]
	run -0 "$PSEC" __complete -- control simulate --series ''
	[ "$output" = :files ]
	run -0 "$PSEC" __complete -- device show sunspec-b
	[[ $output == $'sunspec-bms\t'* ]]
	run -0 "$PSEC" __complete -- device read any bms.soc
	[[ $output == $'bms.soc_percent\t%' ]]
	run -0 "$PSEC" __complete -- sim fault meter fro
	[[ $output == $'frozen\t'* ]]
	run -0 "$PSEC" __complete -- nothing of this
	[ -z "$output" ]
}

# A site with a meter and a battery, for what completion offers.
a_site() {
	"$PSEC" init --id hof --tier sim --yes >/dev/null 2>&1
	cat >>site.yaml <<'END'
  - name: meter
    profile: eastron-sdm630
    address: tcp://127.0.0.1:1502#1
    roles: [grid-meter]
  - name: store
    profile: sunspec-storage
    address: tcp://127.0.0.1:1503#1
    roles: [battery-inverter, bms]
END
	"$PSEC" site check >/dev/null
}

@test "completion knows the site: its devices, the points that a device has, modes, scenarios" {
	offered() { "$PSEC" __complete -- "$@" | cut -f1 | sort; }
	a_site
	[ "$(offered device read '')" = $'meter\nstore' ]
	[ "$(offered device identify meter st)" = store ]
	# the meter's points are those of its profile, and no battery's
	"$PSEC" device show eastron-sdm630 --json | /usr/bin/python3 -c '
import json, sys
for p in json.load(sys.stdin)["points"]: print(p["point"])' | sort >has
	[ -s has ]
	[ "$(offered device read meter '')" = "$(cat has)" ]
	run ! grep -q '^bms' has
	offered device read store '' | grep -qx bms.soc_percent
	# a profile that is named counts more; of an address nothing is known but that
	[ "$(offered device read store --profile eastron-sdm630 '')" = "$(cat has)" ]
	[ "$(offered device read tcp://127.0.0.9#1 '' --profile=eastron-sdm630 | head -1)" != '' ]
	[ "$(offered device read tcp://127.0.0.9#1 --profile=eastron-sdm630 '')" = "$(cat has)" ]
	offered device read tcp://127.0.0.9#1 '' | grep -qx bms.soc_percent
	offered control mode '' | grep -qx self-consumption
	offered sim run '' | grep -qx storm
	offered sim run --with bms,g | grep -qx bms,genset
	# each once: one that was given is not offered again, one that only begins like it is
	[ "$(offered sim run --with bms,)" = $'bms,genset\nbms,hybrid' ]
	[ "$(offered sim run --with=hybrid,bms,)" = --with=hybrid,bms,genset ]
	[ "$(offered sim run --with bms)" = bms ]
}

@test "bash completes what the program says" {
	PATH=$B/bin:$PATH run -0 bash -c '. "$1"; COMP_WORDS=(psec ver); COMP_CWORD=1; _psec psec ver psec; echo "${COMPREPLY[*]}"' \
		- "$TOP/completions/psec.bash"
	[ "$output" = version ]
	PATH=$B/bin:$PATH run -0 bash -c '. "$1"; COMP_WORDS=(psec shell --); COMP_CWORD=2; _psec psec -- shell; echo "${COMPREPLY[*]}"' \
		- "$TOP/completions/psec.bash"
	[ "$output" = $'--stop\n--help' ] || [ "$output" = '--stop --help' ]
}

@test "zsh completes what the program says" {
	local zsh
	zsh=$(command -v zsh) || skip "no zsh here"
	mkdir functions
	cp "$TOP/completions/psec.zsh" functions/_psec
	export PATH=$B/bin:$PATH
	a_site
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$zsh" -f -i <<'END'
send PS1='at''> '; fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D\n
expect at> 
send psec ver\t--js\t\n
expect {"version"
expect at> 
send psec control mode --he\t\n
expect usage: psec control mode
expect at> 
send psec site check sit\t\n
expect site.yaml: no faults
expect at> 
send psec shell --\t
expect stop at the first command that fails
send \x15exit\n
end 0
END
}

@test "fish completes what the program says" {
	command -v fish >/dev/null || skip "no fish here"
	export PATH=$B/bin:$PATH
	a_site
	said() { fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$TOP/completions/psec.fish" "$1" | cut -f1; }
	[ "$(said 'psec ver')" = version ]
	[ "$(said 'psec shell --')" = $'--stop\n--help' ]
	[ "$(said 'psec control simulate --mode=ma')" = --mode=manual ]
	[ "$(said 'psec device read me')" = meter ]
	[ "$(said "psec -C '$DIR' ver")" = version ]
	touch a_file
	[ "$(said 'psec site check a_')" = a_file ]
}

@test "the shell runs a line at a time, with the defaults anew in each" {
	printf '%s\n' 'version --json' '# nothing' '' '  version' 'psec version' >lines
	run -0 --separate-stderr "$PSEC" shell <lines
	[ "${#lines[@]}" = 3 ]
	[[ ${lines[0]} == '{'* ]]
	[[ ${lines[1]} == 'psec '* ]]
	[[ ${lines[2]} == 'psec '* ]]
	[ -z "$stderr" ]
	[ ! -e "$XDG_STATE_HOME" ]
}

@test "the shell ends with the status of its last command, and -e stops at the first that fails" {
	run -0 --separate-stderr "$PSEC" shell <<<$'nope\nversion'
	[[ $output == 'psec '* ]]
	[[ $stderr == *"unknown command 'nope'"* ]]
	run -64 "$PSEC" shell <<<$'version\nnope'
	run -64 --separate-stderr "$PSEC" shell -e <<<$'nope\nversion'
	[ -z "$output" ]
	run -0 --separate-stderr "$PSEC" shell <<<$'version\nquit\nnope'
	[ -z "$stderr" ]
}

@test "an option of one line of the shell is not there in the next" {
	printf 'ts_utc,load_w,pv_w\n2026-01-01T00:00Z,1000,0\n2026-01-01T00:15Z,1000,0\n' >x.csv
	printf '%s\n' 'control simulate --json --series x.csv --mode off' 'control simulate --json --series x.csv' >lines
	"$PSEC" shell <lines >out
	/usr/bin/python3 -c '
import json
text, d = open("out").read(), json.JSONDecoder()
first, end = d.raw_decode(text)
assert first["mode"] == "off"
assert d.raw_decode(text[end:].strip())[0]["mode"] == "self-consumption"'
}

@test "the shell reads quotes, and says so when one is open" {
	run -64 --separate-stderr "$PSEC" shell <<<"version 'two words'"
	[[ $stderr == *"unexpected argument 'two words'"* ]]
	run -64 --separate-stderr "$PSEC" shell <<<'version "open'
	[[ $stderr == *"quote is not closed"* ]]
	run -64 --separate-stderr "$PSEC" shell <<<'shell'
	[[ $stderr == *"inside the shell"* ]]
	run -65 --separate-stderr "$PSEC" shell < <(printf 'version\0\n')
	[[ $stderr == *"zero byte"* ]]
}

@test "the last line counts without a newline, and an endless one is only long" {
	run -0 "$PSEC" shell < <(printf version)
	[[ $output == 'psec '* ]]
	run -64 --separate-stderr "$PSEC" shell < <(head -c 200000 /dev/zero | tr '\0' a)
	[ "${#stderr}" -lt 600 ]
}

@test "a full disk under the shell is 74" {
	local status=0
	echo version | "$PSEC" shell >/dev/full 2>err || status=$?
	[ "$status" = 74 ]
}

@test "at a terminal the shell completes, keeps Ctrl-C to the line, and remembers no secret" {
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" shell <<'END'
expect psec>_
send ver\t
expect version_
send --js\t\n
expect {"version"
expect psec>_
send abc\x03
expect ^C
expect psec>_
send version\n
expect psec 
expect psec>_
send version --password x\n
expect unknown option
expect psec>_
send  help version\n
expect usage: psec version
expect psec>_
send exit\n
end 0
END
	run -0 cat "$XDG_STATE_HOME/psec/history"
	[ "$output" = $'version --json \nversion\nexit' ]
	[ "$(stat -c %a "$XDG_STATE_HOME/psec/history")" = 600 ]
}

@test "at a terminal, the end of input ends the shell" {
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" shell <<'END'
expect psec>_
send \x04
end 0
END
}

@test "the site's name stands in the prompt" {
	"$PSEC" -C "$DIR" init --id hill-7 --tier sim --yes >/dev/null 2>&1 || skip "no psec init"
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$PSEC" -C "$DIR" shell <<'END'
expect psec:hill-7>_
send \x04
end 0
END
}
