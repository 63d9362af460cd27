#!/usr/bin/env bats
# Commands that ask a live device, before every liar of peers/liar.py: each ends in a bounded time, with an answer or a reason, and
# takes no lie for a value.
load liars

setup() {
	site_folder
	export PSEC_SITE=$DIR
	liars_start 127.65.$((RANDOM % 250 + 1))
}

teardown() {
	liars_end
	site_remove
}

# What it ended with is known, and no lie is in its words. 124: it hung.
bounded() {
	local status=0
	timeout 120 "$@" >said 2>&1 || status=$?
	case $status in 0|1|65|69) ;; *) echo "$* ended with $status"; cat said; return 1 ;; esac
	! grep -qE '11111|11 111|1\.1111' said || { cat said; return 1; }
}

try_all() {
	local host lie pids=
	while read -r host lie; do
		( cd "$(mktemp -d "$DIR/one.XXXXXX")" && bounded "$@" "tcp://$host:1502#1" ) 3>&- & pids+=" $!"
	done <liars
	for pid in $pids; do wait "$pid" || return 1; done
}

@test "a device that always lies hangs none of them" {
	order "* own"
	try_all "$PSEC" device test --profile sunspec-meter --seconds 3
	try_all "$PSEC" device identify
	try_all "$PSEC" device new --id liar --stdout --range 3:40000-40110 --seconds 20
}

@test "a device that lies now and then hangs none of them either, and no lie is a value" {
	order "* own 7"
	try_all "$PSEC" device test --profile sunspec-meter --seconds 3
	try_all "$PSEC" device new --id liar --stdout --range 3:40000-40110 --seconds 20
}
