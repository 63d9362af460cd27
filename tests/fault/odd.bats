#!/usr/bin/env bats
# A field that was taken over says what it may not: it is ended, and core goes on.
load ../system/site

setup() {
	site_folder
	sim_start --series none
	mkdir libexec
	ln -s "$B/bin/psecd-core" libexec/
	cp "$TOP/tests/fault/odd_field.py" libexec/psecd-field
	export PSEC_LIBEXEC=$DIR/libexec
}
teardown() { site_remove; }

ends_the_sender() {
	echo "$1" >libexec/odd
	STATE=field-gone psecd_start
	core=$(pid_of psecd-core)
	wait_until 10 logged "broke the contract"
	wait_until 10 logged "psecd-field ended: killed by signal 9"
	wait_until 10 event '"kind": "odd"'
	[ "$(pid_of psecd-core)" = "$core" ]
	[ "$(ask status '' daemon.processes.1.restarts)" = 0 ]
	is state field-gone
}

@test "a device that the site does not have" { ends_the_sender bad-device; }
@test "a value that is not measured yet" { ends_the_sender from-the-future; }
@test "more samples than a message holds" { ends_the_sender too-many; }
@test "a message that is too short" { ends_the_sender short; }
@test "a message that does not exist" { ends_the_sender unknown-kind; }
@test "a message that is the supervisor's to send" { ends_the_sender not-mine; }
@test "no hello" { ends_the_sender no-hello; }
@test "another build" { ends_the_sender other-build; }

# What is no breach of the contract is taken, within bounds.
@test "a flood of events is kept within bounds, and how many were kept back is said" {
	echo flood >libexec/odd
	STATE=starting psecd_start
	wait_until 20 event '"kind": "kept-back"'
	event "events came too fast and are not kept"
	[ "$(sqlite3 "file:$DIR/state/psec.db?mode=ro" "SELECT count(*) FROM event WHERE kind = 'state'")" -le 302 ]
	[ "$(sqlite3 "file:$DIR/state/psec.db?mode=ro" "SELECT max(n) FROM (SELECT count(*) n FROM event GROUP BY kind, subject)")" -le 21 ]
	run ! logged "broke the contract"
}

@test "the result of a sign check that nobody asked for proves nothing" {
	echo unasked-check >libexec/odd
	STATE=starting psecd_start
	wait_until 10 logged "that was not asked for"
	[ "$(status checked)" = null ]
	run ! logged "broke the contract"
}
