#!/usr/bin/env bats
# The manual is held against the program: options both ways, and the examples that a line "; run" stands before are run.
load helper

setup() { own_folder; }

commands() { "$PSEC" __complete -- '' | cut -f1 | grep -vx -e help -e version; }

# The options of a command and of its subcommands, one a line.
options_of() {
	local s
	{
		"$PSEC" __complete -- "$1" --
		for s in $("$PSEC" __complete -- "$1" '' | cut -f1 | grep -v '^:'); do
			"$PSEC" "$1" "$s" --help 2>/dev/null | grep -q "^usage: psec $1 $s" && "$PSEC" __complete -- "$1" "$s" --
		done
	} | cut -f1 | grep '^--' | grep -vx -e --help -e --json -e --csv | sort -u
}

@test "every command has a page" {
	local c missing=
	for c in $(commands); do
		[ -f "$TOP/man/psec-$c.1.scd" ] || missing+=" psec-$c(1)"
		grep -q "psec-$c(1)" "$TOP/man/psec.1.scd" || missing+=" psec-$c(1) in psec(1)"
	done
	[ -z "$missing" ] || { echo "no$missing"; false; }
}

@test "a page has every option of its command, and no other" {
	local c page bad=
	for c in $(commands); do
		page=$TOP/man/psec-$c.1.scd
		[ -f "$page" ] || continue
		options_of "$c" >has
		# what a page sets in bold at the beginning of a definition is what it documents
		grep -E '^\*-' "$page" | grep -oE -- '\*--[a-z0-9-]+\*' | tr -d '*' | grep -vx -e --help -e --json -e --csv | sort -u >says
		diff -u has says >difference || bad+="psec-$c(1): + is not an option, - is not documented"$'\n'$(tail -n +4 difference)$'\n'
	done
	[ -z "$bad" ] || { echo "$bad"; false; }
}

@test "a group within a group has a page of its own, with every option of its subcommands" {
	local c s sub page bad= found=0
	for c in $(commands); do
		for s in $("$PSEC" __complete -- "$c" '' | cut -f1 | grep -v '^:'); do
			"$PSEC" "$c" "$s" --help 2>/dev/null | grep -q "^usage: psec $c $s SUBCOMMAND" || continue
			found=$((found + 1))
			page=$TOP/man/psec-$c-$s.1.scd
			[ -f "$page" ] || { bad+="no psec-$c-$s(1)"$'\n'; continue; }
			: >offered
			for sub in $("$PSEC" __complete -- "$c" "$s" '' | cut -f1 | grep -v '^[:-]'); do
				grep -qE "^\*$sub\*" "$page" || bad+="psec-$c-$s(1): $sub"$'\n'
				"$PSEC" "$c" "$s" "$sub" --help | grep -q "psec-$c-$s(1)" || bad+="psec $c $s $sub --help"$'\n'
				"$PSEC" __complete -- "$c" "$s" "$sub" -- >>offered
			done
			cut -f1 offered | grep '^--' | grep -vx -e --help -e --json -e --csv | sort -u >has
			grep -E '^\*-' "$page" | grep -oE -- '\*--[a-z0-9-]+\*' | tr -d '*' | sort -u >says
			diff -u has says >difference || bad+="psec-$c-$s(1)"$'\n'$(tail -n +4 difference)$'\n'
		done
	done
	[ -z "$bad" ] || { echo "$bad"; false; }
	[ "$found" -ge 1 ]
}

@test "an option that a page names anywhere exists" {
	local c page o bad=
	for c in $(commands); do
		page=$TOP/man/psec-$c.1.scd
		[ -f "$page" ] || continue
		{ options_of "$c"; printf '%s\n' --help --json --csv --yes; } >has
		for o in $(grep -oE -- '\*--[a-z0-9-]+\*' "$page" | tr -d '*' | sort -u); do
			grep -qx -e "$o" has || bad+="psec-$c(1): $o"$'\n'
		done
	done
	[ -z "$bad" ] || { echo "$bad"; false; }
}

@test "the examples that can be run do run" {
	local page ran=0
	export PATH=$B/bin:$PATH PSEC_SITE=$DIR/site
	for page in "$TOP"/man/*.scd; do
		awk '/^; run/ { armed = 1; next } armed && /^```/ { inside = !inside; if (!inside) armed = 0; next } inside' "$page" >lines
		[ -s lines ] || continue
		rm -rf site
		mkdir site
		psec init --id example --tier sim --yes >/dev/null 2>&1 || true
		cp "$TOP/lib/sim/series/home-a-2016.csv" year.csv
		while read -r line; do
			sh -c "$line" >out 2>err </dev/null || { echo "$page: $line: status $?"; cat err; false; }
			ran=$((ran + 1))
		done <lines
	done
	[ "$ran" -ge 3 ]
}

@test "a row of the table of losses names a test that is there" {
	local page=$TOP/man/psecd.8.scd file name rows=0
	# a row begins with its loss in bold and ends with its proof: a file of tests/fault and how the test's name begins
	sed -n '/^# WHAT IS LOST/,/^# EVENTS/p' "$page" >table
	grep -E '^:\[ [a-z]+\.bats: ' table | sed 's/^:\[ //' >proofs
	while IFS= read -r line; do
		file=${line%%: *} name=${line#*: }
		grep -qF "@test \"$name" "$TOP/tests/fault/$file" || { echo "no test '$name' in tests/fault/$file"; false; }
		rows=$((rows + 1))
	done <proofs
	[ "$rows" -ge 12 ]
	[ "$rows" = "$(grep -c '^|\[ \*' table)" ] || { echo "$rows proofs, and another number of losses"; false; }
}
