#!/usr/bin/env bats
# The runner itself, on a small tree of its own: what fails must never be counted as passed, or not at all.

bats_require_minimum_version 1.5.0

setup() {
	DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/psec.XXXXXX")
	mkdir -p "$DIR"/tests/{unit,cli,system,fault,fuzz} "$DIR"/build/unit "$DIR"/lib/device
	cp "$BATS_TEST_DIRNAME/../check" "$DIR/tests/"
}

# suite NAME: a unit test program that runs what stands on stdin
suite() {
	: >"$DIR/tests/unit/test_$1.c"
	{ echo '#!/bin/bash'; cat; } >"$DIR/build/unit/test_$1"
	chmod +x "$DIR/build/unit/test_$1"
}

last_line() { tail -n 1 <<<"$output"; }
check() { run "$DIR/tests/check" "$@" --only unit "$DIR/build"; }

@test "what passed, failed and was skipped is summed over the suites" {
	suite a <<<'echo 1..2; echo "ok 1 - x"; echo "ok 2 - y"'
	suite b <<<'echo 1..3; echo "ok 1 - x"; echo "not ok 2 # SKIP later"; echo "not ok 3 - z"; exit 1'
	check
	[ "$status" = 1 ]
	[ "$(last_line)" = "3 passed, 1 failed, 1 skipped" ]
	grep -q 'not ok 3 - z' <<<"$output"
	grep -q 'unit/b: later' <<<"$output"
}

@test "all passed is a success, and skipped ones are no failure" {
	suite a <<<'echo 1..1; echo "ok 1 - x"'
	suite b <<<'echo "no root"; exit 77'
	check
	[ "$status" = 0 ]
	[ "$(last_line)" = "1 passed, 0 failed, 1 skipped" ]
	grep -q 'unit/b: no root' <<<"$output"
}

@test "tests that a crash swallowed have failed" {
	suite a <<<'echo 1..5; echo "ok 1 - x"; kill -SEGV $$'
	check
	[ "$status" = 1 ]
	[ "$(last_line)" = "1 passed, 4 failed" ]
}

@test "a suite that passes its tests and then ends badly has failed" {
	suite a <<<'echo 1..1; echo "ok 1 - x"; echo "leaked 8 bytes"; exit 23'
	check
	[ "$status" = 1 ]
	[ "$(last_line)" = "1 passed, 1 failed" ]
	grep -q 'leaked 8 bytes' <<<"$output"
}

@test "a suite that was not built has failed" {
	: >"$DIR/tests/unit/test_gone.c"
	check
	[ "$status" = 1 ]
	[ "$(last_line)" = "0 passed, 1 failed" ]
}

@test "nothing ran is not a success" {
	check
	[ "$status" = 1 ]
	[ "$(last_line)" = "0 passed, 0 failed" ]
}

@test "each suite has a folder of its own, and it goes" {
	suite a <<<'echo "$TMPDIR" >>'"$DIR"'/dirs; touch "$TMPDIR/left"'
	suite b <<<'echo "$TMPDIR" >>'"$DIR"'/dirs'
	check
	[ "$status" = 0 ]
	[ "$(sort -u "$DIR/dirs" | wc -l)" = 2 ]
	while read -r d; do [ ! -e "$d" ]; done <"$DIR/dirs"
}

@test "Ctrl-C ends what runs, and its folders go" {
	mkfifo "$DIR/ready"
	suite a <<<'echo $$ "$TMPDIR" >'"$DIR"'/ready; exec tail -f /dev/null'
	env --default-signal=INT "$DIR/tests/check" --only unit "$DIR/build" 3>&- &
	local check=$! suite dir
	read -r suite dir <"$DIR/ready"
	kill -INT "$check"
	local ended=0
	wait "$check" || ended=$?
	[ "$ended" != 0 ]
	# one that is dead and that nobody has waited for yet has ended, too
	run -1 grep -v Z <(ps -o stat= -p "$suite")
	[ ! -e "$dir" ]
}

@test "words it does not know are a wrong call" {
	run "$DIR/tests/check" --only nonsense "$DIR/build"
	[ "$status" = 64 ]
	run "$DIR/tests/check"
	[ "$status" = 64 ]
}

@test "a line, a function or a file that is too long is found, and one that is not is left alone" {
	local check=$BATS_TEST_DIRNAME/../lines.sh
	cd "$DIR/lib"
	# a tab and 116 times … are 120 columns
	awk 'BEGIN { s = "\t"; while (n++ < 116) s = s "…"; print s > "wide.c"; print s "x" > "wider.h" }'
	awk 'BEGIN { print "int f(void)\n{" > "f.c"; while (n++ < 78) print "\tf();" > "f.c"; print "}" > "f.c" }'
	awk 'BEGIN { while (n++ < 600) print "int f(void);" > "file.h" }'
	run -1 sh "$check" "$DIR/lib"
	[ "$output" = "$DIR/lib/wider.h:1: 121 columns, at most 120" ]
	rm wider.h
	run -0 sh "$check" "$DIR/lib"
	[ -z "$output" ]
	sed -i '3i\	f();' f.c
	echo >>file.h
	run -1 sh "$check" "$DIR/lib"
	[ "${lines[0]}" = "$DIR/lib/f.c:2: a function of 81 lines, at most 80" ]
	[ "${lines[1]}" = "$DIR/lib/file.h: 601 lines, at most 600: a room has more than one file" ]
}

@test "no line of these tests fails without failing its test" {
	# bash goes on after "a && b" whose a fails, and after "! a": set -e does not count them. The last line of a function
	# is its status, so that it does count.
	cd "$BATS_TEST_DIRNAME/.."
	cat >"$DIR/find" <<-'P'
	import re, sys
	quoted = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\[\[.*?\]\]|\(\(.*?\)\)|\$\([^()]*\)""")
	for name in sys.argv[1:]:
	    text, here, held, start = open(name).read().split("\n"), None, "", 0
	    for i, line in enumerate(text):
	        if here is not None:
	            here = None if line.strip() == here else here
	            continue
	        bare = quoted.sub("_", line)
	        word = re.search(r"<<-?\s*'?(\w+)'?", line)
	        here = word[1] if word and "<<<" not in line else None
	        start = start if held else i
	        held += bare.strip() + " "
	        if re.search(r"(&&|\||\\)\s*$", bare):
	            continue
	        whole, held = held, ""
	        after = next((l.strip() for l in text[i + 1:] if l.strip()), "}")
	        free = re.match(r"(if|elif|while|until|for|case)\b|\w+\(\)|[#})]|.*\) ", whole) or "||" in whole or "{" in whole
	        last = after in ("}", ")", "fi", "done", ";;", "esac")
	        if ("&&" in whole or whole.startswith("! ")) and not free and not last:
	            print(f"{name}:{start + 1}: {text[start].strip()}")
	P
	printf '\t%s\n' '[ 1 = 2 ] && true' '! true' true '! true || false' 'true && {' >"$DIR/odd.bats"
	run /usr/bin/python3 "$DIR/find" "$DIR/odd.bats"
	[ "$output" = "$DIR/odd.bats:1: [ 1 = 2 ] && true"$'\n'"$DIR/odd.bats:2: ! true" ]
	run /usr/bin/python3 "$DIR/find" */*.bats */*.bash
	[ -z "$output" ] || { echo "$output"; false; }
}
