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
