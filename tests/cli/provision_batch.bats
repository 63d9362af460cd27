#!/usr/bin/env bats
# psec provision --batch and label, as far as no TPM is needed: the file, the boards that do not answer, Ctrl-C.
# What a batch does to TPMs: tests/system/batch.bats.
load helper

setup() { own_folder; }
teardown() { [ ! -e pid ] || kill -9 "$(cat pid)" 2>/dev/null || true; }

a_ca() { "$PSEC" provision ca init --ca ca --name Test --no-ek-check >/dev/null; }
batch() { "$PSEC" provision --batch boards.csv --ca ca "$@"; }
# column KEY: of each line of the results
results() { python3 -c 'import json, sys
for line in open("boards.csv.d/results.jsonl"):
    r = json.loads(line)
    print(*(r[k] for k in sys.argv[1:]))' "$@"; }

@test "every fault of the file is told at once, and nothing is begun" {
	a_ca
	printf '%s\n' 'serial,tcti,site,out' 'P 1,device:/dev/tpm0,,' 'P-2,/dev/tpm1,Haus 2,..' 'auto,cmd:,,' \
		'P-3,device:/dev/tpm2,house-3' 'P-4,device:a,house-4,x' 'P-4,device:a,house-4,y' '"P-5,device:b,,' >boards.csv
	run batch
	[ "$status" = 65 ]
	diff -u - <(printf '%s\n' "$output") <<-'E'
		boards.csv:2: serial is 'P 1', must be 1 to 64 of A-Z a-z 0-9 . _ - (not . or - at first), or 'auto'
		boards.csv:3: tcti is '/dev/tpm1', must begin with device:, cmd:, swtpm:, mssim:, tabrmd: or libtpms:
		boards.csv:3: site is 'Haus 2', must be 1 to 31 of a-z 0-9 -
		boards.csv:3: out is '..', must be the name of a folder within --out: A-Z a-z 0-9 . _ -, not . at first
		boards.csv:4: serial is 'auto', must be the board's serial where no --serial-prefix is given
		boards.csv:4: tcti is 'cmd:', must have the command after 'cmd:'
		boards.csv:5: has 3 fields, must have 4 as the headings
		boards.csv:8: has a field whose quote is not closed on its line
		boards.csv:7: serial is 'P-4', as in line 6: a serial is given once
		boards.csv:7: tcti is 'device:a', as in line 6: that is one and the same TPM
		boards.csv:7: site is 'house-4', as in line 6: a site has one board
		psec provision: 'boards.csv' has 11 faults; nothing was begun
	E
	[ ! -e boards.csv.d ]
}

@test "headings that are not known or not there, an empty file, no file" {
	a_ca
	echo serial,tctl >boards.csv
	run batch
	[ "$status" = 65 ]
	[[ $output == *"boards.csv:1: the column 'tctl' is unknown, may be serial, tcti, site, out; did you mean 'tcti'?"* ]]
	[[ $output == *"boards.csv:1: tcti is missing among the columns"* ]]
	: >boards.csv
	run batch
	[ "$status" = 65 ]
	[[ $output == *"boards.csv:1: is empty, must begin with the headings serial,tcti"* ]]
	rm boards.csv
	run batch
	[ "$status" = 74 ]
	[[ $output == *"boards.csv"* ]]
}

@test "what is for many boards and what is for one do not mix" {
	run "$PSEC" provision --jobs 3
	[ "$status" = 64 ]
	[[ $output == *"--batch FILE"* ]]
	printf 'serial,tcti\nP-1,device:/dev/none\n' >boards.csv
	run batch --serial P-7
	[ "$status" = 64 ]
	[[ $output == *"--serial does not go with --batch"* ]]
	run "$PSEC" provision --batch - --ca ca <boards.csv
	[ "$status" = 64 ]
	[[ $output == *"--out DIR"* ]]
}

@test "what is wrong with the CA is told once, and nothing is begun" {
	printf 'serial,tcti\nP-1,device:/dev/none\nP-2,device:/dev/none2\n' >boards.csv
	run batch
	[ "$status" != 0 ]
	[ "${#lines[@]}" = 1 ]
	a_ca
	(umask 077; echo not-the-passphrase >other)
	run batch --passphrase-file other
	[ "$status" = 77 ]
	[[ $output == *passphrase* && $output != *not-the-passphrase* ]]
	[ ! -e boards.csv.d ]
}

@test "boards that do not answer fail one by one, with a summary, and the others are not stopped" {
	a_ca
	printf '%s\r\n' $'\xef\xbb\xbfserial,tcti' 'P-1,device:/dev/none' '"P-2","cmd:sleep 299.7"' 'P-3,swtpm:path=/nowhere/s' >boards.csv
	run --separate-stderr batch --deadline 1s --station hall-7
	[ "$status" = 1 ]
	[[ $output == *"0 done, 0 kept, 3 failed of 3; results in boards.csv.d"* ]]
	[[ $output == *"P-2 at cmd:sleep 299.7: not done after 1 s (--deadline)"* ]]
	[[ $output == *"P-3 at swtpm:path=/nowhere/s: "* && $output == *"run the same again with --only-failed"* ]]
	results serial state | sort | diff -u - <(printf '%s\n' P-{1,2,3}\ {failed,started})
	results station | sort -u | diff -u - <(echo hall-7)
	run ! pgrep -f '^sleep 299.7'
	[ "$(stat -c %a boards.csv.d)" = 700 ]
	[ "$(stat -c %a boards.csv.d/results.jsonl)" = 600 ]

	run --separate-stderr batch --deadline 1s --json --only-failed
	[ "$status" = 1 ]
	python3 -c 'import json, sys
rows = json.load(sys.stdin)
assert [r["serial"] for r in rows] == ["P-1", "P-2", "P-3"], rows
for r in rows:
    assert sorted(r) == ["at_utc", "certificates", "ek", "error", "folder", "rework", "serial", "site", "state", "station", "tcti", "took_s"], r
    assert r["state"] == "failed" and r["error"]["kind"] == "unreachable" and r["error"]["text"], r' <<<"$output"
	[[ $stderr == *"3 failed of 3"* ]]
}

@test "a serial that was given stays with its row, and rows come from standard input, too" {
	a_ca
	printf 'serial,tcti\nauto,device:/dev/none1\nauto,device:/dev/none2\n' >boards.csv
	for i in 1 2; do
		run "$PSEC" provision --batch - --out boards.csv.d --ca ca --serial-prefix P2 <boards.csv
		[ "$status" = 1 ]
	done
	results serial tcti | sort -u | diff -u - <(printf '%s\n' 'P2-000001 device:/dev/none1' 'P2-000002 device:/dev/none2')
	[ "$("$PSEC" provision ca serial --ca ca P2)" = P2-000003 ]
}

@test "the first Ctrl-C begins no more boards, the second ends those at work; the results are whole" {
	a_ca
	printf 'serial,tcti\nP-1,cmd:sleep 300\nP-2,cmd:sleep 301\n' >boards.csv
	env --default-signal=INT "$PSEC" provision --batch boards.csv --ca ca --jobs 1 >out 2>err &
	echo $! >pid
	wait_until 10 grep -q started boards.csv.d/results.jsonl
	# a second batch has no business in that folder
	run batch
	[ "$status" = 75 ]
	[[ $output == *"another batch works in 'boards.csv.d'"* ]]
	kill -INT "$(cat pid)"
	wait_until 10 grep -q 'no more boards are begun; 1 at work' err
	kill -INT "$(cat pid)"
	rc=0; wait "$(cat pid)" || rc=$?
	rm pid
	[ "$rc" = 130 ]
	grep -q '0 done, 0 kept, 1 failed, 1 not begun of 2' out
	results serial state | diff -u - <(printf '%s\n' 'P-1 started' 'P-1 failed')
}

@test "the passphrase reaches the boards' processes by a descriptor alone" {
	a_ca
	(umask 077; echo 'correct horse battery staple, thirty and more' >phrase)
	"$PSEC" provision ca rotate --ca ca --new-passphrase-file phrase >/dev/null
	rm -f ca/passphrase
	# a way that hears and never answers
	printf 'serial,tcti\nP-1,cmd:cat >heard\n' >boards.csv
	"$PSEC" provision --batch boards.csv --ca ca --passphrase-file phrase >out 2>&1 &
	echo $! >pid
	wait_until 10 test -s heard
	child=$(pgrep -P "$(cat pid)")
	way=$(pgrep -x cat -s "$child")
	tr '\0' ' ' <"/proc/$child/cmdline" | grep -q 'provision board --serial P-1'
	for p in "$(cat pid)" "$child" "$way"; do
		run ! grep -a 'correct horse' "/proc/$p/cmdline" "/proc/$p/environ"
	done
	run ! grep -ra 'correct horse' boards.csv.d
	kill -9 "$(cat pid)"
	wait "$(cat pid)" || true
	rm pid
	# with it go the board's process and the way
	wait_until 10 eval "! kill -0 $child"
	wait_until 10 eval "! kill -0 $way"
}

@test "a label is asked for by a serial that is known" {
	a_ca
	run "$PSEC" provision label
	[ "$status" = 64 ]
	run "$PSEC" provision label P-1 --ca ca
	[ "$status" = 65 ]
	[[ $output == *"no board 'P-1'"* ]]
	"$PSEC" provision ca serial --ca ca P
	run "$PSEC" provision label P-000001 --ca ca
	[ "$status" = 65 ]
	[[ $output == *"no identity yet"* ]]
	run "$PSEC" provision label --from ca P-1
	[ "$status" = 65 ]
	[[ $output == *"results.jsonl"* ]]
}
