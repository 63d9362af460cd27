#!/usr/bin/env bats
# What psec says to kept inputs, word by word: tests/golden.
load helper

@test "what psec says to each golden input is what it said before" {
	run env PSEC="$PSEC" "$TOP/tests/golden/run"
	echo "$output"
	[ "$status" = 0 ]
}
